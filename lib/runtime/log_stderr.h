/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_LOG_STDERR_H
#define VENV_RUNTIME_LOG_STDERR_H

/*
 * The log of a daemon: one line to standard error with time and level.
 *
 *      2026-11-22T18:30:00.000Z warning peer 192.0.2.7:40112 refused: …
 *
 * It never blocks. If whoever reads standard error stops, lines are dropped and counted, and the first line that
 * gets through afterwards says how many. It belongs to the thread of the loop.
 */

#include "base/log.h"

#define VENV_LOG_LINE_MAX 4096 /* bytes with the newline: what a pipe takes whole (PIPE_BUF) */

typedef struct venv_log_stderr {
    venv_log sink;            /* hand this to whoever logs */
    int fd;                   /* our own non-blocking description of standard error, or 2 */
    bool owned;
    bool is_socket, is_file;
    char rest[VENV_LOG_LINE_MAX]; /* of a line that was written in part */
    size_t rest_size;
    uint64_t dropped;         /* since the last line that says so */
} venv_log_stderr;

void venv_log_stderr_init(venv_log_stderr *log, venv_log_level level);
void venv_log_stderr_fini(venv_log_stderr *log);

/* "error", "warning", "info", "debug"; NULL means info. VENV_EINVAL names what is allowed. */
venv_rc venv_log_level_parse(const char *text, venv_log_level *ret_level, venv_error *err);

#endif
