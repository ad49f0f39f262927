/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_PARSER_H
#define VENV_EXPR_PARSER_H

/* The state of a parse; shared by the parser and the macros that it expands. */

#include "expr/ast.h"
#include "expr/lex.h"

typedef struct expr_parser {
    const expr_source *source;
    venv_arena *arena;
    const venv_expr_limits *limits;
    bool macros;
    venv_rc rc;
    uint32_t at; /* offset behind `token` */
    expr_token token;
    uint32_t last_end;
    uint32_t depth;
    uint32_t node_count;
} expr_parser;

#endif
