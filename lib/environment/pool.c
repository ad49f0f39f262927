/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of nodes: for each environment a tournament tree over those that may run it.
 *
 *      best[1]            the best of all
 *      best[2] best[3]    the better of two halves …
 *      best[width + n]    node n, or NONE if it may not
 *
 * What is added is kept in a log of changes; a tree takes them up when it is asked next, so an environment that nobody asks for costs
 * nothing.
 */
#include "environment/pool.h"

#include "base/table.h"
#include "environment/demand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE         UINT32_MAX
#define NAMES_MAX    131072u
#define CLASSES_MAX  131072u
#define POOL_SEED    UINT64_C(0x706c616365)

typedef struct change {
    uint32_t node, environment; /* its number */
    bool more;
} change;

typedef struct key {
    double score, full;
    uint32_t own;     /* with spread: how many of its environment are there, or in its zone */
} key;

/* What depends on which environments run on a node. */
typedef struct company {
    uint32_t *environments; /* numbers */
    size_t count;
    uint32_t *on;           /* how many instances of each of them, by node: [environment × nodes + node] */
} company;

typedef struct class {
    venv_environment *environment;
    uint32_t number;
    uint8_t *judged, *rules;   /* by node: without, and with what is on it */
    key *keys;
    uint32_t *best;
    size_t counts[VENV_PLACEMENT__COUNT];
    size_t synced;             /* changes that were taken up */
    venv_definition_spread spread;
    uint32_t *in_zone;         /* spread over zones: by zone, how many */
    company own, with, without;
} class;

struct venv_placement_pool {
    venv_placement_node *nodes;
    size_t count, width;
    uint32_t *ranks;           /* by node: place of its name among all */
    uint32_t *zones;           /* by node: number of its zone */
    venv_table *by_name;       /* → node */
    venv_table *numbers;       /* environment → its number + 1, as a pointer */
    venv_table *classes;       /* the address of an environment → class */
    change *log;
    size_t log_count, log_capacity;
    venv_expr_context *context;
    void *expr_data;
};

/* --- birth and death ----------------------------------------------------------------------------------- */

typedef struct named {
    const char *name;
    uint32_t index;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static venv_rc rank_names(venv_placement_pool *pool, venv_error *err)
{
    named *list = calloc(pool->count + 1, sizeof *list);
    if (!list)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < pool->count; i++)
        list[i] = (named){ pool->nodes[i].name, (uint32_t)i };
    if (pool->count > 0)
        qsort(list, pool->count, sizeof *list, by_name);
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < pool->count; i++) {
        pool->ranks[list[i].index] = (uint32_t)i;
        rc = venv_table_add(pool->by_name, list[i].name, strlen(list[i].name), &pool->nodes[list[i].index], err);
    }
    free(list);
    return rc;
}

/* Zones are numbered by the first node that is in them; 0 is "none". */
static venv_rc number_zones(venv_placement_pool *pool, venv_error *err)
{
    venv_table *zones = NULL;
    venv_rc rc = venv_table_new(POOL_SEED, pool->count + 1, &zones, err);
    for (size_t i = 0; rc == VENV_OK && i < pool->count; i++) {
        const char *zone = pool->nodes[i].zone;
        uint32_t *first = zone ? venv_table_find(zones, zone, strlen(zone)) : NULL;
        pool->zones[i] = first ? *first : zone ? (uint32_t)i + 1 : 0;
        if (zone && !first)
            rc = venv_table_add(zones, zone, strlen(zone), &pool->zones[i], err);
    }
    venv_table_free(zones);
    return rc;
}

