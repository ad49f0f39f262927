/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes in maintenance: nothing is placed there, and who is refused hears why; machines leave as was asked, those that cannot
 * are tried again; it ends by a word, and not by a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT  "00000000-0000-4000-8000-0000000000b1"
#define NODE1 1u
#define NODE2 2u
#define USER  9u

static uint64_t request;

static void node2(rig *r)
{
    rig_up(r, NODE2, VENV_ROLE_AGENT, "node2");
    rig_frame(r, NODE2, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"node2\", \"groups\": [\"default\"], \"boot\": \"" BOOT "\", "
              "\"machine\": \"00000000-0000-4000-8000-00000000000c\", \"properties\": [], \"samples\": []}");
    rig_machines(r, NODE2, "");
}

static const venv_value *ask_node(rig *r, const char *verb, const char *more, int16_t *ret_type)
{
    rig_frame(r, USER, VENV_MSG_NODE, ++request, "{\"verb\": \"%s\", \"agent\": \"node1\"%s}", verb, more);
    return rig_answer(r, USER, request, ret_type);
}

/* What the node said to the last order of this type. */
static void result(rig *r, uint64_t node, int16_t type, size_t from, const char *rc, const char *state)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    const rig_sent *s = rig_find(r, node, type, from);
    assert_non_null(s);
    rig_id(&s->body, "id", id);
    rig_id(&s->body, "machine", machine);
    rig_frame(r, node, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"so it is\", \"state\": \"%s\"}", id,
              machine, rc, state);
}

/* class2-1 runs on node1; node2 is there unless said otherwise. */
static rig *running(bool second)
{
    rig *r = rig_new(RIG_CONFIG);
    request = 100;
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, "");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    result(r, NODE1, VENV_MSG_MACHINE_START, 0, "ok", "running");
    if (second)
        node2(r);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    return r;
}

static bool says(rig *r, const char *what, const char *name, const char *text)
{
    char all[16384];
    rig_frame(r, USER, VENV_MSG_SHOW, ++request, "{\"what\": \"%s\", \"name\": \"%s\"}", what, name);
    int16_t type;
    venv_value_print(rig_answer(r, USER, request, &type), all, sizeof all);
    return strstr(all, text) != NULL;
}

static void nothing_is_placed_there(void **state)
{
    (void)state;
    rig *r = running(false);
    int16_t type;
    assert_non_null(ask_node(r, "drain", ", \"why\": \"new memory\"", &type));
    assert_int_equal(type, VENV_MSG_RESULT);
    assert_true(says(r, "agent", "node1", "new memory"));
    rig_frame(r, USER, VENV_MSG_START, 2, "{\"environment\": \"class2\"}");
    assert_string_equal(rig_state(r, "class2-2"), "pending");
    assert_true(says(r, "instance", "class2-2", "1 in maintenance"));
    assert_true(says(r, "instance", "class2-2", "by user/admin: new memory"));
    rig_crash(r); /* it is on disk */
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, "");
    rig_wait(r, 3);
    assert_string_equal(rig_state(r, "class2-2"), "pending");
    assert_true(says(r, "agent", "node1", "new memory"));
    size_t from = r->sent_count;
    ask_node(r, "resume", "", &type);
    rig_wait(r, 2);
    assert_non_null(rig_find(r, NODE1, VENV_MSG_MACHINE_START, from));
    assert_false(says(r, "agent", "node1", "new memory"));
    rig_free(r);
}

static void machines_move(void **state)
{
    (void)state;
    rig *r = running(true);
    int16_t type;
    ask_node(r, "drain", ", \"by\": \"migrate\"", &type);
    rig_wait(r, 1);
    assert_string_equal(rig_state(r, "class2-1"), "migrating");
    result(r, NODE1, VENV_MSG_MACHINE_MIGRATE, 0, "ok", "stopped");
    assert_true(says(r, "instance", "class2-1", "node2"));
    rig_wait(r, 1);
    assert_int_equal(rig_events(r, "node-drained"), 1);
    rig_wait(r, 5);
    assert_int_equal(rig_events(r, "node-drained"), 1);
    /* It does not come back while that lasts. */
    rig_frame(r, USER, VENV_MSG_CHANGE, ++request, "{\"verb\": \"migrate\", \"instance\": \"class2-1\", \"node\": \"node1\"}");
    assert_true(says(r, "instance", "class2-1", "node2"));
    rig_free(r);
}

static void what_cannot_leave_is_tried_again(void **state)
{
    (void)state;
    rig *r = running(false);
    int16_t type;
    ask_node(r, "drain", ", \"by\": \"migrate\"", &type);
    rig_wait(r, 1);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_true(says(r, "agent", "node1", "no other node can take class2-1"));
    size_t actions = rig_events(r, "action-failed");
    rig_wait(r, 20);
    assert_int_equal(rig_events(r, "action-failed"), actions); /* no action for each try */
    node2(r);
    rig_wait(r, 31);
    assert_string_equal(rig_state(r, "class2-1"), "migrating");
    rig_free(r);
}

