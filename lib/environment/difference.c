/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is different between two definitions, key by key. Both are normalised, so a default that is written out is none.
 */
#include "environment/definition.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 8u    /* maps in maps; what lies deeper is told as a whole */
#define LINES_MAX 1000u /* a definition has fewer keys */

typedef struct comparing {
    venv_list_builder list;
    size_t count;
    char path[VENV_CONFIG_PATH_MAX];
} comparing;

static void compare(comparing *c, const venv_value *from, const venv_value *to, unsigned depth);

static void add(comparing *c, const venv_value *from, const venv_value *to)
{
    venv_map_builder map;
    venv_value item = venv_value_null();
    if (c->count++ == LINES_MAX)
        c->list.rc = VENV_ELIMIT;
    venv_map_init(&map);
    venv_map_put_z(&map, "key", c->path);
    if (from)
        venv_map_put(&map, "from", venv_value_ref(from));
    if (to)
        venv_map_put(&map, "to", venv_value_ref(to));
    if (venv_map_take(&map, &item, NULL) != VENV_OK)
        c->list.rc = VENV_ENOMEM;
    venv_list_add(&c->list, item);
}

static void compare_key(comparing *c, const venv_value *key, const venv_value *from, const venv_value *to, unsigned depth)
{
    size_t before = strlen(c->path);
    venv_str name = venv_value_peek_text(key);
    snprintf(c->path + before, sizeof c->path - before, "%s%.*s", before ? "." : "", name.size < 64 ? (int)name.size : 64,
             name.data ? name.data : "");
    compare(c, from, to, depth);
    c->path[before] = '\0';
}

static void compare_maps(comparing *c, const venv_value *from, const venv_value *to, unsigned depth)
{
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(from, i, &key, &value); i++)
        compare_key(c, key, value, venv_value_find(to, key), depth);
    for (size_t i = 0; venv_value_entry(to, i, &key, &value); i++)
        if (!venv_value_find(from, key))
            compare_key(c, key, NULL, value, depth);
}

static void compare_lists(comparing *c, const venv_value *from, const venv_value *to, unsigned depth)
{
    size_t before = strlen(c->path), old = venv_value_count(from), fresh = venv_value_count(to);
    for (size_t i = 0; i < old || i < fresh; i++) {
        snprintf(c->path + before, sizeof c->path - before, "[%zu]", i);
        compare(c, i < old ? venv_value_at(from, i) : NULL, i < fresh ? venv_value_at(to, i) : NULL, depth);
        c->path[before] = '\0';
    }
}

static bool is_list_of_maps(const venv_value *value)
{
    return venv_value_kind(value) == VENV_LIST && venv_value_count(value) && venv_value_kind(venv_value_at(value, 0)) == VENV_MAP;
}

static void compare(comparing *c, const venv_value *from, const venv_value *to, unsigned depth)
{
    if (from && to && venv_value_equal(from, to))
        return;
    bool both = from && to && depth < DEPTH_MAX;
    if (both && venv_value_kind(from) == VENV_MAP && venv_value_kind(to) == VENV_MAP)
        compare_maps(c, from, to, depth + 1);
    else if (both && is_list_of_maps(from) && is_list_of_maps(to))
        compare_lists(c, from, to, depth + 1);
    else
        add(c, from, to);
}

venv_rc venv_environment_difference(const venv_environment *from, const venv_environment *to, venv_value *ret_list,
                                    venv_error *err)
{
    comparing c = { .count = 0 };
    venv_value none = venv_value_null();
    venv_list_init(&c.list);
    compare_maps(&c, from ? &from->settings : &none, to ? &to->settings : &none, 0);
    return venv_list_take(&c.list, ret_list, err);
}
