/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node tells about its machines, against what we know. Three rules:
 *
 *  - "could not ask the hypervisor" is never "there is none": only a list that the hypervisor gave counts;
 *  - a machine whose start was told and that is not in the list is told again, under the same id and epoch,
 *    never started as another one; one that was seen to run and is gone is over, never started again;
 *  - a machine that carries our mark and that we do not know is taken in, not destroyed.
 *
 * The agent keeps a machine in its list while it still works on its start or stop.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const venv_id none = { { 0 } };

static void text_of(const venv_value *map, const char *key, char *to, size_t size)
{
    venv_str text = venv_value_get_text(map, key);
    snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.data ? text.data : "");
}

static void set_console(venv_manager *m, instance *i, const venv_value *reported)
{
    venv_str console = venv_value_get_text(reported, "console");
    if (console.size == 0 || console.size > 1024 || (i->console && strlen(i->console) == console.size &&
                                                     memcmp(i->console, console.data, console.size) == 0))
        return;
    free(i->console);
    i->console = venv_mgr_copy_str(m, console);
    venv_mgr_instance_touch(m, i);
}

/* --- one machine that its node has ------------------------------------------------------------------- */

/* Nothing to say about what was asked for. */
static const char *up_reason(venv_instance_state state)
{
    return state == VENV_INSTANCE_PAUSED ? "paused on its node" : "";
}

void venv_mgr_reconcile_up(venv_manager *m, instance *i, venv_instance_state state)
{
    if (state == VENV_INSTANCE_RUNNING && venv_mgr_ready_waits(m, i))
        return;
    bool first = !i->confirmed;
    i->hold = VENV_INSTANT_NEVER;
    i->confirmed = true;
    if (first)
        venv_mgr_instance_touch(m, i);
    if (first && !i->adopted)
        venv_mgr_start_worked(m, i);
    if (!i->stop_wanted) {
        if (venv_mgr_drain_is_on(i) && (i->state == VENV_INSTANCE_DRAINING || i->state == VENV_INSTANCE_LOST))
            state = VENV_INSTANCE_DRAINING;
        i->retry = VENV_INSTANT_NEVER;
        if (i->state != state)
            venv_mgr_instance_set(m, i, state, i->state == VENV_INSTANCE_LOST ? "seen again" : up_reason(state));
        venv_mgr_instance_end_deeds(m, i);
        return;
    }
    if (i->state == VENV_INSTANCE_STARTING || i->state == VENV_INSTANCE_LOST)
        venv_mgr_instance_set(m, i, state, i->state == VENV_INSTANCE_LOST ? "seen again" : up_reason(state));
    venv_mgr_instance_end_deeds(m, i);
    if (i->state != VENV_INSTANCE_STOPPING)
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPING, i->force ? "it is destroyed" : "it is asked to shut down");
    if (!i->stop_sent)
        venv_mgr_instance_send_stop(m, i);
}

static void has_ended(venv_manager *m, instance *i, venv_instance_state state, const char *reason)
{
    if (venv_mgr_crash_holds(m, i) || i->inspect)
        return;
    if (i->state == VENV_INSTANCE_STARTING && (state == VENV_INSTANCE_FAILED || i->booted) && !i->confirmed && !i->stop_wanted) {
        const char *why = i->booted ? "its guest ended before it was ready" : reason[0] ? reason : "its guest ended";
        i->booted = false;
        venv_mgr_start_failed(m, i, VENV_EIO, why);
        if (venv_mgr_crashed(m, i, why))
            return;
        venv_mgr_instance_fence(m, i, why);
        if (!venv_instance_is_final(i->state))
            return;
    }
    if (state == VENV_INSTANCE_FAILED && venv_mgr_crashed(m, i, reason))
        return;
    if (!venv_instance_is_final(i->state)) {
        i->confirmed = i->confirmed || state == VENV_INSTANCE_STOPPED;
        venv_mgr_instance_set(m, i, state, reason[0] ? reason : "its guest ended");
        venv_mgr_instance_end_deeds(m, i);
    }
    venv_mgr_instance_call_off(m, i); /* its definition is left */
}

