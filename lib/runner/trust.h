/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNNER_TRUST_H
#define VENV_RUNNER_TRUST_H

/* Which files and directories may name what runs: those that nobody but root, or we ourselves, can change. */

#include <venv/common.h>

typedef enum venv_trust_kind {
    VENV_TRUST_DIRECTORY = 0,
    VENV_TRUST_EXECUTABLE,
} venv_trust_kind;

/*
 * Open `path` with O_PATH after following its links. Every directory on the way of the resolved path, and what stands at its
 * end, belongs to root or to our effective user, and no other may write there (a sticky directory, such as /tmp, may
 * be on the way, but not be what holds an executable). What is checked is what is opened: the way is walked by descriptors.
 *
 * VENV_ENOENT, VENV_EDENIED (not to be trusted, or not executable), VENV_EKIND (not a directory or regular
 * file), VENV_EIO, VENV_ENOMEM; the text says which part of the path and why.
 */
venv_rc venv_trust_open(const char *path, venv_trust_kind kind, int *ret_fd, venv_error *err);

#endif
