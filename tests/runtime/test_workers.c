/* SPDX-License-Identifier: Apache-2.0 */
/* The threads: order, batches, a thread that hangs, the store behind one, the hypervisor behind one. */
#include "runtime/machine_worker.h"
#include "runtime/store_worker.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 20000

static bool late;

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    late = true;
}

/* Run the loop until the condition holds; fail when it does not in time. */
#define RUN_UNTIL(loop, condition)                                \
    do {                                                          \
        uv_timer_t deadline_;                                     \
        late = false;                                             \
        uv_timer_init((loop), &deadline_);                        \
        uv_timer_start(&deadline_, on_deadline, WAIT_MS, 0);      \
        while (!(condition) && !late)                             \
            uv_run((loop), UV_RUN_ONCE);                          \
        uv_close((uv_handle_t *)&deadline_, NULL);                \
        uv_run((loop), UV_RUN_NOWAIT);                            \
        if (!(condition))                                         \
            fail_msg("did not happen: %s", #condition);           \
    } while (0)

static int set_up(void **state)
{
    uv_loop_t *loop = malloc(sizeof *loop);
    assert_non_null(loop);
    assert_int_equal(uv_loop_init(loop), 0);
    *state = loop;
    return 0;
}

static int tear_down(void **state)
{
    uv_run(*state, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(*state), 0);
    free(*state);
    return 0;
}

/* --- the worker itself ----------------------------------------------------------------------- */

typedef struct counted_job {
    venv_job job;
    int number;
} counted_job;

typedef struct counting {
    int done[100], done_count;
    atomic_int worked, dropped, finished, largest_batch;
    pthread_mutex_t gate; /* held by a test to keep the thread from working */
} counting;

static counting *dropping; /* `drop` has no context: it can come from any thread */

static void count_work(void *context, venv_job *batch)
{
    counting *c = context;
    int size = 0;
    pthread_mutex_lock(&c->gate);
    pthread_mutex_unlock(&c->gate);
    for (venv_job *job = batch; job; job = job->next)
        size++;
    atomic_fetch_add(&c->worked, size);
    if (size > atomic_load(&c->largest_batch))
        atomic_store(&c->largest_batch, size);
}

static void count_finish(void *context)
{
    atomic_fetch_add(&((counting *)context)->finished, 1);
}

static void count_done(void *user, venv_job *job)
{
    counting *c = user;
    c->done[c->done_count++] = ((counted_job *)job)->number;
    free(job);
}

static void count_drop(venv_job *job)
{
    atomic_fetch_add(&dropping->dropped, 1);
    free(job);
}

static venv_worker *start_counting(uv_loop_t *loop, counting *c, size_t queue_max, size_t batch_max)
{
    venv_worker *worker = NULL;
    venv_error err = { 0 };
    venv_worker_options options = { .queue_max = queue_max, .batch_max = batch_max, .context = c, .work = count_work,
                                    .finish = count_finish, .done = count_done, .drop = count_drop, .user = c };
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->gate, NULL);
    dropping = c;
    assert_int_equal(venv_worker_start(loop, &options, &worker, &err), VENV_OK);
    return worker;
}

static venv_rc submit_number(venv_worker *worker, int number)
{
    venv_error err = { 0 };
    counted_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    job->number = number;
    venv_rc rc = venv_worker_submit(worker, &job->job, &err);
    if (rc != VENV_OK)
        free(job);
    return rc;
}

static void jobs_come_back_in_order(void **state)
{
    counting c;
    venv_worker *worker = start_counting(*state, &c, 100, 7);
    for (int i = 0; i < 50; i++)
        assert_int_equal(submit_number(worker, i), VENV_OK);
    RUN_UNTIL(*state, c.done_count == 50);
    for (int i = 0; i < 50; i++)
        assert_int_equal(c.done[i], i);
    assert_true(atomic_load(&c.largest_batch) <= 7);
    assert_int_equal(venv_worker_pending(worker), 0);
    venv_worker_stop(worker);
    assert_int_equal(atomic_load(&c.finished), 1);
}

