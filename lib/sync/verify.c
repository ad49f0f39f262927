/* SPDX-License-Identifier: Apache-2.0 */
/* Reading everything and checking it; and putting right chunks, from files that have them, in the place of broken ones. */
#include "sync/deltas.h"
#include "sync/fill.h"
#include "sync/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE 256u
#define PROBLEMS_MAX 100u

struct verifier {
    const venv_image_options *options;
    venv_repository repository;
    venv_pool *pool;
    venv_zip **zips;
    uint8_t **buffers; /* 3 chunks and a base for each worker */
    venv_list_builder problems;
    size_t problem_count;
    venv_chunk_index checked; /* places that were read already */
    venv_chunk_index wanted;  /* hashes of broken chunks → number of `repaired` */
    struct place {
        venv_id pack;
        uint64_t offset;
        uint32_t stored; /* 0: not found */
    } *found;
    size_t wanted_count, found_capacity;
    uint32_t mean; /* of the broken images' chunks */
    venv_pack_writer writer;
    uint64_t images, chunks, bytes, broken, repaired, done, total;
    /* the image that is looked at */
    venv_manifest manifest, base;
    venv_map map, base_map;
    bool has_base;
    uint8_t *bad; /* one a chunk: 0 not read, 1 right, 2 broken */
    uint8_t *bad_delta;
    size_t first;
};

static bool tell(const struct verifier *verifier)
{
    const venv_image_options *options = verifier->options;
    venv_image_progress progress = { "verify", verifier->done, verifier->total, verifier->repository.transferred };
    return !options->progress || options->progress(options->user, &progress);
}

static void problem(struct verifier *verifier, const char *format, const char *what, long long number)
{
    char text[512];
    if (verifier->problem_count++ >= PROBLEMS_MAX)
        return;
    snprintf(text, sizeof text, "%s@%lld: ", verifier->manifest.name, (long long)verifier->manifest.version);
    size_t size = strlen(text);
    if (format)
        snprintf(text + size, sizeof text - size, "%s %lld %s", what, number, format);
    else
        snprintf(text + size, sizeof text - size, "%s", what);
    venv_list_add_text(&verifier->problems, text);
}

static void check_chunk(void *user, unsigned worker, size_t item)
{
    struct verifier *v = user;
    size_t i = v->first + item;
    uint8_t *buffer = v->buffers[worker];
    if (v->manifest.chunks[i].hole || v->bad[i])
        return;
    v->bad[i] = venv_pack_read(&v->repository, &v->manifest, &v->map, i, v->zips[worker], buffer, buffer + VENV_CHUNK_MAX,
                               NULL) == VENV_OK ? 1 : 2;
}

static void check_delta(void *user, unsigned worker, size_t item)
{
    struct verifier *v = user;
    const venv_delta *delta = &v->map.deltas[v->first + item];
    const venv_chunk *chunk = &v->manifest.chunks[delta->chunk];
    uint8_t *stored = v->buffers[worker], *out = stored + VENV_CHUNK_MAX, *base = out + VENV_CHUNK_MAX, hash[VENV_HASH_SIZE];
    char path[VENV_SYNC_PATH_MAX];

    if (!venv_delta_base_read(&v->repository, &v->base, &v->base_map, v->zips[worker], delta->base_offset, delta->base_length,
                              stored, out, base))
        return; /* the base is broken, and told as that */
    venv_pack_path(v->map.packs[delta->place.pack], path);
    bool right = venv_repository_range(&v->repository, path, delta->place.offset, stored, delta->place.stored, NULL) == VENV_OK &&
                 venv_zip_unpack(v->zips[worker], stored, delta->place.stored, base, delta->base_length, out,
                                 (size_t)chunk->length, NULL) == VENV_OK;
    if (right) {
        venv_sha256(out, (size_t)chunk->length, hash);
        right = memcmp(hash, chunk->hash, sizeof hash) == 0;
    }
    v->bad_delta[v->first + item] = !right;
}

