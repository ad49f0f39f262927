/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A history by hand, gone through: exact firings at exact moments, instances of the model, hours, unknown where nothing
 * was known; the same twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <venv/codec.h>
#include <venv/replay.h>

#define BEGIN INT64_C(1700000000) /* 2023-11-14T22:13:20Z */

static char log_text[8192];

static void take_report(void *user, const venv_value *report)
{
    size_t at = strlen(log_text);
    venv_wall time = { 0 };
    char orders[256] = "", unit[64];
    const venv_value *list = venv_value_get(report, "orders");
    (void)user;
    assert_true(venv_value_to_wall(venv_value_get(report, "time"), &time));
    for (size_t i = 0; i < venv_value_count(list); i++) {
        char arguments[160];
        venv_value_print(venv_value_get(venv_value_at(list, i), "arguments"), arguments, sizeof arguments);
        snprintf(orders + strlen(orders), sizeof orders - strlen(orders), " %.*s%s",
                 (int)venv_value_get_text(venv_value_at(list, i), "verb").size, venv_value_get_text(venv_value_at(list, i), "verb").data,
                 arguments);
    }
    venv_str key = venv_value_get_text(report, "unit");
    snprintf(unit, sizeof unit, "%s%.*s", key.size ? "/" : "", (int)key.size, key.data);
    snprintf(log_text + at, sizeof log_text - at, "%+.1f %.*s%s %.*s%s%s\n", (double)(time.ns - BEGIN * VENV_NS_PER_S) / 1e9,
             (int)venv_value_get_text(report, "trigger").size, venv_value_get_text(report, "trigger").data, unit,
             (int)venv_value_get_text(report, "kind").size, venv_value_get_text(report, "kind").data,
             venv_value_get_bool(report, "start", false) ? " at the start" : "", orders);
    if (venv_value_is_text(venv_value_get(report, "kind"), "fired")) /* and why, in full */
        assert_non_null(venv_value_get(venv_value_get(venv_value_get(report, "why"), "when"), "parts"));
}

static venv_replay *replay_of(const char *yaml)
{
    venv_value definitions = venv_value_null();
    venv_replay *replay = NULL;
    venv_error err = { 0 };
    venv_replay_options options = { .triggers = { .tick = { VENV_NS_PER_S } }, .from = { BEGIN * VENV_NS_PER_S },
                                    .boot = { 20 * VENV_NS_PER_S }, .report = take_report };
    log_text[0] = '\0';
    if (venv_yaml_parse(yaml, strlen(yaml), "new.yaml", &definitions, NULL, &err) != VENV_OK ||
        venv_replay_new(&definitions, &options, &replay, &err) != VENV_OK)
        fail_msg("%s", err.text);
    venv_value_unref(&definitions);
    return replay;
}

/* `at`: seconds after the beginning; negative: it was so before. */
static void take(venv_replay *r, double at, venv_history_kind kind, const char *subject, const char *label, venv_quality quality,
                 const char *json)
{
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    if (json && venv_json_parse(json, strlen(json), 0, &value, &err) != VENV_OK)
        fail_msg("%s: %s", json, err.text);
    venv_history_sample sample = { kind, subject, label, { BEGIN * VENV_NS_PER_S + (int64_t)(at * 1e9) }, quality, &value, at < 0 };
    assert_int_equal(venv_replay_sample(r, &sample, &err), VENV_OK);
    venv_value_unref(&value);
}

static void queue(venv_replay *r, double at, int pending, int running)
{
    char json[96];
    snprintf(json, sizeof json, "{\"class2\": {\"pending\": %d, \"running\": %d}}", pending, running);
    take(r, at, VENV_HISTORY_PROPERTY, "head", "queue", VENV_QUALITY_OK, json);
}

static void agent(venv_replay *r, double at, const char *name, const char *state)
{
    char json[96];
    snprintf(json, sizeof json, "{\"state\": \"%s\", \"groups\": [\"default\"]}", state);
    take(r, at, VENV_HISTORY_AGENT, name, "", VENV_QUALITY_OK, json);
}

