/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an expression is what it is: the value of each of its parts. The same tree is compiled once more, with
 * a watcher around every part that is not constant, and run by the same functions; so what is explained is
 * what was, or would be, decided. Parts that the result did not need are evaluated afterwards, so that people
 * see what they would have been. Nothing here is on the path of an evaluation that nobody asks about.
 */
#include "expr/program.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX   (16u * 1024u * 1024u)
#define PRINT_ITEMS 32u /* values of a list or map that are printed */

/* What a part gave the last time that it ran. */
typedef struct xwatched {
    const ast *node;
    const xnode *made;
    bool inside; /* of a macro's body: it has no value of its own */
    bool needed;
    int status;
    uint32_t rounds, trues;
    venv_value value; /* lent: by the input, or the context */
    xerror error;
} xwatched;

typedef struct xwatch {
    xwatched parts[VENV_EXPR_PARTS_MAX];
    uint32_t count;
    bool cut, after; /* after: what is not needed runs now */
} xwatch;

struct venv_expr_explanation {
    venv_expr_part parts[VENV_EXPR_PARTS_MAX];
    char texts[VENV_EXPR_PARTS_MAX][VENV_EXPR_PART_TEXT_MAX];
    size_t count;
    bool cut;
    venv_error error;
};

/* ---- while it runs ---- */

bool venv_cel_watch_add(xwatch *watch, const ast *node, const xnode *made, bool inside, uint32_t *ret_index)
{
    if (watch->count == VENV_EXPR_PARTS_MAX) {
        watch->cut = true;
        return false;
    }
    *ret_index = watch->count;
    watch->parts[watch->count++] = (xwatched){ .node = node, .made = made, .inside = inside, .value = venv_value_null() };
    return true;
}

static void note(xctx *context, const xnode *node, int status, const venv_value *value)
{
    if (!context->watch)
        return;
    xwatched *part = &context->watch->parts[node->u.watch];
    part->needed = part->needed || !context->watch->after;
    part->rounds++;
    part->status = status;
    part->value = venv_value_null();
    if (status == X_OK) {
        part->value = *value;
        part->trues += value->w.kind == VENV_BOOL && value->w.as.u;
    } else if (status == X_ERR || status == X_FATAL) {
        part->error = context->error;
    }
}

int venv_cel_eval_watched(xctx *context, const xnode *node, venv_value *out)
{
    int status = node->args[0]->eval(context, node->args[0], out);
    note(context, node, status, out);
    return status;
}

int venv_cel_test_watched(xctx *context, const xnode *node)
{
    int status = node->args[0]->test(context, node->args[0]);
    venv_value value = venv_value_bool(status == X_TRUE);
    note(context, node, status <= X_TRUE ? X_OK : status, &value);
    return status;
}

/* What the result did not need, as far as the budget goes. */
static void run_rest(xctx *context, xwatch *watch)
{
    watch->after = true;
    for (uint32_t i = watch->count; i-- > 0;) { /* the whole before its parts */
        xwatched *part = &watch->parts[i];
        if (part->rounds > 0 || part->inside)
            continue;
        venv_value value;
        xnode watched = { .u = { .watch = i } };
        int status = part->made->eval(context, part->made, &value);
        note(context, &watched, status, &value);
        if (status == X_FATAL)
            return;
    }
}

/* ---- afterwards ---- */

/* Items of a value and of all in it, counted up to a bound: parts may be shared, so the whole can be huge. */
static uint32_t weigh(const venv_value *value, uint32_t max)
{
    if (venv_cel_is_optional(value))
        return max + 1;
    if (value->w.kind != VENV_LIST && value->w.kind != VENV_MAP)
        return 1;
    const struct venv_object *object = value->w.as.object;
    size_t items = value->w.kind == VENV_MAP ? (size_t)object->count * 2 : object->count;
    uint32_t sum = 1;
    for (size_t i = 0; i < items && sum <= max; i++)
        sum += weigh(&venv_object_items(object)[i], max - sum);
    return sum;
}

static void end_text(char *text, size_t needed)
{
    if (needed < VENV_EXPR_PART_TEXT_MAX)
        return;
    size_t room = VENV_EXPR_PART_TEXT_MAX - sizeof "…";
    room = venv_utf8_valid_prefix(text, room);
    memcpy(text + room, "…", sizeof "…");
}

