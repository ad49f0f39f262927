/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proposals: what a trigger in mode propose would do, as data. One is made when it fires, shown, and then applied exactly
 * as it is shown, or rejected; or its time goes by.
 *
 *      open → applied | rejected | expired
 *
 * Its parent is the firing, and it is the parent of the actions that come of it. The limits of the trigger count
 * when it is applied, not before. A trigger that fires again while its proposal is open makes no second one.
 */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_MAX 200

static const char *const state_names[PROPOSAL_STATE__COUNT] = { "open", "applied", "rejected", "expired" };

void venv_mgr_proposal_free(proposal *p)
{
    if (!p)
        return;
    free(p->trigger);
    free(p->unit);
    venv_value_unref(&p->orders);
    venv_value_unref(&p->values);
    free(p);
}

static venv_value id_key(venv_manager *m, venv_id id)
{
    return venv_mgr_id_value(m, id);
}

/* --- rows and views ------------------------------------------------------------------------------------ */

static void put_common(venv_map_builder *map, const proposal *p)
{
    venv_map_put_id(map, "id", p->id);
    venv_map_put_id(map, "firing", p->firing);
    venv_map_put(map, "origin", venv_value_int((int64_t)p->origin));
    venv_map_put_z(map, "trigger", p->trigger);
    if (p->unit[0])
        venv_map_put_z(map, "element", p->unit);
    venv_map_put_z(map, "state", state_names[p->state]);
    venv_map_put(map, "made", venv_value_from_wall(p->made));
    venv_map_put(map, "expires", venv_value_from_wall(p->expires));
    venv_map_put_text(map, "why", p->why, strlen(p->why));
    if (p->recovers)
        venv_map_put(map, "recovers", venv_value_bool(true));
    if (p->repeats > 0)
        venv_map_put(map, "repeats", venv_value_int(p->repeats));
    if (p->recovered.ns != 0)
        venv_map_put(map, "recovered", venv_value_from_wall(p->recovered));
    if (p->state != PROPOSAL_OPEN)
        venv_map_put(map, "ended", venv_value_from_wall(p->ended));
    if (p->by[0])
        venv_map_put_z(map, "by", p->by);
    if (p->reason[0])
        venv_map_put_text(map, "reason", p->reason, strlen(p->reason));
}

static void put_whole(venv_map_builder *map, const proposal *p)
{
    venv_map_put(map, "orders", venv_value_ref(&p->orders));
    if (venv_value_kind(&p->values) != VENV_NULL)
        venv_map_put(map, "values", venv_value_ref(&p->values));
}

/* "start class2 (4), mail admins" */
static void summary_of(const venv_value *orders, char *text, size_t size)
{
    static const char *const subjects[] = { "environment", "instance", "target", "to", "name", "text" };
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < venv_value_count(orders) && at < size; i++) {
        const venv_value *order = venv_value_at(orders, i), *arguments = venv_value_get(order, "arguments");
        venv_str verb = venv_value_get_text(order, "verb"), subject = VENV_STR("");
        for (size_t k = 0; k < VENV_COUNT_OF(subjects) && subject.size == 0; k++)
            subject = venv_value_get_text(arguments, subjects[k]);
        int64_t count = venv_value_get_int(arguments, "count", 1);
        int n = snprintf(text + at, size - at, "%s%.*s%s%.*s", i > 0 ? ", " : "", (int)verb.size, verb.data, subject.size > 0 ? " " : "",
                         (int)(subject.size < 64 ? subject.size : 64), subject.data ? subject.data : "");
        at += n > 0 ? (size_t)n : 0;
        if (count != 1 && at < size)
            at += (size_t)snprintf(text + at, size - at, " (%lld)", (long long)count);
    }
}

/* What came of it. */
static void put_actions(venv_manager *m, venv_map_builder *map, const proposal *p)
{
    venv_list_builder list;
    size_t cursor = 0;
    void *item;
    venv_list_init(&list);
    while (p->state == PROPOSAL_APPLIED && venv_table_next(m->deeds, &cursor, NULL, &item))
        if (venv_id_equal(((deed *)item)->parent, p->id))
            venv_list_add(&list, venv_mgr_id_value(m, ((deed *)item)->id));
    venv_map_put(map, "actions", venv_mgr_take_list(m, &list));
}

