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

#include "generate.h"

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
    rc = venv_environment_from_value(name, &value, venv_yaml_marks_root(marks), &(venv_environment_words){ expressions, expressions, expressions }, ret_environment, &err);
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

/* Each way to write a disk, and where the image goes. */
static void disks_are_what_was_written(void **state)
{
    (void)state;
    static const char yaml[] =
        "image: base@3\nmemory: 1GiB\ncloud_init: {user_data: \"#cloud-config\\n\\tx\\n\", network: {version: 2}}\n"
        "disks:\n"
        "  - {file: /d, format: qcow2, cache: none}\n"
        "  - {size: 20GiB, at_end: keep}\n"
        "  - {image: data@latest, bus: scsi}\n"
        "  - {volume: vg0/a.b}\n"
        "  - {partition: /dev/sda7, format: qcow2}\n"
        "  - network: {protocol: rbd, name: pool/a, hosts: ['[fd00::1]:6789', mon2], user: u, secret: s}\n"
        "  - {file: /cd.iso, format: raw, device: cdrom}\n"
        "networks: [{bridge: br0, address: 10.1.0.7/24, gateway: 10.1.0.1, dns: [10.1.0.2]}, {user: true, model: e1000}]\n";
    venv_environment *e = NULL;
    assert_rc(load("class2", yaml, &e), VENV_OK);
    const venv_definition *is = venv_environment_peek(e);
    assert_int_equal(is->disk_count, 7);
    const venv_environment_disk *d = is->disks;
    assert_true(d[0].source == VENV_DISK_FILE && d[0].at_end == VENV_DISK_KEEP && d[0].cache == VENV_DISK_CACHE_NONE && !d[0].image);
    assert_true(d[1].source == VENV_DISK_MADE && d[1].at_end == VENV_DISK_KEEP && d[1].format == VENV_DISK_QCOW2);
    assert_string_equal(d[1].image, "base@3"); /* the first that is made */
    assert_true(d[1].size_bytes == UINT64_C(20) << 30);
    assert_string_equal(d[2].image, "data@latest");
    assert_true(d[2].size_bytes == 0 && d[2].at_end == VENV_DISK_DISCARD && d[2].bus == VENV_DISK_SCSI);
    assert_string_equal(d[3].path, "/dev/vg0/a.b");
    assert_true(d[3].format == VENV_DISK_RAW && d[4].format == VENV_DISK_QCOW2);
    assert_string_equal(d[5].network.hosts[0].name, "fd00::1");
    assert_int_equal(d[5].network.hosts[0].port, 6789);
    assert_string_equal(d[5].network.hosts[1].name, "mon2");
    assert_int_equal(d[5].network.hosts[1].port, 0);
    assert_true(d[6].readonly && d[6].bus == VENV_DISK_SATA);
    assert_string_equal(is->cloud_init.user_data, "#cloud-config\n\tx\n");
    assert_null(is->cloud_init.user_data_file);
    assert_non_null(is->cloud_init.network);
    assert_string_equal(is->networks[0].address, "10.1.0.7");
    assert_int_equal(is->networks[0].prefix, 24);
    assert_int_equal(is->networks[0].family, 4);
    assert_string_equal(is->networks[0].dns.items[0], "10.1.0.2");
    assert_null(is->networks[1].address);
    static const char *const files[] = { "/d", "/dev/vg0/a.b", "/dev/sda7", "/cd.iso" };
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(venv_environment_file(e, i), files[i]);
    assert_null(venv_environment_file(e, 4));
    venv_environment_unref(e);
    /* No disk that is made: one comes before. */
    assert_rc(load("c", "{image: base, memory: 1GiB, disks: [{file: /d, format: raw}]}", &e), VENV_OK);
    assert_int_equal(venv_environment_peek(e)->disk_count, 2);
    assert_string_equal(venv_environment_peek(e)->disks[0].image, "base");
    assert_string_equal(venv_environment_peek(e)->disks[1].path, "/d");
    venv_environment_unref(e);
}

