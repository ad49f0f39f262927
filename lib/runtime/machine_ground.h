/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_MACHINE_GROUND_H
#define VENV_RUNTIME_MACHINE_GROUND_H

/*
 * What a machine stands on, around the calls that start and end it: files are there before it starts, and go when it is gone.
 * Every function blocks, and is for the thread of the hypervisor.
 */

#include "disk/folder.h"

#include <venv/machine.h>

#define VENV_GROUND_SWEEP_S 60  /* between two looks for what is left over */
#define VENV_GROUND_AGE_S   600 /* younger is left alone: it may be on its way */

typedef struct venv_machine_ground {
    venv_machine_place place; /* texts are borrowed for its life; a directory of NULL: nothing is made or removed */
    venv_instant next_sweep;
} venv_machine_ground;

/* `files` may be NULL. As venv_machine_start() and venv_machine_folder_make(). What was made for a start that failed for sure is gone. */
venv_rc venv_ground_start(const venv_machine_ground *ground, venv_hypervisor *hypervisor, venv_id id, const char *xml,
                          const venv_machine_files *files, venv_error *err);
/* As venv_machine_destroy(). What cannot be removed now is found by a sweep. */
venv_rc venv_ground_destroy(const venv_machine_ground *ground, venv_hypervisor *hypervisor, venv_id id, venv_error *err);
/* If it is time: remove what is left of machines that are not here. True: `ret_text` says what was removed, or could not be. */
bool venv_ground_sweep(venv_machine_ground *ground, venv_hypervisor *hypervisor, venv_instant now, char *ret_text, size_t size);

#endif
