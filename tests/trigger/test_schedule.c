/* SPDX-License-Identifier: Apache-2.0 */
/* Triggers and the calendar: time zones in expressions. Time is virtual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <venv/codec.h>
#include <venv/trigger.h>

#include "fake_zone.h"

typedef struct world {
    venv_triggers *set;
    venv_trigger_reports reports;
    venv_now now;
    int waiting; /* of queue "class2"; < 0: unknown */
} world;

static venv_expr_answer no_agent(void *user, const char *name, const venv_expr_read *read, venv_value *ret_value,
                                 uint32_t *ret_depth)
{
    (void)user, (void)name, (void)read, (void)ret_value, (void)ret_depth;
    return VENV_EXPR_NOT_THERE;
}

static venv_expr_answer no_agents(void *user, venv_value *ret_list)
{
    (void)user, (void)ret_list;
    return VENV_EXPR_NOT_KNOWN;
}

static venv_rc ask_queue(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    const world *w = user;
    (void)name;
    if (w->waiting < 0)
        return venv_error_set(err, VENV_EUNKNOWN, "the queue could not be looked at");
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "pending", venv_value_int(w->waiting));
    return venv_map_take(&map, ret_map, err);
}

static venv_rc no_instances(void *user, venv_str environment, venv_value *ret_list, venv_error *err)
{
    (void)user, (void)environment, (void)ret_list;
    return venv_error_set(err, VENV_ENOENT, "no environment");
}

static venv_wall wall_of(const char *text)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end)
        fail_msg("%s is no time", text);
    return (venv_wall){ (int64_t)timegm(&tm) * VENV_NS_PER_S };
}

static venv_triggers *compile(const char *yaml, venv_expr_zone_fn zone, venv_error *err)
{
    const venv_trigger_options options = { .tick = { VENV_NS_PER_S }, .zone = zone };
    venv_value value = venv_value_null();
    venv_triggers *set = NULL;
    if (venv_yaml_parse(yaml, strlen(yaml), "t.yaml", &value, NULL, err) != VENV_OK)
        fail_msg("%s", err->text);
    if (venv_triggers_new(&value, &options, &set, err) != VENV_OK)
        set = NULL;
    venv_value_unref(&value);
    return set;
}

static world *world_new(const char *yaml, const char *now)
{
    world *w = calloc(1, sizeof *w);
    venv_error err = { 0 };
    assert_non_null(w);
    w->now = (venv_now){ { 5000 * VENV_NS_PER_S }, wall_of(now) };
    if (!(w->set = compile(yaml, fake_zone, &err)))
        fail_msg("%s", err.text);
    venv_trigger_reports_init(&w->reports);
    return w;
}

static void world_free(world *w)
{
    venv_trigger_reports_fini(&w->reports);
    venv_triggers_free(w->set);
    free(w);
}

/* One step: "fired a; failed b". */
static const char *step(world *w)
{
    static char text[1024];
    venv_trigger_world calls = { w, no_agent, no_agents, ask_queue, no_instances };
    venv_error err = { 0 };
    size_t at = 0;
    venv_trigger_reports_clear(&w->reports);
    if (venv_triggers_step(w->set, w->now, &calls, &w->reports, &err) != VENV_OK)
        fail_msg("%s", err.text);
    text[0] = '\0';
    for (size_t i = 0; i < w->reports.count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %s", at ? "; " : "",
                               venv_trigger_report_name(w->reports.items[i].kind), w->reports.items[i].trigger);
    return text;
}

/* The clocks run until then; a step is made at each moment that the triggers ask for. */
static const char *until(world *w, const char *time)
{
    static char text[1024];
    size_t at = 0;
    venv_wall end = wall_of(time);
    text[0] = '\0';
    while (w->now.wall.ns < end.ns) {
        int64_t wait = venv_triggers_deadline(w->set).ns - w->now.mono.ns;
        wait = wait < 0 ? 0 : wait;
        if (wait > end.ns - w->now.wall.ns)
            wait = end.ns - w->now.wall.ns;
        w->now.mono.ns += wait;
        w->now.wall.ns += wait;
        const char *told = step(w);
        if (*told)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? "; " : "", told);
        assert_true(at < sizeof text);
    }
    return text;
}

static void zones_in_expressions(void **state)
{
    (void)state;
    /* 18:30 in Rome is 17:30Z in winter and 16:30Z in summer. */
    const char *yaml = "rome:\n  when: now.getHours(\"Europe/Rome\") == 18 && now.getMinutes(\"Europe/Rome\") == 30\n"
                       "  do: [{log: {text: x}}]\n";
    world *w = world_new(yaml, "2026-11-22T17:29:59Z");
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-11-22T17:30:00Z"), "fired rome");
    assert_string_equal(until(w, "2026-11-22T17:31:00Z"), "recovered rome");
    world_free(w);
    w = world_new(yaml, "2026-07-01T16:29:59Z");
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-07-01T16:30:00Z"), "fired rome");
    world_free(w);
}

/* The name of a zone may be computed; the loader is asked while it is evaluated. */
static void a_computed_zone(void **state)
{
    (void)state;
    world *w = world_new("z:\n  when: '[\"Europe/Rome\"].exists(z, now.getHours(z) == 18)'\n  do: [{log: {text: x}}]\n",
                         "2026-11-22T17:30:00Z");
    assert_string_equal(step(w), "fired z");
    world_free(w);
}

static void an_unknown_zone_is_found_at_once(void **state)
{
    (void)state;
    venv_error err = { 0 };
    assert_null(compile("z:\n  when: now.getHours(\"Europe/Atlantis\") == 18\n  do: [{log: {text: x}}]\n", fake_zone, &err));
    assert_non_null(strstr(err.text, "Europe/Atlantis"));
    /* Where nobody gives zones it is found when it is looked at: reported, never taken for another zone. */
    world w = { .now = { { 5000 * VENV_NS_PER_S }, wall_of("2026-11-22T17:30:00Z") } };
    w.set = compile("z:\n  when: now.getHours(\"Europe/Rome\") == 18\n  do: [{log: {text: x}}]\n", NULL, &err);
    venv_trigger_reports_init(&w.reports);
    assert_string_equal(step(&w), "failed z");
    assert_non_null(strstr(w.reports.items[0].text, "Europe/Rome"));
    venv_trigger_reports_fini(&w.reports);
    venv_triggers_free(w.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_in_expressions),
        cmocka_unit_test(a_computed_zone),
        cmocka_unit_test(an_unknown_zone_is_found_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
