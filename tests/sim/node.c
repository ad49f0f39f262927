/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node: the agent's core, a hypervisor in memory that outlives it, and, on the head, the command that looks at
 * the batch queue. Calls of the hypervisor are made one after the other, and take their time; one that is under way
 * when the agent dies may still be done.
 */
#include "sim/world.h"

#include "agent/builtin.h"
#include "runtime/machine_worker.h"

#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

static const char head_yaml[] =
    "agent:\n  name: head\n  manager: mgr:7420\n  groups: [default, batch]\n"
    "  tls: {ca: /c, certificate: /d, key: /e}\n"
    "properties:\n  queue: {command: [sim-queue], type: json, every: 2, timeout: 3s}\n";

static const char node_yaml[] =
    "agent:\n  name: %s\n  manager: mgr:7420\n  groups: [default, hypervisor]\n  hypervisor: 'fake:'\n"
    "  tls: {ca: /c, certificate: /d, key: /e}\n";

void node_init(sim *s, int index, const char *name, bool hypervisor)
{
    node *n = &s->nodes[index];
    char text[1024], message[1024];
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_error err = { 0 };
    if (hypervisor)
        snprintf(text, sizeof text, node_yaml, name);
    else
        snprintf(text, sizeof text, "%s", head_yaml);
    venv_rc rc = venv_yaml_parse(text, strlen(text), "agent.yaml", &value, &marks, &err);
    venv_config_document document = { .file = "agent.yaml", .value = &value, .marks = marks };
    if (rc == VENV_OK)
        rc = venv_agent_config_new(&document, 1, &n->config, &err);
    if (rc == VENV_OK)
        rc = venv_agent_config_identify(n->config, "sim", name, &err);
    if (rc == VENV_OK && hypervisor)
        rc = venv_fake_world_new((uint32_t)sim_between(s, 1, 4), UINT64_C(8) << 30, &n->machines, &err);
    if (rc != VENV_OK) {
        fprintf(stderr, "%s\n", venv_error_format(&err, message, sizeof message));
        abort();
    }
    n->config->machine = venv_random_id(&s->random);
    venv_value_unref(&value);
    venv_yaml_marks_free(marks);
}

void node_fini(node *n)
{
    venv_agent_free(n->core);
    venv_hypervisor_close(n->hypervisor);
    venv_fake_world_free(n->machines);
    venv_agent_config_free(n->config);
    venv_value_unref(&n->kept);
}

static happening *plan_for(sim *s, int index, int64_t delay, happening_kind kind)
{
    happening *h = sim_plan(s, delay, kind);
    h->node = index;
    h->life = s->nodes[index].life;
    return h;
}

void node_start(sim *s, int index)
{
    node *n = &s->nodes[index];
    venv_error err = { 0 };
    n->life++;
    if (venv_agent_new(n->config, venv_random_id(&s->random), venv_random_next(&s->random), sim_now(s), &n->core, &err) != VENV_OK)
        sim_fail(s, "an agent does not start: %s", err.text);
    else if (venv_value_kind(&n->kept) != VENV_NULL && venv_agent_recall(n->core, &n->kept, &err) != VENV_OK)
        sim_fail(s, "an agent does not remember: %s", err.text);
    /* worker_free stays: what the last life asked for is under way in the hypervisor, and comes first. */
    if (n->machines)
        node_list_soon(s, index);
}

void node_crash(sim *s, int index)
{
    node *n = &s->nodes[index];
    if (!n->core)
        return;
    s->counts.agent_crashes++;
    network_agent_died(s, index);
    venv_agent_free(n->core);
    n->core = NULL;
    venv_hypervisor_close(n->hypervisor);
    n->hypervisor = NULL;
    happening *h = sim_plan(s, sim_between(s, MS(10), S(25)), AGENT_START);
    h->node = index;
}

/* --- what the agent asks for ------------------------------------------------------------------------------ */

/* Calls wait for each other: `delay` from now, or from when the worker is free. */
static int64_t worker_delay(sim *s, node *n, int64_t takes)
{
    int64_t begin = n->worker_free > s->now ? n->worker_free : s->now;
    n->worker_free = begin + takes;
    return n->worker_free - s->now;
}

