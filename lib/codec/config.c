/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a map against configuration rows, and giving it back normalised. How a row is described
 * to people is in config_text.c.
 */
#include "codec/config.h"

#include "base/text.h"
#include "value/object.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 128 /* that "did you mean" looks at */

/* Where a check is: the path to the value, and who is told. */
typedef struct check {
    const char *where;
    char path[VENV_CONFIG_PATH_MAX];
    size_t path_size;
    unsigned depth;
    venv_error *err;
} check;

static venv_rc check_value(check *c, const venv_config_row *row, const venv_value *value, const venv_mark *mark,
                           venv_value *ret_value);

static void blame(check *c, const venv_mark *mark, bool key)
{
    if (c->err && mark)
        venv_error_at(c->err, mark->file, key ? mark->key_line : mark->line, key ? mark->key_column : mark->column);
}

/* "where: path" of what is wrong; either may be empty. */
static void subject_of(const check *c, char *text, size_t size)
{
    bool both = c->where[0] && c->path_size;
    snprintf(text, size, "%s%s%.*s", c->where, both ? ": " : "", (int)c->path_size, c->path);
    if (!text[0])
        snprintf(text, size, "the document");
}

static venv_rc not_expected(check *c, const venv_config_row *row, const venv_value *value, const venv_mark *mark,
                            venv_rc rc)
{
    char subject[VENV_CONFIG_PATH_MAX + 64], is[64], hint[80] = "";
    venv_buf expected;
    venv_buf_init(&expected, 300);
    venv_config_expected(row, &expected);
    bool cut = venv_value_print(value, is, sizeof is) >= sizeof is;
    bool wants_text = row->kind == VENV_CONFIG_STRING || row->kind == VENV_CONFIG_NAME ||
                      row->kind == VENV_CONFIG_GROUP_NAME || row->kind == VENV_CONFIG_ENUM;
    if (rc == VENV_EKIND && wants_text && venv_value_count(value) == 0 && value->w.kind != VENV_NULL)
        snprintf(hint, sizeof hint, "; put it in quotes if it is meant as text");
    subject_of(c, subject, sizeof subject);
    venv_error_set(c->err, rc, "%s must be %s, not %s%s%s", subject, venv_buf_peek_text(&expected), is,
                   cut ? "…" : "", hint);
    blame(c, mark, false);
    venv_buf_fini(&expected);
    return rc;
}

static venv_rc no_memory(check *c)
{
    return venv_error_set(c->err, VENV_ENOMEM, "out of memory while reading the configuration");
}

/* One step into the value; the path is cut where it is too long. Returns the size to go back to. */
VENV_PRINTF(2, 3) static size_t enter(check *c, const char *format, ...)
{
    size_t before = c->path_size, room = sizeof c->path - before;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(c->path + before, room, format, args);
    va_end(args);
    if (size > 0)
        c->path_size = (size_t)size < room ? before + (size_t)size : sizeof c->path - 1;
    return before;
}

static void leave(check *c, size_t before)
{
    c->path_size = before;
    c->path[before] = '\0';
}

static bool in_bounds(const venv_config_row *row, int64_t number)
{
    if (row->min == 0 && row->max == 0)
        return true;
    return number >= row->min && (row->max == 0 || number <= row->max);
}

static bool double_in_bounds(const venv_config_row *row, double number)
{
    if (row->min == 0 && row->max == 0)
        return true;
    return number >= (double)row->min && (row->max == 0 || number <= (double)row->max);
}

static venv_rc read_double(const venv_config_row *row, const venv_value *value, venv_value *ret_value)
{
    double d;
    if (value->w.kind == VENV_DOUBLE)
        d = value->w.as.d;
    else if (value->w.kind == VENV_INT)
        d = (double)value->w.as.i;
    else if (value->w.kind == VENV_UINT)
        d = (double)value->w.as.u;
    else
        return VENV_EKIND;
    *ret_value = venv_value_double(d);
    return double_in_bounds(row, d) ? VENV_OK : VENV_ERANGE; /* NaN is in none */
}

