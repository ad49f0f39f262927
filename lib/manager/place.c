/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing a node for an instance: candidates are the agents that have a hypervisor, with what is taken on
 * each by foreign domains and by our own instances, those that are placed and not seen yet included.
 */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    venv_manager *m;
    const char *name;
    char breaker[VENV_PLACEMENT_REASON_MAX];
} candidate;

typedef struct candidates {
    venv_placement_node *nodes;
    candidate *names;
    venv_placement_verdict *verdicts;
    size_t count;
} candidates;

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

static void count_used(venv_manager *m, venv_placement_node *node)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        bool comes = i->target && strcmp(i->target, node->name) == 0; /* a migration takes both nodes */
        if (!comes && (!i->node || strcmp(i->node, node->name) != 0 || !venv_instance_holds_resources(i->state)))
            continue;
        if (VENV_SEEDED(PLACED_NOT_COUNTED) && !i->confirmed)
            continue;
        node->used_vcpus += i->vcpus;
        node->used_memory_bytes += i->memory;
    }
}

/* What keeps a node from starting it, although it has room. */
static void judge_past(venv_manager *m, const char *environment, const instance *i, venv_placement_node *node, candidate *c)
{
    if (venv_mgr_breaker_refuses(m, false, environment, c->breaker, sizeof c->breaker) ||
        venv_mgr_breaker_refuses(m, true, node->name, c->breaker, sizeof c->breaker))
        node->breaker = c->breaker;
    for (size_t k = 0; i && k < i->tried_count; k++)
        if (strcmp(i->tried[k], node->name) == 0)
            node->refused = "it could not start it before";
    if (i && i->node && strcmp(i->node, node->name) == 0)
        node->refused = "it could not start it";
}

/* `i`: the instance that is placed, or NULL. */
static void fill(venv_manager *m, agent *a, const char *environment, const instance *i, venv_placement_node *node, candidate *c)
{
    *c = (candidate){ .m = m, .name = a->name };
    int64_t cpus = venv_value_get_int(&a->node, "cpus", 0), memory = venv_value_get_int(&a->node, "memory", 0);
    uint64_t whole = memory > 0 ? (uint64_t)memory : 0, reserve = m->config->memory_reserve;
    double vcpus = (double)(cpus > 0 ? cpus : 0) * m->config->vcpu_overcommit;
    node->name = a->name;
    node->connected = venv_mgr_agent_is_connected(m, a);
    node->reachable = a->machines_known && a->reachable;
    node->kinds = kinds_of(&a->node);
    node->vcpus = vcpus < UINT32_MAX ? (uint32_t)vcpus : UINT32_MAX;
    node->memory_bytes = whole > reserve ? whole - reserve : 0;
    node->used_vcpus = a->foreign_vcpus;
    node->used_memory_bytes = a->foreign_memory;
    node->resolve = ask_node;
    node->resolve_user = c;
    count_used(m, node);
    judge_past(m, environment, i, node, c);
}

static void candidates_free(candidates *c)
{
    free(c->nodes);
    free(c->names);
    free(c->verdicts);
}

static bool candidates_make(venv_manager *m, const char *environment, const instance *i, candidates *ret)
{
    size_t max = venv_groups_member_count(m->groups), cursor = 0;
    ret->nodes = calloc(max + 1, sizeof *ret->nodes);
    ret->names = calloc(max + 1, sizeof *ret->names);
    ret->verdicts = calloc(max + 1, sizeof *ret->verdicts);
    ret->count = 0;
    if (!ret->nodes || !ret->names || !ret->verdicts) {
        candidates_free(ret);
        venv_mgr_no_memory(m);
        return false;
    }
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor))) {
        agent *a = member->data;
        if (!a || !a->hypervisor)
            continue;
        fill(m, a, environment, i, &ret->nodes[ret->count], &ret->names[ret->count]);
        ret->count++;
    }
    return true;
}

