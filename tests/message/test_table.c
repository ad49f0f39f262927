/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of types and the gate. Every cell of type × sender × receiver is looked at, and counted (threat T06): what
 * should be allowed is written here a second time, by rules and not by the table.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <venv/message.h>

#include <string.h>

/* The rows, counted from the table's own text. */
enum {
#define VENV_MESSAGE(number, id, name, from, max, summary) ROW_##id,
#include <venv/message.def>
#undef VENV_MESSAGE
    TYPE_COUNT,
    CELL_COUNT = TYPE_COUNT * 4 * 4
};

static bool between(int number, int low, int high)
{
    return number >= low && number <= high;
}

/* What may go from where to where, by the numbers' ranges (requirement A5 and venv-protocol(7)). */
static bool expected(venv_role sender, venv_role receiver, int type)
{
    bool to_manager = receiver == VENV_ROLE_MANAGER && (sender == VENV_ROLE_AGENT || sender == VENV_ROLE_USER);
    bool from_manager = sender == VENV_ROLE_MANAGER && (receiver == VENV_ROLE_AGENT || receiver == VENV_ROLE_USER);
    if (!to_manager && !from_manager)
        return false;
    if (type == 0 || type == -1000 || type == 203 || type == 204)
        return true;
    if (type == 200)
        return to_manager;
    if (type == 201 || type == 202)
        return from_manager;
    if (between(type, 1, 3) || type == 100 || type == 205 || between(type, 300, 309) || between(type, 312, 316))
        return from_manager && receiver == VENV_ROLE_AGENT;
    if (type == -10 || type == -100 || type == -101 || between(type, 10, 11) || between(type, 30, 31) ||
        between(type, 101, 103) || between(type, 210, 212) || between(type, 310, 311) || type == 317)
        return to_manager && sender == VENV_ROLE_AGENT;
    if (between(type, 400, 449))
        return to_manager && sender == VENV_ROLE_USER;
    if (between(type, 450, 452))
        return from_manager && receiver == VENV_ROLE_USER;
    return false;
}

static void test_every_cell(void **state)
{
    (void)state;
    static const venv_role roles[] = { VENV_ROLE_NONE, VENV_ROLE_MANAGER, VENV_ROLE_AGENT, VENV_ROLE_USER };
    unsigned cells = 0, allowed = 0, by_rule = 0;
    for (size_t i = 0; venv_message_at(i); i++)
        for (size_t s = 0; s < 4; s++)
            for (size_t r = 0; r < 4; r++) {
                int16_t type = venv_message_at(i)->type;
                bool may = venv_message_allowed(roles[s], roles[r], type);
                if (may != expected(roles[s], roles[r], type))
                    fail_msg("%s from %s to %s: %d", venv_message_name(type), venv_role_name(roles[s]),
                             venv_role_name(roles[r]), may);
                cells++;
                allowed += may;
                by_rule += expected(roles[s], roles[r], type);
            }
    assert_int_equal(cells, CELL_COUNT);
    assert_int_equal(allowed, by_rule);
    assert_true(allowed >= TYPE_COUNT);
}

/* Every number that there is: only those of the table are known, the others are denied to all. */
static void test_every_number(void **state)
{
    (void)state;
    unsigned known = 0;
    for (int number = INT16_MIN; number <= INT16_MAX; number++) {
        const venv_message_info *info = venv_message_find((int16_t)number);
        known += info != NULL;
        if (info) {
            assert_int_equal(info->type, number);
        } else {
            assert_false(venv_message_allowed(VENV_ROLE_MANAGER, VENV_ROLE_AGENT, (int16_t)number));
            assert_false(venv_message_allowed(VENV_ROLE_AGENT, VENV_ROLE_MANAGER, (int16_t)number));
            assert_false(venv_message_allowed(VENV_ROLE_USER, VENV_ROLE_MANAGER, (int16_t)number));
            assert_string_equal(venv_message_name((int16_t)number), "unknown");
        }
    }
    assert_int_equal(known, TYPE_COUNT);
}

/* The numbers of the prototype (A5) are kept. */
static void test_old_numbers(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *name;
    } rows[] = { { 0, "noop" },      { 1, "getprop" },   { 2, "fetchprop" },  { 3, "execute" },
                 { 100, "control" }, { 10, "propval" },  { 11, "proplist" },  { -10, "properr" },
                 { 30, "execret" },  { 31, "execlist" }, { 101, "ctrlstop" }, { 102, "ctrlrcon" },
                 { 103, "ctrlrjoin" }, { -100, "ctrlunkn" }, { -101, "ctrlbad" }, { -1000, "unknowntype" } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(venv_message_name((int16_t)rows[i].number), rows[i].name);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; venv_message_at(i); i++) {
        const venv_message_info *info = venv_message_at(i);
        assert_true(info->directions != 0 && info->directions < 16);
        assert_true(info->size_max >= 64 && info->size_max <= 16u << 20);
        assert_true(strlen(info->summary) > 5);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(info->name, venv_message_at(j)->name);
        /* what somebody else may make the manager keep is small (threat T10) */
        if (info->directions & (VENV_DIRECTION_USER_TO_MANAGER))
            assert_true(info->size_max <= 262144);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_every_number),
        cmocka_unit_test(test_old_numbers),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
