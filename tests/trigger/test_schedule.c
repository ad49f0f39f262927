/* SPDX-License-Identifier: Apache-2.0 */
/* Triggers and the calendar: time zones in expressions, schedules, clocks that are set, restarts. Time is virtual. */
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
#include "trigger/cron.h"

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
    venv_trigger_world calls = { .user = w, .agent = no_agent, .agents = no_agents, .queue = ask_queue, .instances = no_instances };
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

/* --- schedules by themselves ---------------------------------------------------------------------------- */

static int64_t next_of(const char *schedule, const char *zone, int64_t after)
{
    venv_cron cron;
    venv_error err = { 0 };
    int64_t moment = -1;
    if (venv_cron_parse((venv_str){ schedule, strlen(schedule) }, &cron, &err) != VENV_OK ||
        venv_cron_set_zone(&cron, (venv_str){ zone, strlen(zone) }, fake_zone, NULL, &err) != VENV_OK)
        fail_msg("%s: %s", schedule, err.text);
    if (!venv_cron_next(&cron, after, &moment))
        moment = -1;
    venv_cron_fini(&cron);
    return moment;
}

#define ROME "Europe/Rome"

static const struct {
    const char *schedule, *zone, *after, *next[3];
} nexts[] = {
    { "30 18 * * *", "UTC", "2026-11-22T12:00:00Z", { "2026-11-22T18:30:00Z", "2026-11-23T18:30:00Z", "2026-11-24T18:30:00Z" } },
    { "30 18 * * *", ROME, "2026-11-22T17:30:00Z", { "2026-11-23T17:30:00Z", "2026-11-24T17:30:00Z", "2026-11-25T17:30:00Z" } },
    { "30 18 * * *", "+02:00", "2026-11-22T12:00:00Z", { "2026-11-22T16:30:00Z", "2026-11-23T16:30:00Z", NULL } },
    { "*/20 * * * *", "UTC", "2026-12-31T23:20:01Z", { "2026-12-31T23:40:00Z", "2027-01-01T00:00:00Z", "2027-01-01T00:20:00Z" } },
    { "0 8-18/5,20 * * mon-fri", "UTC", "2026-11-20T13:00:00Z", { "2026-11-20T18:00:00Z", "2026-11-20T20:00:00Z", "2026-11-23T08:00:00Z" } },
    { "0 0 * * FRI-SUN", "UTC", "2026-11-22T00:00:00Z", { "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z" } },
    { "0 0 * * 7", "UTC", "2026-11-22T00:00:00Z", { "2026-11-29T00:00:00Z", NULL, NULL } },
    { "15 6 1 jan,Jul *", "UTC", "2026-01-01T06:15:00Z", { "2026-07-01T06:15:00Z", "2027-01-01T06:15:00Z", NULL } },
    /* A day of month or a day of week, where both are given; both, where one begins with a star. */
    { "0 0 13 * fri", "UTC", "2026-11-08T00:00:00Z", { "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z" } },
    { "0 0 */2 * mon", "UTC", "2026-11-01T00:00:00Z", { "2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z", NULL } },
    { "0 0 31 * *", "UTC", "2026-08-31T00:00:00Z", { "2026-10-31T00:00:00Z", "2026-12-31T00:00:00Z", NULL } },
    /* 29 February, also where a century has none. */
    { "0 12 29 2 *", "UTC", "2026-01-01T00:00:00Z", { "2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z", NULL } },
    { "0 12 29 feb *", "UTC", "2096-03-01T00:00:00Z", { "2104-02-29T12:00:00Z", NULL, NULL } },
    { "@monthly", "UTC", "2026-11-22T00:00:00Z", { "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", NULL } },
    /* On 29 March 2026 the clocks of Rome go from 02:00 (01:00Z) to 03:00. */
    { "30 1 * * *", ROME, "2026-03-28T12:00:00Z", { "2026-03-29T00:30:00Z", "2026-03-29T23:30:00Z", NULL } },
    { "30 2 * * *", ROME, "2026-03-27T12:00:00Z", { "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z" } },
    { "0,20,40 2 * * *", ROME, "2026-03-28T12:00:00Z", { "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:20:00Z" } },
    { "0 3 * * *", ROME, "2026-03-28T12:00:00Z", { "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z", NULL } },
    { "*/30 * * * *", ROME, "2026-03-29T00:15:00Z", { "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z" } },
    /* On 25 October 2026 they go from 03:00 (01:00Z) back to 02:00. */
    { "30 2 * * *", ROME, "2026-10-24T12:00:00Z", { "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", NULL } },
    { "0 3 * * *", ROME, "2026-10-24T12:00:00Z", { "2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z", NULL } },
    { "30 * * * *", ROME, "2026-10-24T23:45:00Z", { "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z" } },
};