static void end(venv_replay *r, double at, char *sums, size_t size)
{
    venv_value value = venv_value_null();
    assert_int_equal(venv_replay_finish(r, (venv_wall){ BEGIN * VENV_NS_PER_S + (int64_t)(at * 1e9) }, NULL), VENV_OK);
    assert_int_equal(venv_replay_sums(r, &value, NULL), VENV_OK);
    sums[0] = '\0';
    const venv_value *environments = venv_value_get(&value, "environments");
    for (size_t i = 0; i < venv_value_count(environments); i++) {
        const venv_value *e = venv_value_at(environments, i);
        snprintf(sums + strlen(sums), size - strlen(sums), "%.*s would %lld %.3fh did %lld %.3fh triggers %.3fh\n",
                 (int)venv_value_get_text(e, "name").size, venv_value_get_text(e, "name").data, (long long)venv_value_get_int(e, "would_start", 0),
                 venv_value_peek_double(venv_value_get(e, "would_hours")), (long long)venv_value_get_int(e, "did_start", 0),
                 venv_value_peek_double(venv_value_get(e, "did_hours")), venv_value_peek_double(venv_value_get(e, "did_hours_triggers")));
    }
    venv_value_unref(&value);
    venv_replay_free(r);
}

static const char loop[] =
    "grow:\n  when: queue(\"class2\").pending > 0 && instances(\"class2\").size() == 0\n  hold: 10s\n  on: [update]\n"
    "  do: [{start: {environment: class2, count: '${min(2, queue(\"class2\").pending)}'}}]\n"
    "shrink:\n  when: queue(\"class2\").pending == 0 && instances(\"class2\").exists(i, i.state == \"running\")\n  hold: 5s\n"
    "  on: [update]\n  do: [{stop: {environment: class2}}]\n";

static void play_loop(venv_replay *r, char *sums, size_t size)
{
    agent(r, -5, "head", "connected");
    queue(r, -5, 0, 0);
    queue(r, 60, 5, 0);
    queue(r, 65, 6, 0);
    /* What did happen: the trigger of then was slower, and one person started another. */
    take(r, 100, VENV_HISTORY_INSTANCE, "class2-1", "", VENV_QUALITY_OK, "{\"state\": \"starting\", \"environment\": \"class2\", \"by\": \"trigger/grow\"}");
    take(r, 130, VENV_HISTORY_INSTANCE, "class2-1", "", VENV_QUALITY_OK, "{\"state\": \"running\", \"environment\": \"class2\", \"by\": \"trigger/grow\"}");
    queue(r, 200, 0, 5);
    take(r, 460, VENV_HISTORY_INSTANCE, "class2-1", "", VENV_QUALITY_OK, "{\"state\": \"stopped\", \"environment\": \"class2\", \"by\": \"trigger/grow\"}");
    end(r, 1000, sums, size);
}

static void the_loop(void **state)
{
    (void)state;
    char sums[512], first[sizeof log_text];
    play_loop(replay_of(loop), sums, sizeof sums);
    /* True at 60, held until 70; the empty queue of 200 is held until 205. */
    assert_string_equal(log_text, "+70.0 grow fired start{\"count\": 2, \"environment\": \"class2\"}\n"
                                  "+70.0 grow recovered\n"
                                  "+205.0 shrink fired stop{\"environment\": \"class2\"}\n"
                                  "+205.0 shrink recovered\n");
    assert_string_equal(sums, "class2 would 2 0.075h did 1 0.100h triggers 0.100h\n");
    strcpy(first, log_text);
    play_loop(replay_of(loop), sums, sizeof sums);
    assert_string_equal(log_text, first);
}

static void instances_of_people_stay(void **state)
{
    (void)state;
    char sums[512];
    venv_replay *r = replay_of(loop);
    agent(r, -5, "head", "connected");
    queue(r, -5, 0, 0);
    take(r, -4, VENV_HISTORY_INSTANCE, "class2-9", "", VENV_QUALITY_OK, "{\"state\": \"running\", \"environment\": \"class2\", \"by\": \"user/alice\"}");
    queue(r, 60, 5, 0);
    end(r, 360, sums, sizeof sums);
    /* There is one: nothing to grow. It would be asked to stop as the queue is empty at the beginning; the model leaves people's alone. */
    assert_string_equal(log_text, "+5.0 shrink fired stop{\"environment\": \"class2\"}\n+60.0 shrink recovered\n");
    assert_string_equal(sums, "class2 would 0 0.000h did 0 0.100h triggers 0.000h\n");
}

