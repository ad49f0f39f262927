/* SPDX-License-Identifier: Apache-2.0 */
/* Dialing, back-off, the greeting, being refused, dead managers, CONTROL. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <string.h>

static void test_hello(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "  groups: [default, 8-core, default]", "  queue: {command: [q], type: json, every: 5, unit: jobs}\n");
    venv_agent_action *connect = rig_take(&rig, VENV_AGENT_ACT_CONNECT);
    assert_non_null(connect);
    assert_string_equal(connect->name, "m1:7420");
    rig_ran(&rig, rig_take_named(&rig, VENV_AGENT_ACT_RUN, "q")->token, "{\"pending\": 5}", 0);
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    venv_agent_action *hello = rig_take_sent(&rig, VENV_MSG_HELLO);
    assert_non_null(hello);
    assert_true(venv_value_is_text(venv_value_get(&hello->value, "name"), "node07"));
    assert_int_equal(venv_value_count(venv_value_get(&hello->value, "groups")), 2);
    assert_int_equal(venv_value_peek_int(venv_value_at(venv_value_get(&hello->value, "versions"), 0)), 1);
    assert_int_equal(venv_value_count(venv_value_get(&hello->value, "properties")), 16);
    /* the value travels with the definition: one round trip (A8) */
    const venv_value *samples = venv_value_get(&hello->value, "samples");
    assert_int_equal(venv_value_count(samples), 1);
    venv_sample_row row;
    assert_int_equal(venv_sample_row_read(venv_value_at(samples, 0), &row, NULL), VENV_OK);
    assert_int_equal(row.quality, VENV_QUALITY_OK);
    assert_int_equal(venv_value_get_int(row.value, "pending", 0), 5);
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_SEND), 0); /* nothing before WELCOME */
    rig_frame(&rig, VENV_MSG_WELCOME, "{\"version\": 1}");
    assert_null(rig_take_sent(&rig, VENV_MSG_PUSH)); /* nothing changed since */
    rig_fini(&rig);
}

static void test_back_off(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "  reconnect: {first: 1s, max: 16s}", "");
    int64_t longest = 0, ceiling = 0;
    static const char *const addresses[] = { "m1:7420", "m2:7421" };
    for (int i = 0; i < 200; i++) {
        venv_agent_action *connect = rig_take(&rig, VENV_AGENT_ACT_CONNECT);
        assert_non_null(connect);
        assert_string_equal(connect->name, addresses[i % 2]); /* the next one each time */
        rig_disconnect(&rig, "refused");
        int64_t from = rig.now.mono.ns;
        ceiling = ceiling == 0 ? S : ceiling * 2 > 16 * S ? 16 * S : ceiling * 2;
        rig_run_to_deadline(&rig);
        int64_t waited = rig.now.mono.ns - from;
        assert_true(waited >= ceiling / 4 && waited <= ceiling);
        if (waited > longest)
            longest = waited;
    }
    assert_true(longest > 15 * S);
    /* once it was up, it begins anew, with the same address */
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    rig_frame(&rig, VENV_MSG_WELCOME, "{\"version\": 1}");
    rig_disconnect(&rig, "reset");
    int64_t from = rig.now.mono.ns;
    for (int i = 0; i < 10 && rig_count(&rig, VENV_AGENT_ACT_CONNECT) == 0; i++)
        rig_run_to_deadline(&rig);
    assert_true(rig.now.mono.ns - from <= S);
    assert_string_equal(rig_take(&rig, VENV_AGENT_ACT_CONNECT)->name, "m1:7420");
    rig_fini(&rig);
}

/* Agents with other seeds come back at other times (fault F22). */
static void test_jitter(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    int64_t first = 0;
    unsigned same = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        venv_agent *agent = NULL;
        venv_agent_actions actions;
        venv_agent_actions_init(&actions);
        assert_int_equal(venv_agent_new(rig.config, (venv_id){ { 1 } }, seed, rig.now, &agent, NULL), VENV_OK);
        venv_agent_event down = { .kind = VENV_AGENT_EVENT_DISCONNECTED };
        assert_int_equal(venv_agent_step(agent, rig.now, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME }, &actions, NULL), VENV_OK);
        assert_int_equal(venv_agent_step(agent, rig.now, &down, &actions, NULL), VENV_OK);
        int64_t next = venv_agent_deadline(agent).ns;
        same += next == first;
        first = next;
        venv_agent_actions_fini(&actions);
        venv_agent_free(agent);
    }
    assert_true(same <= 1);
    rig_fini(&rig);
}

