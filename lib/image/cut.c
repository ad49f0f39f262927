/* SPDX-License-Identifier: Apache-2.0 */
/* Boundaries of chunks and of holes. It reads bytes only; who has them is the business of lib/sync. */
#include "image/cut.h"

#include <string.h>

#define ZERO_STEP 4096u /* a run of VENV_ZERO_RUN_MIN holds at least one whole step */

/* SplitMix64 (Steele, Lea, Flood 2014): the table is the same everywhere, as the boundaries must be. */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

venv_rc venv_cutter_init(venv_cutter *cutter, uint32_t mean, venv_error *err)
{
    uint64_t state = 0x76656e76; /* "venv" */
    if (mean < VENV_CUT_MEAN_MIN || mean > VENV_CUT_MEAN_MAX || (mean & (mean - 1)) != 0)
        return venv_error_set(err, VENV_EINVAL, "the mean size of a chunk must be a power of two from %u to %u, not %u",
                              VENV_CUT_MEAN_MIN, VENV_CUT_MEAN_MAX, mean);
    for (unsigned i = 0; i < 256; i++)
        cutter->gear[i] = split_mix(&state);
    unsigned bits = (unsigned)__builtin_ctz(mean);
    /* The upper bits depend on all of the last 64 bytes. */
    cutter->mask_early = ~UINT64_C(0) << (64 - (bits + 2));
    cutter->mask_late = ~UINT64_C(0) << (64 - (bits - 2));
    cutter->min = mean / 4;
    cutter->mean = mean;
    cutter->max = mean * 4;
    return VENV_OK;
}

size_t venv_cut(const venv_cutter *cutter, const uint8_t *data, size_t size)
{
    size_t end = size < cutter->max ? size : cutter->max;
    size_t middle = end < cutter->mean ? end : cutter->mean;
    size_t i = cutter->min;
    uint64_t hash = 0;

    if (end <= cutter->min)
        return end;
    for (; i < middle; i++) {
        hash = (hash << 1) + cutter->gear[data[i]];
        if ((hash & cutter->mask_early) == 0)
            return i + 1;
    }
    for (; i < end; i++) {
        hash = (hash << 1) + cutter->gear[data[i]];
        if ((hash & cutter->mask_late) == 0)
            return i + 1;
    }
    return end;
}

bool venv_is_zero(const uint8_t *data, size_t size)
{
    /* A block is all zeros if its first byte is and it equals itself moved by one. */
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

bool venv_zero_run(const uint8_t *data, size_t size, size_t *ret_start, size_t *ret_size)
{
    size_t at = 0;
    while (at + ZERO_STEP <= size) {
        if (!venv_is_zero(data + at, ZERO_STEP)) {
            at += ZERO_STEP;
            continue;
        }
        size_t start = at, end = at + ZERO_STEP;
        while (start > 0 && data[start - 1] == 0)
            start--;
        while (end + ZERO_STEP <= size && venv_is_zero(data + end, ZERO_STEP))
            end += ZERO_STEP;
        while (end < size && data[end] == 0)
            end++;
        if (end - start >= VENV_ZERO_RUN_MIN || end == size) {
            *ret_start = start;
            *ret_size = end - start;
            return true;
        }
        at = end;
    }
    /* Zeros at the very end may be the beginning of a run. */
    size_t start = size;
    while (start > 0 && data[start - 1] == 0)
        start--;
    if (start == size)
        return false;
    *ret_start = start;
    *ret_size = size - start;
    return true;
}
