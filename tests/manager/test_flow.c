/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: jobs wait, a trigger fires, a node starts an instance, the queue is empty, the instance is
 * stopped; once as it should go, and then with the manager killed after each of its steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"
#define HEAD 1u
#define NODE 2u
#define USER 3u

static const char empty_queue[] = "[0, {\"class2\": {\"pending\": 0, \"running\": 0}}, 0, null]";

static void the_loop(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_LOOP);
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE], list[512];
    rig_head(r, HEAD, empty_queue);
    rig_node(r, NODE, "node1", BOOT, "");
    rig_wait(r, 2);
    assert_int_equal(rig_instances(r, true), 0);

    rig_queue(r, HEAD, 5, 0);
    rig_wait(r, 0.5);
    assert_int_equal(rig_instances(r, true), 0); /* it holds */
    rig_wait(r, 1);
    const rig_sent *start = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    assert_non_null(start);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
    assert_true(venv_value_is_text(venv_value_get(&start->body, "instance"), "class2-1"));
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    assert_string_equal(rig_state(r, "class2-1"), "starting");

    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id,
              machine);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, "
             "\"state\": \"running\"}", machine);
    rig_machines(r, NODE, list);
    rig_queue(r, HEAD, 0, 1);
    rig_wait(r, 10);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    rig_queue(r, HEAD, 0, 0);
    rig_wait(r, 2);
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_STOP, 0));
    rig_wait(r, 2);
    const rig_sent *stop = rig_find(r, NODE, VENV_MSG_MACHINE_STOP, 0);
    assert_non_null(stop);
    rig_id(&stop->body, "id", id);
    assert_string_equal(rig_state(r, "class2-1"), "stopping");
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"stopped\"}", id,
              machine);
    rig_machines(r, NODE, "");
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    rig_wait(r, 30);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
    assert_int_equal(rig_instances(r, false), 0);
    assert_int_equal(rig_events(r, "trigger-fired"), 2);
    assert_int_equal(rig_events(r, "instance-running"), 1);
    assert_int_equal(rig_events(r, "action-done"), 4); /* start and stop, each with its child */
    rig_free(r);
}

/* --- a node that plays along, whatever is asked -------------------------------------------------------- */

typedef struct fake_node {
    bool exists, running;
    char machine[VENV_ID_TEXT_SIZE], name[64];
    size_t seen, starts;
    uint64_t peer, head;
} fake_node;

static void tell_list(rig *r, fake_node *n)
{
    char list[512] = "";
    if (n->exists)
        snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"%s\", \"environment\": \"class2\", \"epoch\": 1, "
                 "\"state\": \"%s\"}", n->machine, n->name, n->running ? "running" : "stopped");
    rig_machines(r, n->peer, list);
}

static void answer_one(rig *r, fake_node *n, size_t index)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    int16_t type = r->sent[index].type;
    if (r->sent[index].peer != n->peer ||
        (type != VENV_MSG_MACHINE_START && type != VENV_MSG_MACHINE_STOP && type != VENV_MSG_MACHINE_DESTROY))
        return;
    rig_id(&r->sent[index].body, "id", id);
    rig_id(&r->sent[index].body, "machine", machine);
    if (type == VENV_MSG_MACHINE_START) {
        if (n->exists)
            assert_string_equal(machine, n->machine); /* never a second one */
        else
            n->starts++;
        n->exists = n->running = true;
        memcpy(n->machine, machine, sizeof machine);
        venv_str name = venv_value_get_text(&r->sent[index].body, "instance");
        snprintf(n->name, sizeof n->name, "%.*s", (int)name.size, name.data);
    } else if (n->exists && strcmp(n->machine, machine) == 0) {
        n->exists = n->running = false;
    }
    rig_frame(r, n->peer, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"%s\"}", id,
              machine, n->running ? "running" : "stopped");
    tell_list(r, n);
}

