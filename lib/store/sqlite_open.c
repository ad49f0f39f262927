/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a store in SQLite: lock, checks, settings, migrations, statements.
 *
 * Nothing is written before the file is known to be ours and of a version that we know.
 */
#include "store/sqlite_store.h"

#include "base/cleanup.h"
#include "store/file.h"

#include <string.h>

#define APPLICATION_ID 0x76656e76 /* "venv", in the header of the file */

/* A file up to this size is looked over at every start, a larger one after an unclean end only. */
#define CHECK_ALWAYS_SIZE (64u << 20)

/*
 * Every statement that is ever run is a literal: those of the running store here, those of opening and
 * of migrations below. A migration is one transaction and ends by counting user_version up.
 */
static const char *const statement_sql[STATEMENT__COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_PUT] = ("INSERT INTO item(collection, key, row) VALUES(?1, ?2, ?3)"
                       " ON CONFLICT(collection, key) DO UPDATE SET row = excluded.row"),
    [STATEMENT_DELETE] = "DELETE FROM item WHERE collection = ?1 AND key = ?2",
    [STATEMENT_APPEND] = "INSERT INTO log(revision, row) VALUES(?1, ?2)",
    [STATEMENT_EACH] = "SELECT key, row FROM item WHERE collection = ?1 ORDER BY key",
    [STATEMENT_LOG] = "SELECT revision, row FROM log WHERE revision > ?1 ORDER BY revision LIMIT ?2",
    [STATEMENT_MARK] = "UPDATE mark SET revision = max(revision, ?1)",
    [STATEMENT_TRIM] = "DELETE FROM log WHERE revision <= ?1",
};

/* Version 0 → 1: the first schema. */
static const char *const migration_1[] = {
    ("CREATE TABLE item(collection INTEGER NOT NULL, key BLOB NOT NULL, row BLOB NOT NULL,"
     " PRIMARY KEY(collection, key)) STRICT, WITHOUT ROWID"),
    "CREATE TABLE log(revision INTEGER PRIMARY KEY, row BLOB NOT NULL) STRICT",
    /* The highest revision, for when the log was trimmed to nothing. One row. */
    "CREATE TABLE mark(id INTEGER PRIMARY KEY CHECK(id = 1), revision INTEGER NOT NULL) STRICT",
    "INSERT INTO mark(id, revision) VALUES(1, 0)",
    "PRAGMA application_id = 1986358902",
    "PRAGMA user_version = 1",
    NULL,
};

static const char *const *const migrations[] = { migration_1 };
#define SCHEMA_VERSION ((sqlite3_int64)VENV_COUNT_OF(migrations))

static venv_rc fail(sqlite_store *store, const char *what, venv_error *err)
{
    return venv_sqlite_fail(store->db, store->path, what, err);
}

/* Run one literal; its first column as a number or, if `text` is given, as text. */
static venv_rc ask(sqlite_store *store, const char *sql, sqlite3_int64 *ret_number, char *text, size_t text_size,
                   venv_error *err)
{
    sqlite3_stmt *statement = NULL;
    venv_rc rc = VENV_OK;

    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return fail(store, "open", err);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        if (ret_number)
            *ret_number = sqlite3_column_int64(statement, 0);
        const unsigned char *found = text ? sqlite3_column_text(statement, 0) : NULL;
        if (found)
            sqlite3_snprintf((int)text_size, text, "%s", found);
    } else if (code != SQLITE_DONE) {
        rc = fail(store, "open", err);
    }
    sqlite3_finalize(statement);
    return rc;
}

static venv_rc tell(sqlite_store *store, const char *sql, venv_error *err)
{
    return ask(store, sql, NULL, NULL, 0, err);
}

/* Ours, of no newer version? Reads only. */
static venv_rc check_owner(sqlite_store *store, sqlite3_int64 *ret_version, venv_error *err)
{
    sqlite3_int64 id = 0, version = 0, tables = 0;
    venv_rc rc = ask(store, "PRAGMA application_id", &id, NULL, 0, err);
    if (rc == VENV_OK)
        rc = ask(store, "PRAGMA user_version", &version, NULL, 0, err);
    if (rc == VENV_OK)
        rc = ask(store, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0, err);
    if (rc != VENV_OK)
        return rc;
    if (id == 0 && version == 0 && tables == 0) {
        *ret_version = 0;
        return VENV_OK;
    }
    if (id != APPLICATION_ID)
        return venv_error_set(err, VENV_EINVAL,
                              "%s is a database of another program, not a store of venv; it is left as it is; "
                              "name another file", store->path);
    if (version > SCHEMA_VERSION || version < 1)
        return venv_error_set(err, VENV_EUNSUPPORTED,
                              "the store %s has schema %lld, this program knows up to %lld; "
                              "it was written by a newer venv: use that one, or restore a backup",
                              store->path, (long long)version, (long long)SCHEMA_VERSION);
    *ret_version = version;
    return VENV_OK;
}

static venv_rc migrate(sqlite_store *store, sqlite3_int64 version, venv_error *err)
{
    for (; version < SCHEMA_VERSION; version++) {
        venv_rc rc = tell(store, "BEGIN IMMEDIATE", err);
        for (const char *const *sql = migrations[version]; rc == VENV_OK && *sql; sql++)
            rc = tell(store, *sql, err);
        if (rc == VENV_OK)
            rc = tell(store, "COMMIT", err);
        if (rc != VENV_OK) {
            if (!sqlite3_get_autocommit(store->db))
                (void)tell(store, "ROLLBACK", NULL);
            return rc;
        }
    }
    return VENV_OK;
}

