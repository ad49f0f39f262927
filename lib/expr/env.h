/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_ENV_H
#define VENV_EXPR_ENV_H

/* What expressions are compiled against: variables, overloads of functions, limits. */

#include "expr/ast.h"
#include "expr/type.h"

#include <stdatomic.h>

struct xnode;

/*
 * A standard function. The kinds of the arguments have been held against the signature, so it looks
 * only at what the signature leaves open. Returns X_OK, X_ERR, X_FATAL (expr/program.h).
 */
typedef int (*expr_builtin_fn)(struct venv_expr_context *context, const struct xnode *node, const venv_value *args,
                               uint32_t count, venv_value *out);

/* Overloads of one name that can be told apart in a program. */
#define EXPR_OVERLOADS_MAX 64u

typedef struct expr_overload {
    venv_str name;
    const char *signature;
    bool receiver;
    bool variadic; /* `name(T...)`: one argument or more, all like args[0] */
    uint8_t arg_count;
    const expr_type **args;
    uint32_t *masks; /* kinds that each argument may have when it runs */
    const expr_type *result;
    uint32_t result_mask;
    uint64_t cost;
    expr_builtin_fn builtin; /* NULL for functions that were added */
    venv_expr_call_fn call;
    void *user;
    struct expr_overload *next; /* with the same name */
} expr_overload;

typedef struct expr_variable {
    venv_str name;
    const expr_type *type;
    uint32_t slot;
} expr_variable;

/* Open addressing; the key is the name at the front of what a place points to. */
typedef struct expr_names {
    const void **places;
    uint32_t size, count;
} expr_names;

struct venv_expr_env {
    atomic_uint refs;
    venv_expr_options options; /* the container is copied; limits are filled in */
    venv_arena arena;
    expr_variable **variables; /* by slot */
    uint32_t variable_count, variable_capacity;
    uint32_t function_count; /* overloads that were added */
    expr_names by_variable;  /* expr_variable */
    expr_names by_function;  /* expr_overload, the first of its name */
};

/* The slot, -1 if there is none. */
int64_t venv_cel_env_find_variable(const venv_expr_env *env, venv_str name, const expr_type **ret_type);
const expr_overload *venv_cel_env_find_function(const venv_expr_env *env, venv_str name);

/* Add one overload; builtin or call. */
venv_rc venv_cel_env_add(venv_expr_env *env, const char *signature, uint64_t cost, expr_builtin_fn builtin,
                     venv_expr_call_fn call, void *user, venv_error *err);

/* The standard functions. */
venv_rc venv_cel_env_add_standard(venv_expr_env *env, venv_error *err);

/* Which kinds a value of a type can have: bits as venv_cel_mask_of() gives them. */
uint32_t venv_cel_mask_of_type(const expr_type *type);

/* The known name nearest to a misspelt one, NULL if none is near. `locals` may be NULL. */
const char *venv_cel_env_nearest(const venv_expr_env *env, venv_arena *arena, venv_str name, const venv_str *locals,
                             size_t local_count, bool functions);

/* A name that is a type: `int`, `net.IP`. */
bool venv_cel_type_by_name(venv_str name, const char **ret_name);

#endif
