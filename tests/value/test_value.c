/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value: making and reading, equality, order and hash that agree, maps, builders, borrowed and
 * opaque values, printing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "base/arena.h"
#include "support/values.h"
#include "value/object.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char long_text[] = "a text that is longer than what fits into a value";

static void is_small(void **state)
{
    (void)state;
    assert_int_equal(sizeof(venv_value), 16);
    assert_int_equal(sizeof(struct venv_object), 16);
    assert_int_equal(offsetof(venv_value, s.text), 3);
}

static void names_kinds(void **state)
{
    (void)state;
    for (int a = 0; a < VENV_KIND__COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(venv_kind_name((venv_kind)a), venv_kind_name((venv_kind)b));
    assert_string_equal(venv_kind_name(VENV_NULL), "null_type");
    assert_string_equal(venv_kind_name((venv_kind)99), "unknown");
}

static void makes_and_reads_scalars(void **state)
{
    (void)state;
    venv_value v = venv_value_bool(true);
    assert_true(venv_value_peek_bool(&v));
    v = venv_value_int(INT64_MIN);
    assert_int_equal(venv_value_peek_int(&v), INT64_MIN);
    v = venv_value_uint(UINT64_MAX);
    assert_true(venv_value_peek_uint(&v) == UINT64_MAX);
    v = venv_value_double(-0.0);
    assert_true(signbit(venv_value_peek_double(&v)));
    v = venv_value_type("google.protobuf.Timestamp");
    assert_int_equal(venv_value_peek_text(&v).size, 25);
    assert_int_equal(venv_value_count(&v), 0);
}

static void bounds_times(void **state)
{
    (void)state;
    venv_value v;
    int64_t seconds;
    uint32_t nanos;
    int32_t signed_nanos;
    assert_int_equal(venv_value_timestamp(VENV_TIMESTAMP_SECONDS_MIN, 0, &v, NULL), VENV_OK);
    assert_int_equal(venv_value_timestamp(VENV_TIMESTAMP_SECONDS_MAX, 999999999, &v, NULL), VENV_OK);
    venv_value_peek_timestamp(&v, &seconds, &nanos);
    assert_true(seconds == VENV_TIMESTAMP_SECONDS_MAX && nanos == 999999999);
    assert_int_equal(venv_value_timestamp(VENV_TIMESTAMP_SECONDS_MIN - 1, 0, &v, NULL), VENV_ERANGE);
    assert_int_equal(venv_value_timestamp(VENV_TIMESTAMP_SECONDS_MAX + 1, 0, &v, NULL), VENV_ERANGE);
    assert_int_equal(venv_value_timestamp(0, 1000000000, &v, NULL), VENV_ERANGE);
    static const struct {
        int64_t seconds;
        int32_t nanos;
        venv_rc rc;
    } rows[] = { { 0, 0, VENV_OK }, { 0, 5, VENV_OK }, { 0, -5, VENV_OK }, { -1, -5, VENV_OK }, { 1, 5, VENV_OK }, { -1, 5, VENV_ERANGE },
                 { 1, -5, VENV_ERANGE }, { 0, 1000000000, VENV_ERANGE }, { 0, -1000000000, VENV_ERANGE }, { VENV_DURATION_SECONDS_MAX, 0, VENV_OK },
                 { VENV_DURATION_SECONDS_MAX, 1, VENV_ERANGE }, { -VENV_DURATION_SECONDS_MAX, 0, VENV_OK }, { -VENV_DURATION_SECONDS_MAX, -1, VENV_ERANGE },
                 { VENV_DURATION_SECONDS_MAX + 1, 0, VENV_ERANGE }, { INT64_MIN, 0, VENV_ERANGE } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(venv_value_duration(rows[i].seconds, rows[i].nanos, &v, NULL), rows[i].rc);
        if (rows[i].rc == VENV_OK) {
            venv_value_peek_duration(&v, &seconds, &signed_nanos);
            assert_true(seconds == rows[i].seconds && signed_nanos == rows[i].nanos);
        }
    }
    static const int64_t instants[] = { 0, 1, -1, 999999999, -999999999, 1500000000, -1500000000, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
        venv_wall wall = { 1 };
        venv_span span = { 1 };
        v = venv_value_from_wall((venv_wall){ instants[i] });
        assert_true(venv_value_to_wall(&v, &wall) && wall.ns == instants[i]);
        assert_false(venv_value_to_span(&v, &span));
        v = venv_value_from_span((venv_span){ instants[i] });
        assert_true(venv_value_to_span(&v, &span) && span.ns == instants[i]);
        assert_false(venv_value_to_wall(&v, &wall));
    }
    venv_wall wall;
    assert_int_equal(venv_value_timestamp(VENV_TIMESTAMP_SECONDS_MAX, 0, &v, NULL), VENV_OK);
    assert_false(venv_value_to_wall(&v, &wall));
}

/* Every size around what fits in place. */
static void keeps_text(void **state)
{
    (void)state;
    char text[40];
    for (size_t size = 0; size < 40; size++) {
        for (size_t i = 0; i < size; i++)
            text[i] = (char)('a' + i % 26);
        venv_value copy, bytes, borrowed = venv_value_borrow(text, size);
        assert_int_equal(venv_value_string(text, size, &copy, NULL), VENV_OK);
        assert_int_equal(venv_value_bytes(text, size, &bytes, NULL), VENV_OK);
        assert_int_equal(copy.w.form == VENV_FORM_INLINE, size <= VENV_VALUE_INLINE_MAX);
        assert_true(venv_value_equal(&copy, &borrowed));
        assert_false(venv_value_equal(&copy, &bytes));
        assert_int_equal(venv_value_hash(&copy, 9), venv_value_hash(&borrowed, 9));
        venv_str read = venv_value_peek_text(&copy);
        assert_int_equal(read.size, size);
        assert_memory_equal(read.data, text, size);
        venv_value dup;
        assert_int_equal(venv_value_dup(&borrowed, &dup, NULL), VENV_OK);
        assert_true(dup.w.form != VENV_FORM_BORROWED);
        assert_true(venv_value_equal(&copy, &dup));
        venv_value again = venv_value_ref(&copy);
        venv_value_unref(&copy);
        assert_true(venv_value_equal(&again, &dup));
        assert_int_equal(venv_value_kind(&copy), VENV_NULL);
        venv_value_unref(&again);
        venv_value_unref(&dup);
        venv_value_unref(&bytes);
        venv_value_unref(&borrowed);
        venv_value_unref(&borrowed); /* null by now */
    }
    venv_value v = venv_value_null();
    assert_int_equal(venv_value_string("a\xff", 2, &v, NULL), VENV_EINVAL);
    assert_int_equal(venv_value_kind(&v), VENV_NULL);
    v = venv_value_literal(long_text);
    assert_true(venv_value_is_text(&v, long_text));
    assert_false(venv_value_is_text(&v, "a"));
    venv_value_unref(NULL);
}

static void keeps_ids(void **state)
{
    (void)state;
    venv_id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } }, back = { { 0 } };
    venv_value v;
    assert_int_equal(venv_value_from_id(id, &v, NULL), VENV_OK);
    assert_true(venv_value_to_id(&v, &back) && venv_id_equal(id, back));
    venv_value_unref(&v);
    char text[VENV_ID_TEXT_SIZE];
    v = venv_value_literal(venv_id_format(id, text));
    back = (venv_id){ { 0 } };
    assert_true(venv_value_to_id(&v, &back) && venv_id_equal(id, back));
    v = venv_value_literal("not an id");
    assert_false(venv_value_to_id(&v, &back));
    v = venv_value_int(5);
    assert_false(venv_value_to_id(&v, &back));
}

