/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `scale`: as many as are desired, each step with its clock; what is saved comes back first, what drains comes back before it has gone,
 * what has work or cannot be seen stays. And draining by a person: command, idle, stop, abandoned.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT  "00000000-0000-4000-8000-0000000000b1"
#define NODE1 1u
#define HEAD  3u
#define USER  9u

#define MANAGER "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  action_timeout: 10s\n"
#define QUEUE   "{\"class2\": {\"pending\": %d, \"running\": 0}}"
#define SCALE(more) MANAGER "environments:\n  class2:\n    hypervisor: test\n    memory: 128MiB\n    scale: {desired: 'queue(\"class2\").pending / 2.0', max: 4, down: 5s" more "}\n"

static uint64_t request;
static size_t heard; /* frames that the node has answered */

static void queue(rig *r, int pending)
{
    rig_frame(r, HEAD, VENV_MSG_PUSH, 0, "{\"samples\": [[0, " QUEUE ", 0, null]]}", pending);
}

static rig *with_node(const char *yaml, int pending)
{
    char sample[128];
    rig *r = rig_new(yaml);
    request = 100;
    heard = 0;
    snprintf(sample, sizeof sample, "[0, " QUEUE ", 0, null]", pending);
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, "");
    rig_head(r, HEAD, sample);
    return r;
}

/* The node does what it was told, and the head runs what it is told to, with this status. */
static void obey(rig *r, const char *rc, int status)
{
    for (; heard < r->sent_count; heard++) {
        char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
        const rig_sent s = r->sent[heard];
        if (s.type == VENV_MSG_EXECUTE) {
            rig_frame(r, s.peer, VENV_MSG_EXECRET, s.request, "{\"rc\": \"ok\", \"command\": \"out\", \"status\": %d}", status);
            continue;
        }
        const char *state = s.type == VENV_MSG_MACHINE_START || s.type == VENV_MSG_MACHINE_RESTORE ? "running"
                            : s.type == VENV_MSG_MACHINE_STOP ? "stopped" : s.type == VENV_MSG_MACHINE_SAVE ? "saved" : NULL;
        if (s.peer != NODE1 || !state)
            continue;
        rig_id(&s.body, "id", id);
        rig_id(&s.body, "machine", machine);
        rig_frame(r, NODE1, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"so it is\", \"state\": \"%s\"}", id,
                  machine, rc, state);
    }
}

static void wait_for(rig *r, int seconds)
{
    for (int n = 0; n < seconds; n++) {
        rig_wait(r, 1);
        obey(r, "ok", 0);
    }
}

static size_t in_state(rig *r, const char *state)
{
    int16_t type;
    size_t count = 0;
    rig_frame(r, USER, VENV_MSG_LIST, ++request, "{\"what\": \"instances\"}");
    const venv_value *items = venv_value_get(rig_answer(r, USER, request, &type), "items");
    for (size_t i = 0; i < venv_value_count(items); i++)
        count += venv_value_is_text(venv_value_get(venv_value_at(items, i), "state"), state);
    return count;
}

static bool says(rig *r, const char *what, const char *name, const char *text)
{
    char all[16384];
    int16_t type;
    rig_frame(r, USER, VENV_MSG_SHOW, ++request, "{\"what\": \"%s\", \"name\": \"%s\"}", what, name);
    venv_value_print(rig_answer(r, USER, request, &type), all, sizeof all);
    if (!strstr(all, text))
        print_message("not in %s\n", all);
    return strstr(all, text) != NULL;
}

static void as_many_as_are_desired(void **state)
{
    (void)state;
    rig *r = with_node(SCALE(""), 5);
    wait_for(r, 2);
    assert_int_equal(in_state(r, "running"), 3); /* 2.5, rounded up */
    assert_true(says(r, "environment", "class2", "3 wanted (desired is 2.5, min 0, max 4), 3 there"));
    assert_true(says(r, "environment", "class2", "3 wanted (desired is 2.5, min 0, max 4), 0 there: 3 more"));
    queue(r, 100);
    wait_for(r, 2);
    assert_int_equal(in_state(r, "running"), 4);
    queue(r, 2);
    wait_for(r, 4);
    assert_int_equal(in_state(r, "running"), 4); /* `down` is not over */
    wait_for(r, 4);
    assert_int_equal(in_state(r, "running"), 1);
    assert_string_equal(rig_state(r, "class2-1"), "running"); /* the youngest went */
    assert_true(says(r, "instance", "class2-1", "scale/class2"));
    int16_t type;
    rig_frame(r, USER, VENV_MSG_WHY, ++request, "{\"what\": \"environment\", \"name\": \"class2\"}");
    const venv_value *why = rig_answer(r, USER, request, &type);
    assert_int_equal(type, VENV_MSG_RESULT);
    assert_true(venv_value_is_text(venv_value_get(why, "answer"), "environment class2: 1 wanted (desired is 1, min 0, max 4), 1 there"));
    assert_int_equal(venv_value_count(venv_value_get(why, "steps")), 2);
    assert_int_equal(rig_events(r, "scale-up"), 2);
    assert_int_equal(rig_events(r, "scale-down"), 1);
    wait_for(r, 30);
    assert_int_equal(rig_events(r, "scale-up") + rig_events(r, "scale-down"), 3);
    rig_free(r);
}

