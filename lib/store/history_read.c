/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a history, segment by segment, while it may be written.
 *
 * The journals of a segment are read before its chunks: so, whatever the writer does in between, each sample is in one
 * of the two that are seen, and where it is in both the numbers of the chunks tell.
 */
#include <venv/history.h>

#include "base/buf.h"
#include "history/chunk.h"
#include "history/journal.h"
#include "history/series.h"
#include "store/file.h"
#include "store/history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL_MAX (80u << 20)

struct venv_history {
    char path[VENV_STORE_PATH_MAX];
    int folder;
    uint64_t damaged;
};

/* One reading. */
typedef struct reading {
    venv_history *history;
    const venv_history_query *query;
    int64_t from_ms, to_ms;
    venv_history_fn sample;
    void *user;
    venv_history_catalog catalog;
    venv_history_point *state;   /* by series, while the state at `from` is collected */
    size_t state_count;
    bool collecting, ended;
    bool first;                  /* segment */
    int64_t last_ms;             /* of what was given */
    uint32_t chunk;              /* the last one of the segment */
    venv_buf tail, payload;
    venv_history_points points;
    venv_error *err;
} reading;

static venv_rc fail(const venv_history *history, int error, const char *what, venv_error *err)
{
    return venv_error_set(err, venv_store_errno_rc(error), "cannot %s the history in %s: %s", what, history->path,
                          strerror(error));
}

