/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager's process: the core, and what does its actions. What depends on a write waits for the disk; a crash loses
 * everything that waits.
 */
#include "sim/ledger.h"
#include "sim/people.h"
#include "sim/replay.h"
#include "sim/rules.h"

#include <stdlib.h>
#include <string.h>

static const char built_in[] =
    "manager:\n"
    "  name: %s\n"
    "  tls: {ca: /c, certificate: /d, key: /e}\n"
    "  memory_reserve: 0\n"
    "  action_timeout: 30s\n"
    "  grace: 5s\n"
    "  send_rate: 5\n" /* these, the triggers and `where`: rules.c knows them, too */
    "  send_burst: 2\n"
    "  breaker: {failures: 2, retry: 20s, retry_max: 1m}\n"
    "mail: {server: 'smtp://mail:25', from: venv@example.org, recipients: {admins: admins@example.org}}\n"
    "environments:\n"
    "  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n"
    "  tool: {hypervisor: test, vcpus: 1, memory: 128MiB, ready: qemu-guest-agent, ready_timeout: 30s, on_crash: restart, "
    "restart: {wait: 5s, wait_max: 20s, times: 2}, where: 'node.groups.exists(g, g == \"tools\")'}\n"
    "triggers:\n"
    "  grow:\n"
    "    when: 'queue(\"class2\").pending > 0 && instances(\"class2\").size() < 3'\n"
    "    until: 'queue(\"class2\").pending == 0'\n"
    "    hold: 1s\n"
    "    cooldown: 10s\n"
    "    on: [update]\n"
    "    limit: {actions: 6, per: 1m}\n"
    "    do: [{start: {environment: class2, count: '${min(3 - instances(\"class2\").size(), queue(\"class2\").pending)}'}}]\n"
    "  shrink:\n"
    "    when: >-\n"
    "      queue(\"class2\").pending == 0 && queue(\"class2\").running == 0 &&\n"
    "      instances(\"class2\").exists(i, i.state == \"running\")\n"
    "    hold: 4s\n"
    "    cooldown: 10s\n"
    "    on: [update]\n"
    "    do: [{stop: {environment: class2}}]\n"
    "  busy:\n"
    "    when: 'queue(\"class2\").pending > 2'\n"
    "    until: 'queue(\"class2\").pending == 0'\n"
    "    on: [update]\n"
    "    do: [{log: {text: busy}}, {mail: {to: admins, subject: busy, text: jobs wait}}]\n"
    "  offer:\n"
    "    when: 'queue(\"class2\").pending > 1'\n"
    "    until: 'queue(\"class2\").pending == 0'\n"
    "    cooldown: 15s\n"
    "    mode: propose\n"
    "    expires: 40s\n" /* people.c knows it, too */
    "    on: [update]\n"
    "    do: [{start: {environment: tool, count: '${min(queue(\"class2\").pending, 2)}'}}, {log: {text: offered}}]\n"
    "  minutely:\n"
    "    at: '* * * * *'\n"
    "    do: [{log: {text: a minute}}]\n";

/* The same workers by `scale`; rules.c knows the queue and `max`. */
const char sim_scaled[] =
    "manager:\n"
    "  name: %s\n"
    "  tls: {ca: /c, certificate: /d, key: /e}\n"
    "  memory_reserve: 0\n"
    "  action_timeout: 30s\n"
    "  grace: 5s\n"
    "  breaker: {failures: 2, retry: 20s, retry_max: 1m}\n"
    "environments:\n"
    "  class2:\n"
    "    hypervisor: test\n"
    "    memory: 128MiB\n"
    "    scale:\n"
    "      desired: queue(\"class2\").pending + queue(\"class2\").running\n"
    "      max: 3\n"
    "      down: 4s\n"
    "      idle: queue(\"class2\").running == 0\n"
    "  tool: {hypervisor: test, memory: 128MiB, where: 'node.groups.exists(g, g == \"tools\")'}\n";

static venv_rc config_of(const char *yaml, venv_manager_config **ret_config, venv_error *err)
{
    venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
    return venv_manager_config_new(&source, 1, NULL, NULL, ret_config, err);
}

/* The name goes where the first %s is. */
static char *with_name(const char *template, const char *name)
{
    const char *at = strstr(template, "%s");
    size_t size = strlen(template) + strlen(name) + 1;
    char *text = malloc(size);
    if (!text)
        abort();
    if (at)
        snprintf(text, size, "%.*s%s%s", (int)(at - template), template, name, at + 2);
    else
        snprintf(text, size, "%s", template);
    return text;
}

