/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps and durations: conversions and their parts, in UTC or in a time zone.
 */
#include "expr/standard.h"

#include "expr/zone.h"

#include "base/calendar.h"

#include <stdio.h>
#include <string.h>

__extension__ typedef __int128 wide; /* nanoseconds of ten thousand years need 69 bits */

EXPR_FUNCTION(same)
{
    EXPR_UNUSED();
    *out = args[0];
    return X_OK;
}

EXPR_FUNCTION(timestamp_of_text)
{
    EXPR_UNUSED();
    int64_t seconds;
    uint32_t nanos;
    if (!venv_rfc3339_parse(venv_text_of(&args[0]), &seconds, &nanos))
        return venv_cel_fail_value(context, node, "this is no time as RFC 3339 writes it, as 2026-11-22T18:30:00Z, in the years 1 to 9999: ",
                               &args[0]);
    *out = venv_time_make(VENV_TIMESTAMP, seconds, nanos);
    return X_OK;
}

EXPR_FUNCTION(timestamp_of_int)
{
    EXPR_UNUSED();
    int64_t seconds = args[0].w.as.i;
    if (seconds < VENV_TIMESTAMP_SECONDS_MIN || seconds > VENV_TIMESTAMP_SECONDS_MAX)
        return venv_cel_fail_value(context, node, "the timestamp is out of range (year 1 to 9999): ", &args[0]);
    *out = venv_time_make(VENV_TIMESTAMP, seconds, 0);
    return X_OK;
}

/* Nanoseconds of a unit at the front of the text; 0 if there is none. */
static int64_t take_unit(venv_str *text)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = { { "ns", 1 },           { "us", 1000 },     { "\xc2\xb5s", 1000 }, { "\xce\xbcs", 1000 },
                  { "ms", 1000000 },     { "s", 1000000000 }, { "m", 60 * VENV_NS_PER_S },
                  { "h", 3600 * VENV_NS_PER_S } };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t size = strlen(units[i].name);
        if (text->size >= size && !memcmp(text->data, units[i].name, size)) {
            text->data += size;
            text->size -= size;
            return units[i].ns;
        }
    }
    return 0;
}

/* One `1.5h`, added to the total. */
static bool take_part(venv_str *text, wide *total)
{
    const wide limit = (wide)VENV_DURATION_SECONDS_MAX * VENV_NS_PER_S;
    wide whole = 0, fraction = 0, scale = 1;
    bool digits = false, point = false;
    for (; text->size; text->data++, text->size--) {
        char c = *text->data;
        if (c == '.' && !point) {
            point = true;
        } else if (c >= '0' && c <= '9') {
            digits = true;
            if (!point)
                whole = whole * 10 + (c - '0');
            else if (scale < 1000000000000000) {
                fraction = fraction * 10 + (c - '0');
                scale *= 10;
            }
            if (whole > limit)
                return false;
        } else {
            break;
        }
    }
    int64_t unit = digits ? take_unit(text) : 0;
    *total += whole * unit + fraction * unit / scale;
    return unit && *total <= limit;
}

bool venv_cel_parse_duration(venv_str text, venv_value *ret_value)
{
    wide total = 0;
    bool negative = text.size && *text.data == '-';
    if (text.size && (*text.data == '-' || *text.data == '+')) {
        text.data++;
        text.size--;
    }
    bool zero = text.size == 1 && *text.data == '0';
    if (!text.size)
        return false;
    while (text.size && !zero) {
        if (!take_part(&text, &total))
            return false;
    }
    if (negative)
        total = -total;
    int64_t seconds = (int64_t)(total / VENV_NS_PER_S), nanos = (int64_t)(total % VENV_NS_PER_S);
    if (nanos < 0) {
        seconds--;
        nanos += VENV_NS_PER_S;
    }
    *ret_value = venv_time_make(VENV_DURATION, seconds, (uint32_t)nanos);
    return true;
}

void venv_cel_append_duration(venv_buf *buf, const venv_value *value)
{
    int64_t seconds = value->w.as.i;
    uint32_t nanos = value->w.extra;
    bool negative = seconds < 0;
    if (negative && nanos) { /* forward nanoseconds: -1.5s is -2 s and 0.5 s */
        seconds++;
        nanos = (uint32_t)VENV_NS_PER_S - nanos;
    }
    uint64_t whole = negative ? 0 - (uint64_t)seconds : (uint64_t)seconds;
    venv_buf_printf(buf, "%s%llu", negative ? "-" : "", (unsigned long long)whole);
    if (nanos) {
        char digits[16];
        int size = snprintf(digits, sizeof digits, "%09u", nanos);
        while (size > 1 && digits[size - 1] == '0')
            size--;
        venv_buf_printf(buf, ".%.*s", size, digits);
    }
    venv_buf_append_text(buf, "s");
}

EXPR_FUNCTION(duration_of_text)
{
    EXPR_UNUSED();
    if (expr_charge_texts(context, node, &args[0], &args[0]) != X_OK)
        return X_FATAL;
    if (!venv_cel_parse_duration(venv_text_of(&args[0]), out))
        return venv_cel_fail_value(context, node, "this is no duration, as 90s, 1h30m or 1.5ms, within 10,000 years: ", &args[0]);
    return X_OK;
}

/* ---- parts ---- */

