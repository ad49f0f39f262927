/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_IMPORT_H
#define VENV_ENVIRONMENT_IMPORT_H

/*
 * What the readers of other formats write into: a definition as YAML that grows in parts, and what of the original has no
 * place in it. Whatever a text holds, it is one quoted text, or one comment.
 */

#include "base/buf.h"

#include <venv/environment.h>

#define VENV_IMPORT_NOTES_MAX 200u /* comments; what is more is counted */

typedef struct venv_import {
    char name[VENV_NAME_MAX + 1];
    venv_buf keys, disks, networks, notes;
    size_t disk_count, network_count, note_count;
} venv_import;

/* "key: value". `format` is what we write ourselves; texts of the original go through _text. */
void venv_import_text(venv_import *d, const char *key, venv_str text);
void venv_import_raw(venv_import *d, const char *key, const char *format, ...) VENV_PRINTF(3, 4);
/* A text in quotes, at the end of a part. */
void venv_import_quote(venv_buf *buf, venv_str text);
/* A comment about something that is not carried over. */
void venv_import_note(venv_import *d, const char *format, ...) VENV_PRINTF(2, 3);
/* The name of the environment: made of `text` as far as that may be one. */
void venv_import_name(venv_import *d, venv_str text);
/* A name out of a path of the form /dev/GROUP/NAME that is a logical volume's, for `volume`; else `partition`. */
void venv_import_block(venv_import *d, venv_str path);

/* The two formats. VENV_EINVAL with line and column in *err: it is not this format. */
venv_rc venv_import_xl(venv_import *d, const char *text, size_t size, const char *file, venv_error *err);
venv_rc venv_import_domain(venv_import *d, const char *text, size_t size, venv_error *err);

#endif
