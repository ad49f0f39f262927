/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators on values: equality, order, arithmetic, membership, look-up. Each accepts any kinds and
 * answers "no such overload" where the language has no meaning for them.
 */
#include "expr/program.h"

#include <math.h>
#include <string.h>

static bool is_number(const venv_value *value)
{
    return value->w.kind == VENV_INT || value->w.kind == VENV_UINT || value->w.kind == VENV_DOUBLE;
}

static int order_of(bool less, bool equal)
{
    return less ? -1 : !equal;
}

static int double_order(double a, double b)
{
    return a < b ? -1 : a > b ? 1 : a == b ? 0 : 2;
}

/* A double beside a 64-bit integer: as cel-go does, after the double is known to be in its range. */
static int double_int_order(double d, int64_t i)
{
    if (d < -0x1p63)
        return -1;
    if (d > 0x1p63)
        return 1;
    return double_order(d, (double)i);
}

static int double_uint_order(double d, uint64_t u)
{
    if (d < 0)
        return -1;
    if (d > 0x1p64)
        return 1;
    return double_order(d, (double)u);
}

static int negate_order(int order)
{
    return order == 2 ? 2 : -order;
}

static int number_order(const venv_value *a, const venv_value *b)
{
    switch (a->w.kind << 4 | b->w.kind) {
    case VENV_INT << 4 | VENV_INT:
        return order_of(a->w.as.i < b->w.as.i, a->w.as.i == b->w.as.i);
    case VENV_UINT << 4 | VENV_UINT:
        return order_of(a->w.as.u < b->w.as.u, a->w.as.u == b->w.as.u);
    case VENV_INT << 4 | VENV_UINT:
        return order_of(a->w.as.i < 0 || a->w.as.u < b->w.as.u, a->w.as.u == b->w.as.u);
    case VENV_UINT << 4 | VENV_INT:
        return negate_order(number_order(b, a));
    case VENV_DOUBLE << 4 | VENV_INT:
        return double_int_order(a->w.as.d, b->w.as.i);
    case VENV_DOUBLE << 4 | VENV_UINT:
        return double_uint_order(a->w.as.d, b->w.as.u);
    case VENV_INT << 4 | VENV_DOUBLE:
    case VENV_UINT << 4 | VENV_DOUBLE:
        return negate_order(number_order(b, a));
    default:
        return double_order(a->w.as.d, b->w.as.d);
    }
}

static int text_order(venv_str a, venv_str b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    if (order)
        return order < 0 ? -1 : 1;
    return order_of(a.size < b.size, a.size == b.size);
}

bool venv_cel_compare(const venv_value *a, const venv_value *b, int *ret_order)
{
    if (is_number(a) && is_number(b)) {
        *ret_order = number_order(a, b);
        return true;
    }
    if (a->w.kind != b->w.kind)
        return false;
    switch (a->w.kind) {
    case VENV_BOOL:
        *ret_order = order_of(a->w.as.u < b->w.as.u, a->w.as.u == b->w.as.u);
        return true;
    case VENV_STRING:
    case VENV_BYTES:
        *ret_order = text_order(venv_text_of(a), venv_text_of(b));
        return true;
    case VENV_TIMESTAMP:
    case VENV_DURATION:
        if (a->w.as.i != b->w.as.i)
            *ret_order = a->w.as.i < b->w.as.i ? -1 : 1;
        else
            *ret_order = order_of(a->w.extra < b->w.extra, a->w.extra == b->w.extra);
        return true;
    default:
        return false;
    }
}

/* ---- equality ---- */

static int equal_lists(xctx *context, const xnode *node, const struct venv_object *a, const struct venv_object *b)
{
    if (a->count != b->count)
        return 0;
    uint32_t mark = context->missing_count;
    int answer = 1;
    for (uint32_t i = 0; i < a->count; i++) {
        int status = venv_cel_equal(context, node, &venv_object_items(a)[i], &venv_object_items(b)[i]);
        if (status == 0)
            context->missing_count = mark; /* unequal, whatever is unknown */
        if (status != X_TRUE && status != X_UNK)
            return status;
        answer = status == X_UNK ? status : answer;
    }
    return answer;
}

