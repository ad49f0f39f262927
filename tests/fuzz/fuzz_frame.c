/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a hostile peer, in pieces: byte 0 says who sends, byte 1 how long the pieces are. What comes out is judged by the
 * session and read as what its type may hold; memory never exceeds what has come.
 */
#include "fuzz/fuzz.h"

#include "message/session.h"

#include <venv/property.h>

#include <string.h>

static void read_rows(const venv_value *body)
{
    const venv_value *properties = venv_value_get(body, "properties"), *samples = venv_value_get(body, "samples");
    for (size_t i = 0; i < venv_value_count(properties); i++) {
        venv_property property;
        uint32_t slot = 0;
        venv_error err = { 0 };
        venv_rc rc = venv_property_from_value(venv_value_at(properties, i), &property, &slot, &err);
        FUZZ_CHECK(rc == VENV_OK || (rc == VENV_EPROTO && err.text[0]));
        FUZZ_CHECK(rc != VENV_OK || (slot < VENV_PROPERTY_COUNT_MAX && venv_label_is_valid(property.label)));
    }
    for (size_t i = 0; i < venv_value_count(samples); i++) {
        venv_sample_row row;
        venv_rc rc = venv_sample_row_read(venv_value_at(samples, i), &row, NULL);
        FUZZ_CHECK(rc == VENV_OK || rc == VENV_EPROTO);
        FUZZ_CHECK(rc != VENV_OK || row.quality < VENV_QUALITY__COUNT);
    }
}

/* False when the connection is to be closed. */
static bool take(venv_session *session, const venv_frame *frame, venv_role sender, venv_role receiver, int64_t now)
{
    venv_value body = venv_value_null();
    venv_session_reply reply;
    venv_error err = { 0 };
    FUZZ_CHECK(frame->known == (venv_message_find(frame->type) != NULL));
    if (frame->known) {
        FUZZ_CHECK(venv_message_allowed(sender, receiver, frame->type));
        FUZZ_CHECK(frame->body.size <= venv_message_find(frame->type)->size_max);
        venv_rc rc = venv_frame_decode(frame, &body, &err);
        FUZZ_CHECK(rc == VENV_OK || (rc == VENV_EPROTO && err.text[0]));
        if (rc)
            return false;
        read_rows(&body);
    }
    venv_session_verdict verdict = venv_session_receive(session, (venv_now){ { now }, { now } }, frame->type, frame->request,
                                                        frame->known, &body, &reply, &err);
    FUZZ_CHECK(session->confirmed <= session->sent);
    FUZZ_CHECK(verdict != VENV_SESSION_CLOSE || session->state == VENV_SESSION_CLOSED);
    if (verdict == VENV_SESSION_PASS && frame->type == VENV_MSG_HELLO)
        venv_session_welcomed(session, (venv_now){ { now }, { now } });
    if (reply.wanted)
        venv_session_sent(session, (venv_now){ { now }, { now } });
    venv_value_unref(&reply.body);
    venv_value_unref(&body);
    return verdict != VENV_SESSION_CLOSE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const venv_role senders[] = { VENV_ROLE_AGENT, VENV_ROLE_USER, VENV_ROLE_MANAGER, VENV_ROLE_MANAGER };
    static const venv_role receivers[] = { VENV_ROLE_MANAGER, VENV_ROLE_MANAGER, VENV_ROLE_AGENT, VENV_ROLE_USER };
    if (size < 2)
        return 0;
    venv_role sender = senders[data[0] % 4], receiver = receivers[data[0] % 4];
    size_t piece = (size_t)data[1] + 1, done = 2;
    int64_t now = 1;
    venv_frame_parser *parser = NULL;
    venv_session session;
    if (venv_frame_parser_new(sender, receiver, &parser, NULL) != VENV_OK)
        return 0;
    venv_session_init(&session, receiver, sender, NULL, (venv_now){ { now }, { now } });
    venv_rc rc = VENV_OK;
    bool open = true;
    while (done < size && rc == VENV_OK && open) {
        size_t used = 0, left = size - done < piece ? size - done : piece;
        venv_frame frame;
        bool ready = false;
        rc = venv_frame_parser_feed(parser, data + done, left, &used, &frame, &ready, NULL);
        FUZZ_CHECK(rc == VENV_OK || rc == VENV_EPROTO || rc == VENV_EDENIED);
        FUZZ_CHECK(rc != VENV_OK || (used > 0 && used <= left));
        FUZZ_CHECK(venv_frame_parser_pending(parser) <= done + used);
        done += used;
        if (rc == VENV_OK && ready)
            open = take(&session, &frame, sender, receiver, now += 1000);
    }
    venv_frame_parser_free(parser);
    return 0;
}
