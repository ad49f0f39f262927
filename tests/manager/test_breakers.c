/* SPDX-License-Identifier: Apache-2.0 */
/* Starts that fail: another node is tried, never two at once; and circuit breakers of environments and nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"
#define NODES 3u /* node1, node2 … are peers 1, 2 … */

#define CONFIG                                                                                                         \
    "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  action_timeout: 20s\n"    \
    "  breaker: {failures: 3, window: 10m, retry: 30s, retry_max: 100s}\n"                                              \
    "environments:\n  class1: {hypervisor: test, vcpus: 1, memory: 128MiB}\n"                                           \
    "  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n"

/* Peers have a new number after a crash. */
static uint64_t person = 9;

static rig *begin(const char *yaml, unsigned nodes)
{
    rig *r = rig_new(yaml);
    char name[16];
    for (unsigned n = 1; n <= nodes; n++) {
        snprintf(name, sizeof name, "node%u", n);
        rig_node(r, n, name, BOOT, "");
    }
    rig_user(r, ++person, "alice");
    rig_wait(r, 1);
    return r;
}

static const char *ask(rig *r, int16_t type, const venv_value **ret_body, const char *json)
{
    return rig_ask(r, person, type, ret_body, json);
}

static void start(rig *r, const char *environment)
{
    char json[128];
    snprintf(json, sizeof json, "{\"environment\": \"%s\"}", environment);
    assert_string_equal(ask(r, VENV_MSG_START, NULL, json), "ok");
}

/* The state of a breaker as people see it; "" if there is none. */
static const char *breaker(rig *r, const char *name)
{
    static char state[32];
    char json[128];
    const venv_value *body = NULL;
    snprintf(json, sizeof json, "{\"what\": \"breaker\", \"name\": \"%s\"}", name);
    if (strcmp(ask(r, VENV_MSG_SHOW, &body, json), "ok") != 0)
        return "";
    venv_str text = venv_value_get_text(venv_value_get(body, "item"), "state");
    snprintf(state, sizeof state, "%.*s", (int)text.size, text.data);
    return state;
}

/* The node of an instance, 0 if it has none. */
static unsigned node_of(rig *r, const char *instance)
{
    char json[128];
    const venv_value *body = NULL;
    snprintf(json, sizeof json, "{\"what\": \"instance\", \"name\": \"%s\"}", instance);
    assert_string_equal(ask(r, VENV_MSG_SHOW, &body, json), "ok");
    venv_str node = venv_value_get_text(venv_value_get(body, "item"), "node");
    return node.size == 5 ? (unsigned)(node.data[4] - '0') : 0;
}

static void answer(rig *r, uint64_t peer, const rig_sent *asked, const char *rc)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    assert_non_null(asked);
    rig_id(&asked->body, "id", id);
    rig_id(&asked->body, "machine", machine);
    rig_frame(r, peer, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"it said no\", \"state\": \"failed\"}",
              id, machine, rc);
}

/* The node that has it says that it could not start it; and then, that nothing is left of it. */
static unsigned fail_on(rig *r, const char *instance, const char *rc)
{
    unsigned node = node_of(r, instance);
    size_t from = r->sent_count;
    answer(r, node, rig_find(r, node, VENV_MSG_MACHINE_START, 0), rc);
    const rig_sent *fence = rig_find(r, node, VENV_MSG_MACHINE_DESTROY, from);
    if (fence)
        answer(r, node, fence, "ok");
    return node;
}

