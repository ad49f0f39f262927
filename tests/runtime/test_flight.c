/* SPDX-License-Identifier: Apache-2.0 */
/* What the flight recorder leaves when its process ends badly: also where the stack has run over. */
#include "runtime/flight.h"
#include "support/tempdir.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs those before it */

static const char *const yaml = "manager: {name: mgr}\n";

static volatile int depth_max = INT32_MAX;

/* Touches each page that it goes through, and cannot be made a loop of. */
static int run_over(int depth)
{
    volatile char page[4096];
    page[0] = (char)depth;
    page[sizeof page - 1] = (char)depth;
    return depth < depth_max ? run_over(depth + 1) + page[0] + page[sizeof page - 1] : 0;
}

/* As in a process without a sanitizer. */
static void forget_handlers(void)
{
    const stack_t none = { .ss_flags = SS_DISABLE };
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    (void)sigaltstack(&none, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)sigaction(numbers[i], &plain, NULL);
}

static void end_badly(const char *folder, int number)
{
    const struct rlimit no_core = { 0, 0 }, stack = { 1 << 20, 1 << 20 };
    venv_recorder_birth birth = { .now = { { 1 }, { 1 } } };
    venv_flight *flight = NULL;
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)setrlimit(RLIMIT_STACK, &stack);
    forget_handlers();
    if (venv_flight_start(tempdir_path(folder, "manager.yaml"), folder, &birth, NULL, &flight, NULL) != VENV_OK)
        _exit(1);
    if (number != 0)
        (void)raise(number);
    else
        (void)run_over(0);
    _exit(2);
}

static void expect_record(const char *folder, int number, int expected)
{
    int status = 0;
    (void)unlink(tempdir_path(folder, "flight.record"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_badly(folder, number);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), expected);
    char begin[sizeof VENV_RECORD_MAGIC] = "";
    FILE *record = fopen(tempdir_path(folder, "flight.record"), "rb");
    assert_non_null(record);
    assert_int_equal(fread(begin, 1, sizeof begin - 1, record), sizeof begin - 1);
    fclose(record);
    assert_string_equal(begin, VENV_RECORD_MAGIC);
}

static void a_fault_leaves_a_record(void **state)
{
    char *folder = tempdir_make();
    (void)state;
    tempdir_write_text(tempdir_path(folder, "manager.yaml"), yaml, 0600);
    expect_record(folder, SIGABRT, SIGABRT);
    expect_record(folder, SIGBUS, SIGBUS);
    tempdir_remove(folder);
}

static void a_stack_that_runs_over_leaves_one_too(void **state)
{
    char *folder = tempdir_make();
    (void)state;
    tempdir_write_text(tempdir_path(folder, "manager.yaml"), yaml, 0600);
    expect_record(folder, 0, SIGSEGV);
    tempdir_remove(folder);
}

static void afterwards_all_is_as_before(void **state)
{
    char *folder = tempdir_make();
    venv_recorder_birth birth = { .now = { { 1 }, { 1 } } };
    venv_flight *flight = NULL;
    stack_t before, after;
    (void)state;
    tempdir_write_text(tempdir_path(folder, "manager.yaml"), yaml, 0600);
    assert_int_equal(sigaltstack(NULL, &before), 0);
    assert_int_equal(venv_flight_start(tempdir_path(folder, "manager.yaml"), NULL, &birth, NULL, &flight, NULL), VENV_OK);
    venv_flight_end(flight);
    assert_int_equal(sigaltstack(NULL, &after), 0);
    assert_int_equal(before.ss_flags, after.ss_flags);
    assert_ptr_equal(before.ss_sp, after.ss_sp);
    tempdir_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_leaves_a_record),
        cmocka_unit_test(a_stack_that_runs_over_leaves_one_too),
        cmocka_unit_test(afterwards_all_is_as_before),
    };
    return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
