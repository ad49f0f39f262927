/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversions between types, type() and dyn(). cel-spec doc/langdef.md, "List of Standard Definitions".
 */
#include "expr/standard.h"

#include "base/calendar.h"
#include "base/number.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

EXPR_FUNCTION(same)
{
    EXPR_UNUSED();
    *out = args[0];
    return X_OK;
}

EXPR_FUNCTION(type_of)
{
    EXPR_UNUSED();
    *out = venv_value_type(venv_cel_type_of(&args[0]));
    return X_OK;
}

static int fail(xctx *context, const xnode *node, const char *what, const venv_value *value)
{
    return venv_cel_fail_value(context, node, what, value);
}

static bool text_is(venv_str text, const char *wanted)
{
    return text.size == strlen(wanted) && !memcmp(text.data, wanted, text.size);
}

EXPR_FUNCTION(bool_of_text)
{
    EXPR_UNUSED();
    static const char *const yes[] = { "1", "t", "true", "True", "TRUE", "T", NULL };
    static const char *const no[] = { "0", "f", "false", "False", "FALSE", "F", NULL };
    venv_str text = venv_text_of(&args[0]);
    for (size_t i = 0; yes[i]; i++) {
        if (text_is(text, yes[i]) || text_is(text, no[i])) {
            *out = venv_value_bool(text_is(text, yes[i]));
            return X_OK;
        }
    }
    return fail(context, node, "this is no bool: ", &args[0]);
}

/* A sign and digits; the magnitude fits 64 bits. */
static bool parse_digits(venv_str text, bool *ret_negative, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t at = 0;
    *ret_negative = text.size && text.data[0] == '-';
    if (text.size && (text.data[0] == '-' || text.data[0] == '+'))
        at++;
    if (at == text.size)
        return false;
    for (; at < text.size; at++) {
        unsigned digit = (unsigned char)text.data[at] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(number, 10u, &number) || __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *ret_number = number;
    return true;
}

EXPR_FUNCTION(int_of)
{
    EXPR_UNUSED();
    const venv_value *value = &args[0];
    uint64_t number;
    bool negative;
    switch (value->w.kind) {
    case VENV_UINT:
        if (value->w.as.u > INT64_MAX)
            return fail(context, node, "an int cannot hold ", value);
        *out = venv_value_int(value->w.as.i);
        return X_OK;
    case VENV_DOUBLE:
        if (!(value->w.as.d > -0x1p63 && value->w.as.d < 0x1p63))
            return fail(context, node, "an int cannot hold ", value);
        *out = venv_value_int((int64_t)value->w.as.d);
        return X_OK;
    case VENV_TIMESTAMP:
        *out = venv_value_int(value->w.as.i);
        return X_OK;
    case VENV_DURATION: /* whole seconds, towards zero */
        *out = venv_value_int(value->w.as.i + (value->w.as.i < 0 && value->w.extra));
        return X_OK;
    default:
        if (expr_charge_texts(context, node, value, value) != X_OK)
            return X_FATAL;
        if (!parse_digits(venv_text_of(value), &negative, &number) || number > (uint64_t)INT64_MAX + negative)
            return fail(context, node, "this is no int: ", value);
        *out = venv_value_int(negative ? (int64_t)(0 - number) : (int64_t)number);
        return X_OK;
    }
}

EXPR_FUNCTION(uint_of)
{
    EXPR_UNUSED();
    const venv_value *value = &args[0];
    uint64_t number;
    bool negative;
    switch (value->w.kind) {
    case VENV_INT:
        if (value->w.as.i < 0)
            return fail(context, node, "a uint cannot hold ", value);
        *out = venv_value_uint(value->w.as.u);
        return X_OK;
    case VENV_DOUBLE:
        if (!(value->w.as.d >= 0 && value->w.as.d < 0x1p64)) /* -0.5 is below 0: it is not rounded up to it */
            return fail(context, node, "a uint cannot hold ", value);
        *out = venv_value_uint((uint64_t)value->w.as.d);
        return X_OK;
    default:
        if (expr_charge_texts(context, node, value, value) != X_OK)
            return X_FATAL;
        /* digits only, as cel-go has it: a sign is not read */
        if (venv_text_of(value).size == 0 || *venv_text_of(value).data == '+' ||
            !parse_digits(venv_text_of(value), &negative, &number) || negative)
            return fail(context, node, "this is no uint: ", value);
        *out = venv_value_uint(number);
        return X_OK;
    }
}

static bool parse_special(venv_str text, double *ret_number)
{
    static const struct {
        const char *text;
        double number;
    } specials[] = { { "NaN", NAN },           { "nan", NAN },           { "Infinity", INFINITY }, { "Inf", INFINITY },
                     { "inf", INFINITY },      { "infinity", INFINITY }, { "-Infinity", -INFINITY },
                     { "-Inf", -INFINITY },    { "-inf", -INFINITY },    { "-infinity", -INFINITY },
                     { "+Infinity", INFINITY }, { "+Inf", INFINITY } };
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        if (text_is(text, specials[i].text)) {
            *ret_number = specials[i].number;
            return true;
        }
    }
    return venv_double_parse(text, ret_number) && !isinf(*ret_number); /* 1e400 is no double */
}

