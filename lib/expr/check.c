/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker: what each name means and what type each node has.
 *
 * The tree is annotated in place. Without static checks (`check_off`) the same walk runs with every
 * type dyn: names are resolved, nothing is refused, and what cannot be resolved becomes an error of
 * the node, to be met when it runs. Recursion follows the tree, whose depth is limited.
 */
#include "expr/program.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

#define QUALIFIED_MAX 512u

typedef struct check_scope {
    const struct check_scope *parent;
    venv_str name;
    const expr_type *type;
    int32_t local;
} check_scope;

typedef struct checker {
    const expr_source *source;
    venv_expr_env *env;
    venv_arena *arena;
    expr_unifier unifier;
    uint32_t local_count;
    bool checked;
    venv_rc rc;
    char buffer[QUALIFIED_MAX + 1]; /* of the name that is resolved */
} checker;

static const expr_type *check(checker *c, ast *node, const check_scope *scope);

static const expr_type *const dyn = &venv_cel_types[T_DYN];

static bool text_is(venv_str a, const char *b)
{
    return a.size == strlen(b) && !memcmp(a.data, b, a.size);
}

static const expr_type *out_of_memory(checker *c)
{
    c->rc = venv_cel_fail_at(c->source, 0, VENV_ENOMEM, "out of memory");
    return NULL;
}

static const expr_type *type_new(checker *c, expr_type_kind kind, const expr_type *a, const expr_type *b)
{
    const expr_type *type = venv_cel_type_new(c->arena, kind, a, b);
    return type ? type : out_of_memory(c);
}

/* A type as text, for messages. Lives in the arena. */
static const char *type_text(checker *c, const expr_type *type)
{
    venv_buf buf;
    venv_buf_init(&buf, 200);
    venv_cel_type_print(venv_cel_type_final(&c->unifier, type), &buf);
    const char *text = venv_arena_dup(c->arena, (const char *)buf.data, buf.rc == VENV_OK ? buf.size : 0);
    venv_buf_fini(&buf);
    return text ? text : "";
}

#define REFUSE(c, pos, ...) ((c)->rc = venv_cel_fail_at((c)->source, (pos), VENV_EINVAL, __VA_ARGS__), (const expr_type *)NULL)

/* ---- names ---- */

static const check_scope *find_local(const check_scope *scope, venv_str name)
{
    for (; scope; scope = scope->parent) {
        if (scope->name.size == name.size && !memcmp(scope->name.data, name.data, name.size))
            return scope;
    }
    return NULL;
}

/*
 * The names that a name can mean: within the container, within its parents, by itself. Start with
 * *level = 0; false at the end.
 */
static bool next_candidate(const checker *c, venv_str name, bool leading_dot, size_t *level, char *buffer,
                           venv_str *ret_candidate)
{
    const char *container = c->env->options.container;
    size_t size = container && !leading_dot ? strlen(container) : 0;
    for (size_t i = 0; i < *level && size > 0; i++) {
        while (size > 0 && container[--size] != '.')
            ;
    }
    if (size == 0) {
        if (*level == SIZE_MAX)
            return false;
        *level = SIZE_MAX; /* the name itself is the last one */
        *ret_candidate = name;
        return true;
    }
    (*level)++;
    if (size + name.size + 1 > QUALIFIED_MAX)
        return next_candidate(c, name, true, level, buffer, ret_candidate);
    memcpy(buffer, container, size);
    buffer[size] = '.';
    memcpy(buffer + size + 1, name.data, name.size);
    *ret_candidate = (venv_str){ buffer, size + 1 + name.size };
    return true;
}

/* A variable or the name of a type. NULL if there is none. */
static const expr_type *resolve_name(checker *c, ast *node, venv_str name, bool leading_dot)
{
    venv_str candidate;
    for (size_t level = 0; next_candidate(c, name, leading_dot, &level, c->buffer, &candidate);) {
        const expr_type *type;
        const char *type_name;
        int64_t slot = venv_cel_env_find_variable(c->env, candidate, &type);
        if (slot >= 0) {
            node->slot = slot;
            node->name = c->env->variables[slot]->name;
            return c->checked ? type : dyn;
        }
        if (venv_cel_type_by_name(candidate, &type_name)) {
            node->type_name = true;
            node->value = venv_value_type(type_name);
            return c->checked ? &venv_cel_types[T_TYPE] : dyn;
        }
        if (text_is(candidate, "google.protobuf.NullValue.NULL_VALUE")) {
            node->type_name = true;
            node->value = venv_value_null();
            return c->checked ? &venv_cel_types[T_NULL] : dyn;
        }
    }
    return NULL;
}

