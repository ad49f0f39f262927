/* SPDX-License-Identifier: Apache-2.0 */
/* A hypervisor for the length of one verb, and what is on it: status, list, show. Nothing here changes a machine. */
#include "connect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *cluster_of(const venvctl *app)
{
    return app_has(app, OPTION_CLUSTER) ? app->value[OPTION_CLUSTER] : "default";
}

int connection_open(venvctl *app, bool changes, connection *ret_connection)
{
    connection *c = ret_connection;
    *c = (connection){ .app = app, .lock = -1, .timeout = { app->has_timeout ? app->timeout.ns : CONNECT_TIMEOUT_NS } };
    const char *uri = app->value[OPTION_CONNECT];
    if (changes) {
        int code = lock_take(app, uri, cluster_of(app), c->timeout, &c->lock);
        if (code != EXIT_DONE)
            return code;
    }
    venv_error err = { 0 };
    venv_hypervisor_options options = VENV_HYPERVISOR_OPTIONS_INIT;
    options.cluster = cluster_of(app);
    venv_rc rc = venv_hypervisor_open(uri, &options, &c->hypervisor, &err);
    if (rc != VENV_OK) {
        int code = app_fail(app, &err);
        return rc == VENV_EINVAL || rc == VENV_EUNSUPPORTED ? EXIT_USAGE : code;
    }
    return connection_look(c);
}

void connection_close(connection *c)
{
    venv_machine_list_fini(&c->list);
    venv_hypervisor_close(c->hypervisor);
    if (c->lock >= 0)
        (void)close(c->lock);
    *c = (connection){ .lock = -1 };
}

int connection_look(connection *c)
{
    venv_error err = { 0 };
    venv_machine_list list = { 0 };
    if (venv_hypervisor_list(c->hypervisor, &list, &err) != VENV_OK)
        return app_fail(c->app, &err);
    venv_machine_list_fini(&c->list);
    c->list = list;
    return EXIT_DONE;
}

const venv_machine_info *connection_find(const connection *c, const char *instance)
{
    for (size_t i = 0; i < c->list.count; i++)
        if (strcmp(c->list.items[i].instance, instance) == 0)
            return &c->list.items[i];
    return NULL;
}

static venv_rc row_of(const venv_machine_info *info, venv_value *ret_row, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", info->instance);
    venv_map_put_id(&map, "id", info->id);
    venv_map_put_z(&map, "environment", info->environment);
    venv_map_put_z(&map, "state", venv_machine_state_name(info->state));
    venv_map_put(&map, "epoch", venv_value_int((int64_t)info->epoch));
    venv_map_put(&map, "vcpus", venv_value_int(info->vcpus));
    venv_map_put(&map, "memory", venv_value_int((int64_t)info->memory_bytes));
    if (info->reason[0])
        venv_map_put_z(&map, "reason", info->reason);
    if (info->console[0])
        venv_map_put_z(&map, "console", info->console);
    return venv_map_take(&map, ret_row, err);
}

static const column machine_columns[] = {
    { "NAME", "name", CELL_TEXT },    { "ENVIRONMENT", "environment", CELL_TEXT }, { "STATE", "state", CELL_TEXT },
    { "VCPUS", "vcpus", CELL_NUMBER }, { "MEMORY", "memory", CELL_SIZE },          { "REASON", "reason", CELL_TEXT },
};

/* `*ret_items`: a list of rows. */
static int rows_of(connection *c, const bool *wanted, venv_value *ret_items)
{
    venv_error err = { 0 };
    venv_list_builder items;
    venv_list_init(&items);
    for (size_t i = 0; i < c->list.count; i++) {
        venv_value row = venv_value_null();
        if ((wanted && !wanted[i]) || row_of(&c->list.items[i], &row, &err) != VENV_OK)
            continue;
        venv_list_add(&items, row);
    }
    venv_rc rc = venv_list_take(&items, ret_items, &err);
    if (rc == VENV_OK && err.rc == VENV_OK)
        return EXIT_DONE;
    venv_value_unref(ret_items);
    return app_fail(c->app, &err);
}

