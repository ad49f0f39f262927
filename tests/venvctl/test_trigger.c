/* SPDX-License-Identifier: Apache-2.0 */
/* The verb trigger test without a manager: what stands under an expression, to the column. */
#include "client/fake_manager.h"
#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/venv-test-trigger-XXXXXX";
static char new_yaml[64], world_yaml[64];

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect(const char *more, int code, const char *out, const char *err)
{
    char line[256];
    snprintf(line, sizeof line, "trigger test %s --vars %s %s", new_yaml, world_yaml, more);
    outcome run = run_line(line);
    if (run.code != code || (out && strcmp(run.out, out) != 0) || (err && !strstr(run.err, err)))
        fail_msg("venvctl %s: %d\n%s%s", line, run.code, run.out, run.err);
    run_free(&run);
}

static void test_parts(void **state)
{
    (void)state;
    write_file(world_yaml, "now: 2026-11-22T18:30:00Z\nagents:\n- {name: n1, state: connected, groups: [default], p: {cputemp: 85.5}}\n"
                           "queues: {class2: {pending: 5, running: 1}}\ninstances: {class2: []}\n");
    write_file(new_yaml, "triggers:\n  grow:\n    when: 'queue(\"class2\").pending > 6 && instances(\"class2\").size() == 0'\n    hold: 3\n"
                         "    on: [update]\n    do: [{start: {environment: class2, count: '${queue(\"class2\").pending}'}}]\n");
    expect("", EXIT_DONE,
           "grow: nothing would happen\n"
           "  class2 queue = {\"pending\": 5, \"running\": 1}\n"
           "  when is false\n"
           "    queue(\"class2\").pending > 6 && instances(\"class2\").size() == 0\n"
           "    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  false\n"
           "    ^^^^^^^^^^^^^^^^^^^^^^^^^^^                                     false\n"
           "    ^^^^^^^^^^^^^^^^^^^^^^^                                         5\n"
           "    ^^^^^^^^^^^^^^^                                                 {\"pending\": 5, \"running\": 1}\n"
           "                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  true  (not needed)\n"
           "                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^       0  (not needed)\n"
           "                                   ^^^^^^^^^^^^^^^^^^^              []  (not needed)\n"
           "  do start: count 5, environment class2\n", NULL);
}

static void test_agents(void **state)
{
    (void)state;
    write_file(new_yaml, "hot:\n  on: [update]\n  when: agent.p.cputemp > 80.0 || agents.exists(a, a.name == \"n9\")\n"
                         "  do: [{log: {text: '${agent.name} at ${agent.p.cputemp}'}}]\n");
    expect("--agent n1", EXIT_DONE,
           "hot for n1: it would fire\n"
           "  when is true\n"
           "    agent.p.cputemp > 80.0 || agents.exists(a, a.name == \"n9\")\n"
           "    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  true\n"
           "    ^^^^^^^^^^^^^^^^^^^^^^                                      true\n"
           "    ^^^^^^^^^^^^^^^                                             85.5\n"
           "                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  false  (not needed)\n"
           "                              ^^^^^^                            [{\"p\": {\"cputemp\": 85.5}, \"name\": \"n1\", \"state\": "
           "\"connected\", \"groups\": [\"default\"]}]  (not needed)\n"
           "                                               ^^^^^^^^^^^^^^   false  (one round)\n"
           "                                               ^^^^^^           \"n1\"  (one round)\n"
           "  do log: text n1 at 85.5\n", NULL);
    /* A property that an agent does not have could not be looked at; and an agent that the file does not know. */
    write_file(world_yaml, "agents: [{name: n2, state: connected, p: {}}]\n");
    outcome run = run_line("help");
    run_free(&run);
    expect("--agent n2 --json", EXIT_FAILED, NULL, NULL); /* as without it, below */
    expect("--agent n2 hot", EXIT_FAILED, /* an argument could not be evaluated */
           "hot for n2: nothing would happen\n"
           "  when is unknown: could not look at agent.p.cputemp\n"
           "    agent.p.cputemp > 80.0 || agents.exists(a, a.name == \"n9\")\n"
           "    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  unknown\n"
           "    ^^^^^^^^^^^^^^^^^^^^^^                                      unknown\n"
           "    ^^^^^^^^^^^^^^^                                             unknown\n"
           "                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  false\n"
           "                              ^^^^^^                            [{\"p\": {}, \"name\": \"n2\", \"state\": \"connected\"}]\n"
           "                                               ^^^^^^^^^^^^^^   false  (one round)\n"
           "                                               ^^^^^^           \"n2\"  (one round)\n"
           "  do log: text is unknown: could not look at agent.p.cputemp\n", NULL);
}

static void test_mistakes(void **state)
{
    (void)state;
    expect("none", EXIT_NOT_FOUND, "", "no trigger is called 'none'");
    write_file(new_yaml, "hot:\n  when: 'agent.p.cputemp >'\n  do: [{log: {text: x}}]\n");
    expect("", EXIT_FAILED, "", "trigger hot");
    write_file(new_yaml, "[]\n");
    expect("", EXIT_USAGE, "", "expected triggers");
    write_file(new_yaml, "hot:\n  when: 1 / 0 > 1\n  do: [{log: {text: x}}]\n");
    expect("", EXIT_FAILED, NULL, NULL);
    expect("--json", EXIT_FAILED, NULL, NULL);
    outcome run = run_line("trigger test grow --vars world.yaml");
    assert_int_equal(run.code, EXIT_USAGE);
    run_free(&run);
    run = run_line("trigger replay /nowhere.yaml --state /nowhere");
    assert_int_equal(run.code, EXIT_NOT_FOUND);
    run_free(&run);
    run = run_line("trigger replay /nowhere.yaml --since 1h --until 2h");
    assert_int_equal(run.code, EXIT_USAGE);
    run_free(&run);
    run = run_line("why group default");
    assert_int_equal(run.code, EXIT_USAGE);
    run_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_parts), cmocka_unit_test(test_agents), cmocka_unit_test(test_mistakes) };
    if (!mkdtemp(folder))
        return 1;
    snprintf(new_yaml, sizeof new_yaml, "%s/new.yaml", folder);
    snprintf(world_yaml, sizeof world_yaml, "%s/world.yaml", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(new_yaml);
    (void)unlink(world_yaml);
    (void)rmdir(folder);
    return failed;
}
