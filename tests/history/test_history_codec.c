/* SPDX-License-Identifier: Apache-2.0 */
/* Journals, columns and chunks: what goes in comes out, to the bit; what is malformed is refused. */
#include "history/chunk.h"
#include "history/column.h"
#include "history/journal.h"

#include "base/cleanup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those before it */

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void assert_same(const venv_value *a, const venv_value *b)
{
    assert_int_equal(venv_value_kind(a), venv_value_kind(b));
    if (venv_value_kind(a) == VENV_DOUBLE) {
        double x = venv_value_peek_double(a), y = venv_value_peek_double(b);
        assert_memory_equal(&x, &y, sizeof x);
    } else {
        assert_int_equal(venv_value_compare(a, b), 0);
    }
}

/* The bytes of a column, after it was read back. */
static size_t column_size(const venv_value *values, size_t count)
{
    const venv_value **pointers = calloc(count, sizeof *pointers);
    venv_value *back = calloc(count, sizeof *back);
    venv_buf buf;
    venv_buf_init(&buf, 16u << 20);
    for (size_t i = 0; i < count; i++)
        pointers[i] = &values[i];
    venv_history_column_put(&buf, pointers, count);
    assert_int_equal(buf.rc, VENV_OK);
    venv_reader reader = { buf.data, buf.data + buf.size, false };
    assert_true(venv_history_column_get(&reader, back, count));
    assert_ptr_equal(reader.at, reader.end);
    for (size_t i = 0; i < count; i++) {
        assert_same(&values[i], &back[i]);
        venv_value_unref(&back[i]);
    }
    /* Cut anywhere it is refused. */
    for (size_t size = 0; size < buf.size; size += 1 + buf.size / 64) {
        reader = (venv_reader){ buf.data, buf.data + size, false };
        assert_false(venv_history_column_get(&reader, back, count));
    }
    size_t size = buf.size;
    venv_buf_fini(&buf);
    free(pointers);
    free(back);
    return size;
}

static void test_columns(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    venv_value values[N];
    for (int i = 0; i < N; i++)
        values[i] = venv_value_int(1 << 20);
    assert_true(column_size(values, N) <= 8);
    for (int i = 0; i < N; i++)
        values[i] = venv_value_int(4000000 + i * 3);
    assert_true(column_size(values, N) <= N + 8);
    for (int i = 0; i < N; i++)
        values[i] = venv_value_double((double)(i * 7919 % 1000) / 100.0);
    assert_true(column_size(values, N) <= 2 * N + 8);
    for (int i = 0; i < N; i++)
        values[i] = venv_value_double(sin(i));
    assert_true(column_size(values, N) <= 9 * N + 8);
    for (int i = 0; i < N; i++)
        values[i] = venv_value_literal(i % 50 < 25 ? "running" : "idle");
    assert_true(column_size(values, N) <= 4 * N / 25 + 32);
    for (int i = 0; i < N; i++)
        values[i] = venv_value_bool(i % 3 == 0);
    column_size(values, N);
}

static void test_extremes(void **unused)
{
    (void)unused;
    double zero = 0;
    const double doubles[] = { 0.0, -0.0, 1.0 / 3, -1e308, 5e-324, INFINITY, -INFINITY, zero / zero, 9007199254740993.0, 0.1, 123456.789 };
    venv_value values[24];
    for (size_t a = 0; a < VENV_COUNT_OF(doubles); a++) {
        for (size_t b = 0; b < VENV_COUNT_OF(doubles); b++) {
            values[0] = venv_value_double(doubles[a]);
            values[1] = values[2] = venv_value_double(doubles[b]);
            column_size(values, 3);
        }
    }
    const int64_t ints[] = { 0, 1, -1, INT64_MAX, INT64_MIN, 1 << 30 };
    for (size_t a = 0; a < VENV_COUNT_OF(ints); a++)
        for (size_t b = 0; b < VENV_COUNT_OF(ints); b++) {
            values[0] = venv_value_int(ints[a]);
            values[1] = venv_value_int(ints[b]);
            column_size(values, 2);
        }
    values[0] = venv_value_int(1);
    values[1] = venv_value_uint(UINT64_MAX);
    values[2] = venv_value_null();
    values[3] = venv_value_literal("");
    values[4] = venv_value_double(1);
    values[5] = venv_value_from_wall((venv_wall){ 1700000000 * VENV_NS_PER_S + 5 });
    values[6] = venv_value_from_span((venv_span){ -7 });
    values[7] = venv_value_int(1);
    column_size(values, 8);
}

