/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store in a file must survive: being killed, a full disk, a failing disk, a second opener, and
 * files that are damaged, newer, or not ours.
 */
#include "store/store.h"
#include "support/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h> /* needs those before it */

typedef struct fixture {
    char *directory;
    char path[TEMPDIR_PATH_MAX];
    venv_store *store;
    venv_error err;
} fixture;

/* A disk that fails: SQLite's own file layer, with a sync and a write that can be made to fail. */
static struct {
    sqlite3_vfs vfs;
    sqlite3_io_methods methods[2]; /* of the main file, and of its log */
    const sqlite3_io_methods *real;
    unsigned syncs;
    int fail_sync_in, fail_write_in, kill_in; /* -1: never; kill_in counts writes and syncs */
} disk = { .fail_sync_in = -1, .fail_write_in = -1, .kill_in = -1 };

/* Dies in the middle of what it does, or a moment before. */
static void count_to_death(void)
{
    if (disk.kill_in == 0)
        raise(SIGKILL);
    if (disk.kill_in > 0)
        disk.kill_in--;
}

static int disk_sync(sqlite3_file *file, int flags)
{
    count_to_death();
    disk.syncs++;
    if (disk.fail_sync_in == 0)
        return SQLITE_IOERR_FSYNC;
    if (disk.fail_sync_in > 0)
        disk.fail_sync_in--;
    return disk.real->xSync(file, flags);
}

static int disk_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    count_to_death();
    if (disk.fail_write_in == 0)
        return SQLITE_IOERR_WRITE;
    if (disk.fail_write_in > 0)
        disk.fail_write_in--;
    return disk.real->xWrite(file, data, size, at);
}

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    int code = real->xOpen(real, name, file, flags, ret_flags);
    if (code == SQLITE_OK && file->pMethods) {
        /* The two differ in their locks, not in how they write. */
        sqlite3_io_methods *methods = &disk.methods[(flags & SQLITE_OPEN_MAIN_DB) ? 0 : 1];
        disk.real = file->pMethods;
        *methods = *file->pMethods;
        methods->xSync = disk_sync;
        methods->xWrite = disk_write;
        file->pMethods = methods;
    }
    return code;
}

