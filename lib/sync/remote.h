/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_REMOTE_H
#define VENV_SYNC_REMOTE_H

/* A repository behind a URL: the same places with bytes, over venv/storage.h. One thread at a time. */

#include "sync/repository.h"

bool venv_remote_is(const char *place);
venv_rc venv_remote_open(venv_repository *repository, const venv_image_options *options, venv_error *err);
void venv_remote_close(venv_repository *repository);
venv_rc venv_remote_get(venv_repository *repository, const char *path, size_t max, uint8_t **ret_data, size_t *ret_size,
                        venv_error *err);
venv_rc venv_remote_put(venv_repository *repository, const char *path, const void *data, size_t size, bool exclusive,
                        venv_error *err);
venv_rc venv_remote_range(venv_repository *repository, const char *path, uint64_t offset, void *data, size_t size,
                          venv_error *err);
/* A new object from the first `size` bytes of a file. */
venv_rc venv_remote_put_file(venv_repository *repository, const char *path, int fd, uint64_t size, venv_error *err);

#endif
