/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORE_SQLITE_STORE_H
#define VENV_STORE_SQLITE_STORE_H

/* What sqlite.c (transactions) and sqlite_open.c (opening, migrations) share. */

#include "store/driver.h"

#include <sqlite3.h>

enum {
    STATEMENT_BEGIN = 0,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_PUT,
    STATEMENT_DELETE,
    STATEMENT_APPEND,
    STATEMENT_EACH,
    STATEMENT_LOG,
    STATEMENT_MARK,
    STATEMENT_TRIM,
    STATEMENT__COUNT
};

typedef struct sqlite_store {
    venv_store base;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT__COUNT];
    char *path;
    int lock_fd; /* -1: not held */
    int wal_pages;
} sqlite_store;

/* Everything of opening but the driver's functions. */
venv_rc venv_sqlite_acquire(const char *path, sqlite_store **ret_store, venv_error *err);
void venv_sqlite_release(sqlite_store *store);

/* "cannot WHAT the store PATH: …" from the connection's last error. */
venv_rc venv_sqlite_fail(sqlite3 *db, const char *path, const char *what, venv_error *err);

#endif
