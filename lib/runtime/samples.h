/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_SAMPLES_H
#define VENV_RUNTIME_SAMPLES_H

/*
 * The built-in properties (agent/builtin.def), measured: /proc and uname(2); disks are in disk_samples.h. Each reading is a few system calls on
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
 * VENV_EUNSUPPORTED: not one of those that are measured here. VENV_EIO: the system does not tell, with its reason.
 */
venv_rc venv_samples_read(venv_samples *samples, venv_builtin_id id, venv_value *ret_value, venv_error *err);

#endif