static void unknown_is_unknown(void **state)
{
    (void)state;
    char sums[512];
    venv_replay *r = replay_of("stop:\n  when: queue(\"class2\").pending == 0\n  on: [update]\n  do: [{log: {text: x}}]\n");
    agent(r, -5, "head", "connected");
    queue(r, -5, 3, 0);
    agent(r, 10, "head", "lost");
    queue(r, 20, 0, 0); /* of one that is away */
    take(r, 30, VENV_HISTORY_PROPERTY, "head", "queue", VENV_QUALITY_ERROR, "{\"class2\": {\"pending\": 0, \"running\": 0}}");
    agent(r, 40, "head", "connected");
    queue(r, 50, 0, 0);
    end(r, 100, sums, sizeof sums);
    assert_string_equal(log_text, "+10.0 stop missing\n+50.0 stop fired log{\"text\": \"x\"}\n");
}

/* Of an agent that was never sampled nothing is known, which is not the same as a property that it has not. */
static void nothing_was_sampled_yet(void **state)
{
    (void)state;
    char sums[512];
    venv_replay *r = replay_of("hot:\n  when: agents.exists(a, a.p.cputemp > 80.0)\n  on: [update]\n  do: [{log: {text: x}}]\n"
                               "open:\n  when: agents.exists(a, a.breaker == \"open\")\n  on: [update]\n  do: [{log: {text: x}}]\n");
    agent(r, 5, "n1", "connected");
    take(r, 10, VENV_HISTORY_PROPERTY, "n1", "cputemp", VENV_QUALITY_OK, "85.5");
    end(r, 100, sums, sizeof sums);
    assert_string_equal(log_text, "+5.0 hot missing\n+5.0 open missing\n+10.0 hot fired log{\"text\": \"x\"}\n");
}

static void context_ticks_and_schedules(void **state)
{
    (void)state;
    char sums[512];
    venv_replay *r = replay_of("hot:\n  on: [update]\n  when: agent.p.cputemp > 80.0\n  do: [{log: {text: '${agent.name}'}}]\n"
                               "gone:\n  on: [disconnect]\n  when: group == \"default\"\n  do: [{log: {text: '${agent.name}'}}]\n"
                               "evening:\n  at: '15 22 * * *'\n  do: [{log: {text: evening}}]\n"
                               "tick:\n  when: 'true'\n  every: 60\n  until: 'false'\n  do: [{log: {text: once}}]\n");
    agent(r, -5, "n1", "connected");
    take(r, -5, VENV_HISTORY_PROPERTY, "n1", "cputemp", VENV_QUALITY_OK, "50.5");
    take(r, 10, VENV_HISTORY_PROPERTY, "n1", "cputemp", VENV_QUALITY_OK, "85.5");
    take(r, 11, VENV_HISTORY_PROPERTY, "n1", "cputemp", VENV_QUALITY_OK, "85.5");
    agent(r, 20, "n1", "lost");
    end(r, 200, sums, sizeof sums);
    assert_string_equal(log_text, "+0.0 tick fired at the start log{\"text\": \"once\"}\n"
                                  "+10.0 hot/n1 fired log{\"text\": \"n1\"}\n"
                                  "+20.0 hot/n1 missing\n"
                                  "+20.0 gone/n1 fired log{\"text\": \"n1\"}\n"
                                  "+100.0 evening fired log{\"text\": \"evening\"}\n");
}

static void policy(venv_replay *r, double at, const char *json)
{
    take(r, at, VENV_HISTORY_POLICY, "mgr", "", VENV_QUALITY_OK, json);
}

#define ACTS "{\"disabled\": [], \"held\": false, \"breakers\": {}}"

/* A trigger that was switched off, and a manager whose disk was full, did nothing; what was still true then happened afterwards. */
static void what_kept_it_from_acting(void **state)
{
    static const char when[] = "t:\n  when: queue(\"class2\").pending > 0\n  on: [update]\n  do: [{log: {text: x}}]\n";
    (void)state;
    char sums[512];
    venv_replay *r = replay_of(when);
    policy(r, -5, "{\"disabled\": [\"t\", \"another\"], \"held\": false, \"breakers\": {}}");
    agent(r, -5, "head", "connected");
    queue(r, -5, 0, 0);
    queue(r, 10, 1, 0);
    policy(r, 30, ACTS);
    queue(r, 40, 2, 0);
    queue(r, 50, 0, 0);
    policy(r, 60, "{\"disabled\": [], \"held\": true, \"breakers\": {}}");
    queue(r, 70, 1, 0);
    policy(r, 90, ACTS);
    end(r, 100, sums, sizeof sums);
    assert_string_equal(log_text, "+30.0 t fired log{\"text\": \"x\"}\n+50.0 t recovered\n+90.0 t fired log{\"text\": \"x\"}\n");
}

