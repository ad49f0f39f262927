/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's domain XML (libvirt.org/formatdomain.html) as a definition. Elements are looked up in tables, one for each place
 * where they may stand: what is in no table, and what has no place in a definition, becomes a comment.
 */
#include "base/cleanup.h"
#include "environment/definition.h"
#include "environment/import.h"
#include "environment/xml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX     4096u
#define ELEMENTS_MAX 2000u /* of one level that are looked at */

typedef struct reading {
    venv_import *d;
    venv_hypervisor_kind kind;
    bool direct; /* a kernel is booted */
    char cmdline[TEXT_MAX];
} reading;

/* An element and what is done with it; `note`: why it is not carried over; neither: it says nothing here. */
typedef struct element {
    const char *name;
    void (*take)(reading *r, xmlNodePtr node);
    const char *note;
} element;

static bool get(xmlNodePtr node, const char *name, char text[TEXT_MAX])
{
    text[0] = '\0';
    return node && venv_xml_get(node, name, text, TEXT_MAX) && text[0];
}

static bool get_child(xmlNodePtr node, const char *child, const char *name, char text[TEXT_MAX])
{
    text[0] = '\0';
    xmlNodePtr found = venv_xml_child(node, NULL, child);
    return found && get(found, name, text);
}

static bool content(xmlNodePtr node, char text[TEXT_MAX])
{
    text[0] = '\0';
    return venv_xml_content(node, text, TEXT_MAX) && text[0];
}

static venv_str str(const char *text)
{
    return (venv_str){ text, strlen(text) };
}

static void walk(reading *r, xmlNodePtr parent, const char *where, const element *table)
{
    size_t count = 0;
    for (xmlNodePtr node = parent->children; node && count < ELEMENTS_MAX; node = node->next) {
        if (node->type != XML_ELEMENT_NODE)
            continue;
        count++;
        const element *row = table;
        while (row->name && (node->ns || strcmp((const char *)node->name, row->name) != 0))
            row++;
        if (row->take)
            row->take(r, node);
        else if (node->ns && strcmp((const char *)node->name, "commandline") == 0)
            venv_import_note(r->d, "commandline of the hypervisor: options past the definition could undo every check of it, and are refused");
        else if (row->note)
            venv_import_note(r->d, "%s%.60s: %s", where, (const char *)node->name, row->note);
        else if (!row->name)
            venv_import_note(r->d, "%s%.60s: there is no key for it", where, (const char *)node->name);
    }
}

/* --- name, processor, memory ---------------------------------------------------------------------------------- */

static void take_name(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (content(node, text))
        venv_import_name(r->d, str(text));
}

static void take_description(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (!content(node, text))
        return;
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ' ';
    if (strlen(text) > 255)
        venv_import_note(r->d, "description: it is longer than 255 bytes");
    else
        venv_import_text(r->d, "description", str(text));
}

/* Sizes as libvirt writes them; 0 if it is none. */
static uint64_t bytes_of(xmlNodePtr node)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {
        { "b", 1 },          { "bytes", 1 },      { "KB", 1000 },       { "k", 1024 },       { "KiB", 1024 },   { "", 1024 },
        { "MB", 1000000 },   { "M", 1u << 20 },   { "MiB", 1u << 20 },  { "GB", 1000000000 }, { "G", 1u << 30 }, { "GiB", 1u << 30 },
        { "T", UINT64_C(1) << 40 }, { "TiB", UINT64_C(1) << 40 },
    };
    char text[TEXT_MAX], unit[TEXT_MAX];
    if (!content(node, text))
        return 0;
    (void)get(node, "unit", unit);
    char *end = NULL;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; end != text && i < VENV_COUNT_OF(units); i++)
        if (strcmp(units[i].unit, unit) == 0 && number <= (UINT64_C(1) << 50) / units[i].bytes)
            return number * units[i].bytes;
    return 0;
}

static void take_memory(reading *r, xmlNodePtr node)
{
    uint64_t bytes = bytes_of(node);
    if (bytes)
        venv_import_raw(r->d, "memory", "%" PRIu64 "KiB", (bytes + 1023) >> 10);
}

static void take_vcpu(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (content(node, text) && strlen(text) < 5 && strspn(text, "0123456789") == strlen(text))
        venv_import_raw(r->d, "vcpus", "%s", text);
    if (get(node, "current", text))
        venv_import_note(r->d, "vcpu current: all vCPUs are there from the beginning");
    if (get(node, "cpuset", text) && r->kind != VENV_HYPERVISOR_LXC)
        venv_import_note(r->d, "vcpu cpuset: only one processor for each vCPU can be said (pin: [0, 1]), or pin: true");
}

