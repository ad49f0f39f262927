/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML: the core schema, what is refused and where the error points, marks, and the bombs of threat
 * T13, whose cost is bounded by what libyaml may read ahead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <venv/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static venv_rc parse(const char *text, venv_value *ret_value, venv_yaml_marks **ret_marks, venv_error *err)
{
    return venv_yaml_parse(text, strlen(text), "f.yaml", ret_value, ret_marks, err);
}

static void resolves_the_core_schema(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "a: 1", "{\"a\": 1}" },
        { "null", "null" }, { "Null", "null" }, { "NULL", "null" }, { "~", "null" }, { "", "null" }, { "a:", "{\"a\": null}" },
        { "nUll", "\"nUll\"" }, { "true", "true" }, { "True", "true" }, { "FALSE", "false" }, { "tRue", "\"tRue\"" },
        { "yes", "\"yes\"" }, { "no", "\"no\"" }, { "on", "\"on\"" }, { "off", "\"off\"" }, { "y", "\"y\"" }, { "n", "\"n\"" },
        { "0", "0" }, { "-0", "0" }, { "+12", "12" }, { "007", "7" }, { "0o17", "15" }, { "0x1F", "31" },
        { "0o8", "\"0o8\"" }, { "0x", "\"0x\"" }, { "0b1", "\"0b1\"" }, { "1_000", "\"1_000\"" }, { "-0x1", "\"-0x1\"" },
        { "9223372036854775807", "9223372036854775807" }, { "9223372036854775808", "9223372036854775808u" },
        { "18446744073709551615", "18446744073709551615u" }, { "-9223372036854775808", "-9223372036854775808" },
        { "1.5", "1.5" }, { "1.", "1.0" }, { ".5", "0.5" }, { "-1e3", "-1000.0" }, { "1e", "\"1e\"" }, { "+.inf", "double(\"Infinity\")" },
        { "-.INF", "double(\"-Infinity\")" }, { ".nan", "double(\"NaN\")" }, { ".", "\".\"" }, { "+", "\"+\"" }, { "-.", "\"-.\"" },
        { "1:30", "\"1:30\"" }, { "2026-11-22", "\"2026-11-22\"" }, { "30s", "\"30s\"" }, { "2GiB", "\"2GiB\"" }, { "1.2.3.4", "\"1.2.3.4\"" },
        { "'1'", "\"1\"" }, { "\"true\"", "\"true\"" }, { "''", "\"\"" }, { "\"a\\tb\\u00e9\"", "\"a\\tb\xc3\xa9\"" },
        { "|\n  a\n  b\n", "\"a\\nb\\n\"" }, { ">-\n  a\n  b\n", "\"a b\"" },
        { "[a, 1, [], {}]", "[\"a\", 1, [], {}]" }, { "- a\n- - 1\n  - 2\n", "[\"a\", [1, 2]]" },
        { "{b: 1, a: 2, aa: 3, 1: x, true: y, '<<': z}", "{1: \"x\", \"a\": 2, \"b\": 1, \"<<\": \"z\", \"aa\": 3, true: \"y\"}" },
        { "# only a comment\n", "null" }, { "---\na: 1\n...\n", "{\"a\": 1}" }, { "\xef\xbb\xbf" "a: 1", "{\"a\": 1}" },
        { "a: \"x # y\" # z", "{\"a\": \"x # y\"}" }, { "a: x#y", "{\"a\": \"x#y\"}" },
        { "when: 'queue(\"a\").pending > 0 && x'", "{\"when\": \"queue(\\\"a\\\").pending > 0 && x\"}" },
        { "a: |\n  %x\n", "{\"a\": \"%x\\n\"}" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_value value;
        venv_error err = { 0 };
        char text[256];
        if (parse(rows[i][0], &value, NULL, &err) != VENV_OK)
            fail_msg("%s: %s", rows[i][0], err.text);
        venv_value_print(&value, text, sizeof text);
        assert_string_equal(text, rows[i][1]);
        venv_value_unref(&value);
    }
}

typedef struct bad_row {
    const char *text;
    venv_rc rc;
    unsigned line, column;
    const char *says;
} bad_row;

