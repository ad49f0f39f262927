/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why: what a unit's conditions are now, part by part, the samples behind them, and what of the policy lets it
 * fire or holds it back. It is kept with each firing, and given to whoever asks. Nothing is changed by it.
 *
 * Everything is bounded, so that it can stand in an event: where something was left out it says so.
 */
#include "trigger/internal.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX    48u  /* of one condition */
#define SAMPLE_BYTES 200u /* of a sample's value as text */

/* --- samples ------------------------------------------------------------------------------------------ */

/* As it is, if that is short; else as text that is cut. */
static void put_short(venv_map_builder *map, const char *key, const venv_value *value)
{
    char text[SAMPLE_BYTES + sizeof "…"];
    size_t size = venv_value_print(value, text, SAMPLE_BYTES);
    if (size < SAMPLE_BYTES) {
        venv_map_put(map, key, venv_value_ref(value));
        return;
    }
    size = venv_utf8_valid_prefix(text, SAMPLE_BYTES - 1);
    memcpy(text + size, "…", sizeof "…");
    venv_map_put_text(map, key, text, strlen(text));
}

void venv_trigger_samples_add(venv_trigger_samples *samples, const char *subject, const char *label, const venv_value *value,
                              const char *quality, venv_wall time)
{
    uint64_t hash = venv_hash_bytes(label, strlen(label), venv_hash_bytes(subject, strlen(subject) + 1, venv_value_hash(value, 1)));
    for (size_t i = 0; i < samples->count; i++)
        if (samples->seen[i] == hash)
            return;
    if (samples->count == VENV_TRIGGER_SAMPLES_MAX) {
        samples->cut = true;
        return;
    }
    venv_value item = venv_value_null();
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_text(&map, "subject", subject, strlen(subject));
    venv_map_put_text(&map, "label", label, strlen(label));
    put_short(&map, "value", value);
    venv_map_put_z(&map, "quality", quality);
    if (time.ns != 0)
        venv_map_put(&map, "time", venv_value_from_wall(time));
    if (venv_map_take(&map, &item, NULL) != VENV_OK) {
        samples->cut = true; /* out of memory: what is kept is less */
        return;
    }
    venv_list_add(&samples->list, item);
    samples->seen[samples->count++] = hash;
}

typedef struct looking {
    const venv_trigger_world *world;
    const char *agent;
    venv_trigger_samples samples;
} looking;

static void look(looking *l, const venv_expr *expr)
{
    const venv_expr_read *read;
    for (size_t i = 0; expr && l->world->samples && (read = venv_expr_read_at(expr, i)); i++)
        l->world->samples(l->world->user, l->agent, read, venv_expr_source(expr), &l->samples);
}

const char *venv_trigger_without_prefix(const char *text, const char *name, const char *between)
{
    size_t a = strlen(name), b = strlen(between);
    return strncmp(text, name, a) == 0 && strncmp(text + a, between, b) == 0 ? text + a + b : text;
}

/* --- one condition ------------------------------------------------------------------------------------ */

static venv_rc put_condition(venv_triggers *set, venv_map_builder *map, const char *key, const venv_expr *expr,
                             const venv_expr_input *input, truth *ret_truth, venv_error *err)
{
    venv_expr_result result;
    venv_expr_explanation *explanation = NULL;
    venv_error why = { 0 };
    const char *state = "unknown";
    *ret_truth = TRUTH_UNKNOWN;
    venv_rc rc = venv_expr_eval(expr, set->memory, input, &result, &why);
    if (rc == VENV_OK && result.outcome == VENV_EXPR_UNKNOWN) {
        venv_trigger_missing_error(set->memory, &result, key, &why);
    } else if (rc == VENV_OK && venv_value_kind(&result.value) == VENV_BOOL) {
        *ret_truth = venv_value_peek_bool(&result.value) ? TRUTH_TRUE : TRUTH_FALSE;
        state = *ret_truth == TRUTH_TRUE ? "true" : "false";
    } else if (rc != VENV_ENOMEM) {
        state = "error";
        if (rc == VENV_OK)
            venv_error_set(&why, VENV_EKIND, "it gave a value of kind %s, expected true or false",
                           venv_kind_name(venv_value_kind(&result.value)));
    }
    if (rc != VENV_ENOMEM)
        rc = venv_expr_explain(expr, input, &explanation, err);
    venv_value parts = venv_value_null(), whole = venv_value_null();
    if (rc == VENV_OK)
        rc = venv_expr_explanation_value(explanation, PARTS_MAX, &parts, err);
    if (rc == VENV_OK) {
        venv_map_builder inner;
        venv_map_init(&inner);
        venv_map_put_z(&inner, "source", venv_expr_source(expr));
        venv_map_put_z(&inner, "state", state);
        const char *text = venv_trigger_without_prefix(why.text, key, " is unknown: "); /* the state says that already */
        if (text[0])
            venv_map_put_text(&inner, "error", text, strcspn(text, "\n"));
        venv_map_put(&inner, "parts", parts);
        if (venv_expr_explanation_is_cut(explanation) || venv_expr_explanation_count(explanation) > PARTS_MAX)
            venv_map_put(&inner, "cut", venv_value_bool(true));
        rc = venv_map_take(&inner, &whole, err);
    }
    if (rc == VENV_OK)
        venv_map_put(map, key, whole);
    venv_expr_explanation_free(explanation);
    return rc == VENV_OK ? rc : venv_error_set(err, rc, "out of memory");
}

