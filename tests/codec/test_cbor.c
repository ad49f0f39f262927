/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR: the vectors of RFC 8949 appendix A and the ill-formed examples of appendix F, each with what
 * must happen to it; the project's own forms; limits and bombs (threat T11).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "codec/cbor.h"
#include "support/values.h"
#include "value/object.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t from_hex(const char *hex, uint8_t *ret_bytes)
{
    size_t size = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        ret_bytes[size++] = (uint8_t)byte;
        hex++;
    }
    return size;
}

/* Decode exact memory, so that the address sanitizer sees a read past its end. */
static venv_rc decode(const char *hex, venv_value *ret_value, venv_error *err)
{
    uint8_t bytes[512];
    size_t size = from_hex(hex, bytes);
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, bytes, size);
    venv_rc rc = venv_cbor_decode(exact, size, NULL, ret_value, err);
    free(exact);
    return rc;
}

static void expect_same_bytes(const char *hex, const venv_value *value)
{
    uint8_t bytes[512], *again = NULL;
    size_t size = from_hex(hex, bytes), again_size = 0;
    assert_int_equal(venv_cbor_encode(value, NULL, &again, &again_size, NULL), VENV_OK);
    if (again_size != size || memcmp(again, bytes, size) != 0)
        fail_msg("%s does not come back", hex);
    free(again);
}

typedef struct row {
    const char *hex;
    const char *printed; /* NULL: refused */
    venv_rc rc;
} row;

static void run(const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        venv_value value = venv_value_null();
        venv_error err = { 0 };
        char text[512];
        venv_rc rc = decode(rows[i].hex, &value, &err);
        if (rc != rows[i].rc)
            fail_msg("%s: %s (%s), expected %s", rows[i].hex, venv_rc_name(rc), err.text, venv_rc_name(rows[i].rc));
        if (rc != VENV_OK) {
            assert_int_equal(venv_value_kind(&value), VENV_NULL);
            assert_true(err.text[0]);
            continue;
        }
        venv_value_print(&value, text, sizeof text);
        assert_string_equal(text, rows[i].printed);
        expect_same_bytes(rows[i].hex, &value);
        venv_value_unref(&value);
    }
}

#define BAD(hex) { hex, NULL, VENV_EINVAL }

