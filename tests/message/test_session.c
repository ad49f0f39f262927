/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection, both ends, in virtual time: greeting, heartbeats, and every way of being dead. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/session.h"

#include <venv/codec.h>

#include <string.h>

#define S VENV_NS_PER_S

static venv_now at(int64_t ns)
{
    return (venv_now){ .mono = { ns }, .wall = { ns } };
}

static venv_value json(const char *text)
{
    venv_value value = venv_value_null();
    assert_int_equal(venv_json_parse(text, strlen(text), 0, &value, NULL), VENV_OK);
    return value;
}

static venv_session_verdict receive(venv_session *session, int64_t now, int16_t type, const char *text,
                                    venv_session_reply *ret_reply, venv_error *err)
{
    venv_value body = json(text);
    venv_session_reply reply;
    venv_session_verdict verdict =
        venv_session_receive(session, at(now), type, 7, venv_message_find(type) != NULL, &body, &reply, err);
    venv_value_unref(&body);
    if (ret_reply)
        *ret_reply = reply;
    else
        venv_value_unref(&reply.body);
    return verdict;
}

static void up_pair(venv_session *manager, venv_session *agent)
{
    venv_session_init(manager, VENV_ROLE_MANAGER, VENV_ROLE_AGENT, NULL, at(0));
    venv_session_init(agent, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, NULL, at(0));
    venv_session_sent(agent, at(0));
    assert_int_equal(receive(manager, 0, VENV_MSG_HELLO, "{\"versions\": [1, 2]}", NULL, NULL), VENV_SESSION_PASS);
    assert_int_equal(manager->state, VENV_SESSION_WAIT_HELLO);
    venv_session_welcomed(manager, at(0));
    venv_session_sent(manager, at(0));
    assert_int_equal(receive(agent, 0, VENV_MSG_WELCOME, "{\"version\": 1}", NULL, NULL), VENV_SESSION_PASS);
    assert_int_equal(agent->state, VENV_SESSION_UP);
    assert_int_equal(manager->state, VENV_SESSION_UP);
}

static void test_first_message(void **state)
{
    (void)state;
    venv_session session;
    venv_error err = { 0 };
    venv_session_init(&session, VENV_ROLE_MANAGER, VENV_ROLE_AGENT, NULL, at(0));
    assert_int_equal(receive(&session, 0, VENV_MSG_PUSH, "{}", NULL, &err), VENV_SESSION_CLOSE);
    assert_int_equal(err.rc, VENV_EPROTO);
    assert_int_equal(session.state, VENV_SESSION_CLOSED);
    venv_session_init(&session, VENV_ROLE_MANAGER, VENV_ROLE_AGENT, NULL, at(0));
    assert_int_equal(receive(&session, 0, VENV_MSG_HELLO, "{\"versions\": [2]}", NULL, &err), VENV_SESSION_CLOSE);
    assert_int_equal(err.rc, VENV_EUNSUPPORTED);
    venv_session_init(&session, VENV_ROLE_MANAGER, VENV_ROLE_AGENT, NULL, at(0));
    assert_int_equal(receive(&session, 0, VENV_MSG_HELLO, "{}", NULL, &err), VENV_SESSION_CLOSE);
    venv_session_init(&session, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, NULL, at(0));
    assert_int_equal(receive(&session, 0, VENV_MSG_EXECUTE, "{}", NULL, &err), VENV_SESSION_CLOSE);
    venv_session_init(&session, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, NULL, at(0));
    assert_int_equal(receive(&session, 0, VENV_MSG_WELCOME, "{\"version\": 3}", NULL, &err), VENV_SESSION_CLOSE);
    assert_int_equal(err.rc, VENV_EUNSUPPORTED);
    venv_session_init(&session, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, NULL, at(0));
    assert_int_equal(receive(&session, 0, VENV_MSG_REFUSED, "{\"rc\": \"conflict\", \"error\": \"a second n7\\n\"}", NULL, &err),
                     VENV_SESSION_CLOSE);
    assert_int_equal(err.rc, VENV_ECONFLICT);
    assert_non_null(strstr(err.text, "a second n7\\n"));
}

static void test_first_message_deadline(void **state)
{
    (void)state;
    static const venv_role roles[] = { VENV_ROLE_MANAGER, VENV_ROLE_AGENT };
    for (size_t i = 0; i < 2; i++) {
        venv_session session;
        venv_session_reply reply;
        venv_error err = { 0 };
        venv_session_init(&session, roles[i], roles[1 - i], NULL, at(100));
        assert_int_equal(venv_session_deadline(&session).ns, 100 + 5 * S);
        assert_int_equal(venv_session_tick(&session, at(100 + 5 * S - 1), &reply, &err), VENV_SESSION_CONSUMED);
        assert_false(reply.wanted);
        assert_int_equal(venv_session_tick(&session, at(100 + 5 * S), &reply, &err), VENV_SESSION_CLOSE);
        assert_int_equal(err.rc, VENV_ETIMEDOUT);
        assert_non_null(strstr(err.text, i == 0 ? "hello" : "welcome"));
        assert_int_equal(venv_session_deadline(&session).ns, INT64_MAX);
    }
}

