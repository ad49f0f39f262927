/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trigger/fake_zone.h"

static void build(rig *r)
{
    venv_manager_row *rows = calloc(r->row_count + 1, sizeof *rows);
    venv_error err = { 0 };
    for (size_t i = 0; i < r->row_count; i++)
        rows[i] = (venv_manager_row){ r->rows[i].collection, &r->rows[i].key, &r->rows[i].value };
    venv_id boot = { { 0xb0, (uint8_t)++r->boots } };
    if (venv_manager_new(r->config, rows, r->row_count, r->log_count, boot, 42 + r->boots, r->now, &r->m, &err) != VENV_OK)
        fail_msg("%s", err.text);
    free(rows);
}

static void read_config(rig *r, const char *yaml)
{
    venv_error err = { 0 };
    venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
    char text[1024];
    if (venv_manager_config_new(&source, 1, fake_zone, NULL, &r->config, &err) != VENV_OK)
        fail_msg("%s", venv_error_format(&err, text, sizeof text));
}

rig *rig_new(const char *yaml)
{
    rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    read_config(r, yaml);
    venv_buf_init(&r->recorded, 16u << 20);
    r->asked = venv_value_null();
    r->now = (venv_now){ { 1000 * VENV_NS_PER_S }, { INT64_C(1700000000) * VENV_NS_PER_S } };
    build(r);
    return r;
}

/* The shell has read other files; they are right, or wrong. */
void rig_reload(rig *r, uint64_t token, const char *yaml)
{
    venv_error err = { 0 };
    venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
    venv_manager_config *fresh = NULL;
    char text[1024];
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_CONFIG, .token = token };
    event.rc = venv_manager_config_new(&source, 1, fake_zone, NULL, &fresh, &err);
    event.config = fresh;
    event.text = fresh ? NULL : venv_error_format(&err, text, sizeof text);
    rig_step(r, &event);
    venv_manager_config_free(fresh);
}

void rig_sent_clear(rig *r)
{
    for (size_t i = 0; i < r->sent_count; i++)
        venv_value_unref(&r->sent[i].body);
    r->sent_count = 0;
}

void rig_free(rig *r)
{
    venv_manager_free(r->m);
    for (size_t i = 0; i < r->row_count; i++) {
        venv_value_unref(&r->rows[i].key);
        venv_value_unref(&r->rows[i].value);
    }
    for (size_t i = 0; i < r->log_count; i++)
        venv_value_unref(&r->log[i]);
    for (size_t i = 0; i < r->sent_count; i++)
        venv_value_unref(&r->sent[i].body);
    for (size_t i = 0; i < r->delivery_count; i++)
        venv_value_unref(&r->deliveries[i].order);
    venv_buf_fini(&r->recorded);
    venv_value_unref(&r->asked);
    venv_manager_config_free(r->config);
    free(r);
}

void rig_crash(rig *r)
{
    venv_manager_free(r->m);
    r->m = NULL;
    build(r);
}

void rig_crash_with(rig *r, const char *yaml)
{
    venv_manager_free(r->m);
    r->m = NULL;
    venv_manager_config_free(r->config);
    read_config(r, yaml);
    build(r);
}

static void put(rig *r, const venv_manager_action *a, bool remove)
{
    size_t at = 0;
    while (at < r->row_count && (r->rows[at].collection != a->collection || venv_value_compare(&r->rows[at].key, &a->key) != 0))
        at++;
    if (at < r->row_count) {
        venv_value_unref(&r->rows[at].key);
        venv_value_unref(&r->rows[at].value);
        memmove(&r->rows[at], &r->rows[at + 1], (r->row_count - at - 1) * sizeof *r->rows);
        r->row_count--;
    }
    if (remove)
        return;
    assert_true(r->row_count < RIG_ROWS_MAX);
    rig_row *row = &r->rows[r->row_count++];
    row->collection = a->collection;
    assert_int_equal(venv_value_dup(&a->key, &row->key, NULL), VENV_OK);
    assert_int_equal(venv_value_dup(&a->value, &row->value, NULL), VENV_OK);
}

static rig_sent *sent(rig *r, const venv_manager_action *a, int16_t type)
{
    assert_true(r->sent_count < RIG_SENT_MAX);
    rig_sent *s = &r->sent[r->sent_count++];
    memset(s, 0, sizeof *s);
    s->peer = a->peer;
    s->request = a->request;
    s->type = type;
    return s;
}

