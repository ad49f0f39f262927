/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_PROGRAM_H
#define VENV_EXPR_PROGRAM_H

/*
 * A program is the syntax tree once more, as what is executed: each node holds the functions that
 * run it, chosen when it was compiled (a comparison of a slot with a constant int is another function than
 * that of two computed values). Nodes are immutable; what changes while they run is in the context.
 */

#include "base/arena.h"
#include "expr/ast.h"
#include "expr/env.h"
#include "value/object.h"

#include <stdalign.h>

#include <venv/expr.h>

/* How running a node ends. A test answers 0 or 1 where it has a truth value. */
enum {
    X_OK = 0,
    X_TRUE = 1,
    X_ERR = 2,   /* context->error says what; && and its like may absorb it */
    X_UNK = 3,   /* context->missing says what was unknown */
    X_FATAL = 4, /* a limit: nothing absorbs it */
};

/* Kinds as bits, for the choice of overloads. */
#define X_MASK_OPTIONAL (1u << 16)
#define X_MASK_IP       (1u << 17)
#define X_MASK_CIDR     (1u << 18)

typedef struct venv_expr_context xctx;
typedef struct xnode xnode;

typedef int (*xeval_fn)(xctx *context, const xnode *node, venv_value *out);
typedef int (*xtest_fn)(xctx *context, const xnode *node);

struct xnode {
    xeval_fn eval;
    xtest_fn test;
    const xnode *const *args;
    uint32_t count;
    uint32_t pos;
    uint8_t kind; /* ast_kind */
    uint8_t op;   /* ast_op or ast_fold */
    uint8_t mask; /* comparisons: bit 0 less, 1 equal, 2 greater, 3 unordered */
    bool flag;    /* optional access, has(), flat */
    uint32_t site; /* of a cached place in a map: context->sites[site] */
    uint32_t cost; /* nodes of this subtree that run once when it runs */
    uint8_t leaf;  /* 1 + FAST_OP() where expr/fast.h knows the node, otherwise 0 */
    union {
        venv_value value; /* constant; key of a selection */
        struct {
            int64_t slot;      /* of a variable; -1: the base is a local */
            uint32_t local;
            uint32_t read;     /* in expr->reads; UINT32_MAX for locals */
            uint32_t key_count;
            const venv_value *keys;
            venv_value name; /* of the variable, for a map of variables */
        } attr;
        struct {
            venv_value value;  /* comparisons with a constant */
            uint32_t index;    /* of the slot or the local */
            const venv_value *key; /* of the field of the local */
        } cmp;
        struct {
            const expr_overload *overloads;
            uint64_t candidates;
            uint32_t read;
            const struct expr_regex *regex; /* matches() with a constant pattern */
            const struct expr_zone *zone;   /* getHours() and its like with a constant zone */
        } call;
        struct {
            uint32_t local;      /* first of its variables */
            uint8_t var_count;
            uint32_t round_cost; /* of its bodies, with 1 for the round */
            const xnode *filter; /* or NULL */
            const xnode *body;
            const struct fast_program *fast; /* the body, if it is that simple */
        } fold;
        struct {
            uint32_t local; /* a lazy part: which, and what computes it */
            const xnode *init;
        } lazy;
        const uint8_t *marks;
        const char *text; /* known error */
        uint32_t watch;   /* a watched node: which; args[0] is what it watches */
    } u;
};

struct venv_expr {
    atomic_uint refs;
    venv_expr_env *env;
    venv_arena arena;
    char *source;
    uint32_t source_size;
    const xnode *root;
    const struct fast_program *fast; /* the root, if it is that simple */
    const ast *tree;
    const char *type_text;
    uint32_t type_mask;
    uint32_t local_count;
    uint32_t site_count;
    const venv_expr_read *reads;
    uint32_t read_count;
    struct expr_regex *regexes; /* a list; released with the program */
    struct expr_zone **zones;   /* likewise */
    uint32_t zone_count;
};

/* What went wrong, cheap to make: most errors are absorbed. The text is put together at the end. */
typedef struct xerror {
    venv_rc rc;
    uint32_t pos;
    const char *what;  /* a literal, or the message of an added function in the arena */
    venv_str detail;   /* shown behind it; empty for none */
} xerror;

/* Units for a pattern and for a time zone that are known only when the program runs. */
#define EXPR_REGEX_COST      200u
#define EXPR_REGEX_BYTE_COST 20u
#define EXPR_ZONE_COST       500u

