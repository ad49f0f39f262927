/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How requests of users are answered: once for each id, with the kept answer when it is asked again; at once, or when
 * the instances are in the state that is waited for. What is asked for is done elsewhere (requests.c).
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX (24 * 3600 * VENV_NS_PER_S)

void venv_mgr_request_result(venv_manager *m, peer *p, uint64_t request, venv_value body)
{
    if (m->answer_now)
        venv_mgr_effect_send_now(m, p, VENV_MSG_RESULT, request, body);
    else
        venv_mgr_effect_send(m, p, VENV_MSG_RESULT, request, body);
}

venv_value venv_mgr_request_failure(venv_manager *m, const venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "rc", venv_rc_name(err->rc));
    venv_map_put_text(&map, "error", err->text, strlen(err->text));
    return venv_mgr_take_map(m, &map);
}

void venv_mgr_request_failed(venv_manager *m, peer *p, uint64_t request, const venv_error *err)
{
    venv_mgr_effect_send(m, p, VENV_MSG_FAILED, request, venv_mgr_request_failure(m, err));
}

/* --- once for each id ---------------------------------------------------------------------------------- */

venv_value *venv_mgr_request_find(venv_manager *m, venv_id id)
{
    return venv_table_find(m->requests, id.bytes, sizeof id.bytes);
}

static void write_request(venv_manager *m, venv_id id, const venv_value *row)
{
    venv_mgr_effect_put(m, VENV_ROWS_REQUESTS, venv_mgr_id_value(m, id), venv_value_ref(row));
}

/* `body` NULL: it was taken on, its answer is not there yet. */
void venv_mgr_request_remember(venv_manager *m, venv_id id, int16_t type, const char *by, const venv_value *body)
{
    venv_value *row = calloc(1, sizeof *row);
    if (!row) {
        venv_mgr_no_memory(m);
        return;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "type", venv_value_int(type));
    venv_map_put_z(&map, "by", by);
    venv_map_put(&map, "time", venv_value_from_wall(m->now.wall));
    venv_mgr_put_ran(&map, venv_mgr_ran(m));
    if (body)
        venv_map_put(&map, "body", venv_value_ref(body));
    *row = venv_mgr_take_map(m, &map);
    if (venv_table_add(m->requests, id.bytes, sizeof id.bytes, row, NULL) != VENV_OK) {
        venv_value_unref(row);
        free(row);
        venv_mgr_no_memory(m);
        return;
    }
    write_request(m, id, row);
}

void venv_mgr_request_answer_remembered(venv_manager *m, venv_id id, const venv_value *body)
{
    venv_value *row = venv_mgr_request_find(m, id);
    if (!row)
        return;
    char by[BY_MAX];
    venv_str text = venv_value_get_text(row, "by");
    snprintf(by, sizeof by, "%.*s", (int)text.size, text.data ? text.data : "");
    int16_t type = (int16_t)venv_value_get_int(row, "type", 0);
    venv_table_remove(m->requests, id.bytes, sizeof id.bytes);
    venv_value_unref(row);
    free(row);
    venv_mgr_request_remember(m, id, type, by, body);
}

/* --- waiting for a state -------------------------------------------------------------------------------- */

static venv_value with_instances(venv_manager *m, venv_id action, const venv_id *ids, size_t count)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t n = 0; n < count; n++) {
        const instance *i = venv_mgr_instance_find(m, ids[n]);
        if (i)
            venv_list_add(&list, venv_mgr_instance_view(m, i));
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "action", action);
    venv_map_put(&map, "instances", venv_mgr_take_list(m, &list));
    return venv_mgr_take_map(m, &map);
}

static void waiter_drop(venv_manager *m, size_t index)
{
    free(m->waiters[index].instances);
    memmove(&m->waiters[index], &m->waiters[index + 1], (m->waiter_count - index - 1) * sizeof *m->waiters);
    m->waiter_count--;
}

