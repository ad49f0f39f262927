/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORE_HISTORY_FILE_H
#define VENV_STORE_HISTORY_FILE_H

/*
 * The files of a history, in the folder `history` of the state.
 *
 *      0000000007.seg   definitions, a keyframe, then chunks         appended to; hours
 *      0000000007.new   journals that are not in a chunk yet         begins anew with each chunk
 *
 * Both: a head of 16 bytes (magic, time of its beginning), then records, each with its length and a check sum. Nothing is
 * ever changed; a record that is cut off ends the file, one whose sum is wrong ends it as damaged. Journals carry the
 * number of the chunk that will hold them, so that a crash after the chunk was written and before the journals were
 * dropped shows nothing twice.
 */

#include "base/buf.h"

#include <venv/common.h>

#define VENV_HISTORY_FOLDER     "history"
#define VENV_HISTORY_HEAD_SIZE  16
#define VENV_HISTORY_SEGMENTS_MAX 4096u

typedef enum venv_history_record_kind {
    VENV_HISTORY_RECORD_DEFINITIONS = 1,
    VENV_HISTORY_RECORD_KEYFRAME, /* a chunk: the last sample of every series when the segment began */
    VENV_HISTORY_RECORD_CHUNK,
    VENV_HISTORY_RECORD_JOURNAL,
} venv_history_record_kind;

#define VENV_HISTORY_RECORD_SIZE 29 /* before the payload */

typedef struct venv_history_record {
    venv_history_record_kind kind;
    uint32_t size, crc;         /* of the payload; over all from the kind on */
    uint32_t chunk;             /* number of the chunk in the segment, from 1 on */
    int64_t first_ms, last_ms;  /* times of its samples */
} venv_history_record;

/* Append a record to a buffer, whole. */
void venv_history_record_put(venv_buf *buf, venv_history_record_kind kind, uint32_t chunk, int64_t first_ms, int64_t last_ms,
                             const void *payload, size_t size);
bool venv_history_record_get(const uint8_t *bytes, venv_history_record *ret_record);
/* Is the sum that of this payload? */
bool venv_history_record_check(const uint8_t *head, const void *payload, const venv_history_record *record);

void venv_history_head_put(uint8_t bytes[VENV_HISTORY_HEAD_SIZE], int64_t first_ms);
bool venv_history_head_get(const uint8_t bytes[VENV_HISTORY_HEAD_SIZE], int64_t *ret_first_ms);

/* "NUMBER.seg", "NUMBER.new" */
typedef struct venv_history_name {
    char text[32];
} venv_history_name;
venv_history_name venv_history_segment_name(uint64_t number);
venv_history_name venv_history_tail_name(uint64_t number);

/* The numbers of the segments in a folder, ascending; to be freed. */
venv_rc venv_history_list(int folder, uint64_t **ret_numbers, size_t *ret_count, venv_error *err);

#endif
