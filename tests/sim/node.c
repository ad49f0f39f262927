/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent's process: its core, and what does its actions: samples, commands (on a head, the one that looks at the batch
 * queue), the connection. Machines are in hypervisor.c.
 */
#include "sim/rules.h"

#include "agent/builtin.h"

#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

static const char head_yaml[] =
    "agent:\n  name: %s\n  manager: mgr:7420\n  groups: [default, batch]\n"
    "  tls: {ca: /c, certificate: /d, key: /e}\n"
    "properties:\n  queue: {command: [sim-queue], type: json, every: 2, timeout: 3s}\n";

static const char node_yaml[] =
    "agent:\n  name: %s\n  manager: mgr:7420\n  groups: [default, hypervisor%s]\n  hypervisor: 'fake:'\n"
    "  migrate_uri: 'fake:{node}'\n"
    "  tls: {ca: /c, certificate: /d, key: /e}\n";

static void configure(sim *s, node *n, const char *text, int64_t cpus, int64_t memory)
{
    char message[1024];
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_error err = { 0 };
    venv_rc rc = venv_yaml_parse(text, strlen(text), "agent.yaml", &value, &marks, &err);
    venv_config_document document = { .file = "agent.yaml", .value = &value, .marks = marks };
    if (rc == VENV_OK)
        rc = venv_agent_config_new(&document, 1, &n->config, &err);
    if (rc == VENV_OK)
        rc = venv_agent_config_identify(n->config, "sim", n->name, &err);
    if (rc == VENV_OK && cpus > 0)
        rc = venv_fake_world_new((uint32_t)cpus, (uint64_t)memory, &n->machines, &err);
    if (rc != VENV_OK) {
        fprintf(stderr, "venv_sim: the configuration of agent %s: %s\n", n->name, venv_error_format(&err, message, sizeof message));
        exit(2);
    }
    n->config->machine = venv_random_id(&s->random);
    venv_value_unref(&value);
    venv_yaml_marks_free(marks);
}

void node_init(sim *s, node *n, int index, int server_index, const char *name, bool hypervisor)
{
    char text[1024];
    n->index = index;
    n->server = server_index;
    snprintf(n->name, sizeof n->name, "%s", name);
    snprintf(text, sizeof text, hypervisor ? node_yaml : head_yaml, name, (index / s->server_count) % 2 ? ", tools" : "");
    clock_init(s, &n->process.clock);
    configure(s, n, text, hypervisor ? sim_between(s, 1, 4) : 0, INT64_C(8) << 30);
    sim_wakes(s, (uint32_t)index, &n->process, NEVER);
    n->liar = hypervisor && !s->settings.calm && sim_percent(s, 5);
}

/* One that a scenario declares. */
void node_init_script(sim *s, node *n, int index)
{
    script_node declared;
    char *text = script_agent(s->settings.script, (size_t)index, &declared);
    n->index = index;
    n->server = (int)declared.server;
    memcpy(n->name, declared.name, sizeof n->name);
    clock_init(s, &n->process.clock);
    configure(s, n, text, declared.cpus, declared.memory);
    sim_wakes(s, (uint32_t)index, &n->process, NEVER);
    free(text);
}

void node_fini(node *n)
{
    venv_agent_free(n->core);
    venv_hypervisor_close(n->hypervisor);
    venv_fake_world_free(n->machines);
    venv_agent_config_free(n->config);
    keep_fini(n);
}

void node_woken(sim *s, node *n)
{
    int64_t at = n->core ? clock_when(s, &n->process.clock, venv_agent_deadline(n->core)) : NEVER;
    if (at < n->process.frozen_until)
        at = n->process.frozen_until;
    sim_wakes(s, (uint32_t)n->index, &n->process, at);
}

static happening *plan_for(sim *s, node *n, int64_t delay, happening_kind kind)
{
    happening *h = sim_plan(s, delay, kind);
    h->index = n->index;
    h->life = n->process.life;
    return h;
}

