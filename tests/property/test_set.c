/* SPDX-License-Identifier: Apache-2.0 */
/* The schedule in ticks, qualities, grace times, and what is worth pushing. Virtual time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <venv/property.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define S VENV_NS_PER_S

static const int64_t wall_base = INT64_C(1763836200) * S;

static venv_now at(int64_t ns)
{
    return (venv_now){ .mono = { ns }, .wall = { wall_base + ns } };
}

static venv_property_set *set_new(void)
{
    venv_property_set *set = NULL;
    assert_int_equal(venv_property_set_new((venv_span){ S }, (venv_instant){ 0 }, &set, NULL), VENV_OK);
    return set;
}

static uint32_t add(venv_property_set *set, const char *label, venv_property_type type, int64_t every)
{
    venv_property property = { .label = { label, strlen(label) },
                               .type = type,
                               .source = VENV_PROPERTY_COMMAND,
                               .name = VENV_STR("cmd"),
                               .args = venv_value_null(),
                               .every = every,
                               .timeout = { 5 * S } };
    uint32_t slot = 0;
    venv_error err = { 0 };
    if (venv_property_set_add(set, &property, &slot, &err) != VENV_OK)
        fail_msg("%s", err.text);
    return slot;
}

static void good(venv_property_set *set, uint32_t slot, int64_t ns, venv_value value)
{
    assert_int_equal(venv_property_set_good(set, slot, at(ns), &value, NULL), VENV_OK);
}

static venv_quality quality_of(venv_property_set *set, uint32_t slot)
{
    return venv_property_set_sample(set, slot)->quality;
}

static void test_ticks(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    uint32_t never = add(set, "never", VENV_PROPERTY_INT, -1), once = add(set, "once", VENV_PROPERTY_INT, 0);
    uint32_t third = add(set, "third", VENV_PROPERTY_INT, 3), slot = 99;
    unsigned counts[3] = { 0 };
    for (int64_t tick = 0; tick < 30; tick++) {
        while (venv_property_set_due(set, (venv_instant){ tick * S }, &slot)) {
            counts[slot]++;
            assert_true(slot != third || tick % 3 == 0);
            good(set, slot, tick * S + 1, venv_value_int(1));
        }
    }
    assert_int_equal(counts[never], 0);
    assert_int_equal(counts[once], 1);
    assert_int_equal(counts[third], 10);
    assert_int_equal(quality_of(set, never), VENV_QUALITY_ABSENT);
    /* what is never due can be fetched */
    assert_true(venv_property_set_begin(set, never, (venv_instant){ 0 }));
    assert_false(venv_property_set_begin(set, never, (venv_instant){ 0 }));
    good(set, never, 40 * S, venv_value_int(3));
    assert_int_equal(quality_of(set, never), VENV_QUALITY_OK);
    assert_false(venv_property_set_due(set, (venv_instant){ 28 * S }, &slot));
    venv_property_set_free(set);
}

static void test_no_overlap_no_catching_up(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    uint32_t slot = 0, taken = 99;
    slot = add(set, "slow", VENV_PROPERTY_INT, 2);
    assert_true(venv_property_set_due(set, (venv_instant){ 0 }, &taken));
    /* it takes nine seconds: the ticks in between are not made up for */
    for (int64_t tick = 1; tick <= 9; tick++)
        assert_false(venv_property_set_due(set, (venv_instant){ tick * S }, &taken));
    good(set, slot, 9 * S, venv_value_int(1));
    unsigned count = 0;
    while (venv_property_set_due(set, (venv_instant){ 9 * S }, &taken)) {
        count++;
        good(set, taken, 9 * S, venv_value_int(1));
    }
    assert_int_equal(count, 1); /* one that was due meanwhile, not four */
    assert_int_equal(venv_property_set_deadline(set).ns, 10 * S);
    /* a machine that slept for a day */
    count = 0;
    while (venv_property_set_due(set, (venv_instant){ 86400 * S }, &taken)) {
        count++;
        good(set, taken, 86400 * S, venv_value_int(1));
    }
    assert_int_equal(count, 1);
    venv_property_set_free(set);
}

