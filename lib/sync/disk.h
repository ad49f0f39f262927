/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_DISK_H
#define VENV_SYNC_DISK_H

/*
 * The content of an image file, whatever its format: bytes at offsets, and where there is data. The format is always told,
 * never guessed from the content: a guest may write a header of qcow2 at the start of its raw disk.
 */

#include "image/manifest.h"
#include "image/qcow2.h"
#include <venv/image.h>

typedef struct venv_disk {
    int fd;
    venv_image_format format;
    uint64_t size;      /* of the content */
    uint64_t file_size; /* when it was opened */
    venv_qcow2 qcow2;
    uint64_t *clusters; /* qcow2: where each is in the file, 0 for zeros */
    venv_qcow2_layout layout;
    char path[VENV_IMAGE_PATH_MAX];
} venv_disk;

#define VENV_DISK_INIT { .fd = -1 }

/* Open for reading. A raw image may be a regular file or a block device. */
venv_rc venv_disk_open(const char *path, venv_image_format format, venv_disk *ret_disk, venv_error *err);

/* A new image for the content of a manifest, in an open and empty (or interrupted) file; `fd` is taken over. */
venv_rc venv_disk_shape(int fd, const char *path, venv_image_format format, const venv_manifest *manifest,
                        venv_disk *ret_disk, venv_error *err);
/* The tables of a qcow2 image that was shaped. Nothing for raw. */
venv_rc venv_disk_write_tables(venv_disk *disk, venv_error *err);

void venv_disk_close(venv_disk *disk);

/* Any thread. Holes read as zeros; beyond the end is VENV_EIO. */
venv_rc venv_disk_read(const venv_disk *disk, void *data, size_t size, uint64_t offset, venv_error *err);
/* Any thread, for one that was shaped, and where the manifest has data. */
venv_rc venv_disk_write(const venv_disk *disk, const void *data, size_t size, uint64_t offset, venv_error *err);

/* The next offset at or after `offset` that may have data; `size` if there is none. */
uint64_t venv_disk_next_data(const venv_disk *disk, uint64_t offset);

/* qcow2_file.c */
venv_rc venv_qcow2_file_open(venv_disk *disk, venv_error *err);
venv_rc venv_qcow2_file_shape(venv_disk *disk, const venv_manifest *manifest, venv_error *err);
venv_rc venv_qcow2_file_tables(venv_disk *disk, venv_error *err);

#endif
