/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile expressions (threat T12): each ends within its limit with a clear error, whatever it does.
 * The limits are counts of work, not of time, so that the test is the same on every machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <venv/expr.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    venv_expr_env *env;
    venv_expr_context *context;
    venv_value slots[2];
} fixture;

static void set_up(fixture *f)
{
    venv_list_builder list;
    char *text = malloc(60000);
    assert_non_null(text);
    memset(text, 'a', 60000);
    assert_int_equal(venv_expr_env_new(NULL, &f->env, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_variable(f->env, "many", "list(int)", NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_env_variable(f->env, "text", "string", NULL, NULL), VENV_OK);
    assert_int_equal(venv_expr_context_new(&f->context, NULL), VENV_OK);
    venv_list_init(&list);
    for (int i = 0; i < 10000; i++)
        venv_list_add(&list, venv_value_int(i));
    assert_int_equal(venv_list_take(&list, &f->slots[0], NULL), VENV_OK);
    assert_int_equal(venv_value_string(text, 60000, &f->slots[1], NULL), VENV_OK);
    free(text);
}

static void tear_down(fixture *f)
{
    venv_value_unref(&f->slots[0]);
    venv_value_unref(&f->slots[1]);
    venv_expr_context_free(f->context);
    (void)venv_expr_env_unref(f->env);
}

static venv_rc attempt(fixture *f, const char *source, size_t size, venv_error *err)
{
    venv_expr *expr = NULL;
    venv_expr_input input = { .slots = f->slots, .slot_count = 2 };
    venv_expr_result result = { .cost = 0 };
    venv_rc rc = venv_expr_compile(f->env, source, size, &expr, err);
    if (rc == VENV_OK) {
        rc = venv_expr_eval(expr, f->context, &input, &result, err);
        assert_true(result.cost <= VENV_EXPR_COST_MAX);
        assert_true(venv_expr_context_used(f->context) <= VENV_EXPR_ARENA_SIZE_MAX);
    }
    (void)venv_expr_unref(expr);
    return rc;
}

static void test_running(void **state)
{
    static const char *const bombs[] = {
        "many.all(a, many.all(b, a + b >= 0))",
        "many.map(a, many.map(b, a))",
        "many.map(a, many).flatten().size()",
        "many.exists(a, many.exists_one(b, many.exists(c, c > 100000)))",
        "many.filter(a, many.filter(b, b < 0).size() > 0).size()",
        "many.transformList(i, v, many.transformMap(j, w, w))",
        "many.sortBy(a, many.filter(b, b > a).size())",
        "sets.contains(many, many)",
        "many.distinct()",
        "many.map(a, text).join()",
        "many.map(a, text + text)",
        "many.map(a, text.replace('', text))",
        "many.all(a, text.contains(text + 'b') || !text.matches('b'))",
        "many.all(a, text.matches('(a|aa)+$'))",
        "text.replace('a', text)",
        "lists.range(1000000000)",
        "lists.range(300000).map(x, [x, x, x, x])",
        "cel.bind(a, text + text, a)",
        "many.all(a, [many, many, many] == [many, many, many])",
        "many.exists(a, 1 / 0 == many.filter(b, b == a).size())",
        "true || many.all(a, many.all(b, true)) ? many.all(a, many.all(b, true)) : false",
        /* what is read is charged, also where it is compared or turned into a number, or stands in an error */
        "many.map(a, text).sort().size() > 0",
        "many.sortBy(a, text).size() > 0",
        "many.all(a, text.startsWith(text))",
        "many.all(a, text.endsWith(text))",
        "many.all(a, text <= text)",
        "cel.bind(m, {text: 1}, many.all(a, many.all(b, text in m)))",
        "cel.bind(m, {text: 1}, many.all(a, many.all(b, m[text] == 1)))",
        "cel.bind(m, {text: 1}, many.all(a, many.all(b, m == m)))",
        "cel.bind(z, text.replace('a', '0'), many.all(a, int(z) == 0))",
        "cel.bind(z, text.replace('a', '0'), many.all(a, uint(z) == 0u))",
        "cel.bind(z, text.replace('a', '0') + 's', many.all(a, duration(z) == duration('0s')))",
    };
    (void)state;
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        venv_error err = { 0 };
        venv_rc rc = attempt(&f, bombs[i], strlen(bombs[i]), &err);
        if (rc != VENV_ELIMIT || err.line != 1 || !strstr(err.text, "^"))
            fail_msg("%s: rc %d, %s", bombs[i], rc, err.text);
    }
    tear_down(&f);
}

/* Linear in the text, whatever the pattern: these take ages where a matcher tries one way after another. */
static void test_patterns(void **state)
{
    static const char *const patterns[] = {
        "text.matches('(a+)+b')",   "text.matches('(a*)*b$')",           "text.matches('(a|a)*b')",
        "text.matches('a?a?a?a?b')", "text.matches('((((a*)*)*)*)*[b-z]')", "text.matches('.*.*.*=.*')",
    };
    (void)state;
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        venv_error err = { 0 };
        if (attempt(&f, patterns[i], strlen(patterns[i]), &err) != VENV_OK)
            fail_msg("%s: %s", patterns[i], err.text);
    }
    tear_down(&f);
}

