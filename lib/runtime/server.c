/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/server.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "runtime/addresses.h"
#include "runtime/clock.h"
#include "runtime/refusals.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* A connection, from accept to its end. */
typedef struct peer {
    struct peer *next, *previous; /* in the list of strangers, oldest first */
    bool evicted; /* its place is free, though its end was not told yet */
    venv_wire *wire;
    venv_server *server;
    uint64_t number; /* 0 while a stranger */
    char source[VENV_ADDRESS_TEXT_MAX];
} peer;

struct venv_server {
    uv_loop_t *loop;
    const venv_log *log;
    venv_server_calls calls;
    venv_wires *wires;
    venv_table *peers; /* number → peer */
    peer *oldest, *newest;
    size_t stranger_count, count;
    uint64_t last_number;
    venv_refusals refusals;
    uv_tcp_t listeners[VENV_SERVER_LISTEN_MAX];
    size_t listener_count, listeners_open;
    bool ending;
};

static void refuse(venv_server *server, const char *source, const char *address, const char *reason)
{
    venv_refusals_add(&server->refusals, venv_clock_read().mono, source, address, reason);
}

static void add_stranger(venv_server *server, peer *stranger)
{
    stranger->previous = server->newest;
    if (server->newest)
        server->newest->next = stranger;
    else
        server->oldest = stranger;
    server->newest = stranger;
    server->stranger_count++;
}

static void remove_stranger(venv_server *server, peer *stranger)
{
    if (stranger->previous)
        stranger->previous->next = stranger->next;
    else
        server->oldest = stranger->next;
    if (stranger->next)
        stranger->next->previous = stranger->previous;
    else
        server->newest = stranger->previous;
    stranger->next = stranger->previous = NULL;
    if (!stranger->evicted)
        server->stranger_count--;
}

/* Free the place of the one that has waited longest. */
static void evict_oldest(venv_server *server)
{
    peer *oldest = server->oldest;
    while (oldest && oldest->evicted)
        oldest = oldest->next;
    if (!oldest)
        return;
    oldest->evicted = true;
    server->stranger_count--;
    venv_wire_abort(oldest->wire, VENV_ELIMIT, "it did not say who it is, and others wait");
}

static size_t count_from(const venv_server *server, const char *source)
{
    size_t count = 0;
    for (const peer *each = server->oldest; each; each = each->next)
        count += !each->evicted && strcmp(each->source, source) == 0;
    return count;
}

static peer *find_peer(venv_server *server, uint64_t number)
{
    return venv_table_find(server->peers, &number, sizeof number);
}

static void on_open(void *user, venv_wire *wire, const venv_identity *identity)
{
    venv_server *server = user;
    peer *known = venv_wire_data(wire);
    venv_error err = { 0 };
    uint64_t number = server->last_number + 1;
    if (venv_table_add(server->peers, &number, sizeof number, known, &err) != VENV_OK) {
        venv_wire_close(wire, err.rc, err.text);
        return;
    }
    server->last_number = number;
    remove_stranger(server, known);
    known->number = number;
    server->calls.up(server->calls.user, number, identity, venv_wire_address(wire));
}

static void on_frame(void *user, venv_wire *wire, const venv_frame *frame, const venv_value *body)
{
    venv_server *server = user;
    const peer *from = venv_wire_data(wire);
    server->calls.frame(server->calls.user, from->number, frame, body);
}

static void tell_empty(venv_server *server)
{
    if (server->count == 0)
        server->calls.empty(server->calls.user);
}

static void on_end(void *user, venv_wire *wire, const venv_wire_end *end)
{
    venv_server *server = user;
    peer *ended = venv_wire_data(wire);
    uint64_t number = ended->number;
    server->count--;
    if (number == 0) {
        remove_stranger(server, ended);
        refuse(server, ended->source, venv_wire_address(wire), end->reason);
        free(ended);
        tell_empty(server);
        return;
    }
    /* A known peer that broke the protocol is a refusal, too: it must be seen which one it was. */
    if (end->rc == VENV_EPROTO || end->rc == VENV_EDENIED || end->rc == VENV_ELIMIT)
        refuse(server, ended->source, venv_wire_address(wire), end->reason);
    (void)venv_table_remove(server->peers, &number, sizeof number);
    free(ended);
    server->calls.down(server->calls.user, number, end->reason);
    tell_empty(server);
}

