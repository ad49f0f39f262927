/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/run_pool.h"

#include "base/cleanup.h"
#include "runtime/clock.h"

#include <string.h>

typedef struct pooled_run {
    struct pooled_run *next, *previous;
    venv_run_pool *pool;
    uint64_t token;
    venv_run *run;
    size_t out_max, err_max;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
} pooled_run;

struct venv_run_pool {
    uv_loop_t *loop;
    venv_run_pool_calls calls;
    venv_runner *runner;
    pooled_run *first;
    size_t count;
    bool ending;
};

static void pool_free_when_done(venv_run_pool *pool)
{
    if (pool->ending && pool->count == 0) {
        venv_runner_free(pool->runner);
        free(pool);
    }
}

/* The descriptor is the run's: it may be closed only after libuv has let go of it. */
static void on_closed(uv_handle_t *handle)
{
    pooled_run *each = handle->data;
    venv_run_pool *pool = each->pool;
    if (--each->handles > 0)
        return;
    venv_run_free(each->run);
    free(each);
    pool->count--;
    pool_free_when_done(pool);
}

static void remove_run(pooled_run *each)
{
    if (each->previous)
        each->previous->next = each->next;
    else
        each->pool->first = each->next;
    if (each->next)
        each->next->previous = each->previous;
    (void)uv_poll_stop(&each->poll);
    (void)uv_timer_stop(&each->timer);
    uv_close((uv_handle_t *)&each->poll, on_closed);
    uv_close((uv_handle_t *)&each->timer, on_closed);
}

