/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings: the standard functions and the strings extension of cel-spec. Places in a string count code
 * points; UTF-8 has been checked where a string came from, so that they can be counted by their first bytes.
 */
#include "expr/standard.h"

#include "expr/regex.h"

#include "base/text.h"

#include <string.h>

static bool is_first_byte(char c)
{
    return ((unsigned char)c & 0xc0u) != 0x80u;
}

static size_t count_points(venv_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += is_first_byte(text.data[i]);
    return count;
}

/* Offset of a code point; the size of the text for the one behind the last. SIZE_MAX beyond that. */
static size_t offset_of(venv_str text, uint64_t place)
{
    size_t at = 0;
    for (; at < text.size; at++) {
        if (is_first_byte(text.data[at]) && place-- == 0)
            return at;
    }
    return place == 0 ? text.size : SIZE_MAX;
}

static int charge_text(xctx *context, const xnode *node, const venv_value *args, uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (args[i].w.kind == VENV_STRING || args[i].w.kind == VENV_BYTES)
            size += venv_text_of(&args[i]).size;
    }
    return expr_charge(context, node, size / 8);
}

EXPR_FUNCTION(size_of)
{
    if (args[0].w.kind == VENV_LIST || args[0].w.kind == VENV_MAP) {
        *out = venv_value_int(args[0].w.as.object->count);
        return X_OK;
    }
    venv_str text = venv_text_of(&args[0]);
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    *out = venv_value_int((int64_t)(args[0].w.kind == VENV_BYTES ? text.size : count_points(text)));
    return X_OK;
}

/* A part of a string: its bytes stay where they are. An inline text is copied into the result. */
static venv_value part_of(const venv_value *value, size_t from, size_t to)
{
    venv_str text = venv_text_of(value);
    return venv_text_borrow(VENV_STRING, text.data + from, to - from);
}

/* A part that is borrowed must not point into the arguments: they are gone after the call. */
static int give_part(xctx *context, const xnode *node, const venv_value *value, size_t from, size_t to,
                     venv_value *out)
{
    (void)context;
    (void)node;
    *out = part_of(value, from, to); /* longer than inline: then its source is not inline either */
    return X_OK;
}

static bool find(venv_str text, venv_str wanted, size_t from, size_t *ret_at)
{
    if (wanted.size > text.size || from > text.size - wanted.size)
        return false;
    const char *found = wanted.size ? memmem(text.data + from, text.size - from, wanted.data, wanted.size) : text.data + from;
    if (!found)
        return false;
    *ret_at = (size_t)(found - text.data);
    return true;
}

EXPR_FUNCTION(contains)
{
    size_t at;
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    *out = venv_value_bool(find(venv_text_of(&args[0]), venv_text_of(&args[1]), 0, &at));
    return X_OK;
}

EXPR_FUNCTION(starts_with)
{
    (void)count;
    venv_str text = venv_text_of(&args[0]), wanted = venv_text_of(&args[1]);
    if (expr_charge_texts(context, node, &args[0], &args[1]) != X_OK)
        return X_FATAL;
    *out = venv_value_bool(wanted.size <= text.size && (!wanted.size || !memcmp(text.data, wanted.data, wanted.size)));
    return X_OK;
}

EXPR_FUNCTION(ends_with)
{
    (void)count;
    venv_str text = venv_text_of(&args[0]), wanted = venv_text_of(&args[1]);
    if (expr_charge_texts(context, node, &args[0], &args[1]) != X_OK)
        return X_FATAL;
    *out = venv_value_bool(wanted.size <= text.size &&
                           (!wanted.size || !memcmp(text.data + text.size - wanted.size, wanted.data, wanted.size)));
    return X_OK;
}

/* ---- matches ---- */

