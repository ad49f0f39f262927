/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help from the tables of verbs and options: for the terminal, and as sections of venvctl(1). The rest of the
 * page is in man/venvctl.
 */
#include "venvctl.h"

#include <string.h>

#define WIDTH 80

static bool is_shown(const verb_row *verb)
{
    return verb->summary != NULL;
}

/* --- for the terminal --------------------------------------------------------------------------------- */

/* Words with line breaks; `indent` blanks before each line but the first, which has `used` columns already. */
static void wrap(FILE *out, const char *text, size_t indent, size_t used)
{
    while (*text) {
        size_t size = strcspn(text, " \n");
        size_t width = text_width((venv_str){ text, size });
        if (used > indent && used + 1 + width > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            used = indent;
        }
        if (used > indent) {
            fputc(' ', out);
            used++;
        }
        (void)fwrite(text, 1, size, out);
        used += width;
        text += size;
        if (*text == '\n') {
            fprintf(out, "\n%*s", (int)indent, "");
            used = indent;
        }
        text += *text != 0;
    }
    fputc('\n', out);
}

static void option_left(const option_row *row, char *buffer, size_t size)
{
    char letter[8] = "";
    if (row->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", row->letter);
    (void)snprintf(buffer, size, "%s--%s%s%s%s", letter, row->name, row->argument ? (row->optional ? "[=" : " ") : "",
                   row->argument ? row->argument : "", row->optional ? "]" : "");
}

static void option_line(FILE *out, option_id option)
{
    char left[64];
    option_left(&option_rows[option], left, sizeof left);
    fprintf(out, "  %-24s", left);
    if (strlen(left) > 23)
        fprintf(out, "\n%26s", "");
    wrap(out, option_rows[option].summary, 26, 26);
}

void print_wrapped(FILE *out, const char *text)
{
    wrap(out, text, 0, 0);
}

static void verb_line(FILE *out, const verb_row *verb)
{
    fprintf(out, "  %-19s", verb->name);
    wrap(out, verb->summary, 21, 21);
}

static void help_verb(FILE *out, const verb_row *verb)
{
    fprintf(out, "Usage: venvctl %s%s", verb->name, verb->options[0] >= OPTION_GLOBAL_END ? " [OPTION...]" : "");
    fprintf(out, "%s%s\n\n", verb->arguments[0] ? " " : "", verb->arguments);
    wrap(out, verb->summary, 0, 0);
    if (verb->text) {
        fputc('\n', out);
        wrap(out, verb->text, 0, 0);
    }
    if (verb->options[0] >= OPTION_GLOBAL_END)
        fputs("\nOptions:\n", out);
    for (size_t i = 0; i < VERB_OPTIONS_MAX && verb->options[i] >= OPTION_GLOBAL_END; i++)
        option_line(out, verb->options[i]);
    if (verb->example)
        fprintf(out, "\nExample:\n  %s\n", verb->example);
    fputs("\nThe options that every verb takes: venvctl help. All about it: man venvctl.\n", out);
}

void help_print_short(FILE *out)
{
    fputs("Usage: venvctl [OPTION...] VERB [ARGUMENT...]\nSee: venvctl help\n", out);
}

void help_print(venvctl *app, const verb_row *verb)
{
    if (verb) {
        help_verb(app->out, verb);
        return;
    }
    fputs("Usage: venvctl [OPTION...] VERB [ARGUMENT...]\n\nAsk the manager of a cluster of virtual environments.\n\nVerbs:\n", app->out);
    for (size_t i = 0; i < verb_count; i++)
        if (is_shown(&verb_rows[i]))
            verb_line(app->out, &verb_rows[i]);
    fputs("\nOptions of every verb:\n", app->out);
    for (int i = 0; i < OPTION_GLOBAL_END; i++)
        option_line(app->out, (option_id)i);
    fputs("\nExit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 denied, 5 unreachable,\n"
          "6 timed out or the outcome is not known.\n", app->out);
}

int run_help(venvctl *app)
{
    size_t words = 0;
    if (app->argument_count == 0) {
        help_print(app, NULL);
        return EXIT_DONE;
    }
    const verb_row *verb = verb_find(app->arguments, app->argument_count, &words);
    if (verb && is_shown(verb) && words == app->argument_count) {
        help_print(app, verb);
        return EXIT_DONE;
    }
    /* The first of two words: all that begin with it. */
    bool found = false;
    size_t size = strlen(app->arguments[0]);
    for (size_t i = 0; i < verb_count && app->argument_count == 1; i++) {
        if (strncmp(verb_rows[i].name, app->arguments[0], size) != 0 || verb_rows[i].name[size] != ' ')
            continue;
        verb_line(app->out, &verb_rows[i]);
        found = true;
    }
    return found ? EXIT_DONE : app_usage(app, "there is no verb \"%s\"", app->arguments[0]);
}

/* --- for the manual page -------------------------------------------------------------------------------- */

/* Text of the tables as roff: `word` is bold, a newline is a break. */
static void roff(FILE *out, const char *text)
{
    bool bold = false;
    for (; *text; text++) {
        if (*text == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", out);
        } else if (*text == '\n') {
            fputs("\n.br\n", out);
        } else if (*text == '-') {
            fputs("\\-", out);
        } else if (*text == '\\') {
            fputs("\\e", out);
        } else if (*text == '\'') {
            fputs("\\(aq", out);
        } else if (*text == '~') {
            fputs("\\(ti", out);
        } else {
            fputc(*text, out);
        }
    }
}

static void roff_option(FILE *out, option_id option)
{
    const option_row *row = &option_rows[option];
    fputs(".TP\n", out);
    if (row->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
    fputs("\\fB\\-\\-", out);
    roff(out, row->name);
    fputs("\\fR", out);
    if (row->argument)
        fprintf(out, "%s\\fI%s\\fR%s", row->optional ? "[=" : " ", row->argument, row->optional ? "]" : "");
    fputc('\n', out);
    roff(out, row->summary);
    fputc('\n', out);
}

static void roff_verb(FILE *out, const verb_row *verb)
{
    fputs(".SS \"venvctl ", out);
    roff(out, verb->name);
    fputs(verb->arguments[0] ? " " : "", out);
    roff(out, verb->arguments);
    fputs("\"\n", out);
    roff(out, verb->summary);
    fputc('\n', out);
    if (verb->text) {
        fputs(".PP\n", out);
        roff(out, verb->text);
        fputc('\n', out);
    }
    for (size_t i = 0; i < VERB_OPTIONS_MAX && verb->options[i] >= OPTION_GLOBAL_END; i++)
        roff_option(out, verb->options[i]);
    if (verb->json) {
        fputs(".TP\nJSON\n", out);
        roff(out, verb->json);
        fputc('\n', out);
    }
    if (verb->example) {
        fputs(".TP\nExample\n\\fB", out);
        roff(out, verb->example);
        fputs("\\fR\n", out);
    }
}

void help_print_roff(venvctl *app)
{
    fputs(".SH SYNOPSIS\n.nf\n", app->out);
    for (size_t i = 0; i < verb_count; i++) {
        if (!is_shown(&verb_rows[i]))
            continue;
        fputs("\\fBvenvctl ", app->out);
        roff(app->out, verb_rows[i].name);
        fputs("\\fR [\\fIOPTION\\fR...] ", app->out);
        roff(app->out, verb_rows[i].arguments);
        fputc('\n', app->out);
    }
    fputs(".fi\n.SH OPTIONS\nThese go with every verb, and may stand before or after it.\n", app->out);
    for (int i = 0; i < OPTION_GLOBAL_END; i++)
        roff_option(app->out, (option_id)i);
    fputs(".SH VERBS\n", app->out);
    for (size_t i = 0; i < verb_count; i++)
        if (is_shown(&verb_rows[i]))
            roff_verb(app->out, &verb_rows[i]);
}
