/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two things that an environment says about the life of its instances.
 *
 * Ready: a machine that its node runs is still `starting` until it is what the definition calls ready: its own agent has joined (one
 * of the instance's name, by its certificate), or its guest agent answers. One that is not in time is a start that has
 * failed: it is removed from its node, counted by the breakers, and another node is tried where that is allowed.
 *
 *      starting ──runs──► starting, booted ──ready──► running
 *                              └──ready_timeout──► as a start that failed
 *
 * Crash: a guest that ended in disorder has failed for good, is started again on its node, with the disks that it has there,
 * after a wait that doubles (and then in a newer epoch), or stays there for inspection until somebody destroys it.
 *
 *      running ──crash──► starting, held ──its wait──► start sent, epoch + 1
 */
#include "manager/internal.h"

#include <stdio.h>
#include <string.h>

#define ASK_EVERY   ((venv_span){ 2 * VENV_NS_PER_S })  /* a guest agent, and whether an own one has joined */
#define AT_LEAST    ((venv_span){ 30 * VENV_NS_PER_S }) /* for one that was out of sight */
#define DOUBLINGS   30u

static const venv_id none = { { 0 } };

static venv_span span_of(const venv_value *map, const char *key, int64_t fallback_s)
{
    const venv_value *value = venv_value_get(map, key);
    venv_span span = { fallback_s * VENV_NS_PER_S };
    return value && venv_value_to_span(value, &span) ? span : (venv_span){ fallback_s * VENV_NS_PER_S };
}

/* --- ready ------------------------------------------------------------------------------------------------ */

static bool waits_for_agent(const instance *i)
{
    return venv_value_is_text(venv_value_get(&i->definition, "ready"), "agent");
}

static bool waits_for_guest_agent(const instance *i)
{
    return venv_value_is_text(venv_value_get(&i->definition, "ready"), "qemu-guest-agent");
}

static bool is_ready(venv_manager *m, const instance *i)
{
    if (!waits_for_agent(i))
        return i->answered || !waits_for_guest_agent(i);
    const agent *own = venv_mgr_agent_find(m, i->name);
    return own && venv_mgr_agent_is_connected(m, own) && own->joined.ns >= i->begun.ns; /* not that of the guest that crashed */
}

/* The one who asked waits as long. */
static void wait_with_deed(venv_manager *m, const instance *i)
{
    deed *d = venv_mgr_deed_find(m, i->start);
    int64_t end = i->ready_end.ns + AT_LEAST.ns;
    if (!d || !venv_mgr_deed_is_open(d) || d->deadline.ns >= end)
        return;
    d->time.ns += end - d->deadline.ns;
    d->deadline.ns = end;
    venv_mgr_deed_touch(m, d);
}

static void begin_to_wait(venv_manager *m, instance *i)
{
    char time[64], why[REASON_MAX];
    venv_span timeout = span_of(&i->definition, "ready_timeout", 300);
    i->booted = true;
    i->ready_end = venv_mgr_after(m, timeout);
    i->ready_wall.ns = m->now.wall.ns + timeout.ns;
    snprintf(why, sizeof why, "it runs, and %s", waits_for_agent(i) ? "its own agent has not joined yet" : "its guest agent does not answer yet");
    venv_mgr_set_reason(i->reason, why);
    venv_mgr_instance_touch(m, i);
    venv_mgr_event_add(m, "instance-booted", i->name, i->start, venv_value_null(), "%s on %s: %s; it has %s for that", i->name, i->node, why,
                       venv_span_format(timeout, time, sizeof time));
    wait_with_deed(m, i);
}

/* Its node says that it runs. True: that is not all that is wanted, and it goes on to be started. */
bool venv_mgr_ready_waits(venv_manager *m, instance *i)
{
    bool on_its_way = i->state == VENV_INSTANCE_STARTING || i->state == VENV_INSTANCE_LOST;
    if (i->confirmed || i->adopted || i->stop_wanted || !on_its_way || !(waits_for_agent(i) || waits_for_guest_agent(i)))
        return false;
    if (!i->booted)
        begin_to_wait(m, i);
    if (i->state == VENV_INSTANCE_LOST) {
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STARTING, "seen again, and not ready yet");
        if (i->ready_end.ns < venv_mgr_after(m, AT_LEAST).ns)
            i->ready_end = venv_mgr_after(m, AT_LEAST);
    }
    if (is_ready(m, i)) {
        i->booted = false;
        return false;
    }
    if (i->retry.ns > venv_mgr_after(m, ASK_EVERY).ns)
        i->retry = m->now.mono;
    return true;
}

static void not_ready(venv_manager *m, instance *i, const char *what)
{
    char time[64], why[REASON_MAX];
    venv_span timeout = span_of(&i->definition, "ready_timeout", 300);
    snprintf(why, sizeof why, "it was not ready in %s: %s", venv_span_format(timeout, time, sizeof time), what);
    venv_mgr_event_add(m, "instance-not-ready", i->name, i->start, venv_value_null(), "%s on %s: %s", i->name, i->node, why);
    i->booted = false;
    venv_mgr_start_failed(m, i, VENV_EIO, why);
    i->undo = true;
    if (!venv_mgr_instance_try_elsewhere(m, i, why))
        venv_mgr_instance_undo(m, i, why);
}