/* 1: reached, -1: cannot be reached any more (`*ret_why`), 0: wait on. */
static int waiter_state(venv_manager *m, const waiter *w, const instance **ret_why)
{
    int all = 1;
    for (size_t n = 0; n < w->count; n++) {
        const instance *i = venv_mgr_instance_find(m, w->instances[n]);
        if (!i || i->state == w->state)
            continue;
        bool wants_end = venv_instance_is_final(w->state);
        if (venv_instance_is_final(i->state)) {
            if (wants_end)
                continue; /* over is over */
            *ret_why = i;
            return -1;
        }
        all = 0;
    }
    return all;
}

static void waiter_failed(venv_manager *m, peer *p, const waiter *w, venv_rc rc, const instance *why)
{
    char text[REASON_MAX + 128];
    if (why)
        snprintf(text, sizeof text, "%s is %s: %s", why->name, venv_instance_state_name(why->state), why->reason);
    else
        snprintf(text, sizeof text, "not all instances are %s in the time given; the action goes on",
                 venv_instance_state_name(w->state));
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "rc", venv_rc_name(rc));
    venv_map_put_text(&map, "error", text, strlen(text));
    venv_map_put(&map, "detail", with_instances(m, w->action, w->instances, w->count < 32 ? w->count : 32));
    venv_mgr_effect_send(m, p, VENV_MSG_FAILED, w->request, venv_mgr_take_map(m, &map));
}

/* An action that is waited for itself has ended. */
static bool action_over(venv_manager *m, peer *p, const waiter *w)
{
    const deed *d = venv_mgr_deed_find(m, w->action);
    bool late = w->deadline.ns <= m->now.mono.ns;
    venv_error err = { 0 };
    if (d && venv_mgr_deed_is_open(d) && !late)
        return false;
    if (!d)
        venv_error_set(&err, VENV_EUNKNOWN, "nothing is kept of this action any more");
    else if (venv_mgr_deed_is_open(d))
        venv_error_set(&err, VENV_ETIMEDOUT, "%s %s has not ended in the time given; it goes on", d->kind, d->subject);
    else if (d->state != DEED_DONE)
        venv_error_set(&err, d->rc, "%s", d->error);
    if (!p)
        return true;
    if (err.rc != VENV_OK) {
        venv_mgr_request_failed(m, p, w->request, &err);
        return true;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "action", venv_mgr_deed_view(m, d, true));
    venv_value shown = venv_value_null();
    if (venv_mgr_show_thing(m, VENV_STR("agent"), (venv_str){ d->subject, strlen(d->subject) }, &shown, NULL) == VENV_OK)
        venv_map_put(&map, "agent", shown);
    venv_mgr_request_result(m, p, w->request, venv_mgr_take_map(m, &map));
    return true;
}

/* The change that is waited for has not worked: then no state that the instance comes into is what was asked for. */
static bool change_broken(venv_manager *m, peer *p, const waiter *w)
{
    const deed *d = venv_mgr_deed_find(m, w->action);
    if (!d || (d->state != DEED_FAILED && d->state != DEED_UNKNOWN) ||
        venv_mgr_change_parse((venv_str){ d->kind, strlen(d->kind) }) == CHANGE_NONE)
        return false;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "rc", venv_rc_name(d->rc));
    venv_map_put_text(&map, "error", d->error, strlen(d->error));
    venv_map_put(&map, "detail", with_instances(m, w->action, w->instances, w->count < 32 ? w->count : 32));
    if (p)
        venv_mgr_effect_send(m, p, VENV_MSG_FAILED, w->request, venv_mgr_take_map(m, &map));
    else
        venv_map_fini(&map);
    return true;
}

static bool change_open(venv_manager *m, const waiter *w)
{
    const deed *d = venv_mgr_deed_find(m, w->action);
    return d && venv_mgr_deed_is_open(d) && venv_mgr_change_parse((venv_str){ d->kind, strlen(d->kind) }) != CHANGE_NONE;
}

