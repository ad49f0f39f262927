/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of why something was done, beside the event that tells it: of a firing its conditions part by part
 * and the samples behind them, of a placement the rule that refused each node. All of it is bounded, so that an
 * event fits its message whatever the cluster's size; what was left out is counted.
 *
 * Rows carry the revision of the event that began them. So `venvctl why` (why.c) follows a chain with a few
 * look-ups in the log, also after a restart.
 */
#include "manager/internal.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX    24u  /* verdicts of one placement */
#define SHORT_MAX    200u /* bytes of an argument */
#define FIRING_KEY   "fired/"

venv_value venv_mgr_short_value(venv_manager *m, const venv_value *value)
{
    char text[SHORT_MAX + sizeof "…"];
    size_t size = venv_value_print(value, text, SHORT_MAX);
    venv_value cut = venv_value_null();
    if (size < SHORT_MAX)
        return venv_value_ref(value);
    size = venv_utf8_valid_prefix(text, SHORT_MAX - 1);
    memcpy(text + size, "…", sizeof "…");
    if (venv_value_string_z(text, &cut, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return cut;
}

static venv_value short_arguments(venv_manager *m, const venv_value *arguments)
{
    venv_map_builder map;
    const venv_value *key, *value;
    venv_map_init(&map);
    for (size_t i = 0; venv_value_entry(arguments, i, &key, &value); i++)
        venv_map_put_value(&map, venv_value_ref(key), venv_mgr_short_value(m, value));
    return venv_mgr_take_map(m, &map);
}

/* --- firings ------------------------------------------------------------------------------------------- */

/* {why: as venv_triggers_explain() has it, orders: [{verb, arguments}]}; null if there is neither. */
venv_value venv_mgr_firing_detail(venv_manager *m, const venv_trigger_report *report)
{
    if (venv_value_kind(&report->evidence) == VENV_NULL && report->order_count == 0)
        return venv_value_null();
    venv_map_builder map;
    venv_list_builder orders;
    venv_list_init(&orders);
    for (size_t i = 0; i < report->order_count; i++) {
        venv_map_builder order;
        venv_map_init(&order);
        venv_map_put_z(&order, "verb", venv_order_verb_name(report->orders[i].verb));
        venv_map_put(&order, "arguments", short_arguments(m, &report->orders[i].arguments));
        venv_list_add(&orders, venv_mgr_take_map(m, &order));
    }
    venv_map_init(&map);
    if (venv_value_kind(&report->evidence) != VENV_NULL)
        venv_map_put(&map, "why", venv_value_ref(&report->evidence));
    venv_map_put(&map, "orders", venv_mgr_take_list(m, &orders));
    return venv_mgr_take_map(m, &map);
}

static void keep_firing(venv_manager *m, const char *trigger, const last_firing *f)
{
    last_firing *kept = venv_table_find(m->firings, trigger, strlen(trigger));
    if (!kept) {
        kept = calloc(1, sizeof *kept);
        if (!kept || venv_table_add(m->firings, trigger, strlen(trigger), kept, NULL) != VENV_OK) {
            free(kept);
            venv_mgr_no_memory(m);
            return;
        }
    }
    *kept = *f;
}

void venv_mgr_firing_put(venv_manager *m, venv_str trigger, const last_firing *f)
{
    char key[sizeof FIRING_KEY + VENV_NAME_MAX + 1];
    venv_map_builder map;
    snprintf(key, sizeof key, FIRING_KEY "%.*s", (int)trigger.size, trigger.data);
    venv_map_init(&map);
    venv_map_put_id(&map, "id", f->id);
    venv_map_put(&map, "revision", venv_value_uint(f->revision));
    venv_map_put(&map, "time", venv_value_from_wall(f->time));
    venv_mgr_effect_put(m, VENV_ROWS_META, venv_mgr_text_key(m, key), venv_mgr_take_map(m, &map));
}

/* The event that was added last is the last firing of a trigger: remembered, so that it is found again. */
void venv_mgr_firing_remember(venv_manager *m, const char *trigger, venv_id id)
{
    last_firing f = { id, m->revision, m->now.wall };
    keep_firing(m, trigger, &f);
    venv_mgr_firing_put(m, (venv_str){ trigger, strlen(trigger) }, &f);
}

bool venv_mgr_firing_restore(venv_manager *m, venv_str key, const venv_value *row)
{
    char name[VENV_NAME_MAX + 1];
    size_t prefix = sizeof FIRING_KEY - 1;
    if (key.size <= prefix || memcmp(key.data, FIRING_KEY, prefix) != 0)
        return false;
    last_firing f = { .revision = venv_mgr_get_uint(row, "revision") };
    const venv_value *time = venv_value_get(row, "time");
    if (venv_mgr_fits_name((venv_str){ key.data + prefix, key.size - prefix }, name) && venv_value_get_id(row, "id", &f.id)) {
        if (time)
            venv_value_to_wall(time, &f.time);
        keep_firing(m, name, &f);
    }
    return true;
}

/* --- placement ------------------------------------------------------------------------------------------ */

venv_value venv_mgr_verdict_value(venv_manager *m, const char *node, const venv_placement_verdict *v)
{
    char text[512];
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "node", node);
    venv_map_put_z(&map, "rule", venv_placement_rule_name(v->rule));
    if (v->rule == VENV_PLACEMENT_OK) {
        venv_map_put(&map, "score", venv_value_double(v->score));
    } else {
        venv_map_put_text(&map, "needed", v->needed, strlen(v->needed));
        venv_map_put_text(&map, "available", v->available, strlen(v->available));
    }
    venv_placement_explain(node, v, text, sizeof text);
    venv_map_put_text(&map, "text", text, strlen(text));
    return venv_mgr_take_map(m, &map);
}

/*
 * {chosen?, nodes: [verdicts], left_out?}: the chosen one first, then those that could, then those that were refused. `full` false: only
 * the chosen one, as one of many placements in one step.
 */
venv_value venv_mgr_placement_detail(venv_manager *m, venv_placement_pool *pool, const venv_placement_want *want, size_t chosen, bool full)
{
    venv_map_builder map;
    venv_list_builder list;
    size_t told[NODES_MAX], count = 0, all = venv_placement_pool_count(pool);
    venv_list_init(&list);
    venv_rc rc = venv_placement_pool_survey(pool, want, chosen, full ? NODES_MAX : 1, told, &count, NULL);
    for (size_t n = 0; rc == VENV_OK && n < count; n++) {
        venv_placement_verdict verdict;
        rc = venv_placement_pool_judge(pool, want, told[n], &verdict, NULL);
        if (rc == VENV_OK)
            venv_list_add(&list, venv_mgr_verdict_value(m, venv_placement_pool_node(pool, told[n])->name, &verdict));
    }
    if (rc != VENV_OK)
        venv_mgr_no_memory(m);
    venv_map_init(&map);
    if (chosen < all)
        venv_map_put_z(&map, "chosen", venv_placement_pool_node(pool, chosen)->name);
    venv_map_put(&map, "nodes", venv_mgr_take_list(m, &list));
    if (count < all)
        venv_map_put(&map, "left_out", venv_value_int((int64_t)(all - count)));
    return venv_mgr_take_map(m, &map);
}
