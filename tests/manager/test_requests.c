/* SPDX-License-Identifier: Apache-2.0 */
/* What users ask for: once for each id, waiting, dry runs, refusals, events, commands on agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"
#define ID1  "00000000-0000-4000-8000-000000000101"
#define ID2  "00000000-0000-4000-8000-000000000102"
#define HEAD 1u
#define NODE 2u
#define USER 3u

static rig *ready_rig(void)
{
    rig *r = rig_new(RIG_CONFIG);
    rig_head(r, HEAD, "[0, {\"class2\": {\"pending\": 0, \"running\": 0}}, 0, null]");
    rig_node(r, NODE, "node1", BOOT, "");
    rig_user(r, USER, "anna");
    return r;
}

static const venv_value *expect(rig *r, uint64_t peer, uint64_t request, int16_t type)
{
    int16_t got = 0;
    const venv_value *body = rig_answer(r, peer, request, &got);
    if (got != type) {
        char text[512] = "nothing";
        if (body)
            venv_value_print(body, text, sizeof text);
        fail_msg("request %llu: expected %s, got %s %s", (unsigned long long)request, venv_message_name(type),
                 got ? venv_message_name(got) : "no answer", text);
    }
    return body;
}

static void refused(rig *r, uint64_t request, const char *rc)
{
    const venv_value *body = expect(r, USER, request, VENV_MSG_FAILED);
    if (!venv_value_is_text(venv_value_get(body, "rc"), rc)) {
        char text[512];
        venv_value_print(body, text, sizeof text);
        fail_msg("expected %s, got %s", rc, text);
    }
}

static void machine_done(rig *r, const rig_sent *asked, const char *rc)
{
    char id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    rig_id(&asked->body, "id", id);
    rig_id(&asked->body, "machine", machine);
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"%s\", \"error\": \"\", \"state\": \"x\"}",
              id, machine, rc);
}

static void start_once_for_an_id(void **state)
{
    (void)state;
    rig *r = ready_rig();
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"id\": \"" ID1 "\", \"environment\": \"class2\", \"count\": 2}");
    const venv_value *body = expect(r, USER, 1, VENV_MSG_RESULT);
    assert_int_equal(venv_value_count(venv_value_get(body, "instances")), 2);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 2);
    rig_frame(r, USER, VENV_MSG_START, 2, "{\"id\": \"" ID1 "\", \"environment\": \"class2\", \"count\": 2}");
    assert_true(venv_value_equal(expect(r, USER, 1, VENV_MSG_RESULT), expect(r, USER, 2, VENV_MSG_RESULT)));
    rig_crash(r);
    rig_user(r, 13, "anna");
    rig_frame(r, 13, VENV_MSG_START, 3, "{\"id\": \"" ID1 "\", \"environment\": \"class2\", \"count\": 2}");
    body = expect(r, 13, 3, VENV_MSG_RESULT);
    assert_int_equal(venv_value_count(venv_value_get(body, "instances")), 2);
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 2);
    assert_int_equal(rig_instances(r, true), 2);
    /* Another's, or for something else: refused. */
    rig_user(r, 14, "bert");
    rig_frame(r, 14, VENV_MSG_START, 4, "{\"id\": \"" ID1 "\", \"environment\": \"class2\"}");
    expect(r, 14, 4, VENV_MSG_FAILED);
    rig_frame(r, 13, VENV_MSG_STOP, 5, "{\"id\": \"" ID1 "\", \"environment\": \"class2\"}");
    expect(r, 13, 5, VENV_MSG_FAILED);
    rig_free(r);
}

static void names_are_never_used_twice(void **state)
{
    (void)state;
    rig *r = ready_rig();
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"class2-1\"}");
    rig_crash(r);
    rig_node(r, 12, "node1", BOOT, "");
    rig_user(r, 13, "anna");
    rig_frame(r, 13, VENV_MSG_START, 3, "{\"environment\": \"class2\"}");
    const venv_value *first = venv_value_at(venv_value_get(expect(r, 13, 3, VENV_MSG_RESULT), "instances"), 0);
    assert_true(venv_value_is_text(venv_value_get(first, "name"), "class2-2"));
    rig_free(r);
}

