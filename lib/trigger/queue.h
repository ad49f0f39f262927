/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_QUEUE_H
#define VENV_TRIGGER_QUEUE_H

/*
 * What `queue(NAME)` is: the numbers of one queue, summed over all agents that report it. Whoever knows the agents adds
 * them up with this: the manager's world, and the replay's.
 */

#include <venv/common.h>
#include <venv/value.h>

#define VENV_QUEUE_KEYS_MAX 16

typedef struct venv_queue_sum {
    char names[VENV_QUEUE_KEYS_MAX][VENV_NAME_MAX + 1];
    double sums[VENV_QUEUE_KEYS_MAX];
    bool whole[VENV_QUEUE_KEYS_MAX];
    size_t count;
} venv_queue_sum;

/* `pending` and `running` are always in it. */
void venv_queue_sum_init(venv_queue_sum *sum);
/* One agent's map from names to numbers; what is no number is left out. */
void venv_queue_sum_add(venv_queue_sum *sum, const venv_value *queue);
venv_rc venv_queue_sum_take(const venv_queue_sum *sum, venv_value *ret_map, venv_error *err);

#endif
