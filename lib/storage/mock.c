/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver mock: objects in memory (the same as memory:), and any failure at any phase as the URL says:
 *
 *      mock://lab/a#op=get,phase=data,class=TRANSFER,after=1000,times=2
 *
 *   op=         stat list make-directory get put rename delete permissions space; any by default
 *   class=      of the failure. Or errno=NAME-OF-errors.def by number, or native=CODE of HTTP
 *   phase=      when; by default request
 *   after=      with op get, put: so many bytes pass first (phase data)
 *   times=      the first so many calls with this host and these settings fail; by default all do
 *   retryable=  yes or no, by default as the class says;  wait= seconds that the error asks for
 *   delay=      milliseconds before anything happens
 *   corrupt=    flip a bit of the byte at this offset in what get tells
 *   partial=yes a put that fails leaves what came before, as ftp would
 */
#include "storage/driver.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number(const venv_storage_url *url, const char *key, uint64_t otherwise)
{
    char text[32];
    return venv_storage_url_setting(url, key, text, sizeof text) ? strtoull(text, NULL, 10) : otherwise;
}

static bool has(const venv_storage_url *url, const char *key)
{
    char text[64];
    return venv_storage_url_setting(url, key, text, sizeof text);
}

/* Put the failure that the URL asks for into `err`. */
static venv_rc fail(const venv_storage_url *url, venv_storage_error *err)
{
    char text[64] = "";
    venv_storage_phase phase = has(url, "after") ? VENV_STORAGE_DATA : VENV_STORAGE_REQUEST;
    if (venv_storage_url_setting(url, "phase", text, sizeof text))
        for (unsigned i = 0; i < VENV_STORAGE_PHASE__COUNT; i++)
            if (strcmp(venv_storage_phase_name((venv_storage_phase)i), text) == 0)
                phase = (venv_storage_phase)i;
    venv_rc rc;
    if (has(url, "errno")) {
        rc = venv_storage_fail_errno(err, (int)number(url, "errno", 0), phase, "mock");
    } else if (has(url, "native")) {
        long code = (long)number(url, "native", 0);
        rc = venv_storage_fail_code(err, VENV_STORAGE_FAMILY_HTTP, code, NULL, VENV_STORAGE_TRANSFER, "mock: HTTP %ld", code);
    } else {
        venv_storage_class klass = VENV_STORAGE_TRANSFER;
        if (venv_storage_url_setting(url, "class", text, sizeof text))
            klass = venv_storage_class_parse((venv_str){ text, strlen(text) });
        if (klass == VENV_STORAGE_NONE)
            return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "mock: no such class");
        rc = venv_storage_fail(err, klass, phase, "mock: as the URL asks");
    }
    if (err) {
        err->phase = phase;
        if (venv_storage_url_setting(url, "retryable", text, sizeof text))
            err->retryable = strcmp(text, "yes") == 0;
        err->retry_after = (venv_span){ (int64_t)number(url, "wait", 0) * VENV_NS_PER_S };
    }
    return rc;
}

/* Is this call one that fails? Waits first, if the URL asks for it; a wait that ends early is a failure as well. */
static bool is_due(venv_storage *storage, const venv_storage_url *url, const char *op, venv_rc *ret_rc,
                   venv_storage_error *err)
{
    *ret_rc = VENV_OK;
    for (uint64_t left = number(url, "delay", 0); left > 0 && *ret_rc == VENV_OK;) {
        uint64_t step = left < 20 ? left : 20;
        (void)poll(NULL, 0, (int)step);
        left -= step;
        *ret_rc = venv_storage_check(storage, 0, VENV_STORAGE_REQUEST, err);
    }
    char wanted[32];
    bool asked = has(url, "class") || has(url, "errno") || has(url, "native");
    if (*ret_rc != VENV_OK || !asked ||
        (venv_storage_url_setting(url, "op", wanted, sizeof wanted) && strcmp(wanted, op) != 0))
        return false;
    if (!has(url, "times"))
        return true;
    /* Not by path: a copy writes under a name that nobody knows before. */
    char key[VENV_STORAGE_HOST_MAX + VENV_STORAGE_SETTINGS_MAX + 64];
    (void)snprintf(key, sizeof key, "%s#%s %s", url->host, url->settings, op);
    return venv_storage_memory_count(storage->shared->memory, key) < number(url, "times", 0);
}

#define FAIL_IF_DUE(op) \
    do { \
        venv_rc due_rc; \
        if (is_due(storage, url, op, &due_rc, err)) \
            return fail(url, err); \
        if (due_rc != VENV_OK) \
            return due_rc; \
    } while (0)

static const venv_storage_driver *const below = &venv_storage_memory_driver;

