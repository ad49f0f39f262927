/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections. Who a peer is comes from its certificate, with PEER_UP; the session machine says when it may
 * speak and whether it is alive; the table of messages says what its role may send.
 */
#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

peer *venv_mgr_peer_find(venv_manager *m, uint64_t number)
{
    return venv_table_find(m->peers, &number, sizeof number);
}

void venv_mgr_peer_free(peer *p)
{
    if (!p)
        return;
    free(p->name);
    free(p->address);
    free(p);
}

void venv_mgr_peer_up(venv_manager *m, const venv_manager_event *event)
{
    if (venv_mgr_peer_find(m, event->peer))
        return;
    peer *p = calloc(1, sizeof *p);
    if (p) {
        p->number = event->peer;
        p->role = event->role;
        p->name = venv_mgr_copy_text(m, event->text);
        p->address = venv_mgr_copy_text(m, event->address);
    }
    if (!p || !p->name || !p->address) {
        venv_mgr_peer_free(p);
        venv_mgr_no_memory(m);
        return;
    }
    venv_session_options options = { .first_frame = m->config->first_frame, .heartbeat = m->config->heartbeat,
                                     .timeout = m->config->lost, .unheard = m->config->suspect };
    venv_session_init(&p->session, VENV_ROLE_MANAGER, p->role, &options, m->now);
    venv_rc rc = venv_table_add(m->peers, &p->number, sizeof p->number, p, NULL);
    if (rc == VENV_OK)
        return;
    if (rc == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    venv_mgr_effect_log(m, VENV_LOG_WARNING, "%s %s at %s is refused: %u connections are the most", venv_role_name(p->role), p->name,
               p->address, PEERS_MAX);
    venv_mgr_effect_close(m, p, "too many connections", true);
    venv_mgr_peer_free(p);
}

void venv_mgr_peer_down(venv_manager *m, uint64_t number, const char *reason)
{
    peer *p = venv_table_remove(m->peers, &number, sizeof number);
    if (!p)
        return;
    if (p->follows && !VENV_SEEDED(FOLLOWER_LEAK))
        m->followers--;
    venv_mgr_sender_forget(m, number);
    venv_mgr_events_forget_peer(m, number);
    venv_mgr_whys_forget_peer(m, number);
    venv_mgr_history_forget_peer(m, number);
    venv_mgr_waiters_forget_peer(m, number);
    if (p->agent && p->agent->peer == number) {
        p->agent->peer = 0;
        venv_mgr_calls_forget_peer(m, number);
        venv_mgr_agent_gone(m, p->agent, reason && reason[0] ? reason : "the connection ended");
    }
    venv_mgr_peer_free(p);
}

static void close_at_level(venv_manager *m, peer *p, const char *reason, int level)
{
    if (p->closing)
        return;
    venv_mgr_effect_log(m, level, "%s %s at %s is closed: %s", venv_role_name(p->role), p->name, p->address, reason);
    venv_mgr_effect_close(m, p, reason, true);
    if (VENV_SEEDED(CLOSED_SESSION_HEARD))
        return;
    venv_session_close(&p->session);
    /* The agent counts as gone from now on: whatever the transport still holds back is no word of it. */
    if (p->agent && p->agent->peer == p->number) {
        agent *a = p->agent;
        a->peer = 0;
        p->agent = NULL;
        venv_mgr_calls_forget_peer(m, p->number);
        venv_mgr_sender_forget(m, p->number);
        venv_mgr_agent_gone(m, a, reason);
    }
}

static void close_peer(venv_manager *m, peer *p, const char *reason)
{
    close_at_level(m, p, reason, VENV_LOG_WARNING);
}

static void refuse(venv_manager *m, peer *p, const venv_error *err, const refusal *why)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "rc", venv_rc_name(err->rc));
    venv_map_put_text(&map, "error", err->text, strlen(err->text));
    if (why->retry_after.ns > 0)
        venv_map_put(&map, "retry_after", venv_value_from_span(why->retry_after));
    venv_mgr_effect_send_now(m, p, VENV_MSG_REFUSED, 0, venv_mgr_take_map(m, &map));
    close_at_level(m, p, err->text, why->quiet ? VENV_LOG_DEBUG : VENV_LOG_WARNING);
}

static void welcome(venv_manager *m, peer *p)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "version", venv_value_int((int64_t)p->session.version));
    venv_map_put_z(&map, "name", m->config->name);
    venv_map_put(&map, "wall", venv_value_from_wall(m->now.wall));
    venv_map_put(&map, "heartbeat", venv_value_from_span(m->config->heartbeat));
    venv_map_put_id(&map, "boot", m->boot);
    if (p->role == VENV_ROLE_AGENT)
        venv_map_put(&map, "spread", venv_value_from_span(venv_mgr_reconnect_spread(m)));
    venv_mgr_effect_send_now(m, p, VENV_MSG_WELCOME, 0, venv_mgr_take_map(m, &map));
    venv_session_welcomed(&p->session, m->now);
}

