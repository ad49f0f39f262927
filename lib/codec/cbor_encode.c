/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value to CBOR, in the deterministic form: what the decoder accepts, and nothing else. Maps are kept
 * in the order of their encoded keys, so nothing is sorted here.
 */
#include "codec/cbor.h"

#include "codec/float.h"
#include "value/object.h"

#include <stdlib.h>

#define HEAD_MAX 9u

/* An open list or map: what is still to be written of it. */
typedef struct frame {
    const venv_value *next, *end;
} frame;

typedef struct encoder {
    venv_buf *buf;
    uint8_t *at, *end; /* the buffer's memory that was reserved and not yet counted */
    uint64_t item_count_left;
    uint32_t depth_max;
    uint32_t depth;
    frame stack[VENV_CBOR_DEPTH_MAX];
} encoder;

/* Count what was written, and make room for `size` more bytes. */
static bool more(encoder *e, size_t size)
{
    if (e->at)
        venv_buf_grew(e->buf, (size_t)(e->at - (e->buf->data + e->buf->size)));
    e->at = venv_buf_reserve(e->buf, size);
    if (!e->at)
        return false;
    e->end = e->buf->data + e->buf->capacity - 1; /* the buffer keeps a byte for its NUL */
    if ((size_t)(e->end - e->at) > e->buf->max - e->buf->size)
        e->end = e->at + (e->buf->max - e->buf->size);
    return true;
}

static inline bool room(encoder *e, size_t size)
{
    return (e->at && (size_t)(e->end - e->at) >= size) || more(e, size);
}

/* The low `size` bytes of a number, big-endian. There is room for HEAD_MAX bytes. */
static inline void put_number(encoder *e, uint64_t number, unsigned size)
{
    uint64_t word = venv_word_order(number << (64 - 8 * size));
    memcpy(e->at, &word, sizeof word);
    e->at += size;
}

static inline bool put_head(encoder *e, unsigned major, uint64_t argument)
{
    if (!room(e, HEAD_MAX))
        return false;
    uint8_t type = (uint8_t)(major << 5);
    if (argument < 24) {
        *e->at++ = (uint8_t)(type | argument);
        return true;
    }
    unsigned width = argument > UINT32_MAX ? 3 : argument > 65535 ? 2 : argument > 255 ? 1 : 0;
    *e->at++ = (uint8_t)(type | (24 + width));
    put_number(e, argument, 1u << width);
    return true;
}

static bool put_bytes(encoder *e, const void *data, size_t size)
{
    if (!room(e, size))
        return false;
    if (size)
        memcpy(e->at, data, size);
    e->at += size;
    return true;
}

static bool put_text(encoder *e, unsigned major, venv_str text)
{
    return put_head(e, major, text.size) && put_bytes(e, text.data, text.size);
}

static bool put_int(encoder *e, int64_t i)
{
    return i < 0 ? put_head(e, 1, ~(uint64_t)i) : put_head(e, 0, (uint64_t)i);
}

static bool put_double(encoder *e, double d)
{
    uint32_t single;
    uint16_t half;
    uint64_t bits;
    unsigned width;
    if (isnan(d)) {
        bits = 0x7e00;
        width = 1;
    } else if (!venv_double_to_single(d, &single)) {
        bits = venv_double_bits(d);
        width = 3;
    } else if (!venv_single_to_half(single, &half)) {
        bits = single;
        width = 2;
    } else {
        bits = half;
        width = 1;
    }
    if (!room(e, HEAD_MAX))
        return false;
    *e->at++ = (uint8_t)(0xe0 | (24 + width));
    put_number(e, bits, 1u << width);
    return true;
}

static bool put_time(encoder *e, uint64_t tag, int64_t seconds, uint32_t nanos)
{
    if (!put_head(e, 6, tag) || !put_head(e, 5, nanos ? 2 : 1) || !put_head(e, 0, 1) || !put_int(e, seconds))
        return false;
    return !nanos || (put_int(e, -9) && put_head(e, 0, nanos));
}

static bool put_scalar(encoder *e, const venv_value *value)
{
    switch (value->w.kind) {
    case VENV_NULL:
        return put_bytes(e, "\xf6", 1);
    case VENV_BOOL:
        return put_bytes(e, value->w.as.u ? "\xf5" : "\xf4", 1);
    case VENV_INT:
        return put_int(e, value->w.as.i);
    case VENV_UINT:
        if (value->w.as.u <= (uint64_t)INT64_MAX && !put_bytes(e, "\x82\xe0", 2))
            return false;
        return put_head(e, 0, value->w.as.u);
    case VENV_DOUBLE:
        return put_double(e, value->w.as.d);
    case VENV_STRING:
        return put_text(e, 3, venv_text_of(value));
    case VENV_BYTES:
        return put_text(e, 2, venv_text_of(value));
    case VENV_TIMESTAMP:
        return put_time(e, 1001, value->w.as.i, value->w.extra);
    case VENV_DURATION:
        return put_time(e, 1002, value->w.as.i, value->w.extra);
    default: /* a type */
        return put_bytes(e, "\x82\xe1", 2) && put_text(e, 3, venv_text_of(value));
    }
}

