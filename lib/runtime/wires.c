/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a wire:
 *
 *      NEW ──begin──► HANDSHAKE ──peer known──► OPEN ──close──► DRAINING ──all sent──► LINGER ──► GONE
 *                         └──────────fault, end of file, deadline──────────────────────┘
 *
 * In LINGER the sending side is shut and what the peer still sends is thrown away: closing a socket with unread
 * bytes would reset the connection, and the peer would never see the refusal that we just sent.
 *
 * Writes are collected while the loop handles events and go out once, before it waits again (uv_prepare).
 */
#include "runtime/wires.h"

#include "base/cleanup.h"
#include "runtime/clock.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE (64u << 10)

typedef enum wire_state {
    WIRE_NEW = 0,
    WIRE_HANDSHAKE,
    WIRE_OPEN,
    WIRE_DRAINING,
    WIRE_LINGER,
    WIRE_GONE,
} wire_state;

/* A frame that waits. */
typedef struct waiting {
    struct waiting *next;
    uint64_t gate;
    size_t size;
    uint8_t *bytes;
} waiting;

/* Bytes that libuv has. */
typedef struct sending {
    uv_write_t request;
    venv_wire *wire;
    size_t size;
    uint8_t *bytes;
} sending;

struct venv_wire {
    venv_wires *all;
    venv_wire *next, *previous;
    venv_wire *next_dirty, *next_ended, *next_gated;
    bool dirty, ended, told, was_open, gated;
    wire_state state;
    unsigned handles; /* not yet closed by libuv */
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    venv_tls *tls;
    venv_frame_parser *parser;
    waiting *head, **tail;
    size_t queued, in_flight;
    void *data;
    venv_rc rc;
    char address[VENV_WIRE_ADDRESS_MAX];
    char reason[VENV_WIRE_REASON_MAX];
};

struct venv_wires {
    uv_loop_t *loop;
    const venv_tls_context *tls;
    venv_role self;
    venv_wire_calls calls;
    uint64_t durable;
    size_t queued;
    venv_wire *first, *dirty, *ended;
    venv_wire *gated; /* the first frame of these waits for a write */
    uv_prepare_t prepare;
    bool ending, prepare_closed;
    uint8_t buffer[READ_SIZE]; /* one for all: what is read is taken at once */
};

static void mark_dirty(venv_wire *wire)
{
    if (wire->dirty)
        return;
    wire->dirty = true;
    wire->next_dirty = wire->all->dirty;
    wire->all->dirty = wire;
}

static void mark_gated(venv_wire *wire)
{
    if (wire->gated)
        return;
    wire->gated = true;
    wire->next_gated = wire->all->gated;
    wire->all->gated = wire;
}

static void unmark_gated(venv_wire *wire)
{
    venv_wire **place = &wire->all->gated;
    if (!wire->gated)
        return;
    while (*place != wire)
        place = &(*place)->next_gated;
    *place = wire->next_gated;
    wire->gated = false;
}

static void drop_queue(venv_wire *wire)
{
    for (waiting *each = wire->head, *next; each; each = next) {
        next = each->next;
        free(each->bytes);
        free(each);
    }
    wire->all->queued -= wire->queued;
    wire->queued = 0;
    wire->head = NULL;
    wire->tail = &wire->head;
    unmark_gated(wire);
}

static void free_when_done(venv_wires *all)
{
    if (all->ending && all->prepare_closed && !all->first)
        free(all);
}

static void wire_free(venv_wire *wire)
{
    venv_wires *all = wire->all;
    drop_queue(wire);
    venv_frame_parser_free(wire->parser);
    venv_tls_free(wire->tls);
    if (wire->previous)
        wire->previous->next = wire->next;
    else
        all->first = wire->next;
    if (wire->next)
        wire->next->previous = wire->previous;
    free(wire);
    free_when_done(all);
}

static void free_if_over(venv_wire *wire)
{
    if (wire->handles == 0 && wire->told && !wire->dirty)
        wire_free(wire);
}

static void on_handle_closed(uv_handle_t *handle)
{
    venv_wire *wire = handle->data;
    wire->handles--;
    free_if_over(wire);
}

/* Let go of the socket at once. */
static void gone(venv_wire *wire)
{
    if (wire->state == WIRE_GONE)
        return;
    wire->state = WIRE_GONE;
    drop_queue(wire);
    uv_close((uv_handle_t *)&wire->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&wire->timer, on_handle_closed);
}

/* The user will be told; the first reason is the one that counts. */
static void mark_ended(venv_wire *wire, venv_rc rc, const char *reason)
{
    if (wire->ended)
        return;
    wire->ended = true;
    wire->rc = rc;
    (void)snprintf(wire->reason, sizeof wire->reason, "%.*s", (int)sizeof wire->reason - 1, reason);
    wire->next_ended = wire->all->ended;
    wire->all->ended = wire;
}

