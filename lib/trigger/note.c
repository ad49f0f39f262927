/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed, and which triggers read it. The index is made once from what the expressions read, so that
 * an update costs only the triggers that it concerns. Notes are sets: noting twice evaluates once.
 */
#include "trigger/internal.h"

#include <stdlib.h>
#include <string.h>

static venv_rc list_add(trigger_list *list, trigger *t, venv_error *err)
{
    if (list->count > 0 && list->items[list->count - 1] == t)
        return VENV_OK;
    trigger **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (!grown)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    list->items = grown;
    list->items[list->count++] = t;
    return VENV_OK;
}

static venv_rc table_list_add(venv_table *table, const char *key, trigger *t, venv_error *err)
{
    trigger_list *list = venv_table_find(table, key, strlen(key));
    if (!list) {
        list = calloc(1, sizeof *list);
        if (!list)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        venv_rc rc = venv_table_add(table, key, strlen(key), list, err);
        if (rc != VENV_OK) {
            free(list);
            return rc;
        }
    }
    return list_add(list, t, err);
}

typedef struct indexing {
    venv_triggers *set;
    trigger *t;
    bool any;   /* it reads something that changes */
    venv_rc rc;
    venv_error *err;
} indexing;

static venv_rc index_call(indexing *x, const venv_expr_read *read)
{
    if (strcmp(read->path[0], "queue") == 0) {
        x->any = true;
        venv_rc rc = table_list_add(x->set->by_label, "queue", x->t, x->err);
        return rc == VENV_OK ? list_add(&x->set->by_state, x->t, x->err) : rc;
    }
    if (strcmp(read->path[0], "breaker") == 0) {
        x->any = true;
        return list_add(&x->set->any_environment, x->t, x->err);
    }
    if (strcmp(read->path[0], "instances") != 0)
        return VENV_OK;
    x->any = true;
    if (read->argument)
        return table_list_add(x->set->by_environment, read->argument, x->t, x->err);
    return list_add(&x->set->any_environment, x->t, x->err);
}

static venv_rc index_variable(indexing *x, const venv_expr_read *read)
{
    const char *name = read->path[0];
    if (strcmp(name, "agents") == 0 || strcmp(name, "property") == 0) {
        x->any = true;
        venv_rc rc = list_add(&x->set->any_label, x->t, x->err);
        return rc == VENV_OK ? list_add(&x->set->by_state, x->t, x->err) : rc;
    }
    if (strcmp(name, "agent") != 0)
        return VENV_OK;
    x->any = true;
    bool whole = read->path_count == 1;
    bool properties = whole || strcmp(read->path[1], "p") == 0;
    venv_rc rc = VENV_OK;
    if (properties && read->path_count > 2)
        rc = table_list_add(x->set->by_label, read->path[2], x->t, x->err);
    else if (properties)
        rc = list_add(&x->set->any_label, x->t, x->err);
    if (rc == VENV_OK && (whole || strcmp(read->path[1], "name") != 0))
        rc = list_add(&x->set->by_state, x->t, x->err);
    return rc;
}

static void index_expr(void *user, const venv_expr *expr)
{
    indexing *x = user;
    const venv_expr_read *read;
    for (size_t i = 0; x->rc == VENV_OK && (read = venv_expr_read_at(expr, i)); i++)
        x->rc = read->kind == VENV_EXPR_READ_CALL ? index_call(x, read) : index_variable(x, read);
}

static venv_rc index_trigger(venv_triggers *set, trigger *t, venv_error *err)
{
    indexing x = { set, t, false, VENV_OK, err };
    if (t->on & ON_UPDATE) {
        index_expr(&x, t->when);
        if (t->until)
            index_expr(&x, t->until);
        if (t->for_list)
            index_expr(&x, t->for_list);
        /* One that reads nothing of the kind asks to be looked at after each update. */
        if (x.rc == VENV_OK && !x.any)
            x.rc = list_add(&set->any_label, t, err);
    }
    if (x.rc == VENV_OK && (t->on & (ON_JOIN | ON_LEAVE | ON_DISCONNECT)))
        x.rc = list_add(&set->by_membership, t, err);
    return x.rc;
}

