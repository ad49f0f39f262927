/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building lists and maps. An error sticks in the builder, so that a row of puts needs one check.
 */
#include "value/object.h"

#include "base/text.h"

#include <stdlib.h>

#define CAPACITY_FIRST 8u
#define LEFT_MAX       160u /* bytes that are not worth a call */

/* Room for one more item (or entry of two values). NULL when out of memory or too large. */
static struct venv_object *make_room(struct venv_object *object, venv_kind kind, size_t width, venv_rc *rc)
{
    if (object && object->count < object->u.live.capacity)
        return object;
    size_t capacity = object ? (size_t)object->u.live.capacity * 2 : CAPACITY_FIRST;
    if (capacity > VENV_VALUE_SIZE_MAX / width) {
        *rc = VENV_ELIMIT;
        return NULL;
    }
    struct venv_object *grown = realloc(object, venv_list_size(capacity * width));
    if (!grown) {
        *rc = VENV_ENOMEM;
        return NULL;
    }
    if (!object) {
        venv_object_init(grown, kind, 0);
        grown->u.live.refs = 1;
    }
    grown->u.live.capacity = (uint32_t)capacity;
    return grown;
}

static void drop_object(struct venv_object **object)
{
    if (*object) {
        venv_value whole = venv_value_of_object(*object, VENV_FORM_COUNTED);
        venv_value_unref(&whole);
        *object = NULL;
    }
}

static venv_rc stuck(venv_rc rc, venv_error *err)
{
    switch (rc) {
    case VENV_ENOMEM:
        return venv_error_set(err, rc, "out of memory");
    case VENV_ELIMIT:
        return venv_error_set(err, rc, "the list or map is too large, or nested deeper than %d",
                              VENV_VALUE_DEPTH_MAX);
    case VENV_EKIND:
        return venv_error_set(err, rc, "the key of a map must be a bool, an int, a uint or a string");
    case VENV_EEXIST:
        return venv_error_set(err, rc, "a key is in the map twice");
    default:
        return venv_error_set(err, rc, "a text in the list or map is not valid UTF-8");
    }
}

/* What is left over of a capacity that doubled goes back, if it is much. */
static venv_value finish(struct venv_object *object, size_t width)
{
    if ((object->u.live.capacity - object->count) * width * sizeof(venv_value) > LEFT_MAX) {
        struct venv_object *fitted = realloc(object, venv_list_size(object->count * width));
        if (fitted)
            object = fitted;
        object->u.live.capacity = object->count;
    }
    return venv_value_of_object(object, VENV_FORM_COUNTED);
}

void venv_list_init(venv_list_builder *list)
{
    *list = (venv_list_builder){ NULL, VENV_OK };
}

void venv_list_add(venv_list_builder *list, venv_value value)
{
    struct venv_object *object =
        list->rc == VENV_OK ? make_room(list->object, VENV_LIST, 1, &list->rc) : NULL;
    if (!object) {
        venv_value_unref(&value);
        return;
    }
    list->object = object;
    venv_object_items(object)[object->count++] = value;
    if (!venv_object_note(object, &value))
        list->rc = VENV_ELIMIT;
}

void venv_list_add_text(venv_list_builder *list, const char *text)
{
    venv_value value = venv_value_null();
    venv_rc rc = venv_value_string_z(text, &value, NULL);
    if (rc != VENV_OK && list->rc == VENV_OK)
        list->rc = rc;
    venv_list_add(list, value);
}

venv_rc venv_list_take(venv_list_builder *list, venv_value *ret_list, venv_error *err)
{
    venv_rc rc = list->rc;
    if (rc == VENV_OK && list->object) {
        *ret_list = finish(list->object, 1);
        list->object = NULL;
    } else if (rc == VENV_OK) {
        *ret_list = venv_value_empty_list();
    }
    venv_list_fini(list);
    return rc == VENV_OK ? rc : stuck(rc, err);
}

void venv_list_fini(venv_list_builder *list)
{
    drop_object(&list->object);
    list->rc = VENV_OK;
}

void venv_map_init(venv_map_builder *map)
{
    *map = (venv_map_builder){ NULL, VENV_OK };
}

