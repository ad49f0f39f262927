/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evaluator: every function and macro (cases.h), with types and without; unknown values; what is
 * read; costs; limits; messages; templates; threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "expr/cases.h"
#include "expr/zoneinfo.h"

#include <venv/expr.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static venv_value map_of(const char *name, int64_t memfree, const char *state, bool up)
{
    venv_map_builder map;
    venv_value value;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", name);
    venv_map_put(&map, "memfree", venv_value_int(memfree));
    venv_map_put_z(&map, "state", state);
    venv_map_put(&map, "up", venv_value_bool(up));
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    return value;
}

static venv_value agent_value(void)
{
    venv_map_builder map, p;
    venv_value value, inner;
    venv_map_init(&p);
    venv_map_put(&p, "cputemp", venv_value_double(85.5));
    venv_map_put(&p, "lost", venv_expr_unknown());
    assert_int_equal(venv_map_take(&p, &inner, NULL), VENV_OK);
    venv_map_init(&map);
    venv_map_put_z(&map, "name", "node07");
    venv_map_put(&map, "p", inner);
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    return value;
}

static venv_rc call_queue(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    venv_map_builder map;
    if (venv_value_is_text(&call->args[0], "none"))
        return venv_error_set(err, VENV_ENOENT, "no queue is called none");
    if (venv_value_is_text(&call->args[0], "hidden"))
        return VENV_EUNKNOWN;
    venv_map_init(&map);
    venv_map_put(&map, "pending", venv_value_int(3));
    return venv_map_take(&map, ret_value, err);
}

static venv_rc call_shout(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    char text[64];
    venv_str word = venv_value_peek_text(&call->args[0]);
    int size = snprintf(text, sizeof text, "%.*s%.*s", (int)word.size, word.data,
                        (int)venv_value_peek_int(&call->args[1]), "!!!!!!!!");
    return venv_value_string(text, (size_t)size, ret_value, err);
}

static venv_rc call_lookup(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    (void)call;
    venv_list_builder list;
    venv_list_init(&list);
    venv_list_add_text(&list, "10.0.0.1");
    return venv_list_take(&list, ret_value, err);
}

static venv_rc call_first(const venv_expr_call *call, venv_value *ret_value, venv_error *err)
{
    (void)err;
    *ret_value = venv_value_ref(venv_value_at(&call->args[0], 0));
    return VENV_OK;
}

typedef struct fixture {
    venv_expr_env *env;
    venv_expr_context *context;
    venv_value slots[6];
    venv_expr_input input;
} fixture;

