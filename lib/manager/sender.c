/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queued sender (requirement A14): frames to agents leave at most at `send_rate` a second, and those to the agents of a
 * group at most at the rate of that group, so that a message to many does not flood a network. Answers to people and
 * heartbeats do not pass here.
 *
 *      frame ──► buckets of the manager and of the receiver's groups ──► one is empty: its lane
 *      lane: the receivers that are in the same limited groups; first come, first served
 *
 * A slow group holds up nobody else, and the order for one receiver is kept, since it has one lane. What finds no room is
 * counted and reported as not sent.
 */
#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

#define LANES_MAX 256u

typedef struct bucket {
    double tokens, rate, most;
    venv_instant at;
} bucket;

typedef struct waiting {
    struct waiting *next;
    uint64_t order; /* of arrival */
    uint64_t peer, request;
    bool of_call;   /* calls.c waits for the answer; else the number is only told */
    int16_t type;
    venv_value body;
} waiting;

typedef struct lane {
    uint64_t groups; /* a bit for each limited group */
    waiting *first, **end;
    size_t count;
} lane;

struct venv_mgr_sender {
    const venv_manager_config *config; /* that the buckets are of */
    bucket all, groups[VENV_MANAGER_RATES_MAX];
    lane lanes[LANES_MAX];
    size_t lane_count, count;
    uint64_t arrived, dropped;
};

/* --- buckets ------------------------------------------------------------------------------------------- */

static void refill(bucket *b, venv_instant now)
{
    b->tokens += b->rate * (double)(now.ns - b->at.ns) / (double)VENV_NS_PER_S;
    if (b->tokens > b->most)
        b->tokens = b->most;
    b->at = now;
}

/* As the configuration has it, which may be another one by now. What was spent stays spent, or each reload would be a burst. */
static void adjust(bucket *b, uint64_t rate, uint64_t burst, venv_instant now)
{
    double before = b->most;
    if (b->rate == (double)rate && before == (double)burst)
        return;
    refill(b, now);
    b->rate = (double)rate;
    b->most = (double)burst;
    if (before == 0 || b->tokens > b->most) /* not limited until now: full */
        b->tokens = b->most;
}

static bool is_limited(const venv_manager_config *config)
{
    return config->send_rate != 0 || config->rate_count != 0;
}

/* NULL: nothing is limited, or there is no memory. */
static venv_mgr_sender *sender_of(venv_manager *m)
{
    venv_mgr_sender *s = m->sender;
    if (!s && is_limited(m->config)) {
        s = m->sender = calloc(1, sizeof *s);
        if (!s) {
            venv_mgr_no_memory(m);
            return NULL;
        }
        for (size_t i = 0; i < LANES_MAX; i++)
            s->lanes[i].end = &s->lanes[i].first;
    }
    if (!s)
        return NULL;
    const venv_manager_config *config = s->config = m->config;
    adjust(&s->all, config->send_rate, config->send_burst, m->now.mono);
    for (size_t i = 0; i < config->rate_count; i++)
        adjust(&s->groups[i], config->rates[i].rate, config->rates[i].burst, m->now.mono);
    return s;
}

static uint64_t groups_of(const venv_manager *m, const peer *p)
{
    uint64_t groups = 0;
    for (size_t i = 0; i < m->config->rate_count; i++)
        if (venv_groups_is_in(m->groups, p->name, m->config->rates[i].group))
            groups |= UINT64_C(1) << i;
    return groups;
}

static double missing_of(bucket *b, venv_instant now)
{
    refill(b, now);
    return b->tokens >= 1 - 1e-9 ? 0 : (1 - b->tokens) / b->rate;
}

/* Seconds until a frame of a lane may leave; 0: now. */
static double missing(venv_mgr_sender *s, uint64_t groups, venv_instant now)
{
    double longest = s->config->send_rate ? missing_of(&s->all, now) : 0;
    for (size_t i = 0; i < s->config->rate_count; i++) {
        double own = groups >> i & 1 ? missing_of(&s->groups[i], now) : 0;
        longest = own > longest ? own : longest;
    }
    return longest;
}

static void take_tokens(venv_mgr_sender *s, uint64_t groups)
{
    if (s->config->send_rate)
        s->all.tokens -= 1;
    for (size_t i = 0; i < s->config->rate_count; i++)
        if (groups >> i & 1)
            s->groups[i].tokens -= 1;
}

/* --- lanes --------------------------------------------------------------------------------------------- */

static lane *lane_for(venv_mgr_sender *s, uint64_t groups)
{
    lane *empty = NULL;
    for (size_t i = 0; i < s->lane_count; i++) {
        if (s->lanes[i].groups == groups)
            return &s->lanes[i];
        if (s->lanes[i].count == 0)
            empty = &s->lanes[i];
    }
    if (!empty && s->lane_count < LANES_MAX)
        empty = &s->lanes[s->lane_count++];
    if (empty)
        empty->groups = groups;
    return empty;
}

