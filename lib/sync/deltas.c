/* SPDX-License-Identifier: Apache-2.0 */
/* Differences in batches: all threads make them, one writes them. */
#include "sync/deltas.h"

#include "image/cut.h"
#include "image/plan.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64u
#define BASE_MAX (1u << 20)

struct worker {
    venv_zip *zip;
    uint8_t *data, *base, *stored, *chunk;
};

struct result {
    size_t chunk;
    uint8_t *out;
    size_t size; /* 0: none */
};

struct state {
    const venv_deltas *deltas;
    const venv_map *map;
    const venv_base *bases;
    struct worker *workers;
    struct result results[BATCH];
    size_t count;
};

bool venv_delta_base_read(venv_repository *repository, const venv_manifest *older, const venv_map *older_map, venv_zip *zip,
                          uint64_t offset, size_t length, uint8_t *stored, uint8_t *out, uint8_t *ret_base)
{
    uint64_t at = offset, end = offset + length;
    for (size_t i = venv_manifest_find(older, at); at < end && i < older->chunk_count; i++) {
        const venv_chunk *chunk = &older->chunks[i];
        uint64_t inside = at - chunk->offset, left = chunk->length - inside;
        size_t part = end - at < left ? (size_t)(end - at) : (size_t)left;
        uint8_t *to = ret_base + (at - offset);
        if (chunk->hole)
            memset(to, 0, part);
        else if (venv_pack_read(repository, older, older_map, i, zip, stored, out, NULL) == VENV_OK)
            memcpy(to, out + inside, part);
        else
            return false;
        at += part;
    }
    return at == end;
}

static void work(void *user, unsigned number, size_t index)
{
    struct state *state = user;
    struct worker *worker = &state->workers[number];
    struct result *result = &state->results[index];
    const venv_chunk *chunk = &state->deltas->newer->chunks[result->chunk];
    const venv_base *base = &state->bases[result->chunk];
    uint8_t hash[VENV_HASH_SIZE];
    size_t length = (size_t)chunk->length, size = 0, stored = state->map->places[result->chunk].stored;

    result->size = 0;
    if (venv_disk_read(state->deltas->disk, worker->data, length, chunk->offset, NULL) != VENV_OK)
        return;
    venv_sha256(worker->data, length, hash);
    if (memcmp(hash, chunk->hash, sizeof hash) != 0 ||
        !venv_delta_base_read(state->deltas->repository, state->deltas->older, state->deltas->older_map, worker->zip,
                              base->offset, (size_t)base->length, worker->stored, worker->chunk, worker->base))
        return;
    if (venv_zip_pack(worker->zip, worker->data, length, worker->base, (size_t)base->length, result->out, &size, NULL) == VENV_OK &&
        size + 32 < stored - stored / 4)
        result->size = size;
}

static venv_rc add(venv_map *map, size_t *capacity, const venv_delta *delta, venv_error *err)
{
    if (map->delta_count == *capacity) {
        size_t larger = *capacity ? *capacity * 2 : 256;
        venv_delta *deltas = realloc(map->deltas, larger * sizeof *deltas);
        if (!deltas)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        map->deltas = deltas;
        *capacity = larger;
    }
    map->deltas[map->delta_count++] = *delta;
    return VENV_OK;
}

static venv_rc write_batch(struct state *state, venv_pack_writer *writer, venv_map *map, size_t *capacity, venv_error *err)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct result *result = &state->results[i];
        const venv_base *base = &state->bases[result->chunk];
        venv_delta delta = { .chunk = (uint32_t)result->chunk, .base_offset = base->offset,
                             .base_length = (uint32_t)base->length };
        venv_id pack;
        if (result->size == 0)
            continue;
        venv_rc rc = venv_pack_write(writer, result->out, result->size, &pack, &delta.place.offset, err);
        if (rc == VENV_OK)
            rc = venv_map_pack(map, pack, &delta.place.pack, err);
        delta.place.stored = (uint32_t)result->size;
        if (rc == VENV_OK)
            rc = add(map, capacity, &delta, err);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

static venv_rc run(struct state *state, venv_pack_writer *writer, venv_map *map, venv_error *err)
{
    const venv_deltas *deltas = state->deltas;
    size_t capacity = 0, chunk_count = deltas->newer->chunk_count;
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < chunk_count && rc == VENV_OK;) {
        for (state->count = 0; i < chunk_count && state->count < BATCH; i++)
            if (state->bases[i].length > 0)
                state->results[state->count++].chunk = i;
        venv_pool_start(deltas->pool, work, state, state->count);
        venv_pool_finish(deltas->pool);
        rc = write_batch(state, writer, map, &capacity, err);
        if (rc == VENV_OK && deltas->progress && i > 0 &&
            !deltas->progress(deltas->user, deltas->newer->chunks[i - 1].offset, deltas->newer->size))
            rc = venv_error_set(err, VENV_ECANCELED, "given up on request");
    }
    if (rc == VENV_OK && map->delta_count > 0)
        map->base = deltas->older->version;
    return rc;
}

venv_rc venv_deltas_make(const venv_deltas *deltas, venv_pack_writer *writer, venv_map *map, venv_error *err)
{
    unsigned threads = venv_pool_size(deltas->pool);
    struct state state = { .deltas = deltas, .map = map };
    venv_base *bases = calloc(deltas->newer->chunk_count + 1, sizeof *bases);
    size_t out_size = venv_zip_bound(VENV_CUT_MEAN_MAX * 4);
    uint8_t *outs = malloc(BATCH * out_size); /* touched only as far as chunks are long */
    state.workers = calloc(threads, sizeof *state.workers);
    venv_rc rc = bases && outs && state.workers ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (unsigned i = 0; i < threads && rc == VENV_OK; i++) {
        struct worker *worker = &state.workers[i];
        worker->data = malloc(VENV_CHUNK_MAX * 3 + BASE_MAX);
        if (!worker->data) {
            rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
            break;
        }
        worker->stored = worker->data + VENV_CHUNK_MAX;
        worker->chunk = worker->stored + VENV_CHUNK_MAX;
        worker->base = worker->chunk + VENV_CHUNK_MAX;
        rc = venv_zip_new(deltas->level, &worker->zip, err);
    }
    for (unsigned i = 0; i < BATCH && rc == VENV_OK; i++)
        state.results[i].out = outs + i * out_size;
    if (rc == VENV_OK)
        rc = venv_plan_bases(deltas->older, deltas->newer, BASE_MAX, bases, err);
    state.bases = bases;
    if (rc == VENV_OK)
        rc = run(&state, writer, map, err);
    for (unsigned i = 0; state.workers && i < threads; i++) {
        free(state.workers[i].data);
        venv_zip_free(state.workers[i].zip);
    }
    free(state.workers);
    free(bases);
    free(outs);
    return rc;
}