venv_rc venv_placement_pool_new(venv_placement_node *nodes, size_t count, venv_expr_context *context, void *expr_data,
                                venv_placement_pool **ret_pool, venv_error *err)
{
    venv_placement_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    pool->nodes = nodes;
    pool->count = count;
    pool->context = context;
    pool->expr_data = expr_data;
    for (pool->width = 1; pool->width < count;)
        pool->width *= 2;
    pool->ranks = calloc(count + 1, sizeof *pool->ranks);
    pool->zones = calloc(count + 1, sizeof *pool->zones);
    venv_rc rc = pool->ranks && pool->zones ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK)
        rc = venv_table_new(POOL_SEED, count + 1, &pool->by_name, err);
    if (rc == VENV_OK)
        rc = venv_table_new(POOL_SEED, NAMES_MAX, &pool->numbers, err);
    if (rc == VENV_OK)
        rc = venv_table_new(POOL_SEED, CLASSES_MAX, &pool->classes, err);
    if (rc == VENV_OK)
        rc = rank_names(pool, err);
    if (rc == VENV_OK)
        rc = number_zones(pool, err);
    if (rc != VENV_OK) {
        venv_placement_pool_free(pool);
        return rc;
    }
    *ret_pool = pool;
    return VENV_OK;
}

static void company_fini(company *c)
{
    free(c->environments);
    free(c->on);
}

static void class_free(class *c)
{
    if (!c)
        return;
    company_fini(&c->own);
    company_fini(&c->with);
    company_fini(&c->without);
    free(c->in_zone);
    free(c->judged);
    free(c->rules);
    free(c->keys);
    free(c->best);
    venv_environment_unref(c->environment);
    free(c);
}

void venv_placement_pool_free(venv_placement_pool *pool)
{
    if (!pool)
        return;
    size_t cursor = 0;
    void *item;
    while (pool->classes && venv_table_next(pool->classes, &cursor, NULL, &item))
        class_free(item);
    venv_table_free(pool->classes);
    venv_table_free(pool->numbers);
    venv_table_free(pool->by_name);
    free(pool->ranks);
    free(pool->zones);
    free(pool->log);
    free(pool);
}

size_t venv_placement_pool_count(const venv_placement_pool *pool)
{
    return pool->count;
}

const venv_placement_node *venv_placement_pool_node(const venv_placement_pool *pool, size_t index)
{
    return &pool->nodes[index];
}

size_t venv_placement_pool_find(const venv_placement_pool *pool, const char *name)
{
    const venv_placement_node *node = venv_table_find(pool->by_name, name, strlen(name));
    return node ? (size_t)(node - pool->nodes) : pool->count;
}

/* --- what is on the nodes ------------------------------------------------------------------------------ */

static venv_rc number_of(venv_placement_pool *pool, const char *environment, uint32_t *ret_number, venv_error *err)
{
    void *found = venv_table_find(pool->numbers, environment, strlen(environment));
    size_t number = found ? (size_t)(uintptr_t)found : venv_table_count(pool->numbers) + 1;
    venv_rc rc = found ? VENV_OK : venv_table_add(pool->numbers, environment, strlen(environment), (void *)(uintptr_t)number, err);
    *ret_number = (uint32_t)number;
    return rc;
}

static venv_rc log_change(venv_placement_pool *pool, size_t index, const char *environment, bool more, venv_error *err)
{
    uint32_t number = 0;
    if (pool->log_count == pool->log_capacity) {
        size_t capacity = pool->log_capacity ? pool->log_capacity * 2 : 256;
        change *grown = realloc(pool->log, capacity * sizeof *grown);
        if (!grown)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        pool->log = grown;
        pool->log_capacity = capacity;
    }
    venv_rc rc = number_of(pool, environment, &number, err);
    if (rc == VENV_OK)
        pool->log[pool->log_count++] = (change){ (uint32_t)index, number, more };
    return rc;
}

venv_rc venv_placement_pool_add(venv_placement_pool *pool, size_t index, const venv_placement_guest *guest, venv_error *err)
{
    venv_placement_node *node = &pool->nodes[index];
    venv_rc rc = log_change(pool, index, guest->environment, true, err);
    if (rc != VENV_OK)
        return rc;
    node->used_vcpus += guest->vcpus;
    node->used_memory_bytes += guest->memory_bytes;
    node->used_cpus += guest->pinned ? guest->vcpus : 0;
    return VENV_OK;
}

venv_rc venv_placement_pool_remove(venv_placement_pool *pool, size_t index, const venv_placement_guest *guest, venv_error *err)
{
    venv_placement_node *node = &pool->nodes[index];
    venv_rc rc = log_change(pool, index, guest->environment, false, err);
    if (rc != VENV_OK)
        return rc;
    node->used_vcpus -= guest->vcpus;
    node->used_memory_bytes -= guest->memory_bytes;
    node->used_cpus -= guest->pinned ? guest->vcpus : 0;
    return VENV_OK;
}

