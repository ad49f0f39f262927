/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/store_worker.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/worker.h"
#include "store/file.h"

#include <venv/codec.h>

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define PROBE_MS 1000
#define AGAIN_NS (VENV_NS_PER_S / 5)

typedef enum job_kind {
    JOB_WRITE = 0,
    JOB_READ,
    JOB_TRIM,
    JOB_PROBE, /* is there room? */
    JOB_DISK,  /* posted by the thread: whether there is */
} job_kind;

/* An operation whose bytes are in the transaction's buffer, by offset: the buffer moves while it grows. */
typedef struct stored_op {
    venv_store_op_kind kind;
    int collection;
    uint64_t revision;
    size_t key, key_size, row, row_size;
} stored_op;

/* A job of any kind; a transaction is one. */
struct venv_transaction {
    venv_job job;
    job_kind kind;
    uint64_t write;                /* WRITE */
    stored_op *ops;
    size_t op_count, op_capacity;
    uint64_t token, since;         /* READ; TRIM: since = upto */
    uint32_t limit;
    venv_buf bytes;                /* WRITE: keys and rows. READ: 4 bytes of size, then the row, and again */
    bool full;                     /* DISK */
    venv_rc rc;                    /* what stuck before, or how it ended */
    venv_error err;
};

/* The thread's. */
typedef struct store_context {
    venv_store *store;
    venv_worker *worker; /* its own */
    bool failed;
    bool full;
    char *reserve;       /* path; NULL: there is none */
    atomic_bool ending;  /* the loop's: do not wait for room any more */
} store_context;

struct venv_store_worker {
    venv_worker *worker;
    store_context *context; /* the thread's; its `ending` is ours */
    venv_store_calls calls;
    uv_timer_t *probe;
    bool failed; /* told */
};

static venv_transaction *job_new(job_kind kind)
{
    venv_transaction *job = calloc(1, sizeof *job);
    if (job) {
        job->kind = kind;
        venv_buf_init(&job->bytes, kind == JOB_READ ? VENV_STORE_READ_MAX : VENV_TRANSACTION_MAX);
    }
    return job;
}

void venv_transaction_free(venv_transaction *transaction)
{
    if (!transaction)
        return;
    venv_buf_fini(&transaction->bytes);
    free(transaction->ops);
    free(transaction);
}

static void drop_job(venv_job *job)
{
    venv_transaction_free((venv_transaction *)job);
}

/* --- building, on the loop ------------------------------------------------------------------- */

venv_transaction *venv_transaction_new(uint64_t write)
{
    venv_transaction *transaction = job_new(JOB_WRITE);
    if (transaction)
        transaction->write = write;
    return transaction;
}

static void stick(venv_transaction *t, venv_rc rc, const char *text)
{
    if (t->rc == VENV_OK)
        t->rc = venv_error_set(&t->err, rc, "%s", text);
}

static stored_op *add_op(venv_transaction *t, venv_store_op_kind kind)
{
    if (t->rc != VENV_OK)
        return NULL;
    if (t->op_count == t->op_capacity) {
        size_t capacity = t->op_capacity ? t->op_capacity * 2 : 8;
        stored_op *ops = capacity <= VENV_STORE_OP_COUNT_MAX ? reallocarray(t->ops, capacity, sizeof *ops) : NULL;
        if (!ops) {
            stick(t, VENV_ENOMEM, "out of memory for a transaction");
            return NULL;
        }
        t->ops = ops;
        t->op_capacity = capacity;
    }
    stored_op *op = &t->ops[t->op_count++];
    *op = (stored_op){ .kind = kind };
    return op;
}

/* Append a value as CBOR; false (and it sticks) on failure. */
static bool add_bytes(venv_transaction *t, const venv_value *value, size_t *ret_at, size_t *ret_size)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    VENV_AUTO_FREE uint8_t *data = NULL;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    if (t->rc != VENV_OK)
        return false;
    t->rc = venv_cbor_encode(value, &options, &data, ret_size, &t->err);
    if (t->rc != VENV_OK)
        return false;
    *ret_at = t->bytes.size;
    venv_buf_append(&t->bytes, data, *ret_size);
    if (t->bytes.rc != VENV_OK)
        stick(t, t->bytes.rc, "a step's rows are too large to be stored at once");
    return t->rc == VENV_OK;
}