static int equal_maps(xctx *context, const xnode *node, const struct venv_object *a, const struct venv_object *b)
{
    if (a->count != b->count)
        return 0;
    uint32_t mark = context->missing_count;
    int answer = 1;
    for (uint32_t i = 0; i < a->count; i++) {
        const venv_value *entry = &venv_object_items(a)[2 * i];
        if (expr_charge_texts(context, node, entry, entry) != X_OK)
            return X_FATAL;
        const venv_value *other = venv_map_find(b, entry);
        int status = other ? venv_cel_equal(context, node, &entry[1], other) : 0;
        if (status == 0)
            context->missing_count = mark; /* unequal, whatever is unknown */
        if (status != X_TRUE && status != X_UNK)
            return status;
        answer = status == X_UNK ? status : answer;
    }
    return answer;
}

static int equal_opaque(xctx *context, const xnode *node, const venv_value *a, const venv_value *b)
{
    if (venv_cel_is_marker(a) || venv_cel_is_marker(b))
        return venv_cel_unknown_part(context, node);
    if (venv_cel_is_optional(a) && venv_cel_is_optional(b)) {
        const venv_value *x = venv_cel_optional_value(a), *y = venv_cel_optional_value(b);
        return x && y ? venv_cel_equal(context, node, x, y) : !x == !y;
    }
    return venv_value_equal(a, b);
}

int venv_cel_equal(xctx *context, const xnode *node, const venv_value *a, const venv_value *b)
{
    if (expr_charge(context, node, 1) != X_OK)
        return X_FATAL;
    if (a->w.kind == VENV_OPAQUE || b->w.kind == VENV_OPAQUE)
        return equal_opaque(context, node, a, b);
    if (is_number(a) && is_number(b))
        return number_order(a, b) == 0;
    if (a->w.kind != b->w.kind)
        return 0;
    switch (a->w.kind) {
    case VENV_NULL:
        return 1;
    case VENV_LIST:
        return equal_lists(context, node, a->w.as.object, b->w.as.object);
    case VENV_MAP:
        return equal_maps(context, node, a->w.as.object, b->w.as.object);
    case VENV_TYPE:
        return text_order(venv_text_of(a), venv_text_of(b)) == 0;
    case VENV_STRING:
    case VENV_BYTES: {
        venv_str x = venv_text_of(a), y = venv_text_of(b);
        if (x.size != y.size)
            return 0;
        if (expr_charge(context, node, x.size / 8) != X_OK)
            return X_FATAL;
        return !x.size || !memcmp(x.data, y.data, x.size);
    }
    default: {
        int order = 0;
        return venv_cel_compare(a, b, &order) && order == 0;
    }
    }
}

/* ---- arithmetic ---- */

static int overflow(xctx *context, const xnode *node)
{
    return venv_cel_fail(context, node, VENV_EINVAL, "the result does not fit 64 bits");
}

static int int_binary(xctx *context, const xnode *node, ast_op op, int64_t a, int64_t b, venv_value *out)
{
    int64_t result = 0;
    bool bad = false;
    switch (op) {
    case OP_ADD:
        bad = __builtin_add_overflow(a, b, &result);
        break;
    case OP_SUB:
        bad = __builtin_sub_overflow(a, b, &result);
        break;
    case OP_MUL:
        bad = __builtin_mul_overflow(a, b, &result);
        break;
    default:
        if (b == 0)
            return venv_cel_fail(context, node, VENV_EINVAL, op == OP_DIV ? "division by zero" : "modulus by zero");
        bad = a == INT64_MIN && b == -1;
        if (!bad)
            result = op == OP_DIV ? a / b : a % b;
        break;
    }
    if (bad)
        return overflow(context, node);
    *out = venv_value_int(result);
    return X_OK;
}

static int uint_binary(xctx *context, const xnode *node, ast_op op, uint64_t a, uint64_t b, venv_value *out)
{
    uint64_t result = 0;
    bool bad = false;
    switch (op) {
    case OP_ADD:
        bad = __builtin_add_overflow(a, b, &result);
        break;
    case OP_SUB:
        bad = __builtin_sub_overflow(a, b, &result);
        break;
    case OP_MUL:
        bad = __builtin_mul_overflow(a, b, &result);
        break;
    default:
        if (b == 0)
            return venv_cel_fail(context, node, VENV_EINVAL, op == OP_DIV ? "division by zero" : "modulus by zero");
        result = op == OP_DIV ? a / b : a % b;
        break;
    }
    if (bad)
        return overflow(context, node);
    *out = venv_value_uint(result);
    return X_OK;
}

static int double_binary(xctx *context, const xnode *node, ast_op op, const venv_value *a, const venv_value *b,
                         venv_value *out)
{
    double x = a->w.as.d, y = b->w.as.d;
    switch (op) {
    case OP_ADD:
        *out = venv_value_double(x + y);
        return X_OK;
    case OP_SUB:
        *out = venv_value_double(x - y);
        return X_OK;
    case OP_MUL:
        *out = venv_value_double(x * y);
        return X_OK;
    case OP_DIV:
        *out = venv_value_double(x / y);
        return X_OK;
    default: {
        venv_value args[2] = { *a, *b };
        return venv_cel_fail_overload(context, node, args, 2);
    }
    }
}