/* A pattern that was computed: kept in the context, as it is often the same again. */
static const expr_regex *computed_regex(xctx *context, const xnode *node, const venv_value *pattern, int *ret_status)
{
    venv_str text = venv_text_of(pattern);
    *ret_status = X_OK;
    /* Charged whether it is kept or not: what an evaluation costs does not depend on those before it. */
    if (expr_charge(context, node, EXPR_REGEX_COST + EXPR_REGEX_BYTE_COST * text.size) != X_OK) {
        *ret_status = X_FATAL;
        return NULL;
    }
    for (uint32_t i = 0; i < X_REGEXES_KEPT; i++) {
        const expr_regex *regex = context->regexes[i];
        if (regex && regex->pattern_size == text.size && !memcmp(regex->pattern, text.data, text.size))
            return regex;
    }
    expr_regex *regex = NULL;
    venv_error error = { .rc = VENV_OK };
    venv_rc rc = venv_cel_regex_new(text, &regex, &error);
    if (rc != VENV_OK) {
        size_t size = strlen(error.text);
        char *copy = venv_cel_alloc(context, node, size + 1);
        *ret_status = X_FATAL;
        if (copy) {
            memcpy(copy, error.text, size + 1);
            *ret_status = venv_cel_fail(context, node, rc == VENV_ENOMEM ? rc : VENV_EINVAL, copy);
        }
        return NULL;
    }
    uint32_t place = context->regex_next++ % X_REGEXES_KEPT;
    venv_cel_regex_free(context->regexes[place]);
    context->regexes[place] = regex;
    return regex;
}

#define STEPS_PER_UNIT 4u

EXPR_FUNCTION(matches)
{
    (void)count;
    int status = X_OK;
    const expr_regex *regex = node->u.call.regex;
    if (!regex && !(regex = computed_regex(context, node, &args[1], &status)))
        return status;
    void *memory = venv_cel_alloc(context, node, venv_cel_regex_memory(regex));
    if (!memory)
        return X_FATAL;
    uint64_t left = context->cost_max - context->cost;
    uint64_t budget = left > UINT64_MAX / STEPS_PER_UNIT ? UINT64_MAX : left * STEPS_PER_UNIT;
    uint64_t steps = budget;
    bool found = false;
    venv_rc rc = venv_cel_regex_search(regex, venv_text_of(&args[0]), memory, &steps, &found);
    context->cost += (budget - steps + STEPS_PER_UNIT - 1) / STEPS_PER_UNIT;
    if (rc != VENV_OK)
        return rc == VENV_ENOMEM ? venv_cel_fail(context, node, rc, "out of memory") : venv_cel_fail_cost(context, node);
    /* What a match worked with is not kept: the last piece of memory goes back. */
    size_t size = (venv_cel_regex_memory(regex) + 15u) & ~(size_t)15u;
    context->block_used -= size;
    context->used -= size;
    *out = venv_value_bool(found);
    return X_OK;
}

/* ---- places ---- */

static int bad_place(xctx *context, const xnode *node, const venv_value *place)
{
    return venv_cel_fail_value(context, node, "the index is out of range: ", place);
}

EXPR_FUNCTION(char_at)
{
    venv_str text = venv_text_of(&args[0]);
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    size_t from = args[1].w.as.i < 0 ? SIZE_MAX : offset_of(text, args[1].w.as.u);
    if (from == SIZE_MAX)
        return bad_place(context, node, &args[1]);
    size_t to = from;
    if (to < text.size) {
        for (to++; to < text.size && !is_first_byte(text.data[to]); to++)
            ;
    }
    return give_part(context, node, &args[0], from, to, out);
}

EXPR_FUNCTION(index_of)
{
    venv_str text = venv_text_of(&args[0]), wanted = venv_text_of(&args[1]);
    size_t from = 0, at;
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    if (count == 3) {
        from = args[2].w.as.i < 0 ? SIZE_MAX : offset_of(text, args[2].w.as.u);
        if (from == SIZE_MAX)
            return bad_place(context, node, &args[2]);
    }
    bool found = find(text, wanted, from, &at);
    *out = venv_value_int(found ? (int64_t)count_points((venv_str){ text.data, at }) : -1);
    return X_OK;
}

EXPR_FUNCTION(last_index_of)
{
    venv_str text = venv_text_of(&args[0]), wanted = venv_text_of(&args[1]);
    size_t last = text.size;
    if (charge_text(context, node, args, count) != X_OK ||
        expr_charge(context, node, text.size * (wanted.size / 16 + 1) / 8) != X_OK)
        return X_FATAL;
    if (count == 3) {
        last = args[2].w.as.i < 0 ? SIZE_MAX : offset_of(text, args[2].w.as.u);
        if (last == SIZE_MAX)
            return bad_place(context, node, &args[2]);
    }
    *out = venv_value_int(-1);
    if (wanted.size > text.size)
        return X_OK;
    if (last > text.size - wanted.size)
        last = text.size - wanted.size;
    for (size_t at = last + 1; at-- > 0;) {
        if (!wanted.size || !memcmp(text.data + at, wanted.data, wanted.size)) {
            *out = venv_value_int((int64_t)count_points((venv_str){ text.data, at }));
            break;
        }
    }
    return X_OK;
}

