/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one connection: greeting, versions, heartbeats, dead peers. See session.h for the picture. */

#include "message/session.h"

#include "base/seeded.h"

#include "base/table.h"

#include <venv/text.h>

#include <string.h>

/* What a manager may ask for in WELCOME. */
static const int64_t heartbeat_min_ns = VENV_NS_PER_S / 10;
static const int64_t heartbeat_max_ns = 600 * VENV_NS_PER_S;
enum { TIMEOUT_HEARTBEATS = 3 };

venv_session_options venv_session_defaults(void)
{
    return (venv_session_options){ .first_frame = { 5 * VENV_NS_PER_S },
                                   .heartbeat = { 5 * VENV_NS_PER_S },
                                   .timeout = { 15 * VENV_NS_PER_S } };
}

void venv_session_init(venv_session *session, venv_role self, venv_role peer, const venv_session_options *options,
                       venv_now now)
{
    *session = (venv_session){ .state = self == VENV_ROLE_MANAGER ? VENV_SESSION_WAIT_HELLO : VENV_SESSION_WAIT_WELCOME,
                               .self = self,
                               .peer = peer,
                               .options = options ? *options : venv_session_defaults(),
                               .opened = now.mono,
                               .called = now.mono,
                               .heard = now.mono,
                               .exchanged = now.mono };
}

void venv_session_close(venv_session *session)
{
    session->state = VENV_SESSION_CLOSED;
}

static venv_session_verdict refuse(venv_session *session)
{
    session->state = VENV_SESSION_CLOSED;
    return VENV_SESSION_CLOSE;
}

uint32_t venv_session_choose_version(const venv_value *versions)
{
    for (size_t i = 0; i < venv_value_count(versions) && i < 64; i++) {
        const venv_value *version = venv_value_at(versions, i);
        if (version && ((venv_value_kind(version) == VENV_INT && venv_value_peek_int(version) == VENV_PROTOCOL_VERSION) ||
                        (venv_value_kind(version) == VENV_UINT &&
                         venv_value_peek_uint(version) == VENV_PROTOCOL_VERSION)))
            return VENV_PROTOCOL_VERSION;
    }
    return 0;
}

static venv_session_verdict take_hello(venv_session *session, int16_t type, const venv_value *body, venv_error *err)
{
    if (type != VENV_MSG_HELLO) {
        venv_error_set(err, VENV_EPROTO, "the first message was %s; expected hello", venv_message_name(type));
        return refuse(session);
    }
    if (session->version) {
        venv_error_set(err, VENV_EPROTO, "a second hello");
        return refuse(session);
    }
    session->version = venv_session_choose_version(venv_value_get(body, "versions"));
    if (!session->version) {
        venv_error_set(err, VENV_EUNSUPPORTED, "no common version of the protocol; this side speaks %d",
                       VENV_PROTOCOL_VERSION);
        return refuse(session);
    }
    return VENV_SESSION_PASS;
}

/* The code of that name; what is not known counts as denied. */
static venv_rc rc_read(venv_str name)
{
    for (int rc = VENV_EINTERNAL; rc < 0; rc++) {
        const char *known = venv_rc_name((venv_rc)rc);
        if (strlen(known) == name.size && memcmp(known, name.data, name.size) == 0)
            return (venv_rc)rc;
    }
    return VENV_EDENIED;
}

static venv_session_verdict take_welcome(venv_session *session, int16_t type, const venv_value *body, venv_error *err)
{
    if (type == VENV_MSG_REFUSED) {
        venv_str text = venv_value_get_text(body, "error");
        char safe[VENV_ERROR_TEXT_MAX / 2];
        venv_text_safe(text, safe, sizeof(safe));
        venv_error_set(err, rc_read(venv_value_get_text(body, "rc")), "refused by the manager: %s",
                       safe[0] ? safe : "no reason given");
        return refuse(session);
    }
    if (type != VENV_MSG_WELCOME) {
        venv_error_set(err, VENV_EPROTO, "the first answer was %s; expected welcome", venv_message_name(type));
        return refuse(session);
    }
    int64_t version = venv_value_get_int(body, "version", 0);
    if (version != VENV_PROTOCOL_VERSION) {
        venv_error_set(err, VENV_EUNSUPPORTED, "the manager chose version %lld of the protocol; this side speaks %d",
                       (long long)version, VENV_PROTOCOL_VERSION);
        return refuse(session);
    }
    venv_span heartbeat;
    const venv_value *asked = venv_value_get(body, "heartbeat");
    if (asked && venv_value_to_span(asked, &heartbeat) && heartbeat.ns >= heartbeat_min_ns &&
        heartbeat.ns <= heartbeat_max_ns) {
        session->options.heartbeat = heartbeat;
        session->options.timeout.ns = heartbeat.ns * TIMEOUT_HEARTBEATS;
    }
    session->version = (uint32_t)version;
    session->state = VENV_SESSION_UP;
    return VENV_SESSION_PASS;
}

