/* SPDX-License-Identifier: Apache-2.0 */
/* Time, and what happens in it, in order: happenings first made first, and the deadlines of the cores. */
#include "sim/rules.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* --- chance ---------------------------------------------------------------------------------------- */

int64_t sim_chance(sim *s, int64_t below)
{
    return (int64_t)venv_random_below(&s->random, (uint64_t)below);
}

bool sim_percent(sim *s, int64_t percent)
{
    return sim_chance(s, 100) < percent;
}

int64_t sim_between(sim *s, int64_t low, int64_t high)
{
    return low + sim_chance(s, high - low + 1);
}

int64_t sim_spread(sim *s, int64_t low, int64_t high)
{
    int64_t top = low > 0 ? low : 1, doublings = 0;
    while (top < high) {
        top *= 2;
        doublings++;
    }
    for (int64_t k = sim_chance(s, doublings + 1); k > 0; k--)
        top /= 2;
    top = top < low ? low : top > high ? high : top;
    return sim_between(s, low, top);
}

void sim_fail(sim *s, const char *format, ...)
{
    if (s->failed)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(s->why, sizeof s->why, format, args);
    va_end(args);
    s->failed = true;
}

/* --- what will happen: a heap by time, then by order of making ------------------------------------------ */

static bool before(const waiting *a, const waiting *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static uint32_t new_place(sim *s)
{
    if (s->pool_free_count > 0)
        return s->pool_free[--s->pool_free_count];
    if (s->pool_count == s->pool_capacity) {
        s->pool_capacity = s->pool_capacity ? s->pool_capacity * 2 : 256;
        s->pool = reallocarray(s->pool, s->pool_capacity, sizeof *s->pool);
        s->pool_free = reallocarray(s->pool_free, s->pool_capacity, sizeof *s->pool_free);
        s->heap = reallocarray(s->heap, s->pool_capacity, sizeof *s->heap);
        if (!s->pool || !s->pool_free || !s->heap)
            abort();
    }
    return (uint32_t)s->pool_count++;
}

/* To be filled in at once: the next call may move it. */
happening *sim_plan(sim *s, int64_t delay, happening_kind kind)
{
    waiting fresh = { s->now + (delay > 0 ? delay : 0), s->order++, new_place(s) };
    size_t at = s->heap_count++;
    while (at > 0 && before(&fresh, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = fresh;
    happening *h = &s->pool[fresh.place];
    memset(h, 0, sizeof *h);
    h->at = fresh.at;
    h->planned_at = s->now;
    h->kind = kind;
    h->value = venv_value_null();
    return h;
}

static happening pop(sim *s)
{
    waiting first = s->heap[0], last = s->heap[--s->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->heap_count)
            break;
        if (child + 1 < s->heap_count && before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!before(&s->heap[child], &last))
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    if (s->heap_count > 0)
        s->heap[at] = last;
    s->pool_free[s->pool_free_count++] = first.place;
    return s->pool[first.place];
}

/* --- the loop -------------------------------------------------------------------------------------------- */

static void happening_fini(happening *h)
{
    venv_value_unref(&h->value);
    free(h->text);
    free(h->samples);
}

static void server_happening(sim *s, happening *h)
{
    server *v = &s->servers[h->index];
    switch (h->kind) {
    case DURABLE:
        if (h->life == v->process.life)
            disk_durable(s, v);
        break;
    case HISTORY:
        if (h->life == v->process.life)
            server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_HISTORY, .token = h->token, .value = &h->value });
        break;
    case DELIVERED:
        if (h->life == v->process.life)
            server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_DELIVERED, .action = h->machine, .rc = h->rc,
                                                      .text = h->rc == VENV_OK ? NULL : "it was not delivered" });
        break;
    case DISK_PROBE:
    case DISK_TOLD:
        if (h->life == v->process.life)
            disk_happening(s, v, h);
        break;
    case ANSWERED:
        if (h->life == v->process.life)
            server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_ANSWER, .token = h->token, .value = &h->value });
        break;
    case MANAGER_START:
        if (!v->core)
            server_start(s, v);
        break;
    default: /* MANAGER_CRASH */
        if (h->life == v->process.life && !s->healing)
            server_crash(s, v, false);
        break;
    }
}

static void happen(sim *s, happening *h)
{
    node *n = &s->nodes[h->index];
    report_trace(s, "happens", (uint64_t)h->kind, (uint64_t)h->index);
    switch (h->kind) {
    case ARRIVE:
    case TIMED_OUT: network_happening(s, h); break;
    case DURABLE:
    case HISTORY:
    case DISK_PROBE:
    case DISK_TOLD:
    case ANSWERED:
    case DELIVERED:
    case MANAGER_START:
    case MANAGER_CRASH: server_happening(s, h); break;
    case AGENT_START:
        if (!n->core && !n->held_down)
            node_start(s, n);
        break;
    case SAMPLED:
    case RAN:
    case KEPT:
    case MACHINE_TOLD:
    case LIST_TOLD: node_happening(s, h); break;
    case MACHINE_RUN:
    case LIST_MADE: hypervisor_happening(s, h); break;
    case MOVE_BREAKS:
        if (!s->healing)
            faults_do(s, FAULT_MOVE_BROKEN, -1, -1);
        break;
    case MOVE: moves_happening(s, h); break;
    case HYPERVISOR_BACK: hypervisor_back(s, n); break;
    case PATH_OPEN: network_path_open(s, n, h->direction); break;
    case FAULT:
        if (!s->healing)
            faults_strike(s);
        break;
    case JOBS: queue_second(s); break;
    case ADMIN: admin_acts(s); break;
    case HAPPENING__COUNT: break;
    }
    happening_fini(h);
}

