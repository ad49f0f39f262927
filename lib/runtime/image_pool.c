/* SPDX-License-Identifier: Apache-2.0 */
/* A job carries texts there and a report as CBOR back. The context is shared by the loop and the thread: whoever lets go last frees it. */
#include "runtime/image_pool.h"

#include "base/cleanup.h"
#include "runtime/clock.h"
#include "runtime/worker.h"

#include <venv/codec.h>
#include <venv/image.h>

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STOP_MS 1500

typedef struct image_context {
    char *repository, *trust, *directory;
    atomic_bool stop;
    atomic_int references;
} image_context;

typedef struct image_job {
    venv_job job;
    uint64_t token;
    char *reference;
    bool base;
    int64_t end_ns;
    const atomic_bool *stop;
    venv_rc rc;
    venv_error err;
    uint8_t *report;
    size_t report_size;
} image_job;

struct venv_image_pool {
    venv_image_pool_calls calls;
    venv_worker *worker;
    image_context *context;
    bool ending;
};

static void context_release(void *user)
{
    image_context *c = user;
    if (atomic_fetch_sub(&c->references, 1) != 1)
        return;
    free(c->repository);
    free(c->trust);
    free(c->directory);
    free(c);
}

static void drop_job(venv_job *job)
{
    image_job *dropped = (image_job *)job;
    free(dropped->reference);
    free(dropped->report);
    free(dropped);
}

/* --- on the thread --------------------------------------------------------------------------- */

static bool goes_on(void *user, const venv_image_progress *progress)
{
    const image_job *job = user;
    (void)progress;
    return !atomic_load(job->stop) && venv_clock_read().mono.ns < job->end_ns;
}

static venv_rc bring(const image_context *c, image_job *job, venv_value *ret_report)
{
    char path[PATH_MAX];
    venv_image_options options = VENV_IMAGE_OPTIONS_INIT;
    options.repository = c->repository;
    options.trust = c->trust;
    options.progress = goes_on;
    options.user = job;
    int size = job->base ? snprintf(path, sizeof path, "%s/bases", c->directory)
                         : snprintf(path, sizeof path, "%s/%.*s.raw", c->directory, (int)strcspn(job->reference, "@"), job->reference);
    if (size < 0 || (size_t)size >= sizeof path)
        return venv_error_set(&job->err, VENV_EINVAL, "agent.images.directory is too long");
    if (mkdir(c->directory, 0755) != 0 && errno != EEXIST)
        return venv_error_set(&job->err, VENV_EIO, "cannot make the folder of images '%s': %s", c->directory, strerror(errno));
    venv_rc rc = job->base ? venv_image_base(&options, job->reference, path, ret_report, &job->err)
                           : venv_image_get(&options, job->reference, path, VENV_IMAGE_RAW, NULL, ret_report, &job->err);
    if (rc == VENV_ECANCELED && venv_clock_read().mono.ns >= job->end_ns)
        rc = venv_error_set(&job->err, VENV_ETIMEDOUT, "it did not end in its time; what was fetched is kept for the next time");
    return rc;
}

static void work(void *context, venv_job *batch)
{
    const image_context *c = context;
    image_job *job = (image_job *)batch;
    venv_value report = venv_value_null();
    job->stop = &c->stop;
    job->rc = goes_on(job, NULL) ? bring(c, job, &report)
                                 : venv_error_set(&job->err, VENV_ETIMEDOUT, "its time was over before it could begin");
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    if (job->rc == VENV_OK)
        job->rc = venv_cbor_encode(&report, &options, &job->report, &job->report_size, &job->err);
    venv_value_unref(&report);
}

/* --- on the loop ----------------------------------------------------------------------------- */

static void done(void *user, venv_job *each)
{
    venv_image_pool *pool = user;
    image_job *job = (image_job *)each;
    venv_value report = venv_value_null();
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    if (job->rc == VENV_OK)
        job->rc = venv_cbor_decode(job->report, job->report_size, &options, &report, &job->err);
    if (!pool->ending)
        pool->calls.synced(pool->calls.user, job->token, job->rc, job->rc == VENV_OK ? NULL : job->err.text,
                           job->rc == VENV_OK ? &report : NULL);
    venv_value_unref(&report);
    drop_job(each);
}

venv_rc venv_image_pool_start(uv_loop_t *loop, const venv_image_pool_options *options, const venv_image_pool_calls *calls,
                              venv_image_pool **ret_pool, venv_error *err)
{
    venv_image_pool *pool = calloc(1, sizeof *pool);
    image_context *c = calloc(1, sizeof *c);
    if (!pool || !c) {
        free(pool);
        free(c);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for images");
    }
    atomic_init(&c->references, 2);
    c->repository = strdup(options->repository);
    c->trust = strdup(options->trust);
    c->directory = strdup(options->directory);
    pool->calls = *calls;
    pool->context = c;
    venv_worker_options worker = { .queue_max = VENV_IMAGE_QUEUE_MAX, .batch_max = 1, .context = c, .work = work,
                                   .finish = context_release, .done = done, .drop = drop_job, .user = pool };
    venv_rc rc = c->repository && c->trust && c->directory ? venv_worker_start(loop, &worker, &pool->worker, err)
                                                           : venv_error_set(err, VENV_ENOMEM, "out of memory for images");
    if (rc != VENV_OK) {
        context_release(c);
        context_release(c);
        free(pool);
        return rc;
    }
    *ret_pool = pool;
    return VENV_OK;
}

void venv_image_pool_sync(venv_image_pool *pool, uint64_t token, const char *reference, bool base, venv_span timeout)
{
    venv_error err = { 0 };
    image_job *job = calloc(1, sizeof *job);
    venv_rc rc = job && (job->reference = strdup(reference)) ? VENV_OK : venv_error_set(&err, VENV_ENOMEM, "out of memory for an image");
    if (rc == VENV_OK) {
        job->token = token;
        job->base = base;
        job->end_ns = venv_clock_read().mono.ns + timeout.ns;
        rc = venv_worker_submit(pool->worker, &job->job, &err);
    }
    if (rc == VENV_OK)
        return;
    if (job)
        drop_job(&job->job);
    pool->calls.synced(pool->calls.user, token, rc, err.text, NULL);
}

void venv_image_pool_end(venv_image_pool *pool)
{
    if (!pool)
        return;
    pool->ending = true;
    atomic_store(&pool->context->stop, true);
    venv_worker_stop_within(pool->worker, STOP_MS);
    context_release(pool->context);
    free(pool);
}
