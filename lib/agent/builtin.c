/* SPDX-License-Identifier: Apache-2.0 */
/* The table of built-in properties. */

#include "agent/builtin.h"

#include <string.h>

static const venv_builtin builtins[VENV_BUILTIN__COUNT] = {
#define VENV_BUILTIN(id, name, type, unit, seconds, argument, help) \
    [VENV_BUILTIN_##id] = { VENV_BUILTIN_##id, (name), (type), (unit), (seconds), (argument), (help) },
#include "agent/builtin.def"
#undef VENV_BUILTIN
};

const venv_builtin *venv_builtin_at(size_t index)
{
    return index < VENV_BUILTIN__COUNT ? &builtins[index] : NULL;
}

const venv_builtin *venv_builtin_find(venv_str name)
{
    for (size_t i = 0; i < VENV_BUILTIN__COUNT; i++)
        if (strlen(builtins[i].name) == name.size && memcmp(builtins[i].name, name.data, name.size) == 0)
            return &builtins[i];
    return NULL;
}
