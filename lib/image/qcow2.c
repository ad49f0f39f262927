/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers in a qcow2 file: what is accepted, and the layout of what we write. It touches no file. */
#include "image/qcow2.h"

#include <string.h>

#define OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define COPIED (UINT64_C(1) << 63)
#define COMPRESSED (UINT64_C(1) << 62)
#define DIRTY 1u /* refcounts may be wrong: we do not use them */

uint64_t venv_get_be64(const uint8_t *at)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | at[i];
    return number;
}

void venv_put_be64(uint8_t *at, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(number >> (56 - 8 * i));
}

static uint32_t get_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_be32(uint8_t *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(number >> (24 - 8 * i));
}

/* Extensions of the header up to its end mark. Only two that change nothing about where data is are known. */
static venv_rc check_extensions(const uint8_t *data, size_t size, size_t at, venv_error *err)
{
    while (at + 8 <= size) {
        uint32_t type = get_be32(data + at), length = get_be32(data + at + 4);
        if (type == 0)
            return VENV_OK;
        if (type == 0xe2792aca || type == 0x44415441)
            return venv_error_set(err, VENV_EDENIED, "the qcow2 image names another file: such an image is never opened");
        if (length > size - at - 8)
            return venv_error_set(err, VENV_EINVAL, "the header of the qcow2 image is malformed: an extension is too long");
        at += 8 + ((length + 7u) & ~(size_t)7);
    }
    return venv_error_set(err, VENV_EINVAL, "the header of the qcow2 image has no end");
}

static venv_rc check_features(const uint8_t *data, size_t size, uint32_t version, venv_error *err)
{
    uint32_t header_size = VENV_QCOW2_HEADER_SIZE - 32;
    if (venv_get_be64(data + 8) != 0 || get_be32(data + 16) != 0)
        return venv_error_set(err, VENV_EDENIED, "the qcow2 image has a backing file: such an image is never opened; "
                                                 "make it whole with 'qemu-img convert'");
    if (get_be32(data + 32) != 0)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image is encrypted");
    if (get_be32(data + 60) != 0)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image has internal snapshots: remove them with "
                                                      "'qemu-img snapshot -d' or convert it");
    if (version == 3) {
        uint64_t incompatible = size >= VENV_QCOW2_HEADER_SIZE ? venv_get_be64(data + 72) : ~UINT64_C(0);
        if (incompatible & 4)
            return venv_error_set(err, VENV_EDENIED, "the qcow2 image has its data in another file: such an image is never opened");
        if (incompatible & ~(uint64_t)DIRTY)
            return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image needs features 0x%llx that are not read here: "
                                  "convert it with 'qemu-img convert -O qcow2'", (unsigned long long)incompatible);
        header_size = get_be32(data + 100);
        if (header_size < VENV_QCOW2_HEADER_SIZE || header_size > size || header_size % 8 != 0)
            return venv_error_set(err, VENV_EINVAL, "the header of the qcow2 image has an impossible length");
    }
    return check_extensions(data, size, header_size, err);
}

venv_rc venv_qcow2_parse(const uint8_t *data, size_t size, uint64_t file_size, venv_qcow2 *ret_qcow2, venv_error *err)
{
    venv_qcow2 q = { 0 };
    if (size < VENV_QCOW2_HEADER_SIZE || memcmp(data, "QFI\xfb", 4) != 0)
        return venv_error_set(err, VENV_EINVAL, "it is not a qcow2 image");
    q.version = get_be32(data + 4);
    q.cluster_bits = get_be32(data + 20);
    if (q.version != 2 && q.version != 3)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image is of version %u; 2 and 3 are known", q.version);
    if (q.cluster_bits < 12 || q.cluster_bits > 21)
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image has clusters of 2^%u bytes; 2^12 to 2^21 are known", q.cluster_bits);
    uint64_t cluster = UINT64_C(1) << q.cluster_bits;
    if (size > cluster)
        size = (size_t)cluster;
    venv_rc rc = check_features(data, size, q.version, err);
    if (rc != VENV_OK)
        return rc;
    q.size = venv_get_be64(data + 24);
    q.l1_count = get_be32(data + 36);
    q.l1_offset = venv_get_be64(data + 40);
    if (q.size > VENV_QCOW2_CLUSTERS_MAX << q.cluster_bits)
        return venv_error_set(err, VENV_ELIMIT, "the disk in the qcow2 image is too large");
    q.cluster_count = (q.size + cluster - 1) >> q.cluster_bits;
    uint64_t in_table = cluster / 8, needed = (q.cluster_count + in_table - 1) / in_table;
    if (q.l1_count < needed || q.l1_count > needed + (1u << 20) || (q.l1_offset & (cluster - 1)) != 0 ||
        q.l1_offset > file_size || q.l1_count * 8 > file_size - q.l1_offset || (needed > 0 && q.l1_offset == 0))
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image is malformed: its L1 table does not fit");
    *ret_qcow2 = q;
    return VENV_OK;
}

