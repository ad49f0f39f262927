/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/memory_file.h"

#include "base/cleanup.h"
#include "base/sha256.h"
#include "runtime/worker.h"

#include <venv/codec.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC      "VENVMEM1"
#define MAGIC_SIZE 8u
#define HEAD_SIZE  (MAGIC_SIZE + VENV_SHA256_SIZE)
#define QUEUE_MAX  256
#define STOP_MS    2000

typedef struct memory_job {
    venv_job job;
    uint64_t number;
    uint8_t *data;
    size_t size;
    venv_rc rc;
    venv_error err;
} memory_job;

struct venv_memory_file {
    venv_worker *worker;
    venv_memory_file_calls calls;
    bool ending;
};

static venv_rc failed(venv_error *err, const char *what, const char *path)
{
    int code = errno;
    return venv_error_set(err, code == ENOSPC || code == EDQUOT ? VENV_ENOSPACE : VENV_EIO, "cannot %s %s: %s", what, path,
                          strerror(code));
}

/* --- reading ------------------------------------------------------------------------------------------- */

static venv_rc read_whole(int fd, const char *path, uint8_t **ret_data, size_t *ret_size, venv_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return failed(err, "read", path);
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)HEAD_SIZE || st.st_size > (off_t)VENV_MEMORY_FILE_MAX)
        return venv_error_set(err, VENV_EINVAL, "its size is wrong");
    size_t size = (size_t)st.st_size, have = 0;
    uint8_t *data = malloc(size);
    if (!data)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    while (have < size) {
        ssize_t got = read(fd, data + have, size - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(data);
            return got < 0 ? failed(err, "read", path) : venv_error_set(err, VENV_EINVAL, "it is cut off");
        }
        have += (size_t)got;
    }
    *ret_data = data;
    *ret_size = size;
    return VENV_OK;
}

static venv_rc decode(const uint8_t *data, size_t size, venv_value *ret_value, venv_error *err)
{
    uint8_t digest[VENV_SHA256_SIZE];
    venv_sha256_of(data + HEAD_SIZE, size - HEAD_SIZE, digest);
    if (memcmp(data, MAGIC, MAGIC_SIZE) != 0)
        return venv_error_set(err, VENV_EINVAL, "it is no such file");
    if (memcmp(data + MAGIC_SIZE, digest, sizeof digest) != 0)
        return venv_error_set(err, VENV_EINVAL, "its checksum is wrong");
    return venv_cbor_decode(data + HEAD_SIZE, size - HEAD_SIZE, NULL, ret_value, err);
}

venv_rc venv_memory_file_load(const char *path, venv_value *ret_value, venv_error *err)
{
    uint8_t *data = NULL;
    size_t size = 0;
    venv_error why = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? VENV_OK : failed(err, "open", path);
    venv_rc rc = read_whole(fd, path, &data, &size, &why);
    (void)close(fd);
    if (rc == VENV_OK)
        rc = decode(data, size, ret_value, &why);
    free(data);
    if (rc == VENV_EINVAL || rc == VENV_ELIMIT || rc == VENV_ERANGE)
        return venv_error_set(err, VENV_EINVAL, "%s is damaged: %s. In it this agent keeps which requests it has begun. Without it "
                              "one that comes again would be carried out again. If no manager waits for an answer of this agent, "
                              "remove the file and start the agent", path, why.text);
    if (rc != VENV_OK && err)
        *err = why;
    return rc;
}

/* --- writing ------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

static bool sync_folder_of(const char *path)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash && (size_t)(slash - path) < sizeof folder)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path + (slash == path)), path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    int code = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = code;
    return good;
}

venv_rc venv_memory_file_save(const char *path, const void *data, size_t size, venv_error *err)
{
    char fresh[PATH_MAX];
    uint8_t head[HEAD_SIZE];
    int length = snprintf(fresh, sizeof fresh, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof fresh)
        return venv_error_set(err, VENV_EINVAL, "the path %s is too long", path);
    memcpy(head, MAGIC, MAGIC_SIZE);
    venv_sha256_of(data, size, head + MAGIC_SIZE);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(err, "write", fresh);
    bool good = write_all(fd, head, sizeof head) && write_all(fd, data, size) && fsync(fd) == 0;
    int code = errno;
    good = close(fd) == 0 && good;
    if (!good) {
        errno = code ? code : EIO;
        venv_rc rc = failed(err, "write", fresh);
        (void)unlink(fresh);
        return rc;
    }
    if (rename(fresh, path) != 0)
        return failed(err, "put in place", path);
    return sync_folder_of(path) ? VENV_OK : failed(err, "sync the folder of", path);
}

/* --- the thread ----------------------------------------------------------------------------------------- */

static void drop(venv_job *job)
{
    free(((memory_job *)job)->data);
    free(job);
}

/* Each is the whole: of several that wait only the last is written. */
static void work(void *context, venv_job *batch)
{
    memory_job *last = (memory_job *)batch;
    for (venv_job *job = batch; job; job = job->next)
        last = (memory_job *)job;
    last->rc = venv_memory_file_save(context, last->data, last->size, &last->err);
    for (venv_job *job = batch; job; job = job->next) {
        ((memory_job *)job)->rc = last->rc;
        ((memory_job *)job)->err = last->err;
    }
}

static void done(void *user, venv_job *job)
{
    venv_memory_file *file = user;
    memory_job *made = (memory_job *)job;
    if (!file->ending)
        file->calls.kept(file->calls.user, made->number, made->rc, made->err.text);
    drop(job);
}

venv_rc venv_memory_file_start(uv_loop_t *loop, const char *path, const venv_memory_file_calls *calls,
                               venv_memory_file **ret_file, venv_error *err)
{
    venv_memory_file *file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the thread that keeps");
    }
    file->calls = *calls;
    venv_worker_options options = { .queue_max = QUEUE_MAX, .batch_max = QUEUE_MAX, .context = copy, .work = work,
                                    .finish = free, .done = done, .drop = drop, .user = file };
    venv_rc rc = venv_worker_start(loop, &options, &file->worker, err);
    if (rc != VENV_OK) {
        free(copy);
        free(file);
        return rc;
    }
    *ret_file = file;
    return VENV_OK;
}

void venv_memory_file_keep(venv_memory_file *file, uint64_t number, const venv_value *value)
{
    venv_error err = { 0 };
    memory_job *job = calloc(1, sizeof *job);
    venv_rc rc = job ? venv_cbor_encode(value, NULL, &job->data, &job->size, &err) : venv_error_set(&err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK) {
        job->number = number;
        rc = venv_worker_submit(file->worker, &job->job, &err);
    }
    if (rc == VENV_OK)
        return;
    if (job)
        drop(&job->job);
    file->calls.kept(file->calls.user, number, rc, err.text);
}

void venv_memory_file_end(venv_memory_file *file)
{
    if (!file)
        return;
    file->ending = true;
    venv_worker_stop_within(file->worker, STOP_MS);
    free(file);
}