/* A zone whose name was computed; the context keeps the last few. */
static const struct expr_zone *computed_zone(xctx *context, const xnode *node, const venv_value *name, int *ret_status)
{
    venv_str text = venv_text_of(name);
    const venv_expr_options *options = &context->expr->env->options;
    if (expr_charge(context, node, EXPR_ZONE_COST) != X_OK) { /* also where it is kept: costs do not depend on the past */
        *ret_status = X_FATAL;
        return NULL;
    }
    for (uint32_t i = 0; i < X_ZONES_KEPT; i++) {
        if (context->zones[i] && venv_cel_zone_is(context->zones[i], text))
            return context->zones[i];
    }
    expr_zone *zone = NULL;
    venv_error error = { .rc = VENV_OK };
    venv_rc rc = venv_cel_zone_new(text, options->zone, options->zone_user, &zone, &error);
    if (rc != VENV_OK) {
        *ret_status = rc == VENV_ENOMEM ? venv_cel_fail(context, node, rc, "out of memory")
                                        : venv_cel_fail_value(context, node, "no time zone is known as ", name);
        return NULL;
    }
    uint32_t place = context->zone_next++ % X_ZONES_KEPT;
    venv_cel_zone_free(context->zones[place]);
    context->zones[place] = zone;
    return zone;
}

/* A point in time as people read it. */
typedef struct civil {
    int64_t days, year;
    unsigned month, day;
    int64_t second; /* of the day */
} civil;

static int civil_of(xctx *context, const xnode *node, const venv_value *args, uint32_t count, civil *ret_civil)
{
    int64_t seconds = args[0].w.as.i;
    int32_t offset = 0;
    if (count == 2 && !venv_cel_zone_fixed(venv_text_of(&args[1]), &offset)) {
        int status = X_OK;
        const struct expr_zone *zone = node->u.call.zone;
        if (!zone && !(zone = computed_zone(context, node, &args[1], &status)))
            return status;
        offset = venv_cel_zone_offset(zone, seconds);
    }
    seconds += offset;
    ret_civil->days = seconds / 86400 - (seconds % 86400 < 0);
    ret_civil->second = seconds - ret_civil->days * 86400;
    venv_civil_from_days(ret_civil->days, &ret_civil->year, &ret_civil->month, &ret_civil->day);
    return X_OK;
}

#define PART(name, expression)                                                                                       \
    EXPR_FUNCTION(name)                                                                                              \
    {                                                                                                                \
        civil at;                                                                                                    \
        int status = civil_of(context, node, args, count, &at);                                                      \
        if (status == X_OK)                                                                                          \
            *out = venv_value_int(expression);                                                                       \
        return status;                                                                                               \
    }

PART(full_year, at.year)
PART(month, (int64_t)at.month - 1)
PART(date, at.day)
PART(day_of_month, (int64_t)at.day - 1)
PART(day_of_week, ((at.days + 4) % 7 + 7) % 7)
PART(day_of_year, at.days - venv_days_from_civil(at.year, 1, 1))
PART(hours, at.second / 3600)
PART(minutes, at.second / 60 % 60)
PART(seconds, at.second % 60)

EXPR_FUNCTION(milliseconds)
{
    civil at;
    int status = civil_of(context, node, args, count, &at); /* a bad zone is an error here, too */
    if (status == X_OK)
        *out = venv_value_int(args[0].w.extra / 1000000);
    return status;
}

/* Whole units in a duration, towards zero. */
static int64_t whole(const venv_value *value, int64_t unit_s)
{
    int64_t seconds = value->w.as.i;
    if (seconds < 0 && value->w.extra)
        seconds++;
    return seconds / unit_s;
}

EXPR_FUNCTION(duration_hours)
{
    EXPR_UNUSED();
    *out = venv_value_int(whole(&args[0], 3600));
    return X_OK;
}

EXPR_FUNCTION(duration_minutes)
{
    EXPR_UNUSED();
    *out = venv_value_int(whole(&args[0], 60));
    return X_OK;
}

EXPR_FUNCTION(duration_seconds)
{
    EXPR_UNUSED();
    *out = venv_value_int(whole(&args[0], 1));
    return X_OK;
}

EXPR_FUNCTION(duration_milliseconds)
{
    EXPR_UNUSED();
    int64_t nanos = args[0].w.extra;
    if (args[0].w.as.i < 0 && nanos)
        nanos -= VENV_NS_PER_S;
    *out = venv_value_int(nanos / 1000000); /* of its fraction only: so cel-spec has it */
    return X_OK;
}

#define BOTH(name, call)                                                                                             \
    { "timestamp." name "() -> int", call }, { "timestamp." name "(string) -> int", call }

const expr_row venv_cel_time_rows[] = {
    { "timestamp(timestamp) -> timestamp", same },
    { "timestamp(string) -> timestamp", timestamp_of_text },
    { "timestamp(int) -> timestamp", timestamp_of_int },
    { "duration(duration) -> duration", same },
    { "duration(string) -> duration", duration_of_text },
    BOTH("getFullYear", full_year),
    BOTH("getMonth", month),
    BOTH("getDate", date),
    BOTH("getDayOfMonth", day_of_month),
    BOTH("getDayOfWeek", day_of_week),
    BOTH("getDayOfYear", day_of_year),
    BOTH("getHours", hours),
    BOTH("getMinutes", minutes),
    BOTH("getSeconds", seconds),
    BOTH("getMilliseconds", milliseconds),
    { "duration.getHours() -> int", duration_hours },
    { "duration.getMinutes() -> int", duration_minutes },
    { "duration.getSeconds() -> int", duration_seconds },
    { "duration.getMilliseconds() -> int", duration_milliseconds },
    { NULL, NULL },
};
