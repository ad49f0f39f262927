/* SPDX-License-Identifier: Apache-2.0 */
/* Maintenance of nodes: node drain, node resume. */
#include "venvctl.h"

#include <string.h>

#define WAIT_TIMEOUT_NS  (1800 * VENV_NS_PER_S) /* with --wait and no --timeout: machines move */
#define ANSWER_MARGIN_NS (10 * VENV_NS_PER_S)

static int settle(venvctl *app, bool drain)
{
    venv_error err = { 0 };
    venv_value agent = venv_value_null();
    venv_client_node_options options = { .why = app->value[OPTION_WHY], .by = app->value[OPTION_BY], .wait = app_has(app, OPTION_WAIT),
                                         .timeout = { app->has_timeout ? app->timeout.ns : WAIT_TIMEOUT_NS } };
    int code = app_id(app, OPTION_ID, &options.id);
    if (code == EXIT_DONE && options.wait && app->value[OPTION_WAIT][0])
        code = app_usage(app, "--wait of node drain takes no state: it waits until the node is empty");
    if (code == EXIT_DONE)
        code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    if (options.wait)
        venv_client_set_timeout(app->client, (venv_span){ options.timeout.ns + ANSWER_MARGIN_NS });
    venv_rc rc = (drain ? venv_client_node_drain : venv_client_node_resume)(app->client, app->arguments[0], &options, &agent, &err);
    int64_t left = venv_value_get_int(venv_value_get(&agent, "maintenance"), "left", 0);
    char done[96];
    snprintf(done, sizeof done, left > 0 ? "in maintenance; %lld instance%s still there" : "in maintenance, and empty", (long long)left,
             left == 1 ? " is" : "s are");
    return change_finish(app, rc, &agent, &err, drain ? done : "out of maintenance");
}

int run_node_drain(venvctl *app)
{
    return settle(app, true);
}

int run_node_resume(venvctl *app)
{
    return settle(app, false);
}
