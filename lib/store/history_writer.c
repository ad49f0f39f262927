/* SPDX-License-Identifier: Apache-2.0 */
#include "store/history_writer.h"

#include "base/table.h"
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
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_MS     (10 * 60 * 1000)
#define SEGMENT_MS   (4 * 3600 * 1000)
#define SEGMENT_SIZE (64u << 20)
#define TAIL_SIZE    (32u << 20)
#define AGAIN_MS     (60 * 1000)
#define SAMPLE_BYTES 3 /* of a sample in a journal, at least */

struct venv_history_writer {
    char path[VENV_STORE_PATH_MAX]; /* of the folder, for messages */
    int folder;
    int segment, tail;              /* -1: none is begun */
    uint64_t number;                /* of the segment */
    uint64_t segment_size, tail_size;
    int64_t segment_first_ms, chunk_first_ms, last_ms, again_ms;
    uint32_t chunk;                 /* number of the one that is being collected */
    venv_history_limits limits;
    venv_history_catalog catalog;
    venv_buf definitions;           /* that are not in the segment yet */
    venv_history_points points;     /* the chunk */
    venv_history_point *last;       /* by series: the last sample, for keyframes */
    size_t last_count;
    venv_buf record;
    venv_history_counts counts;
};

static venv_rc fail(venv_history_writer *w, int error, const char *what, venv_error *err)
{
    return venv_error_set(err, venv_store_errno_rc(error), "cannot %s the history in %s: %s", what, w->path, strerror(error));
}

static venv_rc write_all(venv_history_writer *w, int fd, const void *data, size_t size, venv_error *err)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(w, n < 0 ? errno : ENOSPC, "write", err);
        bytes += n;
        size -= (size_t)n;
    }
    return VENV_OK;
}

static venv_rc write_record(venv_history_writer *w, int fd, uint64_t *size, venv_history_record_kind kind, int64_t first_ms,
                            int64_t last_ms, const void *payload, size_t payload_size, venv_error *err)
{
    venv_buf_clear(&w->record);
    venv_history_record_put(&w->record, kind, w->chunk, first_ms, last_ms, payload, payload_size);
    if (w->record.rc != VENV_OK)
        return venv_error_set(err, w->record.rc, "out of memory for the history");
    venv_rc rc = write_all(w, fd, w->record.data, w->record.size, err);
    *size += w->record.size;
    return rc;
}

/* --- segments ---------------------------------------------------------------------------------------- */

static void end_segment(venv_history_writer *w)
{
    if (w->segment >= 0)
        close(w->segment);
    if (w->tail >= 0)
        close(w->tail);
    w->segment = w->tail = -1;
}

static void lose_points(venv_history_writer *w)
{
    w->counts.lost += w->points.count;
    venv_history_points_clear(&w->points);
}

/* What cannot be written is lost; the series go on in a new segment, later. */
static void give_up(venv_history_writer *w)
{
    lose_points(w);
    end_segment(w);
    w->again_ms = w->last_ms + AGAIN_MS;
}

