/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fast conditions: made from a tree of nodes, and run.
 */
#include "expr/fast.h"

/* ---- making ---- */

/* Tests that a condition needs; more than FAST_TESTS_MAX if it cannot be made of them. */
static uint32_t count_leaves(const xnode *node)
{
    uint32_t count = 0;
    if (node->leaf)
        return 1;
    if (node->test != venv_cel_test_and && node->test != venv_cel_test_or && node->test != venv_cel_test_not)
        return FAST_TESTS_MAX + 1;
    for (uint32_t i = 0; i < node->count && count <= FAST_TESTS_MAX; i++)
        count += count_leaves(node->args[i]);
    return count;
}

static void emit_leaf(fast_test *test, const xnode *node, uint32_t item)
{
    fast_place place = (fast_place)((node->leaf - 1) / 4);
    fast_kind kind = (fast_kind)((node->leaf - 1) % 4);
    const xnode *attr = kind == FAST_BOOL ? node : node->args[0];
    bool field = place == FAST_FIELD;
    test->mask = node->mask;
    test->index = attr->u.attr.slot < 0 ? attr->u.attr.local : (uint32_t)attr->u.attr.slot;
    test->site = attr->site + field;
    test->key = field ? attr->u.attr.keys[0] : attr->u.attr.name;
    if (kind != FAST_BOOL)
        test->value = node->u.cmp.value;
    if (attr->u.attr.slot < 0 && test->index == item)
        place = field ? FAST_ITEM_FIELD : FAST_ITEM;
    test->op = (uint8_t)FAST_OP(place, kind);
}

/* The tests of a node from `start` on, with where to go for false and for true. */
static void emit(fast_program *program, const xnode *node, uint32_t start, const fast_test *no, const fast_test *yes,
                 uint32_t item)
{
    if (node->test == venv_cel_test_not) {
        emit(program, node->args[0], start, yes, no, item);
        return;
    }
    if (node->test != venv_cel_test_and && node->test != venv_cel_test_or) {
        fast_test *test = &program->tests[start];
        emit_leaf(test, node, item);
        test->no = no;
        test->yes = yes;
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        uint32_t behind = start + count_leaves(node->args[i]);
        const fast_test *next = &program->tests[behind];
        bool last = i + 1 == node->count;
        if (node->test == venv_cel_test_and)
            emit(program, node->args[i], start, no, last ? yes : next, item);
        else
            emit(program, node->args[i], start, last ? no : next, yes, item);
        start = behind;
    }
}

const fast_program *venv_cel_fast_new(venv_arena *arena, const xnode *node, uint32_t item)
{
    uint32_t count = count_leaves(node);
    if (count > FAST_TESTS_MAX)
        return NULL;
    fast_program *program = venv_arena_alloc(arena, sizeof *program + (count + 2) * sizeof *program->tests);
    if (!program)
        return NULL;
    program->count = count;
    for (uint32_t i = 0; i < 2; i++) {
        fast_test *end = &program->tests[count + i];
        *end = (fast_test){ .op = FAST_OP(FAST_END, 0), .mask = (uint8_t)i };
        program->ends[i] = end;
    }
    emit(program, node, 0, program->ends[0], program->ends[1], item);
    return program;
}

/* ---- running ---- */

/* The answer of a test for a value; FAST_GAVE_UP if it is of another kind. */
static inline int answer(const fast_test *test, const venv_value *value)
{
    switch ((fast_kind)(test->op % 4)) {
    case FAST_INT:
        return value->w.kind == VENV_INT ? expr_mask_int(test->mask, value->w.as.i, test->value.w.as.i) : FAST_GAVE_UP;
    case FAST_DOUBLE:
        return value->w.kind == VENV_DOUBLE ? expr_mask_double(test->mask, value->w.as.d, test->value.w.as.d)
                                            : FAST_GAVE_UP;
    case FAST_TEXT:
        return value->w.kind == VENV_STRING ? (test->mask >> expr_same_words(value, &test->value)) & 1 : FAST_GAVE_UP;
    default:
        return value->w.kind == VENV_BOOL ? value->w.as.u != 0 : FAST_GAVE_UP;
    }
}

