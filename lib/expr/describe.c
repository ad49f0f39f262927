/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of a program without running it: its tree as text, and what it can cost.
 */
#include "expr/program.h"

#include <string.h>

/* ---- the tree ---- */

#define PRINT_MAX (16u * 1024u * 1024u)

static void print_name(const ast *node, venv_buf *buf)
{
    venv_str name = node->name;
    switch ((ast_kind)node->kind) {
    case AST_CONST: {
        char text[96];
        size_t size = venv_value_print(&node->value, text, sizeof text);
        venv_buf_printf(buf, "%s%s", text, size >= sizeof text ? "..." : "");
        break;
    }
    case AST_IDENT:
        venv_buf_printf(buf, "%s%.*s", node->local >= 0 ? "local " : node->type_name ? "type " : "variable ", (int)name.size,
                        name.data);
        break;
    case AST_SELECT:
        venv_buf_printf(buf, "%s%s%.*s", node->test_only ? "has " : "select ", node->optional ? "?" : "", (int)name.size,
                        name.data);
        break;
    case AST_INDEX:
        venv_buf_append_text(buf, node->optional ? "index ?" : "index");
        break;
    case AST_CALL:
        venv_buf_printf(buf, "call %s%.*s", node->receiver ? "." : "", (int)name.size, name.data);
        break;
    case AST_OP:
        venv_buf_printf(buf, "operator %s", venv_cel_ast_op_text((ast_op)node->op));
        break;
    case AST_AND:
        venv_buf_append_text(buf, "operator &&");
        break;
    case AST_OR:
        venv_buf_append_text(buf, "operator ||");
        break;
    case AST_COND:
        venv_buf_append_text(buf, "operator ?:");
        break;
    case AST_LIST:
        venv_buf_append_text(buf, "list");
        break;
    case AST_MAP:
        venv_buf_append_text(buf, "map");
        break;
    case AST_STRUCT:
        venv_buf_printf(buf, "message %.*s", (int)name.size, name.data);
        break;
    case AST_FOLD:
        venv_buf_printf(buf, "macro %s", venv_cel_ast_fold_text((ast_fold)node->op));
        break;
    case AST_BIND:
        venv_buf_append_text(buf, "macro cel.bind");
        break;
    case AST_OPT_MAP:
        venv_buf_append_text(buf, node->flat ? "macro optFlatMap" : "macro optMap");
        break;
    case AST_BLOCK:
        venv_buf_append_text(buf, "macro cel.block");
        break;
    }
    for (int i = 0; i < 2 && node->vars[i].size; i++)
        venv_buf_printf(buf, "%s%.*s", i ? ", " : " ", (int)node->vars[i].size, node->vars[i].data);
}

static void print_node(const venv_expr *expr, const ast *node, unsigned depth, venv_buf *buf)
{
    uint32_t line = 1, column = 1;
    for (uint32_t i = 0; i < node->pos && i < expr->source_size; i++) {
        column++;
        if (expr->source[i] == '\n') {
            line++;
            column = 1;
        }
    }
    for (unsigned i = 0; i < depth; i++)
        venv_buf_append_text(buf, "  ");
    print_name(node, buf);
    venv_buf_append_text(buf, " : ");
    venv_cel_type_print(node->type, buf);
    venv_buf_printf(buf, "  @%u:%u\n", line, column);
    for (uint32_t i = 0; i < node->count; i++)
        print_node(expr, node->args[i], depth + 1, buf);
}

size_t venv_expr_print_tree(const venv_expr *expr, char *buffer, size_t size)
{
    venv_buf buf;
    venv_buf_init(&buf, PRINT_MAX);
    print_node(expr, expr->tree, 0, &buf);
    size_t total = buf.rc == VENV_OK ? buf.size : 0;
    if (size) {
        size_t shown = total < size ? total : size - 1;
        if (shown)
            memcpy(buffer, buf.data, shown);
        buffer[shown] = '\0';
    }
    venv_buf_fini(&buf);
    return total;
}

/* ---- the cost ---- */

/* A range of costs, or of sizes: items of a container, eighths of a text. */
typedef struct span {
    uint64_t min, max;
} span;

typedef struct estimator {
    const venv_expr *expr;
    uint64_t assumed;
} estimator;

typedef struct estimate {
    span cost, size;
} estimate;