static void a_container_has_its_folders(void **state)
{
    (void)state;
    venv_environment *e = NULL;
    assert_rc(load("ct", "{hypervisor: lxc, memory: 64MiB, init: [/bin/sh, -c, date], disks: [{directory: /srv/ct, mount: /}, {volume: vg/a, mount: /data}]}", &e), VENV_OK);
    assert_string_equal(venv_environment_peek(e)->disks[0].mount, "/");
    assert_string_equal(venv_environment_peek(e)->disks[1].mount, "/data");
    assert_int_equal(venv_environment_peek(e)->init.count, 3);
    venv_environment_unref(e);
    assert_rc(load("ct", "{hypervisor: lxc, memory: 64MiB, image: debian, disks: [{directory: /srv/ct, mount: /srv}]}", &e), VENV_OK);
    assert_string_equal(venv_environment_peek(e)->disks[0].mount, "/");
    venv_environment_unref(e);
}

static void policies_are_what_was_written(void **state)
{
    (void)state;
    static const char yaml[] =
        "image: a\nmemory: 1GiB\nvcpus: 2\npin: [3, 5]\nspread: zone\naffinity: b\nanti_affinity: [class2, c]\nzone: [lab, dmz]\n"
        "ready: agent\nready_timeout: 90s\non_crash: restart\nrestart: {wait: 1s, times: 0}\npreempt: save\n"
        "scale: {desired: 2 + 1, max: 9, idle: node.p.jobs == 0, drain: [slurm-drain, now], by: save, up: 10s}\n";
    venv_environment *e = NULL;
    assert_rc(load("class2", yaml, &e), VENV_OK);
    const venv_definition *is = venv_environment_peek(e);
    assert_true(is->pin == VENV_PIN_LIST && is->pin_cpus[0] == 3 && is->pin_cpus[1] == 5);
    assert_int_equal(is->spread, VENV_SPREAD_ZONE);
    assert_true(is->affinity.count == 1 && is->anti_affinity.count == 2 && is->zone.count == 2);
    assert_string_equal(is->zone.items[1], "dmz");
    assert_true(is->ready == VENV_READY_AGENT && is->ready_timeout.ns == INT64_C(90000000000));
    assert_true(is->on_crash == VENV_CRASH_RESTART && is->restart.wait.ns == 1000000000 && is->restart.times == 0);
    assert_true(is->restart.wait_max.ns == INT64_C(600000000000) && is->preempt == VENV_PREEMPT_SAVE);
    assert_true(is->scale.given && is->scale.max == 9 && is->scale.by == VENV_SCALE_BY_SAVE);
    assert_true(is->scale.up.ns == INT64_C(10000000000) && is->scale.down.ns == INT64_C(300000000000));
    assert_string_equal(is->scale.drain.items[1], "now");
    assert_non_null(venv_environment_desired(e));
    assert_non_null(venv_environment_idle(e));
    venv_environment_unref(e);
    assert_rc(load("class2", "{image: a, memory: 1GiB, pin: true}", &e), VENV_OK);
    is = venv_environment_peek(e);
    assert_true(is->pin == VENV_PIN_ANY && !is->scale.given && !is->cloud_init.given && is->preempt == VENV_PREEMPT_NEVER);
    assert_true(is->ready == VENV_READY_RUNNING && is->ready_timeout.ns == INT64_C(300000000000) && is->restart.times == 5);
    assert_null(venv_environment_desired(e));
    venv_environment_unref(e);
}

