/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries stand in an array in order of insertion; an open-addressed index of positions finds them.
 * A removal leaves a hole in the array; holes are squeezed out when the array is full, never while
 * somebody iterates without adding.
 */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_EMPTY   0u
#define SLOT_REMOVED UINT32_MAX
#define CAPACITY_MIN 8u

typedef struct entry {
    char *key; /* NULL for a hole */
    size_t key_size;
    void *value;
    uint64_t hash;
} entry;

struct venv_table {
    uint64_t seed;
    size_t count_max;
    size_t count;    /* live entries */
    size_t used;     /* entries and holes */
    size_t capacity; /* of `entries`, a power of two; the index has twice as many slots */
    entry *entries;
    uint32_t *index; /* position + 1, SLOT_EMPTY or SLOT_REMOVED */
};

venv_rc venv_table_new(uint64_t seed, size_t count_max, venv_table **ret_table, venv_error *err)
{
    venv_table *table = calloc(1, sizeof *table);
    if (!table)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    table->seed = seed;
    table->count_max = count_max < UINT32_MAX / 4 ? count_max : UINT32_MAX / 4;
    *ret_table = table;
    return VENV_OK;
}

void venv_table_free(venv_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->used; i++)
        free(table->entries[i].key);
    free(table->entries);
    free(table->index);
    free(table);
}

size_t venv_table_count(const venv_table *table)
{
    return table->count;
}

/* Slot that holds the key, or the empty slot that ends the search. */
static size_t find_slot(const venv_table *table, const void *key, size_t key_size, uint64_t hash)
{
    size_t mask = table->capacity * 2 - 1;
    size_t slot = (size_t)hash & mask;
    for (; table->index[slot] != SLOT_EMPTY; slot = (slot + 1) & mask) {
        if (table->index[slot] == SLOT_REMOVED)
            continue;
        const entry *e = &table->entries[table->index[slot] - 1];
        if (e->hash == hash && e->key_size == key_size && memcmp(e->key, key, key_size) == 0)
            break;
    }
    return slot;
}

/* New arrays of `capacity`, without holes. The table is unchanged on failure. */
static bool rebuild(venv_table *table, size_t capacity)
{
    entry *entries = malloc(capacity * sizeof *entries);
    uint32_t *index = calloc(capacity * 2, sizeof *index);
    if (!entries || !index) {
        free(entries);
        free(index);
        return false;
    }
    size_t used = 0, mask = capacity * 2 - 1;
    for (size_t i = 0; i < table->used; i++) {
        if (!table->entries[i].key)
            continue;
        size_t slot = (size_t)table->entries[i].hash & mask;
        while (index[slot] != SLOT_EMPTY)
            slot = (slot + 1) & mask;
        entries[used++] = table->entries[i];
        index[slot] = (uint32_t)used;
    }
    free(table->entries);
    free(table->index);
    table->entries = entries;
    table->index = index;
    table->used = used;
    table->capacity = capacity;
    return true;
}

static bool make_room(venv_table *table)
{
    if (table->used < table->capacity)
        return true;
    size_t capacity = table->capacity ? table->capacity : CAPACITY_MIN;
    while (table->count >= capacity / 4 * 3)
        capacity *= 2;
    return rebuild(table, capacity);
}

venv_rc venv_table_add(venv_table *table, const void *key, size_t key_size, void *value, venv_error *err)
{
    uint64_t hash = venv_hash_bytes(key, key_size, table->seed);
    if (table->capacity && table->index[find_slot(table, key, key_size, hash)] != SLOT_EMPTY)
        return venv_error_set(err, VENV_EEXIST, "it exists already");
    if (table->count >= table->count_max)
        return venv_error_set(err, VENV_ELIMIT, "the table is full: %zu entries are allowed", table->count_max);
    char *copy = malloc(key_size ? key_size : 1);
    if (!copy || !make_room(table)) {
        free(copy);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    if (key_size)
        memcpy(copy, key, key_size);
    size_t slot = find_slot(table, key, key_size, hash);
    table->entries[table->used++] = (entry){ copy, key_size, value, hash };
    table->index[slot] = (uint32_t)table->used;
    table->count++;
    return VENV_OK;
}

void *venv_table_find(const venv_table *table, const void *key, size_t key_size)
{
    if (table->count == 0)
        return NULL;
    uint64_t hash = venv_hash_bytes(key, key_size, table->seed);
    uint32_t position = table->index[find_slot(table, key, key_size, hash)];
    return position == SLOT_EMPTY ? NULL : table->entries[position - 1].value;
}

void *venv_table_remove(venv_table *table, const void *key, size_t key_size)
{
    if (table->count == 0)
        return NULL;
    uint64_t hash = venv_hash_bytes(key, key_size, table->seed);
    size_t slot = find_slot(table, key, key_size, hash);
    if (table->index[slot] == SLOT_EMPTY)
        return NULL;
    entry *e = &table->entries[table->index[slot] - 1];
    void *value = e->value;
    free(e->key);
    *e = (entry){ 0 };
    table->index[slot] = SLOT_REMOVED;
    table->count--;
    return value;
}

bool venv_table_next(const venv_table *table, size_t *cursor, venv_str *ret_key, void **ret_value)
{
    const entry *entries = table->entries;
    size_t at = *cursor, used = table->used;
    while (at < used && !entries[at].key)
        at++;
    *cursor = at + (at < used);
    if (at >= used)
        return false;
    if (ret_key)
        *ret_key = (venv_str){ entries[at].key, entries[at].key_size };
    if (ret_value)
        *ret_value = entries[at].value;
    return true;
}
