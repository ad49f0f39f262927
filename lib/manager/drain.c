/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining one instance: it is taken out of work, looked at until it has none, and only then stopped or saved.
 *
 *      running ──► draining: command ──► command done ──► idle? ──yes──► stopped or saved
 *                      │    ▲  └─failed, unknown: again ─┘  │  └─ no, or nobody can tell: looked at again
 *                      │    └────────────────────────────────┘
 *                      └──abandoned at any time before the last step: back in work, running
 *
 * An answer that is not known stops nothing. Only a time that the asker gave ends the waiting: then it is stopped with its
 * work. All of it stands in the row: a restart goes on where it was. The command may be run twice.
 */
#include "manager/internal.h"

#include "trigger/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY_AGAIN       ((venv_span){ 30 * VENV_NS_PER_S })
#define COMMAND_TIMEOUT ((venv_span){ 120 * VENV_NS_PER_S })

static const venv_id none = { { 0 } };

bool venv_mgr_drain_is_on(const instance *i)
{
    return !venv_id_is_none(i->drain);
}

static const venv_definition_scale *scale_of(venv_manager *m, instance *i)
{
    static const venv_definition_scale nothing;
    venv_environment *e = venv_mgr_instance_environment(m, i, NULL);
    return e ? &venv_environment_peek(e)->scale : &nothing;
}

static void say(venv_manager *m, instance *i, const char *text)
{
    char safe[REASON_MAX];
    venv_mgr_set_reason(safe, text);
    if (strcmp(i->reason, safe) == 0)
        return;
    memcpy(i->reason, safe, sizeof safe);
    venv_mgr_instance_touch(m, i);
}

static deed *take_deed(venv_manager *m, instance *i)
{
    deed *d = venv_mgr_deed_find(m, i->drain);
    i->drain = i->drain_command = none;
    i->drain_step = DRAIN_STEP_COMMAND;
    i->drain_end = VENV_INSTANT_NEVER;
    i->drain_end_wall.ns = 0;
    venv_mgr_instance_touch(m, i);
    return d;
}

/* --- the command ------------------------------------------------------------------------------------------ */

/* `[@GROUP,] COMMAND, ARGUMENTS…` and the instance's name: on the agents of the group, or on the agent in the instance. */
static venv_value arguments_of(venv_manager *m, const venv_definition_texts *command, const char *name, size_t first)
{
    venv_map_builder map;
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t k = first + 1; k < command->count; k++)
        venv_list_add_text(&list, command->items[k]);
    venv_list_add_text(&list, name);
    venv_map_init(&map);
    venv_map_put_z(&map, "command", command->items[first]);
    venv_map_put(&map, "args", venv_mgr_take_list(m, &list));
    return venv_mgr_take_map(m, &map);
}

/* The action of the command; none if it could not begin, and `err` says why. */
static venv_id run(venv_manager *m, instance *i, const venv_definition_texts *command, venv_id parent, const char *by, venv_error *err)
{
    size_t first = command->items[0][0] == '@' && command->count > 1;
    const char *target = first ? command->items[0] : i->name;
    venv_id id = venv_random_id(&m->random);
    deed *d = venv_mgr_deed_new(m, id, parent, "exec", i->name, by);
    gather *g = d ? venv_mgr_gather_new(m, NULL, 0, VENV_MSG_EXEC, id, COMMAND_TIMEOUT) : NULL;
    if (!g) {
        venv_error_set(err, VENV_ELIMIT, "too many requests to agents are open");
        if (d)
            venv_mgr_deed_end(m, d, VENV_ELIMIT, err->text);
        return none;
    }
    venv_value arguments = arguments_of(m, command, i->name, first);
    venv_mgr_deed_run(m, d, (venv_span){ 0 });
    venv_rc rc = venv_mgr_verb_exec(m, g, target, &arguments, id, err);
    venv_value_unref(&arguments);
    if (rc == VENV_OK && g->count == 0)
        rc = venv_error_set(err, VENV_ENOENT, "no agent is in %s", target);
    if (rc != VENV_OK)
        venv_mgr_deed_end(m, d, rc, err->text);
    venv_mgr_gather_finish(m, g);
    return rc == VENV_OK ? id : none;
}

static void start_command(venv_manager *m, instance *i, const venv_definition_scale *scale, const deed *d)
{
    char text[REASON_MAX + 64];
    venv_error err = { 0 };
    if (i->drain_again.ns > m->now.mono.ns)
        return;
    i->drain_again = venv_mgr_after(m, TRY_AGAIN);
    i->drain_command = run(m, i, &scale->drain, i->drain, d->by, &err);
    if (venv_id_is_none(i->drain_command)) {
        snprintf(text, sizeof text, "it cannot be taken out of work: %.180s; tried again", err.text);
        say(m, i, text);
        return;
    }
    i->drain_step = DRAIN_STEP_RUNS;
    say(m, i, "it is taken out of work");
    venv_mgr_instance_touch(m, i);
}

