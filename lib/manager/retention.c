/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How old what has ended is, and what is old enough to go: ended actions, instances and proposals, answers to requests, breakers
 * that closed.
 *
 * People set clocks, and a machine without a battery begins in another year. An answer that is dropped for that makes a repeated
 * request happen twice. So what counts here is how long the manager has *run*: monotonic time, added up over its runs. It is in
 * the manager's own row, written every minute, and in the row of each thing that ended: `ran`. What was added since
 * the last of those is lost in a crash: things live a little longer than they have to, never shorter.
 *
 * Cooldowns, limits, breakers and proposals go by it, too (lib/trigger/rows.c, breakers.c, proposals.c).
 *
 * Rows that say nothing of it (another version wrote them) age from when they are met here.
 */
#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

#define SAVE_EVERY (60 * VENV_NS_PER_S)
#define STAMPS_MAX 256                    /* of rows that have none, in one step */
#define RAN_MAX    (INT64_MAX / 2)        /* more than a century: not a count of ours */

int64_t venv_mgr_ran(const venv_manager *m)
{
    return m->ran_before + (m->now.mono.ns - m->started.mono.ns) + 1; /* never 0, which says "not known" */
}

void venv_mgr_put_ran(venv_map_builder *map, int64_t ran)
{
    if (ran > 0)
        venv_map_put(map, "ran", venv_value_int(ran));
}

/* At the start: nothing has ended after now. 0: the row has none. */
int64_t venv_mgr_get_ran(venv_manager *m, const venv_value *row)
{
    int64_t ran = venv_value_get_int(row, "ran", 0);
    if (ran <= 0 || ran > RAN_MAX)
        return 0;
    if (ran > m->ran_before)
        m->ran_before = ran;
    return ran;
}

bool venv_mgr_is_old(const venv_manager *m, int64_t ran)
{
    return ran > 0 && venv_mgr_ran(m) - ran >= m->config->retention.ns;
}

/* Whether it gets its stamp now: true for a bounded number of them. */
static bool stamp(const venv_manager *m, int64_t *ran, size_t *stamped)
{
    if (*ran > 0 || *stamped == STAMPS_MAX)
        return false;
    *ran = venv_mgr_ran(m);
    (*stamped)++;
    return true;
}

static void retain_deeds(venv_manager *m)
{
    size_t cursor = 0, stamped = 0;
    void *item;
    venv_str key;
    while (venv_table_next(m->deeds, &cursor, &key, &item)) {
        deed *d = item;
        if (venv_mgr_deed_is_open(d) || d->dirty)
            continue;
        if (stamp(m, &d->ran, &stamped))
            venv_mgr_deed_touch(m, d);
        if (!venv_mgr_is_old(m, d->ran))
            continue;
        venv_mgr_effect_delete(m, VENV_ROWS_ACTIONS, venv_mgr_id_value(m, d->id));
        venv_table_remove(m->deeds, key.data, key.size);
        venv_mgr_deed_free(d);
    }
}

static void retain_instances(venv_manager *m)
{
    size_t cursor = 0, stamped = 0;
    void *item;
    venv_str key;
    while (venv_table_next(m->instances, &cursor, &key, &item)) {
        instance *i = item;
        if (!venv_instance_is_final(i->state) || i->dirty || i->inspect)
            continue;
        if (stamp(m, &i->ran, &stamped))
            venv_mgr_instance_touch(m, i);
        if (!venv_mgr_is_old(m, i->ran))
            continue;
        venv_mgr_effect_delete(m, VENV_ROWS_INSTANCES, venv_mgr_id_value(m, i->id));
        venv_mgr_record_instance_gone(m, i);
        venv_table_remove(m->names, i->name, strlen(i->name));
        venv_table_remove(m->instances, key.data, key.size);
        venv_mgr_instance_free(i);
    }
}

/* The kept answer `row` again, with a stamp. */
static void stamp_request(venv_manager *m, venv_id id, venv_value *row, int64_t ran)
{
    static const char *const keys[] = { "type", "by", "time", "body" };
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const venv_value *value = venv_value_get(row, keys[k]);
        if (value)
            venv_map_put(&map, keys[k], venv_value_ref(value));
    }
    venv_mgr_put_ran(&map, ran);
    venv_value stamped = venv_mgr_take_map(m, &map);
    if (m->rc != VENV_OK) {
        venv_value_unref(&stamped);
        return;
    }
    venv_value_unref(row);
    *row = stamped;
    venv_mgr_effect_put(m, VENV_ROWS_REQUESTS, venv_mgr_id_value(m, id), venv_value_ref(row));
}

static void retain_requests(venv_manager *m)
{
    size_t cursor = 0, stamped = 0;
    void *item;
    venv_str key;
    while (venv_table_next(m->requests, &cursor, &key, &item)) {
        venv_value *row = item;
        venv_id id;
        int64_t ran = venv_value_get_int(row, "ran", 0);
        memcpy(id.bytes, key.data, sizeof id.bytes);
        if (stamp(m, &ran, &stamped))
            stamp_request(m, id, row, ran);
        if (!venv_mgr_is_old(m, ran))
            continue;
        venv_mgr_effect_delete(m, VENV_ROWS_REQUESTS, venv_mgr_id_value(m, id));
        venv_table_remove(m->requests, key.data, key.size);
        venv_value_unref(row);
        free(row);
    }
}

void venv_mgr_retention(venv_manager *m)
{
    retain_deeds(m);
    retain_instances(m);
    retain_requests(m);
    venv_mgr_proposals_retention(m);
    if (!m->full && venv_mgr_ran(m) - m->ran_saved >= SAVE_EVERY)
        venv_mgr_guard_save(m);
}
