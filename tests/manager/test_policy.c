/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a trigger from doing too much: proposals, limits of a share of a group, and the switch. */
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
#define ID(n) "00000000-0000-4000-8000-0000000001" n

static const char empty_queue[] = "[0, {\"class2\": {\"pending\": 0, \"running\": 0}}, 0, null]";

#define PROPOSING                                                                                                        \
    RIG_CONFIG "triggers:\n  grow:\n    mode: propose\n    expires: 10m\n    when: 'queue(\"class2\").pending > 0'\n"     \
               "    on: [update]\n    limit: {actions: 3, per: 1h}\n"                                                     \
               "    do: [{start: {environment: class2, count: '${queue(\"class2\").pending}'}}, {log: {text: grown}}]\n"

/* Ask as alice; the answer's `rc` ("ok" if it was done), and its body. */
static const char *ask(rig *r, int16_t type, const venv_value **ret_body, const char *json)
{
    return rig_ask(r, USER, type, ret_body, json);
}

static const venv_value *first(rig *r, const char *what)
{
    char json[64];
    const venv_value *body = NULL;
    snprintf(json, sizeof json, "{\"what\": \"%s\"}", what);
    assert_string_equal(ask(r, VENV_MSG_LIST, &body, json), "ok");
    return venv_value_at(venv_value_get(body, "items"), 0);
}

static size_t count_of(rig *r, const char *what)
{
    char json[64];
    const venv_value *body = NULL;
    snprintf(json, sizeof json, "{\"what\": \"%s\"}", what);
    assert_string_equal(ask(r, VENV_MSG_LIST, &body, json), "ok");
    return venv_value_count(venv_value_get(body, "items"));
}

static bool has_text(const venv_value *map, const char *key, const char *part)
{
    venv_str text = venv_value_get_text(map, key);
    return text.size > 0 && memmem(text.data, text.size, part, strlen(part));
}

static const char *change(rig *r, const char *id, const char *proposal, const char *verb, const venv_value **ret_body)
{
    char json[256];
    snprintf(json, sizeof json, "{\"id\": \"%s\", \"proposal\": \"%s\", \"verb\": \"%s\"}", id, proposal, verb);
    return ask(r, VENV_MSG_PROPOSAL, ret_body, json);
}

static void a_proposal_is_applied_as_it_is_shown(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(PROPOSING);
    char id[VENV_ID_TEXT_SIZE];
    const venv_value *body = NULL;
    rig_queue(r, HEAD, 2, 0);
    rig_wait(r, 1);
    assert_int_equal(rig_instances(r, true), 0);
    assert_int_equal(count_of(r, "proposals"), 1);
    rig_id(first(r, "proposals"), "id", id);
    assert_true(venv_value_is_text(venv_value_get(first(r, "proposals"), "state"), "open"));
    assert_true(has_text(first(r, "proposals"), "summary", "start class2 (2), log grown"));

    rig_queue(r, HEAD, 3, 0); /* what it would be now does not count */
    rig_crash(r);
    rig_node(r, 12, "node1", BOOT, "");
    rig_user(r, USER, "alice");
    assert_string_equal(change(r, ID("01"), id, "apply", &body), "ok");
    assert_true(venv_value_is_text(venv_value_get(venv_value_get(body, "proposal"), "state"), "applied"));
    assert_int_equal(venv_value_count(venv_value_get(venv_value_get(body, "proposal"), "actions")), 2);
    assert_int_equal(rig_instances(r, true), 2);
    /* The parent of what was done is the proposal. */
    assert_string_equal(ask(r, VENV_MSG_LIST, &body, "{\"what\": \"actions\"}"), "ok");
    const venv_value *item = venv_value_at(venv_value_get(body, "items"), 1);
    venv_id parent, own;
    assert_true(venv_value_is_text(venv_value_get(first(r, "actions"), "kind"), "proposal"));
    assert_true(venv_value_get_id(item, "parent", &parent) && venv_id_parse((venv_str){ id, strlen(id) }, &own));
    assert_true(venv_id_equal(parent, own));
    assert_true(venv_value_is_text(venv_value_get(item, "by"), "user/alice"));

    assert_string_equal(change(r, ID("01"), id, "apply", NULL), "ok"); /* the same request: the same answer */
    assert_string_equal(change(r, ID("02"), id, "apply", &body), "conflict");
    assert_true(has_text(body, "error", "applied before, by user/alice"));
    assert_string_equal(change(r, ID("03"), id, "reject", NULL), "conflict");
    rig_crash(r);
    rig_user(r, USER, "alice");
    assert_string_equal(change(r, ID("01"), id, "apply", NULL), "ok");
    assert_string_equal(change(r, ID("04"), id, "apply", NULL), "conflict");
    assert_int_equal(rig_instances(r, true), 2);
    rig_free(r);
}

