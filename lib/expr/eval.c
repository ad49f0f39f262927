/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a program: variables, selections, logic, lists and maps, calls. The macros are in fold.c.
 *
 * Values are lent throughout: nothing that runs counts references. What an evaluation makes lies in
 * its context, what it reads belongs to the input or the program.
 */
#include "expr/program.h"

#include <math.h>
#include <string.h>

int venv_cel_eval_boxed(xctx *context, const xnode *node, venv_value *out)
{
    int status = node->test(context, node);
    if (status > X_TRUE)
        return status;
    *out = venv_value_bool(status == X_TRUE);
    return X_OK;
}

int venv_cel_test_boxed(xctx *context, const xnode *node)
{
    venv_value value;
    int status = node->eval(context, node, &value);
    if (status != X_OK)
        return status;
    if (value.w.kind != VENV_BOOL)
        return venv_cel_fail_overload(context, node, &value, 1);
    return value.w.as.u != 0;
}

int venv_cel_eval_const(xctx *context, const xnode *node, venv_value *out)
{
    (void)context;
    *out = node->u.value;
    return X_OK;
}

int venv_cel_eval_error(xctx *context, const xnode *node, venv_value *out)
{
    (void)out;
    return venv_cel_fail(context, node, VENV_EINVAL, node->u.text);
}

/* ---- variables ---- */

const venv_value *venv_cel_find_slow(const struct venv_object *map, const venv_value *key, uint32_t *site)
{
    const venv_value *found = venv_map_find_string(map, key);
    if (found)
        *site = (uint32_t)((size_t)(found - venv_object_items(map)) / 2);
    return found;
}

static int fail_key(xctx *context, const xnode *node, const venv_value *key)
{
    return venv_cel_fail_detail(context, node, VENV_EINVAL, "no such key: ", venv_text_of(key));
}

static int unknown(xctx *context, uint32_t read)
{
    venv_cel_missing_add(context, read);
    return X_UNK;
}

/*
 * A variable that is not simply in its slot: in the map, or from the resolver, or nowhere. NULL with
 * X_ERR or X_UNK in *ret_status, or with X_OK: the resolver says that there is none.
 */
static const venv_value *find_variable(xctx *context, const xnode *node, venv_value *spare, uint32_t *ret_depth,
                                       int *ret_status)
{
    const venv_expr_input *input = context->input;
    uint64_t slot = (uint64_t)node->u.attr.slot;
    *ret_status = X_OK;
    *ret_depth = 1;
    if (slot < context->slot_count && !venv_cel_is_absent(&context->slots[slot]))
        return &context->slots[slot];
    if (input->map && input->map->w.kind == VENV_MAP) {
        const venv_value *found =
            expr_find_key(input->map->w.as.object, &node->u.attr.name, &context->sites[node->site]);
        if (found)
            return found;
    }
    if (input->resolve) {
        const venv_expr_read *read = &context->expr->reads[node->u.attr.read];
        uint32_t depth = read->path_count;
        switch (input->resolve(input->resolve_user, read, spare, &depth)) {
        case VENV_EXPR_FOUND:
            *ret_depth = depth < 1 ? 1 : depth > node->u.attr.key_count + 1 ? node->u.attr.key_count + 1 : depth;
            return spare;
        case VENV_EXPR_NOT_KNOWN:
            *ret_status = unknown(context, node->u.attr.read);
            return NULL;
        case VENV_EXPR_NOT_THERE:
            if (node->u.attr.key_count)
                return NULL;
            break;
        }
    }
    *ret_status = venv_cel_fail_detail(context, node, VENV_EINVAL, "no value is given for variable ",
                                   venv_text_of(&node->u.attr.name));
    return NULL;
}

/* value.key for a value of any kind. NULL with X_OK: it is not there. */
static const venv_value *select_key(xctx *context, const xnode *node, const venv_value *value, const venv_value *key,
                                    venv_value *spare, int *ret_status)
{
    *ret_status = X_OK;
    if (value->w.kind == VENV_MAP)
        return venv_map_find_string(value->w.as.object, key);
    if (venv_cel_is_optional(value)) {
        const venv_value *inner = venv_cel_optional_value(value);
        if (inner)
            inner = select_key(context, node, inner, key, spare, ret_status);
        if (*ret_status != X_OK)
            return NULL;
        if (!inner)
            *spare = venv_cel_optional_none();
        else if (venv_cel_is_marker(inner))
            *spare = *inner;
        else
            *ret_status = venv_cel_optional_of(context, node, inner, spare);
        return spare;
    }
    const char *type = venv_cel_type_of(value);
    *ret_status = venv_cel_fail_detail(context, node, VENV_EINVAL, "this has no fields: a value of type ",
                                   (venv_str){ type, strlen(type) });
    return NULL;
}

