/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "…".format([…]): the formatting of the strings extension of cel-spec. Clauses: %s %d %f %e %b %o %x %X
 * and %%, with a precision for %f and %e.
 */
#include "expr/standard.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRECISION_MAX 100u

/* A value for %s, lists and maps in full. Stops where the buffer is full: see the check of buf->rc. */
static bool append_value(xctx *context, const xnode *node, venv_buf *buf, const venv_value *value);

static bool append_list(xctx *context, const xnode *node, venv_buf *buf, const struct venv_object *list)
{
    venv_buf_append_text(buf, "[");
    for (uint32_t i = 0; i < list->count && buf->rc == VENV_OK; i++) {
        if (i)
            venv_buf_append_text(buf, ", ");
        if (!append_value(context, node, buf, &venv_object_items(list)[i]))
            return false;
    }
    venv_buf_append_text(buf, "]");
    return true;
}

/* As string() does, but a double never has an exponent. */
static bool append_scalar(venv_buf *buf, const venv_value *value)
{
    if (value->w.kind != VENV_DOUBLE)
        return venv_cel_append_scalar(buf, value);
    venv_cel_append_double(buf, value->w.as.d, true);
    return true;
}

static int by_text(const void *a, const void *b)
{
    const venv_value *x = *(const venv_value *const *)a, *y = *(const venv_value *const *)b;
    venv_str s = venv_text_of(&x[0]), t = venv_text_of(&y[0]);
    size_t size = s.size < t.size ? s.size : t.size;
    int order = size ? memcmp(s.data, t.data, size) : 0;
    return order ? order : (s.size > t.size) - (s.size < t.size);
}

/* The entries in the order of their keys' texts. */
static bool append_map(xctx *context, const xnode *node, venv_buf *buf, const struct venv_object *map)
{
    const venv_value *entries = venv_object_items(map);
    venv_value *texts = venv_cel_alloc(context, node, map->count * 2 * sizeof *texts);
    venv_value **order = venv_cel_alloc(context, node, map->count * sizeof *order);
    if (!texts || !order || expr_charge(context, node, map->count * 4u) != X_OK)
        return false;
    for (uint32_t i = 0; i < map->count; i++) {
        venv_buf key;
        venv_buf_init(&key, context->string_size_max);
        (void)append_scalar(&key, &entries[2 * i]);
        int status = key.rc == VENV_OK ? venv_cel_text(context, node, VENV_STRING, (const char *)key.data, key.size, &texts[2 * i])
                                       : venv_cel_fail(context, node, VENV_ENOMEM, "out of memory");
        venv_buf_fini(&key);
        if (status != X_OK)
            return false;
        texts[2 * i + 1] = entries[2 * i + 1];
        order[i] = &texts[2 * i];
    }
    if (map->count)
        qsort(order, map->count, sizeof *order, by_text);
    venv_buf_append_text(buf, "{");
    for (uint32_t i = 0; i < map->count && buf->rc == VENV_OK; i++) {
        venv_str key = venv_text_of(order[i]);
        if (i)
            venv_buf_append_text(buf, ", ");
        venv_buf_append(buf, key.data, key.size);
        venv_buf_append_text(buf, ": ");
        if (!append_value(context, node, buf, &order[i][1]))
            return false;
    }
    venv_buf_append_text(buf, "}");
    return true;
}

/* Each byte that is not part of a character becomes U+FFFD. */
static void append_repaired(venv_buf *buf, venv_str bytes)
{
    while (bytes.size && buf->rc == VENV_OK) {
        size_t valid = venv_utf8_valid_prefix(bytes.data, bytes.size);
        venv_buf_append(buf, bytes.data, valid);
        bytes.data += valid;
        bytes.size -= valid;
        if (bytes.size) {
            venv_buf_append_text(buf, "\xef\xbf\xbd");
            bytes.data++;
            bytes.size--;
        }
    }
}

static bool append_value(xctx *context, const xnode *node, venv_buf *buf, const venv_value *value)
{
    if (expr_charge(context, node, 1) != X_OK)
        return false;
    if (value->w.kind == VENV_LIST)
        return append_list(context, node, buf, value->w.as.object);
    if (value->w.kind == VENV_MAP)
        return append_map(context, node, buf, value->w.as.object);
    if (append_scalar(buf, value))
        return true;
    if (value->w.kind == VENV_BYTES) {
        append_repaired(buf, venv_text_of(value));
        return true;
    }
    (void)venv_cel_fail_value(context, node, "%s cannot show ", value);
    return false;
}

static int refuse(xctx *context, const xnode *node, const char *what, const venv_value *value)
{
    const char *type = venv_cel_type_of(value);
    if (venv_cel_is_marker(value))
        return venv_cel_unknown_part(context, node);
    return venv_cel_fail_detail(context, node, VENV_EINVAL, what, (venv_str){ type, strlen(type) });
}

/* A number in base 2, 8 or 16 with its sign. */
static void append_base(venv_buf *buf, bool negative, uint64_t magnitude, unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[66];
    size_t at = sizeof text;
    do {
        text[--at] = digits[magnitude % base];
        magnitude /= base;
    } while (magnitude);
    if (negative)
        text[--at] = '-';
    venv_buf_append(buf, text + at, sizeof text - at);
}

