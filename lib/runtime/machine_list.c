/* SPDX-License-Identifier: Apache-2.0 */
/* What a hypervisor has, as a value: the body of the message MACHINES. */
#include "runtime/machine_worker.h"

#include <venv/environment.h>

static venv_value node_value(const venv_hypervisor_info *info)
{
    venv_map_builder map;
    venv_list_builder kinds;
    venv_value list = venv_value_null(), node = venv_value_null();
    venv_list_init(&kinds);
    for (int kind = 0; kind < VENV_HYPERVISOR__COUNT; kind++) {
        if (info->kinds & (1u << kind))
            venv_list_add_text(&kinds, venv_hypervisor_kind_name((venv_hypervisor_kind)kind));
    }
    if (venv_list_take(&kinds, &list, NULL) != VENV_OK)
        return venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "cpus", venv_value_int(info->cpus));
    venv_map_put(&map, "memory", venv_value_int((int64_t)info->memory_bytes));
    venv_map_put(&map, "memory_free", venv_value_int((int64_t)info->memory_free_bytes));
    venv_map_put(&map, "kinds", list);
    venv_map_put_z(&map, "cpu_model", info->cpu_model);
    venv_map_put_z(&map, "driver", info->driver);
    venv_map_put_z(&map, "version", info->version);
    venv_map_put_z(&map, "hostname", info->hostname);
    if (venv_map_take(&map, &node, NULL) != VENV_OK)
        return venv_value_null();
    return node;
}

static venv_value machine_value(const venv_machine_info *machine)
{
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    venv_map_put_id(&map, "id", machine->id);
    venv_map_put_z(&map, "instance", machine->instance);
    venv_map_put_z(&map, "environment", machine->environment);
    venv_map_put(&map, "epoch", venv_value_uint(machine->epoch));
    venv_map_put_z(&map, "state", venv_machine_state_name(machine->state));
    venv_map_put(&map, "vcpus", venv_value_int(machine->vcpus));
    venv_map_put(&map, "memory", venv_value_int((int64_t)machine->memory_bytes));
    if (machine->reason[0])
        venv_map_put_z(&map, "reason", machine->reason);
    if (machine->console[0])
        venv_map_put_z(&map, "console", machine->console);
    if (venv_map_take(&map, &value, NULL) != VENV_OK)
        return venv_value_null();
    return value;
}

venv_rc venv_machine_list_value(const venv_hypervisor_info *info, const venv_machine_list *list, venv_value *ret_value,
                                venv_error *err)
{
    venv_list_builder machines;
    venv_map_builder foreign, map;
    venv_value items = venv_value_null(), others = venv_value_null();
    venv_list_init(&machines);
    for (size_t i = 0; i < list->count; i++)
        venv_list_add(&machines, machine_value(&list->items[i]));
    venv_rc rc = venv_list_take(&machines, &items, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&foreign);
    venv_map_put(&foreign, "count", venv_value_int(list->foreign_count));
    venv_map_put(&foreign, "vcpus", venv_value_int(list->foreign_vcpus));
    venv_map_put(&foreign, "memory", venv_value_int((int64_t)list->foreign_memory_bytes));
    rc = venv_map_take(&foreign, &others, err);
    venv_map_init(&map);
    venv_map_put(&map, "node", node_value(info));
    venv_map_put(&map, "foreign", others);
    venv_map_put(&map, "machines", items);
    if (rc != VENV_OK) {
        venv_map_fini(&map);
        return rc;
    }
    return venv_map_take(&map, ret_value, err);
}
