/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pause, resume, save, restore, destroy and migrate: as they should go, refused, lost on the way, with the manager killed in between. An
 * instance never counts as being on two nodes, and what nobody knows stops, destroys, moves and saves nothing.
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
static char machine[VENV_ID_TEXT_SIZE];

static const char *listed(const char *state, unsigned epoch)
{
    static char text[4][512];
    static unsigned turn;
    char *to = text[turn++ % 4];
    snprintf(to, sizeof text[0], "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": %u, \"state\": \"%s\"}", machine,
             epoch, state);
    return to;
}

static void node2(rig *r)
{
    rig_up(r, NODE2, VENV_ROLE_AGENT, "node2");
    rig_frame(r, NODE2, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"node2\", \"groups\": [\"default\"], \"boot\": \"" BOOT "\", "
              "\"machine\": \"00000000-0000-4000-8000-00000000000c\", \"properties\": [], \"samples\": []}");
    rig_machines(r, NODE2, "");
}

/* class2-1 runs on node1. */
static rig *running_with(const char *yaml)
{
    rig *r = rig_new(yaml);
    char id[VENV_ID_TEXT_SIZE];
    request = 100;
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, "");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    const rig_sent *start = rig_find(r, NODE1, VENV_MSG_MACHINE_START, 0);
    assert_non_null(start);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_frame(r, NODE1, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id, machine);
    rig_machines(r, NODE1, listed("running", 1));
    node2(r);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    return r;
}

static rig *running(void)
{
    return running_with(RIG_CONFIG);
}

static int16_t ask(rig *r, const char *verb, const char *more)
{
    int16_t type;
    rig_frame(r, USER, VENV_MSG_CHANGE, ++request, "{\"verb\": \"%s\", \"instance\": \"class2-1\"%s}", verb, more);
    (void)rig_answer(r, USER, request, &type);
    return type;
}

static void answer(rig *r, int16_t type, const char *rc, size_t from)
{
    char id[VENV_ID_TEXT_SIZE];
    const rig_sent *s = rig_find(r, NODE1, type, from);
    assert_non_null(s);
    rig_id(&s->body, "id", id);
    rig_frame(r, NODE1, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"so it is\", \"state\": \"x\"}",
              id, machine, rc);
}

static void node_is(rig *r, const char *node)
{
    int16_t type;
    rig_frame(r, USER, VENV_MSG_SHOW, ++request, "{\"what\": \"instance\", \"name\": \"class2-1\"}");
    const venv_value *item = venv_value_get(rig_answer(r, USER, request, &type), "item");
    assert_true(venv_value_is_text(venv_value_get(item, "node"), node));
}

static void there_and_back(void **state)
{
    (void)state;
    rig *r = running();
    assert_int_equal(ask(r, "resume", ""), VENV_MSG_FAILED); /* it is not paused */
    assert_int_equal(ask(r, "restore", ""), VENV_MSG_FAILED);
    assert_int_equal(ask(r, "pause", ", \"dry_run\": true"), VENV_MSG_RESULT);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_PAUSE, 0), 0);
    assert_int_equal(ask(r, "pause", ""), VENV_MSG_RESULT);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_int_equal(ask(r, "save", ""), VENV_MSG_FAILED); /* one at a time */
    answer(r, VENV_MSG_MACHINE_PAUSE, "ok", 0);
    assert_string_equal(rig_state(r, "class2-1"), "paused");
    assert_int_equal(ask(r, "resume", ""), VENV_MSG_RESULT);
    answer(r, VENV_MSG_MACHINE_RESUME, "ok", 0);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_int_equal(ask(r, "save", ""), VENV_MSG_RESULT);
    assert_string_equal(rig_state(r, "class2-1"), "saving");
    rig_machines(r, NODE1, listed("running", 1)); /* from before */
    assert_string_equal(rig_state(r, "class2-1"), "saving");
    answer(r, VENV_MSG_MACHINE_SAVE, "ok", 0);
    assert_string_equal(rig_state(r, "class2-1"), "saved");
    rig_machines(r, NODE1, listed("saved", 1));
    rig_crash(r);
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, listed("saved", 1));
    assert_string_equal(rig_state(r, "class2-1"), "saved");
    assert_int_equal(ask(r, "restore", ""), VENV_MSG_RESULT);
    assert_string_equal(rig_state(r, "class2-1"), "restoring");
    answer(r, VENV_MSG_MACHINE_RESTORE, "ok", 0);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    size_t sent = r->sent_count;
    assert_int_equal(ask(r, "destroy", ""), VENV_MSG_RESULT);
    assert_non_null(rig_find(r, NODE1, VENV_MSG_MACHINE_DESTROY, sent));
    rig_free(r);
}

