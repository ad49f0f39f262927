/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of instances that stay ones: pause, resume, save, restore, migrate. One at a time for an instance, an action (`deed`) with a
 * time-out that is final; the row says what is being done, and where to, before its node is told.
 *
 *      running ──save──► saving ──► saved ──restore──► restoring ──► running
 *      running ──migrate──► migrating ──the source says done──► running on the target, under the new epoch
 *                               │ the source says no          ──► running on the source, as before
 *                               └ nobody knows: both nodes are asked for a fresh list
 *                                    source has it ──► as before        target has it ──► moved
 *                                    neither       ──► failed, told     both          ──► told; nothing is done
 *
 * A change is told again under its id when its node comes back while it is under way: nodes do each id once.
 */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN ((venv_span){ 10 * VENV_NS_PER_S })
#define ANSWER_MARGIN ((venv_span){ 60 * VENV_NS_PER_S }) /* for the end of what has a limit of its own */
#define OPTION_SPAN_MAX (24 * 3600 * VENV_NS_PER_S)
#define REBOOT_GRACE ((venv_span){ 60 * VENV_NS_PER_S }) /* if nothing is said */

#define BIT(state) (1u << VENV_INSTANCE_##state)

typedef struct change_row {
    const char *name, *done;
    int16_t type;
    uint32_t from;              /* states in which it can be asked for */
    venv_instance_state during; /* RUNNING: the state stays */
    venv_instance_state after, back;
    bool is_long;
} change_row;

static const change_row rows[CHANGE__COUNT] = {
    [CHANGE_PAUSE] = { "pause", "paused", VENV_MSG_MACHINE_PAUSE, BIT(RUNNING), VENV_INSTANCE_RUNNING, VENV_INSTANCE_PAUSED,
                       VENV_INSTANCE_RUNNING, false },
    [CHANGE_RESUME] = { "resume", "resumed", VENV_MSG_MACHINE_RESUME, BIT(PAUSED), VENV_INSTANCE_RUNNING, VENV_INSTANCE_RUNNING,
                        VENV_INSTANCE_PAUSED, false },
    [CHANGE_SAVE] = { "save", "saved", VENV_MSG_MACHINE_SAVE, BIT(RUNNING) | BIT(PAUSED), VENV_INSTANCE_SAVING, VENV_INSTANCE_SAVED,
                      VENV_INSTANCE_RUNNING, true },
    [CHANGE_RESTORE] = { "restore", "restored", VENV_MSG_MACHINE_RESTORE, BIT(SAVED), VENV_INSTANCE_RESTORING, VENV_INSTANCE_RUNNING,
                         VENV_INSTANCE_SAVED, true },
    [CHANGE_MIGRATE] = { "migrate", "migrated", VENV_MSG_MACHINE_MIGRATE, BIT(RUNNING), VENV_INSTANCE_MIGRATING, VENV_INSTANCE_RUNNING,
                         VENV_INSTANCE_RUNNING, true },
    [CHANGE_REBOOT] = { "reboot", "rebooted", VENV_MSG_MACHINE_REBOOT, BIT(RUNNING), VENV_INSTANCE_RUNNING, VENV_INSTANCE_RUNNING,
                        VENV_INSTANCE_RUNNING, false },
    [CHANGE_CHECKPOINT] = { "checkpoint", "checkpointed", VENV_MSG_MACHINE_CHECKPOINT, BIT(RUNNING), VENV_INSTANCE_RUNNING,
                            VENV_INSTANCE_RUNNING, VENV_INSTANCE_RUNNING, true },
    [CHANGE_REVERT] = { "revert", "taken back to its checkpoint", VENV_MSG_MACHINE_CHECKPOINT, BIT(RUNNING) | BIT(PAUSED),
                        VENV_INSTANCE_RUNNING, VENV_INSTANCE_RUNNING, VENV_INSTANCE_RUNNING, true },
};

static const venv_id none = { { 0 } };

change_kind venv_mgr_change_parse(venv_str name)
{
    for (int kind = CHANGE_NONE + 1; kind < CHANGE__COUNT; kind++)
        if (strlen(rows[kind].name) == name.size && memcmp(rows[kind].name, name.data, name.size) == 0)
            return (change_kind)kind;
    return CHANGE_NONE;
}

const char *venv_mgr_change_name(change_kind kind)
{
    return kind == CHANGE_NONE ? "" : rows[kind].name;
}

