/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against a manager that does as it is told, over real TLS: what each way of going wrong is
 * called, and that asking again finds the outcome.
 */
#include "client/fake_manager.h"

#include <venv/client.h>
#include <venv/identity.h>
#include <venv/message.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static char *pki, *other_pki;

static venv_client_config *config_for(const char *directory, const char *address)
{
    venv_client_config *config = NULL;
    assert_int_equal(venv_client_config_new(&config, NULL), VENV_OK);
    if (address)
        assert_int_equal(venv_client_config_add_manager(config, address, NULL), VENV_OK);
    assert_int_equal(venv_client_config_set_tls_dir(config, directory, NULL, NULL), VENV_OK);
    venv_client_config_set_connect_timeout(config, (venv_span){ 3000 * MS });
    return config;
}

static venv_client *client_for(const fake_manager *manager)
{
    venv_client_config *config = config_for(pki, fake_manager_address(manager));
    venv_client *client = NULL;
    venv_error err = { 0 };
    venv_rc rc = venv_client_connect(config, &client, &err);
    if (rc != VENV_OK)
        print_error("%s\n", err.text);
    assert_int_equal(rc, VENV_OK);
    venv_client_config_free(config);
    return client;
}

/* --- scripts ------------------------------------------------------------------------------------------- */

/* What a script saw, and how often it is to misbehave first. */
typedef struct fake_story {
    unsigned asked;     /* requests that arrived */
    unsigned hang_ups;  /* so many of the first are answered by hanging up */
    venv_id ids[8];     /* of the requests */
} fake_story;

static void note(fake_story *story, const venv_value *body)
{
    if (story->asked < 8)
        (void)venv_value_get_id(body, "id", &story->ids[story->asked]);
    story->asked++;
}

static fake_verdict answer_all(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    fake_story *story = user;
    note(story, body);
    if (story->asked <= story->hang_ups)
        return FAKE_HANG_UP;
    if (type == VENV_CLIENT_LIST)
        fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"items\": [{\"name\": \"node07\"}]}"));
    else if (type == VENV_CLIENT_SHOW)
        fake_send(manager, VENV_MSG_FAILED, request,
                  fake_json("{\"rc\": \"not-found\", \"error\": \"there is no agent \\\"x\\\"\", \"detail\": {\"near\": \"y\"}}"));
    else
        fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"instances\": []}"));
    return FAKE_GO_ON;
}

static fake_verdict answer_none(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    (void)manager, (void)type, (void)request;
    note(user, body);
    return FAKE_GO_ON;
}

static fake_verdict hang_up(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    (void)manager, (void)type, (void)request;
    note(user, body);
    return FAKE_HANG_UP;
}

/* --- connecting ------------------------------------------------------------------------------------------ */

static void test_lists(void **state)
{
    (void)state;
    fake_story story = { 0 };
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_all, &story);
    venv_client *client = client_for(manager);
    venv_value items = venv_value_null();
    venv_error err = { 0 };
    assert_string_equal(venv_client_manager(client), "mgr");
    assert_string_equal(venv_client_address(client), fake_manager_address(manager));
    assert_int_equal(venv_client_list(client, "agents", &items, &err), VENV_OK);
    assert_int_equal(venv_value_count(&items), 1);
    venv_str name = venv_value_get_text(venv_value_at(&items, 0), "name");
    assert_int_equal(name.size, 6);
    assert_memory_equal(name.data, "node07", 6);
    venv_value_unref(&items);
    venv_client_free(client);
    fake_manager_stop(manager);
}

static void test_failure_has_code_text_and_detail(void **state)
{
    (void)state;
    fake_story story = { 0 };
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_all, &story);
    venv_client *client = client_for(manager);
    venv_value item = venv_value_null();
    venv_error err = { 0 };
    assert_int_equal(venv_client_show(client, "agent", "x", &item, &err), VENV_ENOENT);
    assert_string_equal(err.text, "there is no agent \"x\"");
    assert_non_null(venv_client_detail(client));
    assert_int_equal(venv_value_get_text(venv_client_detail(client), "near").size, 1);
    assert_int_equal(venv_value_kind(&item), VENV_NULL);
    venv_client_free(client);
    fake_manager_stop(manager);
}

