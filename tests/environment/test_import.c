/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing: real files of xl, xm and libvirt become definitions that can be applied, what has no place in them is said, and
 * whatever stands in a file is data: nothing is executed, and no text gets out of its quotes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "generate.h"

#include <venv/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static venv_error err;

static char *load(const char *name, size_t *ret_size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", VENV_CORPUS, name);
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 65536);
    assert_non_null(file);
    assert_non_null(text);
    *ret_size = fread(text, 1, 65535, file);
    (void)fclose(file);
    return text;
}

static char *import(const char *name, venv_rc expected)
{
    size_t size = 0;
    char *text = load(name, &size), *yaml = NULL;
    venv_rc rc = venv_environment_import(text, size, name, NULL, &yaml, &err);
    free(text);
    if (rc != expected)
        print_error("%s: %s: %s\n", name, venv_rc_name(rc), err.text);
    assert_int_equal(rc, expected);
    return yaml;
}

static void assert_has(const char *yaml, const char *part)
{
    if (!strstr(yaml, part))
        print_error("\"%s\" is not in:\n%s\n", part, yaml);
    assert_non_null(strstr(yaml, part));
}

/* The definition, and that its first line is true. */
static venv_environment *read_back(const char *yaml, const char *name)
{
    venv_value file = venv_value_null();
    venv_environment *environment = NULL;
    assert_int_equal(venv_yaml_parse(yaml, strlen(yaml), NULL, &file, NULL, &err), VENV_OK);
    const venv_value *value = venv_value_get(venv_value_get(&file, "environments"), name);
    assert_non_null(value);
    venv_rc rc = venv_environment_from_value(name, value, NULL, NULL, &environment, &err);
    assert_int_equal(rc != VENV_OK, strncmp(yaml, "# It cannot be applied yet", 26) == 0);
    if (rc != VENV_OK && strcmp(name, "again") != 0)
        print_error("%s\n", yaml);
    venv_value_unref(&file);
    return environment;
}

static void files_of_xl_and_xm(void **state)
{
    (void)state;
    char *yaml = import("xl-pv.cfg", VENV_OK);
    venv_environment *e = read_back(yaml, "class2-worker");
    assert_non_null(e);
    const venv_definition *is = venv_environment_peek(e);
    assert_int_equal(is->hypervisor, VENV_HYPERVISOR_XEN);
    assert_true(is->memory_bytes == 512u << 20 && is->vcpus == 2 && is->pin_cpus[1] == 3);
    assert_string_equal(is->kernel, "/boot/vmlinuz-2.6-xen");
    assert_string_equal(is->root, "/dev/xvda1");
    assert_string_equal(is->cmdline, "ro console=hvc0 quiet");
    assert_true(is->disk_count == 3 && is->network_count == 2 && is->on_crash == VENV_CRASH_RESTART);
    assert_string_equal(is->disks[0].path, "/dev/vg0/class2");
    assert_true(is->disks[0].source == VENV_DISK_VOLUME && is->disks[2].format == VENV_DISK_QCOW2 && is->disks[2].readonly);
    assert_string_equal(is->networks[0].name, "xenbr1");
    static const char *const says[] = { "# pci", "refused", "# uuid", "# weight = 256", "sdc1", "script=vif-bridge", "xenbr0 is a guess", "Class2-Worker" };
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        assert_has(yaml, says[i]);
    venv_environment_unref(e);
    free(yaml);
    yaml = import("xl-new.cfg", VENV_OK);
    e = read_back(yaml, "win");
    assert_non_null(e);
    is = venv_environment_peek(e);
    assert_true(is->hypervisor == VENV_HYPERVISOR_KVM && is->vcpus == 4 && is->memory_bytes == UINT64_C(2) << 30);
    assert_true(is->disk_count == 4 && is->disks[0].source == VENV_DISK_PARTITION && is->disks[1].format == VENV_DISK_QCOW2);
    assert_true(is->disks[2].device == VENV_DISK_IS_CDROM && is->disks[3].device == VENV_DISK_IS_CDROM);
    assert_true(is->clock == VENV_CLOCK_LOCALTIME && is->display == VENV_DISPLAY_VNC);
    assert_has(yaml, "# device_model_args");
    assert_has(yaml, "# maxmem = 4096");
    venv_environment_unref(e);
    free(yaml);
}

static void domains_of_libvirt(void **state)
{
    (void)state;
    char *yaml = import("kvm.xml", VENV_OK);
    venv_environment *e = read_back(yaml, "web-server");
    assert_non_null(e);
    const venv_definition *is = venv_environment_peek(e);
    assert_true(is->memory_bytes == UINT64_C(4) << 30 && is->vcpus == 2 && is->pin_cpus[1] == 3 && is->firmware == VENV_FIRMWARE_EFI);
    assert_string_equal(is->description, "The web server of the lab");
    assert_string_equal(is->cpu, "host-passthrough");
    assert_true(is->disk_count == 3 && is->disks[0].cache == VENV_DISK_CACHE_NONE && is->disks[1].bus == VENV_DISK_SATA);
    assert_string_equal(is->disks[2].network.hosts[0].name, "mon1");
    assert_string_equal(is->disks[2].network.secret, "s");
    assert_true(is->network_count == 1 && is->networks[0].has_mac && is->display == VENV_DISPLAY_VNC);
    static const char *const says[] = { "hostdev", "commandline", "sound", "empty drive", "type volume", "type direct", "# title", "no address" };
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        assert_has(yaml, says[i]);
    venv_environment_unref(e);
    free(yaml);
    yaml = import("lxc.xml", VENV_OK);
    e = read_back(yaml, "ct");
    assert_non_null(e);
    is = venv_environment_peek(e);
    assert_true(is->hypervisor == VENV_HYPERVISOR_LXC && is->init.count == 3 && is->disks[0].source == VENV_DISK_DIRECTORY);
    assert_string_equal(is->init.items[2], "exec x: \"y\"");
    venv_environment_unref(e);
    free(yaml);
    yaml = import("xen.xml", VENV_OK);
    e = read_back(yaml, "pv");
    assert_non_null(e);
    assert_string_equal(venv_environment_peek(e)->root, "/dev/xvda1");
    assert_string_equal(venv_environment_peek(e)->disks[0].path, "/dev/vg/x");
    venv_environment_unref(e);
    free(yaml);
}

