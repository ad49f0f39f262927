/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager's host: the core, and a disk on which transactions become durable one after the other, some time
 * after they were handed over. What depends on a write is held back until then. A crash keeps what is durable,
 * perhaps a few transactions more, and loses everything that was held back.
 */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

static const char yaml[] =
    "manager:\n"
    "  name: mgr\n"
    "  tls: {ca: /c, certificate: /d, key: /e}\n"
    "  memory_reserve: 0\n"
    "  action_timeout: 30s\n"
    "  grace: 5s\n"
    "environments:\n"
    "  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n"
    "  tool: {hypervisor: test, vcpus: 1, memory: 128MiB}\n"
    "triggers:\n"
    "  grow:\n"
    "    when: 'queue(\"class2\").pending > 0 && instances(\"class2\").size() < 3'\n"
    "    until: 'queue(\"class2\").pending == 0'\n"
    "    hold: 1s\n"
    "    cooldown: 10s\n"
    "    on: [update]\n"
    "    do: [{start: {environment: class2, count: '${min(3 - instances(\"class2\").size(), queue(\"class2\").pending)}'}}]\n"
    "  shrink:\n"
    "    when: >-\n"
    "      queue(\"class2\").pending == 0 && queue(\"class2\").running == 0 &&\n"
    "      instances(\"class2\").exists(i, i.state == \"running\")\n"
    "    hold: 4s\n"
    "    cooldown: 10s\n"
    "    on: [update]\n"
    "    do: [{stop: {environment: class2}}]\n";

void server_init(sim *s)
{
    venv_manager_source source = { "sim.yaml", { yaml, sizeof yaml - 1 } };
    venv_error err = { 0 };
    char text[1024];
    if (venv_manager_config_new(&source, 1, NULL, NULL, &s->server.config, &err) != VENV_OK) {
        fprintf(stderr, "%s\n", venv_error_format(&err, text, sizeof text));
        abort();
    }
}

static void action_fini(venv_manager_action *a)
{
    venv_value_unref(&a->key);
    venv_value_unref(&a->value);
    free(a->text);
}

static void drop_volatile(server *v)
{
    for (size_t i = 0; i < v->write_count; i++) {
        for (size_t k = 0; k < v->writes[i].count; k++)
            action_fini(&v->writes[i].ops[k]);
        free(v->writes[i].ops);
    }
    v->write_count = 0;
    for (size_t i = 0; i < v->held_count; i++)
        action_fini(&v->held[i]);
    v->held_count = 0;
}

void server_fini(sim *s)
{
    server *v = &s->server;
    venv_manager_free(v->core);
    drop_volatile(v);
    for (size_t i = 0; i < v->row_count; i++) {
        venv_value_unref(&v->rows[i].key);
        venv_value_unref(&v->rows[i].value);
    }
    for (uint64_t i = 0; i < v->revision; i++)
        venv_value_unref(&v->log[i]);
    venv_manager_config_free(v->config);
}

void server_start(sim *s)
{
    server *v = &s->server;
    venv_manager_row *rows = calloc(v->row_count + 1, sizeof *rows);
    venv_error err = { 0 };
    for (size_t i = 0; i < v->row_count; i++)
        rows[i] = (venv_manager_row){ v->rows[i].collection, &v->rows[i].key, &v->rows[i].value };
    v->life++;
    v->durable = 0;
    v->last_durable_at = s->now;
    venv_rc rc = venv_manager_new(v->config, rows, v->row_count, v->revision, venv_random_id(&s->random),
                                  venv_random_next(&s->random), sim_now(s), &v->core, &err);
    free(rows);
    if (rc != VENV_OK)
        sim_fail(s, "the manager does not start: %s", err.text);
}

/* --- the disk --------------------------------------------------------------------------------------------- */

static void apply_row(sim *s, venv_manager_action *a)
{
    server *v = &s->server;
    size_t at = 0;
    while (at < v->row_count && (v->rows[at].collection != a->collection || venv_value_compare(&v->rows[at].key, &a->key) != 0))
        at++;
    if (at == v->row_count && a->kind == VENV_MANAGER_ACT_DELETE)
        return;
    if (at == v->row_count) {
        if (v->row_count == ROWS_MAX) {
            sim_fail(s, "more than %d rows", ROWS_MAX);
            return;
        }
        v->rows[v->row_count++] = (disk_row){ a->collection, a->key, a->value };
        a->key = a->value = venv_value_null();
        return;
    }
    check_row(s, &v->rows[at], a->kind == VENV_MANAGER_ACT_PUT ? &a->value : NULL);
    if (a->kind == VENV_MANAGER_ACT_PUT) {
        venv_value_unref(&v->rows[at].value);
        v->rows[at].value = a->value;
        a->value = venv_value_null();
        return;
    }
    venv_value_unref(&v->rows[at].key);
    venv_value_unref(&v->rows[at].value);
    memmove(&v->rows[at], &v->rows[at + 1], (v->row_count - at - 1) * sizeof *v->rows);
    v->row_count--;
}

static void apply_write(sim *s, pending_write *w)
{
    server *v = &s->server;
    for (size_t k = 0; k < w->count; k++) {
        venv_manager_action *a = &w->ops[k];
        if (a->kind != VENV_MANAGER_ACT_APPEND) {
            apply_row(s, a);
        } else {
            const venv_value *revision = venv_value_get(&a->value, "revision");
            if (!revision || venv_value_peek_uint(revision) != v->revision + 1)
                sim_fail(s, "the log of events has a gap after revision %llu", (unsigned long long)v->revision);
            if (v->revision < sizeof v->log / sizeof v->log[0]) {
                v->log[v->revision++] = a->value;
                a->value = venv_value_null();
            }
        }
        action_fini(a);
    }
    free(w->ops);
    v->durable = w->number;
    memmove(&v->writes[0], &v->writes[1], (v->write_count - 1) * sizeof v->writes[0]);
    v->write_count--;
}

