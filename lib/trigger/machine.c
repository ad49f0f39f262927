/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a unit, as one table. The first row that fits is taken.
 *
 *              when                hold over                until
 *      idle ─────────► holding ──────────────► active ───────────────► cooling ──cooldown over──► idle
 *        └───────────────── no hold ──────────►  │ ▲                       (or at once)
 *                                                └─┘ fires again: `when`, and cooldown over
 *
 * Unknown is neither true nor false: it starts nothing, and it ends a hold, because a hold is "seen to be
 * true all the time". It does not end an active unit.
 */
#include "trigger/internal.h"

#include "base/cleanup.h"

#include <assert.h>

enum { ANY = 7, NOT_TRUE = TRUTH_FALSE | TRUTH_UNKNOWN, EITHER = 2 };

static const struct {
    venv_trigger_state state;
    unsigned when, until;
    int held; /* 0, 1, EITHER */
    unsigned cool;
    venv_trigger_state next;
    unit_effect effect;
} rows[] = {
    { VENV_TRIGGER_IDLE, TRUTH_TRUE, NOT_TRUE, 1, ANY, VENV_TRIGGER_ACTIVE, EFFECT_FIRE },
    { VENV_TRIGGER_IDLE, TRUTH_TRUE, NOT_TRUE, 0, ANY, VENV_TRIGGER_HOLDING, EFFECT_HOLD },
    { VENV_TRIGGER_IDLE, ANY, ANY, EITHER, ANY, VENV_TRIGGER_IDLE, EFFECT_NONE },

    { VENV_TRIGGER_HOLDING, TRUTH_TRUE, NOT_TRUE, 1, ANY, VENV_TRIGGER_ACTIVE, EFFECT_FIRE },
    { VENV_TRIGGER_HOLDING, TRUTH_TRUE, NOT_TRUE, 0, ANY, VENV_TRIGGER_HOLDING, EFFECT_NONE },
    { VENV_TRIGGER_HOLDING, ANY, ANY, EITHER, ANY, VENV_TRIGGER_IDLE, EFFECT_REST },

    { VENV_TRIGGER_ACTIVE, ANY, TRUTH_TRUE, EITHER, COOL_RUNNING, VENV_TRIGGER_COOLING, EFFECT_RECOVER },
    { VENV_TRIGGER_ACTIVE, ANY, TRUTH_TRUE, EITHER, ANY, VENV_TRIGGER_IDLE, EFFECT_RECOVER },
    { VENV_TRIGGER_ACTIVE, TRUTH_TRUE, NOT_TRUE, EITHER, COOL_OVER, VENV_TRIGGER_ACTIVE, EFFECT_FIRE },
    { VENV_TRIGGER_ACTIVE, ANY, ANY, EITHER, ANY, VENV_TRIGGER_ACTIVE, EFFECT_NONE },

    { VENV_TRIGGER_COOLING, ANY, ANY, EITHER, COOL_RUNNING, VENV_TRIGGER_COOLING, EFFECT_NONE },
    { VENV_TRIGGER_COOLING, TRUTH_TRUE, NOT_TRUE, 1, ANY, VENV_TRIGGER_ACTIVE, EFFECT_FIRE },
    { VENV_TRIGGER_COOLING, TRUTH_TRUE, NOT_TRUE, 0, ANY, VENV_TRIGGER_HOLDING, EFFECT_HOLD },
    { VENV_TRIGGER_COOLING, ANY, ANY, EITHER, ANY, VENV_TRIGGER_IDLE, EFFECT_REST },
};

void venv_trigger_unit_next(venv_trigger_state state, const unit_input *input, venv_trigger_state *ret_state,
               unit_effect *ret_effect)
{
    for (size_t i = 0; i < VENV_COUNT_OF(rows); i++) {
        if (rows[i].state != state || !(rows[i].when & (unsigned)input->when) ||
            !(rows[i].until & (unsigned)input->until) || !(rows[i].cool & (unsigned)input->cool) ||
            (rows[i].held != EITHER && rows[i].held != (input->held ? 1 : 0)))
            continue;
        *ret_state = rows[i].next;
        *ret_effect = rows[i].effect;
        return;
    }
    assert(false && "each state ends with a row that fits everything");
}
