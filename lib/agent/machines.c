/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machines of the node: what the manager asks for becomes calls of the driver by the table in machine.c; what the
 * driver lists is told to the manager.
 *
 * Never two: an epoch older than one that was seen is refused, and so is a start in an epoch in which the machine was
 * stopped, could not be started or was seen to have ended, also by an agent that was killed meanwhile (memory.c). Asking twice (the same action id) does once. A hypervisor that cannot be asked has not lost its machines:
 * what was seen last stays, with `reachable` false.
 */

#include "agent/machines.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <venv/environment.h>
#include <venv/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t list_timeout_ns = 60 * VENV_NS_PER_S; /* the shell ends a call earlier; this is for a shell that cannot */
static const int64_t grace_max_ns = 3600 * VENV_NS_PER_S;
static const venv_span change_timeout = { 120 * VENV_NS_PER_S };

venv_rc venv_agent_machines_init(venv_agent *agent, uint64_t seed, venv_now now, venv_error *err)
{
    agent->machines.next = VENV_INSTANT_NEVER;
    agent->machines.told = agent->machines.node = agent->machines.foreign = venv_value_null();
    agent->machines.list = agent->machines.shown = venv_value_null();
    agent->machines.version = 1;
    snprintf(agent->machines.reason, sizeof(agent->machines.reason), "the hypervisor was not asked yet");
    if (!venv_agent_config_has_hypervisor(agent->config))
        return VENV_OK;
    agent->machines.next = now.mono;
    agent->machines.done = calloc(AGENT_DONE_MAX, sizeof(agent_done));
    if (!agent->machines.done)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    return venv_table_new(seed, AGENT_MACHINES_MAX, &agent->machines.table, err);
}

void venv_agent_machines_fini(venv_agent *agent)
{
    agent_machines *machines = &agent->machines;
    size_t cursor = 0;
    void *machine = NULL;
    while (machines->table && venv_table_next(machines->table, &cursor, NULL, &machine))
        venv_agent_machine_free(machine);
    venv_table_free(machines->table);
    free(machines->done);
    venv_value_unref(&machines->told);
    venv_value_unref(&machines->node);
    venv_value_unref(&machines->foreign);
    venv_value_unref(&machines->list);
    venv_value_unref(&machines->shown);
}

agent_machine *venv_agent_machines_find(const venv_agent *agent, venv_id id)
{
    return venv_table_find(agent->machines.table, id.bytes, sizeof(id.bytes));
}

/* Room for one more: what is only remembered goes first. */
static void make_room(agent_machines *machines)
{
    size_t cursor = 0;
    void *item = NULL;
    if (venv_table_count(machines->table) < AGENT_MACHINES_MAX)
        return;
    while (venv_table_next(machines->table, &cursor, NULL, &item)) {
        agent_machine *machine = item;
        if (!venv_agent_machine_is_memory(machine))
            continue;
        venv_table_remove(machines->table, machine->id.bytes, sizeof(machine->id.bytes));
        machines->version++;
        venv_agent_machine_free(machine);
        return;
    }
}

/* NULL: there are too many, or no memory (the step has failed then). */
agent_machine *venv_agent_machines_find_or_add(agent_step *step, venv_id id)
{
    agent_machines *machines = &step->agent->machines;
    agent_machine *machine = venv_agent_machines_find(step->agent, id);
    if (machine)
        return machine;
    make_room(machines);
    machine = calloc(1, sizeof(*machine));
    venv_rc rc = machine ? venv_table_add(machines->table, id.bytes, sizeof(id.bytes), machine, step->err) : VENV_ENOMEM;
    if (rc) {
        free(machine);
        if (rc == VENV_ENOMEM)
            venv_agent_fail(step, rc);
        return NULL;
    }
    machine->id = id;
    machine->grace_end = machine->ask_next = VENV_INSTANT_NEVER;
    machines->version++;
    return machine;
}

/* --- answers --------------------------------------------------------------------------------------- */

void venv_agent_machines_send_result(agent_step *step, uint64_t request, const agent_done *done)
{
    venv_map_builder body;
    venv_map_init(&body);
    venv_map_put_id(&body, "id", done->action);
    venv_map_put_id(&body, "machine", done->machine);
    venv_map_put_z(&body, "rc", venv_rc_name(done->rc));
    if (done->error[0])
        venv_map_put_text(&body, "error", done->error, strlen(done->error));
    venv_map_put_z(&body, "state", done->state);
    venv_agent_send_map(step, VENV_MSG_MACHINE_RESULT, request, &body);
}

agent_done venv_agent_machines_result(const agent_ask *ask, venv_rc rc, const char *error, const char *state)
{
    agent_done done = { .action = ask->action, .machine = ask->machine, .rc = rc };
    snprintf(done.state, sizeof(done.state), "%s", state);
    if (error)
        venv_text_safe((venv_str){ error, strlen(error) }, done.error, sizeof(done.error));
    return done;
}

