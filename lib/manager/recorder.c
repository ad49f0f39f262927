/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history: what the manager has learnt, told to whoever keeps it (venv/history.h). Samples are collected as bytes and leave
 * with the next sweep. It is no part of the state: nothing waits for it, nothing is decided by it, and where there is no
 * room it has gaps.
 */
#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

#define LEAVE_SIZE (256u << 10) /* bytes that do not wait for the sweep */

static bool is_on(const venv_manager *m)
{
    return m->config->history.ns > 0;
}

static void record(venv_manager *m, uint32_t *series, venv_history_kind kind, const char *subject, const char *label,
                   venv_quality quality, const venv_value *value)
{
    if (*series == 0)
        *series = venv_history_journal_define(&m->history, kind, subject, label);
    venv_history_journal_sample(&m->history, *series, m->now.wall, quality, value);
}

static void record_gone(venv_manager *m, uint32_t *series)
{
    venv_value nothing = venv_value_null();
    if (*series != 0)
        venv_history_journal_sample(&m->history, *series, m->now.wall, VENV_QUALITY_ABSENT, &nothing);
    *series = 0;
}

void venv_mgr_record_property(venv_manager *m, const agent *a, kept_property *p)
{
    if (is_on(m))
        record(m, &p->series, VENV_HISTORY_PROPERTY, a->name, p->label, p->quality, &p->value);
}

void venv_mgr_record_property_gone(venv_manager *m, kept_property *p)
{
    if (!m->out)
        return;
    record_gone(m, &p->series);
    record_gone(m, &p->declared);
}

/* Agents declare all of their properties whenever they connect: only what is another declaration is recorded. */
void venv_mgr_record_declaration(venv_manager *m, const agent *a, kept_property *p)
{
    venv_map_builder map;
    if (!is_on(m) || !m->out)
        return;
    venv_map_init(&map);
    venv_map_put_z(&map, "type", p->type ? p->type : "");
    venv_map_put_z(&map, "unit", p->unit ? p->unit : "");
    venv_map_put_z(&map, "source", p->source ? p->source : "");
    venv_map_put(&map, "every", venv_value_int(p->every));
    venv_value value = venv_mgr_take_map(m, &map);
    uint64_t hash = venv_value_hash(&value, 1);
    if (p->declared == 0 || hash != p->declaration)
        record(m, &p->declared, VENV_HISTORY_DECLARATION, a->name, p->label, VENV_QUALITY_OK, &value);
    p->declaration = hash;
    venv_value_unref(&value);
}

static venv_value policy_of(venv_manager *m)
{
    venv_list_builder disabled;
    venv_map_builder map, breakers;
    const char *name;
    size_t cursor = 0;
    void *item;
    venv_list_init(&disabled);
    for (size_t i = 0; (name = venv_triggers_name(m->triggers, i)); i++)
        if (!venv_triggers_is_enabled(m->triggers, name))
            venv_list_add_text(&disabled, name);
    venv_map_init(&breakers);
    while (venv_table_next(m->breakers, &cursor, NULL, &item)) {
        const breaker *b = item;
        if (b->state != BREAKER_CLOSED)
            venv_map_put_value(&breakers, venv_mgr_text_key(m, b->name), venv_mgr_breaker_view(m, b));
    }
    venv_map_init(&map);
    venv_map_put(&map, "disabled", venv_mgr_take_list(m, &disabled));
    venv_map_put(&map, "held", venv_value_bool(venv_mgr_guard_holds(m)));
    venv_map_put(&map, "breakers", venv_mgr_take_map(m, &breakers));
    return venv_mgr_take_map(m, &map);
}

void venv_mgr_record_policy(venv_manager *m)
{
    if (!is_on(m) || !m->policy_changed)
        return;
    m->policy_changed = false;
    venv_value value = policy_of(m);
    uint64_t hash = venv_value_hash(&value, 1);
    if (m->policy_series == 0 || hash != m->policy_recorded)
        record(m, &m->policy_series, VENV_HISTORY_POLICY, m->config->name, "", VENV_QUALITY_OK, &value);
    m->policy_recorded = hash;
    venv_value_unref(&value);
}