/* The log's entries after `since`, as the shell would read them. */
static void history(rig *r, const venv_manager_action *a, venv_value *ret_list)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0, n = 0; i < r->log_count && n < a->limit; i++) {
        const venv_value *revision = venv_value_get(&r->log[i], "revision");
        if (venv_value_peek_uint(revision) <= a->since)
            continue;
        venv_list_add(&list, venv_value_ref(&r->log[i]));
        n++;
    }
    assert_int_equal(venv_list_take(&list, ret_list, NULL), VENV_OK);
}

static void take(rig *r, const venv_manager_actions *actions)
{
    if (actions->write) {
        assert_true(actions->write > 0);
        r->last_write = actions->write;
    }
    for (size_t i = 0; i < actions->count; i++) {
        const venv_manager_action *a = &actions->items[i];
        rig_sent *s;
        switch (a->kind) {
        case VENV_MANAGER_ACT_PUT: put(r, a, false); break;
        case VENV_MANAGER_ACT_DELETE: put(r, a, true); break;
        case VENV_MANAGER_ACT_APPEND:
            assert_true(r->log_count < RIG_LOG_MAX);
            assert_int_equal(venv_value_peek_uint(venv_value_get(&a->value, "revision")), r->log_count + 1);
            assert_int_equal(venv_value_dup(&a->value, &r->log[r->log_count++], NULL), VENV_OK);
            break;
        case VENV_MANAGER_ACT_SEND:
            s = sent(r, a, a->type);
            assert_int_equal(venv_value_dup(&a->value, &s->body, NULL), VENV_OK);
            break;
        case VENV_MANAGER_ACT_CLOSE:
            s = sent(r, a, -1);
            snprintf(s->text, sizeof s->text, "%s", a->text);
            break;
        case VENV_MANAGER_ACT_DELIVER:
            assert_true(r->delivery_count < RIG_DELIVERY_MAX);
            r->deliveries[r->delivery_count].action = a->action;
            assert_int_equal(venv_value_dup(&a->value, &r->deliveries[r->delivery_count++].order, NULL), VENV_OK);
            break;
        case VENV_MANAGER_ACT_RELOAD:
            r->reload = a->token;
            break;
        case VENV_MANAGER_ACT_RECORD:
            venv_buf_append(&r->recorded, venv_value_peek_text(&a->value).data, venv_value_peek_text(&a->value).size);
            break;
        case VENV_MANAGER_ACT_ASK:
            r->ask = a->token;
            venv_value_unref(&r->asked);
            r->asked = venv_value_ref(&a->value);
            break;
        case VENV_MANAGER_ACT_READ:
        case VENV_MANAGER_ACT_LOG: break;
        }
    }
}

void rig_step(rig *r, const venv_manager_event *event)
{
    venv_manager_actions actions;
    venv_error err = { 0 };
    venv_manager_actions_init(&actions);
    if (venv_manager_step(r->m, r->now, event, &actions, &err) != VENV_OK)
        fail_msg("%s", err.text);
    take(r, &actions);
    for (size_t i = 0; i < actions.count; i++) {
        if (actions.items[i].kind != VENV_MANAGER_ACT_READ)
            continue;
        venv_value list = venv_value_null();
        history(r, &actions.items[i], &list);
        venv_manager_event answer = { .kind = VENV_MANAGER_EVENT_HISTORY, .token = actions.items[i].token, .value = &list };
        rig_step(r, &answer);
        venv_value_unref(&list);
    }
    for (size_t i = 0; i < actions.count; i++)
        if (actions.items[i].kind == VENV_MANAGER_ACT_CLOSE)
            rig_down(r, actions.items[i].peer, actions.items[i].text);
    venv_manager_actions_fini(&actions);
}

static size_t frames_to(const rig *r, uint64_t peer)
{
    size_t count = 0;
    for (size_t i = 0; i < r->sent_count; i++)
        count += r->sent[i].peer == peer && r->sent[i].type != -1;
    return count;
}

void rig_wait(rig *r, double seconds)
{
    int64_t end = r->now.mono.ns + (int64_t)(seconds * 1e9);
    while (r->now.mono.ns < end) {
        r->now.mono.ns += VENV_NS_PER_S / 10;
        r->now.wall.ns += VENV_NS_PER_S / 10;
        if (venv_manager_deadline(r->m).ns > r->now.mono.ns)
            continue;
        size_t from = r->sent_count;
        venv_manager_event event = { .kind = VENV_MANAGER_EVENT_TIME };
        rig_step(r, &event);
        for (size_t i = from; i < r->sent_count; i++) /* peers are alive: they answer heartbeats */
            if (r->sent[i].type == VENV_MSG_PING)
                rig_frame(r, r->sent[i].peer, VENV_MSG_PONG, 0, "{\"heard\": %zu}", frames_to(r, r->sent[i].peer));
    }
}

