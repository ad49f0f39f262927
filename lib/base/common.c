/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids, names and the version: the small parts of venv/common.h.
 */
#include <venv/common.h>

#include <string.h>

const char *venv_version(void)
{
    return "0.1.0";
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Whether a dash stands before byte `index` in the text form. */
static bool dash_before(size_t index)
{
    return index == 4 || index == 6 || index == 8 || index == 10;
}

const char *venv_id_format(venv_id id, char ret_text[VENV_ID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = ret_text;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (dash_before(i))
            *at++ = '-';
        *at++ = digits[id.bytes[i] >> 4];
        *at++ = digits[id.bytes[i] & 15];
    }
    *at = '\0';
    return ret_text;
}

bool venv_id_parse(venv_str text, venv_id *ret_id)
{
    if (text.size != VENV_ID_TEXT_SIZE - 1)
        return false;
    venv_id id;
    const char *at = text.data;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (dash_before(i) && *at++ != '-')
            return false;
        int high = hex_digit(at[0]), low = hex_digit(at[1]);
        if (high < 0 || low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *ret_id = id;
    return true;
}

bool venv_id_equal(venv_id a, venv_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

bool venv_id_is_none(venv_id id)
{
    return venv_id_equal(id, (venv_id){ { 0 } });
}

static bool name_is_valid(venv_str name, size_t max, bool upper)
{
    if (name.size == 0 || name.size > max)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (upper && c >= 'A' && c <= 'Z');
        bool mark = c == '.' || c == '_' || c == '-';
        if (!letter && !(mark && i > 0))
            return false;
        if (c == '.' && name.data[i - 1] == '.')
            return false;
    }
    return true;
}

bool venv_name_is_valid(venv_str name)
{
    return name_is_valid(name, VENV_NAME_MAX, false);
}

bool venv_group_name_is_valid(venv_str name)
{
    return name_is_valid(name, VENV_GROUP_NAME_MAX, true);
}
