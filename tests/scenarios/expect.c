/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of expectations, and asking one: those of triggers, and lists of what only somebody outside sees. They are
 * asked of a manager's core in the simulator, and of what venvctl printed where daemons are real.
 */
#include "scenarios/scenario.h"

#include <venv/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTS_MAX 8

static const char *const lists[] = { "agents", "actions", "events", "triggers", "all_instances", "machines", NULL };

static venv_rc call_queue(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    const expect_world *w = call->data;
    return w->world.queue(w->world.user, venv_value_peek_text(&call->args[0]), ret_value, err);
}

static venv_rc call_instances(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    const expect_world *w = call->data;
    return w->world.instances(w->world.user, venv_value_peek_text(&call->args[0]), ret_value, err);
}

venv_rc expect_words(venv_expr_env **ret_env, venv_error *err)
{
    const venv_expr_options options = { .limits = { .cost_max = 100u * VENV_EXPR_COST_MAX, .arena_size_max = 8u * VENV_EXPR_ARENA_SIZE_MAX } };
    venv_expr_env *env = NULL;
    venv_rc rc = venv_expr_env_new(&options, &env, err);
    if (rc == VENV_OK)
        rc = venv_expr_env_variable(env, "now", "timestamp", NULL, err);
    for (size_t i = 0; rc == VENV_OK && lists[i]; i++)
        rc = venv_expr_env_variable(env, lists[i], "list(dyn)", NULL, err);
    if (rc == VENV_OK)
        rc = venv_expr_env_function(env, "queue(string) -> dyn", 10, call_queue, NULL, err);
    if (rc == VENV_OK)
        rc = venv_expr_env_function(env, "instances(string) -> list(dyn)", 20, call_instances, NULL, err);
    if (rc != VENV_OK) {
        venv_expr_env_unref(env);
        return rc;
    }
    *ret_env = env;
    return VENV_OK;
}

/* --- one question -------------------------------------------------------------------------------------------------- */

/* What was handed out during one evaluation, and is released after it. */
typedef struct asking {
    const expect_world *world;
    venv_value kept[LISTS_MAX];
    size_t count;
} asking;

static venv_expr_answer resolve(void *user, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth)
{
    asking *a = user;
    const expect_world *w = a->world;
    *ret_depth = 1;
    if (strcmp(read->path[0], "now") == 0) {
        *ret_value = w->now;
        return VENV_EXPR_FOUND;
    }
    if (strcmp(read->path[0], "agents") == 0)
        return w->world.agents(w->world.user, ret_value);
    venv_value list = venv_value_null();
    if (a->count == LISTS_MAX || w->list(w->user, read->path[0], &list, NULL) != VENV_OK)
        return VENV_EXPR_NOT_KNOWN;
    *ret_value = a->kept[a->count++] = list;
    return VENV_EXPR_FOUND;
}

static void release(asking *a)
{
    for (size_t i = 0; i < a->count; i++)
        venv_value_unref(&a->kept[i]);
}

static venv_expr_input input_of(asking *a, const expect_world *world)
{
    *a = (asking){ .world = world };
    union {
        const expect_world *from;
        void *to;
    } data = { .from = world };
    return (venv_expr_input){ .resolve = resolve, .resolve_user = a, .data = data.to };
}

expect_answer expect_ask(const venv_expr *expr, const expect_world *world, char *why, size_t size)
{
    asking a;
    venv_expr_input input = input_of(&a, world);
    venv_expr_context *context = NULL;
    venv_expr_result result;
    venv_error err = { 0 };
    expect_answer answer = EXPECT_FAILED;
    venv_rc rc = venv_expr_context_new(&context, &err);
    if (rc == VENV_OK)
        rc = venv_expr_eval(expr, context, &input, &result, &err);
    if (why)
        snprintf(why, size, "%.*s", (int)strcspn(err.text, "\n"), err.text);
    if (rc == VENV_OK && result.outcome == VENV_EXPR_UNKNOWN) {
        const venv_expr_read *missing = result.missing_count ? venv_expr_missing(context, 0) : NULL;
        if (why)
            snprintf(why, size, "it is not known: %s", missing ? missing->text : "a value that it needs");
        answer = EXPECT_UNKNOWN;
    } else if (rc == VENV_OK && venv_value_kind(&result.value) != VENV_BOOL) {
        if (why)
            snprintf(why, size, "it is neither true nor false");
    } else if (rc == VENV_OK) {
        answer = venv_value_peek_bool(&result.value) ? EXPECT_TRUE : EXPECT_FALSE;
        if (why)
            snprintf(why, size, "it is %s", answer == EXPECT_TRUE ? "true" : "false");
    }
    venv_expr_context_free(context);
    release(&a);
    return answer;
}

