/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_PLAN_H
#define VENV_IMAGE_PLAN_H

/* Which bytes of an older version a chunk of a newer one was probably made from. */

#include "image/chunk_index.h"

typedef struct venv_base {
    uint64_t offset, length; /* in the older version; length 0: nothing */
} venv_base;

/*
 * For each chunk of `newer` that `older` does not have, the bytes that stand between the same neighbours there: seen
 * from the left and from the right neighbour, so that an insertion finds what was on both sides of it. `ret_bases` has one entry
 * a chunk.
 */
venv_rc venv_plan_bases(const venv_manifest *older, const venv_manifest *newer, uint64_t length_max, venv_base *ret_bases,
                        venv_error *err);

/* How much of `newer` is not in `older`: bytes of data that are new, each chunk counted once. */
venv_rc venv_plan_difference(const venv_manifest *older, const venv_manifest *newer, uint64_t *ret_bytes,
                             uint64_t *ret_chunks, venv_error *err);

#endif
