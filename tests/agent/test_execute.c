/* SPDX-License-Identifier: Apache-2.0 */
/* EXECUTE: a command is run once for each id; bounds; the list of commands. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <stdlib.h>
#include <string.h>

static const char *const id_a = "@000102030405060708090a0b0c0d0e0f";

static uint64_t execute(agent_rig *rig, const char *command, const char *id)
{
    char body[256];
    snprintf(body, sizeof(body), id ? "{\"command\": \"%s\", \"args\": [\"x\"], \"id\": \"%s\"}" : "{\"command\": \"%s\"}",
             command, id);
    return rig_frame(rig, VENV_MSG_EXECUTE, body);
}

static void test_run(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "  command_timeout: 45s", "");
    rig_connect(&rig);
    uint64_t request = rig_frame(&rig, VENV_MSG_EXECUTE, "{\"command\": \"ram\", \"args\": [\"-x\", \"a b; rm\"]}");
    venv_agent_action *run = rig_take(&rig, VENV_AGENT_ACT_RUN);
    assert_string_equal(run->name, "ram");
    assert_int_equal(venv_value_count(&run->value), 2);
    assert_true(venv_value_is_text(venv_value_at(&run->value, 1), "a b; rm")); /* arguments are not a line */
    assert_int_equal(run->timeout.ns, 45 * S);
    assert_int_equal(run->out_max, 1 << 20);
    venv_run_outcome outcome = { .exit_status = 3, .out = VENV_STR("\xff out\n"), .err = VENV_STR("err"), .took = { S } };
    rig_ran_outcome(&rig, run->token, &outcome);
    venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
    assert_int_equal(answer->request, request);
    assert_int_equal(venv_value_get_int(&answer->value, "exit", -1), 3);
    assert_int_equal(venv_value_kind(venv_value_get(&answer->value, "stdout")), VENV_BYTES);
    assert_int_equal(venv_value_peek_text(venv_value_get(&answer->value, "stdout")).size, 6);
    assert_null(venv_value_get(&answer->value, "error"));
    assert_null(venv_value_get(&answer->value, "signal"));
    /* it did not start */
    execute(&rig, "nope", NULL);
    outcome = (venv_run_outcome){ .rc = VENV_ENOENT, .error = "there is no command 'nope'", .out = { "", 0 }, .err = { "", 0 } };
    rig_ran_outcome(&rig, rig_take(&rig, VENV_AGENT_ACT_RUN)->token, &outcome);
    answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
    assert_true(venv_value_is_text(venv_value_get(&answer->value, "error"), "there is no command 'nope'"));
    assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(VENV_ENOENT)));
    assert_null(venv_value_get(&answer->value, "exit"));
    rig_fini(&rig);
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"command\": \"../ram\"}",        "{\"command\": \"/bin/sh\"}",
        "{\"command\": 5}",                 "{\"command\": \"Ram\"}",
        "{\"command\": \"ram\", \"args\": \"x\"}", "{\"command\": \"ram\", \"args\": [1]}",
        "{\"command\": \"ram\", \"args\": [\"a\\u0000b\"]}",
        "{\"command\": \"ram\", \"timeout\": 5}", "{\"command\": \"ram\", \"timeout\": \"0s\"}",
        "{\"command\": \"ram\", \"timeout\": \"2h\"}", "{\"command\": \"ram\", \"id\": \"short\"}",
    };
    agent_rig rig;
    rig_init(&rig, "", "");
    rig_connect(&rig);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        uint64_t request = rig_frame(&rig, VENV_MSG_EXECUTE, bodies[i]);
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0);
        venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
        if (!answer || answer->request != request)
            fail_msg("%s", bodies[i]);
        assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(VENV_EINVAL)));
    }
    rig_fini(&rig);
}

static void test_once_for_each_id(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    rig_connect(&rig);
    execute(&rig, "ram", id_a);
    venv_agent_action *run = rig_take(&rig, VENV_AGENT_ACT_RUN);
    uint64_t token = run->token;
    uint64_t again = execute(&rig, "ram", id_a); /* while it runs */
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0);
    rig_ran(&rig, token, "5", 0);
    assert_int_equal(rig_take_sent(&rig, VENV_MSG_EXECRET)->request, again);
    assert_null(rig_take_sent(&rig, VENV_MSG_EXECRET));
    again = execute(&rig, "ram", id_a); /* after it ended */
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0);
    assert_int_equal(rig_take_sent(&rig, VENV_MSG_EXECRET)->request, again);
    /* without an id it is run each time */
    for (int i = 0; i < 3; i++) {
        execute(&rig, "ram", NULL);
        rig_ran(&rig, rig_take(&rig, VENV_AGENT_ACT_RUN)->token, "5", 0);
        assert_non_null(rig_take_sent(&rig, VENV_MSG_EXECRET));
    }
    rig_fini(&rig);
}

