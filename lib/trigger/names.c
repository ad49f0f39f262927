/* SPDX-License-Identifier: Apache-2.0 */
/* Names of what a trigger can be and do, and the list of reports. */
#include "trigger/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const states[VENV_TRIGGER_STATE__COUNT] = {
    [VENV_TRIGGER_IDLE] = "idle",
    [VENV_TRIGGER_HOLDING] = "holding",
    [VENV_TRIGGER_ACTIVE] = "active",
    [VENV_TRIGGER_COOLING] = "cooling",
};

static const char *const verbs[VENV_ORDER_VERB__COUNT] = {
    [VENV_ORDER_START] = "start", [VENV_ORDER_STOP] = "stop", [VENV_ORDER_GET] = "get",
    [VENV_ORDER_FETCH] = "fetch", [VENV_ORDER_EXEC] = "exec", [VENV_ORDER_LOG] = "log",
    [VENV_ORDER_CONTROL] = "control",
    [VENV_ORDER_DESTROY] = "destroy", [VENV_ORDER_PAUSE] = "pause", [VENV_ORDER_RESUME] = "resume",
    [VENV_ORDER_SAVE] = "save", [VENV_ORDER_RESTORE] = "restore", [VENV_ORDER_MIGRATE] = "migrate",
    [VENV_ORDER_SYNC] = "sync", [VENV_ORDER_MAIL] = "mail", [VENV_ORDER_WEBHOOK] = "webhook",
    [VENV_ORDER_PLUGIN] = "plugin",
};

static const char *const kinds[VENV_TRIGGER_REPORT_KIND__COUNT] = {
    [VENV_TRIGGER_FIRED] = "fired",       [VENV_TRIGGER_RECOVERED] = "recovered",
    [VENV_TRIGGER_OBSERVED] = "observed", [VENV_TRIGGER_PROPOSED] = "proposed",
    [VENV_TRIGGER_LIMITED] = "limited",
    [VENV_TRIGGER_MISSING] = "missing",   [VENV_TRIGGER_FAILED] = "failed",
};

const char *venv_trigger_state_name(venv_trigger_state state)
{
    return (unsigned)state < VENV_TRIGGER_STATE__COUNT ? states[state] : "?";
}

const char *venv_order_verb_name(venv_order_verb verb)
{
    return (unsigned)verb < VENV_ORDER_VERB__COUNT ? verbs[verb] : "?";
}

bool venv_order_verb_parse(venv_str name, venv_order_verb *ret_verb)
{
    for (unsigned verb = 0; verb < VENV_ORDER_VERB__COUNT; verb++) {
        if (strlen(verbs[verb]) != name.size || memcmp(verbs[verb], name.data, name.size) != 0)
            continue;
        *ret_verb = (venv_order_verb)verb;
        return true;
    }
    return false;
}

const char *venv_trigger_report_name(venv_trigger_report_kind kind)
{
    return (unsigned)kind < VENV_TRIGGER_REPORT_KIND__COUNT ? kinds[kind] : "?";
}

void venv_trigger_orders_free(venv_order *orders, size_t count)
{
    for (size_t i = 0; i < count; i++)
        venv_value_unref(&orders[i].arguments);
    free(orders);
}

void venv_trigger_reports_init(venv_trigger_reports *reports)
{
    *reports = (venv_trigger_reports){ NULL, 0, 0 };
}

void venv_trigger_reports_clear(venv_trigger_reports *reports)
{
    for (size_t i = 0; i < reports->count; i++) {
        venv_trigger_orders_free(reports->items[i].orders, reports->items[i].order_count);
        venv_value_unref(&reports->items[i].evidence);
    }
    reports->count = 0;
}

void venv_trigger_reports_fini(venv_trigger_reports *reports)
{
    venv_trigger_reports_clear(reports);
    free(reports->items);
    venv_trigger_reports_init(reports);
}