/* What a verb has done, as the manager's verbs print it: an object with `instances`, or columns. */
int print_machines(connection *c, const bool *wanted, bool dry_run)
{
    venvctl *app = c->app;
    if (app_has(app, OPTION_QUIET) && !app_has(app, OPTION_JSON))
        return EXIT_DONE;
    venv_value items = venv_value_null();
    int code = rows_of(c, wanted, &items);
    if (code != EXIT_DONE)
        return code;
    if (!app_has(app, OPTION_JSON)) {
        code = print_items(app, &items, machine_columns, sizeof machine_columns / sizeof machine_columns[0]);
        venv_value_unref(&items);
        return code;
    }
    venv_error err = { 0 };
    venv_map_builder map;
    venv_value whole = venv_value_null();
    venv_map_init(&map);
    if (dry_run)
        venv_map_put(&map, "dry_run", venv_value_bool(true));
    venv_map_put(&map, "instances", items);
    if (venv_map_take(&map, &whole, &err) != VENV_OK)
        return app_fail(app, &err);
    code = print_json(app, &whole);
    venv_value_unref(&whole);
    return code;
}

/* --- verbs that only look ------------------------------------------------------------------------------ */

static bool is_instances(const char *word)
{
    return strcmp(word, "instances") == 0 || strcmp(word, "instance") == 0;
}

int connect_list(venvctl *app)
{
    if (!is_instances(app->arguments[0]))
        return app_usage(app, "with --connect there are instances, and no %s: those are of a manager", app->arguments[0]);
    connection c;
    venv_value items = venv_value_null();
    int code = connection_open(app, false, &c);
    if (code == EXIT_DONE)
        code = rows_of(&c, NULL, &items);
    if (code == EXIT_DONE)
        code = print_items(app, &items, machine_columns, sizeof machine_columns / sizeof machine_columns[0]);
    venv_value_unref(&items);
    connection_close(&c);
    return code;
}

int connect_show(venvctl *app)
{
    if (!is_instances(app->arguments[0]))
        return app_usage(app, "with --connect there are instances, and no %s: those are of a manager", app->arguments[0]);
    connection c;
    int code = connection_open(app, false, &c);
    const venv_machine_info *info = code == EXIT_DONE ? connection_find(&c, app->arguments[1]) : NULL;
    if (code == EXIT_DONE && !info) {
        app_say(app, "there is no instance \"%s\" on %s", app->arguments[1], app->value[OPTION_CONNECT]);
        code = EXIT_NOT_FOUND;
    } else if (code == EXIT_DONE) {
        venv_error err = { 0 };
        venv_value row = venv_value_null();
        code = row_of(info, &row, &err) == VENV_OK ? print_value(app, &row) : app_fail(app, &err);
        venv_value_unref(&row);
    }
    connection_close(&c);
    return code;
}

static int status_value(connection *c, venv_value *ret_value)
{
    venv_error err = { 0 };
    venv_hypervisor_info info;
    venv_map_builder map;
    if (venv_hypervisor_info_get(c->hypervisor, &info, &err) != VENV_OK)
        return app_fail(c->app, &err);
    int64_t running = 0;
    for (size_t i = 0; i < c->list.count; i++)
        running += c->list.items[i].state == VENV_MACHINE_RUNNING;
    venv_map_init(&map);
    venv_map_put_z(&map, "hypervisor", info.driver);
    venv_map_put_z(&map, "version", info.version);
    venv_map_put_z(&map, "host", info.hostname);
    venv_map_put(&map, "cpus", venv_value_int(info.cpus));
    venv_map_put(&map, "memory", venv_value_int((int64_t)info.memory_bytes));
    venv_map_put(&map, "memory_free", venv_value_int((int64_t)info.memory_free_bytes));
    venv_map_put(&map, "instances", venv_value_int((int64_t)c->list.count));
    venv_map_put(&map, "running", venv_value_int(running));
    venv_map_put(&map, "foreign", venv_value_int(c->list.foreign_count));
    return venv_map_take(&map, ret_value, &err) == VENV_OK ? EXIT_DONE : app_fail(c->app, &err);
}

int connect_status(venvctl *app)
{
    connection c;
    venv_value status = venv_value_null();
    int code = connection_open(app, false, &c);
    if (code == EXIT_DONE)
        code = status_value(&c, &status);
    if (code == EXIT_DONE && (app_has(app, OPTION_JSON) || !app_has(app, OPTION_QUIET)))
        code = print_value(app, &status);
    venv_value_unref(&status);
    connection_close(&c);
    return code;
}