static void what_is_neither_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *says;
    } cases[] = {
        { "", 1, "nothing" },
        { "import os\n", 1, "not executed" },
        { "memory = 5\nname = \"a\" + b\n", 2, "not executed" },
        { "memory = int(5)\n", 1, "not executed" },
        { "name = \"a\n", 1, "no end" },
        { "disk = [ 'a',\n 'b'\n", 3, "expected ','" },
        { "name = \"\"\"a\"\"\"\n", 1, "several lines" },
        { "x = 0x\n", 1, "number" },
        { "x = 99999999999999999999\n", 1, "number" },
        { "x = [[[[[1]]]]]\n", 1, "too deep" },
        { "for x in y:\n", 1, "not executed" },
        { "x == 1\n", 1, "not executed" },
        { "name = 'a\\x00b'", 1, "zero byte" },
        { "<domain type='kvm'", 0, "XML" },
        { "<network/>", 0, "domain" },
        { "<domain type='vmware'/>", 0, "vmware" },
        { "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain type='kvm'><name>&e;</name></domain>", 0, "XML" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *yaml = NULL;
        err = (venv_error){ .rc = VENV_OK };
        venv_rc rc = venv_environment_import(cases[i].text, strlen(cases[i].text), "f.cfg", NULL, &yaml, &err);
        if (rc != VENV_EINVAL || !strstr(err.text, cases[i].says) || err.line != cases[i].line)
            print_error("%zu: %s:%u: %s\n", i, venv_rc_name(rc), err.line, err.text);
        assert_int_equal(rc, VENV_EINVAL);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_int_equal(err.line, cases[i].line);
        assert_null(yaml);
    }
    assert_int_equal(venv_environment_import("a\0b", 3, NULL, NULL, &(char *){ NULL }, &err), VENV_EINVAL);
}

/* A text of the original is one text, or one comment: never a key, never a line. */
static void texts_stay_in_their_quotes(void **state)
{
    (void)state;
    char *yaml = import("hostile.cfg", VENV_EINVAL); /* its last line has a quote too many */
    assert_null(yaml);
    static const char *const hostile[] = { "a: b", "# c", "\\\" x", "\\n    evil: true", "{x}", "[y", "&a", "*a", "!!t", "---", "...", "%x", "\\t", "'", "\xff\xfe", "\xe2\x80\xa8x" };
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "name=\"%s\"\nmemory=64\nkernel=\"/k/%s\"\nextra=\"%s\"\ndisk=[\"phy:/dev/%s,xvda,w\",\"file:/f/%s,xvdb,w\"]\n"
                 "vif=[\"bridge=%s\"]\nodd=\"%s\"\n", hostile[i], hostile[i], hostile[i], hostile[i], hostile[i], hostile[i], hostile[i]);
        assert_int_equal(venv_environment_import(text, strlen(text), "f", "x", &yaml, &err), VENV_OK);
        venv_value file = venv_value_null();
        venv_rc rc = venv_yaml_parse(yaml, strlen(yaml), NULL, &file, NULL, &err);
        if (rc != VENV_OK)
            print_error("%zu: %s\n%s\n", i, err.text, yaml);
        assert_int_equal(rc, VENV_OK);
        const venv_value *value = venv_value_get(venv_value_get(&file, "environments"), "x");
        assert_non_null(value);
        assert_int_equal(venv_value_count(value), 6);
        assert_null(venv_value_get(value, "evil"));
        for (const char *c = yaml; *c; c++)
            assert_true((unsigned char)*c >= 0x20 || *c == '\n');
        venv_value_unref(&file);
        free(yaml);
    }
}

/* What we draw ourselves comes back as the definition that it was drawn from, as far as XML says it. */
static void our_own_domains_come_back(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 4);
    for (int i = 0; i < 200; i++) {
        generated g;
        char *xml = NULL, *yaml = NULL;
        generate(&random, &random, true, VENV_HYPERVISOR__COUNT, &g);
        assert_int_equal(venv_environment_domain_xml(g.environment, &g.mark, &g.files, &xml, &err), VENV_OK);
        assert_int_equal(venv_environment_import(xml, strlen(xml), NULL, "again", &yaml, &err), VENV_OK);
        venv_environment *e = read_back(yaml, "again");
        const venv_definition *was = venv_environment_peek(g.environment);
        if (e) {
            const venv_definition *is = venv_environment_peek(e);
            assert_int_equal(is->hypervisor, was->hypervisor);
            assert_true(is->memory_bytes == was->memory_bytes && is->vcpus == was->vcpus);
            assert_true(was->kernel ? is->kernel && strcmp(is->kernel, was->kernel) == 0 : !is->kernel);
            assert_int_equal(is->network_count, was->network_count);
        }
        venv_environment_unref(e);
        free(xml);
        free(yaml);
        generated_fini(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_xl_and_xm),      cmocka_unit_test(domains_of_libvirt), cmocka_unit_test(what_is_neither_is_told_with_its_place),
        cmocka_unit_test(texts_stay_in_their_quotes), cmocka_unit_test(our_own_domains_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
