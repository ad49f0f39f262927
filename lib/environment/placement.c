/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement on one node: the rules in their order, room, and how full it would be.
 */
#include "environment/placement.h"

#include "base/number.h"
#include "base/seeded.h"
#include "environment/demand.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *venv_placement_rule_name(venv_placement_rule rule)
{
    static const char *const names[VENV_PLACEMENT__COUNT] = {
        [VENV_PLACEMENT_OK] = "ok",           [VENV_PLACEMENT_CONNECTED] = "connected",     [VENV_PLACEMENT_ASKED] = "asked",
        [VENV_PLACEMENT_MAINTENANCE] = "maintenance", [VENV_PLACEMENT_HYPERVISOR] = "hypervisor", [VENV_PLACEMENT_ZONE] = "zone",
        [VENV_PLACEMENT_HEALTH] = "health",   [VENV_PLACEMENT_BREAKER] = "breaker",         [VENV_PLACEMENT_WHERE] = "where",
        [VENV_PLACEMENT_AFFINITY] = "affinity", [VENV_PLACEMENT_PIN] = "pin",               [VENV_PLACEMENT_VCPUS] = "vcpus",
        [VENV_PLACEMENT_MEMORY] = "memory",
    };
    return (unsigned)rule < VENV_PLACEMENT__COUNT ? names[rule] : "unknown";
}

bool venv_placement_is_room(venv_placement_rule rule)
{
    return rule == VENV_PLACEMENT_PIN || rule == VENV_PLACEMENT_VCPUS || rule == VENV_PLACEMENT_MEMORY;
}

