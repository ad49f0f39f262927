/* SPDX-License-Identifier: Apache-2.0 */
/* Orders wait for their write, then for a thread. A job carries the order as bytes: values do not cross threads. */
#include "runtime/delivery.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "codec/cbor.h"
#include "deliver/deliver.h"
#include "runtime/run_pool.h"
#include "runtime/worker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_MS 1500

typedef struct delivery_job {
    venv_job job;
    venv_id action;
    bool is_mail;
    const atomic_bool *stop;
    uint8_t *bytes;
    size_t size;
    venv_delivery_outcome outcome;
} delivery_job;

/* An order whose write is not durable yet, or a plug-in that runs. */
typedef struct held_order {
    struct held_order *next;
    venv_id action;
    uint64_t after_write, token;
    venv_value order;
} held_order;

/* Outlives the threads that hang. */
typedef struct stop_flag {
    atomic_bool stop;
    atomic_int references;
} stop_flag;

/* How an order ended, on its way to whoever gave it: told by the loop, never from within a call. */
typedef struct answer {
    struct answer *next;
    venv_id action;
    venv_rc rc;
    char error[256];
    venv_value result;
} answer;

struct venv_delivery {
    const venv_log *log;
    uv_timer_t timer; /* runs while there are answers */
    answer *answers, **answers_end;
    venv_delivery_calls calls;
    venv_worker *threads[VENV_DELIVERY_THREADS];
    venv_run_pool *plugins;
    stop_flag *flag;
    held_order *held, **held_end; /* in the order of their writes */
    held_order *running;
    uint64_t durable, token;
    bool ending;
};

static void flag_release(void *flag)
{
    stop_flag *f = flag;
    if (atomic_fetch_sub(&f->references, 1) == 1)
        free(f);
}

static void drop_job(venv_job *job)
{
    free(((delivery_job *)job)->bytes);
    free(job);
}

static void held_free(held_order *held)
{
    if (held)
        venv_value_unref(&held->order);
    free(held);
}

static void on_timer(uv_timer_t *timer)
{
    venv_delivery *d = timer->data;
    answer *first = d->answers;
    d->answers = NULL;
    d->answers_end = &d->answers;
    for (answer *next; first; first = next) {
        next = first->next;
        if (!d->ending)
            d->calls.ended(d->calls.user, first->action, first->rc, first->error[0] ? first->error : NULL,
                           venv_value_kind(&first->result) == VENV_NULL ? NULL : &first->result);
        venv_value_unref(&first->result);
        free(first);
    }
}

/* Takes the result over. */
static void tell(venv_delivery *d, venv_id action, venv_rc rc, const char *error, venv_value result)
{
    answer *a = calloc(1, sizeof *a);
    if (!a) {
        venv_value_unref(&result);
        venv_log_print(d->log, VENV_LOG_ERROR, "out of memory: how a delivery ended is lost");
        return; /* the core's time-out says that it is unknown */
    }
    a->action = action;
    a->rc = rc;
    a->result = result;
    (void)snprintf(a->error, sizeof a->error, "%.250s", rc == VENV_OK || !error ? "" : error);
    *d->answers_end = a;
    d->answers_end = &a->next;
    (void)uv_timer_start(&d->timer, on_timer, 0, 0);
}

static void fail_now(venv_delivery *d, venv_id action, venv_rc rc, const char *error)
{
    tell(d, action, rc, error, venv_value_null());
}

/* --- mail and webhooks ------------------------------------------------------------------------ */

/* On a thread. */
static void work(void *context, venv_job *batch)
{
    stop_flag *flag = context;
    delivery_job *job = (delivery_job *)batch;
    venv_value order = venv_value_null();
    venv_error err = { 0 };
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    if (venv_cbor_decode(job->bytes, job->size, &options, &order, &err) == VENV_OK) {
        venv_deliver(&order, &flag->stop, &job->outcome);
    } else {
        job->outcome.rc = err.rc;
        (void)snprintf(job->outcome.error, sizeof job->outcome.error, "%.250s", err.text);
    }
    venv_value_unref(&order);
}

static void put_safe(venv_map_builder *map, const char *key, const char *text, size_t size)
{
    VENV_AUTO_FREE char *safe = malloc(size * 4 + 1);
    if (safe) {
        size_t length = venv_text_safe((venv_str){ text, size }, safe, size * 4 + 1);
        venv_map_put_text(map, key, safe, length);
    }
}

