/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations and sizes as people write them.
 */
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SPAN_MAX_NS (INT64_C(3653) * 86400 * VENV_NS_PER_S) /* ten years */

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* Longest first where one is a prefix of another. A span names each at most once, in this order but for that. */
static const unit span_units[] = {
    { "d", UINT64_C(86400000000000) }, { "h", UINT64_C(3600000000000) }, { "ms", 1000000 },
    { "m", UINT64_C(60000000000) },    { "s", 1000000000 },              { "us", 1000 },
    { "ns", 1 },
};

static const unit size_units[] = {
    { "KiB", UINT64_C(1) << 10 }, { "MiB", UINT64_C(1) << 20 }, { "GiB", UINT64_C(1) << 30 },
    { "TiB", UINT64_C(1) << 40 }, { "PiB", UINT64_C(1) << 50 }, { "kB", 1000 },
    { "KB", 1000 },               { "MB", 1000000 },            { "GB", 1000000000 },
    { "TB", UINT64_C(1000000000000) }, { "PB", UINT64_C(1000000000000000) }, { "B", 1 },
};

/* A decimal number: whole part and up to 9 digits of fraction, in billionths. */
static bool take_number(venv_str *text, uint64_t *ret_whole, uint64_t *ret_billionths)
{
    uint64_t whole = 0, fraction = 0;
    size_t at = 0;
    for (; at < text->size && text->data[at] >= '0' && text->data[at] <= '9'; at++) {
        if (whole > (uint64_t)INT64_MAX / 10 - 1)
            return false;
        whole = whole * 10 + (uint64_t)(text->data[at] - '0');
    }
    if (at == 0)
        return false;
    if (at < text->size && text->data[at] == '.') {
        size_t first = ++at;
        uint64_t place = 100000000;
        for (; at < text->size && text->data[at] >= '0' && text->data[at] <= '9'; at++, place /= 10) {
            if (place == 0)
                return false;
            fraction += place * (uint64_t)(text->data[at] - '0');
        }
        if (at == first)
            return false;
    }
    text->data += at;
    text->size -= at;
    *ret_whole = whole;
    *ret_billionths = fraction;
    return true;
}

static const unit *take_unit(venv_str *text, const unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(units[i].name);
        if (text->size >= size && memcmp(text->data, units[i].name, size) == 0) {
            text->data += size;
            text->size -= size;
            return &units[i];
        }
    }
    return NULL;
}

/* whole.fraction * factor, where it is whole and fits. */
static bool scale(uint64_t whole, uint64_t billionths, uint64_t factor, uint64_t *ret_product)
{
    uint64_t product, part;
    if (__builtin_mul_overflow(whole, factor, &product))
        return false;
    __extension__ typedef unsigned __int128 wide;
    wide fraction = (wide)billionths * factor;
    if (fraction % 1000000000u != 0 && factor < 1000000000u)
        return false;
    part = (uint64_t)(fraction / 1000000000u);
    return !__builtin_add_overflow(product, part, ret_product) && *ret_product <= (uint64_t)INT64_MAX;
}

bool venv_span_parse(venv_str text, venv_span *ret_span)
{
    uint64_t total = 0, last = UINT64_MAX;
    if (text.size == 1 && text.data[0] == '0') {
        *ret_span = (venv_span){ 0 };
        return true;
    }
    if (text.size == 0)
        return false;
    while (text.size) {
        uint64_t whole, fraction, part;
        if (!take_number(&text, &whole, &fraction))
            return false;
        const unit *u = take_unit(&text, span_units, sizeof span_units / sizeof span_units[0]);
        if (!u || u->factor >= last || !scale(whole, fraction, u->factor, &part))
            return false;
        last = u->factor;
        if (__builtin_add_overflow(total, part, &total) || total > (uint64_t)SPAN_MAX_NS)
            return false;
    }
    *ret_span = (venv_span){ (int64_t)total };
    return true;
}

/* "1.5" and a unit: `amount` in units of 1/`per`. */
static int print_decimal(char *buffer, size_t size, uint64_t amount, uint64_t per, const char *name)
{
    char fraction[32] = "";
    if (amount % per) {
        int digits = per == 1000000000 ? 9 : per == 1000000 ? 6 : 3;
        snprintf(fraction, sizeof fraction, ".%0*" PRIu64, digits, amount % per);
        size_t end = strlen(fraction);
        while (fraction[end - 1] == '0')
            fraction[--end] = '\0';
    }
    return snprintf(buffer, size, "%" PRIu64 "%s%s", amount / per, fraction, name);
}

const char *venv_span_format(venv_span span, char *buffer, size_t size)
{
    if (size == 0)
        return buffer;
    char text[64];
    size_t at = 0;
    uint64_t rest = span.ns < 0 ? 0 - (uint64_t)span.ns : (uint64_t)span.ns;
    if (span.ns < 0)
        text[at++] = '-';
    static const unit large[] = { { "d", UINT64_C(86400000000000) },
                                  { "h", UINT64_C(3600000000000) },
                                  { "m", UINT64_C(60000000000) } };
    bool any = false;
    for (size_t i = 0; i < 3; i++) {
        if (rest >= large[i].factor) {
            at += (size_t)snprintf(text + at, sizeof text - at, "%" PRIu64 "%s", rest / large[i].factor, large[i].name);
            rest %= large[i].factor;
            any = true;
        }
    }
    if (rest >= 1000000000 || (any && rest))
        print_decimal(text + at, sizeof text - at, rest, 1000000000, "s");
    else if (rest >= 1000000)
        print_decimal(text + at, sizeof text - at, rest, 1000000, "ms");
    else if (rest >= 1000)
        print_decimal(text + at, sizeof text - at, rest, 1000, "us");
    else if (rest)
        snprintf(text + at, sizeof text - at, "%" PRIu64 "ns", rest);
    else if (!any)
        snprintf(text, sizeof text, "0s");
    else
        text[at] = '\0';
    snprintf(buffer, size, "%s", text);
    return buffer;
}

bool venv_size_parse(venv_str text, uint64_t *ret_bytes)
{
    uint64_t whole, fraction, factor = 1, bytes;
    if (!take_number(&text, &whole, &fraction))
        return false;
    if (text.size) {
        const unit *u = take_unit(&text, size_units, sizeof size_units / sizeof size_units[0]);
        if (!u)
            return false;
        factor = u->factor;
    }
    if (text.size || !scale(whole, fraction, factor, &bytes))
        return false;
    *ret_bytes = bytes;
    return true;
}
