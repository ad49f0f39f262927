/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that change instances: start, stop, and those that keep them: pause, save, migrate and their like. */
#include "venvctl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_TIMEOUT_NS   (300 * VENV_NS_PER_S) /* with --wait and no --timeout */
#define ANSWER_MARGIN_NS  (10 * VENV_NS_PER_S)  /* the manager's word that the time is over takes a moment, too */
#define COUNT_MAX         10000

/* What both verbs read from the options. */
typedef struct wish {
    venv_id id;
    int64_t count;
    const char *wait;
    venv_span timeout;
    bool dry_run;
} wish;

static int read_change(venvctl *app, const char *state, wish *ret_change)
{
    wish read = { .dry_run = app_has(app, OPTION_DRY_RUN) };
    int code = app_number(app, OPTION_COUNT, 1, COUNT_MAX, &read.count);
    if (code == EXIT_DONE)
        code = app_id(app, OPTION_ID, &read.id);
    if (code != EXIT_DONE)
        return code;
    const char *wait = app->value[OPTION_WAIT];
    if (wait) {
        read.wait = wait[0] ? wait : state;
        read.timeout.ns = app->has_timeout ? app->timeout.ns : WAIT_TIMEOUT_NS;
    }
    *ret_change = read;
    return EXIT_DONE;
}

