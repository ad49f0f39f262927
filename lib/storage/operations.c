/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that move no bytes: looking, making, renaming, deleting. Each is attempts of a driver. */
#include "storage/operations.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

venv_rc venv_storage_job_begin(venv_storage_job *job, venv_storage *storage, const char *url, const char *verb,
                               venv_storage_scope scope, uint32_t operation, venv_storage_error *err)
{
    *job = (venv_storage_job){ .storage = storage, .verb = verb, .scope = scope };
    venv_rc rc = venv_storage_url_parse(url, &job->url, &job->error);
    if (rc == VENV_OK)
        rc = venv_storage_rules_check_url(&storage->shared->settings, &job->url, &job->error);
    if (rc == VENV_OK) {
        job->scheme = venv_storage_scheme_find(job->url.scheme);
        if ((job->scheme->operations & operation) != operation)
            rc = venv_storage_fail(&job->error, VENV_STORAGE_PROTOCOL_UNSUPPORTED, VENV_STORAGE_PARSE,
                                   "%s has no such operation", job->url.scheme);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &job->began);
    venv_storage_begin(storage);
    return rc == VENV_OK ? VENV_OK : venv_storage_job_end(job, rc, err);
}

venv_rc venv_storage_job_end(venv_storage_job *job, venv_rc rc, venv_storage_error *err)
{
    if (rc == VENV_OK || !err)
        return rc;
    venv_storage_error *mine = &job->error;
    char text[VENV_STORAGE_TEXT_MAX];
    const char *shown = job->url.shown[0] ? job->url.shown : "the URL";
    int tries = (int)job->attempt;
    (void)snprintf(text, sizeof text, "cannot %s %.500s: %.400s", job->verb, shown, mine->text);
    if (tries > 1) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, " (%d attempts)", tries);
    }
    memcpy(mine->text, text, sizeof text);
    /* What failed before anything was asked of the other side is ours. */
    mine->scope = mine->phase == VENV_STORAGE_PARSE || mine->klass == VENV_STORAGE_CANCELED ? VENV_STORAGE_LOCAL : job->scope;
    (void)snprintf(mine->protocol, sizeof mine->protocol, "%s", job->url.scheme);
    mine->rc = rc;
    *err = *mine;
    return rc;
}

/* Sleep, unless somebody cancels. */
static void pause_for(const venv_storage *storage, venv_span wait)
{
    struct pollfd wake = { .fd = storage->shared->wake[0], .events = POLLIN };
    int64_t ms = wait.ns / 1000000;
    (void)poll(&wake, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

bool venv_storage_job_again(venv_storage_job *job, venv_rc rc)
{
    venv_storage *storage = job->storage;
    job->attempt++;
    if (rc == VENV_OK || storage->cleaning || storage->inner)
        return false;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    venv_span elapsed = { (int64_t)(now.tv_sec - job->began.tv_sec) * VENV_NS_PER_S + now.tv_nsec - job->began.tv_nsec };
    uint64_t chance = 0;
    if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        chance = (uint64_t)now.tv_nsec;
    venv_span wait = { 0 };
    if (!venv_storage_retry_next(&storage->shared->settings.options.retry, &job->error, job->attempt, elapsed, chance, &wait))
        return false;
    pause_for(storage, wait);
    if (venv_storage_check(storage, 0, VENV_STORAGE_REQUEST, NULL) == VENV_ECANCELED)
        return false;
    venv_storage_begin(storage);
    return true;
}

venv_rc venv_storage_stat(venv_storage *storage, const char *url, venv_storage_info *ret_info, venv_storage_error *err)
{
    venv_storage_job job;
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "look at", VENV_STORAGE_SOURCE, VENV_STORAGE_STAT, err);
    if (rc != VENV_OK)
        return rc;
    venv_storage_info info;
    do {
        info = (venv_storage_info){ .size = VENV_STORAGE_SIZE_UNKNOWN, .permissions = -1 };
        rc = job.scheme->driver->stat(storage, &job.url, &info, &job.error);
    } while (venv_storage_job_again(&job, rc));
    if (rc == VENV_OK)
        *ret_info = info;
    return venv_storage_job_end(&job, rc, err);
}

venv_rc venv_storage_exists(venv_storage *storage, const char *url, bool *ret_exists, venv_storage_error *err)
{
    venv_storage_info info;
    venv_storage_error error = { 0 };
    venv_rc rc = venv_storage_stat(storage, url, &info, &error);
    if (rc == VENV_OK || (rc == VENV_ENOENT && error.klass == VENV_STORAGE_NOT_FOUND)) {
        *ret_exists = rc == VENV_OK;
        return VENV_OK;
    }
    if (err)
        *err = error;
    return rc;
}

/* Between a driver and the caller: knows whether anything was told, as then the list cannot begin anew. */
typedef struct teller {
    venv_storage_entry_fn entry;
    void *user;
    bool told;
} teller;

static bool tell(void *user, const char *name, const venv_storage_info *info)
{
    teller *t = user;
    if (!venv_storage_entry_name_is_valid(name))
        return true;
    t->told = true;
    return t->entry(t->user, name, info);
}

venv_rc venv_storage_list(venv_storage *storage, const char *url, venv_storage_entry_fn entry, void *user,
                          venv_storage_error *err)
{
    venv_storage_job job;
    teller t = { .entry = entry, .user = user };
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "list", VENV_STORAGE_SOURCE, VENV_STORAGE_LIST, err);
    if (rc != VENV_OK)
        return rc;
    do
        rc = job.scheme->driver->list(storage, &job.url, tell, &t, &job.error);
    while (!(rc != VENV_OK && t.told) && venv_storage_job_again(&job, rc));
    return venv_storage_job_end(&job, rc, err);
}

