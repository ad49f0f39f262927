/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps: the order of their keys, sorting, and finding.
 *
 * A key's class is its place in the order of encodings (venv/codec.h): the first byte decides
 * between classes, the rest within one.
 */
#include "value/object.h"

enum {
    CLASS_INT,      /* ints from 0 up, uints beyond the ints */
    CLASS_NEGATIVE, /* ints from -1 down */
    CLASS_STRING,
    CLASS_UINT, /* uints that an int could hold */
    CLASS_BOOL,
};

static int class_of(const venv_value *key)
{
    switch (key->w.kind) {
    case VENV_STRING:
        return CLASS_STRING;
    case VENV_INT:
        return key->w.as.i < 0 ? CLASS_NEGATIVE : CLASS_INT;
    case VENV_UINT:
        return key->w.as.u > (uint64_t)INT64_MAX ? CLASS_INT : CLASS_UINT;
    default:
        return CLASS_BOOL;
    }
}

static int compare_words(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_text(venv_str a, venv_str b)
{
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size ? memcmp(a.data, b.data, a.size) : 0;
}

int venv_key_compare(const venv_value *a, const venv_value *b)
{
    if (a->w.form == VENV_FORM_INLINE && b->w.form == VENV_FORM_INLINE) {
        uint64_t x[2], y[2];
        memcpy(x, a, sizeof x);
        memcpy(y, b, sizeof y);
        int first = compare_words(venv_word_order(x[0]), venv_word_order(y[0]));
        return first ? first : compare_words(venv_word_order(x[1]), venv_word_order(y[1]));
    }
    int class = class_of(a), other = class_of(b);
    if (class != other)
        return class < other ? -1 : 1;
    if (class == CLASS_STRING)
        return compare_text(venv_text_of(a), venv_text_of(b));
    if (class == CLASS_NEGATIVE)
        return compare_words(~a->w.as.u, ~b->w.as.u);
    return compare_words(a->w.as.u, b->w.as.u);
}

/* The first place whose key is not before `key`. */
static size_t lower_bound(const struct venv_object *map, const venv_value *key)
{
    const venv_value *items = venv_object_items(map);
    size_t first = 0, rest = map->count;
    while (rest) {
        size_t half = rest / 2;
        if (venv_key_compare(&items[2 * (first + half)], key) < 0) {
            first += half + 1;
            rest -= half + 1;
        } else {
            rest = half;
        }
    }
    return first;
}

static const venv_value *find_exact(const struct venv_object *map, const venv_value *key)
{
    size_t place = lower_bound(map, key);
    const venv_value *items = venv_object_items(map);
    if (place == map->count || venv_key_compare(&items[2 * place], key) != 0)
        return NULL;
    return &items[2 * place + 1];
}

/* A number may be in the map as an int or as a uint. */
static const venv_value *find_number(const struct venv_object *map, const venv_value *key)
{
    venv_value as_int = *key;
    if (key->w.kind == VENV_DOUBLE) {
        double d = key->w.as.d;
        if (d >= -0x1p63 && d < 0x1p63 && (double)(int64_t)d == d)
            as_int = venv_value_int((int64_t)d);
        else if (d >= 0x1p63 && d < 0x1p64) /* all of them are whole */
            as_int = venv_value_uint((uint64_t)d);
        else
            return NULL;
    } else if (key->w.as.u <= (uint64_t)INT64_MAX) {
        as_int = venv_value_int(key->w.as.i);
    }
    const venv_value *found = find_exact(map, &as_int);
    if (!found && as_int.w.kind == VENV_INT && as_int.w.as.i >= 0) {
        venv_value as_uint = venv_value_uint(as_int.w.as.u);
        found = find_exact(map, &as_uint);
    }
    return found;
}

const venv_value *venv_map_find(const struct venv_object *map, const venv_value *key)
{
    switch (key->w.kind) {
    case VENV_STRING:
        if (key->w.form == VENV_FORM_INLINE && (map->flags & VENV_OBJECT_TEXT_KEYS))
            return venv_map_find_string(map, key);
        return find_exact(map, key);
    case VENV_BOOL:
        return find_exact(map, key);
    case VENV_INT:
    case VENV_UINT:
    case VENV_DOUBLE:
        return find_number(map, key);
    default:
        return NULL;
    }
}

const venv_value *venv_map_find_text(const struct venv_object *map, const char *text, size_t size)
{
    if (size > VENV_VALUE_SIZE_MAX)
        return NULL;
    venv_value key = venv_text_borrow(VENV_STRING, text, size);
    return venv_map_find(map, &key);
}

typedef struct entry {
    venv_value key, value;
} entry;

static void sink(entry *entries, size_t at, size_t count)
{
    entry moved = entries[at];
    for (size_t child = 2 * at + 1; child < count; at = child, child = 2 * at + 1) {
        if (child + 1 < count && venv_key_compare(&entries[child].key, &entries[child + 1].key) < 0)
            child++;
        if (venv_key_compare(&moved.key, &entries[child].key) >= 0)
            break;
        entries[at] = entries[child];
    }
    entries[at] = moved;
}

/* In place, with no bad case and no memory. */
static void heap_sort(entry *entries, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sink(entries, i, count);
    for (size_t end = count; end-- > 1;) {
        entry last = entries[end];
        entries[end] = entries[0];
        entries[0] = last;
        sink(entries, 0, end);
    }
}

static void insertion_sort(entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        entry moved = entries[i];
        size_t at = i;
        for (; at > 0 && venv_key_compare(&entries[at - 1].key, &moved.key) > 0; at--)
            entries[at] = entries[at - 1];
        entries[at] = moved;
    }
}

/* The same number as int and as uint is one key. Both kinds in one map are rare. */
static bool find_twin(const struct venv_object *map, size_t *ret_place)
{
    if (map->flags & VENV_OBJECT_TEXT_KEYS)
        return false;
    const venv_value *items = venv_object_items(map);
    for (size_t i = 0; i < map->count; i++) {
        const venv_value *key = &items[2 * i];
        if (key->w.kind != VENV_UINT || key->w.as.u > (uint64_t)INT64_MAX)
            continue;
        venv_value as_int = venv_value_int(key->w.as.i);
        if (find_exact(map, &as_int)) {
            *ret_place = i;
            return true;
        }
    }
    return false;
}

venv_rc venv_map_sort(struct venv_object *map, size_t *ret_place)
{
    entry *entries = (entry *)venv_object_items(map);
    size_t place = 0, *at = ret_place ? ret_place : &place;
    for (int pass = 0;; pass++) {
        size_t i = 1;
        int order = -1;
        while (i < map->count && (order = venv_key_compare(&entries[i - 1].key, &entries[i].key)) < 0)
            i++;
        if (i >= map->count)
            break;
        if (pass > 0 || order == 0) {
            *at = i;
            return VENV_EEXIST;
        }
        if (map->count <= 32)
            insertion_sort(entries, map->count);
        else
            heap_sort(entries, map->count);
    }
    return find_twin(map, at) ? VENV_EEXIST : VENV_OK;
}
