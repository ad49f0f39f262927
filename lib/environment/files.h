/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_FILES_H
#define VENV_ENVIRONMENT_FILES_H

/*
 * The files that a machine stands on, as data: decided here, made by lib/disk.
 *
 *      DIRECTORY/UUID/disk0.qcow2     on top of an image that several machines share
 *      DIRECTORY/UUID/disk1.raw       blank
 *      DIRECTORY/UUID/seed.iso        for cloud-init
 *      /srv/data.raw                  used as it is: looked at, never made or removed
 */

#include <venv/environment.h>

#define VENV_MACHINE_FILES_MAX (VENV_ENVIRONMENT_DISKS_MAX + 2)
#define VENV_SEED_TEXT_MAX     262144u /* bytes of each text of a seed */

typedef enum venv_file_kind {
    VENV_FILE_OVERLAY = 0, /* qcow2 on `base`, of `size` bytes, or those of the base */
    VENV_FILE_BLANK,       /* `size` bytes that take no room, in `format` */
    VENV_FILE_SEED,        /* the texts of the seed */
    VENV_FILE_USED,        /* there already, at `name`, in `format` */
} venv_file_kind;

typedef struct venv_machine_file {
    venv_file_kind kind;
    char *name;              /* in the machine's folder; USED: an absolute path */
    size_t disk;             /* number of the disk in the definition; SEED: none */
    char *base;              /* OVERLAY: absolute path */
    venv_disk_format format; /* of the file; OVERLAY: of the base. Said, never guessed */
    uint64_t size;
    char *path;              /* DIRECTORY/UUID/NAME; made by venv_machine_plan() */
    bool keep;               /* at the end of the instance; else it is discarded */
} venv_machine_file;

typedef struct venv_machine_files {
    venv_id id;
    uint64_t epoch;
    char cluster[VENV_NAME_MAX + 1], node[VENV_NAME_MAX + 1], instance[VENV_NAME_MAX + 1], environment[VENV_NAME_MAX + 1];
    char *hypervisor; /* as the node calls it: a list of another one tells nothing about this machine */
    char *directory;  /* of the folders of all machines, absolute */
    venv_machine_file items[VENV_MACHINE_FILES_MAX];
    size_t count;
    char *meta_data, *user_data, *network_config; /* of the seed; the last two may be NULL */
    char *user_data_file; /* absolute: it is read when the seed is made, in place of user_data; NULL: none */
} venv_machine_files;

/* Releases all that it owns, and itself. Accepts NULL. */
void venv_machine_files_free(venv_machine_files *files);
/* False: no memory. A NULL stays one. */
bool venv_machine_text_dup(const char *text, char **ret_copy);
/* VENV_ENOMEM. */
venv_rc venv_machine_files_dup(const venv_machine_files *files, venv_machine_files **ret_files, venv_error *err);
/* One more; `name` and `base` are copied. VENV_ELIMIT, VENV_ENOMEM. */
venv_rc venv_machine_files_add(venv_machine_files *files, const venv_machine_file *file, venv_error *err);
/* Does it have a folder at all? */
bool venv_machine_files_own(const venv_machine_files *files);
/* DIRECTORY/UUID/NAME. VENV_ELIMIT: longer than `size`. */
venv_rc venv_machine_file_path(const char *directory, venv_id id, const char *name, char *ret_path, size_t size, venv_error *err);

/* On which node, and where there. */
typedef struct venv_machine_site {
    const char *node, *hypervisor, *directory;
    const char *bases[VENV_ENVIRONMENT_DISKS_MAX]; /* for each disk that is made of an image: the raw file of that image; absolute */
} venv_machine_site;

/*
 * What a machine of this definition needs there. `*ret_files` is NULL if that is nothing that could be looked at or made.
 * VENV_EINVAL: no base for an image, a malformed path, or no host name can be made of the instance's. VENV_ELIMIT, VENV_ENOMEM.
 */
venv_rc venv_machine_plan(const venv_environment *environment, const venv_machine_mark *mark, const venv_machine_site *site,
                          venv_machine_files **ret_files, venv_error *err);
/* The same for domain XML: paths are lent by `files`, which may be NULL. */
void venv_machine_files_lend(const venv_machine_files *files, venv_domain_files *ret_files);

/*
 * The texts of cloud-init's NoCloud source. The id of the instance is INSTANCE-EPOCH: what cloud-init does once for an instance it does
 * again for a later placement, and not after a reboot. `user_data` is taken as it is; `network` is a map, or NULL.
 * VENV_EINVAL: the name of the instance makes no host name, or `network` is no map. VENV_ELIMIT: a text is too long.
 */
venv_rc venv_seed_texts(venv_machine_files *files, venv_str user_data, const venv_value *network, venv_error *err);
/* As RFC 1123 has it: `_` becomes `-`; labels of 1 to 63 letters, digits and `-`, not at an end. False: it cannot be made into one. */
bool venv_seed_host_name(const char *instance, char ret_name[VENV_NAME_MAX + 1]);

#endif
