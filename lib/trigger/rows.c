/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a restart, and what people see.
 *
 *   key "NAME"       {fired, last_fired, spent: [timestamp], spent_ran: [ran], touched: [[agent, timestamp, ran]], ran}
 *                                                                  counters, and what `limit` has spent
 *                    {planned_from, at, zone}                      with `at`: times until then are dealt with
 *                    {disabled, disabled_by, disabled_why}         if somebody switched it off
 *   key "NAME/UNIT"  {state, since, fired, fired_at, element, agent, since_ran, ran}  of units that are active or cooling
 *
 * A hold is not kept: while nobody looked nothing was seen to be true.
 *
 * A cooldown and a limit go by how long the owner of the set has run (`ran`): a clock that was set over a restart neither forgives nor
 * prolongs them, and the time in which nothing ran does not count. The timestamps are for people, and for rows without `ran`.
 */
#include "trigger/internal.h"

#include <stdlib.h>
#include <string.h>

static venv_rc trigger_row(const venv_triggers *set, const trigger *t, venv_value *ret_row, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "fired", venv_value_int((int64_t)t->fired));
    if (t->has_fired)
        venv_map_put(&map, "last_fired", venv_value_from_wall(t->last_fired));
    venv_rc rc = venv_trigger_limit_save(set, t, &map, err);
    if (rc != VENV_OK) {
        venv_map_fini(&map);
        return rc;
    }
    venv_trigger_at_save(t, &map);
    venv_trigger_switch_save(t, &map);
    return venv_map_take(&map, ret_row, err);
}

static venv_rc unit_row(const venv_triggers *set, const unit *u, venv_value *ret_row, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "state", venv_trigger_state_name(u->state));
    venv_map_put(&map, "since", venv_value_from_wall(u->since_wall));
    venv_map_put(&map, "fired", venv_value_int((int64_t)u->fired));
    if (u->ever_fired)
        venv_map_put(&map, "fired_at", venv_value_from_wall(u->fired_wall));
    if (set->ages)
        venv_map_put(&map, "since_ran", venv_trigger_stamp(set, u->since));
    if (set->ages && u->ever_fired)
        venv_map_put(&map, "ran", venv_trigger_stamp(set, u->fired_at));
    venv_map_put_z(&map, "element_text", u->element);
    venv_map_put(&map, "element", venv_value_ref(&u->element_value));
    venv_map_put_z(&map, "agent", u->agent);
    return venv_map_take(&map, ret_row, err);
}

static char *unit_row_key(const trigger *t, const unit *u)
{
    size_t name = strlen(t->name), key = strlen(u->key);
    char *text = malloc(name + key + 2);
    if (!text)
        return NULL;
    memcpy(text, t->name, name);
    text[name] = '/';
    memcpy(text + name + 1, u->key, key + 1);
    return text;
}

static venv_rc save_unit(const venv_triggers *set, const trigger *t, unit *u, venv_trigger_row_fn row, void *user, venv_error *err)
{
    bool keep = u->state == VENV_TRIGGER_ACTIVE || u->state == VENV_TRIGGER_COOLING;
    if (!u->changed)
        return VENV_OK;
    venv_value value = venv_value_null();
    venv_rc rc = keep ? unit_row(set, u, &value, err) : VENV_OK;
    char *key = rc == VENV_OK ? unit_row_key(t, u) : NULL;
    if (rc == VENV_OK && !key)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK && (keep || u->saved))
        row(user, key, &value);
    if (rc == VENV_OK) {
        u->saved = keep;
        u->changed = false;
    }
    free(key);
    venv_value_unref(&value);
    return rc;
}

