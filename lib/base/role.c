/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words for roles.
 */
#include <venv/common.h>

#include <string.h>

static const char *const names[] = {
    [VENV_ROLE_NONE] = "none",
    [VENV_ROLE_MANAGER] = "manager",
    [VENV_ROLE_AGENT] = "agent",
    [VENV_ROLE_USER] = "user",
};

const char *venv_role_name(venv_role role)
{
    return (unsigned)role < sizeof names / sizeof names[0] ? names[role] : names[VENV_ROLE_NONE];
}

venv_role venv_role_parse(venv_str name)
{
    for (unsigned i = VENV_ROLE_MANAGER; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == name.size && memcmp(names[i], name.data, name.size) == 0)
            return (venv_role)i;
    }
    return VENV_ROLE_NONE;
}