/* On the loop. */
static void done(void *user, venv_job *each)
{
    venv_delivery *d = user;
    delivery_job *job = (delivery_job *)each;
    const venv_delivery_outcome *o = &job->outcome;
    venv_map_builder map;
    venv_value result = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "attempts", venv_value_int(o->attempts));
    if (o->status != 0)
        venv_map_put(&map, "status", venv_value_int(o->status));
    if (o->answer_size > 0 && !job->is_mail)
        put_safe(&map, "answer", o->answer, o->answer_size);
    if (o->truncated)
        venv_map_put(&map, "truncated", venv_value_bool(true));
    if (venv_map_take(&map, &result, NULL) != VENV_OK)
        result = venv_value_null(); /* out of memory: the outcome counts, its details do not */
    tell(d, job->action, o->rc, o->error, result);
    drop_job(each);
}

static venv_worker *least_busy(const venv_delivery *d)
{
    venv_worker *best = d->threads[0];
    for (size_t i = 1; i < VENV_DELIVERY_THREADS; i++)
        if (venv_worker_pending(d->threads[i]) < venv_worker_pending(best))
            best = d->threads[i];
    return best;
}

static void submit(venv_delivery *d, const held_order *held)
{
    venv_error err = { 0 };
    venv_buf bytes;
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    delivery_job *job = calloc(1, sizeof *job);
    venv_buf_init(&bytes, 4u << 20);
    venv_rc rc = job ? venv_cbor_append(&bytes, &held->order, &options, &err) : VENV_ENOMEM;
    if (rc == VENV_OK) {
        job->action = held->action;
        job->is_mail = venv_value_is_text(venv_value_get(&held->order, "kind"), "mail");
        job->bytes = venv_buf_take(&bytes, &job->size);
        rc = venv_worker_submit(least_busy(d), &job->job, &err);
    }
    venv_buf_fini(&bytes);
    if (rc == VENV_OK)
        return;
    if (job)
        drop_job(&job->job);
    fail_now(d, held->action, rc, rc == VENV_ENOMEM ? "out of memory" : err.text);
}

/* --- plug-ins ------------------------------------------------------------------------------------ */

static void put_bytes(venv_map_builder *map, const char *key, venv_str text)
{
    venv_value value = venv_value_null();
    if (text.size > 0 && venv_value_bytes(text.data, text.size, &value, NULL) == VENV_OK)
        venv_map_put(map, key, value);
}

static void on_ran(void *user, uint64_t token, const venv_run_outcome *run)
{
    venv_delivery *d = user;
    held_order **link = &d->running, *held;
    while (*link && (*link)->token != token)
        link = &(*link)->next;
    held = *link;
    if (!held)
        return;
    *link = held->next;
    venv_rc rc = run->rc;
    char error[256] = "";
    if (rc != VENV_OK)
        (void)snprintf(error, sizeof error, "%.250s", run->error ? run->error : venv_rc_name(rc));
    else if (run->timed_out && (rc = VENV_ETIMEDOUT))
        (void)snprintf(error, sizeof error, "the plug-in did not end in its time and was ended");
    else if (run->signal != 0 && (rc = VENV_EIO))
        (void)snprintf(error, sizeof error, "the plug-in was ended by signal %d", run->signal);
    else if (run->exit_status != 0 && (rc = VENV_EIO))
        (void)snprintf(error, sizeof error, "the plug-in ended with exit status %d", run->exit_status);
    venv_map_builder map;
    venv_value result = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "took", venv_value_from_span(run->took));
    if (run->rc == VENV_OK)
        venv_map_put(&map, run->signal ? "signal" : "exit", venv_value_int(run->signal ? run->signal : run->exit_status));
    put_bytes(&map, "stdout", run->out);
    put_bytes(&map, "stderr", run->err);
    if (run->truncated)
        venv_map_put(&map, "truncated", venv_value_bool(true));
    if (venv_map_take(&map, &result, NULL) != VENV_OK)
        result = venv_value_null();
    tell(d, held->action, rc, error, result);
    held_free(held);
}

/* The order stays in `running` until on_ran(), which may be called from within. */
static void run_plugin(venv_delivery *d, held_order *held)
{
    venv_error err = { 0 };
    venv_span timeout = { 60 * VENV_NS_PER_S };
    venv_value none = venv_value_null();
    char name[VENV_NAME_MAX + 1];
    size_t size = 0;
    VENV_AUTO_FREE char *input = NULL;
    venv_str text = venv_value_get_text(&held->order, "name");
    (void)snprintf(name, sizeof name, "%.*s", (int)(text.size < sizeof name ? text.size : 0), text.data ? text.data : "");
    const venv_value *asked = venv_value_get(&held->order, "timeout"), *given = venv_value_get(&held->order, "input"),
                     *directories = venv_value_get(&held->order, "directories");
    if (asked)
        (void)venv_value_to_span(asked, &timeout);
    venv_rc rc = venv_json_print(given ? given : &none, VENV_JSON_COMPACT, &input, &size, &err);
    if (rc == VENV_OK) /* of the configuration of now; what is in them is looked at anew each time */
        rc = venv_run_pool_set_directories(d->plugins, directories ? directories : &none, &err);
    if (rc != VENV_OK) {
        fail_now(d, held->action, rc, err.text);
        held_free(held);
        return;
    }
    held->token = ++d->token;
    held->next = d->running;
    d->running = held;
    venv_run_pool_start(d->plugins, held->token, name, &none, (venv_str){ input, size }, timeout, VENV_PLUGIN_OUT_MAX,
                        VENV_PLUGIN_ERR_MAX);
}

