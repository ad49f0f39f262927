/* SPDX-License-Identifier: Apache-2.0 */
/* Pause, save, restore, migrate, fresh lists and images on the agent's side: what is refused, the end of the time, epochs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <string.h>

#define MACHINE "@aaaaaaaaaaaa4aaa8aaaaaaaaaaaaaaa"

static void list(agent_rig *rig, const char *state, int epoch)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"node\": {\"cpus\": 8}, \"machines\": [{\"id\": \"" MACHINE "\", \"instance\": \"class2-1\", "
             "\"environment\": \"class2\", \"epoch\": %d, \"state\": \"%s\"}]}", epoch, state);
    rig_machines(rig, text);
}

/* One that runs under epoch 3. */
static void init(agent_rig *rig, const char *extra)
{
    char more[512];
    snprintf(more, sizeof more, "  hypervisor: 'fake:'\n  state_dir: /state\n  machines_every: 1h%s", extra);
    rig_init(rig, more, "");
    assert_non_null(rig_take(rig, VENV_AGENT_ACT_MACHINES));
    rig_connect(rig);
    list(rig, "running", 3);
    assert_non_null(rig_take_sent(rig, VENV_MSG_MACHINES));
}

static uint64_t ask(agent_rig *rig, int16_t type, unsigned action, int epoch, const char *more)
{
    char body[512];
    snprintf(body, sizeof body, "{\"id\": \"@%032x\", \"machine\": \"" MACHINE "\", \"epoch\": %d%s}", action, epoch, more);
    return rig_frame(rig, type, body);
}

static void assert_result(agent_rig *rig, venv_rc rc, const char *word)
{
    venv_agent_action *sent = rig_take_sent(rig, VENV_MSG_MACHINE_RESULT);
    char text[512];
    assert_non_null(sent);
    venv_value_print(&sent->value, text, sizeof text);
    if (!venv_value_is_text(venv_value_get(&sent->value, "rc"), venv_rc_name(rc)) || !strstr(text, word))
        fail_msg("expected %s and '%s': %s", venv_rc_name(rc), word, text);
}

static venv_agent_action *take_call(agent_rig *rig, venv_machine_verb verb)
{
    venv_agent_action *call = rig_take(rig, VENV_AGENT_ACT_MACHINE);
    assert_non_null(call);
    assert_int_equal(call->verb, verb);
    return call;
}

static bool told(agent_rig *rig, const char *state)
{
    venv_agent_action *sent = rig_take_sent(rig, VENV_MSG_MACHINES);
    return sent && venv_value_is_text(venv_value_get(venv_value_at(venv_value_get(&sent->value, "machines"), 0), "state"), state);
}

static void there_and_back(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "");
    ask(&rig, VENV_MSG_MACHINE_PAUSE, 1, 3, "");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_PAUSE)->token, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "paused");
    ask(&rig, VENV_MSG_MACHINE_PAUSE, 1, 3, ""); /* the same action: the same answer, and no call */
    assert_result(&rig, VENV_OK, "paused");
    assert_null(rig_take(&rig, VENV_AGENT_ACT_MACHINE));
    ask(&rig, VENV_MSG_MACHINE_RESUME, 2, 3, "");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_RESUME)->token, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "running");
    ask(&rig, VENV_MSG_MACHINE_SAVE, 3, 3, "");
    uint64_t token = take_call(&rig, VENV_MACHINE_SAVE)->token;
    assert_true(told(&rig, "saving"));
    ask(&rig, VENV_MSG_MACHINE_PAUSE, 4, 3, "");
    assert_result(&rig, VENV_ECONFLICT, "something else");
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "saved");
    ask(&rig, VENV_MSG_MACHINE_RESTORE, 5, 3, "");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_RESTORE)->token, VENV_EIO, "no memory for it");
    assert_result(&rig, VENV_EIO, "no memory for it");
    ask(&rig, VENV_MSG_MACHINE_RESTORE, 6, 2, "");
    assert_result(&rig, VENV_ECONFLICT, "older");
    ask(&rig, VENV_MSG_MACHINE_RESTORE, 7, 4, "");
    assert_result(&rig, VENV_ECONFLICT, "not here under this epoch");
    assert_null(rig_take(&rig, VENV_AGENT_ACT_MACHINE));
    rig_fini(&rig);
}

/* The agent gives up, says so, and what the hypervisor says later is no result any more. */
static void the_end_of_its_time(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "");
    ask(&rig, VENV_MSG_MACHINE_SAVE, 1, 3, ", \"timeout\": \"10s\"");
    venv_agent_action *call = take_call(&rig, VENV_MACHINE_SAVE);
    uint64_t token = call->token;
    assert_int_equal(call->timeout.ns, 10 * S);
    rig_frame(&rig, VENV_MSG_MACHINE_DESTROY, "{\"id\": \"@00000000000000000000000000000009\", \"machine\": \"" MACHINE "\", \"epoch\": 3}");
    assert_null(rig_take(&rig, VENV_AGENT_ACT_MACHINE)); /* after it */
    rig_time(&rig, rig.now.mono.ns + 10 * S);
    assert_result(&rig, VENV_ETIMEDOUT, "given it up");
    take_call(&rig, VENV_MACHINE_CANCEL); /* what it does is nobody's any more */
    uint64_t other = take_call(&rig, VENV_MACHINE_DESTROY)->token;
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINE_RESULT));
    rig_machine_done(&rig, other, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "");
    rig_fini(&rig);
}

