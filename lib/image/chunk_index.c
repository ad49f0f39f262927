/* SPDX-License-Identifier: Apache-2.0 */
/* The table of hashes. It does not know what its numbers mean. */
#include "image/chunk_index.h"

#include <stdlib.h>
#include <string.h>

struct venv_chunk_index_slot {
    uint8_t hash[VENV_HASH_SIZE];
    uint64_t number; /* plus one; 0: free */
};

void venv_chunk_index_fini(venv_chunk_index *index)
{
    free(index->slots);
    *index = (venv_chunk_index){ 0 };
}

static struct venv_chunk_index_slot *slot_of(const venv_chunk_index *index, const uint8_t *hash)
{
    uint64_t word;
    memcpy(&word, hash, sizeof word);
    for (size_t i = (size_t)word;; i++) {
        struct venv_chunk_index_slot *slot = &index->slots[i & (index->capacity - 1)];
        if (slot->number == 0 || memcmp(slot->hash, hash, VENV_HASH_SIZE) == 0)
            return slot;
    }
}

static venv_rc grow(venv_chunk_index *index, venv_error *err)
{
    venv_chunk_index larger = { NULL, index->count, index->capacity ? index->capacity * 2 : 1024 };
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < index->capacity; i++)
        if (index->slots[i].number != 0)
            *slot_of(&larger, index->slots[i].hash) = index->slots[i];
    free(index->slots);
    *index = larger;
    return VENV_OK;
}

static venv_rc put(venv_chunk_index *index, const uint8_t *hash, uint64_t number, bool replace, uint64_t *ret_number,
                   venv_error *err)
{
    if (index->count * 3 >= index->capacity * 2) {
        venv_rc rc = grow(index, err);
        if (rc != VENV_OK)
            return rc;
    }
    struct venv_chunk_index_slot *slot = slot_of(index, hash);
    if (slot->number == 0) {
        memcpy(slot->hash, hash, VENV_HASH_SIZE);
        slot->number = number + 1;
        index->count++;
    } else if (replace) {
        slot->number = number + 1;
    }
    if (ret_number)
        *ret_number = slot->number - 1;
    return VENV_OK;
}

venv_rc venv_chunk_index_add(venv_chunk_index *index, const uint8_t hash[VENV_HASH_SIZE], uint64_t number, uint64_t *ret_number,
                       venv_error *err)
{
    return put(index, hash, number, false, ret_number, err);
}

venv_rc venv_chunk_index_set(venv_chunk_index *index, const uint8_t hash[VENV_HASH_SIZE], uint64_t number, venv_error *err)
{
    return put(index, hash, number, true, NULL, err);
}

uint64_t venv_chunk_index_find(const venv_chunk_index *index, const uint8_t hash[VENV_HASH_SIZE])
{
    if (index->capacity == 0)
        return VENV_CHUNK_INDEX_NONE;
    struct venv_chunk_index_slot *slot = slot_of(index, hash);
    return slot->number ? slot->number - 1 : VENV_CHUNK_INDEX_NONE;
}