/* Numbers in their order; those on one line are equal. 0 ends a line, -1 the table. */
static size_t numbers(venv_value *ret, int *ret_rank)
{
    static const struct {
        int rank;
        char kind;
        int64_t i;
        double d;
    } rows[] = {
        { 0, 'd', 0, (double)NAN },
        { 1, 'd', 0, -(double)INFINITY },
        { 2, 'd', 0, -1e300 },
        { 3, 'd', 0, -9223372036854777856.0 },
        { 4, 'i', INT64_MIN, 0 }, { 4, 'd', 0, -0x1p63 },
        { 5, 'i', INT64_MIN + 1, 0 },
        { 6, 'i', -9007199254740993, 0 },
        { 7, 'i', -9007199254740992, 0 }, { 7, 'd', 0, -9007199254740992.0 },
        { 8, 'd', 0, -1.5 },
        { 9, 'i', -1, 0 }, { 9, 'd', 0, -1.0 },
        { 10, 'd', 0, -0.5 },
        { 11, 'i', 0, 0 }, { 11, 'u', 0, 0 }, { 11, 'd', 0, 0.0 }, { 11, 'd', 0, -0.0 },
        { 12, 'd', 0, 5e-324 },
        { 13, 'i', 1, 0 }, { 13, 'u', 1, 0 }, { 13, 'd', 0, 1.0 },
        { 14, 'd', 0, 1.5 },
        { 15, 'i', 9007199254740992, 0 }, { 15, 'u', 9007199254740992, 0 }, { 15, 'd', 0, 9007199254740992.0 },
        { 16, 'i', 9007199254740993, 0 }, { 16, 'u', 9007199254740993, 0 },
        { 17, 'i', INT64_MAX, 0 }, { 17, 'u', INT64_MAX, 0 },
        { 18, 'u', INT64_MIN, 0 }, { 18, 'd', 0, 0x1p63 },
        { 19, 'u', INT64_MIN + 1, 0 },
        { 20, 'u', -1, 0 },
        { 21, 'd', 0, 0x1p64 },
        { 22, 'd', 0, (double)INFINITY },
    };
    size_t count = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < count; i++) {
        ret_rank[i] = rows[i].rank;
        ret[i] = rows[i].kind == 'i'   ? venv_value_int(rows[i].i)
                 : rows[i].kind == 'u' ? venv_value_uint((uint64_t)rows[i].i)
                                       : venv_value_double(rows[i].d);
    }
    return count;
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void compares_numbers_exactly(void **state)
{
    (void)state;
    venv_value values[64];
    int ranks[64];
    size_t count = numbers(values, ranks);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(sign(venv_value_compare(&values[i], &values[j])), sign(ranks[i] - ranks[j]));
            bool equal = ranks[i] == ranks[j] && ranks[i] != 0;
            assert_int_equal(venv_value_equal(&values[i], &values[j]), equal);
            if (equal)
                assert_int_equal(venv_value_hash(&values[i], 5), venv_value_hash(&values[j], 5));
        }
    }
    venv_value v = venv_value_literal("a");
    assert_true(venv_value_hash(&v, 1) != venv_value_hash(&v, 2));
}

