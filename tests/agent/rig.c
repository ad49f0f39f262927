/* SPDX-License-Identifier: Apache-2.0 */
/* See rig.h. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <venv/codec.h>
#include <venv/text.h>

#include <stdlib.h>
#include <string.h>

static const int64_t wall_base = INT64_C(1763836200) * S;

/* What JSON cannot say: bytes and durations. */
static venv_value translate(const venv_value *value, const char *key)
{
    venv_value result = venv_value_null();
    if (venv_value_kind(value) == VENV_MAP) {
        venv_map_builder map;
        const venv_value *k = NULL, *v = NULL;
        venv_map_init(&map);
        for (size_t i = 0; venv_value_entry(value, i, &k, &v); i++) {
            char name[64];
            snprintf(name, sizeof(name), "%.*s", (int)venv_value_peek_text(k).size, venv_value_peek_text(k).data);
            venv_map_put(&map, name, translate(v, name));
        }
        assert_int_equal(venv_map_take(&map, &result, NULL), VENV_OK);
    } else if (venv_value_kind(value) == VENV_LIST) {
        venv_list_builder list;
        venv_list_init(&list);
        for (size_t i = 0; i < venv_value_count(value); i++)
            venv_list_add(&list, translate(venv_value_at(value, i), ""));
        assert_int_equal(venv_list_take(&list, &result, NULL), VENV_OK);
    } else if (venv_value_kind(value) == VENV_STRING) {
        venv_str text = venv_value_peek_text(value);
        venv_span span;
        bool timed = !strcmp(key, "timeout") || !strcmp(key, "grace") || !strcmp(key, "limit") || !strcmp(key, "after") ||
                     !strcmp(key, "retry_after") || !strcmp(key, "heartbeat");
        if (text.size == 33 && text.data[0] == '@') {
            venv_id id;
            for (size_t i = 0; i < 16; i++) {
                unsigned byte = 0;
                assert_int_equal(sscanf(text.data + 1 + 2 * i, "%2x", &byte), 1);
                id.bytes[i] = (uint8_t)byte;
            }
            assert_int_equal(venv_value_from_id(id, &result, NULL), VENV_OK);
        } else if (timed && venv_span_parse(text, &span)) {
            result = venv_value_from_span(span);
        } else {
            result = venv_value_ref(value);
        }
    } else {
        result = venv_value_ref(value);
    }
    return result;
}

venv_value rig_value(const char *json)
{
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    if (venv_json_parse(json, strlen(json), 0, &value, &err) != VENV_OK)
        fail_msg("%s: %s", json, err.text);
    venv_value result = translate(&value, "");
    venv_value_unref(&value);
    return result;
}

void rig_init(agent_rig *rig, const char *extra, const char *properties)
{
    static const char *const quiet = "  load1: {every: -1}\n  load5: {every: -1}\n  load15: {every: -1}\n"
                                     "  cpus: {every: -1}\n  cpu_used: {every: -1}\n  memtotal: {every: -1}\n"
                                     "  memfree: {every: -1}\n  swaptotal: {every: -1}\n  swapfree: {every: -1}\n"
                                     "  disktotal: {every: -1}\n  diskfree: {every: -1}\n  uptime: {every: -1}\n"
                                     "  processes: {every: -1}\n  kernel: {every: -1}\n  arch: {every: -1}\n";
    char text[8192];
    *rig = (agent_rig){ .now = { { 1000 * S }, { wall_base } } };
    snprintf(text, sizeof(text),
             "agent:\n  manager: [m1, 'm2:7421']\n  tls: {ca: /ca, certificate: /cert, key: /key}\n%s\n"
             "properties:\n%s%s", extra, quiet, properties);
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_error err = { 0 };
    if (venv_yaml_parse(text, strlen(text), "agent.yaml", &value, &marks, &err) != VENV_OK)
        fail_msg("%u: %s", err.line, err.text);
    venv_config_document document = { .file = "agent.yaml", .value = &value, .marks = marks };
    if (venv_agent_config_new(&document, 1, &rig->config, &err) != VENV_OK)
        fail_msg("%u:%u: %s", err.line, err.column, err.text);
    venv_yaml_marks_free(marks);
    venv_value_unref(&value);
    assert_int_equal(venv_agent_config_identify(rig->config, "lab", "node07", &err), VENV_OK);
    venv_id boot = { { 1, 2, 3 } };
    if (venv_agent_new(rig->config, boot, 42, rig->now, &rig->agent, &err) != VENV_OK)
        fail_msg("%s", err.text);
    venv_agent_actions_init(&rig->actions);
    rig->request = 100;
    rig_time(rig, rig->now.mono.ns);
}

void rig_fini(agent_rig *rig)
{
    venv_agent_actions_fini(&rig->actions);
    venv_value_unref(&rig->kept);
    venv_agent_free(rig->agent);
    venv_agent_config_free(rig->config);
}

static void step(agent_rig *rig, const venv_agent_event *event)
{
    venv_error err = { 0 };
    size_t before = rig->actions.count;
    if (venv_agent_step(rig->agent, rig->now, event, &rig->actions, &err) != VENV_OK)
        fail_msg("step: %s", err.text);
    for (size_t i = before; i < rig->actions.count; i++) {
        const venv_agent_action *action = &rig->actions.items[i];
        if (rig->verbose && action->kind == VENV_AGENT_ACT_LOG)
            print_message("%s\n", action->text);
        rig->heard += action->kind == VENV_AGENT_ACT_SEND;
        if (action->kind == VENV_AGENT_ACT_CONNECT)
            rig->dialing = true;
        if (action->kind != VENV_AGENT_ACT_KEEP)
            continue;
        venv_value_unref(&rig->kept);
        rig->kept = venv_value_ref(&action->value);
        rig->kept_number = action->token;
    }
    /* the deadline never lies in the past: the shell would spin */
    assert_true(venv_agent_deadline(rig->agent).ns > rig->now.mono.ns);
}

