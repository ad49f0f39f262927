/* SPDX-License-Identifier: Apache-2.0 */
/* Machines: starts, stops with grace, epochs, the same action twice, a hypervisor that cannot be asked. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <venv/environment.h>

#include <string.h>

#define MACHINE "@aaaaaaaaaaaa4aaa8aaaaaaaaaaaaaaa"
#define OTHER "@bbbbbbbbbbbb4bbb8bbbbbbbbbbbbbbb"

static const char *const node =
    "\"node\": {\"cpus\": 8, \"memory\": 8589934592, \"memory_free\": 4294967296, \"kinds\": [\"kvm\"]},"
    "\"foreign\": {\"count\": 1, \"vcpus\": 2, \"memory\": 1073741824}";

static void init(agent_rig *rig)
{
    rig_init(rig, "  hypervisor: 'fake:'\n  paths: [/images]\n  state_dir: /state\n  machines_every: 15s", "");
}

/* Answer the question for the list that is under way. */
static void list(agent_rig *rig, const char *machines)
{
    char text[4096];
    snprintf(text, sizeof(text), "{%s, \"machines\": [%s]}", node, machines);
    rig_machines(rig, text);
}

static const char *running(char text[512], const char *id, const char *instance, int epoch, const char *state)
{
    snprintf(text, 512, "{\"id\": \"%s\", \"instance\": \"%s\", \"environment\": \"class2\", \"epoch\": %d, \"state\": \"%s\", "
                        "\"vcpus\": 2, \"memory\": 1073741824}", id, instance, epoch, state);
    return text;
}

static uint64_t start(agent_rig *rig, unsigned action, const char *machine, int epoch, const char *definition)
{
    char body[1024];
    snprintf(body, sizeof(body), "{\"id\": \"@%032x\", \"machine\": \"%s\", \"instance\": \"class2-1\", \"epoch\": %d, "
                                 "\"environment\": \"class2\", \"definition\": %s}", action, machine, epoch, definition);
    return rig_frame(rig, VENV_MSG_MACHINE_START, body);
}

static const char *const definition = "{\"hypervisor\": \"qemu\", \"vcpus\": 2, \"memory\": 134217728, "
                                      "\"kernel\": \"/images/vmlinuz\", \"initrd\": \"/images/initrd\", \"cmdline\": \"quiet\"}";

static uint64_t stop(agent_rig *rig, unsigned action, const char *machine, int epoch, const char *grace)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"id\": \"@%032x\", \"machine\": \"%s\", \"epoch\": %d, \"grace\": \"%s\"}", action,
             machine, epoch, grace);
    return rig_frame(rig, VENV_MSG_MACHINE_STOP, body);
}

static uint64_t destroy(agent_rig *rig, unsigned action, const char *machine, int epoch)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"id\": \"@%032x\", \"machine\": \"%s\", \"epoch\": %d}", action, machine, epoch);
    return rig_frame(rig, VENV_MSG_MACHINE_DESTROY, body);
}

/* The result that was sent, checked. */
static void assert_result(agent_rig *rig, uint64_t request, venv_rc rc, const char *state, const char *error)
{
    venv_agent_action *sent = rig_take_sent(rig, VENV_MSG_MACHINE_RESULT);
    char text[512];
    assert_non_null(sent);
    venv_value_print(&sent->value, text, sizeof(text));
    if (sent->request != request || !venv_value_is_text(venv_value_get(&sent->value, "rc"), venv_rc_name(rc)) ||
        !venv_value_is_text(venv_value_get(&sent->value, "state"), state) || !strstr(text, error))
        fail_msg("expected %s, %s, '%s': %s", venv_rc_name(rc), state, error, text);
}

static venv_agent_action *take_call(agent_rig *rig, venv_machine_verb verb)
{
    venv_agent_action *call = rig_take(rig, VENV_AGENT_ACT_MACHINE);
    assert_non_null(call);
    assert_int_equal(call->verb, verb);
    return call;
}

