/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver that keeps everything in memory: for tests, the simulator, and managers that need not
 * remember. It is as strict as the others: all of a transaction or nothing, also when memory runs out.
 */
#include "base/cleanup.h"
#include "store/driver.h"

#include <string.h>

typedef struct item {
    uint64_t revision; /* of a log entry */
    uint32_t key_size, row_size;
    char bytes[]; /* key, then row */
} item;

/* Sorted: rows by key, the log by revision. */
typedef struct list {
    item **items;
    size_t count, capacity;
} list;

typedef struct memory_store {
    venv_store base;
    list rows[VENV_STORE_COLLECTION_MAX + 1];
    list log;
} memory_store;

static item *item_new(const venv_store_op *op)
{
    size_t key_size = op->kind == VENV_STORE_APPEND ? 0 : op->key.size;
    item *it = malloc(sizeof *it + key_size + op->row.size);
    if (!it)
        return NULL;
    it->revision = op->revision;
    it->key_size = (uint32_t)key_size;
    it->row_size = (uint32_t)op->row.size;
    if (key_size > 0)
        memcpy(it->bytes, op->key.data, key_size);
    if (op->row.size > 0)
        memcpy(it->bytes + key_size, op->row.data, op->row.size);
    return it;
}

static int key_compare(const item *it, venv_str key)
{
    size_t size = it->key_size < key.size ? it->key_size : key.size;
    int order = memcmp(it->bytes, key.data, size);
    return order != 0 ? order : (it->key_size > key.size) - (it->key_size < key.size);
}

/* Where `key` is or would be. */
static size_t find(const list *l, venv_str key, bool *ret_found)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = key_compare(l->items[middle], key);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

static bool list_reserve(list *l, size_t more)
{
    if (l->capacity - l->count >= more)
        return true;
    size_t capacity = l->capacity * 2 > l->count + more ? l->capacity * 2 : l->count + more + 8;
    item **items = realloc(l->items, capacity * sizeof *items);
    if (!items)
        return false;
    l->items = items;
    l->capacity = capacity;
    return true;
}

static void list_fini(list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
}

static void memory_close(venv_store *base)
{
    memory_store *store = (memory_store *)base;
    for (size_t i = 0; i < VENV_COUNT_OF(store->rows); i++)
        list_fini(&store->rows[i]);
    list_fini(&store->log);
    free(store);
}

/* Cannot fail: the memory is there. Takes the item. */
static void put(list *l, item *it)
{
    bool found;
    size_t at = find(l, (venv_str){ it->bytes, it->key_size }, &found);
    if (found) {
        free(l->items[at]);
    } else {
        memmove(&l->items[at + 1], &l->items[at], (l->count - at) * sizeof l->items[0]);
        l->count++;
    }
    l->items[at] = it;
}

static void delete(list *l, venv_str key)
{
    bool found;
    size_t at = find(l, key, &found);
    if (!found)
        return;
    free(l->items[at]);
    l->count--;
    memmove(&l->items[at], &l->items[at + 1], (l->count - at) * sizeof l->items[0]);
}

static venv_rc memory_apply(venv_store *base, const venv_store_op *ops, size_t count, venv_error *err)
{
    memory_store *store = (memory_store *)base;
    item **made = calloc(count, sizeof *made);
    bool enough = made != NULL;

    /* First everything that can fail. */
    for (size_t i = 0; enough && i < count; i++) {
        if (ops[i].kind == VENV_STORE_DELETE)
            continue;
        list *l = ops[i].kind == VENV_STORE_APPEND ? &store->log : &store->rows[ops[i].collection];
        made[i] = item_new(&ops[i]);
        enough = made[i] && list_reserve(l, count);
    }
    for (size_t i = 0; enough && i < count; i++) {
        switch (ops[i].kind) {
        case VENV_STORE_PUT:
            put(&store->rows[ops[i].collection], made[i]);
            break;
        case VENV_STORE_DELETE:
            delete(&store->rows[ops[i].collection], ops[i].key);
            break;
        case VENV_STORE_APPEND:
            store->log.items[store->log.count++] = made[i];
            break;
        }
    }
    for (size_t i = 0; made && !enough && i < count; i++)
        free(made[i]);
    free(made);
    return enough ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory for %zu operations", count);
}

static venv_rc memory_each(venv_store *base, int collection, venv_store_row_fn row, void *user, venv_error *err)
{
    memory_store *store = (memory_store *)base;
    (void)err;
    if (collection < 0 || collection > VENV_STORE_COLLECTION_MAX)
        return VENV_OK;
    const list *l = &store->rows[collection];
    for (size_t i = 0; i < l->count; i++) {
        const item *it = l->items[i];
        if (!row(user, (venv_str){ it->bytes, it->key_size }, (venv_str){ it->bytes + it->key_size, it->row_size }))
            break;
    }
    return VENV_OK;
}

/* Index of the first entry above `revision`. */
static size_t log_above(const list *l, uint64_t revision)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->items[middle]->revision <= revision)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static venv_rc memory_log(venv_store *base, uint64_t since, uint32_t limit, venv_store_entry_fn entry, void *user,
                          venv_error *err)
{
    memory_store *store = (memory_store *)base;
    (void)err;
    for (size_t i = log_above(&store->log, since); i < store->log.count && limit > 0; i++, limit--) {
        const item *it = store->log.items[i];
        if (!entry(user, it->revision, (venv_str){ it->bytes, it->row_size }))
            break;
    }
    return VENV_OK;
}

static venv_rc memory_trim(venv_store *base, uint64_t upto, venv_error *err)
{
    list *l = &((memory_store *)base)->log;
    size_t gone = log_above(l, upto);
    (void)err;
    for (size_t i = 0; i < gone; i++)
        free(l->items[i]);
    if (gone > 0) {
        l->count -= gone;
        memmove(l->items, l->items + gone, l->count * sizeof l->items[0]);
    }
    return VENV_OK;
}

static const venv_store_driver memory_driver = {
    .close = memory_close,
    .apply = memory_apply,
    .each = memory_each,
    .log = memory_log,
    .trim = memory_trim,
};

venv_rc venv_store_memory_open(venv_store **ret_store, venv_error *err)
{
    memory_store *store = calloc(1, sizeof *store);
    if (!store)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for a store");
    store->base.driver = &memory_driver;
    *ret_store = &store->base;
    return VENV_OK;
}
