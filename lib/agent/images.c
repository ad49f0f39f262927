/* SPDX-License-Identifier: Apache-2.0 */
/* Images that the manager wants here: asked for, carried out by the shell, answered. The repository is the administrator's choice. */
#include "agent/state.h"

#include <stdio.h>
#include <string.h>

static void put_answer(agent_step *step, uint64_t request, venv_str image, venv_rc rc, const char *error, const venv_value *report)
{
    venv_map_builder body;
    venv_map_init(&body);
    venv_map_put_text(&body, "image", image.data ? image.data : "", image.size);
    if (rc != VENV_OK) {
        venv_map_put_z(&body, "rc", venv_rc_name(rc));
        venv_map_put_text(&body, "error", error, strlen(error));
    }
    static const char *const keys[][2] = { { "version", "version" }, { "digest", "digest" }, { "size", "size" }, { "fetched", "bytes" } };
    for (size_t i = 0; report && i < sizeof keys / sizeof keys[0]; i++) {
        const venv_value *value = venv_value_get(report, keys[i][0]);
        if (value)
            venv_map_put(&body, keys[i][1], venv_value_ref(value));
    }
    venv_agent_send_map(step, VENV_MSG_SYNCRET, request, &body);
}

/* NAME, NAME@latest or NAME@VERSION. */
static bool is_reference(venv_str text)
{
    const char *at = text.data ? memchr(text.data, '@', text.size) : NULL;
    venv_str name = { text.data, at ? (size_t)(at - text.data) : text.size };
    if (text.size >= AGENT_IMAGE_SIZE || !name.data || !venv_name_is_valid(name))
        return false;
    for (const char *c = at ? at + 1 : NULL; c && c < text.data + text.size; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')))
            return false;
    return !at || at + 1 < text.data + text.size;
}

void venv_agent_images_sync(agent_step *step, uint64_t request, const venv_value *body)
{
    venv_agent *agent = step->agent;
    venv_str image = venv_value_get_text(body, "image");
    venv_span timeout = { AGENT_SYNC_TIMEOUT_S * VENV_NS_PER_S };
    const venv_value *asked = venv_value_get(body, "timeout");
    if (asked && (!venv_value_to_span(asked, &timeout) || timeout.ns <= 0 || timeout.ns > 24 * 3600 * VENV_NS_PER_S))
        timeout.ns = AGENT_SYNC_TIMEOUT_S * VENV_NS_PER_S;
    if (!is_reference(image)) {
        put_answer(step, request, VENV_STR(""), VENV_EINVAL, "`image` must be NAME, NAME@latest or NAME@VERSION", NULL);
        return;
    }
    if (!agent->config->images_repository[0]) {
        put_answer(step, request, image, VENV_EUNSUPPORTED, "this agent has no repository of images: agent.images is not set", NULL);
        return;
    }
    agent_sync *sync = NULL;
    for (size_t i = 0; i < AGENT_SYNCS_MAX && !sync; i++)
        if (agent->syncs[i].token == 0)
            sync = &agent->syncs[i];
    if (!sync) {
        put_answer(step, request, image, VENV_ELIMIT, "too many images are on their way to this node already", NULL);
        return;
    }
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_SYNC);
    if (!action)
        return;
    if (!venv_agent_text_dup(step, image.data, image.size, &action->name))
        return;
    action->timeout = timeout;
    action->token = venv_agent_token(step);
    *sync = (agent_sync){ .token = action->token, .request = request, .connection = agent->connection,
                          .end = { step->now.mono.ns + timeout.ns } };
    memcpy(sync->image, image.data, image.size);
}

static void finish(agent_step *step, agent_sync *sync, venv_rc rc, const char *error, const venv_value *report)
{
    if (sync->connection == step->agent->connection)
        put_answer(step, sync->request, (venv_str){ sync->image, strlen(sync->image) }, rc, error, report);
    *sync = (agent_sync){ .token = 0 };
}

void venv_agent_images_synced(agent_step *step, const venv_agent_event *event)
{
    for (size_t i = 0; i < AGENT_SYNCS_MAX; i++)
        if (event->token != 0 && step->agent->syncs[i].token == event->token)
            finish(step, &step->agent->syncs[i], event->rc, event->text ? event->text : venv_rc_name(event->rc), event->value);
}

void venv_agent_images_tick(agent_step *step)
{
    for (size_t i = 0; i < AGENT_SYNCS_MAX; i++)
        if (step->agent->syncs[i].token != 0 && step->agent->syncs[i].end.ns <= step->now.mono.ns)
            finish(step, &step->agent->syncs[i], VENV_ETIMEDOUT, "it was given up; what was fetched is kept for the next time", NULL);
}

venv_instant venv_agent_images_deadline(const venv_agent *agent)
{
    venv_instant first = VENV_INSTANT_NEVER;
    for (size_t i = 0; i < AGENT_SYNCS_MAX; i++)
        if (agent->syncs[i].token != 0 && agent->syncs[i].end.ns < first.ns)
            first = agent->syncs[i].end;
    return first;
}
