/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser: cel-spec doc/langdef.md, "Syntax", by recursive descent. It recurses only where a
 * bracket or a ternary opens, and counts that against the depth limit; chains of operators,
 * selectors and signs are loops.
 */
#include "expr/lex.h"
#include "expr/parser.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 100u /* bytes of the offending line in a message */

static const struct {
    const char *text;
    const char *name;
} ops[OP_COUNT] = {
    [OP_ADD] = { "+", "_+_" }, [OP_SUB] = { "-", "_-_" },   [OP_MUL] = { "*", "_*_" },  [OP_DIV] = { "/", "_/_" },
    [OP_MOD] = { "%", "_%_" }, [OP_EQ] = { "==", "_==_" },  [OP_NE] = { "!=", "_!=_" }, [OP_LT] = { "<", "_<_" },
    [OP_LE] = { "<=", "_<=_" }, [OP_GT] = { ">", "_>_" },   [OP_GE] = { ">=", "_>=_" }, [OP_IN] = { "in", "@in" },
    [OP_NOT] = { "!", "!_" },  [OP_NEG] = { "-", "-_" },
};

const char *venv_cel_ast_op_text(ast_op op)
{
    return ops[op].text;
}

/* Line and column of an offset, and the line itself. */
static uint32_t locate(const expr_source *source, uint32_t pos, uint32_t *ret_line, venv_str *ret_text)
{
    uint32_t start = 0, line = 1, end = 0;
    if (pos > source->size)
        pos = (uint32_t)source->size;
    for (uint32_t i = 0; i < pos; i++) {
        if (source->text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    for (end = pos; end < source->size && source->text[end] != '\n'; end++)
        ;
    *ret_line = line;
    *ret_text = (venv_str){ source->text + start, end - start };
    return pos - start;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0u) == 0x80u;
}

/* "\n  LINE\n  ^" with a window around the column if the line is long. */
static void write_line(const expr_source *source, uint32_t pos, char *out, size_t size, uint32_t *ret_line,
                       uint32_t *ret_column)
{
    venv_str text;
    uint32_t column = locate(source, pos, ret_line, &text);
    *ret_column = column + 1;
    size_t from = column > SHOWN_MAX / 2 ? column - SHOWN_MAX / 2 : 0;
    while (from > 0 && is_continuation(text.data[from]))
        from--;
    size_t to = text.size - from > SHOWN_MAX ? from + SHOWN_MAX : text.size;
    while (to > from && to < text.size && is_continuation(text.data[to]))
        to--;
    unsigned spaces = from ? 3u : 0u; /* one column for each code point */
    for (size_t i = from; i < column && i < to; i++)
        spaces += !is_continuation(text.data[i]);
    char line[SHOWN_MAX + 1];
    size_t shown = to - from;
    for (size_t i = 0; i < shown; i++)
        line[i] = (unsigned char)text.data[from + i] < 0x20 ? ' ' : text.data[from + i];
    (void)snprintf(out, size, "\n  %s%.*s%s\n  %*s^", from ? "..." : "", (int)shown, line, to < text.size ? "..." : "",
                   (int)spaces, "");
}

VENV_PRINTF(4, 0)
static venv_rc fail_va(const expr_source *source, uint32_t pos, venv_rc rc, const char *format, va_list args)
{
    if (!source->err)
        return rc;
    char what[VENV_ERROR_TEXT_MAX - 2 * SHOWN_MAX - 32], line[2 * SHOWN_MAX + 32];
    uint32_t line_number, column;
    (void)vsnprintf(what, sizeof what, format, args);
    if (rc == VENV_ENOMEM)
        return venv_error_set(source->err, rc, "%s", what);
    write_line(source, pos, line, sizeof line, &line_number, &column);
    (void)venv_error_set(source->err, rc, "%s%s", what, line);
    venv_error_at(source->err, NULL, line_number, column);
    return rc;
}

venv_rc venv_cel_fail_at(const expr_source *source, uint32_t pos, venv_rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fail_va(source, pos, rc, format, args);
    va_end(args);
    return rc;
}

venv_rc venv_cel_parser_fail(expr_parser *parser, uint32_t pos, venv_rc rc, const char *format, ...)
{
    va_list args;
    if (parser->rc == VENV_OK) { /* the first error is the one that matters */
        va_start(args, format);
        parser->rc = fail_va(parser->source, pos, rc, format, args);
        va_end(args);
    }
    return parser->rc;
}

static void *allocate(expr_parser *parser, size_t size)
{
    void *memory = venv_arena_alloc(parser->arena, size ? size : 1);
    if (!memory)
        (void)venv_cel_parser_fail(parser, 0, VENV_ENOMEM, "out of memory");
    return memory;
}

ast *venv_cel_node(expr_parser *parser, ast_kind kind, uint32_t pos, uint32_t count)
{
    if (++parser->node_count > parser->limits->node_count_max) {
        (void)venv_cel_parser_fail(parser, pos, VENV_ELIMIT, "the expression has more than %u parts; split it",
                               parser->limits->node_count_max);
        return NULL;
    }
    ast *node = allocate(parser, sizeof *node);
    if (!node)
        return NULL;
    node->kind = (uint8_t)kind;
    node->pos = node->begin = pos;
    node->end = parser->last_end;
    node->count = count;
    node->local = -1;
    node->first_local = -1;
    node->slot = -1;
    node->depth = 1;
    if (count && !(node->args = allocate(parser, count * sizeof(ast *))))
        return NULL;
    return node;
}

ast *venv_cel_node_done(expr_parser *parser, ast *node)
{
    unsigned depth = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        depth = node->args[i]->depth > depth ? node->args[i]->depth : depth;
        node->begin = node->args[i]->begin < node->begin ? node->args[i]->begin : node->begin;
    }
    node->end = parser->last_end;
    node->depth = (uint16_t)(depth + 1);
    if (node->depth > parser->limits->depth_max) {
        (void)venv_cel_parser_fail(parser, node->pos, VENV_ELIMIT,
                               "the expression nests deeper than %u levels; split it with cel.bind or a second trigger",
                               parser->limits->depth_max);
        return NULL;
    }
    return node;
}

