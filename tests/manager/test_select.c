/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a message or an action is for: names, groups, and an expression about each agent; what nobody can tell is not chosen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define USER 9
#define BUSY "agent.p.load1 > 4.0"

static void agent(rig *r, uint64_t peer, const char *properties, const char *samples)
{
    char name[8];
    snprintf(name, sizeof name, "n%u", (unsigned)peer);
    rig_up(r, peer, VENV_ROLE_AGENT, name);
    rig_frame(r, peer, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"%s\", \"groups\": [\"g\", \"g%u\"], \"boot\": "
              "\"00000000-0000-4000-8000-000000000001\", \"properties\": [%s], \"samples\": [%s]}", name, (unsigned)peer % 2, properties,
              samples);
}

#define LOAD "{\"slot\": 0, \"label\": \"load1\", \"type\": \"double\", \"every\": 1, \"source\": \"builtin:load1\", \"quality\": \"ok\"}"

/* n1 is busy, n2 is not, of n3 it is not known, n4 has no such property, n5 went away when it was busy. */
static rig *ready(const char *more)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml, RIG_CONFIG "%s", more);
    rig *r = rig_new(yaml);
    agent(r, 1, LOAD, "[0, 5.5, 0, null]");
    agent(r, 2, LOAD, "[0, 1.5, 0, null]");
    agent(r, 3, LOAD, "[0, 9.5, 2, null, \"no such file\"]");
    agent(r, 4, "", "");
    agent(r, 5, LOAD, "[0, 8.5, 0, null]");
    rig_down(r, 5, "reset");
    rig_user(r, USER, "anna");
    return r;
}

/* "n1 n3?" : the agents of the answer; ? after those of which it could not be told. */
static const char *chosen(rig *r, uint64_t request, char *text, size_t size)
{
    int16_t type;
    const venv_value *body = rig_answer(r, USER, request, &type), *items = venv_value_get(body, "items");
    size_t at = 0;
    text[0] = '\0';
    if (type == VENV_MSG_FAILED) {
        venv_str rc = venv_value_get_text(body, "rc");
        snprintf(text, size, "%.*s", (int)rc.size, rc.data);
        return text;
    }
    for (size_t i = 0; i < venv_value_count(items); i++) {
        const venv_value *item = venv_value_at(items, i);
        venv_str name = venv_value_get_text(item, "agent");
        at += (size_t)snprintf(text + at, size - at, "%s%.*s%s", i ? " " : "", (int)name.size, name.data,
                               venv_value_get_bool(item, "selected", true) ? "" : "?");
    }
    return text;
}

static void get_by_expression(void **state)
{
    (void)state;
    static const struct {
        const char *target, *where, *expect;
    } cases[] = {
        { "@all", BUSY, "n1 n3? n4? n5?" },
        { "@g1", BUSY, "n1 n3? n5?" },
        { "n1,n2", BUSY, "n1" },
        { "@all", "has(agent.p.load1) && agent.p.load1 > 4.0", "n1 n3? n5?" },
        { "@all", "agent.name == \\\"n2\\\"", "n2" },
        { "@all", "agent.name == \\\"n2\\\" || agent.p.load1 > 4.0", "n1 n2 n3? n4? n5?" },
        { "@all", "agent.name == \\\"n1\\\" && agent.p.load1 > 4.0", "n1" }, /* false && unknown is false */
        { "@g", "agent.p.load1 < 0.0 && agent.state == \\\"connected\\\"", "n3? n4?" },
        { "n2", BUSY, "not-found" },
        { "@all", "agent.p.load1 > ", "invalid" },
        { "@all", "agnt.p.load1 > 1.0", "invalid" },
        { "@all", "", "over-limit" },
        { "n1", "agent.p.load1", "n1?" },         /* no truth value */
        { "nobody", BUSY, "not-found" },
        { "agent.p.load1 > 4.0", "true", "invalid" }, /* an expression is never taken for a name, nor a name for one */
    };
    rig *r = ready("");
    char text[256];
    for (uint64_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_frame(r, USER, VENV_MSG_GET, 10 + i, "{\"target\": \"%s\", \"where\": \"%s\", \"label\": \"load1\"}", cases[i].target,
                  cases[i].where);
        assert_string_equal(chosen(r, 10 + i, text, sizeof text), cases[i].expect);
    }
    rig_free(r);
}

