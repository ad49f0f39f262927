/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable actions: what a person or a trigger asked for. Each has an id, a parent, who asked, a state, a reason
 * and a result, and is a row from the moment it is accepted.
 *
 *      pending → running → done | failed | unknown
 *
 * A deed with children (a start of three instances) ends when all of them have. A time-out gives
 * `unknown`, never `failed`: it may have been done.
 */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[DEED_STATE__COUNT] = { "pending", "running", "done", "failed", "unknown" };

venv_rc venv_mgr_rc_parse(venv_str name)
{
    for (int rc = 0; rc >= VENV_EINTERNAL; rc--) {
        const char *text = venv_rc_name((venv_rc)rc);
        if (strlen(text) == name.size && memcmp(text, name.data, name.size) == 0)
            return (venv_rc)rc;
    }
    return VENV_EINTERNAL;
}

deed *venv_mgr_deed_find(venv_manager *m, venv_id id)
{
    return venv_table_find(m->deeds, id.bytes, sizeof id.bytes);
}

/* The deed whose id this is, or begins with this text of at least eight characters. */
const deed *venv_mgr_deed_by_text(venv_manager *m, venv_str name)
{
    venv_id id;
    if (venv_id_parse(name, &id))
        return venv_mgr_deed_find(m, id);
    size_t cursor = 0;
    void *item;
    char text[VENV_ID_TEXT_SIZE];
    while (name.size >= 8 && name.size < VENV_ID_TEXT_SIZE && venv_table_next(m->deeds, &cursor, NULL, &item))
        if (memcmp(venv_id_format(((deed *)item)->id, text), name.data, name.size) == 0)
            return item;
    return NULL;
}

void venv_mgr_deed_free(deed *d)
{
    if (!d)
        return;
    free(d->subject);
    venv_value_unref(&d->result);
    venv_value_unref(&d->delivery);
    free(d);
}

bool venv_mgr_deed_is_open(const deed *d)
{
    return d->state == DEED_PENDING || d->state == DEED_RUNNING;
}

void venv_mgr_deed_touch(venv_manager *m, deed *d)
{
    if (d->dirty)
        return;
    if (m->dirty_deed_count == m->dirty_deed_capacity) {
        size_t capacity = m->dirty_deed_capacity ? m->dirty_deed_capacity * 2 : 8;
        deed **grown = realloc(m->dirty_deeds, capacity * sizeof *grown);
        if (!grown) {
            venv_mgr_no_memory(m);
            return;
        }
        m->dirty_deeds = grown;
        m->dirty_deed_capacity = capacity;
    }
    d->dirty = true;
    m->dirty_deeds[m->dirty_deed_count++] = d;
}

deed *venv_mgr_deed_new(venv_manager *m, venv_id id, venv_id parent, const char *kind, const char *subject, const char *by)
{
    deed *d = calloc(1, sizeof *d);
    if (!d || !(d->subject = strdup(subject)) ||
        venv_table_add(m->deeds, id.bytes, sizeof id.bytes, d, NULL) != VENV_OK) {
        venv_mgr_deed_free(d);
        venv_mgr_no_memory(m);
        return NULL;
    }
    d->id = id;
    d->parent = parent;
    snprintf(d->kind, sizeof d->kind, "%s", kind);
    snprintf(d->by, sizeof d->by, "%s", by);
    d->made = m->now.wall;
    d->deadline = VENV_INSTANT_NEVER;
    deed *up = venv_mgr_deed_find(m, parent);
    if (up) {
        d->origin = up->origin;
        up->is_parent = true;
        up->open += VENV_SEEDED(CHILD_COUNTED_TWICE) ? 2 : 1;
        venv_mgr_deed_touch(m, up);
    }
    venv_mgr_deed_touch(m, d);
    return d;
}

/* The sweep looks at none of them before the first of their times: most are kept for their answers only. */
static void look_again(venv_manager *m, const deed *d)
{
    if (venv_mgr_deed_is_open(d) && d->deadline.ns < m->deeds_due.ns)
        m->deeds_due = d->deadline;
}

