/* SPDX-License-Identifier: Apache-2.0 */
/* Agents: let in, refused, doubled, silent, back again; groups; the queued sender. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"

static const char *agent_state(rig *r, const char *name)
{
    static char text[32];
    static uint64_t peer = 50000;
    int16_t type;
    rig_user(r, ++peer, "looker");
    rig_frame(r, peer, VENV_MSG_SHOW, 1, "{\"what\": \"agent\", \"name\": \"%s\"}", name);
    const venv_value *body = rig_answer(r, peer, 1, &type);
    assert_non_null(body);
    venv_str state = venv_value_get_text(venv_value_get(body, "item"), "state");
    snprintf(text, sizeof text, "%.*s", (int)state.size, state.data ? state.data : "");
    rig_down(r, peer, "done");
    return text;
}

static void hello(rig *r, uint64_t peer, const char *cert, const char *name, const char *machine, const char *boot)
{
    rig_up(r, peer, VENV_ROLE_AGENT, cert);
    rig_frame(r, peer, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"%s\", \"groups\": [\"g\"], \"boot\": \"%s\", "
              "\"machine\": \"%s\", \"properties\": [], \"samples\": []}", name, boot, machine);
}

#define MACHINE_A "00000000-0000-4000-8000-00000000000a"
#define MACHINE_B "00000000-0000-4000-8000-00000000000b"
#define BOOT_1    "00000000-0000-4000-8000-000000000001"
#define BOOT_2    "00000000-0000-4000-8000-000000000002"

static void a_clone_is_refused_and_flagged(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    assert_non_null(rig_find(r, 1, VENV_MSG_WELCOME, 0));
    for (uint64_t k = 0; k < 5; k++) {
        hello(r, 10 + k, "n1", "n1", MACHINE_B, BOOT_2);
        assert_null(rig_find(r, 10 + k, VENV_MSG_WELCOME, 0));
        assert_non_null(rig_find(r, 10 + k, VENV_MSG_REFUSED, 0));
        assert_non_null(rig_find(r, 10 + k, -1, 0));
        assert_null(rig_find(r, 1, -1, 0)); /* the first one is not disturbed */
    }
    assert_int_equal(rig_events(r, "agent-duplicate"), 5);
    assert_string_equal(agent_state(r, "n1"), "connected");
    rig_free(r);
}

static void the_same_machine_takes_over(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    hello(r, 2, "n1", "n1", MACHINE_A, BOOT_2); /* restarted, and its old connection is not yet seen to be dead */
    assert_non_null(rig_find(r, 2, VENV_MSG_WELCOME, 0));
    assert_non_null(rig_find(r, 1, -1, 0));
    assert_string_equal(agent_state(r, "n1"), "connected");
    assert_int_equal(rig_events(r, "agent-duplicate"), 0);
    assert_int_equal(rig_events(r, "group-rejoin"), 1);
    rig_down(r, 1, "late"); /* the end of the old connection says nothing about the new one */
    assert_string_equal(agent_state(r, "n1"), "connected");
    rig_free(r);
}

