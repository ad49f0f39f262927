/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions: the pattern becomes a list of steps (characters, forks, jumps), and a search keeps
 * the set of steps that are possible at each character (K. Thompson, Regular Expression Search
 * Algorithm, CACM 11(6), 1968; R. Pike's and R. Cox's form of it). No step is in the set twice, so the
 * work for a character is bounded by the number of steps. Back-references and look-around, which would
 * break that, are not in the syntax.
 *
 * Jumps are relative: a piece of the list can be moved and copied, which is how repetitions are made.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "expr/regex.h"

#include "base/buf.h"
#include "base/text.h"

#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

typedef enum step_op {
    STEP_POINT, /* this code point */
    STEP_ANY,   /* any but \n */
    STEP_ALL,   /* any */
    STEP_CLASS, /* x: which */
    STEP_FORK,  /* x and y: where to go on */
    STEP_JUMP,  /* x */
    STEP_TEXT_BEGIN,
    STEP_TEXT_END,
    STEP_LINE_BEGIN,
    STEP_LINE_END,
    STEP_WORD_EDGE,
    STEP_NO_WORD_EDGE,
    STEP_MATCH,
} step_op;

typedef struct regex_step {
    uint8_t op;
    int32_t x, y;
} regex_step;

typedef struct regex_class {
    uint64_t ascii[2]; /* decided when it was compiled */
    pcre2_code *code;  /* decides about all others; NULL: the ranges do */
    uint32_t *ranges;  /* first, last, first, last */
    uint32_t range_count;
    bool negated;
} regex_class;

enum { FLAG_CASE = 1, FLAG_MULTI = 2, FLAG_DOTALL = 4 };

typedef struct parse {
    expr_regex *regex;
    const char *at, *end;
    unsigned flags;
    unsigned depth;
    venv_rc rc;
    venv_error *err;
    unsigned name_count;
    venv_str names[EXPR_REGEX_NAMES_MAX]; /* of the groups so far */
} parse;

static bool fail(parse *p, venv_rc rc, const char *what)
{
    if (p->rc == VENV_OK) {
        size_t place = (size_t)(p->at - p->regex->pattern);
        if (rc == VENV_ENOMEM)
            p->rc = venv_error_set(p->err, rc, "out of memory");
        else
            p->rc = venv_error_set(p->err, rc, "the regular expression '%.60s' is not accepted at byte %zu: %s",
                                   p->regex->pattern, place, what);
    }
    return false;
}

static bool more(const parse *p)
{
    return p->at < p->end;
}

static bool take(parse *p, char c)
{
    if (more(p) && *p->at == c) {
        p->at++;
        return true;
    }
    return false;
}

static bool looking_at(const parse *p, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(p->end - p->at) >= size && !memcmp(p->at, text, size);
}

/* ---- steps ---- */

static bool make_room(parse *p, uint32_t count)
{
    expr_regex *regex = p->regex;
    if (count > EXPR_REGEX_STEPS_MAX || regex->step_count + count > EXPR_REGEX_STEPS_MAX)
        return fail(p, VENV_ELIMIT, "it is too large; make its repetitions smaller");
    if (regex->step_count + count <= regex->step_capacity)
        return true;
    uint32_t capacity = (regex->step_count + count) * 2;
    regex_step *grown = realloc(regex->steps, capacity * sizeof *grown);
    if (!grown)
        return fail(p, VENV_ENOMEM, "");
    regex->steps = grown;
    regex->step_capacity = capacity;
    return true;
}

static bool emit(parse *p, step_op op, int32_t x, int32_t y)
{
    if (!make_room(p, 1))
        return false;
    p->regex->steps[p->regex->step_count++] = (regex_step){ (uint8_t)op, x, y };
    return true;
}

/* Put a step before a piece that reaches to the end. */
static bool insert(parse *p, uint32_t at, step_op op, int32_t x, int32_t y)
{
    if (!make_room(p, 1))
        return false;
    regex_step *steps = p->regex->steps;
    memmove(&steps[at + 1], &steps[at], (p->regex->step_count - at) * sizeof *steps);
    steps[at] = (regex_step){ (uint8_t)op, x, y };
    p->regex->step_count++;
    return true;
}

static int32_t distance(const parse *p, uint32_t to)
{
    return (int32_t)to - (int32_t)p->regex->step_count;
}

