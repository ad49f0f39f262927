/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition out of what others wrote: the parts that both readers fill, and the document that comes of them. The
 * document is read back before it is given away, so that what it says at its top is true.
 */
#include "environment/import.h"

#include "base/text.h"
#include "environment/definition.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX  (256u << 10)
#define QUOTE_MAX 4096u /* bytes of one text; what is longer is cut, and then refused by its key's bounds */

void venv_import_quote(venv_buf *buf, venv_str text)
{
    size_t end = text.size < QUOTE_MAX ? text.size : QUOTE_MAX;
    venv_buf_append_byte(buf, '"');
    for (size_t at = 0; at < end;) {
        uint32_t point = 0;
        size_t step = venv_utf8_decode(text.data + at, text.size - at, &point);
        if (step == 0) {
            venv_buf_append_byte(buf, '?');
            at++;
            continue;
        }
        if (point == '"' || point == '\\')
            venv_buf_printf(buf, "\\%c", (char)point);
        else if (venv_text_is_control(point) || point == 0xfeff)
            venv_buf_printf(buf, "\\u%04X", (unsigned)point);
        else
            venv_buf_append(buf, text.data + at, step);
        at += step;
    }
    venv_buf_append_byte(buf, '"');
}

void venv_import_text(venv_import *d, const char *key, venv_str text)
{
    if (text.size == 0)
        return;
    venv_buf_printf(&d->keys, "    %s: ", key);
    venv_import_quote(&d->keys, text);
    venv_buf_append_byte(&d->keys, '\n');
}

void venv_import_raw(venv_import *d, const char *key, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    venv_buf_printf(&d->keys, "    %s: %s\n", key, text);
}

void venv_import_note(venv_import *d, const char *format, ...)
{
    char text[512];
    if (d->note_count++ >= VENV_IMPORT_NOTES_MAX)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    venv_buf_append_text(&d->notes, "    # ");
    venv_text_escape(&d->notes, text, strlen(text), 400); /* no line end, nothing that a terminal obeys */
    venv_buf_append_byte(&d->notes, '\n');
}

