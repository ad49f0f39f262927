/* SPDX-License-Identifier: Apache-2.0 */
/* Connections over loopback with real TLS: both ends on one loop, every wait bounded by a deadline. */
#include "runtime/pki.h"
#include "runtime/dialer.h"
#include "runtime/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS    20000
#define SEEN_MAX   20000

typedef struct rig {
    test_pki pki;
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;
    venv_log log;
    char port_text[64];
    char log_text[4096];
    venv_tls_context *manager_tls, *agent_tls;
    venv_server *server;
    /* the server's view */
    uint64_t peers[8], up_count, down_count;
    char names[8][VENV_NAME_MAX + 1];
    venv_role roles[8];
    char down_reason[256];
    uint64_t got[SEEN_MAX];
    size_t got_count;
    /* the client's view */
    venv_dialer *dialer;
    unsigned client_up, client_down;
    char client_reason[256];
    uint64_t heard[SEEN_MAX];
    size_t heard_count;
} rig;

static void on_log(void *user, venv_log_level level, const char *line)
{
    rig *r = user;
    (void)level;
    const char *listening = strstr(line, "listening on ");
    if (listening)
        (void)snprintf(r->port_text, sizeof r->port_text, "%s", listening + 13);
    size_t used = strlen(r->log_text);
    (void)snprintf(r->log_text + used, sizeof r->log_text - used, "%s\n", line);
}

static void server_up(void *user, uint64_t peer, const venv_identity *identity, const char *address)
{
    rig *r = user;
    assert_true(strncmp(address, "127.0.0.1:", 10) == 0);
    assert_true(r->up_count < 8);
    r->peers[r->up_count] = peer;
    r->roles[r->up_count] = identity->role;
    memcpy(r->names[r->up_count++], identity->name, sizeof r->names[0]);
}

static void server_frame(void *user, uint64_t peer, const venv_frame *frame, const venv_value *body)
{
    rig *r = user;
    (void)peer;
    (void)body;
    assert_true(r->got_count < SEEN_MAX);
    r->got[r->got_count++] = frame->request;
}

static void server_down(void *user, uint64_t peer, const char *reason)
{
    rig *r = user;
    (void)peer;
    r->down_count++;
    (void)snprintf(r->down_reason, sizeof r->down_reason, "%s", reason);
}

static void server_empty(void *user)
{
    (void)user;
}

static void client_up(void *user, const venv_identity *manager)
{
    rig *r = user;
    assert_int_equal(manager->role, VENV_ROLE_MANAGER);
    r->client_up++;
}

static void client_frame(void *user, const venv_frame *frame, const venv_value *body)
{
    rig *r = user;
    (void)body;
    assert_true(r->heard_count < SEEN_MAX);
    r->heard[r->heard_count++] = frame->request;
}

static void client_down(void *user, const char *reason)
{
    rig *r = user;
    r->client_down++;
    (void)snprintf(r->client_reason, sizeof r->client_reason, "%s", reason);
}

static void on_deadline(uv_timer_t *timer)
{
    ((rig *)timer->data)->late = true;
}

