/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a repository without reading its chunks: what is there, and what differs. */
#include "image/plan.h"
#include "sync/repository.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_digest(venv_map_builder *map, const venv_manifest *manifest)
{
    char digest[2 * VENV_HASH_SIZE + 1];
    for (unsigned i = 0; i < VENV_HASH_SIZE; i++)
        snprintf(digest + 2 * i, 3, "%02x", manifest->digest[i]);
    venv_map_put_z(map, "digest", digest);
}

static venv_rc describe(const venv_manifest *manifest, bool trusted, venv_value *ret_row, venv_error *err)
{
    venv_map_builder map;
    uint64_t data = 0;
    int64_t chunks = 0;
    for (size_t i = 0; i < manifest->chunk_count; i++)
        if (!manifest->chunks[i].hole) {
            data += manifest->chunks[i].length;
            chunks++;
        }
    venv_map_init(&map);
    venv_map_put_z(&map, "name", manifest->name);
    venv_map_put(&map, "version", venv_value_int(manifest->version));
    put_digest(&map, manifest);
    venv_map_put(&map, "size", venv_value_int((int64_t)manifest->size));
    venv_map_put(&map, "data", venv_value_int((int64_t)data));
    venv_map_put(&map, "chunks", venv_value_int(chunks));
    venv_map_put(&map, "created", venv_value_from_wall(manifest->created));
    venv_map_put(&map, "signed", venv_value_bool(trusted));
    return venv_map_take(&map, ret_row, err);
}

static venv_rc list_image(venv_repository *repository, const char *name, venv_list_builder *list, size_t *count,
                          venv_error *err)
{
    int64_t *versions = NULL;
    size_t version_count = 0;
    venv_rc rc = venv_repository_versions(repository, name, &versions, &version_count, err);
    for (size_t i = 0; rc == VENV_OK && i < version_count; i++) {
        venv_manifest manifest;
        venv_value row = venv_value_null();
        bool trusted = false;
        rc = venv_repository_manifest(repository, name, versions[i], false, &manifest, &trusted, NULL, NULL, err);
        if (rc != VENV_OK)
            break;
        rc = describe(&manifest, trusted, &row, err);
        venv_manifest_fini(&manifest);
        if (rc == VENV_OK)
            venv_list_add(list, row);
        ++*count;
    }
    free(versions);
    return rc;
}

static venv_rc list_all(venv_repository *repository, venv_list_builder *list, size_t *count, venv_error *err)
{
    venv_value names = venv_value_null();
    venv_rc rc = venv_repository_names(repository, &names, err);
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&names); i++) {
        char text[VENV_NAME_MAX + 1];
        venv_str of = venv_value_peek_text(venv_value_at(&names, i));
        snprintf(text, sizeof text, "%.*s", (int)of.size, of.data);
        rc = list_image(repository, text, list, count, err);
    }
    venv_value_unref(&names);
    return rc;
}

venv_rc venv_image_list(const venv_image_options *options, const char *name, venv_value *ret_list, venv_error *err)
{
    venv_repository repository;
    venv_list_builder list;
    size_t count = 0;
    if (name && !venv_name_is_valid((venv_str){ name, strlen(name) }))
        return venv_error_set(err, VENV_EINVAL, "'%s' is not the name of an image", name);
    venv_rc rc = venv_repository_open(options, false, VENV_REPOSITORY_SHARED, &repository, err);
    if (rc != VENV_OK)
        return rc;
    venv_list_init(&list);
    rc = name ? list_image(&repository, name, &list, &count, err) : list_all(&repository, &list, &count, err);
    if (rc == VENV_OK && name && count == 0)
        rc = venv_error_set(err, VENV_ENOENT, "there is no image %s in '%s'", name, repository.place);
    if (rc == VENV_OK)
        rc = venv_list_take(&list, ret_list, err);
    else
        venv_list_fini(&list);
    venv_repository_close(&repository);
    return rc;
}

