/* SPDX-License-Identifier: Apache-2.0 */
/* The suite of all drivers: see suite.h. */
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>

venv_storage_error suite_err;

void suite_check(venv_rc rc, venv_storage_error *err, const char *what, const char *file, int line)
{
    if (rc != VENV_OK) {
        print_error("%s\n  rc %d %s phase %s native %ld errno %d: %s\n  %s\n", what, rc, venv_storage_class_name(err->klass),
                    venv_storage_phase_name(err->phase), err->native, err->errnum, err->text, err->output);
        _fail(file, line);
    }
}

void suite_check_class(venv_rc rc, venv_storage_error *err, venv_storage_class wanted, const char *what, const char *file,
                       int line)
{
    if (rc == VENV_OK || err->klass != wanted) {
        print_error("%s\n  rc %d, class %s (wanted %s) native %ld: %s\n", what, rc, venv_storage_class_name(err->klass),
                    venv_storage_class_name(wanted), err->native, rc == VENV_OK ? "" : err->text);
        _fail(file, line);
    }
    if (err->rc != rc || !err->text[0] || strpbrk(err->text, "\n\r\x1b")) {
        print_error("%s: rc %d, err.rc %d, text `%s`\n", what, rc, err->rc, err->text);
        _fail(file, line);
    }
}

const char *suite_url(const char *base, const char *name)
{
    static char buffers[16][VENV_STORAGE_URL_MAX];
    static unsigned next;
    char *buffer = buffers[next++ % 16];
    suite_ok(venv_storage_join(base, name, buffer, VENV_STORAGE_URL_MAX, &suite_err));
    return buffer;
}

void suite_bytes(uint8_t *data, size_t size, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = (uint8_t)(state >> 24);
    }
}

typedef struct collected {
    uint8_t *data;
    size_t size, max, stop_at;
} collected;

static bool collect(void *user, const void *data, size_t size)
{
    collected *c = user;
    assert_true(c->size + size <= c->max);
    memcpy(c->data + c->size, data, size);
    c->size += size;
    return c->stop_at == 0 || c->size < c->stop_at;
}

static uint32_t operations(const char *base)
{
    venv_storage_driver_info info;
    size_t size = strcspn(base, ":");
    for (size_t i = 0; venv_storage_driver_at(i, &info); i++)
        if (strlen(info.scheme) == size && memcmp(info.scheme, base, size) == 0)
            return info.operations;
    fail_msg("no driver for %s", base);
    return 0;
}

static void expect(venv_storage *storage, const char *url, const void *data, size_t size)
{
    uint8_t *got = NULL;
    size_t got_size = 0;
    suite_ok(venv_storage_get_bytes(storage, url, size + 16, &got, &got_size, &suite_err));
    assert_int_equal(got_size, size);
    assert_memory_equal(got, data, size);
    assert_int_equal(got[size], 0);
    free(got);
}