void rig_up(rig *r, uint64_t peer, venv_role role, const char *name)
{
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = peer, .role = role, .text = name,
                                 .address = "192.0.2.1:1" };
    rig_step(r, &event);
}

void rig_down(rig *r, uint64_t peer, const char *why)
{
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = peer, .text = why };
    rig_step(r, &event);
}

/* JSON has no timestamps: a sample's time that is null becomes now. */
static void stamp(rig *r, venv_value *body)
{
    const venv_value *samples = venv_value_get(body, "samples"), *key, *value;
    if (!samples)
        return;
    venv_map_builder map;
    venv_list_builder rows;
    venv_list_init(&rows);
    for (size_t i = 0; i < venv_value_count(samples); i++) {
        venv_list_builder row;
        const venv_value *old = venv_value_at(samples, i);
        venv_value fresh = venv_value_null();
        venv_list_init(&row);
        for (size_t k = 0; k < venv_value_count(old); k++)
            venv_list_add(&row, k == 3 ? venv_value_from_wall(r->now.wall) : venv_value_ref(venv_value_at(old, k)));
        assert_int_equal(venv_list_take(&row, &fresh, NULL), VENV_OK);
        venv_list_add(&rows, fresh);
    }
    venv_map_init(&map);
    for (size_t i = 0; venv_value_entry(body, i, &key, &value); i++)
        if (!venv_value_is_text(key, "samples"))
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    venv_value list = venv_value_null(), whole = venv_value_null();
    assert_int_equal(venv_list_take(&rows, &list, NULL), VENV_OK);
    venv_map_put(&map, "samples", list);
    assert_int_equal(venv_map_take(&map, &whole, NULL), VENV_OK);
    venv_value_unref(body);
    *body = whole;
}

void rig_frame(rig *r, uint64_t peer, int16_t type, uint64_t request, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(n > 0 && (size_t)n < sizeof text);
    venv_value body = venv_value_null();
    venv_error err = { 0 };
    if (venv_json_parse(text, (size_t)n, 0, &body, &err) != VENV_OK)
        fail_msg("%s in %s", err.text, text);
    stamp(r, &body);
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_FRAME, .peer = peer, .type = type, .request = request,
                                 .known = venv_message_find(type) != NULL, .value = &body };
    rig_step(r, &event);
    venv_value_unref(&body);
}

void rig_user(rig *r, uint64_t peer, const char *name)
{
    rig_up(r, peer, VENV_ROLE_USER, name);
    rig_frame(r, peer, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"program\": \"test\"}");
}

void rig_head(rig *r, uint64_t peer, const char *queue_json)
{
    rig_up(r, peer, VENV_ROLE_AGENT, "head");
    rig_frame(r, peer, VENV_MSG_HELLO, 0,
              "{\"versions\": [1], \"name\": \"head\", \"groups\": [\"default\", \"batch\"], "
              "\"boot\": \"00000000-0000-4000-8000-0000000000aa\", \"machine\": \"00000000-0000-4000-8000-00000000000a\", "
              "\"properties\": [{\"slot\": 0, \"label\": \"queue\", \"type\": \"json\", \"every\": 1, \"source\": \"command:slurm-queue\", "
              "\"quality\": \"ok\"}], \"samples\": [%s]}", queue_json);
}

void rig_queue(rig *r, uint64_t peer, int pending, int running)
{
    rig_frame(r, peer, VENV_MSG_PUSH, 0, "{\"samples\": [[0, {\"class2\": {\"pending\": %d, \"running\": %d}}, 0, null]]}", pending,
              running);
}

void rig_machines(rig *r, uint64_t peer, const char *machines_json)
{
    rig_frame(r, peer, VENV_MSG_MACHINES, 0,
              "{\"reachable\": true, \"node\": {\"cpus\": 4, \"memory\": 8589934592, \"kinds\": [\"test\"]}, "
              "\"foreign\": {\"count\": 0, \"vcpus\": 0, \"memory\": 0}, \"machines\": [%s]}", machines_json);
}

void rig_node(rig *r, uint64_t peer, const char *name, const char *boot, const char *machines_json)
{
    rig_up(r, peer, VENV_ROLE_AGENT, name);
    rig_frame(r, peer, VENV_MSG_HELLO, 0,
              "{\"versions\": [1], \"name\": \"%s\", \"groups\": [\"default\", \"hypervisor\"], \"boot\": \"%s\", "
              "\"machine\": \"00000000-0000-4000-8000-00000000000b\", "
              "\"properties\": [{\"slot\": 0, \"label\": \"memfree\", \"type\": \"int\", \"every\": 1, \"source\": \"builtin:memfree\", "
              "\"quality\": \"ok\"}], \"samples\": [[0, 1000, 0, null]]}", name, boot);
    if (machines_json)
        rig_machines(r, peer, machines_json);
}