static void set_up(fixture *f, bool check_off)
{
    static const struct {
        const char *name, *type;
    } variables[] = { { "memfree", "int" }, { "load1", "double" }, { "state", "string" },
                      { "agent", "map(string, dyn)" }, { "agents", "list(map(string, dyn))" }, { "x", "dyn" } };
    venv_expr_options options = { .check_off = check_off, .zone = zoneinfo_load };
    venv_list_builder list;
    *f = (fixture){ .env = NULL };
    assert_int_equal(venv_expr_env_new(&options, &f->env, NULL), VENV_OK);
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t slot;
        assert_int_equal(venv_expr_env_variable(f->env, variables[i].name, variables[i].type, &slot, NULL), VENV_OK);
        assert_int_equal(slot, i);
    }
    assert_int_equal(venv_expr_env_function(f->env, "queue(string) -> map(string, int)", 10, call_queue, NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_function(f->env, "string.shout(int) -> string", 1, call_shout, NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_function(f->env, "net.lookup(string) -> list(string)", 1, call_lookup, NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_function(f->env, "first(list(T)) -> T", 1, call_first, NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_context_new(&f->context, NULL), VENV_OK);
    venv_list_init(&list);
    venv_list_add(&list, map_of("node01", 512, "busy", false));
    venv_list_add(&list, map_of("node02", 1024, "idle", true));
    f->slots[0] = venv_value_int(100);
    f->slots[1] = venv_value_double(5.5);
    f->slots[2] = venv_value_literal("busy");
    f->slots[3] = agent_value();
    assert_int_equal(venv_list_take(&list, &f->slots[4], NULL), VENV_OK);
    f->slots[5] = venv_expr_unknown();
    f->input = (venv_expr_input){ .slots = f->slots, .slot_count = 6 };
}

static void tear_down(fixture *f)
{
    for (size_t i = 0; i < 6; i++)
        venv_value_unref(&f->slots[i]);
    venv_expr_context_free(f->context);
    assert_null(venv_expr_env_unref(f->env));
}

static venv_expr *compile(fixture *f, const char *source)
{
    venv_expr *expr = NULL;
    venv_error err = { 0 };
    if (venv_expr_compile(f->env, source, strlen(source), &expr, &err) != VENV_OK)
        fail_msg("%s: %s", source, err.text);
    return expr;
}

/* What is explained is what was decided: the part that is the whole expression, and what it failed with. */
static void check_explained(fixture *f, const venv_expr *expr, venv_rc rc, const venv_expr_result *result, const venv_error *err)
{
    venv_expr_explanation *explanation = NULL;
    char printed[VENV_EXPR_PART_TEXT_MAX];
    const char *source = venv_expr_source(expr);
    assert_int_equal(venv_expr_explain(expr, &f->input, &explanation, NULL), VENV_OK);
    const venv_error *why = venv_expr_explanation_error(explanation);
    assert_int_equal(why ? why->rc : VENV_OK, rc);
    if (rc != VENV_OK)
        assert_string_equal(why->text, err->text);
    for (size_t i = 0; i < venv_expr_explanation_count(explanation); i++) {
        const venv_expr_part *part = venv_expr_explanation_at(explanation, i);
        assert_true(part->begin < part->end && part->end <= strlen(source));
        assert_true(i == 0 || part->depth <= venv_expr_explanation_at(explanation, i - 1)->depth + 1);
    }
    const venv_expr_part *whole = venv_expr_explanation_at(explanation, 0);
    if (whole && whole->depth == 0 && whole->end - whole->begin == strlen(source)) {
        assert_int_equal(whole->state, rc != VENV_OK                             ? VENV_EXPR_PART_ERROR
                                       : result->outcome == VENV_EXPR_UNKNOWN ? VENV_EXPR_PART_UNKNOWN
                                                                              : VENV_EXPR_PART_VALUE);
        bool whole_text = rc == VENV_OK && result->outcome == VENV_EXPR_VALUE &&
                          venv_value_print(&result->value, printed, sizeof printed) < sizeof printed &&
                          strncmp(whole->text, "a list of", 9) != 0 && strncmp(whole->text, "a map of", 8) != 0 &&
                          strncmp(whole->text, "a value of", 10) != 0;
        if (whole_text)
            assert_string_equal(whole->text, printed);
    }
    venv_expr_explanation_free(explanation);
}

/* Compile and evaluate, then print; errors as "!text". */
static const char *outcome(fixture *f, const char *source, char *buffer, size_t size, uint64_t *ret_cost)
{
    venv_expr *expr = NULL;
    venv_expr_result result;
    venv_error err = { 0 };
    venv_rc rc = venv_expr_compile(f->env, source, strlen(source), &expr, &err);
    if (rc == VENV_OK) {
        rc = venv_expr_eval(expr, f->context, &f->input, &result, &err);
        if (!f->input.resolve) /* whose calls are counted */
            check_explained(f, expr, rc, &result, &err);
    }
    if (rc != VENV_OK) {
        assert_int_equal(err.rc, rc);
        assert_true(err.line > 0 && err.column > 0);
        assert_non_null(strstr(err.text, "\n  "));
        snprintf(buffer, size, "!%s", err.text);
    } else if (result.outcome == VENV_EXPR_UNKNOWN) {
        size_t used = (size_t)snprintf(buffer, size, "unknown:");
        for (size_t i = 0; i < result.missing_count; i++)
            used += (size_t)snprintf(buffer + used, size - used, " %s", venv_expr_missing(f->context, i)->text);
    } else {
        (void)venv_value_print(&result.value, buffer, size);
        if (ret_cost)
            *ret_cost = result.cost;
    }
    (void)venv_expr_unref(expr);
    return buffer;
}

static void run_cases(bool check_off)
{
    fixture f;
    int failures = 0;
    set_up(&f, check_off);
    for (size_t i = 0; i < sizeof expr_cases / sizeof *expr_cases; i++) {
        char got[1024];
        const char *source = expr_cases[i].source, *wanted = expr_cases[i].wanted;
        (void)outcome(&f, source, got, sizeof got, NULL);
        bool error = *wanted == '!';
        /* Without types many errors come later or not at all: there the values are what must hold. */
        bool ok = error ? *got == '!' && (strstr(got, wanted + 1) || check_off) : !strcmp(got, wanted);
        if (error && check_off && *got != '!')
            ok = true;
        if (!ok)
            print_message("%s: expected %s, got %s\n", source, wanted, got);
        failures += !ok;
    }
    tear_down(&f);
    assert_int_equal(failures, 0);
}

static void test_cases_checked(void **state)
{
    (void)state;
    run_cases(false);
}

static void test_cases_unchecked(void **state)
{
    (void)state;
    run_cases(true);
}

static void test_unknown(void **state)
{
    static const expr_case cases[] = {
        { "x", "unknown: x" },
        { "x == 1 && false", "false" },
        { "false && x == 1", "false" },
        { "x == 1 || true", "true" },
        { "x == 1 && true", "unknown: x" },
        { "x == 1 || memfree > 1000", "unknown: x" },
        { "x == 1 && 1 / 0 == 1", "unknown: x" },
        { "x == agent.p.lost", "unknown: x agent.p.lost" },
        { "agent.p.lost > 1", "unknown: agent.p.lost" },
        { "agent.p.lost > 1 && memfree > 1000", "false" },
        { "has(agent.p.lost)", "unknown: agent.p.lost" },
        { "memfree < 1000 ? 1 : x", "1" },
        { "x ? 1 : 2", "unknown: x" },
        { "[1, 2].exists(i, i == 1 || x == i)", "true" },
        { "[1, 2].all(i, i == 2 && x == i)", "false" },
        { "[1, 2].all(i, x == i)", "unknown: x" },
        { "[1, x, 2]", "unknown: x" },
        { "size(x) + size(agent.p.lost)", "unknown: x agent.p.lost" },
        { "x.filter(i, i > 1).size()", "unknown: x" },
        { "[1].map(i, x)", "unknown: x" },
        { "queue('hidden').pending > 1", "unknown: queue(\"hidden\")" },
        { "queue('hidden').pending > 1 || queue('a').pending > 1", "true" },
        { "cel.bind(v, x, v == 1 && v == 2)", "unknown: x" },
        { "cel.bind(v, x, v == 1 || true)", "true" },
        { "!x", "unknown: x" },
        { "(x == 1 && memfree == 1) || agent.p.lost > 1", "unknown: agent.p.lost" },
        { "agent.p.exists(k, v, v == 1)", "unknown: agent.p" },
    };
    (void)state;
    for (int off = 0; off < 2; off++) {
        fixture f;
        set_up(&f, off != 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char got[512];
            if (strcmp(outcome(&f, cases[i].source, got, sizeof got, NULL), cases[i].wanted) != 0)
                fail_msg("%s: expected %s, got %s", cases[i].source, cases[i].wanted, got);
        }
        tear_down(&f);
    }
}

static void test_reads(void **state)
{
    static const struct {
        const char *source, *reads;
    } cases[] = {
        { "1 + 1", "" },
        { "memfree < 512 && memfree > 1", "memfree;" },
        { "agent.p.cputemp > 80.0 && agent['p'].load < 1.0", "agent.p.cputemp;agent.p.load;" },
        { "agent.p[state].x == 1", "agent.p;state;" },
        { "has(agent.p.x) ? agent.p.x : 0", "agent.p.x?;agent.p.x;" },
        { "has(agent.p.x)", "agent.p.x?;" },
        { "agent.?p.orValue({}) == {}", "agent.p?;" },
        { "agents.filter(a, a.memfree > memfree).size()", "agents;memfree;" },
        { "queue('class2').pending > queue(state).pending", "queue(\"class2\");state;queue(...);" },
        { "agent['a-b'].c == 1", "agent[\"a-b\"].c;" },
    };
    (void)state;
    fixture f;
    set_up(&f, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char got[512] = "";
        venv_expr *expr = compile(&f, cases[i].source);
        for (size_t r = 0; r < venv_expr_read_count(expr); r++) {
            const venv_expr_read *read = venv_expr_read_at(expr, r);
            strcat(strcat(got, read->text), read->tested ? "?;" : ";");
            assert_true(read->path_count >= 1);
        }
        assert_null(venv_expr_read_at(expr, venv_expr_read_count(expr)));
        if (strcmp(got, cases[i].reads) != 0)
            fail_msg("%s: expected %s, got %s", cases[i].source, cases[i].reads, got);
        (void)venv_expr_unref(expr);
    }
    venv_expr *expr = compile(&f, "queue('class2').pending > agent.p.cputemp");
    const venv_expr_read *read = venv_expr_read_at(expr, 0);
    assert_int_equal(read->kind, VENV_EXPR_READ_CALL);
    assert_string_equal(read->argument, "class2");
    read = venv_expr_read_at(expr, 1);
    assert_int_equal(read->slot, 3);
    assert_string_equal(read->path[2], "cputemp");
    (void)venv_expr_unref(expr);
    tear_down(&f);
}

/* Answers a path, part of it, or nothing, and counts the questions. */
static venv_expr_answer resolve(void *user, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth)
{
    (*(int *)user)++;
    if (!strcmp(read->text, "agent.p.cputemp")) {
        *ret_value = venv_value_double(90);
        return VENV_EXPR_FOUND;
    }
    if (!strcmp(read->path[0], "agents")) {
        static venv_value list;
        list = venv_value_null();
        venv_list_builder builder;
        venv_list_init(&builder);
        assert_int_equal(venv_list_take(&builder, &list, NULL), VENV_OK);
        *ret_value = list;
        *ret_depth = 1;
        return VENV_EXPR_FOUND;
    }
    return !strcmp(read->path[0], "load1") ? VENV_EXPR_NOT_KNOWN : VENV_EXPR_NOT_THERE;
}

static void test_resolver(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, false);
    int asked = 0;
    venv_value memfree = venv_value_int(7);
    venv_expr_input saved = f.input;
    char got[512];
    f.input = (venv_expr_input){ .slots = &memfree, .slot_count = 1, .resolve = resolve, .resolve_user = &asked };
    assert_string_equal(outcome(&f, "memfree == 7", got, sizeof got, NULL), "true");
    assert_int_equal(asked, 0);
    assert_string_equal(outcome(&f, "memfree == 8 && agent.p.cputemp > 80.0", got, sizeof got, NULL), "false");
    assert_int_equal(asked, 0);
    assert_string_equal(outcome(&f, "agent.p.cputemp > 80.0", got, sizeof got, NULL), "true");
    assert_int_equal(asked, 1);
    assert_string_equal(outcome(&f, "agents.size()", got, sizeof got, NULL), "0");
    assert_string_equal(outcome(&f, "load1 > 1.0", got, sizeof got, NULL), "unknown: load1");
    assert_string_equal(outcome(&f, "has(agent.p.other)", got, sizeof got, NULL), "false");
    assert_string_equal(outcome(&f, "[{'a': {}}].exists(v, has(v.a.b) || v.a.?b.hasValue())", got, sizeof got, NULL), "false");
    assert_non_null(strstr(outcome(&f, "[{'a': dyn(1)}].exists(v, has(v.b.c))", got, sizeof got, NULL), "no such key: b"));
    assert_string_equal(outcome(&f, "agent.?x.hasValue()", got, sizeof got, NULL), "false");
    assert_non_null(strstr(outcome(&f, "agent.p.other == 1", got, sizeof got, NULL), "no such key: other"));
    assert_non_null(strstr(outcome(&f, "state == ''", got, sizeof got, NULL), "no value is given for variable state"));
    /* From a map; slots that are absent fall through to it. */
    venv_value absent = venv_expr_absent(), map = map_of("a", 3, "idle", true);
    f.input = (venv_expr_input){ .slots = &absent, .slot_count = 1, .map = &map };
    assert_string_equal(outcome(&f, "memfree == 3 && state == 'idle'", got, sizeof got, NULL), "true");
    venv_value_unref(&map);
    f.input = saved;
    tear_down(&f);
}

static void test_cost(void **state)
{
    static const char *const sources[] = {
        "memfree < 512 && load1 > 4.0 || state == \"idle\"", "agents.filter(a, a.memfree > 1).size()",
        "agents.map(a, a.name).join(',')", "[1, 2, 3].map(x, [x, x].map(y, y + x))", "'abc' + 'def' == state",
        "state.matches('b.s+y')", "''.matches('')", "state.matches(state + 'x')", "state.matches('(' + state + ')+')",
        "timestamp(0).getHours('Europe/' + (memfree > 1 ? 'Rome' : 'Paris')) > 0", "agents == agents", "state in agent || agents[0] in agents",
        "agents.map(a, a.name).sort().join(state)", "'%s'.format([agents])", "agents.sortBy(a, a.name).size()",
        "agents.transformMapEntry(i, a, {a.name: a})[agents[0].name].memfree", "state < state + 'a longer text than thirteen'", "queue('a').pending + queue('b').pending",
    };
    (void)state;
    fixture f;
    set_up(&f, false);
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        char got[256];
        uint64_t cost = 0;
        (void)outcome(&f, sources[i], got, sizeof got, &cost);
        venv_expr *expr = compile(&f, sources[i]);
        venv_expr_cost estimate = venv_expr_estimate(expr, 100);
        if (cost < estimate.min || cost > estimate.max)
            fail_msg("%s costs %llu, estimated %llu..%llu", sources[i], (unsigned long long)cost,
                     (unsigned long long)estimate.min, (unsigned long long)estimate.max);
        /* One unit less than it needs is too little. */
        venv_expr_input input = f.input;
        venv_expr_result result;
        input.cost_max = cost;
        assert_int_equal(venv_expr_eval(expr, f.context, &input, &result, NULL), VENV_OK);
        input.cost_max = cost - 1;
        assert_int_equal(venv_expr_eval(expr, f.context, &input, &result, NULL), VENV_ELIMIT);
        (void)venv_expr_unref(expr);
    }
    venv_expr *expr = compile(&f, "agents.all(a, agents.all(b, a == b))");
    assert_true(venv_expr_estimate(expr, 1000).max > 1000000);
    assert_int_equal(venv_expr_estimate(expr, UINT64_MAX / 2).max, UINT64_MAX);
    (void)venv_expr_unref(expr);
    tear_down(&f);
}

static void test_estimate_limit(void **state)
{
    (void)state;
    venv_expr_options options = { .limits = { .estimate_max = 50000, .assumed_count = 100 } };
    venv_expr_env *env = NULL;
    venv_expr *expr = NULL;
    venv_error err = { 0 };
    static const char one[] = "many.all(a, a > 0)", two[] = "many.all(a, many.all(b, many.all(c, a + b > c)))";
    assert_int_equal(venv_expr_env_new(&options, &env, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_variable(env, "many", "list(int)", NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_compile(env, one, strlen(one), &expr, &err), VENV_OK);
    expr = venv_expr_unref(expr);
    assert_int_equal(venv_expr_compile(env, two, strlen(two), &expr, &err), VENV_ELIMIT);
    assert_null(expr);
    assert_non_null(strstr(err.text, "50000 are allowed"));
    (void)venv_expr_env_unref(env);
}

/* The tree of a variable: what `venvctl eval --ast` prints. */
static void test_description(void **state)
{
    (void)state;
    fixture f;
    char tree[512];
    set_up(&f, false);
    venv_expr *expr = compile(&f, "agents.exists(a,\n  a.memfree > memfree)");
    (void)venv_expr_print_tree(expr, tree, sizeof tree);
    assert_string_equal(tree, "macro exists a : bool  @1:8\n"
                              "  variable agents : list(map(string,dyn))  @1:1\n"
                              "  operator > : bool  @2:13\n"
                              "    select memfree : dyn  @2:5\n"
                              "      local a : map(string,dyn)  @2:3\n"
                              "    variable memfree : int  @2:15\n");
    assert_string_equal(venv_expr_type(expr), "bool");
    assert_true(venv_expr_may_be(expr, VENV_BOOL) && !venv_expr_may_be(expr, VENV_INT));
    assert_string_equal(venv_expr_source(expr), "agents.exists(a,\n  a.memfree > memfree)");
    assert_int_equal(venv_expr_print_tree(expr, tree, 0), venv_expr_print_tree(expr, tree, 10));
    (void)venv_expr_unref(expr);
    tear_down(&f);
}

static void test_messages(void **state)
{
    (void)state;
    fixture f;
    venv_expr *expr = NULL;
    venv_error err = { 0 };
    set_up(&f, false);
    const char *source = "load1 > 1.0 &&\n  memfre < 512";
    assert_int_equal(venv_expr_compile(f.env, source, strlen(source), &expr, &err), VENV_EINVAL);
    assert_int_equal(err.line, 2);
    assert_int_equal(err.column, 3);
    assert_string_equal(err.text, "there is no variable 'memfre'; did you mean 'memfree'?\n    memfre < 512\n    ^");
    assert_null(expr);
    assert_int_equal(venv_expr_env_variable(f.env, "memfree", "int", NULL, &err), VENV_EEXIST);
    assert_int_equal(venv_expr_env_variable(f.env, "a-b", "int", NULL, &err), VENV_EINVAL);
    assert_int_equal(venv_expr_env_variable(f.env, "y", "nonsense", NULL, &err), VENV_EINVAL);
    assert_int_equal(venv_expr_env_variable(f.env, "y", "map(int)", NULL, &err), VENV_EINVAL);
    assert_int_equal(venv_expr_env_function(f.env, "queue(string) -> dyn", 1, call_queue, NULL, &err), VENV_EEXIST);
    assert_int_equal(venv_expr_env_function(f.env, "f(int", 1, call_queue, NULL, &err), VENV_EINVAL);
    assert_int_equal(venv_expr_env_function(f.env, "f(int)", 1, call_queue, NULL, &err), VENV_EINVAL);
    assert_int_equal(venv_expr_env_slot(f.env, "load1"), 1);
    assert_int_equal(venv_expr_env_slot(f.env, "y"), -1);
    assert_int_equal(venv_expr_env_slot_count(f.env), 6);
    tear_down(&f);
}

static void test_templates(void **state)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        { "plain", "\"plain\"" },
        { "", "\"\"" },
        { "${ memfree }", "100" },
        { "${ agents }", NULL },
        { "node ${agent.name} at ${agent.p.cputemp} C", "\"node node07 at 85.5 C\"" },
        { "$${x} costs 5$", "\"${x} costs 5$\"" },
        { "a${ {'}': 1}['}'] }b", "\"a1b\"" },
        { "${[1, 'x']}!", "\"[1, \\\"x\\\"]!\"" },
        { "v=${x}", "unknown" },
        { "${x", "!not closed" },
        { "ab\n ${ 1 + }", "!ends where a value" },
        { "t ${1/0}", "!division by zero" },
    };
    (void)state;
    fixture f;
    set_up(&f, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        venv_expr_template *template_ = NULL;
        venv_expr_result result;
        venv_error err = { 0 };
        char got[VENV_ERROR_TEXT_MAX + 8];
        venv_rc rc = venv_expr_template_compile(f.env, cases[i].text, strlen(cases[i].text), &template_, &err);
        if (rc == VENV_OK)
            rc = venv_expr_template_eval(template_, f.context, &f.input, &result, &err);
        if (rc != VENV_OK)
            snprintf(got, sizeof got, "!%s", err.text);
        else if (result.outcome == VENV_EXPR_UNKNOWN)
            snprintf(got, sizeof got, "unknown");
        else
            (void)venv_value_print(&result.value, got, sizeof got);
        if (cases[i].wanted && (*cases[i].wanted == '!' ? !strstr(got, cases[i].wanted + 1) : strcmp(got, cases[i].wanted) != 0))
            fail_msg("%s: expected %s, got %s", cases[i].text, cases[i].wanted, got);
        if (strchr(cases[i].text, '\n'))
            assert_true(err.line == 2 && err.column == 9);
        (void)venv_expr_template_unref(template_);
    }
    tear_down(&f);
}

/* ---- quick conditions: they must come to what the tree of nodes does ---- */

static unsigned next_random(uint64_t *state, unsigned count)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*state >> 33) % count;
}