static void what_is_lacking_is_said(void **state)
{
    (void)state;
    rig *r = ready("");
    int16_t type;
    rig_frame(r, USER, VENV_MSG_GET, 1, "{\"target\": \"n4\", \"where\": \"" BUSY "\"}");
    const venv_value *items = venv_value_get(rig_answer(r, USER, 1, &type), "items");
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(items, 0), "error"), "could not tell: lacks agent.p.load1"));
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(items, 0), "rc"), "unknown"));
    rig_free(r);
}

static void nothing_is_done_where_nobody_can_tell(void **state)
{
    (void)state;
    rig *r = ready("");
    char text[256];
    rig_frame(r, USER, VENV_MSG_EXEC, 1, "{\"target\": \"@all\", \"where\": \"" BUSY "\", \"command\": \"x\"}");
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 1);
    const rig_sent *sent = rig_find(r, 1, VENV_MSG_EXECUTE, 0);
    assert_non_null(sent);
    rig_frame(r, 1, VENV_MSG_EXECRET, sent->request, "{\"command\": \"x\", \"exit\": 0}");
    assert_string_equal(chosen(r, 1, text, sizeof text), "n1 n3? n4? n5?");
    assert_int_equal(rig_events(r, "action-done"), 1);
    rig_frame(r, USER, VENV_MSG_STEER, 2, "{\"target\": \"@all\", \"where\": \"" BUSY "\", \"verb\": \"rcon\"}");
    assert_int_equal(rig_count(r, VENV_MSG_CONTROL, 0), 1);
    rig_frame(r, USER, VENV_MSG_FETCH, 3, "{\"target\": \"@all\", \"where\": \"" BUSY "\", \"label\": \"load1\"}");
    assert_int_equal(rig_count(r, VENV_MSG_FETCHPROP, 0), 1);
    /* of none can it be told: nothing is asked, and the action is unknown */
    rig_frame(r, USER, VENV_MSG_EXEC, 4, "{\"target\": \"n3,n4\", \"where\": \"" BUSY "\", \"command\": \"x\"}");
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 1);
    assert_string_equal(chosen(r, 4, text, sizeof text), "n3? n4?");
    assert_int_equal(rig_events(r, "action-unknown"), 1);
    /* of all it is false */
    rig_frame(r, USER, VENV_MSG_EXEC, 5, "{\"target\": \"n2\", \"where\": \"" BUSY "\", \"command\": \"x\"}");
    assert_string_equal(chosen(r, 5, text, sizeof text), "not-found");
    rig_free(r);
}

static void actions_of_triggers(void **state)
{
    (void)state;
    rig *r = ready("triggers:\n  t:\n    when: 'agents.exists(a, a.name == \"go\")'\n    on: [update, join]\n    do:\n"
                   "      - exec: {target: '@g', where: '" BUSY "', command: drain}\n"
                   "      - control: {target: '@all', where: 'agent.name == \"n2\"', verb: rcon}\n");
    rig_up(r, 20, VENV_ROLE_AGENT, "go");
    rig_frame(r, 20, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"name\": \"go\", \"groups\": [], \"boot\": "
              "\"00000000-0000-4000-8000-000000000001\", \"properties\": [], \"samples\": []}");
    rig_wait(r, 1);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 1);
    assert_non_null(rig_find(r, 1, VENV_MSG_EXECUTE, 0));
    assert_int_equal(rig_count(r, VENV_MSG_CONTROL, 0), 1);
    assert_non_null(rig_find(r, 2, VENV_MSG_CONTROL, 0));
    rig_free(r);
}

static void refused_when_it_is_loaded(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        { "agent.p.load1 >", "where: " },
        { "reason == \"x\"", "'reason' is not known here" },
        { "${agent.name} == \"x\"", "where: no expression has such" },
        { "nonsense > 1", "nonsense" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char yaml[1024];
        snprintf(yaml, sizeof yaml, RIG_CONFIG "triggers:\n  t:\n    when: 'true'\n    every: 1\n    do:\n"
                 "      - exec: {target: '@g', where: '%s', command: drain}\n", bad[i][0]);
        venv_manager_config *config = NULL;
        venv_error err = { 0 };
        venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
        assert_int_not_equal(venv_manager_config_new(&source, 1, NULL, NULL, &config, &err), VENV_OK);
        if (!strstr(err.text, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], err.text);
        assert_int_equal(err.line, 12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_by_expression),
        cmocka_unit_test(what_is_lacking_is_said),
        cmocka_unit_test(nothing_is_done_where_nobody_can_tell),
        cmocka_unit_test(actions_of_triggers),
        cmocka_unit_test(refused_when_it_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