/*
 * Follow the path of an attribute for `count` keys. NULL with X_OK: not there; *ret_key is the key that
 * was not found.
 */
static const venv_value *follow(xctx *context, const xnode *node, uint32_t count, venv_value *spare,
                                const venv_value **ret_key, int *ret_status)
{
    uint64_t slot = (uint64_t)node->u.attr.slot;
    const venv_value *at;
    uint32_t depth = 1;
    *ret_status = X_OK;
    *ret_key = count ? &node->u.attr.keys[count - 1] : &node->u.attr.name;
    if (node->u.attr.slot < 0)
        at = &context->locals[node->u.attr.local];
    else if (slot < context->slot_count && context->slots[slot].w.kind != VENV_OPAQUE)
        at = &context->slots[slot];
    else if (!(at = find_variable(context, node, spare, &depth, ret_status)))
        return NULL;
    for (uint32_t i = depth - 1; i < count; i++) {
        const venv_value *key = &node->u.attr.keys[i];
        *ret_key = key;
        if (at->w.kind == VENV_MAP)
            at = expr_find_key(at->w.as.object, key, &context->sites[node->site + 1 + i]);
        else if (venv_cel_is_marker(at))
            break;
        else
            at = select_key(context, node, at, key, spare, ret_status);
        if (!at)
            return NULL;
    }
    if (at->w.kind == VENV_OPAQUE && venv_cel_is_marker(at)) {
        *ret_status = unknown(context, node->u.attr.read);
        return NULL;
    }
    return at;
}

static const venv_value *attr_ref(xctx *context, const xnode *node, venv_value *spare, int *ret_status)
{
    const venv_value *key;
    const venv_value *at = follow(context, node, node->u.attr.key_count, spare, &key, ret_status);
    if (!at && *ret_status == X_OK)
        *ret_status = fail_key(context, node, key);
    return at;
}

int venv_cel_eval_attr(xctx *context, const xnode *node, venv_value *out)
{
    int status;
    const venv_value *at = attr_ref(context, node, out, &status);
    if (!at)
        return status;
    if (at != out)
        *out = *at;
    return status;
}

/* The value before the last name, and then that name: NULL if it is not there. */
static const venv_value *last_of(xctx *context, const xnode *node, venv_value *spare, int *ret_status)
{
    uint32_t count = node->u.attr.key_count;
    const venv_value *missed, *key = &node->u.attr.keys[count - 1];
    const venv_value *at = follow(context, node, count, spare, &missed, ret_status);
    bool resolved = node->u.attr.slot >= 0 && context->input->resolve;
    if (!at && *ret_status == X_OK && missed != key && !resolved)
        *ret_status = fail_key(context, node, missed); /* only the last name may be absent */
    return at;
}

int venv_cel_test_has_attr(xctx *context, const xnode *node)
{
    venv_value spare;
    int status;
    const venv_value *at = last_of(context, node, &spare, &status);
    if (status != X_OK)
        return status;
    return at != NULL && !(at == &spare && venv_cel_is_optional(at) && !venv_cel_optional_value(at));
}

int venv_cel_eval_opt_attr(xctx *context, const xnode *node, venv_value *out)
{
    venv_value spare;
    int status;
    const venv_value *at = last_of(context, node, &spare, &status);
    if (status != X_OK)
        return status;
    if (!at) {
        *out = venv_cel_optional_none();
        return X_OK;
    }
    if (at == &spare && venv_cel_is_optional(at)) { /* of an optional: it is one already */
        *out = *at;
        return X_OK;
    }
    return venv_cel_optional_of(context, node, at, out);
}

/* A part that several places share: computed where it is first needed. */
static int compute_lazy(xctx *context, const xnode *node)
{
    uint32_t local = node->u.lazy.local;
    xlazy *lazy = &context->lazy[local];
    uint32_t before = context->missing_count;
    uint32_t *saved = NULL;
    if (before) { /* so that what it misses is known apart from what others missed */
        if (!(saved = venv_cel_alloc(context, node, before * sizeof *saved)))
            return X_FATAL;
        for (uint32_t i = 0; i < before; i++)
            saved[i] = context->missing[i].read;
        context->missing_count = 0;
    }
    venv_value value;
    int status = node->u.lazy.init->eval(context, node->u.lazy.init, &value);
    lazy = &context->lazy[local];
    lazy->status = status;
    lazy->error = context->error;
    lazy->missing_count = 0;
    if (status == X_OK)
        context->locals[local] = value;
    if (status == X_UNK && context->missing_count) {
        if (!(lazy->missing = venv_cel_alloc(context, node, context->missing_count * sizeof *lazy->missing)))
            return X_FATAL;
        lazy->missing_count = context->missing_count;
        for (uint32_t i = 0; i < lazy->missing_count; i++)
            lazy->missing[i] = context->missing[i].read;
    }
    context->missing_count = 0;
    for (uint32_t i = 0; i < before; i++)
        venv_cel_missing_add(context, saved[i]);
    return status;
}

