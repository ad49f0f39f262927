/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML through libyaml's events, with the place of every value.
 *
 * Values that are complete wait on one stack; a list or map that ends takes its items from there. So
 * nothing recurses, and a nesting that is too deep ends the parse at its 65th level: the library never
 * sees more than the 1,024 characters that it reads ahead. Directives are refused before the library
 * sees them, because it compares each with all others.
 */
#include "codec/yaml.h"

#include "base/text.h"
#include "codec/marks.h"
#include "codec/scalar.h"
#include "value/object.h"

#include <stdlib.h>
#include <yaml.h>

#define MARKS_BYTES_MAX ((size_t)64 << 20) /* more than VENV_YAML_EVENTS_MAX marks need */

/* A complete value; its key where it stands in a map. */
typedef struct item {
    venv_value key, value;
    venv_mark mark;
} item;

/* An open list or map. */
typedef struct frame {
    size_t first; /* its items on the stack begin here */
    bool map;
    bool has_key;
    venv_value key;
    venv_mark mark; /* where it begins */
    uint32_t key_line, key_column; /* of the key that was read last */
} frame;

typedef struct reader {
    const char *text;
    size_t size;
    const char *file;
    venv_yaml_marks *marks; /* NULL: nobody asked for them */
    venv_error *err;
    item *items;
    size_t count, capacity;
    frame stack[VENV_YAML_DEPTH_MAX];
    size_t depth;
    bool done; /* the root is items[0] */
    bool ascii; /* columns in characters are columns in bytes */
    size_t offset, line_start, line, column; /* a place in the text, that goes along with the events */
} reader;

/* Lines end as libyaml ends them: CR LF, CR, LF, NEL, LS, PS. */
static size_t line_break(const char *at, size_t size)
{
    if (size >= 2 && at[0] == '\r' && at[1] == '\n')
        return 2;
    if (size >= 1 && (at[0] == '\r' || at[0] == '\n'))
        return 1;
    if (size >= 2 && memcmp(at, "\xc2\x85", 2) == 0)
        return 2;
    if (size >= 3 && memcmp(at, "\xe2\x80", 2) == 0 && ((uint8_t)at[2] == 0xa8 || (uint8_t)at[2] == 0xa9))
        return 3;
    return 0;
}

/* Column in bytes of a place that libyaml gives in characters. Places mostly go forward. */
static uint32_t byte_column(reader *r, const yaml_mark_t *mark)
{
    if (r->ascii)
        return (uint32_t)mark->column + 1;
    if (mark->line < r->line || (mark->line == r->line && mark->column < r->column))
        r->offset = r->line_start = r->line = r->column = 0;
    while (r->offset < r->size && (r->line < mark->line || r->column < mark->column)) {
        size_t width = line_break(r->text + r->offset, r->size - r->offset);
        if (width) {
            r->offset += width;
            r->line++;
            r->column = 0;
            r->line_start = r->offset;
            continue;
        }
        uint32_t point;
        width = venv_utf8_decode(r->text + r->offset, r->size - r->offset, &point);
        r->offset += width ? width : 1;
        r->column++;
    }
    return (uint32_t)(r->offset - r->line_start) + 1;
}

static void make_mark(reader *r, const yaml_mark_t *place, venv_mark_style style, venv_mark *ret_mark)
{
    *ret_mark = (venv_mark){ .file = r->marks ? r->marks->file : r->file, .style = style };
    ret_mark->line = ret_mark->key_line = (uint32_t)place->line + 1;
    ret_mark->column = ret_mark->key_column = byte_column(r, place);
}

