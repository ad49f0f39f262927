/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sampling: what is due becomes SAMPLE and RUN actions, their outcomes become values. It goes on while the manager is
 * away. GETPROP and FETCHPROP are answered here.
 */

#include "agent/state.h"

#include "agent/builtin.h"
#include "base/log.h"
#include "property/set.h"

#include <venv/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERR_KEPT = 4096 /* stderr of a property's command: for the reason */ };

void venv_agent_sampling_init(venv_agent *agent)
{
    for (uint32_t slot = 0; slot < venv_property_set_count(agent->properties); slot++) {
        const venv_property *property = venv_property_set_peek(agent->properties, slot);
        if (property->source != VENV_PROPERTY_COMMAND)
            agent->sampling.builtins[slot] = venv_builtin_find(property->name); /* the configuration has no others */
    }
}

static bool is_hypervisor(const venv_agent *agent, uint32_t slot)
{
    const venv_builtin *builtin = agent->sampling.builtins[slot];
    return builtin && builtin->id == VENV_BUILTIN_HYPERVISOR;
}

static void finish(agent_step *step, uint32_t slot, venv_rc rc, const venv_value *value, const char *reason);

/* `hypervisor` is known here: nobody needs to be asked. Before the first answer of the driver it waits for that. */
static void sample_hypervisor(agent_step *step, uint32_t slot)
{
    const agent_machines *machines = &step->agent->machines;
    venv_value value = venv_value_null();
    char reason[VENV_PROPERTY_REASON_MAX] = "";
    if (machines->table && !machines->answered)
        return;
    venv_rc rc = venv_agent_hypervisor_value(step, &value, reason, sizeof(reason));
    if (step->rc == VENV_OK)
        finish(step, slot, rc, &value, reason);
    venv_value_unref(&value);
}

void venv_agent_sampling_hypervisor(agent_step *step)
{
    venv_agent *agent = step->agent;
    for (uint32_t slot = 0; slot < venv_property_set_count(agent->properties); slot++) {
        if (!is_hypervisor(agent, slot))
            continue;
        venv_property_set_begin(agent->properties, slot, step->now.mono);
        sample_hypervisor(step, slot);
    }
}

static void start(agent_step *step, uint32_t slot)
{
    venv_agent *agent = step->agent;
    const venv_property *property = venv_property_set_peek(agent->properties, slot);
    const venv_builtin *builtin = agent->sampling.builtins[slot];
    if (is_hypervisor(agent, slot)) {
        sample_hypervisor(step, slot);
        return;
    }
    char *name = NULL;
    if (!builtin && !venv_agent_text_dup(step, property->name.data, property->name.size, &name))
        return;
    venv_agent_action *action = venv_agent_act(step, builtin ? VENV_AGENT_ACT_SAMPLE : VENV_AGENT_ACT_RUN);
    if (!action) {
        free(name);
        return;
    }
    action->name = name;
    action->builtin = builtin;
    action->value = venv_value_ref(&property->args);
    action->token = agent->sampling.tokens[slot] = venv_agent_token(step);
    action->timeout = property->timeout;
    action->out_max = VENV_PROPERTY_VALUE_MAX + 1;
    action->err_max = ERR_KEPT;
    if (!builtin)
        agent->sampling.running++;
}

static void enqueue(agent_sampling *sampling, uint32_t slot, bool first)
{
    if (first) {
        sampling->queue_first = (sampling->queue_first + VENV_PROPERTY_COUNT_MAX - 1) % VENV_PROPERTY_COUNT_MAX;
        sampling->queue[sampling->queue_first] = slot;
    } else {
        sampling->queue[(sampling->queue_first + sampling->queue_count) % VENV_PROPERTY_COUNT_MAX] = slot;
    }
    sampling->queue_count++;
}

/* Commands wait for a free place; what is built in costs nothing and does not. A slot is in the queue at most once. */
static void request_sampling(agent_step *step, uint32_t slot, bool first)
{
    if (step->agent->sampling.builtins[slot])
        start(step, slot);
    else
        enqueue(&step->agent->sampling, slot, first);
}

static void start_waiting(agent_step *step)
{
    agent_sampling *sampling = &step->agent->sampling;
    while (step->rc == VENV_OK && sampling->queue_count > 0 && sampling->running < step->agent->config->runs_max) {
        uint32_t slot = sampling->queue[sampling->queue_first];
        sampling->queue_first = (sampling->queue_first + 1) % VENV_PROPERTY_COUNT_MAX;
        sampling->queue_count--;
        start(step, slot);
    }
}

