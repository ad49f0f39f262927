/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_POOL_H
#define VENV_SYNC_POOL_H

/* Threads that share the items of one piece of work. The caller of _finish() works, too. */

#include <venv/common.h>

#define VENV_POOL_THREADS_MAX 64u

typedef struct venv_pool venv_pool;

/* `threads` 0: one for each processor. The caller counts as one. */
venv_rc venv_pool_new(unsigned threads, venv_pool **ret_pool, venv_error *err);
void venv_pool_free(venv_pool *pool);
/* Workers are numbered 0 (the caller) to this - 1. */
unsigned venv_pool_size(const venv_pool *pool);

/* Begin: work(user, worker, item) is called once for each item from 0 to count - 1. One piece of work at a time. */
void venv_pool_start(venv_pool *pool, void (*work)(void *user, unsigned worker, size_t item), void *user, size_t count);
/* Help, and return when all items are done. Without a start it returns at once. */
void venv_pool_finish(venv_pool *pool);

#endif
