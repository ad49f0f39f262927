/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: one look at each node, by the rules in their order, then the best of those that may.
 *
 * The score without `prefer` packs: the node that is fullest with the instance on it, by the scarcer of its
 * two resources, so that other nodes stay empty for large instances, or can be switched off. It also decides
 * between nodes that `prefer` holds for equal; the name decides last.
 */
#include "environment/placement.h"

#include "base/number.h"
#include "base/seeded.h"
#include "environment/definition.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *venv_placement_rule_name(venv_placement_rule rule)
{
    static const char *const names[VENV_PLACEMENT__COUNT] = {
        [VENV_PLACEMENT_OK] = "ok",           [VENV_PLACEMENT_CONNECTED] = "connected",
        [VENV_PLACEMENT_ASKED] = "asked",     [VENV_PLACEMENT_HYPERVISOR] = "hypervisor",
        [VENV_PLACEMENT_HEALTH] = "health",   [VENV_PLACEMENT_BREAKER] = "breaker",   [VENV_PLACEMENT_WHERE] = "where",
        [VENV_PLACEMENT_VCPUS] = "vcpus",     [VENV_PLACEMENT_MEMORY] = "memory",
    };
    return (unsigned)rule < VENV_PLACEMENT__COUNT ? names[rule] : "unknown";
}

/* What one choice is made with. */
typedef struct choosing {
    const venv_environment *environment;
    const char *asked;
    venv_expr_context *context;
    void *expr_data;
} choosing;

/* "1.5 GiB": the largest unit of which there is at least one, at most one decimal. */
static const char *format_bytes(uint64_t bytes, char *buffer, size_t size)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;
    uint64_t whole = bytes, rest = 0;
    while (whole >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        rest = whole & 1023;
        whole >>= 10;
        unit++;
    }
    if (rest * 10 / 1024)
        snprintf(buffer, size, "%" PRIu64 ".%" PRIu64 " %s", whole, rest * 10 / 1024, units[unit]);
    else
        snprintf(buffer, size, "%" PRIu64 " %s", whole, units[unit]);
    return buffer;
}

