/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks: what each manager asked to be remembered of its state, and is told at the next HELLO, also after a restart (memory.c). A manager whose database was restored
 * from an older copy learns from them that it does not know what has happened. Their content is the manager's.
 */
#include "agent/state.h"

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
    memcpy(agent->marks[0].manager, agent->link.manager_name, sizeof agent->marks[0].manager);
    venv_agent_memory_change(step);
}

venv_value venv_agent_marks_value(agent_step *step)
{
    venv_agent *agent = step->agent;
    venv_map_builder map;
    venv_value marks = venv_value_null();
    venv_map_init(&map);
    for (size_t i = 0; i < agent->mark_count; i++) {
        venv_value name = venv_value_null();
        venv_agent_fail(step, venv_value_string_z(agent->marks[i].manager, &name, step->err));
        venv_map_put_value(&map, name, venv_value_ref(&agent->marks[i].mark));
    }
    venv_agent_fail(step, venv_map_take(&map, &marks, step->err));
    return marks;
}

void venv_agent_marks_put(agent_step *step, venv_map_builder *hello)
{
    if (step->agent->mark_count > 0)
        venv_map_put(hello, "marks", venv_agent_marks_value(step));
}

venv_rc venv_agent_marks_restore(venv_agent *agent, const venv_value *marks, venv_error *err)
{
    const venv_value *name, *mark;
    for (size_t i = 0; agent->mark_count < AGENT_MARKS_MAX && venv_value_kind(marks) == VENV_MAP &&
                       venv_value_entry(marks, i, &name, &mark); i++) {
        agent_mark *kept = &agent->marks[agent->mark_count];
        venv_str text = venv_value_kind(name) == VENV_STRING ? venv_value_peek_text(name) : VENV_STR("");
        if (!venv_name_is_valid(text) || venv_value_kind(mark) != VENV_MAP)
            continue;
        venv_rc rc = venv_value_dup(mark, &kept->mark, err);
        if (rc != VENV_OK)
            return rc;
        memcpy(kept->manager, text.data, text.size);
        kept->manager[text.size] = '\0';
        agent->mark_count++;
    }
    return VENV_OK;
}

void venv_agent_marks_fini(venv_agent *agent)
{
    while (agent->mark_count > 0)
        drop(agent, agent->mark_count - 1);
}
