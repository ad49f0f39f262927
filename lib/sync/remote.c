/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the storage with its errors brought into ours. */
#include "sync/remote.h"

#include <string.h>
#include <unistd.h>

bool venv_remote_is(const char *place)
{
    return venv_storage_is_url(place);
}

venv_rc venv_remote_open(venv_repository *repository, const venv_image_options *options, venv_error *err)
{
    venv_storage_error error = { 0 };
    repository->storage = options->storage;
    if (!repository->storage) {
        if (venv_storage_new(NULL, &repository->storage, &error) != VENV_OK)
            return venv_storage_error_tell(&error, err);
        repository->own_storage = true;
    }
    return venv_storage_url_check(repository->place, &error) == VENV_OK ? VENV_OK : venv_storage_error_tell(&error, err);
}

void venv_remote_close(venv_repository *repository)
{
    if (repository->own_storage)
        venv_storage_free(repository->storage);
}

static venv_rc url_of(const venv_repository *repository, const char *path, char url[VENV_STORAGE_URL_MAX], venv_error *err)
{
    venv_storage_error error = { 0 };
    if (venv_storage_join(repository->place, path, url, VENV_STORAGE_URL_MAX, &error) == VENV_OK)
        return VENV_OK;
    return venv_storage_error_tell(&error, err);
}

venv_rc venv_remote_get(venv_repository *repository, const char *path, size_t max, uint8_t **ret_data, size_t *ret_size,
                        venv_error *err)
{
    venv_storage_error error = { 0 };
    char url[VENV_STORAGE_URL_MAX];
    venv_rc rc = url_of(repository, path, url, err);
    if (rc == VENV_OK && venv_storage_get_bytes(repository->storage, url, max, ret_data, ret_size, &error) != VENV_OK)
        rc = venv_storage_error_tell(&error, err);
    return rc;
}

venv_rc venv_remote_put(venv_repository *repository, const char *path, const void *data, size_t size, bool exclusive,
                        venv_error *err)
{
    venv_storage_error error = { 0 };
    char url[VENV_STORAGE_URL_MAX];
    uint32_t flags = VENV_STORAGE_PUT_PARENTS | (exclusive ? VENV_STORAGE_PUT_NEW : 0u);
    venv_rc rc = url_of(repository, path, url, err);
    if (rc == VENV_OK && venv_storage_put_bytes(repository->storage, url, data, size, flags, &error) != VENV_OK)
        rc = venv_storage_error_tell(&error, err);
    return rc;
}

struct sink {
    uint8_t *data;
    size_t size, done;
};

static bool take_bytes(void *user, const void *data, size_t size)
{
    struct sink *sink = user;
    if (size > sink->size - sink->done)
        return false;
    memcpy(sink->data + sink->done, data, size);
    sink->done += size;
    return true;
}

venv_rc venv_remote_range(venv_repository *repository, const char *path, uint64_t offset, void *data, size_t size,
                          venv_error *err)
{
    venv_storage_error error = { 0 };
    char url[VENV_STORAGE_URL_MAX];
    struct sink sink = { data, size, 0 };
    venv_rc rc = url_of(repository, path, url, err);
    if (rc == VENV_OK && venv_storage_get(repository->storage, url, offset, size, take_bytes, &sink, &error) != VENV_OK)
        return venv_storage_error_tell(&error, err);
    if (rc == VENV_OK && sink.done != size)
        rc = venv_error_set(err, VENV_EIO, "'%s' ends too soon", path);
    return rc;
}

struct upload {
    int fd;
    uint64_t at;
};

static int64_t give_bytes(void *user, void *buffer, size_t size)
{
    struct upload *upload = user;
    ssize_t got = pread(upload->fd, buffer, size, (off_t)upload->at);
    if (got > 0)
        upload->at += (uint64_t)got;
    return got;
}

venv_rc venv_remote_put_file(venv_repository *repository, const char *path, int fd, uint64_t size, venv_error *err)
{
    venv_storage_error error = { 0 };
    char url[VENV_STORAGE_URL_MAX];
    struct upload upload = { fd, 0 };
    venv_rc rc = url_of(repository, path, url, err);
    if (rc == VENV_OK && venv_storage_put(repository->storage, url, size, VENV_STORAGE_PUT_NEW | VENV_STORAGE_PUT_PARENTS,
                                          give_bytes, &upload, &error) != VENV_OK)
        rc = venv_storage_error_tell(&error, err);
    return rc;
}