/* The dotted name that a chain of selections spells. False if it is something else or too long. */
static bool spell(const ast *node, char *buffer, venv_str *ret_name, const ast **ret_base)
{
    size_t at = QUALIFIED_MAX;
    for (; node->kind == AST_SELECT && !node->optional && !node->test_only; node = node->args[0]) {
        if (node->name.size + 1 > at)
            return false;
        at -= node->name.size;
        memcpy(buffer + at, node->name.data, node->name.size);
        buffer[--at] = '.';
    }
    if (node->kind != AST_IDENT || node->name.size > at)
        return false;
    at -= node->name.size;
    memcpy(buffer + at, node->name.data, node->name.size);
    *ret_name = (venv_str){ buffer + at, QUALIFIED_MAX - at };
    *ret_base = node;
    return true;
}

static const expr_type *undeclared(checker *c, ast *node, const check_scope *scope)
{
    if (!c->checked) {
        node->error = (venv_str){ "no such variable is declared", 28 };
        return dyn;
    }
    venv_str locals[32] = { { "true", 4 }, { "false", 5 }, { "null", 4 } };
    size_t count = 3;
    for (; scope && count < VENV_COUNT_OF(locals); scope = scope->parent)
        locals[count++] = scope->name;
    const char *near = venv_cel_env_nearest(c->env, c->arena, node->name, locals, count, false);
    if (near)
        return REFUSE(c, node->pos, "there is no variable '%.*s'; did you mean '%s'?", (int)node->name.size,
                      node->name.data, near);
    if (venv_cel_env_find_function(c->env, node->name))
        return REFUSE(c, node->pos, "'%.*s' is a function; expected '(' and its arguments", (int)node->name.size,
                      node->name.data);
    return REFUSE(c, node->pos, "there is no variable '%.*s'%s", (int)node->name.size, node->name.data,
                  c->env->variable_count ? "" : "; none is declared");
}

static const expr_type *check_ident(checker *c, ast *node, const check_scope *scope)
{
    const check_scope *local = node->leading_dot ? NULL : find_local(scope, node->name);
    if (local) {
        node->local = local->local;
        return local->type;
    }
    const expr_type *type = resolve_name(c, node, node->name, node->leading_dot);
    return type ? type : undeclared(c, node, scope);
}

/* ---- selection and indexing ---- */

static const expr_type *optional_of(checker *c, const expr_type *type)
{
    return type->kind == T_DYN && !c->checked ? dyn : type_new(c, T_OPTIONAL, type, NULL);
}

static const expr_type *field_type(checker *c, const ast *node, const expr_type *base)
{
    base = venv_cel_type_resolve(&c->unifier, base);
    switch (base->kind) {
    case T_MAP:
        return base->b;
    case T_DYN:
    case T_VAR:
        return dyn;
    case T_OPTIONAL: {
        const expr_type *inner = field_type(c, node, base->a);
        return !inner || node->optional ? inner : type_new(c, T_OPTIONAL, inner, NULL);
    }
    default:
        return REFUSE(c, node->pos, "a value of type %s has no field '%.*s'; only maps have", type_text(c, base),
                      (int)node->name.size, node->name.data);
    }
}

static const expr_type *check_select(checker *c, ast *node, const check_scope *scope)
{
    char buffer[QUALIFIED_MAX];
    venv_str name;
    const ast *base;
    if (!node->optional && !node->test_only && spell(node, buffer, &name, &base) &&
        (base->leading_dot || !find_local(scope, base->name))) {
        const expr_type *type = resolve_name(c, node, name, base->leading_dot);
        if (type) {
            node->kind = AST_IDENT;
            node->count = 0;
            return type;
        }
    }
    const expr_type *operand = check(c, node->args[0], scope);
    const expr_type *type = operand ? field_type(c, node, operand) : NULL;
    if (!type)
        return NULL;
    if (node->test_only)
        return c->checked ? &venv_cel_types[T_BOOL] : dyn;
    return node->optional ? optional_of(c, type) : type;
}

static const expr_type *element_type(checker *c, const ast *node, const expr_type *base, const expr_type *index)
{
    base = venv_cel_type_resolve(&c->unifier, base);
    switch (base->kind) {
    case T_LIST:
        if (!venv_cel_type_assign(&c->unifier, index, &venv_cel_types[T_INT]))
            return REFUSE(c, node->args[1]->pos, "expected an int as the index of a list and found %s",
                          type_text(c, index));
        return base->a;
    case T_MAP:
        if (!venv_cel_type_assign(&c->unifier, index, base->a))
            return REFUSE(c, node->args[1]->pos, "expected a key of type %s and found %s", type_text(c, base->a),
                          type_text(c, index));
        return base->b;
    case T_DYN:
    case T_VAR:
        return dyn;
    case T_OPTIONAL: {
        const expr_type *inner = element_type(c, node, base->a, index);
        return !inner || node->optional ? inner : type_new(c, T_OPTIONAL, inner, NULL);
    }
    default:
        return REFUSE(c, node->pos, "a value of type %s has no elements; expected a list or a map", type_text(c, base));
    }
}

