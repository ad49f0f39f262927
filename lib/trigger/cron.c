/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules by the calendar. The fields and their words are a table; a cursor reads them.
 *
 *      FIELD = ITEM {"," ITEM}      ITEM = ("*" | VALUE ["-" VALUE]) ["/" STEP]      VALUE = number | name
 *
 * As in crontab(5) of POSIX, a day has to fit the day of month or the day of week where both are given; where one
 * of the two is `*` the other one decides.
 */
#include "trigger/cron.h"

#include "base/calendar.h"
#include "base/cleanup.h"

#include <string.h>

#define MINUTE_S      60
#define HOUR_S        3600
#define DAY_S         86400
#define SEARCH_DAYS   (41 * 366) /* 29 February on one day of the week: 28 years, and 12 more around 2100 */
#define FIELDS        5

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY };

static const struct {
    const char *name;
    unsigned min, max;
    const char *const *names; /* of min, min + 1, … */
    const char *expected;
} fields[FIELDS] = {
    [MINUTE] = { "minute", 0, 59, NULL, "0 to 59" },
    [HOUR] = { "hour", 0, 23, NULL, "0 to 23" },
    [DAY] = { "day of month", 1, 31, NULL, "1 to 31" },
    [MONTH] = { "month", 1, 12, month_names, "1 to 12 or jan to dec" },
    [WEEKDAY] = { "day of week", 0, 7, weekday_names, "0 to 7 (0 and 7 are Sunday) or sun to sat" },
};

