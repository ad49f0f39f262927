/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration rows: what is accepted and how it is normalised, each error with its place and its
 * words, defaults, and the list for the manual.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "codec/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const buses[] = { "virtio", "sata", "scsi", NULL };
static const venv_config_row disk_rows[] = {
    { "size", VENV_CONFIG_SIZE, .required = true, .min = 1 << 20, .help = "Size of the overlay." },
    { "bus", VENV_CONFIG_ENUM, .choices = buses, .fallback = "virtio", .help = "How the guest sees it." },
    { .name = NULL },
};
static const venv_config_row disk = { "disk", VENV_CONFIG_TABLE, .of = disk_rows };
static const venv_config_row group = { .name = "group", .kind = VENV_CONFIG_GROUP_NAME };
static const venv_config_row limit_rows[] = {
    { "actions", VENV_CONFIG_INT, .min = 1, .max = 1000, .fallback = "5", .help = "How many." },
    { "per", VENV_CONFIG_SPAN, .min = 1000000000, .fallback = "10m", .help = "In which time." },
    { .name = NULL },
};
static const venv_config_row number = { "number", VENV_CONFIG_INT, .max = 9 };
static const venv_config_row rows[] = {
    { "name", VENV_CONFIG_NAME, .required = true, .help = "The name." },
    { "tick", VENV_CONFIG_SPAN, .min = 100000000, .max = INT64_C(3600000000000), .fallback = "1s", .help = "The tick." },
    { "vcpus", VENV_CONFIG_INT, .min = 1, .max = 64, .fallback = "1", .help = "Processors." },
    { "weight", VENV_CONFIG_DOUBLE, .min = 0, .max = 10, .unit = "stones", .help = "Weight." },
    { "memory", VENV_CONFIG_SIZE, .min = 1 << 20, .fallback = "1GiB", .help = "Memory." },
    { "pin", VENV_CONFIG_BOOL, .fallback = "false", .help = "Pin." },
    { "label", VENV_CONFIG_STRING, .max = 8, .or_null = true, .help = "Label." },
    { "image", VENV_CONFIG_PATH, .help = "Image." },
    { "where", VENV_CONFIG_EXPRESSION, .help = "Where." },
    { "groups", VENV_CONFIG_LIST, .of = &group, .min = 0, .max = 2, .one_or_list = true, .fallback = "[default]", .help = "Groups." },
    { "disks", VENV_CONFIG_LIST, .of = &disk, .max = 3, .help = "Disks." },
    { "limit", VENV_CONFIG_TABLE, .of = limit_rows, .fallback = "{}", .help = "Limit." },
    { "numbers", VENV_CONFIG_MAP, .of = &number, .help = "Numbers." },
    { "by_group", VENV_CONFIG_MAP, .keys = VENV_CONFIG_GROUP_NAME, .of = &disk, .help = "Disks by group." },
    { "extra", VENV_CONFIG_ANY, .help = "Anything." },
    { .name = NULL },
};

