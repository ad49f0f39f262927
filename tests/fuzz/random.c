/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzzer as a plain program over random bytes, for targets whose bytes are choices and need no guidance:
 *
 *      random_NAME COUNT [SEED]
 *
 * The same seed gives the same inputs. Prints how many were run.
 */
#include "fuzz/fuzz.h"

#include "base/random.h"

#define SIZE_LARGEST 300u

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s COUNT [SEED]\n", argv[0]);
        return 2;
    }
    unsigned long count = strtoul(argv[1], NULL, 10);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (unsigned long i = 0; i < count; i++) {
        /* Each input has a seed of its own, so that one can be run alone. */
        venv_random random;
        uint8_t bytes[SIZE_LARGEST];
        venv_random_init(&random, seed + i);
        size_t size = 2 + venv_random_below(&random, SIZE_LARGEST - 2);
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)venv_random_next(&random);
        LLVMFuzzerTestOneInput(bytes, size);
    }
    printf("%lu inputs from seed %llu, no findings\n", count, (unsigned long long)seed);
    return 0;
}
