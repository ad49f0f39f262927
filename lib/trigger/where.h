/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_WHERE_H
#define VENV_TRIGGER_WHERE_H

/*
 * An expression that chooses agents: `agent.p.load1 > 4.0`. It says the words of triggers, once for each agent. Three
 * answers: chosen, not chosen, and could not tell; who takes the third for the first acts on what nobody knows.
 */

#include <venv/trigger.h>

#define VENV_WHERE_SIZE_MAX 4096u /* bytes of the expression */

typedef struct venv_where venv_where;

typedef enum venv_where_verdict {
    VENV_WHERE_NO = 0,
    VENV_WHERE_YES,
    VENV_WHERE_CANNOT_TELL,
} venv_where_verdict;

/* VENV_EINVAL (the text draws where), VENV_ELIMIT, VENV_ENOMEM. `world` is used for as long as it lives. */
venv_rc venv_where_new(venv_str source, const venv_trigger_options *options, const venv_trigger_world *world, venv_where **ret_where,
                       venv_error *err);
void venv_where_free(venv_where *where);

/* `ret_why`: for VENV_WHERE_CANNOT_TELL, "lacks agent.p.load1" or what failed. VENV_ENOMEM. */
venv_rc venv_where_ask(venv_where *where, const char *agent, venv_now now, venv_where_verdict *ret_verdict, char *ret_why, size_t size,
                       venv_error *err);

#endif
