/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition and an identity as libvirt's domain XML (libvirt.org/formatdomain.html).
 *
 * What is left out is left to libvirt: architecture and machine type of the node, addresses, controllers.
 */
#include "base/cleanup.h"
#include "environment/definition.h"
#include "environment/xml.h"

#include <stdio.h>
#include <string.h>

static venv_rc check_mark(const venv_machine_mark *mark, venv_error *err)
{
    /* Not terminated within its array is as bad as any other malformed name. */
    if (!venv_name_is_valid((venv_str){ mark->cluster, strnlen(mark->cluster, sizeof mark->cluster) }))
        return venv_error_set(err, VENV_EINVAL, "the name of the cluster in the mark is malformed");
    if (!venv_name_is_valid((venv_str){ mark->instance, strnlen(mark->instance, sizeof mark->instance) }))
        return venv_error_set(err, VENV_EINVAL, "the name of the instance in the mark is malformed");
    /* libvirt refuses a UUID of sixteen equal bytes. */
    bool all_equal = true;
    for (size_t i = 1; i < sizeof mark->id.bytes; i++)
        all_equal = all_equal && mark->id.bytes[i] == mark->id.bytes[0];
    if (all_equal)
        return venv_error_set(err, VENV_EINVAL, "the id of the machine is none, or no UUID");
    size_t console = strnlen(mark->console, sizeof mark->console);
    if (console && !venv_environment_path_check((venv_str){ mark->console, console }))
        return venv_error_set(err, VENV_EINVAL, "the console's file must be an absolute path without "
                                                "empty, '.' or '..' parts");
    return VENV_OK;
}

static void add_mark(venv_xml *xml, xmlNodePtr domain, const venv_environment *environment,
                     const venv_machine_mark *mark)
{
    xmlNodePtr metadata = venv_xml_element(xml, domain, "metadata");
    xmlNodePtr node = venv_xml_element_in(xml, metadata, VENV_MACHINE_MARK_NAMESPACE, VENV_MACHINE_MARK_PREFIX, "machine");
    venv_xml_attribute(xml, node, "cluster", mark->cluster);
    venv_xml_attribute(xml, node, "instance", mark->instance);
    venv_xml_attribute(xml, node, "environment", environment->name);
    venv_xml_attribute_number(xml, node, "epoch", mark->epoch);
    if (mark->console[0])
        venv_xml_attribute(xml, node, "console", mark->console);
}

static void add_boot(venv_xml *xml, xmlNodePtr domain, const venv_environment *environment)
{
    xmlNodePtr os = venv_xml_element(xml, domain, "os");
    venv_xml_text(xml, os, "type", "hvm");
    if (environment->kernel)
        venv_xml_text(xml, os, "kernel", environment->kernel);
    if (environment->initrd)
        venv_xml_text(xml, os, "initrd", environment->initrd);
    if (environment->cmdline)
        venv_xml_text(xml, os, "cmdline", environment->cmdline);
    if (!environment->kernel)
        venv_xml_attribute(xml, venv_xml_element(xml, os, "boot"), "dev", "hd");
}

static void add_processor(venv_xml *xml, xmlNodePtr domain, const venv_environment *environment)
{
    venv_xml_number(xml, domain, "vcpu", environment->vcpus);
    /* The power button, by which a guest is asked to shut down, is part of ACPI. */
    xmlNodePtr features = venv_xml_element(xml, domain, "features");
    venv_xml_element(xml, features, "acpi");
    venv_xml_element(xml, features, "apic");
    /* A host's model can migrate to a node of the same model; emulation offers all that it has, since
     * today's distributions do not start on the processor of 2003 that is QEMU's default. */
    static const char *const modes[VENV_HYPERVISOR__COUNT] = {
        [VENV_HYPERVISOR_KVM] = "host-model",
        [VENV_HYPERVISOR_QEMU] = "maximum",
        [VENV_HYPERVISOR_TEST] = NULL,
    };
    if (modes[environment->hypervisor])
        venv_xml_attribute(xml, venv_xml_element(xml, domain, "cpu"), "mode", modes[environment->hypervisor]);
}

static void add_disks(venv_xml *xml, xmlNodePtr devices, const venv_environment *environment)
{
    unsigned virtio = 0, sata = 0;
    for (size_t i = 0; i < environment->disk_count; i++) {
        const venv_environment_disk *disk = &environment->disks[i];
        char target[] = "vda";
        bool is_virtio = disk->bus == VENV_DISK_VIRTIO;
        target[0] = is_virtio ? 'v' : 's';
        target[2] = (char)('a' + (is_virtio ? virtio++ : sata++)); /* at most 16: a … p */
        xmlNodePtr node = venv_xml_element(xml, devices, "disk");
        venv_xml_attribute(xml, node, "type", "file");
        venv_xml_attribute(xml, node, "device", "disk");
        xmlNodePtr driver = venv_xml_element(xml, node, "driver");
        venv_xml_attribute(xml, driver, "name", "qemu");
        venv_xml_attribute(xml, driver, "type", venv_disk_format_names[disk->format]);
        venv_xml_attribute(xml, venv_xml_element(xml, node, "source"), "file", disk->file);
        /* Empty: no file that an image names as its base is ever opened for it. */
        venv_xml_element(xml, node, "backingStore");
        xmlNodePtr where = venv_xml_element(xml, node, "target");
        venv_xml_attribute(xml, where, "dev", target);
        venv_xml_attribute(xml, where, "bus", venv_disk_bus_names[disk->bus]);
        if (disk->readonly)
            venv_xml_element(xml, node, "readonly");
    }
}