static const expr_type *check_index(checker *c, ast *node, const check_scope *scope)
{
    const expr_type *base = check(c, node->args[0], scope);
    const expr_type *index = base ? check(c, node->args[1], scope) : NULL;
    const expr_type *type = index ? element_type(c, node, base, index) : NULL;
    return type && node->optional ? optional_of(c, type) : type;
}

/* ---- operators ---- */

static const expr_type *plain(checker *c, const expr_type *type)
{
    type = venv_cel_type_resolve(&c->unifier, type);
    if (type->kind == T_WRAPPER)
        type = venv_cel_type_resolve(&c->unifier, type->a);
    return type->kind == T_VAR ? dyn : type;
}

static bool is_number(const expr_type *type)
{
    return type->kind == T_INT || type->kind == T_UINT || type->kind == T_DOUBLE;
}

/* NULL: the operator does not take these. */
static const expr_type *arithmetic(checker *c, ast_op op, const expr_type *a, const expr_type *b)
{
    if (a->kind == T_DYN || b->kind == T_DYN) {
        const expr_type *known = a->kind == T_DYN ? b : a;
        if (known->kind == T_DYN)
            return dyn;
        if (is_number(known))
            return op == OP_MOD && known->kind == T_DOUBLE ? NULL : known;
        if (op == OP_ADD && (known->kind == T_STRING || known->kind == T_BYTES || known->kind == T_LIST))
            return known->kind == T_LIST ? &venv_cel_types[T_LIST] : known;
        bool time = known->kind == T_TIMESTAMP || known->kind == T_DURATION;
        return time && (op == OP_ADD || op == OP_SUB) ? dyn : NULL;
    }
    if (a->kind == T_TIMESTAMP && b->kind == T_DURATION && (op == OP_ADD || op == OP_SUB))
        return a;
    if (a->kind == T_DURATION && b->kind == T_TIMESTAMP && op == OP_ADD)
        return b;
    if (a->kind == T_TIMESTAMP && b->kind == T_TIMESTAMP && op == OP_SUB)
        return &venv_cel_types[T_DURATION];
    if (a->kind != b->kind)
        return NULL;
    if (a->kind == T_DURATION)
        return op == OP_ADD || op == OP_SUB ? a : NULL;
    if (is_number(a))
        return op == OP_MOD && a->kind == T_DOUBLE ? NULL : a;
    if (op != OP_ADD)
        return NULL;
    if (a->kind == T_LIST && !venv_cel_type_assign(&c->unifier, b, a))
        return NULL;
    if (a->kind == T_LIST)
        return type_new(c, T_LIST, venv_cel_type_join(&c->unifier, a->a, b->a), NULL);
    return a->kind == T_STRING || a->kind == T_BYTES ? a : NULL;
}

static bool has_order(const expr_type *a, const expr_type *b)
{
    if (is_number(a) && is_number(b))
        return true;
    const expr_type *known = a->kind == T_DYN ? b : a;
    bool ordered = is_number(known) || known->kind == T_BOOL || known->kind == T_STRING || known->kind == T_BYTES ||
                   known->kind == T_TIMESTAMP || known->kind == T_DURATION || known->kind == T_DYN;
    return ordered && (a->kind == b->kind || a->kind == T_DYN || b->kind == T_DYN);
}

static bool membership(checker *c, const expr_type *item, const expr_type *container)
{
    container = plain(c, container);
    if (container->kind == T_DYN)
        return true;
    return (container->kind == T_LIST || container->kind == T_MAP) && venv_cel_type_assign(&c->unifier, item, container->a);
}

static const expr_type *refuse_operator(checker *c, const ast *node, const expr_type *a, const expr_type *b)
{
    const char *left = type_text(c, a);
    if (!b)
        return REFUSE(c, node->pos, "'%s' does not take %s", venv_cel_ast_op_text((ast_op)node->op), left);
    const char *right = type_text(c, b);
    bool numbers = is_number(plain(c, a)) && is_number(plain(c, b));
    return REFUSE(c, node->pos, "'%s' does not take %s and %s%s", venv_cel_ast_op_text((ast_op)node->op), left, right,
                  numbers ? "; convert one of them: int(x), uint(x) or double(x)" : "");
}