/* State of the one machine in the MACHINES that was sent now; "" if there is none in it. */
static const char *told_state(agent_rig *rig, char text[32])
{
    venv_agent_action *sent = rig_take_sent(rig, VENV_MSG_MACHINES);
    assert_non_null(sent);
    venv_str state = venv_value_get_text(venv_value_at(venv_value_get(&sent->value, "machines"), 0), "state");
    snprintf(text, 32, "%.*s", (int)state.size, state.data);
    return text;
}

static void test_no_hypervisor(void **state)
{
    (void)state;
    agent_rig rig;
    rig_init(&rig, "", "");
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINES), 0);
    rig_connect(&rig);
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINES));
    assert_result(&rig, start(&rig, 1, MACHINE, 1, definition), VENV_EUNSUPPORTED, "unknown", "no hypervisor");
    rig_fini(&rig);
}

static void test_start(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512], word[32];
    init(&rig);
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_MACHINES));
    rig_connect(&rig);
    /* not asked yet is not "none" */
    rig_machines_failed(&rig, VENV_EUNREACHABLE, "the daemon does not answer");
    venv_agent_action *sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
    assert_false(venv_value_get_bool(&sent->value, "reachable", true));
    assert_true(venv_value_is_text(venv_value_get(&sent->value, "reason"), "the daemon does not answer"));
    list(&rig, "");
    sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
    assert_true(venv_value_get_bool(&sent->value, "reachable", false));
    assert_int_equal(venv_value_get_int(venv_value_get(&sent->value, "node"), "cpus", 0), 8);
    list(&rig, "");
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINES)); /* nothing new */
    uint64_t request = start(&rig, 1, MACHINE, 3, definition);
    venv_agent_action *call = take_call(&rig, VENV_MACHINE_START);
    assert_string_equal(call->name, "class2-1");
    venv_machine_mark mark;
    assert_int_equal(venv_machine_mark_parse(call->xml, strlen(call->xml), &mark, NULL), VENV_OK);
    assert_string_equal(mark.cluster, "lab");
    assert_string_equal(mark.environment, "class2");
    assert_int_equal(mark.epoch, 3);
    assert_string_equal(mark.console, "/state/console/class2-1.log");
    assert_non_null(strstr(call->xml, "/images/vmlinuz"));
    uint64_t token = call->token;
    assert_string_equal(told_state(&rig, word), "starting");
    /* a list made before it was started does not take it away */
    list(&rig, "");
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINES));
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_result(&rig, request, VENV_OK, "running", "");
    assert_string_equal(told_state(&rig, word), "running");
    assert_non_null(rig_take(&rig, VENV_AGENT_ACT_MACHINES)); /* look soon */
    list(&rig, running(text, MACHINE, "class2-1", 3, "running"));
    assert_string_equal(told_state(&rig, word), "running");
    /* the same action again: the same answer, and no second machine */
    request = start(&rig, 1, MACHINE, 3, definition);
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    assert_result(&rig, request, VENV_OK, "running", "");
    rig_fini(&rig);
}

