/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_SCAN_H
#define VENV_SYNC_SCAN_H

/*
 * Reading an image from front to end in chunks: cut in order, worked on by all threads, taken in order.
 * While the threads work on one window, the next is read and cut.
 */

#include "image/cut.h"
#include "image/zip.h"
#include "sync/disk.h"
#include "sync/pool.h"

typedef struct venv_scan_item {
    uint64_t offset, length;
    const uint8_t *data; /* NULL: a hole */
    uint8_t *out;        /* room for venv_zip_bound(length) */
    uint8_t hash[VENV_HASH_SIZE];
    size_t packed;       /* bytes in `out`; 0: none */
    venv_rc rc;          /* of work() */
    bool keep;           /* set by take() */
} venv_scan_item;

typedef struct venv_scan {
    const venv_disk *disk;
    const venv_cutter *cutter;
    venv_pool *pool;
    /* Any thread, no order. May be called for several items at once. */
    void (*work)(void *user, unsigned worker, venv_scan_item *item);
    /* The caller's thread, in order; nobody works meanwhile. */
    venv_rc (*take)(void *user, venv_scan_item *item, venv_error *err);
    /* After take(), in order, for items with `keep`; the next window may be worked on. May be NULL. */
    venv_rc (*store)(void *user, const venv_scan_item *item, venv_error *err);
    /* false: give up. May be NULL. */
    bool (*progress)(void *user, uint64_t done);
    void *user;
} venv_scan;

venv_rc venv_scan_run(const venv_scan *scan, venv_error *err);

#endif