static venv_value list_of(size_t count, const venv_value *items)
{
    venv_list_builder list;
    venv_value value;
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++)
        venv_list_add(&list, items[i]);
    assert_int_equal(venv_list_take(&list, &value, NULL), VENV_OK);
    return value;
}

static venv_value map_of(size_t count, const venv_value *items)
{
    venv_map_builder map;
    venv_value value;
    venv_map_init(&map);
    for (size_t i = 0; i < count; i++)
        venv_map_put_value(&map, items[2 * i], items[2 * i + 1]);
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    return value;
}

#define INT(i) venv_value_int(i)
#define UINT(u) venv_value_uint(u)
#define TEXT(t) venv_value_literal(t)
#define LIST(...) list_of(sizeof((venv_value[]){ __VA_ARGS__ }) / 16, (venv_value[]){ __VA_ARGS__ })
#define MAP(...) map_of(sizeof((venv_value[]){ __VA_ARGS__ }) / 32, (venv_value[]){ __VA_ARGS__ })

/* Values in their total order, all different. */
static void orders_all_kinds(void **state)
{
    (void)state;
    venv_value bytes, bytes2;
    assert_int_equal(venv_value_bytes("a", 1, &bytes, NULL), VENV_OK);
    assert_int_equal(venv_value_bytes("b", 1, &bytes2, NULL), VENV_OK);
    venv_value values[] = {
        venv_value_null(), venv_value_bool(false), venv_value_bool(true), INT(-5), UINT(7), TEXT(""), TEXT("a"), TEXT("aa"),
        TEXT("aaaaaaaaaaaaaaaaaaaa"), TEXT("ab"), TEXT("b"), bytes, bytes2, venv_value_empty_list(), LIST(INT(1)), LIST(INT(1), INT(1)),
        LIST(INT(2)), LIST(TEXT("a")), venv_value_empty_map(), MAP(INT(0), INT(1)), MAP(UINT(1), INT(0)), MAP(INT(1), INT(1)),
        MAP(TEXT("a"), INT(1)), MAP(TEXT("a"), INT(2)), MAP(TEXT("b"), INT(0)), MAP(INT(-1), INT(0), TEXT("x"), INT(0)),
        MAP(INT(1), INT(0), UINT(2), INT(0)), MAP(UINT(1), INT(0), INT(3), INT(0)), MAP(TEXT("x"), INT(0), venv_value_bool(true), INT(0)),
        venv_value_from_wall((venv_wall){ -1 }), venv_value_from_wall((venv_wall){ 0 }), venv_value_from_wall((venv_wall){ 1 }),
        venv_value_from_span((venv_span){ -1500000000 }), venv_value_from_span((venv_span){ -1 }), venv_value_from_span((venv_span){ 3 }),
        venv_value_type("int"), venv_value_type("string"),
    };
    size_t count = sizeof values / sizeof values[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = sign(venv_value_compare(&values[i], &values[j]));
            if (order != sign((int)i - (int)j)) {
                char a[80], b[80];
                venv_value_print(&values[i], a, sizeof a);
                venv_value_print(&values[j], b, sizeof b);
                fail_msg("%s and %s compare as %d", a, b, order);
            }
            assert_int_equal(venv_value_equal(&values[i], &values[j]), i == j);
        }
    }
    for (size_t i = 0; i < count; i++)
        venv_value_unref(&values[i]);
}

