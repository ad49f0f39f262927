/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_ZONE_FILES_H
#define VENV_RUNTIME_ZONE_FILES_H

/* Time zones for the evaluator: TZif files of the system's database, by name. */

#include <venv/value.h>

#define VENV_ZONE_FILE_SIZE_MAX (256u << 10)

/* A venv_expr_zone_fn; `user` is the directory, NULL for /usr/share/zoneinfo. */
venv_rc venv_zone_file_read(void *user, const char *name, venv_value *ret_file, venv_error *err);

#endif