static void test_refused(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    for (int manager = 0; manager < 2; manager++) { /* of two: the other one is asked soon, then both are left alone */
        venv_agent_action *connect = rig_take(&rig, VENV_AGENT_ACT_CONNECT);
        assert_string_equal(connect->name, manager == 0 ? "m1:7420" : "m2:7421");
        rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
        rig_frame(&rig, VENV_MSG_REFUSED, "{\"rc\": \"conflict\", \"error\": \"two of you\", \"retry_after\": \"40s\"}");
        assert_non_null(rig_take(&rig, VENV_AGENT_ACT_CLOSE));
        rig_frame(&rig, VENV_MSG_GETPROP, "{}"); /* on its way when we closed */
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_SEND), 0);
        rig_disconnect(&rig, "closed");
        int64_t from = rig.now.mono.ns;
        rig_run_to_deadline(&rig);
        if (manager == 0)
            assert_true(rig.now.mono.ns - from <= S);
        else
            assert_true(rig.now.mono.ns - from >= 40 * S && rig.now.mono.ns - from <= 41 * S);
    }
    rig_fini(&rig);
}

static void test_silent_manager(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_CONNECT));
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    int64_t from = rig.now.mono.ns;
    while (rig_count(&rig, VENV_AGENT_ACT_CLOSE) == 0)
        rig_run_to_deadline(&rig);
    assert_int_equal(rig.now.mono.ns - from, 5 * S);
    assert_non_null(strstr(rig_take(&rig, VENV_AGENT_ACT_CLOSE)->text, "no welcome"));
    rig_disconnect(&rig, NULL);
    /* up, then silent */
    rig_connect(&rig);
    rig.silent = true;
    from = rig.now.mono.ns;
    unsigned pings = 0;
    while (rig_count(&rig, VENV_AGENT_ACT_CLOSE) == 0) {
        rig_run_to_deadline(&rig);
        pings += rig_take_sent(&rig, VENV_MSG_PING) != NULL;
    }
    assert_int_equal(rig.now.mono.ns - from, 15 * S);
    assert_int_equal(pings, 2);
    rig_fini(&rig);
}

static void test_dial_that_never_ends(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_CONNECT));
    while (rig_count(&rig, VENV_AGENT_ACT_CLOSE) == 0)
        rig_run_to_deadline(&rig);
    assert_int_equal(rig.now.mono.ns, 1090 * S);
    rig_disconnect(&rig, NULL);
    rig_connect(&rig);
    rig_fini(&rig);
}

static void test_wrong_messages(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    rig_connect(&rig);
    rig_frame(&rig, 7777, "{}");
    venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_UNKNOWNTYPE);
    assert_non_null(answer);
    assert_int_equal(answer->request, rig.request);
    assert_int_equal(venv_value_get_int(&answer->value, "type", 0), 7777);
    rig_frame(&rig, VENV_MSG_NOOP, "{}");
    assert_non_null(rig_take_sent(&rig, VENV_MSG_NOOP));
    rig_frame(&rig, VENV_MSG_PING, "{\"heard\": 1}");
    assert_non_null(rig_take_sent(&rig, VENV_MSG_PONG));
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_CLOSE), 0);
    rig_frame(&rig, VENV_MSG_EVENT, "{}"); /* is for users */
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_CLOSE));
    rig_fini(&rig);
}

