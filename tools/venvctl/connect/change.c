/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs that change machines which are there: one row each. What is done already is done: it may be asked for again, by a cron job
 * as well as by a person.
 */
#include "connect.h"

#include <stdlib.h>
#include <string.h>

typedef struct order {
    venv_hypervisor *hypervisor;
    venv_id id;
    uint64_t epoch;
    venv_span grace;
    const char *uri; /* migrate */
    venv_migrate_options migrate;
} order;

static venv_rc do_stop(const order *o, venv_error *err)
{
    return venv_machine_stop(o->hypervisor, o->id, o->grace, err);
}
static venv_rc do_destroy(const order *o, venv_error *err)
{
    return venv_machine_destroy(o->hypervisor, o->id, err);
}
static venv_rc do_pause(const order *o, venv_error *err)
{
    return venv_machine_pause(o->hypervisor, o->id, err);
}
static venv_rc do_resume(const order *o, venv_error *err)
{
    return venv_machine_resume(o->hypervisor, o->id, err);
}
static venv_rc do_save(const order *o, venv_error *err)
{
    return venv_machine_save(o->hypervisor, o->id, err);
}
static venv_rc do_restore(const order *o, venv_error *err)
{
    return venv_machine_restore(o->hypervisor, o->id, err);
}
static venv_rc do_reboot(const order *o, venv_error *err)
{
    return venv_machine_reboot(o->hypervisor, o->id, o->grace, err);
}
static venv_rc do_migrate(const order *o, venv_error *err)
{
    return venv_machine_migrate(o->hypervisor, o->id, o->uri, o->epoch + 1, &o->migrate, err);
}

/* `from`: states in which there is something to do, for --environment; the rest is passed over. */
#define IN(state) (1u << VENV_MACHINE_##state)
static const struct row {
    const char *verb;
    venv_rc (*run)(const order *o, venv_error *err);
    unsigned from;
    bool gone_is_done; /* that there is none of that name is what was wanted */
} rows[] = {
    { "stop", do_stop, ~0u, true },
    { "destroy", do_destroy, ~0u, true },
    { "pause", do_pause, IN(RUNNING), false },
    { "resume", do_resume, IN(PAUSED), false },
    { "save", do_save, IN(RUNNING) | IN(PAUSED), false },
    { "restore", do_restore, IN(SAVED), false },
    { "reboot", do_reboot, IN(RUNNING), false },
    { "migrate", do_migrate, IN(RUNNING) | IN(PAUSED) | IN(SAVED), false },
};

static const struct row *row_of(const char *verb)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].verb, verb) == 0)
            return &rows[i];
    return NULL;
}

/* Which of the list are meant. EXIT_DONE and `*ret_any`, or reports. */
static int choose(connection *c, const struct row *row, bool *wanted, bool *ret_any)
{
    venvctl *app = c->app;
    int64_t count = INT64_MAX;
    const char *environment = app->value[OPTION_ENVIRONMENT];
    *ret_any = false;
    if (!environment) {
        const venv_machine_info *info = connection_find(c, app->arguments[0]);
        if (info) {
            wanted[info - c->list.items] = *ret_any = true;
            return EXIT_DONE;
        }
        if (!row->gone_is_done || !app_has(app, OPTION_QUIET))
            app_say(app, "there is no instance \"%s\" on %s", app->arguments[0], app->value[OPTION_CONNECT]);
        return row->gone_is_done ? EXIT_DONE : EXIT_NOT_FOUND;
    }
    int code = app_number(app, OPTION_COUNT, 1, VENV_MACHINES_MAX, &count);
    for (size_t i = 0; code == EXIT_DONE && count > 0 && i < c->list.count; i++) {
        if (strcmp(c->list.items[i].environment, environment) != 0 || (row->from & 1u << c->list.items[i].state) == 0)
            continue;
        wanted[i] = *ret_any = true;
        count--;
    }
    return code;
}

static int read_order(connection *c, order *o)
{
    venvctl *app = c->app;
    *o = (order){ .hypervisor = c->hypervisor, .grace = c->timeout, .uri = app->value[OPTION_TO], .migrate = VENV_MIGRATE_OPTIONS_INIT };
    if (app->has_timeout)
        o->migrate.timeout = app->timeout;
    if (app_has(app, OPTION_FORCE))
        o->grace = (venv_span){ 0 };
    return app_span(app, OPTION_GRACE, &o->grace);
}

/* Look at it again: what it has become is what is printed. */
static void look_again(connection *c, venv_machine_info *info)
{
    venv_error err = { 0 };
    venv_rc rc = venv_machine_get(c->hypervisor, info->id, info, &err);
    if (rc == VENV_ENOENT || rc == VENV_EDENIED) {
        info->state = VENV_MACHINE_STOPPED;
        (void)snprintf(info->reason, sizeof info->reason, "it is no longer there");
    }
}

static int carry_out(connection *c, const struct row *row, const bool *wanted)
{
    order o;
    int code = read_order(c, &o);
    if (code != EXIT_DONE)
        return code;
    for (size_t i = 0; i < c->list.count; i++) {
        venv_machine_info *info = &c->list.items[i];
        venv_error err = { 0 };
        if (!wanted[i])
            continue;
        o.id = info->id;
        o.epoch = info->epoch;
        if (row->run(&o, &err) != VENV_OK) {
            app_say(c->app, "%s %s: %s", row->verb, info->instance, err.text);
            code = code == EXIT_DONE || code == exit_code_of(err.rc) ? exit_code_of(err.rc) : EXIT_FAILED;
        }
        look_again(c, info);
    }
    return code;
}

static int usage(venvctl *app)
{
    bool one = app->argument_count == 1;
    if (one == app_has(app, OPTION_ENVIRONMENT))
        return app_usage(app, "name an instance, or an environment with --environment: one of them");
    if (one && app_has(app, OPTION_COUNT))
        return app_usage(app, "--count goes with --environment");
    if (app_has(app, OPTION_FORCE) && app_has(app, OPTION_GRACE))
        return app_usage(app, "--force gives no time, --grace does: one of them");
    if (strcmp(app->verb->name, "migrate") == 0 && !app_has(app, OPTION_TO))
        return app_usage(app, "with --connect, migrate needs --to URI: the other hypervisor, as this one reaches it");
    return EXIT_DONE;
}

int connect_change(venvctl *app)
{
    const struct row *row = row_of(app->verb->name);
    int code = row ? usage(app) : app_usage(app, "--connect cannot %s", app->verb->name);
    if (code != EXIT_DONE)
        return code;
    connection c;
    bool any = false, dry = app_has(app, OPTION_DRY_RUN), *wanted = NULL;
    code = connection_open(app, !dry, &c);
    if (code == EXIT_DONE) {
        wanted = calloc(c.list.count + 1, sizeof *wanted);
        if (!wanted) {
            app_say(app, "out of memory");
            code = EXIT_FAILED;
        }
    }
    if (code == EXIT_DONE)
        code = choose(&c, row, wanted, &any);
    if (code == EXIT_DONE && any && !dry)
        code = carry_out(&c, row, wanted);
    if (any) {
        int printed = print_machines(&c, wanted, dry);
        code = code == EXIT_DONE ? printed : code;
    } else if (code == EXIT_DONE && app_has(app, OPTION_ENVIRONMENT) && !app_has(app, OPTION_QUIET) && !app_has(app, OPTION_JSON)) {
        fprintf(app->out, "nothing to %s\n", row->verb);
    }
    free(wanted);
    connection_close(&c);
    return code;
}