static void waiting(void **state)
{
    (void)state;
    rig *r = ready_rig();
    int16_t type;
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"id\": \"" ID1 "\", \"environment\": \"class2\", \"wait\": \"running\"}");
    assert_null(rig_answer(r, USER, 1, &type));
    machine_done(r, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "ok");
    const venv_value *first = venv_value_at(venv_value_get(expect(r, USER, 1, VENV_MSG_RESULT), "instances"), 0);
    assert_true(venv_value_is_text(venv_value_get(first, "state"), "running"));
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"id\": \"" ID2 "\", \"instance\": \"class2-1\", \"wait\": \"stopped\"}");
    assert_null(rig_answer(r, USER, 2, &type));
    machine_done(r, rig_find(r, NODE, VENV_MSG_MACHINE_STOP, 0), "ok");
    expect(r, USER, 2, VENV_MSG_RESULT);
    rig_frame(r, USER, VENV_MSG_START, 3, "{\"environment\": \"class2\", \"wait\": \"running\"}");
    machine_done(r, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "io");
    refused(r, 3, "conflict");
    rig_frame(r, USER, VENV_MSG_START, 4, "{\"environment\": \"class2\", \"wait\": \"running\"}");
    rig_wait(r, 125);
    refused(r, 4, venv_rc_name(VENV_ETIMEDOUT));
    rig_frame(r, USER, VENV_MSG_START, 5, "{\"environment\": \"class2\", \"wait\": \"flying\"}");
    refused(r, 5, venv_rc_name(VENV_EINVAL));
    rig_free(r);
}

static void nothing_is_changed_by_a_dry_run_or_a_refusal(void **state)
{
    (void)state;
    rig *r = ready_rig();
    size_t rows = r->row_count;
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\", \"count\": 5, \"dry_run\": true}");
    const venv_value *body = expect(r, USER, 1, VENV_MSG_RESULT);
    assert_int_equal(venv_value_count(venv_value_get(body, "instances")), 5);
    assert_int_equal(venv_value_count(venv_value_get(body, "placement")), 1);
    static const struct {
        int16_t type;
        const char *body;
        venv_rc rc;
    } bad[] = {
        { VENV_MSG_START, "{\"environment\": \"class9\"}", VENV_ENOENT },
        { VENV_MSG_START, "{\"environment\": \"../x\"}", VENV_ENOENT },
        { VENV_MSG_START, "{}", VENV_ENOENT },
        { VENV_MSG_START, "{\"environment\": \"class2\", \"count\": 0}", VENV_ERANGE },
        { VENV_MSG_START, "{\"environment\": \"class2\", \"count\": 100000}", VENV_ERANGE },
        { VENV_MSG_START, "{\"environment\": \"class2\", \"node\": \"nobody\"}", VENV_ENOENT },
        { VENV_MSG_START, "{\"environment\": \"class2\", \"id\": \"x\"}", VENV_EINVAL },
        { VENV_MSG_STOP, "{}", VENV_EINVAL },
        { VENV_MSG_STOP, "{\"instance\": \"class2-99\"}", VENV_ENOENT },
        { VENV_MSG_STOP, "{\"environment\": \"class9\"}", VENV_ENOENT },
        { VENV_MSG_GET, "{\"target\": \"nobody\"}", VENV_ENOENT },
        { VENV_MSG_GET, "{\"target\": \"head\", \"label\": \"none\"}", VENV_ENOENT },
        { VENV_MSG_FETCH, "{\"target\": \"@none\", \"label\": \"x\"}", VENV_ENOENT },
        { VENV_MSG_EXEC, "{\"target\": \"\", \"command\": \"x\"}", VENV_EINVAL },
        { VENV_MSG_LIST, "{\"what\": \"elephants\"}", VENV_EINVAL },
        { VENV_MSG_SHOW, "{\"what\": \"agent\", \"name\": \"nobody\"}", VENV_ENOENT },
        { VENV_MSG_EVENTS, "{\"since\": 1000000}", VENV_ECONFLICT },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rig_frame(r, USER, bad[i].type, 100 + i, "%s", bad[i].body);
        refused(r, 100 + i, venv_rc_name(bad[i].rc));
    }
    assert_int_equal(r->row_count, rows);
    assert_int_equal(rig_instances(r, true), 0);
    rig_free(r);
}