static void ask_guest_agent(venv_manager *m, instance *i)
{
    const agent *a = venv_mgr_agent_find(m, i->node);
    peer *p = a && a->peer ? venv_mgr_peer_find(m, a->peer) : NULL;
    if (!p)
        return;
    venv_map_builder map;
    venv_map_init(&map);
    i->probe = venv_random_id(&m->random);
    venv_map_put_id(&map, "id", i->probe);
    venv_map_put_id(&map, "machine", i->id);
    venv_map_put(&map, "epoch", venv_value_uint(i->epoch));
    venv_mgr_sender_send(m, p, VENV_MSG_MACHINE_PROBE, 0, venv_mgr_take_map(m, &map));
}

/* Its time to look again. True: it is one of those that wait here. */
bool venv_mgr_ready_again(venv_manager *m, instance *i)
{
    if (!i->booted || i->state != VENV_INSTANCE_STARTING || i->stop_wanted || !venv_id_is_none(i->fence))
        return false;
    i->retry = venv_mgr_after(m, ASK_EVERY);
    if (is_ready(m, i))
        venv_mgr_reconcile_up(m, i, VENV_INSTANCE_RUNNING);
    else if (i->ready_end.ns <= m->now.mono.ns)
        not_ready(m, i, waits_for_agent(i) ? "its own agent did not join" : "its guest agent does not answer");
    else if (waits_for_guest_agent(i))
        ask_guest_agent(m, i);
    return true;
}

/* True: it was the answer to the question of this instance. */
bool venv_mgr_ready_probed(venv_manager *m, instance *i, venv_id id, venv_rc rc, const char *error)
{
    if (venv_id_is_none(i->probe) || !venv_id_equal(id, i->probe))
        return false;
    i->probe = none;
    if (!i->booted || i->state != VENV_INSTANCE_STARTING || !venv_id_is_none(i->fence))
        return true;
    i->answered = rc == VENV_OK;
    if (rc == VENV_OK)
        venv_mgr_reconcile_up(m, i, VENV_INSTANCE_RUNNING);
    else if (rc == VENV_EUNSUPPORTED)
        not_ready(m, i, error);
    return true;
}

/* An agent has joined: is it one that an instance waits for? */
void venv_mgr_ready_joined(venv_manager *m, const char *name)
{
    instance *i = venv_mgr_instance_named(m, name);
    if (i && i->booted && i->state == VENV_INSTANCE_STARTING && venv_id_is_none(i->fence) && !i->stop_wanted)
        venv_mgr_reconcile_up(m, i, VENV_INSTANCE_RUNNING);
}

/* Its node works on what it needs, an image it may be: who asked for it has patience. */
void venv_mgr_ready_prepares(venv_manager *m, instance *i)
{
    deed *d = venv_mgr_deed_find(m, i->start);
    int64_t end = m->now.mono.ns + m->config->move_timeout.ns;
    if (i->state != VENV_INSTANCE_STARTING || i->confirmed || i->booted)
        return;
    venv_mgr_set_reason(i->reason, "its node makes ready what it needs");
    if (d && venv_mgr_deed_is_open(d) && d->deadline.ns < end) {
        d->time.ns += end - d->deadline.ns;
        d->deadline.ns = end;
        venv_mgr_deed_touch(m, d);
    }
}

/* Nothing of what was known of its last start is true of the next. */
void venv_mgr_ready_reset(instance *i)
{
    i->booted = i->answered = false;
    i->probe = none;
}

/* --- crash --------------------------------------------------------------------------------------------------- */

static venv_span wait_of(const venv_value *restart, uint32_t crashes)
{
    venv_span wait = span_of(restart, "wait", 10), most = span_of(restart, "wait_max", 600);
    for (uint32_t k = 0; k < crashes && k < DOUBLINGS && wait.ns < most.ns; k++)
        wait.ns *= 2;
    return wait.ns < most.ns ? wait : most;
}

static void stay(venv_manager *m, instance *i, const char *reason)
{
    char why[REASON_MAX + 64];
    snprintf(why, sizeof why, "%.150s; it stays on its node for inspection until it is destroyed", reason);
    i->inspect = true;
    venv_mgr_instance_set(m, i, VENV_INSTANCE_FAILED, why);
    venv_mgr_instance_end_deeds(m, i);
}

