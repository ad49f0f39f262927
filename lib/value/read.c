/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading lists and maps.
 */
#include "value/object.h"

size_t venv_value_count(const venv_value *value)
{
    return value && (value->w.kind == VENV_LIST || value->w.kind == VENV_MAP) ? value->w.as.object->count : 0;
}

const venv_value *venv_value_at(const venv_value *list, size_t index)
{
    if (!list || list->w.kind != VENV_LIST || index >= list->w.as.object->count)
        return NULL;
    return &venv_object_items(list->w.as.object)[index];
}

const venv_value *venv_value_find(const venv_value *map, const venv_value *key)
{
    return map->w.kind == VENV_MAP ? venv_map_find(map->w.as.object, key) : NULL;
}

const venv_value *venv_value_get(const venv_value *map, const char *key)
{
    return map && map->w.kind == VENV_MAP ? venv_map_find_text(map->w.as.object, key, strlen(key)) : NULL;
}

bool venv_value_entry(const venv_value *map, size_t index, const venv_value **ret_key,
                      const venv_value **ret_value)
{
    if (!map || map->w.kind != VENV_MAP || index >= map->w.as.object->count)
        return false;
    const venv_value *entry = venv_object_items(map->w.as.object) + 2 * index;
    if (ret_key)
        *ret_key = &entry[0];
    if (ret_value)
        *ret_value = &entry[1];
    return true;
}

bool venv_value_get_bool(const venv_value *map, const char *key, bool fallback)
{
    const venv_value *value = venv_value_get(map, key);
    return value && value->w.kind == VENV_BOOL ? value->w.as.u != 0 : fallback;
}

int64_t venv_value_get_int(const venv_value *map, const char *key, int64_t fallback)
{
    const venv_value *value = venv_value_get(map, key);
    if (value && value->w.kind == VENV_INT)
        return value->w.as.i;
    if (value && value->w.kind == VENV_UINT && value->w.as.u <= (uint64_t)INT64_MAX)
        return value->w.as.i;
    return fallback;
}

venv_str venv_value_get_text(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    return value && value->w.kind == VENV_STRING ? venv_text_of(value) : (venv_str){ "", 0 };
}

bool venv_value_get_id(const venv_value *map, const char *key, venv_id *ret_id)
{
    const venv_value *value = venv_value_get(map, key);
    return value && venv_value_to_id(value, ret_id);
}
