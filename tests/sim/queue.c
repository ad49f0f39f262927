/* SPDX-License-Identifier: Apache-2.0 */
/* The batch queue of each manager: each running guest on its nodes runs one job; a job whose guest is gone waits again. */
#include "sim/sim.h"

int64_t queue_guests(const sim *s, const server *v)
{
    int64_t count = 0;
    for (int i = 0; i < s->node_count; i++)
        if (s->nodes[i].machines && s->nodes[i].server == v->index)
            count += venv_fake_world_running_count(s->nodes[i].machines);
    return count - moves_copies(s, v);
}

static void second(sim *s, server *v)
{
    int64_t slots = queue_guests(s, v);
    if (v->running > slots) {
        v->pending += v->running - slots;
        v->running = slots;
    }
    for (int64_t k = v->running; k > 0; k--)
        if (sim_percent(s, 10)) {
            v->running--;
            v->done++;
            s->counts.jobs++;
        }
    while (v->running < slots && v->pending > 0) {
        v->pending--;
        v->running++;
    }
    if (!s->healing && !s->settings.idle_admin && sim_percent(s, 2))
        v->pending += sim_between(s, 1, 6);
}

void queue_second(sim *s)
{
    for (int i = 0; i < s->server_count; i++)
        second(s, &s->servers[i]);
    for (int i = 0; i < s->node_count; i++)
        if (s->nodes[i].machines)
            venv_fake_world_advance(s->nodes[i].machines, (venv_span){ S(1) });
    sim_plan(s, S(1), JOBS);
}
