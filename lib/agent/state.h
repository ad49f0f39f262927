/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_STATE_H
#define VENV_AGENT_STATE_H

/* The inside of the agent, shared by the files of this folder. Each struct is owned by the file named beside it. */

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/machine.h"
#include "base/random.h"
#include "base/seeded.h"
#include "base/table.h"
#include "message/session.h"

enum {
    AGENT_WAITERS_MAX = 64,       /* FETCHPROP requests that wait for a sampling */
    AGENT_EXECUTIONS_MAX = 64,    /* EXECUTE requests that wait or run */
    AGENT_ANSWERS_MAX = 128,      /* finished EXECUTE requests whose answers are kept… */
    AGENT_ANSWERS_SIZE_MAX = 8 << 20, /* …and their size in all */
    AGENT_IDS_MAX = 1024,         /* ids of EXECUTE requests that are known longer than their answers */
    AGENT_MACHINES_MAX = 4096,    /* machines that are, or were lately, on the node */
    AGENT_DONE_MAX = 256,         /* ids of finished machine actions and how they ended */
    AGENT_PUSH_SIZE_MAX = 192 << 10,       /* samples in one PUSH */
    AGENT_PUSH_UNCONFIRMED_MAX = 1 << 20,  /* pushed and not yet confirmed: past it samples wait, and are dropped */
    AGENT_TOLD_SIZE_MAX = 768 << 10, /* reasons and paths of consoles in one MACHINES */
    AGENT_EXECLIST_SIZE_MAX = 240 << 10, /* names and paths in one EXECLIST */
    AGENT_LISTED_MAX = 200,       /* machines in the built-in property `hypervisor` */
    AGENT_MARKS_MAX = 8,          /* managers whose state is remembered */
    AGENT_LISTS_MAX = 16,         /* EXECLIST requests that wait for the index */
};

/* link.c: the connection to the manager. */
typedef enum agent_link_state {
    LINK_WAITING = 0, /* nothing is dialed before `dial_at` */
    LINK_DIALING,     /* CONNECT was asked for */
    LINK_OPEN,        /* connected; the session says how far it is */
    LINK_CLOSING,     /* CLOSE was asked for, DISCONNECTED has not come */
} agent_link_state;

typedef struct agent_link {
    agent_link_state state;
    venv_session session;
    venv_instant dial_at;    /* WAITING: when; DIALING: when the attempt is given up */
    uint32_t failures;       /* attempts since it was up last */
    bool welcomed;           /* this connection got as far as WELCOME */
    uint64_t trouble;        /* hash of the last reason that was logged; 0: none since it was up */
    size_t manager;          /* which one is tried */
    char manager_name[VENV_NAME_MAX + 1]; /* of this connection, from its WELCOME */
    venv_span after;         /* how long somebody asked us to stay away; 0: back-off as usual */
    bool has_after;
    venv_span spread;        /* over how long those who lose this manager at one moment come back; as it said */
} agent_link;

/* push.c: samples on their way to the manager. */
typedef struct agent_push {
    venv_instant next;       /* not before */
    uint64_t dropped;        /* values that were replaced before they could be pushed, since the last PUSH */
    uint64_t last;           /* number of the frame of the last PUSH */
    uint64_t mark;           /* number of an earlier frame… */
    uint64_t before, after;  /* …and the bytes pushed up to it and after it, that are not confirmed */
} agent_push;

/* sampling.c */
typedef struct agent_waiter {
    uint32_t slot;
    uint64_t request;
} agent_waiter;

typedef struct agent_sampling {
    uint32_t queue[VENV_PROPERTY_COUNT_MAX]; /* slots that are due and wait for a free place, a ring */
    size_t queue_first, queue_count;
    const venv_builtin *builtins[VENV_PROPERTY_COUNT_MAX]; /* by slot; NULL: a command */
    uint64_t tokens[VENV_PROPERTY_COUNT_MAX]; /* by slot: the action that samples it; 0: none */
    size_t running;                           /* commands */
    agent_waiter waiters[AGENT_WAITERS_MAX];
    size_t waiter_count;
} agent_sampling;

/* execute.c */
typedef enum agent_execution_state { EXECUTION_WAITING = 0, EXECUTION_RUNNING, EXECUTION_DONE } agent_execution_state;

typedef struct agent_execution {
    struct agent_execution *next;
    agent_execution_state state;
    venv_id id;              /* none: it cannot be asked for again */
    uint64_t token;          /* RUNNING */
    uint64_t request;        /* who is to be answered; of the last who asked */
    uint64_t connection;     /* in which that was */
    venv_value command, args; /* WAITING, RUNNING */
    venv_span timeout;
    venv_wall started;
    venv_value answer;       /* DONE: body of EXECRET */
    size_t size;             /* of the answer */
} agent_execution;

