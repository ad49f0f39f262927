/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_SAMPLES_H
#define VENV_RUNTIME_SAMPLES_H

/*
 * The built-in properties (agent/builtin.def), measured: /proc, statvfs(3), uname(2). Each reading is a few system calls on
 * files that the kernel makes, so it is done on the loop. What cannot be told is an error, never a zero.
 */

#include "agent/builtin.h"

#include <venv/value.h>

/* What must be kept between two readings. */
typedef struct venv_samples {
    const char *proc;              /* "/proc"; another directory in tests */
    uint64_t cpu_total, cpu_idle;  /* at the last sampling of cpu_used; 0 before the first */
} venv_samples;

/*
 * `args` is null or a list of texts (the path of diskfree).
 * VENV_EUNSUPPORTED: not one of those that are measured here. VENV_EIO: the system does not tell, with its reason.
 */
venv_rc venv_samples_read(venv_samples *samples, venv_builtin_id id, const venv_value *args, venv_value *ret_value,
                          venv_error *err);

#endif
