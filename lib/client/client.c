/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with one of several managers, and requests over it: pairing of answers, asking again after a
 * connection broke, and how much is known when no answer came.
 */
#include "client/client.h"

#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACK_OFF_FIRST_NS (INT64_C(100) * 1000 * 1000)
#define BACK_OFF_MAX_NS   (2 * VENV_NS_PER_S)

venv_instant venv_client_deadline(venv_span timeout)
{
    int64_t now = venv_link_now().mono.ns;
    return (venv_instant){ timeout.ns < 0 || timeout.ns > INT64_MAX - now ? INT64_MAX : now + timeout.ns };
}

/* --- being connected --------------------------------------------------------------------------------- */

void venv_client_drop_link(venv_client *client)
{
    venv_link_close(client->link);
    client->link = NULL;
}

static venv_rc connect_to(venv_client *client, size_t index, venv_instant deadline, venv_error *err)
{
    venv_instant own = venv_client_deadline(client->config->connect_timeout);
    venv_rc rc = venv_link_open(client->config->managers[index], client->tls, own.ns < deadline.ns ? own : deadline,
                                &client->link, err);
    if (rc == VENV_OK) {
        client->current = index;
        (void)snprintf(client->peer, sizeof client->peer, "%s", venv_link_peer(client->link));
    }
    return rc;
}

/* Codes that tell of this attempt only; every other one would be the same with the next manager. */
static bool is_passing(venv_rc rc)
{
    return rc == VENV_EUNREACHABLE || rc == VENV_ETIMEDOUT || rc == VENV_EPROTO || rc == VENV_EUNSUPPORTED || rc == VENV_ECONFLICT ||
           rc == VENV_ELIMIT;
}

/* "ADDRESS: why", where the text does not name the address itself. */
static void tell_reason(venv_buf *reasons, const char *address, const char *text)
{
    if (reasons->size > 0)
        venv_buf_append_text(reasons, "; ");
    if (!strstr(text, address))
        venv_buf_printf(reasons, "%s: ", address);
    venv_buf_append_text(reasons, text);
}

venv_rc venv_client_reconnect(venv_client *client, size_t only, venv_instant deadline, venv_error *err)
{
    if (client->link)
        return VENV_OK;
    size_t count = client->config->manager_count;
    venv_buf reasons;
    venv_buf_init(&reasons, VENV_CLIENT_MANAGERS_MAX * (VENV_ERROR_TEXT_MAX + VENV_CLIENT_ADDRESS_MAX + 8));
    venv_rc rc = VENV_EUNREACHABLE;
    for (size_t i = 0; i < count; i++) {
        size_t index = (client->current + i) % count;
        venv_error one = { 0 };
        if (only != VENV_CLIENT_ANY && index != only)
            continue;
        rc = connect_to(client, index, deadline, &one);
        if (rc == VENV_OK)
            break;
        bool passing = is_passing(rc);
        if (!passing)
            venv_buf_clear(&reasons);
        tell_reason(&reasons, client->config->managers[index], one.text);
        if (!passing)
            break;
        rc = VENV_EUNREACHABLE;
    }
    if (rc != VENV_OK)
        (void)venv_error_set(err, rc, "%s%s", rc == VENV_EUNREACHABLE ? "no manager can be reached: " : "",
                             venv_buf_peek_text(&reasons));
    venv_buf_fini(&reasons);
    return rc;
}

void venv_client_back_off(unsigned attempt, venv_instant deadline)
{
    int64_t wait = BACK_OFF_FIRST_NS << (attempt < 5 ? attempt : 5);
    int64_t left = deadline.ns - venv_link_now().mono.ns;
    wait = wait > BACK_OFF_MAX_NS ? BACK_OFF_MAX_NS : wait;
    wait = wait > left ? left : wait;
    if (wait <= 0)
        return;
    struct timespec span = { wait / VENV_NS_PER_S, wait % VENV_NS_PER_S };
    while (nanosleep(&span, &span) != 0 && errno == EINTR)
        continue;
}

