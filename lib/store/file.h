/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORE_FILE_H
#define VENV_STORE_FILE_H

/* The file of a store as a file: its directory, its mode, and the lock that keeps a second process out. */

#include <venv/common.h>

/* A path is given up beyond this. */
#define VENV_STORE_PATH_MAX 4000

/* Make the directory of `path`, and those above it, with mode 0700 where absent. They are on disk when it returns. */
venv_rc venv_store_directory_make(const char *path, venv_error *err);

/*
 * Make `path`, empty and with mode 0600, if it is absent; it is on disk when it returns. Only the holder of the lock may
 * call it: closing the descriptor would drop SQLite's own locks of this process.
 */
venv_rc venv_store_file_make(const char *path, uint64_t *ret_size, venv_error *err);

/* Leave the rights on a file to its owner only. */
venv_rc venv_store_file_protect(const char *path, venv_error *err);

/*
 * Take the lock `PATH.lock` for the life of the descriptor, and write our process id into it.
 * VENV_ECONFLICT: another has it. `ret_unclean`: its last holder did not let go in order.
 */
venv_rc venv_store_file_lock(const char *path, int *ret_fd, bool *ret_unclean, venv_error *err);

/* Let go, in order. */
void venv_store_file_unlock(int fd);
/* Let go as if we had died: the next holder looks the store over. */
void venv_store_file_abandon(int fd);

/*
 * The reserve: a file whose blocks are allocated, so that they can be given up when the disk is full.
 * Take: it is there, whole, when VENV_OK is returned; VENV_ENOSPACE: there is no room for it, and it is not there.
 * Release: true if there was one.
 */
#define VENV_STORE_RESERVE_SIZE (4u << 20)
venv_rc venv_store_reserve_take(const char *path, venv_error *err);
bool venv_store_reserve_release(const char *path);

/* VENV_ENOSPACE for a full disk or quota, VENV_EDENIED, VENV_ENOENT, VENV_EIO. */
venv_rc venv_store_errno_rc(int error);

#endif
