/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of machines on a real file system: made whole, taken again, removed or put aside, and what is left over is found. */
#include "disk/folder.h"

#include "../support/tempdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include <cmocka.h>

static char *top;
static char machines[TEMPDIR_PATH_MAX], base[TEMPDIR_PATH_MAX];
static venv_machine_place place = { .directory = machines, .cluster = "lab", .node = "n1", .hypervisor = "test:///x" };

static int begin(void **state)
{
    (void)state;
    top = tempdir_make();
    snprintf(machines, sizeof machines, "%s/machines", top);
    snprintf(base, sizeof base, "%s/base.raw", top);
    tempdir_write_text(base, "the image", 0444);
    assert_int_equal(truncate(base, 3 << 20), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tempdir_remove(top);
    return 0;
}

static venv_id id_of(unsigned number)
{
    venv_id id = { { 1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10 } };
    memcpy(id.bytes + 12, &number, sizeof number);
    return id;
}

static venv_machine_files *plan(unsigned number, bool keep)
{
    venv_machine_files *files = calloc(1, sizeof *files);
    files->id = id_of(number);
    files->epoch = 7;
    files->directory = strdup(machines);
    files->hypervisor = strdup("test:///x");
    snprintf(files->cluster, sizeof files->cluster, "lab");
    snprintf(files->node, sizeof files->node, "n1");
    snprintf(files->instance, sizeof files->instance, "class2-%u", number);
    snprintf(files->environment, sizeof files->environment, "class2");
    const venv_machine_file items[] = {
        { .kind = VENV_FILE_OVERLAY, .name = (char *)"disk0.qcow2", .base = base },
        { .kind = VENV_FILE_BLANK, .name = (char *)"disk1.raw", .size = UINT64_C(20) << 30, .keep = keep },
        { .kind = VENV_FILE_BLANK, .name = (char *)"disk2.qcow2", .format = VENV_DISK_QCOW2, .size = UINT64_C(20) << 30 },
        { .kind = VENV_FILE_SEED, .name = (char *)"seed.iso" },
    };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(venv_machine_files_add(files, &items[i], NULL), VENV_OK);
    assert_int_equal(venv_seed_texts(files, VENV_STR("#cloud-config\n"), NULL, NULL), VENV_OK);
    return files;
}

static const char *path_of(unsigned number, const char *name)
{
    static char paths[8][TEMPDIR_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    assert_int_equal(venv_machine_file_path(machines, id_of(number), name, path, TEMPDIR_PATH_MAX, NULL), VENV_OK);
    return path;
}

static venv_rc make(unsigned number, bool keep, venv_error *err)
{
    venv_machine_files *files = plan(number, keep);
    bool made;
    venv_rc rc = venv_machine_folder_make(files, &made, err);
    venv_machine_files_free(files);
    return rc;
}

static unsigned entries(const char *path)
{
    DIR *list = opendir(path);
    unsigned count = 0;
    for (struct dirent *entry; list && (entry = readdir(list));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (list)
        closedir(list);
    return count;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void test_made_and_removed(void **state)
{
    struct stat st;
    char line[2 * TEMPDIR_PATH_MAX];
    (void)state;
    assert_int_equal(make(1, false, NULL), VENV_OK);
    assert_int_equal(stat(path_of(1, "disk0.qcow2"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(st.st_blocks * 512 <= 65536);
    assert_int_equal(stat(path_of(1, "disk1.raw"), &st), 0);
    assert_int_equal(st.st_size, INT64_C(20) << 30);
    assert_int_equal(st.st_blocks, 0);
    assert_int_equal(stat(path_of(1, "seed.iso"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_int_equal(stat(machines, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    snprintf(line, sizeof line, "qemu-img check -q -f qcow2 %s && qemu-img check -q -f qcow2 %s", path_of(1, "disk0.qcow2"), path_of(1, "disk2.qcow2"));
    assert_int_equal(tempdir_shell(line), 0);
    snprintf(line, sizeof line, "qemu-img info -f qcow2 %s | grep -q 'virtual size: 3 MiB'", path_of(1, "disk0.qcow2"));
    assert_int_equal(tempdir_shell(line), 0);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(1), true, NULL), VENV_OK);
    assert_int_equal(entries(machines), 0);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(1), true, NULL), VENV_OK);
    assert_true(exists(base));
}

/* The same machine starts again: what its guest wrote is there. */
static void test_taken_again(void **state)
{
    char text[1024] = "";
    bool made = true;
    (void)state;
    assert_int_equal(make(1, false, NULL), VENV_OK);
    tempdir_write_text(path_of(1, "disk1.raw"), "written by the guest", 0600);
    venv_machine_files *files = plan(1, false);
    files->epoch = 8;
    assert_int_equal(venv_machine_folder_make(files, &made, NULL), VENV_OK);
    assert_false(made);
    FILE *note = fopen(path_of(1, "machine.json"), "r");
    assert_true(fread(text, 1, sizeof text - 1, note) > 0);
    fclose(note);
    assert_non_null(strstr(text, "\"epoch\": 8"));
    struct stat st;
    assert_int_equal(stat(path_of(1, "disk1.raw"), &st), 0);
    assert_int_equal(st.st_size, 20);
    /* Its base is another one now. */
    free(files->items[0].base);
    files->items[0].base = strdup("/elsewhere");
    assert_int_equal(venv_machine_folder_make(files, &made, NULL), VENV_ECONFLICT);
    venv_machine_files_free(files);
    /* A disk that is a link, or has a second name, is none of ours. */
    assert_int_equal(unlink(path_of(1, "disk2.qcow2")), 0);
    assert_int_equal(symlink("/etc/shadow", path_of(1, "disk2.qcow2")), 0);
    assert_int_equal(make(1, false, NULL), VENV_EDENIED);
    assert_int_equal(unlink(path_of(1, "disk2.qcow2")), 0);
    assert_int_equal(make(1, false, NULL), VENV_ENOENT);
    assert_int_equal(link(base, path_of(1, "disk2.qcow2")), 0);
    assert_int_equal(make(1, false, NULL), VENV_EDENIED);
}

static void test_all_or_nothing(void **state)
{
    venv_error err = { 0 };
    (void)state;
    assert_int_equal(unlink(base), 0);
    assert_int_equal(make(1, false, &err), VENV_ENOENT);
    assert_non_null(strstr(err.text, base));
    assert_int_equal(entries(machines), 0);
    assert_int_equal(symlink("/etc/passwd", base), 0);
    assert_int_equal(make(1, false, &err), VENV_EDENIED);
    unlink(base);
    tempdir_write_text(base, "open to all", 0644);
    assert_int_equal(chmod(base, 0666), 0);
    assert_int_equal(make(1, false, &err), VENV_EDENIED);
    assert_non_null(strstr(err.text, "can be written by others"));
    assert_int_equal(unlink(base), 0);
    assert_int_equal(mkfifo(base, 0600), 0);
    assert_int_equal(make(1, false, &err), VENV_EDENIED);
    assert_int_equal(entries(machines), 0);
}

static void test_places_of_others(void **state)
{
    (void)state;
    assert_int_equal(mkdir(machines, 0777), 0);
    assert_int_equal(chmod(machines, 0777), 0);
    assert_int_equal(make(1, false, NULL), VENV_EDENIED);
    assert_int_equal(rmdir(machines), 0);
    assert_int_equal(symlink("/tmp", machines), 0);
    assert_int_not_equal(make(1, false, NULL), VENV_OK);
    assert_int_equal(unlink(machines), 0);
    assert_int_equal(mkdir(machines, 0711), 0);
    char folder[TEMPDIR_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path_of(1, "."));
    folder[strlen(folder) - 2] = '\0';
    assert_int_equal(symlink(top, folder), 0);
    assert_int_equal(make(1, false, NULL), VENV_EDENIED);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(1), true, NULL), VENV_EDENIED);
    assert_true(exists(base));
}

static void test_kept(void **state)
{
    char path[TEMPDIR_PATH_MAX + 16], text[VENV_ID_TEXT_SIZE];
    (void)state;
    assert_int_equal(make(1, true, NULL), VENV_OK);
    tempdir_write_text(path_of(1, "disk1.raw"), "to be kept", 0600);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(1), true, NULL), VENV_OK);
    snprintf(path, sizeof path, "%s/kept/class2-1.%s", machines, venv_id_format(id_of(1), text));
    assert_int_equal(entries(path), 2);
    struct stat st;
    strcat(path, "/disk1.raw");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(entries(machines), 1);
    /* One that never ran leaves nothing. */
    assert_int_equal(make(2, true, NULL), VENV_OK);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(2), false, NULL), VENV_OK);
    assert_int_equal(entries(machines), 1);
    assert_int_equal(entries(tempdir_path(machines, "kept")), 1);
}

/* A hypervisor with these machines, ended by none. */
static venv_rc look(void *user, venv_id id)
{
    for (const venv_id *have = user; have && !venv_id_is_none(*have); have++)
        if (venv_id_equal(*have, id))
            return VENV_OK;
    return VENV_ENOENT;
}

static venv_rc unreachable(void *user, venv_id id)
{
    (void)user;
    (void)id;
    return VENV_EUNREACHABLE;
}

static void lock_as_qemu(int fd, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1 };
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

static void test_in_use(void **state)
{
    (void)state;
    assert_int_equal(make(1, false, NULL), VENV_OK);
    int fd = open(path_of(1, "disk1.raw"), O_RDWR);
    lock_as_qemu(fd, F_RDLCK);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(1), true, NULL), VENV_ECONFLICT);
    venv_sweep_report report;
    assert_int_equal(venv_machine_folders_sweep(&place, look, NULL, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 0);
    assert_int_equal(report.left, 1);
    assert_int_equal(report.why.rc, VENV_ECONFLICT);
    assert_true(exists(path_of(1, "disk0.qcow2")));
    close(fd);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(1), true, NULL), VENV_OK);
}

