/* SPDX-License-Identifier: Apache-2.0 */
/* When an instance counts as started, and what becomes of one that crashed; over restarts of the manager, too. */
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
#define NODE2 4u
#define OWN 5u
#define AFTER 12u /* the node, after a crash of the manager */

#define CONFIG                                                                                                         \
    "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  action_timeout: 20s\n"    \
    "  start_nodes: 2\n"                                                                                                \
    "environments:\n"                                                                                                   \
    "  own: {hypervisor: test, memory: 128MiB, ready: agent, ready_timeout: 60s}\n"                                     \
    "  asked: {hypervisor: test, memory: 128MiB, ready: qemu-guest-agent, ready_timeout: 60s}\n"                        \
    "  again: {hypervisor: test, memory: 128MiB, on_crash: restart, restart: {wait: 10s, wait_max: 30s, times: 3, reset: 5m}}\n" \
    "  stays: {hypervisor: test, memory: 128MiB, on_crash: stay}\n"                                                     \
    "  plain: {hypervisor: test, memory: 128MiB}\n"

static char list[512];

static void answer(rig *r, uint64_t peer, const rig_sent *asked, const char *rc, const char *state)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    assert_non_null(asked);
    rig_frame(r, peer, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"it said so\", \"state\": \"%s\"}",
              rig_id(&asked->body, "id", id), rig_id(&asked->body, "machine", machine), rc, state);
}

/* The one machine, as its node lists it. */
static void told(rig *r, uint64_t peer, const char *state)
{
    char id[VENV_ID_TEXT_SIZE];
    const rig_sent *start = rig_find(r, peer, VENV_MSG_MACHINE_START, 0);
    venv_str name = venv_value_get_text(&start->body, "instance"), environment = venv_value_get_text(&start->body, "environment");
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"%.*s\", \"environment\": \"%.*s\", \"epoch\": %lld, \"state\": \"%s\", \"reason\": \"crashed\"}",
             rig_id(&start->body, "machine", id), (int)name.size, name.data, (int)environment.size, environment.data,
             (long long)venv_value_get_int(&start->body, "epoch", 0), state);
    rig_machines(r, peer, list);
}

static rig *start(const char *environment, bool booted)
{
    rig *r = rig_new(CONFIG);
    rig_node(r, NODE, "node1", BOOT, "");
    rig_user(r, USER, "alice");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"%s\"}", environment);
    const rig_sent *order = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    assert_non_null(order);
    if (booted) {
        answer(r, NODE, order, "ok", "running");
        told(r, NODE, "running");
    }
    return r;
}

static void deed_is(rig *r, const char *kind, const char *state)
{
    const char *found = "none";
    rig_frame(r, USER, VENV_MSG_LIST, 90, "{\"what\": \"actions\"}");
    int16_t type;
    const venv_value *items = venv_value_get(rig_answer(r, USER, 90, &type), "items");
    static char text[32];
    for (size_t i = 0; i < venv_value_count(items); i++) {
        const venv_value *item = venv_value_at(items, i);
        if (!venv_value_is_text(venv_value_get(item, "kind"), kind) || venv_value_get(item, "children"))
            continue;
        venv_str value = venv_value_get_text(item, "state");
        snprintf(text, sizeof text, "%.*s", (int)value.size, value.data);
        found = text;
    }
    assert_string_equal(found, state);
}

/* --- ready -------------------------------------------------------------------------------------------------- */

static void its_own_agent_joins(void **state)
{
    (void)state;
    rig *r = start("own", true);
    assert_string_equal(rig_state(r, "own-1"), "starting");
    assert_int_equal(rig_events(r, "instance-booted"), 1);
    rig_wait(r, 50);
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_node(r, NODE2, "own-2", BOOT, ""); /* another's */
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_node(r, OWN, "own-1", BOOT, NULL);
    assert_string_equal(rig_state(r, "own-1"), "running");
    deed_is(r, "start", "done");
    rig_wait(r, 100);
    assert_string_equal(rig_state(r, "own-1"), "running");
    assert_int_equal(rig_events(r, "instance-not-ready"), 0);
    rig_free(r);
}

