/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into the registry: nothing here changes it. */
#include "group/groups.h"

#include <string.h>

size_t venv_groups_member_count(const venv_groups *groups)
{
    return venv_table_count(groups->members);
}

const venv_member *venv_groups_member(const venv_groups *groups, const char *name)
{
    const member_node *member = venv_table_find(groups->members, name, strlen(name));
    return member ? &member->pub : NULL;
}

const venv_member *venv_groups_next_member(const venv_groups *groups, size_t *cursor)
{
    void *value = NULL;
    return venv_table_next(groups->members, cursor, NULL, &value) ? &((member_node *)value)->pub : NULL;
}

const char *venv_groups_group_of(const venv_member *member, size_t index)
{
    const member_node *node = (const member_node *)member;
    return index < member->group_count ? node->groups[index]->name : NULL;
}

size_t venv_groups_group_count(const venv_groups *groups)
{
    return venv_table_count(groups->groups);
}

size_t venv_groups_size(const venv_groups *groups, const char *name)
{
    const group_node *group = venv_table_find(groups->groups, name, strlen(name));
    return group ? group->count : 0;
}

const char *venv_groups_next_group(const venv_groups *groups, size_t *cursor)
{
    void *value = NULL;
    return venv_table_next(groups->groups, cursor, NULL, &value) ? ((group_node *)value)->name : NULL;
}

const venv_member *venv_groups_member_of(const venv_groups *groups, const char *name, size_t index)
{
    const group_node *group = venv_table_find(groups->groups, name, strlen(name));
    return group && index < group->count ? &group->members[index]->pub : NULL;
}

bool venv_groups_is_in(const venv_groups *groups, const char *name, const char *group_name)
{
    const member_node *member = venv_table_find(groups->members, name, strlen(name));
    const group_node *group = venv_table_find(groups->groups, group_name, strlen(group_name));
    if (!member || !group)
        return false;
    for (size_t i = 0; i < member->pub.group_count; i++)
        if (member->groups[i] == group)
            return true;
    return false;
}

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    return venv_hash_bytes(data, size, hash);
}

uint64_t venv_groups_digest(const venv_groups *groups)
{
    uint64_t hash = 0x67726f757073;
    size_t cursor = 0;
    const venv_member *member;
    while ((member = venv_groups_next_member(groups, &cursor))) {
        uint8_t state = (uint8_t)((unsigned)member->state * 4 + member->session * 2u + member->seen);
        hash = mix(hash, member->name, strlen(member->name) + 1);
        hash = mix(hash, &state, 1);
        for (size_t i = 0; i < member->group_count; i++) {
            const char *group = venv_groups_group_of(member, i);
            hash = mix(hash, group, strlen(group) + 1);
        }
    }
    cursor = 0;
    const char *group;
    while ((group = venv_groups_next_group(groups, &cursor))) {
        hash = mix(hash, group, strlen(group) + 1);
        for (size_t i = 0; (member = venv_groups_member_of(groups, group, i)); i++)
            hash = mix(hash, member->name, strlen(member->name) + 1);
    }
    return hash;
}
