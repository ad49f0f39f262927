/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_PREEMPT_H
#define VENV_ENVIRONMENT_PREEMPT_H

/*
 * Whom one of higher priority takes the place of, where no node has room for it.
 *
 * Only nodes that refuse for want of room alone are looked at. On each, those of the lowest priority go first, of these
 * the youngest, and no more than it takes; the node is chosen where the highest priority that has to go is lowest, then
 * where the fewest go, then where the least memory goes, then by its name. Equal inputs give the same answer.
 */

#include "environment/pool.h"

#define VENV_PREEMPT_MAX 16u /* that go for one */

/* One that may have to go: it allows it, its priority is lower, and it can be told. */
typedef struct venv_preempt_guest {
    size_t node;            /* of the pool */
    uint32_t vcpus;
    uint64_t memory_bytes;
    bool pinned;
    int32_t priority;
    int64_t made;           /* when, in ns */
    void *user;
} venv_preempt_guest;

typedef struct venv_preempt_choice {
    size_t node;            /* the count of nodes: there is none where that would help */
    size_t count;
    void *users[VENV_PREEMPT_MAX]; /* of those that go */
} venv_preempt_choice;

/* `guests` are put into another order. VENV_ENOMEM. */
venv_rc venv_placement_preempt(venv_placement_pool *pool, const venv_placement_want *want, venv_preempt_guest *guests, size_t count,
                               venv_preempt_choice *ret_choice, venv_error *err);

#endif
