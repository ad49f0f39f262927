/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_power [STATES] [DIRECTORY] [TRANSACTIONS]: what a power cut can leave of a store, at least STATES (100000) times.
 *
 * A layer under SQLite (a VFS of our own) writes down every write, truncation, deletion and sync of a store that is at work, and
 * where each transaction was acknowledged. Then it plays power cuts: at any of these moments, of what was not yet synced any
 * subset is on the disk, sector by sector (512 bytes), some of them torn within; sizes of files likewise. Each state is made as
 * files and opened by the store: what was acknowledged must be there, whole, and at most one transaction more.
 *
 * As a control the same is done with a disk that takes a sync for nothing (what synchronous=OFF comes to): there the check must find
 * acknowledged transactions missing, or it would find nothing anywhere.
 */
#include "store/log_check.h"
#include "support/tempdir.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>

#define FILES     3
#define SECTOR    512u
#define FILE_MAX  (8u << 20)
#define STEPS     420    /* transactions of one recording, where nothing else is asked for */

/* --- recording --------------------------------------------------------------------------------------- */

typedef enum op_kind { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_DELETE, OP_ACKNOWLEDGE } op_kind;

typedef struct op {
    op_kind kind;
    int file;       /* 0: the database, 1: its log, 2: the journal that it has before there is a log */
    uint64_t at;    /* WRITE: offset. TRUNCATE: size. ACKNOWLEDGE: revision */
    size_t size;
    uint8_t *data;
} op;

static struct {
    op *items;
    size_t count, capacity;
} recorded;

static struct {
    sqlite3_vfs vfs;
    sqlite3_io_methods methods[FILES];
    const sqlite3_io_methods *real;
    bool on;
} disk;

static void record(op_kind kind, int file, uint64_t at, const void *data, size_t size)
{
    if (!disk.on)
        return;
    if (recorded.count == recorded.capacity) {
        recorded.capacity = recorded.capacity ? recorded.capacity * 2 : 1024;
        recorded.items = realloc(recorded.items, recorded.capacity * sizeof *recorded.items);
        tempdir_require(recorded.items != NULL, "memory");
    }
    uint8_t *copy = NULL;
    if (size > 0) {
        copy = malloc(size);
        tempdir_require(copy != NULL, "memory");
        memcpy(copy, data, size);
    }
    recorded.items[recorded.count++] = (op){ kind, file, at, size, copy };
}

static int file_of(sqlite3_file *file)
{
    return (int)(file->pMethods - disk.methods);
}

static int disk_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    record(OP_WRITE, file_of(file), (uint64_t)at, data, (size_t)size);
    return disk.real->xWrite(file, data, size, at);
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    record(OP_TRUNCATE, file_of(file), (uint64_t)size, NULL, 0);
    return disk.real->xTruncate(file, size);
}

static int disk_sync(sqlite3_file *file, int flags)
{
    record(OP_SYNC, file_of(file), 0, NULL, 0);
    return disk.real->xSync(file, flags);
}

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    int code = real->xOpen(real, name, file, flags, ret_flags);
    if (code == SQLITE_OK && file->pMethods) {
        int which = (flags & SQLITE_OPEN_MAIN_DB) ? 0 : (flags & SQLITE_OPEN_WAL) ? 1 : 2;
        sqlite3_io_methods *methods = &disk.methods[which];
        disk.real = file->pMethods;
        *methods = *file->pMethods;
        methods->xSync = disk_sync;
        methods->xWrite = disk_write;
        methods->xTruncate = disk_truncate;
        methods->iVersion = 2; /* no memory maps: they would be writes that are not seen */
        file->pMethods = methods;
    }
    return code;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    sqlite3_vfs *real = vfs->pAppData;
    size_t size = strlen(name);
    int code = real->xDelete(real, name, sync);
    if (size > 4 && strcmp(name + size - 4, "-wal") == 0)
        record(OP_DELETE, 1, 0, NULL, 0);
    else if (size > 8 && strcmp(name + size - 8, "-journal") == 0)
        record(OP_DELETE, 2, 0, NULL, 0);
    if (sync) /* of the directory */
        record(OP_SYNC, size > 8 && strcmp(name + size - 8, "-journal") == 0 ? 2 : 1, 0, NULL, 0);
    return code;
}