EXPR_FUNCTION(substring)
{
    venv_str text = venv_text_of(&args[0]);
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    size_t from = args[1].w.as.i < 0 ? SIZE_MAX : offset_of(text, args[1].w.as.u);
    if (from == SIZE_MAX)
        return bad_place(context, node, &args[1]);
    size_t to = text.size;
    if (count == 3) {
        to = args[2].w.as.i < 0 ? SIZE_MAX : offset_of(text, args[2].w.as.u);
        if (to == SIZE_MAX)
            return bad_place(context, node, &args[2]);
        if (args[2].w.as.i < args[1].w.as.i)
            return venv_cel_fail(context, node, VENV_EINVAL, "the end of the substring is before its start");
    }
    return give_part(context, node, &args[0], from, to, out);
}

/* White_Space of Unicode, which is what trim() removes. */
static bool is_space(uint32_t point)
{
    return (point >= 0x09 && point <= 0x0d) || point == 0x20 || point == 0x85 || point == 0xa0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 || point == 0x202f ||
           point == 0x205f || point == 0x3000;
}

EXPR_FUNCTION(trim)
{
    venv_str text = venv_text_of(&args[0]);
    uint32_t point;
    size_t from = 0, to = text.size, length;
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    while (from < to && (length = venv_utf8_decode(text.data + from, to - from, &point)) && is_space(point))
        from += length;
    while (to > from) {
        size_t at = to - 1;
        while (at > from && !is_first_byte(text.data[at]))
            at--;
        if (!venv_utf8_decode(text.data + at, to - at, &point) || !is_space(point))
            break;
        to = at;
    }
    return give_part(context, node, &args[0], from, to, out);
}

/* ---- new strings ---- */

static int map_ascii(xctx *context, const xnode *node, const venv_value *value, char first, char last, int change,
                     venv_value *out)
{
    venv_str text = venv_text_of(value);
    venv_buf *buf = &context->scratch;
    venv_buf_clear(buf);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        venv_buf_append_byte(buf, (uint8_t)(c >= first && c <= last ? c + change : c));
    }
    if (expr_charge(context, node, text.size / 8) != X_OK)
        return X_FATAL;
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

EXPR_FUNCTION(lower_ascii)
{
    (void)count;
    return map_ascii(context, node, &args[0], 'A', 'Z', 'a' - 'A', out);
}

EXPR_FUNCTION(upper_ascii)
{
    (void)count;
    return map_ascii(context, node, &args[0], 'a', 'z', 'A' - 'a', out);
}

