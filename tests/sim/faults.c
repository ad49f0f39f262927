/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Misfortunes. Each run has its own mixture: the seed says which kinds there are, how likely each is beside the others, and
 * how long it is between two. Many runs with few kinds find more than all kinds all the time.
 */
#include "sim/sim.h"

#include <string.h>

static const struct {
    const char *name;
    int weight;
} table[FAULT__COUNT] = {
#define X(NAME, name, weight, help) [FAULT_##NAME] = { name, weight },
    SIM_FAULTS(X)
#undef X
};

const char *faults_name(fault_kind kind)
{
    return table[kind].name;
}

bool faults_find(const char *name, fault_kind *ret_kind)
{
    for (int k = 0; k < FAULT__COUNT; k++)
        if (strcmp(table[k].name, name) == 0) {
            *ret_kind = (fault_kind)k;
            return true;
        }
    return false;
}

void faults_init(sim *s)
{
    bool all = sim_percent(s, 20);
    s->fault_every = sim_spread(s, S(3), S(90));
    for (int k = 0; k < FAULT__COUNT; k++) {
        s->weights[k] = all || sim_percent(s, 40) ? table[k].weight : 0;
        s->fault_total += s->weights[k];
    }
    if (!s->settings.calm && s->fault_total > 0)
        sim_plan(s, sim_between(s, S(1), S(20)), FAULT);
}

static int64_t jump(sim *s)
{
    static const int64_t most[] = { 2, 3600, 86400, INT64_C(3) * 365 * 86400 };
    int64_t seconds = sim_spread(s, 1, most[sim_chance(s, 4)]);
    return S(sim_percent(s, 50) ? seconds : -seconds);
}

/* Those that strike a manager. */
static bool strike_server(sim *s, fault_kind kind, server *v)
{
    switch (kind) {
    case FAULT_MANAGER_CRASH: server_crash(s, v, false); return true;
    case FAULT_MANAGER_AT_WRITE: v->crash_at_write = sim_between(s, 1, 400); return true;
    case FAULT_MANAGER_POWER: server_crash(s, v, true); return true;
    case FAULT_MANAGER_FROZEN: server_freeze(s, v, sim_spread(s, MS(100), S(60))); return true;
    case FAULT_DISK_SLOW: v->disk.slow_until = s->now + sim_spread(s, S(1), S(60)); return true;
    case FAULT_DISK_FULL: disk_full(s, v, s->now + sim_spread(s, S(1), S(90))); return true;
    case FAULT_DISK_ERROR: v->disk.error_next = true; return true;
    case FAULT_PARTITION_MANAGER: {
        int64_t span = sim_spread(s, S(1), S(120));
        for (int i = 0; i < s->node_count; i++)
            if (s->nodes[i].server == v->index) {
                network_block(s, &s->nodes[i], TO_MANAGER, span);
                network_block(s, &s->nodes[i], TO_AGENT, span);
            }
        return true;
    }
    default: return false;
    }
}

static bool strike_node(sim *s, fault_kind kind, node *n)
{
    int64_t span = sim_spread(s, S(1), S(120));
    switch (kind) {
    case FAULT_AGENT_CRASH: node_crash(s, n, false); return true;
    case FAULT_AGENT_FROZEN: node_freeze(s, n, sim_spread(s, MS(100), S(60))); return true;
    case FAULT_NODE_POWER: node_crash(s, n, true); return true;
    case FAULT_AGENT_DISK_SLOW: n->keeper.slow_until = s->now + span; return true;
    case FAULT_AGENT_DISK_FULL: n->keeper.full_until = s->now + span; return true;
    case FAULT_CUT: network_cut(s, n->connection, sim_percent(s, 50)); return true;
    case FAULT_PARTITION:
        network_block(s, n, TO_MANAGER, span);
        network_block(s, n, TO_AGENT, span);
        return true;
    case FAULT_PARTITION_ONE_WAY: network_block(s, n, sim_percent(s, 50) ? TO_MANAGER : TO_AGENT, span); return true;
    case FAULT_LINK_BAD: n->path.bad_until = s->now + span; return true;
    default: return false;
    }
}

