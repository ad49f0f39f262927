/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value to JSON text. Recursion ends with the depth of values (VENV_VALUE_DEPTH_MAX).
 */
#include "codec/json.h"

#include "base/calendar.h"
#include "base/number.h"
#include "base/text.h"
#include "value/object.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES_MAX ((size_t)1 << 30)

typedef struct printer {
    venv_buf *buf;
    bool pretty;
    venv_rc rc;
    venv_error *err;
} printer;

static void print_value(printer *p, const venv_value *value, int level);

static void put(printer *p, const char *text, size_t size)
{
    venv_buf_append(p->buf, text, size);
}

static void put_z(printer *p, const char *text)
{
    put(p, text, strlen(text));
}

static void new_line(printer *p, int level)
{
    static const char blanks[] = "                                ";
    if (!p->pretty)
        return;
    put(p, "\n", 1);
    for (int rest = level * 2; rest > 0; rest -= 32)
        put(p, blanks, (size_t)(rest < 32 ? rest : 32));
}

/* What must be escaped, and what would be unsafe on a terminal. */
static bool needs_escape(uint32_t point)
{
    return point == '"' || point == '\\' || venv_text_is_control(point);
}

static void put_escape(printer *p, uint32_t point)
{
    static const char short_names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char text[8];
    for (size_t i = 0; point < 0x80 && i + 1 < sizeof short_names; i += 2) {
        if (point == (uint32_t)short_names[i]) {
            put(p, (const char[]){ '\\', short_names[i + 1] }, 2);
            return;
        }
    }
    snprintf(text, sizeof text, "\\u%04x", (unsigned)point); /* none of them is past U+FFFF */
    put(p, text, 6);
}

static void put_string(printer *p, venv_str text)
{
    size_t from = 0, at = 0;
    put(p, "\"", 1);
    while (at < text.size) {
        uint32_t point = 0;
        size_t length = venv_utf8_decode(text.data + at, text.size - at, &point);
        if (length && !needs_escape(point)) {
            at += length;
            continue;
        }
        put(p, text.data + from, at - from);
        put_escape(p, length ? point : 0xfffd);
        at += length ? length : 1;
        from = at;
    }
    put(p, text.data + from, at - from);
    put(p, "\"", 1);
}

/* RFC 4648, section 4. */
static void put_base64(printer *p, venv_str text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    put(p, "\"", 1);
    for (size_t at = 0; at < text.size; at += 3) {
        size_t have = text.size - at < 3 ? text.size - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < have ? (uint8_t)text.data[at + i] : 0u);
        char four[4];
        for (unsigned i = 0; i < 4; i++)
            four[i] = i <= have ? digits[bits >> (18 - 6 * i) & 63] : '=';
        put(p, four, 4);
    }
    put(p, "\"", 1);
}