/* The peer says how many of our frames it has heard. */
static void confirm(venv_session *session, venv_now now, const venv_value *body)
{
    const venv_value *heard = venv_value_get(body, "heard");
    uint64_t count = 0;
    if (heard && venv_value_kind(heard) == VENV_UINT)
        count = venv_value_peek_uint(heard);
    else if (heard && venv_value_kind(heard) == VENV_INT && venv_value_peek_int(heard) > 0)
        count = (uint64_t)venv_value_peek_int(heard);
    if (count > session->sent)
        return; /* it cannot have: believe nothing */
    if (count > session->confirmed)
        session->confirmed = count;
    if (session->watch && session->confirmed >= session->watch) {
        session->watch = session->confirmed < session->sent ? session->sent : 0;
        session->watch_since = now.mono;
    }
}

static venv_session_verdict heartbeat_make(venv_session *session, int16_t type, uint64_t request,
                                           venv_session_reply *ret_reply, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "heard", venv_value_int((int64_t)(session->received & INT64_MAX)));
    *ret_reply = (venv_session_reply){ .type = type, .request = request, .body = venv_value_null() };
    if (venv_map_take(&map, &ret_reply->body, err))
        return refuse(session);
    ret_reply->wanted = true;
    return VENV_SESSION_CONSUMED;
}

/* An answer whose body has one entry: UNKNOWNTYPE {type}, NOOP {reply}. */
static venv_session_verdict answer_make(venv_session *session, int16_t type, uint64_t request, const char *key,
                                        venv_value value, venv_session_reply *ret_reply, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, key, value);
    *ret_reply = (venv_session_reply){ .type = type, .request = request, .body = venv_value_null() };
    if (venv_map_take(&map, &ret_reply->body, err))
        return refuse(session);
    ret_reply->wanted = true;
    return VENV_SESSION_CONSUMED;
}

/*
 * This side must be called at least once a heartbeat. If it was not (the process was stopped, the machine
 * slept), its own silence is no sign that the peer is dead: what is waiting to be read comes first.
 */
static void forgive_sleep(venv_session *session, venv_now now)
{
    int64_t slept = now.mono.ns - session->called.ns - 2 * session->options.heartbeat.ns;
    session->called = now.mono;
    if (slept <= 0 || session->state != VENV_SESSION_UP)
        return;
    session->heard.ns += slept;
    if (session->watch)
        session->watch_since.ns += slept;
}

venv_session_verdict venv_session_receive(venv_session *session, venv_now now, int16_t type, uint64_t request,
                                          bool known, const venv_value *body, venv_session_reply *ret_reply,
                                          venv_error *err)
{
    *ret_reply = (venv_session_reply){ .body = venv_value_null() };
    forgive_sleep(session, now);
    session->received++;
    session->heard = now.mono;
    if (session->state == VENV_SESSION_CLOSED) {
        venv_error_set(err, VENV_EPROTO, "the session is closed");
        return VENV_SESSION_CLOSE;
    }
    if (known && !venv_message_allowed(session->peer, session->self, type)) {
        venv_error_set(err, VENV_EDENIED, "the role %s may not send %s", venv_role_name(session->peer),
                       venv_message_name(type));
        return refuse(session);
    }
    if (session->state == VENV_SESSION_WAIT_HELLO)
        return take_hello(session, type, body, err);
    if (session->state == VENV_SESSION_WAIT_WELCOME)
        return take_welcome(session, type, body, err);
    if (!known)
        return answer_make(session, VENV_MSG_UNKNOWNTYPE, request, "type", venv_value_int(type), ret_reply, err);
    if (type == VENV_MSG_PING || type == VENV_MSG_PONG) {
        confirm(session, now, body);
        session->exchanged = now.mono;
        return type == VENV_MSG_PING ? heartbeat_make(session, VENV_MSG_PONG, request, ret_reply, err)
                                     : VENV_SESSION_CONSUMED;
    }
    if (type == VENV_MSG_NOOP && !venv_value_get_bool(body, "reply", false))
        return answer_make(session, VENV_MSG_NOOP, request, "reply", venv_value_bool(true), ret_reply, err);
    if (type == VENV_MSG_HELLO || type == VENV_MSG_WELCOME || type == VENV_MSG_REFUSED) {
        venv_error_set(err, VENV_EPROTO, "%s in the middle of a session", venv_message_name(type));
        return refuse(session);
    }
    return VENV_SESSION_PASS;
}

