/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames out of a stream of bytes that comes from somebody else.
 *
 *   HEADER (16 bytes) ──checked──► BODY (kept) ──► ready
 *                         ├──────► SKIP (unknown type: counted, not kept) ──► ready, not known
 *                         └──────► BROKEN (the error is repeated for ever)
 *
 * The header is checked before anything is allocated; the buffer then grows with the bytes that have come,
 * not with those that were promised. A frame that lies whole in the bytes fed is lent from there, without a copy.
 */

#include "base/buf.h"

#include <venv/message.h>

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

enum { KEEP_CAPACITY = 4096 }; /* a buffer that grew past this is given back after its frame */

typedef enum parser_state { STATE_HEADER = 0, STATE_BODY, STATE_SKIP, STATE_BROKEN } parser_state;

struct venv_frame_parser {
    parser_state state;
    venv_role sender, receiver;
    uint8_t head[VENV_FRAME_HEADER_SIZE];
    size_t head_size;
    venv_frame_header header;
    size_t left;      /* bytes of the body that have not come */
    bool lent;        /* the buffer holds a frame that was handed out */
    venv_buf body;
    venv_rc broken;
    char reason[128];
};

venv_rc venv_frame_parser_new(venv_role sender, venv_role receiver, venv_frame_parser **ret_parser, venv_error *err)
{
    venv_frame_parser *parser = calloc(1, sizeof(*parser));
    if (!parser)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    parser->sender = sender;
    parser->receiver = receiver;
    venv_buf_init(&parser->body, 0);
    *ret_parser = parser;
    return VENV_OK;
}

void venv_frame_parser_free(venv_frame_parser *parser)
{
    if (!parser)
        return;
    venv_buf_fini(&parser->body);
    free(parser);
}

size_t venv_frame_parser_pending(const venv_frame_parser *parser)
{
    if (parser->state == STATE_BROKEN)
        return 0;
    return parser->head_size + (parser->lent ? 0 : parser->body.size);
}

static venv_rc broken(venv_frame_parser *parser, venv_rc rc, venv_error *inner, venv_error *err)
{
    parser->state = STATE_BROKEN;
    parser->broken = rc;
    (void)snprintf(parser->reason, sizeof parser->reason, "%.*s", (int)sizeof parser->reason - 1, inner->text);
    venv_buf_fini(&parser->body);
    venv_buf_init(&parser->body, 0);
    return venv_error_set(err, rc, "%s", parser->reason);
}

/* The header is whole: may its body come, and how long may it be? */
static venv_rc check_header(venv_frame_parser *parser, venv_error *err)
{
    const venv_frame_header *header = &parser->header;
    venv_error inner = { 0 };
    const venv_message_info *info = venv_message_find(header->type);
    uint32_t size_max = info ? info->size_max : VENV_FRAME_UNKNOWN_MAX;
    venv_rc rc = VENV_OK;
    if (header->version != VENV_PROTOCOL_VERSION)
        rc = venv_error_set(&inner, VENV_EPROTO, "a frame of version %u; expected %u", header->version,
                            VENV_PROTOCOL_VERSION);
    else if (header->flags != 0)
        rc = venv_error_set(&inner, VENV_EPROTO, "a frame with unknown flags 0x%02x", header->flags);
    else if (info && !venv_message_allowed(parser->sender, parser->receiver, header->type))
        rc = venv_error_set(&inner, VENV_EDENIED, "the type %s may not be sent by the role %s to the role %s",
                            info->name, venv_role_name(parser->sender), venv_role_name(parser->receiver));
    else if (header->size > size_max)
        rc = venv_error_set(&inner, VENV_EPROTO, "a body of %u bytes for type %d (%s); at most %u are allowed",
                            header->size, header->type, venv_message_name(header->type), size_max);
    if (rc)
        return broken(parser, rc, &inner, err);
    parser->left = header->size;
    parser->state = info ? STATE_BODY : STATE_SKIP;
    parser->body.max = header->size;
    return VENV_OK;
}

static size_t take_header(venv_frame_parser *parser, const uint8_t *data, size_t size)
{
    size_t want = VENV_FRAME_HEADER_SIZE - parser->head_size;
    size_t take = size < want ? size : want;
    if (take > 0)
        memcpy(parser->head + parser->head_size, data, take);
    parser->head_size += take;
    if (parser->head_size == VENV_FRAME_HEADER_SIZE)
        parser->header = venv_frame_header_read(parser->head);
    return take;
}

/* Give back what the last frame needed, so that 10,000 quiet connections keep little. */
static void forget_lent(venv_frame_parser *parser)
{
    if (!parser->lent)
        return;
    parser->lent = false;
    if (parser->body.capacity > KEEP_CAPACITY) {
        venv_buf_fini(&parser->body);
        venv_buf_init(&parser->body, 0);
    }
    venv_buf_clear(&parser->body);
}

static void finish(venv_frame_parser *parser, venv_str body, venv_frame *ret_frame)
{
    *ret_frame = (venv_frame){ .type = parser->header.type,
                               .request = parser->header.request,
                               .known = parser->state == STATE_BODY,
                               .body = body };
    parser->state = STATE_HEADER;
    parser->head_size = 0;
}

/* Body bytes. Sets *ret_ready when the frame is whole. */
static venv_rc take_body(venv_frame_parser *parser, const uint8_t *data, size_t size, size_t *used,
                         venv_frame *ret_frame, bool *ret_ready, venv_error *err)
{
    size_t take = size < parser->left ? size : parser->left;
    venv_str body = { "", 0 };
    if (parser->state == STATE_BODY && parser->body.size == 0 && take == parser->left) {
        body = (venv_str){ take ? (const char *)data : "", take };
    } else if (parser->state == STATE_BODY && take > 0) {
        venv_buf_append(&parser->body, data, take);
        if (parser->body.rc) {
            venv_error inner = { 0 };
            venv_rc rc = venv_error_set(&inner, parser->body.rc, "out of memory for a frame of %u bytes",
                                        parser->header.size);
            return broken(parser, rc, &inner, err);
        }
        body = (venv_str){ (const char *)parser->body.data, parser->body.size };
    }
    parser->left -= take;
    *used += take;
    if (parser->left > 0)
        return VENV_OK;
    parser->lent = parser->body.size > 0;
    finish(parser, body, ret_frame);
    *ret_ready = true;
    return VENV_OK;
}

venv_rc venv_frame_parser_feed(venv_frame_parser *parser, const uint8_t *data, size_t size, size_t *ret_used,
                               venv_frame *ret_frame, bool *ret_ready, venv_error *err)
{
    *ret_used = 0;
    *ret_ready = false;
    if (parser->state == STATE_BROKEN)
        return venv_error_set(err, parser->broken, "%s", parser->reason);
    forget_lent(parser);
    size_t used = 0;
    if (parser->state == STATE_HEADER) {
        used = take_header(parser, data, size);
        if (parser->head_size < VENV_FRAME_HEADER_SIZE) {
            *ret_used = used;
            return VENV_OK;
        }
        venv_rc rc = check_header(parser, err);
        if (rc)
            return rc;
    }
    venv_rc rc = take_body(parser, data + used, size - used, &used, ret_frame, ret_ready, err);
    if (rc == VENV_OK)
        *ret_used = used;
    return rc;
}
