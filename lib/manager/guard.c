/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the manager looks on and does nothing.
 *
 * **The disk is full.** The shell keeps a reserve for what must be written (who is connected, what became of machines); while it
 * lives on it, nothing new is begun: requests that change something are refused, triggers wait. Reads and heartbeats go on.
 *
 * **The state is from the past.** A database that was restored from a copy does not know what happened after the copy: it would start
 * what runs. Agents remember a mark of the manager that they obeyed: the *lineage* of its state, the run, and the revision. The
 * marks that a state may meet are those of its own lineage up to the revision with which this run began, those of this run, and
 * those of lineages that people have given up. Any other mark says that the state is not what the agent has known: the
 * manager alarms and drives no node until somebody accepts that (ACCEPT_ROLLBACK). That begins a new lineage, above all
 * revisions that were seen.
 */
#include "manager/internal.h"

#include "trigger/trigger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_EVERY ((venv_span){ 30 * VENV_NS_PER_S })

static const venv_id none = { { 0 } };

/* --- the mark ------------------------------------------------------------------------------------------- */

static void put_lineage(venv_manager *m, venv_map_builder *map)
{
    venv_list_builder past;
    venv_list_init(&past);
    for (size_t i = 0; i < m->past_count; i++)
        venv_list_add(&past, venv_mgr_id_value(m, m->past[i]));
    venv_map_put_id(map, "lineage", m->lineage);
    venv_map_put(map, "past", venv_mgr_take_list(m, &past));
    if (m->rolled_back)
        venv_map_put_z(map, "rolled_back", m->rollback_reason);
    if (m->rolled_back)
        venv_map_put_id(map, "rolled_back_from", m->rollback_lineage);
    if (m->rollback_top > 0)
        venv_map_put(map, "top", venv_value_uint(m->rollback_top));
}

/* The row of the manager itself. */
void venv_mgr_guard_save(venv_manager *m)
{
    venv_map_builder map;
    venv_value key = venv_value_null();
    venv_map_init(&map);
    venv_map_put(&map, "boots", venv_value_int((int64_t)m->boots));
    venv_map_put(&map, "started", venv_value_from_wall(m->started.wall));
    m->ran_saved = venv_mgr_ran(m);
    venv_mgr_put_ran(&map, m->ran_saved);
    put_lineage(m, &map);
    if (venv_value_string_z("manager", &key, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    venv_mgr_effect_put(m, VENV_ROWS_META, key, venv_mgr_take_map(m, &map));
}

static uint64_t uint_of(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    if (!value)
        return 0;
    if (venv_value_kind(value) == VENV_UINT)
        return venv_value_peek_uint(value);
    return venv_value_kind(value) == VENV_INT && venv_value_peek_int(value) > 0 ? (uint64_t)venv_value_peek_int(value) : 0;
}

void venv_mgr_guard_load(venv_manager *m, const venv_value *row)
{
    const venv_value *past = venv_value_get(row, "past");
    venv_str reason = venv_value_get_text(row, "rolled_back");
    venv_value_get_id(row, "lineage", &m->lineage);
    for (size_t i = 0; i < venv_value_count(past) && m->past_count < PAST_MAX; i++)
        if (venv_value_to_id(venv_value_at(past, i), &m->past[m->past_count]))
            m->past_count++;
    if (reason.size > 0) {
        m->rolled_back = true;
        m->policy_changed = true;
        snprintf(m->rollback_reason, sizeof m->rollback_reason, "%.*s", (int)reason.size, reason.data);
        venv_value_get_id(row, "rolled_back_from", &m->rollback_lineage);
    }
    m->rollback_top = uint_of(row, "top");
}

/* With the first step: a state without a lineage begins one. */
void venv_mgr_guard_start(venv_manager *m)
{
    if (venv_id_is_none(m->lineage))
        m->lineage = m->boot;
    m->marked = m->base;
}

static venv_value mark(venv_manager *m)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_id(&map, "lineage", m->lineage);
    venv_map_put_id(&map, "boot", m->boot);
    venv_map_put(&map, "revision", venv_value_uint(m->revision));
    return venv_mgr_take_map(m, &map);
}

/* It leaves when everything up to it is durable: so an agent never remembers what a crash can undo. */
void venv_mgr_guard_mark(venv_manager *m, peer *p)
{
    if (!m->rolled_back)
        venv_mgr_effect_send(m, p, VENV_MSG_MARK, 0, mark(m));
}

void venv_mgr_guard_sweep(venv_manager *m)
{
    if (m->next_mark.ns > m->now.mono.ns)
        return;
    m->next_mark = venv_mgr_after(m, MARK_EVERY);
    if (m->rolled_back || m->marked == m->revision)
        return;
    m->marked = m->revision;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->peers, &cursor, NULL, &item)) {
        peer *p = item;
        if (p->agent && !p->closing)
            venv_mgr_guard_mark(m, p);
    }
}

