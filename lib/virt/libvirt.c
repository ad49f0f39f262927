/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libvirt driver: each step is one or two calls of libvirt.
 *
 * Domains are persistent (defined, then started), not transient. libvirtd lists both again after it was
 * killed, as long as they run; but a persistent one that has ended is still there, with the reason (shut down,
 * crashed), so that an end that happened while nobody could listen is told in the next list, and the same after a
 * reboot of the node. The price is that every stop also removes the definition. They are never set to start
 * by themselves: what runs is the manager's decision.
 */
#include "virt/libvirt_parts.h"

#include "base/cleanup.h"
#include "environment/domain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef venv_libvirt_hypervisor libvirt_hypervisor;

#define self_of venv_libvirt_self
#define failed venv_libvirt_failed
#define check_alive venv_libvirt_check_alive

venv_rc venv_libvirt_check_alive(venv_libvirt_hypervisor *self, venv_error *err)
{
    if (venv_libvirt_inbox_is_closed(self->inbox) || virConnectIsAlive(self->conn) == 0)
        return venv_error_set(err, VENV_EUNREACHABLE, "the connection to the hypervisor was lost");
    return VENV_OK;
}

/* --- birth and death ------------------------------------------------------------------------------- */

static void libvirt_close(venv_hypervisor *hypervisor)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    if (self->conn) {
        if (self->lifecycle >= 0)
            virConnectDomainEventDeregisterAny(self->conn, self->lifecycle);
        if (self->reboot >= 0)
            virConnectDomainEventDeregisterAny(self->conn, self->reboot);
        if (self->close_callback)
            virConnectUnregisterCloseCallback(self->conn, venv_libvirt_inbox_closed);
        virConnectClose(self->conn);
    }
    venv_libvirt_loop_release();
    venv_libvirt_inbox_unref(self->inbox);
    free(self->saves);
    free(self);
}

static venv_rc listen_to(libvirt_hypervisor *self, venv_span keepalive, venv_error *err)
{
    /* A driver inside the process (the built-in test driver) has no connection that could be lost. It would
     * also take a close callback and never let go of what it is given. */
    bool remote = virConnectSetKeepAlive(self->conn, (int)(keepalive.ns / VENV_NS_PER_S), 3) >= 0;
    if (!remote && virGetLastErrorCode() != VIR_ERR_NO_SUPPORT)
        return failed(self, false, "the connection to the hypervisor cannot be kept alive", err);
    if (remote) {
        self->close_callback =
            virConnectRegisterCloseCallback(self->conn, venv_libvirt_inbox_closed,
                                            venv_libvirt_inbox_ref(self->inbox), venv_libvirt_inbox_unref) == 0;
        if (!self->close_callback) {
            venv_libvirt_inbox_unref(self->inbox);
            return failed(self, false, "the loss of the connection to the hypervisor would not be told", err);
        }
    }
    self->lifecycle = virConnectDomainEventRegisterAny(
        self->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
        VIR_DOMAIN_EVENT_CALLBACK(venv_libvirt_inbox_lifecycle), venv_libvirt_inbox_ref(self->inbox),
        venv_libvirt_inbox_unref);
    if (self->lifecycle < 0) {
        venv_libvirt_inbox_unref(self->inbox);
        return failed(self, false, "the hypervisor tells no events", err);
    }
    /* A driver without this one has no reboots to tell. */
    self->reboot = virConnectDomainEventRegisterAny(self->conn, NULL, VIR_DOMAIN_EVENT_ID_REBOOT,
                                                    VIR_DOMAIN_EVENT_CALLBACK(venv_libvirt_inbox_reboot),
                                                    venv_libvirt_inbox_ref(self->inbox), venv_libvirt_inbox_unref);
    if (self->reboot < 0)
        venv_libvirt_inbox_unref(self->inbox);
    return VENV_OK;
}

static const venv_virt_driver libvirt_driver;

venv_rc venv_libvirt_open(const char *uri, const venv_hypervisor_options *options, venv_hypervisor **ret_hypervisor,
                          venv_error *err)
{
    libvirt_hypervisor *self = calloc(1, sizeof *self);
    if (!self)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    self->lifecycle = self->reboot = -1;
    self->saves_shared = options->saves_shared;
    venv_rc rc = venv_virt_init(&self->base, &libvirt_driver, options->cluster, err);
    if (rc == VENV_OK && options->saves && !(self->saves = strdup(options->saves)))
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK)
        rc = venv_libvirt_inbox_new(&self->inbox, err);
    if (rc == VENV_OK)
        rc = venv_libvirt_loop_hold(err);
    if (rc != VENV_OK) {
        if (self->inbox)
            venv_libvirt_inbox_unref(self->inbox);
        free(self->saves);
        free(self);
        return rc;
    }
    self->conn = virConnectOpen(uri);
    if (!self->conn) {
        char what[128];
        snprintf(what, sizeof what, "cannot connect to hypervisor %.80s", uri);
        rc = venv_libvirt_error(NULL, NULL, false, what, err);
    } else {
        rc = listen_to(self, options->keepalive, err);
    }
    if (rc != VENV_OK) {
        libvirt_close(&self->base);
        return rc;
    }
    *ret_hypervisor = &self->base;
    return VENV_OK;
}