static void test_refused_starts(void **state)
{
    (void)state;
    static const struct {
        const char *definition;
        venv_rc rc;
        const char *error;
    } rows[] = {
        { "{\"hypervisor\": \"qemu\", \"memory\": 134217728, \"kernel\": \"/etc/shadow\", \"initrd\": \"/images/i\"}",
          VENV_EDENIED, "/etc/shadow" },
        { "{\"hypervisor\": \"qemu\", \"memory\": 134217728, \"kernel\": \"/images/../etc/shadow\"}", VENV_EINVAL, "kernel" },
        { "{\"hypervisor\": \"vmware\", \"memory\": 134217728, \"kernel\": \"/images/k\"}", VENV_EINVAL, "hypervisor" },
        { "{\"hypervisor\": \"qemu\", \"memory\": 1, \"kernel\": \"/images/k\"}", VENV_ERANGE, "memory" },
        { "{\"hypervisor\": \"qemu\", \"memory\": 134217728, \"kernel\": \"/images/k\", \"qemu:commandline\": \"x\"}", VENV_EINVAL,
          "commandline" },
        { "5", VENV_EKIND, "" },
    };
    agent_rig rig;
    init(&rig);
    rig_connect(&rig);
    list(&rig, "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t request = start(&rig, (unsigned)i + 1, MACHINE, 1, rows[i].definition);
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
        assert_result(&rig, request, rows[i].rc, "unknown", rows[i].error);
    }
    static const char *const bodies[] = {
        "{}", "{\"id\": 5}", "{\"id\": \"@00000000000000000000000000000000\", \"machine\": \"" MACHINE "\", \"epoch\": 1}",
        "{\"id\": \"" OTHER "\", \"machine\": \"" MACHINE "\"}", "{\"id\": \"" OTHER "\", \"machine\": \"" MACHINE "\", \"epoch\": -1}",
        "{\"id\": \"" OTHER "\", \"machine\": \"" MACHINE "\", \"epoch\": 1, \"instance\": \"../x\", \"environment\": \"e\", \"definition\": {}}",
        "{\"id\": \"" OTHER "\", \"machine\": \"" MACHINE "\", \"epoch\": 1, \"grace\": \"2h\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        uint64_t request = rig_frame(&rig, VENV_MSG_MACHINE_START, bodies[i]);
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
        assert_result(&rig, request, VENV_EINVAL, "unknown", "");
    }
    rig_fini(&rig);
}

static void test_failed_start(void **state)
{
    (void)state;
    agent_rig rig;
    char word[32];
    init(&rig);
    rig_connect(&rig);
    list(&rig, "");
    uint64_t request = start(&rig, 1, MACHINE, 1, definition);
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_START)->token, VENV_EIO, "no space for it");
    assert_result(&rig, request, VENV_EIO, "failed", "no space for it");
    /* that is an end: an order of its start that comes again in this epoch is too late; one in a newer epoch is another matter */
    assert_result(&rig, start(&rig, 3, MACHINE, 1, definition), VENV_ECONFLICT, "failed", "a new start needs a newer one");
    assert_null(rig_take(&rig, VENV_AGENT_ACT_MACHINE));
    request = start(&rig, 2, MACHINE, 2, definition);
    uint64_t token = take_call(&rig, VENV_MACHINE_START)->token;
    /* the hypervisor goes away in between: nobody knows */
    rig_machine_done(&rig, token, VENV_EUNKNOWN, "the connection went away");
    assert_result(&rig, request, VENV_EUNKNOWN, "unknown", "went away");
    rig_machines_failed(&rig, VENV_EUNREACHABLE, "gone");
    told_state(&rig, word);
    char text[512];
    list(&rig, running(text, MACHINE, "class2-1", 2, "running"));
    assert_string_equal(told_state(&rig, word), "running");
    rig_fini(&rig);
}

/* Nobody knows whether it was started: it may be told again. */
static void test_unknown_start(void **state)
{
    (void)state;
    static const venv_rc open[] = { VENV_EUNKNOWN, VENV_EUNREACHABLE, VENV_ETIMEDOUT };
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        agent_rig rig;
        init(&rig);
        rig_connect(&rig);
        list(&rig, "");
        start(&rig, 1, MACHINE, 1, definition);
        rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_START)->token, open[i], "?");
        list(&rig, "");
        start(&rig, 1, MACHINE, 1, definition);
        take_call(&rig, VENV_MACHINE_START);
        rig_fini(&rig);
    }
}

