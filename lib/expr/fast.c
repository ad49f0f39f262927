/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fast conditions: made from a tree of nodes, and run.
 */
#include "expr/fast.h"

/* ---- making ---- */

static bool is_bool_leaf(const xnode *node)
{
    return node->eval == venv_cel_eval_attr && node->test == venv_cel_test_boxed;
}

static bool find_leaf(const xnode *node, fast_place *ret_place, fast_kind *ret_kind)
{
    static const struct {
        xtest_fn test;
        fast_place place;
        fast_kind kind;
    } leaves[] = {
        { venv_cel_test_slot_int, FAST_SLOT, FAST_INT },       { venv_cel_test_slot_double, FAST_SLOT, FAST_DOUBLE },
        { venv_cel_test_slot_text, FAST_SLOT, FAST_TEXT },     { venv_cel_test_local_int, FAST_LOCAL, FAST_INT },
        { venv_cel_test_local_double, FAST_LOCAL, FAST_DOUBLE }, { venv_cel_test_local_text, FAST_LOCAL, FAST_TEXT },
        { venv_cel_test_field_int, FAST_FIELD, FAST_INT },     { venv_cel_test_field_double, FAST_FIELD, FAST_DOUBLE },
        { venv_cel_test_field_text, FAST_FIELD, FAST_TEXT },
    };
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        if (leaves[i].test == node->test) {
            *ret_place = leaves[i].place;
            *ret_kind = leaves[i].kind;
            return true;
        }
    }
    if (!is_bool_leaf(node))
        return false;
    bool local = node->u.attr.slot < 0;
    *ret_kind = FAST_BOOL;
    *ret_place = node->u.attr.key_count == 0 ? (local ? FAST_LOCAL : FAST_SLOT) : FAST_FIELD;
    return node->u.attr.key_count == 0 || (local && node->u.attr.key_count == 1);
}

/* Tests that a condition needs; more than FAST_TESTS_MAX if it cannot be made of them. */
static uint32_t count_leaves(const xnode *node)
{
    fast_place place;
    fast_kind kind;
    uint32_t count = 0;
    if (find_leaf(node, &place, &kind))
        return 1;
    if (node->test != venv_cel_test_and && node->test != venv_cel_test_or && node->test != venv_cel_test_not)
        return FAST_TESTS_MAX + 1;
    for (uint32_t i = 0; i < node->count && count <= FAST_TESTS_MAX; i++)
        count += count_leaves(node->args[i]);
    return count;
}

