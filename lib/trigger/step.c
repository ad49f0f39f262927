/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step: find the units that are due, evaluate each, move it through the table of states, and report.
 *
 * A unit changes its state only after everything that can fail has been done: an order whose argument
 * is unknown, a limit that is used up, or a lack of memory leaves it where it was, to be tried again.
 */
#include "trigger/internal.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct stepping {
    venv_triggers *set;
    venv_now now;
    const venv_trigger_world *world;
    venv_trigger_reports *reports;
    venv_error *err;
    bool troubled; /* something was found wrong with the unit that is looked at */
} stepping;

static venv_trigger_report *report_add(stepping *s, const trigger *t, const unit *u, venv_trigger_report_kind kind)
{
    venv_trigger_reports *r = s->reports;
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 8;
        venv_trigger_report *grown = realloc(r->items, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        r->items = grown;
        r->capacity = capacity;
    }
    venv_trigger_report *report = &r->items[r->count++];
    memset(report, 0, sizeof *report);
    report->kind = kind;
    report->trigger = t->name;
    report->unit = u ? u->key : "";
    return report;
}

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%.*s", (int)size - 1, from);
}

/* Something is wrong since now, or is something else than before: told once. */
static venv_rc set_problem(stepping *s, trigger *t, unit *u, problem kind, const char *text)
{
    static const venv_trigger_report_kind kinds[] = {
        [PROBLEM_MISSING] = VENV_TRIGGER_MISSING,
        [PROBLEM_FAILED] = VENV_TRIGGER_FAILED,
        [PROBLEM_LIMITED] = VENV_TRIGGER_LIMITED,
    };
    problem *was = u ? &u->problem : &t->problem;
    s->troubled = s->troubled || kind != PROBLEM_NONE;
    if (kind != PROBLEM_NONE && *was != kind) {
        venv_trigger_report *report = report_add(s, t, u, kinds[kind]);
        if (!report)
            return venv_error_set(s->err, VENV_ENOMEM, "out of memory");
        copy_text(report->text, sizeof report->text, text);
    }
    *was = kind;
    copy_text(u ? u->problem_text : t->problem_text, PROBLEM_TEXT_MAX, text);
    return VENV_OK;
}

/* One condition. A failure or a lack is told, and counts as unknown. Only VENV_ENOMEM is returned. */
static venv_rc eval_truth(stepping *s, const venv_expr *expr, const char *what, const venv_expr_input *input,
                          truth *ret_truth, problem *ret_problem, venv_error *ret_why)
{
    venv_expr_result result;
    venv_error why = { 0 };
    venv_rc rc = venv_expr_eval(expr, s->set->memory, input, &result, &why);
    if (rc == VENV_ENOMEM)
        return venv_error_set(s->err, VENV_ENOMEM, "out of memory");
    *ret_truth = TRUTH_UNKNOWN;
    if (rc != VENV_OK) {
        *ret_problem = PROBLEM_FAILED;
        venv_error_prefix(&why, "%s", what);
        *ret_why = why;
    } else if (result.outcome == VENV_EXPR_UNKNOWN) {
        *ret_truth = VENV_SEEDED(ACT_ON_UNKNOWN) ? TRUTH_TRUE : TRUTH_UNKNOWN;
        *ret_problem = *ret_problem == PROBLEM_FAILED ? PROBLEM_FAILED : PROBLEM_MISSING;
        if (*ret_problem == PROBLEM_MISSING)
            venv_trigger_missing_error(s->set->memory, &result, what, ret_why);
    } else if (venv_value_kind(&result.value) != VENV_BOOL) {
        *ret_problem = PROBLEM_FAILED;
        venv_error_set(ret_why, VENV_EKIND, "%s gave a value of kind %s, expected true or false", what,
                       venv_kind_name(venv_value_kind(&result.value)));
    } else {
        *ret_truth = venv_value_peek_bool(&result.value) ? TRUTH_TRUE : TRUTH_FALSE;
    }
    return VENV_OK;
}