/* A condition over the fields of `a`, or over variables where that is empty. */
static void make_condition(uint64_t *random, const char *a, int depth, char *out, size_t size)
{
    static const char *const leaves[] = { "%si > 3",   "%si == 2",     "4 >= %si",       "%sd < 1.5",      "2.5 != %sd",
                                          "%ss == 'ab'", "'cd' != %ss", "%st == 'idle'",  "%sb",            "%si != 3" };
    static const char *const forms[] = { "(%s && %s)", "(%s || %s)", "(%s && %s && true)", "!(%s)", "(%s || %s || %s)" };
    char parts[3][700];
    if (depth == 0 || next_random(random, 4) == 0) {
        const char *leaf = leaves[next_random(random, 10)], *mark = strstr(leaf, "%s");
        snprintf(out, size, "%.*s%s%s", (int)(mark - leaf), leaf, a, mark + 2);
        return;
    }
    const char *form = forms[next_random(random, 5)];
    size_t used = 0;
    int part = 0;
    for (int i = 0; i < 3; i++)
        make_condition(random, a, depth - 1, parts[i], sizeof parts[i]);
    for (const char *c = form; *c && used + 1 < size; c++) {
        if (*c == '%') {
            used += (size_t)snprintf(out + used, size - used, "%s", parts[part++]);
            c++;
        } else {
            out[used++] = *c;
        }
        if (used >= size)
            used = size - 1;
        out[used] = '\0';
    }
}

