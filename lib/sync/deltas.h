/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_DELTAS_H
#define VENV_SYNC_DELTAS_H

/* Making differences: chunks of a new version against what stood in their place in the one before. */

#include "sync/disk.h"
#include "sync/packs.h"
#include "sync/pool.h"

typedef struct venv_deltas {
    venv_repository *repository;
    venv_pool *pool;
    const venv_disk *disk;        /* the new content */
    const venv_manifest *newer, *older;
    const venv_map *older_map;
    int level;
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} venv_deltas;

/* Write the differences that are worth it, and add them to `map`. A base that cannot be read costs a difference, no more. */
venv_rc venv_deltas_make(const venv_deltas *deltas, venv_pack_writer *writer, venv_map *map, venv_error *err);

/*
 * The bytes of an older version that a difference is against, from its chunks. `stored` and `out` have room for VENV_CHUNK_MAX.
 * False: one of them cannot be read.
 */
bool venv_delta_base_read(venv_repository *repository, const venv_manifest *older, const venv_map *older_map, venv_zip *zip,
                          uint64_t offset, size_t length, uint8_t *stored, uint8_t *out, uint8_t *ret_base);

#endif
