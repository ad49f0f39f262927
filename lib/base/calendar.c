/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days and civil dates as Howard Hinnant derives them ("chrono-compatible low-level date
 * algorithms"): the year begins in March, so that the leap day is the last of it.
 */
#include "base/calendar.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_MIN INT64_C(-62135596800)
#define SECONDS_MAX INT64_C(253402300799)

int64_t venv_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void venv_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *ret_day = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *ret_month = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

unsigned venv_days_in_month(int64_t year, unsigned month)
{
    static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static int64_t floor_days(int64_t seconds, int64_t *ret_second_of_day)
{
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    *ret_second_of_day = rest;
    return days;
}

/* "YYYY-MM-DDTHH:MM:SS", 19 bytes. */
static void print_civil(int64_t seconds, char text[VENV_RFC3339_TEXT_SIZE])
{
    int64_t year, of_day;
    unsigned month, day;
    venv_civil_from_days(floor_days(seconds, &of_day), &year, &month, &day);
    snprintf(text, VENV_RFC3339_TEXT_SIZE, "%04d-%02u-%02uT%02d:%02d:%02d", (int)year, month, day,
             (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60));
}

const char *venv_rfc3339_format(int64_t seconds, uint32_t nanos, char ret_text[VENV_RFC3339_TEXT_SIZE])
{
    print_civil(seconds, ret_text);
    size_t at = strlen(ret_text);
    if (nanos) {
        at += (size_t)snprintf(ret_text + at, VENV_RFC3339_TEXT_SIZE - at, ".%09u", nanos);
        while (ret_text[at - 1] == '0')
            at--;
    }
    ret_text[at] = 'Z';
    ret_text[at + 1] = '\0';
    return ret_text;
}

const char *venv_wall_format(venv_wall wall, char ret_text[VENV_WALL_TEXT_SIZE])
{
    char civil[VENV_RFC3339_TEXT_SIZE];
    int64_t seconds = wall.ns / VENV_NS_PER_S, rest = wall.ns % VENV_NS_PER_S;
    if (rest < 0) {
        rest += VENV_NS_PER_S;
        seconds--;
    }
    print_civil(seconds, civil);
    snprintf(ret_text, VENV_WALL_TEXT_SIZE, "%.19s.%03dZ", civil, (int)(rest / 1000000));
    return ret_text;
}

/* Exactly `count` digits. */
static bool digits(const char *at, size_t count, unsigned *ret_number)
{
    unsigned number = 0;
    for (size_t i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        number = number * 10 + (unsigned)(at[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool take_fraction(venv_str *rest, uint32_t *ret_nanos)
{
    uint32_t nanos = 0, place = 100000000; /* RFC 3339 allows any number of digits: what is below a nanosecond is cut */
    size_t at = 1;
    for (; at < rest->size && rest->data[at] >= '0' && rest->data[at] <= '9'; at++, place /= 10)
        nanos += place * (uint32_t)(rest->data[at] - '0');
    *rest = (venv_str){ rest->data + at, rest->size - at };
    *ret_nanos = nanos;
    return at > 1;
}

/* "Z" or "+HH:MM", to the end of the text. */
static bool read_offset(venv_str rest, int64_t *ret_seconds)
{
    if (rest.size == 1 && (rest.data[0] == 'Z' || rest.data[0] == 'z')) {
        *ret_seconds = 0;
        return true;
    }
    unsigned hours, minutes;
    if (rest.size != 6 || (rest.data[0] != '+' && rest.data[0] != '-') || rest.data[3] != ':' ||
        !digits(rest.data + 1, 2, &hours) || !digits(rest.data + 4, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    int64_t offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *ret_seconds = rest.data[0] == '-' ? -offset : offset;
    return true;
}

bool venv_rfc3339_parse(venv_str text, int64_t *ret_seconds, uint32_t *ret_nanos)
{
    const char *s = text.data;
    unsigned year, month, day, hour, minute, second;
    if (text.size < 20 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':' ||
        s[16] != ':' || !digits(s, 4, &year) || !digits(s + 5, 2, &month) || !digits(s + 8, 2, &day) ||
        !digits(s + 11, 2, &hour) || !digits(s + 14, 2, &minute) || !digits(s + 17, 2, &second))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > venv_days_in_month(year, month) || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    venv_str rest = { s + 19, text.size - 19 };
    uint32_t nanos = 0;
    int64_t offset;
    if (rest.data[0] == '.' && !take_fraction(&rest, &nanos))
        return false;
    if (!read_offset(rest, &offset))
        return false;
    int64_t seconds = venv_days_from_civil(year, month, day) * 86400 + (int64_t)hour * 3600 +
                      (int64_t)minute * 60 + (int64_t)second - offset;
    if (seconds < SECONDS_MIN || seconds > SECONDS_MAX)
        return false;
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return true;
}

const char *venv_duration_format(int64_t seconds, int32_t nanos, char ret_text[VENV_DURATION_TEXT_SIZE])
{
    bool negative = seconds < 0 || nanos < 0;
    uint64_t whole = seconds < 0 ? 0 - (uint64_t)seconds : (uint64_t)seconds;
    uint32_t part = nanos < 0 ? (uint32_t)-nanos : (uint32_t)nanos;
    size_t at = (size_t)snprintf(ret_text, VENV_DURATION_TEXT_SIZE, "%s%" PRIu64, negative ? "-" : "", whole);
    if (part) {
        at += (size_t)snprintf(ret_text + at, VENV_DURATION_TEXT_SIZE - at, ".%09u", part);
        while (ret_text[at - 1] == '0')
            at--;
    }
    ret_text[at] = 's';
    ret_text[at + 1] = '\0';
    return ret_text;
}
