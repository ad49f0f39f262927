/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The math extension of cel-spec, and the short names that triggers use.
 */
#include "expr/standard.h"

#include <math.h>
#include <string.h>

static bool is_number(const venv_value *value)
{
    return value->w.kind == VENV_INT || value->w.kind == VENV_UINT || value->w.kind == VENV_DOUBLE;
}

static int extreme(xctx *context, const xnode *node, const venv_value *items, uint32_t count, int wanted,
                   venv_value *out)
{
    if (!count)
        return venv_cel_fail(context, node, VENV_EINVAL, "an empty list has no least or greatest number");
    const venv_value *best = NULL;
    for (uint32_t i = 0; i < count; i++) {
        int order = wanted;
        if (!is_number(&items[i]))
            return venv_cel_fail_overload(context, node, &items[i], 1);
        if (best)
            (void)venv_cel_compare(&items[i], best, &order);
        if (!best || order == wanted)
            best = &items[i];
    }
    *out = *best;
    return X_OK;
}

static int extreme_of(xctx *context, const xnode *node, const venv_value *args, uint32_t count, int wanted,
                      venv_value *out)
{
    if (count == 1 && args[0].w.kind == VENV_LIST) {
        const struct venv_object *list = args[0].w.as.object;
        if (expr_charge(context, node, list->count) != X_OK)
            return X_FATAL;
        return extreme(context, node, venv_object_items(list), list->count, wanted, out);
    }
    return extreme(context, node, args, count, wanted, out);
}

EXPR_FUNCTION(greatest)
{
    return extreme_of(context, node, args, count, 1, out);
}

EXPR_FUNCTION(least)
{
    return extreme_of(context, node, args, count, -1, out);
}

EXPR_FUNCTION(ceil_of)
{
    EXPR_UNUSED();
    *out = venv_value_double(ceil(args[0].w.as.d));
    return X_OK;
}

EXPR_FUNCTION(floor_of)
{
    EXPR_UNUSED();
    *out = venv_value_double(floor(args[0].w.as.d));
    return X_OK;
}

EXPR_FUNCTION(round_of)
{
    EXPR_UNUSED();
    *out = venv_value_double(round(args[0].w.as.d));
    return X_OK;
}

EXPR_FUNCTION(trunc_of)
{
    EXPR_UNUSED();
    *out = venv_value_double(trunc(args[0].w.as.d));
    return X_OK;
}

EXPR_FUNCTION(sqrt_of)
{
    EXPR_UNUSED();
    double number = args[0].w.kind == VENV_DOUBLE ? args[0].w.as.d
                    : args[0].w.kind == VENV_INT  ? (double)args[0].w.as.i
                                                  : (double)args[0].w.as.u;
    *out = venv_value_double(sqrt(number));
    return X_OK;
}

EXPR_FUNCTION(same)
{
    EXPR_UNUSED();
    *out = args[0];
    return X_OK;
}

EXPR_FUNCTION(abs_of)
{
    EXPR_UNUSED();
    *out = args[0];
    if (out->w.kind == VENV_DOUBLE) {
        out->w.as.d = fabs(out->w.as.d);
    } else if (out->w.kind == VENV_INT && out->w.as.i < 0) {
        if (out->w.as.i == INT64_MIN)
            return venv_cel_fail(context, node, VENV_EINVAL, "the result does not fit 64 bits");
        out->w.as.i = -out->w.as.i;
    }
    return X_OK;
}

EXPR_FUNCTION(sign_of)
{
    EXPR_UNUSED();
    switch (args[0].w.kind) {
    case VENV_INT:
        *out = venv_value_int((args[0].w.as.i > 0) - (args[0].w.as.i < 0));
        return X_OK;
    case VENV_UINT:
        *out = venv_value_uint(args[0].w.as.u > 0);
        return X_OK;
    default: {
        double number = args[0].w.as.d;
        *out = venv_value_double(isnan(number) ? number : (number > 0) - (number < 0));
        return X_OK;
    }
    }
}

EXPR_FUNCTION(is_nan)
{
    EXPR_UNUSED();
    *out = venv_value_bool(isnan(args[0].w.as.d));
    return X_OK;
}

