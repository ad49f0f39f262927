/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager's core: one event in, actions out. It reads no clock, opens no file and keeps nothing outside
 * of its struct, so the same events give the same actions, under the real loop and in the simulator.
 */
#include "manager/internal.h"

#include "trigger/ask.h"

#include <stdlib.h>
#include <string.h>

#define TRIGGERS_AGAIN_NS (VENV_NS_PER_S / 10)
#define RETENTION_EVERY ((venv_span){ 60 * VENV_NS_PER_S })

static venv_rc make_tables(venv_manager *m, venv_error *err)
{
    struct {
        venv_table **table;
        size_t max;
    } tables[] = {
        { &m->peers, PEERS_MAX },        { &m->instances, INSTANCES_MAX }, { &m->names, INSTANCES_MAX },
        { &m->deeds, DEEDS_MAX * 2 },    { &m->proposals, PROPOSALS_MAX * 2 }, { &m->breakers, 65536 },     { &m->catalog, CATALOG_MAX },
           { &m->requests, REQUESTS_MAX * 2 }, { &m->calls, CALLS_MAX },
        { &m->gathers, GATHERS_MAX },    { &m->counters, 65536 },
        { &m->firings, VENV_TRIGGERS_MAX * 4 },
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        venv_rc rc = venv_table_new(m->seed, tables[i].max, tables[i].table, err);
        if (rc != VENV_OK)
            return rc;
    }
    return venv_groups_new(m->seed, venv_mgr_membership_changed, m, &m->groups, err);
}

typedef void (*free_fn)(void *item);

static void table_free_all(venv_table *table, free_fn release)
{
    size_t cursor = 0;
    void *item;
    while (table && release && venv_table_next(table, &cursor, NULL, &item))
        release(item);
    venv_table_free(table);
}

static void free_environment_item(void *item) { venv_environment_unref(item); }

venv_rc venv_mgr_environments_make(venv_manager *m, const venv_value *definitions, venv_table **ret_table, venv_error *err)
{
    venv_table *table = NULL;
    venv_rc rc = venv_table_new(m->seed, CATALOG_MAX, &table, err);
    const venv_value *key, *value;
    for (size_t i = 0; rc == VENV_OK && venv_value_entry(definitions, i, &key, &value); i++) {
        char name[VENV_NAME_MAX + 1];
        venv_environment *environment = NULL;
        if (venv_value_kind(key) == VENV_STRING && venv_mgr_fits_name(venv_value_peek_text(key), name))
            rc = venv_environment_from_value(name, value, NULL, &m->words, &environment, err);
        else
            rc = venv_error_set(err, VENV_EINVAL, "an environment has no valid name");
        if (rc == VENV_OK)
            rc = venv_table_add(table, name, strlen(name), environment, err);
        if (rc != VENV_OK)
            venv_environment_unref(environment);
    }
    if (rc != VENV_OK) {
        table_free_all(table, free_environment_item);
        return rc;
    }
    *ret_table = table;
    return VENV_OK;
}

static venv_rc make_environments(venv_manager *m, venv_error *err)
{
    venv_rc rc = venv_environment_expr_env(&m->place_env, err);
    venv_trigger_world world = venv_mgr_world_of(m);
    m->words.place = m->place_env;
    if (rc == VENV_OK)
        rc = venv_asker_new(&(venv_trigger_options){ m->config->tick, m->config->zone, m->config->zone_user }, &world, &m->asker, err);
    if (rc == VENV_OK) {
        m->words.scale = venv_asker_words(m->asker, false);
        m->words.idle = venv_asker_words(m->asker, true);
    }
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&m->place_context, err);
    return rc == VENV_OK ? venv_mgr_environments_make(m, &m->config->environments, &m->environments, err) : rc;
}

