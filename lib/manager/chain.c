/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of causes of one thing, as steps in the order of time: the samples, the parts of the conditions, what
 * hold and limits said, the action, the placement, and the agent's own word on how it ended. A step is a line for
 * people, and carries what it was made from.
 *
 * Text of agents was made safe to print when it came in; here it is only put into sentences.
 */
#include "manager/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX      512
#define LINES_MAX     3u  /* of the output of a command */
#define ENDED_MAX     8u  /* instances of a node that failed, told */
#define STEPS_MAX     512u
#define PARENTS_MAX   4u  /* request or firing, order, the part for one instance */

typedef struct chain {
    venv_manager *m;
    const why_job *job;
    venv_list_builder steps;
    size_t count;
    char answer[TEXT_MAX];
} chain;

static void add_step(chain *c, const char *kind, int level, venv_wall time, venv_value detail, const char *text)
{
    venv_map_builder map;
    if (c->count++ >= STEPS_MAX) {
        venv_value_unref(&detail);
        return;
    }
    venv_map_init(&map);
    venv_map_put_z(&map, "kind", kind);
    venv_map_put(&map, "level", venv_value_int(level));
    venv_map_put_text(&map, "text", text, strlen(text));
    if (time.ns != 0)
        venv_map_put(&map, "time", venv_value_from_wall(time));
    if (venv_value_kind(&detail) != VENV_NULL)
        venv_map_put(&map, "detail", detail);
    venv_list_add(&c->steps, venv_mgr_take_map(c->m, &map));
}

VENV_PRINTF(6, 7)
static void step(chain *c, const char *kind, int level, venv_wall time, venv_value detail, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_step(c, kind, level, time, detail, text);
}

VENV_PRINTF(2, 3)
static void conclude(chain *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->answer, sizeof c->answer, format, args);
    va_end(args);
}

static const venv_wall no_time = { 0 };

static venv_wall wall_of(const venv_value *map, const char *key)
{
    venv_wall wall = { 0 };
    const venv_value *value = venv_value_get(map, key);
    if (value)
        venv_value_to_wall(value, &wall);
    return wall;
}

/* Text of a map, for "%s". */
static const char *text_of(const venv_value *map, const char *key, char buffer[TEXT_MAX])
{
    venv_str text = venv_value_get_text(map, key);
    snprintf(buffer, TEXT_MAX, "%.*s", (int)(text.size < TEXT_MAX ? text.size : TEXT_MAX - 1), text.data ? text.data : "");
    return buffer;
}

static const char *print(const venv_value *value, char buffer[TEXT_MAX])
{
    buffer[0] = '\0';
    if (value && venv_value_kind(value) == VENV_STRING)
        snprintf(buffer, TEXT_MAX, "%.*s", (int)(venv_value_peek_text(value).size < 256 ? venv_value_peek_text(value).size : 256),
                 venv_value_peek_text(value).data);
    else if (value)
        venv_value_print(value, buffer, 256);
    return buffer;
}

static bool is(const venv_value *map, const char *key, const char *word)
{
    const venv_value *value = venv_value_get(map, key);
    return value && venv_value_is_text(value, word);
}

/* The event of a revision; NULL if it is no longer kept. */
static const venv_value *event_of(const chain *c, uint64_t revision)
{
    for (size_t i = 0; i < c->job->count; i++)
        if (c->job->revisions[i] == revision && venv_value_kind(&c->job->events[i]) == VENV_MAP)
            return &c->job->events[i];
    return NULL;
}

static void tell_gone(chain *c, int level, uint64_t revision, const char *what)
{
    step(c, "gone", level, no_time, venv_value_null(), "%s stands in event %llu, which is no longer kept", what,
         (unsigned long long)revision);
}

/* --- a decision: samples, conditions, policy -------------------------------------------------------------- */