/* vcpupin 0, 1, … each on one processor. */
static void take_tune(reading *r, xmlNodePtr node)
{
    char list[1024] = "", vcpu[TEXT_MAX], set[TEXT_MAX];
    size_t used = 0, count = 0;
    bool simple = true;
    for (xmlNodePtr pin = node->children; pin; pin = pin->next) {
        if (pin->type != XML_ELEMENT_NODE)
            continue;
        char expected[24];
        snprintf(expected, sizeof expected, "%zu", count);
        simple = simple && strcmp((const char *)pin->name, "vcpupin") == 0 && get(pin, "vcpu", vcpu) && strcmp(vcpu, expected) == 0 &&
                 get(pin, "cpuset", set) && strlen(set) < 5 && strspn(set, "0123456789") == strlen(set) && used < sizeof list - 16;
        if (!simple)
            break;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", count++ ? ", " : "", set);
    }
    if (simple && count)
        venv_import_raw(r->d, "pin", "[%s]", list);
    else
        venv_import_note(r->d, "cputune: only one processor for each vCPU can be said (pin: [0, 1]), or pin: true");
}

static void take_cpu(reading *r, xmlNodePtr node)
{
    char mode[TEXT_MAX], model[TEXT_MAX];
    xmlNodePtr child = venv_xml_child(node, NULL, "model");
    if (r->kind != VENV_HYPERVISOR_KVM && r->kind != VENV_HYPERVISOR_QEMU)
        return;
    if (get(node, "mode", mode) && strcmp(mode, "custom") != 0)
        venv_import_text(r->d, "cpu", str(mode));
    else if (child && content(child, model))
        venv_import_text(r->d, "cpu", str(model));
    if (venv_xml_child(node, NULL, "topology") || venv_xml_child(node, NULL, "feature") || venv_xml_child(node, NULL, "numa"))
        venv_import_note(r->d, "cpu: its topology, features and numa cells");
}

static void take_clock(reading *r, xmlNodePtr node)
{
    char offset[TEXT_MAX];
    if (!get(node, "offset", offset) || strcmp(offset, "utc") == 0)
        return;
    if (strcmp(offset, "localtime") == 0)
        venv_import_raw(r->d, "clock", "localtime");
    else
        venv_import_note(r->d, "clock: the offset is utc or localtime");
}

static void take_crash(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    (void)content(node, text);
    if (strstr(text, "restart"))
        venv_import_raw(r->d, "on_crash", "restart");
    else if (strstr(text, "preserve"))
        venv_import_raw(r->d, "on_crash", "stay");
}

/* --- os ------------------------------------------------------------------------------------------------------- */

static void take_kernel(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (!content(node, text))
        return;
    r->direct = true;
    venv_import_text(r->d, "kernel", str(text));
}

static void take_initrd(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (content(node, text))
        venv_import_text(r->d, "initrd", str(text));
}

static void take_cmdline(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (content(node, text))
        venv_import_text(r->d, "cmdline", str(text));
}

static void take_root(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (content(node, text))
        venv_import_text(r->d, "root", (venv_str){ text, strcspn(text, " ") });
}

static void take_init(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    if (!content(node, text))
        return;
    venv_buf_append_text(&r->d->keys, "    init: [");
    venv_import_quote(&r->d->keys, str(text));
    for (xmlNodePtr argument = node->next; argument; argument = argument->next) {
        if (argument->type != XML_ELEMENT_NODE || strcmp((const char *)argument->name, "initarg") != 0 || !content(argument, text))
            continue;
        venv_buf_append_text(&r->d->keys, ", ");
        venv_import_quote(&r->d->keys, str(text));
    }
    venv_buf_append_text(&r->d->keys, "]\n");
}

static const element os_table[] = {
    { "type", NULL, NULL }, { "boot", NULL, NULL }, { "kernel", take_kernel, NULL }, { "initrd", take_initrd, NULL },
    { "cmdline", take_cmdline, NULL }, { "root", take_root, NULL }, { "init", take_init, NULL }, { "initarg", NULL, NULL },
    { "loader", NULL, "firmware: efi lets the node choose" }, { "nvram", NULL, "an instance begins with fresh variables of its firmware" },
    { "smbios", NULL, NULL }, { "bootmenu", NULL, NULL }, { "bios", NULL, NULL },
    { NULL, NULL, NULL },
};

