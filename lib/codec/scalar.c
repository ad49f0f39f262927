/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain scalars by the core schema of YAML 1.2.2 (10.3.2): null, true, false, integers in three
 * bases, floating-point numbers. `yes`, `no`, `on`, `off`, dates and 1_000 are text.
 */
#include "codec/scalar.h"

#include "base/number.h"

#include <math.h>
#include <string.h>

static bool is_one_of(venv_str text, const char *a, const char *b, const char *c)
{
    const char *const words[] = { a, b, c };
    for (size_t i = 0; i < 3; i++)
        if (text.size == strlen(words[i]) && memcmp(text.data, words[i], text.size) == 0)
            return true;
    return false;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* All digits of a base, at least one. VENV_SCALAR_RANGE beyond 64 bits. */
static venv_scalar read_digits(venv_str text, unsigned base, uint64_t *ret_number)
{
    uint64_t number = 0;
    bool over = false;
    if (text.size == 0)
        return VENV_SCALAR_TEXT;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)digit_of(text.data[i]);
        if (digit >= base)
            return VENV_SCALAR_TEXT;
        over |= __builtin_mul_overflow(number, base, &number);
        over |= __builtin_add_overflow(number, digit, &number);
    }
    *ret_number = number;
    return over ? VENV_SCALAR_RANGE : VENV_SCALAR_VALUE;
}

static venv_str after(venv_str text, size_t count)
{
    return (venv_str){ text.data + count, text.size - count };
}

static venv_scalar signed_integer(venv_str digits, bool negative, venv_value *ret_value)
{
    uint64_t number;
    venv_scalar result = read_digits(digits, 10, &number);
    if (result != VENV_SCALAR_VALUE)
        return result;
    if (negative && number > (uint64_t)INT64_MAX + 1)
        return VENV_SCALAR_RANGE;
    if (negative)
        *ret_value = venv_value_int((int64_t)(0 - number));
    else if (number <= (uint64_t)INT64_MAX)
        *ret_value = venv_value_int((int64_t)number);
    else
        *ret_value = venv_value_uint(number);
    return VENV_SCALAR_VALUE;
}

venv_scalar venv_scalar_integer(venv_str text, venv_value *ret_value)
{
    bool negative = text.size && text.data[0] == '-';
    return signed_integer(after(text, negative), negative, ret_value);
}

static venv_scalar resolve_number(venv_str text, venv_value *ret_value)
{
    bool negative = text.data[0] == '-';
    bool sign = negative || text.data[0] == '+';
    venv_str rest = after(text, sign);
    uint64_t number;
    double d;
    if (!sign && rest.size > 2 && rest.data[0] == '0' && (rest.data[1] == 'x' || rest.data[1] == 'o')) {
        venv_scalar based = read_digits(after(rest, 2), rest.data[1] == 'x' ? 16 : 8, &number);
        if (based == VENV_SCALAR_VALUE)
            *ret_value = number <= (uint64_t)INT64_MAX ? venv_value_int((int64_t)number) : venv_value_uint(number);
        return based;
    }
    venv_scalar integer = signed_integer(rest, negative, ret_value);
    if (integer != VENV_SCALAR_TEXT)
        return integer;
    if (is_one_of(rest, ".inf", ".Inf", ".INF")) {
        *ret_value = venv_value_double(negative ? -(double)INFINITY : (double)INFINITY);
        return VENV_SCALAR_VALUE;
    }
    if (!venv_double_parse(text, &d))
        return VENV_SCALAR_TEXT;
    if (isinf(d))
        return VENV_SCALAR_RANGE;
    *ret_value = venv_value_double(d);
    return VENV_SCALAR_VALUE;
}

venv_scalar venv_scalar_resolve(venv_str text, venv_value *ret_value)
{
    if (text.size == 0) {
        *ret_value = venv_value_null();
        return VENV_SCALAR_VALUE;
    }
    switch (text.data[0]) {
    case '~':
    case 'n':
    case 'N':
        if (!is_one_of(text, "null", "Null", "NULL") && !(text.size == 1 && text.data[0] == '~'))
            return VENV_SCALAR_TEXT;
        *ret_value = venv_value_null();
        return VENV_SCALAR_VALUE;
    case 't':
    case 'T':
        if (!is_one_of(text, "true", "True", "TRUE"))
            return VENV_SCALAR_TEXT;
        *ret_value = venv_value_bool(true);
        return VENV_SCALAR_VALUE;
    case 'f':
    case 'F':
        if (!is_one_of(text, "false", "False", "FALSE"))
            return VENV_SCALAR_TEXT;
        *ret_value = venv_value_bool(false);
        return VENV_SCALAR_VALUE;
    case '.':
        if (is_one_of(text, ".nan", ".NaN", ".NAN")) {
            *ret_value = venv_value_double((double)NAN);
            return VENV_SCALAR_VALUE;
        }
        return resolve_number(text, ret_value);
    default:
        if (strchr("+-0123456789", text.data[0]))
            return resolve_number(text, ret_value);
        return VENV_SCALAR_TEXT;
    }
}