venv_rc venv_manager_new(const venv_manager_config *config, const venv_manager_row *rows, size_t row_count,
                         uint64_t last_revision, venv_id boot, uint64_t seed, venv_now now,
                         venv_manager **ret_manager, venv_error *err)
{
    venv_manager *m = calloc(1, sizeof *m);
    if (!m)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    m->config = config;
    m->boot = boot;
    m->now = m->started = now;
    m->seed = seed;
    m->revision = m->base = last_revision;
    venv_history_journal_init(&m->history);
    m->next_sweep = m->deeds_due = now.mono;
    m->agents_stale = true;
    venv_random_init(&m->random, seed);
    venv_trigger_reports_init(&m->reports);
    venv_list_init(&m->unknown_rows);
    venv_rc rc = make_tables(m, err);
    if (rc == VENV_OK)
        rc = make_environments(m, err);
    if (rc == VENV_OK)
        rc = venv_triggers_new(&config->triggers, &(venv_trigger_options){ config->tick, config->zone, config->zone_user },
                               &m->triggers, err);
    if (rc == VENV_OK)
        rc = venv_mgr_rows_load(m, rows, row_count, err);
    if (rc != VENV_OK) {
        venv_manager_free(m);
        return rc;
    }
    m->next_retention = venv_mgr_after(m, RETENTION_EVERY);
    *ret_manager = m;
    return VENV_OK;
}

static void free_peer_item(void *item) { venv_mgr_peer_free(item); }
static void free_instance_item(void *item) { venv_mgr_instance_free(item); }
static void free_deed_item(void *item) { venv_mgr_deed_free(item); }
static void free_proposal_item(void *item) { venv_mgr_proposal_free(item); }
static void free_gather_item(void *item) { venv_mgr_gather_free(item); }
static void free_row_item(void *item)
{
    venv_value_unref(item);
    free(item);
}

void venv_manager_free(venv_manager *m)
{
    if (!m)
        return;
    m->out = NULL;
    size_t cursor = 0;
    const venv_member *member;
    while (m->groups && (member = venv_groups_next_member(m->groups, &cursor)))
        venv_mgr_agent_free(member->data);
    venv_groups_free(m->groups);
    table_free_all(m->peers, free_peer_item);
    table_free_all(m->names, NULL);
    table_free_all(m->instances, free_instance_item);
    table_free_all(m->deeds, free_deed_item);
    table_free_all(m->proposals, free_proposal_item);
    table_free_all(m->breakers, free);
    table_free_all(m->requests, free_row_item);
    table_free_all(m->calls, free);
    table_free_all(m->gathers, free_gather_item);
    table_free_all(m->counters, free);
    table_free_all(m->firings, free);
    table_free_all(m->environments, free_environment_item);
    table_free_all(m->catalog, venv_mgr_catalog_entry_free);
    for (size_t i = 0; i < m->waiter_count; i++)
        free(m->waiters[i].instances);
    free(m->waiters);
    free(m->reads);
    venv_mgr_whys_free(m);
    free(m->asks);
    venv_history_journal_fini(&m->history);
    free(m->dirty_instances);
    free(m->dirty_deeds);
    free(m->dirty_agents);
    venv_mgr_sender_free(m);
    venv_value_unref(&m->agents_cached);
    venv_trigger_reports_fini(&m->reports);
    venv_list_fini(&m->unknown_rows);
    venv_triggers_free(m->triggers);
    venv_mgr_placing_free(m);
    venv_mgr_scalers_free(m);
    venv_asker_free(m->asker);
    venv_expr_context_free(m->place_context);
    venv_expr_env_unref(m->place_env);
    venv_mgr_reload_free(m);
    free(m);
}

