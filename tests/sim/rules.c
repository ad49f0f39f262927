/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ledger.h"
#include "sim/rules.h"

#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

#define TRIGGERS    4
#define GROW_LIMIT  6u       /* instances a minute, as in the configuration of server.c */
#define SEND_RATE   5.0      /* messages a second, the same */
#define SEND_BURST  2.0
#define PEACE_AFTER S(100)   /* after the healing */
#define DEAF_AFTER  S(90)    /* a direction is blocked, and the manager still counts the node in */
#define LOOKS_MAX   12       /* nodes that are looked at in one turn */
#define SLACK(span) ((span) * 9 / 10) /* clocks drift */

/* What is known of a trigger, by what is durable. */
typedef struct trigger_memory {
    bool fired, active;
    int64_t fired_at, before; /* before: the time before that; NEVER: there is none */
    uint64_t life, jumps, jumps_before;
} trigger_memory;

static const struct {
    const char *name;
    int64_t hold, cooldown;
    bool until, queue; /* until: what is waited for is an empty queue; queue: it reads the queue */
} triggers[TRIGGERS] = {
    { "grow", S(1), S(10), true, true },
    { "shrink", S(4), S(10), false, true },
    { "busy", 0, 0, true, true },
    { "minutely", 0, 0, false, false },
};

/* What the manager was told about the queue, by the only agent that has one. */
typedef struct queue_told {
    uint64_t peer;
    uint32_t slot;
    bool known;
    int64_t pending, running;
    int64_t waits_since, empty_since; /* NEVER: it does not */
} queue_told;

/* When each instance of `grow` was made. */
typedef struct made {
    int64_t at;
    uint64_t life, jumps;
} made;

typedef struct server_rules {
    queue_told queue, before; /* before: the last HELLO, which may be refused */
    trigger_memory triggers[TRIGGERS];
    struct said {          /* the event of revision i + 1: when it was said, and by what wall clock; a slow disk has it later */
        int64_t at;
        uint64_t jumps;
    } *said;
    size_t said_capacity;
    uint64_t jumps;        /* of its wall clock */
    int64_t wall_offset;
    bool has_offset;
    made made[GROW_LIMIT + 1];
    size_t made_count;
    double tokens;
    int64_t tokens_at;     /* of the manager's monotonic clock */
} server_rules;

typedef struct node_rules {
    int64_t ended_at;      /* when it lost its last connection */
    uint64_t life;
} node_rules;

/* What became of a machine, really. */
typedef struct machine_rules {
    bool ran;
    int64_t asked_at;      /* to shut down; NEVER: it was not */
} machine_rules;

struct rules {
    server_rules servers[SERVERS_MAX];
    node_rules nodes[NODES_MAX];
    venv_table *machines;  /* id → machine_rules */
    int64_t healed_at;
    unsigned look;         /* at which node next */
    witness *witness;
};

rules *rules_new(void)
{
    rules *r = calloc(1, sizeof *r);
    if (!r || venv_table_new(1, 1u << 20, &r->machines, NULL) != VENV_OK || !(r->witness = witness_new()))
        abort();
    for (int i = 0; i < SERVERS_MAX; i++)
        r->servers[i].queue.waits_since = r->servers[i].queue.empty_since = NEVER;
    for (int i = 0; i < SERVERS_MAX; i++)
        for (int k = 0; k < TRIGGERS; k++)
            r->servers[i].triggers[k].before = NEVER;
    for (int i = 0; i < NODES_MAX; i++)
        r->nodes[i].ended_at = NEVER;
    return r;
}

void rules_free(rules *r)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(r->machines, &cursor, NULL, &item))
        free(item);
    venv_table_free(r->machines);
    for (int i = 0; i < SERVERS_MAX; i++)
        free(r->servers[i].said);
    witness_free(r->witness);
    free(r);
}

witness *rules_witness(sim *s)
{
    return s->rules->witness;
}

