/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_TRIGGER_H
#define VENV_TRIGGER_TRIGGER_H

/* What the manager needs beside <venv/trigger.h>: definitions from files, whose errors carry file, line and column; a time without looks. */

#include <venv/codec.h>
#include <venv/trigger.h>

/* `marks` gives the mark of definition number `index` of the map; NULL: no marks. */
typedef const venv_mark *(*venv_trigger_mark_fn)(void *user, size_t index);

venv_rc venv_triggers_load(const venv_value *definitions, venv_trigger_mark_fn marks, void *user,
                           const venv_trigger_options *options, venv_triggers **ret_triggers, venv_error *err);

/* Nobody looked for a while: what was held is not known to have been true all the time, and begins anew. Nothing else changes. */
void venv_triggers_unlooked(venv_triggers *set, venv_now now);

#endif
