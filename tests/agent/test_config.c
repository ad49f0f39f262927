/* SPDX-License-Identifier: Apache-2.0 */
/* agent.yaml: what it gives, and for everything bad one error with file, line, column and what is expected. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/builtin.h"
#include "agent/config.h"

#include <stdio.h>
#include <string.h>

#define S VENV_NS_PER_S
#define MIN "agent:\n  manager: mgr.example.org\n  tls: {ca: /ca, certificate: /cert, key: /key}\n"

static venv_rc load(const char *const *texts, size_t count, venv_agent_config **ret_config, venv_error *err)
{
    static const char *const files[] = { "agent.yaml", "a.yaml", "b.yaml" };
    venv_config_document documents[3];
    venv_value values[3] = { venv_value_null(), venv_value_null(), venv_value_null() };
    venv_yaml_marks *marks[3] = { NULL };
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < count && rc == VENV_OK; i++) {
        rc = venv_yaml_parse(texts[i], strlen(texts[i]), files[i], &values[i], &marks[i], err);
        documents[i] = (venv_config_document){ .file = files[i], .value = &values[i], .marks = marks[i] };
    }
    if (rc == VENV_OK)
        rc = venv_agent_config_new(documents, count, ret_config, err);
    for (size_t i = 0; i < count; i++) {
        venv_value_unref(&values[i]);
        venv_yaml_marks_free(marks[i]);
    }
    return rc;
}

static venv_agent_config *good(const char *text)
{
    venv_agent_config *config = NULL;
    venv_error err = { 0 };
    if (load(&text, 1, &config, &err) != VENV_OK)
        fail_msg("%u:%u: %s", err.line, err.column, err.text);
    return config;
}

static const venv_property *property_of(const venv_agent_config *config, const char *label)
{
    uint32_t slot = 0;
    if (!venv_property_set_find(config->properties, (venv_str){ label, strlen(label) }, &slot))
        return NULL;
    return venv_property_set_peek(config->properties, slot);
}

static void test_defaults(void **state)
{
    (void)state;
    venv_agent_config *config = good(MIN);
    assert_int_equal(config->manager_count, 1);
    assert_string_equal(config->managers[0], "mgr.example.org:7420");
    assert_string_equal(config->groups[0], "default");
    assert_string_equal(config->hypervisor, "none");
    assert_false(venv_agent_config_has_hypervisor(config));
    assert_string_equal(config->name, "");
    assert_int_equal(config->tick.ns, S);
    assert_int_equal(config->heartbeat.ns, 5 * S);
    assert_int_equal(config->timeout.ns, 15 * S);
    assert_int_equal(config->command_dir_count, 2);
    assert_string_equal(config->command_dirs[0], "/usr/lib/venv/commands");
    assert_string_equal(config->state_dir, "/var/lib/venv/agent");
    assert_string_equal(config->console_dir, "/var/lib/venv/agent/console");
    assert_string_equal(config->tls_key, "/key");
    assert_int_equal(config->reconnect_max.ns, 30 * S);
    /* every built-in but that of a hypervisor */
    assert_int_equal(venv_property_set_count(config->properties), VENV_BUILTIN__COUNT - 1);
    assert_null(property_of(config, "hypervisor"));
    venv_agent_config_free(config);
    venv_agent_config_free(NULL);
}

static void test_example(void **state)
{
    (void)state;
    venv_agent_config *config = good(
        "agent:\n"
        "  name: node07                 # must equal the certificate's name\n"
        "  manager: mgr.example.org:7420\n"
        "  groups: [default, hypervisor, 8-core]\n"
        "  sample_every: 1s\n"
        "  commands: [/usr/lib/venv/commands, /etc/venv/commands]\n"
        "  hypervisor: qemu:///system\n"
        "  tls: {ca: /etc/venv/ca.pem, certificate: /etc/venv/node07.pem, key: /etc/venv/node07.key}\n"
        "include: [/etc/venv/properties.d/*.yaml]\n"
        "properties:\n"
        "  memfree: {command: [ram, MemFree], type: int, unit: KiB, every: 60}\n"
        "  cputemp: {command: [cputemp], type: double, unit: Cel, every: 10, timeout: 5s}\n"
        "  queue:   {command: slurm-queue, type: json, every: 15}\n"
        "  load1:   {every: 30}\n"
        "  free2:   {builtin: [diskfree, /srv], every: 5}\n"
        "  load5:   {every: -1}\n");
    assert_string_equal(config->name, "node07");
    assert_int_equal(config->group_count, 3);
    const venv_property *memfree = property_of(config, "memfree");
    assert_int_equal(memfree->source, VENV_PROPERTY_COMMAND); /* it took the place of the built-in */
    assert_int_equal(memfree->every, 60);
    assert_int_equal(venv_value_count(&memfree->args), 1);
    assert_memory_equal(memfree->name.data, "ram", 3);
    assert_memory_equal(memfree->unit.data, "KiB", 3);
    assert_int_equal(property_of(config, "queue")->type, VENV_PROPERTY_JSON);
    assert_int_equal(venv_value_kind(&property_of(config, "queue")->args), VENV_NULL);
    assert_int_equal(property_of(config, "load1")->every, 30);
    assert_int_equal(property_of(config, "load1")->type, VENV_PROPERTY_DOUBLE);
    assert_int_equal(property_of(config, "load5")->every, -1);
    assert_memory_equal(property_of(config, "free2")->name.data, "diskfree", 8);
    assert_non_null(property_of(config, "hypervisor"));
    assert_int_equal(venv_property_set_count(config->properties), VENV_BUILTIN__COUNT + 3);
    venv_error err = { 0 };
    assert_int_equal(venv_agent_config_identify(config, "lab", "node08", &err), VENV_EINVAL);
    assert_non_null(strstr(err.text, "'node07'"));
    assert_non_null(strstr(err.text, "'node08'"));
    assert_int_equal(venv_agent_config_identify(config, "lab", "node07", &err), VENV_OK);
    assert_string_equal(config->cluster, "lab");
    venv_agent_config_free(config);
}

