/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that move bytes: get goes on where it was interrupted, put is tried again while its source can be. */
#include "storage/operations.h"

#include "base/buf.h"
#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

/* --- get ------------------------------------------------------------------------------------------------ */

typedef struct counted_sink {
    venv_storage_sink_fn sink;
    void *user;
    uint64_t done, max;
    bool stopped, too_large;
} counted_sink;

static bool count_out(void *user, const void *data, size_t size)
{
    counted_sink *c = user;
    if (c->done + size > c->max) {
        c->too_large = true;
        return false;
    }
    c->done += size;
    c->stopped = !c->sink(c->user, data, size);
    return !c->stopped;
}

venv_rc venv_storage_get(venv_storage *storage, const char *url, uint64_t offset, uint64_t length,
                         venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    venv_storage_job job;
    char tag[VENV_STORAGE_TAG_MAX] = "";
    counted_sink c = { .sink = sink, .user = user, .max = storage->shared->settings.options.size_max };
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "read", VENV_STORAGE_SOURCE, VENV_STORAGE_GET, err);
    if (rc != VENV_OK)
        return rc;
    if (length == 0)
        return VENV_OK;
    for (;;) {
        uint64_t left = length == VENV_STORAGE_SIZE_UNKNOWN ? length : length - c.done;
        if (c.done == 0)
            tag[0] = 0; /* nothing was told yet: whatever it is now is as good */
        uint64_t before = c.done;
        rc = job.scheme->driver->get(storage, &job.url, offset + c.done, left, tag, count_out, &c, &job.error);
        if (c.too_large)
            rc = venv_storage_fail(&job.error, VENV_STORAGE_OPERATION, VENV_STORAGE_DATA,
                                   "it is larger than the limit of this program");
        if (rc == VENV_OK || c.stopped || c.too_large)
            break;
        if (c.done > 0 && (!tag[0] || job.error.klass == VENV_STORAGE_STALE_HANDLE))
            break; /* it could be, or is, another object by now: only the caller can begin anew */
        if (c.done > before)
            job.attempt = 0; /* it goes on, slowly: the policy is about attempts that bring nothing */
        if (!venv_storage_job_again(&job, rc))
            break;
    }
    return venv_storage_job_end(&job, rc, err);
}

static bool to_buf(void *user, const void *data, size_t size)
{
    venv_buf *buf = user;
    venv_buf_append(buf, data, size);
    return buf->rc == VENV_OK;
}

venv_rc venv_storage_get_bytes(venv_storage *storage, const char *url, size_t size_max, uint8_t **ret_data,
                               size_t *ret_size, venv_storage_error *err)
{
    venv_buf buf;
    venv_buf_init(&buf, size_max < SIZE_MAX ? size_max + 1 : size_max); /* and the NUL */
    uint64_t want = size_max < SIZE_MAX ? (uint64_t)size_max + 1 : VENV_STORAGE_SIZE_UNKNOWN;
    venv_rc rc = venv_storage_get(storage, url, 0, want, to_buf, &buf, err);
    if (rc == VENV_OK && buf.size <= size_max) {
        size_t size = buf.size;
        venv_buf_append_byte(&buf, 0);
        if (buf.rc == VENV_OK) {
            *ret_data = venv_buf_take(&buf, &(size_t){ 0 });
            *ret_size = size;
            venv_buf_fini(&buf);
            return VENV_OK;
        }
    }
    if (buf.rc == VENV_ENOMEM) {
        rc = venv_storage_fail_memory(err);
    } else if (rc == VENV_OK || buf.rc == VENV_ELIMIT) {
        (void)venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_DATA, "the object is larger than %zu bytes", size_max);
        if (err)
            err->rc = VENV_ELIMIT;
        rc = VENV_ELIMIT;
    }
    venv_buf_fini(&buf);
    return rc;
}

static bool to_hash(void *user, const void *data, size_t size)
{
    venv_sha256_update(user, data, size);
    return true;
}

venv_rc venv_storage_checksum(venv_storage *storage, const char *url, uint8_t ret_sha256[VENV_STORAGE_SHA256_SIZE],
                              venv_storage_error *err)
{
    venv_sha256 sha;
    venv_sha256_init(&sha);
    venv_rc rc = venv_storage_get(storage, url, 0, VENV_STORAGE_SIZE_UNKNOWN, to_hash, &sha, err);
    if (rc == VENV_OK)
        venv_sha256_final(&sha, ret_sha256);
    return rc;
}

