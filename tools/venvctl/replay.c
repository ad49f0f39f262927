/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb trigger replay: the history, page by page out of a manager or out of the folder of its state, through
 * venv/replay.h; then what did fire, out of the log of events; then both beside each other.
 */
#include "venvctl.h"

#include <venv/history.h>
#include <venv/replay.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX  10000 /* of what would have happened, and of what did */
#define PAGE      5000
#define SAME_NS   (2 * VENV_NS_PER_S) /* a firing that would be and one that was are the same within this time */
#define SINCE_NS  (INT64_C(7) * 86400 * VENV_NS_PER_S)

typedef struct rows {
    venv_value items[ROWS_MAX];
    size_t count, left_out;
} rows;

typedef struct job {
    venvctl *app;
    venv_replay *replay;
    venv_wall from, to;
    rows would, did;
    bool any;            /* sample came */
    venv_wall begins;    /* the history does, if that is after `from`; else 0 */
    bool trimmed;        /* the log of events does not go back to `from` … */
    venv_wall kept_from; /* … but to here; 0: nothing is left of it */
    venv_error err;
    bool failed;
} job;

static void keep(rows *r, const venv_value *value)
{
    if (r->count == ROWS_MAX)
        r->left_out++;
    else
        r->items[r->count++] = venv_value_ref(value);
}

static void take_report(void *user, const venv_value *report)
{
    keep(&((job *)user)->would, report);
}

/* --- when ---------------------------------------------------------------------------------------------------- */

/* --- the history ----------------------------------------------------------------------------------------------- */

static bool take_sample(void *user, const venv_history_sample *sample)
{
    job *j = user;
    if (!j->any && !sample->before)
        j->begins = sample->time;
    j->any = true;
    j->failed = venv_replay_sample(j->replay, sample, &j->err) != VENV_OK;
    return !j->failed;
}

static int read_folder(job *j, const char *folder)
{
    venv_history *history = NULL;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    query.from = j->from;
    query.to = j->to;
    venv_rc rc = venv_history_open(folder, &history, &j->err);
    if (rc == VENV_OK)
        rc = venv_history_read(history, &query, take_sample, j, &j->err);
    if (rc == VENV_OK && venv_history_damaged(history) > 0)
        app_say(j->app, "%" PRIu64 " bytes of the history are damaged and were left out", venv_history_damaged(history));
    venv_history_close(history);
    return rc == VENV_OK && !j->failed ? EXIT_DONE : app_fail(j->app, &j->err);
}

static bool copy_name(const venv_value *item, const char *key, char to[VENV_HISTORY_TEXT_MAX + 1])
{
    venv_str text = venv_value_get_text(item, key);
    if (text.size > VENV_HISTORY_TEXT_MAX)
        return false;
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    to[text.size] = '\0';
    return true;
}

static bool take_item(job *j, const venv_value *item)
{
    static const venv_value nothing;
    char subject[VENV_HISTORY_TEXT_MAX + 1], label[VENV_HISTORY_TEXT_MAX + 1];
    const venv_value *time = venv_value_get(item, "time"), *value = venv_value_get(item, "value");
    venv_history_sample sample = { .subject = subject, .label = label, .value = value ? value : &nothing,
                                   .before = venv_value_get_bool(item, "before", false) };
    venv_str quality = venv_value_get_text(item, "quality");
    while (sample.quality < VENV_QUALITY__COUNT && (strlen(venv_quality_name(sample.quality)) != quality.size ||
                                                    memcmp(venv_quality_name(sample.quality), quality.data, quality.size) != 0))
        sample.quality++;
    if (!venv_history_kind_parse(venv_value_get_text(item, "kind"), &sample.kind) || !time || !venv_value_to_wall(time, &sample.time) ||
        sample.quality == VENV_QUALITY__COUNT || !copy_name(item, "subject", subject) || !copy_name(item, "label", label))
        return true; /* of a later version: passed over */
    return take_sample(j, &sample);
}