static void tell_samples(chain *c, const venv_value *why, int level)
{
    char value[TEXT_MAX], subject[TEXT_MAX], label[TEXT_MAX], quality[TEXT_MAX];
    const venv_value *samples = venv_value_get(why, "samples");
    for (size_t i = 0; i < venv_value_count(samples); i++) {
        const venv_value *sample = venv_value_at(samples, i);
        bool good = is(sample, "quality", "ok");
        text_of(sample, "quality", quality);
        step(c, "sample", level, wall_of(sample, "time"), venv_value_ref(sample), "%.80s %.80s = %.200s%s%.20s%s",
             text_of(sample, "subject", subject), text_of(sample, "label", label), print(venv_value_get(sample, "value"), value),
             good ? "" : " (", good ? "" : quality, good ? "" : ")");
    }
    if (venv_value_get_bool(why, "samples_cut", false))
        step(c, "sample", level, no_time, venv_value_null(), "… and more");
}

static void tell_condition(chain *c, const venv_value *why, const char *key, int level)
{
    const venv_value *condition = venv_value_get(why, key);
    char state[TEXT_MAX], error[TEXT_MAX];
    if (!condition)
        return;
    text_of(condition, "error", error);
    step(c, "condition", level, no_time, venv_value_ref(condition), "`%s`: %.20s%s%.300s", key, text_of(condition, "state", state),
         error[0] ? ": " : "", error);
}

static void tell_hold(chain *c, const venv_value *why, int level)
{
    char held[TEXT_MAX], hold[TEXT_MAX];
    const venv_value *value = venv_value_get(why, "hold");
    venv_span a = { 0 }, b = { 0 };
    if (!value)
        return;
    if (venv_value_to_span(value, &b) && venv_value_get(why, "held") && venv_value_to_span(venv_value_get(why, "held"), &a)) {
        snprintf(held, sizeof held, "%.1fs", (double)a.ns / 1e9);
        snprintf(hold, sizeof hold, "%gs", (double)b.ns / 1e9);
    } else {
        print(venv_value_get(why, "held"), held);
        print(value, hold);
    }
    step(c, "hold", level, no_time, venv_value_null(), "hold: %.40s of %.40s", held, hold);
}

static void tell_decision(chain *c, const venv_value *why, int level)
{
    tell_samples(c, why, level);
    tell_condition(c, why, "when", level);
    tell_condition(c, why, "until", level);
    tell_hold(c, why, level);
}

static void tell_orders(chain *c, const venv_value *orders, int level)
{
    char verb[TEXT_MAX], arguments[TEXT_MAX], error[TEXT_MAX];
    for (size_t i = 0; i < venv_value_count(orders); i++) {
        const venv_value *order = venv_value_at(orders, i);
        text_of(order, "error", error);
        step(c, "order", level, no_time, venv_value_ref(order), "%s %.24s %.256s%.200s", error[0] ? "cannot order" : "orders",
             text_of(order, "verb", verb), error[0] ? "" : print(venv_value_get(order, "arguments"), arguments), error);
    }
}

/* An event of the log as the beginning of a chain: a firing with all that it rested on, or a request. */
static void tell_origin(chain *c, uint64_t revision, int level)
{
    const venv_value *event = event_of(c, revision);
    char text[TEXT_MAX];
    if (revision == 0)
        return;
    if (!event) {
        tell_gone(c, level, revision, "what it comes from");
        return;
    }
    const venv_value *detail = venv_value_get(event, "detail");
    tell_decision(c, venv_value_get(detail, "why"), level + 1);
    step(c, "event", level, wall_of(event, "time"), venv_value_ref(event), "%s", text_of(event, "text", text));
    tell_orders(c, venv_value_get(detail, "orders"), level + 1);
}

/* --- actions ---------------------------------------------------------------------------------------------- */

static void tell_output(chain *c, const venv_value *item, const char *key, int level)
{
    venv_str text = venv_value_get_text(item, key);
    char line[REASON_MAX];
    for (unsigned n = 0; n < LINES_MAX && text.size > 0; n++) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        char raw[160];
        snprintf(raw, sizeof raw, "%.*s", (int)(size < sizeof raw ? size : sizeof raw - 1), text.data);
        venv_mgr_set_reason(line, raw);
        step(c, "output", level, no_time, venv_value_null(), "%s: %s", key, line);
        text.data += size + (end != NULL);
        text.size -= size + (end != NULL);
    }
}

