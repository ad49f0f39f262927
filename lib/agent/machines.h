/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_MACHINES_H
#define VENV_AGENT_MACHINES_H

/* What machines.c (starting, stopping, listing) and changes.c (pausing, saving, moving) share. */

#include "agent/state.h"

#include <venv/environment.h>

/* One request of the manager, read and checked. */
typedef struct agent_ask {
    agent_machine_event event;
    uint64_t request;
    venv_id action, machine;
    uint64_t epoch;
    venv_span grace, timeout;
    bool gentle; /* a destroy that leaves a running guest alone */
    const venv_value *body;
} agent_ask;

/* NULL: there is none. */
agent_machine *venv_agent_machines_find(const venv_agent *agent, venv_id id);
/* NULL: there are too many, or no memory (the step has failed then). */
agent_machine *venv_agent_machines_find_or_add(agent_step *step, venv_id id);
/* A request that has no effect. It is not remembered: asked again, it is judged again. */
void venv_agent_machines_refuse(agent_step *step, const agent_ask *ask, venv_rc rc, const char *error);
/* Wait for the answer, too. False: too many do. */
bool venv_agent_machines_join(agent_machine *machine, const agent_ask *ask, uint64_t connection);
agent_machine_effect venv_agent_machines_advance(agent_step *step, agent_machine *machine, agent_machine_event event, char *xml);
/* An operation is over: everybody who asked for it is told. */
void venv_agent_machines_answer(agent_step *step, agent_machine *machine, venv_rc rc, const char *error);
void venv_agent_machines_set_epoch(agent_step *step, agent_machine *machine, uint64_t epoch, bool ended);
/* What was done to it has an end that nobody knows: what it is now is in the next list only. */
void venv_agent_machines_doubt(agent_step *step, agent_machine *machine);
/* A stop that came meanwhile is done now. */
void venv_agent_machines_do_later(agent_step *step, agent_machine *machine);
void venv_agent_machines_list_soon(agent_step *step);

/* What a start needs is here (VENV_OK), or cannot be had. */
void venv_agent_machines_prepared(agent_step *step, agent_machine *machine, venv_rc rc, const venv_error *why);

/* prepare.c */
/* Read and checked. VENV_ENOMEM without a text; else why this node does not start it. */
venv_rc venv_agent_preparation_new(agent_step *step, const agent_ask *ask, agent_preparation **ret_preparation, venv_error *why);
void venv_agent_preparation_free(agent_preparation *preparation);
/* Is there an image that has to be brought here? */
bool venv_agent_preparation_waits(const agent_preparation *preparation);
/* Bring the next one; it goes on with venv_agent_preparation_synced(). */
void venv_agent_preparation_go(agent_step *step, agent_machine *machine);
void venv_agent_preparation_synced(agent_step *step, const venv_agent_event *event);
/* All are here: files (may be NULL) and XML. */
venv_rc venv_agent_preparation_finish(agent_step *step, const agent_preparation *preparation, venv_machine_files **ret_files, char **ret_xml,
                                      venv_error *why);

void venv_agent_machines_send_result(agent_step *step, uint64_t request, const agent_done *done);
agent_done venv_agent_machines_result(const agent_ask *ask, venv_rc rc, const char *error, const char *state);

/* probe.c */
void venv_agent_probe(agent_step *step, const agent_ask *ask);
/* True: it was the end of a probe. */
bool venv_agent_probed(agent_step *step, const venv_agent_event *event);

/* changes.c */
void venv_agent_change(agent_step *step, const agent_ask *ask, int16_t type);
/* It succeeded: what that tells about the machine, until the driver lists it again. */
void venv_agent_change_done(agent_step *step, agent_machine *machine);
void venv_agent_change_cancel(agent_step *step, const venv_value *body);
void venv_agent_change_progress(agent_step *step, const venv_agent_event *event);
void venv_agent_change_give_up(agent_step *step, agent_machine *machine);

#endif
