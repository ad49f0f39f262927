/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing an image: read, cut, store what is new, sign. Nothing is visible before the manifest is there, which comes last. */
#include "image/chunk_index.h"
#include "sync/deltas.h"
#include "sync/scan.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define KNOWN_MAX ((size_t)64 << 20)

/* Where a chunk that the repository has is stored. */
struct known {
    venv_id pack;
    uint64_t offset;
    uint32_t stored;
};

struct maker {
    const venv_image_options *options;
    venv_repository repository;
    venv_pool *pool;
    venv_disk disk;
    venv_cutter cutter;
    venv_signer *signer;
    venv_manifest manifest, older;
    venv_map map, older_map;
    bool has_older, unchanged;
    venv_chunk_index index;
    struct known *known;
    size_t known_count, known_capacity;
    venv_zip **zips;
    venv_pack_writer writer;
    uint64_t new_chunks, new_bytes, data;
    const char *phase;
};

static bool tell(struct maker *maker, const char *phase, uint64_t done)
{
    const venv_image_options *options = maker->options;
    venv_image_progress progress = { phase, done, maker->disk.size, maker->writer.total };
    return !options->progress || options->progress(options->user, &progress);
}

static bool scan_progress(void *user, uint64_t done)
{
    return tell(user, "read", done);
}

static bool delta_progress(void *user, uint64_t done, uint64_t total)
{
    (void)total;
    return tell(user, "delta", done);
}

static venv_rc add_known(struct maker *maker, const uint8_t *hash, const struct known *known, uint64_t *ret_number,
                         venv_error *err)
{
    if (maker->known_count == maker->known_capacity) {
        size_t capacity = maker->known_capacity ? maker->known_capacity * 2 : 1024;
        struct known *larger = capacity > KNOWN_MAX ? NULL : realloc(maker->known, capacity * sizeof *larger);
        if (!larger)
            return venv_error_set(err, capacity > KNOWN_MAX ? VENV_ELIMIT : VENV_ENOMEM, "the repository has too many chunks");
        maker->known = larger;
        maker->known_capacity = capacity;
    }
    venv_rc rc = venv_chunk_index_add(&maker->index, hash, maker->known_count, ret_number, err);
    if (rc == VENV_OK && *ret_number == maker->known_count)
        maker->known[maker->known_count++] = *known;
    return rc;
}

/* All chunks of a manifest that we trust. One whose map cannot be read is passed over: its chunks are stored again. */
static venv_rc learn(struct maker *maker, const venv_manifest *manifest, const venv_map *map, venv_error *err)
{
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < manifest->chunk_count && rc == VENV_OK; i++) {
        const venv_place *place = &map->places[i];
        uint64_t number;
        if (manifest->chunks[i].hole)
            continue;
        struct known known = { map->packs[place->pack], place->offset, place->stored };
        rc = add_known(maker, manifest->chunks[i].hash, &known, &number, err);
    }
    return rc;
}

static venv_rc learn_image(struct maker *maker, const char *name, venv_error *err)
{
    int64_t *versions = NULL;
    size_t count = 0;
    bool own = strcmp(name, maker->manifest.name) == 0;
    venv_rc rc = venv_repository_versions(&maker->repository, name, &versions, &count, err);
    for (size_t i = count; rc == VENV_OK && i-- > 0;) {
        venv_manifest manifest;
        venv_map map = { 0 };
        if (venv_repository_manifest(&maker->repository, name, versions[i], true, &manifest, NULL, NULL, NULL, NULL) != VENV_OK)
            continue;
        if (venv_repository_map(&maker->repository, &manifest, &map, NULL) == VENV_OK)
            rc = learn(maker, &manifest, &map, err);
        if (own && i == count - 1 && map.places) {
            maker->older = manifest;
            maker->older_map = map;
            maker->has_older = true;
            continue;
        }
        venv_map_fini_all(&map);
        venv_manifest_fini(&manifest);
    }
    free(versions);
    return rc;
}

static venv_rc learn_all(struct maker *maker, venv_error *err)
{
    venv_value names = venv_value_null();
    venv_rc rc = venv_repository_names(&maker->repository, &names, err);
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&names); i++) {
        char name[VENV_NAME_MAX + 1];
        venv_str text = venv_value_peek_text(venv_value_at(&names, i));
        snprintf(name, sizeof name, "%.*s", (int)text.size, text.data);
        rc = learn_image(maker, name, err);
    }
    venv_value_unref(&names);
    return rc;
}

