/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances: one virtual machine each, from "asked for" to "over". Its row is written before its node is
 * told anything; the frame to the node waits for the write. So after a crash there is at most a row without
 * a machine, never a machine without a row.
 *
 * A machine is told to start on a node under one id and one epoch: telling twice does it once. It is started on a
 * second node only after the first has said that it could not, and then that nothing of it is left there: what was
 * told to the first node cannot take effect any more, since an agent starts nothing in an epoch in which it was destroyed.
 * For the same reason one that is over without its node having stopped it is called off there, until the node has answered.
 * One that hangs is treated so, too, if its node can be seen: it is not running when its time is over, and what may still become of
 * it there is removed before it is started elsewhere.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY       ((venv_span){ 10 * VENV_NS_PER_S })
#define PLACE_AGAIN ((venv_span){ VENV_NS_PER_S })

instance *venv_mgr_instance_find(venv_manager *m, venv_id id)
{
    return venv_table_find(m->instances, id.bytes, sizeof id.bytes);
}

instance *venv_mgr_instance_named(venv_manager *m, const char *name)
{
    return venv_table_find(m->names, name, strlen(name));
}

void venv_mgr_instance_free(instance *i)
{
    if (!i)
        return;
    free(i->name);
    free(i->environment);
    free(i->node);
    free(i->console);
    venv_value_unref(&i->change_options);
    venv_value_unref(&i->progress);
    free(i->asked_node);
    free(i->reserved);
    venv_environment_unref(i->from);
    for (size_t k = 0; k < i->tried_count; k++)
        free(i->tried[k]);
    free(i->tried);
    free(i->target);
    venv_value_unref(&i->definition);
    free(i);
}

instance *venv_mgr_instance_new(venv_manager *m, venv_id id, const char *name, const char *environment)
{
    instance *i = calloc(1, sizeof *i);
    if (!i) {
        venv_mgr_no_memory(m);
        return NULL;
    }
    i->id = id;
    i->name = venv_mgr_copy_text(m, name);
    i->environment = venv_mgr_copy_text(m, environment);
    i->made = i->since_wall = m->now.wall;
    i->since = m->now.mono;
    i->hold = VENV_INSTANT_NEVER;
    i->retry = i->give_up = i->drain_end = VENV_INSTANT_NEVER;
    if (!i->name || !i->environment || venv_table_add(m->instances, id.bytes, sizeof id.bytes, i, NULL) != VENV_OK) {
        venv_mgr_instance_free(i);
        venv_mgr_no_memory(m);
        return NULL;
    }
    if (venv_table_add(m->names, i->name, strlen(i->name), i, NULL) != VENV_OK) {
        venv_table_remove(m->instances, id.bytes, sizeof id.bytes);
        venv_mgr_instance_free(i);
        venv_mgr_no_memory(m);
        return NULL;
    }
    return i;
}

void venv_mgr_instance_touch(venv_manager *m, instance *i)
{
    if (i->dirty)
        return;
    if (m->dirty_instance_count == m->dirty_instance_capacity) {
        size_t capacity = m->dirty_instance_capacity ? m->dirty_instance_capacity * 2 : 8;
        instance **grown = realloc(m->dirty_instances, capacity * sizeof *grown);
        if (!grown) {
            venv_mgr_no_memory(m);
            return;
        }
        m->dirty_instances = grown;
        m->dirty_instance_capacity = capacity;
    }
    i->dirty = true;
    m->dirty_instances[m->dirty_instance_count++] = i;
}

