/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the tables of the keys of a definition as roff, for venv-environment(5). */
#include "environment/keys.h"
#include "keys.h"

#include <string.h>

int main(int argc, char **argv)
{
    static const struct {
        const char *word, *prefix;
    } sections[] = {
        { "whole", "" },       { "disk", "disks[]." }, { "volume", "disks[].network." }, { "network", "networks[]." },
        { "seed", "cloud_init." }, { "restart", "restart." }, { "scale", "scale." },
    };
    for (size_t i = 0; argc == 2 && i < sizeof sections / sizeof sections[0]; i++)
        if (strcmp(argv[1], sections[i].word) == 0)
            return !keys_table(venv_environment_rows, sections[i].prefix, true);
    return 2;
}
