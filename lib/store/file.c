/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory, mode and lock of a store's file.
 *
 * The lock is an open-file-description lock on a file beside the store. It is not on the store itself:
 * SQLite uses POSIX locks there, which any close in the same process drops.
 */
#include "store/file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define AUTO_CLOSE VENV_CLEANUP(close_fd)

venv_rc venv_store_errno_rc(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return VENV_ENOSPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return VENV_EDENIED;
    case ENOENT:
    case ENOTDIR:
        return VENV_ENOENT;
    case ENOMEM:
        return VENV_ENOMEM;
    default:
        return VENV_EIO;
    }
}

static venv_rc fail(venv_error *err, const char *what, const char *path)
{
    int error = errno;
    return venv_error_set(err, venv_store_errno_rc(error), "cannot %s %s: %s", what, path, strerror(error));
}

/* The name of a directory entry is durable when the directory is. */
static venv_rc sync_directory_of(const char *path, venv_error *err)
{
    char directory[VENV_STORE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;

    if (!slash)
        snprintf(directory, sizeof directory, ".");
    else
        snprintf(directory, sizeof directory, "%.*s", size > 0 ? (int)size : 1, path);
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return fail(err, "sync the directory", directory);
    return VENV_OK;
}

static venv_rc make_directories(const char *path, venv_error *err)
{
    char part[VENV_STORE_PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0700) == 0) {
            venv_rc rc = sync_directory_of(part, err);
            if (rc != VENV_OK)
                return rc;
        } else if (errno != EEXIST) {
            return fail(err, "make the directory", part);
        }
    }
    return VENV_OK;
}

venv_rc venv_store_directory_make(const char *path, venv_error *err)
{
    if (strlen(path) >= VENV_STORE_PATH_MAX)
        return venv_error_set(err, VENV_EINVAL, "the path of the store has %zu bytes; at most %d are allowed",
                              strlen(path), VENV_STORE_PATH_MAX - 1);
    return make_directories(path, err);
}

venv_rc venv_store_file_make(const char *path, uint64_t *ret_size, venv_error *err)
{
    struct stat st;

    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return fail(err, "open the store", path);
    if (fstat(fd, &st) != 0)
        return fail(err, "look at the store", path);
    if (!S_ISREG(st.st_mode))
        return venv_error_set(err, VENV_EINVAL, "the store %s is not a regular file", path);
    *ret_size = (uint64_t)st.st_size;
    if (st.st_size > 0)
        return VENV_OK;
    if (fchmod(fd, 0600) != 0 || fsync(fd) != 0)
        return fail(err, "make the store", path);
    return sync_directory_of(path, err);
}

venv_rc venv_store_file_protect(const char *path, venv_error *err)
{
    struct stat st;

    if (stat(path, &st) != 0 || ((st.st_mode & 077) != 0 && chmod(path, 0600) != 0))
        return fail(err, "take the rights of others from", path);
    return VENV_OK;
}

/* "process 4711 (venv-mgr)", from what its holder wrote into the lock file. */
static void describe_holder(int fd, char *text, size_t size)
{
    char content[32] = "", path[64], name[32] = "";
    ssize_t n = pread(fd, content, sizeof content - 1, 0);
    long pid = n > 0 ? strtol(content, NULL, 10) : 0;

    if (pid <= 0) {
        snprintf(text, size, "another process");
        return;
    }
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    AUTO_CLOSE int comm = open(path, O_RDONLY | O_CLOEXEC);
    if (comm >= 0) {
        n = read(comm, name, sizeof name - 1);
        name[n > 0 ? strcspn(name, "\n") : 0] = '\0';
    }
    if (name[0])
        snprintf(text, size, "process %ld (%s)", pid, name);
    else
        snprintf(text, size, "process %ld", pid);
}

/* Always of one size, so that it works on a full disk once the file is there. 0: nobody. */
static bool write_holder(int fd, pid_t pid)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%-20ld\n", (long)pid);
    return pwrite(fd, text, (size_t)size, 0) == size && fsync(fd) == 0;
}

venv_rc venv_store_file_lock(const char *path, int *ret_fd, bool *ret_unclean, venv_error *err)
{
    char lock_path[VENV_STORE_PATH_MAX + 8], text[64];
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    AUTO_CLOSE int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return fail(err, "open the lock", lock_path);
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return fail(err, "lock", lock_path);
        describe_holder(fd, text, sizeof text);
        return venv_error_set(err, VENV_ECONFLICT,
                              "the store %s is in use by %s; stop it first, or give this manager a store of its own",
                              path, text);
    }
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    *ret_unclean = strtol(text, NULL, 10) > 0;
    if (!write_holder(fd, getpid()))
        return fail(err, "write the lock", lock_path);
    *ret_fd = fd;
    fd = -1;
    return VENV_OK;
}

void venv_store_file_unlock(int fd)
{
    /* If this fails, the next start looks the store over: slower, not wrong. */
    (void)write_holder(fd, 0);
    close(fd);
}

void venv_store_file_abandon(int fd)
{
    close(fd);
}

/* --- the reserve --------------------------------------------------------------------------------------- */

venv_rc venv_store_reserve_take(const char *path, venv_error *err)
{
    struct stat st;
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, "make the reserve", path);
    if (fstat(fd, &st) == 0 && st.st_size >= (off_t)VENV_STORE_RESERVE_SIZE && st.st_blocks >= VENV_STORE_RESERVE_SIZE / 512)
        return VENV_OK;
    errno = posix_fallocate(fd, 0, VENV_STORE_RESERVE_SIZE);
    if (errno == 0)
        return VENV_OK;
    venv_rc rc = fail(err, "make the reserve", path);
    unlink(path);
    return rc;
}

bool venv_store_reserve_release(const char *path)
{
    return unlink(path) == 0;
}
