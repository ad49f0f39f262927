/* SPDX-License-Identifier: Apache-2.0 */
/* When the manager looks on and does nothing: its disk is full, or its state is from the past. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define HEAD  1u
#define NODE  2u
#define OTHER "00000000-0000-4000-8000-0000000000c1"

/* Peers have a new number after a crash. */
static uint64_t user = 9;

static const char *ask(rig *r, int16_t type, const venv_value **ret_body, const char *json)
{
    return rig_ask(r, user, type, ret_body, json);
}

static const char *status(rig *r, const char *key)
{
    static char text[400];
    const venv_value *body = NULL;
    assert_string_equal(ask(r, VENV_MSG_STATUS, &body, "{}"), "ok");
    venv_str is = venv_value_get_text(body, key);
    snprintf(text, sizeof text, "%.*s", (int)is.size, is.data ? is.data : "");
    return text;
}

/* An agent that says HELLO and remembers this of our state: `marks` is the map of marks. */
static void hello(rig *r, uint64_t peer, const char *name, const char *marks)
{
    rig_up(r, peer, VENV_ROLE_AGENT, name);
    rig_frame(r, peer, VENV_MSG_HELLO, 0,
              "{\"versions\": [1], \"name\": \"%s\", \"groups\": [\"default\"], \"boot\": \"00000000-0000-4000-8000-0000000000b%u\", "
              "\"machine\": \"00000000-0000-4000-8000-0000000000d%u\", \"marks\": %s}", name, (unsigned)peer % 10, (unsigned)peer % 10, marks);
}

static void a_full_disk_begins_nothing(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_LOOP);
    const venv_value *body = NULL;
    rig_disk(r, true);
    rig_disk(r, true); /* told twice is said once */
    assert_int_equal(rig_events(r, "disk-full"), 1);
    assert_string_equal(status(r, "disk"), "full");
    assert_string_equal(ask(r, VENV_MSG_START, NULL, "{\"environment\": \"class2\"}"), "no-space");
    assert_string_equal(ask(r, VENV_MSG_ACCEPT_ROLLBACK, NULL, "{}"), "no-space");
    assert_string_equal(ask(r, VENV_MSG_LIST, &body, "{\"what\": \"agents\"}"), "ok");
    assert_int_equal(venv_value_count(venv_value_get(body, "items")), 2);
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 20);
    assert_int_equal(rig_instances(r, true), 0); /* triggers wait */
    rig_disk(r, false);
    assert_int_equal(rig_events(r, "disk-room"), 1);
    assert_string_equal(status(r, "disk"), "");
    assert_int_equal(rig_instances(r, true), 0); /* what was not looked at does not count for the hold */
    rig_wait(r, 5);
    assert_int_equal(rig_instances(r, true), 1);
    rig_free(r);
}

static void a_mark_is_what_is_durable(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_CONFIG);
    const rig_sent *mark = rig_find(r, NODE, VENV_MSG_MARK, 0);
    assert_non_null(mark);
    uint64_t first = venv_value_peek_uint(venv_value_get(&mark->body, "revision"));
    assert_true(first > 0);
    size_t from = r->sent_count;
    assert_string_equal(ask(r, VENV_MSG_START, NULL, "{\"environment\": \"class2\"}"), "ok");
    rig_wait(r, 60);
    mark = rig_find(r, NODE, VENV_MSG_MARK, from);
    assert_non_null(mark);
    assert_true(venv_value_peek_uint(venv_value_get(&mark->body, "revision")) > first);
    rig_free(r);
}

/* A state that meets a mark which it cannot have given drives no node, also after a restart, until somebody accepts that. */
static void a_state_of_the_past_drives_nothing(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_LOOP);
    hello(r, 13, "node3", "{\"another\": {\"lineage\": \"" OTHER "\", \"boot\": \"" OTHER "\", \"revision\": 900}}");
    assert_string_equal(status(r, "rollback"), ""); /* that is another manager's */
    hello(r, 14, "node4", "{\"mgr\": {\"lineage\": \"" OTHER "\", \"boot\": \"" OTHER "\", \"revision\": 1}}");
    assert_int_equal(rig_events(r, "rollback"), 1);
    assert_non_null(strstr(status(r, "rollback"), "node4"));
    assert_null(rig_find(r, 14, VENV_MSG_MARK, 0)); /* it keeps what it has */
    assert_string_equal(ask(r, VENV_MSG_START, NULL, "{\"environment\": \"class2\"}"), "conflict");
    assert_string_equal(ask(r, VENV_MSG_EXEC, NULL, "{\"target\": \"node1\", \"command\": \"x\"}"), "conflict");
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 10);
    assert_int_equal(rig_instances(r, true), 0);
    rig_crash(r);
    rig_head(r, 21, "[0, {\"class2\": {\"pending\": 1, \"running\": 0}}, 0, null]");
    rig_node(r, 22, "node1", "00000000-0000-4000-8000-0000000000b1", "");
    rig_user(r, user = 29, "alice");
    rig_wait(r, 10);
    assert_non_null(strstr(status(r, "rollback"), "node4"));
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 0);
    assert_string_equal(ask(r, VENV_MSG_ACCEPT_ROLLBACK, NULL, "{}"), "ok");
    assert_string_equal(status(r, "rollback"), "");
    assert_int_equal(rig_events(r, "rollback-accepted"), 1);
    assert_string_equal(ask(r, VENV_MSG_ACCEPT_ROLLBACK, NULL, "{}"), "ok"); /* twice is once */
    assert_int_equal(rig_events(r, "rollback-accepted"), 1);
    rig_wait(r, 5);
    assert_int_equal(rig_instances(r, true), 1);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
    /* what was given up is known now */
    hello(r, 15, "node5", "{\"mgr\": {\"lineage\": \"" OTHER "\", \"boot\": \"" OTHER "\", \"revision\": 1}}");
    assert_string_equal(status(r, "rollback"), "");
    user = 9;
    rig_free(r);
}

static void nothing_to_accept(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_CONFIG);
    assert_string_equal(ask(r, VENV_MSG_ACCEPT_ROLLBACK, NULL, "{}"), "conflict");
    hello(r, 14, "node4", "{\"mgr\": {\"lineage\": 7, \"boot\": \"x\", \"revision\": -1}}"); /* says nothing */
    hello(r, 15, "node5", "{\"mgr\": []}");
    assert_string_equal(status(r, "rollback"), "");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_begins_nothing),
        cmocka_unit_test(a_mark_is_what_is_durable),
        cmocka_unit_test(a_state_of_the_past_drives_nothing),
        cmocka_unit_test(nothing_to_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