void venv_transaction_put(venv_transaction *transaction, int collection, const venv_value *key, const venv_value *row)
{
    stored_op *op = add_op(transaction, VENV_STORE_PUT);
    if (!op)
        return;
    op->collection = collection;
    if (add_bytes(transaction, key, &op->key, &op->key_size))
        (void)add_bytes(transaction, row, &op->row, &op->row_size);
}

void venv_transaction_delete(venv_transaction *transaction, int collection, const venv_value *key)
{
    stored_op *op = add_op(transaction, VENV_STORE_DELETE);
    if (!op)
        return;
    op->collection = collection;
    (void)add_bytes(transaction, key, &op->key, &op->key_size);
}

void venv_transaction_append(venv_transaction *transaction, uint64_t revision, const venv_value *body)
{
    stored_op *op = add_op(transaction, VENV_STORE_APPEND);
    if (!op)
        return;
    op->revision = revision;
    (void)add_bytes(transaction, body, &op->row, &op->row_size);
}

/* --- on the thread --------------------------------------------------------------------------- */

static void fill_ops(const venv_transaction *t, venv_store_op *ret_ops)
{
    const char *data = (const char *)t->bytes.data;
    for (size_t i = 0; i < t->op_count; i++) {
        const stored_op *op = &t->ops[i];
        ret_ops[i] = (venv_store_op){ .kind = op->kind, .collection = op->collection, .revision = op->revision };
        if (op->key_size > 0)
            ret_ops[i].key = (venv_str){ data + op->key, op->key_size };
        if (op->row_size > 0)
            ret_ops[i].row = (venv_str){ data + op->row, op->row_size };
    }
}

static void tell_disk(store_context *context, bool full, const char *text)
{
    context->full = full;
    venv_transaction *job = job_new(JOB_DISK);
    if (!job)
        return; /* the next commit says it */
    job->full = full;
    (void)venv_error_set(&job->err, VENV_ENOSPACE, "%s", text);
    venv_worker_post(context->worker, &job->job);
}

/* Room again, or for the first time: the reserve says so. */
static void probe(store_context *context)
{
    venv_error err = { 0 };
    venv_rc rc = venv_store_reserve_take(context->reserve, &err);
    if ((rc == VENV_OK) == context->full)
        tell_disk(context, rc != VENV_OK, err.text);
}

/* A transaction for which there is no room is made again in the room of the reserve, and then whenever there is some. */
static venv_rc apply(store_context *context, const venv_store_op *ops, size_t count, venv_error *err)
{
    venv_rc rc;
    while ((rc = venv_store_apply(context->store, ops, count, err)) == VENV_ENOSPACE && context->reserve) {
        if (!context->full)
            tell_disk(context, true, err->text);
        if (venv_store_reserve_release(context->reserve))
            continue;
        if (atomic_load(&context->ending))
            break;
        nanosleep(&(struct timespec){ .tv_nsec = AGAIN_NS }, NULL);
    }
    return rc;
}

/* Commit the transactions from `first` up to, not including, `end`. */
static void commit(store_context *context, venv_transaction *first, const venv_transaction *end)
{
    size_t count = 0, filled = 0;
    venv_error err = { 0 };
    for (const venv_transaction *t = first; t != end; t = (const venv_transaction *)t->job.next)
        count += t->op_count;
    VENV_AUTO_FREE venv_store_op *ops = calloc(count ? count : 1, sizeof *ops);
    venv_rc rc = ops ? VENV_OK : venv_error_set(&err, VENV_ENOMEM, "out of memory for a transaction");
    if (context->failed)
        rc = venv_error_set(&err, VENV_EIO, "an earlier write failed");
    for (const venv_transaction *t = first; t != end && rc == VENV_OK; t = (const venv_transaction *)t->job.next) {
        fill_ops(t, ops + filled);
        filled += t->op_count;
    }
    if (rc == VENV_OK)
        rc = apply(context, ops, count, &err);
    if (rc != VENV_OK)
        context->failed = true;
    for (venv_transaction *t = first; t != end; t = (venv_transaction *)t->job.next) {
        t->rc = rc;
        t->err = err;
    }
}