static agent *node_of(venv_manager *m, const char *name)
{
    return name ? venv_mgr_agent_find(m, name) : NULL;
}

static bool is_state(const instance *i, uint32_t set)
{
    return (set & (1u << i->state)) != 0;
}

/* It is not under way any more; its deed has been, or is being, ended. */
static void forget(venv_manager *m, instance *i)
{
    i->change = none;
    i->change_kind = CHANGE_NONE;
    i->change_sent = i->change_told = i->change_again = false;
    venv_value_unref(&i->change_options);
    venv_value_unref(&i->progress);
    i->change_options = i->progress = venv_value_null();
    venv_mgr_instance_touch(m, i);
}

/* It is on its way to another node: as it runs, or its memory before it goes on there. */
static bool is_moving(const instance *i)
{
    return i->target && (i->change_kind == CHANGE_MIGRATE || i->change_kind == CHANGE_RESTORE);
}

static void forget_target(venv_manager *m, instance *i)
{
    venv_mgr_place_stale(m);
    free(i->target);
    i->target = NULL;
    i->source_has = i->target_has = HAS_UNKNOWN;
    venv_mgr_instance_touch(m, i);
}

/* --- telling the node -------------------------------------------------------------------------------- */

/* What was asked for beside the verb, for the node. */
static void put_options(const instance *i, venv_map_builder *map)
{
    static const char *const keys[] = { "grace", "limit", "bandwidth", "copy_disks", "auto_converge" };
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const venv_value *value = venv_value_get(&i->change_options, keys[k]);
        if (value)
            venv_map_put(map, keys[k], venv_value_ref(value));
    }
    if (i->change_kind == CHANGE_REVERT)
        venv_map_put(map, "revert", venv_value_bool(true));
}

static void send_change(venv_manager *m, instance *i)
{
    const agent *a = node_of(m, i->node);
    peer *p = a && a->peer ? venv_mgr_peer_find(m, a->peer) : NULL;
    const deed *d = venv_mgr_deed_find(m, i->change);
    if (!p || !d || i->change_kind == CHANGE_NONE)
        return;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "id", i->change);
    venv_map_put_id(&map, "machine", i->id);
    venv_map_put(&map, "epoch", venv_value_uint(i->epoch));
    int64_t left = d->deadline.ns - m->now.mono.ns;
    if (d->deadline.ns != VENV_INSTANT_NEVER.ns && left > 0)
        venv_map_put(&map, "timeout", venv_value_from_span((venv_span){ left }));
    if (is_moving(i)) {
        venv_map_put_z(&map, "to", i->target);
        venv_map_put(&map, "to_epoch", venv_value_uint(i->target_epoch));
    }
    put_options(i, &map);
    i->change_again = i->change_told;
    i->change_sent = i->change_told = true;
    venv_mgr_sender_send(m, p, is_moving(i) ? VENV_MSG_MACHINE_MIGRATE : rows[i->change_kind].type, 0, venv_mgr_take_map(m, &map));
}

static uint64_t ask_list(venv_manager *m, const char *node)
{
    const agent *a = node_of(m, node);
    peer *p = venv_mgr_agent_can_act(a) ? venv_mgr_peer_find(m, a->peer) : NULL;
    if (!p)
        return 0;
    uint64_t number = venv_mgr_next_number(m);
    venv_map_builder map;
    venv_map_init(&map);
    venv_mgr_sender_send(m, p, VENV_MSG_MACHINE_LIST, number, venv_mgr_take_map(m, &map));
    return number;
}

/* --- a migration whose end nobody has told -------------------------------------------------------------- */

bool venv_mgr_change_is_in_doubt(const instance *i)
{
    return (i->state == VENV_INSTANCE_MIGRATING || i->state == VENV_INSTANCE_RESTORING) && i->change_kind == CHANGE_NONE && i->target;
}

static void look_now(venv_manager *m, instance *i)
{
    i->source_has = i->target_has = HAS_UNKNOWN;
    i->source_look = ask_list(m, i->node);
    i->target_look = ask_list(m, i->target);
    i->retry = venv_mgr_after(m, LOOK_AGAIN);
}

static void await(venv_manager *m, instance *i)
{
    i->target_look = ask_list(m, i->node);
    i->retry = venv_mgr_after(m, LOOK_AGAIN);
}

