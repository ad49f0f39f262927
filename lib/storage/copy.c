/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies between any two places. A thread reads the source into a ring of bytes, the caller's thread writes them
 * under a temporary name; then what arrived is read back, compared, and renamed in.
 */
#include "storage/operations.h"

#include "base/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RING (1u << 20)

typedef struct ring {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint8_t *data;
    size_t used, at;        /* bytes in it, and where the first of them is */
    bool ended;             /* the reader is done; `rc` says how */
    venv_rc rc;
    venv_storage_error error;
    atomic_bool abandoned;  /* the writer has failed */
    /* the reader's */
    venv_storage *reader;
    const char *from_url;
    /* the writer's */
    venv_storage *storage;
    venv_sha256 sha;
    uint64_t done, total;
    const venv_storage_copy_options *options;
} ring;

/* --- the reader's thread --------------------------------------------------------------------------------- */

static bool ring_put(void *user, const void *data, size_t size)
{
    ring *r = user;
    const uint8_t *from = data;
    while (size > 0) {
        (void)pthread_mutex_lock(&r->lock);
        while (r->used == RING && !atomic_load(&r->abandoned))
            (void)pthread_cond_wait(&r->changed, &r->lock);
        if (atomic_load(&r->abandoned)) {
            (void)pthread_mutex_unlock(&r->lock);
            return false;
        }
        size_t end = (r->at + r->used) % RING, step = RING - r->used;
        step = step < RING - end ? step : RING - end;
        step = step < size ? step : size;
        memcpy(r->data + end, from, step);
        r->used += step;
        (void)pthread_cond_broadcast(&r->changed);
        (void)pthread_mutex_unlock(&r->lock);
        from += step;
        size -= step;
    }
    return true;
}

static void *read_source(void *user)
{
    ring *r = user;
    venv_storage_error error = { 0 };
    venv_rc rc = venv_storage_get(r->reader, r->from_url, 0, VENV_STORAGE_SIZE_UNKNOWN, ring_put, r, &error);
    (void)pthread_mutex_lock(&r->lock);
    r->ended = true;
    r->rc = rc;
    r->error = error;
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* --- the writer's side ----------------------------------------------------------------------------------- */

static int64_t ring_take(void *user, void *buffer, size_t size)
{
    ring *r = user;
    (void)pthread_mutex_lock(&r->lock);
    while (r->used == 0 && !r->ended) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 200000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&r->changed, &r->lock, &until);
        if (r->used == 0 && !r->ended && venv_storage_check(r->storage, 0, VENV_STORAGE_DATA, NULL) != VENV_OK) {
            (void)pthread_mutex_unlock(&r->lock);
            return -1;
        }
    }
    size_t step = r->used < RING - r->at ? r->used : RING - r->at;
    step = step < size ? step : size;
    bool broken = step == 0 && r->rc != VENV_OK; /* what came is not all there is */
    memcpy(buffer, r->data + r->at, step);
    r->at = (r->at + step) % RING;
    r->used -= step;
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    if (broken)
        return -1;
    venv_sha256_update(&r->sha, buffer, step);
    r->done += step;
    if (r->options->progress && !r->options->progress(r->options->user, r->done, r->total))
        return -1;
    return (int64_t)step;
}

/* Source to `to_url`, once. */
static venv_rc transfer(ring *r, const char *to_url, uint64_t size, uint32_t flags, venv_storage_error *err)
{
    pthread_t thread;
    atomic_store(&r->abandoned, false);
    r->used = r->at = 0;
    r->ended = false;
    r->rc = VENV_OK;
    r->done = 0;
    venv_sha256_init(&r->sha);
    r->reader->abandoned = &r->abandoned;
    int errnum = pthread_create(&thread, NULL, read_source, r);
    if (errnum != 0)
        return venv_storage_fail_errno(err, errnum, VENV_STORAGE_REQUEST, "cannot start a thread");
    venv_rc rc = venv_storage_put(r->storage, to_url, size, flags, ring_take, r, err);
    (void)pthread_mutex_lock(&r->lock);
    bool reader_failed = r->ended && r->rc != VENV_OK;
    atomic_store(&r->abandoned, true);
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    (void)pthread_join(thread, NULL);
    if (rc != VENV_OK && reader_failed) { /* the writer only gave up because of it */
        if (err)
            *err = r->error;
        return r->rc;
    }
    return rc;
}

