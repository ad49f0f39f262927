/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_RUN_OUTCOME_H
#define VENV_AGENT_RUN_OUTCOME_H

/* How a command ended. lib/runner makes it; it is declared here because the agent's core reads it. */

#include <venv/common.h>

typedef struct venv_run_outcome {
    venv_rc rc;          /* VENV_OK: it ran (whatever its exit status); else it did not start: `error` */
    int exit_status;     /* valid if exited */
    int signal;          /* != 0: ended by it */
    bool timed_out;
    bool truncated;      /* stdout or stderr was longer than its limit */
    venv_span took;
    venv_str out, err;   /* borrowed for the step */
    const char *error;   /* why it did not start; NULL otherwise */
} venv_run_outcome;

#endif
