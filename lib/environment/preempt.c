/* SPDX-License-Identifier: Apache-2.0 */
#include "environment/preempt.h"

#include <stdlib.h>
#include <string.h>

/* What it would cost to make room on one node. */
typedef struct cost {
    int32_t priority; /* the highest that goes */
    uint64_t memory_bytes;
    size_t count, first; /* of the guests of the node */
    bool goes[VENV_PREEMPT_MAX];
} cost;

/* By node; the lowest priority first, of these the youngest. */
static int by_turn(const void *a, const void *b)
{
    const venv_preempt_guest *x = a, *y = b;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    if (x->made != y->made)
        return x->made > y->made ? -1 : 1;
    return x->memory_bytes > y->memory_bytes ? -1 : x->memory_bytes < y->memory_bytes;
}

static void leave(venv_placement_node *node, const venv_preempt_guest *guest)
{
    node->used_vcpus -= guest->vcpus;
    node->used_memory_bytes -= guest->memory_bytes;
    node->used_cpus -= guest->pinned ? guest->vcpus : 0;
}

static void stay(venv_placement_node *node, const venv_preempt_guest *guest)
{
    node->used_vcpus += guest->vcpus;
    node->used_memory_bytes += guest->memory_bytes;
    node->used_cpus += guest->pinned ? guest->vcpus : 0;
}

/* False: no room even without all of them. */
static bool cost_of(const venv_environment *environment, venv_placement_node node, const venv_preempt_guest *guests, size_t count, cost *ret_cost)
{
    size_t n = 0;
    *ret_cost = (cost){ .priority = INT32_MIN };
    for (; n < count && n < VENV_PREEMPT_MAX && venv_placement_room(environment, &node) != VENV_PLACEMENT_OK; n++) {
        leave(&node, &guests[n]);
        ret_cost->goes[n] = true;
    }
    if (venv_placement_room(environment, &node) != VENV_PLACEMENT_OK)
        return false;
    while (n-- > 0) { /* who would not have to go, after all: the highest first */
        stay(&node, &guests[n]);
        ret_cost->goes[n] = venv_placement_room(environment, &node) != VENV_PLACEMENT_OK;
        if (!ret_cost->goes[n])
            continue;
        leave(&node, &guests[n]);
        ret_cost->count++;
        ret_cost->memory_bytes += guests[n].memory_bytes;
        ret_cost->priority = guests[n].priority > ret_cost->priority ? guests[n].priority : ret_cost->priority;
    }
    return true;
}

static bool is_cheaper(const cost *a, const cost *b, const char *name_a, const char *name_b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a->count != b->count)
        return a->count < b->count;
    if (a->memory_bytes != b->memory_bytes)
        return a->memory_bytes < b->memory_bytes;
    return strcmp(name_a, name_b) < 0;
}

venv_rc venv_placement_preempt(venv_placement_pool *pool, const venv_placement_want *want, venv_preempt_guest *guests, size_t count,
                               venv_preempt_choice *ret_choice, venv_error *err)
{
    size_t none = venv_placement_pool_count(pool), first = 0;
    cost best = { .priority = INT32_MAX }, here;
    *ret_choice = (venv_preempt_choice){ .node = none };
    if (count > 0)
        qsort(guests, count, sizeof *guests, by_turn);
    while (first < count) {
        size_t node = guests[first].node, end = first;
        venv_placement_rule rule = VENV_PLACEMENT_OK;
        while (end < count && guests[end].node == node)
            end++;
        venv_rc rc = venv_placement_pool_rule(pool, want, node, &rule, err);
        if (rc != VENV_OK)
            return rc;
        const venv_placement_node *there = venv_placement_pool_node(pool, node);
        if (venv_placement_is_room(rule) && cost_of(want->environment, *there, &guests[first], end - first, &here) &&
            (ret_choice->node == none || is_cheaper(&here, &best, there->name, venv_placement_pool_node(pool, ret_choice->node)->name))) {
            best = here;
            best.first = first;
            ret_choice->node = node;
        }
        first = end;
    }
    for (size_t n = 0; ret_choice->node < none && n < VENV_PREEMPT_MAX; n++)
        if (best.goes[n])
            ret_choice->users[ret_choice->count++] = guests[best.first + n].user;
    return VENV_OK;
}