static void test_wrong_roles(void **state)
{
    (void)state;
    venv_session manager, agent;
    venv_error err = { 0 };
    up_pair(&manager, &agent);
    assert_int_equal(receive(&manager, 0, VENV_MSG_START, "{}", NULL, &err), VENV_SESSION_CLOSE);
    assert_int_equal(err.rc, VENV_EDENIED);
    up_pair(&manager, &agent);
    assert_int_equal(receive(&agent, 0, VENV_MSG_RESULT, "{}", NULL, &err), VENV_SESSION_CLOSE);
    up_pair(&manager, &agent);
    assert_int_equal(receive(&manager, 0, VENV_MSG_HELLO, "{\"versions\": [1]}", NULL, &err), VENV_SESSION_CLOSE);
    assert_int_equal(err.rc, VENV_EPROTO);
    up_pair(&manager, &agent);
    assert_int_equal(receive(&agent, 0, VENV_MSG_WELCOME, "{\"version\": 1}", NULL, &err), VENV_SESSION_CLOSE);
}

static void test_small_answers(void **state)
{
    (void)state;
    venv_session manager, agent;
    venv_session_reply reply;
    up_pair(&manager, &agent);
    assert_int_equal(receive(&agent, 0, 7777, "{}", &reply, NULL), VENV_SESSION_CONSUMED);
    assert_true(reply.wanted);
    assert_int_equal(reply.type, VENV_MSG_UNKNOWNTYPE);
    assert_int_equal(reply.request, 7);
    assert_int_equal(venv_value_get_int(&reply.body, "type", 0), 7777);
    venv_value_unref(&reply.body);
    assert_int_equal(receive(&agent, 0, VENV_MSG_NOOP, "{}", &reply, NULL), VENV_SESSION_CONSUMED);
    assert_int_equal(reply.type, VENV_MSG_NOOP);
    assert_true(venv_value_get_bool(&reply.body, "reply", false));
    venv_value_unref(&reply.body);
    assert_int_equal(receive(&manager, 0, VENV_MSG_NOOP, "{\"reply\": true}", &reply, NULL), VENV_SESSION_PASS);
    assert_false(reply.wanted); /* an answer is not answered */
    assert_int_equal(receive(&manager, 0, VENV_MSG_UNKNOWNTYPE, "{\"type\": 1}", &reply, NULL), VENV_SESSION_PASS);
}

/* Two ends and a line that can lose either direction. Returns when one gives up: 1 manager, 2 agent, 0 nobody. */
static int talk(venv_session *manager, venv_session *agent, int64_t until, bool to_manager, bool to_agent,
                venv_error *err, unsigned *ret_pings)
{
    venv_session *ends[] = { manager, agent };
    int64_t now = 0;
    *ret_pings = 0;
    while (now < until) {
        int64_t a = venv_session_deadline(manager).ns, b = venv_session_deadline(agent).ns;
        now = a < b ? a : b;
        for (int i = 0; i < 2; i++) {
            venv_session_reply ping, pong = { 0 };
            if (venv_session_tick(ends[i], at(now), &ping, err) == VENV_SESSION_CLOSE)
                return i + 1;
            if (!ping.wanted)
                continue;
            ++*ret_pings;
            venv_session_sent(ends[i], at(now));
            bool arrives = i == 0 ? to_agent : to_manager, returns = i == 0 ? to_manager : to_agent;
            if (arrives) {
                assert_int_equal(venv_session_receive(ends[1 - i], at(now), ping.type, 0, true, &ping.body, &pong, err),
                                 VENV_SESSION_CONSUMED);
                assert_int_equal(pong.type, VENV_MSG_PONG);
                venv_session_sent(ends[1 - i], at(now));
            }
            if (arrives && returns) {
                venv_session_reply none;
                assert_int_equal(venv_session_receive(ends[i], at(now), pong.type, 0, true, &pong.body, &none, err),
                                 VENV_SESSION_CONSUMED);
            }
            venv_value_unref(&ping.body);
            venv_value_unref(&pong.body);
        }
    }
    return 0;
}

static void test_heartbeats(void **state)
{
    (void)state;
    venv_session manager, agent;
    venv_error err = { 0 };
    unsigned pings = 0;
    up_pair(&manager, &agent);
    assert_int_equal(talk(&manager, &agent, 3600 * S, true, true, &err, &pings), 0);
    assert_true(pings >= 719 && pings <= 721); /* one exchange each five seconds, whoever begins */
    assert_true(manager.confirmed >= manager.sent - 1);
}