/* --- taking on ------------------------------------------------------------------------------------ */

static void begin(venv_delivery *d, held_order *held)
{
    if (venv_value_is_text(venv_value_get(&held->order, "kind"), "plugin")) {
        run_plugin(d, held);
        return;
    }
    submit(d, held);
    held_free(held);
}

void venv_delivery_durable(venv_delivery *d, uint64_t write)
{
    d->durable = write > d->durable ? write : d->durable;
    while (d->held && d->held->after_write <= d->durable && !d->ending) {
        held_order *first = d->held;
        d->held = first->next;
        if (!d->held)
            d->held_end = &d->held;
        first->next = NULL;
        begin(d, first);
    }
}

void venv_delivery_take(venv_delivery *d, venv_id action, const venv_value *order, uint64_t after_write)
{
    held_order *held = calloc(1, sizeof *held);
    if (!held) {
        fail_now(d, action, VENV_ENOMEM, "out of memory");
        return;
    }
    held->action = action;
    held->after_write = after_write;
    held->order = venv_value_ref(order);
    *d->held_end = held;
    d->held_end = &held->next;
    venv_delivery_durable(d, d->durable);
}

/* --- birth and death ------------------------------------------------------------------------------ */

static venv_rc start_plugins(venv_delivery *d, uv_loop_t *loop, const venv_value *directories, venv_error *err)
{
    venv_runner_options options = { .out_max = VENV_PLUGIN_OUT_MAX, .err_max = VENV_PLUGIN_ERR_MAX, .log = d->log };
    venv_run_pool_calls calls = { .ran = on_ran, .user = d };
    venv_rc rc = venv_run_pool_new(loop, &options, &calls, &d->plugins, err);
    return rc == VENV_OK ? venv_run_pool_set_directories(d->plugins, directories, err) : rc;
}

venv_rc venv_delivery_start(uv_loop_t *loop, const venv_value *directories, const venv_log *log, const venv_delivery_calls *calls,
                            venv_delivery **ret_delivery, venv_error *err)
{
    venv_delivery *d = calloc(1, sizeof *d);
    stop_flag *flag = calloc(1, sizeof *flag);
    if (!d || !flag) {
        free(d);
        free(flag);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for deliveries");
    }
    atomic_init(&flag->references, 1);
    d->log = log;
    d->calls = *calls;
    d->flag = flag;
    d->held_end = &d->held;
    d->answers_end = &d->answers;
    (void)uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    venv_rc rc = start_plugins(d, loop, directories, err);
    for (size_t i = 0; rc == VENV_OK && i < VENV_DELIVERY_THREADS; i++) {
        venv_worker_options options = { .queue_max = VENV_DELIVERY_QUEUE_MAX, .batch_max = 1, .context = flag, .work = work,
                                        .finish = flag_release, .done = done, .drop = drop_job, .user = d };
        (void)atomic_fetch_add(&flag->references, 1);
        rc = venv_worker_start(loop, &options, &d->threads[i], err);
        if (rc != VENV_OK)
            flag_release(flag);
    }
    if (rc != VENV_OK) {
        venv_delivery_end(d);
        return rc;
    }
    *ret_delivery = d;
    return VENV_OK;
}

static void on_closed(uv_handle_t *handle)
{
    venv_delivery *d = handle->data;
    flag_release(d->flag);
    free(d);
}

void venv_delivery_end(venv_delivery *d)
{
    if (!d)
        return;
    d->ending = true;
    atomic_store(&d->flag->stop, true);
    for (size_t i = 0; i < VENV_DELIVERY_THREADS; i++)
        venv_worker_stop_within(d->threads[i], STOP_MS);
    venv_run_pool_end(d->plugins);
    for (held_order *held = d->held, *next; held; held = next) {
        next = held->next;
        held_free(held);
    }
    for (held_order *held = d->running, *next; held; held = next) {
        next = held->next;
        held_free(held);
    }
    on_timer(&d->timer);
    uv_close((uv_handle_t *)&d->timer, on_closed);
}
