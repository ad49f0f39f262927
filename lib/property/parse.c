/* SPDX-License-Identifier: Apache-2.0 */
/* What a command printed, as a value of the declared type. Strict: nonsense is an error, never a zero. */

#include "base/number.h"
#include "base/text.h"

#include <venv/codec.h>
#include <venv/property.h>
#include <venv/text.h>

#include <math.h>
#include <string.h>

enum { QUOTE_SIZE = 64 };

/* The beginning of a text, safe to print. */
static const char *quote(venv_str text, char buffer[QUOTE_SIZE])
{
    if (text.size > QUOTE_SIZE)
        text.size = QUOTE_SIZE;
    venv_text_safe(text, buffer, QUOTE_SIZE);
    return buffer;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static venv_str trim(venv_str text)
{
    while (text.size > 0 && is_space(text.data[0]))
        text.data++, text.size--;
    while (text.size > 0 && is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

static venv_rc parse_int(venv_str text, venv_value *ret_value, venv_error *err)
{
    char buffer[QUOTE_SIZE];
    size_t i = 0;
    bool negative = text.size > 0 && text.data[0] == '-';
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+'))
        i++;
    if (i == text.size)
        return venv_error_set(err, VENV_EINVAL, "'%s' is not an int; expected decimal digits", quote(text, buffer));
    int64_t number = 0;
    for (; i < text.size; i++) {
        char c = text.data[i];
        if (c < '0' || c > '9')
            return venv_error_set(err, VENV_EINVAL, "'%s' is not an int; expected decimal digits",
                                  quote(text, buffer));
        /* Counted downwards: the least int has no positive counterpart. */
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_sub_overflow(number, c - '0', &number))
            return venv_error_set(err, VENV_ERANGE, "'%s' does not fit in 64 bits", quote(text, buffer));
    }
    if (!negative && number == INT64_MIN)
        return venv_error_set(err, VENV_ERANGE, "'%s' does not fit in 64 bits", quote(text, buffer));
    *ret_value = venv_value_int(negative ? number : -number);
    return VENV_OK;
}

static venv_rc parse_double(venv_str text, venv_value *ret_value, venv_error *err)
{
    char buffer[QUOTE_SIZE];
    double number = 0;
    if (!venv_double_parse(text, &number))
        return venv_error_set(err, VENV_EINVAL, "'%s' is not a double; expected a decimal number",
                              quote(text, buffer));
    if (!isfinite(number))
        return venv_error_set(err, VENV_ERANGE, "'%s' is too large for a double", quote(text, buffer));
    *ret_value = venv_value_double(number);
    return VENV_OK;
}

static bool is_word(venv_str text, const char *word)
{
    return strlen(word) == text.size && memcmp(word, text.data, text.size) == 0;
}

static venv_rc parse_bool(venv_str text, venv_value *ret_value, venv_error *err)
{
    char buffer[QUOTE_SIZE];
    if (is_word(text, "true") || is_word(text, "yes") || is_word(text, "1"))
        *ret_value = venv_value_bool(true);
    else if (is_word(text, "false") || is_word(text, "no") || is_word(text, "0"))
        *ret_value = venv_value_bool(false);
    else
        return venv_error_set(err, VENV_EINVAL, "'%s' is not a bool; expected true or false, yes or no, 1 or 0",
                              quote(text, buffer));
    return VENV_OK;
}

static venv_rc parse_string(venv_str text, venv_value *ret_value, venv_error *err)
{
    if (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    size_t valid = venv_utf8_valid_prefix(text.data, text.size);
    if (valid < text.size)
        return venv_error_set(err, VENV_EINVAL, "it is not UTF-8: byte 0x%02x at %zu",
                              (unsigned)(unsigned char)text.data[valid], valid);
    const void *nul = text.size ? memchr(text.data, 0, text.size) : NULL;
    if (nul)
        return venv_error_set(err, VENV_EINVAL, "it holds a NUL character");
    return venv_value_string(text.size ? text.data : "", text.size, ret_value, err);
}

static venv_rc parse_json(venv_str text, venv_value *ret_value, venv_error *err)
{
    if (text.size == 0)
        return venv_error_set(err, VENV_EINVAL, "it printed nothing; expected JSON");
    venv_error inner = { 0 };
    venv_rc rc = venv_json_parse(text.data, text.size, VENV_PROPERTY_VALUE_MAX, ret_value, &inner);
    if (rc == VENV_OK || rc == VENV_ENOMEM || rc == VENV_ELIMIT)
        return rc ? venv_error_set(err, rc, "it is no JSON that can be kept: %s", inner.text) : VENV_OK;
    return venv_error_set(err, VENV_EINVAL, "it is not JSON: line %u, column %u: %s", inner.line, inner.column,
                          inner.text);
}

venv_rc venv_property_parse(venv_property_type type, venv_str text, venv_value *ret_value, venv_error *err)
{
    if (text.size > VENV_PROPERTY_VALUE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "it printed %zu bytes; a value has at most %d", text.size,
                              VENV_PROPERTY_VALUE_MAX);
    switch (type) {
    case VENV_PROPERTY_INT:
        return parse_int(trim(text), ret_value, err);
    case VENV_PROPERTY_DOUBLE:
        return parse_double(trim(text), ret_value, err);
    case VENV_PROPERTY_BOOL:
        return parse_bool(trim(text), ret_value, err);
    case VENV_PROPERTY_STRING:
        return parse_string(text, ret_value, err);
    case VENV_PROPERTY_JSON:
        return parse_json(trim(text), ret_value, err);
    case VENV_PROPERTY_TYPE__COUNT:
        break;
    }
    return venv_error_set(err, VENV_EINVAL, "unknown type of property");
}
