/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_ERROR_H
#define VENV_STORAGE_ERROR_H

/*
 * Filling a venv_storage_error, and the one table that says what codes of the outside mean (errors.def).
 * Drivers write the detail ("no such object (HTTP 404)"); storage.c puts the sentence around it.
 */

#include <venv/storage.h>

typedef enum venv_storage_family {
    VENV_STORAGE_FAMILY_ERRNO,
    VENV_STORAGE_FAMILY_HTTP,
    VENV_STORAGE_FAMILY_FTP,
    VENV_STORAGE_FAMILY_CURL,
    VENV_STORAGE_FAMILY_SFTP,
    VENV_STORAGE_FAMILY_S3,
} venv_storage_family;

#define VENV_STORAGE_ANY(hundred) (-(hundred)) /* any code of the hundred that has no row of its own */

typedef struct venv_storage_row {
    venv_storage_family family;
    long code;
    const char *words;
    venv_storage_class klass;
    venv_storage_phase phase;
    bool retryable;
} venv_storage_row;

size_t venv_storage_row_count(void);
const venv_storage_row *venv_storage_row_at(size_t index);
/* The row for a code, or for the first words that `text` contains (families SFTP, S3). NULL if there is none. */
const venv_storage_row *venv_storage_row_find(venv_storage_family family, long code, const char *text);

/* Fill the error and return its code. `err` may be NULL. Everything that was in it is forgotten. */
venv_rc venv_storage_fail(venv_storage_error *err, venv_storage_class klass, venv_storage_phase phase,
                          const char *format, ...) VENV_PRINTF(4, 5);
/* By errno. `what` says what failed. */
venv_rc venv_storage_fail_errno(venv_storage_error *err, int errnum, venv_storage_phase phase, const char *what);
/* By a code of a protocol; a code without a row is `otherwise`. */
venv_rc venv_storage_fail_code(venv_storage_error *err, venv_storage_family family, long code, const char *text,
                               venv_storage_class otherwise, const char *format, ...) VENV_PRINTF(6, 7);
venv_rc venv_storage_fail_memory(venv_storage_error *err);
/* Whether failures of this class are worth another attempt where nothing else is known. */
bool venv_storage_class_is_retryable(venv_storage_class klass);
/* Put the other side's words on an error: valid UTF-8, one line, without control characters, cut. */
void venv_storage_output(venv_storage_error *err, const void *data, size_t size);

#endif