venv_placement_guest venv_placement_guest_of(const venv_environment *environment)
{
    return (venv_placement_guest){ environment->is.name, environment->is.vcpus, environment->is.memory_bytes, demand_pinned(environment) };
}

/* --- a tree -------------------------------------------------------------------------------------------- */

static bool is_better(const venv_placement_pool *pool, const class *c, uint32_t a, uint32_t b)
{
    if (a == NONE || b == NONE)
        return a != NONE;
    const key *x = &c->keys[a], *y = &c->keys[b];
    if (x->own != y->own)
        return x->own < y->own;
    if (x->score > y->score || x->score < y->score)
        return x->score > y->score;
    if (x->full > y->full || x->full < y->full)
        return c->spread != VENV_SPREAD_NONE ? x->full < y->full : x->full > y->full;
    return pool->ranks[a] < pool->ranks[b];
}

static void play(const venv_placement_pool *pool, class *c, size_t at)
{
    uint32_t left = c->best[2 * at], right = c->best[2 * at + 1];
    c->best[at] = is_better(pool, c, left, right) ? left : right;
}

static void put_leaf(const venv_placement_pool *pool, class *c, size_t index, bool may)
{
    size_t at = pool->width + index;
    c->best[at] = may ? (uint32_t)index : NONE;
    while (at > 1)
        play(pool, c, at /= 2);
}

/* The first of them that is not there; their count if all are. */
static size_t lacks(const venv_placement_pool *pool, const company *c, size_t index)
{
    size_t k = 0;
    while (k < c->count && c->on[k * pool->count + index] > 0)
        k++;
    return k;
}

/* The first of them that is there; their count if none is. */
static size_t meets(const venv_placement_pool *pool, const company *c, size_t index)
{
    size_t k = 0;
    while (k < c->count && c->on[k * pool->count + index] == 0)
        k++;
    return k;
}

static bool fits_company(const venv_placement_pool *pool, const class *c, size_t index)
{
    return lacks(pool, &c->with, index) == c->with.count && meets(pool, &c->without, index) == c->without.count;
}

static uint32_t own_of(const venv_placement_pool *pool, const class *c, size_t index)
{
    return c->spread == VENV_SPREAD_NONE ? 0 : c->spread == VENV_SPREAD_ZONE ? c->in_zone[pool->zones[index]] : c->own.on[index];
}

/* As it is now, with what is on it. */
static void refresh(const venv_placement_pool *pool, class *c, size_t index)
{
    const venv_placement_node *node = &pool->nodes[index];
    venv_placement_rule rule = c->judged[index];
    if (rule == VENV_PLACEMENT_OK && !fits_company(pool, c, index))
        rule = VENV_PLACEMENT_AFFINITY;
    if (rule == VENV_PLACEMENT_OK)
        rule = venv_placement_room(c->environment, node);
    c->counts[c->rules[index]]--;
    c->counts[rule]++;
    c->rules[index] = (uint8_t)rule;
    c->keys[index].full = venv_placement_fullness(c->environment, node);
    c->keys[index].own = own_of(pool, c, index);
}

static bool keeps(const venv_placement_pool *pool, company *c, const change *x)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->environments[i] == x->environment) {
            c->on[i * pool->count + x->node] += x->more ? 1u : UINT32_MAX; /* unsigned: one less */
            return true;
        }
    return false;
}

/* True: more than its one leaf is different now. */
static bool take_up(const venv_placement_pool *pool, class *c, const change *x)
{
    keeps(pool, &c->with, x);
    keeps(pool, &c->without, x);
    if (!keeps(pool, &c->own, x) || c->spread != VENV_SPREAD_ZONE)
        return false;
    c->in_zone[pool->zones[x->node]] += x->more ? 1u : UINT32_MAX;
    return true;
}

