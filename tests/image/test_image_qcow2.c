/* SPDX-License-Identifier: Apache-2.0 */
/* T16: headers of qcow2 that reach beyond the file, and those that are merely wrong. */
#include "image/qcow2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t head[4096];

static void begin(void)
{
    venv_qcow2_layout layout;
    assert_int_equal(venv_qcow2_plan(1 << 30, 2, 100, &layout, NULL), VENV_OK);
    memset(head, 0, sizeof head);
    venv_qcow2_header(&layout, head);
}

static venv_rc parse(void)
{
    venv_qcow2 qcow2;
    return venv_qcow2_parse(head, sizeof head, 64 << 20, &qcow2, NULL);
}

struct row {
    const char *what;
    size_t at;
    uint64_t value; /* 8 bytes */
    venv_rc rc;
};

static void test_headers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "magic", 0, 0, VENV_EINVAL },
        { "version 1", 0, UINT64_C(0x514649fb00000001), VENV_EUNSUPPORTED },
        { "version 4", 0, UINT64_C(0x514649fb00000004), VENV_EUNSUPPORTED },
        { "backing file", 8, 104, VENV_EDENIED },
        { "length of a backing file", 16, (UINT64_C(9) << 32) | 16, VENV_EDENIED },
        { "clusters of 2^9", 16, 9, VENV_EINVAL },
        { "clusters of 2^22", 16, 22, VENV_EINVAL },
        { "clusters of 2^63", 16, 63, VENV_EINVAL },
        { "size of a huge disk", 24, UINT64_MAX, VENV_ELIMIT },
        { "encrypted", 32, (UINT64_C(1) << 32) | 2, VENV_EUNSUPPORTED },
        { "no L1", 32, 0, VENV_EINVAL },
        { "huge L1", 32, UINT32_MAX, VENV_EINVAL },
        { "L1 outside", 40, UINT64_C(1) << 40, VENV_EINVAL },
        { "L1 not aligned", 40, 4096 + 8, VENV_EINVAL },
        { "L1 at 0", 40, 0, VENV_EINVAL },
        { "snapshots", 56, (UINT64_C(1) << 32) | 1, VENV_EUNSUPPORTED },
        { "external data", 72, 4, VENV_EDENIED },
        { "external data and others", 72, 4 | 1 << 6, VENV_EDENIED },
        { "corrupt", 72, 2, VENV_EUNSUPPORTED },
        { "compression type", 72, 8, VENV_EUNSUPPORTED },
        { "extended L2", 72, 16, VENV_EUNSUPPORTED },
        { "an unknown feature", 72, UINT64_C(1) << 63, VENV_EUNSUPPORTED },
        { "dirty", 72, 1, VENV_OK },
        { "short header", 96, (UINT64_C(4) << 32) | 72, VENV_EINVAL },
        { "long header", 96, (UINT64_C(4) << 32) | 100000, VENV_EINVAL },
        { "extension: name of a backing format", 104, (UINT64_C(0xe2792aca) << 32) | 3, VENV_EDENIED },
        { "extension: name of an external file", 104, (UINT64_C(0x44415441) << 32) | 8, VENV_EDENIED },
        { "extension: feature names", 104, (UINT64_C(0x6803f857) << 32) | 48, VENV_OK },
        { "extension: too long", 104, (UINT64_C(0x6803f857) << 32) | UINT32_MAX, VENV_EINVAL },
    };
    begin();
    assert_int_equal(parse(), VENV_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin();
        venv_put_be64(head + rows[i].at, rows[i].value);
        if (parse() != rows[i].rc)
            fail_msg("%s: %d, not %d", rows[i].what, parse(), rows[i].rc);
    }
}

static void test_short_files(void **state)
{
    (void)state;
    venv_qcow2 qcow2;
    begin();
    for (size_t size = 0; size < VENV_QCOW2_HEADER_SIZE; size++) {
        uint8_t *exact = malloc(size + 1);
        memcpy(exact, head, size);
        assert_int_equal(venv_qcow2_parse(exact, size, size, &qcow2, NULL), VENV_EINVAL);
        free(exact);
    }
}

static void test_entries(void **state)
{
    (void)state;
    venv_qcow2 q = { .version = 3, .cluster_bits = 16 }, q2 = { .version = 2, .cluster_bits = 16 };
    uint8_t entry[8];
    uint64_t offset = 7;
    static const struct {
        uint64_t word;
        venv_rc l1, l2;
    } rows[] = {
        { 0, VENV_OK, VENV_OK },
        { 0x10000 | UINT64_C(1) << 63, VENV_OK, VENV_OK },
        { 0x10200, VENV_EINVAL, VENV_EINVAL },
        { 1 << 20, VENV_EINVAL, VENV_EINVAL }, /* at the end of the file */
        { UINT64_C(1) << 62 | 0x10000, VENV_EINVAL, VENV_EUNSUPPORTED },
        { UINT64_C(1) << 56 | 0x10000, VENV_EINVAL, VENV_EINVAL },
        { 0x10000 | 2, VENV_EINVAL, VENV_EINVAL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_put_be64(entry, rows[i].word);
        assert_int_equal(venv_qcow2_l1(&q, entry, 1 << 20, &offset, NULL), rows[i].l1);
        assert_int_equal(venv_qcow2_l2(&q, entry, 1 << 20, &offset, NULL), rows[i].l2);
    }
    venv_put_be64(entry, 0x10001); /* zeros, whatever is there */
    assert_int_equal(venv_qcow2_l2(&q, entry, 1 << 20, &offset, NULL), VENV_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(venv_qcow2_l2(&q2, entry, 1 << 20, &offset, NULL), VENV_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers), cmocka_unit_test(test_short_files), cmocka_unit_test(test_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