static bool is_known(const venv_manager *m, venv_id lineage, venv_id boot, uint64_t revision)
{
    if (venv_id_equal(lineage, m->lineage))
        return venv_id_equal(boot, m->boot) || revision <= m->base;
    for (size_t i = 0; i < m->past_count; i++)
        if (venv_id_equal(lineage, m->past[i]))
            return true;
    return false;
}

/* The lineages that somebody who accepts gives up. */
static void give_up(venv_manager *m, venv_id lineage)
{
    for (size_t i = 0; i < m->past_count; i++)
        if (venv_id_equal(m->past[i], lineage))
            return;
    if (m->past_count == PAST_MAX) {
        memmove(&m->past[0], &m->past[1], (PAST_MAX - 1) * sizeof m->past[0]);
        m->past_count--;
    }
    m->past[m->past_count++] = lineage;
}

/* What the agent remembers of us, from its HELLO. */
void venv_mgr_guard_hello(venv_manager *m, peer *p, const venv_value *body)
{
    const venv_value *seen = venv_value_get(venv_value_get(body, "marks"), m->config->name);
    venv_id lineage = none, boot = none;
    uint64_t revision = seen ? uint_of(seen, "revision") : 0;
    if (!seen || !venv_value_get_id(seen, "lineage", &lineage) || !venv_value_get_id(seen, "boot", &boot) ||
        revision > INT64_MAX / 2 || is_known(m, lineage, boot, revision))
        return;
    if (revision > m->rollback_top)
        m->rollback_top = revision;
    if (m->rolled_back) {
        m->rollback_lineage = lineage;
        venv_mgr_guard_save(m);
        return;
    }
    m->rolled_back = true;
    m->policy_changed = true;
    m->rollback_lineage = lineage;
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "agent %s has seen revision %llu of the manager's state, which begins at %llu%s: it was restored "
             "from an older copy, or is another one", p->name, (unsigned long long)revision, (unsigned long long)m->base,
             venv_id_equal(lineage, m->lineage) ? "" : " and is of another lineage");
    venv_mgr_set_reason(m->rollback_reason, reason);
    venv_mgr_event_add(m, "rollback", m->config->name, none, venv_value_null(),
                       "%s. No node is driven until `venvctl accept-rollback`", m->rollback_reason);
    venv_mgr_effect_log(m, VENV_LOG_ERROR, "%s. Nothing is started or stopped until somebody has looked at it and says "
                        "venvctl accept-rollback", m->rollback_reason);
    venv_mgr_guard_save(m);
}

static void put_accepted(venv_manager *m, peer *p, uint64_t request)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "accepted", venv_value_bool(true));
    venv_map_put(&map, "revision", venv_value_uint(m->revision));
    venv_mgr_request_result(m, p, request, venv_mgr_take_map(m, &map));
}

