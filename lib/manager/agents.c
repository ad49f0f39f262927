/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the manager knows of each agent: kept values of its properties, its groups, whether its machines can
 * be seen. An agent that is not connected is remembered, with everything that it had; what it measured counts as
 * unknown until it is back.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const venv_id none = { { 0 } };

agent *venv_mgr_agent_find(venv_manager *m, const char *name)
{
    const venv_member *member = venv_groups_member(m->groups, name);
    return member ? member->data : NULL;
}

bool venv_mgr_agent_is_connected(venv_manager *m, const agent *a)
{
    const venv_member *member = venv_groups_member(m->groups, a->name);
    return member && a->peer && member->state == VENV_MEMBER_CONNECTED;
}

static void properties_free(agent *a)
{
    for (size_t i = 0; i < a->property_count; i++) {
        kept_property *p = &a->properties[i];
        free(p->label);
        free(p->unit);
        free(p->type);
        free(p->source);
        free(p->reason);
        venv_value_unref(&p->value);
    }
    free(a->properties);
    venv_table_free(a->labels);
    a->properties = NULL;
    a->property_count = 0;
    a->labels = NULL;
}

void venv_mgr_agent_free(agent *a)
{
    if (!a)
        return;
    properties_free(a);
    free(a->name);
    free(a->program);
    free(a->address);
    free(a->unreachable_reason);
    venv_value_unref(&a->node);
    venv_value_unref(&a->cached);
    free(a->maintenance);
    free(a);
}

static agent *agent_new(venv_manager *m, const char *name)
{
    agent *a = calloc(1, sizeof *a);
    if (!a || !(a->name = strdup(name))) {
        free(a);
        venv_mgr_no_memory(m);
        return NULL;
    }
    a->unseen = m->now.mono;
    return a;
}

void venv_mgr_agent_touch(venv_manager *m, agent *a)
{
    if (a->dirty)
        return;
    if (m->dirty_agent_count == m->dirty_agent_capacity) {
        size_t capacity = m->dirty_agent_capacity ? m->dirty_agent_capacity * 2 : 8;
        agent **grown = realloc(m->dirty_agents, capacity * sizeof *grown);
        if (!grown) {
            venv_mgr_no_memory(m);
            return;
        }
        m->dirty_agents = grown;
        m->dirty_agent_capacity = capacity;
    }
    a->dirty = true;
    m->dirty_agents[m->dirty_agent_count++] = a;
}

/* --- groups ------------------------------------------------------------------------------------------ */

typedef struct group_names {
    char text[VENV_GROUPS_PER_MEMBER_MAX][VENV_GROUP_NAME_MAX + 1];
    const char *names[VENV_GROUPS_PER_MEMBER_MAX];
    size_t count;
} group_names;