/* Every agent said that its command ended with 0. */
static bool all_good(const deed *d)
{
    const venv_value *items = venv_value_get(&d->result, "items");
    size_t count = items ? venv_value_count(items) : 0;
    for (size_t k = 0; k < count; k++)
        if (venv_value_get_int(venv_value_at(items, k), "status", 0) != 0)
            return false;
    return d->state == DEED_DONE && count > 0;
}

static void look_at_command(venv_manager *m, instance *i)
{
    char text[REASON_MAX + 64];
    const deed *d = venv_mgr_deed_find(m, i->drain_command);
    if (d && venv_mgr_deed_is_open(d))
        return;
    if (d && all_good(d)) {
        i->drain_step = DRAIN_STEP_IDLE;
        say(m, i, "it takes no more work");
    } else {
        snprintf(text, sizeof text, "the command that takes it out of work did not work (%.160s); tried again",
                 !d ? "nothing is known of it" : d->error[0] ? d->error : "it ended with an error");
        i->drain_step = DRAIN_STEP_COMMAND;
        i->drain_again = venv_mgr_after(m, TRY_AGAIN);
        say(m, i, text);
    }
    venv_mgr_instance_touch(m, i);
}

/* --- idle ------------------------------------------------------------------------------------------------- */

/* VENV_OK: `*ret_idle`; else nobody can tell, and why. Without an expression it is idle. */
venv_rc venv_mgr_instance_idle(venv_manager *m, instance *i, bool *ret_idle, char *ret_why, size_t size)
{
    venv_environment *e = venv_mgr_instance_environment(m, i, NULL);
    const venv_expr *idle = e ? venv_environment_idle(e) : NULL;
    venv_value view = idle ? venv_mgr_instance_seen(m, i) : venv_value_null(), value = venv_value_null();
    *ret_idle = !idle;
    if (!idle)
        return VENV_OK;
    venv_rc rc = venv_asker_ask(m->asker, idle, m->now, &view, i->name, &value, ret_why, size);
    if (rc == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    if (rc == VENV_OK && venv_value_kind(&value) != VENV_BOOL) {
        snprintf(ret_why, size, "idle is neither true nor false");
        rc = VENV_EINVAL;
    } else if (rc == VENV_OK) {
        *ret_idle = venv_value_peek_bool(&value);
    }
    venv_value_unref(&view);
    return rc;
}

/* The last step. */
static void leave(venv_manager *m, instance *i, const char *why)
{
    venv_error err = { 0 };
    deed *d = take_deed(m, i);
    bool save = i->drain_save;
    venv_rc rc = VENV_OK;
    venv_mgr_event_add(m, "instance-drained", i->name, d ? d->id : none, venv_value_null(), "%s %s: it is %s", i->name, why, save ? "saved" : "stopped");
    venv_id parent = d ? d->id : none;
    const char *by = d ? d->by : "drain";
    if (save) {
        venv_mgr_instance_set(m, i, VENV_INSTANCE_RUNNING, why);
        i->parked = i->drain_by_scale;
        rc = venv_mgr_change_begin(m, i, CHANGE_SAVE, parent, by, NULL, &err);
    } else {
        rc = venv_mgr_stop_begin(m, i, parent, by, false, i->grace, &err);
    }
    if (!d || !venv_mgr_deed_is_open(d))
        return;
    if (rc != VENV_OK)
        venv_mgr_deed_end(m, d, rc, err.text);
    else
        venv_mgr_deed_children_made(m, d); /* it ends with the stop, or the save */
}

static void look_idle(venv_manager *m, instance *i)
{
    char why[REASON_MAX] = "", text[REASON_MAX + 64];
    bool idle = false;
    venv_rc rc = venv_mgr_instance_idle(m, i, &idle, why, sizeof why);
    if (rc == VENV_OK && idle) {
        leave(m, i, "has no more work");
        return;
    }
    snprintf(text, sizeof text, rc == VENV_OK ? "it takes no more work, and has some left" : "nobody can tell whether it is idle: %.180s", why);
    say(m, i, text);
}

/* --- birth, death, time ------------------------------------------------------------------------------------ */

venv_rc venv_mgr_drain_begin(venv_manager *m, instance *i, venv_id parent, const char *by, const drain_wish *wish, venv_error *err)
{
    if (i->stop_wanted || i->change_kind != CHANGE_NONE || venv_mgr_drain_is_on(i))
        return venv_error_set(err, VENV_ECONFLICT, "%s: a %s of it is under way", i->name,
                              i->stop_wanted ? "stop" : venv_mgr_drain_is_on(i) ? "drain" : venv_mgr_change_name(i->change_kind));
    if (i->state != VENV_INSTANCE_RUNNING)
        return venv_error_set(err, VENV_ECONFLICT, "%s is %s: only one that runs can be drained", i->name, venv_instance_state_name(i->state));
    deed *d = venv_mgr_deed_new(m, venv_random_id(&m->random), parent, "drain", i->name, by);
    if (!d)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_mgr_deed_children_begin(m, d);
    i->drain = d->id;
    i->drain_step = scale_of(m, i)->drain.count > 0 ? DRAIN_STEP_COMMAND : DRAIN_STEP_IDLE;
    i->drain_save = wish->save;
    i->drain_by_scale = wish->by_scale;
    i->drain_again = (venv_instant){ 0 };
    i->drain_end = wish->time.ns > 0 ? venv_mgr_after(m, wish->time) : VENV_INSTANT_NEVER;
    i->drain_end_wall.ns = wish->time.ns > 0 ? m->now.wall.ns + wish->time.ns : 0;
    i->grace = wish->grace;
    venv_mgr_instance_set(m, i, VENV_INSTANCE_DRAINING, wish->why);
    m->next_sweep = m->now.mono; /* it begins now */
    return VENV_OK;
}

/* Before the last step: it goes on as if nothing had been. */
void venv_mgr_drain_abandon(venv_manager *m, instance *i, const char *why)
{
    venv_error err = { 0 };
    const venv_definition_scale *scale = scale_of(m, i);
    bool told = i->drain_step != DRAIN_STEP_COMMAND && scale->drain.count > 0;
    deed *d = take_deed(m, i);
    char by[BY_MAX];
    snprintf(by, sizeof by, "%s", d ? d->by : "drain");
    if (d && venv_mgr_deed_is_open(d))
        venv_mgr_deed_end(m, d, VENV_ECANCELED, why);
    if (i->state == VENV_INSTANCE_DRAINING)
        venv_mgr_instance_set(m, i, VENV_INSTANCE_RUNNING, why);
    if (told && scale->undrain.count > 0 && venv_id_is_none(run(m, i, &scale->undrain, none, by, &err)))
        venv_mgr_event_add(m, "instance-undrain-failed", i->name, none, venv_value_null(), "%s could not be put back into work: %s", i->name, err.text);
}

/* It has ended, or is stopped in another way. */
void venv_mgr_drain_over(venv_manager *m, instance *i, venv_rc rc, const char *why)
{
    if (!venv_mgr_drain_is_on(i))
        return;
    deed *d = take_deed(m, i);
    if (d && venv_mgr_deed_is_open(d))
        venv_mgr_deed_end(m, d, rc, why);
}

static void step(venv_manager *m, instance *i)
{
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    const deed *d = venv_mgr_deed_find(m, i->drain);
    if (i->state != VENV_INSTANCE_DRAINING || !d || !a || !a->peer || !a->machines_known || !a->reachable)
        return; /* what cannot be seen is waited for */
    if (i->drain_end.ns <= m->now.mono.ns)
        leave(m, i, "has had the time that was given to it");
    else if (i->drain_step == DRAIN_STEP_COMMAND)
        start_command(m, i, scale_of(m, i), d);
    else if (i->drain_step == DRAIN_STEP_RUNS)
        look_at_command(m, i);
    else
        look_idle(m, i);
}

void venv_mgr_drains_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    if (venv_mgr_guard_holds(m))
        return;
    while (venv_table_next(m->instances, &cursor, NULL, &item))
        if (venv_mgr_drain_is_on(item))
            step(m, item);
}

