/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner against commands that behave, and against those that do everything else. The scripts are
 * real and are really run.
 */
#include "runner/runner.h"
#include "support/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h> /* needs those before it */

typedef struct fixture {
    char *directory;
    char commands[TEMPDIR_PATH_MAX], scratch[TEMPDIR_PATH_MAX];
    venv_runner *runner;
    venv_run *run;
    const venv_run_outcome *outcome;
    char log_text[16384];
    venv_log log;
    venv_error err;
} fixture;

static void take_line(void *user, venv_log_level level, const char *line)
{
    fixture *f = user;
    size_t used = strlen(f->log_text);
    (void)level;
    snprintf(f->log_text + used, sizeof f->log_text - used, "%s\n", line);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->directory = tempdir_make();
    snprintf(f->commands, sizeof f->commands, "%s/commands", f->directory);
    snprintf(f->scratch, sizeof f->scratch, "%s/scratch", f->directory);
    assert_int_equal(mkdir(f->commands, 0755), 0);
    assert_int_equal(mkdir(f->scratch, 0755), 0);
    f->log = (venv_log){ take_line, f, VENV_LOG_INFO };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    venv_run_free(f->run);
    venv_runner_free(f->runner);
    tempdir_remove(f->directory);
    free(f);
    return 0;
}

static void script(fixture *f, const char *name, const char *text)
{
    tempdir_write_text(tempdir_path(f->commands, name), text, 0755);
}

static void open_runner(fixture *f, size_t out_max)
{
    const char *directories[] = { f->commands };
    const venv_runner_options options = { .directories = directories, .directory_count = 1, .out_max = out_max,
                                          .log = &f->log };
    if (venv_runner_new(&options, &f->runner, &f->err) != VENV_OK)
        fail_msg("%s", f->err.text);
}

static venv_now clocks(void)
{
    struct timespec mono;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (venv_now){ { mono.tv_sec * VENV_NS_PER_S + mono.tv_nsec }, { 0 } };
}

static venv_rc start(fixture *f, const char *name, const venv_str *args, size_t arg_count, int64_t timeout_ms)
{
    const venv_run_request request = { .name = { name, strlen(name) }, .args = args, .arg_count = arg_count,
                                       .timeout = { timeout_ms * 1000000 } };
    venv_run_free(f->run);
    f->run = NULL;
    memset(&f->err, 0, sizeof f->err);
    return venv_runner_start(f->runner, &request, clocks(), &f->run, &f->err);
}

/* Start, wait, and hand the outcome out. */
static const venv_run_outcome *run(fixture *f, const char *name, int64_t timeout_ms)
{
    if (start(f, name, NULL, 0, timeout_ms) != VENV_OK)
        fail_msg("%s: %s", name, f->err.text);
    f->outcome = venv_run_wait(f->run);
    return f->outcome;
}

static bool out_is(const venv_run_outcome *o, const char *text)
{
    return o->out.size == strlen(text) && memcmp(o->out.data, text, o->out.size) == 0;
}

static bool out_has(const venv_run_outcome *o, const char *text)
{
    return memmem(o->out.data, o->out.size, text, strlen(text)) != NULL;
}

/* Is process `pid`, which a command wrote into a file of the scratch directory, still there? */
static pid_t noted_pid(fixture *f, const char *name)
{
    FILE *file = fopen(tempdir_path(f->scratch, name), "r");
    int pid = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_true(pid > 1);
    return pid;
}

static void assert_gone(pid_t pid)
{
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

#define SECONDS(outcome) ((double)(outcome)->took.ns / 1e9)

static void test_behaves(void **state)
{
    fixture *f = *state;
    script(f, "hello", "#!/bin/sh\necho out; echo err >&2; exit 7\n");
    script(f, "signalled", "#!/bin/sh\nkill -USR1 $$\n");
    script(f, "silent", "#!/bin/sh\n");
    script(f, "asks", "#!/bin/sh\nread line; echo \"read: $? [$line]\"\n");
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "hello", 5000);
    assert_int_equal(o->rc, VENV_OK);
    assert_null(o->error);
    assert_int_equal(o->exit_status, 7);
    assert_int_equal(o->signal, 0);
    assert_false(o->timed_out);
    assert_false(o->truncated);
    assert_true(out_is(o, "out\n"));
    assert_int_equal(o->err.size, 4);
    assert_memory_equal(o->err.data, "err\n", 4);
    assert_true(o->took.ns > 0);
    o = run(f, "signalled", 5000);
    assert_int_equal(o->signal, SIGUSR1);
    o = run(f, "silent", 5000);
    assert_int_equal(o->exit_status, 0);
    assert_true(out_is(o, ""));
    o = run(f, "asks", 5000);
    assert_true(out_is(o, "read: 1 []\n"));
}

