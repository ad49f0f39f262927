/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_LISTING_H
#define VENV_STORAGE_LISTING_H

/* Lines of directories, as ftp and sftp servers write them: `ls -l` and the facts of MLSD (RFC 3659). */

#include <venv/storage.h>

/* `line` has no newline. On true `*ret_name` borrows from it. */
bool venv_storage_listing_unix(char *line, const char **ret_name, venv_storage_info *ret_info);
bool venv_storage_listing_facts(char *line, const char **ret_name, venv_storage_info *ret_info);

#endif