static venv_rc prepare(venv_client *client, venv_error *err)
{
    const venv_client_config *config = client->config;
    if (config->manager_count == 0)
        return venv_error_set(err, VENV_EINVAL, "no manager is configured: name one as HOST:PORT");
    if (!config->ca)
        return venv_error_set(err, VENV_EINVAL, "no identity is configured: name the files of the CA's certificate, "
                              "our certificate and our key");
    venv_tls_files files = { .ca = config->ca, .certificate = config->certificate, .key = config->key };
    return venv_tls_context_new(VENV_TLS_CLIENT, &files, &client->tls, err);
}

venv_rc venv_client_connect(const venv_client_config *config, venv_client **ret_client, venv_error *err)
{
    venv_client *client = calloc(1, sizeof *client);
    if (!client)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    client->timeout = VENV_CLIENT_REQUEST_TIMEOUT;
    client->detail = venv_value_null();
    venv_rc rc = venv_client_config_copy(config, &client->config, err);
    if (rc == VENV_OK)
        rc = prepare(client, err);
    if (rc == VENV_OK)
        rc = venv_client_reconnect(client, VENV_CLIENT_ANY, VENV_INSTANT_NEVER, err);
    if (rc != VENV_OK) {
        venv_client_free(client);
        return rc;
    }
    *ret_client = client;
    return VENV_OK;
}

void venv_client_free(venv_client *client)
{
    if (!client)
        return;
    venv_client_drop_link(client);
    venv_client_stream_fini(&client->stream);
    venv_value_unref(&client->detail);
    venv_tls_context_free(client->tls);
    venv_client_config_free(client->config);
    free(client);
}

const char *venv_client_address(const venv_client *client)
{
    return client->config->managers[client->current];
}

const char *venv_client_manager(const venv_client *client)
{
    return client->peer;
}

void venv_client_set_timeout(venv_client *client, venv_span timeout)
{
    client->timeout = timeout;
}

const venv_value *venv_client_detail(const venv_client *client)
{
    return client->has_detail ? &client->detail : NULL;
}

venv_rc venv_client_make_id(venv_id *ret_id, venv_error *err)
{
    return venv_identity_random_id(ret_id, err);
}

/* --- one request --------------------------------------------------------------------------------------- */

venv_rc venv_client_take_failure(venv_client *client, const venv_value *body, venv_error *err)
{
    venv_str name = venv_value_get_text(body, "rc");
    venv_str text = venv_value_get_text(body, "error");
    venv_rc rc = VENV_EPROTO;
    for (int i = VENV_EINTERNAL; i < VENV_OK; i++) {
        const char *known = venv_rc_name((venv_rc)i);
        if (strlen(known) == name.size && memcmp(known, name.data, name.size) == 0)
            rc = (venv_rc)i;
    }
    const venv_value *detail = venv_value_get(body, "detail");
    if (detail) {
        client->detail = venv_value_ref(detail);
        client->has_detail = true;
    }
    if (text.size == 0)
        return venv_error_set(err, rc, "the manager refused, and gave no reason (%.*s)", (int)name.size, name.data);
    return venv_error_set(err, rc, "%.*s", (int)text.size, text.data);
}

venv_rc venv_client_receive(venv_client *client, venv_instant deadline, venv_link_frame *ret_frame, bool *ret_taken,
                            venv_error *err)
{
    venv_link_frame frame = { .body = venv_value_null() };
    venv_rc rc = venv_link_receive(client->link, deadline, &frame, err);
    if (rc != VENV_OK) {
        if (rc != VENV_ETIMEDOUT)
            venv_client_drop_link(client);
        return rc;
    }
    *ret_taken = venv_client_stream_take(client, &frame);
    if (!*ret_taken)
        *ret_frame = frame;
    return VENV_OK;
}

