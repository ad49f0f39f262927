/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and their envelopes as bytes. Signing and hashing are handed in or done by the caller. */
#include "image/manifest.h"

#include "codec/cbor.h"
#include "image/cut.h"
#include "base/varint.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1

void venv_manifest_init(venv_manifest *manifest)
{
    *manifest = (venv_manifest){ .mean = VENV_CUT_MEAN_DEFAULT };
}

void venv_manifest_fini(venv_manifest *manifest)
{
    free(manifest->chunks);
    venv_manifest_init(manifest);
}

venv_rc venv_manifest_add(venv_manifest *manifest, uint64_t length, const uint8_t *hash, venv_error *err)
{
    venv_chunk *last = manifest->chunk_count > 0 ? &manifest->chunks[manifest->chunk_count - 1] : NULL;
    if (length == 0)
        return VENV_OK;
    if (length > VENV_IMAGE_SIZE_MAX - manifest->size)
        return venv_error_set(err, VENV_ELIMIT, "the image is larger than 64 TiB");
    if (!hash && last && last->hole) {
        last->length += length;
        manifest->size += length;
        return VENV_OK;
    }
    if (manifest->chunk_count == manifest->chunk_capacity) {
        size_t capacity = manifest->chunk_capacity ? manifest->chunk_capacity * 2 : 256;
        if (manifest->chunk_count >= VENV_IMAGE_CHUNKS_MAX)
            return venv_error_set(err, VENV_ELIMIT, "the image has more than %u chunks: take larger ones", VENV_IMAGE_CHUNKS_MAX);
        venv_chunk *chunks = realloc(manifest->chunks, capacity * sizeof *chunks);
        if (!chunks)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        manifest->chunks = chunks;
        manifest->chunk_capacity = capacity;
    }
    venv_chunk *chunk = &manifest->chunks[manifest->chunk_count++];
    *chunk = (venv_chunk){ .offset = manifest->size, .length = length, .hole = !hash };
    if (hash)
        memcpy(chunk->hash, hash, VENV_HASH_SIZE);
    manifest->size += length;
    return VENV_OK;
}