venv_rc venv_triggers_save(venv_triggers *set, venv_trigger_row_fn row, void *user, venv_error *err)
{
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < set->count; i++) {
        trigger *t = set->items[i];
        if (t->changed) {
            venv_value value = venv_value_null();
            rc = trigger_row(set, t, &value, err);
            if (rc != VENV_OK)
                return rc;
            row(user, t->name, &value);
            venv_value_unref(&value);
            t->changed = false;
        }
        size_t cursor = 0;
        void *item;
        while (rc == VENV_OK && venv_table_next(t->units, &cursor, NULL, &item))
            rc = save_unit(set, t, item, row, user, err);
    }
    return rc;
}

venv_rc venv_triggers_rows(const venv_triggers *set, venv_trigger_row_fn row, void *user, venv_error *err)
{
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < set->count; i++) {
        const trigger *t = set->items[i];
        venv_value value = venv_value_null();
        rc = trigger_row(set, t, &value, err);
        if (rc == VENV_OK)
            row(user, t->name, &value);
        venv_value_unref(&value);
        size_t cursor = 0;
        void *item;
        while (rc == VENV_OK && venv_table_next(t->units, &cursor, NULL, &item)) {
            const unit *u = item;
            if (u->state != VENV_TRIGGER_ACTIVE && u->state != VENV_TRIGGER_COOLING)
                continue;
            char *key = unit_row_key(t, u);
            rc = key ? unit_row(set, u, &value, err) : venv_error_set(err, VENV_ENOMEM, "out of memory");
            if (rc == VENV_OK)
                row(user, key, &value);
            venv_value_unref(&value);
            free(key);
        }
    }
    return rc;
}

void venv_triggers_age_by(venv_triggers *set, venv_span offset)
{
    set->ages = true;
    set->age = offset;
}

venv_value venv_trigger_stamp(const venv_triggers *set, venv_instant at)
{
    return set->ages ? venv_value_int(at.ns + set->age.ns) : venv_value_null();
}

/* What is in the future counts as now: clocks are set, and of ours the last minutes before a crash may be missing. */
venv_instant venv_trigger_instant_of(const venv_triggers *set, const venv_value *stamp, venv_wall wall, venv_now now)
{
    int64_t age = now.wall.ns - wall.ns;
    if (set->ages && stamp && venv_value_kind(stamp) == VENV_INT && venv_value_peek_int(stamp) > 0)
        age = now.mono.ns + set->age.ns - venv_value_peek_int(stamp);
    return (venv_instant){ now.mono.ns - (age > 0 ? age : 0) };
}

static venv_rc restore_trigger(const venv_triggers *set, trigger *t, const venv_value *row, venv_now now, venv_error *err)
{
    t->fired = (uint64_t)venv_value_get_int(row, "fired", 0);
    const venv_value *last = venv_value_get(row, "last_fired");
    t->has_fired = last && venv_value_to_wall(last, &t->last_fired);
    venv_trigger_at_restore(t, row);
    venv_rc rc = venv_trigger_limit_restore(set, t, row, now, err);
    return rc == VENV_OK ? venv_trigger_switch_restore(t, row, err) : rc;
}

static venv_rc restore_unit(const venv_triggers *set, trigger *t, const venv_value *row, venv_now now, venv_error *err)
{
    venv_str state = venv_value_get_text(row, "state"), element = venv_value_get_text(row, "element_text"),
             agent = venv_value_get_text(row, "agent");
    char element_text[VENV_NAME_MAX + 1] = "", agent_text[VENV_NAME_MAX + 1] = "";
    bool active = state.size == 6 && memcmp(state.data, "active", 6) == 0;
    if ((!active && !(state.size == 7 && memcmp(state.data, "cooling", 7) == 0)) || element.size > VENV_NAME_MAX ||
        agent.size > VENV_NAME_MAX)
        return VENV_OK;
    if (element.size > 0)
        memcpy(element_text, element.data, element.size);
    if (agent.size > 0)
        memcpy(agent_text, agent.data, agent.size);
    unit *u = NULL;
    venv_rc rc = venv_trigger_unit_get(t, element_text, venv_value_get(row, "element"), agent_text, now, &u, err);
    if (rc != VENV_OK)
        return rc;
    u->state = active ? VENV_TRIGGER_ACTIVE : VENV_TRIGGER_COOLING;
    u->fired = (uint64_t)venv_value_get_int(row, "fired", 0);
    const venv_value *since = venv_value_get(row, "since"), *fired = venv_value_get(row, "fired_at");
    if (since && venv_value_to_wall(since, &u->since_wall))
        u->since = venv_trigger_instant_of(set, venv_value_get(row, "since_ran"), u->since_wall, now);
    if (fired && venv_value_to_wall(fired, &u->fired_wall) && !VENV_SEEDED(COOLDOWN_FORGOTTEN)) {
        u->fired_at = venv_trigger_instant_of(set, venv_value_get(row, "ran"), u->fired_wall, now);
        u->ever_fired = true;
    }
    u->saved = u->seen = true;
    return VENV_OK;
}

