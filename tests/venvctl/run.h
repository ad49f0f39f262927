/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_VENVCTL_RUN_H
#define TESTS_VENVCTL_RUN_H

/* One run of venvctl inside of the test's process: its exit code and what it wrote. */

#include "venvctl.h"

#define RUN_NOW_SECONDS 1763836200 /* 2025-11-22T18:30:00Z: what the runs take for now */

typedef struct outcome {
    int code;
    char *out, *err;
} outcome;

/* `line` is split at blanks; 'single quotes' hold blanks. At most 32 words. */
outcome run_line(const char *line);
/* The same with the clock of the machine: for certificates. */
outcome run_line_now(const char *line);
/* The same as if standard output were a terminal. */
outcome run_line_terminal(const char *line);
void run_free(outcome *run);

#endif
