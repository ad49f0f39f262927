/* SPDX-License-Identifier: Apache-2.0 */
/* Another configuration while the manager runs: the difference, all or nothing, and what goes on as if nothing had happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"
#define HEAD 1u
#define NODE 2u
#define USER 9u


#define MANAGER  "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n"
#define CLASS(n) "  class" n ": {hypervisor: test, vcpus: 1, memory: 128MiB}\n"
#define GROW(hold) "  grow:\n    when: 'queue(\"class2\").pending > 0'\n    hold: " hold "\n    on: [update]\n" \
                   "    do: [{start: {environment: class2}}]\n"
#define OTHER "  other:\n    when: 'queue(\"class2\").pending > 0'\n    on: [update]\n    do: [{log: {text: other}}]\n"

/* Ask as alice for a reload, which finds this; the answer's `rc`, or "ok". */
static const char *reload(rig *r, bool dry_run, const char *yaml, const venv_value **ret_body)
{
    static uint64_t request = 500;
    static char rc[32];
    int16_t answer = 0;
    rig_frame(r, USER, VENV_MSG_RELOAD, ++request, "{\"dry_run\": %s}", dry_run ? "true" : "false");
    assert_true(r->reload != 0);
    rig_reload(r, r->reload, yaml);
    const venv_value *body = rig_answer(r, USER, request, &answer);
    if (ret_body)
        *ret_body = body;
    venv_str name = venv_value_get_text(body, "rc");
    snprintf(rc, sizeof rc, "%.*s", (int)name.size, name.data ? name.data : "");
    return answer == VENV_MSG_RESULT ? "ok" : rc;
}

static const char *text_of(const venv_value *value)
{
    static char text[4096];
    venv_value_print(value, text, sizeof text);
    return text;
}

static void what_is_as_before_goes_on(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(MANAGER "environments:\n" CLASS("2") "triggers:\n" GROW("10s"));
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 6);
    const venv_value *body = NULL;
    assert_string_equal(reload(r, false, MANAGER "environments:\n" CLASS("1") CLASS("2") "triggers:\n" GROW("10s") OTHER, &body), "ok");
    assert_string_equal(text_of(body), "{\"applied\": true, \"manager\": [], \"triggers\": {\"added\": [\"other\"], \"changed\": [], \"removed\": []}, "
                                       "\"environments\": {\"added\": [\"class1\"], \"changed\": [], \"removed\": []}}");
    rig_wait(r, 1);
    assert_int_equal(rig_events(r, "log"), 1);           /* the new one looks at once */
    assert_int_equal(rig_events(r, "trigger-fired"), 1); /* the old one has held for 7 s of 10 */
    rig_wait(r, 4);
    assert_int_equal(rig_events(r, "trigger-fired"), 2);
    /* It has fired; neither a reload without a change nor one that changes it makes it fire again. */
    assert_string_equal(reload(r, false, MANAGER "environments:\n" CLASS("1") CLASS("2") "triggers:\n" GROW("10s") OTHER, &body), "ok");
    assert_string_equal(reload(r, false, MANAGER "environments:\n" CLASS("1") CLASS("2") "triggers:\n" GROW("2s") OTHER, &body), "ok");
    rig_wait(r, 20);
    assert_int_equal(rig_events(r, "trigger-fired"), 2);
    assert_int_equal(rig_instances(r, true), 1);
    rig_queue(r, HEAD, 0, 0);
    rig_wait(r, 1);
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 3);
    assert_int_equal(rig_instances(r, true), 2); /* with its new hold */
    rig_free(r);
}

