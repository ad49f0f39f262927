/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Priorities: who is first, who makes room for whom and how, what stands on disk meanwhile; ratios and zones of nodes.
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
#define USER  9u

#define HEAD  "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  vcpu_overcommit: 1\n"
/* The node of the rig has 4 processors. */
#define ENVIRONMENTS                                                                                       \
    "environments:\n"                                                                                      \
    "  low: {hypervisor: test, vcpus: 2, memory: 128MiB, preempt: save}\n"                                 \
    "  mean: {hypervisor: test, vcpus: 2, memory: 128MiB, priority: 5, preempt: stop}\n"                   \
    "  fixed: {hypervisor: test, vcpus: 2, memory: 128MiB}\n"                                              \
    "  high: {hypervisor: test, vcpus: 2, memory: 128MiB, priority: 10, preempt: save}\n"                  \
    "  trusted: {hypervisor: test, vcpus: 1, memory: 128MiB, zone: [inner]}\n"

static uint64_t request;

static rig *with_node(const char *yaml)
{
    rig *r = rig_new(yaml);
    request = 100;
    rig_user(r, USER, "admin");
    rig_node(r, NODE1, "node1", BOOT, "");
    return r;
}

/* The node said so to the last order of this type after `from`. */
static void done(rig *r, int16_t type, size_t from, const char *state)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    const rig_sent *s = rig_find(r, NODE1, type, from);
    assert_non_null(s);
    rig_id(&s->body, "id", id);
    rig_id(&s->body, "machine", machine);
    rig_frame(r, NODE1, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"%s\"}", id, machine, state);
}

static void start(rig *r, const char *environment, bool runs)
{
    size_t from = r->sent_count;
    rig_frame(r, USER, VENV_MSG_START, ++request, "{\"environment\": \"%s\"}", environment);
    if (runs)
        done(r, VENV_MSG_MACHINE_START, from, "running");
}

static bool says(rig *r, const char *instance, const char *text)
{
    char all[16384];
    int16_t type;
    rig_frame(r, USER, VENV_MSG_SHOW, ++request, "{\"what\": \"instance\", \"name\": \"%s\"}", instance);
    venv_value_print(rig_answer(r, USER, request, &type), all, sizeof all);
    return strstr(all, text) != NULL;
}

static void the_lowest_is_saved(void **state)
{
    (void)state;
    rig *r = with_node(HEAD ENVIRONMENTS);
    start(r, "low", true);
    start(r, "mean", true);
    size_t from = r->sent_count;
    start(r, "high", false);
    assert_string_equal(rig_state(r, "low-1"), "saving");
    assert_string_equal(rig_state(r, "mean-1"), "running");
    assert_string_equal(rig_state(r, "high-1"), "pending");
    assert_true(says(r, "high-1", "it takes the place of 1 of lower priority on node1"));
    start(r, "high", false); /* that place is kept: it takes the next one */
    assert_string_equal(rig_state(r, "mean-1"), "stopping");
    rig_crash(r); /* all of it is on disk */
    rig_user(r, USER, "admin");
    assert_true(says(r, "high-1", "it takes the place of 1 of lower priority on node1"));
    rig_crash(r);
    rig_user(r, USER, "admin");
    assert_string_equal(rig_state(r, "low-1"), "saving");
    assert_string_equal(rig_state(r, "high-2"), "pending");
    (void)from;
    rig_free(r);
    r = with_node(HEAD ENVIRONMENTS);
    start(r, "low", true);
    start(r, "mean", true);
    from = r->sent_count;
    start(r, "high", false);
    start(r, "high", false);
    done(r, VENV_MSG_MACHINE_SAVE, from, "saved");
    rig_wait(r, 1.5);
    assert_string_equal(rig_state(r, "high-1"), "starting");
    assert_string_equal(rig_state(r, "mean-1"), "stopping");
    rig_free(r);
}

static void its_place_is_taken_when_it_is_free(void **state)
{
    (void)state;
    rig *r = with_node(HEAD ENVIRONMENTS);
    start(r, "low", true);
    start(r, "fixed", true);
    size_t from = r->sent_count;
    start(r, "high", false);
    done(r, VENV_MSG_MACHINE_SAVE, from, "saved");
    assert_string_equal(rig_state(r, "low-1"), "saved");
    from = r->sent_count;
    start(r, "low", false); /* of lower priority: it does not get in between */
    rig_wait(r, 2);
    assert_string_equal(rig_state(r, "high-1"), "starting");
    assert_string_equal(rig_state(r, "low-2"), "pending");
    done(r, VENV_MSG_MACHINE_START, from, "running");
    assert_string_equal(rig_state(r, "high-1"), "running");
    assert_int_equal(rig_events(r, "instance-preempted"), 1);
    rig_wait(r, 700); /* nobody turns against it */
    assert_string_equal(rig_state(r, "high-1"), "running");
    assert_string_equal(rig_state(r, "fixed-1"), "running");
    assert_int_equal(rig_events(r, "instance-preempted"), 1);
    rig_free(r);
}

