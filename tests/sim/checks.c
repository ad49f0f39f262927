/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true: after every step, at every order to a hypervisor, and at the end.
 */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

/* No more guests than somebody asked for. */
static void check_machines(sim *s)
{
    size_t count = 0;
    for (int i = 1; i < s->node_count; i++)
        count += venv_fake_world_running_count(s->nodes[i].machines);
    if (count > WANTED_MAX + s->asked_count)
        sim_fail(s, "%zu machines run, and at most %zu were asked for", count, WANTED_MAX + s->asked_count);
}

void check_step(sim *s)
{
    if (s->counts.steps % 4 == 0)
        check_machines(s);
}

/*
 * A row of an instance is about to be replaced. The node and the epoch of a machine never change, and one that is over stays
 * so: with check_order(), which lets a machine be started on the node of its row only, there are never two.
 */
void check_row(sim *s, const disk_row *old, const venv_value *fresh)
{
    if (old->collection != VENV_ROWS_INSTANCES || !fresh)
        return;
    const venv_value *was = venv_value_get(&old->value, "node"), *is = venv_value_get(fresh, "node");
    if (was && (!is || !venv_value_equal(was, is)))
        sim_fail(s, "an instance changed its node");
    if (was && !venv_value_equal(venv_value_get(&old->value, "epoch"), venv_value_get(fresh, "epoch")))
        sim_fail(s, "an instance changed its epoch without being placed");
    if (venv_value_get_bool(&old->value, "confirmed", false) && !venv_value_get_bool(fresh, "confirmed", false))
        sim_fail(s, "it was seen to run, and that was forgotten");
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
        if (!venv_value_get_id(&row->value, "parent", &parent)) {
            venv_str by = venv_value_get_text(&row->value, "by");
            if (by.size < 5 || memcmp(by.data, "user/", 5) != 0)
                sim_fail(s, "an action that no person asked for has no parent");
        }
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

/* What was asked for once was done once, however often it was asked. */
static void check_once(sim *s)
{
    for (size_t k = 0; k < s->asked_count && !s->failed; k++) {
        size_t made = 0;
        for (size_t i = 0; i < s->server.row_count; i++) {
            const disk_row *row = &s->server.rows[i];
            venv_id start, parent;
            if (row->collection != VENV_ROWS_INSTANCES || !venv_value_get_id(&row->value, "start", &start))
                continue;
            const venv_value *action = server_row(s, VENV_ROWS_ACTIONS, start);
            made += action && venv_value_get_id(action, "parent", &parent) && venv_id_equal(parent, s->asked[k]);
        }
        if (made > 1)
            sim_fail(s, "a start that was asked for under one id made %zu instances", made);
    }
}

void check_end(sim *s)
{
    check_parents(s);
    check_once(s);
    for (size_t i = 0; i < s->server.row_count && !s->failed; i++) {
        const disk_row *row = &s->server.rows[i];
        if (row->collection == VENV_ROWS_TRIGGERS)
            s->counts.firings += (uint64_t)venv_value_get_int(&row->value, "fired", 0);
    }
}
