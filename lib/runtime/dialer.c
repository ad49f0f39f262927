/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/dialer.h"

#include "base/cleanup.h"
#include "runtime/addresses.h"
#include "runtime/worker.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define RESOLVER_QUEUE_MAX 4   /* questions that wait behind one that hangs */
#define RESOLVER_STOP_MS   100 /* then a question that hangs is left behind */

typedef enum dialer_state {
    DIALER_IDLE = 0,
    DIALER_RESOLVING,
    DIALER_CONNECTING,
    DIALER_WIRED, /* a wire has begun: TLS, then the session */
    DIALER_FAILED, /* `down` is about to be called */
} dialer_state;

/*
 * A question to the resolver, on a thread of its own: getaddrinfo(3) can hang for half a minute, and libuv's own
 * threads would keep the process from ending meanwhile.
 */
typedef struct question {
    venv_job job;
    uint64_t number;
    char host[VENV_HOST_MAX], port[VENV_PORT_TEXT_MAX];
    struct sockaddr_storage addresses[VENV_DIALER_ADDRESSES_MAX];
    size_t count;
    char failure[128];
} question;

/* A connect(2): it may outlive the dialer's interest. */
typedef struct attempt {
    uv_connect_t request;
    venv_dialer *dialer;
    venv_wire *wire;
} attempt;

struct venv_dialer {
    uv_loop_t *loop;
    venv_dialer_calls calls;
    venv_wires *wires;
    dialer_state state;
    venv_worker *resolver;  /* made when the first name is to be resolved */
    uint64_t asked;         /* number of the question whose answer is waited for */
    attempt *connecting;
    venv_wire *wire;
    uv_timer_t timer;
    struct sockaddr_storage addresses[VENV_DIALER_ADDRESSES_MAX];
    size_t address_count, address_next;
    char target[VENV_HOST_MAX + VENV_PORT_TEXT_MAX];
    char reason[512];
};

static void try_next(venv_dialer *dialer);

static void on_fail_timer(uv_timer_t *timer)
{
    venv_dialer *dialer = timer->data;
    dialer->state = DIALER_IDLE;
    dialer->calls.down(dialer->calls.user, dialer->reason);
}

/* Give up; `down` is called from the loop. */
static void fail_later(venv_dialer *dialer, const char *reason)
{
    if (reason != dialer->reason)
        (void)snprintf(dialer->reason, sizeof dialer->reason, "%s", reason);
    dialer->state = DIALER_FAILED;
    (void)uv_timer_start(&dialer->timer, on_fail_timer, 0, 0);
}

static void abandon_attempt(venv_dialer *dialer)
{
    if (!dialer->connecting)
        return;
    dialer->connecting->dialer = NULL;
    venv_wire_discard(dialer->connecting->wire); /* the request comes back as cancelled */
    dialer->connecting = NULL;
}

static void on_connect_late(uv_timer_t *timer)
{
    venv_dialer *dialer = timer->data;
    abandon_attempt(dialer);
    (void)snprintf(dialer->reason, sizeof dialer->reason, "no answer from %s in %d s", dialer->target,
                   VENV_DIALER_CONNECT_MS / 1000);
    try_next(dialer);
}

static void on_connect(uv_connect_t *request, int status)
{
    attempt *made = (attempt *)request;
    venv_dialer *dialer = made->dialer;
    venv_wire *wire = made->wire;
    free(made);
    if (!dialer)
        return;
    dialer->connecting = NULL;
    (void)uv_timer_stop(&dialer->timer);
    if (status < 0) {
        venv_wire_discard(wire);
        (void)snprintf(dialer->reason, sizeof dialer->reason, "cannot connect to %s: %s", dialer->target,
                       uv_strerror(status));
        try_next(dialer);
        return;
    }
    dialer->state = DIALER_WIRED;
    dialer->wire = wire;
    venv_wire_begin(wire, dialer->target);
}