/* We said that it is over, and it runs: we were wrong, or its node is. Nothing is done to it but what was asked for. */
static void runs_again(venv_manager *m, instance *i)
{
    i->inspect = false;
    i->state = VENV_INSTANCE_LOST;
    i->confirmed = true;
    if (i->stop_wanted) { /* its stop did not stop it: an agent does each id once, so this is another one */
        i->stop = venv_random_id(&m->random);
        i->stop_sent = false;
    }
    venv_mgr_event_add(m, "instance-unexpected", i->name, none, venv_value_null(), "%s counted as over, and node %s says that it runs",
              i->name, i->node ? i->node : "?");
    venv_mgr_reconcile_up(m, i, VENV_INSTANCE_RUNNING);
}

static void alarm_once(venv_manager *m, instance *i, const agent *a, const char *what)
{
    if (i->alarmed)
        return;
    i->alarmed = true;
    venv_mgr_event_add(m, "instance-conflict", i->name, none, venv_value_null(), "node %s reports %s %s; nothing is done: look at it",
              a->name, i->name, what);
}

/* It was told to start, its node was lost, and can be seen again: only now it is known that it does not run. It is told again. */
static void seen_starting(venv_manager *m, instance *i)
{
    if (i->state == VENV_INSTANCE_LOST) {
        i->state = VENV_INSTANCE_STARTING;
        i->since = m->now.mono;
        i->since_wall = m->now.wall;
        venv_mgr_set_reason(i->reason, "its node can be seen again and has not started it");
        venv_mgr_instance_touch(m, i);
        venv_triggers_note_instances(m->triggers, i->environment);
    }
    if (i->state == VENV_INSTANCE_STARTING)
        venv_mgr_instance_send_start(m, i);
}

/* What removes it was told in this session, or is now. */
static void fence_on(venv_manager *m, instance *i)
{
    if (i->state == VENV_INSTANCE_LOST)
        seen_starting(m, i);
    else if (!i->start_sent)
        venv_mgr_instance_send_start(m, i);
}

/*
 * It is being removed, and its node says when that is done. But a start that came to something after all is what was wanted: the node leaves
 * it alone. And one that ran and ended, was to be cleared away, and runs before its node could be told so was started by somebody
 * who looks after the node: nothing is done to it.
 */
static bool is_being_removed(venv_manager *m, instance *i, venv_instance_state told)
{
    bool up = told == VENV_INSTANCE_RUNNING || told == VENV_INSTANCE_PAUSED, over = venv_instance_is_final(i->state);
    if (venv_id_is_none(i->fence))
        return false;
    if (up && !i->undo && (!over || (i->confirmed && !i->start_sent))) {
        i->fence = none;
        venv_mgr_instance_touch(m, i);
        return false;
    }
    fence_on(m, i);
    return true;
}

/* The machine is not running, says its node; else a refusal leaves open what it does. */
static bool is_down(const venv_value *state)
{
    return venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed");
}

/* Was it ever given out? A node that tells of a later one is wrong, or lies: an order under it would keep the machine from ever coming there. */
static bool is_known_epoch(const instance *i, uint64_t epoch)
{
    return epoch <= i->epoch || epoch <= i->epoch_last;
}