/* The one place where a state changes. */
static void set_state(venv_manager *m, instance *i, venv_instance_state state, const char *reason, venv_value detail)
{
    if (i->state == state) {
        venv_value_unref(&detail);
        return;
    }
    if (!venv_instance_may_become(i->state, state)) {
        venv_mgr_effect_log(m, VENV_LOG_ERROR, "instance %s cannot become %s from %s: left as it is", i->name,
                   venv_instance_state_name(state), venv_instance_state_name(i->state));
        venv_value_unref(&detail);
        return;
    }
    venv_instance_state was = i->state;
    if (i->reserved || (venv_instance_holds_resources(was) && !venv_instance_holds_resources(state)))
        venv_mgr_place_stale(m);
    i->state = state;
    i->since = m->now.mono;
    i->since_wall = m->now.wall;
    venv_mgr_set_reason(i->reason, reason);
    if (state == VENV_INSTANCE_STARTING && was != VENV_INSTANCE_LOST)
        i->begun = m->now.mono;
    if (venv_instance_is_final(state)) {
        venv_mgr_ready_reset(i);
        i->undo = false;
        i->hold = VENV_INSTANT_NEVER;
        i->ran = venv_mgr_ran(m);
        i->retry = VENV_INSTANT_NEVER;
        i->fence = (venv_id){ { 0 } };
        venv_mgr_trial_over(m, i);
    }
    venv_mgr_instance_touch(m, i);
    venv_triggers_note_instances(m->triggers, i->environment);
    char kind[48];
    snprintf(kind, sizeof kind, "instance-%s", venv_instance_state_name(state));
    venv_id cause = !venv_id_is_none(i->stop) ? i->stop : i->start;
    venv_mgr_event_add(m, kind, i->name, cause, detail, "%s%s%s: %s → %s%s%s", i->name, i->node ? " on " : "",
              i->node ? i->node : "", venv_instance_state_name(was), venv_instance_state_name(state),
              i->reason[0] ? ": " : "", i->reason);
    i->changed = m->revision;
}

void venv_mgr_instance_set(venv_manager *m, instance *i, venv_instance_state state, const char *reason)
{
    set_state(m, i, state, reason, venv_value_null());
}

/* It has a node. `detail`: why this one, and why no other. */
void venv_mgr_instance_placed(venv_manager *m, instance *i, venv_value detail)
{
    set_state(m, i, VENV_INSTANCE_PLACING, "", detail);
    i->placed = m->revision;
}

/* ENVIRONMENT-N, with an N that was never used before. */
bool venv_mgr_instance_next_name(venv_manager *m, const char *environment, char *name, size_t size)
{
    uint64_t *last = venv_table_find(m->counters, environment, strlen(environment));
    if (!last) {
        last = calloc(1, sizeof *last);
        if (!last || venv_table_add(m->counters, environment, strlen(environment), last, NULL) != VENV_OK) {
            free(last);
            venv_mgr_no_memory(m);
            return false;
        }
    }
    do
        snprintf(name, size, "%.*s-%llu", VENV_NAME_MAX - 20, environment, (unsigned long long)++*last);
    while (venv_mgr_instance_named(m, name));
    char key[VENV_NAME_MAX + 8];
    snprintf(key, sizeof key, "name/%s", environment);
    venv_map_builder map;
    venv_value text = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "last", venv_value_uint(*last));
    if (venv_value_string_z(key, &text, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    venv_mgr_effect_put(m, VENV_ROWS_META, text, venv_mgr_take_map(m, &map));
    return true;
}

/* --- to the node ------------------------------------------------------------------------------------ */

static peer *node_peer(venv_manager *m, const instance *i)
{
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    return a && a->peer ? venv_mgr_peer_find(m, a->peer) : NULL;
}

/* What is left of it is removed, and with it whatever was told and has not been done yet. */
static void send_fence(venv_manager *m, instance *i, peer *p)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "id", i->fence);
    venv_map_put_id(&map, "machine", i->id);
    venv_map_put(&map, "epoch", venv_value_uint(i->epoch));
    if (!venv_instance_is_final(i->state) && !i->undo) /* what is over is not wanted, running or not */
        venv_map_put(&map, "unless_running", venv_value_bool(true));
    i->start_sent = true;
    i->retry = venv_mgr_after(m, m->config->action_timeout);
    venv_mgr_sender_send(m, p, VENV_MSG_MACHINE_DESTROY, 0, venv_mgr_take_map(m, &map));
}

