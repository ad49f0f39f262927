/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner: which commands there are, and the start of one. The life of a run is in run.c, the
 * process between us and the command in supervisor.c.
 */
#include "base/cleanup.h"
#include "runner/run.h"
#include "runner/supervisor.h"
#include "runner/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

static venv_rc check_directories(const char *const *directories, size_t count, venv_error *err)
{
    if (count > VENV_RUNNER_DIRECTORY_COUNT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu directories of commands; at most %d are allowed", count,
                              VENV_RUNNER_DIRECTORY_COUNT_MAX);
    for (size_t i = 0; i < count; i++)
        if (directories[i][0] != '/')
            return venv_error_set(err, VENV_EINVAL, "the directory of commands \"%s\" is not an absolute path", directories[i]);
    return VENV_OK;
}

static venv_rc make_index(char *const *directories, size_t count, const venv_log *log, venv_index *ret_index, venv_error *err)
{
    venv_index index = { 0 };
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < count; i++)
        rc = venv_index_add_directory(&index, directories[i], log, err);
    if (rc != VENV_OK) {
        venv_index_fini(&index);
        return rc;
    }
    venv_index_fini(ret_index);
    *ret_index = index;
    return VENV_OK;
}

venv_rc venv_runner_new(const venv_runner_options *options, venv_runner **ret_runner, venv_error *err)
{
    venv_runner *runner = calloc(1, sizeof *runner);
    if (!runner)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the runner");
    runner->out_max = options->out_max > 0 ? options->out_max : VENV_RUN_OUT_MAX;
    runner->err_max = options->err_max > 0 ? options->err_max : VENV_RUN_ERR_MAX;
    runner->run_count_max = options->run_count_max > 0 ? options->run_count_max : VENV_RUN_COUNT_MAX;
    runner->log = options->log;
    venv_rc rc = venv_runner_set_directories(runner, options->directories, options->directory_count, err);
    if (rc != VENV_OK) {
        venv_runner_free(runner);
        return rc;
    }
    *ret_runner = runner;
    return VENV_OK;
}

void venv_runner_free(venv_runner *runner)
{
    if (!runner)
        return;
    venv_runner_sweep(runner);
    texts_free(runner->directories, runner->directory_count);
    venv_index_fini(&runner->index);
    free(runner);
}

venv_rc venv_runner_set_directories(venv_runner *runner, const char *const *directories, size_t count, venv_error *err)
{
    venv_rc rc = check_directories(directories, count, err);
    if (rc != VENV_OK)
        return rc;
    char **copies = calloc(count + 1, sizeof *copies);
    bool enough = copies != NULL;
    for (size_t i = 0; enough && i < count; i++) {
        copies[i] = strdup(directories[i]);
        enough = copies[i] != NULL;
    }
    rc = enough ? make_index(copies, count, runner->log, &runner->index, err)
                : venv_error_set(err, VENV_ENOMEM, "out of memory for the runner");
    if (rc != VENV_OK) {
        texts_free(copies, count);
        return rc;
    }
    texts_free(runner->directories, runner->directory_count);
    runner->directories = copies;
    runner->directory_count = count;
    return VENV_OK;
}

venv_rc venv_runner_reindex(venv_runner *runner, venv_error *err)
{
    return make_index(runner->directories, runner->directory_count, runner->log, &runner->index, err);
}

size_t venv_runner_count(const venv_runner *runner)
{
    return runner->index.count;
}

const char *venv_runner_name(const venv_runner *runner, size_t index)
{
    return index < runner->index.count ? runner->index.entries[index].name : NULL;
}

const char *venv_runner_path(const venv_runner *runner, size_t index)
{
    return index < runner->index.count ? runner->index.entries[index].path : NULL;
}

bool venv_runner_has(const venv_runner *runner, venv_str name)
{
    return venv_index_find(&runner->index, name) != NULL;
}

