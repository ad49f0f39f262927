/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venvctl against a manager that does as it is told, over real TLS: what is printed for people and for
 * programs, and the exit code of each way of going wrong.
 */
#include "client/fake_manager.h"
#include "run.h"

#include <venv/codec.h>
#include <venv/message.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *pki, *other_pki;

/* What the manager answers, and what it was asked. */
typedef struct fake_scene {
    const char *result; /* body of RESULT as JSON, or */
    const char *failed; /* body of FAILED, or */
    bool silent;        /* nothing, or */
    bool hang_up;       /* the end of the connection */
    venv_value (*make)(void); /* body of RESULT, made */
    char asked[2048];   /* body of the last request */
    int type;
} fake_scene;

static fake_verdict play(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    fake_scene *scene = user;
    scene->type = type;
    (void)venv_value_print(body, scene->asked, sizeof scene->asked);
    if (scene->hang_up)
        return FAKE_HANG_UP;
    if (scene->failed)
        fake_send(manager, VENV_MSG_FAILED, request, fake_json(scene->failed));
    else if (scene->make)
        fake_send(manager, VENV_MSG_RESULT, request, scene->make());
    else if (scene->result)
        fake_send(manager, VENV_MSG_RESULT, request, fake_json(scene->result));
    return FAKE_GO_ON;
}

/* Run a line against the scene. */
static outcome act(fake_scene *scene, const char *line)
{
    char whole[1024];
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, play, scene);
    snprintf(whole, sizeof whole, "--manager %s --tls %s %s", fake_manager_address(manager), pki, line);
    outcome run = run_line(whole);
    fake_manager_stop(manager);
    return run;
}

static void expect_code(const outcome *run, int code)
{
    if (run->code != code)
        fail_msg("exit code %d, not %d\n%s%s", run->code, code, run->out, run->err);
}

/* --- looking ------------------------------------------------------------------------------------------------ */

static venv_value instances(void)
{
    venv_value items = venv_value_null(), item = venv_value_null(), since = venv_value_null();
    venv_list_builder list;
    venv_map_builder map;
    venv_id id = { { 0x12, 0x34 } };
    assert_int_equal(venv_value_timestamp(RUN_NOW_SECONDS - 12, 0, &since, NULL), VENV_OK);
    venv_list_init(&list);
    venv_map_init(&map);
    venv_map_put_z(&map, "name", "class2-1");
    venv_map_put_id(&map, "id", id);
    venv_map_put_z(&map, "environment", "class2");
    venv_map_put_z(&map, "state", "running");
    venv_map_put(&map, "since", since);
    venv_map_put_z(&map, "node", "node07");
    venv_map_put_z(&map, "by", "trigger/\x1b[31mgrow");
    venv_map_put(&map, "epoch", venv_value_uint(3));
    assert_int_equal(venv_map_take(&map, &item, NULL), VENV_OK);
    venv_list_add(&list, item);
    assert_int_equal(venv_list_take(&list, &items, NULL), VENV_OK);
    venv_map_init(&map);
    venv_map_put(&map, "items", items);
    assert_int_equal(venv_map_take(&map, &item, NULL), VENV_OK);
    return item;
}

static void test_list_columns(void **state)
{
    (void)state;
    fake_scene scene = { .make = instances };
    outcome run = act(&scene, "list instances");
    expect_code(&run, EXIT_DONE);
    assert_string_equal(run.out, "NAME      ENVIRONMENT  STATE    SINCE  NODE    BY                    REASON\n"
                                 "class2-1  class2       running  12s    node07  trigger/\\x1b[31mgrow  -\n");
    assert_string_equal(run.err, "");
    run_free(&run);
}

static void test_list_quiet(void **state)
{
    (void)state;
    fake_scene scene = { .make = instances };
    outcome run = act(&scene, "list -q instances");
    assert_string_equal(run.out, "class2-1\n");
    run_free(&run);
}

static void test_list_json(void **state)
{
    (void)state;
    fake_scene scene = { .make = instances };
    outcome run = act(&scene, "list instances --json");
    venv_value value = fake_json(run.out);
    const venv_value *item = venv_value_at(&value, 0);
    assert_int_equal(venv_value_count(&value), 1);
    assert_true(venv_value_is_text(venv_value_get(item, "id"), "12340000-0000-0000-0000-000000000000"));
    assert_true(venv_value_is_text(venv_value_get(item, "since"), "2025-11-22T18:29:48Z"));
    assert_int_equal(venv_value_get_int(item, "epoch", 0), 3);
    assert_null(strchr(run.out, 0x1b));
    venv_value_unref(&value);
    run_free(&run);
}