static venv_rc read_span(const venv_config_row *row, const venv_value *value, venv_value *ret_value)
{
    venv_span span;
    if (value->w.kind == VENV_DURATION && venv_value_to_span(value, &span))
        ;
    else if (value->w.kind != VENV_STRING)
        return VENV_EKIND;
    else if (!venv_span_parse(venv_text_of(value), &span))
        return VENV_EINVAL;
    *ret_value = venv_value_from_span(span);
    return in_bounds(row, span.ns) ? VENV_OK : VENV_ERANGE;
}

static venv_rc read_size(const venv_config_row *row, const venv_value *value, venv_value *ret_value)
{
    uint64_t bytes;
    if (value->w.kind == VENV_INT && value->w.as.i >= 0)
        bytes = value->w.as.u;
    else if (value->w.kind == VENV_INT || value->w.kind == VENV_UINT)
        return VENV_ERANGE;
    else if (value->w.kind != VENV_STRING)
        return VENV_EKIND;
    else if (!venv_size_parse(venv_text_of(value), &bytes))
        return VENV_EINVAL;
    *ret_value = venv_value_int((int64_t)bytes);
    return in_bounds(row, (int64_t)bytes) ? VENV_OK : VENV_ERANGE;
}

/* Absolute, and no part of it is empty, "." or "..". A slash at the end is accepted. */
static bool path_is_valid(venv_str path)
{
    if (path.size == 0 || path.data[0] != '/' || memchr(path.data, '\0', path.size))
        return false;
    for (size_t at = 1; at < path.size;) {
        const char *end = memchr(path.data + at, '/', path.size - at);
        size_t size = end ? (size_t)(end - (path.data + at)) : path.size - at;
        const char *part = path.data + at;
        if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        at += size + 1;
    }
    return true;
}

static bool is_choice(const venv_config_row *row, const venv_value *value)
{
    for (const char *const *choice = row->choices; choice && *choice; choice++)
        if (venv_value_is_text(value, *choice))
            return true;
    return false;
}

static venv_rc read_text(const venv_config_row *row, const venv_value *value, venv_value *ret_value)
{
    if (value->w.kind != VENV_STRING)
        return VENV_EKIND;
    venv_str text = venv_text_of(value);
    bool good = true;
    switch (row->kind) {
    case VENV_CONFIG_NAME:
        good = venv_name_is_valid(text);
        break;
    case VENV_CONFIG_GROUP_NAME:
        good = venv_group_name_is_valid(text);
        break;
    case VENV_CONFIG_PATH:
        good = path_is_valid(text);
        break;
    case VENV_CONFIG_ENUM:
        good = is_choice(row, value);
        break;
    default:
        break;
    }
    if (!good)
        return VENV_EINVAL;
    bool bounded = row->kind == VENV_CONFIG_STRING || row->kind == VENV_CONFIG_PATH;
    if (bounded && !in_bounds(row, (int64_t)text.size))
        return VENV_ERANGE;
    /* A NUL would cut the text silently wherever C takes it. */
    if (memchr(text.data, '\0', text.size))
        return VENV_EINVAL;
    *ret_value = venv_value_ref(value);
    return VENV_OK;
}

/* `when: true` and `count: 2` are expressions, too. */
static venv_rc read_expression(const venv_value *value, venv_value *ret_value)
{
    char text[64];
    switch (value->w.kind) {
    case VENV_STRING:
        if (venv_text_of(value).size == 0)
            return VENV_EINVAL;
        *ret_value = venv_value_ref(value);
        return VENV_OK;
    case VENV_BOOL:
    case VENV_INT:
    case VENV_UINT:
    case VENV_DOUBLE:
        venv_value_print(value, text, sizeof text);
        return venv_value_string_z(text, ret_value, NULL);
    default:
        return VENV_EKIND;
    }
}

