/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_STORE_WORKER_H
#define VENV_RUNTIME_STORE_WORKER_H

/*
 * The store on a thread of its own.
 *
 *      step ──► transaction (bytes) ──► queue ──► thread: all that wait, in one commit ──► durable(write)
 *
 * Steps that come while a commit is under way share the next one: with a slow disk commits become larger, not later.
 * What was read or trimmed is done in the same order. After a failure nothing is written any more and `failed` is
 * called once.
 *
 * **A full disk** is no failure. Beside the store lies a reserve: a file whose blocks are allocated. When a commit finds no room
 * (it is then whole undone), the reserve is given up, the same commit is made again in its place, and `disk` tells the loop. Where even
 * that is used up the thread tries again and again; nothing that depends on the commit leaves until it is made. Once a second it is
 * tried to make the reserve anew; when that works there is room again.
 */

#include "store/store.h"

#include <venv/value.h>

#include <uv.h>

#define VENV_STORE_QUEUE_MAX     4096        /* transactions and reads that wait */
#define VENV_STORE_GROUP_MAX     256         /* of them in one commit */
#define VENV_TRANSACTION_MAX     (64u << 20) /* bytes of one step's rows */
#define VENV_STORE_READ_MAX      (16u << 20) /* bytes of one answer of the log */

typedef struct venv_store_worker venv_store_worker;
typedef struct venv_transaction venv_transaction;

typedef struct venv_store_calls {
    void (*durable)(void *user, uint64_t write); /* it and all before */
    /* Entries of the log: a list of the bodies, at most as asked for; less where an answer would be too large. */
    void (*history)(void *user, uint64_t token, const venv_value *entries);
    void (*unread)(void *user, uint64_t token, const venv_error *why); /* in place of `history` */
    void (*disk)(void *user, bool full, const char *text);
    void (*failed)(void *user, const venv_error *why);
    const char *reserve; /* path of the reserve; NULL: none, and a full disk is a failure */
    void *user;
} venv_store_calls;

/* Takes the store over, also on failure. */
venv_rc venv_store_worker_start(uv_loop_t *loop, venv_store *store, const venv_store_calls *calls,
                                venv_store_worker **ret_worker, venv_error *err);

/* One step's rows. Keys are stored as CBOR, too: text and ids stay apart. A failure sticks and is returned when it is submitted. */
venv_transaction *venv_transaction_new(uint64_t write);
void venv_transaction_put(venv_transaction *transaction, int collection, const venv_value *key, const venv_value *row);
void venv_transaction_delete(venv_transaction *transaction, int collection, const venv_value *key);
void venv_transaction_append(venv_transaction *transaction, uint64_t revision, const venv_value *body);
void venv_transaction_free(venv_transaction *transaction);

/* Takes the transaction over, also on failure. VENV_ELIMIT: the disk is hopelessly behind. Or what stuck. */
venv_rc venv_store_worker_write(venv_store_worker *worker, venv_transaction *transaction, venv_error *err);
venv_rc venv_store_worker_read(venv_store_worker *worker, uint64_t token, uint64_t since, uint32_t limit, venv_error *err);
/* Keep entries with revisions above `upto`. */
venv_rc venv_store_worker_trim(venv_store_worker *worker, uint64_t upto, venv_error *err);

/* Write what waits, close the store, end the thread. Calls `durable` for what was written. Accepts NULL. */
void venv_store_worker_stop(venv_store_worker *worker);

#endif
