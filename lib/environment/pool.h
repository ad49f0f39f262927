/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_POOL_H
#define VENV_ENVIRONMENT_POOL_H

/*
 * Choosing among all nodes, many times over.
 *
 *      nodes + what is on them ──► pool ──choose──► the best node ──add──► it is fuller, for all
 *                                   │
 *                                   └─ for each environment, made when it is first asked for: which nodes may, their
 *                                      scores, and a tournament tree over them: the best is at its root
 *
 * The rules that nothing placed can change (`where` and its like) are looked at once for each environment and node; adding
 * an instance changes one leaf of each tree. So the first choice costs as much as a look at every node, the next ones
 * a logarithm of that. The answer is that of a look at every node: with `spread` the node or zone with the fewest of its
 * environment; then the highest `prefer`; then the fullest node with the instance on it, so that others stay empty for
 * large instances or can be switched off (with `spread` the emptiest); then the name.
 *
 * A pool is of one moment: when what is known of a node changes, make another one.
 */

#include "environment/placement.h"

typedef struct venv_placement_pool venv_placement_pool;

/* What is on a node, or on its way there. */
typedef struct venv_placement_guest {
    const char *environment;
    uint32_t vcpus;
    uint64_t memory_bytes;
    bool pinned;
} venv_placement_guest;

/* One that this instance alone may not use. */
typedef struct venv_placement_bar {
    const char *node, *why;
} venv_placement_bar;

/* What is to be placed; everything is borrowed for the call. */
typedef struct venv_placement_want {
    venv_environment *environment;
    const char *asked;              /* the node that the asker named, or NULL */
    const char *breaker;            /* not NULL: of the environment; no node may */
    const venv_placement_bar *bars;
    size_t bar_count;
} venv_placement_want;

/* `nodes` and what they point to are borrowed; their `used_…` are what is foreign, and are kept up by the pool. Names are unique.
 * `context` and `expr_data` are for the expressions. VENV_ENOMEM, VENV_EEXIST. */
venv_rc venv_placement_pool_new(venv_placement_node *nodes, size_t count, venv_expr_context *context, void *expr_data,
                                venv_placement_pool **ret_pool, venv_error *err);
void venv_placement_pool_free(venv_placement_pool *pool);

size_t venv_placement_pool_count(const venv_placement_pool *pool);
const venv_placement_node *venv_placement_pool_node(const venv_placement_pool *pool, size_t index);
/* Its index; the count of nodes if there is none of this name. */
size_t venv_placement_pool_find(const venv_placement_pool *pool, const char *name);

/* One more on the node, or one less. VENV_ENOMEM. */
venv_rc venv_placement_pool_add(venv_placement_pool *pool, size_t index, const venv_placement_guest *guest, venv_error *err);
venv_rc venv_placement_pool_remove(venv_placement_pool *pool, size_t index, const venv_placement_guest *guest, venv_error *err);
venv_placement_guest venv_placement_guest_of(const venv_environment *environment);

/* The best node, or the count of nodes if none may. Nothing is added. The environment is kept (a reference) as long as the pool. VENV_ENOMEM. */
venv_rc venv_placement_pool_choose(venv_placement_pool *pool, const venv_placement_want *want, size_t *ret_index, venv_error *err);

/* Which rule refuses one node, or VENV_PLACEMENT_OK. VENV_ENOMEM. */
venv_rc venv_placement_pool_rule(venv_placement_pool *pool, const venv_placement_want *want, size_t index, venv_placement_rule *ret_rule,
                                 venv_error *err);

/* Why, of one node, in words. VENV_ENOMEM. */
venv_rc venv_placement_pool_judge(venv_placement_pool *pool, const venv_placement_want *want, size_t index, venv_placement_verdict *ret_verdict,
                                  venv_error *err);

/* How many nodes each rule refuses. VENV_ENOMEM. */
venv_rc venv_placement_pool_tally(venv_placement_pool *pool, const venv_placement_want *want, size_t ret_counts[VENV_PLACEMENT__COUNT],
                                  venv_error *err);

/*
 * Nodes in the order in which people are told of them: the chosen one, those that could, those that were refused; at most `max`.
 * `chosen` as venv_placement_pool_choose() gave it. VENV_ENOMEM.
 */
venv_rc venv_placement_pool_survey(venv_placement_pool *pool, const venv_placement_want *want, size_t chosen, size_t max, size_t *ret_indexes,
                                   size_t *ret_count, venv_error *err);

#endif