static void a_failed_start_is_tried_elsewhere(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, NODES);
    start(r, "class2");
    unsigned first = node_of(r, "class2-1");
    size_t from = r->sent_count;
    answer(r, first, rig_find(r, first, VENV_MSG_MACHINE_START, 0), "io");
    /* Not before its node has said that nothing is left: what was told may still be under way there. */
    const rig_sent *fence = rig_find(r, first, VENV_MSG_MACHINE_DESTROY, from);
    assert_non_null(fence);
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 0);
    assert_int_equal(node_of(r, "class2-1"), first);
    /* A crash in between changes nothing: it is asked again, and only then goes on. */
    rig_crash(r);
    rig_user(r, ++person, "alice");
    char name[16];
    for (unsigned n = 1; n <= NODES; n++) {
        snprintf(name, sizeof name, "node%u", n);
        rig_node(r, n, name, BOOT, "");
    }
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 0);
    fence = rig_find(r, first, VENV_MSG_MACHINE_DESTROY, from);
    assert_non_null(fence);
    answer(r, first, fence, "ok");
    unsigned second = node_of(r, "class2-1");
    assert_true(second != 0 && second != first);
    const rig_sent *again = rig_find(r, second, VENV_MSG_MACHINE_START, from);
    assert_non_null(again);
    assert_int_equal(venv_value_get_int(&again->body, "epoch", 0), 2); /* a newer one */
    answer(r, second, again, "ok");
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_int_equal(rig_events(r, "instance-retried"), 1);
    assert_int_equal(rig_events(r, "breaker-open"), 0);
    rig_free(r);
}

static void no_more_than_the_bound_and_never_where_it_was_asked_for(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, NODES);
    unsigned seen = 0;
    start(r, "class2");
    for (int i = 0; i < 3; i++)
        seen |= 1u << fail_on(r, "class2-1", "io");
    assert_int_equal(seen, 0xe); /* each node once */
    assert_string_equal(rig_state(r, "class2-1"), "failed");
    assert_string_equal(ask(r, VENV_MSG_RESET, NULL, "{\"breaker\": \"class2\", \"why\": \"mended\"}"), "ok");
    assert_string_equal(ask(r, VENV_MSG_START, NULL, "{\"environment\": \"class2\", \"node\": \"node2\"}"), "ok");
    fail_on(r, "class2-2", "io");
    assert_string_equal(rig_state(r, "class2-2"), "failed");
    rig_free(r);
}

static void an_environment_that_fails_everywhere(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, NODES);
    const venv_value *body = NULL;
    start(r, "class2");
    for (int i = 0; i < 3; i++)
        fail_on(r, "class2-1", "io");
    assert_string_equal(breaker(r, "class2"), "open");
    assert_string_equal(breaker(r, "node/node1"), "");
    start(r, "class2");
    assert_string_equal(rig_state(r, "class2-2"), "pending");
    assert_string_equal(ask(r, VENV_MSG_START, &body, "{\"environment\": \"class2\", \"dry_run\": true}"), "ok");
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(venv_value_get(body, "placement"), 0), "rule"), "breaker"));
    start(r, "class1"); /* others are not concerned */
    assert_string_equal(rig_state(r, "class1-1"), "starting");
    answer(r, node_of(r, "class1-1"), rig_find(r, node_of(r, "class1-1"), VENV_MSG_MACHINE_START, 0), "ok");

    rig_crash(r); /* it is remembered */
    rig_user(r, ++person, "alice");
    char name[16];
    for (unsigned n = 1; n <= NODES; n++) {
        snprintf(name, sizeof name, "node%u", n);
        rig_node(r, 10 + n, name, BOOT, NULL);
        rig_machines(r, 10 + n, "");
    }
    assert_string_equal(breaker(r, "class2"), "open");
    start(r, "class2");
    size_t from = r->sent_count;
    rig_wait(r, 32); /* half-open: one of the two that wait is the trial */
    assert_string_equal(breaker(r, "class2"), "half-open");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 1);
    const rig_sent *trial = rig_find(r, 0, VENV_MSG_MACHINE_START, from);
    answer(r, trial->peer, trial, "io");
    assert_string_equal(breaker(r, "class2"), "open"); /* for twice as long */
    rig_wait(r, 40);
    assert_string_equal(breaker(r, "class2"), "open");
    from = r->sent_count;
    rig_wait(r, 30);
    trial = rig_find(r, 0, VENV_MSG_MACHINE_START, from);
    answer(r, trial->peer, trial, "ok");
    assert_string_equal(breaker(r, "class2"), "closed");
    start(r, "class2");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 2);
    rig_free(r);
}

