/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a domain: which disks its guest writes to, and libvirt's words for a file in a folder
 * (libvirt.org/formatdomain.html, formatstorage.html). What is read comes from libvirt, and is checked as from a stranger.
 */
#include "base/cleanup.h"
#include "environment/domain.h"
#include "environment/xml.h"

#include <stdio.h>
#include <string.h>

#define XML_MAX (1u << 20)

static bool is_path(const char *text)
{
    return text[0] == '/' && !strstr(text, "/../");
}

static bool is_named(xmlNodePtr node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* What the disk lies on, as libvirt has it open. */
static void read_base(xmlNodePtr node, venv_domain_disk *disk)
{
    xmlNodePtr base = venv_xml_child(node, NULL, "backingStore");
    xmlNodePtr format = base ? venv_xml_child(base, NULL, "format") : NULL, source = base ? venv_xml_child(base, NULL, "source") : NULL;
    if (!source || !venv_xml_get(source, "file", disk->base, sizeof disk->base) || !is_path(disk->base))
        disk->base[0] = '\0';
    if (!format || !venv_xml_get(format, "type", disk->base_format, sizeof disk->base_format))
        (void)snprintf(disk->base_format, sizeof disk->base_format, "raw");
}

/* VENV_ENOENT: it is not written to. */
static venv_rc read_disk(xmlNodePtr node, venv_domain_disk *ret_disk, venv_error *err)
{
    venv_domain_disk disk = { .file = "" };
    xmlNodePtr source = venv_xml_child(node, NULL, "source"), driver = venv_xml_child(node, NULL, "driver");
    xmlNodePtr target = venv_xml_child(node, NULL, "target");
    char type[16];
    if (venv_xml_child(node, NULL, "readonly") || venv_xml_child(node, NULL, "shareable") || !source)
        return VENV_ENOENT;
    if (!target || !venv_xml_get(target, "dev", disk.target, sizeof disk.target))
        disk.target[0] = '\0';
    if (!venv_xml_get(node, "type", type, sizeof type) || strcmp(type, "file") != 0 ||
        !venv_xml_get(source, "file", disk.file, sizeof disk.file) || !is_path(disk.file))
        return venv_error_set(err, VENV_EUNSUPPORTED, "disk %s is no file", disk.target[0] ? disk.target : "of the machine");
    if (!driver || !venv_xml_get(driver, "type", disk.format, sizeof disk.format))
        (void)snprintf(disk.format, sizeof disk.format, "raw");
    read_base(node, &disk);
    *ret_disk = disk;
    return VENV_OK;
}

venv_rc venv_domain_disks_parse(const char *xml, size_t size, venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX], size_t *ret_count,
                                venv_error *err)
{
    xmlDocPtr doc = NULL;
    size_t count = 0;
    venv_rc rc = venv_xml_parse(xml, size, XML_MAX, &doc, err);
    if (rc != VENV_OK)
        return rc;
    xmlNodePtr root = xmlDocGetRootElement(doc), devices = root ? venv_xml_child(root, NULL, "devices") : NULL;
    for (xmlNodePtr node = devices ? devices->children : NULL; node && rc == VENV_OK; node = node->next) {
        char device[16];
        if (!is_named(node, "disk") || (venv_xml_get(node, "device", device, sizeof device) && strcmp(device, "disk") != 0))
            continue;
        if (count == VENV_DOMAIN_DISKS_MAX)
            rc = venv_error_set(err, VENV_ELIMIT, "the machine has more than %u disks", VENV_DOMAIN_DISKS_MAX);
        else
            rc = read_disk(node, &disks[count], err);
        if (rc == VENV_OK)
            count++;
        else if (rc == VENV_ENOENT)
            rc = VENV_OK;
    }
    xmlFreeDoc(doc);
    if (rc == VENV_OK)
        *ret_count = count;
    return rc;
}

venv_rc venv_domain_volume_xml(const char *name, uint64_t capacity, const venv_domain_disk *disk, char **ret_xml, venv_error *err)
{
    venv_xml xml;
    xmlNodePtr volume = venv_xml_init(&xml, "volume");
    venv_xml_text(&xml, volume, "name", name);
    venv_xml_attribute(&xml, venv_xml_number(&xml, volume, "capacity", capacity), "unit", "bytes");
    venv_xml_number(&xml, volume, "allocation", 0);
    xmlNodePtr target = venv_xml_element(&xml, volume, "target");
    venv_xml_attribute(&xml, venv_xml_element(&xml, target, "format"), "type", disk ? disk->format : "raw");
    if (disk && disk->base[0]) {
        xmlNodePtr base = venv_xml_element(&xml, volume, "backingStore");
        venv_xml_text(&xml, base, "path", disk->base);
        venv_xml_attribute(&xml, venv_xml_element(&xml, base, "format"), "type", disk->base_format);
    }
    venv_rc rc = venv_xml_print(&xml, XML_MAX, ret_xml, err);
    venv_xml_fini(&xml);
    return rc;
}

venv_rc venv_domain_pool_xml(const char *name, const char *folder, char **ret_xml, venv_error *err)
{
    venv_xml xml;
    xmlNodePtr pool = venv_xml_init(&xml, "pool");
    venv_xml_attribute(&xml, pool, "type", "dir");
    venv_xml_text(&xml, pool, "name", name);
    venv_xml_text(&xml, venv_xml_element(&xml, pool, "target"), "path", folder);
    venv_rc rc = venv_xml_print(&xml, XML_MAX, ret_xml, err);
    venv_xml_fini(&xml);
    return rc;
}