static void arrived(venv_manager *m, instance *i)
{
    i->arriving = false;
    venv_mgr_instance_touch(m, i);
}

/* A list that was begun after it had come does not have it. */
static void not_there(venv_manager *m, instance *i)
{
    arrived(m, i);
    if (!i->stop_wanted)
        venv_mgr_event_add(m, "instance-gone", i->name, none, venv_value_null(), "%s moved to %s, and is not there any more", i->name, i->node);
    venv_mgr_instance_set(m, i, i->stop_wanted ? VENV_INSTANCE_STOPPED : VENV_INSTANCE_FAILED,
                          i->stop_wanted ? "as asked" : "it moved, and its node does not have it any more");
    venv_mgr_instance_end_deeds(m, i);
}

/*
 * It is on its target; with `state` it is there what it was here. `seen`: its new node has listed it. Else lists of that node that were begun before say
 * nothing: it is asked for another one.
 */
static void move_done(venv_manager *m, instance *i, bool seen, venv_instance_state state, const char *reason)
{
    char *from = i->node;
    venv_mgr_place_stale(m);
    i->node = i->target;
    i->target = NULL;
    i->epoch = i->target_epoch;
    i->alarmed = false;
    i->retry = VENV_INSTANT_NEVER;
    forget_target(m, i);
    venv_mgr_event_add(m, "instance-migrated", i->name, i->change, venv_value_null(), "%s moved from %s to %s, epoch %llu", i->name, from,
                       i->node, (unsigned long long)i->epoch);
    free(from);
    if (i->state != state)
        venv_mgr_instance_set(m, i, state, reason);
    i->arriving = !seen && !VENV_SEEDED(MOVED_AND_MISSED);
    if (i->arriving)
        await(m, i);
}

/*
 * It ran on its target, and has ended there. What the node that it left may still have, paused, is as it was before: it must not run on, and
 * whether it is of use to anybody a person has to say.
 */
static void ended_there(venv_manager *m, instance *i)
{
    char text[REASON_MAX];
    agent *left = i->source_has == HAS_IT ? node_of(m, i->node) : NULL;
    if (left) { /* the copy takes room there, as the node's next list will say */
        left->stray_vcpus += i->vcpus;
        left->stray_memory += i->memory;
    }
    if (i->source_has == HAS_IT)
        venv_mgr_event_add(m, "instance-conflict", i->name, none, venv_value_null(),
                           "%s moved to %s and has ended there; %s still has a copy from before the move, which must not run on: remove it", i->name,
                           i->target, i->node);
    snprintf(text, sizeof text, "it moved from %s, and has ended", i->node);
    move_done(m, i, true, VENV_INSTANCE_RUNNING, "both nodes were asked: it has moved");
    venv_mgr_instance_set(m, i, i->stop_wanted ? VENV_INSTANCE_STOPPED : VENV_INSTANCE_FAILED, text);
    venv_mgr_instance_end_deeds(m, i);
    venv_mgr_instance_call_off(m, i);
}

static void settle(venv_manager *m, instance *i)
{
    if (i->source_has == HAS_UNKNOWN || i->target_has == HAS_UNKNOWN || i->source_has == HAS_MOVING || i->target_has == HAS_MOVING)
        return; /* asked again */
    bool runs = i->state == VENV_INSTANCE_MIGRATING; /* else only its memory moves: the newer epoch has it, what is left of the older is no machine */
    if (runs && i->source_has == HAS_IT && i->target_has == HAS_IT) {
        if (!i->alarmed)
            venv_mgr_event_add(m, "instance-conflict", i->name, none, venv_value_null(),
                               "%s is reported by both %s and %s after a migration; nothing is done: look at it", i->name, i->node, i->target);
        i->alarmed = true;
        return;
    }
    i->retry = VENV_INSTANT_NEVER;
    if (runs && i->target_has == HAS_OVER) {
        ended_there(m, i);
    } else if (i->target_has == HAS_IT) {
        move_done(m, i, true, runs ? VENV_INSTANCE_RUNNING : VENV_INSTANCE_SAVED, "both nodes were asked: it has moved");
    } else if (i->source_has == HAS_IT) {
        forget_target(m, i);
        venv_mgr_instance_set(m, i, runs ? VENV_INSTANCE_RUNNING : VENV_INSTANCE_SAVED, "both nodes were asked: it has not moved");
    } else {
        forget_target(m, i);
        venv_mgr_event_add(m, "instance-gone", i->name, none, venv_value_null(), "%s is on neither node after a migration", i->name);
        venv_mgr_instance_set(m, i, VENV_INSTANCE_FAILED, "it is on neither node after a migration");
        venv_mgr_instance_end_deeds(m, i);
    }
    if (i->stop_wanted && !venv_instance_is_final(i->state))
        venv_mgr_reconcile_up(m, i, i->state);
}

