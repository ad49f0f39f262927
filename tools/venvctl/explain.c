/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a condition looks to people: its text, and under each part of it the value that the part had.
 *
 *      queue("class2").pending > 0 && now > since
 *      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^  true
 *      ^^^^^^^^^^^^^^^^^^^^^^^^^^^                 true
 *
 * A text too wide for that is a list of the parts, indented.
 */
#include "venvctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_WIDTH_MAX 88 /* columns of an expression that is underlined */
#define SOURCE_SIZE_MAX  16384

/* The text on one line: whatever moves the cursor is a blank, of the same number of bytes. */
static char *one_line(venv_str source)
{
    char *text = malloc(source.size + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < source.size; i++)
        text[i] = (unsigned char)source.data[i] < 0x20 || source.data[i] == 0x7f ? ' ' : source.data[i];
    text[source.size] = '\0';
    return text;
}

static void print_outcome(venvctl *app, const venv_value *part)
{
    venv_str state = venv_value_get_text(part, "state"), text = venv_value_get_text(part, "text");
    bool error = venv_value_is_text(venv_value_get(part, "state"), "error");
    int64_t rounds = venv_value_get_int(part, "rounds", -1);
    if (error)
        fputs("error: ", app->out);
    if (text.size > 0)
        print_safe(app->out, text);
    else if (!error)
        print_safe(app->out, state);
    if (rounds == 1) {
        fputs("  (one round)", app->out);
    } else if (rounds > 0) {
        const venv_value *value = venv_value_get(part, "value");
        if (value && venv_value_kind(value) == VENV_BOOL)
            fprintf(app->out, "  (the last of %" PRId64 " rounds, true in %" PRId64 ")", rounds, venv_value_get_int(part, "trues", 0));
        else
            fprintf(app->out, "  (the last of %" PRId64 " rounds)", rounds);
    }
    if (!venv_value_get_bool(part, "needed", true) && rounds < 0)
        fputs("  (not needed)", app->out);
    fputc('\n', app->out);
}

static void print_underlined(venvctl *app, const char *source, size_t size, const venv_value *part, int indent, size_t width)
{
    size_t begin = (size_t)venv_value_get_int(part, "begin", 0), end = (size_t)venv_value_get_int(part, "end", 0);
    begin = begin < size ? begin : size;
    end = end < size ? end : size;
    end = end < begin ? begin : end;
    size_t left = text_width((venv_str){ source, begin }), under = text_width((venv_str){ source + begin, end - begin });
    fprintf(app->out, "%*s", indent + (int)left, "");
    for (size_t i = 0; i < under; i++)
        fputc('^', app->out);
    fprintf(app->out, "%*s", (int)(width - left - under) + 2, "");
    print_outcome(app, part);
}

static void print_listed(venvctl *app, const char *source, size_t size, const venv_value *part, int indent)
{
    size_t begin = (size_t)venv_value_get_int(part, "begin", 0), end = (size_t)venv_value_get_int(part, "end", 0);
    begin = begin < size ? begin : size;
    end = end < size ? end : size;
    fprintf(app->out, "%*s", indent + 2 * (int)venv_value_get_int(part, "depth", 0), "");
    print_safe(app->out, (venv_str){ source + begin, end > begin ? end - begin : 0 });
    fputs("\n", app->out);
    fprintf(app->out, "%*s= ", indent + 2 * (int)venv_value_get_int(part, "depth", 0), "");
    print_outcome(app, part);
}

void print_condition(venvctl *app, const venv_value *condition, int indent)
{
    venv_str text = venv_value_get_text(condition, "source");
    const venv_value *parts = venv_value_get(condition, "parts");
    char *source = text.size <= SOURCE_SIZE_MAX ? one_line(text) : NULL;
    if (!source)
        return;
    size_t width = text_width((venv_str){ source, text.size });
    bool narrow = width <= SOURCE_WIDTH_MAX;
    if (narrow) {
        fprintf(app->out, "%*s", indent, "");
        print_safe(app->out, (venv_str){ source, text.size });
        fputc('\n', app->out);
    }
    for (size_t i = 0; i < venv_value_count(parts); i++) {
        if (narrow)
            print_underlined(app, source, text.size, venv_value_at(parts, i), indent, width);
        else
            print_listed(app, source, text.size, venv_value_at(parts, i), indent);
    }
    if (venv_value_get_bool(condition, "cut", false))
        fprintf(app->out, "%*s… and more parts\n", indent, "");
    free(source);
}
