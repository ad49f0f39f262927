/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks: a tree of places that has the shape of the value, so that whoever walks a configuration can
 * say where something stands. See venv/codec.h.
 */
#include "codec/marks.h"

#include "value/object.h"

#include <stdlib.h>

void venv_yaml_marks_free(venv_yaml_marks *marks)
{
    if (!marks)
        return;
    venv_arena_fini(&marks->arena);
    free(marks);
}

const venv_mark *venv_yaml_marks_root(const venv_yaml_marks *marks)
{
    return marks ? &marks->root : NULL;
}

const venv_mark *venv_mark_at(const venv_mark *mark, size_t index)
{
    return mark && index < mark->count ? &mark->items[index] : NULL;
}

/* Place of a value within its map. */
static const venv_mark *mark_of(const venv_mark *mark, const venv_value *map, const venv_value *found)
{
    if (!found)
        return NULL;
    return venv_mark_at(mark, (size_t)(found - venv_object_items(map->w.as.object)) / 2);
}

const venv_mark *venv_mark_get(const venv_mark *mark, const venv_value *map, const char *key)
{
    return mark && map->w.kind == VENV_MAP ? mark_of(mark, map, venv_value_get(map, key)) : NULL;
}

/* One step "[12]". */
static bool take_index(const char **path, size_t *ret_index)
{
    const char *at = *path + 1;
    size_t index = 0;
    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (index > VENV_VALUE_SIZE_MAX)
            return false;
        index = index * 10 + (size_t)(*at - '0');
    }
    if (*at != ']')
        return false;
    *path = at + 1;
    *ret_index = index;
    return true;
}

const venv_mark *venv_mark_find(const venv_mark *mark, const venv_value *value, const char *path)
{
    while (mark && *path) {
        size_t index;
        if (*path == '[') {
            if (!take_index(&path, &index))
                return NULL;
            value = venv_value_at(value, index);
            mark = value ? venv_mark_at(mark, index) : NULL;
            continue;
        }
        if (*path == '.')
            path++;
        size_t size = strcspn(path, ".[");
        if (size == 0 || value->w.kind != VENV_MAP)
            return NULL;
        const venv_value *found = venv_map_find_text(value->w.as.object, path, size);
        mark = mark_of(mark, value, found);
        value = found;
        path += size;
    }
    return mark;
}

venv_rc venv_mark_blame(const venv_mark *mark, venv_error *err)
{
    if (!err)
        return VENV_EINTERNAL;
    if (mark)
        venv_error_at(err, mark->file, mark->line, mark->column);
    return err->rc;
}
