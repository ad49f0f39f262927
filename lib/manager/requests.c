/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What users ask for. Requests that change something carry an id: the first time it is done, and the
 * answer is kept; every other time the kept answer is given (answers.c). An answer leaves only after what it tells is
 * durable.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_TIMEOUT ((venv_span){ 30 * VENV_NS_PER_S })

/* --- start, stop, exec --------------------------------------------------------------------------------- */

static venv_value started_instances(venv_manager *m, venv_id action)
{
    venv_list_builder list;
    venv_list_init(&list);
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        const deed *start = venv_mgr_deed_find(m, i->start), *stop = venv_mgr_deed_find(m, i->stop);
        if ((start && venv_id_equal(start->parent, action)) || (stop && venv_id_equal(stop->parent, action)))
            venv_list_add(&list, venv_mgr_instance_view(m, i));
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "action", action);
    venv_map_put(&map, "instances", venv_mgr_take_list(m, &list));
    return venv_mgr_take_map(m, &map);
}

static venv_rc do_start(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    char environment[VENV_NAME_MAX + 1], node[VENV_NAME_MAX + 1], by[BY_MAX];
    venv_str name = venv_value_get_text(body, "environment"), asked = venv_value_get_text(body, "node");
    int64_t count = venv_value_get_int(body, "count", 1);
    venv_id id;
    if (!venv_mgr_fits_name(name, environment) || !venv_mgr_environment_find(m, environment))
        return venv_error_set(err, VENV_ENOENT, "no environment is called '%.*s'", (int)(name.size < 64 ? name.size : 64),
                              name.data ? name.data : "");
    if (asked.size > 0 && (!venv_mgr_fits_name(asked, node) || !venv_mgr_agent_find(m, node)))
        return venv_error_set(err, VENV_ENOENT, "no agent is called '%.*s'", (int)(asked.size < 64 ? asked.size : 64), asked.data);
    if (count < 1 || count > (int64_t)START_COUNT_MAX)
        return venv_error_set(err, VENV_ERANGE, "count: expected 1 to %u", START_COUNT_MAX);
    venv_rc rc = venv_mgr_request_check_wait(body, err);
    if (rc == VENV_OK && venv_value_get_bool(body, "dry_run", false)) {
        venv_mgr_request_result(m, p, request, venv_mgr_place_dry_run(m, venv_mgr_environment_find(m, environment), asked.size > 0 ? node : NULL, count));
        return VENV_OK;
    }
    bool again = false;
    if (rc == VENV_OK)
        rc = venv_mgr_request_begin(m, p, VENV_MSG_START, request, body, &id, &again, err);
    if (again)
        return VENV_OK;
    if (rc != VENV_OK)
        return rc;
    snprintf(by, sizeof by, "user/%s", p->name);
    deed *d = venv_mgr_deed_new(m, id, (venv_id){ { 0 } }, "start", environment, by);
    if (!d)
        return VENV_ENOMEM;
    venv_mgr_event_add(m, "request", environment, id, venv_value_null(), "%s asks for %lld of %s", by, (long long)count, environment);
    d->origin = m->revision;
    rc = venv_mgr_verb_start(m, d, environment, asked.size > 0 ? node : NULL, count, err);
    if (rc != VENV_OK) {
        venv_mgr_deed_end(m, d, rc, err->text);
        return rc;
    }
    venv_value answer = started_instances(m, id);
    venv_mgr_request_remember(m, id, VENV_MSG_START, by, &answer);
    venv_mgr_answer_or_wait(m, p, request, body, &answer, m->config->action_timeout);
    venv_value_unref(&answer);
    return VENV_OK;
}

static venv_rc stop_dry_run(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    instance **items = NULL;
    size_t count = 0;
    venv_rc rc = venv_mgr_verb_stop_select(m, body, &items, &count, err);
    if (rc != VENV_OK)
        return rc;
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t n = 0; n < count; n++)
        venv_list_add(&list, venv_mgr_instance_view(m, items[n]));
    free(items);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "dry_run", venv_value_bool(true));
    venv_map_put(&map, "instances", venv_mgr_take_list(m, &list));
    venv_mgr_request_result(m, p, request, venv_mgr_take_map(m, &map));
    return VENV_OK;
}