static void on_linger_over(uv_timer_t *timer)
{
    gone(timer->data);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    venv_wire *wire = request->handle->data;
    if (status < 0)
        gone(wire);
}

static void on_sent(uv_write_t *request, int status)
{
    sending *sent = (sending *)request;
    venv_wire *wire = sent->wire;
    wire->in_flight -= sent->size;
    free(sent->bytes);
    free(sent);
    if (wire->state == WIRE_GONE)
        return;
    if (status < 0) {
        mark_ended(wire, VENV_EUNREACHABLE, uv_strerror(status));
        gone(wire);
    } else {
        mark_dirty(wire);
    }
}

static void write_output(venv_wire *wire)
{
    size_t size = 0;
    uint8_t *bytes = wire->tls ? venv_tls_take_output(wire->tls, &size) : NULL;
    if (!bytes)
        return;
    sending *sent = calloc(1, sizeof *sent);
    if (!sent) {
        free(bytes);
        mark_ended(wire, VENV_ENOMEM, "out of memory");
        gone(wire);
        return;
    }
    sent->wire = wire;
    sent->size = size;
    sent->bytes = bytes;
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size);
    wire->in_flight += size;
    int rc = uv_write(&sent->request, (uv_stream_t *)&wire->tcp, &buffer, 1, on_sent);
    if (rc != 0) {
        wire->in_flight -= size;
        free(bytes);
        free(sent);
        mark_ended(wire, VENV_EUNREACHABLE, uv_strerror(rc));
        gone(wire);
    }
}

/* Nothing more will be sent but what is with TLS (an alert, a farewell): shut our side and wait for the peer's. */
static void linger(venv_wire *wire)
{
    if (wire->state >= WIRE_LINGER)
        return;
    wire->state = WIRE_LINGER;
    drop_queue(wire);
    (void)uv_timer_start(&wire->timer, on_linger_over, VENV_WIRE_LINGER_MS, 0);
    write_output(wire);
    if (wire->state == WIRE_LINGER && uv_shutdown(&wire->shutdown, (uv_stream_t *)&wire->tcp, on_shutdown) != 0)
        gone(wire);
}

/* It ends through a fault, ours or the peer's. */
static void fail(venv_wire *wire, venv_rc rc, const char *reason)
{
    mark_ended(wire, rc, reason);
    linger(wire);
}

/* Give what may go to TLS, and what TLS made of it to the socket. */
static void flush(venv_wire *wire)
{
    size_t budget = wire->in_flight;
    bool sending_frames = wire->state == WIRE_OPEN || wire->state == WIRE_DRAINING;
    while (sending_frames && wire->head && wire->head->gate <= wire->all->durable && budget < VENV_WIRE_IN_FLIGHT_MAX) {
        waiting *each = wire->head;
        venv_error err = { 0 };
        if (venv_tls_write(wire->tls, each->bytes, each->size, &err) != VENV_OK) {
            fail(wire, err.rc, err.text);
            return;
        }
        budget += each->size;
        wire->head = each->next;
        if (!wire->head)
            wire->tail = &wire->head;
        wire->queued -= each->size;
        wire->all->queued -= each->size;
        free(each->bytes);
        free(each);
    }
    if (wire->state < WIRE_LINGER)
        write_output(wire);
    if (wire->head && wire->head->gate > wire->all->durable)
        mark_gated(wire);
    if (wire->state == WIRE_DRAINING && !wire->head && wire->in_flight == 0) {
        venv_tls_close(wire->tls);
        linger(wire);
    }
}

/* True if the wire is still of use to whoever reads from it. */
static bool is_reading(const venv_wire *wire)
{
    return wire->state == WIRE_HANDSHAKE || wire->state == WIRE_OPEN;
}

static bool become_open(venv_wire *wire)
{
    const venv_identity *peer = venv_tls_peek_peer(wire->tls);
    venv_error err = { 0 };
    if (!peer || venv_frame_parser_new(peer->role, wire->all->self, &wire->parser, &err) != VENV_OK) {
        fail(wire, err.rc, err.text);
        return false;
    }
    (void)uv_timer_stop(&wire->timer);
    wire->state = WIRE_OPEN;
    wire->was_open = true;
    wire->all->calls.open(wire->all->calls.user, wire, peer);
    return wire->state == WIRE_OPEN;
}

static void take_frame(venv_wire *wire, const venv_frame *frame, size_t used)
{
    venv_value body = venv_value_null();
    venv_error err = { 0 };
    if (frame->known && venv_frame_decode(frame, &body, &err) != VENV_OK) {
        fail(wire, err.rc, err.text);
        return;
    }
    venv_tls_drop(wire->tls, used); /* before the call, which may use TLS */
    wire->all->calls.frame(wire->all->calls.user, wire, frame, &body);
    venv_value_unref(&body);
}