/* Those that this manager does not serve are another manager's. */
static venv_rc read_groups(const venv_manager *m, const venv_value *body, group_names *ret, venv_error *err)
{
    const venv_value *list = venv_value_get(body, "groups");
    ret->count = 0;
    size_t count = list ? venv_value_count(list) : 0;
    if (count > VENV_GROUPS_PER_MEMBER_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu groups; at most %u are allowed", count, VENV_GROUPS_PER_MEMBER_MAX);
    for (size_t i = 0; i < count; i++) {
        const venv_value *name = venv_value_at(list, i);
        if (!name || venv_value_kind(name) != VENV_STRING || !venv_group_name_is_valid(venv_value_peek_text(name)))
            return venv_error_set(err, VENV_EPROTO, "the name of a group is malformed");
        venv_str text = venv_value_peek_text(name);
        if (!venv_mgr_serves_group(m, text))
            continue;
        char *copy = ret->text[ret->count];
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        ret->names[ret->count++] = copy;
    }
    return VENV_OK;
}

static const char *did(venv_membership_kind kind)
{
    switch (kind) {
    case VENV_MEMBERSHIP_JOIN: return "joined";
    case VENV_MEMBERSHIP_REJOIN: return "is back in";
    case VENV_MEMBERSHIP_LEAVE: return "left";
    case VENV_MEMBERSHIP_DISCONNECT: return "is cut off from";
    default: return "changed in";
    }
}

void venv_mgr_membership_changed(void *user, const venv_membership *event)
{
    venv_manager *m = user;
    if (!m->out)
        return;
    const char *kind = venv_membership_name(event->kind);
    if (m->triggers)
        venv_triggers_note_membership(m->triggers, event->member, event->group, kind, event->reason);
    char subject[VENV_NAME_MAX + VENV_GROUP_NAME_MAX + 8];
    snprintf(subject, sizeof subject, "%s@%s", event->member, event->group);
    char name[32];
    snprintf(name, sizeof name, "group-%s", kind);
    venv_mgr_event_add(m, name, subject, none, venv_value_null(), "agent %s %s group %s: %s", event->member, did(event->kind),
              event->group, event->reason);
}

/* --- properties -------------------------------------------------------------------------------------- */

static void note_property(venv_manager *m, agent *a, const kept_property *p)
{
    venv_mgr_world_stale(m, a);
    venv_triggers_note_property(m->triggers, a->name, p->label);
}

static void note_all(venv_manager *m, agent *a)
{
    for (size_t i = 0; i < a->property_count; i++)
        note_property(m, a, &a->properties[i]);
    venv_mgr_world_stale(m, a);
    venv_triggers_note_agent(m->triggers, a->name);
}

/* Old values of labels that are still defined stay until the new samples come; others are forgotten. */
static void take_old_value(agent *old, kept_property *p)
{
    kept_property *was = old->labels ? venv_table_find(old->labels, p->label, strlen(p->label)) : NULL;
    if (!was)
        return;
    p->value = was->value;
    p->has_time = was->has_time;
    p->time = was->time;
    p->series = was->series;
    p->declared = was->declared;
    p->declaration = was->declaration;
    was->series = was->declared = 0;
    was->value = venv_value_null();
}

static void set_definitions(venv_manager *m, agent *a, const venv_value *list)
{
    size_t count = list ? venv_value_count(list) : 0;
    agent fresh = { .name = NULL };
    fresh.properties = calloc(count ? count : 1, sizeof *fresh.properties);
    if (!fresh.properties || venv_table_new(m->seed, VENV_PROPERTY_COUNT_MAX, &fresh.labels, NULL) != VENV_OK) {
        free(fresh.properties);
        venv_mgr_no_memory(m);
        return;
    }
    bool has_queue = false;
    for (size_t i = 0; i < count; i++) {
        venv_property definition;
        uint32_t slot = 0;
        if (venv_property_from_value(venv_value_at(list, i), &definition, &slot, NULL) != VENV_OK || slot != i)
            break; /* checked before: cannot be */
        kept_property *p = &fresh.properties[fresh.property_count++];
        p->label = venv_mgr_copy_str(m, definition.label);
        p->unit = venv_mgr_copy_str(m, definition.unit);
        p->type = venv_mgr_copy_text(m, venv_property_type_name(definition.type));
        p->source = venv_mgr_copy_str(m, venv_value_get_text(venv_value_at(list, i), "source"));
        p->every = definition.every;
        p->quality = VENV_QUALITY_ABSENT;
        if (!p->label || venv_table_add(fresh.labels, p->label, strlen(p->label), p, NULL) != VENV_OK) {
            venv_mgr_no_memory(m);
            break;
        }
        take_old_value(a, p);
        venv_mgr_record_declaration(m, a, p);
        has_queue = has_queue || strcmp(p->label, "queue") == 0;
    }
    for (size_t i = 0; i < a->property_count; i++) /* those that are still defined have handed theirs on */
        venv_mgr_record_property_gone(m, &a->properties[i]);
    properties_free(a);
    a->properties = fresh.properties;
    a->property_count = fresh.property_count;
    a->labels = fresh.labels;
    if (a->has_queue != has_queue) {
        a->has_queue = has_queue;
        venv_mgr_agent_touch(m, a);
    }
}

static void set_sample(venv_manager *m, agent *a, kept_property *p, const venv_value *value, venv_quality quality,
                       bool has_time, venv_wall time, venv_str reason)
{
    a->updated = m->now.wall;
    bool changed = p->quality != quality || venv_value_compare(&p->value, value) != 0;
    if (quality == VENV_QUALITY_OK || venv_value_kind(value) != VENV_NULL) {
        venv_value copy = venv_value_null();
        if (venv_value_dup(value, &copy, NULL) != VENV_OK) {
            venv_mgr_no_memory(m);
            return;
        }
        venv_value_unref(&p->value);
        p->value = copy;
    }
    p->quality = quality;
    p->has_time = has_time;
    p->time = time;
    free(p->reason);
    p->reason = NULL;
    if (reason.size > 0) {
        char raw[REASON_MAX], safe[REASON_MAX];
        snprintf(raw, sizeof raw, "%.*s", (int)(reason.size < 200 ? reason.size : 200), reason.data);
        venv_mgr_set_reason(safe, raw);
        p->reason = venv_mgr_copy_text(m, safe);
    }
    venv_mgr_record_property(m, a, p);
    if (changed)
        note_property(m, a, p);
}

static void take_samples(venv_manager *m, agent *a, const venv_value *list)
{
    for (size_t i = 0; list && i < venv_value_count(list); i++) {
        venv_sample_row row;
        if (venv_sample_row_read(venv_value_at(list, i), &row, NULL) != VENV_OK || row.slot >= a->property_count)
            continue; /* of a property that it did not declare */
        set_sample(m, a, &a->properties[row.slot], row.value, row.quality, row.has_time, row.time, row.reason);
    }
}

void venv_mgr_agent_store_propval(venv_manager *m, agent *a, const venv_value *body)
{
    venv_str label = venv_value_get_text(body, "label");
    kept_property *p = a->labels && label.size > 0 ? venv_table_find(a->labels, label.data, label.size) : NULL;
    const venv_value *value = venv_value_get(body, "value"), *time = venv_value_get(body, "time");
    venv_quality quality;
    venv_wall wall = { 0 };
    if (!p || !venv_quality_parse(venv_value_get_text(body, "quality"), &quality))
        return;
    venv_value missing = venv_value_null();
    bool has_time = time && venv_value_to_wall(time, &wall);
    set_sample(m, a, p, value ? value : &missing, quality, has_time, wall, venv_value_get_text(body, "reason"));
}

/* --- coming and going -------------------------------------------------------------------------------- */

venv_rc venv_mgr_agent_check_hello(const venv_manager *m, const venv_value *body, venv_error *err)
{
    group_names groups;
    venv_rc rc = read_groups(m, body, &groups, err);
    if (rc != VENV_OK)
        return rc;
    const venv_value *list = venv_value_get(body, "properties");
    size_t count = list ? venv_value_count(list) : 0;
    if (count > VENV_PROPERTY_COUNT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu properties; at most %d are allowed", count, VENV_PROPERTY_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        venv_property definition;
        uint32_t slot;
        rc = venv_property_from_value(venv_value_at(list, i), &definition, &slot, err);
        if (rc == VENV_OK && slot != i)
            rc = venv_error_set(err, VENV_EPROTO, "properties are not in the order of their slots");
        for (size_t j = 0; rc == VENV_OK && j < i; j++) {
            venv_str other = venv_value_get_text(venv_value_at(list, j), "label");
            if (other.size == definition.label.size && memcmp(other.data, definition.label.data, other.size) == 0)
                rc = venv_error_set(err, VENV_EPROTO, "property %.*s is defined twice", (int)other.size, other.data);
        }
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

static void replace_text(venv_manager *m, char **text, venv_str with)
{
    char raw[REASON_MAX], safe[REASON_MAX];
    snprintf(raw, sizeof raw, "%.*s", (int)(with.size < 200 ? with.size : 200), with.data ? with.data : "");
    venv_mgr_set_reason(safe, raw);
    free(*text);
    *text = venv_mgr_copy_text(m, safe);
}

void venv_mgr_agent_hello(venv_manager *m, peer *p, const venv_value *body)
{
    agent *a = venv_mgr_agent_find(m, p->name);
    bool known = a;
    if (!a)
        a = agent_new(m, p->name);
    if (!a)
        return;
    group_names groups;
    venv_error err = { 0 };
    venv_id boot = { { 0 } }, machine = { { 0 } };
    venv_value_get_id(body, "boot", &boot);
    venv_value_get_id(body, "machine", &machine);
    a->peer = p->number;
    p->agent = a;
    venv_mgr_event_add(m, "agent-connected", a->name, none, venv_value_null(), "agent %s connected from %s", a->name, p->address);
    venv_rc rc = read_groups(m, body, &groups, &err);
    if (rc == VENV_OK)
        rc = venv_groups_connect(m->groups, a->name, groups.names, groups.count, m->now, "connected", &err);
    if (rc != VENV_OK) {
        a->peer = 0;
        p->agent = NULL;
        if (!known)
            venv_mgr_agent_free(a);
        venv_mgr_effect_log(m, VENV_LOG_WARNING, "agent %s is closed: %s", p->name, err.text);
        venv_mgr_effect_close(m, p, err.text, true);
        return;
    }
    venv_groups_set_data(m->groups, a->name, a);
    a->boot = boot;
    if (known && !venv_id_is_none(a->machine) && !venv_id_is_none(machine) && !venv_id_equal(machine, a->machine)) {
        venv_mgr_event_add(m, "agent-replaced", a->name, none, venv_value_null(), "agent %s runs on another machine now, at %s", a->name,
                           p->address);
        a->duplicate = (duplicate){ .count = 0 };
    }
    a->machine = machine;
    a->starts = (uint64_t)venv_value_get_int(body, "starts", 0);
    a->machines_known = false;
    if (venv_mgr_agent_is_unseen(a))
        a->unseen = m->now.mono; /* its list of machines is on its way: it has time for that */
    replace_text(m, &a->program, venv_value_get_text(body, "program"));
    free(a->address);
    a->address = venv_mgr_copy_text(m, p->address);
    set_definitions(m, a, venv_value_get(body, "properties"));
    take_samples(m, a, venv_value_get(body, "samples"));
    note_all(m, a);
    a->joined = m->now.mono;
    venv_mgr_agent_touch(m, a);
    venv_mgr_record_agent(m, a);
    venv_mgr_ready_joined(m, a->name);
}

void venv_mgr_agent_gone(venv_manager *m, agent *a, const char *reason)
{
    char safe[REASON_MAX];
    venv_mgr_set_reason(safe, reason);
    const venv_member *member = venv_groups_member(m->groups, a->name);
    venv_mgr_event_add(m, "agent-disconnected", a->name, none, venv_value_null(), "agent %s is not connected: %s", a->name, safe);
    venv_groups_disconnect(m->groups, a->name, m->now, safe);
    venv_mgr_record_agent(m, a);
    a->machines_known = false;
    if (!venv_mgr_agent_is_unseen(a)) {
        a->unseen = member ? member->heard : m->now.mono;
        m->next_sweep = m->now.mono; /* it may have been silent for longer than `lost` already */
    }
    venv_mgr_agent_touch(m, a); /* when it was heard last is known after a restart */
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (i->node && strcmp(i->node, a->name) == 0) {
            i->start_sent = i->stop_sent = i->change_sent = false;
            venv_triggers_note_instances(m->triggers, i->environment);
        }
    }
    note_all(m, a);
}

bool venv_mgr_agent_can_act(const agent *a)
{
    return a && a->peer && a->machines_known && a->reachable;
}

bool venv_mgr_agent_is_unseen(const agent *a)
{
    return a->unseen.ns != VENV_INSTANT_NEVER.ns;
}

void venv_mgr_agent_frame(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body)
{
    agent *a = p->agent;
    group_names groups;
    venv_error err = { 0 };
    venv_rc rc = VENV_OK;
    switch (type) {
    case VENV_MSG_PUSH:
        a->dropped += (uint64_t)venv_value_get_int(body, "dropped", 0);
        take_samples(m, a, venv_value_get(body, "samples"));
        break;
    case VENV_MSG_GROUPS:
    case VENV_MSG_CTRLRJOIN:
        if (venv_value_get(body, "groups") && read_groups(m, body, &groups, &err) == VENV_OK)
            rc = venv_groups_set(m->groups, a->name, groups.names, groups.count, "the agent changed its groups", &err);
        if (rc != VENV_OK || err.rc != VENV_OK)
            venv_mgr_effect_log(m, VENV_LOG_WARNING, "agent %s: %s", a->name, err.text);
        venv_mgr_world_stale(m, a);
        venv_triggers_note_agent(m->triggers, a->name);
        venv_mgr_agent_touch(m, a);
        venv_mgr_record_agent(m, a);
        break;
    case VENV_MSG_MACHINES:
        venv_mgr_reconcile_machines(m, a, request, body);
        break;
    case VENV_MSG_MACHINE_PROGRESS:
        venv_mgr_change_progress(m, a, body);
        break;
    case VENV_MSG_MACHINE_RESULT:
        venv_mgr_reconcile_result(m, a, body);
        break;
    default:
        break;
    }
    if (request != 0)
        venv_mgr_call_answered(m, p, type, request, body);
}

static bool has_machines(venv_manager *m, const agent *a)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (i->node && strcmp(i->node, a->name) == 0 && !venv_instance_is_final(i->state))
            return true;
    }
    return false;
}

