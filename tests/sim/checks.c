/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true: after every step, at every order to a hypervisor, and at the end.
 */
#include "sim/ledger.h"
#include "sim/people.h"

#include <string.h>

#define WANTED_MAX 3u /* instances that the trigger asks for at most */

/* No more guests than somebody asked for. */
static void check_machines(sim *s, const server *v)
{
    size_t asked = 0;
    for (size_t i = 0; i < s->asked_count; i++)
        asked += s->asked[i].server == v->index;
    int64_t most = (int64_t)(WANTED_MAX + asked) + people_offered(v), run = queue_guests(s, v);
    if (run > most)
        sim_fail(s, "L6: %lld machines run, and at most %lld were asked for", (long long)run, (long long)most);
}

void check_step(sim *s)
{
    if (s->counts.steps % 64 != 0 || s->settings.script)
        return;
    s->counts.checks++;
    for (int i = 0; i < s->server_count; i++)
        check_machines(s, &s->servers[i]);
}

static bool was_tried(const venv_value *row, const venv_value *on)
{
    const venv_value *tried = venv_value_get(row, "tried");
    for (size_t i = 0; tried && i < venv_value_count(tried); i++)
        if (venv_value_equal(venv_value_at(tried, i), on))
            return true;
    return false;
}

/* It was on its way there, under that epoch. */
static bool has_moved(const venv_value *old, const venv_value *fresh)
{
    const venv_value *target = venv_value_get(old, "target"), *epoch = venv_value_get(old, "target_epoch"), *is = venv_value_get(fresh, "node");
    return target && epoch && is && venv_value_equal(target, is) && venv_value_equal(epoch, venv_value_get(fresh, "epoch"));
}

/*
 * A row is about to be replaced. The node and the epoch of a machine change only when it was on its way to that node, or when its node has said that nothing
 * of a start that failed is left there (it was fenced), and one that is over stays so: with check_order(), which lets a machine be started on the node of its row only, there are never two.
 */
void check_row(sim *s, server *v, const disk_row *old, const venv_value *fresh)
{
    (void)v;
    if (!old || old->collection != VENV_ROWS_INSTANCES || !fresh)
        return;
    const venv_value *was = venv_value_get(&old->value, "node"), *is = venv_value_get(fresh, "node");
    bool fenced = was && ((venv_value_get(&old->value, "fence") && was_tried(fresh, was)) || has_moved(&old->value, fresh));
    if (was && !fenced && (!is || !venv_value_equal(was, is)))
        sim_fail(s, "L6: an instance changed its node");
    if (is && was_tried(fresh, is))
        sim_fail(s, "L6: an instance is tried again on a node that could not start it");
    /* Its guest crashed, and it is started again there: in a newer epoch, when its wait is over. */
    bool crashed = venv_value_get_int(fresh, "crashes", 0) > venv_value_get_int(&old->value, "crashes", 0);
    bool again = venv_value_get(&old->value, "hold") && !venv_value_get(fresh, "hold") &&
                 venv_value_get_int(fresh, "epoch", 0) > venv_value_get_int(&old->value, "epoch", 0);
    if (was && !fenced && !again && !venv_value_equal(venv_value_get(&old->value, "epoch"), venv_value_get(fresh, "epoch")))
        sim_fail(s, "L6: an instance changed its epoch without being placed");
    if (!crashed && venv_value_get_bool(&old->value, "confirmed", false) && !venv_value_get_bool(fresh, "confirmed", false))
        sim_fail(s, "memory: it was seen to run, and that was forgotten");
}

/* A hypervisor is about to do something: somebody must have wanted it, on disk, before. */
void check_order(sim *s, node *n, venv_machine_verb verb, venv_id machine)
{
    char text[VENV_ID_TEXT_SIZE];
    const venv_value *row = disk_row_of(&s->servers[n->server], VENV_ROWS_INSTANCES, machine);
    if (!row) {
        sim_fail(s, "L3: machine %s is touched on %s, and no row of it is on disk", venv_id_format(machine, text), n->name);
        return;
    }
    const venv_value *state = venv_value_get(row, "state"), *on = venv_value_get(row, "node");
    bool over = venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed");
    bool left_over = verb == VENV_MACHINE_DESTROY && !venv_fake_world_is_running(n->machines, machine); /* of a move: it is cleared away */
    if (!left_over && (!on || !venv_value_is_text(on, n->name)))
        sim_fail(s, "L6: machine %s is touched on %s, and was placed elsewhere", venv_id_format(machine, text), n->name);
    if ((verb == VENV_MACHINE_SHUTDOWN || verb == VENV_MACHINE_DESTROY) && !left_over && !over && !venv_value_get(row, "fence") && !venv_value_get_bool(row, "stop_wanted", false))
        sim_fail(s, "L3: machine %s is stopped on %s, and nobody asked for that", venv_id_format(machine, text), n->name);
}

/* Every action has a parent: a request of a user, or a firing that is in the log; or it is what a policy does. */
static void check_parents(sim *s, const server *v)
{
    size_t cursor = 0;
    const disk_row *row;
    while (!s->failed && (row = disk_next(&v->disk, &cursor))) {
        venv_id parent;
        if (row->collection != VENV_ROWS_ACTIONS)
            continue;
        if (!venv_value_get_id(&row->value, "parent", &parent)) {
            venv_str by = venv_value_get_text(&row->value, "by");
            const venv_value *kind = venv_value_get(&row->value, "kind");
            bool scale = s->settings.scale && venv_value_is_text(kind, "scale");
            bool itself = venv_value_is_text(kind, "firing") || venv_value_is_text(kind, "restart"); /* by a trigger, by the policy for crashes */
            if (!itself && !scale && (by.size < 5 || memcmp(by.data, "user/", 5) != 0))
                sim_fail(s, "L3: an action that no person asked for has no parent");
        } else if (!disk_row_of(v, VENV_ROWS_ACTIONS, parent) && !ledger_is_firing(v, parent)) {
            sim_fail(s, "L3: the parent of an action is neither an action nor a firing in the log");
        }
    }
}

/* What was asked for once was done once, however often it was asked. */
static void check_once(sim *s)
{
    for (size_t k = 0; k < s->asked_count && !s->failed; k++) {
        const server *v = &s->servers[s->asked[k].server];
        size_t made = 0, cursor = 0;
        const disk_row *row;
        while ((row = disk_next_of(&v->disk, VENV_ROWS_INSTANCES, &cursor))) {
            venv_id start, parent;
            if (!venv_value_get_id(&row->value, "start", &start))
                continue;
            const venv_value *action = disk_row_of(v, VENV_ROWS_ACTIONS, start);
            made += action && venv_value_get_id(action, "parent", &parent) && venv_id_equal(parent, s->asked[k].id);
        }
        if (made > 1)
            sim_fail(s, "L2: a start that was asked for under one id made %zu instances", made);
    }
}

void check_end(sim *s)
{
    for (int i = 0; i < s->server_count; i++) {
        server *v = &s->servers[i];
        check_parents(s, v);
        people_end(s, v);
        size_t cursor = 0;
        const disk_row *row;
        while ((row = disk_next(&v->disk, &cursor)))
            if (row->collection == VENV_ROWS_TRIGGERS)
                s->counts.firings += (uint64_t)venv_value_get_int(&row->value, "fired", 0);
    }
    check_once(s);
}