EXPR_FUNCTION(double_of)
{
    EXPR_UNUSED();
    const venv_value *value = &args[0];
    double number;
    if (value->w.kind == VENV_INT)
        number = (double)value->w.as.i;
    else if (value->w.kind == VENV_UINT)
        number = (double)value->w.as.u;
    else if (!parse_special(venv_text_of(value), &number))
        return fail(context, node, "this is no double: ", value);
    *out = venv_value_double(number);
    return X_OK;
}

/* Where the point is: 0.DIGITS times ten to the power of *ret_point. */
static size_t digits_of(double number, char digits[static VENV_DOUBLE_TEXT_SIZE], int *ret_point)
{
    char text[VENV_DOUBLE_TEXT_SIZE];
    size_t size = venv_double_format(fabs(number), text), count = 0;
    bool pointed = false;
    *ret_point = 0;
    for (size_t i = 0; i < size && text[i] != 'e'; i++) {
        if (text[i] == '.') {
            pointed = true;
            continue;
        }
        bool leading = count == 0 && text[i] == '0';
        *ret_point += leading ? (pointed ? -1 : 0) : !pointed;
        if (!leading)
            digits[count++] = text[i];
    }
    int exponent = 0;
    const char *at = memchr(text, 'e', size); /* a sign and digits follow */
    for (size_t i = at ? (size_t)(at - text) + 2 : size; i < size; i++)
        exponent = exponent * 10 + (text[i] - '0');
    *ret_point += at && at[1] == '-' ? -exponent : exponent;
    while (count > 0 && digits[count - 1] == '0')
        count--;
    if (count == 0) {
        digits[count++] = '0';
        *ret_point = 1;
    }
    return count;
}

static void append_zeros(venv_buf *buf, int count)
{
    for (; count > 0; count--)
        venv_buf_append_byte(buf, '0');
}

void venv_cel_append_double(venv_buf *buf, double number, bool plain)
{
    if (!isfinite(number)) {
        venv_buf_append_text(buf, isnan(number) ? "NaN" : number < 0 ? "-Infinity" : "Infinity");
        return;
    }
    char digits[VENV_DOUBLE_TEXT_SIZE];
    int point;
    size_t count = digits_of(number, digits, &point);
    if (signbit(number))
        venv_buf_append_text(buf, "-");
    if (!plain && (point - 1 < -4 || point - 1 >= 6)) {
        venv_buf_append(buf, digits, 1);
        if (count > 1)
            venv_buf_append_text(buf, ".");
        venv_buf_append(buf, digits + 1, count - 1);
        venv_buf_printf(buf, "e%c%02d", point - 1 < 0 ? '-' : '+', abs(point - 1));
        return;
    }
    size_t whole = point < 0 ? 0 : (size_t)point < count ? (size_t)point : count;
    venv_buf_append(buf, digits, whole);
    append_zeros(buf, point > 0 ? point - (int)whole : 1);
    if (whole == count)
        return;
    venv_buf_append_text(buf, ".");
    append_zeros(buf, -point);
    venv_buf_append(buf, digits + whole, count - whole);
}