#define X_ZONES_KEPT 4u
#define X_REGEXES_KEPT 4u

typedef struct xblock {
    struct xblock *next;
    size_t size;
    alignas(16) unsigned char data[];
} xblock;

typedef struct xlazy {
    int status; /* -1: not computed yet */
    xerror error;
    uint32_t *missing;
    uint32_t missing_count;
} xlazy;

/* The list of what is missing, and for each read of the program its place in the list, if that is there. */
typedef struct xmissing {
    uint32_t read;
    uint32_t place; /* of the read with the number of this element */
} xmissing;

struct venv_expr_context {
    const venv_value *slots;
    size_t slot_count;
    venv_value *locals;
    uint32_t *sites;
    uint64_t cost, cost_max;
    const venv_expr *expr;
    const venv_expr_input *input;
    xlazy *lazy; /* one for each local */
    uint32_t local_capacity, site_capacity;
    /* Memory of one evaluation: blocks in a row, kept for the next. */
    xblock *first, *block;
    size_t block_used, used, used_max;
    size_t string_size_max;
    xmissing *missing; /* reads, each once */
    uint32_t missing_count, missing_capacity;
    xerror error;
    venv_value *owned; /* answers of added functions, released when the next evaluation begins */
    uint32_t owned_count, owned_capacity;
    struct expr_zone *zones[X_ZONES_KEPT];     /* of computed names, the last few */
    struct expr_regex *regexes[X_REGEXES_KEPT]; /* of computed patterns */
    uint32_t zone_next, regex_next;
    venv_buf scratch; /* text that is put together piece by piece */
    struct xwatch *watch; /* what the nodes of a watched program write to; NULL for every other */
};

/* ---- memory and errors (context.c) ---- */

/* Aligned, not cleared. NULL: the limit or the machine's memory is exhausted, and the error is set. */
void *venv_cel_alloc(xctx *context, const xnode *node, size_t size);
int venv_cel_fail(xctx *context, const xnode *node, venv_rc rc, const char *what);
int venv_cel_fail_detail(xctx *context, const xnode *node, venv_rc rc, const char *what, venv_str detail);
int venv_cel_fail_value(xctx *context, const xnode *node, const char *what, const venv_value *value);
int venv_cel_fail_cost(xctx *context, const xnode *node);
int venv_cel_fail_overload(xctx *context, const xnode *node, const venv_value *args, uint32_t count);
void venv_cel_missing_add(xctx *context, uint32_t read);
/* A part of a list or map is unknown and what read it is not known: all that is read could be it.  X_UNK or X_FATAL. */
int venv_cel_unknown_part(xctx *context, const xnode *node);
/* Release a value when the next evaluation begins; now, if it cannot be noted. */
bool venv_cel_keep_owned(xctx *context, venv_value *value);
bool venv_cel_context_bind(xctx *context, const venv_expr *expr);
void venv_cel_context_reset(xctx *context);

static inline int expr_charge(xctx *context, const xnode *node, uint64_t units)
{
    context->cost += units;
    return context->cost <= context->cost_max ? X_OK : venv_cel_fail_cost(context, node);
}

/* Two texts are compared, or one is looked up: what is read of them. */
static inline int expr_charge_texts(xctx *context, const xnode *node, const venv_value *a, const venv_value *b)
{
    if ((a->w.kind != VENV_STRING && a->w.kind != VENV_BYTES) || a->w.kind != b->w.kind)
        return X_OK;
    size_t x = venv_text_of(a).size, y = venv_text_of(b).size;
    return expr_charge(context, node, (x < y ? x : y) / 8);
}

/* Text of the evaluation: inline or in its memory. */
int venv_cel_text(xctx *context, const xnode *node, venv_kind kind, const char *text, size_t size, venv_value *out);
/* What was put into context->scratch, as a string. */
int venv_cel_text_scratch(xctx *context, const xnode *node, venv_kind kind, venv_value *out);
/* A list or map with room for `count`; its items are not set. NULL as venv_cel_alloc(). */
struct venv_object *venv_cel_container(xctx *context, const xnode *node, venv_kind kind, size_t count);
/* Call after the items are in place: sorts a map; notes what is borrowed. */
int venv_cel_finish_list(xctx *context, const xnode *node, struct venv_object *list, venv_value *out);
int venv_cel_finish_map(xctx *context, const xnode *node, struct venv_object *map, venv_value *out);

/* ---- values (ops.c, opaque.c) ---- */

