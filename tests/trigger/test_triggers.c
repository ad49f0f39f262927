/* SPDX-License-Identifier: Apache-2.0 */
/* Triggers over a scripted world: policies, context, three values, limits, what is evaluated when, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <venv/codec.h>
#include <venv/trigger.h>

#include "trigger/trigger.h"

typedef struct world {
    venv_triggers *set;
    venv_trigger_reports reports;
    venv_now now;
    int pending, running, instances; /* pending < 0: unknown */
    double temperature[2];           /* of n0 and n1; < 0: unknown */
    venv_value values[64];           /* kept for the step */
    size_t value_count, row_count;
} world;

static venv_value keep(world *w, venv_value value)
{
    assert_true(w->value_count < 64);
    w->values[w->value_count++] = value;
    return value;
}

static venv_value agent_map(int index, double temperature)
{
    venv_map_builder p, map;
    venv_value properties = venv_value_null(), value = venv_value_null();
    venv_map_init(&p);
    venv_map_put(&p, "cputemp", temperature < 0 ? venv_expr_unknown() : venv_value_double(temperature));
    assert_int_equal(venv_map_take(&p, &properties, NULL), VENV_OK);
    venv_map_init(&map);
    venv_map_put_z(&map, "name", index ? "n1" : "n0");
    venv_map_put_z(&map, "state", "connected");
    venv_map_put(&map, "p", properties);
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    return value;
}

static venv_expr_answer ask_agent(void *user, const char *name, const venv_expr_read *read, venv_value *ret_value,
                                  uint32_t *ret_depth)
{
    world *w = user;
    (void)read;
    *ret_value = keep(w, agent_map(name[1] - '0', w->temperature[name[1] - '0']));
    *ret_depth = 1;
    return VENV_EXPR_FOUND;
}

static venv_expr_answer ask_agents(void *user, venv_value *ret_list)
{
    world *w = user;
    venv_list_builder list;
    venv_list_init(&list);
    for (int i = 0; i < 2; i++)
        venv_list_add(&list, agent_map(i, w->temperature[i]));
    assert_int_equal(venv_list_take(&list, ret_list, NULL), VENV_OK);
    keep(w, *ret_list);
    return VENV_EXPR_FOUND;
}

static venv_rc ask_queue(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    world *w = user;
    if (w->pending < 0)
        return venv_error_set(err, VENV_EUNKNOWN, "the queue could not be looked at");
    bool known = name.size == 6 && memcmp(name.data, "class2", 6) == 0;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "pending", venv_value_int(known ? w->pending : 0));
    venv_map_put(&map, "running", venv_value_int(known ? w->running : 0));
    return venv_map_take(&map, ret_map, err);
}

static venv_rc ask_instances(void *user, venv_str environment, venv_value *ret_list, venv_error *err)
{
    world *w = user;
    (void)environment;
    venv_list_builder list;
    venv_list_init(&list);
    for (int i = 0; i < w->instances; i++)
        venv_list_add(&list, venv_value_int(i));
    return venv_list_take(&list, ret_list, err);
}

static void save(void *user, const char *key, const venv_value *row)
{
    (void)key, (void)row;
    ((world *)user)->row_count++;
}

static world *world_new(const char *yaml)
{
    world *w = calloc(1, sizeof *w);
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    assert_non_null(w);
    w->now = (venv_now){ { 5000 * VENV_NS_PER_S }, { INT64_C(1700000000) * VENV_NS_PER_S } };
    if (venv_yaml_parse(yaml, strlen(yaml), "t.yaml", &value, NULL, &err) != VENV_OK ||
        venv_triggers_new(&value, &(venv_trigger_options){ .tick = { VENV_NS_PER_S } }, &w->set, &err) != VENV_OK)
        fail_msg("%s", err.text);
    venv_value_unref(&value);
    venv_trigger_reports_init(&w->reports);
    return w;
}