static void no_room_means_waiting_with_a_reason(void **state)
{
    (void)state;
    rig *r = ready_rig(); /* 4 processors, overcommit 2: room for 8 */
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\", \"count\": 9}");
    assert_int_equal(rig_count(r, VENV_MSG_MACHINE_START, 0), 8);
    assert_string_equal(rig_state(r, "class2-9"), "pending");
    assert_int_equal(rig_events(r, "instance-waits"), 1);
    rig_frame(r, USER, VENV_MSG_STOP, 2, "{\"instance\": \"class2-1\"}");
    machine_done(r, rig_find(r, NODE, VENV_MSG_MACHINE_START, 0), "io"); /* the last of the eight did not start… */
    rig_wait(r, 3);
    assert_string_equal(rig_state(r, "class2-9"), "pending");
    machine_done(r, rig_find(r, NODE, VENV_MSG_MACHINE_DESTROY, 0), "ok"); /* …and will not any more */
    rig_wait(r, 3);
    assert_string_equal(rig_state(r, "class2-9"), "starting");
    rig_free(r);
}

static void pending_is_given_up(void **state)
{
    (void)state;
    rig *r = rig_new(RIG_CONFIG);
    rig_user(r, USER, "anna");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\"}");
    assert_string_equal(rig_state(r, "class2-1"), "pending");
    rig_wait(r, 601);
    assert_string_equal(rig_state(r, "class2-1"), "failed");
    rig_free(r);
}

static void kept_and_fresh_values(void **state)
{
    (void)state;
    rig *r = ready_rig();
    rig_frame(r, USER, VENV_MSG_GET, 1, "{\"target\": \"@all\"}");
    assert_int_equal(venv_value_count(venv_value_get(expect(r, USER, 1, VENV_MSG_RESULT), "items")), 2);
    rig_frame(r, USER, VENV_MSG_FETCH, 2, "{\"target\": \"node1,head\", \"label\": \"memfree\"}");
    const rig_sent *asked = rig_find(r, NODE, VENV_MSG_FETCHPROP, 0);
    assert_non_null(asked);
    uint64_t to_node = asked->request, to_head = rig_find(r, HEAD, VENV_MSG_FETCHPROP, 0)->request;
    rig_frame(r, HEAD, VENV_MSG_PROPVAL, to_node, "{\"label\": \"memfree\", \"value\": 5, \"quality\": \"ok\"}"); /* not asked: nothing */
    rig_frame(r, NODE, VENV_MSG_PROPVAL, to_node, "{\"label\": \"memfree\", \"type\": \"int\", \"value\": 77, \"quality\": \"ok\"}");
    rig_frame(r, HEAD, VENV_MSG_PROPERR, to_head, "{\"label\": \"memfree\", \"rc\": \"not-found\", \"error\": \"no such property\"}");
    const venv_value *items = venv_value_get(expect(r, USER, 2, VENV_MSG_RESULT), "items");
    assert_int_equal(venv_value_get_int(venv_value_at(items, 0), "value", 0), 77);
    assert_true(venv_value_get_text(venv_value_at(items, 1), "error").size > 0);
    rig_frame(r, USER, VENV_MSG_GET, 3, "{\"target\": \"node1\", \"label\": \"memfree\"}");
    items = venv_value_get(expect(r, USER, 3, VENV_MSG_RESULT), "items");
    assert_int_equal(venv_value_get_int(venv_value_at(items, 0), "value", 0), 77);
    rig_down(r, NODE, "reset");
    rig_frame(r, USER, VENV_MSG_GET, 4, "{\"target\": \"node1\", \"label\": \"memfree\"}");
    items = venv_value_get(expect(r, USER, 4, VENV_MSG_RESULT), "items");
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(items, 0), "quality"), "stale"));
    rig_free(r);
}

