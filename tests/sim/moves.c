/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations between the hypervisors of two nodes, in phases, as libvirt makes them peer to peer: the daemon of the source carries it
 * out, also when the agent that asked has died.
 *
 *      copying ──► over ──► ended          copying, and a daemon or a host goes: undone, it runs where it was
 *      (runs here)  (runs   (only there)   over, and one of them goes: the source keeps a paused copy, and cannot tell
 *                    there)
 *
 * Somebody who looks after the nodes removes such copies when everything is healed.
 */
#include "sim/people.h"
#include "sim/rules.h"

#include <stdlib.h>
#include <string.h>

static void tell(sim *s, const move *m, venv_rc rc, const char *text)
{
    node *n = &s->nodes[m->from];
    report_trace(s, "move", (uint64_t)m->phase, (uint64_t)(int64_t)rc);
    report_say(s, n->name, "the move to %s: %s", s->nodes[m->to].name, rc == VENV_OK ? "done" : text);
    if (!n->core || n->process.life != m->life)
        return;
    happening *h = sim_plan(s, sim_between(s, MS(1), MS(30)), MACHINE_TOLD);
    h->index = n->index;
    h->life = m->life;
    h->token = m->token;
    h->rc = rc;
    h->text = strdup(text);
    hypervisor_list_soon(s, n);
}

static void plan(sim *s, const move *m, int64_t delay)
{
    happening *h = sim_plan(s, delay, MOVE);
    h->index = m->from;
    h->token = m->number;
}

static node *target_of(sim *s, const char *uri)
{
    return uri && strncmp(uri, "fake:", 5) == 0 ? sim_node(s, uri + 5) : NULL;
}

/* The source's daemon was told to; what comes of it is told to the agent. */
void moves_begin(sim *s, node *from, const happening *h)
{
    node *to = target_of(s, h->text);
    move *m = NULL;
    for (size_t i = 0; i < MOVES_MAX && !m; i++)
        if (s->moves[i].phase == MOVE_NONE)
            m = &s->moves[i];
    move refused = { .from = from->index, .to = to ? to->index : from->index, .life = h->life, .token = h->token, .machine = h->machine };
    if (!m || !to || to == from || !to->machines || to->hypervisor_down) {
        tell(s, &refused, VENV_EIO, "the other hypervisor does not answer");
        return;
    }
    rules_moves(s, to, h->machine);
    if (!venv_fake_move_begin(from->machines, to->machines, h->machine, h->epoch)) {
        tell(s, &refused, VENV_EIO, "it does not run here, or is there already");
        return;
    }
    *m = refused;
    m->number = ++s->move_serial;
    m->phase = MOVE_COPYING;
    hypervisor_list_soon(s, to);
    int64_t takes = sim_spread(s, MS(100), S(40));
    plan(s, m, takes);
    if (!s->healing && s->weights[FAULT_MOVE_BROKEN] > 0 && sim_percent(s, 30))
        sim_plan(s, takes - takes / 8 + sim_chance(s, takes / 4 + S(3)), MOVE_BREAKS);
}

static void go_over(sim *s, move *m)
{
    node *from = &s->nodes[m->from], *to = &s->nodes[m->to];
    if (!venv_fake_move_over(from->machines, to->machines, m->machine)) {
        venv_fake_move_undo(from->machines, to->machines, m->machine);
        m->phase = MOVE_NONE;
        tell(s, m, VENV_EIO, "the guest is gone");
        hypervisor_list_soon(s, to);
        return;
    }
    m->phase = MOVE_OVER;
    s->counts.moves++;
    people_ran(s, from, VENV_MACHINE_MIGRATE, m->machine, true);
    rules_ran(s, to, VENV_MACHINE_MIGRATE, m->machine);
    hypervisor_list_soon(s, to);
    plan(s, m, sim_spread(s, MS(1), S(5)));
}

void moves_happening(sim *s, const happening *h)
{
    for (size_t i = 0; i < MOVES_MAX; i++) {
        move *m = &s->moves[i];
        if (m->number != h->token || (m->phase != MOVE_COPYING && m->phase != MOVE_OVER))
            continue;
        if (m->phase == MOVE_COPYING) {
            go_over(s, m);
            return;
        }
        venv_fake_move_end(s->nodes[m->from].machines, m->machine);
        m->phase = MOVE_NONE;
        tell(s, m, VENV_OK, "");
        return;
    }
}

/* The daemon of a node, or the node, is gone. */
void moves_break(sim *s, const node *n)
{
    for (size_t i = 0; i < MOVES_MAX; i++) {
        move *m = &s->moves[i];
        if ((m->from != n->index && m->to != n->index) || (m->phase != MOVE_COPYING && m->phase != MOVE_OVER))
            continue;
        node *from = &s->nodes[m->from], *to = &s->nodes[m->to];
        s->counts.moves_broken++;
        if (m->phase == MOVE_COPYING) {
            venv_fake_move_undo(from->machines, to->machines, m->machine);
            m->phase = MOVE_NONE;
            tell(s, m, m->from == n->index ? VENV_EUNKNOWN : VENV_EIO, "the connection to a hypervisor was lost");
        } else {
            m->phase = MOVE_STRANDED;
            tell(s, m, VENV_EUNKNOWN, "the connection to a hypervisor was lost when all was copied");
        }
    }
}

int64_t moves_copies(const sim *s, const server *v)
{
    int64_t count = 0;
    for (size_t i = 0; i < MOVES_MAX; i++) {
        const move *m = &s->moves[i];
        if ((m->phase == MOVE_OVER || m->phase == MOVE_STRANDED) && s->nodes[m->from].server == v->index)
            count += venv_fake_world_is_running(s->nodes[m->from].machines, m->machine);
    }
    return count;
}

const move *moves_any(sim *s)
{
    size_t first = (size_t)sim_chance(s, MOVES_MAX);
    for (size_t i = 0; i < MOVES_MAX; i++) {
        const move *m = &s->moves[(first + i) % MOVES_MAX];
        if (m->phase == MOVE_COPYING || m->phase == MOVE_OVER)
            return m;
    }
    return NULL;
}

/* A person removes the copies that were left behind: it ran on the other node. */
void moves_tidy(sim *s)
{
    for (size_t i = 0; i < MOVES_MAX; i++) {
        move *m = &s->moves[i];
        node *from = &s->nodes[m->from];
        if (m->phase != MOVE_STRANDED || from->hypervisor_down)
            continue;
        if (venv_fake_world_state(from->machines, m->machine) == VENV_MACHINE_PAUSED) {
            report_say(s, from->name, "somebody removes the copy that was left behind by a move to %s", s->nodes[m->to].name);
            venv_fake_move_end(from->machines, m->machine);
            hypervisor_list_soon(s, from);
        }
        m->phase = MOVE_NONE;
    }
}
