/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_REPLAY_REPLAY_H
#define VENV_REPLAY_REPLAY_H

/*
 * What the files of this folder share.
 *
 *      replay.c    the public face; time; reports; orders
 *      past.c      agents and properties as they were recorded, and how expressions see them
 *      machines.c  instances: those that were, those of the model, and their hours
 */

#include "base/cleanup.h"
#include "base/table.h"

#include <venv/replay.h>

#define AGENTS_MAX      65536u
#define PROPERTIES_MAX  1048576u
#define MACHINES_MAX    262144u
#define ENVIRONMENTS_MAX 4096u

typedef struct past_property {
    char *label;
    venv_value value;
    venv_quality quality;
    venv_wall time;
    bool declared;       /* the agent has it, whether or not it was ever sampled */
} past_property;

typedef struct past_agent {
    char *name;
    bool connected, was_connected;
    bool hosts;          /* an instance was seen on it */
    const char *state;   /* of venv_member_state_name() */
    venv_value groups;   /* a list */
    venv_table *properties; /* label → past_property */
    venv_wall heard, updated;
    venv_value cached;   /* what expressions see; null when something changed */
} past_agent;

typedef struct machine {
    char *name, *environment, *node;
    const char *state;
    bool modelled, by_trigger, over, confirmed;
    venv_wall begun, since, started; /* started: modelled, when it was let through */
} machine;

typedef struct environment {
    char *name;
    bool managed;        /* the triggers start or stop it: what triggers started is left out */
    uint64_t would_start, did_start, next_name, boots;
    double would_s, did_s, did_triggers_s, boot_s; /* boot_s: sum over `boots` */
} environment;

struct venv_replay {
    venv_replay_options options;
    venv_triggers *triggers;
    venv_trigger_reports reports;
    venv_table *agents;       /* name → past_agent */
    venv_table *machines;     /* name → machine */
    venv_table *environments; /* name → environment */
    venv_value agents_cached;
    bool agents_stale, started, first;
    bool held;                /* the manager began nothing new */
    bool has_policy;          /* something is recorded of it: else whether a breaker was open is not known */
    venv_value breakers;      /* those that were not closed; null: none */
    venv_now now;
    venv_rc rc;               /* sticks */
    uint64_t samples;
    size_t property_count;
};

/* past.c */
void venv_replay_take_property(venv_replay *r, const venv_history_sample *sample);
void venv_replay_take_agent(venv_replay *r, const venv_history_sample *sample);
void venv_replay_take_declaration(venv_replay *r, const venv_history_sample *sample);
void venv_replay_stale(venv_replay *r, past_agent *a);
void venv_replay_forget_all(venv_replay *r); /* the manager was started anew */
venv_trigger_world venv_replay_world(venv_replay *r);
void venv_replay_past_free(venv_replay *r);

/* policy.c: what kept triggers from acting, and what their limits count. */
void venv_replay_take_policy(venv_replay *r, const venv_history_sample *sample);
const char *venv_replay_breaker_state(const venv_replay *r, bool of_node, const char *name);
venv_rc venv_replay_ask_breaker(void *user, venv_str name, venv_value *ret_map, venv_error *err);
void venv_replay_touches(void *user, const venv_order *order, venv_trigger_agent_fn each, void *each_user);
size_t venv_replay_members(void *user, const char *group);
bool venv_replay_is_member(void *user, const char *group, const char *name);
/* The node that a start of the model goes to: of those that are known to run instances the one with the fewest; NULL: none is known. */
const char *venv_replay_place(venv_replay *r, size_t ahead);

/* machines.c */
/* Those that a stop would take, in its order; free() it. NULL: no memory (noted). */
machine **venv_replay_stop_select(venv_replay *r, const venv_value *arguments, size_t *ret_count);
/* A breaker has closed, or is half-open: what waits for it begins. */
void venv_replay_machines_let_through(venv_replay *r);
environment *venv_replay_environment(venv_replay *r, const char *name);
void venv_replay_take_instance(venv_replay *r, const venv_history_sample *sample);
void venv_replay_start(venv_replay *r, const venv_value *arguments);
void venv_replay_stop(venv_replay *r, const venv_value *arguments);
/* The next moment at which a modelled instance changes; INT64_MAX if none does. And: those that do now. */
int64_t venv_replay_machines_next(const venv_replay *r);
void venv_replay_machines_advance(venv_replay *r);
venv_rc venv_replay_instances(venv_replay *r, const char *environment_name, venv_value *ret_list, venv_error *err);
void venv_replay_machines_finish(venv_replay *r);
void venv_replay_machines_free(venv_replay *r);
bool venv_replay_text(venv_str text, char *to, size_t size);

#endif