/* A request that has no effect. It is not remembered: asked again, it is judged again. */
void venv_agent_machines_refuse(agent_step *step, const agent_ask *ask, venv_rc rc, const char *error)
{
    const agent_machine *machine = venv_agent_machines_find(step->agent, ask->machine);
    agent_done done = venv_agent_machines_result(ask, rc, error, machine ? venv_agent_machine_shown(machine) : "unknown");
    venv_agent_log(step, VENV_LOG_WARNING, "refusing a machine action of the manager: %s", done.error);
    venv_agent_machines_send_result(step, ask->request, &done);
}

/* Outcomes that are known. One that is not can be asked for again, under the same id. */
static void remember(agent_machines *machines, const agent_done *done)
{
    if (done->rc == VENV_EUNREACHABLE || done->rc == VENV_EUNKNOWN || done->rc == VENV_ETIMEDOUT)
        return;
    machines->done[machines->done_next] = *done;
    machines->done_next = (machines->done_next + 1) % AGENT_DONE_MAX;
    if (machines->done_count < AGENT_DONE_MAX)
        machines->done_count++;
}

/* An operation is over: everybody who asked for it is told. */
void venv_agent_machines_answer(agent_step *step, agent_machine *machine, venv_rc rc, const char *error)
{
    for (size_t i = 0; i < machine->asker_count; i++) {
        const agent_asker *asker = &machine->askers[i];
        agent_ask ask = { .action = asker->action, .machine = machine->id };
        agent_done done = venv_agent_machines_result(&ask, rc, error, rc == VENV_EUNKNOWN ? "unknown" : venv_agent_machine_shown(machine));
        remember(&step->agent->machines, &done);
        if (asker->connection == step->agent->connection)
            venv_agent_machines_send_result(step, asker->request, &done);
    }
    machine->asker_count = 0;
}

bool venv_agent_machines_join(agent_machine *machine, const agent_ask *ask, uint64_t connection)
{
    if (machine->asker_count == AGENT_ASKERS_MAX)
        return false;
    machine->askers[machine->asker_count++] =
        (agent_asker){ .action = ask->action, .request = ask->request, .connection = connection };
    return true;
}

/* --- calls of the driver -------------------------------------------------------------------------- */

static void call(agent_step *step, agent_machine *machine, venv_machine_verb verb, char *xml)
{
    char *name = NULL;
    bool named = venv_agent_text_dup(step, machine->instance, strlen(machine->instance), &name);
    venv_agent_action *action = named ? venv_agent_act(step, VENV_AGENT_ACT_MACHINE) : NULL;
    if (!action) {
        free(name);
        free(xml);
        return;
    }
    action->verb = verb;
    action->machine = machine->id;
    if (verb == VENV_MACHINE_START)
        action->files = VENV_TAKE(machine->files);
    if (verb == VENV_MACHINE_MIGRATE)
        action->text = xml;
    else
        action->xml = xml;
    action->name = name;
    action->epoch = verb == VENV_MACHINE_DESTROY ? machine->epoch : machine->change_epoch;
    action->move = machine->move;
    if (machine->state == MACHINE_CHANGING)
        action->timeout.ns = machine->change_end.ns - step->now.mono.ns;
    action->token = machine->token = venv_agent_token(step);
    action->after_keep = VENV_SEEDED(CALL_BEFORE_KEEP) ? 0 : venv_agent_memory_number(step->agent);
}

void venv_agent_machines_set_epoch(agent_step *step, agent_machine *machine, uint64_t epoch, bool ended)
{
    if (machine->epoch == epoch && machine->ended == ended)
        return;
    machine->ran = machine->ran && machine->epoch == epoch;
    machine->epoch = epoch;
    machine->ended = ended;
    step->agent->machines.version++;
    venv_agent_memory_change(step);
}

static void note_ran(agent_step *step, agent_machine *machine)
{
    if (machine->ran)
        return;
    machine->ran = true;
    step->agent->machines.version++;
    venv_agent_memory_change(step);
}

void venv_agent_machines_list_soon(agent_step *step)
{
    agent_machines *machines = &step->agent->machines;
    if (machines->asked)
        machines->ask_again = true;
    else
        machines->next = step->now.mono;
}

static void ask_guest(agent_step *step, agent_machine *machine)
{
    machine->ask_next.ns = step->now.mono.ns + AGENT_ASK_EVERY_S * VENV_NS_PER_S;
    call(step, machine, VENV_MACHINE_SHUTDOWN, NULL);
}

/* Go where the table says. `xml` is for a start, or the URI for a migration, and taken over. */
agent_machine_effect venv_agent_machines_advance(agent_step *step, agent_machine *machine, agent_machine_event event, char *xml)
{
    agent_machine_rule rule = venv_agent_machine_rule_of(machine->state, event);
    if (rule.next != machine->state) {
        step->agent->machines.version++;
        venv_agent_log(step, VENV_LOG_DEBUG, "machine %s: %s, then %s", machine->instance,
                  venv_agent_machine_state_name(machine->state), venv_agent_machine_state_name(rule.next));
    }
    machine->state = rule.next;
    switch (rule.effect) {
    case MACHINE_CALL_PREPARE:
        venv_agent_preparation_go(step, machine);
        break;
    case MACHINE_CALL_START:
        call(step, machine, VENV_MACHINE_START, xml);
        return rule.effect;
    case MACHINE_CALL_SHUTDOWN:
        ask_guest(step, machine);
        break;
    case MACHINE_CALL_DESTROY:
        machine->grace_end = machine->ask_next = VENV_INSTANT_NEVER;
        call(step, machine, VENV_MACHINE_DESTROY, NULL);
        break;
    case MACHINE_CALL_CHANGE:
        call(step, machine, machine->change, xml);
        return rule.effect;
    case MACHINE_NOTHING:
    case MACHINE_JOIN:
    case MACHINE_LATER:
    case MACHINE_REFUSE:
    case MACHINE_ANSWER:
        break;
    }
    free(xml);
    return rule.effect;
}

