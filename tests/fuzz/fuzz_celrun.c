/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation: the bytes choose a well-formed program, which must end within twice its budget, of cost and of
 * time, and within its memory, must cost what was estimated, and must come to the same with static types as
 * without.
 */
#include "fuzz/fuzz.h"

#include <venv/expr.h>

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#define COST_MAX  4000u
#define ARENA_MAX (8u << 20)
#define DEPTH_MAX 7

typedef struct generator {
    const uint8_t *data;
    size_t size;
    char text[4000];
    size_t used;
    int variables; /* of macros around: v0 .. */
} generator;

static unsigned choose(generator *g, unsigned count)
{
    if (!g->size)
        return 0;
    g->size--;
    return *g->data++ % count;
}

static void VENV_PRINTF(2, 3) put(generator *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(g->text + g->used, sizeof g->text - g->used, format, args);
    va_end(args);
    if (size > 0 && (size_t)size < sizeof g->text - g->used)
        g->used += (size_t)size;
    g->text[g->used] = '\0';
}

/* A template of an expression: i b s l m d stand for parts of that type after '%'. */
static void fill(generator *g, const char *form, int depth);

static const char *const leaves[] = {
    ['i'] = "0|1|2|-1|3|n|9223372036854775807|size(s)|17|64",
    ['b'] = "true|false|b|n > 2|s == 'abc'|x == 1",
    ['s'] = "''|'a'|'abc'|s|'a longer text than thirteen'|'\\u00e9\\u20ac'",
    ['l'] = "[]|l|[1, 2, 3]|[n]|lists.range(20)",
    ['m'] = "{}|m|{'a': 1}|{'a': {'b': n}}",
    ['d'] = "0.0|1.5|d|-2.25|1e300|double(n)",
};
static const char *const forms[] = {
    ['i'] = "(%i + %i)|(%i - %i)|(%i * %i)|(%i / %i)|(%i % %i)|-(%i)|%l.size()|size(%s)|(%b ? %i : %i)|%l[%i]|int(%d)|"
            "%l.filter(@, %b).size()|math.greatest(%i, %i)|math.least(%i, %i)|%s.indexOf(%s)|int(%s)|cel.bind(@, %i, %i)|"
            "%l[?%i].orValue(%i)|math.abs(%i)|math.bitXor(%i, %i)|timestamp(%i).getDayOfYear()|duration('90s').getMinutes()|"
            "optional.of(%i).optMap(@, %i).value()|%m.?a.optMap(@, 1).orValue(%i)|%l.sort()[0]|math.bitShiftLeft(%i, %i)",
    ['b'] = "(%b && %b)|(%b || %b)|!(%b)|(%i < %i)|(%i == %i)|(%d >= %d)|(%s < %s)|(%s == %s)|(%l == %l)|(%m == %m)|(%i in %l)|"
            "(%s in %m)|%l.all(@, %b)|%l.exists(@, %b)|%l.exists_one(@, %b)|%s.contains(%s)|%s.startsWith(%s)|%s.matches('a+b*')|"
            "%s.matches(%s)|has(%m.a)|(%b ? %b : %b)|sets.contains(%l, %l)|%m.exists(@, @, %b)|math.isNaN(%d)|isIP(%s)|"
            "(n < 5 && s == 'abc' || %b)|%l.all(@, @, %b)|(dyn(%i) == dyn(%d))|optional.ofNonZeroValue(%i).hasValue()",
    ['s'] = "(%s + %s)|string(%i)|string(%b)|string(%d)|%s.substring(%i)|%s.replace(%s, %s)|%s.upperAscii()|%s.reverse()|%s.trim()|"
            "%l.map(@, string(@)).join(%s)|'%%s-%%d'.format([%l, %i])|%s.charAt(%i)|(%b ? %s : %s)|base64.encode(bytes(%s))|"
            "%s.split(%s).join('+')|strings.quote(%s)|'%%x %%b %%.2f'.format([%i, %i, %d])|string(type(%m) == map)",
    ['l'] = "(%l + %l)|[%i, %i]|%l.map(@, %i)|%l.filter(@, %b)|%l.map(@, %b, %i)|%l.transformList(@, @, %i)|%l.sort()|%l.reverse()|"
            "%l.distinct()|%l.slice(0, %i)|(%b ? %l : %l)|[[%i], %l].flatten().map(@, int(@))|%l.sortBy(@, %i)|[?optional.of(%i), %i]|"
            "cel.bind(@, %l, %l)",
    ['m'] = "{%s: %i, %s: %b}|%m.transformMap(@, @, %i)|%l.transformMap(@, @, @)|(%b ? %m : %m)|{?'a': optional.of(%i)}|"
            "{'a': %m}|%l.transformMapEntry(@, @, {string(@): %i})",
    ['d'] = "(%d + %d)|(%d * %d)|(%d / %d)|double(%i)|math.sqrt(%d)|math.round(%d)|(%b ? %d : %d)|double(%s)|math.ceil(%d)|-(%d)",
};

