/* SPDX-License-Identifier: Apache-2.0 */
/* What can be wrong with a definition: one clear error, at the right place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "trigger/trigger.h"

static const venv_mark *mark_of(void *user, size_t index)
{
    return venv_mark_at(user, index);
}

#define LOG "\n  do: [{log: {text: x}}]"

static const struct {
    const char *yaml, *says;
    uint32_t line, column; /* 0: any */
} bad[] = {
    { "t: 5", "expected a map", 0, 0 },
    { "t:\n  when: 'true'", "`do` is missing", 0, 0 },
    { "t:" LOG, "`when` is missing", 0, 0 },
    { "t:\n  whenn: 'true'" LOG, "did you mean when", 2, 3 },
    { "t:\n  when: 'queue(\"a\").pending >'" LOG, "when", 2, 0 },
    { "t:\n  when: nobody == 1" LOG, "nobody", 2, 9 },
    { "t:\n  when: '1 + 1'" LOG, "true or false", 2, 0 },
    { "t:\n  when: 'true'\n  do: [{jump: {}}]", "there is no action", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{log: {}}]", "`text` is missing", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{log: {text: x, colour: red}}]", "takes no argument", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{log: {text: x, level: loud}}]", "expected error, warning, info or debug", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{control: {target: '@x', verb: go}}]", "verb: expected stop, rcon or rjoin", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{control: {verb: stop}}]", "`target` is missing", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{start: {environment: a, count: -1}}]", "out of bounds", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{start: {environment: a, count: '${1 +}'}}]", "", 3, 0 },
    { "t:\n  when: 'true'\n  do: [{stop: {}}]", "environment", 3, 0 },
    { "t:\n  when: 'true'\n  hold: soon" LOG, "hold", 3, 9 },
    { "t:\n  when: 'true'\n  limit: {actions: 0, per: 1m}" LOG, "limit", 3, 10 },
    { "t:\n  when: 'true'\n  mode: maybe" LOG, "observe, propose or act", 3, 9 },
    { "t:\n  when: 'true'\n  on: [sunrise]" LOG, "update, join, leave, disconnect", 3, 7 },
    { "t:\n  at: 1830" LOG, "five fields", 2, 7 },
    { "t:\n  at: '30 24 * * *'" LOG, "hour: this is out of bounds; expected 0 to 23", 2, 11 },
    { "t:\n  at: 30 18 * * fun" LOG, "day of week: this is no value of it; expected 0 to 7", 2, 17 },
    { "t:\n  at: '30 18 * *'" LOG, "day of week: a value is missing", 2, 17 },
    { "t:\n  at: '30 18 * * * *'" LOG, "more than the five fields", 2, 20 },
    { "t:\n  at: '0 0 30 2 *'" LOG, "never comes", 2, 8 },
    { "t:\n  at: '0 0 * * *'\n  zone: Europe/Atlantis" LOG, "Europe/Atlantis", 3, 9 },
    { "t:\n  at: '0 0 * * *'\n  zone: 5" LOG, "zone: expected a time zone", 3, 9 },
    { "t:\n  at: '0 0 * * *'\n  late: soon" LOG, "late: expected a time", 3, 9 },
    { "t:\n  at: '0 0 * * *'\n  hold: 30s" LOG, "hold does not go together with `at`", 3, 3 },
    { "t:\n  at: '0 0 * * *'\n  on: [update]" LOG, "on does not go together", 3, 3 },
    { "t:\n  at: '0 0 * * *'\n  when: agent.name == \"x\"" LOG, "use `agents`", 0, 0 },
    { "t:\n  when: 'true'\n  zone: UTC" LOG, "`at`, which is missing", 3, 9 },
    { "t:\n  for: 'in'\n  when: 'true'" LOG, "NAME in LIST", 2, 8 },
    { "t:\n  for: x in 5\n  when: 'true'" LOG, "list", 2, 0 },
    { "t:\n  every: 10\n  when: agent.name == \"x\"" LOG, "on: [update]", 0, 0 },
    { "Bad Name:\n  when: 'true'" LOG, "no name of a trigger", 0, 0 },
};

static void each_error_says_what_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        venv_value value = venv_value_null();
        venv_yaml_marks *marks = NULL;
        venv_triggers *set = NULL;
        venv_error err = { 0 };
        if (venv_yaml_parse(bad[i].yaml, strlen(bad[i].yaml), "m.yaml", &value, &marks, &err) != VENV_OK)
            fail_msg("%s", err.text);
        venv_rc rc = venv_triggers_load(&value, mark_of, (void *)(uintptr_t)venv_yaml_marks_root(marks),
                                        &(venv_trigger_options){ .tick = { VENV_NS_PER_S } }, &set, &err);
        if (rc == VENV_OK || !strstr(err.text, bad[i].says) || (bad[i].line && bad[i].line != err.line) ||
            (bad[i].column && bad[i].column != err.column))
            fail_msg("%s\n gave %d %u:%u %s", bad[i].yaml, rc, err.line, err.column, err.text);
        assert_null(set);
        venv_value_unref(&value);
        venv_yaml_marks_free(marks);
    }
}

static void nothing_is_a_set_too(void **state)
{
    (void)state;
    venv_value null = venv_value_null();
    venv_triggers *set = NULL;
    assert_int_equal(venv_triggers_new(&null, &(venv_trigger_options){ .tick = { VENV_NS_PER_S } }, &set, NULL), VENV_OK);
    assert_int_equal(venv_triggers_count(set), 0);
    venv_triggers_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_says_what_and_where),
        cmocka_unit_test(nothing_is_a_set_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