void venv_session_welcomed(venv_session *session, venv_now now)
{
    session->state = VENV_SESSION_UP;
    session->exchanged = now.mono;
}

void venv_session_sent(venv_session *session, venv_now now)
{
    session->sent++;
    if (!session->watch) {
        session->watch = session->sent;
        session->watch_since = now.mono;
    }
}

static venv_session_verdict dead(venv_session *session, venv_error *err, venv_span span, const char *what)
{
    char text[VENV_SPAN_TEXT_SIZE];
    venv_error_set(err, VENV_ETIMEDOUT, "%s for %s", what, venv_span_format(span, text, sizeof(text)));
    return refuse(session);
}

/* When has a peer not confirmed for too long, though it is heard until then? One that falls silent is judged by its silence. */
static bool is_unheard_at(const venv_session *session, venv_instant *ret_when)
{
    int64_t span = session->options.unheard.ns > 0 ? session->options.unheard.ns : session->options.timeout.ns;
    ret_when->ns = session->watch_since.ns + span;
    return session->watch != 0 && session->heard.ns >= ret_when->ns - session->options.heartbeat.ns;
}

venv_session_verdict venv_session_tick(venv_session *session, venv_now now, venv_session_reply *ret_reply,
                                       venv_error *err)
{
    *ret_reply = (venv_session_reply){ .body = venv_value_null() };
    forgive_sleep(session, now);
    const venv_session_options *options = &session->options;
    venv_instant when;
    switch (session->state) {
    case VENV_SESSION_CLOSED:
        return VENV_SESSION_CONSUMED;
    case VENV_SESSION_WAIT_HELLO:
    case VENV_SESSION_WAIT_WELCOME:
        if (now.mono.ns - session->opened.ns < options->first_frame.ns)
            return VENV_SESSION_CONSUMED;
        return dead(session, err, options->first_frame,
                    session->state == VENV_SESSION_WAIT_HELLO ? "no hello" : "no welcome");
    case VENV_SESSION_UP:
        break;
    }
    if (now.mono.ns - session->heard.ns >= options->timeout.ns)
        return dead(session, err, options->timeout, "nothing was heard from the peer");
    if (is_unheard_at(session, &when) && now.mono.ns >= when.ns && !VENV_SEEDED(DEAF_NOT_NOTICED))
        return dead(session, err, (venv_span){ when.ns - session->watch_since.ns },
                    "the peer is heard, but did not confirm that it hears us");
    if (now.mono.ns - session->exchanged.ns < options->heartbeat.ns)
        return VENV_SESSION_CONSUMED;
    session->exchanged = now.mono;
    if (VENV_SEEDED(PING_NEVER))
        return VENV_SESSION_CONSUMED;
    return heartbeat_make(session, VENV_MSG_PING, 0, ret_reply, err);
}

venv_instant venv_session_deadline(const venv_session *session)
{
    const venv_session_options *options = &session->options;
    if (session->state == VENV_SESSION_CLOSED)
        return VENV_INSTANT_NEVER;
    if (session->state != VENV_SESSION_UP)
        return (venv_instant){ session->opened.ns + options->first_frame.ns };
    int64_t first = session->exchanged.ns + options->heartbeat.ns;
    int64_t silent = session->heard.ns + options->timeout.ns;
    venv_instant when;
    int64_t unheard = is_unheard_at(session, &when) && !VENV_SEEDED(DEAF_NOT_NOTICED) ? when.ns : INT64_MAX;
    if (silent < first)
        first = silent;
    return (venv_instant){ unheard < first ? unheard : first };
}

uint64_t venv_session_digest(const venv_session *session, uint64_t seed)
{
    int64_t parts[] = { session->state,
                        session->self,
                        session->peer,
                        session->version,
                        (int64_t)session->received,
                        (int64_t)session->sent,
                        (int64_t)session->confirmed,
                        (int64_t)session->watch,
                        session->watch_since.ns,
                        session->opened.ns,
                        session->called.ns,
                        session->heard.ns,
                        session->exchanged.ns,
                        session->options.heartbeat.ns,
                        session->options.timeout.ns,
                        session->options.unheard.ns,
                        session->options.first_frame.ns };
    return venv_hash_bytes(parts, sizeof(parts), seed);
}