static void test_empty_list(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"items\": []}" };
    outcome run = act(&scene, "list agents");
    expect_code(&run, EXIT_DONE);
    assert_int_equal(strncmp(run.out, "NAME", 4), 0);
    run_free(&run);
    run = act(&scene, "list agents --json");
    assert_string_equal(run.out, "[]\n");
    run_free(&run);
}

/* As many instances as a large cluster has: one answer, one list. */
#define MANY 20000

static venv_value many_instances(void)
{
    venv_value one = instances(), items = venv_value_null(), whole = venv_value_null();
    const venv_value *item = venv_value_at(venv_value_get(&one, "items"), 0);
    venv_list_builder list;
    venv_map_builder map;
    venv_list_init(&list);
    for (int i = 0; i < MANY; i++)
        venv_list_add(&list, venv_value_ref(item));
    assert_int_equal(venv_list_take(&list, &items, NULL), VENV_OK);
    venv_map_init(&map);
    venv_map_put(&map, "items", items);
    assert_int_equal(venv_map_take(&map, &whole, NULL), VENV_OK);
    venv_value_unref(&one);
    return whole;
}

static void test_long_list(void **state)
{
    (void)state;
    static const char *const lines[] = { "list instances", "list instances --json", "list instances -q" };
    for (size_t i = 0; i < 3; i++) {
        fake_scene scene = { .make = many_instances };
        outcome run = act(&scene, lines[i]);
        expect_code(&run, EXIT_DONE);
        size_t count = 0;
        for (const char *at = run.out; (at = strstr(at, "class2-1")) != NULL; at++)
            count++;
        assert_int_equal(count, MANY);
        run_free(&run);
    }
}

static void test_not_found(void **state)
{
    (void)state;
    fake_scene scene = { .failed = "{\"rc\": \"not-found\", \"error\": \"there is no agent \\\"x\\\"\"}" };
    outcome run = act(&scene, "show agent x");
    expect_code(&run, EXIT_NOT_FOUND);
    assert_string_equal(run.err, "venvctl: there is no agent \"x\"\n");
    assert_string_equal(run.out, "");
    run_free(&run);
}

static void test_show(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"item\": {\"zeta\": [1, 2], \"name\": \"node07\", \"alpha\": {\"b\": true}, \"state\": \"connected\"}}" };
    outcome run = act(&scene, "show agent node07");
    expect_code(&run, EXIT_DONE);
    assert_string_equal(run.out, "name:  node07\nstate: connected\nalpha:\n  b: yes\nzeta:  1,2\n");
    run_free(&run);
}

static void test_status(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"manager\": {\"name\": \"mgr\", \"cluster\": \"lab\", \"version\": \"0.1.0\"}, \"agents\": {\"known\": 3, "
                              "\"connected\": 2}, \"groups\": 2, \"environments\": 1, \"instances\": {\"total\": 5, \"running\": 4, "
                              "\"failed\": 1}, \"triggers\": {\"total\": 2, \"firing\": 1, \"failing\": 0}, \"actions\": {\"open\": 1}, "
                              "\"revision\": 77}" };
    outcome run = act(&scene, "status");
    expect_code(&run, EXIT_DONE);
    assert_non_null(strstr(run.out, "mgr of lab, venv 0.1.0"));
    assert_non_null(strstr(run.out, "agents        3 (2 connected)"));
    assert_non_null(strstr(run.out, "instances     5 ("));
    assert_non_null(strstr(run.out, "4 running"));
    assert_non_null(strstr(run.out, "revision      77"));
    run_free(&run);
    scene = (struct fake_scene){ .result = "{}" }; /* a manager that says nothing of it is no reason to crash */
    run = act(&scene, "status");
    expect_code(&run, EXIT_DONE);
    run_free(&run);
}

/* --- changing -------------------------------------------------------------------------------------------------- */