static void hello(venv_manager *m, peer *p, const venv_value *body)
{
    venv_error err = { 0 };
    refusal why = { .retry_after = { 0 } };
    if (p->role == VENV_ROLE_AGENT && venv_mgr_admit(m, p, body, &why, &err) != VENV_OK) {
        refuse(m, p, &err, &why);
        return;
    }
    if (why.replaced) {
        venv_mgr_effect_log(m, VENV_LOG_INFO, "agent %s is back at %s; its connection from %s is closed", p->name, p->address,
                   why.replaced->address);
        close_peer(m, why.replaced, "the agent has connected again");
    }
    welcome(m, p);
    if (p->role == VENV_ROLE_AGENT) {
        venv_mgr_guard_hello(m, p, body);
        venv_mgr_agent_hello(m, p, body);
        venv_mgr_guard_mark(m, p);
    }
}

static void dispatch(venv_manager *m, peer *p, const venv_manager_event *event)
{
    if (event->type == VENV_MSG_HELLO)
        hello(m, p, event->value);
    else if (event->type == VENV_MSG_UNKNOWNTYPE)
        venv_mgr_effect_log(m, VENV_LOG_INFO, "%s %s does not know a message that was sent to it", venv_role_name(p->role), p->name);
    else if (p->role == VENV_ROLE_AGENT && p->agent)
        venv_mgr_agent_frame(m, p, event->type, event->request, event->value);
    else if (p->role == VENV_ROLE_USER)
        venv_mgr_user_frame(m, p, event->type, event->request, event->value);
}

void venv_mgr_peer_frame(venv_manager *m, const venv_manager_event *event)
{
    peer *p = venv_mgr_peer_find(m, event->peer);
    if (!p || (p->closing && !VENV_SEEDED(CLOSED_SESSION_HEARD)))
        return;
    p->look = m->now.mono; /* whatever it says changes when it has to be looked at; what is sent to it only puts that off */
    if (event->known && !venv_message_allowed(p->role, VENV_ROLE_MANAGER, event->type)) {
        close_peer(m, p, "it sent a message that its role may not send");
        return;
    }
    venv_error err = { 0 };
    venv_session_reply reply = { .wanted = false };
    venv_session_verdict verdict = venv_session_receive(&p->session, m->now, event->type, event->request, event->known,
                                                        event->value, &reply, &err);
    if (verdict == VENV_SESSION_CLOSE) {
        if (err.rc == VENV_EUNSUPPORTED)
            refuse(m, p, &err, &(refusal){ .retry_after = { 0 } });
        else
            close_peer(m, p, err.text);
        return;
    }
    if (p->agent && venv_groups_heard(m->groups, p->name, m->now)) {
        venv_mgr_record_agent(m, p->agent);
        venv_mgr_world_stale(m, p->agent);
        venv_triggers_note_agent(m->triggers, p->name);
        venv_mgr_event_add(m, "agent-heard", p->name, (venv_id){ { 0 } }, venv_value_null(), "agent %s is heard again", p->name);
    }
    if (reply.wanted)
        venv_mgr_effect_send_now(m, p, reply.type, reply.request, reply.body);
    if (verdict == VENV_SESSION_PASS)
        dispatch(m, p, event);
}

static void sweep_peer(venv_manager *m, peer *p)
{
    venv_error err = { 0 };
    venv_session_reply reply = { .wanted = false };
    int64_t due = venv_session_deadline(&p->session).ns, suspect = p->session.heard.ns + m->config->suspect.ns;
    p->look.ns = p->agent && suspect < due && suspect > m->now.mono.ns ? suspect : due;
    if (due <= m->now.mono.ns) {
        if (venv_session_tick(&p->session, m->now, &reply, &err) == VENV_SESSION_CLOSE) {
            close_peer(m, p, err.text);
            return;
        }
        if (reply.wanted)
            venv_mgr_effect_send_now(m, p, reply.type, reply.request, reply.body);
    }
    if (p->agent && !VENV_SEEDED(SUSPECT_NEVER) && m->now.mono.ns - p->session.heard.ns >= m->config->suspect.ns &&
        venv_groups_suspect(m->groups, p->name, m->now)) {
        venv_mgr_record_agent(m, p->agent);
        venv_mgr_world_stale(m, p->agent);
        venv_triggers_note_agent(m->triggers, p->name);
        venv_mgr_event_add(m, "agent-suspect", p->name, (venv_id){ { 0 } }, venv_value_null(),
                  "agent %s has not been heard for %.0f s", p->name,
                  (double)(m->now.mono.ns - p->session.heard.ns) / (double)VENV_NS_PER_S);
    }
}

void venv_mgr_peers_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->peers, &cursor, NULL, &item))
        if (!((peer *)item)->closing && ((peer *)item)->look.ns <= m->now.mono.ns)
            sweep_peer(m, item);
}
