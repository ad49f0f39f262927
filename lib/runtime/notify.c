/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void venv_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = { 0 } };
    size_t size = path ? strlen(path) : 0;
    if (size < 2 || size >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
    (void)close(fd);
}

static bool read_number(const char *name, long long *ret_number)
{
    const char *text = getenv(name);
    char *end = NULL;
    if (!text || !*text)
        return false;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end || number <= 0)
        return false;
    *ret_number = number;
    return true;
}

venv_span venv_notify_watchdog(void)
{
    long long usec, pid;
    if (!read_number("WATCHDOG_USEC", &usec) || usec > INT64_MAX / 1000)
        return (venv_span){ 0 };
    if (read_number("WATCHDOG_PID", &pid) && pid != (long long)getpid())
        return (venv_span){ 0 };
    return (venv_span){ usec * 1000 / 2 };
}

static venv_rc pid_file_failed(const char *path, const char *what, venv_error *err)
{
    return venv_error_set(err, VENV_EIO, "cannot %s the PID file '%s': %s", what, path, strerror(errno));
}

venv_rc venv_pid_file_write(const char *path, venv_error *err)
{
    char temporary[PATH_MAX];
    char text[32];
    if (!path)
        return VENV_OK;
    int size = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof temporary)
        return venv_error_set(err, VENV_ERANGE, "the path of the PID file is too long");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return pid_file_failed(path, "create", err);
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    bool written = write(fd, text, (size_t)length) == length;
    written = close(fd) == 0 && written;
    if (!written || rename(temporary, path) != 0) {
        venv_rc rc = pid_file_failed(path, "write", err);
        (void)unlink(temporary);
        return rc;
    }
    return VENV_OK;
}

void venv_pid_file_remove(const char *path)
{
    if (path)
        (void)unlink(path);
}
