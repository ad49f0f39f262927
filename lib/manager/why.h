/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MANAGER_WHY_H
#define VENV_MANAGER_WHY_H

/* What the two files of WHY share: why.c finds the events, chain.c makes the chain. */

#include "manager/internal.h"

#include "base/cleanup.h"

instance *venv_mgr_why_instance_of(venv_manager *m, const deed *d);
/* {what, name, answer, steps: [{kind, level, text, time?, detail?}]} */
venv_value venv_mgr_why_chain(venv_manager *m, const why_job *job);

#endif
