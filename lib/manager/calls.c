/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to agents. A *call* is one frame that waits for its answer; a *gather* is a request to
 * several agents whose answers make one. An agent that does not answer in time, or goes away, is an item
 * with an error in the answer, and never holds up the others.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

gather *venv_mgr_gather_new(venv_manager *m, peer *p, uint64_t request, int16_t type, venv_id deed_id, venv_span timeout)
{
    gather *g = calloc(1, sizeof *g);
    if (!g) {
        venv_mgr_no_memory(m);
        return NULL;
    }
    g->number = venv_mgr_next_number(m);
    g->peer = p ? p->number : 0;
    g->request = request;
    g->type = type;
    g->deed = deed_id;
    g->deadline = venv_mgr_after(m, timeout);
    if (venv_table_add(m->gathers, &g->number, sizeof g->number, g, NULL) != VENV_OK) {
        venv_mgr_gather_free(g);
        return NULL;
    }
    return g;
}

void venv_mgr_gather_free(gather *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->count; i++) {
        free(g->items[i].agent);
        free(g->items[i].label);
        venv_value_unref(&g->items[i].value);
    }
    free(g->items);
    free(g);
}

gather *venv_mgr_gather_of_deed(venv_manager *m, venv_id id)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->gathers, &cursor, NULL, &item))
        if (venv_id_equal(((gather *)item)->deed, id))
            return item;
    return NULL;
}

bool venv_mgr_gather_add(venv_manager *m, gather *g, const char *agent_name, const char *label, size_t *ret_item)
{
    gather_item *grown = realloc(g->items, (g->count + 1) * sizeof *grown);
    if (!grown) {
        venv_mgr_no_memory(m);
        return false;
    }
    g->items = grown;
    gather_item *item = &g->items[g->count];
    memset(item, 0, sizeof *item);
    item->agent = venv_mgr_copy_text(m, agent_name);
    item->label = venv_mgr_copy_text(m, label);
    *ret_item = g->count++;
    g->open++;
    return m->rc == VENV_OK;
}

void venv_mgr_gather_set(venv_manager *m, gather *g, size_t index, venv_value value)
{
    (void)m;
    gather_item *item = &g->items[index];
    if (item->done) {
        venv_value_unref(&value);
        return;
    }
    item->done = true;
    item->value = value;
    g->open--;
}

void venv_mgr_gather_fail(venv_manager *m, gather *g, size_t index, venv_rc rc, const char *text)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "agent", g->items[index].agent);
    if (g->items[index].label[0])
        venv_map_put_z(&map, "label", g->items[index].label);
    venv_map_put_z(&map, "rc", venv_rc_name(rc));
    venv_map_put_text(&map, "error", text, strlen(text));
    venv_mgr_gather_set(m, g, index, venv_mgr_take_map(m, &map));
}

void venv_mgr_gather_call(venv_manager *m, gather *g, size_t index, agent *a, int16_t type, venv_value body)
{
    peer *p = a->peer ? venv_mgr_peer_find(m, a->peer) : NULL;
    if (!p) {
        venv_value_unref(&body);
        venv_mgr_gather_fail(m, g, index, VENV_EUNREACHABLE, "the agent is not connected");
        return;
    }
    call *c = calloc(1, sizeof *c);
    if (!c) {
        venv_value_unref(&body);
        venv_mgr_no_memory(m);
        return;
    }
    *c = (call){ venv_mgr_next_number(m), p->number, g->number, index, false, g->deed };
    if (venv_table_add(m->calls, &c->number, sizeof c->number, c, NULL) != VENV_OK) {
        free(c);
        venv_value_unref(&body);
        venv_mgr_gather_fail(m, g, index, VENV_ELIMIT, "too many requests to agents are open; try again later");
        return;
    }
    if (venv_mgr_sender_send(m, p, type, c->number, body))
        return;
    venv_table_remove(m->calls, &c->number, sizeof c->number);
    free(c);
    venv_mgr_gather_fail(m, g, index, VENV_ELIMIT, "it was not sent: too many messages to agents wait for their turn");
}

/* Those of a gather whose time is over that still wait for their turn: nobody was asked. They are not sent any more. */
static void fail_unsent(venv_manager *m, gather *g)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->calls, &cursor, NULL, &item)) {
        const call *c = item;
        if (c->gather == g->number && !c->sent)
            venv_mgr_gather_fail(m, g, c->item, VENV_ELIMIT, "it was not sent: its turn did not come in time (send_rate, group_rates)");
    }
}

