/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venv_sim --replay FILE: steps a manager's core through a flight record (manager/record.h), and prints each event with
 * what came out, and whether that agrees with what came out then. A segment that begins with the birth of the core is exact; one
 * that begins later shows what a manager would do that was restarted there.
 */
#include "sim/replay.h"

#include "manager/record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SOURCES_MAX 256u
#define ROWS_MAX    (1u << 20)
#define FILE_MAX    ((size_t)VENV_RECORD_SIZE_MAX)

typedef struct replay {
    FILE *out;
    venv_manager_config *config;
    venv_manager *core;
    venv_manager_actions actions;
    bool exact, stepped;
    uint64_t events, agree, differ, unknown, segments;
} replay;

static venv_rc make_config(const venv_value *list, venv_manager_config **ret_config, venv_error *err)
{
    venv_manager_source sources[SOURCES_MAX];
    char *names[SOURCES_MAX];
    size_t count = list ? venv_value_count(list) : 0;
    if (count == 0 || count > SOURCES_MAX)
        return venv_error_set(err, VENV_EINVAL, "the record has no configuration");
    for (size_t i = 0; i < count; i++) {
        venv_str name = venv_value_get_text(venv_value_at(list, i), "file");
        names[i] = strndup(name.data ? name.data : "", name.size);
        sources[i] = (venv_manager_source){ names[i] ? names[i] : "", venv_value_get_text(venv_value_at(list, i), "text") };
    }
    venv_rc rc = venv_manager_config_new(sources, count, NULL, NULL, ret_config, err);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    return rc;
}

static uint64_t number(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    return value && venv_value_kind(value) == VENV_UINT ? venv_value_peek_uint(value) : 0;
}

static void drop(replay *r)
{
    venv_manager_free(r->core);
    venv_manager_config_free(r->config);
    r->core = NULL;
    r->config = NULL;
}

static venv_rc begin(replay *r, const venv_value *from, venv_error *err)
{
    const venv_value *list = venv_value_get(from, "rows");
    size_t count = list && venv_value_kind(list) == VENV_LIST ? venv_value_count(list) : 0;
    venv_now now = { { venv_value_get_int(from, "mono", 0) }, { venv_value_get_int(from, "wall", 0) } };
    venv_id boot = { { 0 } };
    drop(r);
    r->segments++;
    r->exact = venv_value_get_bool(from, "exact", false);
    fprintf(r->out, "%s, %zu rows, revision %" PRIu64 "\n",
            r->exact ? "begins with the start of the manager" : "begins in the middle: as if it had been restarted here", count,
            number(from, "revision"));
    if (count > ROWS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the record has more than %u rows", ROWS_MAX);
    venv_manager_row *rows = calloc(count + 1, sizeof *rows);
    if (!rows)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const venv_value *row = venv_value_at(list, i);
        if (venv_value_count(row) == 3)
            rows[i] = (venv_manager_row){ (venv_collection)venv_value_peek_int(venv_value_at(row, 0)), venv_value_at(row, 1),
                                          venv_value_at(row, 2) };
        else
            count = i;
    }
    venv_value_get_id(from, "boot", &boot);
    venv_rc rc = make_config(venv_value_get(from, "config"), &r->config, err);
    if (rc == VENV_OK)
        rc = venv_manager_new(r->config, rows, count, number(from, "revision"), boot, number(from, "seed"), now, &r->core, err);
    free(rows);
    return rc;
}