typedef struct agent_executions {
    agent_execution *first, **end; /* in order of arrival */
    size_t waiting, running, done, done_size;
    venv_id ids[AGENT_IDS_MAX];    /* of executions that were dropped, a ring */
    size_t id_next, id_count;
    uint64_t list_tokens[AGENT_LISTS_MAX]; /* EXECLIST */
    uint64_t list_requests[AGENT_LISTS_MAX];
    size_t list_count;
} agent_executions;

/* machines.c */
typedef struct agent_done {
    venv_id action, machine;
    venv_rc rc;
    char state[AGENT_STATE_SIZE]; /* as it was answered */
    char error[160];
} agent_done;

/* A question to a guest agent that is on its way. */
enum { AGENT_PROBES_MAX = 2 }; /* a guest that does not answer takes seconds of the hypervisor, and others wait for it, too */
typedef struct agent_probe {
    uint64_t token; /* of the driver's call; 0: none */
    venv_id action, machine;
    uint64_t request, connection;
} agent_probe;

typedef struct agent_machines {
    venv_table *table;       /* id → agent_machine (machine.h) */
    bool asked;              /* MACHINES is under way… */
    venv_instant asked_at;   /* …since */
    bool ask_again;          /* something changed meanwhile */
    bool answered;           /* the driver has answered once, if only that it cannot */
    bool listed;             /* it has listed its machines once: what there is is known */
    bool reachable;
    char reason[256];        /* why it is not */
    venv_value node, foreign; /* last answer */
    uint64_t version;        /* of all of this that anybody is told: changes with it */
    venv_value list;         /* what was listed last… */
    uint64_t list_version;   /* …and what was made of it */
    venv_value shown;        /* the built-in property `hypervisor`, as of shown_version */
    uint64_t shown_version;
    venv_instant next;       /* ask then */
    venv_value told;         /* body of the last MACHINES of this connection; null: none */
    uint64_t told_version;
    agent_done *done;        /* a ring of AGENT_DONE_MAX, allocated for hypervisor nodes */
    size_t done_next, done_count;
    agent_probe probes[AGENT_PROBES_MAX];
    uint64_t look_request, look_connection; /* the manager wants a fresh list… */
    unsigned look_lists;     /* …which is the one after so many */
} agent_machines;

/* images.c */
enum { AGENT_SYNCS_MAX = 4, AGENT_IMAGE_SIZE = 96, AGENT_SYNC_TIMEOUT_S = 3600 };

typedef struct agent_sync {
    uint64_t token;          /* 0: free */
    uint64_t request, connection;
    venv_instant end;
    char image[AGENT_IMAGE_SIZE];
} agent_sync;

/* memory.c */
typedef struct agent_memory {
    bool changed;            /* since the last KEEP */
    uint64_t kept;           /* number of the last KEEP */
    uint64_t starts;         /* of this agent, as far as it remembers; this one counts */
} agent_memory;
/* marks.c: what managers asked to be remembered of their state. */
typedef struct agent_mark {
    char manager[VENV_NAME_MAX + 1];
    venv_value mark;         /* as it came */
} agent_mark;

struct venv_agent {
    const venv_agent_config *config;
    venv_id boot;
    venv_random random;
    venv_property_set *properties;
    char groups[VENV_AGENT_GROUPS_MAX][VENV_GROUP_NAME_MAX + 1];
    size_t group_count;
    uint64_t token;          /* last one given out */
    uint64_t connection;     /* number of the current or last connection */
    bool exiting;
    agent_link link;
    agent_mark marks[AGENT_MARKS_MAX]; /* the last one first */
    size_t mark_count;
    agent_push push;
    agent_sampling sampling;
    agent_executions executions;
    agent_machines machines;
    agent_memory memory;
    agent_sync syncs[AGENT_SYNCS_MAX];
};

/* One step: what every function below is handed. */
typedef struct agent_step {
    venv_agent *agent;
    venv_now now;
    venv_agent_actions *actions;
    venv_error *err;
    venv_rc rc;              /* the first failure; it sticks */
} agent_step;

/* actions.c. All of them stick their failure to step->rc, and take the values that they are given. */
venv_agent_action *venv_agent_act(agent_step *step, venv_agent_action_kind kind); /* NULL once the step has failed */
void venv_agent_log(agent_step *step, int level, const char *format, ...) VENV_PRINTF(3, 4);
void venv_agent_fail(agent_step *step, venv_rc rc);
bool venv_agent_text_dup(agent_step *step, const char *text, size_t size, char **ret_text);
uint64_t venv_agent_token(agent_step *step);
/* Finish a map and send it; nothing is sent while there is no session. */
void venv_agent_send(agent_step *step, int16_t type, uint64_t request, venv_value body);
void venv_agent_send_map(agent_step *step, int16_t type, uint64_t request, venv_map_builder *body);