static void objects(venv_storage *s, const char *base, uint32_t can)
{
    const char *a = suite_url(base, "a.txt");
    bool exists = true;
    venv_storage_info info = { 0 };
    suite_ok(venv_storage_exists(s, a, &exists, &suite_err));
    assert_false(exists);
    suite_fails(venv_storage_stat(s, a, &info, &suite_err), VENV_STORAGE_NOT_FOUND);
    uint8_t *none = NULL;
    size_t none_size = 7;
    suite_fails(venv_storage_get_bytes(s, a, 100, &none, &none_size, &suite_err), VENV_STORAGE_NOT_FOUND);
    assert_null(none);
    assert_int_equal(none_size, 7);
    suite_fails(venv_storage_delete(s, a, &suite_err), VENV_STORAGE_NOT_FOUND);

    suite_ok(venv_storage_put_bytes(s, a, "hello", 5, 0, &suite_err));
    suite_ok(venv_storage_stat(s, a, &info, &suite_err));
    assert_int_equal(info.kind, VENV_STORAGE_FILE);
    assert_int_equal(info.size, 5);
    expect(s, a, "hello", 5);
    suite_ok(venv_storage_put_bytes(s, a, "hello again", 11, 0, &suite_err));
    expect(s, a, "hello again", 11);
    suite_fails(venv_storage_put_bytes(s, a, "new", 3, VENV_STORAGE_PUT_NEW, &suite_err), VENV_STORAGE_EXISTS);
    expect(s, a, "hello again", 11);
    suite_ok(venv_storage_put_bytes(s, suite_url(base, "new.txt"), "new", 3, VENV_STORAGE_PUT_NEW, &suite_err));
    suite_ok(venv_storage_delete(s, suite_url(base, "new.txt"), &suite_err));

    suite_ok(venv_storage_put_bytes(s, suite_url(base, "empty"), "", 0, 0, &suite_err));
    expect(s, suite_url(base, "empty"), "", 0);
    suite_ok(venv_storage_stat(s, suite_url(base, "empty"), &info, &suite_err));
    assert_int_equal(info.size, 0);
    suite_ok(venv_storage_delete(s, suite_url(base, "empty"), &suite_err));

    venv_rc rc = venv_storage_get_bytes(s, a, 10, &none, &none_size, &suite_err);
    assert_int_equal(rc, VENV_ELIMIT);
    uint8_t sha[VENV_STORAGE_SHA256_SIZE];
    suite_ok(venv_storage_checksum(s, a, sha, &suite_err));
    if (can & VENV_STORAGE_DIRECTORIES && can & VENV_STORAGE_LIST)
        suite_fails(venv_storage_put_bytes(s, suite_url(base, "missing/b"), "x", 1, 0, &suite_err), VENV_STORAGE_NOT_FOUND);
    suite_ok(venv_storage_delete(s, a, &suite_err));
    suite_ok(venv_storage_exists(s, a, &exists, &suite_err));
    assert_false(exists);
}