static const struct {
    const char *word, *fields;
} shorthands[] = {
    { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" }, { "@weekly", "0 0 * * 0" },
    { "@daily", "0 0 * * *" },  { "@midnight", "0 0 * * *" }, { "@hourly", "0 * * * *" },
};

/* --- reading ------------------------------------------------------------------------------------------- */

typedef struct cursor {
    venv_str text;
    size_t at;
    int field;
    bool failed;
    venv_error *err;
} cursor;

static char peek(const cursor *c)
{
    return c->at < c->text.size ? c->text.data[c->at] : '\0';
}

static void fail(cursor *c, size_t at, const char *what)
{
    if (c->failed)
        return;
    c->failed = true;
    (void)venv_error_set(c->err, VENV_EINVAL, "%s: %s; expected %s, `*`, a range as 1-5, a step as */10, or several of them "
                         "with commas", fields[c->field].name, what, fields[c->field].expected);
    if (c->err) {
        c->err->line = 1;
        c->err->column = (uint32_t)at + 1;
    }
}

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static unsigned read_number(cursor *c)
{
    unsigned number = 0;
    size_t begin = c->at;
    for (; is_digit(peek(c)); c->at++)
        if (number < 1000)
            number = number * 10 + (unsigned)(peek(c) - '0');
    if (c->at == begin)
        fail(c, begin, "a number is missing");
    return number;
}

static unsigned read_name(cursor *c)
{
    size_t begin = c->at;
    while (lower(peek(c)) >= 'a' && lower(peek(c)) <= 'z')
        c->at++;
    const char *const *names = fields[c->field].names;
    for (unsigned n = 0; names && names[n] && c->at - begin == 3; n++)
        if (lower(c->text.data[begin]) == names[n][0] && lower(c->text.data[begin + 1]) == names[n][1] &&
            lower(c->text.data[begin + 2]) == names[n][2])
            return fields[c->field].min + n;
    fail(c, begin, c->at == begin ? "a value is missing" : "this is no value of it");
    return 0;
}

static unsigned read_value(cursor *c)
{
    size_t begin = c->at;
    unsigned value = is_digit(peek(c)) ? read_number(c) : read_name(c);
    if (!c->failed && (value < fields[c->field].min || value > fields[c->field].max))
        fail(c, begin, "this is out of bounds");
    return value;
}

static uint64_t read_item(cursor *c)
{
    size_t begin = c->at;
    unsigned first = fields[c->field].min, last = fields[c->field].max, step = 1;
    bool many = true;
    if (peek(c) == '*') {
        c->at++;
        last = c->field == WEEKDAY ? 6 : last;
    } else {
        first = last = read_value(c);
        many = peek(c) == '-';
        if (many) {
            c->at++;
            last = read_value(c);
            if (c->field == WEEKDAY && last == 0 && first > 0)
                last = 7; /* fri-sun */
        }
    }
    if (!c->failed && first > last)
        fail(c, begin, "the range ends before it begins");
    if (!c->failed && peek(c) == '/') {
        size_t slash = c->at++;
        if (!many)
            fail(c, slash, "a step needs a range or `*` before it");
        size_t at = c->at;
        step = read_number(c);
        if (!c->failed && (step == 0 || step > fields[c->field].max))
            fail(c, at, "this step is out of bounds");
    }
    uint64_t bits = 0;
    for (unsigned value = first; !c->failed && value <= last; value += step)
        bits |= UINT64_C(1) << (c->field == WEEKDAY ? value % 7 : value);
    return bits;
}

static uint64_t read_field(cursor *c, bool *ret_any)
{
    while (peek(c) == ' ' || peek(c) == '\t')
        c->at++;
    *ret_any = peek(c) == '*';
    uint64_t bits = read_item(c);
    while (!c->failed && peek(c) == ',') {
        c->at++;
        bits |= read_item(c);
    }
    if (!c->failed && c->at < c->text.size && peek(c) != ' ' && peek(c) != '\t')
        fail(c, c->at, "this does not belong here");
    return bits;
}

static bool comes_ever(const venv_cron *cron)
{
    static const unsigned lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    for (unsigned month = 1; month <= 12; month++)
        if (cron->months & (1u << month))
            for (unsigned day = 1; day <= lengths[month - 1]; day++)
                if (cron->days & (1u << day))
                    return true;
    return !cron->day_any && !cron->weekday_any; /* then the day of week is enough */
}

venv_rc venv_cron_parse(venv_str text, venv_cron *ret_cron, venv_error *err)
{
    cursor c = { .text = text, .err = err };
    for (size_t i = 0; i < VENV_COUNT_OF(shorthands); i++)
        if (text.size == strlen(shorthands[i].word) && memcmp(text.data, shorthands[i].word, text.size) == 0)
            c.text = (venv_str){ shorthands[i].fields, strlen(shorthands[i].fields) };
    uint64_t bits[FIELDS] = { 0 };
    bool any[FIELDS] = { false };
    for (c.field = 0; c.field < FIELDS && !c.failed; c.field++)
        bits[c.field] = read_field(&c, &any[c.field]);
    if (c.failed)
        return VENV_EINVAL;
    c.field = WEEKDAY;
    while (peek(&c) == ' ' || peek(&c) == '\t')
        c.at++;
    venv_cron cron = { .minutes = bits[MINUTE], .hours = (uint32_t)bits[HOUR], .days = (uint32_t)bits[DAY],
                       .months = (uint32_t)bits[MONTH], .weekdays = (uint32_t)bits[WEEKDAY], .hour_any = any[HOUR],
                       .day_any = any[DAY], .weekday_any = any[WEEKDAY] };
    if (c.at == c.text.size && comes_ever(&cron)) {
        *ret_cron = cron;
        return VENV_OK;
    }
    if (c.at < c.text.size)
        (void)venv_error_set(err, VENV_EINVAL, "there is more than the five fields minute, hour, day of month, month, day of week");
    else
        (void)venv_error_set(err, VENV_EINVAL, "this never comes: none of the months has such a day");
    if (err) {
        err->line = 1;
        err->column = c.at < c.text.size ? (uint32_t)c.at + 1 : 1;
    }
    return VENV_EINVAL;
}

venv_rc venv_cron_set_zone(venv_cron *cron, venv_str name, venv_expr_zone_fn load, void *user, venv_error *err)
{
    expr_zone *zone = NULL;
    int32_t offset = 0;
    if (!venv_cel_zone_fixed(name, &offset)) {
        venv_rc rc = venv_cel_zone_new(name, load, user, &zone, err);
        if (rc != VENV_OK)
            return rc;
    }
    venv_cron_fini(cron);
    cron->zone = zone;
    cron->offset = offset;
    return VENV_OK;
}

void venv_cron_fini(venv_cron *cron)
{
    venv_cel_zone_free(cron->zone);
    cron->zone = NULL;
    cron->offset = 0;
}

/* --- the next moment --------------------------------------------------------------------------------------- */

static int32_t offset_at(const venv_cron *cron, int64_t moment)
{
    return cron->zone ? venv_cel_zone_offset(cron->zone, moment) : cron->offset;
}

static int64_t day_of(int64_t seconds)
{
    return seconds / DAY_S - (seconds % DAY_S < 0);
}

static bool fits_day(const venv_cron *cron, int64_t day)
{
    int64_t year;
    unsigned month, of_month;
    venv_civil_from_days(day, &year, &month, &of_month);
    if (!(cron->months & (1u << month)))
        return false;
    int64_t weekday = (day + 4) % 7; /* 1970-01-01 was a Thursday */
    bool fits = cron->days & (1u << of_month);
    bool fits_week = cron->weekdays & (1u << (weekday < 0 ? weekday + 7 : weekday));
    return cron->day_any || cron->weekday_any ? fits && fits_week : fits || fits_week;
}

/* The first whole minute with the new offset; the offset changes once in between. */
static int64_t change_between(const venv_cron *cron, int64_t low, int64_t high)
{
    int32_t before = offset_at(cron, low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (offset_at(cron, middle) == before)
            low = middle;
        else
            high = middle;
    }
    int64_t rest = high % MINUTE_S;
    return rest > 0 ? high + MINUTE_S - rest : high - rest;
}

/* Moments that a local time stands for near a change of the offset, earliest first. No zone changes twice in two days. */
static size_t moments_of(const venv_cron *cron, int64_t local, int64_t ret_moments[2])
{
    int32_t before = offset_at(cron, local - DAY_S), after = offset_at(cron, local + DAY_S);
    size_t count = 0;
    if (offset_at(cron, local - before) == before || before == after)
        ret_moments[count++] = local - before;
    if (before != after && offset_at(cron, local - after) == after)
        ret_moments[count++] = local - after;
    if (count == 0 && !cron->hour_any)
        ret_moments[count++] = change_between(cron, local - DAY_S, local + DAY_S);
    return count == 2 && !cron->hour_any ? 1 : count;
}

/* The first moment of a local day that is after `after`. */
static bool first_of_day(const venv_cron *cron, int64_t day, int64_t after, int64_t *ret_moment)
{
    int64_t midnight = day * DAY_S, moments[2];
    bool found = false, plain = offset_at(cron, midnight - DAY_S) == offset_at(cron, midnight + 2 * DAY_S);
    for (unsigned hour = 0; hour < 24; hour++)
        for (unsigned minute = 0; minute < 60 && (cron->hours & (1u << hour)); minute++) {
            if (!(cron->minutes & (UINT64_C(1) << minute)))
                continue;
            size_t count = moments_of(cron, midnight + hour * HOUR_S + minute * MINUTE_S, moments);
            for (size_t i = 0; i < count; i++)
                if (moments[i] > after && (!found || moments[i] < *ret_moment)) {
                    *ret_moment = moments[i];
                    found = true;
                }
            if (found && plain)
                return true;
        }
    return found;
}

bool venv_cron_next(const venv_cron *cron, int64_t after, int64_t *ret_moment)
{
    /* A day early: what a gap skips before midnight comes after it. */
    int64_t first = day_of(after + offset_at(cron, after)) - 1;
    for (int64_t day = first; day < first + SEARCH_DAYS; day++)
        if (fits_day(cron, day) && first_of_day(cron, day, after, ret_moment))
            return true;
    return false;
}
