/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_CUT_H
#define VENV_IMAGE_CUT_H

/*
 * Where content is cut into chunks: by what it is, not by where it stands, so that an insertion moves
 * no boundary but those beside it.
 *
 * The method is FastCDC (Xia et al., USENIX ATC 2016): a gear hash over the last 64 bytes, no cut
 * before the smallest length, and two masks ("normalized chunking") that pull lengths towards the mean.
 */

#include <venv/common.h>

#define VENV_CUT_MEAN_DEFAULT (64u << 10)
#define VENV_CUT_MEAN_MIN (4u << 10)
#define VENV_CUT_MEAN_MAX (1u << 20)
#define VENV_CHUNK_MAX (4u << 20) /* of any manifest: what a reader must be able to hold */

typedef struct venv_cutter {
    uint64_t gear[256];
    uint64_t mask_early, mask_late; /* before the mean length: harder to meet; after it: easier */
    uint32_t min, mean, max;        /* mean / 4, mean, mean * 4 */
} venv_cutter;

/* VENV_EINVAL: `mean` is no power of two within its bounds. */
venv_rc venv_cutter_init(venv_cutter *cutter, uint32_t mean, venv_error *err);

/* Length of the chunk at the front of `data`; `size` if there is no cut within min(size, max) bytes. */
size_t venv_cut(const venv_cutter *cutter, const uint8_t *data, size_t size);

/* A run of zeros at least this long is a hole, whoever stands around it. */
#define VENV_ZERO_RUN_MIN (16u << 10)

/*
 * The first run of zeros in `data` that is long enough to be a hole, or that reaches the end of data and might
 * become one. False if there is none. A run is found wherever it stands: its bounds are exact to the byte.
 */
bool venv_zero_run(const uint8_t *data, size_t size, size_t *ret_start, size_t *ret_size);

bool venv_is_zero(const uint8_t *data, size_t size);

#endif
