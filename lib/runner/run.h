/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNNER_RUN_H
#define VENV_RUNNER_RUN_H

/* What runner.c (the allow-list, starting) and run.c (the life of one run) share. */

#include "base/buf.h"
#include "runner/index.h"
#include "runner/runner.h"

#include <sys/types.h>

#define LEFTOVER_MAX 256

struct venv_runner {
    char **directories;
    size_t directory_count;
    size_t out_max, err_max;
    uint32_t run_count, run_count_max;
    const venv_log *log;
    venv_index index;
    pid_t leftover[LEFTOVER_MAX]; /* supervisors of runs that were freed early, to be reaped */
    size_t leftover_count;
};

typedef enum venv_run_phase {
    VENV_RUN_RUNNING = 0,
    VENV_RUN_ASKED,  /* SIGTERM was sent */
    VENV_RUN_KILLED, /* SIGKILL was sent, or the command has ended and its children are being ended */
    VENV_RUN_OVER,
} venv_run_phase;

/* One of the two streams of output. fd is -1 once it has ended. */
typedef struct venv_run_stream {
    int fd;
    venv_buf buf;
    uint64_t size; /* bytes that came, kept or not */
} venv_run_stream;

struct venv_run {
    venv_runner *runner;
    char *name;
    venv_run_phase phase;
    pid_t supervisor;
    int poll_fd, pid_fd, control_fd;
    venv_run_stream out, err;
    venv_instant started, deadline;
    int start_errno; /* execve(2) failed; 0 if it did not */
    int status;      /* wait status, if `ended` */
    bool ended, timed_out, truncated;
    venv_run_outcome outcome;
    venv_error error;
};

/* Make the run's descriptors readable for the loop, after the supervisor was forked. */
venv_rc venv_run_watch(venv_run *run, venv_error *err);
/* Reap what was left over. */
void venv_runner_sweep(venv_runner *runner);

#endif
