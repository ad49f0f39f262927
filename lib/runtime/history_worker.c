/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/history_worker.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/worker.h"

#include <venv/codec.h>
#include <venv/history.h>

#include <stdlib.h>
#include <string.h>

#define STOP_MS         5000
#define ANSWER_SIZE_MAX (8u << 20) /* about; of the values in one answer */

typedef enum job_kind { JOB_ADD = 0, JOB_ASK } job_kind;

typedef struct history_job {
    venv_job job;
    job_kind kind;
    uint64_t token;
    uint8_t *bytes;   /* ADD: the journal. ASK: the query, then the answer, as CBOR */
    size_t size;
    venv_rc rc;
    venv_error err;
} history_job;

typedef struct history_context {
    venv_history_writer *writer;
    char *state;
} history_context;

struct venv_history_worker {
    venv_worker *worker;
    venv_history_calls calls;
    bool failing;
};

static void drop_job(venv_job *job)
{
    history_job *j = (history_job *)job;
    free(j->bytes);
    free(j);
}

/* --- on the thread: answers -------------------------------------------------------------------------- */

typedef struct answering {
    venv_list_builder items;
    int64_t limit, skip, last_ns, at_last; /* samples that were given at the last time */
    size_t count, size;
    int64_t before;    /* of the state at the beginning: left out or given */
    bool in_state;     /* only such have come */
    bool more;
} answering;

/* Of the state at the beginning, `skip` are left out where the question goes on with it. */
static bool left_out(answering *x, const venv_history_sample *sample)
{
    if (sample->before)
        return ++x->before <= x->skip;
    if (x->in_state) {
        x->in_state = false;
        x->skip = 0;
    }
    if (x->skip > 0 && x->at_last > 0 && sample->time.ns != x->last_ns)
        x->skip = 0; /* some of what was to be left out is not there any more */
    if (x->skip == 0)
        return false;
    x->last_ns = sample->time.ns;
    x->at_last++;
    x->skip--;
    return true;
}

static bool add_item(void *user, const venv_history_sample *sample)
{
    answering *x = user;
    if (left_out(x, sample))
        return true;
    if ((int64_t)x->count >= x->limit || x->size >= ANSWER_SIZE_MAX) {
        x->more = true;
        x->before -= sample->before;
        return false;
    }
    venv_map_builder map;
    venv_value item = venv_value_null(), value = venv_value_ref(sample->value);
    venv_map_init(&map);
    venv_map_put_z(&map, "kind", venv_history_kind_name(sample->kind));
    venv_map_put_z(&map, "subject", sample->subject);
    if (sample->label[0])
        venv_map_put_z(&map, "label", sample->label);
    venv_map_put(&map, "time", venv_value_from_wall(sample->time));
    venv_map_put_z(&map, "quality", venv_quality_name(sample->quality));
    venv_map_put(&map, "value", value);
    if (sample->before)
        venv_map_put(&map, "before", venv_value_bool(true));
    if (venv_map_take(&map, &item, NULL) == VENV_OK)
        venv_list_add(&x->items, item);
    x->size += 128 + venv_value_print(sample->value, NULL, 0);
    x->count++;
    if (!sample->before) {
        x->at_last = sample->time.ns == x->last_ns ? x->at_last + 1 : 1;
        x->last_ns = sample->time.ns;
    }
    return true;
}

static void read_query(const venv_value *body, char *subject, char *label, venv_history_query *ret_query, answering *x)
{
    venv_str target = venv_value_get_text(body, "target"), of = venv_value_get_text(body, "label");
    const venv_value *since = venv_value_get(body, "since"), *until = venv_value_get(body, "until");
    *ret_query = (venv_history_query)VENV_HISTORY_QUERY_INIT;
    if (target.size > 0 && target.size <= VENV_HISTORY_TEXT_MAX) {
        memcpy(subject, target.data, target.size);
        ret_query->subject = subject;
    }
    if (of.size > 0 && of.size <= VENV_HISTORY_TEXT_MAX) {
        memcpy(label, of.data, of.size);
        ret_query->label = label;
    }
    if (since)
        (void)venv_value_to_wall(since, &ret_query->from);
    if (until)
        (void)venv_value_to_wall(until, &ret_query->to);
    ret_query->state = venv_value_get_bool(body, "state", false);
    x->limit = venv_value_get_int(body, "limit", 1000);
    x->skip = venv_value_get_int(body, "skip", 0);
    x->last_ns = INT64_MIN;
    x->in_state = ret_query->state;
}

static venv_rc look(const history_context *context, const venv_value *body, venv_value *ret_answer, venv_error *err)
{
    char subject[VENV_HISTORY_TEXT_MAX + 1] = "", label[VENV_HISTORY_TEXT_MAX + 1] = "";
    venv_history_query query;
    venv_history *history = NULL;
    answering x = { .more = false };
    read_query(body, subject, label, &query, &x);
    venv_list_init(&x.items);
    venv_rc rc = venv_history_open(context->state, &history, err);
    if (rc == VENV_OK)
        rc = venv_history_read(history, &query, add_item, &x, err);
    venv_history_close(history);
    venv_value items = venv_value_null();
    if (rc == VENV_OK)
        rc = venv_list_take(&x.items, &items, err);
    venv_list_fini(&x.items);
    if (rc != VENV_OK)
        return rc;
    venv_map_builder map, next;
    venv_map_init(&map);
    venv_map_put(&map, "items", items);
    if (x.more) { /* the last millisecond again, without what was given of it; or the state again, likewise */
        venv_value where = venv_value_null();
        venv_map_init(&next);
        if (x.in_state)
            venv_map_put(&next, "state", venv_value_bool(true));
        venv_map_put(&next, "since", venv_value_from_wall(x.last_ns == INT64_MIN ? query.from
                                                                                 : (venv_wall){ x.last_ns - 1000000 }));
        venv_map_put(&next, "skip", venv_value_int(x.in_state ? x.before : x.last_ns == INT64_MIN ? 0 : x.at_last));
        rc = venv_map_take(&next, &where, err);
        venv_map_put(&map, "next", where);
    }
    if (rc == VENV_OK)
        return venv_map_take(&map, ret_answer, err);
    venv_map_fini(&map);
    return rc;
}

