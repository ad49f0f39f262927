/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: words into options and arguments, by the tables of verbs.c.
 *
 * Options may stand anywhere, before or after the verb, until "--" or, for a verb that hands words on
 * (exec), until the words that are not ours begin.
 */
#include "venvctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool option_by_name(const char *name, size_t size, option_id *ret_option)
{
    for (int i = 0; i < OPTION__END; i++) {
        if (strlen(option_rows[i].name) == size && memcmp(option_rows[i].name, name, size) == 0) {
            *ret_option = (option_id)i;
            return true;
        }
    }
    return false;
}

/* A letter may be that of two options: then it is the one that the verb takes. */
static bool option_by_letter(const verb_row *verb, char letter, option_id *ret_option)
{
    bool known = false;
    for (int i = 0; i < OPTION__END; i++) {
        if (option_rows[i].letter != letter || letter == 0 || (known && !(verb && verb_takes(verb, (option_id)i))))
            continue;
        *ret_option = (option_id)i;
        known = true;
    }
    return known;
}

static int option_unknown(venvctl *app, const char *name, size_t size)
{
    const char *words[OPTION__END + 1];
    size_t count = 0;
    for (int i = 0; i < OPTION__END; i++)
        if (!app->verb || verb_takes(app->verb, (option_id)i))
            words[count++] = option_rows[i].name;
    words[count] = NULL;
    const char *near = venv_text_nearest((venv_str){ name, size }, words);
    if (near)
        return app_usage(app, "there is no option --%.*s; did you mean --%s?", (int)size, name, near);
    return app_usage(app, "there is no option --%.*s", (int)size, name);
}

static int option_store(venvctl *app, option_id option, const char *argument)
{
    const option_row *row = &option_rows[option];
    if (row->repeatable) {
        if (app->manager_count == VENV_CLIENT_MANAGERS_MAX)
            return app_usage(app, "more than %d managers", VENV_CLIENT_MANAGERS_MAX);
        app->managers[app->manager_count++] = argument;
    } else if (app->value[option] && row->argument) {
        return app_usage(app, "--%s is given twice", row->name);
    }
    app->value[option] = argument;
    return EXIT_DONE;
}

/* One word that starts with a dash; may take the next one, too. */
static int option_parse(venvctl *app, int argc, char *const *argv, int *at)
{
    const char *word = argv[*at];
    const char *name = word, *equals = NULL;
    size_t size = 0;
    option_id option = OPTION_HELP;
    bool known = false;
    if (word[1] == '-') {
        name = word + 2;
        equals = strchr(name, '=');
        size = equals ? (size_t)(equals - name) : strlen(name);
        known = option_by_name(name, size, &option);
        if (!known)
            return option_unknown(app, name, size);
    } else {
        known = option_by_letter(app->verb, word[1], &option);
        if (!known || (word[2] != 0 && !option_rows[option].argument))
            return app_usage(app, "there is no option %s", word);
        equals = word[2] != 0 ? word + 1 : NULL;
    }
    const option_row *row = &option_rows[option];
    if (!row->argument) {
        if (equals)
            return app_usage(app, "--%s takes no argument", row->name);
        return option_store(app, option, "");
    }
    if (equals) {
        if (equals[1] == 0)
            return app_usage(app, "--%s needs %s after the =", row->name, row->argument);
        return option_store(app, option, equals + 1);
    }
    if (row->optional)
        return option_store(app, option, "");
    if (*at + 1 >= argc)
        return app_usage(app, "--%s needs %s", row->name, row->argument);
    *at += 1;
    return option_store(app, option, argv[*at]);
}

/* Words of a verb that there is not. */
static int verb_unknown(venvctl *app)
{
    const char *names[128];
    size_t count = 0;
    char both[128] = "";
    for (size_t i = 0; i < verb_count && count < 127; i++)
        if (verb_rows[i].summary)
            names[count++] = verb_rows[i].name;
    names[count] = NULL;
    const char *near = NULL;
    if (app->argument_count > 1) {
        (void)snprintf(both, sizeof both, "%s %s", app->words[0], app->words[1]);
        near = venv_text_nearest((venv_str){ both, strlen(both) }, names);
    }
    if (!near)
        near = venv_text_nearest((venv_str){ app->words[0], strlen(app->words[0]) }, names);
    const char *said = app->argument_count > 1 && near && strchr(near, ' ') ? both : app->words[0];
    if (strcmp(said, "cert") == 0)
        return app_usage(app, "cert what? cert init, cert issue or cert show");
    if (near)
        return app_usage(app, "there is no verb \"%s\"; did you mean \"%s\"?", said, near);
    return app_usage(app, "there is no verb \"%s\"", app->words[0]);
}