static void world_free(world *w)
{
    venv_trigger_reports_fini(&w->reports);
    venv_triggers_free(w->set);
    free(w);
}

/* One step; what is reported becomes one line of text: "fired hot/n0 log{…}; …". */
static const char *step(world *w)
{
    static char text[2048];
    venv_trigger_world calls = { .user = w, .agent = ask_agent, .agents = ask_agents, .queue = ask_queue, .instances = ask_instances };
    venv_error err = { 0 };
    venv_trigger_reports_clear(&w->reports);
    if (venv_triggers_step(w->set, w->now, &calls, &w->reports, &err) != VENV_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < w->value_count; i++)
        venv_value_unref(&w->values[i]);
    w->value_count = 0;
    text[0] = '\0';
    for (size_t i = 0; i < w->reports.count; i++) {
        const venv_trigger_report *r = &w->reports.items[i];
        size_t at = strlen(text);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %s%s%s", at ? "; " : "", venv_trigger_report_name(r->kind),
                               r->trigger, r->unit[0] ? "/" : "", r->unit);
        for (size_t k = 0; k < r->order_count; k++) {
            char arguments[512];
            venv_value_print(&r->orders[k].arguments, arguments, sizeof arguments);
            at += (size_t)snprintf(text + at, sizeof text - at, " %s%s", venv_order_verb_name(r->orders[k].verb), arguments);
        }
    }
    assert_int_equal(venv_triggers_save(w->set, save, w, &err), VENV_OK);
    return text;
}

static const char *later(world *w, double seconds)
{
    w->now.mono.ns += (int64_t)(seconds * 1e9);
    w->now.wall.ns += (int64_t)(seconds * 1e9);
    return step(w);
}

static const char *queue(world *w, int pending, int running)
{
    w->pending = pending;
    w->running = running;
    venv_triggers_note_property(w->set, "head", "queue");
    return step(w);
}

static const char *heat(world *w, int index, double temperature)
{
    w->temperature[index] = temperature;
    venv_triggers_note_property(w->set, index ? "n1" : "n0", "cputemp");
    return step(w);
}

static const char grow[] = "grow:\n  when: queue(\"class2\").pending > 0 && instances(\"class2\").size() < 20\n"
                           "  until: queue(\"class2\").pending == 0\n  hold: 30s\n  cooldown: 2m\n  on: [update]\n"
                           "  do: [{start: {environment: class2, count: '${min(4, queue(\"class2\").pending)}'}}]\n";

#define FIRED(n) "fired grow start{\"count\": " n ", \"environment\": \"class2\"}"

static void hold_until_cooldown(void **state)
{
    (void)state;
    world *w = world_new(grow);
    assert_string_equal(step(w), "");
    assert_string_equal(queue(w, 7, 0), "");
    assert_string_equal(later(w, 29), "");
    assert_string_equal(later(w, 1), FIRED("4"));
    assert_string_equal(queue(w, 3, 4), "");
    assert_string_equal(later(w, 119), "");
    assert_string_equal(later(w, 1), FIRED("3")); /* still true: again */
    assert_string_equal(queue(w, 0, 7), "recovered grow");
    assert_string_equal(queue(w, 5, 0), "");      /* it cools */
    assert_string_equal(later(w, 119), "");
    assert_string_equal(later(w, 1), "");         /* and holds */
    assert_string_equal(later(w, 30), FIRED("4"));
    world_free(w);
}

static void a_hold_that_breaks_starts_anew(void **state)
{
    (void)state;
    world *w = world_new(grow);
    step(w);
    queue(w, 1, 0);
    later(w, 20);
    queue(w, 0, 0);
    queue(w, 1, 0);
    assert_string_equal(later(w, 20), "");
    assert_string_equal(queue(w, -1, 0), "missing grow"); /* unknown is not true: the hold is over */
    queue(w, 1, 0);
    assert_string_equal(later(w, 29), "");
    assert_string_equal(later(w, 1), FIRED("1"));
    world_free(w);
}

