/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context below belongs to the thread, but for three things that the loop looks at: the deadline of the call under way, its
 * token, and, under a lock, the connection (to wake the thread out of its wait).
 */
#include "runtime/machine_worker.h"

#include "base/cleanup.h"
#include "runtime/clock.h"
#include "runtime/machine_ground.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WATCH_MS        1000
#define STOP_MS         3000
#define EVENTS_AT_ONCE  64 /* that one list answers */

typedef enum job_kind {
    JOB_CALL = 0,
    JOB_LIST,
    JOB_TOLD, /* posted by the thread: a list nobody asked for */
    JOB_PROGRESS, /* posted while a migration is under way */
} job_kind;

typedef struct machine_job {
    venv_job job;
    job_kind kind;
    uint64_t token;
    venv_machine_call call;
    venv_id id;
    char *text;      /* XML or URI */
    venv_machine_files *files;
    uint64_t epoch;
    venv_span grace;
    venv_migrate_options move;
    venv_machine_progress progress;
    venv_worker *worker; /* where its progress is posted */
    int64_t timeout_ns, end_ns;
    /* the answer */
    venv_rc rc;
    venv_error err;
    venv_hypervisor_info info;
    venv_machine_list list;
    char found[VENV_ERROR_TEXT_MAX]; /* what was left over, for the log; or empty */
} machine_job;

/* How many threads hang: outlives every one of them. */
typedef struct hung_count {
    atomic_int references, hung;
} hung_count;

typedef struct machine_context {
    venv_machine_ground ground;
    venv_worker *worker; /* set before the first wake-up */
    hung_count *hung;
    /* thread only */
    venv_instant next_open;
    int64_t pause_s;
    bool told_unreachable;
    venv_error why;      /* why there is no connection */
    /* looked at by the loop */
    _Atomic int64_t deadline; /* of the call under way; 0: none */
    _Atomic uint64_t current; /* token of the job under way; 0: none */
    atomic_bool left;         /* abandoned */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken;
    venv_hypervisor *hypervisor;
} machine_context;

/* A job that was not answered. */
typedef struct asked {
    uint64_t token; /* 0: a list */
} asked;

struct venv_machine_worker {
    uv_loop_t *loop;
    const venv_log *log;
    venv_machine_calls calls;
    venv_machine_place place;
    char found[VENV_ERROR_TEXT_MAX]; /* said last */
    venv_worker *worker; /* NULL: too many threads hang */
    machine_context *context;
    hung_count *hung;
    uv_timer_t watch;
    asked waiting[VENV_MACHINE_QUEUE_MAX]; /* oldest first */
    size_t waiting_count;
    bool ending;
};

static void drop_job(venv_job *job)
{
    machine_job *dropped = (machine_job *)job;
    free(dropped->text);
    venv_machine_files_free(dropped->files);
    venv_machine_list_fini(&dropped->list);
    free(dropped);
}

static void release_count(hung_count *count)
{
    if (atomic_fetch_sub(&count->references, 1) == 1)
        free(count);
}

/* --- on the thread --------------------------------------------------------------------------- */

static void begin_call(machine_context *c, int64_t seconds)
{
    atomic_store(&c->deadline, venv_clock_read().mono.ns + seconds * VENV_NS_PER_S);
}

static void end_call(machine_context *c)
{
    atomic_store(&c->deadline, 0);
}

static void set_hypervisor(machine_context *c, venv_hypervisor *hypervisor)
{
    (void)pthread_mutex_lock(&c->lock);
    c->hypervisor = hypervisor;
    (void)pthread_mutex_unlock(&c->lock);
}

static void disconnect(machine_context *c)
{
    venv_hypervisor *hypervisor = c->hypervisor;
    if (!hypervisor)
        return;
    set_hypervisor(c, NULL);
    begin_call(c, VENV_MACHINE_CALL_S);
    venv_hypervisor_close(hypervisor);
    end_call(c);
}

/* Lose the connection and remember why. */
static void lose(machine_context *c, const venv_error *why)
{
    disconnect(c);
    c->why = *why;
    c->next_open = venv_instant_after(venv_clock_read().mono, (venv_span){ c->pause_s * VENV_NS_PER_S });
    c->pause_s = c->pause_s == 0 ? 1 : c->pause_s * 2;
    if (c->pause_s > VENV_MACHINE_RECONNECT_S)
        c->pause_s = VENV_MACHINE_RECONNECT_S;
}