static void test_longest_due_first(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    uint32_t slot = 9;
    add(set, "a", VENV_PROPERTY_INT, 4);
    add(set, "b", VENV_PROPERTY_INT, 3);
    for (int i = 0; i < 2; i++) {
        assert_true(venv_property_set_due(set, (venv_instant){ 0 }, &slot));
        good(set, slot, 0, venv_value_int(1));
    }
    assert_true(venv_property_set_due(set, (venv_instant){ 5 * S }, &slot));
    assert_int_equal(slot, 1); /* due since 3 s; a since 4 s */
    venv_property_set_free(set);
}

static void test_failure_keeps_the_value(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    uint32_t slot = add(set, "x", VENV_PROPERTY_INT, 10);
    const venv_sample *sample = venv_property_set_sample(set, slot);
    venv_property_set_failed(set, slot, at(S), "exit status 1");
    assert_int_equal(sample->quality, VENV_QUALITY_ERROR);
    assert_int_equal(venv_value_kind(&sample->value), VENV_NULL);
    assert_int_equal(sample->time.ns, 0);
    good(set, slot, 10 * S, venv_value_int(5));
    assert_int_equal(sample->quality, VENV_QUALITY_OK);
    assert_string_equal(sample->reason, "");
    venv_property_set_failed(set, slot, at(20 * S), "bad \x1b[0m\n");
    assert_int_equal(sample->quality, VENV_QUALITY_ERROR);
    assert_string_equal(sample->reason, "bad \\x1b[0m\\n");
    assert_int_equal(venv_value_peek_int(&sample->value), 5);
    assert_int_equal(sample->time.ns, wall_base + 10 * S);
    assert_int_equal(sample->failures, 1);
    /* grace: 3 × 10 s + 5 s after 10 s */
    venv_property_set_age(set, (venv_instant){ 45 * S - 1 });
    assert_int_equal(sample->quality, VENV_QUALITY_ERROR);
    venv_property_set_age(set, (venv_instant){ 45 * S });
    assert_int_equal(sample->quality, VENV_QUALITY_STALE);
    assert_string_equal(sample->reason, "bad \\x1b[0m\\n");
    venv_property_set_failed(set, slot, at(50 * S), "worse");
    assert_int_equal(sample->quality, VENV_QUALITY_STALE);
    assert_string_equal(sample->reason, "worse");
    assert_int_equal(sample->failures, 2);
    good(set, slot, 60 * S, venv_value_int(6));
    assert_int_equal(sample->quality, VENV_QUALITY_OK);
    assert_int_equal(sample->failures, 0);
    venv_property_set_free(set);
}

static void test_stale_without_attempts(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    uint32_t periodic = add(set, "p", VENV_PROPERTY_INT, 1), once = add(set, "o", VENV_PROPERTY_INT, 0), slot = 0;
    while (venv_property_set_due(set, (venv_instant){ 0 }, &slot))
        good(set, slot, 0, venv_value_int(1));
    /* the next sampling hangs: nobody reports */
    assert_true(venv_property_set_due(set, (venv_instant){ S }, &slot));
    assert_int_equal(venv_property_set_deadline(set).ns, 8 * S); /* 3 × 1 s + 5 s */
    venv_property_set_age(set, (venv_instant){ 8 * S });
    assert_int_equal(quality_of(set, periodic), VENV_QUALITY_STALE);
    assert_string_equal(venv_property_set_sample(set, periodic)->reason, "no new value in time");
    venv_property_set_age(set, (venv_instant){ 1000000 * S });
    assert_int_equal(quality_of(set, once), VENV_QUALITY_OK);
    assert_int_equal(venv_property_set_deadline(set).ns, INT64_MAX);
    venv_property_set_free(set);
}

