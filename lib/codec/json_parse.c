/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON through yajl's events: no tree of somebody else's in between, numbers as they were written,
 * and no state of the library's own.
 *
 * Values that are complete wait on one stack; an array or object that ends takes its items from there.
 *
 * Two things yajl leaves to its caller. It does not check what malloc() gives it, so its memory comes
 * from here, and a failure jumps out of it; what it had is on a list and is freed. And it turns a lone
 * surrogate into a question mark, so escapes are checked before it sees them.
 */
#include "codec/json.h"

#include "base/number.h"
#include "base/text.h"
#include "codec/scalar.h"
#include "value/object.h"

#include <math.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

typedef struct item {
    venv_value key, value;
    size_t offset; /* of the key, for errors */
} item;

typedef struct frame {
    size_t first; /* its items on the stack begin here */
    bool map;
    venv_value key; /* waits for its value */
    size_t key_offset;
} frame;

/* A block that yajl has, in a ring. */
typedef struct block {
    alignas(max_align_t) struct block *next; /* what yajl sees follows the block, aligned as malloc() aligns */
    struct block *previous;
} block;

typedef struct reader {
    const char *text;
    size_t size;
    venv_error *err;
    venv_rc rc;
    yajl_handle yajl;
    item *items;
    size_t count, capacity;
    uint32_t item_count;
    frame stack[VENV_JSON_DEPTH_MAX];
    size_t depth;
    block blocks; /* head of the ring */
    jmp_buf out_of_memory;
} reader;

