/* SPDX-License-Identifier: Apache-2.0 */
/* Agents: let in, refused, doubled, silent, back again; groups; the queued sender. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"

static const char *agent_state(rig *r, const char *name)
{
    static char text[32];
    static uint64_t peer = 50000;
    int16_t type;
    rig_user(r, ++peer, "looker");
    rig_frame(r, peer, VENV_MSG_SHOW, 1, "{\"what\": \"agent\", \"name\": \"%s\"}", name);
    const venv_value *body = rig_answer(r, peer, 1, &type);
    assert_non_null(body);
    venv_str state = venv_value_get_text(venv_value_get(body, "item"), "state");
    snprintf(text, sizeof text, "%.*s", (int)state.size, state.data ? state.data : "");
    rig_down(r, peer, "done");
    return text;
}

static void hello(rig *r, uint64_t peer, const char *cert, const char *name, const char *machine, const char *boot)
{
    rig_up(r, peer, VENV_ROLE_AGENT, cert);
    rig_frame(r, peer, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"%s\", \"groups\": [\"g\"], \"boot\": \"%s\", "
              "\"machine\": \"%s\", \"properties\": [], \"samples\": []}", name, boot, machine);
}

#define MACHINE_A "00000000-0000-4000-8000-00000000000a"
#define MACHINE_B "00000000-0000-4000-8000-00000000000b"
#define BOOT_1    "00000000-0000-4000-8000-000000000001"
#define BOOT_2    "00000000-0000-4000-8000-000000000002"

static void a_clone_is_refused_and_flagged(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    assert_non_null(rig_find(r, 1, VENV_MSG_WELCOME, 0));
    for (uint64_t k = 0; k < 5; k++) {
        hello(r, 10 + k, "n1", "n1", MACHINE_B, BOOT_2);
        assert_non_null(venv_value_get(&rig_find(r, 10 + k, VENV_MSG_REFUSED, 0)->body, "retry_after"));
        assert_null(rig_find(r, 10 + k, VENV_MSG_WELCOME, 0));
        assert_non_null(rig_find(r, 10 + k, VENV_MSG_REFUSED, 0));
        assert_non_null(rig_find(r, 10 + k, -1, 0));
        assert_null(rig_find(r, 1, -1, 0)); /* the first one is not disturbed */
    }
    assert_int_equal(rig_events(r, "agent-duplicate"), 1); /* said once, counted each time */
    assert_string_equal(agent_state(r, "n1"), "connected");
    int16_t type;
    rig_user(r, 90, "anna");
    rig_frame(r, 90, VENV_MSG_SHOW, 1, "{\"what\": \"agent\", \"name\": \"n1\"}");
    const venv_value *flag = venv_value_get(venv_value_get(rig_answer(r, 90, 1, &type), "item"), "duplicate");
    assert_int_equal(venv_value_get_int(flag, "refused", 0), 5);
    assert_true(venv_value_get(flag, "address") && venv_value_get(flag, "machine") && venv_value_get(flag, "last"));
    rig_free(r);
}

/* A name that two machines have does not go from one to the other and back, whoever comes when. */
static void a_name_does_not_flap(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    size_t let_in = 0;
    for (uint64_t k = 0; k < 1000; k++) {
        bool clone = k % 2;
        hello(r, 100 + k, "n1", "n1", clone ? MACHINE_B : MACHINE_A, clone ? BOOT_2 : BOOT_1);
        bool welcome = rig_find(r, 100 + k, VENV_MSG_WELCOME, 0) != NULL;
        assert_int_equal(welcome, !clone);
        let_in += welcome;
        if (!clone)
            rig_down(r, 100 + k, "reset"); /* so that the clone finds the name free */
        rig_sent_clear(r);
        rig_wait(r, 0.5);
    }
    assert_int_equal(let_in, 500);
    assert_in_range(rig_events(r, "agent-duplicate"), 1, 2);
    assert_int_equal(rig_events(r, "agent-replaced"), 0);
    assert_true(r->log_count < 2600); /* what the real one did, and no word more of the clone */
    rig_free(r);
}