/* Seconds and forward nanoseconds of a sum or difference, in range or not. */
static void add_time(const venv_value *a, const venv_value *b, bool subtract, int64_t *ret_seconds, uint32_t *ret_nanos)
{
    int64_t seconds = subtract ? a->w.as.i - b->w.as.i : a->w.as.i + b->w.as.i;
    int64_t nanos = subtract ? (int64_t)a->w.extra - b->w.extra : (int64_t)a->w.extra + b->w.extra;
    if (nanos < 0) {
        nanos += VENV_NS_PER_S;
        seconds--;
    } else if (nanos >= VENV_NS_PER_S) {
        nanos -= VENV_NS_PER_S;
        seconds++;
    }
    *ret_seconds = seconds;
    *ret_nanos = (uint32_t)nanos;
}

static int time_binary(xctx *context, const xnode *node, ast_op op, const venv_value *a, const venv_value *b,
                       venv_value *out)
{
    int64_t seconds;
    uint32_t nanos;
    bool same = a->w.kind == b->w.kind;
    bool ok = op == OP_SUB ? same || a->w.kind == VENV_TIMESTAMP
                           : op == OP_ADD && (!same || a->w.kind == VENV_DURATION);
    if (!ok) {
        venv_value args[2] = { *a, *b };
        return venv_cel_fail_overload(context, node, args, 2);
    }
    add_time(a, b, op == OP_SUB, &seconds, &nanos);
    if (!same) {
        if (seconds < VENV_TIMESTAMP_SECONDS_MIN || seconds > VENV_TIMESTAMP_SECONDS_MAX)
            return venv_cel_fail(context, node, VENV_EINVAL, "the timestamp is out of range (year 1 to 9999)");
        *out = venv_time_make(VENV_TIMESTAMP, seconds, nanos);
        return X_OK;
    }
    /* The distance of two instants fits 64 bits of nanoseconds: what cel-go's durations hold. */
    int64_t limit = a->w.kind == VENV_TIMESTAMP ? INT64_MAX / VENV_NS_PER_S : VENV_DURATION_SECONDS_MAX;
    if (seconds < -limit || seconds > limit || (seconds == limit && nanos))
        return venv_cel_fail(context, node, VENV_EINVAL, "the duration is out of range");
    *out = venv_time_make(VENV_DURATION, seconds, nanos);
    return X_OK;
}

static int concat_text(xctx *context, const xnode *node, const venv_value *a, const venv_value *b, venv_value *out)
{
    venv_str x = venv_text_of(a), y = venv_text_of(b);
    size_t size = x.size + y.size;
    char small[VENV_VALUE_INLINE_MAX + 1];
    char *text = small;
    if (size > VENV_VALUE_INLINE_MAX) {
        if (size > context->string_size_max)
            return venv_cel_fail(context, node, VENV_ELIMIT, "a string becomes longer than is allowed");
        if (expr_charge(context, node, size / 8) != X_OK || !(text = venv_cel_alloc(context, node, size)))
            return X_FATAL;
    }
    memcpy(text, x.data, x.size);
    memcpy(text + x.size, y.data, y.size);
    *out = venv_text_borrow((venv_kind)a->w.kind, text, size);
    return X_OK;
}

static int concat_lists(xctx *context, const xnode *node, const struct venv_object *a, const struct venv_object *b,
                        venv_value *out)
{
    struct venv_object *list = venv_cel_container(context, node, VENV_LIST, (size_t)a->count + b->count);
    if (!list)
        return X_FATAL;
    memcpy(venv_object_items(list), venv_object_items(a), a->count * sizeof(venv_value));
    memcpy(venv_object_items(list) + a->count, venv_object_items(b), b->count * sizeof(venv_value));
    return venv_cel_finish_list(context, node, list, out);
}

static bool is_time(const venv_value *value)
{
    return value->w.kind == VENV_TIMESTAMP || value->w.kind == VENV_DURATION;
}

static double double_of(const venv_value *value)
{
    return value->w.kind == VENV_INT ? (double)value->w.as.i : value->w.kind == VENV_UINT ? (double)value->w.as.u : value->w.as.d;
}