static venv_rc try_connect(venv_client_config *config, venv_error *err)
{
    venv_client *client = NULL;
    venv_rc rc = venv_client_connect(config, &client, err);
    assert_true((rc == VENV_OK) == (client != NULL));
    venv_client_free(client);
    venv_client_config_free(config);
    return rc;
}

/* A port of this machine where nobody listens now. */
static const char *nobody(char address[32])
{
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, NULL, NULL);
    snprintf(address, 32, "%s", fake_manager_address(manager));
    fake_manager_stop(manager);
    return address;
}

static void test_unreachable(void **state)
{
    (void)state;
    char address[32];
    venv_error err = { 0 };
    assert_int_equal(try_connect(config_for(pki, nobody(address)), &err), VENV_EUNREACHABLE);
    assert_non_null(strstr(err.text, address));
    assert_non_null(strstr(err.text, "refused"));
}

static void test_not_configured(void **state)
{
    (void)state;
    venv_error err = { 0 };
    assert_int_equal(try_connect(config_for(pki, NULL), &err), VENV_EINVAL);
    venv_client_config *config = NULL;
    assert_int_equal(venv_client_config_new(&config, NULL), VENV_OK);
    assert_int_equal(venv_client_config_add_manager(config, "127.0.0.1:1", NULL), VENV_OK);
    assert_int_equal(try_connect(config, &err), VENV_EINVAL);
    assert_int_equal(venv_client_config_new(&config, NULL), VENV_OK);
    assert_int_equal(venv_client_config_add_manager(config, "127.0.0.1:1", NULL), VENV_OK);
    assert_int_equal(venv_client_config_set_tls(config, "/nowhere/ca.crt", "/nowhere/a.crt", "/nowhere/a.key", NULL), VENV_OK);
    assert_int_equal(try_connect(config, &err), VENV_ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/"));
}

/* Somebody else answers on that port: passed over, and named. */
static void test_no_manager_there(void **state)
{
    (void)state;
    static const fake_greeting greetings[] = { FAKE_PLAIN, FAKE_HANG, FAKE_SILENT };
    for (size_t i = 0; i < 3; i++) {
        venv_error err = { 0 };
        fake_manager *manager = fake_manager_start(pki, "mgr", 0, greetings[i], NULL, NULL);
        venv_client_config *config = config_for(pki, fake_manager_address(manager));
        venv_client_config_set_connect_timeout(config, (venv_span){ 400 * MS });
        assert_int_equal(try_connect(config, &err), VENV_EUNREACHABLE);
        assert_non_null(strstr(err.text, fake_manager_address(manager)));
        fake_manager_stop(manager);
    }
}

static void test_next_manager(void **state)
{
    (void)state;
    char dead[32];
    fake_story story = { 0 };
    fake_manager *plain = fake_manager_start(pki, "mgr", 0, FAKE_PLAIN, NULL, NULL);
    fake_manager *good = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_all, &story);
    venv_client_config *config = config_for(pki, nobody(dead));
    assert_int_equal(venv_client_config_add_manager(config, fake_manager_address(plain), NULL), VENV_OK);
    assert_int_equal(venv_client_config_add_manager(config, fake_manager_address(good), NULL), VENV_OK);
    venv_client *client = NULL;
    venv_error err = { 0 };
    assert_int_equal(venv_client_connect(config, &client, &err), VENV_OK);
    assert_string_equal(venv_client_address(client), fake_manager_address(good));
    venv_client_config_free(config);
    venv_client_free(client);
    fake_manager_stop(plain);
    fake_manager_stop(good);
}

