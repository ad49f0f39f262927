/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_GROUP_H
#define VENV_GROUP_H

/**
 * @file venv/group.h
 * @brief The registry of agents and groups: who there is, who is in which group, who was last heard when.
 *
 *      groups       "hypervisor" ──► {node01, node02}        "default" ──► {head, node01, node02}
 *      members      node01 ──► {hypervisor, default}, connected, heard 0.4 s ago
 *
 * A **member** is an agent under its name.  A **group** comes to be when the first member joins it and ends with
 * the last one that leaves.  Both look-ups are O(1).  A member that disconnects stays in its groups, marked,
 * so that it *rejoins* them when it comes back.
 *
 * Each change is told to the registry's listener as a **membership event**, after it has been made.
 *
 * @par Purity
 *      Nothing here reads a clock: instants are arguments.
 *
 * @par Threads
 *      A registry belongs to one thread at a time.
 */

#include <venv/common.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

/** @name Limits @{ */
#define VENV_GROUPS_MEMBERS_MAX    65536u /**< Members of one registry. */
#define VENV_GROUPS_GROUPS_MAX     16384u /**< Groups of one registry. */
#define VENV_GROUPS_PER_MEMBER_MAX 64u    /**< Groups that one member is in. */
#define VENV_GROUPS_SELECTOR_MAX   4096u  /**< Bytes of a selector. */
/** @} */

/** Agents by name, groups by name. */
typedef struct venv_groups venv_groups;

/** How much we know of a member. */
typedef enum venv_member_state {
    VENV_MEMBER_CONNECTED = 0, /**< It has a session and is heard. */
    VENV_MEMBER_SUSPECT,       /**< It has not been heard for a while, or its session ended: it may come back. */
    VENV_MEMBER_LOST,          /**< It has no session and has been away for long. */
    VENV_MEMBER_STATE__COUNT
} venv_member_state;

/** `"connected"`, `"suspect"`, `"lost"`. */
VENV_API const char *venv_member_state_name(venv_member_state state);

/** What happened to a member in a group. */
typedef enum venv_membership_kind {
    VENV_MEMBERSHIP_JOIN = 0,   /**< It is in the group now, and was not before. */
    VENV_MEMBERSHIP_LEAVE,      /**< It asked to be out of the group, or was forgotten. */
    VENV_MEMBERSHIP_DISCONNECT, /**< Its session ended; it is still counted as a member. */
    VENV_MEMBERSHIP_REJOIN,     /**< It came back to a group that it was in when its session ended. */
    VENV_MEMBERSHIP_KIND__COUNT
} venv_membership_kind;

/** `"join"`, `"leave"`, `"disconnect"`, `"rejoin"`. */
VENV_API const char *venv_membership_name(venv_membership_kind kind);

/** One member in one group changed.  All text is lent for the time of the call. */
typedef struct venv_membership {
    venv_membership_kind kind;
    const char *member;
    const char *group;
    const char *reason; /**< For people: "connected", "the connection was reset". */
} venv_membership;

/** Told of each change.  It must not change the registry. */
typedef void (*venv_membership_fn)(void *user, const venv_membership *event);

/** A member, as it is looked at. */
typedef struct venv_member {
    const char *name;
    venv_member_state state;
    bool session;       /**< It has one now. */
    bool seen;          /**< It had one since the registry was made: it was not only remembered. */
    venv_instant heard; /**< When anything was last received from it; of one that is remembered: when that was. */
    venv_wall heard_wall;
    venv_instant since; /**< When `state` began. */
    size_t group_count;
    void *data;         /**< The owner's; never touched here. */
} venv_member;

/**
 * Make an empty registry.
 *
 * @param seed      Defends the tables against chosen names.
 * @param listener  May be NULL.
 * @retval VENV_OK
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_groups_new(uint64_t seed, venv_membership_fn listener, void *user,
                                               venv_groups **ret_groups, venv_error *err);

/** Release a registry.  Accepts NULL.  No events are told. */
VENV_API void venv_groups_free(venv_groups *groups);

/**
 * A member is there, with the whole set of its groups.
 *
 * A member that is new is added and joins each group.  One that had no session rejoins the groups that it is still in,
 * joins new ones and leaves those that it no longer names.  One that has a session just has its groups set.
 *
 * @param names  Names of groups, each valid by venv_group_name_is_valid(); a repeated name counts once.
 * @retval VENV_OK
 * @retval VENV_EINVAL  A name is malformed; nothing was changed.
 * @retval VENV_ELIMIT  Too many members, groups, or groups of this member; nothing was changed.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_groups_connect(venv_groups *groups, const char *member,
                                                   const char *const *names, size_t name_count,
                                                   venv_now now, const char *reason, venv_error *err);

/**
 * Add a member that is known from before and has no session: no events are told, its state is *suspect*.
 * `heard` is when it was heard last, by the wall clock; 0 if that is not known.
 * Fails as venv_groups_connect() does, and with VENV_EEXIST.
 */