void venv_mgr_waiters_check(venv_manager *m)
{
    for (size_t n = m->waiter_count; n-- > 0;) {
        waiter *w = &m->waiters[n];
        if (w->for_action) {
            if (action_over(m, venv_mgr_peer_find(m, w->peer), w))
                waiter_drop(m, n);
            continue;
        }
        if (change_broken(m, venv_mgr_peer_find(m, w->peer), w)) {
            waiter_drop(m, n);
            continue;
        }
        const instance *why = NULL;
        int state = waiter_state(m, w, &why);
        bool late = w->deadline.ns <= m->now.mono.ns;
        if (state > 0 && !late && change_open(m, w))
            continue; /* a state that does not change meanwhile says nothing */
        if (state == 0 && !late)
            continue;
        peer *p = venv_mgr_peer_find(m, w->peer);
        if (p && state > 0)
            venv_mgr_request_result(m, p, w->request, with_instances(m, w->action, w->instances, w->count));
        else if (p)
            waiter_failed(m, p, w, state < 0 ? VENV_ECONFLICT : VENV_ETIMEDOUT, why);
        waiter_drop(m, n);
    }
}

void venv_mgr_waiters_forget_peer(venv_manager *m, uint64_t number)
{
    for (size_t n = m->waiter_count; n-- > 0 && !VENV_SEEDED(WAITER_LEAK);)
        if (m->waiters[n].peer == number)
            waiter_drop(m, n);
}

venv_span venv_mgr_request_timeout(const venv_value *body, venv_span fallback)
{
    venv_span span;
    const venv_value *value = venv_value_get(body, "timeout");
    if (!value || !venv_value_to_span(value, &span) || span.ns <= 0)
        return fallback;
    return span.ns > TIMEOUT_MAX ? (venv_span){ TIMEOUT_MAX } : span;
}

static waiter *waiter_new(venv_manager *m, peer *p, uint64_t request, venv_span timeout)
{
    venv_error err = { 0 };
    if (!m->waiters)
        m->waiters = calloc(WAITERS_MAX, sizeof *m->waiters);
    if (!m->waiters || m->waiter_count == WAITERS_MAX) {
        venv_error_set(&err, VENV_ELIMIT, "it is being done, but too many wait already; look with `show`");
        venv_mgr_request_failed(m, p, request, &err);
        return NULL;
    }
    waiter *w = &m->waiters[m->waiter_count++];
    *w = (waiter){ .peer = p->number, .request = request, .deadline = venv_mgr_after(m, timeout) };
    return w;
}

void venv_mgr_answer_action(venv_manager *m, peer *p, uint64_t request, venv_id action, venv_span timeout)
{
    waiter *w = waiter_new(m, p, request, timeout);
    if (w) {
        w->for_action = true;
        w->action = action;
    }
}

/* Answer at once, or when the instances of `body` are in the state that is waited for. */
void venv_mgr_answer_or_wait(venv_manager *m, peer *p, uint64_t request, const venv_value *asked, const venv_value *body,
                           venv_span fallback)
{
    venv_instance_state state;
    venv_str wanted = venv_value_get_text(asked, "wait");
    if (wanted.size == 0) {
        venv_mgr_request_result(m, p, request, venv_value_ref(body));
        return;
    }
    if (!venv_instance_state_parse(wanted, &state)) { /* checked before anything was done */
        venv_mgr_request_result(m, p, request, venv_value_ref(body));
        return;
    }
    const venv_value *list = venv_value_get(body, "instances");
    size_t count = list ? venv_value_count(list) : 0;
    venv_id *ids = calloc(count + 1, sizeof *ids);
    waiter *w = ids ? waiter_new(m, p, request, venv_mgr_request_timeout(asked, fallback)) : NULL;
    if (!w) {
        if (!ids)
            venv_mgr_no_memory(m);
        free(ids);
        return;
    }
    w->instances = ids;
    w->state = state;
    venv_value_get_id(body, "action", &w->action);
    for (size_t n = 0; n < count; n++)
        if (venv_value_get_id(venv_value_at(list, n), "id", &ids[w->count]))
            w->count++;
}