static void a_name_is_free_in_the_end(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  name_hold: 2m\n");
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    rig_down(r, 1, "burnt");
    rig_wait(r, 110);
    hello(r, 2, "n1", "n1", MACHINE_B, BOOT_2);
    assert_non_null(rig_find(r, 2, VENV_MSG_REFUSED, 0));
    rig_crash(r); /* whose it is outlives a restart */
    hello(r, 3, "n1", "n1", MACHINE_B, BOOT_2);
    assert_non_null(rig_find(r, 3, VENV_MSG_REFUSED, 0));
    rig_wait(r, 121);
    hello(r, 4, "n1", "n1", MACHINE_B, BOOT_2);
    assert_non_null(rig_find(r, 4, VENV_MSG_WELCOME, 0));
    assert_int_equal(rig_events(r, "agent-replaced"), 1);
    rig_free(r);
}

static void forgotten_by_a_person(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    int16_t type;
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    rig_user(r, 90, "anna");
    rig_frame(r, 90, VENV_MSG_FORGET, 1, "{\"id\": \"00000000-0000-4000-8000-0000000000f1\", \"agent\": \"n1\"}");
    rig_answer(r, 90, 1, &type);
    assert_int_equal(type, VENV_MSG_FAILED); /* it is connected */
    rig_down(r, 1, "burnt");
    for (uint64_t again = 2; again < 4; again++) { /* asked twice under one id, it is done once, and answered twice */
        rig_frame(r, 90, VENV_MSG_FORGET, again, "{\"id\": \"00000000-0000-4000-8000-0000000000f2\", \"agent\": \"n1\", \"why\": \"burnt\"}");
        assert_non_null(venv_value_get(rig_answer(r, 90, again, &type), "agent"));
        assert_int_equal(type, VENV_MSG_RESULT);
    }
    assert_int_equal(rig_events(r, "agent-forgotten"), 1);
    assert_string_equal(agent_state(r, "n1"), "");
    hello(r, 2, "n1", "n1", MACHINE_B, BOOT_2); /* the name is free */
    assert_non_null(rig_find(r, 2, VENV_MSG_WELCOME, 0));
    rig_frame(r, 90, VENV_MSG_FORGET, 9, "{\"id\": \"00000000-0000-4000-8000-0000000000f3\", \"agent\": \"n9\"}");
    rig_answer(r, 90, 9, &type);
    assert_int_equal(type, VENV_MSG_FAILED);
    rig_free(r);
}

static void hello_start(rig *r, uint64_t peer, unsigned starts, const char *boot)
{
    rig_up(r, peer, VENV_ROLE_AGENT, "n1");
    rig_frame(r, peer, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"n1\", \"groups\": [\"g\"], \"boot\": \"%s\", \"starts\": %u, "
              "\"machine\": \"" MACHINE_A "\", \"properties\": [], \"samples\": []}", boot, starts);
}

static void an_older_run_does_not_take_over(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello_start(r, 1, 7, BOOT_1);
    hello_start(r, 2, 8, BOOT_2); /* started again, its old connection not yet seen to be dead */
    assert_non_null(rig_find(r, 2, VENV_MSG_WELCOME, 0));
    assert_non_null(rig_find(r, 1, -1, 0));
    for (uint64_t k = 0; k < 20; k++) { /* the first one still runs, and comes back */
        hello_start(r, 10 + k, 7, BOOT_1);
        assert_non_null(rig_find(r, 10 + k, VENV_MSG_REFUSED, 0));
    }
    assert_null(rig_find(r, 2, -1, 0));
    assert_int_equal(rig_events(r, "agent-duplicate"), 1);
    rig_down(r, 2, "ended");
    hello_start(r, 40, 7, BOOT_1);
    assert_non_null(rig_find(r, 40, VENV_MSG_WELCOME, 0));
    rig_free(r);
}

static void groups_of_another_manager(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  groups: [g, lab]\n");
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    assert_non_null(rig_find(r, 1, VENV_MSG_WELCOME, 0));
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"lab\", \"theirs\"]}");
    assert_int_equal(rig_events(r, "group-join"), 2);  /* g, lab */
    assert_int_equal(rig_events(r, "group-leave"), 1); /* g */
    rig_up(r, 2, VENV_ROLE_AGENT, "n2");
    rig_frame(r, 2, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"n2\", \"groups\": [\"theirs\"], \"boot\": \"" BOOT_1 "\", \"properties\": [], "
              "\"samples\": []}");
    const rig_sent *refused = rig_find(r, 2, VENV_MSG_REFUSED, 0);
    assert_non_null(refused);
    venv_str text = venv_value_get_text(&refused->body, "error");
    assert_non_null(memmem(text.data, text.size, "serves the groups g, lab", 24));
    assert_non_null(venv_value_get(&refused->body, "retry_after"));
    rig_free(r);
}