/* Everything that a command is given, and nothing more. */
static void test_recorder(void **state)
{
    fixture *f = *state;
    char expected[2048];
    const venv_str args[] = { VENV_STR("-rf"), VENV_STR("a b"), VENV_STR(""), VENV_STR("$(id)\n`id`; id"),
                              VENV_STR("\x01\xff'\"\\") };
    const char *const variables[] = { "VENV_TRIGGER=grow", "VENV_X=" };
    assert_int_equal(symlink(RECORDER, tempdir_path(f->commands, "linked")), 0);
    const char *copy = tempdir_path(f->commands, "recorder");
    snprintf(expected, sizeof expected, "cp %s %s && chmod 755 %s", RECORDER, copy, copy);
    assert_int_equal(tempdir_shell(expected), 0);
    /* What must not be passed on. */
    assert_int_equal(setenv("LD_PRELOAD_X", "secret", 1), 0);
    int leaks[3] = { open("/etc/passwd", O_RDONLY), open("/", O_RDONLY), dup2(0, 77) };
    struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
    sigaction(SIGPIPE, &ignore, &old);
    mode_t mask = umask(0077);
    open_runner(f, 0);
    const venv_run_request request = { .name = VENV_STR("recorder"), .args = args, .arg_count = 5,
                                       .variables = variables, .variable_count = 2, .timeout = { 5 * VENV_NS_PER_S } };
    assert_int_equal(venv_runner_start(f->runner, &request, clocks(), &f->run, &f->err), VENV_OK);
    const venv_run_outcome *o = venv_run_wait(f->run);
    umask(mask);
    sigaction(SIGPIPE, &old, NULL);
    for (int i = 0; i < 3; i++)
        close(leaks[i]);
    snprintf(expected, sizeof expected,
             "arg 8 [recorder]\narg 3 [-rf]\narg 3 [a b]\narg 0 []\narg 14 [$(id)\n`id`; id]\narg 5 [\x01\xff'\"\\]\n"
             "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nenv LC_ALL=C\n"
             "env VENV_COMMAND=recorder\nenv VENV_COMMAND_DIR=%s\nenv VENV_TRIGGER=grow\nenv VENV_X=\n"
             "fd 0 /dev/null\nfd 1 pipe\nfd 2 pipe\ncwd /\nleader 1\nsignals 0 0\ncore 0 files 1\numask 022\n",
             f->commands);
    if (!out_is(o, expected))
        fail_msg("got:\n%.*s\nerr: %.*s\n%s\nnot:\n%s", (int)o->out.size, o->out.data, (int)o->err.size, o->err.data,
                 o->error ? o->error : "", expected);
}

/* A script's only extra descriptor is the script. */
static void test_script_descriptors(void **state)
{
    fixture *f = *state;
    char text[4096];
    script(f, "fds", "#!/bin/sh\necho \"$0 $VENV_COMMAND $VENV_COMMAND_DIR $*\"\nexec " RECORDER "\n");
    open_runner(f, 0);
    const venv_str args[] = { VENV_STR("-x"), VENV_STR("y") };
    assert_int_equal(start(f, "fds", args, 2, 5000), VENV_OK);
    const venv_run_outcome *o = venv_run_wait(f->run);
    snprintf(text, sizeof text, "/dev/fd/3 fds %s -x y\n", f->commands);
    assert_true(out_has(o, text));
    /* 10 is the shell's own view of the script, which it closes on execve(2). */
    snprintf(text, sizeof text, "\nfd 0 /dev/null\nfd 1 pipe\nfd 2 pipe\nfd 3 %s/fds\ncwd /\n", f->commands);
    if (!out_has(o, text))
        fail_msg("%.*s", (int)o->out.size, o->out.data);
}

