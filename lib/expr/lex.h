/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_LEX_H
#define VENV_EXPR_LEX_H

/* From bytes to tokens. Literals are decoded here, so that a mistake in one is reported where it is. */

#include "base/arena.h"
#include "expr/ast.h"

typedef enum token_kind {
    TOK_END,
    TOK_IDENT,
    TOK_QUOTED, /* `name` */
    TOK_INT,    /* magnitude in number.u: a sign is the parser's */
    TOK_UINT,
    TOK_DOUBLE,
    TOK_STRING,
    TOK_BYTES,
    TOK_PUNCT, /* punct: one or two characters */
    TOK_BAD,   /* the error is set */
} token_kind;

/* What a name is besides a name. */
typedef enum token_word {
    WORD_NONE,
    WORD_IN,
    WORD_TRUE,
    WORD_FALSE,
    WORD_NULL,
    WORD_RESERVED,
} token_word;

#define PUNCT(a, b) ((unsigned)(a) | (unsigned)(b) << 8)

typedef struct expr_token {
    token_kind kind;
    token_word word; /* of TOK_IDENT */
    uint32_t pos;
    uint32_t size;
    venv_str text; /* name; content of a literal */
    unsigned punct;
    union {
        uint64_t u;
        double d;
    } number;
} expr_token;

typedef struct expr_lexer {
    const expr_source *source;
    venv_arena *arena;
    uint32_t at;
    venv_rc rc;
} expr_lexer;

void venv_cel_lex(expr_lexer *lexer, expr_token *ret_token);

#endif