/* The value under the key where it was the last time, or where it is now; NULL if it is not there. */
static inline const venv_value *field_of(const xctx *context, const fast_test *test, const venv_value *base)
{
    return base->w.kind == VENV_MAP ? expr_find_key(base->w.as.object, &test->key, &context->sites[test->site]) : NULL;
}

static inline const venv_value *slot_of(const xctx *context, const fast_test *test)
{
    if (__builtin_expect(test->index < context->slot_count, 1))
        return &context->slots[test->index];
    const venv_value *map = context->input->map;
    return map ? field_of(context, test, map) : NULL;
}

static inline const venv_value *value_of(const xctx *context, const fast_test *test, const venv_value *item)
{
    switch ((fast_place)(test->op / 4)) {
    case FAST_SLOT:
        return slot_of(context, test);
    case FAST_LOCAL:
        return &context->locals[test->index];
    case FAST_FIELD:
        return field_of(context, test, &context->locals[test->index]);
    case FAST_ITEM:
        return item;
    default:
        return field_of(context, test, item);
    }
}

/*
 * Go on by a branch and not by a computed address: the processor then begins with the next test before
 * the answer to this one is known. The empty statements keep the compiler from joining the ways.
 */
#define GO_ON(answered)                                                                                              \
    do {                                                                                                             \
        if (answered) {                                                                                              \
            test = test->yes;                                                                                        \
            __asm__ volatile("");                                                                                    \
        } else {                                                                                                     \
            test = test->no;                                                                                         \
            __asm__ volatile("");                                                                                    \
        }                                                                                                            \
    } while (0)

/* The two places that matter most have a case for each kind: one jump for a test instead of two. */
#define QUICK(place, type, find, wanted, expression)                                                                 \
    case FAST_OP(place, type):                                                                                       \
        value = (find);                                                                                              \
        if (__builtin_expect(!value || value->w.kind != (wanted), 0))                                                \
            return FAST_GAVE_UP;                                                                                     \
        GO_ON(expression);                                                                                           \
        continue;

static inline int run(const xctx *context, const fast_program *program, const venv_value *item)
{
    const fast_test *test = program->tests;
    for (;;) {
        const venv_value *value;
        int answered;
        switch (test->op) {
            QUICK(FAST_SLOT, FAST_INT, slot_of(context, test), VENV_INT,
                  expr_mask_int(test->mask, value->w.as.i, test->value.w.as.i))
            QUICK(FAST_SLOT, FAST_DOUBLE, slot_of(context, test), VENV_DOUBLE,
                  expr_mask_double(test->mask, value->w.as.d, test->value.w.as.d))
            QUICK(FAST_SLOT, FAST_TEXT, slot_of(context, test), VENV_STRING,
                  (test->mask >> expr_same_words(value, &test->value)) & 1)
            QUICK(FAST_ITEM_FIELD, FAST_INT, field_of(context, test, item), VENV_INT,
                  expr_mask_int(test->mask, value->w.as.i, test->value.w.as.i))
            QUICK(FAST_ITEM_FIELD, FAST_DOUBLE, field_of(context, test, item), VENV_DOUBLE,
                  expr_mask_double(test->mask, value->w.as.d, test->value.w.as.d))
            QUICK(FAST_ITEM_FIELD, FAST_TEXT, field_of(context, test, item), VENV_STRING,
                  (test->mask >> expr_same_words(value, &test->value)) & 1)
        case FAST_OP(FAST_END, 0):
            return test->mask;
        default:
            value = value_of(context, test, item);
            answered = value ? answer(test, value) : FAST_GAVE_UP;
            if (answered < 0)
                return answered;
            GO_ON(answered);
            break;
        }
    }
}

int venv_cel_fast_run(const xctx *context, const fast_program *program)
{
    return run(context, program, NULL);
}

int venv_cel_fast_item(const xctx *context, const fast_program *program, const venv_value *item)
{
    return run(context, program, item);
}

/* ---- counting ---- */