/* A chain of parts, each twice the one before: a value of 2^60 items made in 60 steps. */
static void test_doubling(void **state)
{
    static const char *const ends[] = { "", " == [cel.index(58)]", ".size() > 0 && '%s'.format([cel.index(59)]) == ''",
                                        ".flatten(100)" };
    (void)state;
    fixture f;
    set_up(&f);
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
        char source[4096];
        size_t size = (size_t)snprintf(source, sizeof source, "cel.block([dyn([1, 1])");
        for (int i = 0; i < 59; i++)
            size += (size_t)snprintf(source + size, sizeof source - size, ", dyn([cel.index(%d), cel.index(%d)])", i, i);
        size += (size_t)snprintf(source + size, sizeof source - size, "], dyn(cel.index(59))%s)", ends[e]);
        venv_error err = { 0 };
        venv_rc rc = attempt(&f, source, size, &err);
        /* Lists of different sizes are unequal at once. */
        if (rc != VENV_ELIMIT && !(e == 1 && rc == VENV_OK))
            fail_msg("%s: rc %d, %s", ends[e], rc, err.text);
    }
    tear_down(&f);
}

/* front repeated, middle, back repeated. */
static venv_rc repeated(fixture *f, const char *front, const char *middle, const char *back, size_t count, venv_error *err)
{
    size_t a = strlen(front), b = strlen(back), m = strlen(middle);
    char *source = malloc(count * (a + b) + m + 1), *at = source;
    assert_non_null(source);
    for (size_t i = 0; i < count; i++, at += a)
        memcpy(at, front, a);
    memcpy(at, middle, m);
    at += m;
    for (size_t i = 0; i < count; i++, at += b)
        memcpy(at, back, b);
    venv_rc rc = attempt(f, source, (size_t)(at - source), err);
    free(source);
    return rc;
}

static void test_shapes(void **state)
{
    static const struct {
        const char *front, *middle, *back;
        size_t count;
    } shapes[] = {
        { "(", "1", ")", 100 },        { "(", "1", ")", 8000 },        { "[", "", "]", 8000 },  { "{1:", "1", "}", 3000 },
        { "!(", "true", ")", 4000 },   { "-(", "1", ")", 4000 },       { "true?", "1", ":1", 2000 }, { "1+", "1", "", 8000 },
        { "", "text", ".x", 8000 },    { "", "many", "[0]", 5000 },    { "f(", "1", ")", 5000 }, { "true &&", "true", "", 100000 },
        { "[[1].map(x,", "1", ")]", 1000 }, { "cel.bind(a,", "1", ",a)", 1000 }, { "a?b:", "c", "", 4000 }, { "1,", "1", "", 8000 },
        { "(", "", "", 16000 }, { "[", "", "", 16384 }, { "\"", "", "", 16000 }, { "'\\", "", "", 8000 },
    };
    (void)state;
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        venv_error err = { 0 };
        venv_rc rc = repeated(&f, shapes[i].front, shapes[i].middle, shapes[i].back, shapes[i].count, &err);
        if (rc != VENV_ELIMIT && rc != VENV_EINVAL)
            fail_msg("%s x %zu: rc %d", shapes[i].front, shapes[i].count, rc);
        assert_true(err.text[0] != '\0');
    }
    venv_error err = { 0 };
    assert_int_equal(repeated(&f, "true &&", "true", "", 2000, &err), VENV_OK); /* long is not deep */
    assert_int_equal(repeated(&f, "(", "1", ")", 50, &err), VENV_OK);
    assert_int_equal(repeated(&f, "true &&", "true", "", 2341, &err), VENV_ELIMIT); /* 16 KiB */
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_running), cmocka_unit_test(test_patterns),
                                        cmocka_unit_test(test_doubling), cmocka_unit_test(test_shapes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
