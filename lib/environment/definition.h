/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_DEFINITION_H
#define VENV_ENVIRONMENT_DEFINITION_H

/*
 * What a definition is made of. For this folder's own files: others use <venv/environment.h>.
 *
 * Every text in it has passed venv_environment_text_check(): valid UTF-8 without control characters or
 * what XML cannot hold, so that it can go into XML, a log and a message as it is.
 */

#include <venv/environment.h>

typedef enum venv_disk_format {
    VENV_DISK_RAW = 0,
    VENV_DISK_QCOW2,
    VENV_DISK_FORMAT__COUNT
} venv_disk_format;

typedef enum venv_disk_bus {
    VENV_DISK_VIRTIO = 0,
    VENV_DISK_SATA,
    VENV_DISK_BUS__COUNT
} venv_disk_bus;

typedef struct venv_environment_disk {
    char *file;
    venv_disk_format format; /* always said, never probed: a guest could write another format's header */
    venv_disk_bus bus;
    bool readonly;
} venv_environment_disk;

typedef enum venv_network_kind {
    VENV_NETWORK_USER = 0, /* QEMU's own address translation: out, and to the node as 10.0.2.2 */
    VENV_NETWORK_BRIDGE,
    VENV_NETWORK_NETWORK,  /* one of libvirt's networks */
    VENV_NETWORK_KIND__COUNT
} venv_network_kind;

#define VENV_NETWORK_NAME_MAX 63u /* bytes; a bridge's name is an interface's: at most 15 */

typedef struct venv_environment_network {
    venv_network_kind kind;
    char name[VENV_NETWORK_NAME_MAX + 1];
    bool has_mac;
    uint8_t mac[6];
} venv_environment_network;

struct venv_environment {
    uint32_t references;
    char name[VENV_NAME_MAX + 1];
    venv_hypervisor_kind hypervisor;
    uint32_t vcpus;
    uint64_t memory_bytes; /* whole KiB */
    char *kernel, *initrd, *cmdline; /* NULL: none */
    venv_environment_disk disks[VENV_ENVIRONMENT_DISKS_MAX];
    size_t disk_count;
    venv_environment_network networks[VENV_ENVIRONMENT_NETWORKS_MAX];
    size_t network_count;
    char *where_text, *prefer_text; /* NULL: none */
    venv_expr *where, *prefer;      /* NULL: none, or not compiled */
    int32_t priority;
};

/* By number; each ends with NULL, as the choices of a configuration row do. */
extern const char *const venv_disk_format_names[VENV_DISK_FORMAT__COUNT + 1];
extern const char *const venv_disk_bus_names[VENV_DISK_BUS__COUNT + 1];
extern const char *const venv_network_kind_names[VENV_NETWORK_KIND__COUNT + 1];
extern const char *const venv_hypervisor_kind_names[VENV_HYPERVISOR__COUNT + 1];

/* Valid UTF-8, no control character, nothing that XML 1.0 cannot hold, 1..max bytes. */
bool venv_environment_text_check(venv_str text, size_t size_max);
/* Absolute, shorter than VENV_ENVIRONMENT_PATH_MAX, no empty, "." or ".." part, and as venv_environment_text_check(). */
bool venv_environment_path_check(venv_str path);

#endif
