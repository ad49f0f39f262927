/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environments: declarations and the look-up of names.
 */
#include "expr/env.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "base/text.h"
#include "expr/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (16u * 1024u * 1024u)
#define NAME_MAX_SIZE 256u

static bool same_text(venv_str a, venv_str b)
{
    return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}

/* Both kinds of entry begin with their name. */
static venv_str name_of(const void *entry)
{
    return *(const venv_str *)entry;
}

/*
 * FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): the entries are named by the program and not by
 * strangers, so that nobody can choose names that fall together.
 */
static uint32_t place_of(const expr_names *names, venv_str name)
{
    uint32_t at = 2166136261u;
    for (size_t i = 0; i < name.size; i++)
        at = (at ^ (unsigned char)name.data[i]) * 16777619u;
    at = (at ^ at >> 15) & (names->size - 1);
    while (names->places[at] && !same_text(name_of(names->places[at]), name))
        at = (at + 1) & (names->size - 1);
    return at;
}

static const void *names_find(const expr_names *names, venv_str name)
{
    return names->size ? names->places[place_of(names, name)] : NULL;
}

/* Keeps the table at most half full. */
static bool names_add(expr_names *names, const void *entry)
{
    if (names->count * 2 >= names->size) {
        expr_names grown = { .size = names->size ? names->size * 2 : 64, .count = names->count };
        if (!(grown.places = calloc(grown.size, sizeof *grown.places)))
            return false;
        for (uint32_t i = 0; i < names->size; i++) {
            if (names->places[i])
                grown.places[place_of(&grown, name_of(names->places[i]))] = names->places[i];
        }
        free(names->places);
        *names = grown;
    }
    uint32_t at = place_of(names, name_of(entry));
    names->count += !names->places[at];
    names->places[at] = entry;
    return true;
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Identifiers joined by dots. Returns the size of the name at the front of the text, 0 if there is none. */
static size_t name_prefix(const char *text)
{
    size_t size = 0;
    for (;;) {
        if (!is_name_start(text[size]))
            return 0;
        while (is_name_start(text[size]) || (text[size] >= '0' && text[size] <= '9'))
            size++;
        if (text[size] != '.' || size > NAME_MAX_SIZE)
            break;
        size++;
    }
    return size <= NAME_MAX_SIZE ? size : 0;
}

static void fill_limits(venv_expr_limits *limits)
{
    limits->source_size_max = limits->source_size_max ? limits->source_size_max : VENV_EXPR_SOURCE_SIZE_MAX;
    limits->depth_max = limits->depth_max ? limits->depth_max : VENV_EXPR_DEPTH_MAX;
    limits->node_count_max = limits->node_count_max ? limits->node_count_max : VENV_EXPR_NODE_COUNT_MAX;
    limits->cost_max = limits->cost_max ? limits->cost_max : VENV_EXPR_COST_MAX;
    limits->string_size_max = limits->string_size_max ? limits->string_size_max : VENV_EXPR_STRING_SIZE_MAX;
    limits->arena_size_max = limits->arena_size_max ? limits->arena_size_max : VENV_EXPR_ARENA_SIZE_MAX;
}

static venv_rc check_options(const venv_expr_options *options, venv_error *err)
{
    if (options->limits.depth_max > VENV_EXPR_DEPTH_LIMIT_MAX)
        return venv_error_set(err, VENV_ERANGE, "depth_max is %u, at most %u can be offered", options->limits.depth_max,
                              VENV_EXPR_DEPTH_LIMIT_MAX);
    if (options->limits.node_count_max > 1000000u || options->limits.source_size_max > 1u << 24)
        return venv_error_set(err, VENV_ERANGE, "node_count_max or source_size_max is beyond what can be offered");
    if (options->container && *options->container &&
        name_prefix(options->container) != strlen(options->container))
        return venv_error_set(err, VENV_EINVAL, "the container '%.60s' is no qualified name; expected a.b.c",
                              options->container);
    return VENV_OK;
}

venv_rc venv_expr_env_new(const venv_expr_options *options, venv_expr_env **ret_env, venv_error *err)
{
    const venv_expr_options defaults = { 0 };
    options = options ? options : &defaults;
    venv_rc rc = check_options(options, err);
    if (rc != VENV_OK)
        return rc;
    venv_expr_env *env = calloc(1, sizeof *env);
    if (!env)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    atomic_init(&env->refs, 1u);
    env->options = *options;
    fill_limits(&env->options.limits);
    venv_arena_init(&env->arena, ARENA_MAX);
    if (options->container &&
        !(env->options.container = venv_arena_dup(&env->arena, options->container, strlen(options->container))))
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK)
        rc = venv_cel_env_add_standard(env, err);
    if (rc != VENV_OK) {
        (void)venv_expr_env_unref(env);
        return rc;
    }
    env->function_count = 0;
    *ret_env = env;
    return VENV_OK;
}

