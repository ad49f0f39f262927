/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting what nothing uses. First everything that is used is read; where that fails, nothing is deleted. A pack goes
 * when it was seen unused before, and longer ago than the time of grace: garbage.json keeps since when.
 */
#include "image/chunk_index.h"
#include "sync/remote.h"

#include "base/cleanup.h"

#include <venv/codec.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PACKS_MAX 1000000u

struct collector {
    venv_repository repository;
    const venv_image_gc_options *gc;
    venv_chunk_index used; /* of SHA-256 over the path of a pack or map */
    venv_value garbage_before;
    venv_map_builder garbage;
    int64_t now;
    uint64_t versions, packs, bytes, waiting, used_packs;
};

static venv_rc use(struct collector *collector, const char *path, venv_error *err)
{
    uint8_t key[VENV_HASH_SIZE];
    venv_sha256(path, strlen(path), key);
    return venv_chunk_index_add(&collector->used, key, 0, NULL, err);
}

static bool is_used(const struct collector *collector, const char *path)
{
    uint8_t key[VENV_HASH_SIZE];
    venv_sha256(path, strlen(path), key);
    return venv_chunk_index_find(&collector->used, key) != VENV_CHUNK_INDEX_NONE;
}

static venv_rc use_version(struct collector *collector, const char *name, int64_t version, venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    venv_manifest manifest;
    venv_map map = { 0 };
    venv_rc rc = venv_repository_manifest(&collector->repository, name, version, false, &manifest, NULL, NULL, NULL, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_repository_map(&collector->repository, &manifest, &map, err);
    venv_map_path(name, manifest.id, path);
    if (rc == VENV_OK)
        rc = use(collector, path, err);
    for (size_t i = 0; i < map.pack_count && rc == VENV_OK; i++) {
        venv_pack_path(map.packs[i], path);
        rc = use(collector, path, err);
    }
    venv_map_fini_all(&map);
    venv_manifest_fini(&manifest);
    return rc;
}

/* The versions that stay are marked; with `drop`, the others are deleted. */
static venv_rc look_at_image(struct collector *collector, const char *name, bool drop, venv_error *err)
{
    int64_t *versions = NULL;
    size_t count = 0;
    venv_rc rc = venv_repository_versions(&collector->repository, name, &versions, &count, err);
    size_t keep = collector->gc->keep == 0 || collector->gc->keep > count ? count : collector->gc->keep;
    for (size_t i = 0; i < count && rc == VENV_OK; i++) {
        char path[VENV_SYNC_PATH_MAX];
        if (i + keep >= count) {
            if (!drop)
                rc = use_version(collector, name, versions[i], err);
            continue;
        }
        if (!drop)
            continue;
        venv_manifest_path(name, versions[i], path);
        if (!collector->gc->dry_run && unlinkat(collector->repository.directory, path, 0) != 0)
            rc = venv_files_fail(err, errno, "delete", path);
        collector->versions++;
    }
    free(versions);
    return rc;
}

static venv_rc look_at_all(struct collector *collector, bool drop, venv_error *err)
{
    venv_value names = venv_value_null();
    venv_rc rc = venv_repository_names(&collector->repository, &names, err);
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&names); i++) {
        char name[VENV_NAME_MAX + 1];
        venv_str text = venv_value_peek_text(venv_value_at(&names, i));
        snprintf(name, sizeof name, "%.*s", (int)text.size, text.data);
        rc = look_at_image(collector, name, drop, err);
    }
    venv_value_unref(&names);
    return rc;
}

