/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's quota that is used up, for a process that is started with this in LD_PRELOAD: while the file VENV_QUOTA_SWITCH exists, whatever
 * would write to a file below the folder VENV_QUOTA_DIR fails with EDQUOT. Few kernels of test machines have quotas.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static bool is_over(int fd)
{
    const char *folder = getenv("VENV_QUOTA_DIR"), *switched = getenv("VENV_QUOTA_SWITCH");
    char link[64], path[PATH_MAX];
    int trouble = errno;
    bool over = false;
    if (folder && switched && access(switched, F_OK) == 0) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, path, sizeof path - 1);
        path[size > 0 ? size : 0] = '\0';
        over = strncmp(path, folder, strlen(folder)) == 0;
    }
    errno = over ? EDQUOT : trouble;
    return over;
}

#define NEXT(name) ((__typeof__(&name))(void *)dlsym(RTLD_NEXT, #name))

#define SEEN __attribute__((visibility("default")))
SEEN ssize_t write(int fd, const void *data, size_t size);
SEEN ssize_t pwrite64(int fd, const void *data, size_t size, off_t at);
SEEN int posix_fallocate(int fd, off_t at, off_t size);
SEEN int posix_fallocate64(int fd, off_t at, off_t size);

ssize_t write(int fd, const void *data, size_t size)
{
    return is_over(fd) ? -1 : NEXT(write)(fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    return is_over(fd) ? -1 : NEXT(pwrite64)(fd, data, size, at);
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    return is_over(fd) ? EDQUOT : NEXT(posix_fallocate)(fd, at, size);
}

int posix_fallocate64(int fd, off_t at, off_t size)
{
    return is_over(fd) ? EDQUOT : NEXT(posix_fallocate64)(fd, at, size);
}
