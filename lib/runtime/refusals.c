/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/refusals.h"

#include "base/table.h"
#include "runtime/clock.h"

#include <stdio.h>
#include <string.h>

static const venv_span minute = { 60 * VENV_NS_PER_S };

void venv_refusals_init(venv_refusals *refusals, const venv_log *log, uint64_t seed)
{
    memset(refusals, 0, sizeof *refusals);
    refusals->log = log;
    refusals->seed = seed;
}

/* The row of a source and reason; a collision takes the row over, which costs at most a line too many. */
static venv_refusal *find_row(venv_refusals *refusals, const char *source, const char *reason)
{
    uint64_t key = venv_hash_bytes(source, strlen(source), refusals->seed);
    key = venv_hash_bytes(reason, strlen(reason), key) | 1u;
    venv_refusal *row = &refusals->rows[(key >> 8) % VENV_REFUSALS_SOURCES_MAX];
    if (row->key != key)
        *row = (venv_refusal){ .key = key, .until = { INT64_MIN }, .left_out = 0 };
    return row;
}

/* True if one more line is allowed in this minute. */
static bool take_line(venv_refusals *refusals, venv_instant now)
{
    if (now.ns >= refusals->minute_end.ns) {
        if (refusals->minute_left_out > 0)
            venv_log_print(refusals->log, VENV_LOG_WARNING, "%llu more peers were refused in the last minute",
                           (unsigned long long)refusals->minute_left_out);
        refusals->minute_end = venv_instant_after(now, minute);
        refusals->minute_lines = 0;
        refusals->minute_left_out = 0;
    }
    if (refusals->minute_lines >= VENV_REFUSALS_PER_MINUTE) {
        refusals->minute_left_out++;
        return false;
    }
    refusals->minute_lines++;
    return true;
}

void venv_refusals_add(venv_refusals *refusals, venv_instant now, const char *source, const char *address,
                       const char *reason)
{
    char again[64] = "";
    venv_refusal *row = find_row(refusals, source, reason);
    if (now.ns < row->until.ns) {
        row->left_out++;
        return;
    }
    if (!take_line(refusals, now))
        return;
    if (row->left_out > 0)
        (void)snprintf(again, sizeof again, " (and %llu times before)", (unsigned long long)row->left_out);
    row->until = venv_instant_after(now, minute);
    row->left_out = 0;
    size_t size = strlen(address);
    bool repeats = strncmp(reason, address, size) == 0 && reason[size] == ' ';
    venv_log_print(refusals->log, VENV_LOG_WARNING, "peer %s refused: %s%s%s", address, repeats ? "it" : "", reason + (repeats ? size : 0),
                   again);
}