void venv_agent_sampling_tick(agent_step *step)
{
    venv_agent *agent = step->agent;
    uint32_t slot = 0;
    if (agent->exiting)
        return;
    venv_property_set_age(agent->properties, step->now.mono);
    while (step->rc == VENV_OK && venv_property_set_due(agent->properties, step->now.mono, &slot))
        request_sampling(step, slot, false);
    start_waiting(step);
}

venv_instant venv_agent_sampling_deadline(const venv_agent *agent)
{
    return agent->exiting ? VENV_INSTANT_NEVER : venv_property_set_deadline(agent->properties);
}

void venv_agent_property_refuse(agent_step *step, uint64_t request, venv_str label, venv_rc rc, const char *error)
{
    venv_map_builder body;
    venv_map_init(&body);
    venv_map_put_text(&body, "label", label.data, label.size);
    venv_map_put_z(&body, "error", error);
    venv_map_put_z(&body, "rc", venv_rc_name(rc));
    venv_agent_send_map(step, VENV_MSG_PROPERR, request, &body);
}

static void answer_value(agent_step *step, uint64_t request, uint32_t slot)
{
    venv_agent *agent = step->agent;
    venv_value body = venv_value_null();
    venv_rc rc = venv_sample_to_propval(venv_property_set_peek(agent->properties, slot),
                                        venv_property_set_sample(agent->properties, slot), &body, step->err);
    if (rc)
        venv_agent_fail(step, VENV_ENOMEM);
    else
        venv_agent_send(step, VENV_MSG_PROPVAL, request, body);
}

/*
 * An attempt is over: whoever waits for it is answered. That the command is not there, took too long or is not to be trusted is one thing for
 * them: it could not be sampled. "Not found" is for a property that there is not, "denied" and "timed out" are of the request.
 */
static void answer_waiters(agent_step *step, uint32_t slot, venv_rc rc)
{
    venv_agent *agent = step->agent;
    agent_sampling *sampling = &agent->sampling;
    size_t kept = 0;
    for (size_t i = 0; i < sampling->waiter_count; i++) {
        agent_waiter waiter = sampling->waiters[i];
        if (waiter.slot != slot)
            sampling->waiters[kept++] = waiter;
        else if (rc == VENV_OK && venv_property_set_sample(agent->properties, slot)->quality == VENV_QUALITY_OK)
            answer_value(step, waiter.request, slot);
        else
            venv_agent_property_refuse(step, waiter.request, venv_property_set_peek(agent->properties, slot)->label,
                                  rc == VENV_ELIMIT || rc == VENV_EINVAL ? rc : VENV_EIO, venv_property_set_sample(agent->properties, slot)->reason);
    }
    sampling->waiter_count = kept;
}

void venv_agent_sampling_forget_waiters(venv_agent *agent)
{
    agent->sampling.waiter_count = 0;
}

/* The outcome of one attempt: a value, or (rc != OK) a reason. */
static void finish(agent_step *step, uint32_t slot, venv_rc rc, const venv_value *value, const char *reason)
{
    venv_agent *agent = step->agent;
    bool unsent = venv_property_set_is_changed(agent->properties, slot);
    venv_quality before = venv_property_set_sample(agent->properties, slot)->quality;
    agent->sampling.tokens[slot] = 0;
    if (rc == VENV_OK) {
        if (venv_property_set_good(agent->properties, slot, step->now, value, step->err)) {
            venv_agent_fail(step, VENV_ENOMEM);
            return;
        }
    } else {
        venv_property_set_failed(agent->properties, slot, step->now, reason);
    }
    const venv_sample *sample = venv_property_set_sample(agent->properties, slot);
    const venv_property *property = venv_property_set_peek(agent->properties, slot);
    if (unsent)
        agent->push.dropped++;
    if (sample->quality != before && (sample->quality == VENV_QUALITY_OK ? before != VENV_QUALITY_ABSENT : true))
        venv_agent_log(step, sample->quality == VENV_QUALITY_OK ? VENV_LOG_INFO : VENV_LOG_WARNING, "property %.*s: %s%s%s",
                  (int)property->label.size, property->label.data, venv_quality_name(sample->quality),
                  sample->reason[0] ? ": " : "", sample->reason);
    answer_waiters(step, slot, rc);
}

static bool slot_of(const venv_agent *agent, uint64_t token, uint32_t *ret_slot)
{
    for (uint32_t slot = 0; token && slot < venv_property_set_count(agent->properties); slot++)
        if (agent->sampling.tokens[slot] == token) {
            *ret_slot = slot;
            return true;
        }
    return false;
}

