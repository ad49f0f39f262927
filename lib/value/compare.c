/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Equality by CEL's rules and a total order that agrees with it. Containers recurse no deeper than
 * VENV_VALUE_DEPTH_MAX, because none is built deeper.
 */
#include "value/object.h"

#include <math.h>

static bool is_number(const venv_value *value)
{
    return value->w.kind == VENV_INT || value->w.kind == VENV_UINT || value->w.kind == VENV_DOUBLE;
}

static int compare_int_double(int64_t i, double d)
{
    if (d >= 0x1p63)
        return -1;
    if (d < -0x1p63)
        return 1;
    int64_t whole = (int64_t)d;
    if (i != whole)
        return i < whole ? -1 : 1;
    double fraction = d - (double)whole; /* exact: beyond 2^53 there is none */
    return fraction > 0 ? -1 : fraction < 0;
}

static int compare_uint_double(uint64_t u, double d)
{
    if (d >= 0x1p64)
        return -1;
    if (d < 0)
        return 1;
    uint64_t whole = (uint64_t)d;
    if (u != whole)
        return u < whole ? -1 : 1;
    return d - (double)whole > 0 ? -1 : 0;
}

static int compare_to_double(const venv_value *a, double d)
{
    if (isnan(d))
        return a->w.kind == VENV_DOUBLE && isnan(a->w.as.d) ? 0 : 1;
    if (a->w.kind == VENV_INT)
        return compare_int_double(a->w.as.i, d);
    if (a->w.kind == VENV_UINT)
        return compare_uint_double(a->w.as.u, d);
    if (isnan(a->w.as.d))
        return -1;
    return a->w.as.d < d ? -1 : a->w.as.d > d;
}

int venv_number_compare(const venv_value *a, const venv_value *b)
{
    if (b->w.kind == VENV_DOUBLE)
        return compare_to_double(a, b->w.as.d);
    if (a->w.kind == VENV_DOUBLE)
        return -compare_to_double(b, a->w.as.d);
    bool a_negative = a->w.kind == VENV_INT && a->w.as.i < 0;
    bool b_negative = b->w.kind == VENV_INT && b->w.as.i < 0;
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    /* Of one sign, two's complement has the order of the numbers. */
    return a->w.as.u < b->w.as.u ? -1 : a->w.as.u > b->w.as.u;
}

static bool equal_text(const venv_value *a, const venv_value *b)
{
    venv_str x = venv_text_of(a), y = venv_text_of(b);
    return x.size == y.size && (x.data == y.data || memcmp(x.data, y.data, x.size) == 0);
}

static bool equal_lists(const struct venv_object *a, const struct venv_object *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!venv_value_equal(&venv_object_items(a)[i], &venv_object_items(b)[i]))
            return false;
    return true;
}

/* Equal keys mostly stand at the same place; not where one map has 1 and the other 1u. */
static bool equal_maps(const struct venv_object *a, const struct venv_object *b)
{
    if (a->count != b->count)
        return false;
    const venv_value *left = venv_object_items(a), *right = venv_object_items(b);
    for (size_t i = 0; i < a->count; i++, left += 2, right += 2) {
        const venv_value *other =
            venv_key_compare(&left[0], &right[0]) == 0 ? &right[1] : venv_map_find(b, &left[0]);
        if (!other || !venv_value_equal(&left[1], other))
            return false;
    }
    return true;
}

static bool equal_opaque(const struct venv_object *a, const struct venv_object *b)
{
    const venv_opaque_class *class = ((const struct venv_opaque *)a)->class;
    return class == ((const struct venv_opaque *)b)->class && class->equal(a, b);
}

bool venv_value_equal(const venv_value *a, const venv_value *b)
{
    if (a->w.kind != b->w.kind) {
        if (!is_number(a) || !is_number(b))
            return false;
        if ((a->w.kind == VENV_DOUBLE && isnan(a->w.as.d)) || (b->w.kind == VENV_DOUBLE && isnan(b->w.as.d)))
            return false;
        return venv_number_compare(a, b) == 0;
    }
    switch (a->w.kind) {
    case VENV_NULL:
        return true;
    case VENV_BOOL:
    case VENV_INT:
    case VENV_UINT:
        return a->w.as.u == b->w.as.u;
    case VENV_DOUBLE:
        return a->w.as.d == b->w.as.d;
    case VENV_TIMESTAMP:
    case VENV_DURATION:
        return a->w.as.i == b->w.as.i && a->w.extra == b->w.extra;
    case VENV_LIST:
        return equal_lists(a->w.as.object, b->w.as.object);
    case VENV_MAP:
        return equal_maps(a->w.as.object, b->w.as.object);
    case VENV_OPAQUE:
        return equal_opaque(a->w.as.object, b->w.as.object);
    default:
        return equal_text(a, b);
    }
}

