/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances: those that were recorded, those that the triggers would have started, and their hours. The model is in
 * venv/replay.h, and in replay.c in the words of venv_replay_model().
 */
#include "replay/replay.h"

#include "environment/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOOT_DEFAULT_NS (60 * VENV_NS_PER_S)

environment *venv_replay_environment(venv_replay *r, const char *name)
{
    environment *e = venv_table_find(r->environments, name, strlen(name));
    if (e)
        return e;
    e = calloc(1, sizeof *e);
    if (!e || !(e->name = strdup(name)) || venv_table_add(r->environments, e->name, strlen(e->name), e, NULL) != VENV_OK) {
        if (e)
            free(e->name);
        free(e);
        r->rc = VENV_ENOMEM;
        return NULL;
    }
    return e;
}

static void free_machine(machine *i)
{
    free(i->name);
    free(i->environment);
    free(i->node);
    free(i);
}

static machine *machine_new(venv_replay *r, const char *name, const char *environment_name)
{
    machine *i = calloc(1, sizeof *i);
    if (!i || !(i->name = strdup(name)) || !(i->environment = strdup(environment_name)) ||
        venv_table_add(r->machines, i->name, strlen(i->name), i, NULL) != VENV_OK) {
        if (i)
            free_machine(i);
        r->rc = venv_table_count(r->machines) >= MACHINES_MAX ? VENV_ELIMIT : VENV_ENOMEM;
        return NULL;
    }
    i->begun = i->since = r->now.wall;
    return i;
}

static double seconds_since(const venv_replay *r, venv_wall begun)
{
    int64_t first = begun.ns > r->options.from.ns ? begun.ns : r->options.from.ns;
    return r->now.wall.ns > first ? (double)(r->now.wall.ns - first) / (double)VENV_NS_PER_S : 0;
}

/* It is over: its hours count. */
static void account(venv_replay *r, machine *i)
{
    environment *e = venv_replay_environment(r, i->environment);
    if (!e || i->over)
        return;
    double s = seconds_since(r, i->begun);
    if (i->modelled)
        e->would_s += s;
    else
        e->did_s += s;
    if (!i->modelled && i->by_trigger)
        e->did_triggers_s += s;
    i->over = true;
}

static bool is_final(const char *state)
{
    venv_instance_state known;
    return venv_instance_state_parse((venv_str){ state, strlen(state) }, &known) && venv_instance_is_final(known);
}

static void begin(venv_replay *r, machine *i, const venv_history_sample *sample)
{
    char by[VENV_NAME_MAX + 16];
    i->begun = sample->time;
    i->by_trigger = venv_replay_text(venv_value_get_text(sample->value, "by"), by, sizeof by) && strncmp(by, "trigger/", 8) == 0;
    environment *e = venv_replay_environment(r, i->environment);
    if (e && !sample->before)
        e->did_start++;
}

void venv_replay_take_instance(venv_replay *r, const venv_history_sample *sample)
{
    char name[VENV_NAME_MAX + 1], state[32], text[VENV_NAME_MAX + 1];
    bool gone = sample->quality == VENV_QUALITY_ABSENT || !venv_replay_text(venv_value_get_text(sample->value, "state"), state, sizeof state) ||
                !venv_replay_text(venv_value_get_text(sample->value, "environment"), name, sizeof name);
    machine *i = venv_table_find(r->machines, sample->subject, strlen(sample->subject));
    if (!i && (gone || is_final(state)))
        return;
    if (!i && (i = machine_new(r, sample->subject, name)))
        begin(r, i, sample);
    if (!i)
        return;
    venv_instance_state known;
    bool running = !gone && strcmp(state, "running") == 0;
    if (running && !i->confirmed && !sample->before) {
        environment *e = venv_replay_environment(r, i->environment);
        i->confirmed = true;
        if (e) {
            e->boots++;
            e->boot_s += seconds_since(r, i->begun);
        }
    }
    i->confirmed = i->confirmed || running;
    if (!gone && venv_instance_state_parse((venv_str){ state, strlen(state) }, &known))
        i->state = venv_instance_state_name(known);
    past_agent *host = i->node ? venv_table_find(r->agents, i->node, strlen(i->node)) : NULL;
    if (host)
        host->hosts = true;
    if (!gone && venv_replay_text(venv_value_get_text(sample->value, "node"), text, sizeof text) && (!i->node || strcmp(i->node, text) != 0)) {
        free(i->node);
        i->node = strdup(text);
    }
    i->since = sample->time;
    venv_triggers_note_instances(r->triggers, i->environment);
    if (!gone && !is_final(state))
        return;
    account(r, i);
    venv_table_remove(r->machines, i->name, strlen(i->name));
    free_machine(i);
}

