/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history's bytes, as they stand in files that may be damaged: journals, chunks, columns. The first byte says which. What is
 * read is in its bounds; a chunk that is read and packed again gives the same samples, each series in its order.
 */
#include "fuzz/fuzz.h"

#include "history/chunk.h"
#include "history/column.h"
#include "history/journal.h"
#include "history/series.h"

#include <string.h>

enum { COLUMN_MAX = 4096 };

static void read_journal(const uint8_t *data, size_t size)
{
    venv_history_rows rows;
    venv_history_row row;
    venv_history_catalog catalog = { 0 };
    venv_history_rows_init(&rows, data, size);
    while (venv_history_rows_next(&rows, &row)) {
        if (!row.is_definition) {
            FUZZ_CHECK(row.quality < VENV_QUALITY__COUNT);
            venv_value_unref(&row.value);
            continue;
        }
        FUZZ_CHECK(row.kind < VENV_HISTORY_KIND__COUNT && row.subject.size <= VENV_HISTORY_TEXT_MAX && row.label.size <= VENV_HISTORY_TEXT_MAX);
        if (venv_history_catalog_define(&catalog, row.series, row.kind, row.subject, row.label))
            FUZZ_CHECK(venv_history_catalog_find(&catalog, row.series) != NULL);
    }
    FUZZ_CHECK(rows.reader.failed || rows.reader.at == rows.reader.end);
    venv_history_catalog_fini(&catalog);
}

/* The next point of a series from `*at` on. */
static const venv_history_point *next_of(const venv_history_points *points, uint32_t series, size_t *at)
{
    while (*at < points->count && points->items[*at].series != series)
        (*at)++;
    return *at < points->count ? &points->items[(*at)++] : NULL;
}

static void check_same(const venv_history_points *one, const venv_history_points *other)
{
    FUZZ_CHECK(one->count == other->count);
    for (size_t i = 0; i < one->count && i < 8; i++) {
        size_t at = 0, same = 0;
        uint32_t series = one->items[i].series;
        const venv_history_point *a, *b;
        while ((a = next_of(one, series, &at))) {
            b = next_of(other, series, &same);
            FUZZ_CHECK(b && a->time_ms == b->time_ms && a->quality == b->quality);
            FUZZ_CHECK(venv_value_kind(&a->value) == venv_value_kind(&b->value) && venv_value_compare(&a->value, &b->value) == 0);
        }
    }
}

static void read_chunk(const uint8_t *data, size_t size)
{
    venv_history_points points = { 0 }, copy = { 0 }, again = { 0 };
    venv_buf buf;
    if (venv_history_chunk_get(data, size, &points, NULL) != VENV_OK) {
        FUZZ_CHECK(points.count == 0);
        venv_history_points_fini(&points);
        return;
    }
    FUZZ_CHECK(points.count <= VENV_HISTORY_POINTS_MAX);
    bool kept = true;
    for (size_t i = 0; i < points.count; i++) {
        const venv_history_point *p = &points.items[i];
        FUZZ_CHECK(p->quality < VENV_QUALITY__COUNT && (i == 0 || points.items[i - 1].time_ms <= p->time_ms));
        kept = kept && venv_history_points_add(&copy, p->group, p->series, p->time_ms, p->quality, venv_value_ref(&p->value));
    }
    venv_buf_init(&buf, VENV_HISTORY_CHUNK_MAX);
    venv_history_chunk_put(&buf, &copy);
    if (kept && buf.rc == VENV_OK) {
        FUZZ_CHECK(venv_history_chunk_get(buf.data, buf.size, &again, NULL) == VENV_OK);
        check_same(&points, &again);
    }
    venv_buf_fini(&buf);
    venv_history_points_fini(&again);
    venv_history_points_fini(&copy);
    venv_history_points_fini(&points);
}

/* Two bytes of length, then a column; what is read is packed and read again. */
static void read_column(const uint8_t *data, size_t size)
{
    static venv_value values[COLUMN_MAX], again[COLUMN_MAX];
    const venv_value *borrowed[COLUMN_MAX];
    size_t count = size >= 2 ? (size_t)(data[0] | data[1] << 8) % COLUMN_MAX : 0;
    if (size < 2)
        return;
    venv_reader reader = { data + 2, data + size, false };
    if (!venv_history_column_get(&reader, values, count)) {
        FUZZ_CHECK(reader.failed);
        return;
    }
    for (size_t i = 0; i < count; i++)
        borrowed[i] = &values[i];
    venv_buf buf;
    venv_buf_init(&buf, VENV_HISTORY_CHUNK_MAX);
    venv_history_column_put(&buf, borrowed, count);
    if (buf.rc == VENV_OK) {
        venv_reader second = { buf.data, buf.data + buf.size, false };
        FUZZ_CHECK(venv_history_column_get(&second, again, count) && second.at == second.end);
        for (size_t i = 0; i < count; i++) {
            FUZZ_CHECK(venv_value_kind(&again[i]) == venv_value_kind(&values[i]) && venv_value_compare(&again[i], &values[i]) == 0);
            venv_value_unref(&again[i]);
        }
    }
    venv_buf_fini(&buf);
    for (size_t i = 0; i < count; i++)
        venv_value_unref(&values[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0: read_journal(data + 1, size - 1); break;
    case 1: read_chunk(data + 1, size - 1); break;
    default: read_column(data + 1, size - 1); break;
    }
    return 0;
}
