/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of a domain, and the file systems of a container. Each says its format and the end of its chain: nothing
 * that is written inside of a disk makes a hypervisor open another file.
 */
#include "environment/domain_parts.h"

#include <stdio.h>
#include <string.h>

static bool file_is_valid(const char *path)
{
    return path && venv_environment_path_check((venv_str){ path, strlen(path) });
}

venv_rc venv_domain_check_files(const venv_domain_drawing *d, venv_error *err)
{
    const venv_definition *is = d->is;
    if (is->hypervisor == VENV_HYPERVISOR_TEST)
        return VENV_OK; /* there is no guest that could miss a disk */
    for (size_t i = 0; i < is->disk_count; i++) {
        if (is->disks[i].source != VENV_DISK_MADE)
            continue;
        if (!file_is_valid(d->files->disks[i].path))
            return venv_error_set(err, VENV_EINVAL, "environment %s: the file for disk %zu is not there, or its path is not absolute",
                                  is->name, i);
        if (is->disks[i].image && !file_is_valid(d->files->disks[i].base))
            return venv_error_set(err, VENV_EINVAL, "environment %s: the image %s for disk %zu is not there, or its path is not absolute",
                                  is->name, is->disks[i].image, i);
    }
    if (d->files->seed ? !file_is_valid(d->files->seed) : is->cloud_init.given)
        return venv_error_set(err, VENV_EINVAL, "environment %s: the seed for cloud-init is not there, or its path is not absolute", is->name);
    return VENV_OK;
}

/* Names of disks by bus. libvirt wants them unique over all; sata and scsi share theirs. */
static void target_of(venv_disk_bus bus, unsigned used[VENV_DISK_BUS__COUNT], char ret_target[5])
{
    static const struct {
        const char *prefix;
        venv_disk_bus counted_with;
    } rows[VENV_DISK_BUS__COUNT] = {
        [VENV_DISK_VIRTIO] = { "vd", VENV_DISK_VIRTIO }, [VENV_DISK_SATA] = { "sd", VENV_DISK_SATA },
        [VENV_DISK_SCSI] = { "sd", VENV_DISK_SATA },     [VENV_DISK_IDE] = { "hd", VENV_DISK_IDE },
        [VENV_DISK_XEN] = { "xvd", VENV_DISK_XEN },
    };
    unsigned number = used[rows[bus].counted_with]++; /* 16 disks and a seed at most: a … q */
    snprintf(ret_target, 5, "%s%c", rows[bus].prefix, (char)('a' + number % 26));
}

static const char *path_of(const venv_domain_drawing *d, size_t index)
{
    const venv_environment_disk *disk = &d->is->disks[index];
    return disk->source == VENV_DISK_MADE ? d->files->disks[index].path : disk->path;
}

static bool is_block(const venv_environment_disk *disk)
{
    return disk->source == VENV_DISK_PARTITION || disk->source == VENV_DISK_VOLUME;
}

static bool looks_like_uuid(const char *text)
{
    venv_id id;
    return venv_id_parse((venv_str){ text, strlen(text) }, &id);
}

static void add_network_source(const venv_domain_drawing *d, xmlNodePtr source, const venv_disk_network *network)
{
    venv_xml *xml = d->xml;
    venv_xml_attribute(xml, source, "protocol", venv_disk_protocol_names[network->protocol]);
    venv_xml_attribute(xml, source, "name", network->name);
    for (size_t i = 0; i < network->host_count; i++) {
        xmlNodePtr host = venv_xml_element(xml, source, "host");
        venv_xml_attribute(xml, host, "name", network->hosts[i].name);
        if (network->hosts[i].port)
            venv_xml_attribute_number(xml, host, "port", network->hosts[i].port);
    }
    if (!network->user)
        return;
    xmlNodePtr auth = venv_xml_element(xml, source, "auth");
    venv_xml_attribute(xml, auth, "username", network->user);
    xmlNodePtr secret = venv_xml_element(xml, auth, "secret");
    venv_xml_attribute(xml, secret, "type", network->protocol == VENV_DISK_RBD ? "ceph" : "iscsi");
    venv_xml_attribute(xml, secret, looks_like_uuid(network->secret) ? "uuid" : "usage", network->secret);
}

/* What an overlay lies on, said in full: then nothing is looked up in the overlay's own header. */
static void add_chain(const venv_domain_drawing *d, xmlNodePtr disk, const char *base, venv_disk_format format)
{
    xmlNodePtr backing = venv_xml_element(d->xml, disk, "backingStore");
    if (!base)
        return;
    venv_xml_attribute(d->xml, backing, "type", "file");
    venv_xml_attribute(d->xml, venv_xml_element(d->xml, backing, "format"), "type", venv_disk_format_names[format]);
    xmlNodePtr source = venv_xml_element(d->xml, backing, "source");
    venv_xml_attribute(d->xml, source, "file", base);
    /* It is everybody's to read and nobody's to write: libvirt must not give it to the user that its guests run as. */
    xmlNodePtr label = venv_xml_element(d->xml, source, "seclabel");
    venv_xml_attribute(d->xml, label, "model", "dac");
    venv_xml_attribute(d->xml, label, "relabel", "no");
    venv_xml_element(d->xml, backing, "backingStore");
}