static void forget(venv_manager *m, agent *a, venv_id cause, const char *reason)
{
    venv_value key = venv_value_null();
    if (venv_value_string_z(a->name, &key, NULL) != VENV_OK) {
        venv_mgr_no_memory(m);
        return;
    }
    venv_mgr_maintenance_forget(m, a);
    venv_mgr_effect_delete(m, VENV_ROWS_AGENTS, key);
    venv_mgr_event_add(m, "agent-forgotten", a->name, cause, venv_value_null(), "agent %s is forgotten: %s", a->name, reason);
    venv_mgr_world_stale(m, a);
    venv_mgr_record_agent_gone(m, a);
    venv_groups_forget(m->groups, a->name, "forgotten");
    venv_triggers_note_agent(m->triggers, ""); /* there is one less of them */
    for (size_t i = 0; i < m->dirty_agent_count; i++)
        if (m->dirty_agents[i] == a)
            m->dirty_agents[i--] = m->dirty_agents[--m->dirty_agent_count];
    venv_mgr_agent_free(a);
}

venv_rc venv_mgr_agent_forget(venv_manager *m, agent *a, venv_id cause, const char *reason, venv_error *err)
{
    if (a->peer)
        return venv_error_set(err, VENV_ECONFLICT, "agent %s is connected from %s: stop it first (venvctl control %s stop)", a->name,
                              a->address ? a->address : "?", a->name);
    if (has_machines(m, a))
        return venv_error_set(err, VENV_ECONFLICT, "instances are on the node of agent %s (venvctl list instances): it cannot be forgotten "
                              "before they have ended", a->name);
    forget(m, a, cause, reason);
    return VENV_OK;
}

