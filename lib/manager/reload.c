/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another configuration while the manager runs. The shell reads and checks the files; what comes in here is right as a whole,
 * or an error that says what is wrong with it. Then the difference is told, and all of it is used, or nothing.
 *
 * What stays: instances have their definition with them, whatever becomes of their environment; triggers that are as before
 * keep their state (trigger/reload.c). Some settings are those of things that are made once, such as sockets and the
 * database: they are named, and are as they were until the manager is started again.
 */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const venv_id none = { { 0 } };

/* Settings that can change while the manager runs, and where they are. */
static const struct {
    const char *key;
    size_t at, size;
} live[] = {
#define LIVE(key, member) { key, offsetof(venv_manager_config, member), sizeof ((venv_manager_config *)0)->member }
    LIVE("heartbeat", heartbeat), LIVE("suspect", suspect), LIVE("lost", lost), LIVE("first_frame", first_frame),
    LIVE("name_hold", name_hold), LIVE("connect_rate", connect_rate), LIVE("action_timeout", action_timeout),
    LIVE("pending_timeout", pending_timeout), LIVE("grace", grace), LIVE("vcpu_overcommit", vcpu_overcommit),
    LIVE("memory_overcommit", memory_overcommit), LIVE("nodes", node_rules), LIVE("nodes", node_rule_count),
    LIVE("memory_reserve", memory_reserve), LIVE("retention", retention), LIVE("events_max", events_max),
    LIVE("send_rate", send_rate), LIVE("send_burst", send_burst), LIVE("start_nodes", start_nodes),
    LIVE("breaker", breaker_failures), LIVE("breaker", breaker_window), LIVE("breaker", breaker_retry),
    LIVE("breaker", breaker_retry_max),
#undef LIVE
};

static bool is_live(venv_str key)
{
    for (size_t i = 0; i < VENV_COUNT_OF(live); i++)
        if (strlen(live[i].key) == key.size && memcmp(live[i].key, key.data, key.size) == 0)
            return true;
    return false;
}

/* --- the difference -------------------------------------------------------------------------------------- */

typedef struct difference {
    size_t added, removed, changed, settings, later;
} difference;

static bool same(const venv_value *a, const venv_value *b)
{
    return a && b ? venv_value_compare(a, b) == 0 : !a && !b;
}

/* {added: [], removed: [], changed: []} */
static venv_value names_difference(venv_manager *m, const venv_value *old, const venv_value *fresh, difference *d)
{
    venv_list_builder added, removed, changed;
    venv_map_builder map;
    const venv_value *key, *value;
    venv_list_init(&added);
    venv_list_init(&removed);
    venv_list_init(&changed);
    for (size_t i = 0; venv_value_entry(fresh, i, &key, &value); i++) {
        const venv_value *was = venv_value_find(old, key);
        if (was && same(was, value))
            continue;
        venv_list_add(was ? &changed : &added, venv_value_ref(key));
        *(was ? &d->changed : &d->added) += 1;
    }
    for (size_t i = 0; venv_value_entry(old, i, &key, NULL); i++)
        if (!venv_value_find(fresh, key)) {
            venv_list_add(&removed, venv_value_ref(key));
            d->removed++;
        }
    venv_map_init(&map);
    venv_map_put(&map, "added", venv_mgr_take_list(m, &added));
    venv_map_put(&map, "removed", venv_mgr_take_list(m, &removed));
    venv_map_put(&map, "changed", venv_mgr_take_list(m, &changed));
    return venv_mgr_take_map(m, &map);
}

static void add_setting(venv_manager *m, venv_list_builder *list, const venv_value *key, const venv_value *from, const venv_value *to,
                        bool now, difference *d)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "key", venv_value_ref(key));
    venv_map_put(&map, "from", from ? venv_value_ref(from) : venv_value_null());
    venv_map_put(&map, "to", to ? venv_value_ref(to) : venv_value_null());
    venv_map_put(&map, "live", venv_value_bool(now));
    venv_list_add(list, venv_mgr_take_map(m, &map));
    *(now ? &d->settings : &d->later) += 1;
}

static void add_section(venv_manager *m, venv_list_builder *list, const char *name, const venv_value *from, const venv_value *to, bool now,
                        difference *d)
{
    venv_value key = venv_value_literal(name);
    if (!same(from, to))
        add_setting(m, list, &key, from, to, now, d);
}

static venv_value settings_difference(venv_manager *m, const venv_manager_config *old, const venv_manager_config *fresh, difference *d)
{
    venv_list_builder list;
    const venv_value *key, *value;
    venv_list_init(&list);
    for (size_t i = 0; venv_value_entry(&fresh->settings, i, &key, &value); i++) {
        const venv_value *was = venv_value_find(&old->settings, key);
        if (!same(was, value))
            add_setting(m, &list, key, was, value, is_live(venv_value_peek_text(key)), d);
    }
    for (size_t i = 0; venv_value_entry(&old->settings, i, &key, &value); i++)
        if (!venv_value_find(&fresh->settings, key))
            add_setting(m, &list, key, value, NULL, is_live(venv_value_peek_text(key)), d);
    add_section(m, &list, "mail", &old->mail, &fresh->mail, true, d);
    add_section(m, &list, "webhooks", &old->webhooks, &fresh->webhooks, true, d);
    add_section(m, &list, "plugins", &old->plugins, &fresh->plugins, true, d);
    return venv_mgr_take_list(m, &list);
}