static venv_rc ask_page(job *j, const venv_value *next, venv_value *ret_answer)
{
    venv_value body = venv_value_null();
    venv_map_builder map;
    const venv_value *key, *value;
    venv_map_init(&map);
    for (size_t i = 0; next && venv_value_entry(next, i, &key, &value); i++)
        venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    if (!next) {
        venv_map_put(&map, "since", venv_value_from_wall(j->from));
        venv_map_put(&map, "state", venv_value_bool(true));
    }
    venv_map_put(&map, "until", venv_value_from_wall(j->to));
    venv_map_put(&map, "limit", venv_value_int(PAGE));
    venv_rc rc = venv_map_take(&map, &body, &j->err);
    if (rc == VENV_OK)
        rc = venv_client_request(j->app->client, VENV_CLIENT_HISTORY, &body, ret_answer, &j->err);
    venv_value_unref(&body);
    return rc;
}

static int read_pages(job *j)
{
    venv_value next = venv_value_null();
    bool more = true, first = true;
    while (more) {
        venv_value answer = venv_value_null();
        if (ask_page(j, first ? NULL : &next, &answer) != VENV_OK) {
            venv_value_unref(&next);
            return app_fail(j->app, &j->err);
        }
        venv_value_unref(&next);
        first = false;
        const venv_value *items = venv_value_get(&answer, "items"), *following = venv_value_get(&answer, "next");
        for (size_t i = 0; i < venv_value_count(items) && !j->failed; i++)
            (void)take_item(j, venv_value_at(items, i));
        more = following && !j->failed;
        if (more)
            next = venv_value_ref(following);
        venv_value_unref(&answer);
    }
    venv_value_unref(&next);
    return j->failed ? app_fail(j->app, &j->err) : EXIT_DONE;
}

/* --- what did happen -------------------------------------------------------------------------------------------- */

static venv_value did_row(const venv_value *event)
{
    static const char *const keys[] = { "time", "text" };
    venv_value row = venv_value_null();
    venv_map_builder map;
    venv_str kind = venv_value_get_text(event, "kind");
    const venv_value *subject = venv_value_get(event, "subject"), *unit = venv_value_get(venv_value_get(venv_value_get(event, "detail"), "why"), "unit");
    venv_map_init(&map);
    for (size_t i = 0; i < 2; i++)
        if (venv_value_get(event, keys[i]))
            venv_map_put(&map, keys[i], venv_value_ref(venv_value_get(event, keys[i])));
    venv_map_put_text(&map, "kind", kind.data + 8, kind.size - 8); /* behind "trigger-" */
    if (subject)
        venv_map_put(&map, "trigger", venv_value_ref(subject));
    venv_map_put(&map, "unit", unit ? venv_value_ref(unit) : venv_value_literal(""));
    if (venv_map_take(&map, &row, NULL) != VENV_OK)
        return venv_value_null();
    return row;
}

/* Of some of the time nobody knows any more what did happen: to be told, or it looks as if nothing had. */
static bool is_cut(const job *j)
{
    return j->trimmed && (j->kept_from.ns == 0 || j->kept_from.ns > j->from.ns);
}

/* What stands beside what would have been. */
static bool is_firing(const venv_value *kind)
{
    static const char *const kinds[] = { "trigger-fired", "trigger-proposed", "trigger-observed", "trigger-recovered" };
    for (size_t i = 0; kind && i < sizeof kinds / sizeof kinds[0]; i++)
        if (venv_value_is_text(kind, kinds[i]))
            return true;
    return false;
}

static int read_events(job *j)
{
    if (venv_client_events(j->app->client, 0, 0, false, &j->err) != VENV_OK)
        return app_fail(j->app, &j->err);
    for (;;) {
        venv_value event = venv_value_null();
        venv_wall time;
        venv_rc rc = venv_client_next_event(j->app->client, VENV_CLIENT_REQUEST_TIMEOUT, &event, &j->err);
        if (rc == VENV_ENOENT)
            return EXIT_DONE;
        if (rc != VENV_OK)
            return app_fail(j->app, &j->err);
        const venv_value *stamp = venv_value_get(&event, "time"), *kind = venv_value_get(&event, "kind");
        if (kind && venv_value_is_text(kind, "resync"))
            j->trimmed = true;
        else if (j->trimmed && j->kept_from.ns == 0 && stamp)
            (void)venv_value_to_wall(stamp, &j->kept_from);
        if (is_firing(kind) && stamp && venv_value_to_wall(stamp, &time) && time.ns > j->from.ns && time.ns <= j->to.ns) {
            venv_value row = did_row(&event);
            keep(&j->did, &row);
            venv_value_unref(&row);
        }
        venv_value_unref(&event);
    }
}

