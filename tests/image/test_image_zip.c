/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks packed and unpacked; and everything that is not what was packed. */
#include "image/zip.h"

#include "base/random.h"
#include "image/cut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#define SIZE 65536u

struct rig {
    venv_zip *zip;
    uint8_t *data, *base, *packed, *out;
    venv_random random;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_int_equal(venv_zip_new(3, &rig->zip, NULL), VENV_OK);
    rig->data = malloc(SIZE);
    rig->base = malloc(2 * SIZE);
    rig->packed = malloc(venv_zip_bound(VENV_CHUNK_MAX));
    rig->out = malloc(SIZE + 64);
    venv_random_init(&rig->random, 5);
    for (size_t i = 0; i < SIZE; i++)
        rig->data[i] = (uint8_t)("the quick brown fox jumps"[venv_random_below(&rig->random, 25)]);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    venv_zip_free(rig->zip);
    free(rig->data);
    free(rig->base);
    free(rig->packed);
    free(rig->out);
    free(rig);
    return 0;
}

static void test_round_trip(void **state)
{
    struct rig *rig = *state;
    size_t size;
    for (size_t length = 1; length <= SIZE; length = length * 3 + 1) {
        assert_int_equal(venv_zip_pack(rig->zip, rig->data, length, NULL, 0, rig->packed, &size, NULL), VENV_OK);
        assert_true(size <= length);
        memset(rig->out, 0xee, SIZE + 64);
        assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, size, NULL, 0, rig->out, length, NULL), VENV_OK);
        assert_memory_equal(rig->out, rig->data, length);
        assert_int_equal(rig->out[length], 0xee);
    }
}

static void test_difference(void **state)
{
    struct rig *rig = *state;
    size_t alone, size;
    for (size_t i = 0; i < SIZE; i++)
        rig->data[i] = (uint8_t)venv_random_next(&rig->random);
    memset(rig->base, 1, 2 * SIZE);
    memcpy(rig->base + 777, rig->data, SIZE); /* moved, and one block changed */
    memset(rig->data + 20000, 0x77, 4096);
    assert_int_equal(venv_zip_pack(rig->zip, rig->data, SIZE, NULL, 0, rig->packed, &alone, NULL), VENV_OK);
    assert_int_equal(venv_zip_pack(rig->zip, rig->data, SIZE, rig->base, 2 * SIZE, rig->packed, &size, NULL), VENV_OK);
    assert_true(size < 300 && alone > SIZE - 5000);
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, size, rig->base, 2 * SIZE, rig->out, SIZE, NULL), VENV_OK);
    assert_memory_equal(rig->out, rig->data, SIZE);
    /* Against another base it is not the content, or fails: the caller checks the hash. */
    rig->base[777 + 100] ^= 1;
    if (venv_zip_unpack(rig->zip, rig->packed, size, rig->base, 2 * SIZE, rig->out, SIZE, NULL) == VENV_OK)
        assert_memory_not_equal(rig->out, rig->data, SIZE);
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, size, NULL, 0, rig->out, SIZE, NULL), VENV_EINVAL);
}

/* T23: what promises or holds more than the manifest says, or another frame after it. */
static void test_bombs(void **state)
{
    struct rig *rig = *state;
    static const size_t ratios[] = { 1000, 10000, 100000, 1000000 };
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        size_t size = ratios[i] * 32;
        uint8_t *zeros = calloc(1, size), *bomb = malloc(ZSTD_compressBound(size));
        size_t packed = ZSTD_compress(bomb, ZSTD_compressBound(size), zeros, size, 19);
        assert_false(ZSTD_isError(packed));
        memset(rig->out, 0xee, SIZE + 64);
        for (size_t told = packed + 1; told <= SIZE; told = told * 2 + 1)
            if (told != size)
                assert_int_equal(venv_zip_unpack(rig->zip, bomb, packed, NULL, 0, rig->out, told, NULL), VENV_EINVAL);
        for (size_t j = SIZE; j < SIZE + 64; j++)
            assert_int_equal(rig->out[j], 0xee);
        free(zeros);
        free(bomb);
    }
}

static void test_malformed(void **state)
{
    struct rig *rig = *state;
    size_t size;
    assert_int_equal(venv_zip_pack(rig->zip, rig->data, SIZE, NULL, 0, rig->packed, &size, NULL), VENV_OK);
    /* Cut, trailed by a byte, by itself, and with a size that is wrong by one. */
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, size - 1, NULL, 0, rig->out, SIZE, NULL), VENV_EINVAL);
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, size + 1, NULL, 0, rig->out, SIZE, NULL), VENV_EINVAL);
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, size, NULL, 0, rig->out, SIZE - 1, NULL), VENV_EINVAL);
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, size, NULL, 0, rig->out, SIZE + 1, NULL), VENV_EINVAL);
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, 0, NULL, 0, rig->out, SIZE, NULL), VENV_EINVAL);
    assert_int_equal(venv_zip_unpack(rig->zip, rig->packed, SIZE + 1, NULL, 0, rig->out, SIZE, NULL), VENV_EINVAL);
    for (int i = 0; i < 2000; i++) { /* flipped bits: never beyond the end, whatever it becomes */
        size_t at = (size_t)venv_random_below(&rig->random, size);
        uint8_t bit = (uint8_t)(1u << venv_random_below(&rig->random, 8));
        rig->packed[at] ^= bit;
        memset(rig->out + SIZE, 0xee, 64);
        venv_rc rc = venv_zip_unpack(rig->zip, rig->packed, size, NULL, 0, rig->out, SIZE, NULL);
        assert_true(rc == VENV_OK || rc == VENV_EINVAL);
        assert_int_equal(rig->out[SIZE], 0xee);
        rig->packed[at] ^= bit;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_difference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bombs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