/* --- one unit ---------------------------------------------------------------------------------------- */

#define SOURCE_MAX 120 /* bytes of an expression in a report; the whole is in the definition */

/* An expression for a report: cut at a whole character, and then it says so. */
static const char *shown(const venv_expr *expr, char text[SOURCE_MAX + sizeof "…"])
{
    const char *source = venv_expr_source(expr);
    size_t size = strlen(source);
    bool cut = size > SOURCE_MAX;
    size = cut ? venv_utf8_valid_prefix(source, SOURCE_MAX) : size;
    memcpy(text, source, size);
    memcpy(text + size, cut ? "…" : "", cut ? sizeof "…" : 1);
    return text;
}

static void describe_fired(const trigger *t, venv_now now, bool cut, char *text, size_t size)
{
    char source[SOURCE_MAX + sizeof "…"];
    char time[96] = "";
    if (t->has_at)
        venv_trigger_at_describe(t, now, time, sizeof time);
    bool has_when = venv_value_get(&t->definition, "when");
    snprintf(text, size, "%s%s%s%s%s", time, time[0] && has_when ? ", and " : "", has_when ? shown(t->when, source) : "",
             has_when ? " is true" : "", cut ? "; less than asked for, because of `limit`" : "");
}

/* It would do something, and may not now: told, and tried again. */
static venv_rc unit_limited(stepping *s, trigger *t, unit *u, const allowance *refused, const char *would)
{
    char text[PROBLEM_TEXT_MAX];
    u->limited_until = venv_trigger_limit_look(refused, s->now);
    snprintf(text, sizeof text, "it would %s, but %.*s", would, (int)sizeof text - 32, refused->text);
    return set_problem(s, t, u, PROBLEM_LIMITED, text);
}

static venv_rc unit_fire(stepping *s, trigger *t, unit *u, const venv_expr_input *input, venv_trigger_state next)
{
    static const venv_trigger_report_kind kinds[] = {
        [MODE_ACT] = VENV_TRIGGER_FIRED, [MODE_OBSERVE] = VENV_TRIGGER_OBSERVED, [MODE_PROPOSE] = VENV_TRIGGER_PROPOSED,
    };
    venv_order *orders = NULL;
    size_t count = 0;
    allowance allowed = { .free_at = VENV_INSTANT_NEVER };
    venv_error why = { 0 };
    venv_rc rc = venv_trigger_plan_orders(&t->act, s->set->memory, input, &orders, &count, &why);
    if (rc == VENV_ENOMEM)
        return venv_error_set(s->err, rc, "out of memory");
    if (rc != VENV_OK)
        return set_problem(s, t, u, rc == VENV_EUNKNOWN ? PROBLEM_MISSING : PROBLEM_FAILED, why.text);
    size_t planned = count;
    if (t->mode != MODE_PROPOSE) /* what is proposed is counted when it is applied */
        rc = venv_trigger_limit_apply(t, s->now, s->world, false, orders, &count, &allowed, s->err);
    venv_trigger_report *report = NULL;
    if (rc == VENV_OK && allowed.refused) {
        venv_trigger_orders_free(orders, planned);
        return unit_limited(s, t, u, &allowed, "fire");
    }
    if (rc == VENV_OK && t->mode != MODE_PROPOSE)
        rc = venv_trigger_limit_spend(t, &allowed, orders, count, s->now, s->world, s->err);
    if (rc == VENV_OK) {
        report = report_add(s, t, u, kinds[t->mode]);
        if (!report)
            rc = venv_error_set(s->err, VENV_ENOMEM, "out of memory");
    }
    if (rc != VENV_OK) {
        venv_trigger_orders_free(orders, count);
        return rc;
    }
    report->orders = orders;
    report->order_count = count;
    report->expires = t->expires;
    describe_fired(t, s->now, allowed.cut, report->text, sizeof report->text);
    rc = venv_trigger_explain_unit(s->set, t, u, s->now, s->world, false, &report->evidence, s->err);
    if (rc != VENV_OK)
        return rc;
    u->ever_fired = true;
    u->fired_at = s->now.mono;
    u->fired_wall = s->now.wall;
    u->fired++;
    u->changed = true;
    u->true_count = 0;
    t->fired++;
    t->has_fired = true;
    t->last_fired = s->now.wall;
    t->changed = true;
    venv_trigger_unit_enter(u, VENV_SEEDED(FIRES_AGAIN) ? u->state : next, s->now);
    return VENV_OK;
}