static void advance(expr_parser *parser)
{
    expr_lexer lexer = { parser->source, parser->arena, parser->at, VENV_OK };
    parser->last_end = parser->token.pos + parser->token.size;
    venv_cel_lex(&lexer, &parser->token);
    parser->at = lexer.at;
    if (parser->token.kind == TOK_BAD && parser->rc == VENV_OK)
        parser->rc = lexer.rc;
}

static bool at_punct(const expr_parser *parser, char a, char b)
{
    return parser->token.kind == TOK_PUNCT && parser->token.punct == PUNCT(a, b);
}

static bool take_punct(expr_parser *parser, char a, char b)
{
    if (!at_punct(parser, a, b))
        return false;
    advance(parser);
    return true;
}

static bool fail_expected(expr_parser *parser, const char *what)
{
    const expr_token *token = &parser->token;
    if (token->kind == TOK_END)
        (void)venv_cel_parser_fail(parser, token->pos, VENV_EINVAL, "the expression ends where %s is expected", what);
    else
        (void)venv_cel_parser_fail(parser, token->pos, VENV_EINVAL, "expected %s and found '%.*s'", what,
                               (int)(token->size > 40 ? 40 : token->size), parser->source->text + token->pos);
    return false;
}

static bool expect_punct(expr_parser *parser, char c, const char *what)
{
    return take_punct(parser, c, '\0') || fail_expected(parser, what);
}

static bool is_word(const expr_token *token, const char *word)
{
    return token->kind == TOK_IDENT && token->text.size == strlen(word) &&
           !memcmp(token->text.data, word, token->text.size);
}

/* in, true, false, null */
static bool is_keyword(const expr_token *token)
{
    return token->word != WORD_NONE && token->word != WORD_RESERVED;
}

static ast *parse_expr(expr_parser *parser);

/* A growing list of arguments; the array moves into the node at the end. */
typedef struct ast_list {
    ast **items;
    uint8_t *marks;
    uint32_t count, capacity;
} ast_list;

static bool list_add(expr_parser *parser, ast_list *list, ast *item, bool mark)
{
    if (!item)
        return false;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 4;
        ast **items = allocate(parser, capacity * sizeof *items);
        uint8_t *marks = allocate(parser, capacity);
        if (!items || !marks)
            return false;
        if (list->count) {
            memcpy(items, list->items, list->count * sizeof *items);
            memcpy(marks, list->marks, list->count);
        }
        list->items = items;
        list->marks = marks;
        list->capacity = capacity;
    }
    list->items[list->count] = item;
    list->marks[list->count++] = mark;
    return true;
}

