/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as values: filling, placing and printing them. Nothing here is kept between calls.
 */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const rc_names[] = {
    [-VENV_OK] = "ok",
    [-VENV_EINVAL] = "invalid",
    [-VENV_ENOMEM] = "out-of-memory",
    [-VENV_ENOENT] = "not-found",
    [-VENV_EEXIST] = "exists",
    [-VENV_EKIND] = "wrong-kind",
    [-VENV_ERANGE] = "out-of-range",
    [-VENV_ELIMIT] = "over-limit",
    [-VENV_EDENIED] = "denied",
    [-VENV_EUNREACHABLE] = "unreachable",
    [-VENV_ETIMEDOUT] = "timed-out",
    [-VENV_EUNKNOWN] = "unknown",
    [-VENV_ECONFLICT] = "conflict",
    [-VENV_EUNSUPPORTED] = "unsupported",
    [-VENV_EIO] = "io",
    [-VENV_ENOSPACE] = "no-space",
    [-VENV_EPROTO] = "protocol",
    [-VENV_ECANCELED] = "canceled",
    [-VENV_EINTERNAL] = "internal",
};

const char *venv_rc_name(venv_rc rc)
{
    size_t index = (size_t)-(int)rc;
    return rc <= 0 && index < sizeof rc_names / sizeof rc_names[0] ? rc_names[index] : "internal";
}

/* Make a text of unknown origin safe for a terminal and a log: one byte for one byte. */
static void clean(char *text)
{
    size_t size = strlen(text);
    for (size_t at = venv_text_plain_prefix(text, size); at < size; at += venv_text_plain_prefix(text + at, size - at)) {
        uint32_t point = 0;
        size_t length = venv_utf8_decode(text + at, size - at, &point);
        if (length == 0) {
            text[at++] = '?';
            continue;
        }
        if (point != '\n' && venv_text_is_control(point))
            memset(text + at, '?', length);
        at += length;
    }
}

/* vsnprintf() cuts anywhere: take away the beginning of a character at the end of the text. */
static void trim(char *text, size_t size, size_t wanted)
{
    if (wanted < size)
        return;
    size_t end = strlen(text), first = end;
    while (first > 0 && end - first < 3 && ((uint8_t)text[first - 1] & 0xc0) == 0x80)
        first--;
    uint32_t point;
    if (first > 0 && ((uint8_t)text[first - 1] & 0xc0) == 0xc0 &&
        venv_utf8_decode(text + first - 1, end - first + 1, &point) == 0)
        text[first - 1] = '\0';
}

venv_rc venv_error_set(venv_error *err, venv_rc rc, const char *format, ...)
{
    if (!err)
        return rc;
    /* Formatted aside: an argument may be the text that is there now. */
    char text[VENV_ERROR_TEXT_MAX] = "";
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (wanted > 0) {
        trim(text, sizeof text, (size_t)wanted);
        clean(text);
    }
    memcpy(err->text, text, strlen(text) + 1);
    err->rc = rc;
    err->line = err->column = 0;
    err->file[0] = '\0';
    return rc;
}

void venv_error_at(venv_error *err, const char *file, uint32_t line, uint32_t column)
{
    if (!err)
        return;
    if (file) {
        size_t size = strlen(file);
        if (size >= sizeof err->file)
            size = sizeof err->file - 1;
        memcpy(err->file, file, size);
        err->file[size] = '\0';
        clean(err->file);
    }
    err->line = line;
    err->column = column;
}

venv_rc venv_error_prefix(venv_error *err, const char *format, ...)
{
    if (!err)
        return VENV_EINTERNAL;
    char text[VENV_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size > 0) {
        size_t used = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
        size_t old = strlen(err->text);
        size_t wanted = used + 2 + old;
        if (used + 2 < sizeof text) {
            size_t kept = wanted < sizeof text ? old : sizeof text - 1 - used - 2;
            memmove(err->text + used + 2, err->text, kept);
            memcpy(err->text, text, used);
            memcpy(err->text + used, ": ", 2);
            err->text[used + 2 + kept] = '\0';
        } else {
            memcpy(err->text, text, used + 1);
        }
        trim(err->text, sizeof err->text, wanted);
        clean(err->text);
    }
    return err->rc;
}

const char *venv_error_format(const venv_error *err, char *buffer, size_t size)
{
    char place[32] = "";
    if (err->line && err->column)
        snprintf(place, sizeof place, "%u:%u: ", err->line, err->column);
    else if (err->line)
        snprintf(place, sizeof place, "%u: ", err->line);
    const char *colon = !err->file[0] ? "" : err->line ? ":" : ": ";
    const char *text = err->text[0] ? err->text : venv_rc_name(err->rc);
    if (size)
        snprintf(buffer, size, "%s%s%s%s", err->file, colon, place, text);
    return buffer;
}
