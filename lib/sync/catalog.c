/* SPDX-License-Identifier: Apache-2.0 */
/* Which images and versions a repository has: by listing a directory, else by its catalog. */
#include "sync/repository.h"

#include "base/cleanup.h"

#include <venv/codec.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int64_t parse_version(const char *text, const char *end)
{
    int64_t number = 0;
    if (*text == '0' || text == end)
        return 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9' || number > VENV_IMAGE_VERSION_MAX / 10)
            return 0;
        number = number * 10 + (*text - '0');
    }
    return number <= VENV_IMAGE_VERSION_MAX ? number : 0;
}

static int by_version(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static venv_rc add_version(int64_t **versions, size_t *count, int64_t version, venv_error *err)
{
    if (*count % 64 == 0) {
        int64_t *larger = *count >= VENV_VERSIONS_MAX ? NULL : realloc(*versions, (*count + 64) * sizeof *larger);
        if (!larger)
            return venv_error_set(err, *count >= VENV_VERSIONS_MAX ? VENV_ELIMIT : VENV_ENOMEM, "too many versions");
        *versions = larger;
    }
    (*versions)[(*count)++] = version;
    return VENV_OK;
}

static DIR *open_list(venv_repository *repository, const char *path)
{
    int fd = venv_files_open(repository->directory, path, O_RDONLY | O_DIRECTORY, 0);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list && fd >= 0)
        close(fd);
    return list;
}

static venv_rc versions_in_directory(venv_repository *repository, const char *name, int64_t **versions, size_t *count,
                                     venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    venv_rc rc = VENV_OK;
    snprintf(path, sizeof path, "images/%s", name);
    DIR *list = open_list(repository, path);
    if (!list)
        return errno == ENOENT ? VENV_OK : venv_files_fail(err, errno, "list", path);
    for (struct dirent *entry; rc == VENV_OK && (entry = readdir(list));) {
        const char *dot = strchr(entry->d_name, '.');
        int64_t version = dot && strcmp(dot, ".manifest") == 0 ? parse_version(entry->d_name, dot) : 0;
        if (version > 0)
            rc = add_version(versions, count, version, err);
    }
    closedir(list);
    return rc;
}

/* The map "images" of the catalog; an absent catalog is an empty one. */
static venv_rc read_catalog(venv_repository *repository, venv_value *ret_catalog, venv_error *err)
{
    VENV_AUTO_FREE uint8_t *data = NULL;
    size_t size = 0;
    venv_rc rc = venv_repository_get(repository, "catalog.json", VENV_CATALOG_SIZE_MAX, &data, &size, err);
    if (rc == VENV_ENOENT) {
        venv_error_set(err, VENV_OK, "%s", "");
        *ret_catalog = venv_value_null();
        return VENV_OK;
    }
    if (rc == VENV_OK)
        rc = venv_json_parse((const char *)data, size, VENV_CATALOG_SIZE_MAX, ret_catalog, err);
    return rc == VENV_OK ? rc : venv_error_prefix(err, "catalog.json of '%s'", repository->place);
}

venv_rc venv_repository_versions(venv_repository *repository, const char *name, int64_t **ret_versions, size_t *ret_count,
                                 venv_error *err)
{
    int64_t *versions = NULL;
    size_t count = 0;
    venv_rc rc;
    if (!repository->storage) {
        rc = versions_in_directory(repository, name, &versions, &count, err);
    } else {
        venv_value catalog = venv_value_null();
        rc = read_catalog(repository, &catalog, err);
        const venv_value *list = rc == VENV_OK ? venv_value_get(venv_value_get(&catalog, "images"), name) : NULL;
        for (size_t i = 0; list && venv_value_kind(list) == VENV_LIST && rc == VENV_OK && i < venv_value_count(list); i++) {
            const venv_value *item = venv_value_at(list, i);
            int64_t version = venv_value_kind(item) == VENV_INT ? venv_value_peek_int(item) : 0;
            if (version > 0 && version <= VENV_IMAGE_VERSION_MAX)
                rc = add_version(&versions, &count, version, err);
        }
        venv_value_unref(&catalog);
    }
    if (rc != VENV_OK) {
        free(versions);
        return rc;
    }
    if (count > 0)
        qsort(versions, count, sizeof *versions, by_version);
    *ret_versions = versions;
    *ret_count = count;
    return VENV_OK;
}

static venv_rc names_in_directory(venv_repository *repository, venv_map_builder *names, venv_error *err)
{
    DIR *list = open_list(repository, "images");
    if (!list)
        return errno == ENOENT ? VENV_OK : venv_files_fail(err, errno, "list", "images");
    for (struct dirent *entry; (entry = readdir(list));) {
        venv_str name = { entry->d_name, strlen(entry->d_name) };
        if (venv_name_is_valid(name))
            venv_map_put(names, entry->d_name, venv_value_bool(true));
    }
    closedir(list);
    return VENV_OK;
}

