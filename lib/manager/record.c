/* SPDX-License-Identifier: Apache-2.0 */
/* The flight recorder: a ring of two segments, and its reader. Numbers are little-endian and in the order of put_event(). */
#include "manager/record.h"

#include "base/table.h"

#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

#define ITEM_HEAD     5u
#define EVENT_FIXED   80u
#define STEP_SIZE     20u
#define TEXT_MAX      1024u
#define BEGIN_DEPTH   (VENV_CBOR_DEPTH_MAX)
#define SOURCES_BYTES (4u << 20)

typedef struct segment {
    uint8_t *data;
    size_t size; /* bytes of whole items: written last, so that an interrupted append is not seen */
} segment;

struct venv_recorder {
    segment segments[2];
    size_t capacity;     /* of each */
    int current;
    bool has_previous, broken; /* broken: this life is not recorded until a segment begins */
    venv_value sources;  /* list of {file, text} */
    venv_manager *core;
    uint64_t seed;
    venv_id boot;
};

venv_rc venv_recorder_new(size_t size, venv_recorder **ret_recorder, venv_error *err)
{
    if (size < VENV_RECORD_SIZE_MIN || size > VENV_RECORD_SIZE_MAX)
        return venv_error_set(err, VENV_ERANGE, "a flight recorder has between %u and %u bytes", VENV_RECORD_SIZE_MIN,
                              VENV_RECORD_SIZE_MAX);
    venv_recorder *r = calloc(1, sizeof *r);
    if (!r)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the flight recorder");
    r->capacity = size / 2;
    r->segments[0].data = malloc(r->capacity);
    r->segments[1].data = malloc(r->capacity);
    r->sources = venv_value_null();
    r->broken = true;
    if (!r->segments[0].data || !r->segments[1].data) {
        venv_recorder_free(r);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the flight recorder");
    }
    *ret_recorder = r;
    return VENV_OK;
}

void venv_recorder_free(venv_recorder *r)
{
    if (!r)
        return;
    free(r->segments[0].data);
    free(r->segments[1].data);
    venv_value_unref(&r->sources);
    free(r);
}

/* --- writing ------------------------------------------------------------------------------------------------- */

static uint8_t *put_number(uint8_t *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        *to++ = (uint8_t)(number >> (8 * i));
    return to;
}

static uint8_t *put_bytes(uint8_t *to, const void *data, size_t size)
{
    to = put_number(to, size, 4);
    if (size > 0)
        memcpy(to, data, size);
    return to + size;
}

/* Room for an item of this payload in the current segment; NULL if there is none. */
static uint8_t *item_begin(venv_recorder *r, size_t payload)
{
    segment *s = &r->segments[r->current];
    return payload <= UINT32_MAX && r->capacity - s->size >= ITEM_HEAD + payload ? s->data + s->size + ITEM_HEAD : NULL;
}

static void item_end(venv_recorder *r, venv_record_kind kind, size_t payload)
{
    segment *s = &r->segments[r->current];
    s->data[s->size] = (uint8_t)kind;
    put_number(s->data + s->size + 1, payload, 4);
    s->size += ITEM_HEAD + payload;
}

static venv_value text_value(const char *text, size_t size)
{
    venv_value value = venv_value_null();
    if (venv_value_string(text, size, &value, NULL) != VENV_OK)
        if (venv_value_bytes(text, size, &value, NULL) != VENV_OK)
            return venv_value_null();
    return value;
}

venv_value venv_record_sources(const venv_manager_source *sources, size_t count)
{
    venv_list_builder list;
    venv_value value = venv_value_null();
    size_t total = 0;
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        venv_map_builder map;
        venv_value item = venv_value_null();
        total += sources[i].text.size;
        venv_map_init(&map);
        venv_map_put(&map, "file", text_value(sources[i].file, strlen(sources[i].file)));
        venv_map_put(&map, "text", total <= SOURCES_BYTES ? text_value(sources[i].text.data, sources[i].text.size) : venv_value_null());
        if (venv_map_take(&map, &item, NULL) == VENV_OK)
            venv_list_add(&list, item);
    }
    return venv_list_take(&list, &value, NULL) == VENV_OK ? value : venv_value_null();
}

typedef struct snapshot {
    bool exact;
    uint64_t revision;
    venv_now now;
    venv_value rows; /* list of [collection, key, value]; null: too many */
} snapshot;