size_t venv_manifest_find(const venv_manifest *manifest, uint64_t offset)
{
    size_t low = 0, high = manifest->chunk_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const venv_chunk *chunk = &manifest->chunks[middle];
        if (chunk->offset + chunk->length <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void put_chunks(const venv_manifest *manifest, venv_buf *buf)
{
    for (size_t i = 0; i < manifest->chunk_count; i++) {
        const venv_chunk *chunk = &manifest->chunks[i];
        venv_varint_put(buf, chunk->length << 1 | (chunk->hole ? 1 : 0));
        if (!chunk->hole)
            venv_buf_append(buf, chunk->hash, VENV_HASH_SIZE);
    }
}

/* `buf` holds 8 bytes of room for the size, then the chunks. */
static void digest_of(uint64_t size, venv_buf *buf, venv_hash_function *hash, uint8_t ret_digest[VENV_HASH_SIZE])
{
    for (unsigned i = 0; i < 8; i++)
        buf->data[i] = (uint8_t)(size >> (56 - 8 * i));
    hash(buf->data, buf->size, ret_digest);
}

static void put_bytes(venv_map_builder *map, const char *key, const void *data, size_t size)
{
    venv_value value = venv_value_null();
    venv_rc rc = venv_value_bytes(data, size, &value, NULL);
    if (rc != VENV_OK && map->rc == VENV_OK)
        map->rc = rc;
    venv_map_put(map, key, value);
}

static const venv_cbor_options limits = { sizeof limits, 2, 64, VENV_MANIFEST_SIZE_MAX, true };

static venv_rc finish(venv_map_builder *map, venv_buf *ret_data, venv_error *err)
{
    venv_value value = venv_value_null();
    venv_rc rc = venv_map_take(map, &value, err);
    if (rc == VENV_OK)
        rc = venv_cbor_append(ret_data, &value, &limits, err);
    venv_value_unref(&value);
    return rc;
}

venv_rc venv_manifest_encode(venv_manifest *manifest, venv_hash_function *hash, venv_buf *ret_body, venv_error *err)
{
    venv_buf chunks;
    venv_map_builder map;
    static const uint8_t room[8];

    venv_buf_init(&chunks, VENV_MANIFEST_SIZE_MAX);
    venv_buf_append(&chunks, room, sizeof room);
    put_chunks(manifest, &chunks);
    if (chunks.rc != VENV_OK) {
        venv_rc rc = chunks.rc;
        venv_buf_fini(&chunks);
        return venv_error_set(err, rc, "the manifest is too large, or memory is out");
    }
    digest_of(manifest->size, &chunks, hash, manifest->digest);
    venv_map_init(&map);
    venv_map_put(&map, "format", venv_value_int(FORMAT));
    venv_map_put_z(&map, "name", manifest->name);
    venv_map_put(&map, "version", venv_value_int(manifest->version));
    venv_map_put(&map, "size", venv_value_int((int64_t)manifest->size));
    venv_map_put(&map, "created", venv_value_from_wall(manifest->created));
    venv_map_put_id(&map, "id", manifest->id);
    venv_map_put(&map, "mean", venv_value_int(manifest->mean));
    put_bytes(&map, "digest", manifest->digest, VENV_HASH_SIZE);
    put_bytes(&map, "chunks", chunks.data + sizeof room, chunks.size - sizeof room);
    venv_buf_fini(&chunks);
    return finish(&map, ret_body, err);
}

static venv_str bytes_of(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    venv_str none = { "", 0 };
    return value && venv_value_kind(value) == VENV_BYTES ? venv_value_peek_text(value) : none;
}

static venv_rc read_chunks(venv_manifest *manifest, venv_str text, venv_error *err)
{
    venv_reader reader = { (const uint8_t *)text.data, (const uint8_t *)text.data + text.size, false };
    while (reader.at < reader.end) {
        uint64_t word = venv_varint_get(&reader), length = word >> 1;
        bool hole = word & 1;
        const uint8_t *hash = hole ? NULL : venv_bytes_get(&reader, VENV_HASH_SIZE);
        bool again = hole && manifest->chunk_count > 0 && manifest->chunks[manifest->chunk_count - 1].hole;
        if (reader.failed || length == 0 || again || (!hole && length > VENV_CHUNK_MAX))
            return venv_error_set(err, VENV_EINVAL, "chunk %zu of the manifest is malformed", manifest->chunk_count);
        venv_rc rc = venv_manifest_add(manifest, length, hash, err);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

static venv_rc check_digest(const venv_manifest *manifest, venv_str chunks, venv_str digest, venv_hash_function *hash,
                            venv_error *err)
{
    uint8_t found[VENV_HASH_SIZE];
    static const uint8_t room[8];
    venv_buf buf;

    venv_buf_init(&buf, VENV_MANIFEST_SIZE_MAX);
    venv_buf_append(&buf, room, sizeof room);
    venv_buf_append(&buf, chunks.data, chunks.size);
    venv_rc rc = buf.rc;
    if (rc == VENV_OK)
        digest_of(manifest->size, &buf, hash, found);
    venv_buf_fini(&buf);
    if (rc != VENV_OK)
        return venv_error_set(err, rc, "out of memory");
    if (memcmp(found, digest.data, VENV_HASH_SIZE) != 0)
        return venv_error_set(err, VENV_EINVAL, "the digest of the manifest does not fit its chunks");
    return VENV_OK;
}

static venv_rc read_body(const venv_value *map, venv_hash_function *hash, venv_manifest *manifest, venv_error *err)
{
    venv_str name = venv_value_get_text(map, "name"), digest = bytes_of(map, "digest"), chunks = bytes_of(map, "chunks");
    const venv_value *created = venv_value_get(map, "created");
    int64_t size = venv_value_get_int(map, "size", -1), mean = venv_value_get_int(map, "mean", 0);

    if (venv_value_get_int(map, "format", 0) != FORMAT)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the manifest is of another format than %d, or none at all", FORMAT);
    manifest->version = venv_value_get_int(map, "version", 0);
    if (venv_value_count(map) != 9 || !venv_name_is_valid(name) || manifest->version < 1 ||
        manifest->version > VENV_IMAGE_VERSION_MAX || size < 0 || mean < VENV_CUT_MEAN_MIN || mean > VENV_CUT_MEAN_MAX ||
        (mean & (mean - 1)) != 0 || digest.size != VENV_HASH_SIZE || !created ||
        !venv_value_to_wall(created, &manifest->created) || !venv_value_get_id(map, "id", &manifest->id))
        return venv_error_set(err, VENV_EINVAL, "a key of the manifest is missing, unknown or malformed");
    memcpy(manifest->name, name.data, name.size);
    manifest->mean = (uint32_t)mean;
    venv_rc rc = read_chunks(manifest, chunks, err);
    if (rc == VENV_OK && manifest->size != (uint64_t)size)
        rc = venv_error_set(err, VENV_EINVAL, "the chunks of the manifest have %llu bytes, not %lld",
                            (unsigned long long)manifest->size, (long long)size);
    if (rc == VENV_OK)
        rc = check_digest(manifest, chunks, digest, hash, err);
    if (rc == VENV_OK)
        memcpy(manifest->digest, digest.data, VENV_HASH_SIZE);
    return rc;
}

venv_rc venv_manifest_decode(const void *body, size_t size, venv_hash_function *hash, venv_manifest *ret_manifest,
                             venv_error *err)
{
    venv_value map = venv_value_null();
    venv_manifest manifest;
    venv_rc rc = venv_cbor_decode(body, size, &limits, &map, err);
    if (rc != VENV_OK)
        return rc;
    venv_manifest_init(&manifest);
    rc = read_body(&map, hash, &manifest, err);
    venv_value_unref(&map);
    if (rc != VENV_OK)
        venv_manifest_fini(&manifest);
    else
        *ret_manifest = manifest;
    return rc;
}

venv_rc venv_envelope_encode(const venv_envelope *envelope, venv_buf *ret_data, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    put_bytes(&map, "body", envelope->body, envelope->body_size);
    put_bytes(&map, "key", envelope->key, VENV_KEY_ID_SIZE);
    put_bytes(&map, "signature", envelope->signature, VENV_SIGNATURE_SIZE);
    return finish(&map, ret_data, err);
}

venv_rc venv_envelope_decode(const void *data, size_t size, venv_envelope *ret_envelope, venv_error *err)
{
    venv_value map = venv_value_null();
    venv_rc rc = venv_cbor_decode(data, size, &limits, &map, err);
    if (rc != VENV_OK)
        return rc;
    venv_str body = bytes_of(&map, "body"), key = bytes_of(&map, "key"), signature = bytes_of(&map, "signature");
    /* A short text is in the value, not in the data: such a body is no manifest anyway. */
    if (venv_value_count(&map) != 3 || body.size <= VENV_VALUE_INLINE_MAX || key.size != VENV_KEY_ID_SIZE ||
        signature.size != VENV_SIGNATURE_SIZE) {
        rc = venv_error_set(err, VENV_EINVAL, "it is not a signed manifest");
    } else {
        ret_envelope->body = (const uint8_t *)body.data;
        ret_envelope->body_size = body.size;
        memcpy(ret_envelope->key, key.data, key.size);
        memcpy(ret_envelope->signature, signature.data, signature.size);
    }
    venv_value_unref(&map);
    return rc;
}
