/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MESSAGE_SESSION_H
#define VENV_MESSAGE_SESSION_H

/*
 * The life of one connection, the same machine on both ends.
 *
 *   manager:  WAIT_HELLO ──HELLO──► (the core decides) ──welcomed()──► UP ──┐
 *   agent,    WAIT_WELCOME ──WELCOME──────────────────────────────────► UP ─┼──► CLOSED
 *   user:        └──REFUSED, deadline, a wrong message──────────────────────┘
 *
 * It says which frames are for the core, answers heartbeats, and finds dead peers in both directions:
 *
 *  - nothing was received for `timeout`: the peer is dead, or we cannot hear it;
 *  - the peer is heard, but what we sent was not confirmed for `unheard`: it cannot hear us. PING and PONG carry `heard`, the
 *    number of frames that their sender has received since the connection began.
 *
 * A side sends PING when no PING went either way for one interval; the answer confirms both directions.
 * So with equal intervals one exchange per interval is made, whichever side is first.
 *
 * It is not a transport: it knows neither bytes nor sockets. It allocates nothing but the bodies of heartbeats, and takes
 * about 100 bytes. Reading of version numbers and heartbeat times is here; the other keys of HELLO and WELCOME are the cores'.
 */

#include <venv/message.h>

typedef enum venv_session_state {
    VENV_SESSION_WAIT_HELLO = 0,
    VENV_SESSION_WAIT_WELCOME,
    VENV_SESSION_UP,
    VENV_SESSION_CLOSED,
} venv_session_state;

typedef struct venv_session_options {
    venv_span first_frame; /* HELLO, or WELCOME, must have come by then */
    venv_span heartbeat;   /* between exchanges of PING and PONG */
    venv_span timeout;     /* silence that ends the session */
    venv_span unheard;     /* so does this long without confirmation from a peer that is heard; 0: as timeout */
} venv_session_options;

/* 5 s, 5 s, 15 s (faults F08, F11). */
venv_session_options venv_session_defaults(void);

typedef struct venv_session {
    venv_session_state state;
    venv_role self, peer;
    venv_session_options options;
    uint32_t version;         /* agreed; 0 before UP */
    uint64_t received, sent;  /* frames since the connection began */
    uint64_t confirmed;       /* of `sent`, how many the peer says it has heard */
    uint64_t watch;           /* the frame whose confirmation is waited for; 0: none */
    venv_instant watch_since; /* since when */
    venv_instant opened, heard, exchanged; /* connection began; last frame in; last PING either way */
    venv_instant called;      /* last time that this machine was asked anything: finds out that *we* slept */
} venv_session;

/* What is to be done with a frame. */
typedef enum venv_session_verdict {
    VENV_SESSION_PASS = 0, /* it is for the core: HELLO (manager), WELCOME (agent, user; UP now), or anything while UP */
    VENV_SESSION_CONSUMED, /* nothing left to do but to send `reply`, if it has one */
    VENV_SESSION_CLOSE,    /* end the connection: err says why */
} venv_session_verdict;

/* A heartbeat, or an UNKNOWNTYPE, that is to be sent. */
typedef struct venv_session_reply {
    bool wanted;
    int16_t type;
    uint64_t request;
    venv_value body; /* owned by the caller */
} venv_session_reply;

/* A connection is up. An agent or user sends HELLO next. */
void venv_session_init(venv_session *session, venv_role self, venv_role peer,
                       const venv_session_options *options, venv_now now);

/*
 * Judge a frame that arrived. `known` false: the type is not in the table; the reply is then UNKNOWNTYPE.
 * On VENV_SESSION_CLOSE the session is CLOSED and *err is set: VENV_EPROTO, VENV_EDENIED, VENV_EUNSUPPORTED (no common version), VENV_ENOMEM.
 * For REFUSED the verdict is CLOSE with the peer's reason in *err (its rc too); read `retry_after` from the body before dropping it.
 */
venv_session_verdict venv_session_receive(venv_session *session, venv_now now, int16_t type, uint64_t request,
                                          bool known, const venv_value *body, venv_session_reply *ret_reply,
                                          venv_error *err);

/* Manager: the HELLO was accepted; send WELCOME with session->version in it, then call this. */
void venv_session_welcomed(venv_session *session, venv_now now);

/* A frame of any kind was handed to the transport (the reply and the ping too). */
void venv_session_sent(venv_session *session, venv_now now);

/*
 * Time has passed. CLOSE: the peer is dead (*err: VENV_ETIMEDOUT and in which direction). Otherwise CONSUMED,
 * and the reply is a PING if one is due.
 */
venv_session_verdict venv_session_tick(venv_session *session, venv_now now, venv_session_reply *ret_reply,
                                       venv_error *err);

/* When venv_session_tick() is wanted next. */
venv_instant venv_session_deadline(const venv_session *session);

void venv_session_close(venv_session *session);

/* The highest version that both speak; 0 if there is none. `versions` is the list in a HELLO. */
uint32_t venv_session_choose_version(const venv_value *versions);

uint64_t venv_session_digest(const venv_session *session, uint64_t seed);

#endif
