/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types: text, unification. The rules are those of cel-spec's language definition ("gradual typing"):
 * dyn goes with everything, null goes with wrappers, a list of unlike things is a list(dyn).
 */
#include "expr/type.h"

#include "base/cleanup.h"

#include <string.h>

const expr_type venv_cel_types[T_COUNT] = {
    [T_DYN] = { .kind = T_DYN },
    [T_NULL] = { .kind = T_NULL },
    [T_BOOL] = { .kind = T_BOOL },
    [T_INT] = { .kind = T_INT },
    [T_UINT] = { .kind = T_UINT },
    [T_DOUBLE] = { .kind = T_DOUBLE },
    [T_STRING] = { .kind = T_STRING },
    [T_BYTES] = { .kind = T_BYTES },
    [T_TIMESTAMP] = { .kind = T_TIMESTAMP },
    [T_DURATION] = { .kind = T_DURATION },
    [T_IP] = { .kind = T_IP },
    [T_CIDR] = { .kind = T_CIDR },
    [T_TYPE] = { .kind = T_TYPE },
    [T_LIST] = { .kind = T_LIST, .a = &venv_cel_types[T_DYN] },
    [T_MAP] = { .kind = T_MAP, .a = &venv_cel_types[T_DYN], .b = &venv_cel_types[T_DYN] },
    [T_OPTIONAL] = { .kind = T_OPTIONAL, .a = &venv_cel_types[T_DYN] },
    [T_WRAPPER] = { .kind = T_WRAPPER, .a = &venv_cel_types[T_DYN] },
    [T_PARAM] = { .kind = T_PARAM },
    [T_VAR] = { .kind = T_VAR },
};

static const char *const names[T_COUNT] = {
    [T_DYN] = "dyn",
    [T_NULL] = "null_type",
    [T_BOOL] = "bool",
    [T_INT] = "int",
    [T_UINT] = "uint",
    [T_DOUBLE] = "double",
    [T_STRING] = "string",
    [T_BYTES] = "bytes",
    [T_TIMESTAMP] = "google.protobuf.Timestamp",
    [T_DURATION] = "google.protobuf.Duration",
    [T_IP] = "net.IP",
    [T_CIDR] = "net.CIDR",
    [T_TYPE] = "type",
    [T_LIST] = "list",
    [T_MAP] = "map",
    [T_OPTIONAL] = "optional_type",
    [T_WRAPPER] = "wrapper",
    [T_PARAM] = "dyn",
    [T_VAR] = "dyn",
};

static const struct {
    const char *name;
    expr_type_kind kind;
} aliases[] = {
    { "timestamp", T_TIMESTAMP }, { "duration", T_DURATION }, { "ip", T_IP },
    { "cidr", T_CIDR },           { "null", T_NULL },         { "any", T_DYN },
    { "google.protobuf.Any", T_DYN }, { "google.protobuf.Value", T_DYN },
};

const char *venv_cel_type_name(expr_type_kind kind)
{
    return names[kind];
}

const expr_type *venv_cel_type_new(venv_arena *arena, expr_type_kind kind, const expr_type *a, const expr_type *b)
{
    unsigned depth = a ? a->depth + 1u : 0u;
    if (b && b->depth >= depth)
        depth = b->depth + 1u;
    if (depth > EXPR_TYPE_DEPTH_KEPT)
        return &venv_cel_types[T_DYN];
    expr_type *type = venv_arena_alloc(arena, sizeof *type);
    if (type)
        *type = (expr_type){ .kind = (uint8_t)kind, .depth = (uint8_t)depth, .a = a, .b = b };
    return type;
}

static void skip_space(venv_str *text)
{
    while (text->size && *text->data == ' ') {
        text->data++;
        text->size--;
    }
}