/* The transactions that go into one commit: those in a row, as long as the store's limits allow it. */
static venv_transaction *end_of_group(venv_transaction *first)
{
    size_t ops = 0, bytes = 0;
    venv_transaction *t = first;
    while (t && t->kind == JOB_WRITE) {
        ops += t->op_count;
        bytes += t->bytes.size;
        if (t != first && (ops > VENV_STORE_OP_COUNT_MAX || bytes > VENV_TRANSACTION_MAX))
            break;
        t = (venv_transaction *)t->job.next;
    }
    return t;
}

static bool keep_entry(void *user, uint64_t revision, venv_str row)
{
    venv_transaction *t = user;
    uint32_t size = (uint32_t)row.size;
    (void)revision;
    if (t->bytes.size > 0 && t->bytes.size + sizeof size + row.size > VENV_STORE_READ_MAX)
        return false;
    venv_buf_append(&t->bytes, &size, sizeof size);
    venv_buf_append(&t->bytes, row.data, row.size);
    return t->bytes.rc == VENV_OK;
}

static void work(void *user, venv_job *batch)
{
    store_context *context = user;
    venv_transaction *t = (venv_transaction *)batch;
    while (t) {
        if (t->kind == JOB_WRITE) {
            venv_transaction *end = end_of_group(t);
            commit(context, t, end);
            t = end;
            continue;
        }
        if (t->kind == JOB_READ)
            t->rc = venv_store_log(context->store, t->since, t->limit, keep_entry, t, &t->err);
        else if (t->kind == JOB_PROBE)
            probe(context);
        else if (!context->failed)
            t->rc = venv_store_trim(context->store, t->since, &t->err);
        t = (venv_transaction *)t->job.next;
    }
}

static void finish(void *user)
{
    store_context *context = user;
    venv_store_close(context->store);
    free(context->reserve);
    free(context);
}

/* --- back on the loop ------------------------------------------------------------------------ */

static void tell_history(venv_store_worker *worker, const venv_transaction *t)
{
    venv_list_builder list;
    venv_value entries = venv_value_null();
    venv_error err = { 0 };
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    venv_list_init(&list);
    for (size_t at = 0; at + sizeof(uint32_t) <= t->bytes.size;) {
        uint32_t size;
        venv_value entry = venv_value_null();
        memcpy(&size, t->bytes.data + at, sizeof size);
        at += sizeof size;
        /* A row that cannot be read is left out, and the gap in the revisions shows it. */
        if (venv_cbor_decode(t->bytes.data + at, size, &options, &entry, &err) == VENV_OK)
            venv_list_add(&list, entry);
        at += size;
    }
    if (venv_list_take(&list, &entries, &err) == VENV_OK)
        worker->calls.history(worker->calls.user, t->token, &entries);
    venv_value_unref(&entries);
}

static void submit_probe(venv_store_worker *worker)
{
    venv_transaction *job = job_new(JOB_PROBE);
    if (job && venv_worker_submit(worker->worker, &job->job, NULL) != VENV_OK)
        venv_transaction_free(job); /* it is busy, and tries by itself */
}

static void on_probe(uv_timer_t *timer)
{
    submit_probe(timer->data);
}

static void disk_changed(venv_store_worker *worker, const venv_transaction *t)
{
    if (t->full)
        uv_timer_start(worker->probe, on_probe, PROBE_MS, PROBE_MS);
    else
        uv_timer_stop(worker->probe);
    worker->calls.disk(worker->calls.user, t->full, t->err.text);
}