static venv_value whole_difference(venv_manager *m, const venv_manager_config *fresh, bool applied, difference *environments,
                                   difference *triggers, difference *settings)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "applied", venv_value_bool(applied));
    venv_map_put(&map, "environments", names_difference(m, &m->config->environments, &fresh->environments, environments));
    venv_map_put(&map, "triggers", names_difference(m, &m->config->triggers, &fresh->triggers, triggers));
    venv_map_put(&map, "manager", settings_difference(m, m->config, fresh, settings));
    return venv_mgr_take_map(m, &map);
}

static void describe(const difference *e, const difference *t, const difference *s, char *text, size_t size)
{
    if (e->added + e->removed + e->changed + t->added + t->removed + t->changed + s->settings + s->later == 0) {
        snprintf(text, size, "nothing is different");
        return;
    }
    int n = snprintf(text, size, "environments +%zu -%zu ~%zu, triggers +%zu -%zu ~%zu, settings ~%zu", e->added, e->removed, e->changed,
                     t->added, t->removed, t->changed, s->settings);
    if (s->later > 0 && n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, "; %zu more take a restart of the manager", s->later);
}

/* --- taking it up ---------------------------------------------------------------------------------------- */

static void tell_instances(venv_manager *m, const char *environment)
{
    size_t running = 0, cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (strcmp(i->environment, environment) != 0 || venv_instance_is_final(i->state))
            continue;
        if (i->state != VENV_INSTANCE_PENDING) {
            running++;
            continue;
        }
        venv_mgr_instance_set(m, i, VENV_INSTANCE_FAILED, "its environment was removed from the configuration");
        venv_mgr_instance_end_deeds(m, i);
    }
    venv_mgr_event_add(m, "environment-removed", environment, none, venv_value_null(),
                       "environment %s was removed: %zu instances of it run on until they are stopped, none is started any more", environment,
                       running);
    venv_triggers_note_instances(m->triggers, environment);
}

static void take_environments(venv_manager *m, venv_table *fresh)
{
    venv_table *old = m->environments;
    size_t cursor = 0;
    venv_str key;
    void *item;
    m->environments = fresh;
    while (venv_table_next(old, &cursor, &key, &item)) {
        char name[VENV_NAME_MAX + 1];
        if (venv_mgr_fits_name(key, name) && !venv_mgr_environment_find(m, name))
            tell_instances(m, name);
        venv_environment_unref(item);
    }
    venv_table_free(old);
    cursor = 0;
    while (venv_table_next(fresh, &cursor, &key, &item))
        venv_triggers_note_instances(m->triggers, venv_environment_name(item));
}

static void row_gone(void *user, const char *key, const venv_value *row)
{
    venv_value text = venv_value_null();
    (void)row;
    if (venv_value_string_z(key, &text, NULL) == VENV_OK)
        venv_mgr_effect_delete(user, VENV_ROWS_TRIGGERS, text);
    else
        venv_mgr_no_memory(user);
}

static void withdraw(venv_manager *m, const venv_manager_config *fresh)
{
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(&m->config->triggers, i, &key, &value); i++) {
        char name[VENV_NAME_MAX + 1];
        const venv_value *is = venv_value_find(&fresh->triggers, key);
        if (venv_mgr_fits_name(venv_value_peek_text(key), name) && !(is && same(is, value)))
            venv_mgr_proposals_withdraw(m, name, is ? "its trigger was changed" : "its trigger was removed");
    }
}

/* What can change live is taken over by value; texts and lists that cannot stay those of the first configuration. */
static void take_settings(venv_manager *m, const venv_manager_config *fresh)
{
    venv_manager_config merged = *m->config;
    for (size_t i = 0; i < VENV_COUNT_OF(live); i++)
        memcpy((char *)&merged + live[i].at, (const char *)fresh + live[i].at, live[i].size);
    venv_value *values[][2] = {
        { &merged.environments, &m->merged.environments }, { &merged.triggers, &m->merged.triggers }, { &merged.mail, &m->merged.mail },
        { &merged.webhooks, &m->merged.webhooks },         { &merged.settings, &m->merged.settings },
        { &merged.plugins, &m->merged.plugins },
    };
    merged.environments = venv_value_ref(&fresh->environments);
    merged.triggers = venv_value_ref(&fresh->triggers);
    merged.mail = venv_value_ref(&fresh->mail);
    merged.webhooks = venv_value_ref(&fresh->webhooks);
    merged.settings = venv_value_ref(&fresh->settings);
    merged.plugins = venv_value_ref(&fresh->plugins);
    for (size_t i = 0; i < VENV_COUNT_OF(values); i++)
        venv_value_unref(values[i][1]);
    m->merged = merged;
    m->config = &m->merged;
    m->config_changes++;
    m->policy_changed = true;
}