venv_expr_env *venv_expr_env_ref(venv_expr_env *env)
{
    atomic_fetch_add_explicit(&env->refs, 1u, memory_order_relaxed);
    return env;
}

venv_expr_env *venv_expr_env_unref(venv_expr_env *env)
{
    if (env && atomic_fetch_sub_explicit(&env->refs, 1u, memory_order_acq_rel) == 1u) {
        free(env->by_variable.places);
        free(env->by_function.places);
        free(env->variables);
        venv_arena_fini(&env->arena);
        free(env);
    }
    return NULL;
}

/* venv_cel_type_parse() with a code, also where nobody wants the error. */
static venv_rc parse_type(venv_expr_env *env, venv_str *text, bool params, const expr_type **ret_type, venv_error *err)
{
    venv_error own = { .rc = VENV_OK };
    const expr_type *type = venv_cel_type_parse(&env->arena, text, params, &own);
    if (type) {
        *ret_type = type;
        return VENV_OK;
    }
    if (err)
        *err = own;
    return own.rc;
}

static bool grow_variables(venv_expr_env *env)
{
    if (env->variable_count < env->variable_capacity)
        return true;
    uint32_t capacity = env->variable_capacity ? env->variable_capacity * 2 : 16;
    expr_variable **grown = realloc(env->variables, capacity * sizeof *grown);
    if (!grown)
        return false;
    env->variables = grown;
    env->variable_capacity = capacity;
    return true;
}

venv_rc venv_expr_env_variable(venv_expr_env *env, const char *name, const char *type, uint32_t *ret_slot,
                               venv_error *err)
{
    venv_str key = { name, strlen(name) }, text = { type, strlen(type) };
    if (!key.size || name_prefix(name) != key.size)
        return venv_error_set(err, VENV_EINVAL, "'%.60s' is no name of a variable; expected letters, digits and _, joined by dots",
                              name);
    if (names_find(&env->by_variable, key))
        return venv_error_set(err, VENV_EEXIST, "the variable '%s' is declared already", name);
    if (env->variable_count >= VENV_EXPR_VARIABLES_MAX)
        return venv_error_set(err, VENV_ELIMIT, "more than %u variables", VENV_EXPR_VARIABLES_MAX);
    const expr_type *parsed = NULL;
    venv_rc rc = parse_type(env, &text, false, &parsed, err);
    if (rc != VENV_OK) {
        (void)venv_error_prefix(err, "type '%.60s' of variable '%s'", type, name);
        return rc;
    }
    if (text.size)
        return venv_error_set(err, VENV_EINVAL, "'%.*s' follows the type of variable '%s'; expected nothing",
                              (int)(text.size > 40 ? 40 : text.size), text.data, name);
    expr_variable *variable = venv_arena_alloc(&env->arena, sizeof *variable);
    char *copy = venv_arena_dup(&env->arena, name, key.size);
    if (!variable || !copy || !grow_variables(env))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    *variable = (expr_variable){ { copy, key.size }, parsed, env->variable_count };
    if (!names_add(&env->by_variable, variable))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (ret_slot)
        *ret_slot = env->variable_count;
    env->variables[env->variable_count++] = variable;
    return VENV_OK;
}

uint32_t venv_expr_env_slot_count(const venv_expr_env *env)
{
    return env->variable_count;
}

int64_t venv_cel_env_find_variable(const venv_expr_env *env, venv_str name, const expr_type **ret_type)
{
    const expr_variable *variable = names_find(&env->by_variable, name);
    if (!variable)
        return -1;
    *ret_type = variable->type;
    return variable->slot;
}

int64_t venv_expr_env_slot(const venv_expr_env *env, const char *name)
{
    const expr_type *type;
    return venv_cel_env_find_variable(env, (venv_str){ name, strlen(name) }, &type);
}

const expr_overload *venv_cel_env_find_function(const venv_expr_env *env, venv_str name)
{
    return names_find(&env->by_function, name);
}