static bool append_integer(venv_buf *buf, const venv_value *value, unsigned base, bool upper)
{
    if (value->w.kind == VENV_UINT || (value->w.kind == VENV_BOOL && base == 2)) {
        append_base(buf, false, value->w.as.u, base, upper);
        return true;
    }
    if (value->w.kind != VENV_INT)
        return false;
    bool negative = value->w.as.i < 0;
    append_base(buf, negative, negative ? 0 - value->w.as.u : value->w.as.u, base, upper);
    return true;
}

static bool append_hex(venv_buf *buf, const venv_value *value, bool upper)
{
    if (value->w.kind == VENV_STRING || value->w.kind == VENV_BYTES) {
        venv_str text = venv_text_of(value);
        for (size_t i = 0; i < text.size; i++)
            venv_buf_printf(buf, upper ? "%02X" : "%02x", (unsigned char)text.data[i]);
        return true;
    }
    return append_integer(buf, value, 16, upper);
}

/* Decimal points are points whatever the locale of the program is. */
static void append_double(venv_buf *buf, double number, unsigned precision, char clause)
{
    char text[512];
    int size = snprintf(text, sizeof text, clause == 'f' ? "%.*f" : "%.*e", (int)precision, number);
    for (int i = 0; i < size; i++) {
        char c = text[i];
        bool known = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e';
        if (known)
            venv_buf_append_byte(buf, (uint8_t)c);
        else if (i == 0 || ((unsigned char)c & 0xc0u) != 0x80u)
            venv_buf_append_byte(buf, '.');
    }
}

static int format_double(xctx *context, const xnode *node, const venv_value *value, unsigned precision, char clause)
{
    double number;
    if (value->w.kind == VENV_DOUBLE)
        number = value->w.as.d;
    else if (value->w.kind == VENV_INT)
        number = (double)value->w.as.i;
    else if (value->w.kind == VENV_UINT)
        number = (double)value->w.as.u;
    else
        return refuse(context, node, clause == 'f' ? "%f takes a number and found " : "%e takes a number and found ", value);
    if (isfinite(number))
        append_double(&context->scratch, number, precision, clause);
    else
        venv_cel_append_double(&context->scratch, number, true);
    return X_OK;
}

static int format_clause(xctx *context, const xnode *node, char clause, unsigned precision, const venv_value *value)
{
    venv_buf *buf = &context->scratch;
    switch (clause) {
    case 's':
        context->error.rc = VENV_OK;
        if (append_value(context, node, buf, value))
            return X_OK;
        return context->error.rc == VENV_OK ? X_UNK : context->error.rc == VENV_EINVAL ? X_ERR : X_FATAL;
    case 'd':
        if (value->w.kind == VENV_DOUBLE) {
            venv_cel_append_double(buf, value->w.as.d, true);
            return X_OK;
        }
        return append_integer(buf, value, 10, false) ? X_OK : refuse(context, node, "%d takes a number and found ", value);
    case 'b':
        return append_integer(buf, value, 2, false) ? X_OK : refuse(context, node, "%b takes an integer or bool and found ", value);
    case 'o':
        return append_integer(buf, value, 8, false) ? X_OK : refuse(context, node, "%o takes an integer and found ", value);
    case 'x':
    case 'X':
        return append_hex(buf, value, clause == 'X') ? X_OK : refuse(context, node, "%x takes an integer, string or bytes and found ", value);
    default:
        return format_double(context, node, value, precision, clause);
    }
}

EXPR_FUNCTION(format)
{
    (void)count;
    venv_str text = venv_text_of(&args[0]);
    const struct venv_object *list = args[1].w.as.object;
    venv_buf *buf = &context->scratch;
    uint32_t used = 0;
    if (expr_charge(context, node, text.size / 8) != X_OK)
        return X_FATAL;
    venv_buf_clear(buf);
    for (size_t i = 0; i < text.size && buf->rc == VENV_OK; i++) {
        if (text.data[i] != '%') {
            venv_buf_append_byte(buf, (uint8_t)text.data[i]);
            continue;
        }
        if (++i < text.size && text.data[i] == '%') {
            venv_buf_append_byte(buf, '%');
            continue;
        }
        unsigned precision = 6;
        if (i < text.size && text.data[i] == '.') {
            if (i + 1 < text.size && (text.data[i + 1] < '0' || text.data[i + 1] > '9'))
                return venv_cel_fail(context, node, VENV_EINVAL, "expected digits behind '.' in a formatting clause, as %.2f");
            for (precision = 0, i++; i < text.size && text.data[i] >= '0' && text.data[i] <= '9' && precision <= PRECISION_MAX; i++)
                precision = precision * 10 + (unsigned)(text.data[i] - '0');
        }
        if (i >= text.size || precision > PRECISION_MAX || !strchr("sdfebox" "X", text.data[i]))
            return venv_cel_fail(context, node, VENV_EINVAL, "no such formatting clause; expected %s %d %f %e %b %o %x %X or %%, with a precision of at most 100");
        if (used >= list->count)
            return venv_cel_fail(context, node, VENV_EINVAL, "the format has more clauses than there are values");
        int status = format_clause(context, node, text.data[i], precision, &venv_object_items(list)[used++]);
        if (status != X_OK)
            return status;
    }
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

const expr_row venv_cel_format_rows[] = {
    { "string.format(list(dyn)) -> string", format },
    { NULL, NULL },
};