static void disk_install(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find("unix");
    disk.vfs = *real;
    disk.vfs.zName = "recording";
    disk.vfs.pAppData = real;
    disk.vfs.xOpen = disk_open;
    disk.vfs.xDelete = disk_delete;
    sqlite3_vfs_register(&disk.vfs, 1);
}

static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Transaction R puts its number everywhere. Some are large, so that checkpoints come. */
static venv_rc write_step(venv_store *store, uint64_t revision, venv_error *err)
{
    static char filler[65536];
    char key[32];
    size_t size = 8 + (size_t)(revision * 7919 % (revision % 5 == 0 ? 65000 : 2000));
    for (size_t i = 0; i < size; i += 8)
        memcpy(filler + i, &revision, 8);
    snprintf(key, sizeof key, "slot%llu", (unsigned long long)(revision % 7));
    const venv_store_op ops[] = {
        { .kind = VENV_STORE_PUT, .key = VENV_STR("last"), .row = { filler, 8 } },
        { .kind = VENV_STORE_PUT, .collection = 1, .key = { key, strlen(key) }, .row = { filler, size } },
        { .kind = VENV_STORE_PUT, .collection = 2, .key = VENV_STR("other"), .row = { filler, 8 } },
        { .kind = VENV_STORE_APPEND, .revision = revision, .row = { filler, 8 } },
    };
    return venv_store_apply(store, ops, 4, err);
}

static void make_recording(const char *directory, uint64_t steps)
{
    char path[TEMPDIR_PATH_MAX + 32];
    venv_store *store = NULL;
    venv_error err = { 0 };
    snprintf(path, sizeof path, "%s/recorded.db", directory);
    disk.on = true;
    tempdir_require(venv_store_open(path, &store, &err) == VENV_OK, err.text);
    for (uint64_t revision = 1; revision <= steps; revision++) {
        tempdir_require(write_step(store, revision, &err) == VENV_OK, err.text);
        record(OP_ACKNOWLEDGE, 0, revision, NULL, 0);
        if (revision % 150 == 0)
            tempdir_require(venv_store_trim(store, revision - 100, &err) == VENV_OK, err.text);
        if (revision == steps / 2) { /* an end in order, and a start */
            venv_store_close(store);
            tempdir_require(venv_store_open(path, &store, &err) == VENV_OK, err.text);
        }
    }
    venv_store_close(store);
    disk.on = false;
}

/* --- power cuts -------------------------------------------------------------------------------------- */

typedef struct image {
    uint8_t *bytes; /* FILE_MAX */
    size_t size;
    bool there;
} image;

static void put(image *file, uint64_t at, const uint8_t *data, size_t size)
{
    tempdir_require(at + size <= FILE_MAX, "the recording's file is larger than expected");
    if (at > file->size)
        memset(file->bytes + file->size, 0, at - file->size);
    memcpy(file->bytes + at, data, size);
    if (at + size > file->size)
        file->size = at + size;
    file->there = true;
}

static void apply(image *file, const op *o)
{
    if (o->kind == OP_WRITE) {
        put(file, o->at, o->data, o->size);
    } else if (o->kind == OP_TRUNCATE) {
        if (o->at > file->size)
            memset(file->bytes + file->size, 0, o->at - file->size);
        file->size = o->at;
        file->there = true;
    } else if (o->kind == OP_DELETE) {
        file->size = 0;
        file->there = false;
    }
}

static struct {
    uint64_t states, lost_writes, torn, missing, damaged, more;
} counts;

/* How a cut treats what was not synced: nothing of it, all of it, a prefix, any sectors, any sectors and torn ones. */
typedef enum manner { NOTHING, ALL, PREFIX, SECTORS, TORN, MANNERS } manner;

static void apply_in_part(image *file, const op *o, manner how, unsigned odds)
{
    if (o->kind != OP_WRITE) {
        if (draw(100) < odds)
            apply(file, o);
        return;
    }
    for (size_t done = 0; done < o->size;) {
        size_t size = SECTOR - (o->at + done) % SECTOR;
        if (size > o->size - done)
            size = o->size - done;
        if (draw(100) < odds) {
            put(file, o->at + done, o->data + done, size);
        } else if (how == TORN && draw(3) == 0) {
            put(file, o->at + done, o->data + done, (size_t)draw(size) + 1);
            counts.torn++;
        } else {
            counts.lost_writes++;
        }
        done += size;
    }
}

