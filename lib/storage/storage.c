/* SPDX-License-Identifier: Apache-2.0 */
/* A storage from birth to death: settings, cancelling, the clock of an operation. What it does is in operations.c. */
#include "storage/driver.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- settings: everything is copied ------------------------------------------------------------------- */

static bool copy_text(const char *text, const char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

static venv_rc copy_credentials(venv_storage_settings *settings, venv_storage_error *err)
{
    const venv_storage_options *options = &settings->options;
    const venv_storage_credential *given = options->credentials;
    size_t count = options->credential_count;
    settings->options.credential_count = 0; /* of those that are copied whole */
    settings->options.credentials = NULL;
    if (count > VENV_STORAGE_CREDENTIALS_MAX)
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "more than %u credentials",
                                 VENV_STORAGE_CREDENTIALS_MAX);
    if (count == 0)
        return VENV_OK;
    settings->credentials = calloc(count, sizeof *settings->credentials);
    if (!settings->credentials)
        return venv_storage_fail_memory(err);
    for (size_t i = 0; i < count; i++) {
        venv_rc rc = venv_storage_credential_check(&given[i], err);
        if (rc != VENV_OK)
            return rc;
        venv_storage_credential *one = &settings->credentials[i];
        settings->options.credential_count = i + 1;
        if (!copy_text(given[i].name, &one->name) || !copy_text(given[i].for_url, &one->for_url) ||
            !copy_text(given[i].user, &one->user) || !copy_text(given[i].secret, &one->secret) ||
            !copy_text(given[i].token, &one->token) || !copy_text(given[i].key_file, &one->key_file) ||
            !copy_text(given[i].certificate_file, &one->certificate_file) ||
            !copy_text(given[i].ca_file, &one->ca_file) || !copy_text(given[i].known_hosts, &one->known_hosts))
            return venv_storage_fail_memory(err);
    }
    return VENV_OK;
}

static void settings_fini(venv_storage_settings *settings)
{
    for (size_t i = 0; i < settings->options.credential_count; i++) {
        const venv_storage_credential *one = &settings->credentials[i];
        const char *texts[] = { one->name, one->for_url, one->user, one->secret, one->token, one->key_file,
                                one->certificate_file, one->ca_file, one->known_hosts };
        for (size_t j = 0; j < VENV_COUNT_OF(texts); j++)
            free_text(texts[j]);
    }
    free(settings->credentials);
    free(settings->hosts);
    for (size_t i = 0; i < settings->root_count; i++)
        free(settings->roots[i]);
}

static venv_rc copy_roots(venv_storage_settings *settings, const char *const *roots, venv_storage_error *err)
{
    for (size_t i = 0; roots && roots[i]; i++) {
        size_t size = strlen(roots[i]);
        if (roots[i][0] != '/' || strstr(roots[i], "//") || strstr(roots[i], "/../") || i >= VENV_STORAGE_ROOTS_MAX)
            return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE,
                                     "file_roots: `%.200s` is no absolute path, or there are more than %d", roots[i],
                                     VENV_STORAGE_ROOTS_MAX);
        while (size > 1 && roots[i][size - 1] == '/')
            size--;
        settings->roots[i] = strndup(roots[i], size);
        if (!settings->roots[i])
            return venv_storage_fail_memory(err);
        settings->root_count++;
    }
    return VENV_OK;
}

static void set_default(venv_span *span, int64_t seconds)
{
    if (span->ns <= 0)
        span->ns = seconds * VENV_NS_PER_S;
}

static venv_rc settings_init(venv_storage_settings *settings, const venv_storage_options *given, venv_storage_error *err)
{
    static const venv_storage_options defaults = VENV_STORAGE_OPTIONS_INIT;
    if (given && given->size != sizeof *given)
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE,
                                 "options: size is not that of this library; begin with VENV_STORAGE_OPTIONS_INIT");
    settings->options = given ? *given : defaults;
    venv_storage_options *options = &settings->options;
    venv_rc rc = copy_credentials(settings, err);
    if (rc == VENV_OK)
        rc = copy_roots(settings, options->file_roots, err);
    if (rc == VENV_OK)
        rc = venv_storage_rules_init(settings, err);
    if (rc == VENV_OK && options->hosts && !(settings->hosts = strdup(options->hosts)))
        rc = venv_storage_fail_memory(err);
    options->credentials = settings->credentials;
    options->hosts = settings->hosts;
    options->networks = NULL;
    options->schemes = given && given->schemes ? "set" : NULL; /* whether it was said is all that is asked later */
    options->file_roots = NULL;
    set_default(&options->timeout, 600);
    set_default(&options->timeout_per_mb, 2);
    set_default(&options->connect_timeout, 30);
    set_default(&options->idle_timeout, 60);
    options->size_max = options->size_max ? options->size_max : UINT64_C(1) << 44;
    options->memory_max = options->memory_max ? options->memory_max : UINT64_C(256) << 20;
    if (options->retry.attempts_max == 0)
        options->retry = (venv_storage_retry)VENV_STORAGE_RETRY_INIT;
    return rc;
}

