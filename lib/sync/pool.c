/* SPDX-License-Identifier: Apache-2.0 */
/* A parallel loop. Not a queue: there is one piece of work at a time. */
#include "sync/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct venv_pool {
    pthread_mutex_t mutex;
    pthread_cond_t begun, ended;
    void (*work)(void *user, unsigned worker, size_t item);
    void *user;
    size_t next, count, done;
    unsigned size;    /* workers with the caller */
    unsigned started; /* threads that run */
    bool stop;
    pthread_t threads[VENV_POOL_THREADS_MAX];
};

struct seat {
    venv_pool *pool;
    unsigned number;
};

/* Take items until there are none. Called and left with the mutex held. */
static void run(venv_pool *pool, unsigned worker)
{
    while (pool->next < pool->count) {
        size_t item = pool->next++;
        pthread_mutex_unlock(&pool->mutex);
        pool->work(pool->user, worker, item);
        pthread_mutex_lock(&pool->mutex);
        if (++pool->done == pool->count)
            pthread_cond_broadcast(&pool->ended);
    }
}

static void *thread_main(void *argument)
{
    struct seat seat = *(struct seat *)argument;
    venv_pool *pool = seat.pool;
    free(argument);
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stop) {
        run(pool, seat.number);
        if (!pool->stop)
            pthread_cond_wait(&pool->begun, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

venv_rc venv_pool_new(unsigned threads, venv_pool **ret_pool, venv_error *err)
{
    venv_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (threads == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        threads = online > 0 ? (unsigned)online : 1;
    }
    if (threads > VENV_POOL_THREADS_MAX)
        threads = VENV_POOL_THREADS_MAX;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->begun, NULL);
    pthread_cond_init(&pool->ended, NULL);
    pool->size = 1;
    for (unsigned i = 1; i < threads; i++) {
        struct seat *seat = malloc(sizeof *seat);
        if (!seat)
            break;
        *seat = (struct seat){ pool, i };
        if (pthread_create(&pool->threads[pool->started], NULL, thread_main, seat) != 0) {
            free(seat); /* fewer will do */
            break;
        }
        pool->started++;
        pool->size++;
    }
    *ret_pool = pool;
    return VENV_OK;
}

void venv_pool_free(venv_pool *pool)
{
    if (!pool)
        return;
    venv_pool_finish(pool);
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->begun);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

unsigned venv_pool_size(const venv_pool *pool)
{
    return pool->size;
}

void venv_pool_start(venv_pool *pool, void (*work)(void *user, unsigned worker, size_t item), void *user, size_t count)
{
    pthread_mutex_lock(&pool->mutex);
    pool->work = work;
    pool->user = user;
    pool->next = pool->done = 0;
    pool->count = count;
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->mutex);
}

void venv_pool_finish(venv_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    run(pool, 0);
    while (pool->done < pool->count)
        pthread_cond_wait(&pool->ended, &pool->mutex);
    pool->count = pool->next = pool->done = 0;
    pthread_mutex_unlock(&pool->mutex);
}
