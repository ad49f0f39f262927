/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kept triggers from acting, as it was recorded: those that were switched off, a manager that began nothing new, breakers that were
 * open. And which agents an order of the model would touch, for limits of a share of a group.
 */
#include "replay/replay.h"

#include "trigger/where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the policy of that time ------------------------------------------------------------------------------ */

static bool is_listed(const venv_value *list, const char *name)
{
    for (size_t i = 0; list && i < venv_value_count(list); i++)
        if (venv_value_is_text(venv_value_at(list, i), name))
            return true;
    return false;
}

static void switch_triggers(venv_replay *r, const venv_value *disabled)
{
    const char *name;
    for (size_t i = 0; (name = venv_triggers_name(r->triggers, i)); i++)
        if (venv_triggers_set_enabled(r->triggers, name, !is_listed(disabled, name), "history", NULL, r->now, NULL) == VENV_ENOMEM)
            r->rc = VENV_ENOMEM;
}

/* Whoever reads the state of one of these is evaluated again. */
static void note_breakers(venv_replay *r, const venv_value *breakers)
{
    const venv_value *key;
    char name[2 * VENV_NAME_MAX];
    for (size_t i = 0; breakers && venv_value_entry(breakers, i, &key, NULL); i++) {
        const char *own = venv_replay_text(venv_value_peek_text(key), name, sizeof name) ? strchr(name, '/') : NULL;
        if (!own)
            continue;
        venv_triggers_note_instances(r->triggers, own + 1);
        past_agent *a = strncmp(name, "node/", 5) == 0 ? venv_table_find(r->agents, own + 1, strlen(own + 1)) : NULL;
        if (a) {
            venv_replay_stale(r, a);
            venv_triggers_note_agent(r->triggers, a->name);
        }
    }
}

void venv_replay_take_policy(venv_replay *r, const venv_history_sample *sample)
{
    const venv_value *breakers = venv_value_get(sample->value, "breakers");
    venv_value old = r->breakers, fresh = venv_value_null();
    if (breakers && venv_value_kind(breakers) == VENV_MAP && venv_value_dup(breakers, &fresh, NULL) != VENV_OK) {
        r->rc = VENV_ENOMEM;
        return;
    }
    if (!r->has_policy) { /* what agents are seen with, too */
        size_t cursor = 0;
        void *item;
        while (venv_table_next(r->agents, &cursor, NULL, &item))
            venv_replay_stale(r, item);
    }
    r->has_policy = true;
    switch_triggers(r, venv_value_get(sample->value, "disabled"));
    r->held = venv_value_get_bool(sample->value, "held", false);
    r->breakers = fresh;
    note_breakers(r, &old);
    note_breakers(r, &fresh);
    venv_value_unref(&old);
    venv_replay_machines_let_through(r);
}

static const venv_value *breaker_of(const venv_replay *r, bool of_node, const char *name)
{
    char full[VENV_NAME_MAX + sizeof "environment/"];
    snprintf(full, sizeof full, "%s/%.*s", of_node ? "node" : "environment", VENV_NAME_MAX, name);
    return venv_value_kind(&r->breakers) == VENV_MAP ? venv_value_get(&r->breakers, full) : NULL;
}

const char *venv_replay_breaker_state(const venv_replay *r, bool of_node, const char *name)
{
    const venv_value *b = breaker_of(r, of_node, name);
    const venv_value *state = b ? venv_value_get(b, "state") : NULL;
    return state && venv_value_is_text(state, "open") ? "open" : state && venv_value_is_text(state, "half-open") ? "half-open" : "closed";
}

/* `breaker(NAME)`: of an environment, or of `node/NAME`. One that is not recorded was closed. */
venv_rc venv_replay_ask_breaker(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    const venv_replay *r = user;
    char text[2 * VENV_NAME_MAX];
    if (!venv_replay_text(name, text, sizeof text))
        return venv_error_set(err, VENV_ENOENT, "there is no breaker of this name");
    if (!r->has_policy)
        return venv_error_set(err, VENV_EUNKNOWN, "circuit breakers are not in the history of that time");
    bool of_node = strncmp(text, "node/", 5) == 0;
    const char *own = of_node ? text + 5 : strncmp(text, "environment/", 12) == 0 ? text + 12 : text;
    const venv_value *b = breaker_of(r, of_node, own);
    if (b)
        return venv_value_dup(b, ret_map, err);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "state", "closed");
    venv_map_put(&map, "since", venv_value_from_wall(r->options.from));
    venv_map_put(&map, "failures", venv_value_int(0));
    venv_map_put(&map, "opened", venv_value_int(0));
    return venv_map_take(&map, ret_map, err);
}

/* --- which agents an order would touch ---------------------------------------------------------------------- */

size_t venv_replay_members(void *user, const char *group)
{
    const venv_replay *r = user;
    size_t cursor = 0, count = 0;
    void *item;
    while (venv_table_next(r->agents, &cursor, NULL, &item))
        count += is_listed(&((past_agent *)item)->groups, group);
    return count;
}