void venv_import_name(venv_import *d, venv_str text)
{
    char name[VENV_NAME_MAX + 1];
    size_t used = 0;
    for (size_t i = 0; i < text.size && used < VENV_NAME_MAX; i++) {
        char c = text.data[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (good || (used && (c == '_' || c == '-' || c == '.') && name[used - 1] != '.'))
            name[used++] = c;
        else if (used && name[used - 1] != '-')
            name[used++] = '-';
    }
    while (used && (name[used - 1] == '-' || name[used - 1] == '.'))
        used--;
    name[used] = '\0';
    if (!venv_name_is_valid((venv_str){ name, used }))
        return;
    memcpy(d->name, name, used + 1);
    if (used != text.size || memcmp(name, text.data, used) != 0)
        venv_import_note(d, "the name was \"%.*s\"", (int)(text.size < 100 ? text.size : 100), text.data);
}

void venv_import_block(venv_import *d, venv_str path)
{
    static const char *const others[] = { "sd", "hd", "vd", "xvd", "nvme", "disk/", "mapper/", "loop", "md", "dm-", "ram", "nbd", NULL };
    venv_str rest = { path.data + 5, path.size > 5 ? path.size - 5 : 0 };
    bool device = path.size > 5 && memcmp(path.data, "/dev/", 5) == 0;
    for (size_t i = 0; device && others[i]; i++)
        if (rest.size >= strlen(others[i]) && memcmp(rest.data, others[i], strlen(others[i])) == 0)
            device = false;
    bool volume = device && memchr(rest.data, '/', rest.size);
    venv_buf_append_text(&d->disks, volume ? "volume: " : "partition: ");
    venv_import_quote(&d->disks, volume ? rest : path);
}

/* --- the document ------------------------------------------------------------------------------------------- */

static void part(venv_buf *out, venv_buf *from)
{
    const char *text = venv_buf_peek_text(from);
    if (from->rc != VENV_OK || !text)
        out->rc = from->rc != VENV_OK ? from->rc : VENV_ENOMEM;
    else
        venv_buf_append_text(out, text);
}

static void assemble(venv_import *d, venv_buf *out)
{
    venv_buf_printf(out, "environments:\n  %s:\n", d->name);
    part(out, &d->keys);
    if (d->disk_count) {
        venv_buf_append_text(out, "    disks:\n");
        part(out, &d->disks);
    }
    if (d->network_count) {
        venv_buf_append_text(out, "    networks:\n");
        part(out, &d->networks);
    }
    if (d->note_count)
        venv_buf_append_text(out, "    # Not carried over, or in another way:\n");
    part(out, &d->notes);
    if (d->note_count > VENV_IMPORT_NOTES_MAX)
        venv_buf_printf(out, "    # and %zu more\n", d->note_count - VENV_IMPORT_NOTES_MAX);
}

/* Can it be applied as it is? If not, the error says what is missing. */
static venv_rc read_back(const char *yaml, const char *name, venv_error *err)
{
    venv_value file = venv_value_null();
    venv_environment *environment = NULL;
    venv_rc rc = venv_yaml_parse(yaml, strlen(yaml), NULL, &file, NULL, err);
    if (rc != VENV_OK)
        return rc;
    const venv_value *all = venv_value_get(&file, "environments"), *value = all ? venv_value_get(all, name) : NULL;
    rc = value ? venv_environment_from_value(name, value, NULL, NULL, &environment, err)
               : venv_error_set(err, VENV_EINVAL, "there is no definition in it");
    venv_environment_unref(environment);
    venv_value_unref(&file);
    return rc;
}

static venv_rc finish(venv_import *d, char **ret_yaml, venv_error *err)
{
    venv_buf body, whole;
    venv_error why = { .rc = VENV_OK };
    venv_buf_init(&body, 4 * PART_MAX);
    venv_buf_init(&whole, 4 * PART_MAX + 1024);
    assemble(d, &body);
    const char *text = body.rc == VENV_OK ? venv_buf_peek_text(&body) : NULL;
    venv_rc rc = text ? read_back(text, d->name, &why) : VENV_ENOMEM;
    if (text && rc != VENV_OK && rc != VENV_ENOMEM) {
        venv_buf_append_text(&whole, "# It cannot be applied yet: ");
        venv_text_escape(&whole, why.text, strlen(why.text), 400);
        venv_buf_append_byte(&whole, '\n');
        rc = VENV_OK;
    }
    if (rc == VENV_OK)
        part(&whole, &body);
    if (rc == VENV_OK && whole.rc == VENV_OK) {
        size_t size = 0;
        char *yaml = (char *)venv_buf_take(&whole, &size); /* with a NUL behind it */
        rc = yaml ? VENV_OK : VENV_ENOMEM;
        if (yaml)
            *ret_yaml = yaml;
    } else if (rc == VENV_OK) {
        rc = whole.rc;
    }
    venv_buf_fini(&body);
    venv_buf_fini(&whole);
    return rc == VENV_OK ? rc : venv_error_set(err, rc, rc == VENV_ENOMEM ? "out of memory" : "it has more than fits into a definition");
}

venv_rc venv_environment_import(const char *text, size_t size, const char *file, const char *name, char **ret_yaml, venv_error *err)
{
    venv_import d = { .disk_count = 0 };
    size_t first = 0;
    while (first < size && (text[first] == ' ' || text[first] == '\t' || text[first] == '\r' || text[first] == '\n'))
        first++;
    if (size > VENV_ENVIRONMENT_XML_MAX)
        return venv_error_set(err, VENV_ELIMIT, "it has %zu bytes, more than %u", size, VENV_ENVIRONMENT_XML_MAX);
    if (memchr(text, '\0', size))
        return venv_error_set(err, VENV_EINVAL, "it is no text: there is a zero byte in it");
    snprintf(d.name, sizeof d.name, "imported");
    venv_buf *parts[] = { &d.keys, &d.disks, &d.networks, &d.notes };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        venv_buf_init(parts[i], PART_MAX);
    venv_rc rc = first < size && text[first] == '<' ? venv_import_domain(&d, text, size, err) : venv_import_xl(&d, text, size, file, err);
    if (name)
        venv_import_name(&d, (venv_str){ name, strlen(name) });
    if (rc == VENV_OK)
        rc = finish(&d, ret_yaml, err);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        venv_buf_fini(parts[i]);
    return rc;
}