static void test_hangs(void **state)
{
    fixture *f = *state;
    script(f, "hang", "#!/bin/sh\necho before\nexec sleep 1000\n");
    script(f, "polite", "#!/bin/sh\ntrap 'echo bye; exit 3' TERM\nwhile :; do sleep 0.05; done\n");
    script(f, "stubborn", "#!/bin/sh\ntrap '' TERM INT HUP QUIT\necho $$ >\"$1\"\nwhile :; do sleep 0.1; done\n");
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "hang", 300);
    assert_true(o->timed_out);
    assert_int_equal(o->rc, VENV_OK);
    assert_int_equal(o->signal, SIGTERM);
    assert_true(out_is(o, "before\n"));
    o = run(f, "polite", 300);
    assert_true(o->timed_out);
    assert_int_equal(o->exit_status, 3);
    assert_true(out_is(o, "bye\n"));
    const char *note = tempdir_path(f->scratch, "stubborn");
    const venv_str args[] = { { note, strlen(note) } };
    assert_int_equal(start(f, "stubborn", args, 1, 300), VENV_OK);
    o = venv_run_wait(f->run);
    assert_true(o->timed_out);
    assert_int_equal(o->signal, SIGKILL);
    assert_true(SECONDS(o) < 5);
    assert_gone(noted_pid(f, "stubborn"));
}

static void test_killed_early(void **state)
{
    fixture *f = *state;
    script(f, "hang", "#!/bin/sh\nexec sleep 1000\n");
    open_runner(f, 0);
    assert_int_equal(start(f, "hang", NULL, 0, 60000), VENV_OK);
    usleep(100000); /* SIGTERM may find it before or after its execve(2) */
    venv_run_kill(f->run, clocks());
    const venv_run_outcome *o = venv_run_wait(f->run);
    assert_int_equal(o->signal, SIGTERM);
    assert_false(o->timed_out);
    assert_true(SECONDS(o) < 30);
}

static void test_prints_much(void **state)
{
    fixture *f = *state;
    script(f, "ten", "#!/bin/sh\nhead -c 10485760 /dev/zero | tr '\\0' x; echo done >&2; exit 4\n");
    script(f, "both", "#!/bin/sh\nhead -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; exit 5\n");
    script(f, "endless", "#!/bin/sh\nexec yes\n");
    script(f, "exact", "#!/bin/sh\nhead -c 1048576 /dev/zero\n");
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "ten", 20000);
    assert_int_equal(o->exit_status, 4);
    assert_true(o->truncated);
    assert_int_equal(o->out.size, VENV_RUN_OUT_MAX);
    for (size_t i = 0; i < o->out.size; i += 4099)
        assert_int_equal(o->out.data[i], 'x');
    assert_int_equal(o->err.size, 5);
    o = run(f, "both", 20000);
    assert_int_equal(o->exit_status, 5);
    assert_true(o->truncated);
    assert_int_equal(o->err.size, VENV_RUN_ERR_MAX);
    assert_int_equal(o->out.size, 300000);
    o = run(f, "exact", 20000);
    assert_false(o->truncated);
    assert_int_equal(o->out.size, VENV_RUN_OUT_MAX);
    o = run(f, "endless", 60000);
    assert_true(o->truncated);
    assert_false(o->timed_out);
    assert_int_equal(o->signal, SIGKILL);
    venv_run_free(f->run);
    f->run = NULL;
    venv_runner_free(f->runner);
    open_runner(f, 10);
    o = run(f, "ten", 20000);
    assert_true(o->truncated);
    assert_int_equal(o->out.size, 10);
}

static void test_prints_binary(void **state)
{
    fixture *f = *state;
    script(f, "binary", "#!/bin/sh\nprintf 'a\\000b\\377\\376\\033[2J\\n'\n");
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "binary", 5000);
    assert_int_equal(o->out.size, 10);
    assert_memory_equal(o->out.data, "a\0b\xff\xfe\x1b[2J\n", 10);
}

