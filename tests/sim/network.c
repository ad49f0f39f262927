/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections between agents and managers, as TCP under TLS is: what arrives, arrives in order and once, or the connection
 * is dead. Loss, duplication and reordering below it are seen as delay, in bursts; a path that is cut for a short time
 * is a longer delay; for a longer one, the sender's TCP gives up and tells its process. What was sent on an old connection
 * can arrive when there is a new one. Connections die with a word (reset) or without.
 */
#include "sim/rules.h"

#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 65536u

static connection *find(sim *s, uint64_t id)
{
    connection *c = &s->connections[id % CONNECTIONS_MAX];
    return id != 0 && c->id == id ? c : NULL;
}

static process *receiver(sim *s, const connection *c, int direction)
{
    return direction == TO_AGENT ? &s->nodes[c->node].process : &s->servers[c->server].process;
}

/* The process that had the connection at that end is still the same one, and runs. */
static bool lives(sim *s, const connection *c, int direction)
{
    const process *p = receiver(s, c, direction);
    return p->up && p->life == c->lives[direction];
}

static path *path_of(sim *s, const connection *c)
{
    return &s->nodes[c->node].path;
}

static bool blocked(sim *s, const connection *c, int direction)
{
    return path_of(s, c)->blocked_until[direction] > s->now;
}

static void clear(pipe_line *line)
{
    for (size_t i = 0; i < line->count; i++)
        venv_value_unref(&line->frames[(line->begin + i) % line->capacity].value);
    line->count = line->begin = 0;
    line->stalled = false;
}

static void release(connection *c)
{
    for (int d = 0; d < 2; d++) {
        clear(&c->lines[d]);
        free(c->lines[d].frames);
    }
    memset(c, 0, sizeof *c);
}

void network_fini(sim *s)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        release(&s->connections[i]);
}

static void plan_arrival(sim *s, connection *c, int direction, int64_t delay)
{
    happening *h = sim_plan(s, delay, ARRIVE);
    h->connection = c->id;
    h->direction = direction;
    c->lines[direction].planned = true;
}

static frame *push(sim *s, connection *c, int direction, frame_kind kind)
{
    pipe_line *line = &c->lines[direction];
    if (line->count == line->capacity) {
        size_t capacity = line->capacity ? line->capacity * 2 : 8;
        frame *grown = calloc(capacity, sizeof *grown);
        if (!grown || capacity > FRAMES_MAX)
            abort();
        for (size_t i = 0; i < line->count; i++)
            grown[i] = line->frames[(line->begin + i) % line->capacity];
        free(line->frames);
        line->frames = grown;
        line->capacity = capacity;
        line->begin = 0;
    }
    int64_t at = s->now + c->latency + sim_chance(s, c->latency + 1);
    if (path_of(s, c)->bad_until > s->now && sim_percent(s, 20))
        at += sim_between(s, MS(200), S(3)); /* lost, and sent again: all that follows waits for it */
    if (at <= line->last_at)
        at = line->last_at + 1;
    line->last_at = at;
    frame *f = &line->frames[(line->begin + line->count++) % line->capacity];
    *f = (frame){ .kind = kind, .at = at, .value = venv_value_null() };
    if (line->count == 1 && !line->planned)
        plan_arrival(s, c, direction, at - s->now);
    return f;
}

/* Everybody has let go of it, and nothing is under way. */
static void drop_if_over(connection *c)
{
    if (c->id && !c->open[TO_MANAGER] && !c->open[TO_AGENT] && (c->dead || (c->lines[0].count == 0 && c->lines[1].count == 0)))
        release(c);
}

/* --- how it begins ---------------------------------------------------------------------------------------- */

static connection *make(sim *s, node *n)
{
    for (size_t tries = 0; tries < CONNECTIONS_MAX; tries++) {
        uint64_t id = ++s->connection_serial;
        connection *c = &s->connections[id % CONNECTIONS_MAX];
        if (c->id != 0)
            continue;
        c->id = id;
        c->node = n->index;
        c->server = n->server;
        c->lives[TO_AGENT] = n->process.life;
        c->lives[TO_MANAGER] = s->servers[n->server].process.life;
        c->open[TO_AGENT] = true;
        c->latency = sim_spread(s, MS(0) + 50000, MS(40));
        return c;
    }
    sim_fail(s, "more than %d connections", CONNECTIONS_MAX);
    return NULL;
}