static has has_machine(const venv_value *machines, const instance *i, uint64_t epoch)
{
    for (size_t k = 0; k < venv_value_count(machines); k++) {
        const venv_value *item = venv_value_at(machines, k), *state = venv_value_get(item, "state");
        venv_id id;
        if (!venv_value_get_id(item, "id", &id) || !venv_id_equal(id, i->id))
            continue;
        if (venv_value_is_text(state, "migrating") || venv_value_is_text(state, "restoring"))
            return HAS_MOVING;
        uint64_t there = (uint64_t)venv_value_get_int(item, "epoch", 0);
        if (i->state == VENV_INSTANCE_RESTORING && venv_value_is_text(state, "saved"))
            return there == epoch ? HAS_IT : HAS_NOT;
        bool up = venv_value_is_text(state, "running") || venv_value_is_text(state, "paused") || venv_value_is_text(state, "stopping");
        bool over = venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed");
        if (over && there == epoch)
            return HAS_OVER;
        return up && there == epoch ? HAS_IT : HAS_NOT;
    }
    return HAS_NOT;
}

/* A list that a node gave because it was asked: what it says is newer than the question. */
void venv_mgr_changes_looked(venv_manager *m, const agent *a, uint64_t request, const venv_value *machines)
{
    size_t cursor = 0;
    void *item;
    while (request != 0 && venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (i->arriving && i->target_look == request && strcmp(i->node, a->name) == 0 && has_machine(machines, i, i->epoch) == HAS_NOT)
            not_there(m, i);
        if (!venv_mgr_change_is_in_doubt(i))
            continue;
        if (i->source_look == request && strcmp(i->node, a->name) == 0)
            i->source_has = has_machine(machines, i, i->epoch);
        else if (i->target_look == request && strcmp(i->target, a->name) == 0)
            i->target_has = has_machine(machines, i, i->target_epoch);
        else
            continue;
        settle(m, i);
    }
}

void venv_mgr_changes_retry(venv_manager *m, instance *i)
{
    if (venv_mgr_change_is_in_doubt(i))
        look_now(m, i);
    else if (i->arriving)
        await(m, i);
}

/* --- the end of a change -------------------------------------------------------------------------------- */

static void into_doubt(venv_manager *m, instance *i)
{
    forget(m, i);
    if (venv_mgr_change_is_in_doubt(i))
        look_now(m, i);
    else
        (void)ask_list(m, i->node); /* its list says what it is now */
}

/* False: that was the first half. Its memory is on the node where it is to go on, which is told that now. */
static bool succeeded(venv_manager *m, instance *i, const change_row *row)
{
    if (i->change_kind == CHANGE_RESTORE && i->target && !i->stop_wanted) {
        move_done(m, i, false, VENV_INSTANCE_RESTORING, "");
        i->change_sent = i->change_told = i->change_again = false;
        send_change(m, i);
        return false;
    }
    if (is_moving(i))
        move_done(m, i, false, i->change_kind == CHANGE_MIGRATE ? VENV_INSTANCE_RUNNING : VENV_INSTANCE_SAVED, "");
    else if (i->state != row->after)
        venv_mgr_instance_set(m, i, row->after, "as asked");
    forget(m, i);
    return true;
}

static void failed(venv_manager *m, instance *i, const change_row *row, const char *error)
{
    if (i->state == row->during && row->during != VENV_INSTANCE_RUNNING)
        venv_mgr_instance_set(m, i, row->back, error);
    if (is_moving(i))
        forget_target(m, i);
    forget(m, i);
}

