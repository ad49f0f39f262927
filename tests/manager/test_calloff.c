/* SPDX-License-Identifier: Apache-2.0 */
/* What is over without its node having stopped it is called off there: until the node has answered, also over restarts of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"
#define NODE 2u
#define USER 3u

/* A node has room for one. */
#define CONFIG                                                                                                         \
    "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  action_timeout: 20s\n"    \
    "  vcpu_overcommit: 1.0\n"                                                                                          \
    "environments:\n  class2: {hypervisor: test, vcpus: 4, memory: 128MiB}\n"

static rig *starting(void)
{
    rig *r = rig_new(CONFIG);
    rig_node(r, NODE, "node1", BOOT, "");
    rig_user(r, USER, "alice");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    assert_non_null(rig_find(r, NODE, VENV_MSG_MACHINE_START, 0));
    return r;
}

static void answer(rig *r, uint64_t peer, const rig_sent *asked, const char *rc, const char *state)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    assert_non_null(asked);
    rig_frame(r, peer, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"it said so\", \"state\": \"%s\"}",
              rig_id(&asked->body, "id", id), rig_id(&asked->body, "machine", machine), rc, state);
}

/* The one machine, as its node lists it. */
static const char *machine(const rig *r, const char *state)
{
    static char list[512];
    char id[VENV_ID_TEXT_SIZE];
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, \"state\": \"%s\"}",
             rig_id(&rig_find(r, 0, VENV_MSG_MACHINE_START, 0)->body, "machine", id), state);
    return list;
}

/* What calls it off, sent to the peer after `from`: that machine, in that epoch. */
static const rig_sent *call_off(const rig *r, uint64_t peer, size_t from, char ret_id[VENV_ID_TEXT_SIZE])
{
    char told[VENV_ID_TEXT_SIZE], asked[VENV_ID_TEXT_SIZE];
    const rig_sent *order = rig_find(r, peer, VENV_MSG_MACHINE_DESTROY, from);
    if (!order)
        return NULL;
    assert_string_equal(rig_id(&order->body, "machine", told), rig_id(&rig_find(r, 0, VENV_MSG_MACHINE_START, 0)->body, "machine", asked));
    assert_int_equal(venv_value_get_int(&order->body, "epoch", 0), 1);
    rig_id(&order->body, "id", ret_id);
    return order;
}

static void failed_start(rig *r)
{
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "io", "failed");
    assert_string_equal(rig_state(r, "class2-1"), "failed");
}