/* --- requests ------------------------------------------------------------------------------------- */

static bool get_epoch(const venv_value *body, uint64_t *ret_epoch)
{
    const venv_value *epoch = venv_value_get(body, "epoch");
    if (epoch && venv_value_kind(epoch) == VENV_UINT)
        *ret_epoch = venv_value_peek_uint(epoch);
    else if (epoch && venv_value_kind(epoch) == VENV_INT && venv_value_peek_int(epoch) >= 0)
        *ret_epoch = (uint64_t)venv_value_peek_int(epoch);
    else
        return false;
    return true;
}

static const char *read_ask(agent_ask *ask, const venv_value *body)
{
    const venv_value *grace = venv_value_get(body, "grace");
    if (!venv_value_get_id(body, "id", &ask->action) || venv_id_is_none(ask->action))
        return "`id` must be 16 bytes, not all zero";
    if (!venv_value_get_id(body, "machine", &ask->machine) || venv_id_is_none(ask->machine))
        return "`machine` must be 16 bytes, not all zero";
    if (!get_epoch(body, &ask->epoch))
        return "`epoch` must be a number";
    if (grace && (!venv_value_to_span(grace, &ask->grace) || ask->grace.ns < 0 || ask->grace.ns > grace_max_ns))
        return "`grace` must be a duration of at most 1h";
    const venv_value *timeout = venv_value_get(body, "timeout");
    ask->timeout = change_timeout;
    if (timeout && (!venv_value_to_span(timeout, &ask->timeout) || ask->timeout.ns <= 0 || ask->timeout.ns > 24 * grace_max_ns))
        return "`timeout` must be a duration of at most 24h";
    ask->gentle = venv_value_get_bool(body, "unless_running", false);
    ask->body = body;
    return NULL;
}

/* The same action again: it is answered as before, or will be answered when it is over. */
static bool asked_before(agent_step *step, const agent_ask *ask)
{
    agent_machines *machines = &step->agent->machines;
    agent_machine *machine = venv_agent_machines_find(step->agent, ask->machine);
    for (size_t i = 0; i < machines->done_count; i++)
        if (venv_id_equal(machines->done[i].action, ask->action)) {
            venv_agent_machines_send_result(step, ask->request, &machines->done[i]);
            return true;
        }
    for (size_t i = 0; machine && i < machine->asker_count; i++)
        if (venv_id_equal(machine->askers[i].action, ask->action)) {
            machine->askers[i].request = ask->request;
            machine->askers[i].connection = step->agent->connection;
            return true;
        }
    if (machine && machine->later && venv_id_equal(machine->later_asker.action, ask->action)) {
        machine->later_asker.request = ask->request;
        machine->later_asker.connection = step->agent->connection;
        return true;
    }
    return false;
}

/* It was not started, and nothing was done. */
static void fail_start(agent_step *step, agent_machine *machine, venv_rc rc, const char *why)
{
    venv_agent_preparation_free(machine->preparation);
    machine->preparation = NULL;
    venv_agent_log(step, VENV_LOG_WARNING, "machine %s: %s", machine->instance, why);
    if (machine->state != MACHINE_IDLE)
        venv_agent_machines_advance(step, machine, MACHINE_EVENT_FAILED, NULL);
    venv_agent_machines_answer(step, machine, rc, why);
    venv_agent_machines_do_later(step, machine);
}

/* The driver starts it now; `machine->preparation` is over. */
static void go_start(agent_step *step, agent_machine *machine)
{
    venv_error why = { 0 };
    venv_machine_files *files = NULL;
    char *xml = NULL;
    venv_rc rc = venv_agent_preparation_finish(step, machine->preparation, &files, &xml, &why);
    venv_agent_preparation_free(machine->preparation);
    machine->preparation = NULL;
    if (rc == VENV_ENOMEM) {
        venv_agent_fail(step, rc);
        return;
    }
    if (rc != VENV_OK) {
        fail_start(step, machine, rc, why.text);
        return;
    }
    machine->files = files;
    venv_agent_machines_advance(step, machine, MACHINE_EVENT_START, xml);
}

void venv_agent_machines_prepared(agent_step *step, agent_machine *machine, venv_rc rc, const venv_error *why)
{
    if (rc == VENV_OK)
        go_start(step, machine);
    else
        fail_start(step, machine, rc, why->text);
    venv_agent_machines_tell(step);
}

