/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets by reference: they stand in files of their own, never in a configuration. */
#include "net/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *venv_net_secret_read(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return errno == ENOENT ? "its file is missing" : "its file cannot be opened";
    const char *wrong = NULL;
    ssize_t got = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        wrong = "it is no regular file";
    else if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 077) != 0)
        wrong = "its file may be read by others; chmod 600 it";
    else if ((got = read(fd, buffer, size)) < 0 || (size_t)got >= size)
        wrong = "its file cannot be read or is too long";
    (void)close(fd);
    if (wrong) {
        explicit_bzero(buffer, size);
        return wrong;
    }
    buffer[got] = 0;
    buffer[strcspn(buffer, "\r\n")] = 0;
    return NULL;
}