static void refuses_with_a_place(void **state)
{
    (void)state;
    static const bad_row rows[] = {
        { "a: &x 1\nb: *x\n", VENV_EINVAL, 1, 4, "anchors" },
        { "a: 1\nb: *x\n", VENV_EINVAL, 2, 4, "aliases" },
        { "a: [&x [1]]", VENV_EINVAL, 1, 5, "anchors" },
        { "a: {&x b: 1}", VENV_EINVAL, 1, 5, "anchors" },
        { "a: !!str 1", VENV_EINVAL, 1, 4, "tags" },
        { "a: !x [1]", VENV_EINVAL, 1, 4, "tags" },
        { "a: ! 1", VENV_EINVAL, 1, 4, "tags" },
        { "!!map {a: 1}", VENV_EINVAL, 1, 1, "tags" },
        { "a: 1\n<<: {b: 1}\n", VENV_EINVAL, 2, 1, "merge keys" },
        { "%YAML 1.1\n---\na: 1\n", VENV_EINVAL, 1, 1, "directives" },
        { "a: 1\n%TAG ! x\n", VENV_EINVAL, 2, 1, "directives" },
        { "a: 1\n---\nb: 1\n", VENV_EINVAL, 2, 1, "second document" },
        { "a: 1\nb: 2\na: 3\n", VENV_EEXIST, 3, 1, "line 1" },
        { "x:\n  - {k: 1, \"k\": 2}\n", VENV_EEXIST, 2, 12, "\"k\"" },
        { "[1]: 2", VENV_EINVAL, 1, 1, "key" },
        { "{{a: 1}: 2}", VENV_EINVAL, 1, 2, "key" },
        { "? [a]\n: 1\n", VENV_EINVAL, 1, 3, "key" },
        { "null: 1", VENV_EINVAL, 1, 1, "quote it" },
        { "a:\n  1.5: 1", VENV_EINVAL, 2, 3, "quote it" },
        { "a: 18446744073709551616", VENV_ERANGE, 1, 4, "too large" },
        { "a: 1e999", VENV_ERANGE, 1, 4, "too large" },
        { "a: 0x1ffffffffffffffff", VENV_ERANGE, 1, 4, "too large" },
        { "a: [1, 2\nb: 3\n", VENV_EINVAL, 2, 2, "not valid YAML" },
        { "a: 'x\n", VENV_EINVAL, 2, 1, "not valid YAML" },
        { "a: b: c\n", VENV_EINVAL, 1, 5, "not valid YAML" },
        { "\ta: 1\n", VENV_EINVAL, 1, 1, "not valid YAML" },
        { "a: 1\n b: 2\n", VENV_EINVAL, 2, 3, "not valid YAML" },
        { "a: \xff\n", VENV_EINVAL, 1, 4, "UTF-8" },
        { "a: 1\nb: x\xc3\x28\n", VENV_EINVAL, 2, 5, "UTF-8" },
        { "\xc3\xa9: \xc3\xa9\n\xc3\xa9\xc3\xa9: *x\n", VENV_EINVAL, 2, 7, "aliases" }, /* columns are in bytes */
        { "a: \xc3\xa9\r\nb: \xc3\xa9\rc: \xe2\x82\xac\n\xc3\xa9: \xc3\xa9*\n\xc3\xa9: 1\n", VENV_EEXIST, 5, 1, "line 4" },
        { "a: 1\xc2\x85" "b: *x\n", VENV_EINVAL, 2, 4, "aliases" },
        { "a: 1\xe2\x80\xa8" "b: *x\n", VENV_EINVAL, 2, 4, "aliases" },
        { "a: \x01\n", VENV_EINVAL, 1, 1, "control characters" },
        { "a: \"\\ud800\"\n", VENV_EINVAL, 1, 4, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_value value = venv_value_null();
        venv_yaml_marks *marks = NULL;
        venv_error err = { 0 };
        venv_rc rc = parse(rows[i].text, &value, &marks, &err);
        char text[800];
        venv_error_format(&err, text, sizeof text);
        if (rc != rows[i].rc || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s: %s", rows[i].text, venv_rc_name(rc), text);
        if (err.line != rows[i].line || (rows[i].says[0] && err.column != rows[i].column))
            fail_msg("%s: place is %s", rows[i].text, text);
        assert_string_equal(err.file, "f.yaml");
        assert_null(marks);
    }
}

static void marks_every_value(void **state)
{
    (void)state;
    const char *text = "agent:\n"
                       "  name: node07\n"
                       "  groups: [default, hypervisor,\n"
                       "           \"8-core\"]\n"
                       "properties:\n"
                       "  memfree: {command: [ram, MemFree], every: 60}\n"
                       "  \xc3\xa9: {a: \xc3\xa9, b: 2}\n"
                       "when: |\n"
                       "  x\n";
    venv_value value;
    venv_yaml_marks *marks;
    assert_int_equal(parse(text, &value, &marks, NULL), VENV_OK);
    const venv_mark *root = venv_yaml_marks_root(marks);
    static const struct {
        const char *path;
        unsigned line, column, key_line, key_column;
        venv_mark_style style;
    } rows[] = {
        { "", 1, 1, 1, 1, VENV_MARK_PLAIN },
        { "agent", 2, 3, 1, 1, VENV_MARK_PLAIN },
        { "agent.name", 2, 9, 2, 3, VENV_MARK_PLAIN },
        { "agent.groups", 3, 11, 3, 3, VENV_MARK_PLAIN },
        { "agent.groups[1]", 3, 21, 3, 21, VENV_MARK_PLAIN },
        { "agent.groups[2]", 4, 12, 4, 12, VENV_MARK_DOUBLE },
        { "properties.memfree.command[1]", 6, 28, 6, 28, VENV_MARK_PLAIN },
        { "properties.memfree.every", 6, 45, 6, 38, VENV_MARK_PLAIN },
        { "properties.\xc3\xa9.b", 7, 18, 7, 15, VENV_MARK_PLAIN },
        { "when", 8, 7, 8, 1, VENV_MARK_LITERAL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const venv_mark *mark = venv_mark_find(root, &value, rows[i].path);
        if (!mark || mark->line != rows[i].line || mark->column != rows[i].column || mark->key_line != rows[i].key_line ||
            mark->key_column != rows[i].key_column || mark->style != rows[i].style)
            fail_msg("%s: %u:%u key %u:%u", rows[i].path, mark ? mark->line : 0, mark ? mark->column : 0,
                     mark ? mark->key_line : 0, mark ? mark->key_column : 0);
        assert_string_equal(mark->file, "f.yaml");
    }
    static const char *const nowhere[] = { "x", "agent.x", "agent.groups[3]", "agent.groups[", "agent.groups[x]", "agent.name.x",
                                           "agent.groups[99999999999999999999]", ".", "agent..name", "[0]" };
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        assert_null(venv_mark_find(root, &value, nowhere[i]));
    assert_ptr_equal(venv_mark_get(root, &value, "agent"), venv_mark_find(root, &value, "agent"));
    assert_null(venv_mark_get(NULL, &value, "agent"));
    assert_null(venv_mark_at(root, 3));
    /* Marks do not need the value. */
    venv_value_unref(&value);
    venv_error err = { 0 };
    venv_error_set(&err, VENV_ERANGE, "too much");
    assert_int_equal(venv_mark_blame(venv_mark_at(root, 0), &err), VENV_ERANGE);
    char line[800];
    assert_string_equal(venv_error_format(&err, line, sizeof line), "f.yaml:8:7: too much");
    venv_yaml_marks_free(marks);
    venv_yaml_marks_free(NULL);
}

static char *repeat(const char *unit, size_t size)
{
    char *text = malloc(size);
    size_t length = strlen(unit);
    for (size_t i = 0; i < size; i++)
        text[i] = unit[i % length];
    return text;
}

static double seconds_of_process(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Threat T13. The processor time is not what is asserted on a shared machine, but a cost that grows
 * with the square of the size would take minutes here, and so is caught. */
static void defuses_bombs(void **state)
{
    (void)state;
    static const char *const units[] = {
        "[", "{", "{a: ", "[{a: ", "- ", "? ", "a: ", ": ", "&a ", "*a ", "!a ", "!<a> ", "%TAG !a! b\n", "'", "\"", "\"\\", "\\",
        "|\n", ">\n", "#", "\n", " ", "\t", "---\n", "...\n", "a\n", "[]", "[],", "{},", "- [", "? {", "-\n ", "a:\n ", "\r", "\xc2\x85",
        "[a, ", "{a, ", "'a' ", "\"a\": ", ",", "]", "}", "[\"", "a: |\n", "\xef\xbb\xbf", "@", "`", "%", "&", "*", "!", "- a: ", "[?",
        "{? ", "[: ", "!!", "!<",
    };
    const size_t sizes[] = { 64 * 1024, VENV_YAML_BYTES_MAX, VENV_YAML_BYTES_MAX + 1 };
    double start = seconds_of_process();
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        for (size_t s = 0; s < 3; s++) {
            char *text = repeat(units[i], sizes[s]);
            venv_value value = venv_value_null();
            venv_yaml_marks *marks = NULL;
            venv_error err = { 0 };
            venv_rc rc = venv_yaml_parse(text, sizes[s], "bomb", &value, &marks, &err);
            if (s == 2)
                assert_int_equal(rc, VENV_ELIMIT);
            if (rc != VENV_OK)
                assert_true(err.text[0]);
            venv_value_unref(&value);
            venv_yaml_marks_free(marks);
            free(text);
        }
    }
    assert_true(seconds_of_process() - start < 60);
}

static void refuses_known_bombs_by_name(void **state)
{
    (void)state;
    char *brackets = repeat("[", 64 * 1024), *braces = repeat("{a: ", 64 * 1024);
    venv_value value;
    venv_error err = { 0 };
    assert_int_equal(venv_yaml_parse(brackets, 64 * 1024, "f", &value, NULL, &err), VENV_ELIMIT);
    assert_non_null(strstr(err.text, "deeper than 64"));
    assert_int_equal(err.column, 65);
    assert_int_equal(venv_yaml_parse(braces, 64 * 1024, "f", &value, NULL, &err), VENV_ELIMIT);
    assert_int_equal(err.column, 64 * 4 + 1);
    free(brackets);
    free(braces);
    /* Billion laughs. */
    const char *laughs = "a: &a [lol, lol, lol]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n";
    assert_int_equal(parse(laughs, &value, NULL, &err), VENV_EINVAL);
    assert_int_equal(err.line, 1);
    assert_int_equal(err.column, 4);
    /* Too many events. */
    char *many = repeat(" a,", 300000);
    many[0] = '[';
    assert_int_equal(venv_yaml_parse(many, 300000, "f", &value, NULL, &err), VENV_ELIMIT);
    assert_non_null(strstr(err.text, "100000"));
    free(many);
}

static void allows_the_limits(void **state)
{
    (void)state;
    char text[64 * 2 + 1];
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    text[128] = '\0';
    venv_value value;
    assert_int_equal(parse(text, &value, NULL, NULL), VENV_OK);
    venv_value_unref(&value);
    char *wide = malloc(VENV_YAML_BYTES_MAX);
    memset(wide, 'x', VENV_YAML_BYTES_MAX);
    assert_int_equal(venv_yaml_parse(wide, VENV_YAML_BYTES_MAX, "f", &value, NULL, NULL), VENV_OK);
    assert_int_equal(venv_value_peek_text(&value).size, VENV_YAML_BYTES_MAX);
    venv_value_unref(&value);
    free(wide);
    venv_yaml_marks *marks;
    assert_int_equal(venv_yaml_parse("", 0, NULL, &value, &marks, NULL), VENV_OK);
    assert_null(venv_yaml_marks_root(marks)->file);
    venv_yaml_marks_free(marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves_the_core_schema),
        cmocka_unit_test(refuses_with_a_place),
        cmocka_unit_test(marks_every_value),
        cmocka_unit_test(defuses_bombs),
        cmocka_unit_test(refuses_known_bombs_by_name),
        cmocka_unit_test(allows_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