static void write_file(const char *path, const image *file)
{
    unlink(path);
    if (!file->there)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    tempdir_require(fd >= 0 && write(fd, file->bytes, file->size) == (ssize_t)file->size && close(fd) == 0, path);
}

typedef struct looked {
    uint64_t number, rows;
    bool wrong;
} looked;

static bool number_row(void *user, venv_str key, venv_str row)
{
    looked *x = user;
    uint64_t number = 0;
    memcpy(&number, row.data, sizeof number);
    if (key.size == 4 || key.size == 5) { /* last, other; slotN */
        bool slot = memcmp(key.data, "slot", 4) == 0;
        for (size_t i = 0; slot && i + 8 <= row.size; i += 8)
            x->wrong = x->wrong || memcmp(row.data, row.data + i, 8) != 0;
        if (!slot || number > x->number)
            x->number = number;
    }
    x->rows++;
    return true;
}

/* Open it as the manager does. True if it is right; what is wrong is counted. */
static bool look(const char *path, uint64_t acknowledged)
{
    venv_store *store = NULL;
    venv_error err = { 0 };
    uint64_t revision = 0;
    if (venv_store_open(path, &store, &err) != VENV_OK) {
        counts.damaged++;
        return false;
    }
    bool good = venv_store_revision(store, &revision, &err) == VENV_OK && log_is_whole(store, revision, &err);
    for (int collection = 0; good && revision > 0 && collection < 3; collection++) {
        looked rows = { 0 };
        good = venv_store_each(store, collection, number_row, &rows, &err) == VENV_OK && !rows.wrong && rows.number == revision;
    }
    venv_store_close(store);
    if (!good)
        counts.damaged++;
    else if (revision < acknowledged)
        counts.missing++;
    else
        counts.more += revision > acknowledged;
    return good && revision >= acknowledged && revision <= acknowledged + 1;
}

/* Cuts at moment `end`. What is synced is in `durable`; the rest are the operations that `pending` says. */
static bool cut(const char *directory, const image durable[FILES], const size_t *pending, size_t count, uint64_t acknowledged,
                manner how)
{
    static image left[FILES];
    char path[TEMPDIR_PATH_MAX + 32], log[TEMPDIR_PATH_MAX + 32], other[TEMPDIR_PATH_MAX + 32],
        journal[TEMPDIR_PATH_MAX + 32];
    for (int f = 0; f < FILES; f++) {
        if (!left[f].bytes)
            left[f].bytes = malloc(FILE_MAX);
        tempdir_require(left[f].bytes != NULL, "memory");
        memcpy(left[f].bytes, durable[f].bytes, durable[f].size);
        left[f].size = durable[f].size;
        left[f].there = durable[f].there;
    }
    size_t prefix = how == PREFIX ? (size_t)draw(count + 1) : count;
    unsigned odds = how == NOTHING ? 0 : how == ALL || how == PREFIX ? 100 : 10 + (unsigned)draw(85);
    for (size_t i = 0; i < prefix; i++) {
        const op *o = &recorded.items[pending[i]];
        apply_in_part(&left[o->file], o, how, odds);
    }
    snprintf(path, sizeof path, "%s/cut.db", directory);
    snprintf(log, sizeof log, "%s/cut.db-wal", directory);
    snprintf(other, sizeof other, "%s/cut.db-shm", directory);
    snprintf(journal, sizeof journal, "%s/cut.db-journal", directory);
    unlink(other);
    write_file(journal, &left[2]);
    write_file(path, &left[0]);
    write_file(log, &left[1]);
    counts.states++;
    return look(path, acknowledged);
}

/* A state of small files is looked at in no time: there are more cuts there. At least one at every moment. */
static double weight(const image durable[FILES])
{
    return 65536.0 / (65536.0 + (double)durable[0].size + (double)durable[1].size);
}

/*
 * All moments. `each`: cuts at a moment of weight 1; negative: only add the weights up, in `*ret_weights`. Returns how many
 * states were wrong.
 */
