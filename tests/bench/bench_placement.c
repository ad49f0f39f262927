/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: instances on nodes, by three ways that do the same (the best node by the rules of venv-environment(5)) or
 * less (first fit), and by the whole manager: requests in, rows, events and orders to nodes out.
 *
 *      bench_placement pool|scan|first-fit|manager NODES INSTANCES
 *
 * prints "PLACED SECONDS" (of processor time). The nodes are of four sizes, the instances of 20 environments, a third of which have `where`,
 * a third `prefer`.
 */
#include "environment/pool.h"
#include "manager/config.h"
#include "manager/manager.h"

#include <venv/codec.h>
#include <venv/message.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KINDS 20u
#define GIB(n) ((uint64_t)(n) << 30)

static void check(venv_rc rc, const venv_error *err)
{
    if (rc == VENV_OK)
        return;
    fprintf(stderr, "bench_placement: %s\n", err->text);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned cpus_of(size_t node) { return 16u << (node % 4); }

static void definition(size_t kind, char *text, size_t size)
{
    snprintf(text, size, "{\"hypervisor\": \"test\", \"vcpus\": %zu, \"memory\": \"%zuMiB\"%s%s}", 1 + kind % 4, 512 + 256 * (kind % 6),
             kind % 3 == 1 ? ", \"where\": \"node.groups.exists(g, g == 'rack1') || node.groups.exists(g, g == 'rack2')\"" : "",
             kind % 3 == 2 ? ", \"prefer\": \"node.name.size()\"" : "");
}

/* --- the pool, and two scans ------------------------------------------------------------------------------------ */

typedef struct cluster {
    venv_placement_node *nodes;
    char (*names)[32];
    venv_value *facts;
    size_t count;
    venv_environment *environments[KINDS];
    venv_expr_context *context;
} cluster;

static venv_value parse(const char *text)
{
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    check(venv_json_parse(text, strlen(text), 0, &value, &err), &err);
    return value;
}

static void cluster_make(cluster *c, size_t count)
{
    venv_error err = { 0 };
    venv_expr_env *words = NULL;
    char text[512], name[32];
    c->count = count;
    c->nodes = calloc(count, sizeof *c->nodes);
    c->names = calloc(count, sizeof *c->names);
    c->facts = calloc(count, sizeof *c->facts);
    for (size_t i = 0; i < count; i++) {
        snprintf(c->names[i], sizeof c->names[i], "node%05zu", i);
        snprintf(text, sizeof text, "{\"name\": \"%s\", \"groups\": [\"default\", \"rack%zu\"]}", c->names[i], i % 3);
        c->facts[i] = parse(text);
        c->nodes[i] = (venv_placement_node){ .name = c->names[i], .connected = true, .reachable = true, .kinds = 1u << VENV_HYPERVISOR_TEST,
                                             .cpus = cpus_of(i), .vcpus = 2 * cpus_of(i), .memory_bytes = GIB(2 * cpus_of(i)), .node = &c->facts[i] };
    }
    check(venv_environment_expr_env(&words, &err), &err);
    check(venv_expr_context_new(&c->context, &err), &err);
    for (size_t k = 0; k < KINDS; k++) {
        definition(k, text, sizeof text);
        snprintf(name, sizeof name, "e%zu", k);
        venv_value value = parse(text);
        check(venv_environment_from_value(name, &value, NULL, words, &c->environments[k], &err), &err);
        venv_value_unref(&value);
    }
}

static size_t by_pool(cluster *c, size_t instances)
{
    venv_error err = { 0 };
    venv_placement_pool *pool = NULL;
    size_t placed = 0;
    check(venv_placement_pool_new(c->nodes, c->count, c->context, NULL, &pool, &err), &err);
    for (size_t n = 0; n < instances; n++) {
        venv_placement_want want = { .environment = c->environments[n % KINDS] };
        venv_placement_guest guest = venv_placement_guest_of(want.environment);
        size_t index = 0;
        check(venv_placement_pool_choose(pool, &want, &index, &err), &err);
        if (index == c->count)
            continue;
        check(venv_placement_pool_add(pool, index, &guest, &err), &err);
        placed++;
    }
    venv_placement_pool_free(pool);
    return placed;
}

/* The same answer by a look at every node for every instance; or the first node that may. */
static size_t by_scan(cluster *c, size_t instances, bool first_fit)
{
    venv_error err = { 0 };
    size_t placed = 0;
    for (size_t n = 0; n < instances; n++) {
        venv_environment *e = c->environments[n % KINDS];
        size_t best = c->count;
        double best_score = 0, best_full = 0;
        for (size_t i = 0; i < c->count && !(first_fit && best < c->count); i++) {
            venv_placement_verdict verdict;
            verdict.rule = VENV_PLACEMENT_OK;
            verdict.score = 0;
            if (venv_placement_room(e, &c->nodes[i]) != VENV_PLACEMENT_OK)
                continue;
            check(venv_placement_judge(e, &c->nodes[i], c->context, NULL, &verdict, &err), &err);
            if (verdict.rule != VENV_PLACEMENT_OK)
                continue;
            double full = venv_placement_fullness(e, &c->nodes[i]);
            if (best == c->count || verdict.score > best_score || (verdict.score >= best_score && full > best_full)) {
                best = i;
                best_score = verdict.score;
                best_full = full;
            }
        }
        if (best == c->count)
            continue;
        c->nodes[best].used_vcpus += venv_environment_vcpus(e);
        c->nodes[best].used_memory_bytes += venv_environment_memory_bytes(e);
        placed++;
    }
    return placed;
}

/* --- the manager --------------------------------------------------------------------------------------------------- */

static uint64_t sent_starts;

static void step(venv_manager *m, venv_now *clock, venv_manager_event *event)
{
    venv_manager_actions actions;
    venv_error err = { 0 };
    venv_manager_actions_init(&actions);
    clock->mono.ns += 1000;
    clock->wall.ns += 1000;
    check(venv_manager_step(m, *clock, event, &actions, &err), &err);
    for (size_t i = 0; i < actions.count; i++)
        sent_starts += actions.items[i].kind == VENV_MANAGER_ACT_SEND && actions.items[i].type == VENV_MSG_MACHINE_START;
    venv_manager_actions_fini(&actions);
}

static void frame(venv_manager *m, venv_now *clock, uint64_t peer, int16_t type, uint64_t request, const char *text)
{
    venv_value body = parse(text);
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_FRAME, .peer = peer, .type = type, .request = request, .known = true, .value = &body };
    step(m, clock, &event);
    venv_value_unref(&body);
}

