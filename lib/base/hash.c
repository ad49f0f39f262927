/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-1-3, a keyed hash for tables (Aumasson and Bernstein, "SipHash: a fast short-input PRF",
 * 2012; one round a word and three at the end, as Rust and Python use it for tables).
 */
#include "base/table.h"

#include <string.h>

typedef struct state {
    uint64_t v0, v1, v2, v3;
} state;

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(state *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t venv_siphash13(const void *data, size_t size, uint64_t k0, uint64_t k1)
{
    state s = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573) };
    const uint8_t *at = data;
    size_t rest = size;
    for (; rest >= 8; rest -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        absorb(&s, word);
    }
    uint64_t last = (uint64_t)size << 56;
    unsigned shift = 0;
    if (rest & 4) {
        uint32_t word;
        memcpy(&word, at, 4);
        last |= word;
        at += 4;
        shift = 32;
    }
    if (rest & 2) {
        uint16_t word;
        memcpy(&word, at, 2);
        last |= (uint64_t)word << shift;
        at += 2;
        shift += 16;
    }
    if (rest & 1)
        last |= (uint64_t)*at << shift;
    absorb(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t venv_hash_bytes(const void *data, size_t size, uint64_t seed)
{
    /* The 128-bit key is the seed and its mix by the finaliser of splitmix64. */
    uint64_t mixed = seed + UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return venv_siphash13(data, size, seed, mixed ^ mixed >> 31);
}
