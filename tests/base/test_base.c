/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors, ids, names, buffers, the arena, the table and its hash, random numbers, the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/random.h"
#include "base/table.h"
#include "base/wakes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void names_every_code(void **state)
{
    (void)state;
    for (int rc = VENV_OK; rc >= VENV_EINTERNAL; rc--) {
        assert_non_null(venv_rc_name((venv_rc)rc));
        for (int other = VENV_OK; other > rc; other--)
            assert_string_not_equal(venv_rc_name((venv_rc)rc), venv_rc_name((venv_rc)other));
    }
    assert_string_equal(venv_rc_name((venv_rc)-99), "internal");
    assert_string_equal(venv_rc_name((venv_rc)5), "internal");
}

static void fills_errors(void **state)
{
    (void)state;
    char text[VENV_ERROR_TEXT_MAX + VENV_ERROR_FILE_MAX + 32];
    venv_error err = { 0 };
    assert_int_equal(venv_error_set(NULL, VENV_ENOENT, "x"), VENV_ENOENT);
    assert_int_equal(venv_error_set(&err, VENV_ENOENT, "no agent named %s", "node07"), VENV_ENOENT);
    assert_string_equal(venv_error_format(&err, text, sizeof text), "no agent named node07");
    venv_error_at(&err, "a.yaml", 3, 0);
    assert_string_equal(venv_error_format(&err, text, sizeof text), "a.yaml:3: no agent named node07");
    venv_error_at(&err, NULL, 3, 7);
    assert_string_equal(venv_error_format(&err, text, sizeof text), "a.yaml:3:7: no agent named node07");
    assert_int_equal(venv_error_prefix(&err, "trigger %d", 5), VENV_ENOENT);
    assert_string_equal(err.text, "trigger 5: no agent named node07");
    venv_error_at(&err, NULL, 0, 0);
    assert_string_equal(venv_error_format(&err, text, sizeof text), "a.yaml: trigger 5: no agent named node07");
    venv_error_set(&err, VENV_EIO, "%s, and %s", err.text, "that is all");
    assert_string_equal(err.text, "trigger 5: no agent named node07, and that is all");
    venv_error_set(&err, VENV_EIO, "again");
    assert_string_equal(venv_error_format(&err, text, sizeof text), "again"); /* the old place is gone */
    assert_string_equal(venv_error_format(&err, text, 3), "ag");
    venv_error none = { 0 };
    assert_string_equal(venv_error_format(&none, text, sizeof text), "ok");
    venv_error_at(NULL, "f", 1, 1);
    venv_error_prefix(NULL, "x");
}

static void cleans_errors(void **state)
{
    (void)state;
    venv_error err = { 0 };
    venv_error_set(&err, VENV_EINVAL, "%s", "a\nb\x1b[31m\xff\xe2\x80\xae \xc3\xa9");
    assert_string_equal(err.text, "a\nb?[31m???? \xc3\xa9");
    venv_error_at(&err, "f\x1b.yaml", 1, 1);
    assert_string_equal(err.file, "f?.yaml");
    /* Cut within a character: the character goes. */
    char text[VENV_ERROR_TEXT_MAX + 10];
    memset(text, 'x', sizeof text);
    memcpy(text + VENV_ERROR_TEXT_MAX - 2, "\xc3\xa9\0", 3);
    venv_error_set(&err, VENV_EINVAL, "%s", text);
    assert_int_equal(strlen(err.text), VENV_ERROR_TEXT_MAX - 2);
    venv_error_prefix(&err, "prefix");
    assert_int_equal(strlen(err.text), VENV_ERROR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "prefix: xx", 10);
    venv_error_prefix(&err, "%s", text);
    assert_true(strlen(err.text) < VENV_ERROR_TEXT_MAX);
    memset(text, 'f', VENV_ERROR_FILE_MAX + 5);
    text[VENV_ERROR_FILE_MAX + 5] = '\0';
    venv_error_at(&err, text, 1, 1);
    assert_int_equal(strlen(err.file), VENV_ERROR_FILE_MAX - 1);
}

