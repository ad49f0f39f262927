/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4, section 6.2). Two compression functions: plain C, and the SHA extensions of x86
 * (Intel SDM volume 2, SHA256RNDS2, SHA256MSG1, SHA256MSG2).
 */
#include "base/sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x >> bits | x << (32 - bits);
}

static uint32_t load(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void compress_plain(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += VENV_SHA256_BLOCK) {
        uint32_t w[64];
        for (unsigned i = 0; i < 16; i++)
            w[i] = load(data + 4u * i);
        for (unsigned i = 16; i < 64; i++) {
            uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        uint32_t v[8];
        memcpy(v, state, sizeof v);
        for (unsigned i = 0; i < 64; i++) {
            uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
            uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
            uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
            uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += t1;
            v[0] = t1 + t2;
        }
        for (unsigned i = 0; i < 8; i++)
            state[i] += v[i];
    }
}

#if defined(__x86_64__)
static bool has_instructions(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 29)))
        return false;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 19)) && (c & (1u << 9)); /* SSE4.1, SSSE3 */
}

__attribute__((target("sha,sse4.1,ssse3"))) static void compress_hardware(uint32_t state[8], const uint8_t *data,
                                                                          size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    /* The instructions hold the state as ABEF and CDGH. */
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);

    for (; blocks > 0; blocks--, data += VENV_SHA256_BLOCK) {
        __m128i abef_before = abef, cdgh_before = cdgh, m[4];
        for (unsigned i = 0; i < 4; i++)
            m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16u * i)), swap);
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++) {
            __m128i word = m[i & 3];
            if (i >= 4) { /* the next four words of the schedule, from the last sixteen */
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(word, m[(i + 1) & 3]),
                                            _mm_alignr_epi8(m[(i + 3) & 3], m[(i + 2) & 3], 4));
                word = m[i & 3] = _mm_sha256msg2_epu32(sum, m[(i + 3) & 3]);
            }
            __m128i add = _mm_add_epi32(word, _mm_loadu_si128((const __m128i *)(const void *)(constants + 4u * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, add);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(add, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);
    high = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(high, low, 8));
}
#endif

static void compress(venv_sha256 *sha, const uint8_t *data, size_t blocks)
{
#if defined(__x86_64__)
    if (sha->hardware) {
        compress_hardware(sha->state, data, blocks);
        return;
    }
#endif
    compress_plain(sha->state, data, blocks);
}

void venv_sha256_init(venv_sha256 *sha)
{
    static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    *sha = (venv_sha256){ 0 };
    memcpy(sha->state, start, sizeof start);
#if defined(__x86_64__)
    sha->hardware = has_instructions();
#endif
}

void venv_sha256_update(venv_sha256 *sha, const void *data, size_t size)
{
    const uint8_t *at = data;
    if (size == 0)
        return;
    sha->size += size;
    if (sha->fill > 0) {
        size_t take = VENV_SHA256_BLOCK - sha->fill;
        take = take < size ? take : size;
        memcpy(sha->block + sha->fill, at, take);
        sha->fill += (uint32_t)take;
        at += take;
        size -= take;
        if (sha->fill < VENV_SHA256_BLOCK)
            return;
        compress(sha, sha->block, 1);
        sha->fill = 0;
    }
    compress(sha, at, size / VENV_SHA256_BLOCK);
    at += size / VENV_SHA256_BLOCK * VENV_SHA256_BLOCK;
    sha->fill = (uint32_t)(size % VENV_SHA256_BLOCK);
    if (sha->fill > 0)
        memcpy(sha->block, at, sha->fill);
}

void venv_sha256_final(venv_sha256 *sha, uint8_t ret_digest[VENV_SHA256_SIZE])
{
    uint64_t bits = sha->size * 8;
    uint8_t tail[2 * VENV_SHA256_BLOCK] = { 0 };
    size_t used = sha->fill, size = used < VENV_SHA256_BLOCK - 8 ? VENV_SHA256_BLOCK : 2 * VENV_SHA256_BLOCK;
    memcpy(tail, sha->block, used);
    tail[used] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        tail[size - 1 - i] = (uint8_t)(bits >> (8 * i));
    compress(sha, tail, size / VENV_SHA256_BLOCK);
    for (unsigned i = 0; i < VENV_SHA256_SIZE; i++)
        ret_digest[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

void venv_sha256_of(const void *data, size_t size, uint8_t ret_digest[VENV_SHA256_SIZE])
{
    venv_sha256 sha;
    venv_sha256_init(&sha);
    venv_sha256_update(&sha, data, size);
    venv_sha256_final(&sha, ret_digest);
}

const char *venv_sha256_text(const uint8_t digest[VENV_SHA256_SIZE], char ret_text[2 * VENV_SHA256_SIZE + 1])
{
    for (unsigned i = 0; i < VENV_SHA256_SIZE; i++) {
        ret_text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret_text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret_text[2 * VENV_SHA256_SIZE] = 0;
    return ret_text;
}