/* Connect unless connected, or it is too early to try again. */
static bool connect_now(machine_context *c, bool hurry)
{
    if (c->hypervisor)
        return true;
    if (!hurry && venv_clock_read().mono.ns < c->next_open.ns)
        return false;
    venv_hypervisor_options options = VENV_HYPERVISOR_OPTIONS_INIT;
    venv_hypervisor *hypervisor = NULL;
    venv_error err = { 0 };
    options.cluster = c->ground.place.cluster;
    options.saves = c->ground.place.saves && c->ground.place.saves[0] ? c->ground.place.saves : NULL;
    options.saves_shared = c->ground.place.saves_shared;
    begin_call(c, VENV_MACHINE_CALL_S);
    venv_rc rc = venv_hypervisor_open(c->ground.place.hypervisor, &options, &hypervisor, &err);
    end_call(c);
    if (rc != VENV_OK) {
        lose(c, &err);
        return false;
    }
    set_hypervisor(c, hypervisor);
    return true;
}

/* The connection may be gone, or just this call has failed: the next call finds out. */
static void look_at(machine_context *c, venv_rc rc, const venv_error *err)
{
    if (rc == VENV_EUNREACHABLE || rc == VENV_EUNKNOWN)
        lose(c, err);
}

static void list_now(machine_context *c, machine_job *job)
{
    if (!connect_now(c, false)) {
        job->err = c->why;
        job->rc = c->why.rc != VENV_OK ? c->why.rc : VENV_EUNREACHABLE;
        c->told_unreachable = true;
        return;
    }
    begin_call(c, VENV_MACHINE_CALL_S);
    job->rc = venv_hypervisor_info_get(c->hypervisor, &job->info, &job->err);
    if (job->rc == VENV_OK)
        job->rc = venv_hypervisor_list(c->hypervisor, &job->list, &job->err);
    if (job->rc == VENV_OK)
        (void)venv_ground_sweep(&c->ground, c->hypervisor, venv_clock_read().mono, job->found, sizeof job->found);
    end_call(c);
    look_at(c, job->rc, &job->err);
    if (job->rc == VENV_OK)
        c->pause_s = 0;
    c->told_unreachable = job->rc != VENV_OK;
}

/* In a thread of the hypervisor's. */
static bool post_progress(void *user, const venv_machine_progress *progress)
{
    const machine_job *of = user;
    machine_job *job = calloc(1, sizeof *job);
    if (job) {
        job->kind = JOB_PROGRESS;
        job->token = of->token;
        job->progress = *progress;
        venv_worker_post(of->worker, &job->job);
    }
    return true;
}

/* A machine that is there under a later epoch came after this was asked for. */
static venv_rc destroy_now(machine_context *c, machine_job *job)
{
    venv_machine_info info;
    venv_rc rc = job->epoch ? venv_machine_get(c->hypervisor, job->id, &info, &job->err) : VENV_ENOENT;
    if (rc == VENV_OK && info.epoch > job->epoch)
        return venv_error_set(&job->err, VENV_ECONFLICT, "it is here under epoch %llu, later than the asked %llu", (unsigned long long)info.epoch,
                              (unsigned long long)job->epoch);
    return rc == VENV_OK || rc == VENV_ENOENT ? venv_ground_destroy(&c->ground, c->hypervisor, job->id, &job->err) : rc;
}

static venv_rc migrate_now(machine_context *c, machine_job *job)
{
    job->worker = c->worker;
    job->move.progress = post_progress;
    job->move.user = job;
    return venv_machine_migrate(c->hypervisor, job->id, job->text ? job->text : "", job->epoch, &job->move, &job->err);
}

