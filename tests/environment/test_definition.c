/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions: from YAML and back, through the bytes of a message, and every way in which one can be wrong, with
 * its place in the file. And the allow-list of directories.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <venv/codec.h>
#include <venv/environment.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static venv_expr_env *expressions;
static venv_error err;

#define assert_rc(rc, expected)                                                                        \
    do {                                                                                               \
        venv_rc rc_ = (rc);                                                                            \
        if (rc_ != (expected))                                                                         \
            print_error("%s instead of %s: %s\n", venv_rc_name(rc_), venv_rc_name(expected), err.text); \
        assert_int_equal(rc_, (expected));                                                             \
    } while (0)

static venv_rc load(const char *name, const char *yaml, venv_environment **ret_environment)
{
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    err = (venv_error){ 0 };
    venv_rc rc = venv_yaml_parse(yaml, strlen(yaml), "class2.yaml", &value, &marks, &err);
    assert_rc(rc, VENV_OK);
    rc = venv_environment_from_value(name, &value, venv_yaml_marks_root(marks), &(venv_environment_words){ .place = expressions }, ret_environment, &err);
    venv_value_unref(&value);
    venv_yaml_marks_free(marks);
    return rc;
}

static const char full[] =
    "hypervisor: qemu\n"
    "vcpus: 2\n"
    "memory: 128MiB\n"
    "kernel: /var/lib/venv/boot/vmlinuz\n"
    "initrd: /var/lib/venv/boot/initrd\n"
    "cmdline: console=ttyS0 quiet queue=10.0.2.2:7001\n"
    "disks:\n"
    "  - {file: /var/lib/venv/disks/a.qcow2, format: qcow2}\n"
    "  - {file: /var/lib/venv/disks/b.raw, format: raw, bus: scsi, readonly: true}\n"
    "networks: [{user: true}, {bridge: br0, mac: '52:54:00:AB:cd:01'}, {network: default}]\n"
    "where: node.groups.exists(g, g == \"8-core\")\n"
    "prefer: node.p.memfree\n"
    "ready: running\n"
    "priority: 10\n";

static void a_definition_says_what_was_written(void **state)
{
    (void)state;
    venv_environment *e = NULL;
    assert_rc(load("class2", full, &e), VENV_OK);
    assert_string_equal(venv_environment_name(e), "class2");
    assert_int_equal(venv_environment_hypervisor(e), VENV_HYPERVISOR_QEMU);
    assert_int_equal(venv_environment_vcpus(e), 2);
    assert_int_equal(venv_environment_memory_bytes(e), 128u << 20);
    assert_int_equal(venv_environment_priority(e), 10);
    assert_string_equal(venv_expr_source(venv_environment_where(e)), "node.groups.exists(g, g == \"8-core\")");
    assert_non_null(venv_environment_prefer(e));
    static const char *const files[] = { "/var/lib/venv/boot/vmlinuz", "/var/lib/venv/boot/initrd",
                                         "/var/lib/venv/disks/a.qcow2", "/var/lib/venv/disks/b.raw" };
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(venv_environment_file(e, i), files[i]);
    assert_null(venv_environment_file(e, 4));
    venv_environment_unref(e);
}

static void defaults_are_small(void **state)
{
    (void)state;
    venv_environment *e = NULL;
    assert_rc(load("a", "{memory: 16MiB, kernel: /k}", &e), VENV_OK);
    assert_int_equal(venv_environment_hypervisor(e), VENV_HYPERVISOR_KVM);
    assert_int_equal(venv_environment_vcpus(e), 1);
    assert_int_equal(venv_environment_priority(e), 0);
    assert_null(venv_environment_where(e));
    assert_null(venv_environment_prefer(e));
    venv_environment_unref(e);
    /* A size in bytes, and a machine that is none. */
    assert_rc(load("a", "{memory: 33554432, hypervisor: test}", &e), VENV_OK);
    assert_null(venv_environment_file(e, 0));
    venv_environment_unref(e);
}