/* --- what the triggers would have done --------------------------------------------------------------------- */

void venv_replay_start(venv_replay *r, const venv_value *arguments)
{
    char name[VENV_NAME_MAX + 1], made[VENV_NAME_MAX + 32];
    int64_t count = venv_value_get_int(arguments, "count", 1);
    if (!venv_replay_text(venv_value_get_text(arguments, "environment"), name, sizeof name))
        return;
    environment *e = venv_replay_environment(r, name);
    for (int64_t n = 0; e && n < count && n < (int64_t)VENV_TRIGGER_COUNT_MAX; n++) {
        snprintf(made, sizeof made, "%s-replayed-%llu", name, (unsigned long long)++e->next_name);
        machine *i = machine_new(r, made, name);
        if (!i)
            return;
        char asked[VENV_NAME_MAX + 1];
        const char *node = venv_replay_text(venv_value_get_text(arguments, "node"), asked, sizeof asked) ? asked : venv_replay_place(r, 0);
        bool waits = strcmp(venv_replay_breaker_state(r, false, name), "open") == 0;
        i->modelled = true;
        i->started = r->now.wall;
        i->node = node ? strdup(node) : NULL;
        i->state = venv_instance_state_name(waits ? VENV_INSTANCE_PENDING : VENV_INSTANCE_STARTING);
        e->would_start++;
    }
    venv_triggers_note_instances(r->triggers, name);
}

/* Whom a stop takes first, as in the manager: those that never ran, then the youngest. */
static int stop_order(const void *a, const void *b)
{
    const machine *x = *(machine *const *)a, *y = *(machine *const *)b;
    bool up_x = strcmp(x->state, "running") == 0, up_y = strcmp(y->state, "running") == 0;
    if (up_x != up_y)
        return up_x ? 1 : -1;
    if (x->begun.ns != y->begun.ns)
        return x->begun.ns > y->begun.ns ? -1 : 1;
    return strcmp(y->name, x->name);
}

machine **venv_replay_stop_select(venv_replay *r, const venv_value *arguments, size_t *ret_count)
{
    char name[VENV_NAME_MAX + 32] = "", only[VENV_NAME_MAX + 32] = "";
    int64_t most = venv_value_get_int(arguments, "count", INT64_MAX);
    size_t cursor = 0, count = 0;
    void *item;
    (void)venv_replay_text(venv_value_get_text(arguments, "environment"), name, sizeof name);
    (void)venv_replay_text(venv_value_get_text(arguments, "instance"), only, sizeof only);
    machine **items = calloc(venv_table_count(r->machines) + 1, sizeof *items);
    if (!items) {
        r->rc = VENV_ENOMEM;
        return NULL;
    }
    while (venv_table_next(r->machines, &cursor, NULL, &item)) {
        machine *i = item;
        if (i->modelled && (only[0] ? strcmp(i->name, only) == 0 : strcmp(i->environment, name) == 0))
            items[count++] = i;
    }
    if (count > 0)
        qsort(items, count, sizeof *items, stop_order);
    *ret_count = (int64_t)count < most ? count : (size_t)most;
    return items;
}

void venv_replay_stop(venv_replay *r, const venv_value *arguments)
{
    size_t count = 0;
    machine **items = venv_replay_stop_select(r, arguments, &count);
    for (size_t n = 0; items && n < count; n++) {
        account(r, items[n]);
        venv_triggers_note_instances(r->triggers, items[n]->environment);
        venv_table_remove(r->machines, items[n]->name, strlen(items[n]->name));
        free_machine(items[n]);
    }
    free(items);
}