void sim_wakes(sim *s, uint32_t who, process *p, int64_t at)
{
    p->wake = at;
    venv_wakes_set(&s->wakes, who, (venv_instant){ at });
}

static void wake(sim *s, uint32_t who)
{
    report_trace(s, "wakes", (uint64_t)who, 0);
    if (who >= NODES_MAX)
        server_event(s, &s->servers[who - NODES_MAX], &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_TIME });
    else
        node_event(s, &s->nodes[who], &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME });
}

void sim_play(sim *s, int64_t until)
{
    while (!s->failed) {
        int64_t at = venv_wakes_first(&s->wakes).ns;
        bool planned = s->heap_count > 0 && s->heap[0].at <= at;
        if (planned)
            at = s->heap[0].at;
        if (at > until)
            break;
        if (at > s->now)
            s->now = at;
        s->counts.steps++;
        if (planned) {
            happening h = pop(s);
            happen(s, &h);
        } else {
            wake(s, venv_wakes_who(&s->wakes));
        }
        check_step(s);
        rules_step(s);
    }
    if (!s->failed)
        s->now = until;
}

/* --- beginning and end -------------------------------------------------------------------------------------- */

static void make_nodes(sim *s, int hypervisors)
{
    char name[16];
    for (int i = 0; i < s->server_count; i++) {
        snprintf(name, sizeof name, i == 0 ? "head" : "head%d", i + 1);
        node_init(s, &s->nodes[s->node_count], s->node_count, i, name, false);
        s->node_count++;
    }
    for (int i = 0; i < hypervisors; i++) {
        snprintf(name, sizeof name, "n%d", i + 1);
        node_init(s, &s->nodes[s->node_count], s->node_count, i % s->server_count, name, true);
        s->node_count++;
    }
}

/* Whom a scenario declares; it starts them. */
static void make_scenario(sim *s, const script *p)
{
    s->server_count = (int)script_servers(p);
    for (int i = 0; i < s->server_count; i++)
        server_init(s, &s->servers[i], i);
    for (s->node_count = 0; s->node_count < (int)script_nodes(p); s->node_count++)
        node_init_script(s, &s->nodes[s->node_count], s->node_count);
    sim_plan(s, S(1), JOBS);
}

sim *sim_new(uint64_t seed, const sim_settings *settings)
{
    sim *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->seed = seed;
    s->settings = *settings;
    s->now = S(100);
    s->connections = calloc(CONNECTIONS_MAX, sizeof *s->connections);
    for (int i = 0; i < NODES_MAX + SERVERS_MAX; i++)
        if (venv_wakes_add(&s->wakes, VENV_INSTANT_NEVER, NULL) != VENV_OK)
            abort();
    if (!s->connections)
        abort();
    venv_random_init(&s->random, seed);
    s->rules = rules_new();
    if (settings->script) {
        make_scenario(s, settings->script);
        return s;
    }
    s->server_count = settings->servers ? settings->servers : sim_percent(s, 70) ? 1 : (int)sim_between(s, 2, 3);
    int hypervisors = settings->nodes ? settings->nodes : (int)sim_spread(s, s->server_count, 8);
    for (int i = 0; i < s->server_count; i++)
        server_init(s, &s->servers[i], i);
    make_nodes(s, hypervisors);
    for (int i = 0; i < s->server_count; i++) {
        sim_plan(s, 0, MANAGER_START)->index = i;
        s->servers[i].pending = settings->idle_admin ? 0 : sim_between(s, 0, 5);
    }
    for (int i = 0; i < s->node_count; i++)
        sim_plan(s, sim_between(s, 0, S(3)), AGENT_START)->index = i;
    sim_plan(s, S(1), JOBS);
    sim_plan(s, sim_between(s, S(5), S(60)), ADMIN);
    faults_init(s);
    return s;
}

void sim_free(sim *s)
{
    while (s->heap_count > 0) {
        happening h = pop(s);
        happening_fini(&h);
    }
    network_fini(s);
    rules_free(s->rules);
    for (int i = 0; i < s->server_count; i++)
        server_fini(&s->servers[i]);
    for (int i = 0; i < s->node_count; i++)
        node_fini(&s->nodes[i]);
    free(s->heap);
    free(s->pool);
    free(s->pool_free);
    free(s->connections);
    venv_agent_actions_fini(&s->agent_actions);
    venv_manager_actions_fini(&s->manager_actions);
    venv_wakes_fini(&s->wakes);
    free(s);
}

node *sim_node(sim *s, const char *name)
{
    for (int i = 0; i < s->node_count; i++)
        if (strcmp(s->nodes[i].name, name) == 0)
            return &s->nodes[i];
    return NULL;
}

server *sim_server(sim *s, const char *name)
{
    for (int i = 0; i < s->server_count; i++)
        if (strcmp(s->servers[i].name, name) == 0)
            return &s->servers[i];
    return NULL;
}