/* Appendix A, in its order. */
static const row appendix_a[] = {
    { "00", "0", 0 },
    { "01", "1", 0 },
    { "0a", "10", 0 },
    { "17", "23", 0 },
    { "1818", "24", 0 },
    { "1819", "25", 0 },
    { "1864", "100", 0 },
    { "1903e8", "1000", 0 },
    { "1a000f4240", "1000000", 0 },
    { "1b000000e8d4a51000", "1000000000000", 0 },
    { "1bffffffffffffffff", "18446744073709551615u", 0 },
    BAD("c249010000000000000000"),                 /* bignum */
    { "3bffffffffffffffff", NULL, VENV_ERANGE },   /* -2^64 */
    BAD("c349010000000000000000"),                 /* bignum */
    { "20", "-1", 0 },
    { "29", "-10", 0 },
    { "3863", "-100", 0 },
    { "3903e7", "-1000", 0 },
    { "f90000", "0.0", 0 },
    { "f98000", "-0.0", 0 },
    { "f93c00", "1.0", 0 },
    { "fb3ff199999999999a", "1.1", 0 },
    { "f93e00", "1.5", 0 },
    { "f97bff", "65504.0", 0 },
    { "fa47c35000", "100000.0", 0 },
    { "fa7f7fffff", "3.4028234663852886e+38", 0 },
    { "fb7e37e43c8800759c", "1e+300", 0 },
    { "f90001", "5.9604644775390625e-08", 0 },
    { "f90400", "6.103515625e-05", 0 },
    { "f9c400", "-4.0", 0 },
    { "fbc010666666666666", "-4.1", 0 },
    { "f97c00", "double(\"Infinity\")", 0 },
    { "f97e00", "double(\"NaN\")", 0 },
    { "f9fc00", "double(\"-Infinity\")", 0 },
    BAD("fa7f800000"), /* Infinity, NaN, -Infinity that are not in the shortest form */
    BAD("fa7fc00000"),
    BAD("faff800000"),
    BAD("fb7ff0000000000000"),
    BAD("fb7ff8000000000000"),
    BAD("fbfff0000000000000"),
    { "f4", "false", 0 },
    { "f5", "true", 0 },
    { "f6", "null", 0 },
    BAD("f7"),   /* undefined */
    BAD("f0"),   /* simple(16) */
    BAD("f8ff"), /* simple(255) */
    BAD("c074323031332d30332d32315432303a30343a30305a"), /* other tags */
    BAD("c11a514b67b0"),
    BAD("c1fb41d452d9ec200000"),
    BAD("d74401020304"),
    BAD("d818456449455446"),
    BAD("d82076687474703a2f2f7777772e6578616d706c652e636f6d"),
    { "40", "b\"\"", 0 },
    { "4401020304", "b\"\\x01\\x02\\x03\\x04\"", 0 },
    { "60", "\"\"", 0 },
    { "6161", "\"a\"", 0 },
    { "6449455446", "\"IETF\"", 0 },
    { "62225c", "\"\\\"\\\\\"", 0 },
    { "62c3bc", "\"\xc3\xbc\"", 0 },
    { "63e6b0b4", "\"\xe6\xb0\xb4\"", 0 },
    { "64f0908591", "\"\xf0\x90\x85\x91\"", 0 },
    { "80", "[]", 0 },
    { "83010203", "[1, 2, 3]", 0 },
    { "8301820203820405", "[1, [2, 3], [4, 5]]", 0 },
    { "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
      "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]", 0 },
    { "a0", "{}", 0 },
    { "a201020304", "{1: 2, 3: 4}", 0 },
    { "a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}", 0 },
    { "826161a161626163", "[\"a\", {\"b\": \"c\"}]", 0 },
    { "a56161614161626142616361436164614461656145",
      "{\"a\": \"A\", \"b\": \"B\", \"c\": \"C\", \"d\": \"D\", \"e\": \"E\"}", 0 },
    BAD("5f42010243030405ff"), /* indefinite lengths */
    BAD("7f657374726561646d696e67ff"),
    BAD("9fff"),
    BAD("9f018202039f0405ffff"),
    BAD("9f01820203820405ff"),
    BAD("83018202039f0405ff"),
    BAD("83019f0203ff820405"),
    BAD("9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff"),
    BAD("bf61610161629f0203ffff"),
    BAD("826161bf61626163ff"),
    BAD("bf6346756ef563416d7421ff"),
};

/* Appendix F.1, all of it: nothing of it is accepted. */
static const row appendix_f[] = {
    /* end of input in a head */
    BAD("18"), BAD("19"), BAD("1a"), BAD("1b"), BAD("1901"), BAD("1a0102"), BAD("1b01020304050607"), BAD("38"),
    BAD("58"), BAD("78"), BAD("98"), BAD("9a01ff00"), BAD("b8"), BAD("d8"), BAD("f8"), BAD("f900"), BAD("fa0000"),
    BAD("fb000000"),
    /* definite-length strings with short data */
    BAD("41"), BAD("61"), BAD("5affffffff00"), BAD("5bffffffffffffffff010203"), BAD("7affffffff00"),
    BAD("7b7fffffffffffffff010203"),
    /* definite-length maps and arrays not closed with enough items */
    BAD("81"), BAD("818181818181818181"), BAD("8200"), BAD("a1"), BAD("a20102"), BAD("a100"), BAD("a2000000"),
    /* tag number not followed by tag content */
    BAD("c0"),
    /* indefinite-length strings not closed by a break */
    BAD("5f4100"), BAD("7f6100"),
    /* indefinite-length maps and arrays not closed by a break */
    BAD("9f"), BAD("9f0102"), BAD("bf"), BAD("bf01020102"), BAD("819f"), BAD("9f8000"), BAD("9f9f9f9f9fffffffff"),
    BAD("9f819f819f9fffffff"),
    /* reserved additional information */
    BAD("1c"), BAD("1d"), BAD("1e"), BAD("3c"), BAD("3d"), BAD("3e"), BAD("5c"), BAD("5d"), BAD("5e"), BAD("7c"),
    BAD("7d"), BAD("7e"), BAD("9c"), BAD("9d"), BAD("9e"), BAD("bc"), BAD("bd"), BAD("be"), BAD("dc"), BAD("dd"),
    BAD("de"), BAD("fc"), BAD("fd"), BAD("fe"),
    /* reserved two-byte encodings of simple values */
    BAD("f800"), BAD("f801"), BAD("f818"), BAD("f81f"),
    /* indefinite-length string chunks not of the correct type */
    BAD("5f00ff"), BAD("5f21ff"), BAD("5f6100ff"), BAD("5f80ff"), BAD("5fa0ff"), BAD("5fc000ff"), BAD("5fe0ff"),
    BAD("7f4100ff"),
    /* indefinite-length string chunks not definite length */
    BAD("5f5f4100ffff"), BAD("7f7f6100ffff"),
    /* break on its own outside of an indefinite-length item */
    BAD("ff"), BAD("81ff"), BAD("8200ff"), BAD("a1ff"), BAD("a1ff00"), BAD("a100ff"), BAD("a20000ff"),
    BAD("9f81ff"), BAD("9f829f819f9fffffffff"),
    /* break in an indefinite-length map where a value is expected */
    BAD("bf00ff"), BAD("bf000000ff"),
    /* major type 0, 1, 6 with additional information 31 */
    BAD("1f"), BAD("3f"), BAD("df"),
};