/* --- beside each other ------------------------------------------------------------------------------------------- */

static int64_t time_of(const venv_value *row)
{
    venv_wall wall = { 0 };
    const venv_value *time = venv_value_get(row, "time");
    if (time)
        (void)venv_value_to_wall(time, &wall);
    return wall.ns;
}

static bool same_text(const venv_value *a, const venv_value *b, const char *key)
{
    venv_str x = venv_value_get_text(a, key), y = venv_value_get_text(b, key);
    return x.size == y.size && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0);
}

static bool is_same(const venv_value *would, const venv_value *did)
{
    int64_t apart = time_of(would) - time_of(did);
    return same_text(would, did, "trigger") && same_text(would, did, "unit") && same_text(would, did, "kind") && apart <= SAME_NS &&
           apart >= -SAME_NS;
}

/* "start class2 ×2; log" */
static void summarise_orders(const venv_value *orders, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < venv_value_count(orders) && at + 1 < size; i++) {
        const venv_value *order = venv_value_at(orders, i), *arguments = venv_value_get(order, "arguments");
        venv_str verb = venv_value_get_text(order, "verb"), what = venv_value_get_text(arguments, "environment");
        int64_t count = venv_value_get_int(arguments, "count", 1);
        if (what.size == 0)
            what = venv_value_get_text(arguments, "instance");
        if (what.size == 0)
            what = venv_value_get_text(arguments, "target");
        at += (size_t)snprintf(text + at, size - at, "%s%.*s%s%.*s", i > 0 ? "; " : "", (int)verb.size, verb.data, what.size > 0 ? " " : "",
                               (int)what.size, what.size > 0 ? what.data : "");
        if (count != 1 && at < size)
            at += (size_t)snprintf(text + at, size - at, " \xc3\x97%" PRId64, count);
    }
}

static venv_value table_row(const venv_value *would, const venv_value *did)
{
    const venv_value *any = would ? would : did;
    char actions[160] = "";
    venv_value row = venv_value_null();
    venv_map_builder map;
    venv_map_init(&map);
    static const char *const keys[] = { "time", "trigger", "text" };
    for (size_t i = 0; i < 3; i++)
        if (venv_value_get(any, keys[i]))
            venv_map_put(&map, keys[i], venv_value_ref(venv_value_get(any, keys[i])));
    if (venv_value_get_text(any, "unit").size > 0)
        venv_map_put(&map, "unit", venv_value_ref(venv_value_get(any, "unit")));
    if (would)
        venv_map_put(&map, "would", venv_value_ref(venv_value_get(would, "kind")));
    if (did)
        venv_map_put(&map, "did", venv_value_ref(venv_value_get(did, "kind")));
    summarise_orders(would ? venv_value_get(would, "orders") : NULL, actions, sizeof actions);
    if (actions[0])
        venv_map_put_z(&map, "actions", actions);
    if (venv_map_take(&map, &row, NULL) != VENV_OK)
        return venv_value_null();
    return row;
}

typedef struct placed {
    venv_value row;
    int64_t time;
    size_t at;
} placed;

static int compare_placed(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    return x->time != y->time ? (x->time < y->time ? -1 : 1) : x->at < y->at ? -1 : 1;
}

