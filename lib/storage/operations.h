/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_OPERATIONS_H
#define VENV_STORAGE_OPERATIONS_H

/* One operation of the public interface: its URL is parsed and allowed, it is tried again, its error is put in words. */

#include "storage/driver.h"

typedef struct venv_storage_job {
    venv_storage *storage;
    const char *verb;               /* "read", for "cannot read URL: …" */
    venv_storage_scope scope;
    const venv_storage_scheme *scheme;
    venv_storage_url url;
    uint32_t attempt;               /* attempts made */
    struct timespec began;          /* the first of them */
    venv_storage_error error;       /* of the last attempt */
} venv_storage_job;

/* On failure `err` is filled and the job is over. */
venv_rc venv_storage_job_begin(venv_storage_job *job, venv_storage *storage, const char *url, const char *verb,
                               venv_storage_scope scope, uint32_t operation, venv_storage_error *err);
/* After an attempt that gave `rc`: true, after a wait, if another is to be made. */
bool venv_storage_job_again(venv_storage_job *job, venv_rc rc);
/* The end: `rc`, and on failure the sentence in `err`. */
venv_rc venv_storage_job_end(venv_storage_job *job, venv_rc rc, venv_storage_error *err);

#endif
