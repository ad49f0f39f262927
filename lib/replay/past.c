/* SPDX-License-Identifier: Apache-2.0 */
/* Agents and their properties as they were recorded, and how expressions see them: as the manager's world does. */
#include "replay/replay.h"

#include "trigger/view.h"

#include <venv/group.h>

#include <stdlib.h>
#include <string.h>

bool venv_replay_text(venv_str text, char *to, size_t size)
{
    if (!text.data || text.size == 0 || text.size >= size)
        return false;
    memcpy(to, text.data, text.size);
    to[text.size] = '\0';
    return true;
}

static void free_agent(past_agent *a)
{
    size_t cursor = 0;
    void *item;
    while (a->properties && venv_table_next(a->properties, &cursor, NULL, &item)) {
        past_property *p = item;
        venv_value_unref(&p->value);
        free(p->label);
        free(p);
    }
    venv_table_free(a->properties);
    venv_value_unref(&a->groups);
    venv_value_unref(&a->cached);
    free(a->name);
    free(a);
}

static past_agent *agent_of(venv_replay *r, const char *name)
{
    past_agent *a = venv_table_find(r->agents, name, strlen(name));
    if (a)
        return a;
    a = calloc(1, sizeof *a);
    if (a && (a->name = strdup(name)))
        a->state = venv_member_state_name(VENV_MEMBER_LOST);
    if (!a || !a->name || venv_table_new(1, PROPERTIES_MAX, &a->properties, NULL) != VENV_OK) {
        if (a)
            free_agent(a);
        r->rc = VENV_ENOMEM;
        return NULL;
    }
    venv_rc rc = venv_table_add(r->agents, a->name, strlen(a->name), a, NULL);
    if (rc != VENV_OK) {
        free_agent(a);
        r->rc = rc;
        return NULL;
    }
    return a;
}

void venv_replay_stale(venv_replay *r, past_agent *a)
{
    venv_value_unref(&a->cached);
    r->agents_stale = true;
}

static past_property *property_of(venv_replay *r, past_agent *a, const char *label)
{
    past_property *p = venv_table_find(a->properties, label, strlen(label));
    if (p)
        return p;
    p = r->property_count < PROPERTIES_MAX ? calloc(1, sizeof *p) : NULL;
    if (!p || !(p->label = strdup(label)) || venv_table_add(a->properties, p->label, strlen(p->label), p, NULL) != VENV_OK) {
        r->rc = r->property_count < PROPERTIES_MAX ? VENV_ENOMEM : VENV_ELIMIT;
        if (p)
            free(p->label);
        free(p);
        return NULL;
    }
    p->quality = VENV_QUALITY_ABSENT;
    r->property_count++;
    return p;
}

/* The agent has it from now on, or not any more. What it is comes with its samples. */
void venv_replay_take_declaration(venv_replay *r, const venv_history_sample *sample)
{
    past_agent *a = agent_of(r, sample->subject);
    past_property *p = a ? property_of(r, a, sample->label) : NULL;
    if (!p)
        return;
    p->declared = sample->quality != VENV_QUALITY_ABSENT;
    venv_replay_stale(r, a);
    venv_triggers_note_property(r->triggers, a->name, p->label);
}

void venv_replay_take_property(venv_replay *r, const venv_history_sample *sample)
{
    past_agent *a = agent_of(r, sample->subject);
    past_property *p = a ? property_of(r, a, sample->label) : NULL;
    if (!p)
        return;
    bool changed = p->quality != sample->quality || venv_value_compare(&p->value, sample->value) != 0;
    venv_value copy = venv_value_null();
    if (venv_value_dup(sample->value, &copy, NULL) != VENV_OK) {
        r->rc = VENV_ENOMEM;
        return;
    }
    venv_value_unref(&p->value);
    p->value = copy;
    p->quality = sample->quality;
    p->time = sample->time;
    a->heard = a->updated = sample->time;
    venv_replay_stale(r, a);
    if (changed)
        venv_triggers_note_property(r->triggers, a->name, p->label);
}

/* In each of its groups, something happened to it. */
static void tell_groups(venv_replay *r, const past_agent *a, const venv_value *groups, const char *kind, const char *reason)
{
    char group[VENV_NAME_MAX + 1];
    for (size_t i = 0; i < venv_value_count(groups); i++) {
        const venv_value *name = venv_value_at(groups, i);
        if (venv_value_kind(name) == VENV_STRING && venv_replay_text(venv_value_peek_text(name), group, sizeof group))
            venv_triggers_note_membership(r->triggers, a->name, group, kind, reason);
    }
}

