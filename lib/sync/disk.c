/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the content of image files. The tables of qcow2 are read and written in qcow2_file.c. */
#include "sync/disk.h"

#include "sync/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static venv_rc set_path(venv_disk *disk, const char *path, venv_error *err)
{
    if ((size_t)snprintf(disk->path, sizeof disk->path, "%s", path) >= sizeof disk->path)
        return venv_error_set(err, VENV_EINVAL, "the path of the image is too long");
    return VENV_OK;
}

venv_rc venv_disk_open(const char *path, venv_image_format format, venv_disk *ret_disk, venv_error *err)
{
    venv_disk disk = { .fd = -1, .format = format };
    struct stat st;
    venv_rc rc = set_path(&disk, path, err);
    if (rc != VENV_OK)
        return rc;
    disk.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (disk.fd < 0 || fstat(disk.fd, &st) != 0)
        rc = venv_files_fail(err, errno, "open", path);
    else if (!S_ISREG(st.st_mode) && !(S_ISBLK(st.st_mode) && format == VENV_IMAGE_RAW))
        rc = venv_error_set(err, VENV_EINVAL, "'%s' is neither a regular file nor a block device", path);
    off_t end = rc == VENV_OK ? lseek(disk.fd, 0, SEEK_END) : 0;
    if (rc == VENV_OK && end < 0)
        rc = venv_files_fail(err, errno, "read", path);
    if (rc == VENV_OK) {
        disk.size = disk.file_size = (uint64_t)end;
        if (format == VENV_IMAGE_QCOW2)
            rc = venv_qcow2_file_open(&disk, err);
    }
    if (rc != VENV_OK)
        venv_disk_close(&disk);
    else
        *ret_disk = disk;
    return rc;
}

venv_rc venv_disk_shape(int fd, const char *path, venv_image_format format, const venv_manifest *manifest,
                        venv_disk *ret_disk, venv_error *err)
{
    venv_disk disk = { .fd = fd, .format = format, .size = manifest->size, .file_size = manifest->size };
    venv_rc rc = set_path(&disk, path, err);
    if (rc == VENV_OK && format == VENV_IMAGE_QCOW2)
        rc = venv_qcow2_file_shape(&disk, manifest, err);
    if (rc == VENV_OK && ftruncate(fd, (off_t)disk.file_size) != 0)
        rc = venv_files_fail(err, errno, "write", path);
    if (rc != VENV_OK)
        venv_disk_close(&disk);
    else
        *ret_disk = disk;
    return rc;
}

venv_rc venv_disk_write_tables(venv_disk *disk, venv_error *err)
{
    return disk->format == VENV_IMAGE_QCOW2 ? venv_qcow2_file_tables(disk, err) : VENV_OK;
}

void venv_disk_close(venv_disk *disk)
{
    if (disk->fd >= 0)
        close(disk->fd);
    free(disk->clusters);
    *disk = (venv_disk)VENV_DISK_INIT;
}

/* How many of `size` bytes at `offset` lie in one cluster, and where that is in the file. */
static size_t in_cluster(const venv_disk *disk, uint64_t offset, size_t size, uint64_t *ret_at)
{
    uint64_t cluster = UINT64_C(1) << disk->qcow2.cluster_bits, inside = offset & (cluster - 1);
    uint64_t start = disk->clusters[offset >> disk->qcow2.cluster_bits];
    *ret_at = start ? start + inside : 0;
    return cluster - inside < size ? (size_t)(cluster - inside) : size;
}

/* The last cluster of a qcow2 file may be cut short: what is missing is zero. */
static venv_rc read_cluster(const venv_disk *disk, uint8_t *data, size_t size, uint64_t at, venv_error *err)
{
    size_t there = at >= disk->file_size ? 0 : disk->file_size - at < size ? (size_t)(disk->file_size - at) : size;
    memset(data + there, 0, size - there);
    return venv_files_read_at(disk->fd, data, there, at, disk->path, err);
}

venv_rc venv_disk_read(const venv_disk *disk, void *data, size_t size, uint64_t offset, venv_error *err)
{
    uint8_t *to = data;
    if (offset > disk->size || size > disk->size - offset)
        return venv_error_set(err, VENV_EIO, "cannot read '%s' beyond its end", disk->path);
    if (disk->format == VENV_IMAGE_RAW)
        return venv_files_read_at(disk->fd, data, size, offset, disk->path, err);
    while (size > 0) {
        uint64_t at;
        size_t part = in_cluster(disk, offset, size, &at);
        venv_rc rc = VENV_OK;
        if (at == 0)
            memset(to, 0, part);
        else
            rc = read_cluster(disk, to, part, at, err);
        if (rc != VENV_OK)
            return rc;
        to += part;
        offset += part;
        size -= part;
    }
    return VENV_OK;
}

venv_rc venv_disk_write(const venv_disk *disk, const void *data, size_t size, uint64_t offset, venv_error *err)
{
    const uint8_t *from = data;
    if (disk->format == VENV_IMAGE_RAW)
        return venv_files_write_at(disk->fd, data, size, offset, disk->path, err);
    while (size > 0) {
        uint64_t at;
        size_t part = in_cluster(disk, offset, size, &at);
        if (at == 0)
            return venv_error_set(err, VENV_EINTERNAL, "a cluster of '%s' has no place", disk->path);
        venv_rc rc = venv_files_write_at(disk->fd, from, part, at, disk->path, err);
        if (rc != VENV_OK)
            return rc;
        from += part;
        offset += part;
        size -= part;
    }
    return VENV_OK;
}

uint64_t venv_disk_next_data(const venv_disk *disk, uint64_t offset)
{
    if (offset >= disk->size)
        return disk->size;
    if (disk->format == VENV_IMAGE_QCOW2) {
        uint64_t i = offset >> disk->qcow2.cluster_bits;
        if (disk->clusters[i] != 0)
            return offset;
        while (i < disk->qcow2.cluster_count && disk->clusters[i] == 0)
            i++;
        uint64_t at = i << disk->qcow2.cluster_bits;
        return at < disk->size ? at : disk->size;
    }
    off_t at = lseek(disk->fd, (off_t)offset, SEEK_DATA);
    if (at < 0)
        return errno == ENXIO ? disk->size : offset; /* a file system without holes: all is data */
    return (uint64_t)at < disk->size ? (uint64_t)at : disk->size;
}
