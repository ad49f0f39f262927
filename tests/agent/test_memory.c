/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent keeps: nothing is done twice, and no old epoch is believed, also after it was killed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

#define ID_A    "@000102030405060708090a0b0c0d0e0f"
#define ID_B    "@100102030405060708090a0b0c0d0e0f"
#define MACHINE "@a00102030405060708090a0b0c0d0e0f"
#define HYPER   "  hypervisor: 'fake:'\n  paths: [/images]\n"

static void start(agent_rig *rig, const char *id, unsigned epoch)
{
    char text[640];
    snprintf(text, sizeof text, "{\"id\": \"%s\", \"machine\": \"" MACHINE "\", \"instance\": \"i-1\", \"epoch\": %u, \"environment\": \"i\", "
             "\"definition\": {\"hypervisor\": \"qemu\", \"vcpus\": 2, \"memory\": 134217728, \"kernel\": \"/images/vmlinuz\", "
             "\"initrd\": \"/images/initrd\", \"cmdline\": \"quiet\"}}", id, epoch);
    rig_frame(rig, VENV_MSG_MACHINE_START, text);
}

static void destroy(agent_rig *rig, const char *id, unsigned epoch)
{
    char text[256];
    snprintf(text, sizeof text, "{\"id\": \"%s\", \"machine\": \"" MACHINE "\", \"epoch\": %u}", id, epoch);
    rig_frame(rig, VENV_MSG_MACHINE_DESTROY, text);
}

/* What was kept until now. */
static venv_value kept(agent_rig *rig, uint64_t *ret_number)
{
    *ret_number = rig->kept_number;
    return venv_value_ref(&rig->kept);
}

/* Killed, and started anew with what was durable. */
static void restart(agent_rig *rig, const venv_value *memory)
{
    venv_agent_free(rig->agent);
    venv_agent_actions_clear(&rig->actions);
    rig->dialing = false;
    assert_int_equal(venv_agent_new(rig->config, (venv_id){ { 9 } }, 7, rig->now, &rig->agent, NULL), VENV_OK);
    if (venv_value_kind(memory) != VENV_NULL)
        assert_int_equal(venv_agent_recall(rig->agent, memory, NULL), VENV_OK);
    rig_time(rig, rig->now.mono.ns);
}

/* Killed when all of it was durable; it is back, and has seen that nothing runs. */
static void restart_empty(agent_rig *rig)
{
    uint64_t number = 0;
    venv_value memory = kept(rig, &number);
    restart(rig, &memory);
    rig_connect(rig);
    rig_machines(rig, "{\"machines\": []}");
    venv_value_unref(&memory);
}

/* A hypervisor node that is connected, on which this is listed. */
static void begin(agent_rig *rig, const char *machines)
{
    rig_init(rig, HYPER, "");
    rig_connect(rig);
    rig_machines(rig, machines);
}

/* A start in this epoch is answered with a conflict, and nothing is done. */
static venv_agent_action *assert_refused(agent_rig *rig, const char *id, unsigned epoch)
{
    start(rig, id, epoch);
    assert_int_equal(rig_count(rig, VENV_AGENT_ACT_MACHINE), 0);
    venv_agent_action *answer = rig_take_sent(rig, VENV_MSG_MACHINE_RESULT);
    assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(VENV_ECONFLICT)));
    return answer;
}

static void assert_started(agent_rig *rig, const char *id, unsigned epoch)
{
    start(rig, id, epoch);
    assert_non_null(rig_take(rig, VENV_AGENT_ACT_MACHINE));
}