static void who_is_not_let_in(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n2", MACHINE_A, BOOT_1); /* the name of another */
    assert_non_null(rig_find(r, 1, VENV_MSG_REFUSED, 0));
    assert_non_null(rig_find(r, 1, -1, 0));
    rig_up(r, 2, VENV_ROLE_AGENT, "n3"); /* no common version */
    rig_frame(r, 2, VENV_MSG_HELLO, 0, "{\"versions\": [99], \"name\": \"n3\"}");
    assert_non_null(rig_find(r, 2, -1, 0));
    rig_up(r, 3, VENV_ROLE_AGENT, "n3"); /* what only users may ask */
    rig_frame(r, 3, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"n3\", \"groups\": [], \"boot\": \"" BOOT_1 "\", \"properties\": []}");
    rig_frame(r, 3, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    assert_non_null(rig_find(r, 3, -1, 0));
    assert_int_equal(rig_instances(r, true), 0);
    rig_user(r, 4, "anna"); /* what only agents may tell */
    rig_frame(r, 4, VENV_MSG_MACHINES, 0, "{\"reachable\": true, \"machines\": []}");
    assert_non_null(rig_find(r, 4, -1, 0));
    rig_up(r, 5, VENV_ROLE_AGENT, "n5"); /* before HELLO */
    rig_frame(r, 5, VENV_MSG_PUSH, 0, "{\"samples\": []}");
    assert_non_null(rig_find(r, 5, -1, 0));
    rig_up(r, 6, VENV_ROLE_AGENT, "n6"); /* nothing at all */
    rig_wait(r, 6);
    assert_non_null(rig_find(r, 6, -1, 0));
    rig_up(r, 7, VENV_ROLE_AGENT, "n7"); /* groups that are none */
    rig_frame(r, 7, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"n7\", \"groups\": [\"a b\"], \"boot\": \"" BOOT_1 "\", \"properties\": []}");
    assert_non_null(rig_find(r, 7, VENV_MSG_REFUSED, 0));
    rig_free(r);
}

/* Nobody answers heartbeats here: time passes without rig_wait(), which does. */
static void silence(rig *r, int seconds)
{
    for (int half = 0; half < seconds * 2; half++) {
        r->now.mono.ns += VENV_NS_PER_S / 2;
        r->now.wall.ns += VENV_NS_PER_S / 2;
        venv_manager_event event = { .kind = VENV_MANAGER_EVENT_TIME };
        rig_step(r, &event);
    }
}

static void suspect_then_lost_then_back(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    silence(r, 14);
    assert_string_equal(agent_state(r, "n1"), "connected");
    silence(r, 2);
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_frame(r, 1, VENV_MSG_PUSH, 0, "{\"samples\": []}");
    assert_string_equal(agent_state(r, "n1"), "connected");
    silence(r, 44);
    assert_string_equal(agent_state(r, "n1"), "suspect");
    assert_int_equal(rig_events(r, "agent-lost"), 0);
    silence(r, 3);
    assert_string_equal(agent_state(r, "n1"), "lost");
    assert_int_equal(rig_events(r, "agent-lost"), 1);
    assert_non_null(rig_find(r, 1, -1, 0));
    assert_int_equal(rig_events(r, "group-disconnect"), 1);
    hello(r, 2, "n1", "n1", MACHINE_A, BOOT_1);
    assert_string_equal(agent_state(r, "n1"), "connected");
    assert_int_equal(rig_events(r, "group-rejoin"), 1);
    rig_crash(r); /* it is known after a restart, and has a fair time to come back */
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_wait(r, 46);
    assert_string_equal(agent_state(r, "n1"), "lost");
    rig_free(r);
}

static void cut_off_then_lost(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    rig_down(r, 1, "the connection was reset");
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_wait(r, 44);
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_wait(r, 2);
    assert_string_equal(agent_state(r, "n1"), "lost");
    hello(r, 2, "n1", "n1", MACHINE_A, BOOT_1);
    assert_string_equal(agent_state(r, "n1"), "connected");
    assert_int_equal(rig_events(r, "agent-disconnected"), 1);
    assert_int_equal(rig_events(r, "agent-lost"), 1);
    rig_free(r);
}

static void forgotten_in_the_end(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  retention: 1m\n");
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    hello(r, 2, "n2", "n2", MACHINE_B, BOOT_1);
    rig_down(r, 1, "reset");
    rig_wait(r, 55);
    assert_string_equal(agent_state(r, "n1"), "lost");
    rig_wait(r, 10);
    assert_int_equal(rig_events(r, "agent-forgotten"), 1);
    assert_string_equal(agent_state(r, "n1"), "");
    assert_string_equal(agent_state(r, "n2"), "connected");
    for (size_t i = 0; i < r->row_count; i++)
        assert_false(r->rows[i].collection == VENV_ROWS_AGENTS && venv_value_is_text(&r->rows[i].key, "n1"));
    hello(r, 3, "n1", "n1", MACHINE_A, BOOT_2);
    assert_string_equal(agent_state(r, "n1"), "connected");
    rig_free(r);
}

static void groups_change(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"h\", \"g\"]}");
    assert_int_equal(rig_events(r, "group-join"), 2);
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"h\"]}");
    assert_int_equal(rig_events(r, "group-leave"), 1);
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"no good\"]}");
    assert_int_equal(rig_events(r, "group-leave"), 1);
    rig_free(r);
}

static void the_queued_sender(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  send_rate: 10\n  send_burst: 5\n");
    for (uint64_t k = 0; k < 50; k++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", (unsigned)k);
        hello(r, 1 + k, name, name, "00000000-0000-4000-8000-000000000000", BOOT_1);
    }
    rig_user(r, 100, "anna");
    rig_frame(r, 100, VENV_MSG_EXEC, 1, "{\"target\": \"@g\", \"command\": \"x\"}");
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 5); /* the burst */
    rig_down(r, 50, "gone");                                /* what waits for it is dropped */
    rig_wait(r, 2);
    size_t sent = rig_count(r, VENV_MSG_EXECUTE, 0);
    assert_in_range(sent, 23, 26);
    rig_wait(r, 4);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 49);
    rig_free(r);
}

static void a_machine_is_only_its_nodes_business(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    rig_node(r, 1, "node1", BOOT, "");
    rig_user(r, 2, "anna");
    rig_frame(r, 2, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    const rig_sent *start = rig_find(r, 1, VENV_MSG_MACHINE_START, 0);
    assert_non_null(start);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_node(r, 3, "liar", BOOT, NULL);
    rig_frame(r, 3, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id, machine);
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    char list[512];
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, \"state\": \"running\"}",
             machine);
    rig_machines(r, 3, list);
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    assert_int_equal(rig_events(r, "instance-conflict"), 1);
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 9, \"state\": \"stopped\"}",
             machine);
    rig_machines(r, 1, list); /* another epoch: nothing of it is believed */
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clone_is_refused_and_flagged),
        cmocka_unit_test(the_same_machine_takes_over),
        cmocka_unit_test(who_is_not_let_in),
        cmocka_unit_test(suspect_then_lost_then_back),
        cmocka_unit_test(cut_off_then_lost),
        cmocka_unit_test(forgotten_in_the_end),
        cmocka_unit_test(groups_change),
        cmocka_unit_test(the_queued_sender),
        cmocka_unit_test(a_machine_is_only_its_nodes_business),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
