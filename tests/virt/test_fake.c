/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver in memory: the suite of all drivers, and what only it can do, failing on demand.
 */
#include "suite.h"

#include "virt/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((venv_span){ (n) * VENV_NS_PER_S })

static venv_fake_world *world;
static venv_error err;

static venv_hypervisor *open_world(void *self, const char *cluster)
{
    (void)self;
    venv_hypervisor *hypervisor = NULL;
    return venv_fake_world_open(world, cluster, &hypervisor, &err) == VENV_OK ? hypervisor : NULL;
}

static bool foreign_there;

static venv_id foreign(void *self)
{
    (void)self;
    venv_id id = suite_id(200);
    if (!foreign_there)
        assert_rc(venv_fake_world_add_foreign(world, id, "theirs", 2, 1u << 30, &err), VENV_OK, &err);
    foreign_there = true;
    return id;
}

static const char *foreign_name(void *self)
{
    (void)self;
    return "theirs";
}

static bool foreign_runs(void *self)
{
    (void)self;
    return venv_fake_world_running_count(world) == 1;
}

static void end_guest(void *self, venv_id id)
{
    (void)self;
    assert_true(venv_fake_world_end_guest(world, id, false));
}

/* --- failing ---------------------------------------------------------------------------------------- */

static venv_hypervisor *hypervisor;

static int set_up(void **state)
{
    (void)state;
    return venv_fake_world_new(8, UINT64_C(16) << 30, &world, &err) == VENV_OK &&
                   (hypervisor = open_world(NULL, "suite"))
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    venv_hypervisor_close(hypervisor);
    venv_fake_world_free(world);
    return 0;
}

static venv_rc start(unsigned number)
{
    char instance[16];
    snprintf(instance, sizeof instance, "class2-%u", number);
    char *xml = suite_xml(VENV_HYPERVISOR_QEMU, number, "suite", instance, 1);
    venv_rc rc = venv_machine_start(hypervisor, suite_id(number), xml, &err);
    free(xml);
    return rc;
}

static size_t listed(void)
{
    venv_machine_list list = { 0 };
    assert_rc(venv_hypervisor_list(hypervisor, &list, &err), VENV_OK, &err);
    size_t count = list.count;
    venv_machine_list_fini(&list);
    return count;
}

static void a_start_that_fails_leaves_nothing(void **state)
{
    (void)state;
    venv_fake_world_fail(world, VENV_FAKE_START, VENV_FAKE_BEFORE, VENV_EIO, 1);
    assert_rc(start(1), VENV_EIO, &err);
    assert_non_null(strstr(err.text, "injected"));
    assert_int_equal(listed(), 0);
    assert_rc(start(1), VENV_OK, &err);
    assert_int_equal(venv_fake_world_start_count(world), 1);
}

static void an_answer_that_is_lost_is_had_by_asking_again(void **state)
{
    (void)state;
    venv_fake_world_fail(world, VENV_FAKE_START, VENV_FAKE_AFTER, VENV_EUNKNOWN, 1);
    assert_rc(start(1), VENV_EUNKNOWN, &err);
    assert_rc(start(1), VENV_OK, &err);
    assert_int_equal(venv_fake_world_start_count(world), 1);
    venv_fake_world_fail(world, VENV_FAKE_DESTROY, VENV_FAKE_AFTER, VENV_EUNKNOWN, 1);
    assert_rc(venv_machine_destroy(hypervisor, suite_id(1), &err), VENV_EUNKNOWN, &err);
    assert_rc(venv_machine_destroy(hypervisor, suite_id(1), &err), VENV_OK, &err);
    assert_int_equal(venv_fake_world_running_count(world), 0);
}