VENV_API VENV_MUST_USE venv_rc venv_groups_remember(venv_groups *groups, const char *member,
                                                    const char *const *names, size_t name_count,
                                                    venv_wall heard, venv_now now, venv_error *err);

/**
 * Set the groups of a member: it leaves those that are not named and joins those that are new.
 * @retval VENV_ENOENT  No such member.  Otherwise as venv_groups_connect().
 */
VENV_API VENV_MUST_USE venv_rc venv_groups_set(venv_groups *groups, const char *member,
                                               const char *const *names, size_t name_count,
                                               const char *reason, venv_error *err);

/** Its session ended: the state is *suspect*, and a disconnect is told for each of its groups. */
VENV_API void venv_groups_disconnect(venv_groups *groups, const char *member, venv_now now,
                                     const char *reason);

/** Something was received from it: a suspect is connected again.  @return true if the state changed. */
VENV_API bool venv_groups_heard(venv_groups *groups, const char *member, venv_now now);

/** It has not been heard for too long: connected becomes suspect.  @return true if the state changed. */
VENV_API bool venv_groups_suspect(venv_groups *groups, const char *member, venv_now now);

/** It has no session and was not heard for so long that it is given up: the state is *lost*.  @return true if it changed. */
VENV_API bool venv_groups_lose(venv_groups *groups, const char *member, venv_now now);

/** Remove a member: it leaves all of its groups. */
VENV_API void venv_groups_forget(venv_groups *groups, const char *member, const char *reason);

/** Hang something on a member.  @return false if there is no such member. */
VENV_API bool venv_groups_set_data(venv_groups *groups, const char *member, void *data);

/** @name Looking @{ */

/** Members of all states. */
VENV_API size_t venv_groups_member_count(const venv_groups *groups);
/** A member by name, lent until the next change; NULL if there is none.  O(1). */
VENV_API const venv_member *venv_groups_member(const venv_groups *groups, const char *member);
/** Every member in the order in which they came.  Start with `*cursor = 0`.  @return NULL at the end. */
VENV_API const venv_member *venv_groups_next_member(const venv_groups *groups, size_t *cursor);
/** Name of the group that `member` joined as number `index`, lent; NULL past the end. */
VENV_API const char *venv_groups_group_of(const venv_member *member, size_t index);

/** Groups with at least one member. */
VENV_API size_t venv_groups_group_count(const venv_groups *groups);
/** Members of a group; 0 if there is no such group.  O(1). */
VENV_API size_t venv_groups_size(const venv_groups *groups, const char *group);
/** Every group in the order in which they came to be.  Start with `*cursor = 0`.  @return its name, NULL at the end. */
VENV_API const char *venv_groups_next_group(const venv_groups *groups, size_t *cursor);
/** Member number `index` of a group, in the order of joining; NULL past the end. */
VENV_API const venv_member *venv_groups_member_of(const venv_groups *groups, const char *group,
                                                  size_t index);
/** O(1). */
VENV_API bool venv_groups_is_in(const venv_groups *groups, const char *member, const char *group);
/** @} */

/** @name Selectors
 *  A text that names members: `node01`, `@hypervisor`, `@all` (every member), or several with commas:
 *  `head,@hypervisor`. @{ */

/** Told of each selected member, once.  @return false to stop. */
typedef bool (*venv_groups_each_fn)(void *user, const venv_member *member);

/** Check the form of a selector only.  @retval VENV_OK  @retval VENV_EINVAL  @retval VENV_ELIMIT */
VENV_API VENV_MUST_USE venv_rc venv_selector_check(venv_str selector, venv_error *err);

/**
 * Visit the members that a selector names, each once, in the order of the selector's parts.
 *
 * @retval VENV_OK
 * @retval VENV_EINVAL  Malformed.
 * @retval VENV_ENOENT  It names a member or a group that there is not; nothing was visited.
 * @retval VENV_ELIMIT  Longer than VENV_GROUPS_SELECTOR_MAX.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_groups_select(const venv_groups *groups, venv_str selector,
                                                  venv_groups_each_fn each, void *user, venv_error *err);
/** @} */

/** Hash over everything that is told or looked at, instants excluded. */
VENV_API uint64_t venv_groups_digest(const venv_groups *groups);

VENV_END_DECLS
#endif /* VENV_GROUP_H */
