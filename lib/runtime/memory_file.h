/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_MEMORY_FILE_H
#define VENV_RUNTIME_MEMORY_FILE_H

/*
 * The one file in which an agent keeps what it must know after it was killed (agent/agent.h, KEEP).
 *
 *      STATE_DIR/NAME@CLUSTER.memory:  "VENVMEM1" | SHA-256 of what follows | CBOR
 *
 * It is written whole, under another name, synced, renamed, and its folder synced: after a power cut it is the old one or the
 * new one. A file that is neither is not taken for "nothing was kept": loading it fails, and the agent does not start.
 */

#include <venv/value.h>

#include <uv.h>

#define VENV_MEMORY_FILE_MAX (16u << 20) /* bytes */

typedef struct venv_memory_file venv_memory_file;

typedef struct venv_memory_file_calls {
    /* Number `number`, and all before it, are durable; or (rc != VENV_OK) it could not be written. */
    void (*kept)(void *user, uint64_t number, venv_rc rc, const char *text);
    void *user;
} venv_memory_file_calls;

/*
 * Read it. *ret_value stays null if there is no file. VENV_EINVAL: it is damaged; VENV_EIO: it cannot be read. The text says
 * which file, and what to do.
 */
venv_rc venv_memory_file_load(const char *path, venv_value *ret_value, venv_error *err);

/* Write it, and return when it is durable. VENV_ENOSPACE, VENV_EIO: the file is as it was. */
venv_rc venv_memory_file_save(const char *path, const void *data, size_t size, venv_error *err);

/* A thread that writes. */
venv_rc venv_memory_file_start(uv_loop_t *loop, const char *path, const venv_memory_file_calls *calls,
                               venv_memory_file **ret_file, venv_error *err);

/* Write `value` in place of what is there; kept() follows in every case, from the loop. */
void venv_memory_file_keep(venv_memory_file *file, uint64_t number, const venv_value *value);

/* Finish what is under way, for a moment; nothing is told any more. Accepts NULL. */
void venv_memory_file_end(venv_memory_file *file);

#endif