/* One list in the order of time: what both have stands once. */
static venv_rc merge(job *j, venv_value *ret_list)
{
    venv_list_builder list;
    bool *taken = calloc(j->did.count + 1, sizeof *taken);
    placed *all = calloc(j->would.count + j->did.count + 1, sizeof *all);
    size_t count = 0, first = 0;
    if (!taken || !all) {
        free(taken);
        free(all);
        return venv_error_set(&j->err, VENV_ENOMEM, "out of memory");
    }
    for (size_t w = 0; w < j->would.count; w++) {
        const venv_value *would = &j->would.items[w], *found = NULL;
        while (first < j->did.count && time_of(&j->did.items[first]) < time_of(would) - SAME_NS)
            first++;
        for (size_t k = first; k < j->did.count && !found && time_of(&j->did.items[k]) <= time_of(would) + SAME_NS; k++)
            if (!taken[k] && is_same(would, &j->did.items[k])) {
                taken[k] = true;
                found = &j->did.items[k];
            }
        all[count] = (placed){ table_row(would, found), time_of(would), count };
        count++;
    }
    for (size_t d = 0; d < j->did.count; d++)
        if (!taken[d]) {
            all[count] = (placed){ table_row(NULL, &j->did.items[d]), time_of(&j->did.items[d]), count };
            count++;
        }
    qsort(all, count, sizeof *all, compare_placed);
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++)
        venv_list_add(&list, all[i].row);
    free(taken);
    free(all);
    return venv_list_take(&list, ret_list, &j->err);
}

/* The sums of environments for people: hours with two digits, or three where they are few. */
static venv_rc shown_environments(const venv_value *environments, venv_value *ret_list, venv_error *err)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(environments); i++) {
        const venv_value *key, *value;
        venv_value row = venv_value_null();
        venv_map_builder map;
        venv_map_init(&map);
        for (size_t k = 0; venv_value_entry(venv_value_at(environments, i), k, &key, &value); k++) {
            char text[48];
            double hours = venv_value_kind(value) == VENV_DOUBLE ? venv_value_peek_double(value) : 0;
            (void)snprintf(text, sizeof text, "%.*f", hours < 1 ? 3 : 2, hours);
            venv_value shown = venv_value_ref(value);
            if (venv_value_kind(value) == VENV_DOUBLE && venv_value_string_z(text, &shown, err) != VENV_OK)
                shown = venv_value_null();
            venv_map_put_value(&map, venv_value_ref(key), shown);
        }
        if (venv_map_take(&map, &row, err) == VENV_OK)
            venv_list_add(&list, row);
    }
    return venv_list_take(&list, ret_list, err);
}

static int64_t count_did(const job *j, const venv_value *name)
{
    int64_t count = 0;
    for (size_t i = 0; i < j->did.count; i++)
        count += venv_value_equal(venv_value_get(&j->did.items[i], "trigger"), name) &&
                 !venv_value_is_text(venv_value_get(&j->did.items[i], "kind"), "recovered");
    return count;
}

/* {name, would, did} of each trigger of the file. */
static venv_rc trigger_sums(job *j, const venv_value *sums, venv_value *ret_list)
{
    venv_list_builder list;
    const venv_value *triggers = venv_value_get(sums, "triggers");
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(triggers); i++) {
        const venv_value *t = venv_value_at(triggers, i);
        venv_value row = venv_value_null();
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put(&map, "name", venv_value_ref(venv_value_get(t, "name")));
        venv_map_put(&map, "would", venv_value_int(venv_value_get_int(t, "fired", 0)));
        if (!app_has(j->app, OPTION_STATE))
            venv_map_put(&map, "did", venv_value_int(count_did(j, venv_value_get(t, "name"))));
        if (venv_map_take(&map, &row, &j->err) == VENV_OK)
            venv_list_add(&list, row);
    }
    return venv_list_take(&list, ret_list, &j->err);
}

static venv_rc rows_value(rows *r, venv_value *ret_list, venv_error *err)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < r->count; i++)
        venv_list_add(&list, venv_value_ref(&r->items[i]));
    return venv_list_take(&list, ret_list, err);
}

