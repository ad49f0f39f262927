/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_LOOP_H
#define VENV_RUNTIME_LOOP_H

/*
 * The loop that a core lives in: libuv, the one timer that the core asks for, signals, the watchdog.
 *
 * It knows neither core. A shell sets the deadline after each step and is called back when it has come.
 */

#include "base/log.h"

#include <uv.h>

typedef struct venv_loop venv_loop;

typedef struct venv_loop_calls {
    void (*deadline)(void *user);                  /* the time of venv_loop_set_deadline() has come */
    void (*stop)(void *user, const char *reason);  /* a signal or venv_daemon_stop(); called once */
    void (*reload)(void *user);                    /* SIGHUP */
    void *user;
} venv_loop_calls;

struct venv_loop {
    uv_loop_t uv;
    venv_loop_calls calls;
    uv_timer_t deadline;
    uv_timer_t watchdog;
    uv_signal_t terminate, interrupt, hangup;
    uv_poll_t stop_poll;
    int stop_fd;
    bool stop_called;
    bool handles_open;
};

/* `stop_fd` is an eventfd that becomes readable to end the loop; it stays the caller's. */
venv_rc venv_loop_init(venv_loop *loop, int stop_fd, const venv_loop_calls *calls, venv_error *err);

/* When `deadline` is to be called; NEVER for not at all. Replaces the one before. */
void venv_loop_set_deadline(venv_loop *loop, venv_instant deadline);

/* Run until every handle is closed: after venv_loop_close() and the ends of those of others. */
void venv_loop_run(venv_loop *loop);

/* Close the loop's own handles: run() returns when nobody else has any. */
void venv_loop_close(venv_loop *loop);

/* After run() has returned, or after init() if run() was never called. */
void venv_loop_fini(venv_loop *loop);

#endif