/* The marks that agents carry belong to what is given up from now on. Asking twice finds nothing to accept, and is no error. */
venv_rc venv_mgr_guard_accept(venv_manager *m, peer *p, uint64_t request, venv_error *err)
{
    if (!m->rolled_back && m->past_count == 0)
        return venv_error_set(err, VENV_ECONFLICT, "there is nothing to accept: no agent has known a newer state of this manager");
    if (!m->rolled_back) {
        put_accepted(m, p, request);
        return VENV_OK;
    }
    give_up(m, m->lineage);
    if (!venv_id_is_none(m->rollback_lineage))
        give_up(m, m->rollback_lineage);
    m->lineage = m->boot;
    for (size_t i = 0; i < m->past_count; i++) /* the state was made by this very run: its lineage stays */
        if (venv_id_equal(m->past[i], m->lineage)) {
            memmove(&m->past[i], &m->past[i + 1], (m->past_count - i - 1) * sizeof m->past[0]);
            m->past_count--;
            break;
        }
    m->rolled_back = false;
    m->policy_changed = true;
    venv_triggers_unlooked(m->triggers, m->now);
    if (m->rollback_top > m->revision)
        m->revision = m->rollback_top; /* no revision is used twice: who follows is told of a gap */
    m->rollback_top = 0;
    venv_mgr_event_add(m, "rollback-accepted", m->config->name, none, venv_value_null(),
                       "user/%s accepts the state as it is: %s", p->name, m->rollback_reason);
    venv_mgr_guard_save(m);
    m->next_mark = m->now.mono;
    put_accepted(m, p, request);
    return VENV_OK;
}

/* --- the disk ------------------------------------------------------------------------------------------- */

void venv_mgr_guard_disk(venv_manager *m, bool full, const char *text)
{
    if (m->full == full)
        return;
    m->full = full;
    m->policy_changed = true;
    if (full) {
        m->full_since = m->now.wall;
        venv_mgr_effect_log(m, VENV_LOG_ERROR, "the disk of the state is full (%s): nothing new is begun until there is room", text);
        venv_mgr_event_add(m, "disk-full", m->config->name, none, venv_value_null(),
                           "the disk of the state is full: requests that change something are refused, and triggers wait");
    } else {
        venv_triggers_unlooked(m->triggers, m->now);
        venv_mgr_effect_log(m, VENV_LOG_INFO, "there is room on the disk of the state again");
        venv_mgr_event_add(m, "disk-room", m->config->name, none, venv_value_null(),
                           "there is room on the disk of the state again: all goes on");
    }
}

/* --- what is allowed ------------------------------------------------------------------------------------ */

static venv_rc why_held(const venv_manager *m, venv_error *err)
{
    if (m->rolled_back)
        return venv_error_set(err, VENV_ECONFLICT, "%.300s. Look at what runs on the nodes; then say venvctl accept-rollback",
                              m->rollback_reason);
    if (m->full && !VENV_SEEDED(FULL_IGNORED))
        return venv_error_set(err, VENV_ENOSPACE, "the disk of the manager's state is full: nothing was done; make room there, "
                              "and ask again");
    return VENV_OK;
}

bool venv_mgr_guard_holds(const venv_manager *m)
{
    return why_held(m, NULL) != VENV_OK;
}

/* Requests that change nothing, and those that end what holds. */
static bool is_harmless(int16_t type, const venv_value *body)
{
    switch (type) {
    case VENV_MSG_STATUS:
    case VENV_MSG_LIST:
    case VENV_MSG_SHOW:
    case VENV_MSG_GET:
    case VENV_MSG_FETCH:
    case VENV_MSG_EVENTS:
    case VENV_MSG_HISTORY:
    case VENV_MSG_DUMP:
    case VENV_MSG_WHY:
    case VENV_MSG_EVALUATE:
        return true;
    default:
        return venv_value_get_bool(body, "dry_run", false);
    }
}

venv_rc venv_mgr_guard_request(const venv_manager *m, int16_t type, const venv_value *body, venv_error *err)
{
    if (is_harmless(type, body) || (type == VENV_MSG_ACCEPT_ROLLBACK && !m->full) ||
        (type == VENV_MSG_EXEC && !venv_value_get(body, "command")))
        return VENV_OK;
    return why_held(m, err);
}

/* The last gate before a node: nothing that drives it while the state is not to be believed. */
bool venv_mgr_guard_passes(const venv_manager *m, int16_t type)
{
    return !m->rolled_back || (type != VENV_MSG_EXECUTE && type != VENV_MSG_CONTROL &&
                               (type < VENV_MSG_MACHINE_START || type > VENV_MSG_SYNC));
}

void venv_mgr_guard_status(venv_manager *m, venv_map_builder *map)
{
    if (m->full)
        venv_map_put_z(map, "disk", "full");
    if (m->rolled_back)
        venv_map_put_z(map, "rollback", m->rollback_reason);
}