int venv_cel_eval_lazy(xctx *context, const xnode *node, venv_value *out)
{
    const xlazy *lazy = &context->lazy[node->u.lazy.local];
    if (lazy->status < 0 && compute_lazy(context, node) == X_FATAL)
        return X_FATAL;
    if (lazy->status == X_OK)
        *out = context->locals[node->u.lazy.local];
    else if (lazy->status == X_ERR)
        context->error = lazy->error;
    else if (lazy->status == X_UNK) {
        for (uint32_t i = 0; i < lazy->missing_count; i++)
            venv_cel_missing_add(context, lazy->missing[i]);
    }
    return lazy->status;
}

/* ---- selection and indexing of computed values ---- */

static const venv_value *select_from(xctx *context, const xnode *node, venv_value *base, venv_value *spare,
                                     int *ret_status)
{
    *ret_status = node->args[0]->eval(context, node->args[0], base);
    if (*ret_status != X_OK)
        return NULL;
    const venv_value *at = select_key(context, node, base, &node->u.value, spare, ret_status);
    if (at && at->w.kind == VENV_OPAQUE && venv_cel_is_marker(at)) {
        *ret_status = venv_cel_unknown_part(context, node);
        return NULL;
    }
    return at;
}

int venv_cel_eval_select(xctx *context, const xnode *node, venv_value *out)
{
    venv_value base, spare;
    int status;
    const venv_value *at = select_from(context, node, &base, &spare, &status);
    if (status != X_OK)
        return status;
    if (!node->flag) {
        if (!at)
            return fail_key(context, node, &node->u.value);
        *out = *at;
        return X_OK;
    }
    if (!at) {
        *out = venv_cel_optional_none();
        return X_OK;
    }
    if (venv_cel_is_optional(&base)) {
        *out = *at;
        return X_OK;
    }
    return venv_cel_optional_of(context, node, at, out);
}

int venv_cel_test_has(xctx *context, const xnode *node)
{
    venv_value base, spare;
    int status;
    const venv_value *at = select_from(context, node, &base, &spare, &status);
    if (status != X_OK)
        return status;
    return at && !(venv_cel_is_optional(&base) && !venv_cel_optional_value(at));
}

static int index_into(xctx *context, const xnode *node, const venv_value *base, const venv_value *key, bool optional,
                      venv_value *out)
{
    int status;
    const venv_value *at = venv_cel_lookup(context, node, base, key, &status);
    if (status != X_OK)
        return status;
    if (at && venv_cel_is_marker(at))
        return venv_cel_unknown_part(context, node);
    if (optional) {
        if (at)
            return venv_cel_optional_of(context, node, at, out);
        *out = venv_cel_optional_none();
        return X_OK;
    }
    if (!at)
        return venv_cel_fail_value(context, node,
                               base->w.kind == VENV_LIST ? "the index is out of bounds: " : "no such key: ", key);
    *out = *at;
    return X_OK;
}

/* Both are evaluated even where the first is unknown, so that the result names all that is missing. */
static int eval_two(xctx *context, const xnode *node, venv_value *a, venv_value *b)
{
    int first = node->args[0]->eval(context, node->args[0], a);
    if (__builtin_expect(first == X_OK, 1))
        return node->args[1]->eval(context, node->args[1], b);
    if (first == X_FATAL)
        return first;
    xerror error = context->error;
    int second = node->args[1]->eval(context, node->args[1], b);
    if (second == X_FATAL || second == X_UNK || first == X_UNK)
        return second == X_FATAL ? second : X_UNK;
    context->error = error;
    return first;
}

int venv_cel_eval_index(xctx *context, const xnode *node, venv_value *out)
{
    venv_value base, key;
    int status = eval_two(context, node, &base, &key);
    if (status != X_OK)
        return status;
    if (!venv_cel_is_optional(&base))
        return index_into(context, node, &base, &key, node->flag, out);
    const venv_value *inner = venv_cel_optional_value(&base);
    if (!inner) {
        *out = base;
        return X_OK;
    }
    return index_into(context, node, inner, &key, true, out);
}

