/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what each action takes, and of which kind that is. What is looked up by a name is a whole and valid name or is
 * refused: it is never cut to fit, and a value never brings a second name with it.
 */
#include "trigger/internal.h"

#include "base/cleanup.h"

#include <venv/group.h>
#include <venv/property.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const argument_row rows[] = {
    { VENV_ORDER_START, "environment", ARGUMENT_NAME, true, 0, 0, { NULL } },
    { VENV_ORDER_START, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_START, "node", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_STOP, "environment", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_STOP, "instance", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_STOP, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_STOP, "grace", ARGUMENT_SPAN, false, 0, 0, { NULL } },
    { VENV_ORDER_STOP, "force", ARGUMENT_BOOL, false, 0, 0, { NULL } },
    { VENV_ORDER_GET, "target", ARGUMENT_SELECTOR, true, 0, 0, { NULL } },
    { VENV_ORDER_GET, "where", ARGUMENT_WHERE, false, 0, 0, { NULL } },
    { VENV_ORDER_GET, "label", ARGUMENT_LABEL, false, 0, 0, { NULL } },
    { VENV_ORDER_FETCH, "target", ARGUMENT_SELECTOR, true, 0, 0, { NULL } },
    { VENV_ORDER_FETCH, "where", ARGUMENT_WHERE, false, 0, 0, { NULL } },
    { VENV_ORDER_FETCH, "label", ARGUMENT_LABEL, true, 0, 0, { NULL } },
    { VENV_ORDER_EXEC, "target", ARGUMENT_SELECTOR, true, 0, 0, { NULL } },
    { VENV_ORDER_EXEC, "where", ARGUMENT_WHERE, false, 0, 0, { NULL } },
    { VENV_ORDER_EXEC, "command", ARGUMENT_NAME, true, 0, 0, { NULL } },
    { VENV_ORDER_EXEC, "args", ARGUMENT_TEXTS, false, 0, 0, { NULL } },
    { VENV_ORDER_EXEC, "timeout", ARGUMENT_SPAN, false, 0, 0, { NULL } },
    { VENV_ORDER_LOG, "text", ARGUMENT_TEXT, true, 0, 0, { NULL } },
    { VENV_ORDER_LOG, "level", ARGUMENT_TEXT, false, 0, 0, { "error", "warning", "info", "debug", NULL } },
    { VENV_ORDER_CONTROL, "target", ARGUMENT_SELECTOR, true, 0, 0, { NULL } },
    { VENV_ORDER_CONTROL, "where", ARGUMENT_WHERE, false, 0, 0, { NULL } },
    { VENV_ORDER_CONTROL, "verb", ARGUMENT_TEXT, true, 0, 0, { "stop", "rcon", "rjoin", NULL } },
    { VENV_ORDER_CONTROL, "groups", ARGUMENT_GROUPS, false, 0, 0, { NULL } },
    { VENV_ORDER_DESTROY, "environment", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_DESTROY, "instance", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_DESTROY, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_PAUSE, "environment", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_PAUSE, "instance", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_PAUSE, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_RESUME, "environment", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_RESUME, "instance", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_RESUME, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_SAVE, "environment", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_SAVE, "instance", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_SAVE, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_RESTORE, "environment", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_RESTORE, "instance", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_RESTORE, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_MIGRATE, "environment", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_MIGRATE, "instance", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_MIGRATE, "count", ARGUMENT_INT, false, 0, VENV_TRIGGER_COUNT_MAX, { NULL } },
    { VENV_ORDER_MIGRATE, "node", ARGUMENT_NAME, false, 0, 0, { NULL } },
    { VENV_ORDER_SYNC, "target", ARGUMENT_SELECTOR, true, 0, 0, { NULL } },
    { VENV_ORDER_SYNC, "image", ARGUMENT_IMAGE, true, 0, 0, { NULL } },
    { VENV_ORDER_SYNC, "timeout", ARGUMENT_SPAN, false, 0, 0, { NULL } },
    { VENV_ORDER_MAIL, "to", ARGUMENT_TEXT, true, 0, 0, { NULL } },
    { VENV_ORDER_MAIL, "subject", ARGUMENT_TEXT, true, 0, 0, { NULL } },
    { VENV_ORDER_MAIL, "text", ARGUMENT_TEXT, false, 0, 0, { NULL } },
    { VENV_ORDER_WEBHOOK, "to", ARGUMENT_TEXT, true, 0, 0, { NULL } },
    { VENV_ORDER_WEBHOOK, "body", ARGUMENT_TREE, false, 0, 0, { NULL } },
    { VENV_ORDER_PLUGIN, "name", ARGUMENT_NAME, true, 0, 0, { NULL } },
    { VENV_ORDER_PLUGIN, "input", ARGUMENT_TREE, false, 0, 0, { NULL } },
    { VENV_ORDER_PLUGIN, "timeout", ARGUMENT_SPAN, false, 0, 0, { NULL } },
};