/* True: it was the result of a change. */
bool venv_mgr_change_result(venv_manager *m, instance *i, venv_id id, venv_rc rc, const char *error)
{
    deed *d = venv_mgr_deed_find(m, id);
    if (venv_id_is_none(i->change) || !venv_id_equal(i->change, id)) {
        if (d && d->state == DEED_UNKNOWN && venv_mgr_change_parse((venv_str){ d->kind, strlen(d->kind) }) != CHANGE_NONE) {
            venv_mgr_deed_late(m, d, rc, error);
            return true;
        }
        return false;
    }
    const change_row *row = &rows[i->change_kind];
    char text[2 * REASON_MAX];
    if (i->change_again && !VENV_SEEDED(TOLD_TWICE_FAILED) && rc != VENV_OK && rc != VENV_ETIMEDOUT) { /* an agent that was restarted has forgotten what came of it */
        snprintf(text, sizeof text, "its node was told twice, and may have done it the first time: %s", error);
        rc = VENV_EUNKNOWN;
        error = text;
    }
    bool unknown = rc == VENV_EUNKNOWN || rc == VENV_ETIMEDOUT;
    if (unknown && i->change_kind == CHANGE_MIGRATE && VENV_SEEDED(MOVE_UNKNOWN_FAILED)) {
        unknown = false;
        rc = VENV_EIO;
    }
    if (unknown)
        into_doubt(m, i);
    else if (rc != VENV_OK)
        failed(m, i, row, error);
    else if (!succeeded(m, i, row))
        return true;
    if (d)
        venv_mgr_deed_end(m, d, rc, error);
    if (i->stop_wanted && !unknown && !venv_instance_is_final(i->state))
        venv_mgr_reconcile_up(m, i, i->state);
    return true;
}

/* Its action has ended by its time: that is final, and the instance is looked at. */
void venv_mgr_change_timed_out(venv_manager *m, const deed *d)
{
    size_t cursor = 0;
    void *item;
    if (venv_mgr_change_parse((venv_str){ d->kind, strlen(d->kind) }) == CHANGE_NONE)
        return;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (venv_id_equal(i->change, d->id))
            into_doubt(m, i);
    }
}

/* The instance has ended: so has what was being done to it. */
void venv_mgr_change_over(venv_manager *m, instance *i)
{
    deed *d = venv_mgr_deed_find(m, i->change);
    bool told = i->change_told; /* then it may have been done before the end */
    if (i->change_kind == CHANGE_NONE)
        return;
    forget(m, i);
    if (d)
        venv_mgr_deed_end(m, d, told ? VENV_EUNKNOWN : i->state == VENV_INSTANCE_FAILED ? VENV_EIO : VENV_ECANCELED, i->reason);
}

/* The node that it leaves was away, and it does not run there any more: nobody will tell whether it has moved. */
static void look_for_moved(venv_manager *m, instance *i)
{
    deed *d = venv_mgr_deed_find(m, i->change);
    if (i->change_sent)
        return; /* in this session: the answer comes */
    into_doubt(m, i);
    if (d)
        venv_mgr_deed_end(m, d, VENV_EUNKNOWN, "its node was away, and does not have it any more: both nodes are asked");
}

/*
 * Its node tells of it while a change is under way, or in doubt. True: that says nothing new. A node that was away is told again what
 * was asked of it.
 */
bool venv_mgr_change_holds(venv_manager *m, instance *i, venv_instance_state told)
{
    if (venv_mgr_change_is_in_doubt(i))
        return true;
    if (i->arriving && told != VENV_INSTANCE_MIGRATING)
        arrived(m, i);
    if (is_moving(i) && venv_instance_is_final(told)) {
        look_for_moved(m, i);
        return true;
    }
    if (i->change_kind == CHANGE_NONE || venv_instance_is_final(told))
        return false;
    if (!i->change_sent)
        send_change(m, i);
    return i->change_kind == CHANGE_SAVE || i->change_kind == CHANGE_RESTORE || i->change_kind == CHANGE_MIGRATE;
}

/* Its node does not have it. True: it may be elsewhere. */
bool venv_mgr_change_missing(venv_manager *m, instance *i)
{
    if (!is_moving(i))
        return i->arriving || venv_mgr_change_is_in_doubt(i);
    look_for_moved(m, i);
    return true;
}

/* --- asking for one ------------------------------------------------------------------------------------- */

