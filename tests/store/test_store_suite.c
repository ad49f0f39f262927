/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite of the store's interface. Every driver passes it; what only a file can do is in
 * test_store_sqlite.c.
 */
#include "store/store.h"
#include "support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs those before it */

typedef struct fixture {
    char *directory;
    char location[TEMPDIR_PATH_MAX + 16];
    venv_store *store;
    venv_error err;
} fixture;

static int setup(void **state, bool on_disk)
{
    fixture *f = calloc(1, sizeof *f);
    f->directory = tempdir_make();
    snprintf(f->location, sizeof f->location, "%s%s%s", on_disk ? "sqlite:" : "memory:", on_disk ? f->directory : "",
             on_disk ? "/deep/er/manager.db" : "");
    assert_int_equal(venv_store_open(f->location, &f->store, &f->err), VENV_OK);
    *state = f;
    return 0;
}

static int setup_memory(void **state)
{
    return setup(state, false);
}

static int setup_sqlite(void **state)
{
    return setup(state, true);
}

static int teardown(void **state)
{
    fixture *f = *state;
    venv_store_close(f->store);
    tempdir_remove(f->directory);
    free(f);
    return 0;
}

static venv_store_op put_op(int collection, const char *key, const char *row)
{
    return (venv_store_op){ .kind = VENV_STORE_PUT, .collection = collection,
                            .key = { key, strlen(key) }, .row = { row, strlen(row) } };
}

static venv_store_op delete_op(int collection, const char *key)
{
    return (venv_store_op){ .kind = VENV_STORE_DELETE, .collection = collection, .key = { key, strlen(key) } };
}

static venv_store_op append_op(uint64_t revision, const char *row)
{
    return (venv_store_op){ .kind = VENV_STORE_APPEND, .revision = revision, .row = { row, strlen(row) } };
}

static venv_rc apply_one(fixture *f, venv_store_op op)
{
    return venv_store_apply(f->store, &op, 1, &f->err);
}

/* "key=row;key=row;" */
typedef struct listing {
    char text[4096];
    size_t size;
    unsigned left; /* stop after so many */
} listing;

static bool list_row(void *user, venv_str key, venv_str row)
{
    listing *l = user;
    l->size += (size_t)snprintf(l->text + l->size, sizeof l->text - l->size, "%.*s=%.*s;", (int)key.size, key.data,
                                (int)row.size, row.data);
    return --l->left > 0;
}

static bool list_entry(void *user, uint64_t revision, venv_str row)
{
    listing *l = user;
    l->size += (size_t)snprintf(l->text + l->size, sizeof l->text - l->size, "%llu=%.*s;",
                                (unsigned long long)revision, (int)row.size, row.data);
    return --l->left > 0;
}

static void assert_rows(fixture *f, int collection, const char *expected)
{
    listing l = { .left = 1000 };
    assert_int_equal(venv_store_each(f->store, collection, list_row, &l, &f->err), VENV_OK);
    assert_string_equal(l.text, expected);
}

static void assert_log(fixture *f, uint64_t since, uint32_t limit, const char *expected)
{
    listing l = { .left = 1000 };
    assert_int_equal(venv_store_log(f->store, since, limit, list_entry, &l, &f->err), VENV_OK);
    assert_string_equal(l.text, expected);
}

static uint64_t revision_of(fixture *f)
{
    uint64_t revision = 99999;
    assert_int_equal(venv_store_revision(f->store, &revision, &f->err), VENV_OK);
    return revision;
}

static void test_empty(void **state)
{
    fixture *f = *state;
    assert_rows(f, 0, "");
    assert_rows(f, VENV_STORE_COLLECTION_MAX, "");
    assert_log(f, 0, 10, "");
    assert_int_equal(revision_of(f), 0);
    assert_int_equal(venv_store_apply(f->store, NULL, 0, &f->err), VENV_OK);
    assert_int_equal(apply_one(f, delete_op(1, "nobody")), VENV_OK);
    assert_int_equal(venv_store_trim(f->store, 7, &f->err), VENV_OK);
}

