/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the tables of the agent's configuration and of its built-in properties as roff, for venv-agent.yaml(5). */

#include "agent/builtin.h"
#include "agent/config.h"

#include <stdio.h>
#include <string.h>

static void print(const char *text)
{
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
    }
}

/* The texts of venv_config_expected() have their article, whose first letter is made large; a list of words as they are written
 * in the file has none. */
static void print_sentence(const char *text)
{
    if (strncmp(text, "a ", 2) != 0 && strncmp(text, "an ", 3) != 0 && strstr(text, " or "))
        fputs("One of ", stdout);
    else if (text[0] >= 'a' && text[0] <= 'z')
        putchar(*text++ - 'a' + 'A');
    print(text);
}

typedef struct wanted {
    const char *prefix;
    unsigned count;
} wanted;

static venv_rc key(void *user, const venv_config_line *line)
{
    wanted *want = user;
    size_t size = strlen(want->prefix);
    if (strncmp(line->path, want->prefix, size) != 0 || !line->row->help)
        return VENV_OK;
    want->count++;
    fputs(".TP\n.B ", stdout);
    print(line->path + size);
    fputs("\n", stdout);
    print(line->row->help);
    fputs("\n.br\n", stdout);
    print_sentence(line->expected);
    if (line->row->required)
        fputs(". Required", stdout);
    if (line->row->fallback) {
        fputs(". Default: ", stdout);
        print(line->row->fallback);
    }
    fputs(".\n", stdout);
    return VENV_OK;
}

static int keys(const char *prefix)
{
    wanted want = { .prefix = prefix };
    return venv_config_describe(venv_agent_config_rows(), "", key, &want) || want.count == 0;
}

static int builtins(void)
{
    for (size_t i = 0; venv_builtin_at(i); i++) {
        const venv_builtin *builtin = venv_builtin_at(i);
        printf(".TP\n.B %s\n", builtin->name);
        print(builtin->help);
        printf(".\n.br\n%s%s%s, ", venv_property_type_name(builtin->type), builtin->unit[0] ? ", in " : "", builtin->unit);
        if (builtin->seconds)
            printf("every %d s", builtin->seconds);
        else
            fputs("once", stdout);
        if (builtin->argument)
            printf("; argument: a path, %s by default", builtin->argument);
        fputs(".\n", stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "agent") == 0)
        return keys("agent.");
    if (argc == 2 && strcmp(argv[1], "properties") == 0)
        return keys("properties.NAME.");
    if (argc == 2 && strcmp(argv[1], "builtins") == 0)
        return builtins();
    fputs("agent_tables agent|properties|builtins\n", stderr);
    return 2;
}
