/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR to value: one pass, no recursion, one allocation for each list, map and long text.
 *
 * Open containers are on a stack of fixed size. `owed` is how many items they still need: each takes
 * at least one byte, so a count is refused before anything is allocated for it if the bytes that
 * remain cannot hold what is owed already and that many more.
 */
#include "codec/cbor.h"

#include "base/text.h"
#include "codec/float.h"
#include "value/object.h"

#include <stdlib.h>

enum { MAJOR_UINT, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_LIST, MAJOR_MAP, MAJOR_TAG, MAJOR_OTHER };

#define TAG_TIMESTAMP 1001u
#define TAG_DURATION  1002u
#define MARK_UINT     0xe0u /* simple value 0 */
#define MARK_TYPE     0xe1u /* simple value 1 */

/* An open list or map. Until it is complete its count is 0 and `filled` says what is in it. */
typedef struct frame {
    struct venv_object *object;
    uint32_t filled;
    uint32_t total; /* items; of a map keys and values */
} frame;

typedef struct decoder {
    const uint8_t *start, *at, *end;
    const uint8_t *item; /* where the current item begins, for errors */
    uint64_t owed;
    uint64_t item_count_left;
    uint32_t depth_max;
    uint32_t depth;
    bool borrow;
    venv_error *err;
    frame stack[VENV_CBOR_DEPTH_MAX];
} decoder;

static venv_rc refuse(const decoder *d, venv_rc rc, const char *why)
{
    return venv_error_set(d->err, rc, "CBOR at byte %zu: %s", (size_t)(d->item - d->start), why);
}

static size_t remaining(const decoder *d)
{
    return (size_t)(d->end - d->at);
}

/* Big-endian number of 1, 2, 4 or 8 bytes; false if they are not there. */
static inline bool take_bytes(decoder *d, size_t size, uint64_t *ret_number)
{
    if (remaining(d) < size)
        return false;
    uint64_t number = 0;
    if (remaining(d) >= sizeof number) {
        memcpy(&number, d->at, sizeof number);
        number = venv_word_order(number) >> (64 - 8 * size);
    } else {
        for (size_t i = 0; i < size; i++)
            number = number << 8 | d->at[i];
    }
    d->at += size;
    *ret_number = number;
    return true;
}

/* The argument of a head of any major type but 7, which must be in its shortest form. */
static venv_rc take_argument(decoder *d, unsigned info, uint64_t *ret_argument)
{
    static const uint64_t least[] = { 24, 256, 65536, UINT64_C(4294967296) };
    if (info < 24) {
        *ret_argument = info;
        return VENV_OK;
    }
    if (info == 31)
        return refuse(d, VENV_EINVAL, "indefinite lengths are not allowed");
    if (info > 27)
        return refuse(d, VENV_EINVAL, "a reserved head");
    if (!take_bytes(d, (size_t)1 << (info - 24), ret_argument))
        return refuse(d, VENV_EINVAL, "it ends within a head");
    if (*ret_argument < least[info - 24])
        return refuse(d, VENV_EINVAL, "a number or length is not in its shortest form");
    return VENV_OK;
}

/* Head of one item where the format leaves no choice of kind: within tags and marks. */
static venv_rc take_head(decoder *d, unsigned *ret_major, uint64_t *ret_argument)
{
    if (d->at == d->end)
        return refuse(d, VENV_EINVAL, "it ends where an item is expected");
    uint8_t first = *d->at++;
    *ret_major = first >> 5;
    return take_argument(d, first & 31, ret_argument);
}

static venv_rc take_text(decoder *d, venv_kind kind, uint64_t size, venv_value *ret_value)
{
    if (size > remaining(d))
        return refuse(d, VENV_EINVAL, "a text is longer than what remains");
    if (size > VENV_VALUE_SIZE_MAX)
        return refuse(d, VENV_ELIMIT, "a text is too long");
    const char *text = (const char *)d->at;
    d->at += size;
    if (kind != VENV_BYTES && !venv_utf8_is_valid(text, (size_t)size))
        return refuse(d, VENV_EINVAL, "a text is not valid UTF-8");
    if (d->borrow)
        *ret_value = venv_text_borrow(kind, text, (size_t)size);
    else if (!venv_text_copy(kind, text, (size_t)size, ret_value))
        return venv_error_set(d->err, VENV_ENOMEM, "out of memory");
    return VENV_OK;
}