static void all_or_nothing(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(MANAGER "environments:\n" CLASS("2") "triggers:\n" GROW("1s"));
    const venv_value *body = NULL;
    assert_string_equal(reload(r, true, MANAGER "environments:\n" CLASS("1") CLASS("2") "triggers:\n" GROW("7s"), &body), "ok");
    assert_false(venv_value_get_bool(body, "applied", true));
    assert_string_equal(text_of(venv_value_get(body, "triggers")), "{\"added\": [], \"changed\": [\"grow\"], \"removed\": []}");
    assert_int_equal(rig_events(r, "configuration-reloaded"), 0);
    assert_int_equal(venv_manager_config_changes(r->m), 0); /* the flight record goes on with what is used */
    assert_string_equal(reload(r, false, MANAGER "environments:\n" CLASS("1") CLASS("2") "triggers:\n  grow: {when: '1 >', do: []}\n", &body), "invalid");
    venv_str error = venv_value_get_text(body, "error");
    assert_non_null(memmem(error.data, error.size, "manager.yaml:9:", 15));
    assert_int_equal(rig_events(r, "configuration-refused"), 1);
    int16_t type;
    rig_frame(r, USER, VENV_MSG_START, 700, "{\"environment\": \"class1\"}");
    (void)rig_answer(r, USER, 700, &type);
    assert_int_equal(type, VENV_MSG_FAILED); /* the first half of it is not used, either */
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 2);
    assert_int_equal(rig_instances(r, true), 1);
    rig_reload(r, 0, "manager: {"); /* by a signal */
    assert_int_equal(rig_events(r, "configuration-refused"), 2);
    assert_int_equal(venv_manager_config_changes(r->m), 0);
    rig_reload(r, 0, MANAGER "environments:\n" CLASS("1"));
    assert_int_equal(rig_events(r, "configuration-reloaded"), 1);
    assert_int_equal(venv_manager_config_changes(r->m), 1);
    rig_free(r);
}

static void settings_now_or_later(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(MANAGER "  grace: 30s\nenvironments:\n" CLASS("2"));
    const venv_value *body = NULL;
    assert_string_equal(reload(r, false, MANAGER "  grace: 7s\n  listen: ['127.0.0.1:1']\n  start_nodes: 1\nenvironments:\n" CLASS("2"), &body), "ok");
    assert_string_equal(text_of(venv_value_get(body, "manager")),
                        "[{\"to\": duration(\"7s\"), \"key\": \"grace\", \"from\": duration(\"30s\"), \"live\": true}, "
                        "{\"to\": [\"127.0.0.1:1\"], \"key\": \"listen\", \"from\": [\"0.0.0.0:7420\"], \"live\": false}, "
                        "{\"to\": 1, \"key\": \"start_nodes\", \"from\": 3, \"live\": true}]");
    assert_int_equal(venv_manager_config_used(r->m)->grace.ns, 7 * VENV_NS_PER_S);
    assert_int_equal(venv_manager_config_used(r->m)->start_nodes, 1);
    assert_string_equal(venv_manager_config_used(r->m)->listen[0], "0.0.0.0:7420");
    rig_free(r);
}

static void a_removed_environment(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(MANAGER "environments:\n" CLASS("1") CLASS("2") "triggers:\n" GROW("1s"));
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    int16_t type;
    rig_frame(r, USER, VENV_MSG_START, 700, "{\"environment\": \"class2\"}");
    const rig_sent *start = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id, machine);
    rig_down(r, NODE, "away");
    rig_frame(r, USER, VENV_MSG_START, 701, "{\"environment\": \"class2\"}");
    assert_string_equal(rig_state(r, "class2-2"), "pending");
    assert_string_equal(reload(r, false, MANAGER "environments:\n" CLASS("1"), NULL), "ok");
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_string_equal(rig_state(r, "class2-2"), "failed");
    assert_int_equal(rig_events(r, "environment-removed"), 1);
    for (size_t i = 0; i < r->row_count; i++)
        assert_int_not_equal(r->rows[i].collection, VENV_ROWS_TRIGGERS);
    rig_frame(r, USER, VENV_MSG_START, 702, "{\"environment\": \"class2\"}");
    (void)rig_answer(r, USER, 702, &type);
    assert_int_equal(type, VENV_MSG_FAILED);
    rig_frame(r, USER, VENV_MSG_STOP, 703, "{\"environment\": \"class2\"}");
    (void)rig_answer(r, USER, 703, &type);
    assert_int_equal(type, VENV_MSG_RESULT);
    rig_free(r);
}

