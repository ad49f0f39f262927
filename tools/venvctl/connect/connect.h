/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENVCTL_CONNECT_H
#define VENVCTL_CONNECT_H

/*
 * What the files of venvctl-connect share: `venvctl --connect URI VERB`, one hypervisor without any daemon of venv.
 *
 * It is a program of its own, which venvctl becomes when it sees --connect: libvirt takes longer to load than
 * everything else that venvctl does.
 */

#include "venvctl.h"

#include <venv/environment.h>
#include <venv/machine.h>

#define CONNECT_TIMEOUT_NS (30 * VENV_NS_PER_S) /* of --timeout, if it is not given: to get the lock, and for a guest to shut down */

/* A hypervisor for the length of one verb. */
typedef struct connection {
    venvctl *app;
    venv_hypervisor *hypervisor;
    venv_machine_list list; /* as it was when it was opened */
    venv_span timeout;
    int lock;               /* -1: a verb that changes nothing takes none */
} connection;

/* Open, and list. `changes`: keep out every other venvctl of this user that changes machines there. Reports; close() whatever it returns. */
int connection_open(venvctl *app, bool changes, connection *ret_connection);
void connection_close(connection *c);
/* List anew. */
int connection_look(connection *c);
/* NULL: none of that name. */
const venv_machine_info *connection_find(const connection *c, const char *instance);

/* EXIT_DONE with the descriptor of a lock that ends with the process, or reports. */
int lock_take(venvctl *app, const char *uri, const char *cluster, venv_span timeout, int *ret_fd);

/* Rows as "list instances" has them: those whose flag in `wanted` is set, or all if it is NULL. */
int print_machines(connection *c, const bool *wanted, bool dry_run);

int connect_status(venvctl *app);
int connect_list(venvctl *app);
int connect_show(venvctl *app);
int connect_start(venvctl *app);
int connect_change(venvctl *app);

#endif