/* Whatever a definition may have: back through bytes it is the same. */
static void generated_definitions_travel(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 5);
    for (int i = 0; i < 300; i++) {
        generated g;
        generate(&random, &random, true, VENV_HYPERVISOR__COUNT, &g);
        venv_value told = venv_value_null(), back = venv_value_null();
        venv_environment *received = NULL;
        uint8_t *bytes = NULL;
        size_t size = 0;
        assert_rc(venv_environment_to_value(g.environment, &told, &err), VENV_OK);
        assert_rc(venv_cbor_encode(&told, NULL, &bytes, &size, &err), VENV_OK);
        assert_true(size < 65536);
        assert_rc(venv_cbor_decode(bytes, size, NULL, &back, &err), VENV_OK);
        assert_rc(venv_environment_from_value(NULL, &back, NULL, NULL, &received, &err), VENV_OK);
        assert_true(venv_environment_equal(g.environment, received));
        venv_value_unref(&told);
        venv_value_unref(&back);
        free(bytes);
        venv_environment_unref(received);
        generated_fini(&g);
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
        { "memory: 64MiB\nhostdev: [{pci: 1}]\n", VENV_EDENIED, 2, "ties the instance" },
        { "memory: 64MiB\nkernel: /k\nqemu: [-device]\n", VENV_EDENIED, 3, "every check" },
        { "memory: 64MiB\ndisks: [{size: 1GiB, file: /d, format: raw}]\n", VENV_EINVAL, 2, "one of size" },
        { "memory: 64MiB\ndisks: [{bus: virtio}]\n", VENV_EINVAL, 2, "one of size" },
        { "memory: 64MiB\ndisks:\n  - size: 100\n", VENV_ERANGE, 3, "size" },
        { "memory: 64MiB\ndisks:\n  - size: 1048577\n", VENV_ERANGE, 3, "512" },
        { "memory: 64MiB\ndisks:\n  - {image: '../x'}\n", VENV_EINVAL, 3, "NAME@VERSION" },
        { "memory: 64MiB\ndisks:\n  - {image: x@0}\n", VENV_EINVAL, 3, "NAME@VERSION" },
        { "memory: 64MiB\ndisks:\n  - {image: x, format: raw}\n", VENV_EINVAL, 3, "qcow2" },
        { "memory: 64MiB\ndisks:\n  - {volume: vg0}\n", VENV_EINVAL, 3, "GROUP/NAME" },
        { "memory: 64MiB\ndisks:\n  - {volume: ../sda}\n", VENV_EINVAL, 3, "GROUP/NAME" },
        { "memory: 64MiB\ndisks:\n  - {volume: vg/a/b}\n", VENV_EINVAL, 3, "GROUP/NAME" },
        { "memory: 64MiB\ndisks:\n  - {partition: sda7}\n", VENV_EINVAL, 3, "partition" },
        { "memory: 64MiB\ndisks:\n  - {directory: /srv}\n", VENV_EINVAL, 3, "containers" },
        { "memory: 64MiB\ndisks:\n  - {partition: /dev/sda7, mount: /a}\n", VENV_EINVAL, 3, "containers" },
        { "memory: 64MiB\ndisks:\n  - {partition: /dev/sda7, at_end: discard}\n", VENV_EINVAL, 3, "keep" },
        { "memory: 64MiB\ndisks:\n  - {partition: /dev/sda7, bus: xen}\n", VENV_EINVAL, 3, "xen" },
        { "memory: 64MiB\ndisks:\n  - {partition: /dev/sda7, bus: ide, readonly: true}\n", VENV_EINVAL, 3, "cdrom" },
        { "memory: 64MiB\ndisks:\n  - {partition: /dev/sda7, bus: virtio, device: cdrom}\n", VENV_EINVAL, 3, "CD" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: nbd, name: x}\n", VENV_EINVAL, 3, "one host" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: ceph, name: x}\n", VENV_EINVAL, 3, "rbd" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: iscsi, name: x, hosts: 'a:0'}\n", VENV_EINVAL, 3, "PORT" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: iscsi, name: x, hosts: ['a b']}\n", VENV_EINVAL, 3, "PORT" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: iscsi, name: x, hosts: ['[::1']}\n", VENV_EINVAL, 3, "PORT" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: rbd, name: x, user: u}\n", VENV_EINVAL, 3, "secret" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: nbd, name: x, hosts: h, user: u, secret: s}\n", VENV_EINVAL, 3, "nbd" },
        { "memory: 64MiB\ndisks:\n  - network: {protocol: rbd, name: x, host: h}\n", VENV_EINVAL, 3, "hosts" },
        { "memory: 64MiB\nimage: x\nkernel: /k\nnetworks: [{user: true, address: 10.0.0.1/24}]\n", VENV_EINVAL, 4, "cloud_init" },
        { "memory: 64MiB\nimage: x\ncloud_init: {}\nnetworks: [{user: true, address: 10.0.0.1}]\n", VENV_EINVAL, 4, "PREFIX" },
        { "memory: 64MiB\nimage: x\ncloud_init: {}\nnetworks: [{user: true, address: 10.0.0.1/33}]\n", VENV_EINVAL, 4, "PREFIX" },
        { "memory: 64MiB\nimage: x\ncloud_init: {}\nnetworks: [{user: true, address: '10.0.0.1/24', gateway: 'fd00::1'}]\n", VENV_EINVAL, 4, "same kind" },
        { "memory: 64MiB\nimage: x\ncloud_init: {}\nnetworks: [{user: true, gateway: 10.0.0.1}]\n", VENV_EINVAL, 4, "dhcp" },
        { "memory: 64MiB\nimage: x\nnetworks: [{bridge: b, model: ne2k}]\n", VENV_EINVAL, 3, "e1000" },
        { "memory: 64MiB\nimage: x\ncloud_init: {user_data: class2.user-data}\n", VENV_EINVAL, 3, "absolute path" },
        { "memory: 64MiB\nimage: x\ncloud_init: {network: [a]}\n", VENV_EKIND, 3, "map" },
        { "memory: 64MiB\nimage: x\ncloud_init: {userdata: '#cloud-config'}\n", VENV_EINVAL, 3, "user_data" },
        { "memory: 64MiB\nimage: x\npin: [0, 1]\n", VENV_EINVAL, 3, "one processor for each" },
        { "memory: 64MiB\nimage: x\npin: yes please\n", VENV_EKIND, 3, "list of processors" },
        { "memory: 64MiB\nimage: x\npin: [-1]\n", VENV_EINVAL, 3, "numbers" },
        { "memory: 64MiB\nimage: x\nroot: /dev/vda1\n", VENV_EINVAL, 3, "kernel" },
        { "memory: 64MiB\nkernel: /k\nroot: '/dev/vda1 ro'\n", VENV_EINVAL, 3, "one word" },
        { "memory: 64MiB\nkernel: /k\nfirmware: efi\n", VENV_EINVAL, 3, "directly" },
        { "memory: 64MiB\nimage: x\ninit: /sbin/init\n", VENV_EINVAL, 3, "containers" },
        { "memory: 64MiB\nhypervisor: xen\nimage: x\n", VENV_EINVAL, 0, "Dom0" },
        { "memory: 64MiB\nhypervisor: xen\nkernel: /k\ncpu: Westmere\n", VENV_EINVAL, 4, "kvm" },
        { "memory: 64MiB\nhypervisor: xen\nkernel: /k\ndisplay: vnc\n", VENV_EINVAL, 4, "kvm" },
        { "memory: 64MiB\nhypervisor: xen\nkernel: /k\nready: qemu-guest-agent\n", VENV_EINVAL, 4, "kvm" },
        { "memory: 64MiB\nhypervisor: xen\nkernel: /k\nnetworks: [{user: true}]\n", VENV_EINVAL, 4, "QEMU" },
        { "memory: 64MiB\nhypervisor: xen\nkernel: /k\ndisks: [{partition: /dev/sda1, bus: virtio}]\n", VENV_EINVAL, 4, "xen" },
        { "memory: 64MiB\nhypervisor: lxc\n", VENV_EINVAL, 0, "/" },
        { "memory: 64MiB\nhypervisor: lxc\nkernel: /k\n", VENV_EINVAL, 3, "node's" },
        { "memory: 64MiB\nhypervisor: lxc\ndisks: [{directory: /srv/a}, {directory: /srv/b}]\n", VENV_EINVAL, 3, "mount" },
        { "memory: 64MiB\nhypervisor: lxc\ndisks: [{directory: /srv/a, mount: /a}]\n", VENV_EINVAL, 3, "must be /" },
        { "memory: 64MiB\nhypervisor: lxc\ndisks: [{directory: /srv/a, bus: virtio}]\n", VENV_EINVAL, 3, "folder" },
        { "memory: 64MiB\nhypervisor: lxc\ndisks: [{directory: /srv/a, format: raw}]\n", VENV_EINVAL, 3, "directory" },
        { "memory: 64MiB\nhypervisor: lxc\nimage: x\ncloud_init: {}\n", VENV_EINVAL, 4, "container" },
        { "memory: 64MiB\nimage: x\naffinity: [class2]\n", VENV_EINVAL, 3, "other" },
        { "memory: 64MiB\nimage: x\naffinity: [a]\nanti_affinity: [b, a]\n", VENV_EINVAL, 3, "anti_affinity" },
        { "memory: 64MiB\nimage: x\naffinity: [A]\n", VENV_EINVAL, 3, "affinity" },
        { "memory: 64MiB\nimage: x\nzone: Lab 1\n", VENV_EINVAL, 3, "zone" },
        { "memory: 64MiB\nimage: x\nspread: nodes\n", VENV_EINVAL, 3, "node" },
        { "memory: 64MiB\nimage: x\nready_timeout: 1ms\n", VENV_ERANGE, 3, "ready_timeout" },
        { "memory: 64MiB\nimage: x\non_crash: again\n", VENV_EINVAL, 3, "restart" },
        { "memory: 64MiB\nimage: x\nrestart: {wait: 1h, wait_max: 1m}\n", VENV_ERANGE, 3, "wait_max" },
        { "memory: 64MiB\nimage: x\npreempt: kill\n", VENV_EINVAL, 3, "save" },
        { "memory: 64MiB\nimage: x\nscale: {desired: 1, max: 2, min: 3}\n", VENV_ERANGE, 3, "max" },
        { "memory: 64MiB\nimage: x\nscale: {desired: 1}\n", VENV_EINVAL, 3, "max" },
        { "memory: 64MiB\nimage: x\nscale:\n  desired: 1\n  max: 2\n  drain: []\n", VENV_ERANGE, 6, "drain" },
        { "memory: 64MiB\nimage: x\nscale: {desired: '1 +', max: 2}\n", VENV_EINVAL, 3, "scale.desired" },
        { "memory: 64MiB\nimage: x\nscale: {desired: '\"a\"', max: 2}\n", VENV_EINVAL, 3, "number" },
        { "memory: 64MiB\nimage: x\nscale: {desired: 1, max: 2, idle: '1'}\n", VENV_EINVAL, 3, "true or false" },
        { "memory: 64MiB\nimage: x\nscale: {desired: 1, max: 2, steps: 1}\n", VENV_EINVAL, 3, "step_up" },
        { "memory: 64MiB\nimage: x\ndescription: \"a\\nb\"\n", VENV_EINVAL, 3, "one line" },
        { "memory: 64MiB\nimage: x\nimages: y\n", VENV_EINVAL, 3, "image" },
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
        cmocka_unit_test(disks_are_what_was_written),
        cmocka_unit_test(policies_are_what_was_written),
        cmocka_unit_test(a_container_has_its_folders),
        cmocka_unit_test(generated_definitions_travel),
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
