/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls for files that appear whole or not at all. What is in them is the business of others. */
#include "sync/files.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int venv_files_open(int directory, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    do
        fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return (int)fd;
}

venv_rc venv_files_fail(venv_error *err, int error, const char *what, const char *path)
{
    venv_rc rc = VENV_EIO;
    switch (error) {
    case ENOENT: case ENOTDIR: rc = VENV_ENOENT; break;
    case EEXIST: rc = VENV_EEXIST; break;
    case EACCES: case EPERM: case EROFS: case ELOOP: case EXDEV: rc = VENV_EDENIED; break;
    case ENOSPC: case EDQUOT: rc = VENV_ENOSPACE; break;
    case EFBIG: rc = VENV_ELIMIT; break;
    case ENOMEM: rc = VENV_ENOMEM; break;
    default: break;
    }
    const char *reason = error == ELOOP ? "it is a symbolic link, or leads over one" : strerror(error);
    return venv_error_set(err, rc, "cannot %s '%s': %s", what, path, reason);
}

venv_rc venv_files_read_at(int fd, void *data, size_t size, uint64_t offset, const char *path, venv_error *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return venv_files_fail(err, errno, "read", path);
        if (got == 0)
            return venv_error_set(err, VENV_EIO, "cannot read '%s': it ends too soon", path);
        done += (size_t)got;
    }
    return VENV_OK;
}

venv_rc venv_files_write_at(int fd, const void *data, size_t size, uint64_t offset, const char *path, venv_error *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(fd, (const uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return venv_files_fail(err, errno, "write", path);
        done += (size_t)put;
    }
    return VENV_OK;
}

venv_rc venv_files_sync_parent(int directory, const char *path, venv_error *err)
{
    char parent[VENV_SYNC_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    else
        snprintf(parent, sizeof parent, ".");
    int fd = venv_files_open(directory, parent, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return venv_files_fail(err, errno, "open", parent);
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return failed ? venv_files_fail(err, failed, "sync", parent) : VENV_OK;
}

venv_rc venv_files_parents(int directory, const char *path, venv_error *err)
{
    char part[VENV_SYNC_PATH_MAX];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        int fd = venv_files_open(directory, part, O_PATH | O_DIRECTORY, 0);
        if (fd >= 0) {
            close(fd);
            continue;
        }
        /* All above it was opened without links before: mkdirat() goes where we think. */
        if (errno != ENOENT || (mkdirat(directory, part, 0755) != 0 && errno != EEXIST))
            return venv_files_fail(err, errno, "make the directory", part);
        venv_rc rc = venv_files_sync_parent(directory, part, err);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

venv_rc venv_files_id(venv_id *ret_id, venv_error *err)
{
    venv_id id;
    if (getrandom(id.bytes, sizeof id.bytes, 0) != (ssize_t)sizeof id.bytes)
        return venv_files_fail(err, errno, "read", "random numbers");
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    *ret_id = id;
    return VENV_OK;
}

venv_rc venv_files_temporary(int directory, const char *path, int *ret_fd, char ret_temporary[VENV_SYNC_PATH_MAX],
                             venv_error *err)
{
    char text[VENV_ID_TEXT_SIZE];
    venv_id id;
    const char *slash = strrchr(path, '/');
    venv_rc rc = venv_files_id(&id, err);
    if (rc == VENV_OK)
        rc = venv_files_parents(directory, path, err);
    if (rc != VENV_OK)
        return rc;
    snprintf(ret_temporary, VENV_SYNC_PATH_MAX, "%.*s.tmp-%s", slash ? (int)(slash - path) + 1 : 0, path,
             venv_id_format(id, text));
    int fd = venv_files_open(directory, ret_temporary, O_RDWR | O_CREAT | O_EXCL, 0644);
    if (fd < 0)
        return venv_files_fail(err, errno, "make", ret_temporary);
    *ret_fd = fd;
    return VENV_OK;
}

venv_rc venv_files_commit(int directory, int fd, const char *temporary, const char *path, bool exclusive, venv_error *err)
{
    int failed = 0;
    if (fsync(fd) != 0)
        failed = errno;
    close(fd);
    if (failed == 0 && exclusive && linkat(directory, temporary, directory, path, 0) != 0)
        failed = errno;
    if (failed == 0 && !exclusive && renameat(directory, temporary, directory, path) != 0)
        failed = errno;
    if (failed != 0 || exclusive)
        unlinkat(directory, temporary, 0);
    if (failed != 0)
        return venv_files_fail(err, failed, "write", path);
    return venv_files_sync_parent(directory, path, err);
}

venv_rc venv_files_put(int directory, const char *path, const void *data, size_t size, bool exclusive, venv_error *err)
{
    char temporary[VENV_SYNC_PATH_MAX];
    int fd = -1;
    venv_rc rc = venv_files_temporary(directory, path, &fd, temporary, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_files_write_at(fd, data, size, 0, path, err);
    if (rc == VENV_OK)
        return venv_files_commit(directory, fd, temporary, path, exclusive, err);
    close(fd);
    unlinkat(directory, temporary, 0);
    return rc;
}

venv_rc venv_files_get(int directory, const char *path, size_t max, uint8_t **ret_data, size_t *ret_size, venv_error *err)
{
    int fd = venv_files_open(directory, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return venv_files_fail(err, errno, "read", path);
    venv_rc rc = venv_files_get_open(fd, path, max, ret_data, ret_size, err);
    close(fd);
    return rc;
}

venv_rc venv_files_get_open(int fd, const char *path, size_t max, uint8_t **ret_data, size_t *ret_size, venv_error *err)
{
    struct stat st;
    venv_rc rc = VENV_OK;
    if (fstat(fd, &st) != 0)
        rc = venv_files_fail(err, errno, "read", path);
    else if (!S_ISREG(st.st_mode))
        rc = venv_error_set(err, VENV_EDENIED, "'%s' is not a regular file", path);
    else if (st.st_size < 0 || (uint64_t)st.st_size > max)
        rc = venv_error_set(err, VENV_ELIMIT, "'%s' is larger than %zu bytes", path, max);
    uint8_t *data = rc == VENV_OK ? malloc((size_t)st.st_size + 1) : NULL;
    if (rc == VENV_OK && !data)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for '%s'", path);
    if (rc == VENV_OK)
        rc = venv_files_read_at(fd, data, (size_t)st.st_size, 0, path, err);
    if (rc != VENV_OK) {
        free(data);
        return rc;
    }
    data[st.st_size] = 0;
    *ret_data = data;
    *ret_size = (size_t)st.st_size;
    return VENV_OK;
}