static void disk_install(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find("unix");
    disk.vfs = *real;
    disk.vfs.zName = "faulty";
    disk.vfs.pAppData = real;
    disk.vfs.xOpen = disk_open;
    assert_int_equal(sqlite3_vfs_register(&disk.vfs, 1), SQLITE_OK);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->directory = tempdir_make();
    snprintf(f->path, sizeof f->path, "%s/manager.db", f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    disk.fail_sync_in = disk.fail_write_in = -1;
    venv_store_close(f->store);
    tempdir_remove(f->directory);
    free(f);
    return 0;
}

static void open_store(fixture *f)
{
    venv_rc rc = venv_store_open(f->path, &f->store, &f->err);
    if (rc != VENV_OK)
        fail_msg("open: %s", f->err.text);
}

static void close_store(fixture *f)
{
    venv_store_close(f->store);
    f->store = NULL;
}

static void assert_refused(fixture *f, venv_rc rc, const char *text)
{
    venv_store *store = NULL;
    memset(&f->err, 0, sizeof f->err);
    assert_int_equal(venv_store_open(f->path, &store, &f->err), rc);
    assert_null(store);
    if (!strstr(f->err.text, text) || !strstr(f->err.text, f->path))
        fail_msg("\"%s\" does not say \"%s\" about %s", f->err.text, text, f->path);
}

/* One transaction: the log's entry, and a row that must be of the same transaction. */
static venv_rc write_step(venv_store *store, uint64_t revision, size_t size, venv_error *err)
{
    static char filler[65536];
    char key[32];
    uint64_t number = revision;
    memset(filler, (int)revision, size); /* equal pages would not be written */
    snprintf(key, sizeof key, "slot%llu", (unsigned long long)(revision % 16));
    const venv_store_op ops[] = {
        { .kind = VENV_STORE_PUT, .key = VENV_STR("last"), .row = { (const char *)&number, sizeof number } },
        { .kind = VENV_STORE_PUT, .collection = 1, .key = { key, strlen(key) }, .row = { filler, size } },
        { .kind = VENV_STORE_APPEND, .revision = revision, .row = { (const char *)&number, sizeof number } },
    };
    return venv_store_apply(store, ops, 3, err);
}

typedef struct tally {
    uint64_t last, next;
    size_t rows;
} tally;

static bool count_row(void *user, venv_str key, venv_str row)
{
    tally *t = user;
    if (key.size == 4)
        memcpy(&t->last, row.data, sizeof t->last);
    t->rows++;
    return true;
}

static bool count_entry(void *user, uint64_t revision, venv_str row)
{
    tally *t = user;
    uint64_t number = 0;
    assert_int_equal(row.size, sizeof number);
    memcpy(&number, row.data, sizeof number);
    assert_int_equal(revision, number);
    assert_int_equal(revision, t->next + 1); /* no gap */
    t->next = revision;
    return true;
}

/* Everything up to `acknowledged` is there, whole, and at most one more. Returns the last revision. */
static uint64_t check_steps(fixture *f, uint64_t acknowledged)
{
    tally t = { 0, 0, 0 };
    uint64_t revision = 0;
    assert_int_equal(venv_store_each(f->store, 0, count_row, &t, &f->err), VENV_OK);
    assert_int_equal(venv_store_log(f->store, 0, UINT32_MAX, count_entry, &t, &f->err), VENV_OK);
    assert_int_equal(venv_store_revision(f->store, &revision, &f->err), VENV_OK);
    assert_int_equal(t.next, revision);
    assert_int_equal(t.last, revision);
    assert_true(revision >= acknowledged);
    assert_true(revision <= acknowledged + 1);
    return revision;
}

static void writer(const char *path, int acknowledge)
{
    venv_store *store = NULL;
    uint64_t revision = 0;
    venv_error err = { 0 };
    if (venv_store_open(path, &store, &err) != VENV_OK || venv_store_revision(store, &revision, &err) != VENV_OK)
        _exit(1);
    for (;;) {
        revision++;
        if (write_step(store, revision, (size_t)(revision * 97 % 9000), &err) != VENV_OK)
            _exit(2);
        if (write(acknowledge, &revision, sizeof revision) != sizeof revision)
            _exit(3);
    }
}

static void test_killed_writer(void **state)
{
    fixture *f = *state;
    uint64_t acknowledged = 0, progress = 0;

    for (unsigned round = 0; round < 120; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            writer(f->path, fds[1]);
        close(fds[1]);
        /* Kill it after a few acknowledgements and a little more, so that the kill falls anywhere. */
        for (unsigned i = 0; i <= round % 5; i++) {
            assert_int_equal(read(fds[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
            progress++;
        }
        usleep(round * 37 % 3000);
        kill(pid, SIGKILL);
        while (read(fds[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            progress++;
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        close(fds[0]);
        open_store(f);
        acknowledged = check_steps(f, acknowledged);
        close_store(f);
    }
    assert_true(progress >= 120);
}

/* The last answer of a transaction is not before its sync. */
static void test_every_commit_is_synced(void **state)
{
    fixture *f = *state;
    open_store(f);
    for (uint64_t revision = 1; revision <= 20; revision++) {
        unsigned before = disk.syncs;
        assert_int_equal(write_step(f->store, revision, 100, &f->err), VENV_OK);
        assert_true(disk.syncs > before);
    }
}

static void test_sync_fails(void **state)
{
    fixture *f = *state;
    open_store(f);
    assert_int_equal(write_step(f->store, 1, 100, &f->err), VENV_OK);
    disk.fail_sync_in = 0;
    assert_int_equal(write_step(f->store, 2, 100, &f->err), VENV_EUNKNOWN);
    assert_int_equal(f->err.rc, VENV_EUNKNOWN);
    assert_non_null(strstr(f->err.text, "cannot commit"));
    assert_non_null(strstr(f->err.text, f->path));
    disk.fail_sync_in = -1;
    /* The disk says that it is well again: nobody believes it. */
    assert_int_equal(write_step(f->store, 3, 100, &f->err), VENV_EIO);
    assert_non_null(strstr(f->err.text, "restart"));
    assert_int_equal(venv_store_trim(f->store, 1, &f->err), VENV_EIO);
    tally t = { 0, 0, 0 };
    assert_int_equal(venv_store_each(f->store, 0, count_row, &t, &f->err), VENV_OK);
    close_store(f);
    open_store(f);
    check_steps(f, 1);
}

static void test_write_fails(void **state)
{
    fixture *f = *state;
    /* Wherever in the transaction it is that the disk fails. */
    for (int at = 0; at < 6; at++) {
        open_store(f);
        uint64_t revision = 0;
        assert_int_equal(venv_store_revision(f->store, &revision, &f->err), VENV_OK);
        assert_int_equal(write_step(f->store, revision + 1, 9000, &f->err), VENV_OK);
        disk.fail_write_in = at;
        venv_rc rc = write_step(f->store, revision + 2, 9000, &f->err);
        disk.fail_write_in = -1;
        if (rc != VENV_OK) {
            assert_true(rc == VENV_EUNKNOWN || rc == VENV_EIO);
            assert_int_equal(write_step(f->store, revision + 3, 100, &f->err), VENV_EIO);
        }
        close_store(f);
        open_store(f);
        check_steps(f, revision + 1);
        close_store(f);
    }
}

static void test_checkpoint_fails(void **state)
{
    fixture *f = *state;
    venv_rc rc = VENV_OK;
    uint64_t revision = 0;
    open_store(f);
    /* Let the log grow to a checkpoint, whose second sync is that of the main file. */
    while (rc == VENV_OK && revision < 200) {
        disk.fail_sync_in = 2;
        rc = write_step(f->store, ++revision, 65536, &f->err);
    }
    disk.fail_sync_in = -1;
    assert_int_equal(rc, VENV_EIO); /* the write after the failed checkpoint; all before it are safe */
    close_store(f);
    open_store(f);
    assert_int_equal(check_steps(f, revision - 1), revision - 1);
}

static void test_full_disk(void **state)
{
    fixture *f = *state;
    if (mount("tmpfs", f->directory, "tmpfs", 0, "size=1m") != 0) {
        print_message("needs the right to mount: %s\n", strerror(errno));
        skip();
    }
    open_store(f);
    uint64_t revision = 0;
    venv_rc rc;
    while ((rc = write_step(f->store, revision + 1, 5000, &f->err)) == VENV_OK)
        revision++;
    assert_int_equal(rc, VENV_ENOSPACE);
    assert_non_null(strstr(f->err.text, f->path));
    assert_non_null(strstr(f->err.text, "make room"));
    assert_true(revision > 10);
    /* Reads go on, writes are refused the same way, again and again. */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(check_steps(f, revision), revision);
        assert_int_equal(write_step(f->store, revision + 1, 60000, &f->err), VENV_ENOSPACE);
    }
    /* Room again: writes go on. */
    assert_int_equal(mount("tmpfs", f->directory, "tmpfs", MS_REMOUNT, "size=8m"), 0);
    assert_int_equal(write_step(f->store, revision + 1, 5000, &f->err), VENV_OK);
    assert_int_equal(check_steps(f, revision + 1), revision + 1);
    close_store(f);
    open_store(f);
    assert_int_equal(check_steps(f, revision + 1), revision + 1);
    close_store(f);
    assert_int_equal(umount(f->directory), 0);
}

static void test_second_opener(void **state)
{
    fixture *f = *state;
    char holder[64];
    open_store(f);
    assert_int_equal(write_step(f->store, 1, 100, &f->err), VENV_OK);
    snprintf(holder, sizeof holder, "in use by process %ld (test_store_sqli", (long)getpid());
    assert_refused(f, VENV_ECONFLICT, holder);
    /* From another process, too; and its failure takes nothing from the first. */
    pid_t pid = fork();
    if (pid == 0) {
        venv_store *store = NULL;
        venv_error err = { 0 };
        venv_rc rc = venv_store_open(f->path, &store, &err);
        _exit(rc == VENV_ECONFLICT && strstr(err.text, holder) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_refused(f, VENV_ECONFLICT, holder);
    assert_int_equal(write_step(f->store, 2, 100, &f->err), VENV_OK);
    close_store(f);
    open_store(f);
    assert_int_equal(check_steps(f, 2), 2);
}

/* Change the file with SQLite itself. */
static void run_sql(fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_newer_schema(void **state)
{
    fixture *f = *state;
    open_store(f);
    assert_int_equal(write_step(f->store, 1, 100, &f->err), VENV_OK);
    close_store(f);
    run_sql(f, "PRAGMA user_version = 1000");
    assert_refused(f, VENV_EUNSUPPORTED, "written by a newer venv");
    run_sql(f, "PRAGMA user_version = 1");
    open_store(f);
    assert_int_equal(check_steps(f, 1), 1);
}

/*
 * A store of the version before (which has no tables) is brought to this one by a process that is killed at each of its
 * writes and syncs by turns: whenever it was, the next one does it, and nothing is half.
 */
static void test_killed_migration(void **state)
{
    fixture *f = *state;
    bool done = false;
    int deaths = 0;
    for (int at = 0; !done && at < 200; at++) {
        run_sql(f, "CREATE TABLE x(y); DROP TABLE x"); /* a file of version 0 that is not empty */
        pid_t pid = fork();
        if (pid == 0) {
            disk.kill_in = at;
            venv_store *store = NULL;
            venv_error err = { 0 };
            _exit(venv_store_open(f->path, &store, &err) == VENV_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        done = WIFEXITED(status);
        deaths += !done;
        if (done)
            assert_int_equal(WEXITSTATUS(status), 0);
        else
            assert_int_equal(WTERMSIG(status), SIGKILL);
        open_store(f);
        assert_int_equal(write_step(f->store, 1, 100, &f->err), VENV_OK);
        assert_int_equal(check_steps(f, 1), 1);
        close_store(f);
        assert_int_equal(remove(f->path), 0);
    }
    assert_true(done);
    assert_true(deaths >= 10);
}

static void test_other_program(void **state)
{
    fixture *f = *state;
    struct stat before, after;
    run_sql(f, "CREATE TABLE songs(title TEXT); INSERT INTO songs VALUES('x')");
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(stat(f->path, &before), 0);
    assert_refused(f, VENV_EINVAL, "database of another program");
    assert_int_equal(stat(f->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mode, after.st_mode);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static void test_no_database(void **state)
{
    fixture *f = *state;
    tempdir_write_text(f->path, "manager: {listen: 0.0.0.0:7420}\n# this is a configuration file, not a store at all\n"
                                "# it is longer than the header of a database, which is what gets looked at first\n", 0600);
    assert_refused(f, VENV_EINVAL, "not a database");
    tempdir_write_text(f->path, "short", 0600);
    assert_refused(f, VENV_EINVAL, "not a database");
    assert_int_equal(remove(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_refused(f, VENV_EIO, "Is a directory");
}

static void test_damaged(void **state)
{
    fixture *f = *state;
    open_store(f);
    for (uint64_t revision = 1; revision <= 50; revision++)
        assert_int_equal(write_step(f->store, revision, 6000, &f->err), VENV_OK);
    close_store(f);

    int fd = open(f->path, O_RDWR);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char garbage[512];
    memset(garbage, 0xa5, sizeof garbage);
    for (off_t at = 4096; at < st.st_size; at += 4096)
        assert_int_equal(pwrite(fd, garbage, sizeof garbage, at), sizeof garbage);
    close(fd);
    assert_refused(f, VENV_EIO, "damaged");
    assert_non_null(strstr(f->err.text, "restore it from a backup"));
    assert_refused(f, VENV_EIO, "damaged"); /* and again: refusing did not make it good */
}

static void test_modes(void **state)
{
    fixture *f = *state;
    struct stat st;
    mode_t old = umask(0);
    snprintf(f->path, sizeof f->path, "%s/a/b/manager.db", f->directory);
    open_store(f);
    assert_int_equal(write_step(f->store, 1, 100, &f->err), VENV_OK);
    umask(old);
    assert_int_equal(stat(tempdir_path(f->directory, "a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(tempdir_path(f->directory, "a/b"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    static const char *const files[] = { "a/b/manager.db", "a/b/manager.db-wal", "a/b/manager.db-shm",
                                         "a/b/manager.db.lock" };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(stat(tempdir_path(f->directory, files[i]), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    close_store(f);
    /* A store that was left open to others is closed to them. */
    assert_int_equal(chmod(f->path, 0644), 0);
    open_store(f);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_bad_locations(void **state)
{
    fixture *f = *state;
    venv_store *store = NULL;
    assert_int_equal(venv_store_open("", &store, &f->err), VENV_EINVAL);
    assert_int_equal(venv_store_open("sqlite:", &store, &f->err), VENV_EINVAL);
    assert_int_equal(venv_store_open("/proc/no/such/store.db", &store, &f->err), VENV_ENOENT);
    char *longer = calloc(1, 9000);
    memset(longer, '/', 8000);
    assert_int_equal(venv_store_open(longer, &store, &f->err), VENV_EINVAL);
    free(longer);
    assert_null(store);
}

#define TEST(test) { #test, test, setup, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_killed_writer), TEST(test_every_commit_is_synced), TEST(test_sync_fails),
        TEST(test_write_fails), TEST(test_checkpoint_fails), TEST(test_full_disk),
        TEST(test_second_opener), TEST(test_newer_schema), TEST(test_killed_migration), TEST(test_other_program),
        TEST(test_no_database), TEST(test_damaged), TEST(test_modes), TEST(test_bad_locations),
    };
    disk_install();
    return cmocka_run_group_tests_name("store in SQLite", tests, NULL, NULL);
}