/* The instances that a stop is about, those included that somebody else has asked to stop before. */
static venv_value stop_answer(venv_manager *m, venv_id action, instance *const *items, size_t count)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t n = 0; n < count; n++)
        venv_list_add(&list, venv_mgr_instance_view(m, items[n]));
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "action", action);
    venv_map_put(&map, "instances", venv_mgr_take_list(m, &list));
    return venv_mgr_take_map(m, &map);
}

static venv_rc do_stop(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    char by[BY_MAX], subject[VENV_NAME_MAX + 1];
    venv_id id;
    venv_rc rc = venv_mgr_request_check_wait(body, err);
    if (rc == VENV_OK && venv_value_get_bool(body, "dry_run", false))
        return stop_dry_run(m, p, request, body, err);
    bool again = false;
    if (rc == VENV_OK)
        rc = venv_mgr_request_begin(m, p, VENV_MSG_STOP, request, body, &id, &again, err);
    if (again)
        return VENV_OK;
    instance **items = NULL;
    size_t count = 0;
    if (rc == VENV_OK)
        rc = venv_mgr_verb_stop_select(m, body, &items, &count, err);
    if (rc != VENV_OK)
        return rc;
    snprintf(by, sizeof by, "user/%s", p->name);
    if (venv_value_get_bool(body, "abandon", false)) {
        rc = venv_mgr_verb_stop_abandon(m, by, items, count, err);
        if (rc == VENV_OK) {
            venv_value answer = stop_answer(m, id, items, count);
            venv_mgr_request_remember(m, id, VENV_MSG_STOP, by, &answer);
            venv_mgr_request_result(m, p, request, answer);
        }
        free(items);
        return rc;
    }
    if (!venv_mgr_fits_name(venv_value_get_text(body, "instance"), subject) && !venv_mgr_fits_name(venv_value_get_text(body, "environment"), subject))
        snprintf(subject, sizeof subject, "?");
    deed *d = venv_mgr_deed_new(m, id, (venv_id){ { 0 } }, "stop", subject, by);
    rc = d ? venv_mgr_verb_stop(m, d, body, err) : VENV_ENOMEM;
    if (rc == VENV_OK) {
        venv_mgr_event_add(m, "request", subject, id, venv_value_null(), "%s asks to stop %s", by, subject);
        venv_value answer = stop_answer(m, id, items, count);
        venv_mgr_request_remember(m, id, VENV_MSG_STOP, by, &answer);
        venv_mgr_answer_or_wait(m, p, request, body, &answer, (venv_span){ m->config->action_timeout.ns + m->config->grace.ns });
        venv_value_unref(&answer);
    } else if (d) {
        venv_mgr_deed_end(m, d, rc, err->text);
    }
    free(items);
    return rc;
}

/* --- change ------------------------------------------------------------------------------------------- */

static venv_value change_answer(venv_manager *m, const venv_id *action, instance *const *items, size_t count)
{
    if (action)
        return stop_answer(m, *action, items, count);
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t n = 0; n < count; n++)
        venv_list_add(&list, venv_mgr_instance_view(m, items[n]));
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "dry_run", venv_value_bool(true));
    venv_map_put(&map, "instances", venv_mgr_take_list(m, &list));
    return venv_mgr_take_map(m, &map);
}

static venv_rc select_for(venv_manager *m, const venv_value *body, bool destroy, change_kind kind, instance ***ret_items, size_t *ret_count,
                          venv_error *err)
{
    return destroy ? venv_mgr_verb_stop_select(m, body, ret_items, ret_count, err)
                   : venv_mgr_change_select(m, kind, body, ret_items, ret_count, err);
}

