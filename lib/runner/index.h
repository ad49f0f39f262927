/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNNER_INDEX_H
#define VENV_RUNNER_INDEX_H

/* Names and paths of the commands, sorted by name. */

#include "base/log.h"

typedef struct venv_index_entry {
    char name[VENV_NAME_MAX + 1];
    char *path;      /* DIRECTORY/NAME, before links are followed */
    size_t directory_size; /* bytes of `path` before the last slash */
} venv_index_entry;

typedef struct venv_index {
    venv_index_entry *entries;
    size_t count, capacity;
} venv_index;

/* Add what is in a directory; of a name that is there already the new one is taken. What is left out is logged. */
venv_rc venv_index_add_directory(venv_index *index, const char *directory, const venv_log *log, venv_error *err);
const venv_index_entry *venv_index_find(const venv_index *index, venv_str name);
void venv_index_fini(venv_index *index);

#endif