static venv_rc in_slices(struct verifier *v, size_t count, void (*work)(void *, unsigned, size_t), venv_error *err)
{
    for (v->first = 0; v->first < count; v->first += SLICE) {
        venv_pool_start(v->pool, work, v, count - v->first < SLICE ? count - v->first : SLICE);
        venv_pool_finish(v->pool);
        if (!tell(v))
            return venv_error_set(err, VENV_ECANCELED, "given up on request");
    }
    return VENV_OK;
}

/* The same place, the same content: read once, however many versions use it. */
static void place_key(const struct verifier *v, size_t chunk, uint8_t ret_key[VENV_HASH_SIZE])
{
    const venv_place *place = &v->map.places[chunk];
    uint8_t text[16 + 8 + 4 + VENV_HASH_SIZE];
    memcpy(text, v->map.packs[place->pack].bytes, 16);
    memcpy(text + 16, &place->offset, 8);
    memcpy(text + 24, &place->stored, 4);
    memcpy(text + 28, v->manifest.chunks[chunk].hash, VENV_HASH_SIZE);
    venv_sha256(text, sizeof text, ret_key);
}

static venv_rc want(struct verifier *v, size_t chunk, venv_error *err)
{
    v->mean = v->manifest.mean;
    if (venv_chunk_index_find(&v->wanted, v->manifest.chunks[chunk].hash) != VENV_CHUNK_INDEX_NONE)
        return VENV_OK;
    if (v->wanted_count == v->found_capacity) {
        size_t capacity = v->found_capacity ? v->found_capacity * 2 : 256;
        struct place *found = realloc(v->found, capacity * sizeof *found);
        if (!found)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        v->found = found;
        v->found_capacity = capacity;
    }
    v->found[v->wanted_count] = (struct place){ 0 };
    return venv_chunk_index_add(&v->wanted, v->manifest.chunks[chunk].hash, v->wanted_count++, NULL, err);
}

static void load_base(struct verifier *v)
{
    v->has_base = v->map.base > 0 && v->map.delta_count > 0 &&
                  venv_repository_manifest(&v->repository, v->manifest.name, v->map.base, true, &v->base, NULL, NULL, NULL,
                                           NULL) == VENV_OK;
    if (v->has_base && venv_repository_map(&v->repository, &v->base, &v->base_map, NULL) != VENV_OK) {
        venv_manifest_fini(&v->base);
        v->has_base = false;
    }
}

static venv_rc check_chunks(struct verifier *v, venv_error *err)
{
    venv_rc rc = VENV_OK;
    size_t count = v->manifest.chunk_count;
    v->bad = calloc(count + 1, 1);
    v->bad_delta = calloc(v->map.delta_count + 1, 1);
    if (!v->bad || !v->bad_delta)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        uint8_t key[VENV_HASH_SIZE];
        if (v->manifest.chunks[i].hole)
            continue;
        place_key(v, i, key);
        uint64_t before = venv_chunk_index_find(&v->checked, key);
        if (before != VENV_CHUNK_INDEX_NONE)
            v->bad[i] = before ? 2 : 1;
    }
    rc = in_slices(v, count, check_chunk, err);
    for (size_t i = 0; i < count && rc == VENV_OK; i++) {
        uint8_t key[VENV_HASH_SIZE];
        uint64_t known;
        if (v->manifest.chunks[i].hole)
            continue;
        place_key(v, i, key);
        known = venv_chunk_index_find(&v->checked, key);
        rc = venv_chunk_index_add(&v->checked, key, v->bad[i] == 2, NULL, err);
        if (known == VENV_CHUNK_INDEX_NONE) {
            v->chunks++;
            v->bytes += v->map.places[i].stored;
        }
        if (v->bad[i] == 2 && rc == VENV_OK) {
            if (known == VENV_CHUNK_INDEX_NONE) {
                v->broken++;
                problem(v, "is broken or missing in its pack", "chunk", (long long)i);
            }
            rc = want(v, i, err);
        }
    }
    if (rc == VENV_OK && v->has_base)
        rc = in_slices(v, v->map.delta_count, check_delta, err);
    for (size_t i = 0; i < v->map.delta_count && rc == VENV_OK && v->has_base; i++) {
        v->bytes += v->map.deltas[i].place.stored;
        if (v->bad_delta[i]) {
            v->broken++;
            problem(v, "is broken", "the difference for chunk", (long long)v->map.deltas[i].chunk);
        }
    }
    return rc;
}

