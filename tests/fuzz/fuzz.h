/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_FUZZ_FUZZ_H
#define VENV_FUZZ_FUZZ_H

/* What every fuzzer includes: the entry that libFuzzer calls, and a check that is never compiled out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                              \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);  \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

#endif
