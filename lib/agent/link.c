/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to the manager: dialing with jittered back-off, the greeting, the session, dropping it. */

#include "agent/machines.h"
#include "agent/state.h"

#include "base/log.h"

#include <venv/text.h>

#include <stdlib.h>
#include <string.h>

/* The shell answers every CONNECT; if it did not for this long, the attempt is dropped. */
static const int64_t dial_timeout_ns = 90 * VENV_NS_PER_S;
/* No manager can send its agents away for longer. */
static const int64_t spread_max_ns = 600 * VENV_NS_PER_S;

void venv_agent_link_start(venv_agent *agent, venv_now now)
{
    agent->link.state = LINK_WAITING;
    agent->link.dial_at = now.mono;
}

bool venv_agent_link_is_up(const venv_agent *agent)
{
    return agent->link.state == LINK_OPEN && agent->link.session.state == VENV_SESSION_UP;
}

/*
 * Exponential back-off with jitter: a time drawn from the upper three quarters of a ceiling that doubles. A
 * whole cluster that lost its manager at one moment does not come back at one moment.
 */
static int64_t back_off(venv_agent *agent)
{
    int64_t ceiling = agent->config->reconnect_first.ns;
    if (VENV_SEEDED(BACK_OFF_NONE))
        return 0;
    for (uint32_t i = 1; i < agent->link.failures && ceiling < agent->config->reconnect_max.ns; i++)
        ceiling *= 2;
    if (ceiling > agent->config->reconnect_max.ns)
        ceiling = agent->config->reconnect_max.ns;
    return ceiling / 4 + (int64_t)venv_random_below(&agent->random, (uint64_t)(ceiling - ceiling / 4) + 1);
}

static void dial(agent_step *step)
{
    venv_agent *agent = step->agent;
    const char *address = agent->config->managers[agent->link.manager];
    char *name = NULL;
    if (!venv_agent_text_dup(step, address, strlen(address), &name))
        return;
    agent->link.state = LINK_DIALING;
    agent->link.dial_at.ns = step->now.mono.ns + dial_timeout_ns;
    agent->link.welcomed = false;
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_CONNECT);
    if (action)
        action->name = name;
    else
        free(name);
}

static void put_versions(venv_map_builder *map)
{
    venv_list_builder list;
    venv_value versions = venv_value_null();
    venv_list_init(&list);
    venv_list_add(&list, venv_value_int(VENV_PROTOCOL_VERSION));
    if (venv_list_take(&list, &versions, NULL) == VENV_OK)
        venv_map_put(map, "versions", versions);
}

void venv_agent_link_connected(agent_step *step)
{
    venv_agent *agent = step->agent;
    if (agent->link.state != LINK_DIALING)
        return;
    venv_session_options options = { .first_frame = agent->config->first_frame,
                                     .heartbeat = agent->config->heartbeat,
                                     .timeout = agent->config->timeout };
    agent->link.state = LINK_OPEN;
    agent->connection++;
    venv_agent_push_reset(agent);
    venv_session_init(&agent->link.session, VENV_ROLE_AGENT, VENV_ROLE_MANAGER, &options, step->now);
    char program[64] = "venv-agent ";
    strncat(program, venv_version(), sizeof(program) - strlen(program) - 1);
    venv_map_builder hello;
    venv_map_init(&hello);
    put_versions(&hello);
    venv_map_put_z(&hello, "name", agent->config->name);
    venv_agent_put_groups(step, &hello);
    venv_map_put_id(&hello, "boot", agent->boot);
    venv_map_put(&hello, "starts", venv_value_uint(agent->memory.starts));
    if (!venv_id_is_none(agent->config->machine))
        venv_map_put_id(&hello, "machine", agent->config->machine);
    venv_map_put(&hello, "wall", venv_value_from_wall(step->now.wall));
    venv_map_put_z(&hello, "program", program);
    venv_agent_marks_put(step, &hello);
    if (!venv_agent_push_hello(step, &hello)) {
        venv_map_fini(&hello);
        return;
    }
    venv_agent_send_map(step, VENV_MSG_HELLO, 0, &hello);
}

