/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a history: what was written is read, while it is written, after a crash, damaged, or on a full disk. */
#include "history/journal.h"
#include "store/history_writer.h"
#include "support/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h> /* needs those before it */

#define T0 INT64_C(1700000000000)

/* Calls of the writer pass through here: a power cut is judged by what was synced before what was dropped. */
static struct {
    const char *directory; /* NULL: nobody looks */
    off_t synced;          /* size of the segment at its last sync */
    unsigned syncs, drops;
    bool fails;
} disk;

int fdatasync(int fd)
{
    struct stat st;
    if (disk.directory && fstat(fd, &st) == 0)
        disk.synced = st.st_size;
    disk.syncs++;
    errno = EIO;
    return disk.fails ? -1 : 0;
}

static void power_cut(void);

int ftruncate(int fd, off_t size)
{
    if (disk.directory)
        power_cut();
    disk.drops++;
    return (int)syscall(SYS_ftruncate, fd, size);
}

typedef struct fixture {
    char *directory;
    venv_history_writer *writer;
    venv_history_journal journal;
    uint32_t series[3];
    venv_error err;
} fixture;

static void begin(fixture *f, venv_history_limits limits)
{
    static const char *const labels[3] = { "memfree", "load", "state" };
    assert_int_equal(venv_history_writer_open(f->directory, &limits, &f->writer, &f->err), VENV_OK);
    venv_history_journal_init(&f->journal);
    for (int i = 0; i < 3; i++)
        f->series[i] = venv_history_journal_define(&f->journal, VENV_HISTORY_PROPERTY, i < 2 ? "node1" : "node2", labels[i]);
}

static void end(fixture *f)
{
    venv_history_writer_close(f->writer);
    f->writer = NULL;
    venv_history_journal_fini(&f->journal);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->directory = tempdir_make();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    if (f->writer)
        end(f);
    tempdir_remove(f->directory);
    free(f);
    return 0;
}

/* At second n: node1/memfree = n, node1/load = n / 8, node2/state every tenth second. */
static venv_rc tick(fixture *f, int64_t n)
{
    venv_wall time = { (T0 + n * 1000) * 1000000 };
    venv_value memfree = venv_value_int(n), load = venv_value_double((double)n / 8), text = venv_value_literal(n % 20 ? "odd" : "even");
    venv_history_journal_sample(&f->journal, f->series[0], time, VENV_QUALITY_OK, &memfree);
    venv_history_journal_sample(&f->journal, f->series[1], time, n % 7 ? VENV_QUALITY_OK : VENV_QUALITY_STALE, &load);
    if (n % 10 == 0)
        venv_history_journal_sample(&f->journal, f->series[2], time, VENV_QUALITY_OK, &text);
    venv_rc rc = venv_history_writer_add(f->writer, f->journal.bytes.data, f->journal.bytes.size, &f->err);
    venv_history_journal_clear(&f->journal);
    return rc;
}

typedef struct seen {
    int64_t next, first, last;
    size_t before, memfree, load, state, stop_after;
    bool gaps;
} seen;

static bool see(void *user, const venv_history_sample *sample)
{
    seen *s = user;
    int64_t n = (sample->time.ns / 1000000 - T0) / 1000;
    if (sample->before) {
        assert_int_equal(s->memfree + s->load + s->state, 0);
        s->before++;
    }
    if (strcmp(sample->label, "memfree") == 0) {
        assert_int_equal(venv_value_peek_int(sample->value), n);
        if (!sample->before) {
            assert_true(s->memfree == 0 || s->gaps ? n >= s->next : n == s->next);
            s->first = s->memfree == 0 ? n : s->first;
            s->last = n;
            s->next = n + 1;
            s->memfree++;
        }
    } else if (strcmp(sample->label, "load") == 0) {
        assert_true(venv_value_peek_double(sample->value) * 8 == (double)n);
        assert_int_equal(sample->quality, n % 7 ? VENV_QUALITY_OK : VENV_QUALITY_STALE);
        s->load += !sample->before;
    } else {
        assert_string_equal(sample->subject, "node2");
        assert_true(venv_value_is_text(sample->value, n % 20 ? "odd" : "even"));
        s->state += !sample->before;
    }
    return s->stop_after == 0 || s->memfree < s->stop_after;
}