static server_rules *of(sim *s, const server *v)
{
    return &s->rules->servers[v->index];
}

bool rules_in_peace(const sim *s)
{
    return s->healing && s->rules->healed_at && s->now > s->rules->healed_at + PEACE_AFTER;
}

static machine_rules *machine_of(sim *s, venv_id id)
{
    machine_rules *m = venv_table_find(s->rules->machines, id.bytes, sizeof id.bytes);
    if (m)
        return m;
    m = calloc(1, sizeof *m);
    if (!m || venv_table_add(s->rules->machines, id.bytes, sizeof id.bytes, m, NULL) != VENV_OK)
        abort();
    m->asked_at = NEVER;
    return m;
}

static bool is_over(const venv_value *row)
{
    const venv_value *state = venv_value_get(row, "state");
    return venv_value_is_text(state, "stopped") || venv_value_is_text(state, "failed");
}

static node *node_of_row(sim *s, const venv_value *row)
{
    char name[VENV_NAME_MAX + 1];
    venv_str text = venv_value_get_text(row, "node");
    snprintf(name, sizeof name, "%.*s", (int)text.size, text.data ? text.data : "");
    return text.size > 0 ? sim_node(s, name) : NULL;
}

/* --- what a manager was told about its queue ----------------------------------------------------------------------- */

static void forget_queue(queue_told *q)
{
    q->peer = 0;
    q->known = false;
    q->waits_since = q->empty_since = NEVER;
}

static void take_numbers(sim *s, queue_told *q, venv_quality quality, const venv_value *value)
{
    const venv_value *numbers = venv_value_get(value, "class2");
    q->known = quality == VENV_QUALITY_OK;
    if (!q->known) {
        q->waits_since = q->empty_since = NEVER; /* unknown ends a hold */
        return;
    }
    q->pending = venv_value_get_int(numbers, "pending", 0);
    q->running = venv_value_get_int(numbers, "running", 0);
    bool empty = q->pending == 0 && q->running == 0;
    q->waits_since = q->pending == 0 ? NEVER : q->waits_since == NEVER ? s->now : q->waits_since;
    q->empty_since = !empty ? NEVER : q->empty_since == NEVER ? s->now : q->empty_since;
}

static void take_queue(sim *s, queue_told *q, const venv_value *samples)
{
    for (size_t i = 0; samples && i < venv_value_count(samples); i++) {
        venv_sample_row row;
        if (venv_sample_row_read(venv_value_at(samples, i), &row, NULL) == VENV_OK && row.slot == q->slot)
            take_numbers(s, q, row.quality, row.value);
    }
}

static bool is_head(const sim *s, uint64_t number)
{
    const connection *c = &s->connections[number % CONNECTIONS_MAX];
    return number < PERSONS && c->id == number && !s->nodes[c->node].machines;
}

static void hears_hello(sim *s, server_rules *r, uint64_t number, const venv_value *body)
{
    const venv_value *list = venv_value_get(body, "properties");
    queue_told *q = &r->queue;
    r->before = *q;
    q->peer = number;
    q->known = false;
    for (size_t i = 0; list && i < venv_value_count(list); i++)
        if (venv_value_is_text(venv_value_get(venv_value_at(list, i), "label"), "queue"))
            q->slot = (uint32_t)i;
    take_queue(s, q, venv_value_get(body, "samples"));
    if (!q->known) /* else it is known all the time, if only the connection is another one */
        q->waits_since = q->empty_since = NEVER;
}