static void test_start_body(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"instances\": [{\"name\": \"class2-1\", \"state\": \"pending\"}]}" };
    outcome run = act(&scene, "start class2 --count 4 --node node07 --wait --timeout 2m --dry-run --id 12340000-0000-0000-0000-000000000000");
    expect_code(&run, EXIT_DONE);
    assert_int_equal(scene.type, VENV_CLIENT_START);
    assert_non_null(strstr(scene.asked, "\"environment\": \"class2\""));
    assert_non_null(strstr(scene.asked, "\"count\": 4"));
    assert_non_null(strstr(scene.asked, "\"node\": \"node07\""));
    assert_non_null(strstr(scene.asked, "\"wait\": \"running\""));
    assert_non_null(strstr(scene.asked, "120"));
    assert_non_null(strstr(scene.asked, "\"dry_run\": true"));
    assert_non_null(strstr(scene.asked, "\\x124"));
    assert_non_null(strstr(run.out, "would start:\n"));
    assert_non_null(strstr(run.out, "class2-1"));
    run_free(&run);
}

static void test_stop_body(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"instances\": []}" };
    outcome run = act(&scene, "stop --environment class2 --count 2 --grace 5s --wait=saved --json");
    expect_code(&run, EXIT_DONE);
    assert_int_equal(scene.type, VENV_CLIENT_STOP);
    assert_non_null(strstr(scene.asked, "\"environment\": \"class2\""));
    assert_non_null(strstr(scene.asked, "\"wait\": \"saved\""));
    assert_non_null(strstr(scene.asked, "\"grace\""));
    assert_null(strstr(scene.asked, "\"force\""));
    assert_non_null(strstr(run.out, "\"id\""));
    run_free(&run);
    run = act(&scene, "stop class2-1 --force");
    assert_non_null(strstr(scene.asked, "\"instance\": \"class2-1\""));
    assert_non_null(strstr(scene.asked, "\"force\": true"));
    assert_string_equal(run.out, "nothing to stop\n");
    run_free(&run);
}

static void test_refused_start_tells_why(void **state)
{
    (void)state;
    fake_scene scene = { .failed = "{\"rc\": \"conflict\", \"error\": \"no node can take it\", \"detail\": "
                              "[{\"node\": \"node07\", \"rule\": \"memory: 2GiB needed, 1GiB free\"}]}" };
    outcome run = act(&scene, "start class2");
    expect_code(&run, EXIT_FAILED);
    assert_string_equal(run.out, "");
    assert_non_null(strstr(run.err, "no node can take it"));
    assert_non_null(strstr(run.err, "1GiB free"));
    run_free(&run);
}

static void test_wait_that_timed_out_says_that_it_goes_on(void **state)
{
    (void)state;
    fake_scene scene = { .failed = "{\"rc\": \"timed-out\", \"error\": \"not running yet\"}" };
    outcome run = act(&scene, "start class2 --wait --timeout 1s");
    expect_code(&run, EXIT_UNKNOWN);
    assert_non_null(strstr(run.err, "the start goes on"));
    run_free(&run);
}

/* --- agents ------------------------------------------------------------------------------------------------------ */

static const char *const two_values =
    "{\"items\": [{\"agent\": \"a\", \"label\": \"memfree\", \"value\": 512, \"unit\": \"KiB\", \"quality\": \"ok\"},"
    " {\"agent\": \"b\", \"label\": \"memfree\", \"quality\": \"error\", \"reason\": \"it hangs\"},"
    " {\"agent\": \"c\", \"error\": \"there is no property \\\"memfree\\\"\", \"rc\": \"not-found\"}]}";

static void test_get(void **state)
{
    (void)state;
    fake_scene scene = { .result = two_values };
    outcome run = act(&scene, "get @all memfree");
    expect_code(&run, EXIT_FAILED); /* c could not */
    assert_non_null(strstr(scene.asked, "\"target\": \"@all\""));
    assert_non_null(strstr(run.out, "a      memfree  512    KiB   ok"));
    assert_non_null(strstr(run.out, "it hangs"));
    assert_non_null(strstr(run.err, "venvctl: c: there is no property"));
    run_free(&run);
    scene.result = "{\"items\": [{\"agent\": \"a\", \"label\": \"q\", \"value\": {\"pending\": 3}, \"quality\": \"ok\"}]}";
    run = act(&scene, "get a q -q");
    expect_code(&run, EXIT_DONE);
    assert_string_equal(run.out, "{\"pending\": 3}\n");
    run_free(&run);
    run = act(&scene, "get a q --json");
    assert_non_null(strstr(run.out, "\"pending\""));
    run_free(&run);
}

