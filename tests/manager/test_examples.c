/* SPDX-License-Identifier: Apache-2.0 */
/* The files in examples/triggers, each in a manager with scripted agents: what they promise happens, and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT    "00000000-0000-4000-8000-0000000000b1"
#define EVENING INT64_C(1700069340) /* 2023-11-15 18:29:00 in Rome */

static rig *rig_of(const char *example)
{
    static char text[16384];
    size_t size = (size_t)snprintf(text, sizeof text, "%s", RIG_CONFIG);
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", VENV_EXAMPLES, example);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size += fread(text + size, 1, sizeof text - size - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    return rig_new(text);
}

static void join(rig *r, uint64_t peer, const char *name, const char *group)
{
    rig_up(r, peer, VENV_ROLE_AGENT, name);
    rig_frame(r, peer, VENV_MSG_HELLO, 0,
              "{\"versions\": [1], \"name\": \"%s\", \"groups\": [\"%s\"], \"boot\": \"" BOOT "\", "
              "\"machine\": \"00000000-0000-4000-8000-0000000000%02u\", \"properties\": [{\"slot\": 0, \"label\": \"cpus\", "
              "\"type\": \"int\", \"every\": 60, \"source\": \"builtin:cpus\", \"quality\": \"ok\"}], \"samples\": [[0, 4, 0, null]]}",
              name, group, (unsigned)peer);
}

static void join_all(rig *r)
{
    join(r, 11, "desk1", "workstation");
    join(r, 12, "desk2", "workstation");
    join(r, 13, "server", "servers");
}

/* A property that only some agents have: the trigger fits a mixed pool, it fails for nobody. */
static void a_property_that_some_have(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG "triggers:\n"
                                "  many:\n    on: [update]\n    when: 'agent.p.cpus > 3'\n    do: [{log: {text: 'many'}}]\n"
                                "  hot:\n    on: [update]\n    when: 'agent.p.cputemp > 80.0'\n    do: [{log: {text: 'hot'}}]\n"
                                "  cool:\n    on: [update]\n    when: '!has(agent.p.cputemp)'\n    do: [{log: {text: 'cool'}}]\n");
    join_all(r);
    rig_wait(r, 3);
    assert_int_equal(rig_events(r, "trigger-failed"), 0);
    assert_int_equal(rig_events(r, "trigger-fired"), 6); /* many and cool, for each of three */
    rig_free(r);
}

/* 18:30: shut down every agent of class workstation. */
static void evening(void **state)
{
    (void)state;
    rig *r = rig_of("evening.yaml");
    r->now.wall.ns = EVENING * VENV_NS_PER_S;
    join_all(r);
    rig_wait(r, 59);
    assert_int_equal(rig_count(r, VENV_MSG_CONTROL, 0), 0);
    rig_wait(r, 1.1);
    assert_int_equal(rig_count(r, VENV_MSG_CONTROL, 0), 2);
    for (uint64_t peer = 11; peer <= 12; peer++) {
        const rig_sent *s = rig_find(r, peer, VENV_MSG_CONTROL, 0);
        assert_non_null(s);
        assert_true(venv_value_is_text(venv_value_get(&s->body, "verb"), "stop"));
        rig_frame(r, peer, VENV_MSG_CTRLSTOP, s->request, "{\"verb\": \"stop\"}");
    }
    assert_int_equal(rig_events(r, "trigger-fired"), 1);
    assert_int_equal(rig_events(r, "action-done"), 1);
    rig_down(r, 11, "it ended");
    rig_down(r, 12, "it ended");
    /* Agents are started again in the same minute, and the manager too: it does not come twice. */
    rig_crash(r);
    join_all(r);
    rig_wait(r, 300);
    assert_int_equal(rig_count(r, VENV_MSG_CONTROL, 0), 2);
    assert_int_equal(rig_events(r, "trigger-fired"), 1);
    /* The manager was away for the next evening, and comes back in the morning: `late`. */
    r->now.wall.ns = (EVENING + 86400 + 14 * 3600) * VENV_NS_PER_S;
    rig_crash(r);
    join_all(r);
    rig_wait(r, 30);
    assert_int_equal(rig_count(r, VENV_MSG_CONTROL, 0), 2);
    assert_int_equal(rig_events(r, "trigger-failed"), 1);
    rig_free(r);
}

/* A person sees when it is due next. */
static void the_next_time_is_shown(void **state)
{
    (void)state;
    rig *r = rig_of("evening.yaml");
    int16_t type;
    venv_wall next = { 0 };
    r->now.wall.ns = EVENING * VENV_NS_PER_S;
    rig_user(r, 1, "ada");
    rig_wait(r, 1);
    rig_frame(r, 1, VENV_MSG_SHOW, 5, "{\"what\": \"trigger\", \"name\": \"evening\"}");
    const venv_value *body = rig_answer(r, 1, 5, &type);
    assert_int_equal(type, VENV_MSG_RESULT);
    assert_true(venv_value_to_wall(venv_value_get(venv_value_get(body, "item"), "next"), &next));
    assert_int_equal(next.ns, (EVENING + 60) * VENV_NS_PER_S);
    rig_frame(r, 1, VENV_MSG_LIST, 6, "{\"what\": \"triggers\"}");
    body = rig_answer(r, 1, 6, &type);
    const venv_value *row = venv_value_at(venv_value_get(body, "items"), 0);
    assert_true(venv_value_is_text(venv_value_get(row, "at"), "30 18 * * *"));
    assert_non_null(venv_value_get(row, "next"));
    rig_free(r);
}