static void equals_and_the_fixed_are_left_alone(void **state)
{
    (void)state;
    rig *r = with_node(HEAD ENVIRONMENTS);
    start(r, "fixed", true);
    start(r, "high", true);
    start(r, "high", false);
    rig_wait(r, 5);
    assert_string_equal(rig_state(r, "high-2"), "pending");
    assert_true(says(r, "high-2", "needs 2 vCPUs, has 0 of 4 free"));
    assert_int_equal(rig_events(r, "instance-preempted"), 0);
    rig_free(r);
}

static void one_that_does_not_go_is_not_waited_for_without_end(void **state)
{
    (void)state;
    rig *r = with_node(HEAD ENVIRONMENTS);
    start(r, "low", true);
    start(r, "fixed", true);
    for (int turn = 0; turn < 6; turn++) {
        char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
        size_t from = r->sent_count;
        if (turn == 0)
            start(r, "high", false);
        else
            rig_wait(r, 61);
        const rig_sent *s = rig_find(r, NODE1, VENV_MSG_MACHINE_SAVE, from);
        assert_int_equal(s != NULL, turn < 3);
        if (!s)
            continue;
        rig_id(&s->body, "id", id);
        rig_id(&s->body, "machine", machine);
        rig_frame(r, NODE1, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"io\", \"error\": \"disk full\", \"state\": \"running\"}", id, machine);
        assert_string_equal(rig_state(r, "low-1"), "running");
    }
    assert_int_equal(rig_events(r, "instance-preempted"), 3);
    rig_free(r);
}

static void the_higher_one_is_first(void **state)
{
    (void)state;
    rig *r = rig_new(HEAD ENVIRONMENTS);
    rig_user(r, USER, "admin");
    request = 100;
    start(r, "low", false);
    start(r, "fixed", false);
    start(r, "mean", false);
    start(r, "high", false);
    rig_node(r, NODE1, "node1", BOOT, "");
    rig_wait(r, 2);
    assert_string_equal(rig_state(r, "high-1"), "starting");
    assert_string_equal(rig_state(r, "mean-1"), "starting");
    assert_string_equal(rig_state(r, "low-1"), "pending");
    assert_string_equal(rig_state(r, "fixed-1"), "pending");
    rig_free(r);
}

static void nodes_have_ratios_and_zones(void **state)
{
    (void)state;
    rig *r = with_node(HEAD "  nodes:\n    - {for: node9, zone: inner}\n    - {for: '@default', vcpu_overcommit: 1.5}\n" ENVIRONMENTS);
    start(r, "fixed", true);
    start(r, "fixed", true);
    start(r, "fixed", true); /* 6 of 4 × 1.5 */
    start(r, "fixed", false);
    assert_true(says(r, "fixed-4", "has 0 of 6 free"));
    start(r, "trusted", false);
    assert_true(says(r, "trusted-1", "1 of another zone (needs zone inner, has no zone)"));
    rig_reload(r, 1, HEAD "  nodes: {for: node1, zone: inner, vcpu_overcommit: 2, memory_overcommit: 0.01}\n" ENVIRONMENTS);
    rig_free(r);
}

static void rules_are_checked(void **state)
{
    (void)state;
    static const char *const wrong[] = { "{for: '@'}", "{for: 'No Name'}", "{zone: inner}", "{for: node1, zone: 7}", "{for: node1, vcpu_overcommit: -1}" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char yaml[2048];
        snprintf(yaml, sizeof yaml, HEAD "  nodes: [%s]\n" ENVIRONMENTS, wrong[i]);
        venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
        venv_manager_config *config = NULL;
        venv_error err = { 0 };
        assert_int_not_equal(venv_manager_config_new(&source, 1, NULL, NULL, &config, &err), VENV_OK);
        assert_true(err.line > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_is_saved),
        cmocka_unit_test(its_place_is_taken_when_it_is_free),
        cmocka_unit_test(equals_and_the_fixed_are_left_alone),
        cmocka_unit_test(one_that_does_not_go_is_not_waited_for_without_end),
        cmocka_unit_test(the_higher_one_is_first),
        cmocka_unit_test(nodes_have_ratios_and_zones),
        cmocka_unit_test(rules_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
