/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the registry. Each one first checks and reserves everything that can fail, then makes links
 * and tells the listener: a failure leaves the registry as it was.
 */
#include "group/groups.h"

#include "base/seeded.h"

#include <stdlib.h>
#include <string.h>

static const char *const member_state_names[VENV_MEMBER_STATE__COUNT] = {
    [VENV_MEMBER_CONNECTED] = "connected",
    [VENV_MEMBER_SUSPECT] = "suspect",
    [VENV_MEMBER_LOST] = "lost",
};

static const char *const membership_names[VENV_MEMBERSHIP_KIND__COUNT] = {
    [VENV_MEMBERSHIP_JOIN] = "join",
    [VENV_MEMBERSHIP_LEAVE] = "leave",
    [VENV_MEMBERSHIP_DISCONNECT] = "disconnect",
    [VENV_MEMBERSHIP_REJOIN] = "rejoin",
};

const char *venv_member_state_name(venv_member_state state)
{
    return (unsigned)state < VENV_MEMBER_STATE__COUNT ? member_state_names[state] : "?";
}

const char *venv_membership_name(venv_membership_kind kind)
{
    return (unsigned)kind < VENV_MEMBERSHIP_KIND__COUNT ? membership_names[kind] : "?";
}

venv_rc venv_groups_new(uint64_t seed, venv_membership_fn listener, void *user, venv_groups **ret_groups,
                        venv_error *err)
{
    venv_groups *groups = calloc(1, sizeof *groups);
    if (!groups)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    groups->listener = listener;
    groups->user = user;
    if (venv_table_new(seed, VENV_GROUPS_MEMBERS_MAX, &groups->members, err) != VENV_OK ||
        venv_table_new(seed, VENV_GROUPS_GROUPS_MAX, &groups->groups, err) != VENV_OK) {
        venv_groups_free(groups);
        return VENV_ENOMEM;
    }
    *ret_groups = groups;
    return VENV_OK;
}

static void member_free(member_node *member)
{
    free(member->name);
    free(member->groups);
    free(member);
}

static void group_free(group_node *group)
{
    free(group->name);
    free(group->members);
    free(group);
}

void venv_groups_free(venv_groups *groups)
{
    if (!groups)
        return;
    size_t cursor = 0;
    void *value = NULL;
    while (groups->members && venv_table_next(groups->members, &cursor, NULL, &value))
        member_free(value);
    cursor = 0;
    while (groups->groups && venv_table_next(groups->groups, &cursor, NULL, &value))
        group_free(value);
    venv_table_free(groups->members);
    venv_table_free(groups->groups);
    free(groups);
}

static member_node *find_member(const venv_groups *groups, const char *name)
{
    return venv_table_find(groups->members, name, strlen(name));
}

static group_node *find_group(const venv_groups *groups, const char *name)
{
    return venv_table_find(groups->groups, name, strlen(name));
}

static void tell(const venv_groups *groups, venv_membership_kind kind, const member_node *member,
                 const char *group, const char *reason)
{
    if (!groups->listener)
        return;
    venv_membership event = { kind, member->name, group, reason ? reason : "" };
    groups->listener(groups->user, &event);
}