/* The orders of the report that was made last become a proposal. */
static venv_rc propose_recovery(stepping *s, const trigger *t, const unit *u)
{
    venv_trigger_report *proposed = report_add(s, t, u, VENV_TRIGGER_PROPOSED);
    if (!proposed)
        return venv_error_set(s->err, VENV_ENOMEM, "out of memory");
    venv_trigger_report *recovered = proposed - 1;
    proposed->orders = recovered->orders;
    proposed->order_count = recovered->order_count;
    proposed->expires = t->expires;
    proposed->recovers = true;
    proposed->evidence = venv_value_ref(&recovered->evidence);
    memcpy(proposed->text, recovered->text, sizeof proposed->text);
    recovered->orders = NULL;
    recovered->order_count = 0;
    return VENV_OK;
}

static venv_rc unit_recover(stepping *s, trigger *t, unit *u, const venv_expr_input *input, venv_trigger_state next)
{
    venv_order *orders = NULL;
    size_t count = 0;
    venv_error why = { 0 };
    allowance allowed = { .free_at = VENV_INSTANT_NEVER };
    venv_rc rc = VENV_OK;
    if (t->mode != MODE_OBSERVE && t->recover.count > 0) {
        rc = venv_trigger_plan_orders(&t->recover, s->set->memory, input, &orders, &count, &why);
        if (rc == VENV_ENOMEM)
            return venv_error_set(s->err, rc, "out of memory");
        if (rc != VENV_OK)
            return set_problem(s, t, u, rc == VENV_EUNKNOWN ? PROBLEM_MISSING : PROBLEM_FAILED, why.text);
    }
    if (t->mode == MODE_ACT && count > 0) {
        size_t planned = count;
        rc = venv_trigger_limit_apply(t, s->now, s->world, false, orders, &count, &allowed, s->err);
        if (rc == VENV_OK && allowed.refused) {
            venv_trigger_orders_free(orders, planned);
            return unit_limited(s, t, u, &allowed, "recover");
        }
        if (rc == VENV_OK)
            rc = venv_trigger_limit_spend(t, &allowed, orders, count, s->now, s->world, s->err);
        t->changed = true;
    }
    venv_trigger_report *report = rc == VENV_OK ? report_add(s, t, u, VENV_TRIGGER_RECOVERED) : NULL;
    if (!report) {
        venv_trigger_orders_free(orders, count);
        return rc != VENV_OK ? rc : venv_error_set(s->err, VENV_ENOMEM, "out of memory");
    }
    report->orders = orders;
    report->order_count = count;
    char source[SOURCE_MAX + sizeof "…"];
    snprintf(report->text, sizeof report->text, "%s is %s", shown(t->until ? t->until : t->when, source),
             t->until ? "true" : "no longer true");
    rc = venv_trigger_explain_unit(s->set, t, u, s->now, s->world, false, &report->evidence, s->err);
    if (rc != VENV_OK)
        return rc;
    if (t->mode == MODE_PROPOSE && count > 0)
        rc = propose_recovery(s, t, u);
    if (rc != VENV_OK)
        return rc;
    venv_trigger_unit_enter(u, next, s->now);
    return VENV_OK;
}

