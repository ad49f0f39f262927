/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mail's text (RFC 5322). Whatever an action's arguments hold stays in its place: a subject is printable ASCII or encoded
 * words (RFC 2047), the body is base64 (RFC 2045), and addresses come from the configuration, where they were checked.
 */
#include "deliver/deliver.h"

#include "base/base64.h"
#include "base/calendar.h"
#include "base/text.h"

#include <string.h>

#define WORD_BYTES 39u /* in one encoded word: with its frame and `Subject: ` a line has at most 73 characters */
#define LINE_BYTES 57u /* of the body: 76 characters */
#define SUBJECT_PLAIN_MAX 66u

static const char *const weekdays[] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" }; /* 1970-01-01 was a Thursday */
static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static void put_date(venv_buf *out, venv_wall wall)
{
    int64_t seconds = wall.ns / VENV_NS_PER_S, year;
    unsigned month, day;
    if (seconds < 0)
        seconds = 0;
    int64_t days = seconds / 86400;
    venv_civil_from_days(days, &year, &month, &day);
    venv_buf_printf(out, "Date: %s, %u %s %lld %02d:%02d:%02d +0000\r\n", weekdays[days % 7], day, months[month - 1],
                    (long long)year, (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60), (int)(seconds % 60));
}

/* What may not stand in a header becomes a space: a line that ends, a NUL, what turns the direction of text. */
static void clean_subject(venv_str text, venv_buf *out, bool *ret_plain)
{
    unsigned count = 0;
    bool plain = true;
    for (size_t at = 0, size; at < text.size && count < VENV_MAIL_SUBJECT_MAX; at += size, count++) {
        uint32_t point;
        size = venv_utf8_decode(text.data + at, text.size - at, &point);
        if (size == 0) {
            size = 1;
            venv_buf_append_byte(out, '?');
        } else if (venv_text_is_control(point)) {
            venv_buf_append_byte(out, ' ');
        } else {
            venv_buf_append(out, text.data + at, size);
            plain = plain && point < 0x7f;
        }
    }
    *ret_plain = plain && out->size <= SUBJECT_PLAIN_MAX && !strstr(venv_buf_peek_text(out), "=?");
}

static void put_subject(venv_buf *out, venv_str text)
{
    venv_buf clean;
    bool plain = true;
    venv_buf_init(&clean, VENV_MAIL_SUBJECT_MAX * 4 + 8);
    clean_subject(text, &clean, &plain);
    const char *data = venv_buf_peek_text(&clean);
    venv_buf_append_text(out, "Subject: ");
    if (plain)
        venv_buf_append_text(out, data);
    for (size_t at = 0, size; !plain && at < clean.size; at += size) {
        size = clean.size - at < WORD_BYTES ? clean.size - at : WORD_BYTES;
        while (at + size < clean.size && ((unsigned char)data[at + size] & 0xc0) == 0x80)
            size--; /* a character is not cut */
        venv_buf_append_text(out, at > 0 ? "\r\n =?UTF-8?B?" : "=?UTF-8?B?");
        venv_base64_append(out, data + at, size);
        venv_buf_append_text(out, "?=");
    }
    venv_buf_append_text(out, "\r\n");
    if (clean.rc != VENV_OK && out->rc == VENV_OK)
        out->rc = clean.rc;
    venv_buf_fini(&clean);
}

static void put_addresses(venv_buf *out, const venv_value *list)
{
    venv_buf_append_text(out, "To: ");
    for (size_t i = 0; i < venv_value_count(list); i++) {
        venv_str address = venv_value_peek_text(venv_value_at(list, i));
        venv_buf_append_text(out, i > 0 ? ",\r\n " : "");
        venv_buf_append(out, address.data, address.size);
    }
    venv_buf_append_text(out, "\r\n");
}

/* The canonical form of text ends lines with CR LF, before it is encoded. */
static void put_body(venv_buf *out, venv_str text)
{
    venv_buf lines;
    venv_buf_init(&lines, VENV_MAIL_TEXT_MAX * 2 + 2);
    for (size_t i = 0; i < text.size; i++) {
        bool ends = text.data[i] == '\n' && (i == 0 || text.data[i - 1] != '\r');
        if (ends)
            venv_buf_append_byte(&lines, '\r');
        venv_buf_append_byte(&lines, (uint8_t)text.data[i]);
    }
    venv_buf_append_text(&lines, "\r\n");
    for (size_t at = 0; lines.rc == VENV_OK && at < lines.size; at += LINE_BYTES) {
        venv_base64_append(out, lines.data + at, lines.size - at < LINE_BYTES ? lines.size - at : LINE_BYTES);
        venv_buf_append_text(out, "\r\n");
    }
    if (lines.rc != VENV_OK && out->rc == VENV_OK)
        out->rc = lines.rc;
    venv_buf_fini(&lines);
}

venv_rc venv_mail_compose(const venv_value *order, venv_buf *out, venv_error *err)
{
    venv_str from = venv_value_get_text(order, "from"), text = venv_value_get_text(order, "text");
    venv_str id = venv_value_get_text(order, "id"), domain = venv_value_get_text(order, "domain");
    venv_wall made = { 0 };
    const venv_value *time = venv_value_get(order, "made");
    if (time)
        (void)venv_value_to_wall(time, &made);
    if (text.size > VENV_MAIL_TEXT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the text of a mail has %zu bytes; at most %u are allowed", text.size, VENV_MAIL_TEXT_MAX);
    put_date(out, made);
    venv_buf_printf(out, "From: %.*s\r\n", (int)from.size, from.data ? from.data : "");
    put_addresses(out, venv_value_get(order, "to"));
    put_subject(out, venv_value_get_text(order, "subject"));
    venv_buf_printf(out, "Message-ID: <%.*s@%.*s>\r\n", (int)id.size, id.data ? id.data : "", (int)domain.size,
                    domain.data ? domain.data : "");
    venv_buf_append_text(out, "Auto-Submitted: auto-generated\r\n" /* RFC 3834: nobody's vacation answers it */
                              "MIME-Version: 1.0\r\n"
                              "Content-Type: text/plain; charset=utf-8\r\n"
                              "Content-Transfer-Encoding: base64\r\n\r\n");
    put_body(out, text);
    return out->rc == VENV_OK ? VENV_OK : venv_error_set(err, out->rc, "out of memory for a mail");
}
