/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_HISTORY_SERIES_H
#define VENV_HISTORY_SERIES_H

/* The series of one run of a manager by their numbers, as definitions have told them. */

#include "base/buf.h"

#include <venv/history.h>

typedef struct venv_history_series {
    venv_history_kind kind;
    char *subject, *label; /* one allocation; NULL: not defined */
} venv_history_series;

typedef struct venv_history_catalog {
    venv_history_series *items; /* by number; 0 is none */
    size_t count;               /* highest number + 1 */
    size_t capacity;
} venv_history_catalog;

void venv_history_catalog_fini(venv_history_catalog *catalog);
/* Defining a number again is allowed and changes nothing if it is the same. False: no memory, or a number beyond the limit. */
bool venv_history_catalog_define(venv_history_catalog *catalog, uint32_t number, venv_history_kind kind, venv_str subject,
                                 venv_str label);
/* NULL if it is not defined. */
const venv_history_series *venv_history_catalog_find(const venv_history_catalog *catalog, uint32_t number);

#endif
