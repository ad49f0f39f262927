/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as the Unicode Standard (3.9, table 3-7) and RFC 3629 define it, and escaping of what a
 * terminal or a log must not see.
 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

size_t venv_utf8_decode(const char *text, size_t size, uint32_t *ret_point)
{
    const uint8_t *s = (const uint8_t *)text;
    if (size == 0)
        return 0;
    if (s[0] < 0x80) {
        *ret_point = s[0];
        return 1;
    }
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    size_t length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (size < length)
        return 0;
    /* The second byte excludes overlong forms, surrogates and what is past U+10FFFF. */
    uint8_t low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    uint32_t point = s[0] & (0xffu >> (length + 1));
    point = point << 6 | (s[1] & 0x3f);
    for (size_t i = 2; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3f);
    }
    *ret_point = point;
    return length;
}

size_t venv_utf8_encode(uint32_t point, char ret_bytes[4])
{
    if (point < 0x80) {
        ret_bytes[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        ret_bytes[0] = (char)(0xc0 | point >> 6);
        ret_bytes[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if ((point >= 0xd800 && point < 0xe000) || point > 0x10ffff)
        return 0;
    size_t length = point < 0x10000 ? 3 : 4;
    ret_bytes[0] = (char)((length == 3 ? 0xe0 : 0xf0) | point >> (6 * (length - 1)));
    for (size_t i = 1; i < length; i++)
        ret_bytes[i] = (char)(0x80 | ((point >> (6 * (length - 1 - i))) & 0x3f));
    return length;
}

size_t venv_utf8_valid_prefix(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint64_t word;
        if (size - at >= 8) {
            memcpy(&word, text + at, 8);
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += 8;
                continue;
            }
        }
        if (!((uint8_t)text[at] & 0x80)) {
            at++;
            continue;
        }
        uint32_t point;
        size_t length = venv_utf8_decode(text + at, size - at, &point);
        if (length == 0)
            break;
        at += length;
    }
    return at;
}

bool venv_utf8_is_valid(const char *text, size_t size)
{
    return venv_utf8_valid_prefix(text, size) == size;
}

bool venv_text_is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0)     /* C0, DEL, C1 */
           || point == 0x61c || point == 0x200e || point == 0x200f /* directional marks */
           || (point >= 0x2028 && point <= 0x202e)             /* separators, embeddings, overrides */
           || (point >= 0x2066 && point <= 0x2069)             /* isolates */
           || point == 0xfeff;                                 /* byte order mark */
}

size_t venv_text_plain_prefix(const char *text, size_t size)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t at = 0;
    for (uint64_t word; size - at >= 8; at += 8) {
        memcpy(&word, text + at, 8);
        /* The top bit of a byte is set in what is not ASCII, in what borrows (below 0x20), in what carries (DEL). */
        if ((word | (word - ones * 0x20) | (word + ones)) & ones * 0x80)
            break;
    }
    while (at < size && text[at] >= 0x20 && text[at] < 0x7f)
        at++;
    return at;
}

/* The escaped form of what stands at `text`; returns its length in `text`. */
static size_t escape_one(const char *text, size_t size, char ret_form[16], size_t *ret_form_size)
{
    uint32_t point = 0;
    size_t length = venv_utf8_decode(text, size, &point);
    if (length == 0) {
        *ret_form_size = (size_t)snprintf(ret_form, 16, "\\x%02x", (unsigned)(uint8_t)text[0]);
        return 1;
    }
    if (!venv_text_is_control(point)) {
        memcpy(ret_form, text, length);
        *ret_form_size = length;
    } else if (point == '\n' || point == '\t') {
        ret_form[0] = '\\';
        ret_form[1] = point == '\n' ? 'n' : 't';
        *ret_form_size = 2;
    } else if (point < 0x80) {
        *ret_form_size = (size_t)snprintf(ret_form, 16, "\\x%02x", (unsigned)point);
    } else {
        *ret_form_size = (size_t)snprintf(ret_form, 16, "\\u{%x}", (unsigned)point);
    }
    return length;
}

void venv_text_escape(venv_buf *buf, const char *text, size_t size, size_t max)
{
    size_t written = 0;
    for (size_t at = 0; at < size;) {
        char form[16];
        size_t form_size = 0, plain = venv_text_plain_prefix(text + at, size - at);
        if (plain > 0) {
            size_t fits = plain < max - written ? plain : max - written;
            venv_buf_append(buf, text + at, fits);
            written += fits;
            at += fits;
            if (at == size)
                return;
        }
        size_t length = escape_one(text + at, size - at, form, &form_size);
        if (form_size > max - written) {
            venv_buf_append_text(buf, "\xe2\x80\xa6");
            return;
        }
        venv_buf_append(buf, form, form_size);
        written += form_size;
        at += length;
    }
}

size_t venv_text_safe(venv_str text, char *buffer, size_t size)
{
    size_t need = 0, written = 0;
    bool room = size > 0;
    for (size_t at = 0; at < text.size;) {
        char form[16];
        size_t form_size = 0, plain = venv_text_plain_prefix(text.data + at, text.size - at);
        if (plain > 0) {
            size_t fits = !room || need + 1 >= size ? 0 : plain < size - 1 - need ? plain : size - 1 - need;
            if (fits > 0) /* without room there may be no buffer */
                memcpy(buffer + written, text.data + at, fits);
            written += fits;
            room = room && fits == plain;
            need += plain;
            at += plain;
            continue;
        }
        at += escape_one(text.data + at, text.size - at, form, &form_size);
        need += form_size;
        room = room && need < size;
        if (room) {
            memcpy(buffer + written, form, form_size);
            written = need;
        }
    }
    if (size > 0)
        buffer[written] = '\0';
    return need;
}
