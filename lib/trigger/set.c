/* SPDX-License-Identifier: Apache-2.0 */
/* The set of triggers: made all at once, or not at all. */
#include "trigger/internal.h"

#include <stdlib.h>
#include <string.h>

venv_rc venv_triggers_new(const venv_value *definitions, const venv_trigger_options *options,
                          venv_triggers **ret_triggers, venv_error *err)
{
    return venv_triggers_load(definitions, NULL, NULL, options, ret_triggers, err);
}

static venv_rc add(venv_triggers *set, const venv_value *key, const venv_value *definition,
                   const venv_mark *mark, const venv_trigger_options *options, venv_error *err)
{
    char name[VENV_NAME_MAX + 2];
    venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : VENV_STR("");
    if (text.size == 0 || text.size > VENV_NAME_MAX)
        return venv_error_set(err, VENV_EINVAL, "a trigger needs a name of 1 to %d characters", VENV_NAME_MAX);
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    trigger *t = NULL;
    venv_rc rc = venv_trigger_new(name, definition, mark, options, &t, err);
    if (rc != VENV_OK)
        return rc;
    t->index = set->count;
    set->items[set->count++] = t;
    return venv_table_add(set->by_name, name, strlen(name), t, err);
}

venv_rc venv_triggers_load(const venv_value *definitions, venv_trigger_mark_fn marks, void *user,
                           const venv_trigger_options *options, venv_triggers **ret_triggers, venv_error *err)
{
    venv_kind kind = venv_value_kind(definitions);
    if (kind != VENV_MAP && kind != VENV_NULL)
        return venv_error_set(err, VENV_EKIND, "triggers: expected a map from names to definitions");
    if (options->tick.ns <= 0)
        return venv_error_set(err, VENV_EINVAL, "a tick has to be longer than nothing");
    size_t count = venv_value_count(definitions);
    if (count > VENV_TRIGGERS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu triggers; at most %u are allowed", count, VENV_TRIGGERS_MAX);
    venv_triggers *set = calloc(1, sizeof *set);
    if (!set)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    set->tick = options->tick;
    set->deadline = VENV_INSTANT_NEVER;
    set->items = calloc(count ? count : 1, sizeof *set->items);
    venv_rc rc = set->items ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK)
        rc = venv_table_new(1, VENV_TRIGGERS_MAX, &set->by_name, err);
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&set->memory, err);
    const venv_value *key, *definition;
    for (size_t i = 0; rc == VENV_OK && venv_value_entry(definitions, i, &key, &definition); i++)
        rc = add(set, key, definition, marks ? marks(user, i) : NULL, options, err);
    if (rc == VENV_OK)
        rc = venv_trigger_index_build(set, err);
    if (rc != VENV_OK) {
        venv_triggers_free(set);
        return rc;
    }
    set->deadline = (venv_instant){ INT64_MIN }; /* the first step sets the ticks */
    *ret_triggers = set;
    return VENV_OK;
}

void venv_triggers_free(venv_triggers *set)
{
    if (!set)
        return;
    venv_trigger_index_fini(set);
    for (size_t i = 0; i < set->count; i++)
        venv_trigger_free(set->items[i]);
    free(set->items);
    venv_table_free(set->by_name);
    venv_expr_context_free(set->memory);
    free(set);
}

size_t venv_triggers_count(const venv_triggers *set)
{
    return set->count;
}

const char *venv_triggers_name(const venv_triggers *set, size_t index)
{
    return index < set->count ? set->items[index]->name : NULL;
}

venv_instant venv_triggers_deadline(const venv_triggers *set)
{
    return set->deadline;
}

bool venv_triggers_pending(const venv_triggers *set)
{
    return set->pending;
}
