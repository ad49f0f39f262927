/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_RULES_H
#define TESTS_SIM_RULES_H

/*
 * Rules that take a memory of their own: of what a manager was told, of what it did and when, of what machines really did. The
 * first word of a failure names the rule.
 *
 *      rules.c    the rules            witness.c  somebody who looks: follows the events, asks twice, plays tricks
 *
 * A rule judges by what happened outside of the core, not by what the core thinks; `leaks`, `memory`, `sessions` and
 * `liveness` look into it.
 */

#include "sim/sim.h"

typedef struct rules rules;

rules *rules_new(void);
void rules_free(rules *r);

void rules_step(sim *s);                                                       /* now and then */
void rules_hears(sim *s, server *v, const venv_manager_event *event);          /* before a step of a manager */
void rules_did(sim *s, server *v, const venv_manager_actions *out);            /* after it, before anything is carried out */
void rules_started(sim *s, server *v);
void rules_ended(sim *s, server *v);
void rules_row(sim *s, server *v, const venv_value *key, const disk_row *old, venv_collection collection, const venv_value *fresh);
void rules_event(sim *s, server *v, const venv_value *event);                  /* it is durable */
void rules_asks(sim *s, venv_machine_verb verb, venv_id machine);              /* an agent asks for a call */
void rules_order(sim *s, node *n, venv_machine_verb verb, venv_id machine);    /* before a call of a hypervisor */
void rules_ran(sim *s, node *n, venv_machine_verb verb, venv_id machine);      /* after it */
void rules_moves(sim *s, node *to, venv_id machine);                           /* a migration is about to begin */
void rules_dials(sim *s, node *n);
void rules_closes(sim *s, const connection *c);                                /* one side gives a connection up */
void rules_end(sim *s);
bool rules_in_peace(const sim *s); /* everything has been healed for long: nothing may go wrong any more */

/* witness.c */
#define WITNESSES (PERSONS + (UINT64_C(1) << 30)) /* numbers of its connections */

typedef struct witness witness;

witness *witness_new(void);
void witness_free(witness *w);
void witness_acts(sim *s);
void witness_step(sim *s); /* what cannot wait */
void witness_receives(sim *s, server *v, const venv_manager_action *a);
void witness_ended(sim *s, server *v);
void witness_saw_order(sim *s, const node *n, int16_t type, const venv_value *body); /* an order to a node, for later */
witness *rules_witness(sim *s);
/* For scenarios: somebody connects, says something; a clone of a node connects, and has to be refused. */
uint64_t witness_connect(sim *s, server *v);
void witness_tell(sim *s, server *v, uint64_t number, int16_t type, uint64_t request, venv_map_builder *map);
void witness_clones(sim *s, server *v, const node *n);

#endif