static venv_rc check_one(venv_manager *m, const instance *i, change_kind kind, venv_error *err)
{
    const change_row *row = &rows[kind];
    if (i->stop_wanted)
        return venv_error_set(err, VENV_ECONFLICT, "%s is to be stopped: it cannot be %s", i->name, row->done);
    if (i->change_kind != CHANGE_NONE)
        return venv_error_set(err, VENV_ECONFLICT, "%s: a %s of it is under way", i->name, rows[i->change_kind].name);
    if (!is_state(i, row->from))
        return venv_error_set(err, VENV_ECONFLICT, "%s is %s: it cannot be %s", i->name, venv_instance_state_name(i->state), row->done);
    if (!venv_mgr_agent_can_act(node_of(m, i->node)))
        return venv_error_set(err, VENV_EUNREACHABLE, "node %s of %s cannot be asked now", i->node ? i->node : "?", i->name);
    return VENV_OK;
}

/* Its own limit, and time to say how it ended. */
static venv_span timeout_of(const venv_manager *m, const instance *i, const change_row *row)
{
    venv_span fallback = row->is_long ? m->config->move_timeout : m->config->action_timeout, own = { 0 };
    const venv_value *limit = venv_value_get(&i->change_options, "limit"), *grace = venv_value_get(&i->change_options, "grace");
    if ((limit && venv_value_to_span(limit, &own)) || (grace && venv_value_to_span(grace, &own)))
        own.ns += ANSWER_MARGIN.ns;
    return (limit && own.ns > ANSWER_MARGIN.ns) || own.ns > fallback.ns ? own : fallback;
}

static void begin_checked(venv_manager *m, instance *i, change_kind kind, deed *d, const char *target)
{
    const change_row *row = &rows[kind];
    forget_target(m, i);
    if (target[0]) {
        i->target = venv_mgr_copy_text(m, target);
        i->epoch_last = i->epoch_last > i->epoch ? i->epoch_last : i->epoch;
        i->target_epoch = ++i->epoch_last; /* never used before, whatever becomes of it */
    }
    i->change = d->id;
    i->change_kind = kind;
    venv_mgr_deed_run(m, d, timeout_of(m, i, row));
    if (kind == CHANGE_RESTORE)
        venv_mgr_place_stale(m); /* it takes room again */
    if (row->during != VENV_INSTANCE_RUNNING) {
        char reason[REASON_MAX];
        snprintf(reason, sizeof reason, i->target ? "it moves to %s" : "as asked", i->target ? i->target : "");
        venv_mgr_instance_set(m, i, row->during, reason);
    }
    venv_mgr_instance_touch(m, i);
    send_change(m, i);
}

/* Whether it can be begun; `ret_target`: where a migration goes, else empty. */
static venv_rc find_room(venv_manager *m, instance *i, change_kind kind, const char *node, char ret_target[VENV_NAME_MAX + 1], venv_error *err)
{
    venv_rc rc = check_one(m, i, kind, err);
    ret_target[0] = '\0';
    bool elsewhere = kind == CHANGE_RESTORE && node && i->node && strcmp(node, i->node) != 0;
    if (rc == VENV_OK && (kind == CHANGE_MIGRATE || elsewhere))
        return venv_mgr_place_target(m, i, node, ret_target, err);
    return rc == VENV_OK && kind == CHANGE_RESTORE && !VENV_SEEDED(RESTORE_WITHOUT_ROOM) ? venv_mgr_place_room(m, i, err) : rc;
}

static venv_rc begin(venv_manager *m, instance *i, change_kind kind, deed *d, const char *node, const venv_value *options, venv_error *err)
{
    char target[VENV_NAME_MAX + 1];
    venv_rc rc = find_room(m, i, kind, node, target, err);
    if (rc == VENV_OK) {
        i->change_options = venv_value_ref(options);
        begin_checked(m, i, kind, d, target);
    }
    return rc;
}