/* A definition, or an older memory, on a node that it has left, or has never come to: it does not run there, and never will. */
static bool is_left_over(const instance *i, const agent *a, const venv_value *machine)
{
    const venv_value *state = venv_value_get(machine, "state");
    bool here = i->node && strcmp(i->node, a->name) == 0, there = i->target && strcmp(i->target, a->name) == 0;
    uint64_t epoch = venv_mgr_get_uint(machine, "epoch");
    return !here && !there && i->node && epoch != i->epoch && is_known_epoch(i, epoch) &&
           (venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed") || venv_value_is_text(state, "saved"));
}

/* Under the epoch that it has there: one that came meanwhile has a later one, and is left alone. */
static void clear_left_over(venv_manager *m, const instance *i, const agent *a, uint64_t epoch)
{
    peer *p = a->peer ? venv_mgr_peer_find(m, a->peer) : NULL;
    venv_map_builder map;
    if (!p)
        return;
    venv_map_init(&map);
    venv_map_put_id(&map, "id", venv_random_id(&m->random)); /* not that of an action: an agent does each id once */
    venv_map_put_id(&map, "machine", i->id);
    venv_map_put(&map, "epoch", venv_value_uint(epoch));
    venv_mgr_sender_send(m, p, VENV_MSG_MACHINE_DESTROY, 0, venv_mgr_take_map(m, &map));
}

static void missing(venv_manager *m, instance *i);

static void reported(venv_manager *m, agent *a, instance *i, const venv_value *machine)
{
    char state_name[32], reason[REASON_MAX];
    venv_instance_state state;
    text_of(machine, "state", state_name, sizeof state_name);
    text_of(machine, "reason", reason, sizeof reason);
    if (i->target && strcmp(i->target, a->name) == 0 && venv_mgr_get_uint(machine, "epoch") == i->target_epoch)
        return; /* on its way; changes.c asks when it has to know */
    if (is_left_over(i, a, machine)) {
        clear_left_over(m, i, a, venv_mgr_get_uint(machine, "epoch"));
        return;
    }
    if ((!i->node || strcmp(i->node, a->name) != 0) && !VENV_SEEDED(LIST_OF_ANOTHER)) {
        a->stray_vcpus += i->vcpus; /* it takes room there, whatever it is */
        a->stray_memory += i->memory;
        alarm_once(m, i, a, "which should be on another node");
        return;
    }
    if (venv_mgr_get_uint(machine, "epoch") < i->epoch && i->crashes > 0 && is_down(venv_value_get(machine, "state"))) {
        if (i->state == VENV_INSTANCE_LOST) /* its node was away meanwhile */
            missing(m, i);
        return; /* what is left of the one that crashed: it is about to be started again */
    }
    if (venv_mgr_get_uint(machine, "epoch") != i->epoch) {
        alarm_once(m, i, a, "under another epoch than it was placed with");
        return;
    }
    bool says = venv_instance_state_parse((venv_str){ state_name, strlen(state_name) }, &state); /* "unknown": the hypervisor does not */
    if (is_being_removed(m, i, says ? state : VENV_INSTANCE_LOST))
        return;
    set_console(m, i, machine);
    if (!says)
        return;
    if (venv_mgr_change_holds(m, i, state))
        return;
    switch (state) {
    case VENV_INSTANCE_SAVED:
        if (i->state != VENV_INSTANCE_SAVED && venv_instance_may_become(i->state, VENV_INSTANCE_SAVED))
            venv_mgr_instance_set(m, i, VENV_INSTANCE_SAVED, "saved on its node");
        if (i->stop_wanted && i->state == VENV_INSTANCE_SAVED)
            venv_mgr_reconcile_up(m, i, VENV_INSTANCE_SAVED);
        break;
    case VENV_INSTANCE_RUNNING:
    case VENV_INSTANCE_PAUSED:
        if (venv_instance_is_final(i->state))
            runs_again(m, i);
        else
            venv_mgr_reconcile_up(m, i, state);
        break;
    case VENV_INSTANCE_STOPPING:
        if (i->state == VENV_INSTANCE_RUNNING || i->state == VENV_INSTANCE_LOST || i->state == VENV_INSTANCE_PAUSED)
            venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPING, "its guest shuts down");
        break;
    case VENV_INSTANCE_STOPPED:
    case VENV_INSTANCE_FAILED:
        has_ended(m, i, state, reason);
        break;
    case VENV_INSTANCE_PREPARING:
        venv_mgr_ready_prepares(m, i);
        break;
    default: /* "starting": the agent works on it */
        break;
    }
}

/* --- machines that we do not know --------------------------------------------------------------------- */