static void carry_out(sim *s, venv_manager_action *a)
{
    connection *c = network_find(s, a->peer);
    if (a->kind == VENV_MANAGER_ACT_SEND) {
        network_to_agent(s, c, a->type, a->request, &a->value);
    } else if (a->kind == VENV_MANAGER_ACT_CLOSE) {
        network_close(s, c, true, a->text);
    }
}

static void release(sim *s)
{
    server *v = &s->server;
    size_t kept = 0;
    for (size_t i = 0; i < v->held_count; i++) {
        if (v->held[i].after_write > v->durable) {
            v->held[kept++] = v->held[i];
            continue;
        }
        carry_out(s, &v->held[i]);
        action_fini(&v->held[i]);
    }
    v->held_count = kept;
}

void server_durable(sim *s)
{
    if (s->server.core && s->server.write_count > 0) {
        apply_write(s, &s->server.writes[0]);
        release(s);
    }
}

static venv_manager_action move_action(venv_manager_action *a)
{
    venv_manager_action moved = *a;
    a->key = a->value = venv_value_null();
    a->text = NULL;
    return moved;
}

static void take_write(sim *s, venv_manager_actions *out)
{
    server *v = &s->server;
    pending_write *w = &v->writes[v->write_count++];
    *w = (pending_write){ out->write, calloc(out->count, sizeof *w->ops), 0 };
    for (size_t i = 0; i < out->count; i++) {
        venv_manager_action *a = &out->items[i];
        if (a->kind == VENV_MANAGER_ACT_PUT || a->kind == VENV_MANAGER_ACT_DELETE || a->kind == VENV_MANAGER_ACT_APPEND)
            w->ops[w->count++] = move_action(a);
    }
    int64_t at = s->now + sim_between(s, MS(1), MS(15));
    if (sim_percent(s, 1))
        at += sim_between(s, 0, S(3)); /* a slow disk */
    if (at <= v->last_durable_at)
        at = v->last_durable_at + 1;
    v->last_durable_at = at;
    sim_plan(s, at - s->now, DURABLE)->life = v->life;
    if (!s->healing && sim_chance(s, 400) == 0)
        sim_plan(s, sim_between(s, 0, MS(20)), MANAGER_CRASH)->life = v->life;
}

void server_event(sim *s, const venv_manager_event *event)
{
    server *v = &s->server;
    if (!v->core)
        return;
    venv_manager_actions out;
    venv_error err = { 0 };
    venv_manager_actions_init(&out);
    if (venv_manager_step(v->core, sim_now(s), event, &out, &err) != VENV_OK)
        sim_fail(s, "the manager failed: %s", err.text);
    if (v->write_count == sizeof v->writes / sizeof v->writes[0] || v->held_count + out.count > HELD_MAX) {
        sim_fail(s, "the disk does not keep up");
        venv_manager_actions_fini(&out);
        return;
    }
    for (size_t i = 0; s->verbose && i < out.count; i++)
        if (out.items[i].kind == VENV_MANAGER_ACT_APPEND) {
            venv_str line = venv_value_get_text(&out.items[i].value, "text");
            fprintf(stderr, "%10.3f event: %.*s\n", (double)s->now / 1e9, (int)line.size, line.data);
        }
    if (out.write)
        take_write(s, &out);
    for (size_t i = 0; i < out.count; i++) {
        venv_manager_action *a = &out.items[i];
        if (s->verbose && a->kind == VENV_MANAGER_ACT_LOG)
            fprintf(stderr, "%10.3f manager: %s\n", (double)s->now / 1e9, a->text);
        if (s->verbose && a->kind == VENV_MANAGER_ACT_SEND && a->type >= VENV_MSG_MACHINE_START)
            fprintf(stderr, "%10.3f manager → %llu: %s\n", (double)s->now / 1e9, (unsigned long long)a->peer, venv_message_name(a->type));
        if (a->kind != VENV_MANAGER_ACT_SEND && a->kind != VENV_MANAGER_ACT_CLOSE)
            continue;
        if (a->after_write <= v->durable)
            carry_out(s, a);
        else
            v->held[v->held_count++] = move_action(a);
    }
    venv_manager_actions_fini(&out);
    uint64_t digest = s->counts.steps % 16 == 0 ? venv_manager_digest(v->core) : 0;
    sim_mix(s, &digest, sizeof digest);
}

void server_time(sim *s)
{
    server_event(s, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_TIME });
}

/* Between write and sync, between sync and send: whatever has not happened yet does not. */
void server_crash(sim *s)
{
    server *v = &s->server;
    if (!v->core)
        return;
    s->counts.manager_crashes++;
    size_t luck = v->write_count > 0 ? (size_t)sim_chance(s, (int64_t)v->write_count + 1) : 0;
    for (size_t i = 0; i < luck; i++)
        apply_write(s, &v->writes[0]);
    s->counts.writes_lost += v->write_count;
    drop_volatile(v);
    venv_manager_free(v->core);
    v->core = NULL;
    network_manager_died(s);
    sim_plan(s, sim_between(s, MS(10), S(20)), MANAGER_START);
}

const venv_value *server_row(const sim *s, venv_collection collection, venv_id key)
{
    for (size_t i = 0; i < s->server.row_count; i++) {
        venv_id id;
        const disk_row *row = &s->server.rows[i];
        if (row->collection == collection && venv_value_to_id(&row->key, &id) && venv_id_equal(id, key))
            return &row->value;
    }
    return NULL;
}
