/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sampling and its outcomes: commands that hang, flood, print nonsense, leave children, are missing. GETPROP and
 * FETCHPROP. What is pushed, and what is dropped.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <stdlib.h>
#include <string.h>

static const char *const one = "  t: {command: [temp, cpu0], type: int, every: 10, timeout: 5s}\n";

/* GETPROP of a label; the answer lives until the next step. */
static const venv_value *get(agent_rig *rig, const char *label)
{
    char body[128];
    snprintf(body, sizeof(body), "{\"label\": \"%s\"}", label);
    uint64_t request = rig_frame(rig, VENV_MSG_GETPROP, body);
    venv_agent_action *answer = rig_take_sent(rig, VENV_MSG_PROPVAL);
    assert_non_null(answer);
    assert_int_equal(answer->request, request);
    return &answer->value;
}

static void assert_quality(agent_rig *rig, const char *label, const char *quality, const char *reason)
{
    const venv_value *value = get(rig, label);
    if (!venv_value_is_text(venv_value_get(value, "quality"), quality)) {
        char text[512];
        venv_value_print(value, text, sizeof(text));
        fail_msg("expected %s: %s", quality, text);
    }
    venv_str told = venv_value_get_text(value, "reason");
    char text[512];
    snprintf(text, sizeof(text), "%.*s", (int)told.size, told.data);
    if (!strstr(text, reason))
        fail_msg("expected '%s' in '%s'", reason, text);
}

/* Go to the next sampling of a command. */
static uint64_t next_run(agent_rig *rig, const char *name)
{
    venv_agent_action *run = NULL;
    for (int i = 0; i < 1000 && !run; i++) {
        run = rig_take_named(rig, VENV_AGENT_ACT_RUN, name);
        if (!run)
            rig_run_to_deadline(rig);
    }
    assert_non_null(run);
    return run->token;
}

static void test_command(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", one);
    venv_agent_action *run = rig_take_named(&rig, VENV_AGENT_ACT_RUN, "temp");
    assert_non_null(run);
    assert_int_equal(run->timeout.ns, 5 * S);
    assert_int_equal(venv_value_count(&run->value), 1);
    assert_true(venv_value_is_text(venv_value_at(&run->value, 0), "cpu0"));
    uint64_t token = run->token;
    rig_time(&rig, rig.now.mono.ns + S);
    rig_ran(&rig, token, "42\n", 0);
    rig_connect(&rig);
    const venv_value *value = get(&rig, "t");
    assert_int_equal(venv_value_get_int(value, "value", 0), 42);
    assert_true(venv_value_is_text(venv_value_get(value, "type"), "int"));
    assert_non_null(venv_value_get(value, "time"));
    /* the next one at tick 10 of the schedule, not ten seconds after the last */
    next_run(&rig, "temp");
    assert_int_equal(rig.now.mono.ns, 1010 * S);
    rig_fini(&rig);
}