char *expect_explain(const venv_expr *expr, const expect_world *world)
{
    asking a;
    venv_expr_input input = input_of(&a, world);
    venv_expr_explanation *explanation = NULL;
    const venv_expr_part *part;
    const char *source = venv_expr_source(expr);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    if (venv_expr_explain(expr, &input, &explanation, NULL) == VENV_OK) {
        for (size_t i = 0; (part = venv_expr_explanation_at(explanation, i)); i++)
            fprintf(out, "    %*s%.*s  is  %s\n", (int)part->depth * 2, "", (int)(part->end - part->begin), source + part->begin,
                    part->text[0] ? part->text : venv_expr_part_state_name(part->state));
    }
    venv_expr_explanation_free(explanation);
    (void)fclose(out);
    release(&a);
    return text;
}

/* --- a world that was written down ------------------------------------------------------------------------------------- */

static venv_expr_answer written_agents(void *user, venv_value *ret_list)
{
    const expect_written *w = user;
    const venv_value *list = venv_value_get(w->map, "agents");
    if (!list)
        return VENV_EXPR_NOT_KNOWN;
    *ret_list = *list;
    return VENV_EXPR_FOUND;
}

static venv_rc written_queue(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    const expect_written *w = user;
    venv_value key = venv_value_borrow(name.data, name.size);
    const venv_value *queues = venv_value_get(w->map, "queues"), *queue = queues ? venv_value_find(queues, &key) : NULL;
    if (!queue)
        return venv_error_set(err, VENV_EUNKNOWN, "the queue could not be looked at");
    *ret_map = venv_value_ref(queue);
    return VENV_OK;
}

static bool is_over(const venv_value *instance)
{
    const venv_value *state = venv_value_get(instance, "state");
    return venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed");
}

static venv_rc written_instances(void *user, venv_str environment, venv_value *ret_list, venv_error *err)
{
    const expect_written *w = user;
    const venv_value *all = venv_value_get(w->map, "all_instances");
    if (!all)
        return venv_error_set(err, VENV_EUNKNOWN, "the manager does not answer");
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(all); i++) {
        const venv_value *item = venv_value_at(all, i);
        venv_str of = venv_value_get_text(item, "environment");
        if (of.size == environment.size && memcmp(of.data, environment.data, of.size) == 0 && !is_over(item))
            venv_list_add(&list, venv_value_ref(item));
    }
    return venv_list_take(&list, ret_list, err);
}

static venv_rc written_list(void *user, const char *what, venv_value *ret_list, venv_error *err)
{
    const expect_written *w = user;
    const venv_value *list = venv_value_get(w->map, what);
    if (!list)
        return venv_error_set(err, VENV_EUNKNOWN, "%s cannot be seen from here", what);
    *ret_list = venv_value_ref(list);
    return VENV_OK;
}

void expect_of_value(expect_written *written, const venv_value *map, expect_world *ret_world)
{
    written->map = map;
    *ret_world = (expect_world){ .world = { written, NULL, written_agents, written_queue, written_instances },
                                 .now = venv_value_null(), .list = written_list, .user = written };
    const venv_value *now = venv_value_get(map, "now");
    venv_wall wall = { 0 };
    if (now && venv_value_kind(now) == VENV_INT)
        wall.ns = venv_value_peek_int(now) * VENV_NS_PER_S;
    ret_world->now = venv_value_from_wall(wall);
}
