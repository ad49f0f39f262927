/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_HISTORY_JOURNAL_H
#define VENV_HISTORY_JOURNAL_H

/*
 * Samples as rows of bytes, in the order in which they came: how they leave the manager's core, cross to the thread that
 * keeps the history, and stand in the files until there are enough of them to be packed (history/chunk.h).
 *
 *      define: 0, number, kind, subject, label     time: 1, milliseconds since the last one     sample: 4 + quality, number, value
 *
 * A journal defines a series before its first sample; its number means the same in all later ones of the same manager.
 */

#include "base/buf.h"
#include "base/varint.h"

#include <venv/history.h>

#define VENV_HISTORY_JOURNAL_MAX (2u << 20) /* bytes between two that are taken away; further samples are dropped */

typedef struct venv_history_journal {
    venv_buf bytes;
    int64_t last_ms;    /* of the last time in `bytes` */
    uint32_t series;    /* how many were defined */
    uint64_t dropped;   /* samples, and definitions, for which there was no room */
} venv_history_journal;

void venv_history_journal_init(venv_history_journal *journal);
void venv_history_journal_fini(venv_history_journal *journal);

/* The number of a new series; 0 if there is no room for it now. */
uint32_t venv_history_journal_define(venv_history_journal *journal, venv_history_kind kind, const char *subject,
                                     const char *label);
/* Series 0 is dropped. */
void venv_history_journal_sample(venv_history_journal *journal, uint32_t series, venv_wall time, venv_quality quality,
                                 const venv_value *value);
/* After the bytes were taken: begin anew, with what is defined as it is. */
void venv_history_journal_clear(venv_history_journal *journal);

/* One row. Texts and value: borrowed until the next; the value is the reader's. */
typedef struct venv_history_row {
    bool is_definition;
    uint32_t series;
    venv_history_kind kind; /* definition */
    venv_str subject, label;
    int64_t time_ms;        /* sample */
    venv_quality quality;
    venv_value value;       /* sample; to be unreferenced by the reader */
} venv_history_row;

typedef struct venv_history_rows {
    venv_reader reader;
    int64_t time_ms;
} venv_history_rows;

void venv_history_rows_init(venv_history_rows *rows, const void *data, size_t size);
/* False at the end; `failed` of the reader tells whether it was the right one. */
bool venv_history_rows_next(venv_history_rows *rows, venv_history_row *ret_row);

/* A definition alone, as it stands in a journal and in a file. */
void venv_history_definition_put(venv_buf *buf, uint32_t series, venv_history_kind kind, venv_str subject, venv_str label);

#endif
