/* SPDX-License-Identifier: Apache-2.0 */
/* A library that was built without lib/storage: repositories are directories. Takes the place of remote.c. */
#include "sync/remote.h"

#include <string.h>

bool venv_remote_is(const char *place)
{
    return strstr(place, ":/") != NULL;
}

static venv_rc refuse(const venv_repository *repository, venv_error *err)
{
    return venv_error_set(err, VENV_EUNSUPPORTED, "'%s' is a URL, and this libvenv was built without storage: name a directory",
                          repository->place);
}

venv_rc venv_remote_open(venv_repository *repository, const venv_image_options *options, venv_error *err)
{
    (void)options;
    return refuse(repository, err);
}

void venv_remote_close(venv_repository *repository)
{
    (void)repository;
}

venv_rc venv_remote_get(venv_repository *repository, const char *path, size_t max, uint8_t **ret_data, size_t *ret_size,
                        venv_error *err)
{
    (void)path, (void)max, (void)ret_data, (void)ret_size;
    return refuse(repository, err);
}

venv_rc venv_remote_put(venv_repository *repository, const char *path, const void *data, size_t size, bool exclusive,
                        venv_error *err)
{
    (void)path, (void)data, (void)size, (void)exclusive;
    return refuse(repository, err);
}

venv_rc venv_remote_range(venv_repository *repository, const char *path, uint64_t offset, void *data, size_t size,
                          venv_error *err)
{
    (void)path, (void)offset, (void)data, (void)size;
    return refuse(repository, err);
}

venv_rc venv_remote_put_file(venv_repository *repository, const char *path, int fd, uint64_t size, venv_error *err)
{
    (void)path, (void)fd, (void)size;
    return refuse(repository, err);
}