VENV_PRINTF(4, 5)
static venv_rc refuse(reader *r, const yaml_mark_t *place, venv_rc rc, const char *format, ...)
{
    if (!r->err)
        return rc;
    char text[VENV_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    venv_error_set(r->err, rc, "%s", text);
    venv_error_at(r->err, r->file, (uint32_t)place->line + 1, byte_column(r, place));
    return rc;
}

static venv_rc out_of_memory(reader *r)
{
    venv_error_set(r->err, VENV_ENOMEM, "out of memory while reading YAML");
    venv_error_at(r->err, r->file, 0, 0);
    return VENV_ENOMEM;
}

/* What is too long or broken before libyaml looks at it. */
static venv_rc guard(reader *r)
{
    yaml_mark_t place = { 0, 0, 0 };
    if (r->size > VENV_YAML_BYTES_MAX)
        return refuse(r, &place, VENV_ELIMIT, "the file has %zu bytes, %zu are allowed", r->size,
                      VENV_YAML_BYTES_MAX);
    size_t line_start = 0, valid = venv_utf8_valid_prefix(r->text, r->size);
    r->ascii = true;
    for (size_t i = 0; i < valid; i++) {
        r->ascii &= !((uint8_t)r->text[i] & 0x80);
        if (i == line_start && r->text[i] == '%')
            return refuse(r, &place, VENV_EINVAL, "directives (a line that begins with %%) are not allowed");
        if (r->text[i] == '\n' || r->text[i] == '\r') {
            place.line += r->text[i] == '\n' || i + 1 == r->size || r->text[i + 1] != '\n';
            line_start = i + 1;
        }
    }
    if (valid == r->size)
        return VENV_OK;
    venv_rc rc = venv_error_set(r->err, VENV_EINVAL, "the text is not valid UTF-8");
    venv_error_at(r->err, r->file, (uint32_t)place.line + 1, (uint32_t)(valid - line_start) + 1);
    return rc;
}

static bool make_room(reader *r)
{
    if (r->count < r->capacity)
        return true;
    size_t capacity = r->capacity ? r->capacity * 2 : 32;
    item *items = realloc(r->items, capacity * sizeof *items);
    if (!items)
        return false;
    r->items = items;
    r->capacity = capacity;
    return true;
}

static frame *top_of(reader *r)
{
    return r->depth ? &r->stack[r->depth - 1] : NULL;
}

static bool expects_key(reader *r)
{
    const frame *top = top_of(r);
    return top && top->map && !top->has_key;
}

/* A complete value: the root, an item, or the value of the key that waits. Takes it over. */
static venv_rc push(reader *r, venv_value value, const venv_mark *mark)
{
    if (!make_room(r)) {
        venv_value_unref(&value);
        return out_of_memory(r);
    }
    frame *top = top_of(r);
    item *fresh = &r->items[r->count++];
    *fresh = (item){ venv_value_null(), value, *mark };
    if (!top) {
        r->done = true;
    } else if (top->map) {
        fresh->key = top->key;
        fresh->mark.key_line = top->key_line;
        fresh->mark.key_column = top->key_column;
        top->key = venv_value_null();
        top->has_key = false;
    }
    return VENV_OK;
}

static venv_rc take_key(reader *r, const yaml_event_t *event, venv_value key, const venv_mark *mark)
{
    frame *top = top_of(r);
    if (!venv_kind_is_key(key.w.kind))
        return refuse(r, &event->start_mark, VENV_EINVAL,
                      "a key must be a string, an integer, true or false; quote it to make it a string");
    if (mark->style == VENV_MARK_PLAIN && venv_value_is_text(&key, "<<"))
        return refuse(r, &event->start_mark, VENV_EINVAL, "merge keys (<<) are not allowed");
    top->key = key;
    top->has_key = true;
    top->key_line = mark->line;
    top->key_column = mark->column;
    return VENV_OK;
}

static venv_mark_style style_of(const yaml_event_t *event)
{
    switch (event->data.scalar.style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        return VENV_MARK_SINGLE;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        return VENV_MARK_DOUBLE;
    case YAML_LITERAL_SCALAR_STYLE:
        return VENV_MARK_LITERAL;
    case YAML_FOLDED_SCALAR_STYLE:
        return VENV_MARK_FOLDED;
    default:
        return VENV_MARK_PLAIN;
    }
}

static venv_rc take_scalar(reader *r, const yaml_event_t *event)
{
    venv_mark mark;
    make_mark(r, &event->start_mark, style_of(event), &mark);
    venv_str text = { (const char *)event->data.scalar.value, event->data.scalar.length };
    venv_value value = venv_value_null();
    venv_scalar is = mark.style == VENV_MARK_PLAIN ? venv_scalar_resolve(text, &value) : VENV_SCALAR_TEXT;
    if (is == VENV_SCALAR_RANGE)
        return refuse(r, &event->start_mark, VENV_ERANGE, "the number %.40s is too large", text.data);
    if (is == VENV_SCALAR_TEXT) {
        /* Escapes in double quotes can make what is not UTF-8. */
        venv_rc rc = venv_value_string(text.data, text.size, &value, NULL);
        if (rc == VENV_ENOMEM)
            return out_of_memory(r);
        if (rc != VENV_OK)
            return refuse(r, &event->start_mark, rc, "the text is not valid UTF-8");
    }
    if (!expects_key(r))
        return push(r, value, &mark);
    venv_rc rc = take_key(r, event, value, &mark);
    if (rc != VENV_OK)
        venv_value_unref(&value);
    return rc;
}

static venv_rc open_container(reader *r, const yaml_event_t *event, bool map)
{
    if (expects_key(r))
        return refuse(r, &event->start_mark, VENV_EINVAL, "a list or map cannot be a key");
    if (r->depth == VENV_YAML_DEPTH_MAX)
        return refuse(r, &event->start_mark, VENV_ELIMIT, "lists and maps are nested deeper than %d",
                      VENV_YAML_DEPTH_MAX);
    frame *top = &r->stack[r->depth++];
    *top = (frame){ .first = r->count, .map = map };
    make_mark(r, &event->start_mark, VENV_MARK_PLAIN, &top->mark);
    return VENV_OK;
}

static int compare_items(const void *a, const void *b)
{
    return venv_key_compare(&((const item *)a)->key, &((const item *)b)->key);
}

static venv_rc sort_items(reader *r, item *items, size_t count)
{
    if (count > 1)
        qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 1; i < count; i++) {
        if (venv_key_compare(&items[i - 1].key, &items[i].key) != 0)
            continue;
        const venv_mark *a = &items[i - 1].mark, *b = &items[i].mark;
        bool swapped = a->key_line > b->key_line || (a->key_line == b->key_line && a->key_column > b->key_column);
        const venv_mark *first = swapped ? b : a, *second = swapped ? a : b;
        char key[128];
        venv_value_print(&items[i].key, key, sizeof key);
        venv_error_set(r->err, VENV_EEXIST, "the key %s is here twice; it stands on line %u already", key,
                       first->key_line);
        venv_error_at(r->err, r->file, second->key_line, second->key_column);
        return VENV_EEXIST;
    }
    return VENV_OK;
}