void venv_replay_take_agent(venv_replay *r, const venv_history_sample *sample)
{
    past_agent *a = agent_of(r, sample->subject);
    char state[32];
    if (!a)
        return;
    bool gone = sample->quality == VENV_QUALITY_ABSENT || !venv_replay_text(venv_value_get_text(sample->value, "state"), state, sizeof state);
    const char *was = a->state;
    bool connected = a->connected;
    a->state = venv_member_state_name(VENV_MEMBER_LOST);
    for (int s = 0; !gone && s < VENV_MEMBER_STATE__COUNT; s++)
        if (strcmp(state, venv_member_state_name((venv_member_state)s)) == 0)
            a->state = venv_member_state_name((venv_member_state)s);
    a->connected = strcmp(a->state, venv_member_state_name(VENV_MEMBER_CONNECTED)) == 0;
    const venv_value *groups = venv_value_get(sample->value, "groups");
    if (connected && !a->connected)
        tell_groups(r, a, &a->groups, gone ? "leave" : "disconnect", a->state);
    if (groups) {
        venv_value_unref(&a->groups);
        if (venv_value_dup(groups, &a->groups, NULL) != VENV_OK)
            r->rc = VENV_ENOMEM;
    }
    if (!connected && a->connected) {
        tell_groups(r, a, &a->groups, a->was_connected ? "rejoin" : "join", "connected");
        a->was_connected = true;
        a->heard = sample->time;
    }
    venv_replay_stale(r, a);
    if (strcmp(was, a->state) != 0)
        venv_triggers_note_agent(r->triggers, a->name);
}

void venv_replay_forget_all(venv_replay *r)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(r->agents, &cursor, NULL, &item)) {
        past_agent *a = item;
        a->connected = false;
        a->state = venv_member_state_name(VENV_MEMBER_LOST);
        venv_replay_stale(r, a);
        venv_triggers_note_agent(r->triggers, a->name);
    }
}

void venv_replay_past_free(venv_replay *r)
{
    size_t cursor = 0;
    void *item;
    while (r->agents && venv_table_next(r->agents, &cursor, NULL, &item))
        free_agent(item);
    venv_table_free(r->agents);
    venv_value_unref(&r->agents_cached);
}

/* --- how expressions see them ------------------------------------------------------------------------------ */

static bool is_known(const past_agent *a, const past_property *p)
{
    return a->connected && p->quality == VENV_QUALITY_OK;
}

static const venv_value *agent_value(venv_replay *r, past_agent *a)
{
    if (venv_value_kind(&a->cached) != VENV_NULL)
        return &a->cached;
    venv_agent_view view = venv_agent_view_begin(a->name); /* what was not recorded is unknown */
    venv_map_builder p;
    venv_value properties = venv_value_null();
    size_t cursor = 0;
    bool any = false;
    void *item;
    venv_map_init(&p);
    while (venv_table_next(a->properties, &cursor, NULL, &item)) {
        const past_property *one = item;
        if (!one->declared && one->quality == VENV_QUALITY_ABSENT && venv_value_kind(&one->value) == VENV_NULL)
            continue; /* not defined any more */
        any = true;
        venv_map_put(&p, one->label, is_known(a, one) ? venv_value_ref(&one->value) : venv_expr_unknown());
    }
    view.groups = venv_value_ref(&a->groups);
    view.heard = venv_value_from_wall(a->heard);
    if (a->updated.ns != 0)
        view.updated = venv_value_from_wall(a->updated);
    view.state = venv_value_literal(a->state);
    if (r->has_policy)
        view.breaker = venv_value_literal(venv_replay_breaker_state(r, true, a->name));
    if (venv_map_take(&p, &properties, NULL) != VENV_OK)
        r->rc = VENV_ENOMEM;
    if (any) /* else, as in the manager: what it has is not known yet */
        view.properties = venv_value_ref(&properties);
    venv_value_unref(&properties);
    if (venv_agent_view_take(&view, &a->cached, NULL) != VENV_OK)
        r->rc = VENV_ENOMEM;
    return &a->cached;
}

