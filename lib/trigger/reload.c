/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set takes the place of another while the manager runs. A trigger whose definition is the same goes on as if nothing had
 * happened: hold, firing, cooldown, limits. One that was changed keeps what a restart would keep: that it fired, its cooldown,
 * what its limits have spent, and its switch; what it held begins anew. Nothing here can fail.
 */
#include "trigger/internal.h"

#include <stdio.h>
#include <string.h>

static void begin(trigger *t, venv_now now)
{
    t->next_tick = now.mono;
    t->noted = (t->on & ON_UPDATE) != 0;
}

/* Lists and tables point at the triggers: their contents change places, they do not. */
static void swap(trigger *t, trigger *o)
{
    trigger kept = *t;
    size_t index = t->index, other = o->index;
    *t = *o;
    *o = kept;
    t->index = index;
    o->index = other;
}

static void take_spent(trigger *t, trigger *o)
{
    size_t from = o->spent_count > t->spent_max ? o->spent_count - t->spent_max : 0;
    for (size_t i = from; t->spent && i < o->spent_count; i++)
        t->spent[t->spent_count++] = o->spent[i];
    if (t->touched && o->touched) {
        venv_table *touched = t->touched;
        t->touched = o->touched;
        o->touched = touched;
    }
}

static void take_switch(trigger *t, trigger *o)
{
    t->disabled = o->disabled;
    t->disabled_at = o->disabled_at;
    t->disabled_by = o->disabled_by;
    t->disabled_why = o->disabled_why;
    o->disabled_by = o->disabled_why = NULL;
}

static bool same_part(const trigger *t, const trigger *o, const char *key)
{
    const venv_value *a = venv_value_get(&t->definition, key), *b = venv_value_get(&o->definition, key);
    return a && b ? venv_value_compare(a, b) == 0 : a == b;
}

static void take_schedule(trigger *t, const trigger *o)
{
    if (!t->has_at || !o->has_at || !same_part(t, o, "at") || !same_part(t, o, "zone"))
        return;
    t->planned = o->planned;
    t->never = o->never;
    t->planned_from = o->planned_from;
    t->next = o->next;
    t->came = o->came;
}

static void tell_gone(const trigger *t, const unit *u, venv_trigger_row_fn gone, void *user)
{
    char key[4 * VENV_NAME_MAX];
    venv_value nothing = venv_value_null();
    snprintf(key, sizeof key, "%s%s%s", t->name, u ? "/" : "", u ? u->key : "");
    gone(user, key, &nothing);
}

static void tell_units_gone(const trigger *t, venv_trigger_row_fn gone, void *user)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(t->units, &cursor, NULL, &item))
        if (((unit *)item)->saved)
            tell_gone(t, item, gone, user);
}

static void take_units(trigger *t, trigger *o, venv_now now, venv_trigger_row_fn gone, void *user)
{
    if (t->contextual != o->contextual || !t->for_list != !o->for_list || t->has_at != o->has_at) {
        tell_units_gone(o, gone, user); /* they are of another kind */
        return;
    }
    venv_table *units = t->units;
    t->units = o->units;
    o->units = units;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(t->units, &cursor, NULL, &item)) {
        unit *u = item;
        u->problem = PROBLEM_NONE;
        u->true_count = 0;
        u->due = false;
        if (u->state == VENV_TRIGGER_HOLDING)
            venv_trigger_unit_enter(u, VENV_TRIGGER_IDLE, now);
    }
}

static void take_changed(trigger *t, trigger *o, venv_now now, venv_trigger_row_fn gone, void *user)
{
    t->fired = o->fired;
    t->has_fired = o->has_fired;
    t->last_fired = o->last_fired;
    t->evaluations = o->evaluations;
    take_spent(t, o);
    take_switch(t, o);
    take_schedule(t, o);
    take_units(t, o, now, gone, user);
    t->changed = true;
    begin(t, now);
}

void venv_triggers_take_over(venv_triggers *fresh, venv_triggers *old, venv_now now, venv_trigger_row_fn gone, void *user)
{
    for (size_t i = 0; i < fresh->count; i++) {
        trigger *t = fresh->items[i], *o = venv_table_find(old->by_name, t->name, strlen(t->name));
        if (!o)
            begin(t, now);
        else if (venv_value_compare(&t->definition, &o->definition) == 0)
            swap(t, o);
        else
            take_changed(t, o, now, gone, user);
    }
    for (size_t i = 0; i < old->count; i++) {
        const trigger *o = old->items[i];
        if (venv_table_find(fresh->by_name, o->name, strlen(o->name)))
            continue;
        tell_gone(o, NULL, gone, user);
        tell_units_gone(o, gone, user);
    }
    fresh->started = old->started;
    fresh->ages = old->ages;
    fresh->age = old->age;
    fresh->pending = true;
    fresh->short_of_memory = old->short_of_memory;
    fresh->deadline = now.mono;
}
