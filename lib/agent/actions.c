/* SPDX-License-Identifier: Apache-2.0 */
/* The list of actions of one step, and the small things that every part of the agent says with it. */

#include "agent/state.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACTIONS_MAX = 1 << 16 }; /* no step comes near it: a defect must not eat the memory */

void venv_agent_actions_init(venv_agent_actions *actions)
{
    *actions = (venv_agent_actions){ 0 };
}

void venv_agent_actions_clear(venv_agent_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        venv_value_unref(&actions->items[i].value);
        free(actions->items[i].name);
        free(actions->items[i].xml);
        venv_machine_files_free(actions->items[i].files);
        free(actions->items[i].text);
    }
    actions->count = 0;
}

void venv_agent_actions_fini(venv_agent_actions *actions)
{
    venv_agent_actions_clear(actions);
    free(actions->items);
    *actions = (venv_agent_actions){ 0 };
}

void venv_agent_fail(agent_step *step, venv_rc rc)
{
    if (step->rc == VENV_OK && rc != VENV_OK) {
        step->rc = rc;
        venv_error_set(step->err, rc, rc == VENV_ENOMEM ? "out of memory" : "a defect in the agent");
    }
}

venv_agent_action *venv_agent_act(agent_step *step, venv_agent_action_kind kind)
{
    venv_agent_actions *actions = step->actions;
    if (step->rc)
        return NULL;
    if (actions->count == actions->capacity) {
        size_t capacity = actions->capacity ? actions->capacity * 2 : 8;
        venv_agent_action *items =
            capacity > ACTIONS_MAX ? NULL : realloc(actions->items, capacity * sizeof(venv_agent_action));
        if (!items) {
            venv_agent_fail(step, VENV_ENOMEM);
            return NULL;
        }
        actions->items = items;
        actions->capacity = capacity;
    }
    venv_agent_action *action = &actions->items[actions->count++];
    *action = (venv_agent_action){ .kind = kind, .value = venv_value_null() };
    return action;
}

bool venv_agent_text_dup(agent_step *step, const char *text, size_t size, char **ret_text)
{
    char *copy = malloc(size + 1);
    if (!copy) {
        venv_agent_fail(step, VENV_ENOMEM);
        return false;
    }
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    *ret_text = copy;
    return true;
}

void venv_agent_log(agent_step *step, int level, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    char *text = NULL;
    if (!venv_agent_text_dup(step, line, strlen(line), &text))
        return;
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_LOG);
    if (!action) {
        free(text);
        return;
    }
    action->level = level;
    action->text = text;
}

uint64_t venv_agent_token(agent_step *step)
{
    return ++step->agent->token;
}

void venv_agent_send(agent_step *step, int16_t type, uint64_t request, venv_value body)
{
    venv_agent *agent = step->agent;
    bool open = agent->link.state == LINK_OPEN && agent->link.session.state != VENV_SESSION_CLOSED;
    venv_agent_action *action = open ? venv_agent_act(step, VENV_AGENT_ACT_SEND) : NULL;
    if (!action) {
        venv_value_unref(&body);
        return;
    }
    action->type = type;
    action->request = request;
    action->value = body;
    venv_session_sent(&agent->link.session, step->now);
}

void venv_agent_send_map(agent_step *step, int16_t type, uint64_t request, venv_map_builder *body)
{
    venv_value value = venv_value_null();
    venv_rc rc = venv_map_take(body, &value, step->err);
    if (rc)
        venv_agent_fail(step, rc);
    else
        venv_agent_send(step, type, request, value);
}