static void test_control(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "  groups: [a]", "");
    rig_connect(&rig);
    uint64_t request = rig_frame(&rig, VENV_MSG_CONTROL, "{\"verb\": \"dance\"}");
    venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_CTRLUNKN);
    assert_non_null(answer);
    assert_int_equal(answer->request, request);
    assert_true(venv_value_is_text(venv_value_get(&answer->value, "verb"), "dance"));
    static const char *const bad[] = { "{}", "{\"verb\": 5}", "{\"verb\": \"rjoin\", \"groups\": \"a\"}",
                                       "{\"verb\": \"rjoin\", \"groups\": [5]}", "{\"verb\": \"rjoin\", \"groups\": [\"a b\"]}",
                                       "{\"verb\": \"rjoin\", \"groups\": [\"x23456789012345678901234567890123\"]}",
                                       "{\"verb\": \"rcon\", \"after\": 5}", "{\"verb\": \"rcon\", \"after\": \"2h\"}" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_frame(&rig, VENV_MSG_CONTROL, bad[i]);
        answer = rig_take_sent(&rig, VENV_MSG_CTRLBAD);
        if (!answer)
            fail_msg("%s", bad[i]);
        assert_true(venv_value_get_text(&answer->value, "error").size > 10);
    }
    rig_frame(&rig, VENV_MSG_CONTROL, "{\"verb\": \"rjoin\"}");
    answer = rig_take_sent(&rig, VENV_MSG_CTRLRJOIN);
    assert_int_equal(venv_value_count(venv_value_get(&answer->value, "groups")), 1);
    rig_frame(&rig, VENV_MSG_CONTROL, "{\"verb\": \"rjoin\", \"groups\": [\"b\", \"c\", \"b\"]}");
    answer = rig_take_sent(&rig, VENV_MSG_CTRLRJOIN);
    assert_int_equal(venv_value_count(venv_value_get(&answer->value, "groups")), 2);
    answer = rig_take_sent(&rig, VENV_MSG_GROUPS);
    assert_true(venv_value_is_text(venv_value_at(venv_value_get(&answer->value, "groups"), 1), "c"));
    /* reconnect */
    rig_frame(&rig, VENV_MSG_CONTROL, "{\"verb\": \"rcon\", \"after\": \"10s\"}");
    assert_non_null(rig_take_sent(&rig, VENV_MSG_CTRLRCON));
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_CLOSE));
    rig_disconnect(&rig, "as asked");
    int64_t from = rig.now.mono.ns;
    rig_run_to_deadline(&rig);
    assert_true(rig.now.mono.ns - from >= 10 * S && rig.now.mono.ns - from < 11 * S);
    /* the groups are the new ones */
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_CONNECT));
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    assert_int_equal(venv_value_count(venv_value_get(&rig_take_sent(&rig, VENV_MSG_HELLO)->value, "groups")), 2);
    rig_frame(&rig, VENV_MSG_WELCOME, "{\"version\": 1}");
    /* stop */
    rig_frame(&rig, VENV_MSG_CONTROL, "{\"verb\": \"stop\"}");
    assert_non_null(rig_take_sent(&rig, VENV_MSG_CTRLSTOP));
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_EXIT));
    assert_int_equal(venv_agent_deadline(rig.agent).ns, INT64_MAX);
    rig_fini(&rig);
}

/* The same events give the same actions and the same state. */
static uint64_t script(void)
{
    agent_rig rig;
    rig_init(&rig, "", "  t: {command: [t], type: int, every: 2}\n");
    for (int i = 0; i < 40; i++) {
        venv_agent_action *run = rig_take(&rig, VENV_AGENT_ACT_RUN);
        if (run)
            rig_ran(&rig, run->token, i % 3 ? "5" : "nonsense", 0);
        if (i == 5)
            rig_connect(&rig);
        if (i == 20)
            rig_disconnect(&rig, "reset");
        rig_run_to_deadline(&rig);
    }
    uint64_t digest = venv_agent_digest(rig.agent);
    rig_fini(&rig);
    return digest;
}

static void test_replay(void **state)
{
    (void)state;
    assert_true(script() == script());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),          cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_jitter),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_silent_manager), cmocka_unit_test(test_dial_that_never_ends),
        cmocka_unit_test(test_wrong_messages), cmocka_unit_test(test_control),
        cmocka_unit_test(test_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