/* What a get of `newer` reads of packs, with `older` at hand and without it. */
static venv_rc costs(const venv_manifest *older, const venv_manifest *newer, const venv_map *map, uint64_t *ret_fetch,
                     uint64_t *ret_full, venv_error *err)
{
    venv_chunk_index had = { 0 }, seen = { 0 };
    venv_rc rc = VENV_OK;
    bool deltas = map->base == older->version && strcmp(older->name, newer->name) == 0;
    size_t delta = 0;
    *ret_fetch = *ret_full = 0;
    for (size_t i = 0; i < older->chunk_count && rc == VENV_OK; i++)
        if (!older->chunks[i].hole)
            rc = venv_chunk_index_add(&had, older->chunks[i].hash, i, NULL, err);
    for (size_t i = 0; i < newer->chunk_count && rc == VENV_OK; i++) {
        const venv_chunk *chunk = &newer->chunks[i];
        while (delta < map->delta_count && map->deltas[delta].chunk < i)
            delta++;
        if (chunk->hole || venv_chunk_index_find(&seen, chunk->hash) != VENV_CHUNK_INDEX_NONE)
            continue;
        rc = venv_chunk_index_add(&seen, chunk->hash, i, NULL, err);
        *ret_full += map->places[i].stored;
        if (venv_chunk_index_find(&had, chunk->hash) == VENV_CHUNK_INDEX_NONE)
            *ret_fetch += deltas && delta < map->delta_count && map->deltas[delta].chunk == i
                              ? map->deltas[delta].place.stored : map->places[i].stored;
    }
    venv_chunk_index_fini(&had);
    venv_chunk_index_fini(&seen);
    return rc;
}

static venv_rc load(venv_repository *repository, const char *reference, venv_manifest *ret_manifest, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    int64_t version = 0;
    bool latest;
    venv_rc rc = venv_repository_resolve(repository, reference, name, &version, &latest, err);
    return rc == VENV_OK ? venv_repository_manifest(repository, name, version, true, ret_manifest, NULL, NULL, NULL, err) : rc;
}

static void put_reference(venv_map_builder *map, const char *key, const venv_manifest *manifest)
{
    char text[VENV_NAME_MAX + 32];
    snprintf(text, sizeof text, "%s@%lld", manifest->name, (long long)manifest->version);
    venv_map_put_z(map, key, text);
}

venv_rc venv_image_diff(const venv_image_options *options, const char *older, const char *newer, venv_value *ret_report,
                        venv_error *err)
{
    venv_repository repository;
    venv_manifest a, b;
    venv_map map = { 0 };
    uint64_t bytes = 0, chunks = 0, fetch = 0, full = 0;
    venv_rc rc = venv_repository_open(options, false, VENV_REPOSITORY_SHARED, &repository, err);
    if (rc != VENV_OK)
        return rc;
    venv_manifest_init(&a);
    venv_manifest_init(&b);
    rc = load(&repository, older, &a, err);
    if (rc == VENV_OK)
        rc = load(&repository, newer, &b, err);
    if (rc == VENV_OK)
        rc = venv_repository_map(&repository, &b, &map, err);
    if (rc == VENV_OK)
        rc = venv_plan_difference(&a, &b, &bytes, &chunks, err);
    if (rc == VENV_OK)
        rc = costs(&a, &b, &map, &fetch, &full, err);
    if (rc == VENV_OK) {
        venv_map_builder report;
        venv_map_init(&report);
        put_reference(&report, "older", &a);
        put_reference(&report, "newer", &b);
        venv_map_put(&report, "bytes", venv_value_int((int64_t)bytes));
        venv_map_put(&report, "chunks", venv_value_int((int64_t)chunks));
        venv_map_put(&report, "fetch", venv_value_int((int64_t)fetch));
        venv_map_put(&report, "full", venv_value_int((int64_t)full));
        rc = venv_map_take(&report, ret_report, err);
    }
    venv_map_fini_all(&map);
    venv_manifest_fini(&a);
    venv_manifest_fini(&b);
    venv_repository_close(&repository);
    return rc;
}
