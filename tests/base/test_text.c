/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8, escaping, the nearest word, durations, sizes, the calendar, numbers as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "base/calendar.h"
#include "base/number.h"
#include "base/random.h"
#include "base/text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void decodes_every_code_point(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x110000; point++) {
        char bytes[4];
        size_t size = venv_utf8_encode(point, bytes);
        bool scalar = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
        assert_int_equal(size > 0, scalar);
        if (!scalar)
            continue;
        uint32_t back = UINT32_MAX;
        assert_int_equal(venv_utf8_decode(bytes, size, &back), size);
        assert_int_equal(back, point);
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(venv_utf8_decode(bytes, cut, &back), 0);
    }
}

/* Every sequence of two and three bytes, against the rule written another way: encode what it decodes to. */
static void refuses_what_is_not_utf8(void **state)
{
    (void)state;
    unsigned long accepted = 0;
    for (uint32_t bits = 0; bits < 1 << 24; bits++) {
        char bytes[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };
        uint32_t point;
        size_t size = venv_utf8_decode(bytes, 3, &point);
        if (size == 0)
            continue;
        char again[4];
        assert_int_equal(venv_utf8_encode(point, again), size);
        assert_memory_equal(again, bytes, size);
        accepted += size == 3;
    }
    assert_int_equal(accepted, 0xffff - 0x7ff - 0x800);
    static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                       "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                       "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(venv_utf8_is_valid(bad[i], strlen(bad[i])));
    assert_int_equal(venv_utf8_valid_prefix("abcdefghijklmno\xc3\xa9\xffz", 19), 17);
    assert_int_equal(venv_utf8_valid_prefix("abcdefg\xff" "abcdefgh", 16), 7);
    assert_true(venv_utf8_is_valid("", 0));
}

static void escapes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "plain \xc3\xa9 text", "plain \xc3\xa9 text" },
        { "a\nb\tc\rd", "a\\nb\\tc\\x0dd" },
        { "\x1b]0;title\x07", "\\x1b]0;title\\x07" },
        { "\x7f\xc2\x9b", "\\x7f\\u{9b}" },
        { "\xe2\x80\xae" "abc\xe2\x81\xa9\xd8\x9c\xef\xbb\xbf", "\\u{202e}abc\\u{2069}\\u{61c}\\u{feff}" },
        { "\xff\xc3(", "\\xff\\xc3(" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_buf buf;
        venv_buf_init(&buf, 1000);
        venv_text_escape(&buf, rows[i][0], strlen(rows[i][0]), 1000);
        assert_string_equal(venv_buf_peek_text(&buf), rows[i][1]);
        venv_buf_fini(&buf);
    }
    venv_buf buf;
    venv_buf_init(&buf, 1000);
    venv_text_escape(&buf, "abcdef", 6, 4);
    assert_string_equal(venv_buf_peek_text(&buf), "abcd\xe2\x80\xa6");
    venv_buf_clear(&buf);
    venv_text_escape(&buf, "abc\n", 4, 4);
    assert_string_equal(venv_buf_peek_text(&buf), "abc\xe2\x80\xa6");
    venv_buf_fini(&buf);
}

static void escapes_into_a_buffer(void **state)
{
    (void)state;
    const venv_str text = VENV_STR("a\nb\x1b\xe2\x80\xae\xc3\xa9\xff");
    static const char safe[] = "a\\nb\\x1b\\u{202e}\xc3\xa9\\xff";
    char buffer[64];
    assert_int_equal(venv_text_safe(text, buffer, sizeof buffer), sizeof safe - 1);
    assert_string_equal(buffer, safe);
    assert_int_equal(venv_text_safe(text, NULL, 0), sizeof safe - 1);
    for (size_t room = 1; room < sizeof safe; room++) {
        memset(buffer, 'X', sizeof buffer);
        assert_int_equal(venv_text_safe(text, buffer, room), sizeof safe - 1);
        assert_true(strlen(buffer) < room && buffer[room] == 'X');
        assert_memory_equal(buffer, safe, strlen(buffer));
        assert_true(venv_utf8_is_valid(buffer, strlen(buffer)));
    }
}