/* Connect to the next address of the list. */
static void try_next(venv_dialer *dialer)
{
    venv_error err = { 0 };
    venv_wire *wire = NULL;
    if (dialer->address_next == dialer->address_count) {
        fail_later(dialer, dialer->reason);
        return;
    }
    const struct sockaddr_storage *address = &dialer->addresses[dialer->address_next++];
    attempt *made = calloc(1, sizeof *made);
    if (!made || venv_wire_new(dialer->wires, &wire, &err) != VENV_OK) {
        free(made);
        fail_later(dialer, "out of memory for a connection");
        return;
    }
    made->dialer = dialer;
    made->wire = wire;
    dialer->state = DIALER_CONNECTING;
    dialer->connecting = made;
    int rc = uv_tcp_connect(&made->request, venv_wire_tcp(wire), (const struct sockaddr *)address, on_connect);
    if (rc != 0) {
        free(made);
        venv_wire_discard(wire);
        dialer->connecting = NULL;
        (void)snprintf(dialer->reason, sizeof dialer->reason, "cannot connect to %s: %s", dialer->target, uv_strerror(rc));
        try_next(dialer); /* at most VENV_DIALER_ADDRESSES_MAX deep */
        return;
    }
    (void)uv_timer_start(&dialer->timer, on_connect_late, VENV_DIALER_CONNECT_MS, 0);
}

/* On the resolver's thread. */
static void resolve(void *context, venv_job *batch)
{
    question *asked = (question *)batch;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;
    (void)context;
    int failed = getaddrinfo(asked->host, asked->port, &hints, &found);
    if (failed != 0) {
        (void)snprintf(asked->failure, sizeof asked->failure, "%s", gai_strerror(failed));
        return;
    }
    for (const struct addrinfo *info = found; info && asked->count < VENV_DIALER_ADDRESSES_MAX; info = info->ai_next) {
        if (info->ai_addrlen <= sizeof asked->addresses[0])
            memcpy(&asked->addresses[asked->count++], info->ai_addr, info->ai_addrlen);
    }
    freeaddrinfo(found);
}

static void drop_question(venv_job *job)
{
    free(job);
}

static void on_resolved(void *user, venv_job *job)
{
    venv_dialer *dialer = user;
    question *answered = (question *)job;
    if (dialer->state == DIALER_RESOLVING && answered->number == dialer->asked) {
        memcpy(dialer->addresses, answered->addresses, sizeof dialer->addresses);
        dialer->address_count = answered->count;
        (void)snprintf(dialer->reason, sizeof dialer->reason, "cannot find the address of %s: %s", dialer->target,
                       answered->failure[0] ? answered->failure : "it has none");
        try_next(dialer);
    }
    free(answered);
}

/* Ask for the addresses of a name. */
static venv_rc ask_resolver(venv_dialer *dialer, const char *host, const char *port, venv_error *err)
{
    venv_worker_options options = { .queue_max = RESOLVER_QUEUE_MAX, .batch_max = 1, .work = resolve, .done = on_resolved,
                                    .drop = drop_question, .user = dialer };
    venv_rc rc = dialer->resolver ? VENV_OK : venv_worker_start(dialer->loop, &options, &dialer->resolver, err);
    if (rc != VENV_OK)
        return rc;
    question *asked = calloc(1, sizeof *asked);
    if (!asked)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    asked->number = ++dialer->asked;
    (void)snprintf(asked->host, sizeof asked->host, "%s", host);
    (void)snprintf(asked->port, sizeof asked->port, "%s", port);
    rc = venv_worker_submit(dialer->resolver, &asked->job, err);
    if (rc != VENV_OK)
        free(asked);
    return rc;
}

static bool is_numeric(venv_dialer *dialer, const char *host, const char *port)
{
    int number = (int)strtol(port, NULL, 10);
    struct sockaddr_storage *first = &dialer->addresses[0];
    if (uv_ip4_addr(host, number, (struct sockaddr_in *)(void *)first) != 0 &&
        uv_ip6_addr(host, number, (struct sockaddr_in6 *)(void *)first) != 0)
        return false;
    dialer->address_count = 1;
    return true;
}