static void clocks_and_steps(void **state)
{
    (void)state;
    rig *r = with_node(SCALE(", up: 10s, step_up: 1, step_down: 1, min: 1"), 8);
    wait_for(r, 9);
    assert_int_equal(in_state(r, "running"), 0);
    wait_for(r, 3);
    assert_int_equal(in_state(r, "running"), 1);
    wait_for(r, 10);
    assert_int_equal(in_state(r, "running"), 2);
    queue(r, 0);
    wait_for(r, 7);
    assert_int_equal(in_state(r, "running"), 1);
    queue(r, 100); /* a moment is not enough */
    wait_for(r, 5);
    queue(r, 0);
    wait_for(r, 30);
    assert_int_equal(in_state(r, "running"), 1); /* min */
    rig_free(r);
}

static void unknown_changes_nothing(void **state)
{
    (void)state;
    rig *r = with_node(SCALE(", min: 1"), 6);
    wait_for(r, 2);
    assert_int_equal(in_state(r, "running"), 3);
    rig_down(r, HEAD, "cut off");
    wait_for(r, 120);
    assert_int_equal(in_state(r, "running"), 3);
    assert_true(says(r, "environment", "class2", "desired is unknown"));
    rig_down(r, NODE1, "cut off");
    rig_head(r, HEAD + 1, "[0, {\"class2\": {\"pending\": 0, \"running\": 0}}, 0, null]");
    wait_for(r, 120);
    assert_int_equal(in_state(r, "lost"), 3); /* what cannot be seen is there, and does not go */
    assert_int_equal(rig_events(r, "scale-down"), 0);
    assert_true(says(r, "environment", "class2", "none of them is idle, as far as anybody can tell"));
    rig_free(r);
}

static void saved_ones_come_back_first(void **state)
{
    (void)state;
    rig *r = with_node(SCALE(", by: save"), 4);
    wait_for(r, 2);
    assert_int_equal(in_state(r, "running"), 2);
    queue(r, 0);
    wait_for(r, 8);
    assert_int_equal(in_state(r, "saved"), 2);
    rig_crash(r); /* which are whose stands on disk */
    rig_user(r, USER, "admin");
    char machines[1024], ids[2][VENV_ID_TEXT_SIZE];
    int16_t type;
    rig_frame(r, USER, VENV_MSG_LIST, ++request, "{\"what\": \"instances\"}");
    const venv_value *items = venv_value_get(rig_answer(r, USER, request, &type), "items");
    for (size_t i = 0; i < 2; i++)
        rig_id(venv_value_at(items, i), "id", ids[i]);
    snprintf(machines, sizeof machines,
             "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, \"state\": \"saved\"},"
             "{\"id\": \"%s\", \"instance\": \"class2-2\", \"environment\": \"class2\", \"epoch\": 1, \"state\": \"saved\"}", ids[0], ids[1]);
    rig_node(r, NODE1, "node1", BOOT, machines);
    rig_head(r, HEAD, "[0, {\"class2\": {\"pending\": 6, \"running\": 0}}, 0, null]");
    wait_for(r, 2);
    assert_int_equal(in_state(r, "running"), 3); /* two were restored, one was started */
    assert_int_equal(in_state(r, "saved"), 0);
    assert_true(says(r, "instance", "class2-3", "running"));
    rig_free(r);
}

#define DRAINED SCALE(", idle: 'queue(\"class2\").running == 0', drain: ['@batch', out], undrain: ['@batch', in]")

static void busy(rig *r, int pending, int running)
{
    rig_queue(r, HEAD, pending, running);
}

static void drained_until_idle(void **state)
{
    (void)state;
    rig *r = with_node(DRAINED, 4);
    wait_for(r, 2);
    assert_int_equal(in_state(r, "running"), 2);
    busy(r, 0, 1);
    wait_for(r, 8);
    assert_int_equal(in_state(r, "draining"), 0); /* none is idle: none goes */
    busy(r, 0, 0);
    rig_wait(r, 1); /* the command has no answer yet */
    assert_int_equal(in_state(r, "draining"), 2);
    const rig_sent *s = rig_find(r, HEAD, VENV_MSG_EXECUTE, 0);
    assert_non_null(s);
    assert_true(venv_value_is_text(venv_value_get(&s->body, "command"), "out"));
    busy(r, 0, 1); /* work came meanwhile */
    obey(r, "ok", 0);
    wait_for(r, 20);
    assert_int_equal(in_state(r, "draining"), 2);
    assert_true(says(r, "instance", "class2-1", "it takes no more work, and has some left"));
    size_t from = r->sent_count;
    busy(r, 2, 1); /* one is wanted again: the oldest comes back, and into work */
    wait_for(r, 2);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_string_equal(rig_state(r, "class2-2"), "draining");
    s = rig_find(r, HEAD, VENV_MSG_EXECUTE, from);
    assert_non_null(s);
    assert_true(venv_value_is_text(venv_value_get(&s->body, "command"), "in"));
    busy(r, 2, 0);
    wait_for(r, 3);
    assert_string_equal(rig_state(r, "class2-2"), "stopped");
    assert_string_equal(rig_state(r, "class2-1"), "running");
    rig_free(r);
}

