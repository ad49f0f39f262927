/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the table of a section as roff, for venv-mgr.yaml(5): manager_tables PREFIX, as in `manager.` or `webhooks.NAME.` */
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

typedef struct printing {
    const char *prefix;
    unsigned count;
} printing;

static venv_rc key(void *user, const venv_config_line *line)
{
    printing *p = user;
    size_t size = strlen(p->prefix);
    if (strncmp(line->path, p->prefix, size) != 0 || !line->row->help)
        return VENV_OK;
    p->count++;
    fputs(".TP\n.B ", stdout);
    print(line->path + size);
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

int main(int argc, char **argv)
{
    printing p = { argc == 2 ? argv[1] : "manager.", 0 };
    return venv_config_describe(venv_manager_config_rows(), "", key, &p) != VENV_OK || p.count == 0;
}
