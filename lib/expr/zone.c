/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TZif (RFC 9636): the 64-bit part of the file, and the rule in its footer for what comes after the
 * last transition (POSIX TZ strings with the extension for hours beyond 24). Every count is held
 * against the bytes there are before anything is allocated.
 */
#include "expr/zone.h"

#include "base/calendar.h"

#include <stdlib.h>
#include <string.h>

#define TRANSITIONS_MAX 4000u
#define TYPES_MAX       256u

/* When daylight time begins or ends. */
typedef struct change {
    enum { DAY_JULIAN, DAY_ZERO, DAY_WEEK } kind; /* Jn, n, Mm.w.d */
    int32_t month, week, day;
    int32_t time; /* seconds after midnight, may be negative */
} change;

struct expr_zone {
    char name[EXPR_ZONE_NAME_MAX + 1];
    size_t name_size;
    uint32_t count;
    int64_t *times;    /* ascending */
    int32_t *offsets;  /* from times[i] on */
    int32_t first;     /* before times[0] */
    bool has_rule, has_daylight;
    int32_t standard, daylight;
    change begin, end;
};

static bool two_digits(venv_str text, size_t at, int *ret_number)
{
    if (at + 2 > text.size || text.data[at] < '0' || text.data[at] > '9' || text.data[at + 1] < '0' || text.data[at + 1] > '9')
        return false;
    *ret_number = (text.data[at] - '0') * 10 + (text.data[at + 1] - '0');
    return true;
}