/* Throw an incoming connection away: it must be accepted to be closed. */
static void turn_away(venv_server *server, venv_wire *wire, peer *stranger, const char *address, const char *reason)
{
    refuse(server, stranger->source, address, reason);
    free(stranger);
    venv_wire_discard(wire);
}

static void accept_one(venv_server *server, uv_stream_t *listener)
{
    venv_error err = { 0 };
    venv_wire *wire = NULL;
    struct sockaddr_storage storage = { 0 };
    int size = sizeof storage;
    char address[VENV_ADDRESS_TEXT_MAX];
    peer *stranger = calloc(1, sizeof *stranger);
    if (!stranger || venv_wire_new(server->wires, &wire, &err) != VENV_OK) {
        /* Not accepted: libuv stops watching this listener until somebody accepts. Memory is short; the
         * waiting connection stays in the kernel's queue. */
        free(stranger);
        return;
    }
    if (uv_accept(listener, (uv_stream_t *)venv_wire_tcp(wire)) != 0) {
        free(stranger);
        venv_wire_discard(wire);
        return;
    }
    (void)uv_tcp_getpeername(venv_wire_tcp(wire), (struct sockaddr *)&storage, &size);
    venv_address_print((const struct sockaddr *)&storage, address);
    venv_address_source((const struct sockaddr *)&storage, stranger->source);
    if (server->count >= VENV_SERVER_PEERS_MAX) {
        turn_away(server, wire, stranger, address, "too many connections in all");
        return;
    }
    if (count_from(server, stranger->source) >= VENV_SERVER_SOURCE_MAX) {
        turn_away(server, wire, stranger, address, "too many connections from its address that did not say who they are");
        return;
    }
    if (server->stranger_count >= VENV_SERVER_STRANGERS_MAX)
        evict_oldest(server);
    stranger->wire = wire;
    stranger->server = server;
    venv_wire_set_data(wire, stranger);
    add_stranger(server, stranger);
    server->count++;
    venv_wire_begin(wire, address);
}

static void on_connection(uv_stream_t *listener, int status)
{
    venv_server *server = listener->data;
    if (server->ending)
        return;
    if (status == 0)
        accept_one(server, listener);
    else /* EMFILE and its like: libuv has closed who waited, so that nothing spins */
        refuse(server, "somebody", "unknown", uv_strerror(status));
}

venv_rc venv_server_new(uv_loop_t *loop, const venv_tls_context *tls, const venv_log *log, uint64_t seed,
                        const venv_server_calls *calls, venv_server **ret_server, venv_error *err)
{
    venv_server *server = calloc(1, sizeof *server);
    if (!server)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the server");
    server->loop = loop;
    server->log = log;
    server->calls = *calls;
    venv_refusals_init(&server->refusals, log, seed);
    venv_wire_calls wire_calls = { .open = on_open, .frame = on_frame, .end = on_end, .user = server };
    venv_rc rc = venv_table_new(seed, VENV_SERVER_PEERS_MAX, &server->peers, err);
    if (rc == VENV_OK)
        rc = venv_wires_new(loop, tls, VENV_ROLE_MANAGER, &wire_calls, &server->wires, err);
    if (rc != VENV_OK) {
        venv_table_free(server->peers);
        free(server);
        return rc;
    }
    *ret_server = server;
    return VENV_OK;
}

static venv_rc listen_failed(const char *address, int uv_rc, venv_error *err)
{
    if (uv_rc == UV_EADDRINUSE)
        return venv_error_set(err, VENV_ECONFLICT, "cannot listen on %s: another program does; stop it, or choose another port",
                              address);
    if (uv_rc == UV_EACCES)
        return venv_error_set(err, VENV_EDENIED, "cannot listen on %s: not allowed; choose a port from 1024 on", address);
    return venv_error_set(err, uv_rc == UV_EADDRNOTAVAIL ? VENV_EINVAL : VENV_EIO, "cannot listen on %s: %s", address,
                          uv_strerror(uv_rc));
}