static void close_image(struct verifier *v)
{
    venv_manifest_fini(&v->manifest);
    venv_map_fini_all(&v->map);
    if (v->has_base)
        venv_manifest_fini(&v->base);
    venv_map_fini_all(&v->base_map);
    free(v->bad);
    free(v->bad_delta);
    v->bad = v->bad_delta = NULL;
    v->has_base = false;
}

/* What is unreadable is a problem that is told, not the end. */
static venv_rc check_image(struct verifier *v, const char *name, int64_t version, venv_error *err)
{
    venv_error why = { 0 };
    venv_rc rc = venv_repository_manifest(&v->repository, name, version, true, &v->manifest, NULL, NULL, NULL, &why);
    if (rc == VENV_OK)
        rc = venv_repository_map(&v->repository, &v->manifest, &v->map, &why);
    v->images++;
    if (rc == VENV_ENOMEM)
        return venv_error_set(err, rc, "out of memory");
    if (rc != VENV_OK) {
        snprintf(v->manifest.name, sizeof v->manifest.name, "%s", name);
        v->manifest.version = version;
        v->broken++;
        problem(v, NULL, why.text, 0);
    } else {
        load_base(v);
        rc = check_chunks(v, err);
        close_image(v);
        return rc;
    }
    close_image(v);
    return VENV_OK;
}

static venv_rc for_images(struct verifier *v, const char *only, int64_t only_version,
                          venv_rc (*work)(struct verifier *, const char *, int64_t, venv_error *), venv_error *err)
{
    venv_value names = venv_value_null();
    venv_rc rc = venv_repository_names(&v->repository, &names, err);
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&names); i++) {
        char name[VENV_NAME_MAX + 1];
        int64_t *versions = NULL;
        size_t count = 0;
        venv_str text = venv_value_peek_text(venv_value_at(&names, i));
        snprintf(name, sizeof name, "%.*s", (int)text.size, text.data);
        if (only && strcmp(only, name) != 0)
            continue;
        rc = venv_repository_versions(&v->repository, name, &versions, &count, err);
        for (size_t j = 0; rc == VENV_OK && j < count; j++)
            if (!only || versions[j] == only_version)
                rc = work(v, name, versions[j], err);
        free(versions);
    }
    venv_value_unref(&names);
    return rc;
}

static void source_work(void *user, unsigned worker, venv_scan_item *item)
{
    struct verifier *v = user;
    venv_sha256(item->data, (size_t)item->length, item->hash);
    if (venv_chunk_index_find(&v->wanted, item->hash) != VENV_CHUNK_INDEX_NONE)
        item->rc = venv_zip_pack(v->zips[worker], item->data, (size_t)item->length, NULL, 0, item->out, &item->packed, NULL);
}

static venv_rc source_take(void *user, venv_scan_item *item, venv_error *err)
{
    struct verifier *v = user;
    uint64_t number = item->data ? venv_chunk_index_find(&v->wanted, item->hash) : VENV_CHUNK_INDEX_NONE;
    if (number == VENV_CHUNK_INDEX_NONE || v->found[number].stored != 0)
        return VENV_OK;
    struct place *place = &v->found[number];
    place->stored = (uint32_t)item->packed;
    return venv_pack_write(&v->writer, item->out, item->packed, &place->pack, &place->offset, err);
}

static bool source_tell(void *user, uint64_t done)
{
    (void)done;
    return tell(user);
}

static venv_rc read_source(struct verifier *v, const char *path, venv_error *err)
{
    size_t size = strlen(path);
    bool qcow2 = size > 6 && strcmp(path + size - 6, ".qcow2") == 0;
    venv_disk disk = VENV_DISK_INIT;
    venv_cutter cutter;
    venv_rc rc = venv_disk_open(path, qcow2 ? VENV_IMAGE_QCOW2 : VENV_IMAGE_RAW, &disk, err);
    if (rc == VENV_OK)
        rc = venv_cutter_init(&cutter, v->mean, err);
    venv_scan scan = { &disk, &cutter, v->pool, source_work, source_take, NULL, source_tell, v };
    if (rc == VENV_OK)
        rc = venv_scan_run(&scan, err);
    venv_disk_close(&disk);
    return rc;
}