static const char *const expectations[] = {
    [ARGUMENT_TEXT] = "a text",
    [ARGUMENT_INT] = "a whole number",
    [ARGUMENT_BOOL] = "true or false",
    [ARGUMENT_SPAN] = "a time such as 30s",
    [ARGUMENT_TEXTS] = "a list of texts",
    [ARGUMENT_WHERE] = "an expression about an agent, such as agent.p.load1 > 4.0",
    [ARGUMENT_TREE] = "any value",
    [ARGUMENT_NAME] = "a name: at most 64 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit",
    [ARGUMENT_LABEL] = "the label of a property: at most 64 of letters, digits, '_', '.' and '-', the first a letter or '_'",
    [ARGUMENT_IMAGE] = "an image: NAME, NAME@latest or NAME@VERSION",
    [ARGUMENT_GROUPS] = "a list of names of groups",
    [ARGUMENT_SELECTOR] = "the name of an agent, @GROUP or @all, or several with commas",
};

const argument_row *venv_trigger_argument_find(venv_order_verb verb, const venv_value *key)
{
    for (size_t i = 0; i < VENV_COUNT_OF(rows); i++)
        if (rows[i].verb == verb && venv_value_is_text(key, rows[i].key))
            return &rows[i];
    return NULL;
}

/* "level: expected error, warning, info or debug" */
static venv_rc wrong_word(const argument_row *row, venv_error *err)
{
    char list[96] = "";
    size_t at = 0;
    for (size_t i = 0; row->words[i] && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i == 0 ? "" : row->words[i + 1] ? ", " : " or ", row->words[i]);
    return venv_error_set(err, VENV_EINVAL, "%s: expected %s", row->key, list);
}

/* --- names: what is looked up, and never cut to fit ------------------------------------------------------- */

/* NAME, NAME@latest or NAME@VERSION. */
static bool is_image(venv_str text)
{
    const char *at = text.size > 0 ? memchr(text.data, '@', text.size) : NULL;
    size_t own = at ? (size_t)(at - text.data) : text.size;
    if (text.size > 2 * VENV_NAME_MAX || !venv_name_is_valid((venv_str){ text.data, own }) || own + 1 == text.size)
        return false;
    for (size_t i = own + 1; i < text.size; i++)
        if (!((text.data[i] >= 'a' && text.data[i] <= 'z') || (text.data[i] >= '0' && text.data[i] <= '9')))
            return false;
    return true;
}

static bool is_of_kind(argument_kind kind, venv_str text)
{
    switch (kind) {
    case ARGUMENT_NAME: return venv_name_is_valid(text);
    case ARGUMENT_LABEL: return venv_label_is_valid(text);
    case ARGUMENT_IMAGE: return is_image(text);
    case ARGUMENT_GROUPS: return venv_group_name_is_valid(text);
    case ARGUMENT_SELECTOR: return venv_selector_check(text, NULL) == VENV_OK;
    default: return true;
    }
}

bool venv_trigger_argument_is_list(argument_kind kind)
{
    return kind == ARGUMENT_TEXTS || kind == ARGUMENT_GROUPS;
}

/* How often a selector has "@all". */
static size_t count_all(venv_str text)
{
    size_t count = 0;
    for (size_t at = 0; at + 4 <= text.size; at++) {
        bool ends = at + 4 == text.size || text.data[at + 4] == ',' || text.data[at + 4] == ' ';
        count += ends && memcmp(text.data + at, "@all", 4) == 0;
    }
    return count;
}

