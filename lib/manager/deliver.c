/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions that the manager's host carries out: mail, webhook, plugin. The core says what, the shell does it and tells
 * how it ended.
 *
 *      action (row: verb, arguments) ──durable──► DELIVER ──► shell ──► DELIVERED ──► done | failed | unknown
 *
 * After a restart of the manager nobody knows how far it came. A mail and a webhook are sent again: they carry the action's id
 * (Message-ID, Idempotency-Key), so whoever gets them twice can tell, and a warning that is missing is worse than one that
 * comes twice. A plug-in may do anything: it is not run again, and its outcome is unknown.
 */
#include "manager/internal.h"

#include "base/cleanup.h"
#include "manager/outside.h"

#include <stdio.h>
#include <string.h>

#define DELIVERIES_MAX 1024u /* open at once */
#define MARGIN_NS      (10 * VENV_NS_PER_S)
#define PLUGIN_TIMEOUT ((venv_span){ 60 * VENV_NS_PER_S })
#define PLUGIN_TIMEOUT_MAX_NS (3600 * VENV_NS_PER_S)

/* The longest that the shell takes: all tries, and the pauses of 1 s, 2 s, 4 s… between them. */
static venv_span tries_timeout(const venv_value *settings)
{
    int64_t retries = venv_config_int(settings, "retries");
    return (venv_span){ venv_config_span(settings, "timeout").ns * (retries + 1) + ((INT64_C(1) << retries) - 1) * VENV_NS_PER_S };
}

static venv_span plugin_timeout(const venv_value *arguments)
{
    venv_span span;
    const venv_value *asked = venv_value_get(arguments, "timeout");
    if (!asked || !venv_value_to_span(asked, &span) || span.ns <= 0)
        return PLUGIN_TIMEOUT;
    return span.ns > PLUGIN_TIMEOUT_MAX_NS ? (venv_span){ PLUGIN_TIMEOUT_MAX_NS } : span;
}

static void copy_keys(venv_map_builder *map, const venv_value *from, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const venv_value *value = venv_value_get(from, keys[i]);
        if (value)
            venv_map_put(map, keys[i], venv_value_ref(value));
    }
}

/* What caused the action, for a plug-in and for a webhook that has no body of its own. */
static venv_value occasion(venv_manager *m, const deed *d, const venv_value *input)
{
    char text[VENV_ID_TEXT_SIZE];
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "manager", m->config->name);
    venv_map_put_z(&map, "action", venv_id_format(d->id, text));
    if (!venv_id_is_none(d->parent))
        venv_map_put_z(&map, "parent", venv_id_format(d->parent, text));
    venv_map_put_z(&map, "by", d->by);
    venv_map_put(&map, "time", venv_value_from_wall(d->made));
    venv_map_put_text(&map, "reason", d->reason, strlen(d->reason));
    if (input)
        venv_map_put(&map, "input", venv_value_ref(input));
    return venv_mgr_take_map(m, &map);
}

static void put_mail(venv_manager *m, const deed *d, venv_map_builder *map)
{
    static const char *const settings[] = { "server", "from", "ca", "user", "password_file", "timeout", "retries" };
    static const char *const arguments[] = { "subject", "text" };
    const venv_value *mail = &m->config->mail, *to = venv_value_get(&d->delivery, "to");
    const venv_value *addresses = to ? venv_value_find(venv_config_get(mail, "recipients"), to) : NULL;
    char domain[2 * VENV_NAME_MAX + 8];
    copy_keys(map, mail, settings, VENV_COUNT_OF(settings));
    copy_keys(map, &d->delivery, arguments, VENV_COUNT_OF(arguments));
    if (addresses)
        venv_map_put(map, "to", venv_value_ref(addresses));
    venv_str tls = venv_config_text(mail, "tls");
    venv_map_put(map, "tls", venv_value_bool(!(tls.size == 4 && memcmp(tls.data, "none", 4) == 0)));
    venv_map_put(map, "made", venv_value_from_wall(d->made));
    snprintf(domain, sizeof domain, "%s.%s", m->config->name, m->config->cluster ? m->config->cluster : "venv");
    venv_map_put_z(map, "domain", domain);
}

