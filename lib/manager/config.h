/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MANAGER_CONFIG_H
#define VENV_MANAGER_CONFIG_H

/*
 * The manager's configuration: manager.yaml and the files that it includes (venv-mgr.yaml(5)).
 *
 * It reads no file: the shell asks which further files there are, reads them, and hands over all texts. Time zones
 * that expressions name are asked for, too.
 * Everything is checked here, expressions and environments included, so that what was loaded can run.
 */

#include <venv/common.h>
#include <venv/expr.h>
#include <venv/value.h>

#define VENV_MANAGER_LISTEN_MAX   16u
#define VENV_MANAGER_GROUPS_MAX   64u
#define VENV_MANAGER_RATES_MAX    64u
#define VENV_MANAGER_SOURCES_MAX  256u
#define VENV_MANAGER_NODE_RULES_MAX 256u
#define VENV_MANAGER_INCLUDES_MAX 64u

/* One configuration file as the shell read it. Both borrowed for the call. */
typedef struct venv_manager_source {
    const char *file; /* for messages */
    venv_str text;
} venv_manager_source;

/* Frames a second to all agents of one group. */
typedef struct venv_manager_rate {
    char *group;
    uint64_t rate, burst;
} venv_manager_rate;

/* What the administrator says of some nodes. */
typedef struct venv_manager_node_rule {
    char who[VENV_NAME_MAX + 2]; /* a node, or @ and a group */
    bool has_vcpu_overcommit, has_memory_overcommit;
    double vcpu_overcommit, memory_overcommit;
    char zone[VENV_NAME_MAX + 1]; /* of trust; empty: it does not say */
} venv_manager_node_rule;

/* The parts are read directly by the shell and by the core; they never change after loading. */
struct venv_manager_config {
    char *name;             /* of the manager; its certificate is for `venv://CLUSTER/manager/NAME` */
    char *cluster;          /* NULL until venv_manager_config_identify() */
    char **listen;          /* "ADDRESS:PORT" */
    size_t listen_count;
    char *state;            /* place of the store: a folder, in which is manager.db; or "memory:" */
    char *tls_ca, *tls_certificate, *tls_key;
    venv_span tick;         /* unit of `every` */
    venv_span heartbeat;    /* a peer that is silent for this long is asked */
    venv_span first_frame;  /* a peer that says nothing for this long after it connected is closed */
    venv_span suspect;      /* silent for this long: suspect */
    venv_span lost;         /* silent for this long: the session is closed */
    venv_span name_hold;    /* a name stays with its machine for this long after it was heard last */
    uint64_t connect_rate;  /* agents let in in a second */
    char *groups[VENV_MANAGER_GROUPS_MAX]; /* that it serves; none: all */
    size_t group_count;
    venv_span action_timeout; /* an action that has no result by then is unknown */
    venv_span move_timeout; /* the same for what moves memory: save, restore, migrate */
    venv_span pending_timeout; /* an instance that no node could take by then has failed */
    venv_span grace;        /* between the request to shut down and the power switch, where nobody says otherwise */
    double vcpu_overcommit; /* vCPUs that are given out for each processor of a node */
    double memory_overcommit; /* the same for memory */
    venv_manager_node_rule node_rules[VENV_MANAGER_NODE_RULES_MAX]; /* the first that says something of a node counts */
    size_t node_rule_count;
    uint64_t memory_reserve; /* bytes of each node that guests do not get */
    venv_span retention;    /* ended actions, instances and answers to requests are kept this long */
    venv_span history;      /* samples are kept this long; 0: none are recorded */
    uint64_t history_max;   /* bytes of all files of the history */
    uint64_t events_max;    /* entries of the log of events that are kept */
    uint64_t send_rate;     /* frames a second to agents, 0 = as fast as they go (requirement A14) */
    uint64_t send_burst;
    venv_manager_rate rates[VENV_MANAGER_RATES_MAX]; /* the same for the agents of a group */
    size_t rate_count;
    uint32_t breaker_failures; /* failures of starts in the window that open a circuit breaker; 0: there are none */
    venv_span breaker_window, breaker_retry, breaker_retry_max;
    uint32_t start_nodes;    /* nodes that a start is tried on, one after the other */
    venv_value settings;     /* the section manager as it was checked, with what was left out */
    venv_value environments; /* name → definition, checked by lib/environment */
    venv_value triggers;     /* name → definition, checked by lib/trigger */
    venv_value mail;         /* settings, null if there are none; webhooks: name → settings; plugins: a list of folders */
    venv_value webhooks, plugins;
    venv_expr_zone_fn zone;  /* of the time zones in triggers */
    void *zone_user;
};
typedef struct venv_manager_config venv_manager_config;

/* The patterns under `include` of the main file, as written: a list of strings. The shell expands them relative to
 * the file's folder, sorted. */
venv_rc venv_manager_config_includes(const venv_manager_source *source, venv_value *ret_patterns, venv_error *err);

/* All sources make one configuration; the first one is the main file. A name given twice (environment, trigger) is an error.
 * `zone` gives the data of time zones, here and for as long as the configuration is used; NULL: UTC and offsets only. */
venv_rc venv_manager_config_new(const venv_manager_source *sources, size_t count, venv_expr_zone_fn zone, void *zone_user,
                                venv_manager_config **ret_config, venv_error *err);

/* The certificate says of which cluster we are. VENV_EINVAL if its name is not that of the configuration. */
venv_rc venv_manager_config_identify(venv_manager_config *config, const char *cluster, const char *name, venv_error *err);
void venv_manager_config_free(venv_manager_config *config);

/* The rows of the main file, for the manual page (codec/config.h). */
struct venv_config_row;
const struct venv_config_row *venv_manager_config_rows(void);

#endif
