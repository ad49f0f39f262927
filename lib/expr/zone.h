/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_ZONE_H
#define VENV_EXPR_ZONE_H

/*
 * Time zones: a fixed offset, or the transitions of a TZif file (RFC 9636) with its rule for the
 * time after the last of them.
 */

#include <venv/expr.h>

typedef struct expr_zone expr_zone;

#define EXPR_ZONE_NAME_MAX 64u

/* "UTC", "", "Z", "+02:00", "-0230", "02:00": no file is needed. False if it is none of these. */
bool venv_cel_zone_fixed(venv_str name, int32_t *ret_offset_s);

/* Load a named zone. */
venv_rc venv_cel_zone_new(venv_str name, venv_expr_zone_fn load, void *user, expr_zone **ret_zone, venv_error *err);
void venv_cel_zone_free(expr_zone *zone);

bool venv_cel_zone_is(const expr_zone *zone, venv_str name);

/* Seconds east of UTC at an instant. */
int32_t venv_cel_zone_offset(const expr_zone *zone, int64_t seconds);

#endif
