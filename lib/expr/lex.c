/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lexer: the tokens of cel-spec doc/langdef.md, "Syntax".
 */
#include "expr/lex.h"

#include "base/cleanup.h"
#include "base/number.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* What a byte can be part of. */
enum { BYTE_NAME = 1, BYTE_DIGIT = 2, BYTE_BLANK = 4, BYTE_PUNCT = 8 };

#define LETTERS(a) [a] = BYTE_NAME, [a + 1] = BYTE_NAME, [a + 2] = BYTE_NAME, [a + 3] = BYTE_NAME, \
    [a + 4] = BYTE_NAME, [a + 5] = BYTE_NAME
static const uint8_t bytes_of[256] = {
    LETTERS('a'), LETTERS('g'), LETTERS('m'), LETTERS('s'), ['y'] = BYTE_NAME, ['z'] = BYTE_NAME,
    LETTERS('A'), LETTERS('G'), LETTERS('M'), LETTERS('S'), ['Y'] = BYTE_NAME, ['Z'] = BYTE_NAME, ['_'] = BYTE_NAME,
    ['0'] = BYTE_DIGIT, ['1'] = BYTE_DIGIT, ['2'] = BYTE_DIGIT, ['3'] = BYTE_DIGIT, ['4'] = BYTE_DIGIT,
    ['5'] = BYTE_DIGIT, ['6'] = BYTE_DIGIT, ['7'] = BYTE_DIGIT, ['8'] = BYTE_DIGIT, ['9'] = BYTE_DIGIT,
    [' '] = BYTE_BLANK, ['\t'] = BYTE_BLANK, ['\n'] = BYTE_BLANK, ['\r'] = BYTE_BLANK, ['\f'] = BYTE_BLANK,
    ['('] = BYTE_PUNCT, [')'] = BYTE_PUNCT, ['['] = BYTE_PUNCT, [']'] = BYTE_PUNCT, ['{'] = BYTE_PUNCT,
    ['}'] = BYTE_PUNCT, ['.'] = BYTE_PUNCT, [','] = BYTE_PUNCT, [':'] = BYTE_PUNCT, ['?'] = BYTE_PUNCT,
    ['!'] = BYTE_PUNCT, ['<'] = BYTE_PUNCT, ['>'] = BYTE_PUNCT, ['+'] = BYTE_PUNCT, ['-'] = BYTE_PUNCT,
    ['*'] = BYTE_PUNCT, ['/'] = BYTE_PUNCT, ['%'] = BYTE_PUNCT,
};

static bool is_name_start(char c)
{
    return bytes_of[(unsigned char)c] & BYTE_NAME;
}

static bool is_name_part(char c)
{
    return bytes_of[(unsigned char)c] & (BYTE_NAME | BYTE_DIGIT);
}

/* The byte at an offset, NUL past the end. */
static char peek(const expr_lexer *lexer, size_t offset)
{
    size_t at = lexer->at + offset;
    return at < lexer->source->size ? lexer->source->text[at] : '\0';
}

static void fail(expr_lexer *lexer, expr_token *token, uint32_t pos, venv_rc rc, const char *what)
{
    token->kind = TOK_BAD;
    lexer->rc = venv_cel_fail_at(lexer->source, pos, rc, "%s", what);
}

static void skip_blank(expr_lexer *lexer)
{
    const char *text = lexer->source->text;
    for (;;) {
        while (lexer->at < lexer->source->size && bytes_of[(unsigned char)text[lexer->at]] & BYTE_BLANK)
            lexer->at++;
        if (peek(lexer, 0) == '/' && peek(lexer, 1) == '/') {
            while (lexer->at < lexer->source->size && peek(lexer, 0) != '\n')
                lexer->at++;
        } else {
            return;
        }
    }
}

