/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORE_DRIVER_H
#define VENV_STORE_DRIVER_H

/*
 * What a driver of the store offers. store.c checks every argument against the limits and the order
 * of revisions before a driver sees it, and keeps a store that failed from being written again.
 */

#include "store/store.h"

typedef bool (*venv_store_row_fn)(void *user, venv_str key, venv_str row);
typedef bool (*venv_store_entry_fn)(void *user, uint64_t revision, venv_str row);

typedef struct venv_store_driver {
    void (*close)(venv_store *store);
    /* All or none. On success store.c advances `revision`. */
    venv_rc (*apply)(venv_store *store, const venv_store_op *ops, size_t count, venv_error *err);
    venv_rc (*each)(venv_store *store, int collection, venv_store_row_fn row, void *user, venv_error *err);
    venv_rc (*log)(venv_store *store, uint64_t since, uint32_t limit, venv_store_entry_fn entry, void *user,
                   venv_error *err);
    venv_rc (*trim)(venv_store *store, uint64_t upto, venv_error *err);
} venv_store_driver;

/* Every driver's own struct begins with this. */
struct venv_store {
    const venv_store_driver *driver;
    uint64_t revision; /* the highest that was ever appended; the driver sets it when it opens */
    bool broken;       /* a write failed so that nobody knows what is on disk */
};

venv_rc venv_store_memory_open(venv_store **ret_store, venv_error *err);
venv_rc venv_store_sqlite_open(const char *path, venv_store **ret_store, venv_error *err);

#endif