/* As the manager sends it and the agent reads it: as bytes, without the expressions compiled. */
static void a_definition_travels(void **state)
{
    (void)state;
    static const char *const texts[] = { full, "{memory: 16MiB, kernel: /k}",
                                         "{memory: 1GiB, hypervisor: test, networks: [{network: 'x&y'}]}",
                                         "{memory: 1GiB, kernel: '/a<b>\"&\\', cmdline: '</cmdline>&amp;'}" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        venv_environment *sent = NULL, *received = NULL;
        assert_rc(load("class2", texts[i], &sent), VENV_OK);
        venv_value value = venv_value_null(), back = venv_value_null();
        assert_rc(venv_environment_to_value(sent, &value, &err), VENV_OK);
        uint8_t *bytes = NULL;
        size_t size = 0;
        assert_rc(venv_cbor_encode(&value, NULL, &bytes, &size, &err), VENV_OK);
        assert_rc(venv_cbor_decode(bytes, size, NULL, &back, &err), VENV_OK);
        assert_rc(venv_environment_from_value(NULL, &back, NULL, NULL, &received, &err), VENV_OK);
        assert_true(venv_environment_equal(sent, received));
        assert_null(venv_environment_where(received));
        venv_value again = venv_value_null();
        assert_rc(venv_environment_to_value(received, &again, &err), VENV_OK);
        assert_true(venv_value_equal(&value, &again));
        venv_value_unref(&value);
        venv_value_unref(&back);
        venv_value_unref(&again);
        free(bytes);
        venv_environment_unref(sent);
        venv_environment_unref(received);
    }
}