/* A file that nothing uses. Its time begins when a collection first sees it so. */
static venv_rc look_at_file(struct collector *collector, const char *path, bool pack, venv_error *err)
{
    struct stat st;
    const venv_value *before = venv_value_get(&collector->garbage_before, path);
    int64_t since = before && venv_value_kind(before) == VENV_INT ? venv_value_peek_int(before) : collector->now;
    if (since > collector->now)
        since = collector->now;
    if (fstatat(collector->repository.directory, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return VENV_OK;
    if (collector->now - since < collector->gc->grace.ns / VENV_NS_PER_S) {
        venv_map_put(&collector->garbage, path, venv_value_int(since));
        collector->waiting += pack;
        return VENV_OK;
    }
    if (!collector->gc->dry_run && unlinkat(collector->repository.directory, path, 0) != 0)
        return venv_files_fail(err, errno, "delete", path);
    collector->packs += pack;
    collector->bytes += (uint64_t)st.st_size;
    return VENV_OK;
}

static bool ends_in(const char *text, const char *end)
{
    size_t size = strlen(text), length = strlen(end);
    return size > length && strcmp(text + size - length, end) == 0;
}

/* Packs and maps in one directory, and temporaries: who made those is dead, since we have the lock. */
static venv_rc sweep(struct collector *collector, const char *directory, venv_error *err)
{
    venv_rc rc = VENV_OK;
    int fd = venv_files_open(collector->repository.directory, directory, O_RDONLY | O_DIRECTORY, 0);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return error == ENOENT ? VENV_OK : venv_files_fail(err, error, "list", directory);
    }
    for (struct dirent *entry; rc == VENV_OK && (entry = readdir(list));) {
        char path[VENV_SYNC_PATH_MAX];
        bool pack = ends_in(entry->d_name, ".pack");
        if ((size_t)snprintf(path, sizeof path, "%s%s%s", directory, "/", entry->d_name) >= sizeof path)
            continue;
        const char *clean = strcmp(directory, ".") == 0 ? path + 2 : path;
        if (strncmp(entry->d_name, ".tmp-", 5) == 0) {
            if (!collector->gc->dry_run)
                unlinkat(collector->repository.directory, clean, 0);
        } else if (pack || ends_in(entry->d_name, ".map")) {
            if (is_used(collector, clean))
                collector->used_packs += pack;
            else
                rc = look_at_file(collector, clean, pack, err);
        }
    }
    closedir(list);
    return rc;
}

static venv_rc sweep_all(struct collector *collector, venv_error *err)
{
    venv_value names = venv_value_null();
    venv_rc rc = sweep(collector, ".", err);
    if (rc == VENV_OK)
        rc = sweep(collector, "packs", err);
    if (rc == VENV_OK)
        rc = venv_repository_names(&collector->repository, &names, err);
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&names); i++) {
        char path[VENV_SYNC_PATH_MAX];
        venv_str text = venv_value_peek_text(venv_value_at(&names, i));
        snprintf(path, sizeof path, "images/%.*s", (int)text.size, text.data);
        rc = sweep(collector, path, err);
    }
    venv_value_unref(&names);
    return rc;
}

static void read_garbage(struct collector *collector)
{
    uint8_t *data = NULL;
    size_t size = 0;
    /* Unreadable is as absent: then the time of grace begins anew. */
    if (venv_files_get(collector->repository.directory, "garbage.json", VENV_CATALOG_SIZE_MAX, &data, &size, NULL) == VENV_OK &&
        venv_json_parse((const char *)data, size, VENV_CATALOG_SIZE_MAX, &collector->garbage_before, NULL) != VENV_OK)
        collector->garbage_before = venv_value_null();
    free(data);
}

static venv_rc write_garbage(struct collector *collector, venv_error *err)
{
    venv_value garbage = venv_value_null();
    VENV_AUTO_FREE char *text = NULL;
    size_t size = 0;
    venv_rc rc = venv_map_take(&collector->garbage, &garbage, err);
    if (rc == VENV_OK && !collector->gc->dry_run) {
        rc = venv_json_print(&garbage, VENV_JSON_PRETTY, &text, &size, err);
        if (rc == VENV_OK)
            rc = venv_files_put(collector->repository.directory, "garbage.json", text, size, false, err);
    }
    venv_value_unref(&garbage);
    return rc;
}

static venv_rc collect(struct collector *collector, venv_error *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    collector->now = now.tv_sec;
    read_garbage(collector);
    venv_rc rc = look_at_all(collector, false, err);
    if (rc != VENV_OK)
        return venv_error_prefix(err, "nothing was deleted");
    rc = look_at_all(collector, true, err);
    /* Readers without a list see what is gone before it is. */
    if (rc == VENV_OK && collector->versions > 0 && !collector->gc->dry_run)
        rc = venv_repository_catalog(&collector->repository, "", 0, err);
    if (rc == VENV_OK)
        rc = sweep_all(collector, err);
    return rc == VENV_OK ? write_garbage(collector, err) : rc;
}

venv_rc venv_image_gc(const venv_image_options *options, const venv_image_gc_options *gc, venv_value *ret_report,
                      venv_error *err)
{
    static const venv_image_gc_options defaults = VENV_IMAGE_GC_OPTIONS_INIT;
    struct collector collector = { .gc = gc ? gc : &defaults, .garbage_before = venv_value_null() };
    if (options->repository && venv_remote_is(options->repository))
        return venv_error_set(err, VENV_EUNSUPPORTED, "only a repository that is a directory can be collected: run it where "
                              "the directory is");
    venv_rc rc = venv_repository_open(options, false, VENV_REPOSITORY_EXCLUSIVE, &collector.repository, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&collector.garbage);
    rc = collect(&collector, err);
    if (rc == VENV_OK) {
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put(&map, "versions_deleted", venv_value_int((int64_t)collector.versions));
        venv_map_put(&map, "packs_deleted", venv_value_int((int64_t)collector.packs));
        venv_map_put(&map, "bytes_deleted", venv_value_int((int64_t)collector.bytes));
        venv_map_put(&map, "packs_waiting", venv_value_int((int64_t)collector.waiting));
        venv_map_put(&map, "packs_used", venv_value_int((int64_t)collector.used_packs));
        rc = venv_map_take(&map, ret_report, err);
    }
    venv_map_fini(&collector.garbage);
    venv_value_unref(&collector.garbage_before);
    venv_chunk_index_fini(&collector.used);
    venv_repository_close(&collector.repository);
    return rc;
}