void rules_hears(sim *s, server *v, const venv_manager_event *event)
{
    queue_told *q = &of(s, v)->queue;
    if (event->kind == VENV_MANAGER_EVENT_PEER_DOWN && event->peer == q->peer)
        forget_queue(q);
    if (event->kind != VENV_MANAGER_EVENT_FRAME || !is_head(s, event->peer))
        return;
    if (event->type == VENV_MSG_HELLO)
        hears_hello(s, of(s, v), event->peer, event->value);
    else if (event->type == VENV_MSG_PUSH && event->peer == q->peer)
        take_queue(s, q, venv_value_get(event->value, "samples"));
    else if (event->type == VENV_MSG_PROPVAL && event->peer == q->peer && venv_value_is_text(venv_value_get(event->value, "label"), "queue"))
        take_numbers(s, q, venv_value_is_text(venv_value_get(event->value, "quality"), "ok") ? VENV_QUALITY_OK : VENV_QUALITY_STALE,
                     venv_value_get(event->value, "value"));
}

/* --- what it does with that: rules unknown, hold, until ------------------------------------------------------------------ */

static int trigger_index(const venv_value *event)
{
    for (int i = 0; i < TRIGGERS; i++)
        if (venv_value_is_text(venv_value_get(event, "subject"), triggers[i].name))
            return i;
    return -1;
}

static void judge_firing(sim *s, server *v, int which)
{
    const queue_told *q = &of(s, v)->queue;
    if (!triggers[which].queue)
        return;
    if (!q->known) {
        sim_fail(s, "unknown: %s fired, and %s does not know its queue", triggers[which].name, v->name);
        return;
    }
    int64_t since = triggers[which].until ? q->waits_since : q->empty_since;
    if (of(s, v)->triggers[which].active)
        return; /* it fires again because its condition stays true */
    if (since == NEVER || s->now - since < SLACK(triggers[which].hold))
        sim_fail(s, "hold: %s of %s fired before its condition was true for long enough", triggers[which].name, v->name);
}

static void judge_recovery(sim *s, server *v, int which)
{
    const queue_told *q = &of(s, v)->queue;
    if (triggers[which].until && (!q->known || q->pending > 0))
        sim_fail(s, "until: %s of %s recovered, and %s", triggers[which].name, v->name,
                 q->known ? "jobs wait" : "it is not known that none waits");
}

static void remember_said(server_rules *r, uint64_t revision, int64_t at)
{
    if (revision > r->said_capacity) {
        r->said_capacity = (size_t)revision * 2 + 64;
        r->said = reallocarray(r->said, r->said_capacity, sizeof *r->said);
        if (!r->said)
            abort();
    }
    r->said[revision - 1] = (struct said){ at, r->jumps };
}

static void judge_said(sim *s, server *v, const venv_value *event)
{
    const venv_value *kind = venv_value_get(event, "kind"), *revision = venv_value_get(event, "revision");
    int which = trigger_index(event);
    if (revision && venv_value_kind(revision) == VENV_UINT && venv_value_peek_uint(revision) > 0)
        remember_said(of(s, v), venv_value_peek_uint(revision), s->now);
    if (v->disk.full_told && (venv_value_is_text(kind, "trigger-fired") || venv_value_is_text(kind, "trigger-proposed")))
        sim_fail(s, "full: a trigger of %s fires, and its disk is full", v->name);
    if (which >= 0 && venv_value_is_text(kind, "trigger-fired"))
        judge_firing(s, v, which);
    else if (which >= 0 && venv_value_is_text(kind, "trigger-recovered"))
        judge_recovery(s, v, which);
}

/* Groups are told of whoever is cut off, in the same step. */
static void judge_membership(sim *s, const venv_manager_actions *out)
{
    size_t gone = 0, told = 0;
    for (size_t i = 0; i < out->count; i++) {
        const venv_value *kind = out->items[i].kind == VENV_MANAGER_ACT_APPEND ? venv_value_get(&out->items[i].value, "kind") : NULL;
        gone += kind && venv_value_is_text(kind, "agent-disconnected");
        told += kind && venv_value_is_text(kind, "group-disconnect");
    }
    if (gone > told)
        sim_fail(s, "groups: %zu agents are cut off, and %zu groups were told", gone, told);
}