static void call_now(machine_context *c, machine_job *job)
{
    if (job->timeout_ns > 0 && venv_clock_read().mono.ns >= job->end_ns) {
        job->rc = venv_error_set(&job->err, VENV_ETIMEDOUT, "its time was over before it could begin");
        return;
    }
    if (!connect_now(c, true)) {
        job->err = c->why;
        job->rc = VENV_EUNREACHABLE;
        return;
    }
    int64_t seconds = job->call == VENV_MACHINE_CALL_START ? VENV_MACHINE_START_S : VENV_MACHINE_CALL_S;
    int64_t given = job->timeout_ns / VENV_NS_PER_S + 1;
    begin_call(c, given > seconds ? given : seconds);
    switch (job->call) {
    case VENV_MACHINE_CALL_START:
        job->rc = venv_ground_start(&c->ground, c->hypervisor, job->id, job->text ? job->text : "", job->files, &job->err);
        break;
    case VENV_MACHINE_CALL_SHUTDOWN:
        job->rc = venv_machine_shutdown(c->hypervisor, job->id, &job->err);
        break;
    case VENV_MACHINE_CALL_DESTROY:
        job->rc = destroy_now(c, job);
        break;
    case VENV_MACHINE_CALL_PROBE: job->rc = venv_machine_probe(c->hypervisor, job->id, &job->err); break;
    case VENV_MACHINE_CALL_PAUSE: job->rc = venv_machine_pause(c->hypervisor, job->id, &job->err); break;
    case VENV_MACHINE_CALL_RESUME: job->rc = venv_machine_resume(c->hypervisor, job->id, &job->err); break;
    case VENV_MACHINE_CALL_SAVE: job->rc = venv_machine_save(c->hypervisor, job->id, &job->err); break;
    case VENV_MACHINE_CALL_RESTORE: job->rc = venv_machine_restore(c->hypervisor, job->id, &job->err); break;
    case VENV_MACHINE_CALL_MIGRATE: job->rc = migrate_now(c, job); break;
    case VENV_MACHINE_CALL_REBOOT: job->rc = venv_machine_reboot(c->hypervisor, job->id, job->grace, &job->err); break;
    case VENV_MACHINE_CALL_CHECKPOINT: job->rc = venv_machine_checkpoint(c->hypervisor, job->id, &job->err); break;
    case VENV_MACHINE_CALL_REVERT: job->rc = venv_machine_revert(c->hypervisor, job->id, &job->err); break;
    case VENV_MACHINE_CALL_CANCEL: job->rc = venv_machine_cancel(c->hypervisor, job->id, &job->err); break;
    }
    end_call(c);
    look_at(c, job->rc, &job->err);
}

static void work(void *user, venv_job *batch)
{
    machine_context *c = user;
    machine_job *job = (machine_job *)batch;
    atomic_store(&c->current, job->token);
    if (job->kind == JOB_CALL)
        call_now(c, job);
    else
        list_now(c, job);
    atomic_store(&c->current, 0);
}

/* List and tell, unasked. */
static void tell_list(machine_context *c)
{
    machine_job *job = calloc(1, sizeof *job);
    if (!job)
        return; /* whoever asks next gets a list */
    job->kind = JOB_TOLD;
    list_now(c, job);
    venv_worker_post(c->worker, &job->job);
}

/* Wait for a moment, or to be woken: true. */
static bool rest_until(machine_context *c, venv_instant moment)
{
    if (moment.ns <= venv_clock_read().mono.ns)
        return false;
    struct timespec until = { .tv_sec = moment.ns / VENV_NS_PER_S, .tv_nsec = moment.ns % VENV_NS_PER_S };
    (void)pthread_mutex_lock(&c->lock);
    while (!c->woken && pthread_cond_timedwait(&c->wake, &c->lock, &until) == 0)
        ;
    bool woken = c->woken;
    c->woken = false;
    (void)pthread_mutex_unlock(&c->lock);
    return woken;
}

/* Wait for the time to try again, or to be woken. */
static void wait_unconnected(machine_context *c)
{
    if (rest_until(c, c->next_open))
        return;
    bool told = c->told_unreachable;
    if (connect_now(c, false) || !told)
        tell_list(c);
}

static void wait_connected(machine_context *c)
{
    venv_hypervisor_event event;
    venv_error err = { 0 };
    venv_span patience = { VENV_MACHINE_WAIT_S * VENV_NS_PER_S };
    venv_instant end = venv_instant_after(venv_clock_read().mono, patience);
    begin_call(c, VENV_MACHINE_CALL_S + VENV_MACHINE_WAIT_S);
    venv_rc rc = venv_hypervisor_wait(c->hypervisor, patience, &event, &err);
    for (int i = 0; rc == VENV_OK && i < EVENTS_AT_ONCE; i++) {
        if (venv_hypervisor_wait(c->hypervisor, (venv_span){ 0 }, &event, &err) != VENV_OK)
            break;
    }
    end_call(c);
    if (rc == VENV_OK) {
        tell_list(c);
    } else if (rc == VENV_ETIMEDOUT) {
        (void)rest_until(c, end); /* a driver with a time of its own (fake:) is back at once */
    } else if (rc != VENV_ECANCELED) {
        lose(c, &err);
        tell_list(c); /* that it is unreachable, or already back */
    }
}

static void idle(void *user)
{
    machine_context *c = user;
    if (atomic_load(&c->left))
        return;
    if (c->hypervisor)
        wait_connected(c);
    else
        wait_unconnected(c);
}

