/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normalised settings into a struct, as the table of fields says. What is done follows from the kind of a key's row;
 * the rows have checked kinds and bounds, so that only what a text may be is looked at here.
 */
#include "environment/definition.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Where the path is in the file. A single item that stands for a list has no index there: then it is the list's. */
static const venv_mark *mark_of(const venv_environment_reading *r, char *path)
{
    const venv_mark *mark = venv_mark_find(r->mark, r->value, path);
    while (!mark && path[0]) {
        size_t size = strlen(path) - 1;
        while (size && path[size] != '.' && path[size] != '[')
            size--;
        path[size] = '\0';
        mark = venv_mark_find(r->mark, r->value, path);
    }
    return mark;
}

venv_rc venv_environment_blame(const venv_environment_reading *r, const char *key, venv_rc rc, const char *expected)
{
    char path[VENV_CONFIG_PATH_MAX];
    snprintf(path, sizeof path, "%.180s%s%.64s", r->path, r->path[0] && key[0] ? "." : "", key);
    venv_error_set(r->err, rc, "%s: %s%s%s", r->where, path, path[0] ? " " : "", expected);
    return venv_mark_blame(mark_of(r, path), r->err);
}

venv_rc venv_environment_no_memory(const venv_environment_reading *r)
{
    return venv_error_set(r->err, VENV_ENOMEM, "%s: out of memory", r->where);
}

static const venv_config_row *row_of(const venv_config_row *rows, const char *key)
{
    while (rows->name && strcmp(rows->name, key) != 0)
        rows++;
    assert(rows->name); /* each field has its row */
    return rows;
}

static int choice(const char *const *names, const venv_value *value)
{
    int i = 0;
    while (names[i] && !venv_value_is_text(value, names[i]))
        i++;
    assert(names[i]); /* the row has checked it */
    return i;
}

static venv_rc fill_text(venv_environment_reading *r, const venv_config_row *row, const venv_environment_field *field,
                         const venv_value *value, const char **ret_text)
{
    venv_str text = venv_value_peek_text(value);
    bool top = field->top && text.size == 1 && text.data[0] == '/';
    if (row->kind == VENV_CONFIG_PATH && !top && !venv_environment_path_check(text))
        return venv_environment_blame(r, field->key, VENV_EINVAL,
                                      "must be an absolute path without empty, '.' or '..' parts and without control characters");
    if (!venv_environment_text_check(text, VENV_ENVIRONMENT_SIZE_MAX, field->lines))
        return venv_environment_blame(r, field->key, VENV_EINVAL,
                                      field->lines ? "must be text without control characters"
                                                   : "must be one line without control characters");
    *ret_text = venv_arena_dup(r->arena, text.data, text.size);
    return *ret_text ? VENV_OK : venv_environment_no_memory(r);
}

static venv_rc fill_texts(venv_environment_reading *r, const venv_config_row *row, const venv_environment_field *field,
                          const venv_value *list, venv_definition_texts *ret_texts)
{
    size_t count = venv_value_count(list);
    if (count == 0)
        return VENV_OK;
    const char **items = venv_arena_alloc(r->arena, count * sizeof *items);
    if (!items)
        return venv_environment_no_memory(r);
    for (size_t i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s[%zu]", field->key, i);
        venv_environment_field item = { .key = key };
        venv_rc rc = fill_text(r, row->of, &item, venv_value_at(list, i), &items[i]);
        if (rc != VENV_OK)
            return rc;
    }
    *ret_texts = (venv_definition_texts){ items, count };
    return VENV_OK;
}

/* One step down for the time of a table. */
static venv_rc fill_table(venv_environment_reading *r, const venv_config_row *row, const venv_environment_field *field,
                          const char *key, const venv_value *settings, void *base)
{
    size_t before = strlen(r->path);
    snprintf(r->path + before, sizeof r->path - before, "%s%s", before ? "." : "", key);
    venv_rc rc = venv_environment_fill(r, row->of, field->fields, settings, base);
    r->path[before] = '\0';
    return rc;
}

static venv_rc fill_tables(venv_environment_reading *r, const venv_config_row *row, const venv_environment_field *field,
                           const venv_value *list, void *base)
{
    size_t count = venv_value_count(list);
    char *items = count ? venv_arena_alloc(r->arena, count * field->size) : NULL;
    if (count && !items)
        return venv_environment_no_memory(r);
    for (size_t i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s[%zu]", field->key, i);
        venv_rc rc = fill_table(r, row->of, field, key, venv_value_at(list, i), items + i * field->size);
        if (rc != VENV_OK)
            return rc;
    }
    memcpy((char *)base + field->offset, &items, sizeof items);
    memcpy((char *)base + field->count_offset, &count, sizeof count);
    return VENV_OK;
}

static void fill_number(const venv_environment_field *field, int64_t number, void *member)
{
    uint32_t narrow = (uint32_t)number; /* the bounds of each such row fit */
    assert(field->size == sizeof number || field->size == sizeof narrow);
    if (field->size == sizeof number)
        memcpy(member, &number, sizeof number);
    else
        memcpy(member, &narrow, sizeof narrow);
}

static venv_rc fill_field(venv_environment_reading *r, const venv_config_row *row, const venv_environment_field *field,
                          const venv_value *settings, const venv_value *value, void *base)
{
    void *member = (char *)base + field->offset;
    switch (row->kind) {
    case VENV_CONFIG_BOOL:
        *(bool *)member = venv_config_bool(settings, field->key);
        return VENV_OK;
    case VENV_CONFIG_INT:
        fill_number(field, venv_config_int(settings, field->key), member);
        return VENV_OK;
    case VENV_CONFIG_SIZE:
        fill_number(field, (int64_t)venv_config_size(settings, field->key), member);
        return VENV_OK;
    case VENV_CONFIG_ENUM:
        fill_number(field, choice(row->choices, value), member);
        return VENV_OK;
    case VENV_CONFIG_SPAN:
        *(venv_span *)member = venv_config_span(settings, field->key);
        return VENV_OK;
    case VENV_CONFIG_TABLE:
        if (field->given)
            *(bool *)member = true;
        return fill_table(r, row, field, field->key, value, member);
    case VENV_CONFIG_LIST:
        if (row->of->kind == VENV_CONFIG_TABLE)
            return fill_tables(r, row, field, value, base);
        return fill_texts(r, row, field, value, member);
    default:
        return fill_text(r, row, field, value, member);
    }
}

venv_rc venv_environment_fill(venv_environment_reading *r, const venv_config_row *rows, const venv_environment_field *fields,
                              const venv_value *settings, void *base)
{
    venv_rc rc = VENV_OK;
    for (; fields->key && rc == VENV_OK; fields++) {
        const venv_value *value = venv_value_get(settings, fields->key);
        if (value)
            rc = fill_field(r, row_of(rows, fields->key), fields, settings, value, base);
    }
    return rc;
}