static void touch(venv_manager *m, const proposal *p)
{
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, p);
    put_whole(&map, p);
    if (p->definition != 0)
        venv_map_put(&map, "definition", venv_value_uint(p->definition));
    if (p->state != PROPOSAL_OPEN)
        venv_mgr_put_ran(&map, p->ran);
    if (p->made_ran > 0)
        venv_map_put(&map, "made_ran", venv_value_int(p->made_ran));
    venv_mgr_effect_put(m, VENV_ROWS_PROPOSALS, id_key(m, p->id), venv_mgr_take_map(m, &map));
}

void venv_mgr_proposals_put(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->proposals, &cursor, NULL, &item))
        touch(m, item);
}

venv_value venv_mgr_proposal_view(venv_manager *m, const proposal *p, bool whole)
{
    char summary[SUMMARY_MAX], safe[REASON_MAX];
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, p);
    summary_of(&p->orders, summary, sizeof summary);
    venv_mgr_set_reason(safe, summary);
    venv_map_put_text(&map, "summary", safe, strlen(safe));
    if (whole) {
        put_whole(&map, p);
        put_actions(m, &map, p);
    }
    return venv_mgr_take_map(m, &map);
}

static void read_wall(const venv_value *row, const char *key, venv_wall *to)
{
    const venv_value *value = venv_value_get(row, key);
    if (value)
        (void)venv_value_to_wall(value, to);
}

static void read_text(const venv_value *row, const char *key, char *to, size_t size)
{
    venv_str text = venv_value_get_text(row, key);
    snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.data ? text.data : "");
}

static void read_value(venv_manager *m, const venv_value *row, const char *key, venv_value *to)
{
    const venv_value *value = venv_value_get(row, key);
    if (value && venv_value_dup(value, to, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
}

bool venv_mgr_proposal_restore(venv_manager *m, venv_id id, const venv_value *row)
{
    venv_str state = venv_value_get_text(row, "state");
    unsigned at = 0;
    while (at < PROPOSAL_STATE__COUNT && (strlen(state_names[at]) != state.size || memcmp(state_names[at], state.data, state.size) != 0))
        at++;
    proposal *p = at < PROPOSAL_STATE__COUNT ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return false;
    p->id = id;
    p->state = (proposal_state)at;
    p->trigger = venv_mgr_copy_str(m, venv_value_get_text(row, "trigger"));
    p->unit = venv_mgr_copy_str(m, venv_value_get_text(row, "element"));
    venv_value_get_id(row, "firing", &p->firing);
    read_text(row, "why", p->why, sizeof p->why);
    read_text(row, "by", p->by, sizeof p->by);
    read_text(row, "reason", p->reason, sizeof p->reason);
    read_wall(row, "made", &p->made);
    read_wall(row, "expires", &p->expires);
    read_wall(row, "ended", &p->ended);
    p->ran = venv_mgr_get_ran(m, row);
    read_wall(row, "recovered", &p->recovered);
    p->origin = (uint64_t)venv_value_get_int(row, "origin", 0);
    p->repeats = venv_value_get_int(row, "repeats", 0);
    p->recovers = venv_value_get_bool(row, "recovers", false);
    p->definition = venv_mgr_get_uint(row, "definition");
    read_value(m, row, "orders", &p->orders);
    read_value(m, row, "values", &p->values);
    /* What is proposed is soon wrong: it ends by the clock that ends it first. The wall clock knows the time in which no manager ran, and
     * how long the manager has run cannot be set back. */
    int64_t left = p->expires.ns - m->now.wall.ns, whole = p->expires.ns - p->made.ns;
    p->made_ran = venv_value_get_int(row, "made_ran", 0);
    int64_t ran = p->made_ran > 0 && p->made_ran <= venv_mgr_ran(m) ? venv_mgr_ran(m) - p->made_ran : 0;
    left = left < whole - ran ? left : whole - ran;
    p->deadline = venv_mgr_after(m, (venv_span){ left < 0 ? 0 : left });
    if (!p->trigger || !p->unit || venv_table_add(m->proposals, id.bytes, sizeof id.bytes, p, NULL) != VENV_OK) {
        venv_mgr_proposal_free(p);
        venv_mgr_no_memory(m);
        return false;
    }
    return true;
}

/* --- making -------------------------------------------------------------------------------------------- */

static void end(venv_manager *m, proposal *p, proposal_state state, const char *by, const char *why)
{
    char id[VENV_ID_TEXT_SIZE], kind[32];
    p->state = state;
    p->ended = m->now.wall;
    p->ran = venv_mgr_ran(m);
    snprintf(p->by, sizeof p->by, "%s", by);
    venv_mgr_set_reason(p->reason, why);
    touch(m, p);
    snprintf(kind, sizeof kind, "proposal-%s", state_names[state]);
    venv_mgr_event_add(m, kind, p->trigger, p->id, venv_value_null(), "proposal %.8s of %s %s%s%s%s%s", venv_id_format(p->id, id), p->trigger,
                       state_names[state], by[0] ? " by " : "", by, p->reason[0] ? ": " : "", p->reason);
}

static proposal *find_open(venv_manager *m, const char *trigger, const char *unit, bool recovers)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->proposals, &cursor, NULL, &item)) {
        proposal *p = item;
        if (p->state == PROPOSAL_OPEN && p->recovers == recovers && strcmp(p->trigger, trigger) == 0 && strcmp(p->unit, unit) == 0)
            return p;
    }
    return NULL;
}