/*
 * Items are counted in blocks: each test goes over its block as over a column, without a branch on its
 * answers. An item is looked at only by the tests that it comes to.
 *
 * A column takes its field to be in the same place in each item, as in lists of agents, messages or
 * events it is. If that, or its kind, is not so, it says so and the block is gone through item by item.
 */
#define BLOCK 64u
#define AHEAD 8u /* items, of which the processor is told before it comes to them */

typedef struct fast_block {
    const venv_value *items;
    uint32_t count;
    uint32_t rest;  /* items from the first of the block to the end of the list */
    uint32_t least; /* the places that are looked at are in maps with more entries than this */
} fast_block;

/*
 * Answers for the items whose bit is in `need`; what becomes of the others does not matter. The first
 * test of a block needs all, and looks at all whether they are maps that are large enough.
 */
typedef bool (*column_fn)(const fast_test *test, uint32_t place, const fast_block *block, uint64_t need,
                          uint8_t *ret_answers);

/* From so many items on, looking at all of them is quicker than choosing. */
static bool is_dense(const fast_block *block, uint64_t need)
{
    return (uint32_t)__builtin_popcountll(need) >= block->count - block->count / 4;
}

/* Not even its kind is looked at: what is fetched in vain does no harm. */
static inline void prefetch(const venv_value *item, size_t place)
{
    __builtin_prefetch((const char *)item->w.as.object + venv_map_size(place));
}

/* An answer if the item has the field in its place. */
#define LOOK(wanted, expression)                                                                                     \
    do {                                                                                                             \
        const venv_value *entry = &venv_object_items(map)[2 * (size_t)place], *value = entry + 1;                    \
        memcpy(name, entry, sizeof name);                                                                            \
        if (__builtin_expect(name[0] != key[0], 0) || __builtin_expect(name[1] != key[1], 0))                        \
            return false;                                                                                            \
        if (__builtin_expect(value->w.kind != (wanted), 0))                                                          \
            return false;                                                                                            \
        ret_answers[i] = (expression);                                                                               \
    } while (0)

#define COLUMN(column_name, wanted, expression)                                                                      \
    static bool column_name(const fast_test *test, uint32_t place, const fast_block *block, uint64_t need,           \
                            uint8_t *ret_answers)                                                                    \
    {                                                                                                                \
        const venv_value *items = block->items;                                                                      \
        const venv_value constant = test->value;                                                                     \
        uint64_t key[2], name[2];                                                                                    \
        memcpy(key, &test->key, sizeof key);                                                                         \
        if (is_dense(block, need)) {                                                                                 \
            const size_t count = block->count, rest = block->rest, least = block->least;                             \
            for (size_t i = 0; i < count; i++) {                                                                     \
                prefetch(&items[i + AHEAD < rest ? i + AHEAD : i], least);                                           \
                if (__builtin_expect(items[i].w.kind != VENV_MAP, 0))                                                \
                    return false;                                                                                    \
                const struct venv_object *map = items[i].w.as.object;                                                \
                if (__builtin_expect(map->count <= least, 0))                                                        \
                    return false;                                                                                    \
                LOOK(wanted, expression);                                                                            \
            }                                                                                                        \
        } else {                                                                                                     \
            for (uint64_t left = need; left; left &= left - 1) {                                                     \
                const size_t i = (size_t)__builtin_ctzll(left);                                                      \
                const struct venv_object *map = items[i].w.as.object;                                                \
                LOOK(wanted, expression);                                                                            \
            }                                                                                                        \
        }                                                                                                            \
        return true;                                                                                                 \
    }

COLUMN(int_less, VENV_INT, value->w.as.i < constant.w.as.i)
COLUMN(int_at_most, VENV_INT, value->w.as.i <= constant.w.as.i)
COLUMN(int_equal, VENV_INT, value->w.as.i == constant.w.as.i)
COLUMN(double_less, VENV_DOUBLE, value->w.as.d < constant.w.as.d)
COLUMN(double_at_most, VENV_DOUBLE, value->w.as.d <= constant.w.as.d)
COLUMN(double_more, VENV_DOUBLE, value->w.as.d > constant.w.as.d)
COLUMN(double_at_least, VENV_DOUBLE, value->w.as.d >= constant.w.as.d)
COLUMN(double_equal, VENV_DOUBLE, value->w.as.d == constant.w.as.d)
COLUMN(text_equal, VENV_STRING, expr_same_words(value, &constant))
COLUMN(bool_true, VENV_BOOL, ((void)constant, value->w.as.u != 0))

