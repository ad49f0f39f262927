/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_VIRT_DRIVER_H
#define VENV_VIRT_DRIVER_H

/*
 * What a driver of a hypervisor offers: small steps. What a start or a stop is made of, when a domain may be
 * touched, and what is a success, is decided once, in machine.c, for all drivers.
 *
 *      venv_machine_start()  =  find, look at the mark, define, boot
 *      venv_machine_stop()   =  find, look at the mark, (press, pause)*, power_off, undefine
 *
 * A *handle* is the driver's own hold on one domain, from `find` or `define` to `release`: what was looked at is
 * what is acted upon, even if another domain takes its name meanwhile.
 *
 * How the steps fail: VENV_EUNREACHABLE, the connection was gone before; VENV_EUNKNOWN, it went away during
 * a step that changes something; VENV_ECONFLICT, the domain is in a state in which the step makes no sense.
 */

#include <venv/environment.h>
#include <venv/machine.h>

#define VENV_HYPERVISOR_WAIT_MAX_NS (3600 * VENV_NS_PER_S)

/* One domain as it was when it was looked at. */
typedef struct venv_virt_domain {
    void *handle;
    bool ours;       /* it has our mark, of our cluster */
    bool active;     /* it has a process: running, paused, stopping */
    venv_machine_info info; /* complete if ours; else without names */
} venv_virt_domain;

typedef struct venv_virt_driver {
    void (*close)(venv_hypervisor *hypervisor);
    venv_rc (*info)(venv_hypervisor *hypervisor, venv_hypervisor_info *ret_info, venv_error *err);
    /* Every domain, active or not; the callback returns VENV_OK to go on. */
    venv_rc (*each)(venv_hypervisor *hypervisor,
                    venv_rc (*domain)(void *user, const venv_virt_domain *domain, venv_error *err),
                    void *user, venv_error *err);
    /* VENV_ENOENT if there is none. */
    venv_rc (*find)(venv_hypervisor *hypervisor, venv_id id, venv_virt_domain *ret_domain, venv_error *err);
    venv_rc (*find_name)(venv_hypervisor *hypervisor, const char *name, venv_virt_domain *ret_domain,
                         venv_error *err);
    void (*release)(venv_hypervisor *hypervisor, venv_virt_domain *domain);
    /* Define, or define anew an inactive domain of the same name and id. */
    venv_rc (*define)(venv_hypervisor *hypervisor, const char *xml, venv_virt_domain *ret_domain, venv_error *err);
    venv_rc (*boot)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*press)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*power_off)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    /* Does its guest agent answer? VENV_ETIMEDOUT: no. */
    venv_rc (*probe)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*freeze)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*thaw)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*save)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err); /* `restore` lets it go on */
    venv_rc (*restore)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    /* Running or saved; `options` are complete. */
    venv_rc (*migrate)(venv_hypervisor *hypervisor, venv_virt_domain *domain, const char *uri, uint64_t epoch,
                       const venv_migrate_options *options, venv_error *err);
    venv_rc (*reset)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    /* Ask the guest to start anew; that it has is told by `reboots`. */
    venv_rc (*press_reboot)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    uint64_t (*reboots)(venv_hypervisor *hypervisor, venv_id id); /* that were seen; any number to compare with a later one */
    venv_rc (*checkpoint)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*revert)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err); /* it is not active */
    venv_rc (*screenshot)(venv_hypervisor *hypervisor, venv_virt_domain *domain, char ret_media[VENV_MEDIA_MAX],
                          venv_machine_sink_fn sink, void *user, venv_error *err);
    venv_rc (*abort_job)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*progress)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_machine_progress *ret_progress, venv_error *err);
    venv_rc (*console)(venv_hypervisor *hypervisor, venv_virt_domain *domain, bool take, venv_console **ret_console, venv_error *err);
    /* VENV_ENOENT is a success for the caller. */
    venv_rc (*undefine)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);
    venv_rc (*wait)(venv_hypervisor *hypervisor, venv_span timeout, venv_hypervisor_event *ret_event,
                    venv_error *err);
    /* Let time pass, until `span` is over or something changes; takes no event. VENV_ECANCELED, VENV_EUNREACHABLE. */
    venv_rc (*pause)(venv_hypervisor *hypervisor, venv_span span, venv_error *err);
    venv_instant (*now)(venv_hypervisor *hypervisor);
    void (*cancel)(venv_hypervisor *hypervisor); /* from any thread */
} venv_virt_driver;

/* A console: as the functions of venv/machine.h. */
typedef struct venv_virt_console_driver {
    venv_rc (*read)(venv_console *console, void *buffer, size_t size, venv_span timeout, size_t *ret_size, venv_error *err);
    venv_rc (*write)(venv_console *console, const void *data, size_t size, size_t *ret_size, venv_error *err);
    void (*wake)(venv_console *console);
    void (*close)(venv_console *console);
} venv_virt_console_driver;

/* First member of what a driver allocates. */
struct venv_console {
    const venv_virt_console_driver *driver;
};

struct venv_hypervisor {
    const venv_virt_driver *driver;
    char cluster[VENV_NAME_MAX + 1];
};

/* Fill `ours` and the names of `info` from the XML of our element; anything that is not quite our mark is foreign. VENV_ENOMEM. */
venv_rc venv_virt_classify(const venv_hypervisor *hypervisor, const char *metadata, size_t size,
                           venv_virt_domain *domain, venv_error *err);

/* Check and fill the common part. */
venv_rc venv_virt_init(venv_hypervisor *hypervisor, const venv_virt_driver *driver, const char *cluster,
                       venv_error *err);

venv_rc venv_libvirt_open(const char *uri, const venv_hypervisor_options *options, venv_hypervisor **ret_hypervisor,
                          venv_error *err);

#endif