static venv_rc change_instances(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    char by[BY_MAX], subject[VENV_NAME_MAX + 1] = "?", verb[16];
    venv_id id;
    instance **items = NULL;
    size_t count = 0;
    venv_str name = venv_value_get_text(body, "verb");
    change_kind kind = venv_mgr_change_parse(name);
    bool cancel = name.size == 6 && memcmp(name.data, "cancel", 6) == 0;
    bool destroy = name.size == 7 && memcmp(name.data, "destroy", 7) == 0, dry = venv_value_get_bool(body, "dry_run", false);
    venv_rc rc = venv_mgr_request_check_wait(body, err);
    if (rc == VENV_OK && kind == CHANGE_NONE && !destroy && !cancel)
        rc = venv_error_set(err, VENV_EINVAL, "verb: expected pause, resume, save, restore, destroy, migrate, reboot, checkpoint, revert or cancel");
    if (rc == VENV_OK && !dry)
        rc = venv_mgr_request_id(m, body, &id, err);
    if (rc == VENV_OK && !dry && venv_mgr_answer_again(m, p, VENV_MSG_CHANGE, request, id, body))
        return VENV_OK;
    if (rc == VENV_OK)
        rc = venv_mgr_request_check_room(m, err);
    if (rc == VENV_OK)
        rc = select_for(m, body, destroy || cancel, kind, &items, &count, err);
    if (rc != VENV_OK || dry) {
        if (rc == VENV_OK)
            venv_mgr_request_result(m, p, request, change_answer(m, NULL, items, count));
        free(items);
        return rc;
    }
    snprintf(by, sizeof by, "user/%s", p->name);
    snprintf(verb, sizeof verb, "%.*s", (int)name.size, name.data);
    if (!venv_mgr_fits_name(venv_value_get_text(body, "instance"), subject))
        (void)venv_mgr_fits_name(venv_value_get_text(body, "environment"), subject);
    deed *d = venv_mgr_deed_new(m, id, (venv_id){ { 0 } }, verb, subject, by);
    rc = !d        ? VENV_ENOMEM
         : destroy ? venv_mgr_verb_destroy(m, d, body, err)
         : cancel  ? venv_mgr_change_cancel(m, d, body, err)
                   : venv_mgr_verb_change(m, d, kind, body, err);
    if (rc == VENV_OK) {
        venv_mgr_event_add(m, "request", subject, id, venv_value_null(), "%s asks to %s %s", by, verb, subject);
        venv_value answer = change_answer(m, &id, items, count);
        venv_mgr_request_remember(m, id, VENV_MSG_CHANGE, by, &answer);
        venv_mgr_answer_or_wait(m, p, request, body, &answer, m->config->move_timeout);
        venv_value_unref(&answer);
    } else if (d) {
        venv_mgr_deed_end(m, d, rc, err->text);
    }
    free(items);
    return rc;
}

static venv_rc nobody_chosen(const char *target, const venv_value *body, venv_error *err)
{
    venv_str where = venv_value_get_text(body, "where");
    return venv_error_set(err, VENV_ENOENT, "of no agent of %.64s it is true that %.*s", target,
                          (int)(where.size < 300 ? where.size : 300), where.data ? where.data : "");
}

/* What EXEC, SYNC_IMAGE and STEER are as actions, and what the event says of them: who, one argument, to whom. */
static const struct asked {
    int16_t type;
    const char *kind, *key, *does, *where;
    int64_t seconds;
} asked_kinds[] = {
    { VENV_MSG_EXEC, "exec", "command", "runs", "on", 60 },
    { VENV_MSG_SYNC_IMAGE, "sync", "image", "brings", "to", 3600 },
    { VENV_MSG_STEER, "control", "verb", "says", "to", 30 },
};

static const struct asked *asked_kind(int16_t type)
{
    size_t at = 0;
    while (asked_kinds[at].type != type)
        at++;
    return &asked_kinds[at];
}

static void tell_asked(venv_manager *m, const struct asked *kind, const char *by, const char *target, venv_id id, const venv_value *body)
{
    venv_str what = venv_value_get_text(body, kind->key);
    venv_mgr_event_add(m, "request", target, id, venv_value_null(), "%s %s %.*s %s %s", by, kind->does,
                       (int)(what.size < 64 ? what.size : 64), what.data ? what.data : "?", kind->where, target);
}

