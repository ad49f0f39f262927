/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXECUTE: an allowed command is run for the manager, once for each id.
 *
 *   EXECUTE ──► WAITING (bounded) ──► RUNNING (bounded) ──► DONE: the answer is kept (bounded), for who asks again
 *                                                             └──► only the id is kept: "it was run, its answer is gone"
 *
 * The id is durable before the command is begun (memory.c): it is run once also if the agent is killed meanwhile.
 *
 * What is allowed the shell knows (lib/runner): here a command is a name.
 */

#include "agent/state.h"

#include "base/log.h"
#include "base/seeded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUT_MAX = 1 << 20,
    ERR_MAX = 64 << 10,
    ARGS_MAX = 256,
    ANSWER_OVERHEAD = 512,
};

static void execution_free(agent_execution *execution)
{
    if (!execution)
        return;
    venv_value_unref(&execution->command);
    venv_value_unref(&execution->args);
    venv_value_unref(&execution->answer);
    free(execution);
}

void venv_agent_execute_fini(venv_agent *agent)
{
    agent_execution *next = NULL;
    for (agent_execution *e = agent->executions.first; e; e = next) {
        next = e->next;
        execution_free(e);
    }
    agent->executions.first = NULL;
    agent->executions.end = &agent->executions.first;
}

static void unlink_execution(agent_executions *executions, agent_execution *gone)
{
    agent_execution **link = &executions->first;
    while (*link != gone)
        link = &(*link)->next;
    *link = gone->next;
    if (!*link)
        executions->end = link;
}

void venv_agent_execute_know(agent_executions *executions, venv_id id)
{
    executions->ids[executions->id_next] = id;
    executions->id_next = (executions->id_next + 1) % AGENT_IDS_MAX;
    if (executions->id_count < AGENT_IDS_MAX)
        executions->id_count++;
}

/* The oldest answers make room; their ids are known a while longer. */
static void drop_answers(agent_executions *executions)
{
    agent_execution *next = NULL;
    for (agent_execution *e = executions->first; e; e = next) {
        next = e->next;
        if (executions->done <= AGENT_ANSWERS_MAX && executions->done_size <= AGENT_ANSWERS_SIZE_MAX)
            return;
        if (e->state != EXECUTION_DONE)
            continue;
        venv_agent_execute_know(executions, e->id);
        executions->done--;
        executions->done_size -= e->size;
        unlink_execution(executions, e);
        execution_free(e);
    }
}

static void put_what(venv_map_builder *body, const venv_value *command, const venv_value *args)
{
    venv_map_put(body, "command", venv_value_ref(command));
    venv_map_put(body, "args", venv_value_ref(args));
}

/* EXECRET for what was not run. */
static void refuse(agent_step *step, uint64_t request, const venv_value *command, const venv_value *args, venv_rc rc,
                   const char *error)
{
    venv_value empty = venv_value_null();
    venv_list_builder list;
    venv_list_init(&list);
    if (venv_list_take(&list, &empty, step->err)) {
        venv_agent_fail(step, VENV_ENOMEM);
        return;
    }
    venv_map_builder body;
    venv_map_init(&body);
    put_what(&body, command, args ? args : &empty);
    venv_map_put(&body, "started", venv_value_from_wall(step->now.wall));
    venv_map_put(&body, "took", venv_value_from_span((venv_span){ 0 }));
    venv_map_put(&body, "timed_out", venv_value_bool(false));
    venv_map_put(&body, "truncated", venv_value_bool(false));
    venv_map_put_z(&body, "error", error);
    venv_map_put_z(&body, "rc", venv_rc_name(rc));
    venv_agent_send_map(step, VENV_MSG_EXECRET, request, &body);
    venv_value_unref(&empty);
}

static void put_bytes(agent_step *step, venv_map_builder *body, const char *key, venv_str bytes, size_t max)
{
    venv_value value = venv_value_null();
    if (venv_value_bytes(bytes.size ? bytes.data : "", bytes.size < max ? bytes.size : max, &value, step->err))
        venv_agent_fail(step, VENV_ENOMEM);
    venv_map_put(body, key, value);
}

/* The body of EXECRET for a run that is over. */
static venv_value answer_of(agent_step *step, const agent_execution *e, const venv_run_outcome *run)
{
    venv_map_builder body;
    venv_map_init(&body);
    put_what(&body, &e->command, &e->args);
    venv_map_put(&body, "started", venv_value_from_wall(e->started));
    venv_map_put(&body, "took", venv_value_from_span(run->took));
    venv_map_put(&body, "timed_out", venv_value_bool(run->timed_out));
    venv_map_put(&body, "truncated", venv_value_bool(run->truncated || run->out.size > OUT_MAX || run->err.size > ERR_MAX));
    if (run->rc) {
        const char *error = run->error && run->error[0] ? run->error : "it did not start";
        venv_map_put_text(&body, "error", error, strnlen(error, 512));
        venv_map_put_z(&body, "rc", venv_rc_name(run->rc));
    } else {
        if (run->signal)
            venv_map_put(&body, "signal", venv_value_int(run->signal));
        else
            venv_map_put(&body, "exit", venv_value_int(run->exit_status));
        put_bytes(step, &body, "stdout", run->out, OUT_MAX);
        put_bytes(step, &body, "stderr", run->err, ERR_MAX);
    }
    venv_value answer = venv_value_null();
    if (venv_map_take(&body, &answer, step->err))
        venv_agent_fail(step, VENV_ENOMEM);
    return answer;
}