static void connect_all(rig *r, fake_node *n, int pending, int running)
{
    char queue[128];
    n->peer += 10;
    n->head += 10;
    snprintf(queue, sizeof queue, "[0, {\"class2\": {\"pending\": %d, \"running\": %d}}, 0, null]", pending, running);
    rig_head(r, n->head, queue);
    rig_node(r, n->peer, "node1", BOOT, NULL);
    tell_list(r, n);
}

/* The whole loop, with a crash after `crash_at` tenths of a second, and one more a second later. */
static void loop_with_crash(int crash_at, bool lose_answers)
{
    rig *r = rig_new(RIG_LOOP);
    fake_node n = { .peer = 2, .head = 1 };
    int pending = 0, running = 0;
    connect_all(r, &n, pending, running);
    for (int tenth = 0; tenth < 400; tenth++) {
        if (tenth == crash_at || tenth == crash_at + 10) {
            if (lose_answers) /* the node did it, and nobody heard */
                for (; n.seen < r->sent_count; n.seen++)
                    if (r->sent[n.seen].peer == n.peer && r->sent[n.seen].type == VENV_MSG_MACHINE_START && !n.exists) {
                        venv_str name = venv_value_get_text(&r->sent[n.seen].body, "instance");
                        snprintf(n.name, sizeof n.name, "%.*s", (int)name.size, name.data);
                        rig_id(&r->sent[n.seen].body, "machine", n.machine);
                        n.exists = n.running = true;
                        n.starts++;
                    }
            n.seen = r->sent_count;
            rig_crash(r);
            rig_wait(r, 0.3);
            connect_all(r, &n, pending, running);
        }
        if (tenth == 5)
            rig_queue(r, n.head, pending = 3, running = 0);
        if (tenth == 100)
            rig_queue(r, n.head, pending = 0, running = 0);
        rig_wait(r, 0.1);
        if (!lose_answers || tenth % 10 == 9)
            for (; n.seen < r->sent_count; n.seen++)
                answer_one(r, &n, n.seen);
    }
    assert_int_equal(n.starts, 1);
    assert_false(n.exists);
    assert_int_equal(rig_instances(r, false), 0);
    assert_int_equal(rig_instances(r, true), 1);
    rig_free(r);
}

static void killed_at_any_point(void **state)
{
    (void)state;
    for (int crash_at = 1; crash_at < 200; crash_at += 3) {
        loop_with_crash(crash_at, false);
        loop_with_crash(crash_at, true);
    }
}

/* --- what cannot be seen ----------------------------------------------------------------------------------- */

static rig *running_rig(char machine[VENV_ID_TEXT_SIZE])
{
    rig *r = rig_new(RIG_LOOP);
    char id[VENV_ID_TEXT_SIZE];
    rig_head(r, HEAD, empty_queue);
    rig_node(r, NODE, "node1", BOOT, "");
    rig_queue(r, HEAD, 5, 0);
    rig_wait(r, 2);
    const rig_sent *start = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    assert_non_null(start);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id,
              machine);
    return r;
}

static void unreachable_is_not_gone(void **state)
{
    (void)state;
    char machine[VENV_ID_TEXT_SIZE], list[512];
    rig *r = running_rig(machine);
    rig_frame(r, NODE, VENV_MSG_MACHINES, 0, "{\"reachable\": false, \"reason\": \"no daemon\", \"machines\": []}");
    assert_string_equal(rig_state(r, "class2-1"), "running");
    rig_queue(r, HEAD, 0, 0);
    size_t from = r->sent_count;
    rig_wait(r, 60);
    assert_string_equal(rig_state(r, "class2-1"), "lost");
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_STOP, from));
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, from));
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_START, from));
    rig_queue(r, HEAD, 9, 0);
    rig_wait(r, 60);
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_START, from)); /* one that is lost is still one */
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, "
             "\"state\": \"running\"}", machine);
    rig_machines(r, NODE, list);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    rig_free(r);
}