static uint64_t play(const char *directory, double each, bool syncs, uint64_t stop_at, double *ret_weights)
{
    image durable[FILES] = { { malloc(FILE_MAX), 0, false }, { malloc(FILE_MAX), 0, false }, { malloc(FILE_MAX), 0, false } };
    size_t *pending = calloc(recorded.count + 1, sizeof *pending), count = 0;
    uint64_t acknowledged = 0, wrong = 0;
    tempdir_require(durable[0].bytes && durable[1].bytes && durable[2].bytes && pending, "memory");
    for (size_t i = 0; i < recorded.count && wrong < stop_at; i++) {
        const op *o = &recorded.items[i];
        if (o->kind == OP_ACKNOWLEDGE) {
            acknowledged = o->at;
        } else if (o->kind == OP_SYNC) {
            size_t kept = 0;
            for (size_t k = 0; syncs && k < count; k++) {
                if (recorded.items[pending[k]].file == o->file)
                    apply(&durable[o->file], &recorded.items[pending[k]]);
                else
                    pending[kept++] = pending[k];
            }
            count = syncs ? kept : count;
        } else {
            pending[count++] = i;
            if (!syncs && count > 400) { /* in the end it gets there, in order */
                apply(&durable[recorded.items[pending[0]].file], &recorded.items[pending[0]]);
                memmove(&pending[0], &pending[1], --count * sizeof *pending);
            }
        }
        *ret_weights += weight(durable);
        uint64_t cuts = each < 0 ? 0 : 1 + (uint64_t)(each * weight(durable)); /* at least `each` in all, by the weights */
        for (uint64_t n = 0; n < cuts && wrong < stop_at; n++) {
            bool good = cut(directory, durable, pending, count, acknowledged, (manner)((i + n) % MANNERS));
            if (!good && wrong++ == 0 && syncs)
                fprintf(stderr, "torture_power: after operation %zu, %zu not synced, revision %llu acknowledged: not there, or damaged\n",
                        i, count, (unsigned long long)acknowledged);
        }
    }
    free(durable[0].bytes);
    free(durable[1].bytes);
    free(durable[2].bytes);
    free(pending);
    return wrong;
}

int main(int argc, char **argv)
{
    uint64_t states = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000, steps = argc > 3 ? strtoull(argv[3], NULL, 10) : STEPS;
    char *made = tempdir_make();
    char directory[TEMPDIR_PATH_MAX];
    snprintf(directory, sizeof directory, "%s%s", argc > 2 ? argv[2] : made, argc > 2 ? "/venv-power.XXXXXX" : "");
    if (argc > 2)
        tempdir_require(mkdtemp(directory) != NULL, directory);
    disk_install();
    make_recording(directory, steps);
    size_t syncs = 0, checkpoints = 0;
    for (size_t i = 0; i < recorded.count; i++) {
        syncs += recorded.items[i].kind == OP_SYNC;
        checkpoints += recorded.items[i].kind == OP_SYNC && recorded.items[i].file == 0;
    }
    double weights = 0, ignored = 0;
    (void)play(directory, -1, true, 1, &weights);
    double each = (double)states / weights;
    uint64_t wrong = play(directory, each, true, 10, &ignored);
    uint64_t made_states = counts.states, lost = counts.lost_writes, torn = counts.torn, more = counts.more;
    memset(&counts, 0, sizeof counts);
    uint64_t caught = play(directory, 0, false, 200, &ignored);
    printf("torture_power: %zu operations (%zu syncs, %zu of them of checkpoints), %llu transactions; %llu states, %llu sectors left out, "
           "%llu torn, %llu with a transaction more than acknowledged; %llu wrong\n", recorded.count, syncs, checkpoints, (unsigned long long)steps,
           (unsigned long long)made_states, (unsigned long long)lost, (unsigned long long)torn, (unsigned long long)more,
           (unsigned long long)wrong);
    printf("torture_power: control, a disk that does not sync: %llu states, %llu wrong (%llu lost what was acknowledged, %llu damaged)\n",
           (unsigned long long)counts.states, (unsigned long long)caught, (unsigned long long)counts.missing,
           (unsigned long long)counts.damaged);
    for (size_t i = 0; i < recorded.count; i++)
        free(recorded.items[i].data);
    free(recorded.items);
    if (argc > 2)
        tempdir_remove(strdup(directory));
    tempdir_remove(made);
    if (made_states < states || checkpoints < (steps < 300 ? 1 : 2) || torn == 0 || counts.missing == 0) {
        printf("torture_power: that is too little to mean anything\n");
        return 1;
    }
    return wrong == 0 ? 0 : 1;
}