/* What one judgement is made with. */
typedef struct choosing {
    const venv_environment *environment;
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

void venv_placement_refuse(venv_placement_verdict *verdict, venv_placement_rule rule, const char *needed, const char *available)
{
    verdict->rule = rule;
    say(verdict->needed, needed);
    say(verdict->available, available);
}

static venv_rc refuse(venv_placement_verdict *verdict, venv_placement_rule rule, const char *needed,
                      const char *available)
{
    venv_placement_refuse(verdict, rule, needed, available);
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
    venv_hypervisor_kind kind = c->environment->is.hypervisor;
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
    if (!environment->is.where || VENV_SEEDED(WHERE_IGNORED))
        return VENV_OK;
    if (!environment->where)
        return refuse(verdict, VENV_PLACEMENT_WHERE, environment->is.where, "the expression was not compiled");
    venv_expr_result result;
    char why[VENV_PLACEMENT_REASON_MAX];
    venv_rc rc = evaluate(c, environment->where, node, &result, why, err);
    if (rc == VENV_ENOMEM)
        return rc;
    if (rc != VENV_OK)
        return refuse(verdict, VENV_PLACEMENT_WHERE, environment->is.where, why);
    if (venv_value_kind(&result.value) != VENV_BOOL)
        return refuse(verdict, VENV_PLACEMENT_WHERE, environment->is.where, "neither true nor false");
    return venv_value_peek_bool(&result.value)
               ? VENV_OK
               : refuse(verdict, VENV_PLACEMENT_WHERE, environment->is.where, "false");
}

static venv_rc judge_zone(const choosing *c, const venv_placement_node *node, venv_placement_verdict *verdict)
{
    const venv_environment *e = c->environment;
    char needed[VENV_PLACEMENT_REASON_MAX] = "";
    size_t count = demand_zone_count(e), used = 0;
    for (size_t i = 0; i < count; i++)
        if (node->zone && strcmp(demand_zone(e, i), node->zone) == 0)
            return VENV_OK;
    for (size_t i = 0; i < count && used < sizeof needed; i++)
        used += (size_t)snprintf(needed + used, sizeof needed - used, "%s%s", i ? " or " : "zone ", demand_zone(e, i));
    return count ? refuse(verdict, VENV_PLACEMENT_ZONE, needed, node->zone ? node->zone : "no zone") : VENV_OK;
}

static uint64_t rest(uint64_t whole, uint64_t used)
{
    return used < whole ? whole - used : 0;
}

venv_placement_rule venv_placement_room(const venv_environment *environment, const venv_placement_node *node)
{
    if (VENV_SEEDED(CAPACITY_IGNORED))
        return VENV_PLACEMENT_OK;
    if (demand_pinned(environment) && environment->is.vcpus > rest(node->cpus, node->used_cpus))
        return VENV_PLACEMENT_PIN;
    if (environment->is.vcpus > rest(node->vcpus, node->used_vcpus))
        return VENV_PLACEMENT_VCPUS;
    return environment->is.memory_bytes > rest(node->memory_bytes, node->used_memory_bytes) ? VENV_PLACEMENT_MEMORY : VENV_PLACEMENT_OK;
}

void venv_placement_judge_room(const venv_environment *environment, const venv_placement_node *node, venv_placement_verdict *verdict)
{
    char needed[64], available[96], a[24], b[24];
    venv_placement_rule rule = venv_placement_room(environment, node);
    const char *s = environment->is.vcpus == 1 ? "" : "s";
    if (rule == VENV_PLACEMENT_PIN) {
        snprintf(needed, sizeof needed, "%" PRIu32 " processor%s of its own", environment->is.vcpus, s);
        snprintf(available, sizeof available, "%" PRIu64 " of %" PRIu32 " that nothing is bound to", rest(node->cpus, node->used_cpus), node->cpus);
    } else if (rule == VENV_PLACEMENT_VCPUS) {
        snprintf(needed, sizeof needed, "%" PRIu32 " vCPU%s", environment->is.vcpus, s);
        snprintf(available, sizeof available, "%" PRIu64 " of %" PRIu32 " free", rest(node->vcpus, node->used_vcpus), node->vcpus);
    } else if (rule == VENV_PLACEMENT_MEMORY) {
        snprintf(available, sizeof available, "%s of %s free", format_bytes(rest(node->memory_bytes, node->used_memory_bytes), a, sizeof a),
                 format_bytes(node->memory_bytes, b, sizeof b));
        format_bytes(environment->is.memory_bytes, needed, sizeof needed);
    }
    if (rule != VENV_PLACEMENT_OK)
        venv_placement_refuse(verdict, rule, needed, available);
}

double venv_placement_fullness(const venv_environment *environment, const venv_placement_node *node)
{
    double vcpus = node->vcpus ? ((double)node->used_vcpus + environment->is.vcpus) / node->vcpus : 0.0;
    double memory = node->memory_bytes ? ((double)node->used_memory_bytes + (double)environment->is.memory_bytes) /
                                             (double)node->memory_bytes
                                       : 0.0;
    return vcpus > memory ? vcpus : memory;
}

/* --- the score ------------------------------------------------------------------------------------- */

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
    if (!environment->prefer)
        return VENV_OK;
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

venv_rc venv_placement_judge(const venv_environment *environment, const venv_placement_node *node, venv_expr_context *context,
                             void *expr_data, venv_placement_verdict *verdict, venv_error *err)
{
    const choosing c = { environment, context, expr_data };
    if (!node->connected)
        return refuse(verdict, VENV_PLACEMENT_CONNECTED, "a connected agent", "not connected");
    if (node->maintenance)
        return refuse(verdict, VENV_PLACEMENT_MAINTENANCE, "a node in service", node->maintenance);
    judge_hypervisor(&c, node, verdict);
    if (verdict->rule == VENV_PLACEMENT_OK)
        judge_zone(&c, node, verdict);
    if (verdict->rule != VENV_PLACEMENT_OK)
        return VENV_OK;
    if (node->refused)
        return refuse(verdict, VENV_PLACEMENT_HEALTH, "a healthy node", node->refused);
    if (node->breaker)
        return refuse(verdict, VENV_PLACEMENT_BREAKER, "a closed breaker", node->breaker);
    venv_rc rc = judge_where(&c, node, verdict, err);
    return rc == VENV_OK && verdict->rule == VENV_PLACEMENT_OK ? score(&c, node, verdict, err) : rc;
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
    [VENV_PLACEMENT_MAINTENANCE] = "in maintenance",
    [VENV_PLACEMENT_HYPERVISOR] = "without such a hypervisor",
    [VENV_PLACEMENT_ZONE] = "of another zone",
    [VENV_PLACEMENT_HEALTH] = "not healthy",
    [VENV_PLACEMENT_BREAKER] = "breaker open",
    [VENV_PLACEMENT_WHERE] = "ruled out by `where`",
    [VENV_PLACEMENT_AFFINITY] = "ruled out by affinity",
    [VENV_PLACEMENT_PIN] = "with too few free processors",
    [VENV_PLACEMENT_VCPUS] = "with too few vCPUs",
    [VENV_PLACEMENT_MEMORY] = "with too little memory",
};

const char *venv_placement_summary(const char *environment, const size_t counts[VENV_PLACEMENT__COUNT], char *buffer, size_t size)
{
    size_t count = 0;
    for (int rule = 0; rule < VENV_PLACEMENT__COUNT; rule++)
        count += counts[rule];
    if (size == 0)
        return buffer;
    if (count == 0) {
        snprintf(buffer, size, "no node may run %s: there is no node", environment);
        return buffer;
    }
    if (counts[VENV_PLACEMENT_OK])
        snprintf(buffer, size, "%zu of %zu nodes may run %s", counts[VENV_PLACEMENT_OK], count, environment);
    else
        snprintf(buffer, size, "no node may run %s", environment);
    size_t used = strlen(buffer);
    const char *separator = ": ";
    for (int rule = VENV_PLACEMENT_OK + 1; rule < VENV_PLACEMENT__COUNT; rule++) {
        if (counts[rule] == 0 || used >= size)
            continue;
        used += (size_t)snprintf(buffer + used, size - used, "%s%zu %s", separator, counts[rule], refused_as[rule]);
        separator = ", ";
    }
    return buffer;
}
