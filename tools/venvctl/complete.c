/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb complete, which the shell's completion calls: what may stand where the cursor is, one a line.
 *
 *      venvctl complete WORD... PREFIX         the words after "venvctl", the last one unfinished
 *      venvctl complete --roff                 the sections of venvctl(1) that come from the tables
 *
 * Names of agents, environments and so on are asked from the manager, if it answers at once. ":file" and
 * ":directory" ask the shell for its own completion.
 */
#include "venvctl.h"

#include <string.h>

#define PATIENCE_NS (VENV_NS_PER_S) /* for the manager, while somebody waits at the keyboard */

/* What is known of the unfinished command line. */
typedef struct written {
    const verb_row *verb;
    size_t position;         /* of the argument that is being written */
    const char *before;      /* the argument before it */
    const option_row *option; /* whose argument is being written */
    const char *first;       /* of a verb with two words, the first one was written */
} written;

static bool option_of(const char *word, const option_row **ret_row, bool *ret_has_value)
{
    const char *equals = strchr(word, '=');
    for (int i = 0; i < OPTION__END; i++) {
        const option_row *row = &option_rows[i];
        size_t size = strlen(row->name);
        bool is_long = strncmp(word, "--", 2) == 0 && strncmp(word + 2, row->name, size) == 0 &&
                       (word[2 + size] == 0 || word[2 + size] == '=');
        if (is_long || (row->letter && word[0] == '-' && word[1] == row->letter && word[2] == 0)) {
            *ret_row = row;
            *ret_has_value = equals != NULL;
            return true;
        }
    }
    return false;
}

/* Remember the options that say where the manager is. */
static void take_option(venvctl *app, const option_row *row, const char *value)
{
    option_id option = (option_id)(row - option_rows);
    if (option == OPTION_MANAGER && app->manager_count < VENV_CLIENT_MANAGERS_MAX)
        app->managers[app->manager_count++] = value;
    else if (option == OPTION_CONFIG || option == OPTION_TLS || option == OPTION_USER)
        app->value[option] = value;
}

static written read_line(venvctl *app)
{
    written line = { 0 };
    char *words[VERB_WORDS_MAX];
    size_t count = 0, verb_words = 0;
    for (size_t i = 0; i + 1 < app->argument_count; i++) {
        char *word = app->arguments[i];
        const option_row *row = NULL;
        bool has_value = false;
        line.option = NULL;
        if (word[0] == '-' && option_of(word, &row, &has_value)) {
            if (has_value)
                take_option(app, row, strchr(word, '=') + 1);
            else if (row->argument && !row->optional && i + 2 < app->argument_count)
                take_option(app, row, app->arguments[++i]);
            else if (row->argument && !row->optional)
                line.option = row;
            continue;
        }
        line.before = word;
        if (!line.verb && count < VERB_WORDS_MAX) {
            words[count++] = word;
            line.verb = verb_find(words, count, &verb_words);
            line.first = line.verb ? NULL : word;
        } else {
            line.position++;
        }
    }
    return line;
}

static void offer(venvctl *app, const char *prefix, const char *word)
{
    if (strncmp(word, prefix, strlen(prefix)) == 0)
        fprintf(app->out, "%s\n", word);
}

static void offer_list(venvctl *app, const char *prefix, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        offer(app, prefix, words[i]);
}

/* Names that the manager knows. Silent if it does not answer. */
static void offer_names(venvctl *app, const char *prefix, const char *what, const char *mark)
{
    venv_error err = { 0 };
    venv_value items = venv_value_null();
    FILE *err_out = app->err, *nowhere = fopen("/dev/null", "w");
    if (!nowhere)
        return;
    app->err = nowhere;
    app->has_timeout = true;
    app->timeout.ns = PATIENCE_NS;
    int code = app->client ? EXIT_DONE : app_connect(app);
    if (code == EXIT_DONE && venv_client_list(app->client, what, &items, &err) == VENV_OK) {
        for (size_t i = 0; i < venv_value_count(&items); i++) {
            char name[VENV_NAME_MAX + 16], word[VENV_NAME_MAX + 20];
            venv_id id;
            char text[VENV_ID_TEXT_SIZE];
            (void)venv_text_safe(venv_value_get_text(venv_value_at(&items, i), "name"), name, sizeof name);
            if (!name[0] && venv_value_get_id(venv_value_at(&items, i), "id", &id))
                (void)snprintf(name, sizeof name, "%s", venv_id_format(id, text));
            (void)snprintf(word, sizeof word, "%s%s", mark, name);
            if (name[0])
                offer(app, prefix, word);
        }
    }
    venv_value_unref(&items);
    app->err = err_out;
    (void)fclose(nowhere);
}

