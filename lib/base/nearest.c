/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nearest known word, for "did you mean": optimal string alignment distance (insert, delete,
 * replace, swap of neighbours), in two rows and a half, for words of up to WORD_MAX bytes.
 */
#include "base/text.h"

#include <string.h>

#define WORD_MAX 64

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b_size; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (unsigned i = 1; i <= a_size; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned replace = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replace, least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_size];
}

const char *venv_text_nearest(venv_str text, const char *const *words)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    if (text.size == 0 || text.size > WORD_MAX)
        return NULL;
    for (; *words; words++) {
        size_t size = strlen(*words);
        if (size == 0 || size > WORD_MAX)
            continue;
        unsigned d = distance(text.data, text.size, *words, size);
        /* Near: at most a third of the longer word, and at least one letter in common. */
        size_t longer = size > text.size ? size : text.size;
        if (d > (longer < 4 ? 1 : longer / 3) || d >= longer)
            continue;
        if (!best || d < best_distance) {
            best = *words;
            best_distance = d;
        }
    }
    return best;
}
