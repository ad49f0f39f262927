/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_history DIRECTORY [AGENTS] [HOURS] [JSON]: a synthetic day of so many agents (1000), 20 properties each, sampled every 10 s, through
 * the writer of the history as the manager uses it. Prints the bytes of the files and those of a sample, reads all of it back and
 * compares. With JSON the first five agents are written there as lines, for the peers (part-history.sh).
 */
#include "history/journal.h"
#include "store/history_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PROPERTIES 20
#define PERIOD_MS  10000
#define T0         INT64_C(1700000000000)
#define JSON_AGENTS 5

typedef struct machine {
    uint32_t series[PROPERTIES];
    int64_t phase, uptime, sent, received, reads, free_memory, processes, users, disk;
    double load1, load5, temperature, watts, ratio;
    int busy;
    uint64_t random;
} machine;

static const char *const labels[PROPERTIES] = {
    "cpus", "memory", "kernel", "hostname", "model", "kvm", "uptime", "net_sent", "net_received", "disk_reads",
    "memfree", "processes", "users", "diskfree", "load1", "load5", "cputemp", "watts", "cache_ratio", "state",
};

static double draw(machine *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (double)(m->random >> 11) / 9007199254740992.0;
}

static double rounded(double value, double unit)
{
    return round(value / unit) / (1 / unit);
}

/* Ten seconds later. */
static void step(machine *m)
{
    m->uptime += 10;
    if (m->busy ? draw(m) < 0.002 : draw(m) < 0.001)
        m->busy = !m->busy;
    m->sent += (int64_t)(draw(m) * (m->busy ? 4e6 : 3e4));
    m->received += (int64_t)(draw(m) * (m->busy ? 9e6 : 5e4));
    m->reads += (int64_t)(draw(m) * (m->busy ? 900 : 4));
    m->free_memory += (int64_t)((draw(m) - 0.5) * (m->busy ? 60000 : 900));
    if (draw(m) < 0.3)
        m->processes += (int64_t)(draw(m) * 5) - 2;
    if (draw(m) < 0.002)
        m->users = (int64_t)(draw(m) * 6);
    if (draw(m) < 0.05)
        m->disk -= (int64_t)(draw(m) * 4000);
    m->load1 += ((m->busy ? 7.5 : 0.1) - m->load1) * 0.15 + (draw(m) - 0.5) * (m->busy ? 0.6 : 0.05);
    m->load5 += (m->load1 - m->load5) * 0.03;
    m->temperature += ((m->busy ? 71 : 38) - m->temperature) * 0.02 + (draw(m) - 0.5) * 0.8;
    m->watts = 60 + 20 * m->load1 + draw(m);
    m->ratio = (double)(m->reads % 1009) / 1009.0;
}

static venv_value value_of(const machine *m, unsigned property)
{
    switch (property) {
    case 0: return venv_value_int(16);
    case 1: return venv_value_int(65803276);
    case 2: return venv_value_literal("6.1.0-28-amd64");
    case 3: return venv_value_literal("node0815.cluster.example.org");
    case 4: return venv_value_literal("AMD EPYC 7313 16-Core Processor");
    case 5: return venv_value_bool(true);
    case 6: return venv_value_int(m->uptime);
    case 7: return venv_value_int(m->sent);
    case 8: return venv_value_int(m->received);
    case 9: return venv_value_int(m->reads);
    case 10: return venv_value_int(m->free_memory);
    case 11: return venv_value_int(m->processes);
    case 12: return venv_value_int(m->users);
    case 13: return venv_value_int(m->disk);
    case 14: return venv_value_double(rounded(fabs(m->load1), 0.01));
    case 15: return venv_value_double(rounded(fabs(m->load5), 0.01));
    case 16: return venv_value_double(rounded(m->temperature, 0.5));
    case 17: return venv_value_double(rounded(m->watts, 0.1));
    case 18: return venv_value_double(m->ratio);
    default: return venv_value_literal(m->busy ? "allocated" : "idle");
    }
}

static void write_json(FILE *json, unsigned agent, unsigned property, int64_t time_ms, const venv_value *value)
{
    char text[80];
    venv_value_print(value, text, sizeof text);
    fprintf(json, "{\"agent\":\"node%04u\",\"label\":\"%s\",\"time\":%" PRId64 ",\"value\":%s}\n", agent, labels[property], time_ms, text);
}

static void die(const venv_error *err)
{
    fprintf(stderr, "bench_history: %s\n", err->text);
    exit(1);
}

