/* SPDX-License-Identifier: Apache-2.0 */
/* The suite over the drivers that need no server, and what is particular to the file driver: links, races, durability. */
#include "suite.h"
#include "support/tempdir.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

static venv_storage *make(const char *const *roots, uint64_t memory_max)
{
    venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
    venv_storage *storage = NULL;
    options.file_roots = roots;
    options.memory_max = memory_max;
    options.retry = (venv_storage_retry){ 1, { 0 }, { 0 }, { 0 }, 0 };
    suite_ok(venv_storage_new(&options, &storage, &suite_err));
    return storage;
}

static const char *file_url(const char *path)
{
    static char url[4][VENV_STORAGE_URL_MAX];
    static unsigned next;
    char *buffer = url[next++ % 4];
    suite_ok(venv_storage_file_url(NULL, path, buffer, sizeof url[0], &suite_err));
    return buffer;
}

static void test_memory(void **state)
{
    (void)state;
    venv_storage *s = make(NULL, 0);
    suite_run(s, "memory://here", "memory");
    suite_ok(venv_storage_make_directory(s, "memory://here/sub", false, &suite_err));
    suite_run(s, "memory://here/sub/", "memory, a directory in it");
    suite_run(s, "mock://there", "mock without a failure");
    venv_storage_free(s);
}

static void test_memory_is_full(void **state)
{
    (void)state;
    venv_storage *s = make(NULL, 1000);
    static const char bytes[1001];
    suite_fails(venv_storage_put_bytes(s, "memory://m/a", bytes, 1001, 0, &suite_err), VENV_STORAGE_NO_SPACE);
    suite_ok(venv_storage_put_bytes(s, "memory://m/a", bytes, 999, 0, &suite_err));
    suite_fails(venv_storage_put_bytes(s, "memory://m/b", bytes, 2, 0, &suite_err), VENV_STORAGE_NO_SPACE);
    assert_int_equal(suite_err.rc, VENV_ENOSPACE);
    venv_storage_free(s);
}

static void test_file(void **state)
{
    (void)state;
    char *dir = tempdir_make();
    const char *roots[] = { dir, NULL };
    venv_storage *confined = make(roots, 0), *open = make(NULL, 0);
    suite_run(confined, file_url(dir), "file beneath a root");
    suite_run(open, file_url(dir), "file");
    venv_storage_free(confined);
    venv_storage_free(open);
    tempdir_remove(dir);
}

static void test_file_leaves_its_root_by_no_way(void **state)
{
    (void)state;
    char *dir = tempdir_make(), *outside = tempdir_make();
    const char *roots[] = { dir, NULL };
    venv_storage *s = make(roots, 0);
    venv_storage_info info;
    tempdir_write_text(tempdir_path(outside, "canary"), "secret", 0600);
    assert_int_equal(symlink(outside, tempdir_path(dir, "link")), 0);
    assert_int_equal(symlink(tempdir_path(outside, "canary"), tempdir_path(dir, "file-link")), 0);
    assert_int_equal(symlink("/proc/self/root", tempdir_path(dir, "magic")), 0);
    static const char *const inside[] = { "link/canary", "file-link", "magic/etc/passwd", "link/new" };
    uint8_t *data = NULL;
    size_t size = 0;
    for (size_t i = 0; i < 4; i++) {
        const char *url = file_url(tempdir_path(dir, inside[i]));
        suite_fails(venv_storage_get_bytes(s, url, 100, &data, &size, &suite_err), VENV_STORAGE_PERMISSION);
        if (i != 1) {
            suite_fails(venv_storage_put_bytes(s, url, "x", 1, 0, &suite_err), VENV_STORAGE_PERMISSION);
            suite_fails(venv_storage_delete(s, url, &suite_err), VENV_STORAGE_PERMISSION);
            suite_fails(venv_storage_make_directory(s, url, false, &suite_err), VENV_STORAGE_PERMISSION);
        }
    }
    /* A link is seen as one, and a put replaces it, not what it points to. */
    const char *link = file_url(tempdir_path(dir, "file-link"));
    suite_ok(venv_storage_stat(s, link, &info, &suite_err));
    assert_int_equal(info.kind, VENV_STORAGE_OTHER);
    suite_fails(venv_storage_set_permissions(s, link, 0777, &suite_err), VENV_STORAGE_PERMISSION);
    suite_ok(venv_storage_put_bytes(s, link, "mine", 4, 0, &suite_err));
    assert_int_equal(tempdir_shell("true"), 0);
    struct stat st;
    assert_int_equal(stat(tempdir_path(outside, "canary"), &st), 0);
    assert_int_equal(st.st_size, 6);
    assert_int_equal(st.st_mode & 0777, 0600);
    suite_fails(venv_storage_stat(s, file_url(outside), &info, &suite_err), VENV_STORAGE_PERMISSION);
    suite_fails(venv_storage_stat(s, "file:///etc/passwd", &info, &suite_err), VENV_STORAGE_PERMISSION);
    /* A neighbour whose name begins as the root's does. */
    char neighbour[600];
    (void)snprintf(neighbour, sizeof neighbour, "%s-too", dir);
    suite_fails(venv_storage_stat(s, file_url(neighbour), &info, &suite_err), VENV_STORAGE_PERMISSION);
    /* What would hang or is no file. */
    assert_int_equal(mkfifo(tempdir_path(dir, "fifo"), 0600), 0);
    suite_fails(venv_storage_get_bytes(s, file_url(tempdir_path(dir, "fifo")), 100, &data, &size, &suite_err),
                VENV_STORAGE_OPERATION);
    venv_storage_free(s);
    tempdir_remove(dir);
    tempdir_remove(outside);
}

