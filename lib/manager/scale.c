/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `scale`: as many instances of an environment as are desired, by the manager itself.
 *
 *      desired, min, max ──► wanted ──more, for `up`────► those that drain come back; saved ones are restored; others are started
 *      instances ──────────► there  ──fewer, for `down`─► those that never ran are stopped; idle ones are drained, and stopped or saved
 *
 * Which goes first: one that never ran; one on a node in maintenance; of these, and else, the youngest. One that has work goes
 * never, nor one of which nobody can tell, nor one that cannot be seen. Where `desired` is unknown nothing changes, but
 * there are never fewer than `min`. A failed start counts for its breaker as any other, and while that is open none
 * is made. The two clocks begin anew with the manager.
 */
#include "manager/internal.h"

#include "trigger/ask.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const venv_id none = { { 0 } };

struct venv_mgr_scaler {
    char name[VENV_NAME_MAX + 1];
    int64_t wanted, there, draining, parked, leaving; /* leaving: on their way out, and not gone */
    bool known;
    venv_instant more, fewer;   /* since when; NEVER: it is not so */
    char why[REASON_MAX], last[REASON_MAX];
    venv_wall last_wall;
};
typedef struct venv_mgr_scaler scaler;

static scaler *scaler_of(venv_manager *m, const char *name, bool make)
{
    scaler *s = m->scalers ? venv_table_find(m->scalers, name, strlen(name)) : NULL;
    if (s || !make)
        return s;
    if (!m->scalers && venv_table_new(m->seed, VENV_MGR_SCALERS_MAX, &m->scalers, NULL) != VENV_OK) {
        venv_mgr_no_memory(m);
        return NULL;
    }
    s = calloc(1, sizeof *s);
    if (s) {
        snprintf(s->name, sizeof s->name, "%s", name);
        s->more = s->fewer = VENV_INSTANT_NEVER;
    }
    if (!s || venv_table_add(m->scalers, name, strlen(name), s, NULL) != VENV_OK) {
        free(s);
        venv_mgr_no_memory(m);
        return NULL;
    }
    return s;
}

void venv_mgr_scalers_free(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (m->scalers && venv_table_next(m->scalers, &cursor, NULL, &item))
        free(item);
    venv_table_free(m->scalers);
}

/* --- how many ------------------------------------------------------------------------------------------------ */

static bool is_there(const instance *i)
{
    return venv_instance_is_wanted(i->state) && !i->stop_wanted;
}

static void count(venv_manager *m, scaler *s)
{
    size_t cursor = 0;
    void *item;
    s->there = s->draining = s->parked = s->leaving = 0;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (strcmp(i->environment, s->name) != 0)
            continue;
        s->there += is_there(i);
        s->leaving += !is_there(i) && venv_instance_holds_resources(i->state);
        s->draining += venv_mgr_drain_is_on(i);
        s->parked += i->parked && i->state == VENV_INSTANCE_SAVED && !i->stop_wanted;
    }
}

static bool number_of(const venv_value *value, double *ret)
{
    switch (venv_value_kind(value)) {
    case VENV_INT:
        *ret = (double)venv_value_peek_int(value);
        return true;
    case VENV_UINT:
        *ret = (double)venv_value_peek_uint(value);
        return true;
    case VENV_DOUBLE:
        *ret = venv_value_peek_double(value);
        return !isnan(*ret);
    default:
        return false;
    }
}

