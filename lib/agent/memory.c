/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent must know again after it was killed: which requests were begun, which epochs it has seen, and what
 * its managers asked it to remember (marks.c). Without that a request that comes twice would be carried out twice, and an order from
 * the past would be believed.
 *
 *      something of it changed ──► KEEP(number, all of it) ──► the shell makes it durable
 *      an effect ── after_keep = number ─────────────────────► … and carries it out only then
 *
 * Properties, answers and the machines themselves are not in it: they are looked at again.
 */

#include "agent/state.h"

#include "base/buf.h"
#include "base/seeded.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1
#define MACHINE_SIZE   25u

void venv_agent_memory_change(agent_step *step)
{
    step->agent->memory.changed = true;
}

/* The effect that is asked for now has to wait for what changed until now. */
uint64_t venv_agent_memory_number(const venv_agent *agent)
{
    return agent->memory.kept + agent->memory.changed;
}

static venv_value packed(agent_step *step, venv_buf *buf)
{
    venv_value value = venv_value_null();
    venv_agent_fail(step, buf->rc != VENV_OK ? buf->rc : venv_value_bytes(venv_buf_peek_text(buf), buf->size, &value, step->err));
    venv_buf_fini(buf);
    return value;
}

/* Ids of begun executions, one after the other, the oldest first. */
static venv_value ids_value(agent_step *step)
{
    const agent_executions *executions = &step->agent->executions;
    venv_buf buf;
    venv_buf_init(&buf, (AGENT_IDS_MAX + AGENT_EXECUTIONS_MAX + AGENT_ANSWERS_MAX + 64) * sizeof(venv_id));
    for (size_t i = 0; i < executions->id_count; i++) {
        size_t at = executions->id_next + AGENT_IDS_MAX - executions->id_count + i;
        venv_buf_append(&buf, executions->ids[at % AGENT_IDS_MAX].bytes, sizeof(venv_id));
    }
    for (const agent_execution *e = executions->first; e; e = e->next)
        if (e->state != EXECUTION_WAITING && !venv_id_is_none(e->id))
            venv_buf_append(&buf, e->id.bytes, sizeof(e->id.bytes));
    return packed(step, &buf);
}

/* Machines, MACHINE_SIZE bytes each: id, epoch (big-endian), and 1 if it has ended in it, 2 if it was seen to run. */
static venv_value machines_value(agent_step *step)
{
    const agent_machines *machines = &step->agent->machines;
    venv_buf buf;
    size_t cursor = 0;
    void *item = NULL;
    venv_buf_init(&buf, (size_t)AGENT_MACHINES_MAX * MACHINE_SIZE);
    while (machines->table && venv_table_next(machines->table, &cursor, NULL, &item)) {
        const agent_machine *machine = item;
        uint8_t row[MACHINE_SIZE];
        memcpy(row, machine->id.bytes, sizeof(machine->id.bytes));
        for (unsigned i = 0; i < 8; i++)
            row[16 + i] = (uint8_t)(machine->epoch >> (56 - 8 * i));
        row[24] = (uint8_t)(machine->ended | machine->ran << 1);
        venv_buf_append(&buf, row, sizeof(row));
    }
    return packed(step, &buf);
}

/* The last thing of a step. */
void venv_agent_memory_tick(agent_step *step)
{
    agent_memory *memory = &step->agent->memory;
    if (!memory->changed || step->rc)
        return;
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "version", venv_value_int(FORMAT_VERSION));
    venv_map_put(&map, "starts", venv_value_uint(memory->starts));
    venv_map_put(&map, "executed", ids_value(step));
    venv_map_put(&map, "machines", machines_value(step));
    venv_map_put(&map, "marks", venv_agent_marks_value(step));
    venv_agent_fail(step, venv_map_take(&map, &value, step->err));
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_KEEP);
    if (!action) {
        venv_value_unref(&value);
        return;
    }
    memory->changed = false;
    action->token = ++memory->kept;
    action->value = value;
}

/* --- at the start ---------------------------------------------------------------------------------- */

static venv_rc wrong(venv_error *err, const char *what)
{
    return venv_error_set(err, VENV_EINVAL, "what the agent kept cannot be understood: %s", what);
}

static bool get_number(const venv_value *value, uint64_t *ret_number)
{
    if (value && venv_value_kind(value) == VENV_UINT)
        *ret_number = venv_value_peek_uint(value);
    else if (value && venv_value_kind(value) == VENV_INT && venv_value_peek_int(value) >= 0)
        *ret_number = (uint64_t)venv_value_peek_int(value);
    else
        return false;
    return true;
}

/* The bytes under `key`, in rows of `size`. */
static venv_rc get_rows(const venv_value *kept, const char *key, size_t size, venv_str *ret_rows, venv_error *err)
{
    const venv_value *value = venv_value_get(kept, key);
    if (!value || venv_value_kind(value) != VENV_BYTES || venv_value_peek_text(value).size % size != 0)
        return wrong(err, key);
    *ret_rows = venv_value_peek_text(value);
    return VENV_OK;
}

static venv_rc recall_machine(venv_agent *agent, const uint8_t row[MACHINE_SIZE], venv_error *err)
{
    agent_machine *machine = calloc(1, sizeof(*machine));
    venv_rc rc = machine ? venv_table_add(agent->machines.table, row, sizeof(venv_id), machine, err)
                         : venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc) {
        free(machine);
        return rc == VENV_ENOMEM ? rc : wrong(err, "a machine is in it twice, or there are too many");
    }
    memcpy(machine->id.bytes, row, sizeof(machine->id.bytes));
    for (unsigned i = 0; i < 8; i++)
        machine->epoch = machine->epoch << 8 | row[16 + i];
    machine->ended = row[24] & 1;
    machine->ran = row[24] & 2;
    machine->grace_end = machine->ask_next = VENV_INSTANT_NEVER;
    return VENV_OK;
}

venv_rc venv_agent_recall(venv_agent *agent, const venv_value *kept, venv_error *err)
{
    venv_str ids, machines;
    if (venv_value_kind(kept) != VENV_MAP || venv_value_get_int(kept, "version", 0) != FORMAT_VERSION)
        return wrong(err, "its version is another one");
    if (!get_number(venv_value_get(kept, "starts"), &agent->memory.starts) || agent->memory.starts == UINT64_MAX)
        return wrong(err, "starts");
    agent->memory.starts++;
    venv_rc rc = get_rows(kept, "executed", sizeof(venv_id), &ids, err);
    if (rc == VENV_OK)
        rc = get_rows(kept, "machines", MACHINE_SIZE, &machines, err);
    if (rc == VENV_OK && venv_value_get(kept, "marks"))
        rc = venv_agent_marks_restore(agent, venv_value_get(kept, "marks"), err);
    if (rc != VENV_OK)
        return rc;
    for (size_t at = 0; at < ids.size; at += sizeof(venv_id)) {
        venv_id id;
        memcpy(id.bytes, ids.data + at, sizeof(id.bytes));
        venv_agent_execute_know(&agent->executions, id);
    }
    for (size_t at = 0; rc == VENV_OK && agent->machines.table && !VENV_SEEDED(MACHINES_FORGOTTEN) && at < machines.size; at += MACHINE_SIZE)
        rc = recall_machine(agent, (const uint8_t *)machines.data + at, err);
    return rc;
}