static bool restart(venv_manager *m, instance *i, const char *reason)
{
    const venv_value *policy = venv_value_get(&i->definition, "restart");
    int64_t times = venv_value_get_int(policy, "times", 0);
    char time[64], why[REASON_MAX + 96];
    if (i->confirmed && m->now.mono.ns - i->since.ns >= span_of(policy, "reset", 600).ns)
        i->crashes = 0;
    if ((times > 0 && (int64_t)i->crashes >= times) || venv_table_count(m->deeds) >= DEEDS_MAX)
        return false;
    venv_span wait = wait_of(policy, i->crashes);
    deed *d = venv_mgr_deed_new(m, venv_random_id(&m->random), none, "restart", i->name, i->by); /* what it comes from is the event below */
    if (!d)
        return true; /* no memory, which sticks */
    deed *last = venv_mgr_deed_find(m, i->start);
    if (last && venv_mgr_deed_is_open(last))
        venv_mgr_deed_end(m, last, VENV_EIO, reason);
    venv_mgr_deed_run(m, d, (venv_span){ wait.ns + m->config->action_timeout.ns });
    i->crashes++;
    i->start = d->id;
    i->confirmed = i->start_sent = false;
    venv_mgr_ready_reset(i);
    i->hold = i->retry = venv_mgr_after(m, wait);
    i->hold_wall.ns = m->now.wall.ns + wait.ns;
    snprintf(why, sizeof why, "%.120s; it is started again in %s (time %u)", reason, venv_span_format(wait, time, sizeof time), i->crashes);
    venv_mgr_event_add(m, "instance-crashed", i->name, d->id, venv_value_null(), "%s on %s: %s", i->name, i->node, why);
    d->origin = m->revision;
    if (i->state != VENV_INSTANCE_STARTING)
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STARTING, why);
    venv_mgr_set_reason(i->reason, why);
    venv_mgr_instance_touch(m, i);
    return true;
}

/* Its guest ended in disorder, or did not come up again after that. True: the policy of its environment was followed. */
bool venv_mgr_crashed(venv_manager *m, instance *i, const char *reason)
{
    const venv_value *policy = venv_value_get(&i->definition, "on_crash");
    bool ran = i->confirmed && (i->state == VENV_INSTANCE_RUNNING || i->state == VENV_INSTANCE_PAUSED || i->state == VENV_INSTANCE_LOST);
    bool again = i->crashes > 0 && i->state == VENV_INSTANCE_STARTING;
    const char *why = reason[0] ? reason : "its guest crashed";
    if (i->adopted || i->stop_wanted || !(ran || again) || i->change_kind != CHANGE_NONE)
        return false;
    if (venv_value_is_text(policy, "restart"))
        return restart(m, i, why);
    if (!venv_value_is_text(policy, "stay"))
        return false;
    stay(m, i, why);
    return true;
}

/* It waits to be started again, and what its node tells of its remains is known. */
bool venv_mgr_crash_holds(venv_manager *m, instance *i)
{
    if (i->hold.ns == VENV_INSTANT_NEVER.ns || venv_instance_is_final(i->state))
        return false;
    if (i->state == VENV_INSTANCE_LOST)
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STARTING, "seen again; it waits to be started again");
    return true;
}

/* May its start be sent now? After a crash it waits, and then takes a newer epoch: the old one is over. */
bool venv_mgr_crash_may_start(venv_manager *m, instance *i)
{
    if (i->hold.ns == VENV_INSTANT_NEVER.ns)
        return true;
    if (i->hold.ns > m->now.mono.ns) {
        i->retry = i->hold;
        return false;
    }
    i->hold = VENV_INSTANT_NEVER;
    i->epoch_last = i->epoch_last > i->epoch ? i->epoch_last : i->epoch;
    i->epoch = ++i->epoch_last;
    i->begun = m->now.mono;
    venv_mgr_instance_touch(m, i);
    return true;
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

void venv_mgr_life_row(venv_map_builder *map, const instance *i)
{
    if (i->booted)
        venv_map_put(map, "ready_end", venv_value_from_wall(i->ready_wall));
    if (i->crashes > 0)
        venv_map_put(map, "crashes", venv_value_int(i->crashes));
    if (i->hold.ns != VENV_INSTANT_NEVER.ns)
        venv_map_put(map, "hold", venv_value_from_wall(i->hold_wall));
    if (i->inspect)
        venv_map_put(map, "inspect", venv_value_bool(true));
}

/* A clock that was set must not make it longer than it was to be. */
static venv_instant instant_of(const venv_manager *m, venv_wall wall, venv_span most)
{
    int64_t left = wall.ns - m->now.wall.ns;
    return (venv_instant){ m->now.mono.ns + (left < 0 ? 0 : left < most.ns ? left : most.ns) };
}

void venv_mgr_life_restore(venv_manager *m, instance *i, const venv_value *row)
{
    const venv_value *end = venv_value_get(row, "ready_end"), *hold = venv_value_get(row, "hold");
    int64_t crashes = venv_value_get_int(row, "crashes", 0);
    i->crashes = crashes > 0 && crashes < UINT32_MAX ? (uint32_t)crashes : 0;
    i->inspect = venv_value_get_bool(row, "inspect", false);
    if (end && venv_value_to_wall(end, &i->ready_wall)) {
        i->booted = true;
        i->ready_end = instant_of(m, i->ready_wall, span_of(&i->definition, "ready_timeout", 300));
    }
    if (hold && venv_value_to_wall(hold, &i->hold_wall))
        i->hold = instant_of(m, i->hold_wall, wait_of(venv_value_get(&i->definition, "restart"), i->crashes));
}
