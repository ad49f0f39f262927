/* SPDX-License-Identifier: Apache-2.0 */
/* The verb events: the log, one event a line, and what happens from now on. */
#include "venvctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LAST_MAX 100000 /* for --last; all of them: --since 0 */

static int64_t mono_now(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * VENV_NS_PER_S + now.tv_nsec;
}

/* 18:30:00.123 on the same day is not enough for a log: the whole instant, then what happened to what. */
static void print_event(venvctl *app, const venv_value *event)
{
    venv_wall time;
    char when[VENV_WALL_TEXT_SIZE] = "-";
    const venv_value *stamp = venv_value_get(event, "time");
    if (stamp && venv_value_to_wall(stamp, &time))
        (void)venv_wall_format(time, when);
    fprintf(app->out, "%6" PRId64 "  %s  ", venv_value_get_int(event, "revision", 0), when);
    print_safe(app->out, venv_value_get_text(event, "kind"));
    venv_str subject = venv_value_get_text(event, "subject"), text = venv_value_get_text(event, "text");
    bool named = text.size > 0 && memmem(text.data, text.size, subject.data, subject.size) != NULL;
    if (subject.size > 0 && !named) {
        fputs("  ", app->out);
        print_safe(app->out, subject);
    }
    if (text.size > 0) {
        fputs(subject.size > 0 && !named ? ": " : "  ", app->out);
        print_safe(app->out, text);
    }
    fputc('\n', app->out);
}

/* A log that ends is an array as every list; one that is followed has no end: an object a line. */
static void print_event_json(venvctl *app, const venv_value *event, bool forever, bool first)
{
    if (forever)
        (void)print_json_part(app, "", event, "\n");
    else
        (void)print_json_part(app, first ? "[\n  " : ",\n  ", event, "");
}

static int follow(venvctl *app, bool forever)
{
    bool json = app_has(app, OPTION_JSON), first = true;
    int64_t deadline = app->has_timeout ? mono_now() + app->timeout.ns : INT64_MAX;
    for (;;) {
        venv_error err = { 0 };
        venv_value event = venv_value_null();
        venv_span left = { -1 };
        if (app->has_timeout || !forever) {
            left.ns = app->has_timeout ? deadline - mono_now() : VENV_CLIENT_REQUEST_TIMEOUT.ns;
            left.ns = left.ns > 0 ? left.ns : 0;
        }
        venv_rc rc = venv_client_next_event(app->client, left, &event, &err);
        if (rc == VENV_ENOENT) {
            if (json && !forever)
                fputs(first ? "[]\n" : "\n]\n", app->out);
            return EXIT_DONE;
        }
        if (rc == VENV_ETIMEDOUT && forever && app->has_timeout)
            return EXIT_DONE; /* that is what was asked for */
        if (rc != VENV_OK)
            return app_fail(app, &err);
        if (json)
            print_event_json(app, &event, forever, first);
        else
            print_event(app, &event);
        first = false;
        venv_value_unref(&event);
        if (forever && fflush(app->out) != 0)
            return EXIT_FAILED; /* nobody reads any more */
    }
}

int run_events(venvctl *app)
{
    int64_t since = 0, last = 0;
    int code = app_number(app, OPTION_SINCE, 0, INT64_MAX, &since);
    if (code == EXIT_DONE)
        code = app_number(app, OPTION_LAST, 1, LAST_MAX, &last);
    if (code == EXIT_DONE && app_has(app, OPTION_SINCE) && app_has(app, OPTION_LAST))
        return app_usage(app, "--since and --last: one of them");
    if (code == EXIT_DONE)
        code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_error err = { 0 };
    bool forever = app_has(app, OPTION_FOLLOW);
    uint64_t from = app_has(app, OPTION_SINCE) ? (uint64_t)since : VENV_CLIENT_RECENT;
    if (venv_client_events(app->client, from, (uint32_t)last, forever, &err) != VENV_OK)
        return app_fail(app, &err);
    return follow(app, forever);
}