static venv_rc read_text(const char *text, venv_value *ret_settings, venv_error *err)
{
    venv_value value;
    venv_yaml_marks *marks;
    venv_rc rc = venv_yaml_parse(text, strlen(text), "e.yaml", &value, &marks, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_config_read(rows, &value, venv_yaml_marks_root(marks), "environment x", ret_settings, err);
    venv_value_unref(&value);
    venv_yaml_marks_free(marks);
    return rc;
}

static void normalises(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "name: a", "{\"pin\": false, \"name\": \"a\", \"tick\": duration(\"1s\"), \"limit\": {\"per\": duration(\"600s\"), \"actions\": 5}, "
                     "\"vcpus\": 1, \"groups\": [\"default\"], \"memory\": 1073741824}" },
        { "{name: a, tick: 1h, vcpus: 64, weight: 2, memory: 1048576, pin: true, label: '', image: /a/b.c/, where: true,"
          " groups: 8-Core, disks: [{size: 1.5GiB}], limit: {per: 1s}, numbers: {x: 9, y: 0}, extra: [1, {a: ~}]}",
          "{\"pin\": true, \"name\": \"a\", \"tick\": duration(\"3600s\"), \"disks\": [{\"bus\": \"virtio\", \"size\": 1610612736}], "
          "\"extra\": [1, {\"a\": null}], \"image\": \"/a/b.c/\", \"label\": \"\", \"limit\": {\"per\": duration(\"1s\"), \"actions\": 5}, "
          "\"vcpus\": 64, \"where\": \"true\", \"groups\": [\"8-Core\"], \"memory\": 1048576, \"weight\": 2.0, \"numbers\": {\"x\": 9, \"y\": 0}}" },
        { "{name: a, label: ~, groups: [], where: 'a > 1', weight: 0.5}",
          "{\"pin\": false, \"name\": \"a\", \"tick\": duration(\"1s\"), \"label\": null, \"limit\": {\"per\": duration(\"600s\"), \"actions\": 5}, "
          "\"vcpus\": 1, \"where\": \"a > 1\", \"groups\": [], \"memory\": 1073741824, \"weight\": 0.5}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        venv_value settings;
        venv_error err = { 0 };
        char text[1024];
        if (read_text(cases[i][0], &settings, &err) != VENV_OK)
            fail_msg("%s: %s", cases[i][0], err.text);
        venv_value_print(&settings, text, sizeof text);
        assert_string_equal(text, cases[i][1]);
        venv_value_unref(&settings);
    }
}

