/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_DAEMON_H
#define VENV_RUNTIME_DAEMON_H

/* What the two shells have in common, and how daemon.c runs one of them. */

#include "agent/config.h"
#include "manager/config.h"
#include "runtime/config_files.h"
#include "runtime/log_stderr.h"

#include <venv/daemon.h>
#include <venv/identity.h>

/* Where a shell runs. All borrowed. */
typedef struct venv_shell_host {
    const char *config_path; /* to check it again */
    const char *pid_file;    /* may be NULL */
    const venv_log *log;
    int stop_fd;             /* an eventfd */
} venv_shell_host;

/* Files to a configuration, with everything in it checked. */
venv_rc venv_agent_config_load(const char *path, venv_agent_config **ret_config, venv_error *err);
venv_rc venv_manager_config_load(const char *path, venv_manager_config **ret_config, venv_error *err);

/* The files as sources of a configuration, which point into them; their count. */
size_t venv_manager_sources(const venv_config_files *files, venv_manager_source sources[VENV_CONFIG_FILES_MAX]);

/* Run until the end. */
venv_rc venv_agent_shell_run(const venv_shell_host *host, venv_agent_config *config, venv_error *err);
venv_rc venv_manager_shell_run(const venv_shell_host *host, venv_manager_config *config, venv_error *err);

/* Read our certificate and check that it is for this role and, unless `name` is empty, this name. */
venv_rc venv_shell_identity(venv_role role, const char *name, const venv_tls_files *files, venv_tls_context **ret_tls,
                            venv_error *err);

/* 64 random bits of the system. */
venv_rc venv_shell_seed(uint64_t *ret_seed, venv_error *err);

#endif