/* Many at once: so many a second are let in, and each of the others is given a time of its own. */
static void herds_are_spread(void **state)
{
    (void)state;
    enum { AGENTS = 400, RATE = 50 };
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  connect_rate: 50\n  events_max: 100000\n");
    double when[AGENTS] = { 0 };
    bool in[AGENTS] = { false };
    size_t left = AGENTS, tries = 0, worst = 0;
    for (double now = 0; left > 0 && now < 60; now += 0.1) {
        size_t this_time = 0;
        for (unsigned k = 0; k < AGENTS; k++) {
            char name[8];
            if (in[k] || when[k] > now)
                continue;
            snprintf(name, sizeof name, "n%u", k);
            rig_sent_clear(r);
            hello(r, 1000 + tries, name, name, "00000000-0000-4000-8000-000000000000", BOOT_1);
            const rig_sent *refused = rig_find(r, 1000 + tries++, VENV_MSG_REFUSED, 0);
            venv_span after;
            if (refused) {
                assert_true(venv_value_to_span(venv_value_get(&refused->body, "retry_after"), &after));
                assert_in_range(after.ns, 1, 30 * VENV_NS_PER_S);
                when[k] = now + (double)after.ns / 1e9;
                continue;
            }
            in[k] = true;
            left--;
            this_time++;
        }
        if (now > 0 && this_time > worst)
            worst = this_time;
        rig_wait(r, 0.1);
        rig_sent_clear(r);
    }
    assert_int_equal(left, 0);
    assert_true(worst <= 2 * RATE / 10 + 1);
    assert_true(tries <= 3 * AGENTS); /* nobody asks again and again */
    rig_free(r);
}

static void the_same_machine_takes_over(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    hello(r, 2, "n1", "n1", MACHINE_A, BOOT_2); /* restarted, and its old connection is not yet seen to be dead */
    assert_non_null(rig_find(r, 2, VENV_MSG_WELCOME, 0));
    assert_non_null(rig_find(r, 1, -1, 0));
    assert_string_equal(agent_state(r, "n1"), "connected");
    assert_int_equal(rig_events(r, "agent-duplicate"), 0);
    assert_int_equal(rig_events(r, "group-rejoin"), 1);
    rig_down(r, 1, "late"); /* the end of the old connection says nothing about the new one */
    assert_string_equal(agent_state(r, "n1"), "connected");
    rig_free(r);
}

