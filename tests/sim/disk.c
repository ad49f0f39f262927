/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk under a manager: transactions become durable one after the other, some time after they were handed over. A
 * crash keeps what is durable, perhaps a few transactions more, and loses the rest. It can be slow, or fail: then the manager ends. It can be
 * full: the core is told, a few more transactions go into what was reserved, and all others wait until there is room, as the daemon's
 * store thread does it (lib/runtime/store_worker.c).
 */
#include "sim/ledger.h"
#include "sim/people.h"
#include "sim/rules.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MAX   65536u
#define WRITES_MAX 65536u
#define KEY_MAX    300u
#define RESERVE_MAX 40 /* writes */

static void action_fini(venv_manager_action *a)
{
    venv_value_unref(&a->key);
    venv_value_unref(&a->value);
    free(a->text);
}

static void write_fini(pending_write *w)
{
    for (size_t k = 0; k < w->count; k++)
        action_fini(&w->ops[k]);
    free(w->ops);
}

static void row_free(disk_row *row)
{
    venv_value_unref(&row->key);
    venv_value_unref(&row->value);
    free(row);
}

void disk_init(sim *s, disk *d)
{
    d->reserve = sim_between(s, 0, RESERVE_MAX);
    if (venv_table_new(s->seed, ROWS_MAX, &d->rows, NULL) != VENV_OK)
        abort();
    for (size_t i = 0; i < sizeof d->of / sizeof d->of[0]; i++)
        if (venv_table_new(s->seed, ROWS_MAX, &d->of[i], NULL) != VENV_OK)
            abort();
}

void disk_fini(disk *d)
{
    size_t cursor = 0;
    void *item;
    while (d->rows && venv_table_next(d->rows, &cursor, NULL, &item))
        row_free(item);
    venv_table_free(d->rows);
    for (size_t i = 0; i < sizeof d->of / sizeof d->of[0]; i++)
        venv_table_free(d->of[i]);
    for (size_t i = 0; i < d->write_count; i++)
        write_fini(&d->writes[i]);
    free(d->writes);
    for (uint64_t i = 0; i < d->revision; i++)
        venv_value_unref(&d->log[i]);
    free(d->log);
}

/* Collection, kind and content: what a row is found by. 0 if it is too long. */
static size_t key_of(venv_collection collection, const venv_value *key, unsigned char bytes[KEY_MAX])
{
    venv_str text = venv_value_peek_text(key);
    if (text.size > KEY_MAX - 2)
        return 0;
    bytes[0] = (unsigned char)collection;
    bytes[1] = (unsigned char)venv_value_kind(key);
    memcpy(bytes + 2, text.data, text.size);
    return text.size + 2;
}

const disk_row *disk_find(const disk *d, venv_collection collection, const venv_value *key)
{
    unsigned char bytes[KEY_MAX];
    size_t size = key_of(collection, key, bytes);
    return size ? venv_table_find(d->rows, bytes, size) : NULL;
}

const venv_value *disk_row_of(const server *v, venv_collection collection, venv_id id)
{
    unsigned char bytes[2 + sizeof id.bytes] = { (unsigned char)collection, VENV_BYTES };
    memcpy(bytes + 2, id.bytes, sizeof id.bytes);
    const disk_row *row = venv_table_find(v->disk.rows, bytes, sizeof bytes);
    return row ? &row->value : NULL;
}

const disk_row *disk_next(const disk *d, size_t *cursor)
{
    void *item;
    return venv_table_next(d->rows, cursor, NULL, &item) ? item : NULL;
}

const disk_row *disk_next_of(const disk *d, venv_collection collection, size_t *cursor)
{
    void *item;
    return venv_table_next(d->of[collection], cursor, NULL, &item) ? item : NULL;
}