/* Some items lack a field, or have it of another kind, or do not know it. */
static venv_value odd_items(uint64_t *random, int count, bool regular)
{
    venv_list_builder list;
    venv_value value;
    venv_list_init(&list);
    for (int i = 0; i < count; i++) {
        venv_map_builder map;
        unsigned odd = regular ? 99 : next_random(random, 60);
        venv_map_init(&map);
        if (odd != 0)
            venv_map_put(&map, "i", odd == 1 ? venv_expr_unknown() : odd == 2 ? venv_value_double(3) : venv_value_int(next_random(random, 6)));
        venv_map_put(&map, "d", odd == 3 ? venv_value_int(1) : venv_value_double(next_random(random, 6) / 2.0));
        venv_map_put_z(&map, "s", next_random(random, 2) ? "ab" : "a text that is longer than that");
        if (odd != 4)
            venv_map_put_z(&map, "t", next_random(random, 2) ? "idle" : "busy");
        venv_map_put(&map, "b", odd == 5 ? venv_value_null() : venv_value_bool(next_random(random, 2)));
        if (odd > 40 && odd < 99)
            venv_map_put(&map, "aa", venv_value_null()); /* the fields are at other places then */
        assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
        venv_list_add(&list, value);
    }
    assert_int_equal(venv_list_take(&list, &value, NULL), VENV_OK);
    return value;
}

