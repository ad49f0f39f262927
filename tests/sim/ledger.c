/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules about rows. Names are used once; actions end once, and parents with their children;
 * nothing is told to a node that is not on the disk. And the digest of replay: what a core has in memory, what is on the
 * disk, and what a core that is made from the disk has in memory are the same rows.
 */
#include "sim/ledger.h"

#include <stdlib.h>
#include <string.h>

typedef struct known_action {
    venv_id id, parent;
    int open;                 /* children */
    bool seen, final, has_parent, is_parent;
} known_action;

/* What the log of events says about a cause. */
typedef struct told {
    uint64_t over;
    bool fired;
} told;

struct ledger {
    venv_table *actions, *names, *told;
};

ledger *ledger_new(void)
{
    ledger *l = calloc(1, sizeof *l);
    if (!l || venv_table_new(1, 65536, &l->actions, NULL) != VENV_OK || venv_table_new(1, 65536, &l->names, NULL) != VENV_OK ||
        venv_table_new(1, 1u << 20, &l->told, NULL) != VENV_OK)
        abort();
    return l;
}

static void free_all(venv_table *table)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(table, &cursor, NULL, &item))
        free(item);
    venv_table_free(table);
}

void ledger_free(ledger *l)
{
    free_all(l->actions);
    free_all(l->names);
    free_all(l->told);
    free(l);
}

static bool is_over(const venv_value *row)
{
    const venv_value *state = venv_value_get(row, "state");
    return venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed");
}

/* --- instances ----------------------------------------------------------------------------------------------------- */

static void instance_row(sim *s, server *v, const venv_value *key, const venv_value *fresh)
{
    venv_str name = venv_value_get_text(fresh, "name");
    venv_id id, *kept = venv_table_find(v->ledger->names, name.data, name.size);
    if (!venv_value_to_id(key, &id))
        return;
    if (kept && !venv_id_equal(*kept, id))
        sim_fail(s, "names: two instances of %s are called %.*s", v->name, (int)name.size, name.data);
    if (kept)
        return;
    kept = malloc(sizeof *kept);
    if (!kept || venv_table_add(v->ledger->names, name.data, name.size, kept, NULL) != VENV_OK)
        abort();
    *kept = id;
}

/* --- actions --------------------------------------------------------------------------------------------------------- */

static known_action *action_of(server *v, venv_id id)
{
    known_action *k = venv_table_find(v->ledger->actions, id.bytes, sizeof id.bytes);
    if (k)
        return k;
    k = calloc(1, sizeof *k);
    if (!k || venv_table_add(v->ledger->actions, id.bytes, sizeof id.bytes, k, NULL) != VENV_OK)
        abort();
    k->id = id;
    return k;
}

static void action_row(sim *s, server *v, const venv_value *key, const venv_value *fresh)
{
    venv_id id, parent;
    if (!venv_value_to_id(key, &id))
        return;
    known_action *k = action_of(v, id), *up = NULL;
    const venv_value *state = venv_value_get(fresh, "state");
    venv_str kind = venv_value_get_text(fresh, "kind"), text = venv_value_get_text(fresh, "state");
    bool final = !venv_value_is_text(state, "pending") && !venv_value_is_text(state, "running");
    if (venv_value_get_id(fresh, "parent", &parent)) {
        up = action_of(v, parent);
        up->open += !k->seen;
        k->parent = parent;
        k->has_parent = up->is_parent = true;
    }
    if (k->final && !final)
        sim_fail(s, "actions: %.*s was over, and is %.*s", (int)kind.size, kind.data, (int)text.size, text.data);
    if (up && final && !k->final)
        up->open--;
    k->final = final;
    k->seen = true;
}

/* It is no longer kept. */
static void action_deleted(server *v, const venv_value *key)
{
    venv_id id;
    if (venv_value_to_id(key, &id))
        free(venv_table_remove(v->ledger->actions, id.bytes, sizeof id.bytes));
}

void ledger_row(sim *s, server *v, venv_collection collection, const venv_value *key, const venv_value *fresh)
{
    if (collection == VENV_ROWS_INSTANCES && fresh)
        instance_row(s, v, key, fresh);
    else if (collection == VENV_ROWS_ACTIONS && fresh)
        action_row(s, v, key, fresh);
    else if (collection == VENV_ROWS_ACTIONS)
        action_deleted(v, key);
}

void ledger_written(sim *s, server *v, const venv_manager_action *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        venv_id id;
        if (ops[i].collection != VENV_ROWS_ACTIONS || ops[i].kind != VENV_MANAGER_ACT_PUT || !venv_value_to_id(&ops[i].key, &id))
            continue;
        const known_action *k = venv_table_find(v->ledger->actions, id.bytes, sizeof id.bytes);
        if (k && k->is_parent && k->final && k->open > 0)
            sim_fail(s, "actions: one of %s ended, and %d of its children have not", v->name, k->open);
    }
}