static void it_does_not_join(void **state)
{
    (void)state;
    rig *r = start("own", true);
    size_t from = r->sent_count;
    rig_wait(r, 58);
    assert_string_equal(rig_state(r, "own-1"), "starting");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 0);
    rig_wait(r, 6);
    assert_string_equal(rig_state(r, "own-1"), "starting"); /* it runs still */
    assert_int_equal(rig_events(r, "instance-not-ready"), 1);
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, from), "io", "running");
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_wait(r, 12);
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, from), "ok", "stopped");
    assert_string_equal(rig_state(r, "own-1"), "failed");
    deed_is(r, "start", "failed");
    rig_frame(r, USER, VENV_MSG_SHOW, 7, "{\"what\": \"breaker\", \"name\": \"environment/own\"}");
    int16_t type;
    assert_int_equal(venv_value_get_int(venv_value_get(rig_answer(r, USER, 7, &type), "item"), "failures", 0), 1);
    rig_free(r);
}

/* Where there is another node it is tried there: after the first has said that nothing is left. */
static void it_is_tried_elsewhere(void **state)
{
    (void)state;
    rig *r = start("own", true);
    rig_node(r, NODE2, "node2", BOOT, "");
    size_t from = r->sent_count;
    rig_wait(r, 64);
    const rig_sent *removal = rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, from);
    assert_null(rig_find(r, NODE2, VENV_MSG_MACHINE_START, from));
    answer(r, NODE, removal, "ok", "stopped");
    const rig_sent *again = rig_find(r, NODE2, VENV_MSG_MACHINE_START, from);
    assert_non_null(again);
    answer(r, NODE2, again, "ok", "running");
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_node(r, OWN, "own-1", BOOT, "");
    assert_string_equal(rig_state(r, "own-1"), "running");
    rig_free(r);
}

static void its_guest_agent_answers(void **state)
{
    (void)state;
    rig *r = start("asked", true);
    size_t from = 0;
    for (int i = 0; i < 3; i++) {
        rig_wait(r, 3);
        const rig_sent *probe = rig_find(r, NODE, VENV_MSG_MACHINE_PROBE, from);
        from = r->sent_count;
        answer(r, NODE, probe, "timed-out", "running");
        assert_string_equal(rig_state(r, "asked-1"), "starting");
    }
    rig_wait(r, 3);
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_PROBE, from), "ok", "running");
    assert_string_equal(rig_state(r, "asked-1"), "running");
    from = r->sent_count;
    rig_wait(r, 10);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_PROBE, from), 0);
    rig_free(r);
}

static void it_cannot_be_asked(void **state)
{
    (void)state;
    rig *r = start("asked", true);
    rig_wait(r, 3);
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_PROBE, 0), "unsupported", "running");
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, 0), "ok", "stopped");
    assert_string_equal(rig_state(r, "asked-1"), "failed");
    rig_free(r);
}

/* The manager is killed: what is left of the time is left, and a guest that joins meanwhile is seen. */
static void the_wait_survives(void **state)
{
    (void)state;
    rig *r = start("own", true);
    rig_wait(r, 30);
    rig_crash(r);
    rig_node(r, AFTER, "node1", BOOT, list);
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_wait(r, 20);
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_wait(r, 15);
    assert_non_null(rig_find(r, AFTER, VENV_MSG_MACHINE_DESTROY, 0));
    rig_crash(r);
    rig_node(r, 14, "node1", BOOT, list); /* its removal goes on */
    rig_wait(r, 12);
    answer(r, 14, rig_find(r, 14, VENV_MSG_MACHINE_DESTROY, 0), "ok", "stopped");
    assert_string_equal(rig_state(r, "own-1"), "failed");
    rig_free(r);
    r = start("own", true);
    rig_crash(r);
    rig_node(r, OWN, "own-1", BOOT, "");
    rig_node(r, AFTER, "node1", BOOT, list);
    rig_wait(r, 3);
    assert_string_equal(rig_state(r, "own-1"), "running");
    rig_free(r);
}

static void it_ends_before_it_is_ready(void **state)
{
    static const char *const ends[] = { "stopped", "failed", NULL };
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        rig *r = start("own", true);
        if (ends[k])
            told(r, NODE, ends[k]);
        else
            rig_machines(r, NODE, "");
        assert_string_equal(rig_state(r, "own-1"), "failed");
        deed_is(r, "start", "failed");
        assert_non_null(rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, 0));
        rig_free(r);
    }
}

