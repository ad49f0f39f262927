/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_KEYS_H
#define VENV_ENVIRONMENT_KEYS_H

/*
 * The keys of a definition: as rows for the checks and the manual, and as fields that say which member of which
 * struct each of them fills.
 *
 *      value ──rows──► normalised settings ──fields──► venv_definition
 *
 * A key that no field takes (`pin`, `mac`) is one whose value is more than a word; definition.c reads it.
 */

#include "codec/config.h"

#include <stddef.h>

extern const venv_config_row venv_environment_rows[];

/* One key that fills a member. What is done follows from the kind of its row. */
typedef struct venv_environment_field {
    const char *key;   /* NULL ends a table */
    size_t offset;     /* of the member */
    size_t size;       /* of the member, or of one item of a list of tables */
    bool lines;        /* a text that may have line ends and tabs */
    bool top;          /* a path that may be / itself */
    bool given;        /* a table whose first member says that it was there */
    size_t count_offset; /* a list of tables: of the member with the number of items */
    const struct venv_environment_field *fields; /* of a table, or of each item */
} venv_environment_field;

extern const venv_environment_field venv_environment_fields[];

/* Keys that are refused, and why; NULL ends it. */
typedef struct venv_environment_refusal {
    const char *key, *why;
} venv_environment_refusal;
extern const venv_environment_refusal venv_environment_refusals[];

#endif