static void a_full_queue_refuses(void **state)
{
    counting c;
    venv_worker *worker = start_counting(*state, &c, 3, 10);
    pthread_mutex_lock(&c.gate);
    for (int i = 0; i < 3; i++)
        assert_int_equal(submit_number(worker, i), VENV_OK);
    assert_int_equal(submit_number(worker, 3), VENV_ELIMIT);
    pthread_mutex_unlock(&c.gate);
    RUN_UNTIL(*state, c.done_count == 3);
    assert_int_equal(submit_number(worker, 4), VENV_OK);
    venv_worker_stop(worker);
    assert_int_equal(c.done_count, 4);
}

static void stopping_finishes_what_is_queued(void **state)
{
    counting c;
    venv_worker *worker = start_counting(*state, &c, 100, 1);
    for (int i = 0; i < 20; i++)
        assert_int_equal(submit_number(worker, i), VENV_OK);
    venv_worker_stop(worker);
    assert_int_equal(c.done_count, 20);
}

static void a_thread_that_hangs_is_left_behind(void **state)
{
    counting c;
    venv_worker *worker = start_counting(*state, &c, 100, 1);
    pthread_mutex_lock(&c.gate);
    for (int i = 0; i < 5; i++)
        assert_int_equal(submit_number(worker, i), VENV_OK);
    venv_worker_stop_within(worker, 50);
    uv_run(*state, UV_RUN_NOWAIT);
    assert_int_equal(c.done_count, 0);
    assert_int_equal(atomic_load(&c.finished), 0);
    pthread_mutex_unlock(&c.gate); /* it comes back */
    for (int i = 0; i < WAIT_MS && (!atomic_load(&c.finished) || atomic_load(&c.dropped) < 5); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&c.finished), 1);
    assert_int_equal(atomic_load(&c.dropped), 5);
    assert_int_equal(c.done_count, 0);
    usleep(10000); /* the thread frees the worker as its last deed; a sanitizer would tell of a leak */
}

/* --- the store ------------------------------------------------------------------------------- */

typedef struct stored {
    uint64_t durable[64];
    int durable_count;
    uint64_t tokens[8];
    size_t entry_counts[8];
    int64_t first_values[8];
    int history_count;
    int failed_count;
    venv_rc failed_rc;
} stored;

static void store_durable(void *user, uint64_t write)
{
    stored *s = user;
    s->durable[s->durable_count++] = write;
}

static void store_history(void *user, uint64_t token, const venv_value *entries)
{
    stored *s = user;
    s->tokens[s->history_count] = token;
    s->entry_counts[s->history_count] = venv_value_count(entries);
    s->first_values[s->history_count] = venv_value_count(entries) ? venv_value_get_int(venv_value_at(entries, 0), "n", -1) : -1;
    s->history_count++;
}

static void store_failed(void *user, const venv_error *why)
{
    stored *s = user;
    s->failed_count++;
    s->failed_rc = why->rc;
}

static venv_store_worker *start_store(uv_loop_t *loop, stored *s)
{
    venv_store *store = NULL;
    venv_store_worker *worker = NULL;
    venv_error err = { 0 };
    venv_store_calls calls = { .durable = store_durable, .history = store_history, .failed = store_failed, .user = s };
    memset(s, 0, sizeof *s);
    assert_int_equal(venv_store_open("memory:", &store, &err), VENV_OK);
    assert_int_equal(venv_store_worker_start(loop, store, &calls, &worker, &err), VENV_OK);
    return worker;
}

static venv_value number_map(int64_t number)
{
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "n", venv_value_int(number));
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    return value;
}

