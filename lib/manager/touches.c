/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents an order would touch: what the limits of triggers count. Nothing is changed by asking. */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct telling {
    venv_trigger_agent_fn each;
    void *user;
} telling;

static void touch_start(venv_manager *m, const venv_value *arguments, const telling *x)
{
    char environment[VENV_NAME_MAX + 1], node[VENV_NAME_MAX + 1];
    int64_t count = venv_value_get_int(arguments, "count", 1);
    bool named = venv_mgr_fits_name(venv_value_get_text(arguments, "node"), node);
    venv_environment *found = venv_mgr_fits_name(venv_value_get_text(arguments, "environment"), environment)
                                  ? venv_mgr_environment_find(m, environment)
                                  : NULL;
    if (named)
        x->each(x->user, node);
    else if (found)
        venv_mgr_place_each(m, found, count < (int64_t)START_COUNT_MAX ? count : (int64_t)START_COUNT_MAX, x->each, x->user);
}

static void touch_instances(venv_manager *m, const venv_order *order, const telling *x)
{
    instance **items = NULL;
    size_t count = 0;
    change_kind kind = venv_mgr_change_parse((venv_str){ venv_order_verb_name(order->verb), strlen(venv_order_verb_name(order->verb)) });
    venv_rc rc = kind != CHANGE_NONE ? venv_mgr_change_select(m, kind, &order->arguments, &items, &count, NULL)
                                     : venv_mgr_verb_stop_select(m, &order->arguments, &items, &count, NULL);
    if (rc != VENV_OK)
        return;
    for (size_t i = 0; i < count; i++)
        x->each(x->user, items[i]->node ? items[i]->node : "");
    free(items);
}

static bool touch_member(void *user, const venv_member *member)
{
    const telling *x = user;
    x->each(x->user, member->name);
    return true;
}

/* An agent of which `where` cannot tell is not touched. */
static void pass_over(void *user, const venv_member *member, const char *why)
{
    (void)user, (void)member, (void)why;
}

/* A target that selects nothing touches nothing; carrying out the order says what is wrong with it. */
static void touch_target(venv_manager *m, const venv_value *arguments, telling *x)
{
    char target[VENV_GROUPS_SELECTOR_MAX + 1];
    if (venv_mgr_target(arguments, target, NULL) == VENV_OK &&
        venv_mgr_select(m, target, arguments, touch_member, pass_over, x, NULL) == VENV_ENOMEM)
        venv_mgr_no_memory(m);
}

void venv_mgr_touches(void *user, const venv_order *order, venv_trigger_agent_fn each, void *each_user)
{
    venv_manager *m = user;
    telling x = { each, each_user };
    if (order->verb == VENV_ORDER_START)
        touch_start(m, &order->arguments, &x);
    else if (venv_value_get(&order->arguments, "target"))
        touch_target(m, &order->arguments, &x);
    else if (venv_value_get(&order->arguments, "instance") || venv_value_get(&order->arguments, "environment"))
        touch_instances(m, order, &x);
}

size_t venv_mgr_members(void *user, const char *group)
{
    return venv_groups_size(((venv_manager *)user)->groups, group);
}

bool venv_mgr_is_member(void *user, const char *group, const char *name)
{
    const venv_member *member = venv_groups_member(((venv_manager *)user)->groups, name);
    for (size_t i = 0; member && i < member->group_count; i++)
        if (strcmp(venv_groups_group_of(member, i), group) == 0)
            return true;
    return false;
}
