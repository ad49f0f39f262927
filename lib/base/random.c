/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xoshiro256** 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018),
 * its state filled by splitmix64 as they advise.
 */
#include "base/random.h"

#include <string.h>

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

void venv_random_init(venv_random *random, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        random->s[i] = z ^ z >> 31;
    }
}

uint64_t venv_random_next(venv_random *random)
{
    uint64_t *s = random->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t venv_random_below(venv_random *random, uint64_t bound)
{
    if (bound == 0)
        return 0;
    /* Draw again from the incomplete last multiple of `bound`, so that no number is favoured. */
    uint64_t reject = (0 - bound) % bound;
    uint64_t drawn;
    do
        drawn = venv_random_next(random);
    while (drawn < reject);
    return drawn % bound;
}

venv_id venv_random_id(venv_random *random)
{
    uint64_t words[2] = { venv_random_next(random), venv_random_next(random) };
    venv_id id;
    memcpy(id.bytes, words, sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}