static void print_value(const venv_value *value, char *text)
{
    if (weigh(value, PRINT_ITEMS) <= PRINT_ITEMS) {
        end_text(text, venv_value_print(value, text, VENV_EXPR_PART_TEXT_MAX));
    } else if (value->w.kind == VENV_LIST || value->w.kind == VENV_MAP) {
        (void)snprintf(text, VENV_EXPR_PART_TEXT_MAX, "a %s of %u", value->w.kind == VENV_LIST ? "list" : "map",
                       value->w.as.object->count);
    } else {
        (void)snprintf(text, VENV_EXPR_PART_TEXT_MAX, "a value of type %s", venv_cel_type_of(value));
    }
}

static bool is_scalar(const venv_value *value)
{
    return value->w.form == VENV_FORM_SCALAR || value->w.form == VENV_FORM_INLINE;
}

static void take_part(const xwatched *from, uint32_t depth, venv_expr_part *to, char *text)
{
    *to = (venv_expr_part){ .begin = from->node->begin, .end = from->node->end, .depth = depth, .needed = from->needed,
                            .value = venv_value_null(), .text = text, .rounds = from->rounds, .trues = from->trues,
                            .repeats = from->inside };
    if (from->rounds == 0) {
        to->state = VENV_EXPR_PART_NOT_RUN;
    } else if (from->status == X_OK) {
        to->state = VENV_EXPR_PART_VALUE;
        print_value(&from->value, text);
        if (is_scalar(&from->value))
            to->value = from->value;
    } else if (from->status == X_UNK) {
        to->state = VENV_EXPR_PART_UNKNOWN;
    } else {
        to->state = VENV_EXPR_PART_ERROR;
        size_t detail = from->error.detail.size > 120 ? 120 : from->error.detail.size;
        int needed = snprintf(text, VENV_EXPR_PART_TEXT_MAX, "%s%.*s", from->error.what, (int)detail,
                              detail ? from->error.detail.data : "");
        end_text(text, needed > 0 ? (size_t)needed : 0);
    }
}

/* The whole before its parts, and these from left to right. */
static int compare_parts(const void *x, const void *y)
{
    const ast *a = (*(const xwatched *const *)x)->node, *b = (*(const xwatched *const *)y)->node;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    return a->depth > b->depth ? -1 : 1;
}

static void collect(const xwatch *watch, venv_expr_explanation *explanation)
{
    const xwatched *sorted[VENV_EXPR_PARTS_MAX];
    uint32_t around[VENV_EXPR_DEPTH_LIMIT_MAX + 2], depth = 0; /* where those that are open end */
    for (uint32_t i = 0; i < watch->count; i++)
        sorted[i] = &watch->parts[i];
    if (watch->count > 0)
        qsort(sorted, watch->count, sizeof *sorted, compare_parts);
    for (uint32_t i = 0; i < watch->count; i++) {
        while (depth > 0 && around[depth - 1] <= sorted[i]->node->begin)
            depth--;
        take_part(sorted[i], depth, &explanation->parts[i], explanation->texts[i]);
        if (depth < VENV_COUNT_OF(around))
            around[depth++] = sorted[i]->node->end;
    }
    explanation->count = watch->count;
    explanation->cut = watch->cut;
}

/* ---- the public face ---- */

/* A second program from the same tree. What it borrows from the first stays for as long as both are here. */
static venv_rc make_twin(const venv_expr *expr, xwatch *watch, venv_expr **ret_twin, venv_error *err)
{
    venv_expr *twin = calloc(1, sizeof *twin);
    if (!twin)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    atomic_init(&twin->refs, 1u);
    twin->env = venv_expr_env_ref(expr->env);
    venv_arena_init(&twin->arena, ARENA_MAX);
    twin->source = expr->source;
    twin->source_size = expr->source_size;
    twin->local_count = expr->local_count;
    expr_source source = { expr->source, expr->source_size, err };
    venv_rc rc = venv_cel_compile_tree(twin, &source, expr->tree, watch);
    if (rc != VENV_OK)
        (void)venv_expr_unref(twin);
    else
        *ret_twin = twin;
    return rc;
}