venv_rc venv_triggers_restore(venv_triggers *set, venv_str key, const venv_value *row, venv_now now,
                              bool *ret_known, venv_error *err)
{
    const char *slash = memchr(key.data, '/', key.size);
    size_t size = slash ? (size_t)(slash - key.data) : key.size;
    trigger *t = venv_table_find(set->by_name, key.data, size);
    *ret_known = t;
    if (!t)
        return VENV_OK;
    if (slash)
        return restore_unit(set, t, row, now, err);
    return restore_trigger(set, t, row, now, err);
}

/* --- looking ------------------------------------------------------------------------------------------- */

/* The state that says most about a trigger with several units. */
static venv_trigger_state trigger_state(const trigger *t, venv_wall *ret_since)
{
    static const int weight[] = { [VENV_TRIGGER_IDLE] = 0, [VENV_TRIGGER_COOLING] = 1, [VENV_TRIGGER_HOLDING] = 2,
                                  [VENV_TRIGGER_ACTIVE] = 3 };
    venv_trigger_state state = VENV_TRIGGER_IDLE;
    size_t cursor = 0;
    void *item;
    bool any = false;
    while (venv_table_next(t->units, &cursor, NULL, &item)) {
        const unit *u = item;
        if (any && weight[u->state] <= weight[state])
            continue;
        any = true;
        state = u->state;
        *ret_since = u->since_wall;
    }
    return state;
}

static venv_rc unit_value(const trigger *t, const unit *u, venv_now now, venv_value *ret_value, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "unit", u->key);
    venv_map_put_z(&map, "state", venv_trigger_state_name(u->state));
    venv_map_put(&map, "since", venv_value_from_wall(u->since_wall));
    venv_map_put(&map, "fired", venv_value_int((int64_t)u->fired));
    if (u->ever_fired)
        venv_map_put(&map, "last_fired", venv_value_from_wall(u->fired_wall));
    if (u->state == VENV_TRIGGER_HOLDING) {
        if (t->hold_count > 0) {
            venv_map_put(&map, "held", venv_value_int(u->true_count));
            venv_map_put(&map, "hold", venv_value_int(t->hold_count));
        } else {
            venv_map_put(&map, "held", venv_value_from_span((venv_span){ now.mono.ns - u->since.ns }));
            venv_map_put(&map, "hold", venv_value_from_span(t->hold));
        }
    }
    if (u->problem != PROBLEM_NONE)
        venv_map_put_text(&map, "error", u->problem_text, strlen(u->problem_text));
    return venv_map_take(&map, ret_value, err);
}

static const char *first_problem(const trigger *t)
{
    if (t->problem != PROBLEM_NONE)
        return t->problem_text;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(t->units, &cursor, NULL, &item))
        if (((unit *)item)->problem != PROBLEM_NONE)
            return ((unit *)item)->problem_text;
    return NULL;
}

/* Before the first step there is no plan, and no next time. */
static void describe_at(const trigger *t, venv_map_builder *map)
{
    const venv_value *zone = venv_value_get(&t->definition, "zone");
    venv_map_put(map, "at", venv_value_ref(venv_value_get(&t->definition, "at")));
    venv_map_put(map, "zone", zone ? venv_value_ref(zone) : venv_value_literal("UTC"));
    if (t->planned && !t->never)
        venv_map_put(map, "next", venv_value_from_wall(t->next));
}