/* Five minutes since the last update: ask all agents for their properties. */
static void refresh(void **state)
{
    (void)state;
    rig *r = rig_of("refresh.yaml");
    join_all(r);
    rig_wait(r, 200);
    rig_frame(r, 13, VENV_MSG_PUSH, 0, "{\"samples\": [[0, 4, 0, null]]}"); /* an update, though nothing is new */
    rig_wait(r, 290);
    assert_int_equal(rig_count(r, VENV_MSG_GETPROP, 0), 0);
    rig_wait(r, 20);
    assert_int_equal(rig_count(r, VENV_MSG_GETPROP, 0), 3);
    for (uint64_t peer = 11; peer <= 13; peer++)
        assert_non_null(rig_find(r, peer, VENV_MSG_GETPROP, 0));
    /* It goes on asking as long as nobody answers, and not more often than every five minutes. */
    rig_wait(r, 280);
    assert_int_equal(rig_count(r, VENV_MSG_GETPROP, 0), 3);
    rig_wait(r, 30);
    assert_int_equal(rig_count(r, VENV_MSG_GETPROP, 0), 6);
    rig_frame(r, 11, VENV_MSG_PUSH, 0, "{\"samples\": [[0, 4, 0, null]]}");
    rig_wait(r, 10);
    assert_int_equal(rig_events(r, "trigger-recovered"), 1);
    rig_free(r);
}

static void memory_of(rig *r, uint64_t peer, int kib)
{
    rig_frame(r, peer, VENV_MSG_PUSH, 0, "{\"samples\": [[0, %d, 0, null]]}", kib);
}

/* Jobs of class 2 wait, and a node has 1 GiB free: start an environment of class 2 there. */
static void grow(void **state)
{
    (void)state;
    rig *r = rig_of("grow-class2.yaml");
    rig_head(r, 1, "[0, {\"class2\": {\"pending\": 0, \"running\": 0}}, 0, null]");
    rig_node(r, 2, "n1", BOOT, "");
    rig_node(r, 3, "n2", "00000000-0000-4000-8000-0000000000b2", "");
    memory_of(r, 3, 4 << 20);
    rig_wait(r, 2);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 0); /* nothing waits */
    rig_queue(r, 1, 1, 0);
    memory_of(r, 2, 1048575);
    rig_wait(r, 2);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 0); /* no memory there */
    memory_of(r, 3, 1 << 20);
    rig_wait(r, 2);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 1);
    assert_non_null(rig_find(r, 3, VENV_MSG_MACHINE_START, 0));
    memory_of(r, 2, 2 << 20); /* one job, one environment: the other node is not asked for a second one */
    rig_wait(r, 5);
    assert_int_equal(rig_instances(r, false), 1);
    rig_free(r);
}

static const venv_value *only_proposal(rig *r)
{
    int16_t type;
    rig_frame(r, 90, VENV_MSG_LIST, 900, "{\"what\": \"proposals\"}");
    const venv_value *items = venv_value_get(rig_answer(r, 90, 900, &type), "items");
    return venv_value_count(items) == 1 ? venv_value_at(items, 0) : NULL;
}

/* It asks first: nothing is started before somebody applies it. */
static void many_jobs_are_a_proposal(void **state)
{
    (void)state;
    rig *r = rig_of("propose.yaml");
    char id[VENV_ID_TEXT_SIZE];
    int16_t type;
    rig_head(r, 1, "[0, {\"class2\": {\"pending\": 80, \"running\": 0}}, 0, null]");
    rig_node(r, 2, "node1", BOOT, "");
    rig_user(r, 90, "alice");
    rig_wait(r, 30);
    assert_null(only_proposal(r));
    rig_wait(r, 40);
    assert_non_null(only_proposal(r));
    assert_true(venv_value_is_text(venv_value_get(only_proposal(r), "summary"), "start class2 (8)"));
    assert_int_equal(rig_instances(r, true), 0);
    rig_id(only_proposal(r), "id", id);
    rig_frame(r, 90, VENV_MSG_PROPOSAL, 901, "{\"proposal\": \"%s\", \"verb\": \"apply\"}", id);
    (void)rig_answer(r, 90, 901, &type);
    assert_int_equal(type, VENV_MSG_RESULT);
    assert_int_equal(rig_instances(r, true), 8);
    rig_free(r);
}

/* Both triggers tell once that something is broken, and the first one that it is mended. */
static void an_open_breaker_is_told(void **state)
{
    (void)state;
    rig *r = rig_of("breaker.yaml");
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    int16_t type;
    rig_node(r, 2, "node1", BOOT, "");
    rig_user(r, 90, "alice");
    rig_wait(r, 2);
    for (unsigned i = 0; i < 3; i++) {
        rig_frame(r, 90, VENV_MSG_START, 900 + i, "{\"environment\": \"class2\"}");
        const rig_sent *start = rig_find(r, 2, VENV_MSG_MACHINE_START, 0);
        rig_id(&start->body, "id", id);
        rig_id(&start->body, "machine", machine);
        rig_frame(r, 2, VENV_MSG_MACHINE_RESULT, 0,
                  "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"io\", \"error\": \"no such kernel\", \"state\": \"failed\"}", id, machine);
    }
    rig_wait(r, 2);
    assert_int_equal(rig_events(r, "log"), 1);
    rig_frame(r, 90, VENV_MSG_RESET, 910, "{\"breaker\": \"class2\"}");
    (void)rig_answer(r, 90, 910, &type);
    assert_int_equal(type, VENV_MSG_RESULT);
    rig_wait(r, 2);
    assert_int_equal(rig_events(r, "log"), 2);
    assert_int_equal(rig_events(r, "trigger-failed"), 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_property_that_some_have), cmocka_unit_test(evening),
        cmocka_unit_test(the_next_time_is_shown),
        cmocka_unit_test(refresh),
        cmocka_unit_test(grow),
        cmocka_unit_test(many_jobs_are_a_proposal),
        cmocka_unit_test(an_open_breaker_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
