/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition and an identity as libvirt's domain XML (libvirt.org/formatdomain.html).
 *
 * What is left out is left to libvirt: architecture and machine type of the node, addresses, controllers.
 */
#include "environment/domain_parts.h"

#include <inttypes.h>
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

static void add_mark(venv_xml *xml, xmlNodePtr domain, const venv_definition *is,
                     const venv_machine_mark *mark)
{
    xmlNodePtr metadata = venv_xml_element(xml, domain, "metadata");
    xmlNodePtr node = venv_xml_element_in(xml, metadata, VENV_MACHINE_MARK_NAMESPACE, VENV_MACHINE_MARK_PREFIX, "machine");
    venv_xml_attribute(xml, node, "cluster", mark->cluster);
    venv_xml_attribute(xml, node, "instance", mark->instance);
    venv_xml_attribute(xml, node, "environment", is->name);
    venv_xml_attribute_number(xml, node, "epoch", mark->epoch);
    if (mark->console[0])
        venv_xml_attribute(xml, node, "console", mark->console);
}

static void add_direct_boot(const venv_domain_drawing *d, xmlNodePtr os)
{
    const venv_definition *is = d->is;
    char cmdline[VENV_ENVIRONMENT_CMDLINE_MAX + 512];
    venv_xml_text(d->xml, os, "kernel", is->kernel);
    if (is->initrd)
        venv_xml_text(d->xml, os, "initrd", is->initrd);
    snprintf(cmdline, sizeof cmdline, "%s%s%s%s", is->root ? "root=" : "", is->root ? is->root : "",
             is->root && is->cmdline ? " " : "", is->cmdline ? is->cmdline : "");
    if (cmdline[0])
        venv_xml_text(d->xml, os, "cmdline", cmdline);
}

static void add_boot(const venv_domain_drawing *d, xmlNodePtr domain)
{
    const venv_definition *is = d->is;
    xmlNodePtr os = venv_xml_element(d->xml, domain, "os");
    if (is->firmware == VENV_FIRMWARE_EFI)
        venv_xml_attribute(d->xml, os, "firmware", "efi");
    venv_xml_text(d->xml, os, "type",
                  is->hypervisor == VENV_HYPERVISOR_XEN   ? "linux"
                  : is->hypervisor == VENV_HYPERVISOR_LXC ? "exe"
                                                          : "hvm");
    if (is->hypervisor == VENV_HYPERVISOR_LXC) {
        venv_xml_text(d->xml, os, "init", is->init.count ? is->init.items[0] : "/sbin/init");
        for (size_t i = 1; i < is->init.count; i++)
            venv_xml_text(d->xml, os, "initarg", is->init.items[i]);
    } else if (is->kernel) {
        add_direct_boot(d, os);
    } else {
        venv_xml_attribute(d->xml, venv_xml_element(d->xml, os, "boot"), "dev", "hd");
    }
    if (venv_domain_is_qemu(is))
        venv_xml_attribute(d->xml, venv_xml_element(d->xml, os, "smbios"), "mode", "sysinfo");
}

/* Who it is, for the guest to read in /sys/class/dmi/id: nothing has to be mounted for that. */
static void add_identity(const venv_domain_drawing *d, xmlNodePtr domain)
{
    char epoch[24];
    snprintf(epoch, sizeof epoch, "%" PRIu64, d->mark->epoch);
    const struct {
        const char *name, *text;
    } entries[] = {
        { "manufacturer", "venv" },          { "product", d->is->name },     { "version", epoch },
        { "serial", d->mark->instance },     { "sku", d->mark->cluster },    { "family", "venv instance" },
    };
    xmlNodePtr sysinfo = venv_xml_element(d->xml, domain, "sysinfo");
    venv_xml_attribute(d->xml, sysinfo, "type", "smbios");
    xmlNodePtr system = venv_xml_element(d->xml, sysinfo, "system");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        venv_xml_attribute(d->xml, venv_xml_text(d->xml, system, "entry", entries[i].text), "name", entries[i].name);
}

static const uint32_t *cpus_of(const venv_domain_drawing *d)
{
    return d->is->pin == VENV_PIN_LIST ? d->is->pin_cpus : d->is->pin == VENV_PIN_ANY ? d->files->cpus : NULL;
}

static void add_pins(const venv_domain_drawing *d, xmlNodePtr domain, xmlNodePtr vcpu)
{
    const uint32_t *cpus = cpus_of(d);
    if (!cpus)
        return;
    if (d->is->hypervisor == VENV_HYPERVISOR_LXC) {
        /* A container has no vCPUs of its own: all of it is bound to the set. */
        char set[VENV_ENVIRONMENT_VCPUS_MAX * 5 + 1];
        int size = 0;
        for (uint32_t i = 0; i < d->is->vcpus; i++)
            size += snprintf(set + size, sizeof set - (size_t)size, "%s%" PRIu32, i ? "," : "", cpus[i]);
        venv_xml_attribute(d->xml, vcpu, "cpuset", set);
        return;
    }
    xmlNodePtr tune = venv_xml_element(d->xml, domain, "cputune");
    for (uint32_t i = 0; i < d->is->vcpus; i++) {
        xmlNodePtr pin = venv_xml_element(d->xml, tune, "vcpupin");
        venv_xml_attribute_number(d->xml, pin, "vcpu", i);
        venv_xml_attribute_number(d->xml, pin, "cpuset", cpus[i]);
    }
}

