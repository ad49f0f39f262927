/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_HISTORY_WORKER_H
#define VENV_RUNTIME_HISTORY_WORKER_H

/*
 * The history on a thread of its own: neither the loop nor the transactions of the state wait for it.
 * What it cannot keep up with, or has no room for, is lost and counted.
 */

#include "store/history_writer.h"

#include <venv/value.h>

#include <uv.h>

#define VENV_HISTORY_QUEUE_MAX 256 /* journals and questions that wait */

typedef struct venv_history_worker venv_history_worker;

typedef struct venv_history_calls {
    void (*answer)(void *user, uint64_t token, const venv_value *answer); /* body of RESULT, or {rc, error} */
    /* Writing has begun to fail (`why`), or works again (NULL). */
    void (*trouble)(void *user, const venv_error *why);
    void *user;
} venv_history_calls;

/* `state`: the folder of the state. */
venv_rc venv_history_worker_start(uv_loop_t *loop, const char *state, const venv_history_limits *limits,
                                  const venv_history_calls *calls, venv_history_worker **ret_worker, venv_error *err);
/* VENV_ELIMIT: it is hopelessly behind, and the journal is lost. */
venv_rc venv_history_worker_add(venv_history_worker *worker, venv_str journal, venv_error *err);
/* `query` as in HISTORY, checked. */
venv_rc venv_history_worker_ask(venv_history_worker *worker, uint64_t token, const venv_value *query, venv_error *err);
/* Write what waits; gives up after some seconds. Accepts NULL. */
void venv_history_worker_stop(venv_history_worker *worker);

#endif