static bool is_spaced(int16_t type)
{
    switch (type) {
    case VENV_MSG_MACHINE_START:
    case VENV_MSG_MACHINE_STOP:
    case VENV_MSG_MACHINE_DESTROY:
    case VENV_MSG_GETPROP:
    case VENV_MSG_FETCHPROP:
    case VENV_MSG_EXECUTE: return true;
    default: return false;
    }
}

static void judge_rate(sim *s, server *v, size_t sent)
{
    server_rules *r = of(s, v);
    int64_t now = clock_read(s, &v->process.clock).mono.ns;
    if (now > r->tokens_at)
        r->tokens += SEND_RATE * (double)(now - r->tokens_at) / 1e9;
    r->tokens_at = now;
    if (r->tokens > SEND_BURST)
        r->tokens = SEND_BURST;
    r->tokens -= (double)sent;
    if (r->tokens < -0.5)
        sim_fail(s, "rate: %s sends more than %g messages a second to its agents", v->name, SEND_RATE);
}

/* What `scale` does by itself: it sends nobody away where it cannot know the queue, or where jobs are. */
static void judge_scaled(sim *s, server *v, const venv_value *event)
{
    const queue_told *q = &of(s, v)->queue;
    if (!venv_value_is_text(venv_value_get(event, "kind"), "scale-down"))
        return;
    s->counts.checks++;
    if (!q->known)
        sim_fail(s, "unknown: `scale` of %s sends instances away, and does not know the queue", v->name);
    else if (q->pending > 2 && s->asked_count == 0) /* else there may be more than `max` of them */
        sim_fail(s, "unknown: `scale` of %s sends instances away, and %lld jobs wait", v->name, (long long)q->pending);
}

void rules_did(sim *s, server *v, const venv_manager_actions *out)
{
    for (size_t i = 0; s->settings.scale && i < out->count; i++)
        if (out->items[i].kind == VENV_MANAGER_ACT_APPEND)
            judge_scaled(s, v, &out->items[i].value);
    if (s->settings.manager_yaml)
        return; /* another configuration: what is below knows the built-in one */
    size_t sent = 0;
    judge_membership(s, out);
    for (size_t i = 0; i < out->count; i++) {
        const venv_manager_action *a = &out->items[i];
        if (a->kind == VENV_MANAGER_ACT_SEND && a->type == VENV_MSG_REFUSED && a->peer == of(s, v)->queue.peer)
            of(s, v)->queue = of(s, v)->before; /* what it said does not count */
        else if (a->kind == VENV_MANAGER_ACT_CLOSE && a->peer == of(s, v)->queue.peer)
            forget_queue(&of(s, v)->queue);
        else if (a->kind == VENV_MANAGER_ACT_APPEND)
            judge_said(s, v, &a->value);
        else if (a->kind == VENV_MANAGER_ACT_SEND && a->peer < PERSONS && is_spaced(a->type))
            sent++;
    }
    judge_rate(s, v, sent);
}

/* --- what is durable: rules cooldown, until, limit, at, L9, truth -------------------------------------------------------- */

/* A wall clock that was set while nobody counted time: what was remembered in wall time may be wrong. */
static bool may_differ(const server_rules *r, const server *v, uint64_t life, uint64_t jumps)
{
    return life != v->process.life && jumps != r->jumps;
}

