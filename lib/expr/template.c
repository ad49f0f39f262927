/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: text with `${ expression }` in it. An expression ends at the brace that closes the one
 * it began with; braces in its strings, comments and maps are its own.
 */
#include "expr/program.h"
#include "expr/standard.h"

#include "base/number.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define TEMPLATE_SIZE_MAX (1024u * 1024u)

/* Text, and then perhaps an expression. */
typedef struct part {
    const char *text;
    size_t size;
    venv_expr *expr;
} part;

struct venv_expr_template {
    atomic_uint refs;
    venv_arena arena;
    part *parts;
    size_t part_count;
    size_t expr_count;
    size_t string_size_max;
};

venv_expr_template *venv_expr_template_ref(venv_expr_template *template_)
{
    atomic_fetch_add_explicit(&template_->refs, 1u, memory_order_relaxed);
    return template_;
}

venv_expr_template *venv_expr_template_unref(venv_expr_template *template_)
{
    if (template_ && atomic_fetch_sub_explicit(&template_->refs, 1u, memory_order_acq_rel) == 1u) {
        for (size_t i = 0; i < template_->part_count; i++)
            (void)venv_expr_unref(template_->parts[i].expr);
        venv_arena_fini(&template_->arena);
        free(template_);
    }
    return NULL;
}

/* Past a string that begins here; its closing quotes included. */
static size_t skip_string(const char *text, size_t size, size_t at)
{
    char quote = text[at];
    bool raw = at > 0 && (text[at - 1] == 'r' || text[at - 1] == 'R');
    bool triple = at + 2 < size && text[at + 1] == quote && text[at + 2] == quote;
    at += triple ? 3 : 1;
    for (; at < size; at++) {
        if (text[at] == '\\' && !raw)
            at++;
        else if (text[at] == quote && !triple)
            return at + 1;
        else if (text[at] == quote && at + 2 < size && text[at + 1] == quote && text[at + 2] == quote)
            return at + 3;
    }
    return size;
}

/* The closing brace of an expression that begins at `at`; `size` if there is none. */
static size_t find_close(const char *text, size_t size, size_t at)
{
    size_t depth = 0;
    while (at < size) {
        char c = text[at];
        if (c == '"' || c == '\'') {
            at = skip_string(text, size, at);
            continue;
        }
        if (c == '/' && at + 1 < size && text[at + 1] == '/') {
            while (at < size && text[at] != '\n')
                at++;
            continue;
        }
        if (c == '{')
            depth++;
        if (c == '}' && depth-- == 0)
            return at;
        at++;
    }
    return size;
}

/* Line and column of an error within an expression, as seen from the start of the template. */
static venv_rc shift_error(const char *text, size_t start, venv_error *err, venv_rc rc)
{
    uint32_t line = 1, column = 1;
    for (size_t i = 0; i < start; i++) {
        column++;
        if (text[i] == '\n') {
            line++;
            column = 1;
        }
    }
    if (err && err->line)
        venv_error_at(err, NULL, err->line + line - 1, err->line == 1 ? err->column + column - 1 : err->column);
    return rc;
}

/* Literal text from `at`, "$${" taken as "${". Stops before an expression or at the end. */
static size_t take_text(const char *text, size_t size, size_t at, char *out, size_t *ret_size)
{
    size_t used = 0;
    while (at < size) {
        bool dollar = text[at] == '$';
        if (dollar && at + 1 < size && text[at + 1] == '{')
            break;
        if (dollar && at + 2 < size && text[at + 1] == '$' && text[at + 2] == '{') {
            out[used++] = '$';
            out[used++] = '{';
            at += 3;
            continue;
        }
        out[used++] = text[at++];
    }
    *ret_size = used;
    return at;
}

