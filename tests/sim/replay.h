/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_REPLAY_H
#define TESTS_SIM_REPLAY_H

/* Flight records: stepping through one, and writing one. */

#include "manager/record.h"

#include <stdbool.h>
#include <stdio.h>

/* 0: every step that can be compared agrees; 1: one differs, or the file is no record. */
int replay_file(const char *name, FILE *out);
bool replay_write(const venv_recorder *recorder, const char *name);

#endif