static void sample(sim *s, int index, const venv_agent_action *a)
{
    const venv_builtin *builtin = venv_builtin_find((venv_str){ a->name, strlen(a->name) });
    happening *h = plan_for(s, index, sim_between(s, MS(1), MS(20)), SAMPLED);
    h->token = a->token;
    venv_map_builder map;
    switch (builtin ? builtin->type : VENV_PROPERTY_INT) {
    case VENV_PROPERTY_DOUBLE: h->value = venv_value_double((double)sim_chance(s, 100) / 100); break;
    case VENV_PROPERTY_STRING: h->value = venv_value_literal("sim"); break;
    case VENV_PROPERTY_BOOL: h->value = venv_value_bool(true); break;
    case VENV_PROPERTY_JSON:
        venv_map_init(&map);
        if (venv_map_take(&map, &h->value, NULL) != VENV_OK)
            sim_fail(s, "out of memory");
        break;
    default: h->value = venv_value_int(sim_chance(s, 1000)); break;
    }
}

static void run(sim *s, int index, const venv_agent_action *a)
{
    bool hangs = !s->healing && sim_percent(s, 3);
    happening *h = plan_for(s, index, hangs ? a->timeout.ns : sim_between(s, MS(5), MS(400)), RAN);
    h->token = a->token;
    h->timed_out = hangs;
}

static void machine(sim *s, int index, const venv_agent_action *a)
{
    node *n = &s->nodes[index];
    int64_t takes = sim_between(s, MS(20), S(2));
    if (!s->healing && sim_percent(s, 4))
        takes = sim_between(s, S(5), S(50)); /* libvirt thinks about it */
    happening *h = plan_for(s, index, worker_delay(s, n, takes), MACHINE_RUN);
    h->token = a->token;
    h->verb = a->verb;
    h->machine = a->machine;
    h->text = a->xml ? strdup(a->xml) : NULL;
}

void node_list_soon(sim *s, int index)
{
    node *n = &s->nodes[index];
    if (n->core && n->machines)
        plan_for(s, index, worker_delay(s, n, sim_between(s, MS(2), MS(100))), LIST_MADE);
}

static void carry_out(sim *s, int index, const venv_agent_action *a)
{
    node *n = &s->nodes[index];
    connection *c = network_find(s, n->connection);
    happening *h;
    switch (a->kind) {
    case VENV_AGENT_ACT_CONNECT: network_dial(s, index); break;
    case VENV_AGENT_ACT_CLOSE: network_close(s, c, false, a->text); break;
    case VENV_AGENT_ACT_SEND: network_to_manager(s, c, a->type, a->request, &a->value); break;
    case VENV_AGENT_ACT_SAMPLE: sample(s, index, a); break;
    case VENV_AGENT_ACT_RUN: run(s, index, a); break;
    case VENV_AGENT_ACT_KILL:
        h = plan_for(s, index, MS(1), RAN);
        h->token = a->token;
        h->timed_out = true;
        break;
    case VENV_AGENT_ACT_MACHINE: machine(s, index, a); break;
    case VENV_AGENT_ACT_MACHINES: node_list_soon(s, index); break;
    case VENV_AGENT_ACT_COMMANDS: break;
    case VENV_AGENT_ACT_KEEP: /* durable at once: what waits for it need not wait */
        venv_value_unref(&n->kept);
        n->kept = venv_value_ref(&a->value);
        break;
    case VENV_AGENT_ACT_LOG:
        if (s->verbose)
            fprintf(stderr, "%10.3f %s: %s\n", (double)s->now / 1e9, n->config->name, a->text);
        break;
    case VENV_AGENT_ACT_EXIT: break;
    }
}

void node_event(sim *s, int index, const venv_agent_event *event)
{
    node *n = &s->nodes[index];
    if (!n->core)
        return;
    venv_agent_actions out;
    venv_error err = { 0 };
    venv_agent_actions_init(&out);
    if (venv_agent_step(n->core, sim_now(s), event, &out, &err) != VENV_OK)
        sim_fail(s, "an agent failed: %s", err.text);
    for (size_t i = 0; i < out.count; i++)
        carry_out(s, index, &out.items[i]);
    venv_agent_actions_fini(&out);
    uint64_t digest = s->counts.steps % 16 == 0 ? venv_agent_digest(n->core) : 0;
    sim_mix(s, &digest, sizeof digest);
}