venv_rc venv_trigger_selector_inserted(void *user, const venv_value *value, venv_error *err)
{
    (void)user;
    venv_kind kind = venv_value_kind(value);
    venv_str text = kind == VENV_STRING ? venv_value_peek_text(value) : VENV_STR("");
    bool good = kind == VENV_INT || kind == VENV_UINT || (text.size > 0 && text.size <= VENV_NAME_MAX);
    for (size_t i = 0; i < text.size && good; i++) {
        char c = text.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    }
    if (good)
        return VENV_OK;
    char shown[80];
    venv_value_print(value, shown, sizeof shown);
    return venv_error_set(err, VENV_EINVAL, "${…} gave %s here, which is not one name; a value cannot be a list, a group or empty "
                          "(to choose among agents use `where`)", shown);
}

venv_rc venv_trigger_argument_convert(const argument_row *row, const venv_value *value, venv_value *ret_value, venv_error *err)
{
    venv_kind kind = venv_value_kind(value);
    venv_span span;
    int64_t number = 0;
    switch (row->kind) {
    case ARGUMENT_TEXT:
        if (kind != VENV_STRING)
            break;
        if (row->words[0]) {
            size_t at = 0;
            while (row->words[at] && !venv_value_is_text(value, row->words[at]))
                at++;
            if (!row->words[at])
                return wrong_word(row, err);
        }
        return venv_value_dup(value, ret_value, err);
    case ARGUMENT_NAME:
    case ARGUMENT_LABEL:
    case ARGUMENT_IMAGE:
    case ARGUMENT_SELECTOR:
        if (kind != VENV_STRING || !is_of_kind(row->kind, venv_value_peek_text(value)))
            break;
        return venv_value_dup(value, ret_value, err);
    case ARGUMENT_BOOL:
        if (kind != VENV_BOOL)
            break;
        *ret_value = *value;
        return VENV_OK;
    case ARGUMENT_SPAN:
        if (!venv_trigger_read_span(value, &span))
            break;
        *ret_value = venv_value_from_span(span);
        return VENV_OK;
    case ARGUMENT_INT:
        if (kind == VENV_INT)
            number = venv_value_peek_int(value);
        else if (kind == VENV_UINT && venv_value_peek_uint(value) <= INT64_MAX)
            number = (int64_t)venv_value_peek_uint(value);
        else if (kind == VENV_DOUBLE && fabs(venv_value_peek_double(value)) < 1e15 &&
                 floor(venv_value_peek_double(value)) == venv_value_peek_double(value))
            number = (int64_t)venv_value_peek_double(value);
        else
            break;
        if (number < row->min || number > row->max)
            return venv_error_set(err, VENV_ERANGE, "%s: %lld is out of bounds: expected %lld to %lld", row->key,
                                  (long long)number, (long long)row->min, (long long)row->max);
        *ret_value = venv_value_int(number);
        return VENV_OK;
    case ARGUMENT_WHERE:
    case ARGUMENT_TREE:
        return venv_value_dup(value, ret_value, err);
    case ARGUMENT_TEXTS:
    case ARGUMENT_GROUPS:
        break;
    }
    char shown[80];
    venv_value_print(value, shown, sizeof shown);
    return venv_error_set(err, VENV_EKIND, "%s: expected %s, this is %s", row->key, expectations[row->kind],
                          shown);
}

venv_rc venv_trigger_argument_group(const argument_row *row, const venv_value *value, venv_error *err)
{
    if (venv_value_kind(value) == VENV_STRING && is_of_kind(row->kind, venv_value_peek_text(value)))
        return VENV_OK;
    char shown[80];
    venv_value_print(value, shown, sizeof shown);
    return venv_error_set(err, VENV_EINVAL, "%s: %s is no name of a group", row->key, shown);
}

bool venv_trigger_selector_is_wider(venv_str made, venv_str written)
{
    return count_all(made) > count_all(written);
}

const char *venv_trigger_argument_missing(const order_plan *o)
{
    for (size_t i = 0; i < VENV_COUNT_OF(rows); i++)
        if (rows[i].verb == o->verb && rows[i].required && !venv_trigger_order_has(o, rows[i].key))
            return rows[i].key;
    return NULL;
}
