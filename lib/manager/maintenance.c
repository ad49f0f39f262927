/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes in maintenance: nothing is placed there, and with `drain` what is there leaves.
 *
 *      drain ──► in maintenance ──each machine: migrate, save or stop──► drained (the action has ended)
 *                     │                                                     │
 *                     └────────────── resume: abandoned, or over ◄──────────┘
 *
 * It is part of the node's row: a restart goes on with it. A machine that cannot be seen is waited for, one that could not leave is
 * tried again; both are said. Maintenance holds until somebody ends it, also when the node is empty.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE   4u /* machines of a node that leave at the same time */
#define TRY_AGAIN ((venv_span){ 30 * VENV_NS_PER_S })

static const char *const drain_names[DRAIN__COUNT] = { "none", "migrate", "stop", "save" };
static const change_kind drain_changes[DRAIN__COUNT] = { CHANGE_NONE, CHANGE_MIGRATE, CHANGE_NONE, CHANGE_SAVE };

static bool parse_drain(venv_str text, drain_kind *ret_drain)
{
    for (int k = DRAIN_NONE; k < DRAIN__COUNT; k++)
        if (strlen(drain_names[k]) == text.size && memcmp(drain_names[k], text.data, text.size) == 0) {
            *ret_drain = (drain_kind)k;
            return true;
        }
    return false;
}

/* --- rows and views -------------------------------------------------------------------------------------- */

static size_t left_on(venv_manager *m, const agent *a)
{
    size_t cursor = 0, count = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        bool comes = i->target && strcmp(i->target, a->name) == 0;
        count += comes || (i->node && strcmp(i->node, a->name) == 0 && venv_instance_holds_resources(i->state));
    }
    return count;
}

static void put_common(venv_map_builder *map, const maintenance *x)
{
    venv_map_put(map, "since", venv_value_from_wall(x->since));
    venv_map_put_z(map, "by", x->by);
    if (x->why[0])
        venv_map_put_text(map, "why", x->why, strlen(x->why));
    venv_map_put_z(map, "drain", drain_names[x->drain]);
    if (x->trouble[0])
        venv_map_put_text(map, "trouble", x->trouble, strlen(x->trouble));
    venv_map_put_id(map, "action", x->action);
}

venv_value venv_mgr_maintenance_row(venv_manager *m, const agent *a)
{
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, a->maintenance);
    return venv_mgr_take_map(m, &map);
}

/* What people and triggers see of it: also how many machines are still there. */
venv_value venv_mgr_maintenance_view(venv_manager *m, const agent *a)
{
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, a->maintenance);
    venv_map_put(&map, "left", venv_value_int((int64_t)left_on(m, a)));
    return venv_mgr_take_map(m, &map);
}

static void copy_text(const venv_value *row, const char *key, char *to, size_t size)
{
    venv_str text = venv_value_get_text(row, key);
    snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.data ? text.data : "");
}

void venv_mgr_maintenance_restore(venv_manager *m, agent *a, const venv_value *row)
{
    const venv_value *since = venv_value_get(row, "since");
    if (venv_value_kind(row) != VENV_MAP || a->maintenance || !(a->maintenance = calloc(1, sizeof *a->maintenance))) {
        if (venv_value_kind(row) == VENV_MAP && !a->maintenance)
            venv_mgr_no_memory(m);
        return;
    }
    maintenance *x = a->maintenance;
    if (since)
        (void)venv_value_to_wall(since, &x->since);
    copy_text(row, "by", x->by, sizeof x->by);
    copy_text(row, "why", x->why, sizeof x->why);
    copy_text(row, "trouble", x->trouble, sizeof x->trouble);
    (void)parse_drain(venv_value_get_text(row, "drain"), &x->drain);
    (void)venv_value_get_id(row, "action", &x->action);
}

/* "since … by …: why", for who is refused. */
const char *venv_mgr_maintenance_text(const agent *a, char *text, size_t size)
{
    char wall[VENV_WALL_TEXT_SIZE];
    const maintenance *x = a->maintenance;
    snprintf(text, size, "in maintenance since %s by %.60s%s%.60s", venv_wall_format(x->since, wall), x->by, x->why[0] ? ": " : "", x->why);
    return text;
}

static void changed(venv_manager *m, agent *a)
{
    venv_mgr_agent_touch(m, a);
    venv_mgr_place_stale(m);
    venv_mgr_world_stale(m, a);
    venv_triggers_note_agent(m->triggers, a->name);
}

static void set_trouble(venv_manager *m, agent *a, const char *text)
{
    if (strcmp(a->maintenance->trouble, text) == 0)
        return;
    venv_mgr_set_reason(a->maintenance->trouble, text);
    venv_mgr_agent_touch(m, a);
}

/* --- what people ask for ----------------------------------------------------------------------------------- */

static void abandon(venv_manager *m, agent *a, const char *why)
{
    deed *d = venv_mgr_deed_find(m, a->maintenance->action);
    if (d && venv_mgr_deed_is_open(d))
        venv_mgr_deed_end(m, d, VENV_ECANCELED, why);
}