/* Its child keeps the pipes open: the outcome comes at once, and the child is gone. */
static void test_child_holds_pipe(void **state)
{
    fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text, "#!/bin/sh\n(trap '' TERM; echo $BASHPID >/dev/null; exec sleep 1000) &\necho $! >%s/held\necho done\n", f->scratch);
    script(f, "holder", text);
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "holder", 60000);
    assert_true(out_is(o, "done\n"));
    assert_int_equal(o->exit_status, 0);
    assert_false(o->timed_out);
    assert_true(SECONDS(o) < 5);
    assert_gone(noted_pid(f, "held"));
}

/* New session, double fork, everything closed, signals ignored: gone all the same. */
static void test_daemon(void **state)
{
    fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text,
             "#!/usr/bin/python3\nimport os, signal, sys, time\n"
             "for s in range(1, 32):\n    if s not in (9, 19): signal.signal(s, signal.SIG_IGN)\n"
             "r, w = os.pipe()\n"
             "if os.fork() == 0:\n"
             "    os.setsid()\n"
             "    if os.fork() == 0:\n"
             "        os.setsid()\n"
             "        open('%s/daemon', 'w').write(str(os.getpid()))\n"
             "        os.write(w, b'x')\n"
             "        if len(sys.argv) > 1: os.closerange(0, 100)\n"
             "        time.sleep(1000)\n"
             "    os._exit(0)\n"
             "os.read(r, 1)\nprint('started', flush=True)\n"
             "if len(sys.argv) > 2: time.sleep(1000)\n", f->scratch);
    script(f, "daemon", text);
    open_runner(f, 0);
    const venv_str args[] = { VENV_STR("close"), VENV_STR("hang") };
    for (size_t count = 0; count <= 2; count++) {
        assert_int_equal(start(f, "daemon", args, count, count == 2 ? 3000 : 30000), VENV_OK);
        const venv_run_outcome *o = venv_run_wait(f->run);
        assert_true(out_is(o, "started\n"));
        assert_int_equal(o->timed_out, count == 2);
        assert_true(SECONDS(o) < (count == 2 ? 8 : 25));
        assert_gone(noted_pid(f, "daemon"));
    }
}

/* A tree that grows while it is cut. */
static void test_many_children(void **state)
{
    fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text,
             "#!/bin/sh\nn=0\nwhile [ $n -lt 40 ]; do setsid sh -c 'while :; do setsid sleep 0.05 & sleep 0.05; done' & n=$((n+1)); done\n"
             "echo $! >%s/last\nsleep 1000\n", f->scratch);
    script(f, "tree", text);
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "tree", 1500);
    assert_true(o->timed_out);
    assert_true(SECONDS(o) < 1.5 + 5 + 2);
    assert_int_equal(o->rc, VENV_OK);
    assert_gone(noted_pid(f, "last"));
}

/* If we are gone, so is the run. */
static void test_parent_dies(void **state)
{
    fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text, "#!/bin/sh\ntrap '' TERM HUP\nsetsid sleep 1000 &\necho $! >%s/child\necho $$ >%s/self\nmv %s/self %s/ready\nwhile :; do sleep 0.1; done\n",
             f->scratch, f->scratch, f->scratch, f->scratch);
    script(f, "survivor", text);
    open_runner(f, 0);
    pid_t pid = fork();
    if (pid == 0) {
        const venv_run_request request = { .name = VENV_STR("survivor"), .timeout = { 1000 * VENV_NS_PER_S } };
        venv_run *child_run;
        if (venv_runner_start(f->runner, &request, clocks(), &child_run, NULL) != VENV_OK)
            _exit(1);
        for (;;)
            pause();
    }
    for (unsigned i = 0; i < 500 && access(tempdir_path(f->scratch, "ready"), F_OK) != 0; i++)
        usleep(20000);
    pid_t command = noted_pid(f, "ready"), child = noted_pid(f, "child");
    assert_int_equal(kill(command, 0), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (unsigned i = 0; i < 250 && (kill(command, 0) == 0 || kill(child, 0) == 0); i++)
        usleep(20000);
    assert_gone(command);
    assert_gone(child);
}