static void build_tree(const venv_placement_pool *pool, class *c)
{
    for (size_t i = 0; i < pool->count; i++) {
        refresh(pool, c, i);
        c->best[pool->width + i] = c->rules[i] == VENV_PLACEMENT_OK ? (uint32_t)i : NONE;
    }
    for (size_t at = pool->width; at-- > 1;)
        play(pool, c, at);
}

static void sync_class(const venv_placement_pool *pool, class *c)
{
    size_t first = c->synced;
    bool many = pool->log_count - first > pool->count;
    for (; c->synced < pool->log_count; c->synced++)
        many = take_up(pool, c, &pool->log[c->synced]) || many;
    if (many)
        build_tree(pool, c);
    for (size_t i = first; i < pool->log_count && !many; i++) {
        uint32_t node = pool->log[i].node;
        refresh(pool, c, node);
        put_leaf(pool, c, node, c->rules[node] == VENV_PLACEMENT_OK);
    }
}

/* --- an environment ------------------------------------------------------------------------------------ */

typedef const char *(*name_fn)(const venv_environment *environment, size_t index);

static venv_rc company_make(venv_placement_pool *pool, const venv_environment *environment, size_t count, name_fn name, company *c, venv_error *err)
{
    if (count == 0)
        return VENV_OK;
    c->environments = calloc(count, sizeof *c->environments);
    c->on = calloc(pool->count * count + 1, sizeof *c->on);
    if (!c->environments || !c->on)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < count; i++)
        rc = number_of(pool, name(environment, i), &c->environments[c->count++], err);
    return rc;
}

static const char *own_name(const venv_environment *environment, size_t index)
{
    (void)index;
    return environment->is.name;
}

static venv_rc judge_all(venv_placement_pool *pool, class *c, venv_error *err)
{
    for (size_t i = 0; i < pool->count; i++) {
        venv_placement_verdict verdict;
        verdict.rule = VENV_PLACEMENT_OK;
        verdict.score = 0.0;
        venv_rc rc = venv_placement_judge(c->environment, &pool->nodes[i], pool->context, pool->expr_data, &verdict, err);
        if (rc != VENV_OK)
            return rc;
        c->judged[i] = (uint8_t)verdict.rule;
        c->keys[i].score = verdict.score;
    }
    return VENV_OK;
}

static venv_rc class_make(venv_placement_pool *pool, venv_environment *environment, class **ret_class, venv_error *err)
{
    class *c = calloc(1, sizeof *c);
    if (!c)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    c->environment = venv_environment_ref(environment);
    c->spread = demand_spread(environment);
    c->judged = calloc(pool->count + 1, 1);
    c->rules = calloc(pool->count + 1, 1);
    c->keys = calloc(pool->count + 1, sizeof *c->keys);
    c->best = calloc(pool->width * 2, sizeof *c->best);
    c->in_zone = calloc(pool->count + 1, sizeof *c->in_zone);
    venv_rc rc = c->in_zone && c->judged && c->rules && c->keys && c->best ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK)
        rc = company_make(pool, environment, c->spread != VENV_SPREAD_NONE ? 1 : 0, own_name, &c->own, err);
    if (rc == VENV_OK)
        rc = company_make(pool, environment, demand_affinity_count(environment), demand_affinity, &c->with, err);
    if (rc == VENV_OK)
        rc = company_make(pool, environment, demand_anti_affinity_count(environment), demand_anti_affinity, &c->without, err);
    if (rc == VENV_OK)
        rc = judge_all(pool, c, err);
    if (rc == VENV_OK)
        rc = venv_table_add(pool->classes, &environment, sizeof environment, c, err);
    if (rc != VENV_OK) {
        class_free(c);
        return rc;
    }
    memset(c->best, 0xff, pool->width * 2 * sizeof *c->best);
    c->counts[VENV_PLACEMENT_OK] = pool->count;
    for (; c->synced < pool->log_count; c->synced++)
        (void)take_up(pool, c, &pool->log[c->synced]);
    build_tree(pool, c);
    *ret_class = c;
    return VENV_OK;
}

static venv_rc class_of(venv_placement_pool *pool, venv_environment *environment, class **ret_class, venv_error *err)
{
    class *c = venv_table_find(pool->classes, &environment, sizeof environment);
    if (!c)
        return class_make(pool, environment, ret_class, err);
    sync_class(pool, c);
    *ret_class = c;
    return VENV_OK;
}

