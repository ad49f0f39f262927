/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_PACKS_H
#define VENV_SYNC_PACKS_H

/* Writing chunks into packs, and reading them back. */

#include "image/zip.h"
#include "sync/repository.h"

#define VENV_PACK_TARGET (UINT64_C(64) << 20) /* bytes, after which a new pack is begun */

/* A pack that is being written: a temporary file of the repository, or of this machine for a URL. */
typedef struct venv_pack_writer {
    venv_repository *repository;
    int fd; /* -1: none is open */
    venv_id id;
    uint64_t size;
    uint64_t total; /* bytes in all packs of this writer */
    char temporary[VENV_SYNC_PATH_MAX];
    uint8_t *buffer; /* what is not written yet */
    size_t buffered;
} venv_pack_writer;

void venv_pack_writer_init(venv_pack_writer *writer, venv_repository *repository);
/* Throw away what is not finished. */
void venv_pack_writer_fini(venv_pack_writer *writer);
/* Returns where it is; `ret_pack` its pack. */
venv_rc venv_pack_write(venv_pack_writer *writer, const void *data, size_t size, venv_id *ret_pack, uint64_t *ret_offset,
                        venv_error *err);
/* Publish the last pack. It is on disk when this returns. */
venv_rc venv_pack_finish(venv_pack_writer *writer, venv_error *err);

/* Read chunk `chunk` of a manifest by its map, and check it. `stored` and `out` have room for VENV_CHUNK_MAX. VENV_EPROTO: broken. */
venv_rc venv_pack_read(venv_repository *repository, const venv_manifest *manifest, const venv_map *map, size_t chunk,
                       venv_zip *zip, uint8_t *stored, uint8_t *out, venv_error *err);

#endif
