/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_WIRES_H
#define VENV_RUNTIME_WIRES_H

/*
 * Connections: TCP of libuv, TLS of lib/identity, frames of lib/message, the same on both ends.
 *
 *      uv_tcp ──bytes──► venv_tls ──plain──► frame parser ──► calls.frame(body)
 *      uv_tcp ◄──bytes── venv_tls ◄── queue of frames (bounded, each may wait for a write) ◄── venv_wire_send()
 *
 * It knows neither the cores nor sessions. It is not a listener (server.h) and does not connect (dialer.h).
 *
 * The calls come from the loop, never from within a function of this header: whoever handles one may send and close.
 * A frame with a gate waits until that write is durable, and all later frames of its connection wait behind it,
 * so that their order is kept. Who does not read what we send is closed when its queue is full; nobody else notices.
 */

#include <venv/identity.h>
#include <venv/message.h>

#include <uv.h>

#define VENV_WIRE_HANDSHAKE_MS    5000           /* from the first byte that could come to the peer being known */
#define VENV_WIRE_LINGER_MS       2000           /* for what is still to be sent when we close */
#define VENV_WIRE_USER_TIMEOUT_MS 15000          /* sent and not acknowledged by the peer's kernel */
#define VENV_WIRE_IN_FLIGHT_MAX   (256u << 10)   /* encrypted and given to the kernel or libuv */
#define VENV_WIRE_QUEUE_MAX       (24u << 20)    /* frames that wait, of one connection: the largest, and half of it again */
#define VENV_WIRES_QUEUE_MAX      (256u << 20)   /* of all connections; past it the longest queues are closed */
#define VENV_WIRE_ADDRESS_MAX     64
#define VENV_WIRE_REASON_MAX      256

typedef struct venv_wire venv_wire;
typedef struct venv_wires venv_wires;

/* Why a connection ended. */
typedef struct venv_wire_end {
    venv_rc rc;
    bool was_open;         /* the peer was known, and calls.open had been called */
    const char *reason;
} venv_wire_end;

typedef struct venv_wire_calls {
    void (*open)(void *user, venv_wire *wire, const venv_identity *peer); /* TLS is up, the peer is who it says */
    void (*frame)(void *user, venv_wire *wire, const venv_frame *frame, const venv_value *body);
    void (*end)(void *user, venv_wire *wire, const venv_wire_end *end);   /* once, the last for this wire */
    void *user;
} venv_wire_calls;

/* `tls` is borrowed for the life of the wires. VENV_ENOMEM. */
venv_rc venv_wires_new(uv_loop_t *loop, const venv_tls_context *tls, venv_role self, const venv_wire_calls *calls,
                       venv_wires **ret_wires, venv_error *err);
/* Close all, without farewells of frames that wait. Memory is released as the loop goes on. No call comes any more. */
void venv_wires_end(venv_wires *wires);

/* This write and all before it are durable. */
void venv_wires_durable(venv_wires *wires, uint64_t write);

/* A wire with a TCP handle that is not connected, for accept or connect. */
venv_rc venv_wire_new(venv_wires *wires, venv_wire **ret_wire, venv_error *err);
uv_tcp_t *venv_wire_tcp(venv_wire *wire);
/* It is connected: begin TLS. `address` is "192.0.2.7:40112". On failure the wire ends by itself (calls.end). */
void venv_wire_begin(venv_wire *wire, const char *address);
/* It was never connected: release it without a call. */
void venv_wire_discard(venv_wire *wire);

const char *venv_wire_address(const venv_wire *wire);
/* A pointer of the user's. */
void venv_wire_set_data(venv_wire *wire, void *data);
void *venv_wire_data(const venv_wire *wire);

/*
 * Queue a frame. `after_write` != 0: hold it back until that write is durable. What is sent to a wire that ends is dropped.
 * VENV_ELIMIT: the body is larger than its type allows; a full queue closes the wire and is not reported here.
 */
venv_rc venv_wire_send(venv_wire *wire, int16_t type, uint64_t request, const venv_value *body, uint64_t after_write,
                       venv_error *err);

/* End at once, without a farewell: for a peer that is not known, when its place is needed. */
void venv_wire_abort(venv_wire *wire, venv_rc rc, const char *reason);

/* Send what is queued, say farewell, end. */
void venv_wire_close(venv_wire *wire, venv_rc rc, const char *reason);

#endif