static void want(venv_manager *m, scaler *s, const venv_environment *e)
{
    const venv_definition_scale *scale = &venv_environment_peek(e)->scale;
    const venv_expr *desired = venv_environment_desired(e);
    venv_value value = venv_value_null();
    char why[REASON_MAX] = "it was not compiled";
    double number = 0;
    venv_rc rc = desired ? venv_asker_ask(m->asker, desired, m->now, NULL, NULL, &value, why, sizeof why) : VENV_EINVAL;
    if (rc == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    s->known = rc == VENV_OK && number_of(&value, &number);
    if (!s->known) {
        s->wanted = s->there > (int64_t)scale->min ? s->there : (int64_t)scale->min;
        snprintf(s->why, sizeof s->why, "desired %s: %.180s; it stays as it is", rc == VENV_EUNKNOWN ? "is unknown" : "failed",
                 rc == VENV_OK ? "it is no number" : why);
        return;
    }
    double up = ceil(number);
    s->wanted = up <= scale->min ? scale->min : up >= scale->max ? scale->max : (int64_t)up;
    snprintf(s->why, sizeof s->why, "%lld wanted (desired is %g, min %u, max %u), %lld there", (long long)s->wanted, number, scale->min, scale->max,
             (long long)s->there);
}

/* --- doing it ------------------------------------------------------------------------------------------------ */

static deed *action_new(venv_manager *m, scaler *s, const char *kind, const char *text)
{
    char by[BY_MAX];
    if (venv_table_count(m->deeds) + 1 >= DEEDS_MAX)
        return NULL;
    snprintf(by, sizeof by, "scale/%s", s->name);
    venv_mgr_set_reason(s->last, text);
    s->last_wall = m->now.wall;
    venv_id id = venv_random_id(&m->random);
    venv_mgr_event_add(m, kind, s->name, id, venv_value_null(), "%s: %s", s->name, s->last);
    deed *d = venv_mgr_deed_new(m, id, none, "scale", s->name, by);
    if (d) {
        d->origin = m->revision;
        venv_mgr_set_reason(d->reason, s->last);
        venv_mgr_deed_children_begin(m, d);
    }
    return d;
}

/* The ones of an environment for which `is` holds; the caller frees. */
static instance **select_some(venv_manager *m, const scaler *s, bool (*is)(venv_manager *m, instance *i), size_t *ret_count)
{
    instance **list = calloc(venv_table_count(m->instances) + 1, sizeof *list);
    size_t cursor = 0;
    void *item;
    *ret_count = 0;
    if (!list)
        venv_mgr_no_memory(m);
    while (list && venv_table_next(m->instances, &cursor, NULL, &item))
        if (strcmp(((instance *)item)->environment, s->name) == 0 && is(m, item))
            list[(*ret_count)++] = item;
    return list;
}

static int youngest_first(const void *a, const void *b)
{
    const instance *x = *(instance *const *)a, *y = *(instance *const *)b;
    if (x->made.ns != y->made.ns)
        return x->made.ns > y->made.ns ? -1 : 1;
    return strcmp(y->name, x->name);
}

static bool drains_here(venv_manager *m, instance *i)
{
    (void)m;
    return venv_mgr_drain_is_on(i) && i->drain_by_scale;
}

/* Demand is back: those that still drain come first, the oldest of them. */
static int64_t take_back(venv_manager *m, scaler *s, int64_t missing)
{
    size_t n = 0;
    int64_t back = 0;
    instance **list = select_some(m, s, drains_here, &n);
    if (n > 1)
        qsort(list, n, sizeof *list, youngest_first);
    while (n-- > 0 && back < missing) {
        venv_mgr_drain_abandon(m, list[n], "it is wanted again");
        back++;
    }
    free(list);
    return back;
}

static bool is_parked(venv_manager *m, instance *i)
{
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    return i->parked && i->state == VENV_INSTANCE_SAVED && !i->stop_wanted && i->change_kind == CHANGE_NONE && a && a->peer && a->machines_known &&
           a->reachable && !a->maintenance && i->leave_again.ns <= m->now.mono.ns;
}

static int64_t restore_some(venv_manager *m, scaler *s, deed *d, int64_t missing)
{
    size_t n = 0;
    int64_t done = 0;
    instance **list = select_some(m, s, is_parked, &n);
    for (size_t k = 0; k < n && done < missing; k++) {
        venv_error err = { 0 };
        if (venv_mgr_change_begin(m, list[k], CHANGE_RESTORE, d->id, d->by, NULL, &err) == VENV_OK)
            done++;
        else
            list[k]->leave_again = venv_mgr_after(m, (venv_span){ 60 * VENV_NS_PER_S });
    }
    free(list);
    return done;
}

static void grow(venv_manager *m, scaler *s, const venv_definition_scale *scale)
{
    char text[REASON_MAX + 64], open[REASON_MAX];
    venv_error err = { 0 };
    int64_t missing = s->wanted - s->there - take_back(m, s, s->wanted - s->there);
    int64_t room = (int64_t)scale->max - s->there - s->leaving; /* there are never more, also while some are being stopped */
    if (missing > room)
        missing = room;
    if (missing <= 0 || m->now.mono.ns - s->more.ns < scale->up.ns)
        return;
    if (scale->step_up > 0 && missing > scale->step_up)
        missing = scale->step_up;
    if (venv_mgr_breaker_refuses(m, false, s->name, open, sizeof open)) {
        snprintf(text, sizeof text, "; none is started: %.100s", open);
        size_t used = strlen(s->why);
        snprintf(s->why + used, sizeof s->why - used, "%s", text);
        return;
    }
    snprintf(text, sizeof text, "%s: %lld more", s->why, (long long)missing);
    deed *d = action_new(m, s, "scale-up", text);
    if (!d)
        return;
    int64_t left = missing - restore_some(m, s, d, missing);
    if (left > (int64_t)START_COUNT_MAX)
        left = (int64_t)START_COUNT_MAX;
    deed *start = left > 0 ? venv_mgr_deed_new(m, venv_random_id(&m->random), d->id, "start", s->name, d->by) : NULL;
    if (start && venv_mgr_verb_start(m, start, s->name, NULL, left, &err) != VENV_OK)
        venv_mgr_deed_end(m, start, err.rc, err.text);
    s->more = m->now.mono; /* the next step waits as long again */
    venv_mgr_deed_children_made(m, d);
}

/* --- who goes ------------------------------------------------------------------------------------------------ */

static bool never_ran(venv_manager *m, instance *i)
{
    (void)m;
    return is_there(i) && !i->confirmed && i->state != VENV_INSTANCE_LOST;
}

static bool can_go(venv_manager *m, instance *i)
{
    char why[REASON_MAX];
    bool idle = false;
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    bool seen = a && a->peer && a->machines_known && a->reachable;
    return seen && i->state == VENV_INSTANCE_RUNNING && i->confirmed && is_there(i) && i->change_kind == CHANGE_NONE && !venv_mgr_drain_is_on(i) &&
           venv_mgr_instance_idle(m, i, &idle, why, sizeof why) == VENV_OK && idle;
}

static bool in_maintenance(venv_manager *m, const instance *i)
{
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    return a && a->maintenance;
}

static int64_t send_away(venv_manager *m, scaler *s, const venv_definition_scale *scale, deed *d, int64_t too_many)
{
    size_t n = 0;
    int64_t gone = 0;
    instance **list = select_some(m, s, never_ran, &n);
    if (n > 1)
        qsort(list, n, sizeof *list, youngest_first);
    for (size_t k = 0; k < n && gone < too_many; k++)
        gone += venv_mgr_stop_begin(m, list[k], d->id, d->by, false, m->config->grace, NULL) == VENV_OK;
    free(list);
    list = select_some(m, s, can_go, &n);
    if (n > 1)
        qsort(list, n, sizeof *list, youngest_first);
    for (int pass = 0; pass < 2; pass++)
        for (size_t k = 0; k < n && gone < too_many; k++) {
            if (in_maintenance(m, list[k]) != (pass == 0))
                continue;
            drain_wish wish = { .save = scale->by == VENV_SCALE_BY_SAVE, .by_scale = true, .grace = m->config->grace };
            snprintf(wish.why, sizeof wish.why, "too many, idle, and %s", pass == 0 ? "its node is in maintenance" : "the youngest that is");
            gone += venv_mgr_drain_begin(m, list[k], d->id, d->by, &wish, NULL) == VENV_OK;
        }
    free(list);
    return gone;
}

static bool any_can_go(venv_manager *m, const scaler *s)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item))
        if (strcmp(((instance *)item)->environment, s->name) == 0 && (never_ran(m, item) || can_go(m, item)))
            return true;
    return false;
}

