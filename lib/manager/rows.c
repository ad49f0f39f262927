/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows: what is read at the start, and what a step writes. Everything that a step changed is written once, at
 * its end, so one step is one transaction whatever it did.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load_counter(venv_manager *m, venv_str key, const venv_value *row)
{
    if (key.size <= 5 || memcmp(key.data, "name/", 5) != 0)
        return;
    const venv_value *last = venv_value_get(row, "last");
    uint64_t *counter = calloc(1, sizeof *counter);
    if (!counter || venv_table_add(m->counters, key.data + 5, key.size - 5, counter, NULL) != VENV_OK) {
        free(counter);
        venv_mgr_no_memory(m);
        return;
    }
    if (last)
        *counter = venv_value_kind(last) == VENV_UINT ? venv_value_peek_uint(last)
                                                      : (uint64_t)venv_value_get_int(row, "last", 0);
}

static void load_meta(venv_manager *m, venv_str key, const venv_value *row)
{
    if (key.size == 7 && memcmp(key.data, "manager", 7) == 0) {
        m->boots = (uint64_t)venv_value_get_int(row, "boots", 0);
        (void)venv_mgr_get_ran(m, row);
        venv_mgr_guard_load(m, row);
    } else if (!venv_mgr_firing_restore(m, key, row))
        load_counter(m, key, row);
}

static void load_request(venv_manager *m, venv_id id, const venv_value *row)
{
    venv_value *copy = calloc(1, sizeof *copy);
    (void)venv_mgr_get_ran(m, row);
    if (!copy || venv_value_dup(row, copy, NULL) != VENV_OK ||
        venv_table_add(m->requests, id.bytes, sizeof id.bytes, copy, NULL) != VENV_OK) {
        if (copy)
            venv_value_unref(copy);
        free(copy);
        venv_mgr_no_memory(m);
    }
}

/* One of a trigger that was removed while no manager ran is taken away: it must not come back with a trigger of the same name. */
static venv_rc load_trigger(venv_manager *m, const venv_value *key, venv_str text, const venv_value *row, venv_error *err)
{
    bool known = false;
    venv_rc rc = venv_triggers_restore(m->triggers, text, row, m->now, &known, err);
    venv_value copy = venv_value_null();
    if (rc != VENV_OK || known)
        return rc;
    if (venv_value_dup(key, &copy, NULL) == VENV_OK)
        venv_list_add(&m->unknown_rows, copy);
    else
        venv_mgr_no_memory(m);
    return VENV_OK;
}

void venv_mgr_rows_tidy(venv_manager *m)
{
    venv_value list = venv_mgr_take_list(m, &m->unknown_rows);
    for (size_t i = 0; i < venv_value_count(&list); i++)
        venv_mgr_effect_delete(m, VENV_ROWS_TRIGGERS, venv_value_ref(venv_value_at(&list, i)));
    venv_value_unref(&list);
}

static venv_rc load_row(venv_manager *m, const venv_manager_row *row, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    venv_id id = { { 0 } };
    bool has_id = venv_value_to_id(row->key, &id), good = true;
    venv_kind kind = venv_value_kind(row->key);
    venv_str text = kind == VENV_STRING || kind == VENV_BYTES ? venv_value_peek_text(row->key) : VENV_STR("");
    switch (row->collection) {
    case VENV_ROWS_META:
        load_meta(m, text, row->value);
        break;
    case VENV_ROWS_INSTANCES:
        good = has_id && venv_mgr_instance_restore(m, id, row->value);
        break;
    case VENV_ROWS_ACTIONS:
        good = has_id && venv_mgr_deed_restore(m, id, row->value);
        break;
    case VENV_ROWS_REQUESTS:
        good = has_id;
        if (good && !VENV_SEEDED(REQUEST_FORGOTTEN))
            load_request(m, id, row->value);
        break;
    case VENV_ROWS_TRIGGERS:
        return load_trigger(m, row->key, text, row->value, err);
    case VENV_ROWS_AGENTS:
        good = venv_mgr_fits_name(text, name);
        if (good)
            venv_mgr_agent_restore(m, name, row->value);
        break;
    case VENV_ROWS_PROPOSALS:
        good = has_id && venv_mgr_proposal_restore(m, id, row->value);
        break;
    case VENV_ROWS_BREAKERS:
        good = venv_mgr_breaker_restore(m, text, row->value);
        break;
    case VENV_ROWS_ENVIRONMENTS:
        good = venv_mgr_catalog_restore(m, text, row->value);
        break;
    case VENV_ROWS__COUNT:
        good = false;
        break;
    }
    if (!good && m->rc == VENV_OK)
        return venv_error_set(err, VENV_EINVAL, "a row of collection %d in the state of the manager cannot be understood; "
                              "it was written by another version or is damaged", (int)row->collection);
    return m->rc == VENV_OK ? VENV_OK : venv_error_set(err, m->rc, "out of memory");
}

