/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing a node for an instance: the nodes are the agents that have a hypervisor, with what is taken on
 * each by foreign domains and by our own instances, those that are placed and not seen yet included.
 *
 * They are looked at once in a step (environment/pool.h); what changes what is known of them within it makes the pool stale.
 */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFINITIONS_MAX 4096u /* different ones that are kept compiled */
#define TOLD_IN_FULL    8u    /* placements of a step that tell of all nodes; the others tell of the one that was chosen */

typedef struct candidate {
    venv_manager *m;
    const char *name;
    char breaker[VENV_PLACEMENT_REASON_MAX];
    char maintenance[VENV_PLACEMENT_REASON_MAX];
} candidate;

typedef struct compiled {
    venv_value definition;
    venv_environment *environment;
} compiled;

struct venv_mgr_placing {
    venv_placement_pool *pool; /* NULL: to be made */
    venv_placement_node *nodes;
    candidate *candidates;
    venv_table *definitions;   /* name and hash → compiled */
    uint64_t made;             /* step of the pool */
    unsigned told;
};

/* --- the pool ------------------------------------------------------------------------------------------ */

static venv_expr_answer ask_node(void *user, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth)
{
    const candidate *c = user;
    return venv_mgr_world_agent(c->m, c->name, read, ret_value, ret_depth);
}

static uint32_t kinds_of(const venv_value *node)
{
    uint32_t kinds = 0;
    const venv_value *list = venv_value_get(node, "kinds");
    for (size_t i = 0; list && i < venv_value_count(list); i++)
        for (unsigned k = 0; k < VENV_HYPERVISOR__COUNT; k++)
            if (venv_value_is_text(venv_value_at(list, i), venv_hypervisor_kind_name((venv_hypervisor_kind)k)))
                kinds |= 1u << k;
    return kinds;
}

static bool is_for(venv_manager *m, const venv_manager_node_rule *rule, const char *node)
{
    return rule->who[0] == '@' ? venv_mgr_is_member(m, rule->who + 1, node) : strcmp(rule->who, node) == 0;
}

/* What the administrator says of a node: of each key the first rule that is for it and says it. */
typedef struct ratios {
    double vcpus, memory;
    const char *zone;
} ratios;

static ratios ratios_of(venv_manager *m, const char *node)
{
    const venv_manager_config *c = m->config;
    ratios r = { c->vcpu_overcommit, c->memory_overcommit, NULL };
    bool vcpus = false, memory = false;
    for (size_t i = 0; i < c->node_rule_count; i++) {
        const venv_manager_node_rule *rule = &c->node_rules[i];
        if (!is_for(m, rule, node))
            continue;
        if (rule->has_vcpu_overcommit && !vcpus)
            r.vcpus = rule->vcpu_overcommit;
        if (rule->has_memory_overcommit && !memory)
            r.memory = rule->memory_overcommit;
        if (rule->zone[0] && !r.zone)
            r.zone = rule->zone;
        vcpus = vcpus || rule->has_vcpu_overcommit;
        memory = memory || rule->has_memory_overcommit;
    }
    return r;
}

static void fill(venv_manager *m, agent *a, venv_placement_node *node, candidate *c)
{
    ratios r = ratios_of(m, a->name);
    int64_t cpus = venv_value_get_int(&a->node, "cpus", 0), memory = venv_value_get_int(&a->node, "memory", 0);
    uint64_t whole = memory > 0 ? (uint64_t)memory : 0, reserve = m->config->memory_reserve;
    double vcpus = (double)(cpus > 0 ? cpus : 0) * r.vcpus, bytes = (double)(whole > reserve ? whole - reserve : 0) * r.memory;
    *c = (candidate){ .m = m, .name = a->name };
    *node = (venv_placement_node){
        .name = a->name,
        .connected = venv_mgr_agent_is_connected(m, a),
        .reachable = a->machines_known && a->reachable,
        .kinds = kinds_of(&a->node),
        .cpus = cpus > 0 && cpus < UINT32_MAX ? (uint32_t)cpus : 0,
        .vcpus = vcpus < UINT32_MAX ? (uint32_t)vcpus : UINT32_MAX,
        .memory_bytes = bytes < 0x1p63 ? (uint64_t)bytes : UINT64_MAX,
        .zone = r.zone,
        .used_vcpus = a->foreign_vcpus + a->stray_vcpus,
        .used_memory_bytes = a->foreign_memory + a->stray_memory,
        .resolve = ask_node,
        .resolve_user = c,
    };
    if (venv_mgr_breaker_refuses(m, true, node->name, c->breaker, sizeof c->breaker))
        node->breaker = c->breaker;
    if (a->maintenance)
        node->maintenance = venv_mgr_maintenance_text(a, c->maintenance, sizeof c->maintenance);
}