void rules_event(sim *s, server *v, const venv_value *event)
{
    server_rules *r = of(s, v);
    const venv_value *kind = venv_value_get(event, "kind"), *revision = venv_value_get(event, "revision");
    int which = trigger_index(event);
    bool fired = venv_value_is_text(kind, "trigger-fired");
    if (which < 0 || s->settings.manager_yaml || !(fired || venv_value_is_text(kind, "trigger-recovered")))
        return;
    trigger_memory *t = &r->triggers[which];
    if (!fired) {
        t->active = false;
        return;
    }
    uint64_t at = venv_value_peek_uint(revision);
    struct said said = at > 0 && at <= r->said_capacity ? r->said[at - 1] : (struct said){ s->now, r->jumps };
    int64_t now = said.at;
    if (triggers[which].until && triggers[which].cooldown == 0 && t->active)
        sim_fail(s, "until: %s of %s fired again without having recovered", triggers[which].name, v->name);
    if (t->fired && now - t->fired_at < SLACK(triggers[which].cooldown) && !may_differ(r, v, t->life, t->jumps))
        sim_fail(s, "cooldown: %s of %s fired again after %.3f s", triggers[which].name, v->name, (double)(now - t->fired_at) / 1e9);
    /* One that was missed, and the next one soon after it; never a third. */
    if (!triggers[which].queue && t->before != NEVER && now - t->before < S(20) && t->jumps_before == said.jumps)
        sim_fail(s, "at: %s of %s fired three times in %.3f s", triggers[which].name, v->name, (double)(now - t->before) / 1e9);
    *t = (trigger_memory){ true, true, now, t->fired ? t->fired_at : NEVER, v->process.life, said.jumps, t->jumps };
}

static void judge_limit(sim *s, server *v)
{
    server_rules *r = of(s, v);
    if (r->made_count == GROW_LIMIT + 1)
        memmove(&r->made[0], &r->made[1], --r->made_count * sizeof r->made[0]);
    r->made[r->made_count++] = (made){ v->disk.said_at, v->process.life, r->jumps };
    if (r->made_count == GROW_LIMIT + 1 && v->disk.said_at - r->made[0].at < S(50) && !may_differ(r, v, r->made[0].life, r->made[0].jumps))
        sim_fail(s, "limit: grow of %s made %zu instances in %.1f s", v->name, r->made_count, (double)(v->disk.said_at - r->made[0].at) / 1e9);
}

void rules_row(sim *s, server *v, const venv_value *key, const disk_row *old, venv_collection collection, const venv_value *fresh)
{
    venv_id id;
    if (!venv_value_to_id(key, &id))
        return;
    if (collection == VENV_ROWS_ACTIONS && venv_value_is_text(venv_value_get(fresh, "state"), "failed") &&
        (venv_value_is_text(venv_value_get(fresh, "rc"), venv_rc_name(VENV_ETIMEDOUT)) ||
         venv_value_is_text(venv_value_get(fresh, "rc"), venv_rc_name(VENV_EUNKNOWN))))
        sim_fail(s, "L9: an action of %s whose outcome is not known is called failed", v->name);
    if (collection != VENV_ROWS_INSTANCES)
        return;
    if (!old && venv_value_is_text(venv_value_get(fresh, "by"), "trigger/grow") && !s->settings.manager_yaml)
        judge_limit(s, v);
    const node *n = node_of_row(s, fresh);
    /* It was true when it was decided. Where the disk is slow an order of the past may start it before that is durable, and before it can
     * be called off: `fence` in the row says that it will be. */
    bool called_off = venv_value_get(fresh, "fence") != NULL && s->now - v->disk.said_at > MS(100);
    if (n && n->machines && is_over(fresh) && !called_off && !(old && is_over(&old->value)) && venv_fake_world_is_running(n->machines, id))
        sim_fail(s, "truth: %.*s counts as over, and its machine runs on %s", (int)venv_value_get_text(fresh, "name").size,
                 venv_value_get_text(fresh, "name").data, n->name);
    bool confirmed = venv_value_get_bool(fresh, "confirmed", false) && !(old && venv_value_get_bool(&old->value, "confirmed", false));
    if (confirmed && n && n->machines && !machine_of(s, id)->ran)
        sim_fail(s, "truth: an instance counts as having run on %s, and it never did", n->name);
}

/* --- what hypervisors are told: rules epoch, where, capacity, grace --------------------------------------------------------- */

