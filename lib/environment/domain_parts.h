/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_DOMAIN_PARTS_H
#define VENV_ENVIRONMENT_DOMAIN_PARTS_H

/* The devices of a domain, drawn by domain_disks.c and domain_devices.c for domain.c. */

#include "environment/definition.h"
#include "environment/xml.h"

/* What is being drawn. */
typedef struct venv_domain_drawing {
    venv_xml *xml;
    const venv_definition *is;
    const venv_machine_mark *mark;
    const venv_domain_files *files; /* never NULL */
} venv_domain_drawing;

bool venv_domain_is_qemu(const venv_definition *is); /* kvm or qemu */

/* VENV_EINVAL: something that was to be made is not in the files. */
venv_rc venv_domain_check_files(const venv_domain_drawing *d, venv_error *err);
void venv_domain_add_disks(const venv_domain_drawing *d, xmlNodePtr devices);
void venv_domain_add_devices(const venv_domain_drawing *d, xmlNodePtr devices);

#endif