static void test_intervals_of_builtins(void **state)
{
    (void)state;
    venv_agent_config *config = good(MIN "  sample_every: 100ms\n");
    assert_int_equal(property_of(config, "load1")->every, 50);
    assert_int_equal(property_of(config, "kernel")->every, 0);
    venv_agent_config_free(config);
    config = good(MIN "  sample_every: 1m\n");
    assert_int_equal(property_of(config, "load1")->every, 1);
    venv_agent_config_free(config);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address;
    } rows[] = { { "m", "m:7420" },         { "m:1", "m:1" },          { "192.0.2.7:65535", "192.0.2.7:65535" },
                 { "'[::1]'", "[::1]:7420" }, { "'[fe80::1%eth0]:7421'", "[fe80::1%eth0]:7421" },
                 { "''", NULL },            { "'m:'", NULL },          { "'m:0'", NULL },
                 { "'m:65536'", NULL },     { "'m:x'", NULL },         { "'[::1'", NULL },
                 { "'[]:5'", NULL },        { "'[::1]x'", NULL },      { "'::1'", NULL },
                 { "'m n'", NULL },         { "'m/n'", NULL },         { "':5'", NULL } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        const char *const texts[] = { text };
        venv_agent_config *config = NULL;
        venv_error err = { 0 };
        snprintf(text, sizeof(text), "agent:\n  manager: [x, %s]\n  tls: {ca: /ca, certificate: /cert, key: /key}\n",
                 rows[i].text);
        venv_rc rc = load(texts, 1, &config, &err);
        if (rows[i].address) {
            assert_int_equal(rc, VENV_OK);
            assert_string_equal(config->managers[1], rows[i].address);
        } else {
            assert_int_not_equal(rc, VENV_OK);
            assert_int_equal(err.line, 2);
            assert_int_equal(err.column, 16);
        }
        venv_agent_config_free(config);
    }
}

