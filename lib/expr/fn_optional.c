/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of optional values. `or` and `orValue` evaluate their right side only where it is needed:
 * see venv_cel_eval_or_value().
 */
#include "expr/standard.h"

EXPR_FUNCTION(none)
{
    EXPR_UNUSED();
    *out = venv_cel_optional_none();
    return X_OK;
}

EXPR_FUNCTION(of)
{
    (void)count;
    return venv_cel_optional_of(context, node, &args[0], out);
}

EXPR_FUNCTION(of_non_zero)
{
    (void)count;
    if (!venv_cel_is_zero(&args[0]))
        return venv_cel_optional_of(context, node, &args[0], out);
    *out = venv_cel_optional_none();
    return X_OK;
}

EXPR_FUNCTION(has_value)
{
    EXPR_UNUSED();
    *out = venv_value_bool(venv_cel_optional_value(&args[0]) != NULL);
    return X_OK;
}

EXPR_FUNCTION(value)
{
    EXPR_UNUSED();
    const venv_value *inner = venv_cel_optional_value(&args[0]);
    if (!inner)
        return venv_cel_fail(context, node, VENV_EINVAL, "the optional has no value; ask hasValue() or use orValue()");
    *out = *inner;
    return X_OK;
}

EXPR_FUNCTION(or_optional)
{
    EXPR_UNUSED();
    *out = args[venv_cel_optional_value(&args[0]) ? 0 : 1];
    return X_OK;
}

EXPR_FUNCTION(or_value)
{
    EXPR_UNUSED();
    const venv_value *inner = venv_cel_optional_value(&args[0]);
    *out = inner ? *inner : args[1];
    return X_OK;
}

/* The values of the optionals in a list that have one. */
EXPR_FUNCTION(unwrap)
{
    (void)count;
    const struct venv_object *list = args[0].w.as.object;
    struct venv_object *made = venv_cel_container(context, node, VENV_LIST, list->count);
    if (!made)
        return X_FATAL;
    made->count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const venv_value *item = &venv_object_items(list)[i];
        if (!venv_cel_is_optional(item))
            return venv_cel_fail_value(context, node, "unwrap needs a list of optionals and found ", item);
        const venv_value *inner = venv_cel_optional_value(item);
        if (inner)
            venv_object_items(made)[made->count++] = *inner;
    }
    return venv_cel_finish_list(context, node, made, out);
}

static int item_at(xctx *context, const xnode *node, const venv_value *value, bool last, venv_value *out)
{
    const struct venv_object *list = value->w.as.object;
    if (list->count)
        return venv_cel_optional_of(context, node, &venv_object_items(list)[last ? list->count - 1 : 0], out);
    *out = venv_cel_optional_none();
    return X_OK;
}

EXPR_FUNCTION(first)
{
    (void)count;
    return item_at(context, node, &args[0], false, out);
}

EXPR_FUNCTION(last)
{
    (void)count;
    return item_at(context, node, &args[0], true, out);
}

const expr_row venv_cel_optional_rows[] = {
    { "optional.none() -> optional_type(T)", none },
    { "optional.of(T) -> optional_type(T)", of },
    { "optional.ofNonZeroValue(T) -> optional_type(T)", of_non_zero },
    { "optional.unwrap(list(optional_type(T))) -> list(T)", unwrap },
    { "list(optional_type(T)).unwrapOpt() -> list(T)", unwrap },
    { "optional_type(T).hasValue() -> bool", has_value },
    { "optional_type(T).value() -> T", value },
    { "optional_type(T).or(optional_type(T)) -> optional_type(T)", or_optional },
    { "optional_type(T).orValue(T) -> T", or_value },
    { "list(T).first() -> optional_type(T)", first },
    { "list(T).last() -> optional_type(T)", last },
    { NULL, NULL },
};