static void test_stop_with_grace(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512], word[32];
    init(&rig);
    rig_connect(&rig);
    list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
    uint64_t request = stop(&rig, 1, MACHINE, 1, "30s");
    uint64_t token = take_call(&rig, VENV_MACHINE_SHUTDOWN)->token;
    assert_string_equal(told_state(&rig, word), "stopping");
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINE_RESULT)); /* asked is not stopped */
    /* it is asked again every two seconds */
    int64_t from = rig.now.mono.ns;
    rig_time(&rig, from + 2 * S - 1);
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    rig_time(&rig, from + 2 * S);
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_SHUTDOWN)->token, VENV_OK, NULL);
    /* the guest goes down: the definition is removed */
    list(&rig, running(text, MACHINE, "class2-1", 1, "stopped"));
    token = take_call(&rig, VENV_MACHINE_DESTROY)->token;
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_result(&rig, request, VENV_OK, "stopped", "");
    venv_agent_action *sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
    assert_int_equal(venv_value_count(venv_value_get(&sent->value, "machines")), 0);
    /* a late start of the same epoch does not raise it again */
    assert_result(&rig, start(&rig, 2, MACHINE, 1, definition), VENV_ECONFLICT, "stopped", "was stopped in this epoch");
    start(&rig, 3, MACHINE, 2, definition);
    take_call(&rig, VENV_MACHINE_START);
    rig_fini(&rig);
}

static void test_deaf_guest(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512];
    init(&rig);
    rig_connect(&rig);
    list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
    uint64_t request = stop(&rig, 1, MACHINE, 1, "10s");
    int64_t from = rig.now.mono.ns;
    unsigned asked = 0;
    uint64_t token = 0, off = 0;
    while (!off) {
        venv_agent_action *call = rig_take(&rig, VENV_AGENT_ACT_MACHINE);
        if (call && call->verb == VENV_MACHINE_SHUTDOWN)
            token = call->token;
        else if (call)
            off = call->token;
        if (rig_take(&rig, VENV_AGENT_ACT_MACHINES))
            list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
        if (token)
            rig_machine_done(&rig, token, ++asked == 2 ? VENV_EIO : VENV_OK, "the guest has no power button");
        else if (!off)
            rig_run_to_deadline(&rig);
        token = 0;
    }
    assert_int_equal(rig.now.mono.ns - from, 10 * S);
    assert_int_equal(asked, 5);
    rig_machine_done(&rig, off, VENV_OK, NULL);
    assert_result(&rig, request, VENV_OK, "stopped", "");
    rig_fini(&rig);
}

static void test_destroy_overtakes(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512];
    init(&rig);
    rig_connect(&rig);
    list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
    uint64_t stopping = stop(&rig, 1, MACHINE, 1, "1h");
    uint64_t shutdown = take_call(&rig, VENV_MACHINE_SHUTDOWN)->token;
    uint64_t joined = stop(&rig, 2, MACHINE, 1, "1h");
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    uint64_t destroying = destroy(&rig, 3, MACHINE, 1);
    uint64_t token = take_call(&rig, VENV_MACHINE_DESTROY)->token;
    rig_machine_done(&rig, shutdown, VENV_OK, NULL); /* overtaken: no effect */
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINE_RESULT));
    assert_result(&rig, start(&rig, 4, MACHINE, 2, definition), VENV_ECONFLICT, "stopping", "being stopped");
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_result(&rig, stopping, VENV_OK, "stopped", "");
    assert_result(&rig, joined, VENV_OK, "stopped", "");
    assert_result(&rig, destroying, VENV_OK, "stopped", "");
    rig_fini(&rig);
}

static void test_stop_during_start(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig);
    rig_connect(&rig);
    list(&rig, "");
    uint64_t starting = start(&rig, 1, MACHINE, 1, definition);
    uint64_t token = take_call(&rig, VENV_MACHINE_START)->token;
    uint64_t again = start(&rig, 1, MACHINE, 1, definition); /* the same action: answered when it is over, once */
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    uint64_t stopping = destroy(&rig, 2, MACHINE, 1);
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_true(again != starting);
    assert_result(&rig, again, VENV_OK, "running", "");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_DESTROY)->token, VENV_OK, NULL);
    assert_result(&rig, stopping, VENV_OK, "stopped", "");
    rig_fini(&rig);
}

