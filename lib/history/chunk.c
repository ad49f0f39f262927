/* SPDX-License-Identifier: Apache-2.0 */
#include "history/chunk.h"

#include "history/column.h"

#include <stdlib.h>

/* --- points ------------------------------------------------------------------------------------------ */

void venv_history_points_clear(venv_history_points *points)
{
    for (size_t i = 0; i < points->count; i++)
        venv_value_unref(&points->items[i].value);
    points->count = 0;
}

void venv_history_points_fini(venv_history_points *points)
{
    venv_history_points_clear(points);
    free(points->items);
    *points = (venv_history_points){ 0 };
}

static bool make_room(venv_history_points *points, size_t more)
{
    size_t capacity = points->capacity ? points->capacity : 1024;
    if (points->count + more > VENV_HISTORY_POINTS_MAX)
        return false;
    while (capacity < points->count + more)
        capacity *= 2;
    if (capacity == points->capacity)
        return true;
    venv_history_point *items = reallocarray(points->items, capacity, sizeof *items);
    if (!items)
        return false;
    points->items = items;
    points->capacity = capacity;
    return true;
}

bool venv_history_points_add(venv_history_points *points, uint32_t group, uint32_t series, int64_t time_ms,
                             venv_quality quality, venv_value value)
{
    if (!make_room(points, 1)) {
        venv_value_unref(&value);
        return false;
    }
    points->items[points->count] = (venv_history_point){ time_ms, value, series, (uint32_t)points->count, group, quality };
    points->count++;
    return true;
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_group(const void *a, const void *b)
{
    const venv_history_point *x = a, *y = b;
    int c = compare(x->group, y->group);
    return c ? c : compare(x->order, y->order);
}

static int by_series(const void *a, const void *b)
{
    const venv_history_point *x = a, *y = b;
    int c = compare(x->series, y->series);
    return c ? c : compare(x->order, y->order);
}

static int by_time(const void *a, const void *b)
{
    const venv_history_point *x = a, *y = b;
    int c = (x->time_ms > y->time_ms) - (x->time_ms < y->time_ms);
    c = c ? c : compare(x->group, y->group);
    c = c ? c : compare(x->order, y->order);
    return c ? c : compare(x->series, y->series);
}

void venv_history_points_sort(venv_history_points *points)
{
    if (points->count > 1)
        qsort(points->items, points->count, sizeof *points->items, by_time);
}

/* --- packing ----------------------------------------------------------------------------------------- */

/* What packing needs beside the points; as long as the largest group. */
typedef struct packer {
    venv_buf *buf;
    int64_t *times;          /* of a group */
    const venv_value **values;
} packer;

/*
 * The times of a group, and in each point's `order` the place of its time. A series that came twice in one millisecond gets a
 * second place of the same time. The points are in the order of arrival.
 */
static size_t place_times(packer *p, venv_history_point *points, size_t count)
{
    size_t times = 0, begin = 0;
    for (size_t i = 0; i < count; i++) {
        bool fresh = times == 0 || p->times[times - 1] != points[i].time_ms;
        for (size_t j = i; !fresh && j > begin; j--)
            fresh = points[j - 1].series == points[i].series;
        if (fresh) {
            p->times[times++] = points[i].time_ms;
            begin = i;
        }
        points[i].order = (uint32_t)(times - 1);
    }
    return times;
}

static void put_places(venv_buf *buf, const venv_history_point *points, size_t count, size_t times)
{
    uint32_t next = 0;
    venv_varint_put(buf, count);
    if (count == times)
        return;
    for (size_t i = 0; i < count;) {
        size_t run = 1;
        while (i + run < count && points[i + run].order == points[i].order + run)
            run++;
        venv_varint_put(buf, points[i].order - next);
        venv_varint_put(buf, run);
        next = points[i].order + (uint32_t)run;
        i += run;
    }
}

static void put_qualities(venv_buf *buf, const venv_history_point *points, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t run = 1;
        while (i + run < count && points[i + run].quality == points[i].quality)
            run++;
        if (run == count && points[i].quality == VENV_QUALITY_OK) {
            venv_varint_put(buf, 0);
            return;
        }
        venv_varint_put(buf, run);
        venv_buf_append_byte(buf, (uint8_t)points[i].quality);
        i += run;
    }
}