EXPR_FUNCTION(reverse)
{
    venv_str text = venv_text_of(&args[0]);
    venv_buf *buf = &context->scratch;
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    venv_buf_clear(buf);
    for (size_t end = text.size; end > 0;) {
        size_t at = end - 1;
        while (at > 0 && !is_first_byte(text.data[at]))
            at--;
        venv_buf_append(buf, text.data + at, end - at);
        end = at;
    }
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

/* replace(old, new): all, or the first `limit`. An empty `old` is before each code point and at the end. */
EXPR_FUNCTION(replace)
{
    venv_str text = venv_text_of(&args[0]), old = venv_text_of(&args[1]), with = venv_text_of(&args[2]);
    int64_t limit = count == 4 ? args[3].w.as.i : -1;
    venv_buf *buf = &context->scratch;
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    venv_buf_clear(buf);
    size_t at = 0, found;
    while (limit != 0 && buf->rc == VENV_OK) {
        if (old.size) {
            if (!find(text, old, at, &found))
                break;
            venv_buf_append(buf, text.data + at, found - at);
            venv_buf_append(buf, with.data, with.size);
            at = found + old.size;
        } else {
            venv_buf_append(buf, with.data, with.size);
            if (at == text.size)
                break;
            size_t end = at + 1;
            while (end < text.size && !is_first_byte(text.data[end]))
                end++;
            venv_buf_append(buf, text.data + at, end - at);
            at = end;
        }
        limit -= limit > 0;
    }
    venv_buf_append(buf, text.data + at, text.size - at);
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

static size_t point_end(venv_str text, size_t at)
{
    for (at++; at < text.size && !is_first_byte(text.data[at]); at++)
        ;
    return at;
}

/* split(separator): all parts, or at most `limit`, the last of which is the rest. */
EXPR_FUNCTION(split)
{
    venv_str text = venv_text_of(&args[0]), by = venv_text_of(&args[1]);
    uint64_t limit = count == 3 && args[2].w.as.i >= 0 ? args[2].w.as.u : UINT64_MAX;
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    size_t parts = 1, found;
    if (!by.size)
        parts = count_points(text);
    else
        for (size_t at = 0; find(text, by, at, &found); at = found + by.size)
            parts++;
    if (parts > limit)
        parts = (size_t)limit;
    struct venv_object *list = venv_cel_container(context, node, VENV_LIST, parts);
    if (!list)
        return X_FATAL;
    size_t at = 0;
    for (size_t i = 0; i < parts; i++) {
        size_t end = text.size, next = text.size;
        if (i + 1 < parts) {
            if (!by.size)
                end = next = point_end(text, at);
            else if (find(text, by, at, &end))
                next = end + by.size;
        }
        venv_object_items(list)[i] = part_of(&args[0], at, end);
        at = next;
    }
    return venv_cel_finish_list(context, node, list, out);
}

EXPR_FUNCTION(join)
{
    const struct venv_object *list = args[0].w.as.object;
    venv_str by = count == 2 ? venv_text_of(&args[1]) : (venv_str){ "", 0 };
    venv_buf *buf = &context->scratch;
    if (expr_charge(context, node, list->count) != X_OK)
        return X_FATAL;
    venv_buf_clear(buf);
    for (uint32_t i = 0; i < list->count && buf->rc == VENV_OK; i++) {
        const venv_value *item = &venv_object_items(list)[i];
        if (item->w.kind != VENV_STRING)
            return venv_cel_fail_value(context, node, "join() needs a list of strings and found ", item);
        venv_str text = venv_text_of(item);
        if (i)
            venv_buf_append(buf, by.data, by.size);
        venv_buf_append(buf, text.data, text.size);
    }
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

EXPR_FUNCTION(quote)
{
    static const char escapes[] = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";
    venv_str text = venv_text_of(&args[0]);
    venv_buf *buf = &context->scratch;
    if (charge_text(context, node, args, count) != X_OK)
        return X_FATAL;
    venv_buf_clear(buf);
    venv_buf_append_text(buf, "\"");
    for (size_t i = 0; i < text.size; i++) {
        char escape = 0;
        for (size_t e = 0; e + 1 < sizeof escapes; e += 2)
            escape = escapes[e] == text.data[i] ? escapes[e + 1] : escape;
        if (escape)
            venv_buf_append_byte(buf, '\\');
        venv_buf_append_byte(buf, (uint8_t)(escape ? escape : text.data[i]));
    }
    venv_buf_append_text(buf, "\"");
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

const expr_row venv_cel_text_rows[] = {
    { "size(string) -> int", size_of },
    { "size(bytes) -> int", size_of },
    { "size(list(T)) -> int", size_of },
    { "size(map(K, V)) -> int", size_of },
    { "string.size() -> int", size_of },
    { "bytes.size() -> int", size_of },
    { "list(T).size() -> int", size_of },
    { "map(K, V).size() -> int", size_of },
    { "string.contains(string) -> bool", contains },
    { "string.startsWith(string) -> bool", starts_with },
    { "string.endsWith(string) -> bool", ends_with },
    { "string.matches(string) -> bool", matches },
    { "matches(string, string) -> bool", matches },
    { "string.charAt(int) -> string", char_at },
    { "string.indexOf(string) -> int", index_of },
    { "string.indexOf(string, int) -> int", index_of },
    { "string.lastIndexOf(string) -> int", last_index_of },
    { "string.lastIndexOf(string, int) -> int", last_index_of },
    { "string.substring(int) -> string", substring },
    { "string.substring(int, int) -> string", substring },
    { "string.trim() -> string", trim },
    { "string.lowerAscii() -> string", lower_ascii },
    { "string.upperAscii() -> string", upper_ascii },
    { "string.reverse() -> string", reverse },
    { "string.replace(string, string) -> string", replace },
    { "string.replace(string, string, int) -> string", replace },
    { "string.split(string) -> list(string)", split },
    { "string.split(string, int) -> list(string)", split },
    { "list(string).join() -> string", join },
    { "list(string).join(string) -> string", join },
    { "strings.quote(string) -> string", quote },
    { NULL, NULL },
};
