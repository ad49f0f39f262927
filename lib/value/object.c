/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of counted objects: text, references, release, deep copies.
 */
#include "value/object.h"

#include "base/text.h"

#include <stdlib.h>

bool venv_text_copy(venv_kind kind, const char *text, size_t size, venv_value *ret_value)
{
    if (size <= VENV_VALUE_INLINE_MAX) {
        *ret_value = venv_text_inline(kind, text, size);
        return true;
    }
    struct venv_object *object = malloc(sizeof *object + size + 1);
    if (!object)
        return false;
    venv_object_init(object, kind, size);
    object->u.live.refs = 1;
    object->depth = 0;
    memcpy(venv_object_text(object), text, size);
    venv_object_text(object)[size] = '\0';
    *ret_value = venv_value_of_object(object, VENV_FORM_COUNTED);
    return true;
}

static venv_rc make_text(venv_kind kind, const char *text, size_t size, venv_value *ret_value, venv_error *err)
{
    if (size > VENV_VALUE_SIZE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the text has %zu bytes, %u are allowed", size,
                              VENV_VALUE_SIZE_MAX);
    if (!venv_text_copy(kind, text, size, ret_value))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    return VENV_OK;
}

venv_rc venv_value_string(const char *text, size_t size, venv_value *ret_value, venv_error *err)
{
    size_t valid = venv_utf8_valid_prefix(text, size);
    if (valid != size)
        return venv_error_set(err, VENV_EINVAL, "the text is not valid UTF-8 at byte %zu", valid);
    return make_text(VENV_STRING, text, size, ret_value, err);
}

venv_rc venv_value_string_z(const char *text, venv_value *ret_value, venv_error *err)
{
    return venv_value_string(text, strlen(text), ret_value, err);
}

venv_rc venv_value_bytes(const void *data, size_t size, venv_value *ret_value, venv_error *err)
{
    return make_text(VENV_BYTES, data, size, ret_value, err);
}

venv_rc venv_value_from_id(venv_id id, venv_value *ret_value, venv_error *err)
{
    return venv_value_bytes(id.bytes, sizeof id.bytes, ret_value, err);
}

/* Const, though values point to them as if not: nobody counts or frees what is immortal. */
static const struct venv_object empty_list = {
    .u.live.refs = VENV_OBJECT_IMMORTAL, .kind = VENV_LIST, .depth = 1
};
static const struct venv_object empty_map = {
    .u.live.refs = VENV_OBJECT_IMMORTAL, .kind = VENV_MAP, .flags = VENV_OBJECT_TEXT_KEYS, .depth = 1
};

venv_value venv_value_empty_list(void)
{
    return venv_value_of_object((struct venv_object *)(uintptr_t)&empty_list, VENV_FORM_COUNTED);
}

venv_value venv_value_empty_map(void)
{
    return venv_value_of_object((struct venv_object *)(uintptr_t)&empty_map, VENV_FORM_COUNTED);
}

venv_value venv_value_ref(const venv_value *value)
{
    /* A count that would overflow stays at the top, and the object is kept for ever. */
    if (value->w.form == VENV_FORM_COUNTED && value->w.as.object->u.live.refs != VENV_OBJECT_IMMORTAL)
        value->w.as.object->u.live.refs++;
    return *value;
}

/* True when that was the last reference. */
static bool drop(struct venv_object *object)
{
    return object->u.live.refs != VENV_OBJECT_IMMORTAL && --object->u.live.refs == 0;
}

/* A list of the dead, threaded through their heads, in place of recursion. */
static void free_objects(struct venv_object *dead)
{
    dead->u.next = NULL;
    while (dead) {
        struct venv_object *object = dead;
        dead = object->u.next;
        size_t items = object->kind == VENV_LIST  ? object->count
                       : object->kind == VENV_MAP ? (size_t)object->count * 2
                                                  : 0;
        const venv_value *item = venv_object_items(object);
        for (size_t i = 0; i < items; i++) {
            if (item[i].w.form == VENV_FORM_COUNTED && drop(item[i].w.as.object)) {
                item[i].w.as.object->u.next = dead;
                dead = item[i].w.as.object;
            }
        }
        if (object->kind == VENV_OPAQUE) {
            const venv_opaque_class *class = ((struct venv_opaque *)object)->class;
            if (class->fini)
                class->fini(object);
        }
        free(object);
    }
}

void venv_value_unref(venv_value *value)
{
    if (!value)
        return;
    struct venv_object *object = value->w.form == VENV_FORM_COUNTED ? value->w.as.object : NULL;
    *value = venv_value_null();
    if (object && drop(object))
        free_objects(object);
}

static bool is_container(const venv_value *value)
{
    return value->w.kind == VENV_LIST || value->w.kind == VENV_MAP;
}

/* Copy of a container; recursion ends with the depth, at most VENV_VALUE_DEPTH_MAX. */
static venv_rc dup_container(const struct venv_object *source, venv_value *ret_value, venv_error *err)
{
    size_t items = source->kind == VENV_MAP ? (size_t)source->count * 2 : source->count;
    struct venv_object *copy = malloc(venv_list_size(items));
    if (!copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_object_init(copy, (venv_kind)source->kind, 0);
    copy->u.live.refs = 1;
    copy->flags = source->flags & VENV_OBJECT_TEXT_KEYS;
    copy->depth = source->depth;
    for (size_t i = 0; i < items; i++)
        venv_object_items(copy)[i] = venv_value_null();
    copy->count = source->count; /* from here on the copy can be released whole */
    copy->u.live.capacity = source->count;
    venv_value result = venv_value_of_object(copy, VENV_FORM_COUNTED);
    for (size_t i = 0; i < items; i++) {
        venv_rc rc = venv_value_dup(&venv_object_items(source)[i], &venv_object_items(copy)[i], err);
        if (rc != VENV_OK) {
            venv_value_unref(&result);
            return rc;
        }
    }
    *ret_value = result;
    return VENV_OK;
}

venv_rc venv_value_dup(const venv_value *value, venv_value *ret_value, venv_error *err)
{
    bool borrowed = value->w.form == VENV_FORM_BORROWED;
    bool container = is_container(value);
    if (value->w.form == VENV_FORM_COUNTED)
        borrowed = value->w.as.object->flags & VENV_OBJECT_BORROWS;
    if (!borrowed) {
        *ret_value = venv_value_ref(value);
        return VENV_OK;
    }
    if (container)
        return dup_container(value->w.as.object, ret_value, err);
    if (value->w.kind == VENV_OPAQUE) {
        const venv_opaque_class *class = ((const struct venv_opaque *)value->w.as.object)->class;
        if (!class->dup)
            return venv_error_set(err, VENV_EUNSUPPORTED, "a value of type %s cannot be kept", class->type_name);
        return class->dup(value->w.as.object, ret_value, err);
    }
    venv_str text = venv_text_of(value);
    if (!venv_text_copy((venv_kind)value->w.kind, text.data, text.size, ret_value))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    return VENV_OK;
}