/* A bit for each answer, the first one lowest. */
static uint64_t bits_of(const uint8_t answers[static BLOCK])
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < BLOCK; i += 8) {
        uint64_t eight;
        memcpy(&eight, answers + i, sizeof eight);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        eight = __builtin_bswap64(eight);
#endif
        bits |= eight * UINT64_C(0x0102040810204080) >> 56 << i; /* a byte of 0 or 1 each: no carry disturbs the top */
    }
    return bits;
}

/* By the mask of the comparison; where its bit 3 is set, or for ints bit 2, the answers are the opposite. */
static bool column(const fast_test *test, uint32_t place, const fast_block *block, uint64_t need, uint64_t *ret_bits)
{
    static const column_fn columns[][16] = {
        [FAST_INT] = { [1] = int_less, [2] = int_equal, [3] = int_at_most, [4] = int_at_most, [6] = int_less,
                       [13] = int_equal },
        [FAST_DOUBLE] = { [1] = double_less, [2] = double_equal, [3] = double_at_most, [4] = double_more,
                          [6] = double_at_least, [13] = double_equal },
        [FAST_TEXT] = { [2] = text_equal, [13] = text_equal },
    };
    uint8_t answers[BLOCK] = { 0 }; /* also those that are not asked for: see bits_of() */
    fast_kind kind = (fast_kind)(test->op % 4);
    column_fn run_column = kind == FAST_BOOL ? bool_true : columns[kind][test->mask & 15];
    if (!run_column || !run_column(test, place, block, need, answers))
        return false;
    bool opposite = kind != FAST_BOOL && test->mask & (kind == FAST_INT ? 4u : 8u);
    *ret_bits = (bits_of(answers) ^ (opposite ? UINT64_MAX : 0)) & need;
    return true;
}

/* `reached`: by which items each test is, and then both ends. */
static bool count_block(const xctx *context, const fast_program *program, const fast_block *block, uint64_t *reached,
                        uint64_t *ret_count)
{
    for (uint32_t i = 0; i < program->count + 2; i++)
        reached[i] = 0;
    reached[0] = UINT64_MAX >> (BLOCK - block->count);
    for (uint32_t i = 0; i < program->count; i++) {
        const fast_test *test = &program->tests[i];
        uint64_t bits;
        if (!reached[i])
            continue;
        if (!column(test, context->sites[test->site], block, reached[i], &bits))
            return false;
        reached[test->yes - program->tests] |= bits; /* always further on */
        reached[test->no - program->tests] |= reached[i] & ~bits;
    }
    *ret_count += (unsigned)__builtin_popcountll(reached[program->ends[1] - program->tests]);
    return true;
}

bool venv_cel_fast_count(const xctx *context, const fast_program *program, const venv_value *items, uint32_t count,
                     uint64_t *ret_count)
{
    uint64_t found = 0, reached[FAST_TESTS_MAX + 2];
    bool columns = true; /* nothing but fields of the item? */
    for (uint32_t i = 0; i < program->count; i++)
        columns &= program->tests[i].op / 4 == FAST_ITEM_FIELD;
    for (uint32_t from = 0, size; from < count; from += size) {
        size = count - from < BLOCK ? count - from : BLOCK;
        fast_block block = { .items = items + from, .count = size, .rest = count - from };
        for (uint32_t i = 0; columns && i < program->count; i++) {
            uint32_t place = context->sites[program->tests[i].site];
            block.least = place > block.least ? place : block.least;
        }
        if (columns && count_block(context, program, &block, reached, &found))
            continue;
        for (uint32_t i = from; i < from + size; i++) {
            int answered = run(context, program, &items[i]);
            if (__builtin_expect(answered < 0, 0))
                return false;
            found += (unsigned)answered;
        }
    }
    *ret_count = found;
    return true;
}