static void proposals_do_not_pile_up_and_expire(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(PROPOSING);
    char id[VENV_ID_TEXT_SIZE], short_id[9];
    const venv_value *body = NULL;
    for (int i = 0; i < 3; i++) {
        rig_queue(r, HEAD, 1, 0);
        rig_wait(r, 1);
        rig_queue(r, HEAD, 0, 0);
        rig_wait(r, 1);
    }
    assert_int_equal(count_of(r, "proposals"), 1);
    assert_int_equal(venv_value_get_int(first(r, "proposals"), "repeats", 0), 2);
    assert_non_null(venv_value_get(first(r, "proposals"), "recovered"));
    rig_id(first(r, "proposals"), "id", id);
    for (int i = 0; i < 66; i++)
        rig_wait(r, 10);
    assert_int_equal(rig_events(r, "proposal-expired"), 1);
    assert_string_equal(change(r, ID("01"), id, "apply", &body), "conflict");
    assert_true(has_text(body, "error", "has expired"));
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 1);
    assert_int_equal(count_of(r, "proposals"), 2);
    const venv_value *list = NULL;
    assert_string_equal(ask(r, VENV_MSG_LIST, &list, "{\"what\": \"proposals\"}"), "ok");
    rig_id(venv_value_at(venv_value_get(list, "items"), 1), "id", id);
    snprintf(short_id, sizeof short_id, "%.8s", id);
    assert_string_equal(change(r, ID("02"), short_id, "reject", &body), "ok");
    assert_true(venv_value_is_text(venv_value_get(venv_value_get(body, "proposal"), "state"), "rejected"));
    assert_string_equal(change(r, ID("03"), id, "apply", NULL), "conflict");
    assert_string_equal(change(r, ID("04"), "00000000", "apply", NULL), "not-found");
    assert_string_equal(change(r, ID("05"), id, "postpone", NULL), "invalid");
    assert_int_equal(rig_instances(r, true), 0);
    rig_free(r);
}

/* Applying counts against the limits: all of it or nothing, and the proposal stays open. */
static void a_limit_holds_for_proposals(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(PROPOSING);
    char id[VENV_ID_TEXT_SIZE];
    const venv_value *body = NULL;
    rig_queue(r, HEAD, 3, 0); /* three starts and a line in the log are four actions */
    rig_wait(r, 1);
    rig_id(first(r, "proposals"), "id", id);
    assert_string_equal(change(r, ID("01"), id, "apply", &body), "over-limit");
    assert_true(has_text(body, "error", "limit {actions: 3, per: 1h} is used up: 0 of 3; it can never be"));
    assert_int_equal(rig_instances(r, true), 0);
    assert_true(venv_value_is_text(venv_value_get(first(r, "proposals"), "state"), "open"));
    assert_string_equal(ask(r, VENV_MSG_TRIGGER, NULL, "{\"trigger\": \"grow\", \"verb\": \"disable\"}"), "ok");
    assert_string_equal(change(r, ID("02"), id, "apply", NULL), "conflict");
    rig_free(r);
}

#define RECOVERING(text)                                                                                                 \
    RIG_CONFIG "triggers:\n  grow:\n    mode: propose\n    when: 'queue(\"class2\").pending > 0'\n    on: [update]\n"     \
               "    do: [{log: {text: " text "}}]\n    recover: [{log: {text: shrunk}}]\n"

static size_t open_ones(rig *r, const char *summary, bool *ret_recovered)
{
    const venv_value *body = NULL;
    size_t count = 0;
    assert_string_equal(ask(r, VENV_MSG_LIST, &body, "{\"what\": \"proposals\"}"), "ok");
    const venv_value *items = venv_value_get(body, "items");
    for (size_t i = 0; i < venv_value_count(items); i++) {
        const venv_value *item = venv_value_at(items, i);
        if (!venv_value_is_text(venv_value_get(item, "state"), "open") || !has_text(item, "summary", summary))
            continue;
        count++;
        *ret_recovered = venv_value_get(item, "recovered") != NULL;
    }
    return count;
}