/* --- the policy ------------------------------------------------------------------------------------------ */

static void put_text(venv_map_builder *map, const char *key, const char *text)
{
    if (text[0])
        venv_map_put_text(map, key, text, strlen(text));
}

static void put_hold(venv_map_builder *map, const trigger *t, const unit *u, venv_now now)
{
    bool holding = u->state == VENV_TRIGGER_HOLDING;
    if (t->hold_count > 0) {
        venv_map_put(map, "held", venv_value_int(u->true_count));
        venv_map_put(map, "hold", venv_value_int(t->hold_count));
    } else if (t->hold.ns > 0) {
        venv_map_put(map, "held", venv_value_from_span((venv_span){ holding ? now.mono.ns - u->since.ns : 0 }));
        venv_map_put(map, "hold", venv_value_from_span(t->hold));
    }
}

static void put_policy(venv_map_builder *map, const trigger *t, const unit *u, venv_now now)
{
    venv_map_put_z(map, "state", venv_trigger_state_name(u->state));
    if (u->since_wall.ns != 0)
        venv_map_put(map, "since", venv_value_from_wall(u->since_wall));
    venv_map_put(map, "fired", venv_value_int((int64_t)u->fired));
    put_hold(map, t, u, now);
    if (venv_trigger_unit_coolness(t, u, now) == COOL_RUNNING)
        venv_map_put(map, "cools_until", venv_value_from_wall((venv_wall){
                                             now.wall.ns + (u->fired_at.ns + t->cooldown.ns - now.mono.ns) }));
    if (u->problem != PROBLEM_NONE)
        put_text(map, "error", u->problem_text);
}

/* What would become of it if it were looked at now. */
static const char *verdict(const trigger *t, const unit *u, venv_now now, truth when, truth until)
{
    unit_input in = { when, until, venv_trigger_unit_is_held(t, u, now), venv_trigger_unit_coolness(t, u, now) };
    venv_trigger_state next;
    unit_effect effect;
    if (t->has_at)
        return when != TRUTH_TRUE ? "nothing" : in.cool == COOL_RUNNING ? "cool" : "fire-at-its-time";
    if (!t->until)
        in.until = when == TRUTH_TRUE ? TRUTH_FALSE : when == TRUTH_FALSE ? TRUTH_TRUE : TRUTH_UNKNOWN;
    venv_trigger_unit_next(u->state, &in, &next, &effect);
    switch (effect) {
    case EFFECT_FIRE:
        return "fire";
    case EFFECT_RECOVER:
        return "recover";
    case EFFECT_HOLD:
        return "hold";
    case EFFECT_REST:
    case EFFECT_NONE:
        break;
    }
    return next == VENV_TRIGGER_HOLDING ? "hold" : in.cool == COOL_RUNNING && when == TRUTH_TRUE ? "cool" : "nothing";
}

/* --- a unit ---------------------------------------------------------------------------------------------- */

venv_rc venv_trigger_explain_unit(venv_triggers *set, const trigger *t, const unit *u, venv_now now, const venv_trigger_world *world,
                                  bool orders, venv_value *ret_map, venv_error *err)
{
    venv_value slots[SLOT__COUNT + 1], samples = venv_value_null();
    asked a;
    venv_expr_input input = venv_trigger_words_input(now, world, t, u, slots, &a);
    truth when = TRUTH_UNKNOWN, until = TRUTH_UNKNOWN;
    looking l = { world, u->agent, { .count = 0 } };
    venv_map_builder map;
    venv_map_init(&map);
    venv_list_init(&l.samples.list);
    put_text(&map, "unit", u->key);
    put_text(&map, "agent", u->agent);
    put_text(&map, "group", u->group);
    put_text(&map, "property", u->property);
    put_text(&map, "reason", u->reason);
    put_policy(&map, t, u, now);
    venv_rc rc = put_condition(set, &map, "when", t->when, &input, &when, err);
    if (rc == VENV_OK && t->until)
        rc = put_condition(set, &map, "until", t->until, &input, &until, err);
    if (rc == VENV_OK && orders) {
        venv_map_put_z(&map, "would", verdict(t, u, now, when, until));
        rc = venv_trigger_plan_explain(&t->act, set->memory, &input, &map, err);
    }
    look(&l, t->when);
    look(&l, t->until);
    if (rc == VENV_OK)
        rc = venv_list_take(&l.samples.list, &samples, err);
    else
        venv_list_fini(&l.samples.list);
    if (rc == VENV_OK)
        venv_map_put(&map, "samples", samples);
    if (l.samples.cut)
        venv_map_put(&map, "samples_cut", venv_value_bool(true));
    if (rc == VENV_OK)
        return venv_map_take(&map, ret_map, err);
    venv_map_fini(&map);
    return rc;
}