/* ---- classes ---- */

/* A class while it is read: ranges, and the same as text for PCRE2 if it has to decide. */
typedef struct class_draft {
    uint32_t ranges[256];
    uint32_t count;
    bool negated;
    bool needs_pcre;
    venv_buf text;
} class_draft;

static bool add_range(parse *p, class_draft *draft, uint32_t first, uint32_t last)
{
    if (draft->count + 2 > sizeof draft->ranges / sizeof *draft->ranges)
        return fail(p, VENV_ELIMIT, "the class has too many parts");
    draft->ranges[draft->count++] = first;
    draft->ranges[draft->count++] = last;
    venv_buf_printf(&draft->text, "\\x{%x}-\\x{%x}", first, last);
    return true;
}

/* Pairs of an ASCII class, as text: "az09". */
static bool add_pairs(parse *p, class_draft *draft, const char *pairs, bool negated)
{
    if (!negated) {
        for (; *pairs; pairs += 2) {
            if (!add_range(p, draft, (uint8_t)pairs[0], (uint8_t)pairs[1]))
                return false;
        }
        return true;
    }
    uint32_t next = 0;
    for (; *pairs; pairs += 2) {
        if ((uint8_t)pairs[0] > next && !add_range(p, draft, next, (uint32_t)(uint8_t)pairs[0] - 1))
            return false;
        next = (uint32_t)(uint8_t)pairs[1] + 1;
    }
    return add_range(p, draft, next, 0x10ffff);
}

#define PAIRS_DIGIT "09"
#define PAIRS_SPACE "\t\n\f\r  "
#define PAIRS_WORD  "09AZ__az"

/* \d \D \s \S \w \W: ASCII, as in RE2. */
static bool add_perl(parse *p, class_draft *draft, char c)
{
    switch (c | 0x20) {
    case 'd':
        return add_pairs(p, draft, PAIRS_DIGIT, c == 'D');
    case 's':
        return add_pairs(p, draft, PAIRS_SPACE, c == 'S');
    default:
        return add_pairs(p, draft, PAIRS_WORD, c == 'W');
    }
}

static bool is_perl(char c)
{
    return c && strchr("dDsSwW", c);
}

/* \pL \PL \p{Greek} \p{^Greek}, behind its letter. */
static bool add_property(parse *p, class_draft *draft, bool negated)
{
    char name[40];
    size_t size = 0;
    if (take(p, '{')) {
        if (take(p, '^'))
            negated = !negated;
        while (more(p) && *p->at != '}' && size + 1 < sizeof name) {
            char c = *p->at++;
            if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'))
                return fail(p, VENV_EINVAL, "expected the name of a Unicode category or script");
            name[size++] = c;
        }
        if (!take(p, '}'))
            return fail(p, VENV_EINVAL, "expected '}'");
    } else if (more(p)) {
        name[size++] = *p->at++;
        if (name[0] < 'A' || name[0] > 'Z')
            return fail(p, VENV_EINVAL, "expected the name of a Unicode category");
    }
    name[size] = '\0';
    draft->needs_pcre = true;
    venv_buf_printf(&draft->text, "\\%c{%s}", negated ? 'P' : 'p', name);
    return size > 0 || fail(p, VENV_EINVAL, "expected the name of a Unicode category or script");
}

static bool in_ranges(const uint32_t *ranges, uint32_t count, uint32_t point)
{
    for (uint32_t i = 0; i < count; i += 2) {
        if (point >= ranges[i] && point <= ranges[i + 1])
            return true;
    }
    return false;
}

static pcre2_code *compile_class(parse *p, class_draft *draft)
{
    venv_buf text;
    int error;
    PCRE2_SIZE offset;
    venv_buf_init(&text, 65536);
    venv_buf_append_text(&text, draft->negated ? "\\A[^" : "\\A[");
    venv_buf_append(&text, draft->text.data, draft->text.size);
    venv_buf_append_text(&text, "]\\z");
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | (p->flags & FLAG_CASE ? PCRE2_CASELESS : 0u);
    pcre2_code *code = NULL;
    if (text.rc != VENV_OK || draft->text.rc != VENV_OK) {
        (void)fail(p, VENV_ENOMEM, "");
    } else if (!(code = pcre2_compile(text.data, text.size, options, &error, &offset, NULL))) {
        if (error == PCRE2_ERROR_HEAP_FAILED)
            (void)fail(p, VENV_ENOMEM, "");
        else
            (void)fail(p, VENV_EINVAL, "no such Unicode category or script");
    }
    venv_buf_fini(&text);
    return code;
}

