/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which agents are let in. Refused are: one that is in none of the groups that this manager serves; a second machine under the
 * name of another, or an older run of the same; and whoever comes when too many come at once: he is told when it is his turn.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <string.h>

#define ASK_AGAIN ((venv_span){ 60 * VENV_NS_PER_S }) /* of who is refused for a reason that people must remove */
#define TELL_AGAIN_NS (3600 * VENV_NS_PER_S)          /* a duplicate that goes on is told as often as this */

static const venv_id none = { { 0 } };

bool venv_mgr_serves_group(const venv_manager *m, venv_str group)
{
    for (size_t i = 0; i < m->config->group_count; i++)
        if (strlen(m->config->groups[i]) == group.size && memcmp(m->config->groups[i], group.data, group.size) == 0)
            return true;
    return m->config->group_count == 0;
}

static venv_rc check_groups(venv_manager *m, const peer *p, const venv_value *body, venv_error *err)
{
    const venv_value *list = venv_value_get(body, "groups");
    char served[200] = "";
    size_t at = 0;
    if (m->config->group_count == 0)
        return VENV_OK;
    for (size_t i = 0; list && i < venv_value_count(list); i++)
        if (venv_mgr_serves_group(m, venv_value_peek_text(venv_value_at(list, i))))
            return VENV_OK;
    for (size_t i = 0; i < m->config->group_count && at < sizeof served; i++)
        at += (size_t)snprintf(served + at, sizeof served - at, "%s%s", i ? ", " : "", m->config->groups[i]);
    return venv_error_set(err, VENV_EDENIED, "manager %s serves the groups %s, and agent %s is in none of them; correct agent.manager "
                          "or agent.groups in its configuration", m->config->name, served, p->name);
}

/* --- one machine for a name ----------------------------------------------------------------------------- */

/* Noted at each time, told at the first and then once an hour. */
static bool flag(venv_manager *m, agent *a, const peer *p, venv_id machine)
{
    duplicate *d = &a->duplicate;
    bool fresh = d->count == 0 || !venv_id_equal(d->machine, machine) || m->now.mono.ns - d->told.ns >= TELL_AGAIN_NS;
    if (d->count == 0)
        d->first = m->now.wall;
    d->count++;
    d->last = m->now.wall;
    d->machine = machine;
    snprintf(d->address, sizeof d->address, "%s", p->address);
    if (fresh)
        d->told = m->now.mono;
    return fresh;
}

static venv_rc refuse_clone(venv_manager *m, peer *p, agent *a, const peer *old, venv_id machine, refusal *ret, venv_error *err)
{
    char where[160];
    if (old)
        snprintf(where, sizeof where, "is connected from %.120s", old->address);
    else
        snprintf(where, sizeof where, "was connected until %.0f s ago",
                 (double)(m->now.mono.ns - venv_groups_member(m->groups, a->name)->heard.ns) / (double)VENV_NS_PER_S);
    ret->retry_after = ASK_AGAIN;
    ret->quiet = !flag(m, a, p, machine);
    if (!ret->quiet)
        venv_mgr_event_add(m, "agent-duplicate", p->name, none, venv_value_null(),
                  "a second machine at %s has the certificate of agent %s, which %s: it is refused. "
                  "Was a node cloned? Issue a certificate of its own for it", p->address, p->name, where);
    return venv_error_set(err, VENV_ECONFLICT, "another machine %s as agent %s. Was this node cloned? Give it a certificate of its own. "
                          "If it takes the other's place: venvctl forget %s", where, p->name, p->name);
}

static venv_rc refuse_older(venv_manager *m, peer *p, agent *a, uint64_t starts, refusal *ret, venv_error *err)
{
    ret->retry_after = ASK_AGAIN;
    ret->quiet = !flag(m, a, p, a->machine);
    if (!ret->quiet)
        venv_mgr_event_add(m, "agent-duplicate", p->name, none, venv_value_null(),
                  "agent %s runs twice on its machine: the one that was started earlier is refused. End one of them", p->name);
    return venv_error_set(err, VENV_ECONFLICT, "agent %s was started again on this machine since (start %llu; this is %llu): end one "
                          "of them", p->name, (unsigned long long)a->starts, (unsigned long long)starts);
}