static void test_includes(void **state)
{
    (void)state;
    const char *const texts[] = { MIN, "properties:\n  a: {command: [a], type: int, every: 1}\n", "" };
    venv_agent_config *config = NULL;
    venv_error err = { 0 };
    assert_int_equal(load(texts, 3, &config, &err), VENV_OK);
    assert_non_null(property_of(config, "a"));
    venv_agent_config_free(config);
    /* twice, in two files: the second one is blamed */
    const char *const twice[] = { MIN "properties:\n  a: {command: [a], type: int, every: 1}\n",
                                  "# comment\nproperties:\n  b: {command: [b], type: int, every: 1}\n  a: {command: [a], type: int, every: 1}\n" };
    config = NULL;
    assert_int_equal(load(twice, 2, &config, &err), VENV_EEXIST);
    assert_string_equal(err.file, "a.yaml");
    assert_int_equal(err.line, 4);
    assert_int_equal(err.column, 3);
    assert_non_null(strstr(err.text, "property a"));
    const char *const agent[] = { MIN, "agent: {name: x}\n" };
    assert_int_equal(load(agent, 2, &config, &err), VENV_EINVAL);
    assert_string_equal(err.file, "a.yaml");
    assert_int_equal(err.line, 1);
    assert_null(config);
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line, column;
        const char *says;
    } rows[] = {
        { "", 1, 1, "" },
        { "[]", 1, 1, "" },
        { "agent: 5\n", 1, 8, "agent" },
        { "agent:\n  tls: {ca: /ca, certificate: /cert, key: /key}\n", 2, 3, "manager" },
        { "agent:\n  manager: m\n", 2, 3, "tls" },
        { MIN "  nmae: x\n", 4, 3, "did you mean \"name\"" },
        { MIN "  name: Node07\n", 4, 9, "name" },
        { MIN "  sample_every: soon\n", 4, 17, "sample_every" },
        { MIN "  sample_every: 1ms\n", 4, 17, "10ms" },
        { MIN "  sample_every: 10\n", 4, 17, "duration" },
        { MIN "  groups: [a, 'b c']\n", 4, 15, "groups[1]" },
        { MIN "  groups: [x23456789012345678901234567890123]\n", 4, 12, "groups[0]" },
        { MIN "  commands: [relative]\n", 4, 14, "absolute" },
        { MIN "  commands: [/a/../b]\n", 4, 14, "commands[0]" },
        { MIN "  timeout: 3s\n", 4, 12, "longer than heartbeat" },
        { MIN "  command_timeout: 2h\n", 4, 20, "command_timeout_max" },
        { MIN "  commands_at_once: 1000\n", 4, 21, "32" },
        { MIN "propertys: {}\n", 4, 1, "did you mean \"properties\"" },
        { MIN "properties: []\n", 4, 13, "properties" },
        { MIN "properties:\n  1x: {command: [a], type: int, every: 1}\n", 5, 3, "cannot be a label" },
        { MIN "properties:\n  x: {command: [a], type: integer, every: 1}\n", 5, 27, "int, double, string, bool or json" },
        { MIN "properties:\n  x: {command: [a], every: 1}\n", 5, 3, "`type` is missing" },
        { MIN "properties:\n  x: {command: [a], type: int}\n", 5, 3, "`every` is missing" },
        { MIN "properties:\n  x: {type: int, every: 1}\n", 5, 3, "needs `command`" },
        { MIN "properties:\n  x: {command: [a], builtin: load1, type: int, every: 1}\n", 5, 3, "both" },
        { MIN "properties:\n  x: {command: [], type: int, every: 1}\n", 5, 16, "command" },
        { MIN "properties:\n  x: {command: [/bin/sh], type: int, every: 1}\n", 5, 3, "by name, not by path" },
        { MIN "properties:\n  x: {command: [a, 5], type: int, every: 1}\n", 5, 20, "command[1]" },
        { MIN "properties:\n  x: {command: [a], type: int, every: -2}\n", 5, 39, "every" },
        { MIN "properties:\n  x: {command: [a], type: int, every: 1, timeout: 0s}\n", 5, 51, "timeout" },
        { MIN "properties:\n  x: {builtin: loda1, every: 1}\n", 5, 3, "did you mean 'load1'" },
        { MIN "properties:\n  x: {builtin: [load1, /], every: 1}\n", 5, 3, "takes no argument" },
        { MIN "properties:\n  load1: {type: int}\n", 5, 3, "is of type double" },
        { MIN "properties:\n  memfree: {unit: GiB}\n", 5, 3, "KiB" },
        { MIN "properties:\n  x: {command: [a], type: int, every: 1}\n  x: {command: [a], type: int, every: 1}\n", 6, 3, "" },
        { MIN "include: 5\n", 4, 10, "include" },
    };
    size_t told = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        venv_agent_config *config = NULL;
        venv_error err = { 0 };
        if (load(&rows[i].text, 1, &config, &err) == VENV_OK)
            fail_msg("row %zu is accepted", i);
        if (err.line != rows[i].line || err.column != rows[i].column || strcmp(err.file, "agent.yaml") != 0 ||
            !strstr(err.text, rows[i].says))
            print_error("row %zu: %s:%u:%u: %s; expected %u:%u, '%s'\n", i, err.file, err.line, err.column, err.text,
                        rows[i].line, rows[i].column, rows[i].says);
        else
            told++;
        assert_null(config);
    }
    assert_int_equal(told, sizeof(rows) / sizeof(rows[0]));
}

static venv_rc check_line(void *user, const venv_config_line *line)
{
    (*(unsigned *)user)++;
    assert_true(line->expected[0] != '\0');
    if (!strstr(line->path, "[]") && !line->row->help)
        fail_msg("%s has no help", line->path);
    return VENV_OK;
}

static void test_rows_have_help(void **state)
{
    (void)state;
    unsigned count = 0;
    assert_int_equal(venv_config_describe(venv_agent_config_rows(), "", check_line, &count), VENV_OK);
    assert_true(count > 30);
    for (size_t i = 0; venv_builtin_at(i); i++) {
        const venv_builtin *builtin = venv_builtin_at(i);
        assert_ptr_equal(venv_builtin_find((venv_str){ builtin->name, strlen(builtin->name) }), builtin);
        assert_true(venv_label_is_valid((venv_str){ builtin->name, strlen(builtin->name) }));
        assert_true(strlen(builtin->help) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_example), cmocka_unit_test(test_intervals_of_builtins),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_includes), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_rows_have_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
