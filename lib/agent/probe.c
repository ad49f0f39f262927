/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the guest agent of a machine answer? The manager asks again and again until it does, so nothing of it is remembered, and it
 * changes nothing about the machine.
 */
#include "agent/machines.h"

#include <string.h>

void venv_agent_probe(agent_step *step, const agent_ask *ask)
{
    agent_machines *machines = &step->agent->machines;
    const agent_machine *machine = venv_agent_machines_find(step->agent, ask->machine);
    agent_probe *probe = NULL;
    for (size_t i = 0; i < AGENT_PROBES_MAX && !probe; i++)
        if (machines->probes[i].token == 0)
            probe = &machines->probes[i];
    if (!machine || venv_agent_machine_is_down(machine) || !probe) {
        agent_done done = probe ? venv_agent_machines_result(ask, VENV_ECONFLICT, "the machine does not run here", machine ? venv_agent_machine_shown(machine) : "unknown")
                                : venv_agent_machines_result(ask, VENV_ETIMEDOUT, "too many guest agents are being asked", venv_agent_machine_shown(machine));
        venv_agent_machines_send_result(step, ask->request, &done);
        return;
    }
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_MACHINE);
    if (!action)
        return;
    action->verb = VENV_MACHINE_PROBE;
    action->machine = ask->machine;
    action->token = venv_agent_token(step);
    *probe = (agent_probe){ .token = action->token, .action = ask->action, .machine = ask->machine, .request = ask->request,
                            .connection = step->agent->connection };
}

bool venv_agent_probed(agent_step *step, const venv_agent_event *event)
{
    agent_machines *machines = &step->agent->machines;
    agent_probe *probe = NULL;
    for (size_t i = 0; i < AGENT_PROBES_MAX && !probe; i++)
        if (event->token != 0 && machines->probes[i].token == event->token)
            probe = &machines->probes[i];
    if (!probe)
        return false;
    if (probe->connection == step->agent->connection) {
        const agent_machine *machine = venv_agent_machines_find(step->agent, probe->machine);
        agent_ask ask = { .action = probe->action, .machine = probe->machine };
        const char *why = event->text && event->text[0] ? event->text : venv_rc_name(event->rc);
        agent_done done = venv_agent_machines_result(&ask, event->rc, event->rc == VENV_OK ? NULL : why,
                                                     machine ? venv_agent_machine_shown(machine) : "unknown");
        venv_agent_machines_send_result(step, probe->request, &done);
    }
    *probe = (agent_probe){ .token = 0 };
    return true;
}
