/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec ts = { 0, 0 };
    (void)clock_gettime(id, &ts); /* cannot fail for these two ids */
    return (int64_t)ts.tv_sec * VENV_NS_PER_S + ts.tv_nsec;
}

venv_now venv_clock_read(void)
{
    venv_now now;
    now.mono.ns = read_ns(CLOCK_MONOTONIC);
    now.wall.ns = read_ns(CLOCK_REALTIME);
    return now;
}

venv_instant venv_instant_after(venv_instant instant, venv_span span)
{
    venv_instant sum;
    if (__builtin_add_overflow(instant.ns, span.ns, &sum.ns))
        return VENV_INSTANT_NEVER;
    return sum;
}
