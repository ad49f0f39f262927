/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: written, taken out of a stream in pieces of any size, and what hostile bytes cost. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "message/frame.h"

#include <venv/message.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static venv_value body_of(const char *label, size_t padding)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "label", label);
    if (padding > 0) {
        char *text = malloc(padding);
        assert_non_null(text);
        memset(text, 'x', padding);
        venv_map_put_text(&map, "padding", text, padding);
        free(text);
    }
    venv_value body = venv_value_null();
    assert_int_equal(venv_map_take(&map, &body, NULL), VENV_OK);
    return body;
}

static venv_frame_parser *parser_new(venv_role sender, venv_role receiver)
{
    venv_frame_parser *parser = NULL;
    assert_int_equal(venv_frame_parser_new(sender, receiver, &parser, NULL), VENV_OK);
    return parser;
}

static void test_layout(void **state)
{
    (void)state;
    venv_value body = venv_value_null();
    uint8_t *frame = NULL;
    size_t size = 0;
    assert_int_equal(venv_frame_encode(VENV_MSG_PROPERR, 0x0102030405060708u, &body, &frame, &size, NULL), VENV_OK);
    static const uint8_t bytes[] = { 0, 0, 0, 1, 1, 0, 0xff, 0xf6, 1, 2, 3, 4, 5, 6, 7, 8, 0xa0 };
    assert_int_equal(size, sizeof(bytes));
    assert_memory_equal(frame, bytes, sizeof(bytes));
    venv_frame_set_request(frame, 9);
    venv_frame_header header = venv_frame_header_read(frame);
    assert_int_equal(header.type, -10);
    assert_int_equal(header.request, 9);
    assert_int_equal(header.size, 1);
    free(frame);
}

static void test_refused_bodies(void **state)
{
    (void)state;
    uint8_t *frame = NULL;
    size_t size = 0;
    venv_value number = venv_value_int(1), large = body_of("x", 2000);
    venv_error err = { 0 };
    assert_int_equal(venv_frame_encode(VENV_MSG_GETPROP, 1, &number, &frame, &size, &err), VENV_EKIND);
    assert_int_equal(venv_frame_encode(VENV_MSG_GETPROP, 1, &large, &frame, &size, &err), VENV_ELIMIT);
    assert_int_equal(venv_frame_encode(7777, 1, &large, &frame, &size, &err), VENV_EINVAL);
    assert_null(frame);
    /* a buffer is as it was after a failure */
    venv_buf buf;
    venv_buf_init(&buf, 4096);
    venv_buf_append_text(&buf, "before");
    assert_int_equal(venv_frame_append(&buf, VENV_MSG_GETPROP, 1, &large, &err), VENV_ELIMIT);
    assert_int_equal(buf.size, 6);
    assert_int_equal(venv_frame_append(&buf, VENV_MSG_NOOP, 1, &(venv_value){ 0 }, &err), VENV_OK);
    assert_int_equal(buf.size, 6 + 17);
    venv_buf_fini(&buf);
    venv_value_unref(&large);
}

/* Three frames as one stream, fed in pieces of `piece` bytes. */
static void feed_in_pieces(size_t piece)
{
    venv_buf stream;
    venv_buf_init(&stream, 1 << 20);
    venv_value small = body_of("memfree", 0), large = body_of("queue", 20000), none = venv_value_null();
    assert_int_equal(venv_frame_append(&stream, VENV_MSG_PROPVAL, 1, &small, NULL), VENV_OK);
    assert_int_equal(venv_frame_append(&stream, VENV_MSG_PROPVAL, 2, &large, NULL), VENV_OK);
    assert_int_equal(venv_frame_append(&stream, VENV_MSG_PING, 3, &none, NULL), VENV_OK);
    venv_frame_parser *parser = parser_new(VENV_ROLE_AGENT, VENV_ROLE_MANAGER);
    uint64_t seen = 0;
    for (size_t start = 0; start < stream.size; start += piece) {
        size_t left = stream.size - start < piece ? stream.size - start : piece;
        uint8_t *copy = malloc(left); /* exact memory: a read past it is found */
        assert_non_null(copy);
        memcpy(copy, stream.data + start, left);
        for (size_t done = 0; done < left;) {
            size_t used = 0;
            bool ready = false;
            venv_frame frame;
            assert_int_equal(venv_frame_parser_feed(parser, copy + done, left - done, &used, &frame, &ready, NULL),
                             VENV_OK);
            assert_true(used > 0);
            done += used;
            if (!ready)
                continue;
            venv_value body = venv_value_null();
            assert_int_equal(frame.request, ++seen);
            assert_true(frame.known);
            assert_int_equal(venv_frame_decode(&frame, &body, NULL), VENV_OK);
            assert_true(seen == 3 ? venv_value_count(&body) == 0 : venv_value_equal(&body, seen == 1 ? &small : &large));
            venv_value_unref(&body);
        }
        free(copy);
    }
    assert_int_equal(seen, 3);
    assert_int_equal(venv_frame_parser_pending(parser), 0);
    venv_frame_parser_free(parser);
    venv_buf_fini(&stream);
    venv_value_unref(&small);
    venv_value_unref(&large);
}