static venv_rc pointer(const venv_qcow2 *qcow2, uint64_t offset, uint64_t file_size, uint64_t *ret_offset, venv_error *err)
{
    uint64_t cluster = UINT64_C(1) << qcow2->cluster_bits;
    /* The last cluster of a file may be cut short. */
    if ((offset & (cluster - 1)) != 0 || offset >= file_size)
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image is malformed: an entry points outside the file");
    *ret_offset = offset;
    return VENV_OK;
}

venv_rc venv_qcow2_l1(const venv_qcow2 *qcow2, const uint8_t entry[8], uint64_t file_size, uint64_t *ret_offset,
                      venv_error *err)
{
    uint64_t word = venv_get_be64(entry);
    if (word & ~(OFFSET_MASK | COPIED))
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image is malformed: reserved bits are set in its L1 table");
    return pointer(qcow2, word & OFFSET_MASK, file_size, ret_offset, err);
}

venv_rc venv_qcow2_l2(const venv_qcow2 *qcow2, const uint8_t entry[8], uint64_t file_size, uint64_t *ret_offset,
                      venv_error *err)
{
    uint64_t word = venv_get_be64(entry);
    if (word & COMPRESSED)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image has compressed clusters: convert it with "
                                                      "'qemu-img convert -O qcow2', venv-sync compresses by itself");
    bool zero = qcow2->version == 3 && (word & 1);
    if (word & ~(OFFSET_MASK | COPIED | 1) || ((word & 1) && !zero))
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image is malformed: reserved bits are set in an L2 table");
    if (zero) {
        *ret_offset = 0;
        return VENV_OK;
    }
    return pointer(qcow2, word & OFFSET_MASK, file_size, ret_offset, err);
}

static uint64_t up(uint64_t number, uint64_t by)
{
    return (number + by - 1) / by;
}

venv_rc venv_qcow2_plan(uint64_t size, uint64_t l2_count, uint64_t data_count, venv_qcow2_layout *ret_layout, venv_error *err)
{
    uint32_t bits = VENV_QCOW2_CLUSTER_BITS_DEFAULT;
    uint64_t cluster = UINT64_C(1) << bits, in_table = cluster / 8;
    if (size > VENV_QCOW2_CLUSTERS_MAX << bits)
        return venv_error_set(err, VENV_ELIMIT, "the disk is too large for a qcow2 image made here");
    /* Disks are whole sectors. */
    venv_qcow2_layout l = { .cluster_bits = bits, .size = up(size, 512) * 512, .l2_count = l2_count };
    uint64_t count = up(size, cluster);
    l.l1_count = up(count, in_table);
    if (l.l1_count == 0)
        l.l1_count = 1;
    uint64_t fixed = 1 + up(l.l1_count, in_table) + l2_count + data_count, total = fixed;
    for (uint64_t before = 0; before != total;) { /* the refcounts count themselves */
        before = total;
        l.refcount_block_count = up(total, cluster / 2);
        l.refcount_table_clusters = up(l.refcount_block_count, in_table);
        total = fixed + l.refcount_block_count + l.refcount_table_clusters;
    }
    l.refcount_table = cluster;
    l.refcount_blocks = l.refcount_table + l.refcount_table_clusters * cluster;
    l.l1 = l.refcount_blocks + l.refcount_block_count * cluster;
    l.l2 = l.l1 + up(l.l1_count, in_table) * cluster;
    l.data = l.l2 + l2_count * cluster;
    l.total = total;
    *ret_layout = l;
    return VENV_OK;
}

void venv_qcow2_header(const venv_qcow2_layout *layout, uint8_t ret_header[VENV_QCOW2_HEADER_SIZE])
{
    memset(ret_header, 0, VENV_QCOW2_HEADER_SIZE);
    memcpy(ret_header, "QFI\xfb", 4);
    put_be32(ret_header + 4, 3);
    put_be32(ret_header + 20, layout->cluster_bits);
    venv_put_be64(ret_header + 24, layout->size);
    put_be32(ret_header + 36, (uint32_t)layout->l1_count);
    venv_put_be64(ret_header + 40, layout->l1);
    venv_put_be64(ret_header + 48, layout->refcount_table);
    put_be32(ret_header + 56, (uint32_t)layout->refcount_table_clusters);
    put_be32(ret_header + 96, 4); /* refcounts of 16 bits */
    put_be32(ret_header + 100, VENV_QCOW2_HEADER_SIZE);
}