static void take_os(reading *r, xmlNodePtr node)
{
    char text[TEXT_MAX];
    bool efi = get(node, "firmware", text) && strcmp(text, "efi") == 0;
    if (get_child(node, "loader", "type", text) && strcmp(text, "pflash") == 0)
        efi = true;
    walk(r, node, "os/", os_table);
    if (efi && !r->direct && (r->kind == VENV_HYPERVISOR_KVM || r->kind == VENV_HYPERVISOR_QEMU))
        venv_import_raw(r->d, "firmware", "efi");
}

/* --- devices --------------------------------------------------------------------------------------------------- */

static bool one_of(const char *const *names, const char *text)
{
    while (*names && strcmp(*names, text) != 0)
        names++;
    return *names != NULL;
}

static void put_network_source(venv_import *d, xmlNodePtr source, const char *protocol)
{
    char text[TEXT_MAX], port[TEXT_MAX];
    venv_buf_printf(&d->disks, "network: {protocol: %s, name: ", protocol);
    (void)get(source, "name", text);
    venv_import_quote(&d->disks, str(text));
    size_t hosts = 0;
    for (xmlNodePtr host = source->children; host; host = host->next) {
        if (host->type != XML_ELEMENT_NODE || strcmp((const char *)host->name, "host") != 0 || !get(host, "name", text))
            continue;
        char both[2 * TEXT_MAX + 8];
        bool brackets = strchr(text, ':') != NULL;
        (void)get(host, "port", port);
        snprintf(both, sizeof both, "%s%s%s%s%s", brackets ? "[" : "", text, brackets ? "]" : "", port[0] ? ":" : "", port);
        venv_buf_append_text(&d->disks, hosts++ ? ", " : ", hosts: [");
        venv_import_quote(&d->disks, str(both));
    }
    venv_buf_append_text(&d->disks, hosts ? "]" : "");
    xmlNodePtr auth = venv_xml_child(source, NULL, "auth");
    if (auth && get(auth, "username", text) && (get_child(auth, "secret", "uuid", port) || get_child(auth, "secret", "usage", port))) {
        venv_buf_append_text(&d->disks, ", user: ");
        venv_import_quote(&d->disks, str(text));
        venv_buf_append_text(&d->disks, ", secret: ");
        venv_import_quote(&d->disks, str(port));
    }
    venv_buf_append_text(&d->disks, "}");
}

/* Where its content is; false, with a note, if it can be in no definition. */
static bool put_source(reading *r, xmlNodePtr node, const char *type)
{
    venv_import *d = r->d;
    xmlNodePtr source = venv_xml_child(node, NULL, "source");
    char text[TEXT_MAX];
    bool file = strcmp(type, "file") == 0 && get(source, "file", text);
    bool block = !file && strcmp(type, "block") == 0 && get(source, "dev", text);
    bool network = !file && !block && strcmp(type, "network") == 0 && get(source, "protocol", text) && one_of(venv_disk_protocol_names, text);
    if (!file && !block && !network) {
        venv_import_note(d, "devices/disk of type %.20s: %s", type, source ? "say it as file, partition, volume or network" : "an empty drive");
        return false;
    }
    venv_buf_append_text(&d->disks, "      - {");
    if (network) {
        put_network_source(d, source, text);
    } else if (block) {
        venv_import_block(d, str(text));
    } else {
        venv_buf_append_text(&d->disks, "file: ");
        venv_import_quote(&d->disks, str(text));
    }
    return true;
}