static void compares_containers_by_value(void **state)
{
    (void)state;
    venv_value pairs[][2] = {
        { LIST(INT(1), TEXT(long_text)), LIST(venv_value_double(1), TEXT(long_text)) },
        { MAP(INT(1), INT(5), TEXT("a"), INT(6)), MAP(TEXT("a"), UINT(6), UINT(1), venv_value_double(5)) },
        { MAP(INT(1), INT(0), UINT(2), INT(0), INT(3), INT(0)), MAP(UINT(1), INT(0), INT(2), INT(0), UINT(3), INT(0)) },
        { MAP(UINT(UINT64_MAX), INT(1), INT(-1), INT(1), venv_value_bool(true), INT(1)),
          MAP(venv_value_bool(true), INT(1), INT(-1), INT(1), UINT(UINT64_MAX), INT(1)) },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_true(venv_value_equal(&pairs[i][0], &pairs[i][1]));
        assert_int_equal(venv_value_compare(&pairs[i][0], &pairs[i][1]), 0);
        assert_int_equal(venv_value_hash(&pairs[i][0], 3), venv_value_hash(&pairs[i][1], 3));
        venv_value_unref(&pairs[i][0]);
        venv_value_unref(&pairs[i][1]);
    }
    venv_value nan = LIST(venv_value_double((double)NAN));
    assert_false(venv_value_equal(&nan, &nan));
    assert_int_equal(venv_value_compare(&nan, &nan), 0);
    venv_value_unref(&nan);
}

static void sorts_keys_by_their_encoding(void **state)
{
    (void)state;
    venv_value map = MAP(TEXT("b"), INT(0), venv_value_bool(true), INT(0), INT(-1), INT(0), UINT(5), INT(0), INT(10), INT(0), TEXT("aa"),
                         INT(0), INT(-300), INT(0), venv_value_bool(false), INT(0), UINT(UINT64_MAX), INT(0), INT(2), INT(0), TEXT(""), INT(0),
                         TEXT(long_text), INT(0), UINT(4), INT(0));
    static const char *const expected[] = { "2", "10", "18446744073709551615u", "-1", "-300", "\"\"", "\"b\"", "\"aa\"",
                                            "\"a text that is longer than what fits into a value\"", "4u", "5u", "false", "true" };
    const venv_value *key;
    for (size_t i = 0; i < 13; i++) {
        char text[80];
        assert_true(venv_value_entry(&map, i, &key, NULL));
        venv_value_print(key, text, sizeof text);
        assert_string_equal(text, expected[i]);
    }
    assert_false(venv_value_entry(&map, 13, &key, NULL));
    venv_value_unref(&map);
}

/* Maps of every size up to 70, keys of all kinds, against a plain search. */
static void finds_keys(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 21);
    for (int round = 0; round < 400; round++) {
        venv_value keys[70];
        size_t count = venv_random_below(&random, 70), kept = 0;
        bool only_text = round % 2;
        venv_map_builder map;
        venv_map_init(&map);
        for (size_t i = 0; i < count; i++) {
            char text[32];
            uint64_t drawn = venv_random_next(&random) >> venv_random_below(&random, 60);
            snprintf(text, sizeof text, "%.*llu", drawn % 5 ? 3 : 20, (unsigned long long)drawn);
            venv_value key = venv_value_null();
            switch (only_text ? 0 : venv_random_below(&random, 4)) {
            case 0:
                assert_int_equal(venv_value_string_z(text, &key, NULL), VENV_OK);
                break;
            case 1:
                key = venv_value_int((int64_t)(drawn % 50) - 25);
                break;
            case 2:
                key = venv_value_uint(drawn % 3 ? drawn % 50 : drawn | UINT64_C(1) << 63);
                break;
            default:
                key = venv_value_bool(drawn & 1);
                break;
            }
            bool there = false;
            for (size_t j = 0; j < kept; j++)
                there |= venv_value_equal(&keys[j], &key);
            if (there) {
                venv_value_unref(&key);
                continue;
            }
            keys[kept] = venv_value_ref(&key);
            venv_map_put_value(&map, key, venv_value_int((int64_t)kept++));
        }
        venv_value value;
        assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
        assert_int_equal(venv_value_count(&value), kept);
        for (size_t i = 0; i < kept; i++) {
            const venv_value *found = venv_value_find(&value, &keys[i]);
            assert_non_null(found);
            assert_int_equal(venv_value_peek_int(found), i);
            if (keys[i].w.kind == VENV_INT || (keys[i].w.kind == VENV_UINT && keys[i].w.as.u < 1000)) {
                venv_value as_double = venv_value_double((double)keys[i].w.as.i);
                assert_ptr_equal(venv_value_find(&value, &as_double), found);
            }
            if (keys[i].w.kind == VENV_STRING) {
                venv_str text = venv_value_peek_text(&keys[i]);
                venv_value borrowed = venv_value_borrow(text.data, text.size);
                assert_ptr_equal(venv_map_find_string(value.w.as.object, &borrowed), found);
            }
            venv_value_unref(&keys[i]);
        }
        static const char *const absent[] = { "", "no", "nothing", "1234567890123", "12345678901234", "a key that is not there at all" };
        for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
            assert_true(!venv_value_get(&value, absent[i]) || only_text == false || absent[i][0] == '1');
        venv_value wrong[] = { venv_value_null(), venv_value_double(0.5), venv_value_double((double)NAN), venv_value_double(1e300),
                               venv_value_double(-1e300), venv_value_empty_list(), INT(1000), UINT(1000) };
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            assert_null(venv_value_find(&value, &wrong[i]));
        venv_value_unref(&value);
    }
}

