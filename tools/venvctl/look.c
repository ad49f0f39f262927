/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that look and change nothing: status, list, show. */
#include "venvctl.h"

#include <inttypes.h>
#include <string.h>

/* --- what there is to list ---------------------------------------------------------------------------- */

#define COLUMNS_MAX 10

typedef struct kind_row {
    const char *plural, *singular;
    column columns[COLUMNS_MAX];
} kind_row;

static const kind_row kinds[] = {
    { "agents", "agent",
      { { "NAME", "name", CELL_TEXT }, { "STATE", "state", CELL_TEXT }, { "SINCE", "since", CELL_AGE },
        { "HEARD", "heard", CELL_AGE }, { "PROPERTIES", "properties", CELL_NUMBER },
        { "INSTANCES", "instances", CELL_NUMBER }, { "ADDRESS", "address", CELL_TEXT }, { "GROUPS", "groups", CELL_LIST },
        { "BREAKER", "breaker", CELL_TEXT }, { "MAINTENANCE", "maintenance_by", CELL_TEXT } } },
    { "groups", "group",
      { { "NAME", "name", CELL_TEXT }, { "CONNECTED", "connected", CELL_NUMBER }, { "AGENTS", "agents", CELL_LIST } } },
    { "environments", "environment",
      { { "NAME", "name", CELL_TEXT }, { "HYPERVISOR", "hypervisor", CELL_TEXT }, { "VCPUS", "vcpus", CELL_NUMBER },
        { "MEMORY", "memory", CELL_SIZE }, { "INSTANCES", "instances", CELL_NUMBER },
        { "RUNNING", "running", CELL_NUMBER }, { "IMAGE", "image", CELL_TEXT }, { "BREAKER", "breaker", CELL_TEXT } } },
    { "instances", "instance",
      { { "NAME", "name", CELL_TEXT }, { "ENVIRONMENT", "environment", CELL_TEXT }, { "STATE", "state", CELL_TEXT },
        { "SINCE", "since", CELL_AGE }, { "NODE", "node", CELL_TEXT }, { "BY", "by", CELL_TEXT }, { "REASON", "reason", CELL_TEXT } } },
    { "triggers", "trigger",
      { { "NAME", "name", CELL_TEXT }, { "ELEMENT", "element", CELL_TEXT }, { "MODE", "mode", CELL_TEXT }, { "STATE", "state", CELL_TEXT },
        { "SINCE", "since", CELL_AGE }, { "FIRED", "fired", CELL_NUMBER }, { "LAST", "last_fired", CELL_AGE },
        { "WHEN", "when", CELL_TEXT }, { "ERROR", "error", CELL_LINE } } },
    { "actions", "action",
      { { "ID", "id", CELL_TEXT }, { "KIND", "kind", CELL_TEXT }, { "SUBJECT", "subject", CELL_TEXT }, { "STATE", "state", CELL_TEXT },
        { "MADE", "made", CELL_AGE }, { "BY", "by", CELL_TEXT }, { "ERROR", "error", CELL_TEXT } } },
    { "proposals", "proposal",
      { { "ID", "id", CELL_TEXT }, { "TRIGGER", "trigger", CELL_TEXT }, { "ELEMENT", "element", CELL_TEXT }, { "STATE", "state", CELL_TEXT },
        { "MADE", "made", CELL_AGE }, { "EXPIRES", "expires", CELL_TEXT }, { "WOULD", "summary", CELL_TEXT }, { "WHY", "why", CELL_LINE } } },
    { "breakers", "breaker",
      { { "NAME", "name", CELL_TEXT }, { "STATE", "state", CELL_TEXT }, { "SINCE", "since", CELL_AGE },
        { "FAILURES", "failures", CELL_NUMBER }, { "OPENED", "opened", CELL_NUMBER }, { "RETRY", "retry", CELL_TEXT },
        { "REASON", "reason", CELL_LINE } } },
};
#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

static size_t column_count(const kind_row *kind)
{
    size_t count = 0;
    while (count < COLUMNS_MAX && kind->columns[count].title)
        count++;
    return count;
}

/* A kind by its plural or singular name: people mix them up, and the meaning is clear. NULL after telling. */
static const kind_row *find_kind(venvctl *app, const char *word, bool plural)
{
    const char *words[2 * KIND_COUNT + 1];
    size_t count = 0;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kinds[i].plural, word) == 0 || strcmp(kinds[i].singular, word) == 0)
            return &kinds[i];
        words[count++] = plural ? kinds[i].plural : kinds[i].singular;
    }
    words[count] = NULL;
    const char *near = venv_text_nearest((venv_str){ word, strlen(word) }, words);
    if (near)
        (void)app_usage(app, "there is no kind \"%s\"; did you mean \"%s\"?", word, near);
    else
        (void)app_usage(app, "there is no kind \"%s\"; it is one of %s", word,
                        plural ? "agents, groups, environments, instances, triggers, actions, proposals, breakers"
                               : "agent, group, environment, instance, trigger, action, proposal, breaker");
    return NULL;
}