static venv_rc read_scalar(const venv_config_row *row, const venv_value *value, venv_value *ret_value)
{
    switch (row->kind) {
    case VENV_CONFIG_ANY:
        *ret_value = venv_value_ref(value);
        return VENV_OK;
    case VENV_CONFIG_BOOL:
        *ret_value = *value;
        return value->w.kind == VENV_BOOL ? VENV_OK : VENV_EKIND;
    case VENV_CONFIG_INT:
        *ret_value = *value;
        if (value->w.kind == VENV_UINT)
            return VENV_ERANGE;
        if (value->w.kind != VENV_INT)
            return VENV_EKIND;
        return in_bounds(row, value->w.as.i) ? VENV_OK : VENV_ERANGE;
    case VENV_CONFIG_DOUBLE:
        return read_double(row, value, ret_value);
    case VENV_CONFIG_SPAN:
        return read_span(row, value, ret_value);
    case VENV_CONFIG_SIZE:
        return read_size(row, value, ret_value);
    case VENV_CONFIG_EXPRESSION:
        return read_expression(value, ret_value);
    default:
        return read_text(row, value, ret_value);
    }
}

static venv_rc read_list(check *c, const venv_config_row *row, const venv_value *value, const venv_mark *mark,
                         venv_value *ret_value)
{
    bool single = value->w.kind != VENV_LIST;
    if (single && (!row->one_or_list || value->w.kind == VENV_NULL))
        return not_expected(c, row, value, mark, VENV_EKIND);
    size_t count = single ? 1 : venv_value_count(value);
    if (!in_bounds(row, (int64_t)count))
        return not_expected(c, row, value, mark, VENV_ERANGE);
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        venv_value item = venv_value_null();
        size_t before = single ? c->path_size : enter(c, "[%zu]", i);
        venv_rc rc = check_value(c, row->of, single ? value : venv_value_at(value, i),
                                 single ? mark : venv_mark_at(mark, i), &item);
        if (rc != VENV_OK) {
            venv_list_fini(&list);
            return rc;
        }
        leave(c, before);
        venv_list_add(&list, item);
    }
    return venv_list_take(&list, ret_value, c->err);
}

static size_t enter_key(check *c, const venv_value *key)
{
    char text[96];
    const char *dot = c->path_size ? "." : "";
    if (key->w.kind == VENV_STRING) {
        venv_str name = venv_text_of(key);
        return enter(c, "%s%.*s", dot, name.size < 80 ? (int)name.size : 80, name.data);
    }
    venv_value_print(key, text, sizeof text);
    return enter(c, "%s%s", dot, text);
}

static venv_rc check_key(check *c, const venv_config_row *row, const venv_value *key, const venv_mark *mark)
{
    venv_config_row as_row = { .name = "key", .kind = row->keys ? row->keys : VENV_CONFIG_NAME };
    venv_value copy = venv_value_null();
    venv_rc rc = read_scalar(&as_row, key, &copy);
    venv_value_unref(&copy);
    if (rc == VENV_OK)
        return rc;
    char subject[VENV_CONFIG_PATH_MAX + 64], is[64];
    venv_buf expected;
    venv_buf_init(&expected, 300);
    venv_config_expected(&as_row, &expected);
    venv_value_print(key, is, sizeof is);
    subject_of(c, subject, sizeof subject);
    venv_error_set(c->err, rc, "%s: the key %s must be %s", subject, is, venv_buf_peek_text(&expected));
    blame(c, mark, true);
    venv_buf_fini(&expected);
    return rc;
}

static venv_rc read_map(check *c, const venv_config_row *row, const venv_value *value, const venv_mark *mark,
                        venv_value *ret_value)
{
    if (value->w.kind != VENV_MAP)
        return not_expected(c, row, value, mark, VENV_EKIND);
    if (!in_bounds(row, (int64_t)venv_value_count(value)))
        return not_expected(c, row, value, mark, VENV_ERANGE);
    venv_map_builder map;
    venv_map_init(&map);
    const venv_value *key, *item;
    for (size_t i = 0; venv_value_entry(value, i, &key, &item); i++) {
        venv_value checked = venv_value_null();
        venv_rc rc = check_key(c, row, key, venv_mark_at(mark, i));
        size_t before = enter_key(c, key);
        if (rc == VENV_OK)
            rc = check_value(c, row->of, item, venv_mark_at(mark, i), &checked);
        if (rc != VENV_OK) {
            venv_map_fini(&map);
            return rc;
        }
        leave(c, before);
        venv_map_put_value(&map, venv_value_ref(key), checked);
    }
    return venv_map_take(&map, ret_value, c->err);
}