static const char *event_name(venv_manager_event_kind kind)
{
    static const char *const names[] = { [VENV_MANAGER_EVENT_TIME] = "time",       [VENV_MANAGER_EVENT_PEER_UP] = "up",
                                         [VENV_MANAGER_EVENT_PEER_DOWN] = "down",   [VENV_MANAGER_EVENT_FRAME] = "frame",
                                         [VENV_MANAGER_EVENT_DISK] = "disk",        [VENV_MANAGER_EVENT_ANSWER] = "answer",
                                         [VENV_MANAGER_EVENT_HISTORY] = "history",  [VENV_MANAGER_EVENT_DELIVERED] = "delivered",
                                         [VENV_MANAGER_EVENT_CONFIG] = "configuration" };
    return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

static void print_action(replay *r, const venv_manager_action *a)
{
    char text[400] = "";
    switch (a->kind) {
    case VENV_MANAGER_ACT_SEND:
        venv_value_print(&a->value, text, sizeof text);
        fprintf(r->out, "    → %" PRIu64 ": %s %s\n", a->peer, venv_message_name(a->type), text);
        break;
    case VENV_MANAGER_ACT_CLOSE: fprintf(r->out, "    closes %" PRIu64 ": %s\n", a->peer, a->text ? a->text : ""); break;
    case VENV_MANAGER_ACT_PUT:
    case VENV_MANAGER_ACT_DELETE:
        venv_value_print(a->kind == VENV_MANAGER_ACT_PUT ? &a->value : &a->key, text, sizeof text);
        fprintf(r->out, "    %s row of %d: %s\n", a->kind == VENV_MANAGER_ACT_PUT ? "writes" : "deletes", (int)a->collection, text);
        break;
    case VENV_MANAGER_ACT_APPEND: {
        venv_str line = venv_value_get_text(&a->value, "text");
        fprintf(r->out, "    event: %.*s\n", (int)line.size, line.data ? line.data : "");
        break;
    }
    case VENV_MANAGER_ACT_LOG: fprintf(r->out, "    log: %s\n", a->text ? a->text : ""); break;
    default: fprintf(r->out, "    action %d\n", (int)a->kind); break;
    }
}

static venv_rc step(replay *r, const venv_record_item *item, venv_error *err)
{
    const venv_manager_event *e = &item->event;
    char body[400] = "";
    if (e->value)
        venv_value_print(e->value, body, sizeof body);
    fprintf(r->out, "%.6f %s", (double)item->now.mono.ns / 1e9, event_name(e->kind));
    if (e->peer)
        fprintf(r->out, " %" PRIu64, e->peer);
    fprintf(r->out, "%s%s%s%s %s\n", e->kind == VENV_MANAGER_EVENT_FRAME ? " " : "",
            e->kind == VENV_MANAGER_EVENT_FRAME ? venv_message_name(e->type) : "", e->text ? " " : "", e->text ? e->text : "", body);
    r->events++;
    r->stepped = false;
    venv_manager_actions_clear(&r->actions);
    if (!r->core)
        return VENV_OK;
    venv_manager_event event = *e;
    venv_manager_config *fresh = NULL;
    if (e->kind == VENV_MANAGER_EVENT_CONFIG && e->rc == VENV_OK && make_config(e->value, &fresh, NULL) != VENV_OK) {
        fprintf(r->out, "    (another configuration, which is not in the record: it goes on with it from its next segment)\n");
        r->exact = false;
        return VENV_OK;
    }
    event.config = fresh;
    venv_rc rc = venv_manager_step(r->core, item->now, &event, &r->actions, err);
    venv_manager_config_free(fresh);
    for (size_t i = 0; i < r->actions.count; i++)
        print_action(r, &r->actions.items[i]);
    r->stepped = rc == VENV_OK;
    return rc;
}

static void judge(replay *r, const venv_record_item *item)
{
    if (!r->stepped || !r->exact) {
        r->unknown++;
        return;
    }
    bool same = item->actions == r->actions.count && item->shape == venv_record_shape(&r->actions) &&
                (item->digest == 0 || item->digest == venv_record_digest(&r->actions));
    fprintf(r->out, "    %s\n", same ? "agrees" : "DIFFERS from what came out then");
    if (same)
        r->agree++;
    else
        r->differ++;
}

static char *read_all(const char *name, size_t *ret_size)
{
    FILE *file = fopen(name, "rb");
    char *data = NULL;
    size_t size = 0, capacity = 0, got = 1;
    while (file && got > 0 && size < FILE_MAX) {
        if (size == capacity) {
            capacity = capacity ? capacity * 2 : 65536;
            char *grown = realloc(data, capacity);
            if (!grown)
                break;
            data = grown;
        }
        got = fread(data + size, 1, capacity - size, file);
        size += got;
    }
    if (file)
        fclose(file);
    *ret_size = size;
    return data;
}

int replay_file(const char *name, FILE *out)
{
    replay r = { .out = out };
    venv_error err = { 0 };
    venv_record_item item;
    size_t size = 0, at = 0;
    char *data = read_all(name, &size);
    venv_rc rc = data ? VENV_OK : venv_error_set(&err, VENV_EIO, "it cannot be read");
    venv_manager_actions_init(&r.actions);
    while (rc == VENV_OK && (rc = venv_record_next((venv_str){ data, size }, &at, &item, &err)) == VENV_OK) {
        if (item.kind == VENV_RECORD_BEGIN)
            rc = begin(&r, &item.value, &err);
        else if (item.kind == VENV_RECORD_EVENT)
            rc = step(&r, &item, &err);
        else if (item.kind == VENV_RECORD_STEP)
            judge(&r, &item);
        else
            r.exact = false;
        venv_record_item_fini(&item);
    }
    if (rc != VENV_ENOENT)
        fprintf(stderr, "venv_sim: %s: %s\n", name, err.text);
    fprintf(out, "%" PRIu64 " segments, %" PRIu64 " events: %" PRIu64 " steps agree, %" PRIu64 " differ, %" PRIu64 " cannot be compared\n",
            r.segments, r.events, r.agree, r.differ, r.unknown);
    venv_manager_actions_fini(&r.actions);
    drop(&r);
    free(data);
    return rc == VENV_ENOENT && r.differ == 0 && r.events > 0 ? 0 : 1;
}

bool replay_write(const venv_recorder *recorder, const char *name)
{
    venv_str parts[VENV_RECORD_PARTS];
    FILE *file = fopen(name, "wb");
    bool good = file != NULL;
    venv_recorder_parts(recorder, parts);
    for (size_t i = 0; good && i < VENV_RECORD_PARTS; i++)
        good = fwrite(parts[i].data, 1, parts[i].size, file) == parts[i].size;
    return (file ? fclose(file) == 0 : false) && good;
}
