/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a machine that stays one: pause, resume, save, restore, migrate, reboot, checkpoint and back. Each is one call of the driver, with a time-out that is
 * final here, too: what has no result by then is answered as timed out, and if it was not begun it never is. What comes of a
 * call that was given up is seen in the list.
 */
#include "agent/machines.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool verb_of(int16_t type, const venv_value *body, venv_machine_verb *ret_verb)
{
    static const struct {
        int16_t type;
        venv_machine_verb verb;
    } verbs[] = {
        { VENV_MSG_MACHINE_PAUSE, VENV_MACHINE_PAUSE },     { VENV_MSG_MACHINE_RESUME, VENV_MACHINE_RESUME },
        { VENV_MSG_MACHINE_SAVE, VENV_MACHINE_SAVE },       { VENV_MSG_MACHINE_RESTORE, VENV_MACHINE_RESTORE },
        { VENV_MSG_MACHINE_MIGRATE, VENV_MACHINE_MIGRATE }, { VENV_MSG_MACHINE_REBOOT, VENV_MACHINE_REBOOT },
        { VENV_MSG_MACHINE_CHECKPOINT, VENV_MACHINE_CHECKPOINT },
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (verbs[i].type == type) {
            bool back = verbs[i].verb == VENV_MACHINE_CHECKPOINT && venv_value_get_bool(body, "revert", false);
            *ret_verb = back ? VENV_MACHINE_REVERT : verbs[i].verb;
            return true;
        }
    return false;
}

/* Where a migration goes: the node's administrator says how others are reached, the manager only names one of them. */
static venv_rc make_uri(agent_step *step, const agent_ask *ask, uint64_t *ret_epoch, char **ret_uri, venv_error *why)
{
    const char *pattern = step->agent->config->migrate_uri, *place = strstr(pattern, "{node}");
    venv_str node = venv_value_get_text(ask->body, "to");
    const venv_value *epoch = venv_value_get(ask->body, "to_epoch");
    int64_t number = venv_value_get_int(ask->body, "to_epoch", -1);
    if (epoch && venv_value_kind(epoch) == VENV_UINT && venv_value_peek_uint(epoch) <= INT64_MAX)
        number = (int64_t)venv_value_peek_uint(epoch);
    if (!pattern[0])
        return venv_error_set(why, VENV_EUNSUPPORTED, "no machine migrates away from this node: agent.migrate_uri is not set");
    if (!venv_name_is_valid(node))
        return venv_error_set(why, VENV_EINVAL, "`to` must be the name of a node");
    if (number < 0 || (uint64_t)number <= ask->epoch)
        return venv_error_set(why, VENV_EINVAL, "`to_epoch` must be later than `epoch`");
    size_t size = strlen(pattern) + node.size + 1;
    char *uri = malloc(size);
    if (!uri)
        return venv_error_set(why, VENV_ENOMEM, "out of memory");
    if (place)
        snprintf(uri, size, "%.*s%.*s%s", (int)(place - pattern), pattern, (int)node.size, node.data, place + strlen("{node}"));
    else
        snprintf(uri, size, "%s", pattern);
    *ret_epoch = (uint64_t)number;
    *ret_uri = uri;
    return VENV_OK;
}

/* Why it cannot be done to this machine; NULL: it can be tried. */
static const char *obstacle(const agent_machine *machine, const agent_ask *ask, venv_machine_verb verb)
{
    agent_machine_effect effect = venv_agent_machine_rule_of(machine->state, MACHINE_EVENT_CHANGE).effect;
    if (machine->ended && machine->epoch == ask->epoch)
        return "it was stopped, or moved away, in this epoch";
    if (machine->epoch != 0 && machine->epoch != ask->epoch)
        return "it is not here under this epoch";
    if (effect == MACHINE_REFUSE)
        return "it is being started or stopped";
    if (effect == MACHINE_JOIN && machine->change != verb)
        return "something else is being done to it";
    return NULL;
}

/* What was said about how; what makes no sense is as if nothing had been. */
static venv_machine_move read_move(const agent_ask *ask)
{
    venv_machine_move move = { .grace = ask->grace };
    int64_t bandwidth = venv_value_get_int(ask->body, "bandwidth", 0);
    const venv_value *number = venv_value_get(ask->body, "bandwidth"), *limit = venv_value_get(ask->body, "limit");
    if (number && venv_value_kind(number) == VENV_UINT)
        bandwidth = (int64_t)(venv_value_peek_uint(number) & INT64_MAX);
    move.bandwidth = bandwidth > 0 ? (uint64_t)bandwidth : 0;
    if (!limit || !venv_value_to_span(limit, &move.limit) || move.limit.ns < 0)
        move.limit.ns = 0;
    move.copy_disks = venv_value_get_bool(ask->body, "copy_disks", false);
    move.auto_converge = venv_value_get_bool(ask->body, "auto_converge", false);
    return move;
}

/* End what takes long, if it is of that kind. What cannot be ended any more is done. */
static void cancel(agent_step *step, const agent_machine *machine)
{
    if (machine->change != VENV_MACHINE_MIGRATE && machine->change != VENV_MACHINE_SAVE)
        return;
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_MACHINE);
    if (!action)
        return;
    action->verb = VENV_MACHINE_CANCEL;
    action->machine = machine->id;
    action->token = venv_agent_token(step); /* its outcome is nobody's: the call that it ends has one */
}