static void who_is_not_let_in(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n2", MACHINE_A, BOOT_1); /* the name of another */
    assert_non_null(rig_find(r, 1, VENV_MSG_REFUSED, 0));
    assert_non_null(rig_find(r, 1, -1, 0));
    rig_up(r, 2, VENV_ROLE_AGENT, "n3"); /* no common version */
    rig_frame(r, 2, VENV_MSG_HELLO, 0, "{\"versions\": [99], \"name\": \"n3\"}");
    assert_non_null(rig_find(r, 2, -1, 0));
    rig_up(r, 3, VENV_ROLE_AGENT, "n3"); /* what only users may ask */
    rig_frame(r, 3, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"n3\", \"groups\": [], \"boot\": \"" BOOT_1 "\", \"properties\": []}");
    rig_frame(r, 3, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    assert_non_null(rig_find(r, 3, -1, 0));
    assert_int_equal(rig_instances(r, true), 0);
    rig_user(r, 4, "anna"); /* what only agents may tell */
    rig_frame(r, 4, VENV_MSG_MACHINES, 0, "{\"reachable\": true, \"machines\": []}");
    assert_non_null(rig_find(r, 4, -1, 0));
    rig_up(r, 5, VENV_ROLE_AGENT, "n5"); /* before HELLO */
    rig_frame(r, 5, VENV_MSG_PUSH, 0, "{\"samples\": []}");
    assert_non_null(rig_find(r, 5, -1, 0));
    rig_up(r, 6, VENV_ROLE_AGENT, "n6"); /* nothing at all */
    rig_wait(r, 6);
    assert_non_null(rig_find(r, 6, -1, 0));
    rig_up(r, 7, VENV_ROLE_AGENT, "n7"); /* groups that are none */
    rig_frame(r, 7, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"n7\", \"groups\": [\"a b\"], \"boot\": \"" BOOT_1 "\", \"properties\": []}");
    assert_non_null(rig_find(r, 7, VENV_MSG_REFUSED, 0));
    rig_free(r);
}

/* Nobody answers heartbeats here: time passes without rig_wait(), which does. */
static void silence(rig *r, int seconds)
{
    for (int half = 0; half < seconds * 2; half++) {
        r->now.mono.ns += VENV_NS_PER_S / 2;
        r->now.wall.ns += VENV_NS_PER_S / 2;
        venv_manager_event event = { .kind = VENV_MANAGER_EVENT_TIME };
        rig_step(r, &event);
    }
}

static void suspect_then_lost_then_back(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    silence(r, 14);
    assert_string_equal(agent_state(r, "n1"), "connected");
    silence(r, 2);
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_frame(r, 1, VENV_MSG_PUSH, 0, "{\"samples\": []}");
    assert_string_equal(agent_state(r, "n1"), "connected");
    silence(r, 44);
    assert_string_equal(agent_state(r, "n1"), "suspect");
    assert_int_equal(rig_events(r, "agent-lost"), 0);
    silence(r, 3);
    assert_string_equal(agent_state(r, "n1"), "lost");
    assert_int_equal(rig_events(r, "agent-lost"), 1);
    assert_non_null(rig_find(r, 1, -1, 0));
    assert_int_equal(rig_events(r, "group-disconnect"), 1);
    hello(r, 2, "n1", "n1", MACHINE_A, BOOT_1);
    assert_string_equal(agent_state(r, "n1"), "connected");
    assert_int_equal(rig_events(r, "group-rejoin"), 1);
    rig_crash(r); /* it is known after a restart, and has a fair time to come back */
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_wait(r, 46);
    assert_string_equal(agent_state(r, "n1"), "lost");
    rig_free(r);
}

static void agents_in(rig *r, uint64_t from, uint64_t to, const char *groups)
{
    for (uint64_t k = from; k < to; k++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", (unsigned)k);
        rig_up(r, k, VENV_ROLE_AGENT, name);
        rig_frame(r, k, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"%s\", \"groups\": %s, \"boot\": \"" BOOT_1 "\", \"properties\": [], "
                  "\"samples\": []}", name, groups);
    }
}

/* After a restart of the manager the agents from before are awaited: for a fair time nothing is concluded from their absence. */
static void awaited_after_a_restart(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG
                     "triggers:\n"
                     "  few:\n    when: 'agents.filter(a, a.state == \"connected\").size() < 2'\n    every: 1\n    do: [{log: {text: few}}]\n"
                     "  quiet:\n    when: 'agents.exists(a, now - a.heard > duration(\"20s\"))'\n    every: 1\n    do: [{log: {text: quiet}}]\n"
                     "  none:\n    when: 'agents.all(a, a.state == \"lost\")'\n    every: 1\n    do: [{stop: {environment: class2}}]\n");
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    hello(r, 2, "n2", "n2", MACHINE_B, BOOT_1);
    rig_wait(r, 5);
    size_t fired = rig_events(r, "trigger-fired"); /* of `few` and `none`, before the agents came */
    assert_true(fired <= 2);
    rig_wait(r, 60);
    rig_crash(r);
    rig_wait(r, 40);
    assert_int_equal(rig_events(r, "trigger-fired"), fired);
    hello(r, 3, "n1", "n1", MACHINE_A, BOOT_1);
    rig_wait(r, 4);
    assert_int_equal(rig_events(r, "trigger-fired"), fired); /* of n2 it is still not known */
    rig_wait(r, 4);
    assert_int_equal(rig_events(r, "agent-lost"), 1);
    assert_int_equal(rig_events(r, "trigger-fired"), fired + 2); /* few, and quiet: it was heard last before the restart */
    rig_free(r);
}