static void pick(generator *g, char type, int depth)
{
    bool deep = depth >= DEPTH_MAX || g->used > 2500 || !g->size;
    bool local = type == 'i' && g->variables && choose(g, 3) == 0;
    if (local) {
        put(g, "int(v%u)", choose(g, (unsigned)g->variables));
        return;
    }
    const char *list = deep || choose(g, 4) == 0 ? leaves[(int)type] : forms[(int)type];
    unsigned count = 1;
    for (const char *c = list; *c; c++)
        count += c[0] == '|' && (c == list || c[-1] != '|') && c[1] != '|';
    unsigned chosen = choose(g, count);
    char form[160];
    size_t size = 0;
    for (const char *c = list; *c; c++) {
        bool bar = c[0] == '|' && (c == list || c[-1] != '|') && c[1] != '|';
        if (bar && chosen-- == 0)
            break;
        if (bar)
            size = 0;
        else if (size + 1 < sizeof form)
            form[size++] = *c;
    }
    form[size] = '\0';
    fill(g, form, depth + 1);
}

static void fill(generator *g, const char *form, int depth)
{
    int before = g->variables, opened = 0;
    for (const char *c = form; *c; c++) {
        if (*c == '%' && c[1] == '%') {
            put(g, "%%");
            c++;
        } else if (*c == '%' && c[1] && strchr("ibslmd", c[1])) {
            pick(g, *++c, depth);
        } else if (*c == '@') {
            /* Where a comma follows it is declared, elsewhere used. */
            if (c[1] == ',' && opened < 2) {
                put(g, "v%d", before + opened++);
                g->variables = before + opened;
            } else {
                put(g, "v%d", g->variables ? g->variables - 1 : 0);
            }
        } else {
            put(g, "%c", *c);
        }
    }
    g->variables = before;
}

static bool is_same(const venv_value *a, const venv_value *b)
{
    if (venv_value_kind(a) != venv_value_kind(b))
        return false;
    return venv_value_compare(a, b) == 0 || venv_value_kind(a) == VENV_OPAQUE;
}

typedef struct world {
    venv_expr_env *env;
    venv_expr_context *context;
} world;

static world worlds[2];
static venv_value slots[7];

static void set_up(void)
{
    static const char *const names[] = { "n", "b", "s", "l", "m", "d", "x" };
    static const char *const types[] = { "int", "bool", "string", "list(int)", "map(string, dyn)", "double", "dyn" };
    venv_list_builder list;
    venv_map_builder map;
    for (int i = 0; i < 2; i++) {
        venv_expr_options options = { .check_off = i == 1, .limits = { .cost_max = COST_MAX } };
        FUZZ_CHECK(venv_expr_env_new(&options, &worlds[i].env, NULL) == VENV_OK);
        for (int v = 0; v < 7; v++)
            FUZZ_CHECK(venv_expr_env_variable(worlds[i].env, names[v], types[v], NULL, NULL) == VENV_OK);
        FUZZ_CHECK(venv_expr_context_new(&worlds[i].context, NULL) == VENV_OK);
    }
    venv_list_init(&list);
    for (int i = 0; i < 50; i++)
        venv_list_add(&list, venv_value_int(i * 7 % 13));
    FUZZ_CHECK(venv_list_take(&list, &slots[3], NULL) == VENV_OK);
    venv_map_init(&map);
    venv_map_put(&map, "a", venv_value_int(5));
    venv_map_put(&map, "b", venv_value_double(2.5));
    venv_map_put_z(&map, "name", "a text that is a bit longer");
    FUZZ_CHECK(venv_map_take(&map, &slots[4], NULL) == VENV_OK);
    slots[0] = venv_value_int(5);
    slots[1] = venv_value_bool(true);
    slots[2] = venv_value_literal("abcabc and some more text");
    slots[5] = venv_value_double(0.75);
    slots[6] = venv_expr_unknown();
}

/*
 * A million units are a tenth of a second. Only a build that is made to be quick can be held to it: the
 * benchmarks', which programs.sh uses.
 */