static bool pcre_has(const pcre2_code *code, pcre2_match_data *data, const char *bytes, size_t size)
{
    return pcre2_match(code, (PCRE2_SPTR)bytes, size, 0, PCRE2_NO_UTF_CHECK, data, NULL) >= 0;
}

static bool decide_ascii(parse *p, regex_class *class)
{
    pcre2_match_data *data = class->code ? pcre2_match_data_create(1, NULL) : NULL;
    if (class->code && !data)
        return fail(p, VENV_ENOMEM, "");
    for (unsigned c = 0; c < 128; c++) {
        char byte = (char)c;
        bool in = class->code ? pcre_has(class->code, data, &byte, 1)
                              : in_ranges(class->ranges, class->range_count, c) != class->negated;
        if (in)
            class->ascii[c / 64] |= UINT64_C(1) << c % 64;
    }
    if (data)
        pcre2_match_data_free(data);
    return true;
}

/* Ends the draft in every case. */
static bool finish_class(parse *p, class_draft *draft)
{
    expr_regex *regex = p->regex;
    bool ok = p->rc == VENV_OK;
    regex_class class = { .negated = draft->negated, .range_count = draft->count };
    if (ok && regex->class_count >= EXPR_REGEX_CLASSES_MAX)
        ok = fail(p, VENV_ELIMIT, "it has too many classes");
    regex_class *grown = ok ? realloc(regex->classes, (regex->class_count + 1) * sizeof *grown) : NULL;
    if (ok && !grown)
        ok = fail(p, VENV_ENOMEM, "");
    if (grown)
        regex->classes = grown;
    if (ok && (draft->needs_pcre || (p->flags & FLAG_CASE)))
        ok = (class.code = compile_class(p, draft)) != NULL;
    if (ok && !(class.ranges = malloc((draft->count + 1) * sizeof *class.ranges)))
        ok = fail(p, VENV_ENOMEM, "");
    if (class.ranges)
        memcpy(class.ranges, draft->ranges, draft->count * sizeof *class.ranges);
    ok = ok && decide_ascii(p, &class);
    venv_buf_fini(&draft->text);
    if (!ok) {
        pcre2_code_free(class.code);
        free(class.ranges);
        return false;
    }
    regex->classes[regex->class_count++] = class;
    return emit(p, STEP_CLASS, (int32_t)(regex->class_count - 1), 0);
}

/* ---- characters ---- */