static bool in_group(const node *n, const char *group)
{
    for (size_t i = 0; i < n->config->group_count; i++)
        if (strcmp(n->config->groups[i], group) == 0)
            return true;
    return false;
}

void rules_asks(sim *s, venv_machine_verb verb, venv_id machine)
{
    machine_rules *m = machine_of(s, machine);
    if (verb == VENV_MACHINE_SHUTDOWN && m->asked_at == NEVER)
        m->asked_at = s->now;
}

void rules_order(sim *s, node *n, venv_machine_verb verb, venv_id machine)
{
    const server *v = &s->servers[n->server];
    const venv_value *row = disk_row_of(v, VENV_ROWS_INSTANCES, machine);
    machine_rules *m = machine_of(s, machine);
    bool runs = venv_fake_world_is_running(n->machines, machine);
    /* One that is called off: its node has not answered that yet. */
    if (verb == VENV_MACHINE_START && row && is_over(row) && (m->ran || !venv_value_get(row, "fence")) && !runs) {
        venv_str name = venv_value_get_text(row, "name");
        sim_fail(s, "epoch: %.*s is over, and is started%s on %s", (int)name.size, name.data, m->ran ? " again" : "", n->name);
    }
    if (verb == VENV_MACHINE_START && row && !s->settings.manager_yaml && venv_value_is_text(venv_value_get(row, "environment"), "tool") &&
        !in_group(n, "tools"))
        sim_fail(s, "where: a tool is started on %s, which is not in group tools", n->name);
    if (verb != VENV_MACHINE_DESTROY || !runs || !row || is_over(row) || venv_value_get_bool(row, "force", false) ||
        venv_value_get_bool(row, "undo", false)) /* it was not ready in time */
        return;
    venv_span grace = { 0 };
    const venv_value *value = venv_value_get(row, "grace");
    if (value && venv_value_to_span(value, &grace) && (m->asked_at == NEVER || s->now - m->asked_at < SLACK(grace.ns)))
        sim_fail(s, "grace: a guest on %s is powered off before its grace time is over", n->name);
}

void rules_moves(sim *s, node *to, venv_id machine)
{
    const venv_value *row = disk_row_of(&s->servers[to->server], VENV_ROWS_INSTANCES, machine);
    if (row && !s->settings.manager_yaml && !s->settings.script && venv_value_is_text(venv_value_get(row, "environment"), "tool") &&
        !in_group(to, "tools"))
        sim_fail(s, "where: a tool is moved to %s, which is not in group tools", to->name);
}

void rules_ran(sim *s, node *n, venv_machine_verb verb, venv_id machine)
{
    bool comes = verb == VENV_MACHINE_START || verb == VENV_MACHINE_RESTORE || verb == VENV_MACHINE_MIGRATE;
    if (!comes || !venv_fake_world_is_running(n->machines, machine))
        return;
    machine_of(s, machine)->ran = true;
    uint32_t running = venv_fake_world_running_count(n->machines), most = 2 * venv_fake_world_cpus(n->machines);
    if (running > most && !n->liar)
        sim_fail(s, "capacity: %u machines run on %s, which has room for %u", running, n->name, most);
}

/* --- connections: rules backoff, sessions, deaf --------------------------------------------------------------------------------- */

void rules_dials(sim *s, node *n)
{
    node_rules *r = &s->rules->nodes[n->index];
    int64_t least = n->config->reconnect_first.ns / 4;
    if (r->ended_at != NEVER && r->life == n->process.life && s->now - r->ended_at < SLACK(least))
        sim_fail(s, "backoff: %s dials again %.3f s after its connection ended", n->name, (double)(s->now - r->ended_at) / 1e9);
}

void rules_closes(sim *s, const connection *c)
{
    node_rules *r = &s->rules->nodes[c->node];
    r->ended_at = s->now;
    r->life = s->nodes[c->node].process.life;
    if (rules_in_peace(s))
        sim_fail(s, "sessions: the connection of %s ends, and nothing was wrong", s->nodes[c->node].name);
}