static const expr_type *check_operator(checker *c, ast *node, const check_scope *scope)
{
    const expr_type *a = check(c, node->args[0], scope);
    const expr_type *b = a && node->count > 1 ? check(c, node->args[1], scope) : NULL;
    const expr_type *result = NULL;
    if (!a || (node->count > 1 && !b))
        return NULL;
    const expr_type *boolean = c->checked ? &venv_cel_types[T_BOOL] : dyn;
    ast_op op = (ast_op)node->op;
    switch (op) {
    case OP_NOT:
        result = venv_cel_type_assign(&c->unifier, a, &venv_cel_types[T_BOOL]) ? boolean : NULL;
        break;
    case OP_NEG: {
        const expr_type *type = plain(c, a);
        result = type->kind == T_INT || type->kind == T_DOUBLE || type->kind == T_DURATION || type->kind == T_DYN ? type : NULL;
        break;
    }
    case OP_EQ:
    case OP_NE:
        result = venv_cel_type_assign(&c->unifier, a, b) ? boolean : NULL;
        break;
    case OP_IN:
        result = membership(c, a, b) ? boolean : NULL;
        break;
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        result = has_order(plain(c, a), plain(c, b)) ? boolean : NULL;
        break;
    default:
        result = arithmetic(c, op, plain(c, a), plain(c, b));
        break;
    }
    return result || c->rc != VENV_OK ? result : refuse_operator(c, node, a, b);
}

static bool expect_bool(checker *c, const ast *node, const expr_type *type, const char *where)
{
    if (venv_cel_type_assign(&c->unifier, type, &venv_cel_types[T_BOOL]))
        return true;
    (void)REFUSE(c, node->pos, "%s must be a bool and is of type %s", where, type_text(c, type));
    return false;
}

static const expr_type *check_logic(checker *c, ast *node, const check_scope *scope)
{
    for (uint32_t i = 0; i < node->count; i++) {
        const expr_type *type = check(c, node->args[i], scope);
        if (!type || !expect_bool(c, node->args[i], type, node->kind == AST_AND ? "each side of '&&'" : "each side of '||'"))
            return NULL;
    }
    return c->checked ? &venv_cel_types[T_BOOL] : dyn;
}

static const expr_type *check_condition(checker *c, ast *node, const check_scope *scope)
{
    const expr_type *condition = check(c, node->args[0], scope);
    if (!condition || !expect_bool(c, node->args[0], condition, "what stands before '?'"))
        return NULL;
    const expr_type *yes = check(c, node->args[1], scope);
    const expr_type *no = yes ? check(c, node->args[2], scope) : NULL;
    if (!no)
        return NULL;
    if (!venv_cel_type_assign(&c->unifier, no, yes))
        return REFUSE(c, node->pos, "the two values of '? :' have different types, %s and %s; wrap one in dyn()",
                      type_text(c, yes), type_text(c, no));
    return venv_cel_type_join(&c->unifier, yes, no);
}

/* ---- lists, maps, messages ---- */

static const expr_type *unwrap_optional(checker *c, const ast *node, const expr_type *type)
{
    type = venv_cel_type_resolve(&c->unifier, type);
    if (type->kind == T_DYN || type->kind == T_VAR)
        return dyn;
    if (type->kind != T_OPTIONAL)
        return REFUSE(c, node->pos, "'?' needs an optional value and found %s", type_text(c, type));
    return type->a;
}

static const expr_type *check_list(checker *c, ast *node, const check_scope *scope)
{
    const expr_type *joined = NULL;
    for (uint32_t i = 0; i < node->count; i++) {
        const expr_type *type = check(c, node->args[i], scope);
        if (type && node->marks && node->marks[i])
            type = unwrap_optional(c, node->args[i], type);
        if (!type)
            return NULL;
        joined = joined ? venv_cel_type_join(&c->unifier, joined, type) : type;
    }
    if (!c->checked)
        return dyn;
    return type_new(c, T_LIST, joined ? joined : venv_cel_type_fresh(&c->unifier), NULL);
}

static const expr_type *check_map(checker *c, ast *node, const check_scope *scope)
{
    const expr_type *keys = NULL, *values = NULL;
    for (uint32_t i = 0; i < node->count; i += 2) {
        const expr_type *key = check(c, node->args[i], scope);
        const expr_type *value = key ? check(c, node->args[i + 1], scope) : NULL;
        if (value && node->marks && node->marks[i])
            value = unwrap_optional(c, node->args[i + 1], value);
        if (!value)
            return NULL;
        const expr_type *known = plain(c, key);
        if (known->kind != T_DYN && known->kind != T_BOOL && known->kind != T_INT && known->kind != T_UINT &&
            known->kind != T_STRING)
            return REFUSE(c, node->args[i]->pos, "a key must be a bool, an int, a uint or a string and is of type %s",
                          type_text(c, key));
        keys = keys ? venv_cel_type_join(&c->unifier, keys, key) : key;
        values = values ? venv_cel_type_join(&c->unifier, values, value) : value;
    }
    if (!c->checked)
        return dyn;
    return type_new(c, T_MAP, keys ? keys : venv_cel_type_fresh(&c->unifier), values ? values : venv_cel_type_fresh(&c->unifier));
}