static venv_rc ask_agents(venv_manager *m, gather *g, int16_t type, const char *target, const venv_value *body, venv_id id, venv_error *err)
{
    switch (type) {
    case VENV_MSG_EXEC: return venv_mgr_verb_exec(m, g, target, body, id, err);
    case VENV_MSG_STEER: return venv_mgr_verb_steer(m, g, target, body, err);
    default: return venv_mgr_verb_sync(m, g, target, body, id, err);
    }
}

/* EXEC, SYNC_IMAGE, STEER: agents do something, once for each id. */
static venv_rc do_exec(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body, venv_error *err)
{
    char target[VENV_GROUPS_SELECTOR_MAX + 1], by[BY_MAX];
    venv_id id;
    venv_rc rc = venv_mgr_target(body, target, err);
    bool again = false;
    if (rc == VENV_OK)
        rc = venv_mgr_request_begin(m, p, type, request, body, &id, &again, err);
    if (again)
        return VENV_OK;
    if (rc != VENV_OK)
        return rc;
    const struct asked *kind = asked_kind(type);
    venv_span timeout = venv_mgr_request_timeout(body, (venv_span){ kind->seconds * VENV_NS_PER_S });
    if (type != VENV_MSG_STEER)
        timeout.ns += 10 * VENV_NS_PER_S; /* the agent ends it itself, and tells */
    gather *g = venv_mgr_gather_new(m, p, request, type, id, timeout);
    if (!g)
        return venv_error_set(err, VENV_ELIMIT, "too many requests to agents are open; try again later");
    rc = ask_agents(m, g, type, target, body, id, err);
    if (rc == VENV_OK && g->count == 0 && venv_value_get(body, "where"))
        rc = nobody_chosen(target, body, err);
    if (rc != VENV_OK) {
        venv_table_remove(m->gathers, &g->number, sizeof g->number);
        venv_mgr_gather_free(g);
        return rc;
    }
    snprintf(by, sizeof by, "user/%s", p->name);
    if (type != VENV_MSG_EXEC || venv_value_get(body, "command")) {
        deed *d = venv_mgr_deed_new(m, id, (venv_id){ { 0 } }, kind->kind, target, by);
        if (d)
            venv_mgr_deed_run(m, d, (venv_span){ 0 });
        tell_asked(m, kind, by, target, id, body);
        venv_mgr_request_remember(m, id, type, by, NULL);
    } else {
        g->deed = (venv_id){ { 0 } };
    }
    venv_mgr_gather_finish(m, g);
    return VENV_OK;
}

/* --- changes to one thing -------------------------------------------------------------------------------- */

static venv_rc change_proposal(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err)
{
    proposal *p = NULL;
    (void)id;
    venv_rc rc = venv_mgr_proposal_change(m, by, body, &p, err);
    if (rc == VENV_OK)
        *ret = venv_mgr_proposal_view(m, p, true);
    return rc;
}

static venv_rc change_trigger(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err)
{
    char name[VENV_NAME_MAX + 1], raw[REASON_MAX], why[REASON_MAX];
    venv_str text = venv_value_get_text(body, "trigger"), verb = venv_value_get_text(body, "verb"), reason = venv_value_get_text(body, "why");
    bool enable = verb.size == 6 && memcmp(verb.data, "enable", 6) == 0, disable = verb.size == 7 && memcmp(verb.data, "disable", 7) == 0;
    if (!enable && !disable)
        return venv_error_set(err, VENV_EINVAL, "verb: expected enable or disable");
    if (!venv_mgr_fits_name(text, name))
        return venv_error_set(err, VENV_ENOENT, "no trigger is called '%.*s'", (int)(text.size < 64 ? text.size : 64), text.data ? text.data : "");
    snprintf(raw, sizeof raw, "%.*s", (int)(reason.size < 200 ? reason.size : 200), reason.data ? reason.data : "");
    venv_mgr_set_reason(why, raw);
    bool was = venv_triggers_is_enabled(m->triggers, name);
    venv_rc rc = venv_triggers_set_enabled(m->triggers, name, enable, by, why, m->now, err);
    if (rc != VENV_OK)
        return rc;
    if (was != enable)
        venv_mgr_event_add(m, enable ? "trigger-enabled" : "trigger-disabled", name, id, venv_value_null(), "%s is %s by %s%s%s", name,
                           enable ? "enabled" : "disabled", by, why[0] ? ": " : "", why);
    m->policy_changed = true;
    venv_mgr_triggers_save(m);
    return venv_triggers_describe(m->triggers, name, m->now, ret, err);
}

