/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_NOTIFY_H
#define VENV_RUNTIME_NOTIFY_H

/*
 * What a service manager is told: the datagrams of sd_notify(3), and a PID file for those that have none.
 * Written out here because linking libsystemd would bring its whole closure into a daemon that faces
 * the network.
 */

#include <venv/common.h>

/* Send "READY=1" and the like to $NOTIFY_SOCKET. Does nothing where there is none; never blocks. */
void venv_notify(const char *state);

/* How often WATCHDOG=1 is wanted: half of $WATCHDOG_USEC if it is meant for this process, else 0. */
venv_span venv_notify_watchdog(void);

/* Write our PID (a new file that replaces an old one in one step), or remove it. `path` NULL: nothing. */
venv_rc venv_pid_file_write(const char *path, venv_error *err);
void venv_pid_file_remove(const char *path);

#endif