/* link.c */
void venv_agent_link_start(venv_agent *agent, venv_now now);
void venv_agent_link_connected(agent_step *step);
void venv_agent_link_disconnected(agent_step *step, const char *reason);
void venv_agent_link_frame(agent_step *step, const venv_agent_event *event);
void venv_agent_link_tick(agent_step *step);
void venv_agent_link_drop(agent_step *step, const char *reason, const venv_span *after);
bool venv_agent_link_is_up(const venv_agent *agent);
venv_instant venv_agent_link_deadline(const venv_agent *agent);

/* marks.c */
void venv_agent_marks_take(agent_step *step, const venv_value *mark);
void venv_agent_marks_put(agent_step *step, venv_map_builder *hello);
venv_value venv_agent_marks_value(agent_step *step);
venv_rc venv_agent_marks_restore(venv_agent *agent, const venv_value *marks, venv_error *err);
void venv_agent_marks_fini(venv_agent *agent);

/* push.c */
bool venv_agent_push_hello(agent_step *step, venv_map_builder *hello);
void venv_agent_push_tick(agent_step *step);
void venv_agent_push_reset(venv_agent *agent);
venv_instant venv_agent_push_deadline(const venv_agent *agent);
venv_value venv_agent_property_list(agent_step *step);

/* sampling.c */
void venv_agent_sampling_init(venv_agent *agent);
void venv_agent_sampling_tick(agent_step *step);
bool venv_agent_sampling_sampled(agent_step *step, const venv_agent_event *event);
bool venv_agent_sampling_ran(agent_step *step, uint64_t token, const venv_run_outcome *run);
void venv_agent_sampling_get(agent_step *step, uint64_t request, const venv_value *body);
void venv_agent_sampling_fetch(agent_step *step, uint64_t request, const venv_value *body);
void venv_agent_sampling_hypervisor(agent_step *step); /* the driver has answered: take over what it said */
void venv_agent_sampling_forget_waiters(venv_agent *agent);
venv_instant venv_agent_sampling_deadline(const venv_agent *agent);
void venv_agent_property_refuse(agent_step *step, uint64_t request, venv_str label, venv_rc rc, const char *error);

/* execute.c */
void venv_agent_execute(agent_step *step, uint64_t request, const venv_value *body);
bool venv_agent_execute_ran(agent_step *step, uint64_t token, const venv_run_outcome *run);
void venv_agent_execute_listed(agent_step *step, const venv_agent_event *event);
void venv_agent_execute_know(agent_executions *executions, venv_id id); /* it was begun: never again */
void venv_agent_execute_fini(venv_agent *agent);

/* memory.c */
void venv_agent_memory_change(agent_step *step);
uint64_t venv_agent_memory_number(const venv_agent *agent);
void venv_agent_memory_tick(agent_step *step);

/* images.c */
void venv_agent_images_sync(agent_step *step, uint64_t request, const venv_value *body);
void venv_agent_images_synced(agent_step *step, const venv_agent_event *event);
void venv_agent_images_tick(agent_step *step);
venv_instant venv_agent_images_deadline(const venv_agent *agent);

/* control.c */
void venv_agent_control(agent_step *step, uint64_t request, const venv_value *body);
void venv_agent_put_groups(agent_step *step, venv_map_builder *map);

/* machines.c */
venv_rc venv_agent_machines_init(venv_agent *agent, uint64_t seed, venv_now now, venv_error *err);
void venv_agent_machines_fini(venv_agent *agent);
void venv_agent_machines_frame(agent_step *step, int16_t type, uint64_t request, const venv_value *body);
void venv_agent_machines_done(agent_step *step, const venv_agent_event *event);
void venv_agent_machines_listed(agent_step *step, const venv_agent_event *event);
void venv_agent_machines_tick(agent_step *step);
void venv_agent_machines_tell(agent_step *step); /* MACHINES, now: after WELCOME */
void venv_agent_machines_look(agent_step *step, uint64_t request); /* list anew, and tell under this request */
venv_instant venv_agent_machines_deadline(const venv_agent *agent);

/* hypervisor.c: the built-in property of that name, from what machines.c knows; or why there is none. */
venv_rc venv_agent_hypervisor_value(agent_step *step, venv_value *ret_value, char *reason, size_t size);

#endif
