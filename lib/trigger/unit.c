/* SPDX-License-Identifier: Apache-2.0 */
/* Units of a trigger. */
#include "trigger/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "ELEMENT", "AGENT", "ELEMENT AGENT" or "": the two parts never hold a space. Owned by the caller. */
static char *make_key(const char *element, const char *agent)
{
    size_t size = strlen(element) + strlen(agent) + 2;
    char *key = malloc(size);
    if (key)
        snprintf(key, size, "%s%s%s", element, element[0] && agent[0] ? " " : "", agent);
    return key;
}

unit *venv_trigger_unit_find(const trigger *t, const char *element, const char *agent)
{
    char *key = make_key(element, agent);
    unit *u = key ? venv_table_find(t->units, key, strlen(key)) : NULL;
    free(key);
    return u;
}

void venv_trigger_unit_free(unit *u)
{
    if (!u)
        return;
    free(u->key);
    free(u->element);
    free(u->agent);
    free(u->group);
    free(u->property);
    free(u->reason);
    venv_value_unref(&u->element_value);
    free(u);
}

venv_rc venv_trigger_unit_get(trigger *t, const char *element, const venv_value *element_value, const char *agent,
                 venv_now now, unit **ret_unit, venv_error *err)
{
    unit *u = venv_trigger_unit_find(t, element, agent);
    if (u) {
        *ret_unit = u;
        return VENV_OK;
    }
    u = calloc(1, sizeof *u);
    if (u) {
        u->key = make_key(element, agent);
        u->element = strdup(element);
        u->agent = strdup(agent);
        u->group = strdup("");
        u->property = strdup("");
        u->reason = strdup("");
    }
    if (!u || !u->key || !u->element || !u->agent || !u->group || !u->property || !u->reason) {
        venv_trigger_unit_free(u);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    venv_rc rc = VENV_OK;
    if (element_value)
        rc = venv_value_dup(element_value, &u->element_value, err);
    if (rc == VENV_OK)
        rc = venv_table_add(t->units, u->key, strlen(u->key), u, err);
    if (rc != VENV_OK) {
        venv_trigger_unit_free(u);
        return rc;
    }
    u->since = now.mono;
    u->since_wall = now.wall;
    *ret_unit = u;
    return VENV_OK;
}

static bool replace(char **text, const char *with)
{
    if (strcmp(*text, with) == 0)
        return true;
    char *copy = strdup(with);
    if (!copy)
        return false;
    free(*text);
    *text = copy;
    return true;
}

bool venv_trigger_unit_set_context(unit *u, const context *c)
{
    return replace(&u->group, c->group) && replace(&u->property, c->property) &&
           replace(&u->reason, c->reason);
}

void venv_trigger_unit_enter(unit *u, venv_trigger_state state, venv_now now)
{
    if (u->state == state)
        return;
    u->state = state;
    u->since = now.mono;
    u->since_wall = now.wall;
    u->changed = true;
}

static venv_instant later(venv_instant at, venv_span by)
{
    venv_instant sum;
    return __builtin_add_overflow(at.ns, by.ns, &sum.ns) ? VENV_INSTANT_NEVER : sum;
}

/* When a unit wants to be evaluated although nothing changes. */
venv_instant venv_trigger_unit_deadline(const trigger *t, const unit *u)
{
    if (u->problem == PROBLEM_LIMITED && !t->has_at)
        return u->limited_until;
    switch (u->state) {
    case VENV_TRIGGER_HOLDING:
        return t->hold_count > 0 ? VENV_INSTANT_NEVER : later(u->since, t->hold);
    case VENV_TRIGGER_COOLING:
        return later(u->fired_at, t->cooldown);
    case VENV_TRIGGER_ACTIVE:
        if (t->cooldown.ns > 0 && u->when_true)
            return later(u->fired_at, t->cooldown);
        return VENV_INSTANT_NEVER;
    case VENV_TRIGGER_IDLE:
    case VENV_TRIGGER_STATE__COUNT:
        break;
    }
    return VENV_INSTANT_NEVER;
}

/* Has `when` been true for long enough, if it is true now? */
bool venv_trigger_unit_is_held(const trigger *t, const unit *u, venv_now now)
{
    if (t->hold_count > 0)
        return u->true_count + 1 >= t->hold_count;
    if (t->hold.ns <= 0 || VENV_SEEDED(HOLD_IGNORED))
        return true;
    return u->state == VENV_TRIGGER_HOLDING && now.mono.ns - u->since.ns >= t->hold.ns;
}

cool venv_trigger_unit_coolness(const trigger *t, const unit *u, venv_now now)
{
    if (t->cooldown.ns <= 0 || VENV_SEEDED(COOLDOWN_IGNORED))
        return COOL_NONE;
    if (VENV_SEEDED(COOLDOWN_BY_WALL))
        return u->ever_fired && now.wall.ns - u->fired_wall.ns < t->cooldown.ns ? COOL_RUNNING : COOL_OVER;
    return u->ever_fired && now.mono.ns - u->fired_at.ns < t->cooldown.ns ? COOL_RUNNING : COOL_OVER;
}