/* "VENV_NAME=value", and none of those that we set. */
static bool variable_is_valid(const char *variable)
{
    size_t name = strspn(variable, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return name > 5 && variable[name] == '=' && strncmp(variable, "VENV_", 5) == 0 &&
           strncmp(variable, "VENV_COMMAND=", 13) != 0 && strncmp(variable, "VENV_COMMAND_DIR=", 17) != 0;
}

static venv_rc check_request(const venv_run_request *request, venv_error *err)
{
    size_t total = 0;

    if (request->timeout.ns <= 0 || request->timeout.ns > VENV_RUN_TIMEOUT_MAX_S * VENV_NS_PER_S)
        return venv_error_set(err, VENV_EINVAL, "the time limit of a command must be above 0 and at most %d s",
                              VENV_RUN_TIMEOUT_MAX_S);
    if (request->arg_count > VENV_RUN_ARG_COUNT_MAX || request->variable_count > VENV_RUN_ARG_COUNT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu arguments and %zu variables; at most %d of each are allowed",
                              request->arg_count, request->variable_count, VENV_RUN_ARG_COUNT_MAX);
    for (size_t i = 0; i < request->arg_count; i++) {
        venv_str arg = request->args[i];
        if (arg.size > VENV_RUN_ARG_SIZE_MAX)
            return venv_error_set(err, VENV_ELIMIT, "argument %zu has %zu bytes; at most %u are allowed", i + 1, arg.size,
                                  VENV_RUN_ARG_SIZE_MAX);
        if (arg.size > 0 && memchr(arg.data, '\0', arg.size))
            return venv_error_set(err, VENV_EINVAL, "argument %zu has a NUL byte", i + 1);
        total += arg.size + 1;
    }
    for (size_t i = 0; i < request->variable_count; i++) {
        size_t size = strlen(request->variables[i]);
        if (size > VENV_RUN_ARG_SIZE_MAX)
            return venv_error_set(err, VENV_ELIMIT, "variable %zu has %zu bytes; at most %u are allowed", i + 1, size,
                                  VENV_RUN_ARG_SIZE_MAX);
        if (!variable_is_valid(request->variables[i]))
            return venv_error_set(err, VENV_EINVAL, "variable %zu is not VENV_NAME=value", i + 1);
        total += size + 1;
    }
    if (request->input.size > VENV_RUN_INPUT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the standard input has %zu bytes; at most %u are allowed", request->input.size,
                              VENV_RUN_INPUT_MAX);
    if (total > VENV_RUN_ARGS_SIZE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the arguments have %zu bytes; at most %u are allowed", total,
                              VENV_RUN_ARGS_SIZE_MAX);
    return VENV_OK;
}

/* Both vectors and their texts. */
typedef struct vectors {
    char *argv[VENV_RUN_ARG_COUNT_MAX + 2];
    char *envp[VENV_RUN_ARG_COUNT_MAX + 5];
    char command[VENV_NAME_MAX + 16];
    char *directory;
    char *args; /* all arguments, each with a NUL */
} vectors;

static void vectors_free(vectors *v)
{
    if (v) {
        free(v->directory);
        free(v->args);
        free(v);
    }
}

static vectors *vectors_new(const venv_run_request *request, const venv_index_entry *entry)
{
    size_t total = 1, n = 0;
    vectors *v = calloc(1, sizeof *v);

    for (size_t i = 0; i < request->arg_count; i++)
        total += request->args[i].size + 1;
    if (v)
        v->args = malloc(total);
    if (!v || !v->args ||
        asprintf(&v->directory, "VENV_COMMAND_DIR=%.*s", (int)entry->directory_size, entry->path) < 0) {
        if (v)
            v->directory = NULL;
        vectors_free(v);
        return NULL;
    }
    snprintf(v->command, sizeof v->command, "VENV_COMMAND=%s", entry->name);
    v->argv[n++] = v->command + strlen("VENV_COMMAND=");
    char *at = v->args;
    for (size_t i = 0; i < request->arg_count; i++) {
        v->argv[n++] = at;
        if (request->args[i].size > 0)
            memcpy(at, request->args[i].data, request->args[i].size);
        at += request->args[i].size;
        *at++ = '\0';
    }
    n = 0;
    v->envp[n++] = (char *)(uintptr_t)path_variable; /* execve(2) does not change it */
    v->envp[n++] = (char *)(uintptr_t)"LC_ALL=C";
    v->envp[n++] = v->command;
    v->envp[n++] = v->directory;
    for (size_t i = 0; i < request->variable_count; i++)
        v->envp[n++] = (char *)(uintptr_t)request->variables[i];
    return v;
}

/* Does its interpreter have to open it by descriptor? A program that we may not read is none. */
static bool begins_with_hash_bang(int executable_fd)
{
    char path[64], bytes[2] = "";

    snprintf(path, sizeof path, "/proc/self/fd/%d", executable_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    close(fd);
    return n == 2 && bytes[0] == '#' && bytes[1] == '!';
}

static void close_both(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

/* The child's ends are [1]. */
typedef struct channels {
    int out[2], err[2], control[2];
    int in_fd;
} channels;

/* A file in memory never blocks its writer, however little the command reads of it. */
static int open_input(venv_str input)
{
    if (input.size == 0)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    int fd = memfd_create("venv-input", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < input.size;) {
        ssize_t n = write(fd, input.data + at, input.size - at);
        if (n < 0) {
            close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool channels_open(channels *c, venv_str input)
{
    *c = (channels){ { -1, -1 }, { -1, -1 }, { -1, -1 }, -1 };
    c->in_fd = open_input(input);
    return c->in_fd >= 0 && pipe2(c->out, O_CLOEXEC) == 0 && pipe2(c->err, O_CLOEXEC) == 0 &&
           fcntl(c->out[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(c->err[0], F_SETFL, O_NONBLOCK) == 0 &&
           socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->control) == 0;
}

static void channels_close(channels *c)
{
    close_both(c->out);
    close_both(c->err);
    close_both(c->control);
    if (c->in_fd >= 0)
        close(c->in_fd);
}

/* No handler of ours runs in the child: signals are blocked from before the fork. */
static pid_t fork_supervisor(const venv_supervisor_plan *plan)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = _Fork();
    if (pid == 0)
        venv_supervisor_main(plan);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return pid;
}

static venv_run *run_new(venv_runner *runner, const venv_index_entry *entry, const venv_run_request *request,
                         venv_now now)
{
    venv_run *run = calloc(1, sizeof *run);
    if (!run || !(run->name = strdup(entry->name))) {
        free(run);
        return NULL;
    }
    run->runner = runner;
    run->poll_fd = run->pid_fd = run->control_fd = run->out.fd = run->err.fd = -1;
    run->started = now.mono;
    if (__builtin_add_overflow(now.mono.ns, request->timeout.ns, &run->deadline.ns))
        run->deadline = VENV_INSTANT_NEVER;
    venv_buf_init(&run->out.buf, runner->out_max);
    venv_buf_init(&run->err.buf, runner->err_max);
    return run;
}

/* Fork, and hand our ends of the channels to the run. */
static venv_rc launch(venv_run *run, channels *c, int executable_fd, const vectors *v, venv_error *err)
{
    const venv_supervisor_plan plan = {
        .in_fd = c->in_fd, .out_fd = c->out[1], .err_fd = c->err[1], .executable_fd = executable_fd,
        .control_fd = c->control[1], .is_script = begins_with_hash_bang(executable_fd),
        .argv = (char **)(uintptr_t)v->argv, .envp = (char **)(uintptr_t)v->envp,
    };

    run->supervisor = fork_supervisor(&plan);
    if (run->supervisor < 0) {
        run->supervisor = 0;
        return venv_error_set(err, VENV_EIO, "cannot start command %s: fork: %s", run->name, strerror(errno));
    }
    run->control_fd = c->control[0];
    run->out.fd = c->out[0];
    run->err.fd = c->err[0];
    c->control[0] = c->out[0] = c->err[0] = -1;
    /* It is our child and not reaped: the number is still its own. */
    run->pid_fd = (int)syscall(SYS_pidfd_open, run->supervisor, 0);
    if (run->pid_fd < 0)
        return venv_error_set(err, VENV_EIO, "cannot watch command %s: pidfd_open: %s", run->name, strerror(errno));
    return venv_run_watch(run, err);
}

static venv_rc start(venv_runner *runner, const venv_index_entry *entry, int executable_fd,
                     const venv_run_request *request, venv_now now, venv_run **ret_run, venv_error *err)
{
    channels c;
    venv_rc rc = VENV_OK;
    vectors *v = vectors_new(request, entry);
    venv_run *run = run_new(runner, entry, request, now);

    if (!channels_open(&c, request->input))
        rc = venv_error_set(err, VENV_EIO, "cannot start command %s: %s", entry->name, strerror(errno));
    else if (!v || !run)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for command %s", entry->name);
    else
        rc = launch(run, &c, executable_fd, v, err);
    channels_close(&c);
    vectors_free(v);
    if (run)
        runner->run_count++; /* venv_run_free() counts it down */
    if (rc != VENV_OK) {
        venv_run_free(run);
        return rc;
    }
    *ret_run = run;
    return VENV_OK;
}

venv_rc venv_runner_start(venv_runner *runner, const venv_run_request *request, venv_now now, venv_run **ret_run,
                          venv_error *err)
{
    int executable_fd = -1;

    venv_runner_sweep(runner);
    venv_rc rc = check_request(request, err);
    if (rc != VENV_OK)
        return rc;
    const venv_index_entry *entry = venv_index_find(&runner->index, request->name);
    if (!entry)
        return venv_error_set(err, VENV_ENOENT, "there is no command \"%.*s\" in the directories of commands",
                              (int)(request->name.size < 80 ? request->name.size : 80), request->name.data);
    if (runner->run_count >= runner->run_count_max)
        return venv_error_set(err, VENV_ELIMIT, "%u commands are running, as many as are allowed",
                              (unsigned)runner->run_count);
    rc = venv_trust_open(entry->path, VENV_TRUST_EXECUTABLE, &executable_fd, err);
    if (rc != VENV_OK)
        return venv_error_prefix(err, "command %s", entry->name);
    rc = start(runner, entry, executable_fd, request, now, ret_run, err);
    close(executable_fd);
    return rc;
}