/* Of the trigger as it is now; 0: there is none. */
static uint64_t definition_of(const venv_manager *m, const char *trigger)
{
    venv_value key = venv_value_borrow(trigger, strlen(trigger));
    const venv_value *definition = venv_value_find(&m->config->triggers, &key);
    uint64_t hash = definition ? venv_value_hash(definition, 1) : 0;
    return definition && hash == 0 ? 1 : hash;
}

static venv_value orders_value(venv_manager *m, const venv_order *orders, size_t count)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put_z(&map, "verb", venv_order_verb_name(orders[i].verb));
        venv_map_put(&map, "arguments", venv_value_ref(&orders[i].arguments));
        venv_list_add(&list, venv_mgr_take_map(m, &map));
    }
    return venv_mgr_take_list(m, &list);
}

/* A trigger in mode propose has fired. The id of the proposal, for the event; none if there is no new one. */
venv_id venv_mgr_proposal_make(venv_manager *m, const venv_trigger_report *report, venv_id firing, uint64_t origin)
{
    static const venv_id none = { { 0 } };
    proposal *open = find_open(m, report->trigger, report->unit, report->recovers);
    proposal *other = report->recovers ? NULL : find_open(m, report->trigger, report->unit, true);
    if (other)
        end(m, other, PROPOSAL_EXPIRED, "", "its trigger has fired again");
    if (open) {
        open->repeats++;
        open->recovered = (venv_wall){ 0 };
        touch(m, open);
        return none;
    }
    proposal *p = venv_table_count(m->proposals) < PROPOSALS_MAX ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        venv_mgr_event_add(m, "trigger-failed", report->trigger, firing, venv_value_null(),
                           "%s: there are too many proposals; old ones go away by themselves", report->trigger);
        return none;
    }
    p->id = venv_random_id(&m->random);
    p->firing = firing;
    p->origin = origin;
    p->recovers = report->recovers;
    p->definition = definition_of(m, report->trigger);
    p->trigger = venv_mgr_copy_text(m, report->trigger);
    p->unit = venv_mgr_copy_text(m, report->unit);
    p->made = m->now.wall;
    p->made_ran = venv_mgr_ran(m);
    p->expires = (venv_wall){ m->now.wall.ns + report->expires.ns };
    p->deadline = venv_mgr_after(m, report->expires);
    venv_mgr_set_reason(p->why, report->text);
    p->orders = orders_value(m, report->orders, report->order_count);
    p->values = venv_value_ref(&report->evidence);
    if (!p->trigger || !p->unit || venv_table_add(m->proposals, p->id.bytes, sizeof p->id.bytes, p, NULL) != VENV_OK) {
        venv_mgr_proposal_free(p);
        venv_mgr_no_memory(m);
        return none;
    }
    touch(m, p);
    return p->id;
}