/* --- the hypervisor ------------------------------------------------------------------------------------------ */

static venv_rc connect_hypervisor(node *n, venv_error *err)
{
    if (n->hypervisor)
        return VENV_OK;
    return venv_fake_world_open(n->machines, "sim", &n->hypervisor, err);
}

static void look_at(node *n, venv_rc rc)
{
    if (rc != VENV_EUNREACHABLE && rc != VENV_EUNKNOWN)
        return;
    venv_hypervisor_close(n->hypervisor);
    n->hypervisor = NULL;
}

static void machine_run(sim *s, happening *h)
{
    node *n = &s->nodes[h->node];
    venv_error err = { 0 };
    bool orphan = !n->core || n->life != h->life;
    if (orphan && sim_percent(s, 50))
        return; /* it died with the agent */
    check_order(s, h->node, h->verb, h->machine);
    venv_rc rc = connect_hypervisor(n, &err);
    if (rc == VENV_OK) {
        switch (h->verb) {
        case VENV_MACHINE_START:
            rc = venv_machine_start(n->hypervisor, h->machine, h->text ? h->text : "", &err);
            s->counts.starts++;
            break;
        case VENV_MACHINE_SHUTDOWN:
            rc = venv_machine_shutdown(n->hypervisor, h->machine, &err);
            break;
        case VENV_MACHINE_DESTROY:
            rc = venv_machine_destroy(n->hypervisor, h->machine, &err);
            s->counts.stops++;
            break;
        }
        look_at(n, rc);
    }
    sim_trace(s, "machine", (uint64_t)h->verb, (uint64_t)(int64_t)rc);
    if (orphan)
        return;
    happening *told = plan_for(s, h->node, sim_between(s, MS(1), MS(30)), MACHINE_TOLD);
    told->token = h->token;
    told->rc = rc;
    told->text = strdup(err.text);
    node_list_soon(s, h->node);
}

static void list_made(sim *s, happening *h)
{
    node *n = &s->nodes[h->node];
    venv_error err = { 0 };
    venv_hypervisor_info info;
    venv_machine_list list = { .items = NULL };
    venv_value value = venv_value_null();
    venv_rc rc = connect_hypervisor(n, &err);
    if (rc == VENV_OK)
        rc = venv_hypervisor_info_get(n->hypervisor, &info, &err);
    if (rc == VENV_OK)
        rc = venv_hypervisor_list(n->hypervisor, &list, &err);
    if (rc == VENV_OK)
        rc = venv_machine_list_value(&info, &list, &value, &err);
    look_at(n, rc);
    venv_machine_list_fini(&list);
    happening *told = plan_for(s, h->node, sim_between(s, 0, MS(20)), LIST_TOLD);
    /* Lists are told in the order in which they were made. */
    told->rc = rc;
    told->value = value;
    told->text = strdup(err.text);
}

void node_happening(sim *s, happening *h)
{
    node *n = &s->nodes[h->node];
    if (h->kind == MACHINE_RUN) {
        machine_run(s, h);
        return;
    }
    if (!n->core || n->life != h->life)
        return;
    char text[128];
    venv_run_outcome outcome = { .rc = VENV_OK, .took = { MS(5) }, .out = { "", 0 }, .err = { "", 0 } };
    switch (h->kind) {
    case SAMPLED:
        node_event(s, h->node, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_SAMPLED, .token = h->token, .value = &h->value });
        break;
    case RAN:
        snprintf(text, sizeof text, "{\"class2\": {\"pending\": %lld, \"running\": %lld}}", (long long)s->pending,
                 (long long)s->running);
        outcome.timed_out = h->timed_out;
        outcome.signal = h->timed_out ? 9 : 0;
        outcome.out = (venv_str){ text, h->timed_out ? 0 : strlen(text) };
        node_event(s, h->node, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_RAN, .token = h->token, .run = &outcome });
        break;
    case MACHINE_TOLD:
        node_event(s, h->node, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINE_DONE, .token = h->token, .rc = h->rc, .text = h->text });
        break;
    case LIST_MADE: list_made(s, h); break;
    case LIST_TOLD:
        node_event(s, h->node, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINES, .rc = h->rc, .value = &h->value, .text = h->text });
        break;
    default: break;
    }
}
