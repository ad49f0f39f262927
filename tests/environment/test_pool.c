/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool against a plain look at every node, on thousands of clusters drawn from seeds: the same node every time, the same
 * "none", and at the end no node holds more than it has. What is placed, taken away, asked for by name and barred is
 * drawn, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "environment/preempt.h"

#include <venv/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTERS    3000
#define NODES_MAX   40
#define KINDS       8
#define PLACED_MAX  400
#define MIB(n)      ((uint64_t)(n) << 20)

static venv_expr_env *expressions;
static venv_expr_context *context;
static venv_error err;

typedef struct cluster {
    venv_placement_node nodes[NODES_MAX];
    char names[NODES_MAX][16];
    venv_value facts[NODES_MAX];
    int64_t weight[NODES_MAX];
    uint32_t on[NODES_MAX][KINDS]; /* the reference's own count: instances of each environment */
    uint32_t vcpus[NODES_MAX], cpus[NODES_MAX];
    uint64_t memory[NODES_MAX];
    size_t count;
} cluster;

typedef struct kind {
    venv_environment *environment;
    bool where, prefer, pinned, with, without; /* with, without: affinity and anti-affinity to others, or to itself */
    int spread;
    uint32_t vcpus;
    uint64_t memory;
    const char *zone;
} kind;

static venv_value fact(int64_t weight)
{
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "weight", venv_value_int(weight));
    assert_int_equal(venv_map_take(&map, &value, &err), VENV_OK);
    return value;
}

static void draw_cluster(venv_random *random, cluster *c)
{
    memset(c, 0, sizeof *c);
    c->count = venv_random_below(random, NODES_MAX + 1);
    for (size_t i = 0; i < c->count; i++) {
        snprintf(c->names[i], sizeof c->names[i], "n%02zu", (i * 7 + 3) % NODES_MAX);
        c->weight[i] = (int64_t)venv_random_below(random, 6);
        c->facts[i] = fact(c->weight[i]);
        uint32_t cpus = 1 + (uint32_t)venv_random_below(random, 16);
        c->nodes[i] = (venv_placement_node){
            .name = c->names[i], .connected = venv_random_below(random, 12) != 0, .reachable = venv_random_below(random, 12) != 0,
            .kinds = venv_random_below(random, 12) ? 1u << VENV_HYPERVISOR_TEST : 0, .cpus = cpus, .vcpus = cpus * 2,
            .memory_bytes = MIB(256 * (1 + venv_random_below(random, 40))), .node = &c->facts[i],
            .maintenance = venv_random_below(random, 12) == 0 ? "since today by root" : NULL,
            .breaker = venv_random_below(random, 12) == 0 ? "open" : NULL,
            .zone = venv_random_below(random, 4) == 0 ? "lab" : NULL,
            .used_vcpus = (uint32_t)venv_random_below(random, 4), .used_memory_bytes = MIB(venv_random_below(random, 1024)),
        };
        c->vcpus[i] = c->nodes[i].used_vcpus;
        c->memory[i] = c->nodes[i].used_memory_bytes;
    }
}

static void draw_kind(venv_random *random, size_t number, kind *k)
{
    char text[640], name[16];
    venv_value value = venv_value_null();
    *k = (kind){ .where = venv_random_below(random, 3) == 0, .prefer = venv_random_below(random, 3) == 0,
                 .spread = (int)venv_random_below(random, 5), .pinned = venv_random_below(random, 4) == 0,
                 .with = venv_random_below(random, 6) == 0, .without = venv_random_below(random, 6) == 0,
                 .zone = venv_random_below(random, 4) == 0 ? "lab" : NULL };
    k->vcpus = 1 + (uint32_t)venv_random_below(random, 4);
    k->memory = MIB(64 * (1 + venv_random_below(random, 16)));
    snprintf(name, sizeof name, "e%zu", number);
    int used = snprintf(text, sizeof text, "{\"hypervisor\":\"test\",\"vcpus\":%u,\"memory\":\"%llu\"", k->vcpus, (unsigned long long)k->memory);
    used += snprintf(text + used, sizeof text - (size_t)used, "%s%s%s%s", k->where ? ",\"where\":\"node.weight > 1\"" : "",
                     k->prefer ? ",\"prefer\":\"node.weight\"" : "", k->spread == 1 ? ",\"spread\":\"node\"" : k->spread == 2 ? ",\"spread\":\"zone\"" : "", k->pinned ? ",\"pin\":true" : "");
    if (k->with)
        used += snprintf(text + used, sizeof text - (size_t)used, ",\"affinity\":[\"e%zu\",\"e%zu\"]", (number + 1) % KINDS, (number + 3) % KINDS);
    if (k->without)
        used += snprintf(text + used, sizeof text - (size_t)used, ",\"anti_affinity\":[\"e%zu\",\"e%zu\"]", (number + 2) % KINDS, number);
    used += snprintf(text + used, sizeof text - (size_t)used, "%s}", k->zone ? ",\"zone\":\"lab\"" : "");
    assert_int_equal(venv_json_parse(text, (size_t)used, 4096, &value, &err), VENV_OK);
    venv_rc rc = venv_environment_from_value(name, &value, NULL, &(venv_environment_words){ .place = expressions }, &k->environment, &err);
    if (rc != VENV_OK)
        print_error("%s: %s\n", text, err.text);
    assert_int_equal(rc, VENV_OK);
    venv_value_unref(&value);
}

