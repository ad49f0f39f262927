/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor of one run. It starts the command in a session of its own, waits for it, and then
 * ends whatever is left of it.
 *
 * It is the subreaper of all its descendants: whose parent dies becomes its child, however often it
 * forked and whatever session it is in. So "kill my children, reap them, look again" ends them all
 * when it finds none. A child that is not yet reaped keeps its number, so none of these kills can hit
 * a stranger.
 *
 * Only async-signal-safe calls here (signal-safety(7)) and no allocation.
 */
#include "runner/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the descriptors are, in the supervisor and (but for CONTROL) in the command. */
enum { FD_IN = 0, FD_OUT, FD_ERR, FD_EXECUTABLE, FD_CONTROL, FD_SIGNALS, FD__COUNT };

#define NOFILE_MAX 1024
#define RESCAN_MS_MIN 5
#define RESCAN_MS_MAX 1000

static void tell(int32_t news, int number)
{
    const venv_supervisor_message message = { news, number };
    /* If nobody listens any more there is nobody to tell. */
    (void)!send(FD_CONTROL, &message, sizeof message, MSG_NOSIGNAL);
}

/* Bring the plan's descriptors to their places, and close everything else. */
static bool place_descriptors(const venv_supervisor_plan *plan)
{
    const int wanted[] = { plan->in_fd, plan->out_fd, plan->err_fd, plan->executable_fd, plan->control_fd };
    int high[FD_CONTROL + 1];

    for (int i = 0; i <= FD_CONTROL; i++) {
        high[i] = fcntl(wanted[i], F_DUPFD, FD__COUNT);
        if (high[i] < 0)
            return false;
    }
    for (int i = 0; i <= FD_CONTROL; i++) {
        bool inherited = i <= FD_ERR || (i == FD_EXECUTABLE && plan->is_script);
        if (dup3(high[i], i, inherited ? 0 : O_CLOEXEC) < 0)
            return false;
    }
    return close_range(FD_CONTROL + 1, ~0u, 0) == 0;
}

static void default_signals(void)
{
    const struct sigaction by_default = { .sa_handler = SIG_DFL };
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &by_default, NULL);
}

static void limit(__rlimit_resource_t resource, rlim_t most)
{
    struct rlimit limits;
    if (getrlimit(resource, &limits) != 0)
        return;
    if (limits.rlim_max == RLIM_INFINITY || limits.rlim_max > most)
        limits.rlim_max = most;
    limits.rlim_cur = limits.rlim_max;
    (void)setrlimit(resource, &limits);
}

/* The daemon is protected from the out-of-memory killer; what it runs is not. */
static void forget_oom_protection(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "0", 1);
        close(fd);
    }
}

/* The forked command, up to its execve(2). */
static _Noreturn void become_command(const venv_supervisor_plan *plan, pid_t supervisor)
{
    sigset_t none;

    /* If the supervisor dies, nobody would end the command. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != supervisor)
        _exit(126);
    sigemptyset(&none);
    if (setsid() < 0 || chdir("/") != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0) {
        tell(VENV_SUPERVISOR_NOT_STARTED, errno);
        _exit(126);
    }
    umask(022);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, NOFILE_MAX);
    forget_oom_protection();
    syscall(SYS_execveat, FD_EXECUTABLE, "", plan->argv, plan->envp, AT_EMPTY_PATH);
    tell(VENV_SUPERVISOR_NOT_STARTED, errno);
    _exit(126);
}

/* "PID (NAME) STATE PPID …" of proc(5); the name may hold anything. */
static bool is_child(const char *entry, pid_t parent)
{
    char path[64] = "/proc/", stat[512];
    size_t size = 6;

    for (; *entry && size < sizeof path - 6; entry++) {
        if (*entry < '0' || *entry > '9')
            return false;
        path[size++] = *entry;
    }
    memcpy(path + size, "/stat", 6);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, stat, sizeof stat - 1);
    close(fd);
    if (n <= 0)
        return false;
    stat[n] = '\0';
    const char *at = NULL;
    for (const char *c = stat; *c; c++)
        at = *c == ')' ? c : at;
    if (!at || at[1] != ' ' || at[2] == '\0' || at[3] != ' ')
        return false;
    pid_t found = 0;
    for (at += 4; *at >= '0' && *at <= '9'; at++)
        found = found * 10 + (*at - '0');
    return found == parent;
}