static bool take_point(parse *p, uint32_t *ret_point)
{
    size_t size = venv_utf8_decode(p->at, (size_t)(p->end - p->at), ret_point);
    p->at += size;
    return size > 0 || fail(p, VENV_EINVAL, "it is not valid UTF-8");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \xHH or \x{H…}, behind the x. */
static bool take_hex(parse *p, uint32_t *ret_point)
{
    uint32_t point = 0;
    unsigned digits = 0;
    bool braces = take(p, '{');
    for (int d; more(p) && digits < (braces ? 6u : 2u) && (d = hex_digit(*p->at)) >= 0; p->at++, digits++)
        point = point << 4 | (unsigned)d;
    if (!digits || (braces ? !take(p, '}') : digits != 2) || point > 0x10ffff)
        return fail(p, VENV_EINVAL, "expected \\xHH or \\x{HHHH}");
    *ret_point = point;
    return true;
}

/* The code point that an escape stands for, behind its backslash. */
static bool take_escaped(parse *p, uint32_t *ret_point)
{
    static const char simple[] = "a\af\ft\tn\nr\rv\v";
    if (!more(p))
        return fail(p, VENV_EINVAL, "it ends with a backslash");
    char c = *p->at;
    for (size_t i = 0; i + 1 < sizeof simple; i += 2) {
        if (simple[i] == c) {
            p->at++;
            *ret_point = (uint8_t)simple[i + 1];
            return true;
        }
    }
    if (c == 'x') {
        p->at++;
        return take_hex(p, ret_point);
    }
    if (c == '0' || (c >= '1' && c <= '7' && p->end - p->at > 1 && p->at[1] >= '0' && p->at[1] <= '7')) {
        uint32_t point = 0;
        for (unsigned i = 0; i < 3 && more(p) && *p->at >= '0' && *p->at <= '7'; i++)
            point = point * 8 + (uint32_t)(*p->at++ - '0');
        *ret_point = point;
        return true;
    }
    bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (word || (unsigned char)c >= 0x80)
        return fail(p, VENV_EINVAL,
                    c >= '1' && c <= '9' ? "back-references are not offered: a search takes linear time" : "no such escape sequence");
    return take_point(p, ret_point);
}

static bool emit_point(parse *p, uint32_t point)
{
    if (!(p->flags & FLAG_CASE))
        return emit(p, STEP_POINT, (int32_t)point, 0);
    class_draft draft = { .count = 0 };
    venv_buf_init(&draft.text, 64);
    (void)add_range(p, &draft, point, point);
    return finish_class(p, &draft);
}

static bool emit_any(parse *p)
{
    return emit(p, p->flags & FLAG_DOTALL ? STEP_ALL : STEP_ANY, 0, 0);
}

/* [:alpha:] at a place inside of a class. */
static bool add_posix(parse *p, class_draft *draft)
{
    static const struct {
        const char *name, *pairs;
    } names[] = {
        { "alnum", "09AZaz" }, { "alpha", "AZaz" },  { "ascii", "\x01\x7f" }, { "blank", "\t\t  " }, { "cntrl", "\x01\x1f\x7f\x7f" },
        { "digit", "09" },     { "graph", "!~" },    { "lower", "az" },       { "print", " ~" },     { "punct", "!/:@[`{~" },
        { "space", "\t\r  " }, { "upper", "AZ" },    { "word", PAIRS_WORD },  { "xdigit", "09AFaf" },
    };
    p->at += 2;
    bool negated = take(p, '^');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = strlen(names[i].name);
        if (!looking_at(p, names[i].name) || (size_t)(p->end - p->at) < size + 2 || memcmp(p->at + size, ":]", 2) != 0)
            continue;
        p->at += size + 2;
        bool zero = !negated && (!strcmp(names[i].name, "ascii") || !strcmp(names[i].name, "cntrl"));
        return (!zero || add_range(p, draft, 0, 0)) && add_pairs(p, draft, names[i].pairs, negated);
    }
    return fail(p, VENV_EINVAL, "no such class; expected [:alpha:], [:digit:], …");
}

static bool class_point(parse *p, uint32_t *ret_point)
{
    return take(p, '\\') ? take_escaped(p, ret_point) : take_point(p, ret_point);
}

static bool parse_class_item(parse *p, class_draft *draft)
{
    if (looking_at(p, "[:"))
        return add_posix(p, draft);
    if (*p->at == '\\' && p->at + 1 < p->end) {
        char c = p->at[1];
        if (is_perl(c)) {
            p->at += 2;
            return add_perl(p, draft, c);
        }
        if (c == 'p' || c == 'P') {
            p->at += 2;
            return add_property(p, draft, c == 'P');
        }
    }
    uint32_t first, last;
    if (!class_point(p, &first))
        return false;
    last = first;
    if (p->at + 1 < p->end && *p->at == '-' && p->at[1] != ']') {
        p->at++;
        if (!class_point(p, &last))
            return false;
        if (last < first)
            return fail(p, VENV_EINVAL, "the range is backwards");
    }
    return add_range(p, draft, first, last);
}

/* Behind the bracket. */
static bool parse_class(parse *p)
{
    class_draft draft = { .count = 0 };
    venv_buf_init(&draft.text, 32768);
    draft.negated = take(p, '^');
    bool first = true;
    while (p->rc == VENV_OK && (first || (more(p) && *p->at != ']'))) {
        if (!more(p) || !parse_class_item(p, &draft))
            break;
        first = false;
    }
    if (p->rc == VENV_OK && !take(p, ']'))
        (void)fail(p, VENV_EINVAL, "expected ']'");
    return finish_class(p, &draft);
}

/* ---- structure ---- */

static bool parse_alternatives(parse *p);