/* --- the reference: every node, every time --------------------------------------------------------------------- */

static bool may(const cluster *c, const kind *kinds, size_t number, size_t i, const venv_placement_want *want)
{
    const venv_placement_node *n = &c->nodes[i];
    const kind *k = &kinds[number];
    if (!n->connected || !n->reachable || n->kinds == 0 || n->maintenance || n->breaker || want->breaker)
        return false;
    if ((want->asked && strcmp(want->asked, n->name) != 0) || (want->bar_count > 0 && strcmp(want->bars[0].node, n->name) == 0))
        return false;
    if ((k->zone && !n->zone) || (k->where && c->weight[i] <= 1))
        return false;
    if (k->with && (c->on[i][(number + 1) % KINDS] == 0 || c->on[i][(number + 3) % KINDS] == 0))
        return false;
    if (k->without && (c->on[i][(number + 2) % KINDS] > 0 || c->on[i][number] > 0))
        return false;
    if (k->pinned && c->cpus[i] + k->vcpus > n->cpus)
        return false;
    return c->vcpus[i] + k->vcpus <= n->vcpus && c->memory[i] + k->memory <= n->memory_bytes;
}

static double full(const cluster *c, const kind *k, size_t i)
{
    double v = ((double)c->vcpus[i] + k->vcpus) / c->nodes[i].vcpus, m = ((double)c->memory[i] + (double)k->memory) / (double)c->nodes[i].memory_bytes;
    return v > m ? v : m;
}

/* How many of it are on the node, or in its zone. */
static size_t own(const cluster *c, const kind *k, size_t number, size_t i)
{
    size_t sum = 0;
    for (size_t j = 0; k->spread == 2 && j < c->count; j++)
        sum += (c->nodes[j].zone == NULL) == (c->nodes[i].zone == NULL) ? c->on[j][number] : 0;
    return k->spread == 1 ? c->on[i][number] : sum;
}

static bool better(const cluster *c, const kind *kinds, size_t number, size_t a, size_t b)
{
    const kind *k = &kinds[number];
    size_t p = own(c, k, number, a), q = own(c, k, number, b);
    if (p != q)
        return p < q;
    if (k->prefer && c->weight[a] != c->weight[b])
        return c->weight[a] > c->weight[b];
    double x = full(c, k, a), y = full(c, k, b);
    if (x < y || x > y)
        return k->spread == 1 || k->spread == 2 ? x < y : x > y;
    return strcmp(c->names[a], c->names[b]) < 0;
}

static size_t reference(const cluster *c, const kind *kinds, size_t number, const venv_placement_want *want)
{
    size_t best = c->count;
    for (size_t i = 0; i < c->count; i++)
        if (may(c, kinds, number, i, want) && (best == c->count || better(c, kinds, number, i, best)))
            best = i;
    return best;
}

static void count_in(cluster *c, const kind *k, size_t number, size_t i, int by)
{
    c->on[i][number] += (uint32_t)by;
    c->vcpus[i] += (uint32_t)by * k->vcpus;
    c->cpus[i] += k->pinned ? (uint32_t)by * k->vcpus : 0;
    c->memory[i] += (uint64_t)(int64_t)by * k->memory;
}

