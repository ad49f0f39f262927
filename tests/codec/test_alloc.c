/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of base, value and codec fails once: an error comes back, nothing is left behind, and
 * outputs are untouched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/table.h"
#include "codec/cbor.h"
#include "codec/config.h"
#include "support/alloc.h"
#include "value/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char yaml[] = "name: a text that is longer than thirteen bytes\n"
                           "list: [1, 2.5, another text that is rather long, [x, {y: z}], 'the last of these texts']\n"
                           "map: {a: 1, b: true, c: null, a key that is longer than thirteen bytes: 5}\n"
                           "many: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,\n"
                           "  25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40]\n";

static const char json[] = "{\"name\": \"a text \\u00e9 that is longer than thirteen bytes\", \"list\": [1, 2.5, [3, {}], \"and one "
                           "more text that is long\"], \"a key that is longer than this\": {\"x\": [1,2,3,4,5,6,7,8,9,10,11,12,"
                           "13,14,15,16,17,18,19,20]}}";

static venv_rc read_yaml(void *user)
{
    (void)user;
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_error err = { 0 };
    venv_rc rc = venv_yaml_parse(yaml, strlen(yaml), "file.yaml", &value, &marks, &err);
    if (rc != VENV_OK) {
        assert_null(marks);
        assert_int_equal(venv_value_kind(&value), VENV_NULL);
        assert_non_null(strstr(err.text, "out of memory"));
    }
    venv_value_unref(&value);
    venv_yaml_marks_free(marks);
    return rc;
}

static venv_rc read_json(void *user)
{
    (void)user;
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    venv_rc rc = venv_json_parse(json, strlen(json), 0, &value, &err);
    if (rc != VENV_OK) {
        assert_int_equal(venv_value_kind(&value), VENV_NULL);
        assert_non_null(strstr(err.text, "out of memory"));
    }
    venv_value_unref(&value);
    return rc;
}

/* Escapes make the reader copy, and its copy grow. */
static venv_rc read_long_json(void *user)
{
    (void)user;
    char text[9000];
    venv_value value = venv_value_null();
    for (size_t i = 1; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\\n", 2);
    text[0] = text[sizeof text - 1] = '"';
    venv_rc rc = venv_json_parse(text, sizeof text, 0, &value, NULL);
    venv_value_unref(&value);
    return rc;
}

static venv_rc read_bad_json(void *user)
{
    (void)user;
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    venv_rc rc = venv_json_parse("[1, \"a\\n\", x]", 13, 0, &value, &err);
    return rc == VENV_EINVAL ? VENV_OK : rc;
}

static venv_rc print_json(void *user)
{
    char *text = NULL;
    venv_rc rc = venv_json_print(user, VENV_JSON_PRETTY, &text, NULL, NULL);
    assert_true((rc == VENV_OK) == (text != NULL));
    free(text);
    return rc;
}

static venv_rc through_cbor(void *user)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    venv_value back = venv_value_null();
    venv_rc rc = venv_cbor_encode(user, NULL, &bytes, &size, NULL);
    assert_true((rc == VENV_OK) == (bytes != NULL));
    if (rc == VENV_OK)
        rc = venv_cbor_decode(bytes, size, NULL, &back, NULL);
    if (rc == VENV_OK)
        assert_true(venv_value_equal(user, &back));
    venv_value_unref(&back);
    free(bytes);
    return rc;
}

static venv_rc dup_borrowed(void *user)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    uint8_t *bytes = NULL;
    size_t size = 0;
    venv_value borrowed = venv_value_null(), copy = venv_value_null();
    options.borrow = true;
    venv_rc rc = venv_cbor_encode(user, NULL, &bytes, &size, NULL);
    if (rc == VENV_OK)
        rc = venv_cbor_decode(bytes, size, &options, &borrowed, NULL);
    if (rc == VENV_OK)
        rc = venv_value_dup(&borrowed, &copy, NULL);
    venv_value_unref(&borrowed);
    free(bytes);
    if (rc == VENV_OK)
        assert_true(venv_value_equal(user, &copy));
    venv_value_unref(&copy);
    return rc;
}

static venv_rc build(void *user)
{
    (void)user;
    venv_list_builder list;
    venv_map_builder map;
    venv_value value = venv_value_null(), items = venv_value_null();
    venv_list_init(&list);
    for (int i = 0; i < 40; i++)
        venv_list_add_text(&list, "a text that needs an allocation");
    venv_map_init(&map);
    for (int i = 0; i < 20; i++) {
        char key[40];
        snprintf(key, sizeof key, "key number %d of these", i);
        venv_map_put_z(&map, key, "invalid \xff\xfe utf-8 that is repaired");
    }
    venv_map_put_id(&map, "id", (venv_id){ { 1 } });
    venv_rc rc = venv_list_take(&list, &items, NULL);
    venv_map_put(&map, "items", items);
    venv_rc second = venv_map_take(&map, &value, NULL);
    assert_true(second != VENV_OK || venv_value_count(&value) == 22);
    venv_value_unref(&value);
    return rc != VENV_OK ? rc : second;
}

