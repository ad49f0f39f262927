/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files on another hypervisor, by way of its libvirt alone: a folder is a pool there, a file a volume. A pool that nobody
 * had defined for the folder is made for the moment, and forgotten again; what is in the folder stays.
 */
#include "virt/libvirt_parts.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

venv_rc venv_libvirt_disks(venv_libvirt_hypervisor *self, virDomainPtr handle, venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX],
                           size_t *ret_count, venv_error *err)
{
    VENV_AUTO_FREE char *xml = virDomainGetXMLDesc(handle, 0);
    if (!xml)
        return venv_libvirt_failed(self, false, "cannot read the machine's definition", err);
    return venv_domain_disks_parse(xml, strlen(xml), disks, ret_count, err);
}

/* An error of the other hypervisor, whose connection is none of ours. */
static venv_rc failed_there(const char *what, const char *path, venv_error *err)
{
    const virError *error = virGetLastError();
    return venv_error_set(err, VENV_EIO, "%s %.300s on the other node: %.500s", what, path,
                          error && error->message ? error->message : "no reason was given");
}

typedef struct place {
    virStoragePoolPtr pool;
    bool ours; /* made for the moment */
    char folder[VENV_DOMAIN_PATH_MAX];
    const char *name; /* of the file; in the caller's path */
} place;

static venv_rc place_open(virConnectPtr there, const char *path, place *ret_place, venv_error *err)
{
    const char *slash = strrchr(path, '/');
    place at = { .name = slash + 1 };
    if (!slash || slash == path || (size_t)(slash - path) >= sizeof at.folder)
        return venv_error_set(err, VENV_EINVAL, "'%.300s' is no file in a folder", path);
    memcpy(at.folder, path, (size_t)(slash - path));
    at.pool = virStoragePoolLookupByTargetPath(there, at.folder);
    if (!at.pool) {
        char name[64];
        VENV_AUTO_FREE char *xml = NULL;
        unsigned hash = 5381;
        for (const char *c = at.folder; *c; c++)
            hash = hash * 33u + (unsigned char)*c;
        snprintf(name, sizeof name, "venv-%08x-%d", hash, (int)getpid());
        venv_rc rc = venv_domain_pool_xml(name, at.folder, &xml, err);
        if (rc != VENV_OK)
            return rc;
        at.pool = virStoragePoolCreateXML(there, xml, 0);
        at.ours = at.pool != NULL;
        if (!at.pool)
            return failed_there("the folder cannot be used:", at.folder, err);
    } else {
        (void)virStoragePoolRefresh(at.pool, 0);
    }
    *ret_place = at;
    return VENV_OK;
}

static void place_close(place *at)
{
    if (at->ours)
        (void)virStoragePoolDestroy(at->pool); /* the pool, not what is in it */
    virStoragePoolFree(at->pool);
}

static venv_rc volume_make(const place *at, uint64_t capacity, const venv_domain_disk *disk, virStorageVolPtr *ret_volume, venv_error *err)
{
    VENV_AUTO_FREE char *xml = NULL;
    venv_rc rc = venv_domain_volume_xml(at->name, capacity, disk, &xml, err);
    if (rc != VENV_OK)
        return rc;
    virStorageVolPtr volume = virStorageVolCreateXML(at->pool, xml, 0);
    if (!volume)
        return failed_there("cannot make", at->name, err);
    *ret_volume = volume;
    return VENV_OK;
}

venv_rc venv_libvirt_disk_make(virDomainPtr handle, virConnectPtr there, const venv_domain_disk *disk, venv_error *err)
{
    virDomainBlockInfo info;
    place at;
    virStorageVolPtr volume = NULL;
    if (virDomainGetBlockInfo(handle, disk->file, &info, 0) < 0)
        return venv_error_set(err, VENV_EIO, "the size of disk %s is not known", disk->target);
    venv_rc rc = place_open(there, disk->file, &at, err);
    if (rc != VENV_OK)
        return rc;
    rc = volume_make(&at, info.capacity, disk, &volume, err);
    if (volume)
        virStorageVolFree(volume);
    place_close(&at);
    return rc;
}

static int read_part(virStreamPtr stream, char *data, size_t size, void *user)
{
    (void)stream;
    ssize_t n;
    do
        n = read(*(int *)user, data, size);
    while (n < 0 && errno == EINTR);
    return (int)n;
}

static venv_rc send_file(virConnectPtr there, virStorageVolPtr volume, int fd, uint64_t size, const char *path, venv_error *err)
{
    virStreamPtr stream = virStreamNew(there, 0);
    if (!stream)
        return failed_there("no stream for", path, err);
    venv_rc rc = VENV_OK;
    if (virStorageVolUpload(volume, stream, 0, size, 0) < 0 || virStreamSendAll(stream, read_part, &fd) < 0) {
        rc = failed_there("cannot copy", path, err);
        (void)virStreamAbort(stream);
    } else if (virStreamFinish(stream) < 0) {
        rc = failed_there("cannot copy", path, err);
    }
    virStreamFree(stream);
    return rc;
}

venv_rc venv_libvirt_upload(virConnectPtr there, const char *path, const char *path_there, venv_error *err)
{
    struct stat st;
    place at;
    virStorageVolPtr volume = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        venv_rc rc = venv_error_set(err, VENV_EIO, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    venv_rc rc = place_open(there, path_there, &at, err);
    if (rc == VENV_OK) {
        rc = volume_make(&at, (uint64_t)st.st_size, NULL, &volume, err);
        if (rc == VENV_OK)
            rc = send_file(there, volume, fd, (uint64_t)st.st_size, path, err);
        if (rc != VENV_OK && volume)
            (void)virStorageVolDelete(volume, 0); /* half a file is nobody's */
        if (volume)
            virStorageVolFree(volume);
        place_close(&at);
    }
    close(fd);
    return rc;
}
