/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_LOG_H
#define VENV_BASE_LOG_H

/*
 * Where lines for the administrator go. A sink is handed to whoever logs; there is no global one.
 * The pure cores do not use it: they emit log actions, and the shell passes those here.
 */

#include <venv/common.h>

typedef enum venv_log_level {
    VENV_LOG_ERROR = 0,
    VENV_LOG_WARNING,
    VENV_LOG_INFO,
    VENV_LOG_DEBUG,
} venv_log_level;

typedef struct venv_log {
    void (*write)(void *user, venv_log_level level, const char *line); /* one escaped line, no newline */
    void *user;
    venv_log_level level; /* lines above it are not formatted */
} venv_log;

/* `log` may be NULL. The text is escaped with venv_text_escape(). */
void venv_log_print(const venv_log *log, venv_log_level level, const char *format, ...) VENV_PRINTF(3, 4);
const char *venv_log_level_name(venv_log_level level);

#endif
