/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preemption: where no node has room for an instance, some of lower priority that allow it are saved or stopped.
 *
 *      pending ──no room──► a node and victims are chosen, its place there is kept ──they have gone──► it is placed
 *                                                  │
 *                                                  └─ one did not go, or its time is over: the place is given up; tried again later
 *
 * The place, and whom each victim makes room for, stand in their rows before anybody is told. There is no chain without an
 * end: a victim's priority is strictly lower, so what comes of it can never turn against who took its place, and one
 * instance tries it a few times at most. What cannot be seen is no victim.
 */
#include "manager/internal.h"

#include "environment/preempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 3u /* of one instance */
#define TRY_AGAIN ((venv_span){ 60 * VENV_NS_PER_S })

static const venv_environment *definition_of(venv_manager *m, instance *i)
{
    return venv_mgr_instance_environment(m, i, NULL);
}

static bool may_go(venv_manager *m, instance *i, int32_t priority)
{
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    if ((i->state != VENV_INSTANCE_RUNNING && i->state != VENV_INSTANCE_PAUSED) || i->stop_wanted || i->change_kind != CHANGE_NONE || i->target)
        return false;
    if (!a || !a->peer || !a->machines_known || !a->reachable)
        return false;
    const venv_environment *e = definition_of(m, i);
    const venv_definition *is = e ? venv_environment_peek(e) : NULL;
    return is && is->preempt != VENV_PREEMPT_NEVER && is->priority < priority;
}

static venv_preempt_guest *guests_below(venv_manager *m, venv_placement_pool *pool, int32_t priority, size_t *ret_count)
{
    venv_preempt_guest *guests = calloc(venv_table_count(m->instances) + 1, sizeof *guests);
    size_t cursor = 0;
    void *item;
    *ret_count = 0;
    while (guests && venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (!may_go(m, i, priority))
            continue;
        size_t node = venv_placement_pool_find(pool, i->node);
        const venv_definition *is = venv_environment_peek(definition_of(m, i));
        if (node < venv_placement_pool_count(pool))
            guests[(*ret_count)++] = (venv_preempt_guest){ node, i->vcpus, i->memory, is->pin != VENV_PIN_NO, is->priority, i->made.ns, i };
    }
    if (!guests)
        venv_mgr_no_memory(m);
    return guests;
}

static void send_away(venv_manager *m, instance *i, instance *victim, int32_t priority)
{
    char by[BY_MAX];
    venv_error err = { 0 };
    const venv_definition *is = venv_environment_peek(definition_of(m, victim));
    bool save = is->preempt == VENV_PREEMPT_SAVE;
    snprintf(by, sizeof by, "preempt/%.*s", VENV_NAME_MAX, i->name);
    victim->preempted_by = i->id;
    venv_mgr_instance_touch(m, victim);
    venv_mgr_event_add(m, "instance-preempted", victim->name, i->start, venv_value_null(),
                       "%s on %s (priority %d) is %s: %s (priority %d) takes its place", victim->name, victim->node, (int)is->priority,
                       save ? "saved" : "stopped", i->name, (int)priority);
    venv_rc rc = save ? venv_mgr_change_begin(m, victim, CHANGE_SAVE, i->start, by, NULL, &err)
                      : venv_mgr_stop_begin(m, victim, i->start, by, false, m->config->grace, &err);
    if (rc != VENV_OK)
        venv_mgr_event_add(m, "instance-preempt-failed", victim->name, i->start, venv_value_null(), "%s stays: %s", victim->name, err.text);
}

static void reserve(venv_manager *m, instance *i, const char *node, const venv_preempt_choice *choice, int32_t priority)
{
    i->reserved = venv_mgr_copy_text(m, node);
    i->preemptions++;
    i->preempt_again = venv_mgr_after(m, TRY_AGAIN);
    /* Its time begins anew: it waits for others, who have theirs. */
    i->give_up = venv_mgr_after(m, m->config->pending_timeout);
    snprintf(i->reason, sizeof i->reason, "it takes the place of %zu of lower priority on %.100s, and waits until that is free", choice->count, node);
    venv_mgr_instance_touch(m, i);
    venv_mgr_event_add(m, "instance-preempts", i->name, i->start, venv_value_null(), "%s (priority %d): %s", i->name, (int)priority, i->reason);
    i->placed = m->revision;
    for (size_t n = 0; n < choice->count; n++)
        send_away(m, i, choice->users[n], priority);
    venv_mgr_place_stale(m);
}

/* No node has room. True: somebody makes some. */
bool venv_mgr_preempt(venv_manager *m, instance *i, venv_placement_pool *pool, const venv_placement_want *want)
{
    int32_t priority = venv_environment_priority(want->environment);
    size_t count = 0;
    venv_preempt_choice choice;
    if (i->reserved || i->preemptions >= TRIES_MAX || i->preempt_again.ns > m->now.mono.ns || venv_mgr_guard_holds(m))
        return false;
    venv_preempt_guest *guests = guests_below(m, pool, priority, &count);
    if (!guests || count == 0) {
        free(guests);
        return false;
    }
    venv_rc rc = venv_placement_preempt(pool, want, guests, count, &choice, NULL);
    free(guests);
    if (rc != VENV_OK)
        venv_mgr_no_memory(m);
    if (rc != VENV_OK || choice.node >= venv_placement_pool_count(pool))
        return false;
    char node[VENV_NAME_MAX + 1];
    snprintf(node, sizeof node, "%s", venv_placement_pool_node(pool, choice.node)->name);
    reserve(m, i, node, &choice, priority);
    return true;
}

/* What those that make room for it still hold of the node. */
void venv_mgr_preempt_there(venv_manager *m, const instance *i, venv_placement_guest *ret_sum)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *victim = item;
        if (!venv_id_equal(victim->preempted_by, i->id) || !victim->node || strcmp(victim->node, i->reserved) != 0 ||
            !venv_instance_holds_resources(victim->state))
            continue;
        ret_sum->vcpus += victim->vcpus;
        ret_sum->memory_bytes += victim->memory;
    }
}

/* Whether somebody still goes for it. If not, its place is not kept any longer. */
bool venv_mgr_preempt_goes_on(venv_manager *m, instance *i)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *victim = item;
        if (venv_id_equal(victim->preempted_by, i->id) && victim->node && venv_instance_holds_resources(victim->state) &&
            (victim->stop_wanted || victim->change_kind != CHANGE_NONE))
            return true;
    }
    venv_mgr_preempt_over(m, i);
    return false;
}

void venv_mgr_preempt_over(venv_manager *m, instance *i)
{
    if (!i->reserved)
        return;
    free(i->reserved);
    i->reserved = NULL;
    venv_mgr_place_stale(m);
    venv_mgr_instance_touch(m, i);
}
