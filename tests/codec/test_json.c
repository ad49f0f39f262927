/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: what is read, what is refused and where, what each kind is printed as, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "codec/json.h"
#include "value/object.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Exact memory, so that the address sanitizer sees a read past its end. */
static venv_rc parse(const char *text, size_t size, venv_value *ret_value, venv_error *err)
{
    char *exact = malloc(size ? size : 1);
    memcpy(exact, text, size);
    venv_rc rc = venv_json_parse(exact, size, 0, ret_value, err);
    free(exact);
    return rc;
}

static void reads_and_prints(void **state)
{
    (void)state;
    /* Text, the value printed in CEL's syntax, and compact JSON (NULL: as the text). */
    static const char *const rows[][3] = {
        { "null", "null", NULL },
        { "true", "true", NULL },
        { " false\n", "false", "false" },
        { "0", "0", NULL },
        { "-0", "0", "0" },
        { "-0.0", "-0.0", NULL },
        { "-12", "-12", NULL },
        { "9223372036854775807", "9223372036854775807", NULL },
        { "-9223372036854775808", "-9223372036854775808", NULL },
        { "9223372036854775808", "9223372036854775808u", NULL },
        { "18446744073709551615", "18446744073709551615u", NULL },
        { "1.0", "1.0", NULL },
        { "1e3", "1000.0", "1000.0" },
        { "1E+300", "1e+300", "1e+300" },
        { "0.1", "0.1", NULL },
        { "\"\"", "\"\"", NULL },
        { "\"a\\u0000b\"", "\"a\\u0000b\"", NULL },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
        { "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
        { "\"\xe2\x80\xae\"", "\"\\u202e\"", "\"\\u202e\"" },
        { "\"a longer text that is no longer inline\"", "\"a longer text that is no longer inline\"", NULL },
        { "[]", "[]", NULL },
        { "{}", "{}", NULL },
        { "[1,[2,[]],{}]", "[1, [2, []], {}]", NULL },
        { "{\"bb\":1,\"a\":[true],\"c\":{\"x\":null}}", "{\"a\": [true], \"c\": {\"x\": null}, \"bb\": 1}",
          "{\"a\":[true],\"c\":{\"x\":null},\"bb\":1}" },
        { "{\"\\u0061\":1}", "{\"a\": 1}", "{\"a\":1}" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_value value;
        venv_error err = { 0 };
        char text[256], *json;
        if (parse(rows[i][0], strlen(rows[i][0]), &value, &err) != VENV_OK)
            fail_msg("%s: %s", rows[i][0], err.text);
        venv_value_print(&value, text, sizeof text);
        assert_string_equal(text, rows[i][1]);
        assert_int_equal(venv_json_print(&value, VENV_JSON_COMPACT, &json, NULL, NULL), VENV_OK);
        assert_string_equal(json, rows[i][2] ? rows[i][2] : rows[i][0]);
        free(json);
        venv_value_unref(&value);
    }
}

static void refuses_with_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        venv_rc rc;
        unsigned line, column; /* column 0: not looked at */
        const char *says;
    } rows[] = {
        { "", VENV_EINVAL, 1, 1, "not valid JSON" },
        { " \n ", VENV_EINVAL, 2, 2, "not valid JSON" },
        { "[1,2", VENV_EINVAL, 1, 5, "not valid JSON" },
        { "[1,\n 2,\n x]", VENV_EINVAL, 3, 0, "not valid JSON" },
        { "[1,]", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "{\"a\":1,}", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "{a:1}", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "1 2", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "[] []", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "01", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "1.", VENV_EINVAL, 1, 0, "not valid JSON" },
        { ".5", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "+1", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "-", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "1e", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "nul", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "NaN", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "Infinity", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "'a'", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "\"a", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "\"\n\"", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "\"\\x\"", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "\"\\u12\"", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "// c\n1", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "/* c */1", VENV_EINVAL, 1, 0, "not valid JSON" },
        { "\"\xff\"", VENV_EINVAL, 1, 0, "" },
        { "\"\xc0\x80\"", VENV_EINVAL, 1, 0, "" },
        { "\"\xed\xa0\x80\"", VENV_EINVAL, 1, 0, "UTF-8" },
        { "[\n\"\\ud800\"]", VENV_EINVAL, 2, 2, "half of a character" },
        { "\"\\udc00\"", VENV_EINVAL, 1, 2, "half of a character" },
        { "\"\\ud800\\ud800\"", VENV_EINVAL, 1, 2, "half of a character" },
        { "\"\\ud800x\"", VENV_EINVAL, 1, 2, "half of a character" },
        { "18446744073709551616", VENV_ERANGE, 1, 0, "too large" },
        { "[1, -9223372036854775809]", VENV_ERANGE, 1, 5, "too large" },
        { "[1e999]", VENV_ERANGE, 1, 2, "too large" },
        { "{\"a\": 1,\n \"b\": 2,\n \"a\": 3}", VENV_EEXIST, 3, 2, "\"a\"" },
        { "{\"a\": 1, \"\\u0061\": 3}", VENV_EEXIST, 1, 0, "\"a\"" },
        { "[{\"x\": {\"a\": 1, \"a\": 1}}]", VENV_EEXIST, 1, 17, "\"a\"" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_value value = venv_value_null();
        venv_error err = { 0 };
        char text[800];
        venv_rc rc = parse(rows[i].text, strlen(rows[i].text), &value, &err);
        venv_error_format(&err, text, sizeof text);
        if (rc != rows[i].rc || !strstr(err.text, rows[i].says) || err.line != rows[i].line ||
            (rows[i].column && err.column != rows[i].column) || !err.column)
            fail_msg("%s: %s: %s", rows[i].text, venv_rc_name(rc), text);
    }
    venv_value value;
    assert_int_equal(parse("1\0", 2, &value, NULL), VENV_EINVAL);
}

static void prints_kinds_that_json_lacks(void **state)
{
    (void)state;
    venv_map_builder map;
    venv_map_init(&map);
    venv_value value, bytes;
    assert_int_equal(venv_value_bytes("\x01\x02\xff\xfe", 4, &bytes, NULL), VENV_OK);
    venv_map_put(&map, "bytes", bytes);
    venv_map_put(&map, "inf", venv_value_double(-1 / 0.0));
    venv_map_put(&map, "nan", venv_value_double(0.0 / 0.0));
    venv_map_put(&map, "span", venv_value_from_span((venv_span){ -1500000000 }));
    venv_map_put(&map, "time", venv_value_from_wall((venv_wall){ 1500000000 }));
    venv_map_put(&map, "type", venv_value_type("google.protobuf.Timestamp"));
    venv_map_put(&map, "uint", venv_value_uint(5));
    venv_map_put_value(&map, venv_value_int(7), venv_value_null());
    venv_map_put_value(&map, venv_value_bool(true), venv_value_null());
    venv_map_put_value(&map, venv_value_uint(8), venv_value_null());
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    char *text;
    size_t size;
    assert_int_equal(venv_json_print(&value, VENV_JSON_COMPACT, &text, &size, NULL), VENV_OK);
    assert_string_equal(text, "{\"7\":null,\"inf\":\"-Infinity\",\"nan\":\"NaN\",\"span\":\"-1.5s\","
                              "\"time\":\"1970-01-01T00:00:01.5Z\",\"type\":\"google.protobuf.Timestamp\",\"uint\":5,"
                              "\"bytes\":\"AQL//g==\",\"8\":null,\"true\":null}");
    assert_int_equal(size, strlen(text));
    free(text);
    venv_value_unref(&value);

    static const char *const base64[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
                                             { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
    for (size_t i = 0; i < sizeof base64 / sizeof base64[0]; i++) {
        assert_int_equal(venv_value_bytes(base64[i][0], strlen(base64[i][0]), &bytes, NULL), VENV_OK);
        assert_int_equal(venv_json_print(&bytes, VENV_JSON_COMPACT, &text, NULL, NULL), VENV_OK);
        assert_memory_equal(text + 1, base64[i][1], strlen(base64[i][1]));
        assert_int_equal(strlen(text), strlen(base64[i][1]) + 2);
        free(text);
    }
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

static void prints_opaque_values_as_text(void **state)
{
    (void)state;
    venv_value value = venv_value_of_object(&secret.head, VENV_FORM_BORROWED);
    char *text;
    assert_int_equal(venv_json_print(&value, VENV_JSON_COMPACT, &text, NULL, NULL), VENV_OK);
    assert_string_equal(text, "\"ip(\\\"10.0.0.1\\\")\"");
    free(text);
}

static void refuses_keys_that_become_one(void **state)
{
    (void)state;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "5", venv_value_null());
    venv_map_put_value(&map, venv_value_int(5), venv_value_null());
    venv_value value;
    char *text;
    venv_error err = { 0 };
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    assert_int_equal(venv_json_print(&value, VENV_JSON_COMPACT, &text, NULL, &err), VENV_EEXIST);
    assert_non_null(strstr(err.text, "both 5 and \"5\""));
    venv_value_unref(&value);
}

static void prints_pretty(void **state)
{
    (void)state;
    venv_value value;
    const char *json = "{\"a\":[1,{}],\"b\":{\"c\":[]}}";
    char *text;
    assert_int_equal(parse(json, strlen(json), &value, NULL), VENV_OK);
    assert_int_equal(venv_json_print(&value, VENV_JSON_PRETTY, &text, NULL, NULL), VENV_OK);
    assert_string_equal(text, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}\n");
    free(text);
    venv_buf buf;
    venv_buf_init(&buf, 10);
    venv_buf_append(&buf, "x", 1);
    venv_error err = { 0 };
    assert_int_equal(venv_json_append(&buf, &value, VENV_JSON_COMPACT, &err), VENV_ELIMIT);
    assert_string_equal(venv_buf_peek_text(&buf), "x");
    venv_buf_fini(&buf);
    venv_value_unref(&value);
}

static void keeps_limits(void **state)
{
    (void)state;
    char text[64 * 2 + 2];
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    venv_value value;
    venv_error err = { 0 };
    assert_int_equal(parse(text, 130, &value, &err), VENV_ELIMIT);
    assert_int_equal(err.column, 65);
    assert_int_equal(parse(text + 1, 128, &value, &err), VENV_OK);
    venv_value_unref(&value);
    assert_int_equal(venv_json_parse("[1, 2]", 6, 5, &value, &err), VENV_ELIMIT);
    assert_int_equal(venv_json_parse("[1, 2]", 6, 6, &value, &err), VENV_OK);
    venv_value_unref(&value);

    static const char *const units[] = { "[", "{\"a\":", "[{\"a\":", "\"", "\\", "1", "-", "[]", " ", "\\ud800", "\"\\u" };
    char *bomb = malloc(1 << 20);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(units[i]);
        for (size_t at = 0; at < 1 << 20; at++)
            bomb[at] = units[i][at % length];
        err = (venv_error){ 0 };
        assert_int_not_equal(venv_json_parse(bomb, 1 << 20, 0, &value, &err), VENV_OK);
        assert_true(err.text[0]);
    }
    assert_int_equal(venv_json_parse(bomb, (1 << 20) + 1, 0, &value, &err), VENV_ELIMIT);
    free(bomb);
}

/* A program that embeds the library may have set a locale in which the decimal point is a comma. */
static void does_not_depend_on_the_locale(void **state)
{
    (void)state;
    static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "it_IT.UTF-8", "C.UTF-8" };
    for (size_t i = 0; i < 4 && !setlocale(LC_NUMERIC, names[i]); i++)
        continue;
    venv_value value;
    char *text;
    assert_int_equal(parse("1.5", 3, &value, NULL), VENV_OK);
    assert_int_equal(venv_json_print(&value, VENV_JSON_COMPACT, &text, NULL, NULL), VENV_OK);
    assert_string_equal(text, "1.5");
    free(text);
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_prints),
        cmocka_unit_test(refuses_with_a_place),
        cmocka_unit_test(prints_kinds_that_json_lacks),
        cmocka_unit_test(refuses_keys_that_become_one),
        cmocka_unit_test(prints_opaque_values_as_text),
        cmocka_unit_test(prints_pretty),
        cmocka_unit_test(keeps_limits),
        cmocka_unit_test(does_not_depend_on_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