/* A run that is freed in its midst is ended, too. */
static void test_freed_early(void **state)
{
    fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text, "#!/bin/sh\ntrap '' TERM\necho $$ >%s/tmp; mv %s/tmp %s/freed\nwhile :; do sleep 0.1; done\n",
             f->scratch, f->scratch, f->scratch);
    script(f, "hang", text);
    open_runner(f, 0);
    assert_int_equal(start(f, "hang", NULL, 0, 60000), VENV_OK);
    for (unsigned i = 0; i < 500 && access(tempdir_path(f->scratch, "freed"), F_OK) != 0; i++)
        usleep(20000);
    pid_t pid = noted_pid(f, "freed");
    venv_run_free(f->run);
    f->run = NULL;
    for (unsigned i = 0; i < 250 && kill(pid, 0) == 0; i++)
        usleep(20000);
    assert_gone(pid);
    usleep(100000);
    assert_int_equal(venv_runner_reindex(f->runner, &f->err), VENV_OK);
}

static void test_cannot_start(void **state)
{
    fixture *f = *state;
    script(f, "nointerpreter", "#!/no/such/interpreter\n");
    script(f, "nohashbang", "echo hello\n");
    script(f, "vanishing", "#!/bin/sh\n");
    script(f, "loses-x", "#!/bin/sh\n");
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "nointerpreter", 5000);
    assert_int_equal(o->rc, VENV_ENOENT);
    assert_non_null(strstr(o->error, "nointerpreter cannot be started"));
    assert_non_null(strstr(o->error, "interpreter in its #! line does not exist"));
    o = run(f, "nohashbang", 5000);
    assert_int_equal(o->rc, VENV_EINVAL);
    assert_non_null(strstr(o->error, "neither a program nor begins with #!"));
    assert_int_equal(remove(tempdir_path(f->commands, "vanishing")), 0);
    assert_int_equal(start(f, "vanishing", NULL, 0, 1000), VENV_ENOENT);
    assert_int_equal(chmod(tempdir_path(f->commands, "loses-x"), 0644), 0);
    assert_int_equal(start(f, "loses-x", NULL, 0, 1000), VENV_EDENIED);
    assert_non_null(strstr(f->err.text, "not executable"));
    assert_int_equal(chmod(tempdir_path(f->commands, "loses-x"), 0777), 0);
    assert_int_equal(start(f, "loses-x", NULL, 0, 1000), VENV_EDENIED);
    assert_non_null(strstr(f->err.text, "can be written by others"));

    static const char *const names[] = { "none", "", "../commands/hello", "./nohashbang", "/bin/sh", "sh", "NOHASHBANG",
                                         "nohashbang ", "nohashbang\n", "commands/nohashbang" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(start(f, names[i], NULL, 0, 1000), VENV_ENOENT);
    assert_null(f->run);
}