static void test_denied(void **state)
{
    (void)state;
    venv_error err = { 0 };
    /* The manager does not know our CA, and we do not know its. */
    fake_manager *manager = fake_manager_start(other_pki, "mgr", 0, FAKE_WELCOME, NULL, NULL);
    assert_int_equal(try_connect(config_for(pki, fake_manager_address(manager)), &err), VENV_EDENIED);
    assert_non_null(strstr(err.text, fake_manager_address(manager)));
    fake_manager_stop(manager);
    /* It lets us in by the certificate, and says no. */
    manager = fake_manager_start(pki, "mgr", 0, FAKE_REFUSE, NULL, NULL);
    assert_int_equal(try_connect(config_for(pki, fake_manager_address(manager)), &err), VENV_EDENIED);
    assert_non_null(strstr(err.text, "ann may not come in today"));
    fake_manager_stop(manager);
}

/* Our CA's file is theirs, our certificate is not: we trust the manager, it refuses us. */
static void test_refused_by_alert(void **state)
{
    (void)state;
    char ca[512], certificate[512], key[512];
    venv_error err = { 0 };
    fake_manager *manager = fake_manager_start(other_pki, "mgr", 0, FAKE_WELCOME, NULL, NULL);
    venv_client_config *config = config_for(pki, fake_manager_address(manager));
    snprintf(ca, sizeof ca, "%s/ca.crt", other_pki);
    snprintf(certificate, sizeof certificate, "%s/user-ann.crt", pki);
    snprintf(key, sizeof key, "%s/user-ann.key", pki);
    assert_int_equal(venv_client_config_set_tls(config, ca, certificate, key, NULL), VENV_OK);
    venv_rc rc = try_connect(config, &err);
    /* The engine may find out by itself that the files do not fit together: that is a usage error. */
    assert_true(rc == VENV_EDENIED || rc == VENV_EINVAL);
    fake_manager_stop(manager);
}

/* --- outcomes --------------------------------------------------------------------------------------------- */

static void test_timed_out(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_none, &story);
    venv_client *client = client_for(manager);
    venv_client_set_timeout(client, (venv_span){ 200 * MS });
    assert_int_equal(venv_client_start(client, "class2", NULL, &answer, &err), VENV_ETIMEDOUT);
    assert_non_null(strstr(err.text, "not known"));
    char id[VENV_ID_TEXT_SIZE];
    assert_non_null(strstr(err.text, venv_id_format(story.ids[0], id)));
    assert_int_equal(venv_client_list(client, "agents", &answer, &err), VENV_ETIMEDOUT);
    assert_null(strstr(err.text, "not known")); /* nothing to be known of a list */
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* The connection breaks; the second time it is answered, under the same id. */
static void test_asks_again_under_the_same_id(void **state)
{
    (void)state;
    fake_story story = { .hang_ups = 1 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_all, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_start(client, "class2", NULL, &answer, &err), VENV_OK);
    assert_int_equal(story.asked, 2);
    assert_false(venv_id_is_none(story.ids[0]));
    assert_true(venv_id_equal(story.ids[0], story.ids[1]));
    assert_int_equal(fake_manager_sessions(manager), 2);
    venv_value_unref(&answer);
    venv_client_free(client);
    fake_manager_stop(manager);
}