static void a_node_that_fails_for_several(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, 1);
    start(r, "class2");
    start(r, "class1");
    start(r, "class2");
    answer(r, 1, rig_find(r, 1, VENV_MSG_MACHINE_START, 0), "io");
    for (size_t i = r->sent_count, left = 2; i-- > 0 && left > 0;)
        if (r->sent[i].type == VENV_MSG_MACHINE_START && !venv_value_is_text(venv_value_get(&r->sent[i].body, "instance"), "class2-2")) {
            answer(r, 1, &r->sent[i], "io");
            left--;
        }
    assert_string_equal(breaker(r, "node/node1"), "open");
    assert_string_equal(breaker(r, "environment/class1"), "closed");
    assert_string_equal(breaker(r, "environment/class2"), "closed");
    const venv_value *body = NULL;
    assert_string_equal(ask(r, VENV_MSG_SHOW, &body, "{\"what\": \"agent\", \"name\": \"node1\"}"), "ok");
    assert_true(venv_value_is_text(venv_value_get(venv_value_get(body, "item"), "breaker"), "open"));
    start(r, "class1");
    assert_string_equal(rig_state(r, "class1-2"), "pending");
    assert_string_equal(ask(r, VENV_MSG_RESET, &body, "{\"breaker\": \"node1\"}"), "ok");
    rig_wait(r, 2);
    assert_string_equal(rig_state(r, "class1-2"), "starting");
    assert_string_equal(ask(r, VENV_MSG_RESET, NULL, "{\"breaker\": \"node7\"}"), "not-found");
    rig_free(r);
}

static void a_hang_counts_and_no_room_does_not(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, 1);
    for (int i = 0; i < 4; i++) {
        char name[32];
        start(r, "class2");
        snprintf(name, sizeof name, "class2-%d", i + 1);
        fail_on(r, name, "no-space");
        assert_string_equal(rig_state(r, name), "failed");
    }
    assert_string_equal(breaker(r, "class2"), "");
    for (int i = 0; i < 3; i++)
        start(r, "class1");
    rig_wait(r, 15);
    assert_string_equal(breaker(r, "class1"), "");
    rig_wait(r, 8);
    assert_string_equal(breaker(r, "class1"), "open");
    assert_string_equal(rig_state(r, "class1-1"), "starting"); /* there is no other node: it may still come */
    rig_free(r);
}

/* It is not running in time: what may still become of it there is removed, and only then another node is tried. */
static void a_hang_is_tried_elsewhere(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, 2);
    start(r, "class1");
    unsigned first = node_of(r, "class1-1");
    rig_wait(r, 21);
    assert_int_equal(rig_events(r, "instance-retried"), 1);
    const rig_sent *fence = rig_find(r, first, VENV_MSG_MACHINE_DESTROY, 0);
    assert_non_null(fence);
    assert_int_equal(node_of(r, "class1-1"), first);
    size_t from = r->sent_count;
    const rig_sent *late = rig_find(r, first, VENV_MSG_MACHINE_START, 0);
    answer(r, first, late, "ok"); /* it did come up after all, and is being removed */
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, from), 0);
    answer(r, first, fence, "unknown"); /* its hypervisor hangs: it is asked again */
    rig_wait(r, 11);
    fence = rig_find(r, first, VENV_MSG_MACHINE_DESTROY, from);
    assert_non_null(fence);
    answer(r, first, fence, "ok");
    assert_int_equal(node_of(r, "class1-1"), 3 - first);
    const rig_sent *second = rig_find(r, 3 - first, VENV_MSG_MACHINE_START, from);
    answer(r, 3 - first, second, "ok");
    assert_string_equal(rig_state(r, "class1-1"), "running");
    rig_free(r);

    /* It runs when it is to be removed: that is what was wanted, and it is left alone. */
    r = begin(CONFIG, 2);
    start(r, "class1");
    first = node_of(r, "class1-1");
    rig_wait(r, 21);
    fence = rig_find(r, first, VENV_MSG_MACHINE_DESTROY, 0);
    assert_true(venv_value_get_bool(&fence->body, "unless_running", false));
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    rig_id(&fence->body, "id", id);
    rig_id(&fence->body, "machine", machine);
    rig_frame(r, first, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"conflict\", \"error\": \"it runs\", \"state\": \"running\"}", id, machine);
    assert_string_equal(rig_state(r, "class1-1"), "running");
    assert_int_equal(node_of(r, "class1-1"), first);
    rig_wait(r, 60);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
    rig_free(r);

    /* The node does not answer: the action ends, and what it says later does not start anything. */
    r = begin(CONFIG, 2);
    start(r, "class1");
    first = node_of(r, "class1-1");
    rig_wait(r, 45);
    const venv_value *body = NULL;
    assert_string_equal(ask(r, VENV_MSG_LIST, &body, "{\"what\": \"actions\"}"), "ok");
    bool over = true;
    for (size_t i = 0; i < venv_value_count(venv_value_get(body, "items")); i++) {
        const venv_value *state_of = venv_value_get(venv_value_at(venv_value_get(body, "items"), i), "state");
        over = over && !venv_value_is_text(state_of, "running") && !venv_value_is_text(state_of, "pending");
    }
    assert_true(over);
    answer(r, first, rig_find(r, first, VENV_MSG_MACHINE_DESTROY, 0), "ok");
    assert_string_equal(rig_state(r, "class1-1"), "failed");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
    rig_free(r);
}

