/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start ENV --file FILE: the definition is read here, and one machine, or several, started from it.
 *
 * With --name the same command line is the same machine, however often it is given; that is the form for a cron job.
 */
#include "connect.h"

#include <venv/client.h>
#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

#define COPIES_MAX 256

/* The definition of `name` out of the section `environments` of a file, as in manager.yaml; other sections are not looked at. */
static int definition_in(venvctl *app, const char *name, const venv_value *file, const venv_mark *root, venv_environment **ret_environment)
{
    const char *path = app->value[OPTION_FILE];
    const venv_value *all = venv_value_get(file, "environments");
    const venv_mark *mark = venv_mark_get(root, file, "environments");
    const venv_value *value = all ? venv_value_get(all, name) : NULL;
    venv_error err = { 0 };
    if (!all || venv_value_kind(all) != VENV_MAP) {
        app_say(app, "%s: there is no map \"environments\" in it, as venv-environment(5) shows it", path);
        return EXIT_USAGE;
    }
    if (!value) {
        app_say(app, "%s: there is no environment \"%s\" in it", path, name);
        return EXIT_NOT_FOUND;
    }
    if (venv_environment_from_value(name, value, venv_mark_get(mark, all, name), NULL, ret_environment, &err) == VENV_OK)
        return EXIT_DONE;
    (void)app_fail(app, &err);
    return EXIT_USAGE;
}

static int read_definition(venvctl *app, const char *name, venv_environment **ret_environment)
{
    if (!app_has(app, OPTION_FILE))
        return app_usage(app, "with --connect, start needs --file FILE: where the environment is defined; see venv-environment(5)");
    venv_value file = venv_value_null();
    venv_yaml_marks *marks = NULL;
    int code = app_read_yaml(app, app->value[OPTION_FILE], &file, &marks);
    if (code == EXIT_DONE)
        code = definition_in(app, name, &file, venv_yaml_marks_root(marks), ret_environment);
    venv_yaml_marks_free(marks);
    venv_value_unref(&file);
    return code;
}

/* ENV-1, ENV-2, …: the first that is not there, nor among those of this run. */
static void next_name(const connection *c, const char *environment, uint64_t *number, char *name, size_t size)
{
    do
        (void)snprintf(name, size, "%s-%llu", environment, (unsigned long long)++*number);
    while (connection_find(c, name));
}

/* What is to be started under the name: a new machine, or one that is defined and does not run. `*ret_runs`: nothing is to be done. */
static int find_mark(connection *c, const char *environment, venv_machine_mark *mark, bool *ret_runs)
{
    venvctl *app = c->app;
    venv_error err = { 0 };
    const venv_machine_info *info = connection_find(c, mark->instance);
    *ret_runs = false;
    mark->epoch = 1;
    if (!info) {
        int code = app_id(app, OPTION_ID, &mark->id);
        if (code == EXIT_DONE && venv_id_is_none(mark->id) && venv_client_make_id(&mark->id, &err) != VENV_OK)
            code = app_fail(app, &err);
        return code;
    }
    if (strcmp(info->environment, environment) != 0) {
        app_say(app, "the instance \"%s\" is of the environment \"%s\"; stop it, or choose another --name", info->instance, info->environment);
        return EXIT_FAILED;
    }
    if (info->state == VENV_MACHINE_SAVED) {
        app_say(app, "the instance \"%s\" is saved: \"restore\" lets it go on, \"destroy\" throws its memory away", info->instance);
        return EXIT_FAILED;
    }
    mark->id = info->id;
    mark->epoch = info->epoch + 1;
    *ret_runs = info->state != VENV_MACHINE_STOPPED && info->state != VENV_MACHINE_FAILED;
    return EXIT_DONE;
}

static int start_one(connection *c, const venv_environment *environment, const char *name)
{
    venvctl *app = c->app;
    venv_error err = { 0 };
    venv_machine_mark mark = { .epoch = 1 };
    char *xml = NULL;
    bool runs = false;
    if (!venv_name_is_valid((venv_str){ name, strlen(name) }))
        return app_usage(app, "\"%s\" is no name of an instance: use a-z, 0-9, '.', '_' and '-', at most %d", name, VENV_NAME_MAX);
    (void)snprintf(mark.instance, sizeof mark.instance, "%s", name);
    (void)snprintf(mark.cluster, sizeof mark.cluster, "%s", app_has(app, OPTION_CLUSTER) ? app->value[OPTION_CLUSTER] : "default");
    int code = find_mark(c, venv_environment_name(environment), &mark, &runs);
    if (code != EXIT_DONE || runs)
        return code;
    if (venv_environment_domain_xml(environment, &mark, NULL, &xml, &err) != VENV_OK)
        return app_fail(app, &err);
    if (app_has(app, OPTION_DRY_RUN))
        fputs(xml, app->out);
    else if (venv_machine_start(c->hypervisor, mark.id, xml, &err) != VENV_OK)
        code = app_fail(app, &err);
    free(xml);
    return code;
}

/* Print those of the names. */
static int print_started(connection *c, char (*names)[VENV_NAME_MAX + 32], size_t count)
{
    int code = connection_look(c);
    bool *wanted = code == EXIT_DONE ? calloc(c->list.count + 1, sizeof *wanted) : NULL;
    if (code == EXIT_DONE && !wanted) {
        app_say(c->app, "out of memory");
        return EXIT_FAILED;
    }
    for (size_t i = 0; wanted && i < c->list.count; i++)
        for (size_t k = 0; k < count && !wanted[i]; k++)
            wanted[i] = strcmp(c->list.items[i].instance, names[k]) == 0;
    if (code == EXIT_DONE)
        code = print_machines(c, wanted, false);
    free(wanted);
    return code;
}

static int start_all(connection *c, const venv_environment *environment, int64_t count)
{
    static char names[COPIES_MAX][VENV_NAME_MAX + 32]; /* one verb a process */
    uint64_t number = 0;
    size_t done = 0;
    int code = EXIT_DONE;
    while (code == EXIT_DONE && (int64_t)done < count) {
        if (app_has(c->app, OPTION_NAME))
            (void)snprintf(names[done], sizeof names[done], "%s", c->app->value[OPTION_NAME]);
        else
            next_name(c, venv_environment_name(environment), &number, names[done], sizeof names[done]);
        code = start_one(c, environment, names[done]);
        done += code == EXIT_DONE;
    }
    if (app_has(c->app, OPTION_DRY_RUN) || done == 0)
        return code;
    int printed = print_started(c, names, done);
    return code == EXIT_DONE ? printed : code;
}

int connect_start(venvctl *app)
{
    int64_t count = 1;
    venv_environment *environment = NULL;
    if (app_has(app, OPTION_NODE))
        return app_usage(app, "with --connect there is one node: --node has no meaning");
    if (app_has(app, OPTION_NAME) && app_has(app, OPTION_COUNT))
        return app_usage(app, "--name is of one instance, --count of several: one of them");
    int code = app_number(app, OPTION_COUNT, 1, COPIES_MAX, &count);
    if (code == EXIT_DONE && count > 1 && app_has(app, OPTION_ID))
        code = app_usage(app, "--id is of one instance, --count of several: one of them");
    if (code == EXIT_DONE)
        code = read_definition(app, app->arguments[0], &environment);
    connection c = { .lock = -1 };
    if (code == EXIT_DONE)
        code = connection_open(app, !app_has(app, OPTION_DRY_RUN), &c);
    if (code == EXIT_DONE)
        code = start_all(&c, environment, count);
    connection_close(&c);
    venv_environment_unref(environment);
    return code;
}