static void peer_up(venv_manager *m, venv_now *clock, uint64_t peer, venv_role role, const char *name)
{
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = peer, .role = role, .text = name, .address = "192.0.2.1:1" };
    step(m, clock, &event);
}

static double by_manager(size_t nodes, size_t instances)
{
    static char yaml[65536];
    char text[1024], name[32];
    int used = snprintf(yaml, sizeof yaml, "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n"
                        "  connect_rate: 100000\nenvironments:\n");
    for (size_t k = 0; k < KINDS; k++) {
        definition(k, text, sizeof text);
        used += snprintf(yaml + used, sizeof yaml - (size_t)used, "  e%zu: %s\n", k, text);
    }
    venv_error err = { 0 };
    venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
    venv_manager_config *config = NULL;
    venv_manager *m = NULL;
    venv_now clock = { { 1000 * VENV_NS_PER_S }, { INT64_C(1700000000) * VENV_NS_PER_S } };
    check(venv_manager_config_new(&source, 1, NULL, NULL, &config, &err), &err);
    check(venv_manager_new(config, NULL, 0, 0, (venv_id){ { 1 } }, 42, clock, &m, &err), &err);
    for (size_t i = 0; i < nodes; i++) {
        snprintf(name, sizeof name, "node%05zu", i);
        peer_up(m, &clock, i + 1, VENV_ROLE_AGENT, name);
        snprintf(text, sizeof text, "{\"versions\": [1], \"name\": \"%s\", \"groups\": [\"default\", \"rack%zu\"], "
                 "\"boot\": \"00000000-0000-4000-8000-%012zu\", \"machine\": \"00000000-0000-4000-9000-%012zu\", \"properties\": [], \"samples\": []}",
                 name, i % 3, i + 1, i + 1);
        frame(m, &clock, i + 1, VENV_MSG_HELLO, 0, text);
        snprintf(text, sizeof text, "{\"reachable\": true, \"node\": {\"cpus\": %u, \"memory\": %" PRIu64 ", \"kinds\": [\"test\"]}, "
                 "\"foreign\": {\"count\": 0, \"vcpus\": 0, \"memory\": 0}, \"machines\": []}", cpus_of(i), GIB(2 * cpus_of(i)));
        frame(m, &clock, i + 1, VENV_MSG_MACHINES, 0, text);
    }
    peer_up(m, &clock, nodes + 1, VENV_ROLE_USER, "admin");
    frame(m, &clock, nodes + 1, VENV_MSG_HELLO, 0, "{\"versions\": [1], \"program\": \"bench\"}");
    double begin = now();
    for (size_t k = 0; k < KINDS; k++) {
        size_t count = instances / KINDS + (k < instances % KINDS);
        for (size_t left = count; left > 0;) {
            size_t some = left < 1000 ? left : 1000;
            snprintf(text, sizeof text, "{\"environment\": \"e%zu\", \"count\": %zu}", k, some);
            frame(m, &clock, nodes + 1, VENV_MSG_START, k + 1, text);
            left -= some;
        }
    }
    double took = now() - begin;
    venv_manager_free(m);
    venv_manager_config_free(config);
    return took;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_placement pool|scan|first-fit|manager NODES INSTANCES\n");
        return 2;
    }
    size_t nodes = strtoul(argv[2], NULL, 10), instances = strtoul(argv[3], NULL, 10);
    if (strcmp(argv[1], "manager") == 0) {
        double took = by_manager(nodes, instances);
        printf("%" PRIu64 " %.4f\n", sent_starts, took);
        return 0;
    }
    cluster c;
    cluster_make(&c, nodes);
    double begin = now();
    size_t placed = strcmp(argv[1], "pool") == 0 ? by_pool(&c, instances) : by_scan(&c, instances, strcmp(argv[1], "first-fit") == 0);
    printf("%zu %.4f\n", placed, now() - begin);
    return 0;
}