bool venv_replay_is_member(void *user, const char *group, const char *name)
{
    const venv_replay *r = user;
    const past_agent *a = venv_table_find(r->agents, name, strlen(name));
    return a && is_listed(&a->groups, group);
}

static size_t load_of(const venv_replay *r, const past_agent *a)
{
    size_t cursor = 0, count = 0;
    void *item;
    while (venv_table_next(r->machines, &cursor, NULL, &item))
        count += ((machine *)item)->node && strcmp(((machine *)item)->node, a->name) == 0;
    return count;
}

/* `ahead`: so many of the same order have been placed, and are not machines yet. */
const char *venv_replay_place(venv_replay *r, size_t ahead)
{
    const past_agent *best = NULL;
    for (size_t n = 0; n <= ahead; n++) {
        const past_agent *next = NULL;
        size_t cursor = 0, least = 0;
        void *item;
        while (venv_table_next(r->agents, &cursor, NULL, &item)) {
            const past_agent *a = item;
            bool usable = a->hosts && a->connected && strcmp(venv_replay_breaker_state(r, true, a->name), "open") != 0;
            size_t load = usable ? load_of(r, a) : 0;
            bool later = !best || load > load_of(r, best) || (load == load_of(r, best) && strcmp(a->name, best->name) > 0);
            if (!usable || (n > 0 && !later))
                continue;
            if (!next || load < least || (load == least && strcmp(a->name, next->name) < 0)) {
                next = a;
                least = load;
            }
        }
        if (!next)
            break;
        best = next;
    }
    return best ? best->name : NULL;
}

static void touch_start(venv_replay *r, const venv_value *arguments, venv_trigger_agent_fn each, void *user)
{
    char node[VENV_NAME_MAX + 1];
    int64_t count = venv_value_get_int(arguments, "count", 1);
    if (venv_replay_text(venv_value_get_text(arguments, "node"), node, sizeof node)) {
        each(user, node);
        return;
    }
    for (int64_t n = 0; n < count && n < (int64_t)VENV_TRIGGER_COUNT_MAX; n++) {
        const char *name = venv_replay_place(r, (size_t)n);
        if (!name)
            return;
        each(user, name);
        if ((size_t)n >= venv_table_count(r->agents))
            return; /* all that there are */
    }
}

static bool is_chosen(const past_agent *a, venv_str part)
{
    char group[VENV_GROUP_NAME_MAX + 1];
    if (part.size == 4 && memcmp(part.data, "@all", 4) == 0)
        return true;
    if (part.size > 1 && part.data[0] == '@')
        return venv_replay_text((venv_str){ part.data + 1, part.size - 1 }, group, sizeof group) && is_listed(&a->groups, group);
    return strlen(a->name) == part.size && memcmp(a->name, part.data, part.size) == 0;
}

static bool is_selected(const past_agent *a, venv_str selector)
{
    while (selector.size > 0) {
        const char *comma = memchr(selector.data, ',', selector.size);
        size_t size = comma ? (size_t)(comma - selector.data) : selector.size;
        venv_str part = { selector.data, size };
        for (; part.size > 0 && part.data[0] == ' '; part.size--)
            part.data++;
        while (part.size > 0 && part.data[part.size - 1] == ' ')
            part.size--;
        if (is_chosen(a, part))
            return true;
        selector.data += comma ? size + 1 : size;
        selector.size -= comma ? size + 1 : size;
    }
    return false;
}

static void touch_target(venv_replay *r, const venv_value *arguments, venv_trigger_agent_fn each, void *user)
{
    venv_trigger_world world = venv_replay_world(r);
    venv_where *where = NULL;
    const venv_value *source = venv_value_get(arguments, "where");
    size_t cursor = 0;
    void *item;
    if (source && venv_where_new(venv_value_peek_text(source), &r->options.triggers, &world, &where, NULL) != VENV_OK)
        return;
    while (venv_table_next(r->agents, &cursor, NULL, &item)) {
        const past_agent *a = item;
        venv_where_verdict verdict = VENV_WHERE_YES;
        char why[8];
        if (!is_selected(a, venv_value_get_text(arguments, "target")) ||
            (where && (venv_where_ask(where, a->name, r->now, &verdict, why, sizeof why, NULL) != VENV_OK || verdict != VENV_WHERE_YES)))
            continue;
        each(user, a->name);
    }
    venv_where_free(where);
}

void venv_replay_touches(void *user, const venv_order *order, venv_trigger_agent_fn each, void *each_user)
{
    venv_replay *r = user;
    if (order->verb == VENV_ORDER_START) {
        touch_start(r, &order->arguments, each, each_user);
    } else if (venv_value_get(&order->arguments, "target")) {
        touch_target(r, &order->arguments, each, each_user);
    } else if (venv_value_get(&order->arguments, "instance") || venv_value_get(&order->arguments, "environment")) {
        size_t count = 0;
        machine **items = venv_replay_stop_select(r, &order->arguments, &count);
        for (size_t i = 0; items && i < count; i++)
            each(each_user, items[i]->node ? items[i]->node : "");
        free(items);
    }
}
