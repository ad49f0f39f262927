/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb trigger test: triggers evaluated now, by the manager in the world that it sees, or here in a world out of a
 * file. The same code decides in both; nothing is done.
 */
#include "venvctl.h"

#include <venv/expr.h>
#include <venv/trigger.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- what is tested ---------------------------------------------------------------------------------------- */

bool trigger_is_file(const char *word)
{
    size_t size = strlen(word);
    return strchr(word, '/') || (size > 5 && strcmp(word + size - 5, ".yaml") == 0) || (size > 4 && strcmp(word + size - 4, ".yml") == 0);
}

int trigger_read_file(venvctl *app, const char *path, venv_value *ret_definitions)
{
    venv_value whole = venv_value_null();
    int code = app_read_yaml(app, path, &whole, NULL);
    if (code != EXIT_DONE)
        return code;
    const venv_value *inner = venv_value_get(&whole, "triggers");
    *ret_definitions = venv_value_ref(inner ? inner : &whole);
    venv_value_unref(&whole);
    if (venv_value_kind(ret_definitions) == VENV_MAP && venv_value_count(ret_definitions) > 0)
        return EXIT_DONE;
    venv_value_unref(ret_definitions);
    return app_usage(app, "%s: expected triggers, as in venv-mgr.yaml(5): a map from names to definitions", path);
}

/* --- a world out of a file ------------------------------------------------------------------------------------ */

typedef struct world {
    const venv_value *vars;
    venv_value agents; /* with `p` and `state` of each */
} world;

static venv_expr_answer world_agent(void *user, const char *name, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth)
{
    const world *w = user;
    for (size_t i = 0; i < venv_value_count(&w->agents); i++) {
        const venv_value *agent = venv_value_at(&w->agents, i);
        venv_str found = venv_value_get_text(agent, "name");
        if (found.size != strlen(name) || memcmp(found.data, name, found.size) != 0)
            continue;
        /* As in the manager: a property that an agent does not have could not be looked at. */
        bool property = read->path_count > 2 && strcmp(read->path[1], "p") == 0;
        if (property && !venv_value_get(venv_value_get(agent, "p"), read->path[2]))
            return read->tested ? VENV_EXPR_NOT_THERE : VENV_EXPR_NOT_KNOWN;
        *ret_value = *agent;
        *ret_depth = 1;
        return VENV_EXPR_FOUND;
    }
    return VENV_EXPR_NOT_KNOWN;
}

static venv_expr_answer world_agents(void *user, venv_value *ret_list)
{
    *ret_list = ((const world *)user)->agents;
    return VENV_EXPR_FOUND;
}

static venv_rc world_queue(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    venv_value key = venv_value_borrow(name.data, name.size);
    const venv_value *queue = venv_value_find(venv_value_get(((const world *)user)->vars, "queues"), &key);
    if (!queue)
        return venv_error_set(err, VENV_EUNKNOWN, "queue %.*s is not in the file", (int)name.size, name.data);
    *ret_map = venv_value_ref(queue);
    return VENV_OK;
}

static venv_rc world_instances(void *user, venv_str environment, venv_value *ret_list, venv_error *err)
{
    venv_value key = venv_value_borrow(environment.data, environment.size);
    const venv_value *list = venv_value_find(venv_value_get(((const world *)user)->vars, "instances"), &key);
    if (!list)
        return venv_error_set(err, VENV_EUNKNOWN, "instances of %.*s are not in the file", (int)environment.size, environment.data);
    *ret_list = venv_value_ref(list);
    return VENV_OK;
}

static void world_samples(void *user, const char *agent, const venv_expr_read *read, const char *source, venv_trigger_samples *samples)
{
    const world *w = user;
    (void)agent, (void)source;
    bool queue = read->kind == VENV_EXPR_READ_CALL && strcmp(read->path[0], "queue") == 0 && read->argument;
    const venv_value *value = queue ? venv_value_get(venv_value_get(w->vars, "queues"), read->argument) : NULL;
    if (value)
        venv_trigger_samples_add(samples, read->argument, "queue", value, "ok", (venv_wall){ 0 });
}

