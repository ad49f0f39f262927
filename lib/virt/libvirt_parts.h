/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_VIRT_LIBVIRT_PARTS_H
#define VENV_VIRT_LIBVIRT_PARTS_H

/*
 * The parts of the libvirt driver that are shared by its files: the event loop of the process, the queue of what
 * one connection was told, and libvirt's errors in our words.
 */

#include "virt/driver.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/*
 * libvirt has one event loop in a process. It runs in a thread of its own while anybody holds it: it reads
 * events and answers keepalive probes, also while the thread that makes calls is busy elsewhere.
 */
venv_rc venv_libvirt_loop_hold(venv_error *err);
void venv_libvirt_loop_release(void);

/* What a connection was told by the loop's thread; counted, because libvirt drops its references at times of its own. */
typedef struct venv_libvirt_inbox venv_libvirt_inbox;

venv_rc venv_libvirt_inbox_new(venv_libvirt_inbox **ret_inbox, venv_error *err);
venv_libvirt_inbox *venv_libvirt_inbox_ref(venv_libvirt_inbox *inbox);
void venv_libvirt_inbox_unref(void *inbox); /* a virFreeCallback */

/* Called in the loop's thread. */
int venv_libvirt_inbox_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *inbox);
void venv_libvirt_inbox_closed(virConnectPtr conn, int reason, void *inbox);

/* Called in any thread. */
void venv_libvirt_inbox_cancel(venv_libvirt_inbox *inbox);
bool venv_libvirt_inbox_is_closed(venv_libvirt_inbox *inbox);
/* Wait for an event; with `ret_event` NULL: until something happened, and leave it there. VENV_ETIMEDOUT,
 * VENV_ECANCELED, VENV_EUNREACHABLE. */
venv_rc venv_libvirt_inbox_wait(venv_libvirt_inbox *inbox, venv_span timeout, venv_hypervisor_event *ret_event,
                                venv_error *err);

/* The last error of this thread in our words. `conn` may be NULL while opening. `changes`: the call may have
 * changed something when the connection was lost. */
venv_rc venv_libvirt_error(virConnectPtr conn, venv_libvirt_inbox *inbox, bool changes, const char *what,
                           venv_error *err);

#endif
