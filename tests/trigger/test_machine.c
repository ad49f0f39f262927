/* SPDX-License-Identifier: Apache-2.0 */
/* The table of states: every state with every input, against the rules in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trigger/internal.h"

static const truth truths[] = { TRUTH_TRUE, TRUTH_FALSE, TRUTH_UNKNOWN };
static const cool cools[] = { COOL_NONE, COOL_RUNNING, COOL_OVER };

static void check(int from, const unit_input *in)
{
    venv_trigger_state next = VENV_TRIGGER_STATE__COUNT;
    unit_effect effect = EFFECT_NONE;
    venv_trigger_unit_next((venv_trigger_state)from, in, &next, &effect);
    assert_true(next < VENV_TRIGGER_STATE__COUNT);
    /* Nothing fires but on true, held, and not while `until` holds. */
    if (effect == EFFECT_FIRE) {
        assert_int_equal(in->when, TRUTH_TRUE);
        assert_int_not_equal(in->until, TRUTH_TRUE);
        assert_int_equal(next, VENV_TRIGGER_ACTIVE);
        assert_true(from == VENV_TRIGGER_ACTIVE ? in->cool == COOL_OVER : in->held);
        assert_true(from != VENV_TRIGGER_COOLING || in->cool != COOL_RUNNING);
    }
    /* Only an active one recovers, and only if `until` is known to be true. */
    if (effect == EFFECT_RECOVER) {
        assert_int_equal(from, VENV_TRIGGER_ACTIVE);
        assert_int_equal(in->until, TRUTH_TRUE);
    }
    /* Unknown changes nothing but a hold, and what time does. */
    if (in->when == TRUTH_UNKNOWN && in->until == TRUTH_UNKNOWN) {
        assert_true(effect == EFFECT_NONE || effect == EFFECT_REST);
        assert_true(from != VENV_TRIGGER_ACTIVE || next == VENV_TRIGGER_ACTIVE);
    }
}

static void every_input(void **state)
{
    (void)state;
    for (int from = 0; from < VENV_TRIGGER_STATE__COUNT; from++)
        for (int w = 0; w < 3; w++)
            for (int u = 0; u < 3; u++)
                for (int c = 0; c < 6; c++)
                    check(from, &(unit_input){ truths[w], truths[u], c % 2 != 0, cools[c / 2] });
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_input) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