static void test_unknown_when_it_stays_away(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    venv_client_stop_options options = { .instance = "class2-1", .force = true };
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, hang_up, &story);
    venv_client *client = client_for(manager);
    venv_client_set_timeout(client, (venv_span){ 500 * MS });
    assert_int_equal(venv_client_stop(client, &options, &answer, &err), VENV_EUNKNOWN);
    assert_non_null(strstr(err.text, "not known"));
    assert_true(story.asked >= 2);
    for (unsigned i = 1; i < story.asked && i < 8; i++)
        assert_true(venv_id_equal(story.ids[0], story.ids[i]));
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* STEER has an id, and is asked again under it: it happens once. */
static void test_steer_is_repeated_under_its_id(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null(), body = fake_json("{\"target\": \"node07\", \"verb\": \"stop\"}");
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, hang_up, &story);
    venv_client *client = client_for(manager);
    venv_client_set_timeout(client, (venv_span){ 500 * MS });
    assert_int_equal(venv_client_request(client, VENV_CLIENT_STEER, &body, &answer, &err), VENV_EUNKNOWN);
    assert_true(story.asked >= 2);
    assert_false(venv_id_is_none(story.ids[0]));
    for (unsigned i = 1; i < story.asked && i < 8; i++)
        assert_true(venv_id_equal(story.ids[0], story.ids[i]));
    venv_value_unref(&body);
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* A change is never asked of another manager than the one that may have it. */
static void test_change_stays_with_its_manager(void **state)
{
    (void)state;
    fake_story first = { 0 }, second = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    fake_manager *one = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, hang_up, &first);
    fake_manager *two = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_all, &second);
    venv_client_config *config = config_for(pki, fake_manager_address(one));
    assert_int_equal(venv_client_config_add_manager(config, fake_manager_address(two), NULL), VENV_OK);
    venv_client *client = NULL;
    assert_int_equal(venv_client_connect(config, &client, &err), VENV_OK);
    venv_client_set_timeout(client, (venv_span){ 500 * MS });
    assert_int_equal(venv_client_start(client, "class2", NULL, &answer, &err), VENV_EUNKNOWN);
    assert_int_equal(second.asked, 0);
    venv_client_config_free(config);
    venv_client_free(client);
    fake_manager_stop(one);
    fake_manager_stop(two);
}

/* The session was closed while we rested: found out and mended, nothing is unknown. */
static void test_reconnects_after_rest(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_all, &story);
    uint16_t port = fake_manager_port(manager);
    venv_client *client = client_for(manager);
    fake_manager_stop(manager);
    manager = fake_manager_start(pki, "mgr", port, FAKE_WELCOME, answer_all, &story);
    venv_value body = fake_json("{\"target\": \"node07\", \"verb\": \"rcon\"}");
    assert_int_equal(venv_client_request(client, VENV_CLIENT_STEER, &body, &answer, &err), VENV_OK);
    assert_int_equal(story.asked, 1);
    venv_value_unref(&body);
    venv_value_unref(&answer);
    venv_client_free(client);
    fake_manager_stop(manager);
}

static void test_gone_before_asking_is_unreachable(void **state)
{
    (void)state;
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, NULL, NULL);
    venv_client *client = client_for(manager);
    fake_manager_stop(manager);
    venv_client_set_timeout(client, (venv_span){ 500 * MS });
    assert_int_equal(venv_client_list(client, "agents", &answer, &err), VENV_EUNREACHABLE);
    assert_int_equal(venv_client_start(client, "class2", NULL, &answer, &err), VENV_EUNREACHABLE);
    venv_client_free(client);
    fake_manager_stop(NULL);
}

static fake_verdict ping_then_answer(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    (void)type;
    note(user, body);
    struct timespec pause = { 0, 50 * MS };
    for (int i = 0; i < 5; i++) {
        fake_ping(manager);
        nanosleep(&pause, NULL);
    }
    fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"items\": []}"));
    return FAKE_GO_ON;
}

static void test_answers_heartbeats_while_waiting(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value items = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, ping_then_answer, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_list(client, "agents", &items, &err), VENV_OK);
    assert_int_equal(venv_client_list(client, "agents", &items, &err), VENV_OK);
    assert_true(fake_manager_pongs(manager) >= 5);
    venv_value_unref(&items);
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* A manager that can be reached and is dead is found out by heartbeats, before the request's time is over. */
static fake_verdict freeze(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    (void)manager, (void)type, (void)request;
    note(user, body);
    struct timespec pause = { 2, 0 };
    nanosleep(&pause, NULL);
    return FAKE_HANG_UP;
}

