/* SPDX-License-Identifier: Apache-2.0 */
#include "history/journal.h"

#include "history/column.h"

#include <string.h>

enum { ROW_DEFINE = 0, ROW_TIME = 1, ROW_SAMPLE = 4 };

static const char *const kind_names[VENV_HISTORY_KIND__COUNT] = { "property", "agent",       "instance",
                                                                   "manager",  "declaration", "policy" };

const char *venv_history_kind_name(venv_history_kind kind)
{
    return kind_names[kind < VENV_HISTORY_KIND__COUNT ? kind : VENV_HISTORY_PROPERTY];
}

bool venv_history_kind_parse(venv_str name, venv_history_kind *ret_kind)
{
    for (int k = 0; k < VENV_HISTORY_KIND__COUNT; k++) {
        if (strlen(kind_names[k]) == name.size && memcmp(kind_names[k], name.data, name.size) == 0) {
            *ret_kind = (venv_history_kind)k;
            return true;
        }
    }
    return false;
}

void venv_history_journal_init(venv_history_journal *journal)
{
    *journal = (venv_history_journal){ 0 };
    venv_buf_init(&journal->bytes, VENV_HISTORY_JOURNAL_MAX);
}

void venv_history_journal_fini(venv_history_journal *journal)
{
    venv_buf_fini(&journal->bytes);
}

void venv_history_journal_clear(venv_history_journal *journal)
{
    venv_buf_clear(&journal->bytes);
    journal->last_ms = 0;
}

/* A row that did not fit is taken back: what is there stays whole. */
static bool settle(venv_history_journal *journal, size_t begin)
{
    if (journal->bytes.rc == VENV_OK)
        return true;
    journal->bytes.rc = VENV_OK;
    journal->bytes.size = begin;
    journal->dropped++;
    return false;
}

static void put_text(venv_buf *buf, venv_str text)
{
    venv_varint_put(buf, text.size);
    venv_buf_append(buf, text.data, text.size);
}

void venv_history_definition_put(venv_buf *buf, uint32_t series, venv_history_kind kind, venv_str subject, venv_str label)
{
    venv_buf_append_byte(buf, ROW_DEFINE);
    venv_varint_put(buf, series);
    venv_buf_append_byte(buf, (uint8_t)kind);
    put_text(buf, subject);
    put_text(buf, label);
}

uint32_t venv_history_journal_define(venv_history_journal *journal, venv_history_kind kind, const char *subject,
                                     const char *label)
{
    size_t begin = journal->bytes.size;
    venv_str about = { subject, strlen(subject) }, of = { label, strlen(label) };
    if (journal->series == VENV_HISTORY_SERIES_MAX || about.size > VENV_HISTORY_TEXT_MAX || of.size > VENV_HISTORY_TEXT_MAX) {
        journal->dropped++;
        return 0;
    }
    venv_history_definition_put(&journal->bytes, journal->series + 1, kind, about, of);
    return settle(journal, begin) ? ++journal->series : 0;
}

void venv_history_journal_sample(venv_history_journal *journal, uint32_t series, venv_wall time, venv_quality quality,
                                 const venv_value *value)
{
    size_t begin = journal->bytes.size;
    int64_t ms = time.ns / 1000000, last = journal->last_ms;
    if (series == 0) {
        journal->dropped++;
        return;
    }
    if (ms != last) {
        venv_buf_append_byte(&journal->bytes, ROW_TIME);
        venv_varint_put_signed(&journal->bytes, ms - last);
    }
    venv_buf_append_byte(&journal->bytes, (uint8_t)(ROW_SAMPLE + quality));
    venv_varint_put(&journal->bytes, series);
    venv_history_value_put(&journal->bytes, value);
    if (settle(journal, begin))
        journal->last_ms = ms;
}

/* --- reading ----------------------------------------------------------------------------------------- */

void venv_history_rows_init(venv_history_rows *rows, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    *rows = (venv_history_rows){ { bytes, bytes + size, false }, 0 };
}

static venv_str get_text(venv_reader *reader)
{
    uint64_t size = venv_varint_get(reader);
    if (size > VENV_HISTORY_TEXT_MAX)
        reader->failed = true;
    const uint8_t *bytes = reader->failed ? NULL : venv_bytes_get(reader, size);
    return bytes ? (venv_str){ (const char *)bytes, size } : (venv_str){ "", 0 };
}

static bool read_definition(venv_reader *reader, venv_history_row *row)
{
    const uint8_t *kind = venv_bytes_get(reader, 1);
    row->is_definition = true;
    row->kind = kind && *kind < VENV_HISTORY_KIND__COUNT ? (venv_history_kind)*kind : VENV_HISTORY_KIND__COUNT;
    row->subject = get_text(reader);
    row->label = get_text(reader);
    if (row->kind == VENV_HISTORY_KIND__COUNT)
        reader->failed = true;
    return !reader->failed;
}

bool venv_history_rows_next(venv_history_rows *rows, venv_history_row *ret_row)
{
    venv_reader *reader = &rows->reader;
    while (!reader->failed && reader->at < reader->end) {
        uint8_t op = *reader->at++;
        if (op == ROW_TIME) {
            if (__builtin_add_overflow(rows->time_ms, venv_varint_get_signed(reader), &rows->time_ms))
                reader->failed = true;
            continue;
        }
        uint64_t series = venv_varint_get(reader);
        *ret_row = (venv_history_row){ .series = (uint32_t)series };
        if (series == 0 || series > VENV_HISTORY_SERIES_MAX || op > ROW_SAMPLE + VENV_QUALITY_ABSENT ||
            (op != ROW_DEFINE && op < ROW_SAMPLE)) {
            reader->failed = true;
            return false;
        }
        if (op == ROW_DEFINE)
            return read_definition(reader, ret_row);
        ret_row->time_ms = rows->time_ms;
        ret_row->quality = (venv_quality)(op - ROW_SAMPLE);
        return venv_history_value_get(reader, &ret_row->value);
    }
    return false;
}