/* A node that cannot be seen: what it does is not known, so nothing is started elsewhere. */
static void a_hang_that_cannot_be_seen_stays(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, 2);
    start(r, "class1");
    rig_down(r, node_of(r, "class1-1"), "cut");
    rig_wait(r, 30);
    assert_int_equal(rig_events(r, "instance-retried"), 0);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
    assert_string_equal(breaker(r, "class1"), "");
    rig_free(r);
}

static void again_after(rig *r, int64_t jump_s, unsigned nodes)
{
    static uint64_t peer = 100;
    char name[16];
    r->now.wall.ns += jump_s * VENV_NS_PER_S;
    r->now.mono.ns = 7 * VENV_NS_PER_S; /* the machine was booted again */
    rig_crash(r);
    for (unsigned n = 1; n <= nodes; n++) {
        snprintf(name, sizeof name, "node%u", n);
        rig_node(r, peer++, name, BOOT, "");
    }
    rig_user(r, ++person, "alice");
    rig_wait(r, 1);
}

/* What has failed before it is too much is counted on after a restart, whatever the clock was set to. */
static void failures_outlive_a_restart(void **state)
{
    static const int64_t jumps[] = { 0, -86400 * 365, 86400 * 365 };
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        rig *r = begin(CONFIG, 1);
        for (int n = 1; n <= 3; n++) {
            char name[32];
            snprintf(name, sizeof name, "class2-%d", n);
            start(r, "class2");
            const rig_sent *s = rig_find(r, 0, VENV_MSG_MACHINE_START, 0);
            answer(r, s->peer, s, "io");
            assert_string_equal(rig_state(r, name), "failed");
            assert_string_equal(breaker(r, "class2"), n < 3 ? "closed" : "open");
            if (n < 3)
                again_after(r, jumps[k], 1);
        }
        again_after(r, jumps[k], 1); /* open, for half a minute of running and no shorter, no longer */
        rig_wait(r, 15);
        assert_string_equal(breaker(r, "class2"), "open");
        rig_wait(r, 15);
        assert_string_equal(breaker(r, "class2"), "half-open");
        rig_free(r);
    }
    /* And they are forgotten when the window is over, rows and all. */
    rig *r = begin(CONFIG, 1);
    start(r, "class2");
    fail_on(r, "class2-1", "io");
    again_after(r, 0, 1);
    rig_wait(r, 601);
    start(r, "class2");
    const rig_sent *s = rig_find(r, 0, VENV_MSG_MACHINE_START, 0);
    answer(r, s->peer, s, "io");
    again_after(r, 0, 1);
    start(r, "class2");
    s = rig_find(r, 0, VENV_MSG_MACHINE_START, 0);
    answer(r, s->peer, s, "io");
    assert_string_equal(breaker(r, "class2"), "closed");
    size_t attempts = 0;
    for (size_t i = 0; i < r->row_count; i++)
        attempts += r->rows[i].collection == VENV_ROWS_BREAKERS && memcmp(venv_value_peek_text(&r->rows[i].key).data, "attempt/", 8) == 0;
    assert_int_equal(attempts, 2);
    rig_free(r);
}

#define WATCHING                                                                                                                 \
    CONFIG "triggers:\n  alarm:\n    when: 'breaker(\"class2\").state == \"open\"'\n    on: [update]\n    do: [{log: {text: broken}}]\n" \
           "  sick:\n    when: 'agents.exists(a, a.breaker == \"open\")'\n    on: [update]\n    do: [{log: {text: sick}}]\n"

