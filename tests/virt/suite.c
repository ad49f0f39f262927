/* SPDX-License-Identifier: Apache-2.0 */
#include "suite.h"


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CLUSTER "suite"
#define SECONDS(n) ((venv_span){ (n) * VENV_NS_PER_S })

/* --- support --------------------------------------------------------------------------------------- */

void suite_assert_rc(venv_rc rc, venv_rc expected, const venv_error *err, const char *file, int line)
{
    if (rc != expected)
        print_error("%s:%d: %s instead of %s: %s\n", file, line, venv_rc_name(rc), venv_rc_name(expected),
                    err && err->rc ? err->text : "");
    _assert_int_equal((LargestIntegralType)rc, (LargestIntegralType)expected, file, line);
}

static char folder[64];

const char *suite_folder(void)
{
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/venv-suite-XXXXXX");
        if (!mkdtemp(folder))
            abort();
        char path[128];
        snprintf(path, sizeof path, "%s/empty.raw", folder);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, 65536) != 0)
            abort();
        close(fd);
    }
    return folder;
}

const char *suite_saves(void)
{
    static char saves[80];
    snprintf(saves, sizeof saves, "%s/saves", suite_folder());
    if (mkdir(saves, 0700) != 0 && errno != EEXIST)
        abort();
    return saves;
}

