/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Triggers: evaluate what is due, and turn the orders of those that fired into deeds, whose parent is
 * the firing.
 */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

#define EXEC_TIMEOUT ((venv_span){ 60 * VENV_NS_PER_S })
#define SYNC_TIMEOUT ((venv_span){ 3600 * VENV_NS_PER_S + 10 * VENV_NS_PER_S })
#define ASK_TIMEOUT  ((venv_span){ 30 * VENV_NS_PER_S })

static void text_argument(const venv_order *order, const char *key, char *to, size_t size)
{
    venv_str text = venv_value_get_text(&order->arguments, key);
    snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.data ? text.data : "");
}

/* What is looked up by its name is never cut to fit. Left out: "". */
static venv_rc name_argument(const venv_order *order, const char *key, char ret_name[VENV_NAME_MAX + 1], venv_error *err)
{
    const venv_value *value = venv_value_get(&order->arguments, key);
    char shown[80];
    ret_name[0] = '\0';
    if (!value || venv_mgr_fits_name(venv_value_get_text(&order->arguments, key), ret_name))
        return VENV_OK;
    venv_value_print(value, shown, sizeof shown);
    return venv_error_set(err, VENV_EINVAL, "%s: %s is no name", key, shown);
}

static int log_level(const char *name)
{
    for (int level = VENV_LOG_ERROR; level <= VENV_LOG_DEBUG; level++)
        if (strcmp(name, venv_log_level_name((venv_log_level)level)) == 0)
            return level;
    return VENV_LOG_INFO;
}

static venv_rc do_ask(venv_manager *m, const venv_order *order, deed *d, venv_error *err)
{
    char target[VENV_GROUPS_SELECTOR_MAX + 1], label[VENV_LABEL_MAX + 1];
    venv_rc rc = venv_mgr_target(&order->arguments, target, err);
    if (rc == VENV_OK)
        rc = venv_mgr_label(&order->arguments, label, err);
    if (rc != VENV_OK)
        return rc;
    venv_span timeout = order->verb == VENV_ORDER_EXEC ? EXEC_TIMEOUT : order->verb == VENV_ORDER_SYNC ? SYNC_TIMEOUT : ASK_TIMEOUT;
    const venv_value *asked = venv_value_get(&order->arguments, "timeout");
    if (asked && venv_value_to_span(asked, &timeout))
        timeout.ns += 10 * VENV_NS_PER_S; /* the agent ends the command itself, and tells */
    int16_t type = order->verb == VENV_ORDER_EXEC      ? VENV_MSG_EXEC
                   : order->verb == VENV_ORDER_CONTROL ? VENV_MSG_STEER
                   : order->verb == VENV_ORDER_SYNC    ? VENV_MSG_SYNC_IMAGE
                                                       : VENV_MSG_FETCH;
    gather *g = venv_mgr_gather_new(m, NULL, 0, type, d->id, timeout);
    if (!g)
        return venv_error_set(err, VENV_ELIMIT, "too many requests to agents are open");
    venv_mgr_deed_run(m, d, (venv_span){ 0 });
    rc = order->verb == VENV_ORDER_EXEC ? venv_mgr_verb_exec(m, g, target, &order->arguments, d->id, err)
                 : order->verb == VENV_ORDER_SYNC ? venv_mgr_verb_sync(m, g, target, &order->arguments, d->id, err)
                 : order->verb == VENV_ORDER_CONTROL
                     ? venv_mgr_verb_steer(m, g, target, &order->arguments, err)
                     : venv_mgr_verb_fetch(m, g, target, &order->arguments, label, order->verb == VENV_ORDER_GET, err);
    if (rc != VENV_OK)
        venv_mgr_deed_end(m, d, rc, err->text);
    venv_mgr_gather_finish(m, g);
    return VENV_OK;
}

