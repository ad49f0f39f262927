/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of events: each has a revision, one more than the last. Whoever follows gets the history out of
 * the store first, page by page, and is switched to live when there is nothing between; so he sees every event,
 * once, in order. Where history was trimmed he is told so by an event `resync`.
 */
#include "manager/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     100000

static venv_value event_value(venv_manager *m, uint64_t revision, const char *kind, const char *subject,
                              venv_id cause, venv_value detail, const char *text)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "revision", venv_value_uint(revision));
    venv_map_put(&map, "time", venv_value_from_wall(m->now.wall));
    venv_map_put_z(&map, "kind", kind);
    venv_map_put_text(&map, "subject", subject, strlen(subject));
    venv_map_put_text(&map, "text", text, strlen(text));
    if (!venv_id_is_none(cause))
        venv_map_put_id(&map, "cause", cause);
    if (venv_value_kind(&detail) != VENV_NULL)
        venv_map_put(&map, "detail", detail);
    return venv_mgr_take_map(m, &map);
}

void venv_mgr_event_add(venv_manager *m, const char *kind, const char *subject, venv_id cause, venv_value detail,
               const char *format, ...)
{
    char raw[768], text[REASON_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    venv_mgr_set_reason(text, raw);
    if (VENV_SEEDED(DROP_EVENT) && strcmp(kind, "instance-running") == 0)
        m->revision++;
    venv_value event = event_value(m, ++m->revision, kind, subject, cause, detail, text);
    size_t cursor = 0;
    void *item;
    while (m->followers > 0 && venv_table_next(m->peers, &cursor, NULL, &item)) {
        peer *p = item;
        if (p->follows)
            venv_mgr_effect_send(m, p, VENV_MSG_EVENT, p->follow_request, venv_value_ref(&event));
    }
    venv_mgr_effect_append(m, event);
}

void venv_mgr_events_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body)
{
    int64_t limit = venv_value_get_int(body, "limit", 0);
    bool follow = venv_value_get_bool(body, "follow", false);
    const venv_value *since = venv_value_get(body, "since");
    bool has_since = since && (venv_value_kind(since) == VENV_UINT || venv_value_kind(since) == VENV_INT);
    if (limit <= 0)
        limit = has_since ? LIMIT_MAX : LIMIT_DEFAULT;
    if (limit > LIMIT_MAX)
        limit = LIMIT_MAX;
    uint64_t from = m->revision > (uint64_t)limit ? m->revision - (uint64_t)limit : 0;
    if (has_since)
        from = venv_value_kind(since) == VENV_UINT ? venv_value_peek_uint(since)
                                                   : (uint64_t)(venv_value_peek_int(since) > 0 ? venv_value_peek_int(since) : 0);
    venv_error err = { 0 };
    if (p->follows || m->read_count == READS_MAX) {
        venv_error_set(&err, p->follows ? VENV_ECONFLICT : VENV_ELIMIT,
                       p->follows ? "this connection follows the events already"
                                  : "too many read the events at once; try again later");
        venv_mgr_request_failed(m, p, request, &err);
        return;
    }
    if (from > m->revision) {
        venv_error_set(&err, VENV_ECONFLICT, "revision %llu has not happened: the last one is %llu; was the state restored "
                       "from an older copy? Start again without `since`", (unsigned long long)from,
                       (unsigned long long)m->revision);
        venv_mgr_request_failed(m, p, request, &err);
        return;
    }
    if (!m->reads)
        m->reads = calloc(READS_MAX, sizeof *m->reads);
    if (!m->reads) {
        venv_mgr_no_memory(m);
        return;
    }
    history_read *read = &m->reads[m->read_count++];
    *read = (history_read){ venv_mgr_next_number(m), p->number, request, from, from, m->revision, (uint32_t)limit, follow };
    venv_mgr_effect_read(m, read->token, from, READ_PAGE);
    if (VENV_SEEDED(WATCH_EARLY) && follow) {
        p->follows = true;
        m->followers++;
        p->follow_request = request;
    }
}

static void drop_read(venv_manager *m, size_t index)
{
    memmove(&m->reads[index], &m->reads[index + 1], (m->read_count - index - 1) * sizeof *m->reads);
    m->read_count--;
}

static void send_page(venv_manager *m, peer *p, history_read *read, const venv_value *rows)
{
    for (size_t i = 0; i < venv_value_count(rows) && read->left > 0; i++) {
        const venv_value *event = venv_value_at(rows, i);
        uint64_t revision = venv_mgr_get_uint(event, "revision");
        if (revision <= read->sent)
            continue;
        if (revision > read->sent + 1)
            venv_mgr_effect_send(m, p, VENV_MSG_EVENT, read->request,
                        event_value(m, revision - 1, "resync", "events", (venv_id){ { 0 } }, venv_value_null(),
                                    "the events before this are no longer kept"));
        venv_mgr_effect_send(m, p, VENV_MSG_EVENT, read->request, venv_value_ref(event));
        read->sent = revision;
        if (!read->follow)
            read->left--;
    }
}

/* `rows` NULL: they could not be read. */
void venv_mgr_events_history(venv_manager *m, uint64_t token, const venv_value *rows, const char *trouble)
{
    size_t index = 0;
    while (index < m->read_count && m->reads[index].token != token)
        index++;
    if (index == m->read_count)
        return;
    history_read *read = &m->reads[index];
    peer *p = venv_mgr_peer_find(m, read->peer);
    if (!p || p->closing) {
        drop_read(m, index);
        return;
    }
    if (!rows) {
        venv_error err = { 0 };
        venv_error_set(&err, VENV_EIO, "the log of events could not be read: %s", trouble ? trouble : "?");
        venv_mgr_request_failed(m, p, read->request, &err);
        drop_read(m, index);
        return;
    }
    send_page(m, p, read, rows);
    /* Nothing to read is either a log that was trimmed, or events that were added since the store was asked. */
    bool trimmed = venv_value_count(rows) == 0 && read->sent < read->asked;
    bool more = !trimmed && read->sent < m->revision && !VENV_SEEDED(WATCH_GAP);
    if (more && read->left > 0) {
        read->asked = m->revision;
        venv_mgr_effect_read(m, read->token, read->sent, READ_PAGE);
        return;
    }
    if (read->follow) {
        if (read->sent < m->revision) /* all of it was trimmed */
            venv_mgr_effect_send(m, p, VENV_MSG_EVENT, read->request,
                        event_value(m, m->revision, "resync", "events", (venv_id){ { 0 } }, venv_value_null(),
                                    "the events before this are no longer kept"));
        p->follows = true;
        m->followers++;
        p->follow_request = read->request;
    } else {
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put(&map, "revision", venv_value_uint(read->left > 0 ? m->revision : read->sent));
        venv_mgr_request_result(m, p, read->request, venv_mgr_take_map(m, &map));
    }
    drop_read(m, index);
}

void venv_mgr_events_forget_peer(venv_manager *m, uint64_t number)
{
    for (size_t i = m->read_count; i-- > 0;)
        if (m->reads[i].peer == number)
            drop_read(m, i);
}
