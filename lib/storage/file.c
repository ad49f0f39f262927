/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver file. Every path is resolved by openat2(2) beneath an open root, without symbolic links, so that neither a
 * name nor somebody who swaps directories for links gets out of it (threats T14, T15). A put is made
 * without a name (O_TMPFILE), synced, linked or renamed in, and its directory synced.
 */
#include "storage/driver.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STEP (256u * 1024)
#define RACES_MAX 64 /* openat2 gives EAGAIN while somebody renames beside it */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
#define AUTO_CLOSE VENV_CLEANUP(close_fd)

static int open_beneath(int root, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
    int fd = -1;
    for (int i = 0; i < RACES_MAX; i++) {
        fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd;
}

static venv_rc failed(venv_storage_error *err, int errnum, venv_storage_phase phase, const char *what)
{
    if (errnum == ELOOP)
        what = "there is a symbolic link on the way, and none is followed; give the real path, or make its target a root";
    return venv_storage_fail_errno(err, errnum, phase, what);
}

/* Open the root that a URL is beneath; `*ret_path` is what remains, "." for the root itself. */
static venv_rc open_root(const venv_storage *storage, const venv_storage_url *url, int *ret_fd, const char **ret_path,
                         venv_storage_error *err)
{
    const venv_storage_settings *settings = &storage->shared->settings;
    const char *root = settings->root_count == 0 ? "/" : NULL, *rest = url->path;
    for (size_t i = 0; i < settings->root_count; i++) {
        const char *one = settings->roots[i] + 1; /* without the slash, as the path is */
        size_t size = strlen(one);
        if (strncmp(url->path, one, size) != 0 || (size > 0 && url->path[size] && url->path[size] != '/'))
            continue;
        if (!root || strlen(settings->roots[i]) > strlen(root)) {
            root = settings->roots[i];
            rest = url->path + size + (url->path[size] == '/');
        }
    }
    if (!root)
        return venv_storage_fail(err, VENV_STORAGE_PERMISSION, VENV_STORAGE_PARSE,
                                 "it is not beneath a directory that this program may use");
    int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(err, errno, VENV_STORAGE_CONNECT, "cannot open the root");
    *ret_fd = fd;
    *ret_path = *rest ? rest : ".";
    return VENV_OK;
}

/* Open the directory above a path, for reading so that it can be synced. `*ret_name` borrows from the URL. */
static venv_rc open_parent(const venv_storage *storage, const venv_storage_url *url, int *ret_fd, const char **ret_name,
                           venv_storage_error *err)
{
    int root AUTO_CLOSE = -1;
    const char *path = NULL;
    venv_rc rc = open_root(storage, url, &root, &path, err);
    if (rc != VENV_OK)
        return rc;
    if (strcmp(path, ".") == 0)
        return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is the root");
    venv_str above = venv_storage_path_parent(path);
    char parent[VENV_STORAGE_URL_MAX];
    (void)snprintf(parent, sizeof parent, "%.*s", above.size ? (int)above.size : 1, above.size ? above.data : ".");
    int fd = open_beneath(root, parent, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot open its directory");
    *ret_fd = fd;
    *ret_name = venv_storage_path_name(path);
    return VENV_OK;
}

static void describe(const struct stat *st, venv_storage_info *ret_info)
{
    *ret_info = (venv_storage_info){
        .kind = S_ISREG(st->st_mode) ? VENV_STORAGE_FILE : S_ISDIR(st->st_mode) ? VENV_STORAGE_DIRECTORY : VENV_STORAGE_OTHER,
        .size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
        .modified = { (int64_t)st->st_mtim.tv_sec * VENV_NS_PER_S + st->st_mtim.tv_nsec },
        .permissions = (int32_t)(st->st_mode & 07777),
    };
    (void)snprintf(ret_info->tag, sizeof ret_info->tag, "%jx-%jx-%jx-%jx", (uintmax_t)st->st_ino, (uintmax_t)st->st_size,
                   (uintmax_t)st->st_mtim.tv_sec * 1000000000u + (uintmax_t)st->st_mtim.tv_nsec,
                   (uintmax_t)st->st_ctim.tv_sec * 1000000000u + (uintmax_t)st->st_ctim.tv_nsec);
}

static venv_rc file_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                         venv_storage_error *err)
{
    int root AUTO_CLOSE = -1, fd AUTO_CLOSE = -1;
    const char *path = NULL;
    struct stat st;
    venv_rc rc = open_root(storage, url, &root, &path, err);
    if (rc != VENV_OK)
        return rc;
    fd = open_beneath(root, path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0 || fstat(fd, &st) != 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot look at it");
    if (url->directory && url->path[0] && !S_ISDIR(st.st_mode))
        return failed(err, ENOTDIR, VENV_STORAGE_REQUEST, "cannot look at it");
    describe(&st, ret_info);
    return VENV_OK;
}

static venv_rc file_list(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                         venv_storage_error *err)
{
    int root AUTO_CLOSE = -1;
    const char *path = NULL;
    venv_rc rc = open_root(storage, url, &root, &path, err);
    if (rc != VENV_OK)
        return rc;
    int fd = open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 && errno == ENOTDIR) {
        int other = open_beneath(root, path, O_PATH | O_NOFOLLOW, 0);
        if (other >= 0) {
            (void)close(other);
            return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is no directory");
        }
    }
    if (fd < 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot open the directory");
    DIR *directory = fdopendir(fd);
    if (!directory) {
        (void)close(fd);
        return venv_storage_fail_memory(err);
    }
    size_t count = 0;
    const struct dirent *one;
    while (rc == VENV_OK && (errno = 0, one = readdir(directory)) != NULL) {
        struct stat st;
        venv_storage_info info;
        if (!venv_storage_entry_name_is_valid(one->d_name) || fstatat(fd, one->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue; /* gone meanwhile */
        describe(&st, &info);
        rc = venv_storage_check(storage, 0, VENV_STORAGE_DATA, err);
        if (rc == VENV_OK && ++count > VENV_STORAGE_ENTRIES_MAX) {
            (void)venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_DATA, "the directory has too many entries");
            rc = VENV_ELIMIT;
            if (err)
                err->rc = rc;
        } else if (rc == VENV_OK && !entry(user, one->d_name, &info)) {
            rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the list was given up");
        }
    }
    if (rc == VENV_OK && errno != 0)
        rc = failed(err, errno, VENV_STORAGE_DATA, "cannot read the directory");
    (void)closedir(directory);
    return rc;
}

static venv_rc file_make_directory(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    int parent AUTO_CLOSE = -1;
    const char *name = NULL;
    venv_rc rc = open_parent(storage, url, &parent, &name, err);
    if (rc != VENV_OK)
        return rc;
    if (mkdirat(parent, name, 0755) != 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot make it");
    if (fsync(parent) != 0)
        return failed(err, errno, VENV_STORAGE_COMMIT, "cannot sync its directory");
    return VENV_OK;
}

static venv_rc file_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                        char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    int root AUTO_CLOSE = -1, fd AUTO_CLOSE = -1;
    const char *path = NULL;
    struct stat st;
    venv_storage_info info;
    venv_rc rc = open_root(storage, url, &root, &path, err);
    if (rc != VENV_OK)
        return rc;
    fd = open_beneath(root, path, O_RDONLY | O_NONBLOCK, 0); /* a FIFO must not hang us */
    if (fd < 0 || fstat(fd, &st) != 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot open it");
    describe(&st, &info);
    if (info.kind != VENV_STORAGE_FILE)
        return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST,
                                 info.kind == VENV_STORAGE_DIRECTORY ? "it is a directory" : "it is no regular file");
    if (!venv_storage_tag_meets(tag, info.tag))
        return venv_storage_fail(err, VENV_STORAGE_STALE_HANDLE, VENV_STORAGE_REQUEST, "it was changed meanwhile");
    if (offset > info.size)
        return venv_storage_fail_range(err);
    uint8_t *buffer VENV_AUTO_FREE = malloc(STEP);
    if (!buffer)
        return venv_storage_fail_memory(err);
    while (length > 0 && rc == VENV_OK) {
        ssize_t got = pread(fd, buffer, length < STEP ? (size_t)length : STEP, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(err, errno, VENV_STORAGE_DATA, "cannot read it");
        if (got == 0)
            break;
        rc = venv_storage_check(storage, (uint64_t)got, VENV_STORAGE_DATA, err);
        if (rc == VENV_OK && !sink(user, buffer, (size_t)got))
            rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the reader gave up");
        offset += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return rc;
}

static void temporary_name(const char *name, char *buffer, size_t size)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)getpid();
    (void)snprintf(buffer, size, ".%.200s.%016" PRIx64 ".venv-part", name, random);
}

/* A file that nobody sees yet. Where the file system has none, one with a name that nobody else has. */
static int open_nameless(int parent, const char *name, char *temporary, size_t size)
{
    temporary[0] = 0;
    int fd = openat(parent, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
        return fd;
    temporary_name(name, temporary, size);
    return openat(parent, temporary, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : EIO;
        data += put;
        size -= (size_t)put;
    }
    return 0;
}

static venv_rc fill(venv_storage *storage, int fd, uint64_t size, venv_storage_source_fn source, void *user,
                    venv_storage_error *err)
{
    uint8_t *buffer VENV_AUTO_FREE = malloc(STEP);
    uint64_t done = 0;
    if (!buffer)
        return venv_storage_fail_memory(err);
    for (;;) {
        int64_t got = source(user, buffer, STEP);
        if (got < 0)
            return venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the writer gave up");
        if (got == 0)
            break;
        int errnum = write_all(fd, buffer, (size_t)got);
        if (errnum != 0)
            return failed(err, errnum, VENV_STORAGE_DATA, "cannot write it");
        done += (uint64_t)got;
        venv_rc rc = venv_storage_check(storage, (uint64_t)got, VENV_STORAGE_DATA, err);
        if (rc != VENV_OK)
            return rc;
    }
    if (size != VENV_STORAGE_SIZE_UNKNOWN && size != done)
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_DATA,
                                 "%" PRIu64 " bytes were promised, %" PRIu64 " came", size, done);
    if (fsync(fd) != 0)
        return failed(err, errno, VENV_STORAGE_COMMIT, "cannot sync it");
    return VENV_OK;
}

/* Give the file its name. A nameless one can be linked only where nothing is; to replace it takes a name first. */
static int link_in(int parent, int fd, const char *name, char *temporary, size_t size, bool new_only)
{
    char self[64];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (temporary[0] == 0) {
        if (linkat(AT_FDCWD, self, parent, name, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno != EEXIST || new_only)
            return errno;
        temporary_name(name, temporary, size);
        if (linkat(AT_FDCWD, self, parent, temporary, AT_SYMLINK_FOLLOW) != 0) {
            temporary[0] = 0;
            return errno;
        }
    }
    if (renameat2(parent, temporary, parent, name, new_only ? RENAME_NOREPLACE : 0) != 0)
        return errno;
    temporary[0] = 0;
    return 0;
}

static venv_rc file_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                        venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    int parent AUTO_CLOSE = -1, fd AUTO_CLOSE = -1;
    const char *name = NULL;
    char temporary[256];
    struct stat st;
    venv_rc rc = open_parent(storage, url, &parent, &name, err);
    if (rc != VENV_OK)
        return rc;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0) { /* better now than after all the bytes */
        if (S_ISDIR(st.st_mode))
            return failed(err, EISDIR, VENV_STORAGE_REQUEST, "cannot write it");
        if (flags & VENV_STORAGE_PUT_NEW)
            return failed(err, EEXIST, VENV_STORAGE_REQUEST, "cannot write it");
    }
    fd = open_nameless(parent, name, temporary, sizeof temporary);
    if (fd < 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot make a file in its directory");
    rc = fill(storage, fd, size, source, user, err);
    if (rc == VENV_OK) {
        int errnum = link_in(parent, fd, name, temporary, sizeof temporary, flags & VENV_STORAGE_PUT_NEW);
        if (errnum != 0)
            rc = failed(err, errnum, VENV_STORAGE_COMMIT, "cannot give it its name");
        else if (fsync(parent) != 0)
            rc = failed(err, errno, VENV_STORAGE_COMMIT, "cannot sync its directory");
    }
    if (temporary[0])
        (void)unlinkat(parent, temporary, 0);
    return rc;
}

static venv_rc file_rename(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to,
                           bool replace, venv_storage_error *err)
{
    int from_parent AUTO_CLOSE = -1, to_parent AUTO_CLOSE = -1;
    const char *from_name = NULL, *to_name = NULL;
    venv_rc rc = open_parent(storage, from, &from_parent, &from_name, err);
    if (rc == VENV_OK)
        rc = open_parent(storage, to, &to_parent, &to_name, err);
    if (rc != VENV_OK)
        return rc;
    if (renameat2(from_parent, from_name, to_parent, to_name, replace ? 0 : RENAME_NOREPLACE) != 0)
        return failed(err, errno, VENV_STORAGE_COMMIT, "cannot rename it");
    if (fsync(to_parent) != 0 || fsync(from_parent) != 0)
        return failed(err, errno, VENV_STORAGE_COMMIT, "cannot sync its directory");
    return VENV_OK;
}

static venv_rc file_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    int parent AUTO_CLOSE = -1;
    const char *name = NULL;
    venv_rc rc = open_parent(storage, url, &parent, &name, err);
    if (rc != VENV_OK)
        return rc;
    if (unlinkat(parent, name, 0) == 0)
        return VENV_OK;
    int errnum = errno;
    if ((errnum == EISDIR || errnum == EPERM) && unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return VENV_OK;
    return failed(err, errnum == EISDIR || errnum == EPERM ? errno : errnum, VENV_STORAGE_REQUEST, "cannot delete it");
}

static venv_rc file_set_permissions(venv_storage *storage, const venv_storage_url *url, uint32_t permissions,
                                    venv_storage_error *err)
{
    int root AUTO_CLOSE = -1, fd AUTO_CLOSE = -1;
    const char *path = NULL;
    venv_rc rc = open_root(storage, url, &root, &path, err);
    if (rc != VENV_OK)
        return rc;
    fd = open_beneath(root, path, O_PATH, 0); /* without permission to read it */
    char self[64];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (fd < 0 || chmod(self, (mode_t)permissions) != 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot set its permissions");
    return VENV_OK;
}

static venv_rc file_space(venv_storage *storage, const venv_storage_url *url, uint64_t *ret_total, uint64_t *ret_free,
                          venv_storage_error *err)
{
    int root AUTO_CLOSE = -1, fd AUTO_CLOSE = -1;
    const char *path = NULL;
    struct statvfs st;
    venv_rc rc = open_root(storage, url, &root, &path, err);
    if (rc != VENV_OK)
        return rc;
    fd = open_beneath(root, path, O_PATH, 0);
    if (fd < 0 || fstatvfs(fd, &st) != 0)
        return failed(err, errno, VENV_STORAGE_REQUEST, "cannot ask for its space");
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    return VENV_OK;
}

const venv_storage_driver venv_storage_file_driver = {
    .stat = file_stat, .list = file_list, .make_directory = file_make_directory, .get = file_get, .put = file_put,
    .rename = file_rename, .remove = file_remove, .set_permissions = file_set_permissions, .space = file_space,
};