/* The project's own forms, and what the deterministic encoding forbids. */
static const row own[] = {
    { "1b7fffffffffffffff", "9223372036854775807", 0 },
    { "1b8000000000000000", "9223372036854775808u", 0 },
    { "3b7fffffffffffffff", "-9223372036854775808", 0 },
    { "3b8000000000000000", NULL, VENV_ERANGE },
    { "82e005", "5u", 0 },
    { "82e01b7fffffffffffffff", "9223372036854775807u", 0 },
    BAD("82e01b8000000000000000"), /* needs no mark */
    BAD("82e020"), BAD("82e0"), BAD("82e0f6"), BAD("82e06161"), BAD("82e01800"),
    BAD("81e0"), BAD("e0"), BAD("83e00000"), BAD("8200e0"), BAD("82e205"),
    { "82e163696e74", "int", 0 },
    { "82e1781967 6f6f676c652e70726f746f6275662e54696d657374616d70", "google.protobuf.Timestamp", 0 },
    BAD("82e105"), BAD("82e1"), BAD("82e161ff"), BAD("82e160"), BAD("82e16101"), BAD("82e1612d"), BAD("82e162"),
    { "a2 01 f5 82e002 f4", "{1: true, 2u: false}", 0 },
    BAD("a2 01 f5 82e001 f4"), /* one key by CEL's equality */
    { "a4 00 f6 20 f6 6161 f6 f5 f6", "{0: null, -1: null, \"a\": null, true: null}", 0 },
    { "d903e9a10100", "timestamp(\"1970-01-01T00:00:00Z\")", 0 },
    { "d903e9a201 1a6921fe38 28 1a0ee6b280", "timestamp(\"2025-11-22T18:17:28.25Z\")", 0 },
    { "d903e9a1013b0000000e7791f6ff", "timestamp(\"0001-01-01T00:00:00Z\")", 0 },
    { "d903e9a1013b0000000e7791f700", NULL, VENV_ERANGE },
    { "d903e9a1011b0000003afff4417f", "timestamp(\"9999-12-31T23:59:59Z\")", 0 },
    { "d903e9a1011b0000003afff44180", NULL, VENV_ERANGE },
    { "d903eaa1011882", "duration(\"130s\")", 0 },
    { "d903eaa2012128 1a1dcd6500", "duration(\"-1.5s\")", 0 },
    { "d903eaa1013b 0000004979cb9dff", "duration(\"-315576000000s\")", 0 },
    { "d903eaa1013b 0000004979cb9e00", NULL, VENV_ERANGE },
    { "d903eaa1011b 0000004979cb9e00", "duration(\"315576000000s\")", 0 },
    { "d903eaa2011b 0000004979cb9e00 2801", NULL, VENV_ERANGE },
    { "d903eaa1011bffffffffffffffff", NULL, VENV_ERANGE },
    BAD("d903eaa2010028 00"), BAD("d903eaa20100281a3b9aca00"), BAD("d903eaa2010029 01"), BAD("d903eaa0"),
    BAD("d903eaa3010028010200"), BAD("d903eaa10200"), BAD("d903eaa1016161"), BAD("d903eaa1"), BAD("d903ea"),
    BAD("d903eaa201002820"), BAD("d903eaa20100"), BAD("d903eaa2010028"), BAD("d903ea8101"), BAD("d903eb00"),
    BAD("da000003e9a10100"), BAD("d903e9f6"),
    BAD("a1d903e9a1010000"), /* a timestamp as key */
    /* not the shortest */
    BAD("1800"), BAD("1817"), BAD("190000"), BAD("1900ff"), BAD("1a0000ffff"), BAD("1b00000000ffffffff"),
    BAD("3800"), BAD("580161"), BAD("780161"), BAD("980100"), BAD("b8010000"), BAD("f97e01"), BAD("f9fe00"),
    BAD("f97c01"), BAD("fa3f800000"), BAD("fb3ff0000000000000"), BAD("fb36a0000000000000"), BAD("fa33800000"),
    BAD("fb7ff8000000000001"), BAD("faffc00000"),
    { "fa33000000", "2.9802322387695312e-08", 0 }, /* below half's least */
    { "fa38803000", "6.112456321716309e-05", 0 },
    { "f903ff", "6.097555160522461e-05", 0 },
    { "fb47efffffefffffff", "3.4028235677973362e+38", 0 },
    { "fb36a0000000000001", "1.4012984643248174e-45", 0 },
    { "fa00000001", "1.401298464324817e-45", 0 },
    /* keys */
    BAD("a2 6162 00 6161 00"), BAD("a2 6161 00 6161 00"), BAD("a2 626161 00 6162 00"), BAD("a2 20 00 00 00"),
    BAD("a1 f6 00"), BAD("a1 f93c00 00"), BAD("a1 4161 00"), BAD("a1 80 00"), BAD("a1 a0 00"), BAD("a1 82e163696e74 00"),
    /* text */
    BAD("61ff"), BAD("62c080"), BAD("63eda080"), BAD("64f4908080"), BAD("62c328"), BAD("61c3"), BAD("a161ff00"),
    /* more than one, nothing */
    BAD("0000"), BAD("8000"), BAD(""),
    /* counts that cannot be */
    BAD("9a00010000"), BAD("9bffffffffffffffff"), BAD("bbffffffffffffffff"), BAD("bb8000000000000000"),
    BAD("82 9903e8"), BAD("83 82 00 00"), BAD("ba7fffffff0000"), BAD("5bffffffffffffffff"), BAD("7bffffffffffffffff"),
};

