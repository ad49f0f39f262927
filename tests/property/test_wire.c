/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions and samples there and back, and what a peer must not send. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <venv/codec.h>
#include <venv/property.h>

#include <string.h>

static venv_value json(const char *text)
{
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    if (venv_json_parse(text, strlen(text), 0, &value, &err) != VENV_OK)
        fail_msg("%s: %s", text, err.text);
    return value;
}

static void test_definition(void **state)
{
    (void)state;
    venv_property property = { .label = VENV_STR("memfree"), .unit = VENV_STR("KiB"), .type = VENV_PROPERTY_INT,
                               .source = VENV_PROPERTY_COMMAND, .name = VENV_STR("ram"), .args = venv_value_null(),
                               .every = 60, .timeout = { VENV_NS_PER_S } };
    venv_value value = venv_value_null();
    assert_int_equal(venv_property_to_value(&property, 3, VENV_QUALITY_STALE, &value, NULL), VENV_OK);
    assert_true(venv_value_is_text(venv_value_get(&value, "source"), "command:ram"));
    assert_true(venv_value_is_text(venv_value_get(&value, "quality"), "stale"));
    venv_property back;
    uint32_t slot = 0;
    assert_int_equal(venv_property_from_value(&value, &back, &slot, NULL), VENV_OK);
    assert_int_equal(slot, 3);
    assert_int_equal(back.every, 60);
    assert_int_equal(back.source, VENV_PROPERTY_COMMAND);
    assert_memory_equal(back.label.data, "memfree", 7);
    assert_memory_equal(back.unit.data, "KiB", 3);
    assert_memory_equal(back.name.data, "ram", 3);
    venv_value_unref(&value);
}

static void test_bad_definitions(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{}",
        "[]",
        "null",
        "{\"slot\": -1, \"label\": \"a\", \"type\": \"int\", \"every\": 1, \"source\": \"command:x\"}",
        "{\"slot\": 1024, \"label\": \"a\", \"type\": \"int\", \"every\": 1, \"source\": \"command:x\"}",
        "{\"slot\": 1, \"label\": \"a b\", \"type\": \"int\", \"every\": 1, \"source\": \"command:x\"}",
        "{\"slot\": 1, \"label\": \"a\", \"type\": \"float\", \"every\": 1, \"source\": \"command:x\"}",
        "{\"slot\": 1, \"label\": \"a\", \"type\": \"int\", \"every\": 1, \"source\": \"shell:x\"}",
        "{\"slot\": 1, \"label\": \"a\", \"type\": \"int\", \"every\": 1, \"source\": \"command:\"}",
        "{\"slot\": 1, \"label\": \"a\", \"type\": \"int\", \"every\": -2, \"source\": \"command:x\"}",
        "{\"slot\": \"1\", \"label\": \"a\", \"type\": \"int\", \"every\": 1, \"source\": \"command:x\"}",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venv_value value = json(rows[i]);
        venv_property back;
        uint32_t slot = 0;
        venv_error err = { 0 };
        assert_int_equal(venv_property_from_value(&value, &back, &slot, &err), VENV_EPROTO);
        assert_true(err.text[0] != '\0');
        venv_value_unref(&value);
    }
}

static void test_sample(void **state)
{
    (void)state;
    venv_sample sample = { .value = venv_value_int(5), .quality = VENV_QUALITY_ERROR,
                           .time = { INT64_C(1763836200) * VENV_NS_PER_S }, .reason = "exit status 1" };
    venv_value value = venv_value_null();
    assert_int_equal(venv_sample_to_value(&sample, 9, &value, NULL), VENV_OK);
    venv_sample_row row;
    assert_int_equal(venv_sample_row_read(&value, &row, NULL), VENV_OK);
    assert_int_equal(row.slot, 9);
    assert_int_equal(row.quality, VENV_QUALITY_ERROR);
    assert_int_equal(venv_value_peek_int(row.value), 5);
    assert_true(row.has_time);
    assert_int_equal(row.time.ns, sample.time.ns);
    assert_memory_equal(row.reason.data, "exit status 1", 13);
    venv_value_unref(&value);
    sample = (venv_sample){ .value = venv_value_null(), .quality = VENV_QUALITY_ERROR, .reason = "" };
    assert_int_equal(venv_sample_to_value(&sample, 0, &value, NULL), VENV_OK);
    assert_int_equal(venv_sample_row_read(&value, &row, NULL), VENV_OK);
    assert_false(row.has_time);
    assert_int_equal(row.reason.size, 0);
    venv_value_unref(&value);
}

static void test_bad_samples(void **state)
{
    (void)state;
    static const char *const rows[] = { "null", "[]", "[1, 2, 0]", "[1, 2, 4, null]", "[1, 2, -1, null]",
                                        "[-1, 2, 1, null]", "[1024, 2, 1, null]", "[1, 2, 1, 5]",
                                        "[1, 2, 0, null]" /* ok without a time */, "{}" };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venv_value value = json(rows[i]);
        venv_sample_row row;
        assert_int_equal(venv_sample_row_read(&value, &row, NULL), VENV_EPROTO);
        venv_value_unref(&value);
    }
}

static void test_propval(void **state)
{
    (void)state;
    venv_property property = { .label = VENV_STR("load1"), .type = VENV_PROPERTY_DOUBLE, .name = VENV_STR("load1"),
                               .args = venv_value_null() };
    venv_sample sample = { .value = venv_value_double(0.5), .quality = VENV_QUALITY_OK,
                           .time = { VENV_NS_PER_S }, .reason = "" };
    venv_value value = venv_value_null();
    assert_int_equal(venv_sample_to_propval(&property, &sample, &value, NULL), VENV_OK);
    assert_int_equal(venv_value_count(&value), 5); /* no unit, no reason */
    assert_true(venv_value_is_text(venv_value_get(&value, "type"), "double"));
    assert_true(venv_value_is_text(venv_value_get(&value, "quality"), "ok"));
    venv_value_unref(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition), cmocka_unit_test(test_bad_definitions), cmocka_unit_test(test_sample),
        cmocka_unit_test(test_bad_samples), cmocka_unit_test(test_propval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