/*
 * One that looks at who joins, leaves or is cut off, and at nothing else: each of these is a moment, over when it was dealt
 * with. If it stayed fired it would see the first one of each agent, and none after it.
 */
static bool is_moment(const trigger *t)
{
    return t->contextual && t->on != 0 && !(t->on & ON_UPDATE) && !t->has_every && !t->until && t->recover.count == 0;
}

static venv_trigger_state after_a_moment(const trigger *t)
{
    return t->cooldown.ns > 0 ? VENV_TRIGGER_COOLING : VENV_TRIGGER_IDLE;
}

static venv_rc unit_move(stepping *s, trigger *t, unit *u, const venv_expr_input *input, const unit_input *in)
{
    venv_trigger_state next = u->state;
    unit_effect effect = EFFECT_NONE;
    venv_trigger_unit_next(u->state, in, &next, &effect);
    u->true_count = in->when == TRUTH_TRUE ? u->true_count + 1 : 0;
    switch (effect) {
    case EFFECT_FIRE:
        return unit_fire(s, t, u, input, is_moment(t) ? after_a_moment(t) : next);
    case EFFECT_RECOVER:
        return unit_recover(s, t, u, input, next);
    case EFFECT_HOLD:
    case EFFECT_REST:
    case EFFECT_NONE:
        break;
    }
    venv_trigger_unit_enter(u, next, s->now);
    return VENV_OK;
}

/* A unit of a trigger with `at`: it fires if its time is now, and is over at once. */
static venv_rc unit_eval_at(stepping *s, trigger *t, unit *u)
{
    venv_value slots[SLOT__COUNT + 1];
    asked a;
    venv_expr_input input = venv_trigger_words_input(s->now, s->world, t, u, slots, &a);
    truth when = TRUTH_UNKNOWN;
    problem trouble = PROBLEM_NONE;
    venv_error why = { 0 };
    bool cools = venv_trigger_unit_coolness(t, u, s->now) == COOL_RUNNING;
    venv_rc rc = VENV_OK;
    if (!cools)
        venv_trigger_unit_enter(u, VENV_TRIGGER_IDLE, s->now);
    if (t->pulse && u->pulsed.ns != t->came.ns) { /* not again, if what came after it failed */
        t->evaluations++;
        u->problem = PROBLEM_NONE; /* what is wrong is told at each of its times */
        rc = eval_truth(s, t->when, "when", &input, &when, &trouble, &why);
        if (rc == VENV_OK)
            rc = set_problem(s, t, u, trouble, why.text);
        if (rc == VENV_OK && when == TRUTH_TRUE && !cools)
            rc = unit_fire(s, t, u, &input, t->cooldown.ns > 0 ? VENV_TRIGGER_COOLING : VENV_TRIGGER_IDLE);
        if (rc == VENV_OK)
            u->pulsed = t->came;
    }
    if (rc == VENV_OK)
        u->due = false;
    return rc;
}

static venv_rc unit_eval(stepping *s, trigger *t, unit *u)
{
    venv_value slots[SLOT__COUNT + 1];
    asked a;
    venv_expr_input input = venv_trigger_words_input(s->now, s->world, t, u, slots, &a);
    unit_input in = { TRUTH_UNKNOWN, TRUTH_UNKNOWN, false, COOL_NONE };
    problem trouble = PROBLEM_NONE;
    venv_error why = { 0 };
    t->evaluations++;
    venv_rc rc = eval_truth(s, t->when, "when", &input, &in.when, &trouble, &why);
    if (rc == VENV_OK && t->until)
        rc = eval_truth(s, t->until, "until", &input, &in.until, &trouble, &why);
    if (rc != VENV_OK)
        return rc;
    if (!t->until || VENV_SEEDED(UNTIL_IGNORED))
        in.until = in.when == TRUTH_TRUE ? TRUTH_FALSE : in.when == TRUTH_FALSE ? TRUTH_TRUE : TRUTH_UNKNOWN;
    in.held = venv_trigger_unit_is_held(t, u, s->now);
    in.cool = venv_trigger_unit_coolness(t, u, s->now);
    u->when_true = in.when == TRUTH_TRUE;
    s->troubled = false;
    if (trouble != PROBLEM_NONE) /* else what is wrong with its orders or limits stays, and is told once for as long as it does */
        rc = set_problem(s, t, u, trouble, why.text);
    if (rc == VENV_OK)
        rc = unit_move(s, t, u, &input, &in);
    if (rc == VENV_OK && !s->troubled)
        rc = set_problem(s, t, u, PROBLEM_NONE, "");
    if (rc == VENV_OK)
        u->due = false;
    return rc;
}

