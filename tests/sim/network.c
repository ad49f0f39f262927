/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections between agents and the manager. Frames of one direction of a connection keep their order, as on
 * TCP; everything else is as late as it likes. A connection that is cut loses what is under way, and each end learns
 * of it when it does, or by its heartbeats.
 */
#include "sim/world.h"

#include <string.h>

connection *network_find(sim *s, uint64_t id)
{
    connection *c = &s->connections[id % CONNECTIONS_MAX];
    return c->used && c->id == id ? c : NULL;
}

static happening *plan_for(sim *s, int64_t delay, happening_kind kind, const connection *c)
{
    happening *h = sim_plan(s, delay, kind);
    h->connection = c->id;
    h->node = c->node;
    h->life = kind == TO_AGENT || kind == AGENT_CONNECTED || kind == AGENT_DISCONNECTED ? c->agent_life : c->manager_life;
    return h;
}

void network_dial(sim *s, int index)
{
    node *n = &s->nodes[index];
    connection *c = &s->connections[s->next_connection % CONNECTIONS_MAX];
    memset(c, 0, sizeof *c);
    c->id = s->next_connection++;
    c->used = true;
    c->node = index;
    c->agent_life = n->life;
    c->manager_life = s->server.life;
    c->latency = sim_between(s, MS(0) + 50000, MS(40));
    n->connection = c->id;
    if (n->partitioned || !s->server.core) {
        c->cut = true;
        plan_for(s, sim_between(s, MS(1), S(3)), AGENT_DISCONNECTED, c);
        return;
    }
    plan_for(s, c->latency, MANAGER_UP, c);
    plan_for(s, 2 * c->latency, AGENT_CONNECTED, c);
}

/* When a frame arrives: after those that were sent before it. */
static int64_t arrival(sim *s, const connection *c, int64_t *last)
{
    int64_t at = s->now + c->latency + sim_chance(s, c->latency + 1);
    if (sim_percent(s, 1))
        at += sim_between(s, 0, S(2));
    if (at <= *last)
        at = *last + 1;
    *last = at;
    return at - s->now;
}

void network_to_manager(sim *s, connection *c, int16_t type, uint64_t request, const venv_value *body)
{
    if (!c || c->cut) {
        s->counts.messages_lost++;
        return;
    }
    int64_t delay = arrival(s, c, &c->last_to_manager);
    happening *h = plan_for(s, delay, TO_MANAGER, c);
    h->type = type;
    h->request = request;
    if (venv_value_dup(body, &h->value, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
}

void network_to_agent(sim *s, connection *c, int16_t type, uint64_t request, const venv_value *body)
{
    if (!c || c->cut) {
        s->counts.messages_lost++;
        return;
    }
    int64_t delay = arrival(s, c, &c->last_to_agent);
    happening *h = plan_for(s, delay, TO_AGENT, c);
    h->type = type;
    h->request = request;
    if (venv_value_dup(body, &h->value, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
}

/* One side closes in order: what it sent before arrives, then the other side learns. The closer learns at once. */
void network_close(sim *s, connection *c, bool by_manager, const char *why)
{
    (void)why;
    if (!c)
        return;
    if (by_manager) {
        int64_t delay = c->cut ? sim_between(s, 0, S(20)) : arrival(s, c, &c->last_to_agent);
        plan_for(s, 0, MANAGER_DOWN, c);
        plan_for(s, delay, AGENT_DISCONNECTED, c);
    } else {
        int64_t delay = c->cut ? sim_between(s, 0, S(20)) : arrival(s, c, &c->last_to_manager);
        plan_for(s, 0, AGENT_DISCONNECTED, c);
        plan_for(s, delay, MANAGER_DOWN, c);
    }
}

/* The connection is dead. Sometimes an end is told, sometimes it has to find out. */
void network_cut(sim *s, connection *c)
{
    if (!c || c->cut)
        return;
    c->cut = true;
    if (sim_percent(s, 60))
        plan_for(s, sim_between(s, 0, S(20)), MANAGER_DOWN, c);
    if (sim_percent(s, 60))
        plan_for(s, sim_between(s, 0, S(20)), AGENT_DISCONNECTED, c);
}

void network_manager_died(sim *s)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connection *c = &s->connections[i];
        if (!c->used || c->manager_life != s->server.life)
            continue;
        c->manager_up = false;
        if (c->cut)
            continue;
        c->cut = true;
        plan_for(s, sim_percent(s, 80) ? sim_between(s, 0, MS(500)) : sim_between(s, S(1), S(20)), AGENT_DISCONNECTED, c);
    }
}

void network_agent_died(sim *s, int index)
{
    connection *c = network_find(s, s->nodes[index].connection);
    s->nodes[index].connection = 0;
    if (!c)
        return;
    c->agent_up = false;
    if (c->cut)
        return;
    c->cut = true;
    plan_for(s, sim_percent(s, 80) ? sim_between(s, 0, MS(500)) : sim_between(s, S(1), S(20)), MANAGER_DOWN, c);
}

static void agent_side(sim *s, happening *h, connection *c)
{
    node *n = &s->nodes[h->node];
    if (!n->core || n->life != h->life || n->connection != h->connection)
        return;
    switch (h->kind) {
    case AGENT_CONNECTED:
        if (c->cut)
            return;
        c->agent_up = true;
        node_event(s, h->node, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
        break;
    case AGENT_DISCONNECTED:
        n->connection = 0;
        c->agent_up = false;
        node_event(s, h->node, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_DISCONNECTED, .rc = VENV_EUNREACHABLE,
                                                    .text = "the connection is gone" });
        break;
    default:
        if (c->agent_up && !c->cut)
            node_event(s, h->node, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = h->type, .request = h->request,
                                                        .known = true, .value = &h->value });
        break;
    }
}

static void manager_side(sim *s, happening *h, connection *c)
{
    if (!s->server.core || s->server.life != h->life)
        return;
    switch (h->kind) {
    case MANAGER_UP:
        if (c->cut)
            return;
        c->manager_up = true;
        server_event(s, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = c->id, .role = VENV_ROLE_AGENT,
                                               .text = s->nodes[c->node].config->name, .address = "192.0.2.1:1" });
        break;
    case MANAGER_DOWN:
        if (!c->manager_up)
            return;
        c->manager_up = false;
        server_event(s, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = c->id, .text = "the connection is gone" });
        break;
    default:
        if (c->manager_up && !c->cut)
            server_event(s, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_FRAME, .peer = c->id, .type = h->type,
                                                   .request = h->request, .known = true, .value = &h->value });
        break;
    }
}

void network_happening(sim *s, happening *h)
{
    connection *c = network_find(s, h->connection);
    if (!c)
        return;
    if (h->kind == TO_AGENT || h->kind == AGENT_CONNECTED || h->kind == AGENT_DISCONNECTED)
        agent_side(s, h, c);
    else
        manager_side(s, h, c);
}
