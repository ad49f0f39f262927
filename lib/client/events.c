/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of events: kept while other requests are made, resumed after the last one received when
 * the connection breaks.
 */
#include "client/client.h"

#include <stdlib.h>

#define PAGE_FULL 1000 /* so many in one answer: there may be more, whatever revision it names */

static void forget(venv_client_stream *stream)
{
    for (; stream->count > 0; stream->count--) {
        venv_value_unref(&stream->queue[stream->first]);
        stream->first = (stream->first + 1) % VENV_CLIENT_EVENTS_MAX;
    }
}

void venv_client_stream_fini(venv_client_stream *stream)
{
    forget(stream);
    free(stream->queue);
    *stream = (venv_client_stream){ 0 };
}

static void keep(venv_client_stream *stream, venv_value event)
{
    int64_t revision = venv_value_get_int(&event, "revision", -1);
    if (revision >= 0 && (uint64_t)revision <= stream->since) {
        venv_value_unref(&event); /* had it before the connection broke */
        return;
    }
    if (stream->count == VENV_CLIENT_EVENTS_MAX) {
        /* Only other requests can let it come to this: the oldest of the stream will be asked for again. */
        venv_value_unref(&event);
        stream->overrun = true;
        return;
    }
    if (stream->overrun) {
        venv_value_unref(&event);
        return;
    }
    stream->queue[(stream->first + stream->count) % VENV_CLIENT_EVENTS_MAX] = event;
    stream->count++;
    stream->received++;
    stream->page++;
    stream->recent = false;
    if (revision >= 0)
        stream->since = (uint64_t)revision;
}

bool venv_client_stream_take(venv_client *client, venv_link_frame *frame)
{
    venv_client_stream *stream = &client->stream;
    if (!stream->open || stream->request == 0 || frame->request != stream->request)
        return false;
    if (frame->type == VENV_MSG_EVENT) {
        keep(stream, frame->body);
        return true;
    }
    if (frame->type == VENV_MSG_FAILED) {
        stream->failed = venv_client_take_failure(client, &frame->body, &stream->error);
    } else {
        stream->ended = true;
        stream->last = (uint64_t)venv_value_get_int(&frame->body, "revision", 0);
    }
    venv_value_unref(&frame->body);
    return true;
}

/* Ask for what comes after the last one received. */
static venv_rc resume(venv_client *client, venv_instant deadline, venv_error *err)
{
    venv_client_stream *stream = &client->stream;
    venv_value body = venv_value_null();
    venv_map_builder map;
    venv_map_init(&map);
    if (!stream->recent)
        venv_map_put(&map, "since", venv_value_uint(stream->since));
    if (stream->limit > 0 && stream->limit > stream->received)
        venv_map_put(&map, "limit", venv_value_int((int64_t)(stream->limit - stream->received)));
    if (stream->follow)
        venv_map_put(&map, "follow", venv_value_bool(true));
    venv_rc rc = venv_map_take(&map, &body, err);
    if (rc != VENV_OK)
        return rc;
    stream->request = ++client->last_request;
    stream->page = 0;
    stream->ended = stream->overrun = false;
    rc = venv_link_send(client->link, VENV_MSG_EVENTS, stream->request, &body, deadline, err);
    venv_value_unref(&body);
    if (rc != VENV_OK) {
        stream->request = 0;
        if (rc != VENV_ENOMEM)
            venv_client_drop_link(client);
    }
    return rc;
}

venv_rc venv_client_events(venv_client *client, uint64_t since, uint32_t limit, bool follow, venv_error *err)
{
    venv_client_stream *stream = &client->stream;
    forget(stream);
    if (stream->open && stream->follow)
        venv_client_drop_link(client); /* a session follows until it ends */
    if (!stream->queue)
        stream->queue = calloc(VENV_CLIENT_EVENTS_MAX, sizeof *stream->queue);
    if (!stream->queue)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_value *queue = stream->queue;
    *stream = (venv_client_stream){ .follow = follow, .limit = limit, .queue = queue,
                                     .recent = since == VENV_CLIENT_RECENT, .since = since == VENV_CLIENT_RECENT ? 0 : since };
    venv_instant deadline = venv_client_deadline(client->timeout);
    for (unsigned attempt = 0;; attempt++) {
        venv_rc rc = venv_client_reconnect(client, VENV_CLIENT_ANY, deadline, err);
        if (rc != VENV_OK)
            return rc;
        rc = resume(client, deadline, err);
        if (rc == VENV_OK) {
            stream->open = true;
            return VENV_OK;
        }
        /* A session that had rested too long is found out when we write; a fresh one is not. */
        if (attempt > 0 || client->link)
            return rc;
    }
}

/* An answer ended, but not the log: the manager gives so much at a time. */
static bool is_partial(const venv_client_stream *stream)
{
    bool more_wanted = stream->limit == 0 || stream->received < stream->limit;
    bool more_there = stream->last > stream->since || stream->page >= PAGE_FULL;
    return stream->overrun || (stream->ended && more_wanted && stream->page > 0 && more_there);
}

static venv_rc advance(venv_client *client, venv_instant deadline, unsigned *attempt, venv_error *err)
{
    venv_client_stream *stream = &client->stream;
    if (!client->link) {
        /* Revisions are counted by each manager: only the one that gave them can go on. */
        venv_client_back_off(*attempt, deadline);
        *attempt += 1;
        venv_rc rc = venv_client_reconnect(client, client->current, deadline, err);
        return rc == VENV_OK ? resume(client, deadline, err) : rc;
    }
    if (stream->request == 0 || is_partial(stream))
        return resume(client, deadline, err);
    venv_link_frame frame = { .body = venv_value_null() };
    bool taken = false;
    venv_rc rc = venv_client_receive(client, deadline, &frame, &taken, err);
    venv_value_unref(&frame.body); /* an answer that nobody waits for any more */
    return rc;
}

venv_rc venv_client_next_event(venv_client *client, venv_span timeout, venv_value *ret_event, venv_error *err)
{
    venv_client_stream *stream = &client->stream;
    venv_instant deadline = venv_client_deadline(timeout);
    venv_error own = { 0 };
    err = err ? err : &own;
    if (!stream->open)
        return venv_error_set(err, VENV_EINVAL, "no stream of events is open");
    for (unsigned attempt = 0;;) {
        if (stream->count > 0) {
            *ret_event = stream->queue[stream->first];
            stream->first = (stream->first + 1) % VENV_CLIENT_EVENTS_MAX;
            stream->count--;
            return VENV_OK;
        }
        if (stream->failed != VENV_OK) {
            stream->open = false;
            *err = stream->error;
            return stream->failed;
        }
        if (stream->ended && !is_partial(stream)) {
            stream->open = false;
            return venv_error_set(err, VENV_ENOENT, "that was the last event");
        }
        venv_rc rc = advance(client, deadline, &attempt, err);
        bool passing = rc == VENV_EUNREACHABLE || rc == VENV_EPROTO;
        if (rc == VENV_ETIMEDOUT && !client->link)
            passing = true;
        if (rc == VENV_OK || (passing && venv_link_now().mono.ns < deadline.ns))
            continue;
        return rc == VENV_EPROTO ? VENV_EUNREACHABLE : rc;
    }
}
