/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of venvctl: misuse and its words, help that tells of all there is, completion. */
#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *line, int code, const char *out, const char *err)
{
    outcome run = run_line(line);
    if (run.code != code || (out && !strstr(run.out, out)) || (err && !strstr(run.err, err)))
        fail_msg("venvctl %s: %d\n%s%s", line, run.code, run.out, run.err);
    run_free(&run);
}

static void test_misuse(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        { "", "venvctl help" },
        { "strat class2", "did you mean \"start\"" },
        { "statsu", "did you mean \"status\"" },
        { "xyzzyxyzzy", "there is no verb" },
        { "cert", "cert init, cert issue or cert show" },
        { "cert inti", "did you mean \"cert init\"" },
        { "list", "needs KIND" },
        { "list agents groups", "what is \"groups\"" },
        { "list agent5", "did you mean \"agents\"" },
        { "show agents", "needs KIND NAME" },
        { "status now", "takes no arguments" },
        { "--cofnig x status", "did you mean --config" },
        { "status --count 3", "takes no option --count" },
        { "status --config", "--config needs FILE" },
        { "status --json=yes", "takes no argument" },
        { "status --timeout= ", "after the =" },
        { "status --timeout soon", "a length of time" },
        { "status --timeout -5s", "a length of time" },
        { "status --config a --config b", "twice" },
        { "status -z", "no option -z" },
        { "status -jq", "no option" },
        { "start class2 --count 0", "from 1 to" },
        { "start class2 --count 2x", "from 1 to" },
        { "start class2 --count 99999999999999999999", "from 1 to" },
        { "start class2 --id 5", "UUID" },
        { "stop", "one of them" },
        { "stop a --environment b", "one of them" },
        { "stop a --count 2", "--environment" },
        { "stop a --force --grace 5s", "one of them" },
        { "control node07 halt", "stop, rcon" },
        { "control node07 stop default", "only rjoin" },
        { "events --since 1 --last 2", "one of them" },
        { "events --since x", "a number" },
        { "cert init", "--cluster" },
        { "cert issue king ann", "manager, agent or user" },
        { "cert issue user ann --key rsa", "ed25519" },
        { "cert issue user ann --days 0", "from 1" },
        { "status --user ann --manager 127.0.0.1:1", "--tls" },
        { "help strat", "no verb" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(rows[i].line, EXIT_USAGE, NULL, rows[i].says);
        expect(rows[i].line, EXIT_USAGE, NULL, "venvctl help");
    }
}

static void test_bad_address(void **state)
{
    (void)state;
    expect("status --manager 'a b'", EXIT_USAGE, NULL, "HOST:PORT");
}

static void test_version_and_help(void **state)
{
    (void)state;
    expect("--version", EXIT_DONE, venv_version(), NULL);
    expect("start --version", EXIT_DONE, "venvctl ", NULL);
    expect("help", EXIT_DONE, "Exit codes", NULL);
    expect("--help", EXIT_DONE, "Exit codes", NULL);
    expect("-h", EXIT_DONE, "Exit codes", NULL);
    expect("start --help", EXIT_DONE, "--dry-run", NULL);
    expect("cert issue --help", EXIT_DONE, "ROLE NAME", NULL);
    expect("help cert", EXIT_DONE, "cert show", NULL);
    expect("help cert init", EXIT_DONE, "--cluster", NULL);
}