void network_dial(sim *s, node *n)
{
    rules_dials(s, n);
    connection *c = make(s, n);
    if (!c)
        return;
    n->connection = c->id;
    bool cut = blocked(s, c, TO_MANAGER) || blocked(s, c, TO_AGENT);
    if (cut || !s->servers[n->server].core) {
        c->dead = cut;
        push(s, c, TO_AGENT, FRAME_FIN)->at += cut ? sim_between(s, S(3), S(30)) : 0; /* no route; or refused */
        if (cut)
            return;
    } else {
        push(s, c, TO_AGENT, FRAME_UP)->at += 2 * c->latency;
        push(s, c, TO_MANAGER, FRAME_UP)->at += 2 * c->latency;
    }
}

/* --- what is sent --------------------------------------------------------------------------------------------- */

void network_send(sim *s, uint64_t id, int direction, int16_t type, uint64_t request, const venv_value *body)
{
    connection *c = find(s, id);
    s->counts.messages++;
    if (c && direction == TO_AGENT)
        witness_saw_order(s, &s->nodes[c->node], type, body);
    if (!c || c->dead) {
        s->counts.messages_lost++;
        return;
    }
    frame *f = push(s, c, direction, FRAME_DATA);
    f->type = type;
    f->request = request;
    venv_value said = direction == TO_MANAGER && s->nodes[c->node].liar ? liar_says(s, &s->nodes[c->node], type, body) : venv_value_ref(body);
    if (venv_value_dup(&said, &f->value, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    venv_value_unref(&said);
}

const node *network_speaker(sim *s, const server *v, const venv_manager_event *event)
{
    const connection *c = event->kind == VENV_MANAGER_EVENT_FRAME && event->peer < PERSONS ? find(s, event->peer) : NULL;
    return c && c->server == v->index ? &s->nodes[c->node] : NULL;
}

/* The process at an end is told that it is over. */
static void tell(sim *s, connection *c, int direction, const char *why)
{
    if (!c->open[direction])
        return;
    c->open[direction] = false;
    if (!lives(s, c, direction))
        return;
    if (direction == TO_AGENT) {
        rules_closes(s, c);
        node *n = &s->nodes[c->node];
        if (n->connection == c->id)
            n->connection = 0;
        node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_DISCONNECTED, .rc = VENV_EUNREACHABLE, .text = why });
    } else {
        server_event(s, &s->servers[c->server],
                     &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = c->id, .text = why });
    }
}

/* In order: what was sent before arrives, then the other side learns of it. The closer learns at once. */
void network_close(sim *s, uint64_t id, int direction)
{
    connection *c = find(s, id);
    if (!c)
        return;
    if (!c->dead)
        push(s, c, direction, FRAME_FIN);
    happening *h = sim_plan(s, 0, TIMED_OUT);
    h->connection = id;
    h->direction = !direction;
}

/* --- what arrives ----------------------------------------------------------------------------------------------- */

static void take(sim *s, connection *c, int direction, const frame *f)
{
    node *n = &s->nodes[c->node];
    server *v = &s->servers[c->server];
    switch (f->kind) {
    case FRAME_UP:
        c->open[direction] = true;
        if (direction == TO_AGENT)
            node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
        else
            server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = c->id, .role = VENV_ROLE_AGENT,
                                                      .text = n->name, .address = "192.0.2.1:1" });
        break;
    case FRAME_FIN: tell(s, c, direction, "the peer closed the connection"); break;
    case FRAME_DATA:
        if (direction == TO_AGENT)
            node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = f->type, .request = f->request,
                                                  .known = true, .value = &f->value });
        else
            server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_FRAME, .peer = c->id, .type = f->type,
                                                      .request = f->request, .known = true, .value = &f->value });
        break;
    }
}

/* The sender's TCP has sent for long, and nobody has confirmed. */
static void stall(sim *s, connection *c, int direction)
{
    pipe_line *line = &c->lines[direction];
    if (line->stalled)
        return;
    line->stalled = true;
    happening *h = sim_plan(s, sim_between(s, S(15), S(60)), TIMED_OUT);
    h->connection = c->id;
    h->direction = !direction; /* who is told: the side that sends */
    h->token = ++line->stalls;
}