/* The well-known messages that are values of CEL themselves. */
static const struct {
    const char *name;
    expr_type_kind kind;
} messages[] = {
    { "google.protobuf.BoolValue", T_BOOL },     { "google.protobuf.BytesValue", T_BYTES },
    { "google.protobuf.DoubleValue", T_DOUBLE }, { "google.protobuf.FloatValue", T_DOUBLE },
    { "google.protobuf.Int32Value", T_INT },     { "google.protobuf.Int64Value", T_INT },
    { "google.protobuf.UInt32Value", T_UINT },   { "google.protobuf.UInt64Value", T_UINT },
    { "google.protobuf.StringValue", T_STRING }, { "google.protobuf.Value", T_DYN },
    { "google.protobuf.ListValue", T_LIST },     { "google.protobuf.Struct", T_MAP },
    { "google.protobuf.Timestamp", T_TIMESTAMP }, { "google.protobuf.Duration", T_DURATION },
};

static const expr_type *check_struct(checker *c, ast *node, const check_scope *scope)
{
    char buffer[QUALIFIED_MAX + 1];
    venv_str candidate;
    for (size_t level = 0; next_candidate(c, node->name, node->leading_dot, &level, buffer, &candidate);) {
        for (size_t i = 0; i < VENV_COUNT_OF(messages); i++) {
            if (!text_is(candidate, messages[i].name))
                continue;
            for (uint32_t arg = 1; arg < node->count; arg += 2) {
                if (!check(c, node->args[arg], scope))
                    return NULL;
            }
            node->op = (uint8_t)i;
            node->name = (venv_str){ messages[i].name, strlen(messages[i].name) };
            expr_type_kind kind = messages[i].kind;
            if (!c->checked || kind == T_DYN)
                return dyn;
            bool wrapper = i < 9;
            return wrapper ? type_new(c, T_WRAPPER, &venv_cel_types[kind], NULL) : &venv_cel_types[kind];
        }
    }
    if (!c->checked) {
        node->error = (venv_str){ "no such message type", 20 };
        node->count = 0;
        return dyn;
    }
    return REFUSE(c, node->pos, "there is no message type '%.*s'; messages are not part of this language",
                  (int)node->name.size, node->name.data);
}

/* ---- calls ---- */

static const expr_type *instantiate(checker *c, const expr_type *type, const expr_type **params)
{
    if (type->kind == T_PARAM) {
        if (!params[type->id])
            params[type->id] = venv_cel_type_fresh(&c->unifier);
        return params[type->id];
    }
    if (!type->a)
        return type;
    const expr_type *a = instantiate(c, type->a, params);
    const expr_type *b = type->b ? instantiate(c, type->b, params) : NULL;
    if (a == type->a && b == type->b)
        return type;
    const expr_type *made = venv_cel_type_new(c->arena, (expr_type_kind)type->kind, a, b);
    if (!made)
        c->unifier.failed_memory = true;
    return made ? made : dyn;
}

static void undo(expr_unifier *unifier, uint32_t mark)
{
    while (unifier->trail_count > mark)
        unifier->bound[unifier->trail[--unifier->trail_count]] = NULL;
}

static bool overload_fits(checker *c, const expr_overload *overload, const expr_type *const *args, uint32_t count,
                          const expr_type **ret_result)
{
    const expr_type *params[26] = { NULL };
    uint32_t mark = c->unifier.trail_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t formal = i < overload->arg_count ? i : overload->arg_count - 1u;
        if (!venv_cel_type_assign(&c->unifier, args[i], instantiate(c, overload->args[formal], params))) {
            undo(&c->unifier, mark);
            return false;
        }
    }
    *ret_result = instantiate(c, overload->result, params);
    return true;
}

static bool arity_fits(const expr_overload *overload, uint32_t count, bool receiver)
{
    if (overload->receiver != receiver)
        return false;
    return overload->variadic ? count >= overload->arg_count : count == overload->arg_count;
}

static bool same_type(const expr_unifier *unifier, const expr_type *a, const expr_type *b)
{
    a = venv_cel_type_resolve(unifier, a);
    b = venv_cel_type_resolve(unifier, b);
    if (a == b)
        return true;
    if (a->kind != b->kind || a->kind == T_VAR || !a->a != !b->a || !a->b != !b->b)
        return false;
    return (!a->a || same_type(unifier, a->a, b->a)) && (!a->b || same_type(unifier, a->b, b->b));
}

/* "(int, string)" and the overloads that there are. */
static const expr_type *refuse_call(checker *c, const ast *node, const expr_overload *first,
                                    const expr_type *const *args, uint32_t count, bool receiver)
{
    venv_buf buf;
    venv_buf_init(&buf, 400);
    venv_buf_printf(&buf, "'%.*s' does not take (", (int)node->name.size, node->name.data);
    for (uint32_t i = 0; i < count; i++)
        venv_buf_printf(&buf, "%s%s", i ? ", " : "", type_text(c, args[i]));
    venv_buf_append_text(&buf, ")");
    bool any = false;
    for (const expr_overload *at = first; at; at = at->next) {
        if (at->receiver == receiver || !at->next) {
            venv_buf_printf(&buf, "%s%s", any ? "; " : "; expected ", at->signature);
            any = true;
        }
    }
    venv_str text = { (const char *)buf.data, buf.size };
    const char *more = "";
    if (text.size > 250) { /* whole overloads, and a sign that there are more */
        for (text.size = 250; text.size && text.data[text.size] != ';';)
            text.size--;
        more = "; …";
    }
    const expr_type *none = REFUSE(c, node->pos, "%.*s%s", (int)text.size, text.data ? text.data : "", more);
    venv_buf_fini(&buf);
    return none;
}

