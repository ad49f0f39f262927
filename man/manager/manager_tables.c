/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the table of the section `manager` as roff, for venv-mgr.yaml(5). */
#include "codec/config.h"
#include "manager/config.h"

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

static venv_rc key(void *user, const venv_config_line *line)
{
    static const char prefix[] = "manager.";
    unsigned *count = user;
    if (strncmp(line->path, prefix, sizeof prefix - 1) != 0 || !line->row->help)
        return VENV_OK;
    ++*count;
    fputs(".TP\n.B ", stdout);
    print(line->path + sizeof prefix - 1);
    fputs("\n", stdout);
    print(line->row->help);
    fputs("\n.br\n", stdout);
    char first[2] = { line->expected[0], '\0' };
    if (first[0] >= 'a' && first[0] <= 'z')
        first[0] = (char)(first[0] - 'a' + 'A');
    print(first);
    print(line->expected + 1);
    if (line->row->required)
        fputs(". Required", stdout);
    if (line->row->fallback) {
        fputs(". Default: ", stdout);
        print(line->row->fallback);
    }
    fputs(".\n", stdout);
    return VENV_OK;
}

int main(void)
{
    unsigned count = 0;
    return venv_config_describe(venv_manager_config_rows(), "", key, &count) != VENV_OK || count == 0;
}