static int print_as_json(job *j, const venv_value *sums, const venv_value *triggers)
{
    static const char *const keys[] = { "from", "to", "samples", "environments" };
    venv_value would = venv_value_null(), did = venv_value_null(), whole = venv_value_null();
    venv_map_builder map;
    venv_rc rc = rows_value(&j->would, &would, &j->err);
    if (rc == VENV_OK)
        rc = rows_value(&j->did, &did, &j->err);
    venv_map_init(&map);
    for (size_t i = 0; i < 4; i++)
        venv_map_put(&map, keys[i], venv_value_ref(venv_value_get(sums, keys[i])));
    venv_map_put_z(&map, "model", venv_replay_model());
    venv_map_put(&map, "would", would);
    if (!app_has(j->app, OPTION_STATE))
        venv_map_put(&map, "did", did);
    else
        venv_value_unref(&did);
    venv_map_put(&map, "triggers", venv_value_ref(triggers));
    if (j->begins.ns > 0)
        venv_map_put(&map, "history_from", venv_value_from_wall(j->begins));
    if (is_cut(j))
        venv_map_put(&map, "did_from", venv_value_from_wall(j->kept_from.ns > 0 ? j->kept_from : j->to));
    if (j->would.left_out + j->did.left_out > 0)
        venv_map_put(&map, "left_out", venv_value_uint(j->would.left_out + j->did.left_out));
    if (rc == VENV_OK)
        rc = venv_map_take(&map, &whole, &j->err);
    venv_map_fini(&map);
    int code = rc == VENV_OK ? print_json(j->app, &whole) : app_fail(j->app, &j->err);
    venv_value_unref(&whole);
    return code;
}

static void print_reasons(job *j)
{
    for (size_t i = 0; i < j->would.count; i++) {
        const venv_value *report = &j->would.items[i], *why = venv_value_get(report, "why");
        char when[VENV_WALL_TEXT_SIZE];
        if (!why)
            continue;
        fprintf(j->app->out, "\n%s  ", venv_wall_format((venv_wall){ time_of(report) }, when));
        print_safe(j->app->out, venv_value_get_text(report, "trigger"));
        fputc(' ', j->app->out);
        print_safe(j->app->out, venv_value_get_text(report, "kind"));
        fputc('\n', j->app->out);
        print_unit_reasons(j->app, why);
    }
}

static int print_as_text(job *j, const venv_value *sums, const venv_value *triggers)
{
    static const column events[] = { { "TIME", "time", CELL_TEXT }, { "WOULD", "would", CELL_TEXT }, { "DID", "did", CELL_TEXT },
                                     { "TRIGGER", "trigger", CELL_TEXT }, { "UNIT", "unit", CELL_TEXT }, { "ACTIONS", "actions", CELL_TEXT },
                                     { "WHY", "text", CELL_LINE } };
    static const column by_trigger[] = { { "TRIGGER", "name", CELL_TEXT }, { "WOULD", "would", CELL_NUMBER }, { "DID", "did", CELL_NUMBER } };
    static const column by_environment[] = { { "ENVIRONMENT", "name", CELL_TEXT }, { "WOULD-START", "would_start", CELL_NUMBER },
                                             { "WOULD-HOURS", "would_hours", CELL_NUMBER }, { "DID-START", "did_start", CELL_NUMBER },
                                             { "DID-HOURS", "did_hours", CELL_NUMBER }, { "BY-TRIGGERS", "did_hours_triggers", CELL_NUMBER } };
    venv_value table = venv_value_null();
    char from[VENV_WALL_TEXT_SIZE], to[VENV_WALL_TEXT_SIZE];
    if (merge(j, &table) != VENV_OK)
        return app_fail(j->app, &j->err);
    fprintf(j->app->out, "%s to %s, %" PRId64 " samples\n", venv_wall_format(j->from, from), venv_wall_format(j->to, to),
            venv_value_get_int(sums, "samples", 0));
    if (j->begins.ns > 0)
        fprintf(j->app->out, "The history begins at %s.\n", venv_wall_format(j->begins, from));
    if (is_cut(j) && j->kept_from.ns > 0)
        fprintf(j->app->out, "The log of events begins at %s: what did happen before is not known any more.\n", venv_wall_format(j->kept_from, from));
    else if (is_cut(j))
        fputs("Nothing is left of the log of events: what did happen is not known any more.\n", j->app->out);
    fputc('\n', j->app->out);
    int code = print_items(j->app, &table, events, sizeof events / sizeof events[0] );
    venv_value_unref(&table);
    if (j->would.left_out + j->did.left_out > 0)
        fprintf(j->app->out, "… and %zu more\n", j->would.left_out + j->did.left_out);
    if (app_has(j->app, OPTION_EXPLAIN))
        print_reasons(j);
    fputc('\n', j->app->out);
    if (code == EXIT_DONE)
        code = print_items(j->app, triggers, by_trigger, 3);
    venv_value environments = venv_value_null();
    if (code == EXIT_DONE && shown_environments(venv_value_get(sums, "environments"), &environments, &j->err) != VENV_OK)
        code = app_fail(j->app, &j->err);
    if (code == EXIT_DONE && venv_value_count(&environments) > 0) {
        fputc('\n', j->app->out);
        code = print_items(j->app, &environments, by_environment, 6);
    }
    venv_value_unref(&environments);
    fputc('\n', j->app->out);
    print_wrapped(j->app->out, venv_replay_model());
    return code;
}