static void count_guest(venv_manager *m, const char *node, const venv_placement_guest *guest, bool more)
{
    venv_placement_pool *pool = m->placing->pool;
    size_t index = node ? venv_placement_pool_find(pool, node) : venv_placement_pool_count(pool);
    if (index < venv_placement_pool_count(pool) &&
        (more ? venv_placement_pool_add : venv_placement_pool_remove)(pool, index, guest, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
}

static venv_placement_guest guest_of(venv_manager *m, instance *i)
{
    const venv_environment *e = venv_mgr_instance_environment(m, i, NULL);
    return (venv_placement_guest){ i->environment, i->vcpus, i->memory, e && venv_environment_peek(e)->pin != VENV_PIN_NO };
}

static void add_guest(venv_manager *m, const char *node, instance *i)
{
    venv_placement_guest guest = guest_of(m, i);
    count_guest(m, node, &guest, true);
}

/* The place that is kept for one: what it takes beyond those that still go for it, who are counted themselves. */
static void count_kept(venv_manager *m, instance *i, bool more)
{
    venv_placement_guest guest = guest_of(m, i), there = { 0 };
    venv_mgr_preempt_there(m, i, &there);
    guest.vcpus -= there.vcpus < guest.vcpus ? there.vcpus : guest.vcpus;
    guest.memory_bytes -= there.memory_bytes < guest.memory_bytes ? there.memory_bytes : guest.memory_bytes;
    count_guest(m, i->reserved, &guest, more);
}

static void add_guests(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (VENV_SEEDED(PLACED_NOT_COUNTED) && !i->confirmed)
            continue;
        if (i->reserved && i->state == VENV_INSTANCE_PENDING)
            count_kept(m, i, true);
        bool may_come = !venv_id_is_none(i->fence) && !i->confirmed; /* a start that is called off, and its node has not answered */
        if (may_come || i->inspect || venv_instance_holds_resources(i->state))
            add_guest(m, i->node, i);
        if (i->target && !VENV_SEEDED(TARGET_NOT_COUNTED))
            add_guest(m, i->target, i); /* a migration takes both nodes */
    }
}

static void drop_pool(venv_mgr_placing *p)
{
    venv_placement_pool_free(p->pool);
    free(p->nodes);
    free(p->candidates);
    p->pool = NULL;
    p->nodes = NULL;
    p->candidates = NULL;
}

/* What is known of the nodes, or what is on them, has changed otherwise than by placing. */
void venv_mgr_place_stale(venv_manager *m)
{
    if (m->placing)
        drop_pool(m->placing);
}

static venv_rc make_pool(venv_manager *m, venv_mgr_placing *p)
{
    size_t max = venv_groups_member_count(m->groups), cursor = 0, count = 0;
    p->nodes = calloc(max + 1, sizeof *p->nodes);
    p->candidates = calloc(max + 1, sizeof *p->candidates);
    if (!p->nodes || !p->candidates)
        return VENV_ENOMEM;
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor))) {
        agent *a = member->data;
        if (!a || !a->hypervisor)
            continue;
        fill(m, a, &p->nodes[count], &p->candidates[count]);
        count++;
    }
    return venv_placement_pool_new(p->nodes, count, m->place_context, NULL, &p->pool, NULL);
}

static venv_mgr_placing *placing_of(venv_manager *m)
{
    if (!m->placing && !(m->placing = calloc(1, sizeof *m->placing)))
        venv_mgr_no_memory(m);
    return m->placing;
}

/* The nodes as they are now; NULL: no memory. */
static venv_placement_pool *pool_now(venv_manager *m)
{
    venv_mgr_placing *p = placing_of(m);
    if (!p)
        return NULL;
    if (p->pool && p->made == m->steps)
        return p->pool;
    if (p->made != m->steps)
        p->told = 0;
    drop_pool(p);
    p->made = m->steps;
    if (make_pool(m, p) != VENV_OK) {
        drop_pool(p);
        venv_mgr_no_memory(m);
        return NULL;
    }
    add_guests(m);
    return p->pool;
}