static void adopt(venv_manager *m, agent *a, const venv_value *machine, venv_id id)
{
    char name[VENV_NAME_MAX + 1], environment[VENV_NAME_MAX + 1], state_name[32];
    venv_instance_state state = VENV_INSTANCE_LOST;
    text_of(machine, "state", state_name, sizeof state_name);
    venv_instance_state_parse((venv_str){ state_name, strlen(state_name) }, &state);
    if (!venv_mgr_fits_name(venv_value_get_text(machine, "instance"), name) ||
        !venv_mgr_fits_name(venv_value_get_text(machine, "environment"), environment) ||
        venv_table_count(m->instances) >= INSTANCES_MAX)
        return;
    if (venv_instance_is_final(state))
        return; /* a definition without a guest: nothing to take in */
    if (venv_mgr_instance_named(m, name)) /* taken by another machine: call this one by its id */
        snprintf(name, sizeof name, "adopted-%02x%02x%02x%02x%02x%02x", id.bytes[0], id.bytes[1], id.bytes[2], id.bytes[3],
                 id.bytes[4], id.bytes[5]);
    if (venv_mgr_instance_named(m, name))
        return;
    instance *i = venv_mgr_instance_new(m, id, name, environment);
    if (!i)
        return;
    i->node = venv_mgr_copy_text(m, a->name);
    i->epoch = venv_mgr_get_uint(machine, "epoch");
    i->vcpus = (uint32_t)venv_mgr_get_uint(machine, "vcpus");
    i->memory = venv_mgr_get_uint(machine, "memory");
    i->state = VENV_INSTANCE_LOST;
    i->confirmed = i->adopted = true;
    snprintf(i->by, sizeof i->by, "node/%s", a->name);
    venv_mgr_instance_touch(m, i);
    venv_mgr_event_add(m, "instance-adopted", i->name, none, venv_value_null(),
              "node %s has %s of environment %s, which was not known here: it is taken in", a->name, i->name, environment);
    venv_triggers_note_instances(m->triggers, environment);
    if (i->node)
        reported(m, a, i, machine);
}

/* --- one that its node does not have ------------------------------------------------------------------- */

static void missing(venv_manager *m, instance *i)
{
    if (!venv_id_is_none(i->fence)) {
        fence_on(m, i);
        return;
    }
    if (i->state == VENV_INSTANCE_PENDING || i->state == VENV_INSTANCE_PLACING)
        return;
    if (venv_mgr_change_missing(m, i))
        return;
    /* One that was told to start in this session may be missing in a list from before: the answers to its start and its stop come. */
    if (i->stop_wanted && (i->confirmed || !i->start_sent)) {
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPED, "as asked");
        venv_mgr_instance_end_deeds(m, i);
        venv_mgr_instance_call_off(m, i);
        return;
    }
    if (i->booted && i->state == VENV_INSTANCE_STARTING) {
        has_ended(m, i, VENV_INSTANCE_FAILED, "");
        return;
    }
    if (i->confirmed) {
        venv_mgr_instance_set(m, i, VENV_INSTANCE_FAILED, "it ran, and its node no longer has it");
        venv_mgr_instance_end_deeds(m, i);
        venv_mgr_instance_call_off(m, i);
        return;
    }
    if (i->start_sent || venv_id_is_none(i->start))
        return; /* told in this session: the answer comes */
    seen_starting(m, i);
}

/* --- the list ---------------------------------------------------------------------------------------- */

static void take_node(venv_manager *m, agent *a, const venv_value *body)
{
    const venv_value *node = venv_value_get(body, "node"), *foreign = venv_value_get(body, "foreign");
    if (node && venv_value_kind(node) == VENV_MAP) {
        venv_value copy = venv_value_null();
        if (venv_value_dup(node, &copy, NULL) != VENV_OK) {
            venv_mgr_no_memory(m);
            return;
        }
        venv_value_unref(&a->node);
        a->node = copy;
    }
    if (foreign && venv_value_kind(foreign) == VENV_MAP) {
        a->foreign_count = (int64_t)venv_mgr_get_uint(foreign, "count");
        a->foreign_vcpus = (uint32_t)venv_mgr_get_uint(foreign, "vcpus");
        a->foreign_memory = venv_mgr_get_uint(foreign, "memory");
    }
}

static const venv_value *find_machine(const venv_value *machines, venv_id id)
{
    for (size_t k = 0; k < venv_value_count(machines); k++) {
        venv_id other;
        if (venv_value_get_id(venv_value_at(machines, k), "id", &other) && venv_id_equal(other, id))
            return venv_value_at(machines, k);
    }
    return NULL;
}

static void take_machines(venv_manager *m, agent *a, const venv_value *machines)
{
    a->stray_vcpus = 0;
    a->stray_memory = 0;
    for (size_t k = 0; k < venv_value_count(machines); k++) {
        const venv_value *machine = venv_value_at(machines, k);
        venv_id id;
        if (!venv_value_get_id(machine, "id", &id) || venv_id_is_none(id))
            continue;
        instance *i = venv_mgr_instance_find(m, id);
        if (i)
            reported(m, a, i, machine);
        else
            adopt(m, a, machine, id);
    }
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        bool open = !venv_instance_is_final(i->state) || !venv_id_is_none(i->fence);
        if (open && i->node && strcmp(i->node, a->name) == 0 && !find_machine(machines, i->id))
            missing(m, i);
    }
}