/* The manager dies while a command runs: the command runs on, and its end is told to who asks again. */
static void test_manager_dies(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    rig_connect(&rig);
    execute(&rig, "ram", id_a);
    uint64_t token = rig_take(&rig, VENV_AGENT_ACT_RUN)->token;
    rig_disconnect(&rig, "killed");
    rig_connect(&rig);
    rig_ran(&rig, token, "5", 0);
    assert_null(rig_take_sent(&rig, VENV_MSG_EXECRET)); /* nobody on this connection asked */
    uint64_t request = execute(&rig, "ram", id_a);
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0);
    venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
    assert_int_equal(answer->request, request);
    assert_int_equal(venv_value_get_int(&answer->value, "exit", -1), 0);
    rig_fini(&rig);
}

static void id_text(char text[40], unsigned number)
{
    snprintf(text, 40, "@%032x", number + 1);
}

static void test_bounds(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "  commands_at_once: 2", "");
    rig_connect(&rig);
    uint64_t tokens[128];
    size_t running = 0, refused = 0;
    char id[40];
    for (unsigned i = 0; i < 100; i++) {
        id_text(id, i);
        execute(&rig, "ram", id);
        venv_agent_action *run = rig_take(&rig, VENV_AGENT_ACT_RUN);
        if (run)
            tokens[running++] = run->token;
        venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
        if (answer) {
            assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(VENV_ELIMIT)));
            refused++;
        }
    }
    assert_int_equal(running, 2);
    assert_int_equal(refused, 100 - 64 - 2);
    /* the others follow, in order */
    for (size_t done = 0; done < running; done++) {
        rig_ran(&rig, tokens[done], "x", 0);
        venv_agent_action *run = rig_take(&rig, VENV_AGENT_ACT_RUN);
        if (run)
            tokens[running++] = run->token;
        assert_non_null(rig_take_sent(&rig, VENV_MSG_EXECRET));
    }
    assert_int_equal(running, 66);
    rig_fini(&rig);
}

/* Answers are kept for a while; then it is known that it was run, and said so: it is not run again. */
static void test_forgetting(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    rig_connect(&rig);
    char id[40];
    for (unsigned i = 0; i < 300; i++) {
        id_text(id, i);
        execute(&rig, "ram", id);
        rig_ran(&rig, rig_take(&rig, VENV_AGENT_ACT_RUN)->token, "x", 0);
        assert_non_null(rig_take_sent(&rig, VENV_MSG_EXECRET));
    }
    for (unsigned i = 0; i < 300; i++) {
        id_text(id, i);
        execute(&rig, "ram", id);
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_RUN), 0);
        venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
        bool gone = venv_value_get(&answer->value, "error") != NULL;
        assert_int_equal(gone, i < 300 - 128);
        if (gone)
            assert_true(venv_value_is_text(venv_value_get(&answer->value, "rc"), venv_rc_name(VENV_EUNKNOWN)));
    }
    /* large answers are kept in a bounded space, too */
    static char large[1 << 20];
    memset(large, 'x', sizeof(large) - 1);
    for (unsigned i = 1000; i < 1020; i++) {
        id_text(id, i);
        execute(&rig, "ram", id);
        rig_ran(&rig, rig_take(&rig, VENV_AGENT_ACT_RUN)->token, large, 0);
        venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECRET);
        uint8_t *frame = NULL;
        size_t size = 0;
        assert_int_equal(venv_frame_encode(VENV_MSG_EXECRET, 1, &answer->value, &frame, &size, NULL), VENV_OK);
        free(frame);
    }
    unsigned kept = 0;
    for (unsigned i = 1000; i < 1020; i++) {
        id_text(id, i);
        execute(&rig, "ram", id);
        kept += venv_value_get(&rig_take_sent(&rig, VENV_MSG_EXECRET)->value, "stdout") != NULL;
    }
    assert_true(kept >= 6 && kept <= 8);
    rig_fini(&rig);
}

static void test_list(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    rig_connect(&rig);
    uint64_t request = rig_frame(&rig, VENV_MSG_EXECUTE, "{}");
    venv_agent_action *commands = rig_take(&rig, VENV_AGENT_ACT_COMMANDS);
    assert_non_null(commands);
    uint64_t token = commands->token;
    venv_value list = rig_value("[{\"name\": \"ram\", \"path\": \"/usr/lib/venv/commands/ram\"}]");
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_COMMANDS, .token = token, .value = &list });
    venv_value_unref(&list);
    venv_agent_action *answer = rig_take_sent(&rig, VENV_MSG_EXECLIST);
    assert_int_equal(answer->request, request);
    assert_int_equal(venv_value_count(venv_value_get(&answer->value, "commands")), 1);
    rig_frame(&rig, VENV_MSG_EXECUTE, "{\"command\": \"\"}");
    token = rig_take(&rig, VENV_AGENT_ACT_COMMANDS)->token;
    rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_COMMANDS, .token = token, .rc = VENV_EIO, .text = "no" });
    assert_non_null(rig_take_sent(&rig, VENV_MSG_EXECRET));
    unsigned refused = 0;
    for (int i = 0; i < 20; i++) {
        rig_frame(&rig, VENV_MSG_EXECUTE, "{}");
        refused += rig_take_sent(&rig, VENV_MSG_EXECRET) != NULL;
    }
    assert_int_equal(refused, 4);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run),          cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_once_for_each_id), cmocka_unit_test(test_manager_dies),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_forgetting),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
