/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_QCOW2_H
#define VENV_IMAGE_QCOW2_H

/*
 * The qcow2 format (docs/interop/qcow2.txt of QEMU), as far as an image that somebody hands us may use it: versions 2
 * and 3, clusters of 4 KiB to 2 MiB, not compressed. Everything by which such a file reaches beyond itself (backing file,
 * external data file) and every feature that is not known is refused.
 */

#include <venv/common.h>

#define VENV_QCOW2_HEADER_SIZE 104u
#define VENV_QCOW2_CLUSTERS_MAX (UINT64_C(1) << 26) /* of one disk: 4 TiB in clusters of 64 KiB */
#define VENV_QCOW2_CLUSTER_BITS_DEFAULT 16u

typedef struct venv_qcow2 {
    uint64_t size; /* of the disk that it holds */
    uint64_t l1_offset;
    uint64_t l1_count;
    uint64_t cluster_count; /* of the disk */
    uint32_t version;
    uint32_t cluster_bits;
} venv_qcow2;

/*
 * Read the first bytes of a file (up to one cluster; `size` of them). VENV_EINVAL: not qcow2, or malformed. VENV_EDENIED: it reaches
 * beyond itself. VENV_EUNSUPPORTED: a feature that we do not read; the text says how to convert.
 */
venv_rc venv_qcow2_parse(const uint8_t *data, size_t size, uint64_t file_size, venv_qcow2 *ret_qcow2, venv_error *err);

/*
 * An entry of the L1 table (`*ret_offset`: of an L2 table, 0 for none), and one of an L2 table (of a cluster of data, 0 for zeros). `entry` as read.
 * VENV_EINVAL: it points outside the file, or has bits that must not be set.
 */
venv_rc venv_qcow2_l1(const venv_qcow2 *qcow2, const uint8_t entry[8], uint64_t file_size, uint64_t *ret_offset,
                      venv_error *err);
venv_rc venv_qcow2_l2(const venv_qcow2 *qcow2, const uint8_t entry[8], uint64_t file_size, uint64_t *ret_offset,
                      venv_error *err);

/* Where everything is in a file that we write: header, refcounts, L1, L2, data, each without a gap. */
typedef struct venv_qcow2_layout {
    uint32_t cluster_bits;
    uint64_t size; /* of the disk */
    uint64_t refcount_table, refcount_table_clusters;
    uint64_t refcount_blocks, refcount_block_count;
    uint64_t l1, l1_count;
    uint64_t l2, l2_count; /* tables that are there */
    uint64_t data, total;  /* in clusters; `total` of the whole file */
} venv_qcow2_layout;

/* Offsets are in bytes, but where said. VENV_ELIMIT: too many clusters. */
venv_rc venv_qcow2_plan(uint64_t size, uint64_t l2_count, uint64_t data_count, venv_qcow2_layout *ret_layout, venv_error *err);

/* The header of such a file. */
void venv_qcow2_header(const venv_qcow2_layout *layout, uint8_t ret_header[VENV_QCOW2_HEADER_SIZE]);

/*
 * May a guest be given this file as its disk, as it is? Looser than venv_qcow2_parse(), since it is QEMU that reads it: compressed clusters and
 * snapshots are its business. `data`: the first bytes, up to one cluster. VENV_EINVAL: not qcow2, or malformed. VENV_EDENIED: it reaches beyond itself (backing file,
 * external data file). VENV_EUNSUPPORTED: encrypted, marked as corrupt, or a feature that nobody here knows.
 */
venv_rc venv_qcow2_check_disk(const uint8_t *data, size_t size, uint64_t file_size, uint64_t *ret_size, venv_error *err);

#define VENV_QCOW2_NAME_MAX 1023u /* bytes of the name of a base: the format's own limit */

/* An empty disk on top of a base: three short pieces of a file that is else a hole. */
typedef struct venv_qcow2_overlay {
    venv_qcow2_layout layout;
    uint8_t head[VENV_QCOW2_HEADER_SIZE + 24 + VENV_QCOW2_NAME_MAX]; /* at offset 0 */
    size_t head_size;
    uint8_t table[8];   /* at layout.refcount_table */
    uint8_t counts[16]; /* at layout.refcount_blocks */
    size_t counts_size;
    uint64_t file_size;
} venv_qcow2_overlay;

/*
 * `base`: absolute path, with its format, "raw" or "qcow2", which is written down so that it is never guessed; NULL: none, the disk is blank.
 * VENV_EINVAL: the base is not an absolute path, too long, or of another format. VENV_ELIMIT: too large a disk.
 */
venv_rc venv_qcow2_overlay_make(uint64_t size, const char *base, const char *base_format, venv_qcow2_overlay *ret_overlay, venv_error *err);
/* The name of the base in the first bytes of a file; false: it has none, or is not qcow2. `ret_base` ends with NUL. */
bool venv_qcow2_base(const uint8_t *data, size_t size, char ret_base[VENV_QCOW2_NAME_MAX + 1]);

void venv_put_be64(uint8_t *at, uint64_t number);
uint64_t venv_get_be64(const uint8_t *at);

#endif