/* --- what the node has ----------------------------------------------------------------------------- */

static uint32_t probe_kinds(libvirt_hypervisor *self, const char *type)
{
    /* Drivers of one kind of machine; that of QEMU has two, of which a node may lack one. */
    static const struct {
        const char *type;
        venv_hypervisor_kind kind;
    } ones[] = { { "TEST", VENV_HYPERVISOR_TEST }, { "Test", VENV_HYPERVISOR_TEST }, { "Xen", VENV_HYPERVISOR_XEN }, { "LXC", VENV_HYPERVISOR_LXC } };
    for (size_t i = 0; i < VENV_COUNT_OF(ones); i++)
        if (strcmp(type, ones[i].type) == 0)
            return 1u << ones[i].kind;
    static const venv_hypervisor_kind candidates[] = { VENV_HYPERVISOR_KVM, VENV_HYPERVISOR_QEMU };
    uint32_t kinds = 0;
    for (size_t i = 0; i < VENV_COUNT_OF(candidates); i++) {
        char *capabilities = virConnectGetDomainCapabilities(
            self->conn, NULL, NULL, NULL, venv_hypervisor_kind_name(candidates[i]), 0);
        if (capabilities)
            kinds |= 1u << candidates[i];
        free(capabilities);
    }
    return kinds;
}

static venv_rc libvirt_info(venv_hypervisor *hypervisor, venv_hypervisor_info *ret_info, venv_error *err)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    virNodeInfo node;
    if (virNodeGetInfo(self->conn, &node) < 0)
        return failed(self, false, "cannot ask what the node has", err);
    venv_hypervisor_info info = { .cpus = node.cpus, .memory_bytes = (uint64_t)node.memory << 10 };
    snprintf(info.cpu_model, sizeof info.cpu_model, "%.*s", (int)sizeof node.model, node.model);
    info.memory_free_bytes = virNodeGetFreeMemory(self->conn); /* 0 where it cannot say */
    const char *type = virConnectGetType(self->conn);
    if (!type)
        return failed(self, false, "cannot ask for the kind of hypervisor", err);
    snprintf(info.driver, sizeof info.driver, "%s", type);
    unsigned long version = 0;
    if (virConnectGetVersion(self->conn, &version) == 0 && version)
        snprintf(info.version, sizeof info.version, "%lu.%lu.%lu", version / 1000000, version / 1000 % 1000,
                 version % 1000);
    VENV_AUTO_FREE char *hostname = virConnectGetHostname(self->conn);
    snprintf(info.hostname, sizeof info.hostname, "%s", hostname ? hostname : "");
    if (!self->kinds_known) {
        self->kinds = probe_kinds(self, type);
        venv_rc rc = check_alive(self, err);
        if (rc != VENV_OK)
            return rc;
        self->kinds_known = true;
    }
    info.kinds = self->kinds;
    *ret_info = info;
    return VENV_OK;
}

/* --- looking at a domain --------------------------------------------------------------------------- */

typedef struct state_text {
    int reason;
    const char *text;
} state_text;

static const state_text ended_texts[] = {
    { VIR_DOMAIN_SHUTOFF_SHUTDOWN, "shut down" },   { VIR_DOMAIN_SHUTOFF_DESTROYED, "powered off" },
    { VIR_DOMAIN_SHUTOFF_CRASHED, "crashed" },      { VIR_DOMAIN_SHUTOFF_MIGRATED, "migrated away" },
    { VIR_DOMAIN_SHUTOFF_SAVED, "saved" },          { VIR_DOMAIN_SHUTOFF_FAILED, "did not start" },
    { VIR_DOMAIN_SHUTOFF_DAEMON, "the hypervisor gave it up" }, { VIR_DOMAIN_SHUTOFF_UNKNOWN, "it does not run, and the hypervisor does not know why" },
};