/* Called by the loop. */
static void wake(void *user)
{
    machine_context *c = user;
    (void)pthread_mutex_lock(&c->lock);
    c->woken = true;
    (void)pthread_cond_signal(&c->wake);
    if (c->hypervisor)
        venv_hypervisor_cancel(c->hypervisor);
    (void)pthread_mutex_unlock(&c->lock);
}

static void context_free(machine_context *c)
{
    (void)pthread_cond_destroy(&c->wake);
    (void)pthread_mutex_destroy(&c->lock);
    release_count(c->hung);
    venv_machine_place_fini(&c->ground.place);
    free(c);
}

static void finish(void *user)
{
    machine_context *c = user;
    disconnect(c);
    if (atomic_load(&c->left))
        (void)atomic_fetch_sub(&c->hung->hung, 1);
    context_free(c);
}

/* --- on the loop ----------------------------------------------------------------------------- */

static void tell(venv_machine_worker *worker, const machine_job *job)
{
    if (job->found[0] && strcmp(job->found, worker->found) != 0)
        venv_log_print(worker->log, VENV_LOG_WARNING, "%s", job->found);
    if (job->found[0])
        (void)snprintf(worker->found, sizeof worker->found, "%s", job->found);
    venv_value list = venv_value_null();
    venv_error err = job->err;
    venv_rc rc = job->rc;
    if (rc == VENV_OK)
        rc = venv_machine_list_value(&job->info, &job->list, &list, &err);
    worker->calls.listed(worker->calls.user, rc, rc == VENV_OK ? &list : NULL, rc == VENV_OK ? NULL : err.text);
    venv_value_unref(&list);
}

static void forget_first(venv_machine_worker *worker)
{
    worker->waiting_count--;
    memmove(worker->waiting, worker->waiting + 1, worker->waiting_count * sizeof worker->waiting[0]);
}

static void done(void *user, venv_job *job)
{
    venv_machine_worker *worker = user;
    machine_job *made = (machine_job *)job;
    if (!worker->ending) {
        if (made->kind != JOB_TOLD && made->kind != JOB_PROGRESS)
            forget_first(worker);
        if (made->kind == JOB_CALL)
            worker->calls.done(worker->calls.user, made->token, made->rc, made->rc == VENV_OK ? NULL : made->err.text);
        else if (made->kind != JOB_PROGRESS)
            tell(worker, made);
        else if (worker->calls.progress)
            worker->calls.progress(worker->calls.user, made->token, &made->progress);
    }
    drop_job(job);
}

static venv_rc start_thread(venv_machine_worker *worker, venv_error *err)
{
    machine_context *c = calloc(1, sizeof *c);
    if (!c || venv_machine_place_copy(&worker->place, &c->ground.place, err) != VENV_OK) {
        free(c);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the hypervisor's thread");
    }
    c->hung = worker->hung;
    (void)atomic_fetch_add(&c->hung->references, 1);
    (void)pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    venv_worker_options options = { .queue_max = VENV_MACHINE_QUEUE_MAX, .batch_max = 1, .context = c, .work = work,
                                    .idle = idle, .wake = wake, .finish = finish, .done = done, .drop = drop_job,
                                    .self = &c->worker, .user = worker };
    venv_rc rc = venv_worker_start(worker->loop, &options, &worker->worker, err);
    if (rc != VENV_OK) {
        context_free(c);
        return rc;
    }
    worker->context = c;
    return VENV_OK;
}

/* Answer everything that was asked and not answered. */
static void answer_all(venv_machine_worker *worker, uint64_t current, const char *why)
{
    asked left[VENV_MACHINE_QUEUE_MAX];
    size_t count = worker->waiting_count;
    bool told = false;
    memcpy(left, worker->waiting, count * sizeof left[0]);
    worker->waiting_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (left[i].token != 0)
            worker->calls.done(worker->calls.user, left[i].token,
                               left[i].token == current ? VENV_EUNKNOWN : VENV_EUNREACHABLE, why);
    }
    for (size_t i = 0; i < count || !told; i++) { /* at least once: it is news */
        if (i >= count || left[i].token == 0) {
            worker->calls.listed(worker->calls.user, VENV_EUNREACHABLE, NULL, why);
            told = true;
        }
    }
}

/* The call under way has not come back: leave its thread to itself. */
static void leave_thread(venv_machine_worker *worker)
{
    static const char why[] = "the hypervisor does not answer: a call to it has not come back and was given up";
    uint64_t current = atomic_load(&worker->context->current);
    atomic_store(&worker->context->left, true);
    (void)atomic_fetch_add(&worker->hung->hung, 1);
    venv_worker_abandon(worker->worker);
    worker->worker = NULL;
    worker->context = NULL;
    venv_log_print(worker->log, VENV_LOG_ERROR, "%s; is libvirtd well?", why);
    answer_all(worker, current, why);
}