static venv_expr_answer ask_agent(void *user, const char *name, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth)
{
    venv_replay *r = user;
    past_agent *a = venv_table_find(r->agents, name, strlen(name));
    if (!a)
        return VENV_EXPR_NOT_THERE;
    if (read->path_count >= 3 && strcmp(read->path[1], "p") == 0) {
        const past_property *p = venv_table_find(a->properties, read->path[2], strlen(read->path[2]));
        if (!p || (!p->declared && p->quality == VENV_QUALITY_ABSENT && venv_value_kind(&p->value) == VENV_NULL))
            return read->tested ? VENV_EXPR_NOT_THERE : VENV_EXPR_NOT_KNOWN;
        *ret_value = p->value;
        *ret_depth = 3;
        return is_known(a, p) ? VENV_EXPR_FOUND : VENV_EXPR_NOT_KNOWN;
    }
    *ret_value = *agent_value(r, a);
    *ret_depth = 1;
    return VENV_EXPR_FOUND;
}

static venv_expr_answer ask_agents(void *user, venv_value *ret_list)
{
    venv_replay *r = user;
    if (r->agents_stale || venv_value_kind(&r->agents_cached) == VENV_NULL) {
        venv_list_builder list;
        size_t cursor = 0;
        void *item;
        venv_list_init(&list);
        while (venv_table_next(r->agents, &cursor, NULL, &item))
            venv_list_add(&list, venv_value_ref(agent_value(r, item)));
        venv_value_unref(&r->agents_cached);
        if (venv_list_take(&list, &r->agents_cached, NULL) != VENV_OK)
            r->rc = VENV_ENOMEM;
        r->agents_stale = false;
    }
    *ret_list = r->agents_cached;
    return VENV_EXPR_FOUND;
}

static venv_rc ask_queue(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    venv_replay *r = user;
    venv_queue_sum sum;
    venv_rc rc = VENV_OK;
    size_t cursor = 0;
    void *item;
    venv_queue_sum_init(&sum, name);
    while (rc == VENV_OK && venv_table_next(r->agents, &cursor, NULL, &item)) {
        const past_agent *a = item;
        const past_property *p = venv_table_find(a->properties, "queue", 5);
        if (p && (p->quality != VENV_QUALITY_ABSENT || venv_value_kind(&p->value) != VENV_NULL))
            rc = venv_queue_sum_add(&sum, a->name, is_known(a, p) ? &p->value : NULL, err);
    }
    return rc == VENV_OK ? venv_queue_sum_take(&sum, ret_map, err) : rc;
}

static venv_rc ask_instances(void *user, venv_str environment_name, venv_value *ret_list, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    if (!venv_replay_text(environment_name, name, sizeof name))
        return venv_error_set(err, VENV_ENOENT, "no environment has such a name");
    return venv_replay_instances(user, name, ret_list, err);
}

static void add_property(venv_trigger_samples *samples, const past_agent *a, const past_property *p, const venv_value *value)
{
    venv_trigger_samples_add(samples, a->name, p->label, value, venv_quality_name(a->connected ? p->quality : VENV_QUALITY_STALE), p->time);
}

static void add_samples(void *user, const char *agent_name, const venv_expr_read *read, const char *source, venv_trigger_samples *samples)
{
    venv_replay *r = user;
    bool queue = read->kind == VENV_EXPR_READ_CALL && strcmp(read->path[0], "queue") == 0;
    bool own = read->kind == VENV_EXPR_READ_VARIABLE && strcmp(read->path[0], "agent") == 0 && read->path_count > 2;
    bool all = read->kind == VENV_EXPR_READ_VARIABLE && strcmp(read->path[0], "agents") == 0;
    size_t cursor = 0, inner;
    void *item, *one;
    while ((queue || own || all) && !samples->cut && venv_table_next(r->agents, &cursor, NULL, &item)) {
        const past_agent *a = item;
        const past_property *p = queue ? venv_table_find(a->properties, "queue", 5)
                                 : own && strcmp(a->name, agent_name) == 0
                                     ? venv_table_find(a->properties, read->path[2], strlen(read->path[2]))
                                     : NULL;
        const venv_value *part = queue && p && read->argument ? venv_value_get(&p->value, read->argument) : NULL;
        if (p)
            add_property(samples, a, p, part ? part : &p->value);
        for (inner = 0; all && !samples->cut && venv_table_next(a->properties, &inner, NULL, &one);)
            if (strstr(source, ((past_property *)one)->label))
                add_property(samples, a, one, &((past_property *)one)->value);
    }
}

venv_trigger_world venv_replay_world(venv_replay *r)
{
    return (venv_trigger_world){ .user = r, .agent = ask_agent, .agents = ask_agents, .queue = ask_queue,
                                 .instances = ask_instances, .samples = add_samples, .breaker = venv_replay_ask_breaker,
                                 .touches = venv_replay_touches, .members = venv_replay_members, .is_member = venv_replay_is_member };
}