/* One stop waits for the start; a later one takes its place, and who asked for the first is told. */
static void test_stops_during_start(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig);
    rig_connect(&rig);
    list(&rig, "");
    uint64_t starting = start(&rig, 1, MACHINE, 1, definition);
    uint64_t token = take_call(&rig, VENV_MACHINE_START)->token;
    uint64_t first = stop(&rig, 2, MACHINE, 1, "1h");
    uint64_t second = destroy(&rig, 3, MACHINE, 1);
    assert_result(&rig, first, VENV_ECANCELED, "starting", "takes its place");
    uint64_t third = stop(&rig, 4, MACHINE, 1, "1h");
    assert_result(&rig, second, VENV_ECANCELED, "starting", "takes its place");
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    rig_machine_done(&rig, token, VENV_OK, NULL);
    assert_result(&rig, starting, VENV_OK, "running", "");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_DESTROY)->token, VENV_OK, NULL); /* one of them was a destroy */
    assert_result(&rig, third, VENV_OK, "stopped", "");
    rig_fini(&rig);
}

static void test_epochs(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512];
    init(&rig);
    rig_connect(&rig);
    /* the epoch of what runs is read from its mark: a restarted agent knows it */
    list(&rig, running(text, MACHINE, "class2-1", 5, "running"));
    assert_result(&rig, start(&rig, 1, MACHINE, 4, definition), VENV_ECONFLICT, "running", "epoch 4 is older than 5");
    assert_result(&rig, stop(&rig, 2, MACHINE, 4, "1s"), VENV_ECONFLICT, "running", "epoch 4 is older than 5");
    assert_result(&rig, destroy(&rig, 3, MACHINE, 4), VENV_ECONFLICT, "running", "epoch 4 is older than 5");
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    /* stop of what is not there is a success, and is remembered */
    uint64_t request = stop(&rig, 4, OTHER, 7, "5s");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_SHUTDOWN)->token, VENV_ENOENT, "there is none");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_DESTROY)->token, VENV_OK, NULL);
    assert_result(&rig, request, VENV_OK, "stopped", "");
    assert_result(&rig, start(&rig, 5, OTHER, 7, definition), VENV_ECONFLICT, "stopped", "was stopped");
    assert_result(&rig, start(&rig, 6, OTHER, 6, definition), VENV_ECONFLICT, "stopped", "older than 7");
    rig_fini(&rig);
}

/* libvirtd is away: what was seen last stays, and is not told as gone (fault F12). */
static void test_unreachable(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512], word[32];
    init(&rig);
    rig_connect(&rig);
    list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
    assert_string_equal(told_state(&rig, word), "running");
    rig_machines_failed(&rig, VENV_EUNREACHABLE, "cannot connect");
    venv_agent_action *sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
    assert_false(venv_value_get_bool(&sent->value, "reachable", true));
    assert_int_equal(venv_value_count(venv_value_get(&sent->value, "machines")), 1);
    /* the property says so, and is unknown to triggers */
    rig_frame(&rig, VENV_MSG_GETPROP, "{\"label\": \"hypervisor\"}");
    sent = rig_take_sent(&rig, VENV_MSG_PROPVAL);
    assert_true(venv_value_is_text(venv_value_get(&sent->value, "quality"), "error"));
    /* a stop fails at once: nothing was done, nothing follows later */
    uint64_t request = stop(&rig, 1, MACHINE, 1, "5s");
    rig_machine_done(&rig, take_call(&rig, VENV_MACHINE_SHUTDOWN)->token, VENV_EUNREACHABLE, "cannot connect");
    assert_result(&rig, request, VENV_EUNREACHABLE, "running", "cannot connect");
    for (int i = 0; i < 20; i++) {
        rig_run_to_deadline(&rig);
        assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
        if (rig_take(&rig, VENV_AGENT_ACT_MACHINES))
            rig_machines_failed(&rig, VENV_EUNREACHABLE, "cannot connect");
    }
    /* it never answers at all: the same */
    while (!rig_take(&rig, VENV_AGENT_ACT_MACHINES))
        rig_run_to_deadline(&rig);
    list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
    while (!rig_take(&rig, VENV_AGENT_ACT_MACHINES))
        rig_run_to_deadline(&rig);
    bool told = false;
    for (int i = 0; i < 30 && !told; i++) {
        rig_run_to_deadline(&rig);
        sent = rig_take_sent(&rig, VENV_MSG_MACHINES);
        told = sent && !venv_value_get_bool(&sent->value, "reachable", true);
    }
    assert_true(told);
    assert_int_equal(venv_value_count(venv_value_get(&sent->value, "machines")), 1);
    rig_fini(&rig);
}