void venv_mgr_deed_run(venv_manager *m, deed *d, venv_span timeout)
{
    d->state = DEED_RUNNING;
    d->time = timeout;
    d->deadline = timeout.ns > 0 ? venv_mgr_after(m, timeout) : VENV_INSTANT_NEVER;
    look_again(m, d);
    venv_mgr_deed_touch(m, d);
}

static void tell_end(venv_manager *m, const deed *d)
{
    char kind[48];
    if (strcmp(d->kind, "firing") == 0)
        return; /* the trigger's own event and those of its actions say it */
    snprintf(kind, sizeof kind, "action-%s", state_names[d->state]);
    venv_mgr_event_add(m, kind, d->subject, d->id, venv_value_null(), "%s %s by %s: %s%s%s", d->kind, d->subject, d->by,
              state_names[d->state], d->error[0] ? ": " : "", d->error);
}

/* As its children have. */
static void end_parent(venv_manager *m, deed *up)
{
    char why[REASON_MAX];
    snprintf(why, sizeof why, "%s", up->error);
    venv_mgr_deed_end(m, up, up->failed > 0 ? VENV_ECONFLICT : up->unknown > 0 ? VENV_EUNKNOWN : VENV_OK, why);
}

void venv_mgr_deed_children_begin(venv_manager *m, deed *d)
{
    d->is_parent = true;
    venv_mgr_deed_run(m, d, (venv_span){ 0 });
    d->open++; /* not over before all are made */
}

void venv_mgr_deed_children_made(venv_manager *m, deed *d)
{
    d->open--;
    if (d->open == 0 && venv_mgr_deed_is_open(d))
        end_parent(m, d);
}

static void child_ended(venv_manager *m, const deed *child)
{
    deed *up = venv_mgr_deed_find(m, child->parent);
    if (!up || !up->is_parent || up->open == 0)
        return;
    up->open--;
    up->failed += child->state == DEED_FAILED;
    up->unknown += child->state == DEED_UNKNOWN;
    if (up->failed + up->unknown > 0 && up->error[0] == '\0')
        venv_mgr_set_reason(up->error, child->error);
    venv_mgr_deed_touch(m, up);
    if ((up->open > 0 && !VENV_SEEDED(PARENT_ENDS_EARLY)) || !venv_mgr_deed_is_open(up))
        return;
    end_parent(m, up);
}

/* `rc` VENV_OK: done. VENV_EUNKNOWN and what is like it: unknown. Anything else: failed. */
void venv_mgr_deed_end(venv_manager *m, deed *d, venv_rc rc, const char *error)
{
    if (!venv_mgr_deed_is_open(d))
        return;
    d->state = rc == VENV_OK ? DEED_DONE : rc == VENV_EUNKNOWN || rc == VENV_ETIMEDOUT ? DEED_UNKNOWN : DEED_FAILED;
    if (VENV_SEEDED(TIMEOUT_IS_FAILURE) && rc == VENV_ETIMEDOUT)
        d->state = DEED_FAILED;
    d->rc = rc;
    if (rc != VENV_OK && error)
        venv_mgr_set_reason(d->error, error);
    d->ended = m->now.wall;
    d->ran = venv_mgr_ran(m);
    d->deadline = VENV_INSTANT_NEVER;
    venv_mgr_deed_touch(m, d);
    tell_end(m, d);
    child_ended(m, d);
}

/* It had ended, by its time or by a restart: that stays. What came of it is told, because people look for it. */
void venv_mgr_deed_late(venv_manager *m, const deed *d, venv_rc rc, const char *error)
{
    venv_mgr_event_add(m, "action-late", d->subject, d->id, venv_value_null(), "%s %s by %s ended as %s; its result came later: %s%s%s", d->kind,
                       d->subject, d->by, state_names[d->state], venv_rc_name(rc), error && error[0] ? ": " : "", error ? error : "");
}

