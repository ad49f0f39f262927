/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_FILES_H
#define VENV_STORAGE_FILES_H

/* What ftp and sftp share: whole files over a connection that has a directory tree behind it. */

#include "storage/curl.h"

venv_rc venv_storage_files_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                               char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err);
venv_rc venv_storage_files_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                               venv_storage_source_fn source, void *user, venv_storage_error *err);
/* A listing with this command (NULL: that of the protocol), each line read by `read`. */
venv_rc venv_storage_files_list(venv_storage *storage, const venv_storage_url *url, const char *command,
                                bool (*read)(char *, const char **, venv_storage_info *), venv_storage_entry_fn entry,
                                void *user, venv_storage_error *err);
/* Find an entry in the listing of its directory, for servers that cannot be asked for one. */
venv_rc venv_storage_files_find(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                                venv_storage_error *err);
/* Commands before nothing. `response` is what came back; release it. */
venv_rc venv_storage_files_command(venv_storage *storage, const venv_storage_url *url, struct curl_slist *commands,
                                   venv_storage_response *ret_response, venv_storage_error *err);

#endif
