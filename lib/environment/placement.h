/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_PLACEMENT_H
#define VENV_ENVIRONMENT_PLACEMENT_H

/*
 * May an instance run on a node, how good is that, and why not?
 *
 *      nodes ──rules──► those that may ──score──► the best one        (choosing: environment/pool.h)
 *                │
 *                └─ for each refused: the one rule, needed, available
 *
 * Here is one node at a time. Equal inputs give the same answer; nothing is kept.
 */

#include <venv/environment.h>
#include <venv/expr.h>

#define VENV_PLACEMENT_REASON_MAX 192 /* bytes of `needed` and `available`, with the NUL */

/* The rules, in the order in which they are looked at. The first that refuses is the one that is told. */
typedef enum venv_placement_rule {
    VENV_PLACEMENT_OK = 0,
    VENV_PLACEMENT_CONNECTED,   /* the agent is not connected */
    VENV_PLACEMENT_ASKED,       /* the asker named another node */
    VENV_PLACEMENT_MAINTENANCE, /* the node is in maintenance: since when, and by whom */
    VENV_PLACEMENT_HYPERVISOR,  /* it has none, it cannot be reached, or is of another kind */
    VENV_PLACEMENT_ZONE,        /* it is in another zone of trust */
    VENV_PLACEMENT_HEALTH,      /* the caller refuses: `refused`, or a bar of the instance, says why */
    VENV_PLACEMENT_BREAKER,     /* a circuit breaker is open: `breaker` says which */
    VENV_PLACEMENT_WHERE,       /* `where` is false, unknown, or failed */
    VENV_PLACEMENT_AFFINITY,    /* it is to be beside what is not there, or away from what is */
    VENV_PLACEMENT_PIN,         /* too few processors that no other instance is bound to */
    VENV_PLACEMENT_VCPUS,
    VENV_PLACEMENT_MEMORY,
    VENV_PLACEMENT__COUNT
} venv_placement_rule;

/* "connected", "asked", "maintenance", "hypervisor", "zone", "health", "breaker", "where", "affinity", "pin", "vcpus", "memory"; "ok". */
const char *venv_placement_rule_name(venv_placement_rule rule);
/* It refuses for want of room: what could be otherwise if others were not there. */
bool venv_placement_is_room(venv_placement_rule rule);

/* What the manager knows about one node; everything is borrowed. */
typedef struct venv_placement_node {
    const char *name;
    bool connected;
    bool reachable;              /* its hypervisor answers */
    uint32_t kinds;              /* set of 1u << venv_hypervisor_kind that it can run */
    const char *maintenance;     /* not NULL: "since … by …" */
    const char *zone;            /* of trust, as the manager's administrator says; NULL: none */
    const char *refused;         /* not NULL: refused by the caller, and why */
    const char *breaker;         /* not NULL: which circuit breaker refuses it, and until when */
    uint32_t cpus;               /* processors */
    uint32_t vcpus;              /* capacity in vCPUs: processors × what overcommit the administrator allows */
    uint64_t memory_bytes;       /* capacity for guests, overcommit included */
    uint32_t used_cpus;          /* processors that instances are bound to */
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

/* Refuse, in words, cut at a whole character. */
void venv_placement_refuse(venv_placement_verdict *verdict, venv_placement_rule rule, const char *needed, const char *available);

/*
 * The rules that what runs on the node has no part in, and the score of `prefer` (0 without one). `context` is reused memory
 * for the expressions. Fails only for VENV_ENOMEM.
 */
venv_rc venv_placement_judge(const venv_environment *environment, const venv_placement_node *node, venv_expr_context *context,
                             void *expr_data, venv_placement_verdict *verdict, venv_error *err);

/* Is there room: VENV_PLACEMENT_OK, _PIN, _VCPUS or _MEMORY. */
venv_placement_rule venv_placement_room(const venv_environment *environment, const venv_placement_node *node);
/* The same, in words. */
void venv_placement_judge_room(const venv_environment *environment, const venv_placement_node *node, venv_placement_verdict *verdict);

/* 0..1: how full the node would be with the instance on it, by the scarcer resource. */
double venv_placement_fullness(const venv_environment *environment, const venv_placement_node *node);

/* One line for people: "node07: memory: needs 2 GiB, has 1.5 GiB of 8 GiB free". Returns `buffer`. */
const char *venv_placement_explain(const char *node, const venv_placement_verdict *verdict, char *buffer, size_t size);

/* Why none of them may, by how many each rule refuses: "no node may run class2: 3 with too little memory". Returns `buffer`. */
const char *venv_placement_summary(const char *environment, const size_t counts[VENV_PLACEMENT__COUNT], char *buffer, size_t size);

#endif