static void lex_integer(expr_lexer *lexer, expr_token *token, unsigned base, uint32_t start)
{
    uint64_t number = 0;
    unsigned digits = 0;
    for (int d; (d = hex_digit(peek(lexer, 0))) >= 0 && d < (int)base; lexer->at++, digits++) {
        if (number > (UINT64_MAX - (unsigned)d) / base) {
            fail(lexer, token, start, VENV_EINVAL, "the number does not fit 64 bits; write it as a double (with a point)");
            return;
        }
        number = number * base + (unsigned)d;
    }
    if (!digits) {
        fail(lexer, token, start, VENV_EINVAL, "expected hexadecimal digits after 0x");
        return;
    }
    token->kind = TOK_INT;
    if (peek(lexer, 0) == 'u' || peek(lexer, 0) == 'U') {
        lexer->at++;
        token->kind = TOK_UINT;
    } else if (number > (uint64_t)INT64_MAX + 1) {
        fail(lexer, token, start, VENV_EINVAL, "the integer does not fit 64 bits with a sign; append u for an unsigned one");
        return;
    }
    token->number.u = number;
}

static size_t count_digits(const expr_lexer *lexer, size_t offset)
{
    size_t count = 0;
    while (is_digit(peek(lexer, offset + count)))
        count++;
    return count;
}

static void lex_number(expr_lexer *lexer, expr_token *token)
{
    uint32_t start = lexer->at;
    if (peek(lexer, 0) == '0' && (peek(lexer, 1) == 'x' || peek(lexer, 1) == 'X')) {
        lexer->at += 2;
        lex_integer(lexer, token, 16, start);
    } else {
        size_t whole = count_digits(lexer, 0);
        size_t size = whole;
        bool is_double = false;
        if (peek(lexer, size) == '.' && is_digit(peek(lexer, size + 1))) {
            size += 1 + count_digits(lexer, size + 1);
            is_double = true;
        }
        if (peek(lexer, size) == 'e' || peek(lexer, size) == 'E') {
            size_t sign = peek(lexer, size + 1) == '+' || peek(lexer, size + 1) == '-';
            size_t digits = count_digits(lexer, size + 1 + sign);
            if (digits) {
                size += 1 + sign + digits;
                is_double = true;
            }
        }
        if (!is_double) {
            lex_integer(lexer, token, 10, start);
        } else {
            token->kind = TOK_DOUBLE;
            lexer->at += (uint32_t)size;
            if (!venv_double_parse((venv_str){ lexer->source->text + start, size }, &token->number.d))
                fail(lexer, token, start, VENV_EINVAL, "this is no number");
            else if (isinf(token->number.d))
                fail(lexer, token, start, VENV_EINVAL, "the number is larger than a double can be");
        }
    }
    if (token->kind != TOK_BAD && is_name_part(peek(lexer, 0)))
        fail(lexer, token, start, VENV_EINVAL, "a letter follows a number; expected an operator or a space");
}

/* Append a code point, or a byte where the literal is bytes. */
static bool put_point(char *out, size_t *size, uint32_t point)
{
    char utf8[4];
    size_t length = venv_utf8_encode(point, utf8);
    memcpy(out + *size, utf8, length);
    *size += length;
    return length > 0;
}

/* Digits of \xHH, \uHHHH, \UHHHHHHHH or \OOO. */
static bool take_digits(expr_lexer *lexer, unsigned count, unsigned base, uint32_t *ret_number)
{
    uint32_t number = 0;
    for (unsigned i = 0; i < count; i++) {
        int d = hex_digit(peek(lexer, 0));
        if (d < 0 || d >= (int)base)
            return false;
        number = number * base + (unsigned)d;
        lexer->at++;
    }
    *ret_number = number;
    return true;
}