static void end_a_guest(sim *s, node *n)
{
    venv_error err = { 0 };
    venv_hypervisor *hypervisor = NULL;
    venv_machine_list list = { .items = NULL };
    if (venv_fake_world_open(n->machines, "sim", &hypervisor, &err) == VENV_OK &&
        venv_hypervisor_list(hypervisor, &list, &err) == VENV_OK && list.count > 0)
        venv_fake_world_end_guest(n->machines, list.items[sim_chance(s, (int64_t)list.count)].id, sim_percent(s, 50));
    venv_machine_list_fini(&list);
    venv_hypervisor_close(hypervisor);
}

static void strike_hypervisor(sim *s, fault_kind kind, node *n)
{
    switch (kind) {
    case FAULT_HYPERVISOR_DOWN: hypervisor_down(s, n, sim_between(s, S(1), S(60))); break;
    case FAULT_HYPERVISOR_HANGS: n->hangs_until = s->now + sim_between(s, S(10), S(120)); break;
    case FAULT_HYPERVISOR_LIST:
        venv_fake_world_fail(n->machines, VENV_FAKE_LIST, VENV_FAKE_BEFORE, VENV_EUNREACHABLE, (uint32_t)sim_between(s, 1, 3));
        break;
    case FAULT_START_FAILS: venv_fake_world_fail(n->machines, VENV_FAKE_START, VENV_FAKE_BEFORE, VENV_EIO, 1); break;
    case FAULT_ANSWER_LOST:
        venv_fake_world_fail(n->machines, sim_percent(s, 50) ? VENV_FAKE_START : VENV_FAKE_DESTROY, VENV_FAKE_AFTER, VENV_EUNKNOWN, 1);
        break;
    case FAULT_GUEST_DIES: end_a_guest(s, n); break;
    case FAULT_GUEST_DEAF: venv_fake_world_obedient(n->machines, false); break;
    default: break;
    }
}

static void break_a_move(sim *s)
{
    const move *m = moves_any(s);
    node *n = m ? &s->nodes[sim_percent(s, 50) ? m->from : m->to] : NULL;
    if (!n)
        return;
    switch (sim_chance(s, 4)) {
    case 0:
    case 1: hypervisor_down(s, n, sim_between(s, S(1), S(60))); break;
    case 2: node_crash(s, n, true); break;
    default: node_crash(s, n, false); break;
    }
}

/* A node with a hypervisor. */
static node *hypervisor_node(sim *s)
{
    for (int tries = 0; tries < 64; tries++) {
        node *n = &s->nodes[sim_chance(s, s->node_count)];
        if (n->machines)
            return n;
    }
    return NULL;
}

void faults_do(sim *s, fault_kind kind, int node_index, int server_index)
{
    server *v = &s->servers[server_index >= 0 ? server_index : (int)sim_chance(s, s->server_count)];
    node *n = &s->nodes[node_index >= 0 ? node_index : (int)sim_chance(s, s->node_count)];
    s->counts.faults++;
    s->counts.by_fault[kind]++;
    report_trace(s, faults_name(kind), (uint64_t)n->index, (uint64_t)v->index);
    report_say(s, "fault", "%s (%s, %s)", faults_name(kind), n->name, v->name);
    if (kind == FAULT_CLOCK_JUMP || kind == FAULT_CLOCK_DRIFT) {
        process *p = server_index >= 0 || (node_index < 0 && sim_percent(s, 30)) ? &v->process : &n->process;
        if (kind == FAULT_CLOCK_JUMP) {
            clock_jump(s, &p->clock, jump(s));
        } else {
            int64_t ppm = sim_between(s, -500, 500);
            clock_drift(s, &p->clock, ppm, ppm + sim_between(s, -1000, 1000));
        }
        server_woken(s, v);
        node_woken(s, n);
        return;
    }
    if (kind == FAULT_MOVE_BROKEN) {
        break_a_move(s);
        return;
    }
    if (strike_server(s, kind, v) || strike_node(s, kind, n))
        return;
    n = node_index >= 0 ? n : hypervisor_node(s);
    if (n && n->machines)
        strike_hypervisor(s, kind, n);
}

void faults_strike(sim *s)
{
    int64_t at = sim_chance(s, s->fault_total);
    int kind = 0;
    while (at >= s->weights[kind])
        at -= s->weights[kind++];
    faults_do(s, (fault_kind)kind, -1, -1);
    sim_plan(s, sim_spread(s, s->fault_every / 30 + 1, 2 * s->fault_every), FAULT);
}
