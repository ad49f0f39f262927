/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_CALENDAR_H
#define VENV_BASE_CALENDAR_H

/*
 * The proleptic Gregorian calendar in UTC, by arithmetic alone: no time zone data, no libc.
 */

#include <venv/common.h>

/* Days since 1970-01-01 of a civil date; month 1..12, day 1..31 (not checked). */
int64_t venv_days_from_civil(int64_t year, unsigned month, unsigned day);
void venv_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
unsigned venv_days_in_month(int64_t year, unsigned month);

#define VENV_RFC3339_TEXT_SIZE 40

/*
 * RFC 3339 in UTC with as many digits of fraction as needed (none, or up to nine):
 * "2026-11-22T18:30:00Z", "2026-11-22T18:30:00.25Z". For years 0001..9999. Returns `ret_text`.
 */
const char *venv_rfc3339_format(int64_t seconds, uint32_t nanos, char ret_text[VENV_RFC3339_TEXT_SIZE]);

/* Any RFC 3339 time with offset, years 0001..9999 in UTC, at most nine digits of fraction, no leap second. */
bool venv_rfc3339_parse(venv_str text, int64_t *ret_seconds, uint32_t *ret_nanos);

#define VENV_DURATION_TEXT_SIZE 48

/* Seconds with as many digits of fraction as needed: "90s", "-1.5s". Both parts have one sign. Returns `ret_text`. */
const char *venv_duration_format(int64_t seconds, int32_t nanos, char ret_text[VENV_DURATION_TEXT_SIZE]);

#endif