/* What is for the end of it is a proposal of its own, and is not mixed up with the other. */
static void recovery_is_proposed_too(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RECOVERING("grown"));
    bool recovered = true;
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 1);
    assert_int_equal(open_ones(r, "log grown", &recovered), 1);
    assert_false(recovered);
    rig_queue(r, HEAD, 0, 0);
    rig_wait(r, 1);
    assert_int_equal(open_ones(r, "log grown", &recovered), 1);
    assert_true(recovered);
    assert_int_equal(open_ones(r, "log shrunk", &recovered), 1);
    rig_crash(r);
    rig_head(r, 11, empty_queue);
    rig_user(r, USER, "alice");
    rig_queue(r, 11, 2, 0);
    rig_wait(r, 1);
    assert_int_equal(open_ones(r, "log grown", &recovered), 1); /* the same one, and it goes on again */
    assert_false(recovered);
    assert_int_equal(open_ones(r, "log shrunk", &recovered), 0);
    rig_free(r);
}

/* The files were changed while the manager was not running: what the old trigger proposed is not done. */
static void a_proposal_of_another_trigger(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RECOVERING("grown"));
    char id[VENV_ID_TEXT_SIZE];
    bool recovered;
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 1);
    rig_id(first(r, "proposals"), "id", id);
    rig_crash_with(r, RECOVERING("grown"));
    rig_user(r, USER, "alice");
    assert_int_equal(open_ones(r, "log grown", &recovered), 1); /* nothing was changed */
    rig_crash_with(r, RECOVERING("bigger"));
    rig_user(r, USER, "alice");
    assert_int_equal(open_ones(r, "log grown", &recovered), 0);
    assert_string_equal(change(r, ID("01"), id, "apply", NULL), "conflict");
    assert_true(has_text(first(r, "proposals"), "reason", "its trigger was changed"));
    rig_free(r);
}

/* A name that comes from an agent and is empty names nothing: not all of the environment, and not any node. */
static void an_empty_name_is_nobody(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_CONFIG "triggers:\n  t:\n    on: [update]\n    when: 'queue(\"class2\").pending > 0'\n    do:\n"
                   "      - start: {environment: class2, node: '${\"\"}'}\n"
                   "      - stop: {instance: '${\"\"}', environment: class2}\n"
                   "      - destroy: {instance: '${\"\"}', environment: class2}\n"
                   "      - pause: {instance: '${\"\"}', environment: class2}\n");
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    assert_string_equal(ask(r, VENV_MSG_START, NULL, "{\"environment\": \"class2\"}"), "ok");
    const rig_sent *start = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id, machine);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 1);
    assert_int_equal(rig_events(r, "trigger-fired"), 0);
    assert_true(rig_events(r, "trigger-failed") > 0);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    assert_int_equal(rig_instances(r, true), 1);
    for (int16_t type = VENV_MSG_MACHINE_STOP; type <= VENV_MSG_MACHINE_MIGRATE; type++)
        assert_int_equal(rig_count(r, type, 0), 0);
    rig_free(r);
}

#define SHARING                                                                                                            \
    RIG_CONFIG "triggers:\n  drain:\n    when: 'queue(\"class2\").pending > 0'\n    on: [update]\n"                         \
               "    limit: {share: 50%, of: hypervisor, per: 10m}\n"                                                       \
               "    for: 'n in [\"node1\", \"node2\", \"node3\", \"node4\", \"head\"]'\n"                                  \
               "    do: [{exec: {target: '${n}', command: drain}}]\n"

static void a_share_of_a_group(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(SHARING);
    char name[8];
    for (unsigned n = 2; n <= 4; n++) {
        snprintf(name, sizeof name, "node%u", n);
        rig_node(r, NODE + n, name, BOOT, "");
    }
    rig_wait(r, 1);
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 1);
    /* Two of the four hypervisors; the head is none of them. */
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 3);
    assert_int_equal(rig_events(r, "trigger-limited"), 2);
    const venv_value *body = NULL;
    assert_string_equal(ask(r, VENV_MSG_SHOW, &body, "{\"what\": \"trigger\", \"name\": \"drain\"}"), "ok");
    const venv_value *shown = venv_value_get(body, "item");
    assert_true(has_text(shown, "error", "limit {share: 50%, of: hypervisor, per: 10m}: it may touch 2 of 4 agents, has touched 2"));
    assert_true(has_text(shown, "error", "free again in 10m, at "));
    const venv_value *limit = venv_value_at(venv_value_get(shown, "limits"), 0);
    assert_int_equal(venv_value_get_int(limit, "touched", 0), 3);
    rig_crash(r); /* a restart frees nothing */
    rig_head(r, 20, empty_queue);
    for (unsigned n = 1; n <= 4; n++) {
        snprintf(name, sizeof name, "node%u", n);
        rig_node(r, 20 + n, name, BOOT, "");
    }
    rig_queue(r, 20, 1, 0);
    rig_wait(r, 60);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 6); /* those that were touched may be touched again */
    for (int i = 0; i < 10; i++)
        rig_wait(r, 60);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 8);
    rig_free(r);
}

