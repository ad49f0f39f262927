/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the tables of the agent's configuration and of its built-in properties as roff, for venv-agent.yaml(5). */

#include "agent/builtin.h"
#include "agent/config.h"
#include "keys.h"

#include <stdio.h>
#include <string.h>

static int keys(const char *prefix)
{
    return !keys_table(venv_agent_config_rows(), prefix, false);
}

static int builtins(void)
{
    for (size_t i = 0; venv_builtin_at(i); i++) {
        const venv_builtin *builtin = venv_builtin_at(i);
        printf(".TP\n.B %s\n", builtin->name);
        keys_print(builtin->help);
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
