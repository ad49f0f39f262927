/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_WORKER_H
#define VENV_RUNTIME_WORKER_H

/*
 * A thread for calls that block, with a bounded queue to it and a way back to the loop.
 *
 *      loop ── submit(job) ──► queue (bounded) ──► thread: work(batch)
 *      loop ◄── done(job) ───────────────────────────┘
 *
 * Jobs are worked on in the order in which they were submitted, and come back in it. A job carries bytes,
 * never values. A thread that hangs can be abandoned: the loop forgets it at once, and what it holds is released
 * whenever it comes back.
 */

#include <venv/common.h>

#include <uv.h>

/* The first member of whatever is submitted. */
typedef struct venv_job {
    struct venv_job *next;
    bool posted; /* not submitted: sent by the thread unasked */
} venv_job;

typedef struct venv_worker venv_worker;

typedef struct venv_worker_options {
    size_t queue_max; /* jobs that wait or are worked on */
    size_t batch_max; /* jobs given to `work` at a time */
    void *context;    /* belongs to the thread while it runs */
    venv_worker **self; /* where the thread finds its worker, for venv_worker_post(); may be NULL */
    void (*work)(void *context, venv_job *batch);    /* thread: a list in order */
    void (*idle)(void *context);                     /* thread: nothing to do; returns when woken. NULL: sleep */
    void (*wake)(void *context);                     /* loop: make `idle`, or else the next one, return; with `idle` */
    void (*finish)(void *context);                   /* thread, last: release the context; may be NULL */
    void (*done)(void *user, venv_job *job);         /* loop: takes the job over */
    void (*drop)(venv_job *job);                     /* any thread: release a job that nobody waits for */
    void *user;
} venv_worker_options;

venv_rc venv_worker_start(uv_loop_t *loop, const venv_worker_options *options, venv_worker **ret_worker, venv_error *err);

/* VENV_ELIMIT when the queue is full: the job is still the caller's. */
venv_rc venv_worker_submit(venv_worker *worker, venv_job *job, venv_error *err);

/* Jobs submitted and not yet done. */
size_t venv_worker_pending(const venv_worker *worker);

/* Post something to the loop from within the thread, unasked (an event). It arrives at `done` in order. */
void venv_worker_post(venv_worker *worker, venv_job *job);

/* Finish all that is queued, deliver it, and end. Blocks until then; accepts NULL. */
void venv_worker_stop(venv_worker *worker);

/* The same, but abandon it if that takes longer than `ms`. */
void venv_worker_stop_within(venv_worker *worker, uint32_t ms);

/* Forget it, at once: queued jobs are dropped, the one that is worked on when the thread comes back. Accepts NULL. */
void venv_worker_abandon(venv_worker *worker);

#endif