static venv_rc take_other(decoder *d, unsigned info, venv_value *ret_value)
{
    uint64_t bits;
    uint32_t single;
    uint16_t half;
    switch (info) {
    case 20:
    case 21:
        *ret_value = venv_value_bool(info == 21);
        return VENV_OK;
    case 22:
        *ret_value = venv_value_null();
        return VENV_OK;
    case 25:
        if (!take_bytes(d, 2, &bits))
            break;
        *ret_value = venv_value_double(venv_double_of_half((uint16_t)bits));
        if (isnan(ret_value->w.as.d) && bits != 0x7e00)
            return refuse(d, VENV_EINVAL, "a NaN other than f97e00");
        return VENV_OK;
    case 26:
        if (!take_bytes(d, 4, &bits))
            break;
        *ret_value = venv_value_double(venv_double_of_single((uint32_t)bits));
        if (isnan(ret_value->w.as.d) || venv_single_to_half((uint32_t)bits, &half))
            return refuse(d, VENV_EINVAL, "a floating-point number is not in its shortest form");
        return VENV_OK;
    case 27:
        if (!take_bytes(d, 8, &bits))
            break;
        *ret_value = venv_value_double(venv_double_of_bits(bits));
        if (isnan(ret_value->w.as.d) || venv_double_to_single(ret_value->w.as.d, &single))
            return refuse(d, VENV_EINVAL, "a floating-point number is not in its shortest form");
        return VENV_OK;
    case 23:
        return refuse(d, VENV_EINVAL, "undefined is not allowed");
    case 31:
        return refuse(d, VENV_EINVAL, "a break outside of an indefinite length");
    default:
        return refuse(d, VENV_EINVAL, "a simple value that is not false, true or null");
    }
    return refuse(d, VENV_EINVAL, "it ends within a number");
}

/* {1: seconds} or {1: seconds, -9: nanoseconds} after the tag. */
static venv_rc take_time(decoder *d, uint64_t tag, venv_value *ret_value)
{
    if (tag != TAG_TIMESTAMP && tag != TAG_DURATION)
        return refuse(d, VENV_EINVAL, "a tag other than 1001 and 1002");
    if (remaining(d) < 3 || (d->at[0] != 0xa1 && d->at[0] != 0xa2) || d->at[1] != 0x01)
        return refuse(d, VENV_EINVAL, "a time is not {1: seconds} or {1: seconds, -9: nanoseconds}");
    bool with_nanos = d->at[0] == 0xa2;
    unsigned major = 0;
    uint64_t argument = 0, nanos = 0;
    d->at += 2;
    venv_rc rc = take_head(d, &major, &argument);
    if (rc != VENV_OK)
        return rc;
    if (major > MAJOR_NEGATIVE || argument > (uint64_t)INT64_MAX)
        return refuse(d, major > MAJOR_NEGATIVE ? VENV_EINVAL : VENV_ERANGE, "the seconds of a time are not an int");
    int64_t seconds = major == MAJOR_NEGATIVE ? -1 - (int64_t)argument : (int64_t)argument;
    if (with_nanos) {
        if (remaining(d) < 2 || *d->at++ != 0x28)
            return refuse(d, VENV_EINVAL, "the second key of a time is not -9");
        rc = take_head(d, &major, &nanos);
        if (rc != VENV_OK)
            return rc;
        if (major != MAJOR_UINT || nanos == 0 || nanos >= (uint64_t)VENV_NS_PER_S)
            return refuse(d, VENV_EINVAL, "the nanoseconds of a time are not 1 to 999999999");
    }
    if (tag == TAG_TIMESTAMP) {
        if (venv_value_timestamp(seconds, (uint32_t)nanos, ret_value, NULL) != VENV_OK)
            return refuse(d, VENV_ERANGE, "a timestamp outside the years 0001 to 9999");
        return VENV_OK;
    }
    bool below = seconds < -VENV_DURATION_SECONDS_MAX;
    bool above = seconds > VENV_DURATION_SECONDS_MAX || (seconds == VENV_DURATION_SECONDS_MAX && nanos);
    if (below || above)
        return refuse(d, VENV_ERANGE, "a duration beyond 315,576,000,000 seconds");
    *ret_value = venv_time_make(VENV_DURATION, seconds, (uint32_t)nanos);
    return VENV_OK;
}