bool venv_cel_append_scalar(venv_buf *buf, const venv_value *value)
{
    char text[VENV_RFC3339_TEXT_SIZE + VENV_DOUBLE_TEXT_SIZE];
    const expr_address *address = venv_cel_address_of(value);
    if (address) {
        venv_buf_append(buf, text, venv_cel_address_print(address, venv_cel_mask_of(value) == X_MASK_CIDR, text, sizeof text));
        return true;
    }
    switch (value->w.kind) {
    case VENV_NULL:
        venv_buf_append_text(buf, "null");
        return true;
    case VENV_BOOL:
        venv_buf_append_text(buf, value->w.as.u ? "true" : "false");
        return true;
    case VENV_INT:
        venv_buf_printf(buf, "%lld", (long long)value->w.as.i);
        return true;
    case VENV_UINT:
        venv_buf_printf(buf, "%llu", (unsigned long long)value->w.as.u);
        return true;
    case VENV_DOUBLE:
        venv_cel_append_double(buf, value->w.as.d, false);
        return true;
    case VENV_TIMESTAMP:
        venv_buf_append_text(buf, venv_rfc3339_format(value->w.as.i, value->w.extra, text));
        return true;
    case VENV_DURATION:
        venv_cel_append_duration(buf, value);
        return true;
    case VENV_STRING:
    case VENV_BYTES:
    case VENV_TYPE: {
        venv_str bytes = venv_text_of(value);
        if (!venv_utf8_is_valid(bytes.data, bytes.size))
            return false;
        venv_buf_append(buf, bytes.data, bytes.size);
        return true;
    }
    default:
        return false;
    }
}

EXPR_FUNCTION(string_of)
{
    EXPR_UNUSED();
    if (args[0].w.kind == VENV_STRING) {
        *out = args[0];
        return X_OK;
    }
    venv_buf_clear(&context->scratch);
    if (!venv_cel_append_scalar(&context->scratch, &args[0]))
        return venv_cel_fail(context, node, VENV_EINVAL, "the bytes are not valid UTF-8");
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

EXPR_FUNCTION(bytes_of_text)
{
    EXPR_UNUSED();
    *out = args[0];
    out->w.kind = VENV_BYTES;
    if (args[0].w.form != VENV_FORM_COUNTED)
        return X_OK;
    venv_str text = venv_text_of(&args[0]); /* the object says what kind it is: borrow its bytes */
    *out = venv_text_borrow(VENV_BYTES, text.data, text.size);
    return X_OK;
}

const expr_row venv_cel_convert_rows[] = {
    { "bool(bool) -> bool", same },
    { "bool(string) -> bool", bool_of_text },
    { "bytes(bytes) -> bytes", same },
    { "bytes(string) -> bytes", bytes_of_text },
    { "double(double) -> double", same },
    { "double(int) -> double", double_of },
    { "double(uint) -> double", double_of },
    { "double(string) -> double", double_of },
    { "dyn(T) -> dyn", same },
    { "int(int) -> int", same },
    { "int(uint) -> int", int_of },
    { "int(double) -> int", int_of },
    { "int(string) -> int", int_of },
    { "int(timestamp) -> int", int_of },
    { "int(duration) -> int", int_of },
    { "string(string) -> string", string_of },
    { "string(bool) -> string", string_of },
    { "string(int) -> string", string_of },
    { "string(uint) -> string", string_of },
    { "string(double) -> string", string_of },
    { "string(bytes) -> string", string_of },
    { "string(timestamp) -> string", string_of },
    { "string(duration) -> string", string_of },
    { "string(ip) -> string", string_of },
    { "string(cidr) -> string", string_of },
    { "uint(uint) -> uint", same },
    { "uint(int) -> uint", uint_of },
    { "uint(double) -> uint", uint_of },
    { "uint(string) -> uint", uint_of },
    { "type(T) -> type", type_of },
    { NULL, NULL },
};