/* --- the log of events ----------------------------------------------------------------------------------------------- */

void ledger_event(server *v, const venv_value *event)
{
    venv_id cause;
    const venv_value *kind = venv_value_get(event, "kind");
    venv_str text = venv_value_get_text(event, "kind");
    bool over = text.size > 7 && memcmp(text.data, "action-", 7) == 0;
    bool fired = venv_value_is_text(kind, "trigger-fired") || venv_value_is_text(kind, "trigger-recovered") ||
                 venv_value_is_text(kind, "trigger-proposed");
    if ((!over && !fired) || !venv_value_get_id(event, "cause", &cause))
        return;
    told *t = venv_table_find(v->ledger->told, cause.bytes, sizeof cause.bytes);
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t || venv_table_add(v->ledger->told, cause.bytes, sizeof cause.bytes, t, NULL) != VENV_OK)
            abort();
    }
    t->fired = t->fired || fired;
    if (over && t->over == 0)
        t->over = venv_value_peek_uint(venv_value_get(event, "revision"));
}

uint64_t ledger_told_over(const server *v, venv_id action)
{
    const told *t = venv_table_find(v->ledger->told, action.bytes, sizeof action.bytes);
    return t ? t->over : 0;
}

bool ledger_is_firing(const server *v, venv_id id)
{
    const told *t = venv_table_find(v->ledger->told, id.bytes, sizeof id.bytes);
    return t && t->fired;
}

/* --- orders ------------------------------------------------------------------------------------------------------------ */

void ledger_sent(sim *s, const server *v, const venv_manager_action *a)
{
    venv_id id;
    char text[VENV_ID_TEXT_SIZE];
    if ((a->type != VENV_MSG_MACHINE_START && a->type != VENV_MSG_MACHINE_STOP) || !venv_value_get_id(&a->value, "machine", &id))
        return;
    const venv_value *row = disk_row_of(v, VENV_ROWS_INSTANCES, id);
    if (!row || !venv_value_get(row, "node"))
        sim_fail(s, "L3: a node is told of machine %s before that is on the disk", venv_id_format(id, text));
    else if (a->type == VENV_MSG_MACHINE_STOP && !is_over(row) && !venv_value_get_bool(row, "stop_wanted", false) &&
             !venv_value_get(row, "fence"))
        sim_fail(s, "L3: a node is told to stop machine %s before that is on the disk", venv_id_format(id, text));
}

/* --- memory and disk ------------------------------------------------------------------------------------------------------ */

/* Of these rows every field is written whenever it changes. */
static bool is_exact(venv_collection collection)
{
    return collection == VENV_ROWS_INSTANCES || collection == VENV_ROWS_ACTIONS || collection == VENV_ROWS_REQUESTS;
}

static bool agrees(sim *s, const server *v, const venv_manager_action *row, const char *whose)
{
    char one[1400], other[1400] = "-";
    const disk_row *kept = disk_find(&v->disk, row->collection, &row->key);
    if (!is_exact(row->collection) || (kept && venv_value_equal(&kept->value, &row->value)))
        return true;
    venv_value_print(&row->value, one, sizeof one);
    if (kept)
        venv_value_print(&kept->value, other, sizeof other);
    sim_fail(s, "memory: %s of %s has a row of collection %d that is %s", whose, v->name, (int)row->collection,
             kept ? "otherwise on the disk" : "not on the disk");
    report_say(s, v->name, "memory: %s", one);
    report_say(s, v->name, "disk:   %s", other);
    return false;
}

static void compare(sim *s, const server *v, const char *whose)
{
    venv_manager_actions rows;
    uint64_t revision = 0;
    size_t mine = 0, kept = 0, cursor = 0;
    const disk_row *row;
    venv_manager_actions_init(&rows);
    if (venv_manager_export(v->core, &rows, &revision) != VENV_OK)
        sim_fail(s, "out of memory");
    for (size_t i = 0; i < rows.count && agrees(s, v, &rows.items[i], whose); i++)
        mine += is_exact(rows.items[i].collection);
    while ((row = disk_next(&v->disk, &cursor)))
        kept += is_exact(row->collection);
    if (!s->failed && (mine != kept || revision != v->disk.revision))
        sim_fail(s, "memory: %s of %s has %zu rows and revision %llu, its disk has %zu and %llu", whose, v->name, mine,
                 (unsigned long long)revision, kept, (unsigned long long)v->disk.revision);
    venv_manager_actions_fini(&rows);
}

/* All that the core has emitted is on the disk: then they are equal. */
void ledger_ending(sim *s, const server *v)
{
    if (v->core && !s->failed && v->disk.write_count == 0 && !v->disk.failed)
        compare(s, v, "the memory");
}

void ledger_started(sim *s, const server *v)
{
    if (v->core && !s->failed)
        compare(s, v, "the memory after a restart");
}
