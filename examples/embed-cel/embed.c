/* SPDX-License-Identifier: Apache-2.0 */
/* A program that embeds the evaluator: a rule over two variables and a function of its own.
 *     cc embed.c $(pkg-config --cflags --libs venv) -o embed && ./embed */
#include <venv/expr.h>

#include <stdio.h>
#include <string.h>

/* free_gib("node01"): what this program knows of a node; nodes that it cannot see are unknown. */
static venv_rc free_gib(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    if (venv_value_is_text(&call->args[0], "node02"))
        return VENV_EUNKNOWN;
    if (!venv_value_is_text(&call->args[0], "node01"))
        return venv_error_set(err, VENV_ENOENT, "no such node");
    *ret_value = venv_value_int(48);
    return VENV_OK;
}

static int run(venv_expr_env *env, venv_expr_context *context, const char *source, const venv_expr_input *input)
{
    venv_expr *expr = NULL;
    venv_expr_result result;
    venv_error err = { 0 };
    char text[200];
    venv_rc rc = venv_expr_compile(env, source, strlen(source), &expr, &err);
    if (rc == VENV_OK)
        rc = venv_expr_eval(expr, context, input, &result, &err);
    if (rc != VENV_OK) {
        printf("%s\n", err.text);
    } else if (result.outcome == VENV_EXPR_UNKNOWN) {
        printf("%s is unknown: it needs %s\n", source, venv_expr_missing(context, 0)->text);
    } else {
        (void)venv_value_print(&result.value, text, sizeof text);
        printf("%s is %s, for %llu units\n", source, text, (unsigned long long)result.cost);
    }
    (void)venv_expr_unref(expr);
    return rc != VENV_OK;
}

int main(void)
{
    venv_expr_env *env = NULL;
    venv_expr_context *context = NULL;
    venv_value slots[] = { venv_value_int(3), venv_value_literal("class2") }; /* in the order of declaration */
    venv_expr_input input = { .slots = slots, .slot_count = 2 };
    venv_error err = { 0 };
    if (venv_expr_env_new(NULL, &env, &err) || venv_expr_env_variable(env, "waiting", "int", NULL, &err) ||
        venv_expr_env_variable(env, "queue", "string", NULL, &err) ||
        venv_expr_env_function(env, "free_gib(string) -> int", 5, free_gib, NULL, &err) ||
        venv_expr_context_new(&context, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    int failed = run(env, context, "waiting > 0 && free_gib('node01') >= 32", &input);
    failed += run(env, context, "queue.startsWith('class') ? min(waiting, 2) : 0", &input);
    failed += run(env, context, "free_gib('node02') > 1 || waiting > 5", &input);
    failed += run(env, context, "wating > 0", &input); /* fails, and says why */
    venv_expr_context_free(context);
    (void)venv_expr_env_unref(env);
    return failed != 1;
}