/* An escape sequence, behind its backslash. */
static bool lex_escape(expr_lexer *lexer, expr_token *token, bool bytes, char *out, size_t *size)
{
    static const char simple[] = "a\ab\bf\fn\nr\rt\tv\v\\\\??\"\"''``";
    uint32_t start = lexer->at - 1;
    char c = peek(lexer, 0);
    uint32_t number = 0;
    lexer->at++;
    for (size_t i = 0; c && i + 1 < sizeof simple; i += 2) {
        if (simple[i] == c) {
            out[(*size)++] = simple[i + 1];
            return true;
        }
    }
    bool ok = false;
    bool byte = false;
    if (c == 'x' || c == 'X') {
        ok = take_digits(lexer, 2, 16, &number);
        byte = true;
    } else if (c == 'u' && !bytes) {
        ok = take_digits(lexer, 4, 16, &number);
    } else if (c == 'U' && !bytes) {
        ok = take_digits(lexer, 8, 16, &number);
    } else if (c >= '0' && c <= '3') {
        lexer->at--;
        ok = take_digits(lexer, 3, 8, &number);
        byte = true;
    }
    if (!ok) {
        fail(lexer, token, start, VENV_EINVAL,
             bytes ? "no such escape sequence in bytes; expected \\n, \\t, \\\\, \\\", \\xHH, \\OOO, … (or r\"…\" for raw text)"
                   : "no such escape sequence; expected \\n, \\t, \\\\, \\\", \\xHH, \\uHHHH, \\UHHHHHHHH, \\OOO, … (or r\"…\" for raw text)");
        return false;
    }
    if (bytes && byte) {
        out[(*size)++] = (char)number;
        return true;
    }
    if (!put_point(out, size, number)) {
        fail(lexer, token, start, VENV_EINVAL, "the escape sequence is no Unicode code point");
        return false;
    }
    return true;
}

/* The text between quotes. An escape never decodes to more bytes than it is written with. */
static void lex_text(expr_lexer *lexer, expr_token *token, bool raw, bool bytes)
{
    char quote = peek(lexer, 0);
    bool triple = peek(lexer, 1) == quote && peek(lexer, 2) == quote;
    uint32_t start = lexer->at;
    lexer->at += triple ? 3 : 1;
    uint32_t begin = lexer->at;
    char *out = NULL; /* made at the first escape; until then the text is borrowed */
    size_t size = 0;
    for (;;) {
        if (lexer->at >= lexer->source->size || (!triple && (peek(lexer, 0) == '\n' || peek(lexer, 0) == '\r'))) {
            fail(lexer, token, start, VENV_EINVAL,
                 triple ? "the text is not closed; expected three quotes" : "the text is not closed; expected a quote before the end of the line");
            return;
        }
        char c = peek(lexer, 0);
        if (c == quote && (!triple || (peek(lexer, 1) == quote && peek(lexer, 2) == quote)))
            break;
        if (c == '\\' && !raw) {
            if (!out) {
                if (!(out = venv_arena_alloc(lexer->arena, lexer->source->size - begin + 1))) {
                    fail(lexer, token, start, VENV_ENOMEM, "out of memory");
                    return;
                }
                memcpy(out, lexer->source->text + begin, size);
            }
            lexer->at++;
            if (!lex_escape(lexer, token, bytes, out, &size))
                return;
            continue;
        }
        lexer->at++;
        if (out)
            out[size] = c;
        size++;
    }
    token->kind = bytes ? TOK_BYTES : TOK_STRING;
    token->text = (venv_str){ out ? out : lexer->source->text + begin, size };
    lexer->at += triple ? 3 : 1;
}

static bool lex_prefixed_text(expr_lexer *lexer, expr_token *token)
{
    bool raw = false, bytes = false;
    size_t at = 0;
    for (; at < 2; at++) {
        char c = peek(lexer, at);
        if ((c == 'r' || c == 'R') && !raw)
            raw = true;
        else if ((c == 'b' || c == 'B') && !bytes && !raw) /* br"…", and not rb"…" */
            bytes = true;
        else
            break;
    }
    if (peek(lexer, at) != '"' && peek(lexer, at) != '\'')
        return false;
    lexer->at += (uint32_t)at;
    lex_text(lexer, token, raw, bytes);
    return true;
}

