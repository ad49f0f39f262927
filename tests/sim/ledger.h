/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_LEDGER_H
#define TESTS_SIM_LEDGER_H

/* What the rows say, kept beside the disk: names, actions and their children, and memory against disk. */

#include "sim/sim.h"

ledger *ledger_new(void);
void ledger_free(ledger *l);
void ledger_row(sim *s, server *v, venv_collection collection, const venv_value *key, const venv_value *fresh);
void ledger_written(sim *s, server *v, const venv_manager_action *ops, size_t count); /* a transaction is on the disk */
void ledger_event(server *v, const venv_value *event);                                /* it is durable */
/* Revision of the first event that tells that an action is over; 0: none does. Is it a firing that is in the log? */
uint64_t ledger_told_over(const server *v, venv_id action);
bool ledger_is_firing(const server *v, venv_id id);
void ledger_sent(sim *s, const server *v, const venv_manager_action *a);              /* a frame leaves for a node */
void ledger_ending(sim *s, const server *v);                                          /* a manager is about to end */
void ledger_started(sim *s, const server *v);                                         /* one was made from the disk */

#endif