void server_init(sim *s, server *v, int index)
{
    venv_error err = { 0 };
    char text[1024];
    v->index = index;
    if (index == 0)
        snprintf(v->name, sizeof v->name, "mgr");
    else
        snprintf(v->name, sizeof v->name, "mgr%d", index + 1);
    v->yaml = s->settings.script ? script_manager(s->settings.script, (size_t)index, v->name)
                                 : with_name(s->settings.manager_yaml ? s->settings.manager_yaml : built_in, v->name);
    if (config_of(v->yaml, &v->config, &err) != VENV_OK) {
        fprintf(stderr, "venv_sim: the configuration of %s: %s\n", v->name, venv_error_format(&err, text, sizeof text));
        exit(2);
    }
    clock_init(s, &v->process.clock);
    disk_init(s, &v->disk);
    v->ledger = ledger_new();
    v->admin = admin_new();
    v->people = people_new();
    if (s->settings.record && index == 0 && venv_recorder_new(VENV_RECORD_SIZE_DEFAULT, &v->recorder, &err) != VENV_OK)
        abort();
    sim_wakes(s, (uint32_t)(NODES_MAX + index), &v->process, NEVER);
}

static void action_fini(venv_manager_action *a)
{
    venv_value_unref(&a->key);
    venv_value_unref(&a->value);
    free(a->text);
}

static void drop_held(server *v)
{
    for (size_t i = 0; i < v->held_count; i++)
        action_fini(&v->held[i]);
    v->held_count = 0;
}

void server_fini(server *v)
{
    venv_manager_free(v->core);
    drop_held(v);
    free(v->held);
    disk_fini(&v->disk);
    ledger_free(v->ledger);
    admin_free(v->admin);
    people_free(v->people);
    venv_recorder_free(v->recorder);
    venv_manager_config_free(v->config);
    venv_manager_config_free(v->next);
    free(v->yaml);
}

void server_woken(sim *s, server *v)
{
    int64_t at = v->core ? clock_when(s, &v->process.clock, venv_manager_deadline(v->core)) : NEVER;
    if (at < v->process.frozen_until)
        at = v->process.frozen_until;
    sim_wakes(s, (uint32_t)(NODES_MAX + v->index), &v->process, at);
}

void server_start(sim *s, server *v)
{
    size_t count = venv_table_count(v->disk.rows), n = 0, cursor = 0;
    venv_manager_row *rows = calloc(count + 1, sizeof *rows);
    venv_error err = { 0 };
    const disk_row *row;
    if (!rows)
        abort();
    while ((row = disk_next(&v->disk, &cursor)))
        rows[n++] = (venv_manager_row){ row->collection, &row->key, &row->value };
    v->process.life++;
    v->process.up = true;
    v->disk.durable = 0;
    v->disk.failed = false;
    v->disk.last_durable_at = s->now;
    venv_manager_source source = { "manager.yaml", { v->yaml, strlen(v->yaml) } };
    venv_recorder_birth birth = { &source, 1, rows, count, v->disk.revision, venv_random_id(&s->random), venv_random_next(&s->random),
                                  clock_read(s, &v->process.clock) };
    disk_started(s, v);
    if (v->next) { /* the core that borrowed the other one is gone */
        venv_manager_config_free(v->config);
        v->config = v->next;
        v->next = NULL;
    }
    venv_rc rc = venv_manager_new(v->config, rows, count, birth.last_revision, birth.boot, birth.seed, birth.now, &v->core, &err);
    if (rc == VENV_OK && v->recorder)
        venv_recorder_begin(v->recorder, &birth, v->core);
    free(rows);
    if (rc != VENV_OK)
        sim_fail(s, "%s does not start: %s", v->name, err.text);
    else
        rules_started(s, v);
    ledger_started(s, v);
    server_woken(s, v);
}