static void membership_is_told_to_triggers(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG
                     "triggers:\n"
                     "  in:\n    on: [join]\n    when: 'group == \"g\"'\n    do: [{log: {text: 'in ${agent.name} ${group} ${reason}'}}]\n"
                     "  out:\n    on: [leave]\n    when: 'group == \"g\"'\n    do: [{log: {text: 'out ${agent.name} ${group} ${reason}'}}]\n"
                     "  cut:\n    on: [disconnect]\n    when: 'group == \"g\"'\n    do: [{log: {text: 'cut ${agent.name} ${group} ${reason}'}}]\n");
    static const char *const expected[] = { "in n1 g join", "cut n1 g disconnect", "in n1 g rejoin", "out n1 g leave" };
    static const char *const told[] = { "agent n1 joined group g: connected", "agent n1 is cut off from group g: the cable was pulled",
                                        "agent n1 is back in group g: connected", "agent n1 left group g: the agent changed its groups" };
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    rig_down(r, 1, "the cable was pulled");
    hello(r, 2, "n1", "n1", MACHINE_A, BOOT_1); /* back: it joins again */
    rig_frame(r, 2, VENV_MSG_GROUPS, 0, "{\"groups\": [\"h\"]}");
    rig_wait(r, 1);
    size_t next = 0, events = 0;
    for (size_t i = 0; i < r->log_count; i++) {
        events += events < 4 && venv_value_is_text(venv_value_get(&r->log[i], "text"), told[events]);
        if (venv_value_is_text(venv_value_get(&r->log[i], "kind"), "log")) {
            venv_str text = venv_value_get_text(&r->log[i], "text");
            if (next >= 4 || strlen(expected[next]) != text.size || memcmp(expected[next], text.data, text.size) != 0)
                fail_msg("%zu: %.*s", next, (int)text.size, text.data);
            next++;
        }
    }
    assert_int_equal(next, 4);
    assert_int_equal(events, 4);
    rig_free(r);
}

static void names_of_groups(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    char name[64];
    memset(name, 'g', sizeof name);
    for (size_t size = 31; size <= 33; size++) {
        char groups[80];
        snprintf(groups, sizeof groups, "[\"%.*s\"]", (int)size, name);
        agents_in(r, size, size + 1, groups);
        assert_int_equal(rig_find(r, size, VENV_MSG_WELCOME, 0) != NULL, size <= 32);
    }
    rig_free(r);
}

static void cut_off_then_lost(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    rig_down(r, 1, "the connection was reset");
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_wait(r, 44);
    assert_string_equal(agent_state(r, "n1"), "suspect");
    rig_wait(r, 2);
    assert_string_equal(agent_state(r, "n1"), "lost");
    hello(r, 2, "n1", "n1", MACHINE_A, BOOT_1);
    assert_string_equal(agent_state(r, "n1"), "connected");
    assert_int_equal(rig_events(r, "agent-disconnected"), 1);
    assert_int_equal(rig_events(r, "agent-lost"), 1);
    rig_free(r);
}

static void forgotten_in_the_end(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  retention: 1m\n");
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    hello(r, 2, "n2", "n2", MACHINE_B, BOOT_1);
    rig_down(r, 1, "reset");
    rig_wait(r, 55);
    assert_string_equal(agent_state(r, "n1"), "lost");
    rig_wait(r, 10);
    assert_int_equal(rig_events(r, "agent-forgotten"), 1);
    assert_string_equal(agent_state(r, "n1"), "");
    assert_string_equal(agent_state(r, "n2"), "connected");
    for (size_t i = 0; i < r->row_count; i++)
        assert_false(r->rows[i].collection == VENV_ROWS_AGENTS && venv_value_is_text(&r->rows[i].key, "n1"));
    hello(r, 3, "n1", "n1", MACHINE_A, BOOT_2);
    assert_string_equal(agent_state(r, "n1"), "connected");
    rig_free(r);
}

static void groups_change(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"h\", \"g\"]}");
    assert_int_equal(rig_events(r, "group-join"), 2);
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"h\"]}");
    assert_int_equal(rig_events(r, "group-leave"), 1);
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"no good\"]}");
    assert_int_equal(rig_events(r, "group-leave"), 1);
    rig_free(r);
}

/* A trigger that reads groups is looked at when an agent changes its own. */
static void triggers_see_groups(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG "triggers:\n"
                     "  in: {on: [update], when: 'agents.exists(a, \"lab\" in a.groups)', do: [{log: {text: in}}]}\n");
    hello(r, 1, "n1", "n1", MACHINE_A, BOOT_1);
    hello(r, 2, "n2", "n2", MACHINE_B, BOOT_2);
    rig_wait(r, 1);
    size_t before = rig_events(r, "log");
    rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": [\"lab\"]}");
    assert_int_equal(rig_events(r, "log"), before + 1);
    rig_free(r);
}

