/* SPDX-License-Identifier: Apache-2.0 */
/* The verb eval: an expression here and now, by the code that the manager runs. No manager is asked. */
#include "venvctl.h"

#include <venv/expr.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ASSUMED_COUNT  1000              /* items that the estimate of the cost supposes in each list */

/* One evaluation. */
typedef struct evaluation {
    venv_value vars;      /* a map, or null */
    venv_value condition; /* with --explain: its parts */
    venv_expr_env *env;
    venv_expr *expr;
    venv_expr_context *context;
} evaluation;

static int load_vars(venvctl *app, evaluation *job)
{
    const char *path = app->value[OPTION_VARS];
    if (!path)
        return EXIT_DONE;
    int code = app_read_yaml(app, path, &job->vars, NULL);
    if (code != EXIT_DONE)
        return code;
    if (venv_value_kind(&job->vars) == VENV_MAP || venv_value_kind(&job->vars) == VENV_NULL)
        return EXIT_DONE;
    return app_usage(app, "%s: a map from names to values is expected, as \"memfree: 512\"", path);
}

/* Variables have the types of their values: a list or map may hold anything. */
static venv_rc declare(evaluation *job, venv_error *err)
{
    venv_expr_options options = { .zone = app_read_zone };
    venv_rc rc = venv_expr_env_new(&options, &job->env, err);
    const venv_value *key, *value;
    for (size_t i = 0; rc == VENV_OK && venv_value_entry(&job->vars, i, &key, &value); i++) {
        char name[256] = "";
        venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : (venv_str){ "", 0 };
        if (text.size < sizeof name)
            memcpy(name, text.data, text.size);
        const char *type = venv_kind_name(venv_value_kind(value));
        if (venv_value_kind(value) == VENV_LIST)
            type = "list(dyn)";
        else if (venv_value_kind(value) == VENV_MAP)
            type = "map(dyn, dyn)";
        else if (venv_value_kind(value) == VENV_NULL)
            type = "dyn";
        rc = venv_expr_env_variable(job->env, name, type, NULL, err);
    }
    return rc;
}

static char *tree_text(const venv_expr *expr)
{
    size_t size = venv_expr_print_tree(expr, NULL, 0);
    char *text = malloc(size + 1);
    if (text)
        (void)venv_expr_print_tree(expr, text, size + 1);
    return text;
}

static void print_lines(FILE *out, const char *text)
{
    for (const char *line = text; line && *line;) {
        const char *end = strchr(line, '\n');
        print_safe(out, (venv_str){ line, end ? (size_t)(end - line) : strlen(line) });
        fputc('\n', out);
        line = end ? end + 1 : NULL;
    }
}

static void print_tree(venvctl *app, const evaluation *job)
{
    if (!app_has(app, OPTION_AST))
        return;
    char *tree = tree_text(job->expr);
    print_lines(app->out, tree ? tree : "");
    free(tree);
}

static void print_cost(venvctl *app, const evaluation *job, const venv_expr_result *result)
{
    if (!app_has(app, OPTION_COST))
        return;
    venv_expr_cost cost = venv_expr_estimate(job->expr, ASSUMED_COUNT);
    if (result)
        fprintf(app->out, "cost: %" PRIu64 " used, ", result->cost);
    else
        fputs("cost: ", app->out);
    fprintf(app->out, "%" PRIu64 " at least, ", cost.min);
    if (cost.max == UINT64_MAX)
        fprintf(app->out, "no bound with %d items in each list (limit %u)\n", ASSUMED_COUNT, VENV_EXPR_COST_MAX);
    else
        fprintf(app->out, "%" PRIu64 " at most with %d items in each list (limit %u)\n", cost.max, ASSUMED_COUNT, VENV_EXPR_COST_MAX);
}

/* {source, parts, cut}, as the manager gives it of a condition; null: it was not asked for, or nothing was evaluated. */
static venv_rc explain(venvctl *app, const evaluation *job, const venv_expr_input *input, venv_value *ret_condition, venv_error *err)
{
    venv_expr_explanation *explanation = NULL;
    venv_value parts = venv_value_null();
    if (!app_has(app, OPTION_EXPLAIN))
        return VENV_OK;
    venv_rc rc = venv_expr_explain(job->expr, input, &explanation, err);
    if (rc == VENV_OK)
        rc = venv_expr_explanation_value(explanation, VENV_EXPR_PARTS_MAX, &parts, err);
    if (rc == VENV_OK) {
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put_z(&map, "source", venv_expr_source(job->expr));
        venv_map_put(&map, "parts", parts);
        if (venv_expr_explanation_is_cut(explanation))
            venv_map_put(&map, "cut", venv_value_bool(true));
        rc = venv_map_take(&map, ret_condition, err);
    }
    venv_expr_explanation_free(explanation);
    return rc;
}