/* Take all the whole frames that have arrived. */
static void take_plain(venv_wire *wire)
{
    while (wire->state == WIRE_OPEN) {
        venv_str plain = venv_tls_peek(wire->tls);
        if (plain.size == 0)
            return;
        venv_frame frame;
        size_t used = 0;
        bool ready = false;
        venv_error err = { 0 };
        if (venv_frame_parser_feed(wire->parser, (const uint8_t *)plain.data, plain.size, &used, &frame, &ready,
                                   &err) != VENV_OK)
            fail(wire, err.rc, err.text);
        else if (ready)
            take_frame(wire, &frame, used);
        else
            venv_tls_drop(wire->tls, used);
    }
}

static void take_bytes(venv_wire *wire, const uint8_t *data, size_t size)
{
    venv_error err = { 0 };
    venv_rc rc = venv_tls_feed(wire->tls, data, size, &err);
    if (wire->state == WIRE_HANDSHAKE && venv_tls_peek_peer(wire->tls) && !become_open(wire))
        return;
    take_plain(wire);
    if (!is_reading(wire))
        return;
    if (rc != VENV_OK)
        fail(wire, rc, err.text);
    else if (venv_tls_state_of(wire->tls) == VENV_TLS_ENDED)
        fail(wire, VENV_EUNREACHABLE, "the peer closed the connection");
    else
        mark_dirty(wire); /* the handshake has an answer */
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    venv_wire *wire = stream->data;
    if (size > 0) {
        if (is_reading(wire))
            take_bytes(wire, (const uint8_t *)buffer->base, (size_t)size);
        return;
    }
    if (size == 0)
        return;
    if (is_reading(wire)) {
        venv_error err = { 0 };
        if (size != UV_EOF)
            (void)venv_error_set(&err, VENV_EUNREACHABLE, "%s", uv_strerror((int)size));
        else if (venv_tls_feed_end(wire->tls, &err) == VENV_OK)
            (void)venv_error_set(&err, VENV_EUNREACHABLE, "the peer closed the connection");
        mark_ended(wire, err.rc, err.text);
    }
    if (wire->state != WIRE_DRAINING || size != UV_EOF)
        gone(wire);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    (void)suggested;
    venv_wire *wire = handle->data;
    *ret_buffer = uv_buf_init((char *)wire->all->buffer, READ_SIZE);
}

static void on_handshake_late(uv_timer_t *timer)
{
    venv_wire *wire = timer->data;
    fail(wire, VENV_ETIMEDOUT, "no complete TLS handshake in 5 s");
}