/* Letters, digits and '_', each name once, as RE2 has it. Nothing asks for what a group caught. */
static bool take_group_name(parse *p)
{
    const char *start = p->at;
    while (more(p) && (isalnum((unsigned char)*p->at) || *p->at == '_'))
        p->at++;
    venv_str name = { start, (size_t)(p->at - start) };
    for (unsigned i = 0; i < p->name_count; i++) {
        if (p->names[i].size == name.size && !memcmp(p->names[i].data, name.data, name.size))
            return fail(p, VENV_EINVAL, "another group has this name");
    }
    if (p->name_count == EXPR_REGEX_NAMES_MAX)
        return fail(p, VENV_ELIMIT, "it has too many named groups");
    p->names[p->name_count++] = name;
    return (name.size && take(p, '>')) || fail(p, VENV_EINVAL, "expected the name of a group, of letters, digits and '_', and '>'");
}

/* (?flags), (?flags:…), (?P<name>…), (?<name>…), behind "(?". True with *ret_group: a group follows. */
static bool parse_group_head(parse *p, bool *ret_group)
{
    *ret_group = true;
    bool python = take(p, 'P');
    if (take(p, '<')) {
        if (more(p) && (*p->at == '=' || *p->at == '!'))
            return fail(p, VENV_EINVAL, "look-behind is not offered: a search takes linear time");
        return take_group_name(p);
    }
    bool off = false;
    while (more(p) && !python) {
        char c = *p->at++;
        unsigned flag = c == 'i' ? FLAG_CASE : c == 'm' ? FLAG_MULTI : c == 's' ? FLAG_DOTALL : 0u;
        if (flag)
            p->flags = off ? p->flags & ~flag : p->flags | flag;
        else if (c == '-' && !off)
            off = true;
        else if (c == ':')
            return true;
        else if (c == ')') {
            *ret_group = false;
            return true;
        } else if (c != 'U')
            return fail(p, VENV_EINVAL,
                        c == '=' || c == '!' ? "look-ahead is not offered: a search takes linear time" : "no such group; expected (?:…), (?i), (?P<name>…)");
    }
    return fail(p, VENV_EINVAL, python ? "expected '<' and the name of a group behind '(?P'" : "expected ')'");
}

static bool parse_group(parse *p, bool *ret_empty)
{
    unsigned flags = p->flags;
    bool group = true;
    if (take(p, '?') && !parse_group_head(p, &group))
        return false;
    if (!group) { /* the flags hold until the end of the group around */
        *ret_empty = true;
        return true;
    }
    if (++p->depth > EXPR_REGEX_DEPTH_MAX)
        return fail(p, VENV_ELIMIT, "its brackets nest too deep");
    if (!parse_alternatives(p))
        return false;
    p->depth--;
    p->flags = flags;
    return take(p, ')') || fail(p, VENV_EINVAL, "expected ')'");
}

static bool parse_escape(parse *p)
{
    if (!more(p))
        return fail(p, VENV_EINVAL, "it ends with a backslash");
    char c = *p->at;
    if (is_perl(c) || c == 'p' || c == 'P') {
        class_draft draft = { .count = 0 };
        venv_buf_init(&draft.text, 1024);
        p->at++;
        if (is_perl(c))
            (void)add_perl(p, &draft, c);
        else
            (void)add_property(p, &draft, c == 'P');
        return finish_class(p, &draft);
    }
    static const struct {
        char c;
        step_op op;
    } edges[] = { { 'A', STEP_TEXT_BEGIN }, { 'z', STEP_TEXT_END }, { 'b', STEP_WORD_EDGE }, { 'B', STEP_NO_WORD_EDGE } };
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        if (edges[i].c == c) {
            p->at++;
            return emit(p, edges[i].op, 0, 0);
        }
    }
    uint32_t point;
    return take_escaped(p, &point) && emit_point(p, point);
}

/* \Q…\E, behind the Q: its characters but the last, which a repetition may follow. */
static bool parse_quoted(parse *p)
{
    while (more(p) && !looking_at(p, "\\E")) {
        uint32_t point;
        if (!take_point(p, &point) || !emit_point(p, point))
            return false;
    }
    p->at += more(p) ? 2 : 0;
    return true;
}