/*
 * The same name from two sides: either the agent has come back before its old connection was seen to be dead, or its
 * machine was cloned. The same machine takes over; another one does not, also not while the first is away for a short time:
 * the name would go from one to the other and back.
 */
static venv_rc check_duplicate(venv_manager *m, peer *p, agent *a, const venv_value *body, refusal *ret, venv_error *err)
{
    peer *old = a && a->peer ? venv_mgr_peer_find(m, a->peer) : NULL;
    const venv_member *member = a ? venv_groups_member(m->groups, a->name) : NULL;
    if (!member)
        return VENV_OK;
    venv_id boot = none, machine = none;
    uint64_t starts = (uint64_t)venv_value_get_int(body, "starts", 0);
    venv_value_get_id(body, "boot", &boot);
    venv_value_get_id(body, "machine", &machine);
    bool same_boot = venv_id_equal(boot, a->boot);
    bool same_machine = VENV_SEEDED(DUPLICATE_TAKES_OVER) || (!venv_id_is_none(machine) && venv_id_equal(machine, a->machine));
    bool other_machine = !same_machine && !venv_id_is_none(machine) && !venv_id_is_none(a->machine);
    if (!old) {
        bool held = other_machine && m->now.mono.ns - member->heard.ns < m->config->name_hold.ns;
        return held ? refuse_clone(m, p, a, NULL, machine, ret, err) : VENV_OK;
    }
    if (!same_machine && !same_boot)
        return refuse_clone(m, p, a, old, machine, ret, err);
    if (!same_boot && starts != 0 && starts < a->starts)
        return refuse_older(m, p, a, starts, ret, err);
    ret->replaced = old;
    return VENV_OK;
}

/* --- herds ---------------------------------------------------------------------------------------------- */

/*
 * At most connect_rate a second, with a burst of as many (a virtual schedule: GCRA). Who comes too early gets a time of his
 * own, so that they do not all come again at once.
 */
static venv_rc check_rate(venv_manager *m, refusal *ret, venv_error *err)
{
    int64_t now = m->now.mono.ns, each = VENV_NS_PER_S / (int64_t)m->config->connect_rate;
    int64_t next = m->next_admission.ns > now ? m->next_admission.ns : now;
    if (next - now <= VENV_NS_PER_S) {
        m->next_admission.ns = next + each;
        return VENV_OK;
    }
    int64_t turn = m->next_turn.ns > next ? m->next_turn.ns : next;
    m->next_turn.ns = turn + each;
    ret->retry_after.ns = turn - now;
    ret->quiet = true;
    return venv_error_set(err, VENV_ELIMIT, "too many agents connect at once (manager.connect_rate); come again in %.1f s",
                          (double)ret->retry_after.ns / (double)VENV_NS_PER_S);
}

/* Agents that lose this manager at one moment spread over so long that they do not come back faster than they are let in. */
venv_span venv_mgr_reconnect_spread(const venv_manager *m)
{
    int64_t known = (int64_t)venv_groups_member_count(m->groups), most = m->config->lost.ns / 3 * 2;
    int64_t spread = known * VENV_NS_PER_S / (int64_t)m->config->connect_rate;
    return (venv_span){ spread < most ? spread : most };
}

venv_rc venv_mgr_admit(venv_manager *m, peer *p, const venv_value *body, refusal *ret, venv_error *err)
{
    *ret = (refusal){ .retry_after = { 0 } };
    venv_str name = venv_value_get_text(body, "name");
    if (name.size != strlen(p->name) || memcmp(name.data, p->name, name.size) != 0) {
        ret->retry_after = ASK_AGAIN;
        return venv_error_set(err, VENV_EDENIED, "the certificate is that of agent %s, the agent calls itself '%.*s': "
                              "set `name` in its configuration", p->name, (int)(name.size < 64 ? name.size : 64),
                              name.data ? name.data : "");
    }
    venv_rc rc = venv_mgr_agent_check_hello(m, body, err);
    if (rc == VENV_OK && (rc = check_groups(m, p, body, err)) != VENV_OK)
        ret->retry_after = ASK_AGAIN;
    if (rc == VENV_OK)
        rc = check_duplicate(m, p, venv_mgr_agent_find(m, p->name), body, ret, err);
    if (rc == VENV_OK)
        rc = check_rate(m, ret, err);
    return rc;
}
