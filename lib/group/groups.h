/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_GROUP_GROUPS_H
#define VENV_GROUP_GROUPS_H

/*
 * Inside of the registry: nodes that point at each other, found by two tables. A member lists its groups
 * in the order of joining, a group its members likewise; both ends of a link are always there or
 * both gone.
 */

#include "base/table.h"

#include <venv/group.h>

struct group_node;

typedef struct member_node {
    venv_member pub; /* first: a venv_member that we hand out is its node */
    char *name;
    struct group_node **groups;
    size_t capacity;
    bool marked; /* visited by the selector that runs */
} member_node;

typedef struct group_node {
    char *name;
    member_node **members;
    size_t count, capacity;
} group_node;

struct venv_groups {
    venv_table *members; /* name → member_node */
    venv_table *groups;  /* name → group_node */
    venv_membership_fn listener;
    void *user;
};

#endif
