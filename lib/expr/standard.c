/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the standard functions into an environment.
 */
#include "expr/standard.h"

venv_rc expr_env_add_standard(venv_expr_env *env, venv_error *err)
{
    const expr_row *const tables[] = { expr_convert_rows, expr_text_rows,     expr_format_rows,
                                       expr_math_rows,    expr_time_rows,     expr_list_rows,
                                       expr_optional_rows, expr_network_rows, expr_encode_rows };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const expr_row *row = tables[i]; row->signature; row++) {
            venv_rc rc = expr_env_add(env, row->signature, 0, row->call, NULL, NULL, err);
            if (rc != VENV_OK)
                return rc;
        }
    }
    return VENV_OK;
}
