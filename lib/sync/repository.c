/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in a repository. What a manifest or a map means is in lib/image; what to do with them, in the other files here. */
#include "sync/remote.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void venv_manifest_path(const char *name, int64_t version, char ret_path[VENV_SYNC_PATH_MAX])
{
    snprintf(ret_path, VENV_SYNC_PATH_MAX, "images/%s/%lld.manifest", name, (long long)version);
}

void venv_map_path(const char *name, venv_id id, char ret_path[VENV_SYNC_PATH_MAX])
{
    char text[VENV_ID_TEXT_SIZE];
    snprintf(ret_path, VENV_SYNC_PATH_MAX, "images/%s/%s.map", name, venv_id_format(id, text));
}

void venv_pack_path(venv_id pack, char ret_path[VENV_SYNC_PATH_MAX])
{
    char text[VENV_ID_TEXT_SIZE];
    snprintf(ret_path, VENV_SYNC_PATH_MAX, "packs/%s.pack", venv_id_format(pack, text));
}

static venv_rc lock(venv_repository *repository, venv_repository_lock kind, venv_error *err)
{
    /* A reader of a repository that it may not write does without: what nobody can lock nobody collects, either. */
    repository->lock = venv_files_open(repository->directory, "lock", O_RDWR | O_CREAT, 0644);
    if (repository->lock < 0 && kind == VENV_REPOSITORY_SHARED)
        repository->lock = venv_files_open(repository->directory, "lock", O_RDONLY, 0);
    if (repository->lock < 0)
        return kind == VENV_REPOSITORY_SHARED ? VENV_OK : venv_files_fail(err, errno, "lock", repository->place);
    int how = kind == VENV_REPOSITORY_SHARED ? LOCK_SH : LOCK_EX | LOCK_NB;
    while (flock(repository->lock, how) != 0)
        if (errno == EWOULDBLOCK)
            return venv_error_set(err, VENV_ECONFLICT, "the repository '%s' is in use just now; try again later",
                                  repository->place);
        else if (errno != EINTR)
            return venv_files_fail(err, errno, "lock", repository->place);
    return VENV_OK;
}

