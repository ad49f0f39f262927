/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing small files atomically: temporary file, fsync, rename, fsync of the directory.
 */
#include "identity/write.h"

#include "base/cleanup.h"

#include <venv/identity.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static venv_rc fail(venv_error *err, const char *what, const char *path)
{
    int error = errno;
    venv_rc rc = error == ENOSPC || error == EDQUOT ? VENV_ENOSPACE : error == EEXIST ? VENV_EEXIST : VENV_EIO;
    return venv_error_set(err, rc, "cannot %s %s: %s", what, path, strerror(error));
}

static bool sync_directory_of(const char *path)
{
    char directory[VENV_CERT_PATH_MAX];
    const char *slash = strrchr(path, '/');
    int size = slash ? (slash > path ? (int)(slash - path) : 1) : 0;

    snprintf(directory, sizeof directory, "%.*s", slash ? size : 1, slash ? path : ".");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool synced = fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return synced;
}

venv_rc venv_write_directory(const char *path, venv_error *err)
{
    if (mkdir(path, 0700) == 0)
        return sync_directory_of(path) ? VENV_OK : fail(err, "sync the directory of", path);
    if (errno != EEXIST)
        return fail(err, "make the directory", path);
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(err, "look at", path);
    return S_ISDIR(st.st_mode) ? VENV_OK : venv_error_set(err, VENV_EINVAL, "%s is not a directory", path);
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

venv_rc venv_write_file(const char *path, const void *data, size_t size, mode_t mode, bool replace, venv_error *err)
{
    char temporary[VENV_CERT_PATH_MAX + 16];

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new-XXXXXX", path) >= VENV_CERT_PATH_MAX)
        return venv_error_set(err, VENV_EINVAL, "the path %s is too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return fail(err, "write", path);
    bool written = write_all(fd, data, size) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int error = errno;
    written = close(fd) == 0 && written;
    if (!written) {
        unlink(temporary);
        errno = error;
        return fail(err, "write", path);
    }
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, replace ? 0 : RENAME_NOREPLACE) != 0) {
        error = errno;
        unlink(temporary);
        errno = error;
        return fail(err, "write", path);
    }
    return sync_directory_of(path) ? VENV_OK : fail(err, "sync the directory of", path);
}
