/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_CHUNK_INDEX_H
#define VENV_IMAGE_CHUNK_INDEX_H

/*
 * From the hash of a chunk to a number of the caller's: open addressing over the first 8 bytes of the hash,
 * which nobody can choose more cheaply than by breaking SHA-256.
 */

#include "image/manifest.h"

typedef struct venv_chunk_index {
    struct venv_chunk_index_slot *slots;
    size_t count, capacity; /* a power of two */
} venv_chunk_index;

void venv_chunk_index_fini(venv_chunk_index *index);

#define VENV_CHUNK_INDEX_NONE UINT64_MAX

/* Add; where it is there already, it stays. Returns its number in *ret_number, if that is not NULL. VENV_ENOMEM. */
venv_rc venv_chunk_index_add(venv_chunk_index *index, const uint8_t hash[VENV_HASH_SIZE], uint64_t number, uint64_t *ret_number,
                       venv_error *err);
/* Like venv_chunk_index_add(), but the new number counts. */
venv_rc venv_chunk_index_set(venv_chunk_index *index, const uint8_t hash[VENV_HASH_SIZE], uint64_t number, venv_error *err);
/* VENV_CHUNK_INDEX_NONE: not there. */
uint64_t venv_chunk_index_find(const venv_chunk_index *index, const uint8_t hash[VENV_HASH_SIZE]);

#endif