static int compare_text(const venv_value *a, const venv_value *b)
{
    venv_str x = venv_text_of(a), y = venv_text_of(b);
    size_t common = x.size < y.size ? x.size : y.size;
    int order = common ? memcmp(x.data, y.data, common) : 0;
    return order ? order : x.size < y.size ? -1 : x.size > y.size;
}

static int compare_lists(const struct venv_object *a, const struct venv_object *b)
{
    size_t common = a->count < b->count ? a->count : b->count;
    for (size_t i = 0; i < common; i++) {
        int order = venv_value_compare(&venv_object_items(a)[i], &venv_object_items(b)[i]);
        if (order)
            return order;
    }
    return a->count < b->count ? -1 : a->count > b->count;
}

/*
 * Entries in an order that does not tell 1 from 1u: both kinds of number merged, then the rest as it
 * stands. Without it, maps that are equal would not compare as equal.
 */
typedef struct merged {
    const venv_value *items;
    size_t count, plain, plain_end, marked, marked_end, at;
} merged;

static bool is_marked(const venv_value *key)
{
    return key->w.kind == VENV_UINT && key->w.as.u <= (uint64_t)INT64_MAX;
}

static bool is_plain(const venv_value *key)
{
    return (key->w.kind == VENV_INT && key->w.as.i >= 0) || (key->w.kind == VENV_UINT && !is_marked(key));
}

static merged merge_start(const struct venv_object *map)
{
    merged m = { .items = venv_object_items(map), .count = map->count };
    if (map->flags & VENV_OBJECT_TEXT_KEYS)
        return m;
    while (m.plain_end < m.count && is_plain(&m.items[2 * m.plain_end]))
        m.plain_end++;
    m.at = m.marked = m.plain_end;
    while (m.marked < m.count && !is_marked(&m.items[2 * m.marked]))
        m.marked++;
    m.marked_end = m.marked;
    while (m.marked_end < m.count && is_marked(&m.items[2 * m.marked_end]))
        m.marked_end++;
    return m;
}

static const venv_value *merge_next(merged *m)
{
    if (m->plain < m->plain_end || m->marked < m->marked_end) {
        bool first = m->plain < m->plain_end &&
                     (m->marked == m->marked_end ||
                      m->items[2 * m->plain].w.as.u < m->items[2 * m->marked].w.as.u);
        return &m->items[2 * (first ? m->plain++ : m->marked++)];
    }
    while (m->at < m->count && is_marked(&m->items[2 * m->at]))
        m->at++;
    return m->at < m->count ? &m->items[2 * m->at++] : NULL;
}

static int compare_maps(const struct venv_object *a, const struct venv_object *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    merged left = merge_start(a), right = merge_start(b);
    for (size_t i = 0; i < a->count; i++) {
        const venv_value *x = merge_next(&left), *y = merge_next(&right);
        int order = venv_value_compare(&x[0], &y[0]);
        if (!order)
            order = venv_value_compare(&x[1], &y[1]);
        if (order)
            return order;
    }
    return 0;
}

static int compare_opaque(const struct venv_object *a, const struct venv_object *b)
{
    const venv_opaque_class *x = ((const struct venv_opaque *)a)->class;
    const venv_opaque_class *y = ((const struct venv_opaque *)b)->class;
    return x == y ? x->compare(a, b) : strcmp(x->type_name, y->type_name);
}

int venv_value_compare(const venv_value *a, const venv_value *b)
{
    if (is_number(a) && is_number(b))
        return venv_number_compare(a, b);
    if (a->w.kind != b->w.kind)
        return a->w.kind < b->w.kind ? -1 : 1;
    switch (a->w.kind) {
    case VENV_NULL:
        return 0;
    case VENV_BOOL:
        return (int)a->w.as.u - (int)b->w.as.u;
    case VENV_TIMESTAMP:
    case VENV_DURATION:
        if (a->w.as.i != b->w.as.i)
            return a->w.as.i < b->w.as.i ? -1 : 1;
        return a->w.extra < b->w.extra ? -1 : a->w.extra > b->w.extra;
    case VENV_LIST:
        return a->w.as.object == b->w.as.object ? 0 : compare_lists(a->w.as.object, b->w.as.object);
    case VENV_MAP:
        return a->w.as.object == b->w.as.object ? 0 : compare_maps(a->w.as.object, b->w.as.object);
    case VENV_OPAQUE:
        return compare_opaque(a->w.as.object, b->w.as.object);
    default:
        return compare_text(a, b);
    }
}
