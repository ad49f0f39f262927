/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that ask agents: get, fetch, exec, control; and forget. What an agent could not do is told beside what others did. */
#include "venvctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_TIMEOUT_NS (30 * VENV_NS_PER_S) /* of --timeout, if it is not given */
#define ANSWER_MARGIN_NS (15 * VENV_NS_PER_S) /* the manager's word that an agent gave none takes a moment, too */

/* Ask and get the list of items. `body` is taken over. */
static int ask(venvctl *app, venv_client_verb verb, venv_map_builder *map, venv_value *ret_items)
{
    venv_error err = { 0 };
    venv_value body = venv_value_null(), answer = venv_value_null();
    if (venv_map_take(map, &body, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = app_connect(app);
    if (code == EXIT_DONE && verb != VENV_CLIENT_GET)
        venv_client_set_timeout(app->client, (venv_span){ (app->has_timeout ? app->timeout.ns : AGENT_TIMEOUT_NS) + ANSWER_MARGIN_NS });
    if (code == EXIT_DONE && venv_client_request(app->client, verb, &body, &answer, &err) != VENV_OK)
        code = app_fail(app, &err);
    venv_value_unref(&body);
    if (code != EXIT_DONE)
        return code;
    const venv_value *items = venv_value_get(&answer, "items");
    if (items && venv_value_kind(items) == VENV_LIST) {
        *ret_items = venv_value_ref(items);
    } else {
        app_say(app, "the manager's answer has no \"items\": is it of another version?");
        code = EXIT_FAILED;
    }
    venv_value_unref(&answer);
    return code;
}

static void put_target(venvctl *app, venv_map_builder *map)
{
    venv_map_put_z(map, "target", app->arguments[0]);
    if (app_has(app, OPTION_WHERE))
        venv_map_put_z(map, "where", app->value[OPTION_WHERE]);
}

static void put_timeout(venvctl *app, venv_map_builder *map)
{
    venv_span timeout = { app->has_timeout ? app->timeout.ns : AGENT_TIMEOUT_NS };
    venv_map_put(map, "timeout", venv_value_from_span(timeout));
}

static bool text_is(venv_str text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

/*
 * The exit code for the name of an error in an item, as for the same error of a whole request; but "unreachable" is the exit code for a
 * manager that cannot be reached, after which one asks again: that an agent is away is an answer.
 */
static int code_of(venv_str name)
{
    for (int rc = VENV_EINTERNAL; rc < 0; rc++)
        if (text_is(name, venv_rc_name((venv_rc)rc)))
            return rc == VENV_EUNREACHABLE ? EXIT_FAILED : exit_code_of((venv_rc)rc);
    return EXIT_FAILED;
}

/* What one agent did not do, told on standard error. EXIT_DONE if it did all. */
static int item_failure(venvctl *app, const venv_value *item)
{
    venv_str agent = venv_value_get_text(item, "agent");
    const venv_value *error = venv_value_get(item, "error");
    venv_str rc = venv_value_get_text(item, "rc");
    if (!error && (rc.size == 0 || text_is(rc, "ok")))
        return EXIT_DONE;
    venv_str text = venv_value_get_text(item, "error");
    if (text.size == 0)
        text = rc;
    venv_str label = venv_value_get_text(item, "label");
    app_say(app, "%.*s: %.*s%s%.*s", (int)agent.size, agent.data, (int)label.size, label.data ? label.data : "", label.size > 0 ? ": " : "",
            (int)text.size, text.data);
    return code_of(rc);
}

/* If several failed otherwise than each other it is just that: failed. */
static int worse(int a, int b)
{
    if (a == EXIT_DONE || b == EXIT_DONE)
        return a == EXIT_DONE ? b : a;
    return a == b ? a : EXIT_FAILED;
}

/* The exit code of `failed` out of `count`: what only some of them lack was found. */
static int in_all(int code, size_t failed, size_t count)
{
    return code == EXIT_NOT_FOUND && failed < count ? EXIT_FAILED : code;
}

static int failures(venvctl *app, const venv_value *items)
{
    int code = EXIT_DONE;
    size_t failed = 0;
    for (size_t i = 0; i < venv_value_count(items); i++) {
        int one = item_failure(app, venv_value_at(items, i));
        failed += one != EXIT_DONE;
        code = worse(code, one);
    }
    return in_all(code, failed, venv_value_count(items));
}

/* The items without those that are only a failure, which were told already. */
static venv_rc without_failures(const venv_value *items, venv_value *ret_items, venv_error *err)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(items); i++)
        if (!venv_value_get(venv_value_at(items, i), "error"))
            venv_list_add(&list, venv_value_ref(venv_value_at(items, i)));
    return venv_list_take(&list, ret_items, err);
}

static int print_good(venvctl *app, const venv_value *items, const column *columns, size_t count)
{
    if (app_has(app, OPTION_JSON))
        return print_items(app, items, columns, count);
    venv_error err = { 0 };
    venv_value good = venv_value_null();
    if (without_failures(items, &good, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = venv_value_count(&good) > 0 || venv_value_count(items) == 0 ? print_items(app, &good, columns, count) : EXIT_DONE;
    venv_value_unref(&good);
    return code;
}

/* --- get, fetch --------------------------------------------------------------------------------------------- */

static const column property_columns[] = {
    { "AGENT", "agent", CELL_TEXT }, { "LABEL", "label", CELL_TEXT }, { "VALUE", "value", CELL_TEXT },
    { "UNIT", "unit", CELL_TEXT }, { "QUALITY", "quality", CELL_TEXT }, { "AGE", "time", CELL_AGE },
    { "REASON", "reason", CELL_TEXT },
};
/* With --quiet: the values alone. */
static const column value_columns[] = { { "VALUE", "value", CELL_TEXT } };

static int print_properties(venvctl *app, const venv_value *items)
{
    if (app_has(app, OPTION_QUIET))
        return print_good(app, items, value_columns, 1);
    return print_good(app, items, property_columns, sizeof property_columns / sizeof property_columns[0]);
}

int run_get(venvctl *app)
{
    venv_map_builder map;
    venv_value items = venv_value_null();
    venv_map_init(&map);
    put_target(app, &map);
    if (app->argument_count > 1)
        venv_map_put_z(&map, "label", app->arguments[1]);
    int code = ask(app, VENV_CLIENT_GET, &map, &items);
    if (code != EXIT_DONE)
        return code;
    code = print_properties(app, &items);
    code = worse(code, failures(app, &items));
    venv_value_unref(&items);
    return code;
}

int run_fetch(venvctl *app)
{
    venv_map_builder map;
    venv_value items = venv_value_null();
    venv_map_init(&map);
    put_target(app, &map);
    venv_map_put_z(&map, "label", app->arguments[1]);
    put_timeout(app, &map);
    int code = ask(app, VENV_CLIENT_FETCH, &map, &items);
    if (code != EXIT_DONE)
        return code;
    code = print_properties(app, &items);
    code = worse(code, failures(app, &items));
    for (size_t i = 0; i < venv_value_count(&items); i++) {
        venv_str quality = venv_value_get_text(venv_value_at(&items, i), "quality");
        if (quality.size > 0 && !text_is(quality, "ok"))
            code = worse(code, EXIT_FAILED);
    }
    venv_value_unref(&items);
    return code;
}

/* --- exec ----------------------------------------------------------------------------------------------------- */

static void print_line(FILE *out, bool safe, venv_str line)
{
    if (safe)
        print_safe(out, line);
    else
        (void)fwrite(line.data, 1, line.size, out);
}

/* What a command wrote: as it is, or escaped line by line where a person would see it. */
static void print_output(FILE *out, bool terminal, venv_str prefix, const venv_value *output)
{
    if (!output || (venv_value_kind(output) != VENV_BYTES && venv_value_kind(output) != VENV_STRING))
        return;
    venv_str text = venv_value_peek_text(output);
    if (!terminal && prefix.size == 0) {
        (void)fwrite(text.data, 1, text.size, out);
        return;
    }
    while (text.size > 0) {
        const char *end = memchr(text.data, '\n', text.size);
        venv_str line = { text.data, end ? (size_t)(end - text.data) : text.size };
        if (prefix.size > 0) {
            print_safe(out, prefix);
            fputs(": ", out);
        }
        print_line(out, terminal, line);
        fputc('\n', out);
        size_t used = line.size + (end ? 1 : 0);
        text.data += used;
        text.size -= used;
    }
}

/* How one agent's command ended; told on standard error if it was not well. */
static int exec_outcome(venvctl *app, const venv_value *item)
{
    int code = item_failure(app, item);
    if (code != EXIT_DONE)
        return code;
    venv_str agent = venv_value_get_text(item, "agent"), command = venv_value_get_text(item, "command");
    int64_t signal = venv_value_get_int(item, "signal", 0), status = venv_value_get_int(item, "exit", 0);
    const char *cut = venv_value_get_bool(item, "truncated", false) ? "; its output was cut" : "";
    if (venv_value_get_bool(item, "timed_out", false))
        app_say(app, "%.*s: %.*s took too long and was ended%s", (int)agent.size, agent.data, (int)command.size, command.data, cut);
    else if (signal != 0)
        app_say(app, "%.*s: %.*s was ended by signal %" PRId64 "%s", (int)agent.size, agent.data, (int)command.size, command.data, signal, cut);
    else if (status != 0)
        app_say(app, "%.*s: %.*s ended with %" PRId64 "%s", (int)agent.size, agent.data, (int)command.size, command.data, status, cut);
    else if (cut[0])
        app_say(app, "%.*s: the output of %.*s was cut", (int)agent.size, agent.data, (int)command.size, command.data);
    else
        return EXIT_DONE;
    return signal != 0 || status != 0 || venv_value_get_bool(item, "timed_out", false) ? EXIT_FAILED : EXIT_DONE;
}

static int print_results(venvctl *app, const venv_value *items)
{
    int code = app_has(app, OPTION_JSON) ? print_json(app, items) : EXIT_DONE;
    size_t failed = 0;
    for (size_t i = 0; i < venv_value_count(items); i++) {
        const venv_value *item = venv_value_at(items, i);
        venv_str prefix = { "", 0 };
        if (venv_value_count(items) > 1)
            prefix = venv_value_get_text(item, "agent");
        if (!app_has(app, OPTION_JSON)) {
            print_output(app->out, app->out_is_terminal, prefix, venv_value_get(item, "stdout"));
            (void)fflush(app->out);
            print_output(app->err, true, prefix, venv_value_get(item, "stderr"));
        }
        int one = exec_outcome(app, item);
        failed += one != EXIT_DONE;
        code = worse(code, one);
    }
    return in_all(code, failed, venv_value_count(items));
}

/* {agent, commands: [{name, path}]} as one row for each command. */
static int print_commands(venvctl *app, const venv_value *items)
{
    static const column columns[] = { { "AGENT", "agent", CELL_TEXT }, { "COMMAND", "name", CELL_TEXT }, { "PATH", "path", CELL_TEXT } };
    static const column names[] = { { "COMMAND", "name", CELL_TEXT } };
    if (app_has(app, OPTION_JSON))
        return worse(print_json(app, items), failures(app, items));
    venv_error err = { 0 };
    venv_value rows = venv_value_null();
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(items); i++) {
        const venv_value *item = venv_value_at(items, i), *commands = venv_value_get(item, "commands");
        for (size_t c = 0; commands && c < venv_value_count(commands); c++) {
            const venv_value *command = venv_value_at(commands, c);
            venv_str agent = venv_value_get_text(item, "agent"), name = venv_value_get_text(command, "name"),
                     path = venv_value_get_text(command, "path");
            venv_map_builder map;
            venv_value row = venv_value_null();
            venv_map_init(&map);
            venv_map_put_text(&map, "agent", agent.data, agent.size);
            venv_map_put_text(&map, "name", name.data, name.size);
            venv_map_put_text(&map, "path", path.data, path.size);
            if (venv_map_take(&map, &row, &err) == VENV_OK)
                venv_list_add(&list, row);
        }
    }
    if (venv_list_take(&list, &rows, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = app_has(app, OPTION_QUIET) ? print_items(app, &rows, names, 1) : print_items(app, &rows, columns, 3);
    venv_value_unref(&rows);
    return worse(code, failures(app, items));
}

int run_exec(venvctl *app)
{
    venv_error err = { 0 };
    venv_id id = { { 0 } };
    int code = app_id(app, OPTION_ID, &id);
    if (code != EXIT_DONE)
        return code;
    venv_map_builder map;
    venv_value items = venv_value_null(), args = venv_value_null();
    venv_map_init(&map);
    put_target(app, &map);
    if (!venv_id_is_none(id))
        venv_map_put_id(&map, "id", id);
    if (app->argument_count > 1) {
        venv_list_builder list;
        venv_list_init(&list);
        for (size_t i = 2; i < app->argument_count; i++)
            venv_list_add_text(&list, app->arguments[i]);
        if (venv_list_take(&list, &args, &err) != VENV_OK) {
            venv_map_fini(&map);
            return app_fail(app, &err);
        }
        venv_map_put_z(&map, "command", app->arguments[1]);
        venv_map_put(&map, "args", args);
    }
    put_timeout(app, &map);
    code = ask(app, VENV_CLIENT_EXEC, &map, &items);
    if (code != EXIT_DONE)
        return code;
    code = app->argument_count > 1 ? print_results(app, &items) : print_commands(app, &items);
    venv_value_unref(&items);
    return code;
}

/* --- sync -------------------------------------------------------------------------------------------------------- */

int run_sync(venvctl *app)
{
    static const column columns[] = { { "AGENT", "agent", CELL_TEXT }, { "IMAGE", "image", CELL_TEXT }, { "VERSION", "version", CELL_TEXT },
                                      { "FETCHED", "bytes", CELL_TEXT } };
    venv_id id = { { 0 } };
    int code = app_id(app, OPTION_ID, &id);
    if (code != EXIT_DONE)
        return code;
    venv_map_builder map;
    venv_value items = venv_value_null();
    venv_map_init(&map);
    put_target(app, &map);
    venv_map_put_z(&map, "image", app->arguments[1]);
    if (!venv_id_is_none(id))
        venv_map_put_id(&map, "id", id);
    put_timeout(app, &map);
    code = ask(app, VENV_CLIENT_SYNC, &map, &items);
    if (code != EXIT_DONE)
        return code;
    if (!app_has(app, OPTION_QUIET) || app_has(app, OPTION_JSON))
        code = print_good(app, &items, columns, 4);
    code = worse(code, failures(app, &items));
    venv_value_unref(&items);
    return code;
}

/* --- control ---------------------------------------------------------------------------------------------------- */

int run_control(venvctl *app)
{
    static const char *const verbs[] = { "stop", "rcon", "rjoin", NULL };
    static const column columns[] = { { "AGENT", "agent", CELL_TEXT }, { "REPLY", "reply", CELL_TEXT } };
    const char *verb = app->arguments[1];
    bool known = false;
    for (size_t i = 0; verbs[i]; i++)
        known = known || strcmp(verbs[i], verb) == 0;
    if (!known)
        return app_usage(app, "an agent cannot be told to \"%s\"; stop, rcon (reconnect) or rjoin (join groups again) is expected", verb);
    if (app->argument_count > 2 && strcmp(verb, "rjoin") != 0)
        return app_usage(app, "only rjoin takes groups");
    venv_error err = { 0 };
    venv_id id = { { 0 } };
    int code = app_id(app, OPTION_ID, &id);
    if (code != EXIT_DONE)
        return code;
    venv_map_builder map;
    venv_value items = venv_value_null(), groups = venv_value_null();
    venv_map_init(&map);
    put_target(app, &map);
    if (!venv_id_is_none(id))
        venv_map_put_id(&map, "id", id);
    venv_map_put_z(&map, "verb", verb);
    if (app->argument_count > 2) {
        venv_list_builder list;
        venv_list_init(&list);
        for (size_t i = 2; i < app->argument_count; i++)
            venv_list_add_text(&list, app->arguments[i]);
        if (venv_list_take(&list, &groups, &err) != VENV_OK) {
            venv_map_fini(&map);
            return app_fail(app, &err);
        }
        venv_map_put(&map, "groups", groups);
    }
    code = ask(app, VENV_CLIENT_STEER, &map, &items);
    if (code != EXIT_DONE)
        return code;
    if (!app_has(app, OPTION_QUIET) || app_has(app, OPTION_JSON))
        code = print_good(app, &items, columns, 2);
    code = worse(code, failures(app, &items));
    venv_value_unref(&items);
    return code;
}

/* --- forget ----------------------------------------------------------------------------------------------------- */

int run_forget(venvctl *app)
{
    venv_error err = { 0 };
    venv_client_change_options options = { .why = app->value[OPTION_WHY] };
    venv_value agent = venv_value_null();
    int code = app_id(app, OPTION_ID, &options.id);
    if (code == EXIT_DONE)
        code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    if (venv_client_forget_agent(app->client, app->arguments[0], &options, &agent, &err) != VENV_OK)
        return app_fail(app, &err);
    if (app_has(app, OPTION_JSON))
        code = print_json(app, &agent);
    else if (!app_has(app, OPTION_QUIET))
        fprintf(app->out, "%s is forgotten\n", app->arguments[0]);
    venv_value_unref(&agent);
    return code;
}
