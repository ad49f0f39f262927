/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CEL parser: any bytes are a program or an error with a place; what compiles can be described and
 * ends within its limits, with types and without.
 */
#include "fuzz/fuzz.h"

#include <venv/expr.h>

#include <string.h>

static venv_expr_env *env_of(bool check_off)
{
    venv_expr_options options = { .check_off = check_off, .limits = { .cost_max = 20000, .arena_size_max = 1u << 20 } };
    venv_expr_env *env = NULL;
    FUZZ_CHECK(venv_expr_env_new(&options, &env, NULL) == VENV_OK);
    FUZZ_CHECK(venv_expr_env_variable(env, "x", "dyn", NULL, NULL) == VENV_OK);
    FUZZ_CHECK(venv_expr_env_variable(env, "n", "int", NULL, NULL) == VENV_OK);
    FUZZ_CHECK(venv_expr_env_variable(env, "s", "string", NULL, NULL) == VENV_OK);
    FUZZ_CHECK(venv_expr_env_variable(env, "l", "list(int)", NULL, NULL) == VENV_OK);
    FUZZ_CHECK(venv_expr_env_variable(env, "m", "map(string, dyn)", NULL, NULL) == VENV_OK);
    return env;
}

static void describe(const venv_expr *expr)
{
    char text[256];
    size_t whole = venv_expr_print_tree(expr, text, sizeof text);
    FUZZ_CHECK(strlen(text) <= whole && strlen(text) < sizeof text);
    venv_expr_cost cost = venv_expr_estimate(expr, 10);
    FUZZ_CHECK(cost.min <= cost.max);
    for (size_t i = 0; i < venv_expr_read_count(expr); i++)
        FUZZ_CHECK(venv_expr_read_at(expr, i)->path_count > 0);
    FUZZ_CHECK(venv_expr_type(expr)[0]);
}

static void evaluate(const venv_expr *expr, venv_expr_context *context)
{
    venv_value slots[] = { venv_expr_unknown(), venv_value_int(7), venv_value_literal("a short text, or longer") };
    venv_expr_input input = { .slots = slots, .slot_count = 3 };
    venv_expr_result result;
    venv_error err = { 0 };
    venv_rc rc = venv_expr_eval(expr, context, &input, &result, &err);
    FUZZ_CHECK(venv_expr_context_used(context) <= 1u << 20);
    if (rc != VENV_OK) {
        FUZZ_CHECK(rc == VENV_EINVAL || rc == VENV_ELIMIT);
        FUZZ_CHECK(err.text[0] && err.line);
        return;
    }
    FUZZ_CHECK(result.cost <= 20000);
    if (result.outcome == VENV_EXPR_UNKNOWN) {
        for (size_t i = 0; i < result.missing_count; i++)
            FUZZ_CHECK(venv_expr_missing(context, i));
        return;
    }
    venv_value kept;
    char text[64];
    FUZZ_CHECK(venv_value_dup(&result.value, &kept, NULL) == VENV_OK);
    (void)venv_value_print(&kept, text, sizeof text);
    venv_value_unref(&kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static venv_expr_env *envs[2];
    static venv_expr_context *context;
    if (!context) {
        envs[0] = env_of(false);
        envs[1] = env_of(true);
        FUZZ_CHECK(venv_expr_context_new(&context, NULL) == VENV_OK);
    }
    for (int i = 0; i < 2; i++) {
        venv_expr *expr = NULL;
        venv_error err = { 0 };
        venv_rc rc = venv_expr_compile(envs[i], (const char *)data, size, &expr, &err);
        if (rc != VENV_OK) {
            FUZZ_CHECK((rc == VENV_EINVAL || rc == VENV_ELIMIT) && !expr);
            FUZZ_CHECK(err.rc == rc && err.text[0] && err.line && err.column);
            continue;
        }
        describe(expr);
        evaluate(expr, context);
        (void)venv_expr_unref(expr);
    }
    venv_expr_template *template_ = NULL;
    if (venv_expr_template_compile(envs[0], (const char *)data, size, &template_, NULL) == VENV_OK)
        (void)venv_expr_template_unref(template_);
    return 0;
}