static void tell_result(chain *c, const deed *d, int level)
{
    const venv_value *items = venv_value_get(&d->result, "items");
    char agent_name[TEXT_MAX], raw[TEXT_MAX], error[REASON_MAX];
    for (size_t i = 0; i < venv_value_count(items) && i < 16; i++) {
        const venv_value *item = venv_value_at(items, i);
        venv_mgr_set_reason(error, text_of(item, "error", raw));
        int64_t code = venv_value_get_int(item, "exit", 0);
        text_of(item, "agent", agent_name);
        if (error[0])
            step(c, "result", level, no_time, venv_value_null(), "%.80s: %s", agent_name, error);
        else if (venv_value_get(item, "exit"))
            step(c, "result", level, no_time, venv_value_null(), "%.80s: exit code %lld", agent_name, (long long)code);
        tell_output(c, item, "stderr", level + 1);
        tell_output(c, item, "stdout", level + 1);
    }
    venv_mgr_set_reason(error, text_of(&d->result, "error", raw));
    if (error[0] && strcmp(error, d->error) != 0)
        step(c, "result", level, no_time, venv_value_null(), "its node says: %s", error);
}

static const char *deed_state_text(venv_manager *m, const deed *d, char text[TEXT_MAX])
{
    venv_value view = venv_mgr_deed_view(m, d, false);
    text_of(&view, "state", text);
    venv_value_unref(&view);
    return text;
}

static void tell_deed(chain *c, const deed *d, int level)
{
    char id[VENV_ID_TEXT_SIZE], state[TEXT_MAX];
    if (!d)
        return;
    step(c, "action", level, d->made, venv_mgr_deed_view(c->m, d, false), "action %.8s: %s %.100s by %s: %s%s%s", venv_id_format(d->id, id),
         d->kind, d->subject, d->by, deed_state_text(c->m, d, state), d->error[0] ? ": " : "", d->error);
    tell_result(c, d, level + 1);
}

/* From what it comes, its parents, itself. The row of a firing says no more than its event. */
static void tell_deed_chain(chain *c, const deed *d)
{
    const deed *line[PARENTS_MAX];
    size_t count = 0;
    int level = 0;
    for (const deed *at = d; at && count < PARENTS_MAX; at = venv_mgr_deed_find(c->m, at->parent))
        line[count++] = at;
    if (count > 0)
        tell_origin(c, d->origin, 0);
    while (count-- > 0)
        if (strcmp(line[count]->kind, "firing") != 0 || line[count] == d)
            tell_deed(c, line[count], level++);
}

/* --- instances -------------------------------------------------------------------------------------------- */

/* Of a node or an environment: nothing starts there while it is open. */
static void tell_breaker(chain *c, bool of_node, const char *name)
{
    const breaker *b = venv_mgr_breaker_of(c->m, of_node, name);
    if (!b || b->state == BREAKER_CLOSED)
        return;
    step(c, "breaker", 0, b->since, venv_value_null(), "its circuit breaker is %s after %u failures: %s", venv_mgr_breaker_state(b), b->failures,
         b->reason);
    if (b->retry_wall.ns != 0)
        step(c, "breaker", 1, b->retry_wall, venv_value_null(), "it is tried again then; `venvctl breaker reset %s` closes it", b->name);
}

static void tell_placement(chain *c, const instance *i)
{
    const venv_value *event = event_of(c, i->placed);
    char text[TEXT_MAX];
    if (i->placed == 0)
        return;
    if (!event) {
        tell_gone(c, 0, i->placed, "why it is on its node");
        return;
    }
    const venv_value *detail = venv_value_get(event, "detail"), *nodes = venv_value_get(detail, "nodes");
    const char *chosen = text_of(detail, "chosen", text);
    if (chosen[0])
        step(c, "placement", 0, wall_of(event, "time"), venv_value_ref(detail), "placed on %.80s", chosen);
    else
        step(c, "placement", 0, wall_of(event, "time"), venv_value_ref(detail), "%s", text_of(event, "text", text));
    for (size_t n = 0; n < venv_value_count(nodes); n++)
        step(c, "verdict", 1, no_time, venv_value_null(), "%s", text_of(venv_value_at(nodes, n), "text", text));
    if (venv_value_get(detail, "left_out"))
        step(c, "verdict", 1, no_time, venv_value_null(), "… and %lld other nodes", (long long)venv_value_get_int(detail, "left_out", 0));
}

