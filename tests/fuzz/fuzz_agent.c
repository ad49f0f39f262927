/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent in the hands of a hostile manager and an unreliable shell: the input is a list of events. Each begins with a
 * byte for its kind and a byte for time; frames have a type and a body of CBOR. Whatever comes, the agent goes
 * on, its deadline is never in the past, and what it sends can be encoded.
 */
#include "fuzz/fuzz.h"

#include "agent/agent.h"
#include "agent/config.h"

#include <venv/codec.h>
#include <venv/message.h>

#include <string.h>

#define S VENV_NS_PER_S

typedef struct input {
    const uint8_t *data;
    size_t size;
} input;

static uint8_t byte(input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

static input part(input *in, size_t size)
{
    input part = { in->data, size < in->size ? size : in->size };
    in->data += part.size;
    in->size -= part.size;
    return part;
}

static venv_agent_config *config_new(void)
{
    static const char text[] = "agent:\n  manager: m\n  hypervisor: 'fake:'\n  paths: [/images]\n"
                               "  tls: {ca: /a, certificate: /b, key: /c}\n"
                               "properties:\n  t: {command: [t], type: int, every: 1}\n  j: {command: [j], type: json, every: 2}\n";
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_agent_config *config = NULL;
    FUZZ_CHECK(venv_yaml_parse(text, sizeof(text) - 1, "x", &value, &marks, NULL) == VENV_OK);
    venv_config_document document = { .file = "x", .value = &value, .marks = marks };
    FUZZ_CHECK(venv_agent_config_new(&document, 1, &config, NULL) == VENV_OK);
    FUZZ_CHECK(venv_agent_config_identify(config, "lab", "n1", NULL) == VENV_OK);
    venv_value_unref(&value);
    venv_yaml_marks_free(marks);
    return config;
}

static void step(venv_agent *agent, venv_now *now, const venv_agent_event *event)
{
    venv_agent_actions actions;
    venv_agent_actions_init(&actions);
    FUZZ_CHECK(venv_agent_step(agent, *now, event, &actions, NULL) == VENV_OK);
    FUZZ_CHECK(venv_agent_deadline(agent).ns > now->mono.ns);
    for (size_t i = 0; i < actions.count; i++) {
        const venv_agent_action *action = &actions.items[i];
        uint8_t *frame = NULL;
        size_t size = 0;
        if (action->kind != VENV_AGENT_ACT_SEND)
            continue;
        FUZZ_CHECK(venv_message_allowed(VENV_ROLE_AGENT, VENV_ROLE_MANAGER, action->type));
        FUZZ_CHECK(venv_frame_encode(action->type, action->request, &action->value, &frame, &size, NULL) == VENV_OK);
        free(frame);
    }
    venv_agent_actions_fini(&actions);
}

/* One event out of the input. */
static void play(venv_agent *agent, venv_now *now, input *in)
{
    uint8_t kind = byte(in), wait = byte(in);
    venv_agent_event event = { .kind = (venv_agent_event_kind)(kind % 9) };
    venv_value value = venv_value_null();
    venv_run_outcome run = { .err = { "", 0 } };
    int64_t passed = (int64_t)wait * wait * S / 100;
    now->mono.ns += passed + 1;
    now->wall.ns += passed + 1;
    event.token = byte(in) % 64;
    event.request = event.token;
    event.rc = wait & 1 ? VENV_OK : (venv_rc)(-1 - wait % 18);
    if (event.kind == VENV_AGENT_EVENT_FRAME) {
        int high = (int8_t)byte(in);
        event.type = (int16_t)(high * 256 + byte(in));
        event.known = venv_message_find(event.type) != NULL;
    }
    input bytes = part(in, (size_t)byte(in) * 4);
    venv_frame frame = { .type = VENV_MSG_RESULT, .known = true, .body = { (const char *)bytes.data, bytes.size } };
    if (event.kind == VENV_AGENT_EVENT_RAN) {
        run.rc = event.rc;
        run.out = (venv_str){ (const char *)bytes.data, bytes.size };
        run.timed_out = wait & 2;
        event.run = &run;
    } else if (event.kind == VENV_AGENT_EVENT_SAMPLED || event.kind == VENV_AGENT_EVENT_COMMANDS) {
        event.value = venv_cbor_decode(bytes.data, bytes.size, NULL, &value, NULL) == VENV_OK ? &value : NULL;
    } else {
        event.value = venv_frame_decode(&frame, &value, NULL) == VENV_OK ? &value : NULL;
    }
    if (event.kind == VENV_AGENT_EVENT_FRAME && (!event.value || !venv_message_allowed(VENV_ROLE_MANAGER, VENV_ROLE_AGENT, event.type)))
        event.value = NULL; /* the parser would not let it through; the core must bear it all the same */
    step(agent, now, &event);
    venv_value_unref(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    venv_agent_config *config = config_new();
    venv_now now = { { S }, { S } };
    venv_agent *agent = NULL;
    input in = { data, size };
    FUZZ_CHECK(venv_agent_new(config, (venv_id){ { 1 } }, 1, now, &agent, NULL) == VENV_OK);
    step(agent, &now, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME });
    step(agent, &now, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED });
    for (unsigned events = 0; in.size > 0 && events < 200; events++)
        play(agent, &now, &in);
    venv_agent_free(agent);
    venv_agent_config_free(config);
    return 0;
}