static venv_rc configure(sqlite_store *store, venv_error *err)
{
    static const char *const settings[] = {
        "PRAGMA trusted_schema = OFF",
        "PRAGMA cell_size_check = ON",
        "PRAGMA foreign_keys = ON",
        /* For a new file only, before it has a log: the end of its first journal has to be durable, too, or a power cut would
         * bring it back and undo all that came after. */
        "PRAGMA synchronous = EXTRA",
        "PRAGMA journal_size_limit = 67108864",
    };
    char mode[16] = "";
    venv_rc rc = VENV_OK;

    for (size_t i = 0; rc == VENV_OK && i < VENV_COUNT_OF(settings); i++)
        rc = tell(store, settings[i], err);
    if (rc == VENV_OK)
        rc = ask(store, "PRAGMA journal_mode = WAL", NULL, mode, sizeof mode, err);
    if (rc == VENV_OK && strcmp(mode, "wal") != 0)
        rc = venv_error_set(err, VENV_EUNSUPPORTED,
                            "the store %s cannot have a write-ahead log (its journal is \"%s\"); "
                            "put it on a local file system", store->path, mode);
    if (rc == VENV_OK)
        rc = tell(store, "PRAGMA synchronous = FULL", err);
    return rc;
}

static venv_rc check_pages(sqlite_store *store, venv_error *err)
{
    char found[256] = "";
    venv_rc rc = ask(store, "PRAGMA quick_check(1)", NULL, found, sizeof found, err);
    if (rc == VENV_OK && strcmp(found, "ok") != 0)
        rc = venv_error_set(err, VENV_EIO, "the store %s is damaged: %s; keep a copy, and restore it from a backup",
                            store->path, found);
    return rc;
}

static venv_rc open_connection(sqlite_store *store, venv_error *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;

    if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK) {
        if (!store->db)
            return venv_error_set(err, VENV_ENOMEM, "out of memory for the store %s", store->path);
        return fail(store, "open", err);
    }
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, (int)(VENV_STORE_ROW_MAX + VENV_STORE_KEY_MAX + 4096));
    sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_busy_timeout(store->db, 5000); /* somebody looks at it with the sqlite3 tool */
    sqlite3_wal_autocheckpoint(store->db, 0);
    return VENV_OK;
}

static venv_rc prepare(sqlite_store *store, venv_error *err)
{
    for (int i = 0; i < STATEMENT__COUNT; i++) {
        if (sqlite3_prepare_v3(store->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i],
                               NULL) != SQLITE_OK)
            return fail(store, "open", err);
    }
    return VENV_OK;
}

static venv_rc read_revision(sqlite_store *store, venv_error *err)
{
    sqlite3_int64 revision = 0;
    venv_rc rc = ask(store, "SELECT max((SELECT revision FROM mark), (SELECT ifnull(max(revision), 0) FROM log))",
                     &revision, NULL, 0, err);
    if (rc == VENV_OK)
        store->base.revision = (uint64_t)revision;
    return rc;
}

venv_rc venv_sqlite_acquire(const char *path, sqlite_store **ret_store, venv_error *err)
{
    sqlite_store *store = calloc(1, sizeof *store);
    sqlite3_int64 version = 0;
    uint64_t size = 0;
    bool unclean = false;

    if (!store || !(store->path = strdup(path))) {
        free(store);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the store %s", path);
    }
    store->lock_fd = -1;
    venv_rc rc = venv_store_directory_make(path, err);
    if (rc == VENV_OK)
        rc = venv_store_file_lock(path, &store->lock_fd, &unclean, err);
    if (rc == VENV_OK)
        rc = venv_store_file_make(path, &size, err);
    if (rc == VENV_OK)
        rc = open_connection(store, err);
    if (rc == VENV_OK)
        rc = check_owner(store, &version, err);
    if (rc == VENV_OK)
        rc = venv_store_file_protect(path, err);
    if (rc == VENV_OK)
        rc = configure(store, err);
    if (rc == VENV_OK && (unclean || size <= CHECK_ALWAYS_SIZE))
        rc = check_pages(store, err);
    if (rc == VENV_OK)
        rc = migrate(store, version, err);
    if (rc == VENV_OK)
        rc = prepare(store, err);
    if (rc == VENV_OK)
        rc = read_revision(store, err);
    if (rc != VENV_OK) {
        store->base.broken = unclean; /* then the next start looks it over, too */
        venv_sqlite_release(store);
        return rc;
    }
    *ret_store = store;
    return VENV_OK;
}

void venv_sqlite_release(sqlite_store *store)
{
    for (int i = 0; i < STATEMENT__COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    /* With no statement open this closes, checkpoints and removes the log. */
    bool closed = sqlite3_close(store->db) == SQLITE_OK;
    if (store->lock_fd >= 0 && closed && !store->base.broken)
        venv_store_file_unlock(store->lock_fd);
    else if (store->lock_fd >= 0)
        venv_store_file_abandon(store->lock_fd);
    free(store->path);
    free(store);
}