/* The manager wants that. */
void venv_agent_change_cancel(agent_step *step, const venv_value *body)
{
    venv_id id;
    const agent_machine *machine = step->agent->machines.table && venv_value_get_id(body, "machine", &id)
                                       ? venv_agent_machines_find(step->agent, id) : NULL;
    if (machine && machine->state == MACHINE_CHANGING)
        cancel(step, machine);
}

void venv_agent_change_progress(agent_step *step, const venv_agent_event *event)
{
    size_t cursor = 0;
    void *item = NULL;
    agent_machine *machine = NULL;
    while (!machine && step->agent->machines.table && event->token && venv_table_next(step->agent->machines.table, &cursor, NULL, &item))
        if (((agent_machine *)item)->token == event->token)
            machine = item;
    if (!machine || !event->progress || !venv_agent_link_is_up(step->agent) ||
        (machine->told.ns != VENV_INSTANT_NEVER.ns && step->now.mono.ns - machine->told.ns < VENV_NS_PER_S * 9 / 10))
        return;
    const venv_agent_progress *progress = event->progress;
    venv_map_builder body;
    machine->told = step->now.mono;
    venv_map_init(&body);
    venv_map_put_id(&body, "machine", machine->id);
    venv_map_put(&body, "epoch", venv_value_uint(machine->epoch));
    venv_map_put(&body, "elapsed", venv_value_from_span(progress->elapsed));
    venv_map_put(&body, "total", venv_value_uint(progress->total));
    venv_map_put(&body, "done", venv_value_uint(progress->done));
    venv_map_put(&body, "left", venv_value_uint(progress->left));
    venv_map_put(&body, "rate", venv_value_uint(progress->rate));
    venv_map_put(&body, "dirty", venv_value_uint(progress->dirty));
    venv_map_put(&body, "round", venv_value_uint(progress->round));
    venv_agent_send_map(step, VENV_MSG_MACHINE_PROGRESS, 0, &body);
}

void venv_agent_change(agent_step *step, const agent_ask *ask, int16_t type)
{
    venv_machine_verb verb;
    venv_error why = { 0 };
    char *uri = NULL;
    uint64_t epoch = 0;
    if (!verb_of(type, ask->body, &verb))
        return;
    venv_rc rc = verb == VENV_MACHINE_MIGRATE ? make_uri(step, ask, &epoch, &uri, &why) : VENV_OK;
    agent_machine *machine = rc == VENV_OK ? venv_agent_machines_find_or_add(step, ask->machine) : NULL;
    if (rc == VENV_OK && !machine && step->rc == VENV_OK)
        rc = venv_error_set(&why, VENV_ELIMIT, "there are too many machines on this node");
    const char *text = machine ? obstacle(machine, ask, verb) : NULL;
    if (text)
        rc = venv_error_set(&why, VENV_ECONFLICT, "%s", text);
    else if (machine && !venv_agent_machines_join(machine, ask, step->agent->connection))
        rc = venv_error_set(&why, VENV_ECONFLICT, "too many wait for the same already");
    if (rc == VENV_ENOMEM)
        venv_agent_fail(step, rc);
    else if (rc != VENV_OK)
        venv_agent_machines_refuse(step, ask, rc, why.text);
    if (rc != VENV_OK || step->rc != VENV_OK) {
        free(uri);
        return;
    }
    if (machine->state == MACHINE_IDLE) {
        machine->change = verb;
        machine->change_epoch = epoch;
        machine->change_of_saved = verb == VENV_MACHINE_MIGRATE && strcmp(machine->seen.state, "saved") == 0;
        machine->move = read_move(ask);
        machine->told = VENV_INSTANT_NEVER;
        machine->change_end.ns = step->now.mono.ns + ask->timeout.ns;
        venv_agent_machines_set_epoch(step, machine, ask->epoch, false);
        venv_agent_machines_advance(step, machine, MACHINE_EVENT_CHANGE, uri);
    } else {
        free(uri);
    }
    venv_agent_machines_tell(step);
}

void venv_agent_change_done(agent_step *step, agent_machine *machine)
{
    static const char *const states[] = {
        [VENV_MACHINE_PAUSE] = "paused", [VENV_MACHINE_RESUME] = "running", [VENV_MACHINE_SAVE] = "saved",
        [VENV_MACHINE_RESTORE] = "running", [VENV_MACHINE_REBOOT] = "running", [VENV_MACHINE_CHECKPOINT] = "running",
        [VENV_MACHINE_REVERT] = "running",
    };
    if (machine->change == VENV_MACHINE_MIGRATE) {
        machine->seen.listed = false;
        venv_agent_machines_set_epoch(step, machine, machine->change_epoch, true);
        return;
    }
    machine->seen.listed = true;
    snprintf(machine->seen.state, sizeof machine->seen.state, "%s", states[machine->change]);
}

void venv_agent_change_give_up(agent_step *step, agent_machine *machine)
{
    static const char why[] = "the hypervisor has not done it in its time; the agent has given it up";
    machine->token = 0; /* its outcome, if there ever is one, is in a list */
    cancel(step, machine);
    venv_agent_machines_doubt(step, machine);
    venv_agent_log(step, VENV_LOG_WARNING, "machine %s: %s", machine->instance, why);
    if (venv_agent_machines_advance(step, machine, MACHINE_EVENT_FAILED, NULL) == MACHINE_ANSWER)
        venv_agent_machines_answer(step, machine, VENV_ETIMEDOUT, why);
    venv_agent_machines_do_later(step, machine);
    venv_agent_machines_list_soon(step);
    venv_agent_machines_tell(step);
}