static void the_queued_sender(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  send_rate: 10\n  send_burst: 5\n");
    for (uint64_t k = 0; k < 50; k++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", (unsigned)k);
        hello(r, 1 + k, name, name, "00000000-0000-4000-8000-000000000000", BOOT_1);
    }
    rig_user(r, 100, "anna");
    rig_frame(r, 100, VENV_MSG_EXEC, 1, "{\"target\": \"@g\", \"command\": \"x\"}");
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 5); /* the burst */
    rig_down(r, 50, "gone");                                /* what waits for it is dropped */
    rig_wait(r, 2);
    size_t sent = rig_count(r, VENV_MSG_EXECUTE, 0);
    assert_in_range(sent, 23, 26);
    rig_wait(r, 4);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 49);
    rig_free(r);
}

static size_t sent_to(const rig *r, uint64_t from, uint64_t to, int16_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < r->sent_count; i++)
        count += r->sent[i].type == type && r->sent[i].peer >= from && r->sent[i].peer < to;
    return count;
}

#define RATES "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n"

/* A group with a slow network has its own bucket, and holds up nobody else. */
static void the_queued_sender_of_a_group(void **state)
{
    (void)state;
    rig *r = rig_new(RATES "  group_rates: {slow: {rate: 4, burst: 2}, lab: {rate: 10, burst: 10}}\n");
    agents_in(r, 1, 21, "[\"slow\"]");
    agents_in(r, 21, 41, "[\"lab\"]");
    agents_in(r, 41, 61, "[]");
    agents_in(r, 61, 65, "[\"slow\", \"lab\"]");
    rig_user(r, 100, "anna");
    rig_frame(r, 100, VENV_MSG_EXEC, 1, "{\"target\": \"@all\", \"command\": \"x\"}");
    assert_int_equal(sent_to(r, 1, 21, VENV_MSG_EXECUTE), 2);
    assert_int_equal(sent_to(r, 21, 41, VENV_MSG_EXECUTE), 10);
    assert_int_equal(sent_to(r, 41, 61, VENV_MSG_EXECUTE), 20); /* behind the slow ones, and not after them */
    rig_wait(r, 1.05);
    assert_in_range(sent_to(r, 1, 21, VENV_MSG_EXECUTE), 6, 7);
    assert_int_equal(sent_to(r, 21, 41, VENV_MSG_EXECUTE), 20);
    rig_wait(r, 2);
    assert_in_range(sent_to(r, 1, 21, VENV_MSG_EXECUTE), 13, 15);
    assert_int_equal(sent_to(r, 61, 65, VENV_MSG_EXECUTE), 0); /* they came last to the slow bucket */
    rig_wait(r, 3);
    assert_int_equal(sent_to(r, 1, 65, VENV_MSG_EXECUTE), 64);
    rig_free(r);
}

/* What is sent to one agent arrives in the order in which it was asked for, also when its groups change meanwhile. */
static void the_queued_sender_keeps_the_order(void **state)
{
    (void)state;
    rig *r = rig_new(RATES "  send_rate: 20\n  send_burst: 1\n  group_rates: {slow: {rate: 2, burst: 1}}\n");
    agents_in(r, 1, 2, "[\"slow\"]");
    rig_user(r, 100, "anna");
    for (unsigned k = 0; k < 20; k++) {
        rig_frame(r, 100, VENV_MSG_EXEC, 1 + k, "{\"target\": \"n1\", \"command\": \"c%u\"}", k);
        if (k == 10)
            rig_frame(r, 1, VENV_MSG_GROUPS, 0, "{\"groups\": []}");
    }
    rig_wait(r, 12);
    unsigned next = 0;
    for (size_t i = 0; i < r->sent_count; i++) {
        char command[8];
        if (r->sent[i].type != VENV_MSG_EXECUTE)
            continue;
        snprintf(command, sizeof command, "c%u", next++);
        assert_true(venv_value_is_text(venv_value_get(&r->sent[i].body, "command"), command));
    }
    assert_int_equal(next, 20);
    rig_free(r);
}