/* ---- operators ---- */

int venv_cel_eval_binary(xctx *context, const xnode *node, venv_value *out)
{
    venv_value a, b;
    int status = eval_two(context, node, &a, &b);
    return status == X_OK ? venv_cel_binary(context, node, (ast_op)node->op, &a, &b, out) : status;
}

int venv_cel_eval_negate(xctx *context, const xnode *node, venv_value *out)
{
    venv_value a;
    int status = node->args[0]->eval(context, node->args[0], &a);
    if (status != X_OK)
        return status;
    if (a.w.kind == VENV_DOUBLE) {
        *out = venv_value_double(-a.w.as.d);
        return X_OK;
    }
    if (a.w.kind == VENV_DURATION) {
        venv_value zero = venv_time_make(VENV_DURATION, 0, 0);
        return venv_cel_binary(context, node, OP_SUB, &zero, &a, out);
    }
    if (a.w.kind != VENV_INT)
        return venv_cel_fail_overload(context, node, &a, 1);
    if (a.w.as.i == INT64_MIN)
        return venv_cel_fail(context, node, VENV_EINVAL, "the result does not fit 64 bits");
    *out = venv_value_int(-a.w.as.i);
    return X_OK;
}

int venv_cel_test_not(xctx *context, const xnode *node)
{
    int status = node->args[0]->test(context, node->args[0]);
    return status <= X_TRUE ? !status : status;
}

int venv_cel_test_in(xctx *context, const xnode *node)
{
    venv_value item, container;
    int status = eval_two(context, node, &item, &container);
    return status == X_OK ? venv_cel_in(context, node, &item, &container) : status;
}

static int compare_values(xctx *context, const xnode *node, const venv_value *a, const venv_value *b)
{
    if (node->op == OP_EQ || node->op == OP_NE) {
        int status = venv_cel_equal(context, node, a, b);
        return status <= X_TRUE ? status == (node->op == OP_EQ) : status;
    }
    int order;
    if (expr_charge_texts(context, node, a, b) != X_OK)
        return X_FATAL;
    if (!venv_cel_compare(a, b, &order)) {
        venv_value args[2] = { *a, *b };
        return venv_cel_fail_overload(context, node, args, 2);
    }
    return (node->mask >> (order == 2 ? 3 : order + 1)) & 1;
}

int venv_cel_test_compare(xctx *context, const xnode *node)
{
    venv_value a, b;
    int status = eval_two(context, node, &a, &b);
    return status == X_OK ? compare_values(context, node, &a, &b) : status;
}

/*
 * The comparisons that triggers are made of. The left side is a reference (args[0]), the right side a
 * constant; anything unexpected goes the general way, which needs the operands in their places: a
 * constant that was written on the left was exchanged when it was compiled, and the mask with it.
 */
static int compare_slow(xctx *context, const xnode *node)
{
    venv_value a;
    int status = node->args[0]->eval(context, node->args[0], &a);
    return status == X_OK ? compare_values(context, node, &a, &node->u.cmp.value) : status;
}

static inline const venv_value *slot_ref(const xctx *context, const xnode *node)
{
    return node->u.cmp.index < context->slot_count ? &context->slots[node->u.cmp.index] : NULL;
}

static inline const venv_value *local_ref(const xctx *context, const xnode *node)
{
    return &context->locals[node->u.cmp.index];
}

static inline const venv_value *field_ref(const xctx *context, const xnode *node)
{
    const venv_value *base = &context->locals[node->u.cmp.index];
    if (__builtin_expect(base->w.kind != VENV_MAP, 0))
        return NULL;
    return expr_find_key(base->w.as.object, node->u.cmp.key, &context->sites[node->site]);
}

static inline int compare_int(xctx *context, const xnode *node, const venv_value *value)
{
    if (__builtin_expect(!value || value->w.kind != VENV_INT, 0))
        return compare_slow(context, node);
    return expr_mask_int(node->mask, value->w.as.i, node->u.cmp.value.w.as.i);
}

static inline int compare_double(xctx *context, const xnode *node, const venv_value *value)
{
    if (__builtin_expect(!value || value->w.kind != VENV_DOUBLE, 0))
        return compare_slow(context, node);
    return expr_mask_double(node->mask, value->w.as.d, node->u.cmp.value.w.as.d);
}