typedef struct tally {
    uint64_t samples;
    double sum;
} tally;

static void add(tally *t, const venv_value *value)
{
    t->samples++;
    if (venv_value_kind(value) == VENV_INT)
        t->sum += (double)venv_value_peek_int(value);
    else if (venv_value_kind(value) == VENV_DOUBLE)
        t->sum += venv_value_peek_double(value);
}

static bool count_sample(void *user, const venv_history_sample *sample)
{
    add(user, sample->value);
    return true;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void hand_over(venv_history_writer *writer, venv_history_journal *journal)
{
    venv_error err = { 0 };
    if (venv_history_writer_add(writer, journal->bytes.data, journal->bytes.size, &err) != VENV_OK)
        die(&err);
    venv_history_journal_clear(journal);
}

int main(int argc, char **argv)
{
    unsigned agents = argc > 2 ? (unsigned)atol(argv[2]) : 1000, hours = argc > 3 ? (unsigned)atol(argv[3]) : 24;
    FILE *json = argc > 4 ? fopen(argv[4], "w") : NULL;
    venv_history_writer *writer = NULL;
    venv_history_journal journal;
    venv_error err = { 0 };
    tally wrote = { 0, 0 }, got = { 0, 0 };
    machine *machines = calloc(agents ? agents : 1, sizeof *machines);
    char name[32];
    if (argc < 2 || !machines || venv_history_writer_open(argv[1], &(venv_history_limits){ 0 }, &writer, &err) != VENV_OK)
        die(&err);
    venv_history_journal_init(&journal);
    double began = seconds();
    for (unsigned a = 0; a < agents; a++) {
        machines[a] = (machine){ .random = a * 2654435761u + 88172645463325252u, .free_memory = 40000000, .processes = 300, .uptime = a * 1000,
                                 .disk = 900000000, .temperature = 40, .sent = a * 77777, .received = a * 55555 };
        machines[a].phase = (int64_t)(draw(&machines[a]) * PERIOD_MS);
        snprintf(name, sizeof name, "node%04u", a);
        for (unsigned p = 0; p < PROPERTIES; p++)
            machines[a].series[p] = venv_history_journal_define(&journal, VENV_HISTORY_PROPERTY, name, labels[p]);
        if (journal.bytes.size > (1u << 18))
            hand_over(writer, &journal);
    }
    /* Half a second is one journal, as the manager does it; an agent's samples come together, some milliseconds off its second. */
    for (int64_t now = T0; now < T0 + (int64_t)hours * 3600000; now += 500) {
        for (unsigned a = 0; a < agents; a++) {
            machine *m = &machines[a];
            int64_t into = (now - T0) % PERIOD_MS;
            if (m->phase < into || m->phase >= into + 500)
                continue;
            step(m);
            int64_t at = now + m->phase - into + (int64_t)(draw(m) * 4);
            for (unsigned p = 0; p < PROPERTIES; p++) {
                venv_value value = value_of(m, p);
                add(&wrote, &value);
                venv_history_journal_sample(&journal, m->series[p], (venv_wall){ at * 1000000 }, VENV_QUALITY_OK, &value);
                if (json && a < JSON_AGENTS)
                    write_json(json, a, p, at, &value);
            }
        }
        if (journal.bytes.size > 0)
            hand_over(writer, &journal);
    }
    if (venv_history_writer_pack(writer, &err) != VENV_OK)
        die(&err);
    venv_history_counts counts = venv_history_writer_counts(writer);
    venv_history_writer_close(writer);
    double spent = seconds() - began;
    if (json)
        fclose(json);
    venv_history *history = NULL;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    if (venv_history_open(argv[1], &history, &err) != VENV_OK || venv_history_read(history, &query, count_sample, &got, &err) != VENV_OK)
        die(&err);
    venv_history_close(history);
    printf("%" PRIu64 " %" PRIu64 " %.3f %.1f %.1f\n", counts.samples, counts.bytes, (double)counts.bytes / (double)counts.samples,
           spent * 1e9 / (double)counts.samples, (seconds() - began - spent) * 1e9 / (double)counts.samples);
    venv_history_journal_fini(&journal);
    free(machines);
    if (counts.lost > 0 || journal.dropped > 0 || got.samples != wrote.samples || fabs(got.sum - wrote.sum) > fabs(wrote.sum) * 1e-9) {
        fprintf(stderr, "bench_history: what was read is not what was written: %" PRIu64 " of %" PRIu64 " samples\n", got.samples,
                wrote.samples);
        return 1;
    }
    return 0;
}
