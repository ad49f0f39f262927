/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's event loop in a thread, and the inbox of a connection.
 *
 * What is global here is so because libvirt's loop and error handler are: one of each in a process. The thread exists
 * only while a hypervisor is open.
 */
#include "virt/libvirt_parts.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- the loop of the process ---------------------------------------------------------------------- */

static pthread_mutex_t loop_lock = PTHREAD_MUTEX_INITIALIZER;
static bool loop_registered;
static unsigned loop_holders;
static pthread_t loop_thread;
static int loop_timer = -1; /* wakes the loop up, so that it sees loop_stop */
static atomic_bool loop_stop;

static void be_quiet(void *user, virErrorPtr error)
{
    (void)user; /* libvirt's own handler writes to standard error; ours hands errors to the caller */
    (void)error;
}

static void on_timer(int timer, void *user)
{
    (void)timer;
    (void)user;
}

static void *run_loop(void *user)
{
    (void)user;
    while (!atomic_load(&loop_stop))
        if (virEventRunDefaultImpl() < 0)
            break;
    return NULL;
}

static venv_rc start_loop(venv_error *err)
{
    if (!loop_registered) {
        if (virInitialize() < 0)
            return venv_error_set(err, VENV_EIO, "libvirt cannot be initialised");
        virSetErrorFunc(NULL, be_quiet);
        if (virEventRegisterDefaultImpl() < 0)
            return venv_error_set(err, VENV_EIO, "libvirt's event loop cannot be registered");
        loop_registered = true;
    }
    loop_timer = virEventAddTimeout(-1, on_timer, NULL, NULL);
    if (loop_timer < 0)
        return venv_error_set(err, VENV_EIO, "libvirt's event loop takes no timer");
    atomic_store(&loop_stop, false);
    /* Signals are for the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&loop_thread, NULL, run_loop, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        virEventRemoveTimeout(loop_timer);
        return venv_error_set(err, VENV_EIO, "no thread for libvirt's events: %s", strerror(failure));
    }
    return VENV_OK;
}

venv_rc venv_libvirt_loop_hold(venv_error *err)
{
    pthread_mutex_lock(&loop_lock);
    venv_rc rc = loop_holders ? VENV_OK : start_loop(err);
    if (rc == VENV_OK)
        loop_holders++;
    pthread_mutex_unlock(&loop_lock);
    return rc;
}

void venv_libvirt_loop_release(void)
{
    pthread_mutex_lock(&loop_lock);
    if (--loop_holders == 0) {
        atomic_store(&loop_stop, true);
        virEventUpdateTimeout(loop_timer, 0);
        pthread_join(loop_thread, NULL);
        /* What was deregistered is let go in the next rounds; the timer makes each return at once. */
        for (int i = 0; i < 2; i++)
            if (virEventRunDefaultImpl() < 0)
                break;
        virEventRemoveTimeout(loop_timer);
        loop_timer = -1;
    }
    pthread_mutex_unlock(&loop_lock);
}

#define REBOOTS_MAX 32u /* domains whose last reboot is remembered: only while somebody waits for one */

/* --- the inbox of a connection -------------------------------------------------------------------- */

struct venv_libvirt_inbox {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock */
    unsigned references;
    venv_hypervisor_event events[VENV_HYPERVISOR_EVENTS_MAX];
    size_t first, count;
    uint64_t told; /* events ever */
    struct {
        venv_id id;
        uint64_t count;
    } reboots[REBOOTS_MAX]; /* the last ones, each domain once */
    uint64_t reboot_count;
    bool gap, closed, canceled;
};