static void differing_definitions_are_not_equal(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{memory: 16MiB, kernel: /k}", "{memory: 32MiB, kernel: /k}", "{memory: 16MiB, kernel: /l}",
        "{memory: 16MiB, kernel: /k, vcpus: 2}", "{memory: 16MiB, kernel: /k, initrd: /i}",
        "{memory: 16MiB, kernel: /k, networks: [{user: true}]}", "{memory: 16MiB, kernel: /k, networks: [{bridge: b}]}",
        "{memory: 16MiB, kernel: /k, networks: [{network: b}]}", "{memory: 16MiB, kernel: /k, where: 'true'}",
        "{memory: 16MiB, kernel: /k, disks: [{file: /d, format: raw}]}",
        "{memory: 16MiB, kernel: /k, disks: [{file: /d, format: qcow2}]}",
        "{memory: 16MiB, kernel: /k, disks: [{file: /d, format: raw, readonly: true}]}",
        "{memory: 16MiB, kernel: /k, priority: 1}",
    };
    enum { COUNT = sizeof texts / sizeof texts[0] };
    venv_environment *made[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_rc(load("a", texts[i], &made[i]), VENV_OK);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0; k < COUNT; k++)
            assert_int_equal(venv_environment_equal(made[i], made[k]), i == k);
    venv_environment *other = NULL;
    assert_rc(load("b", texts[0], &other), VENV_OK);
    assert_false(venv_environment_equal(made[0], other));
    venv_environment_unref(other);
    for (size_t i = 0; i < COUNT; i++)
        venv_environment_unref(made[i]);
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        venv_rc rc;
        uint32_t line; /* 0: not looked at */
        const char *says;
    } cases[] = {
        { "memory: 64MiB\nkernel: /k\nimage: x@newest\n", VENV_EINVAL, 3, "image" },
        { "memory: 64MiB\nkernel: /k\nscale: {min: 0}\n", VENV_EINVAL, 3, "desired" },
        { "memory: 64MiB\nkernel: /k\nvcpu: 2\n", VENV_EINVAL, 3, "vcpus" }, /* the nearest key */
        { "kernel: /k\n", VENV_EINVAL, 0, "memory" },
        { "memory: lots\nkernel: /k\n", VENV_EINVAL, 1, "memory" },
        { "memory: 1MiB\nkernel: /k\n", VENV_ERANGE, 1, "memory" },
        { "memory: 32TiB\nkernel: /k\n", VENV_ERANGE, 1, "memory" },
        { "memory: 16777217\nkernel: /k\n", VENV_ERANGE, 1, "KiB" },
        { "memory: 64MiB\nvcpus: 0\nkernel: /k\n", VENV_ERANGE, 2, "vcpus" },
        { "memory: 64MiB\nvcpus: 513\nkernel: /k\n", VENV_ERANGE, 2, "vcpus" },
        { "memory: 64MiB\nvcpus: two\nkernel: /k\n", VENV_EKIND, 2, "vcpus" },
        { "memory: 64MiB\nhypervisor: vmware\nkernel: /k\n", VENV_EINVAL, 2, "kvm" },
        { "memory: 64MiB\nkernel: vmlinuz\n", VENV_EINVAL, 2, "kernel" },
        { "memory: 64MiB\nkernel: /a/../b\n", VENV_EINVAL, 2, "kernel" },
        { "memory: 64MiB\nkernel: \"/a\\nb\"\n", VENV_EINVAL, 2, "kernel" },
        { "memory: 64MiB\nkernel: /k\ncmdline: \"a\\nb\"\n", VENV_EINVAL, 3, "cmdline" },
        { "memory: 64MiB\nkernel: /k\ncmdline: \"a\\0b\"\n", VENV_EINVAL, 3, "cmdline" },
        { "memory: 64MiB\ninitrd: /i\ndisks: [{file: /d, format: raw}]\n", VENV_EINVAL, 2, "kernel" },
        { "memory: 64MiB\ncmdline: quiet\ndisks: [{file: /d, format: raw}]\n", VENV_EINVAL, 2, "kernel" },
        { "memory: 64MiB\n", VENV_EINVAL, 0, "boot" },
        { "memory: 64MiB\ndisks:\n  - file: /d\n", VENV_EINVAL, 3, "format" },
        { "memory: 64MiB\ndisks:\n  - file: /d\n    format: vmdk\n", VENV_EINVAL, 4, "qcow2" },
        { "memory: 64MiB\ndisks:\n  - file: d\n    format: raw\n", VENV_EINVAL, 3, "file" },
        { "memory: 64MiB\ndisks:\n  - {file: /d, format: raw, backing: /etc/shadow}\n", VENV_EINVAL, 3, "backing" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{}]\n", VENV_EINVAL, 3, "bridge" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{user: true, bridge: br0}]\n", VENV_EINVAL, 3, "one of" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{user: false}]\n", VENV_EINVAL, 3, "one of" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{bridge: ../br0}]\n", VENV_EINVAL, 3, "bridge" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{bridge: a-name-too-long-for-linux}]\n", VENV_ERANGE, 3, "bridge" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{user: true, mac: '52:54:00:12:34:5g'}]\n", VENV_EINVAL, 3, "mac" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{user: true, mac: '01:00:5e:00:00:01'}]\n", VENV_EINVAL, 3, "mac" },
        { "memory: 64MiB\nkernel: /k\nnetworks: [{user: true, mac: '00:00:00:00:00:00'}]\n", VENV_EINVAL, 3, "mac" },
        { "memory: 64MiB\nkernel: /k\nwhere: node.groups.exists(\n", VENV_EINVAL, 3, "where" },
        { "memory: 64MiB\nkernel: /k\nwhere: nodes.p.x\n", VENV_EINVAL, 3, "nodes" },
        { "memory: 64MiB\nkernel: /k\nwhere: '1 + 1'\n", VENV_EINVAL, 3, "true or false" },
        { "memory: 64MiB\nkernel: /k\nprefer: '\"a\"'\n", VENV_EINVAL, 3, "number" },
        { "memory: 64MiB\nkernel: /k\nready: soon\n", VENV_EINVAL, 3, "running" },
        { "memory: 64MiB\nkernel: /k\npriority: 5000\n", VENV_ERANGE, 3, "priority" },
        { "memory: 64MiB\nkernel: /k\nname: class3\n", VENV_EINVAL, 3, "name" },
        { "[]\n", VENV_EKIND, 0, "class2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        venv_environment *e = NULL;
        venv_rc rc = load("class2", cases[i].yaml, &e);
        if (rc != cases[i].rc || !strstr(err.text, cases[i].says) || (cases[i].line && err.line != cases[i].line))
            print_error("case %zu: %s:%u: %s: %s\n%s", i, err.file, err.line, venv_rc_name(rc), err.text, cases[i].yaml);
        assert_rc(rc, cases[i].rc);
        assert_non_null(strstr(err.text, cases[i].says));
        if (cases[i].line) {
            assert_int_equal(err.line, cases[i].line);
            assert_string_equal(err.file, "class2.yaml");
        }
        assert_null(e);
    }
}

