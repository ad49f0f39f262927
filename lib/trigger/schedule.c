/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a trigger with `at` is due, by a wall clock that may be set.
 *
 *      planned_from ──── next (the first time of the schedule after it) ────►
 *
 * It is due as soon as the clock shows `next` or later, and then the plan begins anew from what the clock shows:
 * however many times went by while nobody looked, it is due once. A clock that goes back a little comes by the same
 * times again, which are not repeated. One that goes back further was wrong before: then the plan is made anew.
 */
#include "trigger/internal.h"

#include "base/calendar.h"

#include <stdio.h>

/* Further back than this is a correction, not a step: what cron takes for one, too. */
#define STEP_BACK_MAX (INT64_C(3) * 3600 * VENV_NS_PER_S)
/* Clocks can be set while we wait: this is how soon it is noticed. */
#define LOOK_EVERY (INT64_C(10) * VENV_NS_PER_S)

static int64_t floor_seconds(int64_t ns)
{
    return ns / VENV_NS_PER_S - (ns % VENV_NS_PER_S < 0);
}

static void make_plan(trigger *t, venv_wall from)
{
    int64_t seconds = 0;
    t->planned = true;
    t->planned_from = from;
    t->never = !venv_cron_next(&t->at, floor_seconds(from.ns), &seconds) ||
               __builtin_mul_overflow(seconds, VENV_NS_PER_S, &t->next.ns);
    t->changed = true;
}

bool venv_trigger_at_take(trigger *t, venv_now now)
{
    if (!t->has_at)
        return false;
    if (!t->planned || now.wall.ns < t->planned_from.ns - STEP_BACK_MAX) {
        make_plan(t, now.wall);
        return false;
    }
    if (t->never || now.wall.ns < t->next.ns)
        return false;
    t->came = t->next;
    make_plan(t, VENV_SEEDED(AT_CATCHES_UP) ? t->came : now.wall);
    return true;
}

void venv_trigger_at_skip(trigger *t, venv_now now)
{
    if (t->has_at)
        make_plan(t, now.wall);
}

bool venv_trigger_at_is_late(const trigger *t, venv_now now)
{
    return t->has_late && now.wall.ns - t->came.ns > t->late.ns;
}

venv_instant venv_trigger_at_deadline(const trigger *t, venv_now now)
{
    int64_t wait = LOOK_EVERY, left;
    if (!t->never && t->planned && !__builtin_sub_overflow(t->next.ns, now.wall.ns, &left) && left < wait)
        wait = left > 0 ? left : 0;
    return (venv_instant){ now.mono.ns + wait };
}

void venv_trigger_at_describe(const trigger *t, venv_now now, char *text, size_t size)
{
    char time[32];
    int64_t seconds = floor_seconds(t->came.ns), year; /* a whole minute */
    unsigned month, day, minute = (unsigned)(((seconds % 86400) + 86400) % 86400 / 60);
    venv_civil_from_days((seconds - (int64_t)minute * 60) / 86400, &year, &month, &day);
    snprintf(time, sizeof time, "%04lld-%02u-%02uT%02u:%02uZ", (long long)year, month, day, minute / 60, minute % 60);
    int64_t late = (now.wall.ns - t->came.ns) / VENV_NS_PER_S;
    if (late > 0)
        snprintf(text, size, "the time %s has come, %lld s ago", time, (long long)late);
    else
        snprintf(text, size, "the time %s has come", time);
}

/* --- what outlives a restart ------------------------------------------------------------------------------- */

static const char *const parts[] = { "at", "zone" };

void venv_trigger_at_save(const trigger *t, venv_map_builder *map)
{
    if (!t->has_at || !t->planned)
        return;
    venv_map_put(map, "planned_from", venv_value_from_wall(t->planned_from));
    for (size_t i = 0; i < 2; i++) {
        const venv_value *part = venv_value_get(&t->definition, parts[i]);
        if (part)
            venv_map_put(map, parts[i], venv_value_ref(part));
    }
}

/* Another schedule than the one that was planned begins now. */
void venv_trigger_at_restore(trigger *t, const venv_value *row)
{
    const venv_value *from = venv_value_get(row, "planned_from");
    venv_wall wall;
    if (!t->has_at || !from || !venv_value_to_wall(from, &wall))
        return;
    for (size_t i = 0; i < 2; i++) {
        const venv_value *then = venv_value_get(row, parts[i]), *part = venv_value_get(&t->definition, parts[i]);
        if (!then != !part || (then && venv_value_compare(then, part) != 0))
            return;
    }
    bool changed = t->changed;
    make_plan(t, wall);
    t->changed = changed;
}