static void test_half_deaf(void **state)
{
    (void)state;
    venv_session manager, agent;
    venv_error err = { 0 };
    unsigned pings = 0;
    /* the agent's words do not arrive: the manager hears nothing, the agent is not confirmed */
    up_pair(&manager, &agent);
    assert_int_equal(talk(&manager, &agent, 60 * S, false, true, &err, &pings), 1);
    assert_non_null(strstr(err.text, "nothing was heard"));
    /* the manager's words do not arrive: it is the one that hears and is not heard */
    up_pair(&manager, &agent);
    venv_session_sent(&manager, at(0)); /* something that is never confirmed */
    agent.options.timeout.ns = 3600 * S; /* so that the manager must find out */
    assert_int_equal(talk(&manager, &agent, 60 * S, true, false, &err, &pings), 1);
    assert_int_equal(err.rc, VENV_ETIMEDOUT);
    assert_non_null(strstr(err.text, "did not confirm"));
}

static void test_dead(void **state)
{
    (void)state;
    venv_session manager, agent;
    venv_error err = { 0 };
    unsigned pings = 0;
    up_pair(&manager, &agent);
    assert_int_not_equal(talk(&manager, &agent, 60 * S, false, false, &err, &pings), 0);
    assert_non_null(strstr(err.text, "15s"));
}

static void test_asleep(void **state)
{
    (void)state;
    venv_session manager, agent;
    venv_session_reply reply;
    venv_error err = { 0 };
    up_pair(&manager, &agent);
    /* this process was stopped for a minute: what waits to be read must be read before anybody is called dead */
    assert_int_equal(venv_session_tick(&manager, at(60 * S), &reply, &err), VENV_SESSION_CONSUMED);
    assert_true(reply.wanted);
    venv_session_sent(&manager, at(60 * S));
    venv_value_unref(&reply.body);
    assert_int_equal(receive(&manager, 60 * S, VENV_MSG_PING, "{\"heard\": 1}", NULL, &err), VENV_SESSION_CONSUMED);
    /* but not for ever */
    venv_session_verdict verdict = VENV_SESSION_CONSUMED;
    int64_t now = 60 * S;
    while (verdict != VENV_SESSION_CLOSE && now < 120 * S) {
        now = venv_session_deadline(&manager).ns;
        verdict = venv_session_tick(&manager, at(now), &reply, &err);
        venv_value_unref(&reply.body);
    }
    assert_int_equal(verdict, VENV_SESSION_CLOSE);
    assert_true(now <= 75 * S);
}

static void test_lies_about_hearing(void **state)
{
    (void)state;
    venv_session manager, agent;
    up_pair(&manager, &agent);
    assert_int_equal(receive(&manager, S, VENV_MSG_PING, "{\"heard\": 1000000}", NULL, NULL), VENV_SESSION_CONSUMED);
    assert_int_equal(manager.confirmed, 0);
    assert_int_equal(receive(&manager, S, VENV_MSG_PING, "{\"heard\": -1}", NULL, NULL), VENV_SESSION_CONSUMED);
    assert_int_equal(receive(&manager, S, VENV_MSG_PING, "{\"heard\": \"1\"}", NULL, NULL), VENV_SESSION_CONSUMED);
    assert_int_equal(manager.confirmed, 0);
    assert_int_equal(receive(&manager, S, VENV_MSG_PING, "{\"heard\": 1}", NULL, NULL), VENV_SESSION_CONSUMED);
    assert_int_equal(manager.confirmed, 1);
    assert_int_equal(manager.watch, 0);
}

static void test_heartbeat_of_the_manager(void **state)
{
    (void)state;
    venv_session session;
    venv_map_builder map;
    venv_value body = venv_value_null();
    venv_session_reply reply;
    venv_map_init(&map);
    venv_map_put(&map, "version", venv_value_int(1));
    venv_map_put(&map, "heartbeat", venv_value_from_span((venv_span){ 2 * S }));
    assert_int_equal(venv_map_take(&map, &body, NULL), VENV_OK);
    venv_session_init(&session, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, NULL, at(0));
    assert_int_equal(venv_session_receive(&session, at(0), VENV_MSG_WELCOME, 0, true, &body, &reply, NULL),
                     VENV_SESSION_PASS);
    assert_int_equal(session.options.heartbeat.ns, 2 * S);
    assert_int_equal(session.options.timeout.ns, 6 * S);
    venv_value_unref(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_message),
        cmocka_unit_test(test_first_message_deadline),
        cmocka_unit_test(test_wrong_roles),
        cmocka_unit_test(test_small_answers),
        cmocka_unit_test(test_heartbeats),
        cmocka_unit_test(test_half_deaf),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_lies_about_hearing),
        cmocka_unit_test(test_heartbeat_of_the_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