static venv_rc begin(venv_manager *m, agent *a, const char *by, venv_id id, drain_kind drain, const char *why, venv_error *err)
{
    if (!a->maintenance && !(a->maintenance = calloc(1, sizeof *a->maintenance)))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    maintenance *x = a->maintenance;
    abandon(m, a, "it was asked for anew");
    if (x->since.ns == 0)
        x->since = m->now.wall;
    snprintf(x->by, sizeof x->by, "%s", by);
    snprintf(x->why, sizeof x->why, "%s", why);
    x->trouble[0] = '\0';
    x->drain = drain;
    x->action = id;
    deed *d = venv_mgr_deed_new(m, id, (venv_id){ { 0 } }, "drain", a->name, by);
    if (!d)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_mgr_event_add(m, "node-maintenance", a->name, id, venv_value_null(), "%s puts node %s in maintenance%s%s%s%s", by, a->name,
                       drain ? "; what is there is to go by: " : "", drain ? drain_names[drain] : "", why[0] ? "; " : "", why);
    d->origin = m->revision;
    venv_mgr_deed_children_begin(m, d); /* it is over when nothing is left there */
    changed(m, a);
    return VENV_OK;
}

/* It is no agent any more. */
void venv_mgr_maintenance_forget(venv_manager *m, agent *a)
{
    if (a->maintenance)
        abandon(m, a, "the agent was forgotten");
}

static void end(venv_manager *m, agent *a, const char *by, venv_id id)
{
    char text[REASON_MAX];
    if (!a->maintenance)
        return;
    snprintf(text, sizeof text, "abandoned: %s takes node %s out of maintenance", by, a->name);
    abandon(m, a, text);
    free(a->maintenance);
    a->maintenance = NULL;
    venv_mgr_event_add(m, "node-resumed", a->name, id, venv_value_null(), "%s takes node %s out of maintenance", by, a->name);
    changed(m, a);
}

venv_rc venv_mgr_maintenance_change(venv_manager *m, const char *by, venv_id id, const venv_value *body, agent **ret_agent, venv_error *err)
{
    char name[VENV_NAME_MAX + 1], raw[REASON_MAX], why[REASON_MAX];
    venv_str node = venv_value_get_text(body, "agent"), verb = venv_value_get_text(body, "verb"), text = venv_value_get_text(body, "why");
    const venv_value *how = venv_value_get(body, "by");
    drain_kind drain = DRAIN_NONE;
    bool drains = verb.size == 5 && memcmp(verb.data, "drain", 5) == 0;
    agent *a = venv_mgr_fits_name(node, name) ? venv_mgr_agent_find(m, name) : NULL;
    if (!drains && !(verb.size == 6 && memcmp(verb.data, "resume", 6) == 0))
        return venv_error_set(err, VENV_EINVAL, "verb: expected drain or resume");
    if (!a)
        return venv_error_set(err, VENV_ENOENT, "no agent is called '%.*s'", (int)(node.size < 64 ? node.size : 64), node.data ? node.data : "");
    if (how && (!drains || !parse_drain(venv_value_get_text(body, "by"), &drain)))
        return venv_error_set(err, VENV_EINVAL, "by: expected migrate, stop, save or none, to drain a node");
    snprintf(raw, sizeof raw, "%.*s", (int)(text.size < 200 ? text.size : 200), text.data ? text.data : "");
    venv_mgr_set_reason(why, raw);
    *ret_agent = a;
    if (drains)
        return begin(m, a, by, id, drain, why, err);
    end(m, a, by, id);
    return VENV_OK;
}

/* --- machines leave ------------------------------------------------------------------------------------------ */

/* True: it is on its way out, or was sent there now. */
static bool send_away(venv_manager *m, agent *a, instance *i, venv_id parent)
{
    const maintenance *x = a->maintenance;
    venv_error err = { 0 };
    if (i->change_kind != CHANGE_NONE || i->stop_wanted || i->target)
        return true;
    if ((i->state != VENV_INSTANCE_RUNNING && i->state != VENV_INSTANCE_PAUSED) || i->leave_again.ns > m->now.mono.ns)
        return false;
    venv_rc rc = x->drain == DRAIN_STOP ? venv_mgr_stop_begin(m, i, parent, x->by, false, m->config->grace, &err)
                                        : venv_mgr_change_begin(m, i, drain_changes[x->drain], parent, x->by, NULL, &err);
    if (rc == VENV_OK)
        return true;
    i->leave_again = venv_mgr_after(m, TRY_AGAIN);
    set_trouble(m, a, err.text);
    return false;
}

static void drain_node(venv_manager *m, agent *a)
{
    size_t cursor = 0, leaving = 0, left = 0;
    void *item;
    maintenance *x = a->maintenance;
    deed *d = venv_mgr_deed_find(m, x->action);
    bool drains = x->drain != DRAIN_NONE && !venv_mgr_guard_holds(m);
    if (!d || !venv_mgr_deed_is_open(d))
        return;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        bool comes = i->target && strcmp(i->target, a->name) == 0;
        if (!comes && (!i->node || strcmp(i->node, a->name) != 0 || !venv_instance_holds_resources(i->state)))
            continue;
        left++;
        if (drains && !comes && leaving < AT_ONCE)
            leaving += send_away(m, a, i, d->id);
    }
    if (left > 0 || d->open > 1)
        return;
    set_trouble(m, a, "");
    venv_mgr_event_add(m, "node-drained", a->name, d->id, venv_value_null(), "node %s is empty; it stays in maintenance until `node resume`", a->name);
    d->failed = d->unknown = 0; /* what did not work at first has been done since */
    d->error[0] = '\0';
    venv_mgr_deed_children_made(m, d);
}

void venv_mgr_maintenance_sweep(venv_manager *m)
{
    size_t cursor = 0;
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor)))
        if (member->data && ((agent *)member->data)->maintenance)
            drain_node(m, member->data);
}
