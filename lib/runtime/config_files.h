/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_CONFIG_FILES_H
#define VENV_RUNTIME_CONFIG_FILES_H

/*
 * The files of a configuration, read and parsed: the main one first, then those that its `include` names.
 *
 * What is in them is the cores' affair. Patterns are expanded relative to the main file and sorted; each file is read
 * once; all bounds are in venv/daemon.h.
 */

#include <venv/codec.h>

typedef struct venv_config_file {
    char *path; /* as people know it: for messages */
    char *text;
    size_t size;
    venv_value value;
    venv_yaml_marks *marks;
} venv_config_file;

typedef struct venv_config_files {
    venv_config_file *items;
    size_t count;
} venv_config_files;

/*
 * VENV_ENOENT: a file is missing (for an included one the error names the line that asks for it). VENV_EDENIED: anybody
 * may write a file. VENV_EIO: it cannot be read. VENV_ELIMIT, VENV_ENOMEM; and what venv_yaml_parse() returns.
 */
venv_rc venv_config_files_read(const char *path, venv_config_files *ret_files, venv_error *err);
void venv_config_files_fini(venv_config_files *files);

#endif