static void it_is_stopped_before_it_is_ready(void **state)
{
    (void)state;
    rig *r = start("own", true);
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"own-1\"}");
    assert_string_equal(rig_state(r, "own-1"), "stopping");
    answer(r, NODE, rig_find(r, NODE, VENV_MSG_MACHINE_STOP, 0), "ok", "stopped");
    assert_string_equal(rig_state(r, "own-1"), "stopped");
    rig_free(r);
}

/* Nothing follows from what cannot be seen; seen again, it has some time. */
static void it_is_lost_and_found(void **state)
{
    (void)state;
    rig *r = start("own", true);
    rig_down(r, NODE, "cut");
    rig_wait(r, 200);
    assert_string_equal(rig_state(r, "own-1"), "lost");
    rig_node(r, NODE, "node1", BOOT, list);
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_wait(r, 20);
    assert_string_equal(rig_state(r, "own-1"), "starting");
    rig_node(r, OWN, "own-1", BOOT, "");
    assert_string_equal(rig_state(r, "own-1"), "running");
    rig_free(r);
}

/* --- crash --------------------------------------------------------------------------------------------------- */

static const rig_sent *crash_and_wait(rig *r, double before, double after)
{
    size_t from = r->sent_count;
    told(r, NODE, "failed");
    assert_string_equal(rig_state(r, "again-1"), "starting");
    rig_wait(r, before);
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_START, from));
    assert_null(rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, from));
    rig_wait(r, after - before);
    const rig_sent *again = rig_find(r, NODE, VENV_MSG_MACHINE_START, from);
    assert_non_null(again);
    return again;
}

static void it_is_started_again(void **state)
{
    static const double waits[] = { 10, 20, 30 };
    (void)state;
    rig *r = start("again", true);
    assert_string_equal(rig_state(r, "again-1"), "running");
    for (int i = 0; i < 3; i++) {
        const rig_sent *again = crash_and_wait(r, waits[i] - 1, waits[i] + 11);
        assert_int_equal(venv_value_get_int(&again->body, "epoch", 0), i + 2);
        rig_wait(r, 2);
        answer(r, NODE, again, "ok", "running");
        told(r, NODE, "running");
        assert_string_equal(rig_state(r, "again-1"), "running");
        deed_is(r, "restart", "done");
        assert_int_equal(rig_events(r, "instance-crashed"), i + 1);
    }
    told(r, NODE, "failed");
    assert_string_equal(rig_state(r, "again-1"), "failed"); /* three times are enough */
    assert_int_equal(rig_events(r, "instance-conflict"), 0);
    assert_int_equal(rig_instances(r, true), 1);
    rig_free(r);
}

static void it_ran_well_in_between(void **state)
{
    (void)state;
    rig *r = start("again", true);
    for (int i = 0; i < 5; i++) {
        const rig_sent *again = crash_and_wait(r, 9, 21);
        answer(r, NODE, again, "ok", "running");
        told(r, NODE, "running");
        rig_wait(r, 301);
    }
    assert_string_equal(rig_state(r, "again-1"), "running");
    rig_free(r);
}

static void it_does_not_come_up_again(void **state)
{
    (void)state;
    rig *r = start("again", true);
    const rig_sent *again = crash_and_wait(r, 9, 21);
    size_t from = r->sent_count;
    answer(r, NODE, again, "io", "failed");
    assert_string_equal(rig_state(r, "again-1"), "starting");
    rig_wait(r, 31);
    again = rig_find(r, NODE, VENV_MSG_MACHINE_START, from);
    assert_non_null(again);
    answer(r, NODE, again, "ok", "running");
    assert_string_equal(rig_state(r, "again-1"), "running");
    rig_free(r);
}

/* It is over in order: that is no crash. Nor is what was asked for. */
static void it_ended_in_order(void **state)
{
    (void)state;
    rig *r = start("again", true);
    told(r, NODE, "stopped");
    assert_string_equal(rig_state(r, "again-1"), "stopped");
    rig_free(r);
    r = start("again", true);
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"again-1\"}");
    told(r, NODE, "failed");
    assert_string_equal(rig_state(r, "again-1"), "failed");
    rig_free(r);
    r = start("plain", true);
    told(r, NODE, "failed");
    assert_string_equal(rig_state(r, "plain-1"), "failed");
    assert_non_null(rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, 0));
    rig_free(r);
}