static void work(void *user, unsigned worker, venv_scan_item *item)
{
    struct maker *maker = user;
    venv_sha256(item->data, (size_t)item->length, item->hash);
    if (venv_chunk_index_find(&maker->index, item->hash) == VENV_CHUNK_INDEX_NONE)
        item->rc = venv_zip_pack(maker->zips[worker], item->data, (size_t)item->length, NULL, 0, item->out, &item->packed, NULL);
}

static venv_rc add_place(struct maker *maker, const struct known *known, venv_error *err)
{
    size_t at = maker->manifest.chunk_count - 1; /* of the chunk that was just added */
    if ((at & (at - 1)) == 0 || !maker->map.places) {
        size_t capacity = at < 1024 ? 2048 : at * 2;
        venv_place *places = realloc(maker->map.places, capacity * sizeof *places);
        if (!places)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        maker->map.places = places;
    }
    maker->map.place_count = at + 1;
    maker->map.places[at] = (venv_place){ .offset = known ? known->offset : 0, .stored = known ? known->stored : 0 };
    return VENV_OK;
}

/* The pack of a new chunk is known when it is stored: until then its place has its number. */
static venv_rc take(void *user, venv_scan_item *item, venv_error *err)
{
    struct maker *maker = user;
    struct known none = { 0 };
    uint64_t number = 0;
    venv_rc rc = venv_manifest_add(&maker->manifest, item->length, item->data ? item->hash : NULL, err);
    if (rc != VENV_OK || !item->data)
        return rc == VENV_OK && maker->manifest.chunk_count > 0 ? add_place(maker, NULL, err) : rc;
    size_t before = maker->known_count;
    rc = add_known(maker, item->hash, &none, &number, err);
    if (rc == VENV_OK)
        rc = add_place(maker, NULL, err);
    if (rc != VENV_OK)
        return rc;
    maker->map.places[maker->manifest.chunk_count - 1].offset = number;
    maker->data += item->length;
    item->keep = number == before;
    return VENV_OK;
}

static venv_rc store(void *user, const venv_scan_item *item, venv_error *err)
{
    struct maker *maker = user;
    struct known known = { .stored = (uint32_t)item->packed };
    uint64_t number = venv_chunk_index_find(&maker->index, item->hash);
    venv_rc rc = venv_pack_write(&maker->writer, item->out, item->packed, &known.pack, &known.offset, err);
    if (rc == VENV_OK) {
        maker->known[number] = known;
        maker->new_chunks++;
        maker->new_bytes += item->length;
    }
    return rc;
}