/* What it was proposed for is over: it stays, and says so. */
void venv_mgr_proposal_recovered(venv_manager *m, const char *trigger, const char *unit)
{
    proposal *p = find_open(m, trigger, unit, false);
    if (!p || p->recovered.ns != 0)
        return;
    p->recovered = m->now.wall;
    touch(m, p);
}

/* --- ending -------------------------------------------------------------------------------------------- */

void venv_mgr_proposals_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->proposals, &cursor, NULL, &item)) {
        proposal *p = item;
        if (p->state == PROPOSAL_OPEN && p->deadline.ns <= m->now.mono.ns && !VENV_SEEDED(PROPOSAL_LATE))
            end(m, p, PROPOSAL_EXPIRED, "", "nobody applied it in time");
    }
}

/* The trigger is gone, or is another one now. */
void venv_mgr_proposals_withdraw(venv_manager *m, const char *trigger, const char *why)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->proposals, &cursor, NULL, &item)) {
        proposal *p = item;
        if (p->state == PROPOSAL_OPEN && strcmp(p->trigger, trigger) == 0)
            end(m, p, PROPOSAL_EXPIRED, "", why);
    }
}

/*
 * The manager was restarted, maybe with other files: one that was made of a trigger that is not there any more, or says something
 * else now, is not carried out.
 */
void venv_mgr_proposals_compare(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->proposals, &cursor, NULL, &item)) {
        proposal *p = item;
        uint64_t now = definition_of(m, p->trigger);
        if (p->state == PROPOSAL_OPEN && (now == 0 || (p->definition != 0 && p->definition != now)))
            end(m, p, PROPOSAL_EXPIRED, "", now == 0 ? "its trigger was removed" : "its trigger was changed");
    }
}

void venv_mgr_proposals_retention(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    venv_str key;
    while (venv_table_next(m->proposals, &cursor, &key, &item)) {
        proposal *p = item;
        if (p->state == PROPOSAL_OPEN)
            continue;
        if (p->ran == 0) {
            p->ran = venv_mgr_ran(m);
            touch(m, p);
        }
        if (!venv_mgr_is_old(m, p->ran))
            continue;
        venv_mgr_effect_delete(m, VENV_ROWS_PROPOSALS, id_key(m, p->id));
        venv_table_remove(m->proposals, key.data, key.size);
        venv_mgr_proposal_free(p);
    }
}

/* --- what people do with it ------------------------------------------------------------------------------ */

/* The one whose id this is, or begins with this text of at least eight characters. */
proposal *venv_mgr_proposal_by_text(venv_manager *m, venv_str name)
{
    venv_id id;
    char text[VENV_ID_TEXT_SIZE];
    size_t cursor = 0;
    void *item;
    if (venv_id_parse(name, &id))
        return venv_table_find(m->proposals, id.bytes, sizeof id.bytes);
    proposal *found = NULL;
    while (name.size >= 8 && name.size < VENV_ID_TEXT_SIZE && venv_table_next(m->proposals, &cursor, NULL, &item)) {
        if (memcmp(venv_id_format(((proposal *)item)->id, text), name.data, name.size) != 0)
            continue;
        if (found)
            return NULL; /* two begin so */
        found = item;
    }
    return found;
}

static venv_rc check_open(venv_manager *m, const proposal *p, venv_error *err)
{
    char wall[VENV_WALL_TEXT_SIZE];
    if (p->state == PROPOSAL_OPEN && (p->deadline.ns > m->now.mono.ns || VENV_SEEDED(PROPOSAL_LATE)))
        return VENV_OK;
    if (p->state == PROPOSAL_OPEN || p->state == PROPOSAL_EXPIRED)
        return venv_error_set(err, VENV_ECONFLICT, "this proposal of %s has expired (%s): %s; the trigger makes a new one when it fires "
                              "again", p->trigger, venv_wall_format(p->state == PROPOSAL_OPEN ? p->expires : p->ended, wall),
                              p->reason[0] ? p->reason : "nobody applied it in time");
    return venv_error_set(err, VENV_ECONFLICT, "this proposal of %s was %s before, by %s at %s", p->trigger, state_names[p->state],
                          p->by, venv_wall_format(p->ended, wall));
}