/* Run the loop until the condition holds; fail when it does not in time. */
#define RUN_UNTIL(r, condition)                                            \
    do {                                                                   \
        (r)->late = false;                                                 \
        uv_timer_start(&(r)->deadline, on_deadline, WAIT_MS, 0);           \
        while (!(condition) && !(r)->late)                                 \
            uv_run(&(r)->loop, UV_RUN_ONCE);                               \
        uv_timer_stop(&(r)->deadline);                                     \
        if (!(condition))                                                  \
            fail_msg("did not happen: %s; log:\n%s", #condition, (r)->log_text); \
    } while (0)

static void turn(rig *r, int times)
{
    for (int i = 0; i < times; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
}

static int set_up(void **state)
{
    rig *r = calloc(1, sizeof *r);
    venv_error err = { 0 };
    assert_non_null(r);
    test_pki_init(&r->pki);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    uv_timer_init(&r->loop, &r->deadline);
    r->deadline.data = r;
    r->log = (venv_log){ .write = on_log, .user = r, .level = VENV_LOG_DEBUG };
    r->manager_tls = test_pki_context(&r->pki, VENV_ROLE_MANAGER, "mgr");
    r->agent_tls = test_pki_context(&r->pki, VENV_ROLE_AGENT, "node1");
    venv_server_calls server_calls = { .up = server_up, .frame = server_frame, .down = server_down,
                                       .empty = server_empty, .user = r };
    venv_dialer_calls dialer_calls = { .up = client_up, .frame = client_frame, .down = client_down, .user = r };
    assert_int_equal(venv_server_new(&r->loop, r->manager_tls, &r->log, 1, &server_calls, &r->server, &err), VENV_OK);
    assert_int_equal(venv_dialer_new(&r->loop, r->agent_tls, &dialer_calls, &r->dialer, &err), VENV_OK);
    if (venv_server_listen(r->server, "127.0.0.1:0", &err) != VENV_OK)
        fail_msg("%s", err.text);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    rig *r = *state;
    venv_dialer_end(r->dialer);
    venv_server_end(r->server);
    uv_close((uv_handle_t *)&r->deadline, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    venv_tls_context_free(r->manager_tls);
    venv_tls_context_free(r->agent_tls);
    test_pki_fini(&r->pki);
    free(r);
    return 0;
}

static void connect_agent(rig *r)
{
    venv_dialer_dial(r->dialer, r->port_text);
    RUN_UNTIL(r, r->client_up == 1 && r->up_count == 1);
}

static void send_ping(rig *r, uint64_t request, uint64_t after_write)
{
    venv_value body = venv_value_null();
    venv_error err = { 0 };
    assert_int_equal(venv_server_send(r->server, r->peers[0], VENV_MSG_PING, request, &body, after_write, &err), VENV_OK);
}

/* --- what must happen ------------------------------------------------------------------------ */

static void both_sides_know_each_other(void **state)
{
    rig *r = *state;
    connect_agent(r);
    assert_string_equal(r->names[0], "node1");
    assert_int_equal(r->roles[0], VENV_ROLE_AGENT);
}

static void frames_arrive_in_order_in_both_directions(void **state)
{
    rig *r = *state;
    venv_value body = venv_value_null();
    venv_error err = { 0 };
    connect_agent(r);
    for (uint64_t i = 1; i <= 10000; i++) {
        send_ping(r, i, 0);
        assert_int_equal(venv_dialer_send(r->dialer, VENV_MSG_PONG, i, &body, &err), VENV_OK);
    }
    RUN_UNTIL(r, r->got_count == 10000 && r->heard_count == 10000);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_int_equal(r->got[i], i + 1);
        assert_int_equal(r->heard[i], i + 1);
    }
}

static void a_frame_waits_for_its_write_and_others_wait_behind_it(void **state)
{
    rig *r = *state;
    connect_agent(r);
    send_ping(r, 1, 0);
    send_ping(r, 2, 5);
    send_ping(r, 3, 0);
    RUN_UNTIL(r, r->heard_count == 1);
    turn(r, 20);
    assert_int_equal(r->heard_count, 1);
    venv_server_durable(r->server, 4);
    turn(r, 20);
    assert_int_equal(r->heard_count, 1);
    venv_server_durable(r->server, 5);
    RUN_UNTIL(r, r->heard_count == 3);
    assert_int_equal(r->heard[1], 2);
    assert_int_equal(r->heard[2], 3);
}

static void what_waits_for_a_write_is_never_sent_when_it_ends_before(void **state)
{
    rig *r = *state;
    connect_agent(r);
    send_ping(r, 1, 7);
    venv_server_close_peer(r->server, r->peers[0], "no more");
    RUN_UNTIL(r, r->client_down == 1);
    assert_int_equal(r->heard_count, 0);
}

static void a_close_comes_after_what_was_sent(void **state)
{
    rig *r = *state;
    connect_agent(r);
    for (uint64_t i = 1; i <= 100; i++)
        send_ping(r, i, 0);
    venv_server_close_peer(r->server, r->peers[0], "enough");
    send_ping(r, 101, 0); /* after the end: dropped */
    RUN_UNTIL(r, r->client_down == 1 && r->down_count == 1);
    assert_int_equal(r->heard_count, 100);
    assert_string_equal(r->down_reason, "enough");
}

static void the_client_can_go_and_come_back(void **state)
{
    rig *r = *state;
    connect_agent(r);
    venv_dialer_close(r->dialer, "for a while");
    RUN_UNTIL(r, r->client_down == 1 && r->down_count == 1);
    assert_string_equal(r->client_reason, "for a while");
    assert_true(venv_dialer_is_idle(r->dialer));
    venv_dialer_dial(r->dialer, r->port_text);
    RUN_UNTIL(r, r->client_up == 2 && r->up_count == 2);
    assert_true(r->peers[1] > r->peers[0]);
}

static void a_dial_that_fails_says_why(void **state)
{
    rig *r = *state;
    venv_dialer_dial(r->dialer, "127.0.0.1:1"); /* nobody listens there */
    RUN_UNTIL(r, r->client_down == 1);
    assert_non_null(strstr(r->client_reason, "127.0.0.1:1"));
    assert_non_null(strstr(r->client_reason, "refused"));
    venv_dialer_dial(r->dialer, "not an address:x");
    RUN_UNTIL(r, r->client_down == 2);
    assert_non_null(strstr(r->client_reason, "port"));
    venv_dialer_dial(r->dialer, r->port_text);
    venv_dialer_close(r->dialer, "changed my mind");
    RUN_UNTIL(r, r->client_down == 3);
    assert_string_equal(r->client_reason, "changed my mind");
    venv_dialer_dial(r->dialer, "no-such-host.invalid:7420"); /* RFC 6761: never resolves */
    RUN_UNTIL(r, r->client_down == 4);
    assert_non_null(strstr(r->client_reason, "no-such-host.invalid"));
}

static void a_name_is_resolved(void **state)
{
    rig *r = *state;
    char address[128];
    (void)snprintf(address, sizeof address, "localhost%s", strrchr(r->port_text, ':'));
    venv_dialer_dial(r->dialer, address);
    RUN_UNTIL(r, r->client_up == 1 && r->up_count == 1);
}

static void a_question_to_the_resolver_can_be_given_up(void **state)
{
    rig *r = *state;
    venv_dialer_dial(r->dialer, "no-such-host.invalid:7420");
    venv_dialer_close(r->dialer, "changed my mind");
    RUN_UNTIL(r, r->client_down == 1);
    assert_string_equal(r->client_reason, "changed my mind");
    venv_dialer_dial(r->dialer, "no-such-host.invalid:7420"); /* the end comes while it is asked for */
}

/* A peer that stops reading: its queue grows to the bound, it is closed, and the other notices nothing. */
typedef struct deaf {
    venv_wires *wires;
    venv_wire *wire;
    uv_connect_t connect;
    bool open, ended;
} deaf;

static void deaf_open(void *user, venv_wire *wire, const venv_identity *peer)
{
    deaf *d = user;
    (void)peer;
    d->open = true;
    uv_read_stop((uv_stream_t *)venv_wire_tcp(wire));
}

static void deaf_frame(void *user, venv_wire *wire, const venv_frame *frame, const venv_value *body)
{
    (void)user;
    (void)wire;
    (void)frame;
    (void)body;
}

static void deaf_end(void *user, venv_wire *wire, const venv_wire_end *end)
{
    deaf *d = user;
    (void)wire;
    (void)end;
    d->ended = true;
}

static void deaf_connected(uv_connect_t *request, int status)
{
    deaf *d = request->data;
    assert_int_equal(status, 0);
    venv_wire_begin(d->wire, "server");
}

static void who_does_not_read_is_closed_and_others_notice_nothing(void **state)
{
    rig *r = *state;
    deaf d = { 0 };
    venv_error err = { 0 };
    venv_value text = venv_value_null(), body = venv_value_null();
    venv_map_builder map;
    struct sockaddr_in address;
    venv_wire_calls calls = { .open = deaf_open, .frame = deaf_frame, .end = deaf_end, .user = &d };
    venv_tls_context *user_tls = test_pki_context(&r->pki, VENV_ROLE_USER, "deaf");
    connect_agent(r);
    assert_int_equal(venv_wires_new(&r->loop, user_tls, VENV_ROLE_USER, &calls, &d.wires, &err), VENV_OK);
    assert_int_equal(venv_wire_new(d.wires, &d.wire, &err), VENV_OK);
    uv_ip4_addr("127.0.0.1", (int)strtol(strrchr(r->port_text, ':') + 1, NULL, 10), &address);
    d.connect.data = &d;
    assert_int_equal(uv_tcp_connect(&d.connect, venv_wire_tcp(d.wire), (const struct sockaddr *)&address, deaf_connected), 0);
    RUN_UNTIL(r, d.open && r->up_count == 2);
    char *large = malloc(1 << 20);
    assert_non_null(large);
    memset(large, 'x', 1 << 20);
    assert_int_equal(venv_value_string(large, 1 << 20, &text, &err), VENV_OK);
    free(large);
    venv_map_init(&map);
    venv_map_put(&map, "text", text);
    assert_int_equal(venv_map_take(&map, &body, &err), VENV_OK);
    uint64_t sent = 0;
    while (r->down_count == 0 && sent < 200) {
        assert_int_equal(venv_server_send(r->server, r->peers[1], VENV_MSG_RESULT, ++sent, &body, 0, &err), VENV_OK);
        send_ping(r, sent, 0);
        turn(r, 5);
    }
    venv_value_unref(&body);
    assert_int_equal(r->down_count, 1);
    assert_non_null(strstr(r->down_reason, "does not read"));
    assert_true(sent < 100); /* 24 MiB of ours, and what kernels buffer */
    RUN_UNTIL(r, r->heard_count == sent);
    assert_int_equal(r->client_down, 0);
    venv_wires_end(d.wires);
    turn(r, 20);
    venv_tls_context_free(user_tls);
}

static void what_is_not_tls_is_refused_and_logged(void **state)
{
    rig *r = *state;
    uv_tcp_t raw;
    uv_connect_t connect;
    struct sockaddr_in address;
    connect_agent(r);
    uv_tcp_init(&r->loop, &raw);
    uv_ip4_addr("127.0.0.1", (int)strtol(strrchr(r->port_text, ':') + 1, NULL, 10), &address);
    assert_int_equal(uv_tcp_connect(&connect, &raw, (const struct sockaddr *)&address, NULL), 0);
    turn(r, 20);
    uv_buf_t hello = uv_buf_init((char *)(uintptr_t) "GET / HTTP/1.1\r\n\r\n", 18);
    assert_int_equal(uv_try_write((uv_stream_t *)&raw, &hello, 1), 18);
    RUN_UNTIL(r, strstr(r->log_text, "refused: ") != NULL);
    assert_int_equal(r->up_count, 1);
    assert_int_equal(r->client_down, 0);
    uv_close((uv_handle_t *)&raw, NULL);
    turn(r, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_sides_know_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_arrive_in_order_in_both_directions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_frame_waits_for_its_write_and_others_wait_behind_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_waits_for_a_write_is_never_sent_when_it_ends_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_close_comes_after_what_was_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_client_can_go_and_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dial_that_fails_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_resolved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_question_to_the_resolver_can_be_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_does_not_read_is_closed_and_others_notice_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_tls_is_refused_and_logged, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("connections", tests, NULL, NULL);
}
