/* SPDX-License-Identifier: Apache-2.0 */
/* What the manager tells to whoever keeps the history, and how people are answered from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "history/journal.h"
#include "history/series.h"
#include "manager/rig.h"

#define HEAD 1u
#define NODE 2u
#define USER 9u

/* Samples of a series that left, and the last of them (a reference; null: none). */
static size_t samples_of(const rig *r, venv_history_kind kind, const char *subject, const char *label, venv_quality *ret_quality,
                         venv_value *ret_last)
{
    venv_history_rows rows;
    venv_history_row row;
    venv_history_catalog catalog = { 0 };
    size_t count = 0;
    if (ret_last)
        *ret_last = venv_value_null();
    venv_history_rows_init(&rows, r->recorded.data, r->recorded.size);
    while (venv_history_rows_next(&rows, &row)) {
        if (row.is_definition) {
            assert_true(venv_history_catalog_define(&catalog, row.series, row.kind, row.subject, row.label));
            continue;
        }
        const venv_history_series *series = venv_history_catalog_find(&catalog, row.series);
        assert_non_null(series); /* defined before its first sample */
        if (series->kind == kind && strcmp(series->subject, subject) == 0 && strcmp(series->label, label) == 0) {
            count++;
            if (ret_quality)
                *ret_quality = row.quality;
            if (ret_last) {
                venv_value_unref(ret_last);
                *ret_last = venv_value_ref(&row.value);
            }
        }
        venv_value_unref(&row.value);
    }
    assert_false(rows.reader.failed);
    venv_history_catalog_fini(&catalog);
    return count;
}

static bool last_is(const rig *r, venv_history_kind kind, const char *subject, const char *key, const char *text)
{
    venv_value last;
    bool is = samples_of(r, kind, subject, "", NULL, &last) > 0 && venv_value_is_text(venv_value_get(&last, key), text);
    venv_value_unref(&last);
    return is;
}

static void what_is_learnt_is_recorded(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_LOOP);
    venv_value last;
    venv_quality quality;
    assert_true(last_is(r, VENV_HISTORY_MANAGER, "mgr", "state", "started"));
    assert_true(last_is(r, VENV_HISTORY_AGENT, "node1", "state", "connected"));
    assert_int_equal(samples_of(r, VENV_HISTORY_PROPERTY, "node1", "memfree", &quality, &last), 1);
    assert_int_equal(venv_value_peek_int(&last), 1000);
    assert_int_equal(quality, VENV_QUALITY_OK);
    size_t before = r->recorded.size;
    rig_frame(r, NODE, VENV_MSG_PUSH, 0, "{\"samples\": [[0, 2000, 0, null], [7, 1, 0, null]]}");
    assert_int_equal(r->recorded.size, before); /* it leaves with the next sweep, in one piece */
    rig_wait(r, 1);
    assert_int_equal(samples_of(r, VENV_HISTORY_PROPERTY, "node1", "memfree", NULL, &last), 2);
    assert_int_equal(venv_value_peek_int(&last), 2000);
    rig_queue(r, HEAD, 1, 0);
    rig_wait(r, 3);
    assert_true(last_is(r, VENV_HISTORY_INSTANCE, "class2-1", "environment", "class2"));
    assert_true(last_is(r, VENV_HISTORY_INSTANCE, "class2-1", "node", "node1"));
    rig_down(r, NODE, "reset");
    rig_wait(r, 1);
    assert_true(last_is(r, VENV_HISTORY_AGENT, "node1", "state", "suspect"));
    rig_wait(r, 60);
    assert_true(last_is(r, VENV_HISTORY_INSTANCE, "class2-1", "state", "lost"));
    rig_free(r);
}

