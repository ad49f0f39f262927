/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public face of programs: compile, keep, evaluate.
 */
#include "expr/program.h"

#include "expr/fast.h"
#include "expr/regex.h"
#include "expr/zone.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (64u * 1024u * 1024u)

bool venv_cel_keep_zone(venv_expr *expr, struct expr_zone *zone)
{
    struct expr_zone **grown = realloc(expr->zones, (expr->zone_count + 1u) * sizeof *grown);
    if (!grown) {
        venv_cel_zone_free(zone);
        return false;
    }
    expr->zones = grown;
    expr->zones[expr->zone_count++] = zone;
    return true;
}

venv_expr *venv_expr_ref(venv_expr *expr)
{
    atomic_fetch_add_explicit(&expr->refs, 1u, memory_order_relaxed);
    return expr;
}

venv_expr *venv_expr_unref(venv_expr *expr)
{
    if (!expr || atomic_fetch_sub_explicit(&expr->refs, 1u, memory_order_acq_rel) != 1u)
        return NULL;
    while (expr->regexes) {
        expr_regex *next = expr->regexes->next;
        venv_cel_regex_free(expr->regexes);
        expr->regexes = next;
    }
    for (uint32_t i = 0; i < expr->zone_count; i++)
        venv_cel_zone_free(expr->zones[i]);
    free(expr->zones);
    venv_arena_fini(&expr->arena);
    (void)venv_expr_env_unref(expr->env);
    free(expr);
    return NULL;
}

static venv_rc check_source(const expr_source *source, const venv_expr_limits *limits)
{
    if (source->size > limits->source_size_max)
        return venv_cel_fail_at(&(expr_source){ "", 0, source->err }, 0, VENV_ELIMIT,
                            "the expression has %zu bytes, %u are allowed", source->size, limits->source_size_max);
    size_t valid = venv_utf8_valid_prefix(source->text, source->size);
    if (valid != source->size)
        return venv_cel_fail_at(source, (uint32_t)valid, VENV_EINVAL, "the expression is not valid UTF-8");
    return VENV_OK;
}

static venv_rc describe_type(venv_expr *expr, const ast *root, venv_error *err)
{
    expr->type_mask = venv_cel_mask_of_type(root->type);
    if (!root->type->a) {
        expr->type_text = venv_cel_type_name((expr_type_kind)root->type->kind);
        return VENV_OK;
    }
    venv_buf buf;
    venv_buf_init(&buf, 4096);
    venv_cel_type_print(root->type, &buf);
    expr->type_text = buf.rc == VENV_OK ? venv_arena_dup(&expr->arena, (const char *)buf.data, buf.size) : NULL;
    venv_buf_fini(&buf);
    return expr->type_text ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
}

#define ASSUMED_COUNT 1000u

static venv_rc check_estimate(const venv_expr *expr, const expr_source *source, const venv_expr_limits *limits)
{
    if (!limits->estimate_max)
        return VENV_OK;
    uint64_t assumed = limits->assumed_count ? limits->assumed_count : ASSUMED_COUNT;
    venv_expr_cost cost = venv_expr_estimate(expr, assumed);
    if (cost.max <= limits->estimate_max)
        return VENV_OK;
    return venv_cel_fail_at(source, expr->tree->pos, VENV_ELIMIT,
                            "the expression can cost %llu units where lists have %llu items, %llu are allowed; go through "
                            "fewer lists in each other",
                            (unsigned long long)cost.max, (unsigned long long)assumed,
                            (unsigned long long)limits->estimate_max);
}

static venv_rc build(venv_expr *expr, const char *source_text, size_t size, venv_error *err)
{
    const venv_expr_options *options = &expr->env->options;
    expr_source source = { source_text, size, err };
    venv_rc rc = check_source(&source, &options->limits);
    if (rc != VENV_OK)
        return rc;
    if (!(expr->source = venv_arena_dup(&expr->arena, source_text, size)))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    expr->source_size = (uint32_t)size;
    source.text = expr->source; /* the tree borrows from it */
    ast *root = NULL;
    uint32_t node_count;
    rc = venv_cel_parse(&source, &expr->arena, &options->limits, !options->macros_off, &root, &node_count);
    if (rc == VENV_OK)
        rc = venv_cel_check(&source, expr->env, &expr->arena, root, &expr->local_count);
    if (rc == VENV_OK)
        rc = venv_cel_compile_tree(expr, &source, root, NULL);
    if (rc == VENV_OK)
        rc = describe_type(expr, root, err);
    expr->tree = root;
    return rc == VENV_OK ? check_estimate(expr, &source, &options->limits) : rc;
}

venv_rc venv_expr_compile(venv_expr_env *env, const char *source, size_t size, venv_expr **ret_expr, venv_error *err)
{
    venv_expr *expr = calloc(1, sizeof *expr);
    if (!expr)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    atomic_init(&expr->refs, 1u);
    expr->env = venv_expr_env_ref(env);
    venv_arena_init(&expr->arena, ARENA_MAX);
    venv_rc rc = build(expr, source, size, err);
    if (rc != VENV_OK) {
        (void)venv_expr_unref(expr);
        return rc;
    }
    *ret_expr = expr;
    return VENV_OK;
}