void venv_mgr_reload_free(venv_manager *m)
{
    venv_value_unref(&m->merged.environments);
    venv_value_unref(&m->merged.triggers);
    venv_value_unref(&m->merged.mail);
    venv_value_unref(&m->merged.webhooks);
    venv_value_unref(&m->merged.settings);
    venv_value_unref(&m->merged.plugins);
}

const venv_manager_config *venv_manager_config_used(const venv_manager *m)
{
    return m->config;
}

uint64_t venv_manager_config_changes(const venv_manager *m)
{
    return m->config_changes;
}

static void environments_free(venv_table *table)
{
    size_t cursor = 0;
    void *item;
    while (table && venv_table_next(table, &cursor, NULL, &item))
        venv_environment_unref(item);
    venv_table_free(table);
}

/* Everything that can fail comes first. */
static venv_rc take_up(venv_manager *m, const venv_manager_config *fresh, bool dry_run, venv_value *ret_difference, venv_error *err)
{
    venv_table *environments = NULL;
    venv_triggers *triggers = NULL;
    venv_trigger_options options = { m->config->tick, m->config->zone, m->config->zone_user };
    venv_rc rc = venv_mgr_environments_make(m, &fresh->environments, &environments, err);
    if (rc == VENV_OK)
        rc = venv_mgr_catalog_keep_applied(m, environments, err);
    if (rc == VENV_OK)
        rc = venv_triggers_new(&fresh->triggers, &options, &triggers, err);
    if (rc != VENV_OK || dry_run) {
        difference e = { 0 }, t = { 0 }, s = { 0 };
        environments_free(environments);
        venv_triggers_free(triggers);
        if (rc == VENV_OK)
            *ret_difference = whole_difference(m, fresh, false, &e, &t, &s);
        return rc;
    }
    char text[REASON_MAX];
    difference e = { 0 }, t = { 0 }, s = { 0 };
    *ret_difference = whole_difference(m, fresh, true, &e, &t, &s);
    describe(&e, &t, &s, text, sizeof text);
    venv_mgr_event_add(m, "configuration-reloaded", m->config->name, none, venv_value_ref(ret_difference), "the configuration was read anew: %s", text);
    venv_mgr_effect_log(m, VENV_LOG_INFO, "the configuration was read anew: %s", text);
    withdraw(m, fresh);
    venv_triggers_take_over(triggers, m->triggers, m->now, row_gone, m);
    venv_trigger_reports_clear(&m->reports); /* they name triggers of the old set */
    venv_triggers_free(m->triggers);
    m->triggers = triggers;
    take_environments(m, environments);
    take_settings(m, fresh);
    venv_mgr_catalog_files(m);
    venv_mgr_triggers_save(m);
    return VENV_OK;
}

/* --- asking for it ----------------------------------------------------------------------------------------- */

/* A person asks. The answer comes when the shell has read the files. */
venv_rc venv_mgr_reload_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err)
{
    if (m->reload_count == RELOADS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the configuration is being read for %u others; try again", RELOADS_MAX);
    reload *r = &m->reloads[m->reload_count++];
    *r = (reload){ venv_mgr_next_number(m), p->number, request, venv_value_get_bool(body, "dry_run", false) };
    venv_mgr_effect_reload(m, r->token);
    return VENV_OK;
}

/* The shell has read it: `config`, or `text` says what is wrong with it. Token 0: a signal asked for it. */
void venv_mgr_reload_event(venv_manager *m, const venv_manager_event *event)
{
    reload asked = { 0, 0, 0, false };
    for (size_t i = 0; i < m->reload_count; i++) {
        if (m->reloads[i].token != event->token)
            continue;
        asked = m->reloads[i];
        memmove(&m->reloads[i], &m->reloads[i + 1], (m->reload_count - i - 1) * sizeof *m->reloads);
        m->reload_count--;
        break;
    }
    venv_error err = { 0 };
    venv_value told = venv_value_null();
    venv_rc rc = event->config ? take_up(m, event->config, asked.dry_run, &told, &err)
                               : venv_error_set(&err, event->rc != VENV_OK ? event->rc : VENV_EINVAL, "%s", event->text ? event->text : "it cannot be read");
    peer *p = asked.peer ? venv_mgr_peer_find(m, asked.peer) : NULL;
    if (rc == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    if (rc != VENV_OK && !asked.dry_run) {
        venv_mgr_event_add(m, "configuration-refused", m->config->name, none, venv_value_null(),
                           "the configuration was not read anew, and nothing was changed: %s", err.text);
        venv_mgr_effect_log(m, VENV_LOG_ERROR, "the configuration was not read anew, and nothing was changed: %s", err.text);
    }
    if (p && rc == VENV_OK)
        venv_mgr_request_result(m, p, asked.request, venv_value_ref(&told));
    else if (p)
        venv_mgr_request_failed(m, p, asked.request, &err);
    venv_value_unref(&told);
}
