/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CLIENT_CLIENT_H
#define VENV_CLIENT_CLIENT_H

/* The parts of a client, shared by client.c (session and requests) and events.c (the stream). */

#include "client/config.h"
#include "client/link.h"

/* The stream of events. At most one is open. */
typedef struct venv_client_stream {
    bool open, follow;
    bool ended;          /* RESULT has come */
    bool overrun;        /* the queue was full: what came then is asked for again */
    venv_rc failed;      /* FAILED has come: its code, with the text in `error` */
    venv_error error;
    uint64_t request;    /* of the EVENTS that runs now */
    uint64_t since;      /* revision of the last event that was received */
    uint64_t last;       /* revision of the log when RESULT came */
    bool recent;         /* nothing was received, and the newest `limit` are wanted */
    uint32_t limit;      /* of the past; 0: none */
    uint32_t received;   /* against the limit */
    uint32_t page;       /* received since we asked last */
    venv_value *queue;   /* ring of VENV_CLIENT_EVENTS_MAX */
    size_t first, count;
} venv_client_stream;

struct venv_client {
    venv_client_config *config;
    venv_tls_context *tls;
    venv_link *link;     /* NULL: not connected now */
    size_t current;      /* the manager that we are, or were last, connected to */
    char peer[VENV_NAME_MAX + 1];
    venv_span timeout;
    uint64_t last_request;
    bool has_detail;
    venv_value detail;
    venv_client_stream stream;
};

#define VENV_CLIENT_ANY SIZE_MAX

venv_instant venv_client_deadline(venv_span timeout);

/*
 * Be connected: to `only` (an index of managers) or to the first that answers, the current one first.
 * One round; VENV_EUNREACHABLE has the reason of each.
 */
venv_rc venv_client_reconnect(venv_client *client, size_t only, venv_instant deadline, venv_error *err);
/* Wait a little before another attempt, longer each time, at most until the deadline. */
void venv_client_back_off(unsigned attempt, venv_instant deadline);
/* Wait for one frame. Those of the stream go there (*ret_taken), others are the caller's. Drops a link that died. */
venv_rc venv_client_receive(venv_client *client, venv_instant deadline, venv_link_frame *ret_frame, bool *ret_taken,
                            venv_error *err);
void venv_client_drop_link(venv_client *client);
/* The code and text of a FAILED, with its detail kept in the client. */
venv_rc venv_client_take_failure(venv_client *client, const venv_value *body, venv_error *err);

void venv_client_stream_fini(venv_client_stream *stream);
/* A frame for the stream. False: it is for somebody else. Takes the body over if true. */
bool venv_client_stream_take(venv_client *client, venv_link_frame *frame);

#endif
