/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "generate.h"

#include "base/text.h"
#include "environment/definition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What has broken templates, parsers, shells and terminals before. */
static const char *const canaries[] = {
    "<", ">", "&", "'", "\"", "&amp;", "&lt;", "&#0;", "&#x0a;", "&xxe;", "]]>", "<![CDATA[", "-->", "<!--", "<?xml?>",
    "</cmdline>", "</source><disk/>", "\"/><qemu:commandline/>", "' onload='", "<!DOCTYPE x>", "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "%s%n%x", "${jndi:ldap}", "$(id)", "`id`", ";reboot", "||true", "{{7*7}}", "\\", "\\\\", "\xe2\x80\xae", "\xe2\x80\xa8", "\xef\xbb\xbf",
    "\xf0\x9f\x92\xa9", "\xc3\xa9\xcc\x81", "e\xcc\x81", "\xef\xbf\xbd", "xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\"",
    "file:///dev/sda", "json:{\"driver\":\"file\"}", ",if=none", "-device vfio-pci", "<hostdev mode='subsystem'/>", "nbd:unix:/x",
};

typedef struct making {
    venv_random *shape, *texts;
    bool hostile;
    unsigned plain; /* numbers the tame texts */
    generated *g;
} making;

static uint64_t below(making *m, uint64_t bound) { return venv_random_below(m->shape, bound); }
static bool maybe(making *m) { return below(m, 2) != 0; }

static void append_random(venv_random *random, char *text, size_t size)
{
    size_t used = strlen(text);
    if (venv_random_below(random, 3) == 0) {
        const char *canary = canaries[venv_random_below(random, sizeof canaries / sizeof canaries[0])];
        snprintf(text + used, size - used, "%s", canary);
        return;
    }
    static const uint32_t ends[] = { 0x80, 0x80, 0x800, 0x10000, 0x110000 };
    char bytes[4];
    uint32_t point = (uint32_t)venv_random_below(random, ends[venv_random_below(random, 5)]);
    size_t step = venv_utf8_encode(point, bytes);
    if (used + step < size && point) {
        memcpy(text + used, bytes, step);
        text[used + step] = '\0';
    }
}

/* A text that a definition accepts, with as much mischief as it accepts; none of `without` is in it. The result is
 * good until the definition's. */
static const char *some_text(making *m, const char *prefix, size_t size_max, const char *without)
{
    char text[256];
    bool path = prefix[0] == '/';
    for (;;) {
        snprintf(text, sizeof text, "%s", prefix);
        if (m->hostile)
            for (uint64_t i = 1 + venv_random_below(m->texts, 12); i; i--)
                append_random(m->texts, text, size_max + 1 < sizeof text ? size_max + 1 : sizeof text);
        else
            snprintf(text + strlen(text), sizeof text - strlen(text), "t%u", m->plain++);
        venv_str whole = { text, strlen(text) };
        if ((path ? venv_environment_path_check(whole) : venv_environment_text_check(whole, size_max, false)) &&
            !strpbrk(text + (path ? 1 : 0), without))
            break;
    }
    assert_true(m->g->text_count < sizeof m->g->texts / sizeof m->g->texts[0]);
    char *copy = strdup(text);
    assert_non_null(copy);
    m->g->texts[m->g->text_count++] = copy;
    return copy;
}

#define ANY "\001" /* no text has it */

static const char *one_of(making *m, const char *const *names)
{
    size_t count = 0;
    while (names[count])
        count++;
    return names[below(m, count)];
}

static venv_value taken(venv_map_builder *map)
{
    venv_value value = venv_value_null();
    assert_int_equal(venv_map_take(map, &value, NULL), VENV_OK);
    return value;
}

static venv_value taken_list(venv_list_builder *list)
{
    venv_value value = venv_value_null();
    assert_int_equal(venv_list_take(list, &value, NULL), VENV_OK);
    return value;
}