/* Names of types are words and dots, as CEL writes them. */
static bool is_type_name(venv_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.'))
            return false;
    }
    return text.size > 0;
}

/* What follows 82 e0 or 82 e1. */
static venv_rc take_marked(decoder *d, venv_value *ret_value)
{
    uint8_t mark = *d->at++;
    unsigned major = 0;
    uint64_t argument = 0;
    venv_rc rc = take_head(d, &major, &argument);
    if (rc != VENV_OK)
        return rc;
    if (mark == MARK_TYPE) {
        if (major != MAJOR_TEXT)
            return refuse(d, VENV_EINVAL, "a type is not a text");
        if (argument <= remaining(d) && !is_type_name((venv_str){ (const char *)d->at, (size_t)argument }))
            return refuse(d, VENV_EINVAL, "a type is not named in letters, digits, _ and .");
        return take_text(d, VENV_TYPE, argument, ret_value);
    }
    if (major != MAJOR_UINT || argument > (uint64_t)INT64_MAX)
        return refuse(d, VENV_EINVAL, "a marked uint is not an integer below 2^63");
    *ret_value = venv_value_uint(argument);
    return VENV_OK;
}

static bool expects_key(const decoder *d)
{
    if (d->depth == 0)
        return false;
    const frame *top = &d->stack[d->depth - 1];
    return top->object->kind == VENV_MAP && top->filled % 2 == 0;
}

/* Open a list or map of `count`. `*ret_open` is false where it is complete at once. */
static venv_rc open_container(decoder *d, venv_kind kind, uint64_t count, venv_value *ret_value, bool *ret_open)
{
    if (expects_key(d))
        return refuse(d, VENV_EINVAL, "a list or map is a key");
    if (d->depth >= d->depth_max)
        return refuse(d, VENV_ELIMIT, "lists and maps are nested too deep");
    uint64_t width = kind == VENV_MAP ? 2 : 1;
    if (count > remaining(d) || count * width > remaining(d) - (d->owed < remaining(d) ? d->owed : remaining(d)))
        return refuse(d, VENV_EINVAL, "a count is larger than what remains can hold");
    uint64_t items = count * width;
    if (items > d->item_count_left)
        return refuse(d, VENV_ELIMIT, "too many items");
    d->item_count_left -= items;
    d->owed += items;
    if (count == 0) {
        *ret_value = kind == VENV_MAP ? venv_value_empty_map() : venv_value_empty_list();
        *ret_open = false;
        return VENV_OK;
    }
    struct venv_object *object = malloc(venv_list_size((size_t)items));
    if (!object)
        return venv_error_set(d->err, VENV_ENOMEM, "out of memory");
    venv_object_init(object, kind, 0);
    object->u.live.refs = 1;
    d->stack[d->depth++] = (frame){ object, 0, (uint32_t)items };
    *ret_open = true;
    return VENV_OK;
}

/* The next item: a complete value, or a container that was opened. */
static venv_rc take_item(decoder *d, venv_value *ret_value, bool *ret_open)
{
    d->item = d->at;
    *ret_open = false;
    if (d->at == d->end)
        return refuse(d, VENV_EINVAL, "it ends where an item is expected");
    d->owed--;
    uint8_t first = *d->at++;
    unsigned major = first >> 5;
    if (major == MAJOR_OTHER)
        return take_other(d, first & 31, ret_value);
    uint64_t argument = 0;
    venv_rc rc = take_argument(d, first & 31, &argument);
    if (rc != VENV_OK)
        return rc;
    switch (major) {
    case MAJOR_UINT:
        *ret_value = argument <= (uint64_t)INT64_MAX ? venv_value_int((int64_t)argument) : venv_value_uint(argument);
        return VENV_OK;
    case MAJOR_NEGATIVE:
        if (argument > (uint64_t)INT64_MAX)
            return refuse(d, VENV_ERANGE, "an integer below -2^63");
        *ret_value = venv_value_int(-1 - (int64_t)argument);
        return VENV_OK;
    case MAJOR_BYTES:
        return take_text(d, VENV_BYTES, argument, ret_value);
    case MAJOR_TEXT:
        return take_text(d, VENV_STRING, argument, ret_value);
    case MAJOR_LIST:
        if (argument == 2 && d->at < d->end && (*d->at == MARK_UINT || *d->at == MARK_TYPE))
            return take_marked(d, ret_value);
        return open_container(d, VENV_LIST, argument, ret_value, ret_open);
    case MAJOR_MAP:
        return open_container(d, VENV_MAP, argument, ret_value, ret_open);
    default:
        return take_time(d, argument, ret_value);
    }
}