static void accepts_and_refuses_appendix_a(void **state)
{
    (void)state;
    assert_int_equal(sizeof appendix_a / sizeof appendix_a[0], 81);
    run(appendix_a, sizeof appendix_a / sizeof appendix_a[0]);
}

static void refuses_appendix_f(void **state)
{
    (void)state;
    run(appendix_f, sizeof appendix_f / sizeof appendix_f[0]);
}

static void keeps_its_own_forms(void **state)
{
    (void)state;
    run(own, sizeof own / sizeof own[0]);
}

static void encodes_every_half(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 65536; half++) {
        uint8_t bytes[3] = { 0xf9, (uint8_t)(half >> 8), (uint8_t)half };
        venv_value value;
        venv_rc rc = venv_cbor_decode(bytes, 3, NULL, &value, NULL);
        bool nan = (half & 0x7c00) == 0x7c00 && (half & 1023);
        assert_int_equal(rc, nan && half != 0x7e00 ? VENV_EINVAL : VENV_OK);
        if (rc != VENV_OK)
            continue;
        uint8_t *again;
        size_t size;
        assert_int_equal(venv_cbor_encode(&value, NULL, &again, &size, NULL), VENV_OK);
        assert_int_equal(size, 3);
        assert_memory_equal(again, bytes, 3);
        free(again);
    }
}