void venv_mgr_instance_send_start(venv_manager *m, instance *i)
{
    peer *p = node_peer(m, i);
    if (!p)
        return; /* when it is back, its list of machines says what to do */
    if (!venv_id_is_none(i->fence)) {
        send_fence(m, i, p);
        return;
    }
    if (!venv_mgr_crash_may_start(m, i))
        return;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "id", i->start);
    venv_map_put_id(&map, "machine", VENV_SEEDED(RETRY_NEW_ID) && i->retry.ns != VENV_INSTANT_NEVER.ns ? venv_random_id(&m->random) : i->id);
    venv_map_put_z(&map, "instance", i->name);
    venv_map_put(&map, "epoch", venv_value_uint(i->epoch));
    venv_map_put_z(&map, "environment", i->environment);
    venv_map_put(&map, "definition", venv_value_ref(&i->definition));
    i->start_sent = true;
    i->retry = venv_mgr_after(m, m->config->action_timeout);
    if (!venv_mgr_sender_send(m, p, VENV_MSG_MACHINE_START, 0, venv_mgr_take_map(m, &map)))
        i->retry = venv_mgr_after(m, RETRY);
    venv_mgr_guard_mark(m, p);
}

void venv_mgr_instance_send_stop(venv_manager *m, instance *i)
{
    peer *p = node_peer(m, i);
    if (!p)
        return;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "id", i->stop);
    venv_map_put_id(&map, "machine", i->id);
    venv_map_put(&map, "epoch", venv_value_uint(i->epoch));
    if (!i->force)
        venv_map_put(&map, "grace", venv_value_from_span(i->grace));
    i->stop_sent = true;
    if (!i->stop_told) {
        i->stop_told = true;
        venv_mgr_instance_touch(m, i);
    }
    i->retry = venv_mgr_after(m, (venv_span){ m->config->action_timeout.ns + i->grace.ns });
    if (!venv_mgr_sender_send(m, p, i->force ? VENV_MSG_MACHINE_DESTROY : VENV_MSG_MACHINE_STOP, 0, venv_mgr_take_map(m, &map)))
        i->retry = venv_mgr_after(m, RETRY);
}

static bool may_try_elsewhere(venv_manager *m, instance *i)
{
    const deed *d = venv_mgr_deed_find(m, i->start);
    return i->state == VENV_INSTANCE_STARTING && i->node && !i->stop_wanted && !i->asked_node && !i->adopted && i->crashes == 0 && d && venv_mgr_deed_is_open(d) &&
           i->tried_count + 1 < m->config->start_nodes && i->tried_count < TRIED_MAX && venv_mgr_place_elsewhere(m, i);
}

/* Its node could not start it, or hangs over it. Where another node may, that is tried: first the node has to say that nothing of it is there. */
bool venv_mgr_instance_try_elsewhere(venv_manager *m, instance *i, const char *error)
{
    if (!may_try_elsewhere(m, i))
        return false;
    char why[REASON_MAX + 128];
    i->fence = venv_random_id(&m->random);
    venv_mgr_set_reason(i->failure, error);
    snprintf(why, sizeof why, "%s could not start it: %.120s; another node is tried", i->node, i->failure);
    venv_mgr_set_reason(i->reason, why);
    venv_mgr_instance_touch(m, i);
    venv_mgr_event_add(m, "instance-retried", i->name, i->start, venv_value_null(), "%s on %s: %s", i->name, i->node, i->reason);
    venv_mgr_instance_send_start(m, i);
    return true;
}

/* Its start has failed, and its node runs it: it has failed when that has ended. */
void venv_mgr_instance_undo(venv_manager *m, instance *i, const char *error)
{
    deed *d = venv_mgr_deed_find(m, i->start);
    i->fence = venv_random_id(&m->random);
    venv_mgr_set_reason(i->failure, error);
    venv_mgr_set_reason(i->reason, error);
    venv_mgr_instance_touch(m, i);
    if (d && venv_mgr_deed_is_open(d))
        venv_mgr_deed_end(m, d, VENV_EIO, error);
    venv_mgr_instance_send_start(m, i);
}

/* Its node could not start it, for good: another one is tried, or it has failed. */
void venv_mgr_instance_fence(venv_manager *m, instance *i, const char *error)
{
    if (venv_mgr_instance_try_elsewhere(m, i, error))
        return;
    venv_mgr_instance_set(m, i, i->stop_wanted ? VENV_INSTANCE_STOPPED : VENV_INSTANCE_FAILED, error);
    venv_mgr_instance_end_deeds(m, i);
    venv_mgr_instance_call_off(m, i);
}

/*
 * It is over, and its node has not been told so, or has not answered: an order of its start may still come into effect
 * there, and something of it may be left. So it is called off: told until the node answers; its row keeps that over restarts,
 * and until then the room of one that was not seen to run stays taken.
 */
