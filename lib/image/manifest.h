/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_MANIFEST_H
#define VENV_IMAGE_MANIFEST_H

/*
 * What an image consists of: its name, version and size, and the hash of each chunk in order.
 *
 *      envelope (CBOR) = { "body": bytes, "key": 8 bytes, "signature": 64 bytes }
 *      body (CBOR)     = { "chunks": bytes, "created": timestamp, "digest": 32 bytes, "format": 1,
 *                          "id": 16 bytes, "mean": int, "name": text, "size": int, "version": int }
 *      chunks          = for each: varint (length * 2 + is a hole), and 32 bytes of SHA-256 unless it is one
 *
 * The signature is Ed25519 over VENV_MANIFEST_CONTEXT and the body. Where chunks are stored is no part of it: see
 * map.h. The digest is the name of the content: SHA-256 over the size (8 bytes, big-endian) and the chunks.
 */

#include "base/buf.h"
#include <venv/common.h>

#define VENV_HASH_SIZE 32
#define VENV_SIGNATURE_SIZE 64
#define VENV_KEY_ID_SIZE 8
#define VENV_MANIFEST_CONTEXT "venv image manifest 1\n"
#define VENV_MANIFEST_SIZE_MAX ((size_t)512 << 20)
#define VENV_IMAGE_CHUNKS_MAX (8u << 20)
#define VENV_IMAGE_SIZE_MAX (UINT64_C(1) << 46) /* 64 TiB */
#define VENV_IMAGE_VERSION_MAX INT64_C(999999999)

/* SHA-256, handed in: lib/identity has it. */
typedef void venv_hash_function(const void *data, size_t size, uint8_t ret_hash[VENV_HASH_SIZE]);

typedef struct venv_chunk {
    uint64_t offset; /* in the image */
    uint64_t length; /* of a chunk of data at most VENV_CHUNK_MAX */
    uint8_t hash[VENV_HASH_SIZE];
    bool hole; /* nothing but zeros: it has no hash, and is not stored */
} venv_chunk;

typedef struct venv_manifest {
    char name[VENV_NAME_MAX + 1];
    int64_t version;
    uint64_t size;
    venv_wall created;
    venv_id id; /* of the map that says where its chunks are */
    uint32_t mean;
    uint8_t digest[VENV_HASH_SIZE];
    venv_chunk *chunks;
    size_t chunk_count, chunk_capacity;
} venv_manifest;

void venv_manifest_init(venv_manifest *manifest);
void venv_manifest_fini(venv_manifest *manifest);

/* Add at the end; neighbouring holes become one. VENV_ELIMIT, VENV_ENOMEM. */
venv_rc venv_manifest_add(venv_manifest *manifest, uint64_t length, const uint8_t *hash, venv_error *err);

/* The body. Sets `digest`. */
venv_rc venv_manifest_encode(venv_manifest *manifest, venv_hash_function *hash, venv_buf *ret_body, venv_error *err);

/* VENV_EINVAL with what is wrong: strict, bounded, the digest must fit. `ret_manifest` is made here. */
venv_rc venv_manifest_decode(const void *body, size_t size, venv_hash_function *hash, venv_manifest *ret_manifest,
                             venv_error *err);

typedef struct venv_envelope {
    const uint8_t *body; /* into the data */
    size_t body_size;
    uint8_t key[VENV_KEY_ID_SIZE];
    uint8_t signature[VENV_SIGNATURE_SIZE];
} venv_envelope;

venv_rc venv_envelope_encode(const venv_envelope *envelope, venv_buf *ret_data, venv_error *err);
venv_rc venv_envelope_decode(const void *data, size_t size, venv_envelope *ret_envelope, venv_error *err);

/* The first chunk that ends after `offset`; chunk_count if there is none. */
size_t venv_manifest_find(const venv_manifest *manifest, uint64_t offset);

#endif