int venv_cel_binary(xctx *context, const xnode *node, ast_op op, const venv_value *a, const venv_value *b, venv_value *out)
{
    if (is_time(a) && is_time(b))
        return time_binary(context, node, op, a, b, out);
    if (a->w.kind == b->w.kind) {
        switch (a->w.kind) {
        case VENV_INT:
            return int_binary(context, node, op, a->w.as.i, b->w.as.i, out);
        case VENV_UINT:
            return uint_binary(context, node, op, a->w.as.u, b->w.as.u, out);
        case VENV_DOUBLE:
            return double_binary(context, node, op, a, b, out);
        case VENV_STRING:
        case VENV_BYTES:
            if (op == OP_ADD)
                return concat_text(context, node, a, b, out);
            break;
        case VENV_LIST:
            if (op == OP_ADD)
                return concat_lists(context, node, a->w.as.object, b->w.as.object, out);
            break;
        default:
            break;
        }
    }
    if (context->expr->env->options.mixed_numbers && is_number(a) && is_number(b) && (a->w.kind == VENV_DOUBLE || b->w.kind == VENV_DOUBLE)) {
        venv_value x = venv_value_double(double_of(a)), y = venv_value_double(double_of(b));
        return double_binary(context, node, op, &x, &y, out);
    }
    venv_value args[2] = { *a, *b };
    return venv_cel_fail_overload(context, node, args, 2);
}

/* ---- containers ---- */

int venv_cel_in(xctx *context, const xnode *node, const venv_value *item, const venv_value *container)
{
    if (container->w.kind == VENV_MAP)
        return expr_charge_texts(context, node, item, item) == X_OK ? venv_map_find(container->w.as.object, item) != NULL : X_FATAL;
    if (container->w.kind != VENV_LIST) {
        venv_value args[2] = { *item, *container };
        return venv_cel_fail_overload(context, node, args, 2);
    }
    const struct venv_object *list = container->w.as.object;
    uint32_t mark = context->missing_count;
    int answer = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        int status = venv_cel_equal(context, node, item, &venv_object_items(list)[i]);
        if (status == X_TRUE)
            context->missing_count = mark;
        if (status == X_TRUE || status >= X_FATAL)
            return status;
        answer = status == X_UNK ? status : answer;
    }
    return answer;
}

/* A whole number of any kind as a place in a list. */
static bool place_of(const venv_value *index, uint64_t *ret_place)
{
    switch (index->w.kind) {
    case VENV_INT:
        *ret_place = index->w.as.i < 0 ? UINT64_MAX : index->w.as.u;
        return true;
    case VENV_UINT:
        *ret_place = index->w.as.u;
        return true;
    case VENV_DOUBLE:
        if (!(index->w.as.d >= 0 && index->w.as.d < 0x1p32) || floor(index->w.as.d) != index->w.as.d)
            return false;
        *ret_place = (uint64_t)index->w.as.d;
        return true;
    default:
        return false;
    }
}

const venv_value *venv_cel_lookup(xctx *context, const xnode *node, const venv_value *container, const venv_value *key,
                              int *ret_status)
{
    *ret_status = X_OK;
    if (container->w.kind == VENV_MAP) {
        *ret_status = expr_charge_texts(context, node, key, key);
        return *ret_status == X_OK ? venv_map_find(container->w.as.object, key) : NULL;
    }
    if (container->w.kind == VENV_LIST) {
        uint64_t place;
        if (!place_of(key, &place)) {
            *ret_status = venv_cel_fail_value(context, node, "the index of a list must be a whole number: ", key);
            return NULL;
        }
        return place < container->w.as.object->count ? &venv_object_items(container->w.as.object)[place] : NULL;
    }
    venv_value args[2] = { *container, *key };
    *ret_status = venv_cel_fail_overload(context, node, args, 2);
    return NULL;
}

bool venv_cel_is_zero(const venv_value *value)
{
    switch (value->w.kind) {
    case VENV_NULL:
        return true;
    case VENV_BOOL:
    case VENV_INT:
    case VENV_UINT:
        return value->w.as.u == 0;
    case VENV_DOUBLE:
        return value->w.as.d == 0;
    case VENV_STRING:
    case VENV_BYTES:
        return venv_text_of(value).size == 0;
    case VENV_LIST:
    case VENV_MAP:
        return value->w.as.object->count == 0;
    case VENV_DURATION:
    case VENV_TIMESTAMP:
        return value->w.as.i == 0 && value->w.extra == 0;
    case VENV_OPAQUE:
        return venv_cel_is_optional(value) && !venv_cel_optional_value(value);
    default:
        return false;
    }
}