static void start(agent_step *step, const agent_ask *ask)
{
    venv_error why = { 0 };
    agent_preparation *preparation = NULL;
    agent_machine *machine = venv_agent_machines_find(step->agent, ask->machine);
    if (machine && machine->ended && machine->epoch == ask->epoch && !VENV_SEEDED(START_AFTER_STOP)) {
        venv_agent_machines_refuse(step, ask, VENV_ECONFLICT, "it was stopped in this epoch, or has ended in it; a new start needs a newer one");
        return;
    }
    venv_rc rc = venv_agent_preparation_new(step, ask, &preparation, &why);
    if (rc == VENV_ENOMEM) {
        venv_agent_fail(step, rc);
        return;
    }
    if (rc) {
        venv_agent_machines_refuse(step, ask, rc, why.text);
        return;
    }
    machine = venv_agent_machines_find_or_add(step, ask->machine);
    if (!machine) {
        venv_agent_preparation_free(preparation);
        if (step->rc == VENV_OK)
            venv_agent_machines_refuse(step, ask, VENV_ELIMIT, "there are too many machines on this node");
        return;
    }
    bool waits = venv_agent_preparation_waits(preparation);
    agent_machine_effect effect = venv_agent_machine_rule_of(machine->state, MACHINE_EVENT_PREPARE).effect;
    if (effect == MACHINE_REFUSE || (effect == MACHINE_JOIN && machine->epoch != ask->epoch) ||
        !venv_agent_machines_join(machine, ask, step->agent->connection)) {
        venv_agent_preparation_free(preparation);
        venv_agent_machines_refuse(step, ask, VENV_ECONFLICT, effect == MACHINE_REFUSE ? "it is being stopped" : "it is being started");
        return;
    }
    memcpy(machine->instance, preparation->mark.instance, sizeof(machine->instance));
    memcpy(machine->environment, preparation->mark.environment, sizeof(machine->environment));
    venv_agent_machines_set_epoch(step, machine, ask->epoch, false);
    if (effect == MACHINE_JOIN) {
        venv_agent_preparation_free(preparation);
    } else {
        machine->preparation = preparation;
        if (waits)
            venv_agent_machines_advance(step, machine, MACHINE_EVENT_PREPARE, NULL);
        else
            go_start(step, machine);
    }
    venv_agent_machines_tell(step);
}

/* Put off what came during a start, or a change. A later one replaces it, which is then answered; a destroy stays one,
 * but for one that leaves a running guest alone. */
static void put_off(agent_step *step, agent_machine *machine, const agent_ask *ask)
{
    bool destroy = ask->event == MACHINE_EVENT_DESTROY;
    if (machine->later) {
        agent_ask before = { .action = machine->later_asker.action, .machine = machine->id };
        agent_done done = venv_agent_machines_result(&before, VENV_ECANCELED, "a later stop takes its place", venv_agent_machine_shown(machine));
        if (machine->later_asker.connection == step->agent->connection)
            venv_agent_machines_send_result(step, machine->later_asker.request, &done);
    }
    if (machine->later && !machine->later_gentle) {
        machine->later_destroy = machine->later_destroy || (destroy && !ask->gentle);
        if (!ask->gentle && ask->grace.ns < machine->later_grace.ns)
            machine->later_grace = ask->grace;
    } else {
        machine->later_destroy = destroy;
        machine->later_gentle = ask->gentle;
        machine->later_grace = ask->grace;
    }
    machine->later = true;
    machine->later_asker = (agent_asker){ .action = ask->action, .request = ask->request, .connection = step->agent->connection };
}

/*
 * What keeps a destroy that is to leave a running guest alone from being done now; VENV_OK if nothing does. While it starts the destroy
 * waits, and is judged when the start has ended.
 */
static venv_rc spares(const agent_machine *machine, const char **ret_why)
{
    bool idle = machine && machine->state == MACHINE_IDLE, up = idle && !venv_agent_machine_is_down(machine);
    bool known = up && strcmp(machine->seen.state, "unknown") != 0;
    *ret_why = known ? "it runs: it is left alone" : "it is not known whether it runs, or something else is done to it; ask again";
    if (!machine || machine->state == MACHINE_STARTING || machine->state == MACHINE_DESTROYING || (idle && !up))
        return VENV_OK;
    return known ? VENV_ECONFLICT : VENV_EUNKNOWN;
}