/* A function called by a name in a namespace: `math.abs(x)`. */
static const expr_overload *namespaced(checker *c, ast *node, const check_scope *scope)
{
    char spelled[QUALIFIED_MAX], buffer[QUALIFIED_MAX + 1], whole[QUALIFIED_MAX + 1];
    venv_str name, candidate;
    const ast *base;
    if (!spell(node->args[0], spelled, &name, &base) || (!base->leading_dot && find_local(scope, base->name)) ||
        name.size + 1 + node->name.size > QUALIFIED_MAX)
        return NULL;
    memcpy(whole, name.data, name.size);
    whole[name.size] = '.';
    memcpy(whole + name.size + 1, node->name.data, node->name.size);
    name = (venv_str){ whole, name.size + 1 + node->name.size };
    for (size_t level = 0; next_candidate(c, name, base->leading_dot, &level, buffer, &candidate);) {
        const expr_overload *overload = venv_cel_env_find_function(c->env, candidate);
        if (overload)
            return overload;
    }
    return NULL;
}

static const expr_overload *find_function(checker *c, ast *node, const check_scope *scope)
{
    char buffer[QUALIFIED_MAX + 1];
    venv_str candidate;
    if (node->receiver) {
        const expr_overload *overload = namespaced(c, node, scope);
        if (overload) {
            node->receiver = false;
            node->args++;
            node->count--;
            node->name = overload->name;
            return overload;
        }
        return venv_cel_env_find_function(c->env, node->name);
    }
    for (size_t level = 0; next_candidate(c, node->name, node->leading_dot, &level, buffer, &candidate);) {
        const expr_overload *overload = venv_cel_env_find_function(c->env, candidate);
        if (overload)
            return overload;
    }
    return NULL;
}

/* The whole name of a call such as `math.abs(x)`, as far as what stands before the dot is no variable. */
static venv_str whole_name(checker *c, const ast *node, const check_scope *scope, char buffer[static QUALIFIED_MAX + 1])
{
    char spelled[QUALIFIED_MAX];
    venv_str name;
    const ast *base;
    const expr_type *type;
    if (!node->receiver || !spell(node->args[0], spelled, &name, &base) || find_local(scope, base->name) ||
        venv_cel_env_find_variable(c->env, base->name, &type) >= 0 || name.size + 1 + node->name.size > QUALIFIED_MAX)
        return node->name;
    memcpy(buffer, name.data, name.size);
    buffer[name.size] = '.';
    memcpy(buffer + name.size + 1, node->name.data, node->name.size);
    return (venv_str){ buffer, name.size + 1 + node->name.size };
}

/*
 * What is said first is what is most likely wrong: a name near to a known function or macro; a macro with
 * other arguments than it takes (the variable that it would have set is then unknown, too); only then
 * what is wrong with the arguments.
 */
static const expr_type *unknown_function(checker *c, ast *node, const check_scope *scope)
{
    char buffer[QUALIFIED_MAX + 1];
    venv_str macros[32];
    if (c->checked) {
        const char *form = venv_cel_macro_form(node->name);
        if (form)
            return REFUSE(c, node->pos, "'%.*s' is a macro and takes other arguments; expected %s", (int)node->name.size,
                          node->name.data, form);
        venv_str name = whole_name(c, node, scope, buffer);
        const char *near = venv_cel_env_nearest(c->env, c->arena, name, macros,
                                                venv_cel_macro_names(macros, VENV_COUNT_OF(macros)), true);
        if (near)
            return REFUSE(c, node->pos, "there is no function '%.*s'; did you mean '%s'?", (int)name.size, name.data, near);
    }
    for (uint32_t i = 0; i < node->count; i++) {
        if (!check(c, node->args[i], scope))
            return NULL;
    }
    if (!c->checked) {
        node->error = (venv_str){ "no such function", 16 };
        return dyn;
    }
    return REFUSE(c, node->pos, "there is no function '%.*s'", (int)node->name.size, node->name.data);
}

