/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The macros that go through a list or a map. A round allocates nothing of its own: the variables
 * live in the context, and a condition is tested without making a value of it.
 */
#include "expr/fast.h"

#include <string.h>

/* What a fold goes through. In a map each round has two values, the key and its value. */
typedef struct rounds {
    const venv_value *items;
    uint32_t count;
    uint32_t stride;
} rounds;

static int open_range(xctx *context, const xnode *node, rounds *ret_range)
{
    venv_value value;
    int status = node->args[0]->eval(context, node->args[0], &value);
    if (status != X_OK)
        return status;
    if (value.w.kind != VENV_LIST && value.w.kind != VENV_MAP)
        return venv_cel_fail_value(context, node->args[0], "a macro goes through a list or a map and found ", &value);
    const struct venv_object *object = value.w.as.object;
    *ret_range = (rounds){ venv_object_items(object), object->count, value.w.kind == VENV_MAP ? 2u : 1u };
    return X_OK;
}

/* Charge a round and set its variables. */
static inline int begin_round(xctx *context, const xnode *node, const rounds *range, uint32_t i)
{
    context->cost += node->u.fold.round_cost;
    if (__builtin_expect(context->cost > context->cost_max, 0))
        return venv_cel_fail_cost(context, node);
    venv_value *locals = &context->locals[node->u.fold.local];
    const venv_value *item = &range->items[(size_t)i * range->stride];
    if (node->u.fold.var_count == 1) {
        locals[0] = item[0];
    } else if (range->stride == 2) {
        locals[0] = item[0];
        locals[1] = item[1];
    } else {
        locals[0] = venv_value_int(i);
        locals[1] = item[0];
    }
    return X_OK;
}

/* Is there enough left for so many rounds? */
static bool has_budget(const xctx *context, const xnode *node, uint32_t count)
{
    return (uint64_t)node->u.fold.round_cost * count <= context->cost_max - context->cost;
}

/*
 * Test the condition of a round: the quick way, if it is that simple. The variable is set only where the
 * nodes are run.
 */
static inline int test_round(xctx *context, const xnode *node, const rounds *range, uint32_t i)
{
    if (node->u.fold.fast && range->stride == 1) {
        context->cost += node->u.fold.round_cost;
        if (__builtin_expect(context->cost > context->cost_max, 0))
            return venv_cel_fail_cost(context, node);
        int answer = venv_cel_fast_item(context, node->u.fold.fast, &range->items[i]);
        if (answer >= 0)
            return answer;
        context->cost -= node->u.fold.round_cost;
    }
    if (begin_round(context, node, range, i) != X_OK)
        return X_FATAL;
    return node->u.fold.body->test(context, node->u.fold.body);
}

/* all: `decisive` is false, exists: it is true. The rest is absorbed as by && and ||. */
static int quantify(xctx *context, const xnode *node, int decisive)
{
    rounds range;
    int status = open_range(context, node, &range);
    if (status != X_OK)
        return status;
    xabsorb absorb = expr_absorb_begin(context);
    for (uint32_t i = 0; i < range.count; i++) {
        status = test_round(context, node, &range, i);
        if (status == decisive)
            return expr_absorb_drop(context, &absorb, decisive);
        if (__builtin_expect(status > X_TRUE, 0)) {
            if (status == X_FATAL)
                return status;
            expr_absorb(context, &absorb, status);
        }
    }
    return absorb.status == X_OK ? !decisive : expr_absorb_keep(context, &absorb);
}

int venv_cel_test_all(xctx *context, const xnode *node)
{
    return quantify(context, node, 0);
}

int venv_cel_test_exists(xctx *context, const xnode *node)
{
    return quantify(context, node, 1);
}

