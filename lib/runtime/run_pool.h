/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_RUN_POOL_H
#define VENV_RUNTIME_RUN_POOL_H

/*
 * Commands that run: lib/runner on the loop. One poll handle and one timer for each run; how many run at once is the
 * runner's limit. Every run that was asked for is answered exactly once, from the loop or from within the call.
 */

#include "runner/runner.h"
#include <venv/value.h>

#include <uv.h>

typedef struct venv_run_pool venv_run_pool;

typedef struct venv_run_pool_calls {
    void (*ran)(void *user, uint64_t token, const venv_run_outcome *outcome);
    void *user;
} venv_run_pool_calls;

/* Makes the runner with these options. Fails as venv_runner_new() does. */
venv_rc venv_run_pool_new(uv_loop_t *loop, const venv_runner_options *options, const venv_run_pool_calls *calls,
                          venv_run_pool **ret_pool, venv_error *err);
/* `args` is null or a list of strings, `input` what it reads; both are copied. Of the output at most so many bytes are told (0: all that the runner keeps). */
void venv_run_pool_start(venv_run_pool *pool, uint64_t token, const char *name, const venv_value *args, venv_str input,
                         venv_span timeout, size_t out_max, size_t err_max);
/* End a run early; it is answered when it is over. */
void venv_run_pool_kill(venv_run_pool *pool, uint64_t token);
/* Other directories, a list of paths, from now on. On failure the old ones stay. */
venv_rc venv_run_pool_set_directories(venv_run_pool *pool, const venv_value *directories, venv_error *err);
/* Read the directories again (on failure the old index stays), and the list of commands as [{name, path}]. */
venv_rc venv_run_pool_commands(venv_run_pool *pool, venv_value *ret_commands, venv_error *err);
/* Ends every run at once. No call comes any more. Accepts NULL. */
void venv_run_pool_end(venv_run_pool *pool);

#endif
