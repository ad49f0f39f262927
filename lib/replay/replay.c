/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going through the history: between two samples the triggers are stepped whenever they ask for it, and samples of one
 * moment are one batch, as in the manager.
 */
#include "replay/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 8 /* evaluations that follow from each other in one moment, as in the manager */
#define MONO_BEGIN (INT64_C(1000000) * VENV_NS_PER_S)

const char *venv_replay_model(void)
{
    return "The model: each start finds a node and works; an instance runs after the time that recorded ones of its environment took "
           "on average (or the time of --boot), until the triggers stop it; the queues are as they were recorded, whatever more or fewer "
           "machines would have done to them; instances that people started are as they were; each trigger begins idle, "
           "and a proposal is not applied. Limits hold, those of a share of a group with starts spread over the nodes that ran instances. "
           "What was recorded of that time holds, too: triggers that were disabled, times in which the manager began nothing new (a full disk), "
           "and circuit breakers, behind which starts wait. Breakers that the model's own starts would have opened are not part of it.";
}

/* --- making ------------------------------------------------------------------------------------------------- */

/* Environments that the triggers start or stop: in those the model takes the place of what triggers did. */
static void note_managed(venv_replay *r, const venv_value *orders)
{
    char name[VENV_NAME_MAX + 1];
    for (size_t i = 0; i < venv_value_count(orders); i++) {
        const venv_value *verb, *arguments;
        if (!venv_value_entry(venv_value_at(orders, i), 0, &verb, &arguments) ||
            !venv_replay_text(venv_value_get_text(arguments, "environment"), name, sizeof name))
            continue;
        environment *e = venv_replay_environment(r, name);
        if (e)
            e->managed = true;
    }
}

venv_rc venv_replay_new(const venv_value *definitions, const venv_replay_options *options, venv_replay **ret_replay, venv_error *err)
{
    venv_replay *r = calloc(1, sizeof *r);
    if (!r)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    r->options = *options;
    r->first = true;
    r->now = (venv_now){ { MONO_BEGIN }, options->from };
    venv_trigger_reports_init(&r->reports);
    venv_rc rc = venv_triggers_new(definitions, &options->triggers, &r->triggers, err);
    if (rc == VENV_OK)
        rc = venv_table_new(1, AGENTS_MAX, &r->agents, err);
    if (rc == VENV_OK)
        rc = venv_table_new(1, MACHINES_MAX, &r->machines, err);
    if (rc == VENV_OK)
        rc = venv_table_new(1, ENVIRONMENTS_MAX, &r->environments, err);
    const venv_value *key, *definition;
    for (size_t i = 0; rc == VENV_OK && venv_value_entry(definitions, i, &key, &definition); i++) {
        note_managed(r, venv_value_get(definition, "do"));
        note_managed(r, venv_value_get(definition, "recover"));
        rc = r->rc;
    }
    if (rc != VENV_OK) {
        venv_replay_free(r);
        return rc;
    }
    *ret_replay = r;
    return VENV_OK;
}

void venv_replay_free(venv_replay *replay)
{
    if (!replay)
        return;
    venv_replay_past_free(replay);
    venv_replay_machines_free(replay);
    venv_value_unref(&replay->breakers);
    venv_trigger_reports_fini(&replay->reports);
    venv_triggers_free(replay->triggers);
    free(replay);
}

/* --- what fires ----------------------------------------------------------------------------------------------- */

static void tell(venv_replay *r, const venv_trigger_report *report)
{
    venv_map_builder map;
    venv_list_builder orders;
    venv_value value = venv_value_null(), list = venv_value_null();
    venv_list_init(&orders);
    for (size_t i = 0; i < report->order_count; i++) {
        venv_map_builder order;
        venv_value one = venv_value_null();
        venv_map_init(&order);
        venv_map_put_z(&order, "verb", venv_order_verb_name(report->orders[i].verb));
        venv_map_put(&order, "arguments", venv_value_ref(&report->orders[i].arguments));
        if (venv_map_take(&order, &one, NULL) != VENV_OK)
            r->rc = VENV_ENOMEM;
        venv_list_add(&orders, one);
    }
    if (venv_list_take(&orders, &list, NULL) != VENV_OK)
        r->rc = VENV_ENOMEM;
    venv_map_init(&map);
    venv_map_put(&map, "time", venv_value_from_wall(r->now.wall));
    venv_map_put_z(&map, "kind", venv_trigger_report_name(report->kind));
    venv_map_put_z(&map, "trigger", report->trigger);
    venv_map_put_z(&map, "unit", report->unit);
    venv_map_put_text(&map, "text", report->text, strcspn(report->text, "\n"));
    if (r->first)
        venv_map_put(&map, "start", venv_value_bool(true));
    if (venv_value_kind(&report->evidence) != VENV_NULL)
        venv_map_put(&map, "why", venv_value_ref(&report->evidence));
    venv_map_put(&map, "orders", list);
    if (venv_map_take(&map, &value, NULL) != VENV_OK)
        r->rc = VENV_ENOMEM;
    else if (r->options.report)
        r->options.report(r->options.user, &value);
    venv_value_unref(&value);
}