EXPR_FUNCTION(is_inf)
{
    EXPR_UNUSED();
    *out = venv_value_bool(isinf(args[0].w.as.d));
    return X_OK;
}

EXPR_FUNCTION(is_finite)
{
    EXPR_UNUSED();
    *out = venv_value_bool(isfinite(args[0].w.as.d));
    return X_OK;
}

EXPR_FUNCTION(bit_and)
{
    EXPR_UNUSED();
    *out = args[0];
    out->w.as.u &= args[1].w.as.u;
    return X_OK;
}

EXPR_FUNCTION(bit_or)
{
    EXPR_UNUSED();
    *out = args[0];
    out->w.as.u |= args[1].w.as.u;
    return X_OK;
}

EXPR_FUNCTION(bit_xor)
{
    EXPR_UNUSED();
    *out = args[0];
    out->w.as.u ^= args[1].w.as.u;
    return X_OK;
}

EXPR_FUNCTION(bit_not)
{
    EXPR_UNUSED();
    *out = args[0];
    out->w.as.u = ~out->w.as.u;
    return X_OK;
}

static int shift(xctx *context, const xnode *node, const venv_value *args, bool left, venv_value *out)
{
    int64_t offset = args[1].w.as.i;
    if (offset < 0)
        return venv_cel_fail_value(context, node, "negative offset of a shift: ", &args[1]);
    *out = args[0];
    if (offset >= 64)
        out->w.as.u = 0;
    else
        out->w.as.u = left ? out->w.as.u << offset : out->w.as.u >> offset;
    return X_OK;
}

EXPR_FUNCTION(shift_left)
{
    (void)count;
    return shift(context, node, args, true, out);
}

EXPR_FUNCTION(shift_right)
{
    (void)count;
    return shift(context, node, args, false, out);
}

#define THREE(name, call)                                                                                            \
    { "math." name "(int) -> int", call }, { "math." name "(uint) -> uint", call },                                  \
    { "math." name "(double) -> double", call }
#define BITS(name, call)                                                                                             \
    { "math." name "(int, int) -> int", call }, { "math." name "(uint, uint) -> uint", call }
/* Of numbers of one type the answer has that type; mixed ones are found out when it runs. */
#define EXTREME(name, call)                                                                                          \
    { name "(int...) -> int", call }, { name "(uint...) -> uint", call }, { name "(double...) -> double", call },    \
    { name "(list(int)) -> int", call }, { name "(list(uint)) -> uint", call },                                      \
    { name "(list(double)) -> double", call }, { name "(dyn...) -> dyn", call }

const expr_row venv_cel_math_rows[] = {
    EXTREME("math.greatest", greatest),
    EXTREME("math.least", least),
    EXTREME("max", greatest),
    EXTREME("min", least),
    { "math.ceil(double) -> double", ceil_of },
    { "math.floor(double) -> double", floor_of },
    { "math.round(double) -> double", round_of },
    { "math.trunc(double) -> double", trunc_of },
    { "ceil(double) -> double", ceil_of },
    { "floor(double) -> double", floor_of },
    { "round(double) -> double", round_of },
    { "ceil(int) -> int", same },
    { "floor(int) -> int", same },
    { "round(int) -> int", same },
    { "math.sqrt(double) -> double", sqrt_of },
    { "math.sqrt(int) -> double", sqrt_of },
    { "math.sqrt(uint) -> double", sqrt_of },
    THREE("abs", abs_of),
    { "abs(int) -> int", abs_of },
    { "abs(uint) -> uint", abs_of },
    { "abs(double) -> double", abs_of },
    THREE("sign", sign_of),
    { "math.isNaN(double) -> bool", is_nan },
    { "math.isInf(double) -> bool", is_inf },
    { "math.isFinite(double) -> bool", is_finite },
    BITS("bitAnd", bit_and),
    BITS("bitOr", bit_or),
    BITS("bitXor", bit_xor),
    { "math.bitNot(int) -> int", bit_not },
    { "math.bitNot(uint) -> uint", bit_not },
    { "math.bitShiftLeft(int, int) -> int", shift_left },
    { "math.bitShiftLeft(uint, int) -> uint", shift_left },
    { "math.bitShiftRight(int, int) -> int", shift_right },
    { "math.bitShiftRight(uint, int) -> uint", shift_right },
    { NULL, NULL },
};