static ast *finish(expr_parser *parser, ast_kind kind, uint32_t pos, const ast_list *list)
{
    ast *node = venv_cel_node(parser, kind, pos, 0);
    if (!node)
        return NULL;
    node->args = list->items;
    node->marks = list->marks;
    node->count = list->count;
    return venv_cel_node_done(parser, node);
}

static bool parse_args(expr_parser *parser, ast_list *list)
{
    uint32_t receiver = list->count;
    if (take_punct(parser, ')', '\0'))
        return true;
    do {
        if (!list_add(parser, list, parse_expr(parser), false))
            return false;
        if (list->count - receiver > VENV_EXPR_ARGS_MAX) {
            (void)venv_cel_parser_fail(parser, parser->token.pos, VENV_ELIMIT, "a call has more than %u arguments",
                                   VENV_EXPR_ARGS_MAX);
            return false;
        }
    } while (take_punct(parser, ',', '\0'));
    return expect_punct(parser, ')', "',' or ')'");
}

/* A call whose '(' is taken; `list` may hold the receiver. */
static ast *finish_call(expr_parser *parser, venv_str name, uint32_t pos, ast_list *list, bool receiver, bool dot)
{
    if (!parse_args(parser, list))
        return NULL;
    ast *node = venv_cel_node(parser, AST_CALL, pos, 0);
    if (!node)
        return NULL;
    node->args = list->items;
    node->count = list->count;
    node->name = name;
    node->receiver = receiver;
    node->leading_dot = dot;
    uint32_t begin = receiver ? list->items[0]->begin : pos;
    if (parser->macros && !dot && !venv_cel_expand_macro(parser, &node))
        return NULL;
    node->begin = begin; /* a macro may have left its receiver out */
    return venv_cel_node_done(parser, node);
}

/*
 * Is this the end of a list, a map or a message? A comma may stand before the bracket, and even alone:
 * langdef.md has `"[" [ExprList] [","] "]"`.
 */
static bool take_close(expr_parser *parser, const ast_list *list, char close)
{
    if (take_punct(parser, close, '\0'))
        return true;
    if (list->count || !take_punct(parser, ',', '\0'))
        return false;
    (void)expect_punct(parser, close, close == ']' ? "']'" : "'}'");
    return true;
}

static ast *parse_list(expr_parser *parser, uint32_t pos)
{
    ast_list list = { 0 };
    while (!take_close(parser, &list, ']')) {
        bool mark = take_punct(parser, '?', '\0');
        if (!list_add(parser, &list, parse_expr(parser), mark))
            return NULL;
        if (!take_punct(parser, ',', '\0')) {
            if (!expect_punct(parser, ']', "',' or ']'"))
                return NULL;
            break;
        }
    }
    return finish(parser, AST_LIST, pos, &list);
}

static ast *parse_map(expr_parser *parser, uint32_t pos)
{
    ast_list list = { 0 };
    while (!take_close(parser, &list, '}')) {
        bool mark = take_punct(parser, '?', '\0');
        if (!list_add(parser, &list, parse_expr(parser), mark) ||
            !expect_punct(parser, ':', "':' and the value of the key") ||
            !list_add(parser, &list, parse_expr(parser), false))
            return NULL;
        if (!take_punct(parser, ',', '\0')) {
            if (!expect_punct(parser, '}', "',' or '}'"))
                return NULL;
            break;
        }
    }
    return finish(parser, AST_MAP, pos, &list);
}

static ast *constant(expr_parser *parser, uint32_t pos, venv_value value)
{
    ast *node = venv_cel_node(parser, AST_CONST, pos, 0);
    if (node)
        node->value = value;
    return node;
}

/* The dotted name that a node spells, empty if it is something else. */
static venv_str qualified_name(expr_parser *parser, const ast *node, bool *ret_dot)
{
    size_t size = 0;
    const ast *at = node;
    for (; at->kind == AST_SELECT && !at->optional; at = at->args[0])
        size += at->name.size + 1;
    if (at->kind != AST_IDENT)
        return (venv_str){ 0 };
    *ret_dot = at->leading_dot;
    size += at->name.size;
    char *text = allocate(parser, size + 1);
    if (!text)
        return (venv_str){ 0 };
    size_t end = size;
    for (at = node; at->kind == AST_SELECT; at = at->args[0]) {
        end -= at->name.size;
        memcpy(text + end, at->name.data, at->name.size);
        text[--end] = '.';
    }
    memcpy(text, at->name.data, at->name.size);
    return (venv_str){ text, size };
}