void venv_mgr_instance_call_off(venv_manager *m, instance *i)
{
    if (!i->node || i->adopted || !venv_instance_is_final(i->state) || VENV_SEEDED(CALL_OFF_NEVER))
        return;
    if (venv_id_is_none(i->fence)) {
        i->fence = venv_random_id(&m->random); /* not the id of a deed: an agent does each id once */
        i->start_sent = false;
        venv_mgr_instance_touch(m, i);
    }
    if (!i->start_sent)
        venv_mgr_instance_send_start(m, i);
}

static bool add_tried(venv_manager *m, instance *i, char *node)
{
    char **grown = realloc(i->tried, (i->tried_count + 1) * sizeof *grown);
    if (!grown) {
        venv_mgr_no_memory(m);
        return false;
    }
    i->tried = grown;
    i->tried[i->tried_count++] = node;
    return true;
}

/* No start of this epoch comes into effect there any more. */
static bool is_called_off(venv_rc rc)
{
    return rc == VENV_OK || rc == VENV_ECONFLICT || rc == VENV_EUNSUPPORTED || rc == VENV_EINVAL || rc == VENV_EDENIED;
}

/* It could not do it, or does not know. What it knows is bound to the id: it is asked under another one. */
static void fence_again(venv_manager *m, instance *i, bool is_known)
{
    if (is_known) {
        i->fence = venv_random_id(&m->random);
        venv_mgr_instance_touch(m, i);
    }
    i->start_sent = false;
    i->retry = venv_mgr_after(m, RETRY);
}

static void called_off(venv_manager *m, instance *i, venv_rc rc)
{
    if (!is_called_off(rc)) {
        fence_again(m, i, true);
        return;
    }
    venv_mgr_place_stale(m);
    i->fence = (venv_id){ { 0 } };
    i->retry = VENV_INSTANT_NEVER;
    venv_mgr_instance_touch(m, i);
}

/* The node has answered: nothing of it is left there (VENV_OK), or it cannot say so. */
void venv_mgr_instance_fenced(venv_manager *m, instance *i, venv_rc rc)
{
    if (rc == VENV_EUNKNOWN || rc == VENV_EUNREACHABLE || rc == VENV_ETIMEDOUT) {
        fence_again(m, i, false);
        return;
    }
    if (venv_instance_is_final(i->state)) {
        called_off(m, i, rc);
        return;
    }
    if (i->undo && !is_called_off(rc)) {
        fence_again(m, i, true);
        return;
    }
    const deed *d = venv_mgr_deed_find(m, i->start);
    bool wanted = d && venv_mgr_deed_is_open(d); /* else its time was over while the node removed it: it is not started after that */
    if (rc != VENV_OK || i->stop_wanted || i->state != VENV_INSTANCE_STARTING || !wanted) {
        venv_mgr_instance_set(m, i, i->stop_wanted ? VENV_INSTANCE_STOPPED : VENV_INSTANCE_FAILED, i->failure);
        venv_mgr_instance_end_deeds(m, i);
        if (!is_called_off(rc))
            venv_mgr_instance_call_off(m, i);
        return;
    }
    char why[REASON_MAX];
    snprintf(why, sizeof why, "%s", i->reason);
    if (!add_tried(m, i, i->node))
        return;
    venv_mgr_place_stale(m);
    venv_mgr_ready_reset(i);
    i->undo = false;
    i->node = NULL;
    i->fence = (venv_id){ { 0 } };
    i->start_sent = i->confirmed = false;
    i->retry = VENV_INSTANT_NEVER;
    venv_mgr_instance_set(m, i, VENV_INSTANCE_PENDING, why);
    venv_mgr_place_instance(m, i);
}