static venv_cbor_options wide_options(void)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    return options;
}

static void answer(const history_context *context, history_job *job)
{
    venv_cbor_options options = wide_options();
    venv_value query = venv_value_null(), found = venv_value_null();
    job->rc = venv_cbor_decode(job->bytes, job->size, &options, &query, &job->err);
    free(job->bytes);
    job->bytes = NULL;
    if (job->rc == VENV_OK)
        job->rc = look(context, &query, &found, &job->err);
    if (job->rc == VENV_OK)
        job->rc = venv_cbor_encode(&found, &options, &job->bytes, &job->size, &job->err);
    venv_value_unref(&query);
    venv_value_unref(&found);
}

static void work(void *user, venv_job *batch)
{
    history_context *context = user;
    for (venv_job *at = batch; at; at = at->next) {
        history_job *job = (history_job *)at;
        if (job->kind == JOB_ADD)
            job->rc = venv_history_writer_add(context->writer, job->bytes, job->size, &job->err);
        else
            answer(context, job);
    }
}

static void finish(void *user)
{
    history_context *context = user;
    venv_history_writer_close(context->writer);
    free(context->state);
    free(context);
}

/* --- on the loop --------------------------------------------------------------------------------------- */

static void tell_answer(venv_history_worker *worker, const history_job *job)
{
    venv_cbor_options options = wide_options();
    venv_value found = venv_value_null();
    venv_error err = job->err;
    venv_rc rc = job->rc;
    if (rc == VENV_OK)
        rc = venv_cbor_decode(job->bytes, job->size, &options, &found, &err);
    if (rc != VENV_OK) {
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put_z(&map, "rc", venv_rc_name(rc));
        venv_map_put_text(&map, "error", err.text, strlen(err.text));
        if (venv_map_take(&map, &found, NULL) != VENV_OK)
            return; /* who asked runs into his time-out */
    }
    worker->calls.answer(worker->calls.user, job->token, &found);
    venv_value_unref(&found);
}

static void done(void *user, venv_job *at)
{
    venv_history_worker *worker = user;
    history_job *job = (history_job *)at;
    if (job->kind == JOB_ASK) {
        tell_answer(worker, job);
    } else if ((job->rc != VENV_OK) != worker->failing) {
        worker->failing = job->rc != VENV_OK;
        worker->calls.trouble(worker->calls.user, worker->failing ? &job->err : NULL);
    }
    drop_job(at);
}

venv_rc venv_history_worker_start(uv_loop_t *loop, const char *state, const venv_history_limits *limits,
                                  const venv_history_calls *calls, venv_history_worker **ret_worker, venv_error *err)
{
    venv_history_worker *worker = calloc(1, sizeof *worker);
    history_context *context = calloc(1, sizeof *context);
    venv_rc rc = VENV_OK;
    if (context)
        context->state = strdup(state);
    if (!worker || !context || !context->state)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for the thread of the history");
    if (rc == VENV_OK)
        rc = venv_history_writer_open(state, limits, &context->writer, err);
    if (rc == VENV_OK) {
        worker->calls = *calls;
        venv_worker_options options = { .queue_max = VENV_HISTORY_QUEUE_MAX, .batch_max = 16, .context = context, .work = work,
                                        .finish = finish, .done = done, .drop = drop_job, .user = worker };
        rc = venv_worker_start(loop, &options, &worker->worker, err);
    }
    if (rc != VENV_OK) {
        if (context)
            finish(context);
        free(worker);
        return rc;
    }
    *ret_worker = worker;
    return VENV_OK;
}

/* Takes the bytes. */
static venv_rc submit(venv_history_worker *worker, job_kind kind, uint64_t token, uint8_t *bytes, size_t size, venv_error *err)
{
    history_job *job = calloc(1, sizeof *job);
    if (!job || !bytes) {
        free(job);
        free(bytes);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the history");
    }
    job->kind = kind;
    job->token = token;
    job->bytes = bytes;
    job->size = size;
    venv_rc rc = venv_worker_submit(worker->worker, &job->job, err);
    if (rc != VENV_OK)
        drop_job(&job->job);
    return rc;
}

venv_rc venv_history_worker_add(venv_history_worker *worker, venv_str journal, venv_error *err)
{
    uint8_t *bytes = malloc(journal.size + 1);
    if (bytes)
        memcpy(bytes, journal.data, journal.size);
    return submit(worker, JOB_ADD, 0, bytes, journal.size, err);
}

venv_rc venv_history_worker_ask(venv_history_worker *worker, uint64_t token, const venv_value *query, venv_error *err)
{
    venv_cbor_options options = wide_options();
    uint8_t *bytes = NULL;
    size_t size = 0;
    venv_rc rc = venv_cbor_encode(query, &options, &bytes, &size, err);
    return rc == VENV_OK ? submit(worker, JOB_ASK, token, bytes, size, err) : rc;
}

void venv_history_worker_stop(venv_history_worker *worker)
{
    if (!worker)
        return;
    venv_worker_stop_within(worker->worker, STOP_MS);
    free(worker);
}