static void put_double(printer *p, double d)
{
    char text[VENV_DOUBLE_TEXT_SIZE];
    if (!isfinite(d)) {
        put_z(p, isnan(d) ? "\"NaN\"" : d < 0 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    put(p, text, venv_double_format(d, text));
    if (!strpbrk(text, ".e"))
        put(p, ".0", 2);
}

/* Kinds whose text in quotes is the same as a value and as a key. Without the quotes: a number, a bool. */
static size_t scalar_text(const venv_value *value, char text[VENV_DURATION_TEXT_SIZE])
{
    int64_t seconds;
    int32_t nanos;
    switch (value->w.kind) {
    case VENV_BOOL:
        return (size_t)snprintf(text, VENV_DURATION_TEXT_SIZE, "%s", value->w.as.u ? "true" : "false");
    case VENV_INT:
        return (size_t)snprintf(text, VENV_DURATION_TEXT_SIZE, "%" PRId64, value->w.as.i);
    case VENV_UINT:
        return (size_t)snprintf(text, VENV_DURATION_TEXT_SIZE, "%" PRIu64, value->w.as.u);
    case VENV_TIMESTAMP:
        return strlen(venv_rfc3339_format(value->w.as.i, value->w.extra, text));
    case VENV_DURATION:
        venv_value_peek_duration(value, &seconds, &nanos);
        return strlen(venv_duration_format(seconds, nanos, text));
    default:
        return (size_t)snprintf(text, VENV_DURATION_TEXT_SIZE, "null");
    }
}

static void put_quoted_scalar(printer *p, const venv_value *value)
{
    char text[VENV_DURATION_TEXT_SIZE];
    size_t size = scalar_text(value, text);
    put_string(p, (venv_str){ text, size });
}

static void put_opaque(printer *p, const venv_value *value)
{
    size_t size = venv_value_print(value, NULL, 0);
    char *text = malloc(size + 1);
    if (!text) {
        p->buf->rc = VENV_ENOMEM;
        return;
    }
    venv_value_print(value, text, size + 1);
    put_string(p, (venv_str){ text, size });
    free(text);
}

static void print_list(printer *p, const struct venv_object *list, int level)
{
    put(p, "[", 1);
    for (size_t i = 0; i < list->count && p->buf->rc == VENV_OK; i++) {
        if (i)
            put(p, ",", 1);
        new_line(p, level + 1);
        print_value(p, &venv_object_items(list)[i], level + 1);
    }
    if (list->count)
        new_line(p, level);
    put(p, "]", 1);
}

static void print_key(printer *p, const struct venv_object *map, const venv_value *key)
{
    char text[VENV_DURATION_TEXT_SIZE];
    if (key->w.kind == VENV_STRING) {
        put_string(p, venv_text_of(key));
        return;
    }
    size_t size = scalar_text(key, text);
    put_string(p, (venv_str){ text, size });
    if (venv_map_find_text(map, text, size) && p->rc == VENV_OK)
        p->rc = venv_error_set(p->err, VENV_EEXIST,
                               "a map has both %s and \"%s\" as keys, which are the same in JSON", text, text);
}

static void print_map(printer *p, const struct venv_object *map, int level)
{
    const venv_value *entry = venv_object_items(map);
    put(p, "{", 1);
    for (size_t i = 0; i < map->count && p->buf->rc == VENV_OK; i++, entry += 2) {
        if (i)
            put(p, ",", 1);
        new_line(p, level + 1);
        print_key(p, map, &entry[0]);
        put(p, ": ", p->pretty ? 2 : 1);
        print_value(p, &entry[1], level + 1);
    }
    if (map->count)
        new_line(p, level);
    put(p, "}", 1);
}

static void print_value(printer *p, const venv_value *value, int level)
{
    char text[VENV_DURATION_TEXT_SIZE];
    switch (value->w.kind) {
    case VENV_NULL:
    case VENV_BOOL:
    case VENV_INT:
    case VENV_UINT:
        put(p, text, scalar_text(value, text));
        break;
    case VENV_DOUBLE:
        put_double(p, value->w.as.d);
        break;
    case VENV_STRING:
    case VENV_TYPE:
        put_string(p, venv_text_of(value));
        break;
    case VENV_BYTES:
        put_base64(p, venv_text_of(value));
        break;
    case VENV_LIST:
        print_list(p, value->w.as.object, level);
        break;
    case VENV_MAP:
        print_map(p, value->w.as.object, level);
        break;
    case VENV_TIMESTAMP:
    case VENV_DURATION:
        put_quoted_scalar(p, value);
        break;
    default:
        put_opaque(p, value);
        break;
    }
}

venv_rc venv_json_append(venv_buf *buf, const venv_value *value, venv_json_style style, venv_error *err)
{
    if (buf->rc != VENV_OK)
        return venv_error_set(err, buf->rc, "the buffer failed before");
    size_t before = buf->size;
    printer p = { buf, style == VENV_JSON_PRETTY, VENV_OK, err };
    print_value(&p, value, 0);
    if (buf->rc == VENV_OK && p.rc == VENV_OK)
        return VENV_OK;
    venv_rc rc = buf->rc != VENV_OK ? buf->rc : p.rc;
    if (buf->rc == VENV_ENOMEM)
        venv_error_set(err, rc, "out of memory");
    else if (buf->rc != VENV_OK)
        venv_error_set(err, rc, "the value is longer as JSON than the %zu bytes that are allowed", buf->max);
    buf->rc = VENV_OK;
    buf->size = before;
    return rc;
}

venv_rc venv_json_print(const venv_value *value, venv_json_style style, char **ret_text, size_t *ret_size,
                        venv_error *err)
{
    venv_buf buf;
    size_t size = 0;
    venv_buf_init(&buf, TEXT_BYTES_MAX);
    venv_rc rc = venv_json_append(&buf, value, style, err);
    if (rc == VENV_OK && style == VENV_JSON_PRETTY)
        venv_buf_append(&buf, "\n", 1);
    if (rc == VENV_OK && buf.rc != VENV_OK)
        rc = venv_error_set(err, buf.rc, "out of memory");
    if (rc == VENV_OK) {
        *ret_text = (char *)venv_buf_take(&buf, &size);
        if (ret_size)
            *ret_size = size;
    }
    venv_buf_fini(&buf);
    return rc;
}