static void test_quick(void **state)
{
    static const char *const forms[] = { "agents.filter(a, %s).size()", "agents.exists(a, %s)", "agents.all(a, %s)",
                                         "agents.exists_one(a, %s)", "agents.filter(a, %s).map(a, a.b)" };
    (void)state;
    fixture f;
    uint64_t random = 42;
    set_up(&f, false);
    for (int round = 0; round < 1500; round++) {
        char condition[2200], whole[2300], quick[2400], slow[2400], got[1200], wanted[1200];
        const char *form = forms[next_random(&random, 5)], *mark = strstr(form, "%s");
        make_condition(&random, "a.", 3, condition, sizeof condition);
        snprintf(whole, sizeof whole, "(%s ? true : false)", condition); /* no list of tests holds a ternary */
        snprintf(quick, sizeof quick, "%.*s%s%s", (int)(mark - form), form, condition, mark + 2);
        snprintf(slow, sizeof slow, "%.*s%s%s", (int)(mark - form), form, whole, mark + 2);
        venv_value_unref(&f.slots[4]);
        f.slots[4] = odd_items(&random, (int)next_random(&random, 200), round % 2);
        (void)outcome(&f, quick, got, sizeof got, NULL);
        (void)outcome(&f, slow, wanted, sizeof wanted, NULL);
        /* Errors show where they are, which is elsewhere in the longer source. */
        bool errors = *got == '!' && *wanted == '!' && !strncmp(got, wanted, 12);
        if (!errors && strcmp(got, wanted) != 0)
            fail_msg("%s: expected %s, got %s", quick, wanted, got);
    }
    tear_down(&f);
}