/* --- put ------------------------------------------------------------------------------------------------ */

typedef struct counted_source {
    venv_storage_source_fn source;
    void *user;
    uint64_t taken;
} counted_source;

static int64_t count_in(void *user, void *buffer, size_t size)
{
    counted_source *c = user;
    int64_t got = c->source(c->user, buffer, size);
    if (got > 0)
        c->taken += (uint64_t)got;
    return got;
}

static venv_rc make_parents(venv_storage *storage, const venv_storage_job *job, const char *url, venv_storage_error *err)
{
    size_t above = venv_storage_path_parent(job->url.path).size;
    if (above == 0 || !(job->scheme->operations & VENV_STORAGE_DIRECTORIES))
        return VENV_OK;
    char parent[VENV_STORAGE_URL_MAX];
    size_t end = strcspn(url, "?#");
    while (end > 0 && url[end - 1] != '/')
        end--;
    memcpy(parent, url, end);
    size_t rest = strlen(job->url.settings);
    parent[end] = rest ? '#' : 0;
    memcpy(parent + end + 1, job->url.settings, rest + 1);
    bool exists = false;
    venv_rc rc = venv_storage_exists(storage, parent, &exists, err);
    return rc == VENV_OK && !exists ? venv_storage_make_directory(storage, parent, true, err) : rc;
}

/* `rewind` may be NULL: then only an attempt that took nothing is made again. */
static venv_rc put(venv_storage *storage, const char *url, uint64_t size, uint32_t flags, venv_storage_source_fn source,
                   void (*rewind)(void *user), void *user, venv_storage_error *err)
{
    venv_storage_job job;
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "write", VENV_STORAGE_DESTINATION, VENV_STORAGE_PUT, err);
    if (rc != VENV_OK)
        return rc;
    if (job.url.path[0] == 0 || job.url.directory)
        return venv_storage_job_end(&job, venv_storage_fail(&job.error, VENV_STORAGE_OPERATION, VENV_STORAGE_PARSE,
                                                            "it is a directory"), err);
    if (size != VENV_STORAGE_SIZE_UNKNOWN && size > storage->shared->settings.options.size_max)
        return venv_storage_job_end(&job, venv_storage_fail(&job.error, VENV_STORAGE_OPERATION, VENV_STORAGE_PARSE,
                                                            "it is larger than the limit of this program"), err);
    if ((flags & VENV_STORAGE_PUT_PARENTS) && (rc = make_parents(storage, &job, url, err)) != VENV_OK)
        return rc;
    venv_storage_begin(storage);
    for (;;) {
        counted_source c = { .source = source, .user = user };
        rc = job.scheme->driver->put(storage, &job.url, size, flags & VENV_STORAGE_PUT_NEW, count_in, &c, &job.error);
        if (rc != VENV_OK && c.taken > 0 && !rewind)
            break; /* the source cannot give its bytes again: only the caller can begin anew */
        if (!venv_storage_job_again(&job, rc))
            break;
        if (rewind)
            rewind(user);
    }
    return venv_storage_job_end(&job, rc, err);
}

venv_rc venv_storage_put(venv_storage *storage, const char *url, uint64_t size, uint32_t flags,
                         venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    return put(storage, url, size, flags, source, NULL, user, err);
}

typedef struct memory_source {
    const uint8_t *data;
    size_t size, at;
} memory_source;

static int64_t from_memory(void *user, void *buffer, size_t size)
{
    memory_source *m = user;
    size_t step = m->size - m->at < size ? m->size - m->at : size;
    if (step > 0)
        memcpy(buffer, m->data + m->at, step);
    m->at += step;
    return (int64_t)step;
}

static void memory_rewind(void *user)
{
    ((memory_source *)user)->at = 0;
}

venv_rc venv_storage_put_bytes(venv_storage *storage, const char *url, const void *data, size_t size, uint32_t flags,
                               venv_storage_error *err)
{
    memory_source m = { .data = data, .size = size };
    return put(storage, url, size, flags, from_memory, memory_rewind, &m, err);
}
