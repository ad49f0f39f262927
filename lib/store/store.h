/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORE_STORE_H
#define VENV_STORE_STORE_H

/*
 * Durable state: collections of rows (key bytes → value bytes) and an append-only log of events.
 *
 * One interface, a driver each for memory and SQLite, one test suite over both. Calls block; the
 * runtime gives the store a thread of its own, so rows are bytes (CBOR) here, never values. All writing and
 * checkpointing goes through one connection. A store belongs to one thread at a time.
 */

#include <venv/common.h>

#define VENV_STORE_KEY_MAX 256
#define VENV_STORE_ROW_MAX (4u << 20)
#define VENV_STORE_COLLECTION_MAX 255
#define VENV_STORE_OP_COUNT_MAX 65536 /* operations in one transaction */

typedef struct venv_store venv_store;

typedef enum venv_store_op_kind {
    VENV_STORE_PUT = 0, /* collection, key, row: insert or replace */
    VENV_STORE_DELETE,  /* collection, key: no error if it is not there */
    VENV_STORE_APPEND,  /* revision, row: to the log; revisions only grow */
} venv_store_op_kind;

typedef struct venv_store_op {
    venv_store_op_kind kind;
    int collection;
    uint64_t revision;
    venv_str key, row; /* borrowed for the call */
} venv_store_op;

/*
 * Limits: keys 1..VENV_STORE_KEY_MAX bytes, rows up to VENV_STORE_ROW_MAX, collections
 * 0..VENV_STORE_COLLECTION_MAX, revisions 1..INT64_MAX.
 */

/*
 * "memory:", or the path of an SQLite file ("sqlite:PATH" or a plain path). The directories and files that it
 * makes have mode 0700 and 0600; beside the file is PATH.lock.
 *
 * VENV_ECONFLICT: another process holds the store; the text names it. VENV_EUNSUPPORTED: a newer program wrote
 * it. VENV_EINVAL: the file is not a store of ours (it is left as it is). VENV_EIO: also for a damaged file.
 * VENV_ENOSPACE, VENV_EDENIED, VENV_ENOENT, VENV_ENOMEM. The texts name the file and the system's reason.
 */
venv_rc venv_store_open(const char *location, venv_store **ret_store, venv_error *err);
void venv_store_close(venv_store *store);

/*
 * All of them or none; durable when it returns VENV_OK.
 * VENV_EINVAL: a key or row beyond its limit, an empty key, a revision of 0. VENV_ECONFLICT: a revision that is not
 * higher than all before it. VENV_ENOSPACE: nothing was written; reads go on, and writes when there is
 * room again. VENV_EUNKNOWN: commit itself failed in a way that leaves it open. VENV_EIO. After EUNKNOWN and EIO
 * the store refuses to write: close it, open it, and read what is there.
 */
venv_rc venv_store_apply(venv_store *store, const venv_store_op *ops, size_t count, venv_error *err);

/* Every row of a collection in key order. The callback returns false to stop. */
venv_rc venv_store_each(venv_store *store, int collection,
                        bool (*row)(void *user, venv_str key, venv_str row), void *user, venv_error *err);

/* Log entries with a revision > since, ascending, at most `limit`. */
venv_rc venv_store_log(venv_store *store, uint64_t since, uint32_t limit,
                       bool (*entry)(void *user, uint64_t revision, venv_str row), void *user, venv_error *err);
/* The highest revision that was ever appended, also if it was trimmed; 0 if there was none. */
venv_rc venv_store_revision(venv_store *store, uint64_t *ret_revision, venv_error *err);
/* Drop log entries with revision <= upto (retention). */
venv_rc venv_store_trim(venv_store *store, uint64_t upto, venv_error *err);

#endif