static void saved_or_stopped_as_asked(void **state)
{
    (void)state;
    rig *r = running(true);
    int16_t type;
    ask_node(r, "drain", ", \"by\": \"save\"", &type);
    rig_wait(r, 1);
    assert_string_equal(rig_state(r, "class2-1"), "saving");
    result(r, NODE1, VENV_MSG_MACHINE_SAVE, 0, "ok", "saved");
    rig_wait(r, 1);
    assert_string_equal(rig_state(r, "class2-1"), "saved");
    assert_int_equal(rig_events(r, "node-drained"), 1);
    rig_free(r);
    r = running(true);
    ask_node(r, "drain", ", \"by\": \"stop\"", &type);
    rig_wait(r, 1);
    assert_string_equal(rig_state(r, "class2-1"), "stopping");
    result(r, NODE1, VENV_MSG_MACHINE_STOP, 0, "ok", "stopped");
    rig_wait(r, 1);
    assert_int_equal(rig_events(r, "node-drained"), 1);
    rig_free(r);
}

static void who_waits_hears_of_the_end(void **state)
{
    (void)state;
    rig *r = running(true);
    int16_t type;
    rig_frame(r, USER, VENV_MSG_NODE, 50, "{\"verb\": \"drain\", \"agent\": \"node1\", \"by\": \"stop\", \"wait\": true}");
    assert_null(rig_find(r, USER, VENV_MSG_RESULT, r->sent_count));
    rig_wait(r, 1);
    result(r, NODE1, VENV_MSG_MACHINE_STOP, 0, "ok", "stopped");
    rig_wait(r, 1);
    const venv_value *body = rig_answer(r, USER, 50, &type);
    assert_int_equal(type, VENV_MSG_RESULT);
    assert_int_equal(venv_value_get_int(venv_value_get(venv_value_get(body, "agent"), "maintenance"), "left", 9), 0);
    ask_node(r, "resume", "", &type);
    size_t from = r->sent_count;
    rig_frame(r, USER, VENV_MSG_START, 51, "{\"environment\": \"class2\", \"node\": \"node1\"}");
    result(r, NODE1, VENV_MSG_MACHINE_START, from, "ok", "running");
    /* Abandoned while somebody waits. */
    rig_frame(r, USER, VENV_MSG_NODE, 52, "{\"verb\": \"drain\", \"agent\": \"node1\", \"wait\": true}");
    rig_wait(r, 2);
    ask_node(r, "resume", "", &type);
    rig_answer(r, USER, 52, &type);
    assert_int_equal(type, VENV_MSG_FAILED);
    assert_string_equal(rig_state(r, "class2-2"), "running");
    rig_free(r);
}

static void unknown_is_waited_for(void **state)
{
    (void)state;
    rig *r = running(true);
    int16_t type;
    rig_down(r, NODE1, "cut off");
    size_t from = r->sent_count;
    ask_node(r, "drain", ", \"by\": \"stop\"", &type);
    rig_wait(r, 120);
    assert_string_equal(rig_state(r, "class2-1"), "lost");
    assert_int_equal(rig_events(r, "node-drained"), 0);
    assert_null(rig_find(r, NODE1, VENV_MSG_MACHINE_STOP, from));
    rig_free(r);
}

static void wrong_questions(void **state)
{
    (void)state;
    rig *r = running(true);
    static const char *const bodies[] = {
        "{\"verb\": \"empty\", \"agent\": \"node1\"}", "{\"verb\": \"drain\", \"agent\": \"node9\"}", "{\"verb\": \"drain\"}",
        "{\"verb\": \"drain\", \"agent\": \"node1\", \"by\": \"force\"}", "{\"verb\": \"resume\", \"agent\": \"node1\", \"by\": \"stop\"}",
        "{\"verb\": \"drain\", \"agent\": \"node1\", \"by\": 7}",
    };
    int16_t type;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        rig_frame(r, USER, VENV_MSG_NODE, ++request, "%s", bodies[i]);
        rig_answer(r, USER, request, &type);
        assert_int_equal(type, VENV_MSG_FAILED);
    }
    assert_int_equal(rig_events(r, "node-maintenance"), 0);
    ask_node(r, "resume", "", &type); /* it is out of it already */
    assert_int_equal(type, VENV_MSG_RESULT);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_placed_there),
        cmocka_unit_test(machines_move),
        cmocka_unit_test(what_cannot_leave_is_tried_again),
        cmocka_unit_test(saved_or_stopped_as_asked),
        cmocka_unit_test(who_waits_hears_of_the_end),
        cmocka_unit_test(unknown_is_waited_for),
        cmocka_unit_test(wrong_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
