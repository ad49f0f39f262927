/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_STANDARD_H
#define VENV_EXPR_STANDARD_H

/* The standard functions: one table of rows for each file of them. */

#include "expr/program.h"

typedef struct expr_row {
    const char *signature;
    expr_builtin_fn call;
} expr_row;

#define EXPR_FUNCTION(name) \
    static int name(xctx *context, const xnode *node, const venv_value *args, uint32_t count, venv_value *out)
/* For functions that do not need all of their arguments. */
#define EXPR_UNUSED() ((void)context, (void)node, (void)args, (void)count)

/* Each ends with a row whose signature is NULL. */
extern const expr_row venv_cel_convert_rows[];
extern const expr_row venv_cel_text_rows[];
extern const expr_row venv_cel_format_rows[];
extern const expr_row venv_cel_math_rows[];
extern const expr_row venv_cel_time_rows[];
extern const expr_row venv_cel_list_rows[];
extern const expr_row venv_cel_optional_rows[];
extern const expr_row venv_cel_network_rows[];
extern const expr_row venv_cel_encode_rows[];

/*
 * The fewest digits that mean this double, as Go writes them: `plain` without an exponent ('f'), otherwise
 * with one from a million up and below a ten-thousandth ('g'). "NaN", "Infinity", "-Infinity".
 */
void venv_cel_append_double(venv_buf *buf, double number, bool plain);
/* A scalar as string() writes it, appended. False if it is of another kind or no text. */
bool venv_cel_append_scalar(venv_buf *buf, const venv_value *value);
/* "1.5h", "-90s" of Go and of CEL. False if malformed or out of range. */
bool venv_cel_parse_duration(venv_str text, venv_value *ret_value);
void venv_cel_append_duration(venv_buf *buf, const venv_value *value);

#endif
