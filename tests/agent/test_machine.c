/* SPDX-License-Identifier: Apache-2.0 */
/* The table of states of a machine: every cell has a meaning, and the ways through it are the intended ones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/machine.h"

#include <string.h>

static void test_every_cell(void **state)
{
    (void)state;
    for (int s = 0; s < MACHINE_STATE__COUNT; s++)
        for (int e = 0; e < MACHINE_EVENT__COUNT; e++) {
            agent_machine_rule rule = venv_agent_machine_rule_of((agent_machine_state)s, (agent_machine_event)e);
            assert_true(rule.next < MACHINE_STATE__COUNT);
            /* a call of the driver is what makes a state that waits for one */
            if (rule.effect == MACHINE_CALL_START)
                assert_int_equal(rule.next, MACHINE_STARTING);
            if (rule.effect == MACHINE_CALL_SHUTDOWN)
                assert_int_equal(rule.next, MACHINE_ASKING);
            if (rule.effect == MACHINE_CALL_DESTROY)
                assert_int_equal(rule.next, MACHINE_DESTROYING);
            /* askers are answered when it is over, and only then */
            assert_int_equal(rule.effect == MACHINE_ANSWER, s != MACHINE_IDLE && rule.next == MACHINE_IDLE);
            /* what is refused, joined or put off changes nothing */
            if (rule.effect == MACHINE_REFUSE || rule.effect == MACHINE_JOIN || rule.effect == MACHINE_LATER)
                assert_int_equal(rule.next, s);
            /* nothing is powered off without being asked for */
            if (rule.effect == MACHINE_CALL_DESTROY)
                assert_true(s == MACHINE_ASKING || s == MACHINE_WAITING || e == MACHINE_EVENT_DESTROY);
        }
}

static void test_shown(void **state)
{
    (void)state;
    agent_machine machine = { .seen = { .listed = true, .state = "running" } };
    assert_string_equal(venv_agent_machine_shown(&machine), "running");
    assert_false(venv_agent_machine_is_down(&machine));
    machine.state = MACHINE_WAITING;
    assert_string_equal(venv_agent_machine_shown(&machine), "stopping");
    machine.state = MACHINE_STARTING;
    assert_string_equal(venv_agent_machine_shown(&machine), "running");
    machine.seen.listed = false;
    assert_string_equal(venv_agent_machine_shown(&machine), "starting");
    assert_true(venv_agent_machine_is_told(&machine));
    machine.state = MACHINE_IDLE;
    assert_false(venv_agent_machine_is_told(&machine));
    assert_true(venv_agent_machine_is_memory(&machine));
    machine.seen.listed = true;
    strcpy(machine.seen.state, "failed");
    assert_true(venv_agent_machine_is_down(&machine));
    assert_true(venv_agent_machine_is_told(&machine));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
