/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From libvirtd to libvirtd.
 *
 * A machine that runs: libvirt does it, and goes on if we die. It pauses the guest here before it runs there, and lets it go on here if
 * that fails. A second thread looks how far it has come, tells, and ends it when its time is over.
 *
 * A machine that is saved: its memory is the machine. With a folder that both have: its definition is made there, the file gets the name
 * of the new epoch (that is the moment at which it moves), the definition here goes. Else the file is copied first, and is only a
 * machine there when the definition is made; what is left here then is older.
 */
#include "virt/libvirt_parts.h"

#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define self_of venv_libvirt_self
#define failed venv_libvirt_failed

#define LOOK_EVERY_NS (VENV_NS_PER_S / 2)

/* --- how far it has come --------------------------------------------------------------------------------- */

static uint64_t stat_of(virTypedParameterPtr parameters, int count, const char *name)
{
    unsigned long long number = 0;
    return virTypedParamsGetULLong(parameters, count, name, &number) == 1 ? number : 0;
}

/* VENV_ENOENT: nothing is under way. */
static venv_rc read_progress(virDomainPtr handle, venv_machine_progress *ret_progress)
{
    int type = VIR_DOMAIN_JOB_NONE, count = 0;
    virTypedParameterPtr parameters = NULL;
    if (virDomainGetJobStats(handle, &type, &parameters, &count, 0) < 0)
        return VENV_EIO;
    if (type != VIR_DOMAIN_JOB_NONE)
        *ret_progress = (venv_machine_progress){
            .elapsed = { (int64_t)stat_of(parameters, count, VIR_DOMAIN_JOB_TIME_ELAPSED) * (VENV_NS_PER_S / 1000) },
            .bytes_total = stat_of(parameters, count, VIR_DOMAIN_JOB_DATA_TOTAL),
            .bytes_done = stat_of(parameters, count, VIR_DOMAIN_JOB_DATA_PROCESSED),
            .bytes_left = stat_of(parameters, count, VIR_DOMAIN_JOB_DATA_REMAINING),
            .rate = stat_of(parameters, count, VIR_DOMAIN_JOB_MEMORY_BPS) + stat_of(parameters, count, VIR_DOMAIN_JOB_DISK_BPS),
            .dirty_rate = stat_of(parameters, count, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) *
                          stat_of(parameters, count, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE),
            .round = stat_of(parameters, count, VIR_DOMAIN_JOB_MEMORY_ITERATION),
        };
    virTypedParamsFree(parameters, count);
    return type == VIR_DOMAIN_JOB_NONE ? VENV_ENOENT : VENV_OK;
}

venv_rc venv_libvirt_progress(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_machine_progress *ret_progress, venv_error *err)
{
    venv_rc rc = read_progress(domain->handle, ret_progress);
    if (rc == VENV_EIO)
        return failed(self_of(hypervisor), false, "it is not known how far it has come", err);
    return rc == VENV_OK ? rc : venv_error_set(err, rc, "nothing takes long with instance %s now", domain->info.instance);
}

venv_rc venv_libvirt_abort_job(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    venv_libvirt_hypervisor *self = self_of(hypervisor);
    venv_rc rc = venv_libvirt_check_alive(self, err);
    if (rc == VENV_OK && virDomainAbortJob(domain->handle) < 0)
        rc = failed(self, true, "what is under way cannot be ended", err);
    return rc;
}

/* --- the watcher ------------------------------------------------------------------------------------------ */

typedef struct watcher {
    virDomainPtr handle;
    const venv_migrate_options *options;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
    bool timed_out, canceled; /* why it was ended */
    venv_machine_progress last;
} watcher;

/* Wait a moment. False: the migration is over. */
static bool rest(watcher *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_EVERY_NS;
    if (until.tv_nsec >= VENV_NS_PER_S) {
        until.tv_nsec -= VENV_NS_PER_S;
        until.tv_sec++;
    }
    pthread_mutex_lock(&w->lock);
    while (!w->is_over && pthread_cond_timedwait(&w->over, &w->lock, &until) == 0)
        ;
    bool goes_on = !w->is_over;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * VENV_NS_PER_S + now.tv_nsec;
}

static void *watch(void *user)
{
    watcher *w = user;
    const venv_migrate_options *options = w->options;
    int64_t begin = now_ns();
    while (rest(w)) {
        venv_machine_progress progress;
        if (read_progress(w->handle, &progress) == VENV_OK && progress.bytes_total > 0) {
            w->last = progress;
            if (options->progress && !options->progress(options->user, &progress))
                w->canceled = true;
        }
        if (options->timeout.ns > 0 && now_ns() - begin >= options->timeout.ns)
            w->timed_out = true;
        if (w->timed_out || w->canceled)
            (void)virDomainAbortJob(w->handle); /* again at the next look, if there was nothing to end yet */
    }
    return NULL;
}