/* At each connection the manager learns what there is, whether it changed or not. */
static void test_told_at_connect(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512], word[32];
    init(&rig);
    rig_connect(&rig);
    list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
    rig_disconnect(&rig, "killed");
    rig_connect(&rig);
    assert_string_equal(told_state(&rig, word), "running");
    /* a result that came while it was away is not lost: who asks again is told */
    start(&rig, 9, OTHER, 1, definition);
    uint64_t token = take_call(&rig, VENV_MACHINE_START)->token;
    rig_disconnect(&rig, "killed");
    rig_machine_done(&rig, token, VENV_OK, NULL);
    rig_connect(&rig);
    assert_null(rig_take_sent(&rig, VENV_MSG_MACHINE_RESULT));
    uint64_t request = start(&rig, 9, OTHER, 1, definition);
    assert_int_equal(rig_count(&rig, VENV_AGENT_ACT_MACHINE), 0);
    assert_result(&rig, request, VENV_OK, "running", "");
    rig_fini(&rig);
}

static void test_hypervisor_property(void **state)
{
    (void)state;
    agent_rig rig;
    char text[512];
    init(&rig);
    rig_connect(&rig);
    list(&rig, running(text, MACHINE, "class2-1", 1, "running"));
    rig_frame(&rig, VENV_MSG_GETPROP, "{\"label\": \"hypervisor\"}");
    venv_agent_action *sent = rig_take_sent(&rig, VENV_MSG_PROPVAL);
    assert_true(venv_value_is_text(venv_value_get(&sent->value, "quality"), "ok"));
    const venv_value *value = venv_value_get(&sent->value, "value");
    assert_int_equal(venv_value_get_int(venv_value_get(value, "capacity"), "vcpus", 0), 8);
    assert_int_equal(venv_value_get_int(venv_value_get(value, "used"), "vcpus", 0), 4);
    assert_int_equal(venv_value_get_int(venv_value_get(value, "free"), "memory", 0), INT64_C(6) << 30);
    assert_int_equal(venv_value_count(venv_value_get(value, "instances")), 1);
    assert_int_equal(venv_value_get_int(value, "foreign", 0), 1);
    rig_fini(&rig);
}

/* Nonsense from a driver, and more machines than there is room for. */
static void test_odd_lists(void **state)
{
    (void)state;
    agent_rig rig;
    init(&rig);
    rig_connect(&rig);
    rig_machines(&rig, "{}");
    rig_machines(&rig, "{\"machines\": 5, \"node\": [], \"foreign\": 1}");
    rig_machines(&rig, "{\"machines\": [null, 5, {}, {\"id\": \"x\"}, {\"id\": \"" MACHINE "\"}]}");
    for (unsigned i = 0; i < 5000; i++) { /* ever new machines that come and go */
        char text[512], id[40];
        snprintf(id, sizeof(id), "@%032x", i + 1);
        list(&rig, running(text, id, "x", 1, "running"));
    }
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_hypervisor),     cmocka_unit_test(test_start),
        cmocka_unit_test(test_refused_starts),    cmocka_unit_test(test_failed_start), cmocka_unit_test(test_unknown_start),
        cmocka_unit_test(test_stop_with_grace),   cmocka_unit_test(test_deaf_guest),
        cmocka_unit_test(test_destroy_overtakes), cmocka_unit_test(test_stop_during_start),
        cmocka_unit_test(test_stops_during_start),
        cmocka_unit_test(test_epochs),            cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_told_at_connect),   cmocka_unit_test(test_hypervisor_property),
        cmocka_unit_test(test_odd_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