venv_rc venv_triggers_describe(const venv_triggers *set, const char *name, venv_now now, venv_value *ret_map,
                               venv_error *err)
{
    const trigger *t = venv_table_find(set->by_name, name, strlen(name));
    if (!t)
        return venv_error_set(err, VENV_ENOENT, "no trigger is called '%s'", name);
    venv_list_builder units;
    venv_list_init(&units);
    size_t cursor = 0;
    void *item;
    venv_rc rc = VENV_OK;
    while (rc == VENV_OK && venv_table_next(t->units, &cursor, NULL, &item)) {
        venv_value value = venv_value_null();
        rc = unit_value(t, item, now, &value, err);
        if (rc == VENV_OK)
            venv_list_add(&units, value);
    }
    venv_value list = venv_value_null();
    if (rc == VENV_OK)
        rc = venv_list_take(&units, &list, err);
    venv_list_fini(&units);
    venv_value limits = venv_value_null();
    if (rc == VENV_OK && t->limit_count > 0)
        rc = venv_trigger_limit_describe(t, now, &limits, err);
    if (rc != VENV_OK) {
        venv_value_unref(&list);
        return rc;
    }
    venv_wall since = { 0 };
    venv_trigger_state state = trigger_state(t, &since);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", t->name);
    venv_map_put_z(&map, "mode", t->mode == MODE_ACT ? "act" : t->mode == MODE_OBSERVE ? "observe" : "propose");
    venv_map_put_z(&map, "state", venv_trigger_state_name(state));
    if (since.ns != 0)
        venv_map_put(&map, "since", venv_value_from_wall(since));
    venv_map_put(&map, "fired", venv_value_int((int64_t)t->fired));
    if (t->has_fired)
        venv_map_put(&map, "last_fired", venv_value_from_wall(t->last_fired));
    if (venv_value_get(&t->definition, "when"))
        venv_map_put_z(&map, "when", venv_expr_source(t->when));
    if (t->has_at)
        describe_at(t, &map);
    venv_map_put(&map, "enabled", venv_value_bool(!t->disabled));
    venv_trigger_switch_save(t, &map);
    venv_map_put(&map, "evaluations", venv_value_int((int64_t)t->evaluations));
    if (first_problem(t))
        venv_map_put_text(&map, "error", first_problem(t), strlen(first_problem(t)));
    venv_map_put(&map, "units", list);
    if (t->limit_count > 0)
        venv_map_put(&map, "limits", limits);
    venv_map_put(&map, "definition", venv_value_ref(&t->definition));
    return venv_map_take(&map, ret_map, err);
}

uint64_t venv_triggers_digest(const venv_triggers *set)
{
    uint64_t hash = 0x7472696767657273;
    for (size_t i = 0; i < set->count; i++) {
        const trigger *t = set->items[i];
        uint64_t head[] = { venv_value_hash(&t->definition, 1), t->fired, t->evaluations, t->spent_count, t->noted, t->disabled,
                            (uint64_t)t->planned_from.ns, (uint64_t)t->next.ns };
        hash = venv_hash_bytes(t->name, strlen(t->name), hash);
        hash = venv_hash_bytes(head, sizeof head, hash);
        size_t cursor = 0;
        void *item;
        while (venv_table_next(t->units, &cursor, NULL, &item)) {
            const unit *u = item;
            uint64_t body[] = { (uint64_t)u->state, (uint64_t)u->since.ns, u->fired, (uint64_t)u->fired_at.ns,
                                u->true_count, (uint64_t)u->problem };
            hash = venv_hash_bytes(u->key, strlen(u->key), hash);
            hash = venv_hash_bytes(body, sizeof body, hash);
        }
    }
    return hash;
}