static void it_is_stopped_while_it_waits(void **state)
{
    (void)state;
    rig *r = start("again", true);
    told(r, NODE, "failed");
    size_t from = r->sent_count;
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"again-1\"}");
    assert_string_equal(rig_state(r, "again-1"), "stopped");
    assert_non_null(rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, from));
    rig_wait(r, 60);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 0);
    rig_free(r);
}

/* The manager is killed while it waits: it waits on, and starts it once. */
static void the_policy_survives(void **state)
{
    (void)state;
    rig *r = start("again", true);
    told(r, NODE, "failed");
    rig_crash(r);
    size_t from = r->sent_count;
    rig_node(r, AFTER, "node1", BOOT, list);
    rig_wait(r, 5);
    assert_string_equal(rig_state(r, "again-1"), "starting");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 0);
    rig_wait(r, 20);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 1);
    const rig_sent *again = rig_find(r, AFTER, VENV_MSG_MACHINE_START, from);
    assert_int_equal(venv_value_get_int(&again->body, "epoch", 0), 2);
    rig_machines(r, AFTER, list); /* still the old one */
    assert_int_equal(rig_events(r, "instance-conflict"), 0);
    answer(r, AFTER, again, "ok", "running");
    assert_string_equal(rig_state(r, "again-1"), "running");
    rig_free(r);
}

/* Out of sight while it waits: nothing, until it is seen. */
static void its_node_is_lost_while_it_waits(void **state)
{
    (void)state;
    rig *r = start("again", true);
    told(r, NODE, "failed");
    size_t from = r->sent_count;
    rig_down(r, NODE, "cut");
    rig_wait(r, 200);
    assert_string_equal(rig_state(r, "again-1"), "lost");
    rig_node(r, NODE, "node1", BOOT, list);
    assert_string_equal(rig_state(r, "again-1"), "starting");
    rig_wait(r, 21);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 1);
    rig_free(r);
}

static void it_stays(void **state)
{
    (void)state;
    rig *r = start("stays", true);
    size_t from = r->sent_count;
    told(r, NODE, "failed");
    assert_string_equal(rig_state(r, "stays-1"), "failed");
    rig_crash(r);
    rig_node(r, AFTER, "node1", BOOT, list);
    rig_user(r, 13u, "alice");
    rig_wait(r, 100);
    assert_null(rig_find(r, AFTER, VENV_MSG_MACHINE_DESTROY, from));
    rig_frame(r, 13u, VENV_MSG_STOP, 2, "{\"environment\": \"stays\"}"); /* not one that is over */
    assert_null(rig_find(r, AFTER, VENV_MSG_MACHINE_DESTROY, from));
    rig_frame(r, 13u, VENV_MSG_STOP, 3, "{\"instance\": \"stays-1\", \"force\": true}");
    answer(r, AFTER, rig_find(r, AFTER, VENV_MSG_MACHINE_DESTROY, from), "ok", "stopped");
    from = r->sent_count;
    rig_machines(r, AFTER, "");
    rig_wait(r, 60);
    assert_null(rig_find(r, AFTER, VENV_MSG_MACHINE_DESTROY, from));
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_agent_joins),
        cmocka_unit_test(it_does_not_join),
        cmocka_unit_test(it_is_tried_elsewhere),
        cmocka_unit_test(its_guest_agent_answers),
        cmocka_unit_test(it_cannot_be_asked),
        cmocka_unit_test(the_wait_survives),
        cmocka_unit_test(it_ends_before_it_is_ready),
        cmocka_unit_test(it_is_stopped_before_it_is_ready),
        cmocka_unit_test(it_is_lost_and_found),
        cmocka_unit_test(it_is_started_again),
        cmocka_unit_test(it_ran_well_in_between),
        cmocka_unit_test(it_does_not_come_up_again),
        cmocka_unit_test(it_ended_in_order),
        cmocka_unit_test(it_is_stopped_while_it_waits),
        cmocka_unit_test(the_policy_survives),
        cmocka_unit_test(its_node_is_lost_while_it_waits),
        cmocka_unit_test(it_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