static void describe_state(int state, int reason, venv_virt_domain *domain)
{
    venv_machine_info *info = &domain->info;
    const char *text = "";
    domain->active = true;
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        info->state = VENV_MACHINE_RUNNING;
        break;
    case VIR_DOMAIN_PAUSED:
        /* libvirt makes the process paused and lets it go when all is ready. */
        info->state = reason == VIR_DOMAIN_PAUSED_STARTING_UP ? VENV_MACHINE_RUNNING : VENV_MACHINE_PAUSED;
        text = reason == VIR_DOMAIN_PAUSED_STARTING_UP ? "starting"
               : reason == VIR_DOMAIN_PAUSED_IOERROR  ? "disk error"
               : reason == VIR_DOMAIN_PAUSED_CRASHED  ? "the guest crashed"
                                                      : "";
        break;
    case VIR_DOMAIN_PMSUSPENDED:
        info->state = VENV_MACHINE_PAUSED;
        text = "the guest sleeps";
        break;
    case VIR_DOMAIN_SHUTDOWN:
        info->state = VENV_MACHINE_STOPPING;
        break;
    case VIR_DOMAIN_SHUTOFF:
        domain->active = false;
        /* Unknown: libvirtd has been started since it ran, if it ever did. One that ended in order is told so by the libvirtd that saw it. */
        info->state = reason == VIR_DOMAIN_SHUTOFF_CRASHED || reason == VIR_DOMAIN_SHUTOFF_FAILED || reason == VIR_DOMAIN_SHUTOFF_UNKNOWN ||
                              reason == VIR_DOMAIN_SHUTOFF_DAEMON
                          ? VENV_MACHINE_FAILED
                          : VENV_MACHINE_STOPPED;
        for (size_t i = 0; i < VENV_COUNT_OF(ended_texts); i++)
            if (ended_texts[i].reason == reason)
                text = ended_texts[i].text;
        break;
    case VIR_DOMAIN_CRASHED:
        domain->active = false;
        info->state = VENV_MACHINE_FAILED;
        text = "crashed";
        break;
    default:
        info->state = VENV_MACHINE_UNKNOWN;
        break;
    }
    snprintf(info->reason, sizeof info->reason, "%s", text);
}

/* What the state does not say: a memory that waits in a file, or a migration that goes on after whoever asked for it has gone. */
static void look_closer(libvirt_hypervisor *self, virDomainPtr handle, int reason, venv_virt_domain *domain)
{
    venv_machine_info *info = &domain->info;
    if (!domain->active)
        venv_libvirt_look_saved(self, handle, reason, info);
    virDomainJobInfo job;
    if (!domain->active || virDomainGetJobInfo(handle, &job) < 0 || job.type == VIR_DOMAIN_JOB_NONE)
        return;
    int type, count = 0, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
    virTypedParameterPtr parameters = NULL;
    if (virDomainGetJobStats(handle, &type, &parameters, &count, 0) == 0)
        (void)virTypedParamsGetInt(parameters, count, VIR_DOMAIN_JOB_OPERATION, &operation);
    virTypedParamsFree(parameters, count);
    if (operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT || operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)
        info->state = VENV_MACHINE_MIGRATING;
}

/* Everything about one domain. The handle is not kept here. VENV_ENOENT: it went away meanwhile. */
static venv_rc look(libvirt_hypervisor *self, virDomainPtr handle, venv_virt_domain *ret_domain, venv_error *err)
{
    venv_virt_domain domain = { .handle = NULL };
    virDomainInfo info;
    int state, reason;
    if (virDomainGetUUID(handle, domain.info.id.bytes) < 0 || virDomainGetInfo(handle, &info) < 0 ||
        virDomainGetState(handle, &state, &reason, 0) < 0)
        return failed(self, false, "cannot look at a domain", err);
    domain.info.vcpus = info.nrVirtCpu;
    domain.info.memory_bytes = (uint64_t)info.maxMem << 10;
    describe_state(state, reason, &domain);
    VENV_AUTO_FREE char *metadata =
        virDomainGetMetadata(handle, VIR_DOMAIN_METADATA_ELEMENT, VENV_MACHINE_MARK_NAMESPACE, VIR_DOMAIN_AFFECT_CURRENT);
    if (metadata) {
        venv_rc rc = venv_virt_classify(&self->base, metadata, strlen(metadata), &domain, err);
        if (rc != VENV_OK)
            return rc;
    } else if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN_METADATA) {
        /* "Could not look for the mark" is not "it has none". */
        return failed(self, false, "cannot read the metadata of a domain", err);
    }
    if (domain.ours)
        look_closer(self, handle, reason, &domain);
    *ret_domain = domain;
    return VENV_OK;
}