static void start(agent_step *step, agent_execution *e)
{
    venv_agent *agent = step->agent;
    venv_str command = venv_value_peek_text(&e->command);
    char *name = NULL;
    if (!venv_agent_text_dup(step, command.data, command.size, &name))
        return;
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_RUN);
    if (!action) {
        free(name);
        return;
    }
    if (!venv_id_is_none(e->id)) {
        venv_agent_memory_change(step);
        action->after_keep = VENV_SEEDED(RUN_BEFORE_KEEP) ? 0 : venv_agent_memory_number(agent);
    }
    e->state = EXECUTION_RUNNING;
    e->started = step->now.wall;
    e->token = action->token = venv_agent_token(step);
    action->name = name;
    action->value = venv_value_ref(&e->args);
    action->timeout = e->timeout;
    action->out_max = OUT_MAX;
    action->err_max = ERR_MAX;
    agent->executions.waiting--;
    agent->executions.running++;
    venv_agent_log(step, VENV_LOG_INFO, "running command %s for the manager", name);
}

static void start_waiting(agent_step *step)
{
    agent_executions *executions = &step->agent->executions;
    for (agent_execution *e = executions->first; e && step->rc == VENV_OK; e = e->next) {
        if (executions->waiting == 0 || executions->running >= step->agent->config->runs_max)
            return;
        if (e->state == EXECUTION_WAITING)
            start(step, e);
    }
}

bool venv_agent_execute_ran(agent_step *step, uint64_t token, const venv_run_outcome *run)
{
    venv_agent *agent = step->agent;
    agent_executions *executions = &agent->executions;
    agent_execution *e = executions->first;
    while (e && !(e->state == EXECUTION_RUNNING && e->token == token))
        e = e->next;
    if (!e)
        return false;
    e->answer = answer_of(step, e, run);
    if (step->rc)
        return true;
    e->state = EXECUTION_DONE;
    e->token = 0;
    e->size = run->out.size + run->err.size + ANSWER_OVERHEAD;
    executions->running--;
    executions->done++;
    executions->done_size += e->size;
    /* Who asked on a connection that is gone asks again, with the id. */
    if (e->connection == agent->connection)
        venv_agent_send(step, VENV_MSG_EXECRET, e->request, venv_value_ref(&e->answer));
    if (venv_id_is_none(e->id)) {
        executions->done--;
        executions->done_size -= e->size;
        unlink_execution(executions, e);
        execution_free(e);
    }
    drop_answers(executions);
    start_waiting(step);
    return true;
}

/* Was this id asked for before? Then it is dealt with. */
static bool asked_before(agent_step *step, uint64_t request, venv_id id, const venv_value *command)
{
    agent_executions *executions = &step->agent->executions;
    for (agent_execution *e = executions->first; e; e = e->next) {
        if (!venv_id_equal(e->id, id))
            continue;
        e->request = request;
        e->connection = step->agent->connection;
        if (e->state == EXECUTION_DONE)
            venv_agent_send(step, VENV_MSG_EXECRET, request, venv_value_ref(&e->answer));
        return true;
    }
    for (size_t i = 0; i < executions->id_count; i++)
        if (venv_id_equal(executions->ids[i], id)) {
            refuse(step, request, command, NULL, VENV_EUNKNOWN, "it was begun before; how it ended is no longer known here");
            return true;
        }
    return false;
}

/* What is wrong with a request; NULL: nothing. */
static const char *check(const venv_agent *agent, const venv_value *command, const venv_value *args,
                         const venv_value *timeout, venv_span *ret_timeout)
{
    if (venv_value_kind(command) != VENV_STRING || !venv_name_is_valid(venv_value_peek_text(command)))
        return "a command is run by its name: lower-case letters, digits, '.', '_' and '-', without a path";
    if (args && venv_value_kind(args) != VENV_LIST)
        return "`args` must be a list of strings";
    if (venv_value_count(args) > ARGS_MAX)
        return "at most 256 arguments are allowed";
    for (size_t i = 0; i < venv_value_count(args); i++) {
        const venv_value *arg = venv_value_at(args, i);
        if (venv_value_kind(arg) != VENV_STRING)
            return "`args` must be a list of strings";
        venv_str text = venv_value_peek_text(arg);
        if (text.size > 0 && memchr(text.data, 0, text.size))
            return "an argument holds a NUL character";
    }
    *ret_timeout = agent->config->command_timeout;
    if (timeout && (!venv_value_to_span(timeout, ret_timeout) || ret_timeout->ns <= 0))
        return "`timeout` must be a duration longer than 0";
    if (ret_timeout->ns > agent->config->command_timeout_max.ns)
        return "`timeout` is longer than this agent allows (agent.command_timeout_max)";
    return NULL;
}

