/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_HISTORY_COLUMN_H
#define VENV_HISTORY_COLUMN_H

/*
 * The values of one series, one after the other, in few bytes.
 *
 *      whole numbers        the difference to the last one; 0 and a count where nothing changes
 *      decimal fractions    0.25, 0.31 …: as whole numbers of hundredths, where that gives back the very same doubles
 *      other doubles        the bytes in which it differs from the last one (exclusive or)
 *      anything else        runs of equal values, with references to earlier ones
 *
 * The first is the idea of delta coding, the third that of Gorilla (Pelkonen and others, VLDB 2015), by bytes and not by bits.
 */

#include "base/buf.h"
#include "base/varint.h"

#include <venv/value.h>

/* One value: a tag, and what it needs. */
void venv_history_value_put(venv_buf *buf, const venv_value *value);
/* False, and the reader has failed, if it is malformed or there is no memory. */
bool venv_history_value_get(venv_reader *reader, venv_value *ret_value);

void venv_history_column_put(venv_buf *buf, const venv_value *const *values, size_t count);
/* Fills `count` values, all or none. */
bool venv_history_column_get(venv_reader *reader, venv_value *values, size_t count);

/* Whole numbers alone, as in a column of them. */
void venv_history_whole_put(venv_buf *buf, const int64_t *numbers, size_t count);
bool venv_history_whole_get(venv_reader *reader, int64_t *numbers, size_t count);

#endif
