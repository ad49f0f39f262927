/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of triggers: list, show, test, enable, disable, apply, reject. */
#include "venvctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNTER_MAX 128

/* --- how far a hold is ---------------------------------------------------------------------------------- */

/* "2/3", "20s of 30s", or "" where nothing is held. */
static void format_counter(const venv_value *unit, char text[COUNTER_MAX])
{
    const venv_value *held = venv_value_get(unit, "held"), *hold = venv_value_get(unit, "hold");
    venv_span a, b;
    char left[VENV_SPAN_TEXT_SIZE], right[VENV_SPAN_TEXT_SIZE];
    text[0] = '\0';
    if (held && hold && venv_value_kind(held) == VENV_INT && venv_value_kind(hold) == VENV_INT) {
        (void)snprintf(text, COUNTER_MAX, "%" PRId64 "/%" PRId64, venv_value_peek_int(held), venv_value_peek_int(hold));
    } else if (held && hold && venv_value_to_span(held, &a) && venv_value_to_span(hold, &b)) {
        a.ns -= a.ns % (VENV_NS_PER_S / 10); /* nobody wants the nanoseconds */
        (void)venv_span_format(a, left, sizeof left);
        (void)venv_span_format(b, right, sizeof right);
        (void)snprintf(text, COUNTER_MAX, "%s of %s", left, right);
    }
}

/* The same map with `counter`, where there is one. A new value; null when out of memory. */
static venv_value with_counter(const venv_value *unit)
{
    char text[COUNTER_MAX];
    venv_map_builder map;
    venv_value made = venv_value_null();
    const venv_value *key, *value;
    format_counter(unit, text);
    venv_map_init(&map);
    for (size_t i = 0; venv_value_entry(unit, i, &key, &value); i++)
        if (!venv_value_is_text(key, "counter"))
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    if (text[0])
        venv_map_put_z(&map, "counter", text);
    if (venv_map_take(&map, &made, NULL) != VENV_OK)
        return venv_value_null();
    return made;
}

static venv_rc with_counters(const venv_value *list, venv_value *ret_list, venv_error *err)
{
    venv_list_builder made;
    venv_list_init(&made);
    for (size_t i = 0; i < venv_value_count(list); i++)
        venv_list_add(&made, with_counter(venv_value_at(list, i)));
    return venv_list_take(&made, ret_list, err);
}

/* --- list, show ------------------------------------------------------------------------------------------ */

int run_trigger_list(venvctl *app)
{
    static const column columns[] = {
        { "NAME", "name", CELL_TEXT },     { "UNIT", "element", CELL_TEXT },  { "MODE", "mode", CELL_TEXT },
        { "ENABLED", "enabled", CELL_TEXT }, { "STATE", "state", CELL_TEXT }, { "HOLD", "counter", CELL_TEXT },
        { "SINCE", "since", CELL_AGE },    { "FIRED", "fired", CELL_NUMBER }, { "LAST", "last_fired", CELL_AGE },
        { "ERROR", "error", CELL_LINE },
    };
    venv_error err = { 0 };
    venv_value items = venv_value_null(), shown = venv_value_null();
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_rc rc = venv_client_list(app->client, "triggers", &items, &err);
    if (rc == VENV_OK)
        rc = with_counters(&items, &shown, &err);
    code = rc == VENV_OK ? print_items(app, &shown, columns, sizeof columns / sizeof columns[0]) : app_fail(app, &err);
    venv_value_unref(&items);
    venv_value_unref(&shown);
    return code;
}

int run_trigger_show(venvctl *app)
{
    venv_error err = { 0 };
    venv_value item = venv_value_null(), units = venv_value_null(), shown = venv_value_null();
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_rc rc = venv_client_show(app->client, "trigger", app->arguments[0], &item, &err);
    if (rc == VENV_OK)
        rc = with_counters(venv_value_get(&item, "units"), &units, &err);
    if (rc == VENV_OK) {
        venv_map_builder map;
        const venv_value *key, *value;
        venv_map_init(&map);
        for (size_t i = 0; venv_value_entry(&item, i, &key, &value); i++)
            if (!venv_value_is_text(key, "units"))
                venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
        venv_map_put(&map, "units", venv_value_ref(&units));
        rc = venv_map_take(&map, &shown, &err);
    }
    code = rc == VENV_OK ? print_value(app, &shown) : app_fail(app, &err);
    venv_value_unref(&item);
    venv_value_unref(&units);
    venv_value_unref(&shown);
    return code;
}

/* --- enable, disable, apply, reject ------------------------------------------------------------------------ */

int change_options(venvctl *app, venv_client_change_options *ret_options)
{
    *ret_options = (venv_client_change_options){ .why = app->value[OPTION_WHY] };
    int code = app_id(app, OPTION_ID, &ret_options->id);
    return code == EXIT_DONE ? app_connect(app) : code;
}

int change_finish(venvctl *app, venv_rc rc, venv_value *value, const venv_error *err, const char *done)
{
    if (rc != VENV_OK)
        return app_fail(app, err);
    int code = EXIT_DONE;
    if (app_has(app, OPTION_JSON))
        code = print_json(app, value);
    else if (!app_has(app, OPTION_QUIET))
        fprintf(app->out, "%s is %s\n", app->arguments[0], done);
    venv_value_unref(value);
    return code;
}

static int set_enabled(venvctl *app, bool enabled)
{
    venv_client_change_options options;
    venv_value trigger = venv_value_null();
    venv_error err = { 0 };
    int code = change_options(app, &options);
    if (code != EXIT_DONE)
        return code;
    venv_rc rc = venv_client_set_trigger_enabled(app->client, app->arguments[0], enabled, &options, &trigger, &err);
    return change_finish(app, rc, &trigger, &err, enabled ? "enabled" : "disabled");
}

int run_trigger_enable(venvctl *app)
{
    return set_enabled(app, true);
}

int run_trigger_disable(venvctl *app)
{
    return set_enabled(app, false);
}

static int settle_proposal(venvctl *app, bool apply)
{
    venv_client_change_options options;
    venv_value proposal = venv_value_null();
    venv_error err = { 0 };
    int code = change_options(app, &options);
    if (code != EXIT_DONE)
        return code;
    venv_rc rc = (apply ? venv_client_apply : venv_client_reject)(app->client, app->arguments[0], &options, &proposal, &err);
    return change_finish(app, rc, &proposal, &err, apply ? "applied" : "rejected");
}

int run_trigger_apply(venvctl *app)
{
    return settle_proposal(app, true);
}

int run_trigger_reject(venvctl *app)
{
    return settle_proposal(app, false);
}