venv_rc venv_storage_space(venv_storage *storage, const char *url, uint64_t *ret_total, uint64_t *ret_free,
                           venv_storage_error *err)
{
    venv_storage_job job;
    uint64_t total = VENV_STORAGE_SIZE_UNKNOWN, left = VENV_STORAGE_SIZE_UNKNOWN;
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "ask for the space of", VENV_STORAGE_DESTINATION,
                                        VENV_STORAGE_SPACE, err);
    if (rc != VENV_OK)
        return rc;
    do
        rc = job.scheme->driver->space(storage, &job.url, &total, &left, &job.error);
    while (venv_storage_job_again(&job, rc));
    if (rc == VENV_OK) {
        *ret_total = total;
        *ret_free = left;
    }
    return venv_storage_job_end(&job, rc, err);
}

/* --- directories --------------------------------------------------------------------------------------- */

/* One directory; one that is there already is a success. */
static venv_rc make_one(venv_storage_job *job, const venv_storage_url *url)
{
    venv_storage_info info = { 0 };
    const venv_storage_driver *driver = job->scheme->driver;
    venv_rc rc = driver->make_directory(job->storage, url, &job->error);
    if (rc == VENV_OK || job->error.klass != VENV_STORAGE_EXISTS)
        return rc;
    venv_storage_error error = { 0 };
    if (driver->stat(job->storage, url, &info, &error) == VENV_OK && info.kind == VENV_STORAGE_DIRECTORY)
        return VENV_OK;
    return rc;
}

/* From the deepest up until one can be made, and down again. */
static venv_rc make_with_parents(venv_storage_job *job)
{
    venv_storage_url above = job->url;
    size_t whole = strlen(job->url.path);
    venv_rc rc = make_one(job, &above);
    while (rc != VENV_OK && job->error.klass == VENV_STORAGE_NOT_FOUND) {
        size_t size = venv_storage_path_parent(above.path).size;
        if (size == 0)
            return rc;
        above.path[size] = 0;
        rc = make_one(job, &above);
    }
    for (size_t size = strlen(above.path); rc == VENV_OK && size < whole;) {
        size += 1 + strcspn(job->url.path + size + 1, "/");
        memcpy(above.path, job->url.path, size);
        above.path[size] = 0;
        rc = make_one(job, &above);
    }
    return rc;
}