/* The deeds that asked for it have an end when the instance has. */
void venv_mgr_instance_end_deeds(venv_manager *m, instance *i)
{
    deed *start = venv_mgr_deed_find(m, i->start), *stop = venv_mgr_deed_find(m, i->stop);
    bool up = i->state == VENV_INSTANCE_RUNNING || i->state == VENV_INSTANCE_PAUSED;
    bool final = venv_instance_is_final(i->state);
    if (start && venv_mgr_deed_is_open(start)) {
        if (up || i->confirmed)
            venv_mgr_deed_end(m, start, VENV_OK, "");
        else if (i->state == VENV_INSTANCE_FAILED)
            venv_mgr_deed_end(m, start, VENV_EIO, i->reason);
        else if (final)
            venv_mgr_deed_end(m, start, VENV_ECANCELED, i->reason);
    }
    if (final) {
        venv_mgr_drain_over(m, i, VENV_ECANCELED, "it ended by itself");
        venv_mgr_change_over(m, i);
    }
    if (stop && venv_mgr_deed_is_open(stop) && final)
        venv_mgr_deed_end(m, stop, VENV_OK, "");
}

/* --- stop ------------------------------------------------------------------------------------------ */

/* It is over, and was kept to be looked at. */
static void stop_inspection(venv_manager *m, instance *i, venv_id deed_id)
{
    deed *d = venv_mgr_deed_find(m, deed_id);
    i->inspect = false;
    venv_mgr_instance_touch(m, i);
    venv_mgr_event_add(m, "instance-removed", i->name, deed_id, venv_value_null(), "%s: what was kept of it on %s for inspection is removed", i->name,
                       i->node ? i->node : "?");
    venv_mgr_place_stale(m);
    venv_mgr_instance_call_off(m, i);
    if (d)
        venv_mgr_deed_end(m, d, VENV_OK, "");
}

/*
 * Somebody wants it gone. What was never told to a node is over at once; a node that can be seen is
 * told; one that cannot be seen is told when it can, and until then nothing happens to the machine.
 */
void venv_mgr_instance_stop(venv_manager *m, instance *i, venv_id deed_id, bool force, venv_span grace)
{
    if (i->stop_wanted && !(force && !i->force))
        return;
    if (i->inspect) {
        stop_inspection(m, i, deed_id);
        return;
    }
    venv_mgr_drain_over(m, i, VENV_ECANCELED, "a stop took its place");
    i->stop = deed_id;
    i->stop_wanted = true;
    i->force = force;
    i->grace = grace;
    i->stop_sent = false;
    venv_mgr_instance_touch(m, i);
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    switch (i->state) {
    case VENV_INSTANCE_PENDING:
    case VENV_INSTANCE_PLACING:
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPED, "stopped before it was placed");
        venv_mgr_instance_end_deeds(m, i);
        return;
    case VENV_INSTANCE_STARTING:
        if (i->hold.ns != VENV_INSTANT_NEVER.ns) {
            venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPED, "stopped while it waited to be started again");
            venv_mgr_instance_end_deeds(m, i);
            venv_mgr_instance_call_off(m, i);
            return;
        }
        if (!i->booted)
            return;
        break;
    case VENV_INSTANCE_PREPARING:
    case VENV_INSTANCE_LOST:
    case VENV_INSTANCE_SAVING:
    case VENV_INSTANCE_RESTORING:
    case VENV_INSTANCE_MIGRATING:
        return; /* reconcile.c goes on when its node has said what became of the start, or is seen again */
    default:
        break;
    }
    if (!venv_mgr_agent_can_act(a))
        return;
    if (i->state != VENV_INSTANCE_STOPPING)
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPING, force ? "it is destroyed" : "it is asked to shut down");
    venv_mgr_instance_send_stop(m, i);
}

/* --- time ------------------------------------------------------------------------------------------ */

static void retry_instance(venv_manager *m, instance *i)
{
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    i->retry = venv_mgr_after(m, RETRY);
    venv_mgr_changes_retry(m, i);
    if (VENV_SEEDED(STARTED_ELSEWHERE) && i->state == VENV_INSTANCE_STARTING && (!a || !a->peer))
        venv_mgr_place_instance(m, i);
    if (!venv_mgr_agent_can_act(a) || venv_mgr_ready_again(m, i))
        return;
    if (!venv_id_is_none(i->fence) || (i->state == VENV_INSTANCE_STARTING && !i->confirmed && !i->stop_wanted))
        venv_mgr_instance_send_start(m, i);
    else if (i->stop_wanted && (i->state == VENV_INSTANCE_STARTING || i->state == VENV_INSTANCE_STOPPING)) {
        if (i->state == VENV_INSTANCE_STARTING)
            venv_mgr_instance_set(m, i, VENV_INSTANCE_STOPPING, "its start gave no result in time, and it is to stop");
        venv_mgr_instance_send_stop(m, i);
    }
}