static void says_what_is_wrong_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
        venv_rc rc;
    } cases[] = {
        { "a", "e.yaml:1:1: environment x must be a map, not \"a\"", VENV_EKIND },
        { "vcpus: 1\n", "e.yaml:1:1: environment x: the key \"name\" is missing; it must be a name (a-z and 0-9, after the first also . _ -, at most 64)", VENV_EINVAL },
        { "name: a\nvcpu: 1\n", "e.yaml:2:1: environment x: unknown key \"vcpu\"; did you mean \"vcpus\"?", VENV_EINVAL },
        { "name: a\nzzz: 1\n", "e.yaml:2:1: environment x: unknown key \"zzz\"; known are: name, tick, vcpus, weight, memory, pin, label, image, where, groups, disks, limit, numbers, by_group, extra", VENV_EINVAL },
        { "name: a\n5: 1\n", "e.yaml:2:1: environment x: unknown key 5; known are: name, tick, vcpus, weight, memory, pin, label, image, where, groups, disks, limit, numbers, by_group, extra", VENV_EINVAL },
        { "name: A\n", "e.yaml:1:7: environment x: name must be a name (a-z and 0-9, after the first also . _ -, at most 64), not \"A\"", VENV_EINVAL },
        { "name: 12\n", "e.yaml:1:7: environment x: name must be a name (a-z and 0-9, after the first also . _ -, at most 64), not 12; put it in quotes if it is meant as text", VENV_EKIND },
        { "name: a\ntick: 5\n", "e.yaml:2:7: environment x: tick must be a duration such as 30s, from 100ms to 1h, not 5", VENV_EKIND },
        { "name: a\ntick: 5 s\n", "e.yaml:2:7: environment x: tick must be a duration such as 30s, from 100ms to 1h, not \"5 s\"", VENV_EINVAL },
        { "name: a\ntick: 99ms\n", "e.yaml:2:7: environment x: tick must be a duration such as 30s, from 100ms to 1h, not \"99ms\"", VENV_ERANGE },
        { "name: a\nvcpus: 0\n", "e.yaml:2:8: environment x: vcpus must be an integer, from 1 to 64, not 0", VENV_ERANGE },
        { "name: a\nvcpus: 65\n", "e.yaml:2:8: environment x: vcpus must be an integer, from 1 to 64, not 65", VENV_ERANGE },
        { "name: a\nvcpus: 18446744073709551615\n", "e.yaml:2:8: environment x: vcpus must be an integer, from 1 to 64, not 18446744073709551615u", VENV_ERANGE },
        { "name: a\nvcpus: 1.0\n", "e.yaml:2:8: environment x: vcpus must be an integer, from 1 to 64, not 1.0", VENV_EKIND },
        { "name: a\nvcpus: '1'\n", "e.yaml:2:8: environment x: vcpus must be an integer, from 1 to 64, not \"1\"", VENV_EKIND },
        { "name: a\nvcpus:\n", "e.yaml:2:7: environment x: vcpus must be an integer, from 1 to 64, not null", VENV_EKIND },
        { "name: a\nweight: 10.5\n", "e.yaml:2:9: environment x: weight must be a number, from 0 to 10 (in stones), not 10.5", VENV_ERANGE },
        { "name: a\nweight: 18446744073709551615\n", "e.yaml:2:9: environment x: weight must be a number, from 0 to 10 (in stones), not 18446744073709551615u", VENV_ERANGE },
        { "name: a\nweight: heavy\n", "e.yaml:2:9: environment x: weight must be a number, from 0 to 10 (in stones), not \"heavy\"", VENV_EKIND },
        { "name: a\nmemory: []\n", "e.yaml:2:9: environment x: memory must be a size such as 512MiB, at least 1MiB, not []", VENV_EKIND },
        { "name: a\ndisks: {}\n", "e.yaml:2:8: environment x: disks must be a list, at most 3 items, not {}", VENV_EKIND },
        { "name: a\nnumbers: []\n", "e.yaml:2:10: environment x: numbers must be a map, each an integer, from 0 to 9, not []", VENV_EKIND },
        { "name: a\nlimit: 5\n", "e.yaml:2:8: environment x: limit must be a map, not 5", VENV_EKIND },
        { "name: a\nweight: .nan\n", "e.yaml:2:9: environment x: weight must be a number, from 0 to 10 (in stones), not double(\"NaN\")", VENV_ERANGE },
        { "name: a\nmemory: 12 apples\n", "e.yaml:2:9: environment x: memory must be a size such as 512MiB, at least 1MiB, not \"12 apples\"", VENV_EINVAL },
        { "name: a\nmemory: -1\n", "e.yaml:2:9: environment x: memory must be a size such as 512MiB, at least 1MiB, not -1", VENV_ERANGE },
        { "name: a\npin: yes\n", "e.yaml:2:6: environment x: pin must be true or false, not \"yes\"", VENV_EKIND },
        { "name: a\nlabel: true\n", "e.yaml:2:8: environment x: label must be a text, at most 8 bytes, or null, not true; put it in quotes if it is meant as text", VENV_EKIND },
        { "name: a\nlabel: 123456789a\n", "e.yaml:2:8: environment x: label must be a text, at most 8 bytes, or null, not \"123456789a\"", VENV_ERANGE },
        { "name: a\nlabel: \"a\\0b\"\n", "e.yaml:2:8: environment x: label must be a text, at most 8 bytes, or null, not \"a\\u0000b\"", VENV_EINVAL },
        { "name: a\nimage: b/c\n", "e.yaml:2:8: environment x: image must be an absolute path, not \"b/c\"", VENV_EINVAL },
        { "name: a\nimage: /b/../c\n", "e.yaml:2:8: environment x: image must be an absolute path, not \"/b/../c\"", VENV_EINVAL },
        { "name: a\nimage: /b//c\n", "e.yaml:2:8: environment x: image must be an absolute path, not \"/b//c\"", VENV_EINVAL },
        { "name: a\nwhere: ''\n", "e.yaml:2:8: environment x: where must be an expression, not \"\"", VENV_EINVAL },
        { "name: a\nwhere: []\n", "e.yaml:2:8: environment x: where must be an expression, not []", VENV_EKIND },
        { "name: a\ngroups: [a, b, c]\n", "e.yaml:2:9: environment x: groups must be a list, at most 2 items, each a group's name (letters and 0-9, after the first also . _ -, at most 32), or one such by itself, not [\"a\", \"b\", \"c\"]", VENV_ERANGE },
        { "name: a\ngroups: [a, -b]\n", "e.yaml:2:13: environment x: groups[1] must be a group's name (letters and 0-9, after the first also . _ -, at most 32), not \"-b\"", VENV_EINVAL },
        { "name: a\ngroups: -b\n", "e.yaml:2:9: environment x: groups must be a group's name (letters and 0-9, after the first also . _ -, at most 32), not \"-b\"", VENV_EINVAL },
        { "name: a\ndisks:\n- {size: 1MiB}\n- {bus: ide, size: 1MiB}\n", "e.yaml:4:9: environment x: disks[1].bus must be virtio, sata or scsi, not \"ide\"", VENV_EINVAL },
        { "name: a\ndisks:\n- {size: 1MiB}\n- {bus: sata}\n", "e.yaml:4:3: environment x: disks[1]: the key \"size\" is missing; it must be a size such as 512MiB, at least 1MiB", VENV_EINVAL },
        { "name: a\ndisks:\n- {siez: 1MiB}\n", "e.yaml:3:4: environment x: disks[0]: unknown key \"siez\"; did you mean \"size\"?", VENV_EINVAL },
        { "name: a\nlimit: {actions: 0}\n", "e.yaml:2:18: environment x: limit.actions must be an integer, from 1 to 1000, not 0", VENV_ERANGE },
        { "name: a\nnumbers: {x: 10}\n", "e.yaml:2:14: environment x: numbers.x must be an integer, from 0 to 9, not 10", VENV_ERANGE },
        { "name: a\nnumbers: {X: 1}\n", "e.yaml:2:11: environment x: numbers: the key \"X\" must be a name (a-z and 0-9, after the first also . _ -, at most 64)", VENV_EINVAL },
        { "name: a\nnumbers: {1: 1}\n", "e.yaml:2:11: environment x: numbers: the key 1 must be a name (a-z and 0-9, after the first also . _ -, at most 64)", VENV_EKIND },
        { "name: a\nby_group: {X: {size: 0}}\n", "e.yaml:2:22: environment x: by_group.X.size must be a size such as 512MiB, at least 1MiB, not 0", VENV_ERANGE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        venv_value settings = venv_value_null();
        venv_error err = { 0 };
        char text[VENV_ERROR_TEXT_MAX + VENV_ERROR_FILE_MAX + 32];
        assert_int_equal(read_text(cases[i].text, &settings, &err), cases[i].rc);
        assert_string_equal(venv_error_format(&err, text, sizeof text), cases[i].line);
        assert_int_equal(venv_value_kind(&settings), VENV_NULL);
    }
}