/* Point the map to the right chunks. The pack is on disk before any map names it. */
static venv_rc mend_image(struct verifier *v, const char *name, int64_t version, venv_error *err)
{
    bool changed = false;
    if (venv_repository_manifest(&v->repository, name, version, true, &v->manifest, NULL, NULL, NULL, NULL) != VENV_OK)
        return VENV_OK;
    venv_rc rc = venv_repository_map(&v->repository, &v->manifest, &v->map, NULL);
    if (rc != VENV_OK) {
        close_image(v);
        return VENV_OK;
    }
    for (size_t i = 0; i < v->manifest.chunk_count && rc == VENV_OK; i++) {
        const venv_chunk *chunk = &v->manifest.chunks[i];
        uint64_t number = chunk->hole ? VENV_CHUNK_INDEX_NONE : venv_chunk_index_find(&v->wanted, chunk->hash);
        if (number == VENV_CHUNK_INDEX_NONE || v->found[number].stored == 0)
            continue;
        const struct place *place = &v->found[number];
        v->map.places[i].offset = place->offset;
        v->map.places[i].stored = place->stored;
        rc = venv_map_pack(&v->map, place->pack, &v->map.places[i].pack, err);
        changed = true;
    }
    if (rc == VENV_OK && changed)
        rc = venv_repository_put_map(&v->repository, &v->manifest, &v->map, false, err);
    close_image(v);
    return rc;
}

static venv_rc mend(struct verifier *v, const char *const *sources, venv_error *err)
{
    venv_rc rc = VENV_OK;
    venv_pack_writer_init(&v->writer, &v->repository);
    for (size_t i = 0; sources[i] && rc == VENV_OK && v->wanted_count > 0; i++)
        rc = read_source(v, sources[i], err);
    if (rc == VENV_OK)
        rc = venv_pack_finish(&v->writer, err);
    if (rc == VENV_OK && v->writer.total > 0)
        rc = for_images(v, NULL, 0, mend_image, err);
    venv_pack_writer_fini(&v->writer);
    for (size_t i = 0; i < v->wanted_count && rc == VENV_OK; i++)
        v->repaired += v->found[i].stored != 0;
    return rc;
}

