/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs cert: what they make, where, with which modes, and that they overwrite nothing. */
#include "client/fake_manager.h"
#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64], out[80];

static outcome cert(const char *format, ...) VENV_PRINTF(1, 2);
static outcome cert(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return run_line_now(line);
}

static void expect_code(const outcome *run, int code)
{
    if (run->code != code)
        fail_msg("exit code %d, not %d\n%s%s", run->code, code, run->out, run->err);
}

static void expect_file(const char *where, const char *name, mode_t mode)
{
    char path[256];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", where, name);
    if (stat(path, &status) != 0)
        fail_msg("%s is not there", path);
    assert_int_equal(status.st_mode & 0777, mode);
}

static void test_from_nothing_to_a_certificate(void **state)
{
    (void)state;
    outcome run = cert("cert init --cluster lab --dir %s", directory);
    expect_code(&run, EXIT_DONE);
    assert_non_null(strstr(run.out, "CA of cluster lab"));
    run_free(&run);
    expect_file(directory, "ca.key", 0600);
    run = cert("cert issue agent node07 --dir %s --out %s --json", directory, out);
    expect_code(&run, EXIT_DONE);
    venv_value value = fake_json(run.out);
    assert_true(venv_value_is_text(venv_value_get(&value, "identity"), "venv://lab/agent/node07"));
    assert_non_null(venv_value_get(&value, "expires"));
    venv_value_unref(&value);
    run_free(&run);
    expect_file(out, "agent-node07.key", 0600);
    expect_file(out, "ca.crt", 0644);
    run = cert("cert show %s/agent-node07.crt --json", out);
    expect_code(&run, EXIT_DONE);
    value = fake_json(run.out);
    assert_true(venv_value_is_text(venv_value_get(&value, "role"), "agent"));
    assert_true(venv_value_is_text(venv_value_get(&value, "cluster"), "lab"));
    assert_true(venv_value_get_bool(&value, "valid", false));
    assert_false(venv_value_get_bool(&value, "ca", true));
    venv_value_unref(&value);
    run_free(&run);
    run = cert("cert show %s/ca.crt", directory);
    expect_code(&run, EXIT_DONE);
    assert_non_null(strstr(run.out, "cluster:"));
    run_free(&run);
}

static void test_nothing_is_overwritten(void **state)
{
    (void)state;
    outcome run = cert("cert init --cluster lab --dir %s", directory);
    expect_code(&run, EXIT_FAILED);
    assert_non_null(strstr(run.err, "ca."));
    run_free(&run);
    run = cert("cert issue agent node07 --dir %s --out %s", directory, out);
    expect_code(&run, EXIT_FAILED);
    run_free(&run);
    run = cert("cert issue agent node07 --dir %s --out %s --replace --days 30 --key ed25519 -q", directory, out);
    expect_code(&run, EXIT_DONE);
    assert_string_equal(run.out, "");
    run_free(&run);
    run = cert("cert show %s/agent-node07.crt", out);
    assert_non_null(strstr(run.out, "Ed25519"));
    run_free(&run);
}

/* A directory with another CA's certificate is not mixed up. */
static void test_another_ca(void **state)
{
    (void)state;
    char *pki = fake_pki_new("other");
    outcome run = cert("cert issue user bob --dir %s --out %s", pki, out);
    expect_code(&run, EXIT_FAILED);
    assert_non_null(strstr(run.err, "another CA"));
    run_free(&run);
    fake_pki_free(pki);
}

static void test_hosts(void **state)
{
    (void)state;
    outcome run = cert("cert issue manager mgr --dir %s --out %s --hosts mgr.example.org,192.0.2.7", directory, out);
    expect_code(&run, EXIT_DONE);
    run_free(&run);
    run = cert("cert show %s/manager-mgr.crt", out);
    assert_non_null(strstr(run.out, "mgr.example.org"));
    assert_non_null(strstr(run.out, "192.0.2.7"));
    run_free(&run);
    run = cert("cert issue manager mgr2 --dir %s --hosts a,,b", directory);
    expect_code(&run, EXIT_USAGE);
    run_free(&run);
}

static void test_mistakes(void **state)
{
    (void)state;
    outcome run = cert("cert issue agent node08 --dir /nowhere");
    expect_code(&run, EXIT_NOT_FOUND);
    run_free(&run);
    run = cert("cert show /nowhere.crt");
    expect_code(&run, EXIT_NOT_FOUND);
    run_free(&run);
    run = cert("cert show %s/ca.key", directory);
    expect_code(&run, EXIT_FAILED);
    run_free(&run);
    run = cert("cert issue agent ../x --dir %s", directory);
    expect_code(&run, EXIT_USAGE);
    run_free(&run);
}

static void empty(const char *where)
{
    static const char *const names[] = { "ca.crt", "ca.key", "agent-node07.crt", "agent-node07.key", "user-bob.crt", "user-bob.key",
                                         "manager-mgr.crt", "manager-mgr.key" };
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", where, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(where);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/venv-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(out, sizeof out, "%s/node07", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    empty(out);
    empty(directory);
    return access(directory, F_OK) == 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_nothing_to_a_certificate),
        cmocka_unit_test(test_nothing_is_overwritten),
        cmocka_unit_test(test_another_ca),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