static void print_parts(venvctl *app, const evaluation *job)
{
    if (venv_value_kind(&job->condition) == VENV_MAP)
        print_condition(app, &job->condition, 0);
}

/* Text for people: type or value, tree and cost as they were asked for. */
static int print_text(venvctl *app, const evaluation *job, const venv_expr_result *result)
{
    print_tree(app, job);
    if (!result) {
        fprintf(app->out, "%s\n", venv_expr_type(job->expr));
    } else if (result->outcome == VENV_EXPR_VALUE) {
        size_t size = venv_value_print(&result->value, NULL, 0);
        char *text = malloc(size + 1);
        if (text) {
            (void)venv_value_print(&result->value, text, size + 1);
            fprintf(app->out, "%s\n", text);
        }
        free(text);
    } else {
        fputs("unknown\n", app->out);
    }
    print_parts(app, job);
    print_cost(app, job, result);
    return EXIT_DONE;
}

static int print_object(venvctl *app, const evaluation *job, const venv_expr_result *result)
{
    venv_error err = { 0 };
    venv_map_builder map, costs;
    venv_value value = venv_value_null(), cost_value = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, "type", venv_expr_type(job->expr));
    if (result) {
        bool known = result->outcome == VENV_EXPR_VALUE;
        venv_map_put_z(&map, "outcome", known ? "value" : "unknown");
        if (known && venv_value_dup(&result->value, &value, &err) != VENV_OK) {
            venv_map_fini(&map);
            return app_fail(app, &err);
        }
        if (known)
            venv_map_put(&map, "value", value);
    }
    if (app_has(app, OPTION_COST)) {
        venv_expr_cost cost = venv_expr_estimate(job->expr, ASSUMED_COUNT);
        venv_map_init(&costs);
        venv_map_put(&costs, "least", venv_value_uint(cost.min));
        if (cost.max != UINT64_MAX)
            venv_map_put(&costs, "most", venv_value_uint(cost.max));
        if (result)
            venv_map_put(&costs, "used", venv_value_uint(result->cost));
        if (venv_map_take(&costs, &cost_value, &err) == VENV_OK)
            venv_map_put(&map, "cost", cost_value);
    }
    const venv_value *parts = venv_value_get(&job->condition, "parts");
    if (parts)
        venv_map_put_value(&map, venv_value_literal("parts"), venv_value_ref(parts));
    if (app_has(app, OPTION_AST)) {
        char *tree = tree_text(job->expr);
        venv_map_put_z(&map, "tree", tree ? tree : "");
        free(tree);
    }
    if (venv_map_take(&map, &value, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = print_json(app, &value);
    venv_value_unref(&value);
    return code;
}

static int evaluate(venvctl *app, evaluation *job)
{
    venv_error err = { 0 };
    const char *source = app->arguments[0];
    if (declare(job, &err) != VENV_OK || venv_expr_compile(job->env, source, strlen(source), &job->expr, &err) != VENV_OK) {
        (void)app_fail(app, &err);
        return err.rc == VENV_ENOMEM ? EXIT_FAILED : EXIT_USAGE;
    }
    venv_expr_result result;
    bool check = app_has(app, OPTION_CHECK);
    if (!check) {
        venv_expr_input input = { .map = venv_value_kind(&job->vars) == VENV_MAP ? &job->vars : NULL };
        if (venv_expr_context_new(&job->context, &err) != VENV_OK || explain(app, job, &input, &job->condition, &err) != VENV_OK)
            return app_fail(app, &err);
        if (venv_expr_eval(job->expr, job->context, &input, &result, &err) != VENV_OK) {
            if (!app_has(app, OPTION_JSON)) { /* what it was asked for may say why */
                print_tree(app, job);
                print_parts(app, job);
                print_cost(app, job, NULL);
            }
            return app_fail(app, &err);
        }
    }
    return app_has(app, OPTION_JSON) ? print_object(app, job, check ? NULL : &result)
                                     : print_text(app, job, check ? NULL : &result);
}

int run_eval(venvctl *app)
{
    evaluation job = { .vars = venv_value_null(), .condition = venv_value_null() };
    int code = load_vars(app, &job);
    if (code == EXIT_DONE)
        code = evaluate(app, &job);
    venv_expr_context_free(job.context);
    venv_expr_unref(job.expr);
    venv_expr_env_unref(job.env);
    venv_value_unref(&job.condition);
    venv_value_unref(&job.vars);
    return code;
}