static void reads_settings(void **state)
{
    (void)state;
    venv_value settings;
    assert_int_equal(read_text("{name: a, tick: 250ms, weight: 1.5, disks: [], pin: true}", &settings, NULL), VENV_OK);
    assert_int_equal(venv_config_span(&settings, "tick").ns, 250000000);
    assert_int_equal(venv_config_size(&settings, "memory"), 1 << 30);
    assert_int_equal(venv_config_int(&settings, "vcpus"), 1);
    assert_true(venv_config_double(&settings, "weight") == 1.5);
    assert_true(venv_config_bool(&settings, "pin"));
    assert_int_equal(venv_config_text(&settings, "name").size, 1);
    assert_int_equal(venv_value_count(venv_config_get(&settings, "disks")), 0);
    assert_null(venv_config_get(&settings, "name"));
    assert_null(venv_config_get(&settings, "image"));
    assert_int_equal(venv_config_span(&settings, "name").ns, 0);
    assert_int_equal(venv_config_size(&settings, "name"), 0);
    assert_true(venv_config_double(&settings, "vcpus") == 0);
    venv_value_unref(&settings);
}

static void reads_what_came_over_the_wire(void **state)
{
    (void)state;
    venv_value span = venv_value_from_span((venv_span){ 2000000000 }), value;
    assert_int_equal(venv_config_read_one(&rows[1], &span, NULL, "tick", &value, NULL), VENV_OK);
    assert_true(venv_value_equal(&span, &value));
    venv_error err = { 0 };
    span = venv_value_from_span((venv_span){ -1 });
    assert_int_equal(venv_config_read_one(&rows[1], &span, NULL, "tick", &value, &err), VENV_ERANGE);
    assert_string_equal(err.text, "tick must be a duration such as 30s, from 100ms to 1h, not duration(\"-0.000000001s\")");
    assert_int_equal(err.line, 0);
    assert_int_equal(venv_config_read(rows, &span, NULL, NULL, &value, &err), VENV_EKIND);
    assert_string_equal(err.text, "the document must be a map, not duration(\"-0.000000001s\")");
}