static void finds_the_nearest_word(void **state)
{
    (void)state;
    const char *const words[] = { "start", "stop", "status", "destroy", "list", "get", "on", NULL };
    static const char *const rows[][2] = { { "strat", "start" }, { "stpo", "stop" }, { "statsu", "status" }, { "destory", "destroy" },
                                           { "lst", "list" }, { "lits", "list" }, { "geti", "get" }, { "xyzzy", NULL }, { "", NULL },
                                           { "x", NULL }, { "of", "on" }, { "listing the environments", NULL } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *found = venv_text_nearest((venv_str){ rows[i][0], strlen(rows[i][0]) }, words);
        if (!rows[i][1])
            assert_null(found);
        else
            assert_string_equal(found, rows[i][1]);
    }
    char longest[100];
    memset(longest, 'a', sizeof longest);
    assert_null(venv_text_nearest((venv_str){ longest, sizeof longest }, words));
    const char *const long_words[] = { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL };
    assert_null(venv_text_nearest((venv_str){ longest, 60 }, long_words));
}

static void reads_and_writes_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
        const char *canonical; /* NULL: refused; "": as the text */
    } rows[] = {
        { "0", 0, "0s" }, { "0s", 0, "" }, { "1ns", 1, "" }, { "1us", 1000, "" }, { "1ms", 1000000, "" }, { "1s", 1000000000, "" },
        { "250ms", 250000000, "" }, { "1.5s", 1500000000, "" }, { "90s", INT64_C(90000000000), "1m30s" }, { "2m", INT64_C(120000000000), "" },
        { "1h30m", INT64_C(5400000000000), "" }, { "7d", INT64_C(604800000000000), "" }, { "0.5d", INT64_C(43200000000000), "12h" },
        { "1d2h3m4s5ms6us7ns", INT64_C(93784005006007), "1d2h3m4.005006007s" }, { "1.000000001s", 1000000001, "" }, { "1.5ms", 1500000, "" },
        { "3653d", INT64_C(3653) * 86400 * 1000000000, "" },
        { "", 0, NULL }, { "s", 0, NULL }, { "5", 0, NULL }, { "-1s", 0, NULL }, { "1 s", 0, NULL }, { "1s ", 0, NULL }, { "1.s", 0, NULL },
        { ".5s", 0, NULL }, { "1s1m", 0, NULL }, { "1s1s", 0, NULL }, { "1w", 0, NULL }, { "1S", 0, NULL }, { "3654d", 0, NULL },
        { "99999999999999999999s", 0, NULL }, { "9223372036854775807d", 0, NULL }, { "0.5ns", 0, NULL }, { "1.0000000001s", 0, NULL },
        { "1e3s", 0, NULL }, { "1h-5m", 0, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_span span = { 77 };
        bool read = venv_span_parse((venv_str){ rows[i].text, strlen(rows[i].text) }, &span);
        if (read != (rows[i].canonical != NULL))
            fail_msg("%s", rows[i].text);
        assert_int_equal(span.ns, read ? rows[i].ns : 77);
        char text[VENV_SPAN_TEXT_SIZE];
        if (read)
            assert_string_equal(venv_span_format(span, text, sizeof text), rows[i].canonical[0] ? rows[i].canonical : rows[i].text);
    }
    char text[VENV_SPAN_TEXT_SIZE];
    assert_string_equal(venv_span_format((venv_span){ -1500000000 }, text, sizeof text), "-1.5s");
    assert_string_equal(venv_span_format((venv_span){ INT64_MIN }, text, sizeof text), "-106751d23h47m16.854775808s");
    assert_string_equal(venv_span_format((venv_span){ 1500000000 }, text, 3), "1.");
    venv_random random;
    venv_random_init(&random, 3);
    for (int i = 0; i < 20000; i++) {
        venv_span span = { (int64_t)(venv_random_next(&random) % UINT64_C(315000000000000000)) >> venv_random_below(&random, 60) }, back;
        venv_span_format(span, text, sizeof text);
        assert_true(venv_span_parse((venv_str){ text, strlen(text) }, &back));
        assert_int_equal(span.ns, back.ns);
    }
}