/* Equality with a short text: two words. */
static inline int compare_text(xctx *context, const xnode *node, const venv_value *value)
{
    if (__builtin_expect(!value || value->w.kind != VENV_STRING, 0))
        return compare_slow(context, node);
    bool same = expr_same_words(value, &node->u.cmp.value);
    return (node->mask >> (same ? 1 : 0)) & 1;
}

int venv_cel_test_slot_int(xctx *context, const xnode *node)
{
    return compare_int(context, node, slot_ref(context, node));
}

int venv_cel_test_slot_double(xctx *context, const xnode *node)
{
    return compare_double(context, node, slot_ref(context, node));
}

int venv_cel_test_slot_text(xctx *context, const xnode *node)
{
    return compare_text(context, node, slot_ref(context, node));
}

int venv_cel_test_local_int(xctx *context, const xnode *node)
{
    return compare_int(context, node, local_ref(context, node));
}

int venv_cel_test_local_double(xctx *context, const xnode *node)
{
    return compare_double(context, node, local_ref(context, node));
}

int venv_cel_test_local_text(xctx *context, const xnode *node)
{
    return compare_text(context, node, local_ref(context, node));
}

int venv_cel_test_field_int(xctx *context, const xnode *node)
{
    return compare_int(context, node, field_ref(context, node));
}

int venv_cel_test_field_double(xctx *context, const xnode *node)
{
    return compare_double(context, node, field_ref(context, node));
}

int venv_cel_test_field_text(xctx *context, const xnode *node)
{
    return compare_text(context, node, field_ref(context, node));
}

static const venv_value *attr_or_null(xctx *context, const xnode *node, venv_value *spare, int *ret_status)
{
    const xnode *attr = node->args[0];
    return attr_ref(context, attr, spare, ret_status);
}

int venv_cel_test_attr_int(xctx *context, const xnode *node)
{
    venv_value spare;
    int status;
    const venv_value *value = attr_or_null(context, node, &spare, &status);
    if (!value || status != X_OK)
        return status;
    if (value->w.kind == VENV_INT)
        return expr_mask_int(node->mask, value->w.as.i, node->u.cmp.value.w.as.i);
    return compare_values(context, node, value, &node->u.cmp.value);
}

int venv_cel_test_attr_double(xctx *context, const xnode *node)
{
    venv_value spare;
    int status;
    const venv_value *value = attr_or_null(context, node, &spare, &status);
    if (!value || status != X_OK)
        return status;
    if (value->w.kind == VENV_DOUBLE)
        return expr_mask_double(node->mask, value->w.as.d, node->u.cmp.value.w.as.d);
    return compare_values(context, node, value, &node->u.cmp.value);
}

int venv_cel_test_attr_text(xctx *context, const xnode *node)
{
    venv_value spare;
    int status;
    const venv_value *value = attr_or_null(context, node, &spare, &status);
    if (!value || status != X_OK)
        return status;
    return compare_values(context, node, value, &node->u.cmp.value);
}

/* ---- logic ---- */

/* From the first part that was neither true nor false. */
static int logic_slow(xctx *context, const xnode *node, uint32_t i, int status, int decisive, uint32_t mark)
{
    xabsorb absorb = { .status = X_OK, .missing_mark = mark };
    for (;;) {
        if (status == X_FATAL)
            return status;
        if (status == decisive)
            return expr_absorb_drop(context, &absorb, decisive);
        if (status > X_TRUE)
            expr_absorb(context, &absorb, status);
        if (++i == node->count)
            return expr_absorb_keep(context, &absorb);
        status = node->args[i]->test(context, node->args[i]);
    }
}

int venv_cel_test_and(xctx *context, const xnode *node)
{
    uint32_t mark = context->missing_count;
    for (uint32_t i = 0; i < node->count; i++) {
        int status = node->args[i]->test(context, node->args[i]);
        if (status == 0)
            return 0;
        if (__builtin_expect(status != X_TRUE, 0))
            return logic_slow(context, node, i, status, 0, mark);
    }
    return 1;
}

int venv_cel_test_or(xctx *context, const xnode *node)
{
    uint32_t mark = context->missing_count;
    for (uint32_t i = 0; i < node->count; i++) {
        int status = node->args[i]->test(context, node->args[i]);
        if (status == X_TRUE)
            return 1;
        if (__builtin_expect(status != 0, 0))
            return logic_slow(context, node, i, status, X_TRUE, mark);
    }
    return 0;
}

int venv_cel_eval_cond(xctx *context, const xnode *node, venv_value *out)
{
    int status = node->args[0]->test(context, node->args[0]);
    if (status > X_TRUE)
        return status;
    const xnode *chosen = node->args[status ? 1 : 2];
    return chosen->eval(context, chosen, out);
}