static void append_event(venv_store_worker *worker, uint64_t write, uint64_t revision)
{
    venv_error err = { 0 };
    venv_value body = number_map((int64_t)revision), key = venv_value_literal("last");
    venv_transaction *transaction = venv_transaction_new(write);
    assert_non_null(transaction);
    venv_transaction_append(transaction, revision, &body);
    venv_transaction_put(transaction, 0, &key, &body);
    venv_value_unref(&body);
    assert_int_equal(venv_store_worker_write(worker, transaction, &err), VENV_OK);
}

static void writes_become_durable_in_order_and_reads_see_them(void **state)
{
    stored s;
    venv_error err = { 0 };
    venv_store_worker *worker = start_store(*state, &s);
    for (uint64_t i = 1; i <= 20; i++)
        append_event(worker, i, i);
    assert_int_equal(venv_store_worker_read(worker, 77, 15, 100, &err), VENV_OK);
    append_event(worker, 21, 21);
    assert_int_equal(venv_store_worker_trim(worker, 10, &err), VENV_OK);
    assert_int_equal(venv_store_worker_read(worker, 78, 0, 3, &err), VENV_OK);
    RUN_UNTIL(*state, s.durable_count == 21 && s.history_count == 2);
    for (int i = 0; i < 21; i++)
        assert_int_equal(s.durable[i], i + 1);
    assert_int_equal(s.tokens[0], 77);
    assert_int_equal(s.entry_counts[0], 5); /* 16 … 20, not the 21st, which was written after the question */
    assert_int_equal(s.first_values[0], 16);
    assert_int_equal(s.entry_counts[1], 3);
    assert_int_equal(s.first_values[1], 11);
    assert_int_equal(s.failed_count, 0);
    venv_store_worker_stop(worker);
}

static void after_a_failure_nothing_is_durable_any_more(void **state)
{
    stored s;
    venv_store_worker *worker = start_store(*state, &s);
    append_event(worker, 1, 5);
    RUN_UNTIL(*state, s.durable_count == 1);
    append_event(worker, 2, 5); /* a revision that is not higher: the store refuses */
    append_event(worker, 3, 6);
    RUN_UNTIL(*state, s.failed_count == 1);
    append_event(worker, 4, 7);
    venv_store_worker_stop(worker);
    assert_int_equal(s.durable_count, 1);
    assert_int_equal(s.failed_count, 1);
    assert_int_equal(s.failed_rc, VENV_ECONFLICT);
}

static void stopping_writes_what_waits(void **state)
{
    stored s;
    venv_store_worker *worker = start_store(*state, &s);
    for (uint64_t i = 1; i <= 30; i++)
        append_event(worker, i, i);
    venv_store_worker_stop(worker);
    assert_int_equal(s.durable_count, 30);
}

static void a_row_that_cannot_be_stored_is_found_before_it_is_submitted(void **state)
{
    stored s;
    venv_error err = { 0 };
    venv_store_worker *worker = start_store(*state, &s);
    venv_value key = venv_value_literal("key"), row = venv_value_type("int");
    venv_value list = venv_value_null();
    /* Deeper than CBOR is ever read: it must not get onto the disk. */
    for (int i = 0; i < 100; i++) {
        venv_list_builder builder;
        venv_list_init(&builder);
        venv_list_add(&builder, row);
        assert_int_equal(venv_list_take(&builder, &list, NULL), VENV_OK);
        row = list;
    }
    venv_transaction *transaction = venv_transaction_new(1);
    venv_transaction_put(transaction, 0, &key, &row);
    assert_int_equal(venv_store_worker_write(worker, transaction, &err), VENV_ELIMIT);
    venv_value_unref(&row);
    venv_store_worker_stop(worker);
    assert_int_equal(s.durable_count, 0);
}

/* --- the hypervisor -------------------------------------------------------------------------- */

typedef struct machined {
    int listed, reachable, done;
    venv_rc last_rc;
    uint64_t last_token;
    int64_t cpus;
    char text[256];
} machined;