void venv_mgr_record_agent(venv_manager *m, agent *a)
{
    const venv_member *member = venv_groups_member(m->groups, a->name);
    if (!is_on(m) || !m->out)
        return;
    venv_list_builder groups;
    venv_map_builder map;
    venv_list_init(&groups);
    for (size_t i = 0; member && i < member->group_count; i++)
        venv_list_add_text(&groups, venv_groups_group_of(member, i));
    venv_map_init(&map);
    venv_map_put_z(&map, "state", venv_member_state_name(member ? member->state : VENV_MEMBER_LOST));
    venv_map_put(&map, "groups", venv_mgr_take_list(m, &groups));
    venv_value value = venv_mgr_take_map(m, &map);
    record(m, &a->series, VENV_HISTORY_AGENT, a->name, "", VENV_QUALITY_OK, &value);
    venv_value_unref(&value);
}

void venv_mgr_record_agent_gone(venv_manager *m, agent *a)
{
    for (size_t i = 0; i < a->property_count; i++)
        record_gone(m, &a->properties[i].series);
    record_gone(m, &a->series);
}

void venv_mgr_record_instance(venv_manager *m, instance *i)
{
    if (!is_on(m))
        return;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "state", venv_instance_state_name(i->state));
    venv_map_put_z(&map, "environment", i->environment);
    venv_map_put_z(&map, "by", i->by);
    if (i->node)
        venv_map_put_z(&map, "node", i->node);
    if (i->vcpus > 0)
        venv_map_put(&map, "vcpus", venv_value_int(i->vcpus));
    if (i->memory > 0)
        venv_map_put(&map, "memory", venv_value_int((int64_t)i->memory));
    venv_map_put_id(&map, "id", i->id);
    venv_value value = venv_mgr_take_map(m, &map);
    record(m, &i->series, VENV_HISTORY_INSTANCE, i->name, "", VENV_QUALITY_OK, &value);
    venv_value_unref(&value);
}

void venv_mgr_record_instance_gone(venv_manager *m, instance *i)
{
    record_gone(m, &i->series);
}

/* After a start nothing of what was known before holds: no agent is connected, and the instances are as their rows say. */
void venv_mgr_record_start(venv_manager *m)
{
    venv_map_builder map;
    uint32_t series = 0;
    if (!is_on(m))
        return;
    venv_map_init(&map);
    m->policy_changed = true;
    venv_map_put_z(&map, "state", "started");
    venv_value value = venv_mgr_take_map(m, &map);
    record(m, &series, VENV_HISTORY_MANAGER, m->config->name, "", VENV_QUALITY_OK, &value);
    venv_value_unref(&value);
    size_t cursor = 0;
    void *item;
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor)))
        if (member->data)
            venv_mgr_record_agent(m, member->data);
    cursor = 0;
    while (venv_table_next(m->instances, &cursor, NULL, &item))
        venv_mgr_record_instance(m, item);
}

/* Let go of what was collected; `sweep`: however little it is. */
void venv_mgr_record_leave(venv_manager *m, bool sweep)
{
    venv_value bytes = venv_value_null();
    if (m->history.bytes.size == 0 || (!sweep && m->history.bytes.size < LEAVE_SIZE))
        return;
    if (venv_value_bytes(m->history.bytes.data, m->history.bytes.size, &bytes, NULL) == VENV_OK)
        venv_mgr_effect_record(m, bytes);
    else
        venv_mgr_no_memory(m);
    venv_history_journal_clear(&m->history);
}

/* --- looking at it -------------------------------------------------------------------------------------- */

#define ASKS_MAX      64u
#define LIMIT_DEFAULT 1000
#define LIMIT_MAX     10000