static void an_error_in_an_expression_points_into_it(void **state)
{
    (void)state;
    venv_environment *e = NULL;
    /* Column of `nope`, counted in the file. */
    assert_rc(load("a", "memory: 64MiB\nkernel: /k\nwhere: true && nope\n", &e), VENV_EINVAL);
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 16);
    assert_rc(load("a", "memory: 64MiB\nkernel: /k\nwhere: 'true && nope'\n", &e), VENV_EINVAL);
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 17);
    assert_rc(load("a", "memory: 64MiB\nkernel: /k\nwhere: |\n  true &&\n  nope\n", &e), VENV_EINVAL);
    assert_int_equal(err.line, 5);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "", "A", "a b", "../a", "a..b", "-a", "a/b",
                                         "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg" };
    venv_environment *e = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_rc(load(names[i], "{memory: 64MiB, kernel: /k}", &e), VENV_EINVAL);
    assert_rc(load(NULL, "{memory: 64MiB, kernel: /k}", &e), VENV_EINVAL);
    assert_rc(load(NULL, "{memory: 64MiB, kernel: /k, name: class2}", &e), VENV_OK);
    assert_string_equal(venv_environment_name(e), "class2");
    venv_environment_unref(e);
}

static void only_files_in_allowed_directories(void **state)
{
    (void)state;
    static const struct {
        const char *kernel, *directory;
        bool allowed;
    } cases[] = {
        { "/var/lib/venv/k", "/var/lib/venv", true },     { "/var/lib/venv/k", "/var/lib/venv/", true },
        { "/var/lib/venv/a/b/k", "/var/lib/venv", true }, { "/var/lib/venvx/k", "/var/lib/venv", false },
        { "/var/lib/venv", "/var/lib/venv", false },      { "/etc/shadow", "/var/lib/venv", false },
        { "/k", "/", true },                              { "/var/lib/venv/k", "var/lib/venv", false },
        { "/var/lib/venv/k", "", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[256];
        venv_environment *e = NULL;
        snprintf(yaml, sizeof yaml, "{memory: 64MiB, kernel: %s}", cases[i].kernel);
        assert_rc(load("a", yaml, &e), VENV_OK);
        const char *directories[] = { "/nowhere", cases[i].directory };
        venv_rc rc = venv_environment_check_files(e, directories, 2, &err);
        assert_rc(rc, cases[i].allowed ? VENV_OK : VENV_EDENIED);
        if (!cases[i].allowed)
            assert_non_null(strstr(err.text, cases[i].kernel));
        assert_rc(venv_environment_check_files(e, NULL, 0, &err), VENV_EDENIED);
        venv_environment_unref(e);
    }
    /* The disks are looked at, too; a machine without files needs no directory. */
    venv_environment *e = NULL;
    assert_rc(load("a", "{memory: 64MiB, kernel: /ok/k, disks: [{file: /ok/d, format: raw}, {file: /dev/sda, format: raw}]}", &e), VENV_OK);
    const char *ok = "/ok";
    assert_rc(venv_environment_check_files(e, &ok, 1, &err), VENV_EDENIED);
    assert_non_null(strstr(err.text, "/dev/sda"));
    venv_environment_unref(e);
    assert_rc(load("a", "{memory: 64MiB, hypervisor: test}", &e), VENV_OK);
    assert_rc(venv_environment_check_files(e, NULL, 0, &err), VENV_OK);
    venv_environment_unref(e);
}

int main(void)
{
    if (venv_environment_expr_env(&expressions, &err) != VENV_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_definition_says_what_was_written),
        cmocka_unit_test(defaults_are_small),
        cmocka_unit_test(a_definition_travels),
        cmocka_unit_test(differing_definitions_are_not_equal),
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
        cmocka_unit_test(an_error_in_an_expression_points_into_it),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(only_files_in_allowed_directories),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    venv_expr_env_unref(expressions);
    return failed != 0;
}