/* --- rows --------------------------------------------------------------------------------------------------- */

void venv_mgr_drain_row(const instance *i, venv_map_builder *map)
{
    if (i->parked)
        venv_map_put(map, "parked", venv_value_bool(true));
    if (!venv_mgr_drain_is_on(i))
        return;
    venv_map_put_id(map, "drain", i->drain);
    venv_map_put_id(map, "drain_command", i->drain_command);
    venv_map_put(map, "drain_step", venv_value_int(i->drain_step));
    venv_map_put(map, "drain_save", venv_value_bool(i->drain_save));
    venv_map_put(map, "drain_by_scale", venv_value_bool(i->drain_by_scale));
    if (i->drain_end_wall.ns != 0)
        venv_map_put(map, "drain_end", venv_value_from_wall(i->drain_end_wall));
}

void venv_mgr_drain_restore(venv_manager *m, instance *i, const venv_value *row)
{
    const venv_value *end = venv_value_get(row, "drain_end");
    int64_t step_number = venv_value_get_int(row, "drain_step", 0);
    i->parked = venv_value_get_bool(row, "parked", false);
    i->drain_end = VENV_INSTANT_NEVER;
    if (!venv_value_get_id(row, "drain", &i->drain) || venv_id_is_none(i->drain))
        return;
    (void)venv_value_get_id(row, "drain_command", &i->drain_command);
    i->drain_step = step_number >= 0 && step_number <= DRAIN_STEP_IDLE ? (drain_step)step_number : DRAIN_STEP_COMMAND;
    i->drain_save = venv_value_get_bool(row, "drain_save", false);
    i->drain_by_scale = venv_value_get_bool(row, "drain_by_scale", false);
    if (end && venv_value_to_wall(end, &i->drain_end_wall)) {
        int64_t left = i->drain_end_wall.ns - m->now.wall.ns;
        i->drain_end = venv_mgr_after(m, (venv_span){ left > 0 ? left : 0 });
    }
}
