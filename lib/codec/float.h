/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_FLOAT_H
#define VENV_CODEC_FLOAT_H

/*
 * The three widths of IEEE 754 that CBOR has (RFC 8949 3.3 and appendix D), and the shortest of them
 * that keeps a number.
 */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t venv_double_bits(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

static inline double venv_double_of_bits(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static inline double venv_double_of_single(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* True if a single keeps the number; not for NaN. */
static inline bool venv_double_to_single(double d, uint32_t *ret_bits)
{
    /* Outside the range of singles the conversion would not be defined. */
    if (isfinite(d) && fabs(d) > 0x1.fffffep127)
        return false;
    float f = (float)d;
    if ((double)f < d || (double)f > d)
        return false;
    memcpy(ret_bits, &f, sizeof f);
    return true;
}

static inline double venv_double_of_half(uint16_t half)
{
    unsigned exponent = (half >> 10) & 31;
    unsigned fraction = half & 1023;
    double d;
    if (exponent == 0)
        d = (double)fraction * 0x1p-24;
    else if (exponent == 31)
        d = fraction ? (double)NAN : (double)INFINITY;
    else
        d = venv_double_of_bits((uint64_t)(exponent + 1023 - 15) << 52 | (uint64_t)fraction << 42);
    return half & 0x8000 ? -d : d;
}

/* True if a half keeps the number that these bits of a single mean; not for NaN. */
static inline bool venv_single_to_half(uint32_t bits, uint16_t *ret_half)
{
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    int exponent = (int)(bits >> 23 & 255) - 127;
    uint32_t fraction = bits & 0x7fffff;
    if (exponent == 128 && fraction == 0) {
        *ret_half = sign | 0x7c00;
    } else if (exponent == -127 && fraction == 0) {
        *ret_half = sign;
    } else if (exponent >= -14 && exponent <= 15 && !(fraction & 0x1fff)) {
        *ret_half = (uint16_t)(sign | (unsigned)(exponent + 15) << 10 | fraction >> 13);
    } else if (exponent >= -24 && exponent < -14) {
        /* Subnormal: a multiple of 2^-24. */
        uint32_t whole = fraction | 0x800000;
        unsigned shift = (unsigned)(-exponent - 1);
        if (whole & ((1u << shift) - 1))
            return false;
        *ret_half = (uint16_t)(sign | whole >> shift);
    } else {
        return false;
    }
    return true;
}

#endif