static void refuses_bad_maps(void **state)
{
    (void)state;
    static const struct {
        int a, b; /* kinds of two keys */
        venv_rc rc;
    } rows[] = { { VENV_INT, VENV_INT, VENV_EEXIST }, { VENV_INT, VENV_UINT, VENV_EEXIST }, { VENV_UINT, VENV_UINT, VENV_EEXIST },
                 { VENV_INT, VENV_BOOL, VENV_OK }, { VENV_INT, VENV_DOUBLE, VENV_EKIND }, { VENV_NULL, VENV_INT, VENV_EKIND },
                 { VENV_LIST, VENV_INT, VENV_EKIND } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_value of_kind[VENV_KIND__COUNT] = { [VENV_INT] = INT(1), [VENV_UINT] = UINT(1), [VENV_DOUBLE] = venv_value_double(1),
                                                 [VENV_BOOL] = venv_value_bool(true), [VENV_LIST] = venv_value_empty_list() };
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put(&map, "x", LIST(TEXT(long_text), TEXT("y")));
        venv_map_put_value(&map, of_kind[rows[i].a], INT(1));
        venv_map_put_value(&map, of_kind[rows[i].b], LIST(INT(1)));
        venv_value value = venv_value_null();
        venv_error err = { 0 };
        assert_int_equal(venv_map_take(&map, &value, &err), rows[i].rc);
        assert_int_equal(err.text[0] != 0, rows[i].rc != VENV_OK);
        assert_int_equal(venv_value_kind(&value), rows[i].rc == VENV_OK ? VENV_MAP : VENV_NULL);
        venv_value_unref(&value);
        /* The builder is empty and can be used again. */
        assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
        assert_int_equal(venv_value_count(&value), 0);
    }
    venv_map_builder map;
    venv_value value;
    venv_map_init(&map);
    venv_map_put(&map, "\xff", venv_value_null());
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_EINVAL);
    for (int n = 2; n < 60; n++) {
        venv_map_init(&map);
        for (int i = 0; i < n; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%d", i * 7 % (n - 1));
            venv_map_put(&map, key, INT(i));
        }
        assert_int_equal(venv_map_take(&map, &value, NULL), VENV_EEXIST);
    }
    venv_list_builder list;
    venv_list_init(&list);
    venv_list_add_text(&list, "\xff");
    venv_list_add_text(&list, "good");
    assert_int_equal(venv_list_take(&list, &value, NULL), VENV_EINVAL);
    venv_list_init(&list);
    venv_list_add_text(&list, long_text);
    venv_list_fini(&list);
    venv_list_fini(&list);
    venv_map_fini(&map);
}