static bool take_char(venv_str *text, char wanted)
{
    skip_space(text);
    if (!text->size || *text->data != wanted)
        return false;
    text->data++;
    text->size--;
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static bool word_is(venv_str word, const char *text)
{
    return word.size == strlen(text) && !memcmp(word.data, text, word.size);
}

static bool find_kind(venv_str word, expr_type_kind *ret_kind)
{
    for (unsigned kind = 0; kind < T_PARAM; kind++) {
        if (word_is(word, names[kind])) {
            *ret_kind = (expr_type_kind)kind;
            return true;
        }
    }
    for (size_t i = 0; i < VENV_COUNT_OF(aliases); i++) {
        if (word_is(word, aliases[i].name)) {
            *ret_kind = aliases[i].kind;
            return true;
        }
    }
    return false;
}

static const expr_type *parse_at(venv_arena *arena, venv_str *text, bool params, unsigned depth, venv_error *err);

static const expr_type *parse_parts(venv_arena *arena, venv_str *text, expr_type_kind kind, bool params,
                                    unsigned depth, venv_error *err)
{
    const expr_type *a = NULL, *b = NULL;
    if (!take_char(text, '('))
        return &venv_cel_types[kind];
    if (!(a = parse_at(arena, text, params, depth + 1, err)))
        return NULL;
    if (kind == T_MAP) {
        if (!take_char(text, ',')) {
            (void)venv_error_set(err, VENV_EINVAL, "expected ',' and the type of the values: map(KEY, VALUE)");
            return NULL;
        }
        if (!(b = parse_at(arena, text, params, depth + 1, err)))
            return NULL;
    }
    if (!take_char(text, ')')) {
        (void)venv_error_set(err, VENV_EINVAL, "expected ')' after the type of the %s's parts", names[kind]);
        return NULL;
    }
    if (kind == T_TYPE)
        return &venv_cel_types[T_TYPE];
    const expr_type *type = venv_cel_type_new(arena, kind, a, b);
    if (!type)
        (void)venv_error_set(err, VENV_ENOMEM, "out of memory");
    return type;
}

static const expr_type *parse_at(venv_arena *arena, venv_str *text, bool params, unsigned depth, venv_error *err)
{
    skip_space(text);
    venv_str word = { text->data, 0 };
    while (word.size < text->size && is_word(word.data[word.size]))
        word.size++;
    while (word.size && word.data[word.size - 1] == '.') /* the dots of `int...` are not its own */
        word.size--;
    if (depth > EXPR_TYPE_DEPTH_MAX) {
        (void)venv_error_set(err, VENV_EINVAL, "a type nests deeper than %d levels", EXPR_TYPE_DEPTH_MAX);
        return NULL;
    }
    text->data += word.size;
    text->size -= word.size;
    if (params && word.size == 1 && *word.data >= 'A' && *word.data <= 'Z') {
        expr_type *param = venv_arena_alloc(arena, sizeof *param);
        if (!param) {
            (void)venv_error_set(err, VENV_ENOMEM, "out of memory");
            return NULL;
        }
        *param = (expr_type){ .kind = T_PARAM, .id = (uint32_t)(*word.data - 'A') };
        return param;
    }
    expr_type_kind kind;
    if (!find_kind(word, &kind)) {
        (void)venv_error_set(err, VENV_EINVAL,
                             "'%.*s' is no type; expected int, uint, double, bool, string, bytes, timestamp, "
                             "duration, dyn, list(T), map(K, V), optional_type(T), ip or cidr",
                             (int)(word.size > 40 ? 40 : word.size), word.data);
        return NULL;
    }
    if (kind == T_LIST || kind == T_MAP || kind == T_OPTIONAL || kind == T_WRAPPER || kind == T_TYPE)
        return parse_parts(arena, text, kind, params, depth, err);
    return &venv_cel_types[kind];
}

const expr_type *venv_cel_type_parse(venv_arena *arena, venv_str *text, bool params, venv_error *err)
{
    return parse_at(arena, text, params, 0, err);
}

void venv_cel_type_print(const expr_type *type, venv_buf *buf)
{
    venv_buf_append_text(buf, names[type->kind]);
    if ((type->kind == T_LIST || type->kind == T_MAP || type->kind == T_OPTIONAL || type->kind == T_WRAPPER) &&
        type->a) {
        venv_buf_append_text(buf, "(");
        venv_cel_type_print(type->a, buf);
        if (type->b) {
            venv_buf_append_text(buf, ",");
            venv_cel_type_print(type->b, buf);
        }
        venv_buf_append_text(buf, ")");
    }
}

const expr_type *venv_cel_type_fresh(expr_unifier *unifier)
{
    if (unifier->count == unifier->capacity) {
        uint32_t capacity = unifier->capacity ? unifier->capacity * 2 : 32;
        const expr_type **bound = venv_arena_alloc(unifier->arena, capacity * sizeof *bound);
        uint32_t *trail = venv_arena_alloc(unifier->arena, capacity * sizeof *trail);
        if (!bound || !trail) {
            unifier->failed_memory = true;
            return &venv_cel_types[T_DYN];
        }
        if (unifier->count) {
            memcpy(bound, unifier->bound, unifier->count * sizeof *bound);
            memcpy(trail, unifier->trail, unifier->count * sizeof *trail);
        }
        unifier->bound = bound;
        unifier->trail = trail;
        unifier->capacity = capacity;
    }
    expr_type *fresh = venv_arena_alloc(unifier->arena, sizeof *fresh);
    if (!fresh) {
        unifier->failed_memory = true;
        return &venv_cel_types[T_DYN];
    }
    *fresh = (expr_type){ .kind = T_VAR, .id = unifier->count };
    unifier->bound[unifier->count++] = NULL;
    return fresh;
}

const expr_type *venv_cel_type_resolve(const expr_unifier *unifier, const expr_type *type)
{
    while (type->kind == T_VAR && unifier->bound[type->id])
        type = unifier->bound[type->id];
    return type;
}

const expr_type *venv_cel_type_final(expr_unifier *unifier, const expr_type *type)
{
    type = venv_cel_type_resolve(unifier, type);
    if (type->kind == T_VAR)
        return &venv_cel_types[T_DYN];
    if (!type->a)
        return type;
    const expr_type *a = venv_cel_type_final(unifier, type->a);
    const expr_type *b = type->b ? venv_cel_type_final(unifier, type->b) : NULL;
    if (a == type->a && b == type->b)
        return type;
    const expr_type *final = venv_cel_type_new(unifier->arena, (expr_type_kind)type->kind, a, b);
    if (!final)
        unifier->failed_memory = true;
    return final ? final : &venv_cel_types[T_DYN];
}

static bool occurs(const expr_unifier *unifier, uint32_t id, const expr_type *type)
{
    type = venv_cel_type_resolve(unifier, type);
    if (type->kind == T_VAR)
        return type->id == id;
    return (type->a && occurs(unifier, id, type->a)) || (type->b && occurs(unifier, id, type->b));
}

static bool bind_var(expr_unifier *unifier, const expr_type *var, const expr_type *to)
{
    if (to->kind == T_VAR && to->id == var->id)
        return true;
    if (occurs(unifier, var->id, to))
        return false;
    unifier->bound[var->id] = to;
    unifier->trail[unifier->trail_count++] = var->id;
    return true;
}

static bool takes_null(const expr_type *type)
{
    return type->kind == T_WRAPPER || type->kind == T_TIMESTAMP || type->kind == T_DURATION ||
           type->kind == T_OPTIONAL || type->kind == T_NULL;
}

static bool assign_at(expr_unifier *unifier, const expr_type *from, const expr_type *to)
{
    from = venv_cel_type_resolve(unifier, from);
    to = venv_cel_type_resolve(unifier, to);
    if (from->kind == T_VAR)
        return bind_var(unifier, from, to);
    if (to->kind == T_VAR)
        return bind_var(unifier, to, from);
    if (from->kind == T_DYN || to->kind == T_DYN)
        return true;
    if (from->kind == T_NULL || to->kind == T_NULL)
        return from->kind == T_NULL ? takes_null(to) : takes_null(from);
    if (from->kind == T_WRAPPER && to->kind != T_WRAPPER)
        return assign_at(unifier, from->a, to);
    if (to->kind == T_WRAPPER && from->kind != T_WRAPPER)
        return assign_at(unifier, from, to->a);
    if (from->kind != to->kind)
        return false;
    if (from->a && to->a && !assign_at(unifier, from->a, to->a))
        return false;
    return !from->b || !to->b || assign_at(unifier, from->b, to->b);
}

bool venv_cel_type_assign(expr_unifier *unifier, const expr_type *from, const expr_type *to)
{
    uint32_t mark = unifier->trail_count;
    if (assign_at(unifier, from, to))
        return true;
    while (unifier->trail_count > mark)
        unifier->bound[unifier->trail[--unifier->trail_count]] = NULL;
    return false;
}

/* Is `a` at least as general as `b`, so that it may stand for both? */
static bool is_more_general(const expr_unifier *unifier, const expr_type *a, const expr_type *b)
{
    a = venv_cel_type_resolve(unifier, a);
    b = venv_cel_type_resolve(unifier, b);
    if (a->kind == T_DYN || a->kind == T_VAR)
        return true;
    if (b->kind == T_NULL || (a->kind == T_WRAPPER && b->kind != T_WRAPPER && b->kind != T_DYN))
        return true;
    if (a->kind != b->kind)
        return false;
    if (a->a && b->a && !is_more_general(unifier, a->a, b->a))
        return false;
    return !a->b || !b->b || is_more_general(unifier, a->b, b->b);
}

const expr_type *venv_cel_type_join(expr_unifier *unifier, const expr_type *a, const expr_type *b)
{
    if (!venv_cel_type_assign(unifier, b, a))
        return &venv_cel_types[T_DYN];
    return is_more_general(unifier, a, b) ? a : b;
}
