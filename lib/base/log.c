/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatting and escaping of one line for a log sink.
 */
#include "base/log.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 2048

void venv_log_print(const venv_log *log, venv_log_level level, const char *format, ...)
{
    if (!log || !log->write || level > log->level)
        return;
    char raw[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (size < 0)
        return;
    venv_buf line;
    venv_buf_init(&line, LINE_MAX_BYTES + 16);
    venv_text_escape(&line, raw, strlen(raw), LINE_MAX_BYTES);
    log->write(log->user, level, line.rc == VENV_OK ? venv_buf_peek_text(&line) : "(out of memory for a log line)");
    venv_buf_fini(&line);
}

const char *venv_log_level_name(venv_log_level level)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    return (size_t)level < sizeof names / sizeof names[0] ? names[level] : "?";
}