static venv_rc do_order(venv_manager *m, const venv_order *order, deed *d, venv_error *err)
{
    char text[REASON_MAX], safe[REASON_MAX], environment[VENV_NAME_MAX + 1], node[VENV_NAME_MAX + 1], level[16];
    venv_rc rc;
    switch (order->verb) {
    case VENV_ORDER_START:
        rc = name_argument(order, "environment", environment, err);
        if (rc == VENV_OK)
            rc = name_argument(order, "node", node, err);
        return rc != VENV_OK ? rc : venv_mgr_verb_start(m, d, environment, node[0] ? node : NULL, venv_value_get_int(&order->arguments, "count", 1), err);
    case VENV_ORDER_STOP:
        return venv_mgr_verb_stop(m, d, &order->arguments, err);
    case VENV_ORDER_GET:
    case VENV_ORDER_FETCH:
    case VENV_ORDER_EXEC:
    case VENV_ORDER_CONTROL:
    case VENV_ORDER_SYNC:
        return do_ask(m, order, d, err);
    case VENV_ORDER_LOG:
        text_argument(order, "text", text, sizeof text);
        text_argument(order, "level", level, sizeof level);
        venv_mgr_set_reason(safe, text);
        venv_mgr_effect_log(m, log_level(level), "%s: %s", d->by, safe);
        venv_mgr_event_add(m, "log", d->subject, d->parent, venv_value_null(), "%s", text);
        venv_mgr_deed_end(m, d, VENV_OK, "");
        return VENV_OK;
    case VENV_ORDER_DESTROY:
        return venv_mgr_verb_destroy(m, d, &order->arguments, err);
    case VENV_ORDER_PAUSE:
    case VENV_ORDER_RESUME:
    case VENV_ORDER_SAVE:
    case VENV_ORDER_RESTORE:
    case VENV_ORDER_MIGRATE:
        return venv_mgr_verb_change(m, d, venv_mgr_change_parse((venv_str){ d->kind, strlen(d->kind) }), &order->arguments, err);
    case VENV_ORDER_MAIL:
    case VENV_ORDER_WEBHOOK:
    case VENV_ORDER_PLUGIN:
        return venv_mgr_deliver(m, d, &order->arguments, err);
    default: /* not carried out by this manager */
        break;
    }
    return venv_error_set(err, VENV_EUNSUPPORTED, "there is no such action");
}

/* One order becomes a deed, whose parent is the firing, or the proposal that was applied. */
static void carry_out(venv_manager *m, const order_cause *c, const venv_order *order)
{
    static const venv_id none = { { 0 } };
    static const char *const subjects[] = { "environment", "instance", "target", "to", "name" };
    char subject[VENV_NAME_MAX + 1];
    subject[0] = '\0';
    for (size_t k = 0; k < VENV_COUNT_OF(subjects) && subject[0] == '\0'; k++)
        text_argument(order, subjects[k], subject, sizeof subject);
    if (venv_table_count(m->deeds) >= DEEDS_MAX) {
        venv_mgr_event_add(m, "trigger-failed", c->trigger, c->id, venv_value_null(),
                  "%s: there are too many actions; old ones go away by themselves", c->trigger);
        return;
    }
    deed *d = venv_mgr_deed_new(m, venv_random_id(&m->random), VENV_SEEDED(NO_PARENT) ? none : c->id,
                                venv_order_verb_name(order->verb), subject[0] ? subject : c->trigger, c->by);
    if (!d)
        return;
    d->origin = c->origin;
    venv_mgr_set_reason(d->reason, c->why);
    venv_error err = { 0 };
    venv_rc rc = do_order(m, order, d, &err);
    if (rc != VENV_OK)
        venv_mgr_deed_end(m, d, rc, err.text);
}

/* What is the parent of several orders is a row of its own, that ends when all of them have. */
static deed *parent_new(venv_manager *m, const order_cause *c)
{
    deed *d = venv_table_count(m->deeds) < DEEDS_MAX ? venv_mgr_deed_new(m, c->id, c->parent, c->kind, c->trigger, c->by) : NULL;
    if (!d)
        return NULL;
    venv_mgr_set_reason(d->reason, c->why);
    d->origin = c->origin;
    venv_mgr_deed_children_begin(m, d);
    return d;
}

void venv_mgr_orders_carry_out(venv_manager *m, const order_cause *c, const venv_order *orders, size_t count)
{
    deed *parent = parent_new(m, c);
    for (size_t i = 0; i < count && m->rc == VENV_OK; i++)
        carry_out(m, c, &orders[i]);
    if (parent && m->rc == VENV_OK)
        venv_mgr_deed_children_made(m, parent);
}

