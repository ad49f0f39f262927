/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_DELIVERY_H
#define VENV_RUNTIME_DELIVERY_H

/*
 * Actions that leave the manager's host or run on it: mail and webhooks on a few threads, plug-ins as commands of lib/runner.
 *
 *      DELIVER (action, order) ── held until its write is durable ──► thread: lib/deliver, or a run ──► ended(action, …)
 *
 * Every order is answered exactly once, unless the manager ends before.
 */

#include "base/log.h"

#include <venv/value.h>

#include <uv.h>

#define VENV_DELIVERY_THREADS    4
#define VENV_DELIVERY_QUEUE_MAX  1024    /* on each thread */
#define VENV_PLUGIN_OUT_MAX      (64u << 10)
#define VENV_PLUGIN_ERR_MAX      (16u << 10)

typedef struct venv_delivery venv_delivery;

typedef struct venv_delivery_calls {
    /* `result` is borrowed; NULL where there is none. */
    void (*ended)(void *user, venv_id action, venv_rc rc, const char *error, const venv_value *result);
    void *user;
} venv_delivery_calls;

/*
 * `directories` of plug-ins, a list of paths: looked at now, so that what is wrong with them is in the log; each order of a plug-in
 * brings those of its time. Fails as venv_runner_new() and threads do.
 */
venv_rc venv_delivery_start(uv_loop_t *loop, const venv_value *directories, const venv_log *log, const venv_delivery_calls *calls,
                            venv_delivery **ret_delivery, venv_error *err);
/* Take an order on; it is begun when write `after_write` is durable. */
void venv_delivery_take(venv_delivery *delivery, venv_id action, const venv_value *order, uint64_t after_write);
/* This write and all before are. */
void venv_delivery_durable(venv_delivery *delivery, uint64_t write);
/* No call comes any more; what is under way is given up. Accepts NULL. */
void venv_delivery_end(venv_delivery *delivery);

#endif