/* What is asked, and how often it may be. */
typedef struct asked {
    venv_client_verb verb;
    const venv_value *body;
    bool changes;      /* may have an effect */
    bool repeatable;   /* asking again does no harm */
    bool sent;         /* the manager may have it */
    bool broke;        /* a connection broke while we waited */
    size_t sent_to;
    venv_id id;
} asked;

/* The answer to request `number`, whatever else comes before it. */
static venv_rc await(venv_client *client, uint64_t number, venv_instant deadline, bool *ret_answered,
                     venv_value *ret_answer, venv_error *err)
{
    for (;;) {
        venv_link_frame frame = { .body = venv_value_null() };
        bool taken = false;
        venv_rc rc = venv_client_receive(client, deadline, &frame, &taken, err);
        if (rc != VENV_OK)
            return rc;
        if (taken)
            continue;
        bool ours = frame.request == number;
        if (ours && frame.type == VENV_MSG_RESULT) {
            *ret_answered = true;
            *ret_answer = frame.body;
            return VENV_OK;
        }
        *ret_answered = ours;
        if (ours && frame.type == VENV_MSG_FAILED)
            rc = venv_client_take_failure(client, &frame.body, err);
        else if (ours && frame.type == VENV_MSG_UNKNOWNTYPE)
            rc = venv_error_set(err, VENV_EUNSUPPORTED, "the manager does not know this request: is it older than this program?");
        else if (ours)
            rc = venv_error_set(err, VENV_EPROTO, "the manager answered with %s", venv_message_name(frame.type));
        venv_value_unref(&frame.body); /* an answer that nobody waits for any more is dropped */
        if (ours)
            return rc;
    }
}

/*
 * A session that rested may have been ended by the manager: find that out before a request is written into it,
 * since afterwards nobody could tell whether it arrived.
 */
static void notice_end(venv_client *client)
{
    bool taken = false;
    for (unsigned i = 0; client->link && i < 2 * VENV_CLIENT_EVENTS_MAX; i++) {
        venv_link_frame frame = { .body = venv_value_null() };
        venv_error ignored = { 0 };
        if (venv_client_receive(client, (venv_instant){ 0 }, &frame, &taken, &ignored) != VENV_OK)
            return;
        venv_value_unref(&frame.body);
    }
}

/* Ask once. *ret_answered: what is returned is the manager's word. */
static venv_rc ask_once(venv_client *client, asked *request, venv_instant deadline, bool *ret_answered,
                        venv_value *ret_answer, venv_error *err)
{
    *ret_answered = false;
    uint64_t number = ++client->last_request;
    venv_rc rc = venv_link_send(client->link, (int16_t)request->verb, number, request->body, deadline, err);
    if (rc == VENV_ELIMIT || rc == VENV_EKIND || rc == VENV_ENOMEM || rc == VENV_EINVAL) {
        *ret_answered = true; /* not sendable: nothing to find out */
        return rc;
    }
    if (rc != VENV_OK) {
        venv_client_drop_link(client);
        return rc;
    }
    request->sent = true;
    request->sent_to = client->current;
    return await(client, number, deadline, ret_answered, ret_answer, err);
}

/* No answer came: say how much is known. */
static venv_rc not_known(const venv_client *client, const asked *request, venv_rc rc, venv_error *err)
{
    char text[VENV_ERROR_TEXT_MAX], again[VENV_ID_TEXT_SIZE + 64] = "", id[VENV_ID_TEXT_SIZE];
    (void)snprintf(text, sizeof text, "%s", err->text);
    venv_rc how = rc == VENV_ETIMEDOUT && !request->broke ? VENV_ETIMEDOUT : VENV_EUNKNOWN;
    if (!request->changes)
        return venv_error_set(err, rc == VENV_EDENIED ? VENV_EPROTO : rc, "%s", text);
    if (!venv_id_is_none(request->id))
        (void)snprintf(again, sizeof again, ", or ask again under the same id %s", venv_id_format(request->id, id));
    return venv_error_set(err, how,
                          "the outcome of \"%s\" is not known: %s was asked and did not answer (%s); look before you repeat it%s",
                          venv_message_name((int16_t)request->verb), venv_client_address(client), text, again);
}