void node_start(sim *s, node *n)
{
    venv_error err = { 0 };
    n->process.life++;
    n->process.up = true;
    n->held_down = false;
    if (venv_agent_new(n->config, venv_random_id(&s->random), venv_random_next(&s->random), clock_read(s, &n->process.clock), &n->core,
                       &err) != VENV_OK)
        sim_fail(s, "agent %s does not start: %s", n->name, err.text);
    else if (venv_value_kind(&n->keeper.kept) != VENV_NULL && venv_agent_recall(n->core, &n->keeper.kept, &err) != VENV_OK)
        sim_fail(s, "agent %s does not remember: %s", n->name, err.text);
    /* worker_free stays: what the last life asked for is under way in the hypervisor, and comes first. */
    hypervisor_list_soon(s, n);
    node_woken(s, n);
}

static void end(sim *s, node *n, bool power)
{
    s->counts.agent_crashes++;
    keep_crash(s, n);
    venv_agent_free(n->core);
    n->core = NULL;
    n->process.up = false;
    n->process.frozen_until = 0;
    n->connection = 0;
    venv_hypervisor_close(n->hypervisor);
    n->hypervisor = NULL;
    if (power)
        clock_reboot(s, &n->process.clock);
    node_woken(s, n);
    network_process_died(s, n->index, -1, power);
}

void node_crash(sim *s, node *n, bool power)
{
    if (!n->core)
        return;
    report_say(s, n->name, power ? "it loses power" : "its agent is killed");
    end(s, n, power);
    if (power && n->machines)
        hypervisor_lose_guests(s, n);
    sim_plan(s, power ? sim_between(s, S(10), S(90)) : sim_spread(s, MS(10), S(25)), AGENT_START)->index = n->index;
}

void node_stop(sim *s, node *n)
{
    n->held_down = true;
    if (n->core)
        end(s, n, false);
}

void node_freeze(sim *s, node *n, int64_t span)
{
    if (n->core && n->process.frozen_until < s->now + span)
        n->process.frozen_until = s->now + span;
    node_woken(s, n);
}

/* --- what the agent asks for ------------------------------------------------------------------------------ */

static venv_value sample(sim *s, const venv_builtin *builtin)
{
    switch (builtin->type) {
    case VENV_PROPERTY_DOUBLE: return venv_value_double((double)sim_chance(s, 100) / 100);
    case VENV_PROPERTY_STRING: return venv_value_literal("sim");
    case VENV_PROPERTY_BOOL: return venv_value_bool(true);
    default: return venv_value_int(sim_chance(s, 1000));
    }
}

/* All that one step asks for is there at one moment, as /proc is. */
static void sample_all(sim *s, node *n, const venv_agent_actions *out, size_t count)
{
    happening *h = plan_for(s, n, sim_between(s, MS(1), MS(20)), SAMPLED);
    sampled *samples = h->samples = reallocarray(NULL, count, sizeof *samples);
    if (!samples)
        abort();
    h->sample_count = count;
    for (size_t i = 0; i < out->count; i++)
        if (out->items[i].kind == VENV_AGENT_ACT_SAMPLE)
            *samples++ = (sampled){ out->items[i].token, sample(s, out->items[i].builtin) };
}

void node_run(sim *s, node *n, const venv_agent_action *a)
{
    bool hangs = !s->healing && !s->settings.calm && sim_percent(s, 3);
    happening *h = plan_for(s, n, hangs ? a->timeout.ns : sim_between(s, MS(5), MS(400)), RAN);
    h->token = a->token;
    h->timed_out = hangs;
    const char *value = s->settings.script ? script_value(s->settings.script, a->name) : NULL;
    h->text = value ? strdup(value) : NULL;
}

static void carry_out(sim *s, node *n, venv_agent_action *a)
{
    happening *h;
    switch (a->kind) {
    case VENV_AGENT_ACT_CONNECT: network_dial(s, n); break;
    case VENV_AGENT_ACT_CLOSE: network_close(s, n->connection, TO_MANAGER); break;
    case VENV_AGENT_ACT_SEND: network_send(s, n->connection, TO_MANAGER, a->type, a->request, &a->value); break;
    case VENV_AGENT_ACT_KILL:
        h = plan_for(s, n, MS(1), RAN);
        h->token = a->token;
        h->timed_out = true;
        break;
    case VENV_AGENT_ACT_MACHINE:
        rules_asks(s, a->verb, a->machine);
        keep_effect(s, n, a);
        break;
    case VENV_AGENT_ACT_RUN: keep_effect(s, n, a); break;
    case VENV_AGENT_ACT_MACHINES: hypervisor_list_soon(s, n); break;
    case VENV_AGENT_ACT_KEEP: keep_write(s, n, a); break;
    case VENV_AGENT_ACT_LOG: report_say(s, n->name, "%s", a->text); break;
    case VENV_AGENT_ACT_EXIT: n->exits = true; break;
    default: break; /* commands are what the configuration names */
    }
}

