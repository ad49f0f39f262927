/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_DOMAIN_H
#define VENV_ENVIRONMENT_DOMAIN_H

/*
 * What a driver has to know of domain XML before it hands it to its hypervisor. Drivers do not read XML themselves.
 */

#include <venv/environment.h>

#define VENV_DOMAIN_NAME_MAX 255u /* bytes of the name of any domain that we read */

typedef struct venv_domain_summary {
    char name[VENV_DOMAIN_NAME_MAX + 1];
    uint32_t vcpus;
    uint64_t memory_bytes;
    venv_machine_mark mark; /* with the id */
} venv_domain_summary;

/* Read domain XML that carries our mark. As venv_machine_mark_parse(); VENV_EINVAL also if name, vCPUs or memory (in KiB) are missing. */
venv_rc venv_domain_summary_parse(const char *xml, size_t size, venv_domain_summary *ret_summary, venv_error *err);

/* The same domain under another epoch: the mark's attribute is all that changes. `*ret_xml` is freed with free(). As
 * venv_machine_mark_parse(). */
venv_rc venv_domain_set_epoch(const char *xml, size_t size, uint64_t epoch, char **ret_xml, venv_error *err);

#define VENV_DOMAIN_DISKS_MAX 16u
#define VENV_DOMAIN_PATH_MAX  1024u /* bytes of a path, with the terminating NUL */

/* A disk that the guest writes to, in a file. */
typedef struct venv_domain_disk {
    char file[VENV_DOMAIN_PATH_MAX], base[VENV_DOMAIN_PATH_MAX]; /* base: empty if there is none */
    char format[16], base_format[16];
    char target[16];                                            /* "vda" */
} venv_domain_disk;

/* The disks that a domain writes to. VENV_EUNSUPPORTED: one of them is no file; VENV_ELIMIT: too many; VENV_EINVAL: no domain XML. */
venv_rc venv_domain_disks_parse(const char *xml, size_t size, venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX], size_t *ret_count,
                                venv_error *err);

/* libvirt's XML of a volume in a folder, and of a pool that is a folder. Freed with free(). */
venv_rc venv_domain_volume_xml(const char *name, uint64_t capacity, const venv_domain_disk *disk, char **ret_xml, venv_error *err);
venv_rc venv_domain_pool_xml(const char *name, const char *folder, char **ret_xml, venv_error *err);

#endif