static void test_rows(void **state)
{
    fixture *f = *state;
    const venv_store_op ops[] = { put_op(1, "b", "two"), put_op(1, "a", "one"), put_op(2, "a", "other"),
                                  put_op(1, "ab", "between"), put_op(1, "c", "") };
    assert_int_equal(venv_store_apply(f->store, ops, 5, &f->err), VENV_OK);
    assert_rows(f, 1, "a=one;ab=between;b=two;c=;");
    assert_rows(f, 2, "a=other;");
    assert_int_equal(apply_one(f, put_op(1, "b", "changed")), VENV_OK);
    assert_int_equal(apply_one(f, delete_op(1, "ab")), VENV_OK);
    assert_rows(f, 1, "a=one;b=changed;c=;");
    assert_rows(f, 2, "a=other;");

    listing l = { .left = 2 };
    assert_int_equal(venv_store_each(f->store, 1, list_row, &l, &f->err), VENV_OK);
    assert_string_equal(l.text, "a=one;b=changed;");
    assert_rows(f, 1, "a=one;b=changed;c=;"); /* a walk that was stopped leaves nothing behind */
}

/* Later operations see earlier ones of the same transaction. */
static void test_one_key_many_times(void **state)
{
    fixture *f = *state;
    const venv_store_op ops[] = { put_op(0, "k", "1"), delete_op(0, "k"), put_op(0, "k", "2"), put_op(0, "k", "3"),
                                  put_op(0, "gone", "x"), delete_op(0, "gone") };
    assert_int_equal(venv_store_apply(f->store, ops, 6, &f->err), VENV_OK);
    assert_rows(f, 0, "k=3;");
}

/* Keys, each with the row of its opposite. */
typedef struct pairs {
    const venv_str *keys;
    size_t next;
} pairs;

static bool compare(void *user, venv_str key, venv_str row)
{
    pairs *check = user;
    const venv_str *k = &check->keys[check->next], *r = &check->keys[5 - check->next];
    assert_int_equal(key.size, k->size);
    assert_memory_equal(key.data, k->data, k->size);
    assert_int_equal(row.size, r->size);
    assert_memory_equal(row.data, r->data, r->size);
    check->next++;
    return true;
}

static void test_bytes(void **state)
{
    fixture *f = *state;
    /* Keys are bytes in unsigned order, NUL and 0xff included; what looks like SQL is bytes, too. */
    const venv_str keys[] = { VENV_STR("\0"), VENV_STR("\0\0"), VENV_STR("'; DROP TABLE item; --"),
                              VENV_STR("\x7f"), VENV_STR("\x80"), VENV_STR("\xff\xff") };
    for (size_t i = 6; i-- > 0;) {
        venv_store_op op = { .kind = VENV_STORE_PUT, .collection = 3, .key = keys[i], .row = keys[5 - i] };
        assert_int_equal(apply_one(f, op), VENV_OK);
    }
    pairs check = { keys, 0 };
    assert_int_equal(venv_store_each(f->store, 3, compare, &check, &f->err), VENV_OK);
    assert_int_equal(check.next, 6);
}

static void test_log(void **state)
{
    fixture *f = *state;
    const venv_store_op ops[] = { append_op(1, "a"), append_op(2, "b"), append_op(7, "c") };
    assert_int_equal(venv_store_apply(f->store, ops, 3, &f->err), VENV_OK);
    assert_int_equal(revision_of(f), 7);
    assert_log(f, 0, 100, "1=a;2=b;7=c;");
    assert_log(f, 1, 100, "2=b;7=c;");
    assert_log(f, 3, 100, "7=c;");
    assert_log(f, 7, 100, "");
    assert_log(f, UINT64_MAX, 100, "");
    assert_log(f, 0, 2, "1=a;2=b;");
    assert_log(f, 0, 0, "");
    assert_log(f, 0, UINT32_MAX, "1=a;2=b;7=c;");

    assert_int_equal(apply_one(f, append_op(7, "again")), VENV_ECONFLICT);
    assert_int_equal(apply_one(f, append_op(3, "past")), VENV_ECONFLICT);
    assert_non_null(strstr(f->err.text, "3 is not above 7"));
    assert_int_equal(apply_one(f, append_op(0, "zero")), VENV_EINVAL);
    assert_int_equal(apply_one(f, append_op((uint64_t)INT64_MAX + 1, "huge")), VENV_EINVAL);
    assert_log(f, 0, 100, "1=a;2=b;7=c;");
}

static void test_trim(void **state)
{
    fixture *f = *state;
    const venv_store_op ops[] = { append_op(1, "a"), append_op(2, "b"), append_op(5, "c") };
    assert_int_equal(venv_store_apply(f->store, ops, 3, &f->err), VENV_OK);
    assert_int_equal(venv_store_trim(f->store, 2, &f->err), VENV_OK);
    assert_log(f, 0, 100, "5=c;");
    assert_int_equal(venv_store_trim(f->store, UINT64_MAX, &f->err), VENV_OK);
    assert_log(f, 0, 100, "");
    assert_int_equal(revision_of(f), 5); /* no revision is ever used twice */
    assert_int_equal(apply_one(f, append_op(5, "again")), VENV_ECONFLICT);
    assert_int_equal(apply_one(f, append_op(6, "d")), VENV_OK);
    assert_log(f, 0, 100, "6=d;");
}