/* One character, class or group. *ret_repeats: a repetition may follow. */
static bool parse_atom(parse *p, bool *ret_repeats)
{
    *ret_repeats = true;
    bool empty = false;
    if (looking_at(p, "\\Q")) {
        p->at += 2;
        *ret_repeats = false;
        return parse_quoted(p);
    }
    switch (*p->at) {
    case '(':
        p->at++;
        if (!parse_group(p, &empty))
            return false;
        *ret_repeats = !empty;
        return true;
    case '[':
        p->at++;
        return parse_class(p);
    case '.':
        p->at++;
        return emit_any(p);
    case '^':
        p->at++;
        return emit(p, p->flags & FLAG_MULTI ? STEP_LINE_BEGIN : STEP_TEXT_BEGIN, 0, 0);
    case '$':
        p->at++;
        return emit(p, p->flags & FLAG_MULTI ? STEP_LINE_END : STEP_TEXT_END, 0, 0);
    case '\\':
        p->at++;
        return parse_escape(p);
    case '*':
    case '+':
    case '?':
        return fail(p, VENV_EINVAL, "there is nothing to repeat");
    default: {
        uint32_t point;
        return take_point(p, &point) && emit_point(p, point);
    }
    }
}

#define NO_END UINT32_MAX

/* {n}, {n,} or {n,m}. False, and nothing taken, if it is something else: then '{' is a character. */
static bool take_counts(parse *p, uint32_t *ret_least, uint32_t *ret_most)
{
    const char *start = p->at;
    uint32_t number[2] = { 0, 0 };
    p->at++;
    for (int i = 0; i < 2; i++) {
        const char *digits = p->at;
        for (; more(p) && *p->at >= '0' && *p->at <= '9'; p->at++)
            number[i] = number[i] > 100000 ? number[i] : number[i] * 10 + (uint32_t)(*p->at - '0');
        if (i == 0 && p->at == digits)
            break;
        if (i == 1 && p->at == digits)
            number[1] = NO_END;
        if (take(p, '}')) {
            *ret_least = number[0];
            *ret_most = i == 0 ? number[0] : number[1];
            return true;
        }
        if (i == 1 || !take(p, ','))
            break;
    }
    p->at = start;
    return false;
}

static bool emit_copy(parse *p, const regex_step *piece, uint32_t size)
{
    if (!make_room(p, size))
        return false;
    if (size)
        memcpy(&p->regex->steps[p->regex->step_count], piece, size * sizeof *piece);
    p->regex->step_count += size;
    return true;
}

static bool emit_star(parse *p, uint32_t start)
{
    int32_t size = (int32_t)(p->regex->step_count - start);
    return insert(p, start, STEP_FORK, 1, size + 2) && emit(p, STEP_JUMP, distance(p, start), 0);
}

/* Repeat the piece from `start` to the end. */
static bool repeat(parse *p, uint32_t start, uint32_t least, uint32_t most)
{
    expr_regex *regex = p->regex;
    uint32_t size = regex->step_count - start;
    if (least > EXPR_REGEX_REPEAT_MAX || (most != NO_END && (most > EXPR_REGEX_REPEAT_MAX || most < least)))
        return fail(p, VENV_EINVAL, "a repetition is at most 1000, and not backwards");
    if (size == 0)
        return true; /* nothing, however often, is nothing */
    if (least == 0 && most == NO_END)
        return emit_star(p, start);
    if (least == 1 && most == NO_END)
        return emit(p, STEP_FORK, -(int32_t)size, 1);
    regex_step *piece = malloc((size + 1) * sizeof *piece);
    if (!piece)
        return fail(p, VENV_ENOMEM, "");
    memcpy(piece, &regex->steps[start], size * sizeof *piece);
    regex->step_count = start;
    bool ok = true;
    for (uint32_t i = 0; ok && i < least; i++)
        ok = emit_copy(p, piece, size);
    if (ok && most == NO_END) {
        ok = emit(p, STEP_FORK, -(int32_t)size, 1);
    } else {
        for (uint32_t rest = most - least; ok && rest > 0; rest--)
            ok = emit(p, STEP_FORK, 1, (int32_t)(rest * (size + 1))) && emit_copy(p, piece, size);
    }
    free(piece);
    return ok;
}