void venv_dialer_dial(venv_dialer *dialer, const char *address)
{
    char host[VENV_HOST_MAX], port[VENV_PORT_TEXT_MAX];
    venv_error err = { 0 };
    dialer->address_count = dialer->address_next = 0;
    (void)snprintf(dialer->target, sizeof dialer->target, "%s", address);
    if (venv_address_split(address, host, port, &err) != VENV_OK) {
        fail_later(dialer, err.text);
        return;
    }
    if (is_numeric(dialer, host, port)) {
        try_next(dialer);
        return;
    }
    if (ask_resolver(dialer, host, port, &err) != VENV_OK)
        fail_later(dialer, "the resolver of names does not answer");
    else
        dialer->state = DIALER_RESOLVING;
}

static void on_open(void *user, venv_wire *wire, const venv_identity *peer)
{
    venv_dialer *dialer = user;
    (void)wire;
    dialer->calls.up(dialer->calls.user, peer);
}

static void on_frame(void *user, venv_wire *wire, const venv_frame *frame, const venv_value *body)
{
    venv_dialer *dialer = user;
    (void)wire;
    dialer->calls.frame(dialer->calls.user, frame, body);
}

static void on_end(void *user, venv_wire *wire, const venv_wire_end *end)
{
    venv_dialer *dialer = user;
    if (wire != dialer->wire)
        return;
    dialer->wire = NULL;
    dialer->state = DIALER_IDLE;
    dialer->calls.down(dialer->calls.user, end->reason);
}

venv_rc venv_dialer_new(uv_loop_t *loop, const venv_tls_context *tls, const venv_dialer_calls *calls,
                        venv_dialer **ret_dialer, venv_error *err)
{
    venv_dialer *dialer = calloc(1, sizeof *dialer);
    if (!dialer)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the connection");
    dialer->loop = loop;
    dialer->calls = *calls;
    venv_wire_calls wire_calls = { .open = on_open, .frame = on_frame, .end = on_end, .user = dialer };
    venv_rc rc = venv_wires_new(loop, tls, VENV_ROLE_AGENT, &wire_calls, &dialer->wires, err);
    if (rc != VENV_OK) {
        free(dialer);
        return rc;
    }
    (void)uv_timer_init(loop, &dialer->timer);
    dialer->timer.data = dialer;
    *ret_dialer = dialer;
    return VENV_OK;
}

venv_rc venv_dialer_send(venv_dialer *dialer, int16_t type, uint64_t request, const venv_value *body, venv_error *err)
{
    return dialer->wire ? venv_wire_send(dialer->wire, type, request, body, 0, err) : VENV_OK;
}

static void abandon_all(venv_dialer *dialer)
{
    dialer->asked++; /* an answer that still comes is nobody's */
    abandon_attempt(dialer);
    (void)uv_timer_stop(&dialer->timer);
}

void venv_dialer_close(venv_dialer *dialer, const char *reason)
{
    if (dialer->state == DIALER_WIRED) {
        venv_wire_close(dialer->wire, VENV_OK, reason);
    } else if (dialer->state == DIALER_RESOLVING || dialer->state == DIALER_CONNECTING) {
        abandon_all(dialer);
        fail_later(dialer, reason);
    }
}

bool venv_dialer_is_idle(const venv_dialer *dialer)
{
    return dialer->state == DIALER_IDLE;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void venv_dialer_end(venv_dialer *dialer)
{
    if (!dialer)
        return;
    abandon_all(dialer);
    dialer->state = DIALER_IDLE;
    venv_worker_stop_within(dialer->resolver, RESOLVER_STOP_MS);
    venv_wires_end(dialer->wires);
    uv_close((uv_handle_t *)&dialer->timer, on_timer_closed);
}
