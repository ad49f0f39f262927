/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of the evaluator fails once: an error comes back, nothing is left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "expr/spec_cases.h"
#include "expr/zoneinfo.h"
#include "support/alloc.h"

#include <venv/expr.h>

#include <stdio.h>
#include <string.h>

/* A zone file by hand: UTC+1 always, as TZif version 2 writes it. */
static venv_rc load_zone(void *user, const char *name, venv_value *ret_file, venv_error *err)
{
    static const unsigned char head[44] = { 'T', 'Z', 'i', 'f', '2', [39] = 1, [43] = 4 };
    static const unsigned char body[10] = { 0, 0, 14, 16, 0, 0, 'A', 'B', 'C', 0 };
    unsigned char file[128];
    size_t size = 0;
    (void)user;
    (void)name;
    for (int part = 0; part < 2; part++) {
        memcpy(file + size, head, sizeof head);
        memcpy(file + size + sizeof head, body, sizeof body);
        size += sizeof head + sizeof body;
    }
    memcpy(file + size, "\nABC-1\n", 7);
    return venv_value_bytes(file, size + 7, ret_file, err);
}

static venv_rc call_give(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    (void)call;
    return venv_value_string_z("a text that is longer than thirteen bytes", ret_value, err);
}

static const char *const sources[] = {
    "[n, n + 1].map(x, string(x) + ' and some more text').join(', ').size() > 3 && give() != ''",
    "{'a key that is longer than thirteen bytes': n}.transformMap(k, v, v + 1) == {} || text.matches('(a|b)*[[:alpha:]]\\\\p{Greek}{2,3}x')",
    "text.matches('(?i)' + string(n) + '\u00e9[\\\\pL]') || timestamp(n).getHours('Here/There') == 1 || timestamp(n).getHours('Here' + '/' + text) == 1",
    "'%s %d'.format([[n, {'k': [1.5, null]}], n]) == '' || optional.of([n]).optMap(v, v + [1]).orValue([]) == [] || cel.bind(z, [n], z == z)",
    "lists.range(n * 3000).map(x, [x, string(x) + ' is a long text']).size() > 1 || [3, 1, n].sort() == [] || ip('10.0.0.1') in [ip('::1')]",
    "[1, 2, 3].all(x, x + missing.a.b > n || missing.c == 'x' || has(missing.d))",
};

static venv_rc use(venv_expr_env *env, venv_expr_context *context, const char *source, venv_error *err)
{
    venv_expr *expr = NULL;
    venv_value slots[] = { venv_value_int(1), venv_value_literal("There"), venv_expr_unknown() };
    venv_expr_input input = { .slots = slots, .slot_count = 3 };
    venv_expr_result result = { .cost = 0 };
    venv_rc rc = venv_expr_compile(env, source, strlen(source), &expr, err);
    if (rc != VENV_OK) {
        assert_null(expr);
        return rc;
    }
    char text[64];
    (void)venv_expr_print_tree(expr, text, sizeof text);
    (void)venv_expr_estimate(expr, 10);
    for (int i = 0; i < 2 && rc == VENV_OK; i++)
        rc = venv_expr_eval(expr, context, &input, &result, err);
    venv_expr_explanation *explanation = NULL;
    if (rc == VENV_OK)
        rc = venv_expr_explain(expr, &input, &explanation, err);
    venv_value list = venv_value_null();
    if (rc == VENV_OK)
        rc = venv_expr_explanation_value(explanation, 100, &list, err);
    venv_value_unref(&list);
    venv_expr_explanation_free(explanation);
    (void)venv_expr_unref(expr);
    return rc;
}

static venv_rc run_source(void *user)
{
    venv_expr_options options = { .zone = load_zone };
    venv_expr_env *env = NULL;
    venv_expr_context *context = NULL;
    venv_error err = { 0 };
    venv_rc rc = venv_expr_env_new(&options, &env, &err);
    if (rc == VENV_OK)
        rc = venv_expr_env_variable(env, "n", "int", NULL, &err);
    if (rc == VENV_OK)
        rc = venv_expr_env_variable(env, "text", "string", NULL, &err);
    if (rc == VENV_OK)
        rc = venv_expr_env_variable(env, "missing", "dyn", NULL, &err);
    if (rc == VENV_OK)
        rc = venv_expr_env_function(env, "give() -> string", 1, call_give, NULL, &err);
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&context, &err);
    if (rc == VENV_OK)
        rc = use(env, context, user, &err);
    if (rc != VENV_OK && rc != VENV_ENOMEM)
        print_message("%s: %s\n", (const char *)user, err.text);
    venv_expr_context_free(context);
    (void)venv_expr_env_unref(env);
    return rc;
}

static void test_programs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        assert_true(alloc_check(run_source, (void *)(uintptr_t)sources[i]) > 5);
}