static void tell_instance(chain *c, const instance *i)
{
    const deed *start = venv_mgr_deed_find(c->m, i->start), *stop = venv_mgr_deed_find(c->m, i->stop);
    char text[TEXT_MAX];
    if (start)
        tell_deed_chain(c, start);
    else if (i->adopted)
        step(c, "origin", 0, i->made, venv_value_null(), "%s was found on node %s and taken in: who started it is not known", i->name,
             i->node ? i->node : "?");
    else
        step(c, "origin", 0, i->made, venv_value_null(), "%s was asked for by %s; the action is no longer kept", i->name, i->by);
    tell_placement(c, i);
    if (i->state == VENV_INSTANCE_PENDING || i->state == VENV_INSTANCE_FAILED)
        tell_breaker(c, false, i->environment);
    if (stop)
        tell_deed_chain(c, stop);
    const venv_value *event = i->changed != i->placed ? event_of(c, i->changed) : NULL;
    if (event)
        step(c, "event", 0, wall_of(event, "time"), venv_value_null(), "%s", text_of(event, "text", text));
    else if (i->changed != i->placed && i->changed > 0)
        tell_gone(c, 0, i->changed, "how it came into its state");
    conclude(c, "%s is %s%s%s%s%s; asked for by %s", i->name, venv_instance_state_name(i->state), i->node ? " on " : "",
             i->node ? i->node : "", i->reason[0] ? ": " : "", i->reason, i->by);
}

/* --- actions, asked for by id ------------------------------------------------------------------------------ */