static void machine_done(void *user, uint64_t token, venv_rc rc, const char *text)
{
    machined *m = user;
    m->done++;
    m->last_token = token;
    m->last_rc = rc;
    snprintf(m->text, sizeof m->text, "%s", text ? text : "");
}

static void machine_listed(void *user, venv_rc rc, const venv_value *list, const char *text)
{
    machined *m = user;
    m->listed++;
    if (rc == VENV_OK) {
        m->reachable++;
        m->cpus = venv_value_get_int(venv_value_get(list, "node"), "cpus", 0);
        assert_int_equal(venv_value_kind(venv_value_get(list, "machines")), VENV_LIST);
        assert_int_equal(venv_value_kind(venv_value_get(list, "foreign")), VENV_MAP);
    }
    snprintf(m->text, sizeof m->text, "%s", text ? text : "");
}

static venv_machine_worker *start_machines(uv_loop_t *loop, const char *uri, machined *m)
{
    venv_machine_worker *worker = NULL;
    venv_error err = { 0 };
    venv_machine_calls calls = { .done = machine_done, .listed = machine_listed, .user = m };
    memset(m, 0, sizeof *m);
    venv_machine_place place = { .hypervisor = uri, .cluster = "test", .node = "n1" };
    assert_int_equal(venv_machine_worker_start(loop, &place, NULL, &calls, &worker, &err), VENV_OK);
    return worker;
}

static void machines_are_listed_unasked_and_when_asked(void **state)
{
    machined m;
    venv_machine_worker *worker = start_machines(*state, "fake:", &m);
    RUN_UNTIL(*state, m.reachable == 1); /* after connecting, unasked */
    assert_true(m.cpus > 0);
    venv_machine_worker_list(worker);
    RUN_UNTIL(*state, m.reachable == 2);
    venv_machine_worker_call(worker, 42, &(venv_machine_order){ .call = VENV_MACHINE_CALL_DESTROY, .id = (venv_id){ { 1 } }, .xml = NULL });
    RUN_UNTIL(*state, m.done == 1);
    assert_int_equal(m.last_token, 42);
    assert_int_equal(m.last_rc, VENV_OK); /* one that is gone: nothing to do */
    venv_machine_worker_call(worker, 43, &(venv_machine_order){ .call = VENV_MACHINE_CALL_START, .id = (venv_id){ { 1 } }, .xml = "<nonsense" });
    RUN_UNTIL(*state, m.done == 2);
    assert_int_equal(m.last_rc, VENV_EINVAL);
    assert_true(m.text[0]);
    venv_machine_worker_end(worker);
}

static void a_hypervisor_that_is_not_there_is_unreachable_not_empty(void **state)
{
    machined m;
    venv_machine_worker *worker = start_machines(*state, "qemu:///system?socket=/nonexistent/libvirt-sock", &m);
    RUN_UNTIL(*state, m.listed >= 1);
    assert_int_equal(m.reachable, 0);
    assert_true(m.text[0]);
    venv_machine_worker_list(worker);
    int before = m.listed;
    RUN_UNTIL(*state, m.listed > before);
    assert_int_equal(m.reachable, 0);
    venv_machine_worker_call(worker, 7, &(venv_machine_order){ .call = VENV_MACHINE_CALL_SHUTDOWN, .id = (venv_id){ { 1 } }, .xml = NULL });
    RUN_UNTIL(*state, m.done == 1);
    assert_int_equal(m.last_rc, VENV_EUNREACHABLE);
    venv_machine_worker_end(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_come_back_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopping_finishes_what_is_queued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_thread_that_hangs_is_left_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_become_durable_in_order_and_reads_see_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_a_failure_nothing_is_durable_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopping_writes_what_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_row_that_cannot_be_stored_is_found_before_it_is_submitted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(machines_are_listed_unasked_and_when_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hypervisor_that_is_not_there_is_unreachable_not_empty, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