static void put(sim *s, server *v, venv_manager_action *a)
{
    unsigned char bytes[KEY_MAX];
    size_t size = key_of(a->collection, &a->key, bytes);
    disk_row *row = size ? venv_table_find(v->disk.rows, bytes, size) : NULL;
    check_row(s, v, row, &a->value);
    rules_row(s, v, &a->key, row, a->collection, &a->value);
    ledger_row(s, v, a->collection, &a->key, &a->value);
    people_row(s, v, a->collection, &a->key, row, &a->value);
    if (!row) {
        row = calloc(1, sizeof *row);
        if (!row)
            abort();
        row->collection = a->collection;
        row->key = venv_value_ref(&a->key);
        if (size == 0 || venv_table_add(v->disk.rows, bytes, size, row, NULL) != VENV_OK ||
            venv_table_add(v->disk.of[a->collection], bytes, size, row, NULL) != VENV_OK) {
            sim_fail(s, "%s writes more than %u rows, or a key that is longer than %u bytes", v->name, ROWS_MAX, KEY_MAX);
            row_free(row);
            return;
        }
    }
    venv_value_unref(&row->value);
    row->value = a->value;
    a->value = venv_value_null();
}

static void delete_row(sim *s, server *v, const venv_manager_action *a)
{
    unsigned char bytes[KEY_MAX];
    size_t size = key_of(a->collection, &a->key, bytes);
    disk_row *row = size ? venv_table_find(v->disk.rows, bytes, size) : NULL;
    if (!row)
        return;
    check_row(s, v, row, NULL);
    ledger_row(s, v, a->collection, &a->key, NULL);
    people_row(s, v, a->collection, &a->key, row, NULL);
    venv_table_remove(v->disk.rows, bytes, size);
    venv_table_remove(v->disk.of[a->collection], bytes, size);
    row_free(row);
}

static void append(sim *s, server *v, venv_manager_action *a)
{
    disk *d = &v->disk;
    const venv_value *revision = venv_value_get(&a->value, "revision");
    if (!revision || venv_value_kind(revision) != VENV_UINT || venv_value_peek_uint(revision) != d->revision + 1)
        sim_fail(s, "L7: the log of events of %s has a gap after revision %llu", v->name, (unsigned long long)d->revision);
    if (d->revision == d->log_capacity) {
        d->log_capacity = d->log_capacity ? d->log_capacity * 2 : 256;
        d->log = reallocarray(d->log, d->log_capacity, sizeof *d->log);
        if (!d->log)
            abort();
    }
    d->log[d->revision++] = a->value;
    rules_event(s, v, &a->value);
    people_event(s, v, &a->value);
    ledger_event(v, &a->value);
    a->value = venv_value_null();
}

static void apply_first(sim *s, server *v)
{
    disk *d = &v->disk;
    pending_write *w = &d->writes[0];
    d->said_at = w->at;
    for (size_t k = 0; k < w->count; k++) {
        venv_manager_action *a = &w->ops[k];
        if (a->kind == VENV_MANAGER_ACT_PUT)
            put(s, v, a);
        else if (a->kind == VENV_MANAGER_ACT_DELETE)
            delete_row(s, v, a);
        else
            append(s, v, a);
    }
    d->durable = w->number;
    ledger_written(s, v, w->ops, w->count);
    people_written(s, v);
    write_fini(w);
    memmove(&d->writes[0], &d->writes[1], --d->write_count * sizeof d->writes[0]);
}

/* --- room ---------------------------------------------------------------------------------------------------------------------- */

static void plan_for(sim *s, const server *v, int64_t delay, happening_kind kind)
{
    happening *h = sim_plan(s, delay, kind);
    h->index = v->index;
    h->life = v->process.life;
}

static void become(sim *s, server *v, bool full)
{
    v->disk.full = full;
    if (!full)
        v->disk.reserve = sim_between(s, 0, RESERVE_MAX);
    report_say(s, v->name, "there is %s room on its disk", full ? "no" : "again");
    plan_for(s, v, sim_between(s, MS(1), MS(20)), DISK_TOLD);
}

static void probe(sim *s, server *v)
{
    bool full = s->now < v->disk.full_until;
    v->disk.probing = full;
    if (full != v->disk.full)
        become(s, v, full);
    if (full)
        plan_for(s, v, S(1), DISK_PROBE);
}

