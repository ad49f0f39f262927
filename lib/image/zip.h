/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_ZIP_H
#define VENV_IMAGE_ZIP_H

/*
 * Chunks made smaller: zstd (RFC 8878), alone or as the difference to older bytes. The only place that
 * knows zstd. A chunk is one frame; what does not become smaller is stored as it is.
 */

#include <venv/common.h>

#define VENV_ZIP_LEVEL_DEFAULT 3
#define VENV_ZIP_LEVEL_MAX 19
/* The most older bytes a difference may be made against. */
#define VENV_ZIP_BASE_MAX (2u << 20)

/* The working memory of one thread. */
typedef struct venv_zip venv_zip;

venv_rc venv_zip_new(int level, venv_zip **ret_zip, venv_error *err);
void venv_zip_free(venv_zip *zip);

/* Bytes that hold any result of venv_zip_pack() for `size` bytes. */
size_t venv_zip_bound(size_t size);

/*
 * Write `data` into `out` (room for venv_zip_bound()), against `base` if that is not NULL. *ret_size is smaller than
 * `size`, or equal and then `out` is a copy.
 */
venv_rc venv_zip_pack(venv_zip *zip, const void *data, size_t size, const void *base, size_t base_size, void *out,
                      size_t *ret_size, venv_error *err);

/*
 * The reverse: exactly `size` bytes into `out`. VENV_EINVAL: it is not what venv_zip_pack() writes for that size: broken, more
 * or less than `size`, more than one frame, or a window that is larger than needed. Never writes beyond `size`.
 */
venv_rc venv_zip_unpack(venv_zip *zip, const void *data, size_t data_size, const void *base, size_t base_size, void *out,
                        size_t size, venv_error *err);

#endif
