/* SPDX-License-Identifier: Apache-2.0 */
/* What commands print, as values: what is accepted, what is not, and why. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <venv/property.h>

#include <stdlib.h>
#include <string.h>

static venv_rc parse(venv_property_type type, const char *text, venv_value *ret_value, venv_error *err)
{
    return venv_property_parse(type, (venv_str){ text, strlen(text) }, ret_value, err);
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        venv_property_type type;
        const char *text, *printed;
    } rows[] = {
        { VENV_PROPERTY_INT, "42\n", "42" },
        { VENV_PROPERTY_INT, "  -7\t\r\n", "-7" },
        { VENV_PROPERTY_INT, "+7", "7" },
        { VENV_PROPERTY_INT, "007", "7" },
        { VENV_PROPERTY_INT, "9223372036854775807", "9223372036854775807" },
        { VENV_PROPERTY_INT, "-9223372036854775808", "-9223372036854775808" },
        { VENV_PROPERTY_DOUBLE, "81.5\n", "81.5" },
        { VENV_PROPERTY_DOUBLE, "-1e3", "-1000.0" },
        { VENV_PROPERTY_BOOL, "true\n", "true" },
        { VENV_PROPERTY_BOOL, "no", "false" },
        { VENV_PROPERTY_BOOL, "1", "true" },
        { VENV_PROPERTY_STRING, "6.1.0\n", "\"6.1.0\"" },
        { VENV_PROPERTY_STRING, "", "\"\"" },
        { VENV_PROPERTY_STRING, " two\nlines\n", "\" two\\nlines\"" },
        { VENV_PROPERTY_JSON, " [1, 2]\n", "[1, 2]" },
        { VENV_PROPERTY_JSON, "{\"a\": null}", "{\"a\": null}" },
        { VENV_PROPERTY_JSON, "3", "3" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venv_value value = venv_value_null();
        venv_error err = { 0 };
        char text[128];
        if (parse(rows[i].type, rows[i].text, &value, &err) != VENV_OK)
            fail_msg("row %zu: %s", i, err.text);
        assert_true(venv_property_type_accepts(rows[i].type, &value));
        venv_value_print(&value, text, sizeof(text));
        assert_string_equal(text, rows[i].printed);
        venv_value_unref(&value);
    }
}

static void test_nonsense(void **state)
{
    (void)state;
    static const struct {
        venv_property_type type;
        const char *text;
        venv_rc rc;
        const char *says;
    } rows[] = {
        { VENV_PROPERTY_INT, "", VENV_EINVAL, "decimal digits" },
        { VENV_PROPERTY_INT, "-", VENV_EINVAL, "decimal digits" },
        { VENV_PROPERTY_INT, "12 13", VENV_EINVAL, "'12 13'" },
        { VENV_PROPERTY_INT, "12kB", VENV_EINVAL, "'12kB'" },
        { VENV_PROPERTY_INT, "1.5", VENV_EINVAL, "is not an int" },
        { VENV_PROPERTY_INT, "0x10", VENV_EINVAL, "is not an int" },
        { VENV_PROPERTY_INT, "9223372036854775808", VENV_ERANGE, "64 bits" },
        { VENV_PROPERTY_INT, "-9223372036854775809", VENV_ERANGE, "64 bits" },
        { VENV_PROPERTY_INT, "99999999999999999999999999", VENV_ERANGE, "64 bits" },
        { VENV_PROPERTY_DOUBLE, "nan", VENV_EINVAL, "is not a double" },
        { VENV_PROPERTY_DOUBLE, "inf", VENV_EINVAL, "is not a double" },
        { VENV_PROPERTY_DOUBLE, "1e999", VENV_ERANGE, "too large" },
        { VENV_PROPERTY_DOUBLE, "1,5", VENV_EINVAL, "is not a double" },
        { VENV_PROPERTY_BOOL, "maybe", VENV_EINVAL, "true or false" },
        { VENV_PROPERTY_BOOL, "", VENV_EINVAL, "true or false" },
        { VENV_PROPERTY_STRING, "\xff\xfe", VENV_EINVAL, "UTF-8" },
        { VENV_PROPERTY_JSON, "", VENV_EINVAL, "nothing" },
        { VENV_PROPERTY_JSON, "{", VENV_EINVAL, "not JSON" },
        { VENV_PROPERTY_JSON, "{\"a\":1} x", VENV_EINVAL, "not JSON" },
        { VENV_PROPERTY_INT, "\x1b[31mred", VENV_EINVAL, "\\x1b[31mred" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venv_value value = venv_value_int(5);
        venv_error err = { 0 };
        assert_int_equal(parse(rows[i].type, rows[i].text, &value, &err), rows[i].rc);
        if (!strstr(err.text, rows[i].says))
            fail_msg("row %zu says: %s", i, err.text);
        assert_int_equal(venv_value_peek_int(&value), 5); /* untouched */
    }
}

static void test_large(void **state)
{
    (void)state;
    char *text = malloc(1 << 20);
    assert_non_null(text);
    memset(text, 'x', 1 << 20);
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    assert_int_equal(venv_property_parse(VENV_PROPERTY_STRING, (venv_str){ text, 1 << 20 }, &value, &err), VENV_ELIMIT);
    assert_non_null(strstr(err.text, "1048576 bytes"));
    assert_int_equal(
        venv_property_parse(VENV_PROPERTY_STRING, (venv_str){ text, VENV_PROPERTY_VALUE_MAX }, &value, &err), VENV_OK);
    venv_value_unref(&value);
    memset(text, '[', 1 << 16);
    assert_int_equal(venv_property_parse(VENV_PROPERTY_JSON, (venv_str){ text, 1 << 16 }, &value, &err), VENV_ELIMIT);
    text[0] = '1';
    text[1] = '\0';
    assert_int_equal(venv_property_parse(VENV_PROPERTY_STRING, (venv_str){ text, 2 }, &value, &err), VENV_EINVAL);
    free(text);
}

static void test_labels(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "_x", "memfree", "CPU_0", "disk.free", "a-b" };
    static const char *const bad[] = { "", "0a", ".a", "-a", "a b", "a/b", "ä", "a\n" };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(venv_label_is_valid((venv_str){ good[i], strlen(good[i]) }));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(venv_label_is_valid((venv_str){ bad[i], strlen(bad[i]) }));
    char longest[VENV_LABEL_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    assert_true(venv_label_is_valid((venv_str){ longest, VENV_LABEL_MAX }));
    assert_false(venv_label_is_valid((venv_str){ longest, VENV_LABEL_MAX + 1 }));
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < VENV_QUALITY__COUNT; i++) {
        const char *name = venv_quality_name((venv_quality)i);
        venv_quality quality = VENV_QUALITY__COUNT;
        assert_true(venv_quality_parse((venv_str){ name, strlen(name) }, &quality));
        assert_int_equal(quality, i);
    }
    for (int i = 0; i < VENV_PROPERTY_TYPE__COUNT; i++) {
        const char *name = venv_property_type_name((venv_property_type)i);
        venv_property_type type = VENV_PROPERTY_TYPE__COUNT;
        assert_true(venv_property_type_parse((venv_str){ name, strlen(name) }, &type));
        assert_int_equal(type, i);
    }
    venv_quality quality = VENV_QUALITY_OK;
    assert_false(venv_quality_parse(VENV_STR("fine"), &quality));
    assert_string_equal(venv_quality_name(VENV_QUALITY__COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_nonsense), cmocka_unit_test(test_large),
        cmocka_unit_test(test_labels), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