static venv_rc change_breaker(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err)
{
    breaker *b = NULL;
    (void)id;
    venv_rc rc = venv_mgr_breaker_reset(m, by, body, &b, err);
    if (rc == VENV_OK)
        *ret = venv_mgr_breaker_view(m, b);
    return rc;
}

static venv_rc change_node(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err)
{
    agent *a = NULL;
    venv_rc rc = venv_mgr_maintenance_change(m, by, id, body, &a, err);
    return rc == VENV_OK ? venv_mgr_show_thing(m, VENV_STR("agent"), (venv_str){ a->name, strlen(a->name) }, ret, err) : rc;
}

static const struct {
    int16_t type;
    const char *part; /* of the answer */
    venv_rc (*change)(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err);
} changes[] = {
    { VENV_MSG_PROPOSAL, "proposal", change_proposal },
    { VENV_MSG_TRIGGER, "trigger", change_trigger },
    { VENV_MSG_RESET, "breaker", change_breaker },
    { VENV_MSG_NODE, "agent", change_node },
    { VENV_MSG_APPLY, "environments", venv_mgr_catalog_apply },
    { VENV_MSG_DELETE_ENVIRONMENT, "environment", venv_mgr_catalog_delete },
};

/* Once for each id, and the same answer every time. */
static venv_rc do_change(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body, venv_error *err)
{
    char by[BY_MAX];
    venv_id id;
    size_t at = 0;
    venv_value part = venv_value_null();
    while (changes[at].type != type)
        at++;
    bool again;
    venv_rc rc = venv_mgr_request_begin(m, p, type, request, body, &id, &again, err);
    if (again)
        return VENV_OK;
    if (rc != VENV_OK)
        return rc;
    snprintf(by, sizeof by, "user/%s", p->name);
    rc = changes[at].change(m, by, id, body, &part, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, changes[at].part, part);
    venv_value answer = venv_mgr_take_map(m, &map);
    venv_mgr_request_remember(m, id, type, by, &answer);
    if (venv_value_get_bool(body, "wait", false) && venv_mgr_deed_find(m, id)) {
        venv_mgr_answer_action(m, p, request, id, venv_mgr_request_timeout(body, m->config->move_timeout));
        venv_value_unref(&answer);
    } else {
        venv_mgr_request_result(m, p, request, answer);
    }
    return VENV_OK;
}

/* --- asking ---------------------------------------------------------------------------------------------- */

typedef struct getting {
    venv_manager *m;
    const char *label;
    venv_list_builder *list;
    bool chosen, found;
} getting;

static void kept_untold(void *user, const venv_member *member, const char *why)
{
    getting *x = user;
    x->chosen = x->found = true;
    venv_list_add(x->list, venv_mgr_untold_item(x->m, member->name, x->label, why));
}

static bool each_kept(void *user, const venv_member *member)
{
    getting *x = user;
    const agent *a = member->data;
    x->chosen = true;
    for (size_t i = 0; a && i < a->property_count; i++) {
        const kept_property *p = &a->properties[i];
        if (x->label[0] && strcmp(p->label, x->label) != 0)
            continue;
        x->found = true;
        venv_list_add(x->list, venv_mgr_property_view(x->m, a, p));
    }
    return true;
}