int print_instances(venvctl *app, const venv_value *items)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].plural, "instances") == 0)
            return print_items(app, items, kinds[i].columns, column_count(&kinds[i]));
    return EXIT_FAILED;
}

int run_list(venvctl *app)
{
    const kind_row *kind = find_kind(app, app->arguments[0], true);
    if (!kind)
        return EXIT_USAGE;
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_error err = { 0 };
    venv_value items = venv_value_null();
    if (venv_client_list(app->client, kind->plural, &items, &err) != VENV_OK)
        return app_fail(app, &err);
    code = print_items(app, &items, kind->columns, column_count(kind));
    venv_value_unref(&items);
    return code;
}

/* An instance of an environment that was changed since is as it was made. */
static void print_age_of_definition(venvctl *app, const venv_value *item)
{
    const venv_value *version = venv_value_get(item, "version"), *newest = venv_value_get(item, "newest");
    if (version && newest && !app_has(app, OPTION_JSON) && !app_has(app, OPTION_QUIET))
        fprintf(app->out, "started from version %" PRIu64 ", newest is %" PRIu64 "\n", venv_value_peek_uint(version),
                venv_value_peek_uint(newest));
}

int run_show(venvctl *app)
{
    const kind_row *kind = find_kind(app, app->arguments[0], false);
    if (!kind)
        return EXIT_USAGE;
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_error err = { 0 };
    venv_value item = venv_value_null();
    if (venv_client_show(app->client, kind->singular, app->arguments[1], &item, &err) != VENV_OK)
        return app_fail(app, &err);
    code = print_value(app, &item);
    print_age_of_definition(app, &item);
    venv_value_unref(&item);
    return code;
}

/* --- status ---------------------------------------------------------------------------------------------- */

/* A part of the status; the empty map where a manager does not tell it. */
static const venv_value *part(const venv_value *status, const char *key)
{
    static const venv_value nothing;
    const venv_value *value = venv_value_get(status, key);
    return value ? value : &nothing;
}

static void print_counts(venvctl *app, const char *title, const venv_value *map, const char *total)
{
    const venv_value *key, *value;
    fprintf(app->out, "%-13s %" PRId64, title, venv_value_get_int(map, total, 0));
    const char *between = " (";
    for (size_t i = 0; venv_value_entry(map, i, &key, &value); i++) {
        if (venv_value_is_text(key, total) || venv_value_kind(key) != VENV_STRING || !venv_value_kind(value))
            continue;
        fputs(between, app->out);
        print_scalar(app, app->out, value);
        fputs(" ", app->out);
        print_safe(app->out, venv_value_peek_text(key));
        between = ", ";
    }
    fputs(between[0] == ',' ? ")\n" : "\n", app->out);
}

static void print_status(venvctl *app, const venv_value *status)
{
    const venv_value *manager = part(status, "manager");
    venv_wall since;
    char age[32];
    fprintf(app->out, "%-13s ", "manager");
    print_safe(app->out, venv_value_get_text(manager, "name"));
    fputs(" of ", app->out);
    print_safe(app->out, venv_value_get_text(manager, "cluster"));
    fprintf(app->out, ", venv ");
    print_safe(app->out, venv_value_get_text(manager, "version"));
    const venv_value *start = venv_value_get(manager, "since");
    if (start && venv_value_to_wall(start, &since))
        fprintf(app->out, ", up %s", format_age(since, app->now, age, sizeof age));
    fprintf(app->out, ", at %s\n", venv_client_address(app->client));
    print_counts(app, "agents", part(status, "agents"), "known");
    fprintf(app->out, "%-13s %" PRId64 "\n", "groups", venv_value_get_int(status, "groups", 0));
    fprintf(app->out, "%-13s %" PRId64 "\n", "environments", venv_value_get_int(status, "environments", 0));
    print_counts(app, "instances", part(status, "instances"), "total");
    print_counts(app, "triggers", part(status, "triggers"), "total");
    fprintf(app->out, "%-13s %" PRId64 " open\n", "actions", venv_value_get_int(part(status, "actions"), "open", 0));
    fprintf(app->out, "%-13s %" PRId64 "\n", "revision", venv_value_get_int(status, "revision", 0));
}

int run_status(venvctl *app)
{
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    venv_error err = { 0 };
    venv_value status = venv_value_null();
    if (venv_client_status(app->client, &status, &err) != VENV_OK)
        return app_fail(app, &err);
    if (app_has(app, OPTION_JSON))
        code = print_json(app, &status);
    else if (!app_has(app, OPTION_QUIET))
        print_status(app, &status);
    venv_value_unref(&status);
    return code;
}
