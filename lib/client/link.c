/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a manager on a socket that never blocks: every wait is in wait_for(), which has a
 * deadline, and both directions are served in every wait, so that two full buffers cannot stop each other.
 */
#include "client/link.h"

#include "base/cleanup.h"
#include "client/address.h"
#include "message/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 16384 /* bytes taken from the socket at once; far below VENV_TLS_PLAIN_MAX */

struct venv_link {
    int fd;
    char address[VENV_CLIENT_ADDRESS_MAX];
    venv_tls *tls;
    venv_frame_parser *parser;
    venv_session session;
    bool ended;      /* the manager's bytes have ended */
    int write_error; /* of the socket; what the manager said before may still tell more */
};

venv_now venv_link_now(void)
{
    struct timespec mono = { 0 }, wall = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &mono);
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    return (venv_now){ { (int64_t)mono.tv_sec * VENV_NS_PER_S + mono.tv_nsec },
                       { (int64_t)wall.tv_sec * VENV_NS_PER_S + wall.tv_nsec } };
}

static int milliseconds_until(venv_instant deadline)
{
    int64_t left = deadline.ns - venv_link_now().mono.ns;
    if (left <= 0)
        return 0;
    int64_t ms = left / 1000000 + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* --- connecting ------------------------------------------------------------------------------------ */

static venv_rc connect_one(const struct addrinfo *info, venv_instant deadline, int *ret_fd, venv_error *err)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return venv_error_set(err, VENV_EIO, "no socket: %s", strerror(errno));
    int error = 0;
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        error = errno;
        while (error == EINPROGRESS || error == EINTR) {
            struct pollfd wait = { .fd = fd, .events = POLLOUT };
            int ready = poll(&wait, 1, milliseconds_until(deadline));
            socklen_t size = sizeof error;
            if (ready == 0) {
                (void)close(fd);
                return venv_error_set(err, VENV_ETIMEDOUT, "no answer in time; is it switched on, and does a firewall let us through?");
            }
            if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0)
                break;
            error = errno;
        }
    }
    if (error != 0) {
        (void)close(fd);
        return venv_error_set(err, VENV_EUNREACHABLE, "%s%s", strerror(error),
                              error == ECONNREFUSED ? "; does venv-mgr run there?" : "");
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    return VENV_OK;
}

