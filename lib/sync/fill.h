/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_FILL_H
#define VENV_SYNC_FILL_H

/*
 * Filling a new file with the chunks of a manifest: those that are in it, those of seeds, the rest of the repository.
 * Every chunk is checked before it counts. Also used to look only (venv_fill_check()).
 */

#include "image/chunk_index.h"
#include "sync/disk.h"
#include "sync/packs.h"
#include "sync/pool.h"

typedef struct venv_fill_worker {
    venv_zip *zip;
    uint8_t *data; /* VENV_CHUNK_MAX */
    uint8_t *base; /* VENV_ZIP_BASE_MAX */
} venv_fill_worker;

typedef struct venv_seed_place {
    uint32_t seed;
    uint64_t offset;
} venv_seed_place;

typedef struct venv_fill {
    const venv_image_options *options;
    venv_repository *repository;
    venv_pool *pool;
    const venv_manifest *manifest;
    const venv_map *map;
    const venv_disk *target;
    uint8_t *done;    /* one a chunk */
    uint32_t *next;   /* the next chunk with the same hash; 0: none */
    venv_chunk_index first; /* of the chunks */
    venv_disk seeds[VENV_IMAGE_SEEDS_MAX + 1];
    size_t seed_count;
    venv_chunk_index seeded; /* hash → number in `places` */
    venv_seed_place *places;
    size_t place_count, place_capacity;
    const venv_disk *base; /* holds version map->base, for differences; or NULL */
    venv_fill_worker *workers;
    uint64_t bytes_done, kept, copied, fetched, deltas, broken;
    bool failing;   /* a worker failed */
    venv_rc failed; /* how */
    venv_error failure;
} venv_fill;

/* `fill` has its first six members set (`map` and `target` may follow later). */
venv_rc venv_fill_init(venv_fill *fill, venv_error *err);
void venv_fill_fini(venv_fill *fill);

/* Find which chunks `disk` has in their place; `holes`: those of the manifest must be zeros there, too. */
venv_rc venv_fill_check(venv_fill *fill, const venv_disk *disk, bool holes, const char *phase, venv_error *err);

/* Add a seed, taken over; its chunks are those of `manifest`, or, if that is NULL, found by reading all of it. */
venv_rc venv_fill_seed(venv_fill *fill, venv_disk *disk, const venv_manifest *manifest, venv_error *err);
venv_rc venv_fill_copy(venv_fill *fill, venv_error *err);
/* VENV_EPROTO: chunks of the repository are broken; the others are there. */
venv_rc venv_fill_fetch(venv_fill *fill, venv_error *err);

#endif
