/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver over SQLite: transactions and reading. How a file is opened, checked and migrated is in
 * sqlite_open.c.
 *
 * WAL with synchronous=FULL, and one connection that does all the writing and the checkpointing.
 * Checkpoints are called by us and not from inside of COMMIT, so that an error of one is seen and is
 * never taken for an error of the other.
 */
#include "store/sqlite_store.h"

#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Checkpoint when the log has this many pages (4 KiB each). */
#define CHECKPOINT_PAGES 1000

/*
 * SQLite knows a full disk (SQLITE_FULL, of ENOSPC), and takes a quota that is used up for a broken one; which it was is not kept.
 * So it is tried: a page that cannot be written to a file beside it for lack of room or quota.
 */
static bool has_no_room(const char *path)
{
    static const char page[4096];
    char probe[4096];
    int size = snprintf(probe, sizeof probe, "%s.probe", path);
    if (size < 0 || (size_t)size >= sizeof probe)
        return false;
    int fd = open(probe, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool none = fd < 0 ? venv_store_errno_rc(errno) == VENV_ENOSPACE : false;
    if (fd >= 0) {
        none = write(fd, page, sizeof page) < 0 && venv_store_errno_rc(errno) == VENV_ENOSPACE;
        none = (close(fd) != 0 && venv_store_errno_rc(errno) == VENV_ENOSPACE) || none;
        (void)unlink(probe);
    }
    return none;
}

/* `code`: extended. */
static venv_rc rc_of(sqlite3 *db, const char *path, int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return VENV_ENOSPACE;
    case SQLITE_NOMEM:
        return VENV_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return VENV_ECONFLICT;
    case SQLITE_NOTADB:
        return VENV_EINVAL;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR: {
        bool writes = code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE || (code & 0xff) == SQLITE_CANTOPEN;
        venv_rc rc = venv_store_errno_rc(sqlite3_system_errno(db));
        return rc == VENV_ENOSPACE || (writes && has_no_room(path)) ? VENV_ENOSPACE : VENV_EIO;
    }
    default:
        return VENV_EIO;
    }
}

venv_rc venv_sqlite_fail(sqlite3 *db, const char *path, const char *what, venv_error *err)
{
    int code = sqlite3_extended_errcode(db), error = sqlite3_system_errno(db);
    venv_rc rc = rc_of(db, path, code);
    const char *advice = rc == VENV_ENOSPACE ? "; make room on the disk (space, inodes or the quota: df, df -i, quota)"
                         : (code & 0xff) == SQLITE_CORRUPT
                             ? "; the file is damaged: keep a copy, and restore it from a backup"
                         : rc == VENV_ECONFLICT ? "; another program keeps the store locked" : "";

    bool has_cause = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
    if (error != 0 && has_cause)
        return venv_error_set(err, rc, "cannot %s the store %s: %s (%s, SQLite error %d)%s", what, path,
                              sqlite3_errmsg(db), strerror(error), code, advice);
    return venv_error_set(err, rc, "cannot %s the store %s: %s (SQLite error %d)%s", what, path, sqlite3_errmsg(db),
                          code, advice);
}

static venv_rc fail(sqlite_store *store, const char *what, venv_error *err)
{
    return venv_sqlite_fail(store->db, store->path, what, err);
}

/* Run a statement that gives no rows. */
static bool run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    /* The code of reset is that of the step. The error's text stays with the connection. */
    sqlite3_reset(statement);
    return code == SQLITE_DONE;
}

static void bind_bytes(sqlite3_stmt *statement, int index, venv_str bytes)
{
    /* A pointer of NULL would be bound as NULL. */
    sqlite3_bind_blob(statement, index, bytes.size > 0 ? bytes.data : "", (int)bytes.size, SQLITE_STATIC);
}

static bool run_op(sqlite_store *store, const venv_store_op *op)
{
    sqlite3_stmt *statement = NULL;

    switch (op->kind) {
    case VENV_STORE_PUT:
        statement = store->statements[STATEMENT_PUT];
        bind_bytes(statement, 3, op->row);
        break;
    case VENV_STORE_DELETE:
        statement = store->statements[STATEMENT_DELETE];
        break;
    case VENV_STORE_APPEND:
        statement = store->statements[STATEMENT_APPEND];
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)op->revision);
        bind_bytes(statement, 2, op->row);
        break;
    }
    if (op->kind != VENV_STORE_APPEND) {
        sqlite3_bind_int(statement, 1, op->collection);
        bind_bytes(statement, 2, op->key);
    }
    bool done = run(statement);
    sqlite3_clear_bindings(statement);
    return done;
}

static void roll_back(sqlite_store *store)
{
    /* Some errors roll back by themselves. */
    if (!sqlite3_get_autocommit(store->db) && !run(store->statements[STATEMENT_ROLLBACK]))
        store->base.broken = true;
}