static void test_types_are_kept(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    uint32_t number = add(set, "i", VENV_PROPERTY_INT, 1), real = add(set, "d", VENV_PROPERTY_DOUBLE, 1);
    uint32_t json = add(set, "j", VENV_PROPERTY_JSON, 1);
    good(set, number, 1, venv_value_uint(7));
    assert_int_equal(venv_value_kind(&venv_property_set_sample(set, number)->value), VENV_INT);
    good(set, number, 2, venv_value_double(7.5));
    assert_int_equal(quality_of(set, number), VENV_QUALITY_ERROR);
    assert_string_equal(venv_property_set_sample(set, number)->reason, "it gave a double; expected int");
    good(set, number, 2, venv_value_uint(UINT64_MAX));
    assert_int_equal(quality_of(set, number), VENV_QUALITY_ERROR);
    good(set, real, 1, venv_value_int(2));
    assert_int_equal(venv_value_kind(&venv_property_set_sample(set, real)->value), VENV_DOUBLE);
    good(set, real, 2, venv_value_double(NAN));
    assert_int_equal(quality_of(set, real), VENV_QUALITY_ERROR);
    good(set, json, 1, venv_value_from_span((venv_span){ 1 }));
    assert_int_equal(quality_of(set, json), VENV_QUALITY_ERROR);
    /* a list of lists of lists …: too deep to stand in a message */
    venv_value deep = venv_value_int(1);
    for (int i = 0; i < 13; i++) {
        venv_list_builder list;
        venv_list_init(&list);
        venv_list_add(&list, deep);
        assert_int_equal(venv_list_take(&list, &deep, NULL), VENV_OK);
    }
    good(set, json, 2, deep);
    assert_int_equal(quality_of(set, json), VENV_QUALITY_ERROR);
    good(set, json, 3, *venv_value_at(&deep, 0));
    assert_int_equal(quality_of(set, json), VENV_QUALITY_OK);
    venv_value_unref(&deep);
    venv_property_set_free(set);
}

static unsigned changed_count(venv_property_set *set, int64_t now, bool push)
{
    uint32_t cursor = 0, slot = 0;
    unsigned count = 0;
    while (venv_property_set_changed(set, (venv_instant){ now }, (venv_span){ 30 * S }, &cursor, &slot)) {
        count++;
        if (push)
            venv_property_set_pushed(set, slot, (venv_instant){ now });
    }
    return count;
}

static void test_changes(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    uint32_t a = add(set, "a", VENV_PROPERTY_INT, 1), b = add(set, "b", VENV_PROPERTY_STRING, 1);
    assert_false(venv_property_set_has_changed(set));
    good(set, a, 1, venv_value_int(0));
    good(set, b, 1, venv_value_literal("a text that is longer than what fits inline"));
    assert_true(venv_property_set_has_changed(set));
    assert_int_equal(changed_count(set, 1, true), 2);
    assert_false(venv_property_set_has_changed(set));
    good(set, a, 2, venv_value_int(0));
    good(set, b, 2, venv_value_literal("a text that is longer than what fits inline"));
    assert_int_equal(changed_count(set, 2, false), 0); /* the same again */
    good(set, a, 3, venv_value_int(1));
    assert_int_equal(changed_count(set, 3, true), 1);
    venv_property_set_failed(set, b, at(4), "why");
    assert_int_equal(changed_count(set, 4, true), 1); /* quality */
    venv_property_set_failed(set, b, at(5), "why");
    assert_int_equal(changed_count(set, 5, false), 0);
    venv_property_set_failed(set, b, at(6), "why not");
    assert_int_equal(changed_count(set, 6, true), 1); /* reason */
    /* a refresh: tried again since, and long ago */
    good(set, a, 29 * S, venv_value_int(1));
    assert_int_equal(changed_count(set, 29 * S, false), 0);
    assert_int_equal(changed_count(set, 31 * S, true), 1);
    assert_false(venv_property_set_has_changed(set));
    assert_int_equal(changed_count(set, 100 * S, false), 0); /* not tried since: nothing to tell */
    venv_property_set_free(set);
}

