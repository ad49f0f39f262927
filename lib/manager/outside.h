/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MANAGER_OUTSIDE_H
#define VENV_MANAGER_OUTSIDE_H

/*
 * Where actions may reach out of the cluster: the sections `mail`, `webhooks` and `plugins` of the configuration. An action names an
 * entry of them; no address, URL or path ever comes from an argument.
 */

#include "codec/config.h"
#include "manager/config.h"

extern const venv_config_row venv_mgr_outside_mail[], venv_mgr_outside_webhook, venv_mgr_outside_plugin;

/* What the rows cannot say: addresses and URLs. The error has the place. */
venv_rc venv_mgr_outside_check(const venv_manager_config *config, const venv_value *document, const venv_mark *root, venv_error *err);

/* Is there an entry for this verb's literal argument? `key` is of the argument to blame. */
venv_rc venv_mgr_outside_find(const venv_manager_config *config, const char *verb, const venv_value *arguments, const char **ret_key,
                              venv_error *err);

/* A webhook by its name, or by its URL as it is written in the configuration; NULL. `ret_name` may be NULL. */
const venv_value *venv_mgr_outside_webhook_find(const venv_manager_config *config, venv_str to, venv_str *ret_name);

#endif
