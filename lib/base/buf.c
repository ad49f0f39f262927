/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The growing byte buffer. Capacity doubles, up to the buffer's own maximum.
 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void venv_buf_init(venv_buf *buf, size_t max)
{
    *buf = (venv_buf){ .max = max };
}

void venv_buf_fini(venv_buf *buf)
{
    free(buf->data);
    venv_buf_init(buf, buf->max);
}

void venv_buf_clear(venv_buf *buf)
{
    buf->size = 0;
    buf->rc = VENV_OK;
}

/* Memory for `capacity` bytes, whatever the maximum of the content. */
static bool grow_to(venv_buf *buf, size_t capacity)
{
    if (capacity <= buf->capacity)
        return true;
    size_t next = buf->capacity ? buf->capacity : 64;
    while (next < capacity)
        next = next > SIZE_MAX / 2 ? capacity : next * 2;
    uint8_t *data = realloc(buf->data, next);
    if (!data) {
        buf->rc = VENV_ENOMEM;
        return false;
    }
    buf->data = data;
    buf->capacity = next;
    return true;
}

uint8_t *venv_buf_reserve(venv_buf *buf, size_t size)
{
    if (buf->rc != VENV_OK)
        return NULL;
    if (size > buf->max || buf->size > buf->max - size) {
        buf->rc = VENV_ELIMIT;
        return NULL;
    }
    /* One byte more, so that the text can be terminated without failing. */
    if (buf->capacity - buf->size <= size && !grow_to(buf, buf->size + size + 1))
        return NULL;
    return buf->data + buf->size;
}

void venv_buf_grew(venv_buf *buf, size_t size)
{
    buf->size += size;
}

void venv_buf_append(venv_buf *buf, const void *data, size_t size)
{
    if (size == 0)
        return;
    uint8_t *room = venv_buf_reserve(buf, size);
    if (room) {
        memcpy(room, data, size);
        buf->size += size;
    }
}

void venv_buf_append_text(venv_buf *buf, const char *text)
{
    venv_buf_append(buf, text, strlen(text));
}

void venv_buf_append_byte(venv_buf *buf, uint8_t byte)
{
    uint8_t *room = venv_buf_reserve(buf, 1);
    if (room) {
        *room = byte;
        buf->size++;
    }
}

void venv_buf_printf(venv_buf *buf, const char *format, ...)
{
    char small[128];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (size < 0) {
        if (buf->rc == VENV_OK)
            buf->rc = VENV_EINVAL;
    } else if ((size_t)size < sizeof small) {
        venv_buf_append(buf, small, (size_t)size);
    } else {
        char *room = (char *)venv_buf_reserve(buf, (size_t)size);
        if (room) {
            vsnprintf(room, (size_t)size + 1, format, again); /* reserve keeps room for the NUL */
            buf->size += (size_t)size;
        }
    }
    va_end(again);
}

void venv_buf_drop(venv_buf *buf, size_t size)
{
    if (size >= buf->size) {
        buf->size = 0;
    } else if (size > 0) {
        memmove(buf->data, buf->data + size, buf->size - size);
        buf->size -= size;
    }
}

const char *venv_buf_peek_text(venv_buf *buf)
{
    if (buf->rc != VENV_OK || buf->size == 0)
        return "";
    buf->data[buf->size] = '\0';
    return (const char *)buf->data;
}

uint8_t *venv_buf_take(venv_buf *buf, size_t *ret_size)
{
    uint8_t *data = NULL;
    if (buf->rc == VENV_OK && (buf->data || grow_to(buf, 1))) {
        data = buf->data;
        data[buf->size] = '\0';
        *ret_size = buf->size;
        buf->data = NULL;
    }
    venv_buf_fini(buf);
    return data;
}
