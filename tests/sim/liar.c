/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that lies, in some runs: it claims to have room for many, so that machines come to it; it speaks of machines of other nodes in
 * its lists, as running, stopped, or under a newer epoch; it sends samples of properties that it has not got. What it has told
 * stands in frames that its agent did not make so.
 *
 * Rule `lie`: what it says changes nothing of a machine that is on another node. And all other rules go on for the other
 * nodes: what is too much for it fails there, and is done elsewhere.
 */
#include "sim/rules.h"

#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

#define TIMES 16 /* as much as there is */

static venv_value taken(sim *s, venv_map_builder *map)
{
    venv_value value = venv_value_null();
    if (venv_map_take(map, &value, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    return value;
}

static venv_value list_of(sim *s, venv_list_builder *list)
{
    venv_value value = venv_value_null();
    if (venv_list_take(list, &value, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    return value;
}

/* The same map with another value under a key. */
static venv_value with(sim *s, const venv_value *map, const char *key, venv_value value)
{
    const venv_value *name, *old;
    venv_map_builder b;
    venv_map_init(&b);
    for (size_t i = 0; venv_value_entry(map, i, &name, &old); i++)
        if (!venv_value_is_text(name, key))
            venv_map_put_value(&b, venv_value_ref(name), venv_value_ref(old));
    venv_map_put(&b, key, value);
    return taken(s, &b);
}

/* A machine of another node, as if it were here. */
static venv_value stolen(sim *s, const node *n)
{
    static const char *const states[] = { "running", "stopped", "failed", "paused", "saved", "migrating" };
    const server *v = &s->servers[n->server];
    const disk_row *row;
    size_t cursor = 0;
    while ((row = disk_next(&v->disk, &cursor))) {
        const venv_value *on = venv_value_get(&row->value, "node");
        if (row->collection != VENV_ROWS_INSTANCES || !on || venv_value_is_text(on, n->name) || sim_percent(s, 60))
            continue;
        const venv_value *target = venv_value_get(&row->value, "target");
        if (target && venv_value_is_text(target, n->name))
            continue; /* it comes here: then it may speak of it */
        uint64_t epoch = venv_value_peek_uint(venv_value_get(&row->value, "epoch")) + (uint64_t)sim_chance(s, 3);
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put(&map, "id", venv_value_ref(&row->key));
        venv_map_put(&map, "instance", venv_value_ref(venv_value_get(&row->value, "name")));
        venv_map_put(&map, "environment", venv_value_ref(venv_value_get(&row->value, "environment")));
        venv_map_put(&map, "epoch", venv_value_uint(epoch));
        venv_map_put_z(&map, "state", states[sim_chance(s, 6)]);
        return taken(s, &map);
    }
    return venv_value_null();
}

static venv_value false_list(sim *s, const node *n, const venv_value *body)
{
    const venv_value *info = venv_value_get(body, "node"), *machines = venv_value_get(body, "machines");
    if (!info || !machines)
        return venv_value_ref(body);
    venv_value more = with(s, info, "cpus", venv_value_int(venv_value_get_int(info, "cpus", 1) * TIMES));
    venv_value both = with(s, &more, "memory", venv_value_int(venv_value_get_int(info, "memory", 1) * TIMES));
    venv_value lied = with(s, body, "node", both), other = sim_percent(s, 50) ? stolen(s, n) : venv_value_null();
    venv_value_unref(&more);
    if (venv_value_kind(&other) != VENV_MAP)
        return lied;
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(machines); i++)
        venv_list_add(&list, venv_value_ref(venv_value_at(machines, i)));
    venv_list_add(&list, other);
    s->counts.lies++;
    report_say(s, n->name, "it lies: a machine of another node is here");
    venv_value whole = with(s, &lied, "machines", list_of(s, &list));
    venv_value_unref(&lied);
    return whole;
}

/* Samples under slots that it never declared, beside its own. */
static venv_value false_push(sim *s, const venv_value *body)
{
    const venv_value *samples = venv_value_get(body, "samples");
    venv_list_builder list;
    if (!samples || venv_value_count(samples) == 0 || sim_percent(s, 80))
        return venv_value_ref(body);
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(samples); i++) {
        const venv_value *sample = venv_value_at(samples, i);
        venv_list_builder forged;
        venv_list_add(&list, venv_value_ref(sample));
        if (venv_value_kind(sample) != VENV_LIST || venv_value_count(sample) == 0)
            continue;
        venv_list_init(&forged);
        venv_list_add(&forged, venv_value_uint((uint64_t)sim_between(s, 60, 100000)));
        for (size_t k = 1; k < venv_value_count(sample); k++)
            venv_list_add(&forged, venv_value_ref(venv_value_at(sample, k)));
        venv_list_add(&list, list_of(s, &forged));
    }
    s->counts.lies++;
    return with(s, body, "samples", list_of(s, &list));
}

/* What leaves instead of what its agent says; to be released. */
venv_value liar_says(sim *s, const node *n, int16_t type, const venv_value *body)
{
    if (type == VENV_MSG_MACHINES)
        return false_list(s, n, body);
    return type == VENV_MSG_PUSH ? false_push(s, body) : venv_value_ref(body);
}

/* What is known of one machine that is on another node; 0: it is not, or is on its way to this one, or somebody wants something of it. */
static uint64_t known(const server *v, const node *n, venv_id id)
{
    const instance *i = venv_table_find(v->core->instances, id.bytes, sizeof id.bytes);
    if (!i || !i->node || strcmp(i->node, n->name) == 0 || (i->target && strcmp(i->target, n->name) == 0))
        return 0;
    uint64_t numbers[] = { (uint64_t)i->state, i->epoch, i->confirmed, i->stop_wanted, (uint64_t)i->change_kind };
    return venv_hash_bytes(i->node, strlen(i->node), venv_hash_bytes(numbers, sizeof numbers, venv_hash_bytes(id.bytes, sizeof id.bytes, 1)));
}

/* The sum over the machines that the list speaks of. What becomes of others in the same step follows from what is true in it: its
 * own machines have ended, say, and a trigger starts new ones elsewhere. */
static uint64_t spoken_of(const server *v, const node *n, const venv_value *body)
{
    const venv_value *machines = venv_value_get(body, "machines");
    uint64_t sum = 0;
    venv_id id;
    for (size_t i = 0; v->core && i < venv_value_count(machines); i++)
        if (venv_value_to_id(venv_value_get(venv_value_at(machines, i), "id"), &id))
            sum += known(v, n, id);
    return sum;
}

/* Before and after a step in which the word of a liar is taken. */
uint64_t liar_before(sim *s, const server *v, const venv_manager_event *event)
{
    const node *n = network_speaker(s, v, event);
    return n && n->liar && event->type == VENV_MSG_MACHINES ? spoken_of(v, n, event->value) : 0;
}

void liar_after(sim *s, const server *v, const venv_manager_event *event, uint64_t before)
{
    const node *n = before ? network_speaker(s, v, event) : NULL;
    if (n && spoken_of(v, n, event->value) != before)
        sim_fail(s, "lie: what %s says of machines that are not there has changed them for %s", n->name, v->name);
}