/* --- the copy -------------------------------------------------------------------------------------------- */

static venv_rc temporary_url(const char *to_url, const venv_storage_url *to, char *buffer, size_t size,
                             venv_storage_error *err)
{
    char name[256], encoded[3 * 256 + 1];
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return venv_storage_fail(err, VENV_STORAGE_BUSY, VENV_STORAGE_REQUEST, "no random numbers");
    const char *own = venv_storage_path_name(to->path);
    int keep = (int)strnlen(own, 200);
    while (keep > 0 && ((unsigned char)own[keep] & 0xc0) == 0x80)
        keep--; /* not within a character */
    (void)snprintf(name, sizeof name, ".%.*s.%016" PRIx64 ".venv-part", keep, own, random);
    size_t end = strcspn(to_url, "?#");
    while (end > 0 && to_url[end - 1] != '/')
        end--;
    if (!venv_storage_encode(name, false, encoded, sizeof encoded) ||
        end + strlen(encoded) + strlen(to->settings) + 2 > size)
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the URL is too long for a temporary name");
    (void)snprintf(buffer, size, "%.*s%s%s%s", (int)end, to_url, encoded, to->settings[0] ? "#" : "", to->settings);
    return VENV_OK;
}

static venv_rc mismatch(venv_storage_error *err, venv_storage_scope scope, const venv_storage_url *url, const char *what)
{
    venv_rc rc = venv_storage_fail(err, VENV_STORAGE_INTEGRITY, VENV_STORAGE_VERIFY, "%s: %s", url->shown, what);
    if (err) {
        err->scope = scope;
        (void)snprintf(err->protocol, sizeof err->protocol, "%s", url->scheme);
    }
    return rc;
}

typedef struct copying {
    venv_storage *storage;
    const char *from_url, *to_url;
    venv_storage_url from, to;
    bool renames;
    uint64_t size;
    ring *ring;
} copying;

static venv_rc verify(copying *c, const char *written, uint8_t ret_sha256[VENV_STORAGE_SHA256_SIZE],
                      venv_storage_error *err)
{
    uint8_t arrived[VENV_STORAGE_SHA256_SIZE];
    venv_sha256_final(&c->ring->sha, ret_sha256);
    if (c->size != VENV_STORAGE_SIZE_UNKNOWN && c->ring->done != c->size)
        return mismatch(err, VENV_STORAGE_SOURCE, &c->from, "its size changed while it was read");
    const uint8_t *wanted = c->ring->options->sha256;
    if (wanted && memcmp(wanted, ret_sha256, VENV_STORAGE_SHA256_SIZE) != 0)
        return mismatch(err, VENV_STORAGE_SOURCE, &c->from, "its SHA-256 is not the one that was asked for");
    venv_rc rc = venv_storage_checksum(c->storage, written, arrived, err);
    if (rc != VENV_OK) {
        if (err)
            err->scope = VENV_STORAGE_DESTINATION;
        return rc;
    }
    if (memcmp(arrived, ret_sha256, sizeof arrived) != 0)
        return mismatch(err, VENV_STORAGE_BETWEEN, &c->to, "what arrived is not what was sent (SHA-256 differs)");
    return VENV_OK;
}