static void refused_and_unknown(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "save", "");
    answer(r, VENV_MSG_MACHINE_SAVE, "no-space", 0);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_int_equal(rig_events(r, "action-failed"), 2); /* the save, and what asked for it */
    size_t sent = r->sent_count;
    ask(r, "save", "");
    answer(r, VENV_MSG_MACHINE_SAVE, "unknown", sent);
    assert_string_equal(rig_state(r, "class2-1"), "saving"); /* until the node has said what it is */
    assert_int_equal(rig_events(r, "action-unknown"), 2);
    assert_non_null(rig_find(r, NODE1, VENV_MSG_MACHINE_LIST, sent));
    rig_machines(r, NODE1, listed("saved", 1));
    assert_string_equal(rig_state(r, "class2-1"), "saved");
    answer(r, VENV_MSG_MACHINE_SAVE, "ok", sent); /* too late: told, and no more */
    assert_int_equal(rig_events(r, "action-late"), 1);
    assert_string_equal(rig_state(r, "class2-1"), "saved");
    rig_free(r);
}

/* The time of an action is final: what comes after it does not make it another. */
static void the_end_of_its_time(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "pause", "");
    size_t sent = r->sent_count;
    for (int i = 0; i < 130; i++) {
        rig_machines(r, NODE1, listed("running", 1));
        rig_frame(r, NODE2, VENV_MSG_PING, 0, "{}");
        rig_frame(r, USER, VENV_MSG_PING, 0, "{}");
        rig_wait(r, 1);
    }
    assert_int_equal(rig_events(r, "action-unknown"), 2);
    assert_non_null(rig_find(r, NODE1, VENV_MSG_MACHINE_LIST, sent));
    answer(r, VENV_MSG_MACHINE_PAUSE, "ok", 0);
    assert_int_equal(rig_events(r, "action-late"), 1);
    assert_int_equal(rig_events(r, "action-done"), 2); /* of the start */
    rig_free(r);
}

static void moved(void **state)
{
    (void)state;
    rig *r = running();
    assert_int_equal(ask(r, "migrate", ", \"node\": \"node1\""), VENV_MSG_RESULT); /* its child fails */
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_MIGRATE, 0), 0);
    assert_int_equal(ask(r, "migrate", ""), VENV_MSG_RESULT);
    assert_string_equal(rig_state(r, "class2-1"), "migrating");
    const rig_sent *s = rig_find(r, NODE1, VENV_MSG_MACHINE_MIGRATE, 0);
    assert_true(venv_value_is_text(venv_value_get(&s->body, "to"), "node2"));
    assert_int_equal(venv_value_get_int(&s->body, "to_epoch", 0), 2);
    rig_machines(r, NODE2, listed("running", 2)); /* ahead of the result */
    assert_string_equal(rig_state(r, "class2-1"), "migrating");
    answer(r, VENV_MSG_MACHINE_MIGRATE, "ok", 0);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    rig_machines(r, NODE1, "");
    rig_machines(r, NODE2, listed("running", 2));
    assert_string_equal(rig_state(r, "class2-1"), "running");
    node_is(r, "node2");
    assert_int_equal(rig_events(r, "instance-migrated"), 1);
    assert_int_equal(rig_events(r, "instance-conflict"), 0);
    rig_free(r);
}

static void migration_refused(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "migrate", "");
    answer(r, VENV_MSG_MACHINE_MIGRATE, "unsupported", 0);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    node_is(r, "node1");
    size_t sent = r->sent_count;
    ask(r, "migrate", "");
    assert_int_equal(venv_value_get_int(&rig_find(r, NODE1, VENV_MSG_MACHINE_MIGRATE, sent)->body, "to_epoch", 0), 3); /* never one twice */
    rig_free(r);
}


