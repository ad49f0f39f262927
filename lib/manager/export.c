/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every row, whatever has changed: what the store holds when all is written. A core that is made from these rows knows
 * what this one would know after a restart.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <string.h>

static void put_meta(venv_manager *m)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "boots", venv_value_int((int64_t)m->boots));
    venv_map_put(&map, "started", venv_value_from_wall(m->started.wall));
    venv_mgr_put_ran(&map, venv_mgr_ran(m));
    venv_mgr_effect_put(m, VENV_ROWS_META, venv_mgr_text_key(m, "manager"), venv_mgr_take_map(m, &map));
    size_t cursor = 0;
    venv_str name;
    void *item;
    while (venv_table_next(m->counters, &cursor, &name, &item)) {
        char key[VENV_NAME_MAX + 8];
        snprintf(key, sizeof key, "name/%.*s", (int)name.size, name.data);
        venv_map_init(&map);
        venv_map_put(&map, "last", venv_value_uint(*(const uint64_t *)item));
        venv_mgr_effect_put(m, VENV_ROWS_META, venv_mgr_text_key(m, key), venv_mgr_take_map(m, &map));
    }
    cursor = 0;
    while (venv_table_next(m->firings, &cursor, &name, &item))
        venv_mgr_firing_put(m, (venv_str){ name.data, name.size }, item);
}

static void put_trigger_row(void *user, const char *key, const venv_value *row)
{
    venv_manager *m = user;
    venv_value copy = venv_value_null();
    if (venv_value_dup(row, &copy, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    else
        venv_mgr_effect_put(m, VENV_ROWS_TRIGGERS, venv_mgr_text_key(m, key), copy);
}

static void put_all(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    put_meta(m);
    while (venv_table_next(m->instances, &cursor, NULL, &item))
        venv_mgr_effect_put(m, VENV_ROWS_INSTANCES, venv_mgr_id_value(m, ((instance *)item)->id), venv_mgr_instance_row(m, item));
    cursor = 0;
    while (venv_table_next(m->deeds, &cursor, NULL, &item))
        venv_mgr_effect_put(m, VENV_ROWS_ACTIONS, venv_mgr_id_value(m, ((deed *)item)->id), venv_mgr_deed_row(m, item));
    cursor = 0;
    venv_str key;
    while (venv_table_next(m->requests, &cursor, &key, &item)) {
        venv_id id;
        memcpy(id.bytes, key.data, sizeof id.bytes);
        venv_mgr_effect_put(m, VENV_ROWS_REQUESTS, venv_mgr_id_value(m, id), venv_value_ref(item));
    }
    cursor = 0;
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor)))
        if (member->data)
            venv_mgr_effect_put(m, VENV_ROWS_AGENTS, venv_mgr_text_key(m, member->name), venv_mgr_agent_row(m, member->data));
    venv_mgr_breakers_put(m);
    venv_mgr_proposals_put(m);
    venv_mgr_catalog_export(m);
    if (venv_triggers_rows(m->triggers, put_trigger_row, m, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
}

venv_rc venv_manager_export(venv_manager *m, venv_manager_actions *ret_rows, uint64_t *ret_last_revision)
{
    venv_manager_actions *out = m->out;
    bool wrote = m->wrote;
    m->out = ret_rows;
    m->rc = VENV_OK;
    put_all(m);
    m->out = out;
    m->wrote = wrote;
    *ret_last_revision = m->revision;
    return m->rc;
}
