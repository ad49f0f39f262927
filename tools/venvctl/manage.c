/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that manage the manager: its circuit breakers, and its configuration. */
#include "venvctl.h"

#include <string.h>

static const column breaker_columns[] = {
    { "NAME", "name", CELL_TEXT },      { "STATE", "state", CELL_TEXT },   { "SINCE", "since", CELL_AGE },
    { "FAILURES", "failures", CELL_NUMBER }, { "OPENED", "opened", CELL_NUMBER }, { "RETRY", "retry", CELL_TEXT },
    { "REASON", "reason", CELL_LINE },
};

int run_breaker_list(venvctl *app)
{
    venv_error err = { 0 };
    venv_value items = venv_value_null();
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    if (venv_client_list(app->client, "breakers", &items, &err) != VENV_OK)
        return app_fail(app, &err);
    code = print_items(app, &items, breaker_columns, sizeof breaker_columns / sizeof breaker_columns[0]);
    venv_value_unref(&items);
    return code;
}

int run_breaker_reset(venvctl *app)
{
    venv_client_change_options options;
    venv_value breaker = venv_value_null();
    venv_error err = { 0 };
    int code = change_options(app, &options);
    if (code != EXIT_DONE)
        return code;
    venv_rc rc = venv_client_reset_breaker(app->client, app->arguments[0], &options, &breaker, &err);
    return change_finish(app, rc, &breaker, &err, "closed");
}

/* --- reload -------------------------------------------------------------------------------------------------- */

static size_t print_names(venvctl *app, const char *what, const char *how, const venv_value *names)
{
    for (size_t i = 0; i < venv_value_count(names); i++) {
        char name[VENV_NAME_MAX + 2];
        (void)venv_text_safe(venv_value_peek_text(venv_value_at(names, i)), name, sizeof name);
        fprintf(app->out, "%-8s %s %s\n", how, what, name);
    }
    return venv_value_count(names);
}

static size_t print_section(venvctl *app, const char *what, const venv_value *section)
{
    static const char *const hows[] = { "added", "removed", "changed" };
    size_t count = 0;
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++)
        count += print_names(app, what, hows[i], venv_value_get(section, hows[i]));
    return count;
}

static size_t print_settings(venvctl *app, const venv_value *settings)
{
    for (size_t i = 0; i < venv_value_count(settings); i++) {
        const venv_value *setting = venv_value_at(settings, i), *from = venv_value_get(setting, "from"), *to = venv_value_get(setting, "to");
        char key[VENV_NAME_MAX + 2], was[160] = "", is[160] = "";
        (void)venv_text_safe(venv_value_get_text(setting, "key"), key, sizeof key);
        if (from)
            (void)venv_value_print(from, was, sizeof was);
        if (to)
            (void)venv_value_print(to, is, sizeof is);
        fprintf(app->out, "%-8s manager.%s: %s, was %s%s\n", "changed", key, is, was,
                venv_value_get_bool(setting, "live", false) ? "" : "; this takes a restart of the manager");
    }
    return venv_value_count(settings);
}

int run_reload(venvctl *app)
{
    venv_error err = { 0 };
    venv_value difference = venv_value_null();
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    if (venv_client_reload(app->client, app_has(app, OPTION_DRY_RUN), &difference, &err) != VENV_OK)
        return app_fail(app, &err);
    if (app_has(app, OPTION_JSON)) {
        code = print_json(app, &difference);
    } else if (!app_has(app, OPTION_QUIET)) {
        size_t count = print_section(app, "environment", venv_value_get(&difference, "environments"));
        count += print_section(app, "trigger", venv_value_get(&difference, "triggers"));
        count += print_settings(app, venv_value_get(&difference, "manager"));
        if (count == 0)
            fputs("nothing is different\n", app->out);
    }
    venv_value_unref(&difference);
    return code;
}