static bool names_have(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static venv_rc check_names(const char *member, const char *const *names, size_t count, venv_error *err)
{
    if (!venv_name_is_valid((venv_str){ member, strlen(member) }))
        return venv_error_set(err, VENV_EINVAL,
                              "'%s' is no name of an agent: expected lower-case letters, digits, '.', '_', '-'",
                              member);
    if (count > VENV_GROUPS_PER_MEMBER_MAX)
        return venv_error_set(err, VENV_ELIMIT, "agent %s names %zu groups, at most %u are allowed", member,
                              count, VENV_GROUPS_PER_MEMBER_MAX);
    for (size_t i = 0; i < count; i++)
        if (!venv_group_name_is_valid((venv_str){ names[i], strlen(names[i]) }))
            return venv_error_set(err, VENV_EINVAL,
                                  "'%s' is no name of a group: expected 1 to %d letters, digits, '.', '_', '-'",
                                  names[i], VENV_GROUP_NAME_MAX);
    return VENV_OK;
}

static bool group_reserve(group_node *group)
{
    if (group->count < group->capacity)
        return true;
    size_t capacity = group->capacity ? group->capacity * 2 : 4;
    member_node **grown = realloc(group->members, capacity * sizeof *grown);
    if (!grown)
        return false;
    group->members = grown;
    group->capacity = capacity;
    return true;
}

/* The group of this name with room for one more member, made if there is none. */
static venv_rc prepare_group(venv_groups *groups, const char *name, venv_error *err)
{
    group_node *group = find_group(groups, name);
    if (!group) {
        group = calloc(1, sizeof *group);
        if (!group || !(group->name = strdup(name))) {
            free(group);
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        }
        venv_rc rc = venv_table_add(groups->groups, name, strlen(name), group, err);
        if (rc != VENV_OK) {
            group_free(group);
            return rc;
        }
    }
    if (!group_reserve(group))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    return VENV_OK;
}

/* Groups end with their last member. */
static void drop_if_empty(venv_groups *groups, const char *name)
{
    group_node *group = find_group(groups, name);
    if (!group || group->count > 0)
        return;
    venv_table_remove(groups->groups, name, strlen(name));
    group_free(group);
}

static venv_rc prepare(venv_groups *groups, member_node *member, const char *const *names, size_t count,
                       venv_error *err)
{
    size_t need = member->pub.group_count + count;
    if (need > member->capacity) {
        group_node **grown = realloc(member->groups, need * sizeof *grown);
        if (!grown)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        member->groups = grown;
        member->capacity = need;
    }
    for (size_t i = 0; i < count; i++) {
        venv_rc rc = prepare_group(groups, names[i], err);
        if (rc != VENV_OK) {
            for (size_t j = 0; j <= i; j++)
                drop_if_empty(groups, names[j]);
            return rc;
        }
    }
    return VENV_OK;
}

static bool is_member_in(const member_node *member, const group_node *group)
{
    for (size_t i = 0; i < member->pub.group_count; i++)
        if (member->groups[i] == group)
            return true;
    return false;
}

static void unlink_group(member_node *member, group_node *group)
{
    for (size_t i = 0; i < member->pub.group_count; i++)
        if (member->groups[i] == group) {
            memmove(&member->groups[i], &member->groups[i + 1],
                    (member->pub.group_count - i - 1) * sizeof(group_node *));
            member->pub.group_count--;
            break;
        }
    for (size_t i = 0; i < group->count; i++)
        if (group->members[i] == member) {
            memmove(&group->members[i], &group->members[i + 1],
                    (group->count - i - 1) * sizeof(member_node *));
            group->count--;
            break;
        }
}

/* Everything was prepared: cannot fail. `rejoin`: groups that it is still in are told as rejoined. */
static void apply(venv_groups *groups, member_node *member, const char *const *names, size_t count,
                  bool rejoin, const char *reason)
{
    for (size_t i = member->pub.group_count; i-- > 0;) {
        group_node *group = member->groups[i];
        if (names_have(names, count, group->name))
            continue;
        unlink_group(member, group);
        tell(groups, VENV_MEMBERSHIP_LEAVE, member, group->name, reason);
        drop_if_empty(groups, group->name);
    }
    for (size_t i = 0; i < count; i++) {
        group_node *group = find_group(groups, names[i]);
        bool was_in = is_member_in(member, group);
        if (!was_in) {
            member->groups[member->pub.group_count++] = group;
            group->members[group->count++] = member;
        }
        if (names_have(names, i, names[i]))
            continue;
        if (!was_in)
            tell(groups, VENV_MEMBERSHIP_JOIN, member, group->name, reason);
        else if (rejoin)
            tell(groups, VENV_MEMBERSHIP_REJOIN, member, group->name, reason);
    }
}

static void set_state(member_node *member, venv_member_state state, venv_now now)
{
    member->pub.state = state;
    member->pub.since = now.mono;
}

static venv_rc add_member(venv_groups *groups, const char *name, const char *const *names, size_t count,
                          venv_now now, member_node **ret_member, venv_error *err)
{
    member_node *member = calloc(1, sizeof *member);
    if (!member || !(member->name = strdup(name))) {
        free(member);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    member->pub.name = member->name;
    venv_rc rc = venv_table_add(groups->members, name, strlen(name), member, err);
    if (rc != VENV_OK) {
        member_free(member);
        return rc;
    }
    rc = prepare(groups, member, names, count, err);
    if (rc != VENV_OK) {
        venv_table_remove(groups->members, name, strlen(name));
        member_free(member);
        return rc;
    }
    set_state(member, VENV_MEMBER_SUSPECT, now);
    *ret_member = member;
    return VENV_OK;
}

venv_rc venv_groups_connect(venv_groups *groups, const char *name, const char *const *names,
                            size_t count, venv_now now, const char *reason, venv_error *err)
{
    venv_rc rc = check_names(name, names, count, err);
    if (rc != VENV_OK)
        return rc;
    member_node *member = find_member(groups, name);
    bool known = member;
    if (known)
        rc = prepare(groups, member, names, count, err);
    else
        rc = add_member(groups, name, names, count, now, &member, err);
    if (rc != VENV_OK)
        return rc;
    bool rejoin = known && !member->pub.session;
    member->pub.session = member->pub.seen = true;
    if (member->pub.state != VENV_MEMBER_CONNECTED)
        set_state(member, VENV_MEMBER_CONNECTED, now);
    member->pub.heard = now.mono;
    member->pub.heard_wall = now.wall;
    apply(groups, member, names, VENV_SEEDED(REJOIN_LOSES_GROUPS) && rejoin ? 0 : count, rejoin, reason);
    return VENV_OK;
}

venv_rc venv_groups_remember(venv_groups *groups, const char *name, const char *const *names,
                             size_t count, venv_wall heard, venv_now now, venv_error *err)
{
    venv_rc rc = check_names(name, names, count, err);
    if (rc != VENV_OK)
        return rc;
    if (find_member(groups, name))
        return venv_error_set(err, VENV_EEXIST, "agent %s is known already", name);
    member_node *member = NULL;
    rc = add_member(groups, name, names, count, now, &member, err);
    if (rc != VENV_OK)
        return rc;
    venv_membership_fn listener = groups->listener;
    groups->listener = NULL;
    member->pub.heard = now.mono;
    member->pub.heard_wall = heard;
    apply(groups, member, names, count, false, "");
    groups->listener = listener;
    return VENV_OK;
}

venv_rc venv_groups_set(venv_groups *groups, const char *name, const char *const *names, size_t count,
                        const char *reason, venv_error *err)
{
    venv_rc rc = check_names(name, names, count, err);
    if (rc != VENV_OK)
        return rc;
    member_node *member = find_member(groups, name);
    if (!member)
        return venv_error_set(err, VENV_ENOENT, "no agent is called '%s'", name);
    rc = prepare(groups, member, names, count, err);
    if (rc == VENV_OK)
        apply(groups, member, names, count, false, reason);
    return rc;
}

void venv_groups_disconnect(venv_groups *groups, const char *name, venv_now now, const char *reason)
{
    member_node *member = find_member(groups, name);
    if (!member || !member->pub.session)
        return;
    member->pub.session = false;
    if (member->pub.state == VENV_MEMBER_CONNECTED)
        set_state(member, VENV_MEMBER_SUSPECT, now);
    for (size_t i = 0; i < member->pub.group_count && !VENV_SEEDED(DISCONNECT_NOT_TOLD); i++)
        tell(groups, VENV_MEMBERSHIP_DISCONNECT, member, member->groups[i]->name, reason);
}

bool venv_groups_heard(venv_groups *groups, const char *name, venv_now now)
{
    member_node *member = find_member(groups, name);
    if (!member || !member->pub.session)
        return false;
    member->pub.heard = now.mono;
    member->pub.heard_wall = now.wall;
    if (member->pub.state != VENV_MEMBER_SUSPECT)
        return false;
    set_state(member, VENV_MEMBER_CONNECTED, now);
    return true;
}

bool venv_groups_suspect(venv_groups *groups, const char *name, venv_now now)
{
    member_node *member = find_member(groups, name);
    if (!member || member->pub.state != VENV_MEMBER_CONNECTED)
        return false;
    set_state(member, VENV_MEMBER_SUSPECT, now);
    return true;
}

bool venv_groups_lose(venv_groups *groups, const char *name, venv_now now)
{
    member_node *member = find_member(groups, name);
    if (!member || member->pub.session || member->pub.state == VENV_MEMBER_LOST)
        return false;
    set_state(member, VENV_MEMBER_LOST, now);
    return true;
}

void venv_groups_forget(venv_groups *groups, const char *name, const char *reason)
{
    member_node *member = find_member(groups, name);
    if (!member)
        return;
    apply(groups, member, NULL, 0, false, reason);
    venv_table_remove(groups->members, member->name, strlen(member->name));
    member_free(member);
}

bool venv_groups_set_data(venv_groups *groups, const char *name, void *data)
{
    member_node *member = find_member(groups, name);
    if (member)
        member->pub.data = data;
    return member;
}