/* A property that an agent does not define any more is absent from then on. */
static void what_is_gone_is_absent(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_CONFIG);
    venv_quality quality = VENV_QUALITY_OK;
    rig_down(r, NODE, "reset");
    rig_up(r, 12, VENV_ROLE_AGENT, "node1");
    rig_frame(r, 12, VENV_MSG_HELLO, 0,
              "{\"versions\": [1], \"name\": \"node1\", \"groups\": [\"default\"], \"boot\": \"00000000-0000-4000-8000-0000000000b2\", "
              "\"machine\": \"00000000-0000-4000-8000-00000000000b\", \"properties\": [], \"samples\": []}");
    rig_wait(r, 1);
    assert_int_equal(samples_of(r, VENV_HISTORY_PROPERTY, "node1", "memfree", &quality, NULL), 2);
    assert_int_equal(quality, VENV_QUALITY_ABSENT);
    rig_free(r);
}

static void nothing_where_none_is_kept(void **state)
{
    (void)state;
    rig *r = rig_new_cluster("manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n  history: 0s\n");
    rig_wait(r, 5);
    assert_int_equal(r->recorded.size, 0);
    assert_string_equal(rig_ask(r, USER, VENV_MSG_HISTORY, NULL, "{\"target\": \"node1\"}"), "not-found");
    rig_free(r);
}

static void people_are_answered(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_CONFIG);
    static const struct {
        const char *limit;
        int64_t is;
    } limits[] = { { "0", 1000 }, { "7", 7 }, { "999999", 10000 }, { "-3", 1000 } };
    char json[64];
    int16_t type = 0;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        snprintf(json, sizeof json, "{\"target\": \"node1\", \"limit\": %s}", limits[i].limit);
        rig_frame(r, USER, VENV_MSG_HISTORY, 50 + i, "%s", json);
        assert_int_equal(venv_value_get_int(&r->asked, "limit", 0), limits[i].is);
        assert_true(venv_value_is_text(venv_value_get(&r->asked, "target"), "node1"));
        assert_null(venv_value_get(&r->asked, "label"));
    }
    rig_answer_history(r, "{\"rows\": [1]}"); /* of the last */
    assert_int_equal(venv_value_count(venv_value_get(rig_answer(r, USER, 53, &type), "rows")), 1);
    assert_int_equal(type, VENV_MSG_RESULT);
    rig_frame(r, USER, VENV_MSG_HISTORY, 60, "{}");
    rig_answer_history(r, "{\"rc\": \"io\", \"error\": \"damaged\"}");
    rig_answer(r, USER, 60, &type);
    assert_int_equal(type, VENV_MSG_FAILED);
    size_t from = r->sent_count;
    rig_answer_history(r, "{\"rows\": []}"); /* answered before: nobody waits */
    assert_int_equal(r->sent_count, from);
    snprintf(json, sizeof json, "{\"since\": \"yesterday\"}");
    assert_string_equal(rig_ask(r, USER, VENV_MSG_HISTORY, NULL, json), "invalid");
    rig_free(r);
}

static void who_left_is_not_answered(void **state)
{
    (void)state;
    rig *r = rig_new_cluster(RIG_CONFIG);
    rig_user(r, 20, "bob");
    rig_frame(r, 20, VENV_MSG_DUMP, 5, "{}");
    assert_true(venv_value_get_bool(&r->asked, "dump", false));
    rig_down(r, 20, "done");
    size_t from = r->sent_count;
    rig_answer_history(r, "{\"written\": true}");
    assert_int_equal(r->sent_count, from);
    /* and what it asked holds no place: 64 at once are the most */
    for (unsigned i = 0; i < 64; i++)
        rig_frame(r, USER, VENV_MSG_HISTORY, 200 + i, "{}");
    assert_null(rig_find(r, USER, VENV_MSG_FAILED, from));
    assert_string_equal(rig_ask(r, USER, VENV_MSG_HISTORY, NULL, "{}"), "over-limit");
    assert_string_equal(rig_ask(r, USER, VENV_MSG_DUMP, NULL, "{}"), "over-limit");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_learnt_is_recorded),
        cmocka_unit_test(what_is_gone_is_absent),
        cmocka_unit_test(nothing_where_none_is_kept),
        cmocka_unit_test(people_are_answered),
        cmocka_unit_test(who_left_is_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
