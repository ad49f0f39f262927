/* SPDX-License-Identifier: Apache-2.0 */
/* CONTROL: the manager steers the agent itself. stop, rcon (reconnect), rjoin (groups). */

#include "agent/state.h"

#include "base/log.h"

#include <string.h>

void venv_agent_put_groups(agent_step *step, venv_map_builder *map)
{
    venv_list_builder list;
    venv_value groups = venv_value_null();
    venv_list_init(&list);
    for (size_t i = 0; i < step->agent->group_count; i++)
        venv_list_add_text(&list, step->agent->groups[i]);
    venv_rc rc = venv_list_take(&list, &groups, step->err);
    if (rc)
        venv_agent_fail(step, rc);
    venv_map_put(map, "groups", groups);
}

static void bad(agent_step *step, uint64_t request, int16_t type, venv_str verb, const char *error)
{
    venv_map_builder body;
    venv_map_init(&body);
    if (verb.size > VENV_NAME_MAX)
        verb.size = VENV_NAME_MAX;
    venv_map_put_text(&body, "verb", verb.data, verb.size);
    if (error)
        venv_map_put_z(&body, "error", error);
    venv_agent_send_map(step, type, request, &body);
}

static void stop(agent_step *step, uint64_t request)
{
    venv_agent_log(step, VENV_LOG_INFO, "the manager asks this agent to stop");
    venv_agent_send(step, VENV_MSG_CTRLSTOP, request, venv_value_null());
    step->agent->exiting = true;
    venv_agent_act(step, VENV_AGENT_ACT_EXIT);
}

static void reconnect(agent_step *step, uint64_t request, const venv_value *body, venv_str verb)
{
    venv_span after = { 0 };
    const venv_value *asked = venv_value_get(body, "after");
    if (asked && (!venv_value_to_span(asked, &after) || after.ns < 0 || after.ns > 3600 * VENV_NS_PER_S)) {
        bad(step, request, VENV_MSG_CTRLBAD, verb, "`after` must be a duration of at most 1h");
        return;
    }
    venv_agent_log(step, VENV_LOG_INFO, "the manager asks this agent to connect again");
    venv_agent_send(step, VENV_MSG_CTRLRCON, request, venv_value_null());
    venv_agent_link_drop(step, "asked to connect again", &after);
}

/* The groups of a request, each once. NULL, or what is wrong with them. */
static const char *groups_read(const venv_value *list, char groups[][VENV_GROUP_NAME_MAX + 1], size_t *ret_count)
{
    size_t count = 0;
    if (venv_value_kind(list) != VENV_LIST || venv_value_count(list) > VENV_AGENT_GROUPS_MAX)
        return "`groups` must be a list of at most 64 names";
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *item = venv_value_at(list, i);
        if (venv_value_kind(item) != VENV_STRING || !venv_group_name_is_valid(venv_value_peek_text(item)))
            return "a name of a group has letters, digits, '.', '_' and '-', at most 32 in all";
        venv_str name = venv_value_peek_text(item);
        memcpy(groups[count], name.data, name.size);
        groups[count][name.size] = '\0';
        size_t same = 0;
        while (strcmp(groups[same], groups[count]) != 0)
            same++;
        if (same == count)
            count++;
    }
    *ret_count = count;
    return NULL;
}

static void rejoin(agent_step *step, uint64_t request, const venv_value *body, venv_str verb)
{
    venv_agent *agent = step->agent;
    char groups[VENV_AGENT_GROUPS_MAX][VENV_GROUP_NAME_MAX + 1] = { { 0 } };
    const venv_value *asked = venv_value_get(body, "groups");
    size_t count = 0;
    const char *error = asked ? groups_read(asked, groups, &count) : NULL;
    if (error) {
        bad(step, request, VENV_MSG_CTRLBAD, verb, error);
        return;
    }
    if (asked) {
        memcpy(agent->groups, groups, sizeof(groups));
        agent->group_count = count;
    }
    venv_map_builder answer, told;
    venv_map_init(&answer);
    venv_agent_put_groups(step, &answer);
    venv_agent_send_map(step, VENV_MSG_CTRLRJOIN, request, &answer);
    venv_map_init(&told);
    venv_agent_put_groups(step, &told);
    venv_agent_send_map(step, VENV_MSG_GROUPS, 0, &told);
}

static bool is_verb(venv_str verb, const char *name)
{
    return strlen(name) == verb.size && memcmp(name, verb.data, verb.size) == 0;
}

void venv_agent_control(agent_step *step, uint64_t request, const venv_value *body)
{
    venv_str verb = venv_value_get_text(body, "verb");
    if (verb.size == 0)
        bad(step, request, VENV_MSG_CTRLBAD, verb, "`verb` is missing; expected stop, rcon or rjoin");
    else if (is_verb(verb, "stop"))
        stop(step, request);
    else if (is_verb(verb, "rcon"))
        reconnect(step, request, body, verb);
    else if (is_verb(verb, "rjoin"))
        rejoin(step, request, body, verb);
    else
        bad(step, request, VENV_MSG_CTRLUNKN, verb, NULL);
}
