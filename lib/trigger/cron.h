/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_CRON_H
#define VENV_TRIGGER_CRON_H

/*
 * A schedule by the calendar, "30 18 * * *": minute, hour, day of month, month, day of week, as crontab(5) has
 * them, in a time zone. It tells the next moment and knows of no clock.
 *
 * Where a time zone changes its offset:
 *  - a local time that is skipped counts as the first moment after the gap, once;
 *  - a local time that comes twice counts the first time.
 * A schedule for every hour (its hour is `*`, or begins with it) goes by the time that really passes: nothing is
 * made up for skipped hours, and repeated ones count both times.
 */

#include "expr/zone.h"

typedef struct venv_cron {
    uint64_t minutes;   /* bit n: minute n */
    uint32_t hours, days, months, weekdays; /* weekday 0 is Sunday */
    bool day_any, weekday_any, hour_any;    /* the field begins with `*` */
    expr_zone *zone;    /* NULL: the fixed offset. Owned. */
    int32_t offset;     /* seconds east of UTC */
} venv_cron;

/*
 * Parse the five fields; the zone is UTC. On VENV_EINVAL the error has line 1 and the column in the text, and says
 * what was expected. A schedule that never comes, as 31 February, is an error.
 */
venv_rc venv_cron_parse(venv_str text, venv_cron *ret_cron, venv_error *err);

/* "Europe/Rome", "UTC", "+02:00". VENV_ENOENT: no such zone, or there is nobody to ask. */
venv_rc venv_cron_set_zone(venv_cron *cron, venv_str name, venv_expr_zone_fn load, void *user, venv_error *err);

/* The first moment after `after`, both in seconds since 1970 UTC. False if there is none within 40 years. */
bool venv_cron_next(const venv_cron *cron, int64_t after, int64_t *ret_moment);

void venv_cron_fini(venv_cron *cron);

#endif