static void reads_and_writes_ids(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 1);
    for (int i = 0; i < 1000; i++) {
        venv_id id = venv_random_id(&random), back;
        char text[VENV_ID_TEXT_SIZE];
        venv_id_format(id, text);
        assert_int_equal(strlen(text), VENV_ID_TEXT_SIZE - 1);
        assert_true(text[14] == '4' && strchr("89ab", text[19]));
        assert_true(venv_id_parse((venv_str){ text, 36 }, &back) && venv_id_equal(id, back));
        for (size_t at = 0; at < 36; at++) {
            char kept = text[at];
            text[at] = kept == '-' ? '0' : 'g';
            assert_false(venv_id_parse((venv_str){ text, 36 }, &back));
            text[at] = kept;
        }
        assert_false(venv_id_parse((venv_str){ text, 35 }, &back));
    }
    venv_id id;
    assert_true(venv_id_parse(VENV_STR("ABCDEF00-0000-0000-0000-000000000000"), &id));
    assert_int_equal(id.bytes[0], 0xab);
    assert_false(venv_id_is_none(id));
    assert_true(venv_id_is_none((venv_id){ { 0 } }));
}

static void checks_names(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "0", "node07", "a.b", "a-b_c.d", "a-.-" };
    static const char *const bad[] = { "", ".", "..", "-a", "_a", ".a", "A", "a..b", "a/b", "a b", "a\n", "\xc3\xa9", "a\x7f", "../x" };
    char longest[VENV_NAME_MAX + 1];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(venv_name_is_valid((venv_str){ good[i], strlen(good[i]) }));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(venv_name_is_valid((venv_str){ bad[i], strlen(bad[i]) }));
    assert_true(venv_name_is_valid((venv_str){ longest, VENV_NAME_MAX }));
    assert_false(venv_name_is_valid((venv_str){ longest, VENV_NAME_MAX + 1 }));
    assert_true(venv_group_name_is_valid(VENV_STR("8-Core")));
    assert_true(venv_group_name_is_valid((venv_str){ longest, VENV_GROUP_NAME_MAX }));
    assert_false(venv_group_name_is_valid((venv_str){ longest, VENV_GROUP_NAME_MAX + 1 }));
    assert_false(venv_name_is_valid((venv_str){ "a\0b", 3 }));
}

static void names_roles(void **state)
{
    (void)state;
    static const venv_role roles[] = { VENV_ROLE_MANAGER, VENV_ROLE_AGENT, VENV_ROLE_USER };
    for (size_t i = 0; i < 3; i++) {
        const char *name = venv_role_name(roles[i]);
        assert_int_equal(venv_role_parse((venv_str){ name, strlen(name) }), roles[i]);
    }
    assert_string_equal(venv_role_name(VENV_ROLE_NONE), "none");
    assert_string_equal(venv_role_name((venv_role)77), "none");
    assert_int_equal(venv_role_parse(VENV_STR("none")), VENV_ROLE_NONE);
    assert_int_equal(venv_role_parse(VENV_STR("agents")), VENV_ROLE_NONE);
    assert_int_equal(venv_role_parse(VENV_STR("")), VENV_ROLE_NONE);
}

static void grows_buffers(void **state)
{
    (void)state;
    venv_buf buf;
    venv_buf_init(&buf, 1000);
    assert_string_equal(venv_buf_peek_text(&buf), "");
    for (int i = 0; i < 100; i++)
        venv_buf_append(&buf, "0123456789", 10);
    assert_int_equal(buf.rc, VENV_OK);
    assert_int_equal(buf.size, 1000);
    assert_int_equal(strlen(venv_buf_peek_text(&buf)), 1000);
    venv_buf_append(&buf, "", 0);
    assert_int_equal(buf.rc, VENV_OK);
    venv_buf_append_byte(&buf, 'x');
    assert_int_equal(buf.rc, VENV_ELIMIT);
    venv_buf_append(&buf, "", 0);
    assert_int_equal(buf.size, 1000);
    assert_string_equal(venv_buf_peek_text(&buf), "");
    venv_buf_drop(&buf, 995);
    assert_int_equal(buf.size, 5);
    assert_int_equal(buf.rc, VENV_ELIMIT); /* the error sticks */
    venv_buf_clear(&buf);
    venv_buf_append_byte(&buf, 'x');
    assert_string_equal(venv_buf_peek_text(&buf), "x");
    venv_buf_clear(&buf);
    venv_buf_printf(&buf, "%s-%d", "a", 5);
    assert_string_equal(venv_buf_peek_text(&buf), "a-5");
    venv_buf_printf(&buf, "%0300d", 7);
    assert_int_equal(buf.size, 303);
    assert_int_equal(venv_buf_peek_text(&buf)[302], '7');
    venv_buf_drop(&buf, 1);
    assert_int_equal(buf.data[0], '-');
    venv_buf_drop(&buf, 9999);
    assert_int_equal(buf.size, 0);
    memcpy(venv_buf_reserve(&buf, 3), "abc", 3);
    venv_buf_grew(&buf, 3);
    size_t size = 0;
    uint8_t *data = venv_buf_take(&buf, &size);
    assert_int_equal(size, 3);
    assert_string_equal((char *)data, "abc");
    free(data);
    data = venv_buf_take(&buf, &size);
    assert_non_null(data);
    assert_int_equal(size, 0);
    free(data);
    assert_null(venv_buf_reserve(&buf, 1001));
    assert_null(venv_buf_take(&buf, &size));
    assert_null(venv_buf_reserve(&(venv_buf){ .max = SIZE_MAX, .size = 5, .capacity = 5 }, SIZE_MAX - 2));
    venv_buf_fini(&buf);
}

