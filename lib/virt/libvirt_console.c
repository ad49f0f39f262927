/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console and the screen of a domain: streams of libvirt. A console does not block: the loop's thread says when there is
 * something to read, or room to write, once each time that somebody waits for it.
 */
#include "virt/libvirt_parts.h"

#include "base/cleanup.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct libvirt_console {
    venv_console base;
    virStreamPtr stream;
    bool told;             /* the callback is registered */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool readable, ended, woken, passed;
} libvirt_console;

static void console_free(libvirt_console *c)
{
    virStreamFree(c->stream);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* In the loop's thread. What was told is not told again until somebody has looked. */
static void on_event(virStreamPtr stream, int events, void *user)
{
    libvirt_console *c = user;
    (void)virStreamEventUpdateCallback(stream, 0);
    pthread_mutex_lock(&c->lock);
    c->readable = true;
    c->ended = c->ended || (events & (VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP)) != 0;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* In the loop's thread, where on_event() runs, too: so that one is not running, and will not any more. */
static void on_passed(int timer, void *user)
{
    libvirt_console *c = user;
    virEventUpdateTimeout(timer, -1);
    pthread_mutex_lock(&c->lock);
    c->passed = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/*
 * Be sure that the loop has let go of it. What a callback is registered with to be freed by is not called for a remote stream
 * (remoteStreamCallbackFree() of libvirt 9.0 asks for a callback that is not there), so nothing can be built on it.
 */
static bool wait_passed(libvirt_console *c)
{
    int timer = virEventAddTimeout(0, on_passed, c, NULL);
    if (timer < 0)
        return false;
    pthread_mutex_lock(&c->lock);
    while (!c->passed)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    (void)virEventRemoveTimeout(timer);
    return true;
}

static struct timespec moment_after(venv_span span)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += span.ns / VENV_NS_PER_S;
    until.tv_nsec += span.ns % VENV_NS_PER_S;
    if (until.tv_nsec >= VENV_NS_PER_S) {
        until.tv_nsec -= VENV_NS_PER_S;
        until.tv_sec++;
    }
    return until;
}

static venv_rc stream_failed(venv_error *err)
{
    const virError *error = virGetLastError();
    bool gone = error && (error->code == VIR_ERR_NO_CONNECT || error->code == VIR_ERR_INVALID_CONN || error->domain == VIR_FROM_RPC);
    return venv_error_set(err, gone ? VENV_EUNREACHABLE : VENV_EIO, "the console has ended: %.400s",
                          error && error->message ? error->message : "no reason was given");
}

/* Wait until there may be something to read. VENV_OK: look. */
static venv_rc wait_readable(libvirt_console *c, const struct timespec *until, venv_error *err)
{
    int failure = 0;
    pthread_mutex_lock(&c->lock);
    while (!c->readable && !c->woken && !failure)
        failure = pthread_cond_timedwait(&c->changed, &c->lock, until);
    venv_rc rc = c->woken ? VENV_ECANCELED : c->readable ? VENV_OK : VENV_ETIMEDOUT;
    c->woken = false;
    c->readable = false;
    pthread_mutex_unlock(&c->lock);
    return rc == VENV_OK ? rc : venv_error_set(err, rc, rc == VENV_ECANCELED ? "woken" : "the guest wrote nothing");
}

static venv_rc console_read(venv_console *console, void *buffer, size_t size, venv_span timeout, size_t *ret_size, venv_error *err)
{
    libvirt_console *c = (libvirt_console *)console;
    struct timespec until = moment_after(timeout);
    for (;;) {
        int n = virStreamRecv(c->stream, buffer, size);
        if (n >= 0) {
            *ret_size = (size_t)n;
            return VENV_OK;
        }
        if (n != -2)
            return stream_failed(err);
        (void)virStreamEventUpdateCallback(c->stream, VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP);
        venv_rc rc = wait_readable(c, &until, err);
        if (rc != VENV_OK)
            return rc;
    }
}

static venv_rc console_write(venv_console *console, const void *data, size_t size, size_t *ret_size, venv_error *err)
{
    libvirt_console *c = (libvirt_console *)console;
    int n = virStreamSend(c->stream, data, size);
    if (n == -1)
        return stream_failed(err);
    *ret_size = n > 0 ? (size_t)n : 0;
    return VENV_OK;
}

static void console_wake(venv_console *console)
{
    libvirt_console *c = (libvirt_console *)console;
    pthread_mutex_lock(&c->lock);
    c->woken = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void console_close(venv_console *console)
{
    libvirt_console *c = (libvirt_console *)console;
    bool passed = true;
    if (c->told) {
        (void)virStreamEventRemoveCallback(c->stream);
        passed = wait_passed(c);
    }
    (void)virStreamAbort(c->stream);
    if (passed) /* else there was no memory for a timer: lost, rather than used after it is free */
        console_free(c);
}

static const venv_virt_console_driver console_driver = {
    .read = console_read, .write = console_write, .wake = console_wake, .close = console_close,
};

static venv_rc console_new(virConnectPtr conn, libvirt_console **ret_console, venv_error *err)
{
    libvirt_console *c = calloc(1, sizeof *c);
    pthread_condattr_t attributes;
    if (!c || !(c->stream = virStreamNew(conn, VIR_STREAM_NONBLOCK)) || pthread_condattr_init(&attributes) != 0) {
        if (c && c->stream)
            virStreamFree(c->stream);
        free(c);
        return venv_error_set(err, VENV_ENOMEM, "no stream for a console");
    }
    c->base.driver = &console_driver;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret_console = c;
    return VENV_OK;
}

venv_rc venv_libvirt_console(venv_hypervisor *hypervisor, venv_virt_domain *domain, bool take, venv_console **ret_console, venv_error *err)
{
    venv_libvirt_hypervisor *self = venv_libvirt_self(hypervisor);
    libvirt_console *c = NULL;
    venv_rc rc = venv_libvirt_check_alive(self, err);
    if (rc == VENV_OK)
        rc = console_new(self->conn, &c, err);
    if (rc != VENV_OK)
        return rc;
    if (virDomainOpenConsole(domain->handle, NULL, c->stream, take ? VIR_DOMAIN_CONSOLE_FORCE : VIR_DOMAIN_CONSOLE_SAFE) < 0) {
        bool taken = virGetLastErrorCode() == VIR_ERR_OPERATION_FAILED;
        rc = venv_libvirt_failed(self, false, "the console cannot be opened", err);
        if (taken && rc == VENV_EIO)
            rc = venv_error_set(err, VENV_ECONFLICT, "somebody else has the console of instance %s", domain->info.instance);
        console_free(c);
        return rc;
    }
    c->told = virStreamEventAddCallback(c->stream, VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP, on_event, c, NULL) == 0;
    if (!c->told) {
        rc = venv_libvirt_failed(self, false, "the console would not tell when there is something to read", err);
        console_close(&c->base);
        return rc;
    }
    *ret_console = &c->base;
    return VENV_OK;
}

/* --- the screen --------------------------------------------------------------------------------------- */

typedef struct drain {
    venv_machine_sink_fn sink;
    void *user;
    bool stopped;
} drain;

static int take_part(virStreamPtr stream, const char *data, size_t size, void *user)
{
    (void)stream;
    drain *d = user;
    if (d->sink(d->user, data, size))
        return (int)size;
    d->stopped = true;
    return -1;
}

venv_rc venv_libvirt_screenshot(venv_hypervisor *hypervisor, venv_virt_domain *domain, char ret_media[VENV_MEDIA_MAX],
                                venv_machine_sink_fn sink, void *user, venv_error *err)
{
    venv_libvirt_hypervisor *self = venv_libvirt_self(hypervisor);
    drain d = { .sink = sink, .user = user };
    virStreamPtr stream = virStreamNew(self->conn, 0);
    if (!stream)
        return venv_libvirt_failed(self, false, "no stream for a screenshot", err);
    VENV_AUTO_FREE char *media = virDomainScreenshot(domain->handle, stream, 0, 0);
    venv_rc rc = media ? VENV_OK : venv_libvirt_failed(self, false, "there is no picture of the screen", err);
    if (rc == VENV_ECONFLICT) /* it runs: we have looked */
        rc = venv_error_set(err, VENV_EUNSUPPORTED, "instance %s has no screen", domain->info.instance);
    if (rc == VENV_OK) {
        snprintf(ret_media, VENV_MEDIA_MAX, "%s", media);
        if (virStreamRecvAll(stream, take_part, &d) < 0)
            rc = d.stopped ? venv_error_set(err, VENV_ECANCELED, "no more was wanted")
                           : venv_libvirt_failed(self, false, "the picture of the screen is not whole", err);
        else if (virStreamFinish(stream) < 0)
            rc = venv_libvirt_failed(self, false, "the picture of the screen is not whole", err);
    }
    virStreamFree(stream);
    return rc;
}
