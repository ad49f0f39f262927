/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_DIALER_H
#define VENV_RUNTIME_DIALER_H

/*
 * The connecting side of an agent: one connection at a time, to the manager that it is told.
 *
 * A name is resolved on a thread of its own, all its addresses are tried in order. Every dial ends with exactly one `down`,
 * whether or not it was `up` before. The calls come from the loop, never from within a function of this header.
 */

#include "runtime/wires.h"

#define VENV_DIALER_CONNECT_MS    5000 /* for one address */
#define VENV_DIALER_ADDRESSES_MAX 8

typedef struct venv_dialer venv_dialer;

typedef struct venv_dialer_calls {
    void (*up)(void *user, const venv_identity *manager);
    void (*frame)(void *user, const venv_frame *frame, const venv_value *body);
    void (*down)(void *user, const char *reason);
    void *user;
} venv_dialer_calls;

venv_rc venv_dialer_new(uv_loop_t *loop, const venv_tls_context *tls, const venv_dialer_calls *calls,
                        venv_dialer **ret_dialer, venv_error *err);

/* "HOST:PORT" or "[IPv6]:PORT". Nothing else may be dialed, or connected, now. */
void venv_dialer_dial(venv_dialer *dialer, const char *address);
/* Where there is no connection it is dropped. VENV_ELIMIT: the body is too large for its type. */
venv_rc venv_dialer_send(venv_dialer *dialer, int16_t type, uint64_t request, const venv_value *body, venv_error *err);
/* After what was sent. Also ends a dial. `down` follows. */
void venv_dialer_close(venv_dialer *dialer, const char *reason);
/* True if nothing is dialed or connected. */
bool venv_dialer_is_idle(const venv_dialer *dialer);

/* Close and release. No call comes any more. Accepts NULL. */
void venv_dialer_end(venv_dialer *dialer);

#endif
