/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_SERVER_H
#define VENV_RUNTIME_SERVER_H

/*
 * The listening side of the manager: who may come in at all, before anybody knows who it is.
 *
 * At most VENV_SERVER_STRANGERS_MAX connections are in their handshake, at most VENV_SERVER_SOURCE_MAX of them
 * from one address. When the first limit is reached the oldest stranger goes, so that those who only
 * hold connections open do not keep others out. Every refusal is logged, with its address and reason, without a flood.
 */

#include "base/log.h"
#include "runtime/wires.h"

#define VENV_SERVER_LISTEN_MAX     16
#define VENV_SERVER_STRANGERS_MAX  256
#define VENV_SERVER_SOURCE_MAX     32
#define VENV_SERVER_PEERS_MAX      16384 /* connections in all */
#define VENV_SERVER_BACKLOG        1024

typedef struct venv_server venv_server;

typedef struct venv_server_calls {
    void (*up)(void *user, uint64_t peer, const venv_identity *identity, const char *address);
    void (*frame)(void *user, uint64_t peer, const venv_frame *frame, const venv_value *body);
    void (*down)(void *user, uint64_t peer, const char *reason); /* only for those that were up */
    void (*empty)(void *user);                                   /* the last connection has ended */
    void *user;
} venv_server_calls;

/* `seed` hashes addresses. The server does not listen yet. */
venv_rc venv_server_new(uv_loop_t *loop, const venv_tls_context *tls, const venv_log *log, uint64_t seed,
                        const venv_server_calls *calls, venv_server **ret_server, venv_error *err);

/*
 * Listen on "HOST:PORT"; port 0 takes a free one. What it listens on is logged.
 * VENV_EINVAL: malformed or no such address. VENV_ECONFLICT: in use. VENV_EDENIED: a port below 1024. VENV_EIO.
 */
venv_rc venv_server_listen(venv_server *server, const char *address, venv_error *err);

/* A peer that is not there any more takes it without a word. */
venv_rc venv_server_send(venv_server *server, uint64_t peer, int16_t type, uint64_t request, const venv_value *body,
                         uint64_t after_write, venv_error *err);
/* After what was sent to it. `down` follows. */
void venv_server_close_peer(venv_server *server, uint64_t peer, const char *reason);
void venv_server_durable(venv_server *server, uint64_t write);

/* All peers, each after what was sent to it. */
void venv_server_close_all(venv_server *server, const char *reason);
bool venv_server_has_peers(const venv_server *server);

/* Stop listening; nobody new comes in. */
void venv_server_stop_listening(venv_server *server);
/* Close everything, and release when the loop has let go. No call comes any more. Accepts NULL. */
void venv_server_end(venv_server *server);

#endif
