/* SPDX-License-Identifier: Apache-2.0 */
#include "trigger/where.h"

#include "trigger/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct venv_where {
    venv_trigger_world world;
    venv_expr_env *words;
    venv_expr *expr;
    venv_expr_context *memory;
};

venv_rc venv_where_new(venv_str source, const venv_trigger_options *options, const venv_trigger_world *world, venv_where **ret_where,
                       venv_error *err)
{
    if (source.size == 0 || source.size > VENV_WHERE_SIZE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "an expression of %zu bytes; 1 to %u are allowed", source.size, VENV_WHERE_SIZE_MAX);
    venv_where *where = calloc(1, sizeof *where);
    if (!where)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    where->world = *world;
    venv_rc rc = venv_trigger_words_new(options, &where->words, err);
    if (rc == VENV_OK)
        rc = venv_expr_compile(where->words, source.data, source.size, &where->expr, err);
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&where->memory, err);
    if (rc != VENV_OK) {
        venv_where_free(where);
        return rc;
    }
    *ret_where = where;
    return VENV_OK;
}

void venv_where_free(venv_where *where)
{
    if (!where)
        return;
    venv_expr_context_free(where->memory);
    venv_expr_unref(where->expr);
    venv_expr_env_unref(where->words);
    free(where);
}

venv_rc venv_where_ask(venv_where *where, const char *agent, venv_now now, venv_where_verdict *ret_verdict, char *ret_why, size_t size,
                       venv_error *err)
{
    venv_value slots[SLOT__COUNT + 1];
    asked a;
    venv_expr_input input = venv_trigger_words_input(now, &where->world, NULL, NULL, slots, &a);
    a.agent = agent;
    venv_expr_result result;
    venv_error why = { 0 };
    venv_rc rc = venv_expr_eval(where->expr, where->memory, &input, &result, &why);
    if (rc == VENV_ENOMEM)
        return venv_error_set(err, rc, "out of memory");
    *ret_verdict = VENV_WHERE_CANNOT_TELL;
    if (rc != VENV_OK)
        snprintf(ret_why, size, "%.*s", (int)strcspn(why.text, "\n"), why.text);
    else if (result.outcome == VENV_EXPR_UNKNOWN)
        venv_trigger_missing_list(where->memory, &result, ret_why + snprintf(ret_why, size, "lacks "), size - 6);
    else if (venv_value_kind(&result.value) != VENV_BOOL)
        snprintf(ret_why, size, "the expression gave a value of kind %s, expected true or false",
                 venv_kind_name(venv_value_kind(&result.value)));
    else
        *ret_verdict = venv_value_peek_bool(&result.value) ? VENV_WHERE_YES : VENV_WHERE_NO;
    return VENV_OK;
}
