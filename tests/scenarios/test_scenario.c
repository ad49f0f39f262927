/* SPDX-License-Identifier: Apache-2.0 */
/* The scenario language: every statement of the table is understood, and a mistake is told with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/scenario.h"

#include <venv/codec.h>

#define HEAD \
    "about \"a test\"\n" \
    "manager mgr\n" \
    "agent n1   # a node\n" \
    "hypervisor n1 cpus 4 memory 8GiB\n"

static scenario *parse(const char *text, venv_error *err)
{
    scenario *sc = NULL;
    memset(err, 0, sizeof *err);
    venv_rc rc = scenario_parse("x.scenario", text, strlen(text), &sc, err);
    assert_true((rc == VENV_OK) == (sc != NULL));
    assert_int_equal(rc, err->rc);
    return sc;
}

static void refused(const char *text, uint32_t line, uint32_t column, const char *said)
{
    venv_error err;
    scenario *sc = parse(text, &err);
    if (sc || err.line != line || err.column != column || !strstr(err.text, said))
        fail_msg("%u:%u: %s; expected %u:%u: %s", err.line, err.column, err.text, line, column, said);
}

/* Something that fits a word in capitals. */
static const char *sample(const char *word)
{
    static const char *const samples[][2] = {
        { "TEXT", "\"why\"" },    { "NAME", "class2" }, { "MANAGER", "mgr" }, { "AGENT", "n1" },
        { "HOST", "mgr" },        { "COUNT", "3" },     { "SIZE", "1GiB" },   { "LABEL", "load1" },
        { "TYPE", "double" },     { "VALUE", "9.5" },   { "SPAN", "30s" },    { "JUMP", "-1h" },
        { "STATE", "lost" },      { "BLOCK", "<<END" }, { "EXPRESSION", "agents.size() == 1 && true" },
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (strcmp(samples[i][0], word) == 0)
            return samples[i][1];
    return word;
}

static void every_form(void **state)
{
    (void)state;
    for (int verb = 0; verb < SCENARIO_VERB__COUNT; verb++) {
        char text[2048] = HEAD, word[32];
        const char *form = scenario_forms[verb].form;
        size_t used = strlen(text);
        bool block = false;
        while (*form) {
            size_t size = strcspn(form, " ");
            snprintf(word, sizeof word, "%.*s", (int)size, form);
            block = block || strcmp(word, "BLOCK") == 0;
            used += (size_t)snprintf(text + used, sizeof text - used, "%s ", sample(word));
            form += size;
            form += *form == ' ';
        }
        snprintf(text + used, sizeof text - used, "\n%swait 1s\n", block ? "a: 1\nEND\n" : "");
        venv_error err;
        scenario *sc = parse(text, &err);
        if (!sc)
            fail_msg("%s\n%u:%u: %s", text, err.line, err.column, err.text);
        if (verb > SCENARIO_CONFIGURATION)
            assert_int_equal(sc->steps[0].verb, verb);
        else
            assert_int_equal(sc->step_count, 1);
        assert_true(strlen(scenario_forms[verb].what) > 0);
        scenario_free(sc);
    }
}

static void what_is_read(void **state)
{
    (void)state;
    venv_error err;
    scenario *sc = parse("about \"one # two\"\nmanager a\nmanager b\nagent n1 of b\nagent head of a\n"
                         "property queue of head is json\nsetting lost of b is \"20s\"\ngroup odd of n1\n"
                         "configuration of b <<X\nenvironments:\n  e: {}\nX\n"
                         "queue q pending 2 running 1\n"
                         "expect agents.size() == 2 &&\n    instances('e').size() == 1\n    within 1m30s # really\n", &err);
    assert_non_null(sc);
    assert_string_equal(sc->about, "one # two");
    assert_null(sc->only);
    assert_int_equal(sc->host_count, 4);
    assert_string_equal(sc->hosts[2].manager, "b");
    assert_string_equal(sc->hosts[2].groups[0], "odd");
    assert_string_equal(sc->hosts[1].settings[0].value, "\"20s\"");
    assert_string_equal(sc->hosts[1].yaml, "environments:\n  e: {}\n");
    assert_string_equal(sc->hosts[3].properties[0].value, "json");
    assert_int_equal(sc->step_count, 2);
    assert_int_equal(sc->steps[0].args[1].number, 2);
    assert_int_equal(sc->steps[0].args[2].number, 1);
    assert_int_equal(sc->steps[1].verb, SCENARIO_EXPECT_WITHIN);
    assert_int_equal(sc->steps[1].args[1].number, 90 * VENV_NS_PER_S);
    assert_int_equal(sc->steps[1].line, 14);
    scenario_free(sc);
}

static void mistakes(void **state)
{
    (void)state;
    refused("", 1, 1, "it declares no manager");
    refused(HEAD, 5, 1, "it has no step");
    refused("manager mgr\nwait 1s\n", 3, 1, "does not say what it shows");
    refused(HEAD "heel\n", 5, 1, "expected a statement");
    refused(HEAD "partition n2 mgr\n", 5, 11, "an agent (n1) or a manager (mgr) and found 'n2'");
    refused(HEAD "partition n1\n", 5, 13, "found the end of the statement");
    refused(HEAD "queue class2 pending many\n", 5, 22, "a whole number");
    refused(HEAD "jump clock n1 1h\n", 5, 15, "a signed length of time");
    refused(HEAD "set n1 load1 nine\n", 5, 14, "a value");
    refused(HEAD "expect never true for 30\n", 5, 23, "a length of time");
    refused(HEAD "expect agent n1 dead within 3s\n", 5, 17, "a state: connected, suspect, lost");
    refused(HEAD "wait 1s\nexpect agens.size() == 1 within 3s\n", 6, 8, "agens");
    refused(HEAD "wait 1s\nexpect agents.size() == 1\n  && (1 == ) within 3s\n", 7, 12, "");
    refused(HEAD "expect agents.size() within 3s\n", 5, 1, "neither");
    refused(HEAD "wait 1s\nagent n2\n", 6, 1, "before the first step");
    refused(HEAD "agent mgr\n", 5, 1, "this name is taken");
    refused(HEAD "apply to mgr <<END\na: b\n", 5, 14, "no line `END`");
    refused("about \"x\n", 1, 7, "no closing");
    refused("about \"x\"\nagent n1\n", 2, 1, "declare its manager first");
    refused(HEAD "hypervisor n1 cpus 0 memory 1GiB\n", 5, 1, "1 to 1024");
}

/* Nothing that is read makes it fall over, and all of it is bounded. */
static void bounds(void **state)
{
    (void)state;
    venv_error err;
    char *text = malloc(SCENARIO_SIZE_MAX + 2);
    assert_non_null(text);
    memset(text, 'x', SCENARIO_SIZE_MAX + 1);
    text[SCENARIO_SIZE_MAX + 1] = '\0';
    assert_null(parse(text, &err));
    assert_int_equal(err.rc, VENV_ELIMIT);
    size_t used = (size_t)snprintf(text, SCENARIO_SIZE_MAX, HEAD);
    for (size_t i = 0; i <= SCENARIO_STEPS_MAX; i++)
        used += (size_t)snprintf(text + used, SCENARIO_SIZE_MAX - used, "heal\n");
    assert_null(parse(text, &err));
    assert_non_null(strstr(err.text, "more than 1000 steps"));
    used = (size_t)snprintf(text, SCENARIO_SIZE_MAX, HEAD "expect ");
    for (size_t i = 0; i < SCENARIO_TOKENS_MAX; i++)
        used += (size_t)snprintf(text + used, SCENARIO_SIZE_MAX - used, "! ");
    assert_null(parse(text, &err));
    assert_int_equal(err.rc, VENV_ELIMIT);
    /* Cut anywhere, it is a scenario or a mistake with a place. */
    const char *whole = HEAD "configuration of mgr <<E\na: 1\nE\nqueue q pending 1\nexpect agents.size() == 1\n  within 3s\n";
    for (size_t size = 0; size < strlen(whole); size++) {
        scenario *sc = NULL;
        memset(&err, 0, sizeof err);
        if (scenario_parse("x", whole, size, &sc, &err) != VENV_OK)
            assert_true(err.line > 0 && err.text[0]);
        scenario_free(sc);
    }
    free(text);
}

static void asked(void **state)
{
    (void)state;
    static const char world_text[] =
        "{\"now\": 5, \"agents\": [{\"name\": \"n1\", \"state\": \"lost\"}], \"queues\": {\"q\": {\"pending\": 2}}, "
        "\"all_instances\": [{\"name\": \"e-1\", \"environment\": \"e\", \"state\": \"running\"}, "
        "{\"name\": \"e-2\", \"environment\": \"e\", \"state\": \"stopped\"}]}";
    static const struct {
        const char *expect;
        expect_answer answer;
        const char *why;
    } cases[] = {
        { "expect agent n1 lost within 1s", EXPECT_TRUE, "true" },
        { "expect instances(\"e\").size() == 1 && all_instances.size() == 2", EXPECT_TRUE, "true" },
        { "expect queue(\"q\").pending == 3", EXPECT_FALSE, "false" },
        { "expect queue(\"other\").pending == 3", EXPECT_UNKNOWN, "queue(\"other\")" },
        { "expect machines.size() == 0", EXPECT_UNKNOWN, "machines" },
        { "expect now == timestamp(\"1970-01-01T00:00:05Z\")", EXPECT_TRUE, "true" },
        { "expect agents[7].name == \"n1\"", EXPECT_FAILED, "" },
    };
    venv_value map = venv_value_null();
    assert_int_equal(venv_json_parse(world_text, strlen(world_text), 4096, &map, NULL), VENV_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512], why[256];
        venv_error err;
        snprintf(text, sizeof text, HEAD "%s\n", cases[i].expect);
        scenario *sc = parse(text, &err);
        assert_non_null(sc);
        expect_written written;
        expect_world world;
        expect_of_value(&written, &map, &world);
        assert_int_equal(expect_ask(sc->steps[0].expr, &world, why, sizeof why), cases[i].answer);
        assert_non_null(strstr(why, cases[i].why));
        char *explained = expect_explain(sc->steps[0].expr, &world);
        assert_non_null(explained);
        free(explained);
        venv_value_unref(&world.now);
        scenario_free(sc);
    }
    venv_value_unref(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form), cmocka_unit_test(what_is_read), cmocka_unit_test(mistakes),
        cmocka_unit_test(bounds),     cmocka_unit_test(asked),
    };
    return cmocka_run_group_tests_name("scenarios", tests, NULL, NULL);
}