static void reads_messages(void **state)
{
    (void)state;
    venv_map_builder map;
    venv_map_init(&map);
    venv_id id = { { 9 } }, back;
    venv_map_put_id(&map, "id", id);
    venv_map_put_z(&map, "text", long_text);
    venv_map_put_text(&map, "broken", "a\xff\xfe" "b\xc3", 5);
    venv_map_put(&map, "int", INT(5));
    venv_map_put(&map, "uint", UINT(6));
    venv_map_put(&map, "large", UINT(UINT64_MAX));
    venv_map_put(&map, "bool", venv_value_bool(true));
    venv_map_put(&map, "a key that is longer than thirteen", INT(7));
    venv_value value;
    assert_int_equal(venv_map_take(&map, &value, NULL), VENV_OK);
    assert_int_equal(venv_value_get_int(&value, "int", -1), 5);
    assert_int_equal(venv_value_get_int(&value, "uint", -1), 6);
    assert_int_equal(venv_value_get_int(&value, "large", -1), -1);
    assert_int_equal(venv_value_get_int(&value, "text", -1), -1);
    assert_int_equal(venv_value_get_int(&value, "none", -1), -1);
    assert_int_equal(venv_value_get_int(&value, "a key that is longer than thirteen", -1), 7);
    assert_true(venv_value_get_bool(&value, "bool", false));
    assert_true(venv_value_get_bool(&value, "int", true));
    assert_int_equal(venv_value_get_text(&value, "text").size, strlen(long_text));
    assert_int_equal(venv_value_get_text(&value, "int").size, 0);
    const venv_value *broken = venv_value_get(&value, "broken");
    assert_true(venv_value_is_text(broken, "a\xef\xbf\xbd\xef\xbf\xbd" "b\xef\xbf\xbd"));
    assert_true(venv_value_get_id(&value, "id", &back) && venv_id_equal(id, back));
    assert_false(venv_value_get_id(&value, "text", &back));
    assert_null(venv_value_at(&value, 0));
    assert_null(venv_value_get(broken, "x"));
    assert_null(venv_value_find(broken, broken));
    venv_value_unref(&value);
}

static void bounds_depth(void **state)
{
    (void)state;
    venv_value value = venv_value_empty_list();
    for (int depth = 2; depth <= VENV_VALUE_DEPTH_MAX; depth++)
        value = depth % 2 ? LIST(value) : MAP(TEXT("k"), value);
    venv_value copy;
    assert_int_equal(venv_value_dup(&value, &copy, NULL), VENV_OK);
    assert_true(venv_value_equal(&value, &copy));
    assert_int_equal(venv_value_compare(&value, &copy), 0);
    venv_list_builder list;
    venv_list_init(&list);
    venv_list_add(&list, copy);
    venv_error err = { 0 };
    assert_int_equal(venv_list_take(&list, &copy, &err), VENV_ELIMIT);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "x", value);
    assert_int_equal(venv_map_take(&map, &value, &err), VENV_ELIMIT);
}

static void shares_and_copies(void **state)
{
    (void)state;
    char *text = malloc(sizeof long_text);
    memcpy(text, long_text, sizeof long_text);
    venv_value inner = LIST(venv_value_borrow(text, sizeof long_text - 1), INT(1));
    venv_value shared = MAP(TEXT("a"), venv_value_ref(&inner), TEXT("b"), venv_value_ref(&inner), venv_value_bool(true), inner);
    venv_value copy, again;
    assert_int_equal(venv_value_dup(&shared, &copy, NULL), VENV_OK);
    assert_true(venv_value_equal(&shared, &copy));
    venv_value_unref(&shared);
    memset(text, 'x', sizeof long_text);
    free(text);
    const venv_value *list = venv_value_get(&copy, "b");
    assert_true(venv_value_is_text(venv_value_at(list, 0), long_text));
    assert_int_equal(venv_value_dup(&copy, &again, NULL), VENV_OK); /* nothing borrowed: the same object */
    assert_ptr_equal(copy.w.as.object, again.w.as.object);
    venv_value_unref(&again);
    venv_value_unref(&copy);
}

/* What the evaluator does: lists and maps in an arena, never counted. */
static void lives_in_an_arena(void **state)
{
    (void)state;
    venv_arena arena;
    venv_arena_init(&arena, 1 << 20);
    struct venv_object *map = venv_arena_alloc(&arena, venv_map_size(3));
    venv_object_init(map, VENV_MAP, 3);
    for (size_t i = 0; i < 3; i++) {
        venv_value *entry = venv_object_items(map) + 2 * i;
        entry[0] = venv_value_literal(i == 0 ? "zz" : i == 1 ? "a" : long_text);
        struct venv_object *list = venv_arena_alloc(&arena, venv_list_size(1));
        venv_object_init(list, VENV_LIST, 1);
        venv_object_items(list)[0] = INT((int64_t)i);
        entry[1] = venv_value_of_object(list, VENV_FORM_BORROWED);
        venv_object_note_key(map, &entry[0]);
        assert_true(venv_object_note(map, &entry[1]));
    }
    assert_int_equal(venv_map_sort(map, NULL), VENV_OK);
    assert_int_equal(map->depth, 2);
    assert_true(map->flags & VENV_OBJECT_TEXT_KEYS);
    venv_value value = venv_value_of_object(map, VENV_FORM_BORROWED), copy, ref = venv_value_ref(&value);
    venv_value_unref(&ref);
    assert_int_equal(venv_value_peek_int(venv_value_at(venv_value_get(&value, long_text), 0)), 2);
    assert_int_equal(venv_value_peek_int(venv_value_at(venv_value_get(&value, "a"), 0)), 1);
    assert_int_equal(venv_value_dup(&value, &copy, NULL), VENV_OK);
    assert_true(venv_value_equal(&value, &copy));
    venv_arena_fini(&arena);
    char text[200];
    venv_value_print(&copy, text, sizeof text);
    assert_string_equal(text, "{\"a\": [1], \"zz\": [0], \"a text that is longer than what fits into a value\": [2]}");
    venv_value_unref(&copy);
}

