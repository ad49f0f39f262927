/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 disk that a guest is given: is it one that stays within itself, and an empty one on top of a base. It touches no file.
 * The numbers are those of docs/interop/qcow2.txt of QEMU.
 */
#include "image/qcow2.h"

#include <string.h>

enum {
    EXTENSION_END = 0,
    DIRTY = 1, CORRUPT = 2, EXTERNAL = 4, COMPRESSION_TYPE = 8, EXTENDED_L2 = 16, /* incompatible features */
};
#define EXTENSION_BASE_FORMAT   0xe2792acau
#define EXTENSION_EXTERNAL_NAME 0x44415441u
#define HEADER_SIZE_V2          72u

static uint32_t get_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_be32(uint8_t *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(number >> (24 - 8 * i));
}

static venv_rc check_features(const uint8_t *data, venv_error *err)
{
    uint64_t features = venv_get_be64(data + 72);
    if (features & EXTERNAL)
        return venv_error_set(err, VENV_EDENIED, "the qcow2 image has its data in another file: such an image is never opened; "
                                                 "make it whole with 'qemu-img convert -O qcow2'");
    if (features & CORRUPT)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image is marked as corrupt: look at it with 'qemu-img check'");
    if (features & ~(uint64_t)(DIRTY | COMPRESSION_TYPE | EXTENDED_L2))
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image needs features 0x%llx that are not known here: convert it with "
                              "'qemu-img convert -O qcow2'", (unsigned long long)features);
    return VENV_OK;
}

static venv_rc check_extensions(const uint8_t *data, size_t size, size_t at, venv_error *err)
{
    while (at + 8 <= size) {
        uint32_t type = get_be32(data + at), length = get_be32(data + at + 4);
        if (type == EXTENSION_END)
            return VENV_OK;
        if (type == EXTENSION_BASE_FORMAT || type == EXTENSION_EXTERNAL_NAME)
            return venv_error_set(err, VENV_EDENIED, "the qcow2 image names another file: such an image is never opened; "
                                                     "make it whole with 'qemu-img convert -O qcow2'");
        if (length > size - at - 8)
            break;
        at += 8 + (((size_t)length + 7u) & ~(size_t)7);
    }
    return venv_error_set(err, VENV_EINVAL, "the qcow2 image is malformed: its header has no end");
}

venv_rc venv_qcow2_check_disk(const uint8_t *data, size_t size, uint64_t file_size, uint64_t *ret_size, venv_error *err)
{
    if (size < VENV_QCOW2_HEADER_SIZE || memcmp(data, "QFI\xfb", 4) != 0)
        return venv_error_set(err, VENV_EINVAL, "it is not a qcow2 image");
    uint32_t version = get_be32(data + 4), bits = get_be32(data + 20), header = HEADER_SIZE_V2;
    if (version != 2 && version != 3)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image is of version %u; 2 and 3 are known", version);
    if (bits < 9 || bits > 21)
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image has clusters of 2^%u bytes; 2^9 to 2^21 are possible", bits);
    if (venv_get_be64(data + 8) != 0 || get_be32(data + 16) != 0)
        return venv_error_set(err, VENV_EDENIED, "the qcow2 image has a backing file: such an image is never opened; "
                                                 "make it whole with 'qemu-img convert -O qcow2'");
    if (get_be32(data + 32) != 0)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the qcow2 image is encrypted: convert it with 'qemu-img convert -O qcow2'");
    if (size > (size_t)1 << bits)
        size = (size_t)1 << bits;
    venv_rc rc = version == 3 ? check_features(data, err) : VENV_OK;
    if (rc != VENV_OK)
        return rc;
    if (version == 3)
        header = get_be32(data + 100);
    if (header < (version == 3 ? VENV_QCOW2_HEADER_SIZE : HEADER_SIZE_V2) || header > size || header % 8 != 0)
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image is malformed: its header has an impossible length");
    rc = check_extensions(data, size, header, err);
    if (rc != VENV_OK)
        return rc;
    uint64_t disk = venv_get_be64(data + 24), l1 = venv_get_be64(data + 40), entries = get_be32(data + 36);
    if (disk > VENV_QCOW2_CLUSTERS_MAX << bits)
        return venv_error_set(err, VENV_ELIMIT, "the disk in the qcow2 image is too large");
    uint64_t cluster = UINT64_C(1) << bits, in_table = cluster / 8, needed = ((disk + cluster - 1) / cluster + in_table - 1) / in_table;
    if (entries < needed || entries > needed + (1u << 20) || l1 % cluster != 0 || l1 > file_size || entries * 8 > file_size - l1)
        return venv_error_set(err, VENV_EINVAL, "the qcow2 image is malformed: its L1 table does not fit");
    *ret_size = disk;
    return VENV_OK;
}

static size_t put_base(uint8_t *head, const char *base, const char *format)
{
    size_t at = VENV_QCOW2_HEADER_SIZE, length = strlen(format);
    put_be32(head + at, EXTENSION_BASE_FORMAT);
    put_be32(head + at + 4, (uint32_t)length);
    memcpy(head + at + 8, format, length);
    at += 8 + 8 + 8; /* padded to eight, then the end mark */
    venv_put_be64(head + 8, at);
    put_be32(head + 16, (uint32_t)strlen(base));
    memcpy(head + at, base, strlen(base));
    return at + strlen(base);
}

venv_rc venv_qcow2_overlay_make(uint64_t size, const char *base, const char *base_format, venv_qcow2_overlay *ret_overlay, venv_error *err)
{
    venv_qcow2_overlay o = { 0 };
    if (base && (base[0] != '/' || strlen(base) > VENV_QCOW2_NAME_MAX))
        return venv_error_set(err, VENV_EINVAL, "the base of a disk must be an absolute path of at most %u bytes", VENV_QCOW2_NAME_MAX);
    if (base && strcmp(base_format, "raw") != 0 && strcmp(base_format, "qcow2") != 0)
        return venv_error_set(err, VENV_EINVAL, "the base of a disk must be raw or qcow2, not '%s'", base_format);
    venv_rc rc = venv_qcow2_plan(size, 0, 0, &o.layout, err);
    if (rc != VENV_OK)
        return rc;
    if (o.layout.refcount_block_count != 1 || o.layout.total * 2 > sizeof o.counts)
        return venv_error_set(err, VENV_ELIMIT, "the disk is too large for a qcow2 image made here");
    venv_qcow2_header(&o.layout, o.head);
    o.head_size = base ? put_base(o.head, base, base_format) : VENV_QCOW2_HEADER_SIZE + 8;
    venv_put_be64(o.table, o.layout.refcount_blocks);
    for (uint64_t i = 0; i < o.layout.total; i++)
        o.counts[i * 2 + 1] = 1;
    o.counts_size = (size_t)o.layout.total * 2;
    o.file_size = o.layout.total << o.layout.cluster_bits;
    *ret_overlay = o;
    return VENV_OK;
}

bool venv_qcow2_base(const uint8_t *data, size_t size, char ret_base[VENV_QCOW2_NAME_MAX + 1])
{
    if (size < VENV_QCOW2_HEADER_SIZE || memcmp(data, "QFI\xfb", 4) != 0)
        return false;
    uint64_t at = venv_get_be64(data + 8);
    uint32_t length = get_be32(data + 16);
    if (at == 0 || length == 0 || length > VENV_QCOW2_NAME_MAX || at > size || length > size - at)
        return false;
    memcpy(ret_base, data + at, length);
    ret_base[length] = '\0';
    return strlen(ret_base) == length;
}