static void test_requests(void **state)
{
    fixture *f = *state;
    script(f, "count", "#!/bin/sh\necho $#\n");
    open_runner(f, 0);
    char *big = malloc(VENV_RUN_ARG_SIZE_MAX + 1);
    memset(big, 'x', VENV_RUN_ARG_SIZE_MAX + 1);
    venv_str args[VENV_RUN_ARG_COUNT_MAX + 1];
    for (size_t i = 0; i <= VENV_RUN_ARG_COUNT_MAX; i++)
        args[i] = VENV_STR("a");
    assert_int_equal(start(f, "count", args, VENV_RUN_ARG_COUNT_MAX, 5000), VENV_OK);
    assert_true(out_is(venv_run_wait(f->run), "256\n"));
    assert_int_equal(start(f, "count", args, VENV_RUN_ARG_COUNT_MAX + 1, 5000), VENV_ELIMIT);
    args[0] = (venv_str){ big, VENV_RUN_ARG_SIZE_MAX };
    assert_int_equal(start(f, "count", args, 1, 5000), VENV_OK);
    assert_true(out_is(venv_run_wait(f->run), "1\n"));
    args[0].size++;
    assert_int_equal(start(f, "count", args, 1, 5000), VENV_ELIMIT);
    for (size_t i = 0; i < 9; i++)
        args[i] = (venv_str){ big, VENV_RUN_ARG_SIZE_MAX };
    assert_int_equal(start(f, "count", args, 9, 5000), VENV_ELIMIT);
    args[0] = VENV_STR("a\0b");
    assert_int_equal(start(f, "count", args, 1, 5000), VENV_EINVAL);
    assert_int_equal(start(f, "count", NULL, 0, 0), VENV_EINVAL);
    assert_int_equal(start(f, "count", NULL, 0, -5), VENV_EINVAL);
    assert_int_equal(start(f, "count", NULL, 0, INT64_C(90000000)), VENV_EINVAL);
    static const char *const bad[] = { "PATH=/tmp", "LD_PRELOAD=x", "VENV_", "VENV_=x", "VENV_x=1", "VENV_A",
                                       "VENV_COMMAND=x", "VENV_COMMAND_DIR=x", "=x", "" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const venv_run_request request = { .name = VENV_STR("count"), .variables = &bad[i], .variable_count = 1,
                                           .timeout = { VENV_NS_PER_S } };
        if (venv_runner_start(f->runner, &request, clocks(), &f->run, &f->err) != VENV_EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    free(big);
}

static void test_index(void **state)
{
    fixture *f = *state;
    script(f, "ram", "#!/bin/sh\n");
    script(f, "cputemp", "#!/bin/sh\n");
    script(f, "UPPER", "#!/bin/sh\n");
    script(f, "with space", "#!/bin/sh\n");
    script(f, "backup~", "#!/bin/sh\n");
    script(f, ".hidden", "#!/bin/sh\n");
    script(f, "writable", "#!/bin/sh\n");
    script(f, "foreign", "#!/bin/sh\n");
    tempdir_write_text(tempdir_path(f->commands, "plain"), "#!/bin/sh\n", 0644);
    assert_int_equal(chmod(tempdir_path(f->commands, "writable"), 0775), 0);
    assert_int_equal(mkdir(tempdir_path(f->commands, "folder"), 0755), 0);
    assert_int_equal(mkfifo(tempdir_path(f->commands, "fifo"), 0755), 0);
    /* Links: to a good program, to nothing, to themselves, into a place where others write, to a directory. */
    assert_int_equal(symlink("/bin/true", tempdir_path(f->commands, "good-link")), 0);
    assert_int_equal(symlink("/none", tempdir_path(f->commands, "dangling")), 0);
    assert_int_equal(symlink("loop", tempdir_path(f->commands, "loop")), 0);
    assert_int_equal(symlink("/bin", tempdir_path(f->commands, "to-folder")), 0);
    const char *open_place = tempdir_path(f->directory, "open");
    assert_int_equal(mkdir(open_place, 0755), 0);
    tempdir_write_text(tempdir_path(open_place, "evil"), "#!/bin/sh\n", 0755);
    assert_int_equal(chmod(open_place, 0777), 0);
    assert_int_equal(symlink(tempdir_path(open_place, "evil"), tempdir_path(f->commands, "open-link")), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(chown(tempdir_path(f->commands, "foreign"), 12345, 0), 0);
    else
        assert_int_equal(remove(tempdir_path(f->commands, "foreign")), 0);
    open_runner(f, 0);
    assert_int_equal(venv_runner_count(f->runner), 3);
    assert_string_equal(venv_runner_name(f->runner, 0), "cputemp");
    assert_string_equal(venv_runner_name(f->runner, 1), "good-link");
    assert_string_equal(venv_runner_name(f->runner, 2), "ram");
    assert_null(venv_runner_name(f->runner, 3));
    assert_string_equal(venv_runner_path(f->runner, 2), tempdir_path(f->commands, "ram"));
    assert_true(venv_runner_has(f->runner, VENV_STR("ram")));
    assert_false(venv_runner_has(f->runner, VENV_STR("ra")));
    assert_false(venv_runner_has(f->runner, VENV_STR("plain")));
    static const char *const said[] = { "UPPER is left out", "with space is left out", "backup~ is left out",
                                        "writable is left out", "plain is left out", "folder is left out",
                                        "fifo is left out", "dangling is left out", "loop is left out",
                                        "to-folder is left out", "open can be written by others" };
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        if (!strstr(f->log_text, said[i]))
            fail_msg("nothing says \"%s\" in:\n%s", said[i], f->log_text);
    }
    if (root)
        assert_non_null(strstr(f->log_text, "foreign belongs to user 12345"));
    assert_null(strstr(f->log_text, "hidden"));
    /* Found when asked for, and lost when gone. */
    script(f, "newer", "#!/bin/sh\n");
    assert_int_equal(remove(tempdir_path(f->commands, "ram")), 0);
    assert_false(venv_runner_has(f->runner, VENV_STR("newer")));
    assert_int_equal(venv_runner_reindex(f->runner, &f->err), VENV_OK);
    assert_true(venv_runner_has(f->runner, VENV_STR("newer")));
    assert_false(venv_runner_has(f->runner, VENV_STR("ram")));
}

static void test_directories(void **state)
{
    fixture *f = *state;
    const char *second = tempdir_path(f->directory, "second"), *open_place = tempdir_path(f->directory, "open");
    const char *link = tempdir_path(f->directory, "link"), *below = tempdir_path(f->directory, "open/below");
    script(f, "same", "#!/bin/sh\necho first\n");
    script(f, "only-first", "#!/bin/sh\n");
    assert_int_equal(mkdir(second, 0755), 0);
    tempdir_write_text(tempdir_path(second, "same"), "#!/bin/sh\necho second\n", 0755);
    assert_int_equal(mkdir(open_place, 0755), 0);
    assert_int_equal(mkdir(below, 0755), 0);
    tempdir_write_text(tempdir_path(open_place, "a"), "#!/bin/sh\n", 0755);
    tempdir_write_text(tempdir_path(below, "b"), "#!/bin/sh\n", 0755);
    assert_int_equal(chmod(open_place, 01777), 0); /* sticky is good enough on the way, not at the end */
    assert_int_equal(symlink(second, link), 0);
    const char *directories[] = { f->commands, link, open_place, below, "/none/such", "/etc/passwd" };
    const venv_runner_options options = { .directories = directories, .directory_count = 6, .log = &f->log };
    assert_int_equal(venv_runner_new(&options, &f->runner, &f->err), VENV_OK);
    assert_int_equal(venv_runner_count(f->runner), 3);
    assert_true(venv_runner_has(f->runner, VENV_STR("only-first")));
    assert_true(venv_runner_has(f->runner, VENV_STR("b")));
    assert_false(venv_runner_has(f->runner, VENV_STR("a")));
    assert_true(out_is(run(f, "same", 5000), "second\n"));
    assert_non_null(strstr(f->log_text, "directory of commands /none/such is left out"));
    assert_non_null(strstr(f->log_text, "/etc/passwd is not a directory"));
    /* The link now points to a place of somebody else's: what was indexed is not run. */
    assert_int_equal(remove(link), 0);
    assert_int_equal(symlink(open_place, link), 0);
    tempdir_write_text(tempdir_path(open_place, "same"), "#!/bin/sh\necho evil\n", 0755);
    assert_int_equal(start(f, "same", NULL, 0, 1000), VENV_EDENIED);

    venv_runner *refused = NULL;
    directories[0] = "relative/path";
    assert_int_equal(venv_runner_new(&options, &refused, &f->err), VENV_EINVAL);
    assert_null(refused);
}

/* What runs is the file that was opened, also when another takes its name meanwhile. */
static void test_replaced_while_running(void **state)
{
    fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text, "#!/bin/sh\ntouch %s/started\nwhile [ ! -e %s/go ]; do sleep 0.02; done\necho old\n", f->scratch,
             f->scratch);
    script(f, "changes", text);
    open_runner(f, 0);
    assert_int_equal(start(f, "changes", NULL, 0, 20000), VENV_OK);
    for (unsigned i = 0; i < 500 && access(tempdir_path(f->scratch, "started"), F_OK) != 0; i++)
        usleep(20000);
    tempdir_write_text(tempdir_path(f->scratch, "new"), "#!/bin/sh\necho new\n", 0755);
    assert_int_equal(rename(tempdir_path(f->scratch, "new"), tempdir_path(f->commands, "changes")), 0);
    tempdir_write_text(tempdir_path(f->scratch, "go"), "", 0644);
    assert_true(out_is(venv_run_wait(f->run), "old\n"));
    assert_true(out_is(run(f, "changes", 5000), "new\n"));
}

static void test_run_count(void **state)
{
    fixture *f = *state;
    const char *directories[] = { f->commands };
    const venv_runner_options options = { .directories = directories, .directory_count = 1, .run_count_max = 3 };
    const venv_run_request request = { .name = VENV_STR("sleep"), .timeout = { 20 * VENV_NS_PER_S } };
    venv_run *runs[4] = { NULL };
    assert_int_equal(symlink("/bin/true", tempdir_path(f->commands, "true")), 0);
    script(f, "sleep", "#!/bin/sh\nsleep 0.3\n");
    assert_int_equal(venv_runner_new(&options, &f->runner, &f->err), VENV_OK);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(venv_runner_start(f->runner, &request, clocks(), &runs[i], &f->err), VENV_OK);
        assert_int_equal(venv_runner_start(f->runner, &request, clocks(), &runs[3], &f->err), VENV_ELIMIT);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(venv_run_wait(runs[i])->exit_status, 0);
            venv_run_free(runs[i]);
        }
    }
}