static venv_rc open_directory(venv_repository *repository, bool make, venv_repository_lock kind, venv_error *err)
{
    if (make && mkdir(repository->place, 0755) != 0 && errno != EEXIST)
        return venv_files_fail(err, errno, "make the repository", repository->place);
    repository->directory = open(repository->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (repository->directory < 0)
        return venv_files_fail(err, errno, "open the repository", repository->place);
    struct stat st;
    if (!make && fstatat(repository->directory, "images", &st, 0) != 0)
        return venv_error_set(err, VENV_ENOENT, "'%s' is not a repository: it has no directory 'images'", repository->place);
    return lock(repository, kind, err);
}

venv_rc venv_repository_open(const venv_image_options *options, bool make, venv_repository_lock kind,
                             venv_repository *ret_repository, venv_error *err)
{
    venv_repository repository = { .directory = -1, .lock = -1 };
    if (!options->repository || options->size != sizeof *options ||
        strlen(options->repository) >= sizeof repository.place - 64)
        return venv_error_set(err, VENV_EINVAL, "a repository must be named, as a directory or a URL");
    snprintf(repository.place, sizeof repository.place, "%s", options->repository);
    venv_rc rc = venv_trust_load(options, &repository.trust, err);
    if (rc == VENV_OK && venv_remote_is(repository.place))
        rc = venv_remote_open(&repository, options, err);
    else if (rc == VENV_OK)
        rc = open_directory(&repository, make, kind, err);
    if (rc != VENV_OK)
        venv_repository_close(&repository);
    else
        *ret_repository = repository;
    return rc;
}

void venv_repository_close(venv_repository *repository)
{
    if (repository->lock >= 0)
        close(repository->lock);
    if (repository->directory >= 0)
        close(repository->directory);
    venv_remote_close(repository);
    *repository = (venv_repository){ .directory = -1, .lock = -1 };
}

static venv_rc count(venv_repository *repository, venv_rc rc, size_t size)
{
    if (rc == VENV_OK)
        __atomic_add_fetch(&repository->transferred, size, __ATOMIC_RELAXED);
    return rc;
}

venv_rc venv_repository_get(venv_repository *repository, const char *path, size_t max, uint8_t **ret_data,
                            size_t *ret_size, venv_error *err)
{
    venv_rc rc = repository->storage ? venv_remote_get(repository, path, max, ret_data, ret_size, err)
                                     : venv_files_get(repository->directory, path, max, ret_data, ret_size, err);
    return count(repository, rc, rc == VENV_OK ? *ret_size : 0);
}

venv_rc venv_repository_put(venv_repository *repository, const char *path, const void *data, size_t size, bool exclusive,
                            venv_error *err)
{
    venv_rc rc = repository->storage ? venv_remote_put(repository, path, data, size, exclusive, err)
                                     : venv_files_put(repository->directory, path, data, size, exclusive, err);
    return count(repository, rc, size);
}

venv_rc venv_repository_range(venv_repository *repository, const char *path, uint64_t offset, void *data, size_t size,
                              venv_error *err)
{
    if (repository->storage)
        return count(repository, venv_remote_range(repository, path, offset, data, size, err), size);
    int fd = venv_files_open(repository->directory, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return venv_files_fail(err, errno, "read", path);
    venv_rc rc = venv_files_read_at(fd, data, size, offset, path, err);
    close(fd);
    return count(repository, rc, size);
}

venv_rc venv_manifest_open(const venv_trust *trust, const void *data, size_t size, bool trusted_only,
                           venv_manifest *ret_manifest, bool *ret_trusted, venv_error *err)
{
    venv_envelope envelope;
    venv_rc rc = venv_envelope_decode(data, size, &envelope, err);
    if (rc != VENV_OK)
        return rc;
    bool trusted = venv_trust_has(trust, &envelope);
    if (!trusted && trusted_only)
        return venv_error_set(err, VENV_EDENIED, trust->count > 0 ? "it is not signed by a key that is trusted"
                                                                  : "no key is trusted; name one with --trust");
    rc = venv_manifest_decode(envelope.body, envelope.body_size, venv_sha256, ret_manifest, err);
    if (rc == VENV_OK && ret_trusted)
        *ret_trusted = trusted;
    return rc;
}

venv_rc venv_repository_manifest(venv_repository *repository, const char *name, int64_t version, bool trusted_only,
                                 venv_manifest *ret_manifest, bool *ret_trusted, uint8_t **ret_data, size_t *ret_size,
                                 venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    uint8_t *data = NULL;
    size_t size = 0;
    venv_manifest manifest;

    venv_manifest_path(name, version, path);
    venv_rc rc = venv_repository_get(repository, path, VENV_MANIFEST_SIZE_MAX, &data, &size, err);
    if (rc == VENV_ENOENT)
        return venv_error_set(err, rc, "there is no image %s@%lld in '%s'", name, (long long)version, repository->place);
    if (rc != VENV_OK)
        return rc;
    rc = venv_manifest_open(&repository->trust, data, size, trusted_only, &manifest, ret_trusted, err);
    if (rc != VENV_OK) {
        free(data);
        return venv_error_prefix(err, "manifest of %s@%lld", name, (long long)version);
    }
    /* An old manifest under a new name is right by its signature, and still not what was asked for. */
    if (strcmp(manifest.name, name) != 0 || manifest.version != version) {
        rc = venv_error_set(err, VENV_EINVAL, "the manifest at %s@%lld is that of %s@%lld: the repository is not right",
                            name, (long long)version, manifest.name, (long long)manifest.version);
        venv_manifest_fini(&manifest);
        free(data);
        return rc;
    }
    *ret_manifest = manifest;
    if (ret_data) {
        *ret_data = data;
        *ret_size = size;
    } else {
        free(data);
    }
    return VENV_OK;
}

venv_rc venv_repository_map(venv_repository *repository, const venv_manifest *manifest, venv_map *ret_map, venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    VENV_AUTO_FREE uint8_t *data = NULL;
    size_t size = 0;
    venv_map_path(manifest->name, manifest->id, path);
    venv_rc rc = venv_repository_get(repository, path, VENV_MAP_SIZE_MAX, &data, &size, err);
    uint8_t hash[VENV_HASH_SIZE];
    if (rc == VENV_OK && size > sizeof hash) /* against accidents; against intent every chunk is checked */
        venv_sha256(data, size - sizeof hash, hash);
    if (rc == VENV_OK && (size <= sizeof hash || memcmp(hash, data + size - sizeof hash, sizeof hash) != 0))
        rc = venv_error_set(err, VENV_EINVAL, "it is broken: its checksum is not right");
    if (rc == VENV_OK)
        rc = venv_map_decode(data, size - sizeof hash, manifest, ret_map, err);
    return rc == VENV_OK ? rc
                         : venv_error_prefix(err, "map of %s@%lld", manifest->name, (long long)manifest->version);
}

venv_rc venv_repository_put_map(venv_repository *repository, const venv_manifest *manifest, const venv_map *map, bool exclusive,
                                venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    uint8_t hash[VENV_HASH_SIZE];
    venv_buf data;
    venv_buf_init(&data, VENV_MAP_SIZE_MAX);
    venv_map_path(manifest->name, manifest->id, path);
    venv_rc rc = venv_map_encode(map, manifest, &data, err);
    if (rc == VENV_OK) {
        venv_sha256(data.data, data.size, hash);
        venv_buf_append(&data, hash, sizeof hash);
        rc = data.rc == VENV_OK ? venv_repository_put(repository, path, data.data, data.size, exclusive, err)
                                : venv_error_set(err, data.rc, "the map of the image is too large, or memory is out");
    }
    venv_buf_fini(&data);
    return rc;
}