static void tell_action(chain *c, const deed *d)
{
    char state[TEXT_MAX];
    size_t cursor = 0, told = 0;
    void *item;
    const instance *i = venv_mgr_why_instance_of(c->m, d);
    tell_deed_chain(c, d);
    while (d->is_parent && venv_table_next(c->m->deeds, &cursor, NULL, &item))
        if (venv_id_equal(((deed *)item)->parent, d->id) && told++ < 16)
            tell_deed(c, item, 1);
    if (i && venv_id_equal(i->start, d->id))
        tell_placement(c, i);
    if (i && event_of(c, i->changed))
        step(c, "event", 0, i->since_wall, venv_value_null(), "%s", text_of(event_of(c, i->changed), "text", state));
    conclude(c, "%s %.100s by %s is %s%s%s", d->kind, d->subject, d->by, deed_state_text(c->m, d, state), d->error[0] ? ": " : "", d->error);
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

static void tell_node_state(chain *c, const agent *a, const venv_member *member)
{
    venv_wall since = { c->m->now.wall.ns - (member ? c->m->now.mono.ns - member->since.ns : 0) };
    const char *state = venv_member_state_name(member ? member->state : VENV_MEMBER_LOST);
    step(c, "state", 0, member ? since : no_time, venv_value_null(), "agent %s is %s", a->name, state);
    if (member)
        step(c, "state", 1, member->heard_wall, venv_value_null(), "heard last");
    if (!a->hypervisor)
        step(c, "state", 0, no_time, venv_value_null(), "it has told of no hypervisor");
    else if (!a->machines_known)
        step(c, "state", 0, no_time, venv_value_null(), "its hypervisor has not been heard of since the agent or the manager began");
    else
        step(c, "state", 0, no_time, venv_value_null(), "its hypervisor %s%s", a->reachable ? "answers" : "cannot be asked: ",
             a->reachable || !a->unreachable_reason ? "" : a->unreachable_reason);
}

static size_t tell_verdicts(chain *c, const agent *a, size_t *ret_total)
{
    size_t cursor = 0, fit = 0;
    void *item;
    char text[TEXT_MAX];
    *ret_total = 0;
    while (venv_table_next(c->m->environments, &cursor, NULL, &item)) {
        bool fits = false;
        venv_value verdict = venv_mgr_place_verdict(c->m, item, a->name, &fits);
        ++*ret_total;
        fit += fits;
        step(c, "verdict", 1, no_time, verdict, "%s: %s", venv_environment_name(item), text_of(&verdict, "text", text));
    }
    return fit;
}

static void tell_node(chain *c, const agent *a)
{
    const venv_member *member = venv_groups_member(c->m->groups, a->name);
    size_t cursor = 0, ended = 0, here = 0, total = 0;
    void *item;
    tell_node_state(c, a, member);
    tell_breaker(c, true, a->name);
    if (a->maintenance) {
        char text[TEXT_MAX];
        step(c, "maintenance", 0, a->maintenance->since, venv_mgr_maintenance_view(c->m, a), "%s%s%.200s", venv_mgr_maintenance_text(a, text, sizeof text),
             a->maintenance->trouble[0] ? "; not empty yet: " : "", a->maintenance->trouble);
    }
    step(c, "placement", 0, no_time, venv_value_null(), "what could start on it now:");
    size_t fit = tell_verdicts(c, a, &total);
    while (venv_table_next(c->m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (!i->node || strcmp(i->node, a->name) != 0)
            continue;
        here += !venv_instance_is_final(i->state);
        if (i->state == VENV_INSTANCE_FAILED && ended++ < ENDED_MAX)
            step(c, "instance", 0, i->since_wall, venv_value_null(), "%s failed here: %s", i->name, i->reason);
    }
    conclude(c, "node %s is %s, has %zu instances, and could start %zu of %zu environments", a->name,
             venv_member_state_name(member ? member->state : VENV_MEMBER_LOST), here, fit, total);
}

/* --- triggers ---------------------------------------------------------------------------------------------- */

static void tell_unit(chain *c, const venv_value *unit)
{
    char name[TEXT_MAX], state[TEXT_MAX], would[TEXT_MAX], error[TEXT_MAX];
    text_of(unit, "unit", name);
    text_of(unit, "error", error);
    step(c, "unit", 0, wall_of(unit, "since"), venv_value_null(), "%.100s is %s, has fired %lld time%s", name[0] ? name : "it",
         text_of(unit, "state", state), (long long)venv_value_get_int(unit, "fired", 0), venv_value_get_int(unit, "fired", 0) == 1 ? "" : "s");
    tell_decision(c, unit, 1);
    if (venv_value_get(unit, "cools_until"))
        step(c, "cooldown", 1, wall_of(unit, "cools_until"), venv_value_null(), "it cools until then");
    if (error[0])
        step(c, "error", 1, no_time, venv_value_null(), "%.300s", error);
    step(c, "would", 1, no_time, venv_value_null(), "looked at now it would: %s", text_of(unit, "would", would));
    if (is(unit, "would", "fire"))
        tell_orders(c, venv_value_get(unit, "orders"), 2);
}

/* The first unit with something to say decides the sentence. */
static void conclude_trigger(chain *c, const char *name, const venv_value *explained)
{
    const venv_value *trigger_view = venv_value_get(explained, "trigger"), *unit = venv_value_at(venv_value_get(explained, "units"), 0);
    const venv_value *when = venv_value_get(unit, "when");
    char a[TEXT_MAX], b[TEXT_MAX];
    if (!venv_value_get_bool(trigger_view, "enabled", true)) {
        conclude(c, "%s does nothing: it is disabled by %.80s%s%.200s", name, text_of(trigger_view, "disabled_by", a),
                 venv_value_get(trigger_view, "disabled_why") ? ": " : "", text_of(trigger_view, "disabled_why", b));
    } else if (!unit) {
        conclude(c, "%s has nothing to look at: %.300s", name, text_of(explained, "for_error", a));
    } else if (venv_value_get(unit, "error")) {
        conclude(c, "%s does not fire: %.300s", name, text_of(unit, "error", a));
    } else if (is(unit, "state", "active")) {
        conclude(c, "%s has fired and waits for %s", name, venv_value_get(unit, "until") ? "its `until`" : "its `when` to be no longer true");
    } else if (is(unit, "state", "cooling")) {
        conclude(c, "%s has fired and cools", name);
    } else if (is(unit, "state", "holding")) {
        conclude(c, "%s is about to fire: `when` is true, and it holds", name);
    } else if (is(when, "state", "true")) {
        conclude(c, "%s: `when` is true, and it fires when it is looked at", name);
    } else {
        conclude(c, "%s does not fire: `when` is %.20s%s%.300s", name, text_of(when, "state", a), venv_value_get(when, "error") ? ": " : "",
                 text_of(when, "error", b));
    }
}

static void tell_trigger(chain *c, const char *name)
{
    venv_trigger_world world = venv_mgr_world_of(c->m);
    venv_value explained = venv_value_null();
    const last_firing *last = venv_table_find(c->m->firings, name, strlen(name));
    if (venv_triggers_explain(c->m->triggers, name, c->job->agent, c->m->now, &world, &explained, NULL) != VENV_OK) {
        venv_mgr_no_memory(c->m);
        return;
    }
    const venv_value *units = venv_value_get(&explained, "units");
    if (venv_value_get(&explained, "limit"))
        step(c, "limit", 0, no_time, venv_value_null(), "limit: %lld of %lld actions are left", (long long)venv_value_get_int(&explained, "limit_left", 0),
             (long long)venv_value_get_int(&explained, "limit", 0));
    for (size_t i = 0; i < venv_value_count(units); i++)
        tell_unit(c, venv_value_at(units, i));
    if (venv_value_get_bool(&explained, "cut", false))
        step(c, "unit", 0, no_time, venv_value_null(), "… and more units; name an agent to see one of them");
    if (last) {
        step(c, "last", 0, last->time, venv_value_null(), "it fired last:");
        tell_origin(c, last->revision, 1);
        size_t cursor = 0;
        void *item;
        while (venv_table_next(c->m->deeds, &cursor, NULL, &item))
            if (venv_id_equal(((deed *)item)->parent, last->id))
                tell_deed(c, item, 1);
    }
    conclude_trigger(c, name, &explained);
    venv_value_unref(&explained);
}

/* --- environments ------------------------------------------------------------------------------------------- */

static void tell_waiting(chain *c, const venv_environment *environment)
{
    size_t cursor = 0, told = 0;
    void *item;
    while (venv_table_next(c->m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        bool waits = i->state == VENV_INSTANCE_PENDING || i->state == VENV_INSTANCE_DRAINING;
        if (waits && strcmp(i->environment, venv_environment_name(environment)) == 0 && told++ < ENDED_MAX)
            step(c, "instance", 0, i->since_wall, venv_value_null(), "%s is %s: %s", i->name, venv_instance_state_name(i->state), i->reason);
    }
}

/* How many there are, why no others, and what keeps one from being started. */
static void tell_environment(chain *c, const venv_environment *environment)
{
    char text[TEXT_MAX], last[TEXT_MAX];
    const char *name = venv_environment_name(environment);
    venv_value scale = venv_mgr_scale_view(c->m, environment);
    bool scaled = venv_value_kind(&scale) == VENV_MAP;
    tell_breaker(c, false, name);
    if (scaled && text_of(&scale, "last", last)[0])
        step(c, "scale", 0, wall_of(&scale, "last_time"), venv_value_null(), "scale did last: %s", last);
    if (scaled)
        step(c, "scale", 0, no_time, venv_value_ref(&scale), "scale: %s", text_of(&scale, "why", text));
    tell_waiting(c, environment);
    if (scaled)
        conclude(c, "environment %s: %s", name, text_of(&scale, "why", text));
    else
        conclude(c, "environment %s has no `scale`: instances come and go by people and triggers", name);
    venv_value_unref(&scale);
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

venv_value venv_mgr_why_chain(venv_manager *m, const why_job *job)
{
    chain c = { .m = m, .job = job };
    venv_list_init(&c.steps);
    if (strcmp(job->what, "instance") == 0)
        tell_instance(&c, venv_mgr_instance_named(m, job->name));
    else if (strcmp(job->what, "node") == 0)
        tell_node(&c, venv_mgr_agent_find(m, job->name));
    else if (strcmp(job->what, "trigger") == 0)
        tell_trigger(&c, job->name);
    else if (strcmp(job->what, "environment") == 0)
        tell_environment(&c, venv_mgr_environment_find(m, job->name));
    else
        tell_action(&c, venv_mgr_deed_by_text(m, (venv_str){ job->name, strlen(job->name) }));
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "what", job->what);
    venv_map_put_text(&map, "name", job->name, strlen(job->name));
    venv_map_put_text(&map, "answer", c.answer, strlen(c.answer));
    venv_map_put(&map, "steps", venv_mgr_take_list(m, &c.steps));
    return venv_mgr_take_map(m, &map);
}
