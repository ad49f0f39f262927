/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_FILES_H
#define VENV_SYNC_FILES_H

/* Files beneath a directory: no link is followed, nothing outside is reached, what appears is complete and on disk. */

#include <venv/common.h>

#include <sys/types.h>

#define VENV_SYNC_PATH_MAX 4096

/* openat2() beneath `directory`, without links. Returns a descriptor, or -1 with errno. */
int venv_files_open(int directory, const char *path, int flags, mode_t mode);

/* The code for errno, and a text "WHAT PATH: reason". */
venv_rc venv_files_fail(venv_error *err, int error, const char *what, const char *path);

/* Whole reads and writes; a file that ends too soon is VENV_EIO. */
venv_rc venv_files_read_at(int fd, void *data, size_t size, uint64_t offset, const char *path, venv_error *err);
venv_rc venv_files_write_at(int fd, const void *data, size_t size, uint64_t offset, const char *path, venv_error *err);

/* Make directories below `directory` along the path of a file. On disk when it returns. */
venv_rc venv_files_parents(int directory, const char *path, venv_error *err);

/* A temporary file beside `path`, to be finished with _commit(). Its name is written to `ret_temporary`. */
venv_rc venv_files_temporary(int directory, const char *path, int *ret_fd, char ret_temporary[VENV_SYNC_PATH_MAX],
                             venv_error *err);
/* Sync it and give it its name; `exclusive`: VENV_EEXIST if the name is taken. Closes `fd`; removes the temporary if it fails. */
venv_rc venv_files_commit(int directory, int fd, const char *temporary, const char *path, bool exclusive, venv_error *err);

/* Write bytes as a file, by the two functions above. */
venv_rc venv_files_put(int directory, const char *path, const void *data, size_t size, bool exclusive, venv_error *err);

/* Read a file of at most `max` bytes. Free *ret_data. */
venv_rc venv_files_get(int directory, const char *path, size_t max, uint8_t **ret_data, size_t *ret_size, venv_error *err);

/* The same of a file that is open. */
venv_rc venv_files_get_open(int fd, const char *path, size_t max, uint8_t **ret_data, size_t *ret_size, venv_error *err);

/* Sync the directory that holds `path`. */
venv_rc venv_files_sync_parent(int directory, const char *path, venv_error *err);

/* A new random id, from the operating system. */
venv_rc venv_files_id(venv_id *ret_id, venv_error *err);

#endif