#define STARTING                                                                                          \
    RIG_CONFIG "triggers:\n  grow:\n    when: 'queue(\"class2\").pending > 0'\n    on: [update]\n"         \
               "    limit: [{share: 10%, of: hypervisor, per: 1h}, {actions: 50, per: 1h}]\n"               \
               "    do: [{start: {environment: class2, count: 9}}]\n"

/* A start is cut down to what fits on the agents that may be touched: here one, with room for eight. */
static void a_start_is_cut_to_a_share(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(STARTING);
    rig_node(r, NODE + 1, "node2", BOOT, "");
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 1);
    assert_int_equal(rig_instances(r, false), 8);
    const char *node = NULL;
    const venv_value *body = NULL;
    assert_string_equal(ask(r, VENV_MSG_LIST, &body, "{\"what\": \"instances\"}"), "ok");
    for (size_t i = 0; i < 8; i++) {
        venv_str on = venv_value_get_text(venv_value_at(venv_value_get(body, "items"), i), "node");
        assert_true(on.size == 5 && (!node || memcmp(node, on.data, 5) == 0));
        node = on.data;
    }
    rig_free(r);
}

#define SWITCHED                                                                                              \
    RIG_CONFIG "triggers:\n  grow:\n    when: 'queue(\"class2\").pending > 0'\n    on: [update]\n"             \
               "    do: [{log: {text: waits}}]\n"

static void a_trigger_is_switched_off_and_on(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(SWITCHED);
    const venv_value *body = NULL;
    assert_string_equal(ask(r, VENV_MSG_TRIGGER, &body,
                            "{\"id\": \"" ID("01") "\", \"trigger\": \"grow\", \"verb\": \"disable\", \"why\": \"too eager\"}"), "ok");
    assert_true(venv_value_is_text(venv_value_get(venv_value_get(body, "trigger"), "disabled_by"), "user/alice"));
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 5);
    assert_int_equal(rig_events(r, "trigger-fired"), 0);
    rig_crash(r);
    rig_head(r, HEAD, empty_queue);
    rig_user(r, USER, "alice");
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 5);
    assert_int_equal(rig_events(r, "trigger-fired"), 0);
    assert_true(venv_value_is_text(venv_value_get(first(r, "triggers"), "disabled_why"), "too eager"));
    assert_false(venv_value_get_bool(first(r, "triggers"), "enabled", true));
    assert_string_equal(ask(r, VENV_MSG_TRIGGER, NULL, "{\"trigger\": \"grow\", \"verb\": \"enable\"}"), "ok");
    rig_wait(r, 1);
    assert_int_equal(rig_events(r, "trigger-fired"), 1);
    assert_int_equal(rig_events(r, "trigger-disabled"), 1);
    assert_int_equal(rig_events(r, "trigger-enabled"), 1);
    assert_string_equal(ask(r, VENV_MSG_TRIGGER, NULL, "{\"trigger\": \"none\", \"verb\": \"enable\"}"), "not-found");
    assert_string_equal(ask(r, VENV_MSG_TRIGGER, NULL, "{\"trigger\": \"grow\", \"verb\": \"toggle\"}"), "invalid");
    rig_free(r);
}

#define OVER_TIME(more)                                                                                                   \
    RIG_CONFIG "triggers:\n  t:\n    on: [update]\n    when: 'queue(\"class2\").pending > 0'\n    " more "\n    do: [{log: {text: done}}]\n"