static void stop(agent_step *step, agent_ask *ask)
{
    const char *why;
    venv_rc rc = ask->gentle ? spares(venv_agent_machines_find(step->agent, ask->machine), &why) : VENV_OK;
    if (rc != VENV_OK) {
        venv_agent_machines_refuse(step, ask, rc, why);
        return;
    }
    agent_machine *machine = venv_agent_machines_find_or_add(step, ask->machine);
    if (!machine) {
        if (step->rc == VENV_OK)
            venv_agent_machines_refuse(step, ask, VENV_ELIMIT, "there are too many machines on this node");
        return;
    }
    if (ask->grace.ns == 0)
        ask->event = MACHINE_EVENT_DESTROY;
    venv_agent_machines_set_epoch(step, machine, ask->epoch, true);
    agent_machine_effect effect = venv_agent_machine_rule_of(machine->state, ask->event).effect;
    if (effect == MACHINE_LATER) {
        put_off(step, machine, ask);
    } else if (!venv_agent_machines_join(machine, ask, step->agent->connection)) {
        venv_agent_machines_refuse(step, ask, VENV_ECONFLICT, "it is being stopped already, and too many wait for that");
        return;
    }
    int64_t grace_end = step->now.mono.ns + (VENV_SEEDED(GRACE_IGNORED) ? 0 : ask->grace.ns);
    if (effect != MACHINE_LATER && ask->event == MACHINE_EVENT_STOP && grace_end < machine->grace_end.ns)
        machine->grace_end.ns = grace_end;
    venv_agent_machines_advance(step, machine, ask->event, NULL);
    if (machine->state == MACHINE_PREPARING) /* what is on its way is not waited for */
        fail_start(step, machine, VENV_ECANCELED, "it was stopped while what it needs was brought here");
    venv_agent_machines_tell(step);
}

void venv_agent_machines_frame(agent_step *step, int16_t type, uint64_t request, const venv_value *body)
{
    venv_agent *agent = step->agent;
    agent_ask ask = { .request = request };
    ask.event = type == VENV_MSG_MACHINE_START     ? MACHINE_EVENT_START
                : type == VENV_MSG_MACHINE_STOP    ? MACHINE_EVENT_STOP
                : type == VENV_MSG_MACHINE_DESTROY ? MACHINE_EVENT_DESTROY
                                                   : MACHINE_EVENT_CHANGE;
    const char *error = read_ask(&ask, body);
    if (!agent->machines.table) {
        agent_done done = venv_agent_machines_result(&ask, VENV_EUNSUPPORTED, "this agent has no hypervisor (agent.hypervisor is none)",
                                    "unknown");
        venv_agent_machines_send_result(step, request, &done);
        return;
    }
    if (error) {
        agent_done done = venv_agent_machines_result(&ask, VENV_EINVAL, error, "unknown");
        venv_agent_machines_send_result(step, request, &done);
        return;
    }
    if (asked_before(step, &ask))
        return;
    if (!agent->machines.listed) { /* the epochs are on the machines, too: none is known to be the newest */
        venv_agent_machines_refuse(step, &ask, VENV_EUNREACHABLE, "this agent has not seen yet which machines there are; ask again");
        return;
    }
    const agent_machine *machine = venv_agent_machines_find(agent, ask.machine);
    if (machine && ask.epoch < machine->epoch && !VENV_SEEDED(EPOCH_IGNORED)) {
        char text[128];
        snprintf(text, sizeof(text), "epoch %llu is older than %llu, which this agent has seen",
                 (unsigned long long)ask.epoch, (unsigned long long)machine->epoch);
        venv_agent_machines_refuse(step, &ask, VENV_ECONFLICT, text);
        return;
    }
    if (type == VENV_MSG_MACHINE_PROBE)
        venv_agent_probe(step, &ask);
    else if (ask.event == MACHINE_EVENT_START)
        start(step, &ask);
    else if (ask.event == MACHINE_EVENT_CHANGE)
        venv_agent_change(step, &ask, type);
    else
        stop(step, &ask);
}

/* --- outcomes ------------------------------------------------------------------------------------- */

/* What a success tells about the machine, until the driver lists it again. */
static void note_success(agent_step *step, agent_machine *machine, agent_machine_state was)
{
    if (was == MACHINE_STARTING) {
        note_ran(step, machine);
        machine->seen.listed = true;
        snprintf(machine->seen.state, sizeof(machine->seen.state), "running");
    } else if (was == MACHINE_DESTROYING) {
        machine->seen.listed = false;
    }
}

/* A stop that came during the start is done now. */
void venv_agent_machines_do_later(agent_step *step, agent_machine *machine)
{
    if (!machine->later || machine->state != MACHINE_IDLE)
        return;
    machine->later = false;
    machine->askers[machine->asker_count++] = machine->later_asker;
    const char *why;
    venv_rc rc = machine->later_gentle ? spares(machine, &why) : VENV_OK;
    if (rc != VENV_OK) {
        venv_agent_machines_answer(step, machine, rc, why);
        return;
    }
    if (!machine->later_destroy)
        machine->grace_end.ns = step->now.mono.ns + machine->later_grace.ns;
    venv_agent_machines_advance(step, machine, machine->later_destroy ? MACHINE_EVENT_DESTROY : MACHINE_EVENT_STOP, NULL);
}

static bool is_unknown(venv_rc rc)
{
    return rc == VENV_EUNKNOWN || rc == VENV_EUNREACHABLE || rc == VENV_ETIMEDOUT;
}

/* It may run, and is neither "gone" nor what it was before. */
void venv_agent_machines_doubt(agent_step *step, agent_machine *machine)
{
    step->agent->machines.version++;
    machine->seen.listed = true;
    snprintf(machine->seen.state, sizeof(machine->seen.state), "unknown");
}

/* The manager is told so, and counts the machine as over: an order of its start that comes again is not to start it after all. */
static bool has_failed_for_good(venv_rc rc)
{
    return rc != VENV_OK && rc != VENV_ECONFLICT && !is_unknown(rc);
}