static venv_value network_volume(making *m, bool xen)
{
    venv_map_builder map;
    venv_map_init(&map);
    unsigned protocol = xen ? VENV_DISK_RBD : (unsigned)below(m, VENV_DISK_PROTOCOL__COUNT);
    venv_map_put_z(&map, "protocol", venv_disk_protocol_names[protocol]);
    venv_map_put_z(&map, "name", some_text(m, "", 60, ANY));
    venv_list_builder hosts;
    venv_list_init(&hosts);
    for (uint64_t i = protocol == VENV_DISK_RBD ? below(m, 4) : 1; i; i--) {
        static const char *const names[] = { "10.0.0.1:3260", "mon.example.org", "[fd00::1]:6789", "[::1]" };
        venv_value text = venv_value_null();
        assert_int_equal(venv_value_string_z(names[below(m, 4)], &text, NULL), VENV_OK);
        venv_list_add(&hosts, text);
    }
    venv_map_put(&map, "hosts", taken_list(&hosts));
    if (protocol != VENV_DISK_NBD && maybe(m)) {
        venv_map_put_z(&map, "user", some_text(m, "", 30, ANY));
        venv_map_put_z(&map, "secret", maybe(m) ? "2a5b08e4-3dca-4ff9-9a1d-40389758d081" : some_text(m, "", 30, ANY));
    }
    return taken(&map);
}

static venv_value some_disk(making *m, venv_hypervisor_kind kind, size_t index)
{
    venv_map_builder map;
    venv_map_init(&map);
    bool lxc = kind == VENV_HYPERVISOR_LXC, xen = kind == VENV_HYPERVISOR_XEN;
    venv_disk_source source = (venv_disk_source)below(m, VENV_DISK_SOURCE__COUNT);
    if (source == (lxc ? VENV_DISK_NETWORK : VENV_DISK_DIRECTORY))
        source = VENV_DISK_FILE;
    bool image = false;
    switch (source) {
    case VENV_DISK_MADE:
        image = maybe(m);
        if (image)
            venv_map_put_z(&map, "image", maybe(m) ? "scientific-7@latest" : "data@17");
        venv_map_put(&map, "size", venv_value_int((int64_t)(1 + below(m, 1000)) << 20));
        break;
    case VENV_DISK_VOLUME:
        venv_map_put_z(&map, "volume", maybe(m) ? "vg0/class2" : "a+b_c.d-e/..x");
        break;
    case VENV_DISK_NETWORK:
        venv_map_put(&map, "network", network_volume(m, xen));
        break;
    default:
        venv_map_put_z(&map, source == VENV_DISK_FILE ? "file" : source == VENV_DISK_PARTITION ? "partition" : "directory",
                       some_text(m, "/s/", 200, ANY));
        break;
    }
    bool format = source == VENV_DISK_FILE || (source != VENV_DISK_DIRECTORY && maybe(m));
    if (format)
        venv_map_put_z(&map, "format", image ? "qcow2" : one_of(m, venv_disk_format_names));
    if (lxc && index)
        venv_map_put_z(&map, "mount", some_text(m, "/m/", 100, ANY));
    if (maybe(m))
        venv_map_put_z(&map, "at_end", source == VENV_DISK_MADE ? one_of(m, venv_disk_end_names) : "keep");
    bool cdrom = !lxc && !xen && source != VENV_DISK_MADE && below(m, 4) == 0;
    if (cdrom)
        venv_map_put_z(&map, "device", "cdrom");
    if (!lxc && maybe(m))
        venv_map_put_z(&map, "cache", one_of(m, venv_disk_cache_names));
    unsigned bus = (unsigned)below(m, VENV_DISK_XEN);
    bool said = !lxc && !xen && maybe(m) && !(cdrom && bus == VENV_DISK_VIRTIO);
    if (said)
        venv_map_put_z(&map, "bus", venv_disk_bus_names[bus]);
    bool may_be_readonly = !said || bus == VENV_DISK_VIRTIO || bus == VENV_DISK_SCSI || cdrom;
    venv_map_put(&map, "readonly", venv_value_bool(maybe(m) && may_be_readonly));
    return taken(&map);
}