static void lends_from_the_arena(void **state)
{
    (void)state;
    venv_arena arena;
    venv_arena_init(&arena, 100000);
    size_t used = 0;
    for (size_t i = 1; i < 200; i++) {
        uint8_t *memory = venv_arena_alloc(&arena, i);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t at = 0; at < i; at++)
            assert_int_equal(memory[at], 0);
        memset(memory, 0xff, i);
        used += i;
    }
    assert_true(arena.used >= used);
    assert_string_equal(venv_arena_dup(&arena, "hello", 5), "hello");
    assert_string_equal(venv_arena_dup(&arena, NULL, 0), "");
    assert_null(venv_arena_alloc(&arena, 100001));
    assert_null(venv_arena_alloc(&arena, SIZE_MAX));
    assert_null(venv_arena_dup(&arena, "x", SIZE_MAX));
    size_t count = 0;
    while (venv_arena_alloc(&arena, 1000))
        count++;
    assert_true(count > 50 && count <= 100);
    venv_arena_clear(&arena);
    assert_int_equal(arena.used, 0);
    uint8_t *again = venv_arena_alloc(&arena, 90000);
    for (size_t at = 0; at < 90000; at++)
        assert_int_equal(again[at], 0);
    venv_arena_fini(&arena);
    venv_arena_clear(&arena);
    venv_arena_fini(&arena);
}

static void hashes_as_published(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    /* As CPython 3.11 computes them with the key zero. */
    assert_true(venv_siphash13("a", 1, 0, 0) == UINT64_C(0x407448d2b89b1813));
    assert_true(venv_siphash13("abcdefg", 7, 0, 0) == UINT64_C(0x6db12aae9070f506));
    assert_true(venv_siphash13("abcdefgh", 8, 0, 0) == UINT64_C(0x3f7b849c0b8e35ea));
    assert_true(venv_siphash13("abcdefghi", 9, 0, 0) == UINT64_C(0xf89b34a3d11eb6e5));
    assert_true(venv_siphash13(bytes, 64, 0, 0) == UINT64_C(0x75e05fd5bbc870c6));
    assert_true(venv_hash_bytes("a", 1, 0) != venv_hash_bytes("a", 1, 1));
}

/* Against a plain array that keeps the same. */
static void keeps_a_table(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    static int values[KEYS];
    int order[KEYS], count = 0;
    venv_random random;
    venv_random_init(&random, 11);
    venv_table *table;
    assert_int_equal(venv_table_new(7, 200, &table, NULL), VENV_OK);
    for (int step = 0; step < 50000; step++) {
        int key = (int)venv_random_below(&random, KEYS), at = 0;
        while (at < count && order[at] != key)
            at++;
        bool there = at < count;
        assert_ptr_equal(venv_table_find(table, &key, sizeof key), there ? &values[key] : NULL);
        if (venv_random_below(&random, 2)) {
            venv_rc expected = there ? VENV_EEXIST : count >= 200 ? VENV_ELIMIT : VENV_OK;
            assert_int_equal(venv_table_add(table, &key, sizeof key, &values[key], NULL), expected);
            if (expected == VENV_OK)
                order[count++] = key;
        } else {
            assert_ptr_equal(venv_table_remove(table, &key, sizeof key), there ? &values[key] : NULL);
            if (there) {
                memmove(order + at, order + at + 1, (size_t)(count - at - 1) * sizeof *order);
                count--;
            }
        }
        assert_int_equal(venv_table_count(table), count);
        if (step % 100)
            continue;
        size_t cursor = 0;
        venv_str name;
        void *value;
        for (int i = 0; i < count; i++) {
            assert_true(venv_table_next(table, &cursor, &name, &value));
            assert_int_equal(name.size, sizeof(int));
            assert_memory_equal(name.data, &order[i], sizeof(int));
            assert_ptr_equal(value, &values[order[i]]);
        }
        assert_false(venv_table_next(table, &cursor, &name, &value));
    }
    /* Removing the current entry while iterating. */
    size_t cursor = 0;
    venv_str name;
    while (venv_table_next(table, &cursor, &name, NULL)) {
        int key;
        memcpy(&key, name.data, sizeof key);
        assert_non_null(venv_table_remove(table, &key, sizeof key));
    }
    assert_int_equal(venv_table_count(table), 0);
    assert_int_equal(venv_table_add(table, "", 0, values, NULL), VENV_OK);
    assert_ptr_equal(venv_table_find(table, "", 0), values);
    venv_table_free(table);
    venv_table_free(NULL);
}