/* 5,000 names that try to climb, each as text for join and as it stands in a URL. */
static void test_names_that_climb(void **state)
{
    (void)state;
    char *dir = tempdir_make(), *outside = tempdir_make();
    char inner[600], url[VENV_STORAGE_URL_MAX];
    (void)snprintf(inner, sizeof inner, "%s/a", dir);
    assert_int_equal(mkdir(inner, 0700), 0);
    const char *roots[] = { inner, NULL };
    venv_storage *s = make(roots, 0);
    static const char *const pieces[] = { "..", ".", "", "%2e%2e", "%2e.", ".%2E", "..%2f", "%2f", "%00", "a%00b", "\\", "..\\",
        "%5c..", "..%c0%af", "%c0%ae%c0%ae", "\xe2\x80\xa4\xe2\x80\xa4", "\xef\xbc\x8e\xef\xbc\x8e", "-rf", "~", "%0a", "%7f",
        "\xe2\x80\xae", "CON", "...", ".. ", "%20..", "etc", "passwd", "%252e%252e", "\xff\xfe", "x", "|", ";", "$(x)", "`x`" };
    size_t tried = 0;
    uint32_t random = 7;
    for (; tried < 5000; tried++) {
        char name[512] = "";
        random = random * 1664525u + 1013904223u;
        unsigned count = 1 + (random >> 28) % 6;
        for (unsigned i = 0; i < count; i++) {
            random = random * 1664525u + 1013904223u;
            (void)strncat(name, i ? "/" : "", sizeof name - strlen(name) - 1);
            (void)strncat(name, pieces[(random >> 16) % (sizeof pieces / sizeof *pieces)], sizeof name - strlen(name) - 1);
        }
        (void)snprintf(url, sizeof url, "file://%s/%s", inner, name);
        (void)!venv_storage_put_bytes(s, url, "x", 1, VENV_STORAGE_PUT_PARENTS, &suite_err);
        if (venv_storage_join(file_url(inner), name, url, sizeof url, &suite_err) == VENV_OK)
            (void)!venv_storage_put_bytes(s, url, "x", 1, VENV_STORAGE_PUT_PARENTS, &suite_err);
    }
    char command[1500];
    /* Only the one directory is in the outer one, nothing came beside it. */
    (void)snprintf(command, sizeof command, "[ \"$(ls -A '%s')\" = a ] && [ -z \"$(ls -A '%s')\" ]", dir, outside);
    assert_int_equal(tempdir_shell(command), 0);
    venv_storage_free(s);
    tempdir_remove(dir);
    tempdir_remove(outside);
}

typedef struct racer {
    const char *dir, *outside;
    atomic_bool stop;
    atomic_ulong flips;
} racer;

/* Swaps a directory and a link to the outside, as fast as it can. */
static void *race(void *user)
{
    racer *r = user;
    char sub[600], link[600];
    (void)snprintf(sub, sizeof sub, "%s/sub", r->dir);
    (void)snprintf(link, sizeof link, "%s/link", r->dir);
    while (!atomic_load(&r->stop)) {
        (void)!renameat2(AT_FDCWD, link, AT_FDCWD, sub, RENAME_EXCHANGE);
        atomic_fetch_add(&r->flips, 1ul);
    }
    return NULL;
}

static void test_links_that_race(void **state)
{
    (void)state;
    char *dir = tempdir_make(), *outside = tempdir_make();
    const char *roots[] = { dir, NULL };
    venv_storage *s = make(roots, 0);
    racer r = { .dir = dir, .outside = outside };
    pthread_t thread;
    assert_int_equal(mkdir(tempdir_path(dir, "sub"), 0700), 0);
    assert_int_equal(symlink(outside, tempdir_path(dir, "link")), 0);
    char base[VENV_STORAGE_URL_MAX];
    (void)snprintf(base, sizeof base, "%s", file_url(tempdir_path(dir, "sub")));
    assert_int_equal(pthread_create(&thread, NULL, race, &r), 0);
    unsigned done = 0;
    for (unsigned i = 0; i < 2000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "f%u", i % 50);
        done += venv_storage_put_bytes(s, suite_url(base, name), "x", 1, 0, &suite_err) == VENV_OK;
    }
    atomic_store(&r.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(done > 0 && done < 2000);
    print_message("%u of 2000 puts were done during %lu swaps\n", done, atomic_load(&r.flips));
    char command[600];
    (void)snprintf(command, sizeof command, "[ -z \"$(ls -A '%s')\" ]", outside);
    assert_int_equal(tempdir_shell(command), 0);
    venv_storage_free(s);
    tempdir_remove(dir);
    tempdir_remove(outside);
}

static void test_two_publishers(void **state)
{
    (void)state;
    char *dir = tempdir_make();
    venv_storage *s = make(NULL, 0);
    const char *url = file_url(tempdir_path(dir, "one"));
    suite_ok(venv_storage_put_bytes(s, url, "first", 5, VENV_STORAGE_PUT_NEW, &suite_err));
    suite_fails(venv_storage_put_bytes(s, url, "second", 6, VENV_STORAGE_PUT_NEW, &suite_err), VENV_STORAGE_EXISTS);
    char command[600];
    (void)snprintf(command, sizeof command, "[ \"$(cat '%s/one')\" = first ] && [ $(ls -A '%s' | wc -l) = 1 ]", dir, dir);
    assert_int_equal(tempdir_shell(command), 0);
    venv_storage_free(s);
    tempdir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_is_full),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_leaves_its_root_by_no_way),
        cmocka_unit_test(test_names_that_climb),
        cmocka_unit_test(test_links_that_race),
        cmocka_unit_test(test_two_publishers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