/* --- preemption: every node, every number of victims ------------------------------------------------------------- */

/* The lowest priority of the highest victim on a node, by trying them in turn; INT32_MAX: no use. */
static int32_t least_priority(const venv_environment *e, venv_placement_node node, const venv_preempt_guest *guests, size_t count, size_t index)
{
    int32_t worst = INT32_MIN;
    bool gone[32] = { false };
    for (int n = 0; n <= (int)VENV_PREEMPT_MAX; n++) {
        size_t next = count;
        if (venv_placement_room(e, &node) == VENV_PLACEMENT_OK)
            return worst;
        for (size_t i = 0; i < count; i++)
            if (guests[i].node == index && !gone[i] &&
                (next == count || guests[i].priority < guests[next].priority ||
                 (guests[i].priority == guests[next].priority && guests[i].made > guests[next].made)))
                next = i;
        if (next == count || n == (int)VENV_PREEMPT_MAX)
            break;
        gone[next] = true;
        worst = guests[next].priority;
        node.used_vcpus -= guests[next].vcpus;
        node.used_memory_bytes -= guests[next].memory_bytes;
    }
    return INT32_MAX;
}

static void preempt_one(venv_random *random, size_t *found)
{
    static cluster c;
    kind k;
    venv_preempt_guest guests[32], shuffled[32];
    size_t count = 0, per[NODES_MAX] = { 0 };
    venv_placement_pool *pool = NULL;
    venv_preempt_choice choice;
    draw_cluster(random, &c);
    draw_kind(random, 0, &k);
    venv_placement_want want = { .environment = k.environment };
    for (size_t i = 0; i < c.count && count < 32; i++) {
        for (size_t n = venv_random_below(random, 5); n > 0 && count < 32; n--) {
            guests[count] = (venv_preempt_guest){ .node = i, .vcpus = 1 + (uint32_t)venv_random_below(random, 3), .memory_bytes = MIB(64 * (1 + venv_random_below(random, 8))),
                                                  .priority = (int32_t)venv_random_below(random, 5), .made = (int64_t)count };
            c.nodes[i].used_vcpus += guests[count].vcpus;
            c.nodes[i].used_memory_bytes += guests[count].memory_bytes;
            guests[count].user = &guests[count];
            count++;
            per[i]++;
        }
        if (venv_random_below(random, 2) == 0) /* full of what must not go */
            c.nodes[i].used_vcpus = c.nodes[i].used_vcpus > c.nodes[i].vcpus ? c.nodes[i].used_vcpus : c.nodes[i].vcpus;
    }
    memcpy(shuffled, guests, sizeof guests);
    assert_int_equal(venv_placement_pool_new(c.nodes, c.count, context, NULL, &pool, &err), VENV_OK);
    assert_int_equal(venv_placement_preempt(pool, &want, shuffled, count, &choice, &err), VENV_OK);
    int32_t best = INT32_MAX;
    for (size_t i = 0; i < c.count; i++) {
        venv_placement_rule rule;
        assert_int_equal(venv_placement_pool_rule(pool, &want, i, &rule, &err), VENV_OK);
        int32_t here = per[i] > 0 && venv_placement_is_room(rule) ? least_priority(k.environment, c.nodes[i], guests, count, i) : INT32_MAX;
        best = here < best ? here : best;
    }
    assert_int_equal(choice.node < c.count, best < INT32_MAX);
    if (choice.node < c.count) {
        venv_placement_node node = c.nodes[choice.node];
        int32_t worst = INT32_MIN;
        for (size_t n = 0; n < choice.count; n++) {
            const venv_preempt_guest *g = choice.users[n];
            assert_int_equal(g->node, choice.node);
            node.used_vcpus -= g->vcpus;
            node.used_memory_bytes -= g->memory_bytes;
            worst = g->priority > worst ? g->priority : worst;
        }
        assert_true(choice.count > 0 && venv_placement_room(k.environment, &node) == VENV_PLACEMENT_OK);
        assert_true(worst <= best);
        for (size_t n = 0; n < choice.count; n++) { /* nobody goes for nothing */
            const venv_preempt_guest *g = choice.users[n];
            venv_placement_node with = node;
            with.used_vcpus += g->vcpus;
            with.used_memory_bytes += g->memory_bytes;
            assert_true(venv_placement_room(k.environment, &with) != VENV_PLACEMENT_OK);
        }
        ++*found;
    }
    venv_placement_pool_free(pool);
    for (size_t i = 0; i < c.count; i++)
        venv_value_unref(&c.facts[i]);
    venv_environment_unref(k.environment);
}