static bool put_begin(venv_recorder *r, const snapshot *from)
{
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.depth_max = BEGIN_DEPTH;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    venv_map_init(&map);
    venv_map_put(&map, "exact", venv_value_bool(from->exact));
    venv_map_put(&map, "config", venv_value_ref(&r->sources));
    venv_map_put(&map, "rows", venv_value_ref(&from->rows));
    venv_map_put(&map, "revision", venv_value_uint(from->revision));
    venv_map_put_id(&map, "boot", r->boot);
    venv_map_put(&map, "seed", venv_value_uint(r->seed));
    venv_map_put(&map, "mono", venv_value_int(from->now.mono.ns));
    venv_map_put(&map, "wall", venv_value_int(from->now.wall.ns));
    uint8_t *bytes = NULL;
    size_t size = 0;
    venv_rc rc = venv_map_take(&map, &value, NULL);
    if (rc == VENV_OK)
        rc = venv_cbor_encode(&value, &options, &bytes, &size, NULL);
    venv_value_unref(&value);
    uint8_t *to = rc == VENV_OK ? item_begin(r, size) : NULL;
    if (to) {
        memcpy(to, bytes, size);
        item_end(r, VENV_RECORD_BEGIN, size);
    }
    free(bytes);
    return to != NULL;
}

static venv_value rows_value(const venv_manager_row *rows, size_t count)
{
    venv_list_builder list;
    venv_value value = venv_value_null();
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        venv_list_builder triple;
        venv_value item = venv_value_null();
        venv_list_init(&triple);
        venv_list_add(&triple, venv_value_int((int64_t)rows[i].collection));
        venv_list_add(&triple, venv_value_ref(rows[i].key));
        venv_list_add(&triple, venv_value_ref(rows[i].value));
        if (venv_list_take(&triple, &item, NULL) == VENV_OK)
            venv_list_add(&list, item);
    }
    return venv_list_take(&list, &value, NULL) == VENV_OK ? value : venv_value_null();
}

static void begin_segment(venv_recorder *r, snapshot *from)
{
    r->broken = !put_begin(r, from);
    if (r->broken && venv_value_kind(&from->rows) != VENV_NULL) { /* too many rows: what happened is worth keeping all the same */
        venv_value_unref(&from->rows);
        from->exact = false;
        r->broken = !put_begin(r, from);
    }
    venv_value_unref(&from->rows);
}

void venv_recorder_begin(venv_recorder *r, const venv_recorder_birth *birth, venv_manager *core)
{
    snapshot from = { true, birth->last_revision, birth->now, rows_value(birth->rows, birth->row_count) };
    r->core = core;
    r->boot = birth->boot;
    r->seed = birth->seed;
    r->segments[0].size = r->segments[1].size = 0;
    r->current = 0;
    r->has_previous = false;
    venv_recorder_configured(r, birth->sources, birth->source_count);
    begin_segment(r, &from);
}

void venv_recorder_configured(venv_recorder *r, const venv_manager_source *sources, size_t count)
{
    venv_value_unref(&r->sources);
    r->sources = venv_record_sources(sources, count);
}

/* The current segment is full: the one before is given up, and a new one begins with the core as it is. */
static void next_segment(venv_recorder *r, venv_now now)
{
    venv_manager_actions rows;
    venv_manager_actions_init(&rows);
    snapshot from = { false, 0, now, venv_value_null() };
    if (r->core && venv_manager_export(r->core, &rows, &from.revision) == VENV_OK) {
        venv_manager_row *list = calloc(rows.count + 1, sizeof *list);
        for (size_t i = 0; list && i < rows.count; i++)
            list[i] = (venv_manager_row){ rows.items[i].collection, &rows.items[i].key, &rows.items[i].value };
        if (list)
            from.rows = rows_value(list, rows.count);
        free(list);
    }
    venv_manager_actions_fini(&rows);
    r->current = !r->current;
    r->segments[r->current].size = 0;
    r->has_previous = true;
    begin_segment(r, &from);
}

static void put_gap(venv_recorder *r)
{
    if (item_begin(r, 0))
        item_end(r, VENV_RECORD_GAP, 0);
}

static size_t length_of(const char *text)
{
    return text ? strnlen(text, TEXT_MAX) : 0;
}

