/* SPDX-License-Identifier: Apache-2.0 */
/* A hash over everything that the agent decides from: equal after a replay of the same events. */

#include "agent/state.h"

#include <string.h>

static uint64_t mix(uint64_t hash, int64_t number)
{
    return venv_hash_bytes(&number, sizeof(number), hash);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return venv_hash_bytes(text, strlen(text) + 1, hash);
}

static uint64_t mix_id(uint64_t hash, venv_id id)
{
    return venv_hash_bytes(id.bytes, sizeof(id.bytes), hash);
}

static uint64_t link_digest(const agent_link *link, uint64_t hash)
{
    int64_t parts[] = { link->state,         link->dial_at.ns,        link->failures,       link->welcomed,
                        link->after.ns,      link->has_after,         (int64_t)link->trouble,
                        (int64_t)link->manager, link->spread.ns };
    return venv_session_digest(&link->session, venv_hash_bytes(parts, sizeof(parts), hash));
}

static uint64_t sampling_digest(const venv_agent *agent, uint64_t hash)
{
    const agent_sampling *sampling = &agent->sampling;
    for (size_t i = 0; i < sampling->queue_count; i++)
        hash = mix(hash, sampling->queue[(sampling->queue_first + i) % VENV_PROPERTY_COUNT_MAX]);
    for (size_t i = 0; i < venv_property_set_count(agent->properties); i++)
        hash = mix(hash, (int64_t)sampling->tokens[i]);
    for (size_t i = 0; i < sampling->waiter_count; i++)
        hash = mix(mix(hash, sampling->waiters[i].slot), (int64_t)sampling->waiters[i].request);
    return mix(hash, (int64_t)sampling->running);
}

static uint64_t executions_digest(const agent_executions *executions, uint64_t hash)
{
    for (const agent_execution *e = executions->first; e; e = e->next) {
        hash = mix_id(mix(hash, e->state), e->id);
        hash = mix(mix(hash, (int64_t)e->token), (int64_t)e->request);
        hash = mix(mix(hash, e->timeout.ns), e->started.ns);
        hash = mix(hash, (int64_t)venv_value_hash(&e->command, 1));
        hash = mix(hash, (int64_t)venv_value_hash(&e->answer, 1));
    }
    for (size_t i = 0; i < executions->id_count; i++)
        hash = mix_id(hash, executions->ids[i]);
    for (size_t i = 0; i < executions->list_count; i++)
        hash = mix(hash, (int64_t)executions->list_tokens[i]);
    return hash;
}

static uint64_t machine_digest(const agent_machine *machine, uint64_t hash)
{
    int64_t parts[] = { (int64_t)machine->epoch,   machine->ended,           machine->state,
                        (int64_t)machine->token,   (int64_t)machine->asker_count, machine->grace_end.ns,
                        machine->ask_next.ns,      machine->later,           machine->later_destroy * 2u + machine->later_gentle,
                        machine->later_grace.ns,   machine->change,         machine->change_end.ns,
                        (int64_t)machine->change_epoch, machine->seen.listed,     machine->seen.vcpus,
                        machine->seen.memory,      machine->ran,
                        machine->preparation ? (int64_t)machine->preparation->token : 0 };
    hash = venv_hash_bytes(parts, sizeof(parts), mix_id(hash, machine->id));
    for (size_t i = 0; i < machine->asker_count; i++)
        hash = mix_id(hash, machine->askers[i].action);
    hash = mix_text(mix_text(hash, machine->instance), machine->environment);
    return mix_text(mix_text(hash, machine->seen.state), machine->seen.reason);
}

static uint64_t machines_digest(const agent_machines *machines, uint64_t hash)
{
    size_t cursor = 0;
    void *item = NULL;
    int64_t parts[] = { machines->asked, machines->ask_again, machines->answered, machines->listed,
                        machines->reachable, (int64_t)machines->look_request, machines->look_lists, machines->next.ns, machines->asked_at.ns,
                        (int64_t)venv_value_hash(&machines->node, 1), (int64_t)venv_value_hash(&machines->foreign, 1),
                        (int64_t)venv_value_hash(&machines->told, 1) };
    hash = venv_hash_bytes(parts, sizeof(parts), hash);
    while (machines->table && venv_table_next(machines->table, &cursor, NULL, &item))
        hash = machine_digest(item, hash);
    for (size_t i = 0; i < machines->done_count; i++)
        hash = mix(mix_id(hash, machines->done[i].action), machines->done[i].rc);
    return hash;
}

uint64_t venv_agent_digest(const venv_agent *agent)
{
    int64_t parts[] = { (int64_t)agent->token, (int64_t)agent->connection, agent->exiting, agent->push.next.ns,
                        (int64_t)agent->push.dropped, (int64_t)agent->push.mark, (int64_t)agent->push.before,
                        (int64_t)agent->push.after, (int64_t)agent->push.last };
    uint64_t hash = venv_hash_bytes(agent->random.s, sizeof(agent->random.s), 0);
    hash = venv_hash_bytes(parts, sizeof(parts), hash);
    for (size_t i = 0; i < AGENT_SYNCS_MAX; i++)
        hash = mix(mix(hash, (int64_t)agent->syncs[i].token), agent->syncs[i].end.ns);
    for (size_t i = 0; i < agent->group_count; i++)
        hash = mix_text(hash, agent->groups[i]);
    hash = mix(mix(mix(hash, agent->memory.changed), (int64_t)agent->memory.kept), (int64_t)agent->memory.starts);
    hash = link_digest(&agent->link, hash);
    hash = venv_property_set_digest(agent->properties, hash);
    hash = sampling_digest(agent, hash);
    hash = executions_digest(&agent->executions, hash);
    return machines_digest(&agent->machines, hash);
}