/* Behind a breaker that was open starts wait; expressions see it. */
static void breakers_of_that_time(void **state)
{
    (void)state;
    char sums[512];
    venv_replay *r = replay_of("grow:\n  when: queue(\"class2\").pending > 0\n  on: [update]\n  do: [{start: {environment: class2}}]\n"
                               "up:\n  when: instances(\"class2\").exists(i, i.state == \"running\")\n  on: [update]\n  do: [{log: {text: up}}]\n"
                               "broken:\n  when: breaker(\"class2\").state == \"open\"\n  on: [update]\n  do: [{log: {text: broken}}]\n"
                               "sick:\n  when: agents.exists(a, a.breaker == \"open\")\n  on: [update]\n  do: [{log: {text: sick}}]\n");
    policy(r, -5, ACTS);
    agent(r, -5, "head", "connected");
    queue(r, -5, 0, 0);
    policy(r, 5, "{\"disabled\": [], \"held\": false, \"breakers\": {\"environment/class2\": {\"state\": \"open\"}, \"node/head\": {\"state\": \"open\"}}}");
    queue(r, 10, 1, 0);
    policy(r, 100, ACTS);
    end(r, 200, sums, sizeof sums);
    assert_string_equal(log_text, "+5.0 sick fired log{\"text\": \"sick\"}\n+5.0 broken fired log{\"text\": \"broken\"}\n"
                                  "+10.0 grow fired start{\"environment\": \"class2\"}\n"
                                  "+100.0 sick recovered\n+100.0 broken recovered\n"
                                  "+120.0 up fired log{\"text\": \"up\"}\n"); /* let through at 100, and 20 s to boot */
}

/* Half of a group, and no more, within ten minutes. */
static void shares_of_a_group(void **state)
{
    (void)state;
    char sums[512];
    venv_replay *r = replay_of("drain:\n  for: 'n in [\"n1\", \"n2\", \"n3\", \"n4\"]'\n  when: queue(\"class2\").pending > 0\n  on: [update]\n"
                               "  limit: {share: 50%, of: default, per: 10m}\n  do: [{exec: {target: '${n}', command: drain}}]\n");
    for (const char *const *name = (const char *const[]){ "n1", "n2", "n3", "n4", NULL }; *name; name++)
        agent(r, -5, *name, "connected");
    queue(r, -5, 0, 0);
    agent(r, -5, "head", "connected");
    queue(r, 10, 1, 0);
    end(r, 100, sums, sizeof sums);
    size_t fired = 0, limited = 0;
    for (const char *at = log_text; (at = strstr(at, " fired ")); at++)
        fired++;
    for (const char *at = log_text; (at = strstr(at, " limited")); at++)
        limited++;
    assert_int_equal(fired, 2); /* of five members, head is one of them */
    assert_int_equal(limited, 2);
}

/* An agent has a property from when it declares it, whether or not it was sampled. */
static void declarations(void **state)
{
    (void)state;
    char sums[512];
    venv_replay *r = replay_of("lacks:\n  when: agents.exists(a, a.name == \"n1\" && !has(a.p.cputemp))\n  on: [update]\n  do: [{log: {text: x}}]\n");
    agent(r, 1, "n1", "connected");
    take(r, 2, VENV_HISTORY_PROPERTY, "n1", "load1", VENV_QUALITY_OK, "1.5");
    take(r, 10, VENV_HISTORY_DECLARATION, "n1", "cputemp", VENV_QUALITY_OK, "{\"type\": \"double\", \"unit\": \"Cel\", \"every\": 1, \"source\": \"\"}");
    take(r, 20, VENV_HISTORY_DECLARATION, "n1", "cputemp", VENV_QUALITY_ABSENT, NULL);
    end(r, 30, sums, sizeof sums);
    /* As in the manager: of one that was not sampled yet nothing is known. When it is gone it is lacking again, for which it has fired. */
    assert_string_equal(log_text, "+1.0 lacks missing\n+2.0 lacks fired log{\"text\": \"x\"}\n+10.0 lacks missing\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop),
        cmocka_unit_test(instances_of_people_stay),
        cmocka_unit_test(unknown_is_unknown),
        cmocka_unit_test(nothing_was_sampled_yet),
        cmocka_unit_test(context_ticks_and_schedules),
        cmocka_unit_test(what_kept_it_from_acting),
        cmocka_unit_test(breakers_of_that_time),
        cmocka_unit_test(shares_of_a_group),
        cmocka_unit_test(declarations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