const char *venv_expr_source(const venv_expr *expr)
{
    return expr->source;
}

const char *venv_expr_type(const venv_expr *expr)
{
    return expr->type_text;
}

bool venv_expr_may_be(const venv_expr *expr, venv_kind kind)
{
    if (kind == VENV_OPAQUE)
        return expr->type_mask & (X_MASK_OPTIONAL | X_MASK_IP | X_MASK_CIDR);
    return expr->type_mask & 1u << kind;
}

size_t venv_expr_read_count(const venv_expr *expr)
{
    return expr->read_count;
}

const venv_expr_read *venv_expr_read_at(const venv_expr *expr, size_t index)
{
    return index < expr->read_count ? &expr->reads[index] : NULL;
}

/* ---- evaluation ---- */

/*
 * What an evaluation made can be far larger than it was to make, where parts are shared many times.
 * Its whole size is charged, so that whoever copies or prints the result has bounded work.
 */
static int measure(xctx *context, const venv_value *value)
{
    if (venv_cel_is_marker(value))
        return venv_cel_unknown_part(context, context->expr->root);
    if (value->w.form != VENV_FORM_BORROWED)
        return X_OK;
    if (venv_cel_is_optional(value)) {
        const venv_value *inner = venv_cel_optional_value(value);
        return inner ? measure(context, inner) : X_OK;
    }
    if (value->w.kind != VENV_LIST && value->w.kind != VENV_MAP)
        return X_OK;
    const struct venv_object *object = value->w.as.object;
    size_t items = value->w.kind == VENV_MAP ? (size_t)object->count * 2 : object->count;
    if (expr_charge(context, context->expr->root, items) != X_OK)
        return X_FATAL;
    for (size_t i = 0; i < items; i++) {
        int status = measure(context, &venv_object_items(object)[i]);
        if (status != X_OK)
            return status;
    }
    return X_OK;
}

static venv_rc report(const xctx *context, venv_error *err)
{
    const xerror *error = &context->error;
    if (!err)
        return error->rc;
    expr_source source = { context->expr->source, context->expr->source_size, err };
    size_t size = error->detail.size > 120 ? 120 : error->detail.size;
    return venv_cel_fail_at(&source, error->pos, error->rc, "%s%.*s", error->what, (int)size,
                        size ? error->detail.data : "");
}

static bool has_room(const xctx *context, const venv_expr *expr)
{
    return context->expr == expr && expr->local_count <= context->local_capacity &&
           expr->site_count <= context->site_capacity && expr->read_count <= context->missing_capacity;
}

static venv_rc run_tree(const venv_expr *expr, venv_expr_context *context, venv_expr_result *ret_result,
                        venv_error *err)
{
    const xnode *root = expr->root;
    venv_value value = venv_value_null();
    int status;
    if (__builtin_expect(root->cost > context->cost_max, 0)) {
        status = venv_cel_fail_cost(context, root);
    } else if (root->eval == venv_cel_eval_boxed) {
        status = root->test(context, root);
        if (status <= X_TRUE) {
            value = venv_value_bool(status == X_TRUE);
            status = X_OK;
        }
    } else {
        status = root->eval(context, root, &value);
        if (status == X_OK && (value.w.form == VENV_FORM_BORROWED || value.w.kind == VENV_OPAQUE))
            status = measure(context, &value);
    }
    if (__builtin_expect(status != X_OK && status != X_UNK, 0))
        return report(context, err);
    ret_result->outcome = status == X_OK ? VENV_EXPR_VALUE : VENV_EXPR_UNKNOWN;
    ret_result->value = status == X_OK ? value : venv_value_null();
    ret_result->cost = context->cost;
    ret_result->missing_count = status == X_OK ? 0 : context->missing_count;
    return VENV_OK;
}

venv_rc venv_expr_eval(const venv_expr *expr, venv_expr_context *context, const venv_expr_input *input,
                       venv_expr_result *ret_result, venv_error *err)
{
    if (context->used || context->owned_count || context->missing_count)
        venv_cel_context_reset(context);
    if (!has_room(context, expr)) {
        venv_cel_context_reset(context);
        if (!venv_cel_context_bind(context, expr))
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    const xnode *root = expr->root;
    context->input = input;
    context->slots = input->slots;
    context->slot_count = input->slot_count;
    context->cost = root->cost;
    context->cost_max = input->cost_max ? input->cost_max : expr->env->options.limits.cost_max;
    if (expr->fast && root->cost <= context->cost_max) {
        int answer = venv_cel_fast_run(context, expr->fast);
        if (answer >= 0) {
            ret_result->outcome = VENV_EXPR_VALUE;
            ret_result->value = venv_value_bool(answer);
            ret_result->cost = root->cost;
            ret_result->missing_count = 0;
            return VENV_OK;
        }
    }
    return run_tree(expr, context, ret_result, err);
}