static void carry_out(venv_replay *r, const venv_trigger_report *report)
{
    bool acts = report->kind == VENV_TRIGGER_FIRED || report->kind == VENV_TRIGGER_RECOVERED;
    for (size_t i = 0; acts && i < report->order_count && r->rc == VENV_OK; i++) {
        const venv_order *order = &report->orders[i];
        if (order->verb == VENV_ORDER_START)
            venv_replay_start(r, &order->arguments);
        else if (order->verb == VENV_ORDER_STOP || order->verb == VENV_ORDER_DESTROY)
            venv_replay_stop(r, &order->arguments);
    }
}

/* One moment: evaluate, and again what follows from that. */
static void step(venv_replay *r)
{
    venv_trigger_world world = venv_replay_world(r);
    for (int round = 0; round < ROUNDS_MAX && r->rc == VENV_OK && !r->held; round++) {
        if (!venv_triggers_pending(r->triggers) && venv_triggers_deadline(r->triggers).ns > r->now.mono.ns)
            break;
        venv_trigger_reports_clear(&r->reports);
        if (venv_triggers_step(r->triggers, r->now, &world, &r->reports, NULL) != VENV_OK) {
            r->rc = VENV_ENOMEM;
            break;
        }
        for (size_t i = 0; i < r->reports.count && r->rc == VENV_OK; i++) {
            tell(r, &r->reports.items[i]);
            carry_out(r, &r->reports.items[i]);
        }
        venv_trigger_reports_clear(&r->reports);
    }
    r->first = false;
}

/* --- time ------------------------------------------------------------------------------------------------------ */

static void set_time(venv_replay *r, int64_t wall_ns)
{
    if (wall_ns <= r->now.wall.ns)
        return;
    r->now.mono.ns += wall_ns - r->now.wall.ns;
    r->now.wall.ns = wall_ns;
}

/* The moment at which a step is wanted though nothing is recorded. */
static int64_t next_moment(const venv_replay *r)
{
    venv_instant deadline = venv_triggers_deadline(r->triggers);
    int64_t machines = venv_replay_machines_next(r), triggers = INT64_MAX;
    if (r->held)
        triggers = INT64_MAX; /* what is pending stays so */
    else if (deadline.ns <= r->now.mono.ns)
        triggers = r->now.wall.ns + VENV_NS_PER_S / 2; /* it was stepped now and wants to be again: as the manager's sweep */
    else if (deadline.ns != VENV_INSTANT_NEVER.ns)
        triggers = r->now.wall.ns + (deadline.ns - r->now.mono.ns);
    return machines < triggers ? machines : triggers;
}

/* Everything before `wall_ns`: the batch of the moment that is over first. */
static void advance(venv_replay *r, int64_t wall_ns)
{
    if (wall_ns <= r->now.wall.ns && r->started)
        return;
    r->started = true;
    step(r);
    for (int64_t at = next_moment(r); at < wall_ns && r->rc == VENV_OK; at = next_moment(r)) {
        set_time(r, at);
        venv_replay_machines_advance(r);
        step(r);
    }
    set_time(r, wall_ns);
    venv_replay_machines_advance(r);
}

static venv_rc failure(venv_replay *r, venv_error *err)
{
    if (r->rc == VENV_OK)
        return VENV_OK;
    return r->rc == VENV_ENOMEM ? venv_error_set(err, VENV_ENOMEM, "out of memory")
                                : venv_error_set(err, r->rc, "there are more agents, properties or instances than a replay can hold");
}

