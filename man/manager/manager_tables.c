/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the table of a section as roff, for venv-mgr.yaml(5). */
#include "keys.h"
#include "manager/config.h"

#include <string.h>

int main(int argc, char **argv)
{
    static const struct {
        const char *word, *prefix;
    } sections[] = { { "manager", "manager." }, { "mail", "mail." }, { "webhook", "webhooks.NAME." } };
    for (size_t i = 0; argc == 2 && i < sizeof sections / sizeof sections[0]; i++)
        if (strcmp(argv[1], sections[i].word) == 0)
            return !keys_table(venv_manager_config_rows(), sections[i].prefix, false);
    return 2;
}