static void done(void *user, venv_job *job)
{
    venv_store_worker *worker = user;
    venv_transaction *t = (venv_transaction *)job;
    if (t->kind == JOB_DISK) {
        if (worker->probe)
            disk_changed(worker, t);
    } else if (t->kind == JOB_READ && t->rc != VENV_OK) {
        worker->calls.unread(worker->calls.user, t->token, &t->err);
    } else if (t->kind == JOB_TRIM && t->rc == VENV_ENOSPACE) {
        ; /* the next one makes up for it */
    } else if (t->rc != VENV_OK) {
        if (!worker->failed) {
            worker->failed = true;
            worker->calls.failed(worker->calls.user, &t->err);
        }
    } else if (t->kind == JOB_WRITE) {
        worker->calls.durable(worker->calls.user, t->write);
    } else if (t->kind == JOB_READ) {
        tell_history(worker, t);
    }
    venv_transaction_free(t);
}

venv_rc venv_store_worker_start(uv_loop_t *loop, venv_store *store, const venv_store_calls *calls,
                                venv_store_worker **ret_worker, venv_error *err)
{
    venv_store_worker *worker = calloc(1, sizeof *worker);
    store_context *context = calloc(1, sizeof *context);
    char *reserve = calls->reserve ? strdup(calls->reserve) : NULL;
    uv_timer_t *timer = calloc(1, sizeof *timer);
    venv_rc rc = worker && context && timer && (reserve || !calls->reserve)
                     ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory for the store's thread");
    if (rc == VENV_OK) {
        context->store = store;
        context->reserve = reserve;
        worker->context = context;
        worker->calls = *calls;
        venv_worker_options options = { .self = &context->worker, .queue_max = VENV_STORE_QUEUE_MAX, .batch_max = VENV_STORE_GROUP_MAX,
                                        .context = context, .work = work, .finish = finish, .done = done,
                                        .drop = drop_job, .user = worker };
        rc = venv_worker_start(loop, &options, &worker->worker, err);
    }
    if (rc != VENV_OK) {
        venv_store_close(store);
        free(context);
        free(worker);
        free(reserve);
        free(timer);
        return rc;
    }
    uv_timer_init(loop, timer);
    timer->data = worker;
    worker->probe = timer;
    uv_unref((uv_handle_t *)timer);
    if (reserve)
        submit_probe(worker);
    *ret_worker = worker;
    return VENV_OK;
}

static venv_rc submit(venv_store_worker *worker, venv_transaction *job, venv_error *err)
{
    venv_rc rc = job ? job->rc : venv_error_set(err, VENV_ENOMEM, "out of memory for a transaction");
    if (job && rc != VENV_OK && err)
        *err = job->err;
    if (rc == VENV_OK)
        rc = venv_worker_submit(worker->worker, &job->job, err);
    if (rc != VENV_OK)
        venv_transaction_free(job);
    return rc;
}

venv_rc venv_store_worker_write(venv_store_worker *worker, venv_transaction *transaction, venv_error *err)
{
    return submit(worker, transaction, err);
}

venv_rc venv_store_worker_read(venv_store_worker *worker, uint64_t token, uint64_t since, uint32_t limit, venv_error *err)
{
    venv_transaction *job = job_new(JOB_READ);
    if (job) {
        job->token = token;
        job->since = since;
        job->limit = limit;
    }
    return submit(worker, job, err);
}

venv_rc venv_store_worker_trim(venv_store_worker *worker, uint64_t upto, venv_error *err)
{
    venv_transaction *job = job_new(JOB_TRIM);
    if (job)
        job->since = upto;
    return submit(worker, job, err);
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

void venv_store_worker_stop(venv_store_worker *worker)
{
    if (!worker)
        return;
    uv_close((uv_handle_t *)worker->probe, free_timer);
    worker->probe = NULL;
    atomic_store(&worker->context->ending, true);
    venv_worker_stop(worker->worker);
    free(worker);
}