/* --- what each request checks first ---------------------------------------------------------------------- */

venv_rc venv_mgr_request_id(venv_manager *m, const venv_value *body, venv_id *ret_id, venv_error *err)
{
    if (!venv_value_get(body, "id") || VENV_SEEDED(REQUEST_ID_IGNORED)) {
        *ret_id = venv_random_id(&m->random);
        return VENV_OK;
    }
    if (!venv_value_get_id(body, "id", ret_id) || venv_id_is_none(*ret_id))
        return venv_error_set(err, VENV_EINVAL, "id: expected 16 bytes that are not all zero");
    if (!venv_mgr_request_find(m, *ret_id) && venv_mgr_deed_find(m, *ret_id))
        return venv_error_set(err, VENV_ECONFLICT, "this id is that of another action");
    return VENV_OK;
}

venv_rc venv_mgr_request_check_wait(const venv_value *body, venv_error *err)
{
    venv_instance_state state;
    venv_str wanted = venv_value_get_text(body, "wait");
    if (wanted.size > 0 && !venv_instance_state_parse(wanted, &state))
        return venv_error_set(err, VENV_EINVAL, "wait: '%.*s' is no state of an instance", (int)(wanted.size < 32 ? wanted.size : 32),
                              wanted.data);
    return VENV_OK;
}

/* Asked before under this id. True: it was answered. */
bool venv_mgr_answer_again(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_id id, const venv_value *body)
{
    venv_value *row = venv_mgr_request_find(m, id);
    if (!row)
        return false;
    char by[BY_MAX];
    venv_error err = { 0 };
    snprintf(by, sizeof by, "user/%s", p->name);
    venv_str who = venv_value_get_text(row, "by");
    const venv_value *answer = venv_value_get(row, "body");
    gather *g = venv_mgr_gather_of_deed(m, id);
    if (venv_value_get_int(row, "type", 0) != type || strlen(by) != who.size || memcmp(by, who.data, who.size) != 0) {
        venv_error_set(&err, VENV_ECONFLICT, "this id was used for another request");
        venv_mgr_request_failed(m, p, request, &err);
    } else if (answer && (type == VENV_MSG_EXEC || type == VENV_MSG_FORGET || type == VENV_MSG_SYNC_IMAGE)) {
        venv_mgr_request_result(m, p, request, venv_value_ref(answer));
    } else if (answer && venv_value_get_bool(body, "wait", false) && venv_mgr_deed_find(m, id)) {
        venv_mgr_answer_action(m, p, request, id, venv_mgr_request_timeout(body, m->config->move_timeout));
    } else if (answer) {
        venv_mgr_answer_or_wait(m, p, request, body, answer, m->config->action_timeout);
    } else if (g) {
        g->peer = p->number;
        g->request = request;
    } else {
        venv_error_set(&err, VENV_EUNKNOWN, "the manager was restarted while this ran: it may or may not have been done");
        venv_mgr_request_failed(m, p, request, &err);
    }
    return true;
}

venv_rc venv_mgr_request_check_room(venv_manager *m, venv_error *err)
{
    if (venv_table_count(m->deeds) >= DEEDS_MAX || venv_table_count(m->requests) >= REQUESTS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "too many actions and answers are kept; old ones go away by themselves");
    return VENV_OK;
}

/* How every request that changes something begins. `*ret_again`: it was asked before, and has been answered. */
venv_rc venv_mgr_request_begin(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body, venv_id *ret_id,
                               bool *ret_again, venv_error *err)
{
    venv_rc rc = venv_mgr_request_id(m, body, ret_id, err);
    *ret_again = rc == VENV_OK && venv_mgr_answer_again(m, p, type, request, *ret_id, body);
    return rc == VENV_OK && !*ret_again ? venv_mgr_request_check_room(m, err) : rc;
}