/* It did not come back: nobody counts on it any more. */
static void lose(venv_manager *m, agent *a)
{
    if (!venv_groups_lose(m->groups, a->name, m->now))
        return;
    venv_mgr_world_stale(m, a);
    venv_triggers_note_agent(m->triggers, a->name);
    venv_mgr_event_add(m, "agent-lost", a->name, none, venv_value_null(), "agent %s is lost: it has not come back for %.0f s",
                       a->name, (double)m->config->lost.ns / (double)VENV_NS_PER_S);
}

/* Agents and machines that could not be seen for so long are lost; agents that have been away for very long are forgotten. */
void venv_mgr_agents_sweep(venv_manager *m)
{
    size_t cursor = 0;
    const venv_member *member;
    bool unseen = false;
    while ((member = venv_groups_next_member(m->groups, &cursor))) {
        agent *a = member->data;
        if (a && !member->session && m->now.mono.ns - member->heard.ns >= m->config->lost.ns)
            lose(m, a);
        if (!a || !venv_mgr_agent_is_unseen(a) || VENV_SEEDED(LOST_NEVER))
            continue;
        unseen = true;
        if (member->state == VENV_MEMBER_LOST && !a->peer && !a->dirty &&
            m->now.mono.ns - member->heard.ns >= m->config->retention.ns && !has_machines(m, a))
            forget(m, a, none, "it has been away for as long as anything is kept");
    }
    if (unseen)
        venv_mgr_reconcile_lost(m);
}

void venv_mgr_agent_restore(venv_manager *m, const char *name, const venv_value *row)
{
    agent *a = agent_new(m, name);
    if (!a)
        return;
    group_names groups;
    venv_error err = { 0 };
    if (read_groups(m, row, &groups, &err) != VENV_OK)
        groups.count = 0;
    venv_wall heard = { 0 };
    const venv_value *time = venv_value_get(row, "heard");
    if (time)
        venv_value_to_wall(time, &heard);
    if (venv_groups_remember(m->groups, name, groups.names, groups.count, heard, m->now, &err) != VENV_OK) {
        venv_mgr_agent_free(a);
        if (err.rc == VENV_ENOMEM)
            venv_mgr_no_memory(m);
        return;
    }
    venv_groups_set_data(m->groups, name, a);
    venv_value_get_id(row, "machine", &a->machine);
    a->has_queue = venv_value_get_bool(row, "queue", false);
    a->hypervisor = venv_value_get_bool(row, "hypervisor", false);
    const venv_value *kept = venv_value_get(row, "maintenance");
    if (kept)
        venv_mgr_maintenance_restore(m, a, kept);
}