static bool parse_repetition(parse *p, uint32_t start)
{
    uint32_t least, most;
    if (!more(p))
        return true;
    if (take(p, '*')) {
        least = 0;
        most = NO_END;
    } else if (take(p, '+')) {
        least = 1;
        most = NO_END;
    } else if (take(p, '?')) {
        least = 0;
        most = 1;
    } else if (*p->at != '{' || !take_counts(p, &least, &most)) {
        return true;
    }
    (void)take(p, '?'); /* a lazy repetition matches the same texts */
    if (more(p) && (*p->at == '*' || *p->at == '+' || *p->at == '?'))
        return fail(p, VENV_EINVAL, "a repetition cannot be repeated; put it into brackets");
    return repeat(p, start, least, most);
}

static bool parse_sequence(parse *p)
{
    while (more(p) && *p->at != '|' && *p->at != ')') {
        uint32_t start = p->regex->step_count;
        bool repeats;
        if (!parse_atom(p, &repeats) || (repeats && !parse_repetition(p, start)))
            return false;
    }
    return true;
}

static bool parse_alternatives(parse *p)
{
    uint32_t branch = p->regex->step_count, last_jump = UINT32_MAX;
    for (;;) {
        if (!parse_sequence(p))
            return false;
        if (!take(p, '|'))
            break;
        uint32_t size = p->regex->step_count - branch;
        /* The jumps to the end are a list through y until the end is known. */
        if (!insert(p, branch, STEP_FORK, 1, (int32_t)size + 2) || !emit(p, STEP_JUMP, 0, (int32_t)last_jump))
            return false;
        last_jump = p->regex->step_count - 1;
        branch = p->regex->step_count;
    }
    while (last_jump != UINT32_MAX) {
        regex_step *jump = &p->regex->steps[last_jump];
        uint32_t next = (uint32_t)jump->y;
        jump->x = (int32_t)(p->regex->step_count - last_jump);
        last_jump = next;
    }
    return true;
}