/* --- definitions --------------------------------------------------------------------------------------- */

static void compiled_free(compiled *c)
{
    if (!c)
        return;
    venv_value_unref(&c->definition);
    venv_environment_unref(c->environment);
    free(c);
}

static void definitions_free(venv_table *table)
{
    size_t cursor = 0;
    void *item;
    while (table && venv_table_next(table, &cursor, NULL, &item))
        compiled_free(item);
    venv_table_free(table);
}

void venv_mgr_placing_free(venv_manager *m)
{
    if (!m->placing)
        return;
    drop_pool(m->placing);
    definitions_free(m->placing->definitions);
    free(m->placing);
    m->placing = NULL;
}

static venv_rc compile(venv_manager *m, instance *i, const void *key, size_t size, venv_error *err)
{
    venv_mgr_placing *p = m->placing;
    compiled *c = calloc(1, sizeof *c), *old = NULL;
    venv_rc rc = c ? venv_environment_from_value(i->environment, &i->definition, NULL, &m->words, &c->environment, err)
                   : venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK && p->definitions && venv_table_count(p->definitions) >= DEFINITIONS_MAX) {
        definitions_free(p->definitions);
        p->definitions = NULL;
    }
    if (rc == VENV_OK && !p->definitions)
        rc = venv_table_new(m->seed, DEFINITIONS_MAX + 1, &p->definitions, err);
    if (rc == VENV_OK) {
        old = venv_table_remove(p->definitions, key, size); /* another one with the same hash */
        rc = venv_table_add(p->definitions, key, size, c, err);
    }
    compiled_free(old);
    if (rc != VENV_OK) {
        compiled_free(c);
        return rc;
    }
    c->definition = venv_value_ref(&i->definition);
    i->from = venv_environment_ref(c->environment);
    return VENV_OK;
}

static venv_rc find_definition(venv_manager *m, instance *i, venv_error *err)
{
    char key[VENV_NAME_MAX + 1 + sizeof(uint64_t)];
    size_t size = strlen(i->environment);
    uint64_t hash = venv_value_hash(&i->definition, 1);
    memcpy(key, i->environment, size);
    memcpy(key + size, &hash, sizeof hash);
    size += sizeof hash;
    if (!placing_of(m))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    compiled *c = m->placing->definitions ? venv_table_find(m->placing->definitions, key, size) : NULL;
    if (!c || !venv_value_equal(&c->definition, &i->definition))
        return compile(m, i, key, size, err);
    i->from = venv_environment_ref(c->environment);
    return VENV_OK;
}

/* The definition of when it was asked for: a changed configuration makes new instances, not other old ones. */
static venv_rc environment_of(venv_manager *m, instance *i, venv_environment **ret_environment, venv_error *err)
{
    venv_rc rc = i->from ? VENV_OK : find_definition(m, i, err);
    if (rc == VENV_OK)
        *ret_environment = i->from;
    return rc;
}

