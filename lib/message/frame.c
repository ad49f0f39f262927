/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: a header of 16 bytes and a body of CBOR, written and decoded. Taking them out of a stream is in parser.c. */

#include "message/frame.h"

#include "codec/cbor.h"

#include <string.h>

static void put_number(uint8_t *bytes, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
}

static uint64_t get_number(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | bytes[i];
    return number;
}

void venv_frame_header_write(const venv_frame_header *header, uint8_t ret_bytes[VENV_FRAME_HEADER_SIZE])
{
    put_number(ret_bytes, header->size, 4);
    ret_bytes[4] = header->version;
    ret_bytes[5] = header->flags;
    put_number(ret_bytes + 6, (uint16_t)header->type, 2);
    put_number(ret_bytes + 8, header->request, 8);
}

venv_frame_header venv_frame_header_read(const uint8_t bytes[VENV_FRAME_HEADER_SIZE])
{
    return (venv_frame_header){
        .size = (uint32_t)get_number(bytes, 4),
        .version = bytes[4],
        .flags = bytes[5],
        .type = (int16_t)(uint16_t)get_number(bytes + 6, 2),
        .request = get_number(bytes + 8, 8),
    };
}

void venv_frame_set_request(uint8_t *frame, uint64_t request)
{
    put_number(frame + 8, request, 8);
}

/*
 * Limits of a body besides its size. What agents and users send costs the manager at most 4 MiB of values a frame;
 * answers to people may be long lists.
 */
static venv_cbor_options body_options(const venv_message_info *info)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    uint32_t items = info->directions == VENV_DIRECTION_MANAGER_TO_USER ? info->size_max / 2 : 262144;
    options.item_count_max = items < info->size_max ? items : info->size_max;
    options.byte_count_max = info->size_max;
    return options;
}

/* The body at the end of `buf`. */
static venv_rc append_body(venv_buf *buf, const venv_message_info *info, const venv_value *body, venv_error *err)
{
    if (venv_value_kind(body) == VENV_NULL) {
        venv_buf_append_byte(buf, 0xa0); /* the empty map */
        return buf->rc ? venv_error_set(err, buf->rc, "no room for a frame") : VENV_OK;
    }
    if (venv_value_kind(body) != VENV_MAP)
        return venv_error_set(err, VENV_EKIND, "the body of a message is a map");
    venv_cbor_options options = body_options(info);
    return venv_cbor_append(buf, body, &options, err);
}

venv_rc venv_frame_append(venv_buf *buf, int16_t type, uint64_t request, const venv_value *body, venv_error *err)
{
    const venv_message_info *info = venv_message_find(type);
    if (!info)
        return venv_error_set(err, VENV_EINVAL, "there is no message type %d", type);
    if (buf->rc)
        return venv_error_set(err, buf->rc, "no room for a frame");
    size_t start = buf->size;
    uint8_t header[VENV_FRAME_HEADER_SIZE] = { 0 };
    venv_buf_append(buf, header, sizeof(header));
    venv_rc rc = buf->rc;
    if (rc)
        venv_error_set(err, rc, "no room for a frame");
    else
        rc = append_body(buf, info, body, err);
    if (rc) {
        buf->size = start;
        buf->rc = VENV_OK;
        return venv_error_prefix(err, "message %s", info->name);
    }
    venv_frame_header_write(&(venv_frame_header){ .size = (uint32_t)(buf->size - start - VENV_FRAME_HEADER_SIZE),
                                                  .version = VENV_PROTOCOL_VERSION,
                                                  .type = type,
                                                  .request = request },
                            buf->data + start);
    return VENV_OK;
}

venv_rc venv_frame_encode(int16_t type, uint64_t request, const venv_value *body, uint8_t **ret_frame,
                          size_t *ret_size, venv_error *err)
{
    venv_buf buf;
    venv_buf_init(&buf, SIZE_MAX);
    venv_rc rc = venv_frame_append(&buf, type, request, body, err);
    if (rc == VENV_OK)
        *ret_frame = venv_buf_take(&buf, ret_size);
    venv_buf_fini(&buf);
    return rc;
}

venv_rc venv_frame_decode(const venv_frame *frame, venv_value *ret_body, venv_error *err)
{
    venv_value body = venv_value_null();
    static const char empty_map[1] = { (char)0xa0 };
    venv_str bytes = frame->body.size ? frame->body : (venv_str){ empty_map, 1 };
    const venv_message_info *info = venv_message_find(frame->type);
    if (!info)
        return venv_error_set(err, VENV_EPROTO, "there is no message type %d", frame->type);
    venv_cbor_options options = body_options(info);
    venv_rc rc = venv_cbor_decode(bytes.data, bytes.size, &options, &body, err);
    if (rc == VENV_ENOMEM)
        return rc;
    if (rc) {
        venv_error_prefix(err, "message %s", venv_message_name(frame->type));
        if (err)
            err->rc = VENV_EPROTO;
        return VENV_EPROTO;
    }
    const venv_value *key = NULL, *value = NULL;
    bool text_keys = venv_value_kind(&body) == VENV_MAP;
    for (size_t i = 0; text_keys && venv_value_entry(&body, i, &key, &value); i++)
        text_keys = venv_value_kind(key) == VENV_STRING;
    if (!text_keys) {
        venv_value_unref(&body);
        return venv_error_set(err, VENV_EPROTO, "the body of %s is not a map with text keys",
                              venv_message_name(frame->type));
    }
    *ret_body = body;
    return VENV_OK;
}