/* --- which units are due ------------------------------------------------------------------------------ */

static venv_rc mark_element(stepping *s, trigger *t, const char *element, const venv_value *value, bool all)
{
    unit *u = NULL;
    if (!t->contextual) {
        venv_rc rc = venv_trigger_unit_get(t, element, value, "", s->now, &u, s->err);
        if (rc == VENV_OK) {
            u->seen = true;
            u->due = u->due || all;
        }
        return rc;
    }
    size_t cursor = 0;
    void *item;
    while (venv_table_next(t->contexts, &cursor, NULL, &item)) {
        const context *c = item;
        venv_rc rc = venv_trigger_unit_get(t, element, value, c->agent, s->now, &u, s->err);
        if (rc != VENV_OK)
            return rc;
        if (!venv_trigger_unit_set_context(u, c))
            return venv_error_set(s->err, VENV_ENOMEM, "out of memory");
        u->seen = u->due = true;
    }
    return VENV_OK;
}

bool venv_trigger_element_text(const venv_value *value, char *text, size_t size)
{
    if (venv_value_kind(value) == VENV_STRING) {
        venv_str s = venv_value_peek_text(value);
        if (s.size == 0 || s.size >= size || memchr(s.data, ' ', s.size) || memchr(s.data, '\0', s.size))
            return false;
        memcpy(text, s.data, s.size);
        text[s.size] = '\0';
        return true;
    }
    return venv_value_kind(value) == VENV_INT && venv_value_print(value, text, size) < size;
}

/* The list of `for`, kept beyond the next evaluation. Unknown or failed: no element is looked at, none is forgotten. */
static venv_rc eval_for(stepping *s, trigger *t, venv_value *ret_list, bool *ret_known)
{
    venv_value slots[SLOT__COUNT + 1];
    asked a;
    venv_expr_input input = venv_trigger_words_input(s->now, s->world, t, NULL, slots, &a);
    venv_expr_result result;
    venv_error why = { 0 };
    *ret_known = false;
    venv_rc rc = venv_expr_eval(t->for_list, s->set->memory, &input, &result, &why);
    if (rc == VENV_ENOMEM)
        return venv_error_set(s->err, rc, "out of memory");
    if (rc != VENV_OK)
        return set_problem(s, t, NULL, PROBLEM_FAILED, why.text);
    if (result.outcome == VENV_EXPR_UNKNOWN) {
        venv_trigger_missing_error(s->set->memory, &result, "for", &why);
        return set_problem(s, t, NULL, PROBLEM_MISSING, why.text);
    }
    char text[VENV_NAME_MAX + 1];
    for (size_t i = 0; i < venv_value_count(&result.value); i++)
        if (!venv_trigger_element_text(venv_value_at(&result.value, i), text, sizeof text))
            return set_problem(s, t, NULL, PROBLEM_FAILED,
                               "for: elements have to be whole numbers, or texts of 1 to 64 characters without blanks");
    if (venv_value_kind(&result.value) != VENV_LIST || venv_value_count(&result.value) > VENV_TRIGGER_UNITS_MAX)
        return set_problem(s, t, NULL, PROBLEM_FAILED, "for: expected a list of at most 4096 elements");
    *ret_known = true;
    rc = venv_value_dup(&result.value, ret_list, s->err);
    return rc == VENV_OK ? set_problem(s, t, NULL, PROBLEM_NONE, "") : rc;
}