uint32_t venv_cel_mask_of_type(const expr_type *type)
{
    switch ((expr_type_kind)type->kind) {
    case T_NULL:
        return 1u << VENV_NULL;
    case T_BOOL:
        return 1u << VENV_BOOL;
    case T_INT:
        return 1u << VENV_INT;
    case T_UINT:
        return 1u << VENV_UINT;
    case T_DOUBLE:
        return 1u << VENV_DOUBLE;
    case T_STRING:
        return 1u << VENV_STRING;
    case T_BYTES:
        return 1u << VENV_BYTES;
    case T_TIMESTAMP:
        return 1u << VENV_TIMESTAMP;
    case T_DURATION:
        return 1u << VENV_DURATION;
    case T_IP:
        return X_MASK_IP;
    case T_CIDR:
        return X_MASK_CIDR;
    case T_TYPE:
        return 1u << VENV_TYPE;
    case T_LIST:
        return 1u << VENV_LIST;
    case T_MAP:
        return 1u << VENV_MAP;
    case T_OPTIONAL:
        return X_MASK_OPTIONAL;
    case T_WRAPPER:
        return venv_cel_mask_of_type(type->a) | 1u << VENV_NULL;
    default:
        return UINT32_MAX;
    }
}

/* ---- signatures ---- */

static void skip_space(venv_str *text)
{
    while (text->size && *text->data == ' ') {
        text->data++;
        text->size--;
    }
}

static bool take(venv_str *text, const char *wanted)
{
    skip_space(text);
    size_t size = strlen(wanted);
    if (text->size < size || memcmp(text->data, wanted, size) != 0)
        return false;
    text->data += size;
    text->size -= size;
    return true;
}

/* Space for arguments while a signature is read. */
typedef struct signature {
    const expr_type *args[VENV_EXPR_ARGS_MAX];
    unsigned count;
} signature;

/* Where the bracket that opens at a place closes; the end of the text if it does not. */
static size_t closing(venv_str text, size_t open)
{
    size_t depth = 0, at = open;
    for (; at < text.size; at++) {
        depth += text.data[at] == '(';
        depth -= text.data[at] == ')';
        if (!depth)
            break;
    }
    return at;
}

/*
 * `name(` or `type.name(`. The part before the last dot is a receiver if it is a type and no word
 * that functions use as a namespace; the receiver is then the first argument.
 */
static venv_rc parse_name(venv_expr_env *env, venv_str *text, signature *sig, venv_str *ret_name, bool *ret_receiver,
                          venv_error *err)
{
    size_t paren = 0, dot = SIZE_MAX;
    for (; paren < text->size; paren++) {
        char c = text->data[paren];
        if (c == '.')
            dot = paren;
        if (c != '(')
            continue;
        size_t close = closing(*text, paren);
        if (close + 1 >= text->size || text->data[close + 1] != '.')
            break; /* the arguments; a bracket before a dot belongs to the receiver's type */
        paren = close;
    }
    if (paren == text->size)
        return venv_error_set(err, VENV_EINVAL, "expected name(types) -> type");
    static const char *const namespaces[] = { "ip", "cidr", "type" };
    bool receiver = false;
    if (dot != SIZE_MAX) {
        venv_str front = { text->data, dot }, rest = front;
        bool space = false;
        for (size_t i = 0; i < VENV_COUNT_OF(namespaces); i++)
            space |= same_text(front, (venv_str){ namespaces[i], strlen(namespaces[i]) });
        const expr_type *type = NULL;
        venv_rc rc = space ? VENV_EINVAL : parse_type(env, &rest, true, &type, NULL);
        if (rc == VENV_ENOMEM)
            return venv_error_set(err, rc, "out of memory");
        if (type && !rest.size) {
            receiver = true;
            sig->args[sig->count++] = type;
            text->data += dot + 1;
            text->size -= dot + 1;
            paren -= dot + 1;
        }
    }
    *ret_name = (venv_str){ text->data, paren };
    *ret_receiver = receiver;
    char name[NAME_MAX_SIZE + 1];
    if (paren > NAME_MAX_SIZE)
        return venv_error_set(err, VENV_EINVAL, "the name of the function is too long");
    memcpy(name, text->data, paren);
    name[paren] = '\0';
    if (!paren || name_prefix(name) != paren)
        return venv_error_set(err, VENV_EINVAL, "'%.60s' is no name of a function", name);
    text->data += paren + 1;
    text->size -= paren + 1;
    return VENV_OK;
}

