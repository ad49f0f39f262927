/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_REFUSALS_H
#define VENV_RUNTIME_REFUSALS_H

/*
 * Who was refused, and why: one line each, but no flood.
 *
 * The same source with the same reason is logged once a minute, with the count of those that were left out; all
 * sources together at most VENV_REFUSALS_PER_MINUTE lines. Whoever floods us pays with silence, not we with
 * a full disk.
 */

#include "base/log.h"

#define VENV_REFUSALS_SOURCES_MAX 256
#define VENV_REFUSALS_PER_MINUTE  120

typedef struct venv_refusal {
    uint64_t key;        /* hash of source and reason; 0: free */
    venv_instant until;  /* no further line before */
    uint64_t left_out;
} venv_refusal;

typedef struct venv_refusals {
    const venv_log *log;
    uint64_t seed;
    venv_refusal rows[VENV_REFUSALS_SOURCES_MAX];
    venv_instant minute_end;
    uint32_t minute_lines;
    uint64_t minute_left_out;
} venv_refusals;

void venv_refusals_init(venv_refusals *refusals, const venv_log *log, uint64_t seed);

/* `source` is the address without the port; `address` with it. */
void venv_refusals_add(venv_refusals *refusals, venv_instant now, const char *source, const char *address,
                       const char *reason);

#endif