/* Of two that want the same place the one of higher priority is first, of these the older one. */
static int by_priority(const void *a, const void *b)
{
    const instance *x = *(instance *const *)a, *y = *(instance *const *)b;
    int32_t p = x->from ? venv_environment_priority(x->from) : 0, q = y->from ? venv_environment_priority(y->from) : 0;
    if (p != q)
        return p > q ? -1 : 1;
    if (x->made.ns != y->made.ns)
        return x->made.ns < y->made.ns ? -1 : 1;
    return memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

static void place_pending(venv_manager *m, instance *i)
{
    if (i->retry.ns > m->now.mono.ns && i->retry.ns != VENV_INSTANT_NEVER.ns)
        return;
    if (venv_mgr_place_instance(m, i))
        return;
    i->retry = venv_mgr_after(m, PLACE_AGAIN);
    if (i->give_up.ns > m->now.mono.ns)
        return;
    char why[REASON_MAX];
    snprintf(why, sizeof why, "%s", i->reason[0] ? i->reason : "no node could take it in time");
    venv_mgr_instance_set(m, i, VENV_INSTANCE_FAILED, why);
    venv_mgr_instance_end_deeds(m, i);
}

void venv_mgr_instances_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    instance **pending = NULL;
    size_t count = 0, capacity = 0;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (i->state != VENV_INSTANCE_PENDING) {
            if (i->retry.ns <= m->now.mono.ns)
                retry_instance(m, i);
            continue;
        }
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            instance **grown = realloc(pending, capacity * sizeof *grown);
            if (!grown) {
                venv_mgr_no_memory(m);
                break;
            }
            pending = grown;
        }
        pending[count++] = i;
        (void)venv_mgr_instance_environment(m, i, NULL);
    }
    if (count > 1)
        qsort(pending, count, sizeof *pending, by_priority);
    for (size_t n = 0; n < count; n++)
        if (pending[n]->state == VENV_INSTANCE_PENDING)
            place_pending(m, pending[n]);
    free(pending);
}

/* --- rows and views -------------------------------------------------------------------------------- */

/* What people see and what is kept begin alike. */
static void put_common(venv_map_builder *map, const instance *i)
{
    venv_map_init(map);
    venv_map_put_z(map, "name", i->name);
    venv_map_put_z(map, "environment", i->environment);
    venv_map_put_z(map, "state", venv_instance_state_name(i->state));
    venv_map_put(map, "since", venv_value_from_wall(i->since_wall));
    venv_map_put(map, "epoch", venv_value_uint(i->epoch));
    venv_map_put(map, "made", venv_value_from_wall(i->made));
    venv_map_put_z(map, "by", i->by);
    venv_map_put(map, "vcpus", venv_value_int(i->vcpus));
    venv_map_put(map, "memory", venv_value_int((int64_t)i->memory));
}

venv_value venv_mgr_instance_view(venv_manager *m, const instance *i)
{
    venv_map_builder map;
    put_common(&map, i);
    venv_map_put_id(&map, "id", i->id);
    venv_mgr_catalog_put_version(m, &map, i);
    if (i->node)
        venv_map_put_z(&map, "node", i->node);
    if (i->reason[0])
        venv_map_put_text(&map, "reason", i->reason, strlen(i->reason));
    if (venv_value_kind(&i->progress) == VENV_MAP)
        venv_map_put(&map, "progress", venv_value_ref(&i->progress));
    if (i->console)
        venv_map_put_text(&map, "console", i->console, strlen(i->console));
    if (i->stop_wanted)
        venv_map_put(&map, "stop_wanted", venv_value_bool(true));
    if (i->target)
        venv_map_put_z(&map, "target", i->target);
    return venv_mgr_take_map(m, &map);
}