/* A host's model can migrate to a node of the same model; emulation offers all that it has, since
 * today's distributions do not start on the processor of 2003 that is QEMU's default. */
static void add_processor_model(const venv_domain_drawing *d, xmlNodePtr domain)
{
    static const char *const modes[] = { "host-model", "host-passthrough", "maximum" };
    const char *model = d->is->cpu ? d->is->cpu : d->is->hypervisor == VENV_HYPERVISOR_KVM ? modes[0] : modes[2];
    xmlNodePtr cpu = venv_xml_element(d->xml, domain, "cpu");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(model, modes[i]) == 0) {
            venv_xml_attribute(d->xml, cpu, "mode", modes[i]);
            return;
        }
    }
    venv_xml_attribute(d->xml, cpu, "mode", "custom");
    venv_xml_attribute(d->xml, cpu, "match", "exact");
    venv_xml_attribute(d->xml, venv_xml_text(d->xml, cpu, "model", model), "fallback", "forbid");
}

static void add_processor(const venv_domain_drawing *d, xmlNodePtr domain)
{
    xmlNodePtr vcpu = venv_xml_number(d->xml, domain, "vcpu", d->is->vcpus);
    add_pins(d, domain, vcpu);
    if (d->is->hypervisor == VENV_HYPERVISOR_XEN)
        return;
    xmlNodePtr features = venv_xml_element(d->xml, domain, "features");
    if (d->is->hypervisor == VENV_HYPERVISOR_LXC) {
        /* Without it a container without interfaces has those of the node. */
        venv_xml_element(d->xml, features, "privnet");
        return;
    }
    /* The power button, by which a guest is asked to shut down, is part of ACPI. */
    venv_xml_element(d->xml, features, "acpi");
    venv_xml_element(d->xml, features, "apic");
    if (venv_domain_is_qemu(d->is))
        add_processor_model(d, domain);
}

static void add_domain(const venv_domain_drawing *d, xmlNodePtr domain, const char *name)
{
    venv_xml *xml = d->xml;
    const venv_definition *is = d->is;
    char uuid[VENV_ID_TEXT_SIZE];
    venv_xml_attribute(xml, domain, "type", venv_hypervisor_kind_name(is->hypervisor));
    venv_xml_text(xml, domain, "name", name);
    venv_xml_text(xml, domain, "uuid", venv_id_format(d->mark->id, uuid));
    if (is->description)
        venv_xml_text(xml, domain, "description", is->description);
    add_mark(xml, domain, is, d->mark);
    xmlNodePtr memory = venv_xml_number(xml, domain, "memory", is->memory_bytes >> 10);
    venv_xml_attribute(xml, memory, "unit", "KiB");
    if (venv_domain_is_qemu(is))
        add_identity(d, domain);
    add_boot(d, domain);
    add_processor(d, domain);
    venv_xml_attribute(xml, venv_xml_element(xml, domain, "clock"), "offset", venv_clock_names[is->clock]);
    /* What ends stays ended until the manager says otherwise; a guest may reboot itself. */
    venv_xml_text(xml, domain, "on_poweroff", "destroy");
    venv_xml_text(xml, domain, "on_reboot", "restart");
    venv_xml_text(xml, domain, "on_crash", is->on_crash == VENV_CRASH_STAY ? "preserve" : "destroy");
    xmlNodePtr devices = venv_xml_element(xml, domain, "devices");
    venv_domain_add_disks(d, devices);
    venv_domain_add_devices(d, devices);
}

venv_rc venv_environment_domain_xml(const venv_environment *environment, const venv_machine_mark *mark,
                                    const venv_domain_files *files, char **ret_xml, venv_error *err)
{
    static const venv_domain_files none = { .seed = NULL };
    venv_xml xml = { .doc = NULL };
    venv_domain_drawing d = { .xml = &xml, .is = &environment->is, .mark = mark, .files = files ? files : &none };
    venv_rc rc = check_mark(mark, err);
    if (rc == VENV_OK)
        rc = venv_domain_check_files(&d, err);
    if (rc != VENV_OK)
        return rc;
    char name[sizeof VENV_DOMAIN_PREFIX + VENV_NAME_MAX];
    snprintf(name, sizeof name, VENV_DOMAIN_PREFIX "%s", mark->instance);
    xmlNodePtr domain = venv_xml_init(&xml, "domain");
    add_domain(&d, domain, name);
    rc = venv_xml_print(&xml, VENV_ENVIRONMENT_XML_MAX, ret_xml, err);
    venv_xml_fini(&xml);
    return rc;
}
