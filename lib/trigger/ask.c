/* SPDX-License-Identifier: Apache-2.0 */
#include "trigger/ask.h"

#include "trigger/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct venv_asker {
    venv_trigger_world world;
    venv_expr_env *words, *words_of_instance;
    venv_expr_context *memory;
};

venv_rc venv_asker_new(const venv_trigger_options *options, const venv_trigger_world *world, venv_asker **ret_asker, venv_error *err)
{
    venv_asker *asker = calloc(1, sizeof *asker);
    if (!asker)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    asker->world = *world;
    venv_rc rc = venv_trigger_words_new(options, &asker->words, err);
    if (rc == VENV_OK)
        rc = venv_trigger_words_new(options, &asker->words_of_instance, err);
    if (rc == VENV_OK) /* in the slot that a trigger has for the variable of `for` */
        rc = venv_expr_env_variable(asker->words_of_instance, "instance", "dyn", NULL, err);
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&asker->memory, err);
    if (rc != VENV_OK) {
        venv_asker_free(asker);
        return rc;
    }
    *ret_asker = asker;
    return VENV_OK;
}

void venv_asker_free(venv_asker *asker)
{
    if (!asker)
        return;
    venv_expr_context_free(asker->memory);
    venv_expr_env_unref(asker->words);
    venv_expr_env_unref(asker->words_of_instance);
    free(asker);
}

venv_expr_env *venv_asker_words(const venv_asker *asker, bool of_instance)
{
    return of_instance ? asker->words_of_instance : asker->words;
}

venv_rc venv_asker_ask(venv_asker *asker, const venv_expr *expr, venv_now now, const venv_value *instance, const char *agent,
                       venv_value *ret_value, char *ret_why, size_t size)
{
    venv_value slots[SLOT__COUNT + 1];
    asked a;
    venv_expr_input input = venv_trigger_words_input(now, &asker->world, NULL, NULL, slots, &a);
    if (instance)
        slots[SLOT__COUNT] = *instance;
    if (agent)
        a.agent = agent;
    venv_expr_result result;
    venv_error why = { 0 };
    venv_rc rc = venv_expr_eval(expr, asker->memory, &input, &result, &why);
    if (rc == VENV_ENOMEM)
        return rc;
    if (rc != VENV_OK) {
        snprintf(ret_why, size, "%.*s", (int)strcspn(why.text, "\n"), why.text);
        return VENV_EINVAL;
    }
    if (result.outcome == VENV_EXPR_UNKNOWN) {
        int used = snprintf(ret_why, size, "lacks ");
        venv_trigger_missing_list(asker->memory, &result, ret_why + used, size - (size_t)used);
        return VENV_EUNKNOWN;
    }
    *ret_value = result.value;
    return VENV_OK;
}
