/* SPDX-License-Identifier: Apache-2.0 */
/* Versions that machines stand on: brought once, found without the repository, never written again. */
#include <venv/image.h>

#include "../support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *top;
static char repository[TEMPDIR_PATH_MAX], key[TEMPDIR_PATH_MAX], bases[TEMPDIR_PATH_MAX];
static venv_image_options options = VENV_IMAGE_OPTIONS_INIT;

static void publish(const char *name, char fill)
{
    char *data = malloc(300000);
    venv_value report = venv_value_null();
    for (size_t i = 0; i < 300000; i++)
        data[i] = (char)(i * i / 7 + (size_t)fill * (i > 200000));
    tempdir_write(tempdir_path(top, "disk.raw"), data, 300000, 0600);
    free(data);
    assert_int_equal(venv_image_make(&options, tempdir_path(top, "disk.raw"), VENV_IMAGE_RAW, name, 0, &report, NULL), VENV_OK);
    venv_value_unref(&report);
}

static int begin(void **state)
{
    (void)state;
    top = tempdir_make();
    snprintf(repository, sizeof repository, "%s/repository", top);
    snprintf(key, sizeof key, "%s/a.key", top);
    snprintf(bases, sizeof bases, "%s/bases", top);
    assert_int_equal(venv_image_key_make(key, NULL), VENV_OK);
    options.repository = repository;
    options.key = key;
    options.no_sync = true;
    publish("small", 1);
    publish("small", 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tempdir_remove(top);
    return 0;
}

/* The path of what is there then; the caller frees it. NULL: it failed with `expected`. */
static char *get(const char *reference, venv_rc expected, int64_t version)
{
    venv_value report = venv_value_null();
    venv_error err = { 0 };
    venv_rc rc = venv_image_base(&options, reference, bases, &report, &err);
    if (rc != expected)
        fail_msg("%s: %d, %s", reference, rc, err.text);
    if (rc != VENV_OK)
        return NULL;
    assert_int_equal(venv_value_get_int(&report, "version", 0), version);
    assert_int_equal(venv_value_get_int(&report, "size", 0), 300000);
    venv_str path = venv_value_get_text(&report, "path");
    char *copy = strndup(path.data, path.size);
    venv_value_unref(&report);
    return copy;
}

static void test_versions(void **state)
{
    struct stat st, again;
    (void)state;
    char *two = get("small", VENV_OK, 2), *one = get("small@1", VENV_OK, 1);
    assert_string_not_equal(one, two);
    assert_int_equal(stat(two, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    char *same = get("small@latest", VENV_OK, 2);
    assert_string_equal(same, two);
    assert_int_equal(stat(two, &again), 0);
    assert_int_equal(again.st_ino, st.st_ino);
    /* A new version does not touch the old. */
    publish("small", 3);
    char *three = get("small", VENV_OK, 3);
    char line[4 * TEMPDIR_PATH_MAX];
    snprintf(line, sizeof line, "cmp %s/disk.raw %s && ! cmp -s %s %s && ls %s | grep -c raw | grep -qx 3", top, three, three, two, bases);
    assert_int_equal(tempdir_shell(line), 0);
    /* Away: exact versions are found, and so is the newest. */
    assert_int_equal(rename(repository, tempdir_path(top, "away")), 0);
    free(get("small@2", VENV_OK, 2));
    free(get("small", VENV_OK, 3));
    get("small@9", VENV_ENOENT, 0);
    get("other", VENV_ENOENT, 0);
    assert_int_equal(rename(tempdir_path(top, "away"), repository), 0);
    /* Set back: not taken, unless it is meant. */
    snprintf(line, sizeof line, "rm %s/images/small/3.manifest && rm %s/catalog.json", repository, repository);
    assert_int_equal(tempdir_shell(line), 0);
    get("small", VENV_ECONFLICT, 0);
    free(get("small@2", VENV_OK, 2));
    free(one);
    free(two);
    free(three);
    free(same);
}

static void test_refused(void **state)
{
    static const char *const bad[] = { "", "../small", "Small", "small@", "small@0", "small@-1", "small@x", "small@1@2", "a/b", "small@99999999999999999999" };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        get(bad[i], VENV_EINVAL, 0);
    get("small@3", VENV_ENOENT, 0);
    /* Not of a key that is trusted. */
    char stranger[TEMPDIR_PATH_MAX];
    snprintf(stranger, sizeof stranger, "%s/b.key", top);
    assert_int_equal(venv_image_key_make(stranger, NULL), VENV_OK);
    options.key = stranger;
    get("small", VENV_EDENIED, 0);
    options.key = key;
    assert_int_equal(chmod(bases, 0777), 0);
    get("small", VENV_EDENIED, 0);
    assert_int_equal(chmod(bases, 0755), 0);
    free(get("small", VENV_OK, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_versions, begin, end), cmocka_unit_test_setup_teardown(test_refused, begin, end) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