static void offer_verbs(venvctl *app, const char *prefix, const char *first)
{
    for (size_t i = 0; i < verb_count; i++) {
        char word[64];
        const char *space = strchr(verb_rows[i].name, ' ');
        if (!verb_rows[i].summary)
            continue;
        size_t size = space ? (size_t)(space - verb_rows[i].name) : strlen(verb_rows[i].name);
        (void)snprintf(word, sizeof word, "%.*s", (int)size, verb_rows[i].name);
        bool again = i > 0 && space && strncmp(verb_rows[i - 1].name, verb_rows[i].name, size + 1) == 0; /* its first word, once */
        if (!first && again)
            continue;
        if (!first)
            offer(app, prefix, word);
        else if (space && strcmp(word, first) == 0)
            offer(app, prefix, space + 1);
    }
}

static void offer_kind(venvctl *app, const char *prefix, word_kind kind, const char *before)
{
    static const char *const plurals[] = { "agents", "groups", "environments", "instances", "triggers", "actions", "proposals", "breakers", NULL };
    static const char *const singulars[] = { "agent", "group", "environment", "instance", "trigger", "action", "proposal", "breaker", NULL };
    static const char *const states[] = { "running", "stopped", "starting", "paused", "saved", "migrating", NULL };
    static const char *const steer[] = { "stop", "rcon", "rjoin", NULL };
    static const char *const roles[] = { "manager", "agent", "user", NULL };
    static const char *const drains[] = { "migrate", "stop", "save", "none", NULL };
    static const char *const keys[] = { "p256", "ed25519", NULL };
    static const char *const reasons[] = { "instance", "node", "environment", "trigger", "action", NULL };
    char plural[32];
    switch (kind) {
    case WORDS_NONE:
        return;
    case WORDS_FILE:
        fputs(":file\n", app->out);
        return;
    case WORDS_DIRECTORY:
        fputs(":directory\n", app->out);
        return;
    case WORDS_PLURAL:
        offer_list(app, prefix, plurals);
        return;
    case WORDS_SINGULAR:
        offer_list(app, prefix, singulars);
        return;
    case WORDS_NAMED:
        (void)snprintf(plural, sizeof plural, "%ss", !before ? "" : strcmp(before, "node") == 0 ? "agent" : before);
        for (size_t i = 0; plurals[i]; i++)
            if (strcmp(plurals[i], plural) == 0)
                offer_names(app, prefix, plurals[i], "");
        return;
    case WORDS_ENVIRONMENT:
        offer_names(app, prefix, "environments", "");
        return;
    case WORDS_INSTANCE:
        offer_names(app, prefix, "instances", "");
        return;
    case WORDS_TARGET:
        offer_names(app, prefix, "groups", "@");
        offer_names(app, prefix, "agents", "");
        return;
    case WORDS_AGENT:
        offer_names(app, prefix, "agents", "");
        return;
    case WORDS_GROUP:
        offer_names(app, prefix, "groups", "");
        return;
    case WORDS_STATE:
        offer_list(app, prefix, states);
        return;
    case WORDS_STEER:
        offer_list(app, prefix, steer);
        return;
    case WORDS_ROLE:
        offer_list(app, prefix, roles);
        return;
    case WORDS_DRAIN:
        offer_list(app, prefix, drains);
        return;
    case WORDS_KEY:
        offer_list(app, prefix, keys);
        return;
    case WORDS_TRIGGER:
    case WORDS_TRIGGER_OR_FILE: /* the shell adds files */
        offer_names(app, prefix, "triggers", "");
        return;
    case WORDS_PROPOSAL:
        offer_names(app, prefix, "proposals", "");
        return;
    case WORDS_BREAKER:
        offer_names(app, prefix, "breakers", "");
        return;
    case WORDS_WHY:
        offer_list(app, prefix, reasons);
        return;
    case WORDS_VERB:
        offer_verbs(app, prefix, NULL);
        return;
    }
}

static void offer_options(venvctl *app, const char *prefix, const verb_row *verb)
{
    for (int i = 0; i < OPTION__END; i++) {
        char word[64];
        (void)snprintf(word, sizeof word, "--%s%s", option_rows[i].name, "");
        if (verb ? verb_takes(verb, (option_id)i) : i < OPTION_GLOBAL_END)
            offer(app, prefix, word);
    }
}

int run_complete(venvctl *app)
{
    if (app->argument_count == 1 && strcmp(app->arguments[0], "--roff") == 0) {
        help_print_roff(app);
        return EXIT_DONE;
    }
    const char *prefix = app->argument_count > 0 ? app->arguments[app->argument_count - 1] : "";
    written line = read_line(app);
    if (line.option) {
        offer_kind(app, prefix, line.option->words, NULL);
    } else if (prefix[0] == '-') {
        offer_options(app, prefix, line.verb);
    } else if (!line.verb) {
        offer_verbs(app, prefix, line.first);
    } else if (line.position < line.verb->most) {
        size_t at = line.position;
        while (at > 0 && (at >= VERB_WORDS_MAX || line.verb->words[at] == WORDS_NONE) && line.verb->most == 255)
            at--; /* the last kind repeats */
        offer_kind(app, prefix, at < VERB_WORDS_MAX ? line.verb->words[at] : WORDS_NONE, line.before);
    }
    return EXIT_DONE;
}