static venv_rc check_query(const venv_value *body, venv_error *err)
{
    static const char *const times[] = { "since", "until" };
    venv_wall wall;
    for (size_t i = 0; i < 2; i++) {
        const venv_value *time = venv_value_get(body, times[i]);
        if (time && !venv_value_to_wall(time, &wall))
            return venv_error_set(err, VENV_EINVAL, "%s: expected a time", times[i]);
    }
    if (venv_value_get_text(body, "target").size > VENV_HISTORY_TEXT_MAX || venv_value_get_text(body, "label").size > VENV_HISTORY_TEXT_MAX)
        return venv_error_set(err, VENV_EINVAL, "a name has at most %u bytes", VENV_HISTORY_TEXT_MAX);
    return VENV_OK;
}

/* Who keeps the history looks into it: the query goes out as it came, bounded, and its answer comes back with a token. */
void venv_mgr_history_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body)
{
    venv_error err = { 0 };
    venv_rc rc = check_query(body, &err);
    if (rc == VENV_OK && !is_on(m))
        rc = venv_error_set(&err, VENV_ENOENT, "this manager keeps no history: manager.history is 0");
    if (rc == VENV_OK && m->ask_count == ASKS_MAX)
        rc = venv_error_set(&err, VENV_ELIMIT, "too many read the history at once; try again later");
    if (rc == VENV_OK && !m->asks && !(m->asks = calloc(ASKS_MAX, sizeof *m->asks))) {
        venv_mgr_no_memory(m);
        return;
    }
    if (rc != VENV_OK) {
        venv_mgr_request_failed(m, p, request, &err);
        return;
    }
    int64_t limit = venv_value_get_int(body, "limit", LIMIT_DEFAULT);
    venv_map_builder map;
    venv_map_init(&map);
    static const char *const keys[] = { "target", "label", "since", "until", "skip", "state" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const venv_value *value = venv_value_get(body, keys[i]);
        if (value)
            venv_map_put(&map, keys[i], venv_value_ref(value));
    }
    venv_map_put(&map, "limit", venv_value_int(limit < 1 ? LIMIT_DEFAULT : limit > LIMIT_MAX ? LIMIT_MAX : limit));
    history_ask *ask = &m->asks[m->ask_count++];
    *ask = (history_ask){ venv_mgr_next_number(m), p->number, request };
    venv_mgr_record_leave(m, true); /* it sees what was there when it asked */
    venv_mgr_effect_ask(m, ask->token, venv_mgr_take_map(m, &map));
}

/* DUMP: whoever runs the core keeps the recorder, and answers as it does what is asked of the history. */
void venv_mgr_dump_request(venv_manager *m, peer *p, uint64_t request)
{
    venv_error err = { 0 };
    if (m->ask_count == ASKS_MAX) {
        venv_error_set(&err, VENV_ELIMIT, "too many ask at once; try again later");
        venv_mgr_request_failed(m, p, request, &err);
        return;
    }
    if (!m->asks && !(m->asks = calloc(ASKS_MAX, sizeof *m->asks))) {
        venv_mgr_no_memory(m);
        return;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "dump", venv_value_bool(true));
    history_ask *ask = &m->asks[m->ask_count++];
    *ask = (history_ask){ venv_mgr_next_number(m), p->number, request };
    venv_mgr_effect_ask(m, ask->token, venv_mgr_take_map(m, &map));
}

/* `answer`: the body of RESULT, or {rc, error}. */
void venv_mgr_history_answer(venv_manager *m, uint64_t token, const venv_value *answer)
{
    for (size_t i = 0; i < m->ask_count; i++) {
        history_ask ask = m->asks[i];
        if (ask.token != token)
            continue;
        m->asks[i] = m->asks[--m->ask_count];
        peer *p = venv_mgr_peer_find(m, ask.peer);
        if (p && !p->closing)
            venv_mgr_effect_send_now(m, p, venv_value_get(answer, "rc") ? VENV_MSG_FAILED : VENV_MSG_RESULT, ask.request,
                                     venv_value_ref(answer));
        return;
    }
}

void venv_mgr_history_forget_peer(venv_manager *m, uint64_t peer_number)
{
    for (size_t i = m->ask_count; i-- > 0;)
        if (m->asks[i].peer == peer_number)
            m->asks[i] = m->asks[--m->ask_count];
}