static venv_value some_network(making *m, venv_hypervisor_kind kind, bool seed)
{
    venv_map_builder map;
    venv_map_init(&map);
    bool own = kind == VENV_HYPERVISOR_LXC || kind == VENV_HYPERVISOR_XEN;
    switch (below(m, own ? 2 : 3)) {
    case 0:
        venv_map_put_z(&map, "bridge", some_text(m, "", 15, "/ "));
        break;
    case 1:
        venv_map_put_z(&map, "network", some_text(m, "", 60, "/ "));
        break;
    default:
        venv_map_put(&map, "user", venv_value_bool(true));
        break;
    }
    if (!own && maybe(m))
        venv_map_put_z(&map, "model", one_of(m, venv_network_model_names));
    if (maybe(m))
        venv_map_put_z(&map, "mac", "52:54:00:01:02:03");
    if ((own || seed) && maybe(m)) {
        bool six = maybe(m);
        venv_map_put_z(&map, "address", six ? "fd00::7/64" : "10.1.0.7/24");
        if (maybe(m))
            venv_map_put_z(&map, "gateway", six ? "fd00::1" : "10.1.0.1");
    }
    return taken(&map);
}

static void boot(making *m, venv_map_builder *map, venv_hypervisor_kind kind)
{
    if (kind == VENV_HYPERVISOR_LXC) {
        if (!maybe(m))
            return;
        venv_list_builder list;
        venv_list_init(&list);
        for (uint64_t i = 0; i <= below(m, 4); i++) {
            venv_value text = venv_value_null();
            assert_int_equal(venv_value_string_z(some_text(m, i ? "" : "/sbin/", 60, ANY), &text, NULL), VENV_OK);
            venv_list_add(&list, text);
        }
        venv_map_put(map, "init", taken_list(&list));
        return;
    }
    if (kind != VENV_HYPERVISOR_XEN && maybe(m))
        return;
    venv_map_put_z(map, "kernel", some_text(m, "/s/", 200, ANY));
    if (maybe(m))
        venv_map_put_z(map, "initrd", some_text(m, "/s/", 200, ANY));
    if (maybe(m))
        venv_map_put_z(map, "cmdline", some_text(m, "", 200, ANY));
    if (maybe(m))
        venv_map_put_z(map, "root", some_text(m, "", 100, " \"'"));
}

static void processor(making *m, venv_map_builder *map, venv_hypervisor_kind kind)
{
    int64_t vcpus = 1 + (int64_t)below(m, 16);
    bool qemu = kind == VENV_HYPERVISOR_KVM || kind == VENV_HYPERVISOR_QEMU;
    venv_map_put(map, "vcpus", venv_value_int(vcpus));
    venv_map_put(map, "memory", venv_value_int((16 + (int64_t)below(m, 4096)) << 20));
    if (qemu && maybe(m))
        venv_map_put_z(map, "cpu", below(m, 3) ? some_text(m, "", 60, ANY) : "host-passthrough");
    uint64_t pin = below(m, 3);
    if (pin == 1)
        venv_map_put(map, "pin", venv_value_bool(true));
    if (pin < 2)
        return;
    venv_list_builder list;
    venv_list_init(&list);
    for (int64_t i = 0; i < vcpus; i++)
        venv_list_add(&list, venv_value_int((int64_t)below(m, 128)));
    venv_map_put(map, "pin", taken_list(&list));
}

/* What is for other parts than the domain: it travels, and changes nothing in the XML. */
static void policies(making *m, venv_map_builder *map, bool qemu)
{
    venv_map_put_z(map, "spread", one_of(m, venv_spread_names));
    venv_map_put_z(map, "ready", qemu ? one_of(m, venv_ready_names) : "running");
    venv_map_put_z(map, "on_crash", one_of(m, venv_crash_names));
    venv_map_put_z(map, "preempt", one_of(m, venv_preempt_names));
    venv_map_put_z(map, "clock", one_of(m, venv_clock_names));
    if (!maybe(m))
        return;
    venv_map_builder scale;
    venv_map_init(&scale);
    venv_map_put_z(&scale, "desired", some_text(m, "", 80, ANY));
    venv_map_put(&scale, "max", venv_value_int((int64_t)below(m, 100)));
    venv_map_put_z(&scale, "by", one_of(m, venv_scale_by_names));
    venv_map_put(map, "scale", taken(&scale));
}