static void test_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1, 2, 7, 15, 16, 17, 33, 1000, 4096, 1 << 20 };
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        feed_in_pieces(pieces[i]);
}

static venv_rc feed_header(venv_frame_header header, venv_role sender, venv_role receiver, venv_error *err)
{
    uint8_t bytes[VENV_FRAME_HEADER_SIZE];
    venv_frame_parser *parser = parser_new(sender, receiver);
    venv_frame frame;
    size_t used = 0;
    bool ready = false;
    venv_frame_header_write(&header, bytes);
    venv_rc rc = venv_frame_parser_feed(parser, bytes, sizeof(bytes), &used, &frame, &ready, err);
    if (rc) /* for ever */
        assert_int_equal(venv_frame_parser_feed(parser, bytes, 1, &used, &frame, &ready, err), rc);
    venv_frame_parser_free(parser);
    return rc;
}

static void test_bad_headers(void **state)
{
    (void)state;
    venv_error err = { 0 };
    venv_frame_header good = { .size = 10, .version = 1, .type = VENV_MSG_PROPVAL };
    assert_int_equal(feed_header(good, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, &err), VENV_OK);
    venv_frame_header bad = good;
    bad.version = 2;
    assert_int_equal(feed_header(bad, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, &err), VENV_EPROTO);
    bad = good;
    bad.flags = 1;
    assert_int_equal(feed_header(bad, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, &err), VENV_EPROTO);
    /* the wrong role, or the wrong direction: before a byte of the body */
    assert_int_equal(feed_header(good, VENV_ROLE_USER, VENV_ROLE_MANAGER, &err), VENV_EDENIED);
    assert_int_equal(feed_header(good, VENV_ROLE_MANAGER, VENV_ROLE_AGENT, &err), VENV_EDENIED);
    assert_int_equal(feed_header(good, VENV_ROLE_AGENT, VENV_ROLE_AGENT, &err), VENV_EDENIED);
    assert_int_equal(feed_header(good, VENV_ROLE_NONE, VENV_ROLE_MANAGER, &err), VENV_EDENIED);
    assert_non_null(strstr(err.text, "propval"));
}

/* Lies about the length, for every type: nothing is allocated for what has not come (threat T10). */
static void test_length_lies(void **state)
{
    (void)state;
    for (size_t i = 0; venv_message_at(i); i++) {
        const venv_message_info *info = venv_message_at(i);
        bool to_manager = info->directions & (VENV_DIRECTION_AGENT_TO_MANAGER | VENV_DIRECTION_USER_TO_MANAGER);
        venv_role peer = info->directions & (VENV_DIRECTION_AGENT_TO_MANAGER | VENV_DIRECTION_MANAGER_TO_AGENT)
                             ? VENV_ROLE_AGENT : VENV_ROLE_USER;
        venv_role sender = to_manager ? peer : VENV_ROLE_MANAGER, receiver = to_manager ? VENV_ROLE_MANAGER : peer;
        const struct {
            uint32_t size;
            venv_rc rc;
        } rows[] = { { 0, VENV_OK },
                     { 1, VENV_OK },
                     { info->size_max, VENV_OK },
                     { info->size_max + 1, VENV_EPROTO },
                     { INT32_MAX, VENV_EPROTO },
                     { UINT32_C(1) << 31, VENV_EPROTO },
                     { UINT32_MAX, VENV_EPROTO } };
        for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
            venv_frame_header header = { .size = rows[j].size, .version = 1, .type = info->type };
            assert_int_equal(feed_header(header, sender, receiver, NULL), rows[j].rc);
        }
    }
}

static void test_memory_follows_bytes(void **state)
{
    (void)state;
    venv_frame_parser *parser = parser_new(VENV_ROLE_AGENT, VENV_ROLE_MANAGER);
    venv_frame_header header = { .size = 2228224, .version = 1, .type = VENV_MSG_EXECRET };
    uint8_t bytes[VENV_FRAME_HEADER_SIZE + 100] = { 0 };
    venv_frame frame;
    size_t used = 0;
    bool ready = false;
    venv_frame_header_write(&header, bytes);
#if !defined(__SANITIZE_ADDRESS__)
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
#endif
    assert_int_equal(venv_frame_parser_feed(parser, bytes, sizeof(bytes), &used, &frame, &ready, NULL), VENV_OK);
    assert_int_equal(used, sizeof(bytes));
    assert_false(ready);
#if !defined(__SANITIZE_ADDRESS__)
    assert_true(mallinfo2().uordblks + mallinfo2().hblkhd - before < 4096);
#endif
    assert_int_equal(venv_frame_parser_pending(parser), sizeof(bytes));
    venv_frame_parser_free(parser);
}