static void no_more_go_than_it_takes(void **state)
{
    (void)state;
    venv_random random;
    size_t found = 0;
    venv_random_init(&random, 77);
    for (int i = 0; i < 5000; i++)
        preempt_one(&random, &found);
    print_message("5000 full clusters: room was made on %zu\n", found);
    assert_true(found > 500);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

typedef struct tally {
    size_t placed, refused, removed, asked;
} tally;

static void check_words(venv_placement_pool *pool, const venv_placement_want *want, const cluster *c, const kind *kinds, size_t number)
{
    size_t counts[VENV_PLACEMENT__COUNT], seen[VENV_PLACEMENT__COUNT] = { 0 };
    assert_int_equal(venv_placement_pool_tally(pool, want, counts, &err), VENV_OK);
    for (size_t i = 0; i < c->count; i++) {
        venv_placement_verdict verdict;
        assert_int_equal(venv_placement_pool_judge(pool, want, i, &verdict, &err), VENV_OK);
        assert_int_equal(verdict.rule == VENV_PLACEMENT_OK, may(c, kinds, number, i, want));
        assert_true(verdict.rule == VENV_PLACEMENT_OK || (verdict.needed[0] && verdict.available[0]));
        seen[verdict.rule]++;
    }
    assert_memory_equal(counts, seen, sizeof counts);
}

static void run_one(venv_random *random, tally *t)
{
    static cluster c;
    kind kinds[KINDS];
    struct { size_t node, kind; } placed[PLACED_MAX];
    size_t placed_count = 0;
    venv_placement_pool *pool = NULL;
    draw_cluster(random, &c);
    for (size_t i = 0; i < KINDS; i++)
        draw_kind(random, i, &kinds[i]);
    assert_int_equal(venv_placement_pool_new(c.nodes, c.count, context, NULL, &pool, &err), VENV_OK);
    for (int step = 0; step < 60 && placed_count < PLACED_MAX; step++) {
        size_t number = venv_random_below(random, KINDS), index = 0;
        if (placed_count > 0 && venv_random_below(random, 8) == 0) {
            size_t which = venv_random_below(random, placed_count), at = placed[which].node;
            venv_placement_guest guest = venv_placement_guest_of(kinds[placed[which].kind].environment);
            assert_int_equal(venv_placement_pool_remove(pool, at, &guest, &err), VENV_OK);
            count_in(&c, &kinds[placed[which].kind], placed[which].kind, at, -1);
            placed[which] = placed[--placed_count];
            t->removed++;
        }
        venv_placement_bar bar = { c.names[c.count ? venv_random_below(random, c.count) : 0], "it could not start it before" };
        venv_placement_want want = { .environment = kinds[number].environment, .bars = &bar, .bar_count = venv_random_below(random, 4) == 0 };
        if (c.count > 0 && venv_random_below(random, 8) == 0)
            want.asked = c.names[venv_random_below(random, c.count)];
        if (venv_random_below(random, 20) == 0)
            want.breaker = "environment is open";
        t->asked += want.asked != NULL;
        assert_int_equal(venv_placement_pool_choose(pool, &want, &index, &err), VENV_OK);
        assert_int_equal(index, reference(&c, kinds, number, &want));
        if (step % 16 == 0)
            check_words(pool, &want, &c, kinds, number);
        if (index == c.count) {
            t->refused++;
            continue;
        }
        venv_placement_guest guest = venv_placement_guest_of(kinds[number].environment);
        assert_int_equal(venv_placement_pool_add(pool, index, &guest, &err), VENV_OK);
        count_in(&c, &kinds[number], number, index, 1);
        placed[placed_count].node = index;
        placed[placed_count++].kind = number;
        t->placed++;
    }
    for (size_t i = 0; i < c.count; i++) { /* foreign domains may take more than there is; ours do not */
        uint32_t ours = 0;
        for (size_t k = 0; k < KINDS; k++)
            ours += c.on[i][k];
        assert_true(ours == 0 || (c.nodes[i].used_vcpus <= c.nodes[i].vcpus && c.nodes[i].used_memory_bytes <= c.nodes[i].memory_bytes &&
                                  c.nodes[i].used_cpus <= c.nodes[i].cpus));
        assert_int_equal(c.nodes[i].used_vcpus, c.vcpus[i]);
        assert_true(c.nodes[i].used_memory_bytes == c.memory[i]);
    }
    venv_placement_pool_free(pool);
    for (size_t i = 0; i < c.count; i++)
        venv_value_unref(&c.facts[i]);
    for (size_t i = 0; i < KINDS; i++)
        venv_environment_unref(kinds[i].environment);
}

static void the_pool_is_a_look_at_every_node(void **state)
{
    (void)state;
    venv_random random;
    tally t = { 0 };
    venv_random_init(&random, 20260101);
    for (int i = 0; i < CLUSTERS; i++)
        run_one(&random, &t);
    print_message("%d clusters: %zu placed, %zu refused, %zu taken away, %zu asked for by name\n", CLUSTERS, t.placed, t.refused, t.removed, t.asked);
    assert_true(t.placed > 30000 && t.refused > 30000 && t.removed > 3000 && t.asked > 10000);
}

static void a_survey_tells_the_chosen_one_first(void **state)
{
    (void)state;
    venv_placement_node nodes[] = {
        { .name = "a", .connected = true, .reachable = true, .kinds = 1u << VENV_HYPERVISOR_TEST, .vcpus = 4, .memory_bytes = MIB(64) },
        { .name = "b", .connected = true, .reachable = true, .kinds = 1u << VENV_HYPERVISOR_TEST, .vcpus = 4, .memory_bytes = MIB(512) },
        { .name = "c", .connected = true, .reachable = true, .kinds = 1u << VENV_HYPERVISOR_TEST, .vcpus = 4, .memory_bytes = MIB(256) },
    };
    static const char text[] = "{\"hypervisor\":\"test\",\"vcpus\":1,\"memory\":\"128MiB\"}";
    venv_value value = venv_value_null();
    venv_environment *e = NULL;
    venv_placement_pool *pool = NULL;
    size_t index = 0, told[4], count = 0;
    assert_int_equal(venv_json_parse(text, sizeof text - 1, 4096, &value, &err), VENV_OK);
    assert_int_equal(venv_environment_from_value("e", &value, NULL, &(venv_environment_words){ .place = expressions }, &e, &err), VENV_OK);
    assert_int_equal(venv_placement_pool_new(nodes, 3, context, NULL, &pool, &err), VENV_OK);
    venv_placement_want want = { .environment = e };
    assert_int_equal(venv_placement_pool_choose(pool, &want, &index, &err), VENV_OK);
    assert_int_equal(index, 2); /* the fullest with it */
    assert_int_equal(venv_placement_pool_survey(pool, &want, index, 4, told, &count, &err), VENV_OK);
    assert_int_equal(count, 3);
    assert_true(told[0] == 2 && told[1] == 1 && told[2] == 0);
    assert_int_equal(venv_placement_pool_survey(pool, &want, index, 1, told, &count, &err), VENV_OK);
    assert_int_equal(count, 1);
    assert_int_equal(venv_placement_pool_find(pool, "b"), 1);
    assert_int_equal(venv_placement_pool_find(pool, "z"), 3);
    venv_placement_pool_free(pool);
    venv_placement_node twice[] = { nodes[0], nodes[0] };
    assert_int_equal(venv_placement_pool_new(twice, 2, context, NULL, &pool, &err), VENV_EEXIST);
    venv_environment_unref(e);
    venv_value_unref(&value);
}

int main(void)
{
    if (venv_environment_expr_env(&expressions, &err) != VENV_OK || venv_expr_context_new(&context, &err) != VENV_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pool_is_a_look_at_every_node),
        cmocka_unit_test(a_survey_tells_the_chosen_one_first),
        cmocka_unit_test(no_more_go_than_it_takes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    venv_expr_context_free(context);
    venv_expr_env_unref(expressions);
    return failed != 0;
}