static ast *parse_struct(expr_parser *parser, const ast *type)
{
    bool dot = false;
    venv_str name = qualified_name(parser, type, &dot);
    ast_list list = { 0 };
    uint32_t pos = type->pos;
    while (!take_close(parser, &list, '}')) {
        bool mark = take_punct(parser, '?', '\0');
        if (parser->token.kind != TOK_IDENT && parser->token.kind != TOK_QUOTED) {
            fail_expected(parser, "the name of a field or '}'");
            return NULL;
        }
        venv_str field = parser->token.text;
        ast *key = constant(parser, parser->token.pos, venv_value_borrow(field.data, field.size));
        advance(parser);
        if (!list_add(parser, &list, key, mark) || !expect_punct(parser, ':', "':' and the value of the field") ||
            !list_add(parser, &list, parse_expr(parser), false))
            return NULL;
        if (!take_punct(parser, ',', '\0')) {
            if (!expect_punct(parser, '}', "',' or '}'"))
                return NULL;
            break;
        }
    }
    ast *node = finish(parser, AST_STRUCT, pos, &list);
    if (node) {
        node->name = name;
        node->leading_dot = dot;
    }
    return node;
}

static ast *parse_name(expr_parser *parser, uint32_t pos, bool dot)
{
    expr_token name = parser->token;
    if (name.kind != TOK_IDENT || is_keyword(&name)) {
        fail_expected(parser, "a name");
        return NULL;
    }
    if (name.word == WORD_RESERVED) {
        (void)venv_cel_parser_fail(parser, name.pos, VENV_EINVAL, "'%.*s' is a reserved word; choose another name",
                               (int)name.text.size, name.text.data);
        return NULL;
    }
    advance(parser);
    if (take_punct(parser, '(', '\0')) {
        ast_list list = { 0 };
        return finish_call(parser, name.text, name.pos, &list, false, dot);
    }
    ast *node = venv_cel_node(parser, AST_IDENT, pos, 0);
    if (node) {
        node->name = name.text;
        node->leading_dot = dot;
    }
    return node;
}

static ast *parse_literal(expr_parser *parser, uint32_t pos, bool negative)
{
    expr_token literal = parser->token;
    venv_value value;
    switch (literal.kind) {
    case TOK_INT:
        if (!negative && literal.number.u > INT64_MAX) {
            (void)venv_cel_parser_fail(parser, pos, VENV_EINVAL,
                                   "the integer does not fit 64 bits with a sign; append u for an unsigned one");
            return NULL;
        }
        value = venv_value_int(negative ? (int64_t)(0 - literal.number.u) : (int64_t)literal.number.u);
        break;
    case TOK_DOUBLE:
        value = venv_value_double(negative ? -literal.number.d : literal.number.d);
        break;
    case TOK_UINT:
        value = venv_value_uint(literal.number.u);
        break;
    case TOK_BYTES:
    case TOK_STRING:
        value = venv_value_borrow(literal.text.data, literal.text.size);
        value.w.kind = literal.kind == TOK_BYTES ? VENV_BYTES : VENV_STRING;
        break;
    default:
        value = literal.word == WORD_NULL ? venv_value_null() : venv_value_bool(literal.word == WORD_TRUE);
        break;
    }
    advance(parser);
    return constant(parser, pos, value);
}

static ast *parse_primary(expr_parser *parser)
{
    const expr_token *token = &parser->token;
    uint32_t pos = token->pos;
    bool literal = token->kind >= TOK_INT && token->kind <= TOK_BYTES;
    if (literal || (is_keyword(token) && token->word != WORD_IN))
        return parse_literal(parser, pos, false);
    if (take_punct(parser, '(', '\0')) {
        ast *inner = parse_expr(parser);
        if (!inner || !expect_punct(parser, ')', "')'"))
            return NULL;
        inner->begin = pos;
        inner->end = parser->last_end;
        return inner;
    }
    if (take_punct(parser, '[', '\0'))
        return parse_list(parser, pos);
    if (take_punct(parser, '{', '\0'))
        return parse_map(parser, pos);
    if (take_punct(parser, '.', '\0'))
        return parse_name(parser, pos, true);
    if (token->kind == TOK_IDENT && token->word != WORD_IN)
        return parse_name(parser, pos, false);
    fail_expected(parser, "a value, a name or '('");
    return NULL;
}