venv_rc venv_history_open(const char *state, venv_history **ret_history, venv_error *err)
{
    venv_history *history = calloc(1, sizeof *history);
    if (!history)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the history");
    int n = snprintf(history->path, sizeof history->path, "%s/" VENV_HISTORY_FOLDER, state);
    venv_rc rc = VENV_OK;
    if (n < 0 || (size_t)n >= sizeof history->path)
        rc = venv_error_set(err, VENV_EINVAL, "the path of the history is too long");
    else if ((history->folder = open(history->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = fail(history, errno, "open", err);
    if (rc != VENV_OK) {
        free(history);
        return rc;
    }
    *ret_history = history;
    return VENV_OK;
}

void venv_history_close(venv_history *history)
{
    if (!history)
        return;
    close(history->folder);
    free(history);
}

uint64_t venv_history_damaged(const venv_history *history)
{
    return history->damaged;
}

/* --- files ------------------------------------------------------------------------------------------- */

static int open_file(const venv_history *history, const char *name, int64_t *ret_first_ms)
{
    uint8_t head[VENV_HISTORY_HEAD_SIZE];
    int fd = openat(history->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && (read(fd, head, sizeof head) != sizeof head || !venv_history_head_get(head, ret_first_ms))) {
        close(fd); /* it was begun and nothing more */
        return -1;
    }
    return fd;
}

static bool first_of(const venv_history *history, uint64_t number, int64_t *ret_first_ms)
{
    int fd = open_file(history, venv_history_segment_name(number).text, ret_first_ms);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* Exactly so many bytes; false at the end of the file. */
static bool read_bytes(int fd, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        ssize_t n = read(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* The next record; its payload is in `payload`. False at the end, also where the rest is damaged. */
static bool next_record(venv_history *history, int fd, venv_buf *payload, venv_history_record *ret_record)
{
    uint8_t head[VENV_HISTORY_RECORD_SIZE];
    venv_buf_clear(payload);
    if (!read_bytes(fd, head, sizeof head))
        return false;
    bool good = venv_history_record_get(head, ret_record);
    uint8_t *bytes = good ? venv_buf_reserve(payload, ret_record->size) : NULL;
    if (good && ret_record->size > 0 && !bytes)
        return false; /* no memory: payload->rc */
    if (good && !read_bytes(fd, bytes, ret_record->size))
        return false; /* cut off, or being written */
    if (good)
        venv_buf_grew(payload, ret_record->size);
    if (good && venv_history_record_check(head, bytes, ret_record))
        return true;
    off_t at = lseek(fd, 0, SEEK_CUR), end = lseek(fd, 0, SEEK_END);
    history->damaged += (uint64_t)(end > at ? end - at : 0) + sizeof head + (good ? ret_record->size : 0);
    return false;
}

/* --- giving ------------------------------------------------------------------------------------------ */

static bool wanted(const reading *r, const venv_history_series *series)
{
    return (!r->query->subject || strcmp(series->subject, r->query->subject) == 0) &&
           (!r->query->label || (series->kind == VENV_HISTORY_PROPERTY && strcmp(series->label, r->query->label) == 0));
}

static void give(reading *r, const venv_history_point *point, bool before)
{
    const venv_history_series *series = venv_history_catalog_find(&r->catalog, point->series);
    if (!series || !wanted(r, series) || r->ended)
        return;
    venv_history_sample sample = { series->kind, series->subject, series->label, { point->time_ms * 1000000 }, point->quality,
                                   &point->value, before };
    r->ended = !r->sample(r->user, &sample);
}

static venv_rc keep_state(reading *r, const venv_history_point *point)
{
    if (point->series >= r->state_count) {
        size_t count = r->state_count ? r->state_count : 64;
        while (count <= point->series)
            count *= 2;
        venv_history_point *state = reallocarray(r->state, count, sizeof *state);
        if (!state)
            return venv_error_set(r->err, VENV_ENOMEM, "out of memory for the history");
        memset(state + r->state_count, 0, (count - r->state_count) * sizeof *state);
        r->state = state;
        r->state_count = count;
    }
    venv_history_point *kept = &r->state[point->series];
    venv_value value = venv_value_ref(&point->value);
    venv_value_unref(&kept->value);
    *kept = *point;
    kept->value = value;
    return VENV_OK;
}

/* The time before `from` is over. */
static void give_state(reading *r)
{
    if (!r->collecting)
        return;
    r->collecting = false;
    for (size_t i = 0; i < r->state_count; i++) {
        const venv_history_point *point = &r->state[i];
        bool gone = point->quality == VENV_QUALITY_ABSENT && venv_value_kind(&point->value) == VENV_NULL;
        if (point->series && !gone && r->query->state)
            give(r, point, true);
        venv_value_unref(&r->state[i].value);
    }
    free(r->state);
    r->state = NULL;
    r->state_count = 0;
}

static venv_rc give_points(reading *r, bool keyframe)
{
    venv_rc rc = VENV_OK;
    int64_t known_ms = r->last_ms;
    for (size_t i = 0; rc == VENV_OK && i < r->points.count && !r->ended; i++) {
        const venv_history_point *point = &r->points.items[i];
        if (r->collecting && point->time_ms <= r->from_ms) {
            rc = keep_state(r, point);
            continue;
        }
        /* Later segments repeat what was known; it is news only where something was lost in between. */
        if (keyframe && !r->first && point->time_ms <= known_ms)
            continue;
        if (point->time_ms <= r->from_ms || point->time_ms > r->to_ms)
            continue;
        give_state(r);
        give(r, point, false);
        r->last_ms = point->time_ms > r->last_ms ? point->time_ms : r->last_ms;
    }
    venv_history_points_clear(&r->points);
    return rc;
}

/* --- segments ---------------------------------------------------------------------------------------- */

/* What a journal says, into the catalog and (where asked for) the points. */
static venv_rc take_journal(reading *r, const void *data, size_t size, bool points)
{
    venv_history_rows rows;
    venv_history_row row;
    bool room = true;
    venv_history_rows_init(&rows, data, size);
    while (room && venv_history_rows_next(&rows, &row)) {
        if (row.is_definition)
            room = venv_history_catalog_define(&r->catalog, row.series, row.kind, row.subject, row.label);
        else if (points)
            room = venv_history_points_add(&r->points, row.series, row.series, row.time_ms, row.quality, row.value);
        else
            venv_value_unref(&row.value);
    }
    return room ? VENV_OK : venv_error_set(r->err, VENV_ENOMEM, "out of memory for the history");
}

static venv_rc take_chunk(reading *r, const venv_history_record *record)
{
    bool keyframe = record->kind == VENV_HISTORY_RECORD_KEYFRAME;
    /* Nothing of it is asked for. A keyframe's own samples are older than it. */
    if (!keyframe && !r->collecting && (record->last_ms <= r->from_ms || record->first_ms > r->to_ms))
        return VENV_OK;
    venv_rc rc = venv_history_chunk_get(r->payload.data, r->payload.size, &r->points, r->err);
    if (rc == VENV_EINVAL) {
        r->history->damaged += record->size;
        return VENV_OK;
    }
    return rc == VENV_OK ? give_points(r, keyframe) : rc;
}

static venv_rc take_record(reading *r, const venv_history_record *record)
{
    if (record->kind == VENV_HISTORY_RECORD_DEFINITIONS)
        return take_journal(r, r->payload.data, r->payload.size, false);
    if (record->kind == VENV_HISTORY_RECORD_CHUNK)
        r->chunk = record->chunk;
    return record->kind == VENV_HISTORY_RECORD_JOURNAL ? VENV_OK : take_chunk(r, record);
}

/* All of the tail's bytes, as they are at this moment. */
static void load_tail(reading *r, uint64_t number)
{
    int64_t first_ms;
    venv_buf_clear(&r->tail);
    int fd = open_file(r->history, venv_history_tail_name(number).text, &first_ms);
    for (ssize_t n = 1; fd >= 0 && n > 0;) {
        uint8_t *bytes = venv_buf_reserve(&r->tail, 65536);
        n = bytes ? read(fd, bytes, 65536) : 0;
        if (n > 0)
            venv_buf_grew(&r->tail, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
}

static venv_rc read_tail(reading *r)
{
    venv_rc rc = VENV_OK;
    const uint8_t *at = r->tail.data;
    size_t left = r->tail.size;
    while (rc == VENV_OK && left > VENV_HISTORY_RECORD_SIZE) {
        venv_history_record record;
        bool good = venv_history_record_get(at, &record);
        if (good && record.size > left - VENV_HISTORY_RECORD_SIZE)
            break; /* cut off */
        if (!good || !venv_history_record_check(at, at + VENV_HISTORY_RECORD_SIZE, &record)) {
            r->history->damaged += left;
            break;
        }
        if (record.chunk > r->chunk)
            rc = take_journal(r, at + VENV_HISTORY_RECORD_SIZE, record.size, true);
        at += VENV_HISTORY_RECORD_SIZE + record.size;
        left -= VENV_HISTORY_RECORD_SIZE + record.size;
    }
    if (rc != VENV_OK)
        return rc;
    venv_history_points_sort(&r->points);
    return give_points(r, false);
}

static venv_rc read_segment(reading *r, uint64_t number)
{
    venv_history_record record;
    int64_t first_ms;
    venv_rc rc = VENV_OK;
    venv_history_catalog_fini(&r->catalog);
    r->chunk = 0;
    load_tail(r, number);
    int fd = open_file(r->history, venv_history_segment_name(number).text, &first_ms);
    if (fd < 0)
        return VENV_OK; /* dropped meanwhile, or just begun */
    while (rc == VENV_OK && !r->ended && next_record(r->history, fd, &r->payload, &record))
        rc = take_record(r, &record);
    close(fd);
    if (rc == VENV_OK && (r->payload.rc != VENV_OK || r->tail.rc != VENV_OK))
        rc = venv_error_set(r->err, VENV_ENOMEM, "out of memory for the history");
    if (rc == VENV_OK && !r->ended)
        rc = read_tail(r);
    if (rc == VENV_OK)
        give_state(r);
    r->first = false;
    return rc;
}

/* The last segment that begins at or before `from`: all that is asked for is there or later. */
static size_t begin_at(const venv_history *history, const uint64_t *numbers, size_t count, int64_t from_ms)
{
    for (size_t i = count; i-- > 0;) {
        int64_t first_ms;
        if (first_of(history, numbers[i], &first_ms) && first_ms <= from_ms)
            return i;
    }
    return 0;
}

static int64_t to_ms(int64_t ns)
{
    int64_t ms = ns / 1000000;
    return ns % 1000000 < 0 ? ms - 1 : ms;
}

venv_rc venv_history_read(venv_history *history, const venv_history_query *query, venv_history_fn sample, void *user,
                          venv_error *err)
{
    reading r = { .history = history, .query = query, .from_ms = to_ms(query->from.ns), .to_ms = to_ms(query->to.ns),
                  .sample = sample, .user = user, .collecting = true, .first = true, .last_ms = INT64_MIN, .err = err };
    uint64_t *numbers = NULL;
    size_t count = 0;
    venv_rc rc = venv_history_list(history->folder, &numbers, &count, err);
    venv_buf_init(&r.tail, TAIL_MAX);
    venv_buf_init(&r.payload, VENV_HISTORY_CHUNK_MAX);
    for (size_t i = rc == VENV_OK ? begin_at(history, numbers, count, r.from_ms) : 0; rc == VENV_OK && i < count && !r.ended;
         i++) {
        int64_t first_ms;
        if (!r.first && first_of(history, numbers[i], &first_ms) && first_ms > r.to_ms)
            break;
        rc = read_segment(&r, numbers[i]);
    }
    r.ended = true;
    give_state(&r);
    venv_history_catalog_fini(&r.catalog);
    venv_history_points_fini(&r.points);
    venv_buf_fini(&r.tail);
    venv_buf_fini(&r.payload);
    free(numbers);
    return rc;
}

/* The time of the last sample of a segment; false if it has none. */
static bool last_of(venv_history *history, uint64_t number, int64_t *ret_last_ms)
{
    venv_buf payload;
    venv_history_record record;
    int64_t first_ms;
    bool found = false;
    venv_buf_init(&payload, VENV_HISTORY_CHUNK_MAX);
    for (int tail = 0; tail < 2; tail++) {
        venv_history_name name = tail ? venv_history_tail_name(number) : venv_history_segment_name(number);
        int fd = open_file(history, name.text, &first_ms);
        while (fd >= 0 && next_record(history, fd, &payload, &record)) {
            if (record.kind != VENV_HISTORY_RECORD_CHUNK && record.kind != VENV_HISTORY_RECORD_JOURNAL)
                continue;
            *ret_last_ms = record.last_ms;
            found = true;
        }
        if (fd >= 0)
            close(fd);
    }
    venv_buf_fini(&payload);
    return found;
}

venv_rc venv_history_bounds(venv_history *history, venv_wall *ret_first, venv_wall *ret_last, venv_error *err)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    venv_rc rc = venv_history_list(history->folder, &numbers, &count, err);
    int64_t first_ms = 0, last_ms = 0;
    bool has_first = false, has_last = false;
    for (size_t i = 0; rc == VENV_OK && i < count && !has_first; i++)
        has_first = first_of(history, numbers[i], &first_ms);
    for (size_t i = count; rc == VENV_OK && i-- > 0 && !has_last;)
        has_last = last_of(history, numbers[i], &last_ms);
    free(numbers);
    if (rc == VENV_OK && (!has_first || !has_last))
        rc = venv_error_set(err, VENV_ENOENT, "the history in %s is empty", history->path);
    if (rc == VENV_OK) {
        ret_first->ns = first_ms * 1000000;
        ret_last->ns = last_ms * 1000000;
    }
    return rc;
}