static seen look(fixture *f, venv_history_query query, uint64_t *ret_damaged)
{
    seen s = { .gaps = ret_damaged != NULL };
    venv_history *history = NULL;
    assert_int_equal(venv_history_open(f->directory, &history, &f->err), VENV_OK);
    if (venv_history_read(history, &query, see, &s, &f->err) != VENV_OK)
        fail_msg("%s", f->err.text);
    if (ret_damaged)
        *ret_damaged = venv_history_damaged(history);
    else
        assert_int_equal(venv_history_damaged(history), 0);
    venv_history_close(history);
    return s;
}

static venv_wall at(int64_t n)
{
    return (venv_wall){ (T0 + n * 1000) * 1000000 };
}

static void test_written_and_read(void **state)
{
    fixture *f = *state;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    begin(f, (venv_history_limits){ .chunk_ms = 60000, .segment_ms = 600000 });
    for (int64_t n = 0; n < 3000; n++) {
        assert_int_equal(tick(f, n), VENV_OK);
        if (n % 251 == 0) { /* while it is written: all of it, to the last one */
            seen s = look(f, query, NULL);
            assert_int_equal(s.memfree, n + 1);
            assert_int_equal(s.last, n);
        }
    }
    for (int64_t from = -5; from < 3000; from += 173) {
        query.from = at(from);
        query.to = at(from + 400);
        seen s = look(f, query, NULL);
        int64_t first = from < 0 ? 0 : from + 1, last = from + 400 > 2999 ? 2999 : from + 400;
        assert_int_equal(s.memfree, last - first + 1);
        assert_int_equal(s.load, s.memfree);
        assert_int_equal(s.first, first);
        assert_int_equal(s.last, last);
        assert_int_equal(s.before, from < 0 ? 0 : 3);
    }
    query = (venv_history_query)VENV_HISTORY_QUERY_INIT;
    query.subject = "node2";
    assert_int_equal(look(f, query, NULL).state, 300);
    query = (venv_history_query){ at(100), at(2900), "node1", "load", false };
    seen s = look(f, query, NULL);
    assert_int_equal(s.load, 2800);
    assert_int_equal(s.memfree + s.state + s.before, 0);
    venv_history *history = NULL;
    venv_wall first, last;
    assert_int_equal(venv_history_open(f->directory, &history, &f->err), VENV_OK);
    assert_int_equal(venv_history_bounds(history, &first, &last, &f->err), VENV_OK);
    assert_int_equal(first.ns, at(0).ns);
    assert_int_equal(last.ns, at(2999).ns);
    venv_history_close(history);
}

static size_t cut_seen; /* samples that are there after a power cut at the moment when the journals are dropped */