bool venv_cel_zone_fixed(venv_str name, int32_t *ret_offset_s)
{
    int hours, minutes, sign = 1;
    size_t at = 0;
    *ret_offset_s = 0;
    if (!name.size || (name.size == 1 && *name.data == 'Z') || (name.size == 3 && !memcmp(name.data, "UTC", 3)))
        return true;
    if (*name.data == '+' || *name.data == '-') {
        sign = *name.data == '-' ? -1 : 1;
        at = 1;
    }
    if (!two_digits(name, at, &hours))
        return false;
    at += 2;
    if (at < name.size && name.data[at] == ':')
        at++;
    if (!two_digits(name, at, &minutes) || at + 2 != name.size || hours > 23 || minutes > 59)
        return false;
    *ret_offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool is_safe_name(venv_str name)
{
    bool start = true;
    if (!name.size || name.size > EXPR_ZONE_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-';
        if (c == '/' ? start : !letter && (!other || (start && i == 0)))
            return false;
        start = c == '/';
    }
    return !start;
}

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t read_i64(const uint8_t *at)
{
    return (int64_t)((uint64_t)read_u32(at) << 32 | read_u32(at + 4));
}

/* ---- the footer ---- */

typedef struct reader {
    const char *at, *end;
} reader;

static bool take(reader *r, char c)
{
    if (r->at < r->end && *r->at == c) {
        r->at++;
        return true;
    }
    return false;
}

static bool take_number(reader *r, int32_t max, int32_t *ret_number)
{
    int32_t number = 0;
    const char *start = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && number <= max; r->at++)
        number = number * 10 + (*r->at - '0');
    *ret_number = number;
    return r->at > start && number <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(reader *r, int32_t *ret_seconds)
{
    int32_t sign = 1, part[3] = { 0, 0, 0 };
    if (take(r, '-'))
        sign = -1;
    else
        (void)take(r, '+');
    if (!take_number(r, 167, &part[0]))
        return false;
    for (int i = 1; i < 3 && take(r, ':'); i++) {
        if (!take_number(r, 59, &part[i]))
            return false;
    }
    *ret_seconds = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
    return true;
}

static bool take_name(reader *r)
{
    const char *start = r->at;
    if (take(r, '<')) {
        while (r->at < r->end && *r->at != '>')
            r->at++;
        return take(r, '>');
    }
    while (r->at < r->end && ((*r->at >= 'a' && *r->at <= 'z') || (*r->at >= 'A' && *r->at <= 'Z')))
        r->at++;
    return r->at - start >= 3;
}

static bool take_change(reader *r, change *ret_change)
{
    change c = { .time = 2 * 3600 };
    if (take(r, 'M')) {
        c.kind = DAY_WEEK;
        if (!take_number(r, 12, &c.month) || !take(r, '.') || !take_number(r, 5, &c.week) || !take(r, '.') ||
            !take_number(r, 6, &c.day) || c.month < 1 || c.week < 1)
            return false;
    } else {
        c.kind = take(r, 'J') ? DAY_JULIAN : DAY_ZERO;
        if (!take_number(r, 365, &c.day) || (c.kind == DAY_JULIAN && c.day < 1))
            return false;
    }
    if (take(r, '/') && !take_time(r, &c.time))
        return false;
    *ret_change = c;
    return true;
}

/* std offset [dst [offset] , begin , end] */
static bool parse_rule(expr_zone *zone, reader r)
{
    int32_t offset;
    if (r.at == r.end)
        return true; /* no rule: the last transition holds */
    if (!take_name(&r) || !take_time(&r, &offset))
        return false;
    zone->standard = -offset;
    zone->has_rule = true;
    if (r.at == r.end)
        return true;
    if (!take_name(&r))
        return false;
    zone->daylight = zone->standard + 3600;
    if (r.at < r.end && *r.at != ',') {
        if (!take_time(&r, &offset))
            return false;
        zone->daylight = -offset;
    }
    zone->has_daylight = true;
    return take(&r, ',') && take_change(&r, &zone->begin) && take(&r, ',') && take_change(&r, &zone->end) && r.at == r.end;
}

/* Seconds since the epoch, in the zone's own time, at which a change happens in a year. */
static int64_t change_at(const change *c, int64_t year)
{
    bool leap = venv_days_in_month(year, 2) == 29;
    int64_t days = venv_days_from_civil(year, 1, 1);
    if (c->kind == DAY_WEEK) {
        int64_t first = venv_days_from_civil(year, (unsigned)c->month, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7;
        int64_t day = (c->day - weekday + 7) % 7 + 7 * (int64_t)(c->week - 1);
        while (day >= (int64_t)venv_days_in_month(year, (unsigned)c->month))
            day -= 7;
        days = first + day;
    } else if (c->kind == DAY_ZERO) {
        days += c->day;
    } else { /* Jn does not count February 29 */
        days += c->day - 1 + (leap && c->day >= 60);
    }
    return days * 86400 + c->time;
}

static int32_t rule_offset(const expr_zone *zone, int64_t seconds)
{
    if (!zone->has_daylight)
        return zone->standard;
    int64_t year, local = seconds + zone->standard;
    unsigned month, day;
    venv_civil_from_days(local / 86400 - (local % 86400 < 0), &year, &month, &day);
    int64_t begin = change_at(&zone->begin, year) - zone->standard;
    int64_t end = change_at(&zone->end, year) - zone->daylight;
    bool daylight = begin < end ? seconds >= begin && seconds < end : seconds >= begin || seconds < end;
    return daylight ? zone->daylight : zone->standard;
}

/* ---- the file ---- */

typedef struct header {
    uint32_t isut, isstd, leap, time, type, abbreviation;
} header;

#define HEADER_SIZE 44u

static bool read_header(const uint8_t *data, size_t size, header *ret_header)
{
    if (size < HEADER_SIZE || memcmp(data, "TZif", 4) != 0)
        return false;
    *ret_header = (header){ read_u32(data + 20), read_u32(data + 24), read_u32(data + 28),
                            read_u32(data + 32), read_u32(data + 36), read_u32(data + 40) };
    return ret_header->time <= TRANSITIONS_MAX && ret_header->type <= TYPES_MAX && ret_header->type > 0 &&
           ret_header->leap <= 1000 && ret_header->isut <= TYPES_MAX && ret_header->isstd <= TYPES_MAX &&
           ret_header->abbreviation <= 65536;
}

static size_t block_size(const header *h, size_t time_size)
{
    return h->time * (time_size + 1) + h->type * (size_t)6 + h->abbreviation + h->leap * (time_size + 4) + h->isstd + h->isut;
}

static venv_rc parse_file(expr_zone *zone, const uint8_t *data, size_t size)
{
    header h;
    if (!read_header(data, size, &h) || data[4] < '2')
        return VENV_EINVAL;
    size_t skip = HEADER_SIZE + block_size(&h, 4);
    if (skip > size || !read_header(data + skip, size - skip, &h))
        return VENV_EINVAL;
    data += skip + HEADER_SIZE;
    size -= skip + HEADER_SIZE;
    size_t body = block_size(&h, 8);
    if (body > size)
        return VENV_EINVAL;
    const uint8_t *indexes = data + h.time * (size_t)8, *types = indexes + h.time;
    zone->times = malloc((h.time + 1) * sizeof *zone->times);
    zone->offsets = malloc((h.time + 1) * sizeof *zone->offsets);
    if (!zone->times || !zone->offsets)
        return VENV_ENOMEM;
    zone->first = (int32_t)read_u32(types);
    for (uint32_t i = 0; i < h.time; i++) {
        zone->times[i] = read_i64(data + i * (size_t)8);
        if (indexes[i] >= h.type || (i && zone->times[i] <= zone->times[i - 1]))
            return VENV_EINVAL;
        zone->offsets[i] = (int32_t)read_u32(types + indexes[i] * (size_t)6);
        if (zone->offsets[i] < -100000 || zone->offsets[i] > 100000)
            return VENV_EINVAL;
    }
    zone->count = h.time;
    if (zone->first < -100000 || zone->first > 100000)
        return VENV_EINVAL;
    const char *footer = (const char *)data + body, *end = (const char *)data + size;
    if (footer == end || *footer != '\n')
        return VENV_EINVAL;
    footer++;
    const char *newline = memchr(footer, '\n', (size_t)(end - footer));
    return newline && parse_rule(zone, (reader){ footer, newline }) ? VENV_OK : VENV_EINVAL;
}

venv_rc venv_cel_zone_new(venv_str name, venv_expr_zone_fn load, void *user, expr_zone **ret_zone, venv_error *err)
{
    int shown = (int)(name.size > 60 ? 60 : name.size);
    if (!load)
        return venv_error_set(err, VENV_ENOENT, "no time zone is known as '%.*s': only UTC and offsets such as +02:00 are", shown,
                              name.data);
    if (!is_safe_name(name))
        return venv_error_set(err, VENV_EINVAL, "'%.*s' is no time zone; expected a name as Europe/Rome or an offset as +02:00",
                              shown, name.data);
    expr_zone *zone = calloc(1, sizeof *zone);
    if (!zone)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    memcpy(zone->name, name.data, name.size);
    zone->name_size = name.size;
    venv_value file = venv_value_null();
    venv_error inner = { .rc = VENV_OK };
    venv_rc rc = load(user, zone->name, &file, &inner);
    if (rc != VENV_OK) {
        rc = venv_error_set(err, rc == VENV_ENOMEM ? rc : VENV_ENOENT, "no time zone is known as '%.*s'%s%.200s", shown,
                            name.data, *inner.text ? ": " : "", inner.text);
    } else {
        bool bytes = venv_value_kind(&file) == VENV_BYTES;
        venv_str data = bytes ? venv_value_peek_text(&file) : (venv_str){ "", 0 };
        rc = parse_file(zone, (const uint8_t *)data.data, data.size);
        if (rc != VENV_OK)
            (void)venv_error_set(err, rc, rc == VENV_ENOMEM ? "out of memory%.0s" : "the data of time zone '%.60s' are damaged",
                                 zone->name);
    }
    venv_value_unref(&file);
    if (rc != VENV_OK) {
        venv_cel_zone_free(zone);
        return rc;
    }
    *ret_zone = zone;
    return VENV_OK;
}

void venv_cel_zone_free(expr_zone *zone)
{
    if (!zone)
        return;
    free(zone->times);
    free(zone->offsets);
    free(zone);
}

bool venv_cel_zone_is(const expr_zone *zone, venv_str name)
{
    return zone->name_size == name.size && !memcmp(zone->name, name.data, name.size);
}

int32_t venv_cel_zone_offset(const expr_zone *zone, int64_t seconds)
{
    uint32_t first = 0, rest = zone->count; /* how many transitions are not after it */
    while (rest) {
        uint32_t half = rest / 2;
        if (zone->times[first + half] <= seconds) {
            first += half + 1;
            rest -= half + 1;
        } else {
            rest = half;
        }
    }
    if (first == zone->count && zone->has_rule)
        return rule_offset(zone, seconds);
    return first ? zone->offsets[first - 1] : zone->first;
}
