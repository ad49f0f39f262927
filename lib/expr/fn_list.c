/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists and sets: the functions of cel-go's extensions for both.
 */
#include "expr/standard.h"

#include <string.h>

static struct venv_object *list_of(const venv_value *value)
{
    return value->w.as.object;
}

/* Count, or copy, the items of a list whose lists are opened `depth` times. False: the budget is spent. */
static bool flatten_into(xctx *context, const xnode *node, const struct venv_object *list, int64_t depth,
                         venv_value *items, uint64_t *count)
{
    if (expr_charge(context, node, list->count) != X_OK)
        return false;
    for (uint32_t i = 0; i < list->count; i++) {
        const venv_value *item = &venv_object_items(list)[i];
        if (item->w.kind == VENV_LIST && depth > 0) {
            if (!flatten_into(context, node, list_of(item), depth - 1, items, count))
                return false;
        } else {
            if (items)
                items[*count] = *item;
            ++*count;
        }
    }
    return true;
}

EXPR_FUNCTION(flatten)
{
    int64_t depth = count == 2 ? args[1].w.as.i : 1;
    uint64_t total = 0;
    if (depth < 0)
        return venv_cel_fail_value(context, node, "flatten() needs a depth that is not negative and found ", &args[1]);
    if (!flatten_into(context, node, list_of(&args[0]), depth, NULL, &total))
        return X_FATAL;
    struct venv_object *list = venv_cel_container(context, node, VENV_LIST, total);
    total = 0;
    if (!list || !flatten_into(context, node, list_of(&args[0]), depth, venv_object_items(list), &total))
        return X_FATAL;
    return venv_cel_finish_list(context, node, list, out);
}

EXPR_FUNCTION(slice)
{
    (void)count;
    const struct venv_object *list = list_of(&args[0]);
    int64_t from = args[1].w.as.i, to = args[2].w.as.i;
    if (from < 0 || to < from || to > (int64_t)list->count)
        return venv_cel_fail_value(context, node, "the range of slice() is out of bounds; its end is ", &args[2]);
    struct venv_object *made = venv_cel_container(context, node, VENV_LIST, (size_t)(to - from));
    if (!made)
        return X_FATAL;
    memcpy(venv_object_items(made), venv_object_items(list) + from, made->count * sizeof(venv_value));
    return venv_cel_finish_list(context, node, made, out);
}

EXPR_FUNCTION(sort)
{
    (void)count;
    const struct venv_object *list = list_of(&args[0]);
    struct venv_object *made = venv_cel_container(context, node, VENV_LIST, list->count);
    venv_value *spare = made ? venv_cel_alloc(context, node, list->count * sizeof *spare) : NULL;
    if (!spare)
        return X_FATAL;
    if (venv_cel_charge_sort(context, node, venv_object_items(list), list->count, 1) != X_OK)
        return X_FATAL;
    memcpy(venv_object_items(made), venv_object_items(list), list->count * sizeof(venv_value));
    for (uint32_t i = 0; i < list->count; i++) {
        if (venv_cel_is_marker(&venv_object_items(list)[i]))
            return venv_cel_unknown_part(context, node);
    }
    if (!venv_cel_sort(venv_object_items(made), spare, list->count, 1))
        return venv_cel_fail(context, node, VENV_EINVAL, "the items of the list cannot be compared with each other");
    return venv_cel_finish_list(context, node, made, out);
}

EXPR_FUNCTION(reverse)
{
    (void)count;
    const struct venv_object *list = list_of(&args[0]);
    struct venv_object *made = venv_cel_container(context, node, VENV_LIST, list->count);
    if (!made)
        return X_FATAL;
    for (uint32_t i = 0; i < list->count; i++)
        venv_object_items(made)[i] = venv_object_items(list)[list->count - 1 - i];
    return venv_cel_finish_list(context, node, made, out);
}