/* How many rounds meet the condition. Errors are not absorbed: each round matters. */
static int count_rounds(xctx *context, const xnode *node, uint64_t *ret_count)
{
    rounds range;
    int status = open_range(context, node, &range);
    if (status != X_OK)
        return status;
    if (node->u.fold.fast && range.stride == 1 && has_budget(context, node, range.count) &&
        venv_cel_fast_count(context, node->u.fold.fast, range.items, range.count, ret_count)) {
        context->cost += (uint64_t)node->u.fold.round_cost * range.count;
        return X_OK;
    }
    xabsorb absorb = expr_absorb_begin(context);
    uint64_t count = 0;
    for (uint32_t i = 0; i < range.count; i++) {
        status = test_round(context, node, &range, i);
        if (__builtin_expect(status > X_TRUE, 0)) {
            if (status == X_FATAL)
                return status;
            expr_absorb(context, &absorb, status);
            continue;
        }
        count += (unsigned)status;
    }
    *ret_count = count;
    return absorb.status == X_OK ? X_OK : expr_absorb_keep(context, &absorb);
}

int venv_cel_test_exists_one(xctx *context, const xnode *node)
{
    uint64_t count;
    int status = count_rounds(context, node, &count);
    return status == X_OK ? count == 1 : status;
}

int venv_cel_eval_count(xctx *context, const xnode *node, venv_value *out)
{
    uint64_t count;
    int status = count_rounds(context, node, &count);
    if (status == X_OK)
        *out = venv_value_int((int64_t)count);
    return status;
}

/* What a round adds to a list or map, at `place`. X_TRUE: it is added; 0: it is not; or how the round ended. */
typedef int (*take_fn)(xctx *context, const xnode *node, const rounds *range, uint32_t i, venv_value *place);

/* A list or map of what the rounds give. Each round matters, so that nothing absorbs an error. */
static inline int build(xctx *context, const xnode *node, venv_kind kind, take_fn take, venv_value *out)
{
    rounds range;
    int status = open_range(context, node, &range);
    struct venv_object *made = status == X_OK ? venv_cel_container(context, node, kind, range.count) : NULL;
    if (!made)
        return status == X_OK ? X_FATAL : status;
    venv_value *place = venv_object_items(made);
    const uint32_t width = kind == VENV_MAP ? 2 : 1;
    uint32_t kept = 0;
    xabsorb absorb = expr_absorb_begin(context);
    for (uint32_t i = 0; i < range.count; i++) {
        status = take(context, node, &range, i, place);
        if (status == X_TRUE) {
            place += width;
            kept++;
        } else if (status == X_FATAL) {
            return status;
        } else if (status > X_TRUE) {
            expr_absorb(context, &absorb, status);
        }
    }
    if (absorb.status != X_OK)
        return expr_absorb_keep(context, &absorb);
    made->count = kept;
    return kind == VENV_MAP ? venv_cel_finish_map(context, node, made, out)
                            : venv_cel_finish_list(context, node, made, out);
}

/* Begin a round and test its filter, if there is one. */
static inline int begin_filtered(xctx *context, const xnode *node, const rounds *range, uint32_t i)
{
    if (begin_round(context, node, range, i) != X_OK)
        return X_FATAL;
    return node->u.fold.filter ? node->u.fold.filter->test(context, node->u.fold.filter) : X_TRUE;
}

static inline int eval_body(xctx *context, const xnode *node, venv_value *out)
{
    int status = node->u.fold.body->eval(context, node->u.fold.body, out);
    return status == X_OK ? X_TRUE : status;
}

static int take_body(xctx *context, const xnode *node, const rounds *range, uint32_t i, venv_value *place)
{
    int status = begin_filtered(context, node, range, i);
    return status == X_TRUE ? eval_body(context, node, place) : status;
}

static int take_item(xctx *context, const xnode *node, const rounds *range, uint32_t i, venv_value *place)
{
    *place = range->items[(size_t)i * range->stride];
    return test_round(context, node, range, i);
}

static int take_value(xctx *context, const xnode *node, const rounds *range, uint32_t i, venv_value *place)
{
    int status = begin_filtered(context, node, range, i);
    if (status != X_TRUE)
        return status;
    place[0] = context->locals[node->u.fold.local];
    return eval_body(context, node, &place[1]);
}

