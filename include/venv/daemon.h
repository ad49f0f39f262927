/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_DAEMON_H
#define VENV_DAEMON_H

/**
 * @file venv/daemon.h
 * @brief The two daemons, whole: `venv-agent` and `venv-mgr` are their command lines.
 *
 *      configuration files --load--> venv_daemon --run--> until SIGTERM, SIGINT or venv_daemon_stop()
 *
 * Loading reads and checks everything that the configuration says, and has no other effect: loading and
 * freeing is what `--check` does.  Running opens sockets, files and workers, and returns when the daemon
 * has ended.
 *
 * @par Example
 * @code
 *      venv_daemon_options options = { .config = "/etc/venv/agent.yaml", .log_level = "info" };
 *      venv_daemon *daemon = NULL;
 *      venv_error err = {0};
 *      if (venv_daemon_load(VENV_DAEMON_AGENT, &options, &daemon, &err) != VENV_OK)
 *          return report(&err);            // file:line:column: what is wrong and what is expected
 *      venv_rc rc = venv_daemon_run(daemon, &err);
 *      venv_daemon_free(daemon);
 * @endcode
 *
 * @par Files
 *      `include:` in the main file is a list of further files.  A relative name is relative to the main
 *      file; a pattern (`*.yaml`) stands for those that match, sorted, and may match none; a plain name
 *      must be there.  Each file is read once.  Included files include no others.
 *
 * @par What ends and what stays
 *      An agent that ends, in whatever way, leaves the machines on its node running: it finds them again
 *      when it starts.  The manager's state is on disk before anybody is told about it.
 *
 * @par Process
 *      venv_daemon_run() takes over SIGTERM, SIGINT and SIGHUP and ignores SIGPIPE for the process that calls
 *      it, and writes its log to standard error.  One daemon runs in a process at a time.
 *
 * @par Threads
 *      A daemon belongs to the thread that loads and runs it; venv_daemon_stop() may be called by any.
 */

#include <venv/common.h>

VENV_BEGIN_DECLS

#define VENV_CONFIG_FILE_SIZE_MAX (1u << 20) /**< Bytes of one configuration file. */
#define VENV_CONFIG_FILES_MAX     256u       /**< Files of one configuration, the main one included. */

typedef enum venv_daemon_kind {
    VENV_DAEMON_AGENT = 0,
    VENV_DAEMON_MANAGER,
} venv_daemon_kind;

/** How to run.  Zeroed members mean the default. */
typedef struct venv_daemon_options {
    const char *config;    /**< Main configuration file.  Required. */
    const char *log_level; /**< "error", "warning", "info" (the default) or "debug". */
    const char *pid_file;  /**< Written once the daemon is ready and removed at its end; NULL for none. */
} venv_daemon_options;

/** A daemon that was loaded. */
typedef struct venv_daemon venv_daemon;

/**
 * Read and check a configuration: the main file, those that it includes, each expression in them.
 *
 * Keys and certificates are not read yet: whoever may read the configuration can check it.
 *
 * @param      options     Copied.
 * @param[out] ret_daemon  Owned: release with venv_daemon_free().
 * @param[out] err         One error with file, line and column where there is one.
 * @retval VENV_OK
 * @retval VENV_EINVAL  Malformed YAML, an unknown key, a bad expression, a bad log level, or a name defined twice.
 * @retval VENV_EKIND   A value of the wrong type.
 * @retval VENV_ERANGE  A number or a text out of its bounds.
 * @retval VENV_ELIMIT  A file is too large or too deep, or there are too many.
 * @retval VENV_ENOENT  A file is missing.
 * @retval VENV_EEXIST  A name is defined twice.
 * @retval VENV_EIO     A file cannot be read.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_daemon_load(venv_daemon_kind kind, const venv_daemon_options *options,
                                                venv_daemon **ret_daemon, venv_error *err);

/**
 * Run until asked to end.  May be called once for a daemon.
 *
 * @retval VENV_OK       Ended as asked.
 * @retval VENV_EINVAL   A key or certificate is malformed or is not for this role, or does not fit the configured name.
 * @retval VENV_ENOENT   A key or certificate is missing.
 * @retval VENV_EDENIED  A key or certificate may not be read, or is that of another role.
 * @retval VENV_ECONFLICT  The address is in use, another manager holds the state, or it was run before.
 * @retval VENV_EIO      The state cannot be read or written, or the system refused something; the text says what to do.
 * @retval VENV_ENOSPACE The disk of the state is full.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_daemon_run(venv_daemon *daemon, venv_error *err);

/** Ask a running daemon to end in order.  Any thread may call it, also before venv_daemon_run(). */
VENV_API void venv_daemon_stop(venv_daemon *daemon);

/** Release a daemon that does not run.  Accepts NULL. */
VENV_API void venv_daemon_free(venv_daemon *daemon);

VENV_END_DECLS
#endif /* VENV_DAEMON_H */