uint32_t venv_cel_mask_of(const venv_value *value);
bool venv_cel_is_marker(const venv_value *value);
bool venv_cel_is_absent(const venv_value *value);
const char *venv_cel_type_of(const venv_value *value);
/* Equality and order, charged by what they look at. A test's answer. */
int venv_cel_equal(xctx *context, const xnode *node, const venv_value *a, const venv_value *b);
/* -1, 0, 1, or 2 for unordered; false if the kinds do not compare. */
bool venv_cel_compare(const venv_value *a, const venv_value *b, int *ret_order);
int venv_cel_binary(xctx *context, const xnode *node, ast_op op, const venv_value *a, const venv_value *b, venv_value *out);
int venv_cel_in(xctx *context, const xnode *node, const venv_value *item, const venv_value *container);
/* container[key]; NULL with X_OK in *ret_status if it is simply not there. */
const venv_value *venv_cel_lookup(xctx *context, const xnode *node, const venv_value *container, const venv_value *key,
                              int *ret_status);
/* Has the value no meaning of its own: 0, "", [], null …? */
bool venv_cel_is_zero(const venv_value *value);

int venv_cel_optional_of(xctx *context, const xnode *node, const venv_value *value, venv_value *out);
venv_value venv_cel_optional_none(void);
bool venv_cel_is_optional(const venv_value *value);
/* What it holds, NULL for none. */
const venv_value *venv_cel_optional_value(const venv_value *optional);

typedef struct expr_address {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t family;    /* 4 or 6 */
    uint8_t prefix;    /* of a network, in bits of its family */
} expr_address;
int venv_cel_address_make(xctx *context, const xnode *node, bool network, const expr_address *address, venv_value *out);
/* NULL if the value is neither an address nor a network. */
const expr_address *venv_cel_address_of(const venv_value *value);
size_t venv_cel_address_print(const expr_address *address, bool network, char *buffer, size_t size);

/* ---- running (eval.c, fold.c) ---- */

/* eval by test, and test by eval, for nodes that have only the other. */
int venv_cel_eval_boxed(xctx *context, const xnode *node, venv_value *out);
int venv_cel_test_boxed(xctx *context, const xnode *node);

