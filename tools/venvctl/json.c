/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --json: values as programs read them. Ids are UUIDs, other bytes are text where they are UTF-8, and
 * lists have one item a line, so that they can be followed and searched by line.
 */
#include "venvctl.h"

#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32 /* messages are less deep */

static bool is_utf8(venv_str text)
{
    venv_value probe = venv_value_null();
    venv_error err = { 0 };
    if (venv_value_string(text.data, text.size, &probe, &err) != VENV_OK)
        return false;
    venv_value_unref(&probe);
    return true;
}

static bool is_output(const char *key)
{
    return strcmp(key, "stdout") == 0 || strcmp(key, "stderr") == 0;
}

/* Bytes: an id, the output of a command, or (by the codec) base64. */
static void put_bytes(venv_map_builder *map, const char *key, const venv_value *value)
{
    venv_str data = venv_value_peek_text(value);
    venv_id id;
    char text[VENV_ID_TEXT_SIZE], name[300];
    if (is_output(key)) {
        venv_map_put_text(map, key, data.data, data.size);
        if (!is_utf8(data)) {
            (void)snprintf(name, sizeof name, "%s_base64", key);
            venv_map_put(map, name, venv_value_ref(value));
        }
    } else if (data.size == 16 && venv_value_to_id(value, &id)) {
        venv_map_put_z(map, key, venv_id_format(id, text));
    } else {
        venv_map_put(map, key, venv_value_ref(value));
    }
}

/* The value with its bytes made readable. Depth is bounded; what is deeper stays as it is. */
static venv_rc readable(const venv_value *value, unsigned depth, venv_value *ret_value, venv_error *err)
{
    venv_rc rc = VENV_OK;
    if (depth < DEPTH_MAX && venv_value_kind(value) == VENV_LIST) {
        venv_list_builder list;
        venv_list_init(&list);
        for (size_t i = 0; rc == VENV_OK && i < venv_value_count(value); i++) {
            venv_value item = venv_value_null();
            rc = readable(venv_value_at(value, i), depth + 1, &item, err);
            if (rc == VENV_OK)
                venv_list_add(&list, item);
        }
        if (rc == VENV_OK)
            return venv_list_take(&list, ret_value, err);
        venv_list_fini(&list);
        return rc;
    }
    if (depth < DEPTH_MAX && venv_value_kind(value) == VENV_MAP) {
        venv_map_builder map;
        const venv_value *key, *entry;
        venv_map_init(&map);
        for (size_t i = 0; rc == VENV_OK && venv_value_entry(value, i, &key, &entry); i++) {
            char name[256] = "";
            venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : (venv_str){ "", 0 };
            if (text.size > 0 && text.size < sizeof name)
                memcpy(name, text.data, text.size);
            if (name[0] != 0 && venv_value_kind(entry) == VENV_BYTES) {
                put_bytes(&map, name, entry);
                continue;
            }
            venv_value item = venv_value_null();
            rc = readable(entry, depth + 1, &item, err);
            if (rc == VENV_OK)
                venv_map_put_value(&map, venv_value_ref(key), item);
        }
        if (rc == VENV_OK)
            return venv_map_take(&map, ret_value, err);
        venv_map_fini(&map);
        return rc;
    }
    *ret_value = venv_value_ref(value);
    return VENV_OK;
}

/* A list with one item a line. */
static venv_rc print_lines(FILE *out, const venv_value *list, venv_error *err)
{
    size_t count = venv_value_count(list);
    fputs(count == 0 ? "[" : "[\n", out);
    for (size_t i = 0; i < count; i++) {
        char *text = NULL;
        venv_rc rc = venv_json_print(venv_value_at(list, i), VENV_JSON_COMPACT, &text, NULL, err);
        if (rc != VENV_OK)
            return rc;
        fprintf(out, "  %s%s\n", text, i + 1 < count ? "," : "");
        free(text);
    }
    fputs("]\n", out);
    return VENV_OK;
}

int print_json(venvctl *app, const venv_value *value)
{
    venv_error err = { 0 };
    venv_value copy = venv_value_null();
    char *text = NULL;
    venv_rc rc = readable(value, 0, &copy, &err);
    if (rc == VENV_OK && venv_value_kind(&copy) == VENV_LIST) {
        rc = print_lines(app->out, &copy, &err);
    } else if (rc == VENV_OK) {
        rc = venv_json_print(&copy, VENV_JSON_PRETTY, &text, NULL, &err);
        if (rc == VENV_OK)
            fputs(text, app->out);
        free(text);
    }
    venv_value_unref(&copy);
    return rc == VENV_OK ? EXIT_DONE : app_fail(app, &err);
}

int print_json_part(venvctl *app, const char *before, const venv_value *value, const char *after)
{
    venv_error err = { 0 };
    venv_value copy = venv_value_null();
    char *text = NULL;
    venv_rc rc = readable(value, 0, &copy, &err);
    if (rc == VENV_OK)
        rc = venv_json_print(&copy, VENV_JSON_COMPACT, &text, NULL, &err);
    if (rc == VENV_OK)
        fprintf(app->out, "%s%s%s", before, text, after);
    free(text);
    venv_value_unref(&copy);
    return rc == VENV_OK ? EXIT_DONE : app_fail(app, &err);
}