static const venv_config_row *find_row(const venv_config_row *rows, const venv_value *key)
{
    for (; rows->name; rows++)
        if (venv_value_is_text(key, rows->name))
            return rows;
    return NULL;
}

static venv_rc unknown_key(check *c, const venv_config_row *rows, const venv_value *key, const venv_mark *mark)
{
    const char *names[ROWS_MAX + 1], *nearest = NULL;
    size_t count = 0;
    char subject[VENV_CONFIG_PATH_MAX + 64], is[80];
    venv_buf known;
    venv_buf_init(&known, 300);
    for (; rows->name && count < ROWS_MAX; rows++) {
        venv_buf_printf(&known, "%s%s", count ? ", " : "", rows->name);
        names[count++] = rows->name;
    }
    names[count] = NULL;
    if (key->w.kind == VENV_STRING)
        nearest = venv_text_nearest(venv_text_of(key), names);
    venv_value_print(key, is, sizeof is);
    subject_of(c, subject, sizeof subject);
    if (nearest)
        venv_error_set(c->err, VENV_EINVAL, "%s: unknown key %s; did you mean \"%s\"?", subject, is, nearest);
    else if (known.rc == VENV_OK)
        venv_error_set(c->err, VENV_EINVAL, "%s: unknown key %s; known are: %s", subject, is,
                       venv_buf_peek_text(&known));
    else
        venv_error_set(c->err, VENV_EINVAL, "%s: unknown key %s", subject, is);
    blame(c, mark, true);
    venv_buf_fini(&known);
    return VENV_EINVAL;
}

static venv_rc missing_key(check *c, const venv_config_row *row, const venv_mark *mark)
{
    char subject[VENV_CONFIG_PATH_MAX + 64];
    venv_buf expected;
    venv_buf_init(&expected, 300);
    venv_config_expected(row, &expected);
    subject_of(c, subject, sizeof subject);
    venv_error_set(c->err, VENV_EINVAL, "%s: the key \"%s\" is missing; it must be %s", subject, row->name,
                   venv_buf_peek_text(&expected));
    blame(c, mark, false);
    venv_buf_fini(&expected);
    return VENV_EINVAL;
}

/* The defaults that there are most of, without the work of a parser: a whole number, true, false, a word, a span. */
static bool plain_fallback(const char *text, venv_value *ret_value)
{
    static const char *const others[] = { "null", "Null", "NULL", "True", "TRUE", "False", "FALSE", NULL };
    size_t size = strlen(text), digits = strspn(text, "0123456789");
    bool word = size > 1 && text[0] >= 'a' && text[0] <= 'z' && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size;
    for (size_t i = 0; others[i]; i++)
        word = word && strcmp(text, others[i]) != 0;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        *ret_value = venv_value_bool(text[0] == 't');
    else if (digits == size && size > 0 && size < 10 && (text[0] != '0' || size == 1))
        *ret_value = venv_value_int(strtol(text, NULL, 10));
    else if (word || (digits > 0 && digits + 1 == size && strchr("smhd", text[digits])))
        *ret_value = venv_value_literal(text);
    else
        return false;
    return true;
}

/* The value of one row of a table, which may be a default. Not set: left as it is. */
static venv_rc read_row(check *c, const venv_config_row *row, const venv_value *table, const venv_mark *mark,
                        venv_value *ret_value, bool *ret_set)
{
    const venv_value *value = venv_value_get(table, row->name);
    venv_value fallback = venv_value_null();
    const venv_mark *at = venv_mark_get(mark, table, row->name);
    *ret_set = value || row->fallback;
    if (!*ret_set)
        return row->required ? missing_key(c, row, mark) : VENV_OK;
    if (!value) {
        venv_rc rc = VENV_OK;
        if (!plain_fallback(row->fallback, &fallback))
            rc = venv_yaml_parse(row->fallback, strlen(row->fallback), NULL, &fallback, NULL, c->err);
        if (rc != VENV_OK)
            return rc;
        value = &fallback;
        at = mark;
    }
    size_t before = enter(c, "%s%s", c->path_size ? "." : "", row->name);
    venv_rc rc = check_value(c, row, value, at, ret_value);
    if (rc == VENV_OK)
        leave(c, before);
    venv_value_unref(&fallback);
    return rc;
}

