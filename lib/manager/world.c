/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What expressions see: agents as maps, queues summed over agents, instances as lists. What could not be
 * looked at is unknown, never zero.
 */
#include "manager/internal.h"

#include "trigger/view.h"

#include <stdio.h>
#include <string.h>

void venv_mgr_world_stale(venv_manager *m, agent *a)
{
    if (a)
        venv_value_unref(&a->cached);
    m->agents_stale = true;
}

/* The value of a property, or unknown. A value of an agent that is silent or away may have changed since. */
static bool is_known(venv_manager *m, const agent *a, const kept_property *p)
{
    return venv_mgr_agent_is_connected(m, a) && p->quality == VENV_QUALITY_OK;
}

/*
 * An agent that was there before the manager was restarted, and had no fair time to come back yet: that it is not connected
 * says nothing about it.
 */
static bool is_awaited(const venv_member *member)
{
    return !member->seen && member->state != VENV_MEMBER_LOST;
}

static venv_value groups_value(venv_manager *m, const venv_member *member)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < member->group_count; i++)
        venv_list_add_text(&list, venv_groups_group_of(member, i));
    return venv_mgr_take_list(m, &list);
}

/* Its two times change with every frame, most of which change nothing else. */
static bool is_fresh(const agent *a, const venv_member *member)
{
    return venv_value_kind(&a->cached) != VENV_NULL && a->cached_updated.ns == a->updated.ns &&
           (!member || a->cached_heard.ns == member->heard_wall.ns);
}