static venv_rc explain_here(venvctl *app, const world *w, const venv_value *definitions, const char *only, venv_value *ret_list, venv_error *err)
{
    const venv_trigger_options options = { .tick = { VENV_NS_PER_S }, .zone = app_read_zone };
    const venv_trigger_world calls = { .user = (void *)(uintptr_t)w, .agent = world_agent, .agents = world_agents,
                                       .queue = world_queue, .instances = world_instances, .samples = world_samples };
    const venv_value *now = venv_value_get(w->vars, "now");
    venv_now moment = { { VENV_NS_PER_S }, app->now };
    venv_triggers *set = NULL;
    venv_list_builder list;
    bool any = false;
    if (now && venv_value_kind(now) == VENV_STRING && !app_parse_time(venv_value_peek_text(now), &moment.wall))
        return venv_error_set(err, VENV_EINVAL, "now: expected a time such as 2026-11-22T18:30:00Z");
    venv_list_init(&list);
    venv_rc rc = venv_triggers_new(definitions, &options, &set, err);
    for (size_t i = 0; rc == VENV_OK && i < venv_triggers_count(set); i++) {
        const char *name = venv_triggers_name(set, i);
        venv_value value = venv_value_null();
        if (only && strcmp(only, name) != 0)
            continue;
        any = true;
        rc = venv_triggers_explain(set, name, app->value[OPTION_AGENT], moment, &calls, &value, err);
        venv_list_add(&list, value);
    }
    if (rc == VENV_OK && !any)
        rc = venv_error_set(err, VENV_ENOENT, "no trigger is called '%s' in the file", only ? only : "");
    venv_triggers_free(set);
    if (rc == VENV_OK)
        return venv_list_take(&list, ret_list, err);
    venv_list_fini(&list);
    return rc;
}

static int test_here(venvctl *app, const venv_value *definitions, const char *only, venv_value *ret_list)
{
    venv_value vars = venv_value_null();
    venv_error err = { 0 };
    int code = app_read_yaml(app, app->value[OPTION_VARS], &vars, NULL);
    if (code != EXIT_DONE)
        return code;
    world w = { &vars, venv_value_null() };
    const venv_value *agents = venv_value_get(&vars, "agents");
    venv_list_builder none;
    venv_list_init(&none);
    if (agents && venv_value_kind(agents) == VENV_LIST)
        w.agents = venv_value_ref(agents);
    else if (venv_list_take(&none, &w.agents, &err) != VENV_OK)
        code = app_fail(app, &err);
    venv_list_fini(&none);
    if (code == EXIT_DONE && venv_value_kind(&vars) != VENV_MAP && venv_value_kind(&vars) != VENV_NULL)
        code = app_usage(app, "%s: expected a map with agents, queues and instances", app->value[OPTION_VARS]);
    else if (code == EXIT_DONE && explain_here(app, &w, definitions, only, ret_list, &err) != VENV_OK)
        code = app_fail(app, &err);
    venv_value_unref(&w.agents);
    venv_value_unref(&vars);
    return code;
}

static int test_there(venvctl *app, const venv_value *definitions, const char *only, venv_value *ret_list)
{
    venv_error err = { 0 };
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    if (venv_client_evaluate(app->client, only, definitions, app->value[OPTION_AGENT], ret_list, &err) != VENV_OK)
        return app_fail(app, &err);
    return EXIT_DONE;
}

/* --- how it looks ------------------------------------------------------------------------------------------------ */