static void test_executed_once(void **state)
{
    (void)state;
    agent_rig rig;
    uint64_t number = 0;
    rig_init(&rig, "", "");
    rig_connect(&rig);
    venv_value memory = kept(&rig, &number);
    assert_int_equal(number, 1); /* that it was started */
    rig_frame(&rig, VENV_MSG_EXECUTE, "{\"command\": \"ram\", \"id\": \"" ID_A "\"}");
    venv_agent_action *run = rig_take(&rig, VENV_AGENT_ACT_RUN);
    assert_int_equal(run->after_keep, 2); /* not before it is written down */
    venv_value later = kept(&rig, &number);
    assert_int_equal(number, 2);
    /* killed before that was durable: it was not begun, and is begun now */
    restart(&rig, &memory);
    rig_connect(&rig);
    rig_frame(&rig, VENV_MSG_EXECUTE, "{\"command\": \"ram\", \"id\": \"" ID_A "\"}");
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_RUN));
    /* killed after it */
    restart(&rig, &later);
    rig_connect(&rig);
    rig_frame(&rig, VENV_MSG_EXECUTE, "{\"command\": \"ram\", \"id\": \"" ID_A "\"}");
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0);
    venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
    assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(VENV_EUNKNOWN)));
    rig_frame(&rig, VENV_MSG_EXECUTE, "{\"command\": \"ram\", \"id\": \"" ID_B "\"}");
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_RUN));
    /* what has no id is run each time, and waits for nothing */
    rig_frame(&rig, VENV_MSG_EXECUTE, "{\"command\": \"ram\"}");
    assert_int_equal(rig_take(&rig, VENV_AGENT_ACT_RUN)->after_keep, 0);
    venv_value_unref(&memory);
    venv_value_unref(&later);
    rig_fini(&rig);
}

static void test_starts_are_counted(void **state)
{
    (void)state;
    agent_rig rig;
    uint64_t number = 0;
    rig_init(&rig, "", "");
    for (unsigned i = 1; i <= 5; i++) {
        venv_value memory = kept(&rig, &number);
        assert_int_equal(venv_value_peek_uint(venv_value_get(&memory, "starts")), i);
        restart(&rig, &memory);
        venv_value_unref(&memory);
    }
    rig_fini(&rig);
}

static void test_epochs(void **state)
{
    (void)state;
    agent_rig rig;
    begin(&rig, "{\"machines\": []}");
    start(&rig, ID_A, 5);
    venv_agent_action *call = rig_take(&rig, VENV_AGENT_ACT_MACHINE);
    assert_non_null(call);
    assert_int_equal(call->after_keep, 2);
    rig_machine_done(&rig, call->token, VENV_OK, NULL);
    destroy(&rig, ID_B, 5);
    call = rig_take(&rig, VENV_AGENT_ACT_MACHINE);
    assert_int_equal(call->after_keep, 4); /* 3: that it ran */
    rig_machine_done(&rig, call->token, VENV_OK, NULL);
    rig_machines(&rig, "{\"machines\": []}"); /* it is gone: only the epoch is left of it */
    restart_empty(&rig);
    assert_refused(&rig, "@300102030405060708090a0b0c0d0e0f", 4); /* an old epoch */
    assert_refused(&rig, "@200102030405060708090a0b0c0d0e0f", 5); /* the one in which it was stopped */
    assert_started(&rig, "@400102030405060708090a0b0c0d0e0f", 6);
    rig_fini(&rig);
}

/* What ran and is gone without a stop, while the agent was away, is over in its epoch: an order that comes again does not bring it back. */
static void test_what_ran_is_over(void **state)
{
    (void)state;
    agent_rig rig;
    begin(&rig, "{\"machines\": []}");
    start(&rig, ID_A, 5);
    rig_machine_done(&rig, rig_take(&rig, VENV_AGENT_ACT_MACHINE)->token, VENV_OK, NULL);
    restart_empty(&rig);
    assert_refused(&rig, ID_B, 5);
    assert_started(&rig, "@400102030405060708090a0b0c0d0e0f", 6);
    rig_fini(&rig);
}

/* Without a memory, and before it has seen which machines there are, it cannot tell an order of the past: it is to be asked again. */
static void test_before_the_list(void **state)
{
    (void)state;
    static const char machine[] = "{\"machines\": [{\"id\": \"" MACHINE "\", \"instance\": \"i-1\", \"environment\": \"i\", \"epoch\": 7, "
                                  "\"state\": \"running\", \"vcpus\": 2, \"memory\": 134217728}]}";
    agent_rig rig;
    rig_init(&rig, HYPER, "");
    rig_connect(&rig);
    for (unsigned i = 0; i < 3; i++) {
        destroy(&rig, ID_A, 6);
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
        venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_MACHINE_RESULT);
        assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(i < 2 ? VENV_EUNREACHABLE : VENV_ECONFLICT)));
        if (i == 0)
            rig_machines_failed(&rig, VENV_EUNREACHABLE, "it does not answer");
        else
            rig_machines(&rig, machine);
    }
    destroy(&rig, ID_A, 7); /* under the id that was refused */
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_MACHINE));
    rig_fini(&rig);
}