venv_rc venv_mgr_rows_load(venv_manager *m, const venv_manager_row *rows, size_t count, venv_error *err)
{
    for (size_t i = 0; i < count; i++) /* how long the managers before have run is known before anything is aged by it */
        if (venv_value_kind(rows[i].value) == VENV_MAP)
            (void)venv_mgr_get_ran(m, rows[i].value);
    venv_triggers_age_by(m->triggers, (venv_span){ venv_mgr_ran(m) - m->now.mono.ns });
    for (size_t i = 0; i < count; i++) {
        venv_rc rc = load_row(m, &rows[i], err);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

/* --- writing -------------------------------------------------------------------------------------------- */

venv_value venv_mgr_agent_row(venv_manager *m, const agent *a)
{
    const venv_member *member = venv_groups_member(m->groups, a->name);
    venv_list_builder list;
    venv_map_builder map;
    venv_list_init(&list);
    for (size_t i = 0; member && i < member->group_count; i++)
        venv_list_add_text(&list, venv_groups_group_of(member, i));
    venv_map_init(&map);
    venv_map_put(&map, "groups", venv_mgr_take_list(m, &list));
    if (member && member->heard_wall.ns != 0)
        venv_map_put(&map, "heard", venv_value_from_wall(member->heard_wall));
    venv_map_put_id(&map, "machine", a->machine);
    venv_map_put(&map, "queue", venv_value_bool(a->has_queue));
    venv_map_put(&map, "hypervisor", venv_value_bool(a->hypervisor));
    if (a->maintenance)
        venv_map_put(&map, "maintenance", venv_mgr_maintenance_row(m, a));
    return venv_mgr_take_map(m, &map);
}

venv_value venv_mgr_text_key(venv_manager *m, const char *text)
{
    venv_value key = venv_value_null();
    if (venv_value_string_z(text, &key, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return key;
}

void venv_mgr_rows_flush(venv_manager *m)
{
    for (size_t i = 0; i < m->dirty_instance_count; i++) {
        instance *item = m->dirty_instances[i];
        item->dirty = false;
        venv_mgr_record_instance(m, item);
        venv_mgr_effect_put(m, VENV_ROWS_INSTANCES, venv_mgr_id_value(m, item->id), venv_mgr_instance_row(m, item));
    }
    for (size_t i = 0; i < m->dirty_deed_count; i++) {
        deed *item = m->dirty_deeds[i];
        item->dirty = false;
        venv_mgr_effect_put(m, VENV_ROWS_ACTIONS, venv_mgr_id_value(m, item->id), venv_mgr_deed_row(m, item));
    }
    for (size_t i = 0; i < m->dirty_agent_count; i++) {
        agent *item = m->dirty_agents[i];
        item->dirty = false;
        venv_mgr_effect_put(m, VENV_ROWS_AGENTS, venv_mgr_text_key(m, item->name), venv_mgr_agent_row(m, item));
    }
    m->dirty_instance_count = m->dirty_deed_count = m->dirty_agent_count = 0;
}
