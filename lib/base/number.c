/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubles to text and back through the C library, with its locale taken out.
 */
#include "base/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_MAX 1100 /* the longest exact decimal of a double has 1,079 characters */

/* The point may have become a comma, or another sign of up to a few bytes. */
static size_t fix_point(char *text)
{
    size_t out = 0;
    bool pointed = false;
    for (size_t in = 0; text[in]; in++) {
        char c = text[in];
        if ((c >= '0' && c <= '9') || c == 'e' || c == '-' || c == '+')
            text[out++] = c;
        else if (!pointed) {
            text[out++] = '.';
            pointed = true;
        }
    }
    text[out] = '\0';
    return out;
}

size_t venv_double_format(double number, char ret_text[VENV_DOUBLE_TEXT_SIZE])
{
    if (!isfinite(number)) {
        const char *name = isnan(number) ? "nan" : number < 0 ? "-inf" : "inf";
        return (size_t)snprintf(ret_text, VENV_DOUBLE_TEXT_SIZE, "%s", name);
    }
    /* 15 digits come back as they were, but for the smallest numbers, which have fewer. */
    for (int precision = fabs(number) < DBL_MIN ? 1 : 15; precision < 17; precision++) {
        snprintf(ret_text, VENV_DOUBLE_TEXT_SIZE, "%.*g", precision, number);
        if (strtod(ret_text, NULL) == number)
            return fix_point(ret_text);
    }
    snprintf(ret_text, VENV_DOUBLE_TEXT_SIZE, "%.17g", number);
    return fix_point(ret_text);
}

static size_t skip_digits(venv_str text, size_t at)
{
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    return at;
}

/* Checks the grammar; gives the place of the point, or the size if there is none. */
static bool scan(venv_str text, size_t *ret_point)
{
    size_t at = text.size && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    size_t first = at;
    at = skip_digits(text, at);
    size_t digits = at - first;
    *ret_point = text.size;
    if (at < text.size && text.data[at] == '.') {
        *ret_point = at;
        first = ++at;
        at = skip_digits(text, at);
        digits += at - first;
    }
    if (digits == 0)
        return false;
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (at < text.size && (text.data[at] == '-' || text.data[at] == '+'))
            at++;
        first = at;
        at = skip_digits(text, at);
        if (at == first)
            return false;
    }
    return at == text.size;
}

/*
 * A few digits without an exponent: whole numbers and powers of ten so small are doubles themselves, and
 * so their quotient is rounded once, as strtod() rounds.
 */
static bool parse_short(venv_str text, size_t point, double *ret_number)
{
    static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    uint64_t digits = 0;
    if (text.size > 15 || FLT_EVAL_METHOD != 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (i == point)
            continue;
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        digits = digits * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_number = (double)digits / powers[point < text.size ? text.size - point - 1 : 0];
    return true;
}

bool venv_double_parse(venv_str text, double *ret_number)
{
    size_t point;
    if (text.size > NUMBER_TEXT_MAX || !scan(text, &point))
        return false;
    if (parse_short(text, point, ret_number))
        return true;
    char copy[NUMBER_TEXT_MAX + 16];
    const char *sign = localeconv()->decimal_point;
    size_t sign_size = strlen(sign);
    if (point == text.size || sign_size == 0 || sign_size > 8) {
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
    } else {
        memcpy(copy, text.data, point);
        memcpy(copy + point, sign, sign_size);
        memcpy(copy + point + sign_size, text.data + point + 1, text.size - point - 1);
        copy[text.size - 1 + sign_size] = '\0';
    }
    *ret_number = strtod(copy, NULL);
    return true;
}