static venv_rc open_container(encoder *e, const venv_value *value, venv_error *err)
{
    const struct venv_object *object = value->w.as.object;
    bool map = value->w.kind == VENV_MAP;
    uint64_t items = map ? (uint64_t)object->count * 2 : object->count;
    if (e->depth >= e->depth_max)
        return venv_error_set(err, VENV_ELIMIT, "lists and maps are nested deeper than %u", e->depth_max);
    if (items > e->item_count_left)
        return venv_error_set(err, VENV_ELIMIT, "the value has too many items to be sent as CBOR");
    e->item_count_left -= items;
    const venv_value *first = venv_object_items(object);
    e->stack[e->depth++] = (frame){ first, first + items };
    return put_head(e, map ? 5 : 4, object->count) ? VENV_OK : e->buf->rc;
}

static venv_rc encode_all(encoder *e, const venv_value *value, venv_error *err)
{
    for (;;) {
        venv_rc rc = VENV_OK;
        if (value->w.kind == VENV_LIST || value->w.kind == VENV_MAP)
            rc = open_container(e, value, err);
        else if (value->w.kind == VENV_OPAQUE)
            rc = venv_error_set(err, VENV_EUNSUPPORTED, "a value of this type cannot be sent as CBOR");
        else if (!put_scalar(e, value))
            rc = e->buf->rc;
        if (rc != VENV_OK)
            return rc;
        while (e->depth && e->stack[e->depth - 1].next == e->stack[e->depth - 1].end)
            e->depth--;
        if (!e->depth)
            break;
        value = e->stack[e->depth - 1].next++;
    }
    venv_buf_grew(e->buf, (size_t)(e->at - (e->buf->data + e->buf->size)));
    return VENV_OK;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

venv_rc venv_cbor_append(venv_buf *buf, const venv_value *value, const venv_cbor_options *options, venv_error *err)
{
    static const venv_cbor_options defaults = VENV_CBOR_OPTIONS_INIT;
    if (!options)
        options = &defaults;
    if (buf->rc != VENV_OK)
        return venv_error_set(err, buf->rc, "the buffer failed before");
    size_t before = buf->size, max = buf->max;
    size_t byte_count_max = options->byte_count_max < VENV_CBOR_BYTES_MAX ? options->byte_count_max
                                                                          : VENV_CBOR_BYTES_MAX;
    /* A head is written only where the longest one has room: the true limit is checked at the end. */
    if (max - before > byte_count_max)
        buf->max = before + byte_count_max + HEAD_MAX;
    else if (max < SIZE_MAX - HEAD_MAX)
        buf->max = max + HEAD_MAX;
    encoder e = { .buf = buf, .depth_max = least(options->depth_max, VENV_CBOR_DEPTH_MAX) };
    e.item_count_left = least(options->item_count_max, VENV_CBOR_ITEMS_MAX);
    venv_rc rc;
    if (e.item_count_left-- == 0)
        rc = venv_error_set(err, VENV_ELIMIT, "no item is allowed");
    else
        rc = encode_all(&e, value, err);
    buf->max = max;
    if (rc == VENV_OK && (buf->size > max || buf->size - before > byte_count_max))
        buf->rc = VENV_ELIMIT;
    if (buf->rc == VENV_ENOMEM)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    else if (buf->rc != VENV_OK)
        rc = venv_error_set(err, VENV_ELIMIT, "the value needs more bytes as CBOR than are allowed");
    if (rc != VENV_OK) {
        buf->rc = VENV_OK;
        buf->size = before;
    }
    return rc;
}

venv_rc venv_cbor_encode(const venv_value *value, const venv_cbor_options *options, uint8_t **ret_data,
                         size_t *ret_size, venv_error *err)
{
    venv_buf buf;
    venv_buf_init(&buf, VENV_CBOR_BYTES_MAX);
    venv_rc rc = venv_cbor_append(&buf, value, options, err);
    uint8_t *data = NULL;
    size_t size = 0;
    if (rc == VENV_OK) {
        data = venv_buf_take(&buf, &size);
        *ret_data = data;
        *ret_size = size;
    }
    venv_buf_fini(&buf);
    return rc;
}
