/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_ASK_H
#define VENV_TRIGGER_ASK_H

/*
 * Expressions that are no trigger's and say the same words: how many instances there should be, whether one is idle. An
 * answer is a value, or that nobody can tell, and why.
 *
 *      scale.desired    now agents queue() instances() breaker()
 *      scale.idle       these, `instance` (as of instances()), and `agent`: the agent in it, which has the instance's name
 */

#include <venv/trigger.h>

typedef struct venv_asker venv_asker;

/* `world` is used for as long as it lives. VENV_ENOMEM. */
venv_rc venv_asker_new(const venv_trigger_options *options, const venv_trigger_world *world, venv_asker **ret_asker, venv_error *err);
void venv_asker_free(venv_asker *asker);

/* What to compile against; lent. `of_instance`: with the word `instance`. */
venv_expr_env *venv_asker_words(const venv_asker *asker, bool of_instance);

/*
 * `instance` and `agent`: in whose context, or NULL. `ret_value` is lent until the next question.
 * VENV_EUNKNOWN: something it needs is not known; VENV_EINVAL: it failed; `ret_why` says what. VENV_ENOMEM.
 */
venv_rc venv_asker_ask(venv_asker *asker, const venv_expr *expr, venv_now now, const venv_value *instance, const char *agent,
                       venv_value *ret_value, char *ret_why, size_t size);

#endif