static void looked(rig *r, uint64_t node, const char *list, size_t from)
{
    const rig_sent *s = rig_find(r, node, VENV_MSG_MACHINE_LIST, from);
    assert_non_null(s);
    rig_frame(r, node, VENV_MSG_MACHINES, s->request, "{\"reachable\": true, \"node\": {\"cpus\": 8, \"memory\": 8589934592, \"kinds\": [\"test\"]}, "
              "\"machines\": [%s]}", list);
}

/* The node to which it has moved is at work, and tells what it saw before: that does not say that it is gone. */
static void old_lists_of_the_target(void **state)
{
    (void)state;
    for (int n = 0; n < 3; n++) {
        rig *r = running();
        size_t sent = r->sent_count;
        ask(r, "migrate", "");
        answer(r, VENV_MSG_MACHINE_MIGRATE, "ok", 0);
        node_is(r, "node2");
        rig_machines(r, NODE2, "");
        assert_string_equal(rig_state(r, "class2-1"), "running");
        if (n == 0)
            rig_machines(r, NODE2, listed("running", 2));
        else if (n == 1)
            looked(r, NODE2, "", sent);
        else
            rig_crash(r);
        if (n == 2) { /* also after a restart */
            rig_user(r, USER, "admin");
            rig_node(r, NODE1, "node1", BOOT, "");
            node2(r);
        }
        assert_string_equal(rig_state(r, "class2-1"), n == 1 ? "failed" : "running");
        if (n == 0) {
            rig_machines(r, NODE2, ""); /* it was seen there, and is gone */
            assert_string_equal(rig_state(r, "class2-1"), "failed");
        }
        rig_free(r);
    }
}

/* Its node rebooted with the order on its way: it runs there no more, and both nodes are asked at once, not after the time of the move. */
static void down_while_it_moves(void **state)
{
    (void)state;
    for (int moved = 0; moved < 2; moved++) {
        rig *r = running();
        assert_int_equal(ask(r, "migrate", ""), VENV_MSG_RESULT);
        rig_down(r, NODE1, "it reboots");
        size_t sent = r->sent_count;
        rig_node(r, 3, "node1", BOOT, listed("stopped", 1));
        assert_string_equal(rig_state(r, "class2-1"), "migrating");
        assert_int_equal(rig_events(r, "action-unknown"), 2);
        looked(r, 3, listed("stopped", 1), sent);
        looked(r, NODE2, moved ? listed("running", 2) : "", sent);
        assert_string_equal(rig_state(r, "class2-1"), moved ? "running" : "failed");
        node_is(r, moved ? "node2" : "node1");
        rig_free(r);
    }
}

/* Told again after its agent has begun anew: that one may refuse what the one before has done. Nobody calls that failed. */
static void refused_the_second_time(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "pause", "");
    rig_down(r, NODE1, "its agent is killed");
    size_t sent = r->sent_count;
    rig_node(r, 3, "node1", BOOT, listed("running", 1));
    const rig_sent *again = rig_find(r, 3, VENV_MSG_MACHINE_PAUSE, sent);
    assert_non_null(again);
    char id[VENV_ID_TEXT_SIZE];
    rig_id(&again->body, "id", id);
    rig_frame(r, 3, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"conflict\", \"error\": \"no\", \"state\": "
              "\"paused\"}", id, machine);
    assert_int_equal(rig_events(r, "action-failed"), 0);
    assert_int_equal(rig_events(r, "action-unknown"), 2);
    rig_machines(r, 3, listed("paused", 1));
    assert_string_equal(rig_state(r, "class2-1"), "paused");
    rig_free(r);
}

/* Its guest ends with the change on its way: it may have been done before. */
static void over_while_it_changes(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "pause", "");
    rig_machines(r, NODE1, listed("stopped", 1));
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    assert_int_equal(rig_events(r, "action-failed"), 0);
    assert_int_equal(rig_events(r, "action-unknown"), 2);
    rig_free(r);
}

