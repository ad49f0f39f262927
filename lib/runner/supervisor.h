/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNNER_SUPERVISOR_H
#define VENV_RUNNER_SUPERVISOR_H

/*
 * The process between us and a command. It is forked from a program that may have threads, so that
 * everything in supervisor.c is safe after fork(2): system calls on memory that was prepared before.
 */

#include <stdbool.h>
#include <stdint.h>

/* One letter on the control socket, from us to the supervisor. That it is closed means the same as KILL. */
#define VENV_SUPERVISOR_TERM 'T' /* SIGTERM to the command's process group */
#define VENV_SUPERVISOR_KILL 'K' /* SIGKILL to every descendant */

/* And back. */
typedef enum venv_supervisor_news {
    VENV_SUPERVISOR_NOT_STARTED = 1, /* number: errno */
    VENV_SUPERVISOR_ENDED,           /* number: wait status of the command's first process */
} venv_supervisor_news;

typedef struct venv_supervisor_message {
    int32_t news, number;
} venv_supervisor_message;

typedef struct venv_supervisor_plan {
    int in_fd, out_fd, err_fd, executable_fd, control_fd;
    bool is_script; /* its interpreter opens descriptor 3 */
    char **argv, **envp;
} venv_supervisor_plan;

/* What the forked process does. All signals are blocked. */
_Noreturn void venv_supervisor_main(const venv_supervisor_plan *plan);

#endif