/* The supervisor itself is killed: the command is ended, and the outcome is honest. */
static void test_supervisor_killed(void **state)
{
    fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text, "#!/bin/sh\necho $$ >%s/tmp; mv %s/tmp %s/cmd\nkill -9 $PPID\nsleep 1000\n", f->scratch,
             f->scratch, f->scratch);
    script(f, "rebel", text);
    open_runner(f, 0);
    const venv_run_outcome *o = run(f, "rebel", 20000);
    assert_int_equal(o->rc, VENV_EUNKNOWN);
    assert_non_null(strstr(o->error, "supervisor of command rebel was killed"));
    pid_t pid = noted_pid(f, "cmd");
    for (unsigned i = 0; i < 250 && kill(pid, 0) == 0; i++)
        usleep(20000);
    assert_gone(pid);
}

/* Other threads allocate and lock all the time: the fork must not care. */
static atomic_bool threads_stop;

static void *allocate(void *unused)
{
    (void)unused;
    while (!threads_stop)
        free(strdup("something"));
    return NULL;
}

static void test_threads(void **state)
{
    fixture *f = *state;
    pthread_t threads[2];
    script(f, "hello", "#!/bin/sh\necho hello\n");
    open_runner(f, 0);
    threads_stop = false;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate, NULL), 0);
    for (unsigned i = 0; i < 50; i++)
        assert_true(out_is(run(f, "hello", 20000), "hello\n"));
    threads_stop = true;
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* No descriptor and no process is left of many runs. */
static unsigned count_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_nothing_left(void **state)
{
    fixture *f = *state;
    script(f, "hello", "#!/bin/sh\nsetsid sleep 100 &\necho hello\n");
    open_runner(f, 0);
    unsigned before = count_descriptors();
    for (unsigned i = 0; i < 30; i++) {
        assert_true(out_is(run(f, "hello", 20000), "hello\n"));
        venv_run_free(f->run);
        f->run = NULL;
    }
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

#define TEST(test) { #test, test, setup, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_behaves), TEST(test_recorder), TEST(test_script_descriptors), TEST(test_hangs),
        TEST(test_killed_early), TEST(test_prints_much), TEST(test_prints_binary), TEST(test_child_holds_pipe),
        TEST(test_daemon), TEST(test_many_children), TEST(test_parent_dies), TEST(test_freed_early),
        TEST(test_cannot_start), TEST(test_requests), TEST(test_index), TEST(test_directories),
        TEST(test_replaced_while_running), TEST(test_run_count), TEST(test_supervisor_killed), TEST(test_threads),
        TEST(test_nothing_left),
    };
    return cmocka_run_group_tests_name("runner", tests, NULL, NULL);
}