static void say(char *ret_text, const char *text)
{
    size_t size = strlen(text);
    if (size >= VENV_PLACEMENT_REASON_MAX) {
        /* Cut at a whole character. */
        size = VENV_PLACEMENT_REASON_MAX - 1;
        while (size && ((unsigned char)text[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(ret_text, text, size);
    ret_text[size] = '\0';
}

static venv_rc refuse(venv_placement_verdict *verdict, venv_placement_rule rule, const char *needed,
                      const char *available)
{
    verdict->rule = rule;
    say(verdict->needed, needed);
    say(verdict->available, available);
    return VENV_OK;
}

/* --- expressions over a node ---------------------------------------------------------------------- */

static venv_expr_answer resolve_node(void *user, const venv_expr_read *read, venv_value *ret_value,
                                     uint32_t *ret_depth)
{
    const venv_placement_node *node = user;
    if (strcmp(read->path[0], "node") != 0)
        return VENV_EXPR_NOT_THERE;
    if (node->node) {
        *ret_value = *node->node;
        *ret_depth = 1;
        return VENV_EXPR_FOUND;
    }
    return node->resolve ? node->resolve(node->resolve_user, read, ret_value, ret_depth) : VENV_EXPR_NOT_THERE;
}

/* Evaluate for a node. VENV_OK: `*ret_result` is a value. VENV_EUNKNOWN, VENV_EINVAL: `ret_text` says why not. VENV_ENOMEM. */
static venv_rc evaluate(const choosing *c, const venv_expr *expr, const venv_placement_node *node,
                        venv_expr_result *ret_result, char *ret_text, venv_error *err)
{
    venv_expr_input input = {
        .resolve = resolve_node,
        .resolve_user = (void *)(uintptr_t)node, /* resolve_node() only reads it */
        .data = c->expr_data,
    };
    venv_error failure = { .rc = VENV_OK };
    venv_rc rc = venv_expr_eval(expr, c->context, &input, ret_result, &failure);
    if (rc == VENV_ENOMEM)
        return venv_error_set(err, rc, "%s", failure.text);
    if (rc != VENV_OK) {
        /* Only the first line: the others draw the expression, which is told as `needed`. */
        failure.text[strcspn(failure.text, "\n")] = '\0';
        say(ret_text, failure.text);
        return VENV_EINVAL;
    }
    if (ret_result->outcome == VENV_EXPR_UNKNOWN) {
        const venv_expr_read *missing = ret_result->missing_count ? venv_expr_missing(c->context, 0) : NULL;
        char text[VENV_PLACEMENT_REASON_MAX];
        snprintf(text, sizeof text, "unknown: %.160s", missing ? missing->text : "a value that it needs");
        say(ret_text, text);
        return VENV_EUNKNOWN;
    }
    return VENV_OK;
}

/* --- the rules ------------------------------------------------------------------------------------- */

static venv_rc judge_hypervisor(const choosing *c, const venv_placement_node *node,
                                venv_placement_verdict *verdict)
{
    venv_hypervisor_kind kind = c->environment->hypervisor;
    if (node->reachable && (node->kinds & (1u << kind)))
        return VENV_OK;
    char text[VENV_PLACEMENT_REASON_MAX] = "";
    if (!node->reachable) {
        say(text, node->kinds ? "its hypervisor cannot be reached" : "no hypervisor");
    } else {
        for (unsigned i = 0; i < VENV_HYPERVISOR__COUNT; i++) {
            if (node->kinds & (1u << i)) {
                size_t used = strlen(text);
                snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "",
                         venv_hypervisor_kind_name((venv_hypervisor_kind)i));
            }
        }
    }
    return refuse(verdict, VENV_PLACEMENT_HYPERVISOR, venv_hypervisor_kind_name(kind), text[0] ? text : "none");
}

static venv_rc judge_where(const choosing *c, const venv_placement_node *node, venv_placement_verdict *verdict,
                           venv_error *err)
{
    const venv_environment *environment = c->environment;
    if (!environment->where_text || VENV_SEEDED(WHERE_IGNORED))
        return VENV_OK;
    if (!environment->where)
        return refuse(verdict, VENV_PLACEMENT_WHERE, environment->where_text, "the expression was not compiled");
    venv_expr_result result;
    char why[VENV_PLACEMENT_REASON_MAX];
    venv_rc rc = evaluate(c, environment->where, node, &result, why, err);
    if (rc == VENV_ENOMEM)
        return rc;
    if (rc != VENV_OK)
        return refuse(verdict, VENV_PLACEMENT_WHERE, environment->where_text, why);
    if (venv_value_kind(&result.value) != VENV_BOOL)
        return refuse(verdict, VENV_PLACEMENT_WHERE, environment->where_text, "neither true nor false");
    return venv_value_peek_bool(&result.value)
               ? VENV_OK
               : refuse(verdict, VENV_PLACEMENT_WHERE, environment->where_text, "false");
}

static venv_rc judge_capacity(const choosing *c, const venv_placement_node *node, venv_placement_verdict *verdict)
{
    const venv_environment *environment = c->environment;
    char needed[64], available[96], a[24], b[24];
    uint32_t free_vcpus = node->used_vcpus < node->vcpus ? node->vcpus - node->used_vcpus : 0;
    uint64_t free_memory =
        node->used_memory_bytes < node->memory_bytes ? node->memory_bytes - node->used_memory_bytes : 0;
    if (VENV_SEEDED(CAPACITY_IGNORED))
        return VENV_OK;
    if (environment->vcpus > free_vcpus) {
        snprintf(needed, sizeof needed, "%" PRIu32 " vCPU%s", environment->vcpus, environment->vcpus == 1 ? "" : "s");
        snprintf(available, sizeof available, "%" PRIu32 " of %" PRIu32 " free", free_vcpus, node->vcpus);
        return refuse(verdict, VENV_PLACEMENT_VCPUS, needed, available);
    }
    if (environment->memory_bytes > free_memory) {
        snprintf(available, sizeof available, "%s of %s free", format_bytes(free_memory, a, sizeof a),
                 format_bytes(node->memory_bytes, b, sizeof b));
        return refuse(verdict, VENV_PLACEMENT_MEMORY,
                      format_bytes(environment->memory_bytes, needed, sizeof needed), available);
    }
    return VENV_OK;
}

static venv_rc judge(const choosing *c, const venv_placement_node *node, venv_placement_verdict *verdict,
                     venv_error *err)
{
    if (!node->connected)
        return refuse(verdict, VENV_PLACEMENT_CONNECTED, "a connected agent", "not connected");
    if (c->asked && strcmp(c->asked, node->name) != 0)
        return refuse(verdict, VENV_PLACEMENT_ASKED, c->asked, "another node");
    judge_hypervisor(c, node, verdict);
    if (verdict->rule != VENV_PLACEMENT_OK)
        return VENV_OK;
    if (node->refused)
        return refuse(verdict, VENV_PLACEMENT_HEALTH, "a healthy node", node->refused);
    if (node->breaker)
        return refuse(verdict, VENV_PLACEMENT_BREAKER, "a closed breaker", node->breaker);
    venv_rc rc = judge_where(c, node, verdict, err);
    if (rc != VENV_OK || verdict->rule != VENV_PLACEMENT_OK)
        return rc;
    return judge_capacity(c, node, verdict);
}

/* --- the score ------------------------------------------------------------------------------------- */

/* 0..1: how full the node is with the instance on it, by the scarcer resource. */
static double fullness(const venv_environment *environment, const venv_placement_node *node)
{
    double vcpus = node->vcpus ? ((double)node->used_vcpus + environment->vcpus) / node->vcpus : 0.0;
    double memory = node->memory_bytes ? ((double)node->used_memory_bytes + (double)environment->memory_bytes) /
                                             (double)node->memory_bytes
                                       : 0.0;
    return vcpus > memory ? vcpus : memory;
}

static bool number_of(const venv_value *value, double *ret_number)
{
    switch (venv_value_kind(value)) {
    case VENV_INT:
        *ret_number = (double)venv_value_peek_int(value);
        return true;
    case VENV_UINT:
        *ret_number = (double)venv_value_peek_uint(value);
        return true;
    case VENV_DOUBLE:
        *ret_number = venv_value_peek_double(value);
        return !isnan(*ret_number);
    default:
        return false;
    }
}

/* A node that may, but that `prefer` has no number for, comes after all others; it is not refused. */
static venv_rc score(const choosing *c, const venv_placement_node *node, venv_placement_verdict *verdict,
                     venv_error *err)
{
    const venv_environment *environment = c->environment;
    if (!environment->prefer) {
        verdict->score = fullness(environment, node);
        return VENV_OK;
    }
    verdict->score = -INFINITY;
    venv_expr_result result;
    char why[VENV_PLACEMENT_REASON_MAX], note[VENV_PLACEMENT_REASON_MAX];
    venv_rc rc = evaluate(c, environment->prefer, node, &result, why, err);
    if (rc == VENV_ENOMEM)
        return rc;
    if (rc == VENV_OK && number_of(&result.value, &verdict->score))
        return VENV_OK;
    snprintf(note, sizeof note, "prefer: %.160s", rc == VENV_OK ? "it is no number" : why);
    say(verdict->note, note);
    return VENV_OK;
}

/* Is node a, with its score, before node b? */
static bool is_better(const choosing *c, const venv_placement_node *a, double score_a,
                      const venv_placement_node *b, double score_b)
{
    if (score_a > score_b || score_a < score_b)
        return score_a > score_b;
    double full_a = fullness(c->environment, a), full_b = fullness(c->environment, b);
    if (full_a > full_b || full_a < full_b)
        return full_a > full_b;
    return strcmp(a->name, b->name) < 0;
}

venv_rc venv_placement_choose(const venv_environment *environment, const char *asked,
                              const venv_placement_node *nodes, size_t count, venv_expr_context *context,
                              void *expr_data, venv_placement_verdict *verdicts, size_t *ret_index,
                              venv_error *err)
{
    const choosing c = { environment, asked, context, expr_data };
    size_t best = count;
    double best_score = 0.0;
    for (size_t i = 0; i < count; i++) {
        venv_placement_verdict verdict = { .rule = VENV_PLACEMENT_OK };
        venv_rc rc = judge(&c, &nodes[i], &verdict, err);
        if (rc == VENV_OK && verdict.rule == VENV_PLACEMENT_OK)
            rc = score(&c, &nodes[i], &verdict, err);
        if (rc != VENV_OK)
            return rc;
        if (verdict.rule == VENV_PLACEMENT_OK &&
            (best == count || is_better(&c, &nodes[i], verdict.score, &nodes[best], best_score))) {
            best = i;
            best_score = verdict.score;
        }
        if (verdicts)
            verdicts[i] = verdict;
    }
    *ret_index = best;
    return VENV_OK;
}

const char *venv_placement_explain(const char *node, const venv_placement_verdict *verdict, char *buffer,
                                   size_t size)
{
    if (verdict->rule == VENV_PLACEMENT_OK) {
        char number[VENV_DOUBLE_TEXT_SIZE];
        venv_double_format(verdict->score, number);
        snprintf(buffer, size, "%s: may run it, score %s%s%s", node, number, verdict->note[0] ? "; " : "",
                 verdict->note);
    } else {
        snprintf(buffer, size, "%s: %s: needs %s, has %s", node, venv_placement_rule_name(verdict->rule),
                 verdict->needed, verdict->available);
    }
    return buffer;
}

/* After a number of nodes. */
static const char *const refused_as[VENV_PLACEMENT__COUNT] = {
    [VENV_PLACEMENT_CONNECTED] = "not connected",
    [VENV_PLACEMENT_ASKED] = "not the one asked for",
    [VENV_PLACEMENT_HYPERVISOR] = "without such a hypervisor",
    [VENV_PLACEMENT_HEALTH] = "not healthy",
    [VENV_PLACEMENT_BREAKER] = "breaker open",
    [VENV_PLACEMENT_WHERE] = "ruled out by `where`",
    [VENV_PLACEMENT_VCPUS] = "with too few vCPUs",
    [VENV_PLACEMENT_MEMORY] = "with too little memory",
};

const char *venv_placement_summary(const venv_environment *environment, const venv_placement_verdict *verdicts,
                                   size_t count, char *buffer, size_t size)
{
    size_t counts[VENV_PLACEMENT__COUNT] = { 0 };
    for (size_t i = 0; i < count; i++)
        counts[verdicts[i].rule]++;
    if (size == 0)
        return buffer;
    if (count == 0) {
        snprintf(buffer, size, "no node may run %s: there is no node", environment->name);
        return buffer;
    }
    if (counts[VENV_PLACEMENT_OK])
        snprintf(buffer, size, "%zu of %zu nodes may run %s", counts[VENV_PLACEMENT_OK], count,
                 environment->name);
    else
        snprintf(buffer, size, "no node may run %s", environment->name);
    size_t used = strlen(buffer);
    const char *separator = ": ";
    for (int rule = VENV_PLACEMENT_OK + 1; rule < VENV_PLACEMENT__COUNT; rule++) {
        if (counts[rule] == 0 || used >= size)
            continue;
        used += (size_t)snprintf(buffer + used, size - used, "%s%zu %s", separator, counts[rule], refused_as[rule]);
        separator = ", ";
    }
    if (count == 1 && verdicts[0].rule != VENV_PLACEMENT_OK && used < size)
        snprintf(buffer + used, size - used, " (needs %s, has %s)", verdicts[0].needed, verdicts[0].available);
    return buffer;
}
