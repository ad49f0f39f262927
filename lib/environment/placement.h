/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_PLACEMENT_H
#define VENV_ENVIRONMENT_PLACEMENT_H

/*
 * On which node may an instance run, which is best, and why not the others?
 *
 *      candidates ──filter──► those that may ──score──► the best one
 *                     │
 *                     └─ for each refused: the one rule, needed, available
 *
 * Deterministic: equal inputs in any order of candidates give the same node (ties: fuller node first, then
 * the name). It keeps no state: the caller counts what it has placed and not yet seen (`reserved_…`).
 */

#include <venv/environment.h>
#include <venv/expr.h>

#define VENV_PLACEMENT_REASON_MAX 192 /* bytes of `needed` and `available`, with the NUL */

/* The rules, in the order in which they are looked at. The first that refuses is the one that is told. */
typedef enum venv_placement_rule {
    VENV_PLACEMENT_OK = 0,
    VENV_PLACEMENT_CONNECTED,   /* the agent is not connected */
    VENV_PLACEMENT_ASKED,       /* the asker named another node */
    VENV_PLACEMENT_HYPERVISOR,  /* it has none, it cannot be reached, or is of another kind */
    VENV_PLACEMENT_HEALTH,      /* the caller refuses: `refused` says why */
    VENV_PLACEMENT_BREAKER,     /* a circuit breaker is open: `breaker` says which */
    VENV_PLACEMENT_WHERE,       /* `where` is false, unknown, or failed */
    VENV_PLACEMENT_VCPUS,
    VENV_PLACEMENT_MEMORY,
    VENV_PLACEMENT__COUNT
} venv_placement_rule;

/* "connected", "asked", "hypervisor", "health", "breaker", "where", "vcpus", "memory"; "ok". */
const char *venv_placement_rule_name(venv_placement_rule rule);

/* What the manager knows about one node; everything is borrowed for the call. */
typedef struct venv_placement_node {
    const char *name;
    bool connected;
    bool reachable;              /* its hypervisor answers */
    uint32_t kinds;              /* set of 1u << venv_hypervisor_kind that it can run */
    const char *refused;         /* not NULL: refused by the caller, and why */
    const char *breaker;         /* not NULL: which circuit breaker refuses it, and until when */
    uint32_t vcpus;              /* capacity in vCPUs: processors × what overcommit the administrator allows */
    uint64_t memory_bytes;       /* capacity for guests */
    uint32_t used_vcpus;         /* of all domains on it, foreign ones included, and of what was placed and is not seen yet */
    uint64_t used_memory_bytes;
    const venv_value *node;      /* what `node` is in where and prefer: a map (unknown values inside it are venv_expr_unknown()); or NULL: */
    venv_expr_resolve_fn resolve;/* … asked for paths that begin with `node` */
    void *resolve_user;
} venv_placement_node;

typedef struct venv_placement_verdict {
    venv_placement_rule rule;    /* VENV_PLACEMENT_OK: it may */
    double score;                /* valid if it may; higher is better */
    char needed[VENV_PLACEMENT_REASON_MAX];    /* "2 vCPUs", the text of `where` */
    char available[VENV_PLACEMENT_REASON_MAX]; /* "1 of 4 free", "false", "unknown: node.p.memfree", the error's text */
    char note[VENV_PLACEMENT_REASON_MAX];      /* "prefer is unknown …": it may, but without that score; or empty */
} venv_placement_verdict;

/*
 * Judge every node and choose one. `asked` is the node that the asker named, or NULL.
 * `verdicts` (count of them, or NULL) gets one entry a node. `*ret_index` is the chosen one, or `count` if none may.
 * `context` is reused memory for the expressions. Fails only for VENV_ENOMEM; the choice "none" is VENV_OK.
 */
venv_rc venv_placement_choose(const venv_environment *environment, const char *asked,
                              const venv_placement_node *nodes, size_t count,
                              venv_expr_context *context, void *expr_data,
                              venv_placement_verdict *verdicts, size_t *ret_index, venv_error *err);

/* One line for people: "node07: memory: needs 2 GiB, has 1.5 GiB of 8 GiB free". Returns `buffer`. */
const char *venv_placement_explain(const char *node, const venv_placement_verdict *verdict, char *buffer, size_t size);

/* Why none of `count` nodes may: "no node may run class2: 3 × memory, 1 × where". Returns `buffer`. */
const char *venv_placement_summary(const venv_environment *environment, const venv_placement_verdict *verdicts,
                                   size_t count, char *buffer, size_t size);

#endif