static venv_rc begin_file(venv_history_writer *w, const char *name, int *ret_fd, uint64_t *ret_size, venv_error *err)
{
    uint8_t head[VENV_HISTORY_HEAD_SIZE];
    int fd = openat(w->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(w, errno, "begin", err);
    *ret_fd = fd;
    *ret_size = sizeof head;
    venv_history_head_put(head, w->segment_first_ms);
    return write_all(w, fd, head, sizeof head, err);
}

/* Gone: forgotten by the manager. It needs no place in a new segment before it is heard of again. */
static bool is_gone(const venv_history_point *point)
{
    return point->quality == VENV_QUALITY_ABSENT && venv_value_kind(&point->value) == VENV_NULL;
}

/* Definitions of everything that is still there, and its last samples. */
static venv_rc put_keyframe(venv_history_writer *w, venv_error *err)
{
    venv_history_points points = { 0 };
    venv_buf chunk;
    venv_rc rc = VENV_OK;
    venv_buf_clear(&w->definitions);
    venv_buf_init(&chunk, VENV_HISTORY_CHUNK_MAX);
    for (uint32_t number = 1; number < w->catalog.count; number++) {
        const venv_history_series *series = venv_history_catalog_find(&w->catalog, number);
        const venv_history_point *last = number < w->last_count ? &w->last[number] : NULL;
        if (!series)
            continue;
        venv_history_definition_put(&w->definitions, number, series->kind,
                                    (venv_str){ series->subject, strlen(series->subject) },
                                    (venv_str){ series->label, strlen(series->label) });
        if (last && last->series && !is_gone(last) &&
            !venv_history_points_add(&points, last->group, number, last->time_ms, last->quality, venv_value_ref(&last->value)))
            rc = venv_error_set(err, VENV_ENOMEM, "out of memory for the history");
    }
    if (rc == VENV_OK && w->definitions.size > 0)
        rc = write_record(w, w->segment, &w->segment_size, VENV_HISTORY_RECORD_DEFINITIONS, w->last_ms, w->last_ms,
                          w->definitions.data, w->definitions.size, err);
    venv_buf_clear(&w->definitions);
    venv_history_chunk_put(&chunk, &points);
    if (rc == VENV_OK && points.count > 0)
        rc = chunk.rc == VENV_OK ? write_record(w, w->segment, &w->segment_size, VENV_HISTORY_RECORD_KEYFRAME, w->last_ms,
                                                w->last_ms, chunk.data, chunk.size, err)
                                 : venv_error_set(err, chunk.rc, "out of memory for the history");
    venv_history_points_fini(&points);
    venv_buf_fini(&chunk);
    return rc;
}

static int64_t first_of(venv_history_writer *w, uint64_t number)
{
    uint8_t head[VENV_HISTORY_HEAD_SIZE];
    int64_t first_ms = INT64_MIN;
    int fd = openat(w->folder, venv_history_segment_name(number).text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || read(fd, head, sizeof head) != sizeof head || !venv_history_head_get(head, &first_ms))
        first_ms = INT64_MIN; /* not even a head: it can go */
    if (fd >= 0)
        close(fd);
    return first_ms;
}

static uint64_t size_of(venv_history_writer *w, uint64_t number)
{
    struct stat st;
    uint64_t size = 0;
    if (fstatat(w->folder, venv_history_segment_name(number).text, &st, AT_SYMLINK_NOFOLLOW) == 0)
        size += (uint64_t)st.st_size;
    if (fstatat(w->folder, venv_history_tail_name(number).text, &st, AT_SYMLINK_NOFOLLOW) == 0)
        size += (uint64_t)st.st_size;
    return size;
}

/* Drop the oldest segments: too old, too large in all, too many. `keep` and later ones stay. */
static void retain(venv_history_writer *w, uint64_t keep)
{
    uint64_t *numbers = NULL, size = 0;
    size_t count = 0;
    if (venv_history_list(w->folder, &numbers, &count, NULL) != VENV_OK)
        return;
    for (size_t i = 0; i < count; i++)
        size += size_of(w, numbers[i]);
    for (size_t i = 0; i + 1 < count && numbers[i] < keep; i++) {
        int64_t end_ms = first_of(w, numbers[i + 1]);
        bool old = w->limits.retention_ms > 0 && end_ms < w->last_ms - w->limits.retention_ms;
        bool large = w->limits.size_max > 0 && size > w->limits.size_max;
        if (!old && !large && count - i < VENV_HISTORY_SEGMENTS_MAX)
            break;
        size -= size_of(w, numbers[i]);
        unlinkat(w->folder, venv_history_segment_name(numbers[i]).text, 0);
        unlinkat(w->folder, venv_history_tail_name(numbers[i]).text, 0);
    }
    free(numbers);
}

static venv_rc begin_segment(venv_history_writer *w, int64_t first_ms, venv_error *err)
{
    retain(w, UINT64_MAX);
    w->number++;
    w->segment_first_ms = first_ms;
    w->chunk = 1;
    venv_rc rc = begin_file(w, venv_history_segment_name(w->number).text, &w->segment, &w->segment_size, err);
    if (rc == VENV_OK)
        rc = begin_file(w, venv_history_tail_name(w->number).text, &w->tail, &w->tail_size, err);
    if (rc == VENV_OK)
        rc = put_keyframe(w, err);
    if (rc == VENV_OK && fsync(w->folder) != 0) /* that there are such files */
        rc = fail(w, errno, "sync", err);
    if (rc != VENV_OK)
        give_up(w);
    return rc;
}

/* --- chunks ------------------------------------------------------------------------------------------ */

/* What stands in the tail goes when the chunk that has it is on the disk: the one sync of every chunk, on this thread. */
static venv_rc drop_tail(venv_history_writer *w, venv_error *err)
{
    if (fdatasync(w->segment) != 0)
        return fail(w, errno, "sync", err);
    if (ftruncate(w->tail, VENV_HISTORY_HEAD_SIZE) != 0)
        return fail(w, errno, "write", err);
    w->tail_size = VENV_HISTORY_HEAD_SIZE;
    return VENV_OK;
}

static venv_rc pack(venv_history_writer *w, venv_error *err)
{
    venv_buf chunk;
    venv_rc rc = VENV_OK;
    uint64_t before = w->segment_size;
    venv_buf_init(&chunk, VENV_HISTORY_CHUNK_MAX);
    if (w->definitions.size > 0)
        rc = write_record(w, w->segment, &w->segment_size, VENV_HISTORY_RECORD_DEFINITIONS, w->chunk_first_ms, w->last_ms,
                          w->definitions.data, w->definitions.size, err);
    venv_history_chunk_put(&chunk, &w->points);
    if (rc == VENV_OK && chunk.rc != VENV_OK)
        rc = venv_error_set(err, chunk.rc, "out of memory for the history");
    if (rc == VENV_OK)
        rc = write_record(w, w->segment, &w->segment_size, VENV_HISTORY_RECORD_CHUNK, w->chunk_first_ms, w->last_ms, chunk.data,
                          chunk.size, err);
    if (rc == VENV_OK)
        rc = drop_tail(w, err);
    venv_buf_fini(&chunk);
    venv_buf_clear(&w->definitions);
    if (rc != VENV_OK) {
        give_up(w);
        return rc;
    }
    w->counts.bytes += w->segment_size - before;
    venv_history_points_clear(&w->points);
    w->chunk++;
    if (w->segment_size >= SEGMENT_SIZE || w->last_ms - w->segment_first_ms >= w->limits.segment_ms)
        end_segment(w); /* the next journal begins another */
    else
        retain(w, w->number);
    return VENV_OK;
}

venv_rc venv_history_writer_pack(venv_history_writer *w, venv_error *err)
{
    return w->segment >= 0 && w->points.count > 0 ? pack(w, err) : VENV_OK;
}

/* --- journals ---------------------------------------------------------------------------------------- */

static bool remember(venv_history_writer *w, const venv_history_row *row, uint32_t group)
{
    if (row->series >= w->last_count) {
        size_t count = w->last_count ? w->last_count : 64;
        while (count <= row->series)
            count *= 2;
        venv_history_point *last = reallocarray(w->last, count, sizeof *last);
        if (!last)
            return false;
        memset(last + w->last_count, 0, (count - w->last_count) * sizeof *last);
        w->last = last;
        w->last_count = count;
    }
    venv_history_point *point = &w->last[row->series];
    venv_value_unref(&point->value);
    *point = (venv_history_point){ row->time_ms, venv_value_ref(&row->value), row->series, 0, group, row->quality };
    return true;
}

/* The time of the first sample of a journal. */
static bool first_time(const void *journal, size_t size, int64_t *ret_ms)
{
    venv_history_rows rows;
    venv_history_row row;
    venv_history_rows_init(&rows, journal, size);
    while (venv_history_rows_next(&rows, &row)) {
        if (row.is_definition)
            continue;
        *ret_ms = row.time_ms;
        venv_value_unref(&row.value);
        return true;
    }
    return false;
}

static bool take_row(venv_history_writer *w, venv_history_row *row)
{
    if (row->is_definition) {
        venv_history_definition_put(&w->definitions, row->series, row->kind, row->subject, row->label);
        return venv_history_catalog_define(&w->catalog, row->series, row->kind, row->subject, row->label);
    }
    const venv_history_series *series = venv_history_catalog_find(&w->catalog, row->series);
    uint32_t group = series ? (uint32_t)venv_hash_bytes(series->subject, strlen(series->subject), 1) : 0;
    bool good = series && remember(w, row, group);
    if (good)
        good = venv_history_points_add(&w->points, group, row->series, row->time_ms, row->quality, row->value);
    else
        venv_value_unref(&row->value);
    if (row->time_ms > w->last_ms || w->points.count == 1)
        w->last_ms = row->time_ms;
    return good;
}

static void take_rows(venv_history_writer *w, const void *journal, size_t size)
{
    venv_history_rows rows;
    venv_history_row row;
    venv_history_rows_init(&rows, journal, size);
    while (venv_history_rows_next(&rows, &row)) {
        w->counts.samples += !row.is_definition;
        if (!take_row(w, &row))
            w->counts.lost++;
    }
}

static bool is_due(const venv_history_writer *w, int64_t now_ms, size_t more)
{
    return w->points.count > 0 && (now_ms - w->chunk_first_ms >= w->limits.chunk_ms || now_ms < w->last_ms ||
                                   w->tail_size >= TAIL_SIZE || w->points.count + more > VENV_HISTORY_POINTS_MAX);
}

venv_rc venv_history_writer_add(venv_history_writer *w, const void *journal, size_t size, venv_error *err)
{
    int64_t now_ms = w->last_ms;
    venv_rc rc = VENV_OK;
    bool timed = first_time(journal, size, &now_ms);
    if (timed && w->segment >= 0 && is_due(w, now_ms, size / SAMPLE_BYTES))
        rc = pack(w, err);
    if (timed && rc == VENV_OK && w->segment < 0 && (now_ms >= w->again_ms || now_ms < w->again_ms - 2 * AGAIN_MS)) {
        w->last_ms = now_ms;
        rc = begin_segment(w, now_ms, err);
    }
    if (w->points.count == 0)
        w->chunk_first_ms = now_ms;
    take_rows(w, journal, size);
    if (rc == VENV_OK && w->segment >= 0)
        rc = write_record(w, w->tail, &w->tail_size, VENV_HISTORY_RECORD_JOURNAL, now_ms, w->last_ms, journal, size, err);
    if (rc != VENV_OK && w->segment >= 0)
        give_up(w);
    if (w->segment < 0)
        lose_points(w);
    return rc;
}

/* --- birth and death --------------------------------------------------------------------------------- */

venv_rc venv_history_writer_open(const char *state, const venv_history_limits *limits, venv_history_writer **ret_writer,
                                 venv_error *err)
{
    venv_history_writer *w = calloc(1, sizeof *w);
    if (!w)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the history");
    w->folder = w->segment = w->tail = -1;
    w->limits = *limits;
    if (w->limits.chunk_ms <= 0)
        w->limits.chunk_ms = CHUNK_MS;
    if (w->limits.segment_ms <= 0)
        w->limits.segment_ms = SEGMENT_MS;
    w->again_ms = INT64_MIN;
    venv_buf_init(&w->definitions, VENV_HISTORY_CHUNK_MAX);
    venv_buf_init(&w->record, VENV_HISTORY_CHUNK_MAX + VENV_HISTORY_RECORD_SIZE);
    int n = snprintf(w->path, sizeof w->path, "%s/" VENV_HISTORY_FOLDER, state);
    venv_rc rc = n < 0 || (size_t)n >= sizeof w->path
                     ? venv_error_set(err, VENV_EINVAL, "the path of the history is too long") : VENV_OK;
    if (rc == VENV_OK && mkdir(w->path, 0700) != 0 && errno != EEXIST)
        rc = fail(w, errno, "make", err);
    if (rc == VENV_OK && (w->folder = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = fail(w, errno, "open", err);
    uint64_t *numbers = NULL;
    size_t count = 0;
    if (rc == VENV_OK)
        rc = venv_history_list(w->folder, &numbers, &count, err);
    if (rc == VENV_OK)
        w->number = count > 0 ? numbers[count - 1] : 0;
    free(numbers);
    if (rc != VENV_OK) {
        venv_history_writer_close(w);
        return rc;
    }
    *ret_writer = w;
    return VENV_OK;
}

void venv_history_writer_close(venv_history_writer *w)
{
    if (!w)
        return;
    (void)venv_history_writer_pack(w, NULL);
    end_segment(w);
    if (w->folder >= 0)
        close(w->folder);
    for (size_t i = 0; i < w->last_count; i++)
        venv_value_unref(&w->last[i].value);
    free(w->last);
    venv_history_catalog_fini(&w->catalog);
    venv_history_points_fini(&w->points);
    venv_buf_fini(&w->definitions);
    venv_buf_fini(&w->record);
    free(w);
}

venv_history_counts venv_history_writer_counts(const venv_history_writer *w)
{
    return w->counts;
}