static void commands(void **state)
{
    (void)state;
    rig *r = ready_rig();
    int16_t type;
    rig_frame(r, USER, VENV_MSG_EXEC, 1, "{\"id\": \"" ID1 "\", \"target\": \"@default\", \"command\": \"uptime\", \"args\": [\"-p\"]}");
    assert_null(rig_answer(r, USER, 1, &type));
    uint64_t to_node = rig_find(r, NODE, VENV_MSG_EXECUTE, 0)->request;
    rig_frame(r, NODE, VENV_MSG_EXECRET, to_node, "{\"command\": \"uptime\", \"exit\": 0, \"timed_out\": false}");
    rig_down(r, HEAD, "reset"); /* it may have run there: that is unknown, not failed */
    const venv_value *items = venv_value_get(expect(r, USER, 1, VENV_MSG_RESULT), "items");
    assert_int_equal(venv_value_count(items), 2);
    size_t unknown = 0;
    for (size_t i = 0; i < 2; i++) {
        const venv_value *rc = venv_value_get(venv_value_at(items, i), "rc");
        unknown += rc && venv_value_is_text(rc, venv_rc_name(VENV_EUNKNOWN));
    }
    assert_int_equal(unknown, 1);
    assert_int_equal(rig_events(r, "action-unknown"), 1);
    /* Asked again: the same answer, nothing runs. */
    rig_frame(r, USER, VENV_MSG_EXEC, 2, "{\"id\": \"" ID1 "\", \"target\": \"@default\", \"command\": \"uptime\", \"args\": [\"-p\"]}");
    expect(r, USER, 2, VENV_MSG_RESULT);
    assert_int_equal(rig_count(r, VENV_MSG_EXECUTE, 0), 2);
    /* The manager dies while one runs. */
    rig_frame(r, USER, VENV_MSG_EXEC, 3, "{\"id\": \"" ID2 "\", \"target\": \"node1\", \"command\": \"uptime\"}");
    rig_crash(r);
    rig_user(r, 13, "anna");
    rig_frame(r, 13, VENV_MSG_EXEC, 4, "{\"id\": \"" ID2 "\", \"target\": \"node1\", \"command\": \"uptime\"}");
    const venv_value *body = expect(r, 13, 4, VENV_MSG_FAILED);
    assert_true(venv_value_is_text(venv_value_get(body, "rc"), venv_rc_name(VENV_EUNKNOWN)));
    rig_free(r);
}

static void no_answer_in_time(void **state)
{
    (void)state;
    rig *r = ready_rig();
    rig_frame(r, USER, VENV_MSG_FETCH, 1, "{\"target\": \"node1\", \"label\": \"memfree\"}");
    rig_frame(r, USER, VENV_MSG_STEER, 2, "{\"target\": \"node1\", \"verb\": \"rcon\"}");
    rig_wait(r, 32);
    const venv_value *items = venv_value_get(expect(r, USER, 1, VENV_MSG_RESULT), "items");
    assert_true(venv_value_is_text(venv_value_get(venv_value_at(items, 0), "rc"), venv_rc_name(VENV_ETIMEDOUT)));
    expect(r, USER, 2, VENV_MSG_RESULT);
    rig_free(r);
}