venv_value venv_mgr_instance_row(venv_manager *m, const instance *i)
{
    venv_map_builder map;
    put_common(&map, i);
    venv_map_put_text(&map, "reason", i->reason, strlen(i->reason));
    venv_map_put(&map, "definition", venv_value_ref(&i->definition));
    if (i->version)
        venv_map_put(&map, "version", venv_value_uint(i->version));
    venv_map_put(&map, "placed", venv_value_uint(i->placed));
    venv_map_put(&map, "changed", venv_value_uint(i->changed));
    venv_map_put_id(&map, "start", i->start);
    venv_map_put_id(&map, "stop", i->stop);
    if (venv_instance_is_final(i->state))
        venv_mgr_put_ran(&map, i->ran);
    venv_mgr_life_row(&map, i);
    if (!venv_id_is_none(i->fence))
        venv_map_put_id(&map, "fence", i->fence);
    if (i->tried_count > 0 || !venv_id_is_none(i->fence)) {
        venv_list_builder tried;
        venv_list_init(&tried);
        for (size_t k = 0; k < i->tried_count; k++)
            venv_list_add_text(&tried, i->tried[k]);
        venv_map_put(&map, "tried", venv_mgr_take_list(m, &tried));
        venv_map_put_text(&map, "failure", i->failure, strlen(i->failure));
    }
    venv_mgr_drain_row(i, &map);
    if (i->reserved)
        venv_map_put_z(&map, "reserved", i->reserved);
    if (i->preemptions > 0)
        venv_map_put(&map, "preemptions", venv_value_int(i->preemptions));
    if (!venv_id_is_none(i->preempted_by))
        venv_map_put_id(&map, "preempted_by", i->preempted_by);
    if (i->undo)
        venv_map_put(&map, "undo", venv_value_bool(true));
    venv_map_put(&map, "confirmed", venv_value_bool(i->confirmed));
    venv_map_put(&map, "stop_wanted", venv_value_bool(i->stop_wanted));
    venv_map_put(&map, "stop_told", venv_value_bool(i->stop_told));
    venv_map_put(&map, "force", venv_value_bool(i->force));
    venv_map_put(&map, "adopted", venv_value_bool(i->adopted));
    venv_map_put(&map, "grace", venv_value_from_span(i->grace));
    if (i->node)
        venv_map_put_z(&map, "node", i->node);
    if (i->asked_node)
        venv_map_put_z(&map, "asked_node", i->asked_node);
    if (i->change_kind != CHANGE_NONE) {
        venv_map_put_id(&map, "change", i->change);
        venv_map_put_z(&map, "change_kind", venv_mgr_change_name(i->change_kind));
        if (venv_value_kind(&i->change_options) == VENV_MAP)
            venv_map_put(&map, "change_options", venv_value_ref(&i->change_options));
    }
    if (i->epoch_last > 0)
        venv_map_put(&map, "epoch_last", venv_value_uint(i->epoch_last));
    if (i->target) {
        venv_map_put_z(&map, "target", i->target);
        venv_map_put(&map, "target_epoch", venv_value_uint(i->target_epoch));
    }
    if (i->arriving)
        venv_map_put(&map, "arriving", venv_value_bool(true));
    if (i->console)
        venv_map_put_text(&map, "console", i->console, strlen(i->console));
    return venv_mgr_take_map(m, &map);
}

static char *optional_text(venv_manager *m, const venv_value *row, const char *key)
{
    venv_str text = venv_value_get_text(row, key);
    return text.size > 0 ? venv_mgr_copy_str(m, text) : NULL;
}

static uint64_t number_of(const venv_value *row, const char *key, uint64_t otherwise)
{
    const venv_value *value = venv_value_get(row, key);
    return value && venv_value_kind(value) == VENV_UINT ? venv_value_peek_uint(value)
                                                        : (uint64_t)venv_value_get_int(row, key, (int64_t)otherwise);
}