static void put_event(uint8_t *to, venv_now now, const venv_manager_event *event, venv_str body)
{
    to = put_number(to, (uint64_t)event->kind, 1);
    to = put_number(to, (uint64_t)event->role, 1);
    to = put_number(to, (uint64_t)(uint16_t)event->type, 2);
    to = put_number(to, (event->known ? 1u : 0u) | (event->value ? 2u : 0u) | (event->full ? 4u : 0u), 4);
    to = put_number(to, (uint64_t)now.mono.ns, 8);
    to = put_number(to, (uint64_t)now.wall.ns, 8);
    to = put_number(to, event->peer, 8);
    to = put_number(to, event->request, 8);
    to = put_number(to, event->token, 8);
    memcpy(to, event->action.bytes, sizeof event->action.bytes);
    to = put_number(to + sizeof event->action.bytes, (uint64_t)(uint32_t)event->rc, 4);
    to = put_bytes(to, event->text, length_of(event->text));
    to = put_bytes(to, event->address, length_of(event->address));
    put_bytes(to, body.data, body.size);
}

/* The event goes into the current segment, or begins the next. */
static void add_event(venv_recorder *r, venv_now now, const venv_manager_event *event, venv_str body)
{
    size_t payload = EVENT_FIXED + length_of(event->text) + length_of(event->address) + body.size;
    uint8_t *to = payload <= r->capacity / 2 ? item_begin(r, payload) : NULL;
    if (!to && payload <= r->capacity / 2) {
        next_segment(r, now);
        to = item_begin(r, payload);
    }
    if (!to) {
        put_gap(r);
        return;
    }
    put_event(to, now, event, body);
    item_end(r, VENV_RECORD_EVENT, payload);
}

void venv_recorder_event(venv_recorder *r, venv_now now, const venv_manager_event *event, venv_str body)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (r->broken)
        return;
    if (body.data || !event->value) {
        add_event(r, now, event, body);
        return;
    }
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    if (venv_cbor_encode(event->value, &options, &bytes, &size, NULL) == VENV_OK)
        add_event(r, now, event, (venv_str){ (const char *)bytes, size });
    else
        put_gap(r);
    free(bytes);
}

