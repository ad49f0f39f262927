/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_kill [N] [DIRECTORY]: N times (20000) a process that writes to a store is killed with SIGKILL at a random moment.
 *
 * The child applies transactions and acknowledges each through a pipe. After its death the parent opens the store: what was
 * acknowledged is there, the one after it is there whole or not at all, and nothing else is. Every thousandth store is
 * abandoned for a new one. Prints counts; fails where one is wrong or where too little happened.
 */
#include "store/log_check.h"
#include "support/tempdir.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

#define ROWS 5 /* of one transaction */

static uint64_t state = 1;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void die(const char *what, const venv_error *err)
{
    fprintf(stderr, "torture_kill: %s: %s\n", what, err ? err->text : strerror(errno));
    exit(1);
}

/* Transaction R: its number in five rows of different collections, some of them large, and in the log. */
static venv_rc write_step(venv_store *store, uint64_t revision, venv_error *err)
{
    static char filler[40000];
    venv_store_op ops[ROWS + 2];
    char keys[ROWS][32];
    memset(filler, (int)(revision * 31), sizeof filler);
    memcpy(filler, &revision, sizeof revision);
    for (unsigned i = 0; i < ROWS; i++) {
        size_t size = i == 4 ? (size_t)(revision * 7919 % (revision % 50 == 0 ? 40000 : 3000)) + 8 : 8 + i * 40;
        snprintf(keys[i], sizeof keys[i], "row%u", i);
        ops[i] = (venv_store_op){ .kind = VENV_STORE_PUT, .collection = (int)i, .key = { keys[i], strlen(keys[i]) },
                                  .row = { filler, size } };
    }
    char old[32], fresh[32];
    snprintf(old, sizeof old, "t%llu", (unsigned long long)(revision - 1));
    snprintf(fresh, sizeof fresh, "t%llu", (unsigned long long)revision);
    ops[ROWS] = (venv_store_op){ .kind = revision % 2 ? VENV_STORE_PUT : VENV_STORE_DELETE, .collection = 9,
                                 .key = { revision % 2 ? fresh : old, strlen(revision % 2 ? fresh : old) },
                                 .row = { filler, 8 } };
    ops[ROWS + 1] = (venv_store_op){ .kind = VENV_STORE_APPEND, .revision = revision, .row = { filler, 8 } };
    return venv_store_apply(store, ops, ROWS + 2, err);
}

static void child(const char *path, int acknowledge)
{
    venv_store *store = NULL;
    venv_error err = { 0 };
    uint64_t revision = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (venv_store_open(path, &store, &err) != VENV_OK || venv_store_revision(store, &revision, &err) != VENV_OK)
        die("open", &err);
    for (;;) {
        revision++;
        if (write_step(store, revision, &err) != VENV_OK)
            die("write", &err);
        if (write(acknowledge, &revision, sizeof revision) != sizeof revision)
            _exit(3);
        if (revision % 64 == 0 && venv_store_trim(store, revision - 32, &err) != VENV_OK)
            die("trim", &err);
    }
}

typedef struct looked {
    uint64_t last;
    size_t rows;
    bool wrong;
} looked;

static bool same_row(void *user, venv_str key, venv_str row)
{
    looked *x = user;
    uint64_t number = 0;
    (void)key;
    memcpy(&number, row.data, sizeof number);
    x->wrong = x->wrong || row.size < 8 || number != x->last;
    x->rows++;
    return true;
}

/* Everything of the last transaction, and nothing half. */
static uint64_t check(const char *path, uint64_t acknowledged)
{
    venv_store *store = NULL;
    venv_error err = { 0 };
    uint64_t revision = 0;
    if (venv_store_open(path, &store, &err) != VENV_OK || venv_store_revision(store, &revision, &err) != VENV_OK)
        die("the store cannot be opened after the kill", &err);
    if (revision < acknowledged || revision > acknowledged + 1) {
        fprintf(stderr, "torture_kill: revision %llu after %llu was acknowledged\n", (unsigned long long)revision,
                (unsigned long long)acknowledged);
        exit(1);
    }
    for (int collection = 0; revision > 0 && collection < ROWS; collection++) {
        looked x = { .last = revision };
        if (venv_store_each(store, collection, same_row, &x, &err) != VENV_OK || x.rows != 1 || x.wrong)
            die("a transaction is there in part", &err);
    }
    looked odd = { .last = revision };
    if (venv_store_each(store, 9, same_row, &odd, &err) != VENV_OK || odd.rows != revision % 2 || odd.wrong)
        die("a transaction is there in part", &err);
    if (!log_is_whole(store, revision, &err))
        die("the log of events is not whole", &err);
    venv_store_close(store);
    return revision;
}

int main(int argc, char **argv)
{
    uint64_t cycles = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000, acknowledgements = 0, in_flight = 0, during_open = 0, known = 0;
    char *directory = tempdir_make();
    char path[TEMPDIR_PATH_MAX + 64];
    struct timespec began, ended;
    const char *base = argc > 2 ? argv[2] : directory;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (uint64_t cycle = 0; cycle < cycles; cycle++) {
        int fds[2];
        if (cycle % 1000 == 0) {
            state = cycle + 88172645463325252u;
            known = 0;
        }
        snprintf(path, sizeof path, "%s/torture%llu.%ld/manager.db", base, (unsigned long long)(cycle / 1000), (long)getpid());
        if (pipe(fds) != 0)
            die("pipe", NULL);
        pid_t pid = fork();
        if (pid < 0)
            die("fork", NULL);
        if (pid == 0) {
            close(fds[0]);
            child(path, fds[1]);
        }
        close(fds[1]);
        uint64_t acknowledged = known, before = known;
        /* One in eight dies while it opens, the others after some transactions and a moment. */
        uint64_t wanted = draw() % 8 == 0 ? 0 : 1 + draw() % 12;
        for (uint64_t i = 0; i < wanted; i++)
            if (read(fds[0], &acknowledged, sizeof acknowledged) != sizeof acknowledged)
                die("the child ended by itself", NULL);
        nanosleep(&(struct timespec){ .tv_nsec = (long)(draw() % (wanted == 0 ? 8000000 : 700000)) }, NULL);
        kill(pid, SIGKILL);
        while (read(fds[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) { }
        close(fds[0]);
        int status = 0;
        if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            die("the child ended by itself", NULL);
        known = check(path, acknowledged);
        in_flight += known > acknowledged;
        during_open += acknowledged == before;
        acknowledgements += acknowledged - before;
        if (cycle % 1000 == 999 || cycle + 1 == cycles) {
            char *folder = strdup(path);
            *strrchr(folder, '/') = '\0';
            tempdir_remove(folder);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    tempdir_remove(directory);
    printf("torture_kill: %llu kills, %llu transactions acknowledged and all there; %llu kills before the first acknowledgement, "
           "%llu with a transaction that was durable and not acknowledged; %.0f s; 0 wrong\n", (unsigned long long)cycles,
           (unsigned long long)acknowledgements, (unsigned long long)during_open, (unsigned long long)in_flight,
           (double)(ended.tv_sec - began.tv_sec));
    if (acknowledgements < cycles || during_open == 0 || (cycles >= 1000 && in_flight == 0)) {
        printf("torture_kill: that is too little to mean anything\n");
        return 1;
    }
    return 0;
}