/* --- one instance -------------------------------------------------------------------------------------- */

static const char *bar_of(const venv_placement_want *want, const char *node)
{
    for (size_t i = 0; i < want->bar_count; i++)
        if (strcmp(want->bars[i].node, node) == 0)
            return want->bars[i].why;
    return NULL;
}

static venv_placement_rule first_of(venv_placement_rule a, venv_placement_rule b)
{
    return a == VENV_PLACEMENT_OK ? b : b == VENV_PLACEMENT_OK || a < b ? a : b;
}

/* What is said of a node for this instance: the first rule, of those of its environment and its own. */
static venv_placement_rule own_rule(const venv_placement_pool *pool, const venv_placement_want *want, venv_placement_rule rule, size_t index)
{
    if (want->asked && strcmp(want->asked, pool->nodes[index].name) != 0)
        rule = first_of(rule, VENV_PLACEMENT_ASKED);
    if (want->breaker)
        rule = first_of(rule, VENV_PLACEMENT_BREAKER);
    return want->bar_count > 0 && bar_of(want, pool->nodes[index].name) ? first_of(rule, VENV_PLACEMENT_HEALTH) : rule;
}

static venv_placement_rule rule_of(const venv_placement_pool *pool, const class *c, const venv_placement_want *want, size_t index)
{
    return own_rule(pool, want, c->rules[index], index);
}

venv_rc venv_placement_pool_choose(venv_placement_pool *pool, const venv_placement_want *want, size_t *ret_index, venv_error *err)
{
    class *c = NULL;
    venv_rc rc = class_of(pool, want->environment, &c, err);
    if (rc != VENV_OK)
        return rc;
    *ret_index = pool->count;
    if (want->asked) {
        size_t asked = venv_placement_pool_find(pool, want->asked);
        if (asked < pool->count && rule_of(pool, c, want, asked) == VENV_PLACEMENT_OK)
            *ret_index = asked;
        return VENV_OK;
    }
    if (want->breaker)
        return VENV_OK;
    for (size_t i = 0; i < want->bar_count; i++) {
        size_t barred = venv_placement_pool_find(pool, want->bars[i].node);
        if (barred < pool->count)
            put_leaf(pool, c, barred, false);
    }
    if (c->best[1] != NONE)
        *ret_index = c->best[1];
    for (size_t i = 0; i < want->bar_count; i++) {
        size_t barred = venv_placement_pool_find(pool, want->bars[i].node);
        if (barred < pool->count)
            put_leaf(pool, c, barred, c->rules[barred] == VENV_PLACEMENT_OK);
    }
    return VENV_OK;
}

venv_rc venv_placement_pool_rule(venv_placement_pool *pool, const venv_placement_want *want, size_t index, venv_placement_rule *ret_rule,
                                 venv_error *err)
{
    class *c = NULL;
    venv_rc rc = class_of(pool, want->environment, &c, err);
    if (rc == VENV_OK)
        *ret_rule = rule_of(pool, c, want, index);
    return rc;
}

static void judge_company(const venv_placement_pool *pool, const class *c, size_t index, venv_placement_verdict *verdict)
{
    char needed[VENV_PLACEMENT_REASON_MAX], available[64];
    size_t lacking = lacks(pool, &c->with, index), meeting = meets(pool, &c->without, index);
    if (lacking < c->with.count) {
        snprintf(needed, sizeof needed, "an instance of %s beside it", demand_affinity(c->environment, lacking));
        venv_placement_refuse(verdict, VENV_PLACEMENT_AFFINITY, needed, "none there");
    } else if (meeting < c->without.count) {
        snprintf(needed, sizeof needed, "no instance of %s beside it", demand_anti_affinity(c->environment, meeting));
        snprintf(available, sizeof available, "%u there", c->without.on[meeting * pool->count + index]);
        venv_placement_refuse(verdict, VENV_PLACEMENT_AFFINITY, needed, available);
    }
}