/* --- birth and death ------------------------------------------------------------------------------------ */

static void shared_free(venv_storage_shared *shared)
{
    settings_fini(&shared->settings);
    venv_storage_memory_free(shared->memory);
    if (shared->wake[0] >= 0) {
        (void)close(shared->wake[0]);
        (void)close(shared->wake[1]);
    }
    free(shared);
}

void venv_storage_free(venv_storage *storage)
{
    if (!storage)
        return;
    if (storage->reader) {
        venv_storage_curl_free(storage->reader->curl);
        free(storage->reader);
    }
    venv_storage_curl_free(storage->curl);
    shared_free(storage->shared);
    free(storage);
}

venv_rc venv_storage_new(const venv_storage_options *options, venv_storage **ret_storage, venv_storage_error *err)
{
    venv_storage *storage = calloc(1, sizeof *storage);
    if (storage)
        storage->reader = calloc(1, sizeof *storage->reader);
    venv_storage_shared *shared = storage && storage->reader ? calloc(1, sizeof *shared) : NULL;
    if (!shared) {
        if (storage)
            free(storage->reader);
        free(storage);
        return venv_storage_fail_memory(err);
    }
    storage->shared = storage->reader->shared = shared;
    atomic_init(&shared->canceled, false);
    if (pipe2(shared->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        shared->wake[0] = -1;
        venv_rc rc = venv_storage_fail_errno(err, errno, VENV_STORAGE_PARSE, "cannot make a pipe");
        venv_storage_free(storage);
        return rc;
    }
    venv_rc rc = settings_init(&shared->settings, options, err);
    if (rc == VENV_OK && venv_storage_memory_new(shared->settings.options.memory_max, &shared->memory) != VENV_OK)
        rc = venv_storage_fail_memory(err);
    if (rc != VENV_OK) {
        venv_storage_free(storage);
        return rc;
    }
    *ret_storage = storage;
    return VENV_OK;
}

void venv_storage_cancel(venv_storage *storage)
{
    atomic_store(&storage->shared->canceled, true);
    ssize_t put = write(storage->shared->wake[1], "", 1); /* a full pipe wakes as well */
    (void)put;
}

void venv_storage_resume(venv_storage *storage)
{
    char bytes[64];
    atomic_store(&storage->shared->canceled, false);
    while (read(storage->shared->wake[0], bytes, sizeof bytes) > 0)
        ;
}

/* --- the clock of an operation --------------------------------------------------------------------------- */

void venv_storage_begin(venv_storage *storage)
{
    (void)clock_gettime(CLOCK_MONOTONIC, &storage->began);
    storage->moved = 0;
}

venv_rc venv_storage_check(venv_storage *storage, uint64_t moved, venv_storage_phase phase, venv_storage_error *err)
{
    const venv_storage_options *options = &storage->shared->settings.options;
    storage->moved += moved;
    if (!storage->cleaning && (atomic_load(&storage->shared->canceled) ||
                               (storage->abandoned && atomic_load(storage->abandoned))))
        return venv_storage_fail(err, VENV_STORAGE_CANCELED, phase, "it was given up on request");
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double elapsed = (double)(now.tv_sec - storage->began.tv_sec) + (double)(now.tv_nsec - storage->began.tv_nsec) / 1e9;
    double limit = (double)options->timeout.ns / 1e9 +
        (double)options->timeout_per_mb.ns / 1e9 * ((double)storage->moved / 1e6);
    if (storage->cleaning && limit > 10)
        limit = 10;
    if (elapsed > limit)
        return venv_storage_fail(err, VENV_STORAGE_TIMEOUT, phase, "it takes longer than %.1f s", limit);
    return VENV_OK;
}

bool venv_storage_tag_meets(char *tag, const char *now)
{
    if (!tag)
        return true;
    if (tag[0])
        return strcmp(tag, now) == 0;
    size_t size = strnlen(now, VENV_STORAGE_TAG_MAX - 1);
    memcpy(tag, now, size);
    tag[size] = 0;
    return true;
}

venv_rc venv_storage_fail_range(venv_storage_error *err)
{
    (void)venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_REQUEST, "the range begins past its end");
    if (err)
        err->rc = VENV_ERANGE;
    return VENV_ERANGE;
}