void venv_agent_machines_done(agent_step *step, const venv_agent_event *event)
{
    agent_machines *machines = &step->agent->machines;
    agent_machine *machine = NULL;
    void *item = NULL;
    size_t cursor = 0;
    if (venv_agent_probed(step, event))
        return;
    while (!machine && machines->table && event->token && venv_table_next(machines->table, &cursor, NULL, &item))
        if (((agent_machine *)item)->token == event->token)
            machine = item;
    if (!machine)
        return; /* overtaken by a destroy */
    machine->token = 0;
    machines->version++;
    venv_rc rc = event->rc;
    agent_machine_state was = machine->state;
    /* A guest that is gone needs no stop. One that could not be asked, for whatever reason but the connection's,
     * is powered off when its grace time is over. */
    bool ask_failed = was == MACHINE_ASKING && rc != VENV_EUNREACHABLE && rc != VENV_EDENIED;
    if (ask_failed && rc == VENV_ENOENT)
        machine->seen.listed = false;
    if (rc == VENV_OK && was == MACHINE_CHANGING)
        venv_agent_change_done(step, machine);
    else if (rc == VENV_OK)
        note_success(step, machine, was);
    if (rc != VENV_OK && !ask_failed)
        venv_agent_log(step, VENV_LOG_WARNING, "machine %s: %s: %s", machine->instance, venv_agent_machine_state_name(was),
                  event->text && event->text[0] ? event->text : venv_rc_name(rc));
    if (was == MACHINE_STARTING && rc == VENV_EIO) {
        machine->seen.listed = true; /* until the next list: it did not start */
        snprintf(machine->seen.state, sizeof(machine->seen.state), "failed");
    }
    if ((was == MACHINE_STARTING || was == MACHINE_CHANGING) && is_unknown(rc))
        venv_agent_machines_doubt(step, machine);
    if (was == MACHINE_STARTING && has_failed_for_good(rc))
        venv_agent_machines_set_epoch(step, machine, machine->epoch, true);
    agent_machine_event outcome = rc == VENV_OK || ask_failed ? MACHINE_EVENT_DONE : MACHINE_EVENT_FAILED;
    if (venv_agent_machines_advance(step, machine, outcome, NULL) == MACHINE_ANSWER) {
        machine->grace_end = machine->ask_next = VENV_INSTANT_NEVER;
        venv_agent_machines_answer(step, machine, rc, rc ? (event->text && event->text[0] ? event->text : venv_rc_name(rc)) : NULL);
    }
    if (ask_failed && rc == VENV_ENOENT)
        venv_agent_machines_advance(step, machine, MACHINE_EVENT_GONE, NULL);
    venv_agent_machines_do_later(step, machine);
    venv_agent_machines_list_soon(step);
    venv_agent_machines_tell(step);
}

static void tell_asked(agent_step *step);

/* --- the list ------------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t size, venv_str text)
{
    size_t length = text.size < size - 1 ? text.size : size - 1;
    if (length > 0)
        memcpy(to, text.data, length);
    to[length] = '\0';
}

/* One machine of the driver's list. */
static void note_seen(agent_step *step, const venv_value *item)
{
    venv_id id;
    uint64_t epoch = 0;
    if (!venv_value_get_id(item, "id", &id) || venv_id_is_none(id))
        return;
    agent_machine *machine = venv_agent_machines_find_or_add(step, id);
    if (!machine)
        return;
    bool marked = get_epoch(item, &epoch);
    if (marked && epoch > machine->epoch)
        venv_agent_machines_set_epoch(step, machine, epoch, false);
    copy_text(machine->instance, sizeof(machine->instance), venv_value_get_text(item, "instance"));
    copy_text(machine->environment, sizeof(machine->environment), venv_value_get_text(item, "environment"));
    agent_seen *seen = &machine->seen;
    seen->listed = true;
    copy_text(seen->state, sizeof(seen->state), venv_value_get_text(item, "state"));
    copy_text(seen->reason, sizeof(seen->reason), venv_value_get_text(item, "reason"));
    if (strcmp(seen->state, "running") == 0)
        note_ran(step, machine);
    seen->vcpus = venv_value_get_int(item, "vcpus", 0);
    seen->memory = venv_value_get_int(item, "memory", 0);
    venv_str console = venv_value_get_text(item, "console");
    free(seen->console);
    seen->console = NULL;
    if (console.size > 0)
        venv_agent_text_dup(step, console.data, console.size, &seen->console);
    /* The manager is told this, and counts it as over, also where nobody saw it run: an order of its start comes too late. */
    if (marked && epoch == machine->epoch && machine->state == MACHINE_IDLE &&
        (strcmp(seen->state, "stopped") == 0 || strcmp(seen->state, "failed") == 0))
        venv_agent_machines_set_epoch(step, machine, epoch, true);
}

static void keep(venv_value *kept, const venv_value *value)
{
    venv_value_unref(kept);
    if (value && venv_value_kind(value) == VENV_MAP)
        *kept = venv_value_ref(value);
}