/* Files in the folder of saves. */
static size_t count_saves(void)
{
    DIR *open_folder = opendir(suite_saves());
    size_t count = 0;
    assert_non_null(open_folder);
    for (const struct dirent *entry; (entry = readdir(open_folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(open_folder);
    return count;
}

void suite_clean(void)
{
    if (!folder[0])
        return;
    char path[128];
    rmdir(suite_saves());
    snprintf(path, sizeof path, "%s/empty.raw", folder);
    unlink(path);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "%s/%u.log", folder, i);
        unlink(path);
    }
    rmdir(folder);
    folder[0] = '\0';
}

venv_id suite_id(unsigned number)
{
    venv_id id = { { 0x5a, 0x11, 0xed, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0 } };
    id.bytes[15] = (uint8_t)number;
    return id;
}

char *suite_xml(venv_hypervisor_kind kind, unsigned number, const char *cluster, const char *instance, uint64_t epoch)
{
    /* Nothing to boot from on an empty disk: the firmware says so and waits, for ever. */
    char disk[128];
    snprintf(disk, sizeof disk, "%s/empty.raw", suite_folder());
    char text[512];
    snprintf(text, sizeof text,
             "{\"hypervisor\":\"%s\",\"memory\":\"32MiB\",\"disks\":[{\"file\":\"%s\",\"format\":\"raw\",\"readonly\":true}],"
             "\"networks\":[{\"user\":true}]}",
             venv_hypervisor_kind_name(kind), disk);
    venv_value value = venv_value_null();
    venv_environment *environment = NULL;
    venv_error err = { 0 };
    assert_rc(venv_json_parse(text, strlen(text), sizeof text, &value, &err), VENV_OK, &err);
    assert_rc(venv_environment_from_value("class2", &value, NULL, NULL, &environment, &err), VENV_OK, &err);
    venv_value_unref(&value);
    venv_machine_mark mark = { .id = suite_id(number), .epoch = epoch };
    snprintf(mark.cluster, sizeof mark.cluster, "%s", cluster);
    snprintf(mark.instance, sizeof mark.instance, "%s", instance);
    snprintf(mark.console, sizeof mark.console, "%s/%u.log", suite_folder(), number);
    char *xml = NULL;
    assert_rc(venv_environment_domain_xml(environment, &mark, NULL, &xml, &err), VENV_OK, &err);
    venv_environment_unref(environment);
    return xml;
}

static venv_rc start(suite_driver *driver, venv_hypervisor *hypervisor, unsigned number, const char *instance,
                     uint64_t epoch, venv_error *err)
{
    char *xml = suite_xml(driver->kind, number, CLUSTER, instance, epoch);
    venv_rc rc = venv_machine_start(hypervisor, suite_id(number), xml, err);
    free(xml);
    return rc;
}

static const venv_machine_info *in_list(const venv_machine_list *list, venv_id id)
{
    for (size_t i = 0; i < list->count; i++)
        if (venv_id_equal(list->items[i].id, id))
            return &list->items[i];
    return NULL;
}

/* Each test has a connection of its own and leaves no machine. */
typedef struct fixture {
    suite_driver *driver;
    venv_hypervisor *hypervisor;
    venv_error err;
} fixture;

static suite_driver *under_test;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->driver = under_test;
    f->hypervisor = f->driver->open(f->driver->self, CLUSTER);
    *state = f;
    return f->hypervisor ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    venv_machine_list list = { 0 };
    if (venv_hypervisor_list(f->hypervisor, &list, &f->err) == VENV_OK)
        for (size_t i = 0; i < list.count; i++)
            if (venv_machine_destroy(f->hypervisor, list.items[i].id, &f->err) != VENV_OK)
                print_error("tear down: %s\n", f->err.text);
    venv_machine_list_fini(&list);
    venv_hypervisor_close(f->hypervisor);
    free(f);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------------ */

static void says_what_the_node_has(void **state)
{
    fixture *f = *state;
    venv_hypervisor_info info = { 0 };
    assert_rc(venv_hypervisor_info_get(f->hypervisor, &info, &f->err), VENV_OK, &f->err);
    assert_true(info.cpus > 0);
    assert_true(info.memory_bytes > 64u << 20);
    assert_true(info.kinds & (1u << f->driver->kind));
    assert_true(info.driver[0] && info.hostname[0]);
}

static void started_machine_is_listed_with_its_mark(void **state)
{
    fixture *f = *state;
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    venv_machine_list list = { 0 };
    assert_rc(venv_hypervisor_list(f->hypervisor, &list, &f->err), VENV_OK, &f->err);
    assert_int_equal(list.count, 1);
    const venv_machine_info *info = in_list(&list, suite_id(1));
    assert_non_null(info);
    assert_string_equal(info->instance, "class2-1");
    assert_string_equal(info->environment, "class2");
    assert_int_equal(info->epoch, 7);
    assert_int_equal(info->state, VENV_MACHINE_RUNNING);
    assert_int_equal(info->vcpus, 1);
    assert_int_equal(info->memory_bytes, 32u << 20);
    char console[128];
    snprintf(console, sizeof console, "%s/1.log", suite_folder());
    assert_string_equal(info->console, console);
    venv_machine_info one = { 0 };
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &one, &f->err), VENV_OK, &f->err);
    assert_string_equal(one.instance, "class2-1");
    venv_machine_list_fini(&list);
}

static void starting_twice_starts_once(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 3; i++)
        assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    assert_int_equal(f->err.rc, VENV_OK); /* an error is filled on failure only */
    /* A later placement asks for what is there already: it is left alone, too. */
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 8, &f->err), VENV_OK, &f->err);
    venv_machine_list list = { 0 };
    assert_rc(venv_hypervisor_list(f->hypervisor, &list, &f->err), VENV_OK, &f->err);
    assert_int_equal(list.count, 1);
    venv_machine_list_fini(&list);
}

static void an_old_epoch_is_refused(void **state)
{
    fixture *f = *state;
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 6, &f->err), VENV_ECONFLICT, &f->err);
    assert_non_null(strstr(f->err.text, "epoch"));
}

static void an_ended_machine_is_kept_with_its_reason_and_starts_again(void **state)
{
    fixture *f = *state;
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    f->driver->end_guest(f->driver->self, suite_id(1));
    venv_machine_info info = { 0 };
    for (int i = 0; i < 100; i++) {
        assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_OK, &f->err);
        if (info.state == VENV_MACHINE_STOPPED || info.state == VENV_MACHINE_FAILED)
            break;
        nanosleep(&(struct timespec){ 0, 50 * 1000 * 1000 }, NULL);
    }
    assert_true(info.state == VENV_MACHINE_STOPPED || info.state == VENV_MACHINE_FAILED);
    assert_true(info.reason[0]);
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 8, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_OK, &f->err);
    assert_int_equal(info.state, VENV_MACHINE_RUNNING);
    assert_int_equal(info.epoch, 8);
}