#define UNIT_NS 100
#ifdef VENV_TIMED
enum { TIMED = 1 };
#else
enum { TIMED = 0 };
#endif
/* Twice the budget, and what a processor that is shared with other machines may take away meanwhile: such time is counted as ours. */
#define TIME_MAX_NS (2 * (int64_t)COST_MAX * UNIT_NS + 10000000)
#define TRIES 5 /* what is slow once was interrupted; what is slow always is slow */

static int64_t cpu_ns(void)
{
    struct timespec now = { .tv_sec = 0 };
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static venv_rc evaluate(const world *w, const venv_expr *expr, const venv_expr_input *input, venv_expr_result *ret_result,
                        const generator *g)
{
    venv_error err = { 0 };
    venv_rc rc = VENV_OK;
    int64_t spent = INT64_MAX;
    for (int i = 0; i < TRIES && spent > TIME_MAX_NS; i++) {
        int64_t before = cpu_ns();
        *ret_result = (venv_expr_result){ .cost = 0 };
        rc = venv_expr_eval(expr, w->context, input, ret_result, &err);
        int64_t taken = cpu_ns() - before;
        spent = TIMED && taken < spent ? taken : TIMED ? spent : 0;
    }
    if (spent > TIME_MAX_NS) {
        fprintf(stderr, "%s: %lld ns\n", g->text, (long long)spent);
        abort();
    }
    return rc;
}

/* VENV_OK, VENV_EUNKNOWN, or what it failed with. The value is lent by the context. */
static venv_rc run(const world *w, const generator *g, venv_value *ret_value, bool *ret_compiled)
{
    venv_expr *expr = NULL;
    venv_expr_input input = { .slots = slots, .slot_count = 7 };
    venv_expr_result result = { .cost = 0 };
    venv_error err = { 0 };
    venv_rc rc = venv_expr_compile(w->env, g->text, g->used, &expr, &err);
    *ret_compiled = rc == VENV_OK;
    if (rc != VENV_OK) {
        FUZZ_CHECK(rc == VENV_EINVAL || rc == VENV_ELIMIT);
        return rc;
    }
    rc = evaluate(w, expr, &input, &result, g);
    FUZZ_CHECK(result.cost <= 2 * COST_MAX);
    if (rc == VENV_OK) { /* no text and no list becomes as long as is assumed here */
        venv_expr_cost estimate = venv_expr_estimate(expr, VENV_EXPR_STRING_SIZE_MAX);
        if (result.cost < estimate.min || result.cost > estimate.max)
            fprintf(stderr, "%s: costs %llu, estimated %llu to %llu\n", g->text, (unsigned long long)result.cost,
                    (unsigned long long)estimate.min, (unsigned long long)estimate.max);
        FUZZ_CHECK(result.cost >= estimate.min && result.cost <= estimate.max);
    }
    FUZZ_CHECK(venv_expr_context_used(w->context) <= ARENA_MAX);
    FUZZ_CHECK(rc == VENV_OK || rc == VENV_EINVAL || rc == VENV_ELIMIT);
    if (rc == VENV_OK && result.outcome == VENV_EXPR_UNKNOWN) {
        FUZZ_CHECK(result.missing_count > 0);
        rc = VENV_EUNKNOWN;
    } else if (rc == VENV_OK) {
        FUZZ_CHECK(venv_value_dup(&result.value, ret_value, NULL) == VENV_OK);
        /* Again, in memory that has been used: the same. */
        FUZZ_CHECK(venv_expr_eval(expr, w->context, &input, &result, &err) == VENV_OK);
        FUZZ_CHECK(is_same(&result.value, ret_value));
    }
    (void)venv_expr_unref(expr);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char types[] = "bislmd";
    venv_value values[2] = { venv_value_null(), venv_value_null() };
    bool compiled[2];
    venv_rc rc[2];
    if (!worlds[0].env)
        set_up();
    generator g = { .data = data, .size = size };
    pick(&g, types[choose(&g, 6)], 0);
    for (int i = 0; i < 2; i++)
        rc[i] = run(&worlds[i], &g, &values[i], &compiled[i]);
    if (compiled[0] && compiled[1]) {
        if (rc[0] != rc[1] || !is_same(&values[0], &values[1]))
            fprintf(stderr, "%s: %d and %d\n", g.text, rc[0], rc[1]);
        FUZZ_CHECK(rc[0] == rc[1]);
        FUZZ_CHECK(is_same(&values[0], &values[1]));
    }
    venv_value_unref(&values[0]);
    venv_value_unref(&values[1]);
    return 0;
}