/* --- a trigger ------------------------------------------------------------------------------------------- */

typedef struct telling {
    venv_triggers *set;
    trigger *t;
    venv_now now;
    const venv_trigger_world *world;
    venv_list_builder list;
    size_t count;
    bool cut;
    venv_error *err;
} telling;

static venv_rc tell_unit(telling *x, const unit *u)
{
    if (x->count == VENV_TRIGGER_EXPLAINED_MAX) {
        x->cut = true;
        return VENV_OK;
    }
    venv_value value = venv_value_null();
    venv_rc rc = venv_trigger_explain_unit(x->set, x->t, u, x->now, x->world, true, &value, x->err);
    if (rc == VENV_OK) {
        venv_list_add(&x->list, value);
        x->count++;
    }
    return rc;
}

/* A unit that is there, or one as it would be made. */
static venv_rc tell_named(telling *x, const char *element, const venv_value *value, const char *agent)
{
    const unit *u = venv_trigger_unit_find(x->t, element, agent);
    if (u)
        return tell_unit(x, u);
    char key[2 * VENV_NAME_MAX + 4];
    unit made = { .key = key, .element = (char *)(uintptr_t)element, .agent = (char *)(uintptr_t)agent, .group = (char[]){ "" },
                  .property = (char[]){ "" }, .reason = (char[]){ "" }, .element_value = value ? *value : venv_value_null() };
    snprintf(key, sizeof key, "%s%s%s", element, element[0] && agent[0] ? " " : "", agent);
    return tell_unit(x, &made);
}

static venv_rc tell_agents(telling *x, const char *element, const venv_value *value, const char *agent)
{
    if (!x->t->contextual || agent)
        return tell_named(x, element, value, x->t->contextual ? agent : "");
    venv_value agents = venv_value_null();
    if (x->world->agents(x->world->user, &agents) != VENV_EXPR_FOUND)
        return VENV_OK;
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&agents) && !x->cut; i++) {
        char name[VENV_NAME_MAX + 1];
        venv_str text = venv_value_get_text(venv_value_at(&agents, i), "name");
        if (text.size == 0 || text.size > VENV_NAME_MAX)
            continue;
        memcpy(name, text.data, text.size);
        name[text.size] = '\0';
        rc = tell_named(x, element, value, name);
    }
    return rc;
}

static venv_rc tell_elements(telling *x, venv_map_builder *map, const char *agent)
{
    venv_value slots[SLOT__COUNT + 1], list = venv_value_null();
    asked a;
    venv_expr_input input = venv_trigger_words_input(x->now, x->world, x->t, NULL, slots, &a);
    venv_expr_result result;
    venv_error why = { 0 };
    venv_rc rc = venv_expr_eval(x->t->for_list, x->set->memory, &input, &result, &why);
    if (rc == VENV_ENOMEM)
        return venv_error_set(x->err, rc, "out of memory");
    if (rc == VENV_OK && result.outcome == VENV_EXPR_UNKNOWN)
        venv_trigger_missing_error(x->set->memory, &result, "for", &why);
    if (rc == VENV_OK && result.outcome == VENV_EXPR_VALUE)
        rc = venv_value_dup(&result.value, &list, x->err);
    else
        rc = VENV_OK;
    put_text(map, "for_error", why.text);
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(&list); i++) {
        char text[VENV_NAME_MAX + 1];
        if (venv_trigger_element_text(venv_value_at(&list, i), text, sizeof text))
            rc = tell_agents(x, text, venv_value_at(&list, i), agent);
    }
    venv_value_unref(&list);
    return rc;
}

venv_rc venv_triggers_explain(venv_triggers *set, const char *name, const char *agent, venv_now now, const venv_trigger_world *world,
                              venv_value *ret_map, venv_error *err)
{
    trigger *t = venv_table_find(set->by_name, name, strlen(name));
    venv_value described = venv_value_null(), units = venv_value_null();
    venv_rc rc = venv_triggers_describe(set, name, now, &described, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_builder map;
    telling x = { .set = set, .t = t, .now = now, .world = world, .err = err };
    venv_map_init(&map);
    venv_list_init(&x.list);
    venv_map_put(&map, "trigger", described);
    rc = t->for_list ? tell_elements(&x, &map, agent) : tell_agents(&x, "", NULL, agent);
    venv_trigger_limit_tell(t, now, &map);
    if (x.cut)
        venv_map_put(&map, "cut", venv_value_bool(true));
    if (rc == VENV_OK)
        rc = venv_list_take(&x.list, &units, err);
    else
        venv_list_fini(&x.list);
    if (rc == VENV_OK)
        venv_map_put(&map, "units", units);
    if (rc == VENV_OK)
        return venv_map_take(&map, ret_map, err);
    venv_map_fini(&map);
    return rc;
}