static const venv_value *agent_value(venv_manager *m, agent *a)
{
    const venv_member *member = venv_groups_member(m->groups, a->name);
    if (is_fresh(a, member))
        return &a->cached;
    venv_value_unref(&a->cached);
    a->cached_updated = a->updated;
    a->cached_heard = member ? member->heard_wall : (venv_wall){ 0 };
    venv_agent_view view = venv_agent_view_begin(a->name);
    venv_map_builder p;
    venv_map_init(&p);
    for (size_t i = 0; i < a->property_count; i++) {
        const kept_property *kept = &a->properties[i];
        venv_map_put(&p, kept->label, is_known(m, a, kept) ? venv_value_ref(&kept->value) : venv_expr_unknown());
    }
    bool awaited = member && is_awaited(member);
    if (!awaited)
        view.state = venv_value_literal(venv_member_state_name(member ? member->state : VENV_MEMBER_LOST));
    view.breaker = venv_value_literal(venv_mgr_breaker_state(venv_mgr_breaker_of(m, true, a->name)));
    view.maintenance = venv_value_bool(a->maintenance != NULL);
    view.groups = member ? groups_value(m, member) : venv_value_null();
    if (!member)
        view.heard = venv_value_null();
    else if (!awaited && member->heard_wall.ns != 0)
        view.heard = venv_value_from_wall(member->heard_wall);
    if (a->updated.ns != 0)
        view.updated = venv_value_from_wall(a->updated);
    venv_value properties = venv_mgr_take_map(m, &p);
    if (a->labels) /* else it is remembered from before a restart: what it had is not known */
        view.properties = venv_value_ref(&properties);
    venv_value_unref(&properties);
    if (venv_agent_view_take(&view, &a->cached, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return &a->cached;
}

/* A path that begins with `agent` (or `node`): most ask for one property, which needs no map. */
venv_expr_answer venv_mgr_world_agent(venv_manager *m, const char *name, const venv_expr_read *read, venv_value *ret_value,
                             uint32_t *ret_depth)
{
    agent *a = venv_mgr_agent_find(m, name);
    if (!a)
        return VENV_EXPR_NOT_THERE;
    if (read->path_count >= 3 && strcmp(read->path[1], "p") == 0) {
        const char *label = read->path[2];
        const kept_property *p = a->labels ? venv_table_find(a->labels, label, strlen(label)) : NULL;
        /* A property that this agent does not have is as one of quality absent, so that one trigger fits a mixed
         * pool; who asks with has() is told. */
        if (!p)
            return a->labels && read->tested ? VENV_EXPR_NOT_THERE : VENV_EXPR_NOT_KNOWN;
        if (!is_known(m, a, p))
            return VENV_EXPR_NOT_KNOWN;
        *ret_depth = 3;
        *ret_value = p->value;
        return VENV_EXPR_FOUND;
    }
    *ret_value = *agent_value(m, a);
    *ret_depth = 1;
    return VENV_EXPR_FOUND;
}

static venv_expr_answer ask_agent(void *user, const char *name, const venv_expr_read *read, venv_value *ret_value,
                                  uint32_t *ret_depth)
{
    return venv_mgr_world_agent(user, name, read, ret_value, ret_depth);
}

static venv_expr_answer ask_agents(void *user, venv_value *ret_list)
{
    venv_manager *m = user;
    bool fresh = !m->agents_stale && venv_value_kind(&m->agents_cached) != VENV_NULL;
    size_t cursor = 0;
    const venv_member *member;
    while (fresh && (member = venv_groups_next_member(m->groups, &cursor)))
        fresh = !member->data || is_fresh(member->data, member);
    if (!fresh) {
        venv_list_builder list;
        venv_list_init(&list);
        cursor = 0;
        while ((member = venv_groups_next_member(m->groups, &cursor)))
            if (member->data)
                venv_list_add(&list, venv_value_ref(agent_value(m, member->data)));
        venv_value_unref(&m->agents_cached);
        m->agents_cached = venv_mgr_take_list(m, &list);
        m->agents_stale = false;
    }
    *ret_list = m->agents_cached;
    return VENV_EXPR_FOUND;
}

/* --- queue(NAME) ------------------------------------------------------------------------------------- */

/*
 * Sum over all agents that define the property `queue`. It is known only if every one of them is, also of those that were
 * there before the manager was restarted.
 */
static venv_rc ask_queue(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    venv_manager *m = user;
    venv_queue_sum sum;
    venv_rc rc = VENV_OK;
    venv_queue_sum_init(&sum, name);
    size_t cursor = 0;
    const venv_member *member;
    while (rc == VENV_OK && (member = venv_groups_next_member(m->groups, &cursor))) {
        const agent *a = member->data;
        if (!a || !a->has_queue)
            continue;
        const kept_property *p = a->labels ? venv_table_find(a->labels, "queue", 5) : NULL;
        bool known = p && (is_known(m, a, p) || (VENV_SEEDED(STALE_IS_KNOWN) && !a->peer));
        sum.any = true;
        if (VENV_SEEDED(UNKNOWN_IS_ZERO) && !known)
            continue;
        rc = venv_queue_sum_add(&sum, a->name, known ? &p->value : NULL, err);
    }
    return rc == VENV_OK ? venv_queue_sum_take(&sum, ret_map, err) : rc;
}

/* --- instances(ENVIRONMENT) -------------------------------------------------------------------------- */

/* The state of one on a node that cannot be seen now is unknown, whatever it was last. */
venv_value venv_mgr_instance_seen(venv_manager *m, const instance *i)
{
    venv_value view = venv_mgr_instance_view(m, i);
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    if (!i->node || (a && venv_mgr_agent_is_connected(m, a) && !venv_mgr_agent_is_unseen(a)))
        return view;
    venv_map_builder map;
    venv_map_init(&map);
    const venv_value *key, *value;
    for (size_t n = 0; venv_value_entry(&view, n, &key, &value); n++) {
        bool state = venv_value_is_text(key, "state");
        venv_map_put_value(&map, venv_value_ref(key), state ? venv_expr_unknown() : venv_value_ref(value));
    }
    venv_value_unref(&view);
    return venv_mgr_take_map(m, &map);
}

static venv_rc ask_instances(void *user, venv_str environment, venv_value *ret_list, venv_error *err)
{
    venv_manager *m = user;
    char name[VENV_NAME_MAX + 1];
    if (!venv_mgr_fits_name(environment, name) || !venv_mgr_environment_find(m, name))
        return venv_error_set(err, VENV_ENOENT, "no environment is called '%.*s'",
                              (int)(environment.size < 64 ? environment.size : 64), environment.data);
    venv_list_builder list;
    venv_list_init(&list);
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (venv_instance_is_final(i->state) || strcmp(i->environment, name) != 0)
            continue;
        venv_list_add(&list, venv_mgr_instance_seen(m, i));
    }
    return venv_list_take(&list, ret_list, err);
}

venv_trigger_world venv_mgr_world_of(venv_manager *m)
{
    return (venv_trigger_world){ .user = m, .agent = ask_agent, .agents = ask_agents, .queue = ask_queue,
                                 .instances = ask_instances, .samples = venv_mgr_samples_add,
                                 .breaker = venv_mgr_ask_breaker, .touches = venv_mgr_touches, .members = venv_mgr_members, .is_member = venv_mgr_is_member };
}
