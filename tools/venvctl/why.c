/* SPDX-License-Identifier: Apache-2.0 */
/* The verb why: the chain of causes of one thing, a step a line, in the order of time. */
#include "venvctl.h"

#include <string.h>

#define TIME_WIDTH 26 /* columns of the time before a step */

static void print_step(venvctl *app, const venv_value *step)
{
    venv_wall time;
    char when[VENV_WALL_TEXT_SIZE] = "";
    const venv_value *stamp = venv_value_get(step, "time"), *detail = venv_value_get(step, "detail");
    int level = (int)venv_value_get_int(step, "level", 0);
    level = level < 0 ? 0 : level > 8 ? 8 : level;
    if (stamp && venv_value_to_wall(stamp, &time))
        (void)venv_wall_format(time, when);
    fprintf(app->out, "%-*s%*s", TIME_WIDTH, when, 2 * level, "");
    print_safe(app->out, venv_value_get_text(step, "text"));
    fputc('\n', app->out);
    const venv_value *kind = venv_value_get(step, "kind");
    if (detail && kind && venv_value_is_text(kind, "condition"))
        print_condition(app, detail, TIME_WIDTH + 2 * level + 2);
}

int run_why(venvctl *app)
{
    static const char *const kinds[] = { "instance", "node", "environment", "trigger", "action", NULL };
    const char *kind = app->arguments[0];
    size_t k = 0;
    while (kinds[k] && strcmp(kinds[k], kind) != 0)
        k++;
    if (!kinds[k])
        return app_usage(app, "there is no kind \"%s\"; it is one of instance, node, environment, trigger, action", kind);
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_error err = { 0 };
    venv_value why = venv_value_null();
    if (venv_client_why(app->client, kind, app->arguments[1], app->value[OPTION_AGENT], &why, &err) != VENV_OK)
        return app_fail(app, &err);
    if (app_has(app, OPTION_JSON)) {
        code = print_json(app, &why);
    } else {
        print_safe(app->out, venv_value_get_text(&why, "answer"));
        fputc('\n', app->out);
        const venv_value *steps = venv_value_get(&why, "steps");
        if (!app_has(app, OPTION_QUIET) && venv_value_count(steps) > 0) {
            fputc('\n', app->out);
            for (size_t i = 0; i < venv_value_count(steps); i++)
                print_step(app, venv_value_at(steps, i));
        }
    }
    venv_value_unref(&why);
    return code;
}
