/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_SHA256_H
#define VENV_BASE_SHA256_H

/*
 * SHA-256 (FIPS 180-4), streaming. Uses the SHA instructions of x86 where the processor has them. For
 * checksums and addresses of content; keys and signatures belong to lib/identity.
 */

#include <venv/common.h>

#define VENV_SHA256_SIZE 32u
#define VENV_SHA256_BLOCK 64u

typedef struct venv_sha256 {
    uint32_t state[8];
    uint64_t size;  /* bytes seen */
    uint8_t block[VENV_SHA256_BLOCK];
    uint32_t fill;  /* bytes in `block` */
    bool hardware;  /* use the instructions; may be set to false after init */
} venv_sha256;

void venv_sha256_init(venv_sha256 *sha);
void venv_sha256_update(venv_sha256 *sha, const void *data, size_t size);
void venv_sha256_final(venv_sha256 *sha, uint8_t ret_digest[VENV_SHA256_SIZE]);
/* All at once. */
void venv_sha256_of(const void *data, size_t size, uint8_t ret_digest[VENV_SHA256_SIZE]);
/* 64 lower-case hexadecimal digits and a NUL. Returns `ret_text`. */
const char *venv_sha256_text(const uint8_t digest[VENV_SHA256_SIZE], char ret_text[2 * VENV_SHA256_SIZE + 1]);

#endif
