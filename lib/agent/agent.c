/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: birth, one step, death. What a step does is in the other files of this folder: link.c (connection), push.c,
 * sampling.c, execute.c, control.c, machines.c (with the table of states in machine.c).
 */

#include "agent/machines.h"
#include "agent/state.h"

#include <stdlib.h>
#include <string.h>

static venv_rc properties_copy(venv_agent *agent, venv_now now, venv_error *err)
{
    const venv_agent_config *config = agent->config;
    venv_rc rc = venv_property_set_new(config->tick, now.mono, &agent->properties, err);
    for (uint32_t slot = 0; rc == VENV_OK && slot < venv_property_set_count(config->properties); slot++) {
        uint32_t same = 0;
        rc = venv_property_set_add(agent->properties, venv_property_set_peek(config->properties, slot), &same, err);
    }
    return rc;
}

static void groups_copy(venv_agent *agent)
{
    for (size_t i = 0; i < agent->config->group_count; i++) {
        size_t same = 0;
        while (same < agent->group_count && strcmp(agent->groups[same], agent->config->groups[i]) != 0)
            same++;
        if (same < agent->group_count)
            continue;
        strncpy(agent->groups[agent->group_count++], agent->config->groups[i], VENV_GROUP_NAME_MAX);
    }
}

venv_rc venv_agent_new(const venv_agent_config *config, venv_id boot, uint64_t seed, venv_now now,
                       venv_agent **ret_agent, venv_error *err)
{
    if (!config->name[0] || !config->cluster[0] || config->manager_count == 0)
        return venv_error_set(err, VENV_EINVAL, "the agent has no name, no cluster or no manager");
    venv_agent *agent = calloc(1, sizeof(*agent));
    if (!agent)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    agent->config = config;
    agent->boot = boot;
    agent->memory = (agent_memory){ .starts = 1, .changed = true };
    agent->executions.end = &agent->executions.first;
    venv_random_init(&agent->random, seed);
    groups_copy(agent);
    venv_agent_link_start(agent, now);
    venv_rc rc = properties_copy(agent, now, err);
    if (rc == VENV_OK)
        venv_agent_sampling_init(agent);
    if (rc == VENV_OK)
        rc = venv_agent_machines_init(agent, venv_random_next(&agent->random), now, err);
    if (rc) {
        venv_agent_free(agent);
        return rc;
    }
    *ret_agent = agent;
    return VENV_OK;
}

void venv_agent_free(venv_agent *agent)
{
    if (!agent)
        return;
    venv_agent_execute_fini(agent);
    venv_agent_machines_fini(agent);
    venv_agent_marks_fini(agent);
    venv_property_set_free(agent->properties);
    free(agent);
}

static void take_event(agent_step *step, const venv_agent_event *event)
{
    switch (event->kind) {
    case VENV_AGENT_EVENT_TIME:
        break;
    case VENV_AGENT_EVENT_CONNECTED:
        venv_agent_link_connected(step);
        break;
    case VENV_AGENT_EVENT_DISCONNECTED:
        venv_agent_link_disconnected(step, event->text);
        break;
    case VENV_AGENT_EVENT_FRAME:
        venv_agent_link_frame(step, event);
        break;
    case VENV_AGENT_EVENT_SAMPLED:
        venv_agent_sampling_sampled(step, event);
        break;
    case VENV_AGENT_EVENT_RAN:
        if (!venv_agent_sampling_ran(step, event->token, event->run))
            venv_agent_execute_ran(step, event->token, event->run);
        break;
    case VENV_AGENT_EVENT_MACHINE_DONE:
        venv_agent_machines_done(step, event);
        break;
    case VENV_AGENT_EVENT_PROGRESS:
        venv_agent_change_progress(step, event);
        break;
    case VENV_AGENT_EVENT_MACHINES:
        venv_agent_machines_listed(step, event);
        break;
    case VENV_AGENT_EVENT_SYNCED:
        venv_agent_images_synced(step, event);
        venv_agent_preparation_synced(step, event);
        break;
    case VENV_AGENT_EVENT_COMMANDS:
        venv_agent_execute_listed(step, event);
        break;
    }
}

venv_rc venv_agent_step(venv_agent *agent, venv_now now, const venv_agent_event *event, venv_agent_actions *actions,
                        venv_error *err)
{
    agent_step step = { .agent = agent, .now = now, .actions = actions, .err = err };
    for (; event && step.rc == VENV_OK; event = event->next)
        take_event(&step, event);
    venv_agent_machines_tick(&step);
    venv_agent_images_tick(&step);
    venv_agent_sampling_tick(&step);
    venv_agent_link_tick(&step);
    venv_agent_push_tick(&step);
    venv_agent_memory_tick(&step);
    return step.rc;
}

venv_instant venv_agent_deadline(const venv_agent *agent)
{
    venv_instant deadlines[] = { venv_agent_link_deadline(agent), venv_agent_push_deadline(agent),
                                 venv_agent_sampling_deadline(agent), venv_agent_machines_deadline(agent),
                                 venv_agent_images_deadline(agent) };
    venv_instant first = VENV_INSTANT_NEVER;
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
        if (deadlines[i].ns < first.ns)
            first = deadlines[i];
    return first;
}
