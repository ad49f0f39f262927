/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_PEOPLE_H
#define TESTS_SIM_PEOPLE_H

/*
 * What a manager owes those who change things. The first word of a failure names the rule.
 *
 *      L1, L2     an answer means that it is durable; under the same id it is the same answer again, and a command runs once
 *      proposal   it is carried out exactly as it was shown, once, because somebody asked, and in its time; or not at all
 *      disabled   a trigger that is disabled does not fire
 *      breaker    nothing is started where a breaker is open, and one at a time where it is half-open
 *      asked      nothing is paused, saved, restored, moved or destroyed that nobody asked for
 *      truth      a change that is called done was done, and one that is called failed was not
 *      full       while the disk is full nothing new is begun, and who only looks is answered
 *      two        of one machine there is one copy that runs
 *      past       a machine never runs on as it was before a move
 */

#include "sim/sim.h"

people *people_new(void);
void people_free(people *p);
void people_asks(sim *s, server *v, int16_t type, const venv_value *body); /* before it is told */
void people_asked(sim *s, server *v, venv_id id);                         /* after it */
void people_answered(sim *s, server *v, int16_t type, venv_id id, const venv_manager_action *answer);
void people_row(sim *s, server *v, venv_collection collection, const venv_value *key, const disk_row *old, const venv_value *fresh);
void people_written(sim *s, server *v); /* a whole transaction is on the disk */
void people_event(sim *s, server *v, const venv_value *event);
void people_order(sim *s, node *n, venv_machine_verb verb, venv_id machine); /* before a call of a hypervisor */
void people_ran(sim *s, node *n, venv_machine_verb verb, venv_id machine, bool done); /* after it */
void people_executed(sim *s, node *n, venv_id id); /* a command is run for a request */
void people_delivers(sim *s, server *v, venv_id action); /* a mail, a webhook, a plug-in leaves */
int64_t people_offered(const server *v); /* instances that applied proposals may have made */
void people_end(sim *s, server *v);

#endif
