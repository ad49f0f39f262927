/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_DISK_PARTS_H
#define VENV_DISK_PARTS_H

/* What the files of this folder share. */

#include "disk/folder.h"
#include "environment/definition.h"

#define VENV_NOTE_NAME "machine.json"
#define VENV_NOTE_SIZE_MAX 65536u

/* look.c: may a guest be given this file? */
venv_rc venv_disk_look(const char *path, venv_disk_format format, venv_error *err);
/* A base: a regular file that nobody else may write. `*ret_size`: of the disk in it. */
venv_rc venv_disk_look_at_base(const char *path, venv_disk_format format, uint64_t *ret_size, venv_error *err);
/* Does a QEMU have it open? */
bool venv_disk_is_locked(int fd);

/* seed.c: an ISO 9660 image labelled CIDATA. */
venv_rc venv_seed_write(int fd, const venv_machine_files *files, venv_error *err);

/* note.c */
typedef struct venv_note {
    char cluster[VENV_NAME_MAX + 1], node[VENV_NAME_MAX + 1], instance[VENV_NAME_MAX + 1];
    venv_value map; /* the whole */
} venv_note;

/* Write it into the folder `fd`; `replace`: there is one. */
venv_rc venv_note_write(int fd, const venv_machine_files *files, bool replace, venv_error *err);
/* The same, but of another node. */
venv_rc venv_note_move(int fd, const venv_note *note, const char *node, venv_error *err);
/* VENV_ENOENT: there is none, or it is empty. */
venv_rc venv_note_read(int fd, venv_note *ret_note, venv_error *err);
void venv_note_fini(venv_note *note);
bool venv_note_keeps(const venv_note *note, const char *name);
/* Is the folder of this cluster, node and hypervisor? */
bool venv_note_is_of(const venv_note *note, const venv_machine_place *place);
bool venv_note_keeps_any(const venv_note *note);

/* folder.c */
venv_rc venv_folders_open(const char *directory, bool make, int *ret_fd, venv_error *err);
/* A folder and the files in it; no folder may be in it. VENV_OK if there is none. */
venv_rc venv_folder_delete(int directory, const char *name, venv_error *err);
/* Is any of its files in use by a QEMU? */
bool venv_folder_is_used(int directory, const char *name);

#endif
