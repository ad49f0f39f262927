/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_FLIGHT_H
#define VENV_RUNTIME_FLIGHT_H

/*
 * The flight recorder of a manager that runs (manager/record.h): kept beside its core, given to those who ask (`venvctl dump`), and
 * written to STATE/flight.record when the process ends by a failed assertion or a fault of memory.
 *
 * The ring is kept as it is written, so what a signal handler does is open, write, close. One in a process: the handlers of
 * signals are the process's.
 */

#include "manager/record.h"

typedef struct venv_flight venv_flight;

/*
 * Begin. `config_path` is read once more, for the texts that a replay needs. `state`: the folder of the state, NULL: nothing
 * is written when it ends badly. Never fails the manager: where it cannot be begun, NULL and an error.
 */
venv_rc venv_flight_start(const char *config_path, const char *state, const venv_recorder_birth *birth, venv_manager *core,
                          venv_flight **ret_flight, venv_error *err);
/* Accepts NULL, as all of these do. */
void venv_flight_end(venv_flight *flight);

/* The configuration was read anew, from these texts, and is used. Not to be told of one that was only looked at. */
void venv_flight_configured(venv_flight *flight, const venv_manager_source *sources, size_t count);

void venv_flight_event(venv_flight *flight, venv_now now, const venv_manager_event *event);
void venv_flight_step(venv_flight *flight, const venv_manager_actions *actions);

/* {format: string, data: bytes}: the file as it is now. */
venv_rc venv_flight_take(const venv_flight *flight, venv_value *ret_answer, venv_error *err);

#endif