static void a_dead_hypervisor_is_not_an_empty_one(void **state)
{
    (void)state;
    assert_rc(start(1), VENV_OK, &err);
    venv_fake_world_reachable(world, false);
    venv_machine_list list = { 0 };
    venv_machine_info info;
    venv_hypervisor_event event;
    assert_rc(venv_hypervisor_list(hypervisor, &list, &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_machine_destroy(hypervisor, suite_id(1), &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_machine_stop(hypervisor, suite_id(1), SECONDS(5), &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_hypervisor_wait(hypervisor, SECONDS(5), &event, &err), VENV_EUNREACHABLE, &err);
    assert_rc(start(2), VENV_EUNREACHABLE, &err);
    venv_hypervisor *again = NULL;
    assert_rc(venv_fake_world_open(world, "suite", &again, &err), VENV_EUNREACHABLE, &err);
    venv_fake_world_reachable(world, true);
    /* The old connection stays dead; a new one sees what there was. */
    assert_rc(venv_hypervisor_list(hypervisor, &list, &err), VENV_EUNREACHABLE, &err);
    venv_hypervisor_close(hypervisor);
    hypervisor = open_world(NULL, "suite");
    assert_int_equal(listed(), 1);
    assert_int_equal(venv_fake_world_running_count(world), 1);
}

static void losing_the_connection_between_define_and_boot(void **state)
{
    (void)state;
    venv_fake_world_fail(world, VENV_FAKE_START, VENV_FAKE_BEFORE, VENV_EUNREACHABLE, 1);
    assert_rc(start(1), VENV_EUNREACHABLE, &err);
    assert_int_equal(venv_fake_world_running_count(world), 0);
    assert_rc(start(1), VENV_OK, &err);
    assert_int_equal(listed(), 1);
}

static void a_guest_that_does_not_hear_is_powered_off_after_the_grace(void **state)
{
    (void)state;
    venv_fake_world_obedient(world, false);
    assert_rc(start(1), VENV_OK, &err);
    assert_rc(venv_machine_stop(hypervisor, suite_id(1), SECONDS(30), &err), VENV_OK, &err);
    assert_int_equal(listed(), 0);
}

static void a_guest_takes_its_time_to_shut_down(void **state)
{
    (void)state;
    assert_rc(start(1), VENV_OK, &err);
    assert_rc(venv_machine_shutdown(hypervisor, suite_id(1), &err), VENV_OK, &err);
    venv_machine_info info;
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_OK, &err);
    assert_int_equal(info.state, VENV_MACHINE_STOPPING);
    /* It cannot be started while it goes down. */
    assert_rc(start(1), VENV_ECONFLICT, &err);
    venv_fake_world_advance(world, (venv_span){ VENV_FAKE_SHUTDOWN_NS });
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_OK, &err);
    assert_int_equal(info.state, VENV_MACHINE_STOPPED);
    assert_string_equal(info.reason, "shut down");
}

static void a_crash_is_no_orderly_end(void **state)
{
    (void)state;
    assert_rc(start(1), VENV_OK, &err);
    assert_true(venv_fake_world_end_guest(world, suite_id(1), true));
    assert_false(venv_fake_world_end_guest(world, suite_id(1), true));
    venv_machine_info info;
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_OK, &err);
    assert_int_equal(info.state, VENV_MACHINE_FAILED);
}

static void too_many_events_are_one_gap(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VENV_HYPERVISOR_EVENTS_MAX; i++) {
        assert_rc(start(1), VENV_OK, &err);
        assert_rc(venv_machine_destroy(hypervisor, suite_id(1), &err), VENV_OK, &err);
    }
    venv_hypervisor_event event;
    assert_rc(venv_hypervisor_wait(hypervisor, SECONDS(0), &event, &err), VENV_OK, &err);
    assert_int_equal(event.kind, VENV_HYPERVISOR_GAP);
    assert_rc(venv_hypervisor_wait(hypervisor, SECONDS(0), &event, &err), VENV_ETIMEDOUT, &err);
    assert_rc(start(1), VENV_OK, &err);
    assert_rc(venv_hypervisor_wait(hypervisor, SECONDS(0), &event, &err), VENV_OK, &err);
    assert_int_equal(event.kind, VENV_HYPERVISOR_CHANGED);
}

static void fake_uri_and_bad_options(void **state)
{
    (void)state;
    venv_hypervisor *own = NULL;
    assert_rc(venv_hypervisor_open("fake:", NULL, &own, &err), VENV_OK, &err);
    venv_hypervisor_info info;
    assert_rc(venv_hypervisor_info_get(own, &info, &err), VENV_OK, &err);
    assert_string_equal(info.driver, "fake");
    venv_hypervisor_close(own);
    venv_hypervisor_options options = VENV_HYPERVISOR_OPTIONS_INIT;
    options.cluster = "Not a name";
    assert_rc(venv_hypervisor_open("fake:", &options, &own, &err), VENV_EINVAL, &err);
    options.cluster = NULL;
    options.keepalive.ns = 1;
    assert_rc(venv_hypervisor_open("fake:", &options, &own, &err), VENV_EINVAL, &err);
    assert_rc(venv_hypervisor_open("", NULL, &own, &err), VENV_EINVAL, &err);
    assert_rc(venv_hypervisor_open(NULL, NULL, &own, &err), VENV_EINVAL, &err);
    venv_hypervisor_close(NULL);
    assert_string_equal(venv_machine_state_name(VENV_MACHINE_FAILED), "failed");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_start_that_fails_leaves_nothing),
        TEST(an_answer_that_is_lost_is_had_by_asking_again),
        TEST(a_dead_hypervisor_is_not_an_empty_one),
        TEST(losing_the_connection_between_define_and_boot),
        TEST(a_guest_that_does_not_hear_is_powered_off_after_the_grace),
        TEST(a_guest_takes_its_time_to_shut_down),
        TEST(a_crash_is_no_orderly_end),
        TEST(too_many_events_are_one_gap),
        TEST(fake_uri_and_bad_options),
    };
#undef TEST
    suite_driver driver = {
        .name = "fake:", .kind = VENV_HYPERVISOR_QEMU, .obedient = true, .open = open_world, .foreign = foreign,
        .foreign_name = foreign_name, .foreign_runs = foreign_runs, .end_guest = end_guest,
    };
    if (venv_fake_world_new(8, UINT64_C(16) << 30, &world, &err) != VENV_OK)
        return 1;
    int failed = suite_run(&driver);
    venv_fake_world_free(world);
    failed += cmocka_run_group_tests_name("fake: failing", tests, NULL, NULL);
    suite_clean();
    return failed != 0;
}
