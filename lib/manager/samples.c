/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decision rested on: the samples that an expression reads, with whose they are and when they were taken.
 * For people; the expression itself sees what world.c gives it.
 */
#include "manager/internal.h"

#include <string.h>

static void add_property(venv_trigger_samples *samples, const agent *a, const kept_property *p, const venv_value *value)
{
    const char *quality = a->peer ? venv_quality_name(p->quality) : venv_quality_name(VENV_QUALITY_STALE);
    venv_trigger_samples_add(samples, a->name, p->label, value, quality, p->has_time ? p->time : (venv_wall){ 0 });
}

static const kept_property *property_of(const agent *a, const char *label)
{
    return a->labels ? venv_table_find(a->labels, label, strlen(label)) : NULL;
}

static void add_labelled(venv_trigger_samples *samples, const agent *a, const char *label)
{
    const kept_property *p = property_of(a, label);
    venv_value nothing = venv_value_null();
    if (p)
        add_property(samples, a, p, &p->value);
    else
        venv_trigger_samples_add(samples, a->name, label, &nothing, venv_quality_name(VENV_QUALITY_ABSENT), (venv_wall){ 0 });
}

static bool is_of_name(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Does the label stand in the expression, as a word of its own? */
static bool names(const char *source, const char *label)
{
    size_t size = strlen(label);
    for (const char *at = strstr(source, label); at; at = strstr(at + 1, label))
        if ((at == source || !is_of_name(at[-1])) && !is_of_name(at[size]))
            return true;
    return false;
}

static void add_of_agents(venv_manager *m, const char *source, venv_trigger_samples *samples)
{
    size_t cursor = 0;
    const venv_member *member;
    while (!samples->cut && (member = venv_groups_next_member(m->groups, &cursor))) {
        const agent *a = member->data;
        for (size_t i = 0; a && i < a->property_count && !samples->cut; i++)
            if (names(source, a->properties[i].label))
                add_property(samples, a, &a->properties[i], &a->properties[i].value);
    }
}

static void add_of_queue(venv_manager *m, const char *name, venv_trigger_samples *samples)
{
    size_t cursor = 0;
    const venv_member *member;
    while (!samples->cut && (member = venv_groups_next_member(m->groups, &cursor))) {
        const agent *a = member->data;
        if (!a || !a->has_queue)
            continue;
        const kept_property *p = property_of(a, "queue");
        const venv_value *queue = p && name ? venv_value_get(&p->value, name) : NULL;
        if (queue)
            add_property(samples, a, p, queue);
        else
            add_labelled(samples, a, "queue");
    }
}

static void add_of_instances(venv_manager *m, const char *environment, venv_trigger_samples *samples)
{
    size_t cursor = 0;
    void *item;
    while (!samples->cut && venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (venv_instance_is_final(i->state) || (environment && strcmp(i->environment, environment) != 0))
            continue;
        const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
        venv_value state = venv_value_literal(venv_instance_state_name(i->state));
        venv_quality quality = a && venv_mgr_agent_is_unseen(a) ? VENV_QUALITY_STALE : VENV_QUALITY_OK;
        venv_trigger_samples_add(samples, i->name, "state", &state, venv_quality_name(quality), i->since_wall);
    }
}

void venv_mgr_samples_add(void *user, const char *agent_name, const venv_expr_read *read, const char *source,
                          venv_trigger_samples *samples)
{
    venv_manager *m = user;
    const char *name = read->path[0];
    const agent *a = agent_name[0] ? venv_mgr_agent_find(m, agent_name) : NULL;
    if (read->kind == VENV_EXPR_READ_CALL && strcmp(name, "queue") == 0)
        add_of_queue(m, read->argument, samples);
    else if (read->kind == VENV_EXPR_READ_CALL && strcmp(name, "instances") == 0)
        add_of_instances(m, read->argument, samples);
    else if (read->kind == VENV_EXPR_READ_VARIABLE && strcmp(name, "agents") == 0)
        add_of_agents(m, source, samples);
    else if (a && strcmp(name, "agent") == 0 && read->path_count > 2 && strcmp(read->path[1], "p") == 0)
        add_labelled(samples, a, read->path[2]);
}