static void test_bad_commands(void **state)
{
    (void)state;
    static char flood[VENV_PROPERTY_VALUE_MAX + 1];
    memset(flood, 'x', sizeof(flood));
    const struct {
        venv_run_outcome run;
        const char *reason;
    } rows[] = {
        { { .timed_out = true, .signal = 9, .out = { "42", 2 }, .err = VENV_STR("waiting for sensor\n") },
          "did not end within 5s and was ended: waiting for sensor" },
        { { .out = { flood, sizeof(flood) }, .truncated = true, .err = { "", 0 } }, "printed more than 65536 bytes" },
        { { .out = VENV_STR("warm\n"), .err = { "", 0 } }, "'warm' is not an int" },
        { { .out = VENV_STR(""), .err = { "", 0 } }, "is not an int" },
        { { .exit_status = 3, .out = VENV_STR("42\n"), .err = VENV_STR("first\nno such \x1b[31msensor\n\n") },
          "exit status 3: no such \\x1b[31msensor" },
        { { .signal = 11, .out = VENV_STR("42"), .err = { "", 0 } }, "signal 11" },
        { { .rc = VENV_ENOENT, .error = "there is no such command", .out = { "", 0 }, .err = { "", 0 } },
          "command temp did not start: there is no such command" },
        { { .rc = VENV_EDENIED, .out = { "", 0 }, .err = { "", 0 } }, "command temp did not start: " },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        agent_rig rig;
        rig_init(&rig, "", "  t: {command: [temp], type: int, every: 10, timeout: 5s}\n"
                           "  other: {command: [other], type: int, every: 10}\n");
        uint64_t token = rig_take_named(&rig, VENV_AGENT_ACT_RUN, "temp")->token;
        uint64_t other = rig_take_named(&rig, VENV_AGENT_ACT_RUN, "other")->token;
        rig_ran(&rig, other, "7", 0);
        rig_ran_outcome(&rig, token, &rows[i].run);
        rig_connect(&rig);
        /* it never had a value: there is a reason, and no number that could be taken for one */
        assert_quality(&rig, "t", "error", rows[i].reason);
        assert_int_equal(venv_value_kind(venv_value_get(get(&rig, "t"), "value")), VENV_NULL);
        assert_quality(&rig, "other", "ok", "");
        /* it recovers */
        token = next_run(&rig, "temp");
        rig_ran(&rig, token, "42", 0);
        assert_quality(&rig, "t", "ok", "");
        /* and fails again: the last good value stays */
        token = next_run(&rig, "temp");
        rig_ran_outcome(&rig, token, &rows[i].run);
        assert_quality(&rig, "t", "error", rows[i].reason);
        assert_int_equal(venv_value_get_int(get(&rig, "t"), "value", 0), 42);
        rig_fini(&rig);
    }
}

/* A command whose end is never reported: everything else goes on, the value becomes stale. */
static void test_lost_run(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "  t: {command: [temp], type: int, every: 2, timeout: 5s}\n"
                       "  other: {command: [other], type: int, every: 2}\n");
    uint64_t token = rig_take_named(&rig, VENV_AGENT_ACT_RUN, "temp")->token;
    rig_take_named(&rig, VENV_AGENT_ACT_RUN, "other");
    rig_ran(&rig, token, "1", 0);
    next_run(&rig, "temp");
    int64_t from = rig.now.mono.ns;
    while (rig.now.mono.ns < from + 60 * S) {
        assert_null(rig_take_named(&rig, VENV_AGENT_ACT_RUN, "temp")); /* they do not pile up */
        rig_run_to_deadline(&rig);
    }
    rig_connect(&rig);
    assert_quality(&rig, "t", "stale", "no new value in time");
    rig_fini(&rig);
}

static void test_commands_at_once(void **state)
{
    (void)state;
    char properties[2048] = "";
    for (int i = 0; i < 20; i++)
        snprintf(properties + strlen(properties), sizeof(properties) - strlen(properties),
                 "  p%d: {command: [c%d], type: int, every: 1}\n", i, i);
    agent_rig rig;
    rig_init(&rig, "  commands_at_once: 3", properties);
    uint64_t tokens[64];
    size_t first = 0, last = 0; /* how many ended, and how many began */
    unsigned started[20] = { 0 };
    for (venv_agent_action *run; (run = rig_take(&rig, VENV_AGENT_ACT_RUN));) {
        started[atoi(run->name + 1)]++;
        tokens[last++] = run->token;
    }
    assert_int_equal(last, 3);
    for (int round = 0; round < 120; round++) {
        if (round % 2)
            rig_time(&rig, rig.now.mono.ns + S / 10);
        else
            rig_ran(&rig, tokens[first++ % 64], "1", 0);
        for (venv_agent_action *run; (run = rig_take(&rig, VENV_AGENT_ACT_RUN));) {
            started[atoi(run->name + 1)]++;
            tokens[last++ % 64] = run->token;
        }
        assert_true(last - first <= 3);
    }
    for (int i = 0; i < 20; i++)
        assert_true(started[i] >= 1); /* nobody starves */
    rig_fini(&rig);
}

static void test_builtins(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "  disk_srv: {builtin: [diskfree, /srv], every: 5}\n  up: {builtin: uptime, every: 1}\n");
    venv_agent_action *disk = rig_take_named(&rig, VENV_AGENT_ACT_SAMPLE, "diskfree");
    assert_non_null(disk);
    assert_true(venv_value_is_text(venv_value_at(&disk->value, 0), "/srv"));
    uint64_t up = rig_take_named(&rig, VENV_AGENT_ACT_SAMPLE, "uptime")->token;
    rig_sample_failed(&rig, disk->token, VENV_EIO, "No such file or directory");
    rig_sampled(&rig, up, venv_value_uint(55));
    rig_connect(&rig);
    assert_quality(&rig, "disk_srv", "error", "No such file");
    assert_int_equal(venv_value_get_int(get(&rig, "up"), "value", 0), 55);
    assert_quality(&rig, "load1", "absent", "");
    rig_fini(&rig);
}

