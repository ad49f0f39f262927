/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/disk_samples.h"

#include "runtime/worker.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define STOP_MS 1000

typedef struct disk_job {
    venv_job job;
    uint64_t token;
    bool total;
    char path[PATH_MAX];
    venv_rc rc;
    uint64_t kib;
    venv_error err;
} disk_job;

struct venv_disk_samples {
    venv_worker *worker;
    venv_disk_samples_calls calls;
    bool ending;
};

static void look(disk_job *job)
{
    struct statvfs st;
    uint64_t bytes;
    if (statvfs(job->path, &st) != 0)
        job->rc = venv_error_set(&job->err, VENV_EIO, "cannot look at the file system of %s: %s", job->path, strerror(errno));
    else if (__builtin_mul_overflow((uint64_t)(job->total ? st.f_blocks : st.f_bavail), (uint64_t)st.f_frsize, &bytes))
        job->rc = venv_error_set(&job->err, VENV_ERANGE, "the file system of %s is too large", job->path);
    else
        job->kib = bytes / 1024;
}

static void work(void *context, venv_job *batch)
{
    (void)context;
    for (venv_job *job = batch; job; job = job->next)
        look((disk_job *)job);
}

static void drop(venv_job *job)
{
    free(job);
}

static void done(void *user, venv_job *job)
{
    venv_disk_samples *samples = user;
    disk_job *made = (disk_job *)job;
    venv_value value = venv_value_int((int64_t)made->kib);
    if (!samples->ending)
        samples->calls.sampled(samples->calls.user, made->token, made->rc, made->rc == VENV_OK ? &value : NULL, made->err.text);
    free(made);
}

venv_rc venv_disk_samples_start(uv_loop_t *loop, const venv_disk_samples_calls *calls, venv_disk_samples **ret_samples,
                                venv_error *err)
{
    venv_disk_samples *samples = calloc(1, sizeof *samples);
    if (!samples)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the disks' thread");
    samples->calls = *calls;
    venv_worker_options options = { .queue_max = VENV_DISK_QUEUE_MAX, .batch_max = 1, .work = work, .done = done,
                                    .drop = drop, .user = samples };
    venv_rc rc = venv_worker_start(loop, &options, &samples->worker, err);
    if (rc != VENV_OK) {
        free(samples);
        return rc;
    }
    *ret_samples = samples;
    return VENV_OK;
}

static venv_rc read_path(const venv_value *args, char ret_path[PATH_MAX], venv_error *err)
{
    const venv_value *first = args ? venv_value_at(args, 0) : NULL;
    venv_str path = VENV_STR("/");
    if (first && venv_value_kind(first) == VENV_STRING)
        path = venv_value_peek_text(first);
    if (path.size == 0 || path.data[0] != '/' || path.size >= PATH_MAX || memchr(path.data, '\0', path.size))
        return venv_error_set(err, VENV_EINVAL, "expected an absolute path");
    memcpy(ret_path, path.data, path.size);
    ret_path[path.size] = '\0';
    return VENV_OK;
}

void venv_disk_samples_read(venv_disk_samples *samples, uint64_t token, venv_builtin_id id, const venv_value *args)
{
    venv_error err = { 0 };
    disk_job *job = calloc(1, sizeof *job);
    venv_rc rc = job ? read_path(args, job->path, &err) : venv_error_set(&err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK) {
        job->token = token;
        job->total = id == VENV_BUILTIN_DISKTOTAL;
        rc = venv_worker_submit(samples->worker, &job->job, &err);
        if (rc != VENV_OK)
            (void)venv_error_prefix(&err, "an earlier look at a file system hangs");
    }
    if (rc != VENV_OK) {
        free(job);
        samples->calls.sampled(samples->calls.user, token, rc, NULL, err.text);
    }
}

void venv_disk_samples_end(venv_disk_samples *samples)
{
    if (!samples)
        return;
    samples->ending = true;
    venv_worker_stop_within(samples->worker, STOP_MS);
    free(samples);
}
