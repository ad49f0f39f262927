/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_VIRT_LIBVIRT_PARTS_H
#define VENV_VIRT_LIBVIRT_PARTS_H

/*
 * The parts of the libvirt driver that are shared by its files: the event loop of the process, the queue of what
 * one connection was told, and libvirt's errors in our words.
 */

#include "environment/domain.h"
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

int venv_libvirt_inbox_reboot(virConnectPtr conn, virDomainPtr domain, void *inbox);

/* Called in any thread. */
uint64_t venv_libvirt_inbox_reboots(venv_libvirt_inbox *inbox, venv_id id);
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

typedef struct venv_libvirt_hypervisor {
    venv_hypervisor base;
    virConnectPtr conn;
    venv_libvirt_inbox *inbox;
    int lifecycle, reboot; /* numbers of the callbacks, -1 for none */
    bool close_callback;
    uint32_t kinds;        /* asked once: it makes libvirt run QEMU */
    bool kinds_known;
    char *saves;           /* folder; NULL: libvirt's own */
    bool saves_shared;
} venv_libvirt_hypervisor;

static inline venv_libvirt_hypervisor *venv_libvirt_self(venv_hypervisor *hypervisor)
{
    return (venv_libvirt_hypervisor *)hypervisor;
}

/* The last error of this thread on this connection. */
static inline venv_rc venv_libvirt_failed(venv_libvirt_hypervisor *self, bool changes, const char *what, venv_error *err)
{
    return venv_libvirt_error(self->conn, self->inbox, changes, what, err);
}

/* Before a step that changes something: a connection that is known to be dead has done nothing. */
venv_rc venv_libvirt_check_alive(venv_libvirt_hypervisor *self, venv_error *err);

/* The domain's own XML with another epoch in its mark; `flags` of virDomainGetXMLDesc(). Freed with free(). */
venv_rc venv_libvirt_xml_with_epoch(venv_libvirt_hypervisor *self, virDomainPtr handle, unsigned flags, uint64_t epoch, char **ret_xml,
                                    venv_error *err);

/* --- libvirt_saves.c: memories in files ----------------------------------------------------------------- */

/* Not active: does its memory wait in a file, complete? Sets state and reason. */
void venv_libvirt_look_saved(venv_libvirt_hypervisor *self, virDomainPtr handle, int reason, venv_machine_info *info);
venv_rc venv_libvirt_save(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
venv_rc venv_libvirt_restore(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
venv_rc venv_libvirt_checkpoint(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
venv_rc venv_libvirt_revert(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
/* The files of a machine whose definition has been removed. */
void venv_libvirt_forget_saves(venv_libvirt_hypervisor *self, const venv_machine_info *info);

#define VENV_LIBVIRT_PATH_MAX 1200u
/* Where its memory is: `what` is "save", "restoring", "checkpoint". False: there is no folder. */
bool venv_libvirt_save_path(const venv_libvirt_hypervisor *self, const venv_machine_info *info, uint64_t epoch, const char *what,
                            char path[VENV_LIBVIRT_PATH_MAX]);

/* --- libvirt_disks.c: the disks that a domain writes to -------------------------------------------------- */

/* The disks that it writes to. VENV_EUNSUPPORTED: one of them is no file. */
venv_rc venv_libvirt_disks(venv_libvirt_hypervisor *self, virDomainPtr handle, venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX],
                           size_t *ret_count, venv_error *err);
/* An empty disk of the same kind and size, over the same base, on another hypervisor: what a live migration copies into. */
venv_rc venv_libvirt_disk_make(virDomainPtr handle, virConnectPtr there, const venv_domain_disk *disk, venv_error *err);
/* Copy a file of this node to another hypervisor, where there must not be one of that path. */
venv_rc venv_libvirt_upload(virConnectPtr there, const char *path, const char *path_there, venv_error *err);
/* Copy a file beside; blocks are shared where the file system can. */
venv_rc venv_libvirt_copy_file(const char *from, const char *to, venv_error *err);

/* --- libvirt_migrate.c ------------------------------------------------------------------------------------ */

venv_rc venv_libvirt_migrate(venv_hypervisor *hypervisor, venv_virt_domain *domain, const char *uri, uint64_t epoch,
                             const venv_migrate_options *options, venv_error *err);
venv_rc venv_libvirt_abort_job(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
venv_rc venv_libvirt_progress(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_machine_progress *ret_progress, venv_error *err);

/* --- libvirt_console.c ------------------------------------------------------------------------------------ */

venv_rc venv_libvirt_console(venv_hypervisor *hypervisor, venv_virt_domain *domain, bool take, venv_console **ret_console, venv_error *err);
venv_rc venv_libvirt_screenshot(venv_hypervisor *hypervisor, venv_virt_domain *domain, char ret_media[VENV_MEDIA_MAX],
                                venv_machine_sink_fn sink, void *user, venv_error *err);

#endif