/* What is saved holds nothing on its node: it comes back only if there is room. */
static void restore_needs_room(void **state)
{
    (void)state;
    static const char node[] = "{\"reachable\": true, \"node\": {\"cpus\": 8, \"memory\": 8589934592, \"kinds\": [\"test\"]}, "
                               "\"foreign\": {\"count\": 1, \"vcpus\": %d, \"memory\": %lld}, \"machines\": [%s]}";
    rig *r = running();
    ask(r, "save", "");
    answer(r, VENV_MSG_MACHINE_SAVE, "ok", 0);
    rig_frame(r, NODE1, VENV_MSG_MACHINES, 0, node, 16, 0LL, listed("saved", 1));
    assert_int_equal(ask(r, "restore", ""), VENV_MSG_RESULT);
    rig_frame(r, NODE1, VENV_MSG_MACHINES, 0, node, 0, 8589934592LL, listed("saved", 1));
    assert_int_equal(ask(r, "restore", ""), VENV_MSG_RESULT);
    assert_string_equal(rig_state(r, "class2-1"), "saved");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_RESTORE, 0), 0);
    assert_int_equal(rig_events(r, "action-failed"), 4); /* each, and what asked for it */
    rig_frame(r, NODE1, VENV_MSG_MACHINES, 0, node, 0, 0LL, listed("saved", 1));
    ask(r, "restore", "");
    assert_string_equal(rig_state(r, "class2-1"), "restoring");
    rig_free(r);
}

/* Nobody knows how it ended: both are asked, and the four answers. */
static void migration_in_doubt(void **state)
{
    (void)state;
    static const struct {
        bool source, target;
        const char *state, *node;
    } cases[] = { { true, false, "running", "node1" }, { false, true, "running", "node2" }, { false, false, "failed", "node1" },
                  { true, true, "migrating", "node1" } };
    for (size_t n = 0; n < 4; n++) {
        rig *r = running();
        ask(r, "migrate", "");
        size_t sent = r->sent_count;
        answer(r, VENV_MSG_MACHINE_MIGRATE, "unknown", 0);
        assert_string_equal(rig_state(r, "class2-1"), "migrating");
        rig_machines(r, NODE1, ""); /* a list that nobody asked for may be old: it says nothing */
        assert_string_equal(rig_state(r, "class2-1"), "migrating");
        looked(r, NODE1, cases[n].source ? listed("running", 1) : "", sent);
        assert_string_equal(rig_state(r, "class2-1"), "migrating"); /* one of both is not enough */
        looked(r, NODE2, cases[n].target ? listed("running", 2) : "", sent);
        assert_string_equal(rig_state(r, "class2-1"), cases[n].state);
        node_is(r, cases[n].node);
        assert_int_equal(rig_events(r, "instance-conflict"), n == 3);
        assert_int_equal(rig_count(r, VENV_MSG_MACHINE_STOP, 0) + rig_count(r, VENV_MSG_MACHINE_DESTROY, 0), 0);
        assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
        rig_free(r);
    }
}

/* It ran there, and has ended; what its first node still has is from before, and is never taken for the machine. */
static void ended_where_it_moved(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "migrate", "");
    size_t sent = r->sent_count;
    answer(r, VENV_MSG_MACHINE_MIGRATE, "unknown", 0);
    looked(r, NODE1, listed("paused", 1), sent);
    looked(r, NODE2, listed("stopped", 2), sent);
    assert_string_equal(rig_state(r, "class2-1"), "failed");
    node_is(r, "node2");
    assert_int_equal(rig_events(r, "instance-conflict"), 1); /* somebody is told of the copy */
    rig_free(r);
}

/* The manager is killed while it moves: the source is told again under the same id, or both are asked. */
static void migration_over_a_restart(void **state)
{
    (void)state;
    char before[VENV_ID_TEXT_SIZE], after[VENV_ID_TEXT_SIZE];
    rig *r = running();
    ask(r, "migrate", "");
    rig_id(&rig_find(r, NODE1, VENV_MSG_MACHINE_MIGRATE, 0)->body, "id", before);
    rig_crash(r);
    size_t sent = r->sent_count;
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, listed("migrating", 1));
    node2(r);
    assert_string_equal(rig_state(r, "class2-1"), "migrating");
    const rig_sent *again = rig_find(r, NODE1, VENV_MSG_MACHINE_MIGRATE, sent);
    assert_non_null(again);
    rig_id(&again->body, "id", after);
    assert_string_equal(before, after);
    answer(r, VENV_MSG_MACHINE_MIGRATE, "ok", sent);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    node_is(r, "node2");
    rig_free(r);

    r = running();
    ask(r, "migrate", "");
    rig_crash(r);
    sent = r->sent_count;
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, ""); /* it is gone from there */
    node2(r);
    rig_wait(r, 11);
    looked(r, NODE1, "", sent);
    looked(r, NODE2, listed("running", 2), sent);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    node_is(r, "node2");
    rig_free(r);
}

