/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_DISK_SAMPLES_H
#define VENV_RUNTIME_DISK_SAMPLES_H

/*
 * disktotal and diskfree on a thread of their own: statvfs(3) on a network file system whose server is gone does not come
 * back, and must not take the loop with it. What hangs is not answered: its property becomes stale, which is the truth.
 */

#include "agent/builtin.h"

#include <venv/value.h>

#include <uv.h>

#define VENV_DISK_QUEUE_MAX 64

typedef struct venv_disk_samples venv_disk_samples;

typedef struct venv_disk_samples_calls {
    void (*sampled)(void *user, uint64_t token, venv_rc rc, const venv_value *value, const char *text);
    void *user;
} venv_disk_samples_calls;

venv_rc venv_disk_samples_start(uv_loop_t *loop, const venv_disk_samples_calls *calls, venv_disk_samples **ret_samples,
                                venv_error *err);
/* `args`: null, or a list with the path. `sampled` follows, also from within this function where it cannot be asked. */
void venv_disk_samples_read(venv_disk_samples *samples, uint64_t token, venv_builtin_id id, const venv_value *args);
/* Accepts NULL. No call comes any more. */
void venv_disk_samples_end(venv_disk_samples *samples);

#endif