static void test_unknown_types_are_skipped(void **state)
{
    (void)state;
    venv_frame_parser *parser = parser_new(VENV_ROLE_AGENT, VENV_ROLE_MANAGER);
    uint8_t bytes[VENV_FRAME_HEADER_SIZE + 5000 + VENV_FRAME_HEADER_SIZE] = { 0 };
    venv_frame_header unknown = { .size = 5000, .version = 1, .type = 7777, .request = 12 };
    venv_frame_header next = { .size = 0, .version = 1, .type = VENV_MSG_PING };
    venv_frame_header_write(&unknown, bytes);
    venv_frame_header_write(&next, bytes + VENV_FRAME_HEADER_SIZE + 5000);
    size_t done = 0, frames = 0;
    while (done < sizeof(bytes)) {
        size_t used = 0, piece = sizeof(bytes) - done < 100 ? sizeof(bytes) - done : 100;
        venv_frame frame;
        bool ready = false;
        assert_int_equal(venv_frame_parser_feed(parser, bytes + done, piece, &used, &frame, &ready, NULL), VENV_OK);
        assert_true(venv_frame_parser_pending(parser) <= VENV_FRAME_HEADER_SIZE);
        done += used;
        if (!ready)
            continue;
        assert_int_equal(frame.type, frames == 0 ? 7777 : VENV_MSG_PING);
        assert_int_equal(frame.request, frames == 0 ? 12 : 0);
        assert_int_equal(frame.known, frames != 0);
        venv_value body = venv_value_null();
        assert_int_equal(venv_frame_decode(&frame, &body, NULL), frame.known ? VENV_OK : VENV_EPROTO);
        venv_value_unref(&body);
        frames++;
    }
    assert_int_equal(frames, 2);
    venv_frame_parser_free(parser);
    unknown.size = VENV_FRAME_UNKNOWN_MAX + 1;
    assert_int_equal(feed_header(unknown, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, NULL), VENV_EPROTO);
}

static void test_bad_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = { { "\x01", 1 },         /* an int */
                 { "\x80", 1 },         /* a list */
                 { "\xa1\x01\x01", 3 }, /* a key that is no text */
                 { "\xa0\xa0", 2 },     /* two items */
                 { "\xbf\xff", 2 },     /* indefinite length */
                 { "\xa1", 1 },         /* cut */
                 { "\xff", 1 } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venv_frame frame = { .type = VENV_MSG_PING, .known = true, .body = { rows[i].bytes, rows[i].size } };
        venv_value body = venv_value_null();
        venv_error err = { 0 };
        assert_int_equal(venv_frame_decode(&frame, &body, &err), VENV_EPROTO);
        assert_int_equal(err.rc, VENV_EPROTO);
        assert_int_equal(venv_value_kind(&body), VENV_NULL);
    }
}

/* Random and mutated bytes, in random pieces: errors or frames, nothing else. */
static void test_random_bytes(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 20261122);
    venv_value body = body_of("memfree", 40);
    uint8_t *good = NULL;
    size_t size = 0, frames = 0, errors = 0;
    assert_int_equal(venv_frame_encode(VENV_MSG_PROPVAL, 5, &body, &good, &size, NULL), VENV_OK);
    for (int round = 0; round < 20000; round++) {
        venv_frame_parser *parser = parser_new(VENV_ROLE_AGENT, VENV_ROLE_MANAGER);
        uint8_t *bytes = malloc(size * 2);
        assert_non_null(bytes);
        memcpy(bytes, good, size);
        memcpy(bytes + size, good, size);
        for (uint64_t flips = venv_random_below(&random, 6); flips > 0; flips--)
            bytes[venv_random_below(&random, size * 2)] = (uint8_t)venv_random_next(&random);
        venv_rc rc = VENV_OK;
        for (size_t done = 0; done < size * 2 && rc == VENV_OK;) {
            size_t used = 0, piece = 1 + venv_random_below(&random, size * 2 - done);
            venv_frame frame;
            bool ready = false;
            rc = venv_frame_parser_feed(parser, bytes + done, piece, &used, &frame, &ready, NULL);
            done += used;
            venv_value decoded = venv_value_null();
            if (rc == VENV_OK && ready && venv_frame_decode(&frame, &decoded, NULL) == VENV_OK)
                frames++;
            venv_value_unref(&decoded);
        }
        errors += rc != VENV_OK;
        free(bytes);
        venv_frame_parser_free(parser);
    }
    assert_true(frames > 1000);
    assert_true(errors > 1000);
    free(good);
    venv_value_unref(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),      cmocka_unit_test(test_refused_bodies),
        cmocka_unit_test(test_pieces),      cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_length_lies), cmocka_unit_test(test_memory_follows_bytes),
        cmocka_unit_test(test_unknown_types_are_skipped),
        cmocka_unit_test(test_bad_bodies),  cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