venv_rc venv_libvirt_inbox_new(venv_libvirt_inbox **ret_inbox, venv_error *err)
{
    venv_libvirt_inbox *inbox = calloc(1, sizeof *inbox);
    pthread_condattr_t attributes;
    if (!inbox || pthread_condattr_init(&attributes) != 0) {
        free(inbox);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&inbox->lock, NULL);
    int failure = pthread_cond_init(&inbox->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (failure) {
        pthread_mutex_destroy(&inbox->lock);
        free(inbox);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    inbox->references = 1;
    *ret_inbox = inbox;
    return VENV_OK;
}

venv_libvirt_inbox *venv_libvirt_inbox_ref(venv_libvirt_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->references++;
    pthread_mutex_unlock(&inbox->lock);
    return inbox;
}

void venv_libvirt_inbox_unref(void *opaque)
{
    venv_libvirt_inbox *inbox = opaque;
    pthread_mutex_lock(&inbox->lock);
    bool last = --inbox->references == 0;
    pthread_mutex_unlock(&inbox->lock);
    if (!last)
        return;
    pthread_cond_destroy(&inbox->changed);
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

static venv_machine_state state_after(int event, int detail)
{
    switch (event) {
    case VIR_DOMAIN_EVENT_STARTED:
    case VIR_DOMAIN_EVENT_RESUMED:
        return VENV_MACHINE_RUNNING;
    case VIR_DOMAIN_EVENT_SUSPENDED:
    case VIR_DOMAIN_EVENT_PMSUSPENDED:
        return VENV_MACHINE_PAUSED;
    case VIR_DOMAIN_EVENT_SHUTDOWN:
        return VENV_MACHINE_STOPPING;
    case VIR_DOMAIN_EVENT_STOPPED:
        return detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED || detail == VIR_DOMAIN_EVENT_STOPPED_FAILED
                   ? VENV_MACHINE_FAILED
                   : VENV_MACHINE_STOPPED;
    case VIR_DOMAIN_EVENT_CRASHED:
        return VENV_MACHINE_FAILED;
    default: /* defined, undefined, what newer libvirts tell */
        return VENV_MACHINE_UNKNOWN;
    }
}

int venv_libvirt_inbox_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *opaque)
{
    (void)conn;
    venv_libvirt_inbox *inbox = opaque;
    venv_hypervisor_event told = { .kind = VENV_HYPERVISOR_CHANGED, .state = state_after(event, detail) };
    bool named = virDomainGetUUID(domain, told.id.bytes) == 0;
    pthread_mutex_lock(&inbox->lock);
    if (!named || inbox->count == VENV_HYPERVISOR_EVENTS_MAX) {
        inbox->count = 0;
        inbox->gap = true;
    }
    /* While a gap waits to be read, everything is in it. */
    if (!inbox->gap)
        inbox->events[(inbox->first + inbox->count++) % VENV_HYPERVISOR_EVENTS_MAX] = told;
    inbox->told++;
    pthread_cond_broadcast(&inbox->changed);
    pthread_mutex_unlock(&inbox->lock);
    return 0;
}

/* With the lock held: its place, else that of the oldest. */
static size_t reboot_place(const venv_libvirt_inbox *inbox, venv_id id)
{
    size_t oldest = 0;
    for (size_t i = 0; i < REBOOTS_MAX; i++) {
        if (inbox->reboots[i].count && venv_id_equal(inbox->reboots[i].id, id))
            return i;
        if (inbox->reboots[i].count < inbox->reboots[oldest].count)
            oldest = i;
    }
    return oldest;
}

int venv_libvirt_inbox_reboot(virConnectPtr conn, virDomainPtr domain, void *opaque)
{
    (void)conn;
    venv_libvirt_inbox *inbox = opaque;
    venv_id id;
    if (virDomainGetUUID(domain, id.bytes) < 0)
        return 0;
    pthread_mutex_lock(&inbox->lock);
    size_t place = reboot_place(inbox, id);
    inbox->reboots[place].id = id;
    inbox->reboots[place].count = ++inbox->reboot_count;
    inbox->told++;
    pthread_cond_broadcast(&inbox->changed);
    pthread_mutex_unlock(&inbox->lock);
    return 0;
}

uint64_t venv_libvirt_inbox_reboots(venv_libvirt_inbox *inbox, venv_id id)
{
    pthread_mutex_lock(&inbox->lock);
    size_t place = reboot_place(inbox, id);
    uint64_t count = venv_id_equal(inbox->reboots[place].id, id) ? inbox->reboots[place].count : 0;
    pthread_mutex_unlock(&inbox->lock);
    return count;
}

void venv_libvirt_inbox_closed(virConnectPtr conn, int reason, void *opaque)
{
    (void)conn;
    venv_libvirt_inbox *inbox = opaque;
    if (reason == VIR_CONNECT_CLOSE_REASON_CLIENT)
        return;
    pthread_mutex_lock(&inbox->lock);
    inbox->closed = true;
    pthread_cond_broadcast(&inbox->changed);
    pthread_mutex_unlock(&inbox->lock);
}

void venv_libvirt_inbox_cancel(venv_libvirt_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->canceled = true;
    pthread_cond_broadcast(&inbox->changed);
    pthread_mutex_unlock(&inbox->lock);
}

bool venv_libvirt_inbox_is_closed(venv_libvirt_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    bool closed = inbox->closed;
    pthread_mutex_unlock(&inbox->lock);
    return closed;
}

/* With the lock held: is there an answer already? VENV_ETIMEDOUT: not yet. */
static venv_rc answer(venv_libvirt_inbox *inbox, uint64_t told_before, venv_hypervisor_event *ret_event)
{
    if (inbox->canceled) {
        inbox->canceled = false;
        return VENV_ECANCELED;
    }
    if (!ret_event)
        return inbox->closed ? VENV_EUNREACHABLE : inbox->told != told_before ? VENV_OK : VENV_ETIMEDOUT;
    if (inbox->gap) {
        inbox->gap = false;
        *ret_event = (venv_hypervisor_event){ .kind = VENV_HYPERVISOR_GAP };
        return VENV_OK;
    }
    if (inbox->count) {
        *ret_event = inbox->events[inbox->first];
        inbox->first = (inbox->first + 1) % VENV_HYPERVISOR_EVENTS_MAX;
        inbox->count--;
        return VENV_OK;
    }
    return inbox->closed ? VENV_EUNREACHABLE : VENV_ETIMEDOUT;
}

venv_rc venv_libvirt_inbox_wait(venv_libvirt_inbox *inbox, venv_span timeout, venv_hypervisor_event *ret_event,
                                venv_error *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout.ns / VENV_NS_PER_S;
    until.tv_nsec += timeout.ns % VENV_NS_PER_S;
    if (until.tv_nsec >= VENV_NS_PER_S) {
        until.tv_nsec -= VENV_NS_PER_S;
        until.tv_sec++;
    }
    pthread_mutex_lock(&inbox->lock);
    uint64_t told_before = inbox->told;
    venv_rc rc;
    int failure = 0;
    while ((rc = answer(inbox, told_before, ret_event)) == VENV_ETIMEDOUT && !failure)
        failure = pthread_cond_timedwait(&inbox->changed, &inbox->lock, &until);
    pthread_mutex_unlock(&inbox->lock);
    if (rc == VENV_ECANCELED)
        return venv_error_set(err, rc, "canceled");
    if (rc == VENV_EUNREACHABLE)
        return venv_error_set(err, rc, "the connection to the hypervisor was lost");
    if (rc == VENV_ETIMEDOUT)
        return venv_error_set(err, rc, "nothing happened");
    return rc;
}