static void tell(venv_run_pool *pool, uint64_t token, const venv_run_outcome *outcome, size_t out_max, size_t err_max)
{
    venv_run_outcome cut = *outcome;
    if (out_max != 0 && cut.out.size > out_max) {
        cut.out.size = out_max;
        cut.truncated = true;
    }
    if (err_max != 0 && cut.err.size > err_max) {
        cut.err.size = err_max;
        cut.truncated = true;
    }
    pool->calls.ran(pool->calls.user, token, &cut);
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(pooled_run *each)
{
    venv_instant deadline = venv_run_deadline(each->run);
    int64_t left = deadline.ns - venv_clock_read().mono.ns;
    if (deadline.ns == INT64_MAX) {
        (void)uv_timer_stop(&each->timer);
        return;
    }
    uv_update_time(each->pool->loop);
    (void)uv_timer_start(&each->timer, on_timer, left > 0 ? (uint64_t)left / 1000000 + 1 : 1, 0);
}

static void look_at(pooled_run *each)
{
    if (!venv_run_on_ready(each->run, venv_clock_read())) {
        arm_timer(each);
        return;
    }
    const venv_run_outcome *outcome = venv_run_peek_outcome(each->run);
    remove_run(each); /* the outcome lives until the handles are closed */
    tell(each->pool, each->token, outcome, each->out_max, each->err_max);
}

static void on_timer(uv_timer_t *timer)
{
    look_at(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    look_at(poll->data);
}

venv_rc venv_run_pool_new(uv_loop_t *loop, const venv_runner_options *options, const venv_run_pool_calls *calls,
                          venv_run_pool **ret_pool, venv_error *err)
{
    venv_run_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for commands");
    pool->loop = loop;
    pool->calls = *calls;
    venv_rc rc = venv_runner_new(options, &pool->runner, err);
    if (rc != VENV_OK) {
        free(pool);
        return rc;
    }
    *ret_pool = pool;
    return VENV_OK;
}

static void tell_failure(venv_run_pool *pool, uint64_t token, venv_rc rc, const char *text)
{
    venv_run_outcome outcome = { .rc = rc, .error = text };
    pool->calls.ran(pool->calls.user, token, &outcome);
}

/* Texts of a list, borrowed from it. False if an item is no text. */
static bool read_args(const venv_value *args, venv_str *ret_args)
{
    for (size_t i = 0; i < venv_value_count(args); i++) {
        const venv_value *item = venv_value_at(args, i);
        if (venv_value_kind(item) != VENV_STRING)
            return false;
        ret_args[i] = venv_value_peek_text(item);
    }
    return true;
}

static venv_rc start_run(venv_run_pool *pool, const char *name, const venv_value *args, venv_str input, venv_span timeout,
                         venv_run **ret_run, venv_error *err)
{
    size_t count = venv_value_count(args);
    if (count > VENV_RUN_ARG_COUNT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "a command takes at most %d arguments", VENV_RUN_ARG_COUNT_MAX);
    VENV_AUTO_FREE venv_str *texts = calloc(count + 1, sizeof *texts);
    if (!texts)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for a command");
    if (!read_args(args, texts))
        return venv_error_set(err, VENV_EKIND, "a command's arguments must be texts");
    venv_run_request request = { .name = { name, strlen(name) }, .args = texts, .arg_count = count, .input = input,
                                 .timeout = timeout };
    return venv_runner_start(pool->runner, &request, venv_clock_read(), ret_run, err);
}

void venv_run_pool_start(venv_run_pool *pool, uint64_t token, const char *name, const venv_value *args, venv_str input,
                         venv_span timeout, size_t out_max, size_t err_max)
{
    venv_error err = { 0 };
    venv_run *run = NULL;
    if (start_run(pool, name, args, input, timeout, &run, &err) != VENV_OK) {
        tell_failure(pool, token, err.rc, err.text);
        return;
    }
    pooled_run *each = calloc(1, sizeof *each);
    if (!each || uv_poll_init(pool->loop, &each->poll, venv_run_fd(run)) != 0) {
        free(each);
        venv_run_free(run);
        tell_failure(pool, token, VENV_ENOMEM, "out of memory for a command");
        return;
    }
    (void)uv_timer_init(pool->loop, &each->timer);
    each->pool = pool;
    each->token = token;
    each->run = run;
    each->out_max = out_max;
    each->err_max = err_max;
    each->handles = 2;
    each->next = pool->first;
    each->poll.data = each->timer.data = each;
    if (pool->first)
        pool->first->previous = each;
    pool->first = each;
    pool->count++;
    (void)uv_poll_start(&each->poll, UV_READABLE, on_poll);
    arm_timer(each);
}

void venv_run_pool_kill(venv_run_pool *pool, uint64_t token)
{
    for (pooled_run *each = pool->first; each; each = each->next) {
        if (each->token == token) {
            venv_run_kill(each->run, venv_clock_read());
            arm_timer(each);
            return;
        }
    }
}

venv_rc venv_run_pool_set_directories(venv_run_pool *pool, const venv_value *directories, venv_error *err)
{
    size_t count = venv_value_count(directories);
    char **paths = calloc(count + 1, sizeof *paths);
    venv_rc rc = paths ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory for directories of commands");
    for (size_t i = 0; rc == VENV_OK && i < count; i++) {
        venv_str text = venv_value_peek_text(venv_value_at(directories, i));
        paths[i] = strndup(text.data, text.size);
        if (!paths[i])
            rc = venv_error_set(err, VENV_ENOMEM, "out of memory for directories of commands");
    }
    if (rc == VENV_OK)
        rc = venv_runner_set_directories(pool->runner, (const char *const *)paths, count, err);
    for (size_t i = 0; paths && i < count; i++)
        free(paths[i]);
    free(paths);
    return rc;
}

venv_rc venv_run_pool_commands(venv_run_pool *pool, venv_value *ret_commands, venv_error *err)
{
    venv_list_builder list;
    venv_rc rc = venv_runner_reindex(pool->runner, err);
    if (rc != VENV_OK)
        return rc;
    venv_list_init(&list);
    for (size_t i = 0; i < venv_runner_count(pool->runner); i++) {
        venv_map_builder map;
        venv_value row = venv_value_null();
        venv_map_init(&map);
        venv_map_put_z(&map, "name", venv_runner_name(pool->runner, i));
        venv_map_put_z(&map, "path", venv_runner_path(pool->runner, i));
        rc = venv_map_take(&map, &row, err);
        if (rc != VENV_OK) {
            venv_list_fini(&list);
            return rc;
        }
        venv_list_add(&list, row);
    }
    return venv_list_take(&list, ret_commands, err);
}

void venv_run_pool_end(venv_run_pool *pool)
{
    if (!pool)
        return;
    pool->ending = true;
    for (pooled_run *each = pool->first, *next; each; each = next) {
        next = each->next;
        remove_run(each);
    }
    pool->first = NULL;
    pool_free_when_done(pool);
}
