/* SPDX-License-Identifier: Apache-2.0 */
/* The trace: a hash over everything that happens; and, where somebody listens, the same in words. */
#include "sim/sim.h"

#include <stdarg.h>
#include <string.h>

void report_mix(sim *s, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t trace = s->trace;
    for (size_t i = 0; i < size; i += 8) { /* not to resist anybody: to differ where the numbers do */
        uint64_t word = 0;
        memcpy(&word, bytes + i, size - i < 8 ? size - i : 8);
        trace = (trace ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        trace ^= trace >> 29;
    }
    s->trace = trace;
}

void report_say(sim *s, const char *who, const char *format, ...)
{
    if (!s->settings.out)
        return;
    va_list args;
    va_start(args, format);
    fprintf(s->settings.out, "%11.3f %s: ", (double)s->now / 1e9, who);
    vfprintf(s->settings.out, format, args);
    fputc('\n', s->settings.out);
    va_end(args);
}

void report_trace(sim *s, const char *what, uint64_t a, uint64_t b)
{
    uint64_t numbers[] = { (uint64_t)s->now, a, b, (uint64_t)(unsigned char)what[0] << 8 | (unsigned char)what[strlen(what) / 2] };
    report_mix(s, numbers, sizeof numbers);
}