static venv_rc open_verifier(struct verifier *v, venv_error *err)
{
    venv_rc rc = venv_repository_open(v->options, false, VENV_REPOSITORY_SHARED, &v->repository, err);
    if (rc == VENV_OK) /* one connection serves one thread */
        rc = venv_pool_new(v->repository.storage ? 1 : v->options->threads, &v->pool, err);
    if (rc != VENV_OK)
        return rc;
    unsigned threads = venv_pool_size(v->pool);
    v->zips = calloc(threads, sizeof(venv_zip *));
    v->buffers = calloc(threads, sizeof(uint8_t *));
    if (!v->zips || !v->buffers)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (unsigned i = 0; i < threads && rc == VENV_OK; i++) {
        v->buffers[i] = malloc(2 * VENV_CHUNK_MAX + VENV_ZIP_BASE_MAX);
        rc = v->buffers[i] ? venv_zip_new(v->options->level, &v->zips[i], err)
                           : venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    return rc;
}

static void close_verifier(struct verifier *v)
{
    for (unsigned i = 0; v->pool && i < venv_pool_size(v->pool); i++) {
        if (v->zips)
            venv_zip_free(v->zips[i]);
        if (v->buffers)
            free(v->buffers[i]);
    }
    free(v->zips);
    free(v->buffers);
    free(v->found);
    venv_pool_free(v->pool);
    venv_chunk_index_fini(&v->checked);
    venv_chunk_index_fini(&v->wanted);
    venv_list_fini(&v->problems);
    venv_repository_close(&v->repository);
}

static venv_rc report(struct verifier *v, venv_value *ret_report, venv_error *err)
{
    venv_map_builder map;
    venv_value problems = venv_value_null();
    venv_rc rc = venv_list_take(&v->problems, &problems, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&map);
    venv_map_put(&map, "images", venv_value_int((int64_t)v->images));
    venv_map_put(&map, "chunks", venv_value_int((int64_t)v->chunks));
    venv_map_put(&map, "bytes", venv_value_int((int64_t)v->bytes));
    venv_map_put(&map, "broken", venv_value_int((int64_t)v->broken));
    venv_map_put(&map, "repaired", venv_value_int((int64_t)v->repaired));
    venv_map_put(&map, "problems", problems);
    return venv_map_take(&map, ret_report, err);
}

venv_rc venv_image_verify(const venv_image_options *options, const char *reference, const char *const *sources,
                          venv_value *ret_report, venv_error *err)
{
    struct verifier v = { .options = options, .repository = { .directory = -1, .lock = -1 } };
    char name[VENV_NAME_MAX + 1];
    int64_t version = 0;
    bool latest;
    venv_list_init(&v.problems);
    venv_manifest_init(&v.manifest);
    venv_rc rc = open_verifier(&v, err);
    if (rc == VENV_OK && reference)
        rc = venv_repository_resolve(&v.repository, reference, name, &version, &latest, err);
    if (rc == VENV_OK)
        rc = for_images(&v, reference ? name : NULL, version, check_image, err);
    if (rc == VENV_OK && reference && v.images == 0)
        rc = venv_error_set(err, VENV_ENOENT, "there is no image %s@%lld", name, (long long)version);
    if (rc == VENV_OK && sources)
        rc = mend(&v, sources, err);
    if (rc == VENV_OK)
        rc = report(&v, ret_report, err);
    close_verifier(&v);
    return rc;
}

static venv_rc check_file(struct verifier *v, const venv_disk *disk, venv_error *err)
{
    venv_fill fill = { .options = v->options, .repository = &v->repository, .pool = v->pool, .manifest = &v->manifest };
    venv_rc rc = venv_fill_init(&fill, err);
    if (rc == VENV_OK)
        rc = venv_fill_check(&fill, disk, true, "verify", err);
    for (size_t i = 0; i < v->manifest.chunk_count && rc == VENV_OK; i++) {
        v->chunks++;
        v->bytes += v->manifest.chunks[i].length;
        if (!fill.done[i]) {
            v->broken++;
            problem(v, "differs", "the file's chunk at byte", (long long)v->manifest.chunks[i].offset);
        }
    }
    venv_fill_fini(&fill);
    if (rc == VENV_OK && disk->size != v->manifest.size) {
        v->broken++;
        problem(v, "bytes, not of this image", "the file has", (long long)disk->size);
    }
    return rc;
}

venv_rc venv_image_verify_file(const venv_image_options *options, const char *reference, const char *path,
                               venv_image_format format, venv_value *ret_report, venv_error *err)
{
    struct verifier v = { .options = options, .repository = { .directory = -1, .lock = -1 } };
    char name[VENV_NAME_MAX + 1];
    int64_t version = 0;
    bool latest;
    venv_disk disk = VENV_DISK_INIT;
    venv_list_init(&v.problems);
    venv_manifest_init(&v.manifest);
    venv_rc rc = open_verifier(&v, err);
    if (rc == VENV_OK)
        rc = venv_repository_resolve(&v.repository, reference, name, &version, &latest, err);
    if (rc == VENV_OK)
        rc = venv_repository_manifest(&v.repository, name, version, true, &v.manifest, NULL, NULL, NULL, err);
    if (rc == VENV_OK)
        rc = venv_disk_open(path, format, &disk, err);
    if (rc == VENV_OK) {
        v.images = 1;
        rc = check_file(&v, &disk, err);
    }
    if (rc == VENV_OK)
        rc = report(&v, ret_report, err);
    venv_disk_close(&disk);
    venv_manifest_fini(&v.manifest);
    close_verifier(&v);
    return rc;
}