static void pop(venv_mgr_sender *s, lane *l, waiting **link)
{
    waiting *w = *link;
    *link = w->next;
    if (!*link)
        l->end = link;
    l->count--;
    s->count--;
    venv_value_unref(&w->body);
    free(w);
}

static bool is_call(const venv_manager *m, uint64_t request)
{
    return request != 0 && venv_table_find(m->calls, &request, sizeof request);
}

static bool put_off(venv_manager *m, venv_mgr_sender *s, peer *p, uint64_t groups, int16_t type, uint64_t request, venv_value body)
{
    lane *l = s->count < OUTBOX_MAX ? lane_for(s, groups) : NULL;
    waiting *w = l ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        s->dropped++;
        venv_value_unref(&body);
        if (l)
            venv_mgr_no_memory(m);
        return false;
    }
    *w = (waiting){ NULL, ++s->arrived, p->number, request, is_call(m, request), type, body };
    *l->end = w;
    l->end = &w->next;
    l->count++;
    s->count++;
    p->queued++;
    p->lane = groups;
    return true;
}

static void send(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body)
{
    call *c = request ? venv_table_find(m->calls, &request, sizeof request) : NULL;
    if (c)
        c->sent = true;
    venv_mgr_effect_send(m, p, type, request, body);
}

bool venv_mgr_sender_send(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body)
{
    if (!venv_mgr_guard_passes(m, type)) {
        venv_value_unref(&body);
        return true;
    }
    venv_mgr_sender *s = sender_of(m);
    if (!s || VENV_SEEDED(RATE_IGNORED)) {
        send(m, p, type, request, body);
        return true;
    }
    /* One that has frames waiting stays in its lane, whatever groups it has joined since: their order is kept. */
    uint64_t groups = p->queued > 0 ? p->lane : groups_of(m, p);
    lane *l = lane_for(s, groups);
    if (l && l->count == 0 && missing(s, groups, m->now.mono) <= 0) {
        take_tokens(s, groups);
        send(m, p, type, request, body);
        return true;
    }
    return put_off(m, s, p, groups, type, request, body);
}

/* The lane whose first frame came first, of those that may send. */
static lane *next_lane(venv_manager *m, venv_mgr_sender *s)
{
    lane *best = NULL;
    for (size_t i = 0; i < s->lane_count; i++) {
        lane *l = &s->lanes[i];
        if (l->count > 0 && (!best || l->first->order < best->first->order) && missing(s, l->groups, m->now.mono) <= 0)
            best = l;
    }
    return best;
}

void venv_mgr_sender_run(venv_manager *m)
{
    venv_mgr_sender *s = m->sender && m->sender->count > 0 ? sender_of(m) : NULL;
    lane *l;
    while (s && s->count > 0 && (l = next_lane(m, s))) {
        waiting *w = l->first;
        peer *p = venv_mgr_peer_find(m, w->peer);
        bool wanted = !w->of_call || is_call(m, w->request);
        if (p)
            p->queued--;
        if (p && wanted) { /* a call that is answered already, as not sent, must not be sent */
            take_tokens(s, l->groups);
            send(m, p, w->type, w->request, venv_value_ref(&w->body));
        }
        pop(s, l, &l->first);
    }
}

/* Frames of a connection that is gone: they must never go out on another one. */
void venv_mgr_sender_forget(venv_manager *m, uint64_t number)
{
    venv_mgr_sender *s = m->sender;
    peer *p = venv_mgr_peer_find(m, number);
    for (size_t i = 0; s && i < s->lane_count; i++)
        for (waiting **link = &s->lanes[i].first; *link;)
            if ((*link)->peer == number)
                pop(s, &s->lanes[i], link);
            else
                link = &(*link)->next;
    if (p)
        p->queued = 0;
}

void venv_mgr_sender_free(venv_manager *m)
{
    for (size_t i = 0; m->sender && i < m->sender->lane_count; i++)
        while (m->sender->lanes[i].first)
            pop(m->sender, &m->sender->lanes[i], &m->sender->lanes[i].first);
    free(m->sender);
    m->sender = NULL;
}

venv_instant venv_mgr_sender_deadline(const venv_manager *m)
{
    venv_mgr_sender *s = m->sender;
    if (!s || s->count == 0)
        return VENV_INSTANT_NEVER;
    double first = 0;
    bool any = false;
    for (size_t i = 0; i < s->lane_count; i++) {
        if (s->lanes[i].count == 0)
            continue;
        double wait = missing(s, s->lanes[i].groups, m->now.mono);
        first = !any || wait < first ? wait : first;
        any = true;
    }
    return (venv_instant){ m->now.mono.ns + (int64_t)(first * (double)VENV_NS_PER_S) + 1 };
}

size_t venv_mgr_sender_count(const venv_manager *m)
{
    return m->sender ? m->sender->count : 0;
}

uint64_t venv_mgr_sender_dropped(const venv_manager *m)
{
    return m->sender ? m->sender->dropped : 0;
}