/* Nobody looked for a while, because nothing was to be begun: what was true before and is now may not have been in between. */
static void a_hold_over_a_time_without_looks(void **state)
{
    (void)state;
    world *w = world_new(grow);
    step(w);
    queue(w, 1, 0);
    w->now.mono.ns += 60 * VENV_NS_PER_S;
    w->now.wall.ns += 60 * VENV_NS_PER_S;
    venv_triggers_unlooked(w->set, w->now);
    assert_string_equal(step(w), "");
    assert_string_equal(later(w, 29), "");
    assert_string_equal(later(w, 1), FIRED("1"));
    venv_triggers_unlooked(w->set, w->now); /* what has fired stays so, and cools on */
    assert_string_equal(later(w, 119), "");
    assert_string_equal(queue(w, 0, 1), "recovered grow");
    world_free(w);
}

static void unknown_never_acts(void **state)
{
    (void)state;
    world *w = world_new("stop:\n  when: queue(\"class2\").pending == 0\n  do: [{stop: {environment: class2}}]\n"
                         "arg:\n  when: 'true'\n  on: [update]\n"
                         "  do: [{start: {environment: class2, count: '${queue(\"class2\").pending}'}}]\n");
    w->pending = -1;
    assert_string_equal(step(w), "missing arg; missing stop");
    assert_non_null(strstr(w->reports.items[1].text, "queue(\"class2\")"));
    assert_string_equal(later(w, 1000), ""); /* told once */
    assert_string_equal(queue(w, 2, 0), "fired arg start{\"count\": 2, \"environment\": \"class2\"}");
    assert_string_equal(queue(w, -1, 0), "missing stop");
    assert_string_equal(queue(w, 0, 0), "fired stop stop{\"environment\": \"class2\"}");
    world_free(w);
}

/* A12: the temperature of one node over its threshold. One unit for each agent. */
static void context_of_an_agent(void **state)
{
    (void)state;
    world *w = world_new("hot:\n  on: [update]\n  when: agent.p.cputemp > 80.0\n  until: agent.p.cputemp < 70.0\n"
                         "  do: [{log: {text: 'node ${agent.name} at ${agent.p.cputemp}, ${property} by ${reason}'}}]\n");
    assert_string_equal(step(w), "");
    assert_string_equal(heat(w, 0, 60), "");
    assert_string_equal(heat(w, 1, 85.5), "fired hot/n1 log{\"text\": \"node n1 at 85.5, cputemp by update\"}");
    assert_string_equal(heat(w, 1, 90), "");
    assert_string_equal(heat(w, 0, 81.5), "fired hot/n0 log{\"text\": \"node n0 at 81.5, cputemp by update\"}");
    assert_string_equal(heat(w, 1, 75), "");
    assert_string_equal(heat(w, 1, -1), "missing hot/n1");
    assert_string_equal(heat(w, 1, 65), "recovered hot/n1");
    assert_string_equal(heat(w, 1, 85.5), "fired hot/n1 log{\"text\": \"node n1 at 85.5, cputemp by update\"}");
    /* Two updates in one batch: each agent once. */
    w->temperature[0] = w->temperature[1] = 60;
    venv_triggers_note_property(w->set, "n0", "cputemp");
    venv_triggers_note_property(w->set, "n1", "cputemp");
    venv_triggers_note_property(w->set, "n0", "cputemp");
    step(w);
    assert_int_equal(w->reports.count, 2);
    assert_int_equal(w->reports.items[0].kind, VENV_TRIGGER_RECOVERED);
    assert_int_equal(w->reports.items[1].kind, VENV_TRIGGER_RECOVERED);
    world_free(w);
}

