/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IDENTITY_WRITE_H
#define VENV_IDENTITY_WRITE_H

/* Files that appear whole or not at all, and are on disk when the function returns. */

#include <venv/common.h>

#include <sys/types.h>

/* Make a directory, not those above it, with mode 0700 if it is absent. */
venv_rc venv_write_directory(const char *path, venv_error *err);

/*
 * Write `path` by way of a temporary file beside it. VENV_EEXIST: it is there, and `replace` is false: then it is
 * not touched, whoever made it and when.
 */
venv_rc venv_write_file(const char *path, const void *data, size_t size, mode_t mode, bool replace, venv_error *err);

#endif