/* Steering an agent is an action, too: it has an id, happens once, and can be found afterwards. */
static void steering_is_recorded(void **state)
{
    (void)state;
    rig *r = ready_rig();
    rig_frame(r, USER, VENV_MSG_STEER, 1, "{\"id\": \"" ID1 "\", \"target\": \"node1\", \"verb\": \"rcon\"}");
    const rig_sent *told = rig_find(r, NODE, VENV_MSG_CONTROL, 0);
    assert_non_null(told);
    rig_frame(r, NODE, VENV_MSG_CTRLRCON, told->request, "{}");
    expect(r, USER, 1, VENV_MSG_RESULT);
    rig_frame(r, USER, VENV_MSG_STEER, 2, "{\"id\": \"" ID1 "\", \"target\": \"node1\", \"verb\": \"rcon\"}");
    expect(r, USER, 2, VENV_MSG_RESULT);
    assert_int_equal(rig_count(r, VENV_MSG_CONTROL, 0), 1);
    rig_frame(r, USER, VENV_MSG_LIST, 3, "{\"what\": \"actions\"}");
    const venv_value *item = venv_value_at(venv_value_get(expect(r, USER, 3, VENV_MSG_RESULT), "items"), 0);
    assert_true(venv_value_is_text(venv_value_get(item, "kind"), "control"));
    assert_true(venv_value_is_text(venv_value_get(item, "state"), "done"));
    assert_true(venv_value_is_text(venv_value_get(item, "subject"), "node1"));
    assert_int_equal(rig_events(r, "request"), 1);
    rig_free(r);
}

static void events_without_a_gap(void **state)
{
    (void)state;
    rig *r = ready_rig();
    for (int i = 0; i < 300; i++) /* more than one page */
        rig_frame(r, USER, VENV_MSG_STOP, 500, "{\"environment\": \"class2\"}");
    uint64_t before = r->log_count;
    rig_user(r, 5, "eve");
    rig_frame(r, 5, VENV_MSG_EVENTS, 1, "{\"since\": 0, \"follow\": true}");
    rig_frame(r, USER, VENV_MSG_START, 2, "{\"environment\": \"class2\"}");
    rig_frame(r, USER, VENV_MSG_STOP, 3, "{\"environment\": \"class2\"}");
    assert_true(r->log_count > before);
    uint64_t next = 1;
    for (size_t i = 0; i < r->sent_count; i++) {
        if (r->sent[i].peer != 5 || r->sent[i].type != VENV_MSG_EVENT)
            continue;
        assert_int_equal(venv_value_peek_uint(venv_value_get(&r->sent[i].body, "revision")), next);
        next++;
    }
    assert_int_equal(next, r->log_count + 1);
    rig_frame(r, USER, VENV_MSG_EVENTS, 4, "{\"since\": 10, \"limit\": 5}");
    assert_int_equal(venv_value_peek_uint(venv_value_get(expect(r, USER, 4, VENV_MSG_RESULT), "revision")), 15);
    rig_down(r, 5, "gone");
    rig_frame(r, USER, VENV_MSG_START, 6, "{\"environment\": \"class2\"}");
    rig_free(r);
}

static void status_and_shows(void **state)
{
    (void)state;
    rig *r = ready_rig();
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"id\": \"" ID1 "\", \"environment\": \"class2\"}");
    rig_frame(r, USER, VENV_MSG_STATUS, 2, "{}");
    const venv_value *body = expect(r, USER, 2, VENV_MSG_RESULT);
    assert_int_equal(venv_value_get_int(venv_value_get(body, "agents"), "connected", 0), 2);
    assert_int_equal(venv_value_get_int(venv_value_get(body, "instances"), "starting", 0), 1);
    assert_int_equal(venv_value_get_int(venv_value_get(body, "actions"), "open", 0), 2);
    static const char *const what[][2] = { { "agent", "node1" }, { "group", "default" }, { "environment", "class2" },
                                           { "instance", "class2-1" }, { "action", ID1 } };
    for (size_t i = 0; i < 5; i++) {
        rig_frame(r, USER, VENV_MSG_SHOW, 10 + i, "{\"what\": \"%s\", \"name\": \"%s\"}", what[i][0], what[i][1]);
        assert_int_equal(venv_value_kind(venv_value_get(expect(r, USER, 10 + i, VENV_MSG_RESULT), "item")), VENV_MAP);
    }
    static const char *const kinds[] = { "agents", "groups", "environments", "instances", "triggers", "actions" };
    for (size_t i = 0; i < 6; i++) {
        rig_frame(r, USER, VENV_MSG_LIST, 20 + i, "{\"what\": \"%s\"}", kinds[i]);
        assert_int_equal(venv_value_kind(venv_value_get(expect(r, USER, 20 + i, VENV_MSG_RESULT), "items")), VENV_LIST);
    }
    rig_free(r);
}

