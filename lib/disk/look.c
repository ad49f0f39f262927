/* SPDX-License-Identifier: Apache-2.0 */
/* Is a file one that a guest may be given? Looked at through one descriptor. */
#include "disk/parts.h"

#include "image/qcow2.h"
#include "sync/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_SIZE 65536u

static venv_rc look_at_qcow2(int fd, const char *path, uint64_t file_size, uint64_t *ret_size, venv_error *err)
{
    size_t size = file_size < HEAD_SIZE ? (size_t)file_size : HEAD_SIZE;
    uint8_t *head = malloc(size + 1);
    if (!head)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = venv_files_read_at(fd, head, size, 0, path, err);
    if (rc == VENV_OK && (rc = venv_qcow2_check_disk(head, size, file_size, ret_size, err)) != VENV_OK)
        (void)venv_error_prefix(err, "%s", path);
    free(head);
    return rc;
}

static venv_rc look_at(int fd, const char *path, const struct stat *st, venv_disk_format format, uint64_t *ret_size, venv_error *err)
{
    uint64_t size = (uint64_t)st->st_size;
    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
        return venv_error_set(err, VENV_EDENIED, "'%s' is neither a regular file nor a block device", path);
    if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, &size) != 0)
        return venv_files_fail(err, errno, "look at", path);
    if (format == VENV_DISK_QCOW2)
        return look_at_qcow2(fd, path, size, ret_size, err);
    *ret_size = size;
    return VENV_OK;
}

static venv_rc open_and_look(const char *path, int flags, venv_disk_format format, struct stat *ret_st, uint64_t *ret_size, venv_error *err)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
    if (fd < 0)
        return venv_files_fail(err, errno, "open", path);
    venv_rc rc = fstat(fd, ret_st) == 0 ? look_at(fd, path, ret_st, format, ret_size, err) : venv_files_fail(err, errno, "look at", path);
    close(fd);
    return rc;
}

/* Links are the business of who owns the directory that the administrator allowed. */
venv_rc venv_disk_look(const char *path, venv_disk_format format, venv_error *err)
{
    struct stat st;
    uint64_t size;
    return open_and_look(path, 0, format, &st, &size, err);
}

venv_rc venv_disk_look_at_base(const char *path, venv_disk_format format, uint64_t *ret_size, venv_error *err)
{
    struct stat st;
    venv_rc rc = open_and_look(path, O_NOFOLLOW, format, &st, ret_size, err);
    if (rc == VENV_OK && !S_ISREG(st.st_mode))
        return venv_error_set(err, VENV_EDENIED, "'%s' is not a regular file: a base must be one", path);
    if (rc == VENV_OK && ((st.st_mode & 022) != 0 || (st.st_uid != geteuid() && st.st_uid != 0)))
        return venv_error_set(err, VENV_EDENIED, "'%s' can be written by others: a base that many machines stand on must not (mode %o, owner %u)", path,
                              (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
    return rc;
}

/*
 * QEMU locks bytes 100 and 200 and on of each image that it has open, also one that it only reads, in the order of its permissions
 * (block/file-posix.c: RAW_LOCK_PERM_BASE, RAW_LOCK_SHARED_BASE).
 */
bool venv_disk_is_locked(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 200 };
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
