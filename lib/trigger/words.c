/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a trigger's expressions, and how they are answered while one is evaluated. */
#include "trigger/internal.h"

#include <string.h>

#define COST_QUEUE 10
#define COST_INSTANCES 20

static const struct {
    const char *name, *type;
} variables[SLOT__COUNT] = {
    [SLOT_NOW] = { "now", "timestamp" },     [SLOT_AGENT] = { "agent", "dyn" },
    [SLOT_AGENTS] = { "agents", "list(dyn)" }, [SLOT_GROUP] = { "group", "string" },
    [SLOT_PROPERTY] = { "property", "string" }, [SLOT_REASON] = { "reason", "string" },
};

static venv_rc call_queue(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    const asked *a = call->data;
    return a->world->queue(a->world->user, venv_value_peek_text(&call->args[0]), ret_value, err);
}

static venv_rc call_instances(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    const asked *a = call->data;
    return a->world->instances(a->world->user, venv_value_peek_text(&call->args[0]), ret_value, err);
}

static venv_rc call_breaker(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    const asked *a = call->data;
    if (!a->world->breaker)
        return venv_error_set(err, VENV_EUNKNOWN, "there are no circuit breakers here");
    return a->world->breaker(a->world->user, venv_value_peek_text(&call->args[0]), ret_value, err);
}

venv_rc venv_trigger_words_new(const venv_trigger_options *options, venv_expr_env **ret_env, venv_error *err)
{
    const venv_expr_options how = { .mixed_numbers = true, .zone = options->zone, .zone_user = options->zone_user };
    venv_expr_env *env = NULL;
    venv_rc rc = venv_expr_env_new(&how, &env, err);
    for (size_t i = 0; rc == VENV_OK && i < SLOT__COUNT; i++)
        rc = venv_expr_env_variable(env, variables[i].name, variables[i].type, NULL, err);
    if (rc == VENV_OK)
        rc = venv_expr_env_function(env, "queue(string) -> dyn", COST_QUEUE, call_queue, NULL, err);
    if (rc == VENV_OK)
        rc = venv_expr_env_function(env, "instances(string) -> list(dyn)", COST_INSTANCES,
                                    call_instances, NULL, err);
    if (rc == VENV_OK)
        rc = venv_expr_env_function(env, "breaker(string) -> dyn", COST_QUEUE, call_breaker, NULL, err);
    if (rc != VENV_OK) {
        venv_expr_env_unref(env);
        return rc;
    }
    *ret_env = env;
    return VENV_OK;
}

venv_expr_input venv_trigger_words_input(venv_now now, const venv_trigger_world *world, const trigger *t, const unit *u,
                                         venv_value *slots, asked *a)
{
    for (size_t i = 0; i <= SLOT__COUNT; i++)
        slots[i] = venv_expr_absent();
    slots[SLOT_NOW] = venv_value_from_wall(now.wall);
    slots[SLOT_GROUP] = venv_value_literal(u ? u->group : "");
    slots[SLOT_PROPERTY] = venv_value_literal(u ? u->property : "");
    slots[SLOT_REASON] = venv_value_literal(u ? u->reason : "");
    if (u && t->for_variable)
        slots[t->for_slot] = u->element_value;
    *a = (asked){ world, u ? u->agent : "" };
    return (venv_expr_input){ .slots = slots, .slot_count = SLOT__COUNT + 1, .resolve = venv_trigger_words_resolve,
                              .resolve_user = a, .data = a };
}

/* Asked for what has no slot: `agent` and `agents`. */
venv_expr_answer venv_trigger_words_resolve(void *user, const venv_expr_read *read, venv_value *ret_value,
                               uint32_t *ret_depth)
{
    const asked *a = user;
    if (strcmp(read->path[0], "agents") == 0) {
        *ret_depth = 1;
        return a->world->agents(a->world->user, ret_value);
    }
    if (strcmp(read->path[0], "agent") != 0)
        return VENV_EXPR_NOT_THERE;
    if (a->agent[0] == '\0') {
        *ret_depth = 1;
        *ret_value = venv_value_null();
        return VENV_EXPR_FOUND;
    }
    return a->world->agent(a->world->user, a->agent, read, ret_value, ret_depth);
}