static void finds_large_numbers(void **state)
{
    (void)state;
    venv_value map = MAP(UINT(UINT64_C(1) << 63), INT(1), INT(INT64_MIN), INT(2), UINT(3), INT(3));
    venv_value keys[] = { venv_value_double(0x1p63), venv_value_double(-0x1p63), venv_value_double(3), INT(3) };
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(venv_value_peek_int(venv_value_find(&map, &keys[i])), i < 3 ? i + 1 : 3);
    venv_value absent = venv_value_double(0x1p64);
    assert_null(venv_value_find(&map, &absent));
    venv_value_unref(&map);
    venv_error err = { 0 };
    assert_int_equal(venv_value_bytes("", (size_t)VENV_VALUE_SIZE_MAX + 1, &map, &err), VENV_ELIMIT);
}

/* Antisymmetric, transitive, and in agreement with equality and hash, over random values of all kinds. */
static void orders_random_values(void **state)
{
    (void)state;
    enum { COUNT = 48 };
    venv_random random;
    venv_random_init(&random, 99);
    for (int round = 0; round < 20; round++) {
        venv_value values[COUNT];
        for (int i = 0; i < COUNT; i++)
            values[i] = i % 4 != 3 ? values_draw(&random, 2) : venv_value_ref(&values[i / 2]);
        for (int i = 0; i < COUNT; i++) {
            for (int j = 0; j < COUNT; j++) {
                int order = sign(venv_value_compare(&values[i], &values[j]));
                assert_int_equal(order, -sign(venv_value_compare(&values[j], &values[i])));
                if (venv_value_equal(&values[i], &values[j])) {
                    assert_int_equal(order, 0);
                    assert_int_equal(venv_value_hash(&values[i], 4), venv_value_hash(&values[j], 4));
                }
                for (int k = 0; k < COUNT && order <= 0; k++)
                    if (venv_value_compare(&values[j], &values[k]) <= 0)
                        assert_true(venv_value_compare(&values[i], &values[k]) <= 0);
            }
        }
        for (int i = 0; i < COUNT; i++)
            venv_value_unref(&values[i]);
    }
}

typedef struct point {
    struct venv_opaque opaque;
    venv_value name;
    int x;
} point;

static int point_finis;

static bool point_equal(const struct venv_object *a, const struct venv_object *b)
{
    return ((const point *)a)->x == ((const point *)b)->x;
}
static int point_compare(const struct venv_object *a, const struct venv_object *b)
{
    return ((const point *)a)->x - ((const point *)b)->x;
}
static uint64_t point_hash(const struct venv_object *object, uint64_t seed)
{
    return (uint64_t)((const point *)object)->x ^ seed;
}
static void point_print(const struct venv_object *object, venv_printer *printer)
{
    char text[32];
    snprintf(text, sizeof text, "point(%d)", ((const point *)object)->x);
    venv_printer_put_z(printer, text);
}
static void point_fini(struct venv_object *object)
{
    point_finis++;
    venv_value_unref(&((point *)object)->name);
}
static const venv_opaque_class point_class = { "test.Point", point_equal, point_compare, point_hash, point_print, NULL, point_fini };
static venv_value make_point(int x, const venv_opaque_class *class);
static venv_rc point_dup(const struct venv_object *object, venv_value *ret_value, venv_error *err)
{
    (void)err;
    *ret_value = make_point(((const point *)object)->x, ((const point *)object)->opaque.class);
    return VENV_OK;
}
static const venv_opaque_class other_class = { "test.Zoint", point_equal, point_compare, point_hash, point_print, point_dup, NULL };

static venv_value make_point(int x, const venv_opaque_class *class)
{
    point *p = calloc(1, sizeof *p);
    venv_object_init(&p->opaque.head, VENV_OPAQUE, 0);
    p->opaque.head.u.live.refs = 1;
    p->opaque.class = class;
    p->x = x;
    assert_int_equal(venv_value_string_z(class == &point_class ? long_text : "", &p->name, NULL), VENV_OK);
    return venv_value_of_object(&p->opaque.head, VENV_FORM_COUNTED);
}

