/* SPDX-License-Identifier: Apache-2.0 */
/* The states of one machine: one table, and what is read off a machine. It does nothing by itself: see machines.c. */

#include "agent/machines.h"

#include <stdlib.h>
#include <string.h>

#define STAY(state) { MACHINE_##state, MACHINE_NOTHING }

static const agent_machine_rule rules[MACHINE_STATE__COUNT][MACHINE_EVENT__COUNT] = {
    [MACHINE_IDLE] = {
        [MACHINE_EVENT_START] = { MACHINE_STARTING, MACHINE_CALL_START },
        [MACHINE_EVENT_PREPARE] = { MACHINE_PREPARING, MACHINE_CALL_PREPARE },
        [MACHINE_EVENT_STOP] = { MACHINE_ASKING, MACHINE_CALL_SHUTDOWN },
        [MACHINE_EVENT_DESTROY] = { MACHINE_DESTROYING, MACHINE_CALL_DESTROY },
        [MACHINE_EVENT_CHANGE] = { MACHINE_CHANGING, MACHINE_CALL_CHANGE },
        [MACHINE_EVENT_DONE] = STAY(IDLE),
        [MACHINE_EVENT_FAILED] = STAY(IDLE),
        [MACHINE_EVENT_GONE] = STAY(IDLE),
        [MACHINE_EVENT_AGAIN] = STAY(IDLE),
        [MACHINE_EVENT_GRACE] = STAY(IDLE),
    },
    [MACHINE_PREPARING] = {
        [MACHINE_EVENT_START] = { MACHINE_STARTING, MACHINE_CALL_START },
        [MACHINE_EVENT_PREPARE] = { MACHINE_PREPARING, MACHINE_JOIN },
        [MACHINE_EVENT_STOP] = { MACHINE_PREPARING, MACHINE_LATER }, /* and the start fails at once */
        [MACHINE_EVENT_DESTROY] = { MACHINE_PREPARING, MACHINE_LATER },
        [MACHINE_EVENT_CHANGE] = { MACHINE_PREPARING, MACHINE_REFUSE },
        [MACHINE_EVENT_DONE] = STAY(PREPARING),
        [MACHINE_EVENT_FAILED] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_GONE] = STAY(PREPARING),
        [MACHINE_EVENT_AGAIN] = STAY(PREPARING),
        [MACHINE_EVENT_GRACE] = STAY(PREPARING),
    },
    [MACHINE_STARTING] = {
        [MACHINE_EVENT_START] = { MACHINE_STARTING, MACHINE_JOIN },
        [MACHINE_EVENT_PREPARE] = { MACHINE_STARTING, MACHINE_JOIN },
        [MACHINE_EVENT_STOP] = { MACHINE_STARTING, MACHINE_LATER },
        [MACHINE_EVENT_DESTROY] = { MACHINE_STARTING, MACHINE_LATER },
        [MACHINE_EVENT_CHANGE] = { MACHINE_STARTING, MACHINE_REFUSE },
        [MACHINE_EVENT_DONE] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_FAILED] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_GONE] = STAY(STARTING), /* it is not there yet */
        [MACHINE_EVENT_AGAIN] = STAY(STARTING),
        [MACHINE_EVENT_GRACE] = STAY(STARTING),
    },
    [MACHINE_ASKING] = {
        [MACHINE_EVENT_START] = { MACHINE_ASKING, MACHINE_REFUSE },
        [MACHINE_EVENT_PREPARE] = { MACHINE_ASKING, MACHINE_REFUSE },
        [MACHINE_EVENT_STOP] = { MACHINE_ASKING, MACHINE_JOIN },
        [MACHINE_EVENT_DESTROY] = { MACHINE_DESTROYING, MACHINE_CALL_DESTROY },
        [MACHINE_EVENT_CHANGE] = { MACHINE_ASKING, MACHINE_REFUSE },
        [MACHINE_EVENT_DONE] = { MACHINE_WAITING, MACHINE_NOTHING },
        [MACHINE_EVENT_FAILED] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_GONE] = { MACHINE_DESTROYING, MACHINE_CALL_DESTROY },
        [MACHINE_EVENT_AGAIN] = STAY(ASKING),
        [MACHINE_EVENT_GRACE] = { MACHINE_DESTROYING, MACHINE_CALL_DESTROY },
    },
    [MACHINE_WAITING] = {
        [MACHINE_EVENT_START] = { MACHINE_WAITING, MACHINE_REFUSE },
        [MACHINE_EVENT_PREPARE] = { MACHINE_WAITING, MACHINE_REFUSE },
        [MACHINE_EVENT_STOP] = { MACHINE_WAITING, MACHINE_JOIN },
        [MACHINE_EVENT_DESTROY] = { MACHINE_DESTROYING, MACHINE_CALL_DESTROY },
        [MACHINE_EVENT_CHANGE] = { MACHINE_WAITING, MACHINE_REFUSE },
        [MACHINE_EVENT_DONE] = STAY(WAITING),
        [MACHINE_EVENT_FAILED] = STAY(WAITING),
        [MACHINE_EVENT_GONE] = { MACHINE_DESTROYING, MACHINE_CALL_DESTROY }, /* the definition is left */
        [MACHINE_EVENT_AGAIN] = { MACHINE_ASKING, MACHINE_CALL_SHUTDOWN },
        [MACHINE_EVENT_GRACE] = { MACHINE_DESTROYING, MACHINE_CALL_DESTROY },
    },
    [MACHINE_DESTROYING] = {
        [MACHINE_EVENT_START] = { MACHINE_DESTROYING, MACHINE_REFUSE },
        [MACHINE_EVENT_PREPARE] = { MACHINE_DESTROYING, MACHINE_REFUSE },
        [MACHINE_EVENT_STOP] = { MACHINE_DESTROYING, MACHINE_JOIN },
        [MACHINE_EVENT_DESTROY] = { MACHINE_DESTROYING, MACHINE_JOIN },
        [MACHINE_EVENT_CHANGE] = { MACHINE_DESTROYING, MACHINE_REFUSE },
        [MACHINE_EVENT_DONE] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_FAILED] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_GONE] = STAY(DESTROYING),
        [MACHINE_EVENT_AGAIN] = STAY(DESTROYING),
        [MACHINE_EVENT_GRACE] = STAY(DESTROYING),
    },
    [MACHINE_CHANGING] = {
        [MACHINE_EVENT_START] = { MACHINE_CHANGING, MACHINE_REFUSE },
        [MACHINE_EVENT_PREPARE] = { MACHINE_CHANGING, MACHINE_REFUSE },
        [MACHINE_EVENT_STOP] = { MACHINE_CHANGING, MACHINE_LATER },
        [MACHINE_EVENT_DESTROY] = { MACHINE_CHANGING, MACHINE_LATER },
        [MACHINE_EVENT_CHANGE] = { MACHINE_CHANGING, MACHINE_JOIN },
        [MACHINE_EVENT_DONE] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_FAILED] = { MACHINE_IDLE, MACHINE_ANSWER },
        [MACHINE_EVENT_GONE] = STAY(CHANGING), /* the call says what became of it */
        [MACHINE_EVENT_AGAIN] = STAY(CHANGING),
        [MACHINE_EVENT_GRACE] = STAY(CHANGING),
    },
};