static void test_list_and_unknown(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", one);
    rig_connect(&rig);
    rig_frame(&rig, VENV_MSG_GETPROP, "{}");
    venv_agent_action *list = rig_take_sent(&rig, VENV_MSG_PROPLIST);
    assert_non_null(list);
    const venv_value *rows = venv_value_get(&list->value, "properties");
    assert_int_equal(venv_value_count(rows), 16);
    for (size_t i = 0; i < venv_value_count(rows); i++) {
        venv_property property;
        uint32_t slot = 0;
        assert_int_equal(venv_property_from_value(venv_value_at(rows, i), &property, &slot, NULL), VENV_OK);
        assert_int_equal(slot, i);
    }
    static const int16_t types[] = { VENV_MSG_GETPROP, VENV_MSG_FETCHPROP };
    for (size_t i = 0; i < 2; i++) {
        rig_frame(&rig, types[i], "{\"label\": \"nope\"}");
        venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_PROPERR);
        assert_non_null(answer);
        assert_int_equal(answer->request, rig.request);
        assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(VENV_ENOENT)));
    }
    rig_frame(&rig, VENV_MSG_FETCHPROP, "{}");
    assert_non_null(rig_take_sent(&rig, VENV_MSG_PROPERR));
    rig_fini(&rig);
}

static void test_fetch(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "  t: {command: [temp], type: int, every: -1}\n");
    rig_connect(&rig);
    uint64_t first = rig_frame(&rig, VENV_MSG_FETCHPROP, "{\"label\": \"t\"}");
    venv_agent_action *run = rig_take_named(&rig, VENV_AGENT_ACT_RUN, "temp");
    assert_non_null(run);
    uint64_t token = run->token;
    uint64_t second = rig_frame(&rig, VENV_MSG_FETCHPROP, "{\"label\": \"t\"}");
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0); /* one sampling serves both */
    rig_ran(&rig, token, "9", 0);
    venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_PROPVAL);
    assert_int_equal(answer->request, first);
    assert_int_equal(venv_value_get_int(&answer->value, "value", 0), 9);
    assert_int_equal(rig_take_sent(&rig, VENV_MSG_PROPVAL)->request, second);
    /* a failure is an answer, too */
    rig_frame(&rig, VENV_MSG_FETCHPROP, "{\"label\": \"t\"}");
    rig_ran(&rig, rig_take(&rig, VENV_AGENT_ACT_RUN)->token, "cold", 0);
    answer = rig_take_sent(&rig, VENV_MSG_PROPERR);
    assert_non_null(answer);
    assert_non_null(venv_value_get(&answer->value, "error"));
    assert_quality(&rig, "t", "error", "'cold'");
    assert_int_equal(venv_value_get_int(get(&rig, "t"), "value", 0), 9);
    /* too many at once */
    rig_frame(&rig, VENV_MSG_FETCHPROP, "{\"label\": \"t\"}");
    token = rig_take(&rig, VENV_AGENT_ACT_RUN)->token;
    unsigned refused = 0;
    for (int i = 0; i < 100; i++) {
        rig_frame(&rig, VENV_MSG_FETCHPROP, "{\"label\": \"t\"}");
        refused += rig_take_sent(&rig, VENV_MSG_PROPERR) != NULL;
    }
    assert_int_equal(refused, 37);
    /* the manager goes away: nobody waits any more, the value is kept */
    rig_disconnect(&rig, "reset");
    rig_ran(&rig, token, "11", 0);
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_SEND), 0);
    rig_fini(&rig);
}