static void unknown_queue_stops_nothing(void **state)
{
    (void)state;
    char machine[VENV_ID_TEXT_SIZE];
    rig *r = running_rig(machine);
    size_t from = r->sent_count;
    rig_frame(r, HEAD, VENV_MSG_PUSH, 0, "{\"samples\": [[0, {\"class2\": {\"pending\": 0, \"running\": 0}}, 2, null, \"no answer\"]]}");
    rig_wait(r, 60);
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_STOP, from));
    assert_true(rig_events(r, "trigger-missing") > 0);
    rig_down(r, HEAD, "reset");
    rig_wait(r, 60);
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_STOP, from));
    rig_crash(r); /* nor after a restart, before the head is back */
    rig_node(r, 12, "node1", BOOT, NULL);
    rig_wait(r, 60);
    assert_null(rig_find(r, 0, VENV_MSG_MACHINE_STOP, from));
    rig_free(r);
}

static void a_guest_that_ends_by_itself(void **state)
{
    (void)state;
    char machine[VENV_ID_TEXT_SIZE], list[512];
    static const struct {
        const char *told, *becomes;
    } cases[] = { { "stopped", "stopped" }, { "failed", "failed" }, { NULL, "failed" } };
    for (size_t c = 0; c < 3; c++) {
        rig *r = running_rig(machine);
        list[0] = '\0';
        if (cases[c].told)
            snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, "
                     "\"state\": \"%s\", \"reason\": \"ended\"}", machine, cases[c].told);
        rig_machines(r, NODE, list);
        assert_string_equal(rig_state(r, "class2-1"), cases[c].becomes);
        rig_wait(r, 5); /* jobs still wait: another one is started, under another name */
        assert_string_equal(rig_state(r, "class2-2"), "starting");
        rig_free(r);
    }
}

static void unknown_machines_are_taken_in(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_LOOP);
    rig_head(r, HEAD, empty_queue);
    rig_node(r, NODE, "node1", BOOT,
             "{\"id\": \"00000000-0000-4000-8000-0000000000ff\", \"instance\": \"class2-7\", \"environment\": \"class2\", "
             "\"epoch\": 4, \"state\": \"running\", \"vcpus\": 1, \"memory\": 1024}");
    assert_string_equal(rig_state(r, "class2-7"), "running");
    assert_int_equal(rig_events(r, "instance-adopted"), 1);
    rig_queue(r, HEAD, 5, 0);
    rig_wait(r, 5);
    assert_int_equal(rig_instances(r, true), 1); /* it counts: no other one is started */
    rig_crash(r);
    assert_string_equal(rig_state(r, "class2-7"), "running");
    rig_free(r);
}

static void a_failed_start_is_over(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_LOOP);
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    rig_head(r, HEAD, empty_queue);
    rig_node(r, NODE, "node1", BOOT, "");
    rig_queue(r, HEAD, 5, 0);
    rig_wait(r, 2);
    const rig_sent *start = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    size_t from = r->sent_count;
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0,
              "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"unknown\", \"error\": \"connection lost\", \"state\": \"unknown\"}", id, machine);
    assert_string_equal(rig_state(r, "class2-1"), "starting"); /* not known is not failed */
    rig_machines(r, NODE, "");
    start = rig_find(r, NODE, VENV_MSG_MACHINE_START, from); /* told again, the same */
    assert_non_null(start);
    char again[VENV_ID_TEXT_SIZE];
    assert_string_equal(rig_id(&start->body, "machine", again), machine);
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0,
              "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"io\", \"error\": \"no such kernel\", \"state\": \"failed\"}", id, machine);
    assert_string_equal(rig_state(r, "class2-1"), "failed");
    rig_free(r);
}

static void start_is_answered(rig *r, const char *rc, const char *machine_state)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    const rig_sent *start = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    assert_non_null(start);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0,
              "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"it was stopped in this epoch\", \"state\": \"%s\"}", id,
              machine, rc, machine_state);
}

