/* SPDX-License-Identifier: Apache-2.0 */
/* Enabling and disabling a trigger while the manager runs. It is part of the trigger's row, so it outlives a restart. */
#include "trigger/internal.h"

#include <stdlib.h>
#include <string.h>

/* Nothing was looked at: what it held is not held any more. */
static void let_go(trigger *t, venv_now now)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(t->units, &cursor, NULL, &item)) {
        unit *u = item;
        u->true_count = 0;
        if (u->state == VENV_TRIGGER_HOLDING)
            venv_trigger_unit_enter(u, VENV_TRIGGER_IDLE, now);
    }
}

void venv_triggers_unlooked(venv_triggers *set, venv_now now)
{
    for (size_t i = 0; i < set->count; i++) {
        trigger *t = set->items[i];
        let_go(t, now);
        t->noted = t->noted || (t->on & ON_UPDATE) != 0;
    }
    set->pending = true;
}

static void rest(trigger *t, venv_now now)
{
    size_t cursor = 0;
    void *item;
    let_go(t, now);
    while (venv_table_next(t->units, &cursor, NULL, &item)) {
        unit *u = item;
        u->due = false;
        u->problem = PROBLEM_NONE;
    }
    t->problem = PROBLEM_NONE;
    t->pulse = false;
}

static void wake(venv_triggers *set, trigger *t, venv_now now)
{
    t->next_tick = now.mono;
    t->noted = (t->on & ON_UPDATE) != 0;
    venv_trigger_at_skip(t, now);
    set->pending = true;
}

static venv_rc set_texts(trigger *t, const char *by, const char *why, venv_error *err)
{
    char *who = strdup(by), *reason = strdup(why ? why : "");
    if (!who || !reason) {
        free(who);
        free(reason);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    free(t->disabled_by);
    free(t->disabled_why);
    t->disabled_by = who;
    t->disabled_why = reason;
    return VENV_OK;
}

venv_rc venv_triggers_set_enabled(venv_triggers *set, const char *name, bool enabled, const char *by, const char *why,
                                  venv_now now, venv_error *err)
{
    trigger *t = venv_table_find(set->by_name, name, strlen(name));
    if (!t)
        return venv_error_set(err, VENV_ENOENT, "no trigger is called '%s'", name);
    if (t->disabled == !enabled)
        return VENV_OK;
    venv_rc rc = enabled ? VENV_OK : set_texts(t, by, why, err);
    if (rc != VENV_OK)
        return rc;
    t->disabled = !enabled;
    t->disabled_at = now.wall;
    t->changed = true;
    rest(t, now);
    if (enabled)
        wake(set, t, now);
    return VENV_OK;
}

bool venv_triggers_is_enabled(const venv_triggers *set, const char *name)
{
    const trigger *t = venv_table_find(set->by_name, name, strlen(name));
    return t && !t->disabled;
}

void venv_trigger_switch_save(const trigger *t, venv_map_builder *map)
{
    if (!t->disabled)
        return;
    venv_map_put(map, "disabled", venv_value_from_wall(t->disabled_at));
    venv_map_put_text(map, "disabled_by", t->disabled_by, strlen(t->disabled_by));
    if (t->disabled_why[0])
        venv_map_put_text(map, "disabled_why", t->disabled_why, strlen(t->disabled_why));
}

venv_rc venv_trigger_switch_restore(trigger *t, const venv_value *row, venv_error *err)
{
    const venv_value *at = venv_value_get(row, "disabled");
    venv_str by = venv_value_get_text(row, "disabled_by"), why = venv_value_get_text(row, "disabled_why");
    if (!at || VENV_SEEDED(DISABLED_FORGOTTEN) || !venv_value_to_wall(at, &t->disabled_at))
        return VENV_OK;
    char *who = strndup(by.data ? by.data : "", by.size), *reason = strndup(why.data ? why.data : "", why.size);
    venv_rc rc = who && reason ? set_texts(t, who, reason, err) : venv_error_set(err, VENV_ENOMEM, "out of memory");
    free(who);
    free(reason);
    t->disabled = rc == VENV_OK;
    return rc;
}
