/* SPDX-License-Identifier: Apache-2.0 */
/* Reading chunks from a repository: few long reads, in the order of the packs, while the threads unpack what came before. */
#include "sync/fetch.h"

#include <stdlib.h>
#include <string.h>

#define RANGE_MAX ((size_t)8 << 20) /* of one read; more than the longest chunk */
#define GAP_MAX (16u << 10)         /* bytes that are read along rather than ask twice */
#define RANGE_JOBS_MAX 4096u

struct job {
    uint32_t chunk;
    const venv_delta *delta; /* NULL: the chunk itself */
    venv_place place;
    bool failed;
};

struct range {
    uint8_t *data;
    struct job *jobs; /* into the list of all */
    size_t count;
    uint64_t offset;
    size_t size;
};

struct state {
    venv_fill *fill;
    struct job *jobs;
    size_t count;
    struct range *busy;
};

static int by_place(const void *a, const void *b)
{
    const struct job *x = a, *y = b;
    if (x->place.pack != y->place.pack)
        return x->place.pack < y->place.pack ? -1 : 1;
    return (x->place.offset > y->place.offset) - (x->place.offset < y->place.offset);
}

static void unpack(void *user, unsigned number, size_t item)
{
    struct state *state = user;
    venv_fill *fill = state->fill;
    struct range *range = state->busy;
    struct job *job = &range->jobs[item];
    venv_fill_worker *worker = &fill->workers[number];
    const venv_chunk *chunk = &fill->manifest->chunks[job->chunk];
    const uint8_t *stored = range->data + (job->place.offset - range->offset);
    venv_error err = { 0 };

    if (job->delta && venv_disk_read(fill->base, worker->base, job->delta->base_length, job->delta->base_offset, NULL) != VENV_OK) {
        job->failed = true;
        return;
    }
    venv_rc rc = venv_zip_unpack(worker->zip, stored, job->place.stored, job->delta ? worker->base : NULL,
                                 job->delta ? job->delta->base_length : 0, worker->data, (size_t)chunk->length, &err);
    if (rc == VENV_ENOMEM) {
        venv_fill_fail(fill, &err);
        return;
    }
    job->failed = rc != VENV_OK || !venv_chunk_is(chunk, worker->data);
    if (job->failed)
        return;
    venv_fill_write(fill, job->chunk, worker->data);
    __atomic_add_fetch(job->delta ? &fill->deltas : &fill->fetched, 1, __ATOMIC_RELAXED);
}

/* The jobs from `first` that one read serves. */
static void plan_range(struct state *state, size_t first, struct range *range)
{
    const struct job *job = &state->jobs[first];
    uint64_t end = job->place.offset + job->place.stored;
    range->jobs = &state->jobs[first];
    range->offset = job->place.offset;
    range->count = 1;
    while (first + range->count < state->count && range->count < RANGE_JOBS_MAX) {
        const venv_place *place = &state->jobs[first + range->count].place;
        uint64_t stop = place->offset + place->stored;
        if (place->pack != job->place.pack || place->offset > end + GAP_MAX || stop - range->offset > RANGE_MAX)
            break;
        if (stop > end)
            end = stop;
        range->count++;
    }
    range->size = (size_t)(end - range->offset);
}

static venv_rc run(struct state *state, struct range *ranges, venv_error *err)
{
    venv_fill *fill = state->fill;
    char path[VENV_SYNC_PATH_MAX];
    unsigned turn = 0;
    venv_rc rc = VENV_OK;
    for (size_t at = 0; at < state->count && rc == VENV_OK; turn ^= 1) {
        struct range *range = &ranges[turn];
        plan_range(state, at, range);
        venv_pack_path(fill->map->packs[range->jobs->place.pack], path);
        rc = venv_repository_range(fill->repository, path, range->offset, range->data, range->size, err);
        venv_pool_finish(fill->pool);
        if (rc == VENV_OK && fill->failed != VENV_OK) {
            if (err)
                *err = fill->failure;
            rc = fill->failed;
        }
        if (rc == VENV_OK && !venv_fill_tell(fill, "fetch"))
            rc = venv_error_set(err, VENV_ECANCELED, "given up on request");
        if (rc != VENV_OK)
            break;
        state->busy = range;
        at += range->count;
        venv_pool_start(fill->pool, unpack, state, range->count);
    }
    venv_pool_finish(fill->pool);
    if (rc == VENV_OK && fill->failed != VENV_OK) {
        if (err)
            *err = fill->failure;
        rc = fill->failed;
    }
    return rc;
}

/* One job for each chunk that is wanted; as a difference where there is one and `deltas` is set. */
static void list_jobs(struct state *state, bool deltas)
{
    const venv_fill *fill = state->fill;
    size_t delta = 0;
    state->count = 0;
    for (size_t i = 0; i < fill->manifest->chunk_count; i++) {
        while (delta < fill->map->delta_count && fill->map->deltas[delta].chunk < i)
            delta++;
        const venv_chunk *chunk = &fill->manifest->chunks[i];
        if (fill->done[i] || chunk->hole)
            continue;
        const venv_delta *of = deltas && delta < fill->map->delta_count && fill->map->deltas[delta].chunk == i
                                   ? &fill->map->deltas[delta] : NULL;
        state->jobs[state->count++] = (struct job){ (uint32_t)i, of, of ? of->place : fill->map->places[i], false };
    }
    /* Of chunks that are the same one job is enough: the last of a chain in order of place is as good as the first. */
    qsort(state->jobs, state->count, sizeof *state->jobs, by_place);
}

static void drop_same(struct state *state)
{
    size_t kept = 0;
    for (size_t i = 0; i < state->count; i++) {
        const venv_fill *fill = state->fill;
        size_t head = (size_t)venv_chunk_index_find(&fill->first, fill->manifest->chunks[state->jobs[i].chunk].hash);
        bool first = true;
        for (size_t j = head; first && j < state->jobs[i].chunk; j = fill->next[j])
            first = fill->done[j];
        if (first)
            state->jobs[kept++] = state->jobs[i];
    }
    state->count = kept;
}

venv_rc venv_fill_fetch(venv_fill *fill, venv_error *err)
{
    struct state state = { .fill = fill };
    struct range ranges[2] = { { .data = malloc(RANGE_MAX) }, { .data = malloc(RANGE_MAX) } };
    venv_rc rc = VENV_OK;
    state.jobs = malloc((fill->manifest->chunk_count + 1) * sizeof *state.jobs);
    if (!state.jobs || !ranges[0].data || !ranges[1].data)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (int round = fill->base ? 0 : 1; round < 2 && rc == VENV_OK; round++) {
        list_jobs(&state, round == 0);
        drop_same(&state);
        rc = run(&state, ranges, err);
    }
    for (size_t i = 0; i < fill->manifest->chunk_count && rc == VENV_OK; i++)
        fill->broken += !fill->done[i];
    if (rc == VENV_OK && fill->broken > 0)
        rc = venv_error_set(err, VENV_EPROTO, "%llu chunks in '%s' are broken; what is right is kept for the next run. Look at "
                            "it with 'venv-sync verify', mend it with 'venv-sync verify --repair FILE'",
                            (unsigned long long)fill->broken, fill->repository->place);
    free(state.jobs);
    free(ranges[0].data);
    free(ranges[1].data);
    return rc;
}