/*
 * The answer of COMMIT is the only one that counts. A full disk is a clear "no": the frame that makes the
 * transaction valid could not be written. After any other failure, that frame may be in the log, or not.
 */
static venv_rc commit(sqlite_store *store, venv_error *err)
{
    if (run(store->statements[STATEMENT_COMMIT]))
        return VENV_OK;
    venv_rc rc = fail(store, "commit to", err);
    roll_back(store);
    if (rc == VENV_ENOSPACE || rc == VENV_ECONFLICT)
        return rc;
    if (err)
        err->rc = VENV_EUNKNOWN;
    return VENV_EUNKNOWN;
}

/* What was committed is safe in the log whatever happens here. */
static void checkpoint(sqlite_store *store)
{
    if (store->wal_pages < CHECKPOINT_PAGES)
        return;
    int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    store->wal_pages = 0;
    /* A full disk or a reader: again later. A device that fails: the next write must not be believed. */
    if (code != SQLITE_OK && rc_of(store->db, store->path, sqlite3_extended_errcode(store->db)) == VENV_EIO)
        store->base.broken = true;
}

static int count_wal_pages(void *user, sqlite3 *db, const char *schema, int pages)
{
    (void)db;
    (void)schema;
    ((sqlite_store *)user)->wal_pages = pages;
    return SQLITE_OK;
}

static venv_rc sqlite_apply(venv_store *base, const venv_store_op *ops, size_t count, venv_error *err)
{
    sqlite_store *store = (sqlite_store *)base;

    if (!run(store->statements[STATEMENT_BEGIN]))
        return fail(store, "write to", err);
    for (size_t i = 0; i < count; i++) {
        if (!run_op(store, &ops[i])) {
            venv_rc rc = fail(store, "write to", err);
            roll_back(store);
            return rc;
        }
    }
    venv_rc rc = commit(store, err);
    if (rc == VENV_OK)
        checkpoint(store);
    return rc;
}

static venv_str column_bytes(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    return (venv_str){ data ? data : "", (size_t)sqlite3_column_bytes(statement, column) };
}

static venv_rc sqlite_each(venv_store *base, int collection, venv_store_row_fn row, void *user, venv_error *err)
{
    sqlite_store *store = (sqlite_store *)base;
    sqlite3_stmt *statement = store->statements[STATEMENT_EACH];
    int code;

    sqlite3_bind_int(statement, 1, collection);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!row(user, column_bytes(statement, 0), column_bytes(statement, 1)))
            break;
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? VENV_OK : fail(store, "read", err);
}

static venv_rc sqlite_log(venv_store *base, uint64_t since, uint32_t limit, venv_store_entry_fn entry, void *user,
                          venv_error *err)
{
    sqlite_store *store = (sqlite_store *)base;
    sqlite3_stmt *statement = store->statements[STATEMENT_LOG];
    int code;

    sqlite3_bind_int64(statement, 1, (sqlite3_int64)since);
    sqlite3_bind_int64(statement, 2, limit);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!entry(user, (uint64_t)sqlite3_column_int64(statement, 0), column_bytes(statement, 1)))
            break;
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? VENV_OK : fail(store, "read the log of", err);
}

static venv_rc sqlite_trim(venv_store *base, uint64_t upto, venv_error *err)
{
    sqlite_store *store = (sqlite_store *)base;
    sqlite3_stmt *mark = store->statements[STATEMENT_MARK], *trim = store->statements[STATEMENT_TRIM];

    if (!run(store->statements[STATEMENT_BEGIN]))
        return fail(store, "trim", err);
    sqlite3_bind_int64(mark, 1, (sqlite3_int64)base->revision);
    sqlite3_bind_int64(trim, 1, (sqlite3_int64)upto);
    if (!run(mark) || !run(trim)) {
        venv_rc rc = fail(store, "trim", err);
        roll_back(store);
        return rc;
    }
    venv_rc rc = commit(store, err);
    if (rc == VENV_OK)
        checkpoint(store);
    return rc;
}

static void sqlite_close(venv_store *base)
{
    venv_sqlite_release((sqlite_store *)base);
}

static const venv_store_driver sqlite_driver = {
    .close = sqlite_close,
    .apply = sqlite_apply,
    .each = sqlite_each,
    .log = sqlite_log,
    .trim = sqlite_trim,
};

venv_rc venv_store_sqlite_open(const char *path, venv_store **ret_store, venv_error *err)
{
    sqlite_store *store = NULL;
    venv_rc rc = venv_sqlite_acquire(path, &store, err);
    if (rc != VENV_OK)
        return rc;
    store->base.driver = &sqlite_driver;
    sqlite3_wal_hook(store->db, count_wal_pages, store);
    *ret_store = &store->base;
    return VENV_OK;
}