/* The first trouble of its kind is news, the thousandth is not. */
static void log_trouble(agent_step *step, const char *what, const char *reason)
{
    venv_agent *agent = step->agent;
    char safe[256];
    venv_text_safe((venv_str){ reason ? reason : "", reason ? strlen(reason) : 0 }, safe, sizeof(safe));
    uint64_t hash = venv_hash_bytes(safe, strlen(safe), agent->link.manager + 1);
    venv_agent_log(step, hash == agent->link.trouble ? VENV_LOG_DEBUG : VENV_LOG_WARNING, "%s %s: %s", what,
              agent->config->managers[agent->link.manager], safe[0] ? safe : "closed");
    agent->link.trouble = hash;
}

void venv_agent_link_disconnected(agent_step *step, const char *reason)
{
    venv_agent *agent = step->agent;
    agent_link *link = &agent->link;
    if (link->state == LINK_WAITING)
        return;
    bool was_up = link->welcomed;
    if (link->state != LINK_CLOSING)
        log_trouble(step, was_up ? "lost the connection to manager" : "cannot reach manager", reason);
    venv_session_close(&link->session);
    link->welcomed = false;
    if (link->failures < UINT32_MAX)
        link->failures++;
    if (!was_up)
        link->manager = (link->manager + 1) % agent->config->manager_count;
    int64_t wait = back_off(agent);
    if (was_up && link->spread.ns > wait)
        wait = (int64_t)venv_random_below(&agent->random, (uint64_t)link->spread.ns) + 1;
    /* One of several that does not want us does not keep us from asking the others. */
    if (link->has_after && (was_up || link->failures % agent->config->manager_count == 0))
        wait = link->after.ns + wait / 8;
    link->has_after = false;
    link->state = LINK_WAITING;
    link->dial_at.ns = step->now.mono.ns + wait;
    venv_agent_sampling_forget_waiters(agent);
    if (!VENV_SEEDED(TOLD_KEPT))
        venv_value_unref(&agent->machines.told);
}

void venv_agent_link_drop(agent_step *step, const char *reason, const venv_span *after)
{
    agent_link *link = &step->agent->link;
    if (link->state != LINK_OPEN && link->state != LINK_DIALING)
        return;
    char *text = NULL;
    if (!venv_agent_text_dup(step, reason, strlen(reason), &text))
        return;
    if (after) {
        link->after = *after;
        link->has_after = true;
    }
    link->state = LINK_CLOSING;
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_CLOSE);
    if (action)
        action->text = text;
    else
        free(text);
}

static void welcomed(agent_step *step, const venv_value *body)
{
    venv_agent *agent = step->agent;
    char name[VENV_NAME_MAX * 2];
    venv_text_safe(venv_value_get_text(body, "name"), name, sizeof(name));
    venv_str own = venv_value_get_text(body, "name");
    size_t size = venv_name_is_valid(own) ? own.size : 0; /* a manager without a name is not remembered */
    if (size > 0)
        memcpy(agent->link.manager_name, own.data, size);
    agent->link.manager_name[size] = '\0';
    venv_agent_log(step, VENV_LOG_INFO, "connected to manager %s at %s", name, agent->config->managers[agent->link.manager]);
    const venv_value *spread = venv_value_get(body, "spread");
    if (!spread || !venv_value_to_span(spread, &agent->link.spread) || agent->link.spread.ns < 0 ||
        agent->link.spread.ns > spread_max_ns)
        agent->link.spread = (venv_span){ 0 };
    agent->link.failures = 0;
    agent->link.trouble = 0;
    agent->link.welcomed = true;
    venv_agent_machines_tell(step);
}

