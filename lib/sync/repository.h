/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_REPOSITORY_H
#define VENV_SYNC_REPOSITORY_H

/*
 * A repository as places with bytes, in a directory or behind a URL, and the manifests and maps in it.
 *
 *      catalog.json                   { "images": { NAME: [VERSION, …] } }: for who cannot list (HTTP)
 *      images/NAME/VERSION.manifest   never changes
 *      images/NAME/ID.map             may be replaced
 *      packs/ID.pack                  never changes
 *      lock, garbage.json             of a directory only
 */

#include "image/map.h"
#include "sync/files.h"
#include "sync/key.h"
#include <venv/image.h>

#define VENV_CATALOG_SIZE_MAX ((size_t)16 << 20)
#define VENV_VERSIONS_MAX 100000u

typedef struct venv_repository {
    int directory;         /* -1: a URL */
    int lock;              /* descriptor, -1: none */
    venv_storage *storage; /* of a URL */
    bool own_storage;
    uint64_t transferred;  /* bytes, both ways */
    venv_trust trust;
    char place[VENV_IMAGE_PATH_MAX];
} venv_repository;

typedef enum venv_repository_lock {
    VENV_REPOSITORY_SHARED = 0, /* what is there stays there */
    VENV_REPOSITORY_EXCLUSIVE,  /* nobody else; VENV_ECONFLICT instead of waiting */
} venv_repository_lock;

/* `make`: make an absent directory. VENV_ENOENT: there is none. Locked until it is closed. */
venv_rc venv_repository_open(const venv_image_options *options, bool make, venv_repository_lock lock,
                             venv_repository *ret_repository, venv_error *err);
void venv_repository_close(venv_repository *repository);

venv_rc venv_repository_get(venv_repository *repository, const char *path, size_t max, uint8_t **ret_data,
                            size_t *ret_size, venv_error *err);
venv_rc venv_repository_put(venv_repository *repository, const char *path, const void *data, size_t size, bool exclusive,
                            venv_error *err);
/* Exactly `size` bytes. Of a directory: any thread. */
venv_rc venv_repository_range(venv_repository *repository, const char *path, uint64_t offset, void *data, size_t size,
                              venv_error *err);

/* Versions of an image, ascending; free *ret_versions. None: count 0. */
venv_rc venv_repository_versions(venv_repository *repository, const char *name, int64_t **ret_versions, size_t *ret_count,
                                 venv_error *err);
/* Names of the images, sorted, as a list of strings. */
venv_rc venv_repository_names(venv_repository *repository, venv_value *ret_names, venv_error *err);
/* Write catalog.json anew from what is there; after a change. */
venv_rc venv_repository_catalog(venv_repository *repository, const char *name, int64_t version, venv_error *err);

/* Paths in a repository. */
void venv_manifest_path(const char *name, int64_t version, char ret_path[VENV_SYNC_PATH_MAX]);
void venv_map_path(const char *name, venv_id id, char ret_path[VENV_SYNC_PATH_MAX]);
void venv_pack_path(venv_id pack, char ret_path[VENV_SYNC_PATH_MAX]);

/*
 * Read and check a manifest: signed by a trusted key (VENV_EDENIED), and for this name and version (VENV_EINVAL).
 * `ret_data`: the signed bytes, to be freed; may be NULL. `trusted_only` false: *ret_trusted says whether it is.
 */
venv_rc venv_repository_manifest(venv_repository *repository, const char *name, int64_t version, bool trusted_only,
                                 venv_manifest *ret_manifest, bool *ret_trusted, uint8_t **ret_data, size_t *ret_size,
                                 venv_error *err);
/* The same checks for bytes that are at hand. */
venv_rc venv_manifest_open(const venv_trust *trust, const void *data, size_t size, bool trusted_only,
                           venv_manifest *ret_manifest, bool *ret_trusted, venv_error *err);

venv_rc venv_repository_map(venv_repository *repository, const venv_manifest *manifest, venv_map *ret_map, venv_error *err);

/* As a file: its encoding and the SHA-256 of that. */
venv_rc venv_repository_put_map(venv_repository *repository, const venv_manifest *manifest, const venv_map *map, bool exclusive,
                                venv_error *err);

/* "NAME", "NAME@latest", "NAME@VERSION": the version is looked up. */
venv_rc venv_repository_resolve(venv_repository *repository, const char *reference, char ret_name[VENV_NAME_MAX + 1],
                                int64_t *ret_version, bool *ret_latest, venv_error *err);

#endif
