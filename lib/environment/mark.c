/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading our mark back. What is read comes from libvirt, where whoever may define domains can have put it: each
 * field is checked as if a stranger had sent it.
 */
#include "environment/definition.h"
#include "environment/domain.h"
#include "environment/xml.h"

#include <stdio.h>
#include <string.h>

static bool read_name(xmlNodePtr node, const char *attribute, char *ret_name)
{
    char text[VENV_NAME_MAX + 1];
    if (!venv_xml_get(node, attribute, text, sizeof text) ||
        !venv_name_is_valid((venv_str){ text, strlen(text) }))
        return false;
    memcpy(ret_name, text, sizeof text);
    return true;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (!text[0])
        return false;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*c - '0'), &number))
            return false;
    }
    *ret_number = number;
    return true;
}

static bool read_number(xmlNodePtr node, const char *attribute, uint64_t *ret_number)
{
    char text[24];
    return venv_xml_get(node, attribute, text, sizeof text) && parse_number(text, ret_number);
}

static bool read_child_number(xmlNodePtr parent, const char *name, uint64_t *ret_number)
{
    char text[24];
    xmlNodePtr node = venv_xml_child(parent, NULL, name);
    return node && venv_xml_content(node, text, sizeof text) && parse_number(text, ret_number);
}

static venv_rc read_mark(xmlNodePtr node, venv_machine_mark *ret_mark, venv_error *err)
{
    venv_machine_mark mark = { .epoch = 0 };
    if (!read_name(node, "cluster", mark.cluster) || !read_name(node, "instance", mark.instance) ||
        !read_name(node, "environment", mark.environment))
        return venv_error_set(err, VENV_EINVAL, "the mark of the domain lacks a valid name of its "
                                                "cluster, instance or environment");
    if (!read_number(node, "epoch", &mark.epoch))
        return venv_error_set(err, VENV_EINVAL, "the mark of the domain has no valid epoch");
    if (xmlHasProp(node, (const xmlChar *)"console")) {
        if (!venv_xml_get(node, "console", mark.console, sizeof mark.console) ||
            !venv_environment_path_check((venv_str){ mark.console, strlen(mark.console) }))
            return venv_error_set(err, VENV_EINVAL, "the console in the mark of the domain is no "
                                                    "absolute path");
    }
    *ret_mark = mark;
    return VENV_OK;
}

static venv_rc read_domain(xmlNodePtr domain, venv_machine_mark *ret_mark, venv_error *err)
{
    xmlNodePtr metadata = venv_xml_child(domain, NULL, "metadata");
    xmlNodePtr node = metadata ? venv_xml_child(metadata, VENV_MACHINE_MARK_NAMESPACE, "machine") : NULL;
    if (!node)
        return venv_error_set(err, VENV_ENOENT, "the domain has no mark of venv");
    venv_machine_mark mark;
    venv_rc rc = read_mark(node, &mark, err);
    if (rc != VENV_OK)
        return rc;
    char text[VENV_ID_TEXT_SIZE];
    xmlNodePtr uuid = venv_xml_child(domain, NULL, "uuid");
    if (!uuid || !venv_xml_content(uuid, text, sizeof text) ||
        !venv_id_parse((venv_str){ text, strlen(text) }, &mark.id))
        return venv_error_set(err, VENV_EINVAL, "the domain has no valid UUID");
    *ret_mark = mark;
    return VENV_OK;
}

venv_rc venv_machine_mark_parse(const char *xml, size_t size, venv_machine_mark *ret_mark, venv_error *err)
{
    xmlDocPtr doc = NULL;
    venv_rc rc = venv_xml_parse(xml, size, VENV_ENVIRONMENT_XML_MAX, &doc, err);
    if (rc != VENV_OK)
        return rc;
    xmlNodePtr root = xmlDocGetRootElement(doc);
    const char *space = root->ns ? (const char *)root->ns->href : NULL;
    if (!space && strcmp((const char *)root->name, "domain") == 0)
        rc = read_domain(root, ret_mark, err);
    /* libvirt was asked for our namespace, and gives the element without it. */
    else if (strcmp((const char *)root->name, "machine") == 0 &&
             (!space || strcmp(space, VENV_MACHINE_MARK_NAMESPACE) == 0))
        rc = read_mark(root, ret_mark, err);
    else
        rc = venv_error_set(err, VENV_ENOENT, "the XML has no mark of venv");
    xmlFreeDoc(doc);
    return rc;
}

static venv_rc read_summary(xmlNodePtr root, venv_domain_summary *ret_summary, venv_error *err)
{
    venv_domain_summary summary = { .vcpus = 0 };
    if (root->ns || strcmp((const char *)root->name, "domain") != 0)
        return venv_error_set(err, VENV_EINVAL, "the XML is not that of a domain");
    venv_rc rc = read_domain(root, &summary.mark, err);
    if (rc != VENV_OK)
        return rc;
    xmlNodePtr name = venv_xml_child(root, NULL, "name");
    if (!name || !venv_xml_content(name, summary.name, sizeof summary.name) || !summary.name[0])
        return venv_error_set(err, VENV_EINVAL, "the domain has no name, or one that is too long");
    uint64_t vcpus, memory;
    char unit[8];
    if (!read_child_number(root, "vcpu", &vcpus) || vcpus == 0 || vcpus > VENV_ENVIRONMENT_VCPUS_MAX)
        return venv_error_set(err, VENV_EINVAL, "the domain has no valid number of vCPUs");
    if (!read_child_number(root, "memory", &memory) || memory > VENV_ENVIRONMENT_MEMORY_MAX >> 10 ||
        !venv_xml_get(venv_xml_child(root, NULL, "memory"), "unit", unit, sizeof unit) ||
        strcmp(unit, "KiB") != 0)
        return venv_error_set(err, VENV_EINVAL, "the domain has no valid size of memory in KiB");
    summary.vcpus = (uint32_t)vcpus;
    summary.memory_bytes = memory << 10;
    *ret_summary = summary;
    return VENV_OK;
}

venv_rc venv_domain_summary_parse(const char *xml, size_t size, venv_domain_summary *ret_summary,
                                  venv_error *err)
{
    xmlDocPtr doc = NULL;
    venv_rc rc = venv_xml_parse(xml, size, VENV_ENVIRONMENT_XML_MAX, &doc, err);
    if (rc != VENV_OK)
        return rc;
    rc = read_summary(xmlDocGetRootElement(doc), ret_summary, err);
    xmlFreeDoc(doc);
    return rc;
}

venv_rc venv_domain_set_epoch(const char *text, size_t size, uint64_t epoch, char **ret_xml, venv_error *err)
{
    venv_xml xml = { .doc = NULL };
    venv_machine_mark mark;
    venv_rc rc = venv_xml_parse(text, size, VENV_ENVIRONMENT_XML_MAX, &xml.doc, err);
    if (rc != VENV_OK)
        return rc;
    xmlNodePtr root = xmlDocGetRootElement(xml.doc);
    rc = read_domain(root, &mark, err);
    if (rc == VENV_OK) {
        xmlNodePtr node = venv_xml_child(venv_xml_child(root, NULL, "metadata"), VENV_MACHINE_MARK_NAMESPACE, "machine");
        char number[24];
        snprintf(number, sizeof number, "%llu", (unsigned long long)epoch);
        xml.failed = xmlSetProp(node, (const xmlChar *)"epoch", (const xmlChar *)number) == NULL;
        rc = venv_xml_print(&xml, VENV_ENVIRONMENT_XML_MAX, ret_xml, err);
    }
    xmlFreeDoc(xml.doc);
    return rc;
}