static uint64_t add_up(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static span plus(span a, span b)
{
    return (span){ add_up(a.min, b.min), add_up(a.max, b.max) };
}

static span either(span a, span b)
{
    return (span){ a.min < b.min ? a.min : b.min, a.max > b.max ? a.max : b.max };
}

static bool has_size(const ast *node)
{
    switch (node->type->kind) {
    case T_STRING:
    case T_BYTES:
    case T_LIST:
    case T_MAP:
    case T_DYN:
    case T_OPTIONAL:
        return true;
    default:
        return false;
    }
}

/* What is made may become the result, whose items are counted once more: two for an entry of a map. */
#define GIVEN_BACK 2u

static estimate estimate_node(const estimator *e, const ast *node);

/* Units to read a value of a type in full, each part of unknown size being as large as is assumed. */
static uint64_t weight(const estimator *e, const expr_type *type)
{
    switch (type->kind) {
    case T_LIST:
        return add_up(1, times(e->assumed, type->a ? weight(e, type->a) : 1 + e->assumed / 8));
    case T_MAP:
        return add_up(1, times(e->assumed, type->a ? add_up(weight(e, type->a), weight(e, type->b)) : 2 + e->assumed / 4));
    case T_OPTIONAL:
    case T_WRAPPER:
        return type->a ? add_up(1, weight(e, type->a)) : 1 + e->assumed / 8;
    case T_STRING:
    case T_BYTES:
    case T_DYN:
        return 1 + e->assumed / 8;
    default:
        return 1;
    }
}

/* Units to read what a node gives in full, given its size. */
static uint64_t reading(const estimator *e, const ast *node, span size)
{
    const expr_type *type = node->type;
    if (type->kind == T_LIST && type->a)
        return add_up(1, times(size.max, weight(e, type->a)));
    if (type->kind == T_MAP && type->a)
        return add_up(1, times(size.max, add_up(weight(e, type->a), weight(e, type->b))));
    return add_up(1, type->kind == T_LIST || type->kind == T_MAP ? times(size.max, 1 + e->assumed / 8) : size.max);
}

static span size_of_const(const ast *node)
{
    size_t size = 0;
    if (node->value.w.kind == VENV_STRING || node->value.w.kind == VENV_BYTES)
        size = venv_text_of(&node->value).size;
    return (span){ size, size };
}

/*
 * A macro: its range, and its bodies once a round. The nodes of a body cost the same in each round;
 * all and exists may end after the first.
 */
static estimate estimate_fold(const estimator *e, const ast *node)
{
    estimate range = estimate_node(e, node->args[0]);
    span round = { 1, 1 };
    for (uint32_t i = 1; i < node->count; i++)
        round = plus(round, estimate_node(e, node->args[i]).cost);
    bool short_cut = node->op == FOLD_ALL || node->op == FOLD_EXISTS;
    uint64_t least = short_cut && range.size.min > 1 ? 1 : range.size.min;
    estimate result;
    result.cost = plus(range.cost, (span){ 1 + times(least, round.min), add_up(1, times(range.size.max, round.max)) });
    result.size = (span){ 0, range.size.max };
    bool builds = node->op >= FOLD_MAP;
    if (builds) {
        result.cost = plus(result.cost, range.size);
        result.cost.max = add_up(result.cost.max, times(range.size.max, GIVEN_BACK));
        if (node->op == FOLD_SORT_BY)
            result.cost.max = add_up(result.cost.max, times(times(range.size.max, weight(e, node->args[1]->type)), 32));
        if (node->op == FOLD_TRANSFORM_MAP || node->op == FOLD_TRANSFORM_MAP_ENTRY) /* its keys are looked at */
            result.cost.max = add_up(result.cost.max, times(range.size.max, 1 + e->assumed / 8));
    }
    return result;
}

static bool name_is(const ast *node, const char *text)
{
    return node->name.size == strlen(text) && !memcmp(node->name.data, text, node->name.size);
}

/* What calls and operators do with sizes: they read what they are given, and write something as large. */
static estimate estimate_call(const estimator *e, const ast *node, estimate total, span sizes, uint64_t read)
{
    uint64_t added_min = UINT64_MAX, added_max = 0;
    uint64_t candidates = node->candidates;
    for (const expr_overload *at = node->overloads; candidates; at = at->next, candidates >>= 1) {
        if (candidates & 1) {
            added_min = at->cost < added_min ? at->cost : added_min;
            added_max = at->cost > added_max ? at->cost : added_max;
        }
    }
    if (added_max)
        total.cost = plus(total.cost, (span){ added_min, added_max });
    /* Sizes of texts are in bytes, at an eighth of a unit each; of lists in items. One a unit bounds both. */
    total.cost.max = add_up(total.cost.max, times(sizes.max, 2));
    if (name_is(node, "matches"))
        total.cost.max = add_up(total.cost.max, times(add_up(sizes.max, 1), 1 + sizes.max / 4)); /* it begins in an empty text, too */
    else if (name_is(node, "sort") || name_is(node, "join") || name_is(node, "format") || name_is(node, "distinct") ||
             node->name.size > 5)
        total.cost.max = add_up(total.cost.max, times(sizes.max, 32));
    bool computed = node->count == 2 && node->args[1]->kind != AST_CONST; /* what is compiled when it runs */
    if (computed && name_is(node, "matches"))
        total.cost.max = add_up(total.cost.max, add_up(EXPR_REGEX_COST, times(sizes.max, EXPR_REGEX_BYTE_COST)));
    else if (computed && node->name.size > 3 && !memcmp(node->name.data, "get", 3))
        total.cost.max = add_up(total.cost.max, EXPR_ZONE_COST);
    bool sets = node->name.size > 5 && !memcmp(node->name.data, "sets.", 5);
    if (name_is(node, "sort") || name_is(node, "join") || name_is(node, "format"))
        total.cost.max = add_up(total.cost.max, times(read, 32));
    if (name_is(node, "distinct") || sets)
        total.cost.max = add_up(total.cost.max, times(sizes.max, read));
    total.size = has_size(node) ? (span){ 0, sizes.max > e->assumed ? sizes.max : e->assumed } : (span){ 0, 0 };
    uint8_t kind = node->type->kind;
    bool built = node->overloads && node->overloads->builtin; /* what an added function gives was made elsewhere */
    if (!built)
        return total;
    if (kind == T_LIST || kind == T_MAP || kind == T_DYN || kind == T_OPTIONAL)
        total.cost.max = add_up(total.cost.max, times(total.size.max, 1 + GIVEN_BACK));
    else if (kind == T_STRING || kind == T_BYTES)
        total.cost.max = add_up(total.cost.max, total.size.max);
    return total;
}

static estimate estimate_node(const estimator *e, const ast *node)
{
    if (node->kind == AST_FOLD)
        return estimate_fold(e, node);
    estimate total = { .cost = { 1, 1 }, .size = { 0, has_size(node) ? e->assumed : 0 } };
    span sizes = { 0, 0 };
    uint64_t read = 0, last = 0; /* to read all of the operands, the last of them */
    for (uint32_t i = 0; i < node->count; i++) {
        estimate arg = estimate_node(e, node->args[i]);
        total.cost = plus(total.cost, arg.cost);
        sizes = plus(sizes, arg.size);
        last = reading(e, node->args[i], arg.size);
        read = add_up(read, last);
        /* The size of what stands for its last part. */
        if (node->kind == AST_BIND || node->kind == AST_BLOCK || node->kind == AST_OPT_MAP)
            total.size = arg.size;
        if (node->kind == AST_COND && i > 0)
            total.size = i == 1 ? arg.size : either(total.size, arg.size);
    }
    switch ((ast_kind)node->kind) {
    case AST_CONST:
        total.size = size_of_const(node);
        break;
    case AST_LIST:
    case AST_MAP: {
        uint64_t count = node->kind == AST_MAP ? node->count / 2 : node->count;
        total.size = (span){ node->marks ? 0 : count, count };
        total.cost = plus(total.cost, total.size);
        total.cost.max = add_up(total.cost.max, times(count, GIVEN_BACK));
        if (node->kind == AST_MAP)
            total.cost.max = add_up(total.cost.max, sizes.max / 8); /* its keys are looked at */
        break;
    }
    case AST_INDEX:
        total.cost.max = add_up(total.cost.max, last);
        break;
    case AST_OP:
        if (node->op == OP_ADD)
            total.cost.max = add_up(total.cost.max, add_up(2, times(sizes.max, 2)));
        else if (node->count == 2)
            total.cost.max = add_up(total.cost.max, add_up(read, sizes.max));
        if (node->op == OP_ADD)
            total.size = has_size(node) ? sizes : total.size;
        break;
    case AST_CALL:
        return estimate_call(e, node, total, sizes, read);
    default:
        break;
    }
    return total;
}

venv_expr_cost venv_expr_estimate(const venv_expr *expr, uint64_t assumed_count)
{
    estimator e = { expr, assumed_count };
    estimate whole = estimate_node(&e, expr->tree);
    return (venv_expr_cost){ whole.cost.min, whole.cost.max };
}