static int check(venvctl *app)
{
    static const option_id local[] = { OPTION_FILE, OPTION_NAME };
    const verb_row *verb = app->verb;
    for (int i = OPTION_GLOBAL_END; i < OPTION__END; i++)
        if (app->value[i] && !verb_takes(verb, (option_id)i) && !(i == OPTION_CLUSTER && app_has(app, OPTION_CONNECT)))
            return app_usage(app, "\"%s\" takes no option --%s", verb->name, option_rows[i].name);
    if (app_has(app, OPTION_HELP) || app_has(app, OPTION_VERSION))
        return EXIT_DONE;
    for (size_t i = 0; !app_has(app, OPTION_CONNECT) && i < sizeof local / sizeof local[0]; i++)
        if (app_has(app, local[i]) && verb->run != run_apply && verb->run != run_environment_import)
            return app_usage(app, "--%s goes with --connect URI", option_rows[local[i]].name);
    if (app->argument_count < verb->least)
        return app_usage(app, "\"%s\" needs %s", verb->name, verb->arguments);
    if (app->argument_count > verb->most)
        return app_usage(app, "\"%s\" takes %s: what is \"%s\"?", verb->name,
                         verb->most == 0 ? "no arguments" : verb->arguments, app->arguments[verb->most]);
    app->has_timeout = app_has(app, OPTION_TIMEOUT);
    return app_span(app, OPTION_TIMEOUT, &app->timeout);
}

int app_parse(venvctl *app, int argc, char *const *argv)
{
    bool options = true;
    size_t verb_words = 0;
    for (int at = 0; at < argc; at++) {
        const char *word = argv[at];
        bool dash = word[0] == '-' && (word[1] == '-' || (word[1] >= 'a' && word[1] <= 'z') || (word[1] >= 'A' && word[1] <= 'Z'));
        if (options && dash) { /* "-1 + 2" is an expression */
            if (strcmp(word, "--") == 0) {
                options = false;
                continue;
            }
            int code = option_parse(app, argc, argv, &at);
            if (code != EXIT_DONE)
                return code;
            continue;
        }
        if (app->argument_count == APP_ARGUMENTS_MAX)
            return app_usage(app, "more than %d arguments", APP_ARGUMENTS_MAX);
        app->words[app->argument_count++] = argv[at];
        if (!app->verb) {
            app->verb = verb_find(app->words, app->argument_count, &verb_words);
            if (app->verb && verb_words > 1 && app->argument_count < verb_words)
                app->verb = NULL;
        }
        if (app->verb && app->verb->rest_after &&
            app->argument_count >= verb_words + app->verb->rest_after)
            options = false;
        if (app->verb && app->verb->run == run_complete)
            options = false;
    }
    app->words[app->argument_count] = NULL;
    if (!app->verb) {
        if (app->argument_count == 0)
            return EXIT_DONE;
        return verb_unknown(app);
    }
    app->arguments = app->words + verb_words;
    app->argument_count -= verb_words;
    return check(app);
}

int app_number(venvctl *app, option_id option, int64_t min, int64_t max, int64_t *ret_number)
{
    const char *text = app->value[option];
    if (!text)
        return EXIT_DONE;
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != 0 || end == text || text[0] == '+' || text[0] == ' ' || number < min || number > max)
        return app_usage(app, "--%s %s: a number from %" PRId64 " to %" PRId64 " is expected",
                         option_rows[option].name, text, min, max);
    *ret_number = number;
    return EXIT_DONE;
}

int app_span(venvctl *app, option_id option, venv_span *ret_span)
{
    const char *text = app->value[option];
    if (text && !venv_span_parse((venv_str){ text, strlen(text) }, ret_span))
        return app_usage(app, "--%s %s: a length of time is expected, as 500ms, 30s, 5m or 1h30m",
                         option_rows[option].name, text);
    return EXIT_DONE;
}

int app_size(venvctl *app, option_id option, uint64_t *ret_bytes)
{
    const char *text = app->value[option];
    if (text && !venv_size_parse((venv_str){ text, strlen(text) }, ret_bytes))
        return app_usage(app, "--%s %s: a size is expected, as 10MiB or 1GB", option_rows[option].name, text);
    return EXIT_DONE;
}

int app_id(venvctl *app, option_id option, venv_id *ret_id)
{
    const char *text = app->value[option];
    if (text && !venv_id_parse((venv_str){ text, strlen(text) }, ret_id))
        return app_usage(app, "--%s %s: a UUID is expected, as uuidgen(1) makes them", option_rows[option].name, text);
    return EXIT_DONE;
}

int app_moment(venvctl *app, option_id option, venv_wall fallback, venv_wall *ret_wall)
{
    const char *text = app->value[option];
    venv_span span;
    *ret_wall = fallback;
    if (!text || app_parse_time((venv_str){ text, strlen(text) }, ret_wall))
        return EXIT_DONE;
    int code = app_span(app, option, &span);
    if (code == EXIT_DONE)
        ret_wall->ns = app->now.ns - span.ns;
    return code;
}