bool venv_agent_sampling_sampled(agent_step *step, const venv_agent_event *event)
{
    uint32_t slot = 0;
    if (!slot_of(step->agent, event->token, &slot))
        return false;
    if (event->rc == VENV_OK && !event->value)
        finish(step, slot, VENV_EINTERNAL, NULL, "it gave no value");
    else
        finish(step, slot, event->rc, event->value, event->text);
    return true;
}

/* The last line of what a command wrote to stderr, or "". */
static void last_line(venv_str text, char *buffer, size_t size)
{
    while (text.size > 0 && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    size_t start = text.size;
    while (start > 0 && text.data[start - 1] != '\n')
        start--;
    venv_text_safe((venv_str){ text.data + start, text.size - start }, buffer, size);
}

/* Why a run gave no value. VENV_OK: its output is worth reading. */
static venv_rc run_verdict(const venv_property *property, const venv_run_outcome *run, char *reason, size_t size)
{
    char line[160], span[VENV_SPAN_TEXT_SIZE];
    last_line(run->err, line, sizeof(line));
    const char *colon = line[0] ? ": " : "";
    if (run->rc) {
        snprintf(reason, size, "command %.*s did not start: %s", (int)property->name.size, property->name.data,
                 run->error && run->error[0] ? run->error : venv_rc_name(run->rc));
        return run->rc;
    }
    if (run->timed_out) {
        snprintf(reason, size, "it did not end within %s and was ended%s%s",
                 venv_span_format(property->timeout, span, sizeof(span)), colon, line);
        return VENV_ETIMEDOUT;
    }
    if (run->signal) {
        snprintf(reason, size, "it was ended by signal %d%s%s", run->signal, colon, line);
        return VENV_EIO;
    }
    if (run->exit_status != 0) {
        snprintf(reason, size, "exit status %d%s%s", run->exit_status, colon, line);
        return VENV_EIO;
    }
    if (run->out.size > VENV_PROPERTY_VALUE_MAX) {
        snprintf(reason, size, "it printed more than %d bytes", VENV_PROPERTY_VALUE_MAX);
        return VENV_ELIMIT;
    }
    return VENV_OK;
}

bool venv_agent_sampling_ran(agent_step *step, uint64_t token, const venv_run_outcome *run)
{
    venv_agent *agent = step->agent;
    uint32_t slot = 0;
    if (!slot_of(agent, token, &slot))
        return false;
    if (agent->sampling.running > 0)
        agent->sampling.running--;
    const venv_property *property = venv_property_set_peek(agent->properties, slot);
    char reason[VENV_PROPERTY_REASON_MAX];
    venv_rc rc = run_verdict(property, run, reason, sizeof(reason));
    if (rc) {
        finish(step, slot, rc, NULL, reason);
        return true;
    }
    venv_value value = venv_value_null();
    venv_error why = { 0 };
    rc = venv_property_parse(property->type, run->out, &value, &why);
    if (rc == VENV_ENOMEM)
        venv_agent_fail(step, rc);
    else
        finish(step, slot, rc, &value, why.text);
    venv_value_unref(&value);
    return true;
}

/* The slot that a request names; answers it where there is none. */
static bool requested_slot(agent_step *step, uint64_t request, venv_str label, uint32_t *ret_slot)
{
    if (venv_property_set_find(step->agent->properties, label, ret_slot))
        return true;
    if (label.size > VENV_LABEL_MAX)
        label.size = VENV_LABEL_MAX;
    venv_agent_property_refuse(step, request, label, VENV_ENOENT, "this agent has no such property");
    return false;
}

void venv_agent_sampling_get(agent_step *step, uint64_t request, const venv_value *body)
{
    venv_str label = venv_value_get_text(body, "label");
    uint32_t slot = 0;
    if (label.size > 0) {
        if (requested_slot(step, request, label, &slot))
            answer_value(step, request, slot);
        return;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "properties", venv_agent_property_list(step));
    venv_agent_send_map(step, VENV_MSG_PROPLIST, request, &map);
}

void venv_agent_sampling_fetch(agent_step *step, uint64_t request, const venv_value *body)
{
    agent_sampling *sampling = &step->agent->sampling;
    venv_str label = venv_value_get_text(body, "label");
    uint32_t slot = 0;
    if (!requested_slot(step, request, label, &slot))
        return;
    if (sampling->waiter_count == AGENT_WAITERS_MAX) {
        venv_agent_property_refuse(step, request, label, VENV_ELIMIT, "too many properties are being fetched; ask again later");
        return;
    }
    sampling->waiters[sampling->waiter_count++] = (agent_waiter){ .slot = slot, .request = request };
    if (venv_property_set_begin(step->agent->properties, slot, step->now.mono))
        request_sampling(step, slot, true);
    start_waiting(step);
}