int venv_cel_eval_const(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_error(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_attr(xctx *context, const xnode *node, venv_value *out);
int venv_cel_test_has_attr(xctx *context, const xnode *node);
int venv_cel_eval_opt_attr(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_lazy(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_select(xctx *context, const xnode *node, venv_value *out);
int venv_cel_test_has(xctx *context, const xnode *node);
int venv_cel_eval_index(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_binary(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_negate(xctx *context, const xnode *node, venv_value *out);
int venv_cel_test_not(xctx *context, const xnode *node);
int venv_cel_test_in(xctx *context, const xnode *node);
int venv_cel_test_compare(xctx *context, const xnode *node);
/* A slot, a local or a field of a local beside a constant of a kind. */
int venv_cel_test_slot_int(xctx *context, const xnode *node);
int venv_cel_test_slot_double(xctx *context, const xnode *node);
int venv_cel_test_slot_text(xctx *context, const xnode *node);
int venv_cel_test_local_int(xctx *context, const xnode *node);
int venv_cel_test_local_double(xctx *context, const xnode *node);
int venv_cel_test_local_text(xctx *context, const xnode *node);
int venv_cel_test_field_int(xctx *context, const xnode *node);
int venv_cel_test_field_double(xctx *context, const xnode *node);
int venv_cel_test_field_text(xctx *context, const xnode *node);
int venv_cel_test_attr_int(xctx *context, const xnode *node);
int venv_cel_test_attr_double(xctx *context, const xnode *node);
int venv_cel_test_attr_text(xctx *context, const xnode *node);
int venv_cel_test_and(xctx *context, const xnode *node);
int venv_cel_test_or(xctx *context, const xnode *node);
int venv_cel_eval_cond(xctx *context, const xnode *node, venv_value *out);
int venv_cel_test_cond(xctx *context, const xnode *node);
int venv_cel_eval_list(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_map(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_struct(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_call(xctx *context, const xnode *node, venv_value *out);
/* optional.or(x) and optional.orValue(x): x only where it is needed. */
int venv_cel_eval_or_value(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_bind(xctx *context, const xnode *node, venv_value *out);
int venv_cel_test_bind(xctx *context, const xnode *node);
int venv_cel_eval_opt_map(xctx *context, const xnode *node, venv_value *out);

int venv_cel_test_all(xctx *context, const xnode *node);
int venv_cel_test_exists(xctx *context, const xnode *node);
int venv_cel_test_exists_one(xctx *context, const xnode *node);
int venv_cel_eval_fold_map(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_filter(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_transform_map(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_transform_entry(xctx *context, const xnode *node, venv_value *out);
int venv_cel_eval_sort_by(xctx *context, const xnode *node, venv_value *out);
/* filter(…).size() without the list. */
int venv_cel_eval_count(xctx *context, const xnode *node, venv_value *out);

/* Stable; items are `stride` values apart, the first of which is compared. False if some do not compare. */
/* What sorting them costs: each item is compared as often as the list can be halved. */
int venv_cel_charge_sort(xctx *context, const xnode *node, const venv_value *items, uint32_t count, size_t stride);
bool venv_cel_sort(venv_value *items, venv_value *spare, size_t count, size_t stride);

/* Two truths of one evaluation, the second after the first: what both together come to. */
typedef struct xabsorb {
    int status; /* X_OK while nothing is pending */
    xerror error;
    uint32_t missing_mark;
} xabsorb;
static inline xabsorb expr_absorb_begin(const xctx *context)
{
    xabsorb absorb;
    absorb.status = X_OK;
    absorb.missing_mark = context->missing_count;
    return absorb;
}
/* An error or unknown is put aside; unknown counts for more than an error, the first error for more than others. */
static inline void expr_absorb(xctx *context, xabsorb *absorb, int status)
{
    if (absorb->status == X_OK) {
        absorb->status = status;
        absorb->error = context->error;
    } else if (status == X_UNK) {
        absorb->status = status;
    }
}
/* The result did not depend on what was put aside. */
static inline int expr_absorb_drop(xctx *context, const xabsorb *absorb, int status)
{
    context->missing_count = absorb->missing_mark;
    return status;
}
/* It did. */
static inline int expr_absorb_keep(xctx *context, const xabsorb *absorb)
{
    if (absorb->status == X_ERR)
        context->error = absorb->error;
    return absorb->status;
}

static inline bool expr_same_words(const venv_value *a, const venv_value *b)
{
    uint64_t x[2], y[2];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

const venv_value *venv_cel_find_slow(const struct venv_object *map, const venv_value *key, uint32_t *site);

/* The value under a constant key; where it was found the last time is looked at first. */
static inline const venv_value *expr_find_key(const struct venv_object *map, const venv_value *key, uint32_t *site)
{
    uint32_t at = *site;
    if (__builtin_expect(at < map->count, 1)) {
        const venv_value *entry = &venv_object_items(map)[2 * (size_t)at];
        if (__builtin_expect(expr_same_words(entry, key), 1))
            return entry + 1;
    }
    return venv_cel_find_slow(map, key, site);
}

/* An answer for each order: bit 0 less, 1 equal, 2 greater, 3 unordered. */
static inline int expr_mask_int(uint8_t mask, int64_t a, int64_t b)
{
    return (mask >> (1 + (a > b) - (a < b))) & 1;
}
static inline int expr_mask_double(uint8_t mask, double a, double b)
{
    return (mask >> (3 - 3 * (a < b) - 2 * (a == b) - (a > b))) & 1;
}

/* ---- watching (explain.c) ---- */

/* Note a part, and give it a number. False when there is no memory or no room: it is not watched then. */
bool venv_cel_watch_add(struct xwatch *watch, const ast *node, const xnode *made, bool inside, uint32_t *ret_index);
int venv_cel_eval_watched(xctx *context, const xnode *node, venv_value *out);
int venv_cel_test_watched(xctx *context, const xnode *node);

/* ---- compiling ---- */

venv_rc venv_cel_check(const expr_source *source, venv_expr_env *env, venv_arena *arena, ast *root,
                   uint32_t *ret_local_count);
/* `watch` not NULL: every part whose value is not constant tells it its values as it runs (explain.c). */
venv_rc venv_cel_compile_tree(venv_expr *expr, const expr_source *source, const ast *root, struct xwatch *watch);
/* The program releases the zone; also at once, if there is no memory to note it. */
bool venv_cel_keep_zone(venv_expr *expr, struct expr_zone *zone);
/* Copy a value of an evaluation into an arena; false when out of memory or too deep. */
bool venv_cel_copy_value(venv_arena *arena, const venv_value *value, venv_value *out);

#endif