static const venv_config_row item = { .name = "item", .kind = VENV_CONFIG_ANY };
static const venv_config_row rows[] = {
    { "name", VENV_CONFIG_STRING, .required = true },
    { "list", VENV_CONFIG_LIST, .of = &item },
    { "map", VENV_CONFIG_MAP, .keys = VENV_CONFIG_STRING, .of = &item },
    { "many", VENV_CONFIG_LIST, .of = &item },
    { "tick", VENV_CONFIG_SPAN, .fallback = "30s" },
    { "text", VENV_CONFIG_STRING, .fallback = "a default that needs an allocation" },
    { "when", VENV_CONFIG_EXPRESSION, .fallback = "1234567890.12345678" },
    { .name = NULL },
};

static venv_rc read_config(void *user)
{
    venv_value settings = venv_value_null();
    venv_error err = { 0 };
    venv_rc rc = venv_config_read(rows, user, NULL, "x", &settings, &err);
    venv_value_unref(&settings);
    if (rc != VENV_OK)
        assert_non_null(strstr(err.text, "out of memory"));
    return rc;
}

/* The message may be poorer without memory, but it is there. */
static venv_rc refuse_config(void *user)
{
    venv_value settings = venv_value_null();
    venv_error err = { 0 };
    venv_rc rc = venv_config_read(rows + 1, user, NULL, "x", &settings, &err);
    assert_non_null(strstr(err.text, "unknown key"));
    return rc == VENV_EINVAL ? VENV_OK : rc;
}

static venv_rc visit_nothing(void *user, const venv_config_line *line)
{
    (void)user;
    assert_true(line->path[0] && line->expected[0]);
    return VENV_OK;
}

static venv_rc describe_config(void *user)
{
    (void)user;
    return venv_config_describe(rows, "section", visit_nothing, NULL);
}

static venv_rc use_table(void *user)
{
    (void)user;
    venv_table *table = NULL;
    venv_rc rc = venv_table_new(1, 1000, &table, NULL);
    for (int i = 0; i < 50 && rc == VENV_OK; i++) {
        size_t before = venv_table_count(table);
        rc = venv_table_add(table, &i, sizeof i, table, NULL);
        assert_int_equal(venv_table_count(table), before + (rc == VENV_OK));
        assert_true((venv_table_find(table, &i, sizeof i) != NULL) == (rc == VENV_OK));
    }
    venv_table_free(table);
    return rc;
}

static venv_rc use_arena(void *user)
{
    (void)user;
    venv_arena arena;
    venv_arena_init(&arena, 1 << 20);
    venv_rc rc = VENV_OK;
    for (int i = 0; i < 100 && rc == VENV_OK; i++)
        rc = venv_arena_alloc(&arena, 1000) ? VENV_OK : VENV_ENOMEM;
    venv_arena_fini(&arena);
    return rc;
}

static void write_line(void *user, venv_log_level level, const char *line)
{
    (void)level;
    *(bool *)user = line[0] != '\0';
}

static venv_rc use_log(void *user)
{
    (void)user;
    bool written = false;
    venv_log log = { write_line, &written, VENV_LOG_INFO };
    venv_log_print(&log, VENV_LOG_ERROR, "a line of a log that is longer than what the buffer begins with: %d %s", 5, "x");
    assert_true(written);
    return VENV_OK;
}

static void survives_every_failure(void **state)
{
    (void)state;
    venv_value value, dense;
    venv_map_builder map;
    assert_int_equal(venv_yaml_parse(yaml, strlen(yaml), NULL, &value, NULL, NULL), VENV_OK);
    venv_map_init(&map);
    venv_map_put(&map, "nested", venv_value_ref(&value));
    venv_map_put_value(&map, venv_value_int(5), venv_value_uint(6));
    assert_int_equal(venv_map_take(&map, &dense, NULL), VENV_OK);
    static const struct {
        const char *name;
        venv_rc (*run)(void *user);
        bool with_dense, with_value;
    } cases[] = {
        { "read_yaml", read_yaml, false, false },         { "read_json", read_json, false, false },
        { "read_bad_json", read_bad_json, false, false }, { "read_long_json", read_long_json, false, false }, { "print_json", print_json, true, false },
        { "through_cbor", through_cbor, true, false },    { "dup_borrowed", dup_borrowed, true, false },
        { "build", build, false, false },                 { "read_config", read_config, false, true },
        { "refuse_config", refuse_config, false, true },  { "describe_config", describe_config, false, false },
        { "use_table", use_table, false, false },
        { "use_arena", use_arena, false, false },         { "use_log", use_log, false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *user = cases[i].with_dense ? &dense : cases[i].with_value ? &value : NULL;
        unsigned long needed = alloc_check(cases[i].run, user);
        print_message("%s: %lu allocations were indispensable\n", cases[i].name, needed);
        bool tolerant = cases[i].run == use_log || cases[i].run == refuse_config;
        assert_true(tolerant ? needed == 0 : needed > 0);
    }
    venv_value_unref(&dense);
    venv_value_unref(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(survives_every_failure) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
