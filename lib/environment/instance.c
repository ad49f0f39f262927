/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of instance states. One row a state: its name, what may follow, and what it counts as.
 */
#include "environment/instance.h"

#include <assert.h>
#include <string.h>

#define BIT(state) (1u << VENV_INSTANCE_##state)

/* What an agent may tell of a machine that was out of sight, or that changed without being asked. */
#define SEEN (BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPING) | BIT(STOPPED) | BIT(FAILED))

typedef struct state_row {
    const char *name;
    uint32_t next;    /* set of states that may follow */
    bool holds;       /* holds CPU and memory, or may */
    bool final;
    bool wanted;
} state_row;

static const state_row states[VENV_INSTANCE__COUNT] = {
    /* A person's stop ends what has not begun without any machine to stop. */
    [VENV_INSTANCE_PENDING] = { "pending", BIT(PLACING) | BIT(STOPPED) | BIT(FAILED), false, false, true },
    /* No node may: it waits again as pending. */
    [VENV_INSTANCE_PLACING] = { "placing", BIT(PENDING) | BIT(PREPARING) | BIT(STOPPED) | BIT(FAILED),
                                false, false, true },
    [VENV_INSTANCE_PREPARING] = { "preparing",
                                  BIT(PENDING) | BIT(STARTING) | BIT(STOPPING) | BIT(STOPPED) |
                                      BIT(FAILED) | BIT(LOST),
                                  true, false, true },
    /* Back to pending only where the node said that it did not start: another node may be tried. */
    [VENV_INSTANCE_STARTING] = { "starting", BIT(PENDING) | BIT(LOST) | SEEN, true, false, true },
    [VENV_INSTANCE_RUNNING] = { "running",
                                BIT(PAUSED) | BIT(DRAINING) | BIT(STOPPING) | BIT(STOPPED) |
                                    BIT(SAVING) | BIT(SAVED) | BIT(MIGRATING) | BIT(FAILED) | BIT(LOST) |
                                    BIT(STARTING), /* again, after a crash */
                                true, false, true },
    [VENV_INSTANCE_PAUSED] = { "paused",
                               BIT(RUNNING) | BIT(STOPPING) | BIT(STOPPED) | BIT(SAVING) | BIT(SAVED) |
                                   BIT(FAILED) | BIT(LOST) | BIT(STARTING),
                               true, false, true },
    /* Draining can be abandoned until the last step. */
    [VENV_INSTANCE_DRAINING] = { "draining",
                                 BIT(RUNNING) | BIT(STOPPING) | BIT(STOPPED) | BIT(FAILED) | BIT(LOST),
                                 true, false, false },
    /* A stop that the node refused, or that is not known to have worked, leaves it running. */
    [VENV_INSTANCE_STOPPING] = { "stopping", BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPED) | BIT(FAILED) |
                                 BIT(LOST), true, false, false },
    [VENV_INSTANCE_STOPPED] = { "stopped", 0, false, true, false },
    [VENV_INSTANCE_SAVING] = { "saving", BIT(SAVED) | BIT(LOST) | SEEN, true, false, false },
    /* Whoever looks after the node may restore it, too. One that cannot be seen is still in its file. */
    [VENV_INSTANCE_SAVED] = { "saved", BIT(RESTORING) | BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPING) | BIT(STOPPED) | BIT(FAILED),
                              false, false, false },
    [VENV_INSTANCE_RESTORING] = { "restoring", BIT(SAVED) | BIT(LOST) | SEEN, true, false, true },
    [VENV_INSTANCE_MIGRATING] = { "migrating", BIT(LOST) | SEEN, true, false, true },
    [VENV_INSTANCE_FAILED] = { "failed", 0, false, true, false },
    /* Seen again: whatever it is now. It may also have ended while nobody looked. */
    [VENV_INSTANCE_LOST] = { "lost", BIT(DRAINING) | BIT(SAVED) | BIT(STARTING) | SEEN, true, false, true },
};

static const state_row *row_of(venv_instance_state state)
{
    assert(state >= 0 && state < VENV_INSTANCE__COUNT);
    return &states[state];
}

const char *venv_instance_state_name(venv_instance_state state)
{
    return row_of(state)->name;
}

bool venv_instance_state_parse(venv_str name, venv_instance_state *ret_state)
{
    for (int i = 0; i < VENV_INSTANCE__COUNT; i++) {
        if (strlen(states[i].name) == name.size && memcmp(states[i].name, name.data, name.size) == 0) {
            *ret_state = (venv_instance_state)i;
            return true;
        }
    }
    return false;
}

bool venv_instance_may_become(venv_instance_state from, venv_instance_state to)
{
    (void)row_of(to);
    return (row_of(from)->next & (1u << to)) != 0;
}

bool venv_instance_holds_resources(venv_instance_state state)
{
    return row_of(state)->holds;
}

bool venv_instance_is_final(venv_instance_state state)
{
    return row_of(state)->final;
}

bool venv_instance_is_wanted(venv_instance_state state)
{
    return row_of(state)->wanted;
}
