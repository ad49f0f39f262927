/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing two manifests. */
#include "image/plan.h"

#include <string.h>

static venv_rc index_of(const venv_manifest *manifest, venv_chunk_index *ret_index, venv_error *err)
{
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < manifest->chunk_count && rc == VENV_OK; i++)
        if (!manifest->chunks[i].hole)
            rc = venv_chunk_index_add(ret_index, manifest->chunks[i].hash, i, NULL, err);
    return rc;
}

/* Where chunk `i` of `newer` is in `older`; the chunk after the last match first, since chunks repeat. */
static uint64_t match(const venv_manifest *older, const venv_chunk_index *index, const venv_chunk *chunk, uint64_t expected)
{
    if (chunk->hole)
        return VENV_CHUNK_INDEX_NONE;
    if (expected < older->chunk_count && !older->chunks[expected].hole &&
        memcmp(older->chunks[expected].hash, chunk->hash, VENV_HASH_SIZE) == 0)
        return expected;
    return venv_chunk_index_find(index, chunk->hash);
}

/* Chunks from `first` up to `end` are new; they stand between `left` and `right` in the older version. */
static void fill(const venv_manifest *newer, size_t first, size_t end, uint64_t left, uint64_t right, uint64_t older_size,
                 uint64_t length_max, venv_base *ret_bases)
{
    uint64_t start = newer->chunks[first].offset;
    uint64_t stop = newer->chunks[end - 1].offset + newer->chunks[end - 1].length;
    for (size_t i = first; i < end; i++) {
        const venv_chunk *chunk = &newer->chunks[i];
        if (chunk->hole)
            continue;
        uint64_t from_left = left + (chunk->offset - start);
        uint64_t back = stop - chunk->offset;
        uint64_t from_right = right > back ? right - back : 0;
        uint64_t low = from_left < from_right ? from_left : from_right;
        uint64_t high = (from_left > from_right ? from_left : from_right) + chunk->length;
        if (high > older_size)
            high = older_size;
        if (high - low > length_max || low >= high) { /* too far apart: the left neighbour decides */
            low = from_left < older_size ? from_left : older_size;
            high = older_size - low < chunk->length ? older_size : low + chunk->length;
        }
        if (high - low <= length_max)
            ret_bases[i] = (venv_base){ low, high - low };
    }
}

venv_rc venv_plan_bases(const venv_manifest *older, const venv_manifest *newer, uint64_t length_max, venv_base *ret_bases,
                        venv_error *err)
{
    venv_chunk_index index = { 0 };
    size_t first = 0; /* of the run of new chunks that we are in */
    uint64_t left = 0, expected = 0;
    venv_rc rc = index_of(older, &index, err);

    memset(ret_bases, 0, newer->chunk_count * sizeof *ret_bases);
    for (size_t i = 0; i < newer->chunk_count && rc == VENV_OK; i++) {
        uint64_t at = match(older, &index, &newer->chunks[i], expected);
        if (at == VENV_CHUNK_INDEX_NONE)
            continue;
        if (i > first)
            fill(newer, first, i, left, older->chunks[at].offset, older->size, length_max, ret_bases);
        left = older->chunks[at].offset + older->chunks[at].length;
        expected = at + 1;
        first = i + 1;
    }
    if (rc == VENV_OK && first < newer->chunk_count)
        fill(newer, first, newer->chunk_count, left, older->size, older->size, length_max, ret_bases);
    venv_chunk_index_fini(&index);
    return rc;
}

venv_rc venv_plan_difference(const venv_manifest *older, const venv_manifest *newer, uint64_t *ret_bytes,
                             uint64_t *ret_chunks, venv_error *err)
{
    venv_chunk_index index = { 0 };
    uint64_t bytes = 0, chunks = 0;
    venv_rc rc = index_of(older, &index, err);

    for (size_t i = 0; i < newer->chunk_count && rc == VENV_OK; i++) {
        const venv_chunk *chunk = &newer->chunks[i];
        if (chunk->hole || venv_chunk_index_find(&index, chunk->hash) != VENV_CHUNK_INDEX_NONE)
            continue;
        rc = venv_chunk_index_add(&index, chunk->hash, i, NULL, err);
        bytes += chunk->length;
        chunks++;
    }
    venv_chunk_index_fini(&index);
    if (rc == VENV_OK) {
        *ret_bytes = bytes;
        *ret_chunks = chunks;
    }
    return rc;
}
