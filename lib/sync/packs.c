/* SPDX-License-Identifier: Apache-2.0 */
/* Packs as files. They have no inner structure: maps say what is where. */
#include "sync/packs.h"

#include "sync/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)1 << 20)

void venv_pack_writer_init(venv_pack_writer *writer, venv_repository *repository)
{
    *writer = (venv_pack_writer){ .repository = repository, .fd = -1 };
}

void venv_pack_writer_fini(venv_pack_writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->fd >= 0 && writer->temporary[0])
        unlinkat(writer->repository->directory, writer->temporary, 0);
    writer->fd = -1;
    free(writer->buffer);
    writer->buffer = NULL;
}

static venv_rc open_pack(venv_pack_writer *writer, venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    venv_rc rc = venv_files_id(&writer->id, err);
    if (rc != VENV_OK)
        return rc;
    if (!writer->buffer && !(writer->buffer = malloc(BUFFER_SIZE)))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    writer->size = writer->buffered = 0;
    writer->temporary[0] = '\0';
    if (!writer->repository->storage) {
        venv_pack_path(writer->id, path);
        return venv_files_temporary(writer->repository->directory, path, &writer->fd, writer->temporary, err);
    }
    const char *directory = getenv("TMPDIR");
    writer->fd = open(directory && directory[0] == '/' ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return writer->fd >= 0 ? VENV_OK : venv_files_fail(err, errno, "make a temporary file in", directory ? directory : "/tmp");
}

static venv_rc flush(venv_pack_writer *writer, venv_error *err)
{
    venv_rc rc = venv_files_write_at(writer->fd, writer->buffer, writer->buffered, writer->size - writer->buffered, "a pack",
                                     err);
    writer->buffered = 0;
    return rc;
}

venv_rc venv_pack_finish(venv_pack_writer *writer, venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    if (writer->fd < 0)
        return VENV_OK;
    venv_rc rc = flush(writer, err);
    if (rc != VENV_OK)
        return rc;
    venv_pack_path(writer->id, path);
    writer->repository->transferred += writer->size;
    if (writer->repository->storage) {
        rc = venv_remote_put_file(writer->repository, path, writer->fd, writer->size, err);
        close(writer->fd);
    } else {
        rc = venv_files_commit(writer->repository->directory, writer->fd, writer->temporary, path, true, err);
    }
    writer->fd = -1;
    return rc;
}

venv_rc venv_pack_write(venv_pack_writer *writer, const void *data, size_t size, venv_id *ret_pack, uint64_t *ret_offset,
                        venv_error *err)
{
    venv_rc rc = VENV_OK;
    if (writer->fd >= 0 && writer->size >= VENV_PACK_TARGET)
        rc = venv_pack_finish(writer, err);
    if (rc == VENV_OK && writer->fd < 0)
        rc = open_pack(writer, err);
    if (rc != VENV_OK)
        return rc;
    *ret_pack = writer->id;
    *ret_offset = writer->size;
    const uint8_t *from = data;
    for (size_t left = size; left > 0 && rc == VENV_OK;) {
        size_t part = BUFFER_SIZE - writer->buffered < left ? BUFFER_SIZE - writer->buffered : left;
        memcpy(writer->buffer + writer->buffered, from, part);
        writer->buffered += part;
        writer->size += part;
        from += part;
        left -= part;
        if (writer->buffered == BUFFER_SIZE)
            rc = flush(writer, err);
    }
    writer->total += size;
    return rc;
}

venv_rc venv_pack_read(venv_repository *repository, const venv_manifest *manifest, const venv_map *map, size_t chunk,
                       venv_zip *zip, uint8_t *stored, uint8_t *out, venv_error *err)
{
    char path[VENV_SYNC_PATH_MAX];
    uint8_t hash[VENV_HASH_SIZE];
    const venv_place *place = &map->places[chunk];
    const venv_chunk *of = &manifest->chunks[chunk];

    venv_pack_path(map->packs[place->pack], path);
    venv_rc rc = venv_repository_range(repository, path, place->offset, stored, place->stored, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_zip_unpack(zip, stored, place->stored, NULL, 0, out, (size_t)of->length, err);
    if (rc == VENV_OK) {
        venv_sha256(out, (size_t)of->length, hash);
        if (memcmp(hash, of->hash, sizeof hash) == 0)
            return VENV_OK;
    }
    return rc == VENV_ENOMEM ? rc : venv_error_set(err, VENV_EPROTO, "the chunk at %llu of '%s' is broken",
                                                   (unsigned long long)place->offset, path);
}
