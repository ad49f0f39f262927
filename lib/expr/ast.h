/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_AST_H
#define VENV_EXPR_AST_H

/*
 * The syntax tree. Macros are nodes of their own (AST_FOLD and its like) and not general folds: the source
 * language has no other way to write a loop, and so each loop can be checked, costed and run as
 * what it is.
 */

#include "base/arena.h"
#include "expr/type.h"

#include <venv/expr.h>

typedef enum ast_kind {
    AST_CONST,  /* value */
    AST_IDENT,  /* name; leading_dot */
    AST_SELECT, /* args[0] . name; optional; test_only for has() */
    AST_INDEX,  /* args[0] [ args[1] ]; optional */
    AST_CALL,   /* name; receiver: args[0] is it */
    AST_OP,     /* op; args[0..1] */
    AST_AND,    /* args, two or more */
    AST_OR,
    AST_COND,     /* args[0] ? args[1] : args[2] */
    AST_LIST,     /* args; marks[i] for ?e */
    AST_MAP,      /* args: key, value, key, value; marks[i] for ?k of entry i */
    AST_STRUCT,   /* name { fields }: args: key constants and values, as in a map */
    AST_FOLD,     /* fold; args[0] range, args[1..] filter and body; vars */
    AST_BIND,     /* args[0] what, args[1] body; vars[0] */
    AST_OPT_MAP,  /* args[0] optional, args[1] body; vars[0]; flat: body is an optional itself */
    AST_BLOCK,    /* args[0..count-2] shared parts, named @index0 ...; args[count-1] body */
} ast_kind;

typedef enum ast_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT,
    OP_NEG,
    OP_COUNT
} ast_op;

typedef enum ast_fold {
    FOLD_ALL,
    FOLD_EXISTS,
    FOLD_EXISTS_ONE,
    FOLD_MAP,       /* with a filter: args[1] filter, args[2] body */
    FOLD_FILTER,
    FOLD_TRANSFORM_LIST,
    FOLD_TRANSFORM_MAP,
    FOLD_TRANSFORM_MAP_ENTRY,
    FOLD_SORT_BY,
    FOLD_COUNT
} ast_fold;

typedef struct ast {
    uint8_t kind; /* ast_kind */
    uint8_t op;   /* ast_op or ast_fold */
    bool leading_dot;
    bool optional;
    bool test_only;
    bool receiver;
    bool flat;
    uint32_t pos;  /* offset in the source that a message points at */
    uint32_t begin, end; /* the text that it was made from, brackets around it included */
    uint16_t depth;
    uint32_t count;
    struct ast **args;
    venv_str name;
    venv_str vars[2]; /* empty if not used */
    const uint8_t *marks;
    venv_value value; /* borrowed or scalar: it needs no release */
    /* Set by the checker. */
    const expr_type *type;
    const struct expr_overload *overloads; /* of a call: the first of its name */
    uint64_t candidates;                   /* bit i: the i-th overload of the name can be meant */
    int32_t local;                         /* variable of a macro, -1 if it is none */
    int32_t first_local;                   /* of a fold, bind or block: where its variables live */
    int64_t slot;                          /* of a declared variable, -1 if it is none */
    bool global_call;                      /* args[0] was only a namespace: left out */
    bool type_name;                        /* the identifier is the name of a type; value holds it */
    venv_str error;                        /* known to fail when it runs (unchecked only) */
} ast;

const char *venv_cel_ast_op_text(ast_op op);
const char *venv_cel_ast_fold_text(ast_fold fold);

/* Where a parse stands and what it may use. */
typedef struct expr_source {
    const char *text;
    size_t size;
    venv_error *err;
} expr_source;

/* Fill the error with message, position, line and caret. Returns rc. */
venv_rc venv_cel_fail_at(const expr_source *source, uint32_t pos, venv_rc rc, const char *format, ...)
    VENV_PRINTF(4, 5);

/* Parse; the tree is in `arena`, and borrows from the source. */
venv_rc venv_cel_parse(const expr_source *source, venv_arena *arena, const venv_expr_limits *limits, bool macros,
                   ast **ret_root, uint32_t *ret_node_count);

struct expr_parser;
ast *venv_cel_node(struct expr_parser *parser, ast_kind kind, uint32_t pos, uint32_t count);
ast *venv_cel_node_done(struct expr_parser *parser, ast *node);
venv_rc venv_cel_parser_fail(struct expr_parser *parser, uint32_t pos, venv_rc rc, const char *format, ...)
    VENV_PRINTF(4, 5);
/*
 * Turn a call into what it means if it is a macro. `*node` is replaced; false after an error.
 */
/* How a macro is written, NULL if there is none of this name. */
const char *venv_cel_macro_form(venv_str name);
/* The names of the macros that no namespace has. @return how many. */
size_t venv_cel_macro_names(venv_str *ret_names, size_t room);
bool venv_cel_expand_macro(struct expr_parser *parser, ast **node);

#endif