static void membership_events(void **state)
{
    (void)state;
    world *w = world_new("gone:\n  on: [disconnect, leave]\n  when: group == \"hypervisor\"\n"
                         "  do: [{log: {level: warning, text: '${agent.name} ${reason} ${group}'}}]\n");
    step(w);
    venv_triggers_note_membership(w->set, "n0", "hypervisor", "join", "connected");
    assert_string_equal(step(w), "");
    venv_triggers_note_membership(w->set, "n0", "hypervisor", "disconnect", "reset");
    step(w);
    assert_int_equal(w->reports.count, 1);
    assert_true(venv_value_is_text(venv_value_get(&w->reports.items[0].orders[0].arguments, "text"), "n0 disconnect hypervisor"));
    world_free(w);
}

/* A12: five minutes since the last update; half past ten at night; waiting jobs and a free node. */
static void the_examples_of_the_prototype(void **state)
{
    (void)state;
    world *w = world_new("ask:\n  every: 10\n  when: now - timestamp(\"2023-11-14T22:13:20Z\") > duration(\"5m\")\n"
                         "  do: [{get: {target: '@all'}}]\n"
                         "evening:\n  every: 60\n  when: now.getHours() == 22 && now.getMinutes() == 30\n"
                         "  do: [{exec: {target: '@workstation', command: shutdown, args: ['-h', '${1 + 1}'], timeout: 10s}}]\n"
                         "start:\n  on: [update]\n  when: queue(\"class2\").pending > 0 && agents.exists(a, a.p.cputemp < 50.0)\n"
                         "  do: [{start: {environment: class2, node: '${agents.filter(a, a.p.cputemp < 50.0)[0].name}'}}]\n");
    w->temperature[0] = 70;
    w->temperature[1] = 40;
    assert_string_equal(step(w), "");
    assert_string_equal(queue(w, 1, 0), "fired start start{\"node\": \"n1\", \"environment\": \"class2\"}");
    assert_string_equal(later(w, 301), "fired ask get{\"target\": \"@all\"}");
    for (int minute = 0; minute < 14 && w->reports.count == 0; minute++)
        later(w, 60);
    for (int minute = 0; minute < 14; minute++) {
        later(w, 60);
        if (w->reports.count > 0)
            break;
    }
    assert_int_equal(w->reports.count, 1);
    const venv_value *arguments = &w->reports.items[0].orders[0].arguments;
    assert_string_equal(w->reports.items[0].trigger, "evening");
    assert_true(venv_value_is_text(venv_value_at(venv_value_get(arguments, "args"), 1), "2"));
    assert_int_equal(venv_value_kind(venv_value_get(arguments, "timeout")), VENV_DURATION);
    world_free(w);
}

static void one_unit_an_element(void **state)
{
    (void)state;
    world *w = world_new("grow:\n  for: env in [\"class1\", \"class2\"]\n  when: queue(env).pending > 0\n"
                         "  do: [{start: {environment: '${env}'}}]\n");
    step(w);
    assert_string_equal(queue(w, 2, 0), "fired grow/class2 start{\"environment\": \"class2\"}");
    world_free(w);
}

/* What recovers counts, too: it waits for its time, and is told once. */
static void limits_of_recovery(void **state)
{
    (void)state;
    world *w = world_new("grow:\n  when: queue(\"class2\").pending > 0\n  on: [update]\n  limit: {actions: 1, per: 10m}\n"
                         "  do: [{log: {text: up}}]\n  recover: [{log: {text: down}}]\n");
    step(w);
    assert_string_equal(queue(w, 1, 0), "fired grow log{\"text\": \"up\"}");
    assert_string_equal(queue(w, 0, 0), "limited grow");
    assert_string_equal(queue(w, 0, 1), "");
    assert_string_equal(queue(w, 1, 0), "");
    assert_string_equal(queue(w, 0, 0), "limited grow");
    assert_string_equal(later(w, 600), "recovered grow log{\"text\": \"down\"}");
    assert_string_equal(queue(w, 1, 0), "limited grow");
    world_free(w);
}