static venv_rc parse_signature(venv_expr_env *env, const char *whole, expr_overload *overload, venv_error *err)
{
    venv_str text = { whole, strlen(whole) };
    signature sig = { .count = 0 };
    skip_space(&text);
    venv_rc rc = parse_name(env, &text, &sig, &overload->name, &overload->receiver, err);
    if (rc != VENV_OK)
        return rc;
    if (!take(&text, ")")) {
        do {
            if (sig.count == VENV_EXPR_ARGS_MAX)
                return venv_error_set(err, VENV_EINVAL, "more than %u arguments", VENV_EXPR_ARGS_MAX);
            if ((rc = parse_type(env, &text, true, &sig.args[sig.count++], err)) != VENV_OK)
                return rc;
        } while (take(&text, ","));
        overload->variadic = take(&text, "...");
        if (!take(&text, ")"))
            return venv_error_set(err, VENV_EINVAL, "expected ',' or ')' at '%.20s'", text.data);
    }
    if (!take(&text, "->"))
        return venv_error_set(err, VENV_EINVAL, "expected '->' and the type of the answer at '%.20s'", text.data);
    if ((rc = parse_type(env, &text, true, &overload->result, err)) != VENV_OK)
        return rc;
    skip_space(&text);
    if (text.size)
        return venv_error_set(err, VENV_EINVAL, "'%.20s' follows the signature", text.data);
    overload->arg_count = (uint8_t)sig.count;
    overload->args = venv_arena_alloc(&env->arena, (sig.count + 1) * sizeof *overload->args);
    overload->masks = venv_arena_alloc(&env->arena, (sig.count + 1) * sizeof *overload->masks);
    if (!overload->args || !overload->masks)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (unsigned i = 0; i < sig.count; i++) {
        overload->args[i] = sig.args[i];
        overload->masks[i] = venv_cel_mask_of_type(sig.args[i]);
    }
    overload->result_mask = venv_cel_mask_of_type(overload->result);
    return VENV_OK;
}

/* Could one call mean either? */
static bool overlaps(const expr_overload *a, const expr_overload *b)
{
    if (a->receiver != b->receiver || a->arg_count != b->arg_count)
        return false;
    for (unsigned i = 0; i < a->arg_count; i++) {
        if (!(a->masks[i] & b->masks[i]))
            return false;
    }
    return true;
}

venv_rc venv_cel_env_add(venv_expr_env *env, const char *signature_text, uint64_t cost, expr_builtin_fn builtin,
                     venv_expr_call_fn call, void *user, venv_error *err)
{
    expr_overload *overload = venv_arena_alloc(&env->arena, sizeof *overload);
    /* Standard signatures are literals. */
    const char *copy = builtin ? signature_text : venv_arena_dup(&env->arena, signature_text, strlen(signature_text));
    if (!overload || !copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    overload->signature = copy;
    overload->cost = cost;
    overload->builtin = builtin;
    overload->call = call;
    overload->user = user;
    venv_rc rc = parse_signature(env, copy, overload, err);
    if (rc != VENV_OK) {
        (void)venv_error_prefix(err, "function '%.80s'", copy);
        return rc;
    }
    expr_overload *first = (expr_overload *)(uintptr_t)venv_cel_env_find_function(env, overload->name);
    if (!first)
        return names_add(&env->by_function, overload) ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    unsigned count = 1;
    expr_overload *last = first;
    for (;; last = last->next, count++) {
        if (!builtin && overlaps(last, overload))
            return venv_error_set(err, VENV_EEXIST, "function '%.80s' clashes with '%.80s'", copy, last->signature);
        if (!last->next)
            break;
    }
    if (count >= EXPR_OVERLOADS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "more than %u overloads of one function", EXPR_OVERLOADS_MAX);
    last->next = overload;
    return VENV_OK;
}

venv_rc venv_expr_env_function(venv_expr_env *env, const char *signature_text, uint64_t cost, venv_expr_call_fn call,
                               void *user, venv_error *err)
{
    if (env->function_count >= VENV_EXPR_FUNCTIONS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "more than %u functions", VENV_EXPR_FUNCTIONS_MAX);
    venv_rc rc = venv_cel_env_add(env, signature_text, cost, NULL, call, user, err);
    env->function_count += rc == VENV_OK;
    return rc;
}

bool venv_cel_type_by_name(venv_str name, const char **ret_name)
{
    for (unsigned kind = T_NULL; kind < T_WRAPPER; kind++) {
        const char *text = venv_cel_type_name((expr_type_kind)kind);
        if (same_text(name, (venv_str){ text, strlen(text) })) {
            *ret_name = text;
            return true;
        }
    }
    return false;
}

const char *venv_cel_env_nearest(const venv_expr_env *env, venv_arena *arena, venv_str name, const venv_str *locals,
                             size_t local_count, bool functions)
{
    const expr_names *names = functions ? &env->by_function : &env->by_variable;
    const char **words = venv_arena_alloc(arena, (names->count + local_count + 1) * sizeof *words);
    size_t count = 0;
    if (!words)
        return NULL;
    for (uint32_t i = 0; i < names->size; i++) {
        if (names->places[i]) {
            venv_str text = name_of(names->places[i]);
            if ((words[count] = venv_arena_dup(arena, text.data, text.size)))
                count++;
        }
    }
    for (size_t i = 0; i < local_count; i++) {
        if (locals[i].size && *locals[i].data != '@' &&
            (words[count] = venv_arena_dup(arena, locals[i].data, locals[i].size)))
            count++;
    }
    return venv_text_nearest(name, words);
}