/* Make the list or map of the items from `first` on. They stay on the stack if that fails. */
static venv_rc make_container(reader *r, const frame *top, venv_value *ret_value, venv_mark *ret_mark)
{
    size_t count = r->count - top->first;
    item *items = count ? r->items + top->first : NULL;
    venv_mark *marks = NULL;
    if (top->map) {
        venv_rc rc = sort_items(r, items, count);
        if (rc != VENV_OK)
            return rc;
    }
    if (r->marks && count) {
        marks = venv_arena_alloc(&r->marks->arena, count * sizeof *marks);
        if (!marks)
            return out_of_memory(r);
        for (size_t i = 0; i < count; i++)
            marks[i] = items[i].mark;
    }
    struct venv_object *object = malloc(top->map ? venv_map_size(count) : venv_list_size(count));
    if (!object)
        return out_of_memory(r);
    venv_object_init(object, top->map ? VENV_MAP : VENV_LIST, count);
    object->u.live.refs = 1;
    venv_value *slot = venv_object_items(object);
    for (size_t i = 0; i < count; i++) {
        if (top->map) {
            venv_object_note_key(object, &items[i].key);
            *slot++ = items[i].key;
        }
        venv_object_note(object, &items[i].value);
        *slot++ = items[i].value;
    }
    *ret_value = venv_value_of_object(object, VENV_FORM_COUNTED);
    *ret_mark = top->mark;
    ret_mark->items = marks;
    ret_mark->count = marks ? (uint32_t)count : 0;
    return VENV_OK;
}

static venv_rc close_container(reader *r)
{
    frame *top = top_of(r);
    venv_value value;
    venv_mark mark;
    venv_rc rc = make_container(r, top, &value, &mark);
    if (rc != VENV_OK)
        return rc;
    r->count = top->first;
    r->depth--;
    return push(r, value, &mark);
}

