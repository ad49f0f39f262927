/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venv_sim --seeds N [--seed FIRST] [--minutes M] [--verbose]
 *
 * N runs from seed FIRST on. Each plays M minutes of misfortunes, then heals everything and demands that the
 * queue is emptied and no instance is left within simulated half an hour. One run in a hundred is made twice, and its traces
 * must be the same. Exit 0 only if nothing is unexplained.
 */
#include "sim/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEAL_MINUTES 30

typedef struct totals {
    counts counts;
    uint64_t runs, twice, bad;
    double hours;
} totals;

static void heal(sim *s)
{
    s->healing = true;
    for (int i = 0; i < s->node_count; i++) {
        node *n = &s->nodes[i];
        n->partitioned = false;
        if (n->machines) {
            n->hypervisor_down = false;
            venv_fake_world_reachable(n->machines, true);
            for (int call = 0; call < VENV_FAKE_CALL__COUNT; call++)
                venv_fake_world_fail(n->machines, (venv_fake_call)call, VENV_FAKE_BEFORE, VENV_EIO, 0);
        }
    }
}

/* One whole run. Returns its trace. */
static uint64_t run(uint64_t seed, int minutes, bool verbose, totals *t, char why[512], bool *ret_good)
{
    sim *s = sim_new(seed, verbose);
    sim_step(s, s->now + (int64_t)minutes * S(60));
    heal(s);
    int64_t end = s->now + HEAL_MINUTES * S(60);
    while (!s->failed && s->now < end && !check_quiet(s))
        sim_step(s, s->now + S(5));
    if (!s->failed && !check_quiet(s))
        sim_fail(s, "no progress: %lld jobs wait, %lld run, half an hour after everything was healed", (long long)s->pending,
                 (long long)s->running);
    check_end(s);
    uint64_t trace = s->trace;
    *ret_good = !s->failed;
    snprintf(why, 512, "at %.3f s: %.400s", (double)s->now / 1e9, s->why);
    if (t) {
        const uint64_t *from = (const uint64_t *)&s->counts;
        uint64_t *to = (uint64_t *)&t->counts;
        for (size_t i = 0; i < sizeof s->counts / sizeof *from; i++)
            to[i] += from[i];
        t->hours += (double)(s->now - S(100)) / 3600e9;
        t->runs++;
    }
    sim_free(s);
    return trace;
}

static int usage(void)
{
    fputs("usage: venv_sim --seeds N [--seed FIRST] [--minutes M] [--verbose]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = 0;
    int minutes = 5;
    bool verbose = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            first = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--minutes") == 0)
            minutes = (int)strtol(argv[++i], NULL, 10);
        else
            return usage();
    }
    if (seeds == 0 || minutes < 1 || minutes > 100000)
        return usage();
    totals t = { .runs = 0 };
    char why[512];
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        bool good = false, again = false;
        uint64_t trace = run(seed, minutes, verbose, &t, why, &good);
        if (!good) {
            printf("seed %" PRIu64 " failed %s\n", seed, why);
            t.bad++;
        }
        if (seed % 100 == first % 100) {
            t.twice++;
            if (run(seed, minutes, false, NULL, why, &again) != trace) {
                printf("seed %" PRIu64 " gave another trace the second time\n", seed);
                t.bad++;
            }
        }
    }
    printf("%" PRIu64 " runs (%" PRIu64 " made twice), %.1f simulated hours, %" PRIu64 " steps, %" PRIu64 " faults: %" PRIu64
           " manager and %" PRIu64 " agent crashes, %" PRIu64 " writes and %" PRIu64 " messages lost; %" PRIu64 " starts, %" PRIu64
           " power-offs, %" PRIu64 " firings; %" PRIu64 " unexplained\n",
           t.runs, t.twice, t.hours, t.counts.steps, t.counts.faults, t.counts.manager_crashes, t.counts.agent_crashes,
           t.counts.writes_lost, t.counts.messages_lost, t.counts.starts, t.counts.stops, t.counts.firings, t.bad);
    return t.bad == 0 ? 0 : 1;
}