venv_rc venv_cel_regex_new(venv_str pattern, expr_regex **ret_regex, venv_error *err)
{
    if (pattern.size > EXPR_REGEX_PATTERN_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the regular expression has %zu bytes, %u are allowed", pattern.size,
                              EXPR_REGEX_PATTERN_MAX);
    expr_regex *regex = calloc(1, sizeof *regex);
    if (!regex || !(regex->pattern = malloc(pattern.size + 1))) {
        free(regex);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    memcpy(regex->pattern, pattern.data, pattern.size);
    regex->pattern[pattern.size] = '\0';
    regex->pattern_size = pattern.size;
    parse p = { .regex = regex, .at = regex->pattern, .end = regex->pattern + pattern.size, .err = err };
    if (parse_alternatives(&p) && more(&p))
        (void)fail(&p, VENV_EINVAL, "there is a ')' too many");
    if (p.rc == VENV_OK)
        (void)emit(&p, STEP_MATCH, 0, 0);
    if (p.rc != VENV_OK) {
        venv_cel_regex_free(regex);
        return p.rc;
    }
    *ret_regex = regex;
    return VENV_OK;
}

void venv_cel_regex_free(expr_regex *regex)
{
    if (!regex)
        return;
    for (uint32_t i = 0; i < regex->class_count; i++) {
        pcre2_code_free(regex->classes[i].code);
        free(regex->classes[i].ranges);
    }
    free(regex->classes);
    free(regex->steps);
    free(regex->pattern);
    free(regex);
}

/* ---- searching ---- */

typedef struct search {
    const expr_regex *regex;
    venv_str text;
    uint32_t *now, *next, *stack; /* steps */
    uint32_t *mark;               /* of a step: the place at which it was last added, plus one */
    uint32_t now_count, next_count;
    uint64_t budget;
    pcre2_match_data *data; /* made for the first character that needs it */
    bool matched, no_memory;
} search;

size_t venv_cel_regex_memory(const expr_regex *regex)
{
    /* The stack holds both ways of a fork. */
    return (size_t)regex->step_count * 5 * sizeof(uint32_t) + 64;
}

static bool is_word_at(const search *s, size_t at)
{
    if (at >= s->text.size)
        return false;
    char c = s->text.data[at];
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool holds(const search *s, step_op op, size_t at)
{
    switch (op) {
    case STEP_TEXT_BEGIN:
        return at == 0;
    case STEP_TEXT_END:
        return at == s->text.size;
    case STEP_LINE_BEGIN:
        return at == 0 || s->text.data[at - 1] == '\n';
    case STEP_LINE_END:
        return at == s->text.size || s->text.data[at] == '\n';
    default: {
        bool edge = (at > 0 && is_word_at(s, at - 1)) != is_word_at(s, at);
        return edge == (op == STEP_WORD_EDGE);
    }
    }
}

/* Add a step, and what it leads to without a character, to the set for a place. */
static bool add(search *s, uint32_t first, size_t at)
{
    uint32_t depth = 0, place = (uint32_t)at + 1;
    s->stack[depth++] = first;
    while (depth) {
        uint32_t i = s->stack[--depth];
        if (s->budget-- == 0) {
            s->budget = 0;
            return false;
        }
        if (s->mark[i] == place)
            continue;
        s->mark[i] = place;
        const regex_step *step = &s->regex->steps[i];
        switch ((step_op)step->op) {
        case STEP_JUMP:
            s->stack[depth++] = (uint32_t)((int32_t)i + step->x);
            break;
        case STEP_FORK:
            s->stack[depth++] = (uint32_t)((int32_t)i + step->y);
            s->stack[depth++] = (uint32_t)((int32_t)i + step->x);
            break;
        case STEP_MATCH:
            s->matched = true;
            return true;
        case STEP_POINT:
        case STEP_ANY:
        case STEP_ALL:
        case STEP_CLASS:
            s->next[s->next_count++] = i;
            break;
        default:
            if (holds(s, (step_op)step->op, at))
                s->stack[depth++] = i + 1;
            break;
        }
    }
    return true;
}

static bool class_has(search *s, const regex_class *class, uint32_t point, const char *bytes, size_t size)
{
    if (point < 128)
        return class->ascii[point / 64] >> point % 64 & 1;
    if (!class->code)
        return in_ranges(class->ranges, class->range_count, point) != class->negated;
    if (!s->data && !(s->data = pcre2_match_data_create(1, NULL))) {
        s->no_memory = true;
        return false;
    }
    s->budget -= s->budget < 20 ? s->budget : 20;
    return pcre_has(class->code, s->data, bytes, size);
}

static bool takes(search *s, const regex_step *step, uint32_t point, const char *bytes, size_t size)
{
    switch ((step_op)step->op) {
    case STEP_POINT:
        return (uint32_t)step->x == point;
    case STEP_ANY:
        return point != '\n';
    case STEP_CLASS:
        return class_has(s, &s->regex->classes[step->x], point, bytes, size);
    default:
        return true;
    }
}

static venv_rc run(search *s)
{
    size_t at = 0;
    if (!add(s, 0, 0))
        return VENV_ELIMIT;
    while (!s->matched && at < s->text.size) {
        uint32_t *set = s->now, point;
        s->now = s->next;
        s->next = set;
        s->now_count = s->next_count;
        s->next_count = 0;
        size_t size = venv_utf8_decode(s->text.data + at, s->text.size - at, &point);
        if (!size) { /* cannot be: strings are UTF-8 */
            size = 1;
            point = 0xfffd;
        }
        for (uint32_t i = 0; i < s->now_count && !s->matched; i++) {
            if (s->budget-- == 0) {
                s->budget = 0;
                return VENV_ELIMIT;
            }
            const regex_step *step = &s->regex->steps[s->now[i]];
            if (takes(s, step, point, s->text.data + at, size) && !add(s, s->now[i] + 1, at + size))
                return VENV_ELIMIT;
            if (s->no_memory)
                return VENV_ENOMEM;
        }
        at += size;
        if (!s->matched && !add(s, 0, at)) /* a match may begin anywhere */
            return VENV_ELIMIT;
    }
    return VENV_OK;
}

venv_rc venv_cel_regex_search(const expr_regex *regex, venv_str text, void *memory, uint64_t *steps, bool *ret_found)
{
    uint32_t *words = memory;
    size_t n = regex->step_count;
    search s = { .regex = regex, .text = text, .now = words, .next = words + n, .mark = words + 2 * n,
                 .stack = words + 3 * n, .budget = *steps };
    memset(s.mark, 0, n * sizeof *s.mark);
    uint64_t setup = n / 8;
    if (s.budget < setup)
        return VENV_ELIMIT;
    s.budget -= setup;
    venv_rc rc = run(&s);
    if (s.data)
        pcre2_match_data_free(s.data);
    *steps = s.budget;
    *ret_found = s.matched;
    return rc;
}