static venv_rc build(venv_expr_template *t, venv_expr_env *env, const char *text, size_t size, venv_error *err)
{
    size_t at = 0;
    expr_source source = { text, size, err };
    size_t valid = venv_utf8_valid_prefix(text, size);
    if (size > TEMPLATE_SIZE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the text has %zu bytes, %u are allowed", size, TEMPLATE_SIZE_MAX);
    if (valid != size)
        return venv_cel_fail_at(&source, (uint32_t)valid, VENV_EINVAL, "the text is not valid UTF-8");
    t->parts = venv_arena_alloc(&t->arena, (VENV_EXPR_TEMPLATE_PARTS_MAX + 1) * sizeof *t->parts);
    char *copy = venv_arena_alloc(&t->arena, size + 1);
    if (!t->parts || !copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (;;) {
        part *now = &t->parts[t->part_count++];
        now->text = copy;
        at = take_text(text, size, at, copy, &now->size);
        copy += now->size;
        if (at == size)
            return VENV_OK;
        if (t->part_count > VENV_EXPR_TEMPLATE_PARTS_MAX)
            return venv_cel_fail_at(&source, (uint32_t)at, VENV_ELIMIT, "the text has more than %u expressions",
                                VENV_EXPR_TEMPLATE_PARTS_MAX);
        size_t start = at + 2, close = find_close(text, size, start);
        if (close == size)
            return venv_cel_fail_at(&source, (uint32_t)at, VENV_EINVAL, "'${' is not closed; expected '}' (or '$${' for the text '${')");
        venv_rc rc = venv_expr_compile(env, text + start, close - start, &now->expr, err);
        if (rc != VENV_OK)
            return shift_error(text, start, err, rc);
        t->expr_count++;
        at = close + 1;
    }
}

venv_rc venv_expr_template_compile(venv_expr_env *env, const char *text, size_t size,
                                   venv_expr_template **ret_template, venv_error *err)
{
    venv_expr_template *t = calloc(1, sizeof *t);
    if (!t)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    atomic_init(&t->refs, 1u);
    venv_arena_init(&t->arena, 4 * TEMPLATE_SIZE_MAX);
    t->string_size_max = env->options.limits.string_size_max;
    venv_rc rc = build(t, env, text, size, err);
    if (rc != VENV_OK) {
        (void)venv_expr_template_unref(t);
        return rc;
    }
    *ret_template = t;
    return VENV_OK;
}

size_t venv_expr_template_count(const venv_expr_template *template_)
{
    return template_->expr_count;
}

const venv_expr *venv_expr_template_at(const venv_expr_template *template_, size_t index)
{
    return index < template_->expr_count ? template_->parts[index].expr : NULL;
}

static void append_value(venv_buf *buf, const venv_value *value)
{
    if (value->w.kind == VENV_DOUBLE) { /* people read this: no exponent below a quadrillion, as values print */
        char text[VENV_DOUBLE_TEXT_SIZE];
        venv_buf_append(buf, text, venv_double_format(value->w.as.d, text));
        return;
    }
    if (venv_cel_append_scalar(buf, value))
        return;
    size_t size = venv_value_print(value, NULL, 0);
    char *room = size < buf->max ? (char *)venv_buf_reserve(buf, size + 1) : NULL;
    if (room) {
        (void)venv_value_print(value, room, size + 1);
        venv_buf_grew(buf, size);
    } else if (buf->rc == VENV_OK) {
        buf->rc = VENV_ELIMIT;
    }
}

typedef struct checker {
    venv_expr_check_fn check; /* or NULL */
    void *user;
} checker;

/* The text so far is not in the context: each expression that is evaluated clears that. */
static venv_rc fill_in(const venv_expr_template *t, xctx *context, const venv_expr_input *input, const checker *check, venv_buf *buf,
                       uint64_t *ret_cost, venv_expr_result *ret_unknown, venv_error *err)
{
    for (size_t i = 0; i < t->part_count; i++) {
        const part *now = &t->parts[i];
        venv_expr_result result;
        venv_buf_append(buf, now->text, now->size);
        if (!now->expr)
            continue;
        venv_rc rc = venv_expr_eval(now->expr, context, input, &result, err);
        if (rc != VENV_OK)
            return rc;
        *ret_cost += result.cost;
        if (result.outcome == VENV_EXPR_UNKNOWN) {
            *ret_unknown = result;
            return VENV_EUNKNOWN;
        }
        rc = check->check ? check->check(check->user, &result.value, err) : VENV_OK;
        if (rc != VENV_OK)
            return rc;
        append_value(buf, &result.value);
    }
    if (buf->rc == VENV_ENOMEM)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (buf->rc != VENV_OK)
        return venv_error_set(err, VENV_ELIMIT, "the text becomes longer than %zu bytes", t->string_size_max);
    return VENV_OK;
}

/* The whole text is one expression: its value, with its type. */
static venv_rc eval_whole(const venv_expr_template *t, xctx *context, const venv_expr_input *input, const checker *check,
                          venv_expr_result *ret_result, venv_error *err)
{
    venv_expr_result result;
    venv_rc rc = venv_expr_eval(t->parts[0].expr, context, input, &result, err);
    if (rc == VENV_OK && result.outcome != VENV_EXPR_UNKNOWN && check->check)
        rc = check->check(check->user, &result.value, err);
    if (rc == VENV_OK)
        *ret_result = result;
    return rc;
}

venv_rc venv_expr_template_eval(const venv_expr_template *template_, venv_expr_context *context,
                                const venv_expr_input *input, venv_expr_result *ret_result, venv_error *err)
{
    return venv_expr_template_eval_checked(template_, context, input, NULL, NULL, ret_result, err);
}

venv_rc venv_expr_template_eval_checked(const venv_expr_template *template_, venv_expr_context *context,
                                        const venv_expr_input *input, venv_expr_check_fn check, void *user,
                                        venv_expr_result *ret_result, venv_error *err)
{
    const venv_expr_template *t = template_;
    const checker checked = { check, user };
    bool whole = t->expr_count == 1 && !t->parts[0].size && (t->part_count == 1 || !t->parts[1].size);
    if (whole)
        return eval_whole(t, context, input, &checked, ret_result, err);
    venv_buf buf;
    venv_expr_result result = { .outcome = VENV_EXPR_VALUE };
    uint64_t cost = 0;
    venv_buf_init(&buf, t->string_size_max);
    venv_rc rc = fill_in(t, context, input, &checked, &buf, &cost, &result, err);
    if (rc == VENV_OK) {
        /* The text goes to the context, which keeps it for as long as any result. */
        venv_value text = venv_value_null();
        venv_cel_context_reset(context);
        rc = venv_value_string(buf.size ? (const char *)buf.data : "", buf.size, &text, err);
        if (rc == VENV_OK && !venv_cel_keep_owned(context, &text))
            rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
        result.value = rc == VENV_OK ? text : venv_value_null();
    }
    venv_buf_fini(&buf);
    if (rc != VENV_OK && rc != VENV_EUNKNOWN)
        return rc;
    result.cost = cost;
    *ret_result = result;
    return VENV_OK;
}