static void test_push(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "  push_every: 500ms\n  refresh: 40s",
             "  a: {command: [a], type: int, every: 10}\n  b: {command: [b], type: int, every: 10}\n");
    uint64_t a = rig_take_named(&rig, VENV_AGENT_ACT_RUN, "a")->token, b = rig_take_named(&rig, VENV_AGENT_ACT_RUN, "b")->token;
    rig_connect(&rig);
    rig_ran(&rig, a, "1", 0);
    venv_agent_action *push = rig_take_sent(&rig, VENV_MSG_PUSH);
    assert_non_null(push);
    assert_int_equal(venv_value_count(venv_value_get(&push->value, "samples")), 1);
    assert_null(venv_value_get(&push->value, "dropped"));
    rig_ran(&rig, b, "1", 0);
    assert_null(rig_take_sent(&rig, VENV_MSG_PUSH)); /* not yet */
    int64_t from = rig.now.mono.ns;
    rig_run_to_deadline(&rig);
    assert_int_equal(rig.now.mono.ns - from, S / 2);
    assert_non_null(rig_take_sent(&rig, VENV_MSG_PUSH));
    /* the same values again: nothing, until the refresh is due */
    unsigned pushes = 0, runs = 0;
    while (runs < 10) {
        venv_agent_action *run = rig_take(&rig, VENV_AGENT_ACT_RUN);
        if (run) {
            rig_ran(&rig, run->token, "1", 0);
            runs++;
            pushes += rig_take_sent(&rig, VENV_MSG_PUSH) != NULL;
            continue;
        }
        rig_run_to_deadline(&rig);
        pushes += rig_take_sent(&rig, VENV_MSG_PUSH) != NULL;
    }
    assert_true(pushes >= 1 && pushes <= 4);
    rig_fini(&rig);
}

/* The manager is away: sampling goes on (A9), and at its return it gets the newest value and the number of lost ones. */
static void test_away(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "  a: {command: [a], type: int, every: 1}\n");
    rig_ran(&rig, next_run(&rig, "a"), "1", 0);
    rig_connect(&rig);
    rig_disconnect(&rig, "killed");
    char text[16];
    int last = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t token = next_run(&rig, "a");
        snprintf(text, sizeof(text), "%d", last = i);
        rig_ran(&rig, token, text, 0);
        if (rig.dialing)
            rig_disconnect(&rig, "refused");
    }
    for (int i = 0; i < 100 && !rig.dialing; i++) {
        snprintf(text, sizeof(text), "%d", ++last);
        rig_ran(&rig, next_run(&rig, "a"), text, 0);
    }
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    venv_agent_action *hello = rig_take_sent(&rig, VENV_MSG_HELLO);
    assert_non_null(hello);
    venv_sample_row row;
    const venv_value *samples = venv_value_get(&hello->value, "samples");
    assert_int_equal(venv_value_count(samples), 1);
    assert_int_equal(venv_sample_row_read(venv_value_at(samples, 0), &row, NULL), VENV_OK);
    assert_int_equal(venv_value_peek_int(row.value), last);
    rig_frame(&rig, VENV_MSG_WELCOME, "{\"version\": 1}");
    uint64_t token = next_run(&rig, "a");
    rig_ran(&rig, token, "-5", 0);
    venv_agent_action *push = rig_take_sent(&rig, VENV_MSG_PUSH);
    assert_non_null(push);
    assert_true(venv_value_get_int(&push->value, "dropped", 0) >= 98);
    rig_fini(&rig);
}

/* A manager that does not confirm what it hears gets no more than a megabyte of samples. */
static void test_slow_manager(void **state)
{
    (void)state;
    agent_rig rig;
    static char text[60000];
    rig_init(&rig, "  timeout: 1h\n  heartbeat: 10m\n  push_every: 10ms", "  a: {command: [a], type: string, every: 1}\n");
    rig_ran(&rig, next_run(&rig, "a"), "short", 0);
    rig_connect(&rig);
    size_t pushed = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t token = next_run(&rig, "a");
        memset(text, 'a' + i % 20, sizeof(text) - 1);
        rig_ran(&rig, token, text, 0);
        pushed += rig_take_sent(&rig, VENV_MSG_PUSH) != NULL;
    }
    assert_true(pushed * sizeof(text) > (900 << 10) && pushed * sizeof(text) < (1200 << 10));
    /* it confirms: samples flow again, the lost ones are counted */
    char pong[64];
    snprintf(pong, sizeof(pong), "{\"heard\": %d}", (int)rig.heard);
    rig_frame(&rig, VENV_MSG_PONG, pong);
    venv_agent_action *push = rig_take_sent(&rig, VENV_MSG_PUSH);
    assert_non_null(push);
    assert_true(venv_value_get_int(&push->value, "dropped", 0) > 50);
    rig_fini(&rig);
}