/* Each word of the language is refused as a name and taken as a field, but for the four that are values. */
static void test_words(void **state)
{
    static const char *const words[] = { "as", "break", "const", "continue", "else", "for", "function", "if", "import",
                                         "let", "loop", "package", "namespace", "return", "var", "void", "while" };
    static const char *const keywords[] = { "in", "true", "false", "null" };
    (void)state;
    fixture f;
    char source[80], got[400];
    set_up(&f, true);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(source, sizeof source, "%s + 1", words[i]);
        assert_non_null(strstr(outcome(&f, source, got, sizeof got, NULL), "is a reserved word"));
        snprintf(source, sizeof source, "{'%s': 1}.%s + [2].map(%sx, %sx)[0]", words[i], words[i], words[i], words[i]);
        assert_string_equal(outcome(&f, source, got, sizeof got, NULL), "3");
    }
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        snprintf(source, sizeof source, "{'%s': 1}.%s", keywords[i], keywords[i]);
        assert_non_null(strstr(outcome(&f, source, got, sizeof got, NULL), "expected the name of a field"));
        snprintf(source, sizeof source, "[2].map(%sx, %sx)[0]", keywords[i], keywords[i]);
        assert_string_equal(outcome(&f, source, got, sizeof got, NULL), "2");
    }
    tear_down(&f);
}