/* A message that the session did not deal with. */
static void dispatch(agent_step *step, int16_t type, uint64_t request, const venv_value *body)
{
    switch (type) {
    case VENV_MSG_WELCOME:
        welcomed(step, body);
        break;
    case VENV_MSG_MARK:
        venv_agent_marks_take(step, body);
        break;
    case VENV_MSG_GETPROP:
        venv_agent_sampling_get(step, request, body);
        break;
    case VENV_MSG_FETCHPROP:
        venv_agent_sampling_fetch(step, request, body);
        break;
    case VENV_MSG_EXECUTE:
        venv_agent_execute(step, request, body);
        break;
    case VENV_MSG_CONTROL:
        venv_agent_control(step, request, body);
        break;
    case VENV_MSG_MACHINE_START:
    case VENV_MSG_MACHINE_STOP:
    case VENV_MSG_MACHINE_DESTROY:
    case VENV_MSG_MACHINE_PAUSE:
    case VENV_MSG_MACHINE_RESUME:
    case VENV_MSG_MACHINE_SAVE:
    case VENV_MSG_MACHINE_RESTORE:
    case VENV_MSG_MACHINE_MIGRATE:
    case VENV_MSG_MACHINE_PROBE:
    case VENV_MSG_MACHINE_REBOOT:
    case VENV_MSG_MACHINE_CHECKPOINT:
        venv_agent_machines_frame(step, type, request, body);
        break;
    case VENV_MSG_MACHINE_CANCEL:
        venv_agent_change_cancel(step, body);
        break;
    case VENV_MSG_MACHINE_LIST:
        venv_agent_machines_look(step, request);
        break;
    case VENV_MSG_SYNC:
        venv_agent_images_sync(step, request, body);
        break;
    default: /* NOOP and UNKNOWNTYPE that answer something */
        break;
    }
}

static void answer(agent_step *step, venv_session_reply *reply)
{
    if (reply->wanted)
        venv_agent_send(step, reply->type, reply->request, reply->body);
}

/* The session ends: by the peer's fault, by its refusal, or because it is dead. */
static void give_up(agent_step *step, const venv_error *why, const venv_value *body)
{
    venv_span after;
    const venv_value *asked = body ? venv_value_get(body, "retry_after") : NULL;
    bool has_after = asked && venv_value_to_span(asked, &after) && after.ns >= 0 && after.ns <= 3600 * VENV_NS_PER_S;
    log_trouble(step, "closing the connection to manager", why->text);
    venv_agent_link_drop(step, why->text, has_after ? &after : NULL);
}

void venv_agent_link_frame(agent_step *step, const venv_agent_event *event)
{
    venv_agent *agent = step->agent;
    if (agent->link.state != LINK_OPEN)
        return; /* it was on its way when we closed */
    venv_value empty = venv_value_null();
    const venv_value *body = event->value ? event->value : &empty;
    venv_session_reply reply;
    venv_error why = { 0 };
    switch (venv_session_receive(&agent->link.session, step->now, event->type, event->request, event->known, body,
                                 &reply, &why)) {
    case VENV_SESSION_PASS:
        dispatch(step, event->type, event->request, body);
        break;
    case VENV_SESSION_CONSUMED:
        answer(step, &reply);
        break;
    case VENV_SESSION_CLOSE:
        if (why.rc == VENV_ENOMEM)
            venv_agent_fail(step, VENV_ENOMEM);
        else
            give_up(step, &why, event->type == VENV_MSG_REFUSED ? body : NULL);
        break;
    }
}

void venv_agent_link_tick(agent_step *step)
{
    agent_link *link = &step->agent->link;
    if (step->agent->exiting)
        return;
    if (link->state == LINK_WAITING && link->dial_at.ns <= step->now.mono.ns)
        dial(step);
    else if (link->state == LINK_DIALING && link->dial_at.ns <= step->now.mono.ns)
        venv_agent_link_drop(step, "no answer", NULL);
    if (link->state != LINK_OPEN)
        return;
    venv_session_reply reply;
    venv_error why; /* not made of zeros: this is in every step, and it is large */
    why.rc = VENV_OK;
    why.text[0] = '\0';
    if (venv_session_tick(&link->session, step->now, &reply, &why) != VENV_SESSION_CLOSE)
        answer(step, &reply);
    else if (why.rc == VENV_ENOMEM)
        venv_agent_fail(step, VENV_ENOMEM);
    else
        give_up(step, &why, NULL);
}

venv_instant venv_agent_link_deadline(const venv_agent *agent)
{
    if (agent->exiting)
        return VENV_INSTANT_NEVER;
    switch (agent->link.state) {
    case LINK_WAITING:
    case LINK_DIALING:
        return agent->link.dial_at;
    case LINK_OPEN:
        return venv_session_deadline(&agent->link.session);
    case LINK_CLOSING:
        break;
    }
    return VENV_INSTANT_NEVER;
}