void disk_full(sim *s, server *v, int64_t until)
{
    v->disk.full_until = until;
    if (!v->disk.probing && v->core)
        plan_for(s, v, sim_between(s, 0, S(1)), DISK_PROBE);
    v->disk.probing = v->core != NULL;
}

void disk_started(sim *s, server *v)
{
    v->disk.full = v->disk.full_told = false;
    v->disk.probing = s->now < v->disk.full_until;
    if (v->disk.probing)
        plan_for(s, v, 0, DISK_PROBE);
}

void disk_happening(sim *s, server *v, const happening *h)
{
    if (h->kind == DISK_PROBE) {
        probe(s, v);
    } else if (v->disk.full_told != v->disk.full) {
        v->disk.full_told = v->disk.full;
        server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_DISK, .full = v->disk.full, .text = "no space left on device" });
    }
}

void disk_durable(sim *s, server *v)
{
    disk *d = &v->disk;
    if (!v->core || d->write_count == 0)
        return;
    if (s->now < d->full_until) {
        if (!d->full)
            become(s, v, true);
        if (d->reserve == 0) {
            plan_for(s, v, MS(200), DURABLE); /* it is tried again, and what came after it waits */
            return;
        }
        d->reserve--;
    }
    apply_first(s, v);
    server_release(s, v);
}

static bool is_row(const venv_manager_action *a)
{
    return a->kind == VENV_MANAGER_ACT_PUT || a->kind == VENV_MANAGER_ACT_DELETE || a->kind == VENV_MANAGER_ACT_APPEND;
}

static void keep(sim *s, server *v, venv_manager_actions *out)
{
    disk *d = &v->disk;
    if (d->write_count == d->write_capacity) {
        d->write_capacity = d->write_capacity ? d->write_capacity * 2 : 64;
        d->writes = reallocarray(d->writes, d->write_capacity, sizeof *d->writes);
        if (!d->writes || d->write_capacity > WRITES_MAX)
            abort();
    }
    pending_write *w = &d->writes[d->write_count++];
    size_t count = 0;
    for (size_t i = 0; i < out->count; i++)
        count += is_row(&out->items[i]);
    *w = (pending_write){ out->write, calloc(count + 1, sizeof *w->ops), 0, s->now };
    if (!w->ops)
        abort();
    for (size_t i = 0; i < out->count; i++) {
        venv_manager_action *a = &out->items[i];
        if (!is_row(a))
            continue;
        w->ops[w->count++] = *a;
        a->key = a->value = venv_value_null();
        a->text = NULL;
    }
}

bool disk_take(sim *s, server *v, venv_manager_actions *out)
{
    disk *d = &v->disk;
    if (d->error_next) {
        report_say(s, v->name, "a write fails");
        d->error_next = false;
        d->failed = true;
        return false;
    }
    keep(s, v, out);
    bool slow = s->now < d->slow_until;
    int64_t at = s->now + (slow ? sim_between(s, MS(50), S(3)) : sim_between(s, MS(1), MS(15)));
    if (at <= d->last_durable_at)
        at = d->last_durable_at + 1;
    d->last_durable_at = at;
    happening *h = sim_plan(s, at - s->now, DURABLE);
    h->index = v->index;
    h->life = v->process.life;
    if (!s->healing && v->crash_at_write > 0 && sim_chance(s, v->crash_at_write) == 0) {
        h = sim_plan(s, sim_between(s, 0, MS(20)), MANAGER_CRASH);
        h->index = v->index;
        h->life = v->process.life;
    }
    return true;
}

/* Between write and sync: what was handed over and is not yet durable may be, or not; but in order. */
void disk_crash(sim *s, server *v)
{
    disk *d = &v->disk;
    bool room = s->now >= d->full_until;
    size_t luck = d->write_count > 0 && room ? (size_t)sim_chance(s, (int64_t)d->write_count + 1) : 0;
    for (size_t i = 0; i < luck; i++)
        apply_first(s, v);
    s->counts.writes_lost += d->write_count;
    for (size_t i = 0; i < d->write_count; i++)
        write_fini(&d->writes[i]);
    d->write_count = 0;
}