/* The power is cut now: of the newest segment there is what was synced. Whichever of the two has reached the disk, nothing is missing. */
static void power_cut(void)
{
    char command[TEMPDIR_PATH_MAX * 6 + 400], path[TEMPDIR_PATH_MAX + 32];
    fixture f = { .directory = path };
    snprintf(path, sizeof path, "%s.cut", disk.directory);
    snprintf(command, sizeof command,
             "rm -rf '%s' && cp -r '%s' '%s' && cd '%s'/history* && for f in $(ls | grep seg | sort | tail -n 1); do truncate -s %lld $f; done",
             path, disk.directory, path, path, (long long)disk.synced);
    assert_int_equal(system(command), 0);
    cut_seen = look(&f, (venv_history_query)VENV_HISTORY_QUERY_INIT, NULL).memfree;
    snprintf(command, sizeof command, "for f in '%s'/history/*.new; do truncate -s %d $f; done", path, 16);
    assert_int_equal(system(command), 0);
    uint64_t damaged = 0;
    size_t without = look(&f, (venv_history_query)VENV_HISTORY_QUERY_INIT, &damaged).memfree;
    assert_int_equal(without, cut_seen); /* the chunk alone has all of it */
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static void test_power_cut(void **state)
{
    fixture *f = *state;
    begin(f, (venv_history_limits){ .chunk_ms = 60000, .segment_ms = 600000 });
    disk.drops = disk.syncs = 0;
    disk.directory = f->directory;
    for (int64_t n = 0; n < 400; n++) {
        unsigned drops = disk.drops;
        assert_int_equal(tick(f, n), VENV_OK);
        if (disk.drops > drops)
            assert_int_equal(cut_seen, n); /* all that was handed over before */
    }
    disk.directory = NULL;
    assert_in_range(disk.drops, 5, 7);
    assert_true(disk.syncs >= disk.drops);
    /* A disk that cannot sync loses what was to be packed, says so, and goes on in a new segment. */
    uint64_t lost = venv_history_writer_counts(f->writer).lost;
    disk.fails = true;
    venv_rc rc = VENV_OK;
    for (int64_t n = 400; n < 500 && rc == VENV_OK; n++)
        rc = tick(f, n);
    disk.fails = false;
    assert_int_equal(rc, VENV_EIO);
    assert_true(venv_history_writer_counts(f->writer).lost > lost);
}

/* Killed at any moment: what was handed over is there, up to the last journal, whose write may have been cut. */
static void test_killed(void **state)
{
    fixture *f = *state;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    int64_t next = 0;
    for (unsigned round = 0; round < 25; round++) {
        int fds[2];
        int64_t done = -1;
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            begin(f, (venv_history_limits){ .chunk_ms = 5000, .segment_ms = 60000 });
            for (int64_t n = next;; n++)
                if (tick(f, n) != VENV_OK || write(fds[1], &n, sizeof n) != sizeof n)
                    _exit(1);
        }
        close(fds[1]);
        for (unsigned i = 0; i <= round * 13 % 97; i++)
            assert_int_equal(read(fds[0], &done, sizeof done), sizeof done);
        kill(pid, SIGKILL);
        while (read(fds[0], &done, sizeof done) == sizeof done) { }
        waitpid(pid, NULL, 0);
        close(fds[0]);
        seen s = look(f, query, NULL);
        assert_true(s.last == done || s.last == done + 1);
        assert_int_equal(s.memfree, s.last + 1);
        next = s.last + 1;
    }
    assert_true(next > 25);
}

static void test_damaged(void **state)
{
    fixture *f = *state;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    uint64_t damaged = 0;
    char path[TEMPDIR_PATH_MAX + 64];
    begin(f, (venv_history_limits){ .chunk_ms = 20000, .segment_ms = 100000 });
    for (int64_t n = 0; n < 400; n++)
        assert_int_equal(tick(f, n), VENV_OK);
    end(f);
    snprintf(path, sizeof path, "%s/history/0000000002.seg", f->directory);
    int fd = open(path, O_RDWR);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t where = 16; where < st.st_size; where += 37) {
        uint8_t byte, wrong;
        assert_int_equal(pread(fd, &byte, 1, where), 1);
        wrong = byte ^ 0x41;
        assert_int_equal(pwrite(fd, &wrong, 1, where), 1);
        seen s = look(f, query, &damaged); /* it asserts that every value is right */
        assert_true(s.memfree < 400 && s.memfree >= 200);
        assert_int_equal(s.last, 399);
        assert_int_equal(pwrite(fd, &byte, 1, where), 1);
    }
    assert_true(damaged > 0);
    /* Cut off. */
    assert_int_equal(ftruncate(fd, st.st_size - 5), 0);
    close(fd);
    seen s = look(f, query, &damaged);
    assert_int_equal(damaged, 0);
    assert_true(s.memfree >= 300);
}

static void test_retention(void **state)
{
    fixture *f = *state;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    uint64_t damaged = 0;
    begin(f, (venv_history_limits){ .retention_ms = 300000, .chunk_ms = 10000, .segment_ms = 50000 });
    for (int64_t n = 0; n < 2000; n++)
        assert_int_equal(tick(f, n), VENV_OK);
    seen s = look(f, query, &damaged);
    assert_true(s.memfree >= 300 && s.memfree <= 420);
    assert_int_equal(s.last, 1999);
    end(f);
    begin(f, (venv_history_limits){ .size_max = 4000, .chunk_ms = 10000, .segment_ms = 50000 });
    for (int64_t n = 2000; n < 3000; n++)
        assert_int_equal(tick(f, n), VENV_OK);
    s = look(f, query, &damaged);
    assert_true(s.memfree < 400);
    assert_int_equal(s.last, 2999);
    assert_int_equal(venv_history_writer_counts(f->writer).lost, 0);
}

