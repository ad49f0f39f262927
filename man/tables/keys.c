/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <stdio.h>
#include <string.h>

void keys_print(const char *text)
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
    keys_print(text);
}

typedef struct wanted {
    const char *prefix;
    bool direct;
    unsigned count;
} wanted;

static venv_rc key(void *user, const venv_config_line *line)
{
    wanted *want = user;
    size_t size = strlen(want->prefix);
    if (strncmp(line->path, want->prefix, size) != 0 || !line->row->help || (want->direct && strchr(line->path + size, '.')))
        return VENV_OK;
    want->count++;
    fputs(".TP\n.B ", stdout);
    keys_print(line->path + size);
    fputs("\n", stdout);
    keys_print(line->row->help);
    fputs("\n.br\n", stdout);
    print_sentence(line->expected);
    if (line->row->required)
        fputs(". Required", stdout);
    if (line->row->fallback) {
        fputs(". Default: ", stdout);
        keys_print(line->row->fallback);
    }
    fputs(".\n", stdout);
    return VENV_OK;
}

bool keys_table(const venv_config_row *rows, const char *prefix, bool direct)
{
    wanted want = { .prefix = prefix, .direct = direct };
    return venv_config_describe(rows, "", key, &want) == VENV_OK && want.count;
}