static venv_rc look_at_each(libvirt_hypervisor *self, virDomainPtr *handles, size_t count,
                            venv_rc (*callback)(void *user, const venv_virt_domain *domain, venv_error *err),
                            void *user, venv_error *err)
{
    for (size_t i = 0; i < count; i++) {
        venv_virt_domain domain;
        venv_error gone = { .rc = VENV_OK };
        venv_rc rc = look(self, handles[i], &domain, &gone);
        if (rc == VENV_ENOENT)
            continue; /* it went away since it was listed */
        if (rc != VENV_OK) {
            if (err)
                *err = gone;
            return rc;
        }
        rc = callback(user, &domain, err);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

static venv_rc libvirt_each(venv_hypervisor *hypervisor,
                            venv_rc (*callback)(void *user, const venv_virt_domain *domain, venv_error *err),
                            void *user, venv_error *err)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    virDomainPtr *handles = NULL;
    int count = virConnectListAllDomains(self->conn, &handles, 0);
    if (count < 0)
        return failed(self, false, "cannot list the domains", err);
    venv_rc rc = look_at_each(self, handles, (size_t)count, callback, user, err);
    for (int i = 0; i < count; i++)
        virDomainFree(handles[i]);
    free(handles);
    return rc;
}

static venv_rc take_handle(libvirt_hypervisor *self, virDomainPtr handle, venv_virt_domain *ret_domain,
                           venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = look(self, handle, &domain, err);
    if (rc != VENV_OK) {
        virDomainFree(handle);
        return rc;
    }
    domain.handle = handle;
    *ret_domain = domain;
    return VENV_OK;
}

static venv_rc libvirt_find(venv_hypervisor *hypervisor, venv_id id, venv_virt_domain *ret_domain,
                            venv_error *err)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    virDomainPtr handle = virDomainLookupByUUID(self->conn, id.bytes);
    if (!handle)
        return failed(self, false, "cannot find the machine", err);
    return take_handle(self, handle, ret_domain, err);
}

static venv_rc libvirt_find_name(venv_hypervisor *hypervisor, const char *name, venv_virt_domain *ret_domain,
                                 venv_error *err)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    virDomainPtr handle = virDomainLookupByName(self->conn, name);
    if (!handle)
        return failed(self, false, "cannot find the domain", err);
    return take_handle(self, handle, ret_domain, err);
}

static void libvirt_release(venv_hypervisor *hypervisor, venv_virt_domain *domain)
{
    (void)hypervisor;
    if (domain->handle)
        virDomainFree(domain->handle);
    domain->handle = NULL;
}

/* --- changing a domain ------------------------------------------------------------------------------ */

static venv_rc libvirt_define(venv_hypervisor *hypervisor, const char *xml, venv_virt_domain *ret_domain,
                              venv_error *err)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    venv_rc rc = check_alive(self, err);
    if (rc != VENV_OK)
        return rc;
    virDomainPtr handle = virDomainDefineXML(self->conn, xml);
    if (!handle)
        return failed(self, true, "the hypervisor does not take the machine", err);
    return take_handle(self, handle, ret_domain, err);
}

/* A step on one domain: `call` is one of libvirt's functions that take a domain alone. */
static venv_rc act(venv_hypervisor *hypervisor, venv_virt_domain *domain, int (*call)(virDomainPtr),
                   const char *what, venv_error *err)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    venv_rc rc = check_alive(self, err);
    if (rc != VENV_OK)
        return rc;
    return call(domain->handle) < 0 ? failed(self, true, what, err) : VENV_OK;
}

static venv_rc libvirt_boot(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    return act(hypervisor, domain, virDomainCreate, "the machine does not start", err);
}

static venv_rc libvirt_press(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    return act(hypervisor, domain, virDomainShutdown, "the guest cannot be asked to shut down", err);
}

static venv_rc libvirt_power_off(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    return act(hypervisor, domain, virDomainDestroy, "the machine cannot be powered off", err);
}

/*
 * By a question that every guest agent answers (its clock). libvirt gives up after the time that is set here; where it does not
 * know that call its own limit of five seconds holds.
 */
static venv_rc libvirt_probe(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    libvirt_hypervisor *self = self_of(hypervisor);
    long long seconds = 0;
    unsigned nanoseconds = 0;
    venv_rc rc = check_alive(self, err);
    if (rc != VENV_OK)
        return rc;
    (void)virDomainAgentSetResponseTimeout(domain->handle, 2, 0);
    return virDomainGetTime(domain->handle, &seconds, &nanoseconds, 0) < 0 ? failed(self, false, "the guest agent does not answer", err) : VENV_OK;
}