/* Everything that time does. Sessions and time-outs are looked at twice a second: nothing here is finer. */
static void sweep(venv_manager *m)
{
    if (m->next_sweep.ns > m->now.mono.ns)
        return;
    m->next_sweep = venv_mgr_after(m, (venv_span){ SWEEP_NS });
    venv_mgr_peers_sweep(m);
    venv_mgr_agents_sweep(m);
    venv_mgr_gathers_sweep(m);
    venv_mgr_deeds_sweep(m);
    venv_mgr_drains_sweep(m);
    venv_mgr_scale_sweep(m);
    venv_mgr_maintenance_sweep(m);
    venv_mgr_instances_sweep(m);
    venv_mgr_proposals_sweep(m);
    venv_mgr_breakers_sweep(m);
    venv_mgr_guard_sweep(m);
    venv_mgr_record_leave(m, true);
    if (m->next_retention.ns <= m->now.mono.ns) {
        m->next_retention = venv_mgr_after(m, RETENTION_EVERY);
        venv_mgr_retention(m);
    }
}

/* The first step after a start: it is itself an event, and counted. */
static void first_step(venv_manager *m)
{
    if (m->begun)
        return;
    m->begun = true;
    m->boots++;
    venv_mgr_guard_start(m);
    venv_mgr_guard_save(m);
    venv_mgr_record_start(m);
    venv_mgr_catalog_start(m);
    venv_mgr_event_add(m, "manager-started", m->config->name, (venv_id){ { 0 } }, venv_value_null(),
              "manager %s started (start %llu of this state); it knows %zu instances and %zu agents", m->config->name,
              (unsigned long long)m->boots, venv_table_count(m->instances), venv_groups_member_count(m->groups));
    venv_mgr_rows_tidy(m);
    venv_mgr_proposals_compare(m);
    venv_mgr_deliver_again(m);
}

venv_rc venv_manager_step(venv_manager *m, venv_now now, const venv_manager_event *event,
                          venv_manager_actions *actions, venv_error *err)
{
    m->now = now;
    m->out = actions;
    m->out_begin = actions->count;
    m->wrote = false;
    m->rc = VENV_OK;
    m->steps++;
    first_step(m);
    switch (event->kind) {
    case VENV_MANAGER_EVENT_TIME:
        break;
    case VENV_MANAGER_EVENT_PEER_UP:
        venv_mgr_peer_up(m, event);
        break;
    case VENV_MANAGER_EVENT_PEER_DOWN:
        venv_mgr_peer_down(m, event->peer, event->text);
        break;
    case VENV_MANAGER_EVENT_FRAME:
        venv_mgr_peer_frame(m, event);
        break;
    case VENV_MANAGER_EVENT_DISK:
        venv_mgr_guard_disk(m, event->full, event->text ? event->text : "");
        break;
    case VENV_MANAGER_EVENT_ANSWER:
        venv_mgr_history_answer(m, event->token, event->value);
        break;
    case VENV_MANAGER_EVENT_HISTORY:
        if (!venv_mgr_why_history(m, event->token, event->value))
            venv_mgr_events_history(m, event->token, event->value, event->text);
        break;
    case VENV_MANAGER_EVENT_DELIVERED:
        venv_mgr_delivered(m, event);
        break;
    case VENV_MANAGER_EVENT_CONFIG:
        venv_mgr_reload_event(m, event);
        break;
    }
    sweep(m);
    venv_mgr_sender_run(m);
    venv_mgr_triggers_run(m);
    venv_mgr_waiters_check(m);
    venv_mgr_record_policy(m);
    venv_mgr_rows_flush(m);
    venv_mgr_record_leave(m, false);
    venv_mgr_effects_finish(m);
    m->out = NULL;
    return m->rc == VENV_OK ? VENV_OK : venv_error_set(err, m->rc, "out of memory: the manager ends and starts again from its state");
}

venv_instant venv_manager_deadline(const venv_manager *m)
{
    bool held = venv_mgr_guard_holds(m);
    venv_instant first = m->next_sweep, other = held ? VENV_INSTANT_NEVER : venv_triggers_deadline(m->triggers);
    if (!held && venv_triggers_pending(m->triggers)) /* they went on and on, following each other: let others have a turn */
        return (venv_instant){ m->now.mono.ns + TRIGGERS_AGAIN_NS };
    if (other.ns < first.ns)
        first = other;
    other = venv_mgr_sender_deadline(m);
    return other.ns < first.ns ? other : first;
}