static void the_next_moments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nexts / sizeof nexts[0]; i++) {
        int64_t after = wall_of(nexts[i].after).ns / VENV_NS_PER_S;
        for (size_t k = 0; k < 3 && nexts[i].next[k]; k++) {
            int64_t expected = wall_of(nexts[i].next[k]).ns / VENV_NS_PER_S, found = next_of(nexts[i].schedule, nexts[i].zone, after);
            if (found != expected)
                fail_msg("%s %s: %zu. is %s, found %+lld s from it", nexts[i].schedule, nexts[i].zone, k + 1, nexts[i].next[k],
                         (long long)(found - expected));
            after = found;
        }
    }
}

/* Through both changes of a year each day has its 02:30 once, in order, about a day apart. */
static void once_a_day_through_a_year(void **state)
{
    (void)state;
    int64_t at = wall_of("2026-01-01T00:00:00Z").ns / VENV_NS_PER_S;
    for (int day = 0; day < 365; day++) {
        int64_t next = next_of("30 2 * * *", ROME, at);
        assert_true(day == 0 || (next - at >= 82800 && next - at <= 90000));
        at = next;
    }
    assert_int_equal(at, wall_of("2026-12-31T01:30:00Z").ns / VENV_NS_PER_S);
}

/* Whatever is written: five fields, or one error with a column in the text. */
static void nonsense(void **state)
{
    (void)state;
    static const char letters[] = "0123456789*,-/ \tmonfri@";
    uint64_t random = 88172645463325252;
    for (int round = 0; round < 20000; round++) {
        char text[24];
        size_t size = 0;
        for (random ^= random << 13, random ^= random >> 7, random ^= random << 17; size < random % sizeof text; size++)
            text[size] = letters[(random >> (size * 2)) % (sizeof letters - 1)];
        venv_cron cron;
        venv_error err = { 0 };
        int64_t next;
        venv_rc rc = venv_cron_parse((venv_str){ text, size }, &cron, &err);
        assert_true(rc == VENV_OK ? venv_cron_next(&cron, 0, &next) && next > 0
                                  : rc == VENV_EINVAL && err.line == 1 && err.column >= 1 && err.column <= size + 1);
    }
}

/* --- triggers with `at` ------------------------------------------------------------------------------------- */

static const char evening[] = "evening:\n  at: '30 18 * * *'\n  zone: Europe/Rome\n  do: [{log: {text: good night}}]\n";

static void jump(world *w, const char *time)
{
    w->now.wall = wall_of(time); /* the other clock goes on */
    w->now.mono.ns += VENV_NS_PER_S;
}

static void at_its_time(void **state)
{
    (void)state;
    world *w = world_new(evening, "2026-03-27T12:00:00Z");
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-03-27T17:29:59Z"), "");
    assert_string_equal(until(w, "2026-03-27T17:30:00Z"), "fired evening"); /* to the second */
    assert_non_null(strstr(w->reports.items[0].text, "2026-03-27T17:30Z has come"));
    assert_string_equal(until(w, "2026-03-28T17:29:59Z"), "");
    assert_string_equal(until(w, "2026-03-29T16:30:00Z"), "fired evening; fired evening"); /* summer since the night */
    venv_value map = venv_value_null();
    venv_wall next = { 0 };
    assert_int_equal(venv_triggers_describe(w->set, "evening", w->now, &map, NULL), VENV_OK);
    assert_true(venv_value_to_wall(venv_value_get(&map, "next"), &next));
    assert_int_equal(next.ns, wall_of("2026-03-30T16:30:00Z").ns);
    assert_true(venv_value_is_text(venv_value_get(&map, "at"), "30 18 * * *"));
    assert_true(venv_value_is_text(venv_value_get(&map, "zone"), "Europe/Rome"));
    assert_true(venv_value_is_text(venv_value_get(&map, "state"), "idle"));
    assert_null(venv_value_get(&map, "when"));
    venv_value_unref(&map);
    world_free(w);
}

static void clocks_that_are_set(void **state)
{
    (void)state;
    world *w = world_new(evening, "2026-11-22T17:00:00Z");
    assert_string_equal(step(w), "");
    jump(w, "2036-11-22T17:00:00Z"); /* ten years: once, and not 3,652 times */
    assert_string_equal(step(w), "fired evening");
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2036-11-22T17:31:00Z"), "fired evening");
    jump(w, "2036-11-22T17:29:00Z"); /* a little back: not the same time again */
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2036-11-23T17:29:00Z"), "");
    jump(w, "2026-11-22T17:00:00Z"); /* it was wrong for years: as if it begins now */
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-11-22T17:30:00Z"), "fired evening");
    /* A clock that is set while it waits is noticed within ten seconds. */
    jump(w, "2026-11-23T17:30:00Z");
    assert_true(venv_triggers_deadline(w->set).ns - w->now.mono.ns <= 10 * VENV_NS_PER_S);
    world_free(w);
}

