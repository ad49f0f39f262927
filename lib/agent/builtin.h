/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_BUILTIN_H
#define VENV_AGENT_BUILTIN_H

/* The table of built-in properties: what they are, not how they are measured (lib/runtime does that). */

#include <venv/property.h>

typedef enum venv_builtin_id {
#define VENV_BUILTIN(id, name, type, unit, seconds, argument, help) VENV_BUILTIN_##id,
#include "agent/builtin.def"
#undef VENV_BUILTIN
    VENV_BUILTIN__COUNT
} venv_builtin_id;

typedef struct venv_builtin {
    venv_builtin_id id;
    const char *name;
    venv_property_type type;
    const char *unit;
    int seconds;
    const char *argument; /* default argument; NULL: takes none */
    const char *help;
} venv_builtin;

/* Row `index`; NULL past the end. */
const venv_builtin *venv_builtin_at(size_t index);
/* NULL if there is none of that name. */
const venv_builtin *venv_builtin_find(venv_str name);

#endif
