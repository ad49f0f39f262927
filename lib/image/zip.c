/* SPDX-License-Identifier: Apache-2.0 */
/* zstd behind two functions, with every size known before a byte is written (a frame cannot be a bomb). */
#include "image/zip.h"

#include "image/cut.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Holds the largest chunk and the largest base together. */
#define WINDOW_LOG_MAX 23

struct venv_zip {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
};

venv_rc venv_zip_new(int level, venv_zip **ret_zip, venv_error *err)
{
    if (level < 1 || level > VENV_ZIP_LEVEL_MAX)
        return venv_error_set(err, VENV_EINVAL, "the level of compression must be 1 to %d, not %d", VENV_ZIP_LEVEL_MAX, level);
    venv_zip *zip = calloc(1, sizeof *zip);
    if (zip) {
        zip->pack = ZSTD_createCCtx();
        zip->unpack = ZSTD_createDCtx();
    }
    if (!zip || !zip->pack || !zip->unpack ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zip->pack, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_DCtx_setParameter(zip->unpack, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        venv_zip_free(zip);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for compression");
    }
    *ret_zip = zip;
    return VENV_OK;
}

void venv_zip_free(venv_zip *zip)
{
    if (!zip)
        return;
    ZSTD_freeCCtx(zip->pack);
    ZSTD_freeDCtx(zip->unpack);
    free(zip);
}

size_t venv_zip_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

static int log2_up(size_t size)
{
    int bits = 10;
    while (((size_t)1 << bits) < size)
        bits++;
    return bits;
}

venv_rc venv_zip_pack(venv_zip *zip, const void *data, size_t size, const void *base, size_t base_size, void *out,
                      size_t *ret_size, venv_error *err)
{
    if (size > VENV_CHUNK_MAX || base_size > VENV_ZIP_BASE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "a chunk of %zu bytes is too large to compress", size);
    ZSTD_CCtx_reset(zip->pack, ZSTD_reset_session_only);
    ZSTD_CCtx_setParameter(zip->pack, ZSTD_c_windowLog, base ? log2_up(size + base_size) : 0);
    if (base && ZSTD_isError(ZSTD_CCtx_refPrefix(zip->pack, base, base_size)))
        return venv_error_set(err, VENV_ENOMEM, "out of memory for compression");
    size_t got = ZSTD_compress2(zip->pack, out, ZSTD_compressBound(size), data, size);
    if (ZSTD_isError(got))
        return venv_error_set(err, VENV_ENOMEM, "compression failed: %s", ZSTD_getErrorName(got));
    if (got >= size) {
        memcpy(out, data, size);
        got = size;
    }
    *ret_size = got;
    return VENV_OK;
}

venv_rc venv_zip_unpack(venv_zip *zip, const void *data, size_t data_size, const void *base, size_t base_size, void *out,
                        size_t size, venv_error *err)
{
    if (size > VENV_CHUNK_MAX || base_size > VENV_ZIP_BASE_MAX || data_size > size)
        return venv_error_set(err, VENV_EINVAL, "a stored chunk has %zu bytes, and %zu unpacked", data_size, size);
    if (data_size == size) {
        memcpy(out, data, size);
        return VENV_OK;
    }
    /* One frame and nothing after it, of the length that was promised. */
    size_t frame = ZSTD_findFrameCompressedSize(data, data_size);
    if (ZSTD_isError(frame) || frame != data_size || ZSTD_getFrameContentSize(data, data_size) != size)
        return venv_error_set(err, VENV_EINVAL, "a stored chunk is not one frame of %zu bytes", size);
    ZSTD_DCtx_reset(zip->unpack, ZSTD_reset_session_only);
    if (base && ZSTD_isError(ZSTD_DCtx_refPrefix(zip->unpack, base, base_size)))
        return venv_error_set(err, VENV_ENOMEM, "out of memory for decompression");
    size_t got = ZSTD_decompressDCtx(zip->unpack, out, size, data, data_size);
    if (ZSTD_isError(got) || got != size)
        return venv_error_set(err, VENV_EINVAL, "a stored chunk does not unpack: %s",
                              ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it is too short");
    return VENV_OK;
}