static void test_fetch_fails_where_a_sample_failed(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"items\": [{\"agent\": \"b\", \"label\": \"x\", \"quality\": \"error\", \"reason\": \"it hangs\"}]}" };
    outcome run = act(&scene, "fetch b x --timeout 3s");
    expect_code(&run, EXIT_FAILED);
    assert_non_null(strstr(scene.asked, "timeout"));
    run_free(&run);
}

static venv_value outputs(void)
{
    static const char raw[] = "one\n\x1b[2J\xff";
    venv_value item = venv_value_null(), items = venv_value_null(), bytes = venv_value_null();
    venv_list_builder list;
    venv_map_builder map;
    venv_list_init(&list);
    for (int i = 0; i < 2; i++) {
        venv_map_init(&map);
        venv_map_put_z(&map, "agent", i ? "b" : "a");
        venv_map_put_z(&map, "command", "drain");
        venv_map_put(&map, "exit", venv_value_int(i * 3));
        assert_int_equal(venv_value_bytes(raw, sizeof raw - 1, &bytes, NULL), VENV_OK);
        venv_map_put(&map, "stdout", bytes);
        assert_int_equal(venv_value_bytes("oops\n", 5, &bytes, NULL), VENV_OK);
        venv_map_put(&map, "stderr", bytes);
        assert_int_equal(venv_map_take(&map, &item, NULL), VENV_OK);
        venv_list_add(&list, item);
    }
    assert_int_equal(venv_list_take(&list, &items, NULL), VENV_OK);
    venv_map_init(&map);
    venv_map_put(&map, "items", items);
    assert_int_equal(venv_map_take(&map, &item, NULL), VENV_OK);
    return item;
}

static void test_exec(void **state)
{
    (void)state;
    fake_scene scene = { .make = outputs };
    outcome run = act(&scene, "exec a,b drain --now 5");
    expect_code(&run, EXIT_FAILED);
    assert_non_null(strstr(scene.asked, "\"command\": \"drain\""));
    assert_non_null(strstr(scene.asked, "[\"--now\", \"5\"]"));
    assert_non_null(strstr(run.out, "a: one\na: \x1b[2J\xff\nb: one\n")); /* no terminal: as it is */
    assert_non_null(strstr(run.err, "a: oops\n"));
    assert_non_null(strstr(run.err, "venvctl: b: drain ended with 3\n"));
    assert_null(strstr(run.err, "venvctl: a:"));
    run_free(&run);
    run = act(&scene, "exec a,b drain");
    run_free(&run);
    run = act(&scene, "--json exec a,b drain");
    expect_code(&run, EXIT_FAILED);
    venv_value value = fake_json(run.out);
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(&value, 0), "stdout_base64"), "b25lChtbMkr/"));
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(&value, 0), "stderr"), "oops\n"));
    assert_null(venv_value_get(venv_value_at(&value, 0), "stderr_base64"));
    venv_value_unref(&value);
    run_free(&run);
}

/* A person's terminal gets no control characters, whatever the command wrote. */
static void test_exec_on_a_terminal(void **state)
{
    (void)state;
    char whole[512];
    fake_scene scene = { .make = outputs };
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, play, &scene);
    snprintf(whole, sizeof whole, "--manager %s --tls %s exec a,b drain", fake_manager_address(manager), pki);
    outcome run = run_line_terminal(whole);
    fake_manager_stop(manager);
    assert_non_null(strstr(run.out, "a: one\na: \\x1b[2J\\xff\nb: one\n"));
    assert_null(strchr(run.out, 0x1b));
    assert_null(strchr(run.err, 0x1b));
    run_free(&run);
}

static void test_exec_list(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"items\": [{\"agent\": \"a\", \"commands\": [{\"name\": \"ram\", \"path\": \"/x/ram\"}]}]}" };
    outcome run = act(&scene, "exec a");
    expect_code(&run, EXIT_DONE);
    assert_string_equal(run.out, "AGENT  COMMAND  PATH\na      ram      /x/ram\n");
    run_free(&run);
}

