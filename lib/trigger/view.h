/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_VIEW_H
#define VENV_TRIGGER_VIEW_H

/*
 * What expressions see, in one form, whoever knows it: the manager's world, and the replay's.
 *
 *      agent          {name, state, breaker, maintenance, groups, heard, updated, p}
 *      queue(NAME)    the numbers of one queue, summed over all agents that report it
 */

#include <venv/common.h>
#include <venv/value.h>

#define VENV_QUEUE_KEYS_MAX 16

/* All but the name are unknown until they are set; null: left out. The values are owned. */
typedef struct venv_agent_view {
    const char *name;
    venv_value state, breaker, maintenance, groups, heard, updated, properties;
} venv_agent_view;

venv_agent_view venv_agent_view_begin(const char *name);
/* The values are taken, also on failure: VENV_ENOMEM. */
venv_rc venv_agent_view_take(venv_agent_view *view, venv_value *ret_map, venv_error *err);

typedef struct venv_queue_sum {
    venv_value name;       /* of the queue, borrowed */
    bool any;              /* an agent has a property `queue` */
    char names[VENV_QUEUE_KEYS_MAX][VENV_NAME_MAX + 1];
    double sums[VENV_QUEUE_KEYS_MAX];
    bool whole[VENV_QUEUE_KEYS_MAX];
    size_t count;
} venv_queue_sum;

/* `pending` and `running` are always in it. */
void venv_queue_sum_init(venv_queue_sum *sum, venv_str name);
/*
 * One agent's property `queue`, a map from queues to maps of numbers; what is no number is left out. NULL: it is not known,
 * and then the sum is not (VENV_EUNKNOWN): half a sum would say that nothing waits. VENV_EKIND: it is no map.
 */
venv_rc venv_queue_sum_add(venv_queue_sum *sum, const char *agent_name, const venv_value *property, venv_error *err);
/* VENV_EUNKNOWN: no agent has the property. */
venv_rc venv_queue_sum_take(const venv_queue_sum *sum, venv_value *ret_map, venv_error *err);

#endif