/* Now that every chunk has its place, replace the numbers by places. */
static venv_rc settle(struct maker *maker, venv_error *err)
{
    for (size_t i = 0; i < maker->manifest.chunk_count; i++) {
        venv_place *place = &maker->map.places[i];
        if (maker->manifest.chunks[i].hole)
            continue;
        const struct known *known = &maker->known[place->offset];
        place->offset = known->offset;
        place->stored = known->stored;
        venv_rc rc = venv_map_pack(&maker->map, known->pack, &place->pack, err);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

static venv_rc scan(struct maker *maker, venv_error *err)
{
    struct stat before, after;
    venv_scan scan = { &maker->disk, &maker->cutter, maker->pool, work, take, store, scan_progress, maker };
    if (fstat(maker->disk.fd, &before) != 0)
        return venv_files_fail(err, errno, "read", maker->disk.path);
    venv_rc rc = venv_scan_run(&scan, err);
    if (rc == VENV_OK && fstat(maker->disk.fd, &after) != 0)
        rc = venv_files_fail(err, errno, "read", maker->disk.path);
    if (rc == VENV_OK && (before.st_size != after.st_size || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
                          before.st_mtim.tv_nsec != after.st_mtim.tv_nsec))
        rc = venv_error_set(err, VENV_ECONFLICT, "'%s' changed while it was read: stop what writes to it, and try again",
                            maker->disk.path);
    return rc == VENV_OK ? settle(maker, err) : rc;
}

static venv_rc write_deltas(struct maker *maker, venv_error *err)
{
    venv_deltas deltas = { &maker->repository, maker->pool, &maker->disk, &maker->manifest, &maker->older, &maker->older_map,
                           maker->options->level, delta_progress, maker };
    /* Behind a URL the bases would have to be fetched: then there are none. */
    if (!maker->has_older || maker->repository.storage)
        return VENV_OK;
    /* A pack of their own: who has the older version reads it from front to end. */
    venv_rc rc = venv_pack_finish(&maker->writer, err);
    return rc == VENV_OK ? venv_deltas_make(&deltas, &maker->writer, &maker->map, err) : rc;
}

static venv_rc newest(struct maker *maker, int64_t *ret_version, venv_error *err)
{
    int64_t *versions = NULL;
    size_t count = 0;
    venv_rc rc = venv_repository_versions(&maker->repository, maker->manifest.name, &versions, &count, err);
    if (rc == VENV_OK)
        *ret_version = count > 0 ? versions[count - 1] : 0;
    free(versions);
    return rc;
}

static venv_rc put_manifest(struct maker *maker, venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    venv_buf body, data;
    venv_buf_init(&body, VENV_MANIFEST_SIZE_MAX);
    venv_buf_init(&data, VENV_MANIFEST_SIZE_MAX);
    venv_rc rc = venv_manifest_encode(&maker->manifest, venv_sha256, &body, err);
    if (rc == VENV_OK)
        rc = venv_manifest_seal(maker->signer, &body, &data, err);
    venv_manifest_path(maker->manifest.name, maker->manifest.version, path);
    if (rc == VENV_OK)
        rc = venv_repository_put(&maker->repository, path, data.data, data.size, true, err);
    venv_buf_fini(&body);
    venv_buf_fini(&data);
    return rc;
}

/* Of two that publish at once both get a version, one after the other. */
static venv_rc publish(struct maker *maker, int64_t version, venv_error *err)
{
    venv_rc rc = venv_pack_finish(&maker->writer, err);
    if (rc == VENV_OK)
        rc = venv_repository_put_map(&maker->repository, &maker->manifest, &maker->map, true, err);
    for (int attempt = 0; rc == VENV_OK && attempt < 1000; attempt++) {
        int64_t last = 0;
        rc = newest(maker, &last, err);
        if (rc == VENV_OK && version > 0 && version < last)
            rc = venv_error_set(err, VENV_ECONFLICT, "%s has version %lld already: versions only grow", maker->manifest.name,
                                (long long)last);
        if (rc == VENV_OK && version == 0 && last >= VENV_IMAGE_VERSION_MAX)
            rc = venv_error_set(err, VENV_ELIMIT, "%s has no version left", maker->manifest.name);
        if (rc != VENV_OK)
            return rc;
        maker->manifest.version = version > 0 ? version : last + 1;
        rc = put_manifest(maker, err);
        if (rc == VENV_OK)
            return venv_repository_catalog(&maker->repository, maker->manifest.name, maker->manifest.version, err);
        if (rc != VENV_EEXIST || version > 0)
            return rc == VENV_EEXIST ? venv_error_set(err, rc, "there is %s@%lld already", maker->manifest.name,
                                                      (long long)version) : rc;
        rc = VENV_OK;
    }
    return rc == VENV_OK ? venv_error_set(err, VENV_ECONFLICT, "others publish all the time") : rc;
}

static venv_rc prepare(struct maker *maker, const char *path, venv_image_format format, const char *name, int64_t version,
                       venv_error *err)
{
    const venv_image_options *options = maker->options;
    if (!venv_name_is_valid((venv_str){ name, strlen(name) }))
        return venv_error_set(err, VENV_EINVAL, "'%s' cannot be the name of an image: a-z, 0-9, '.', '_', '-'", name);
    if (version < 0 || version > VENV_IMAGE_VERSION_MAX)
        return venv_error_set(err, VENV_EINVAL, "a version is a number from 1 to %lld", (long long)VENV_IMAGE_VERSION_MAX);
    if (!options->key)
        return venv_error_set(err, VENV_EINVAL, "a key must be named that signs the manifest");
    snprintf(maker->manifest.name, sizeof maker->manifest.name, "%s", name);
    venv_rc rc = venv_cutter_init(&maker->cutter, options->chunk_mean, err);
    if (rc == VENV_OK)
        rc = venv_signer_load(options->key, &maker->signer, err);
    if (rc == VENV_OK)
        rc = venv_disk_open(path, format, &maker->disk, err);
    if (rc == VENV_OK)
        rc = venv_repository_open(options, true, VENV_REPOSITORY_SHARED, &maker->repository, err);
    if (rc == VENV_OK)
        rc = venv_pool_new(options->threads, &maker->pool, err);
    if (rc != VENV_OK)
        return rc;
    venv_pack_writer_init(&maker->writer, &maker->repository);
    maker->manifest.mean = options->chunk_mean;
    maker->zips = calloc(venv_pool_size(maker->pool), sizeof(venv_zip *));
    if (!maker->zips)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (unsigned i = 0; i < venv_pool_size(maker->pool) && rc == VENV_OK; i++)
        rc = venv_zip_new(options->level, &maker->zips[i], err);
    return rc == VENV_OK ? learn_all(maker, err) : rc;
}

static venv_rc finish(struct maker *maker, int64_t version, venv_error *err)
{
    struct timespec now;
    venv_buf body;
    clock_gettime(CLOCK_REALTIME, &now);
    maker->manifest.created.ns = now.tv_sec * VENV_NS_PER_S;
    venv_rc rc = venv_files_id(&maker->manifest.id, err);
    if (rc != VENV_OK)
        return rc;
    maker->manifest.version = 1;
    venv_buf_init(&body, VENV_MANIFEST_SIZE_MAX);
    rc = venv_manifest_encode(&maker->manifest, venv_sha256, &body, err); /* for the digest */
    venv_buf_fini(&body);
    if (rc != VENV_OK)
        return rc;
    if (version == 0 && maker->has_older &&
        memcmp(maker->older.digest, maker->manifest.digest, VENV_HASH_SIZE) == 0) {
        maker->unchanged = true;
        maker->manifest.version = maker->older.version;
        return VENV_OK;
    }
    rc = write_deltas(maker, err);
    return rc == VENV_OK ? publish(maker, version, err) : rc;
}

static venv_rc report(const struct maker *maker, venv_value *ret_report, venv_error *err)
{
    char digest[2 * VENV_HASH_SIZE + 1];
    venv_map_builder map;
    for (unsigned i = 0; i < VENV_HASH_SIZE; i++)
        snprintf(digest + 2 * i, 3, "%02x", maker->manifest.digest[i]);
    venv_map_init(&map);
    venv_map_put_z(&map, "name", maker->manifest.name);
    venv_map_put(&map, "version", venv_value_int(maker->manifest.version));
    venv_map_put_z(&map, "digest", digest);
    venv_map_put(&map, "size", venv_value_int((int64_t)maker->manifest.size));
    venv_map_put(&map, "chunks", venv_value_int((int64_t)maker->manifest.chunk_count));
    venv_map_put(&map, "data", venv_value_int((int64_t)maker->data));
    venv_map_put(&map, "new_chunks", venv_value_int((int64_t)maker->new_chunks));
    venv_map_put(&map, "new_bytes", venv_value_int((int64_t)maker->new_bytes));
    venv_map_put(&map, "deltas", venv_value_int((int64_t)maker->map.delta_count));
    venv_map_put(&map, "stored", venv_value_int((int64_t)maker->writer.total));
    venv_map_put(&map, "unchanged", venv_value_bool(maker->unchanged));
    return venv_map_take(&map, ret_report, err);
}

venv_rc venv_image_make(const venv_image_options *options, const char *path, venv_image_format format, const char *name,
                        int64_t version, venv_value *ret_report, venv_error *err)
{
    struct maker maker = { .options = options, .disk = VENV_DISK_INIT, .repository = { .directory = -1, .lock = -1 } };
    maker.writer.fd = -1;
    venv_rc rc = prepare(&maker, path, format, name, version, err);
    if (rc == VENV_OK)
        rc = scan(&maker, err);
    if (rc == VENV_OK)
        rc = finish(&maker, version, err);
    if (rc == VENV_OK)
        rc = report(&maker, ret_report, err);
    for (unsigned i = 0; maker.zips && i < venv_pool_size(maker.pool); i++)
        venv_zip_free(maker.zips[i]);
    free(maker.zips);
    venv_pack_writer_fini(&maker.writer);
    venv_pool_free(maker.pool);
    venv_disk_close(&maker.disk);
    venv_signer_free(maker.signer);
    venv_manifest_fini(&maker.manifest);
    venv_manifest_fini(&maker.older);
    venv_map_fini_all(&maker.map);
    venv_map_fini_all(&maker.older_map);
    venv_chunk_index_fini(&maker.index);
    free(maker.known);
    venv_repository_close(&maker.repository);
    return rc;
}