/* --- the answer ---------------------------------------------------------------------------------------- */

static size_t output_size(const venv_value *item)
{
    return venv_value_get_text(item, "stdout").size + venv_value_get_text(item, "stderr").size + 512;
}

venv_value venv_mgr_cut_output(venv_manager *m, const venv_value *item, size_t max)
{
    bool cut = false;
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(item, i, &key, &value); i++)
        cut = cut || (venv_value_kind(value) == VENV_BYTES && venv_value_peek_text(value).size > max);
    if (!cut)
        return venv_value_ref(item);
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t i = 0; venv_value_entry(item, i, &key, &value); i++) {
        venv_value copy = venv_value_ref(value);
        if (venv_value_kind(value) == VENV_BYTES && venv_value_peek_text(value).size > max) {
            venv_str text = venv_value_peek_text(value);
            if (venv_value_bytes(text.data, max, &copy, NULL) != VENV_OK)
                venv_mgr_no_memory(m);
        }
        if (!venv_value_is_text(key, "truncated"))
            venv_map_put_value(&map, venv_value_ref(key), copy);
        else
            venv_value_unref(&copy);
    }
    venv_map_put(&map, "truncated", venv_value_bool(true));
    return venv_mgr_take_map(m, &map);
}

/* All items; output beyond the bound is cut, and marked as cut. */
static venv_value gather_value(venv_manager *m, const gather *g, size_t output_max)
{
    venv_list_builder list;
    venv_list_init(&list);
    size_t left = output_max;
    for (size_t i = 0; i < g->count; i++) {
        const venv_value *item = &g->items[i].value;
        size_t size = output_size(item);
        if (venv_value_get(item, "stdout") && size > left)
            venv_list_add(&list, venv_mgr_cut_output(m, item, left / 4));
        else
            venv_list_add(&list, venv_value_ref(item));
        left -= size < left ? size : left;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "items", venv_mgr_take_list(m, &list));
    return venv_mgr_take_map(m, &map);
}

static void end_deed(venv_manager *m, const gather *g)
{
    deed *d = venv_mgr_deed_find(m, g->deed);
    if (!d || !venv_mgr_deed_is_open(d))
        return;
    venv_rc rc = VENV_OK;
    char error[REASON_MAX] = "";
    size_t left_out = 0;
    for (size_t i = 0; i < g->count; i++)
        left_out += !venv_value_get_bool(&g->items[i].value, "selected", true);
    for (size_t i = 0; i < g->count; i++) {
        if (left_out < g->count && !venv_value_get_bool(&g->items[i].value, "selected", true))
            continue; /* nothing was asked of it: that is in the result */
        venv_str name = venv_value_get_text(&g->items[i].value, "rc"), text = venv_value_get_text(&g->items[i].value, "error");
        venv_rc item = name.size > 0 ? venv_mgr_rc_parse(name) : VENV_OK;
        if (item == VENV_OK || rc == VENV_EUNKNOWN)
            continue;
        rc = item == VENV_ETIMEDOUT ? VENV_EUNKNOWN : item;
        snprintf(error, sizeof error, "%.80s: %.*s", g->items[i].agent, (int)(text.size < 150 ? text.size : 150),
                 text.data ? text.data : "");
    }
    d->result = gather_value(m, g, ROW_OUTPUT_MAX);
    venv_mgr_deed_end(m, d, rc, error);
}

/* All answers are there, or the time is over. */
void venv_mgr_gather_finish(venv_manager *m, gather *g)
{
    if (g->open > 0)
        return;
    end_deed(m, g);
    if (g->request != 0 || !venv_id_is_none(g->deed)) {
        venv_value answer = gather_value(m, g, RESULT_OUTPUT_MAX);
        if (!venv_id_is_none(g->deed))
            venv_mgr_request_answer_remembered(m, g->deed, &answer);
        peer *p = g->peer ? venv_mgr_peer_find(m, g->peer) : NULL;
        if (p && g->request != 0)
            venv_mgr_request_result(m, p, g->request, venv_value_ref(&answer));
        venv_value_unref(&answer);
    }
    size_t cursor = 0;
    void *item;
    venv_str key;
    while (venv_table_next(m->calls, &cursor, &key, &item)) {
        call *c = item;
        if (c->gather != g->number)
            continue;
        c->gather = 0;
        if (c->sent && !venv_id_is_none(c->deed))
            continue; /* its answer may come yet, or its agent goes */
        venv_table_remove(m->calls, key.data, key.size);
        free(c);
    }
    venv_table_remove(m->gathers, &g->number, sizeof g->number);
    venv_mgr_gather_free(g);
}

