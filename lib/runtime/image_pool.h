/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_IMAGE_POOL_H
#define VENV_RUNTIME_IMAGE_POOL_H

/*
 * Images brought to this node: lib/sync on a thread, one after the other. Each is answered exactly once, from the loop or from within
 * the call, unless the agent ends before; what was fetched until then is kept for the next time.
 */

#include <venv/value.h>

#include <uv.h>

#define VENV_IMAGE_QUEUE_MAX 8

typedef struct venv_image_pool venv_image_pool;

typedef struct venv_image_pool_options {
    const char *repository, *trust, *directory; /* copied */
} venv_image_pool_options;

typedef struct venv_image_pool_calls {
    void (*synced)(void *user, uint64_t token, venv_rc rc, const char *text, const venv_value *report);
    void *user;
} venv_image_pool_calls;

venv_rc venv_image_pool_start(uv_loop_t *loop, const venv_image_pool_options *options, const venv_image_pool_calls *calls,
                              venv_image_pool **ret_pool, venv_error *err);
/* Bring image `reference` to DIRECTORY/NAME.raw; or, as a `base`, to a place where it is not written again, and the report has its `path`. */
void venv_image_pool_sync(venv_image_pool *pool, uint64_t token, const char *reference, bool base, venv_span timeout);
/* What is under way is given up. Accepts NULL. */
void venv_image_pool_end(venv_image_pool *pool);

#endif