/* A whole list: what is not in it is not there. One that says what was made of the last one says nothing new. */
static void take_list(agent_step *step, const venv_value *list)
{
    agent_machines *machines = &step->agent->machines;
    if (machines->list_version == machines->version && venv_value_equal(list, &machines->list))
        return;
    venv_value_unref(&machines->list);
    machines->list = venv_value_ref(list);
    machines->list_version = ++machines->version;
    const venv_value *items = venv_value_get(list, "machines");
    size_t cursor = 0;
    void *item = NULL;
    while (venv_table_next(machines->table, &cursor, NULL, &item))
        ((agent_machine *)item)->seen.listed = false;
    for (size_t i = 0; i < venv_value_count(items) && step->rc == VENV_OK; i++)
        note_seen(step, venv_value_at(items, i));
    keep(&machines->node, venv_value_get(list, "node"));
    keep(&machines->foreign, venv_value_get(list, "foreign"));
    cursor = 0;
    while (venv_table_next(machines->table, &cursor, NULL, &item) && step->rc == VENV_OK) {
        agent_machine *machine = item;
        /* It ran, and is over: a start that comes again, from the past or late, is not to bring it back. */
        bool saved = machine->seen.listed && strcmp(machine->seen.state, "saved") == 0;
        if (machine->ran && machine->state == MACHINE_IDLE && venv_agent_machine_is_down(machine) && !saved)
            venv_agent_machines_set_epoch(step, machine, machine->epoch, true);
        if (venv_agent_machine_is_down(machine))
            venv_agent_machines_advance(step, machine, MACHINE_EVENT_GONE, NULL);
    }
}

static void set_reachable(agent_step *step, bool reachable, const char *reason)
{
    agent_machines *machines = &step->agent->machines;
    if (reachable && (!machines->reachable || !machines->answered))
        venv_agent_log(step, VENV_LOG_INFO, "the hypervisor answers");
    if (!reachable && (machines->reachable || !machines->answered))
        venv_agent_log(step, VENV_LOG_WARNING, "the hypervisor cannot be asked: %s", reason);
    if (reachable && machines->reachable && machines->answered)
        return;
    machines->version++;
    machines->answered = true;
    machines->reachable = reachable;
    venv_text_safe((venv_str){ reason, strlen(reason) }, machines->reason, sizeof(machines->reason));
}

void venv_agent_machines_listed(agent_step *step, const venv_agent_event *event)
{
    agent_machines *machines = &step->agent->machines;
    if (!machines->table)
        return;
    machines->asked = false;
    bool looked = machines->look_lists > 0 && --machines->look_lists == 0;
    machines->next.ns = step->now.mono.ns + (machines->ask_again ? 0 : step->agent->config->machines_every.ns);
    machines->ask_again = false;
    if (event->rc == VENV_OK && event->value && venv_value_kind(event->value) == VENV_MAP) {
        take_list(step, event->value);
        machines->listed = true;
        set_reachable(step, true, "");
    } else if (VENV_SEEDED(UNREACHABLE_IS_EMPTY)) {
        venv_value none = venv_value_null();
        take_list(step, &none);
        set_reachable(step, true, "");
    } else {
        set_reachable(step, false, event->text && event->text[0] ? event->text : venv_rc_name(event->rc));
    }
    venv_agent_sampling_hypervisor(step);
    if (looked)
        tell_asked(step);
    venv_agent_machines_tell(step);
}

/* `brief`: without what is long and can be done without. */
static venv_value machine_to_value(agent_step *step, const agent_machine *machine, bool brief)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "id", machine->id);
    venv_map_put_z(&map, "instance", machine->instance);
    venv_map_put_z(&map, "environment", machine->environment);
    venv_map_put(&map, "epoch", venv_value_int((int64_t)(machine->epoch & INT64_MAX)));
    venv_map_put_z(&map, "state", venv_agent_machine_shown(machine));
    if (machine->seen.listed && machine->seen.vcpus > 0)
        venv_map_put(&map, "vcpus", venv_value_int(machine->seen.vcpus));
    if (machine->seen.listed && machine->seen.memory > 0)
        venv_map_put(&map, "memory", venv_value_int(machine->seen.memory));
    if (machine->seen.reason[0] && !brief)
        venv_map_put_z(&map, "reason", machine->seen.reason);
    if (machine->seen.console && !brief)
        venv_map_put_z(&map, "console", machine->seen.console);
    venv_value value = venv_value_null();
    venv_agent_fail(step, venv_map_take(&map, &value, step->err));
    return value;
}

