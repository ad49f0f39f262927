/* SPDX-License-Identifier: Apache-2.0 */
/* What a property may be: names of qualities and types, labels, and the check of a definition. */

#include "base/cleanup.h"

#include <venv/property.h>
#include <venv/text.h>

#include <string.h>

static const char *const quality_names[VENV_QUALITY__COUNT] = {
    [VENV_QUALITY_OK] = "ok",
    [VENV_QUALITY_STALE] = "stale",
    [VENV_QUALITY_ERROR] = "error",
    [VENV_QUALITY_ABSENT] = "absent",
};

static const char *const type_names[VENV_PROPERTY_TYPE__COUNT] = {
    [VENV_PROPERTY_INT] = "int",       [VENV_PROPERTY_DOUBLE] = "double", [VENV_PROPERTY_STRING] = "string",
    [VENV_PROPERTY_BOOL] = "bool",     [VENV_PROPERTY_JSON] = "json",
};

/* Index of a name, -1 if it is not there. */
static int name_find(const char *const *names, int count, venv_str text)
{
    for (int i = 0; i < count; i++)
        if (strlen(names[i]) == text.size && memcmp(names[i], text.data, text.size) == 0)
            return i;
    return -1;
}

const char *venv_quality_name(venv_quality quality)
{
    return (unsigned)quality < VENV_QUALITY__COUNT ? quality_names[quality] : "unknown";
}

bool venv_quality_parse(venv_str text, venv_quality *ret_quality)
{
    int found = name_find(quality_names, VENV_QUALITY__COUNT, text);
    if (found < 0)
        return false;
    *ret_quality = (venv_quality)found;
    return true;
}

const char *venv_property_type_name(venv_property_type type)
{
    return (unsigned)type < VENV_PROPERTY_TYPE__COUNT ? type_names[type] : "unknown";
}

bool venv_property_type_parse(venv_str text, venv_property_type *ret_type)
{
    int found = name_find(type_names, VENV_PROPERTY_TYPE__COUNT, text);
    if (found < 0)
        return false;
    *ret_type = (venv_property_type)found;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool venv_label_is_valid(venv_str label)
{
    if (label.size == 0 || label.size > VENV_LABEL_MAX || !is_letter(label.data[0]))
        return false;
    for (size_t i = 1; i < label.size; i++) {
        char c = label.data[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '.' && c != '-')
            return false;
    }
    return true;
}

static venv_rc check_args(const venv_value *args, venv_error *err)
{
    if (venv_value_kind(args) == VENV_NULL)
        return VENV_OK;
    if (venv_value_kind(args) != VENV_LIST)
        return venv_error_set(err, VENV_EINVAL, "the arguments must be a list of strings");
    size_t count = venv_value_count(args);
    if (count > VENV_PROPERTY_ARGS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu arguments; at most %d are allowed", count,
                              VENV_PROPERTY_ARGS_MAX);
    for (size_t i = 0; i < count; i++) {
        const venv_value *arg = venv_value_at(args, i);
        if (venv_value_kind(arg) != VENV_STRING)
            return venv_error_set(err, VENV_EINVAL, "argument %zu must be a string; put it in quotes", i + 1);
        venv_str text = venv_value_peek_text(arg);
        if (memchr(text.data, 0, text.size))
            return venv_error_set(err, VENV_EINVAL, "argument %zu holds a NUL character", i + 1);
    }
    return VENV_OK;
}

/* A unit is shown to people, perhaps on a terminal: nothing in it may need escaping. */
static venv_rc check_unit(venv_str unit, venv_error *err)
{
    char safe[VENV_UNIT_MAX + 1];
    if (unit.size > VENV_UNIT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the unit has %zu bytes; at most %d are allowed", unit.size,
                              VENV_UNIT_MAX);
    if (venv_text_safe(unit, safe, sizeof(safe)) != unit.size)
        return venv_error_set(err, VENV_EINVAL, "the unit must be printable UTF-8");
    return VENV_OK;
}

venv_rc venv_property_check(const venv_property *property, venv_error *err)
{
    char safe[VENV_LABEL_MAX * 2];
    if (!venv_label_is_valid(property->label)) {
        venv_text_safe(property->label, safe, sizeof(safe));
        return venv_error_set(err, VENV_EINVAL,
                              "'%s' cannot be a label; expected a letter or '_', then letters, digits, '_', '.', "
                              "'-', at most %d in all", safe, VENV_LABEL_MAX);
    }
    if ((unsigned)property->type >= VENV_PROPERTY_TYPE__COUNT)
        return venv_error_set(err, VENV_EINVAL, "unknown type of property");
    if (property->source != VENV_PROPERTY_BUILTIN && property->source != VENV_PROPERTY_COMMAND)
        return venv_error_set(err, VENV_EINVAL, "unknown source of a property");
    if (!venv_name_is_valid(property->name)) {
        venv_text_safe(property->name, safe, sizeof(safe));
        return venv_error_set(err, VENV_EINVAL,
                              "'%s' cannot name a command or built-in; expected lower-case letters, digits, '.', "
                              "'_', '-', at most %d in all; commands are found by name, not by path", safe,
                              VENV_NAME_MAX);
    }
    if (property->every < -1 || property->every > VENV_PROPERTY_EVERY_MAX)
        return venv_error_set(err, VENV_ERANGE, "the interval is %lld ticks; expected -1 (never), 0 (once) or 1 to %d",
                              (long long)property->every, VENV_PROPERTY_EVERY_MAX);
    if (property->timeout.ns <= 0 || property->timeout.ns > 86400 * VENV_NS_PER_S)
        return venv_error_set(err, VENV_ERANGE, "the time-out must be more than 0 and at most 1d");
    venv_rc rc = check_unit(property->unit, err);
    return rc ? rc : check_args(&property->args, err);
}

bool venv_property_type_accepts(venv_property_type type, const venv_value *value)
{
    venv_kind kind = venv_value_kind(value);
    switch (type) {
    case VENV_PROPERTY_INT:
        return kind == VENV_INT;
    case VENV_PROPERTY_DOUBLE:
        return kind == VENV_DOUBLE || kind == VENV_INT;
    case VENV_PROPERTY_STRING:
        return kind == VENV_STRING;
    case VENV_PROPERTY_BOOL:
        return kind == VENV_BOOL;
    case VENV_PROPERTY_JSON:
        return kind <= VENV_STRING || kind == VENV_LIST || kind == VENV_MAP;
    case VENV_PROPERTY_TYPE__COUNT:
        break;
    }
    return false;
}