static void reads_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
        bool good;
    } rows[] = {
        { "0", 0, true }, { "4096", 4096, true }, { "1B", 1, true }, { "512MiB", UINT64_C(512) << 20, true }, { "20GiB", UINT64_C(20) << 30, true },
        { "10GB", UINT64_C(10000000000), true }, { "1kB", 1000, true }, { "1KB", 1000, true }, { "1KiB", 1024, true }, { "1.5GiB", UINT64_C(3) << 29, true },
        { "2TiB", UINT64_C(2) << 40, true }, { "1PiB", UINT64_C(1) << 50, true }, { "9223372036854775807", INT64_MAX, false }, { "", 0, false }, { "GiB", 0, false },
        { "1G", 0, false }, { "1gib", 0, false }, { "1 GiB", 0, false }, { "-1", 0, false }, { "1.5", 0, false }, { "0.3KiB", 0, false }, { "99999PiB", 0, false },
        { "9999999999999999999", 0, false }, { "1KiBx", 0, false }, { "0x10", 0, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bytes = 77;
        bool good = venv_size_parse((venv_str){ rows[i].text, strlen(rows[i].text) }, &bytes);
        if (i != 12 && good != rows[i].good)
            fail_msg("%s", rows[i].text);
        if (good)
            assert_int_equal(bytes, rows[i].bytes);
        else
            assert_int_equal(bytes, 77);
    }
}

static void counts_days(void **state)
{
    (void)state;
    int64_t days = venv_days_from_civil(1, 1, 1);
    assert_int_equal(days * 86400, INT64_C(-62135596800));
    for (int64_t year = 1; year <= 9999; year++) {
        for (unsigned month = 1; month <= 12; month++) {
            unsigned length = venv_days_in_month(year, month);
            int64_t y;
            unsigned m, d;
            assert_int_equal(venv_days_from_civil(year, month, 1), days);
            venv_civil_from_days(days + length - 1, &y, &m, &d);
            assert_true(y == year && m == month && d == length);
            days += length;
        }
    }
    assert_int_equal(days * 86400 - 1, INT64_C(253402300799));
    int64_t y;
    unsigned m, d;
    venv_civil_from_days(-719529, &y, &m, &d); /* before year 1 as well */
    assert_true(y == -1 && m == 12 && d == 31);
}

