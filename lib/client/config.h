/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CLIENT_CONFIG_H
#define VENV_CLIENT_CONFIG_H

/* What a client's configuration holds. Filled by config.c and yaml.c, read by client.c. */

#include <venv/client.h>

struct venv_client_config {
    char *managers[VENV_CLIENT_MANAGERS_MAX];
    size_t manager_count;
    char *ca, *certificate, *key; /* paths; all three or none */
    venv_span connect_timeout;
};

/* Copies everything. */
venv_rc venv_client_config_copy(const venv_client_config *config, venv_client_config **ret_copy, venv_error *err);

#endif