/* A migration has its own time, also after a restart: longer than what starts and stops have. */
static void its_time_outlives_a_restart(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "migrate", "");
    rig_crash(r);
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, listed("migrating", 1));
    node2(r);
    for (int i = 0; i < 200; i++) {
        rig_machines(r, NODE1, listed("migrating", 1));
        rig_frame(r, NODE2, VENV_MSG_PING, 0, "{}");
        rig_wait(r, 1);
    }
    assert_int_equal(rig_events(r, "action-unknown"), 0);
    assert_string_equal(rig_state(r, "class2-1"), "migrating");
    rig_free(r);
}

/* A stop that comes meanwhile is done where it is then. */
static void stop_while_it_moves(void **state)
{
    (void)state;
    rig *r = running();
    ask(r, "migrate", "");
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\"}");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_STOP, 0), 0);
    answer(r, VENV_MSG_MACHINE_MIGRATE, "ok", 0);
    assert_string_equal(rig_state(r, "class2-1"), "stopping");
    const rig_sent *s = rig_find(r, NODE2, VENV_MSG_MACHINE_STOP, 0);
    assert_non_null(s);
    assert_int_equal(venv_value_get_int(&s->body, "epoch", 0), 2);
    assert_null(rig_find(r, NODE1, VENV_MSG_MACHINE_STOP, 0));
    rig_free(r);
}

/* A trigger whose condition is unknown stops, destroys, moves and saves nothing. */
static void unknown_moves_nothing(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG "triggers:\n  t:\n    on: [update]\n    every: 1\n    when: 'queue(\"class2\").pending == 0'\n    do:\n"
                                "      - save: {environment: class2}\n      - destroy: {environment: class2}\n"
                                "      - migrate: {environment: class2}\n      - pause: {environment: class2}\n");
    rig_node(r, NODE1, "node1", BOOT, "{\"id\": \"00000000-0000-4000-8000-00000000aaaa\", \"instance\": \"class2-7\", \"environment\": \"class2\", "
             "\"epoch\": 1, \"state\": \"running\"}");
    rig_wait(r, 5);
    for (int16_t type = VENV_MSG_MACHINE_STOP; type <= VENV_MSG_MACHINE_MIGRATE; type++)
        assert_int_equal(rig_count(r, type, 0), 0);
    assert_int_equal(rig_events(r, "trigger-fired"), 0);
    rig_free(r);
}

/* The question for a fresh list has a number that no call waits for; it goes out also where frames have to wait for their turn. */
static void looked_at_in_its_turn(void **state)
{
    (void)state;
    rig *r = running_with("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  send_rate: 1\n  send_burst: 1\n"
                          "environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n");
    size_t from = r->sent_count;
    assert_int_equal(ask(r, "save", ""), VENV_MSG_RESULT);
    for (int i = 0; i < 50 && !rig_find(r, NODE1, VENV_MSG_MACHINE_SAVE, from); i++)
        rig_wait(r, 0.1);
    answer(r, VENV_MSG_MACHINE_SAVE, "unknown", from);
    assert_null(rig_find(r, NODE1, VENV_MSG_MACHINE_LIST, from));
    rig_wait(r, 2);
    assert_non_null(rig_find(r, NODE1, VENV_MSG_MACHINE_LIST, from));
    rig_machines(r, NODE1, listed("saved", 1));
    assert_string_equal(rig_state(r, "class2-1"), "saved");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),      cmocka_unit_test(refused_and_unknown), cmocka_unit_test(the_end_of_its_time),
        cmocka_unit_test(moved),               cmocka_unit_test(migration_refused),   cmocka_unit_test(migration_in_doubt),
        cmocka_unit_test(migration_over_a_restart), cmocka_unit_test(its_time_outlives_a_restart),
        cmocka_unit_test(down_while_it_moves), cmocka_unit_test(restore_needs_room),    cmocka_unit_test(ended_where_it_moved),    cmocka_unit_test(old_lists_of_the_target),
          cmocka_unit_test(over_while_it_changes),
        cmocka_unit_test(refused_the_second_time), cmocka_unit_test(looked_at_in_its_turn),
        cmocka_unit_test(stop_while_it_moves), cmocka_unit_test(unknown_moves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
