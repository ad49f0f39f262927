/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing in CEL's literal syntax. Text is escaped for terminals and logs: what is printed has no
 * control and no bidirectional character, and can be read back by the evaluator.
 */
#include "value/object.h"

#include "base/calendar.h"
#include "base/number.h"
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void venv_printer_put(venv_printer *printer, const char *text, size_t size)
{
    if (printer->total < printer->size) {
        size_t room = printer->size - printer->total;
        memcpy(printer->buffer + printer->total, text, size < room ? size : room);
    }
    printer->total += size;
}

void venv_printer_put_z(venv_printer *printer, const char *text)
{
    venv_printer_put(printer, text, strlen(text));
}

/* Escape of one character in a string literal, NULL where it may stand for itself. */
static const char *escape(uint32_t point, char buffer[16])
{
    switch (point) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\t':
        return "\\t";
    case '\r':
        return "\\r";
    default:
        if (!venv_text_is_control(point))
            return NULL;
        snprintf(buffer, 16, "\\u%04x", (unsigned)point); /* none of them is past U+FFFF */
        return buffer;
    }
}

static void print_string(venv_printer *printer, venv_str text)
{
    venv_printer_put(printer, "\"", 1);
    for (size_t at = 0; at < text.size;) {
        uint32_t point = 0;
        char buffer[16];
        size_t length = venv_utf8_decode(text.data + at, text.size - at, &point);
        if (length == 0) { /* a borrowed text was not UTF-8 after all */
            venv_printer_put_z(printer, "\\ufffd");
            at++;
            continue;
        }
        const char *escaped = escape(point, buffer);
        if (escaped)
            venv_printer_put_z(printer, escaped);
        else
            venv_printer_put(printer, text.data + at, length);
        at += length;
    }
    venv_printer_put(printer, "\"", 1);
}

static void print_bytes(venv_printer *printer, venv_str text)
{
    venv_printer_put(printer, "b\"", 2);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        char buffer[16];
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
            venv_printer_put(printer, text.data + i, 1);
        } else if (byte == '"' || byte == '\\' || byte == '\n' || byte == '\t' || byte == '\r') {
            venv_printer_put_z(printer, escape(byte, buffer));
        } else {
            snprintf(buffer, sizeof buffer, "\\x%02x", byte);
            venv_printer_put_z(printer, buffer);
        }
    }
    venv_printer_put(printer, "\"", 1);
}

static void print_double(venv_printer *printer, double d)
{
    char text[VENV_DOUBLE_TEXT_SIZE];
    if (!isfinite(d)) {
        venv_printer_put_z(printer, isnan(d) ? "double(\"NaN\")"
                                    : d < 0  ? "double(\"-Infinity\")"
                                             : "double(\"Infinity\")");
        return;
    }
    venv_printer_put(printer, text, venv_double_format(d, text));
    if (!strpbrk(text, ".e"))
        venv_printer_put(printer, ".0", 2);
}

static void print_timestamp(venv_printer *printer, const venv_value *value)
{
    char text[VENV_RFC3339_TEXT_SIZE];
    venv_printer_put_z(printer, "timestamp(\"");
    venv_printer_put_z(printer, venv_rfc3339_format(value->w.as.i, value->w.extra, text));
    venv_printer_put_z(printer, "\")");
}

static void print_duration(venv_printer *printer, const venv_value *value)
{
    char text[VENV_DURATION_TEXT_SIZE];
    int64_t seconds;
    int32_t nanos;
    venv_value_peek_duration(value, &seconds, &nanos);
    venv_printer_put_z(printer, "duration(\"");
    venv_printer_put_z(printer, venv_duration_format(seconds, nanos, text));
    venv_printer_put_z(printer, "\")");
}

static void print_list(venv_printer *printer, const struct venv_object *list)
{
    venv_printer_put(printer, "[", 1);
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            venv_printer_put(printer, ", ", 2);
        venv_printer_value(printer, &venv_object_items(list)[i]);
    }
    venv_printer_put(printer, "]", 1);
}

static void print_map(venv_printer *printer, const struct venv_object *map)
{
    const venv_value *entry = venv_object_items(map);
    venv_printer_put(printer, "{", 1);
    for (size_t i = 0; i < map->count; i++, entry += 2) {
        if (i)
            venv_printer_put(printer, ", ", 2);
        venv_printer_value(printer, &entry[0]);
        venv_printer_put(printer, ": ", 2);
        venv_printer_value(printer, &entry[1]);
    }
    venv_printer_put(printer, "}", 1);
}

static void print_integer(venv_printer *printer, const venv_value *value)
{
    char text[32];
    if (value->w.kind == VENV_INT)
        snprintf(text, sizeof text, "%" PRId64, value->w.as.i);
    else
        snprintf(text, sizeof text, "%" PRIu64 "u", value->w.as.u);
    venv_printer_put_z(printer, text);
}

void venv_printer_value(venv_printer *printer, const venv_value *value)
{
    switch (value->w.kind) {
    case VENV_NULL:
        venv_printer_put_z(printer, "null");
        break;
    case VENV_BOOL:
        venv_printer_put_z(printer, value->w.as.u ? "true" : "false");
        break;
    case VENV_INT:
    case VENV_UINT:
        print_integer(printer, value);
        break;
    case VENV_DOUBLE:
        print_double(printer, value->w.as.d);
        break;
    case VENV_STRING:
        print_string(printer, venv_text_of(value));
        break;
    case VENV_BYTES:
        print_bytes(printer, venv_text_of(value));
        break;
    case VENV_LIST:
        print_list(printer, value->w.as.object);
        break;
    case VENV_MAP:
        print_map(printer, value->w.as.object);
        break;
    case VENV_TIMESTAMP:
        print_timestamp(printer, value);
        break;
    case VENV_DURATION:
        print_duration(printer, value);
        break;
    case VENV_TYPE: {
        venv_str name = venv_text_of(value);
        venv_printer_put(printer, name.data, name.size);
        break;
    }
    default:
        ((const struct venv_opaque *)value->w.as.object)->class->print(value->w.as.object, printer);
        break;
    }
}

size_t venv_value_print(const venv_value *value, char *buffer, size_t size)
{
    venv_printer printer = { buffer, size, 0 };
    venv_printer_value(&printer, value);
    if (printer.total < size)
        buffer[printer.total] = '\0';
    else if (size)
        buffer[venv_utf8_valid_prefix(buffer, size - 1)] = '\0';
    return printer.total;
}
