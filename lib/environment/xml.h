/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_XML_H
#define VENV_ENVIRONMENT_XML_H

/*
 * Making XML as a tree, and reading it from memory. The one place that knows libxml2's traps:
 *
 *   - the functions that take *content* (xmlNewChild, xmlNewDocNode) read entities in it; these take plain text;
 *   - a document type can define entities and name files: it is refused before the parser sees it;
 *   - the parser speaks on standard error unless told not to.
 *
 * An error sticks in the writer, so that a tree is built without looking and checked once.
 */

#include <venv/common.h>

#include <libxml/tree.h>

typedef struct venv_xml {
    xmlDocPtr doc;
    bool failed; /* out of memory */
} venv_xml;

/* Start a document with a root element; NULL in `doc` and failed on no memory. Returns the root. */
xmlNodePtr venv_xml_init(venv_xml *xml, const char *root);
void venv_xml_fini(venv_xml *xml);

/* All of these accept a NULL parent (after a failure) and return NULL then. */
xmlNodePtr venv_xml_element(venv_xml *xml, xmlNodePtr parent, const char *name);
xmlNodePtr venv_xml_text(venv_xml *xml, xmlNodePtr parent, const char *name, const char *text);
xmlNodePtr venv_xml_number(venv_xml *xml, xmlNodePtr parent, const char *name, uint64_t number);
void venv_xml_attribute(venv_xml *xml, xmlNodePtr node, const char *name, const char *value);
void venv_xml_attribute_number(venv_xml *xml, xmlNodePtr node, const char *name, uint64_t number);
/* A child in a namespace that it declares itself. */
xmlNodePtr venv_xml_element_in(venv_xml *xml, xmlNodePtr parent, const char *space, const char *prefix,
                               const char *name);

/* The document as indented UTF-8 text; `*ret_text` is freed with free(). VENV_ENOMEM, VENV_ELIMIT. */
venv_rc venv_xml_print(venv_xml *xml, size_t size_max, char **ret_text, venv_error *err);

/* Parse. The result is freed with xmlFreeDoc(). VENV_EINVAL (no XML, a document type), VENV_ELIMIT. */
venv_rc venv_xml_parse(const char *text, size_t size, size_t size_max, xmlDocPtr *ret_doc, venv_error *err);

/* First child element of this name and namespace (NULL: none), or NULL. */
xmlNodePtr venv_xml_child(xmlNodePtr parent, const char *space, const char *name);
/* An attribute without namespace, copied; false if it is missing or does not fit. */
bool venv_xml_get(xmlNodePtr node, const char *name, char *buffer, size_t size);
/* Text of an element, copied; false if it does not fit. */
bool venv_xml_content(xmlNodePtr node, char *buffer, size_t size);

#endif