int venv_cel_test_cond(xctx *context, const xnode *node)
{
    int status = node->args[0]->test(context, node->args[0]);
    if (status > X_TRUE)
        return status;
    const xnode *chosen = node->args[status ? 1 : 2];
    return chosen->test(context, chosen);
}

/* ---- lists and maps ---- */

/* Evaluate all; unknown counts for more than an error. */
static int eval_all(xctx *context, const xnode *node, venv_value *values)
{
    xabsorb absorb = expr_absorb_begin(context);
    for (uint32_t i = 0; i < node->count; i++) {
        int status = node->args[i]->eval(context, node->args[i], &values[i]);
        if (__builtin_expect(status == X_OK, 1))
            continue;
        if (status == X_FATAL)
            return status;
        expr_absorb(context, &absorb, status);
    }
    return absorb.status == X_OK ? X_OK : expr_absorb_keep(context, &absorb);
}

/* What `?value` stands for: keep it, leave it out, or an error. */
static int open_optional(xctx *context, const xnode *node, venv_value *value, bool *ret_keep)
{
    if (!venv_cel_is_optional(value))
        return venv_cel_fail_value(context, node, "'?' needs an optional value and found ", value);
    const venv_value *inner = venv_cel_optional_value(value);
    *ret_keep = inner != NULL;
    if (inner)
        *value = *inner;
    return X_OK;
}

int venv_cel_eval_list(xctx *context, const xnode *node, venv_value *out)
{
    struct venv_object *list = venv_cel_container(context, node, VENV_LIST, node->count);
    if (!list)
        return X_FATAL;
    venv_value *items = venv_object_items(list);
    int status = eval_all(context, node, items);
    if (status != X_OK)
        return status;
    if (node->u.marks) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < node->count; i++) {
            bool keep = true;
            if (node->u.marks[i] && (status = open_optional(context, node->args[i], &items[i], &keep)) != X_OK)
                return status;
            if (keep)
                items[kept++] = items[i];
        }
        list->count = kept;
    }
    return venv_cel_finish_list(context, node, list, out);
}

int venv_cel_eval_map(xctx *context, const xnode *node, venv_value *out)
{
    uint32_t count = node->count / 2, kept = 0;
    struct venv_object *map = venv_cel_container(context, node, VENV_MAP, count);
    if (!map)
        return X_FATAL;
    venv_value *items = venv_object_items(map);
    int status = eval_all(context, node, items);
    if (status != X_OK)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        bool keep = true;
        if (node->u.marks && node->u.marks[2 * i] &&
            (status = open_optional(context, node->args[2 * i + 1], &items[2 * i + 1], &keep)) != X_OK)
            return status;
        if (keep) {
            items[2 * kept] = items[2 * i];
            items[2 * kept + 1] = items[2 * i + 1];
            kept++;
        }
    }
    map->count = kept;
    return venv_cel_finish_map(context, node, map, out);
}

/* ---- the well-known messages ---- */

/* In the order of the checker's table. */
enum { MSG_BOOL, MSG_BYTES, MSG_DOUBLE, MSG_FLOAT, MSG_INT32, MSG_INT64, MSG_UINT32, MSG_UINT64, MSG_STRING, MSG_VALUE,
       MSG_LIST, MSG_STRUCT, MSG_TIMESTAMP, MSG_DURATION };

static venv_value message_default(unsigned message)
{
    switch (message) {
    case MSG_BOOL:
        return venv_value_bool(false);
    case MSG_BYTES:
        return venv_text_inline(VENV_BYTES, "", 0);
    case MSG_DOUBLE:
    case MSG_FLOAT:
        return venv_value_double(0);
    case MSG_INT32:
    case MSG_INT64:
        return venv_value_int(0);
    case MSG_UINT32:
    case MSG_UINT64:
        return venv_value_uint(0);
    case MSG_STRING:
        return venv_text_inline(VENV_STRING, "", 0);
    case MSG_LIST:
        return venv_value_empty_list();
    case MSG_STRUCT:
        return venv_value_empty_map();
    case MSG_TIMESTAMP:
        return venv_time_make(VENV_TIMESTAMP, 0, 0);
    case MSG_DURATION:
        return venv_time_make(VENV_DURATION, 0, 0);
    default:
        return venv_value_null();
    }
}

static bool field_is(const xnode *key, const char *name)
{
    venv_str text = venv_text_of(&key->u.value);
    return text.size == strlen(name) && !memcmp(text.data, name, text.size);
}