static int open_listener(venv_server *server, const struct addrinfo *info)
{
    uv_tcp_t *listener = &server->listeners[server->listener_count];
    int rc = uv_tcp_init(server->loop, listener);
    if (rc != 0)
        return rc;
    listener->data = server;
    server->listener_count++;
    server->listeners_open++;
    rc = uv_tcp_bind(listener, info->ai_addr, info->ai_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)listener, VENV_SERVER_BACKLOG, on_connection);
    if (rc == 0) {
        struct sockaddr_storage storage = { 0 };
        int size = sizeof storage;
        char text[VENV_ADDRESS_TEXT_MAX];
        (void)uv_tcp_getsockname(listener, (struct sockaddr *)&storage, &size);
        venv_address_print((const struct sockaddr *)&storage, text);
        venv_log_print(server->log, VENV_LOG_INFO, "listening on %s", text);
    }
    return rc;
}

venv_rc venv_server_listen(venv_server *server, const char *address, venv_error *err)
{
    char host[VENV_HOST_MAX], port[VENV_PORT_TEXT_MAX];
    venv_rc rc = venv_address_split(address, host, port, err);
    if (rc != VENV_OK)
        return rc;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host[0] && strcmp(host, "*") != 0 ? host : NULL, port, &hints, &found);
    if (failed != 0)
        return venv_error_set(err, VENV_EINVAL, "cannot listen on %s: %s", address, gai_strerror(failed));
    int uv_rc = 0;
    for (const struct addrinfo *info = found; info && uv_rc == 0; info = info->ai_next) {
        if (server->listener_count == VENV_SERVER_LISTEN_MAX)
            uv_rc = UV_E2BIG;
        else
            uv_rc = open_listener(server, info);
    }
    freeaddrinfo(found);
    return uv_rc == 0 ? VENV_OK : listen_failed(address, uv_rc, err);
}

venv_rc venv_server_send(venv_server *server, uint64_t number, int16_t type, uint64_t request, const venv_value *body,
                         uint64_t after_write, venv_error *err)
{
    peer *to = find_peer(server, number);
    return to ? venv_wire_send(to->wire, type, request, body, after_write, err) : VENV_OK;
}

void venv_server_close_peer(venv_server *server, uint64_t number, const char *reason)
{
    peer *to = find_peer(server, number);
    if (to)
        venv_wire_close(to->wire, VENV_OK, reason);
}

void venv_server_close_all(venv_server *server, const char *reason)
{
    size_t cursor = 0;
    void *each = NULL;
    while (venv_table_next(server->peers, &cursor, NULL, &each))
        venv_wire_close(((peer *)each)->wire, VENV_OK, reason);
}

bool venv_server_has_peers(const venv_server *server)
{
    return server->count > 0;
}

void venv_server_durable(venv_server *server, uint64_t write)
{
    venv_wires_durable(server->wires, write);
}

static void free_when_closed(venv_server *server)
{
    if (server->ending && server->listeners_open == 0)
        free(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    venv_server *server = handle->data;
    server->listeners_open--;
    free_when_closed(server);
}

void venv_server_stop_listening(venv_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        if (!uv_is_closing((uv_handle_t *)&server->listeners[i]))
            uv_close((uv_handle_t *)&server->listeners[i], on_listener_closed);
    }
}

static void free_peers(venv_server *server)
{
    size_t cursor = 0;
    void *each = NULL;
    while (venv_table_next(server->peers, &cursor, NULL, &each))
        free(each);
    venv_table_free(server->peers);
    for (peer *stranger = server->oldest, *next; stranger; stranger = next) {
        next = stranger->next;
        free(stranger);
    }
}

void venv_server_end(venv_server *server)
{
    if (!server)
        return;
    server->ending = true;
    venv_wires_end(server->wires);
    free_peers(server);
    venv_server_stop_listening(server);
    free_when_closed(server);
}