static void restore_fields(venv_manager *m, instance *i, const venv_value *row)
{
    venv_str by = venv_value_get_text(row, "by"), reason = venv_value_get_text(row, "reason");
    snprintf(i->by, sizeof i->by, "%.*s", (int)by.size, by.data ? by.data : "");
    snprintf(i->reason, sizeof i->reason, "%.*s", (int)reason.size, reason.data ? reason.data : "");
    i->node = VENV_SEEDED(PLACEMENT_FORGOTTEN) ? NULL : optional_text(m, row, "node");
    i->asked_node = optional_text(m, row, "asked_node");
    venv_mgr_drain_restore(m, i, row);
    i->reserved = optional_text(m, row, "reserved");
    i->preemptions = (uint32_t)venv_value_get_int(row, "preemptions", 0);
    venv_value_get_id(row, "preempted_by", &i->preempted_by);
    i->console = optional_text(m, row, "console");
    i->target = optional_text(m, row, "target");
    const venv_value *value = venv_value_get(row, "since");
    i->epoch = number_of(row, "epoch", 1);
    i->epoch_last = number_of(row, "epoch_last", 0);
    i->target_epoch = number_of(row, "target_epoch", 0);
    i->arriving = venv_value_get_bool(row, "arriving", false);
    i->change_kind = venv_mgr_change_parse(venv_value_get_text(row, "change_kind"));
    i->change_told = i->change_kind != CHANGE_NONE; /* perhaps */
    venv_value_get_id(row, "change", &i->change);
    const venv_value *options = venv_value_get(row, "change_options");
    if (options && venv_value_kind(options) == VENV_MAP && venv_value_dup(options, &i->change_options, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    if (value)
        venv_value_to_wall(value, &i->since_wall);
    value = venv_value_get(row, "made");
    if (value)
        venv_value_to_wall(value, &i->made);
    i->ran = venv_mgr_get_ran(m, row);
    i->placed = venv_mgr_get_uint(row, "placed");
    i->changed = venv_mgr_get_uint(row, "changed");
    value = venv_value_get(row, "grace");
    if (value)
        venv_value_to_span(value, &i->grace);
    i->vcpus = (uint32_t)venv_value_get_int(row, "vcpus", 0);
    i->memory = (uint64_t)venv_value_get_int(row, "memory", 0);
    venv_value_get_id(row, "start", &i->start);
    venv_value_get_id(row, "stop", &i->stop);
    venv_value_get_id(row, "fence", &i->fence);
    venv_str failure = venv_value_get_text(row, "failure");
    snprintf(i->failure, sizeof i->failure, "%.*s", (int)(failure.size < REASON_MAX ? failure.size : REASON_MAX - 1), failure.data ? failure.data : "");
    const venv_value *tried = venv_value_get(row, "tried");
    for (size_t k = 0; tried && k < venv_value_count(tried) && k < TRIED_MAX; k++) {
        char *node = venv_mgr_copy_str(m, venv_value_peek_text(venv_value_at(tried, k)));
        if (node && !add_tried(m, i, node))
            free(node);
    }
    i->undo = venv_value_get_bool(row, "undo", false);
    i->confirmed = venv_value_get_bool(row, "confirmed", false);
    i->stop_wanted = venv_value_get_bool(row, "stop_wanted", false) && !VENV_SEEDED(STOP_FORGOTTEN);
    i->stop_told = venv_value_get_bool(row, "stop_told", false) && !VENV_SEEDED(STOP_TOLD_FORGOTTEN);
    i->force = venv_value_get_bool(row, "force", false);
    i->adopted = venv_value_get_bool(row, "adopted", false);
    i->version = venv_mgr_get_uint(row, "version");
    value = venv_value_get(row, "definition");
    if (value && venv_value_dup(value, &i->definition, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    venv_mgr_life_restore(m, i, row);
}

bool venv_mgr_instance_restore(venv_manager *m, venv_id id, const venv_value *row)
{
    char name[VENV_NAME_MAX + 1], environment[VENV_NAME_MAX + 1];
    venv_instance_state state;
    if (!venv_mgr_fits_name(venv_value_get_text(row, "name"), name) || !venv_mgr_fits_name(venv_value_get_text(row, "environment"), environment) ||
        !venv_instance_state_parse(venv_value_get_text(row, "state"), &state))
        return false;
    instance *i = venv_mgr_instance_new(m, id, name, environment);
    if (!i)
        return false;
    restore_fields(m, i, row);
    i->state = state;
    int64_t age = m->now.wall.ns - i->since_wall.ns;
    i->begun.ns = i->since.ns = m->now.mono.ns - (age > 0 ? age : 0);
    if (state == VENV_INSTANCE_PENDING || state == VENV_INSTANCE_PLACING) {
        i->state = VENV_INSTANCE_PENDING;
        i->give_up = venv_mgr_after(m, m->config->pending_timeout);
    } else if (!venv_instance_is_final(state) || !venv_id_is_none(i->fence)) {
        i->retry = venv_mgr_after(m, RETRY);
    }
    return true;
}