/* The rules and the score that need the environment's tree: company, and how many of its own are there. */
static venv_rc judge_company_of(venv_placement_pool *pool, const venv_placement_want *want, size_t index, venv_placement_verdict *verdict,
                                venv_error *err)
{
    const venv_environment *e = want->environment;
    class *c = NULL;
    if (demand_spread(e) == VENV_SPREAD_NONE && demand_affinity_count(e) + demand_anti_affinity_count(e) == 0)
        return VENV_OK;
    venv_rc rc = class_of(pool, want->environment, &c, err);
    if (rc == VENV_OK)
        judge_company(pool, c, index, verdict);
    if (rc == VENV_OK && c->spread != VENV_SPREAD_NONE) {
        snprintf(verdict->note, sizeof verdict->note, "%u of %s %s", own_of(pool, c, index), want->environment->is.name,
                 c->spread == VENV_SPREAD_ZONE ? "in its zone" : "there");
        verdict->score = e->prefer ? verdict->score : -(double)own_of(pool, c, index);
    }
    return rc;
}

venv_rc venv_placement_pool_judge(venv_placement_pool *pool, const venv_placement_want *want, size_t index, venv_placement_verdict *ret_verdict,
                                  venv_error *err)
{
    const venv_placement_node *node = &pool->nodes[index];
    const char *bar = bar_of(want, node->name);
    *ret_verdict = (venv_placement_verdict){ .rule = VENV_PLACEMENT_OK };
    venv_rc rc = venv_placement_judge(want->environment, node, pool->context, pool->expr_data, ret_verdict, err);
    if (rc != VENV_OK)
        return rc;
    if (!want->environment->prefer)
        ret_verdict->score = venv_placement_fullness(want->environment, node);
    venv_placement_rule rule = own_rule(pool, want, ret_verdict->rule, index);
    if (rule == ret_verdict->rule && rule == VENV_PLACEMENT_OK)
        rc = judge_company_of(pool, want, index, ret_verdict, err);
    if (rc == VENV_OK && rule == VENV_PLACEMENT_OK && ret_verdict->rule == VENV_PLACEMENT_OK)
        venv_placement_judge_room(want->environment, node, ret_verdict);
    if (rule == ret_verdict->rule || rule == VENV_PLACEMENT_OK)
        return rc;
    if (rule == VENV_PLACEMENT_ASKED)
        venv_placement_refuse(ret_verdict, rule, want->asked, "another node");
    else if (rule == VENV_PLACEMENT_HEALTH)
        venv_placement_refuse(ret_verdict, rule, "a healthy node", bar);
    else
        venv_placement_refuse(ret_verdict, rule, "a closed breaker", want->breaker);
    return rc;
}

venv_rc venv_placement_pool_tally(venv_placement_pool *pool, const venv_placement_want *want, size_t ret_counts[VENV_PLACEMENT__COUNT],
                                  venv_error *err)
{
    class *c = NULL;
    venv_rc rc = class_of(pool, want->environment, &c, err);
    if (rc != VENV_OK)
        return rc;
    memcpy(ret_counts, c->counts, sizeof c->counts);
    if (!want->asked && !want->breaker && want->bar_count == 0)
        return VENV_OK;
    memset(ret_counts, 0, sizeof c->counts);
    for (size_t i = 0; i < pool->count; i++)
        ret_counts[rule_of(pool, c, want, i)]++;
    return VENV_OK;
}

venv_rc venv_placement_pool_survey(venv_placement_pool *pool, const venv_placement_want *want, size_t chosen, size_t max, size_t *ret_indexes,
                                   size_t *ret_count, venv_error *err)
{
    class *c = NULL;
    venv_rc rc = class_of(pool, want->environment, &c, err);
    size_t told = 0;
    if (rc != VENV_OK)
        return rc;
    if (chosen < pool->count && max > 0)
        ret_indexes[told++] = chosen;
    for (int may = 1; may >= 0; may--)
        for (size_t i = 0; i < pool->count && told < max; i++)
            if (i != chosen && (rule_of(pool, c, want, i) == VENV_PLACEMENT_OK) == (may == 1))
                ret_indexes[told++] = i;
    *ret_count = told;
    return VENV_OK;
}