/*
 * The path itself says since when it has been blocked: these looks are many seconds apart where little happens, and a
 * node can connect between the end of one partition and the beginning of the next without any look at the open path.
 */
static void look_at_path(sim *s, const node *n)
{
    const server *v = &s->servers[n->server];
    int64_t since = NEVER;
    for (int d = 0; d < 2; d++)
        if (n->path.blocked_until[d] > s->now && n->path.blocked_since[d] < since)
            since = n->path.blocked_since[d];
    if (!v->core || s->now - v->process.frozen_until < DEAF_AFTER || since == NEVER || s->now - since < DEAF_AFTER)
        return;
    const venv_member *member = venv_groups_member(v->core->groups, n->name);
    if (member && member->state == VENV_MEMBER_CONNECTED)
        sim_fail(s, "deaf: %s cannot be talked with for %.0f s, and counts as connected", n->name, (double)(s->now - since) / 1e9);
}

/* --- inside of a core: rules leaks, memory, sessions, liveness, groups ------------------------------------------------------- */

static void look_for_leaks(sim *s, const server *v)
{
    venv_manager *m = v->core;
    size_t cursor = 0, follow = 0;
    void *item;
    for (size_t i = 0; i < m->waiter_count; i++)
        if (!venv_mgr_peer_find(m, m->waiters[i].peer))
            sim_fail(s, "leaks: %s waits for a state for somebody who left", v->name);
    while (venv_table_next(m->calls, &cursor, NULL, &item)) {
        const call *c = item;
        if (!venv_mgr_peer_find(m, c->peer))
            sim_fail(s, "leaks: %s has a question open to an agent that went away", v->name);
    }
    cursor = 0;
    while (venv_table_next(m->peers, &cursor, NULL, &item)) {
        const peer *p = item;
        follow += p->follows;
        if (p->agent && p->agent->peer != p->number)
            sim_fail(s, "sessions: a connection of %s that was closed still speaks for agent %s", v->name, p->name);
    }
    if (follow != m->followers)
        sim_fail(s, "leaks: %s counts %zu who follow the events, and there are %zu", v->name, m->followers, follow);
}

static void look_at_member(sim *s, const server *v, const node *n)
{
    venv_manager *m = v->core;
    const venv_member *member = venv_groups_member(m->groups, n->name);
    if (!member || !member->data)
        return;
    const agent *a = member->data;
    const peer *p = a->peer ? venv_mgr_peer_find(m, a->peer) : NULL; /* its session forgives a manager that stood still */
    int64_t silent = p ? m->now.mono.ns - p->session.heard.ns : 0;
    if (member->state == VENV_MEMBER_CONNECTED && member->session && silent > m->config->suspect.ns + S(3))
        sim_fail(s, "liveness: %s was not heard for %.0f s, and is not suspected", n->name, (double)silent / 1e9);
    if (member->session && member->group_count != n->config->group_count)
        sim_fail(s, "groups: agent %s is in %zu groups, and %s knows of %zu", n->name, n->config->group_count, v->name, member->group_count);
}

static void look_at_instance(sim *s, const server *v, const instance *i)
{
    venv_manager *m = v->core;
    if (!venv_instance_may_become(i->state, VENV_INSTANCE_LOST) ||
        i->state == VENV_INSTANCE_MIGRATING || /* it may be elsewhere: both nodes will be asked */
        m->now.mono.ns - i->since.ns <= S(3))
        return;
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    if (a && venv_mgr_agent_is_unseen(a) && m->now.mono.ns - a->unseen.ns > m->config->lost.ns + S(3))
        sim_fail(s, "liveness: %s cannot be seen for longer than lost, and is %s", i->name, venv_instance_state_name(i->state));
}