venv_rc venv_replay_sample(venv_replay *replay, const venv_history_sample *sample, venv_error *err)
{
    if (!sample->before)
        advance(replay, sample->time.ns);
    replay->samples += !sample->before;
    switch (sample->kind) {
    case VENV_HISTORY_PROPERTY:
        venv_replay_take_property(replay, sample);
        break;
    case VENV_HISTORY_AGENT:
        venv_replay_take_agent(replay, sample);
        break;
    case VENV_HISTORY_INSTANCE:
        venv_replay_take_instance(replay, sample);
        break;
    case VENV_HISTORY_MANAGER:
        if (!sample->before)
            venv_replay_forget_all(replay);
        break;
    case VENV_HISTORY_DECLARATION:
        venv_replay_take_declaration(replay, sample);
        break;
    case VENV_HISTORY_POLICY:
        venv_replay_take_policy(replay, sample);
        break;
    default: /* of a later version */
        break;
    }
    return failure(replay, err);
}

venv_rc venv_replay_finish(venv_replay *replay, venv_wall to, venv_error *err)
{
    advance(replay, to.ns > replay->now.wall.ns ? to.ns : replay->now.wall.ns + 1);
    step(replay);
    venv_replay_machines_finish(replay);
    return failure(replay, err);
}

/* --- sums ------------------------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(environment *const *)a)->name, (*(environment *const *)b)->name);
}

static venv_rc environment_sums(const venv_replay *r, venv_value *ret_list, venv_error *err)
{
    size_t count = 0, cursor = 0;
    void *item;
    venv_list_builder list;
    const environment **sorted = calloc(venv_table_count(r->environments) + 1, sizeof *sorted);
    if (!sorted)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    while (venv_table_next(r->environments, &cursor, NULL, &item))
        sorted[count++] = item;
    qsort(sorted, count, sizeof *sorted, compare_names);
    venv_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        const environment *e = sorted[i];
        venv_map_builder map;
        venv_value value = venv_value_null();
        venv_map_init(&map);
        venv_map_put_z(&map, "name", e->name);
        venv_map_put(&map, "would_start", venv_value_int((int64_t)e->would_start));
        venv_map_put(&map, "would_hours", venv_value_double(e->would_s / 3600));
        venv_map_put(&map, "did_start", venv_value_int((int64_t)e->did_start));
        venv_map_put(&map, "did_hours", venv_value_double(e->did_s / 3600));
        venv_map_put(&map, "did_hours_triggers", venv_value_double(e->did_triggers_s / 3600));
        if (venv_map_take(&map, &value, err) == VENV_OK)
            venv_list_add(&list, value);
    }
    free(sorted);
    return venv_list_take(&list, ret_list, err);
}

venv_rc venv_replay_sums(const venv_replay *replay, venv_value *ret_map, venv_error *err)
{
    venv_list_builder list;
    venv_value triggers = venv_value_null(), environments = venv_value_null();
    const char *name;
    venv_list_init(&list);
    for (size_t i = 0; (name = venv_triggers_name(replay->triggers, i)); i++) {
        venv_value described = venv_value_null(), value = venv_value_null();
        venv_map_builder map;
        venv_rc rc = venv_triggers_describe(replay->triggers, name, replay->now, &described, err);
        if (rc != VENV_OK) {
            venv_list_fini(&list);
            return rc;
        }
        venv_map_init(&map);
        venv_map_put_z(&map, "name", name);
        venv_map_put(&map, "fired", venv_value_int(venv_value_get_int(&described, "fired", 0)));
        venv_value_unref(&described);
        if (venv_map_take(&map, &value, err) == VENV_OK)
            venv_list_add(&list, value);
    }
    venv_rc rc = venv_list_take(&list, &triggers, err);
    if (rc == VENV_OK)
        rc = environment_sums(replay, &environments, err);
    if (rc != VENV_OK) {
        venv_value_unref(&triggers);
        return rc;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "from", venv_value_from_wall(replay->options.from));
    venv_map_put(&map, "to", venv_value_from_wall(replay->now.wall));
    venv_map_put(&map, "samples", venv_value_int((int64_t)replay->samples));
    venv_map_put(&map, "triggers", triggers);
    venv_map_put(&map, "environments", environments);
    return venv_map_take(&map, ret_map, err);
}