static void emit_leaf(fast_test *test, const xnode *node, uint32_t item)
{
    fast_place place = FAST_SLOT;
    fast_kind kind = FAST_BOOL;
    (void)find_leaf(node, &place, &kind);
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

/*
 * A comparison of a field for up to 64 items at once, without a branch on its answer: a bit for each item.
 * What does not change is taken out of the loop. Only the items in `need` are looked at: the others are decided.
 * Written once for each kind of constant.
 */
#define BLOCK 64u

/* The value of the field of an item; `place` is where it was in the last one. */
static inline const venv_value *field_at(const venv_value *item, const venv_value *name, const uint64_t key[2],
                                         uint32_t *place)
{
    uint64_t entry[2];
    if (__builtin_expect(item->w.kind != VENV_MAP, 0))
        return NULL;
    const struct venv_object *map = item->w.as.object;
    const venv_value *at = &venv_object_items(map)[2 * (size_t)*place];
    if (__builtin_expect(*place < map->count, 1)) {
        memcpy(entry, at, sizeof entry);
        if (__builtin_expect(((entry[0] ^ key[0]) | (entry[1] ^ key[1])) == 0, 1))
            return at + 1;
    }
    return venv_cel_find_slow(map, name, place);
}

#define BITS_OF_FIELD(name, wanted, expression)                                                                      \
    static bool name(const xctx *context, const fast_test *test, const venv_value *items, uint64_t need,             \
                     uint64_t *ret_bits)                                                                             \
    {                                                                                                                \
        uint64_t bits = 0, key[2];                                                                                   \
        const uint8_t mask = test->mask;                                                                             \
        const venv_value constant = test->value;                                                                     \
        uint32_t place = context->sites[test->site];                                                                 \
        memcpy(key, &test->key, sizeof key);                                                                         \
        if (need == UINT64_MAX) { /* the first test of a block looks at all */                                       \
            for (uint32_t i = 0; i < BLOCK; i++) {                                                                   \
                const venv_value *value = field_at(&items[i], &test->key, key, &place);                              \
                if (__builtin_expect(!value || value->w.kind != (wanted), 0))                                        \
                    return false;                                                                                    \
                bits |= (uint64_t)(expression) << i;                                                                 \
            }                                                                                                        \
        } else {                                                                                                     \
            for (uint64_t left = need; left; left &= left - 1) {                                                     \
                const unsigned i = (unsigned)__builtin_ctzll(left);                                                  \
                const venv_value *value = field_at(&items[i], &test->key, key, &place);                              \
                if (__builtin_expect(!value || value->w.kind != (wanted), 0))                                        \
                    return false;                                                                                    \
                bits |= (uint64_t)(expression) << i;                                                                 \
            }                                                                                                        \
        }                                                                                                            \
        context->sites[test->site] = place;                                                                          \
        *ret_bits = bits;                                                                                            \
        return true;                                                                                                 \
    }

BITS_OF_FIELD(bits_int, VENV_INT, expr_mask_int(mask, value->w.as.i, constant.w.as.i))
BITS_OF_FIELD(bits_double, VENV_DOUBLE, expr_mask_double(mask, value->w.as.d, constant.w.as.d))
BITS_OF_FIELD(bits_text, VENV_STRING, (mask >> expr_same_words(value, &constant)) & 1)
BITS_OF_FIELD(bits_bool, VENV_BOOL, ((void)mask, (void)constant, value->w.as.u != 0))

/*
 * Is it `a && b && …` of fields of the item, or `a || b || …`? *ret_decisive is then the answer that ends
 * it: where a test gives that, it is the answer of the whole.
 */
static bool is_chain(const fast_program *program, bool *ret_decisive)
{
    const fast_test *const *ends = program->ends;
    const fast_test *first = program->tests;
    bool or = program->count > 1 && first->yes == ends[1];
    for (uint32_t i = 0; i < program->count; i++) {
        const fast_test *test = &program->tests[i], *next = test + 1;
        bool last = i + 1 == program->count;
        if (test->op / 4 != FAST_ITEM_FIELD || (last && (test->yes != ends[1] || test->no != ends[0])))
            return false;
        if (!last && (test->yes != (or ? ends[1] : next) || test->no != (or ? next : ends[0])))
            return false;
    }
    *ret_decisive = or;
    return true;
}

static bool bits_of(const xctx *context, const fast_test *test, const venv_value *items, uint64_t need,
                    uint64_t *ret_bits)
{
    switch ((fast_kind)(test->op % 4)) {
    case FAST_INT:
        return bits_int(context, test, items, need, ret_bits);
    case FAST_DOUBLE:
        return bits_double(context, test, items, need, ret_bits);
    case FAST_TEXT:
        return bits_text(context, test, items, need, ret_bits);
    default:
        return bits_bool(context, test, items, need, ret_bits);
    }
}

static bool count_chain(const xctx *context, const fast_program *program, bool decisive, const venv_value *items,
                        uint32_t count, uint64_t *ret_count)
{
    uint64_t found = 0;
    for (uint32_t from = 0; from < count; from += BLOCK) {
        uint32_t size = count - from < BLOCK ? count - from : BLOCK;
        uint64_t all = size == BLOCK ? UINT64_MAX : (UINT64_C(1) << size) - 1;
        uint64_t open = all; /* not decided yet */
        for (uint32_t i = 0; i < program->count && open; i++) {
            uint64_t bits;
            if (!bits_of(context, &program->tests[i], items + from, open, &bits))
                return false;
            open = decisive ? open & ~bits : bits;
        }
        found += (unsigned)__builtin_popcountll(decisive ? all & ~open : open);
    }
    *ret_count = found;
    return true;
}

bool venv_cel_fast_count(const xctx *context, const fast_program *program, const venv_value *items, uint32_t count,
                     uint64_t *ret_count)
{
    bool decisive;
    if (is_chain(program, &decisive))
        return count_chain(context, program, decisive, items, count, ret_count);
    uint64_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        int answered = run(context, program, &items[i]);
        if (__builtin_expect(answered < 0, 0))
            return false;
        found += (unsigned)answered;
    }
    *ret_count = found;
    return true;
}