static venv_rc watcher_start(watcher *w, pthread_t *ret_thread, venv_error *err)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->over, &attributes);
    pthread_condattr_destroy(&attributes);
    int failure = pthread_create(ret_thread, NULL, watch, w);
    return failure ? venv_error_set(err, VENV_EIO, "no thread to watch a migration: %s", strerror(failure)) : VENV_OK;
}

static void watcher_end(watcher *w, pthread_t thread)
{
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    pthread_cond_broadcast(&w->over);
    pthread_mutex_unlock(&w->lock);
    pthread_join(thread, NULL);
}

/* --- one that runs ---------------------------------------------------------------------------------------- */

static unsigned flags_of(const venv_migrate_options *options, bool has_disks)
{
    unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE |
                     VIR_MIGRATE_ABORT_ON_ERROR;
    if (options->copy_disks && has_disks)
        flags |= VIR_MIGRATE_NON_SHARED_DISK;
    if (options->auto_converge)
        flags |= VIR_MIGRATE_AUTO_CONVERGE;
    if (options->tls)
        flags |= VIR_MIGRATE_TLS;
    return flags;
}

/* It failed. What became of it is what this side has: as it was, or libvirt itself does not know. */
static venv_rc say_why(venv_libvirt_hypervisor *self, const watcher *w, venv_error *err)
{
    venv_rc rc = failed(self, true, "the machine is not moved", err);
    int state, reason;
    if (rc == VENV_EUNKNOWN)
        return rc;
    if (virDomainGetState(w->handle, &state, &reason, 0) < 0 || state != VIR_DOMAIN_RUNNING) {
        char why[VENV_ERROR_TEXT_MAX];
        snprintf(why, sizeof why, "%s", err ? err->text : "");
        return venv_error_set(err, VENV_EUNKNOWN, "%.600s; and it does not run here", why);
    }
    const unsigned long long mib = 1u << 20;
    if (w->timed_out)
        return venv_error_set(err, VENV_ELIMIT,
                              "the machine is not moved and runs on here: it was not over in %lld s (round %llu; %llu of %llu MiB left; the "
                              "guest changes %llu MiB a second, %llu are carried)",
                              (long long)(w->options->timeout.ns / VENV_NS_PER_S), (unsigned long long)w->last.round,
                              (unsigned long long)w->last.bytes_left / mib, (unsigned long long)w->last.bytes_total / mib,
                              (unsigned long long)w->last.dirty_rate / mib, (unsigned long long)w->last.rate / mib);
    return w->canceled ? venv_error_set(err, VENV_ECANCELED, "the move was ended as asked; the machine runs on here") : rc;
}

static venv_rc move_live(venv_libvirt_hypervisor *self, virDomainPtr handle, const char *uri, virTypedParameterPtr parameters, int count,
                         unsigned flags, const venv_migrate_options *options, venv_error *err)
{
    watcher w = { .handle = handle, .options = options };
    pthread_t thread;
    venv_rc rc = watcher_start(&w, &thread, err);
    if (rc == VENV_OK) {
        bool moved = virDomainMigrateToURI3(handle, uri, parameters, (unsigned)count, flags) == 0;
        watcher_end(&w, thread); /* libvirt keeps the error of each thread apart */
        rc = moved ? VENV_OK : say_why(self, &w, err);
    }
    pthread_cond_destroy(&w.over);
    pthread_mutex_destroy(&w.lock);
    return rc;
}

/* Those over a base have to be there before; libvirt makes others itself, where it finds a pool: all are made here. */
static venv_rc make_disks(venv_libvirt_hypervisor *self, virDomainPtr handle, const char *uri, size_t *ret_count, venv_error *err)
{
    venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX];
    size_t count = 0;
    venv_rc rc = venv_libvirt_disks(self, handle, disks, &count, err);
    *ret_count = count;
    if (rc != VENV_OK || count == 0)
        return rc;
    virConnectPtr there = virConnectOpen(uri);
    if (!there)
        return venv_error_set(err, VENV_EIO, "cannot reach the other node at %.100s: %.300s", uri, virGetLastErrorMessage());
    for (size_t i = 0; i < count && rc == VENV_OK; i++)
        rc = venv_libvirt_disk_make(handle, there, &disks[i], err);
    virConnectClose(there);
    return rc;
}

