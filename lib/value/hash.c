/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keyed hash that agrees with equality: a number hashes by its value, whatever its kind, and a map
 * by its entries, whatever their order.
 */
#include "value/object.h"

#include "base/table.h"

#include <math.h>

/* What is hashed of a value without text: a mark for its kind and up to two words. */
static uint64_t hash_words(uint64_t mark, uint64_t first, uint64_t second, uint64_t seed)
{
    uint64_t words[3] = { mark, first, second };
    return venv_hash_bytes(words, sizeof words, seed);
}

static uint64_t hash_number(const venv_value *value, uint64_t seed)
{
    if (value->w.kind == VENV_UINT)
        return hash_words(VENV_INT, value->w.as.u, 0, seed);
    if (value->w.kind == VENV_INT)
        return hash_words(VENV_INT, value->w.as.u, value->w.as.i < 0, seed);
    double d = value->w.as.d;
    if (d >= -0x1p63 && d < 0 && (double)(int64_t)d == d)
        return hash_words(VENV_INT, (uint64_t)(int64_t)d, 1, seed);
    if (d >= 0 && d < 0x1p64 && (double)(uint64_t)d == d) /* -0.0 as well */
        return hash_words(VENV_INT, (uint64_t)d, 0, seed);
    uint64_t bits = 0;
    if (!isnan(d))
        memcpy(&bits, &d, sizeof bits);
    return hash_words(VENV_DOUBLE, bits, 0, seed);
}

static uint64_t hash_list(const struct venv_object *list, uint64_t seed)
{
    uint64_t hash = hash_words(VENV_LIST, list->count, 0, seed);
    for (size_t i = 0; i < list->count; i++)
        hash = hash_words(VENV_LIST, hash, venv_value_hash(&venv_object_items(list)[i], seed), seed);
    return hash;
}

static uint64_t hash_map(const struct venv_object *map, uint64_t seed)
{
    uint64_t sum = 0;
    const venv_value *entry = venv_object_items(map);
    for (size_t i = 0; i < map->count; i++, entry += 2)
        sum += hash_words(VENV_MAP, venv_value_hash(&entry[0], seed), venv_value_hash(&entry[1], seed), seed);
    return hash_words(VENV_MAP, sum, map->count, seed);
}

uint64_t venv_value_hash(const venv_value *value, uint64_t seed)
{
    switch (value->w.kind) {
    case VENV_NULL:
    case VENV_BOOL:
        return hash_words(value->w.kind, value->w.as.u, 0, seed);
    case VENV_INT:
    case VENV_UINT:
    case VENV_DOUBLE:
        return hash_number(value, seed);
    case VENV_TIMESTAMP:
    case VENV_DURATION:
        return hash_words(value->w.kind, value->w.as.u, value->w.extra, seed);
    case VENV_LIST:
        return hash_list(value->w.as.object, seed);
    case VENV_MAP:
        return hash_map(value->w.as.object, seed);
    case VENV_OPAQUE:
        return ((const struct venv_opaque *)value->w.as.object)->class->hash(value->w.as.object, seed);
    default: {
        venv_str text = venv_text_of(value);
        return venv_hash_bytes(text.data, text.size, seed ^ value->w.kind);
    }
    }
}