/* --- the verb ------------------------------------------------------------------------------------------------------ */

/* The manager's own; one that does not tell has one second, as if nothing were said in its configuration. */
static int ask_tick(job *j, venv_span *ret_tick)
{
    venv_value status = venv_value_null();
    venv_span tick;
    if (venv_client_status(j->app->client, &status, &j->err) != VENV_OK)
        return app_fail(j->app, &j->err);
    const venv_value *told = venv_value_get(venv_value_get(&status, "manager"), "tick");
    if (told && venv_value_to_span(told, &tick) && tick.ns > 0)
        *ret_tick = tick;
    venv_value_unref(&status);
    return EXIT_DONE;
}

static int play(job *j, const venv_value *definitions)
{
    venv_replay_options options = { .triggers = { .tick = { VENV_NS_PER_S }, .zone = app_read_zone }, .from = j->from, .report = take_report,
                                    .user = j };
    venv_value sums = venv_value_null(), triggers = venv_value_null();
    bool folder = app_has(j->app, OPTION_STATE);
    int code = app_has(j->app, OPTION_BOOT) ? app_span(j->app, OPTION_BOOT, &options.boot) : EXIT_DONE;
    if (code == EXIT_DONE && app_has(j->app, OPTION_TICK))
        code = app_span(j->app, OPTION_TICK, &options.triggers.tick);
    if (code == EXIT_DONE && !folder)
        code = app_connect(j->app);
    if (code == EXIT_DONE && !folder && !app_has(j->app, OPTION_TICK))
        code = ask_tick(j, &options.triggers.tick);
    if (code == EXIT_DONE && venv_replay_new(definitions, &options, &j->replay, &j->err) != VENV_OK)
        return app_fail(j->app, &j->err);
    if (code == EXIT_DONE)
        code = folder ? read_folder(j, j->app->value[OPTION_STATE]) : read_pages(j);
    if (code == EXIT_DONE && (venv_replay_finish(j->replay, j->to, &j->err) != VENV_OK || venv_replay_sums(j->replay, &sums, &j->err) != VENV_OK))
        code = app_fail(j->app, &j->err);
    if (code == EXIT_DONE && !folder)
        code = read_events(j);
    if (code == EXIT_DONE && trigger_sums(j, &sums, &triggers) != VENV_OK)
        code = app_fail(j->app, &j->err);
    if (code == EXIT_DONE)
        code = app_has(j->app, OPTION_JSON) ? print_as_json(j, &sums, &triggers) : print_as_text(j, &sums, &triggers);
    venv_value_unref(&sums);
    venv_value_unref(&triggers);
    return code;
}

int run_trigger_replay(venvctl *app)
{
    venv_value definitions = venv_value_null();
    job *j = calloc(1, sizeof *j);
    if (!j) {
        app_say(app, "out of memory");
        return EXIT_FAILED;
    }
    j->app = app;
    int code = app_moment(app, OPTION_SINCE, (venv_wall){ app->now.ns - SINCE_NS }, &j->from);
    if (code == EXIT_DONE)
        code = app_moment(app, OPTION_UNTIL, app->now, &j->to);
    if (code == EXIT_DONE && j->to.ns <= j->from.ns)
        code = app_usage(app, "the time to replay ends before it begins");
    if (code == EXIT_DONE)
        code = trigger_read_file(app, app->arguments[0], &definitions);
    if (code == EXIT_DONE)
        code = play(j, &definitions);
    for (size_t i = 0; i < j->would.count; i++)
        venv_value_unref(&j->would.items[i]);
    for (size_t i = 0; i < j->did.count; i++)
        venv_value_unref(&j->did.items[i]);
    venv_replay_free(j->replay);
    venv_value_unref(&definitions);
    free(j);
    return code;
}