static venv_rc migrate_running(venv_libvirt_hypervisor *self, venv_virt_domain *domain, const char *uri, uint64_t epoch,
                               const venv_migrate_options *options, venv_error *err)
{
    VENV_AUTO_FREE char *live = NULL;
    VENV_AUTO_FREE char *kept = NULL;
    virTypedParameterPtr parameters = NULL;
    int count = 0, capacity = 0;
    size_t disk_count = 0;
    venv_rc rc = venv_libvirt_xml_with_epoch(self, domain->handle, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE, epoch, &live, err);
    if (rc == VENV_OK)
        rc = venv_libvirt_xml_with_epoch(self, domain->handle, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE, epoch, &kept, err);
    if (rc == VENV_OK && options->copy_disks)
        rc = make_disks(self, domain->handle, uri, &disk_count, err);
    if (rc != VENV_OK)
        return rc;
    unsigned long long mib = (options->bandwidth + (1u << 20) - 1) >> 20;
    if (virTypedParamsAddString(&parameters, &count, &capacity, VIR_MIGRATE_PARAM_DEST_XML, live) < 0 ||
        virTypedParamsAddString(&parameters, &count, &capacity, VIR_MIGRATE_PARAM_PERSIST_XML, kept) < 0 ||
        (mib && virTypedParamsAddULLong(&parameters, &count, &capacity, VIR_MIGRATE_PARAM_BANDWIDTH, mib) < 0))
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for a migration");
    if (rc == VENV_OK)
        rc = move_live(self, domain->handle, uri, parameters, count, flags_of(options, disk_count > 0), options, err);
    virTypedParamsFree(parameters, count);
    return rc;
}

/* --- one that is saved ------------------------------------------------------------------------------------ */

/* Its files on the other node, unless that has the folder. */
static venv_rc carry(venv_libvirt_hypervisor *self, venv_virt_domain *domain, virConnectPtr there, const char *from, const char *to,
                     bool with_disks, venv_error *err)
{
    venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX];
    size_t count = 0;
    venv_rc rc = with_disks ? venv_libvirt_disks(self, domain->handle, disks, &count, err) : VENV_OK;
    for (size_t i = 0; i < count && rc == VENV_OK; i++)
        rc = venv_libvirt_upload(there, disks[i].file, disks[i].file, err);
    return rc == VENV_OK && !self->saves_shared ? venv_libvirt_upload(there, from, to, err) : rc;
}

static venv_rc hand_over(venv_libvirt_hypervisor *self, venv_virt_domain *domain, virConnectPtr there, uint64_t epoch, bool with_disks,
                         venv_error *err)
{
    char from[VENV_LIBVIRT_PATH_MAX], to[VENV_LIBVIRT_PATH_MAX];
    VENV_AUTO_FREE char *xml = NULL;
    if (!venv_libvirt_save_path(self, &domain->info, domain->info.epoch, "save", from) ||
        !venv_libvirt_save_path(self, &domain->info, epoch, "save", to) || access(from, F_OK) != 0)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the memory of instance %s is where libvirt keeps it, not in a folder for saves: it "
                              "goes on only here", domain->info.instance);
    venv_rc rc = venv_libvirt_xml_with_epoch(self, domain->handle, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE, epoch, &xml, err);
    if (rc == VENV_OK)
        rc = carry(self, domain, there, from, to, with_disks, err);
    if (rc != VENV_OK)
        return rc;
    virDomainPtr defined = virDomainDefineXML(there, xml);
    if (!defined)
        return venv_error_set(err, VENV_EIO, "the other node does not take the machine: %.400s", virGetLastErrorMessage());
    if (self->saves_shared && rename(from, to) != 0) {
        rc = venv_error_set(err, VENV_EIO, "%s: %s", from, strerror(errno));
        (void)virDomainUndefine(defined);
    }
    virDomainFree(defined);
    if (rc == VENV_OK && virDomainUndefine(domain->handle) < 0)
        return failed(self, true, "the machine has moved, but its definition is still here", err);
    if (rc == VENV_OK && !self->saves_shared)
        (void)unlink(from);
    return rc;
}

static venv_rc migrate_saved(venv_libvirt_hypervisor *self, venv_virt_domain *domain, const char *uri, uint64_t epoch,
                             const venv_migrate_options *options, venv_error *err)
{
    virConnectPtr there = virConnectOpen(uri);
    if (!there)
        return venv_error_set(err, VENV_EIO, "cannot reach the other node at %.100s: %.300s", uri, virGetLastErrorMessage());
    (void)virConnectSetKeepAlive(there, 5, 3);
    venv_rc rc = hand_over(self, domain, there, epoch, options->copy_disks, err);
    virConnectClose(there);
    return rc;
}

venv_rc venv_libvirt_migrate(venv_hypervisor *hypervisor, venv_virt_domain *domain, const char *uri, uint64_t epoch,
                             const venv_migrate_options *options, venv_error *err)
{
    venv_libvirt_hypervisor *self = self_of(hypervisor);
    venv_rc rc = venv_libvirt_check_alive(self, err);
    if (rc != VENV_OK)
        return rc;
    return domain->info.state == VENV_MACHINE_SAVED ? migrate_saved(self, domain, uri, epoch, options, err)
                                                    : migrate_running(self, domain, uri, epoch, options, err);
}