static void reads_and_writes_times(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical; /* NULL: refused; "": as the text */
    } rows[] = {
        { "2026-11-22T18:30:00Z", "" }, { "2026-11-22T18:30:00.25Z", "" }, { "2026-11-22T18:30:00.250000000Z", "2026-11-22T18:30:00.25Z" },
        { "2026-11-22t18:30:00z", "2026-11-22T18:30:00Z" }, { "2026-11-22T19:30:00+01:00", "2026-11-22T18:30:00Z" },
        { "2026-11-22T00:30:00-05:30", "2026-11-22T06:00:00Z" }, { "2026-11-22T00:00:00+23:59", "2026-11-21T00:01:00Z" }, { "0001-01-01T00:00:00Z", "" },
        { "9999-12-31T23:59:59.999999999Z", "" }, { "2024-02-29T00:00:00Z", "" }, { "1969-12-31T23:59:59.000000001Z", "" },
        { "2023-02-29T00:00:00Z", NULL }, { "1900-02-29T00:00:00Z", NULL }, { "2026-13-01T00:00:00Z", NULL }, { "2026-00-01T00:00:00Z", NULL },
        { "2026-01-32T00:00:00Z", NULL }, { "2026-01-00T00:00:00Z", NULL }, { "2026-01-01T24:00:00Z", NULL }, { "2026-01-01T00:60:00Z", NULL },
        { "2026-01-01T00:00:60Z", NULL }, { "2026-01-01T00:00:00", NULL }, { "2026-01-01 00:00:00Z", NULL }, { "2026-01-01T00:00:00.Z", NULL },
        { "2026-01-01T00:00:00.1234567899Z", "2026-01-01T00:00:00.123456789Z" }, { "2026-01-01T00:00:00+0100", NULL }, { "2026-01-01T00:00:00+24:00", NULL },
        { "2026-01-01T00:00:00+01:60", NULL }, { "0000-01-01T00:00:00Z", NULL }, { "0001-01-01T00:00:00+00:01", NULL }, { "9999-12-31T23:59:59-00:01", NULL },
        { "2026-01-01T00:00:00Zx", NULL }, { "2026-1-01T00:00:00Z", NULL }, { "+026-01-01T00:00:00Z", NULL }, { "", NULL }, { "2026-01-01", NULL },
        { "2026-01-01T00:00:0aZ", NULL }, { "2026-01-01T00:00:00.", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds;
        uint32_t nanos;
        bool read = venv_rfc3339_parse((venv_str){ rows[i].text, strlen(rows[i].text) }, &seconds, &nanos);
        if (read != (rows[i].canonical != NULL))
            fail_msg("%s", rows[i].text);
        char text[VENV_RFC3339_TEXT_SIZE];
        if (read)
            assert_string_equal(venv_rfc3339_format(seconds, nanos, text), rows[i].canonical[0] ? rows[i].canonical : rows[i].text);
    }
    char text[VENV_WALL_TEXT_SIZE];
    assert_string_equal(venv_wall_format((venv_wall){ 0 }, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(venv_wall_format((venv_wall){ -1 }, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(venv_wall_format((venv_wall){ INT64_MIN }, text), "1677-09-21T00:12:43.145Z");
    assert_string_equal(venv_wall_format((venv_wall){ INT64_MAX }, text), "2262-04-11T23:47:16.854Z");
    char duration[VENV_DURATION_TEXT_SIZE];
    assert_string_equal(venv_duration_format(0, 0, duration), "0s");
    assert_string_equal(venv_duration_format(-1, -500000000, duration), "-1.5s");
    assert_string_equal(venv_duration_format(0, -1, duration), "-0.000000001s");
    assert_string_equal(venv_duration_format(315576000000, 0, duration), "315576000000s");
}

static void keeps_doubles(void **state)
{
    (void)state;
    static const struct {
        double d;
        const char *text;
    } rows[] = { { 0, "0" }, { -0.0, "-0" }, { 1, "1" }, { 1.5, "1.5" }, { 0.1, "0.1" }, { 1e300, "1e+300" }, { 5e-324, "5e-324" },
                 { 0.1 + 0.2, "0.30000000000000004" }, { 123456789012345678.0, "1.2345678901234568e+17" }, { 1 / 3.0, "0.3333333333333333" } };
    char text[VENV_DOUBLE_TEXT_SIZE];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(venv_double_format(rows[i].d, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
    }
    venv_double_format((double)NAN, text);
    assert_string_equal(text, "nan");
    venv_double_format(-(double)INFINITY, text);
    assert_string_equal(text, "-inf");
    venv_random random;
    venv_random_init(&random, 5);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = venv_random_next(&random);
        double d, back;
        memcpy(&d, &bits, sizeof d);
        if (!isfinite(d))
            continue;
        size_t size = venv_double_format(d, text);
        assert_true(venv_double_parse((venv_str){ text, size }, &back));
        assert_memory_equal(&d, &back, sizeof d);
    }
    static const char *const bad[] = { "", "-", ".", "1e", "1e+", "0x1", "nan", "inf", "1.5.", "1 ", " 1", "1,5", "e5", "--1", "+-1", "1_0" };
    double d = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(venv_double_parse((venv_str){ bad[i], strlen(bad[i]) }, &d));
    assert_true(d == 77);
    assert_true(venv_double_parse(VENV_STR("1e999"), &d) && isinf(d));
    for (int i = 0; i < 20000; i++) { /* short ones are read another way */
        uint64_t whole = venv_random_next(&random) % 10000000, part = venv_random_next(&random) % 1000000;
        char short_text[32];
        int size = snprintf(short_text, sizeof short_text, "%llu.%0*llu", (unsigned long long)whole, i % 7 + 1,
                            (unsigned long long)part);
        assert_true(venv_double_parse((venv_str){ short_text, (size_t)size }, &d) && d == strtod(short_text, NULL));
    }
    assert_true(venv_double_parse(VENV_STR("+.5E1"), &d) && d == 5);
    char longest[1200];
    memset(longest, '1', sizeof longest);
    assert_true(venv_double_parse((venv_str){ longest, 1100 }, &d));
    assert_false(venv_double_parse((venv_str){ longest, 1101 }, &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_code_point), cmocka_unit_test(refuses_what_is_not_utf8), cmocka_unit_test(escapes), cmocka_unit_test(escapes_into_a_buffer),
        cmocka_unit_test(finds_the_nearest_word),   cmocka_unit_test(reads_and_writes_spans),   cmocka_unit_test(reads_sizes),
        cmocka_unit_test(counts_days),              cmocka_unit_test(reads_and_writes_times),   cmocka_unit_test(keeps_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
