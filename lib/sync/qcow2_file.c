/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a qcow2 file: read into one flat map of clusters, and written for a file of ours. */
#include "sync/disk.h"
#include "sync/files.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static venv_rc read_l2(venv_disk *disk, uint64_t table, uint64_t first, uint8_t *buffer, venv_error *err)
{
    uint64_t in_table = (UINT64_C(1) << disk->qcow2.cluster_bits) / 8;
    uint64_t count = disk->qcow2.cluster_count - first < in_table ? disk->qcow2.cluster_count - first : in_table;
    venv_rc rc = venv_files_read_at(disk->fd, buffer, (size_t)count * 8, table, disk->path, err);
    for (uint64_t i = 0; i < count && rc == VENV_OK; i++)
        rc = venv_qcow2_l2(&disk->qcow2, buffer + i * 8, disk->file_size, &disk->clusters[first + i], err);
    return rc;
}

venv_rc venv_qcow2_file_open(venv_disk *disk, venv_error *err)
{
    size_t head = disk->file_size < 65536 ? (size_t)disk->file_size : 65536;
    VENV_AUTO_FREE uint8_t *buffer = calloc(1, UINT64_C(1) << 21); /* the largest cluster */
    if (!buffer)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = venv_files_read_at(disk->fd, buffer, head, 0, disk->path, err);
    if (rc == VENV_OK)
        rc = venv_qcow2_parse(buffer, head, disk->file_size, &disk->qcow2, err);
    if (rc != VENV_OK)
        return venv_error_prefix(err, "%s", disk->path);
    disk->size = disk->qcow2.size;
    disk->clusters = calloc(disk->qcow2.cluster_count + 1, sizeof *disk->clusters);
    VENV_AUTO_FREE uint8_t *l1 = malloc(disk->qcow2.l1_count * 8 + 1);
    if (!disk->clusters || !l1)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the tables of '%s'", disk->path);
    rc = venv_files_read_at(disk->fd, l1, disk->qcow2.l1_count * 8, disk->qcow2.l1_offset, disk->path, err);
    uint64_t in_table = (UINT64_C(1) << disk->qcow2.cluster_bits) / 8;
    for (uint64_t i = 0; rc == VENV_OK && i * in_table < disk->qcow2.cluster_count; i++) {
        uint64_t table = 0;
        rc = venv_qcow2_l1(&disk->qcow2, l1 + i * 8, disk->file_size, &table, err);
        if (rc == VENV_OK && table != 0)
            rc = read_l2(disk, table, i * in_table, buffer, err);
    }
    return rc == VENV_OK ? rc : venv_error_prefix(err, "%s", disk->path);
}

venv_rc venv_qcow2_file_shape(venv_disk *disk, const venv_manifest *manifest, venv_error *err)
{
    uint32_t bits = VENV_QCOW2_CLUSTER_BITS_DEFAULT;
    uint64_t cluster = UINT64_C(1) << bits, count = (manifest->size + cluster - 1) >> bits, in_table = cluster / 8;
    uint64_t data_count = 0, l2_count = 0, last_table = UINT64_MAX;

    if (count > VENV_QCOW2_CLUSTERS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the image is too large for qcow2");
    disk->clusters = calloc(count + 1, sizeof *disk->clusters);
    if (!disk->clusters)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < manifest->chunk_count; i++) {
        const venv_chunk *chunk = &manifest->chunks[i];
        for (uint64_t c = chunk->offset >> bits; !chunk->hole && c <= (chunk->offset + chunk->length - 1) >> bits; c++)
            disk->clusters[c] = 1;
    }
    for (uint64_t i = 0; i < count; i++)
        if (disk->clusters[i]) {
            data_count++;
            l2_count += i / in_table != last_table;
            last_table = i / in_table;
        }
    venv_rc rc = venv_qcow2_plan(manifest->size, l2_count, data_count, &disk->layout, err);
    if (rc != VENV_OK)
        return rc;
    uint64_t at = disk->layout.data;
    for (uint64_t i = 0; i < count; i++)
        if (disk->clusters[i]) {
            disk->clusters[i] = at;
            at += cluster;
        }
    disk->qcow2 = (venv_qcow2){ .size = manifest->size, .cluster_bits = bits, .cluster_count = count, .version = 3 };
    disk->file_size = disk->layout.total << bits;
    return VENV_OK;
}

static venv_rc write_l2(const venv_disk *disk, uint8_t *l1, uint8_t *buffer, venv_error *err)
{
    const venv_qcow2_layout *l = &disk->layout;
    uint64_t cluster = UINT64_C(1) << l->cluster_bits, in_table = cluster / 8, table = l->l2;
    venv_rc rc = VENV_OK;
    for (uint64_t first = 0; first < disk->qcow2.cluster_count && rc == VENV_OK; first += in_table) {
        bool any = false;
        memset(buffer, 0, cluster);
        for (uint64_t i = first; i < first + in_table && i < disk->qcow2.cluster_count; i++)
            if (disk->clusters[i]) {
                venv_put_be64(buffer + (i - first) * 8, disk->clusters[i] | UINT64_C(1) << 63);
                any = true;
            }
        if (!any)
            continue;
        venv_put_be64(l1 + first / in_table * 8, table | UINT64_C(1) << 63);
        rc = venv_files_write_at(disk->fd, buffer, cluster, table, disk->path, err);
        table += cluster;
    }
    return rc;
}

static venv_rc write_refcounts(const venv_disk *disk, uint8_t *buffer, venv_error *err)
{
    const venv_qcow2_layout *l = &disk->layout;
    uint64_t cluster = UINT64_C(1) << l->cluster_bits, in_block = cluster / 2;
    VENV_AUTO_FREE uint8_t *table = calloc(l->refcount_table_clusters, cluster);
    if (!table)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = VENV_OK;
    for (uint64_t block = 0; block < l->refcount_block_count && rc == VENV_OK; block++) {
        memset(buffer, 0, cluster);
        for (uint64_t i = 0; i < in_block && block * in_block + i < l->total; i++)
            buffer[i * 2 + 1] = 1;
        venv_put_be64(table + block * 8, l->refcount_blocks + block * cluster);
        rc = venv_files_write_at(disk->fd, buffer, cluster, l->refcount_blocks + block * cluster, disk->path, err);
    }
    if (rc == VENV_OK)
        rc = venv_files_write_at(disk->fd, table, l->refcount_table_clusters * cluster, l->refcount_table, disk->path, err);
    return rc;
}

venv_rc venv_qcow2_file_tables(venv_disk *disk, venv_error *err)
{
    uint8_t header[VENV_QCOW2_HEADER_SIZE];
    uint64_t cluster = UINT64_C(1) << disk->layout.cluster_bits;
    VENV_AUTO_FREE uint8_t *l1 = calloc(disk->layout.l1_count, 8);
    VENV_AUTO_FREE uint8_t *buffer = malloc(cluster);
    if (!l1 || !buffer)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = write_l2(disk, l1, buffer, err);
    if (rc == VENV_OK)
        rc = write_refcounts(disk, buffer, err);
    if (rc == VENV_OK)
        rc = venv_files_write_at(disk->fd, l1, disk->layout.l1_count * 8, disk->layout.l1, disk->path, err);
    venv_qcow2_header(&disk->layout, header);
    return rc == VENV_OK ? venv_files_write_at(disk->fd, header, sizeof header, 0, disk->path, err) : rc;
}
