/* SPDX-License-Identifier: Apache-2.0 */
/* What is at hand: the file itself and seeds. The repository's part is in fetch.c. */
#include "sync/fetch.h"
#include "sync/scan.h"

#include <stdlib.h>
#include <string.h>

#define SLICE 512u /* chunks between two reports of progress */

venv_rc venv_fill_init(venv_fill *fill, venv_error *err)
{
    const venv_manifest *manifest = fill->manifest;
    unsigned threads = venv_pool_size(fill->pool);
    venv_rc rc = VENV_OK;
    fill->done = calloc(manifest->chunk_count + 1, 1);
    fill->next = calloc(manifest->chunk_count + 1, sizeof *fill->next);
    fill->workers = calloc(threads, sizeof *fill->workers);
    if (!fill->done || !fill->next || !fill->workers)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (unsigned i = 0; i < threads && rc == VENV_OK; i++) {
        fill->workers[i].data = malloc(VENV_CHUNK_MAX);
        fill->workers[i].base = malloc(VENV_ZIP_BASE_MAX);
        rc = venv_zip_new(1, &fill->workers[i].zip, err);
        if (rc == VENV_OK && (!fill->workers[i].data || !fill->workers[i].base))
            rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    /* From the last to the first, so that the first one heads its chain. */
    for (size_t i = manifest->chunk_count; rc == VENV_OK && i-- > 0;) {
        if (manifest->chunks[i].hole) {
            fill->done[i] = 1;
            continue;
        }
        uint64_t after = venv_chunk_index_find(&fill->first, manifest->chunks[i].hash);
        fill->next[i] = after == VENV_CHUNK_INDEX_NONE ? 0 : (uint32_t)after;
        rc = venv_chunk_index_set(&fill->first, manifest->chunks[i].hash, i, err);
    }
    return rc;
}

void venv_fill_fini(venv_fill *fill)
{
    for (unsigned i = 0; fill->workers && i < venv_pool_size(fill->pool); i++) {
        free(fill->workers[i].data);
        free(fill->workers[i].base);
        venv_zip_free(fill->workers[i].zip);
    }
    free(fill->workers);
    free(fill->done);
    free(fill->next);
    free(fill->places);
    for (size_t i = 0; i < fill->seed_count; i++)
        venv_disk_close(&fill->seeds[i]);
    venv_chunk_index_fini(&fill->first);
    venv_chunk_index_fini(&fill->seeded);
}

bool venv_fill_tell(const venv_fill *fill, const char *phase)
{
    const venv_image_options *options = fill->options;
    venv_image_progress progress = { phase, fill->bytes_done, fill->manifest->size,
                                     fill->repository ? fill->repository->transferred : 0 };
    return !options->progress || options->progress(options->user, &progress);
}

void venv_fill_fail(venv_fill *fill, const venv_error *failure)
{
    if (!__atomic_test_and_set((bool *)&fill->failing, __ATOMIC_ACQ_REL)) {
        fill->failure = *failure;
        fill->failed = failure->rc;
    }
}

bool venv_chunk_is(const venv_chunk *chunk, const uint8_t *data)
{
    uint8_t hash[VENV_HASH_SIZE];
    venv_sha256(data, (size_t)chunk->length, hash);
    return memcmp(hash, chunk->hash, sizeof hash) == 0;
}

void venv_fill_write(venv_fill *fill, size_t chunk, const uint8_t *data)
{
    venv_error err = { 0 };
    for (size_t i = chunk;;) {
        const venv_chunk *to = &fill->manifest->chunks[i];
        if (!fill->done[i]) {
            if (venv_disk_write(fill->target, data, (size_t)to->length, to->offset, &err) != VENV_OK) {
                venv_fill_fail(fill, &err);
                return;
            }
            fill->done[i] = 1;
            __atomic_add_fetch(&fill->bytes_done, to->length, __ATOMIC_RELAXED);
        }
        if (fill->next[i] == 0)
            return;
        i = fill->next[i];
    }
}

struct slice {
    venv_fill *fill;
    const venv_disk *disk;
    size_t first;
    bool holes;
};

static bool is_hole(const venv_disk *disk, const venv_chunk *chunk, uint8_t *buffer)
{
    uint64_t at = chunk->offset, end = chunk->offset + chunk->length;
    while ((at = venv_disk_next_data(disk, at)) < end) {
        size_t part = end - at < VENV_CHUNK_MAX ? (size_t)(end - at) : VENV_CHUNK_MAX;
        if (part > 65536)
            part = 65536;
        if (venv_disk_read(disk, buffer, part, at, NULL) != VENV_OK || !venv_is_zero(buffer, part))
            return false;
        at += part;
    }
    return true;
}

static void check_one(void *user, unsigned number, size_t item)
{
    const struct slice *slice = user;
    venv_fill *fill = slice->fill;
    size_t i = slice->first + item;
    const venv_chunk *chunk = &fill->manifest->chunks[i];
    uint8_t *buffer = fill->workers[number].data;

    if (chunk->hole) {
        if (slice->holes)
            fill->done[i] = is_hole(slice->disk, chunk, buffer);
        return;
    }
    if (chunk->offset + chunk->length > slice->disk->size ||
        venv_disk_next_data(slice->disk, chunk->offset) >= chunk->offset + chunk->length)
        return;
    if (venv_disk_read(slice->disk, buffer, (size_t)chunk->length, chunk->offset, NULL) == VENV_OK &&
        venv_chunk_is(chunk, buffer)) {
        fill->done[i] = 1;
        __atomic_add_fetch(&fill->kept, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&fill->bytes_done, chunk->length, __ATOMIC_RELAXED);
    }
}

/* All chunks, a slice at a time. */
static venv_rc for_all(venv_fill *fill, struct slice *slice, void (*work)(void *, unsigned, size_t), const char *phase,
                       venv_error *err)
{
    size_t count = fill->manifest->chunk_count;
    for (slice->first = 0; slice->first < count; slice->first += SLICE) {
        venv_pool_start(fill->pool, work, slice, count - slice->first < SLICE ? count - slice->first : SLICE);
        venv_pool_finish(fill->pool);
        if (fill->failed != VENV_OK) {
            if (err)
                *err = fill->failure;
            return fill->failed;
        }
        if (!venv_fill_tell(fill, phase))
            return venv_error_set(err, VENV_ECANCELED, "given up on request");
    }
    return VENV_OK;
}

venv_rc venv_fill_check(venv_fill *fill, const venv_disk *disk, bool holes, const char *phase, venv_error *err)
{
    struct slice slice = { fill, disk, 0, holes };
    return for_all(fill, &slice, check_one, phase, err);
}

static venv_rc add_place(venv_fill *fill, const uint8_t *hash, uint64_t offset, venv_error *err)
{
    /* Only what the image needs. */
    if (venv_chunk_index_find(&fill->first, hash) == VENV_CHUNK_INDEX_NONE || venv_chunk_index_find(&fill->seeded, hash) != VENV_CHUNK_INDEX_NONE)
        return VENV_OK;
    if (fill->place_count == fill->place_capacity) {
        size_t capacity = fill->place_capacity ? fill->place_capacity * 2 : 1024;
        venv_seed_place *places = realloc(fill->places, capacity * sizeof *places);
        if (!places)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        fill->places = places;
        fill->place_capacity = capacity;
    }
    fill->places[fill->place_count] = (venv_seed_place){ (uint32_t)fill->seed_count, offset };
    return venv_chunk_index_add(&fill->seeded, hash, fill->place_count++, NULL, err);
}

static void scan_hash(void *user, unsigned worker, venv_scan_item *item)
{
    (void)user;
    (void)worker;
    venv_sha256(item->data, (size_t)item->length, item->hash);
}

static venv_rc scan_take(void *user, venv_scan_item *item, venv_error *err)
{
    return item->data ? add_place(user, item->hash, item->offset, err) : VENV_OK;
}

static bool scan_tell(void *user, uint64_t done)
{
    (void)done;
    return venv_fill_tell(user, "seed");
}

venv_rc venv_fill_seed(venv_fill *fill, venv_disk *disk, const venv_manifest *manifest, venv_error *err)
{
    venv_rc rc = VENV_OK;
    if (manifest) {
        for (size_t i = 0; i < manifest->chunk_count && rc == VENV_OK; i++)
            if (!manifest->chunks[i].hole)
                rc = add_place(fill, manifest->chunks[i].hash, manifest->chunks[i].offset, err);
    } else {
        venv_cutter cutter;
        rc = venv_cutter_init(&cutter, fill->manifest->mean, err);
        venv_scan scan = { disk, &cutter, fill->pool, scan_hash, scan_take, NULL, scan_tell, fill };
        if (rc == VENV_OK)
            rc = venv_scan_run(&scan, err);
    }
    fill->seeds[fill->seed_count++] = *disk;
    *disk = (venv_disk)VENV_DISK_INIT;
    return rc;
}

static void copy_one(void *user, unsigned number, size_t item)
{
    const struct slice *slice = user;
    venv_fill *fill = slice->fill;
    size_t i = slice->first + item;
    const venv_chunk *chunk = &fill->manifest->chunks[i];
    uint8_t *buffer = fill->workers[number].data;

    /* The head of a chain serves all of it. */
    if (chunk->hole || venv_chunk_index_find(&fill->first, chunk->hash) != i)
        return;
    bool wanted = false;
    for (size_t j = i; !wanted; j = fill->next[j]) {
        wanted = !fill->done[j];
        if (fill->next[j] == 0)
            break;
    }
    uint64_t at = wanted ? venv_chunk_index_find(&fill->seeded, chunk->hash) : VENV_CHUNK_INDEX_NONE;
    if (at == VENV_CHUNK_INDEX_NONE)
        return;
    const venv_seed_place *place = &fill->places[at];
    if (venv_disk_read(&fill->seeds[place->seed], buffer, (size_t)chunk->length, place->offset, NULL) != VENV_OK ||
        !venv_chunk_is(chunk, buffer))
        return; /* it changed: the repository has it */
    venv_fill_write(fill, i, buffer);
    __atomic_add_fetch(&fill->copied, 1, __ATOMIC_RELAXED);
}

venv_rc venv_fill_copy(venv_fill *fill, venv_error *err)
{
    struct slice slice = { fill, NULL, 0, false };
    return fill->place_count > 0 ? for_all(fill, &slice, copy_one, "seed", err) : VENV_OK;
}