static venv_value random_value(unsigned kind, unsigned series)
{
    venv_value value = venv_value_null();
    char text[32];
    switch (kind % 6) {
    case 0: return venv_value_int((int64_t)(draw() % 100) + series);
    case 1: return venv_value_double((double)(draw() % 10000) / 100);
    case 2: return venv_value_double((double)draw() / 3);
    case 3: return venv_value_bool(draw() % 4 == 0);
    case 4:
        snprintf(text, sizeof text, "text %u", (unsigned)(draw() % 40));
        assert_int_equal(venv_value_string(text, strlen(text), &value, NULL), VENV_OK);
        return value;
    default: return draw() % 2 ? venv_value_null() : venv_value_int((int64_t)draw());
    }
}

/* Random points of some series and groups, packed and unpacked. */
static void test_chunks(void **unused)
{
    (void)unused;
    for (unsigned round = 0; round < 60; round++) {
        venv_history_points in = { 0 }, out = { 0 }, kept = { 0 };
        venv_buf buf;
        venv_error err = { 0 };
        venv_buf_init(&buf, VENV_HISTORY_CHUNK_MAX);
        int64_t time = 1700000000000;
        size_t count = draw() % 3000;
        for (size_t i = 0; i < count; i++) {
            unsigned group = (unsigned)(draw() % 7), series = group * 10 + (unsigned)(draw() % 10) + 1;
            venv_quality quality = draw() % 9 ? VENV_QUALITY_OK : (venv_quality)(draw() % VENV_QUALITY__COUNT);
            venv_value value = random_value(series, series);
            time += draw() % 3 ? 0 : (int64_t)(draw() % 2000);
            assert_true(venv_history_points_add(&kept, group, series, time, quality, venv_value_ref(&value)));
            assert_true(venv_history_points_add(&in, group, series, time, quality, value));
        }
        venv_history_chunk_put(&buf, &in);
        assert_int_equal(buf.rc, VENV_OK);
        assert_int_equal(venv_history_chunk_get(buf.data, buf.size, &out, &err), VENV_OK);
        assert_int_equal(out.count, count);
        /* Each series has its own samples in order. */
        for (unsigned series = 1; series <= 70; series++) {
            size_t j = 0;
            for (size_t i = 0; i < count; i++) {
                if (kept.items[i].series != series)
                    continue;
                while (j < count && out.items[j].series != series)
                    j++;
                assert_true(j < count);
                assert_int_equal(out.items[j].time_ms, kept.items[i].time_ms);
                assert_int_equal(out.items[j].quality, kept.items[i].quality);
                assert_same(&out.items[j].value, &kept.items[i].value);
                j++;
            }
        }
        for (size_t i = 1; i < count; i++)
            assert_true(out.items[i - 1].time_ms <= out.items[i].time_ms);
        venv_history_points_clear(&out);
        /* Changed bytes are refused or give something; they never harm. */
        for (unsigned n = 0; n < 200 && buf.size > 0; n++) {
            uint8_t *copy = malloc(buf.size);
            memcpy(copy, buf.data, buf.size);
            copy[draw() % buf.size] = (uint8_t)draw();
            size_t size = draw() % 4 ? buf.size : draw() % buf.size;
            (void)venv_history_chunk_get(copy, size, &out, &err);
            venv_history_points_clear(&out);
            free(copy);
        }
        venv_history_points_fini(&in);
        venv_history_points_fini(&out);
        venv_history_points_fini(&kept);
        venv_buf_fini(&buf);
    }
}