static const char *did(venv_trigger_report_kind kind)
{
    switch (kind) {
    case VENV_TRIGGER_OBSERVED: return "would have fired";
    case VENV_TRIGGER_PROPOSED: return "proposes";
    case VENV_TRIGGER_LIMITED: return "was limited";
    case VENV_TRIGGER_MISSING: return "waits";
    default: return venv_trigger_report_name(kind);
    }
}

static void propose(venv_manager *m, const venv_trigger_report *report, venv_id firing, uint64_t origin)
{
    char text[VENV_ID_TEXT_SIZE];
    venv_id id = venv_mgr_proposal_make(m, report, firing, origin);
    if (!venv_id_is_none(id))
        venv_mgr_event_add(m, "proposal-open", report->trigger, id, venv_value_null(),
                           "%s proposes %zu actions: `venvctl trigger apply %.8s` carries them out", report->trigger,
                           report->order_count, venv_id_format(id, text));
}

static void tell(venv_manager *m, const venv_trigger_report *report)
{
    char kind[32], by[BY_MAX];
    snprintf(kind, sizeof kind, "trigger-%s", venv_trigger_report_name(report->kind));
    snprintf(by, sizeof by, "trigger/%s", report->trigger);
    venv_id firing = venv_random_id(&m->random);
    /* Only the first line: the others draw the expression, and `show trigger` has them. */
    venv_mgr_event_add(m, kind, report->trigger, firing, venv_mgr_firing_detail(m, report), "%s%s%s %s: %.*s", report->trigger,
              report->unit[0] ? " for " : "", report->unit, did(report->kind), (int)strcspn(report->text, "\n"), report->text);
    uint64_t origin = m->revision;
    if (report->kind == VENV_TRIGGER_PROPOSED)
        propose(m, report, firing, origin);
    if (report->kind == VENV_TRIGGER_RECOVERED)
        venv_mgr_proposal_recovered(m, report->trigger, report->unit);
    if (report->kind == VENV_TRIGGER_FIRED)
        venv_mgr_firing_remember(m, report->trigger, firing);
    bool acts = report->kind == VENV_TRIGGER_FIRED || report->kind == VENV_TRIGGER_RECOVERED;
    order_cause c = { "firing", report->trigger, by, report->text, firing, { { 0 } }, origin };
    if (acts && report->order_count > 0)
        venv_mgr_orders_carry_out(m, &c, report->orders, report->order_count);
}

static void save_row(void *user, const char *key, const venv_value *row)
{
    venv_manager *m = user;
    venv_value text = venv_value_null(), copy = venv_value_null();
    if (venv_value_string_z(key, &text, NULL) != VENV_OK || venv_value_dup(row, &copy, NULL) != VENV_OK) {
        venv_value_unref(&text);
        venv_mgr_no_memory(m);
        return;
    }
    if (venv_value_kind(row) == VENV_NULL)
        venv_mgr_effect_delete(m, VENV_ROWS_TRIGGERS, text);
    else
        venv_mgr_effect_put(m, VENV_ROWS_TRIGGERS, text, copy);
}

void venv_mgr_triggers_save(venv_manager *m)
{
    if (venv_triggers_save(m->triggers, save_row, m, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
}

/* What an action changes can be read by a trigger: evaluate again, but not for ever. */
void venv_mgr_triggers_run(venv_manager *m)
{
    if (venv_mgr_guard_holds(m) && !VENV_SEEDED(FULL_FIRES))
        return; /* what is pending stays so */
    venv_trigger_world world = venv_mgr_world_of(m);
    for (int round = 0; round < TRIGGER_ROUNDS_MAX && m->rc == VENV_OK; round++) {
        if (!venv_triggers_pending(m->triggers) && venv_triggers_deadline(m->triggers).ns > m->now.mono.ns)
            return;
        venv_trigger_reports_clear(&m->reports);
        if (venv_triggers_step(m->triggers, m->now, &world, &m->reports, NULL) != VENV_OK) {
            venv_mgr_no_memory(m);
            return;
        }
        for (size_t i = 0; i < m->reports.count && m->rc == VENV_OK; i++)
            tell(m, &m->reports.items[i]);
        venv_trigger_reports_clear(&m->reports);
        venv_mgr_triggers_save(m);
    }
}