static void with_a_condition(void **state)
{
    (void)state;
    world *w = world_new("jobs:\n  at: '*/10 * * * *'\n  when: queue(\"class2\").pending > 0\n  do: [{log: {text: x}}]\n",
                         "2026-11-22T12:00:00Z");
    w->waiting = 0;
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-11-22T12:15:00Z"), "");
    w->waiting = 3;
    venv_triggers_note_property(w->set, "head", "queue"); /* not now: at the next time */
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-11-22T12:31:00Z"), "fired jobs; fired jobs");
    w->waiting = -1; /* unknown never acts; it is said each time, and not made up for */
    assert_string_equal(until(w, "2026-11-22T12:51:00Z"), "missing jobs; missing jobs");
    w->waiting = 3;
    assert_string_equal(until(w, "2026-11-22T12:59:00Z"), "");
    assert_string_equal(until(w, "2026-11-22T13:00:00Z"), "fired jobs");
    world_free(w);
}

static void policies(void **state)
{
    (void)state;
    world *w = world_new("cool:\n  at: '*/10 * * * *'\n  cooldown: 25m\n  do: [{log: {text: x}}]\n"
                         "each:\n  for: e in [\"a\", \"b\"]\n  at: '0 * * * *'\n  when: e == \"b\"\n  do: [{log: {text: '${e}'}}]\n"
                         "few:\n  at: '*/10 * * * *'\n  limit: {actions: 1, per: 15m}\n  do: [{log: {text: x}}]\n",
                         "2026-11-22T12:01:00Z");
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-11-22T12:10:00Z"), "fired few; fired cool");
    assert_string_equal(until(w, "2026-11-22T12:29:00Z"), "limited few"); /* and not as soon as it may again */
    assert_string_equal(until(w, "2026-11-22T12:39:00Z"), "fired few");
    assert_string_equal(until(w, "2026-11-22T12:40:00Z"), "limited few; fired cool");
    assert_string_equal(until(w, "2026-11-22T13:00:00Z"), "fired few; limited few; fired each");
    world_free(w);
}

static void too_late(void **state)
{
    (void)state;
    world *w = world_new("t:\n  at: '30 18 * * *'\n  late: 10m\n  do: [{log: {text: x}}]\n", "2026-11-22T18:00:00Z");
    assert_string_equal(step(w), "");
    jump(w, "2026-11-22T18:40:00Z");
    assert_string_equal(step(w), "fired t");
    assert_non_null(strstr(w->reports.items[0].text, "600 s ago"));
    jump(w, "2026-11-23T18:40:01Z");
    assert_string_equal(step(w), "failed t");
    assert_non_null(strstr(w->reports.items[0].text, "`late`"));
    assert_string_equal(until(w, "2026-11-24T18:31:00Z"), "fired t");
    world_free(w);
}

/* --- restarts --------------------------------------------------------------------------------------------------- */

static void keep_row(void *user, const char *key, const venv_value *row)
{
    venv_value *kept = user;
    (void)key;
    venv_value_unref(kept);
    assert_int_equal(venv_value_dup(row, kept, NULL), VENV_OK);
}

/* The set ends, and another one begins with the row, `time` later. */
static void restart(world *w, const char *yaml, const char *time)
{
    venv_value row = venv_value_null();
    venv_error err = { 0 };
    bool known = false;
    assert_int_equal(venv_triggers_save(w->set, keep_row, &row, &err), VENV_OK);
    assert_int_equal(venv_value_kind(&row), VENV_MAP);
    venv_triggers_free(w->set);
    w->set = compile(yaml, fake_zone, &err);
    assert_non_null(w->set);
    w->now = (venv_now){ { 7 * VENV_NS_PER_S }, wall_of(time) };
    assert_int_equal(venv_triggers_restore(w->set, VENV_STR("evening"), &row, w->now, &known, &err), VENV_OK);
    assert_true(known);
    venv_value_unref(&row);
}

static void restarts(void **state)
{
    (void)state;
    world *w = world_new(evening, "2026-11-22T17:29:00Z");
    assert_string_equal(step(w), "");
    restart(w, evening, "2026-11-22T17:45:00Z"); /* its time came while nobody was there: once */
    assert_string_equal(step(w), "fired evening");
    restart(w, evening, "2026-11-22T17:45:20Z"); /* not again */
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-11-23T17:30:00Z"), "fired evening");
    restart(w, evening, "2026-11-23T17:30:30Z"); /* in the same minute */
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-11-23T23:00:00Z"), "");
    jump(w, "2026-12-01T17:30:10Z");
    assert_string_equal(step(w), "fired evening");
    /* Another schedule begins now: what it would have missed is not its own. */
    static const char other[] = "evening:\n  at: '35 18 * * *'\n  zone: Europe/Rome\n  do: [{log: {text: x}}]\n";
    restart(w, other, "2026-12-02T17:40:00Z");
    assert_string_equal(step(w), "");
    assert_string_equal(until(w, "2026-12-03T17:40:00Z"), "fired evening");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_in_expressions),
        cmocka_unit_test(a_computed_zone),
        cmocka_unit_test(an_unknown_zone_is_found_at_once),
        cmocka_unit_test(the_next_moments),
        cmocka_unit_test(once_a_day_through_a_year),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(at_its_time),
        cmocka_unit_test(clocks_that_are_set),
        cmocka_unit_test(with_a_condition),
        cmocka_unit_test(policies),
        cmocka_unit_test(too_late),
        cmocka_unit_test(restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
