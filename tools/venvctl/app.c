/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of venvctl: parse, connect, run one verb, and turn what went wrong into one line and an exit code.
 */
#include "venvctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int exit_code_of(venv_rc rc)
{
    switch (rc) {
    case VENV_OK:
        return EXIT_DONE;
    case VENV_ENOENT:
        return EXIT_NOT_FOUND;
    case VENV_EDENIED:
        return EXIT_DENIED;
    case VENV_EUNREACHABLE:
        return EXIT_UNREACHABLE;
    case VENV_ETIMEDOUT:
    case VENV_EUNKNOWN:
        return EXIT_UNKNOWN;
    default:
        return EXIT_FAILED;
    }
}

VENV_PRINTF(2, 0) static void say(venvctl *app, const char *format, va_list args)
{
    char text[2048], safe[4096];
    (void)vsnprintf(text, sizeof text, format, args);
    /* An error of an expression has more lines, with a caret under the place: newlines stay. */
    fputs("venvctl: ", app->err);
    const char *line = text;
    while (line) {
        const char *end = strchr(line, '\n');
        size_t size = end ? (size_t)(end - line) : strlen(line);
        (void)venv_text_safe((venv_str){ line, size }, safe, sizeof safe);
        fprintf(app->err, "%s\n", safe);
        line = end && end[1] != 0 ? end + 1 : NULL;
    }
}

void app_say(venvctl *app, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(app, format, args);
    va_end(args);
}

int app_usage(venvctl *app, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(app, format, args);
    va_end(args);
    if (app->verb && app->verb->summary)
        fprintf(app->err, "See: venvctl help %s\n", app->verb->name);
    else
        fprintf(app->err, "See: venvctl help\n");
    return EXIT_USAGE;
}

int app_fail(venvctl *app, const venv_error *err)
{
    char text[VENV_ERROR_FILE_MAX + VENV_ERROR_TEXT_MAX + 64];
    app_say(app, "%s", venv_error_format(err, text, sizeof text));
    return exit_code_of(err->rc);
}

/* A fault of the configuration is a misuse, wherever it stands. */
static int configuration_fault(venvctl *app, const venv_error *err)
{
    int code = app_fail(app, err);
    bool malformed = err->rc == VENV_EINVAL || err->rc == VENV_EKIND || err->rc == VENV_ERANGE || err->rc == VENV_ELIMIT;
    return malformed ? EXIT_USAGE : code;
}

static int configure(venvctl *app, venv_client_config *config)
{
    venv_error err = { 0 };
    for (size_t i = 0; i < app->manager_count; i++)
        if (venv_client_config_add_manager(config, app->managers[i], &err) != VENV_OK)
            return configuration_fault(app, &err);
    const char *tls = app->value[OPTION_TLS];
    if (!tls && app_has(app, OPTION_USER))
        return app_usage(app, "--user goes with --tls DIR");
    if (tls && venv_client_config_set_tls_dir(config, tls, app->value[OPTION_USER], &err) != VENV_OK)
        return configuration_fault(app, &err);
    const char *file = app->value[OPTION_CONFIG];
    if (!file && app->manager_count > 0 && tls)
        return EXIT_DONE; /* the command line says it all */
    venv_rc rc = venv_client_config_load(config, file, &err);
    if (rc == VENV_ENOENT && !file) {
        app_say(app, "no manager is configured: there is neither ~/.config/venv/client.yaml nor "
                     "/etc/venv/client.yaml; write one (see venv-client.yaml(5)) or give --manager HOST:PORT and --tls DIR");
        return EXIT_USAGE;
    }
    return rc == VENV_OK ? EXIT_DONE : configuration_fault(app, &err);
}

int app_connect(venvctl *app)
{
    venv_error err = { 0 };
    venv_client_config *config = NULL;
    if (venv_client_config_new(&config, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = configure(app, config);
    if (code == EXIT_DONE) {
        if (app->has_timeout && app->timeout.ns < VENV_CLIENT_CONNECT_TIMEOUT.ns)
            venv_client_config_set_connect_timeout(config, app->timeout);
        if (venv_client_connect(config, &app->client, &err) != VENV_OK)
            code = configuration_fault(app, &err);
        else if (app->has_timeout)
            venv_client_set_timeout(app->client, app->timeout);
    }
    venv_client_config_free(config);
    return code;
}

int app_main(venvctl *app, int argc, char *const *argv)
{
    int code = app_parse(app, argc, argv);
    if (code != EXIT_DONE)
        return code;
    if (app_has(app, OPTION_HELP)) {
        help_print(app, app->verb);
        return EXIT_DONE;
    }
    if (app_has(app, OPTION_VERSION)) {
        fprintf(app->out, "venvctl %s\n", venv_version());
        return EXIT_DONE;
    }
    if (!app->verb) {
        help_print_short(app->err);
        return EXIT_USAGE;
    }
    if (app_has(app, OPTION_CONNECT))
        return app->manager_count > 0 || app_has(app, OPTION_TLS)
                   ? app_usage(app, "--connect goes to a hypervisor, --manager and --tls to a manager: one of them")
                   : connect_run(app, argv);
    code = app->verb->run(app);
    venv_client_free(app->client);
    app->client = NULL;
    return code;
}