static void test_exec_outcomes(void **state)
{
    (void)state;
    static const struct {
        const char *item;
        int code;
        const char *says;
    } rows[] = {
        { "{\"agent\": \"a\", \"command\": \"x\", \"exit\": 0}", EXIT_DONE, "" },
        { "{\"agent\": \"a\", \"command\": \"x\", \"signal\": 9}", EXIT_FAILED, "signal 9" },
        { "{\"agent\": \"a\", \"command\": \"x\", \"timed_out\": true, \"signal\": 9}", EXIT_FAILED, "too long" },
        { "{\"agent\": \"a\", \"command\": \"x\", \"error\": \"not allowed\"}", EXIT_FAILED, "not allowed" },
        { "{\"agent\": \"a\", \"rc\": \"timed-out\", \"error\": \"no answer\"}", EXIT_UNKNOWN, "no answer" },
        { "{\"agent\": \"a\", \"rc\": \"unknown\", \"error\": \"it went away\"}", EXIT_UNKNOWN, "went away" },
        { "{\"agent\": \"a\", \"command\": \"x\", \"exit\": 0, \"truncated\": true}", EXIT_DONE, "was cut" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"items\": [%s]}", rows[i].item);
        fake_scene scene = { .result = text };
        outcome run = act(&scene, "exec a x");
        expect_code(&run, rows[i].code);
        assert_non_null(strstr(run.err, rows[i].says));
        run_free(&run);
    }
}

static void test_control(void **state)
{
    (void)state;
    fake_scene scene = { .result = "{\"items\": [{\"agent\": \"a\", \"reply\": \"ctrlrjoin\"}]}" };
    outcome run = act(&scene, "control a rjoin default 8-core");
    expect_code(&run, EXIT_DONE);
    assert_int_equal(scene.type, VENV_CLIENT_STEER);
    assert_non_null(strstr(scene.asked, "[\"default\", \"8-core\"]"));
    assert_non_null(strstr(run.out, "ctrlrjoin"));
    run_free(&run);
    run = act(&scene, "control --id 00000000-0000-4000-8000-00000000000c a rcon");
    expect_code(&run, EXIT_DONE);
    assert_non_null(strstr(scene.asked, "\"id\""));
    run_free(&run);
    run = act(&scene, "control --id nonsense a rcon");
    expect_code(&run, EXIT_USAGE);
    run_free(&run);
}

/* --- going wrong --------------------------------------------------------------------------------------------------- */

static void test_unreachable(void **state)
{
    (void)state;
    char line[512];
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, NULL, NULL);
    snprintf(line, sizeof line, "--manager %s --tls %s status", fake_manager_address(manager), pki);
    fake_manager_stop(manager);
    outcome run = run_line(line);
    expect_code(&run, EXIT_UNREACHABLE);
    assert_non_null(strstr(run.err, "no manager can be reached"));
    run_free(&run);
}

static void test_denied(void **state)
{
    (void)state;
    char line[512];
    fake_manager *manager = fake_manager_start(other_pki, "mgr", 0, FAKE_WELCOME, NULL, NULL);
    snprintf(line, sizeof line, "--manager %s --tls %s status", fake_manager_address(manager), pki);
    outcome run = run_line(line);
    expect_code(&run, EXIT_DENIED);
    run_free(&run);
    fake_manager_stop(manager);
    manager = fake_manager_start(pki, "mgr", 0, FAKE_REFUSE, NULL, NULL);
    snprintf(line, sizeof line, "--manager %s --tls %s status", fake_manager_address(manager), pki);
    run = run_line(line);
    expect_code(&run, EXIT_DENIED);
    assert_non_null(strstr(run.err, "may not come in today"));
    run_free(&run);
    fake_manager_stop(manager);
    fake_scene scene = { .failed = "{\"rc\": \"denied\", \"error\": \"users of class guest may not start\"}" };
    run = act(&scene, "start class2");
    expect_code(&run, EXIT_DENIED);
    run_free(&run);
}

static void test_timed_out_and_unknown(void **state)
{
    (void)state;
    fake_scene scene = { .silent = true };
    outcome run = act(&scene, "start class2 --timeout 200ms");
    expect_code(&run, EXIT_UNKNOWN);
    assert_non_null(strstr(run.err, "not known"));
    run_free(&run);
    run = act(&scene, "list agents --timeout 200ms");
    expect_code(&run, EXIT_UNKNOWN);
    run_free(&run);
    scene = (struct fake_scene){ .hang_up = true };
    run = act(&scene, "stop class2-1 --timeout 300ms");
    expect_code(&run, EXIT_UNKNOWN);
    assert_non_null(strstr(run.err, "ask again under the same id"));
    run_free(&run);
}