static void carries_opaque_objects(void **state)
{
    (void)state;
    venv_value a = make_point(1, &point_class), b = make_point(1, &point_class), c = make_point(2, &point_class), d = make_point(1, &other_class);
    assert_true(venv_value_equal(&a, &b));
    assert_int_equal(venv_value_hash(&a, 7), venv_value_hash(&b, 7));
    assert_false(venv_value_equal(&a, &c));
    assert_false(venv_value_equal(&a, &d));
    assert_true(venv_value_compare(&a, &c) < 0 && venv_value_compare(&a, &d) < 0 && venv_value_compare(&a, &b) == 0);
    venv_value copy, list = LIST(a, b, c, d);
    char text[100];
    venv_value_print(&list, text, sizeof text);
    assert_string_equal(text, "[point(1), point(1), point(2), point(1)]");
    assert_int_equal(venv_value_dup(&list, &copy, NULL), VENV_OK);
    venv_value borrowed = venv_value_of_object(c.w.as.object, VENV_FORM_BORROWED), kept;
    assert_int_equal(venv_value_dup(&borrowed, &kept, NULL), VENV_EUNSUPPORTED);
    borrowed = venv_value_of_object(d.w.as.object, VENV_FORM_BORROWED);
    assert_int_equal(venv_value_dup(&borrowed, &kept, NULL), VENV_OK);
    assert_true(kept.w.as.object != d.w.as.object && venv_value_equal(&kept, &d));
    venv_value_unref(&kept);
    venv_value_unref(&list);
    assert_int_equal(point_finis, 0);
    venv_value_unref(&copy);
    assert_int_equal(point_finis, 3);
}

static void prints_for_people(void **state)
{
    (void)state;
    venv_value bytes;
    assert_int_equal(venv_value_bytes("a\"\\\n\x00\x7f\x80\xff", 8, &bytes, NULL), VENV_OK);
    struct {
        venv_value value;
        const char *text;
    } rows[] = {
        { venv_value_null(), "null" },
        { INT(INT64_MIN), "-9223372036854775808" },
        { UINT(5), "5u" },
        { venv_value_double(3), "3.0" },
        { venv_value_double(1e100), "1e+100" },
        { venv_value_double(-0.0), "-0.0" },
        { venv_value_double((double)NAN), "double(\"NaN\")" },
        { TEXT("a\"b\\\n\r\t\x1b\x7f\xc2\x85\xe2\x80\xae\xc3\xa9'"), "\"a\\\"b\\\\\\n\\r\\t\\u001b\\u007f\\u0085\\u202e\xc3\xa9'\"" },
        { venv_value_borrow("not \xff utf-8 at all", 16), "\"not \\ufffd utf-8 at a\"" },
        { bytes, "b\"a\\\"\\\\\\n\\x00\\x7f\\x80\\xff\"" },
        { LIST(INT(1), LIST(TEXT("a")), MAP(TEXT("k"), venv_value_bool(false))), "[1, [\"a\"], {\"k\": false}]" },
        { venv_value_from_wall((venv_wall){ -1 }), "timestamp(\"1969-12-31T23:59:59.999999999Z\")" },
        { venv_value_from_span((venv_span){ -1 }), "duration(\"-0.000000001s\")" },
        { venv_value_type("int"), "int" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[200];
        size_t size = venv_value_print(&rows[i].value, text, sizeof text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(size, strlen(rows[i].text));
        assert_int_equal(venv_value_print(&rows[i].value, NULL, 0), size);
        for (size_t room = 1; room <= size; room++) {
            memset(text, 'X', sizeof text);
            assert_int_equal(venv_value_print(&rows[i].value, text, room), size);
            assert_true(strlen(text) < room && text[room] == 'X');
            assert_memory_equal(text, rows[i].text, strlen(text));
        }
        venv_value_unref(&rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_small),          cmocka_unit_test(names_kinds),
        cmocka_unit_test(makes_and_reads_scalars), cmocka_unit_test(bounds_times),
        cmocka_unit_test(keeps_text),        cmocka_unit_test(keeps_ids),
        cmocka_unit_test(compares_numbers_exactly), cmocka_unit_test(orders_all_kinds),
        cmocka_unit_test(compares_containers_by_value), cmocka_unit_test(sorts_keys_by_their_encoding),
        cmocka_unit_test(finds_keys),        cmocka_unit_test(finds_large_numbers), cmocka_unit_test(orders_random_values),
        cmocka_unit_test(refuses_bad_maps),
        cmocka_unit_test(reads_messages),    cmocka_unit_test(bounds_depth),
        cmocka_unit_test(shares_and_copies), cmocka_unit_test(lives_in_an_arena),
        cmocka_unit_test(carries_opaque_objects), cmocka_unit_test(prints_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
