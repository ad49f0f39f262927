/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one run, as seen from the loop: output comes in, deadlines pass, the supervisor tells
 * how the command ended and is gone when nothing of it is left.
 *
 * What ends a run is the end of the supervisor, never the end of a pipe: who holds one open holds
 * nobody up.
 */
#include "runner/run.h"

#include "base/cleanup.h"
#include "runner/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 16384
#define READS_PER_READY 16                 /* then the loop has its turn */
#define FINAL_READS 128                    /* of what a pipe may still hold: at most 1 MiB, and to spare */
#define GIVE_UP_NS (4 * VENV_NS_PER_S)     /* from SIGKILL to "it cannot be ended" */

static venv_instant after(venv_instant instant, int64_t ns)
{
    venv_instant sum;
    return __builtin_add_overflow(instant.ns, ns, &sum.ns) ? VENV_INSTANT_NEVER : sum;
}

static bool watch_one(venv_run *run, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    return epoll_ctl(run->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

venv_rc venv_run_watch(venv_run *run, venv_error *err)
{
    run->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (run->poll_fd < 0 || !watch_one(run, run->pid_fd) || !watch_one(run, run->control_fd) ||
        !watch_one(run, run->out.fd) || !watch_one(run, run->err.fd))
        return venv_error_set(err, VENV_EIO, "cannot watch command %s: %s", run->name, strerror(errno));
    return VENV_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd); /* leaves the epoll set by itself: nobody else has it open */
    *fd = -1;
}

/* Take what is there, keep what fits. */
static void drain(venv_run *run, venv_run_stream *stream, unsigned reads)
{
    char bytes[READ_SIZE];

    while (stream->fd >= 0 && reads-- > 0) {
        ssize_t n = read(stream->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            close_fd(&stream->fd);
            return;
        }
        size_t room = stream->buf.max - stream->buf.size;
        size_t kept = (size_t)n < room ? (size_t)n : room;
        venv_buf_append(&stream->buf, bytes, kept);
        stream->size += (uint64_t)n;
        if (kept < (size_t)n || stream->buf.rc != VENV_OK)
            run->truncated = true;
    }
}

static void send_letter(venv_run *run, char letter)
{
    if (run->control_fd >= 0)
        (void)!send(run->control_fd, &letter, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void enter_killed(venv_run *run, venv_now now)
{
    run->phase = VENV_RUN_KILLED;
    run->deadline = after(now.mono, GIVE_UP_NS);
}

static void hear(venv_run *run, venv_now now)
{
    venv_supervisor_message message;

    while (run->control_fd >= 0) {
        ssize_t n = recv(run->control_fd, &message, sizeof message, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n != sizeof message) {
            close_fd(&run->control_fd);
            return;
        }
        if (message.news == VENV_SUPERVISOR_NOT_STARTED && run->start_errno == 0) {
            run->start_errno = message.number;
        } else if (message.news == VENV_SUPERVISOR_ENDED) {
            run->status = message.number;
            run->ended = true;
            enter_killed(run, now);
        }
    }
}

/* Why execve(2) failed, for whoever wrote the command. */
static void explain_start(venv_run *run)
{
    const char *hint = run->start_errno == ENOENT    ? " (the interpreter in its #! line does not exist)"
                       : run->start_errno == ENOEXEC ? " (it is neither a program nor begins with #!)"
                       : run->start_errno == EACCES  ? " (or its file system does not allow programs)" : "";
    venv_rc rc = run->start_errno == ENOENT    ? VENV_ENOENT
                 : run->start_errno == EACCES  ? VENV_EDENIED
                 : run->start_errno == ENOEXEC ? VENV_EINVAL
                 : run->start_errno == ENOMEM  ? VENV_ENOMEM : VENV_EIO;
    venv_error_set(&run->error, rc, "command %s cannot be started: %s%s", run->name, strerror(run->start_errno), hint);
}

static void finish(venv_run *run, venv_now now)
{
    venv_run_outcome *outcome = &run->outcome;

    drain(run, &run->out, FINAL_READS);
    drain(run, &run->err, FINAL_READS);
    close_fd(&run->out.fd);
    close_fd(&run->err.fd);
    if (run->start_errno != 0)
        explain_start(run);
    else if (!run->ended)
        venv_error_set(&run->error, VENV_EUNKNOWN, run->timed_out ? "command %s does not end, not even by SIGKILL"
                                                                  : "the supervisor of command %s was killed", run->name);
    outcome->rc = run->error.rc;
    outcome->error = run->error.rc != VENV_OK ? run->error.text : NULL;
    if (run->ended && WIFEXITED(run->status))
        outcome->exit_status = WEXITSTATUS(run->status);
    if (run->ended && WIFSIGNALED(run->status))
        outcome->signal = WTERMSIG(run->status);
    outcome->timed_out = run->timed_out;
    outcome->truncated = run->truncated;
    outcome->took.ns = now.mono.ns - run->started.ns;
    outcome->out = (venv_str){ run->out.buf.size > 0 ? (const char *)run->out.buf.data : "", run->out.buf.size };
    outcome->err = (venv_str){ run->err.buf.size > 0 ? (const char *)run->err.buf.data : "", run->err.buf.size };
    run->phase = VENV_RUN_OVER;
    run->deadline = VENV_INSTANT_NEVER;
    run->runner->run_count--;
}

static void leave_over(venv_run *run)
{
    venv_runner *runner = run->runner;
    venv_runner_sweep(runner);
    if (run->supervisor > 0 && runner->leftover_count < LEFTOVER_MAX)
        runner->leftover[runner->leftover_count++] = run->supervisor;
    run->supervisor = 0;
}

void venv_runner_sweep(venv_runner *runner)
{
    for (size_t i = 0; i < runner->leftover_count;) {
        if (waitpid(runner->leftover[i], NULL, WNOHANG) != 0)
            runner->leftover[i] = runner->leftover[--runner->leftover_count];
        else
            i++;
    }
}

static void pass_deadline(venv_run *run, venv_now now)
{
    switch (run->phase) {
    case VENV_RUN_RUNNING:
        run->timed_out = true;
        venv_run_kill(run, now);
        break;
    case VENV_RUN_ASKED:
        send_letter(run, VENV_SUPERVISOR_KILL);
        enter_killed(run, now);
        break;
    case VENV_RUN_KILLED:
        /* The supervisor goes on trying; we do not wait for it. */
        leave_over(run);
        finish(run, now);
        break;
    case VENV_RUN_OVER:
        break;
    }
}

static bool supervisor_is_gone(venv_run *run)
{
    struct pollfd gone = { .fd = run->pid_fd, .events = POLLIN };
    return poll(&gone, 1, 0) > 0;
}

bool venv_run_on_ready(venv_run *run, venv_now now)
{
    if (run->phase == VENV_RUN_OVER)
        return true;
    /* In this order: what the supervisor said before it went is heard. */
    bool gone = supervisor_is_gone(run);
    hear(run, now);
    drain(run, &run->out, READS_PER_READY);
    drain(run, &run->err, READS_PER_READY);
    if (gone) {
        (void)waitpid(run->supervisor, NULL, 0);
        run->supervisor = 0;
        finish(run, now);
        return true;
    }
    if (run->out.size + run->err.size > VENV_RUN_DRAIN_MAX && run->phase != VENV_RUN_KILLED) {
        send_letter(run, VENV_SUPERVISOR_KILL);
        enter_killed(run, now);
    }
    if (now.mono.ns >= run->deadline.ns)
        pass_deadline(run, now);
    return run->phase == VENV_RUN_OVER;
}

void venv_run_kill(venv_run *run, venv_now now)
{
    if (run->phase != VENV_RUN_RUNNING)
        return;
    send_letter(run, VENV_SUPERVISOR_TERM);
    run->phase = VENV_RUN_ASKED;
    run->deadline = after(now.mono, VENV_RUN_GRACE_NS);
}

int venv_run_fd(const venv_run *run)
{
    return run->poll_fd;
}

venv_instant venv_run_deadline(const venv_run *run)
{
    return run->deadline;
}

bool venv_run_is_over(const venv_run *run)
{
    return run->phase == VENV_RUN_OVER;
}

const venv_run_outcome *venv_run_peek_outcome(const venv_run *run)
{
    return run->phase == VENV_RUN_OVER ? &run->outcome : NULL;
}

void venv_run_free(venv_run *run)
{
    if (!run)
        return;
    close_fd(&run->control_fd); /* which ends the command if it is still there */
    if (run->phase != VENV_RUN_OVER) {
        leave_over(run);
        run->runner->run_count--;
    }
    close_fd(&run->poll_fd);
    close_fd(&run->pid_fd);
    close_fd(&run->out.fd);
    close_fd(&run->err.fd);
    venv_buf_fini(&run->out.buf);
    venv_buf_fini(&run->err.buf);
    free(run->name);
    free(run);
}

static venv_now read_clocks(void)
{
    struct timespec mono, wall;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (venv_now){ { mono.tv_sec * VENV_NS_PER_S + mono.tv_nsec }, { wall.tv_sec * VENV_NS_PER_S + wall.tv_nsec } };
}

const venv_run_outcome *venv_run_wait(venv_run *run)
{
    for (;;) {
        venv_now now = read_clocks();
        if (venv_run_on_ready(run, now))
            return venv_run_peek_outcome(run);
        int64_t left_ms = run->deadline.ns > now.mono.ns ? (run->deadline.ns - now.mono.ns) / 1000000 + 1 : 0;
        struct pollfd ready = { .fd = run->poll_fd, .events = POLLIN };
        (void)poll(&ready, 1, left_ms < 60000 ? (int)left_ms : 60000);
    }
}