/* Put a value into the container on top, which takes it over when that succeeds. */
static venv_rc place(decoder *d, frame *top, const venv_value *value)
{
    struct venv_object *object = top->object;
    venv_value *slot = venv_object_items(object) + top->filled;
    if (object->kind == VENV_MAP && top->filled % 2 == 0) {
        if (!venv_kind_is_key(value->w.kind))
            return refuse(d, VENV_EINVAL, "a key is not a string, int, uint or bool");
        if (top->filled && venv_key_compare(slot - 2, value) >= 0)
            return refuse(d, VENV_EINVAL, "keys are not sorted, or one is there twice");
        venv_object_note_key(object, value);
    } else {
        venv_object_note(object, value); /* cannot be too deep: VENV_CBOR_DEPTH_MAX */
    }
    *slot = *value;
    top->filled++;
    return VENV_OK;
}

/* Give the complete value to the container on top, and close containers that are complete by it. */
static venv_rc place_all(decoder *d, venv_value *value)
{
    while (d->depth) {
        frame *top = &d->stack[d->depth - 1];
        venv_rc rc = place(d, top, value);
        if (rc != VENV_OK) {
            venv_value_unref(value);
            return rc;
        }
        if (top->filled < top->total)
            return VENV_OK;
        struct venv_object *object = top->object;
        object->count = object->kind == VENV_MAP ? top->total / 2 : top->total;
        d->depth--;
        *value = venv_value_of_object(object, VENV_FORM_COUNTED);
        if (object->kind == VENV_MAP && !(object->flags & VENV_OBJECT_TEXT_KEYS) &&
            venv_map_sort(object, NULL) != VENV_OK) {
            venv_value_unref(value);
            return refuse(d, VENV_EINVAL, "an int and an equal uint are keys of one map");
        }
    }
    return VENV_OK;
}

static void release(decoder *d)
{
    while (d->depth) {
        frame *top = &d->stack[--d->depth];
        venv_value *items = venv_object_items(top->object);
        /* As a list, so that a key without its value is released as well. */
        for (uint32_t i = 0; i < top->filled; i++)
            venv_value_unref(&items[i]);
        free(top->object);
    }
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

venv_rc venv_cbor_decode(const void *data, size_t size, const venv_cbor_options *options, venv_value *ret_value,
                         venv_error *err)
{
    static const venv_cbor_options defaults = VENV_CBOR_OPTIONS_INIT;
    if (!options)
        options = &defaults;
    size_t byte_count_max = options->byte_count_max < VENV_CBOR_BYTES_MAX ? options->byte_count_max
                                                                          : VENV_CBOR_BYTES_MAX;
    if (size > byte_count_max)
        return venv_error_set(err, VENV_ELIMIT, "CBOR: %zu bytes, %zu are allowed", size, byte_count_max);
    decoder d;
    d.start = d.at = d.item = data;
    d.end = d.start + size;
    d.owed = 1;
    d.item_count_left = least(options->item_count_max, VENV_CBOR_ITEMS_MAX);
    d.depth_max = least(options->depth_max, VENV_CBOR_DEPTH_MAX);
    d.depth = 0;
    d.borrow = options->borrow;
    d.err = err;
    if (d.item_count_left-- == 0)
        return refuse(&d, VENV_ELIMIT, "too many items");

    venv_value value = venv_value_null();
    do {
        bool opened;
        venv_rc rc = take_item(&d, &value, &opened);
        if (rc == VENV_OK && !opened)
            rc = place_all(&d, &value);
        if (rc != VENV_OK) {
            release(&d);
            return rc;
        }
    } while (d.depth);
    if (d.at != d.end) {
        venv_value_unref(&value);
        d.item = d.at;
        return refuse(&d, VENV_EINVAL, "something follows after the value");
    }
    *ret_value = value;
    return VENV_OK;
}
