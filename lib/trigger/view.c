/* SPDX-License-Identifier: Apache-2.0 */
/* What expressions see of an agent, and the sum of one queue over all agents that report it. */
#include "trigger/view.h"

#include <venv/expr.h>

#include <stdio.h>
#include <string.h>

venv_agent_view venv_agent_view_begin(const char *name)
{
    return (venv_agent_view){ name, venv_expr_unknown(), venv_expr_unknown(), venv_expr_unknown(), venv_expr_unknown(),
                              venv_expr_unknown(), venv_expr_unknown(), venv_expr_unknown() };
}

static void put(venv_map_builder *map, const char *key, venv_value *value)
{
    if (venv_value_kind(value) != VENV_NULL)
        venv_map_put(map, key, *value);
    *value = venv_value_null();
}

venv_rc venv_agent_view_take(venv_agent_view *view, venv_value *ret_map, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    put(&map, "p", &view->properties);
    venv_map_put_z(&map, "name", view->name);
    put(&map, "heard", &view->heard);
    put(&map, "state", &view->state);
    put(&map, "groups", &view->groups);
    put(&map, "breaker", &view->breaker);
    put(&map, "updated", &view->updated);
    put(&map, "maintenance", &view->maintenance);
    return venv_map_take(&map, ret_map, err);
}

/* --- queue(NAME) ------------------------------------------------------------------------------------------- */

static void add_to_sum(venv_queue_sum *sum, const char *name, const venv_value *value)
{
    double number = 0;
    bool whole = true;
    if (value && venv_value_kind(value) == VENV_INT)
        number = (double)venv_value_peek_int(value);
    else if (value && venv_value_kind(value) == VENV_UINT)
        number = (double)venv_value_peek_uint(value);
    else if (value && venv_value_kind(value) == VENV_DOUBLE) {
        number = venv_value_peek_double(value);
        whole = number == (double)(int64_t)number;
    } else if (value) {
        return; /* texts and the like are no sums */
    }
    size_t at = 0;
    while (at < sum->count && strcmp(sum->names[at], name) != 0)
        at++;
    if (at == VENV_QUEUE_KEYS_MAX)
        return;
    if (at == sum->count) {
        snprintf(sum->names[at], sizeof sum->names[at], "%s", name);
        sum->whole[at] = true;
        sum->sums[at] = 0;
        sum->count++;
    }
    sum->sums[at] += number;
    sum->whole[at] = sum->whole[at] && whole;
}

static void add_map(venv_queue_sum *sum, const venv_value *queue)
{
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(queue, i, &key, &value); i++) {
        char name[VENV_NAME_MAX + 1];
        venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : VENV_STR("");
        if (text.size == 0 || text.size > VENV_NAME_MAX || memchr(text.data, '\0', text.size))
            continue;
        memcpy(name, text.data, text.size);
        name[text.size] = '\0';
        add_to_sum(sum, name, value);
    }
}

void venv_queue_sum_init(venv_queue_sum *sum, venv_str name)
{
    sum->name = venv_value_borrow(name.data, name.size);
    sum->any = false;
    sum->count = 0;
    add_to_sum(sum, "pending", NULL);
    add_to_sum(sum, "running", NULL);
}

venv_rc venv_queue_sum_add(venv_queue_sum *sum, const char *agent_name, const venv_value *property, venv_error *err)
{
    sum->any = true;
    if (!property)
        return venv_error_set(err, VENV_EUNKNOWN, "the queue of agent %s could not be looked at", agent_name);
    if (venv_value_kind(property) != VENV_MAP)
        return venv_error_set(err, VENV_EKIND, "property queue of agent %s is no map from queues to numbers", agent_name);
    const venv_value *queue = venv_value_find(property, &sum->name);
    if (queue)
        add_map(sum, queue);
    return VENV_OK;
}

venv_rc venv_queue_sum_take(const venv_queue_sum *sum, venv_value *ret_map, venv_error *err)
{
    venv_map_builder map;
    if (!sum->any)
        return venv_error_set(err, VENV_EUNKNOWN, "no agent has a property `queue`");
    venv_map_init(&map);
    for (size_t i = 0; i < sum->count; i++)
        venv_map_put(&map, sum->names[i], sum->whole[i] ? venv_value_int((int64_t)sum->sums[i]) : venv_value_double(sum->sums[i]));
    return venv_map_take(&map, ret_map, err);
}