/* Is an item among the first `count`? A test's answer; what is unknown matters only where none is equal. */
static int among(xctx *context, const xnode *node, const venv_value *item, const venv_value *items, uint32_t count)
{
    uint32_t mark = context->missing_count;
    int answer = 0;
    for (uint32_t i = 0; i < count; i++) {
        int status = venv_cel_equal(context, node, item, &items[i]);
        if (status == X_TRUE)
            context->missing_count = mark;
        if (status != 0 && status != X_UNK)
            return status;
        answer = status == X_UNK ? status : answer;
    }
    return answer;
}

EXPR_FUNCTION(distinct)
{
    (void)count;
    const struct venv_object *list = list_of(&args[0]);
    struct venv_object *made = venv_cel_container(context, node, VENV_LIST, list->count);
    if (!made)
        return X_FATAL;
    made->count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const venv_value *item = &venv_object_items(list)[i];
        int status = among(context, node, item, venv_object_items(made), made->count);
        if (status > X_TRUE)
            return status;
        if (status == 0)
            venv_object_items(made)[made->count++] = *item;
    }
    return venv_cel_finish_list(context, node, made, out);
}

EXPR_FUNCTION(range)
{
    (void)count;
    int64_t size = args[0].w.as.i;
    if (size < 0)
        return venv_cel_fail_value(context, node, "lists.range() needs a size that is not negative and found ", &args[0]);
    struct venv_object *made = venv_cel_container(context, node, VENV_LIST, (size_t)size);
    if (!made)
        return X_FATAL;
    for (uint32_t i = 0; i < made->count; i++)
        venv_object_items(made)[i] = venv_value_int(i);
    return venv_cel_finish_list(context, node, made, out);
}

/* Are all items of b in a (`decisive` 0), or any (1)? */
static int covers(xctx *context, const xnode *node, const struct venv_object *a, const struct venv_object *b, int decisive)
{
    uint32_t mark = context->missing_count;
    int answer = !decisive;
    for (uint32_t i = 0; i < b->count; i++) {
        int status = among(context, node, &venv_object_items(b)[i], venv_object_items(a), a->count);
        if (status == decisive)
            context->missing_count = mark;
        if (status == decisive || status == X_ERR || status == X_FATAL)
            return status;
        answer = status == X_UNK ? status : answer;
    }
    return answer;
}

static int answer(int status, venv_value *out)
{
    if (status > X_TRUE)
        return status;
    *out = venv_value_bool(status == X_TRUE);
    return X_OK;
}

EXPR_FUNCTION(sets_contains)
{
    (void)count;
    return answer(covers(context, node, list_of(&args[0]), list_of(&args[1]), 0), out);
}

EXPR_FUNCTION(sets_equivalent)
{
    (void)count;
    int status = covers(context, node, list_of(&args[0]), list_of(&args[1]), 0);
    if (status == X_TRUE || status == X_UNK) { /* the other way around may know better */
        int other = covers(context, node, list_of(&args[1]), list_of(&args[0]), 0);
        status = other == X_TRUE ? status : other;
    }
    return answer(status, out);
}

EXPR_FUNCTION(sets_intersects)
{
    (void)count;
    int status = covers(context, node, list_of(&args[1]), list_of(&args[0]), 1);
    return answer(status, out);
}

const expr_row venv_cel_list_rows[] = {
    { "list(dyn).flatten() -> list(dyn)", flatten },
    { "list(dyn).flatten(int) -> list(dyn)", flatten },
    { "list(T).slice(int, int) -> list(T)", slice },
    { "list(T).sort() -> list(T)", sort },
    { "list(T).reverse() -> list(T)", reverse },
    { "list(T).distinct() -> list(T)", distinct },
    { "lists.range(int) -> list(int)", range },
    { "sets.contains(list(T), list(T)) -> bool", sets_contains },
    { "sets.equivalent(list(T), list(T)) -> bool", sets_equivalent },
    { "sets.intersects(list(T), list(T)) -> bool", sets_intersects },
    { NULL, NULL },
};
