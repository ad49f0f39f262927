/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_manager.h. Asserts wherever the machine itself fails: it is a test. */
#include "client/fake_manager.h"

#include <venv/codec.h>
#include <venv/identity.h>
#include <venv/message.h>

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <assert.h>

struct fake_manager {
    pthread_t thread;
    int listener, wake[2], fd;
    uint16_t port;
    char address[32];
    fake_greeting greeting;
    fake_script script;
    void *user;
    venv_tls_context *context;
    venv_tls *tls;
    venv_frame_parser *parser;
    uint64_t received;
    _Atomic int64_t heartbeat_ns;
    atomic_uint sessions, pongs;
};

static venv_wall wall_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (venv_wall){ (int64_t)now.tv_sec * VENV_NS_PER_S + now.tv_nsec };
}

venv_value fake_json(const char *text)
{
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    if (venv_json_parse(text, strlen(text), 0, &value, &err) != VENV_OK)
        fprintf(stderr, "%s: %s\n", text, err.text);
    assert(err.rc == VENV_OK);
    return value;
}

/* --- sending ----------------------------------------------------------------------------------------- */

static void flush_all(fake_manager *manager)
{
    for (;;) {
        venv_str output = venv_tls_output(manager->tls);
        if (output.size == 0)
            return;
        ssize_t sent = send(manager->fd, output.data, output.size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        venv_tls_drop_output(manager->tls, (size_t)sent);
    }
}

void fake_send(fake_manager *manager, int16_t type, uint64_t request, venv_value body)
{
    venv_error err = { 0 };
    uint8_t *frame = NULL;
    size_t size = 0;
    venv_rc rc = venv_frame_encode(type, request, &body, &frame, &size, &err);
    if (rc != VENV_OK)
        fprintf(stderr, "fake manager: %s\n", err.text);
    assert(rc == VENV_OK);
    (void)!venv_tls_write(manager->tls, frame, size, &err);
    free(frame);
    venv_value_unref(&body);
    flush_all(manager);
}

static venv_value heard(const fake_manager *manager)
{
    venv_map_builder map;
    venv_value body = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "heard", venv_value_uint(manager->received));
    assert(venv_map_take(&map, &body, NULL) == VENV_OK);
    return body;
}

void fake_ping(fake_manager *manager)
{
    fake_send(manager, VENV_MSG_PING, 0, heard(manager));
}

static void welcome(fake_manager *manager)
{
    venv_map_builder map;
    venv_value body = venv_value_null();
    venv_id boot = { { 1 } };
    venv_map_init(&map);
    venv_map_put(&map, "version", venv_value_int(VENV_PROTOCOL_VERSION));
    venv_map_put_z(&map, "name", "mgr");
    venv_map_put(&map, "wall", venv_value_from_wall(wall_now()));
    venv_map_put(&map, "heartbeat", venv_value_from_span((venv_span){ manager->heartbeat_ns }));
    venv_map_put_id(&map, "boot", boot);
    assert(venv_map_take(&map, &body, NULL) == VENV_OK);
    fake_send(manager, VENV_MSG_WELCOME, 0, body);
}

/* --- receiving ------------------------------------------------------------------------------------------ */

static fake_verdict take_frame(fake_manager *manager, const venv_frame *frame, const venv_value *body)
{
    manager->received++;
    if (frame->type == VENV_MSG_HELLO) {
        manager->sessions++;
        if (manager->greeting == FAKE_REFUSE) {
            fake_send(manager, VENV_MSG_REFUSED, 0, fake_json("{\"rc\": \"denied\", \"error\": \"ann may not come in today\"}"));
            return FAKE_HANG_UP;
        }
        if (manager->greeting == FAKE_WELCOME)
            welcome(manager);
        return FAKE_GO_ON;
    }
    if (frame->type == VENV_MSG_PING) {
        fake_send(manager, VENV_MSG_PONG, frame->request, heard(manager));
        return FAKE_GO_ON;
    }
    if (frame->type == VENV_MSG_PONG) {
        manager->pongs++;
        return FAKE_GO_ON;
    }
    return manager->script ? manager->script(manager, manager->user, frame->type, frame->request, body) : FAKE_GO_ON;
}

static fake_verdict take_plain(fake_manager *manager)
{
    for (;;) {
        venv_str plain = venv_tls_peek(manager->tls);
        size_t used = 0;
        bool ready = false;
        venv_frame frame;
        venv_value body = venv_value_null();
        venv_error err = { 0 };
        if (plain.size == 0)
            return FAKE_GO_ON;
        venv_rc rc = venv_frame_parser_feed(manager->parser, (const uint8_t *)plain.data, plain.size, &used, &frame, &ready, &err);
        if (rc != VENV_OK)
            fprintf(stderr, "fake manager: %s\n", err.text);
        assert(rc == VENV_OK);
        if (ready)
            assert(venv_frame_decode(&frame, &body, &err) == VENV_OK);
        venv_tls_drop(manager->tls, used);
        if (!ready)
            continue;
        fake_verdict verdict = take_frame(manager, &frame, &body);
        venv_value_unref(&body);
        if (verdict != FAKE_GO_ON)
            return verdict;
    }
}