/* "TEXT = VALUE", a part a line; `?` unknown, `!` an error, `-` not run, `~` not needed, `(t/n)` true in t of n rounds. */
static void explain(fixture *f, const char *source, char *out, size_t size)
{
    venv_expr *expr = compile(f, source);
    venv_expr_explanation *explanation = NULL;
    static const char marks[] = { [VENV_EXPR_PART_VALUE] = '=', [VENV_EXPR_PART_UNKNOWN] = '?',
                                  [VENV_EXPR_PART_ERROR] = '!', [VENV_EXPR_PART_NOT_RUN] = '-' };
    size_t at = 0;
    assert_int_equal(venv_expr_explain(expr, &f->input, &explanation, NULL), VENV_OK);
    for (size_t i = 0; i < venv_expr_explanation_count(explanation); i++) {
        const venv_expr_part *part = venv_expr_explanation_at(explanation, i);
        at += (size_t)snprintf(out + at, size - at, "%*s%.*s %s%c%s%s", (int)part->depth, "", (int)(part->end - part->begin),
                               source + part->begin, part->needed ? "" : "~", marks[part->state], part->text[0] ? " " : "",
                               part->text);
        if (part->repeats)
            at += (size_t)snprintf(out + at, size - at, " (%u/%u)", part->trues, part->rounds);
        at += (size_t)snprintf(out + at, size - at, "\n");
    }
    venv_expr_explanation_free(explanation);
    assert_null(venv_expr_unref(expr));
}