/* The manager is away, and its clock is another one when it is back. */
static void back_after(rig *r, const char *yaml, int64_t clock_s)
{
    r->now.wall.ns += clock_s * VENV_NS_PER_S;
    r->now.mono.ns = 3 * VENV_NS_PER_S;
    rig_crash_with(r, yaml);
    rig_sent_clear(r); /* peers of the same numbers are new ones */
    rig_head(r, HEAD, empty_queue);
    rig_user(r, USER, "alice");
    rig_wait(r, 0.5);
}

/* False and true again: whether it fires. */
static bool fires(rig *r)
{
    size_t before = rig_events(r, "log");
    rig_queue(r, HEAD, 0, 0);
    rig_wait(r, 0.3);
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 0.3);
    bool fired = rig_events(r, "log") > before;
    rig_queue(r, HEAD, 0, 0);
    rig_wait(r, 0.3);
    return fired;
}

/* A restart neither forgives nor prolongs a cooldown or a limit, whatever the clock says then. */
static void clocks_that_are_set_over_a_restart(void **state)
{
    static const int64_t jumps[] = { 0, 3600, -3600, 86400 * 400, -86400 * 400 };
    static const char *const kinds[] = { OVER_TIME("cooldown: 10m"), OVER_TIME("limit: {actions: 1, per: 10m}") };
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (size_t j = 0; j < sizeof jumps / sizeof jumps[0]; j++) {
            rig *r = rig_new_cluster(kinds[k]);
            assert_true(fires(r));
            assert_false(fires(r));
            rig_wait(r, 200);
            back_after(r, kinds[k], jumps[j]);
            assert_false(fires(r));
            rig_wait(r, 200);
            back_after(r, kinds[k], -jumps[j]);
            assert_false(fires(r));
            rig_wait(r, 180); /* less than ten minutes of running */
            assert_false(fires(r));
            rig_wait(r, 150); /* and a bit more: what was not written before a crash counts anew */
            assert_true(fires(r));
            rig_free(r);
        }
}

/* A proposal ends by the clock that ends it first: what was true an hour ago is not proposed any more. */
static void a_proposal_and_the_clock(void **state)
{
    static const struct {
        int64_t clock_s;
        bool ended_at_once;
    } cases[] = { { 0, false }, { 3600, true }, { -3600, false }, { -86400 * 400, false } };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        rig *r = rig_new_cluster(PROPOSING);
        rig_queue(r, HEAD, 2, 0);
        rig_wait(r, 240);
        assert_true(venv_value_is_text(venv_value_get(first(r, "proposals"), "state"), "open"));
        back_after(r, PROPOSING, cases[k].clock_s);
        assert_true(venv_value_is_text(venv_value_get(first(r, "proposals"), "state"), cases[k].ended_at_once ? "expired" : "open"));
        rig_wait(r, 420); /* ten minutes and what was not written; without the second clock it lived on for a whole time more */
        assert_true(venv_value_is_text(venv_value_get(first(r, "proposals"), "state"), "expired"));
        rig_free(r);
    }
}

static size_t rows_of(const rig *r, venv_collection collection)
{
    size_t count = 0;
    for (size_t i = 0; i < r->row_count; i++)
        count += r->rows[i].collection == collection;
    return count;
}

/* The file was changed while no manager ran. A trigger of the same name that comes later begins anew. */
static void rows_of_a_removed_trigger(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(OVER_TIME("cooldown: 10h"));
    assert_true(fires(r));
    assert_true(rows_of(r, VENV_ROWS_TRIGGERS) >= 2);
    back_after(r, RIG_CONFIG, 0);
    assert_int_equal(rows_of(r, VENV_ROWS_TRIGGERS), 0);
    back_after(r, OVER_TIME("cooldown: 10h"), 0);
    assert_true(fires(r));
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proposal_is_applied_as_it_is_shown),
        cmocka_unit_test(proposals_do_not_pile_up_and_expire),
        cmocka_unit_test(a_limit_holds_for_proposals),
        cmocka_unit_test(recovery_is_proposed_too),
        cmocka_unit_test(a_proposal_of_another_trigger),
        cmocka_unit_test(an_empty_name_is_nobody),
        cmocka_unit_test(a_share_of_a_group),
        cmocka_unit_test(a_start_is_cut_to_a_share),
        cmocka_unit_test(a_trigger_is_switched_off_and_on),
        cmocka_unit_test(clocks_that_are_set_over_a_restart),
        cmocka_unit_test(a_proposal_and_the_clock),
        cmocka_unit_test(rows_of_a_removed_trigger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