/* Line and column of a byte. */
static void blame(reader *r, size_t offset)
{
    uint32_t line = 1;
    size_t start = 0;
    if (offset > r->size)
        offset = r->size;
    for (size_t i = 0; i < offset; i++) {
        if (r->text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    venv_error_at(r->err, NULL, line, (uint32_t)(offset - start) + 1);
}

/* For callbacks: remember the failure, and stop. */
VENV_PRINTF(4, 5)
static int refuse(reader *r, size_t offset, venv_rc rc, const char *format, ...)
{
    char text[VENV_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->rc = venv_error_set(r->err, rc, "%s", text);
    blame(r, offset);
    return 0;
}

static int no_memory(reader *r)
{
    r->rc = venv_error_set(r->err, VENV_ENOMEM, "out of memory while reading JSON");
    return 0;
}

static void *take_block(void *context, size_t size)
{
    reader *r = context;
    block *fresh = size < SIZE_MAX - sizeof *fresh ? malloc(sizeof *fresh + size) : NULL;
    if (!fresh)
        longjmp(r->out_of_memory, 1);
    fresh->next = r->blocks.next;
    fresh->previous = &r->blocks;
    fresh->next->previous = fresh->previous->next = fresh;
    return fresh + 1;
}

static block *block_of(void *data)
{
    return (block *)data - 1;
}

static void *resize_block(void *context, void *data, size_t size)
{
    reader *r = context;
    if (!data)
        return take_block(context, size);
    block *moved = size < SIZE_MAX - sizeof *moved ? realloc(block_of(data), sizeof *moved + size) : NULL;
    if (!moved)
        longjmp(r->out_of_memory, 1);
    moved->next->previous = moved->previous->next = moved;
    return moved + 1;
}

static void free_block(void *context, void *data)
{
    (void)context;
    if (!data)
        return;
    block *old = block_of(data);
    old->next->previous = old->previous;
    old->previous->next = old->next;
    free(old);
}

/* Where a text that yajl gives stands; where it was copied, the end of what was read. */
static size_t offset_of(const reader *r, const void *text)
{
    uintptr_t at = (uintptr_t)text, start = (uintptr_t)r->text;
    if (at >= start && at < start + r->size)
        return (size_t)(at - start);
    return yajl_get_bytes_consumed(r->yajl);
}

static bool count_item(reader *r)
{
    if (++r->item_count <= VENV_JSON_ITEMS_MAX)
        return true;
    refuse(r, yajl_get_bytes_consumed(r->yajl), VENV_ELIMIT, "more than %u values", VENV_JSON_ITEMS_MAX);
    return false;
}

/* Takes the value over. */
static int push(reader *r, venv_value value)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 16;
        item *items = realloc(r->items, capacity * sizeof *items);
        if (!items) {
            venv_value_unref(&value);
            return no_memory(r);
        }
        r->items = items;
        r->capacity = capacity;
    }
    item *fresh = &r->items[r->count++];
    *fresh = (item){ venv_value_null(), value, 0 };
    if (r->depth && r->stack[r->depth - 1].map) {
        frame *top = &r->stack[r->depth - 1];
        fresh->key = top->key;
        fresh->offset = top->key_offset;
        top->key = venv_value_null();
    }
    return 1;
}

static int on_null(void *context)
{
    return count_item(context) && push(context, venv_value_null());
}

static int on_bool(void *context, int is_true)
{
    return count_item(context) && push(context, venv_value_bool(is_true != 0));
}

static int on_number(void *context, const char *data, size_t size)
{
    reader *r = context;
    venv_str text = { data, size };
    venv_value value = venv_value_null();
    venv_scalar is = venv_scalar_integer(text, &value);
    double d;
    if (!count_item(r))
        return 0;
    if (is == VENV_SCALAR_TEXT) {
        if (!venv_double_parse(text, &d))
            return refuse(r, offset_of(r, data), VENV_EINVAL, "a number cannot be read");
        is = isinf(d) ? VENV_SCALAR_RANGE : VENV_SCALAR_VALUE;
        value = venv_value_double(d);
    }
    if (is == VENV_SCALAR_RANGE)
        return refuse(r, offset_of(r, data), VENV_ERANGE, "the number %.*s is too large",
                      size < 40 ? (int)size : 40, data);
    return push(r, value);
}

/* A string that is checked; 0 where that failed. */
static int make_string(reader *r, const unsigned char *data, size_t size, venv_value *ret_value)
{
    venv_rc rc = venv_value_string((const char *)data, size, ret_value, NULL);
    if (rc == VENV_ENOMEM)
        return no_memory(r);
    if (rc != VENV_OK)
        return refuse(r, offset_of(r, data), VENV_EINVAL, "a string is not valid UTF-8");
    return 1;
}

static int on_string(void *context, const unsigned char *data, size_t size)
{
    venv_value value;
    return count_item(context) && make_string(context, data, size, &value) && push(context, value);
}

static int on_key(void *context, const unsigned char *data, size_t size)
{
    reader *r = context;
    venv_value key;
    if (!count_item(r) || !make_string(r, data, size, &key))
        return 0;
    frame *top = &r->stack[r->depth - 1];
    top->key = key;
    top->key_offset = offset_of(r, data);
    top->key_offset -= top->key_offset > 0; /* its quote */
    return 1;
}

static int open_container(reader *r, bool map)
{
    if (!count_item(r))
        return 0;
    if (r->depth == VENV_JSON_DEPTH_MAX)
        return refuse(r, yajl_get_bytes_consumed(r->yajl) - 1, VENV_ELIMIT,
                      "arrays and objects are nested deeper than %d", VENV_JSON_DEPTH_MAX);
    r->stack[r->depth++] = (frame){ .first = r->count, .map = map };
    return 1;
}

static int on_map(void *context)
{
    return open_container(context, true);
}

static int on_list(void *context)
{
    return open_container(context, false);
}

static int compare_items(const void *a, const void *b)
{
    return venv_key_compare(&((const item *)a)->key, &((const item *)b)->key);
}

static int sort_items(reader *r, item *items, size_t count)
{
    if (count > 1)
        qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 1; i < count; i++) {
        if (venv_key_compare(&items[i - 1].key, &items[i].key) != 0)
            continue;
        char key[128];
        venv_value_print(&items[i].key, key, sizeof key);
        size_t second = items[i].offset > items[i - 1].offset ? items[i].offset : items[i - 1].offset;
        return refuse(r, second, VENV_EEXIST, "the key %s is in the object twice", key);
    }
    return 1;
}

