/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venv_sim_seeded [--seeds N] [--seed FIRST] [FAULT...]
 *
 * Breaks the cores in one place after the other (seeded.def) and runs the simulator until it says that something is wrong: at
 * most N seeds for each fault, 500 if nothing is said. Prints the table: fault, seed at which it was found, runs that it took,
 * the rule that has to find it and the one that did, and what was violated. The same seeds without a fault must be good: a rule that cries for nothing finds everything.
 * Exit 0: every fault was found, by its rule, and nothing was found without one.
 */
#include "sim/sim.h"

#include "base/seeded.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEEDS_DEFAULT 500u

typedef struct fault_row {
    const char *name, *file, *breaks, *rule;
} fault_row;

static const fault_row rows[VENV_SEEDED__COUNT] = {
#define SEEDED(name, file, breaks, rule) [VENV_SEEDED_##name] = { #name, file, breaks, rule },
#include "sim/seeded.def"
#undef SEEDED
};

static venv_seeded_fault chosen = VENV_SEEDED_NONE;
static uint64_t reached;

bool venv_seeded_is(venv_seeded_fault fault)
{
    reached += fault == chosen;
    return fault == chosen;
}

/* The seed at which a fault is found; 0: none. */
static uint64_t find(venv_seeded_fault fault, uint64_t first, uint64_t seeds, sim_result *result)
{
    const sim_settings settings = { .servers = 0 };
    chosen = fault;
    reached = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        sim_run(seed, &settings, result);
        if (!result->good)
            return seed;
    }
    return 0;
}

static const char *reason(const char *why)
{
    const char *after = strstr(why, " s: ");
    return after ? after + 4 : why;
}

/* The rule that a failure names: its first word, before a colon. */
static void rule_of(const char *why, char rule[24])
{
    size_t size = strcspn(why, ": ");
    snprintf(rule, 24, "%.*s", why[size] == ':' && size < 23 ? (int)size : 1, why[size] == ':' && size < 23 ? why : "?");
}

/* `expected`: one rule, or several with | between. */
static bool is_among(const char *expected, const char *rule)
{
    size_t size = strlen(rule);
    for (const char *at = expected; *at; at += strcspn(at, "|"), at += *at == '|')
        if (strcspn(at, "|") == size && memcmp(at, rule, size) == 0)
            return true;
    return false;
}

typedef enum finding { NOT_FOUND = 0, FOUND_BY_ANOTHER, FOUND } finding;

static finding look_for(venv_seeded_fault fault, uint64_t first, uint64_t seeds)
{
    sim_result result;
    uint64_t seed = find(fault, first, seeds, &result);
    char name[32], rule[24] = "-";
    size_t size = 0;
    for (const char *c = rows[fault].name; *c && size < sizeof name - 1; c++)
        name[size++] = (char)(*c == '_' ? '-' : *c + ('a' - 'A'));
    name[size] = '\0';
    if (!seed) {
        printf("%-22s %6s %5" PRIu64 "  %-12s %-10s NOT FOUND: %s (%s; the place was reached %" PRIu64 " times)\n", name, "-", seeds,
               rows[fault].rule, rule, rows[fault].breaks, rows[fault].file, reached);
        fflush(stdout);
        return NOT_FOUND;
    }
    rule_of(reason(result.why), rule);
    bool expected = is_among(rows[fault].rule, rule);
    printf("%-22s %6" PRIu64 " %5" PRIu64 "  %-12s %-10s %s%s\n", name, seed, seed - first + 1, rows[fault].rule, rule,
           expected ? "" : "ANOTHER RULE: ", reason(result.why));
    fflush(stdout);
    return expected ? FOUND : FOUND_BY_ANOTHER;
}

static bool is_named(venv_seeded_fault fault, char **names)
{
    if (!*names)
        return true;
    for (; *names; names++) {
        size_t i = 0;
        const char *name = rows[fault].name;
        while (name[i] && (name[i] == (*names)[i] || (name[i] == '_' && (*names)[i] == '-') || name[i] + 32 == (*names)[i]))
            i++;
        if (!name[i] && !(*names)[i])
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = SEEDS_DEFAULT;
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--seeds") == 0)
            seeds = strtoull(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--seed") == 0)
            first = strtoull(argv[at + 1], NULL, 10);
        else
            break;
    }
    if ((at < argc && argv[at][0] == '-') || seeds == 0) {
        fputs("usage: venv_sim_seeded [--seeds N] [--seed FIRST] [FAULT...]\n", stderr);
        return 2;
    }
    clock_t begin = clock();
    unsigned looked = 0, found = 0, by_another = 0;
    printf("%-22s %6s %5s  %-12s %-10s %s\n", "fault", "seed", "runs", "rule", "found by", "violated");
    for (int fault = VENV_SEEDED_NONE + 1; fault < VENV_SEEDED__COUNT; fault++) {
        if (!is_named((venv_seeded_fault)fault, argv + at))
            continue;
        looked++;
        finding is = look_for((venv_seeded_fault)fault, first, seeds);
        found += is != NOT_FOUND;
        by_another += is == FOUND_BY_ANOTHER;
    }
    sim_result result;
    uint64_t control = seeds < 500 ? seeds / 5 + 1 : 100, cried = find(VENV_SEEDED_NONE, first, control, &result);
    if (cried)
        printf("without a fault seed %" PRIu64 " is found to be wrong: %s\n", cried, reason(result.why));
    printf("%u faults sown, %u found within %" PRIu64 " seeds, %u of them by another rule than the table says; %" PRIu64 " runs without a fault, %s; %.1f s\n", looked, found, seeds,
           by_another, control, cried ? "and one was found" : "none found", (double)(clock() - begin) / CLOCKS_PER_SEC);
    return looked > 0 && found == looked && by_another == 0 && !cried ? 0 : 1;
}