/* True if the thread is to end. */
static bool wait_readable(fake_manager *manager, int fd)
{
    struct pollfd both[2] = { { .fd = fd, .events = POLLIN }, { .fd = manager->wake[0], .events = POLLIN } };
    while (poll(both, 2, -1) < 0)
        assert(errno == EINTR);
    return both[1].revents != 0;
}

static bool serve_tls(fake_manager *manager)
{
    venv_error err = { 0 };
    bool stop = false;
    manager->received = 0;
    assert(venv_tls_new(manager->context, wall_now(), "the client", &manager->tls, &err) == VENV_OK);
    assert(venv_frame_parser_new(VENV_ROLE_USER, VENV_ROLE_MANAGER, &manager->parser, &err) == VENV_OK);
    while (!(stop = wait_readable(manager, manager->fd))) {
        uint8_t data[4096];
        ssize_t got = recv(manager->fd, data, sizeof data, 0);
        if (got <= 0)
            break;
        venv_rc rc = venv_tls_feed(manager->tls, data, (size_t)got, &err);
        flush_all(manager);
        if (rc != VENV_OK || take_plain(manager) == FAKE_HANG_UP)
            break;
    }
    venv_frame_parser_free(manager->parser);
    venv_tls_free(manager->tls);
    manager->parser = NULL;
    manager->tls = NULL;
    return stop;
}

static void *serve(void *argument)
{
    fake_manager *manager = argument;
    bool stop = false;
    while (!stop && !wait_readable(manager, manager->listener)) {
        manager->fd = accept(manager->listener, NULL, NULL);
        assert(manager->fd >= 0);
        if (manager->greeting == FAKE_PLAIN)
            (void)!send(manager->fd, "220 ready\r\n", 11, MSG_NOSIGNAL);
        if (manager->greeting == FAKE_PLAIN || manager->greeting == FAKE_HANG) {
            char sink[256];
            while (!(stop = wait_readable(manager, manager->fd)) && recv(manager->fd, sink, sizeof sink, 0) > 0)
                continue;
        } else {
            stop = serve_tls(manager);
        }
        (void)close(manager->fd);
        manager->fd = -1;
    }
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------- */

fake_manager *fake_manager_start(const char *directory, const char *name, uint16_t port, fake_greeting greeting,
                                 fake_script script, void *user)
{
    fake_manager *manager = calloc(1, sizeof *manager);
    char ca[VENV_CERT_PATH_MAX], certificate[VENV_CERT_PATH_MAX], key[VENV_CERT_PATH_MAX];
    venv_error err = { 0 };
    assert(manager);
    snprintf(ca, sizeof ca, "%s/ca.crt", directory);
    venv_tls_files files = { ca, venv_cert_path(directory, VENV_ROLE_MANAGER, name, "crt", certificate),
                             venv_cert_path(directory, VENV_ROLE_MANAGER, name, "key", key) };
    venv_rc rc = venv_tls_context_new(VENV_TLS_SERVER, &files, &manager->context, &err);
    if (rc != VENV_OK)
        fprintf(stderr, "fake manager: %s\n", err.text);
    assert(rc == VENV_OK);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int on = 1;
    manager->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(manager->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert(bind(manager->listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(manager->listener, 16) == 0);
    assert(getsockname(manager->listener, (struct sockaddr *)&at, &size) == 0 && pipe(manager->wake) == 0);
    manager->port = ntohs(at.sin_port);
    snprintf(manager->address, sizeof manager->address, "127.0.0.1:%u", manager->port);
    manager->fd = -1;
    manager->greeting = greeting;
    manager->script = script;
    manager->user = user;
    manager->heartbeat_ns = 5 * VENV_NS_PER_S;
    assert(pthread_create(&manager->thread, NULL, serve, manager) == 0);
    return manager;
}

void fake_manager_stop(fake_manager *manager)
{
    if (!manager)
        return;
    assert(write(manager->wake[1], "", 1) == 1);
    pthread_join(manager->thread, NULL);
    close(manager->wake[0]);
    close(manager->wake[1]);
    close(manager->listener);
    venv_tls_context_free(manager->context);
    free(manager);
}

uint16_t fake_manager_port(const fake_manager *manager)
{
    return manager->port;
}

const char *fake_manager_address(const fake_manager *manager)
{
    return manager->address;
}

unsigned fake_manager_sessions(const fake_manager *manager)
{
    return manager->sessions;
}

unsigned fake_manager_pongs(const fake_manager *manager)
{
    return manager->pongs;
}

void fake_manager_set_heartbeat(fake_manager *manager, int64_t heartbeat_ns)
{
    manager->heartbeat_ns = heartbeat_ns;
}

char *fake_pki_new(const char *cluster)
{
    venv_error err = { 0 };
    char *directory = strdup("/tmp/venv-test-XXXXXX");
    assert(directory && mkdtemp(directory));
    assert(venv_ca_init(directory, cluster, NULL, wall_now(), &err) == VENV_OK);
    assert(venv_ca_issue(directory, VENV_ROLE_MANAGER, "mgr", NULL, NULL, wall_now(), &err) == VENV_OK);
    assert(venv_ca_issue(directory, VENV_ROLE_USER, "ann", NULL, NULL, wall_now(), &err) == VENV_OK);
    return directory;
}

void fake_pki_free(char *directory)
{
    DIR *stream = opendir(directory);
    char path[512];
    assert(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        (void)unlink(path);
    }
    closedir(stream);
    (void)rmdir(directory);
    free(directory);
}