/* --- rows and views ------------------------------------------------------------------------------------ */

static void put_common(venv_map_builder *map, const deed *d)
{
    venv_map_put_id(map, "id", d->id);
    venv_map_put_z(map, "kind", d->kind);
    venv_map_put_text(map, "subject", d->subject, strlen(d->subject));
    venv_map_put_z(map, "state", state_names[d->state]);
    venv_map_put_z(map, "by", d->by);
    venv_map_put(map, "made", venv_value_from_wall(d->made));
    if (!venv_id_is_none(d->parent))
        venv_map_put_id(map, "parent", d->parent);
    if (d->origin > 0)
        venv_map_put(map, "origin", venv_value_uint(d->origin));
    if (!venv_mgr_deed_is_open(d)) {
        venv_map_put(map, "ended", venv_value_from_wall(d->ended));
        venv_map_put_z(map, "rc", venv_rc_name(d->rc));
    }
    if (d->error[0])
        venv_map_put_text(map, "error", d->error, strlen(d->error));
    if (d->reason[0])
        venv_map_put_text(map, "reason", d->reason, strlen(d->reason));
}

venv_value venv_mgr_deed_row(venv_manager *m, const deed *d)
{
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, d);
    if (d->time.ns > 0 && venv_mgr_deed_is_open(d))
        venv_map_put(&map, "timeout", venv_value_from_span(d->time));
    if (!venv_mgr_deed_is_open(d))
        venv_mgr_put_ran(&map, d->ran);
    if (d->is_parent) {
        venv_map_put(&map, "open", venv_value_int(d->open));
        venv_map_put(&map, "failed", venv_value_int(d->failed));
        venv_map_put(&map, "unknown", venv_value_int(d->unknown));
    }
    if (venv_value_kind(&d->result) != VENV_NULL)
        venv_map_put(&map, "result", venv_value_ref(&d->result));
    if (venv_value_kind(&d->delivery) != VENV_NULL && venv_mgr_deed_is_open(d))
        venv_map_put(&map, "delivery", venv_value_ref(&d->delivery));
    return venv_mgr_take_map(m, &map);
}

venv_value venv_mgr_deed_view(venv_manager *m, const deed *d, bool whole)
{
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, d);
    if (whole && venv_value_kind(&d->result) != VENV_NULL)
        venv_map_put(&map, "result", venv_value_ref(&d->result));
    return venv_mgr_take_map(m, &map);
}

static void copy_field(const venv_value *row, const char *key, char *to, size_t size)
{
    venv_str text = venv_value_get_text(row, key);
    snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.data ? text.data : "");
}

static void copy_wall(const venv_value *row, const char *key, venv_wall *to)
{
    const venv_value *value = venv_value_get(row, key);
    if (value)
        venv_value_to_wall(value, to);
}

