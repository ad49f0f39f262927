/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venv_sim --seeds N [--seed FIRST] [--minutes M] [--managers M] [--nodes N] [--calm] [--reloads] [--scale] [--verbose]
 * venv_sim --seeds 1 --seed N --record FILE      and the first manager's flight record goes there
 * venv_sim --replay FILE                         step through a flight record, of the simulator or of `venvctl dump`
 * venv_sim --scenario FILE [--scenario FILE ...] [--seeds N] [--seed FIRST] [--verbose]
 *
 * N runs from seed FIRST on. Each plays M minutes of misfortunes, then heals everything and demands that all work is
 * done within simulated half an hour. One run in a hundred is made twice, and its traces must be the same. Exit 0
 * only if nothing is unexplained.
 */
#include "sim/replay.h"
#include "sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct totals {
    counts counts;
    uint64_t runs, twice, bad;
    double hours, again; /* again: of those that were made twice, the second time */
} totals;

static void add_up(totals *t, const sim_result *r)
{
    const uint64_t *from = (const uint64_t *)&r->counts;
    uint64_t *to = (uint64_t *)&t->counts;
    for (size_t i = 0; i < sizeof r->counts / sizeof *from; i++)
        to[i] += from[i];
    t->hours += (double)r->simulated / 3600e9;
    t->runs++;
}

static void one_seed(uint64_t seed, bool twice, const sim_settings *settings, totals *t)
{
    sim_result result, again;
    sim_run(seed, settings, &result);
    add_up(t, &result);
    if (!result.good) {
        printf("seed %" PRIu64 " failed %s\n", seed, result.why);
        t->bad++;
    }
    if (!twice)
        return;
    t->twice++;
    sim_run(seed, settings, &again);
    t->again += (double)again.simulated / 3600e9;
    if (again.trace != result.trace) {
        printf("seed %" PRIu64 " gave another trace the second time\n", seed);
        t->bad++;
    }
}

static void print(const totals *t, double seconds)
{
    printf("faults:");
    for (int k = 0; k < FAULT__COUNT; k++)
        printf(" %s %" PRIu64, faults_name((fault_kind)k), t->counts.by_fault[k]);
    printf("\n%" PRIu64 " runs (%" PRIu64 " made twice), %.1f simulated hours, %" PRIu64 " steps, %" PRIu64 " faults, %" PRIu64 " lies, %" PRIu64
           " writes, %" PRIu64 " notes of agents and %" PRIu64 " of %" PRIu64 " messages lost; %" PRIu64 " starts, %" PRIu64 " power-offs, %" PRIu64 " changes, %" PRIu64 " moves (%" PRIu64 " broken off), %" PRIu64 " commands, %" PRIu64
           " firings, %" PRIu64 " proposals applied, %" PRIu64 " jobs; %.1f s, %.0f times as fast as time; %" PRIu64 " unexplained\n",
           t->runs, t->twice, t->hours, t->counts.steps, t->counts.faults, t->counts.lies, t->counts.writes_lost, t->counts.keeps_lost, t->counts.messages_lost,
           t->counts.messages, t->counts.starts, t->counts.stops, t->counts.changes, t->counts.moves, t->counts.moves_broken, t->counts.commands, t->counts.firings, t->counts.applied, t->counts.jobs, seconds,
           seconds > 0 ? (t->hours + t->again) * 3600 / seconds : 0, t->bad);
}

#define SCENARIOS_MAX 100

static int play_all(const char *const *files, size_t count, uint64_t first, uint64_t seeds, FILE *out)
{
    size_t good = 0;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* each is told when it was played */
    for (size_t i = 0; i < count; i++)
        good += scenario_play(files[i], first, seeds, out);
    printf("%zu scenarios played with %" PRIu64 " seeds each, %zu good\n", count, seeds, good);
    return good == count ? 0 : 1;
}

static int usage(void)
{
    fputs("usage: venv_sim --seeds N [--seed FIRST] [--minutes M] [--managers M] [--nodes N] [--calm] [--reloads] [--scale] [--record FILE] [--verbose]\n"
          "       venv_sim --replay FILE\n"
          "       venv_sim --scenario FILE [--scenario FILE ...] [--seeds N] [--seed FIRST] [--verbose]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = 0;
    const char *scenarios[SCENARIOS_MAX];
    size_t scenario_count = 0;
    sim_settings settings = { .servers = 0 };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--verbose") == 0)
            settings.out = stderr;
        else if (strcmp(argv[i], "--reloads") == 0)
            settings.reloads = true;
        else if (strcmp(argv[i], "--scale") == 0) {
            settings.scale = true;
            settings.manager_yaml = sim_scaled;
        } else if (strcmp(argv[i], "--calm") == 0)
            settings.calm = true;
        else if (!value)
            return usage();
        else if (strcmp(argv[i], "--scenario") == 0 && scenario_count < SCENARIOS_MAX)
            scenarios[scenario_count++] = argv[++i];
        else if (strcmp(argv[i], "--replay") == 0)
            return replay_file(value, stdout);
        else if (strcmp(argv[i], "--record") == 0)
            settings.record = argv[++i];
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--minutes") == 0)
            settings.minutes = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--managers") == 0)
            settings.servers = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--nodes") == 0)
            settings.nodes = (int)strtol(argv[++i], NULL, 10);
        else
            return usage();
    }
    if (scenario_count > 0)
        return play_all(scenarios, scenario_count, first, seeds ? seeds : 1, settings.out);
    if (seeds == 0 || settings.minutes < 0 || settings.minutes > 100000 || settings.servers < 0 || settings.servers > SERVERS_MAX ||
        settings.nodes < 0 || settings.nodes > NODES_MAX - SERVERS_MAX)
        return usage();
    totals t = { .runs = 0 };
    clock_t begin = clock();
    for (uint64_t seed = first; seed < first + seeds; seed++)
        one_seed(seed, seed % 100 == first % 100, &settings, &t);
    print(&t, (double)(clock() - begin) / CLOCKS_PER_SEC);
    return t.bad == 0 ? 0 : 1;
}