#define LIMITED(actions, extra) "  grow:\n    when: 'queue(\"class2\").pending > 0'\n    on: [update]\n    limit: {actions: " actions \
                         ", per: 1h}\n    do: [{log: {text: grown}}]\n" extra

/* A change gives no new budget, and what somebody switched off stays off. */
static void limits_and_switches_stay(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(MANAGER "environments:\n" CLASS("2") "triggers:\n" LIMITED("2", "") OTHER);
    int16_t type;
    for (int i = 0; i < 3; i++) {
        rig_queue(r, HEAD, 1, 0);
        rig_queue(r, HEAD, 0, 0);
    }
    assert_int_equal(rig_events(r, "trigger-limited"), 1);
    rig_frame(r, USER, VENV_MSG_TRIGGER, 700, "{\"trigger\": \"other\", \"verb\": \"disable\"}");
    (void)rig_answer(r, USER, 700, &type);
    size_t fired = rig_events(r, "trigger-fired");
    assert_string_equal(reload(r, false, MANAGER "environments:\n" CLASS("2") "triggers:\n" LIMITED("3", "") OTHER "    hold: 0s\n", NULL), "ok");
    for (int i = 0; i < 3; i++) {
        rig_queue(r, HEAD, 1, 0);
        rig_queue(r, HEAD, 0, 0);
    }
    assert_int_equal(rig_events(r, "trigger-fired"), fired + 1); /* one more of three */
    rig_free(r);
}

/* Whatever comes between: a restart after a reload, with the new files, goes on from there. */
static void a_restart_after_it(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(MANAGER "environments:\n" CLASS("2") "triggers:\n" GROW("1s"));
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 3);
    assert_int_equal(rig_instances(r, true), 1);
    for (int i = 0; i < 5; i++)
        rig_reload(r, 0, i % 2 ? MANAGER "environments:\n" CLASS("2") "triggers:\n" GROW("1s")
                               : MANAGER "environments:\n" CLASS("2") "triggers:\n" GROW("3s") OTHER);
    rig_crash(r);
    rig_head(r, 11, "[0, {\"class2\": {\"pending\": 1, \"running\": 0}}, 0, null]");
    rig_wait(r, 5);
    assert_int_equal(rig_instances(r, true), 1);
    rig_free(r);
}

/* Rates that are changed again and again are those of the last reading, and what waits does not wait for ever. */
static void rates_change_more_than_once(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(MANAGER "  send_rate: 10\n  send_burst: 2\n");
    for (unsigned k = 0; k < 4; k++)
        rig_frame(r, USER, VENV_MSG_EXEC, 100 + k, "{\"target\": \"node1\", \"command\": \"x\"}");
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 2);
    assert_string_equal(reload(r, false, MANAGER, NULL), "ok");
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 4); /* nothing is limited any more */
    assert_string_equal(reload(r, false, MANAGER "  send_rate: 20\n  send_burst: 3\n", NULL), "ok");
    for (unsigned k = 0; k < 12; k++)
        rig_frame(r, USER, VENV_MSG_EXEC, 200 + k, "{\"target\": \"node1\", \"command\": \"x\"}");
    size_t at_once = rig_count(r, VENV_MSG_EXECUTE, 0);
    assert_in_range(at_once, 4, 4 + 3);
    assert_string_equal(reload(r, false, MANAGER "  send_rate: 20\n  send_burst: 9\n", NULL), "ok");
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), at_once); /* a reload is no gift */
    rig_wait(r, 1);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 4 + 12);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_as_before_goes_on), cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(settings_now_or_later),     cmocka_unit_test(a_removed_environment),
        cmocka_unit_test(limits_and_switches_stay),  cmocka_unit_test(a_restart_after_it),
        cmocka_unit_test(rates_change_more_than_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
