/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_DISK_FOLDER_H
#define VENV_DISK_FOLDER_H

/*
 * The folder of a machine: its disks and its seed, made before it starts, and removed when it is over.
 *
 *      DIRECTORY/.new-UUID.NODE    being made; never used by anybody
 *      DIRECTORY/UUID/             whole: appears by one rename
 *      DIRECTORY/.old-UUID.NODE    being removed
 *      DIRECTORY/kept/INSTANCE.UUID/  what is kept after the end
 *
 * The folder has a note in it, machine.json: whose it is, on which node, and what is kept. So whoever is killed in between leaves
 * something that can be told from what is used, and venv_machine_folders_sweep() removes it.
 *
 * Everything is opened beneath DIRECTORY without following links, and DIRECTORY must be writable by nobody else.
 * A file that a QEMU has open (its locks tell) is never removed, whatever anybody believes about its machine.
 */

#include "environment/files.h"

/* Set by the administrator of the node. */
typedef struct venv_machine_place {
    const char *directory, *cluster, *node, *hypervisor;
    const char *saves; /* folder for the memories of saved machines; NULL or empty: where libvirt keeps them */
    bool saves_shared; /* other nodes have the same */
} venv_machine_place;

/* A copy with texts of its own; a NULL stays one. VENV_ENOMEM. */
venv_rc venv_machine_place_copy(const venv_machine_place *place, venv_machine_place *ret_place, venv_error *err);
void venv_machine_place_fini(venv_machine_place *place);

/*
 * Look at the files that are used, and make the others, all or none. A folder that is there already (the same machine starts again) is taken as it is, and its note
 * gets the new epoch. `*ret_made`: the folder is new. Takes milliseconds: bases are not read.
 *
 * VENV_ENOENT: a file or base is missing. VENV_EDENIED: a file is not what may be given to a guest, or a place may be written by others.
 * VENV_EUNSUPPORTED: an image of a kind that is not opened. VENV_ECONFLICT: what is there does not fit. VENV_ENOSPACE, VENV_EIO, VENV_ENOMEM,
 * VENV_EINVAL: malformed image.
 */
venv_rc venv_machine_folder_make(const venv_machine_files *files, bool *ret_made, venv_error *err);

/*
 * The machine is over: discard what is to be discarded, put aside what is kept (`keep`; else it has never run, and all goes). None there, or by now
 * another node's: VENV_OK. VENV_ECONFLICT: a file of it is in use, nothing was removed.
 */
venv_rc venv_machine_folder_remove(const venv_machine_place *place, venv_id id, bool keep, venv_error *err);

typedef struct venv_sweep_report {
    unsigned removed;  /* folders of machines that are no more, and halves of folders */
    unsigned adopted;  /* of machines that came here from another node */
    unsigned left;     /* not known to be ours, or in use, or it failed: `why` has the first reason */
    venv_error why;
} venv_sweep_report;

/* What the hypervisor says of a machine: VENV_ENOENT, there is no domain of this id, stopped and saved ones and those of others included; anything else: there may be. */
typedef venv_rc (*venv_machine_look_fn)(void *user, venv_id id);

/* Remove what is left of machines that this node does not have, of this cluster, node and hypervisor, and not touched for `age`. */
venv_rc venv_machine_folders_sweep(const venv_machine_place *place, venv_machine_look_fn look, void *user, venv_span age,
                                   venv_sweep_report *ret_report, venv_error *err);

#endif
