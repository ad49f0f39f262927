/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_TYPE_H
#define VENV_EXPR_TYPE_H

/*
 * Static types: what the checker knows of a value before it exists. Types are immutable trees in an
 * arena; the ones without parts are the constants venv_cel_types[].
 */

#include "base/arena.h"
#include "base/buf.h"

typedef enum expr_type_kind {
    T_DYN = 0,
    T_NULL,
    T_BOOL,
    T_INT,
    T_UINT,
    T_DOUBLE,
    T_STRING,
    T_BYTES,
    T_TIMESTAMP,
    T_DURATION,
    T_IP,
    T_CIDR,
    T_TYPE,
    T_LIST,     /* a */
    T_MAP,      /* a -> b */
    T_OPTIONAL, /* a */
    T_WRAPPER,  /* a, or null */
    T_PARAM,    /* `T` of a signature; id is the letter */
    T_VAR,      /* a type to be found out; id numbers it */
    T_COUNT
} expr_type_kind;

typedef struct expr_type {
    uint8_t kind;
    uint8_t depth; /* at most EXPR_TYPE_DEPTH_KEPT: what is deeper is dyn */
    uint32_t id;
    const struct expr_type *a;
    const struct expr_type *b;
} expr_type;

extern const expr_type venv_cel_types[T_COUNT];

/* Types nest at most this deep in a declaration. */
#define EXPR_TYPE_DEPTH_MAX 16
#define EXPR_TYPE_DEPTH_KEPT 64

/* NULL when out of memory. */
const expr_type *venv_cel_type_new(venv_arena *arena, expr_type_kind kind, const expr_type *a, const expr_type *b);

/*
 * Read a type at the front of `*text`, which is advanced behind it. With `params`, single capital
 * letters are T_PARAM. Returns NULL with `err` set.
 */
const expr_type *venv_cel_type_parse(venv_arena *arena, venv_str *text, bool params, venv_error *err);

/* "map(string,int)": as the conformance suite writes it. Unknown types print as dyn. */
void venv_cel_type_print(const expr_type *type, venv_buf *buf);

/* CEL's name of the type without its parameters: "int", "list", "net.IP". */
const char *venv_cel_type_name(expr_type_kind kind);

/* The substitution that unification builds. */
typedef struct expr_unifier {
    venv_arena *arena;
    const expr_type **bound; /* by id of the variable */
    uint32_t count, capacity;
    uint32_t *trail; /* ids in the order of binding, so that a failed attempt can be undone */
    uint32_t trail_count;
    bool failed_memory;
} expr_unifier;

const expr_type *venv_cel_type_fresh(expr_unifier *unifier);
/* What a type is known to be by now, at its top. */
const expr_type *venv_cel_type_resolve(const expr_unifier *unifier, const expr_type *type);
/* The same all the way down; what stays unknown is dyn. */
const expr_type *venv_cel_type_final(expr_unifier *unifier, const expr_type *type);
/* May a `from` stand where a `to` is wanted? Binds variables; undone if not. */
bool venv_cel_type_assign(expr_unifier *unifier, const expr_type *from, const expr_type *to);
/* The type of a list that holds both. */
const expr_type *venv_cel_type_join(expr_unifier *unifier, const expr_type *a, const expr_type *b);

#endif