static void put_webhook(venv_manager *m, const deed *d, venv_map_builder *map)
{
    static const char *const settings[] = { "url", "ca", "token_file", "timeout", "retries" };
    const venv_value *body = venv_value_get(&d->delivery, "body");
    const venv_value *webhook = venv_mgr_outside_webhook_find(m->config, venv_value_get_text(&d->delivery, "to"), NULL);
    if (webhook)
        copy_keys(map, webhook, settings, VENV_COUNT_OF(settings));
    venv_map_put(map, "body", body ? venv_value_ref(body) : occasion(m, d, NULL));
}

static void put_plugin(venv_manager *m, const deed *d, venv_map_builder *map)
{
    static const char *const arguments[] = { "name" };
    copy_keys(map, &d->delivery, arguments, VENV_COUNT_OF(arguments));
    venv_map_put(map, "timeout", venv_value_from_span(plugin_timeout(&d->delivery)));
    venv_map_put(map, "directories", venv_value_ref(&m->config->plugins));
    venv_map_put(map, "input", occasion(m, d, venv_value_get(&d->delivery, "input")));
}

/* The order is made from the configuration of now: what was sent before a restart may go elsewhere after it. */
static void send_off(venv_manager *m, deed *d)
{
    char id[VENV_ID_TEXT_SIZE];
    venv_map_builder map;
    venv_span timeout;
    venv_map_init(&map);
    venv_map_put_z(&map, "kind", d->kind);
    venv_map_put_z(&map, "id", venv_id_format(d->id, id));
    if (strcmp(d->kind, "mail") == 0) {
        put_mail(m, d, &map);
        timeout = tries_timeout(&m->config->mail);
    } else if (strcmp(d->kind, "webhook") == 0) {
        put_webhook(m, d, &map);
        timeout = tries_timeout(venv_mgr_outside_webhook_find(m->config, venv_value_get_text(&d->delivery, "to"), NULL));
    } else {
        put_plugin(m, d, &map);
        timeout = plugin_timeout(&d->delivery);
    }
    venv_mgr_deed_run(m, d, (venv_span){ timeout.ns + MARGIN_NS });
    venv_mgr_effect_deliver(m, d->id, venv_mgr_take_map(m, &map));
}

static size_t count_open(venv_manager *m)
{
    size_t cursor = 0, count = 0;
    void *item;
    while (venv_table_next(m->deeds, &cursor, NULL, &item)) {
        const deed *d = item;
        count += venv_mgr_deed_is_open(d) && venv_value_kind(&d->delivery) != VENV_NULL;
    }
    return count;
}

venv_rc venv_mgr_deliver(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err)
{
    const char *key;
    venv_rc rc = venv_mgr_outside_find(m->config, d->kind, arguments, &key, err);
    if (rc != VENV_OK)
        return rc;
    if (count_open(m) >= DELIVERIES_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%u mails, webhooks and plug-ins are under way already", DELIVERIES_MAX);
    if (venv_value_dup(arguments, &d->delivery, NULL) != VENV_OK) {
        venv_mgr_no_memory(m);
        return VENV_OK;
    }
    send_off(m, d);
    return VENV_OK;
}

void venv_mgr_delivered(venv_manager *m, const venv_manager_event *event)
{
    deed *d = venv_mgr_deed_find(m, event->action);
    if (!d || venv_value_kind(&d->delivery) == VENV_NULL)
        return;
    if (!venv_mgr_deed_is_open(d)) {
        venv_mgr_deed_late(m, d, event->rc, event->text);
        return;
    }
    venv_value_unref(&d->result);
    d->result = event->value ? venv_mgr_cut_output(m, event->value, ROW_OUTPUT_MAX) : venv_value_null();
    venv_mgr_deed_end(m, d, event->rc, event->text && event->text[0] ? event->text : venv_rc_name(event->rc));
}

/* After a restart: what was under way. */
void venv_mgr_deliver_again(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->deeds, &cursor, NULL, &item)) {
        deed *d = item;
        const char *key;
        venv_error err = { 0 };
        if (!venv_mgr_deed_is_open(d) || venv_value_kind(&d->delivery) == VENV_NULL)
            continue;
        if (strcmp(d->kind, "plugin") == 0)
            venv_mgr_deed_end(m, d, VENV_EUNKNOWN, "the manager was restarted while the plug-in ran: what it did is not known");
        else if (venv_mgr_outside_find(m->config, d->kind, &d->delivery, &key, &err) != VENV_OK)
            venv_mgr_deed_end(m, d, VENV_EUNKNOWN, err.text);
        else
            send_off(m, d);
    }
}