static void test_clock_set_back(void **state)
{
    fixture *f = *state;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    uint64_t damaged;
    begin(f, (venv_history_limits){ .chunk_ms = 10000 });
    for (int64_t n = 1000; n < 1100; n++)
        assert_int_equal(tick(f, n), VENV_OK);
    for (int64_t n = 500; n < 600; n++)
        assert_int_equal(tick(f, n), VENV_OK);
    query.to = at(800); /* of the second hundred alone: nothing is out of place */
    query.from = at(499);
    assert_int_equal(look(f, query, &damaged).memfree, 100);
    query.from = at(999);
    query.to = at(2000);
    assert_int_equal(look(f, query, &damaged).memfree, 100);
}

static void test_full_disk(void **state)
{
    fixture *f = *state;
    venv_history_query query = VENV_HISTORY_QUERY_INIT;
    uint64_t damaged;
    if (mount("tmpfs", f->directory, "tmpfs", 0, "size=64k") != 0) {
        print_message("needs the right to mount: %s\n", strerror(errno));
        skip();
    }
    begin(f, (venv_history_limits){ .chunk_ms = 10000 });
    int64_t n = 0, full = 0;
    while (full == 0 && n < 100000) {
        venv_rc rc = tick(f, n++);
        if (rc != VENV_OK) {
            assert_int_equal(rc, VENV_ENOSPACE);
            full = n;
        }
    }
    assert_true(full > 100);
    for (; n < full + 30; n++)
        assert_int_equal(tick(f, n), VENV_OK); /* it does not try for every sample */
    assert_true(venv_history_writer_counts(f->writer).lost >= 60);
    assert_int_equal(mount("tmpfs", f->directory, "tmpfs", MS_REMOUNT, "size=1m"), 0);
    for (; n < full + 300; n++)
        assert_int_equal(tick(f, n), VENV_OK);
    seen s = look(f, query, &damaged);
    assert_int_equal(damaged, 0);
    assert_int_equal(s.last, n - 1);
    assert_true(s.memfree > 300);
    end(f);
    assert_int_equal(umount(f->directory), 0);
}

/* A thing that is gone is not in the state of later times. */
static void test_gone(void **state)
{
    fixture *f = *state;
    begin(f, (venv_history_limits){ .chunk_ms = 1000, .segment_ms = 5000 });
    assert_int_equal(tick(f, 10), VENV_OK);
    venv_value null = venv_value_null();
    venv_history_journal_sample(&f->journal, f->series[2], at(11), VENV_QUALITY_ABSENT, &null);
    for (int64_t n = 11; n < 39; n++) {
        if (n % 10 == 0)
            continue;
        assert_int_equal(tick(f, n), VENV_OK);
    }
    for (int64_t from = 12; from < 38; from += 5) {
        venv_history_query query = { at(from), at(from), NULL, NULL, true };
        assert_int_equal(look(f, query, NULL).before, 2);
    }
    assert_int_equal(look(f, (venv_history_query){ at(10), at(10), NULL, NULL, true }, NULL).before, 3);
}

static void test_no_history(void **state)
{
    fixture *f = *state;
    venv_history *history = NULL;
    venv_wall first, last;
    assert_int_equal(venv_history_open(f->directory, &history, &f->err), VENV_ENOENT);
    assert_null(history);
    begin(f, (venv_history_limits){ 0 });
    assert_int_equal(venv_history_open(f->directory, &history, &f->err), VENV_OK);
    assert_int_equal(venv_history_bounds(history, &first, &last, &f->err), VENV_ENOENT);
    venv_history_close(history);
    assert_int_equal(look(f, (venv_history_query)VENV_HISTORY_QUERY_INIT, NULL).memfree, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_written_and_read), TEST(test_power_cut), TEST(test_killed), TEST(test_damaged), TEST(test_retention),
        TEST(test_clock_set_back), TEST(test_full_disk), TEST(test_gone), TEST(test_no_history),
    };
    return cmocka_run_group_tests_name("history: files", tests, NULL, NULL);
}
