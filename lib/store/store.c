/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front of the store: chooses the driver, checks what comes in, and refuses to write after a
 * write of unknown outcome. The drivers are memory.c and sqlite.c.
 */
#include "store/driver.h"

#include <string.h>

venv_rc venv_store_open(const char *location, venv_store **ret_store, venv_error *err)
{
    if (strcmp(location, "memory:") == 0)
        return venv_store_memory_open(ret_store, err);
    if (strncmp(location, "sqlite:", 7) == 0)
        location += 7;
    if (location[0] == '\0')
        return venv_error_set(err, VENV_EINVAL, "the store has no path; name a file, for example /var/lib/venv/manager.db");
    return venv_store_sqlite_open(location, ret_store, err);
}

void venv_store_close(venv_store *store)
{
    if (store)
        store->driver->close(store);
}

static venv_rc check_op(const venv_store_op *op, uint64_t *revision, venv_error *err)
{
    if (op->kind == VENV_STORE_APPEND) {
        if (op->revision == 0 || op->revision > INT64_MAX)
            return venv_error_set(err, VENV_EINVAL, "revision %llu cannot be appended to the log",
                                  (unsigned long long)op->revision);
        if (op->revision <= *revision)
            return venv_error_set(err, VENV_ECONFLICT, "revision %llu is not above %llu, the last of the log",
                                  (unsigned long long)op->revision, (unsigned long long)*revision);
        *revision = op->revision;
    } else {
        if (op->kind != VENV_STORE_PUT && op->kind != VENV_STORE_DELETE)
            return venv_error_set(err, VENV_EINVAL, "operation %d is none of the store", (int)op->kind);
        if (op->collection < 0 || op->collection > VENV_STORE_COLLECTION_MAX)
            return venv_error_set(err, VENV_EINVAL, "collection %d is not in 0..%d", op->collection,
                                  VENV_STORE_COLLECTION_MAX);
        if (op->key.size == 0 || op->key.size > VENV_STORE_KEY_MAX)
            return venv_error_set(err, VENV_EINVAL, "a key has %zu bytes; 1..%d are allowed", op->key.size,
                                  VENV_STORE_KEY_MAX);
    }
    if (op->kind != VENV_STORE_DELETE && op->row.size > VENV_STORE_ROW_MAX)
        return venv_error_set(err, VENV_EINVAL, "a row has %zu bytes; at most %u are allowed", op->row.size,
                              VENV_STORE_ROW_MAX);
    return VENV_OK;
}

static venv_rc refuse_broken(venv_error *err)
{
    return venv_error_set(err, VENV_EIO,
                          "the store is closed for writing since an earlier write failed; "
                          "restart to go on from what is on disk");
}

venv_rc venv_store_apply(venv_store *store, const venv_store_op *ops, size_t count, venv_error *err)
{
    uint64_t revision = store->revision;

    if (store->broken)
        return refuse_broken(err);
    if (count > VENV_STORE_OP_COUNT_MAX)
        return venv_error_set(err, VENV_EINVAL, "%zu operations in one transaction; at most %d are allowed", count,
                              VENV_STORE_OP_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        venv_rc rc = check_op(&ops[i], &revision, err);
        if (rc != VENV_OK)
            return rc;
    }
    if (count == 0)
        return VENV_OK;
    venv_rc rc = store->driver->apply(store, ops, count, err);
    if (rc == VENV_OK)
        store->revision = revision;
    else if (rc == VENV_EUNKNOWN || rc == VENV_EIO)
        store->broken = true;
    return rc;
}

venv_rc venv_store_each(venv_store *store, int collection, venv_store_row_fn row, void *user, venv_error *err)
{
    return store->driver->each(store, collection, row, user, err);
}

venv_rc venv_store_log(venv_store *store, uint64_t since, uint32_t limit, venv_store_entry_fn entry, void *user,
                       venv_error *err)
{
    if (since >= INT64_MAX || limit == 0)
        return VENV_OK;
    return store->driver->log(store, since, limit, entry, user, err);
}

venv_rc venv_store_revision(venv_store *store, uint64_t *ret_revision, venv_error *err)
{
    (void)err;
    *ret_revision = store->revision;
    return VENV_OK;
}

venv_rc venv_store_trim(venv_store *store, uint64_t upto, venv_error *err)
{
    if (store->broken)
        return refuse_broken(err);
    venv_rc rc = store->driver->trim(store, upto < INT64_MAX ? upto : INT64_MAX, err);
    if (rc == VENV_EUNKNOWN || rc == VENV_EIO)
        store->broken = true;
    return rc;
}
