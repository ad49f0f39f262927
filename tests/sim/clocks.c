/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hosts believe that the time is. Monotonic clocks of two hosts have nothing to do with each other, run a
 * little too fast or too slowly, and begin anew when the host does; wall clocks drift, too, and are set.
 */
#include "sim/sim.h"

#define EPOCH (INT64_C(1700000000) * VENV_NS_PER_S)
#define MILLION 1000000
#define SPAN_MAX INT64_C(1000000000000000000) /* longer than any run */

static int64_t scaled(int64_t span, int64_t ppm)
{
    return span + span / MILLION * ppm + span % MILLION * ppm / MILLION;
}

/* From now on with other numbers. */
static void rebase(const sim *s, host_clock *clock)
{
    int64_t span = s->now - clock->since;
    clock->mono += scaled(span, clock->mono_ppm);
    clock->wall += scaled(span, clock->wall_ppm);
    clock->since = s->now;
}

void clock_init(sim *s, host_clock *clock)
{
    clock->since = s->now;
    clock->mono = sim_spread(s, S(1), S(100000000));
    clock->wall = EPOCH + s->now + sim_between(s, -S(2), S(2));
    clock->mono_ppm = sim_between(s, -100, 100);
    clock->wall_ppm = clock->mono_ppm;
}

venv_now clock_read(const sim *s, const host_clock *clock)
{
    int64_t span = s->now - clock->since;
    int64_t mono = scaled(span, clock->mono_ppm);
    return (venv_now){ { clock->mono + mono }, { clock->wall + (clock->wall_ppm == clock->mono_ppm ? mono : scaled(span, clock->wall_ppm)) } };
}

int64_t clock_when(const sim *s, const host_clock *clock, venv_instant deadline)
{
    if (deadline.ns <= clock->mono)
        return s->now;
    int64_t span = deadline.ns - clock->mono;
    if (span > SPAN_MAX)
        return NEVER;
    int64_t rate = MILLION + clock->mono_ppm, at = span / rate * MILLION + span % rate * MILLION / rate;
    while (at > 0 && scaled(at - 1, clock->mono_ppm) >= span)
        at--;
    while (scaled(at, clock->mono_ppm) < span)
        at++;
    at += clock->since;
    return at > s->now ? at : s->now;
}

void clock_jump(sim *s, host_clock *clock, int64_t by_ns)
{
    rebase(s, clock);
    clock->wall += by_ns;
    if (clock->wall < S(1)) /* before 1970: no clock says that */
        clock->wall = S(1);
}

void clock_drift(sim *s, host_clock *clock, int64_t mono_ppm, int64_t wall_ppm)
{
    rebase(s, clock);
    clock->mono_ppm = mono_ppm;
    clock->wall_ppm = wall_ppm;
}

void clock_reboot(sim *s, host_clock *clock)
{
    rebase(s, clock);
    clock->mono = sim_between(s, S(1), S(30));
}