/* What a manager does by itself: it answers heartbeats. */
static void pong(agent_rig *rig)
{
    char text[64];
    snprintf(text, sizeof(text), "{\"heard\": %llu}", (unsigned long long)rig->heard);
    venv_value body = rig_value(text);
    step(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = VENV_MSG_PONG, .known = true, .value = &body });
    venv_value_unref(&body);
}

void rig_event(agent_rig *rig, const venv_agent_event *event)
{
    venv_agent_actions_clear(&rig->actions);
    if (event->kind == VENV_AGENT_EVENT_CONNECTED || event->kind == VENV_AGENT_EVENT_DISCONNECTED) {
        rig->dialing = false;
        rig->heard = 0;
    }
    step(rig, event);
    bool ping = false, dropped = false;
    for (size_t i = 0; i < rig->actions.count; i++)
        dropped |= rig->actions.items[i].kind == VENV_AGENT_ACT_CLOSE;
    if (dropped && rig->dialing) { /* a shell that ends its attempt */
        rig->dialing = false;
        step(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_DISCONNECTED, .text = "given up" });
    }
    for (size_t i = 0; i < rig->actions.count; i++)
        ping |= rig->actions.items[i].kind == VENV_AGENT_ACT_SEND && rig->actions.items[i].type == VENV_MSG_PING;
    if (ping && !rig->silent)
        pong(rig);
}

void rig_time(agent_rig *rig, int64_t ns)
{
    rig->now.wall.ns += ns - rig->now.mono.ns;
    rig->now.mono.ns = ns;
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME });
}

void rig_run_to_deadline(agent_rig *rig)
{
    assert_int_not_equal(venv_agent_deadline(rig->agent).ns, INT64_MAX);
    rig_time(rig, venv_agent_deadline(rig->agent).ns);
}

static venv_agent_action *strike(venv_agent_action *action)
{
    action->level = -1; /* looked at */
    return action;
}

venv_agent_action *rig_take(agent_rig *rig, venv_agent_action_kind kind)
{
    for (size_t i = 0; i < rig->actions.count; i++)
        if (rig->actions.items[i].kind == kind && rig->actions.items[i].level >= 0)
            return strike(&rig->actions.items[i]);
    return NULL;
}

venv_agent_action *rig_take_sent(agent_rig *rig, int16_t type)
{
    for (size_t i = 0; i < rig->actions.count; i++) {
        venv_agent_action *action = &rig->actions.items[i];
        if (action->kind == VENV_AGENT_ACT_SEND && action->type == type && action->level >= 0)
            return strike(action);
    }
    return NULL;
}

venv_agent_action *rig_take_named(agent_rig *rig, venv_agent_action_kind kind, const char *name)
{
    for (size_t i = 0; i < rig->actions.count; i++) {
        venv_agent_action *action = &rig->actions.items[i];
        if (action->kind == kind && action->level >= 0 && strcmp(action->builtin ? action->builtin->name : action->name, name) == 0)
            return strike(action);
    }
    return NULL;
}

size_t rig_count(agent_rig *rig, venv_agent_action_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->actions.count; i++)
        count += rig->actions.items[i].kind == kind && rig->actions.items[i].level >= 0;
    return count;
}

uint64_t rig_frame(agent_rig *rig, int16_t type, const char *json)
{
    venv_value body = rig_value(json);
    uint64_t request = ++rig->request;
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME,
                                        .type = type,
                                        .request = request,
                                        .known = venv_message_find(type) != NULL,
                                        .value = &body });
    venv_value_unref(&body);
    return request;
}

void rig_connect(agent_rig *rig)
{
    for (int i = 0; i < 100 && !rig->dialing; i++)
        rig_run_to_deadline(rig);
    assert_true(rig->dialing);
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    assert_non_null(rig_take_sent(rig, VENV_MSG_HELLO));
    rig_frame(rig, VENV_MSG_WELCOME, "{\"version\": 1, \"name\": \"mgr\"}");
}

void rig_disconnect(agent_rig *rig, const char *reason)
{
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_DISCONNECTED, .text = reason });
}

void rig_sampled(agent_rig *rig, uint64_t token, venv_value value)
{
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_SAMPLED, .token = token, .value = &value });
}

void rig_sample_failed(agent_rig *rig, uint64_t token, venv_rc rc, const char *text)
{
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_SAMPLED, .token = token, .rc = rc, .text = text });
}

void rig_ran_outcome(agent_rig *rig, uint64_t token, const venv_run_outcome *run)
{
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_RAN, .token = token, .run = run });
}

void rig_ran(agent_rig *rig, uint64_t token, const char *out, int exit_status)
{
    venv_run_outcome run = { .out = { out, strlen(out) }, .err = { "", 0 }, .exit_status = exit_status, .took = { S / 10 } };
    rig_ran_outcome(rig, token, &run);
}

void rig_machine_done(agent_rig *rig, uint64_t token, venv_rc rc, const char *text)
{
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINE_DONE, .token = token, .rc = rc, .text = text });
}

void rig_machines(agent_rig *rig, const char *json)
{
    venv_value value = rig_value(json);
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINES, .value = &value });
    venv_value_unref(&value);
}

void rig_machines_failed(agent_rig *rig, venv_rc rc, const char *text)
{
    rig_event(rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINES, .rc = rc, .text = text });
}