static venv_rc decode_limited(const uint8_t *data, size_t size, uint32_t depth, uint32_t items, size_t bytes)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.depth_max = depth;
    options.item_count_max = items;
    options.byte_count_max = bytes;
    venv_value value = venv_value_null();
    venv_rc rc = venv_cbor_decode(data, size, &options, &value, NULL);
    venv_value_unref(&value);
    return rc;
}

static void keeps_limits(void **state)
{
    (void)state;
    uint8_t nested[VENV_CBOR_DEPTH_MAX + 2];
    memset(nested, 0x81, sizeof nested);
    for (uint32_t depth = 1; depth <= VENV_CBOR_DEPTH_MAX; depth++) {
        nested[depth] = 0x00;
        assert_int_equal(decode_limited(nested, depth + 1, depth, 1000, 1000), VENV_OK);
        assert_int_equal(decode_limited(nested, depth + 1, depth - 1, 1000, 1000), VENV_ELIMIT);
        nested[depth] = 0x81;
    }
    nested[VENV_CBOR_DEPTH_MAX + 1] = 0;
    assert_int_equal(decode_limited(nested, sizeof nested, UINT32_MAX, 1000, 1000), VENV_ELIMIT);

    uint8_t flat[102] = { 0x98, 100 };
    assert_int_equal(decode_limited(flat, 102, 1, 101, 102), VENV_OK);
    assert_int_equal(decode_limited(flat, 102, 1, 100, 102), VENV_ELIMIT);
    assert_int_equal(decode_limited(flat, 102, 1, 101, 101), VENV_ELIMIT);
    assert_int_equal(decode_limited(flat, 102, 0, 101, 102), VENV_ELIMIT);
    assert_int_equal(decode_limited(flat + 2, 1, 0, 0, 102), VENV_ELIMIT);
}

/* Threat T11: what claims much and brings little costs little. */
static void defuses_bombs(void **state)
{
    (void)state;
    static uint8_t bomb[1 << 20];
    const uint8_t heads[] = { 0x81, 0x9f, 0xa1, 0xbf, 0xc1, 0x5f, 0x82, 0x9b, 0xbb, 0xff, 0xd9 };
    for (size_t i = 0; i < sizeof heads; i++) {
        memset(bomb, heads[i], sizeof bomb);
        venv_value value;
        venv_error err = { 0 };
        assert_int_not_equal(venv_cbor_decode(bomb, sizeof bomb, NULL, &value, &err), VENV_OK);
        assert_true(err.text[0]);
    }
    /* A list of lists, each of which claims all that is left. */
    for (size_t i = 0; i + 5 <= sizeof bomb; i += 5) {
        uint32_t rest = (uint32_t)(sizeof bomb - i - 5);
        uint8_t head[5] = { 0x9a, (uint8_t)(rest >> 24), (uint8_t)(rest >> 16), (uint8_t)(rest >> 8), (uint8_t)rest };
        memcpy(bomb + i, head, 5);
    }
    assert_int_equal(decode_limited(bomb, sizeof bomb, 64, UINT32_MAX, sizeof bomb), VENV_EINVAL);
}

/* Encode, decode, encode: equal values, equal bytes; cut anywhere: refused; borrowed: the same. */
static void round_trips_random_values(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 7);
    for (int round = 0; round < 3000; round++) {
        venv_value value = values_draw(&random, 4), back = venv_value_null();
        uint8_t *bytes, *again;
        size_t size, again_size;
        assert_int_equal(venv_cbor_encode(&value, NULL, &bytes, &size, NULL), VENV_OK);
        venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
        options.borrow = round % 2;
        assert_int_equal(venv_cbor_decode(bytes, size, &options, &back, NULL), VENV_OK);
        assert_int_equal(venv_value_compare(&value, &back), 0);
        assert_int_equal(venv_value_hash(&value, 3), venv_value_hash(&back, 3));
        assert_int_equal(venv_cbor_encode(&back, NULL, &again, &again_size, NULL), VENV_OK);
        assert_int_equal(size, again_size);
        assert_memory_equal(bytes, again, size);
        venv_value_unref(&back);
        if (size < 200) {
            for (size_t cut = 0; cut < size; cut++)
                assert_int_not_equal(venv_cbor_decode(bytes, cut, NULL, &back, NULL), VENV_OK);
        }
        venv_value_unref(&value);
        free(bytes);
        free(again);
    }
}