/* Whether the machines of a node can be seen has changed: their states are known, or not any more. */
static void note_all(venv_manager *m, const agent *a)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (i->node && strcmp(i->node, a->name) == 0 && !venv_instance_is_final(i->state))
            venv_triggers_note_instances(m->triggers, i->environment);
    }
}

void venv_mgr_reconcile_machines(venv_manager *m, agent *a, uint64_t request, const venv_value *body)
{
    bool reachable = venv_value_get_bool(body, "reachable", false);
    if (!a->hypervisor) {
        a->hypervisor = true;
        venv_mgr_agent_touch(m, a);
    }
    if (!reachable) {
        char reason[REASON_MAX], safe[REASON_MAX];
        text_of(body, "reason", reason, sizeof reason);
        venv_mgr_set_reason(safe, reason);
        if (a->reachable || !a->machines_known)
            venv_mgr_event_add(m, "hypervisor-unreachable", a->name, none, venv_value_null(),
                      "the hypervisor of node %s cannot be asked: %s; its machines are left alone", a->name, safe);
        if (!venv_mgr_agent_is_unseen(a)) {
            a->unseen = m->now.mono;
            note_all(m, a);
        }
        free(a->unreachable_reason);
        a->unreachable_reason = venv_mgr_copy_text(m, safe);
        a->reachable = false;
        a->machines_known = true;
        return;
    }
    if (a->machines_known && !a->reachable)
        venv_mgr_event_add(m, "hypervisor-reachable", a->name, none, venv_value_null(), "the hypervisor of node %s answers again", a->name);
    a->reachable = a->machines_known = true;
    if (venv_mgr_agent_is_unseen(a))
        note_all(m, a);
    a->unseen = VENV_INSTANT_NEVER;
    take_node(m, a, body);
    venv_value empty = venv_value_null();
    const venv_value *machines = venv_value_get(body, "machines");
    take_machines(m, a, machines ? machines : &empty);
    venv_mgr_changes_looked(m, a, request, machines ? machines : &empty);
}

/* --- the result of a start or stop --------------------------------------------------------------------- */

static bool is_definite(venv_rc rc)
{
    return rc != VENV_EUNKNOWN && rc != VENV_EUNREACHABLE && rc != VENV_ETIMEDOUT;
}

/* It may run or not. The next list says so, or it is told again. */
static void start_unknown(venv_manager *m, instance *i, const char *error)
{
    i->start_sent = false;
    i->retry = venv_mgr_after(m, (venv_span){ 10 * VENV_NS_PER_S });
    venv_mgr_set_reason(i->reason, error);
    venv_mgr_instance_touch(m, i);
}

/*
 * It was not started now, and an earlier order may have started it: the node may be at work on that one, or on its stop.
 * What was told to stop has ended when its stop is answered.
 */
static void start_refused(venv_manager *m, instance *i, const char *error)
{
    if (!i->stop_wanted) {
        start_unknown(m, i, error);
        return;
    }
    if (i->state == VENV_INSTANCE_STARTING)
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPING, "its start was refused, and it is to stop");
    if (i->state == VENV_INSTANCE_STOPPING && !i->stop_sent)
        venv_mgr_instance_send_stop(m, i);
}

/* `state`: of the machine, as its node knows it. */
static void start_result(venv_manager *m, instance *i, venv_rc rc, const char *error, const venv_value *state)
{
    if (venv_instance_is_final(i->state) || i->confirmed)
        return;
    bool stopping = i->stop_wanted && i->stop_told, open = rc == VENV_ECONFLICT && !is_down(state);
    if (rc == VENV_OK || (VENV_SEEDED(HANG_IS_SUCCESS) && !is_definite(rc))) {
        venv_mgr_reconcile_up(m, i, VENV_INSTANCE_RUNNING);
    } else if (is_definite(rc) && (stopping || open)) {
        start_refused(m, i, error);
    } else if (is_definite(rc) || VENV_SEEDED(UNKNOWN_IS_FAILURE)) {
        venv_mgr_start_failed(m, i, rc, error);
        if (!venv_mgr_crashed(m, i, error))
            venv_mgr_instance_fence(m, i, error);
    } else {
        start_unknown(m, i, error);
    }
}

