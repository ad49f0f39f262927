/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Non-blocking writes need a file description of our own: O_NONBLOCK on the inherited one would change it
 * for the shell or the supervisor that shares it. /proc/self/fd/2 gives one for pipes and terminals;
 * sockets have MSG_DONTWAIT; whatever refuses both is asked with poll() first. A plain file takes what it is
 * given, at the place that it shares with whoever else has it open.
 */
#include "runtime/log_stderr.h"

#include "base/text.h"
#include "runtime/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Write what fits now. Returns the bytes taken, 0 if none. */
static size_t write_now(venv_log_stderr *log, const char *data, size_t size)
{
    ssize_t n;
    if (log->is_socket) {
        n = send(log->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        if (!log->owned && !log->is_file) {
            struct pollfd ready = { .fd = log->fd, .events = POLLOUT, .revents = 0 };
            if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
                return 0;
        }
        n = write(log->fd, data, size);
    }
    if (n >= 0)
        return (size_t)n;
    /* A closed standard error is no reason to stop: treat the line as gone. */
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : size;
}

/* True if nothing of an earlier line is left. */
static bool flush_rest(venv_log_stderr *log)
{
    if (log->rest_size == 0)
        return true;
    size_t n = write_now(log, log->rest, log->rest_size);
    memmove(log->rest, log->rest + n, log->rest_size - n);
    log->rest_size -= n;
    return log->rest_size == 0;
}

static bool put_line(venv_log_stderr *log, venv_log_level level, const char *text)
{
    char line[VENV_LOG_LINE_MAX];
    char wall[VENV_WALL_TEXT_SIZE];
    if (!flush_rest(log))
        return false;
    int n = snprintf(line, sizeof line, "%s %s %s\n", venv_wall_format(venv_clock_read().wall, wall),
                     venv_log_level_name(level), text);
    if (n < 0)
        return false;
    size_t size = (size_t)n;
    if (size >= sizeof line) {
        size = sizeof line - 1;
        line[size - 1] = '\n';
    }
    size_t written = write_now(log, line, size);
    if (written == 0)
        return false;
    log->rest_size = size - written;
    memcpy(log->rest, line + written, log->rest_size);
    return true;
}

static void write_line(void *user, venv_log_level level, const char *text)
{
    venv_log_stderr *log = user;
    if (log->dropped > 0) {
        char note[96];
        (void)snprintf(note, sizeof note, "%llu lines of the log were dropped: standard error was blocked",
                       (unsigned long long)log->dropped);
        if (put_line(log, VENV_LOG_WARNING, note))
            log->dropped = 0;
    }
    if (!put_line(log, level, text))
        log->dropped++;
}

void venv_log_stderr_init(venv_log_stderr *log, venv_log_level level)
{
    struct stat st;
    memset(log, 0, sizeof *log);
    log->sink = (venv_log){ .write = write_line, .user = log, .level = level };
    log->fd = STDERR_FILENO;
    log->is_socket = fstat(STDERR_FILENO, &st) == 0 && S_ISSOCK(st.st_mode);
    log->is_file = fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    if (!log->is_socket && !log->is_file) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0) {
            log->fd = fd;
            log->owned = true;
        }
    }
}

void venv_log_stderr_fini(venv_log_stderr *log)
{
    (void)flush_rest(log);
    if (log->owned)
        (void)close(log->fd);
    log->owned = false;
    log->fd = STDERR_FILENO;
}

venv_rc venv_log_level_parse(const char *text, venv_log_level *ret_level, venv_error *err)
{
    if (!text) {
        *ret_level = VENV_LOG_INFO;
        return VENV_OK;
    }
    for (int level = VENV_LOG_ERROR; level <= VENV_LOG_DEBUG; level++) {
        if (strcmp(text, venv_log_level_name((venv_log_level)level)) == 0) {
            *ret_level = (venv_log_level)level;
            return VENV_OK;
        }
    }
    return venv_error_set(err, VENV_EINVAL, "log level '%s' is unknown: use error, warning, info or debug", text);
}
