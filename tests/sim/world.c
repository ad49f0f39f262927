/* SPDX-License-Identifier: Apache-2.0 */
/* Time, what will happen, misfortunes, and the batch queue. */
#include "sim/world.h"

#include "base/table.h"

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

venv_now sim_now(const sim *s)
{
    return (venv_now){ { s->now }, { s->wall + s->now } };
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

void sim_mix(sim *s, const void *data, size_t size)
{
    s->trace = venv_hash_bytes(data, size, s->trace);
}

void sim_trace(sim *s, const char *what, uint64_t a, uint64_t b)
{
    uint64_t numbers[] = { (uint64_t)s->now, a, b };
    sim_mix(s, what, strlen(what));
    sim_mix(s, numbers, sizeof numbers);
    if (s->verbose)
        fprintf(stderr, "%10.3f %s %llu %llu\n", (double)s->now / 1e9, what, (unsigned long long)a, (unsigned long long)b);
}

/* --- what will happen: a heap by time, then by order of making ------------------------------------------ */

static bool before(const happening *a, const happening *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

happening *sim_plan(sim *s, int64_t delay, happening_kind kind)
{
    if (s->heap_count == s->heap_capacity) {
        size_t capacity = s->heap_capacity ? s->heap_capacity * 2 : 256;
        happening *grown = realloc(s->heap, capacity * sizeof *grown);
        if (!grown)
            abort();
        s->heap = grown;
        s->heap_capacity = capacity;
    }
    happening fresh = { .at = s->now + (delay > 0 ? delay : 0), .order = s->order++, .kind = kind };
    fresh.value = venv_value_null();
    size_t at = s->heap_count++;
    /* Sift up before it is filled: the key is complete, the rest is filled in place. */
    while (at > 0 && before(&fresh, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = fresh;
    return &s->heap[at];
}

static happening pop(sim *s)
{
    happening first = s->heap[0], last = s->heap[--s->heap_count];
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
    return first;
}

/* --- misfortunes -------------------------------------------------------------------------------------- */

static void hypervisor_down(sim *s, int index)
{
    node *n = &s->nodes[index];
    if (n->hypervisor_down)
        return;
    n->hypervisor_down = true;
    venv_fake_world_reachable(n->machines, false);
    sim_plan(s, sim_between(s, S(1), S(60)), HYPERVISOR_BACK)->node = index;
    node_list_soon(s, index);
}

static void fault(sim *s)
{
    int victim = (int)sim_chance(s, s->node_count);
    int guest_node = 1 + (int)sim_chance(s, s->node_count - 1);
    node *n = &s->nodes[victim];
    s->counts.faults++;
    switch (sim_chance(s, 9)) {
    case 0:
        sim_trace(s, "manager-crash", 0, 0);
        server_crash(s);
        break;
    case 1:
        sim_trace(s, "agent-crash", (uint64_t)victim, 0);
        node_crash(s, victim);
        break;
    case 2:
        sim_trace(s, "cut", (uint64_t)victim, 0);
        if (n->connection)
            network_cut(s, network_find(s, n->connection));
        break;
    case 3:
        sim_trace(s, "partition", (uint64_t)victim, 0);
        if (!n->partitioned) {
            n->partitioned = true;
            if (n->connection)
                network_cut(s, network_find(s, n->connection));
            sim_plan(s, sim_between(s, S(1), S(90)), PARTITION_HEALED)->node = victim;
        }
        break;
    case 4:
        sim_trace(s, "hypervisor-down", (uint64_t)guest_node, 0);
        hypervisor_down(s, guest_node);
        break;
    case 8: /* both at once: the new agent knows nothing, and cannot ask */
        sim_trace(s, "node-crash", (uint64_t)guest_node, 0);
        hypervisor_down(s, guest_node);
        node_crash(s, guest_node);
        break;
    case 5:
        sim_trace(s, "start-fails", (uint64_t)guest_node, 0);
        venv_fake_world_fail(s->nodes[guest_node].machines, VENV_FAKE_START, VENV_FAKE_BEFORE, VENV_EIO, 1);
        break;
    case 6:
        sim_trace(s, "answer-lost", (uint64_t)guest_node, 0);
        venv_fake_world_fail(s->nodes[guest_node].machines, sim_percent(s, 50) ? VENV_FAKE_START : VENV_FAKE_DESTROY,
                             VENV_FAKE_AFTER, VENV_EUNKNOWN, 1);
        break;
    default:
        sim_trace(s, "list-fails", (uint64_t)guest_node, 0);
        venv_fake_world_fail(s->nodes[guest_node].machines, VENV_FAKE_LIST, VENV_FAKE_BEFORE, VENV_EUNREACHABLE,
                             (uint32_t)sim_between(s, 1, 3));
        break;
    }
    if (!s->healing)
        sim_plan(s, sim_between(s, MS(100), S(40)), FAULT);
}

/* --- the batch queue ------------------------------------------------------------------------------------ */

static int64_t guests(sim *s)
{
    int64_t count = 0;
    for (int i = 1; i < s->node_count; i++)
        count += venv_fake_world_running_count(s->nodes[i].machines);
    return count;
}

/* Each guest runs one job; a job whose guest is gone waits again. */
static void jobs(sim *s)
{
    int64_t slots = guests(s);
    if (s->running > slots) {
        s->pending += s->running - slots;
        s->running = slots;
    }
    for (int64_t k = s->running; k > 0; k--)
        if (sim_percent(s, 10)) {
            s->running--;
            s->done++;
        }
    while (s->running < slots && s->pending > 0) {
        s->pending--;
        s->running++;
    }
    if (!s->healing && sim_percent(s, 2))
        s->pending += sim_between(s, 1, 6);
    for (int i = 1; i < s->node_count; i++)
        venv_fake_world_advance(s->nodes[i].machines, (venv_span){ S(1) });
    sim_plan(s, S(1), JOBS);
}

/* --- the loop -------------------------------------------------------------------------------------------- */

static void happen(sim *s, happening *h)
{
    node *n = &s->nodes[h->node];
    sim_trace(s, "happens", (uint64_t)h->kind, (uint64_t)h->node);
    switch (h->kind) {
    case TO_MANAGER:
    case TO_AGENT:
    case MANAGER_UP:
    case MANAGER_DOWN:
    case AGENT_CONNECTED:
    case AGENT_DISCONNECTED: network_happening(s, h); break;
    case DURABLE:
        if (h->life == s->server.life)
            server_durable(s);
        break;
    case HISTORY:
        if (h->life == s->server.life)
            server_event(s, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_HISTORY, .token = h->token, .value = &h->value });
        break;
    case MANAGER_START:
        if (!s->server.core)
            server_start(s);
        break;
    case MANAGER_CRASH:
        if (h->life == s->server.life && !s->healing)
            server_crash(s);
        break;
    case AGENT_START:
        if (!n->core)
            node_start(s, h->node);
        break;
    case SAMPLED:
    case RAN:
    case MACHINE_RUN:
    case MACHINE_TOLD:
    case LIST_MADE:
    case LIST_TOLD: node_happening(s, h); break;
    case HYPERVISOR_BACK:
        n->hypervisor_down = false;
        venv_fake_world_reachable(n->machines, true);
        node_list_soon(s, h->node);
        break;
    case PARTITION_HEALED: n->partitioned = false; break;
    case FAULT:
        if (!s->healing)
            fault(s);
        break;
    case JOBS: jobs(s); break;
    case PERSON_ASKS: person_asks(s); break;
    case HAPPENING__COUNT: break;
    }
    venv_value_unref(&h->value);
    free(h->text);
}

static int64_t next_deadline(const sim *s, int *ret_who)
{
    int64_t first = s->heap_count > 0 ? s->heap[0].at : INT64_MAX;
    *ret_who = -2;
    if (s->server.core) {
        int64_t at = venv_manager_deadline(s->server.core).ns;
        if (at < first) {
            first = at;
            *ret_who = -1;
        }
    }
    for (int i = 0; i < s->node_count; i++) {
        if (!s->nodes[i].core)
            continue;
        int64_t at = venv_agent_deadline(s->nodes[i].core).ns;
        if (at < first) {
            first = at;
            *ret_who = i;
        }
    }
    return first;
}

/* Let things happen until a time. */
void sim_step(sim *s, int64_t until)
{
    while (!s->failed) {
        int who;
        int64_t at = next_deadline(s, &who);
        if (at > until)
            break;
        if (at > s->now)
            s->now = at;
        s->counts.steps++;
        if (who == -2) {
            happening h = pop(s);
            happen(s, &h);
        } else if (who == -1) {
            server_time(s);
        } else {
            node_event(s, who, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME });
        }
        check_step(s);
    }
    if (!s->failed)
        s->now = until;
}

sim *sim_new(uint64_t seed, bool verbose)
{
    sim *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->seed = seed;
    s->verbose = verbose;
    s->wall = INT64_C(1700000000) * VENV_NS_PER_S;
    s->now = S(100);
    s->next_connection = 1;
    venv_random_init(&s->random, seed);
    s->node_count = (int)sim_between(s, 2, NODES_MAX);
    server_init(s);
    node_init(s, 0, "head", false);
    for (int i = 1; i < s->node_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "node%d", i);
        node_init(s, i, name, true);
    }
    sim_plan(s, 0, MANAGER_START);
    for (int i = 0; i < s->node_count; i++)
        sim_plan(s, sim_between(s, 0, S(3)), AGENT_START)->node = i;
    sim_plan(s, S(1), JOBS);
    s->pending = sim_between(s, 0, 5);
    sim_plan(s, sim_between(s, S(1), S(20)), FAULT);
    sim_plan(s, sim_between(s, S(5), S(60)), PERSON_ASKS);
    return s;
}

void sim_free(sim *s)
{
    while (s->heap_count > 0) {
        happening h = pop(s);
        venv_value_unref(&h.value);
        free(h.text);
    }
    free(s->heap);
    server_fini(s);
    for (int i = 0; i < s->node_count; i++)
        node_fini(&s->nodes[i]);
    free(s);
}
