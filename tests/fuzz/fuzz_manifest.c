/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests, envelopes and maps of a hostile repository: what is accepted is within its bounds and gives the same bytes
 * again; what is refused leaves nothing behind.
 */
#include "fuzz/fuzz.h"

#include "image/cut.h"
#include "image/map.h"

#include <string.h>

/* Any function will do for a hash here, and one that is always the same lets the digest through. */
static void no_hash(const void *data, size_t size, uint8_t ret_hash[VENV_HASH_SIZE])
{
    (void)data;
    (void)size;
    memset(ret_hash, 0x5a, VENV_HASH_SIZE);
}

static void check_map(const venv_manifest *manifest, const uint8_t *data, size_t size)
{
    venv_map map;
    if (venv_map_decode(data, size, manifest, &map, NULL) != VENV_OK)
        return;
    for (size_t i = 0; i < map.place_count; i++)
        FUZZ_CHECK(manifest->chunks[i].hole ||
                   (map.places[i].pack < map.pack_count && map.places[i].stored <= manifest->chunks[i].length));
    for (size_t i = 0; i < map.delta_count; i++)
        FUZZ_CHECK(map.deltas[i].chunk < manifest->chunk_count && map.deltas[i].place.pack < map.pack_count);
    venv_map_fini_all(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    venv_manifest manifest;
    venv_envelope envelope;
    venv_buf again;
    size_t split = size > 2 ? (size_t)(data[0] | data[1] << 8) : 0;

    if (venv_envelope_decode(data, size, &envelope, NULL) == VENV_OK)
        FUZZ_CHECK(envelope.body >= data && envelope.body + envelope.body_size <= data + size);
    if (split + 2 > size)
        return 0;
    /* Two bytes of length, a body, a map for it. */
    if (venv_manifest_decode(data + 2, split, no_hash, &manifest, NULL) != VENV_OK)
        return 0;
    FUZZ_CHECK(venv_name_is_valid((venv_str){ manifest.name, strlen(manifest.name) }));
    uint64_t at = 0;
    for (size_t i = 0; i < manifest.chunk_count; i++) {
        FUZZ_CHECK(manifest.chunks[i].offset == at && manifest.chunks[i].length > 0);
        FUZZ_CHECK(manifest.chunks[i].hole || manifest.chunks[i].length <= VENV_CHUNK_MAX);
        at += manifest.chunks[i].length;
    }
    FUZZ_CHECK(at == manifest.size);
    venv_buf_init(&again, size);
    FUZZ_CHECK(venv_manifest_encode(&manifest, no_hash, &again, NULL) == VENV_OK);
    FUZZ_CHECK(again.size == split && memcmp(again.data, data + 2, split) == 0);
    venv_buf_fini(&again);
    check_map(&manifest, data + 2 + split, size - 2 - split);
    venv_manifest_fini(&manifest);
    return 0;
}