static venv_value with_agent(venv_manager *m, const char *agent_name, const venv_value *body, const char *reply)
{
    venv_map_builder map;
    venv_map_init(&map);
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(body, i, &key, &value); i++)
        if (!venv_value_is_text(key, "agent"))
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    venv_map_put_z(&map, "agent", agent_name);
    if (reply)
        venv_map_put_z(&map, "reply", reply);
    return venv_mgr_take_map(m, &map);
}

static void tell_late(venv_manager *m, const deed *d, const char *agent_name, const venv_value *body)
{
    char text[REASON_MAX];
    venv_str name = venv_value_get_text(body, "rc"), error = venv_value_get_text(body, "error");
    snprintf(text, sizeof text, "%.80s%s%.*s", agent_name, error.size > 0 ? ": " : "", (int)(error.size < 150 ? error.size : 150),
             error.data ? error.data : "");
    venv_mgr_deed_late(m, d, name.size > 0 ? venv_mgr_rc_parse(name) : VENV_OK, text);
}

bool venv_mgr_call_answered(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body)
{
    call *c = venv_table_find(m->calls, &request, sizeof request);
    if (!c || c->peer != p->number)
        return false; /* too late, or not asked for */
    gather *g = venv_table_find(m->gathers, &c->gather, sizeof c->gather);
    size_t index = c->item;
    const deed *d = g ? NULL : venv_mgr_deed_find(m, c->deed);
    venv_table_remove(m->calls, &request, sizeof request);
    free(c);
    if (d)
        tell_late(m, d, p->name, body);
    if (!g)
        return d != NULL;
    if (type == VENV_MSG_PROPVAL)
        venv_mgr_agent_store_propval(m, p->agent, body);
    if (type == VENV_MSG_PROPERR || type == VENV_MSG_CTRLBAD || type == VENV_MSG_CTRLUNKN || type == VENV_MSG_UNKNOWNTYPE) {
        char text[REASON_MAX];
        venv_str error = venv_value_get_text(body, "error"), name = venv_value_get_text(body, "rc");
        snprintf(text, sizeof text, "%.*s", (int)(error.size < 200 ? error.size : 200),
                 error.size > 0 ? error.data : "the agent does not know this request");
        if (error.size == 0)
            snprintf(text, sizeof text, "the agent does not know this request");
        venv_mgr_gather_fail(m, g, index, name.size > 0 ? venv_mgr_rc_parse(name) : VENV_EINVAL, text);
    } else {
        venv_mgr_gather_set(m, g, index, with_agent(m, p->name, body, g->type == VENV_MSG_STEER ? venv_message_name(type) : NULL));
    }
    venv_mgr_gather_finish(m, g);
    return true;
}

/* An agent went away: what it was asked may have been done. */
void venv_mgr_calls_forget_peer(venv_manager *m, uint64_t number)
{
    size_t cursor = 0;
    void *item;
    venv_str key;
    while (venv_table_next(m->calls, &cursor, &key, &item)) {
        call *c = item;
        if (c->peer != number || VENV_SEEDED(CALL_LEAK))
            continue;
        gather *g = venv_table_find(m->gathers, &c->gather, sizeof c->gather);
        size_t index = c->item;
        venv_table_remove(m->calls, key.data, key.size);
        free(c);
        if (g)
            venv_mgr_gather_fail(m, g, index, VENV_EUNKNOWN, "the agent went away before it answered");
    }
    cursor = 0;
    while (venv_table_next(m->gathers, &cursor, NULL, &item))
        venv_mgr_gather_finish(m, item);
}

void venv_mgr_gathers_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->gathers, &cursor, NULL, &item)) {
        gather *g = item;
        if (g->deadline.ns > m->now.mono.ns)
            continue;
        fail_unsent(m, g);
        for (size_t i = 0; i < g->count; i++)
            if (!g->items[i].done)
                venv_mgr_gather_fail(m, g, i, VENV_ETIMEDOUT, "no answer came in time");
        venv_mgr_gather_finish(m, g);
    }
}
