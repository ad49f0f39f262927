/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The corners of the language (spec_cases.h): with types and without, within a container, the types that are
 * deduced, and what is unknown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "expr/spec_cases.h"
#include "expr/zoneinfo.h"

#include <venv/expr.h>

#include <string.h>

static const struct {
    const char *name, *type;
} variables[] = {
    { "x", "dyn" },   { "i", "int" },      { "s", "string" }, { "l", "list(int)" },       { "m", "map(string, int)" },
    { "y", "string" }, { "a.b.c", "int" }, { "wi", "wrapper(int)" }, { "com.example.y", "int" }, { "t", "timestamp" },
    { "d", "duration" }, { "ld", "list(dyn)" }, { "lu", "list(dyn)" }, { "md", "map(string, dyn)" }, { "a.b", "map(string, int)" },
    { "o", "optional_type(int)" },
};
enum { X, I, S, L, M, Y, ABC, WI, COM_Y, T, D, LD, LU, MD, AB, O, COUNT };

typedef struct world {
    venv_expr_env *env;
    venv_expr_context *context;
    venv_value slots[COUNT];
} world;

static venv_value list_of(const venv_value *items, size_t count)
{
    venv_list_builder list;
    venv_value value;
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++)
        venv_list_add(&list, items[i]);
    assert_int_equal(venv_list_take(&list, &value, NULL), VENV_OK);
    return value;
}

static venv_value map_of(const char *key, int64_t number, bool more)
{
    venv_map_builder map;
    venv_value value;
    venv_map_init(&map);
    venv_map_put(&map, key, venv_value_int(number));
    if (more) {
        venv_map_put(&map, "u", venv_expr_unknown());
        venv_map_put(&map, "n", venv_value_null());
    }
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    return value;
}

static void set_up(world *w, bool check_off, const char *container)
{
    venv_expr_options options = { .check_off = check_off, .zone = zoneinfo_load, .container = container };
    venv_value numbers[] = { venv_value_int(1), venv_value_int(2) };
    venv_value odd[] = { venv_value_int(2), venv_expr_unknown(), venv_value_int(1) };
    *w = (world){ .env = NULL };
    assert_int_equal(sizeof variables / sizeof *variables, COUNT);
    assert_int_equal(venv_expr_env_new(&options, &w->env, NULL), VENV_OK);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(venv_expr_env_variable(w->env, variables[i].name, variables[i].type, NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_context_new(&w->context, NULL), VENV_OK);
    w->slots[X] = w->slots[O] = venv_expr_unknown();
    w->slots[I] = venv_value_int(7);
    w->slots[S] = venv_value_literal("str");
    w->slots[L] = list_of(numbers, 2);
    w->slots[LD] = list_of(numbers, 2);
    w->slots[LU] = list_of(odd, 3);
    w->slots[M] = map_of("k", 1, false);
    w->slots[MD] = map_of("k", 1, true);
    w->slots[AB] = map_of("c", 22, false);
    w->slots[Y] = venv_value_literal("why");
    w->slots[ABC] = venv_value_int(11);
    w->slots[COM_Y] = venv_value_int(42);
    w->slots[T] = w->slots[D] = w->slots[WI] = venv_value_null();
}

static void tear_down(world *w)
{
    for (size_t i = 0; i < COUNT; i++)
        venv_value_unref(&w->slots[i]);
    venv_expr_context_free(w->context);
    assert_null(venv_expr_env_unref(w->env));
}

/* The type if it is asked for, else the value; errors as "!text". */
static void outcome(const world *w, const char *source, bool type, char *buffer, size_t size)
{
    venv_expr *expr = NULL;
    venv_expr_input input = { .slots = w->slots, .slot_count = COUNT };
    venv_expr_result result;
    venv_error err = { 0 };
    venv_rc rc = venv_expr_compile(w->env, source, strlen(source), &expr, &err);
    if (rc == VENV_OK && !type)
        rc = venv_expr_eval(expr, w->context, &input, &result, &err);
    if (rc != VENV_OK) {
        snprintf(buffer, size, "!%s", err.text);
    } else if (type) {
        snprintf(buffer, size, "%s", venv_expr_type(expr));
    } else if (result.outcome == VENV_EXPR_UNKNOWN) {
        size_t used = (size_t)snprintf(buffer, size, "unknown:");
        for (size_t i = 0; i < result.missing_count && used < size; i++)
            used += (size_t)snprintf(buffer + used, size - used, " %s", venv_expr_missing(w->context, i)->text);
    } else {
        (void)venv_value_print(&result.value, buffer, size);
    }
    (void)venv_expr_unref(expr);
}

static void run(const world *w, const expr_case *cases, size_t count, bool check_off, bool type)
{
    int failures = 0;
    for (size_t i = 0; i < count; i++) {
        char got[1024];
        outcome(w, cases[i].source, type, got, sizeof got);
        bool error = cases[i].wanted[0] == '!';
        /* Without types many errors come later or not at all: there the values are what must hold. */
        bool ok = error ? check_off || (*got == '!' && strstr(got, cases[i].wanted + 1)) : !strcmp(got, cases[i].wanted);
        if (!ok)
            print_message("%s: expected %s, got %s\n", cases[i].source, cases[i].wanted, got);
        failures += !ok;
    }
    assert_int_equal(failures, 0);
}

#define RUN(w, cases, check_off, type) run((w), (cases), sizeof(cases) / sizeof *(cases), (check_off), (type))

static void test_corners(void **state)
{
    (void)state;
    for (int off = 0; off < 2; off++) {
        world w;
        set_up(&w, off, NULL);
        RUN(&w, spec_cases, off, false);
        RUN(&w, spec_unknown, off, false);
        tear_down(&w);
        set_up(&w, off, "com.example");
        RUN(&w, spec_container_cases, off, false);
        tear_down(&w);
    }
}

static void test_types(void **state)
{
    (void)state;
    world w;
    set_up(&w, false, NULL);
    RUN(&w, spec_types, false, true);
    tear_down(&w);
}

/* As many as VENV_EXPR_ARGS_MAX; what a function is called on, or its namespace, is none of them. */
static void test_arguments(void **state)
{
    static const char *const calls[] = { "math.greatest(1", "max(1", "s.nothing(1" };
    (void)state;
    world w;
    set_up(&w, false, NULL);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char source[64 + 2 * VENV_EXPR_ARGS_MAX], got[1024];
        size_t size = (size_t)snprintf(source, sizeof source, "%s", calls[i]);
        for (unsigned arg = 1; arg < VENV_EXPR_ARGS_MAX; arg++)
            size += (size_t)snprintf(source + size, sizeof source - size, ",1");
        memcpy(source + size, ")", 2);
        outcome(&w, source, false, got, sizeof got);
        assert_null(strstr(got, "more than 64 arguments"));
        memcpy(source + size, ",1)", 4);
        outcome(&w, source, false, got, sizeof got);
        assert_non_null(strstr(got, "more than 64 arguments"));
    }
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_corners), cmocka_unit_test(test_types),
                                        cmocka_unit_test(test_arguments) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