/* What the history knows: nothing, or it cannot be read. */
static venv_value history_answer(sim *s, bool fails)
{
    venv_map_builder map;
    venv_list_builder list;
    venv_value items = venv_value_null(), answer = venv_value_null();
    venv_map_init(&map);
    venv_list_init(&list);
    if (venv_list_take(&list, &items, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    if (fails)
        venv_map_put_z(&map, "rc", venv_rc_name(VENV_EIO));
    venv_map_put_z(&map, fails ? "error" : "kind", fails ? "the history cannot be read" : "history");
    venv_map_put(&map, "items", items);
    if (venv_map_take(&map, &answer, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    return answer;
}

static void carry_out(sim *s, server *v, venv_manager_action *a)
{
    happening *h;
    venv_list_builder list;
    switch (a->kind) {
    case VENV_MANAGER_ACT_SEND:
        if (a->peer >= WITNESSES)
            witness_receives(s, v, a);
        else if (a->peer >= PERSONS)
            admin_receives(s, v, a);
        else {
            ledger_sent(s, v, a);
            network_send(s, a->peer, TO_AGENT, a->type, a->request, &a->value);
        }
        break;
    case VENV_MANAGER_ACT_CLOSE:
        if (a->peer >= WITNESSES)
            witness_receives(s, v, a);
        else if (a->peer >= PERSONS)
            admin_receives(s, v, a);
        else
            network_close(s, a->peer, TO_AGENT);
        break;
    case VENV_MANAGER_ACT_READ:
        venv_list_init(&list);
        for (uint64_t r = a->since; r < v->disk.revision && r < a->since + a->limit; r++)
            venv_list_add(&list, venv_value_ref(&v->disk.log[r]));
        h = sim_plan(s, sim_between(s, MS(1), MS(30)), HISTORY);
        h->index = v->index;
        h->life = v->process.life;
        h->token = a->token;
        if (venv_list_take(&list, &h->value, NULL) != VENV_OK)
            sim_fail(s, "out of memory");
        break;
    case VENV_MANAGER_ACT_ASK:
        h = sim_plan(s, sim_between(s, MS(1), S(2)), ANSWERED);
        h->index = v->index;
        h->life = v->process.life;
        h->token = a->token;
        h->value = history_answer(s, !s->healing && !s->settings.calm && sim_percent(s, 10));
        break;
    case VENV_MANAGER_ACT_RECORD: /* nothing waits for it, and nothing is decided by it */
        s->counts.records_lost += !s->healing && sim_percent(s, 5);
        break;
    case VENV_MANAGER_ACT_DELIVER: /* a mail, a webhook, a plug-in: it arrives, or fails, or nobody knows */
        h = sim_plan(s, sim_between(s, MS(10), S(5)), DELIVERED);
        h->index = v->index;
        h->life = v->process.life;
        h->machine = a->action;
        people_delivers(s, v, a->action);
        h->rc = s->healing || s->settings.calm || sim_percent(s, 80) ? VENV_OK : sim_percent(s, 50) ? VENV_EIO : VENV_EUNKNOWN;
        break;
    default: break;
    }
}

void server_release(sim *s, server *v)
{
    size_t kept = 0, count = v->held_count;
    uint64_t life = v->process.life;
    for (size_t i = 0; i < count && v->process.life == life; i++) {
        if (v->held[i].after_write > v->disk.durable) {
            v->held[kept++] = v->held[i];
            continue;
        }
        venv_manager_action a = v->held[i];
        carry_out(s, v, &a);
        action_fini(&a);
    }
    v->held_count = kept;
}

static void hold_back(server *v, venv_manager_action *a)
{
    if (v->held_count == v->held_capacity) {
        v->held_capacity = v->held_capacity ? v->held_capacity * 2 : 64;
        v->held = reallocarray(v->held, v->held_capacity, sizeof *v->held);
        if (!v->held)
            abort();
    }
    v->held[v->held_count++] = *a;
    a->key = a->value = venv_value_null();
    a->text = NULL;
}

static void say(sim *s, const server *v, const venv_manager_action *a)
{
    venv_str line;
    if (!s->settings.out)
        return;
    if (a->kind == VENV_MANAGER_ACT_APPEND) {
        line = venv_value_get_text(&a->value, "text");
        report_say(s, v->name, "event: %.*s", (int)line.size, line.data);
    } else if (a->kind == VENV_MANAGER_ACT_LOG) {
        report_say(s, v->name, "%s", a->text);
    } else if (a->kind == VENV_MANAGER_ACT_SEND && a->type >= VENV_MSG_MACHINE_START) {
        report_say(s, v->name, "→ %llu: %s", (unsigned long long)a->peer, venv_message_name(a->type));
    }
}

static void give_back(sim *s, venv_manager_actions *out)
{
    venv_manager_actions_clear(out);
    venv_manager_actions_fini(&s->manager_actions);
    s->manager_actions = *out;
}

void server_event(sim *s, server *v, const venv_manager_event *event)
{
    if (!v->core || s->failed)
        return;
    venv_manager_actions out = s->manager_actions;
    venv_error err; /* it is large, and set where a step fails */
    err.text[0] = '\0';
    venv_manager_actions_init(&s->manager_actions);
    rules_hears(s, v, event);
    if (v->recorder)
        venv_recorder_event(v->recorder, clock_read(s, &v->process.clock), event, (venv_str){ NULL, 0 });
    uint64_t others = liar_before(s, v, event);
    if (venv_manager_step(v->core, clock_read(s, &v->process.clock), event, &out, &err) != VENV_OK)
        sim_fail(s, "%s failed: %s", v->name, err.text);
    for (size_t i = 0; i < out.count; i++)
        say(s, v, &out.items[i]);
    if (v->recorder)
        venv_recorder_step(v->recorder, &out, true);
    liar_after(s, v, event, others);
    rules_did(s, v, &out);
    if (out.write && !disk_take(s, v, &out)) {
        give_back(s, &out);
        server_crash(s, v, false);
        return;
    }
    for (size_t i = 0; i < out.count; i++) {
        venv_manager_action *a = &out.items[i];
        if (a->kind != VENV_MANAGER_ACT_SEND && a->kind != VENV_MANAGER_ACT_CLOSE && a->kind != VENV_MANAGER_ACT_READ &&
            a->kind != VENV_MANAGER_ACT_DELIVER && a->kind != VENV_MANAGER_ACT_ASK && a->kind != VENV_MANAGER_ACT_RECORD)
            continue;
        if (a->after_write <= v->disk.durable)
            carry_out(s, v, a);
        else
            hold_back(v, a);
    }
    uint64_t shape[] = { out.count, out.write, (uint64_t)event->kind };
    give_back(s, &out);
    report_mix(s, shape, sizeof shape);
    if (s->counts.steps % 2048 == 0 && v->core) {
        uint64_t digest = venv_manager_digest(v->core);
        report_mix(s, &digest, sizeof digest);
    }
    server_woken(s, v);
}

/* Between write and sync, between sync and send: whatever has not happened yet does not. */
static void end(sim *s, server *v, bool power)
{
    s->counts.manager_crashes++;
    rules_ended(s, v);
    admin_ended(v);
    ledger_ending(s, v);
    disk_crash(s, v);
    drop_held(v);
    venv_manager_free(v->core);
    v->core = NULL;
    v->process.up = false;
    v->process.frozen_until = 0;
    if (power)
        clock_reboot(s, &v->process.clock);
    server_woken(s, v);
    network_process_died(s, -1, v->index, power);
}

void server_crash(sim *s, server *v, bool power)
{
    if (!v->core)
        return;
    report_say(s, v->name, power ? "its host loses power" : "it is killed");
    end(s, v, power);
    sim_plan(s, power ? sim_between(s, S(5), S(60)) : sim_spread(s, MS(10), S(20)), MANAGER_START)->index = v->index;
}

void server_stop(sim *s, server *v)
{
    if (v->core)
        end(s, v, false);
}

void server_freeze(sim *s, server *v, int64_t span)
{
    if (v->core && v->process.frozen_until < s->now + span)
        v->process.frozen_until = s->now + span;
    server_woken(s, v);
}

/* The core is told what the file says, or what is wrong with it. What it has taken up is returned, else NULL. */
static venv_manager_config *reload(sim *s, server *v, const char *yaml, venv_error *err)
{
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_CONFIG };
    venv_manager_config *fresh = NULL;
    venv_manager_source source = { "manager.yaml", { yaml, strlen(yaml) } };
    venv_value texts = venv_record_sources(&source, 1);
    uint64_t changes = v->core ? venv_manager_config_changes(v->core) : 0;
    event.value = &texts;
    event.rc = config_of(yaml, &fresh, err);
    event.config = fresh;
    event.text = err->text;
    server_event(s, v, &event);
    if (v->recorder && v->core && venv_manager_config_changes(v->core) != changes)
        venv_recorder_configured(v->recorder, &source, 1);
    server_woken(s, v);
    venv_value_unref(&texts);
    return fresh;
}

void server_reload(sim *s, server *v, bool more)
{
    static const char extra[] = "  extra:\n    when: 'queue(\"class2\").pending > 1'\n    on: [update]\n    do: [{log: {text: extra}}]\n";
    venv_error err = { 0 };
    char *text = malloc(strlen(v->yaml) + sizeof extra);
    if (!text)
        abort();
    (void)sprintf(text, "%s%s", v->yaml, more ? extra : "");
    venv_manager_config_free(reload(s, v, text, &err));
    free(text);
}

bool server_configure(sim *s, server *v, const char *yaml, venv_error *err)
{
    venv_manager_config *fresh = reload(s, v, yaml, err);
    if (!fresh)
        return false;
    venv_manager_config_free(v->next);
    free(v->yaml);
    v->next = fresh;
    v->yaml = strdup(yaml);
    if (!v->yaml)
        abort();
    return true;
}
