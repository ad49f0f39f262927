/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML as a tree, over libxml2. See the header for what is avoided and why.
 */
#include "environment/xml.h"

#include <libxml/parser.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) ((const xmlChar *)(s))

xmlNodePtr venv_xml_init(venv_xml *xml, const char *root)
{
    xml->failed = false;
    xml->doc = xmlNewDoc(TEXT("1.0"));
    xmlNodePtr node = xml->doc ? xmlNewDocRawNode(xml->doc, NULL, TEXT(root), NULL) : NULL;
    if (!node) {
        xml->failed = true;
        return NULL;
    }
    xmlDocSetRootElement(xml->doc, node);
    return node;
}

void venv_xml_fini(venv_xml *xml)
{
    if (xml->doc)
        xmlFreeDoc(xml->doc);
    xml->doc = NULL;
}

xmlNodePtr venv_xml_text(venv_xml *xml, xmlNodePtr parent, const char *name, const char *text)
{
    xmlNodePtr node = NULL;
    /* xmlNewTextChild and not xmlNewChild: `&` in it is a character, not an entity. */
    if (parent)
        node = xmlNewTextChild(parent, NULL, TEXT(name), TEXT(text));
    if (!node || (text && text[0] && !node->children)) {
        xml->failed = true;
        return NULL;
    }
    return node;
}

xmlNodePtr venv_xml_element(venv_xml *xml, xmlNodePtr parent, const char *name)
{
    return venv_xml_text(xml, parent, name, NULL);
}

xmlNodePtr venv_xml_number(venv_xml *xml, xmlNodePtr parent, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return venv_xml_text(xml, parent, name, text);
}

void venv_xml_attribute(venv_xml *xml, xmlNodePtr node, const char *name, const char *value)
{
    xmlAttrPtr attribute = node ? xmlNewProp(node, TEXT(name), TEXT(value)) : NULL;
    if (!attribute || (value[0] && !attribute->children))
        xml->failed = true;
}

void venv_xml_attribute_number(venv_xml *xml, xmlNodePtr node, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    venv_xml_attribute(xml, node, name, text);
}

xmlNodePtr venv_xml_element_in(venv_xml *xml, xmlNodePtr parent, const char *space, const char *prefix,
                               const char *name)
{
    xmlNodePtr node = venv_xml_element(xml, parent, name);
    xmlNsPtr declared = node ? xmlNewNs(node, TEXT(space), TEXT(prefix)) : NULL;
    if (!declared) {
        xml->failed = true;
        return NULL;
    }
    xmlSetNs(node, declared);
    return node;
}

venv_rc venv_xml_print(venv_xml *xml, size_t size_max, char **ret_text, venv_error *err)
{
    if (xml->failed)
        return venv_error_set(err, VENV_ENOMEM, "out of memory while making XML");
    xmlChar *dump = NULL;
    int dump_size = 0;
    xmlDocDumpFormatMemoryEnc(xml->doc, &dump, &dump_size, "UTF-8", 1);
    if (!dump || dump_size < 0)
        return venv_error_set(err, VENV_ENOMEM, "out of memory while printing XML");
    venv_rc rc = VENV_OK;
    char *text = NULL;
    if ((size_t)dump_size > size_max)
        rc = venv_error_set(err, VENV_ELIMIT, "the XML has %d bytes, more than %zu", dump_size, size_max);
    else if (!(text = malloc((size_t)dump_size + 1)))
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory while printing XML");
    if (rc == VENV_OK) {
        memcpy(text, dump, (size_t)dump_size);
        text[dump_size] = '\0';
        *ret_text = text;
    }
    xmlFree(dump);
    return rc;
}

venv_rc venv_xml_parse(const char *text, size_t size, size_t size_max, xmlDocPtr *ret_doc, venv_error *err)
{
    if (size > size_max)
        return venv_error_set(err, VENV_ELIMIT, "the XML has %zu bytes, more than %zu", size, size_max);
    /* Before the parser sees it: what a document type declares is acted upon while parsing. */
    if (memmem(text, size, "<!DOCTYPE", 9))
        return venv_error_set(err, VENV_EINVAL, "XML with a document type is refused");
    /* The encoding is said, so that no other one can hide a document type from the look above. */
    xmlDocPtr doc = xmlReadMemory(text, (int)size, NULL, "UTF-8",
                                  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc)
        return venv_error_set(err, VENV_EINVAL, "it is no well-formed XML");
    if (doc->intSubset || doc->extSubset || !xmlDocGetRootElement(doc)) {
        xmlFreeDoc(doc);
        return venv_error_set(err, VENV_EINVAL, "XML with a document type is refused");
    }
    *ret_doc = doc;
    return VENV_OK;
}

xmlNodePtr venv_xml_child(xmlNodePtr parent, const char *space, const char *name)
{
    for (xmlNodePtr node = parent->children; node; node = node->next) {
        if (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, name) != 0)
            continue;
        if (space ? node->ns && strcmp((const char *)node->ns->href, space) == 0 : !node->ns)
            return node;
    }
    return NULL;
}

static bool copy_out(xmlChar *text, char *buffer, size_t size)
{
    size_t length = text ? strlen((const char *)text) : 0;
    bool fits = text && length < size;
    if (fits)
        memcpy(buffer, text, length + 1);
    if (text)
        xmlFree(text);
    return fits;
}

bool venv_xml_get(xmlNodePtr node, const char *name, char *buffer, size_t size)
{
    return copy_out(xmlGetNoNsProp(node, TEXT(name)), buffer, size);
}

bool venv_xml_content(xmlNodePtr node, char *buffer, size_t size)
{
    return copy_out(xmlNodeGetContent(node), buffer, size);
}