static void take_disk(reading *r, xmlNodePtr node)
{
    venv_import *d = r->d;
    char type[TEXT_MAX], device[TEXT_MAX], format[TEXT_MAX], bus[TEXT_MAX], cache[TEXT_MAX];
    (void)get(node, "type", type);
    (void)get(node, "device", device);
    (void)get_child(node, "driver", "type", format);
    (void)get_child(node, "target", "bus", bus);
    (void)get_child(node, "driver", "cache", cache);
    if (d->disk_count == VENV_ENVIRONMENT_DISKS_MAX || (device[0] && !one_of(venv_disk_device_names, device))) {
        venv_import_note(d, "devices/disk: %s", device[0] && !one_of(venv_disk_device_names, device) ? "it is neither disk nor CD" : "more than 16");
        return;
    }
    if (format[0] && !one_of(venv_disk_format_names, format)) {
        venv_import_note(d, "devices/disk: the format %.20s; convert it with qemu-img(1)", format);
        return;
    }
    bool cdrom = strcmp(device, "cdrom") == 0;
    if (cdrom && r->kind == VENV_HYPERVISOR_XEN) {
        venv_import_note(d, "devices/disk: a paravirtual guest has no CD");
        return;
    }
    if (!put_source(r, node, type))
        return;
    if (strcmp(type, "file") == 0 || format[0])
        venv_buf_printf(&d->disks, ", format: %s", format[0] ? format : "raw");
    if (strcmp(type, "file") == 0 && !format[0])
        venv_import_note(d, "devices/disk: it does not say its format; raw is a guess");
    if (cdrom)
        venv_buf_append_text(&d->disks, ", device: cdrom");
    if (one_of(venv_disk_bus_names, bus) && strcmp(bus, "xen") != 0 && r->kind != VENV_HYPERVISOR_XEN && !(cdrom && strcmp(bus, "virtio") == 0))
        venv_buf_printf(&d->disks, ", bus: %s", bus);
    else if (bus[0] && strcmp(bus, "xen") != 0)
        venv_import_note(d, "devices/disk: on %.20s", bus);
    if (cache[0] && one_of(venv_disk_cache_names, cache))
        venv_buf_printf(&d->disks, ", cache: %s", cache);
    if (venv_xml_child(node, NULL, "readonly") && !cdrom)
        venv_buf_append_text(&d->disks, ", readonly: true");
    venv_buf_append_text(&d->disks, "}\n");
    d->disk_count++;
    xmlNodePtr backing = venv_xml_child(node, NULL, "backingStore");
    if (backing && backing->children)
        venv_import_note(d, "devices/disk: it lies on another image; say that as image, or flatten it with qemu-img(1)");
}

static void take_filesystem(reading *r, xmlNodePtr node)
{
    venv_import *d = r->d;
    char type[TEXT_MAX], source[TEXT_MAX] = "", target[TEXT_MAX], format[TEXT_MAX];
    (void)get(node, "type", type);
    (void)get_child(node, "target", "dir", target);
    bool mount = strcmp(type, "mount") == 0 || !type[0], file = strcmp(type, "file") == 0, block = strcmp(type, "block") == 0;
    const char *key = mount ? "dir" : file ? "file" : "dev";
    if (r->kind != VENV_HYPERVISOR_LXC || (!mount && !file && !block) || !get_child(node, "source", key, source) ||
        d->disk_count == VENV_ENVIRONMENT_DISKS_MAX) {
        venv_import_note(d, "devices/filesystem %.100s: only containers have folders of the node, and as directory, file or partition", target);
        return;
    }
    venv_buf_append_text(&d->disks, "      - {");
    if (block) {
        venv_import_block(d, str(source));
    } else {
        venv_buf_append_text(&d->disks, mount ? "directory: " : "file: ");
        venv_import_quote(&d->disks, str(source));
    }
    (void)get_child(node, "driver", "format", format);
    if (file)
        venv_buf_printf(&d->disks, ", format: %s", strcmp(format, "qcow2") == 0 ? "qcow2" : "raw");
    venv_buf_append_text(&d->disks, ", mount: ");
    venv_import_quote(&d->disks, str(target));
    venv_buf_append_text(&d->disks, venv_xml_child(node, NULL, "readonly") ? ", readonly: true}\n" : "}\n");
    d->disk_count++;
}

static void take_interface(reading *r, xmlNodePtr node)
{
    venv_import *d = r->d;
    char type[TEXT_MAX], name[TEXT_MAX] = "", mac[TEXT_MAX], model[TEXT_MAX];
    (void)get(node, "type", type);
    if (d->network_count == VENV_ENVIRONMENT_NETWORKS_MAX || !one_of(venv_network_kind_names, type) ||
        (strcmp(type, "user") != 0 && !get_child(node, "source", type, name))) {
        venv_import_note(d, "devices/interface of type %.20s: it is on a bridge or a network of libvirt", type);
        return;
    }
    venv_buf_printf(&d->networks, "      - {%s: ", type);
    if (name[0])
        venv_import_quote(&d->networks, str(name));
    else
        venv_buf_append_text(&d->networks, "true");
    bool qemu = r->kind == VENV_HYPERVISOR_KVM || r->kind == VENV_HYPERVISOR_QEMU;
    if (get_child(node, "model", "type", model) && one_of(venv_network_model_names, model) && qemu)
        venv_buf_printf(&d->networks, ", model: %s", model);
    else if (model[0])
        venv_import_note(d, "devices/interface: the model %.40s", model);
    if (get_child(node, "mac", "address", mac)) {
        venv_buf_append_text(&d->networks, ", mac: ");
        venv_import_quote(&d->networks, str(mac));
        venv_import_note(d, "devices/interface: a hardware address goes with one instance only; without it each has its own");
    }
    if (venv_xml_child(node, NULL, "ip"))
        venv_import_note(d, "devices/interface: its ip; say it as address");
    if (venv_xml_child(node, NULL, "vlan") || venv_xml_child(node, NULL, "bandwidth") || venv_xml_child(node, NULL, "filterref"))
        venv_import_note(d, "devices/interface: its vlan, bandwidth or filter");
    venv_buf_append_text(&d->networks, "}\n");
    d->network_count++;
}

