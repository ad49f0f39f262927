/* SPDX-License-Identifier: Apache-2.0 */
/* The verb eval: values, variables, checks, costs, and errors with a caret. */
#include "client/fake_manager.h"
#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static void expect(const char *line, int code, const char *out, const char *err)
{
    outcome run = run_line(line);
    if (run.code != code || (out && strcmp(run.out, out) != 0) || (err && !strstr(run.err, err)))
        fail_msg("venvctl %s: %d\n%s%s", line, run.code, run.out, run.err);
    run_free(&run);
}

static void test_values(void **state)
{
    (void)state;
    expect("eval '1 + 2'", EXIT_DONE, "3\n", NULL);
    expect("eval '-1 + 2'", EXIT_DONE, "1\n", NULL);
    expect("eval [1,2,3].exists(x,x>2)", EXIT_DONE, "true\n", NULL);
    expect("eval \"a\"+\"b\"", EXIT_DONE, "\"ab\"\n", NULL);
    expect("eval --check '1 + 2'", EXIT_DONE, "int\n", NULL);
}

static void test_variables(void **state)
{
    (void)state;
    char line[256];
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("memfree: 512\nqueue: {pending: 3}\nnames: [a, b]\n", file);
    fclose(file);
    snprintf(line, sizeof line, "eval --vars %s 'memfree > 100 && queue.pending == 3 && names.size() == 2'", path);
    expect(line, EXIT_DONE, "true\n", NULL);
    snprintf(line, sizeof line, "eval --vars %s memfre", path);
    expect(line, EXIT_USAGE, "", "memfree");
    snprintf(line, sizeof line, "eval --vars %s --check 'memfree + \"x\"'", path);
    expect(line, EXIT_USAGE, "", NULL);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("- a\n", file);
    fclose(file);
    snprintf(line, sizeof line, "eval --vars %s 1", path);
    expect(line, EXIT_USAGE, "", "a map");
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("a: [\n", file);
    fclose(file);
    expect(line, EXIT_USAGE, "", path);
    expect("eval --vars /nowhere.yaml 1", EXIT_NOT_FOUND, "", "/nowhere.yaml");
}

static void test_errors(void **state)
{
    (void)state;
    expect("eval '1 +'", EXIT_USAGE, "", "^");
    expect("eval x", EXIT_USAGE, "", "x");
    expect("eval '1 / 0'", EXIT_FAILED, "", "venvctl: ");
}

static void test_cost_and_tree(void **state)
{
    (void)state;
    outcome run = run_line("eval --cost --ast '1 + 2'");
    assert_int_equal(run.code, EXIT_DONE);
    assert_non_null(strstr(run.out, "cost: "));
    assert_non_null(strstr(run.out, "\n3\n"));
    run_free(&run);
    /* Where it fails when it runs they are the more wanted. */
    run = run_line("eval --cost --ast '1 / 0'");
    assert_int_equal(run.code, EXIT_FAILED);
    assert_non_null(strstr(run.out, "operator / : int"));
    assert_non_null(strstr(run.out, "cost: 3 at least"));
    run_free(&run);
    run = run_line("eval --json --cost --ast '1 + 2'");
    assert_int_equal(run.code, EXIT_DONE);
    venv_value value = fake_json(run.out);
    assert_int_equal(venv_value_get_int(&value, "value", 0), 3);
    assert_true(venv_value_is_text(venv_value_get(&value, "type"), "int"));
    assert_true(venv_value_is_text(venv_value_get(&value, "outcome"), "value"));
    assert_true(venv_value_get_int(venv_value_get(&value, "cost"), "used", 0) > 0);
    assert_true(venv_value_get_text(&value, "tree").size > 0);
    venv_value_unref(&value);
    run_free(&run);
}

static void test_parts(void **state)
{
    (void)state;
    expect("eval --explain '[1, 2, 3].exists(x, x > 2) && 1 == 2 - 1'", EXIT_DONE,
           "true\n"
           "[1, 2, 3].exists(x, x > 2) && 1 == 2 - 1\n"
           "^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  true\n"
           "^^^^^^^^^^^^^^^^^^^^^^^^^^                true\n"
           "                    ^^^^^                 true  (the last of 3 rounds, true in 1)\n"
           "                    ^                     3  (the last of 3 rounds)\n", NULL);
    /* What failed stands under the part that did. */
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("zero: 0\n", file);
    fclose(file);
    char line[256];
    snprintf(line, sizeof line, "eval --explain --vars %s '1 / zero > 1'", path);
    outcome run = run_line(line);
    assert_int_equal(run.code, EXIT_FAILED);
    assert_non_null(strstr(run.out, "1 / zero > 1\n"));
    assert_non_null(strstr(run.out, "^^^^^^^^      error: "));
    assert_non_null(strstr(run.out, "    ^^^^      0\n"));
    run_free(&run);
    snprintf(line, sizeof line, "eval --json --explain --vars %s 'zero + 1'", path);
    run = run_line(line);
    assert_int_equal(run.code, EXIT_DONE);
    venv_value value = fake_json(run.out);
    assert_int_equal(venv_value_count(venv_value_get(&value, "parts")), 2);
    venv_value_unref(&value);
    run_free(&run);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/venv-test-XXXXXX");
    int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_cost_and_tree),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