static void test_bad_definitions(void **state)
{
    (void)state;
    venv_property_set *set = set_new();
    venv_property ok = { .label = VENV_STR("x"), .type = VENV_PROPERTY_INT, .source = VENV_PROPERTY_COMMAND,
                         .name = VENV_STR("cmd"), .args = venv_value_null(), .every = 1, .timeout = { S } };
    venv_property bad = ok;
    uint32_t slot = 77;
    venv_error err = { 0 };
    bad.label = VENV_STR("1x");
    assert_int_equal(venv_property_set_add(set, &bad, &slot, &err), VENV_EINVAL);
    bad = ok;
    bad.name = VENV_STR("../cmd");
    assert_int_equal(venv_property_set_add(set, &bad, &slot, &err), VENV_EINVAL);
    assert_non_null(strstr(err.text, "by name, not by path"));
    bad = ok;
    bad.every = VENV_PROPERTY_EVERY_MAX + INT64_C(1);
    assert_int_equal(venv_property_set_add(set, &bad, &slot, &err), VENV_ERANGE);
    bad = ok;
    bad.timeout.ns = 0;
    assert_int_equal(venv_property_set_add(set, &bad, &slot, &err), VENV_ERANGE);
    bad = ok;
    bad.unit = VENV_STR("\x1b[0m");
    assert_int_equal(venv_property_set_add(set, &bad, &slot, &err), VENV_EINVAL);
    bad = ok;
    bad.args = venv_value_int(1);
    assert_int_equal(venv_property_set_add(set, &bad, &slot, &err), VENV_EINVAL);
    assert_int_equal(slot, 77);
    assert_int_equal(venv_property_set_count(set), 0);
    assert_int_equal(venv_property_set_add(set, &ok, &slot, &err), VENV_OK);
    assert_int_equal(venv_property_set_add(set, &ok, &slot, &err), VENV_EEXIST);
    char label[16];
    for (int i = 1; i < VENV_PROPERTY_COUNT_MAX; i++) {
        snprintf(label, sizeof(label), "p%d", i);
        add(set, label, VENV_PROPERTY_INT, 1);
    }
    ok.label = VENV_STR("one_more");
    assert_int_equal(venv_property_set_add(set, &ok, &slot, &err), VENV_ELIMIT);
    assert_true(venv_property_set_find(set, VENV_STR("p1000"), &slot));
    assert_int_equal(slot, 1000);
    assert_false(venv_property_set_find(set, VENV_STR("p9999"), &slot));
    assert_null(venv_property_set_peek(set, VENV_PROPERTY_COUNT_MAX));
    venv_property_set_free(set);
    assert_int_equal(venv_property_set_new((venv_span){ 0 }, (venv_instant){ 0 }, &set, NULL), VENV_EINVAL);
}

static uint64_t run_script(void)
{
    venv_property_set *set = set_new();
    uint32_t a = add(set, "a", VENV_PROPERTY_INT, 1), slot = 0;
    for (int64_t tick = 0; tick < 10; tick++)
        while (venv_property_set_due(set, (venv_instant){ tick * S }, &slot))
            good(set, a, tick * S, venv_value_int(tick));
    uint64_t digest = venv_property_set_digest(set, 1);
    good(set, a, 11 * S, venv_value_int(-1));
    assert_true(venv_property_set_digest(set, 1) != digest);
    venv_property_set_free(set);
    return digest;
}

static void test_digest(void **state)
{
    (void)state;
    assert_true(run_script() == run_script());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_no_overlap_no_catching_up),
        cmocka_unit_test(test_longest_due_first),
        cmocka_unit_test(test_failure_keeps_the_value),
        cmocka_unit_test(test_stale_without_attempts),
        cmocka_unit_test(test_types_are_kept),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_bad_definitions),
        cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
