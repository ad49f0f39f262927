/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNNER_RUNNER_H
#define VENV_RUNNER_RUNNER_H

/*
 * The runner (requirement A4): an index of the executables in the administrator's directories, and the
 * running of those, and of nothing else.
 *
 *      directories ──► index: name → path          venv_runner_start() ──► venv_run
 *                                                        fd readable │ deadline │ kill
 *                                                                    ▼
 *                                                             venv_run_outcome
 *
 * A command is run without a shell, with an argument vector, a clean environment (a fixed PATH,
 * LC_ALL=C, VENV_COMMAND, VENV_COMMAND_DIR and the VENV_… that the caller adds), in "/", with no open files but
 * standard input (/dev/null, or a file in memory with what the caller gives), output and error, in a session of its own. The file is opened and
 * checked once and executed by that descriptor; a script (#!) keeps it open as descriptor 3 and
 * is known to its interpreter as /dev/fd/3: $0 does not name it, VENV_COMMAND_DIR says where it lives.
 *
 * **When the command's first process has ended, or its time is over, every process that it started is ended**,
 * also those that left its session or closed everything. For that each run has a small supervisor
 * process that is the reaper of all its descendants (prctl(2), PR_SET_CHILD_SUBREAPER). If this
 * process dies the supervisor ends the run.
 *
 * Nothing here blocks, and no loop is assumed: a run has one descriptor that becomes readable when
 * venv_run_on_ready() is to be called, and one deadline. A runner and its runs belong to one thread; other
 * threads may exist.
 */

#include "agent/run_outcome.h"
#include "base/log.h"

#define VENV_RUNNER_DIRECTORY_COUNT_MAX 32
#define VENV_RUNNER_COMMAND_COUNT_MAX 4096
#define VENV_RUN_ARG_COUNT_MAX 256
#define VENV_RUN_ARG_SIZE_MAX (16u << 10)   /* one argument or variable */
#define VENV_RUN_ARGS_SIZE_MAX (128u << 10) /* all of them */
#define VENV_RUN_INPUT_MAX (1u << 20)       /* standard input */
#define VENV_RUN_OUT_MAX (1u << 20)         /* stdout kept, unless the options say otherwise */
#define VENV_RUN_ERR_MAX (64u << 10)        /* stderr kept */
#define VENV_RUN_DRAIN_MAX (64u << 20)      /* a run that printed this much is ended */
#define VENV_RUN_COUNT_MAX 64               /* running at once */
#define VENV_RUN_TIMEOUT_MAX_S 86400
#define VENV_RUN_GRACE_NS (2 * VENV_NS_PER_S) /* from SIGTERM to SIGKILL */

typedef struct venv_runner venv_runner;
typedef struct venv_run venv_run;

typedef struct venv_runner_options {
    const char *const *directories; /* absolute; of a name that is in two, the later directory's is taken */
    size_t directory_count;
    size_t out_max, err_max;        /* 0: the constants above */
    uint32_t run_count_max;         /* 0: VENV_RUN_COUNT_MAX */
    const venv_log *log;            /* what was left out of the index and why; may be NULL, outlives the runner */
} venv_runner_options;

/*
 * Everything is copied. The index is made at once; a directory that is missing or not to be trusted is left
 * out with a line in the log, as are files that others than root (or we ourselves, if we are not root)
 * own or may write, files that are not executable, and names that venv_name_is_valid() refuses.
 * VENV_EINVAL: a directory is not an absolute path. VENV_ELIMIT. VENV_ENOMEM.
 */
venv_rc venv_runner_new(const venv_runner_options *options, venv_runner **ret_runner, venv_error *err);
/* No run of it may exist any more. */
void venv_runner_free(venv_runner *runner);

/* Other directories from now on, and a new index; runs that are under way go on. Fails as venv_runner_new(), and then all stays. */
venv_rc venv_runner_set_directories(venv_runner *runner, const char *const *directories, size_t count, venv_error *err);

/* Look at the directories again. On failure the old index stays. */
venv_rc venv_runner_reindex(venv_runner *runner, venv_error *err);

/* The index, sorted by name. Borrowed until the next reindex; NULL past the end. */
size_t venv_runner_count(const venv_runner *runner);
const char *venv_runner_name(const venv_runner *runner, size_t index);
const char *venv_runner_path(const venv_runner *runner, size_t index);
bool venv_runner_has(const venv_runner *runner, venv_str name);

typedef struct venv_run_request {
    venv_str name;
    const venv_str *args; /* without the command's own name; anything but NUL bytes */
    size_t arg_count;
    const char *const *variables; /* "VENV_NAME=value"; may be NULL */
    size_t variable_count;
    venv_str input;       /* standard input; empty: /dev/null */
    venv_span timeout;    /* > 0, at most VENV_RUN_TIMEOUT_MAX_S */
} venv_run_request;

/*
 * Start a command. What is in the request is copied.
 * VENV_ENOENT: not in the index, or gone since. VENV_EDENIED: the file is no longer to be trusted or not executable.
 * VENV_EINVAL: an argument or variable is malformed. VENV_ELIMIT: too many runs at once, too many or
 * too large arguments. VENV_EIO, VENV_ENOMEM. (What fails later, at execve(2), is in the outcome.)
 */
venv_rc venv_runner_start(venv_runner *runner, const venv_run_request *request, venv_now now,
                          venv_run **ret_run, venv_error *err);

/* Poll this for reading, level-triggered; it is one descriptor for the whole life of the run. */
int venv_run_fd(const venv_run *run);
/* When venv_run_on_ready() is to be called even if the descriptor is silent. */
venv_instant venv_run_deadline(const venv_run *run);
/* The descriptor is readable or the deadline has come. Returns true when the run is over. */
bool venv_run_on_ready(venv_run *run, venv_now now);
/* End it early: SIGTERM, and SIGKILL after VENV_RUN_GRACE_NS. */
void venv_run_kill(venv_run *run, venv_now now);

bool venv_run_is_over(const venv_run *run);
/* Borrowed while the run lives; NULL before it is over. */
const venv_run_outcome *venv_run_peek_outcome(const venv_run *run);
/* A run that is not over is ended with SIGKILL, without waiting. Accepts NULL. */
void venv_run_free(venv_run *run);

/* For tests and tools: wait here until the run is over, by the monotonic clock. */
const venv_run_outcome *venv_run_wait(venv_run *run);

#endif