static void a_leftover_definition_is_not_in_the_way(void **state)
{
    fixture *f = *state;
    /* The same name under another id, and the same id under another name; both ended. */
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 1, &f->err), VENV_OK, &f->err);
    f->driver->end_guest(f->driver->self, suite_id(1));
    assert_rc(start(f->driver, f->hypervisor, 2, "class2-1", 1, &f->err), VENV_OK, &f->err);
    f->driver->end_guest(f->driver->self, suite_id(2));
    assert_rc(start(f->driver, f->hypervisor, 2, "class2-9", 2, &f->err), VENV_OK, &f->err);
    venv_machine_list list = { 0 };
    assert_rc(venv_hypervisor_list(f->hypervisor, &list, &f->err), VENV_OK, &f->err);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].instance, "class2-9");
    venv_machine_list_fini(&list);
    /* But not while it runs. */
    assert_rc(start(f->driver, f->hypervisor, 3, "class2-9", 1, &f->err), VENV_EEXIST, &f->err);
}

static void destroyed_is_gone_and_that_twice(void **state)
{
    fixture *f = *state;
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    for (int i = 0; i < 2; i++)
        assert_rc(venv_machine_destroy(f->hypervisor, suite_id(1), &f->err), VENV_OK, &f->err);
    assert_int_equal(f->err.rc, VENV_OK);
    venv_machine_info info;
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_ENOENT, &f->err);
    assert_rc(venv_machine_shutdown(f->hypervisor, suite_id(1), &f->err), VENV_ENOENT, &f->err);
    assert_rc(venv_machine_stop(f->hypervisor, suite_id(1), SECONDS(1), &f->err), VENV_OK, &f->err);
    venv_machine_list list = { 0 };
    assert_rc(venv_hypervisor_list(f->hypervisor, &list, &f->err), VENV_OK, &f->err);
    assert_int_equal(list.count, 0);
    venv_machine_list_fini(&list);
}

static void stop_asks_and_then_powers_off(void **state)
{
    fixture *f = *state;
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    /* A guest that hears goes long before the grace is over; one that does not goes with it. */
    assert_rc(venv_machine_stop(f->hypervisor, suite_id(1), SECONDS(f->driver->obedient ? 60 : 3), &f->err),
              VENV_OK, &f->err);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (f->driver->obedient)
        assert_true(after.tv_sec - before.tv_sec < 30);
    else
        assert_true(after.tv_sec - before.tv_sec >= 2);
    venv_machine_info info;
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_ENOENT, &f->err);
    /* Without grace: at once. */
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_stop(f->hypervisor, suite_id(1), SECONDS(0), &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_stop(f->hypervisor, suite_id(1), SECONDS(-1), &f->err), VENV_EINVAL, &f->err);
}

static venv_machine_state state_of(fixture *f, unsigned number)
{
    venv_machine_info info;
    assert_rc(venv_machine_get(f->hypervisor, suite_id(number), &info, &f->err), VENV_OK, &f->err);
    return info.state;
}