static venv_rc mock_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                         venv_storage_error *err)
{
    FAIL_IF_DUE("stat");
    return below->stat(storage, url, ret_info, err);
}

static venv_rc mock_list(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                         venv_storage_error *err)
{
    FAIL_IF_DUE("list");
    return below->list(storage, url, entry, user, err);
}

static venv_rc mock_make_directory(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    FAIL_IF_DUE("make-directory");
    return below->make_directory(storage, url, err);
}

/* Between a driver and its sink or source: lets some bytes pass, and turns a bit over. */
typedef struct tap {
    venv_storage_sink_fn sink;
    venv_storage_source_fn source;
    void *user;
    uint64_t offset;  /* of the next byte in the object */
    uint64_t left;    /* bytes that may pass */
    uint64_t corrupt; /* offset, or UINT64_MAX */
    bool ended;       /* the failure is due */
} tap;

static bool tap_sink(void *user, const void *data, size_t size)
{
    tap *t = user;
    bool cut = size > t->left;
    size = cut ? (size_t)t->left : size;
    bool more = true;
    if (t->corrupt >= t->offset && t->corrupt - t->offset < size) {
        size_t before = (size_t)(t->corrupt - t->offset);
        uint8_t wrong = (uint8_t)(((const uint8_t *)data)[before] ^ 1);
        more = (before == 0 || t->sink(t->user, data, before)) && t->sink(t->user, &wrong, 1) &&
            (before + 1 == size || t->sink(t->user, (const uint8_t *)data + before + 1, size - before - 1));
    } else if (size > 0) {
        more = t->sink(t->user, data, size);
    }
    t->offset += size;
    t->left -= size;
    t->ended = cut && more;
    return more && !cut;
}

static venv_rc mock_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                        char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    venv_rc due_rc;
    bool due = is_due(storage, url, "get", &due_rc, err);
    if (due_rc != VENV_OK)
        return due_rc;
    if (due && !has(url, "after"))
        return fail(url, err);
    tap t = { .sink = sink, .user = user, .offset = offset, .left = due ? number(url, "after", 0) : UINT64_MAX,
              .corrupt = number(url, "corrupt", UINT64_MAX) };
    venv_rc rc = below->get(storage, url, offset, length, tag, tap_sink, &t, err);
    return t.ended || (due && rc == VENV_OK) ? fail(url, err) : rc;
}

static int64_t tap_source(void *user, void *buffer, size_t size)
{
    tap *t = user;
    if (t->left == 0) {
        t->ended = true;
        return t->corrupt == 1 ? 0 : -1; /* 0: what came so far stays */
    }
    int64_t got = t->source(t->user, buffer, size < t->left ? size : (size_t)t->left);
    if (got > 0)
        t->left -= (uint64_t)got;
    return got;
}

static venv_rc mock_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                        venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    venv_rc due_rc;
    bool due = is_due(storage, url, "put", &due_rc, err);
    if (due_rc != VENV_OK)
        return due_rc;
    if (due && !has(url, "after"))
        return fail(url, err);
    bool partial = due && has(url, "partial");
    tap t = { .source = source, .user = user, .left = due ? number(url, "after", 0) : UINT64_MAX, .corrupt = partial };
    venv_rc rc = below->put(storage, url, partial ? VENV_STORAGE_SIZE_UNKNOWN : size, flags, tap_source, &t, err);
    return t.ended || (due && rc == VENV_OK) ? fail(url, err) : rc;
}

static venv_rc mock_rename(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to,
                           bool replace, venv_storage_error *err)
{
    const venv_storage_url *url = to;
    FAIL_IF_DUE("rename");
    return below->rename(storage, from, to, replace, err);
}

static venv_rc mock_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    FAIL_IF_DUE("delete");
    return below->remove(storage, url, err);
}

static venv_rc mock_set_permissions(venv_storage *storage, const venv_storage_url *url, uint32_t permissions,
                                    venv_storage_error *err)
{
    FAIL_IF_DUE("permissions");
    return below->set_permissions(storage, url, permissions, err);
}

static venv_rc mock_space(venv_storage *storage, const venv_storage_url *url, uint64_t *ret_total, uint64_t *ret_free,
                          venv_storage_error *err)
{
    FAIL_IF_DUE("space");
    return below->space(storage, url, ret_total, ret_free, err);
}

const venv_storage_driver venv_storage_mock_driver = {
    .stat = mock_stat, .list = mock_list, .make_directory = mock_make_directory, .get = mock_get, .put = mock_put,
    .rename = mock_rename, .remove = mock_remove, .set_permissions = mock_set_permissions, .space = mock_space,
};