static void tell_ended(venv_wires *all)
{
    while (all->ended) {
        venv_wire *wire = all->ended;
        all->ended = wire->next_ended;
        venv_wire_end end = { .rc = wire->rc, .was_open = wire->was_open, .reason = wire->reason };
        wire->handles++; /* it stays while it is told of, also if the user ends everything */
        if (!all->ending)
            all->calls.end(all->calls.user, wire, &end);
        wire->handles--;
        wire->told = true;
        free_if_over(wire);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    venv_wires *all = prepare->data;
    while (all->dirty || all->ended) {
        while (all->dirty) {
            venv_wire *wire = all->dirty;
            all->dirty = wire->next_dirty;
            wire->dirty = false;
            flush(wire);
            free_if_over(wire);
        }
        tell_ended(all);
    }
}

venv_rc venv_wires_new(uv_loop_t *loop, const venv_tls_context *tls, venv_role self, const venv_wire_calls *calls,
                       venv_wires **ret_wires, venv_error *err)
{
    venv_wires *wires = calloc(1, sizeof *wires);
    if (!wires)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for connections");
    wires->loop = loop;
    wires->tls = tls;
    wires->self = self;
    wires->calls = *calls;
    (void)uv_prepare_init(loop, &wires->prepare);
    (void)uv_prepare_start(&wires->prepare, on_prepare);
    wires->prepare.data = wires;
    *ret_wires = wires;
    return VENV_OK;
}

static void on_prepare_closed(uv_handle_t *handle)
{
    venv_wires *wires = handle->data;
    wires->prepare_closed = true;
    free_when_done(wires);
}

void venv_wires_end(venv_wires *wires)
{
    if (!wires)
        return;
    wires->ending = true;
    for (venv_wire *wire = wires->first, *next; wire; wire = next) {
        next = wire->next;
        wire->ended = true; /* not in the list of those to be told, or about to be taken from it */
        wire->told = true;
        wire->dirty = false;
        gone(wire);
        free_if_over(wire);
    }
    wires->dirty = NULL;
    wires->ended = NULL;
    uv_close((uv_handle_t *)&wires->prepare, on_prepare_closed);
}

void venv_wires_durable(venv_wires *wires, uint64_t write)
{
    wires->durable = write;
    while (wires->gated) {
        venv_wire *wire = wires->gated;
        wires->gated = wire->next_gated;
        wire->gated = false;
        mark_dirty(wire);
    }
}

venv_rc venv_wire_new(venv_wires *wires, venv_wire **ret_wire, venv_error *err)
{
    venv_wire *wire = calloc(1, sizeof *wire);
    if (!wire)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for a connection");
    wire->all = wires;
    wire->tail = &wire->head;
    wire->handles = 2;
    (void)uv_tcp_init(wires->loop, &wire->tcp);
    (void)uv_timer_init(wires->loop, &wire->timer);
    wire->tcp.data = wire;
    wire->timer.data = wire;
    wire->next = wires->first;
    if (wires->first)
        wires->first->previous = wire;
    wires->first = wire;
    *ret_wire = wire;
    return VENV_OK;
}

uv_tcp_t *venv_wire_tcp(venv_wire *wire)
{
    return &wire->tcp;
}

void venv_wire_begin(venv_wire *wire, const char *address)
{
    uv_os_fd_t fd;
    venv_error err = { 0 };
    unsigned user_timeout = VENV_WIRE_USER_TIMEOUT_MS;
    (void)snprintf(wire->address, sizeof wire->address, "%s", address);
    wire->state = WIRE_HANDSHAKE;
    (void)uv_tcp_nodelay(&wire->tcp, 1);
    if (uv_fileno((uv_handle_t *)&wire->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
    if (venv_tls_new(wire->all->tls, venv_clock_read().wall, address, &wire->tls, &err) != VENV_OK) {
        mark_ended(wire, err.rc, err.text);
        gone(wire);
        return;
    }
    (void)uv_timer_start(&wire->timer, on_handshake_late, VENV_WIRE_HANDSHAKE_MS, 0);
    int rc = uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read);
    if (rc != 0) {
        mark_ended(wire, VENV_EIO, uv_strerror(rc));
        gone(wire);
        return;
    }
    mark_dirty(wire); /* a client speaks first */
}

void venv_wire_discard(venv_wire *wire)
{
    wire->ended = true;
    wire->told = true;
    gone(wire);
}

const char *venv_wire_address(const venv_wire *wire)
{
    return wire->address;
}

void venv_wire_set_data(venv_wire *wire, void *data)
{
    wire->data = data;
}

void *venv_wire_data(const venv_wire *wire)
{
    return wire->data;
}

/* Who does not read is closed; the queue of another is never shortened for it. */
static bool queue_is_full(venv_wire *wire, size_t size)
{
    if (wire->queued + size > VENV_WIRE_QUEUE_MAX)
        return true;
    return wire->all->queued + size > VENV_WIRES_QUEUE_MAX && wire->queued > VENV_WIRE_QUEUE_MAX / 16;
}

venv_rc venv_wire_send(venv_wire *wire, int16_t type, uint64_t request, const venv_value *body, uint64_t after_write,
                       venv_error *err)
{
    if (wire->state != WIRE_OPEN)
        return VENV_OK;
    waiting *frame = calloc(1, sizeof *frame);
    if (!frame)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for a message");
    venv_rc rc = venv_frame_encode(type, request, body, &frame->bytes, &frame->size, err);
    if (rc != VENV_OK) {
        free(frame);
        return rc;
    }
    if (queue_is_full(wire, frame->size)) {
        char reason[VENV_WIRE_REASON_MAX];
        (void)snprintf(reason, sizeof reason, "it does not read: %zu bytes wait for it", wire->queued);
        free(frame->bytes);
        free(frame);
        mark_ended(wire, VENV_ELIMIT, reason);
        gone(wire);
        return VENV_OK;
    }
    frame->gate = after_write;
    *wire->tail = frame;
    wire->tail = &frame->next;
    wire->queued += frame->size;
    wire->all->queued += frame->size;
    mark_dirty(wire);
    return VENV_OK;
}

void venv_wire_abort(venv_wire *wire, venv_rc rc, const char *reason)
{
    mark_ended(wire, rc, reason);
    gone(wire);
}

void venv_wire_close(venv_wire *wire, venv_rc rc, const char *reason)
{
    if (!is_reading(wire))
        return;
    mark_ended(wire, rc, reason);
    if (wire->state == WIRE_HANDSHAKE) {
        linger(wire);
        return;
    }
    wire->state = WIRE_DRAINING;
    (void)uv_timer_start(&wire->timer, on_linger_over, VENV_WIRE_LINGER_MS, 0);
    mark_dirty(wire);
}
