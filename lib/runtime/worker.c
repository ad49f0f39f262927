/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two owners share a worker: the loop and the thread. Whoever lets go last frees it. The async handle is
 * the loop's alone: the thread sends to it only under the lock and while it has not been let go.
 */
#include "runtime/worker.h"

#include "runtime/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

typedef struct job_list {
    venv_job *head, **tail;
} job_list;

struct venv_worker {
    venv_worker_options options;
    uv_async_t *async; /* freed by its close callback */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, over; /* there is work; the thread has let go (monotonic clock) */
    /* under the lock */
    job_list queue, results;
    bool stopping;  /* no more submissions: end when the queue is empty */
    bool abandoned; /* the loop has let go */
    bool ended;     /* the thread has let go */
    /* loop only */
    size_t pending;
};

static void list_init(job_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void list_add(job_list *list, venv_job *job)
{
    job->next = NULL;
    *list->tail = job;
    list->tail = &job->next;
}

/* Take at most `max` from the front. */
static venv_job *list_take(job_list *list, size_t max)
{
    venv_job *first = list->head, **end = &list->head;
    for (size_t i = 0; i < max && *end; i++)
        end = &(*end)->next;
    list->head = *end;
    *end = NULL;
    if (!list->head)
        list->tail = &list->head;
    return first;
}

static void drop_all(venv_worker *worker, job_list *list)
{
    for (venv_job *job = list_take(list, SIZE_MAX), *next; job; job = next) {
        next = job->next;
        worker->options.drop(job);
    }
}

static void worker_free(venv_worker *worker)
{
    drop_all(worker, &worker->queue);
    drop_all(worker, &worker->results);
    (void)pthread_cond_destroy(&worker->over);
    (void)pthread_cond_destroy(&worker->wake);
    (void)pthread_mutex_destroy(&worker->lock);
    free(worker);
}

/* Under the lock: hand results to the loop, or drop them if it has let go. */
static void publish(venv_worker *worker, venv_job *batch)
{
    for (venv_job *job = batch, *next; job; job = next) {
        next = job->next;
        if (worker->abandoned)
            worker->options.drop(job);
        else
            list_add(&worker->results, job);
    }
    if (!worker->abandoned)
        (void)uv_async_send(worker->async);
}

/* Under the lock, which is released while it waits. */
static void wait_for_work(venv_worker *worker)
{
    if (!worker->options.idle) {
        (void)pthread_cond_wait(&worker->wake, &worker->lock);
        return;
    }
    (void)pthread_mutex_unlock(&worker->lock);
    worker->options.idle(worker->options.context);
    (void)pthread_mutex_lock(&worker->lock);
}

/* Make the thread look at its queue and its flags. */
static void wake_thread(venv_worker *worker)
{
    (void)pthread_cond_signal(&worker->wake);
    if (worker->options.wake)
        worker->options.wake(worker->options.context);
}

static void *thread_main(void *argument)
{
    venv_worker *worker = argument;
    (void)pthread_mutex_lock(&worker->lock);
    while (!worker->abandoned) {
        venv_job *batch = list_take(&worker->queue, worker->options.batch_max);
        if (!batch) {
            if (worker->stopping)
                break;
            wait_for_work(worker);
            continue;
        }
        (void)pthread_mutex_unlock(&worker->lock);
        worker->options.work(worker->options.context, batch);
        (void)pthread_mutex_lock(&worker->lock);
        publish(worker, batch);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (worker->options.finish)
        worker->options.finish(worker->options.context);
    (void)pthread_mutex_lock(&worker->lock);
    worker->ended = true;
    (void)pthread_cond_signal(&worker->over);
    bool last = worker->abandoned;
    (void)pthread_mutex_unlock(&worker->lock);
    if (last)
        worker_free(worker);
    return NULL;
}

static void deliver(venv_worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    venv_job *job = list_take(&worker->results, SIZE_MAX);
    (void)pthread_mutex_unlock(&worker->lock);
    /* Once taken, the jobs are the loop's: `done` may stop or abandon the worker. */
    void (*done)(void *, venv_job *) = worker->options.done;
    void *user = worker->options.user;
    for (const venv_job *each = job; each; each = each->next) {
        if (!each->posted)
            worker->pending--;
    }
    for (venv_job *next; job; job = next) {
        next = job->next;
        done(user, job);
    }
}

static void on_async(uv_async_t *async)
{
    if (async->data)
        deliver(async->data);
}

static void free_async(uv_handle_t *handle)
{
    free(handle);
}

/* Signals belong to the loop's thread: the others block all of them. */
static int start_thread(venv_worker *worker)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&worker->thread, NULL, thread_main, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

venv_rc venv_worker_start(uv_loop_t *loop, const venv_worker_options *options, venv_worker **ret_worker, venv_error *err)
{
    venv_worker *worker = calloc(1, sizeof *worker);
    uv_async_t *async = calloc(1, sizeof *async);
    if (!worker || !async || uv_async_init(loop, async, on_async) != 0) {
        free(worker);
        free(async);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for a worker thread");
    }
    worker->options = *options;
    worker->async = async;
    list_init(&worker->queue);
    list_init(&worker->results);
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_cond_init(&worker->wake, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&worker->over, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    async->data = worker;
    if (options->self)
        *options->self = worker;
    if (start_thread(worker) != 0) {
        async->data = NULL;
        uv_close((uv_handle_t *)async, free_async);
        worker_free(worker);
        return venv_error_set(err, VENV_EIO, "cannot start a worker thread: raise the limit of tasks of this service");
    }
    *ret_worker = worker;
    return VENV_OK;
}

venv_rc venv_worker_submit(venv_worker *worker, venv_job *job, venv_error *err)
{
    if (worker->pending >= worker->options.queue_max)
        return venv_error_set(err, VENV_ELIMIT, "%zu jobs wait for a worker thread already", worker->pending);
    job->posted = false;
    worker->pending++;
    (void)pthread_mutex_lock(&worker->lock);
    list_add(&worker->queue, job);
    wake_thread(worker);
    (void)pthread_mutex_unlock(&worker->lock);
    return VENV_OK;
}

size_t venv_worker_pending(const venv_worker *worker)
{
    return worker->pending;
}

void venv_worker_post(venv_worker *worker, venv_job *job)
{
    job->posted = true;
    job->next = NULL;
    (void)pthread_mutex_lock(&worker->lock);
    publish(worker, job);
    (void)pthread_mutex_unlock(&worker->lock);
}

static void ask_to_stop(venv_worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    wake_thread(worker);
    (void)pthread_mutex_unlock(&worker->lock);
}

static void release_stopped(venv_worker *worker)
{
    deliver(worker);
    worker->async->data = NULL;
    uv_close((uv_handle_t *)worker->async, free_async);
    worker_free(worker);
}

void venv_worker_stop(venv_worker *worker)
{
    if (!worker)
        return;
    ask_to_stop(worker);
    (void)pthread_join(worker->thread, NULL);
    release_stopped(worker);
}

void venv_worker_stop_within(venv_worker *worker, uint32_t ms)
{
    struct timespec until;
    if (!worker)
        return;
    ask_to_stop(worker);
    int64_t ns = venv_clock_read().mono.ns + (int64_t)ms * 1000000;
    until.tv_sec = ns / VENV_NS_PER_S;
    until.tv_nsec = ns % VENV_NS_PER_S;
    (void)pthread_mutex_lock(&worker->lock);
    while (!worker->ended && pthread_cond_timedwait(&worker->over, &worker->lock, &until) == 0)
        ;
    bool ended = worker->ended;
    (void)pthread_mutex_unlock(&worker->lock);
    if (!ended) {
        venv_worker_abandon(worker);
        return;
    }
    (void)pthread_join(worker->thread, NULL);
    release_stopped(worker);
}

void venv_worker_abandon(venv_worker *worker)
{
    if (!worker)
        return;
    worker->async->data = NULL;
    uv_close((uv_handle_t *)worker->async, free_async);
    (void)pthread_detach(worker->thread);
    (void)pthread_mutex_lock(&worker->lock);
    worker->abandoned = true;
    drop_all(worker, &worker->queue);
    drop_all(worker, &worker->results);
    bool ended = worker->ended;
    if (!ended)
        wake_thread(worker);
    (void)pthread_mutex_unlock(&worker->lock); /* from here on the thread may free it, if it has not ended before */
    if (ended)
        worker_free(worker);
}