static venv_rc mark_elements(stepping *s, trigger *t, bool all)
{
    venv_value list = venv_value_null();
    bool known = false;
    venv_rc rc = eval_for(s, t, &list, &known);
    if (rc != VENV_OK || !known)
        return rc;
    size_t cursor = 0;
    void *item;
    char text[VENV_NAME_MAX + 1];
    while (!t->contextual && venv_table_next(t->units, &cursor, NULL, &item))
        ((unit *)item)->seen = false;
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&list); i++) {
        const venv_value *value = venv_value_at(&list, i);
        if (venv_trigger_element_text(value, text, sizeof text))
            rc = mark_element(s, t, text, value, all);
    }
    venv_value_unref(&list);
    cursor = 0;
    while (rc == VENV_OK && !t->contextual && venv_table_next(t->units, &cursor, NULL, &item)) {
        unit *u = item;
        if (!u->seen) { /* the element is gone, and what it was waiting for with it */
            venv_trigger_unit_enter(u, VENV_TRIGGER_IDLE, s->now);
            u->due = false;
            u->problem = PROBLEM_NONE;
        }
    }
    return rc;
}

static bool take_tick(const venv_triggers *set, trigger *t, venv_now now)
{
    if (!t->has_every || t->every < 0 || t->next_tick.ns > now.mono.ns)
        return false;
    int64_t period;
    if (t->every == 0 || __builtin_mul_overflow(t->every, set->tick.ns, &period)) {
        t->next_tick = VENV_INSTANT_NEVER;
        return true;
    }
    int64_t missed = (now.mono.ns - t->next_tick.ns) / period;
    t->next_tick.ns += (missed + 1) * period; /* ticks that went by unseen are not made up for */
    return true;
}

static venv_rc trigger_mark(stepping *s, trigger *t, bool ticked, bool *ret_any)
{
    size_t cursor = 0;
    void *item;
    bool all = ticked || t->noted, timed = false;
    bool every_unit = t->contextual && (ticked || s->set->short_of_memory || (t->noted && venv_table_count(t->contexts) == 0));
    while (venv_table_next(t->units, &cursor, NULL, &item)) {
        unit *u = item;
        if (every_unit || venv_trigger_unit_deadline(t, u).ns <= s->now.mono.ns)
            u->due = true;
        timed = timed || u->due;
    }
    *ret_any = all || timed;
    if (!all)
        return VENV_OK;
    return t->for_list ? mark_elements(s, t, all) : mark_element(s, t, "", NULL, all);
}

static void forget_contexts(trigger *t)
{
    size_t cursor = 0;
    void *item;
    venv_str key;
    while (venv_table_next(t->contexts, &cursor, &key, &item)) {
        venv_table_remove(t->contexts, key.data, key.size);
        venv_trigger_context_free(item);
    }
}

/* Units that have nothing to remember and nothing to tell. */
static void sweep(trigger *t)
{
    size_t cursor = 0;
    void *item;
    venv_str key;
    while (venv_table_next(t->units, &cursor, &key, &item)) {
        unit *u = item;
        bool spare = t->contextual || (t->for_list && !u->seen);
        if (!spare || u->due || u->changed || u->saved || u->state != VENV_TRIGGER_IDLE || u->problem != PROBLEM_NONE)
            continue;
        venv_table_remove(t->units, key.data, key.size);
        venv_trigger_unit_free(u);
    }
}