/* Nobody answers: it is told again, the same order, until somebody does; then never again. */
static void it_is_tried_until_it_is_answered(void **state)
{
    (void)state;
    char first[VENV_ID_TEXT_SIZE], again[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    size_t from = r->sent_count;
    failed_start(r);
    assert_non_null(call_off(r, NODE, from, first));
    for (int times = 0; times < 3; times++) {
        from = r->sent_count;
        rig_wait(r, 10);
        assert_null(call_off(r, NODE, from, again)); /* it has time to answer */
        rig_wait(r, 12);
        assert_non_null(call_off(r, NODE, from, again));
        assert_string_equal(again, first);
    }
    answer(r, NODE, call_off(r, NODE, from, again), "unreachable", "unknown"); /* no answer yet */
    from = r->sent_count;
    rig_wait(r, 12);
    assert_non_null(call_off(r, NODE, from, again));
    assert_string_equal(again, first);
    answer(r, NODE, call_off(r, NODE, from, again), "ok", "stopped");
    from = r->sent_count;
    rig_wait(r, 60);
    assert_null(call_off(r, NODE, from, again));
    assert_string_equal(rig_state(r, "class2-1"), "failed");
    rig_free(r);
}

/* Its node or the manager goes away before that: the order is in the row, and told as soon as the node has told its machines. */
static void it_outlives_connections_and_restarts(void **state)
{
    (void)state;
    char first[VENV_ID_TEXT_SIZE], again[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    size_t from = r->sent_count;
    failed_start(r);
    assert_non_null(call_off(r, NODE, from, first));
    rig_down(r, NODE, "reset");
    from = r->sent_count;
    rig_node(r, 12, "node1", BOOT, "");
    assert_non_null(call_off(r, 12, from, again));
    assert_string_equal(again, first);
    rig_crash(r);
    rig_wait(r, 30);
    from = r->sent_count;
    rig_node(r, 22, "node1", BOOT, "");
    assert_non_null(call_off(r, 22, from, again));
    assert_string_equal(again, first);
    answer(r, 22, call_off(r, 22, from, again), "ok", "stopped");
    rig_crash(r);
    from = r->sent_count;
    rig_node(r, 32, "node1", BOOT, "");
    rig_wait(r, 60);
    assert_null(call_off(r, 32, from, again));
    rig_free(r);
}

/* An order of its start may still come into effect there, so it keeps its room; then the room is free. */
static void its_room_is_taken_until_then(void **state)
{
    (void)state;
    char id[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    size_t from = r->sent_count;
    failed_start(r);
    rig_frame(r, USER, VENV_MSG_START, 2, "{\"environment\": \"class2\"}");
    rig_wait(r, 15);
    assert_string_equal(rig_state(r, "class2-2"), "pending");
    answer(r, NODE, call_off(r, NODE, from, id), "ok", "stopped");
    rig_wait(r, 2);
    assert_string_equal(rig_state(r, "class2-2"), "starting");
    rig_free(r);
}

/* It was stopped before anybody knew what became of its start. */
static void a_lost_start_that_is_to_stop(void **state)
{
    (void)state;
    char first[VENV_ID_TEXT_SIZE], again[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"class2-1\"}");
    rig_down(r, NODE, "reset");
    size_t from = r->sent_count;
    rig_node(r, 12, "node1", BOOT, "");
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    assert_non_null(call_off(r, 12, from, first));
    from = r->sent_count;
    rig_wait(r, 22);
    assert_non_null(call_off(r, 12, from, again));
    assert_string_equal(again, first);
    rig_free(r);
}

/* It cannot be destroyed: that is known of this order, so another one is given. A newer epoch, or no such thing there, is an end. */
static void what_nodes_can_answer(void **state)
{
    (void)state;
    static const char *const settled[] = { "ok", "conflict", "unsupported", "denied" }, *const open[] = { "io", "limit" };
    char first[VENV_ID_TEXT_SIZE], again[VENV_ID_TEXT_SIZE];
    for (size_t c = 0; c < sizeof settled / sizeof settled[0]; c++) {
        rig *r = starting();
        size_t from = r->sent_count;
        failed_start(r);
        answer(r, NODE, call_off(r, NODE, from, first), settled[c], "stopped");
        from = r->sent_count;
        rig_wait(r, 60);
        assert_null(call_off(r, NODE, from, again));
        rig_free(r);
    }
    for (size_t c = 0; c < sizeof open / sizeof open[0]; c++) {
        rig *r = starting();
        size_t from = r->sent_count;
        failed_start(r);
        answer(r, NODE, call_off(r, NODE, from, first), open[c], "unknown");
        from = r->sent_count;
        rig_wait(r, 15);
        assert_non_null(call_off(r, NODE, from, again));
        assert_string_not_equal(again, first);
        rig_free(r);
    }
}

/* One that ended by itself is cleared away. If it runs before its node could be told so, somebody wants it: it is left alone. */
static void what_runs_before_it_was_told(void **state)
{
    (void)state;
    char id[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "ok", "running");
    rig_machines(r, NODE, machine(r, "running"));
    size_t from = r->sent_count;
    rig_machines(r, NODE, machine(r, "stopped"));
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    assert_non_null(call_off(r, NODE, from, id));
    rig_down(r, NODE, "reset");
    from = r->sent_count;
    rig_node(r, 12, "node1", BOOT, machine(r, "running"));
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_int_equal(rig_events(r, "instance-unexpected"), 1);
    rig_wait(r, 60);
    assert_null(call_off(r, 12, from, id));
    rig_free(r);
}

/* A start that failed, and came into effect after all, was called off: it is not taken for one that somebody wants. */
static void what_was_called_off_does_not_come_back(void **state)
{
    (void)state;
    char id[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    failed_start(r);
    rig_down(r, NODE, "reset");
    size_t from = r->sent_count;
    rig_node(r, 12, "node1", BOOT, machine(r, "running"));
    assert_non_null(call_off(r, 12, from, id));
    assert_string_equal(rig_state(r, "class2-1"), "failed");
    assert_int_equal(rig_events(r, "instance-unexpected"), 0);
    rig_free(r);
}

/* What ran, and is not in the list any more: an order of its start is not to bring it back. */
static void what_is_gone_is_called_off(void **state)
{
    (void)state;
    char id[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "ok", "running");
    size_t from = r->sent_count;
    rig_machines(r, NODE, "");
    assert_string_equal(rig_state(r, "class2-1"), "failed");
    assert_non_null(call_off(r, NODE, from, id));
    rig_frame(r, USER, VENV_MSG_START, 2, "{\"environment\": \"class2\"}");
    rig_wait(r, 2);
    assert_string_equal(rig_state(r, "class2-2"), "starting"); /* it ran, and does not: its room is free */
    rig_free(r);
}

/* It is on a node where it should not be: what it takes there is not given to another one, until the node lists it no more. */
static void what_is_beside_its_node_takes_room(void **state)
{
    (void)state;
    rig *r = starting();
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "ok", "running");
    rig_node(r, 12, "node2", BOOT, machine(r, "paused"));
    assert_int_equal(rig_events(r, "instance-conflict"), 1);
    rig_frame(r, USER, VENV_MSG_START, 2, "{\"environment\": \"class2\"}");
    rig_wait(r, 3);
    assert_string_equal(rig_state(r, "class2-2"), "pending");
    rig_machines(r, 12, "");
    rig_wait(r, 3);
    assert_string_equal(rig_state(r, "class2-2"), "starting");
    rig_free(r);
}

/* Under an epoch that was never given out: nothing is told under it, since then the machine could never come to that node. */
static void an_epoch_of_nobody(void **state)
{
    (void)state;
    char list[512], id[VENV_ID_TEXT_SIZE];
    rig *r = starting();
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "ok", "running");
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 3, \"state\": \"stopped\"}",
             rig_id(&rig_find(r, 0, VENV_MSG_MACHINE_START, 0)->body, "machine", id));
    size_t from = r->sent_count;
    rig_node(r, 12, "node2", BOOT, list);
    assert_null(rig_find(r, 12, VENV_MSG_MACHINE_DESTROY, from));
    assert_int_equal(rig_events(r, "instance-conflict"), 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_tried_until_it_is_answered),
        cmocka_unit_test(it_outlives_connections_and_restarts),
        cmocka_unit_test(its_room_is_taken_until_then),
        cmocka_unit_test(a_lost_start_that_is_to_stop),
        cmocka_unit_test(what_nodes_can_answer),
        cmocka_unit_test(what_runs_before_it_was_told),
        cmocka_unit_test(what_was_called_off_does_not_come_back),
        cmocka_unit_test(what_is_gone_is_called_off),
        cmocka_unit_test(what_is_beside_its_node_takes_room),
        cmocka_unit_test(an_epoch_of_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