static const char *sentence(const venv_value *unit)
{
    static const struct {
        const char *would, *text;
    } rows[] = {
        { "fire", "it would fire" },
        { "fire-at-its-time", "it fires when its time comes" },
        { "recover", "it would recover: ready to fire again" },
        { "hold", "it would hold: true, but not for long enough yet" },
        { "cool", "it cools: true, but it has fired a short while ago" },
        { "nothing", "nothing would happen" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (venv_value_is_text(venv_value_get(unit, "would"), rows[i].would))
            return rows[i].text;
    return "it would do something that this venvctl does not know";
}

static void print_samples(venvctl *app, const venv_value *samples)
{
    venv_wall time;
    char age[32];
    for (size_t i = 0; i < venv_value_count(samples); i++) {
        const venv_value *sample = venv_value_at(samples, i), *stamp = venv_value_get(sample, "time"), *value = venv_value_get(sample, "value");
        fputs("  ", app->out);
        print_safe(app->out, venv_value_get_text(sample, "subject"));
        fputc(' ', app->out);
        print_safe(app->out, venv_value_get_text(sample, "label"));
        fputs(" = ", app->out);
        if (value)
            print_scalar(app, app->out, value);
        if (!venv_value_is_text(venv_value_get(sample, "quality"), "ok")) {
            fputs(" (", app->out);
            print_safe(app->out, venv_value_get_text(sample, "quality"));
            fputc(')', app->out);
        }
        if (stamp && venv_value_to_wall(stamp, &time))
            fprintf(app->out, ", %s ago", format_age(time, app->now, age, sizeof age));
        fputc('\n', app->out);
    }
}

static void print_one_condition(venvctl *app, const venv_value *unit, const char *key)
{
    const venv_value *condition = venv_value_get(unit, key);
    venv_str error = venv_value_get_text(condition, "error");
    if (!condition)
        return;
    fprintf(app->out, "  %s is ", key);
    print_safe(app->out, venv_value_get_text(condition, "state"));
    if (error.size > 0) {
        fputs(": ", app->out);
        print_safe(app->out, error);
    }
    fputc('\n', app->out);
    print_condition(app, condition, 4);
}

static void print_orders(venvctl *app, const venv_value *orders)
{
    for (size_t i = 0; i < venv_value_count(orders); i++) {
        const venv_value *order = venv_value_at(orders, i), *arguments = venv_value_get(order, "arguments"), *key, *value;
        venv_str error = venv_value_get_text(order, "error");
        fputs("  do ", app->out);
        print_safe(app->out, venv_value_get_text(order, "verb"));
        for (size_t k = 0; venv_value_entry(arguments, k, &key, &value); k++) {
            fputs(k == 0 ? ": " : ", ", app->out);
            print_scalar(app, app->out, key);
            fputc(' ', app->out);
            print_scalar(app, app->out, value);
        }
        if (error.size > 0) {
            fputs(": ", app->out);
            print_safe(app->out, error);
        }
        fputc('\n', app->out);
    }
}

void print_unit_reasons(venvctl *app, const venv_value *unit)
{
    print_samples(app, venv_value_get(unit, "samples"));
    print_one_condition(app, unit, "when");
    print_one_condition(app, unit, "until");
}

static void print_unit(venvctl *app, venv_str name, const venv_value *unit)
{
    venv_str key = venv_value_get_text(unit, "unit");
    print_safe(app->out, name);
    if (key.size > 0) {
        fputs(" for ", app->out);
        print_safe(app->out, key);
    }
    fprintf(app->out, ": %s\n", sentence(unit));
    print_unit_reasons(app, unit);
    print_orders(app, venv_value_get(unit, "orders"));
}

static void print_trigger(venvctl *app, const venv_value *explained)
{
    venv_str name = venv_value_get_text(venv_value_get(explained, "trigger"), "name"), error = venv_value_get_text(explained, "for_error");
    const venv_value *units = venv_value_get(explained, "units");
    if (error.size > 0) {
        print_safe(app->out, name);
        fputs(": ", app->out);
        print_safe(app->out, error);
        fputc('\n', app->out);
    } else if (venv_value_count(units) == 0) {
        print_safe(app->out, name);
        fputs(": there is nothing to look at: no agent, or no element of `for`\n", app->out);
    }
    for (size_t i = 0; i < venv_value_count(units); i++)
        print_unit(app, name, venv_value_at(units, i));
    if (venv_value_get_bool(explained, "cut", false))
        fputs("… and more units; --agent shows one of them\n", app->out);
}

/* What the exit code tells, also where nothing is printed for people. */
static bool is_good(const venv_value *explained)
{
    static const char *const conditions[] = { "when", "until" };
    const venv_value *units = venv_value_get(explained, "units");
    if (venv_value_get_text(explained, "for_error").size > 0)
        return false;
    for (size_t i = 0; i < venv_value_count(units); i++) {
        const venv_value *unit = venv_value_at(units, i), *orders = venv_value_get(unit, "orders");
        for (size_t k = 0; k < sizeof conditions / sizeof conditions[0]; k++) {
            const venv_value *state = venv_value_get(venv_value_get(unit, conditions[k]), "state");
            if (state && venv_value_is_text(state, "error"))
                return false;
        }
        for (size_t k = 0; k < venv_value_count(orders); k++)
            if (venv_value_get_text(venv_value_at(orders, k), "error").size > 0)
                return false;
    }
    return true;
}

int run_trigger_test(venvctl *app)
{
    const char *word = app->arguments[0], *only = app->argument_count > 1 ? app->arguments[1] : NULL;
    venv_value definitions = venv_value_null(), list = venv_value_null();
    bool is_file = trigger_is_file(word), good = true;
    if (!is_file && (only || app_has(app, OPTION_VARS)))
        return app_usage(app, only ? "a name follows a file only" : "--vars goes with a file of triggers");
    int code = is_file ? trigger_read_file(app, word, &definitions) : EXIT_DONE;
    if (code == EXIT_DONE)
        code = app_has(app, OPTION_VARS) ? test_here(app, &definitions, only, &list)
                                         : test_there(app, is_file ? &definitions : NULL, is_file ? only : word, &list);
    venv_value_unref(&definitions);
    if (code != EXIT_DONE)
        return code;
    if (app_has(app, OPTION_JSON))
        code = print_json(app, &list);
    for (size_t i = 0; i < venv_value_count(&list); i++) {
        good = is_good(venv_value_at(&list, i)) && good;
        if (app_has(app, OPTION_JSON))
            continue;
        if (i > 0)
            fputc('\n', app->out);
        print_trigger(app, venv_value_at(&list, i));
    }
    venv_value_unref(&list);
    return code == EXIT_DONE && !good ? EXIT_FAILED : code;
}