static void lex_quoted_name(expr_lexer *lexer, expr_token *token)
{
    uint32_t start = ++lexer->at;
    while (is_name_part(peek(lexer, 0)) || (peek(lexer, 0) && strchr(".-/ ", peek(lexer, 0))))
        lexer->at++;
    token->kind = TOK_QUOTED;
    token->text = (venv_str){ lexer->source->text + start, lexer->at - start };
    if (peek(lexer, 0) != '`' || !token->text.size) {
        fail(lexer, token, start - 1, VENV_EINVAL, "expected letters, digits, '_', '.', '-', '/' or spaces, and a closing `");
        return;
    }
    lexer->at++;
}

static void lex_punct(expr_lexer *lexer, expr_token *token)
{
    char a = peek(lexer, 0), b = peek(lexer, 1);
    token->kind = TOK_PUNCT;
    bool two = (b == '=' && (a == '=' || a == '!' || a == '<' || a == '>')) || (a == '&' && b == '&') ||
               (a == '|' && b == '|');
    if (two) {
        token->punct = PUNCT(a, b);
        lexer->at += 2;
        return;
    }
    if (!(bytes_of[(unsigned char)a] & BYTE_PUNCT)) {
        const char *what = a == '=' ? "a single '='; expected '==' to compare"
                           : a == '&' ? "a single '&'; expected '&&' (bits: math.bitAnd)"
                           : a == '|' ? "a single '|'; expected '||' (bits: math.bitOr)"
                                      : "no expression has such a character outside of quotes";
        fail(lexer, token, lexer->at, VENV_EINVAL, what);
        return;
    }
    token->punct = PUNCT(a, 0);
    lexer->at++;
}

static token_word word_of(venv_str name)
{
    static const struct {
        char text[10];
        token_word word;
    } words[] = {
        { "in", WORD_IN },          { "true", WORD_TRUE },       { "false", WORD_FALSE },     { "null", WORD_NULL },
        { "as", WORD_RESERVED },    { "break", WORD_RESERVED },  { "const", WORD_RESERVED },  { "continue", WORD_RESERVED },
        { "else", WORD_RESERVED },  { "for", WORD_RESERVED },    { "function", WORD_RESERVED }, { "if", WORD_RESERVED },
        { "import", WORD_RESERVED }, { "let", WORD_RESERVED },   { "loop", WORD_RESERVED },   { "package", WORD_RESERVED },
        { "namespace", WORD_RESERVED }, { "return", WORD_RESERVED }, { "var", WORD_RESERVED }, { "void", WORD_RESERVED },
        { "while", WORD_RESERVED },
    };
    if (name.size < 2 || name.size >= sizeof words[0].text)
        return WORD_NONE;
    for (size_t i = 0; i < VENV_COUNT_OF(words); i++) {
        const char *text = words[i].text;
        if (text[0] == name.data[0] && text[1] == name.data[1] && !text[name.size] &&
            !memcmp(text, name.data, name.size))
            return words[i].word;
    }
    return WORD_NONE;
}

static void lex_name(expr_lexer *lexer, expr_token *token)
{
    const char *text = lexer->source->text;
    uint32_t at = lexer->at;
    while (at < lexer->source->size && is_name_part(text[at]))
        at++;
    lexer->at = at;
    token->kind = TOK_IDENT;
    token->text = (venv_str){ text + token->pos, at - token->pos };
    token->word = word_of(token->text);
}

void venv_cel_lex(expr_lexer *lexer, expr_token *ret_token)
{
    skip_blank(lexer);
    *ret_token = (expr_token){ .pos = lexer->at };
    if (lexer->at >= lexer->source->size) {
        ret_token->kind = TOK_END;
        return;
    }
    char c = peek(lexer, 0);
    if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1)))) {
        lex_number(lexer, ret_token);
    } else if (c == '"' || c == '\'') {
        lex_text(lexer, ret_token, false, false);
    } else if (is_name_start(c)) {
        if (!lex_prefixed_text(lexer, ret_token))
            lex_name(lexer, ret_token);
    } else if (c == '`') {
        lex_quoted_name(lexer, ret_token);
    } else {
        lex_punct(lexer, ret_token);
    }
    ret_token->size = lexer->at - ret_token->pos;
}