venv_environment *venv_mgr_instance_environment(venv_manager *m, instance *i, venv_error *err)
{
    venv_environment *environment = NULL;
    if (i->from)
        return i->from;
    if (venv_value_kind(&i->definition) == VENV_MAP && environment_of(m, i, &environment, err) == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    return environment;
}

/* --- one choice ---------------------------------------------------------------------------------------- */

/* What is wanted, with the texts and lists it needs. */
typedef struct wanting {
    venv_placement_want want;
    venv_placement_bar bars[TRIED_MAX + 1];
    char breaker[VENV_PLACEMENT_REASON_MAX];
} wanting;

static void want_environment(venv_manager *m, venv_environment *environment, const char *asked, wanting *w)
{
    w->want = (venv_placement_want){ .environment = environment, .asked = asked, .bars = w->bars };
    if (venv_mgr_breaker_refuses(m, false, venv_environment_name(environment), w->breaker, sizeof w->breaker))
        w->want.breaker = w->breaker;
}

/* Nodes that could not start it before are not tried again. */
static void want_instance(venv_manager *m, instance *i, venv_environment *environment, const char *asked, wanting *w)
{
    want_environment(m, environment, asked, w);
    for (size_t k = 0; k < i->tried_count; k++)
        w->bars[w->want.bar_count++] = (venv_placement_bar){ i->tried[k], "it could not start it before" };
}

static bool choose(venv_manager *m, const wanting *w, size_t *ret_index)
{
    venv_placement_pool *pool = pool_now(m);
    if (pool && venv_placement_pool_choose(pool, &w->want, ret_index, NULL) == VENV_OK)
        return *ret_index < venv_placement_pool_count(pool);
    venv_mgr_no_memory(m);
    return false;
}

static void summary(venv_manager *m, const wanting *w, char *text, size_t size)
{
    size_t counts[VENV_PLACEMENT__COUNT] = { 0 };
    venv_placement_pool *pool = pool_now(m);
    if (!pool || venv_placement_pool_tally(pool, &w->want, counts, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    if (pool && venv_placement_pool_count(pool) == 0) {
        snprintf(text, size, "no agent has a hypervisor");
        return;
    }
    venv_placement_summary(venv_environment_name(w->want.environment), counts, text, size);
    venv_placement_verdict verdict;
    size_t one = w->want.asked && pool ? venv_placement_pool_find(pool, w->want.asked) : 0, used = strlen(text);
    if (!pool || one >= venv_placement_pool_count(pool) || (venv_placement_pool_count(pool) > 1 && !w->want.asked))
        return;
    if (venv_placement_pool_judge(pool, &w->want, one, &verdict, NULL) == VENV_OK && verdict.rule != VENV_PLACEMENT_OK && used < size)
        snprintf(text + used, size - used, " (%.63s%sneeds %.60s, has %.80s)", w->want.asked ? w->want.asked : "", w->want.asked ? " " : "", verdict.needed,
                 verdict.available);
}

static venv_value detail(venv_manager *m, const wanting *w, size_t chosen)
{
    bool full = chosen >= venv_placement_pool_count(m->placing->pool) || m->placing->told < TOLD_IN_FULL;
    m->placing->told += full;
    return venv_mgr_placement_detail(m, m->placing->pool, &w->want, chosen, full);
}

/* One that is saved holds nothing on its node: others may have taken its room. */
venv_rc venv_mgr_place_room(venv_manager *m, const instance *i, venv_error *err)
{
    venv_placement_pool *pool = pool_now(m);
    size_t index = pool ? venv_placement_pool_find(pool, i->node) : 0;
    if (!pool || index >= venv_placement_pool_count(pool))
        return venv_error_set(err, VENV_EUNREACHABLE, "node %s of %s is not known", i->node, i->name);
    const venv_placement_node *node = venv_placement_pool_node(pool, index);
    if (node->used_vcpus + i->vcpus > node->vcpus)
        return venv_error_set(err, VENV_ECONFLICT, "node %s has no room for %s now: it needs %u processors, and %u of %u are taken; "
                              "stop or move something there, and ask again", i->node, i->name, i->vcpus, node->used_vcpus, node->vcpus);
    if (node->used_memory_bytes + i->memory > node->memory_bytes)
        return venv_error_set(err, VENV_ECONFLICT, "node %s has no room for %s now: it needs %llu MiB of memory, and %llu of %llu are taken; "
                              "stop or move something there, and ask again", i->node, i->name, (unsigned long long)(i->memory >> 20),
                              (unsigned long long)(node->used_memory_bytes >> 20), (unsigned long long)(node->memory_bytes >> 20));
    return VENV_OK;
}

venv_rc venv_mgr_place_target(venv_manager *m, instance *i, const char *asked, char ret_node[VENV_NAME_MAX + 1], venv_error *err)
{
    venv_environment *environment = NULL;
    wanting w;
    size_t index = 0;
    if (asked && strcmp(asked, i->node) == 0)
        return venv_error_set(err, VENV_ECONFLICT, "%s is on node %s already", i->name, asked);
    if (i->adopted || venv_value_kind(&i->definition) != VENV_MAP)
        return venv_error_set(err, VENV_EUNSUPPORTED, "%s was taken in from its node: its definition is not known here, so no other can be chosen",
                              i->name);
    venv_rc rc = environment_of(m, i, &environment, err);
    if (rc != VENV_OK)
        return rc;
    want_instance(m, i, environment, asked, &w);
    w.want.breaker = NULL; /* nothing is started: what fails to start may well move */
    w.bars[w.want.bar_count++] = (venv_placement_bar){ i->node, "it is there" };
    if (choose(m, &w, &index)) {
        snprintf(ret_node, VENV_NAME_MAX + 1, "%s", venv_placement_pool_node(m->placing->pool, index)->name);
        add_guest(m, ret_node, i);
        return VENV_OK;
    }
    char why[REASON_MAX];
    summary(m, &w, why, sizeof why);
    return venv_error_set(err, VENV_ECONFLICT, "no other node can take %s: %s", i->name, why);
}

static void placed_on(venv_manager *m, instance *i, const wanting *w, size_t index)
{
    free(i->node);
    i->node = venv_mgr_copy_text(m, venv_placement_pool_node(m->placing->pool, index)->name);
    i->epoch++;
    venv_value why = detail(m, w, index);
    add_guest(m, i->node, i);
    free(i->reserved);
    i->reserved = NULL;
    venv_mgr_trial_begin(m, i);
    venv_mgr_instance_placed(m, i, why);
    venv_mgr_instance_set(m, i, VENV_INSTANCE_PREPARING, "");
    venv_mgr_instance_set(m, i, VENV_INSTANCE_STARTING, "its node is told to start it");
    deed *d = venv_mgr_deed_find(m, i->start);
    if (d && venv_mgr_deed_is_open(d))
        venv_mgr_deed_run(m, d, m->config->action_timeout);
    venv_mgr_instance_send_start(m, i);
}

static void waits(venv_manager *m, instance *i, const wanting *w)
{
    char why[REASON_MAX];
    summary(m, w, why, sizeof why);
    if (strcmp(i->reason, why) == 0 || !m->placing->pool)
        return;
    venv_mgr_set_reason(i->reason, why);
    venv_mgr_instance_touch(m, i);
    venv_mgr_event_add(m, "instance-waits", i->name, i->start, detail(m, w, venv_placement_pool_count(m->placing->pool)),
                       "%s waits for a node: %s", i->name, i->reason);
    i->placed = m->revision;
}

/* Try to place a pending instance and tell its node. False: it stays pending, with the reason. */
bool venv_mgr_place_instance(venv_manager *m, instance *i)
{
    venv_environment *environment = NULL;
    wanting w;
    size_t index = 0;
    venv_error err = { 0 };
    venv_rc rc = environment_of(m, i, &environment, &err);
    if (rc == VENV_ENOMEM) {
        venv_mgr_no_memory(m);
        return false;
    }
    if (rc != VENV_OK) {
        venv_mgr_instance_set(m, i, VENV_INSTANCE_FAILED, err.text);
        venv_mgr_instance_end_deeds(m, i);
        return true;
    }
    want_instance(m, i, environment, i->asked_node, &w);
    bool kept = i->reserved && pool_now(m);
    if (kept)
        count_kept(m, i, false); /* it is not in its own way */
    if (choose(m, &w, &index)) {
        placed_on(m, i, &w, index);
        return true;
    }
    if (kept && venv_mgr_preempt_goes_on(m, i)) /* else it is as any other again */
        count_kept(m, i, true);
    else if (!pool_now(m) || !venv_mgr_preempt(m, i, m->placing->pool, &w.want))
        waits(m, i, &w);
    return false;
}

/* Whether there is another node for one that could not be started where it is. */
bool venv_mgr_place_elsewhere(venv_manager *m, instance *i)
{
    venv_environment *environment = NULL;
    wanting w;
    size_t index = 0;
    if (environment_of(m, i, &environment, NULL) != VENV_OK)
        return false;
    want_instance(m, i, environment, NULL, &w);
    w.bars[w.want.bar_count++] = (venv_placement_bar){ i->node, "it could not start it" };
    return choose(m, &w, &index);
}

/* --- as things are, changing nothing --------------------------------------------------------------------- */

typedef void (*would_fn)(void *user, venv_manager *m, const wanting *w, size_t index);

/* Where `count` starts would go, one after the other; afterwards all is as before. */
static void each_would(venv_manager *m, const wanting *w, int64_t count, bool refused_too, would_fn each, void *user)
{
    venv_placement_pool *pool = pool_now(m);
    size_t *taken = calloc((size_t)count + 1, sizeof *taken), n = 0, index = 0;
    venv_placement_guest guest = venv_placement_guest_of(w->want.environment);
    bool good = pool && taken;
    for (int64_t k = 0; good && k < count; k++) {
        bool found = choose(m, w, &index);
        if (!found && !refused_too)
            break;
        each(user, m, w, index);
        good = !found || venv_placement_pool_add(pool, index, &guest, NULL) == VENV_OK;
        if (found && good)
            taken[n++] = index;
    }
    while (n > 0 && good)
        good = venv_placement_pool_remove(pool, taken[--n], &guest, NULL) == VENV_OK;
    free(taken);
    if (!good)
        venv_mgr_no_memory(m);
}

typedef struct telling_nodes {
    venv_trigger_agent_fn each;
    void *user;
} telling_nodes;

static void tell_node(void *user, venv_manager *m, const wanting *w, size_t index)
{
    const telling_nodes *x = user;
    (void)w;
    x->each(x->user, venv_placement_pool_node(m->placing->pool, index)->name);
}

/* The nodes that `count` starts would go to, as things are. */
void venv_mgr_place_each(venv_manager *m, venv_environment *environment, int64_t count, venv_trigger_agent_fn each, void *user)
{
    wanting w;
    telling_nodes x = { each, user };
    want_environment(m, environment, NULL, &w);
    each_would(m, &w, count, false, tell_node, &x);
}

/* What placement says of one node, as it is now. */
venv_value venv_mgr_place_verdict(venv_manager *m, venv_environment *environment, const char *node, bool *ret_fits)
{
    venv_placement_verdict verdict = { .rule = VENV_PLACEMENT_OK };
    venv_placement_pool *pool = pool_now(m);
    size_t index = pool ? venv_placement_pool_find(pool, node) : 0;
    wanting w;
    want_environment(m, environment, NULL, &w);
    if (pool && index == venv_placement_pool_count(pool))
        venv_placement_refuse(&verdict, VENV_PLACEMENT_HYPERVISOR, venv_hypervisor_kind_name(venv_environment_hypervisor(environment)), "no hypervisor");
    else if (!pool || venv_placement_pool_judge(pool, &w.want, index, &verdict, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    *ret_fits = verdict.rule == VENV_PLACEMENT_OK;
    return venv_mgr_verdict_value(m, node, &verdict);
}

static void list_would(void *user, venv_manager *m, const wanting *w, size_t index)
{
    venv_list_builder *instances = user;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "environment", venv_environment_name(w->want.environment));
    venv_map_put_z(&map, "state", "pending");
    if (index < venv_placement_pool_count(m->placing->pool)) {
        venv_map_put_z(&map, "node", venv_placement_pool_node(m->placing->pool, index)->name);
    } else {
        char why[REASON_MAX];
        summary(m, w, why, sizeof why);
        venv_map_put_text(&map, "reason", why, strlen(why));
    }
    venv_list_add(instances, venv_mgr_take_map(m, &map));
}

/* What a start of `count` would do: where each would go, and why not elsewhere. Changes nothing. */
venv_value venv_mgr_place_dry_run(venv_manager *m, venv_environment *environment, const char *asked, int64_t count)
{
    venv_list_builder instances, verdicts;
    wanting w;
    venv_list_init(&instances);
    venv_list_init(&verdicts);
    want_environment(m, environment, asked, &w);
    each_would(m, &w, count, true, list_would, &instances);
    venv_placement_pool *pool = pool_now(m);
    for (size_t n = 0; pool && n < venv_placement_pool_count(pool); n++) {
        venv_placement_verdict verdict = { .rule = VENV_PLACEMENT_OK };
        if (venv_placement_pool_judge(pool, &w.want, n, &verdict, NULL) != VENV_OK)
            venv_mgr_no_memory(m);
        venv_list_add(&verdicts, venv_mgr_verdict_value(m, venv_placement_pool_node(pool, n)->name, &verdict));
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "dry_run", venv_value_bool(true));
    venv_map_put(&map, "instances", venv_mgr_take_list(m, &instances));
    venv_map_put(&map, "placement", venv_mgr_take_list(m, &verdicts));
    return venv_mgr_take_map(m, &map);
}