static venv_rc ask(venv_client *client, asked *request, venv_value *ret_answer, venv_error *err)
{
    venv_instant deadline = venv_client_deadline(client->timeout);
    notice_end(client);
    for (unsigned attempt = 0;; attempt++) {
        size_t only = request->sent && request->changes ? request->sent_to : VENV_CLIENT_ANY;
        venv_rc rc = venv_client_reconnect(client, only, deadline, err);
        if (rc != VENV_OK && !request->sent)
            return rc;
        bool answered = false;
        if (rc == VENV_OK)
            rc = ask_once(client, request, deadline, &answered, ret_answer, err);
        if (answered)
            return rc;
        if (rc == VENV_EDENIED && !request->sent)
            return rc;
        request->broke = request->broke || (request->sent && rc != VENV_ETIMEDOUT);
        /* A manager that breaks the protocol would do so again; one that went away may come back. */
        bool again = rc == VENV_EUNREACHABLE && (!request->sent || request->repeatable);
        if (!again || venv_link_now().mono.ns >= deadline.ns)
            return request->sent ? not_known(client, request, rc, err) : rc;
        if (attempt > 0)
            venv_client_back_off(attempt - 1, deadline);
    }
}

/* The body with an id in it, if it is of a kind that has one. */
static venv_rc with_id(const venv_value *body, venv_id *ret_id, venv_value *ret_body, venv_error *err)
{
    if (venv_value_get_id(body, "id", ret_id)) {
        *ret_body = venv_value_ref(body);
        return VENV_OK;
    }
    venv_rc rc = venv_client_make_id(ret_id, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_builder map;
    venv_map_init(&map);
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(body, i, &key, &value); i++)
        if (!venv_value_is_text(key, "id"))
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    venv_map_put_id(&map, "id", *ret_id);
    return venv_map_take(&map, ret_body, err);
}

/* Requests that change something, once for each id. */
static bool carries_id(venv_client_verb verb)
{
    switch (verb) {
    case VENV_CLIENT_START:
    case VENV_CLIENT_STOP:
    case VENV_CLIENT_EXEC:
    case VENV_CLIENT_CHANGE:
    case VENV_CLIENT_SYNC:
    case VENV_CLIENT_STEER:
    case VENV_CLIENT_PROPOSAL:
    case VENV_CLIENT_TRIGGER:
    case VENV_CLIENT_RESET:
    case VENV_CLIENT_NODE:
    case VENV_CLIENT_APPLY:
    case VENV_CLIENT_DELETE_ENVIRONMENT:
        return true;
    default:
        return false;
    }
}

venv_rc venv_client_request(venv_client *client, venv_client_verb verb, const venv_value *body, venv_value *ret_answer,
                            venv_error *err)
{
    venv_error own = { 0 };
    err = err ? err : &own; /* its text is needed on the way */
    client->has_detail = false;
    venv_value_unref(&client->detail);
    if (verb == VENV_CLIENT_EVENTS || venv_value_kind(body) != VENV_MAP)
        return venv_error_set(err, VENV_EINVAL, "a request has a map as its body, and events are no request");
    bool has_id = carries_id(verb);
    asked request = { .verb = verb, .changes = has_id, .repeatable = true };
    venv_value sent = venv_value_null(), answer = venv_value_null();
    venv_rc rc = has_id ? with_id(body, &request.id, &sent, err) : VENV_OK;
    if (rc != VENV_OK)
        return rc;
    request.body = has_id ? &sent : body;
    rc = ask(client, &request, &answer, err);
    venv_value_unref(&sent);
    if (rc == VENV_OK)
        *ret_answer = answer;
    return rc;
}
