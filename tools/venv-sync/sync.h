/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_TOOL_H
#define VENV_SYNC_TOOL_H

/* What main.c and print.c share. */

#include <venv/image.h>

/* A report as JSON, or as lines for people. `verb` says which report it is. */
venv_rc sync_print(const char *verb, const venv_value *report, bool json, bool quiet, venv_error *err);

/* The progress bar, on standard error. `user` is a struct sync_bar. */
typedef struct sync_bar {
    bool shown;
    int64_t last_ns, start_ns;
    const char *phase;
} sync_bar;
bool sync_bar_progress(void *user, const venv_image_progress *progress);
/* Remove it from the terminal. */
void sync_bar_clear(sync_bar *bar);

#endif
