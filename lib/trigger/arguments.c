/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `do` and `recover`: a list of orders, each a verb with arguments. Texts may hold `${ expression }`.
 * They are compiled once, and evaluated once, when the trigger fires; what comes out is checked against
 * the table of arguments (kinds.c). A value of an agent is data: it is never evaluated.
 */
#include "trigger/internal.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "trigger/where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static venv_rc add_part(venv_expr_env *words, argument *a, const venv_value *value, const venv_mark *mark,
                        venv_error *err)
{
    if (venv_value_kind(value) != VENV_STRING)
        return venv_error_set(err, VENV_EKIND, "%s: expected texts", a->row->key);
    if (a->part_count == ARGUMENT_PARTS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%s: at most %u texts are allowed", a->row->key, ARGUMENT_PARTS_MAX);
    venv_str text = venv_value_peek_text(value);
    venv_rc rc = venv_expr_template_compile(words, text.data, text.size, &a->parts[a->part_count], err);
    if (rc != VENV_OK)
        return venv_trigger_blame_expr(mark, err);
    a->part_count++;
    return VENV_OK;
}

/* The texts of a tree, in order. */
static venv_rc add_tree(venv_expr_env *words, argument *a, const venv_value *value, const venv_mark *mark, unsigned depth,
                        venv_error *err)
{
    venv_kind kind = venv_value_kind(value);
    venv_rc rc = VENV_OK;
    if (depth == ARGUMENT_DEPTH_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%s: maps and lists in each other, at most %u deep", a->row->key, ARGUMENT_DEPTH_MAX);
    if (kind == VENV_STRING)
        return add_part(words, a, value, mark, err);
    for (size_t i = 0; rc == VENV_OK && kind == VENV_LIST && i < venv_value_count(value); i++)
        rc = add_tree(words, a, venv_value_at(value, i), venv_mark_at(mark, i), depth + 1, err);
    const venv_value *key, *item;
    for (size_t i = 0; rc == VENV_OK && kind == VENV_MAP && venv_value_entry(value, i, &key, &item); i++)
        rc = venv_value_kind(key) == VENV_STRING
                 ? add_tree(words, a, item, venv_mark_at(mark, i), depth + 1, err)
                 : venv_error_set(err, VENV_EKIND, "%s: the keys of a map must be texts", a->row->key);
    return rc;
}

static venv_rc compile_tree(venv_expr_env *words, const venv_value *value, const venv_mark *mark, argument *a, venv_error *err)
{
    a->parts = calloc(ARGUMENT_PARTS_MAX, sizeof *a->parts);
    if (!a->parts)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = venv_value_dup(value, &a->literal, err);
    return rc == VENV_OK ? add_tree(words, a, &a->literal, mark, 0, err) : rc;
}

/*
 * Which agents: an expression of its own, not a template, so that no value can become a part of it. It is evaluated for each
 * agent, when the action is carried out; what the trigger was about is over then.
 */
static venv_rc compile_where(venv_expr_env *words, const venv_value *value, const venv_mark *mark, argument *a, venv_error *err)
{
    venv_expr *expr = NULL;
    if (venv_value_kind(value) != VENV_STRING)
        return venv_trigger_argument_convert(a->row, value, &a->literal, err);
    venv_str text = venv_value_peek_text(value);
    if (text.size > VENV_WHERE_SIZE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%s: at most %u bytes are allowed", a->row->key, VENV_WHERE_SIZE_MAX);
    venv_rc rc = venv_expr_compile(words, text.data, text.size, &expr, err);
    if (rc != VENV_OK) {
        venv_error_prefix(err, "%s", a->row->key);
        return venv_trigger_blame_expr(mark, err);
    }
    for (size_t i = 0; rc == VENV_OK && i < venv_expr_read_count(expr); i++) {
        const char *name = venv_expr_read_at(expr, i)->path[0];
        if (strcmp(name, "agent") != 0 && strcmp(name, "agents") != 0 && strcmp(name, "now") != 0)
            rc = venv_error_set(err, VENV_EINVAL, "%s: '%s' is not known here; agent, agents, now, queue() and instances() are",
                                a->row->key, name);
    }
    venv_expr_unref(expr);
    return rc == VENV_OK ? venv_value_dup(value, &a->literal, err) : rc;
}

static venv_rc compile_argument(venv_expr_env *words, const argument_row *row, const venv_value *value,
                                const venv_mark *mark, argument *a, venv_error *err)
{
    a->row = row;
    if (row->kind == ARGUMENT_TREE)
        return compile_tree(words, value, mark, a, err);
    if (row->kind == ARGUMENT_WHERE)
        return compile_where(words, value, mark, a, err);
    bool is_list = venv_trigger_argument_is_list(row->kind);
    if (is_list && venv_value_kind(value) != VENV_LIST)
        return venv_error_set(err, VENV_EKIND, "%s: expected a list of texts", row->key);
    if (!is_list && venv_value_kind(value) != VENV_STRING)
        return venv_trigger_argument_convert(row, value, &a->literal, err);
    size_t count = is_list ? venv_value_count(value) : 1;
    if (count > ARGUMENT_PARTS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%s: at most %u items are allowed", row->key, ARGUMENT_PARTS_MAX);
    a->parts = calloc(count ? count : 1, sizeof *a->parts);
    if (!a->parts)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < count; i++)
        rc = add_part(words, a, is_list ? venv_value_at(value, i) : value, is_list ? venv_mark_at(mark, i) : mark, err);
    if (rc == VENV_OK && row->kind == ARGUMENT_SELECTOR)
        rc = venv_value_dup(value, &a->literal, err); /* what stands in it without any value */
    for (size_t i = 0; rc == VENV_OK && row->kind == ARGUMENT_GROUPS && i < count; i++)
        if (venv_expr_template_count(a->parts[i]) == 0)
            rc = venv_trigger_argument_group(row, venv_value_at(value, i), err);
    if (rc != VENV_OK || is_list || venv_expr_template_count(a->parts[0]) > 0)
        return rc;
    /* Plain text: wrong words and times are found now, not when it fires. */
    venv_value checked = venv_value_null();
    rc = venv_trigger_argument_convert(row, value, &checked, err);
    venv_value_unref(&checked);
    return rc;
}

bool venv_trigger_order_has(const order_plan *o, const char *key)
{
    for (size_t i = 0; i < o->argument_count; i++)
        if (strcmp(o->arguments[i].row->key, key) == 0)
            return true;
    return false;
}

static venv_rc check_required(const order_plan *o, venv_error *err)
{
    const char *missing = venv_trigger_argument_missing(o);
    if (missing)
        return venv_error_set(err, VENV_EINVAL, "`%s` is missing", missing);
    bool names_instances = o->verb == VENV_ORDER_STOP || (o->verb >= VENV_ORDER_DESTROY && o->verb <= VENV_ORDER_MIGRATE);
    if (names_instances && !venv_trigger_order_has(o, "environment") && !venv_trigger_order_has(o, "instance"))
        return venv_error_set(err, VENV_EINVAL, "`environment` or `instance` is missing: which instances are meant");
    return VENV_OK;
}

static venv_rc compile_order(venv_expr_env *words, const venv_value *order, const venv_mark *mark,
                             order_plan *o, venv_error *err)
{
    const venv_value *verb, *arguments;
    if (venv_value_kind(order) != VENV_MAP || venv_value_count(order) != 1 ||
        !venv_value_entry(order, 0, &verb, &arguments))
        return venv_error_set(err, VENV_EINVAL, "expected one verb with its arguments, for example "
                              "{start: {environment: class2}}");
    unsigned at = 0;
    while (at < VENV_ORDER_VERB__COUNT && !venv_value_is_text(verb, venv_order_verb_name((venv_order_verb)at)))
        at++;
    if (at == VENV_ORDER_VERB__COUNT) {
        char shown[80];
        venv_value_print(verb, shown, sizeof shown);
        char list[256] = "";
        for (unsigned i = 0, size = 0; i < VENV_ORDER_VERB__COUNT && size < sizeof list; i++)
            size += (unsigned)snprintf(list + size, sizeof list - size, " %s", venv_order_verb_name((venv_order_verb)i));
        return venv_error_set(err, VENV_EINVAL, "there is no action %s; there are:%s", shown, list);
    }
    o->verb = (venv_order_verb)at;
    const venv_mark *inner = venv_mark_at(mark, 0);
    if (venv_value_kind(arguments) != VENV_MAP)
        return venv_error_set(err, VENV_EKIND, "%s: expected a map of arguments", venv_order_verb_name(o->verb));
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(arguments, i, &key, &value); i++) {
        const argument_row *row = venv_trigger_argument_find(o->verb, key);
        const venv_mark *place = venv_mark_at(inner, i);
        venv_rc rc;
        if (!row) {
            char shown[80];
            venv_value_print(key, shown, sizeof shown);
            rc = venv_error_set(err, VENV_EINVAL, "%s takes no argument %s", venv_order_verb_name(o->verb), shown);
        } else {
            rc = compile_argument(words, row, value, place, &o->arguments[o->argument_count++], err);
        }
        if (rc != VENV_OK) {
            if (err && err->file[0] == '\0')
                venv_mark_blame(place, err);
            return rc;
        }
    }
    venv_rc rc = check_required(o, err);
    return rc == VENV_OK ? rc : venv_error_prefix(err, "%s", venv_order_verb_name(o->verb));
}

venv_rc venv_trigger_plan_compile(venv_expr_env *words, const char *where, const venv_value *orders, const venv_mark *mark,
                     plan *ret_plan, venv_error *err)
{
    if (venv_value_kind(orders) != VENV_LIST || venv_value_count(orders) == 0)
        return venv_error_set(err, VENV_EKIND, "%s: expected a list of actions", where);
    if (venv_value_count(orders) > VENV_TRIGGER_ORDERS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%s: at most %u actions are allowed", where, VENV_TRIGGER_ORDERS_MAX);
    for (size_t i = 0; i < venv_value_count(orders); i++) {
        const venv_mark *place = venv_mark_at(mark, i);
        ret_plan->count++;
        venv_rc rc = compile_order(words, venv_value_at(orders, i), place, &ret_plan->orders[i], err);
        if (rc != VENV_OK) {
            if (err && err->file[0] == '\0')
                venv_mark_blame(place, err);
            return venv_error_prefix(err, "%s", where);
        }
    }
    return VENV_OK;
}

void venv_trigger_plan_fini(plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        for (size_t j = 0; j < p->orders[i].argument_count; j++) {
            argument *a = &p->orders[i].arguments[j];
            venv_value_unref(&a->literal);
            for (size_t k = 0; k < a->part_count; k++)
                venv_expr_template_unref(a->parts[k]);
            free(a->parts);
        }
    p->count = 0;
}

void venv_trigger_plan_each_expr(const plan *p, plan_expr_fn each, void *user)
{
    for (size_t i = 0; i < p->count; i++)
        for (size_t j = 0; j < p->orders[i].argument_count; j++) {
            const argument *a = &p->orders[i].arguments[j];
            for (size_t k = 0; k < a->part_count; k++)
                for (size_t e = 0; e < venv_expr_template_count(a->parts[k]); e++)
                    each(user, venv_expr_template_at(a->parts[k], e));
        }
}

static bool read_before(const venv_expr_context *memory, size_t index, const venv_expr_read *read)
{
    for (size_t i = 0; i < index; i++) {
        const venv_expr_read *other = venv_expr_missing(memory, i);
        if (other && strcmp(other->text, read->text) == 0)
            return true;
    }
    return false;
}

void venv_trigger_missing_list(const venv_expr_context *memory, const venv_expr_result *result, char *list, size_t size)
{
    snprintf(list, size, "something it reads");
    size_t at = 0;
    for (size_t i = 0; i < result->missing_count; i++) {
        const venv_expr_read *read = venv_expr_missing(memory, i);
        if (!read || read_before(memory, i, read))
            continue;
        if (at + strlen(read->text) + 3 > size)
            break;
        at += (size_t)snprintf(list + at, size - at, "%s%s", at > 0 ? ", " : "", read->text);
    }
}

venv_rc venv_trigger_missing_error(const venv_expr_context *memory, const venv_expr_result *result, const char *what,
                      venv_error *err)
{
    char list[PROBLEM_TEXT_MAX / 2];
    venv_trigger_missing_list(memory, result, list, sizeof list);
    return venv_error_set(err, VENV_EUNKNOWN, "%s is unknown: could not look at %s", what, list);
}

/* One text of an argument. Scalars in a list of texts become text. */
static venv_rc eval_part(const argument *a, size_t index, venv_expr_context *memory, const venv_expr_input *input,
                         venv_value *ret_value, venv_error *err)
{
    venv_expr_result result;
    venv_rc rc = venv_expr_template_eval_checked(a->parts[index], memory, input, a->row->kind == ARGUMENT_SELECTOR ? venv_trigger_selector_inserted : NULL,
                                                 NULL, &result, err);
    if (rc != VENV_OK)
        return venv_error_prefix(err, "%s", a->row->key);
    if (result.outcome == VENV_EXPR_UNKNOWN)
        return venv_trigger_missing_error(memory, &result, a->row->key, err);
    if (a->row->kind == ARGUMENT_SELECTOR && venv_value_kind(&result.value) == VENV_STRING &&
        venv_trigger_selector_is_wider(venv_value_peek_text(&result.value), venv_value_peek_text(&a->literal)))
        return venv_error_set(err, VENV_EINVAL, "%s: ${…} made @all of it, which nobody wrote", a->row->key);
    if (a->row->kind == ARGUMENT_GROUPS) {
        rc = venv_trigger_argument_group(a->row, &result.value, err);
        return rc == VENV_OK ? venv_value_dup(&result.value, ret_value, err) : rc;
    }
    if (a->row->kind != ARGUMENT_TEXTS)
        return venv_trigger_argument_convert(a->row, &result.value, ret_value, err);
    switch (venv_value_kind(&result.value)) {
    case VENV_STRING:
        return venv_value_dup(&result.value, ret_value, err);
    case VENV_BOOL:
    case VENV_INT:
    case VENV_DOUBLE: {
        char text[64];
        venv_value_print(&result.value, text, sizeof text);
        return venv_value_string_z(text, ret_value, err);
    }
    default:
        return venv_error_set(err, VENV_EKIND, "%s: expected texts", a->row->key);
    }
}

static venv_rc eval_tree(const argument *a, const venv_value *value, size_t *part, venv_expr_context *memory,
                         const venv_expr_input *input, venv_value *ret_value, venv_error *err)
{
    venv_kind kind = venv_value_kind(value);
    if (kind == VENV_STRING)
        return eval_part(a, (*part)++, memory, input, ret_value, err);
    if (kind != VENV_LIST && kind != VENV_MAP) {
        *ret_value = venv_value_ref(value);
        return VENV_OK;
    }
    venv_list_builder list;
    venv_map_builder map;
    venv_list_init(&list);
    venv_map_init(&map);
    venv_rc rc = VENV_OK;
    const venv_value *key = NULL, *item = NULL;
    for (size_t i = 0; rc == VENV_OK && i < venv_value_count(value); i++) {
        venv_value made = venv_value_null();
        if (kind == VENV_LIST)
            item = venv_value_at(value, i);
        else
            venv_value_entry(value, i, &key, &item);
        rc = eval_tree(a, item, part, memory, input, &made, err);
        if (rc == VENV_OK && kind == VENV_LIST)
            venv_list_add(&list, made);
        else if (rc == VENV_OK)
            venv_map_put_value(&map, venv_value_ref(key), made);
    }
    if (rc == VENV_OK)
        rc = kind == VENV_LIST ? venv_list_take(&list, ret_value, err) : venv_map_take(&map, ret_value, err);
    venv_list_fini(&list);
    venv_map_fini(&map);
    return rc;
}

static venv_rc eval_argument(const argument *a, venv_expr_context *memory, const venv_expr_input *input,
                             venv_value *ret_value, venv_error *err)
{
    if (!a->parts) {
        *ret_value = venv_value_ref(&a->literal);
        return VENV_OK;
    }
    size_t part = 0;
    if (a->row->kind == ARGUMENT_TREE)
        return eval_tree(a, &a->literal, &part, memory, input, ret_value, err);
    if (!venv_trigger_argument_is_list(a->row->kind))
        return eval_part(a, 0, memory, input, ret_value, err);
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < a->part_count; i++) {
        venv_value text = venv_value_null();
        venv_rc rc = eval_part(a, i, memory, input, &text, err);
        if (rc != VENV_OK) {
            venv_list_fini(&list);
            return rc;
        }
        venv_list_add(&list, text);
    }
    return venv_list_take(&list, ret_value, err);
}

/* The arguments of one order. The error says which verb and which argument. */
static venv_rc eval_order(const order_plan *o, venv_expr_context *memory, const venv_expr_input *input, venv_value *ret_arguments,
                          venv_error *err)
{
    venv_map_builder map;
    venv_rc rc = VENV_OK;
    venv_map_init(&map);
    for (size_t j = 0; rc == VENV_OK && j < o->argument_count; j++) {
        const argument *a = &o->arguments[j];
        venv_value value = venv_value_null();
        rc = eval_argument(a, memory, input, &value, err);
        if (rc == VENV_OK)
            venv_map_put(&map, a->row->key, value);
    }
    if (rc == VENV_OK)
        rc = venv_map_take(&map, ret_arguments, err);
    else
        venv_error_prefix(err, "%s", venv_order_verb_name(o->verb));
    venv_map_fini(&map);
    return rc;
}

venv_rc venv_trigger_plan_orders(const plan *p, venv_expr_context *memory, const venv_expr_input *input,
                    venv_order **ret_orders, size_t *ret_count, venv_error *err)
{
    venv_order *orders = calloc(p->count ? p->count : 1, sizeof *orders);
    if (!orders)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < p->count; i++) {
        orders[i].verb = p->orders[i].verb;
        rc = eval_order(&p->orders[i], memory, input, &orders[i].arguments, err);
    }
    if (rc != VENV_OK) {
        venv_trigger_orders_free(orders, p->count);
        return rc;
    }
    *ret_orders = orders;
    *ret_count = p->count;
    return VENV_OK;
}

venv_rc venv_trigger_plan_explain(const plan *p, venv_expr_context *memory, const venv_expr_input *input, venv_map_builder *map,
                                  venv_error *err)
{
    venv_list_builder list;
    venv_value all = venv_value_null();
    venv_rc rc = VENV_OK;
    venv_list_init(&list);
    for (size_t i = 0; i < p->count && rc == VENV_OK; i++) {
        venv_value arguments = venv_value_null(), order = venv_value_null();
        venv_error why = { 0 };
        venv_map_builder one;
        venv_map_init(&one);
        venv_map_put_z(&one, "verb", venv_order_verb_name(p->orders[i].verb));
        rc = eval_order(&p->orders[i], memory, input, &arguments, &why);
        if (rc == VENV_OK) {
            venv_map_put(&one, "arguments", arguments);
        } else {
            const char *text = venv_trigger_without_prefix(why.text, venv_order_verb_name(p->orders[i].verb), ": ");
            venv_map_put_text(&one, "error", text, strcspn(text, "\n"));
        }
        if (rc != VENV_ENOMEM)
            rc = venv_map_take(&one, &order, err);
        venv_map_fini(&one);
        venv_list_add(&list, order);
    }
    if (rc == VENV_OK)
        rc = venv_list_take(&list, &all, err);
    if (rc == VENV_OK)
        venv_map_put(map, "orders", all);
    venv_list_fini(&list);
    return rc == VENV_OK ? rc : venv_error_set(err, rc, "out of memory");
}