/* Every verb and option is in the help and in the sections of the manual page; no line is too long. */
static void test_help_is_whole(void **state)
{
    (void)state;
    outcome all = run_line("help"), page = run_line("complete --roff");
    assert_int_equal(all.code, EXIT_DONE);
    assert_int_equal(page.code, EXIT_DONE);
    for (size_t i = 0; i < verb_count; i++) {
        const verb_row *verb = &verb_rows[i];
        char line[128];
        if (!verb->summary)
            continue;
        snprintf(line, sizeof line, "\n  %s ", verb->name);
        assert_non_null(strstr(all.out, line));
        snprintf(line, sizeof line, "help %s", verb->name);
        outcome own = run_line(line);
        assert_int_equal(own.code, EXIT_DONE);
        for (size_t o = 0; o < VERB_OPTIONS_MAX && verb->options[o] >= OPTION_GLOBAL_END; o++) {
            snprintf(line, sizeof line, "--%s", option_rows[verb->options[o]].name);
            assert_non_null(strstr(own.out, line));
        }
        for (const char *at = own.out; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
            assert_true(strcspn(at, "\n") <= 80);
        run_free(&own);
    }
    for (int i = 0; i < OPTION__END; i++) {
        bool used = i < OPTION_GLOBAL_END;
        for (size_t v = 0; v < verb_count; v++)
            used = used || verb_takes(&verb_rows[v], (option_id)i);
        assert_true(used);
        assert_non_null(option_rows[i].summary);
    }
    for (const char *at = all.out; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        assert_true(strcspn(at, "\n") <= 80);
    run_free(&all);
    run_free(&page);
}

static void test_completion(void **state)
{
    (void)state;
    expect("complete sta", EXIT_DONE, "status\n", NULL);
    expect("complete sta", EXIT_DONE, "start\n", NULL);
    expect("complete cert i", EXIT_DONE, "init\nissue\n", NULL);
    expect("complete list a", EXIT_DONE, "agents\nactions\n", NULL);
    expect("complete show e", EXIT_DONE, "environment\n", NULL);
    expect("complete start --c", EXIT_DONE, "--count\n", NULL);
    expect("complete --json list tr", EXIT_DONE, "triggers\n", NULL);
    expect("complete --manager 127.0.0.1:1 list tr", EXIT_DONE, "triggers\n", NULL);
    expect("complete --config ''", EXIT_DONE, ":file\n", NULL);
    expect("complete cert init --dir x", EXIT_DONE, ":directory\n", NULL);
    expect("complete cert issue ag", EXIT_DONE, "agent\n", NULL);
    expect("complete control node07 r", EXIT_DONE, "rcon\nrjoin\n", NULL);
    /* No manager: nothing is offered, and nothing is said. */
    outcome run = run_line("complete --manager 127.0.0.1:1 --tls /nowhere start cl");
    assert_int_equal(run.code, EXIT_DONE);
    assert_string_equal(run.out, "");
    assert_string_equal(run.err, "");
    run_free(&run);
}

static void test_rest_belongs_to_the_command(void **state)
{
    (void)state;
    venvctl *app = calloc(1, sizeof *app);
    assert_non_null(app);
    char *words[] = { "--json", "exec", "node07", "drain", "--force", "-n", "--", "x", NULL };
    app->err = stderr;
    assert_int_equal(app_parse(app, 8, words), EXIT_DONE);
    assert_int_equal(app->argument_count, 6);
    assert_string_equal(app->arguments[2], "--force");
    assert_string_equal(app->arguments[4], "--");
    assert_true(app_has(app, OPTION_JSON));
    assert_false(app_has(app, OPTION_FORCE));
    free(app);
}

static void test_negative_is_an_expression(void **state)
{
    (void)state;
    venvctl *app = calloc(1, sizeof *app);
    assert_non_null(app);
    char *words[] = { "eval", "-1 + 2", NULL };
    app->err = stderr;
    assert_int_equal(app_parse(app, 2, words), EXIT_DONE);
    assert_int_equal(app->argument_count, 1);
    free(app);
}

static void test_ages_and_sizes(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } ages[] = { { -5, "0s" }, { 0, "0s" }, { 12, "12s" }, { 119, "119s" }, { 120, "2m" }, { 7199, "119m" }, { 7200, "2h" },
                 { 172799, "47h" }, { 172800, "2d" }, { 86400 * 400, "400d" } };
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = { { 0, "0" }, { 17, "17" }, { 1023, "1023" }, { 1024, "1KiB" }, { 1536, "1.5KiB" }, { UINT64_C(512) << 20, "512MiB" },
                  { UINT64_C(3) << 29, "1.5GiB" }, { UINT64_MAX, "15.9EiB" } };
    char text[32];
    for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++)
        assert_string_equal(format_age((venv_wall){ 0 }, (venv_wall){ ages[i].seconds * VENV_NS_PER_S }, text, sizeof text), ages[i].text);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_string_equal(format_size(sizes[i].bytes, text, sizeof text), sizes[i].text);
}

static void test_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(VENV_OK), 0);
    assert_int_equal(exit_code_of(VENV_ECONFLICT), 1);
    assert_int_equal(exit_code_of(VENV_ENOENT), 3);
    assert_int_equal(exit_code_of(VENV_EDENIED), 4);
    assert_int_equal(exit_code_of(VENV_EUNREACHABLE), 5);
    assert_int_equal(exit_code_of(VENV_ETIMEDOUT), 6);
    assert_int_equal(exit_code_of(VENV_EUNKNOWN), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_bad_address),
        cmocka_unit_test(test_version_and_help),
        cmocka_unit_test(test_help_is_whole),
        cmocka_unit_test(test_completion),
        cmocka_unit_test(test_rest_belongs_to_the_command),
        cmocka_unit_test(test_negative_is_an_expression),
        cmocka_unit_test(test_ages_and_sizes),
        cmocka_unit_test(test_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