static venv_rc copy_once(copying *c, uint8_t ret_sha256[VENV_STORAGE_SHA256_SIZE], venv_storage_error *err)
{
    char temporary[VENV_STORAGE_URL_MAX];
    uint32_t flags = c->ring->options->flags;
    const char *written = c->to_url;
    venv_storage_info info;
    venv_rc rc = venv_storage_stat(c->storage, c->from_url, &info, err);
    if (rc != VENV_OK)
        return rc;
    if (info.kind != VENV_STORAGE_FILE) {
        rc = venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "cannot copy %s: it is no file", c->from.shown);
        if (err)
            err->scope = VENV_STORAGE_SOURCE;
        return rc;
    }
    c->size = c->ring->total = info.size;
    bool exists = false;
    if ((flags & VENV_STORAGE_PUT_NEW) && (rc = venv_storage_exists(c->storage, c->to_url, &exists, err)) != VENV_OK)
        return rc;
    if (exists) {
        rc = venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "cannot write %s: it exists", c->to.shown);
        if (err)
            err->scope = VENV_STORAGE_DESTINATION;
        return rc;
    }
    if (c->renames) {
        rc = temporary_url(c->to_url, &c->to, temporary, sizeof temporary, err);
        if (rc != VENV_OK)
            return rc;
        written = temporary;
    }
    rc = transfer(c->ring, written, info.size, c->renames ? flags & ~(uint32_t)VENV_STORAGE_PUT_NEW : flags, err);
    bool began = rc == VENV_OK || c->ring->done > 0;
    if (rc == VENV_OK)
        rc = verify(c, written, ret_sha256, err);
    if (rc == VENV_OK && c->renames)
        rc = venv_storage_rename(c->storage, temporary, c->to_url, !(flags & VENV_STORAGE_PUT_NEW), err);
    if (rc != VENV_OK && c->renames && began) {
        venv_storage_begin(c->storage);
        c->storage->cleaning = true;
        (void)!venv_storage_delete(c->storage, temporary, NULL);
        c->storage->cleaning = false;
    }
    return rc;
}

static venv_rc copy_with_retries(copying *c, venv_storage_copied *ret_copied, venv_storage_error *err)
{
    venv_storage_job job = { .storage = c->storage };
    uint8_t sha256[VENV_STORAGE_SHA256_SIZE];
    venv_rc rc;
    (void)clock_gettime(CLOCK_MONOTONIC, &job.began);
    do {
        c->storage->inner = true;
        rc = copy_once(c, sha256, &job.error);
        c->storage->inner = false;
    } while (venv_storage_job_again(&job, rc));
    if (rc != VENV_OK) {
        if (err)
            *err = job.error;
        return rc;
    }
    if (ret_copied) {
        *ret_copied = (venv_storage_copied){ .size = c->ring->done, .attempts = job.attempt };
        memcpy(ret_copied->sha256, sha256, sizeof sha256);
    }
    return VENV_OK;
}

venv_rc venv_storage_copy(venv_storage *storage, const char *from_url, const char *to_url,
                          const venv_storage_copy_options *options, venv_storage_copied *ret_copied,
                          venv_storage_error *err)
{
    static const venv_storage_copy_options defaults = VENV_STORAGE_COPY_INIT;
    copying c = { .storage = storage, .from_url = from_url, .to_url = to_url };
    venv_storage_job job;
    venv_rc rc = venv_storage_job_begin(&job, storage, from_url, "read", VENV_STORAGE_SOURCE,
                                        VENV_STORAGE_STAT | VENV_STORAGE_GET, err);
    if (rc != VENV_OK)
        return rc;
    c.from = job.url;
    rc = venv_storage_job_begin(&job, storage, to_url, "write", VENV_STORAGE_DESTINATION,
                                VENV_STORAGE_PUT | VENV_STORAGE_GET, err);
    if (rc != VENV_OK)
        return rc;
    c.to = job.url;
    c.renames = job.scheme->operations & VENV_STORAGE_RENAME;
    ring *r = calloc(1, sizeof *r);
    if (r)
        r->data = malloc(RING);
    if (!r || !r->data || pthread_mutex_init(&r->lock, NULL) != 0) {
        if (r)
            free(r->data);
        free(r);
        return venv_storage_fail_memory(err);
    }
    (void)pthread_cond_init(&r->changed, NULL);
    r->storage = storage;
    r->reader = storage->reader;
    r->from_url = from_url;
    r->options = options ? options : &defaults;
    c.ring = r;
    rc = copy_with_retries(&c, ret_copied, err);
    storage->reader->abandoned = NULL;
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->lock);
    free(r->data);
    free(r);
    return rc;
}