/* It is full: what finds no room is answered at once, what waits too long is not sent, and heartbeats go on. */
static void the_queued_sender_is_bounded(void **state)
{
    (void)state;
    rig *r = rig_new(RATES "  send_rate: 1\n  send_burst: 1\n");
    int16_t type;
    agents_in(r, 1, 101, "[\"g\"]");
    rig_user(r, 200, "anna");
    unsigned asked = 0;
    for (; asked < 328; asked++)
        rig_frame(r, 200, VENV_MSG_EXEC, 1 + asked, "{\"target\": \"@g\", \"command\": \"x\"}");
    assert_null(rig_find(r, 200, VENV_MSG_RESULT, 0)); /* all of them wait, the last one in part */
    rig_frame(r, 200, VENV_MSG_EXEC, 900, "{\"target\": \"@g\", \"command\": \"x\"}");
    const venv_value *items = venv_value_get(rig_answer(r, 200, 900, &type), "items");
    assert_int_equal(venv_value_count(items), 100);
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(items, 0), "rc"), "over-limit"));
    rig_frame(r, 200, VENV_MSG_STATUS, 901, "{}");
    const venv_value *status = rig_answer(r, 200, 901, &type);
    assert_int_equal(venv_value_get_int(status, "queued", 0), 32768);
    assert_true(venv_value_get_int(status, "unsent", 0) >= 100);
    rig_wait(r, 20);
    assert_in_range(sent_to(r, 1, 101, VENV_MSG_EXECUTE), 20, 22);
    assert_true(sent_to(r, 1, 101, VENV_MSG_PING) >= 300); /* each of them, each five seconds */
    assert_int_equal(rig_count(r, -1, 0), 0);
    rig_wait(r, 55); /* the time of the requests is over */
    assert_string_equal(agent_state(r, "n7"), "connected");
    items = venv_value_get(rig_answer(r, 200, 2, &type), "items");
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(items, 99), "rc"), "over-limit"));
    size_t sent = rig_count(r, VENV_MSG_EXECUTE, 0);
    rig_wait(r, 10);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), sent); /* answered as not sent: not sent */
    rig_free(r);
}

static void a_machine_is_only_its_nodes_business(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    rig_node(r, 1, "node1", BOOT, "");
    rig_user(r, 2, "anna");
    rig_frame(r, 2, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    const rig_sent *start = rig_find(r, 1, VENV_MSG_MACHINE_START, 0);
    assert_non_null(start);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_node(r, 3, "liar", BOOT, NULL);
    rig_frame(r, 3, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id, machine);
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    char list[512];
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 1, \"state\": \"running\"}",
             machine);
    rig_machines(r, 3, list);
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    assert_int_equal(rig_events(r, "instance-conflict"), 1);
    snprintf(list, sizeof list, "{\"id\": \"%s\", \"instance\": \"class2-1\", \"environment\": \"class2\", \"epoch\": 9, \"state\": \"stopped\"}",
             machine);
    rig_machines(r, 1, list); /* another epoch: nothing of it is believed */
    assert_string_equal(rig_state(r, "class2-1"), "starting");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clone_is_refused_and_flagged),
        cmocka_unit_test(a_name_does_not_flap),
        cmocka_unit_test(a_name_is_free_in_the_end),
        cmocka_unit_test(forgotten_by_a_person),
        cmocka_unit_test(an_older_run_does_not_take_over),
        cmocka_unit_test(groups_of_another_manager),
        cmocka_unit_test(herds_are_spread),
        cmocka_unit_test(the_same_machine_takes_over),
        cmocka_unit_test(who_is_not_let_in),
        cmocka_unit_test(suspect_then_lost_then_back),
        cmocka_unit_test(cut_off_then_lost),
        cmocka_unit_test(awaited_after_a_restart),
        cmocka_unit_test(membership_is_told_to_triggers),
        cmocka_unit_test(names_of_groups),
        cmocka_unit_test(forgotten_in_the_end),
        cmocka_unit_test(groups_change),
        cmocka_unit_test(triggers_see_groups), cmocka_unit_test(the_queued_sender),
        cmocka_unit_test(the_queued_sender_of_a_group),
        cmocka_unit_test(the_queued_sender_keeps_the_order),
        cmocka_unit_test(the_queued_sender_is_bounded),
        cmocka_unit_test(a_machine_is_only_its_nodes_business),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