/* What is said about how, checked: a map for the row and the node; null if nothing is said. */
static venv_rc read_options(venv_manager *m, change_kind kind, const venv_value *arguments, venv_value *ret_options, venv_error *err)
{
    static const char *const spans[] = { "grace", "limit" }, *const flags[] = { "copy_disks", "auto_converge" };
    venv_map_builder map;
    venv_rc rc = VENV_OK;
    venv_map_init(&map);
    for (size_t k = 0; k < 2; k++) {
        const venv_value *span = venv_value_get(arguments, spans[k]), *flag = venv_value_get(arguments, flags[k]);
        venv_span time;
        if (span && (!venv_value_to_span(span, &time) || time.ns < 0 || time.ns > OPTION_SPAN_MAX))
            rc = venv_error_set(err, VENV_EINVAL, "%s: expected a duration of at most 24h", spans[k]);
        else if (span)
            venv_map_put(&map, spans[k], venv_value_ref(span));
        else if (k == 0 && kind == CHANGE_REBOOT)
            venv_map_put(&map, spans[k], venv_value_from_span(REBOOT_GRACE));
        if (flag && venv_value_kind(flag) != VENV_BOOL)
            rc = venv_error_set(err, VENV_EINVAL, "%s: expected true or false", flags[k]);
        else if (flag)
            venv_map_put(&map, flags[k], venv_value_ref(flag));
    }
    if (venv_value_get(arguments, "bandwidth")) {
        int64_t bandwidth = (int64_t)(venv_mgr_get_uint(arguments, "bandwidth") & INT64_MAX);
        if (bandwidth <= 0)
            rc = venv_error_set(err, VENV_EINVAL, "bandwidth: expected bytes a second");
        venv_map_put(&map, "bandwidth", venv_value_int(bandwidth));
    }
    if (rc != VENV_OK) {
        venv_map_fini(&map);
        return rc;
    }
    *ret_options = venv_mgr_take_map(m, &map);
    return VENV_OK;
}

venv_rc venv_mgr_change_begin(venv_manager *m, instance *i, change_kind kind, venv_id parent, const char *by, const char *node, venv_error *err)
{
    char target[VENV_NAME_MAX + 1];
    venv_rc rc = find_room(m, i, kind, node, target, err); /* first: an action that cannot begin is not made again and again */
    deed *child = rc == VENV_OK ? venv_mgr_deed_new(m, venv_random_id(&m->random), parent, rows[kind].name, i->name, by) : NULL;
    if (rc == VENV_OK && !child)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK)
        begin_checked(m, i, kind, child, target);
    return rc;
}

static int by_age(const void *a, const void *b)
{
    const instance *x = *(instance *const *)a, *y = *(instance *const *)b;
    if (x->made.ns != y->made.ns)
        return x->made.ns > y->made.ns ? -1 : 1;
    return strcmp(y->name, x->name);
}

/* A named one, whatever its state; or those of an environment that can be, the youngest first. */
venv_rc venv_mgr_change_select(venv_manager *m, change_kind kind, const venv_value *arguments, instance ***ret_items, size_t *ret_count,
                               venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    venv_str one = venv_value_get_text(arguments, "instance"), all = venv_value_get_text(arguments, "environment");
    int64_t count = venv_value_get_int(arguments, "count", -1);
    instance **items = calloc(venv_table_count(m->instances) + 1, sizeof *items);
    if (!items)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    size_t found = 0, cursor = 0;
    void *item;
    venv_rc rc = VENV_OK;
    if (count < -1 || count > (int64_t)INSTANCES_MAX) {
        rc = venv_error_set(err, VENV_ERANGE, "count: expected 0 to %u", INSTANCES_MAX);
    } else if (venv_value_get(arguments, "instance")) { /* also if it is empty */
        instance *i = venv_mgr_fits_name(one, name) ? venv_mgr_instance_named(m, name) : NULL;
        if (i)
            items[found++] = i;
        else
            rc = venv_error_set(err, VENV_ENOENT, "no instance is called '%.*s'", (int)(one.size < 64 ? one.size : 64), one.data ? one.data : "");
    } else if (!venv_mgr_fits_name(all, name) || !venv_mgr_environment_find(m, name)) {
        rc = all.size == 0 ? venv_error_set(err, VENV_EINVAL, "name an instance or an environment")
                           : venv_error_set(err, VENV_ENOENT, "no environment is called '%.*s'", (int)(all.size < 64 ? all.size : 64), all.data);
    } else {
        while (venv_table_next(m->instances, &cursor, NULL, &item)) {
            instance *i = item;
            if (strcmp(i->environment, name) == 0 && check_one(m, i, kind, NULL) == VENV_OK)
                items[found++] = i;
        }
        qsort(items, found, sizeof *items, by_age);
        found = count >= 0 && (size_t)count < found ? (size_t)count : found;
    }
    if (rc != VENV_OK) {
        free(items);
        return rc;
    }
    *ret_items = items;
    *ret_count = found;
    return VENV_OK;
}

