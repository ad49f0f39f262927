/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors: `node01`, `@hypervisor`, `@all`, and lists of them with commas. A selector is resolved
 * whole before anybody is visited, so that a name that there is not stops everything.
 */
#include "group/groups.h"

#include <stdlib.h>
#include <string.h>

static venv_str trim(venv_str text)
{
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

/* Cut the next part off `rest`. False at the end. */
static bool next_part(venv_str *rest, venv_str *ret_part)
{
    if (!rest->data)
        return false;
    const char *comma = memchr(rest->data, ',', rest->size);
    size_t size = comma ? (size_t)(comma - rest->data) : rest->size;
    *ret_part = trim((venv_str){ rest->data, size });
    *rest = comma ? (venv_str){ comma + 1, rest->size - size - 1 } : (venv_str){ NULL, 0 };
    return true;
}

static bool part_is_valid(venv_str part)
{
    if (part.size > 0 && part.data[0] == '@')
        return venv_group_name_is_valid((venv_str){ part.data + 1, part.size - 1 });
    return venv_name_is_valid(part);
}

venv_rc venv_selector_check(venv_str selector, venv_error *err)
{
    if (selector.size > VENV_GROUPS_SELECTOR_MAX)
        return venv_error_set(err, VENV_ELIMIT, "a selector of %zu bytes; at most %u are allowed",
                              selector.size, VENV_GROUPS_SELECTOR_MAX);
    venv_str rest = selector.data ? selector : VENV_STR(""), part;
    while (next_part(&rest, &part))
        if (!part_is_valid(part))
            return venv_error_set(err, VENV_EINVAL,
                                  "'%.*s' selects nothing: expected the name of an agent, @GROUP or @all, "
                                  "or several with commas",
                                  (int)(part.size < 80 ? part.size : 80), part.data);
    return VENV_OK;
}

typedef struct selection {
    member_node **items;
    size_t count, capacity;
} selection;

static venv_rc add(selection *chosen, member_node *member, venv_error *err)
{
    if (member->marked)
        return VENV_OK;
    if (chosen->count == chosen->capacity) {
        size_t capacity = chosen->capacity ? chosen->capacity * 2 : 16;
        member_node **grown = realloc(chosen->items, capacity * sizeof *grown);
        if (!grown)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        chosen->items = grown;
        chosen->capacity = capacity;
    }
    member->marked = true;
    chosen->items[chosen->count++] = member;
    return VENV_OK;
}

static venv_rc add_part(const venv_groups *groups, venv_str part, selection *chosen, venv_error *err)
{
    if (part.data[0] != '@') {
        member_node *member = venv_table_find(groups->members, part.data, part.size);
        if (!member)
            return venv_error_set(err, VENV_ENOENT, "no agent is called '%.*s'", (int)part.size, part.data);
        return add(chosen, member, err);
    }
    venv_rc rc = VENV_OK;
    const group_node *group = venv_table_find(groups->groups, part.data + 1, part.size - 1);
    if (group) {
        for (size_t i = 0; rc == VENV_OK && i < group->count; i++)
            rc = add(chosen, group->members[i], err);
        return rc;
    }
    if (part.size != 4 || memcmp(part.data, "@all", 4) != 0)
        return venv_error_set(err, VENV_ENOENT, "no group is called '%.*s'", (int)part.size - 1,
                              part.data + 1);
    size_t cursor = 0;
    void *value = NULL;
    while (rc == VENV_OK && venv_table_next(groups->members, &cursor, NULL, &value))
        rc = add(chosen, value, err);
    return rc;
}

venv_rc venv_groups_select(const venv_groups *groups, venv_str selector, venv_groups_each_fn each,
                           void *user, venv_error *err)
{
    venv_rc rc = venv_selector_check(selector, err);
    if (rc != VENV_OK)
        return rc;
    selection chosen = { NULL, 0, 0 };
    venv_str rest = selector, part;
    while (rc == VENV_OK && next_part(&rest, &part))
        rc = add_part(groups, part, &chosen, err);
    for (size_t i = 0; i < chosen.count; i++)
        chosen.items[i]->marked = false;
    for (size_t i = 0; rc == VENV_OK && i < chosen.count; i++)
        if (!each(user, &chosen.items[i]->pub))
            break;
    free(chosen.items);
    return rc;
}