uint64_t venv_record_shape(const venv_manager_actions *actions)
{
    uint64_t hash = actions->count;
    for (size_t i = 0; i < actions->count; i++) {
        const venv_manager_action *a = &actions->items[i];
        if (a->kind != VENV_MANAGER_ACT_LOG)
            hash = (hash ^ ((uint64_t)a->kind << 20 | (uint64_t)(uint16_t)a->type << 4 | (uint64_t)a->collection)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

uint64_t venv_record_digest(const venv_manager_actions *actions)
{
    uint64_t hash = actions->write + 1;
    for (size_t i = 0; i < actions->count; i++) {
        const venv_manager_action *a = &actions->items[i];
        uint64_t numbers[] = { (uint64_t)a->kind, a->after_write, a->peer, (uint64_t)(uint16_t)a->type, a->request,
                               (uint64_t)a->collection, venv_value_hash(&a->key, 1), venv_value_hash(&a->value, 1) };
        hash = venv_hash_bytes(numbers, sizeof numbers, hash);
        if (a->text)
            hash = venv_hash_bytes(a->text, strlen(a->text), hash);
    }
    return hash ? hash : 1;
}

void venv_recorder_step(venv_recorder *r, const venv_manager_actions *actions, bool whole)
{
    uint8_t *to = r->broken ? NULL : item_begin(r, STEP_SIZE);
    if (!to)
        return; /* the next event changes segments; a step that is not told is not compared */
    to = put_number(to, actions->count, 4);
    to = put_number(to, venv_record_shape(actions), 8);
    put_number(to, whole ? venv_record_digest(actions) : 0, 8);
    item_end(r, VENV_RECORD_STEP, STEP_SIZE);
}

void venv_recorder_parts(const venv_recorder *r, venv_str ret_parts[VENV_RECORD_PARTS])
{
    const segment *first = &r->segments[!r->current], *last = &r->segments[r->current];
    ret_parts[0] = (venv_str){ VENV_RECORD_MAGIC, sizeof VENV_RECORD_MAGIC - 1 };
    ret_parts[1] = (venv_str){ (const char *)first->data, r->has_previous ? first->size : 0 };
    ret_parts[2] = (venv_str){ (const char *)last->data, last->size };
}

size_t venv_recorder_size(const venv_recorder *r)
{
    venv_str parts[VENV_RECORD_PARTS];
    size_t size = 0;
    venv_recorder_parts(r, parts);
    for (size_t i = 0; i < VENV_RECORD_PARTS; i++)
        size += parts[i].size;
    return size;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

/* What is read from; an error sticks. */
typedef struct reader {
    const uint8_t *data;
    size_t left;
    bool bad;
} reader;

static uint64_t get_number(reader *from, size_t bytes)
{
    uint64_t number = 0;
    if (from->left < bytes) {
        from->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)from->data[i] << (8 * i);
    from->data += bytes;
    from->left -= bytes;
    return number;
}

static venv_str get_bytes(reader *from)
{
    size_t size = (size_t)get_number(from, 4);
    if (from->bad || from->left < size) {
        from->bad = true;
        return (venv_str){ "", 0 };
    }
    venv_str bytes = { (const char *)from->data, size };
    from->data += size;
    from->left -= size;
    return bytes;
}

static venv_rc decode(venv_str bytes, venv_value *ret_value, venv_error *err)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    return venv_cbor_decode(bytes.data, bytes.size, &options, ret_value, err);
}

static char *text_of(venv_str bytes)
{
    return bytes.size > 0 ? strndup(bytes.data, bytes.size) : NULL;
}

static venv_rc read_event(reader *from, venv_record_item *item, venv_error *err)
{
    venv_manager_event *e = &item->event;
    e->kind = (venv_manager_event_kind)get_number(from, 1);
    e->role = (venv_role)get_number(from, 1);
    e->type = (int16_t)(uint16_t)get_number(from, 2);
    uint64_t flags = get_number(from, 4);
    e->known = (flags & 1) != 0;
    e->full = (flags & 4) != 0;
    item->now.mono.ns = (int64_t)get_number(from, 8);
    item->now.wall.ns = (int64_t)get_number(from, 8);
    e->peer = get_number(from, 8);
    e->request = get_number(from, 8);
    e->token = get_number(from, 8);
    for (size_t i = 0; i < sizeof e->action.bytes; i++)
        e->action.bytes[i] = (uint8_t)get_number(from, 1);
    e->rc = (venv_rc)(int32_t)(uint32_t)get_number(from, 4);
    venv_str text = get_bytes(from), address = get_bytes(from), body = get_bytes(from);
    if (from->bad)
        return venv_error_set(err, VENV_EINVAL, "an event of the record is damaged");
    item->text = text_of(text);
    item->address = text_of(address);
    e->text = item->text;
    e->address = item->address;
    if (!(flags & 2))
        return VENV_OK;
    e->value = &item->value;
    return decode(body, &item->value, err);
}

venv_rc venv_record_next(venv_str file, size_t *at, venv_record_item *ret_item, venv_error *err)
{
    size_t magic = sizeof VENV_RECORD_MAGIC - 1;
    if (*at == 0) {
        if (file.size < magic || memcmp(file.data, VENV_RECORD_MAGIC, magic) != 0)
            return venv_error_set(err, VENV_EINVAL, "it is no record of a manager: it does not begin with \"venv-record 1\"");
        *at = magic;
    }
    reader from = { (const uint8_t *)file.data + *at, file.size - *at, false };
    venv_record_item item = { .kind = (venv_record_kind)get_number(&from, 1), .value = venv_value_null() };
    venv_str payload = get_bytes(&from);
    if (from.bad)
        return venv_error_set(err, VENV_ENOENT, "the record ends");
    *at = (size_t)((const char *)from.data - file.data);
    from = (reader){ (const uint8_t *)payload.data, payload.size, false };
    venv_rc rc = VENV_OK;
    switch (item.kind) {
    case VENV_RECORD_BEGIN: rc = decode(payload, &item.value, err); break;
    case VENV_RECORD_EVENT: rc = read_event(&from, &item, err); break;
    case VENV_RECORD_STEP:
        item.actions = (uint32_t)get_number(&from, 4);
        item.shape = get_number(&from, 8);
        item.digest = get_number(&from, 8);
        break;
    case VENV_RECORD_GAP: break;
    default: rc = venv_error_set(err, VENV_EINVAL, "the record is damaged: it has an item of kind %d", (int)item.kind); break;
    }
    if (rc != VENV_OK) {
        venv_record_item_fini(&item);
        return rc;
    }
    *ret_item = item;
    if (ret_item->event.value)
        ret_item->event.value = &ret_item->value;
    return VENV_OK;
}

void venv_record_item_fini(venv_record_item *item)
{
    venv_value_unref(&item->value);
    free(item->text);
    free(item->address);
    item->text = item->address = NULL;
}
