/* SPDX-License-Identifier: Apache-2.0 */
/* Maps as bytes. Nothing here trusts them: every number is bounded by the manifest or by a limit. */
#include "image/map.h"

#include "codec/cbor.h"
#include "image/cut.h"
#include "base/varint.h"
#include "image/zip.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1

void venv_map_fini_all(venv_map *map)
{
    free(map->packs);
    free(map->places);
    free(map->deltas);
    *map = (venv_map){ 0 };
}

venv_rc venv_map_pack(venv_map *map, venv_id pack, uint32_t *ret_index, venv_error *err)
{
    /* The newest first: neighbours are in one pack nearly always. */
    for (size_t i = map->pack_count; i-- > 0;)
        if (venv_id_equal(map->packs[i], pack)) {
            *ret_index = (uint32_t)i;
            return VENV_OK;
        }
    if (map->pack_count == VENV_MAP_PACKS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the image lies in more than %u packs", VENV_MAP_PACKS_MAX);
    venv_id *packs = realloc(map->packs, (map->pack_count + 1) * sizeof *packs);
    if (!packs)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    map->packs = packs;
    packs[map->pack_count] = pack;
    *ret_index = (uint32_t)map->pack_count++;
    return VENV_OK;
}

static void put_place(venv_buf *buf, const venv_place *place, uint64_t *ends)
{
    venv_varint_put(buf, place->pack);
    venv_varint_put_signed(buf, (int64_t)(place->offset - ends[place->pack]));
    venv_varint_put(buf, place->stored);
    ends[place->pack] = place->offset + place->stored;
}

static void put_bytes(venv_map_builder *map, const char *key, const venv_buf *buf)
{
    venv_value value = venv_value_null();
    venv_rc rc = buf->rc == VENV_OK ? venv_value_bytes(buf->data, buf->size, &value, NULL) : buf->rc;
    if (rc != VENV_OK && map->rc == VENV_OK)
        map->rc = rc;
    venv_map_put(map, key, value);
}

static const venv_cbor_options limits = { sizeof limits, 2, 64, VENV_MAP_SIZE_MAX, true };

venv_rc venv_map_encode(const venv_map *map, const venv_manifest *manifest, venv_buf *ret_data, venv_error *err)
{
    venv_buf packs, places, deltas;
    venv_map_builder builder;
    venv_value value = venv_value_null();
    uint64_t *ends = calloc(map->pack_count ? map->pack_count : 1, sizeof *ends);

    if (!ends)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_buf_init(&packs, VENV_MAP_SIZE_MAX);
    venv_buf_init(&places, VENV_MAP_SIZE_MAX);
    venv_buf_init(&deltas, VENV_MAP_SIZE_MAX);
    for (size_t i = 0; i < map->pack_count; i++)
        venv_buf_append(&packs, map->packs[i].bytes, sizeof map->packs[i].bytes);
    for (size_t i = 0; i < map->place_count; i++)
        if (!manifest->chunks[i].hole)
            put_place(&places, &map->places[i], ends);
    uint32_t last = 0;
    for (size_t i = 0; i < map->delta_count; i++) {
        const venv_delta *delta = &map->deltas[i];
        venv_varint_put(&deltas, delta->chunk - last);
        put_place(&deltas, &delta->place, ends);
        venv_varint_put_signed(&deltas, (int64_t)(delta->base_offset - manifest->chunks[delta->chunk].offset));
        venv_varint_put(&deltas, delta->base_length);
        last = delta->chunk;
    }
    free(ends);
    venv_map_init(&builder);
    venv_map_put(&builder, "format", venv_value_int(FORMAT));
    venv_map_put(&builder, "base", venv_value_int(map->base));
    put_bytes(&builder, "packs", &packs);
    put_bytes(&builder, "places", &places);
    put_bytes(&builder, "deltas", &deltas);
    venv_buf_fini(&packs);
    venv_buf_fini(&places);
    venv_buf_fini(&deltas);
    venv_rc rc = venv_map_take(&builder, &value, err);
    if (rc == VENV_OK)
        rc = venv_cbor_append(ret_data, &value, &limits, err);
    venv_value_unref(&value);
    return rc;
}

static bool get_place(venv_reader *reader, const venv_map *map, uint64_t length, uint64_t *ends, venv_place *ret_place)
{
    uint64_t pack = venv_varint_get(reader);
    int64_t step = venv_varint_get_signed(reader);
    uint64_t stored = venv_varint_get(reader);
    if (reader->failed || pack >= map->pack_count || stored == 0 || stored > length)
        return false;
    uint64_t offset = ends[pack] + (uint64_t)step; /* wraps round where the step is negative */
    if (offset > VENV_PACK_SIZE_MAX || offset + stored > VENV_PACK_SIZE_MAX)
        return false;
    ends[pack] = offset + stored;
    *ret_place = (venv_place){ offset, (uint32_t)pack, (uint32_t)stored };
    return true;
}

static bool get_deltas(venv_reader *reader, const venv_manifest *manifest, venv_map *map, uint64_t *ends)
{
    uint64_t chunk = 0;
    while (reader->at < reader->end) {
        uint64_t step = venv_varint_get(reader);
        if ((step == 0 && map->delta_count > 0) || step >= manifest->chunk_count - chunk)
            return false;
        chunk += step;
        const venv_chunk *of = &manifest->chunks[chunk];
        venv_delta *delta = &map->deltas[map->delta_count];
        if (of->hole || !get_place(reader, map, of->length, ends, &delta->place))
            return false;
        uint64_t base = of->offset + (uint64_t)venv_varint_get_signed(reader), length = venv_varint_get(reader);
        if (reader->failed || length == 0 || length > VENV_ZIP_BASE_MAX || base > VENV_IMAGE_SIZE_MAX)
            return false;
        delta->chunk = (uint32_t)chunk;
        delta->base_offset = base;
        delta->base_length = (uint32_t)length;
        map->delta_count++;
    }
    return true;
}

static venv_str bytes_of(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    venv_str none = { "", 0 };
    return value && venv_value_kind(value) == VENV_BYTES ? venv_value_peek_text(value) : none;
}

static bool is_bytes(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    return value && venv_value_kind(value) == VENV_BYTES;
}

static venv_reader reader_of(venv_str text)
{
    return (venv_reader){ (const uint8_t *)text.data, (const uint8_t *)text.data + text.size, false };
}

static venv_rc read_map(const venv_value *value, const venv_manifest *manifest, venv_map *map, venv_error *err)
{
    venv_str packs = bytes_of(value, "packs"), places = bytes_of(value, "places"), deltas = bytes_of(value, "deltas");
    venv_reader reader = reader_of(places);
    size_t pack_count = packs.size / sizeof(venv_id), chunk_count = manifest->chunk_count;

    map->base = venv_value_get_int(value, "base", -1);
    if (venv_value_get_int(value, "format", 0) != FORMAT || venv_value_count(value) != 5 || map->base < 0 ||
        !is_bytes(value, "packs") || !is_bytes(value, "places") || !is_bytes(value, "deltas") ||
        packs.size % sizeof(venv_id) != 0 || pack_count > VENV_MAP_PACKS_MAX)
        return venv_error_set(err, VENV_EINVAL, "the map of the image is malformed, or of another format than %d", FORMAT);
    map->packs = malloc(packs.size + 1);
    map->places = calloc(chunk_count + 1, sizeof *map->places);
    /* A delta takes six bytes at least. */
    map->deltas = calloc(deltas.size / 6 + 1, sizeof *map->deltas);
    uint64_t *ends = calloc(pack_count + 1, sizeof *ends);
    if (!map->packs || !map->places || !map->deltas || !ends) {
        free(ends);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    memcpy(map->packs, packs.data, packs.size);
    map->pack_count = pack_count;
    map->place_count = chunk_count;
    bool right = true;
    for (size_t i = 0; i < chunk_count && right; i++)
        if (!manifest->chunks[i].hole)
            right = get_place(&reader, map, manifest->chunks[i].length, ends, &map->places[i]);
    right = right && reader.at == reader.end;
    reader = reader_of(deltas);
    right = right && (deltas.size == 0 || map->base > 0) && get_deltas(&reader, manifest, map, ends);
    free(ends);
    return right ? VENV_OK : venv_error_set(err, VENV_EINVAL, "the map of the image is malformed, or of another image");
}

venv_rc venv_map_decode(const void *data, size_t size, const venv_manifest *manifest, venv_map *ret_map, venv_error *err)
{
    venv_value value = venv_value_null();
    venv_map map = { 0 };
    venv_rc rc = venv_cbor_decode(data, size, &limits, &value, err);
    if (rc != VENV_OK)
        return rc;
    rc = read_map(&value, manifest, &map, err);
    venv_value_unref(&value);
    if (rc != VENV_OK)
        venv_map_fini_all(&map);
    else
        *ret_map = map;
    return rc;
}