static void shrink(venv_manager *m, scaler *s, const venv_definition_scale *scale)
{
    char text[REASON_MAX + 64];
    int64_t too_many = s->there - s->wanted;
    if (m->now.mono.ns - s->fewer.ns < scale->down.ns)
        return;
    if (scale->step_down > 0 && too_many > scale->step_down)
        too_many = scale->step_down;
    if (!any_can_go(m, s)) {
        size_t used = strlen(s->why);
        snprintf(s->why + used, sizeof s->why - used, "; none of them is idle, as far as anybody can tell");
        return;
    }
    snprintf(text, sizeof text, "%s: %lld fewer", s->why, (long long)too_many);
    deed *d = action_new(m, s, "scale-down", text);
    if (!d)
        return;
    send_away(m, s, scale, d, too_many);
    s->fewer = m->now.mono;
    venv_mgr_deed_children_made(m, d);
}

static void since(venv_manager *m, venv_instant *clock, bool is)
{
    if (!is)
        *clock = VENV_INSTANT_NEVER;
    else if (clock->ns == VENV_INSTANT_NEVER.ns)
        *clock = m->now.mono;
}

static void scale_one(venv_manager *m, const venv_environment *e)
{
    const venv_definition_scale *scale = &venv_environment_peek(e)->scale;
    scaler *s = scaler_of(m, venv_environment_name(e), true);
    if (!s)
        return;
    count(m, s);
    want(m, s, e);
    since(m, &s->more, s->wanted > s->there);
    since(m, &s->fewer, s->wanted < s->there);
    if (s->wanted > s->there)
        grow(m, s, scale);
    else if (s->fewer.ns != VENV_INSTANT_NEVER.ns)
        shrink(m, s, scale);
}

