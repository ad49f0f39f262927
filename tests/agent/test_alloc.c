/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the agent fails once: the step says so, and nothing is left behind. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/config.h"
#include "support/alloc.h"

#include <stdlib.h>
#include <string.h>

#define S VENV_NS_PER_S

static const char *const text = "agent:\n"
                                "  manager: [m1, m2]\n"
                                "  hypervisor: 'fake:'\n"
                                "  paths: [/images]\n"
                                "  tls: {ca: /ca, certificate: /cert, key: /key}\n"
                                "properties:\n"
                                "  t: {command: [temp, cpu0], type: int, every: 1}\n"
                                "  q: {command: [queue], type: json, every: 1}\n";

static venv_rc load(venv_agent_config **ret_config)
{
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_rc rc = venv_yaml_parse(text, strlen(text), "agent.yaml", &value, &marks, NULL);
    venv_config_document document = { .file = "agent.yaml", .value = &value, .marks = marks };
    if (rc == VENV_OK)
        rc = venv_agent_config_new(&document, 1, ret_config, NULL);
    venv_value_unref(&value);
    venv_yaml_marks_free(marks);
    if (rc == VENV_OK)
        rc = venv_agent_config_identify(*ret_config, "lab", "n1", NULL);
    return rc;
}

static venv_rc run_config(void *user)
{
    (void)user;
    venv_agent_config *config = NULL;
    venv_rc rc = load(&config);
    venv_agent_config_free(config);
    return rc;
}

static void test_config(void **state)
{
    (void)state;
    assert_true(alloc_check(run_config, NULL) > 100);
}

typedef struct play {
    venv_agent *agent;
    venv_now now;
    venv_agent_actions actions;
    uint64_t tokens[64]; /* of what was asked for in the last step */
    venv_agent_action_kind kinds[64];
    size_t count;
    venv_rc rc;
} play;

static void step(play *p, const venv_agent_event *event)
{
    if (p->rc)
        return;
    p->now.mono.ns += S / 10;
    p->now.wall.ns += S / 10;
    p->rc = venv_agent_step(p->agent, p->now, event, &p->actions, NULL);
    p->count = 0;
    for (size_t i = 0; i < p->actions.count && p->count < 64; i++)
        if (p->actions.items[i].token) {
            p->tokens[p->count] = p->actions.items[i].token;
            p->kinds[p->count++] = p->actions.items[i].kind;
        }
    venv_agent_actions_clear(&p->actions);
}

static void frame(play *p, int16_t type, const char *json)
{
    venv_value body = venv_value_null();
    if (p->rc == VENV_OK)
        p->rc = venv_json_parse(json, strlen(json), 0, &body, NULL);
    step(p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = type, .request = 5, .known = true, .value = &body });
    venv_value_unref(&body);
}

/* Do what the last step asked for. */
static void outcomes(play *p)
{
    venv_run_outcome run = { .out = VENV_STR("[1, 2, \"a text that is too long to be kept inline\"]"), .err = { "", 0 } };
    uint64_t tokens[64];
    venv_agent_action_kind kinds[64];
    size_t count = p->count;
    memcpy(tokens, p->tokens, sizeof(tokens));
    memcpy(kinds, p->kinds, sizeof(kinds));
    for (size_t i = 0; i < count; i++) {
        venv_value number = venv_value_double(0.5);
        if (kinds[i] == VENV_AGENT_ACT_RUN)
            step(p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_RAN, .token = tokens[i], .run = &run });
        else if (kinds[i] == VENV_AGENT_ACT_SAMPLE)
            step(p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_SAMPLED, .token = tokens[i], .value = &number });
        else if (kinds[i] == VENV_AGENT_ACT_MACHINE)
            step(p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINE_DONE, .token = tokens[i] });
    }
}

/* The driver's list, and a start: their bodies have bytes, which JSON cannot say. */
static void machines(play *p)
{
    venv_id id = { { 1, 2, 3, 4, 5, 6, 0x40, 8, 0x80, 10, 11, 12, 13, 14, 15, 16 } };
    venv_value definition = venv_value_null(), list = venv_value_null(), body = venv_value_null(), item = venv_value_null();
    const char *json = "{\"hypervisor\": \"qemu\", \"memory\": 134217728, \"kernel\": \"/images/vmlinuz\", \"vcpus\": 1}";
    venv_map_builder map, outer;
    venv_list_builder rows;
    if (p->rc == VENV_OK)
        p->rc = venv_json_parse(json, strlen(json), 0, &definition, NULL);
    venv_map_init(&map);
    venv_map_put_id(&map, "id", id);
    venv_map_put_id(&map, "machine", id);
    venv_map_put_z(&map, "instance", "class2-1");
    venv_map_put_z(&map, "environment", "class2");
    venv_map_put_z(&map, "state", "running");
    venv_map_put_z(&map, "console", "/var/lib/venv/agent/console/class2-1.log");
    venv_map_put(&map, "epoch", venv_value_int(1));
    venv_map_put(&map, "definition", definition);
    venv_rc rc = venv_map_take(&map, &item, NULL);
    venv_list_init(&rows);
    venv_list_add(&rows, venv_value_ref(&item));
    venv_rc rc2 = venv_list_take(&rows, &list, NULL);
    venv_map_init(&outer);
    venv_map_put(&outer, "machines", list);
    venv_rc rc3 = venv_map_take(&outer, &body, NULL);
    if (p->rc == VENV_OK)
        p->rc = rc ? rc : rc2 ? rc2 : rc3;
    step(p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINES, .value = &body });
    step(p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = VENV_MSG_MACHINE_START, .request = 6, .known = true, .value = &item });
    outcomes(p);
    step(p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = VENV_MSG_MACHINE_DESTROY, .request = 7, .known = true, .value = &item });
    outcomes(p);
    venv_value_unref(&item);
    venv_value_unref(&body);
}

static venv_rc run_agent(void *user)
{
    play p = { .now = { { S }, { S } } };
    venv_agent_actions_init(&p.actions);
    p.rc = venv_agent_new(user, (venv_id){ { 1 } }, 1, p.now, &p.agent, NULL);
    step(&p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME });
    outcomes(&p);
    step(&p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    frame(&p, VENV_MSG_WELCOME, "{\"version\": 1, \"name\": \"mgr\"}");
    frame(&p, VENV_MSG_PING, "{\"heard\": 1}");
    frame(&p, VENV_MSG_GETPROP, "{}");
    frame(&p, VENV_MSG_GETPROP, "{\"label\": \"q\"}");
    frame(&p, VENV_MSG_GETPROP, "{\"label\": \"nope\"}");
    frame(&p, VENV_MSG_FETCHPROP, "{\"label\": \"q\"}");
    outcomes(&p);
    frame(&p, VENV_MSG_EXECUTE, "{\"command\": \"ram\", \"args\": [\"a\"]}");
    outcomes(&p);
    frame(&p, VENV_MSG_EXECUTE, "{}");
    frame(&p, VENV_MSG_CONTROL, "{\"verb\": \"rjoin\", \"groups\": [\"a\", \"b\"]}");
    machines(&p);
    for (int i = 0; i < 15; i++) {
        step(&p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME });
        outcomes(&p);
    }
    step(&p, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_DISCONNECTED, .text = "reset" });
    venv_agent_free(p.agent);
    venv_agent_actions_fini(&p.actions);
    return p.rc;
}

static void test_agent(void **state)
{
    (void)state;
    venv_agent_config *config = NULL;
    assert_int_equal(load(&config), VENV_OK);
    assert_true(alloc_check(run_agent, config) > 300);
    venv_agent_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