static void test_journal(void **unused)
{
    (void)unused;
    venv_history_journal journal;
    venv_history_rows rows;
    venv_history_row row;
    venv_history_journal_init(&journal);
    uint32_t a = venv_history_journal_define(&journal, VENV_HISTORY_PROPERTY, "node1", "memfree");
    uint32_t b = venv_history_journal_define(&journal, VENV_HISTORY_AGENT, "node1", "");
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    venv_value five = venv_value_int(5), null = venv_value_null();
    venv_history_journal_sample(&journal, a, (venv_wall){ 7000000 }, VENV_QUALITY_OK, &five);
    venv_history_journal_sample(&journal, b, (venv_wall){ 7000000 }, VENV_QUALITY_ABSENT, &null);
    venv_history_journal_sample(&journal, a, (venv_wall){ 3000000 }, VENV_QUALITY_STALE, &five);
    venv_history_journal_sample(&journal, 0, (venv_wall){ 3000000 }, VENV_QUALITY_STALE, &five);
    assert_int_equal(journal.dropped, 1);
    venv_history_rows_init(&rows, journal.bytes.data, journal.bytes.size);
    assert_true(venv_history_rows_next(&rows, &row) && row.is_definition && row.series == 1);
    assert_memory_equal(row.subject.data, "node1", 5);
    assert_memory_equal(row.label.data, "memfree", 7);
    assert_true(venv_history_rows_next(&rows, &row) && row.is_definition && row.kind == VENV_HISTORY_AGENT);
    assert_true(venv_history_rows_next(&rows, &row) && row.series == 1 && row.time_ms == 7 && row.quality == VENV_QUALITY_OK);
    assert_true(venv_history_rows_next(&rows, &row) && row.series == 2 && row.time_ms == 7 && row.quality == VENV_QUALITY_ABSENT);
    assert_true(venv_history_rows_next(&rows, &row) && row.series == 1 && row.time_ms == 3 && row.quality == VENV_QUALITY_STALE);
    assert_false(venv_history_rows_next(&rows, &row));
    assert_false(rows.reader.failed);
    /* Full: what is there stays whole, the rest is counted. */
    venv_history_journal_clear(&journal);
    uint64_t dropped = journal.dropped;
    for (unsigned i = 0; i < VENV_HISTORY_JOURNAL_MAX / 2; i++)
        venv_history_journal_sample(&journal, a, (venv_wall){ (int64_t)i * 1000000 }, VENV_QUALITY_OK, &five);
    assert_true(journal.dropped > dropped);
    assert_true(journal.bytes.size <= VENV_HISTORY_JOURNAL_MAX);
    unsigned count = 0;
    venv_history_rows_init(&rows, journal.bytes.data, journal.bytes.size);
    while (venv_history_rows_next(&rows, &row))
        assert_int_equal(row.time_ms, count++);
    assert_false(rows.reader.failed);
    assert_int_equal(count, VENV_HISTORY_JOURNAL_MAX / 2 - (journal.dropped - dropped));
    char *longer = calloc(1, VENV_HISTORY_TEXT_MAX + 2);
    memset(longer, 'x', VENV_HISTORY_TEXT_MAX + 1);
    assert_int_equal(venv_history_journal_define(&journal, VENV_HISTORY_PROPERTY, longer, ""), 0);
    free(longer);
    venv_history_journal_fini(&journal);
}

static void test_crc(void **unused)
{
    (void)unused;
    assert_int_equal(venv_history_crc(0, "123456789", 9), 0xe3069283u); /* RFC 3720, and every catalogue of check sums */
    assert_int_equal(venv_history_crc(venv_history_crc(0, "1234", 4), "56789", 5), 0xe3069283u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns), cmocka_unit_test(test_extremes), cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_journal), cmocka_unit_test(test_crc),
    };
    return cmocka_run_group_tests_name("history: journals and chunks", tests, NULL, NULL);
}