static ast *parse_selector(expr_parser *parser, ast *base)
{
    bool optional = take_punct(parser, '?', '\0');
    expr_token name = parser->token;
    if (name.kind != TOK_QUOTED && (name.kind != TOK_IDENT || is_keyword(&name))) {
        fail_expected(parser, "the name of a field or function after '.'");
        return NULL;
    }
    advance(parser);
    if (name.kind == TOK_IDENT && !optional && take_punct(parser, '(', '\0')) {
        ast_list list = { 0 };
        if (!list_add(parser, &list, base, false))
            return NULL;
        return finish_call(parser, name.text, name.pos, &list, true, false);
    }
    ast *node = venv_cel_node(parser, AST_SELECT, name.pos, 1);
    if (!node)
        return NULL;
    node->args[0] = base;
    node->name = name.text;
    node->optional = optional;
    return venv_cel_node_done(parser, node);
}

static ast *parse_index(expr_parser *parser, ast *base, uint32_t pos)
{
    bool optional = take_punct(parser, '?', '\0');
    ast *index = parse_expr(parser);
    if (!index || !expect_punct(parser, ']', "']'"))
        return NULL;
    ast *node = venv_cel_node(parser, AST_INDEX, pos, 2);
    if (!node)
        return NULL;
    node->args[0] = base;
    node->args[1] = index;
    node->optional = optional;
    return venv_cel_node_done(parser, node);
}

static bool is_name_node(const ast *node)
{
    while (node->kind == AST_SELECT && !node->optional && !node->test_only)
        node = node->args[0];
    return node->kind == AST_IDENT;
}

static ast *parse_member(expr_parser *parser, ast *node)
{
    while (node && parser->rc == VENV_OK) {
        uint32_t pos = parser->token.pos;
        if (take_punct(parser, '.', '\0'))
            node = parse_selector(parser, node);
        else if (take_punct(parser, '[', '\0'))
            node = parse_index(parser, node, pos);
        else if (at_punct(parser, '{', '\0') && is_name_node(node)) {
            advance(parser);
            node = parse_struct(parser, node);
        } else
            break;
    }
    return parser->rc == VENV_OK ? node : NULL;
}

static ast *unary(expr_parser *parser, ast_op op, uint32_t pos, ast *operand)
{
    ast *node = operand ? venv_cel_node(parser, AST_OP, pos, 1) : NULL;
    if (!node)
        return NULL;
    node->op = (uint8_t)op;
    node->args[0] = operand;
    return venv_cel_node_done(parser, node);
}

static ast *parse_unary(expr_parser *parser)
{
    uint32_t pos = parser->token.pos;
    if (at_punct(parser, '!', '\0') || at_punct(parser, '-', '\0')) {
        char sign = at_punct(parser, '!', '\0') ? '!' : '-';
        bool odd = false;
        while (take_punct(parser, sign, '\0'))
            odd = !odd;
        bool number = parser->token.kind == TOK_INT || parser->token.kind == TOK_DOUBLE;
        if (sign == '-' && odd && number)
            return parse_member(parser, parse_literal(parser, pos, true));
        ast *operand = parse_member(parser, parse_primary(parser));
        if (!odd)
            return operand;
        return unary(parser, sign == '!' ? OP_NOT : OP_NEG, pos, operand);
    }
    return parse_member(parser, parse_primary(parser));
}

/* Precedence of the binary operator at hand: 1 relations, 2 sums, 3 products; 0 for none. */
static unsigned binary_at(const expr_parser *parser, ast_op *ret_op)
{
    const expr_token *token = &parser->token;
    if (token->word == WORD_IN) {
        *ret_op = OP_IN;
        return 1;
    }
    if (token->kind != TOK_PUNCT)
        return 0;
    switch (token->punct) {
#define OPERATOR(a, b, op, precedence)                                                                               \
    case PUNCT(a, b):                                                                                                \
        *ret_op = (op);                                                                                              \
        return (precedence);
        OPERATOR('<', 0, OP_LT, 1)
        OPERATOR('<', '=', OP_LE, 1)
        OPERATOR('>', 0, OP_GT, 1)
        OPERATOR('>', '=', OP_GE, 1)
        OPERATOR('=', '=', OP_EQ, 1)
        OPERATOR('!', '=', OP_NE, 1)
        OPERATOR('+', 0, OP_ADD, 2)
        OPERATOR('-', 0, OP_SUB, 2)
        OPERATOR('*', 0, OP_MUL, 3)
        OPERATOR('/', 0, OP_DIV, 3)
        OPERATOR('%', 0, OP_MOD, 3)
    default:
        return 0;
    }
}