/* Is one with `at` due? It is said if its time went by too long ago. */
static venv_rc take_time(stepping *s, trigger *t)
{
    char text[PROBLEM_TEXT_MAX], time[128];
    t->pulse = venv_trigger_at_take(t, s->now);
    if (!t->pulse)
        return VENV_OK;
    t->problem = t->for_list ? t->problem : PROBLEM_NONE;
    if (!venv_trigger_at_is_late(t, s->now))
        return VENV_OK;
    t->pulse = false;
    t->problem = PROBLEM_NONE;
    venv_trigger_at_describe(t, s->now, time, sizeof time);
    snprintf(text, sizeof text, "%s, which is more than `late` allows: it did not fire", time);
    return set_problem(s, t, NULL, PROBLEM_FAILED, text);
}

static venv_rc trigger_step(stepping *s, trigger *t)
{
    if (t->disabled) {
        t->noted = false;
        forget_contexts(t);
        return VENV_OK;
    }
    bool any = false, changed = t->changed;
    venv_wall planned_from = t->planned_from, next = t->next;
    venv_instant tick = t->next_tick;
    bool ticked = take_tick(s->set, t, s->now);
    venv_rc rc = take_time(s, t);
    if (rc == VENV_OK)
        rc = trigger_mark(s, t, ticked || t->pulse, &any);
    size_t cursor = 0;
    void *item;
    while (rc == VENV_OK && any && venv_table_next(t->units, &cursor, NULL, &item))
        if (((unit *)item)->due)
            rc = t->has_at ? unit_eval_at(s, t, item) : unit_eval(s, t, item);
    if (rc != VENV_OK) {
        if (rc != VENV_ELIMIT) /* it would come again at once, and have no room again */
            t->next_tick = tick;
        if (t->pulse && rc != VENV_ELIMIT) { /* it stays due */
            t->planned_from = planned_from;
            t->next = next;
            t->changed = changed;
        }
        return rc;
    }
    t->noted = false;
    forget_contexts(t);
    return VENV_OK;
}

static void set_deadline(venv_triggers *set, venv_now now)
{
    venv_instant first = VENV_INSTANT_NEVER;
    for (size_t i = 0; i < set->count; i++) {
        const trigger *t = set->items[i];
        if (t->disabled)
            continue;
        if (t->has_every && t->every >= 0 && t->next_tick.ns < first.ns)
            first = t->next_tick;
        if (t->has_at && venv_trigger_at_deadline(t, now).ns < first.ns)
            first = venv_trigger_at_deadline(t, now);
        size_t cursor = 0;
        void *item;
        while (venv_table_next(t->units, &cursor, NULL, &item)) {
            venv_instant at = venv_trigger_unit_deadline(t, item);
            /* What could not be done now is tried again, a tick later. */
            if (at.ns <= now.mono.ns)
                at.ns = now.mono.ns + set->tick.ns;
            if (at.ns < first.ns)
                first = at;
        }
    }
    set->deadline = first;
}

venv_rc venv_triggers_step(venv_triggers *set, venv_now now, const venv_trigger_world *world,
                           venv_trigger_reports *reports, venv_error *err)
{
    stepping s = { set, now, world, reports, err, false };
    if (!set->started) {
        for (size_t i = 0; i < set->count; i++) {
            set->items[i]->next_tick = now.mono;
            set->items[i]->noted = (set->items[i]->on & ON_UPDATE) != 0;
        }
        set->started = true;
    }
    for (size_t i = 0; i < set->count; i++) {
        sweep(set->items[i]);
        venv_rc rc = trigger_step(&s, set->items[i]);
        if (rc != VENV_OK && rc != VENV_ELIMIT) {
            set->pending = true;
            return rc;
        }
        if (rc == VENV_ELIMIT) { /* more units than there may be: its own fault, and nobody else's */
            set->items[i]->noted = false;
            forget_contexts(set->items[i]);
            rc = set_problem(&s, set->items[i], NULL, PROBLEM_FAILED, "it has more units than the 4096 that are allowed");
            if (rc != VENV_OK)
                return rc;
        }
    }
    set->pending = set->short_of_memory = false;
    set_deadline(set, now);
    return VENV_OK;
}