/* An argument that cannot be had is told once, not at each evaluation. */
static void a_bad_argument_is_told_once(void **state)
{
    (void)state;
    world *w = world_new("hot:\n  on: [update]\n  when: agent.p.cputemp > 80.0\n  do: [{log: {text: '${agent.p.nothing}'}}]\n");
    step(w);
    assert_string_equal(heat(w, 1, 85), "failed hot/n1");
    assert_string_equal(heat(w, 1, 86), "");
    assert_string_equal(heat(w, 1, 60), "");
    assert_string_equal(heat(w, 1, 87), "failed hot/n1");
    world_free(w);
}

static void limits(void **state)
{
    (void)state;
    world *w = world_new("grow:\n  when: queue(\"class2\").pending > 0\n  cooldown: 1s\n  limit: {actions: 5, per: 10m}\n"
                         "  do: [{start: {environment: class2, count: 4}}]\n");
    step(w);
    assert_string_equal(queue(w, 9, 0), FIRED("4"));
    assert_string_equal(later(w, 1), FIRED("1")); /* cut down to what is left */
    assert_string_equal(later(w, 1), "limited grow");
    assert_string_equal(later(w, 100), "");
    assert_string_equal(later(w, 498), FIRED("4"));
    world_free(w);
}

static void a_failure_harms_nobody_else(void **state)
{
    (void)state;
    world *w = world_new("bad:\n  when: 1 / queue(\"class2\").running > 0\n  do: [{log: {text: x}}]\n"
                         "good:\n  when: queue(\"class2\").pending > 0\n  do: [{log: {text: y}}]\n");
    step(w);
    assert_string_equal(queue(w, 1, 0), "fired good log{\"text\": \"y\"}");
    venv_value map = venv_value_null();
    assert_int_equal(venv_triggers_describe(w->set, "bad", w->now, &map, NULL), VENV_OK);
    assert_true(venv_value_get_text(&map, "error").size > 0);
    venv_value_unref(&map);
    assert_string_equal(queue(w, 1, 1), "fired bad log{\"text\": \"x\"}");
    world_free(w);
}

static void mode_observe(void **state)
{
    (void)state;
    world *w = world_new("look:\n  mode: observe\n  when: queue(\"class2\").pending > 0\n  do: [{start: {environment: class2}}]\n");
    step(w);
    assert_string_equal(queue(w, 1, 0), "observed look start{\"environment\": \"class2\"}");
    world_free(w);
}

static uint64_t evaluations(world *w, const char *name)
{
    venv_value map = venv_value_null();
    assert_int_equal(venv_triggers_describe(w->set, name, w->now, &map, NULL), VENV_OK);
    uint64_t count = (uint64_t)venv_value_get_int(&map, "evaluations", -1);
    venv_value_unref(&map);
    return count;
}

static void only_what_reads_it(void **state)
{
    (void)state;
    world *w = world_new("q:\n  when: queue(\"class2\").pending > 100\n  on: [update]\n  do: [{log: {text: x}}]\n"
                         "i:\n  when: instances(\"class2\").size() > 100\n  on: [update]\n  do: [{log: {text: x}}]\n"
                         "t:\n  when: agent.p.cputemp > 1000.0\n  on: [update]\n  do: [{log: {text: x}}]\n");
    step(w);
    uint64_t q = evaluations(w, "q"), i = evaluations(w, "i"), t = evaluations(w, "t");
    for (int k = 0; k < 5; k++)
        venv_triggers_note_property(w->set, "head", "queue");
    step(w);
    assert_int_equal(evaluations(w, "q"), q + 1); /* once for a batch */
    assert_int_equal(evaluations(w, "i"), i);
    assert_int_equal(evaluations(w, "t"), t);
    venv_triggers_note_instances(w->set, "class2");
    venv_triggers_note_instances(w->set, "class9");
    step(w);
    assert_int_equal(evaluations(w, "q"), q + 1);
    assert_int_equal(evaluations(w, "i"), i + 1);
    venv_triggers_note_property(w->set, "n0", "memfree");
    step(w);
    assert_int_equal(evaluations(w, "q"), q + 1);
    assert_int_equal(evaluations(w, "t"), t);
    venv_triggers_note_property(w->set, "n0", "cputemp");
    step(w);
    assert_int_equal(evaluations(w, "t"), t + 1);
    assert_false(venv_triggers_pending(w->set));
    world_free(w);
}