static bool choose(venv_manager *m, venv_environment *environment, const char *asked, candidates *c, size_t *ret_index)
{
    if (venv_placement_choose(environment, asked, c->nodes, c->count, m->place_context, NULL, c->verdicts, ret_index,
                              NULL) == VENV_OK)
        return true;
    venv_mgr_no_memory(m);
    return false;
}

venv_rc venv_mgr_place_target(venv_manager *m, instance *i, const char *asked, char ret_node[VENV_NAME_MAX + 1], venv_error *err)
{
    venv_environment *environment = NULL;
    candidates c = { NULL, NULL, NULL, 0 };
    size_t index = 0;
    if (asked && strcmp(asked, i->node) == 0)
        return venv_error_set(err, VENV_ECONFLICT, "%s is on node %s already", i->name, asked);
    if (i->adopted || venv_value_kind(&i->definition) != VENV_MAP)
        return venv_error_set(err, VENV_EUNSUPPORTED, "%s was taken in from its node: its definition is not known here, so no other can be chosen",
                              i->name);
    venv_rc rc = venv_environment_from_value(i->environment, &i->definition, NULL, m->place_env, &environment, err);
    if (rc != VENV_OK)
        return rc;
    if (!candidates_make(m, i->environment, i, &c)) {
        venv_environment_unref(environment);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    for (size_t n = 0; n < c.count; n++)
        if (strcmp(c.nodes[n].name, i->node) == 0)
            c.nodes[n].connected = false; /* it is there */
    if (choose(m, environment, asked, &c, &index) && index < c.count) {
        snprintf(ret_node, VENV_NAME_MAX + 1, "%s", c.nodes[index].name);
    } else {
        char why[REASON_MAX];
        venv_placement_summary(environment, c.verdicts, c.count, why, sizeof why);
        rc = venv_error_set(err, VENV_ECONFLICT, "no other node can take %s: %s", i->name, why);
    }
    candidates_free(&c);
    venv_environment_unref(environment);
    return rc;
}

/* Try to place a pending instance and tell its node. False: it stays pending, with the reason. */
bool venv_mgr_place_instance(venv_manager *m, instance *i)
{
    venv_environment *environment = NULL;
    candidates c = { NULL, NULL, NULL, 0 };
    size_t index = 0;
    venv_error err = { 0 };
    /* The definition of when it was asked for: a changed configuration makes new instances, not other old ones. */
    if (venv_environment_from_value(i->environment, &i->definition, NULL, m->place_env, &environment, &err) != VENV_OK) {
        venv_mgr_instance_set(m, i, VENV_INSTANCE_FAILED, err.text);
        venv_mgr_instance_end_deeds(m, i);
        return true;
    }
    if (!candidates_make(m, i->environment, i, &c)) {
        venv_environment_unref(environment);
        return false;
    }
    bool placed = choose(m, environment, i->asked_node, &c, &index) && index < c.count;
    char why[REASON_MAX];
    if (placed) {
        free(i->node);
        i->node = venv_mgr_copy_text(m, c.nodes[index].name);
        i->epoch++;
        venv_mgr_trial_begin(m, i);
        venv_mgr_instance_placed(m, i, venv_mgr_placement_detail(m, c.nodes, c.verdicts, c.count, index));
        venv_mgr_instance_set(m, i, VENV_INSTANCE_PREPARING, "");
        venv_mgr_instance_set(m, i, VENV_INSTANCE_STARTING, "its node is told to start it");
        deed *d = venv_mgr_deed_find(m, i->start);
        if (d && venv_mgr_deed_is_open(d))
            venv_mgr_deed_run(m, d, m->config->action_timeout);
        venv_mgr_instance_send_start(m, i);
    } else {
        venv_placement_summary(environment, c.verdicts, c.count, why, sizeof why);
        if (c.count == 0)
            memcpy(why, "no agent has a hypervisor", sizeof "no agent has a hypervisor");
        if (strcmp(i->reason, why) != 0) {
            venv_mgr_set_reason(i->reason, why);
            venv_mgr_instance_touch(m, i);
            venv_mgr_event_add(m, "instance-waits", i->name, i->start,
                      venv_mgr_placement_detail(m, c.nodes, c.verdicts, c.count, c.count), "%s waits for a node: %s", i->name, i->reason);
            i->placed = m->revision;
        }
    }
    candidates_free(&c);
    venv_environment_unref(environment);
    return placed;
}

/* Whether there is another node for one that could not be started where it is. */
bool venv_mgr_place_elsewhere(venv_manager *m, instance *i)
{
    venv_environment *environment = NULL;
    candidates c = { NULL, NULL, NULL, 0 };
    size_t index = 0;
    if (venv_environment_from_value(i->environment, &i->definition, NULL, m->place_env, &environment, NULL) != VENV_OK)
        return false;
    bool found = candidates_make(m, i->environment, i, &c) && choose(m, environment, NULL, &c, &index) && index < c.count;
    candidates_free(&c);
    venv_environment_unref(environment);
    return found;
}

/* The nodes that `count` starts would go to, as things are. */
void venv_mgr_place_each(venv_manager *m, venv_environment *environment, int64_t count, venv_trigger_agent_fn each, void *user)
{
    candidates c = { NULL, NULL, NULL, 0 };
    size_t index = 0;
    if (!candidates_make(m, venv_environment_name(environment), NULL, &c))
        return;
    for (int64_t n = 0; n < count && choose(m, environment, NULL, &c, &index) && index < c.count; n++) {
        each(user, c.nodes[index].name);
        c.nodes[index].used_vcpus += venv_environment_vcpus(environment);
        c.nodes[index].used_memory_bytes += venv_environment_memory_bytes(environment);
    }
    candidates_free(&c);
}

/* What placement says of one node, as it is now. */
venv_value venv_mgr_place_verdict(venv_manager *m, venv_environment *environment, const char *node, bool *ret_fits)
{
    agent *a = venv_mgr_agent_find(m, node);
    venv_placement_node one = { .name = node };
    venv_placement_verdict verdict = { .rule = VENV_PLACEMENT_CONNECTED };
    candidate name;
    size_t index = 0;
    if (a)
        fill(m, a, venv_environment_name(environment), NULL, &one, &name);
    if (venv_placement_choose(environment, NULL, &one, 1, m->place_context, NULL, &verdict, &index, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    *ret_fits = verdict.rule == VENV_PLACEMENT_OK;
    return venv_mgr_verdict_value(m, node, &verdict);
}

/* What a start of `count` would do: where each would go, and why not elsewhere. Changes nothing. */
venv_value venv_mgr_place_dry_run(venv_manager *m, venv_environment *environment, const char *asked, int64_t count)
{
    candidates c = { NULL, NULL, NULL, 0 };
    venv_list_builder instances, verdicts;
    venv_list_init(&instances);
    venv_list_init(&verdicts);
    if (!candidates_make(m, venv_environment_name(environment), NULL, &c))
        return venv_value_null();
    size_t index = 0;
    for (int64_t n = 0; n < count && choose(m, environment, asked, &c, &index); n++) {
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put_z(&map, "environment", venv_environment_name(environment));
        venv_map_put_z(&map, "state", "pending");
        if (index < c.count) {
            venv_map_put_z(&map, "node", c.nodes[index].name);
            c.nodes[index].used_vcpus += venv_environment_vcpus(environment);
            c.nodes[index].used_memory_bytes += venv_environment_memory_bytes(environment);
        } else {
            char why[REASON_MAX];
            venv_placement_summary(environment, c.verdicts, c.count, why, sizeof why);
            venv_map_put_text(&map, "reason", why, strlen(why));
        }
        venv_list_add(&instances, venv_mgr_take_map(m, &map));
    }
    for (size_t n = 0; n < c.count; n++)
        venv_list_add(&verdicts, venv_mgr_verdict_value(m, c.nodes[n].name, &c.verdicts[n]));
    candidates_free(&c);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "dry_run", venv_value_bool(true));
    venv_map_put(&map, "instances", venv_mgr_take_list(m, &instances));
    venv_map_put(&map, "placement", venv_mgr_take_list(m, &verdicts));
    return venv_mgr_take_map(m, &map);
}