static venv_value machines_to_value(agent_step *step)
{
    const agent_machines *machines = &step->agent->machines;
    venv_map_builder map;
    venv_list_builder list;
    venv_map_init(&map);
    venv_list_init(&list);
    venv_map_put(&map, "reachable", venv_value_bool(machines->reachable));
    if (!machines->reachable)
        venv_map_put_z(&map, "reason", machines->reason);
    if (venv_value_kind(&machines->node) == VENV_MAP)
        venv_map_put(&map, "node", venv_value_ref(&machines->node));
    if (venv_value_kind(&machines->foreign) == VENV_MAP)
        venv_map_put(&map, "foreign", venv_value_ref(&machines->foreign));
    size_t cursor = 0, size = 0;
    void *item = NULL;
    while (venv_table_next(machines->table, &cursor, NULL, &item)) {
        const agent_machine *machine = item;
        if (!venv_agent_machine_is_told(machine))
            continue;
        venv_list_add(&list, machine_to_value(step, machine, size > AGENT_TOLD_SIZE_MAX));
        size += strlen(machine->seen.reason) + (machine->seen.console ? strlen(machine->seen.console) : 0);
    }
    venv_value rows = venv_value_null(), body = venv_value_null();
    venv_agent_fail(step, venv_list_take(&list, &rows, step->err));
    venv_map_put(&map, "machines", rows);
    venv_agent_fail(step, venv_map_take(&map, &body, step->err));
    return body;
}

static void tell(agent_step *step, uint64_t request)
{
    agent_machines *machines = &step->agent->machines;
    if (!machines->table || !venv_agent_link_is_up(step->agent) || step->rc)
        return;
    bool any = venv_value_kind(&machines->told) != VENV_NULL;
    if (request == 0 && any && machines->told_version == machines->version)
        return;
    machines->told_version = machines->version;
    venv_value body = machines_to_value(step);
    if (step->rc || (request == 0 && venv_value_equal(&body, &machines->told))) {
        venv_value_unref(&body);
        return;
    }
    venv_value_unref(&machines->told);
    machines->told = venv_value_ref(&body);
    venv_agent_send(step, VENV_MSG_MACHINES, request, body);
}

/* Tell the manager what there is, if it does not know. */
void venv_agent_machines_tell(agent_step *step)
{
    tell(step, 0);
}

/* It asked, and gets a list that was begun after that. */
static void tell_asked(agent_step *step)
{
    agent_machines *machines = &step->agent->machines;
    uint64_t request = machines->look_request;
    machines->look_request = 0;
    if (machines->look_connection == step->agent->connection)
        tell(step, request);
}

void venv_agent_machines_look(agent_step *step, uint64_t request)
{
    agent_machines *machines = &step->agent->machines;
    if (!machines->table || request == 0)
        return;
    machines->look_request = request;
    machines->look_connection = step->agent->connection;
    machines->look_lists = machines->asked ? 2 : 1; /* what is under way was begun before */
    venv_agent_machines_list_soon(step);
}

/* --- time ----------------------------------------------------------------------------------------- */

void venv_agent_machines_tick(agent_step *step)
{
    agent_machines *machines = &step->agent->machines;
    int64_t now = step->now.mono.ns;
    size_t cursor = 0;
    void *item = NULL;
    if (!machines->table || step->agent->exiting)
        return;
    while (venv_table_next(machines->table, &cursor, NULL, &item) && step->rc == VENV_OK) {
        agent_machine *machine = item;
        if (machine->state == MACHINE_CHANGING && machine->change_end.ns <= now)
            venv_agent_change_give_up(step, machine);
        if (machine->state != MACHINE_WAITING && machine->state != MACHINE_ASKING)
            continue;
        if (machine->grace_end.ns <= now) {
            venv_agent_log(step, VENV_LOG_INFO, "machine %s did not shut down in its grace time and is powered off", machine->instance);
            venv_agent_machines_advance(step, machine, MACHINE_EVENT_GRACE, NULL);
        } else if (machine->state == MACHINE_WAITING && machine->ask_next.ns <= now) {
            venv_agent_machines_advance(step, machine, MACHINE_EVENT_AGAIN, NULL);
            venv_agent_machines_list_soon(step);
        }
    }
    if (machines->asked && now - machines->asked_at.ns >= list_timeout_ns) {
        machines->asked = false;
        machines->next.ns = now + step->agent->config->machines_every.ns;
        set_reachable(step, false, "the hypervisor does not answer");
        venv_agent_sampling_hypervisor(step);
        venv_agent_machines_tell(step);
    }
    if (machines->asked || machines->next.ns > now)
        return;
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_MACHINES);
    if (action)
        action->token = venv_agent_token(step);
    machines->asked = true;
    machines->asked_at = step->now.mono;
    machines->next = VENV_INSTANT_NEVER;
}

venv_instant venv_agent_machines_deadline(const venv_agent *agent)
{
    const agent_machines *machines = &agent->machines;
    size_t cursor = 0;
    void *item = NULL;
    if (!machines->table || agent->exiting)
        return VENV_INSTANT_NEVER;
    venv_instant first = machines->asked ? (venv_instant){ machines->asked_at.ns + list_timeout_ns } : machines->next;
    while (venv_table_next(machines->table, &cursor, NULL, &item)) {
        const agent_machine *machine = item;
        if (machine->state == MACHINE_CHANGING && machine->change_end.ns < first.ns)
            first = machine->change_end;
        if (machine->state != MACHINE_WAITING && machine->state != MACHINE_ASKING)
            continue;
        if (machine->grace_end.ns < first.ns)
            first = machine->grace_end;
        if (machine->state == MACHINE_WAITING && machine->ask_next.ns < first.ns)
            first = machine->ask_next;
    }
    return first;
}
