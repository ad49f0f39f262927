/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in property `hypervisor`: what the node has, what is used and free, and the instances. */

#include "agent/state.h"

#include "property/set.h"

#include <stdio.h>
#include <string.h>

typedef struct amounts {
    int64_t vcpus, memory;
} amounts;

static void put_amounts(agent_step *step, venv_map_builder *map, const char *key, amounts have)
{
    venv_map_builder inner;
    venv_value value = venv_value_null();
    venv_map_init(&inner);
    venv_map_put(&inner, "vcpus", venv_value_int(have.vcpus));
    venv_map_put(&inner, "memory", venv_value_int(have.memory));
    venv_agent_fail(step, venv_map_take(&inner, &value, step->err));
    venv_map_put(map, key, value);
}

static venv_value instance_to_value(agent_step *step, const agent_machine *machine)
{
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, "instance", machine->instance);
    venv_map_put_z(&map, "environment", machine->environment);
    venv_map_put_z(&map, "state", venv_agent_machine_shown(machine));
    venv_map_put(&map, "vcpus", venv_value_int(machine->seen.vcpus));
    venv_map_put(&map, "memory", venv_value_int(machine->seen.memory));
    venv_agent_fail(step, venv_map_take(&map, &value, step->err));
    return value;
}

/* A number that may be missing, and is nobody's promise: bounded, so that sums cannot overflow. */
static int64_t amount(const venv_value *map, const char *key)
{
    int64_t number = venv_value_get_int(map, key, 0);
    return number < 0 ? 0 : number > INT64_MAX / 8192 ? INT64_MAX / 8192 : number;
}

/* The list of instances, at most AGENT_LISTED_MAX, and what they use. */
static venv_value instances(agent_step *step, amounts *used, size_t *ret_count)
{
    agent_machines *machines = &step->agent->machines;
    venv_list_builder list;
    venv_list_init(&list);
    size_t cursor = 0, count = 0;
    void *item = NULL;
    while (venv_table_next(machines->table, &cursor, NULL, &item)) {
        const agent_machine *machine = item;
        if (!venv_agent_machine_is_told(machine))
            continue;
        if (count++ < AGENT_LISTED_MAX)
            venv_list_add(&list, instance_to_value(step, machine));
        if (venv_agent_machine_is_down(machine))
            continue;
        used->vcpus += machine->seen.vcpus < 0 ? 0 : machine->seen.vcpus % 65536;
        used->memory += machine->seen.memory < 0 ? 0 : machine->seen.memory % (INT64_MAX / 8192);
    }
    venv_value value = venv_value_null();
    venv_agent_fail(step, venv_list_take(&list, &value, step->err));
    *ret_count = count;
    return value;
}

static venv_value hypervisor_to_value(agent_step *step)
{
    agent_machines *machines = &step->agent->machines;
    size_t count = 0;
    amounts all = { amount(&machines->node, "cpus"), amount(&machines->node, "memory") };
    amounts used = { amount(&machines->foreign, "vcpus"), amount(&machines->foreign, "memory") };
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "instances", instances(step, &used, &count));
    venv_map_put(&map, "count", venv_value_int((int64_t)count));
    venv_map_put(&map, "foreign", venv_value_int(amount(&machines->foreign, "count")));
    if (venv_value_kind(&machines->node) == VENV_MAP)
        venv_map_put(&map, "node", venv_value_ref(&machines->node));
    put_amounts(step, &map, "capacity", all);
    put_amounts(step, &map, "used", used);
    amounts left = { all.vcpus > used.vcpus ? all.vcpus - used.vcpus : 0,
                     all.memory > used.memory ? all.memory - used.memory : 0 };
    put_amounts(step, &map, "free", left);
    venv_agent_fail(step, venv_map_take(&map, &value, step->err));
    return value;
}

venv_rc venv_agent_hypervisor_value(agent_step *step, venv_value *ret_value, char *reason, size_t size)
{
    agent_machines *machines = &step->agent->machines;
    if (!machines->table) {
        snprintf(reason, size, "this agent has no hypervisor (agent.hypervisor is none)");
        return VENV_EUNSUPPORTED;
    }
    if (!machines->reachable) {
        snprintf(reason, size, "%s", machines->reason);
        return VENV_EUNREACHABLE;
    }
    if (machines->shown_version != machines->version) {
        venv_value_unref(&machines->shown);
        machines->shown = hypervisor_to_value(step);
        machines->shown_version = machines->version;
    }
    *ret_value = venv_value_ref(&machines->shown);
    return VENV_OK;
}