/* What it has in mind is what is written. */
static void compare_rows(sim *s, server *v, bool restarted)
{
    venv_manager *m = v->core;
    size_t cursor = 0;
    void *item;
    while (!s->failed && venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        bool often = restarted || !venv_instance_is_final(i->state); /* one that is over does not change: now and then */
        if (!often && s->counts.steps / 1024 % 8 != cursor % 8)
            continue;
        const venv_value *row = disk_row_of(v, VENV_ROWS_INSTANCES, i->id);
        venv_value mine = venv_mgr_instance_row(m, i);
        bool moves = restarted && i->state == VENV_INSTANCE_PENDING; /* placing, too, is pending again */
        if (!row || (!moves && venv_value_compare(row, &mine) != 0))
            sim_fail(s, "memory: instance %s of %s is not what its row says%s", i->name, v->name, restarted ? " after a restart" : "");
        venv_value_unref(&mine);
    }
}

static void look_inside(sim *s, server *v)
{
    venv_manager *m = v->core;
    size_t cursor = 0;
    void *item;
    if (!m || !m->begun || v->process.frozen_until > s->now)
        return;
    look_for_leaks(s, v);
    while (s->now - v->process.frozen_until > S(3) && venv_table_next(m->instances, &cursor, NULL, &item))
        look_at_instance(s, v, item);
    if (v->disk.write_count == 0 && s->counts.steps % 1024 == 0)
        compare_rows(s, v, false);
}

static void look_at_clock(sim *s, server *v)
{
    server_rules *r = of(s, v);
    int64_t offset = clock_read(s, &v->process.clock).wall.ns - s->now;
    int64_t moved = offset - r->wall_offset;
    if (r->has_offset && (moved > MS(500) || moved < -MS(500)))
        r->jumps++;
    r->has_offset = true;
    r->wall_offset = offset;
}

void rules_step(sim *s)
{
    if (s->healing && !s->rules->healed_at)
        s->rules->healed_at = s->now;
    for (int i = 0; i < s->server_count; i++)
        look_at_clock(s, &s->servers[i]);
    if (s->counts.steps % 16 == 0)
        witness_step(s);
    if (s->counts.steps % 64 != 0)
        return;
    for (int i = 0; i < s->server_count; i++)
        look_inside(s, &s->servers[i]);
    for (int k = 0; k < s->node_count && k < LOOKS_MAX; k++) {
        const node *n = &s->nodes[s->rules->look++ % (unsigned)s->node_count];
        const server *v = &s->servers[n->server];
        look_at_path(s, n);
        if (v->core && v->core->begun && v->process.frozen_until <= s->now)
            look_at_member(s, v, n);
    }
    witness_acts(s);
}

void rules_started(sim *s, server *v)
{
    server_rules *r = of(s, v);
    forget_queue(&r->queue);
    r->tokens = SEND_BURST;
    r->tokens_at = clock_read(s, &v->process.clock).mono.ns;
    if (v->core)
        compare_rows(s, v, true);
}

void rules_ended(sim *s, server *v)
{
    forget_queue(&of(s, v)->queue);
    witness_ended(s, v);
}

/* --- at the end: rule actions --------------------------------------------------------------------------------------------------- */

void rules_end(sim *s)
{
    for (int i = 0; i < s->server_count; i++) {
        const server *v = &s->servers[i];
        size_t cursor = 0;
        const disk_row *row;
        while (!s->failed && (row = disk_next(&v->disk, &cursor))) {
            venv_id parent, id;
            if (row->collection != VENV_ROWS_ACTIONS || !venv_value_get_id(&row->value, "parent", &parent) ||
                !disk_row_of(v, VENV_ROWS_ACTIONS, parent) || !venv_value_to_id(&row->key, &id))
                continue;
            uint64_t mine = ledger_told_over(v, id), its = ledger_told_over(v, parent);
            if (its && (!mine || mine > its))
                sim_fail(s, "actions: an action of %s was over before what it is made of", v->name);
        }
    }
}
