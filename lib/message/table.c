/* SPDX-License-Identifier: Apache-2.0 */
/* The table of message types, and the gate: who may send what to whom. */

#include <venv/message.h>

/* Short names for the column `from` of message.def. */
enum {
    A = VENV_DIRECTION_AGENT_TO_MANAGER,
    U = VENV_DIRECTION_USER_TO_MANAGER,
    MA = VENV_DIRECTION_MANAGER_TO_AGENT,
    MU = VENV_DIRECTION_MANAGER_TO_USER,
};

enum {
#define VENV_MESSAGE(number, name, text, from, size_max, summary) ROW_##name,
#include <venv/message.def>
#undef VENV_MESSAGE
    ROW__COUNT
};

static const venv_message_info rows[ROW__COUNT] = {
#define VENV_MESSAGE(number, name, text, from, size_max, summary) \
    [ROW_##name] = { (number), (from), (size_max), (text), (summary) },
#include <venv/message.def>
#undef VENV_MESSAGE
};

/* The compiler makes the search, and refuses a number that is there twice. */
const venv_message_info *venv_message_find(int16_t type)
{
    switch (type) {
#define VENV_MESSAGE(number, name, text, from, size_max, summary) \
    case number: return &rows[ROW_##name];
#include <venv/message.def>
#undef VENV_MESSAGE
    default: return NULL;
    }
}

const venv_message_info *venv_message_at(size_t index)
{
    return index < ROW__COUNT ? &rows[index] : NULL;
}

const char *venv_message_name(int16_t type)
{
    const venv_message_info *info = venv_message_find(type);
    return info ? info->name : "unknown";
}

/* 0 where the two have nothing to say to each other. */
static unsigned direction_of(venv_role sender, venv_role receiver)
{
    if (sender == VENV_ROLE_AGENT && receiver == VENV_ROLE_MANAGER)
        return VENV_DIRECTION_AGENT_TO_MANAGER;
    if (sender == VENV_ROLE_USER && receiver == VENV_ROLE_MANAGER)
        return VENV_DIRECTION_USER_TO_MANAGER;
    if (sender == VENV_ROLE_MANAGER && receiver == VENV_ROLE_AGENT)
        return VENV_DIRECTION_MANAGER_TO_AGENT;
    if (sender == VENV_ROLE_MANAGER && receiver == VENV_ROLE_USER)
        return VENV_DIRECTION_MANAGER_TO_USER;
    return 0;
}

bool venv_message_allowed(venv_role sender, venv_role receiver, int16_t type)
{
    const venv_message_info *info = venv_message_find(type);
    return info && (info->directions & direction_of(sender, receiver)) != 0;
}
