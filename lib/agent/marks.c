/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks: what each manager asked to be remembered of its state, and is told at the next HELLO. A manager whose database was restored
 * from an older copy learns from them that it does not know what has happened. Their content is the manager's.
 */
#include "agent/state.h"

#include <stdio.h>
#include <string.h>

#define MARK_ENTRIES_MAX 8

static void drop(venv_agent *agent, size_t index)
{
    venv_value_unref(&agent->marks[index].mark);
    memmove(&agent->marks[index], &agent->marks[index + 1], (agent->mark_count - index - 1) * sizeof agent->marks[0]);
    agent->mark_count--;
}

void venv_agent_marks_take(agent_step *step, const venv_value *mark)
{
    venv_agent *agent = step->agent;
    venv_value copy = venv_value_null();
    if (agent->link.manager_name[0] == '\0' || venv_value_kind(mark) != VENV_MAP || venv_value_count(mark) > MARK_ENTRIES_MAX)
        return;
    if (venv_value_dup(mark, &copy, NULL) != VENV_OK) {
        venv_agent_fail(step, VENV_ENOMEM);
        return;
    }
    for (size_t i = agent->mark_count; i-- > 0;)
        if (strcmp(agent->marks[i].manager, agent->link.manager_name) == 0)
            drop(agent, i);
    if (agent->mark_count == AGENT_MARKS_MAX)
        drop(agent, AGENT_MARKS_MAX - 1);
    memmove(&agent->marks[1], &agent->marks[0], agent->mark_count * sizeof agent->marks[0]);
    agent->mark_count++;
    agent->marks[0].mark = copy;
    snprintf(agent->marks[0].manager, sizeof agent->marks[0].manager, "%s", agent->link.manager_name);
}

void venv_agent_marks_put(agent_step *step, venv_map_builder *hello)
{
    venv_agent *agent = step->agent;
    venv_map_builder map;
    venv_value marks = venv_value_null();
    if (agent->mark_count == 0)
        return;
    venv_map_init(&map);
    for (size_t i = 0; i < agent->mark_count; i++) {
        venv_value name = venv_value_null();
        if (venv_value_string_z(agent->marks[i].manager, &name, NULL) != VENV_OK)
            venv_agent_fail(step, VENV_ENOMEM);
        venv_map_put_value(&map, name, venv_value_ref(&agent->marks[i].mark));
    }
    if (venv_map_take(&map, &marks, NULL) != VENV_OK)
        venv_agent_fail(step, VENV_ENOMEM);
    venv_map_put(hello, "marks", marks);
}

void venv_agent_marks_fini(venv_agent *agent)
{
    while (agent->mark_count > 0)
        drop(agent, agent->mark_count - 1);
}