/* Connect, with time enough for what is waited for; make the id here, so that it can be shown. */
static int begin(venvctl *app, wish *change)
{
    venv_error err = { 0 };
    if (venv_id_is_none(change->id) && venv_client_make_id(&change->id, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = app_connect(app);
    if (code == EXIT_DONE && change->wait)
        venv_client_set_timeout(app->client, (venv_span){ change->timeout.ns + 2 * ANSWER_MARGIN_NS });
    return code;
}

static int print_answer(venvctl *app, const wish *change, const venv_value *answer, const char *did)
{
    if (app_has(app, OPTION_JSON)) {
        venv_error err = { 0 };
        venv_value whole = venv_value_null();
        venv_map_builder map;
        const venv_value *key, *value;
        venv_map_init(&map);
        for (size_t i = 0; venv_value_entry(answer, i, &key, &value); i++)
            if (!venv_value_is_text(key, "id") && !venv_value_is_text(key, "dry_run"))
                venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
        venv_map_put_id(&map, "id", change->id);
        if (change->dry_run)
            venv_map_put(&map, "dry_run", venv_value_bool(true));
        if (venv_map_take(&map, &whole, &err) != VENV_OK)
            return app_fail(app, &err);
        int code = print_json(app, &whole);
        venv_value_unref(&whole);
        return code;
    }
    if (app_has(app, OPTION_QUIET))
        return EXIT_DONE;
    const venv_value *items = venv_value_get(answer, "instances");
    if (!items || venv_value_count(items) == 0) {
        fprintf(app->out, "nothing to %s\n", did);
        return EXIT_DONE;
    }
    if (change->dry_run)
        fprintf(app->out, "would %s:\n", did);
    return print_instances(app, items);
}

/* What the manager tells beside a refusal: the instances as they are, or why each node was refused. */
static void print_detail(venvctl *app, const venv_value *detail)
{
    FILE *out = app->out;
    const char *json = app->value[OPTION_JSON];
    const venv_value *items = venv_value_get(detail, "instances");
    app->out = app->err;
    app->value[OPTION_JSON] = NULL;
    if (items && venv_value_count(items) > 0)
        (void)print_instances(app, items);
    else if (venv_value_count(detail) > 0)
        (void)print_value(app, detail);
    app->out = out;
    app->value[OPTION_JSON] = json;
}

/* A time-out of --wait is no failure of the change: it goes on. */
static int report(venvctl *app, const wish *change, const char *did, const venv_error *err)
{
    int code = app_fail(app, err);
    if (err->rc == VENV_ETIMEDOUT && change->wait)
        app_say(app, "the %s goes on; \"venvctl list instances\" shows how far it is", did);
    const venv_value *detail = venv_client_detail(app->client);
    if (detail && !app_has(app, OPTION_QUIET))
        print_detail(app, detail);
    return code;
}

int run_start(venvctl *app)
{
    wish change;
    int code = read_change(app, "running", &change);
    if (code == EXIT_DONE)
        code = begin(app, &change);
    if (code != EXIT_DONE)
        return code;
    venv_client_start_options options = {
        .id = change.id, .count = change.count, .node = app->value[OPTION_NODE],
        .wait = change.wait, .timeout = change.timeout, .dry_run = change.dry_run,
    };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    if (venv_client_start(app->client, app->arguments[0], &options, &answer, &err) != VENV_OK)
        return report(app, &change, "start", &err);
    code = print_answer(app, &change, &answer, "start");
    venv_value_unref(&answer);
    return code;
}

int run_stop(venvctl *app)
{
    wish change;
    const char *environment = app->value[OPTION_ENVIRONMENT];
    if ((app->argument_count == 1) == (environment != NULL))
        return app_usage(app, "name an instance, or an environment with --environment: one of them");
    if (app->argument_count == 1 && app_has(app, OPTION_COUNT))
        return app_usage(app, "--count goes with --environment");
    if (app_has(app, OPTION_FORCE) && app_has(app, OPTION_GRACE))
        return app_usage(app, "--force gives no time, --grace does: one of them");
    if (app_has(app, OPTION_FORCE) && app_has(app, OPTION_DRAIN))
        return app_usage(app, "--force does not wait until it is idle, --drain does: one of them");
    if (app_has(app, OPTION_ABANDON) && (app_has(app, OPTION_FORCE) || app_has(app, OPTION_DRAIN) || app_has(app, OPTION_WAIT)))
        return app_usage(app, "--abandon stops nothing: it goes without --force, --drain and --wait");
    int code = read_change(app, "stopped", &change);
    venv_client_stop_options options = {
        .instance = app->argument_count == 1 ? app->arguments[0] : NULL, .environment = environment,
        .force = app_has(app, OPTION_FORCE), .has_grace = app_has(app, OPTION_GRACE), .drain = app_has(app, OPTION_DRAIN),
        .abandon = app_has(app, OPTION_ABANDON),
    };
    if (code == EXIT_DONE && options.drain && app->value[OPTION_DRAIN][0])
        code = app_span(app, OPTION_DRAIN, &options.drain_timeout);
    if (code == EXIT_DONE)
        code = app_span(app, OPTION_GRACE, &options.grace);
    if (code == EXIT_DONE)
        code = begin(app, &change);
    if (code != EXIT_DONE)
        return code;
    options.id = change.id;
    options.count = change.count;
    options.wait = change.wait;
    options.timeout = change.timeout;
    options.dry_run = change.dry_run;
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    if (venv_client_stop(app->client, &options, &answer, &err) != VENV_OK)
        return report(app, &change, "stop", &err);
    code = print_answer(app, &change, &answer, options.abandon ? "abandon" : "stop");
    venv_value_unref(&answer);
    return code;
}

/* --- how far a migration is ------------------------------------------------------------------------------ */

static uint64_t number_of(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    return value && venv_value_kind(value) == VENV_UINT ? venv_value_peek_uint(value) : (uint64_t)venv_value_get_int(map, key, 0);
}

static void show_progress(venvctl *app, const char *instance)
{
    venv_value item = venv_value_null();
    char left[32], rate[32];
    if (venv_client_show(app->client, "instance", instance, &item, NULL) != VENV_OK)
        return;
    const venv_value *progress = venv_value_get(&item, "progress");
    uint64_t total = number_of(progress, "total"), done = number_of(progress, "left");
    if (total > 0)
        fprintf(app->err, "\r%s: %3u %%, %s left, %s/s, round %u \x1b[K", instance, (unsigned)((total - (done < total ? done : total)) * 100 / total),
                format_size(done, left, sizeof left), format_size(number_of(progress, "rate"), rate, sizeof rate),
                (unsigned)number_of(progress, "round"));
    fflush(app->err);
    venv_value_unref(&item);
}

/* Until the action is over; how it ended is asked for by whoever called, under the same id. */
static void watch(venvctl *app, const wish *change, const char *instance)
{
    char id[VENV_ID_TEXT_SIZE];
    venv_id_format(change->id, id);
    for (int64_t waited = 0; waited < change->timeout.ns; waited += VENV_NS_PER_S / 2) {
        venv_value action = venv_value_null();
        if (venv_client_show(app->client, "action", id, &action, NULL) != VENV_OK)
            break;
        const venv_value *state = venv_value_get(&action, "state");
        bool over = !venv_value_is_text(state, "pending") && !venv_value_is_text(state, "running");
        venv_value_unref(&action);
        if (over)
            break;
        show_progress(app, instance);
        nanosleep(&(struct timespec){ .tv_nsec = VENV_NS_PER_S / 2 }, NULL);
    }
    fprintf(app->err, "\r\x1b[K");
}

/* --- changes of instances that stay ones ------------------------------------------------------------------ */

static int read_move(venvctl *app, venv_client_instance_options *options)
{
    if (app_has(app, OPTION_TO) && app_has(app, OPTION_NODE))
        return app_usage(app, "--to and --node say the same: one of them");
    if (app_has(app, OPTION_FORCE) && app_has(app, OPTION_GRACE))
        return app_usage(app, "--force gives no time, --grace does: one of them");
    options->node = app_has(app, OPTION_TO) ? app->value[OPTION_TO] : app->value[OPTION_NODE];
    options->has_grace = app_has(app, OPTION_GRACE) || app_has(app, OPTION_FORCE);
    options->copy_disks = app_has(app, OPTION_COPY_DISKS);
    options->auto_converge = app_has(app, OPTION_AUTO_CONVERGE);
    if (strcmp(app->verb->name, "migrate") == 0 && app->has_timeout)
        options->limit = app->timeout;
    int code = app_span(app, OPTION_GRACE, &options->grace);
    return code == EXIT_DONE ? app_size(app, OPTION_BANDWIDTH, &options->bandwidth) : code;
}

/* pause, resume, save, restore, destroy, migrate and so on: the verb's own name is what the manager is asked for. */
int run_change(venvctl *app)
{
    static const struct {
        const char *verb, *state;
    } ends[] = { { "pause", "paused" }, { "save", "saved" }, { "destroy", "stopped" } }; /* others: running */
    wish change;
    const char *environment = app->value[OPTION_ENVIRONMENT], *verb = app->verb->name, *state = "running";
    if ((app->argument_count == 1) == (environment != NULL))
        return app_usage(app, "name an instance, or an environment with --environment: one of them");
    if (app->argument_count == 1 && app_has(app, OPTION_COUNT))
        return app_usage(app, "--count goes with --environment");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(ends[i].verb, verb) == 0)
            state = ends[i].state;
    venv_client_instance_options options = { .instance = app->argument_count == 1 ? app->arguments[0] : NULL, .environment = environment };
    int code = read_change(app, state, &change);
    if (code == EXIT_DONE)
        code = read_move(app, &options);
    if (code == EXIT_DONE)
        code = begin(app, &change);
    if (code != EXIT_DONE)
        return code;
    if (options.limit.ns > 0 && change.wait)
        change.timeout.ns += ANSWER_MARGIN_NS; /* that it was not over in its time is an answer, too */
    options.id = change.id;
    options.count = change.count;
    options.wait = change.wait;
    options.timeout = change.timeout;
    options.dry_run = change.dry_run;
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    bool shows = strcmp(verb, "migrate") == 0 && change.wait && options.instance && !change.dry_run && isatty(fileno(app->err)) &&
                 !app_has(app, OPTION_QUIET);
    if (shows) {
        options.wait = NULL;
        if (venv_client_change(app->client, verb, &options, &answer, &err) != VENV_OK)
            return report(app, &change, verb, &err);
        venv_value_unref(&answer);
        answer = venv_value_null();
        watch(app, &change, options.instance);
        options.wait = change.wait;
    }
    if (venv_client_change(app->client, verb, &options, &answer, &err) != VENV_OK)
        return report(app, &change, verb, &err);
    code = print_answer(app, &change, &answer, verb);
    venv_value_unref(&answer);
    return code;
}