static void ranges(venv_storage *s, const char *base)
{
    enum { SIZE = 700001 };
    uint8_t *data = malloc(SIZE), *got = malloc(SIZE);
    suite_bytes(data, SIZE, 1);
    const char *url = suite_url(base, "ranges.bin");
    suite_ok(venv_storage_put_bytes(s, url, data, SIZE, 0, &suite_err));
    expect(s, url, data, SIZE);
    static const struct { uint64_t offset, length, wanted; } cases[] = {
        { 0, 1, 1 }, { 0, 10, 10 }, { 1, 1, 1 }, { 5, 100, 100 }, { 0, SIZE, SIZE }, { SIZE - 1, 1, 1 },
        { SIZE - 10, 100, 10 }, { 300000, 200000, 200000 }, { 100, VENV_STORAGE_SIZE_UNKNOWN, SIZE - 100 },
        { SIZE, 10, 0 }, { SIZE, VENV_STORAGE_SIZE_UNKNOWN, 0 }, { 5, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        collected c = { .data = got, .max = SIZE };
        suite_ok(venv_storage_get(s, url, cases[i].offset, cases[i].length, collect, &c, &suite_err));
        assert_int_equal(c.size, cases[i].wanted);
        assert_memory_equal(got, data + cases[i].offset, c.size);
    }
    collected c = { .data = got, .max = SIZE };
    assert_int_equal(venv_storage_get(s, url, SIZE + 1, 10, collect, &c, &suite_err), VENV_ERANGE);
    c = (collected){ .data = got, .max = SIZE, .stop_at = 1 };
    suite_fails(venv_storage_get(s, url, 0, VENV_STORAGE_SIZE_UNKNOWN, collect, &c, &suite_err), VENV_STORAGE_CANCELED);
    expect(s, url, data, SIZE); /* a connection that was broken off is no harm to the next */
    suite_ok(venv_storage_delete(s, url, &suite_err));
    free(data);
    free(got);
}

typedef struct giver {
    const uint8_t *data;
    size_t size, at, step, stop_at;
} giver;

static int64_t give(void *user, void *buffer, size_t size)
{
    giver *g = user;
    size_t step = g->size - g->at;
    step = step < size ? step : size;
    step = step < g->step ? step : g->step;
    if (g->stop_at && g->at >= g->stop_at)
        return -1;
    if (step > 0)
        memcpy(buffer, g->data + g->at, step);
    g->at += step;
    return (int64_t)step;
}

static void streams(venv_storage *s, const char *base, uint32_t can)
{
    enum { SIZE = 9 << 20 }; /* more than a part of s3 */
    uint8_t *data = malloc(SIZE);
    suite_bytes(data, SIZE, 2);
    const char *url = suite_url(base, "stream.bin");
    giver g = { .data = data, .size = SIZE, .step = 100000 };
    suite_ok(venv_storage_put(s, url, SIZE, 0, give, &g, &suite_err));
    expect(s, url, data, SIZE);
    g = (giver){ .data = data, .size = 1000000, .step = 77777 };
    suite_ok(venv_storage_put(s, url, VENV_STORAGE_SIZE_UNKNOWN, 0, give, &g, &suite_err));
    expect(s, url, data, 1000000);
    /* A writer that gives up, gives less or more than it said, changes nothing where puts are atomic. */
    g = (giver){ .data = data, .size = 1000000, .step = 10000, .stop_at = 500000 };
    suite_fails(venv_storage_put(s, url, 1000000, 0, give, &g, &suite_err), VENV_STORAGE_CANCELED);
    if (can & VENV_STORAGE_ATOMIC_PUT) {
        expect(s, url, data, 1000000);
        g = (giver){ .data = data, .size = 500, .step = 100 };
        suite_fails(venv_storage_put(s, url, 1000, 0, give, &g, &suite_err), VENV_STORAGE_INVALID);
        g = (giver){ .data = data, .size = 2000, .step = 100 };
        suite_fails(venv_storage_put(s, url, 1000, 0, give, &g, &suite_err), VENV_STORAGE_INVALID);
        expect(s, url, data, 1000000);
    }
    suite_ok(venv_storage_put_bytes(s, url, "x", 1, 0, &suite_err));
    expect(s, url, "x", 1);
    suite_ok(venv_storage_delete(s, url, &suite_err));
    free(data);
}

typedef struct seen {
    const char *names[8];
    venv_storage_kind kinds[8];
    uint64_t sizes[8];
    size_t count, found;
} seen;

static bool see(void *user, const char *name, const venv_storage_info *info)
{
    seen *v = user;
    v->count++;
    for (size_t i = 0; i < 8 && v->names[i]; i++) {
        if (strcmp(v->names[i], name) == 0) {
            assert_int_equal(info->kind, v->kinds[i]);
            if (info->kind == VENV_STORAGE_FILE)
                assert_int_equal(info->size, v->sizes[i]);
            v->found++;
        }
    }
    return true;
}

static bool stop_at_once(void *user, const char *name, const venv_storage_info *info)
{
    (void)user;
    (void)name;
    (void)info;
    return false;
}

static void directories(venv_storage *s, const char *base, uint32_t can)
{
    venv_storage_info info = { 0 };
    if (!(can & VENV_STORAGE_LIST)) {
        suite_fails(venv_storage_list(s, base, see, NULL, &suite_err), VENV_STORAGE_PROTOCOL_UNSUPPORTED);
        return;
    }
    bool real = can & VENV_STORAGE_DIRECTORIES;
    suite_ok(venv_storage_make_directory(s, suite_url(base, "dir"), false, &suite_err));
    suite_ok(venv_storage_make_directory(s, suite_url(base, "dir"), false, &suite_err));
    if (real)
        suite_fails(venv_storage_make_directory(s, suite_url(base, "no/such"), false, &suite_err), VENV_STORAGE_NOT_FOUND);
    suite_ok(venv_storage_make_directory(s, suite_url(base, "dir/x/y/z"), true, &suite_err));
    suite_ok(venv_storage_put_bytes(s, suite_url(base, "dir/one"), "1", 1, 0, &suite_err));
    suite_ok(venv_storage_put_bytes(s, suite_url(base, "dir/with space & \303\244%41"), "22", 2, 0, &suite_err));
    suite_ok(venv_storage_put_bytes(s, suite_url(base, "dir/-rf"), "333", 3, 0, &suite_err));
    suite_ok(venv_storage_put_bytes(s, suite_url(base, "dir/x/y/z/deep"), "4444", 4, 0, &suite_err));
    suite_ok(venv_storage_put_bytes(s, suite_url(base, "dir/p/q/r"), "4444", 4, VENV_STORAGE_PUT_PARENTS, &suite_err));
    expect(s, suite_url(base, "dir/with space & \303\244%41"), "22", 2);
    seen v = { .names = { "one", "with space & \303\244%41", "-rf", "x", "p" },
               .kinds = { 0, 0, 0, VENV_STORAGE_DIRECTORY, VENV_STORAGE_DIRECTORY }, .sizes = { 1, 2, 3 } };
    suite_ok(venv_storage_list(s, suite_url(base, "dir"), see, &v, &suite_err));
    assert_int_equal(v.count, 5);
    assert_int_equal(v.found, 5);
    suite_fails(venv_storage_list(s, suite_url(base, "dir"), stop_at_once, NULL, &suite_err), VENV_STORAGE_CANCELED);
    suite_fails(venv_storage_list(s, suite_url(base, "nothing"), see, &v, &suite_err), VENV_STORAGE_NOT_FOUND);
    suite_ok(venv_storage_stat(s, suite_url(base, "dir"), &info, &suite_err));
    assert_int_equal(info.kind, VENV_STORAGE_DIRECTORY);
    suite_ok(venv_storage_stat(s, suite_url(base, "dir/x"), &info, &suite_err));
    assert_int_equal(info.kind, VENV_STORAGE_DIRECTORY);
    if (real) {
        suite_fails(venv_storage_list(s, suite_url(base, "dir/one"), see, &v, &suite_err), VENV_STORAGE_OPERATION);
        suite_fails(venv_storage_delete(s, suite_url(base, "dir"), &suite_err), VENV_STORAGE_OPERATION);
    }
    static const char *const files[] = { "dir/one", "dir/with space & \303\244%41", "dir/-rf", "dir/x/y/z/deep", "dir/p/q/r" };
    for (size_t i = 0; i < 5; i++)
        suite_ok(venv_storage_delete(s, suite_url(base, files[i]), &suite_err));
    static const char *const folders[] = { "dir/x/y/z", "dir/x/y", "dir/x", "dir/p/q", "dir/p", "dir" };
    for (size_t i = 0; i < 6 && real; i++)
        suite_ok(venv_storage_delete(s, suite_url(base, folders[i]), &suite_err));
    bool exists = true;
    suite_ok(venv_storage_exists(s, suite_url(base, "dir"), &exists, &suite_err));
    assert_false(exists);
}

static void names(venv_storage *s, const char *base, uint32_t can)
{
    const char *a = suite_url(base, "from.txt"), *b = suite_url(base, "to.txt");
    if (!(can & VENV_STORAGE_RENAME)) {
        suite_fails(venv_storage_rename(s, a, b, true, &suite_err), VENV_STORAGE_PROTOCOL_UNSUPPORTED);
        return;
    }
    suite_fails(venv_storage_rename(s, a, b, true, &suite_err), VENV_STORAGE_NOT_FOUND);
    suite_ok(venv_storage_put_bytes(s, a, "A", 1, 0, &suite_err));
    suite_ok(venv_storage_rename(s, a, a, true, &suite_err));
    suite_ok(venv_storage_rename(s, a, b, false, &suite_err));
    bool exists = true;
    suite_ok(venv_storage_exists(s, a, &exists, &suite_err));
    assert_false(exists);
    suite_ok(venv_storage_put_bytes(s, a, "BB", 2, 0, &suite_err));
    suite_fails(venv_storage_rename(s, a, b, false, &suite_err), VENV_STORAGE_EXISTS);
    expect(s, b, "A", 1);
    suite_ok(venv_storage_rename(s, a, b, true, &suite_err));
    expect(s, b, "BB", 2);
    suite_fails(venv_storage_rename(s, b, "memory://other-place/x", true, &suite_err), VENV_STORAGE_INVALID);
    suite_ok(venv_storage_delete(s, b, &suite_err));
}

static void attributes(venv_storage *s, const char *base, uint32_t can)
{
    uint64_t total = 1, left = 2;
    const char *a = suite_url(base, "mode");
    suite_ok(venv_storage_put_bytes(s, a, "m", 1, 0, &suite_err));
    venv_rc rc = venv_storage_set_permissions(s, a, 0600, &suite_err);
    if (!(can & VENV_STORAGE_PERMISSIONS)) {
        assert_int_equal(rc, VENV_EUNSUPPORTED);
    } else if (rc == VENV_OK) {
        venv_storage_info info = { 0 };
        suite_ok(venv_storage_stat(s, a, &info, &suite_err));
        assert_true(info.permissions == 0600 || info.permissions == -1);
        suite_fails(venv_storage_set_permissions(s, a, 01000, &suite_err), VENV_STORAGE_INVALID);
    } else { /* a server may forbid it */
        assert_true(suite_err.klass == VENV_STORAGE_PERMISSION || suite_err.klass == VENV_STORAGE_PROTOCOL_UNSUPPORTED);
        assert_int_equal(strncmp(base, "ftp", 3), 0);
    }
    suite_ok(venv_storage_delete(s, a, &suite_err));
    rc = venv_storage_space(s, base, &total, &left, &suite_err);
    if (rc != VENV_OK) {
        assert_int_equal(suite_err.klass, VENV_STORAGE_PROTOCOL_UNSUPPORTED);
        assert_true(!(can & VENV_STORAGE_SPACE) || strncmp(base, "dav", 3) == 0);
    } else {
        assert_true(left <= total && total > 1);
    }
}

static void copies(venv_storage *s, const char *base, uint32_t can)
{
    enum { SIZE = 3 << 20 };
    uint8_t *data = malloc(SIZE);
    suite_bytes(data, SIZE, 3);
    const char *inside = suite_url(base, "copied.bin"), *memory = "memory://suite/source", *back = "memory://suite/back";
    venv_storage_copied copied = { 0 };
    venv_storage_copy_options options = VENV_STORAGE_COPY_INIT;
    suite_ok(venv_storage_put_bytes(s, memory, data, SIZE, 0, &suite_err));
    suite_ok(venv_storage_copy(s, memory, inside, NULL, &copied, &suite_err));
    assert_int_equal(copied.size, SIZE);
    assert_int_equal(copied.attempts, 1);
    suite_ok(venv_storage_copy(s, inside, back, NULL, &copied, &suite_err));
    expect(s, back, data, SIZE);
    options.flags = VENV_STORAGE_PUT_NEW;
    suite_fails(venv_storage_copy(s, memory, inside, &options, NULL, &suite_err), VENV_STORAGE_EXISTS);
    assert_int_equal(suite_err.scope, VENV_STORAGE_DESTINATION);
    /* Within one place, and replacing what is there. */
    options.flags = 0;
    options.sha256 = copied.sha256;
    suite_ok(venv_storage_put_bytes(s, suite_url(base, "second.bin"), "old", 3, 0, &suite_err));
    suite_ok(venv_storage_copy(s, inside, suite_url(base, "second.bin"), &options, NULL, &suite_err));
    expect(s, suite_url(base, "second.bin"), data, SIZE);
    suite_ok(venv_storage_delete(s, suite_url(base, "second.bin"), &suite_err));
    suite_ok(venv_storage_delete(s, inside, &suite_err));
    suite_fails(venv_storage_copy(s, inside, back, NULL, NULL, &suite_err), VENV_STORAGE_NOT_FOUND);
    assert_int_equal(suite_err.scope, VENV_STORAGE_SOURCE);
    if (can & VENV_STORAGE_LIST) { /* nothing of ours is left */
        seen v = { 0 };
        venv_rc rc = venv_storage_list(s, base, see, &v, &suite_err);
        assert_true(rc == VENV_OK || suite_err.klass == VENV_STORAGE_NOT_FOUND);
        assert_int_equal(v.count, 0);
    }
    suite_ok(venv_storage_delete(s, memory, &suite_err));
    suite_ok(venv_storage_delete(s, back, &suite_err));
    free(data);
}

static void canceled(venv_storage *s, const char *base)
{
    bool exists = true;
    venv_storage_cancel(s);
    suite_fails(venv_storage_get(s, "memory://suite/none", 0, 1, collect, NULL, &suite_err),
                VENV_STORAGE_NOT_FOUND); /* what takes no time may still end by itself */
    venv_storage_resume(s);
    suite_ok(venv_storage_exists(s, suite_url(base, "none"), &exists, &suite_err));
    assert_false(exists);
}

void suite_run(venv_storage *storage, const char *base, const char *label)
{
    uint32_t can = operations(base);
    print_message("suite over %s (%s)\n", label, base);
    objects(storage, base, can);
    ranges(storage, base);
    streams(storage, base, can);
    directories(storage, base, can);
    names(storage, base, can);
    attributes(storage, base, can);
    copies(storage, base, can);
    canceled(storage, base);
}
