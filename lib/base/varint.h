/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_VARINT_H
#define VENV_BASE_VARINT_H

/* Numbers of one to ten bytes, seven bits each, lowest first; shortest form only. The reader's error sticks. */

#include "base/buf.h"

static inline void venv_varint_put(venv_buf *buf, uint64_t number)
{
    while (number >= 0x80) {
        venv_buf_append_byte(buf, (uint8_t)(number | 0x80));
        number >>= 7;
    }
    venv_buf_append_byte(buf, (uint8_t)number);
}

/* A signed number, small in either direction: 0, -1, 1, -2, … */
static inline void venv_varint_put_signed(venv_buf *buf, int64_t number)
{
    venv_varint_put(buf, ((uint64_t)number << 1) ^ (uint64_t)(number >> 63));
}

typedef struct venv_reader {
    const uint8_t *at, *end;
    bool failed;
} venv_reader;

static inline uint64_t venv_varint_get(venv_reader *reader)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1)
            break;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                break;
            return number;
        }
    }
    reader->failed = true;
    reader->at = reader->end;
    return 0;
}

static inline int64_t venv_varint_get_signed(venv_reader *reader)
{
    uint64_t number = venv_varint_get(reader);
    return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}

static inline const uint8_t *venv_bytes_get(venv_reader *reader, size_t size)
{
    if ((size_t)(reader->end - reader->at) < size) {
        reader->failed = true;
        reader->at = reader->end;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += size;
    return bytes;
}

#endif