/* The orders as they are shown. Whatever cannot be read is not done, and then nothing is. */
static venv_rc read_orders(const proposal *p, venv_order *orders, size_t *ret_count, venv_error *err)
{
    *ret_count = 0;
    for (size_t i = 0; i < venv_value_count(&p->orders) && i < (VENV_SEEDED(PROPOSAL_HALF) ? 1 : VENV_TRIGGER_ORDERS_MAX); i++) {
        const venv_value *order = venv_value_at(&p->orders, i), *arguments = venv_value_get(order, "arguments");
        if (!arguments || !venv_order_verb_parse(venv_value_get_text(order, "verb"), &orders[i].verb))
            return venv_error_set(err, VENV_EUNSUPPORTED, "this proposal was made by another version, which knew actions that this one "
                                  "does not: reject it");
        orders[i].arguments = *arguments; /* lent */
        ++*ret_count;
    }
    return VENV_OK;
}

static venv_rc apply(venv_manager *m, proposal *p, const char *by, const char *why, venv_error *err)
{
    venv_order orders[VENV_TRIGGER_ORDERS_MAX];
    size_t count = 0;
    venv_trigger_world world = venv_mgr_world_of(m);
    if (!venv_triggers_is_enabled(m->triggers, p->trigger))
        return venv_error_set(err, VENV_ECONFLICT, "trigger %s is disabled, or there is no such trigger any more: what it proposed is not "
                              "done", p->trigger);
    venv_rc rc = read_orders(p, orders, &count, err);
    if (rc == VENV_OK && venv_table_count(m->deeds) + count + 1 > DEEDS_MAX)
        rc = venv_error_set(err, VENV_ELIMIT, "there are too many actions; old ones go away by themselves");
    if (rc == VENV_OK)
        rc = venv_triggers_spend(m->triggers, p->trigger, orders, count, m->now, &world, err);
    if (rc != VENV_OK)
        return rc;
    venv_mgr_triggers_save(m);
    end(m, p, PROPOSAL_APPLIED, by, why);
    order_cause c = { "proposal", p->trigger, by, p->why, p->id, p->firing, p->origin };
    venv_mgr_orders_carry_out(m, &c, orders, count);
    return VENV_OK;
}

/* Apply or reject. `by`: "user/NAME". */
venv_rc venv_mgr_proposal_change(venv_manager *m, const char *by, const venv_value *body, proposal **ret_proposal, venv_error *err)
{
    venv_str name = venv_value_get_text(body, "proposal"), verb = venv_value_get_text(body, "verb");
    bool applies = verb.size == 5 && memcmp(verb.data, "apply", 5) == 0, rejects = verb.size == 6 && memcmp(verb.data, "reject", 6) == 0;
    char why[REASON_MAX];
    read_text(body, "why", why, sizeof why);
    if (!applies && !rejects)
        return venv_error_set(err, VENV_EINVAL, "verb: expected apply or reject");
    proposal *p = venv_mgr_proposal_by_text(m, name);
    if (!p)
        return venv_error_set(err, VENV_ENOENT, "no proposal is called '%.*s'; `list proposals` shows what there is (a beginning of at least "
                              "eight characters has to fit one alone)", (int)(name.size < 64 ? name.size : 64), name.data ? name.data : "");
    venv_rc rc = check_open(m, p, err);
    if (rc == VENV_OK && (applies || VENV_SEEDED(REJECTED_DONE)))
        rc = apply(m, p, by, why, err);
    else if (rc == VENV_OK)
        end(m, p, PROPOSAL_REJECTED, by, why);
    *ret_proposal = p;
    return rc;
}
