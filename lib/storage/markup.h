/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_MARKUP_H
#define VENV_STORAGE_MARKUP_H

/*
 * As much of XML as WebDAV and S3 answer with: elements by their local name and the text in them. Bounded, without
 * recursion, entities other than the five and numbers, or document types: those are an error.
 */

#include <venv/common.h>

#define VENV_STORAGE_MARKUP_TEXT_MAX 4096u
#define VENV_STORAGE_MARKUP_NAME_MAX 64u

typedef enum venv_storage_markup_event {
    VENV_STORAGE_MARKUP_END = 0, /* of the document */
    VENV_STORAGE_MARKUP_OPEN,    /* `name` begins */
    VENV_STORAGE_MARKUP_CLOSE,   /* `name` ends; `text` is what stood in it after its last child */
    VENV_STORAGE_MARKUP_BROKEN,
} venv_storage_markup_event;

typedef struct venv_storage_markup {
    const char *at, *end;
    unsigned depth;
    bool pending_close; /* of an element that was empty */
    char name[VENV_STORAGE_MARKUP_NAME_MAX];
    char text[VENV_STORAGE_MARKUP_TEXT_MAX];
    size_t text_size;
} venv_storage_markup;

void venv_storage_markup_init(venv_storage_markup *markup, const void *data, size_t size);
venv_storage_markup_event venv_storage_markup_next(venv_storage_markup *markup);

#endif