static venv_value definition(making *m, venv_hypervisor_kind kind)
{
    venv_map_builder map;
    venv_map_init(&map);
    bool qemu = kind == VENV_HYPERVISOR_KVM || kind == VENV_HYPERVISOR_QEMU;
    venv_map_put_z(&map, "hypervisor", venv_hypervisor_kind_names[kind]);
    if (maybe(m))
        venv_map_put_z(&map, "description", some_text(m, "", 200, ANY));
    processor(m, &map, kind);
    boot(m, &map, kind);
    policies(m, &map, qemu);
    if (qemu)
        venv_map_put_z(&map, "display", one_of(m, venv_display_names));
    bool seed = kind != VENV_HYPERVISOR_LXC && maybe(m);
    if (seed) {
        venv_map_builder settings;
        venv_map_init(&settings);
        if (maybe(m))
            venv_map_put_z(&settings, "user_data", some_text(m, "#", 200, ANY));
        venv_map_put(&map, "cloud_init", taken(&settings));
    }
    venv_list_builder disks, networks;
    venv_list_init(&disks);
    for (size_t i = 0, count = 1 + below(m, below(m, 8) ? 4 : VENV_ENVIRONMENT_DISKS_MAX); i < count; i++)
        venv_list_add(&disks, some_disk(m, kind, i));
    venv_map_put(&map, "disks", taken_list(&disks));
    venv_list_init(&networks);
    for (size_t i = below(m, below(m, 8) ? 3 : VENV_ENVIRONMENT_NETWORKS_MAX + 1); i; i--)
        venv_list_add(&networks, some_network(m, kind, seed));
    venv_map_put(&map, "networks", taken_list(&networks));
    return taken(&map);
}

static void surroundings(making *m)
{
    generated *g = m->g;
    const venv_definition *is = venv_environment_peek(g->environment);
    for (size_t i = 0; i < is->disk_count; i++) {
        if (is->disks[i].source != VENV_DISK_MADE)
            continue;
        g->files.disks[i].path = some_text(m, "/made/", 200, ANY);
        g->files.disks[i].base = is->disks[i].image ? some_text(m, "/images/", 200, ANY) : NULL;
        g->files.disks[i].base_format = VENV_DISK_QCOW2;
    }
    g->files.seed = is->cloud_init.given ? some_text(m, "/made/", 200, ANY) : NULL;
    for (size_t i = 0; i < VENV_ENVIRONMENT_VCPUS_MAX; i++)
        g->cpus[i] = (uint32_t)i;
    g->files.cpus = g->cpus;
    g->mark.id = venv_random_id(m->shape);
    g->mark.epoch = venv_random_next(m->shape);
    snprintf(g->mark.cluster, sizeof g->mark.cluster, "lab.example");
    snprintf(g->mark.instance, sizeof g->mark.instance, "class2-%u", (unsigned)below(m, 1000));
    if (maybe(m))
        snprintf(g->mark.console, sizeof g->mark.console, "%s", some_text(m, "/c/", 200, ANY));
}

void generate(venv_random *shape, venv_random *texts, bool hostile, venv_hypervisor_kind kind, generated *ret_generated)
{
    memset(ret_generated, 0, sizeof *ret_generated);
    making m = { .shape = shape, .texts = texts, .hostile = hostile, .g = ret_generated };
    if (kind == VENV_HYPERVISOR__COUNT)
        kind = (venv_hypervisor_kind)below(&m, VENV_HYPERVISOR__COUNT);
    ret_generated->value = definition(&m, kind);
    venv_error err = { .rc = VENV_OK };
    venv_rc rc = venv_environment_from_value("class2", &ret_generated->value, NULL, NULL, &ret_generated->environment, &err);
    if (rc != VENV_OK) {
        char text[4096];
        venv_value_print(&ret_generated->value, text, sizeof text);
        print_error("%s: %s\n%s\n", venv_rc_name(rc), err.text, text);
    }
    assert_int_equal(rc, VENV_OK);
    surroundings(&m);
}

void generated_fini(generated *g)
{
    venv_value_unref(&g->value);
    venv_environment_unref(g->environment);
    for (size_t i = 0; i < g->text_count; i++)
        free(g->texts[i]);
}