static const expr_type *check_call(checker *c, ast *node, const check_scope *scope)
{
    const expr_type *args[VENV_EXPR_ARGS_MAX + 1];
    const expr_overload *first = find_function(c, node, scope);
    if (!first)
        return unknown_function(c, node, scope);
    for (uint32_t i = 0; i < node->count; i++) {
        if (!(args[i] = check(c, node->args[i], scope)))
            return NULL;
    }
    const expr_type *result = NULL;
    uint64_t bit = 1;
    bool known = true;
    for (uint32_t i = 0; i < node->count; i++)
        known = known && plain(c, args[i])->kind != T_DYN;
    for (const expr_overload *at = first; at; at = at->next, bit <<= 1) {
        const expr_type *answer = NULL;
        if (result && known && at->variadic && at->args[0]->kind == T_DYN)
            continue; /* `f(dyn...)` is for what the typed overloads leave */
        if (!arity_fits(at, node->count, node->receiver) || !overload_fits(c, at, args, node->count, &answer))
            continue;
        node->candidates |= bit;
        if (!result)
            result = answer;
        else if (!same_type(&c->unifier, result, answer))
            result = dyn;
    }
    node->overloads = first;
    if (!node->candidates) {
        if (c->checked)
            return refuse_call(c, node, first, args, node->count, node->receiver);
        node->error = (venv_str){ "no such overload", 16 };
        return dyn;
    }
    return c->checked ? result : dyn;
}

/* ---- macros ---- */

static check_scope new_local(checker *c, const check_scope *parent, venv_str name, const expr_type *type)
{
    return (check_scope){ parent, name, type, (int32_t)c->local_count++ };
}

/* What the variables of a fold are. */
static bool range_types(checker *c, const ast *node, const expr_type *range, const expr_type **ret_first,
                        const expr_type **ret_second)
{
    range = venv_cel_type_resolve(&c->unifier, range);
    bool two = node->vars[1].size > 0;
    switch (range->kind) {
    case T_LIST:
        *ret_first = two ? &venv_cel_types[T_INT] : range->a;
        *ret_second = range->a;
        return true;
    case T_MAP:
        *ret_first = range->a;
        *ret_second = range->b;
        return true;
    case T_DYN:
    case T_VAR:
        *ret_first = *ret_second = dyn;
        return true;
    default:
        (void)REFUSE(c, node->args[0]->pos, "'%s' goes through a list or a map and found %s",
                     venv_cel_ast_fold_text((ast_fold)node->op), type_text(c, range));
        return false;
    }
}

static const expr_type *fold_result(checker *c, const ast *node, const expr_type *first, const expr_type *body)
{
    switch ((ast_fold)node->op) {
    case FOLD_MAP:
    case FOLD_TRANSFORM_LIST:
        return type_new(c, T_LIST, body, NULL);
    case FOLD_FILTER:
        if (!expect_bool(c, node->args[node->count - 1], body, "the condition of the macro"))
            return NULL;
        return type_new(c, T_LIST, first, NULL);
    case FOLD_SORT_BY:
        return type_new(c, T_LIST, first, NULL);
    case FOLD_TRANSFORM_MAP:
        return type_new(c, T_MAP, first, body);
    case FOLD_TRANSFORM_MAP_ENTRY: {
        const expr_type *entry = venv_cel_type_resolve(&c->unifier, body);
        if (entry->kind == T_MAP || entry->kind == T_DYN || entry->kind == T_VAR)
            return entry->kind == T_MAP ? entry : &venv_cel_types[T_MAP];
        return REFUSE(c, node->args[node->count - 1]->pos, "expected a map with one entry and found %s", type_text(c, entry));
    }
    default:
        return expect_bool(c, node->args[node->count - 1], body, "the condition of the macro") ? &venv_cel_types[T_BOOL] : NULL;
    }
}

static const expr_type *check_fold(checker *c, ast *node, const check_scope *parent)
{
    const expr_type *range = check(c, node->args[0], parent), *first, *second;
    if (!range || !range_types(c, node, range, &first, &second))
        return NULL;
    check_scope outer = new_local(c, parent, node->vars[0], first);
    check_scope inner = new_local(c, &outer, node->vars[1], second);
    const check_scope *scope = node->vars[1].size ? &inner : &outer;
    node->first_local = outer.local;
    const expr_type *body = NULL;
    for (uint32_t i = 1; i < node->count; i++) {
        if (!(body = check(c, node->args[i], scope)))
            return NULL;
        if (i + 1 < node->count && !expect_bool(c, node->args[i], body, "the filter of the macro"))
            return NULL;
    }
    const expr_type *result = fold_result(c, node, first, body);
    if (result && node->op == FOLD_SORT_BY && !has_order(plain(c, body), plain(c, body)))
        return REFUSE(c, node->args[1]->pos, "values of type %s have no order", type_text(c, body));
    return !result || c->checked ? result : dyn;
}

static const expr_type *check_bind(checker *c, ast *node, const check_scope *parent)
{
    const expr_type *type = check(c, node->args[0], parent);
    if (!type)
        return NULL;
    check_scope inner = new_local(c, parent, node->vars[0], type);
    node->first_local = inner.local;
    return check(c, node->args[1], &inner);
}