/* Each round gives a map with one entry. */
static int take_entry(xctx *context, const xnode *node, const rounds *range, uint32_t i, venv_value *place)
{
    venv_value entry;
    int status = begin_filtered(context, node, range, i);
    if (status != X_TRUE || (status = eval_body(context, node, &entry)) != X_TRUE)
        return status;
    if (entry.w.kind != VENV_MAP || entry.w.as.object->count != 1)
        return venv_cel_fail_value(context, node, "transformMapEntry needs a map with one entry and found ", &entry);
    memcpy(place, venv_object_items(entry.w.as.object), 2 * sizeof *place);
    return X_TRUE;
}

/* map and transformList. */
int venv_cel_eval_fold_map(xctx *context, const xnode *node, venv_value *out)
{
    return build(context, node, VENV_LIST, take_body, out);
}

int venv_cel_eval_filter(xctx *context, const xnode *node, venv_value *out)
{
    return build(context, node, VENV_LIST, take_item, out);
}

int venv_cel_eval_transform_map(xctx *context, const xnode *node, venv_value *out)
{
    return build(context, node, VENV_MAP, take_value, out);
}

int venv_cel_eval_transform_entry(xctx *context, const xnode *node, venv_value *out)
{
    return build(context, node, VENV_MAP, take_entry, out);
}

int venv_cel_charge_sort(xctx *context, const xnode *node, const venv_value *items, uint32_t count, size_t stride)
{
    uint64_t levels = count ? 32u - (unsigned)__builtin_clz(count) : 1u, units = count;
    for (uint32_t i = 0; i < count; i++) {
        const venv_value *item = &items[i * stride];
        if (item->w.kind == VENV_STRING || item->w.kind == VENV_BYTES)
            units += venv_text_of(item).size / 8;
    }
    return expr_charge(context, node, units * levels);
}

bool venv_cel_sort(venv_value *items, venv_value *spare, size_t count, size_t stride)
{
    int order;
    for (size_t i = 0; i < count; i++) { /* what compares with the first compares with all */
        if (!venv_cel_compare(&items[0], &items[i * stride], &order))
            return false;
    }
    venv_value *from = items, *to = spare;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t a = low, middle = low + width < count ? low + width : count;
            size_t b = middle, high = low + 2 * width < count ? low + 2 * width : count;
            for (size_t at = low; at < high; at++) {
                bool first = a < middle;
                if (first && b < high) {
                    (void)venv_cel_compare(&from[b * stride], &from[a * stride], &order);
                    first = order != -1;
                }
                memcpy(&to[at * stride], &from[(first ? a++ : b++) * stride], stride * sizeof *to);
            }
        }
        venv_value *other = from;
        from = to;
        to = other;
    }
    if (from != items && count)
        memcpy(items, from, count * stride * sizeof *items);
    return true;
}

int venv_cel_eval_sort_by(xctx *context, const xnode *node, venv_value *out)
{
    rounds range;
    int status = open_range(context, node, &range);
    struct venv_object *list = status == X_OK ? venv_cel_container(context, node, VENV_LIST, range.count) : NULL;
    venv_value *pairs = list ? venv_cel_alloc(context, node, (size_t)range.count * 4 * sizeof *pairs) : NULL;
    if (!pairs)
        return status == X_OK ? X_FATAL : status;
    for (uint32_t i = 0; i < range.count; i++) {
        if (begin_round(context, node, &range, i) != X_OK)
            return X_FATAL;
        if ((status = node->u.fold.body->eval(context, node->u.fold.body, &pairs[2 * i])) != X_OK)
            return status;
        pairs[2 * i + 1] = range.items[(size_t)i * range.stride];
    }
    if (venv_cel_charge_sort(context, node, pairs, range.count, 2) != X_OK)
        return X_FATAL;
    if (!venv_cel_sort(pairs, pairs + (size_t)range.count * 2, range.count, 2))
        return venv_cel_fail(context, node, VENV_EINVAL, "the keys of sortBy cannot be compared with each other");
    for (uint32_t i = 0; i < range.count; i++)
        venv_object_items(list)[i] = pairs[2 * i + 1];
    return venv_cel_finish_list(context, node, list, out);
}