static venv_rc libvirt_freeze(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    return act(hypervisor, domain, virDomainSuspend, "the machine cannot be paused", err);
}

static venv_rc libvirt_thaw(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    return act(hypervisor, domain, virDomainResume, "the machine cannot be resumed", err);
}

static int reset(virDomainPtr domain)
{
    return virDomainReset(domain, 0);
}

static venv_rc libvirt_reset(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    return act(hypervisor, domain, reset, "the machine cannot be reset", err);
}

static int press_reboot(virDomainPtr domain)
{
    return virDomainReboot(domain, 0);
}

static venv_rc libvirt_press_reboot(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    return act(hypervisor, domain, press_reboot, "the guest cannot be asked to start anew", err);
}

static uint64_t libvirt_reboots(venv_hypervisor *hypervisor, venv_id id)
{
    return venv_libvirt_inbox_reboots(self_of(hypervisor)->inbox, id);
}

venv_rc venv_libvirt_xml_with_epoch(libvirt_hypervisor *self, virDomainPtr handle, unsigned flags, uint64_t epoch, char **ret_xml,
                                    venv_error *err)
{
    VENV_AUTO_FREE char *xml = virDomainGetXMLDesc(handle, flags);
    if (!xml)
        return failed(self, false, "cannot read the machine's definition", err);
    return venv_domain_set_epoch(xml, strlen(xml), epoch, ret_xml, err);
}

/* With what libvirt may have kept for it; a driver that does not know the flags has kept nothing of that. */
static int undefine_all(virDomainPtr domain)
{
    static const unsigned flags[] = { VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                          VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM,
                                      VIR_DOMAIN_UNDEFINE_MANAGED_SAVE };
    for (size_t i = 0; i < VENV_COUNT_OF(flags); i++) {
        if (virDomainUndefineFlags(domain, flags[i]) == 0)
            return 0;
        int code = virGetLastErrorCode();
        if (code != VIR_ERR_INVALID_ARG && code != VIR_ERR_NO_SUPPORT && code != VIR_ERR_ARGUMENT_UNSUPPORTED)
            return -1;
    }
    return virDomainUndefine(domain);
}

static venv_rc libvirt_undefine(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    venv_rc rc = act(hypervisor, domain, undefine_all, "the machine's definition cannot be removed", err);
    if (rc == VENV_OK)
        venv_libvirt_forget_saves(self_of(hypervisor), &domain->info);
    return rc;
}

/* --- time and events -------------------------------------------------------------------------------- */

static venv_rc libvirt_wait(venv_hypervisor *hypervisor, venv_span timeout, venv_hypervisor_event *ret_event,
                            venv_error *err)
{
    return venv_libvirt_inbox_wait(self_of(hypervisor)->inbox, timeout, ret_event, err);
}

static venv_rc libvirt_pause(venv_hypervisor *hypervisor, venv_span span, venv_error *err)
{
    venv_rc rc = venv_libvirt_inbox_wait(self_of(hypervisor)->inbox, span, NULL, err);
    return rc == VENV_ETIMEDOUT ? VENV_OK : rc;
}

static venv_instant libvirt_now(venv_hypervisor *hypervisor)
{
    (void)hypervisor;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (venv_instant){ now.tv_sec * VENV_NS_PER_S + now.tv_nsec };
}

static void libvirt_cancel(venv_hypervisor *hypervisor)
{
    venv_libvirt_inbox_cancel(self_of(hypervisor)->inbox);
}

static const venv_virt_driver libvirt_driver = {
    .close = libvirt_close,
    .info = libvirt_info,
    .each = libvirt_each,
    .find = libvirt_find,
    .find_name = libvirt_find_name,
    .release = libvirt_release,
    .define = libvirt_define,
    .boot = libvirt_boot,
    .press = libvirt_press,
    .power_off = libvirt_power_off,
    .probe = libvirt_probe,
    .freeze = libvirt_freeze,
    .thaw = libvirt_thaw,
    .save = venv_libvirt_save,
    .restore = venv_libvirt_restore,
    .migrate = venv_libvirt_migrate,
    .reset = libvirt_reset,
    .press_reboot = libvirt_press_reboot,
    .reboots = libvirt_reboots,
    .checkpoint = venv_libvirt_checkpoint,
    .revert = venv_libvirt_revert,
    .screenshot = venv_libvirt_screenshot,
    .abort_job = venv_libvirt_abort_job,
    .progress = venv_libvirt_progress,
    .console = venv_libvirt_console,
    .undefine = libvirt_undefine,
    .wait = libvirt_wait,
    .pause = libvirt_pause,
    .now = libvirt_now,
    .cancel = libvirt_cancel,
};
