/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_FETCH_H
#define VENV_SYNC_FETCH_H

/* What the two files that fill share. */

#include "sync/fill.h"

bool venv_fill_tell(const venv_fill *fill, const char *phase);
/* The first failure of a worker counts. */
void venv_fill_fail(venv_fill *fill, const venv_error *failure);
bool venv_chunk_is(const venv_chunk *chunk, const uint8_t *data);
/* Write a chunk that was checked, to all places that want it. */
void venv_fill_write(venv_fill *fill, size_t chunk, const uint8_t *data);

#endif