static void put_group(packer *p, venv_history_point *points, size_t count)
{
    size_t times = place_times(p, points, count), series = 0;
    int64_t last = 0;
    venv_varint_put(p->buf, times);
    for (size_t i = 0; i < times; i++) { /* in place: the differences */
        int64_t time = p->times[i];
        p->times[i] = (int64_t)((uint64_t)time - (uint64_t)last);
        last = time;
    }
    venv_history_whole_put(p->buf, p->times, times);
    qsort(points, count, sizeof *points, by_series);
    for (size_t i = 0; i < count; i++)
        series += i == 0 || points[i].series != points[i - 1].series;
    venv_varint_put(p->buf, series);
    uint32_t number = 0;
    for (size_t i = 0; i < count;) {
        size_t n = 1;
        while (i + n < count && points[i + n].series == points[i].series)
            n++;
        venv_varint_put(p->buf, points[i].series - number);
        number = points[i].series;
        put_places(p->buf, &points[i], n, times);
        put_qualities(p->buf, &points[i], n);
        for (size_t k = 0; k < n; k++)
            p->values[k] = &points[i + k].value;
        venv_history_column_put(p->buf, p->values, n);
        i += n;
    }
}

static size_t group_size(const venv_history_points *points, size_t begin)
{
    size_t size = 1;
    while (begin + size < points->count && points->items[begin + size].group == points->items[begin].group)
        size++;
    return size;
}

void venv_history_chunk_put(venv_buf *buf, venv_history_points *points)
{
    size_t groups = 0, largest = 0;
    if (points->count > 1)
        qsort(points->items, points->count, sizeof *points->items, by_group);
    for (size_t i = 0; i < points->count;) {
        size_t size = group_size(points, i);
        largest = size > largest ? size : largest;
        groups++;
        i += size;
    }
    packer p = { .buf = buf };
    p.times = calloc(largest + 1, sizeof *p.times);
    p.values = calloc(largest + 1, sizeof *p.values);
    if (!p.times || !p.values) {
        buf->rc = VENV_ENOMEM;
        groups = 0;
    }
    venv_varint_put(buf, points->count);
    venv_varint_put(buf, groups);
    for (size_t i = 0; groups > 0 && i < points->count;) {
        size_t size = group_size(points, i);
        put_group(&p, &points->items[i], size);
        i += size;
    }
    free(p.times);
    free(p.values);
}

/* --- unpacking --------------------------------------------------------------------------------------- */

typedef struct unpacker {
    venv_reader reader;
    venv_history_points *points;
    size_t announced;   /* samples of the chunk */
    int64_t *times;     /* as many */
    uint32_t *places;
    venv_value *values;
    uint32_t group;
} unpacker;

/* At which of the group's times a series has its samples. */
static bool get_places(unpacker *u, size_t times, size_t *ret_count)
{
    uint64_t count = venv_varint_get(&u->reader), at = 0;
    if (u->reader.failed || count == 0 || count > times || count > u->announced - u->points->count)
        return false;
    if (count == times) {
        for (size_t i = 0; i < times; i++)
            u->places[i] = (uint32_t)i;
    }
    for (size_t i = 0; count != times && i < count;) {
        uint64_t gap = venv_varint_get(&u->reader), run = venv_varint_get(&u->reader);
        if (u->reader.failed || run == 0 || run > count - i || gap > times || run > times || at + gap + run > times)
            return false;
        at += gap;
        for (uint64_t n = 0; n < run; n++)
            u->places[i++] = (uint32_t)at++;
    }
    *ret_count = count;
    return true;
}