static venv_rc read_table(check *c, const venv_config_row *table, const venv_value *value, const venv_mark *mark,
                          venv_value *ret_value)
{
    const venv_value *key;
    if (value->w.kind != VENV_MAP)
        return not_expected(c, table, value, mark, VENV_EKIND);
    for (size_t i = 0; venv_value_entry(value, i, &key, NULL); i++)
        if (!find_row(table->of, key))
            return unknown_key(c, table->of, key, venv_mark_at(mark, i));
    venv_map_builder map;
    venv_map_init(&map);
    for (const venv_config_row *row = table->of; row->name; row++) {
        venv_value checked = venv_value_null();
        bool set = false;
        venv_rc rc = read_row(c, row, value, mark, &checked, &set);
        if (rc != VENV_OK) {
            venv_map_fini(&map);
            return rc;
        }
        if (set)
            venv_map_put(&map, row->name, checked);
    }
    return venv_map_take(&map, ret_value, c->err);
}

static venv_rc check_value(check *c, const venv_config_row *row, const venv_value *value, const venv_mark *mark,
                           venv_value *ret_value)
{
    if (value->w.kind == VENV_NULL && row->or_null) {
        *ret_value = venv_value_null();
        return VENV_OK;
    }
    if (row->kind >= VENV_CONFIG_LIST && c->depth >= VENV_CONFIG_DEPTH_MAX)
        return not_expected(c, row, value, mark, VENV_ELIMIT);
    venv_rc rc;
    c->depth++;
    switch (row->kind) {
    case VENV_CONFIG_LIST:
        rc = read_list(c, row, value, mark, ret_value);
        break;
    case VENV_CONFIG_MAP:
        rc = read_map(c, row, value, mark, ret_value);
        break;
    case VENV_CONFIG_TABLE:
        rc = read_table(c, row, value, mark, ret_value);
        break;
    default: {
        venv_value checked = venv_value_null();
        rc = read_scalar(row, value, &checked);
        if (rc == VENV_OK)
            *ret_value = checked;
        else if (rc == VENV_ENOMEM)
            no_memory(c);
        else
            not_expected(c, row, value, mark, rc);
        break;
    }
    }
    c->depth--;
    return rc;
}

venv_rc venv_config_read_one(const venv_config_row *row, const venv_value *value, const venv_mark *mark,
                             const char *where, venv_value *ret_value, venv_error *err)
{
    check c = { .where = where ? where : "", .err = err };
    return check_value(&c, row, value, mark, ret_value);
}

venv_rc venv_config_read(const venv_config_row *rows, const venv_value *value, const venv_mark *mark,
                         const char *where, venv_value *ret_settings, venv_error *err)
{
    const venv_config_row table = { .name = "", .kind = VENV_CONFIG_TABLE, .of = rows };
    return venv_config_read_one(&table, value, mark, where, ret_settings, err);
}

venv_span venv_config_span(const venv_value *settings, const char *key)
{
    venv_span span = { 0 };
    const venv_value *value = venv_value_get(settings, key);
    return value && venv_value_to_span(value, &span) ? span : (venv_span){ 0 };
}

uint64_t venv_config_size(const venv_value *settings, const char *key)
{
    int64_t bytes = venv_value_get_int(settings, key, 0);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

int64_t venv_config_int(const venv_value *settings, const char *key)
{
    return venv_value_get_int(settings, key, 0);
}

double venv_config_double(const venv_value *settings, const char *key)
{
    const venv_value *value = venv_value_get(settings, key);
    return value && value->w.kind == VENV_DOUBLE ? value->w.as.d : 0;
}

bool venv_config_bool(const venv_value *settings, const char *key)
{
    return venv_value_get_bool(settings, key, false);
}

venv_str venv_config_text(const venv_value *settings, const char *key)
{
    return venv_value_get_text(settings, key);
}

const venv_value *venv_config_get(const venv_value *settings, const char *key)
{
    const venv_value *value = venv_value_get(settings, key);
    return value && (value->w.kind == VENV_LIST || value->w.kind == VENV_MAP) ? value : NULL;
}