agent_machine_rule venv_agent_machine_rule_of(agent_machine_state state, agent_machine_event event)
{
    return rules[state][event];
}

const char *venv_agent_machine_state_name(agent_machine_state state)
{
    static const char *const names[MACHINE_STATE__COUNT] = {
        [MACHINE_IDLE] = "idle", [MACHINE_PREPARING] = "preparing", [MACHINE_STARTING] = "starting",     [MACHINE_ASKING] = "asking",
        [MACHINE_WAITING] = "waiting", [MACHINE_DESTROYING] = "destroying",
        [MACHINE_CHANGING] = "changing",
    };
    return (unsigned)state < MACHINE_STATE__COUNT ? names[state] : "unknown";
}

static bool seen_is(const agent_machine *machine, const char *state)
{
    return strcmp(machine->seen.state, state) == 0;
}

bool venv_agent_machine_is_down(const agent_machine *machine)
{
    return !machine->seen.listed || seen_is(machine, "stopped") || seen_is(machine, "failed") || seen_is(machine, "saved");
}

const char *venv_agent_machine_shown(const agent_machine *machine)
{
    switch (machine->state) {
    case MACHINE_PREPARING:
        return venv_agent_machine_is_down(machine) ? "preparing" : machine->seen.state;
    case MACHINE_STARTING:
        return venv_agent_machine_is_down(machine) ? "starting" : machine->seen.state;
    case MACHINE_ASKING:
    case MACHINE_WAITING:
    case MACHINE_DESTROYING:
        return "stopping";
    case MACHINE_CHANGING:
        if (machine->change == VENV_MACHINE_SAVE)
            return "saving";
        if (machine->change == VENV_MACHINE_RESTORE || machine->change == VENV_MACHINE_REVERT)
            return "restoring";
        if (machine->change == VENV_MACHINE_MIGRATE)
            return machine->change_of_saved ? "restoring" : "migrating";
        if (machine->change == VENV_MACHINE_CHECKPOINT)
            return "running"; /* it goes on in a moment, and is ours to look after until then */
        if (!machine->seen.listed)
            return "unknown"; /* it has come here, and no list has told of it yet */
        break;
    case MACHINE_IDLE:
    case MACHINE_STATE__COUNT:
        break;
    }
    return machine->seen.listed ? machine->seen.state : "stopped";
}

bool venv_agent_machine_is_told(const agent_machine *machine)
{
    return machine->seen.listed || machine->state != MACHINE_IDLE;
}

bool venv_agent_machine_is_memory(const agent_machine *machine)
{
    return !venv_agent_machine_is_told(machine) && !machine->later;
}

void venv_agent_machine_free(agent_machine *machine)
{
    if (!machine)
        return;
    free(machine->seen.console);
    venv_agent_preparation_free(machine->preparation);
    venv_machine_files_free(machine->files);
    free(machine);
}