static void test_tls_directory_is_missing(void **state)
{
    (void)state;
    outcome run = run_line("--manager 127.0.0.1:1 --tls /nowhere/at/all status");
    expect_code(&run, EXIT_NOT_FOUND);
    assert_non_null(strstr(run.err, "/nowhere/at/all"));
    run_free(&run);
    run = run_line("--config /nowhere.yaml status");
    expect_code(&run, EXIT_NOT_FOUND);
    run_free(&run);
}

/* --- events and names ----------------------------------------------------------------------------------------------- */

static fake_verdict tell(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    fake_scene *scene = user;
    if (type == VENV_CLIENT_LIST) {
        fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"items\": [{\"name\": \"node07\"}, {\"name\": \"head\"}]}"));
        return FAKE_GO_ON;
    }
    (void)venv_value_print(body, scene->asked, sizeof scene->asked);
    int64_t limit = venv_value_get_int(body, "limit", 100), from = limit < 5 ? 5 - limit : 0;
    for (int64_t revision = venv_value_get_int(body, "since", from) + 1; revision <= 5; revision++) {
        char text[200];
        snprintf(text, sizeof text, "{\"revision\": %d, \"kind\": \"instance\", \"subject\": \"class2-1\", \"text\": \"a\\u001bb\"}", (int)revision);
        fake_send(manager, VENV_MSG_EVENT, request, fake_json(text));
    }
    if (!venv_value_get_bool(body, "follow", false))
        fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"revision\": 5}"));
    return FAKE_GO_ON;
}

static void test_events(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned count;
    } rows[] = { { "events", 5 }, { "events --since 3", 2 }, { "events --since 0", 5 }, { "events --last 1", 1 }, { "events --last 100", 5 },
                 { "events --follow --timeout 300ms", 5 }, { "events --json", 7 } /* the brackets, too */,
                 { "events --follow --json --timeout 300ms", 5 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char whole[512];
        fake_scene scene = { 0 };
        fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, tell, &scene);
        snprintf(whole, sizeof whole, "--manager %s --tls %s %s", fake_manager_address(manager), pki, rows[i].line);
        outcome run = run_line(whole);
        expect_code(&run, EXIT_DONE);
        unsigned lines = 0;
        for (const char *at = run.out; (at = strchr(at, '\n')) != NULL; at++)
            lines++;
        assert_int_equal(lines, rows[i].count);
        assert_null(strchr(run.out, 0x1b));
        run_free(&run);
        fake_manager_stop(manager);
    }
}

static void test_completion_of_names(void **state)
{
    (void)state;
    char whole[512];
    fake_scene scene = { 0 };
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, tell, &scene);
    snprintf(whole, sizeof whole, "complete --manager %s --tls %s get n", fake_manager_address(manager), pki);
    outcome run = run_line(whole);
    assert_string_equal(run.out, "node07\n");
    run_free(&run);
    snprintf(whole, sizeof whole, "complete --manager %s --tls %s get @h", fake_manager_address(manager), pki);
    run = run_line(whole);
    assert_string_equal(run.out, "@head\n");
    run_free(&run);
    fake_manager_stop(manager);
}

static int set_up(void **state)
{
    (void)state;
    pki = fake_pki_new("lab");
    other_pki = fake_pki_new("lab");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_pki_free(pki);
    fake_pki_free(other_pki);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_columns),
        cmocka_unit_test(test_list_quiet),
        cmocka_unit_test(test_list_json),
        cmocka_unit_test(test_empty_list),
        cmocka_unit_test(test_long_list),
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_start_body),
        cmocka_unit_test(test_stop_body),
        cmocka_unit_test(test_refused_start_tells_why),
        cmocka_unit_test(test_wait_that_timed_out_says_that_it_goes_on),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_fetch_fails_where_a_sample_failed),
        cmocka_unit_test(test_exec),
        cmocka_unit_test(test_exec_on_a_terminal),
        cmocka_unit_test(test_exec_list),
        cmocka_unit_test(test_exec_outcomes),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_timed_out_and_unknown),
        cmocka_unit_test(test_tls_directory_is_missing),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_completion_of_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