/* More definitions and values than fit in one message. */
static void test_many(void **state)
{
    (void)state;
    agent_rig rig;
    size_t size = 1 << 20;
    char *properties = calloc(1, size);
    assert_non_null(properties);
    for (int i = 0, used = 0; i < 1000; i++)
        used += snprintf(properties + used, size - (size_t)used,
                         "  a_rather_long_label_of_a_property_number_%d_of_a_thousand: {command: [c%d], type: string, every: 1000, unit: some-long-unit-of-thirty-bytes}\n", i, i);
    venv_error err = { 0 };
    char *text = malloc(size);
    assert_non_null(text);
    snprintf(text, size, "agent: {manager: m, commands_at_once: 32, tls: {ca: /a, certificate: /b, key: /c}}\nproperties:\n%s", properties);
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    assert_int_equal(venv_yaml_parse(text, strlen(text), "x", &value, &marks, &err), VENV_OK);
    venv_config_document document = { .file = "x", .value = &value, .marks = marks };
    rig = (agent_rig){ .now = { { S }, { S } }, .request = 1 };
    if (venv_agent_config_new(&document, 1, &rig.config, &err) != VENV_OK)
        fail_msg("%s", err.text);
    assert_int_equal(venv_agent_config_identify(rig.config, "lab", "n1", &err), VENV_OK);
    assert_int_equal(venv_agent_new(rig.config, (venv_id){ { 1 } }, 1, rig.now, &rig.agent, &err), VENV_OK);
    venv_agent_actions_init(&rig.actions);
    rig_time(&rig, S);
    static char word[2001];
    memset(word, 'w', sizeof(word) - 1);
    uint64_t tokens[2048];
    size_t first = 0, last = 0;
    for (;;) {
        for (venv_agent_action *run; (run = rig_take(&rig, VENV_AGENT_ACT_RUN));)
            tokens[last++] = run->token;
        if (first == last)
            break;
        rig_ran(&rig, tokens[first++], word, 0);
    }
    assert_int_equal(first, 1000);
    rig_time(&rig, 50 * S);
    rig.dialing = true; /* since the first step */
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    venv_agent_action *hello = rig_take_sent(&rig, VENV_MSG_HELLO);
    uint8_t *frame = NULL;
    size_t frame_size = 0;
    assert_int_equal(venv_frame_encode(VENV_MSG_HELLO, 0, &hello->value, &frame, &frame_size, &err), VENV_OK);
    free(frame);
    size_t told = venv_value_count(venv_value_get(&hello->value, "samples"));
    rig_frame(&rig, VENV_MSG_WELCOME, "{\"version\": 1}");
    for (int i = 0; i < 100; i++) {
        venv_agent_action *push = rig_take_sent(&rig, VENV_MSG_PUSH);
        if (push) {
            told += venv_value_count(venv_value_get(&push->value, "samples"));
            assert_int_equal(venv_frame_encode(VENV_MSG_PUSH, 0, &push->value, &frame, &frame_size, &err), VENV_OK);
            free(frame);
        }
        rig_time(&rig, rig.now.mono.ns + S / 4);
        char pong[64];
        snprintf(pong, sizeof(pong), "{\"heard\": %d}", (int)rig.heard);
        if (rig_count(&rig, VENV_AGENT_ACT_SEND) == 0)
            rig_frame(&rig, VENV_MSG_PONG, pong);
    }
    assert_true(told >= 1000);
    rig_fini(&rig);
    venv_yaml_marks_free(marks);
    venv_value_unref(&value);
    free(text);
    free(properties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),     cmocka_unit_test(test_bad_commands),
        cmocka_unit_test(test_lost_run),    cmocka_unit_test(test_commands_at_once),
        cmocka_unit_test(test_builtins),    cmocka_unit_test(test_list_and_unknown),
        cmocka_unit_test(test_fetch),       cmocka_unit_test(test_push),
        cmocka_unit_test(test_away),        cmocka_unit_test(test_slow_manager),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