static void test_dead_manager_is_found_out(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null(), body = fake_json("{\"target\": \"node07\", \"verb\": \"stop\"}");
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, freeze, &story);
    fake_manager_set_heartbeat(manager, 200 * MS);
    venv_client *client = client_for(manager);
    venv_client_set_timeout(client, (venv_span){ 60 * VENV_NS_PER_S });
    assert_int_equal(venv_client_request(client, VENV_CLIENT_STEER, &body, &answer, &err), VENV_EUNKNOWN);
    venv_value_unref(&body);
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* What only agents may send, from a manager. */
static fake_verdict break_protocol(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    (void)type;
    note(user, body);
    fake_send(manager, VENV_MSG_CTRLSTOP, request, fake_json("{}"));
    return FAKE_GO_ON;
}

static void test_broken_protocol_is_not_retried(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, break_protocol, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_list(client, "agents", &answer, &err), VENV_EPROTO);
    assert_int_equal(story.asked, 1);
    assert_int_equal(venv_client_start(client, "class2", NULL, &answer, &err), VENV_EUNKNOWN);
    assert_int_equal(story.asked, 2);
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* Answers to nobody, and types of a later version: passed over. */
static fake_verdict chatter(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    (void)type;
    note(user, body);
    fake_send(manager, VENV_MSG_RESULT, request + 1000, fake_json("{\"items\": [1]}"));
    fake_send(manager, VENV_MSG_EVENT, request + 1000, fake_json("{\"revision\": 1}"));
    fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"items\": []}"));
    return FAKE_GO_ON;
}

static void test_chatter_is_passed_over(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value items = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, chatter, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_list(client, "agents", &items, &err), VENV_OK);
    assert_int_equal(venv_value_count(&items), 0);
    venv_value_unref(&items);
    venv_client_free(client);
    fake_manager_stop(manager);
}

static void test_too_large_a_body_is_not_sent(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value answer = venv_value_null();
    char *name = malloc(8192);
    assert_non_null(name);
    memset(name, 'x', 8191);
    name[8191] = 0;
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, answer_all, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_start(client, name, NULL, &answer, &err), VENV_ELIMIT);
    assert_int_equal(story.asked, 0);
    assert_int_equal(venv_client_start(client, "class2", NULL, &answer, &err), VENV_OK); /* the session lives */
    venv_value_unref(&answer);
    free(name);
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* --- events -------------------------------------------------------------------------------------------------- */

/* A log of ten events; hangs up after every third while it may. */
static void send_event(fake_manager *manager, uint64_t request, uint64_t revision)
{
    char text[160];
    snprintf(text, sizeof text, "{\"revision\": %u, \"kind\": \"test\", \"subject\": \"x\", \"text\": \"event %u\"}",
             (unsigned)revision, (unsigned)revision);
    fake_send(manager, VENV_MSG_EVENT, request, fake_json(text));
}

static fake_verdict tell_events(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    fake_story *story = user;
    if (type == VENV_CLIENT_LIST) {
        fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"items\": []}"));
        return FAKE_GO_ON;
    }
    note(story, body);
    uint64_t since = (uint64_t)venv_value_get_int(body, "since", 0);
    bool follow = venv_value_get_bool(body, "follow", false);
    for (uint64_t revision = since + 1; revision <= 10; revision++) {
        send_event(manager, request, revision);
        if (story->asked <= story->hang_ups && revision == since + 3)
            return FAKE_HANG_UP;
    }
    if (!follow)
        fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"revision\": 10}"));
    return FAKE_GO_ON;
}

static void expect_events(venv_client *client, int64_t from, int64_t to)
{
    for (int64_t i = from; i <= to; i++) {
        venv_value event = venv_value_null();
        venv_error err = { 0 };
        venv_rc rc = venv_client_next_event(client, (venv_span){ 5 * VENV_NS_PER_S }, &event, &err);
        if (rc != VENV_OK)
            print_error("event %d: %s\n", (int)i, err.text);
        assert_int_equal(rc, VENV_OK);
        assert_int_equal(venv_value_get_int(&event, "revision", 0), i);
        venv_value_unref(&event);
    }
}