static bool has_display(const reading *r)
{
    const char *keys = venv_buf_peek_text((venv_buf *)&r->d->keys);
    return keys && strstr(keys, "    display: ");
}

static void take_graphics(reading *r, xmlNodePtr node)
{
    char type[TEXT_MAX];
    bool qemu = r->kind == VENV_HYPERVISOR_KVM || r->kind == VENV_HYPERVISOR_QEMU;
    (void)get(node, "type", type);
    if (!qemu || has_display(r) || (strcmp(type, "vnc") != 0 && strcmp(type, "spice") != 0)) {
        venv_import_note(r->d, "devices/graphics of type %.20s", type);
        return;
    }
    venv_import_raw(r->d, "display", "%s", type);
    venv_import_note(r->d, "devices/graphics: it listens on a socket of the node, and at no address");
}

#define DEVICE_REASON "a device of the node ties the instance to that node, and is refused"

static const element device_table[] = {
    { "disk", take_disk, NULL }, { "filesystem", take_filesystem, NULL }, { "interface", take_interface, NULL },
    { "graphics", take_graphics, NULL },
    { "hostdev", NULL, DEVICE_REASON }, { "redirdev", NULL, DEVICE_REASON }, { "lease", NULL, DEVICE_REASON },
    /* There are always one of each, or none is needed. */
    { "emulator", NULL, NULL }, { "controller", NULL, NULL }, { "serial", NULL, NULL }, { "console", NULL, NULL },
    { "channel", NULL, NULL }, { "input", NULL, NULL }, { "video", NULL, NULL }, { "memballoon", NULL, NULL }, { "rng", NULL, NULL },
    { "panic", NULL, NULL }, { "audio", NULL, NULL },
    { NULL, NULL, NULL },
};

static void take_devices(reading *r, xmlNodePtr node)
{
    walk(r, node, "devices/", device_table);
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static const element domain_table[] = {
    { "name", take_name, NULL }, { "title", NULL, "description is the one text for people" }, { "description", take_description, NULL },
    { "uuid", NULL, "each instance has an id of its own" }, { "metadata", NULL, "what other programs keep in it" },
    { "memory", take_memory, NULL }, { "currentMemory", NULL, NULL }, { "vcpu", take_vcpu, NULL }, { "cputune", take_tune, NULL },
    { "cpu", take_cpu, NULL }, { "clock", take_clock, NULL }, { "os", take_os, NULL }, { "features", NULL, NULL },
    { "on_poweroff", NULL, NULL }, { "on_reboot", NULL, NULL }, { "on_crash", take_crash, NULL }, { "devices", take_devices, NULL },
    { "bootloader", NULL, "a loader in Dom0 would read the guest's own disk as root; give kernel, and initrd" },
    { "pm", NULL, NULL }, { "resource", NULL, NULL }, { "seclabel", NULL, NULL }, { "sysinfo", NULL, "an instance has its own" },
    { NULL, NULL, NULL },
};

venv_rc venv_import_domain(venv_import *d, const char *text, size_t size, venv_error *err)
{
    xmlDocPtr doc = NULL;
    venv_rc rc = venv_xml_parse(text, size, VENV_ENVIRONMENT_XML_MAX, &doc, err);
    if (rc != VENV_OK)
        return rc;
    xmlNodePtr domain = xmlDocGetRootElement(doc);
    char type[TEXT_MAX];
    (void)get(domain, "type", type);
    if (domain->ns || strcmp((const char *)domain->name, "domain") != 0) {
        rc = venv_error_set(err, VENV_EINVAL, "the XML is not that of a domain, as `virsh dumpxml` prints it");
    } else if (!one_of(venv_hypervisor_kind_names, type)) {
        rc = venv_error_set(err, VENV_EINVAL, "a domain of type \"%.40s\": kvm, qemu, xen, lxc and test are known", type);
    } else {
        reading r = { .d = d };
        while (strcmp(venv_hypervisor_kind_names[r.kind], type) != 0)
            r.kind++;
        venv_import_raw(d, "hypervisor", "%s", type);
        walk(&r, domain, "", domain_table);
    }
    xmlFreeDoc(doc);
    return rc;
}