static venv_rc run_template(void *user)
{
    static const char text[] = "node ${n} has ${[1, n].map(x, string(x) + ' and a longer text')} $${x}";
    venv_expr_env *env = NULL;
    venv_expr_context *context = NULL;
    venv_expr_template *template_ = NULL;
    venv_value slot = venv_value_int(5);
    venv_expr_input input = { .slots = &slot, .slot_count = 1 };
    venv_expr_result result;
    venv_error err = { 0 };
    (void)user;
    venv_rc rc = venv_expr_env_new(NULL, &env, &err);
    if (rc == VENV_OK)
        rc = venv_expr_env_variable(env, "n", "int", NULL, &err);
    if (rc == VENV_OK)
        rc = venv_expr_template_compile(env, text, strlen(text), &template_, &err);
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&context, &err);
    if (rc == VENV_OK)
        rc = venv_expr_template_eval(template_, context, &input, &result, &err);
    (void)venv_expr_template_unref(template_);
    venv_expr_context_free(context);
    (void)venv_expr_env_unref(env);
    return rc;
}

static void test_template(void **state)
{
    (void)state;
    assert_true(alloc_check(run_template, NULL) > 5);
}

typedef struct one_case {
    venv_expr_env *env;
    const char *source;
    venv_rc usual; /* how it ends where nothing fails */
} one_case;

static venv_rc evaluate(const one_case *one)
{
    venv_expr *expr = NULL;
    venv_expr_context *context = NULL;
    venv_value slots[] = { venv_value_int(100), venv_value_double(5.5), venv_value_literal("busy"), venv_expr_unknown(),
                           venv_expr_unknown(), venv_expr_unknown() };
    venv_expr_input input = { .slots = slots, .slot_count = 6 };
    venv_expr_result result;
    venv_error err = { 0 };
    venv_rc rc = venv_expr_context_new(&context, &err);
    if (rc == VENV_OK)
        rc = venv_expr_compile(one->env, one->source, strlen(one->source), &expr, &err);
    if (rc == VENV_OK)
        rc = venv_expr_eval(expr, context, &input, &result, &err);
    (void)venv_expr_unref(expr);
    venv_expr_context_free(context);
    return rc;
}

static venv_rc run_case(void *user)
{
    const one_case *one = user;
    venv_rc rc = evaluate(one);
    return rc == one->usual ? VENV_OK : rc;
}

/* Every function, macro and operator, in what it does and in how it fails. */
static void test_cases(void **state)
{
    static const char *const variables[][2] = { { "memfree", "int" }, { "load1", "double" },
                                                { "state", "string" }, { "agent", "map(string, dyn)" },
                                                { "agents", "list(map(string, dyn))" }, { "x", "dyn" } };
    static const struct {
        const expr_case *cases;
        size_t count;
    } tables[] = { { expr_cases, sizeof expr_cases / sizeof *expr_cases }, { spec_cases, sizeof spec_cases / sizeof *spec_cases } };
    (void)state;
    venv_expr_options options = { .zone = zoneinfo_load };
    one_case one = { .env = NULL };
    assert_int_equal(venv_expr_env_new(&options, &one.env, NULL), VENV_OK);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        assert_int_equal(venv_expr_env_variable(one.env, variables[i][0], variables[i][1], NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_function(one.env, "queue(string) -> map(string, int)", 10, call_give, NULL, NULL), VENV_OK);
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            one.source = tables[t].cases[i].source;
            one.usual = evaluate(&one);
            (void)alloc_check(run_case, &one);
        }
    }
    (void)venv_expr_env_unref(one.env);
}

/* A program that is evaluated again allocates nothing. */
static void test_steady(void **state)
{
    static const char source[] = "lists.range(2000).map(x, string(x * n) + ' is a longer text').filter(t, t.size() > 20).size() > 1";
    (void)state;
    venv_expr_env *env = NULL;
    venv_expr_context *context = NULL;
    venv_expr *expr = NULL;
    venv_value slot = venv_value_int(50);
    venv_expr_input input = { .slots = &slot, .slot_count = 1 };
    venv_expr_result result;
    assert_int_equal(venv_expr_env_new(NULL, &env, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_variable(env, "n", "int", NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_compile(env, source, strlen(source), &expr, NULL), VENV_OK);
    assert_int_equal(venv_expr_context_new(&context, NULL), VENV_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(venv_expr_eval(expr, context, &input, &result, NULL), VENV_OK);
    assert_true(venv_expr_context_used(context) > 90000);
    alloc_fail_at(0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(venv_expr_eval(expr, context, &input, &result, NULL), VENV_OK);
    assert_int_equal(alloc_count(), 0);
    (void)venv_expr_unref(expr);
    venv_expr_context_free(context);
    (void)venv_expr_env_unref(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_programs), cmocka_unit_test(test_template), cmocka_unit_test(test_cases),
                                        cmocka_unit_test(test_steady) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