/* When it runs: what is known by now of how long that takes counts for those that are still on their way, too. */
static int64_t up_at(const venv_replay *r, const machine *i)
{
    const environment *e = venv_table_find(r->environments, i->environment, strlen(i->environment));
    int64_t boot = r->options.boot.ns > 0 ? r->options.boot.ns : BOOT_DEFAULT_NS, at;
    if (e && e->boots > 0)
        boot = (int64_t)(e->boot_s / (double)e->boots * 1e9);
    return __builtin_add_overflow(i->started.ns, boot, &at) ? INT64_MAX : at;
}

void venv_replay_machines_let_through(venv_replay *r)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(r->machines, &cursor, NULL, &item)) {
        machine *i = item;
        if (!i->modelled || i->state != venv_instance_state_name(VENV_INSTANCE_PENDING) ||
            strcmp(venv_replay_breaker_state(r, false, i->environment), "open") == 0)
            continue;
        i->state = venv_instance_state_name(VENV_INSTANCE_STARTING);
        i->since = i->started = r->now.wall;
        venv_triggers_note_instances(r->triggers, i->environment);
    }
}

static bool is_booting(const machine *i)
{
    return i->modelled && i->state == venv_instance_state_name(VENV_INSTANCE_STARTING);
}

int64_t venv_replay_machines_next(const venv_replay *r)
{
    int64_t first = INT64_MAX;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(r->machines, &cursor, NULL, &item))
        if (is_booting(item) && up_at(r, item) < first)
            first = up_at(r, item);
    return first > r->now.wall.ns ? first : r->now.wall.ns + 1;
}

void venv_replay_machines_advance(venv_replay *r)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(r->machines, &cursor, NULL, &item)) {
        machine *i = item;
        if (!is_booting(i) || up_at(r, i) > r->now.wall.ns)
            continue;
        i->state = venv_instance_state_name(VENV_INSTANCE_RUNNING);
        i->since = r->now.wall;
        venv_triggers_note_instances(r->triggers, i->environment);
    }
}

/* --- as expressions see them -------------------------------------------------------------------------------- */

venv_rc venv_replay_instances(venv_replay *r, const char *environment_name, venv_value *ret_list, venv_error *err)
{
    const environment *e = venv_table_find(r->environments, environment_name, strlen(environment_name));
    venv_list_builder list;
    size_t cursor = 0;
    void *item;
    venv_list_init(&list);
    while (venv_table_next(r->machines, &cursor, NULL, &item)) {
        const machine *i = item;
        venv_map_builder map;
        venv_value value = venv_value_null();
        if (strcmp(i->environment, environment_name) != 0 || (e && e->managed && !i->modelled && i->by_trigger))
            continue;
        venv_map_init(&map);
        venv_map_put_z(&map, "name", i->name);
        venv_map_put_z(&map, "environment", i->environment);
        venv_map_put_z(&map, "state", i->state ? i->state : "lost");
        venv_map_put(&map, "since", venv_value_from_wall(i->since));
        venv_map_put(&map, "made", venv_value_from_wall(i->begun));
        if (i->node)
            venv_map_put_z(&map, "node", i->node);
        if (venv_map_take(&map, &value, NULL) != VENV_OK)
            r->rc = VENV_ENOMEM;
        venv_list_add(&list, value);
    }
    return venv_list_take(&list, ret_list, err);
}

/* The time is over: what still runs has its hours. */
void venv_replay_machines_finish(venv_replay *r)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(r->machines, &cursor, NULL, &item))
        account(r, item);
}

void venv_replay_machines_free(venv_replay *r)
{
    size_t cursor = 0;
    void *item;
    while (r->machines && venv_table_next(r->machines, &cursor, NULL, &item))
        free_machine(item);
    venv_table_free(r->machines);
    cursor = 0;
    while (r->environments && venv_table_next(r->environments, &cursor, NULL, &item)) {
        free(((environment *)item)->name);
        free(item);
    }
    venv_table_free(r->environments);
}