/* Each of these twice: the second time it is a success that changes nothing. */
static void paused_saved_and_restored(void **state)
{
    fixture *f = *state;
    venv_id id = suite_id(31);
    assert_rc(venv_machine_pause(f->hypervisor, id, &f->err), VENV_ENOENT, &f->err);
    assert_rc(venv_machine_restore(f->hypervisor, id, &f->err), VENV_ENOENT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 31, "class2-31", 1, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_resume(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    for (int i = 0; i < 2; i++)
        assert_rc(venv_machine_pause(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    assert_int_equal(state_of(f, 31), VENV_MACHINE_PAUSED);
    assert_rc(venv_machine_restore(f->hypervisor, id, &f->err), VENV_OK, &f->err); /* it is up: nothing to restore */
    for (int i = 0; i < 2; i++)
        assert_rc(venv_machine_resume(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    assert_int_equal(state_of(f, 31), VENV_MACHINE_RUNNING);
    for (int i = 0; i < 2; i++)
        assert_rc(venv_machine_save(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    assert_int_equal(state_of(f, 31), VENV_MACHINE_SAVED);
    assert_rc(venv_machine_pause(f->hypervisor, id, &f->err), VENV_ECONFLICT, &f->err);
    assert_rc(venv_machine_resume(f->hypervisor, id, &f->err), VENV_ECONFLICT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 31, "class2-31", 1, &f->err), VENV_ECONFLICT, &f->err);
    for (int i = 0; i < 2; i++)
        assert_rc(venv_machine_restore(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    assert_int_equal(state_of(f, 31), VENV_MACHINE_RUNNING);
    /* A destroy takes the file, too: what starts after it begins anew. */
    assert_rc(venv_machine_save(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_restore(f->hypervisor, id, &f->err), VENV_ENOENT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 31, "class2-31", 2, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
}

static void a_checkpoint_can_be_gone_back_to(void **state)
{
    fixture *f = *state;
    venv_id id = suite_id(33);
    assert_rc(venv_machine_checkpoint(f->hypervisor, id, &f->err), VENV_ENOENT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 33, "class2-33", 1, &f->err), VENV_OK, &f->err);
    if (f->driver->no_checkpoints) {
        assert_rc(venv_machine_checkpoint(f->hypervisor, id, &f->err), VENV_EUNSUPPORTED, &f->err);
    } else {
        assert_rc(venv_machine_revert(f->hypervisor, id, &f->err), VENV_ENOENT, &f->err);
        for (int i = 0; i < 2; i++) {
            assert_rc(venv_machine_checkpoint(f->hypervisor, id, &f->err), VENV_OK, &f->err);
            assert_int_equal(state_of(f, 33), VENV_MACHINE_RUNNING);
        }
        /* From every state. */
        assert_rc(venv_machine_revert(f->hypervisor, id, &f->err), VENV_OK, &f->err);
        assert_int_equal(state_of(f, 33), VENV_MACHINE_RUNNING);
        assert_rc(venv_machine_save(f->hypervisor, id, &f->err), VENV_OK, &f->err);
        assert_rc(venv_machine_checkpoint(f->hypervisor, id, &f->err), VENV_ECONFLICT, &f->err);
        assert_rc(venv_machine_revert(f->hypervisor, id, &f->err), VENV_OK, &f->err);
        f->driver->end_guest(f->driver->self, id);
        assert_rc(venv_machine_revert(f->hypervisor, id, &f->err), VENV_OK, &f->err);
        assert_int_equal(state_of(f, 33), VENV_MACHINE_RUNNING);
    }
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
    assert_int_equal(count_saves(), 0);
}

static void a_reboot_keeps_the_machine(void **state)
{
    fixture *f = *state;
    venv_id id = suite_id(34);
    assert_rc(venv_machine_reboot(f->hypervisor, id, SECONDS(0), &f->err), VENV_ENOENT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 34, "class2-34", 1, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_reboot(f->hypervisor, id, SECONDS(-1), &f->err), VENV_EINVAL, &f->err);
    for (int grace = 0; grace < 4; grace += 3) {
        venv_rc rc = venv_machine_reboot(f->hypervisor, id, SECONDS(grace), &f->err);
        if (f->driver->no_reboot && grace == 0)
            assert_rc(rc, VENV_EUNSUPPORTED, &f->err);
        else if (!f->driver->no_reboot)
            assert_rc(rc, VENV_OK, &f->err);
        if (!f->driver->no_reboot)
            assert_int_equal(state_of(f, 34), VENV_MACHINE_RUNNING);
    }
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
}

static bool count_bytes(void *user, const void *data, size_t size)
{
    (void)data;
    *(size_t *)user += size;
    return true;
}

static bool want_nothing(void *user, const void *data, size_t size)
{
    (void)user;
    (void)data;
    (void)size;
    return false;
}

static void the_screen_can_be_seen(void **state)
{
    fixture *f = *state;
    venv_id id = suite_id(35);
    char media[VENV_MEDIA_MAX] = "";
    size_t size = 0;
    assert_rc(venv_machine_screenshot(f->hypervisor, id, media, count_bytes, &size, &f->err), VENV_ENOENT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 35, "class2-35", 1, &f->err), VENV_OK, &f->err);
    venv_rc rc = venv_machine_screenshot(f->hypervisor, id, media, count_bytes, &size, &f->err);
    if (rc != VENV_EUNSUPPORTED) {
        assert_rc(rc, VENV_OK, &f->err);
        assert_true(size > 10);
        assert_memory_equal(media, "image/", 6);
        assert_rc(venv_machine_screenshot(f->hypervisor, id, media, want_nothing, NULL, &f->err), VENV_ECANCELED, &f->err);
    }
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
}

static void the_console_is_read_and_written(void **state)
{
    fixture *f = *state;
    venv_id id = suite_id(36);
    venv_console *console = NULL, *other = NULL;
    char buffer[256];
    size_t size = 0;
    assert_rc(venv_console_open(f->hypervisor, id, false, &console, &f->err), VENV_ENOENT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 36, "class2-36", 1, &f->err), VENV_OK, &f->err);
    if (f->driver->no_console) {
        assert_rc(venv_console_open(f->hypervisor, id, false, &console, &f->err), VENV_EUNSUPPORTED, &f->err);
    } else {
        assert_rc(venv_console_open(f->hypervisor, id, false, &console, &f->err), VENV_OK, &f->err);
        assert_rc(venv_console_write(console, "\r\n", 2, &size, &f->err), VENV_OK, &f->err);
        venv_console_wake(console);
        venv_rc rc = VENV_OK;
        for (int i = 0; i < 100 && rc == VENV_OK; i++)
            rc = venv_console_read(console, buffer, sizeof buffer, SECONDS(5), &size, &f->err);
        assert_rc(rc, VENV_ECANCELED, &f->err);
        for (int i = 0; i < 100 && (rc == VENV_OK || rc == VENV_ECANCELED); i++)
            rc = venv_console_read(console, buffer, sizeof buffer, (venv_span){ VENV_NS_PER_S / 5 }, &size, &f->err);
        assert_rc(rc, VENV_ETIMEDOUT, &f->err);
        /* It is taken away only from who asks for that. */
        rc = venv_console_open(f->hypervisor, id, false, &other, &f->err);
        if (rc == VENV_ECONFLICT)
            assert_rc(venv_console_open(f->hypervisor, id, true, &other, &f->err), VENV_OK, &f->err);
        else
            assert_rc(rc, VENV_OK, &f->err);
        venv_console_close(other);
        venv_console_close(console);
    }
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
}

static void nothing_takes_long(void **state)
{
    fixture *f = *state;
    venv_id id = suite_id(37);
    venv_machine_progress progress;
    assert_rc(venv_machine_cancel(f->hypervisor, id, &f->err), VENV_ENOENT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 37, "class2-37", 1, &f->err), VENV_OK, &f->err);
    assert_int_not_equal(venv_machine_cancel(f->hypervisor, id, &f->err), VENV_OK);
    venv_rc rc = venv_machine_progress_get(f->hypervisor, id, &progress, &f->err);
    assert_true(rc == VENV_ENOENT || rc == VENV_EUNSUPPORTED);
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
}

static void a_foreign_domain_is_not_changed(void **state)
{
    fixture *f = *state;
    venv_id id = f->driver->foreign(f->driver->self);
    assert_rc(venv_machine_pause(f->hypervisor, id, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_resume(f->hypervisor, id, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_save(f->hypervisor, id, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_restore(f->hypervisor, id, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_migrate(f->hypervisor, id, "qemu+tls://elsewhere/system", 9, NULL, &f->err), VENV_EDENIED, &f->err);
    char media[VENV_MEDIA_MAX];
    size_t size = 0;
    venv_console *console = NULL;
    venv_machine_progress progress;
    assert_rc(venv_machine_reboot(f->hypervisor, id, SECONDS(0), &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_checkpoint(f->hypervisor, id, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_revert(f->hypervisor, id, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_screenshot(f->hypervisor, id, media, count_bytes, &size, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_cancel(f->hypervisor, id, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_progress_get(f->hypervisor, id, &progress, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_console_open(f->hypervisor, id, true, &console, &f->err), VENV_EDENIED, &f->err);
    assert_true(f->driver->foreign_runs(f->driver->self));
}

/* What is refused before anybody is asked, and a target that does not answer: it runs on here. */
static void a_migration_that_does_not_work_leaves_it_here(void **state)
{
    fixture *f = *state;
    venv_id id = suite_id(32);
    assert_rc(start(f->driver, f->hypervisor, 32, "class2-32", 4, &f->err), VENV_OK, &f->err);
    assert_rc(venv_machine_migrate(f->hypervisor, id, "qemu+tls://elsewhere/system", 4, NULL, &f->err), VENV_ECONFLICT, &f->err);
    static const char *const bad[] = { "", "elsewhere", "://x", "qemu+ssh://a b/system", "qemu+ext://x/;id", "qemu+ssh://$(id)/system" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(venv_machine_migrate(f->hypervisor, id, bad[i], 5, NULL, &f->err), VENV_EINVAL, &f->err);
    assert_int_not_equal(venv_machine_migrate(f->hypervisor, id, "qemu+unix:///system?socket=/nonexistent/s", 5, NULL, &f->err), VENV_OK);
    assert_int_equal(state_of(f, 32), VENV_MACHINE_RUNNING);
    assert_rc(venv_machine_destroy(f->hypervisor, id, &f->err), VENV_OK, &f->err);
}

static void foreign_domains_are_counted_and_left_alone(void **state)
{
    fixture *f = *state;
    suite_driver *d = f->driver;
    venv_id foreign = d->foreign(d->self);
    venv_machine_list list = { 0 };
    assert_rc(venv_hypervisor_list(f->hypervisor, &list, &f->err), VENV_OK, &f->err);
    assert_int_equal(list.count, 0);
    assert_int_equal(list.foreign_count, 1);
    assert_true(list.foreign_vcpus >= 1);
    assert_true(list.foreign_memory_bytes > 0);
    venv_machine_list_fini(&list);
    venv_machine_info info;
    assert_rc(venv_machine_get(f->hypervisor, foreign, &info, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_shutdown(f->hypervisor, foreign, &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_stop(f->hypervisor, foreign, SECONDS(0), &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_stop(f->hypervisor, foreign, SECONDS(3), &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_destroy(f->hypervisor, foreign, &f->err), VENV_EDENIED, &f->err);
    /* A start under its id: XML that says it is that machine. */
    char *xml = suite_xml(d->kind, 1, CLUSTER, "class2-1", 1);
    char ours[VENV_ID_TEXT_SIZE], theirs[VENV_ID_TEXT_SIZE];
    char *uuid = strstr(xml, venv_id_format(suite_id(1), ours));
    assert_non_null(uuid);
    memcpy(uuid, venv_id_format(foreign, theirs), VENV_ID_TEXT_SIZE - 1);
    assert_rc(venv_machine_start(f->hypervisor, foreign, xml, &f->err), VENV_EDENIED, &f->err);
    free(xml);
    assert_true(d->foreign_runs(d->self));
}

static void a_name_that_a_foreign_domain_has_is_refused(void **state)
{
    fixture *f = *state;
    suite_driver *d = f->driver;
    (void)d->foreign(d->self);
    char *xml = suite_xml(d->kind, 1, CLUSTER, "class2-1", 1);
    char *name = strstr(xml, "<name>");
    assert_non_null(name);
    /* The foreign domain's name is no longer than ours. */
    const char *theirs = d->foreign_name(d->self);
    char *rest = strstr(name, "</name>");
    assert_true(strlen(theirs) <= (size_t)(rest - name - 6));
    memcpy(name + 6, theirs, strlen(theirs));
    memmove(name + 6 + strlen(theirs), rest, strlen(rest) + 1);
    assert_rc(venv_machine_start(f->hypervisor, suite_id(1), xml, &f->err), VENV_EEXIST, &f->err);
    free(xml);
    assert_true(d->foreign_runs(d->self));
    venv_machine_info info;
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_ENOENT, &f->err);
}

static void another_clusters_machine_is_foreign(void **state)
{
    fixture *f = *state;
    venv_hypervisor *other = f->driver->open(f->driver->self, "other");
    assert_non_null(other);
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    venv_machine_list mine = { 0 }, list = { 0 };
    assert_rc(venv_hypervisor_list(f->hypervisor, &mine, &f->err), VENV_OK, &f->err);
    assert_rc(venv_hypervisor_list(other, &list, &f->err), VENV_OK, &f->err);
    assert_int_equal(mine.count, 1);
    assert_int_equal(list.count, 0);
    assert_int_equal(list.foreign_count, mine.foreign_count + 1);
    venv_machine_list_fini(&mine);
    venv_machine_list_fini(&list);
    assert_rc(venv_machine_destroy(other, suite_id(1), &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_stop(other, suite_id(1), SECONDS(0), &f->err), VENV_EDENIED, &f->err);
    assert_rc(venv_machine_shutdown(other, suite_id(1), &f->err), VENV_EDENIED, &f->err);
    venv_hypervisor_close(other);
    venv_machine_info info = { 0 };
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_OK, &f->err);
    assert_int_equal(info.state, VENV_MACHINE_RUNNING);
}

static void xml_that_is_not_quite_ours_is_refused(void **state)
{
    fixture *f = *state;
    char *xml = suite_xml(f->driver->kind, 1, CLUSTER, "class2-1", 1);
    assert_rc(venv_machine_start(f->hypervisor, suite_id(2), xml, &f->err), VENV_EINVAL, &f->err);
    /* Without the mark: another namespace. */
    char *mark = strstr(xml, VENV_MACHINE_MARK_NAMESPACE);
    assert_non_null(mark);
    mark[0] = 'x';
    assert_rc(venv_machine_start(f->hypervisor, suite_id(1), xml, &f->err), VENV_EINVAL, &f->err);
    free(xml);
    xml = suite_xml(f->driver->kind, 1, "other", "class2-1", 1);
    assert_rc(venv_machine_start(f->hypervisor, suite_id(1), xml, &f->err), VENV_EINVAL, &f->err);
    char *doctype = NULL;
    assert_true(asprintf(&doctype, "<!DOCTYPE domain [<!ENTITY x 'y'>]>%s", strstr(xml, "<domain")) > 0);
    assert_rc(venv_machine_start(f->hypervisor, suite_id(1), doctype, &f->err), VENV_EINVAL, &f->err);
    free(doctype);
    free(xml);
    assert_rc(venv_machine_start(f->hypervisor, suite_id(1), "<domain", &f->err), VENV_EINVAL, &f->err);
    assert_rc(venv_machine_start(f->hypervisor, suite_id(1), "", &f->err), VENV_EINVAL, &f->err);
    venv_machine_info info;
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_ENOENT, &f->err);
}

/* Take events until one of this machine in this state comes. */
static bool hear(venv_hypervisor *hypervisor, venv_id id, venv_machine_state state)
{
    for (int i = 0; i < 50; i++) {
        venv_hypervisor_event event;
        if (venv_hypervisor_wait(hypervisor, SECONDS(10), &event, NULL) != VENV_OK)
            return false;
        if (event.kind == VENV_HYPERVISOR_CHANGED && venv_id_equal(event.id, id) && event.state == state)
            return true;
    }
    return false;
}

static void changes_are_told(void **state)
{
    fixture *f = *state;
    venv_hypervisor *other = f->driver->open(f->driver->self, CLUSTER);
    assert_non_null(other);
    venv_hypervisor_event event;
    assert_rc(venv_hypervisor_wait(other, SECONDS(0), &event, &f->err), VENV_ETIMEDOUT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    assert_true(hear(f->hypervisor, suite_id(1), VENV_MACHINE_RUNNING));
    assert_rc(venv_machine_destroy(f->hypervisor, suite_id(1), &f->err), VENV_OK, &f->err);
    assert_true(hear(f->hypervisor, suite_id(1), VENV_MACHINE_STOPPED));
    venv_hypervisor_close(other);
}

static void *cancel_soon(void *hypervisor)
{
    nanosleep(&(struct timespec){ 0, 200 * 1000 * 1000 }, NULL);
    venv_hypervisor_cancel(hypervisor);
    return NULL;
}

static void waiting_can_be_given_up(void **state)
{
    fixture *f = *state;
    venv_hypervisor_event event;
    venv_hypervisor_cancel(f->hypervisor);
    assert_rc(venv_hypervisor_wait(f->hypervisor, SECONDS(60), &event, &f->err), VENV_ECANCELED, &f->err);
    /* Once asked, once answered. */
    assert_rc(venv_hypervisor_wait(f->hypervisor, SECONDS(0), &event, &f->err), VENV_ETIMEDOUT, &f->err);
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    if (!f->driver->obedient) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, f->hypervisor), 0);
        assert_rc(venv_machine_stop(f->hypervisor, suite_id(1), SECONDS(600), &f->err), VENV_ECANCELED, &f->err);
        pthread_join(thread, NULL);
        venv_machine_info info = { 0 };
        assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_OK, &f->err);
    }
}

static void machines_outlive_the_connection(void **state)
{
    fixture *f = *state;
    assert_rc(start(f->driver, f->hypervisor, 1, "class2-1", 7, &f->err), VENV_OK, &f->err);
    venv_hypervisor_close(f->hypervisor);
    f->hypervisor = f->driver->open(f->driver->self, CLUSTER);
    assert_non_null(f->hypervisor);
    venv_machine_info info = { 0 };
    assert_rc(venv_machine_get(f->hypervisor, suite_id(1), &info, &f->err), VENV_OK, &f->err);
    assert_int_equal(info.state, VENV_MACHINE_RUNNING);
}

int suite_run(suite_driver *driver)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(says_what_the_node_has),
        TEST(started_machine_is_listed_with_its_mark),
        TEST(starting_twice_starts_once),
        TEST(an_old_epoch_is_refused),
        TEST(an_ended_machine_is_kept_with_its_reason_and_starts_again),
        TEST(a_leftover_definition_is_not_in_the_way),
        TEST(destroyed_is_gone_and_that_twice),
        TEST(stop_asks_and_then_powers_off),
        TEST(paused_saved_and_restored),
        TEST(a_checkpoint_can_be_gone_back_to),
        TEST(a_reboot_keeps_the_machine),
        TEST(the_screen_can_be_seen),
        TEST(the_console_is_read_and_written),
        TEST(nothing_takes_long),
        TEST(a_foreign_domain_is_not_changed),
        TEST(a_migration_that_does_not_work_leaves_it_here),
        TEST(foreign_domains_are_counted_and_left_alone),
        TEST(a_name_that_a_foreign_domain_has_is_refused),
        TEST(another_clusters_machine_is_foreign),
        TEST(xml_that_is_not_quite_ours_is_refused),
        TEST(changes_are_told),
        TEST(waiting_can_be_given_up),
        TEST(machines_outlive_the_connection),
    };
#undef TEST
    under_test = driver;
    return _cmocka_run_group_tests(driver->name, tests, sizeof tests / sizeof tests[0], NULL, NULL);
}
