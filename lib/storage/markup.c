/* SPDX-License-Identifier: Apache-2.0 */
/* A small reader of XML: see markup.h for what it takes. */
#include "storage/markup.h"

#include "base/text.h"

#include <string.h>

#define DEPTH_MAX 64u

void venv_storage_markup_init(venv_storage_markup *markup, const void *data, size_t size)
{
    markup->at = data;
    markup->end = (const char *)data + size;
    markup->depth = 0;
    markup->pending_close = false;
    markup->name[0] = markup->text[0] = 0;
    markup->text_size = 0;
}

static bool starts(const venv_storage_markup *markup, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(markup->end - markup->at) >= size && memcmp(markup->at, word, size) == 0;
}

/* Go behind the next `word`; false if there is none. */
static bool skip_past(venv_storage_markup *markup, const char *word)
{
    const char *found = memmem(markup->at, (size_t)(markup->end - markup->at), word, strlen(word));
    if (!found)
        return false;
    markup->at = found + strlen(word);
    return true;
}

static bool add_text(venv_storage_markup *markup, const char *bytes, size_t size)
{
    if (markup->text_size + size >= sizeof markup->text)
        return false;
    memcpy(markup->text + markup->text_size, bytes, size);
    markup->text_size += size;
    markup->text[markup->text_size] = 0;
    return true;
}

/* One reference, from '&' to ';'. */
static bool add_reference(venv_storage_markup *markup)
{
    static const struct { const char *name; char byte; } known[] = {
        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (starts(markup, known[i].name)) {
            markup->at += strlen(known[i].name);
            return add_text(markup, &known[i].byte, 1);
        }
    }
    if (!starts(markup, "&#"))
        return false;
    bool hex = starts(markup, "&#x");
    uint32_t point = 0;
    unsigned digits = 0;
    for (markup->at += hex ? 3 : 2; markup->at < markup->end && *markup->at != ';'; markup->at++, digits++) {
        char c = *markup->at;
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : hex && (c | 32) >= 'a' && (c | 32) <= 'f'
            ? (uint32_t)((c | 32) - 'a' + 10) : 99;
        if (digit == 99 || digits >= 7)
            return false;
        point = point * (hex ? 16 : 10) + digit;
    }
    char bytes[4];
    size_t size = venv_utf8_encode(point, bytes);
    if (markup->at >= markup->end || digits == 0 || size == 0 || point == 0)
        return false;
    markup->at++;
    return add_text(markup, bytes, size);
}

/* The name of a tag without its prefix; `at` stands behind it. */
static bool take_name(venv_storage_markup *markup)
{
    const char *start = markup->at;
    while (markup->at < markup->end && !strchr(" \t\r\n/>=", *markup->at))
        markup->at++;
    const char *colon = memchr(start, ':', (size_t)(markup->at - start));
    if (colon)
        start = colon + 1;
    size_t size = (size_t)(markup->at - start);
    if (size == 0 || size >= sizeof markup->name)
        return false;
    memcpy(markup->name, start, size);
    markup->name[size] = 0;
    return true;
}

/* To the '>' of a tag; attributes are of no interest, but a '>' may stand in their quotes. */
static bool skip_attributes(venv_storage_markup *markup, bool *ret_empty)
{
    char quote = 0, last = 0;
    for (; markup->at < markup->end; markup->at++) {
        char c = *markup->at;
        if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            markup->at++;
            *ret_empty = last == '/';
            return true;
        } else if (c == '<') {
            return false;
        }
        last = c;
    }
    return false;
}

static venv_storage_markup_event open_tag(venv_storage_markup *markup)
{
    bool empty = false;
    markup->at++;
    if (!take_name(markup) || !skip_attributes(markup, &empty) || ++markup->depth > DEPTH_MAX)
        return VENV_STORAGE_MARKUP_BROKEN;
    markup->pending_close = empty;
    markup->text_size = 0;
    markup->text[0] = 0;
    return VENV_STORAGE_MARKUP_OPEN;
}

static venv_storage_markup_event close_tag(venv_storage_markup *markup)
{
    bool empty;
    markup->at += 2;
    if (!take_name(markup) || !skip_attributes(markup, &empty) || markup->depth == 0)
        return VENV_STORAGE_MARKUP_BROKEN;
    markup->depth--;
    return VENV_STORAGE_MARKUP_CLOSE;
}

venv_storage_markup_event venv_storage_markup_next(venv_storage_markup *markup)
{
    if (markup->pending_close) {
        markup->pending_close = false;
        markup->text[0] = 0;
        markup->depth--;
        return VENV_STORAGE_MARKUP_CLOSE;
    }
    markup->text_size = 0;
    markup->text[0] = 0;
    while (markup->at < markup->end) {
        if (starts(markup, "<!--")) {
            if (!skip_past(markup, "-->"))
                return VENV_STORAGE_MARKUP_BROKEN;
        } else if (starts(markup, "<?")) {
            if (!skip_past(markup, "?>"))
                return VENV_STORAGE_MARKUP_BROKEN;
        } else if (starts(markup, "<![CDATA[")) {
            const char *start = markup->at + strlen("<![CDATA[");
            if (!skip_past(markup, "]]>") || !add_text(markup, start, (size_t)(markup->at - 3 - start)))
                return VENV_STORAGE_MARKUP_BROKEN;
        } else if (starts(markup, "<!")) {
            return VENV_STORAGE_MARKUP_BROKEN; /* a document type */
        } else if (starts(markup, "</")) {
            return close_tag(markup);
        } else if (*markup->at == '<') {
            return open_tag(markup);
        } else if (*markup->at == '&') {
            if (markup->depth == 0 || !add_reference(markup))
                return VENV_STORAGE_MARKUP_BROKEN;
        } else {
            if (*markup->at == 0 || !add_text(markup, markup->at, 1))
                return VENV_STORAGE_MARKUP_BROKEN;
            markup->at++;
        }
    }
    return markup->depth == 0 ? VENV_STORAGE_MARKUP_END : VENV_STORAGE_MARKUP_BROKEN;
}