static size_t kept_answers(const rig *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->row_count; i++)
        count += r->rows[i].collection == VENV_ROWS_REQUESTS;
    return count;
}

/* People set clocks: what is kept for a time is kept for so long as the manager runs. */
static void answers_outlive_a_set_clock(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  retention: 10m\n"
                     "environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n");
    rig_node(r, NODE, "node1", BOOT, "");
    rig_user(r, USER, "anna");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"id\": \"" ID1 "\", \"environment\": \"class2\"}");
    expect(r, USER, 1, VENV_MSG_RESULT);
    for (uint64_t run = 0; run < 2; run++) {
        r->now.wall.ns += INT64_C(400) * 86400 * VENV_NS_PER_S;
        rig_wait(r, 330 - (run ? 40 : 0)); /* its row is written each five minutes */
        assert_int_equal(kept_answers(r), 1);
        rig_crash(r);
        rig_user(r, 20 + run, "anna");
        rig_frame(r, 20 + run, VENV_MSG_START, 2, "{\"id\": \"" ID1 "\", \"environment\": \"class2\"}");
        expect(r, 20 + run, 2, VENV_MSG_RESULT);
        assert_int_equal(rig_instances(r, true), 1);
    }
    rig_wait(r, 400); /* more than ten minutes in all three runs */
    assert_int_equal(kept_answers(r), 0);
    rig_free(r);
}

/* A row that another version wrote has no age: it begins to age here, and is kept for the whole time. */
static void answers_of_before_begin_to_age(void **state)
{
    (void)state;
    rig *r = rig_new("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  retention: 5m\n");
    rig_row *row = &r->rows[r->row_count++];
    venv_id id = { { 7 } };
    row->collection = VENV_ROWS_REQUESTS;
    assert_int_equal(venv_value_bytes((const char *)id.bytes, sizeof id.bytes, &row->key, NULL), VENV_OK);
    static const char text[] = "{\"type\": 1, \"by\": \"user/anna\"}";
    assert_int_equal(venv_json_parse(text, strlen(text), 0, &row->value, NULL), VENV_OK);
    rig_crash(r);
    rig_wait(r, 65); /* now it has a stamp */
    rig_crash(r);
    rig_wait(r, 230);
    assert_int_equal(kept_answers(r), 1);
    rig_wait(r, 200);
    assert_int_equal(kept_answers(r), 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_once_for_an_id),
        cmocka_unit_test(names_are_never_used_twice),
        cmocka_unit_test(waiting),
        cmocka_unit_test(nothing_is_changed_by_a_dry_run_or_a_refusal),
        cmocka_unit_test(no_room_means_waiting_with_a_reason),
        cmocka_unit_test(pending_is_given_up),
        cmocka_unit_test(kept_and_fresh_values),
        cmocka_unit_test(commands),
        cmocka_unit_test(no_answer_in_time), cmocka_unit_test(steering_is_recorded),
        cmocka_unit_test(events_without_a_gap),
        cmocka_unit_test(status_and_shows),
        cmocka_unit_test(answers_outlive_a_set_clock),
        cmocka_unit_test(answers_of_before_begin_to_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