/* Where none is given: locally administered, the same each time for the same machine. The last bytes of a
 * version 4 id are random; 40 bits of them do not meet by accident in a network of any size. */
static void machine_mac(venv_id id, size_t index, uint8_t ret_mac[6])
{
    ret_mac[0] = 0x02;
    memcpy(ret_mac + 1, id.bytes + 11, 5);
    ret_mac[1] = (uint8_t)(ret_mac[1] ^ index);
}

static void add_networks(venv_xml *xml, xmlNodePtr devices, const venv_environment *environment,
                         const venv_machine_mark *mark)
{
    for (size_t i = 0; i < environment->network_count; i++) {
        const venv_environment_network *network = &environment->networks[i];
        const char *kind = venv_network_kind_names[network->kind];
        uint8_t mac[6];
        if (network->has_mac)
            memcpy(mac, network->mac, sizeof mac);
        else
            machine_mac(mark->id, i, mac);
        char text[18];
        snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                 mac[4], mac[5]);
        xmlNodePtr node = venv_xml_element(xml, devices, "interface");
        venv_xml_attribute(xml, node, "type", kind);
        venv_xml_attribute(xml, venv_xml_element(xml, node, "mac"), "address", text);
        if (network->kind != VENV_NETWORK_USER)
            venv_xml_attribute(xml, venv_xml_element(xml, node, "source"), kind, network->name);
        venv_xml_attribute(xml, venv_xml_element(xml, node, "model"), "type", "virtio");
    }
}

static void add_console(venv_xml *xml, xmlNodePtr devices, const venv_machine_mark *mark)
{
    /* A terminal for `virsh console`, and a copy of all output in a file, which a restore or a migration must not begin anew. */
    xmlNodePtr serial = venv_xml_element(xml, devices, "serial");
    venv_xml_attribute(xml, serial, "type", "pty");
    if (mark->console[0]) {
        xmlNodePtr log = venv_xml_element(xml, serial, "log");
        venv_xml_attribute(xml, log, "file", mark->console);
        venv_xml_attribute(xml, log, "append", "on");
    }
    venv_xml_attribute_number(xml, venv_xml_element(xml, serial, "target"), "port", 0);
}

static void add_devices(venv_xml *xml, xmlNodePtr domain, const venv_environment *environment,
                        const venv_machine_mark *mark)
{
    xmlNodePtr devices = venv_xml_element(xml, domain, "devices");
    add_disks(xml, devices, environment);
    xmlNodePtr usb = venv_xml_element(xml, devices, "controller");
    venv_xml_attribute(xml, usb, "type", "usb");
    venv_xml_attribute(xml, usb, "model", "none");
    add_networks(xml, devices, environment, mark);
    add_console(xml, devices, mark);
    venv_xml_attribute(xml, venv_xml_element(xml, devices, "memballoon"), "model", "virtio");
    /* Without it a small guest waits for randomness before it can speak TLS. */
    xmlNodePtr rng = venv_xml_element(xml, devices, "rng");
    venv_xml_attribute(xml, rng, "model", "virtio");
    venv_xml_attribute(xml, venv_xml_text(xml, rng, "backend", "/dev/urandom"), "model", "random");
}

venv_rc venv_environment_domain_xml(const venv_environment *environment, const venv_machine_mark *mark,
                                    char **ret_xml, venv_error *err)
{
    venv_rc rc = check_mark(mark, err);
    if (rc != VENV_OK)
        return rc;
    char name[sizeof VENV_DOMAIN_PREFIX + VENV_NAME_MAX];
    snprintf(name, sizeof name, VENV_DOMAIN_PREFIX "%s", mark->instance);
    char uuid[VENV_ID_TEXT_SIZE];
    venv_xml xml;
    xmlNodePtr domain = venv_xml_init(&xml, "domain");
    venv_xml_attribute(&xml, domain, "type", venv_hypervisor_kind_name(environment->hypervisor));
    venv_xml_text(&xml, domain, "name", name);
    venv_xml_text(&xml, domain, "uuid", venv_id_format(mark->id, uuid));
    add_mark(&xml, domain, environment, mark);
    xmlNodePtr memory = venv_xml_number(&xml, domain, "memory", environment->memory_bytes >> 10);
    venv_xml_attribute(&xml, memory, "unit", "KiB");
    add_boot(&xml, domain, environment);
    add_processor(&xml, domain, environment);
    venv_xml_attribute(&xml, venv_xml_element(&xml, domain, "clock"), "offset", "utc");
    /* What ends stays ended until the manager says otherwise; a guest may reboot itself. */
    venv_xml_text(&xml, domain, "on_poweroff", "destroy");
    venv_xml_text(&xml, domain, "on_reboot", "restart");
    venv_xml_text(&xml, domain, "on_crash", "destroy");
    add_devices(&xml, domain, environment, mark);
    rc = venv_xml_print(&xml, VENV_ENVIRONMENT_XML_MAX, ret_xml, err);
    venv_xml_fini(&xml);
    return rc;
}
