/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and reading values that need no memory: kinds, times, short text.
 */
#include "value/object.h"

#include <assert.h> /* in no build may a wrong kind be read as a pointer; see cmake/VenvFlags.cmake */

const char *venv_kind_name(venv_kind kind)
{
    static const char *const names[VENV_KIND__COUNT] = {
        [VENV_NULL] = "null_type",
        [VENV_BOOL] = "bool",
        [VENV_INT] = "int",
        [VENV_UINT] = "uint",
        [VENV_DOUBLE] = "double",
        [VENV_STRING] = "string",
        [VENV_BYTES] = "bytes",
        [VENV_LIST] = "list",
        [VENV_MAP] = "map",
        [VENV_TIMESTAMP] = "google.protobuf.Timestamp",
        [VENV_DURATION] = "google.protobuf.Duration",
        [VENV_TYPE] = "type",
        [VENV_OPAQUE] = "opaque",
    };
    return (unsigned)kind < VENV_KIND__COUNT ? names[kind] : "unknown";
}

venv_rc venv_value_timestamp(int64_t seconds, uint32_t nanos, venv_value *ret_value, venv_error *err)
{
    if (seconds < VENV_TIMESTAMP_SECONDS_MIN || seconds > VENV_TIMESTAMP_SECONDS_MAX)
        return venv_error_set(err, VENV_ERANGE, "the timestamp is outside the years 0001 to 9999");
    if (nanos >= VENV_NS_PER_S)
        return venv_error_set(err, VENV_ERANGE, "a timestamp's nanoseconds must be below one second");
    *ret_value = venv_time_make(VENV_TIMESTAMP, seconds, nanos);
    return VENV_OK;
}

venv_rc venv_value_duration(int64_t seconds, int32_t nanos, venv_value *ret_value, venv_error *err)
{
    if (nanos <= -VENV_NS_PER_S || nanos >= VENV_NS_PER_S)
        return venv_error_set(err, VENV_ERANGE, "a duration's nanoseconds must be below one second");
    if ((seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0))
        return venv_error_set(err, VENV_ERANGE, "a duration's seconds and nanoseconds must have one sign");
    if (seconds < -VENV_DURATION_SECONDS_MAX || seconds > VENV_DURATION_SECONDS_MAX ||
        (nanos != 0 && (seconds == -VENV_DURATION_SECONDS_MAX || seconds == VENV_DURATION_SECONDS_MAX)))
        return venv_error_set(err, VENV_ERANGE, "the duration is beyond 315,576,000,000 seconds");
    if (nanos < 0)
        *ret_value = venv_time_make(VENV_DURATION, seconds - 1, (uint32_t)(nanos + VENV_NS_PER_S));
    else
        *ret_value = venv_time_make(VENV_DURATION, seconds, (uint32_t)nanos);
    return VENV_OK;
}

static venv_value from_ns(venv_kind kind, int64_t ns)
{
    int64_t seconds = ns / VENV_NS_PER_S, rest = ns % VENV_NS_PER_S;
    if (rest < 0) {
        rest += VENV_NS_PER_S;
        seconds--;
    }
    return venv_time_make(kind, seconds, (uint32_t)rest);
}

/* Through the wide product: the second of INT64_MIN nanoseconds is itself below what fits. */
static bool to_ns(const venv_value *value, venv_kind kind, int64_t *ret_ns)
{
    if (value->w.kind != kind)
        return false;
    __extension__ typedef __int128 wide;
    wide ns = (wide)value->w.as.i * VENV_NS_PER_S + value->w.extra;
    if (ns < INT64_MIN || ns > INT64_MAX)
        return false;
    *ret_ns = (int64_t)ns;
    return true;
}

venv_value venv_value_from_wall(venv_wall wall)
{
    return from_ns(VENV_TIMESTAMP, wall.ns);
}

venv_value venv_value_from_span(venv_span span)
{
    return from_ns(VENV_DURATION, span.ns);
}

bool venv_value_to_wall(const venv_value *value, venv_wall *ret_wall)
{
    return to_ns(value, VENV_TIMESTAMP, &ret_wall->ns);
}

bool venv_value_to_span(const venv_value *value, venv_span *ret_span)
{
    return to_ns(value, VENV_DURATION, &ret_span->ns);
}

venv_value venv_value_borrow(const char *text, size_t size)
{
    assert(size <= VENV_VALUE_SIZE_MAX);
    return venv_text_borrow(VENV_STRING, text, size);
}

venv_value venv_value_literal(const char *text)
{
    return venv_value_borrow(text, strlen(text));
}

venv_value venv_value_type(const char *name)
{
    return venv_text_borrow(VENV_TYPE, name, strlen(name));
}

bool venv_value_to_id(const venv_value *value, venv_id *ret_id)
{
    if (value->w.kind != VENV_BYTES && value->w.kind != VENV_STRING)
        return false;
    venv_str text = venv_text_of(value);
    if (value->w.kind == VENV_STRING)
        return venv_id_parse(text, ret_id);
    if (text.size != sizeof ret_id->bytes)
        return false;
    memcpy(ret_id->bytes, text.data, sizeof ret_id->bytes);
    return true;
}

bool venv_value_peek_bool(const venv_value *value)
{
    assert(value->w.kind == VENV_BOOL);
    return value->w.as.u != 0;
}

int64_t venv_value_peek_int(const venv_value *value)
{
    assert(value->w.kind == VENV_INT);
    return value->w.as.i;
}

uint64_t venv_value_peek_uint(const venv_value *value)
{
    assert(value->w.kind == VENV_UINT);
    return value->w.as.u;
}

double venv_value_peek_double(const venv_value *value)
{
    assert(value->w.kind == VENV_DOUBLE);
    return value->w.as.d;
}

venv_str venv_value_peek_text(const venv_value *value)
{
    assert(value->w.kind == VENV_STRING || value->w.kind == VENV_BYTES || value->w.kind == VENV_TYPE);
    return venv_text_of(value);
}

void venv_value_peek_timestamp(const venv_value *value, int64_t *ret_seconds, uint32_t *ret_nanos)
{
    assert(value->w.kind == VENV_TIMESTAMP);
    *ret_seconds = value->w.as.i;
    *ret_nanos = value->w.extra;
}

void venv_value_peek_duration(const venv_value *value, int64_t *ret_seconds, int32_t *ret_nanos)
{
    assert(value->w.kind == VENV_DURATION);
    int64_t seconds = value->w.as.i;
    int32_t nanos = (int32_t)value->w.extra;
    if (seconds < 0 && nanos > 0) {
        seconds++;
        nanos -= (int32_t)VENV_NS_PER_S;
    }
    *ret_seconds = seconds;
    *ret_nanos = nanos;
}

bool venv_value_is_text(const venv_value *value, const char *text)
{
    if (value->w.kind != VENV_STRING)
        return false;
    venv_str own = venv_text_of(value);
    size_t size = strlen(text);
    return own.size == size && memcmp(own.data, text, size) == 0;
}
