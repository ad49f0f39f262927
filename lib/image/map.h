/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_MAP_H
#define VENV_IMAGE_MAP_H

/*
 * Where the chunks of one manifest are stored: packs, and places in them.
 *
 *      map (CBOR) = { "base": int, "deltas": bytes, "format": 1, "packs": bytes (16 each), "places": bytes }
 *      places     = for each chunk that is no hole: varint pack; signed varint offset, counted from the end of
 *                   the place before it in the same pack; varint stored bytes
 *      deltas     = for each: varint chunks since the one before; pack, offset and stored bytes as above; signed varint:
 *                   from the chunk's offset to that of its base in version "base"; varint length of the base
 *
 * A map is not signed: whatever it leads to is checked against the manifest. So a repository may move chunks
 * (repair, collection of garbage) without the key.
 */

#include "image/manifest.h"

#define VENV_MAP_PACKS_MAX 65536u
#define VENV_PACK_SIZE_MAX (UINT64_C(1) << 32)
#define VENV_MAP_SIZE_MAX ((size_t)512 << 20)

typedef struct venv_place {
    uint64_t offset; /* in the pack */
    uint32_t pack;   /* index in `packs` */
    uint32_t stored; /* bytes; the chunk's length: it is not compressed. 0: a hole */
} venv_place;

/* A chunk as the difference to bytes of an older version. */
typedef struct venv_delta {
    uint32_t chunk;
    uint32_t base_length;
    uint64_t base_offset;
    venv_place place;
} venv_delta;

typedef struct venv_map {
    venv_id *packs;
    size_t pack_count;
    venv_place *places; /* one for each chunk of the manifest */
    size_t place_count;
    int64_t base; /* the version that deltas are against; 0: there are none */
    venv_delta *deltas; /* by chunk */
    size_t delta_count;
} venv_map;

void venv_map_fini_all(venv_map *map);

/* Index of a pack, added if it is new. VENV_ELIMIT, VENV_ENOMEM. */
venv_rc venv_map_pack(venv_map *map, venv_id pack, uint32_t *ret_index, venv_error *err);

venv_rc venv_map_encode(const venv_map *map, const venv_manifest *manifest, venv_buf *ret_data, venv_error *err);
/* VENV_EINVAL: malformed, or of another manifest. */
venv_rc venv_map_decode(const void *data, size_t size, const venv_manifest *manifest, venv_map *ret_map, venv_error *err);

#endif