static void draws_numbers(void **state)
{
    (void)state;
    venv_random a, b;
    venv_random_init(&a, 42);
    venv_random_init(&b, 42);
    for (int i = 0; i < 100; i++)
        assert_int_equal(venv_random_next(&a), venv_random_next(&b));
    venv_random known = { { 1, 2, 3, 4 } };
    assert_int_equal(venv_random_next(&known), 11520); /* as the authors' xoshiro256starstar.c gives for this state */
    assert_int_equal(venv_random_next(&known), 0);
    assert_int_equal(venv_random_next(&known), 1509978240);
    assert_int_equal(venv_random_below(&a, 0), 0);
    assert_int_equal(venv_random_below(&a, 1), 0);
    int seen[7] = { 0 };
    for (int i = 0; i < 70000; i++)
        seen[venv_random_below(&a, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 9000, 11000);
}

typedef struct lines {
    int count;
    venv_log_level level;
    char last[4096];
} lines;

static void take_line(void *user, venv_log_level level, const char *line)
{
    lines *l = user;
    l->count++;
    l->level = level;
    snprintf(l->last, sizeof l->last, "%s", line);
}

static void logs_one_safe_line(void **state)
{
    (void)state;
    lines l = { 0 };
    venv_log log = { take_line, &l, VENV_LOG_INFO };
    venv_log_print(NULL, VENV_LOG_ERROR, "x");
    venv_log_print(&log, VENV_LOG_DEBUG, "x");
    assert_int_equal(l.count, 0);
    venv_log_print(&log, VENV_LOG_WARNING, "agent %s said\n%s", "a\x1b[2J", "\xe2\x80\xae");
    assert_int_equal(l.count, 1);
    assert_int_equal(l.level, VENV_LOG_WARNING);
    assert_string_equal(l.last, "agent a\\x1b[2J said\\n\\u{202e}");
    char text[5000];
    memset(text, '\x01', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    venv_log_print(&log, VENV_LOG_INFO, "%s", text);
    assert_true(strlen(l.last) <= 2048 + 3);
    assert_string_equal(venv_log_level_name(VENV_LOG_DEBUG), "debug");
    assert_string_equal(venv_log_level_name((venv_log_level)9), "?");
    assert_string_equal(venv_version(), "0.1.0");
}

/* Against the plain way: look at all of them. */
static void wakes_the_earliest(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    int64_t at[COUNT];
    venv_wakes wakes;
    venv_random random;
    venv_random_init(&random, 7);
    venv_wakes_init(&wakes);
    assert_true(venv_wakes_first(&wakes).ns == VENV_INSTANT_NEVER.ns);
    for (uint32_t i = 0; i < COUNT; i++) {
        at[i] = i % 5 ? (int64_t)venv_random_below(&random, 50) : INT64_MAX;
        assert_int_equal(venv_wakes_add(&wakes, (venv_instant){ at[i] }, NULL), VENV_OK);
    }
    for (int turn = 0; turn < 20000; turn++) {
        uint32_t first = 0, changed = (uint32_t)venv_random_below(&random, COUNT);
        for (uint32_t i = 1; i < COUNT; i++)
            first = at[i] < at[first] ? i : first;
        assert_int_equal(venv_wakes_first(&wakes).ns, at[first]);
        assert_int_equal(venv_wakes_who(&wakes), first);
        changed = turn % 3 ? changed : first;
        at[changed] = turn % 7 ? (int64_t)venv_random_below(&random, 1000) : INT64_MAX;
        venv_wakes_set(&wakes, changed, (venv_instant){ at[changed] });
    }
    venv_wakes_fini(&wakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wakes_the_earliest), cmocka_unit_test(names_every_code),     cmocka_unit_test(fills_errors),  cmocka_unit_test(cleans_errors),
        cmocka_unit_test(reads_and_writes_ids), cmocka_unit_test(checks_names),  cmocka_unit_test(names_roles),
        cmocka_unit_test(grows_buffers),
        cmocka_unit_test(lends_from_the_arena), cmocka_unit_test(hashes_as_published),
        cmocka_unit_test(keeps_a_table),        cmocka_unit_test(draws_numbers), cmocka_unit_test(logs_one_safe_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