static bool accept_field(unsigned message, venv_value *value)
{
    venv_value fallback = message_default(message);
    if (message == MSG_VALUE)
        return true;
    if (value->w.kind == VENV_NULL) {
        *value = fallback;
        return true;
    }
    if (value->w.kind == VENV_INT && (message == MSG_DOUBLE || message == MSG_FLOAT))
        *value = venv_value_double((double)value->w.as.i);
    if (value->w.kind != fallback.w.kind)
        return false;
    if (message == MSG_FLOAT)
        *value = venv_value_double((double)(float)value->w.as.d);
    return !(message == MSG_INT32 && (value->w.as.i < INT32_MIN || value->w.as.i > INT32_MAX)) &&
           !(message == MSG_UINT32 && value->w.as.u > UINT32_MAX);
}

static int eval_time_message(xctx *context, const xnode *node, venv_value *out)
{
    int64_t seconds = 0, nanos = 0;
    for (uint32_t i = 0; i < node->count; i += 2) {
        venv_value value;
        int status = node->args[i + 1]->eval(context, node->args[i + 1], &value);
        if (status != X_OK)
            return status;
        bool is_seconds = field_is(node->args[i], "seconds");
        if (value.w.kind != VENV_INT || (!is_seconds && !field_is(node->args[i], "nanos")))
            return venv_cel_fail(context, node->args[i], VENV_EINVAL, "expected the fields seconds and nanos, both int");
        *(is_seconds ? &seconds : &nanos) = value.w.as.i;
    }
    if (nanos <= -VENV_NS_PER_S || nanos >= VENV_NS_PER_S)
        return venv_cel_fail(context, node, VENV_EINVAL, "nanos is out of range");
    venv_rc rc = node->op == MSG_TIMESTAMP ? nanos < 0 ? VENV_ERANGE : venv_value_timestamp(seconds, (uint32_t)nanos, out, NULL)
                                           : venv_value_duration(seconds, (int32_t)nanos, out, NULL);
    return rc == VENV_OK ? X_OK : venv_cel_fail(context, node, VENV_EINVAL, "the time is out of range");
}

int venv_cel_eval_struct(xctx *context, const xnode *node, venv_value *out)
{
    static const char *const value_fields[] = { "null_value", "number_value", "string_value", "bool_value",
                                                "struct_value", "list_value" };
    if (node->op == MSG_TIMESTAMP || node->op == MSG_DURATION)
        return eval_time_message(context, node, out);
    *out = message_default(node->op);
    for (uint32_t i = 0; i < node->count; i += 2) {
        const xnode *key = node->args[i];
        bool known = field_is(key, node->op == MSG_LIST ? "values" : node->op == MSG_STRUCT ? "fields" : "value");
        for (size_t f = 0; node->op == MSG_VALUE && f < sizeof value_fields / sizeof *value_fields; f++)
            known |= field_is(key, value_fields[f]);
        if (!known)
            return venv_cel_fail_detail(context, key, VENV_EINVAL, "the message has no such field: ", venv_text_of(&key->u.value));
        int status = node->args[i + 1]->eval(context, node->args[i + 1], out);
        if (status != X_OK)
            return status;
        if (node->op == MSG_VALUE && field_is(key, "null_value"))
            *out = venv_value_null();
        if (!accept_field(node->op, out))
            return venv_cel_fail_value(context, key, "the field does not take ", out);
    }
    return X_OK;
}

/* ---- calls ---- */

static bool fits(const expr_overload *overload, const venv_value *args, uint32_t count)
{
    if (overload->variadic ? count < overload->arg_count : count != overload->arg_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t formal = i < overload->arg_count ? i : overload->arg_count - 1u;
        uint32_t mask = overload->masks[formal];
        if (mask != UINT32_MAX && !(mask & venv_cel_mask_of(&args[i])))
            return false;
    }
    return true;
}

/* The answer of an added function belongs to the context until the next evaluation. */
static int keep_answer(xctx *context, const xnode *node, const expr_overload *overload, venv_value *answer,
                       venv_value *out)
{
    if (!venv_cel_keep_owned(context, answer))
        return venv_cel_fail(context, node, VENV_ENOMEM, "out of memory");
    if (venv_cel_is_marker(answer))
        return unknown(context, node->u.call.read);
    if (overload->result_mask != UINT32_MAX && !(overload->result_mask & venv_cel_mask_of(answer)))
        return venv_cel_fail_detail(context, node, VENV_EINVAL, "a function did not keep to its signature: ",
                                (venv_str){ overload->signature, strlen(overload->signature) });
    *out = *answer;
    return X_OK;
}

