/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_HISTORY_CHUNK_H
#define VENV_HISTORY_CHUNK_H

/*
 * A chunk: the samples of some minutes, packed.
 *
 *      chunk   number of samples, groups
 *      group   what came from one agent: the times at which something came, then its series
 *      series  number, at which of these times it has a sample, qualities, values (history/column.h)
 *
 * An agent sends what it has sampled together; so its series share their times, and a series that does not change costs a few
 * bytes however long it is. Times are milliseconds, the first absolute, then differences of differences.
 */

#include "base/buf.h"
#include "base/varint.h"

#include <venv/history.h>

#define VENV_HISTORY_POINTS_MAX (1u << 20) /* samples in one chunk */
#define VENV_HISTORY_CHUNK_MAX  (64u << 20) /* bytes of one chunk */

typedef struct venv_history_point {
    int64_t time_ms;
    venv_value value;   /* owned by the list */
    uint32_t series;
    uint32_t order;     /* of its arrival, or of its place in the chunk */
    uint32_t group;     /* packing: samples of equal groups share their times; unpacking: place of the group */
    venv_quality quality;
} venv_history_point;

typedef struct venv_history_points {
    venv_history_point *items;
    size_t count, capacity;
} venv_history_points;

void venv_history_points_clear(venv_history_points *points);
void venv_history_points_fini(venv_history_points *points);
/* Takes the value, also on failure. False: no memory, or VENV_HISTORY_POINTS_MAX. */
bool venv_history_points_add(venv_history_points *points, uint32_t group, uint32_t series, int64_t time_ms,
                             venv_quality quality, venv_value value);

/* Sorts the points on the way. Times do not go back between a point and a later one. */
void venv_history_chunk_put(venv_buf *buf, venv_history_points *points);
/* The points in the order of time. VENV_EINVAL: malformed; VENV_ENOMEM. `points` is empty before, and after a failure. */
venv_rc venv_history_chunk_get(const void *data, size_t size, venv_history_points *points, venv_error *err);
/* In the order of time, for points that were not packed. */
void venv_history_points_sort(venv_history_points *points);

/* CRC-32C (Castagnoli; RFC 3720, appendix B.4), of what stands in a file. */
uint32_t venv_history_crc(uint32_t crc, const void *data, size_t size);

#endif