static const expr_type *check_opt_map(checker *c, ast *node, const check_scope *parent)
{
    const expr_type *type = check(c, node->args[0], parent);
    if (!type)
        return NULL;
    const expr_type *value = venv_cel_type_resolve(&c->unifier, type);
    if (value->kind != T_OPTIONAL && value->kind != T_DYN && value->kind != T_VAR)
        return REFUSE(c, node->args[0]->pos, "'%.*s' needs an optional value and found %s", (int)node->name.size,
                      node->name.data, type_text(c, type));
    check_scope inner = new_local(c, parent, node->vars[0], value->kind == T_OPTIONAL ? value->a : dyn);
    node->first_local = inner.local;
    const expr_type *body = check(c, node->args[1], &inner);
    if (!body || !node->flat)
        return body ? optional_of(c, body) : NULL;
    body = venv_cel_type_resolve(&c->unifier, body);
    if (body->kind != T_OPTIONAL && body->kind != T_DYN && body->kind != T_VAR)
        return REFUSE(c, node->args[1]->pos, "'optFlatMap' needs an optional result and found %s", type_text(c, body));
    return body;
}

static const expr_type *check_block(checker *c, ast *node, const check_scope *parent)
{
    check_scope *scopes = venv_arena_alloc(c->arena, node->count * sizeof *scopes);
    const check_scope *at = parent;
    if (!scopes)
        return out_of_memory(c);
    node->first_local = (int32_t)c->local_count;
    c->local_count += node->count - 1;
    for (uint32_t i = 0; i + 1 < node->count; i++) {
        char name[24];
        const expr_type *type = check(c, node->args[i], at);
        int size = snprintf(name, sizeof name, "@index%u", i);
        char *copy = venv_arena_dup(c->arena, name, (size_t)size);
        if (!copy)
            return out_of_memory(c);
        if (!type)
            return NULL;
        scopes[i] = (check_scope){ at, { copy, (size_t)size }, type, node->first_local + (int32_t)i };
        at = &scopes[i];
    }
    return check(c, node->args[node->count - 1], at);
}

/* ---- the walk ---- */

static const expr_type *constant_type(const venv_value *value)
{
    switch (venv_value_kind(value)) {
    case VENV_BOOL:
        return &venv_cel_types[T_BOOL];
    case VENV_INT:
        return &venv_cel_types[T_INT];
    case VENV_UINT:
        return &venv_cel_types[T_UINT];
    case VENV_DOUBLE:
        return &venv_cel_types[T_DOUBLE];
    case VENV_STRING:
        return &venv_cel_types[T_STRING];
    case VENV_BYTES:
        return &venv_cel_types[T_BYTES];
    default:
        return &venv_cel_types[T_NULL];
    }
}

static const expr_type *check_node(checker *c, ast *node, const check_scope *scope)
{
    switch ((ast_kind)node->kind) {
    case AST_CONST:
        return c->checked ? constant_type(&node->value) : dyn;
    case AST_IDENT:
        return check_ident(c, node, scope);
    case AST_SELECT:
        return check_select(c, node, scope);
    case AST_INDEX:
        return check_index(c, node, scope);
    case AST_CALL:
        return check_call(c, node, scope);
    case AST_OP:
        return check_operator(c, node, scope);
    case AST_AND:
    case AST_OR:
        return check_logic(c, node, scope);
    case AST_COND:
        return check_condition(c, node, scope);
    case AST_LIST:
        return check_list(c, node, scope);
    case AST_MAP:
        return check_map(c, node, scope);
    case AST_STRUCT:
        return check_struct(c, node, scope);
    case AST_FOLD:
        return check_fold(c, node, scope);
    case AST_BIND:
        return check_bind(c, node, scope);
    case AST_OPT_MAP:
        return check_opt_map(c, node, scope);
    case AST_BLOCK:
        return check_block(c, node, scope);
    }
    return NULL;
}

static const expr_type *check(checker *c, ast *node, const check_scope *scope)
{
    const expr_type *type = check_node(c, node, scope);
    if (c->unifier.failed_memory && c->rc == VENV_OK)
        return out_of_memory(c);
    node->type = type;
    return type;
}

/* Every variable is known by now: write the types down. */
static void finish(checker *c, ast *node)
{
    node->type = node->type ? venv_cel_type_final(&c->unifier, node->type) : dyn;
    for (uint32_t i = 0; i < node->count; i++)
        finish(c, node->args[i]);
}

venv_rc venv_cel_check(const expr_source *source, venv_expr_env *env, venv_arena *arena, ast *root,
                   uint32_t *ret_local_count)
{
    checker c = { .source = source, .env = env, .arena = arena, .unifier.arena = arena, .checked = !env->options.check_off };
    if (!check(&c, root, NULL))
        return c.rc;
    finish(&c, root);
    if (c.unifier.failed_memory)
        (void)out_of_memory(&c);
    *ret_local_count = c.local_count;
    return c.rc;
}