venv_rc venv_mgr_verb_change(venv_manager *m, deed *d, change_kind kind, const venv_value *arguments, venv_error *err)
{
    char node[VENV_NAME_MAX + 1] = "";
    instance **items = NULL;
    size_t count = 0;
    venv_str asked = venv_value_get_text(arguments, "node");
    bool moves = kind == CHANGE_MIGRATE || kind == CHANGE_RESTORE;
    venv_value options = venv_value_null();
    if (venv_value_get(arguments, "node") && (!moves || !venv_mgr_fits_name(asked, node) || !venv_mgr_agent_find(m, node)))
        return !moves ? venv_error_set(err, VENV_EUNSUPPORTED, "only migrate and restore go to a node: a %s is where the instance is",
                                       rows[kind].name)
                      : venv_error_set(err, VENV_ENOENT, "no agent is called '%.*s'", (int)(asked.size < 64 ? asked.size : 64), asked.data ? asked.data : "");
    venv_rc rc = read_options(m, kind, arguments, &options, err);
    if (rc == VENV_OK)
        rc = venv_mgr_change_select(m, kind, arguments, &items, &count, err);
    bool named = venv_value_get(arguments, "instance") != NULL;
    if (rc == VENV_OK && named)
        rc = check_one(m, items[0], kind, err);
    if (rc != VENV_OK) {
        venv_value_unref(&options);
        free(items);
        return rc;
    }
    venv_mgr_deed_children_begin(m, d);
    for (size_t n = 0; n < count && m->rc == VENV_OK; n++) {
        venv_error why = { 0 };
        deed *child = venv_mgr_deed_new(m, venv_random_id(&m->random), d->id, rows[kind].name, items[n]->name, d->by);
        if (!child)
            break;
        rc = begin(m, items[n], kind, child, node[0] ? node : NULL, &options, &why);
        if (rc != VENV_OK)
            venv_mgr_deed_end(m, child, rc, why.text);
    }
    venv_mgr_deed_children_made(m, d);
    venv_value_unref(&options);
    free(items);
    return VENV_OK;
}

/* --- how far, and no further ---------------------------------------------------------------------------- */

void venv_mgr_change_progress(venv_manager *m, const agent *a, const venv_value *body)
{
    static const char *const keys[] = { "elapsed", "total", "done", "left", "rate", "dirty", "round" };
    venv_id id;
    instance *i = venv_value_get_id(body, "machine", &id) ? venv_mgr_instance_find(m, id) : NULL;
    if (!i || !is_moving(i) || !i->node || strcmp(i->node, a->name) != 0 || venv_mgr_get_uint(body, "epoch") != i->epoch)
        return;
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const venv_value *value = venv_value_get(body, keys[k]);
        int kind = value ? (int)venv_value_kind(value) : VENV_NULL;
        if (kind == VENV_UINT || kind == VENV_INT || kind == VENV_DURATION)
            venv_map_put(&map, keys[k], venv_value_ref(value));
    }
    venv_value_unref(&i->progress);
    i->progress = venv_mgr_take_map(m, &map);
}

/* End what is under way with an instance, if that can still be ended: its own action says how it ended. */
venv_rc venv_mgr_change_cancel(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    instance *i = venv_mgr_fits_name(venv_value_get_text(arguments, "instance"), name) ? venv_mgr_instance_named(m, name) : NULL;
    if (!i)
        return venv_error_set(err, VENV_ENOENT, "no such instance");
    const agent *a = node_of(m, i->node);
    peer *p = venv_mgr_agent_can_act(a) ? venv_mgr_peer_find(m, a->peer) : NULL;
    if (i->change_kind != CHANGE_MIGRATE && i->change_kind != CHANGE_SAVE)
        return venv_error_set(err, VENV_ECONFLICT, "%s is %s: no migration or save of it is under way", i->name, venv_instance_state_name(i->state));
    if (!p)
        return venv_error_set(err, VENV_EUNREACHABLE, "node %s of %s cannot be asked now", i->node, i->name);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "machine", i->id);
    venv_map_put(&map, "epoch", venv_value_uint(i->epoch));
    venv_mgr_sender_send(m, p, VENV_MSG_MACHINE_CANCEL, 0, venv_mgr_take_map(m, &map));
    venv_mgr_deed_end(m, d, VENV_OK, "");
    return VENV_OK;
}