static const venv_config_row *endless(void)
{
    static venv_config_row table[2], list;
    list = (venv_config_row){ "list", VENV_CONFIG_LIST, .of = &list };
    table[0] = (venv_config_row){ "x", VENV_CONFIG_TABLE, .of = table };
    table[1] = (venv_config_row){ .name = NULL };
    return table;
}

static venv_rc count_line(void *user, const venv_config_line *line)
{
    assert_true(strlen(line->path) < VENV_CONFIG_PATH_MAX);
    ++*(int *)user;
    return VENV_OK;
}

static void ends_where_tables_do_not(void **state)
{
    (void)state;
    venv_value value;
    const char *text = "{x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {}}}}}}}}}}}}}}}}}}}";
    assert_int_equal(venv_yaml_parse(text, strlen(text), NULL, &value, NULL, NULL), VENV_OK);
    venv_value settings;
    assert_int_equal(venv_config_read(endless(), &value, NULL, "", &settings, NULL), VENV_ELIMIT);
    venv_value_unref(&value);
    int lines = 0;
    assert_int_equal(venv_config_describe(endless(), "", count_line, &lines), VENV_OK);
    assert_int_equal(lines, VENV_CONFIG_DEPTH_MAX + 1);
}

static venv_rc print_line(void *user, const venv_config_line *line)
{
    venv_buf_printf(user, "%s: %s [%s]\n", line->path, line->expected, line->row->fallback ? line->row->fallback : "");
    return VENV_OK;
}

static venv_rc stop_at_once(void *user, const venv_config_line *line)
{
    (void)user;
    (void)line;
    return VENV_ECANCELED;
}

static void describes_itself(void **state)
{
    (void)state;
    venv_buf buf;
    venv_buf_init(&buf, 10000);
    assert_int_equal(venv_config_describe(rows, "env", print_line, &buf), VENV_OK);
    const char *text = venv_buf_peek_text(&buf);
    assert_non_null(strstr(text, "env.tick: a duration such as 30s, from 100ms to 1h [1s]\n"));
    assert_non_null(strstr(text, "env.disks: a list, at most 3 items []\nenv.disks[].size: a size such as 512MiB, at least 1MiB []\n"
                                 "env.disks[].bus: virtio, sata or scsi [virtio]\n"));
    assert_non_null(strstr(text, "env.limit.per: a duration such as 30s, at least 1s [10m]\n"));
    assert_non_null(strstr(text, "env.by_group.NAME.bus: "));
    assert_non_null(strstr(text, "env.numbers: a map, each an integer, from 0 to 9 []\n"));
    assert_int_equal(venv_config_describe(rows, NULL, stop_at_once, NULL), VENV_ECANCELED);
    venv_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalises),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(reads_settings),
        cmocka_unit_test(reads_what_came_over_the_wire),
        cmocka_unit_test(ends_where_tables_do_not),
        cmocka_unit_test(describes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