bool venv_mgr_deed_restore(venv_manager *m, venv_id id, const venv_value *row)
{
    venv_str state = venv_value_get_text(row, "state");
    unsigned at = 0;
    while (at < DEED_STATE__COUNT && (strlen(state_names[at]) != state.size || memcmp(state_names[at], state.data, state.size) != 0))
        at++;
    deed *d = at < DEED_STATE__COUNT ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return false;
    d->id = id;
    d->state = (deed_state)at;
    d->subject = venv_mgr_copy_str(m, venv_value_get_text(row, "subject"));
    copy_field(row, "kind", d->kind, sizeof d->kind);
    copy_field(row, "by", d->by, sizeof d->by);
    copy_field(row, "error", d->error, sizeof d->error);
    copy_field(row, "reason", d->reason, sizeof d->reason);
    copy_wall(row, "made", &d->made);
    copy_wall(row, "ended", &d->ended);
    d->ran = venv_mgr_get_ran(m, row);
    venv_value_get_id(row, "parent", &d->parent);
    d->origin = venv_mgr_get_uint(row, "origin");
    d->rc = venv_mgr_deed_is_open(d) ? VENV_OK : venv_mgr_rc_parse(venv_value_get_text(row, "rc"));
    d->is_parent = venv_value_get(row, "open") != NULL;
    d->open = (uint32_t)venv_value_get_int(row, "open", 0);
    d->failed = (uint32_t)venv_value_get_int(row, "failed", 0);
    d->unknown = (uint32_t)venv_value_get_int(row, "unknown", 0);
    const venv_value *result = venv_value_get(row, "result"), *delivery = venv_value_get(row, "delivery");
    if ((result && venv_value_dup(result, &d->result, NULL) != VENV_OK) ||
        (delivery && venv_value_dup(delivery, &d->delivery, NULL) != VENV_OK))
        venv_mgr_no_memory(m);
    /* What ran when the manager ended has the whole of its time again: a migration more than a start. */
    const venv_value *time = venv_value_get(row, "timeout");
    if (time && (!venv_value_to_span(time, &d->time) || d->time.ns < 0))
        d->time.ns = 0;
    venv_span again = d->time.ns > 0 ? d->time : m->config->action_timeout;
    d->deadline = venv_mgr_deed_is_open(d) && !d->is_parent ? venv_mgr_after(m, again) : VENV_INSTANT_NEVER;
    look_again(m, d);
    if (!d->subject || venv_table_add(m->deeds, id.bytes, sizeof id.bytes, d, NULL) != VENV_OK) {
        venv_mgr_deed_free(d);
        venv_mgr_no_memory(m);
        return false;
    }
    return true;
}

/* --- time ------------------------------------------------------------------------------------------------ */

/* A stop that no node was ever told of ends with its time: it must not happen much later, out of the blue. */
static void forget_stop(venv_manager *m, const deed *d)
{
    size_t cursor = 0;
    void *item;
    while (strcmp(d->kind, "stop") == 0 && venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (!venv_id_equal(i->stop, d->id) || i->stop_told)
            continue;
        i->stop_wanted = i->force = false;
        venv_mgr_instance_touch(m, i);
    }
}

/*
 * A start that is not running in time is as bad as one that failed: it counts, and if its node can be seen another one is tried. True: it is,
 * and its action goes on.
 */
static bool start_hangs(venv_manager *m, deed *d)
{
    size_t cursor = 0;
    void *item;
    while (strcmp(d->kind, "start") == 0 && venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (!venv_id_equal(i->start, d->id) || i->state != VENV_INSTANCE_STARTING || i->confirmed || i->booted || !venv_id_is_none(i->fence))
            continue;
        venv_mgr_start_failed(m, i, VENV_ETIMEDOUT, "");
        if (!venv_mgr_agent_can_act(i->node ? venv_mgr_agent_find(m, i->node) : NULL) || !venv_mgr_instance_try_elsewhere(m, i, "it hangs: it is not running in time"))
            return false;
        venv_mgr_deed_run(m, d, m->config->action_timeout);
        return true;
    }
    return false;
}

void venv_mgr_deeds_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    if (m->deeds_due.ns > m->now.mono.ns)
        return;
    m->deeds_due = VENV_INSTANT_NEVER;
    while (venv_table_next(m->deeds, &cursor, NULL, &item)) {
        deed *d = item;
        gather *g = NULL;
        bool due = venv_mgr_deed_is_open(d) && d->deadline.ns <= m->now.mono.ns;
        if (!due || (g = venv_mgr_gather_of_deed(m, d->id))) { /* g: it has a time-out of its own, with the answers that came */
            look_again(m, d);
            continue;
        }
        if (start_hangs(m, d))
            continue;
        venv_mgr_deed_end(m, d, VENV_ETIMEDOUT, "no result came in time: it may or may not have been done");
        forget_stop(m, d);
        venv_mgr_change_timed_out(m, d);
    }
}
