/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_RANDOM_H
#define VENV_BASE_RANDOM_H

/*
 * Pseudo-random numbers from a seed (xoshiro256**, Blackman and Vigna 2018), for jitter and for the
 * simulator. Not for keys: those come from the operating system, in the shell.
 */

#include <venv/common.h>

typedef struct venv_random {
    uint64_t s[4];
} venv_random;

void venv_random_init(venv_random *random, uint64_t seed);
uint64_t venv_random_next(venv_random *random);
/* 0 .. bound-1; 0 for bound 0. */
uint64_t venv_random_below(venv_random *random, uint64_t bound);
/* A version 4 id (RFC 9562). */
venv_id venv_random_id(venv_random *random);

#endif