void venv_mgr_scale_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    if (venv_mgr_guard_holds(m))
        return;
    while (venv_table_next(m->environments, &cursor, NULL, &item))
        if (venv_environment_peek(item)->scale.given)
            scale_one(m, item);
}

/* --- what people see ----------------------------------------------------------------------------------------- */

static void put_clock(venv_manager *m, venv_map_builder *map, const char *key, venv_instant begun, venv_span whole)
{
    int64_t left = whole.ns - (m->now.mono.ns - begun.ns);
    if (begun.ns != VENV_INSTANT_NEVER.ns)
        venv_map_put(map, key, venv_value_from_span((venv_span){ left > 0 ? left : 0 }));
}

venv_value venv_mgr_scale_view(venv_manager *m, const venv_environment *e)
{
    const venv_definition_scale *scale = &venv_environment_peek(e)->scale;
    const scaler *s = scaler_of(m, venv_environment_name(e), false);
    venv_map_builder map;
    if (!scale->given || !s)
        return venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "wanted", venv_value_int(s->wanted));
    venv_map_put(&map, "there", venv_value_int(s->there));
    venv_map_put(&map, "draining", venv_value_int(s->draining));
    venv_map_put(&map, "saved", venv_value_int(s->parked));
    venv_map_put(&map, "known", venv_value_bool(s->known));
    venv_map_put_text(&map, "why", s->why, strlen(s->why));
    put_clock(m, &map, "more_in", s->more, scale->up);
    put_clock(m, &map, "fewer_in", s->fewer, scale->down);
    if (s->last[0]) {
        venv_map_put_text(&map, "last", s->last, strlen(s->last));
        venv_map_put(&map, "last_time", venv_value_from_wall(s->last_wall));
    }
    return venv_mgr_take_map(m, &map);
}
