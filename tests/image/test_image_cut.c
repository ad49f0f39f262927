/* SPDX-License-Identifier: Apache-2.0 */
/* Boundaries: where they fall, what an insertion moves, and zeros. */
#include "image/cut.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE ((size_t)8 << 20)
#define CUTS_MAX 4096

static void fill(uint8_t *data, size_t size, uint64_t seed)
{
    venv_random random;
    venv_random_init(&random, seed);
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word = venv_random_next(&random);
        memcpy(data + i, &word, 8);
    }
}

static size_t cut_all(const venv_cutter *cutter, const uint8_t *data, size_t size, size_t *ends)
{
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        size_t length = venv_cut(cutter, data + at, size - at);
        assert_true(length > 0 && length <= cutter->max && (length >= cutter->min || at + length == size));
        at += length;
        assert_true(count < CUTS_MAX);
        ends[count++] = at;
    }
    return count;
}

static void test_lengths(void **state)
{
    (void)state;
    static size_t ends[CUTS_MAX];
    uint8_t *data = malloc(SIZE);
    fill(data, SIZE, 7);
    for (uint32_t mean = 16384; mean <= 262144; mean *= 2) {
        venv_cutter cutter;
        assert_int_equal(venv_cutter_init(&cutter, mean, NULL), VENV_OK);
        size_t count = cut_all(&cutter, data, SIZE, ends), average = SIZE / count;
        assert_true(average > mean / 2 && average < mean * 3 / 2);
    }
    free(data);
}

static void test_means_refused(void **state)
{
    (void)state;
    static const uint32_t wrong[] = { 0, 1, 2048, 65535, 65537, 3u << 16, 2u << 20, UINT32_MAX };
    venv_cutter cutter;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(venv_cutter_init(&cutter, wrong[i], NULL), VENV_EINVAL);
}

/* The boundaries of format 1 are the same for ever: else nothing of old repositories would be found again. */
static void test_boundaries_are_fixed(void **state)
{
    (void)state;
    static size_t ends[CUTS_MAX];
    uint8_t *data = malloc(SIZE);
    venv_cutter cutter;
    fill(data, SIZE, 1);
    assert_int_equal(venv_cutter_init(&cutter, 65536, NULL), VENV_OK);
    size_t count = cut_all(&cutter, data, SIZE, ends);
    uint64_t sum = count;
    for (size_t i = 0; i < count; i++)
        sum = sum * 1099511628211u + ends[i];
    assert_int_equal(count, 115);
    assert_true(sum == 15555513795582027361u);
    free(data);
}

static void test_insertion(void **state)
{
    (void)state;
    static size_t before[CUTS_MAX], after[CUTS_MAX];
    uint8_t *data = malloc(SIZE), *moved = malloc(SIZE + 1000);
    venv_cutter cutter;
    size_t same = 0, at = 3000000;
    fill(data, SIZE, 3);
    memcpy(moved, data, at);
    fill(moved + at, 1000, 4);
    memcpy(moved + at + 1000, data + at, SIZE - at);
    assert_int_equal(venv_cutter_init(&cutter, 65536, NULL), VENV_OK);
    size_t a = cut_all(&cutter, data, SIZE, before), b = cut_all(&cutter, moved, SIZE + 1000, after);
    for (size_t i = 0, j = 0; i < a && j < b;) {
        size_t shifted = before[i] > at ? before[i] + 1000 : before[i];
        if (shifted == after[j]) {
            same++;
            i++;
            j++;
        } else if (shifted < after[j]) {
            i++;
        } else {
            j++;
        }
    }
    assert_true(same + 6 >= a);
    free(data);
    free(moved);
}

/* A run is found with the same bounds wherever it stands. */
static void test_zero_runs(void **state)
{
    (void)state;
    uint8_t *data = malloc(1 << 17);
    size_t start, size;
    for (size_t shift = 0; shift < 9000; shift += 37) {
        memset(data, 0xa5, 1 << 17);
        memset(data + 20000 + shift, 0, VENV_ZERO_RUN_MIN);
        assert_true(venv_zero_run(data, 1 << 17, &start, &size));
        assert_int_equal(start, 20000 + shift);
        assert_int_equal(size, VENV_ZERO_RUN_MIN);
        data[20000 + shift + 5000] = 1; /* now two that are too short */
        assert_false(venv_zero_run(data, 1 << 17, &start, &size));
    }
    for (size_t tail = 1; tail < 20000; tail += 997) {
        memset(data, 0xa5, 1 << 17);
        memset(data + (1 << 17) - tail, 0, tail);
        assert_true(venv_zero_run(data, 1 << 17, &start, &size));
        assert_int_equal(start, (1 << 17) - tail);
        assert_int_equal(size, tail);
    }
    assert_false(venv_zero_run(data, 0, &start, &size));
    assert_true(venv_is_zero(data, 0));
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_means_refused), cmocka_unit_test(test_boundaries_are_fixed),
        cmocka_unit_test(test_insertion), cmocka_unit_test(test_zero_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