/* Nobody knows what came of it: what it was before is not told as what it is, until the hypervisor has listed it again. */
static void an_unknown_end(void **state)
{
    (void)state;
    static const venv_rc open[] = { VENV_EUNKNOWN, VENV_EUNREACHABLE, VENV_ETIMEDOUT };
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        agent_rig rig;
        init(&rig, "");
        ask(&rig, VENV_MSG_MACHINE_SAVE, 1, 3, "");
        rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_SAVE)->token, VENV_OK, NULL);
        ask(&rig, VENV_MSG_MACHINE_RESTORE, 2, 3, ", \"timeout\": \"10s\"");
        venv_agent_action *call = take_call(&rig, VENV_MACHINE_RESTORE);
        if (open[i] == VENV_ETIMEDOUT)
            rig_time(&rig, rig.now.mono.ns + 10 * S);
        else
            rig_machine_done(&rig, call->token, open[i], "the answer was lost");
        assert_result(&rig, open[i], "");
        assert_true(told(&rig, "unknown"));
        rig_fini(&rig);
    }
}

static void moved(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "");
    ask(&rig, VENV_MSG_MACHINE_MIGRATE, 1, 3, ", \"to\": \"node2\", \"to_epoch\": 4");
    assert_result(&rig, VENV_EUNSUPPORTED, "migrate_uri");
    rig_fini(&rig);

    init(&rig, "\n  migrate_uri: 'qemu+tls://{node}.lab/system'");
    ask(&rig, VENV_MSG_MACHINE_MIGRATE, 1, 3, ", \"to\": \"node2; id\", \"to_epoch\": 4");
    assert_result(&rig, VENV_EINVAL, "name of a node");
    ask(&rig, VENV_MSG_MACHINE_MIGRATE, 2, 3, ", \"to\": \"node2\", \"to_epoch\": 3");
    assert_result(&rig, VENV_EINVAL, "later");
    ask(&rig, VENV_MSG_MACHINE_MIGRATE, 3, 3, ", \"to\": \"node2\", \"to_epoch\": 4");
    venv_agent_action *call = take_call(&rig, VENV_MACHINE_MIGRATE);
    assert_string_equal(call->text, "qemu+tls://node2.lab/system");
    assert_int_equal(call->epoch, 4);
    uint64_t token = call->token;
    assert_true(told(&rig, "migrating"));
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "");
    /* Neither the old epoch nor the one that it has there starts it here again. */
    ask(&rig, VENV_MSG_MACHINE_PAUSE, 4, 3, "");
    assert_result(&rig, VENV_ECONFLICT, "older");
    ask(&rig, VENV_MSG_MACHINE_PAUSE, 5, 4, "");
    assert_result(&rig, VENV_ECONFLICT, "moved away");
    rig_fini(&rig);
}

/* A list that was under way is older than the question: the one after it is the answer, changed or not. */
/* It has moved here, and is paused before any list has told of it: nobody is told that it is down. */
static void before_it_was_listed(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "");
    char body[256];
    snprintf(body, sizeof body, "{\"id\": \"@%032x\", \"machine\": \"00000000-0000-4000-8000-00000000000e\", \"epoch\": 2}", 9);
    rig_frame(&rig, VENV_MSG_MACHINE_PAUSE, body);
    uint64_t token = take_call(&rig, VENV_MACHINE_PAUSE)->token;
    venv_agent_action *sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
    char text[1024];
    assert_non_null(sent);
    venv_value_print(&sent->value, text, sizeof text);
    assert_non_null(strstr(text, "unknown"));
    assert_null(strstr(text, "stopped"));
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "paused");
    rig_fini(&rig);
}