static agent_execution *execution_new(agent_step *step, const venv_value *command, const venv_value *args)
{
    agent_execution *e = calloc(1, sizeof(*e));
    if (!e) {
        venv_agent_fail(step, VENV_ENOMEM);
        return NULL;
    }
    e->answer = e->args = e->command = venv_value_null();
    venv_rc rc = venv_value_dup(command, &e->command, step->err);
    venv_list_builder empty;
    venv_list_init(&empty);
    if (rc == VENV_OK)
        rc = args ? venv_value_dup(args, &e->args, step->err) : venv_list_take(&empty, &e->args, step->err);
    venv_list_fini(&empty);
    if (rc) {
        execution_free(e);
        venv_agent_fail(step, rc);
        return NULL;
    }
    return e;
}

/* The list of commands: read anew each time, so that it is what EXECUTE would find. */
static void ask_list(agent_step *step, uint64_t request)
{
    agent_executions *executions = &step->agent->executions;
    if (executions->list_count == AGENT_LISTS_MAX) {
        venv_value none = venv_value_literal("");
        refuse(step, request, &none, NULL, VENV_ELIMIT, "too many lists of commands are being made; ask again later");
        return;
    }
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_COMMANDS);
    if (!action)
        return;
    action->token = venv_agent_token(step);
    executions->list_tokens[executions->list_count] = action->token;
    executions->list_requests[executions->list_count++] = request;
}

/* EXECLIST, with as many commands as fit. */
static void send_list(agent_step *step, uint64_t request, const venv_value *commands)
{
    venv_list_builder list;
    venv_map_builder body;
    venv_value rows = venv_value_null();
    size_t size = 0, i = 0;
    venv_list_init(&list);
    for (; i < venv_value_count(commands); i++) {
        const venv_value *row = venv_value_at(commands, i);
        size += venv_value_get_text(row, "name").size + venv_value_get_text(row, "path").size + 24;
        if (size > AGENT_EXECLIST_SIZE_MAX)
            break;
        venv_list_add(&list, venv_value_ref(row));
    }
    venv_agent_fail(step, venv_list_take(&list, &rows, step->err));
    venv_map_init(&body);
    venv_map_put(&body, "commands", rows);
    if (i < venv_value_count(commands))
        venv_map_put(&body, "truncated", venv_value_bool(true));
    venv_agent_send_map(step, VENV_MSG_EXECLIST, request, &body);
}

void venv_agent_execute_listed(agent_step *step, const venv_agent_event *event)
{
    agent_executions *executions = &step->agent->executions;
    for (size_t i = 0; i < executions->list_count; i++) {
        if (executions->list_tokens[i] != event->token)
            continue;
        uint64_t request = executions->list_requests[i];
        executions->list_count--;
        memmove(&executions->list_tokens[i], &executions->list_tokens[i + 1],
                (executions->list_count - i) * sizeof(executions->list_tokens[0]));
        memmove(&executions->list_requests[i], &executions->list_requests[i + 1],
                (executions->list_count - i) * sizeof(executions->list_requests[0]));
        if (event->rc || !event->value) {
            venv_value none = venv_value_literal("");
            refuse(step, request, &none, NULL, event->rc ? event->rc : VENV_EINTERNAL,
                   event->text ? event->text : "the directories of commands cannot be read");
            return;
        }
        send_list(step, request, event->value);
        return;
    }
}

void venv_agent_execute(agent_step *step, uint64_t request, const venv_value *body)
{
    venv_agent *agent = step->agent;
    agent_executions *executions = &agent->executions;
    const venv_value *command = venv_value_get(body, "command"), *args = venv_value_get(body, "args");
    venv_id id = { { 0 } };
    if (!command || venv_value_is_text(command, "")) {
        ask_list(step, request);
        return;
    }
    const venv_value *given_id = venv_value_get(body, "id");
    venv_span timeout = { 0 };
    const char *error = check(agent, command, args, venv_value_get(body, "timeout"), &timeout);
    if (!error && given_id && !venv_value_to_id(given_id, &id))
        error = "`id` must be 16 bytes";
    if (error) {
        venv_value shown = venv_value_kind(command) == VENV_STRING ? *command : venv_value_literal("");
        refuse(step, request, &shown, NULL, VENV_EINVAL, error);
        return;
    }
    if (!venv_id_is_none(id) && !VENV_SEEDED(EXECUTED_TWICE) && asked_before(step, request, id, command))
        return;
    if (executions->waiting >= AGENT_EXECUTIONS_MAX) {
        refuse(step, request, command, args, VENV_ELIMIT, "too many commands wait on this agent; ask again later");
        return;
    }
    agent_execution *e = execution_new(step, command, args);
    if (!e)
        return;
    e->id = id;
    e->request = request;
    e->connection = agent->connection;
    e->timeout = timeout;
    *executions->end = e;
    executions->end = &e->next;
    executions->waiting++;
    start_waiting(step);
}