static pid_t number_of(const char *entry)
{
    pid_t pid = 0;
    for (; *entry >= '0' && *entry <= '9'; entry++)
        pid = pid * 10 + (*entry - '0');
    return pid;
}

static void kill_children(void)
{
    struct entry {
        uint64_t inode, offset;
        unsigned short size;
        unsigned char kind;
        char name[];
    };
    _Alignas(8) char buffer[8192];
    pid_t self = getpid();
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;

    if (fd < 0)
        return;
    while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < n;) {
            const struct entry *entry = (const struct entry *)(const void *)(buffer + at);
            if (is_child(entry->name, self))
                kill(number_of(entry->name), SIGKILL);
            at += entry->size;
        }
    }
    close(fd);
}

/* End all descendants, and return when there is none. How the command ended is told when it is reaped. */
static void end_all(pid_t command)
{
    int wait_ms = RESCAN_MS_MIN, status = 0;

    for (;;) {
        pid_t pid;
        kill_children();
        while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
            if (pid == command)
                tell(VENV_SUPERVISOR_ENDED, status);
        }
        if (pid < 0 && errno == ECHILD)
            return;
        /* Some are still dying, or forked between our looks. */
        struct pollfd signals = { .fd = FD_SIGNALS, .events = POLLIN };
        struct signalfd_siginfo info;
        if (poll(&signals, 1, wait_ms) > 0) {
            (void)!read(FD_SIGNALS, &info, sizeof info);
            wait_ms = RESCAN_MS_MIN;
        } else if (wait_ms < RESCAN_MS_MAX) {
            wait_ms *= 2; /* what the kernel does not let go of (sleep on a dead file server) */
        }
    }
}

/* Reap orphans; true when the command's own process has ended (it is then not yet reaped). */
static bool command_has_ended(pid_t command)
{
    siginfo_t info;
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 || info.si_pid == 0)
            return false;
        if (info.si_pid == command)
            return true;
        (void)waitpid(info.si_pid, NULL, WNOHANG | __WALL);
    }
}

/* Wait until the command ends or is to be killed. */
static void watch(pid_t command)
{
    struct pollfd fds[] = { { .fd = FD_CONTROL, .events = POLLIN }, { .fd = FD_SIGNALS, .events = POLLIN } };
    struct signalfd_siginfo info;
    char letter;

    for (;;) {
        if (command_has_ended(command))
            return;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            (void)!read(FD_SIGNALS, &info, sizeof info);
        if (fds[0].revents) {
            ssize_t n = recv(FD_CONTROL, &letter, 1, MSG_DONTWAIT);
            if (n == 1 && letter == VENV_SUPERVISOR_TERM)
                kill(-command, SIGTERM);
            else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
                return;
        }
    }
}

_Noreturn void venv_supervisor_main(const venv_supervisor_plan *plan)
{
    sigset_t all, child;

    default_signals();
    sigfillset(&all);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    /* No signal but SIGKILL reaches the supervisor: its life is its control socket. */
    if (sigprocmask(SIG_SETMASK, &all, NULL) != 0 || setsid() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 ||
        prctl(PR_SET_NAME, "venv-run") != 0 || !place_descriptors(plan) ||
        signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK) != FD_SIGNALS)
        _exit(125);
    pid_t self = getpid();
    pid_t command = _Fork();
    if (command == 0)
        become_command(plan, self);
    /* The command's ends of the pipes are the command's. */
    (void)dup2(FD_IN, FD_OUT);
    (void)dup2(FD_IN, FD_ERR);
    close(FD_EXECUTABLE);
    if (command < 0) {
        tell(VENV_SUPERVISOR_NOT_STARTED, errno);
        _exit(125);
    }
    watch(command);
    /* Its group at one blow, while its number is surely its own. */
    kill(-command, SIGKILL);
    kill(command, SIGKILL);
    end_all(command);
    _exit(0);
}