static void a_command_that_fails_stops_nothing(void **state)
{
    (void)state;
    rig *r = with_node(DRAINED, 2);
    wait_for(r, 2);
    busy(r, 0, 0);
    for (int n = 0; n < 40; n++) {
        rig_wait(r, 1);
        obey(r, "ok", 1);
    }
    assert_string_equal(rig_state(r, "class2-1"), "draining");
    assert_true(says(r, "instance", "class2-1", "the command that takes it out of work did not work"));
    wait_for(r, 40); /* and now it works */
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    rig_free(r);
}

static void a_person_drains_and_abandons(void **state)
{
    (void)state;
    rig *r = with_node(DRAINED, 2);
    int16_t type;
    wait_for(r, 2);
    busy(r, 2, 1);
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\", \"drain\": true}");
    wait_for(r, 10);
    assert_string_equal(rig_state(r, "class2-1"), "draining");
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\", \"abandon\": true}");
    rig_answer(r, USER, request, &type);
    assert_int_equal(type, VENV_MSG_RESULT);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\", \"abandon\": true}");
    rig_answer(r, USER, request, &type);
    assert_int_equal(type, VENV_MSG_FAILED);
    /* With a time: it is stopped although it has work, also by a manager that was started again. */
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\", \"drain\": true, \"drain_timeout\": \"x\"}");
    rig_answer(r, USER, request, &type);
    assert_int_equal(type, VENV_MSG_FAILED);
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\", \"drain\": true, \"force\": true}");
    rig_answer(r, USER, request, &type);
    assert_int_equal(type, VENV_MSG_FAILED);
    busy(r, 2, 0);
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\", \"drain\": true}");
    wait_for(r, 4);
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    rig_free(r);
}

static void a_restart_goes_on_with_it(void **state)
{
    (void)state;
    rig *r = with_node(DRAINED, 2);
    char id[VENV_ID_TEXT_SIZE], machines[512];
    wait_for(r, 2);
    busy(r, 0, 1);
    rig_frame(r, USER, VENV_MSG_STOP, ++request, "{\"instance\": \"class2-1\", \"drain\": true}");
    wait_for(r, 3);
    rig_id(&rig_find(r, NODE1, VENV_MSG_MACHINE_START, 0)->body, "machine", id);
    snprintf(machines, sizeof machines, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, \"state\": \"running\"}", id);
    rig_crash(r);
    rig_sent_clear(r);
    heard = 0;
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, machines);
    assert_string_equal(rig_state(r, "class2-1"), "draining");
    rig_head(r, HEAD, "[0, {\"class2\": {\"pending\": 0, \"running\": 1}}, 0, null]");
    wait_for(r, 20);
    assert_string_equal(rig_state(r, "class2-1"), "draining");
    busy(r, 0, 0);
    wait_for(r, 3);
    assert_string_equal(rig_state(r, "class2-1"), "stopped");
    rig_free(r);
}

static void expressions_are_checked(void **state)
{
    (void)state;
    static const char *const wrong[] = { "desired: 'nobody(1)', max: 1", "desired: '\"a\"', max: 1", "desired: '1', max: 1, idle: '7'",
                                         "desired: '1', max: 1, idle: 'instanse.state == 1'" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char yaml[1024];
        snprintf(yaml, sizeof yaml, MANAGER "environments:\n  class2:\n    hypervisor: test\n    memory: 128MiB\n    scale: {%s}\n", wrong[i]);
        venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
        venv_manager_config *config = NULL;
        venv_error err = { 0 };
        assert_int_not_equal(venv_manager_config_new(&source, 1, NULL, NULL, &config, &err), VENV_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_are_desired),
        cmocka_unit_test(clocks_and_steps),
        cmocka_unit_test(unknown_changes_nothing),
        cmocka_unit_test(saved_ones_come_back_first),
        cmocka_unit_test(drained_until_idle),
        cmocka_unit_test(a_command_that_fails_stops_nothing),
        cmocka_unit_test(a_person_drains_and_abandons),
        cmocka_unit_test(a_restart_goes_on_with_it),
        cmocka_unit_test(expressions_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