static void on_watch(uv_timer_t *timer)
{
    venv_machine_worker *worker = timer->data;
    venv_error err = { 0 };
    if (worker->worker) {
        int64_t deadline = atomic_load(&worker->context->deadline);
        if (deadline == 0 || venv_clock_read().mono.ns < deadline)
            return;
        leave_thread(worker);
    }
    if (atomic_load(&worker->hung->hung) < VENV_MACHINE_HUNG_MAX && start_thread(worker, &err) != VENV_OK)
        venv_log_print(worker->log, VENV_LOG_ERROR, "%s", err.text);
}

static void worker_free(venv_machine_worker *worker)
{
    release_count(worker->hung);
    venv_machine_place_fini(&worker->place);
    free(worker);
}

venv_rc venv_machine_worker_start(uv_loop_t *loop, const venv_machine_place *place, const venv_log *log, const venv_machine_calls *calls,
                                  venv_machine_worker **ret_worker, venv_error *err)
{
    venv_machine_worker *worker = calloc(1, sizeof *worker);
    hung_count *count = calloc(1, sizeof *count);
    if (!worker || !count) {
        free(worker);
        free(count);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the hypervisor");
    }
    atomic_init(&count->references, 1);
    worker->hung = count;
    worker->loop = loop;
    worker->log = log;
    worker->calls = *calls;
    venv_rc rc = venv_machine_place_copy(place, &worker->place, err);
    if (rc == VENV_OK)
        rc = start_thread(worker, err);
    if (rc != VENV_OK) {
        worker_free(worker);
        return rc;
    }
    (void)uv_timer_init(loop, &worker->watch);
    worker->watch.data = worker;
    (void)uv_timer_start(&worker->watch, on_watch, WATCH_MS, WATCH_MS);
    *ret_worker = worker;
    return VENV_OK;
}

/* Queue a job. False if that is not possible: the caller answers it. */
static bool submit(venv_machine_worker *worker, machine_job *job, venv_error *err)
{
    if (!job)
        return venv_error_set(err, VENV_ENOMEM, "out of memory") == VENV_OK;
    if (!worker->worker) {
        (void)venv_error_set(err, VENV_EUNREACHABLE, "the hypervisor does not answer: too many calls to it hang");
    } else if (worker->waiting_count < VENV_MACHINE_QUEUE_MAX &&
               venv_worker_submit(worker->worker, &job->job, err) == VENV_OK) {
        worker->waiting[worker->waiting_count++] = (asked){ .token = job->token };
        return true;
    }
    drop_job(&job->job);
    return false;
}

void venv_machine_worker_call(venv_machine_worker *worker, uint64_t token, const venv_machine_order *order)
{
    venv_error err = { 0 };
    machine_job *job = calloc(1, sizeof *job);
    if (job) {
        job->kind = JOB_CALL;
        job->token = token;
        const char *text = order->xml ? order->xml : order->uri;
        job->call = order->call;
        job->id = order->id;
        job->text = text ? strdup(text) : NULL;
        if (order->files && venv_machine_files_dup(order->files, &job->files, &err) != VENV_OK) {
            drop_job(&job->job);
            job = NULL;
        }
    }
    if (job) {
        job->epoch = order->epoch;
        job->grace = order->grace;
        job->move = order->move;
        job->timeout_ns = order->timeout.ns;
        job->end_ns = venv_clock_read().mono.ns + order->timeout.ns;
    }
    if (!submit(worker, job, &err))
        worker->calls.done(worker->calls.user, token, VENV_EUNREACHABLE, err.text);
}

void venv_machine_worker_list(venv_machine_worker *worker)
{
    venv_error err = { 0 };
    machine_job *job = calloc(1, sizeof *job);
    if (job)
        job->kind = JOB_LIST;
    if (!submit(worker, job, &err))
        worker->calls.listed(worker->calls.user, VENV_EUNREACHABLE, NULL, err.text);
}

static void on_watch_closed(uv_handle_t *handle)
{
    worker_free(handle->data);
}

void venv_machine_worker_end(venv_machine_worker *worker)
{
    if (!worker)
        return;
    worker->ending = true;
    venv_worker_stop_within(worker->worker, STOP_MS);
    uv_close((uv_handle_t *)&worker->watch, on_watch_closed);
}