static rig *starting_rig(void)
{
    rig *r = rig_new(RIG_CONFIG);
    rig_node(r, NODE, "node1", BOOT, "");
    rig_user(r, USER, "anna");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    return r;
}

/* The order of a start came again, and late: that it is refused does not end the machine, nor the stop of it. */
static void a_refused_start_is_not_the_end_of_its_stop(void **state)
{
    (void)state;
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    for (int told = 0; told < 2; told++) {
        rig *r = starting_rig();
        rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"class2-1\"}");
        for (int k = 0; told && k < 600 && !rig_find(r, NODE, VENV_MSG_MACHINE_STOP, 0); k++)
            rig_wait(r, 1); /* its start gives no result */
        assert_string_equal(rig_state(r, "class2-1"), told ? "stopping" : "starting");
        start_is_answered(r, "conflict", "stopping");
        assert_string_equal(rig_state(r, "class2-1"), "stopping");
        start_is_answered(r, told ? "io" : "conflict", told ? "failed" : "unknown");
        assert_string_equal(rig_state(r, "class2-1"), "stopping");
        assert_int_equal(rig_count(r, VENV_MSG_MACHINE_STOP, 0), 1);
        const rig_sent *stop = rig_find(r, NODE, VENV_MSG_MACHINE_STOP, 0);
        rig_id(&stop->body, "id", id);
        rig_id(&stop->body, "machine", machine);
        rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"stopped\"}", id,
                  machine);
        assert_string_equal(rig_state(r, "class2-1"), "stopped");
        rig_free(r);
    }
}

static void a_refused_start_says_what_its_node_knows(void **state)
{
    (void)state;
    static const char *const open[] = { "running", "paused", "stopping", "starting", "unknown" };
    for (size_t c = 0; c < sizeof open / sizeof open[0]; c++) {
        rig *r = starting_rig();
        start_is_answered(r, "conflict", open[c]);
        assert_string_equal(rig_state(r, "class2-1"), "starting");
        size_t from = r->sent_count;
        rig_machines(r, NODE, ""); /* it is not there: told again, the same */
        assert_non_null(rig_find(r, NODE, VENV_MSG_MACHINE_START, from));
        start_is_answered(r, "conflict", "stopped"); /* it is known not to run, and will not */
        assert_string_equal(rig_state(r, "class2-1"), "failed");
        rig_free(r);
    }
}

/* Its node does not have it, and may never have heard of it: it is told that nothing starts in that epoch, should the start come late. */
static void a_start_that_got_lost_is_called_off(void **state)
{
    (void)state;
    char machine[VENV_ID_TEXT_SIZE], told[VENV_ID_TEXT_SIZE];
    rig *r = starting_rig();
    rig_id(&rig_find(r, NODE, VENV_MSG_MACHINE_START, 0)->body, "machine", machine);
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"class2-1\"}");
    rig_down(r, NODE, "reset");
    size_t from = r->sent_count;
    rig_node(r, 12, "node1", BOOT, "");
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    const rig_sent *destroy = rig_find(r, 12, VENV_MSG_MACHINE_DESTROY, from);
    assert_non_null(destroy);
    assert_string_equal(rig_id(&destroy->body, "machine", told), machine);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop),
        cmocka_unit_test(killed_at_any_point),
        cmocka_unit_test(unreachable_is_not_gone),
        cmocka_unit_test(unknown_queue_stops_nothing),
        cmocka_unit_test(a_guest_that_ends_by_itself),
        cmocka_unit_test(unknown_machines_are_taken_in),
        cmocka_unit_test(a_failed_start_is_over),
        cmocka_unit_test(a_refused_start_is_not_the_end_of_its_stop),
        cmocka_unit_test(a_refused_start_says_what_its_node_knows),
        cmocka_unit_test(a_start_that_got_lost_is_called_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
