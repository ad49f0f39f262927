/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a machine that stays one: pause, resume, save, restore, migrate. Each is one call of the driver, with a time-out that is
 * final here, too: what has no result by then is answered as timed out, and if it was not begun it never is. What comes of a
 * call that was given up is seen in the list.
 */
#include "agent/machines.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool verb_of(int16_t type, venv_machine_verb *ret_verb)
{
    static const struct {
        int16_t type;
        venv_machine_verb verb;
    } verbs[] = {
        { VENV_MSG_MACHINE_PAUSE, VENV_MACHINE_PAUSE },     { VENV_MSG_MACHINE_RESUME, VENV_MACHINE_RESUME },
        { VENV_MSG_MACHINE_SAVE, VENV_MACHINE_SAVE },       { VENV_MSG_MACHINE_RESTORE, VENV_MACHINE_RESTORE },
        { VENV_MSG_MACHINE_MIGRATE, VENV_MACHINE_MIGRATE },
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (verbs[i].type == type) {
            *ret_verb = verbs[i].verb;
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

void venv_agent_change(agent_step *step, const agent_ask *ask, int16_t type)
{
    venv_machine_verb verb;
    venv_error why = { 0 };
    char *uri = NULL;
    uint64_t epoch = 0;
    if (!verb_of(type, &verb))
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
        [VENV_MACHINE_RESTORE] = "running",
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
    venv_agent_log(step, VENV_LOG_WARNING, "machine %s: %s", machine->instance, why);
    if (venv_agent_machines_advance(step, machine, MACHINE_EVENT_FAILED, NULL) == MACHINE_ANSWER)
        venv_agent_machines_answer(step, machine, VENV_ETIMEDOUT, why);
    venv_agent_machines_do_later(step, machine);
    venv_agent_machines_list_soon(step);
}