venv_rc venv_storage_make_directory(venv_storage *storage, const char *url, bool parents, venv_storage_error *err)
{
    venv_storage_job job;
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "make the directory", VENV_STORAGE_DESTINATION,
                                        VENV_STORAGE_MAKE_DIRECTORY, err);
    if (rc != VENV_OK)
        return rc;
    job.url.directory = true;
    if (job.url.path[0] == 0)
        return VENV_OK;
    do
        rc = parents ? make_with_parents(&job) : make_one(&job, &job.url);
    while (venv_storage_job_again(&job, rc));
    return venv_storage_job_end(&job, rc, err);
}

/* --- names --------------------------------------------------------------------------------------------- */

static bool same_place(const venv_storage_url *a, const venv_storage_url *b)
{
    char left[VENV_NAME_MAX + 1] = "", right[VENV_NAME_MAX + 1] = "";
    (void)venv_storage_url_setting(a, "credential", left, sizeof left);
    (void)venv_storage_url_setting(b, "credential", right, sizeof right);
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port &&
        strcmp(a->user, b->user) == 0 && strcmp(left, right) == 0;
}

venv_rc venv_storage_rename(venv_storage *storage, const char *from_url, const char *to_url, bool replace,
                            venv_storage_error *err)
{
    venv_storage_job job;
    venv_storage_url to;
    venv_rc rc = venv_storage_job_begin(&job, storage, from_url, "rename", VENV_STORAGE_DESTINATION,
                                        VENV_STORAGE_RENAME, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_storage_url_parse(to_url, &to, &job.error);
    if (rc == VENV_OK && !same_place(&job.url, &to))
        rc = venv_storage_fail(&job.error, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE,
                               "the new name is in another place; copy it");
    if (rc == VENV_OK && strcmp(job.url.path, to.path) == 0) {
        venv_storage_info info; /* to its own name: nothing to do, if it is there */
        return venv_storage_stat(storage, from_url, &info, err);
    }
    while (rc == VENV_OK) {
        rc = job.scheme->driver->rename(storage, &job.url, &to, replace, &job.error);
        if (rc == VENV_OK || !venv_storage_job_again(&job, rc))
            break;
        rc = VENV_OK;
    }
    return venv_storage_job_end(&job, rc, err);
}

venv_rc venv_storage_delete(venv_storage *storage, const char *url, venv_storage_error *err)
{
    venv_storage_job job;
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "delete", VENV_STORAGE_DESTINATION, VENV_STORAGE_DELETE, err);
    if (rc != VENV_OK)
        return rc;
    if (job.url.path[0] == 0)
        return venv_storage_job_end(&job, venv_storage_fail(&job.error, VENV_STORAGE_OPERATION, VENV_STORAGE_PARSE,
                                                            "it is the root"), err);
    do {
        rc = job.scheme->driver->remove(storage, &job.url, &job.error);
        /* An attempt whose answer was lost may have done it. */
        if (job.attempt > 0 && job.error.klass == VENV_STORAGE_NOT_FOUND && rc != VENV_OK)
            rc = VENV_OK;
    } while (venv_storage_job_again(&job, rc));
    return venv_storage_job_end(&job, rc, err);
}

venv_rc venv_storage_set_permissions(venv_storage *storage, const char *url, uint32_t permissions,
                                     venv_storage_error *err)
{
    venv_storage_job job;
    venv_rc rc = venv_storage_job_begin(&job, storage, url, "set the permissions of", VENV_STORAGE_DESTINATION,
                                        VENV_STORAGE_PERMISSIONS, err);
    if (rc != VENV_OK)
        return rc;
    if (permissions > 0777)
        return venv_storage_job_end(&job, venv_storage_fail(&job.error, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE,
                                                            "permissions are 0 to 0777"), err);
    do
        rc = job.scheme->driver->set_permissions(storage, &job.url, permissions, &job.error);
    while (venv_storage_job_again(&job, rc));
    return venv_storage_job_end(&job, rc, err);
}