static void add_driver(const venv_domain_drawing *d, xmlNodePtr node, const venv_environment_disk *disk)
{
    xmlNodePtr driver = venv_xml_element(d->xml, node, "driver");
    bool phy = d->is->hypervisor == VENV_HYPERVISOR_XEN && is_block(disk) && disk->format == VENV_DISK_RAW;
    venv_xml_attribute(d->xml, driver, "name", phy ? "phy" : "qemu");
    venv_xml_attribute(d->xml, driver, "type", venv_disk_format_names[disk->format]);
    if (disk->cache != VENV_DISK_CACHE_DEFAULT)
        venv_xml_attribute(d->xml, driver, "cache", venv_disk_cache_names[disk->cache]);
    /* What the guest frees is free in the file again. */
    if (disk->source == VENV_DISK_MADE && venv_domain_is_qemu(d->is))
        venv_xml_attribute(d->xml, driver, "discard", "unmap");
}

static void add_disk(const venv_domain_drawing *d, xmlNodePtr devices, size_t index, unsigned used[VENV_DISK_BUS__COUNT])
{
    const venv_environment_disk *disk = &d->is->disks[index];
    bool network = disk->source == VENV_DISK_NETWORK;
    const char *path = path_of(d, index);
    if (!network && !path)
        return; /* of the test hypervisor */
    xmlNodePtr node = venv_xml_element(d->xml, devices, "disk");
    venv_xml_attribute(d->xml, node, "type", network ? "network" : is_block(disk) ? "block" : "file");
    venv_xml_attribute(d->xml, node, "device", venv_disk_device_names[disk->device]);
    add_driver(d, node, disk);
    xmlNodePtr source = venv_xml_element(d->xml, node, "source");
    if (network)
        add_network_source(d, source, &disk->network);
    else
        venv_xml_attribute(d->xml, source, is_block(disk) ? "dev" : "file", path);
    bool overlay = disk->source == VENV_DISK_MADE && disk->image;
    add_chain(d, node, overlay ? d->files->disks[index].base : NULL, d->files->disks[index].base_format);
    char target[5];
    target_of(disk->bus, used, target);
    xmlNodePtr where = venv_xml_element(d->xml, node, "target");
    venv_xml_attribute(d->xml, where, "dev", target);
    venv_xml_attribute(d->xml, where, "bus", venv_disk_bus_names[disk->bus]);
    if (disk->readonly)
        venv_xml_element(d->xml, node, "readonly");
}

/* The seed is found by its label, so it is whatever the guest surely has a driver for: what its first disk is. */
static void add_seed(const venv_domain_drawing *d, xmlNodePtr devices, unsigned used[VENV_DISK_BUS__COUNT])
{
    venv_disk_bus bus = d->is->hypervisor == VENV_HYPERVISOR_XEN ? VENV_DISK_XEN
                        : d->is->disk_count                      ? d->is->disks[0].bus
                                                                 : VENV_DISK_VIRTIO;
    bool cdrom = bus != VENV_DISK_VIRTIO && bus != VENV_DISK_XEN;
    char target[5];
    target_of(bus, used, target);
    xmlNodePtr node = venv_xml_element(d->xml, devices, "disk");
    venv_xml_attribute(d->xml, node, "type", "file");
    venv_xml_attribute(d->xml, node, "device", venv_disk_device_names[cdrom ? VENV_DISK_IS_CDROM : VENV_DISK_IS_DISK]);
    xmlNodePtr driver = venv_xml_element(d->xml, node, "driver");
    venv_xml_attribute(d->xml, driver, "name", "qemu");
    venv_xml_attribute(d->xml, driver, "type", venv_disk_format_names[VENV_DISK_RAW]);
    venv_xml_attribute(d->xml, venv_xml_element(d->xml, node, "source"), "file", d->files->seed);
    add_chain(d, node, NULL, VENV_DISK_RAW);
    xmlNodePtr where = venv_xml_element(d->xml, node, "target");
    venv_xml_attribute(d->xml, where, "dev", target);
    venv_xml_attribute(d->xml, where, "bus", venv_disk_bus_names[bus]);
    venv_xml_element(d->xml, node, "readonly");
}

/* A container sees a file system, wherever that lies. */
static void add_filesystem(const venv_domain_drawing *d, xmlNodePtr devices, size_t index)
{
    const venv_environment_disk *disk = &d->is->disks[index];
    bool directory = disk->source == VENV_DISK_DIRECTORY, block = is_block(disk);
    xmlNodePtr node = venv_xml_element(d->xml, devices, "filesystem");
    venv_xml_attribute(d->xml, node, "type", directory ? "mount" : block ? "block" : "file");
    venv_xml_attribute(d->xml, node, "accessmode", "passthrough");
    if (!directory && !block) {
        xmlNodePtr driver = venv_xml_element(d->xml, node, "driver");
        venv_xml_attribute(d->xml, driver, "type", disk->format == VENV_DISK_RAW ? "loop" : "nbd");
        venv_xml_attribute(d->xml, driver, "format", venv_disk_format_names[disk->format]);
    }
    venv_xml_attribute(d->xml, venv_xml_element(d->xml, node, "source"), directory ? "dir" : block ? "dev" : "file", path_of(d, index));
    venv_xml_attribute(d->xml, venv_xml_element(d->xml, node, "target"), "dir", disk->mount);
    if (disk->readonly)
        venv_xml_element(d->xml, node, "readonly");
}

void venv_domain_add_disks(const venv_domain_drawing *d, xmlNodePtr devices)
{
    unsigned used[VENV_DISK_BUS__COUNT] = { 0 };
    for (size_t i = 0; i < d->is->disk_count; i++) {
        if (d->is->hypervisor == VENV_HYPERVISOR_LXC)
            add_filesystem(d, devices, i);
        else
            add_disk(d, devices, i, used);
    }
    if (d->files->seed && d->is->hypervisor != VENV_HYPERVISOR_LXC)
        add_seed(d, devices, used);
}
