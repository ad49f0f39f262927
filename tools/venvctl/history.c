/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs history: what a property was and when, from a manager or its files; and accept-rollback. */
#include "venvctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <venv/history.h>

#define SINCE_NS (INT64_C(3600) * VENV_NS_PER_S)
#define PAGE     5000

typedef struct looking {
    venvctl *app;
    venv_wall from, to;
    size_t count;
} looking;

static void print_row(looking *x, const venv_value *item)
{
    venvctl *app = x->app;
    venv_wall time = { 0 };
    char when[VENV_WALL_TEXT_SIZE] = "-";
    const venv_value *stamp = venv_value_get(item, "time"), *value = venv_value_get(item, "value");
    static const venv_value nothing;
    if (app_has(app, OPTION_JSON)) {
        (void)print_json_part(app, x->count++ == 0 ? "[\n  " : ",\n  ", item, "");
        return;
    }
    x->count++;
    if (stamp && venv_value_to_wall(stamp, &time))
        (void)venv_wall_format(time, when);
    venv_str quality = venv_value_get_text(item, "quality");
    if (app_has(app, OPTION_QUIET)) {
        print_scalar(app, app->out, value ? value : &nothing);
        fputc('\n', app->out);
        return;
    }
    fprintf(app->out, "%-24s  ", when);
    print_scalar(app, app->out, value ? value : &nothing);
    if (quality.size != 2 || memcmp(quality.data, "ok", 2) != 0) {
        fputs("  (", app->out);
        print_safe(app->out, quality);
        fputc(')', app->out);
    }
    fputs(venv_value_get_bool(item, "before", false) ? "  before\n" : "\n", app->out);
}

/* --- from files ----------------------------------------------------------------------------------------- */

static bool take_sample(void *user, const venv_history_sample *sample)
{
    venv_map_builder map;
    venv_value item = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, "kind", venv_history_kind_name(sample->kind));
    venv_map_put_z(&map, "subject", sample->subject);
    venv_map_put_z(&map, "label", sample->label);
    venv_map_put(&map, "time", venv_value_from_wall(sample->time));
    venv_map_put_z(&map, "quality", venv_quality_name(sample->quality));
    venv_map_put(&map, "value", venv_value_ref(sample->value));
    if (sample->before)
        venv_map_put(&map, "before", venv_value_bool(true));
    if (venv_map_take(&map, &item, NULL) != VENV_OK)
        return false;
    print_row(user, &item);
    venv_value_unref(&item);
    return true;
}

static int read_folder(looking *x)
{
    venvctl *app = x->app;
    venv_history *history = NULL;
    venv_error err = { 0 };
    venv_history_query query = { x->from, x->to, app->arguments[1], app->arguments[0], true };
    venv_rc rc = venv_history_open(app->value[OPTION_STATE], &history, &err);
    if (rc == VENV_OK)
        rc = venv_history_read(history, &query, take_sample, x, &err);
    if (rc == VENV_OK && venv_history_damaged(history) > 0)
        app_say(app, "%" PRIu64 " bytes of the history are damaged and were left out", venv_history_damaged(history));
    venv_history_close(history);
    return rc == VENV_OK ? EXIT_DONE : app_fail(app, &err);
}

/* --- from a manager --------------------------------------------------------------------------------------- */

static venv_rc ask_page(looking *x, const venv_value *next, venv_value *ret_answer, venv_error *err)
{
    venv_value body = venv_value_null();
    venv_map_builder map;
    const venv_value *key, *value;
    venv_map_init(&map);
    for (size_t i = 0; next && venv_value_entry(next, i, &key, &value); i++)
        venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    if (!next) {
        venv_map_put(&map, "since", venv_value_from_wall(x->from));
        venv_map_put(&map, "state", venv_value_bool(true));
    }
    venv_map_put_z(&map, "label", x->app->arguments[0]);
    venv_map_put_z(&map, "target", x->app->arguments[1]);
    venv_map_put(&map, "until", venv_value_from_wall(x->to));
    venv_map_put(&map, "limit", venv_value_int(PAGE));
    venv_rc rc = venv_map_take(&map, &body, err);
    if (rc == VENV_OK)
        rc = venv_client_request(x->app->client, VENV_CLIENT_HISTORY, &body, ret_answer, err);
    venv_value_unref(&body);
    return rc;
}

static int read_manager(looking *x)
{
    venv_error err = { 0 };
    venv_value next = venv_value_null();
    int code = app_connect(x->app);
    for (bool more = true, first = true; code == EXIT_DONE && more; first = false) {
        venv_value answer = venv_value_null();
        if (ask_page(x, first ? NULL : &next, &answer, &err) != VENV_OK)
            code = app_fail(x->app, &err);
        const venv_value *items = venv_value_get(&answer, "items"), *following = venv_value_get(&answer, "next");
        for (size_t i = 0; i < venv_value_count(items); i++)
            print_row(x, venv_value_at(items, i));
        venv_value_unref(&next);
        more = following != NULL;
        if (more)
            next = venv_value_ref(following);
        venv_value_unref(&answer);
    }
    venv_value_unref(&next);
    return code;
}

int run_history(venvctl *app)
{
    looking x = { .app = app };
    int code = app_moment(app, OPTION_SINCE, (venv_wall){ app->now.ns - SINCE_NS }, &x.from);
    if (code == EXIT_DONE)
        code = app_moment(app, OPTION_UNTIL, app->now, &x.to);
    if (code == EXIT_DONE && x.to.ns <= x.from.ns)
        return app_usage(app, "the time that is asked for ends before it begins");
    if (code == EXIT_DONE)
        code = app_has(app, OPTION_STATE) ? read_folder(&x) : read_manager(&x);
    if (code == EXIT_DONE && app_has(app, OPTION_JSON))
        fputs(x.count == 0 ? "[]\n" : "\n]\n", app->out);
    if (code != EXIT_DONE || x.count > 0)
        return code;
    app_say(app, "there is no sample of %s on %s in this time", app->arguments[0], app->arguments[1]);
    return EXIT_NOT_FOUND;
}

/* --- accept-rollback ---------------------------------------------------------------------------------------- */

int run_accept_rollback(venvctl *app)
{
    venv_error err = { 0 };
    venv_map_builder map;
    venv_value body = venv_value_null(), answer = venv_value_null();
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_map_init(&map);
    venv_rc rc = venv_map_take(&map, &body, &err);
    if (rc == VENV_OK)
        rc = venv_client_request(app->client, VENV_CLIENT_ACCEPT_ROLLBACK, &body, &answer, &err);
    venv_value_unref(&body);
    if (rc != VENV_OK)
        return app_fail(app, &err);
    if (app_has(app, OPTION_JSON))
        code = print_json(app, &answer);
    else if (!app_has(app, OPTION_QUIET))
        fprintf(app->out, "accepted; the state goes on from revision %" PRId64 "\n", venv_value_get_int(&answer, "revision", 0));
    venv_value_unref(&answer);
    return code;
}