static void test_explain(void **state)
{
    (void)state;
    static const struct {
        const char *source, *wanted;
    } cases[] = {
        { "memfree < 512 && (load1 + 1.0 > 4.0 || x > 3)",
          "memfree < 512 && (load1 + 1.0 > 4.0 || x > 3) = true\n memfree < 512 = true\n  memfree = 100\n"
          " (load1 + 1.0 > 4.0 || x > 3) = true\n  load1 + 1.0 > 4.0 = true\n   load1 + 1.0 = 6.5\n    load1 = 5.5\n"
          "  x > 3 ~?\n   x ~?\n" },
        { "memfree > 512 && 1 / (memfree - 100) > 0",
          "memfree > 512 && 1 / (memfree - 100) > 0 = false\n memfree > 512 = false\n  memfree = 100\n"
          " 1 / (memfree - 100) > 0 ~! division by zero\n  1 / (memfree - 100) ~! division by zero\n"
          "   (memfree - 100) ~= 0\n    memfree ~= 100\n" },
        { "agents.exists(a, a.state == 'idle' && a.memfree > 512)",
          "agents.exists(a, a.state == 'idle' && a.memfree > 512) = true\n agents = [{\"up\": false, \"name\": \"node01\", "
          "\"state\": \"busy\", \"memfree\": 512}, {\"up\": true, \"name\": \"node02\", \"state\": \"idle\", \"memfree\": 1024}]\n"
          " a.state == 'idle' && a.memfree > 512 = true (1/2)\n  a.state == 'idle' = true (1/2)\n   a.state = \"idle\" (0/2)\n"
          "  a.memfree > 512 = true (1/1)\n   a.memfree = 1024 (0/1)\n" },
        { "[1].filter(i, i > 3).exists(j, j == memfree)",
          "[1].filter(i, i > 3).exists(j, j == memfree) = false\n [1].filter(i, i > 3) = []\n  i > 3 = false (0/1)\n   i = 1 (0/1)\n"
          " j == memfree ~- (0/0)\n  j ~- (0/0)\n  memfree ~- (0/0)\n" },
        { "has(agent.p) ? -memfree : memfree",
          "has(agent.p) ? -memfree : memfree = -100\n has(agent.p) = true\n -memfree = -100\n  memfree = 100\n memfree ~= 100\n" },
        { "true && 1 < 2", "true && 1 < 2 = true\n" },
        { "1 < 2", "" },
    };
    fixture f;
    char got[4096] = "";
    set_up(&f, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        *got = '\0';
        explain(&f, cases[i].source, got, sizeof got);
        if (strcmp(got, cases[i].wanted) != 0)
            fail_msg("%s: expected\n%sgot\n%s", cases[i].source, cases[i].wanted, got);
    }
    /* More parts than are kept, and a value that is too long: cut, and it says so. */
    venv_expr *expr = NULL;
    char source[8192] = "memfree";
    for (int i = 0; i < 60; i++)
        strcat(source, " + memfree");
    strcat(source, " > 0 && ('0123456789' + state + 'x').size() > 0 && [state].map(s, s + 'a123456789b123456789c').size() == 1");
    assert_int_equal(venv_expr_compile(f.env, source, strlen(source), &expr, NULL), VENV_OK);
    venv_expr_explanation *explanation = NULL;
    venv_value list = venv_value_null();
    assert_int_equal(venv_expr_explain(expr, &f.input, &explanation, NULL), VENV_OK);
    assert_int_equal(venv_expr_explanation_is_cut(explanation), venv_expr_explanation_count(explanation) == VENV_EXPR_PARTS_MAX);
    assert_int_equal(venv_expr_explanation_value(explanation, 10, &list, NULL), VENV_OK);
    assert_int_equal(venv_value_count(&list), 10);
    assert_string_equal(venv_expr_part_state_name(VENV_EXPR_PART_NOT_RUN), "not-run");
    venv_value_unref(&list);
    venv_expr_explanation_free(explanation);
    assert_null(venv_expr_unref(expr));
    tear_down(&f);
}

static void *evaluate_often(void *user)
{
    const venv_expr *expr = user;
    venv_expr_context *context = NULL;
    venv_expr_result result;
    long bad = 0;
    if (venv_expr_context_new(&context, NULL) != VENV_OK)
        return (void *)1;
    for (int i = 0; i < 2000; i++) {
        venv_value slots[3] = { venv_value_int(i), venv_value_double(i), venv_value_literal(i % 2 ? "idle" : "busy") };
        venv_expr_input input = { .slots = slots, .slot_count = 3 };
        bool wanted = (i < 512 && i > 4) || i % 2;
        bad += venv_expr_eval(expr, context, &input, &result, NULL) != VENV_OK ||
               venv_value_peek_bool(&result.value) != wanted;
    }
    venv_expr_context_free(context);
    return (void *)bad;
}

static void test_threads(void **state)
{
    (void)state;
    fixture f;
    pthread_t threads[3];
    set_up(&f, false);
    venv_expr *expr = compile(&f, "memfree < 512 && load1 > 4.0 || state.matches('^id') && size([1, 2].map(x, string(x))) == 2");
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, evaluate_often, expr), 0);
    for (int i = 0; i < 3; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    assert_null(venv_expr_unref(expr));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_checked), cmocka_unit_test(test_cases_unchecked), cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_reads),         cmocka_unit_test(test_resolver),        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_description),   cmocka_unit_test(test_messages),        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_quick),           cmocka_unit_test(test_words),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_explain),      cmocka_unit_test(test_estimate_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
