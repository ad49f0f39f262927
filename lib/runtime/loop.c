/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/loop.h"

#include "runtime/clock.h"
#include "runtime/notify.h"

#include <signal.h>
#include <string.h>

static void on_deadline(uv_timer_t *timer)
{
    venv_loop *loop = timer->data;
    loop->calls.deadline(loop->calls.user);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    venv_notify("WATCHDOG=1");
}

static void stop_once(venv_loop *loop, const char *reason)
{
    if (loop->stop_called)
        return;
    loop->stop_called = true;
    loop->calls.stop(loop->calls.user, reason);
}

static void on_signal(uv_signal_t *handle, int number)
{
    venv_loop *loop = handle->data;
    if (number == SIGHUP)
        loop->calls.reload(loop->calls.user);
    else
        stop_once(loop, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_stop_fd(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    venv_loop *loop = poll->data;
    (void)uv_poll_stop(poll);
    stop_once(loop, "asked by the program");
}

static int open_signal(venv_loop *loop, uv_signal_t *handle, int number)
{
    int rc = uv_signal_init(&loop->uv, handle);
    handle->data = loop;
    return rc != 0 ? rc : uv_signal_start(handle, on_signal, number);
}

venv_rc venv_loop_init(venv_loop *loop, int stop_fd, const venv_loop_calls *calls, venv_error *err)
{
    memset(loop, 0, sizeof *loop);
    loop->calls = *calls;
    loop->stop_fd = stop_fd;
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0)
        return venv_error_set(err, VENV_EIO, "cannot make an event loop: %s", uv_strerror(rc));
    (void)signal(SIGPIPE, SIG_IGN);
    /* None of these fails once the loop exists, but for the signals and the poll, which need descriptors. */
    (void)uv_timer_init(&loop->uv, &loop->deadline);
    (void)uv_timer_init(&loop->uv, &loop->watchdog);
    loop->deadline.data = loop;
    rc = open_signal(loop, &loop->terminate, SIGTERM);
    if (rc == 0)
        rc = open_signal(loop, &loop->interrupt, SIGINT);
    if (rc == 0)
        rc = open_signal(loop, &loop->hangup, SIGHUP);
    if (rc == 0)
        rc = uv_poll_init(&loop->uv, &loop->stop_poll, stop_fd);
    loop->stop_poll.data = loop;
    if (rc == 0)
        rc = uv_poll_start(&loop->stop_poll, UV_READABLE, on_stop_fd);
    loop->handles_open = true;
    if (rc != 0) {
        venv_loop_fini(loop);
        return venv_error_set(err, VENV_EIO, "cannot watch signals: %s", uv_strerror(rc));
    }
    venv_span watchdog = venv_notify_watchdog();
    if (watchdog.ns > 0) {
        uint64_t ms = (uint64_t)(watchdog.ns / 1000000);
        (void)uv_timer_start(&loop->watchdog, on_watchdog, ms, ms);
    }
    return VENV_OK;
}

void venv_loop_set_deadline(venv_loop *loop, venv_instant deadline)
{
    if (!loop->handles_open)
        return;
    if (deadline.ns == INT64_MAX) {
        (void)uv_timer_stop(&loop->deadline);
        return;
    }
    venv_instant now = venv_clock_read().mono;
    /* At least 1 ms: a core that asks for a time in the past must not starve the rest of the loop. */
    uint64_t ms = 1;
    if (deadline.ns > now.ns)
        ms += (uint64_t)(deadline.ns - now.ns) / 1000000;
    uv_update_time(&loop->uv);
    (void)uv_timer_start(&loop->deadline, on_deadline, ms, 0);
}

void venv_loop_run(venv_loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void close_if_open(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

void venv_loop_close(venv_loop *loop)
{
    if (!loop->handles_open)
        return;
    loop->handles_open = false;
    close_if_open((uv_handle_t *)&loop->deadline);
    close_if_open((uv_handle_t *)&loop->watchdog);
    close_if_open((uv_handle_t *)&loop->terminate);
    close_if_open((uv_handle_t *)&loop->interrupt);
    close_if_open((uv_handle_t *)&loop->hangup);
    close_if_open((uv_handle_t *)&loop->stop_poll);
}

void venv_loop_fini(venv_loop *loop)
{
    venv_loop_close(loop);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* the close callbacks */
    (void)uv_loop_close(&loop->uv);
}