static int on_end(void *context)
{
    reader *r = context;
    frame *top = &r->stack[r->depth - 1];
    size_t count = r->count - top->first;
    item *items = count ? r->items + top->first : NULL;
    if (top->map && !sort_items(r, items, count))
        return 0;
    struct venv_object *object = malloc(top->map ? venv_map_size(count) : venv_list_size(count));
    if (!object)
        return no_memory(r);
    venv_object_init(object, top->map ? VENV_MAP : VENV_LIST, count);
    object->u.live.refs = 1;
    venv_value *slot = venv_object_items(object);
    for (size_t i = 0; i < count; i++) {
        if (top->map)
            *slot++ = items[i].key;
        venv_object_note(object, &items[i].value);
        *slot++ = items[i].value;
    }
    r->count = top->first;
    r->depth--;
    return push(r, venv_value_of_object(object, VENV_FORM_COUNTED));
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_list,
    .yajl_end_array = on_end,
};

/* Four hexadecimal digits at `at`; false if they are not there. */
static bool hex4(const reader *r, size_t at, unsigned *ret_number)
{
    unsigned number = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = i < r->size ? r->text[i] : ' ';
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return false;
        number = number << 4 | digit;
    }
    *ret_number = number;
    return true;
}

/* A surrogate that is not half of a pair. What is no escape at all is for yajl to refuse. */
static bool check_surrogates(reader *r)
{
    unsigned first, second;
    for (size_t at = 0; at + 1 < r->size; at++) {
        if (r->text[at] != '\\')
            continue;
        at++;
        if (r->text[at] != 'u' || !hex4(r, at + 1, &first) || first < 0xd800 || first > 0xdfff)
            continue;
        bool pair = first < 0xdc00 && at + 6 < r->size && r->text[at + 5] == '\\' && r->text[at + 6] == 'u' &&
                    hex4(r, at + 7, &second) && second >= 0xdc00 && second <= 0xdfff;
        if (!pair) {
            refuse(r, at - 1, VENV_EINVAL, "\\u%04x is half of a character", first);
            return false;
        }
        at += 10;
    }
    return true;
}

static void not_json(reader *r, size_t offset)
{
    unsigned char *text = yajl_get_error(r->yajl, 0, NULL, 0);
    char *reason = (char *)text, *end = strchr(reason, '\n');
    if (end)
        *end = '\0';
    refuse(r, offset, VENV_EINVAL, "not valid JSON: %s", reason);
    yajl_free_error(r->yajl, text);
}

/* yajl's part. Whatever it allocates is on the ring. */
static void run(reader *r)
{
    yajl_alloc_funcs functions = { take_block, resize_block, free_block, r };
    if (setjmp(r->out_of_memory)) {
        no_memory(r);
        return;
    }
    r->yajl = yajl_alloc(&callbacks, &functions, r);
    yajl_status status = yajl_parse(r->yajl, (const unsigned char *)r->text, r->size);
    size_t offset = yajl_get_bytes_consumed(r->yajl);
    if (status == yajl_status_ok) {
        status = yajl_complete_parse(r->yajl);
        offset = r->size;
    }
    if (status == yajl_status_error)
        not_json(r, offset);
    else if (r->rc == VENV_OK && r->count != 1)
        refuse(r, r->size, VENV_EINVAL, "not valid JSON: there is no value");
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
    while (r->blocks.next != &r->blocks)
        free_block(r, r->blocks.next + 1);
}

venv_rc venv_json_parse(const char *text, size_t size, size_t size_max, venv_value *ret_value, venv_error *err)
{
    if (size_max == 0)
        size_max = VENV_JSON_BYTES_DEFAULT;
    if (size_max > VENV_JSON_BYTES_MAX)
        size_max = VENV_JSON_BYTES_MAX;
    if (size > size_max)
        return venv_error_set(err, VENV_ELIMIT, "the JSON text has %zu bytes, %zu are allowed", size, size_max);
    reader r = { .text = text, .size = size, .err = err };
    r.blocks.next = r.blocks.previous = &r.blocks;
    if (check_surrogates(&r))
        run(&r);
    if (r.rc == VENV_OK)
        *ret_value = venv_value_ref(&r.items[0].value);
    release(&r);
    return r.rc;
}