static venv_rc do_get(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    char target[VENV_GROUPS_SELECTOR_MAX + 1], label[VENV_LABEL_MAX + 1];
    venv_rc rc = venv_mgr_target(body, target, err);
    if (rc == VENV_OK)
        rc = venv_mgr_label(body, label, err);
    if (rc != VENV_OK)
        return rc;
    venv_list_builder list;
    venv_list_init(&list);
    getting x = { m, label, &list, false, false };
    rc = venv_mgr_select(m, target, body, each_kept, kept_untold, &x, err);
    if (rc == VENV_OK && !x.chosen)
        rc = nobody_chosen(target, body, err);
    else if (rc == VENV_OK && label[0] && !x.found)
        rc = venv_error_set(err, VENV_ENOENT, "no agent of %.64s has a property %s", target, label);
    if (rc != VENV_OK) {
        venv_list_fini(&list);
        return rc;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "items", venv_mgr_take_list(m, &list));
    venv_mgr_request_result(m, p, request, venv_mgr_take_map(m, &map));
    return VENV_OK;
}

static venv_rc do_fetch(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    char target[VENV_GROUPS_SELECTOR_MAX + 1], label[VENV_LABEL_MAX + 1];
    venv_rc rc = venv_mgr_target(body, target, err);
    if (rc == VENV_OK)
        rc = venv_mgr_label(body, label, err);
    if (rc != VENV_OK)
        return rc;
    gather *g = venv_mgr_gather_new(m, p, request, VENV_MSG_FETCH, (venv_id){ { 0 } }, venv_mgr_request_timeout(body, FETCH_TIMEOUT));
    if (!g)
        return venv_error_set(err, VENV_ELIMIT, "too many requests to agents are open; try again later");
    rc = venv_mgr_verb_fetch(m, g, target, body, label, false, err);
    if (rc == VENV_OK && g->count == 0 && venv_value_get(body, "where"))
        rc = nobody_chosen(target, body, err);
    if (rc != VENV_OK) {
        venv_table_remove(m->gathers, &g->number, sizeof g->number);
        venv_mgr_gather_free(g);
        return rc;
    }
    venv_mgr_gather_finish(m, g);
    return VENV_OK;
}

static venv_rc do_forget(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    char name[VENV_NAME_MAX + 1], by[BY_MAX], reason[REASON_MAX];
    venv_str text = venv_value_get_text(body, "agent"), why = venv_value_get_text(body, "why");
    venv_value shown = venv_value_null();
    venv_id id;
    venv_rc rc = venv_mgr_request_id(m, body, &id, err);
    if (rc == VENV_OK && venv_mgr_answer_again(m, p, VENV_MSG_FORGET, request, id, body))
        return VENV_OK;
    agent *a = venv_mgr_fits_name(text, name) ? venv_mgr_agent_find(m, name) : NULL;
    if (rc == VENV_OK)
        rc = venv_mgr_request_check_room(m, err);
    if (rc == VENV_OK && !a)
        rc = venv_error_set(err, VENV_ENOENT, "no agent is called '%.*s'", (int)(text.size < 64 ? text.size : 64), text.data ? text.data : "");
    if (rc == VENV_OK)
        rc = venv_mgr_show_thing(m, VENV_STR("agent"), text, &shown, err);
    if (rc != VENV_OK)
        return rc;
    snprintf(by, sizeof by, "user/%s", p->name);
    snprintf(reason, sizeof reason, "%s asks for it%s%.*s", by, why.size > 0 ? ": " : "", (int)(why.size < 100 ? why.size : 100),
             why.data ? why.data : "");
    rc = venv_mgr_agent_forget(m, a, id, reason, err);
    if (rc != VENV_OK) {
        venv_value_unref(&shown);
        return rc;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "agent", shown);
    venv_value answer = venv_mgr_take_map(m, &map);
    venv_mgr_request_remember(m, id, VENV_MSG_FORGET, by, &answer);
    venv_mgr_request_result(m, p, request, answer);
    return VENV_OK;
}