/* One bad operation, wherever it stands: nothing of its transaction is seen. */
static void test_all_or_none(void **state)
{
    fixture *f = *state;
    assert_int_equal(apply_one(f, put_op(0, "k", "before")), VENV_OK);
    const venv_store_op bad[] = { append_op(0, "x"), put_op(0, "", "x"), put_op(-1, "k", "x"),
                                  put_op(VENV_STORE_COLLECTION_MAX + 1, "k", "x"),
                                  { .kind = (venv_store_op_kind)9, .key = VENV_STR("k") } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (size_t place = 0; place < 4; place++) {
            venv_store_op ops[4] = { put_op(0, "k", "after"), put_op(0, "new", "x"), delete_op(0, "k"),
                                     append_op(1, "x") };
            ops[place] = bad[i];
            assert_int_equal(venv_store_apply(f->store, ops, 4, &f->err), VENV_EINVAL);
            assert_rows(f, 0, "k=before;");
            assert_int_equal(revision_of(f), 0);
        }
    }
}

static void test_limits(void **state)
{
    fixture *f = *state;
    char key[VENV_STORE_KEY_MAX + 1];
    char *row = malloc(VENV_STORE_ROW_MAX + 1);
    memset(key, 'k', sizeof key);
    memset(row, 'r', VENV_STORE_ROW_MAX + 1);
    venv_store_op op = { .kind = VENV_STORE_PUT, .key = { key, VENV_STORE_KEY_MAX }, .row = { row, VENV_STORE_ROW_MAX } };
    assert_int_equal(apply_one(f, op), VENV_OK);
    op.row.size++;
    assert_int_equal(apply_one(f, op), VENV_EINVAL);
    op.row.size = 1;
    op.key.size++;
    assert_int_equal(apply_one(f, op), VENV_EINVAL);
    op = (venv_store_op){ .kind = VENV_STORE_APPEND, .revision = 1, .row = { row, VENV_STORE_ROW_MAX } };
    assert_int_equal(apply_one(f, op), VENV_OK);
    op = (venv_store_op){ .kind = VENV_STORE_APPEND, .revision = 2, .row = { row, VENV_STORE_ROW_MAX + 1 } };
    assert_int_equal(apply_one(f, op), VENV_EINVAL);
    assert_int_equal(venv_store_apply(f->store, &op, VENV_STORE_OP_COUNT_MAX + 1, &f->err), VENV_EINVAL);
    free(row);
}

/* A few thousand random steps against a model that is an array. */
static void test_model(void **state)
{
    fixture *f = *state;
    char model[50][16] = { "" };
    uint64_t random = 0x9e3779b97f4a7c15;

    for (int step = 0; step < 300; step++) {
        venv_store_op ops[8];
        char keys[8][8], rows[8][16];
        for (int i = 0; i < 8; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            unsigned index = (unsigned)(random >> 33) % 50;
            snprintf(keys[i], sizeof keys[i], "k%02u", index);
            snprintf(rows[i], sizeof rows[i], "r%d.%d", step, i);
            bool gone = (random >> 60) % 3 == 0;
            ops[i] = gone ? delete_op(5, keys[i]) : put_op(5, keys[i], rows[i]);
            snprintf(model[index], sizeof model[index], "%s", gone ? "" : rows[i]);
        }
        assert_int_equal(venv_store_apply(f->store, ops, 8, &f->err), VENV_OK);
    }
    char expected[4096] = "";
    size_t size = 0;
    for (unsigned i = 0; i < 50; i++) {
        if (model[i][0])
            size += (size_t)snprintf(expected + size, sizeof expected - size, "k%02u=%s;", i, model[i]);
    }
    assert_rows(f, 5, expected);
}

#define BOTH(test) \
    { #test " (memory)", test, setup_memory, teardown, NULL }, { #test " (sqlite)", test, setup_sqlite, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_empty), BOTH(test_rows), BOTH(test_one_key_many_times), BOTH(test_bytes), BOTH(test_log),
        BOTH(test_trim), BOTH(test_all_or_none), BOTH(test_limits), BOTH(test_model),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
