/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_INSTANCE_H
#define VENV_ENVIRONMENT_INSTANCE_H

/*
 * The states of an instance, as one table:
 *
 *      pending → placing → preparing → starting → running ⇄ paused
 *      running → draining → stopping → stopped
 *      running → saving → saved → restoring → running
 *      running → migrating → running
 *      … → failed (we know that it did not work), lost (we cannot see it)
 *
 * It is a table of facts, not a machine: the manager's core decides when a state changes, and asks here
 * whether it may. `lost` is the absence of knowledge: from it, every state that an agent can report is
 * allowed, and nothing destructive follows from it.
 */

#include <venv/common.h>

typedef enum venv_instance_state {
    VENV_INSTANCE_PENDING = 0, /* asked for, no node chosen */
    VENV_INSTANCE_PLACING,     /* a node is being chosen */
    VENV_INSTANCE_PREPARING,   /* its node makes ready what it needs (image, files) */
    VENV_INSTANCE_STARTING,    /* its node was told to start it */
    VENV_INSTANCE_RUNNING,
    VENV_INSTANCE_PAUSED,
    VENV_INSTANCE_DRAINING,    /* takes no new work; can still be abandoned */
    VENV_INSTANCE_STOPPING,    /* its node was told to stop it */
    VENV_INSTANCE_STOPPED,     /* ended, in order */
    VENV_INSTANCE_SAVING,
    VENV_INSTANCE_SAVED,       /* its memory is in a file; holds no CPU or memory */
    VENV_INSTANCE_RESTORING,
    VENV_INSTANCE_MIGRATING,
    VENV_INSTANCE_FAILED,      /* ended, not in order; the reason is kept */
    VENV_INSTANCE_LOST,        /* we cannot see it */
    VENV_INSTANCE__COUNT
} venv_instance_state;

/* "pending" … Never NULL for a state of the table. */
const char *venv_instance_state_name(venv_instance_state state);
/* By name; false if there is no such state. */
bool venv_instance_state_parse(venv_str name, venv_instance_state *ret_state);

/* May `from` be followed by `to`? A state may not follow itself. */
bool venv_instance_may_become(venv_instance_state from, venv_instance_state to);

/* It holds, or may hold, CPU and memory of its node: count it in placement. True for lost. */
bool venv_instance_holds_resources(venv_instance_state state);
/* Over: it never runs again under this id. stopped, failed. */
bool venv_instance_is_final(venv_instance_state state);
/* On its way up or running: counts against "how many are there" when more are asked for. */
bool venv_instance_is_wanted(venv_instance_state state);

#endif