venv_rc venv_repository_names(venv_repository *repository, venv_value *ret_names, venv_error *err)
{
    venv_value map = venv_value_null();
    venv_list_builder list;
    venv_rc rc;
    if (repository->storage) {
        venv_value catalog = venv_value_null();
        rc = read_catalog(repository, &catalog, err);
        const venv_value *images = rc == VENV_OK ? venv_value_get(&catalog, "images") : NULL;
        if (images)
            map = venv_value_ref(images);
        venv_value_unref(&catalog);
    } else {
        venv_map_builder names;
        venv_map_init(&names);
        rc = names_in_directory(repository, &names, err);
        if (rc == VENV_OK)
            rc = venv_map_take(&names, &map, err);
        else
            venv_map_fini(&names);
    }
    if (rc != VENV_OK)
        return rc;
    venv_list_init(&list);
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_kind(&map) == VENV_MAP && venv_value_entry(&map, i, &key, &value); i++)
        if (venv_value_kind(key) == VENV_STRING && venv_name_is_valid(venv_value_peek_text(key)))
            venv_list_add(&list, venv_value_ref(key));
    venv_value_unref(&map);
    return venv_list_take(&list, ret_names, err);
}

static venv_rc put_versions(venv_repository *repository, venv_map_builder *images, const char *name, int64_t version,
                            const char *changed, venv_error *err)
{
    int64_t *versions = NULL;
    size_t count = 0;
    bool there = false;
    venv_list_builder list;
    venv_value value = venv_value_null();
    venv_rc rc = venv_repository_versions(repository, name, &versions, &count, err);
    if (rc != VENV_OK)
        return rc;
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        venv_list_add(&list, venv_value_int(versions[i]));
        there = there || versions[i] == version;
    }
    if (strcmp(name, changed) == 0 && version > 0 && !there)
        venv_list_add(&list, venv_value_int(version));
    free(versions);
    rc = venv_list_take(&list, &value, err);
    if (rc == VENV_OK)
        venv_map_put(images, name, value);
    return rc;
}

static venv_rc build_catalog(venv_repository *repository, const char *changed, int64_t version, venv_value *ret_catalog,
                             venv_error *err)
{
    venv_value names = venv_value_null(), images_value = venv_value_null();
    venv_map_builder images, catalog;
    bool there = false;
    venv_rc rc = venv_repository_names(repository, &names, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&images);
    for (size_t i = 0; i < venv_value_count(&names) && rc == VENV_OK; i++) {
        char name[VENV_NAME_MAX + 1];
        venv_str text = venv_value_peek_text(venv_value_at(&names, i));
        snprintf(name, sizeof name, "%.*s", (int)text.size, text.data);
        there = there || strcmp(name, changed) == 0;
        rc = put_versions(repository, &images, name, version, changed, err);
    }
    if (rc == VENV_OK && !there && version > 0)
        rc = put_versions(repository, &images, changed, version, changed, err);
    venv_value_unref(&names);
    if (rc == VENV_OK)
        rc = venv_map_take(&images, &images_value, err);
    else
        venv_map_fini(&images);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&catalog);
    venv_map_put(&catalog, "images", images_value);
    return venv_map_take(&catalog, ret_catalog, err);
}

venv_rc venv_repository_catalog(venv_repository *repository, const char *name, int64_t version, venv_error *err)
{
    venv_value catalog = venv_value_null();
    VENV_AUTO_FREE char *text = NULL;
    size_t size = 0;
    int lock = -1;
    if (!repository->storage) { /* of two that publish at once the second writes both */
        lock = venv_files_open(repository->directory, "catalog.lock", O_RDWR | O_CREAT, 0644);
        if (lock < 0 || flock(lock, LOCK_EX) != 0) {
            int error = errno;
            if (lock >= 0)
                close(lock);
            return venv_files_fail(err, error, "lock", "catalog.lock");
        }
    }
    venv_rc rc = build_catalog(repository, name, version, &catalog, err);
    if (rc == VENV_OK)
        rc = venv_json_print(&catalog, VENV_JSON_PRETTY, &text, &size, err);
    venv_value_unref(&catalog);
    if (rc == VENV_OK)
        rc = venv_repository_put(repository, "catalog.json", text, size, false, err);
    if (lock >= 0)
        close(lock);
    return rc;
}

venv_rc venv_repository_resolve(venv_repository *repository, const char *reference, char ret_name[VENV_NAME_MAX + 1],
                                int64_t *ret_version, bool *ret_latest, venv_error *err)
{
    const char *at = strchr(reference, '@');
    size_t size = at ? (size_t)(at - reference) : strlen(reference);
    venv_str name = { reference, size };
    if (!venv_name_is_valid(name))
        return venv_error_set(err, VENV_EINVAL, "'%s' is not the name of an image: NAME, NAME@VERSION or NAME@latest, with "
                              "NAME of a-z, 0-9, '.', '_', '-'", reference);
    snprintf(ret_name, VENV_NAME_MAX + 1, "%.*s", (int)size, reference);
    *ret_latest = !at || strcmp(at + 1, "latest") == 0;
    if (!*ret_latest) {
        *ret_version = parse_version(at + 1, at + strlen(at));
        return *ret_version > 0 ? VENV_OK : venv_error_set(err, VENV_EINVAL, "'%s': a version is a number from 1, or 'latest'",
                                                           reference);
    }
    int64_t *versions = NULL;
    size_t count = 0;
    venv_rc rc = venv_repository_versions(repository, ret_name, &versions, &count, err);
    if (rc == VENV_OK && count == 0)
        rc = venv_error_set(err, VENV_ENOENT, "there is no image %s in '%s'", ret_name, repository->place);
    if (rc == VENV_OK)
        *ret_version = versions[count - 1];
    free(versions);
    return rc;
}