venv_rc venv_trigger_index_build(venv_triggers *set, venv_error *err)
{
    venv_rc rc = venv_table_new(1, 65536, &set->by_label, err);
    if (rc == VENV_OK)
        rc = venv_table_new(1, 65536, &set->by_environment, err);
    for (size_t i = 0; rc == VENV_OK && i < set->count; i++)
        rc = index_trigger(set, set->items[i], err);
    return rc;
}

static void table_fini(venv_table *table)
{
    size_t cursor = 0;
    void *value;
    while (table && venv_table_next(table, &cursor, NULL, &value)) {
        trigger_list *list = value;
        free(list->items);
        free(list);
    }
    venv_table_free(table);
}

void venv_trigger_index_fini(venv_triggers *set)
{
    table_fini(set->by_label);
    table_fini(set->by_environment);
    free(set->any_label.items);
    free(set->any_environment.items);
    free(set->by_state.items);
    free(set->by_membership.items);
}

void venv_trigger_context_free(context *c)
{
    if (!c)
        return;
    free(c->agent);
    free(c->group);
    free(c->property);
    free(c->reason);
    free(c);
}

static context *context_new(const char *agent, const char *group, const char *property, const char *reason)
{
    context *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->agent = strdup(agent);
    c->group = strdup(group);
    c->property = strdup(property);
    c->reason = strdup(reason);
    if (c->agent && c->group && c->property && c->reason)
        return c;
    venv_trigger_context_free(c);
    return NULL;
}

/*
 * Note a trigger, in the context of an agent where it reads one. The last note of a batch gives the context.
 * Out of memory or room: every agent that has a unit is looked at again in the next step, and nothing is lost
 * but contexts of agents that had none.
 */
static void note(venv_triggers *set, trigger *t, const char *agent, const char *group, const char *property,
                 const char *reason)
{
    set->pending = true;
    t->noted = true;
    if (!t->contextual || agent[0] == '\0')
        return;
    context *c = context_new(agent, group, property, reason);
    venv_trigger_context_free(venv_table_remove(t->contexts, agent, strlen(agent)));
    if (!c || venv_table_add(t->contexts, agent, strlen(agent), c, NULL) != VENV_OK) {
        venv_trigger_context_free(c);
        set->short_of_memory = true;
    }
}

static void note_list(venv_triggers *set, const trigger_list *list, const char *agent, const char *property,
                      const char *reason)
{
    for (size_t i = 0; list && i < list->count; i++)
        note(set, list->items[i], agent, "", property, reason);
}

void venv_triggers_note_property(venv_triggers *set, const char *agent, const char *label)
{
    note_list(set, venv_table_find(set->by_label, label, strlen(label)), agent, label, "update");
    note_list(set, &set->any_label, agent, label, "update");
}

void venv_triggers_note_membership(venv_triggers *set, const char *agent, const char *group, const char *kind,
                                   const char *reason)
{
    (void)reason;
    unsigned bit = strcmp(kind, "leave") == 0        ? ON_LEAVE
                   : strcmp(kind, "disconnect") == 0 ? ON_DISCONNECT
                                                     : ON_JOIN;
    for (size_t i = 0; i < set->by_membership.count; i++)
        if (set->by_membership.items[i]->on & bit)
            note(set, set->by_membership.items[i], agent, group, "", kind);
}

void venv_triggers_note_agent(venv_triggers *set, const char *agent)
{
    note_list(set, &set->by_state, agent, "", "state");
}

void venv_triggers_note_instances(venv_triggers *set, const char *environment)
{
    note_list(set, venv_table_find(set->by_environment, environment, strlen(environment)), "", "", "");
    note_list(set, &set->any_environment, "", "", "");
}