/* Into the points that are already there, from `begin` on. */
static bool get_qualities(unpacker *u, size_t begin, size_t count)
{
    for (size_t i = 0; i < count;) {
        uint64_t run = venv_varint_get(&u->reader);
        if (i == 0 && run == 0 && !u->reader.failed)
            return true;
        const uint8_t *quality = venv_bytes_get(&u->reader, 1);
        if (!quality || run == 0 || run > count - i || *quality >= VENV_QUALITY__COUNT)
            return false;
        for (uint64_t n = 0; n < run; n++)
            u->points->items[begin + i++].quality = (venv_quality)*quality;
    }
    return true;
}

static bool get_series(unpacker *u, uint64_t number, size_t times)
{
    size_t count = 0, begin = u->points->count;
    if (!get_places(u, times, &count) || !make_room(u->points, count))
        return false;
    for (size_t i = 0; i < count; i++)
        u->points->items[begin + i] = (venv_history_point){ u->times[u->places[i]], venv_value_null(), (uint32_t)number,
                                                            u->places[i], u->group, VENV_QUALITY_OK };
    u->points->count += count;
    if (!get_qualities(u, begin, count) || !venv_history_column_get(&u->reader, u->values, count))
        return false;
    for (size_t i = 0; i < count; i++)
        u->points->items[begin + i].value = u->values[i];
    return true;
}

static bool get_group(unpacker *u)
{
    uint64_t times = venv_varint_get(&u->reader), number = 0;
    if (u->reader.failed || times == 0 || times > u->announced)
        return false;
    if (!venv_history_whole_get(&u->reader, u->times, times))
        return false;
    for (size_t i = 1; i < times; i++)
        u->times[i] = (int64_t)((uint64_t)u->times[i] + (uint64_t)u->times[i - 1]);
    uint64_t series = venv_varint_get(&u->reader);
    for (uint64_t i = 0; i < series; i++) {
        uint64_t step = venv_varint_get(&u->reader);
        if (u->reader.failed || step == 0 || step > VENV_HISTORY_SERIES_MAX - number)
            return false;
        number += step;
        if (!get_series(u, number, times))
            return false;
    }
    return true;
}

static bool get_groups(unpacker *u)
{
    uint64_t groups = venv_varint_get(&u->reader);
    for (uint64_t i = 0; i < groups; i++, u->group++)
        if (u->reader.failed || !get_group(u))
            return false;
    return !u->reader.failed && u->reader.at == u->reader.end && u->points->count == u->announced;
}

venv_rc venv_history_chunk_get(const void *data, size_t size, venv_history_points *points, venv_error *err)
{
    const uint8_t *bytes = data;
    unpacker u = { .reader = { bytes, bytes + size, false }, .points = points };
    u.announced = venv_varint_get(&u.reader);
    if (u.reader.failed || u.announced > VENV_HISTORY_POINTS_MAX)
        return venv_error_set(err, VENV_EINVAL, "a chunk of the history is malformed");
    u.times = calloc(u.announced + 1, sizeof *u.times);
    u.places = calloc(u.announced + 1, sizeof *u.places);
    u.values = calloc(u.announced + 1, sizeof *u.values);
    venv_rc rc = VENV_OK;
    if (!u.times || !u.places || !u.values)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for a chunk of the history");
    else if (!get_groups(&u))
        rc = venv_error_set(err, VENV_EINVAL, "a chunk of the history is malformed");
    free(u.times);
    free(u.places);
    free(u.values);
    if (rc != VENV_OK)
        venv_history_points_clear(points);
    else
        venv_history_points_sort(points);
    return rc;
}

/* --- check sum --------------------------------------------------------------------------------------- */

uint32_t venv_history_crc(uint32_t crc, const void *data, size_t size)
{
    /* Four bits at a time: the remainders of 0 … 15. */
    static const uint32_t table[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };
    const uint8_t *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = table[(crc ^ bytes[i]) & 15] ^ (crc >> 4);
        crc = table[(crc ^ (bytes[i] >> 4)) & 15] ^ (crc >> 4);
    }
    return ~crc;
}