static void test_events_end(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value event = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, tell_events, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_next_event(client, (venv_span){ 0 }, &event, &err), VENV_EINVAL);
    assert_int_equal(venv_client_events(client, 4, 0, false, &err), VENV_OK);
    expect_events(client, 5, 10);
    assert_int_equal(venv_client_next_event(client, (venv_span){ 5 * VENV_NS_PER_S }, &event, &err), VENV_ENOENT);
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* The connection breaks again and again: each event is given once, in order. */
static void test_events_resume(void **state)
{
    (void)state;
    fake_story story = { .hang_ups = 3 };
    venv_error err = { 0 };
    venv_value event = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, tell_events, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_events(client, 0, 0, true, &err), VENV_OK);
    expect_events(client, 1, 10);
    assert_int_equal(story.asked, 4);
    assert_int_equal(venv_client_next_event(client, (venv_span){ 100 * MS }, &event, &err), VENV_ETIMEDOUT);
    venv_client_free(client);
    fake_manager_stop(manager);
}

static void test_requests_beside_events(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value items = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, tell_events, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_events(client, 0, 0, true, &err), VENV_OK);
    assert_int_equal(venv_client_list(client, "agents", &items, &err), VENV_OK);
    expect_events(client, 1, 10);
    venv_value_unref(&items);
    venv_client_free(client);
    fake_manager_stop(manager);
}

/* The manager gives four at a time: the rest is asked for. */
static fake_verdict tell_some(fake_manager *manager, void *user, int16_t type, uint64_t request, const venv_value *body)
{
    (void)type;
    note(user, body);
    uint64_t since = (uint64_t)venv_value_get_int(body, "since", 0);
    for (uint64_t revision = since + 1; revision <= 10 && revision <= since + 4; revision++)
        send_event(manager, request, revision);
    fake_send(manager, VENV_MSG_RESULT, request, fake_json("{\"revision\": 10}"));
    return FAKE_GO_ON;
}

static void test_events_in_parts(void **state)
{
    (void)state;
    fake_story story = { 0 };
    venv_error err = { 0 };
    venv_value event = venv_value_null();
    fake_manager *manager = fake_manager_start(pki, "mgr", 0, FAKE_WELCOME, tell_some, &story);
    venv_client *client = client_for(manager);
    assert_int_equal(venv_client_events(client, 0, 0, false, &err), VENV_OK);
    expect_events(client, 1, 10);
    assert_int_equal(venv_client_next_event(client, (venv_span){ 5 * VENV_NS_PER_S }, &event, &err), VENV_ENOENT);
    assert_int_equal(story.asked, 3);
    venv_client_free(client);
    fake_manager_stop(manager);
}

static int set_up(void **state)
{
    (void)state;
    pki = fake_pki_new("lab");
    other_pki = fake_pki_new("lab");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_pki_free(pki);
    fake_pki_free(other_pki);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_failure_has_code_text_and_detail),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_not_configured),
        cmocka_unit_test(test_no_manager_there),
        cmocka_unit_test(test_next_manager),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_refused_by_alert),
        cmocka_unit_test(test_timed_out),
        cmocka_unit_test(test_asks_again_under_the_same_id),
        cmocka_unit_test(test_unknown_when_it_stays_away),
        cmocka_unit_test(test_steer_is_repeated_under_its_id),
        cmocka_unit_test(test_change_stays_with_its_manager),
        cmocka_unit_test(test_reconnects_after_rest),
        cmocka_unit_test(test_gone_before_asking_is_unreachable),
        cmocka_unit_test(test_answers_heartbeats_while_waiting),
        cmocka_unit_test(test_dead_manager_is_found_out),
        cmocka_unit_test(test_broken_protocol_is_not_retried),
        cmocka_unit_test(test_chatter_is_passed_over),
        cmocka_unit_test(test_too_large_a_body_is_not_sent),
        cmocka_unit_test(test_events_end),
        cmocka_unit_test(test_events_resume),
        cmocka_unit_test(test_requests_beside_events),
        cmocka_unit_test(test_events_in_parts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