static void ticks(void **state)
{
    (void)state;
    world *w = world_new("never:\n  every: -1\n  when: 'true'\n  do: [{log: {text: x}}]\n"
                         "once:\n  every: 0\n  when: 'true'\n  do: [{log: {text: x}}]\n"
                         "ten:\n  every: 10\n  when: 'true'\n  do: [{log: {text: x}}]\n");
    step(w);
    assert_int_equal(w->reports.count, 2);
    assert_int_equal(evaluations(w, "never"), 0);
    uint64_t ten = evaluations(w, "ten");
    later(w, 9);
    assert_int_equal(evaluations(w, "ten"), ten);
    later(w, 1);
    assert_int_equal(evaluations(w, "ten"), ten + 1);
    later(w, 1000); /* ticks that were missed are not made up for */
    assert_int_equal(evaluations(w, "ten"), ten + 2);
    assert_int_equal(evaluations(w, "once"), 1);
    world_free(w);
}

static void restart(void **state)
{
    (void)state;
    world *w = world_new(grow);
    step(w);
    queue(w, 7, 0);
    later(w, 30);
    assert_int_equal(w->row_count, 2); /* its counters, and its unit */
    /* Take a row up with new triggers, ten seconds later on another monotonic clock. */
    world *again = world_new(grow);
    again->now.wall.ns = w->now.wall.ns + 10 * VENV_NS_PER_S;
    again->now.mono.ns = 77;
    venv_map_builder map;
    venv_value row = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, "state", "active");
    venv_map_put(&map, "since", venv_value_from_wall(w->now.wall));
    venv_map_put(&map, "fired_at", venv_value_from_wall(w->now.wall));
    venv_map_put(&map, "fired", venv_value_int(1));
    assert_int_equal(venv_map_take(&map, &row, NULL), VENV_OK);
    bool known = false;
    assert_int_equal(venv_triggers_restore(again->set, VENV_STR("grow/"), &row, again->now, &known, NULL), VENV_OK);
    assert_true(known);
    assert_int_equal(venv_triggers_restore(again->set, VENV_STR("other/x"), &row, again->now, &known, NULL), VENV_OK);
    assert_false(known);
    venv_value_unref(&row);
    again->pending = 7;
    assert_string_equal(step(again), ""); /* it has fired, and cools */
    assert_string_equal(later(again, 109), "");
    assert_string_equal(later(again, 1), FIRED("4"));
    assert_string_equal(queue(again, 0, 0), "recovered grow");
    world_free(again);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hold_until_cooldown),
        cmocka_unit_test(a_hold_that_breaks_starts_anew),
        cmocka_unit_test(a_hold_over_a_time_without_looks),
        cmocka_unit_test(unknown_never_acts),
        cmocka_unit_test(context_of_an_agent),
        cmocka_unit_test(membership_events),
        cmocka_unit_test(the_examples_of_the_prototype),
        cmocka_unit_test(one_unit_an_element),
        cmocka_unit_test(limits),
        cmocka_unit_test(limits_of_recovery),
        cmocka_unit_test(a_bad_argument_is_told_once),
        cmocka_unit_test(a_failure_harms_nobody_else),
        cmocka_unit_test(mode_observe),
        cmocka_unit_test(only_what_reads_it),
        cmocka_unit_test(ticks),
        cmocka_unit_test(restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