const rig_sent *rig_find(const rig *r, uint64_t peer, int16_t type, size_t from)
{
    for (size_t i = r->sent_count; i-- > from;)
        if (r->sent[i].type == type && (peer == 0 || r->sent[i].peer == peer))
            return &r->sent[i];
    return NULL;
}

size_t rig_count(const rig *r, int16_t type, size_t from)
{
    size_t count = 0;
    for (size_t i = from; i < r->sent_count; i++)
        count += r->sent[i].type == type;
    return count;
}

const venv_value *rig_answer(const rig *r, uint64_t peer, uint64_t request, int16_t *ret_type)
{
    for (size_t i = r->sent_count; i-- > 0;) {
        const rig_sent *s = &r->sent[i];
        if (s->peer == peer && s->request == request && (s->type == VENV_MSG_RESULT || s->type == VENV_MSG_FAILED)) {
            *ret_type = s->type;
            return &s->body;
        }
    }
    *ret_type = 0;
    return NULL;
}

static uint64_t look(rig *r, const char *what)
{
    static const uint64_t peer = 99999;
    uint64_t request = 1000000 + r->sent_count;
    rig_user(r, peer + r->sent_count, "looker");
    uint64_t number = peer + r->sent_count - 1;
    for (size_t i = r->sent_count; i-- > 0;)
        if (r->sent[i].type == VENV_MSG_WELCOME) {
            number = r->sent[i].peer;
            break;
        }
    rig_frame(r, number, VENV_MSG_LIST, request, "{\"what\": \"%s\"}", what);
    rig_down(r, number, "done");
    return request;
}

static const venv_value *items(rig *r, const char *what)
{
    uint64_t request = look(r, what);
    for (size_t i = r->sent_count; i-- > 0;)
        if (r->sent[i].request == request && r->sent[i].type == VENV_MSG_RESULT)
            return venv_value_get(&r->sent[i].body, "items");
    fail_msg("no list of %s", what);
    return NULL;
}

const char *rig_state(rig *r, const char *instance)
{
    static char text[32];
    const venv_value *list = items(r, "instances");
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *item = venv_value_at(list, i);
        if (!venv_value_is_text(venv_value_get(item, "name"), instance))
            continue;
        venv_str state = venv_value_get_text(item, "state");
        snprintf(text, sizeof text, "%.*s", (int)state.size, state.data);
        return text;
    }
    return "";
}

size_t rig_instances(rig *r, bool with_ended)
{
    const venv_value *list = items(r, "instances");
    size_t count = 0;
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *state = venv_value_get(venv_value_at(list, i), "state");
        count += with_ended || !(venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed"));
    }
    return count;
}

size_t rig_events(const rig *r, const char *kind)
{
    size_t count = 0;
    for (size_t i = 0; i < r->log_count; i++)
        count += venv_value_is_text(venv_value_get(&r->log[i], "kind"), kind);
    return count;
}

const char *rig_id(const venv_value *body, const char *key, char text[VENV_ID_TEXT_SIZE])
{
    venv_id id = { { 0 } };
    assert_true(venv_value_get_id(body, key, &id));
    return venv_id_format(id, text);
}

const char *rig_ask(rig *r, uint64_t peer, int16_t type, const venv_value **ret_body, const char *json)
{
    static uint64_t request = 100;
    static char rc[32];
    int16_t answer = 0;
    rig_frame(r, peer, type, ++request, "%s", json);
    const venv_value *body = rig_answer(r, peer, request, &answer);
    if (ret_body)
        *ret_body = body;
    venv_str name = venv_value_get_text(body, "rc");
    snprintf(rc, sizeof rc, "%.*s", (int)name.size, name.data ? name.data : "");
    return answer == VENV_MSG_RESULT ? "ok" : rc;
}

rig *rig_new_cluster(const char *yaml)
{
    rig *r = rig_new(yaml);
    rig_head(r, 1, "[0, {\"class2\": {\"pending\": 0, \"running\": 0}}, 0, null]");
    rig_node(r, 2, "node1", "00000000-0000-4000-8000-0000000000b1", "");
    rig_user(r, 9, "alice");
    rig_wait(r, 1);
    return r;
}

void rig_disk(rig *r, bool full)
{
    rig_step(r, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_DISK, .full = full, .text = "no room" });
}

void rig_answer_history(rig *r, const char *json)
{
    venv_value answer = venv_value_null();
    assert_int_equal(venv_json_parse(json, strlen(json), 0, &answer, NULL), VENV_OK);
    rig_step(r, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_ANSWER, .token = r->ask, .value = &answer });
    venv_value_unref(&answer);
}