static void triggers_see_breakers(void **state)
{
    (void)state;
    rig *r = begin(WATCHING, NODES);
    start(r, "class2");
    assert_int_equal(rig_events(r, "log"), 0);
    for (int i = 0; i < 3; i++)
        fail_on(r, "class2-1", "io");
    rig_wait(r, 1);
    assert_int_equal(rig_events(r, "log"), 1);
    rig_free(r);
}

/* The node was away while it removed what was left: it is asked again, and does not stay lost. */
static void a_lost_fence_is_sent_again(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, 1);
    char machine[VENV_ID_TEXT_SIZE], text[256];
    start(r, "class2");
    const rig_sent *told = rig_find(r, 1, VENV_MSG_MACHINE_START, 0);
    rig_id(&told->body, "machine", machine);
    rig_node(r, 2, "node2", BOOT, "");
    answer(r, 1, told, "io");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_DESTROY, 0), 1);
    rig_down(r, 1, "it reboots");
    for (int i = 0; i < 50; i++)
        rig_wait(r, 1);
    assert_string_equal(rig_state(r, "class2-1"), "lost");
    size_t from = r->sent_count;
    snprintf(text, sizeof text, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, \"state\": \"failed\"}", machine);
    rig_node(r, 3, "node1", BOOT, text);
    assert_non_null(rig_find(r, 3, VENV_MSG_MACHINE_DESTROY, from));
    rig_free(r);
}

/* What a node listed before it was told to start says nothing about what it was told then to stop. */
static void an_old_list_stops_nothing(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, 1);
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    start(r, "class2");
    const rig_sent *told = rig_find(r, 1, VENV_MSG_MACHINE_START, 0);
    rig_id(&told->body, "id", id);
    rig_id(&told->body, "machine", machine);
    assert_string_equal(ask(r, VENV_MSG_STOP, NULL, "{\"environment\": \"class2\"}"), "ok");
    rig_frame(r, 1, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"conflict\", \"error\": \"it is being "
              "started\", \"state\": \"starting\"}", id, machine);
    assert_string_equal(rig_state(r, "class2-1"), "stopping");
    rig_machines(r, 1, ""); /* from before */
    assert_string_equal(rig_state(r, "class2-1"), "stopping");
    answer(r, 1, rig_find(r, 1, VENV_MSG_MACHINE_STOP, 0), "ok");
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    rig_free(r);
}

/* A stop that is refused leaves running what ran; what nobody saw running is not called so. */
static void a_refused_stop_starts_nothing(void **state)
{
    (void)state;
    rig *r = begin(CONFIG, 1);
    start(r, "class2");
    assert_string_equal(ask(r, VENV_MSG_STOP, NULL, "{\"environment\": \"class2\"}"), "ok");
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    const rig_sent *told = rig_find(r, 1, VENV_MSG_MACHINE_START, 0);
    rig_id(&told->body, "id", id);
    rig_id(&told->body, "machine", machine);
    rig_frame(r, 1, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"conflict\", \"error\": \"it is being "
              "started\", \"state\": \"starting\"}", id, machine);
    const rig_sent *stop = rig_find(r, 1, VENV_MSG_MACHINE_STOP, 0);
    assert_string_equal(rig_state(r, "class2-1"), "stopping");
    answer(r, 1, stop, "conflict");
    assert_string_equal(rig_state(r, "class2-1"), "lost");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_start_is_tried_elsewhere), cmocka_unit_test(a_lost_fence_is_sent_again),
        cmocka_unit_test(a_refused_stop_starts_nothing), cmocka_unit_test(an_old_list_stops_nothing),
        cmocka_unit_test(no_more_than_the_bound_and_never_where_it_was_asked_for),
        cmocka_unit_test(an_environment_that_fails_everywhere),
        cmocka_unit_test(a_node_that_fails_for_several),
        cmocka_unit_test(a_hang_counts_and_no_room_does_not),
        cmocka_unit_test(a_hang_is_tried_elsewhere),
        cmocka_unit_test(a_hang_that_cannot_be_seen_stays),
        cmocka_unit_test(failures_outlive_a_restart),
        cmocka_unit_test(triggers_see_breakers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