/* What it has told as down counts as over: an order of the past starts it no more, after its own restart neither. One of a newer epoch does. */
static void test_seen_to_end(void **state)
{
    (void)state;
    static const char *const down[] = { "stopped", "failed" };
    for (unsigned i = 0; i < 2; i++) {
        char list[512];
        agent_rig rig;
        snprintf(list, sizeof list, "{\"machines\": [{\"id\": \"" MACHINE "\", \"instance\": \"i-1\", \"environment\": \"i\", \"epoch\": 7, "
                 "\"state\": \"%s\", \"vcpus\": 2, \"memory\": 134217728}]}", down[i]);
        begin(&rig, list);
        restart_empty(&rig); /* nothing of it is left: it is only remembered */
        assert_true(venv_value_is_text(venv_value_get(&assert_refused(&rig, ID_A, 7)->value, "state"), "stopped"));
        assert_started(&rig, ID_A, 8);
        rig_fini(&rig);
    }
}

/* A start that failed for good is over, too: the manager was told so. */
static void test_failed_to_start(void **state)
{
    (void)state;
    agent_rig rig;
    begin(&rig, "{\"machines\": []}");
    start(&rig, ID_A, 7);
    rig_machine_done(&rig, rig_take(&rig, VENV_AGENT_ACT_MACHINE)->token, VENV_EIO, "no room");
    restart_empty(&rig);
    /* it does not run: the manager counts that as failed, too */
    assert_true(venv_value_is_text(venv_value_get(&assert_refused(&rig, ID_A, 7)->value, "state"), "stopped"));
    assert_started(&rig, ID_A, 8);
    rig_fini(&rig);
}

/* Full of what it can hold, it stays within bounds, and the newest is what is remembered. */
static void test_bounds(void **state)
{
    (void)state;
    agent_rig rig;
    uint64_t number = 0;
    char text[128];
    rig_init(&rig, "", "");
    rig_connect(&rig);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "{\"command\": \"ram\", \"id\": \"@%032x\"}", i + 1);
        rig_frame(&rig, VENV_MSG_EXECUTE, text);
        rig_ran(&rig, rig_take(&rig, VENV_AGENT_ACT_RUN)->token, "", 0);
    }
    venv_value memory = kept(&rig, &number);
    assert_int_equal(number, 3001);
    assert_in_range(venv_value_peek_text(venv_value_get(&memory, "executed")).size, 1024 * 16, 1300 * 16);
    restart(&rig, &memory);
    rig_connect(&rig);
    for (unsigned i = 3000; i > 2000; i--) {
        snprintf(text, sizeof text, "{\"command\": \"ram\", \"id\": \"@%032x\"}", i);
        rig_frame(&rig, VENV_MSG_EXECUTE, text);
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0);
    }
    venv_value_unref(&memory);
    rig_fini(&rig);
}

static void test_what_is_no_memory(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]", "{}", "{\"version\": 2, \"starts\": 1, \"executed\": \"@\", \"machines\": \"@\"}", "{\"version\": 1}",
        "{\"version\": 1, \"starts\": -1}", "{\"version\": 1, \"starts\": 1, \"executed\": 1, \"machines\": 2}",
    };
    agent_rig rig;
    rig_init(&rig, HYPER, "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        venv_value value = venv_value_null();
        venv_error err = { 0 };
        assert_int_equal(venv_json_parse(bad[i], strlen(bad[i]), 0, &value, &err), VENV_OK);
        assert_int_equal(venv_agent_recall(rig.agent, &value, &err), VENV_EINVAL);
        venv_value_unref(&value);
    }
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_executed_once),
        cmocka_unit_test(test_starts_are_counted),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_what_ran_is_over),
        cmocka_unit_test(test_before_the_list),
        cmocka_unit_test(test_seen_to_end),
        cmocka_unit_test(test_failed_to_start),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_what_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