/* How it is done is told to the driver, how far it is to the manager, once a second. */
static void limits_and_progress(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "\n  migrate_uri: 'qemu+tls://{node}.lab/system'");
    ask(&rig, VENV_MSG_MACHINE_MIGRATE, 1, 3,
        ", \"to\": \"node2\", \"to_epoch\": 4, \"bandwidth\": 1048576, \"limit\": \"20s\", \"copy_disks\": true, \"auto_converge\": true");
    venv_agent_action *call = take_call(&rig, VENV_MACHINE_MIGRATE);
    uint64_t token = call->token;
    assert_int_equal(call->move.bandwidth, 1048576);
    assert_int_equal(call->move.limit.ns, 20 * S);
    assert_true(call->move.copy_disks && call->move.auto_converge);
    venv_agent_progress progress = { .elapsed = { S }, .total = 100, .left = 60, .round = 2 };
    for (int i = 0; i < 3; i++) {
        rig_event(&rig, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_PROGRESS, .token = token, .progress = &progress });
        assert_int_equal(rig_take_sent(&rig, VENV_MSG_MACHINE_PROGRESS) != NULL, i == 0);
    }
    rig_frame(&rig, VENV_MSG_MACHINE_CANCEL, "{\"machine\": \"" MACHINE "\", \"epoch\": 3}");
    uint64_t other = take_call(&rig, VENV_MACHINE_CANCEL)->token;
    rig_machine_done(&rig, other, VENV_OK, NULL);
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINE_RESULT));
    rig_machine_done(&rig, token, VENV_ECANCELED, "ended as asked");
    assert_result(&rig, VENV_ECANCELED, "ended as asked");
    rig_fini(&rig);
}

static void reboot_checkpoint_and_back(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "");
    ask(&rig, VENV_MSG_MACHINE_REBOOT, 1, 3, ", \"grace\": \"7s\"");
    venv_agent_action *call = take_call(&rig, VENV_MACHINE_REBOOT);
    assert_int_equal(call->move.grace.ns, 7 * S);
    rig_machine_done(&rig, call->token, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "");
    ask(&rig, VENV_MSG_MACHINE_CHECKPOINT, 2, 3, "");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_CHECKPOINT)->token, VENV_OK, NULL);
    assert_result(&rig, VENV_OK, "");
    ask(&rig, VENV_MSG_MACHINE_CHECKPOINT, 3, 3, ", \"revert\": true");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_REVERT)->token, VENV_ENOENT, "no checkpoint");
    assert_result(&rig, VENV_ENOENT, "no checkpoint");
    rig_fini(&rig);
}

static void a_fresh_list(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "");
    uint64_t request = rig_frame(&rig, VENV_MSG_MACHINE_LIST, "{}");
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINES), 1);
    list(&rig, "running", 3);
    venv_agent_action *sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
    assert_non_null(sent);
    assert_int_equal(sent->request, request);
    rig_frame(&rig, VENV_MSG_MACHINE_LIST, "{}");
    request = rig_frame(&rig, VENV_MSG_MACHINE_LIST, "{}"); /* one is under way */
    list(&rig, "running", 3);
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINES));
    list(&rig, "running", 3);
    sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
    assert_non_null(sent);
    assert_int_equal(sent->request, request);
    rig_fini(&rig);
}

static void assert_synced(agent_rig *rig, uint64_t request, const char *rc)
{
    venv_agent_action *sent = rig_take_sent(rig, VENV_MSG_SYNCRET);
    assert_non_null(sent);
    assert_int_equal(sent->request, request);
    venv_str name = venv_value_get_text(&sent->value, "rc");
    assert_int_equal(name.size, strlen(rc));
    assert_memory_equal(name.data ? name.data : "", rc, name.size);
}

static void images(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig, "");
    assert_synced(&rig, rig_frame(&rig, VENV_MSG_SYNC, "{\"image\": \"small\"}"), "unsupported");
    rig_fini(&rig);
    init(&rig, "\n  images: {repository: /repository, trust: /trust.pub}");
    static const char *const bad[] = { "{}", "{\"image\": \"../x\"}", "{\"image\": \"a@\"}", "{\"image\": \"a@1;x\"}", "{\"image\": 5}" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_synced(&rig, rig_frame(&rig, VENV_MSG_SYNC, bad[i]), "invalid");
    uint64_t request = rig_frame(&rig, VENV_MSG_SYNC, "{\"image\": \"small@3\", \"timeout\": \"10s\"}");
    venv_agent_action *action = rig_take(&rig, VENV_AGENT_ACT_SYNC);
    assert_non_null(action);
    assert_string_equal(action->name, "small@3");
    venv_agent_event event = { .kind = VENV_AGENT_EVENT_SYNCED, .token = action->token, .rc = VENV_OK };
    rig_event(&rig, &event);
    assert_synced(&rig, request, "");
    request = rig_frame(&rig, VENV_MSG_SYNC, "{\"image\": \"small\", \"timeout\": \"10s\"}");
    event.token = rig_take(&rig, VENV_AGENT_ACT_SYNC)->token;
    rig_time(&rig, rig.now.mono.ns + 10 * S);
    assert_synced(&rig, request, "timed-out");
    rig_event(&rig, &event); /* too late */
    assert_null(rig_take_sent(&rig, VENV_MSG_SYNCRET));
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(the_end_of_its_time), cmocka_unit_test(an_unknown_end), cmocka_unit_test(moved),
        cmocka_unit_test(before_it_was_listed),
        cmocka_unit_test(limits_and_progress), cmocka_unit_test(reboot_checkpoint_and_back),
        cmocka_unit_test(a_fresh_list),   cmocka_unit_test(images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