static void stop_result(venv_manager *m, instance *i, venv_rc rc, const char *error)
{
    if (venv_instance_is_final(i->state))
        return;
    if (rc == VENV_OK) {
        if (i->state == VENV_INSTANCE_DRAINING || i->state == VENV_INSTANCE_STARTING || i->state == VENV_INSTANCE_LOST ||
            i->state == VENV_INSTANCE_STOPPING || i->state == VENV_INSTANCE_RUNNING || i->state == VENV_INSTANCE_PAUSED)
            venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPED, "as asked");
        venv_mgr_instance_end_deeds(m, i);
    } else if (is_definite(rc)) {
        deed *d = venv_mgr_deed_find(m, i->stop);
        i->stop_wanted = i->force = i->stop_sent = false;
        if (d)
            venv_mgr_deed_end(m, d, rc, error);
        if (i->state == VENV_INSTANCE_STOPPING) /* one that nobody saw running may not have been started yet: its node will say */
            venv_mgr_instance_set(m, i, i->confirmed ? VENV_INSTANCE_RUNNING : VENV_INSTANCE_LOST, error);
        venv_mgr_instance_touch(m, i);
    } else {
        i->stop_sent = false;
        i->retry = venv_mgr_after(m, (venv_span){ 10 * VENV_NS_PER_S });
    }
}

/* The node was to remove what is left of a start, unless it runs after all: then that is what was wanted. */
static void fence_result(venv_manager *m, instance *i, venv_rc rc, const venv_value *state)
{
    bool paused = state && venv_value_is_text(state, "paused"), up = paused || (state && venv_value_is_text(state, "running"));
    if (rc != VENV_ECONFLICT || !up || venv_instance_is_final(i->state)) {
        venv_mgr_instance_fenced(m, i, rc);
        return;
    }
    i->fence = none;
    venv_mgr_instance_touch(m, i);
    venv_mgr_reconcile_up(m, i, paused ? VENV_INSTANCE_PAUSED : VENV_INSTANCE_RUNNING);
}

void venv_mgr_reconcile_result(venv_manager *m, agent *a, const venv_value *body)
{
    venv_id id, machine;
    char error[REASON_MAX];
    if (!venv_value_get_id(body, "id", &id) || !venv_value_get_id(body, "machine", &machine))
        return;
    instance *i = venv_mgr_instance_find(m, machine);
    if (!i || !i->node || (strcmp(i->node, a->name) != 0 && !VENV_SEEDED(WORD_OF_ANOTHER)))
        return; /* not a machine of this node: no word of it counts */
    venv_rc rc = venv_mgr_rc_parse(venv_value_get_text(body, "rc"));
    text_of(body, "error", error, sizeof error);
    if (rc != VENV_OK && error[0] == '\0')
        snprintf(error, sizeof error, "%s", venv_rc_name(rc));
    if (venv_mgr_change_result(m, i, id, rc, error))
        return;
    if (venv_mgr_ready_probed(m, i, id, rc, error))
        return;
    if (venv_id_equal(id, i->stop) && i->stop_wanted)
        stop_result(m, i, rc, error);
    else if (!venv_id_is_none(i->fence) && venv_id_equal(id, i->fence))
        fence_result(m, i, rc, venv_value_get(body, "state"));
    else if (venv_id_equal(id, i->start) && venv_id_is_none(i->fence))
        start_result(m, i, rc, error, venv_value_get(body, "state"));
}

/* The machines of this node could not be seen for so long that we cannot say what they do. */
void venv_mgr_reconcile_lost(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (!i->node || !venv_instance_may_become(i->state, VENV_INSTANCE_LOST) ||
            i->state == VENV_INSTANCE_MIGRATING) /* it may be elsewhere: known when both nodes can be asked */
            continue;
        const agent *a = venv_mgr_agent_find(m, i->node);
        if (a && venv_mgr_agent_is_unseen(a) && m->now.mono.ns - a->unseen.ns >= m->config->lost.ns)
            venv_mgr_instance_set(m, i, VENV_INSTANCE_LOST, a->peer ? "the hypervisor of its node cannot be asked" : "its node is not connected");
    }
}