static void test_sweep(void **state)
{
    venv_sweep_report report;
    char half[TEMPDIR_PATH_MAX + 128], text[VENV_ID_TEXT_SIZE];
    venv_machine_place other = { .directory = machines, .cluster = "lab", .node = "n2", .hypervisor = "test:///x" }, foreign = { .directory = machines, .cluster = "other", .node = "n1", .hypervisor = "test:///x" }, elsewhere = { .directory = machines, .cluster = "lab", .node = "n1", .hypervisor = "test:///y" };
    (void)state;
    assert_int_equal(venv_machine_folders_sweep(&place, look, NULL, (venv_span){ 0 }, &report, NULL), VENV_OK); /* no directory yet */
    for (unsigned i = 1; i <= 4; i++)
        assert_int_equal(make(i, i == 4, NULL), VENV_OK);
    venv_id used[] = { id_of(9), id_of(2), { { 0 } } };
    /* Not while they are young. */
    assert_int_equal(venv_machine_folders_sweep(&place, look, used, (venv_span){ 600 * VENV_NS_PER_S }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 0);
    assert_int_equal(entries(machines), 4);
    /* Not by another node or cluster; but one that is there now is taken over. */
    assert_int_equal(venv_machine_folders_sweep(&foreign, look, NULL, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 0);
    assert_int_equal(venv_machine_folders_sweep(&elsewhere, look, NULL, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 0);
    assert_int_equal(venv_machine_folder_remove(&elsewhere, id_of(1), true, NULL), VENV_OK);
    assert_int_equal(entries(machines), 4);
    venv_id moved[] = { id_of(3), { { 0 } } };
    assert_int_equal(venv_machine_folders_sweep(&other, look, moved, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 0);
    assert_int_equal(report.adopted, 1);
    assert_int_equal(venv_machine_folder_remove(&place, id_of(3), true, NULL), VENV_OK); /* no longer ours */
    assert_true(exists(path_of(3, "disk0.qcow2")));
    /* Not where the hypervisor cannot be asked. */
    assert_int_equal(venv_machine_folders_sweep(&place, unreachable, NULL, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed + report.adopted, 0);
    /* What is left: 1 and 4, of which one disk is kept, and a half. Files that are not ours stay. */
    snprintf(half, sizeof half, "%s/.new-%s.n1", machines, venv_id_format(id_of(5), text));
    assert_int_equal(mkdir(half, 0711), 0);
    snprintf(half, sizeof half, "%s/.new-%s.n2", machines, venv_id_format(id_of(5), text));
    assert_int_equal(mkdir(half, 0711), 0);
    snprintf(half, sizeof half, "%s/.old-%s.n1", machines, venv_id_format(id_of(6), text));
    assert_int_equal(mkdir(half, 0711), 0);
    tempdir_write_text(tempdir_path(machines, "notes.txt"), "of a person", 0600);
    assert_int_equal(mkdir(tempdir_path(machines, "not-a-uuid"), 0755), 0);
    assert_int_equal(venv_machine_folders_sweep(&place, look, used, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 4);
    assert_int_equal(report.left, 0);
    assert_int_equal(entries(machines), 6); /* 2, 3, .new of n2, kept, the two others */
    assert_true(exists(path_of(2, "disk0.qcow2")));
    assert_int_equal(entries(tempdir_path(machines, "kept")), 1);
    assert_int_equal(venv_machine_folders_sweep(&place, look, used, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 0);
}

/* A note that says nothing: nobody knows whose it is. An empty one is what is left by a power cut. */
static void test_broken_notes(void **state)
{
    static const char *const notes[] = { "{}", "{\"node\":\"n1\"}", "[", "{\"cluster\":\"lab\",\"node\":\"../n1\",\"instance\":\"x\"}" };
    venv_sweep_report report;
    (void)state;
    assert_int_equal(make(1, false, NULL), VENV_OK);
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        tempdir_write_text(path_of(1, "machine.json"), notes[i], 0600);
        assert_int_equal(venv_machine_folders_sweep(&place, look, NULL, (venv_span){ 0 }, &report, NULL), VENV_OK);
        assert_int_equal(report.removed, 0);
        assert_int_equal(report.left, 1);
    }
    tempdir_write_text(path_of(1, "machine.json"), "", 0600);
    assert_int_equal(venv_machine_folders_sweep(&place, look, NULL, (venv_span){ 0 }, &report, NULL), VENV_OK);
    assert_int_equal(report.removed, 1);
}

static void test_used_files(void **state)
{
    static const struct {
        const char *make;
        venv_disk_format format;
        venv_rc rc;
    } rows[] = {
        { "qemu-img create -q -f qcow2 x 1G", VENV_DISK_QCOW2, VENV_OK },
        { "qemu-img create -q -f qcow2 x 1G", VENV_DISK_RAW, VENV_OK }, /* a guest wrote it: it is raw, whatever it looks like */
        { "qemu-img create -q -u -f qcow2 -b /etc/shadow -F raw x 1G", VENV_DISK_RAW, VENV_OK },
        { "qemu-img create -q -u -f qcow2 -b /etc/shadow -F raw x 1G", VENV_DISK_QCOW2, VENV_EDENIED },
        { "qemu-img create -q -f qcow2 -o data_file=data x 1M", VENV_DISK_QCOW2, VENV_EDENIED },
        { "head -c 1M /dev/zero >x", VENV_DISK_QCOW2, VENV_EINVAL },
        { "mkdir x", VENV_DISK_RAW, VENV_EDENIED },
        { "mkfifo x", VENV_DISK_RAW, VENV_EDENIED },
        { "ln -s /dev/null x", VENV_DISK_RAW, VENV_EDENIED },
        { ":", VENV_DISK_RAW, VENV_ENOENT },
    };
    char line[2 * TEMPDIR_PATH_MAX], path[TEMPDIR_PATH_MAX];
    (void)state;
    snprintf(path, sizeof path, "%s/x", top);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_machine_files *files = calloc(1, sizeof *files);
        venv_machine_file file = { .kind = VENV_FILE_USED, .name = path, .format = rows[i].format };
        bool made;
        snprintf(line, sizeof line, "cd %s && rm -rf x data && %s", top, rows[i].make);
        assert_int_equal(tempdir_shell(line), 0);
        assert_int_equal(venv_machine_files_add(files, &file, NULL), VENV_OK);
        venv_rc rc = venv_machine_folder_make(files, &made, NULL);
        if (rc != rows[i].rc)
            fail_msg("%s as %d: %d", rows[i].make, rows[i].format, rc);
        venv_machine_files_free(files);
    }
    assert_false(exists(machines)); /* nothing of its own: no folder */
}

/* --- somebody who flips links below us ------------------------------------------------------------- */

static atomic_bool over;
static atomic_ulong flips;

/* The folder and a link to the outside change places, or the link takes the name while it is free. */
static void *flip(void *argument)
{
    const char *folder = argument, *outside = tempdir_path(top, "outside");
    char at[TEMPDIR_PATH_MAX + 16], away[TEMPDIR_PATH_MAX + 32];
    snprintf(at, sizeof at, "%s/link", machines);
    while (!atomic_load(&over)) {
        (void)symlink(outside, at);
        if (syscall(SYS_renameat2, AT_FDCWD, folder, AT_FDCWD, at, 2u /* RENAME_EXCHANGE */) == 0) {
            (void)syscall(SYS_renameat2, AT_FDCWD, folder, AT_FDCWD, at, 2u);
        } else {
            (void)rename(at, folder);
            (void)rename(folder, at);
        }
        /* Never stuck: a link that stayed goes, a folder that was caught under the other name is put away. */
        (void)unlink(folder);
        snprintf(away, sizeof away, "%s/away%lu", top, atomic_load(&flips));
        if (unlink(at) != 0)
            (void)rename(at, away);
        atomic_fetch_add(&flips, 2);
    }
    return NULL;
}

static void test_links_flip(void **state)
{
    char folder[TEMPDIR_PATH_MAX];
    struct timespec from, now;
    unsigned made = 0, rounds = 0;
    pthread_t racer;
    (void)state;
    assert_int_equal(mkdir(tempdir_path(top, "outside"), 0755), 0);
    const char *const names[] = { "disk0.qcow2", "disk1.raw", "seed.iso", "machine.json", "secret" };
    for (size_t i = 0; i < 5; i++)
        tempdir_write_text(tempdir_path(tempdir_path(top, "outside"), names[i]), "canary", 0600);
    char line[2 * TEMPDIR_PATH_MAX];
    snprintf(line, sizeof line, "cd %s/outside && sha256sum * >../sums && ls -l >../list", top);
    assert_int_equal(tempdir_shell(line), 0);
    assert_int_equal(mkdir(machines, 0711), 0);
    snprintf(folder, sizeof folder, "%s", path_of(1, "."));
    folder[strlen(folder) - 2] = '\0';
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&racer, NULL, flip, folder), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        made += make(1, rounds % 10 == 0, NULL) == VENV_OK;
        (void)venv_machine_folder_remove(&place, id_of(1), true, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        rounds++;
    } while (now.tv_sec - from.tv_sec < 3);
    atomic_store(&over, true);
    pthread_join(racer, NULL);
    print_message("%u folders made in %u rounds, %lu flips meanwhile\n", made, rounds, atomic_load(&flips));
    snprintf(line, sizeof line, "cd %s/outside && sha256sum -c --quiet ../sums && ls -l | cmp - ../list", top);
    assert_int_equal(tempdir_shell(line), 0);
    assert_true(made > 10 && rounds > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_and_removed, begin, end), cmocka_unit_test_setup_teardown(test_taken_again, begin, end),
        cmocka_unit_test_setup_teardown(test_all_or_nothing, begin, end),   cmocka_unit_test_setup_teardown(test_places_of_others, begin, end),
        cmocka_unit_test_setup_teardown(test_kept, begin, end),             cmocka_unit_test_setup_teardown(test_in_use, begin, end),
        cmocka_unit_test_setup_teardown(test_sweep, begin, end),            cmocka_unit_test_setup_teardown(test_broken_notes, begin, end),
        cmocka_unit_test_setup_teardown(test_used_files, begin, end),       cmocka_unit_test_setup_teardown(test_links_flip, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