/* Anchors and tags, wherever an event may have one. */
static venv_rc refuse_properties(reader *r, const yaml_event_t *event, const void *anchor, const void *tag)
{
    if (anchor)
        return refuse(r, &event->start_mark, VENV_EINVAL, "anchors (&name) are not allowed");
    if (tag)
        return refuse(r, &event->start_mark, VENV_EINVAL, "tags (!name) are not allowed");
    return VENV_OK;
}

static venv_rc take_event(reader *r, const yaml_event_t *event)
{
    venv_rc rc;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->done)
            return refuse(r, &event->start_mark, VENV_EINVAL, "a second document begins; a file holds one");
        return VENV_OK;
    case YAML_ALIAS_EVENT:
        return refuse(r, &event->start_mark, VENV_EINVAL, "aliases (*name) are not allowed; quote a text with a *");
    case YAML_SCALAR_EVENT:
        rc = refuse_properties(r, event, event->data.scalar.anchor, event->data.scalar.tag);
        return rc == VENV_OK ? take_scalar(r, event) : rc;
    case YAML_SEQUENCE_START_EVENT:
        rc = refuse_properties(r, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        return rc == VENV_OK ? open_container(r, event, false) : rc;
    case YAML_MAPPING_START_EVENT:
        rc = refuse_properties(r, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        return rc == VENV_OK ? open_container(r, event, true) : rc;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_container(r);
    default:
        return VENV_OK;
    }
}

static venv_rc parser_failed(reader *r, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return out_of_memory(r);
    const char *problem = parser->problem ? parser->problem : "it cannot be read";
    if (parser->error == YAML_READER_ERROR) /* it has an offset only; the parser stands near it */
        return refuse(r, &parser->mark, VENV_EINVAL, "not valid YAML: %s", problem);
    return refuse(r, &parser->problem_mark, VENV_EINVAL, "not valid YAML: %s%s%s", problem,
                  parser->context ? ", " : "", parser->context ? parser->context : "");
}

static venv_rc read_events(reader *r, yaml_parser_t *parser)
{
    for (uint32_t count = 0;; count++) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return parser_failed(r, parser);
        venv_rc rc = VENV_OK;
        if (count >= VENV_YAML_EVENTS_MAX)
            rc = refuse(r, &event.start_mark, VENV_ELIMIT, "more than %u values, lists and maps in one file",
                        VENV_YAML_EVENTS_MAX);
        else
            rc = take_event(r, &event);
        bool end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (rc != VENV_OK || end)
            return rc;
    }
}

static venv_rc run_parser(reader *r)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return out_of_memory(r);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)r->text, r->size);
    venv_rc rc = read_events(r, &parser);
    yaml_parser_delete(&parser);
    return rc;
}

static void release(reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        venv_value_unref(&r->items[i].key);
        venv_value_unref(&r->items[i].value);
    }
    for (size_t i = 0; i < r->depth; i++)
        venv_value_unref(&r->stack[i].key);
    free(r->items);
}

static venv_rc new_marks(reader *r, const char *file)
{
    r->marks = calloc(1, sizeof *r->marks);
    if (!r->marks)
        return out_of_memory(r);
    venv_arena_init(&r->marks->arena, MARKS_BYTES_MAX);
    if (file && !(r->marks->file = venv_arena_dup(&r->marks->arena, file, strlen(file))))
        return out_of_memory(r);
    return VENV_OK;
}

venv_rc venv_yaml_parse(const char *text, size_t size, const char *file, venv_value *ret_value,
                        venv_yaml_marks **ret_marks, venv_error *err)
{
    reader r = { .text = text, .size = size, .file = file, .err = err };
    venv_rc rc = guard(&r);
    if (rc == VENV_OK && ret_marks)
        rc = new_marks(&r, file);
    if (rc == VENV_OK)
        rc = run_parser(&r);
    if (rc == VENV_OK) {
        *ret_value = r.done ? venv_value_ref(&r.items[0].value) : venv_value_null();
        if (ret_marks) {
            r.marks->root = r.done ? r.items[0].mark
                                   : (venv_mark){ .file = r.marks->file, .line = 1, .column = 1,
                                                  .key_line = 1, .key_column = 1 };
            *ret_marks = r.marks;
        }
    } else {
        venv_yaml_marks_free(r.marks);
    }
    release(&r);
    return rc;
}