/* Recurses at most three levels: only to a higher precedence. */
static ast *parse_binary(expr_parser *parser, unsigned lowest)
{
    ast *left = parse_unary(parser);
    ast_op op = OP_ADD;
    unsigned precedence;
    while (left && parser->rc == VENV_OK && (precedence = binary_at(parser, &op)) >= lowest && precedence > 0) {
        uint32_t pos = parser->token.pos;
        advance(parser);
        ast *right = parse_binary(parser, precedence + 1);
        ast *node = right ? venv_cel_node(parser, AST_OP, pos, 2) : NULL;
        if (!node)
            return NULL;
        node->op = (uint8_t)op;
        node->args[0] = left;
        node->args[1] = right;
        left = venv_cel_node_done(parser, node);
    }
    return parser->rc == VENV_OK ? left : NULL;
}

/* `a && b && c` is one node: as deep as its deepest part, however long it is. */
static ast *parse_chain(expr_parser *parser, ast_kind kind)
{
    char c = kind == AST_AND ? '&' : '|';
    ast *first = kind == AST_AND ? parse_binary(parser, 1) : parse_chain(parser, AST_AND);
    if (!first || !at_punct(parser, c, c))
        return first;
    uint32_t pos = parser->token.pos;
    ast_list list = { 0 };
    if (!list_add(parser, &list, first, false))
        return NULL;
    while (take_punct(parser, c, c)) {
        if (!list_add(parser, &list, kind == AST_AND ? parse_binary(parser, 1) : parse_chain(parser, AST_AND), false))
            return NULL;
    }
    return finish(parser, kind, pos, &list);
}

static ast *parse_ternary(expr_parser *parser)
{
    ast *condition = parse_chain(parser, AST_OR);
    uint32_t pos = parser->token.pos;
    if (!condition || !take_punct(parser, '?', '\0'))
        return condition;
    ast *yes = parse_chain(parser, AST_OR);
    if (!yes || !expect_punct(parser, ':', "':' and the other value of the condition"))
        return NULL;
    ast *no = parse_expr(parser);
    ast *node = no ? venv_cel_node(parser, AST_COND, pos, 3) : NULL;
    if (!node)
        return NULL;
    node->args[0] = condition;
    node->args[1] = yes;
    node->args[2] = no;
    return venv_cel_node_done(parser, node);
}

static ast *parse_expr(expr_parser *parser)
{
    if (parser->rc != VENV_OK)
        return NULL;
    if (++parser->depth > parser->limits->depth_max) {
        (void)venv_cel_parser_fail(parser, parser->token.pos, VENV_ELIMIT,
                               "brackets nest deeper than %u levels; split the expression", parser->limits->depth_max);
        return NULL;
    }
    ast *node = parse_ternary(parser);
    parser->depth--;
    return parser->rc == VENV_OK ? node : NULL;
}

/* What is expected behind a whole expression; those who come from other languages write words. */
static const char *operator_hint(const expr_parser *parser)
{
    const expr_token *found = &parser->token;
    const char *source = parser->source->text;
    if (is_word(found, "and") || is_word(found, "AND"))
        return "an operator ('&&' is the word for and)";
    if (is_word(found, "or") || is_word(found, "OR"))
        return "an operator ('||' is the word for or)";
    if (parser->last_end == 3 && !memcmp(source, "not", 3))
        return "an operator ('!' is the word for not)";
    return "an operator or the end of the expression";
}

venv_rc venv_cel_parse(const expr_source *source, venv_arena *arena, const venv_expr_limits *limits, bool macros,
                   ast **ret_root, uint32_t *ret_node_count)
{
    expr_parser parser = { .source = source, .arena = arena, .limits = limits, .macros = macros };
    advance(&parser);
    ast *root = parse_expr(&parser);
    if (root && parser.rc == VENV_OK && parser.token.kind != TOK_END)
        fail_expected(&parser, operator_hint(&parser));
    if (parser.rc != VENV_OK)
        return parser.rc;
    *ret_root = root;
    *ret_node_count = parser.node_count;
    return VENV_OK;
}
