/* SPDX-License-Identifier: Apache-2.0 */
/* venv/daemon.h: loading, running and ending one of the two shells. */
#include "runtime/daemon.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct venv_daemon {
    venv_daemon_kind kind;
    char *config_path, *pid_file;
    venv_log_level level;
    venv_agent_config *agent;
    venv_manager_config *manager;
    int stop_fd;
    bool was_run;
};

static venv_rc copy_options(venv_daemon *daemon, const venv_daemon_options *options, venv_error *err)
{
    if (!options->config)
        return venv_error_set(err, VENV_EINVAL, "no configuration file was named");
    venv_rc rc = venv_log_level_parse(options->log_level, &daemon->level, err);
    if (rc != VENV_OK)
        return rc;
    daemon->config_path = strdup(options->config);
    daemon->pid_file = options->pid_file ? strdup(options->pid_file) : NULL;
    if (!daemon->config_path || (options->pid_file && !daemon->pid_file))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    return VENV_OK;
}

venv_rc venv_daemon_load(venv_daemon_kind kind, const venv_daemon_options *options, venv_daemon **ret_daemon, venv_error *err)
{
    venv_daemon *daemon = calloc(1, sizeof *daemon);
    if (!daemon)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    daemon->kind = kind;
    daemon->stop_fd = -1;
    venv_rc rc = copy_options(daemon, options, err);
    if (rc == VENV_OK && kind == VENV_DAEMON_AGENT)
        rc = venv_agent_config_load(daemon->config_path, &daemon->agent, err);
    else if (rc == VENV_OK)
        rc = venv_manager_config_load(daemon->config_path, &daemon->manager, err);
    if (rc == VENV_OK) {
        daemon->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (daemon->stop_fd < 0)
            rc = venv_error_set(err, VENV_EIO, "no file descriptor is left: raise the limit of open files");
    }
    if (rc != VENV_OK) {
        venv_daemon_free(daemon);
        return rc;
    }
    *ret_daemon = daemon;
    return VENV_OK;
}

venv_rc venv_daemon_run(venv_daemon *daemon, venv_error *err)
{
    venv_log_stderr log;
    if (daemon->was_run)
        return venv_error_set(err, VENV_ECONFLICT, "this daemon was run before");
    daemon->was_run = true;
    venv_log_stderr_init(&log, daemon->level);
    venv_shell_host host = { .config_path = daemon->config_path, .pid_file = daemon->pid_file, .log = &log.sink,
                             .stop_fd = daemon->stop_fd };
    venv_rc rc = daemon->kind == VENV_DAEMON_AGENT ? venv_agent_shell_run(&host, daemon->agent, err)
                                                   : venv_manager_shell_run(&host, daemon->manager, err);
    venv_log_stderr_fini(&log);
    return rc;
}

void venv_daemon_stop(venv_daemon *daemon)
{
    uint64_t one = 1;
    ssize_t written = write(daemon->stop_fd, &one, sizeof one); /* cannot fail: the counter is far from full */
    (void)written;
}

void venv_daemon_free(venv_daemon *daemon)
{
    if (!daemon)
        return;
    venv_agent_config_free(daemon->agent);
    venv_manager_config_free(daemon->manager);
    if (daemon->stop_fd >= 0)
        (void)close(daemon->stop_fd);
    free(daemon->config_path);
    free(daemon->pid_file);
    free(daemon);
}