void node_event(sim *s, node *n, const venv_agent_event *event)
{
    if (!n->core || s->failed)
        return;
    venv_agent_actions out = s->agent_actions;
    venv_error err; /* it is large, and set where a step fails */
    err.text[0] = '\0';
    venv_agent_actions_init(&s->agent_actions);
    if (venv_agent_step(n->core, clock_read(s, &n->process.clock), event, &out, &err) != VENV_OK)
        sim_fail(s, "agent %s failed: %s", n->name, err.text);
    size_t samples = 0;
    for (size_t i = 0; i < out.count; i++) {
        samples += out.items[i].kind == VENV_AGENT_ACT_SAMPLE;
        carry_out(s, n, &out.items[i]);
    }
    if (samples > 0)
        sample_all(s, n, &out, samples);
    uint64_t shape[] = { out.count, (uint64_t)event->kind };
    venv_agent_actions_clear(&out);
    venv_agent_actions_fini(&s->agent_actions);
    s->agent_actions = out;
    report_mix(s, shape, sizeof shape);
    if (s->counts.steps % 1024 == 0) {
        uint64_t digest = venv_agent_digest(n->core);
        report_mix(s, &digest, sizeof digest);
    }
    node_woken(s, n);
    if (n->exits)
        node_stop(s, n);
    n->exits = false;
}

/* What the command that looks at the queue prints. */
static void ran(sim *s, node *n, const happening *h)
{
    char text[4096];
    const server *v = &s->servers[n->server];
    venv_run_outcome outcome = { .rc = VENV_OK, .took = { MS(5) }, .out = { "", 0 }, .err = { "", 0 } };
    snprintf(text, sizeof text, "{\"class2\": {\"pending\": %lld, \"running\": %lld}}", (long long)v->pending, (long long)v->running);
    if (s->settings.script) {
        outcome.exit_status = h->text ? 0 : 1;
        snprintf(text, sizeof text, "%s", h->text ? h->text : "");
    }
    outcome.timed_out = h->timed_out;
    outcome.signal = h->timed_out ? 9 : 0;
    outcome.out = (venv_str){ text, h->timed_out ? 0 : strlen(text) };
    node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_RAN, .token = h->token, .run = &outcome });
}

/* They make one step. */
static void told_samples(sim *s, node *n, const happening *h)
{
    size_t count = h->sample_count;
    venv_agent_event *events = reallocarray(NULL, count, sizeof *events);
    if (!events)
        abort();
    for (size_t i = 0; i < count; i++)
        events[i] = (venv_agent_event){ .kind = VENV_AGENT_EVENT_SAMPLED, .token = h->samples[i].token, .value = &h->samples[i].value,
                                        .next = i + 1 < count ? &events[i + 1] : NULL };
    node_event(s, n, events);
    free(events);
}

void node_happening(sim *s, happening *h)
{
    node *n = &s->nodes[h->index];
    if (!n->core || n->process.life != h->life)
        return;
    if (n->process.frozen_until > s->now) { /* it is told when it gets a processor */
        happening *again = sim_plan(s, n->process.frozen_until - s->now, h->kind);
        int64_t at = again->at;
        *again = *h;
        again->at = at;
        h->value = venv_value_null();
        h->text = NULL;
        h->samples = NULL;
        return;
    }
    switch (h->kind) {
    case SAMPLED: told_samples(s, n, h); break;
    case RAN: ran(s, n, h); break;
    case KEPT: keep_durable(s, n); break;
    case MACHINE_TOLD:
        node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINE_DONE, .token = h->token, .rc = h->rc, .text = h->text });
        break;
    case LIST_TOLD:
        node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINES, .rc = h->rc, .value = &h->value, .text = h->text });
        break;
    default: break;
    }
}
