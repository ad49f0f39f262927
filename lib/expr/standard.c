/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the standard functions into an environment.
 */
#include "expr/standard.h"

venv_rc venv_cel_env_add_standard(venv_expr_env *env, venv_error *err)
{
    const expr_row *const tables[] = { venv_cel_convert_rows, venv_cel_text_rows,     venv_cel_format_rows,
                                       venv_cel_math_rows,    venv_cel_time_rows,     venv_cel_list_rows,
                                       venv_cel_optional_rows, venv_cel_network_rows, venv_cel_encode_rows };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const expr_row *row = tables[i]; row->signature; row++) {
            venv_rc rc = venv_cel_env_add(env, row->signature, 0, row->call, NULL, NULL, err);
            if (rc != VENV_OK)
                return rc;
        }
    }
    return VENV_OK;
}
