/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CLIENT_LINK_H
#define VENV_CLIENT_LINK_H

/*
 * One connection to one manager: a socket, TLS, frames, the session. It waits in poll(2), answers
 * heartbeats while it waits, and knows of requests and of other managers nothing.
 *
 * Once a call fails (other than for lack of time) the link is dead: close it.
 */

#include <venv/client.h>
#include <venv/identity.h>
#include <venv/message.h>

typedef struct venv_link venv_link;

/* A frame for the asker: anything that is no part of keeping the session. */
typedef struct venv_link_frame {
    int16_t type;
    uint64_t request;
    venv_value body; /* owned by the caller */
} venv_link_frame;

venv_now venv_link_now(void);

/*
 * Connect, shake hands, say HELLO and wait for WELCOME.
 * VENV_EDENIED: a certificate was refused, or the manager does not let us in; VENV_EUNREACHABLE,
 * VENV_ETIMEDOUT, VENV_EPROTO (no manager of ours answers there), VENV_EINVAL (address), VENV_ENOMEM, VENV_EIO.
 */
venv_rc venv_link_open(const char *address, const venv_tls_context *tls, venv_instant deadline,
                       venv_link **ret_link, venv_error *err);
/* Say farewell if it takes no time, and close. Accepts NULL. */
void venv_link_close(venv_link *link);

/* Name of the manager from its certificate. */
const char *venv_link_peer(const venv_link *link);

/*
 * Hand a whole frame to the system. On any failure but VENV_ETIMEDOUT and those of encoding (VENV_ELIMIT,
 * VENV_EKIND, VENV_ENOMEM: nothing was sent, the link lives) the manager cannot have got it whole.
 * VENV_ETIMEDOUT: a part may be out: the link is dead, and the frame was not got whole.
 */
venv_rc venv_link_send(venv_link *link, int16_t type, uint64_t request, const venv_value *body,
                       venv_instant deadline, venv_error *err);

/*
 * Wait for a frame. VENV_ETIMEDOUT: none by then, and the link lives (a deadline that is past: take what
 * is there). VENV_EUNREACHABLE: the connection is lost. VENV_EDENIED, VENV_EPROTO, VENV_ENOMEM: dead.
 */
venv_rc venv_link_receive(venv_link *link, venv_instant deadline, venv_link_frame *ret_frame, venv_error *err);

#endif