/* Each address of the name gets its part of the time, so that a dead one does not eat it all. */
static venv_rc connect_socket(const char *text, venv_instant deadline, int *ret_fd, venv_error *err)
{
    venv_address address;
    if (venv_address_parse(text, &address, err) != VENV_OK)
        return VENV_EINVAL;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(address.host, address.port, &hints, &list);
    if (failed == EAI_ADDRFAMILY || failed == EAI_NONAME) { /* AI_ADDRCONFIG may hide 127.0.0.1 where there is only loopback */
        hints.ai_flags = AI_NUMERICSERV;
        failed = getaddrinfo(address.host, address.port, &hints, &list);
    }
    if (failed != 0)
        return venv_error_set(err, VENV_EUNREACHABLE, "the name cannot be resolved: %s",
                              failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
    int64_t count = 0;
    for (struct addrinfo *info = list; info; info = info->ai_next)
        count++;
    venv_rc rc = venv_error_set(err, VENV_EUNREACHABLE, "the name has no address");
    for (struct addrinfo *info = list; info && rc != VENV_OK; info = info->ai_next, count--) {
        int64_t now = venv_link_now().mono.ns;
        int64_t left = deadline.ns > now ? deadline.ns - now : 0;
        rc = connect_one(info, (venv_instant){ now + left / count }, ret_fd, err);
    }
    freeaddrinfo(list);
    return rc;
}

/* --- bytes ------------------------------------------------------------------------------------------- */

static venv_rc lost(const venv_link *link, const char *why, venv_error *err)
{
    return venv_error_set(err, VENV_EUNREACHABLE, "the connection to %s broke: %s", link->address, why);
}

/* Hand over what the system takes now. A failure is kept: reading goes on, since the reason may be in what arrives. */
static void flush_some(venv_link *link)
{
    while (link->write_error == 0) {
        venv_str output = venv_tls_output(link->tls);
        if (output.size == 0)
            return;
        ssize_t sent = send(link->fd, output.data, output.size, MSG_NOSIGNAL);
        if (sent > 0)
            venv_tls_drop_output(link->tls, (size_t)sent);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (errno != EINTR)
            link->write_error = errno;
    }
}

/* What TLS says about the other side, in the words of whoever asked. */
static venv_rc tls_fault(venv_link *link, venv_rc rc, venv_error *err)
{
    flush_some(link); /* the alert that tells the manager why */
    venv_tls_fault fault = venv_tls_fault_of(link->tls);
    if (fault == VENV_TLS_FAULT_REFUSED) {
        if (err)
            err->rc = VENV_EDENIED; /* its text names the address */
        return VENV_EDENIED;
    }
    if (fault == VENV_TLS_FAULT_CUT)
        return lost(link, "it ended without a farewell", err);
    return rc;
}

/* Take what has arrived, at most READ_SIZE; sets `ended`. */
static venv_rc read_some(venv_link *link, bool *ret_more, venv_error *err)
{
    uint8_t data[READ_SIZE];
    *ret_more = false;
    ssize_t got = recv(link->fd, data, sizeof data, 0);
    if (got > 0) {
        *ret_more = true;
        venv_rc rc = venv_tls_feed(link->tls, data, (size_t)got, err);
        return rc == VENV_OK ? rc : tls_fault(link, rc, err);
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return VENV_OK;
    link->ended = true;
    int error = got < 0 ? errno : 0;
    venv_rc rc = venv_tls_feed_end(link->tls, err);
    if (rc == VENV_OK)
        return VENV_OK; /* what came before it can still be read */
    if (venv_tls_fault_of(link->tls) == VENV_TLS_FAULT_CUT && (error != 0 || link->write_error != 0))
        return lost(link, strerror(error != 0 ? error : link->write_error), err);
    return tls_fault(link, rc, err);
}

/* --- frames ------------------------------------------------------------------------------------------- */

static venv_rc put_frame(venv_link *link, int16_t type, uint64_t request, const venv_value *body, venv_error *err)
{
    VENV_AUTO_FREE uint8_t *frame = NULL;
    size_t size = 0;
    venv_rc rc = venv_frame_encode(type, request, body, &frame, &size, err);
    if (rc == VENV_OK)
        rc = venv_tls_write(link->tls, frame, size, err);
    if (rc == VENV_OK)
        venv_session_sent(&link->session, venv_link_now());
    return rc;
}

/* What the session wants to be sent. */
static venv_rc put_reply(venv_link *link, venv_session_reply *reply, venv_error *err)
{
    venv_rc rc = VENV_OK;
    if (reply->wanted)
        rc = put_frame(link, reply->type, reply->request, &reply->body, err);
    venv_value_unref(&reply->body);
    return rc;
}

/* One whole frame out of the plain bytes; *ret_ready false if there is none. Heartbeats are answered here. */
static venv_rc next_frame(venv_link *link, venv_link_frame *ret_frame, bool *ret_ready, venv_error *err)
{
    *ret_ready = false;
    for (;;) {
        venv_str plain = venv_tls_peek(link->tls);
        if (plain.size == 0)
            return VENV_OK;
        size_t used = 0;
        bool ready = false;
        venv_frame frame;
        venv_value body = venv_value_null();
        venv_rc rc = venv_frame_parser_feed(link->parser, (const uint8_t *)plain.data, plain.size, &used, &frame, &ready, err);
        if (rc == VENV_OK && ready && frame.known)
            rc = venv_frame_decode(&frame, &body, err);
        if (rc != VENV_OK)
            return venv_error_prefix(err, "%s", link->address);
        venv_tls_drop(link->tls, used);
        if (!ready)
            continue;
        venv_session_reply reply = { .body = venv_value_null() };
        venv_session_verdict verdict = venv_session_receive(&link->session, venv_link_now(), frame.type, frame.request,
                                                            frame.known, &body, &reply, err);
        if (verdict == VENV_SESSION_PASS) {
            *ret_frame = (venv_link_frame){ frame.type, frame.request, body };
            *ret_ready = true;
            return VENV_OK;
        }
        venv_value_unref(&body);
        if (verdict == VENV_SESSION_CLOSE) {
            venv_value_unref(&reply.body);
            return venv_error_prefix(err, "%s", link->address);
        }
        rc = put_reply(link, &reply, err);
        if (rc != VENV_OK)
            return rc;
    }
}

/* Take in what is there, without waiting. */
static venv_rc take_in(venv_link *link, venv_link_frame *ret_frame, bool *ret_ready, venv_error *err)
{
    bool more = !link->ended;
    for (;;) {
        venv_rc rc = next_frame(link, ret_frame, ret_ready, err);
        if (rc != VENV_OK || *ret_ready || !more)
            return rc;
        rc = read_some(link, &more, err);
        if (rc != VENV_OK)
            return rc;
    }
}

static venv_rc heartbeat(venv_link *link, venv_error *err)
{
    venv_session_reply reply = { .body = venv_value_null() };
    if (venv_session_tick(&link->session, venv_link_now(), &reply, err) == VENV_SESSION_CLOSE) {
        venv_value_unref(&reply.body);
        char why[VENV_ERROR_TEXT_MAX] = "it does not answer";
        if (err)
            (void)snprintf(why, sizeof why, "%s", err->text);
        return lost(link, why, err);
    }
    return put_reply(link, &reply, err);
}

/* Wait until bytes can go either way, a heartbeat is due, or the deadline. False: the deadline is past. */
static bool wait_for(venv_link *link, venv_instant deadline)
{
    venv_instant due = venv_session_deadline(&link->session);
    struct pollfd wait = { .fd = link->fd, .events = POLLIN };
    if (venv_tls_output(link->tls).size > 0 && link->write_error == 0)
        wait.events = POLLIN | POLLOUT;
    if (milliseconds_until(deadline) == 0)
        return false;
    (void)poll(&wait, 1, milliseconds_until(due.ns < deadline.ns ? due : deadline));
    return true;
}

venv_rc venv_link_receive(venv_link *link, venv_instant deadline, venv_link_frame *ret_frame, venv_error *err)
{
    for (;;) {
        bool ready = false;
        venv_link_frame frame;
        venv_rc rc = take_in(link, &frame, &ready, err);
        if (rc == VENV_OK && ready) {
            *ret_frame = frame;
            return VENV_OK;
        }
        if (rc == VENV_OK && link->ended)
            rc = lost(link, "the manager hung up", err);
        if (rc == VENV_OK)
            rc = heartbeat(link, err);
        if (rc != VENV_OK)
            return rc;
        flush_some(link);
        if (!wait_for(link, deadline))
            return venv_error_set(err, VENV_ETIMEDOUT, "no answer from %s in time", link->address);
    }
}

/* Writing has failed: read what the manager said before, it may be the reason. */
static venv_rc explain(venv_link *link, venv_error *err)
{
    bool more = true, ready = true;
    venv_rc rc = VENV_OK;
    while (rc == VENV_OK && more && !link->ended && venv_tls_peek(link->tls).size < VENV_TLS_PLAIN_MAX / 2)
        rc = read_some(link, &more, err);
    while (rc == VENV_OK && ready) {
        venv_link_frame frame = { .body = venv_value_null() };
        rc = next_frame(link, &frame, &ready, err);
        venv_value_unref(&frame.body);
    }
    return rc != VENV_OK ? rc : lost(link, strerror(link->write_error), err);
}

venv_rc venv_link_send(venv_link *link, int16_t type, uint64_t request, const venv_value *body,
                       venv_instant deadline, venv_error *err)
{
    venv_rc rc = put_frame(link, type, request, body, err);
    while (rc == VENV_OK) {
        flush_some(link);
        if (link->write_error != 0)
            return explain(link, err);
        if (venv_tls_output(link->tls).size == 0)
            return VENV_OK;
        /* The manager may be waiting for us to read: take bytes, up to what TLS keeps. */
        bool more = false;
        if (venv_tls_peek(link->tls).size < VENV_TLS_PLAIN_MAX / 2)
            rc = read_some(link, &more, err);
        if (rc == VENV_OK && link->ended)
            rc = lost(link, "the manager hung up", err);
        if (rc == VENV_OK && venv_tls_state_of(link->tls) == VENV_TLS_OPEN)
            rc = heartbeat(link, err);
        if (rc == VENV_OK && !wait_for(link, deadline))
            rc = venv_error_set(err, VENV_ETIMEDOUT, "%s does not take the request", link->address);
    }
    return rc;
}

/* --- the beginning of a session ------------------------------------------------------------------------ */

static venv_rc handshake(venv_link *link, venv_instant deadline, venv_error *err)
{
    while (venv_tls_state_of(link->tls) == VENV_TLS_HANDSHAKE) {
        bool more = false;
        flush_some(link);
        venv_rc rc = read_some(link, &more, err);
        if (rc != VENV_OK)
            return rc;
        if (venv_tls_state_of(link->tls) != VENV_TLS_HANDSHAKE)
            break;
        if (link->ended)
            return lost(link, "it was closed during the handshake", err);
        if (!more && !wait_for(link, deadline))
            return venv_error_set(err, VENV_ETIMEDOUT, "it takes connections but does not answer; is that port venv-mgr's?");
    }
    if (venv_tls_state_of(link->tls) != VENV_TLS_OPEN)
        return lost(link, "it was closed during the handshake", err);
    return VENV_OK;
}

static venv_rc hello(venv_link *link, venv_instant deadline, venv_error *err)
{
    venv_value versions = venv_value_null(), body = venv_value_null();
    venv_list_builder list;
    venv_list_init(&list);
    venv_list_add(&list, venv_value_int(VENV_PROTOCOL_VERSION));
    venv_rc rc = venv_list_take(&list, &versions, err);
    if (rc != VENV_OK)
        return rc;
    char program[64];
    (void)snprintf(program, sizeof program, "libvenv %s", venv_version());
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "versions", versions);
    venv_map_put(&map, "wall", venv_value_from_wall(venv_link_now().wall));
    venv_map_put_z(&map, "program", program);
    rc = venv_map_take(&map, &body, err);
    if (rc == VENV_OK)
        rc = venv_link_send(link, VENV_MSG_HELLO, 0, &body, deadline, err);
    venv_value_unref(&body);
    while (rc == VENV_OK) {
        venv_link_frame frame = { .body = venv_value_null() };
        rc = venv_link_receive(link, deadline, &frame, err);
        if (rc != VENV_OK)
            break;
        venv_value_unref(&frame.body);
        if (frame.type == VENV_MSG_WELCOME)
            return VENV_OK;
    }
    return rc;
}

static venv_rc begin(venv_link *link, const venv_tls_context *tls, venv_instant deadline, venv_error *err)
{
    venv_now now = venv_link_now();
    venv_rc rc = venv_tls_new(tls, now.wall, link->address, &link->tls, err);
    if (rc == VENV_OK)
        rc = venv_frame_parser_new(VENV_ROLE_MANAGER, VENV_ROLE_USER, &link->parser, err);
    if (rc != VENV_OK)
        return rc;
    venv_session_options options = venv_session_defaults();
    options.first_frame.ns = deadline.ns - now.mono.ns; /* ours is the only clock while we connect */
    venv_session_init(&link->session, VENV_ROLE_USER, VENV_ROLE_MANAGER, &options, now);
    rc = handshake(link, deadline, err);
    return rc == VENV_OK ? hello(link, deadline, err) : rc;
}

venv_rc venv_link_open(const char *address, const venv_tls_context *tls, venv_instant deadline,
                       venv_link **ret_link, venv_error *err)
{
    venv_link *link = calloc(1, sizeof *link);
    if (!link)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    link->fd = -1;
    (void)snprintf(link->address, sizeof link->address, "%s", address);
    venv_rc rc = connect_socket(address, deadline, &link->fd, err);
    if (rc == VENV_OK)
        rc = begin(link, tls, deadline, err);
    if (rc != VENV_OK) {
        venv_link_close(link);
        return rc;
    }
    *ret_link = link;
    return VENV_OK;
}

void venv_link_close(venv_link *link)
{
    if (!link)
        return;
    if (link->fd >= 0 && link->tls) {
        venv_tls_close(link->tls);
        flush_some(link);
    }
    venv_frame_parser_free(link->parser);
    venv_tls_free(link->tls);
    if (link->fd >= 0)
        (void)close(link->fd);
    free(link);
}

const char *venv_link_peer(const venv_link *link)
{
    const venv_identity *peer = venv_tls_peek_peer(link->tls);
    return peer ? peer->name : "";
}
