/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_TRIGGER_H
#define VENV_TRIGGER_TRIGGER_H

/* venv_triggers_new() for definitions that come from files: errors carry file, line and column. */

#include <venv/codec.h>
#include <venv/trigger.h>

/* `marks` gives the mark of definition number `index` of the map; NULL: no marks. */
typedef const venv_mark *(*venv_trigger_mark_fn)(void *user, size_t index);

venv_rc venv_triggers_load(const venv_value *definitions, venv_trigger_mark_fn marks, void *user,
                           const venv_trigger_options *options, venv_triggers **ret_triggers, venv_error *err);

#endif