static int call_added(xctx *context, const xnode *node, const expr_overload *overload, const venv_value *args,
                      uint32_t count, venv_value *out)
{
    if (expr_charge(context, node, overload->cost) != X_OK)
        return X_FATAL;
    venv_expr_call call = { .args = args, .arg_count = count, .user = overload->user, .data = context->input->data,
                            .context = context };
    venv_value answer = venv_value_null();
    venv_error error = { .rc = VENV_OK };
    venv_rc rc = overload->call(&call, &answer, &error);
    if (context->cost > context->cost_max) {
        if (rc == VENV_OK)
            venv_value_unref(&answer);
        return venv_cel_fail_cost(context, node);
    }
    if (rc == VENV_OK)
        return keep_answer(context, node, overload, &answer, out);
    if (rc == VENV_EUNKNOWN)
        return unknown(context, node->u.call.read);
    size_t size = strlen(error.text);
    char *text = venv_cel_alloc(context, node, size + 1);
    if (!text)
        return X_FATAL;
    memcpy(text, error.text, size + 1);
    const char *what = size ? text : "the function failed";
    return venv_cel_fail(context, node, rc, what);
}

#define ARGS_ON_STACK 4u

static const venv_str *name_of_call(const xnode *node)
{
    return &node->u.call.overloads->name;
}

/* The first overload that can take the arguments. */
static int call_overload(xctx *context, const xnode *node, const venv_value *args, venv_value *out)
{
    uint64_t candidates = node->u.call.candidates;
    for (const expr_overload *at = node->u.call.overloads; candidates; at = at->next, candidates >>= 1) {
        if (!(candidates & 1) || !fits(at, args, node->count))
            continue;
        if (at->builtin)
            return at->builtin(context, node, args, node->count, out);
        return call_added(context, node, at, args, node->count, out);
    }
    return venv_cel_fail_overload(context, node, args, node->count);
}

int venv_cel_eval_call(xctx *context, const xnode *node, venv_value *out)
{
    venv_value small[ARGS_ON_STACK];
    venv_value *args = small;
    if (node->count > ARGS_ON_STACK && !(args = venv_cel_alloc(context, node, node->count * sizeof *args)))
        return X_FATAL;
    int status = eval_all(context, node, args);
    return status == X_OK ? call_overload(context, node, args, out) : status;
}

/* ---- shared parts and optionals ---- */

int venv_cel_eval_or_value(xctx *context, const xnode *node, venv_value *out)
{
    venv_value args[2];
    int status = node->args[0]->eval(context, node->args[0], &args[0]);
    if (status != X_OK)
        return status;
    if (venv_cel_is_optional(&args[0]) && venv_cel_optional_value(&args[0])) {
        bool value = name_of_call(node)->size == strlen("orValue");
        *out = value ? *venv_cel_optional_value(&args[0]) : args[0];
        return X_OK;
    }
    status = node->args[1]->eval(context, node->args[1], &args[1]);
    return status == X_OK ? call_overload(context, node, args, out) : status;
}

/* u.fold.local is the first of u.fold.round_cost shared parts. */
static void reset_parts(xctx *context, const xnode *node)
{
    for (uint32_t i = 0; i < node->u.fold.round_cost; i++)
        context->lazy[node->u.fold.local + i].status = -1;
}

int venv_cel_eval_bind(xctx *context, const xnode *node, venv_value *out)
{
    reset_parts(context, node);
    return node->u.fold.body->eval(context, node->u.fold.body, out);
}

int venv_cel_test_bind(xctx *context, const xnode *node)
{
    reset_parts(context, node);
    return node->u.fold.body->test(context, node->u.fold.body);
}

int venv_cel_eval_opt_map(xctx *context, const xnode *node, venv_value *out)
{
    venv_value optional, body;
    int status = node->args[0]->eval(context, node->args[0], &optional);
    if (status != X_OK)
        return status;
    if (!venv_cel_is_optional(&optional))
        return venv_cel_fail_value(context, node, "this needs an optional value and found ", &optional);
    const venv_value *inner = venv_cel_optional_value(&optional);
    if (!inner) {
        *out = optional;
        return X_OK;
    }
    context->locals[node->u.fold.local] = *inner;
    status = node->u.fold.body->eval(context, node->u.fold.body, &body);
    if (status != X_OK)
        return status;
    if (!node->flag)
        return venv_cel_optional_of(context, node, &body, out);
    if (!venv_cel_is_optional(&body))
        return venv_cel_fail_value(context, node, "optFlatMap needs an optional result and found ", &body);
    *out = body;
    return X_OK;
}
