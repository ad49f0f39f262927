/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORE_HISTORY_WRITER_H
#define VENV_STORE_HISTORY_WRITER_H

/*
 * Keeps a history: takes journals (history/journal.h), writes them down at once, packs them into chunks every some minutes,
 * begins a new segment every some hours, and drops old ones. What it lost is a gap and no wrong value. One thread at a time.
 *
 * A crash of the process loses nothing that was handed over. A power cut loses the end: what the kernel had not written of the
 * newest journals (seconds; at most a minute with its usual settings), never a chunk: a chunk is synced before the journals that
 * it replaces are dropped, which is the only waiting for the disk (once a chunk, and once a segment for its name).
 *
 * The one who writes has the lock of the state's store (store/store.h): there is one writer. Readers need no lock.
 */

#include <venv/common.h>

typedef struct venv_history_limits {
    int64_t retention_ms; /* segments whose samples are all older are dropped; 0: none are for their age */
    uint64_t size_max;    /* bytes of all files, the newest segment excepted; 0: no limit */
    int64_t chunk_ms;     /* a chunk holds this much time at most; 0: ten minutes */
    int64_t segment_ms;   /* a segment; 0: four hours */
} venv_history_limits;

typedef struct venv_history_writer venv_history_writer;

/* `state`: the folder of the state. Begins a new segment with the first journal. VENV_EIO, VENV_ENOSPACE, VENV_EDENIED, VENV_ENOMEM. */
venv_rc venv_history_writer_open(const char *state, const venv_history_limits *limits, venv_history_writer **ret_writer,
                                 venv_error *err);
/* Packs what there is. Accepts NULL. */
void venv_history_writer_close(venv_history_writer *writer);

/*
 * Take a journal. After a failure the samples are lost and counted, and later ones are tried in a new segment after a minute
 * by their own times.
 */
venv_rc venv_history_writer_add(venv_history_writer *writer, const void *journal, size_t size, venv_error *err);

/* Pack what there is now. */
venv_rc venv_history_writer_pack(venv_history_writer *writer, venv_error *err);

typedef struct venv_history_counts {
    uint64_t samples, bytes, lost; /* taken; written into segments; taken and not written */
} venv_history_counts;
venv_history_counts venv_history_writer_counts(const venv_history_writer *writer);

#endif