static void arrive(sim *s, connection *c, int direction)
{
    pipe_line *line = &c->lines[direction];
    line->planned = false;
    if (line->count == 0)
        return;
    if (c->dead && line->frames[line->begin].kind != FRAME_FIN) {
        s->counts.messages_lost += line->count;
        clear(line);
        drop_if_over(c);
        return;
    }
    if (blocked(s, c, direction) && !c->dead) {
        stall(s, c, direction);
        return; /* network_heal() or the end of the partition goes on */
    }
    process *p = receiver(s, c, direction);
    if (p->frozen_until > s->now && lives(s, c, direction)) {
        plan_arrival(s, c, direction, p->frozen_until - s->now);
        return;
    }
    frame f = line->frames[line->begin];
    if (f.at > s->now) {
        plan_arrival(s, c, direction, f.at - s->now);
        return;
    }
    line->begin = (line->begin + 1) % line->capacity;
    line->count--;
    line->stalled = false;
    if (line->count > 0)
        plan_arrival(s, c, direction, line->frames[line->begin].at - s->now);
    uint64_t id = c->id;
    if (lives(s, c, direction) && (c->open[direction] || f.kind == FRAME_UP))
        take(s, c, direction, &f);
    else if (f.kind == FRAME_DATA || f.kind == FRAME_UP)
        network_cut(s, id, false); /* nobody is there: the answer is a reset */
    venv_value_unref(&f.value);
    c = find(s, id);
    if (c)
        drop_if_over(c);
}

static void timed_out(sim *s, connection *c, const happening *h)
{
    const pipe_line *line = &c->lines[!h->direction];
    if (h->token != 0 && (!line->stalled || line->stalls != h->token))
        return;
    if (h->token != 0)
        c->dead = true;
    uint64_t id = c->id;
    tell(s, c, h->direction, h->token != 0 ? "TCP gave up" : "closed");
    c = find(s, id);
    if (c)
        drop_if_over(c);
}

void network_happening(sim *s, happening *h)
{
    connection *c = find(s, h->connection);
    if (c && h->kind == ARRIVE)
        arrive(s, c, h->direction);
    else if (c) {
        /* A process that gets no processor learns later. */
        const process *p = receiver(s, c, h->direction);
        if (p->frozen_until > s->now) {
            happening *again = sim_plan(s, p->frozen_until - s->now, TIMED_OUT);
            again->connection = h->connection;
            again->direction = h->direction;
            again->token = h->token;
            return;
        }
        timed_out(s, c, h);
    }
}

/* --- how it ends -------------------------------------------------------------------------------------------------- */

static void plan_end(sim *s, const connection *c, int direction, int64_t delay)
{
    happening *h = sim_plan(s, delay, TIMED_OUT);
    h->connection = c->id;
    h->direction = direction;
}

/* What is under way is lost. Both ends are told soon; silently: one, or none, who then have to find out. */
void network_cut(sim *s, uint64_t id, bool silently)
{
    connection *c = find(s, id);
    if (!c || c->dead)
        return;
    c->dead = true;
    for (int d = 0; d < 2; d++) {
        s->counts.messages_lost += c->lines[d].count;
        clear(&c->lines[d]);
        if (c->open[d] && (!silently || sim_percent(s, 30)))
            plan_end(s, c, d, silently ? sim_between(s, S(1), S(60)) : c->latency);
    }
    drop_if_over(c);
}

void network_process_died(sim *s, int node_index, int server_index, bool power)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connection *c = &s->connections[i];
        int end = c->node == node_index ? TO_AGENT : TO_MANAGER;
        if (c->id == 0 || (c->node != node_index && c->server != server_index))
            continue;
        c->open[end] = false;
        if (c->dead)
            drop_if_over(c);
        else if (power)
            network_cut(s, c->id, true); /* a host without power says nothing */
        else if (c->open[!end] || c->lines[!end].count > 0)
            push(s, c, !end, FRAME_FIN);  /* the kernel closes for it: what it had sent still arrives */
        else
            network_cut(s, c->id, false);
    }
}

/* --- partitions ----------------------------------------------------------------------------------------------------- */

static void resume(sim *s, node *n, int direction)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connection *c = &s->connections[i];
        if (c->id != 0 && c->node == n->index && c->lines[direction].count > 0 && !c->lines[direction].planned)
            plan_arrival(s, c, direction, sim_between(s, MS(1), S(2))); /* when it is sent again */
    }
}

void network_block(sim *s, node *n, int direction, int64_t span)
{
    int64_t until = span == NEVER ? NEVER : s->now + span;
    if (until <= n->path.blocked_until[direction])
        return;
    if (n->path.blocked_until[direction] <= s->now)
        n->path.blocked_since[direction] = s->now;
    n->path.blocked_until[direction] = until;
    if (until == NEVER)
        return;
    happening *h = sim_plan(s, span, PATH_OPEN);
    h->index = n->index;
    h->direction = direction;
}

void network_heal(sim *s, node *n)
{
    for (int d = 0; d < 2; d++) {
        n->path.blocked_until[d] = 0;
        resume(s, n, d);
    }
    n->path.bad_until = 0;
}

/* The end of a partition, unless a longer one has begun since. */
void network_path_open(sim *s, node *n, int direction)
{
    if (n->path.blocked_until[direction] <= s->now)
        resume(s, n, direction);
}