static venv_rc do_list(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body, venv_error *err)
{
    venv_value value = venv_value_null();
    venv_str what = venv_value_get_text(body, "what"), name = venv_value_get_text(body, "name");
    venv_rc rc = type == VENV_MSG_LIST ? venv_mgr_list_things(m, what, &value, err) : venv_mgr_show_thing(m, what, name, &value, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, type == VENV_MSG_LIST ? "items" : "item", value);
    venv_mgr_request_result(m, p, request, venv_mgr_take_map(m, &map));
    return VENV_OK;
}

/* What was done wrong is told by the caller. */
static venv_rc take_request(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body, venv_error *err)
{
    switch (type) {
    case VENV_MSG_STATUS:
        venv_mgr_request_result(m, p, request, venv_mgr_status_view(m));
        break;
    case VENV_MSG_LIST:
    case VENV_MSG_SHOW:
        return do_list(m, p, type, request, body, err);
    case VENV_MSG_VERSIONS: {
        venv_value versions = venv_value_null();
        venv_rc rc = venv_mgr_catalog_versions(m, body, &versions, err);
        if (rc == VENV_OK)
            venv_mgr_request_result(m, p, request, versions);
        return rc;
    }
    case VENV_MSG_START:
        return do_start(m, p, request, body, err);
    case VENV_MSG_STOP:
        return do_stop(m, p, request, body, err);
    case VENV_MSG_GET:
        return do_get(m, p, request, body, err);
    case VENV_MSG_FETCH:
        return do_fetch(m, p, request, body, err);
    case VENV_MSG_EXEC:
    case VENV_MSG_SYNC_IMAGE:
    case VENV_MSG_STEER:
        return do_exec(m, p, type, request, body, err);
    case VENV_MSG_CHANGE:
        return change_instances(m, p, request, body, err);
    case VENV_MSG_FORGET:
        return do_forget(m, p, request, body, err);
    case VENV_MSG_WHY:
        venv_mgr_why_request(m, p, request, body);
        break;
    case VENV_MSG_EVALUATE:
        venv_mgr_evaluate_request(m, p, request, body);
        break;
    case VENV_MSG_RELOAD:
        return venv_mgr_reload_request(m, p, request, body, err);
    case VENV_MSG_PROPOSAL:
    case VENV_MSG_TRIGGER:
    case VENV_MSG_RESET:
    case VENV_MSG_NODE:
    case VENV_MSG_APPLY:
    case VENV_MSG_DELETE_ENVIRONMENT:
        return do_change(m, p, type, request, body, err);
    case VENV_MSG_EVENTS:
        venv_mgr_events_request(m, p, request, body);
        break;
    case VENV_MSG_DUMP:
        venv_mgr_dump_request(m, p, request);
        break;
    case VENV_MSG_HISTORY:
        venv_mgr_history_request(m, p, request, body);
        break;
    case VENV_MSG_ACCEPT_ROLLBACK:
        return venv_mgr_guard_accept(m, p, request, err);
    default:
        return venv_error_set(err, VENV_EUNSUPPORTED, "this manager does not know the request %s", venv_message_name(type));
    }
    return VENV_OK;
}

void venv_mgr_user_frame(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body)
{
    venv_error err = { 0 };
    venv_id id;
    bool again = venv_value_get_id(body, "id", &id) && venv_mgr_request_find(m, id);
    venv_rc rc = again ? VENV_OK : venv_mgr_guard_request(m, type, body, &err);
    if (rc != VENV_OK) { /* at once: nothing was done, and there may be no room to write that it was not */
        venv_mgr_effect_send_now(m, p, VENV_MSG_FAILED, request, venv_mgr_request_failure(m, &err));
        return;
    }
    /* Looking promises nothing: on a full disk it does not wait for what cannot be written now. */
    m->answer_now = m->full && !VENV_SEEDED(LOOK_WAITS) && (type == VENV_MSG_STATUS || type == VENV_MSG_LIST || type == VENV_MSG_SHOW || type == VENV_MSG_GET);
    rc = take_request(m, p, type, request, body, &err);
    m->answer_now = false;
    if (rc == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    else if (rc != VENV_OK)
        venv_mgr_request_failed(m, p, request, &err);
}
