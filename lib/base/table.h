/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_TABLE_H
#define VENV_BASE_TABLE_H

/*
 * Hash table from bytes (a name, an id) to a pointer: open addressing, keyed hash, O(1).
 *
 * Keys are copied; values are the caller's. Iteration is in order of insertion (removals keep the
 * order of the rest), so that a core that iterates is deterministic.
 */

#include <venv/common.h>

typedef struct venv_table venv_table;

/* `seed` defends against chosen keys; a core takes it from its configuration, never from a clock. */
venv_rc venv_table_new(uint64_t seed, size_t count_max, venv_table **ret_table, venv_error *err);
void venv_table_free(venv_table *table);

size_t venv_table_count(const venv_table *table);
/* VENV_EEXIST, VENV_ELIMIT, VENV_ENOMEM; `value` is not NULL. */
venv_rc venv_table_add(venv_table *table, const void *key, size_t key_size, void *value, venv_error *err);
void *venv_table_find(const venv_table *table, const void *key, size_t key_size);
/* Returns the value that was removed, NULL if there was none. Allowed during iteration for the current entry. */
void *venv_table_remove(venv_table *table, const void *key, size_t key_size);
/* Start with *cursor = 0; false at the end. Any output may be NULL. The key is borrowed until its removal. */
bool venv_table_next(const venv_table *table, size_t *cursor, venv_str *ret_key, void **ret_value);

/* Keyed hash of bytes, the one that the table uses. */
uint64_t venv_hash_bytes(const void *data, size_t size, uint64_t seed);
/* SipHash-1-3 itself, with its 128-bit key in two words. */
uint64_t venv_siphash13(const void *data, size_t size, uint64_t k0, uint64_t k1);

#endif