/* --- digest --------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    return venv_hash_bytes(data, size, hash);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return text ? mix(hash, text, strlen(text) + 1) : mix(hash, "", 0);
}

static uint64_t digest_instance(uint64_t hash, const instance *i)
{
    uint64_t numbers[] = { (uint64_t)i->state, i->epoch, (uint64_t)i->since.ns, i->confirmed, i->stop_wanted, i->start_sent,
                           i->stop_sent, i->force, (uint64_t)i->change_kind, i->change_sent, i->change_told, i->change_again, i->arriving, i->target_epoch, i->epoch_last,
                           (uint64_t)i->source_has, (uint64_t)i->target_has, (uint64_t)i->retry.ns, (uint64_t)i->give_up.ns };
    hash = mix(hash, i->id.bytes, sizeof i->id.bytes);
    hash = mix(hash, numbers, sizeof numbers);
    return mix_text(mix_text(hash, i->name), i->node);
}

static uint64_t digest_agent(uint64_t hash, const agent *a)
{
    uint64_t numbers[] = { a->peer, a->property_count, a->machines_known, a->reachable, (uint64_t)a->unseen.ns };
    hash = mix_text(hash, a->name);
    hash = mix(hash, numbers, sizeof numbers);
    for (size_t i = 0; i < a->property_count; i++) {
        uint64_t value[] = { venv_value_hash(&a->properties[i].value, 1), (uint64_t)a->properties[i].quality };
        hash = mix(mix_text(hash, a->properties[i].label), value, sizeof value);
    }
    return hash;
}

uint64_t venv_manager_digest(const venv_manager *m)
{
    uint64_t head[] = { m->revision, venv_mgr_catalog_digest(m), m->writes, m->next_number, venv_mgr_sender_count(m), m->waiter_count, m->read_count, m->why_count,
                        venv_table_count(m->calls), venv_table_count(m->gathers), venv_table_count(m->requests),
                        m->random.s[0], m->random.s[1] };
    uint64_t hash = mix(venv_groups_digest(m->groups), head, sizeof head);
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item))
        hash = digest_instance(hash, item);
    cursor = 0;
    while (venv_table_next(m->deeds, &cursor, NULL, &item)) {
        const deed *d = item;
        uint64_t numbers[] = { (uint64_t)d->state, (uint64_t)d->deadline.ns, d->open, d->failed, d->unknown };
        hash = mix(mix(hash, d->id.bytes, sizeof d->id.bytes), numbers, sizeof numbers);
    }
    cursor = 0;
    while (venv_table_next(m->breakers, &cursor, NULL, &item)) {
        const breaker *b = item;
        uint64_t numbers[] = { (uint64_t)b->state, b->failures, b->opened, (uint64_t)b->retry.ns };
        hash = mix(mix_text(hash, b->name), numbers, sizeof numbers);
    }
    cursor = 0;
    while (venv_table_next(m->proposals, &cursor, NULL, &item)) {
        const proposal *p = item;
        uint64_t numbers[] = { (uint64_t)p->state, (uint64_t)p->deadline.ns, (uint64_t)p->repeats };
        hash = mix(mix(hash, p->id.bytes, sizeof p->id.bytes), numbers, sizeof numbers);
    }
    cursor = 0;
    while (venv_table_next(m->peers, &cursor, NULL, &item)) {
        const peer *p = item;
        hash = venv_session_digest(&p->session, hash ^ p->number);
    }
    cursor = 0;
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor)))
        if (member->data)
            hash = digest_agent(hash, member->data);
    return hash ^ venv_triggers_digest(m->triggers);
}