static void appends_to_a_buffer(void **state)
{
    (void)state;
    venv_buf buf;
    venv_buf_init(&buf, 12);
    venv_buf_append(&buf, "head", 4);
    venv_value value = venv_value_literal("seven b");
    assert_int_equal(venv_cbor_append(&buf, &value, NULL, NULL), VENV_OK);
    assert_int_equal(buf.size, 12);
    venv_buf_clear(&buf);
    venv_buf_append(&buf, "head5", 5);
    venv_error err = { 0 };
    assert_int_equal(venv_cbor_append(&buf, &value, NULL, &err), VENV_ELIMIT);
    assert_int_equal(buf.size, 5);
    assert_int_equal(buf.rc, VENV_OK);
    assert_int_equal(buf.max, 12);
    venv_buf_fini(&buf);

    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.byte_count_max = 7;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(venv_cbor_encode(&value, &options, &bytes, &size, &err), VENV_ELIMIT);
    options.byte_count_max = 8;
    assert_int_equal(venv_cbor_encode(&value, &options, &bytes, &size, &err), VENV_OK);
    assert_int_equal(size, 8);
    free(bytes);
    options.item_count_max = 0;
    assert_int_equal(venv_cbor_encode(&value, &options, &bytes, &size, &err), VENV_ELIMIT);
}

/* A value of an extension of the evaluator. */
static void print_secret(const struct venv_object *object, venv_printer *printer)
{
    (void)object;
    venv_printer_put_z(printer, "ip(\"10.0.0.1\")");
}
static const venv_opaque_class secret_class = { .type_name = "net.IP", .print = print_secret };
static struct venv_opaque secret = { .head = { .u.live.refs = VENV_OBJECT_IMMORTAL, .kind = VENV_OPAQUE, .depth = 1 },
                                     .class = &secret_class };

static void refuses_what_cannot_be_sent(void **state)
{
    (void)state;
    venv_list_builder list;
    venv_list_init(&list);
    venv_list_add(&list, venv_value_of_object(&secret.head, VENV_FORM_BORROWED));
    venv_value value;
    assert_int_equal(venv_list_take(&list, &value, NULL), VENV_OK);
    venv_buf buf;
    venv_buf_init(&buf, 100);
    venv_error err = { 0 };
    assert_int_equal(venv_cbor_append(&buf, &value, NULL, &err), VENV_EUNSUPPORTED);
    assert_int_equal(buf.size, 0);
    buf.rc = VENV_ENOMEM;
    assert_int_equal(venv_cbor_append(&buf, &value, NULL, &err), VENV_ENOMEM);
    venv_buf_fini(&buf);
    venv_value_unref(&value);
}

static void refuses_to_encode_beyond_limits(void **state)
{
    (void)state;
    venv_value value = venv_value_int(1);
    for (int i = 0; i < 17; i++) {
        venv_list_builder list;
        venv_list_init(&list);
        venv_list_add(&list, value);
        assert_int_equal(venv_list_take(&list, &value, NULL), VENV_OK);
    }
    uint8_t *bytes;
    size_t size;
    venv_error err = { 0 };
    assert_int_equal(venv_cbor_encode(&value, NULL, &bytes, &size, &err), VENV_ELIMIT);
    assert_non_null(strstr(err.text, "deeper than 16"));
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.depth_max = 17;
    assert_int_equal(venv_cbor_encode(&value, &options, &bytes, &size, &err), VENV_OK);
    free(bytes);
    options.item_count_max = 17;
    assert_int_equal(venv_cbor_encode(&value, &options, &bytes, &size, &err), VENV_ELIMIT);
    assert_non_null(strstr(err.text, "items"));
    venv_value_unref(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_and_refuses_appendix_a), cmocka_unit_test(refuses_appendix_f),
        cmocka_unit_test(keeps_its_own_forms),            cmocka_unit_test(encodes_every_half),
        cmocka_unit_test(keeps_limits),                   cmocka_unit_test(defuses_bombs),
        cmocka_unit_test(round_trips_random_values),      cmocka_unit_test(appends_to_a_buffer),
        cmocka_unit_test(refuses_to_encode_beyond_limits), cmocka_unit_test(refuses_what_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