void venv_map_put_value(venv_map_builder *map, venv_value key, venv_value value)
{
    if (map->rc == VENV_OK && !venv_kind_is_key(key.w.kind))
        map->rc = VENV_EKIND;
    struct venv_object *object = map->rc == VENV_OK ? make_room(map->object, VENV_MAP, 2, &map->rc) : NULL;
    if (!object) {
        venv_value_unref(&key);
        venv_value_unref(&value);
        return;
    }
    map->object = object;
    venv_value *entry = venv_object_items(object) + (size_t)object->count++ * 2;
    entry[0] = key;
    entry[1] = value;
    venv_object_note_key(object, &key);
    if (!venv_object_note(object, &value))
        map->rc = VENV_ELIMIT;
}

/* As nearly all keys are: nothing to check, nothing to allocate. */
static bool is_short_ascii(const char *text, size_t size)
{
    unsigned char bits = 0;
    for (size_t i = 0; i < size && size <= VENV_VALUE_INLINE_MAX; i++)
        bits |= (unsigned char)text[i];
    return size <= VENV_VALUE_INLINE_MAX && bits < 0x80;
}

void venv_map_put(venv_map_builder *map, const char *key, venv_value value)
{
    venv_value text = venv_value_null();
    size_t size = strlen(key);
    venv_rc rc = VENV_OK;
    if (is_short_ascii(key, size))
        text = venv_text_inline(VENV_STRING, key, size);
    else
        rc = venv_value_string(key, size, &text, NULL);
    if (rc != VENV_OK && map->rc == VENV_OK)
        map->rc = rc;
    venv_map_put_value(map, text, value);
}

/* Each byte that is not part of a character becomes U+FFFD. */
static venv_rc repaired_string(const char *text, size_t size, venv_value *ret_value)
{
    venv_buf buf;
    venv_buf_init(&buf, VENV_VALUE_SIZE_MAX);
    while (size) {
        size_t valid = venv_utf8_valid_prefix(text, size);
        venv_buf_append(&buf, text, valid);
        text += valid;
        size -= valid;
        if (size) {
            venv_buf_append_text(&buf, "\xef\xbf\xbd");
            text++;
            size--;
        }
    }
    venv_rc rc = buf.rc;
    if (rc == VENV_OK && !venv_text_copy(VENV_STRING, (const char *)buf.data, buf.size, ret_value))
        rc = VENV_ENOMEM;
    venv_buf_fini(&buf);
    return rc;
}

void venv_map_put_text(venv_map_builder *map, const char *key, const char *text, size_t size)
{
    venv_value value = venv_value_null();
    venv_rc rc = venv_value_string(text, size, &value, NULL);
    if (rc == VENV_EINVAL)
        rc = repaired_string(text, size, &value);
    if (rc != VENV_OK && map->rc == VENV_OK)
        map->rc = rc;
    venv_map_put(map, key, value);
}

void venv_map_put_z(venv_map_builder *map, const char *key, const char *text)
{
    venv_map_put_text(map, key, text, strlen(text));
}

void venv_map_put_id(venv_map_builder *map, const char *key, venv_id id)
{
    venv_value value = venv_value_null();
    venv_rc rc = venv_value_from_id(id, &value, NULL);
    if (rc != VENV_OK && map->rc == VENV_OK)
        map->rc = rc;
    venv_map_put(map, key, value);
}

venv_rc venv_map_take(venv_map_builder *map, venv_value *ret_map, venv_error *err)
{
    venv_rc rc = map->rc;
    size_t place = 0;
    if (rc == VENV_OK && map->object)
        rc = venv_map_sort(map->object, &place);
    if (rc == VENV_EEXIST) {
        char key[128];
        venv_value_print(&venv_object_items(map->object)[2 * place], key, sizeof key);
        venv_error_set(err, rc, "the key %s is in the map twice", key);
    } else if (rc != VENV_OK) {
        stuck(rc, err);
    } else if (map->object) {
        *ret_map = finish(map->object, 2);
        map->object = NULL;
    } else {
        *ret_map = venv_value_empty_map();
    }
    venv_map_fini(map);
    return rc;
}

void venv_map_fini(venv_map_builder *map)
{
    drop_object(&map->object);
    map->rc = VENV_OK;
}