static venv_rc run_watched(const venv_expr *expr, xwatch *watch, const venv_expr_input *input,
                           venv_expr_explanation *explanation, venv_error *err)
{
    venv_expr *twin = NULL;
    xctx *context = NULL;
    venv_expr_result result = { .outcome = VENV_EXPR_UNKNOWN };
    venv_rc rc = make_twin(expr, watch, &twin, err);
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&context, err);
    if (rc == VENV_OK) {
        context->watch = watch;
        rc = venv_expr_eval(twin, context, input, &result, &explanation->error);
        explanation->error.rc = rc;
        if (rc != VENV_ENOMEM) {
            run_rest(context, watch);
            collect(watch, explanation);
            rc = VENV_OK;
        } else {
            (void)venv_error_set(err, rc, "out of memory");
        }
    }
    venv_expr_context_free(context);
    (void)venv_expr_unref(twin);
    return rc;
}

venv_rc venv_expr_explain(const venv_expr *expr, const venv_expr_input *input, venv_expr_explanation **ret_explanation,
                          venv_error *err)
{
    venv_expr_explanation *explanation = calloc(1, sizeof *explanation);
    xwatch *watch = calloc(1, sizeof *watch);
    venv_rc rc = explanation && watch ? run_watched(expr, watch, input, explanation, err)
                                      : venv_error_set(err, VENV_ENOMEM, "out of memory");
    free(watch);
    if (rc != VENV_OK) {
        free(explanation);
        return rc;
    }
    *ret_explanation = explanation;
    return VENV_OK;
}

void venv_expr_explanation_free(venv_expr_explanation *explanation)
{
    free(explanation);
}

size_t venv_expr_explanation_count(const venv_expr_explanation *explanation)
{
    return explanation->count;
}

const venv_expr_part *venv_expr_explanation_at(const venv_expr_explanation *explanation, size_t index)
{
    return index < explanation->count ? &explanation->parts[index] : NULL;
}

bool venv_expr_explanation_is_cut(const venv_expr_explanation *explanation)
{
    return explanation->cut;
}

const venv_error *venv_expr_explanation_error(const venv_expr_explanation *explanation)
{
    return explanation->error.rc != VENV_OK ? &explanation->error : NULL;
}

static const char *const states[] = {
    [VENV_EXPR_PART_VALUE] = "value",
    [VENV_EXPR_PART_UNKNOWN] = "unknown",
    [VENV_EXPR_PART_ERROR] = "error",
    [VENV_EXPR_PART_NOT_RUN] = "not-run",
};

const char *venv_expr_part_state_name(venv_expr_part_state state)
{
    return states[state];
}

static venv_value part_value(const venv_expr_part *part, venv_rc *rc)
{
    venv_value value = venv_value_null();
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "begin", venv_value_int(part->begin));
    venv_map_put(&map, "end", venv_value_int(part->end));
    venv_map_put(&map, "depth", venv_value_int(part->depth));
    venv_map_put(&map, "state", venv_value_literal(states[part->state]));
    if (part->text[0])
        venv_map_put_text(&map, "text", part->text, strlen(part->text));
    if (part->state == VENV_EXPR_PART_VALUE && venv_value_kind(&part->value) != VENV_NULL)
        venv_map_put(&map, "value", venv_value_ref(&part->value));
    if (!part->needed)
        venv_map_put(&map, "needed", venv_value_bool(false));
    if (part->repeats) {
        venv_map_put(&map, "rounds", venv_value_int(part->rounds));
        venv_map_put(&map, "trues", venv_value_int(part->trues));
    }
    venv_rc taken = venv_map_take(&map, &value, NULL);
    *rc = *rc == VENV_OK ? taken : *rc;
    return value;
}

venv_rc venv_expr_explanation_value(const venv_expr_explanation *explanation, size_t count_max, venv_value *ret_list,
                                    venv_error *err)
{
    venv_list_builder list;
    venv_rc rc = VENV_OK;
    venv_list_init(&list);
    for (size_t i = 0; i < explanation->count && i < count_max; i++)
        venv_list_add(&list, part_value(&explanation->parts[i], &rc));
    if (rc != VENV_OK) {
        venv_list_fini(&list);
        return venv_error_set(err, rc, "out of memory");
    }
    return venv_list_take(&list, ret_list, err);
}
