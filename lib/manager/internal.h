/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MANAGER_INTERNAL_H
#define VENV_MANAGER_INTERNAL_H

/*
 * What the files of the manager's core share.
 *
 *      core.c       step: event → …; sweep; rows at the start     effects.c   what leaves the core
 *      peers.c      connections, sessions, HELLO                  sender.c    the queued sender
 *      admit.c      which agents are let in
 *      agents.c     agents: properties, liveness                  world.c     what triggers and placement see
 *      instances.c  instances and their table                     reconcile.c what nodes tell about machines
 *      place.c      choosing a node                               deeds.c     durable actions
 *      calls.c      requests to agents, and gathering answers     fire.c      triggers → deeds
 *      select.c     which agents are meant
 *      requests.c   what users ask for                            answers.c   kept and awaited answers
 *      lists.c      what users see
 *      breakers.c   circuit breakers of environments and nodes    reload.c    another configuration
 *      proposals.c  what triggers propose                         touches.c   which agents an order touches
 *      events.c     the log of events                             rows.c      rows of the store
 *      recorder.c   the history                                   guard.c     when nothing may be done
 *      samples.c    what decisions rested on                      evidence.c  what is kept of why
 *      export.c     every row, whatever has changed               record.c    the flight recorder
 *      changes.c    pause, save, migrate …                        retention.c what is old enough to go
 *      deliver.c    mail, webhooks, plug-ins                      outside.c   where they may go
 *      maintenance.c nodes that are emptied                       preempt.c   who makes room for whom
 *      catalog.c   versions of environments
 *      scale.c      as many as are desired                        drain.c     out of work, and then stopped
 *      why.c        why: asking, reading the log                  chain.c     why: the chain of causes
 *
 * The words: the header calls what leaves the core an *action*; an action in the sense of people (a start,
 * a stop, with id, parent, state and result) is a `deed` here, so that the two are not confused.
 *
 * Lack of memory sticks: it is noted in `m->rc`, the step goes on as far as it can, and then fails as a
 * whole. Nothing of a failed step may be carried out; the manager restarts from its rows.
 */

#include "base/log.h"
#include "base/random.h"
#include "base/seeded.h"
#include "base/table.h"
#include "environment/instance.h"
#include "environment/pool.h"
#include "history/journal.h"
#include "manager/config.h"
#include "manager/manager.h"
#include "message/session.h"

#include <venv/environment.h>
#include <venv/group.h>
#include <venv/property.h>
#include <venv/text.h>
#include <venv/trigger.h>

/* --- bounds ------------------------------------------------------------------------------------------ */
#define PEERS_MAX          70000u
#define INSTANCES_MAX      100000u /* ended ones included */
#define DEEDS_MAX          100000u
#define CATALOG_MAX        65536u  /* environments, those that are gone included */
#define PROPOSALS_MAX      10000u  /* ended ones included */
#define REQUESTS_MAX       100000u /* answers kept */
#define CALLS_MAX          65536u  /* requests that agents have not answered */
#define GATHERS_MAX        4096u
#define WAITERS_MAX        4096u
#define START_COUNT_MAX    1000u   /* instances that one request can ask for */
#define OUTBOX_MAX         32768u  /* frames that the queued sender holds back */
#define READ_PAGE          256u    /* events asked for at once */
#define READS_MAX          1024u
#define RESULT_OUTPUT_MAX  (3u << 20) /* bytes of output in one answer */
#define ROW_OUTPUT_MAX     4096u   /* bytes of output that a deed's row keeps */
#define PAST_MAX           32u     /* lineages of the state that were given up */
#define REASON_MAX         256
#define BY_MAX             (VENV_NAME_MAX + 16)
#define TRIGGER_ROUNDS_MAX 8       /* evaluations that follow from each other in one step */

#define SWEEP_NS (VENV_NS_PER_S / 2)

/* --- agents ------------------------------------------------------------------------------------------ */

typedef struct kept_property {
    char *label, *unit, *type, *source;
    int64_t every;
    venv_value value;
    venv_quality quality;
    bool has_time;
    venv_wall time;
    char *reason;
    uint32_t series;        /* in the history; 0: none yet */
    uint32_t declared;      /* the series of its declaration, and the hash of the last one that is in it */
    uint64_t declaration;
} kept_property;

/* Another machine, or an older run, that comes under the name of an agent. */
typedef struct duplicate {
    uint64_t count;         /* times that it was refused; 0: there is none */
    venv_id machine;
    char address[64];
    venv_wall first, last;
    venv_instant told;      /* in the log of events */
} duplicate;

/* A node that nothing is placed on, and what is done to what is there (maintenance.c). */
typedef enum drain_kind { DRAIN_NONE = 0, DRAIN_MIGRATE, DRAIN_STOP, DRAIN_SAVE, DRAIN__COUNT } drain_kind;
typedef struct maintenance {
    venv_wall since;
    char by[BY_MAX], why[REASON_MAX], trouble[REASON_MAX]; /* trouble: why something cannot leave */
    drain_kind drain;
    venv_id action;
} maintenance;

typedef struct agent {
    char *name;
    uint64_t peer;          /* 0: no session */
    venv_id boot, machine;  /* machine: of the computer; may be none */
    uint64_t starts;        /* how often it was started, as it says; 0: it does not say */
    duplicate duplicate;
    char *program, *address;
    kept_property *properties; /* by slot */
    size_t property_count;
    venv_table *labels;     /* label → kept_property */
    bool has_queue;         /* it defines `queue`, or did when it was last connected */
    venv_instant joined;    /* this session */
    bool hypervisor;        /* it has sent MACHINES */
    bool machines_known;    /* … in this session */
    bool reachable;
    char *unreachable_reason;
    venv_value node;        /* node info of MACHINES */
    uint32_t foreign_vcpus;
    uint64_t foreign_memory;
    int64_t foreign_count;
    uint32_t stray_vcpus;   /* of machines that should be elsewhere, and are on this node, too */
    uint64_t stray_memory;
    venv_instant unseen;    /* since when its machines cannot be seen; NEVER while they can */
    uint64_t dropped;       /* samples that it dropped */
    venv_wall updated;      /* when a value came last; 0: none since the manager began */
    venv_value cached;      /* what expressions see; null when something changed */
    venv_wall cached_heard, cached_updated; /* as in it */
    maintenance *maintenance; /* NULL: it is not */
    uint32_t series;
    bool dirty;
} agent;

/* --- instances --------------------------------------------------------------------------------------- */

/* How one is drained (drain.c). */
typedef enum drain_step { DRAIN_STEP_COMMAND = 0, DRAIN_STEP_RUNS, DRAIN_STEP_IDLE } drain_step;
typedef struct drain_wish {
    bool save, by_scale;
    venv_span time;  /* until it is stopped with its work; 0: never */
    venv_span grace; /* of the stop */
    char why[REASON_MAX];
} drain_wish;

/* What is being done to it (changes.c). */
typedef enum change_kind { CHANGE_NONE = 0, CHANGE_PAUSE, CHANGE_RESUME, CHANGE_SAVE, CHANGE_RESTORE, CHANGE_MIGRATE,
                           CHANGE_REBOOT, CHANGE_CHECKPOINT, CHANGE_REVERT, CHANGE__COUNT } change_kind;
typedef enum has { HAS_UNKNOWN = 0, HAS_NOT, HAS_IT, HAS_MOVING, HAS_OVER } has;

typedef struct instance {
    venv_id id;
    char *name, *environment, *node; /* node: NULL before placing */
    uint64_t epoch;
    venv_instance_state state;
    venv_instant since;
    venv_wall since_wall, made;
    char by[BY_MAX], reason[REASON_MAX];
    char *console;
    uint32_t vcpus;
    uint64_t memory;
    char *asked_node;
    venv_value definition;
    uint64_t version;           /* of its environment, that it was made from; 0: not known */
    venv_id start, stop;    /* the deeds; none if nobody asked */
    venv_id fence;          /* what destroys the rest of it on its node: its start failed there, and then another node is tried; or it is over, and is called off */
    char **tried;           /* nodes that could not start it */
    size_t tried_count;
    char failure[REASON_MAX]; /* of the last of them */
    bool confirmed;         /* its node said that it ran */
    bool stop_wanted, force;
    venv_span grace;
    bool start_sent, stop_sent; /* in the node's present session */
    bool stop_told;         /* in any: it may happen at any time */
    bool adopted, alarmed;
    uint64_t placed, changed; /* revisions of the events: why it is where it is, how it came into this state; 0: not known */
    venv_instant retry;     /* when to send again; NEVER */
    venv_instant give_up;   /* pending: when to fail */
    venv_id drain, drain_command; /* the deeds: of its draining, of the command; none */
    drain_step drain_step;
    bool drain_save, drain_by_scale;
    venv_instant drain_again, drain_end;
    venv_wall drain_end_wall; /* 0: there is no end */
    bool parked;            /* `scale` had it saved, and may restore it */
    venv_environment *from; /* its definition, compiled; NULL: not yet, or there is none */
    char *reserved;         /* pending: the node where others make room for it; NULL */
    uint32_t preemptions;   /* times that others were sent away for it */
    venv_instant preempt_again;
    venv_id preempted_by;   /* the instance that it made room for; none */
    venv_instant leave_again; /* it could not leave its node: not before this */
    uint32_t series;
    venv_id change;         /* the deed of what is being done to it; none */
    change_kind change_kind;
    venv_value change_options; /* how: a map; null */
    venv_value progress;    /* how far a migration is, as its node said last; null. Not kept */
    bool change_sent;       /* in the node's present session */
    bool change_told, change_again; /* told: in any session; again: that was not the first time, so a refusal says little */
    char *target;           /* migrating: where to… */
    uint64_t target_epoch, epoch_last; /* …under which epoch; the last that was given out */
    bool arriving;          /* its node has not listed it since it came there */
    uint64_t source_look, target_look; /* requests for fresh lists */
    has source_has, target_has;        /* what those said */
    int64_t ran;            /* over: how long the manager had run when it ended; 0: not known */
    bool undo;              /* its start has failed, and it runs: nothing else becomes of it until its node has removed it */
    bool booted, answered;  /* starting: its node runs it, and it is not ready yet; its guest agent has answered */
    venv_instant ready_end; /* booted: it must be ready by then */
    venv_wall ready_wall;
    venv_instant begun;     /* its present start: what joined before is not it */
    venv_id probe;          /* the question to its guest agent that is on its way; none */
    uint32_t crashes;       /* after which it was started again, since it last ran well */
    venv_instant hold;      /* starting again after a crash: not before this; NEVER: it does not wait */
    venv_wall hold_wall;
    bool inspect;           /* failed, and kept on its node for inspection */
    bool dirty;
} instance;

/* --- deeds ------------------------------------------------------------------------------------------- */

typedef enum deed_state { DEED_PENDING = 0, DEED_RUNNING, DEED_DONE, DEED_FAILED, DEED_UNKNOWN, DEED_STATE__COUNT } deed_state;

typedef struct deed {
    venv_id id, parent;
    char kind[16];
    char *subject;
    deed_state state;
    char by[BY_MAX];
    venv_wall made, ended;
    int64_t ran;             /* how long the manager had run when it ended; 0: not known */
    venv_rc rc;
    char reason[REASON_MAX];
    char error[REASON_MAX];
    venv_value result;
    venv_value delivery;     /* mail, webhook, plugin: its arguments, until it ends for ever; else null */
    venv_instant deadline;   /* NEVER: none */
    venv_span time;          /* that it has from when it runs; 0: none */
    uint32_t open, failed, unknown; /* children */
    uint64_t origin;         /* revision of the event that it comes from; 0: not known */
    bool is_parent;
    bool dirty;
} deed;

/* The last firing of a trigger: the event that tells why. */
typedef struct last_firing {
    venv_id id;
    uint64_t revision;
    venv_wall time;
} last_firing;

/* --- proposals ---------------------------------------------------------------------------------------- */

typedef enum proposal_state { PROPOSAL_OPEN = 0, PROPOSAL_APPLIED, PROPOSAL_REJECTED, PROPOSAL_EXPIRED, PROPOSAL_STATE__COUNT } proposal_state;

typedef struct proposal {
    venv_id id, firing;
    uint64_t origin;        /* revision of the event that tells why */
    char *trigger, *unit;   /* unit: "" for the only one */
    proposal_state state;
    venv_wall made, expires, ended, recovered; /* recovered: 0 while what it is for goes on */
    int64_t ran;            /* how long the manager had run when it ended; 0: not known */
    int64_t made_ran;       /* made, as how long the manager had run; 0: not known */
    venv_instant deadline;
    int64_t repeats;        /* firings while it was open */
    uint64_t definition;    /* hash of its trigger's; 0: not known */
    bool recovers;          /* its orders are those of `recover` */
    char why[REASON_MAX], by[BY_MAX], reason[REASON_MAX];
    venv_value orders, values;
} proposal;

/* --- circuit breakers ------------------------------------------------------------------------------------ */

#define BREAKER_NAME_MAX (VENV_NAME_MAX + 16)
#define ATTEMPTS_MAX     512u /* starts of the window */
#define TRIED_MAX        10u  /* nodes that one start is tried on */

typedef enum breaker_state { BREAKER_CLOSED = 0, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STATE__COUNT } breaker_state;

typedef struct breaker {
    char name[BREAKER_NAME_MAX]; /* "environment/NAME", "node/NAME" */
    bool of_node;
    breaker_state state;
    uint32_t failures, opened; /* opened: times since it was closed last */
    venv_wall since, retry_wall;
    int64_t ran;               /* since, as how long the manager had run; 0: not known */
    venv_instant retry;        /* open: when it is half-open */
    venv_id trial;             /* half-open: the instance; none */
    char reason[REASON_MAX];
} breaker;

typedef struct start_attempt {
    uint64_t number;           /* of its row; they are in this order */
    char environment[VENV_NAME_MAX + 1], node[VENV_NAME_MAX + 1];
    int64_t ran;               /* when, as how long the manager had run */
    bool worked;
} start_attempt;

/* --- what users wait for ----------------------------------------------------------------------------- */

typedef struct waiter {
    uint64_t peer, request;
    venv_id action;
    venv_id *instances;
    size_t count;
    venv_instance_state state;
    venv_instant deadline;
    bool for_action; /* … to end, not for a state */
} waiter;

/* A request to several agents, answered when all have answered. */
typedef struct gather_item {
    char *agent, *label;
    bool done;
    venv_value value;
} gather_item;

typedef struct gather {
    uint64_t number;
    uint64_t peer, request; /* 0: nobody waits for the answer */
    int16_t type;           /* FETCH, EXEC, STEER, GET */
    venv_id deed;           /* none for those that change nothing */
    gather_item *items;
    size_t count, open;
    venv_instant deadline;
} gather;

typedef struct call {
    uint64_t number;        /* request id of the frame */
    uint64_t peer;          /* the agent's session */
    uint64_t gather;        /* 0: that has ended by its time; the answer is told, and changes nothing */
    size_t item;
    bool sent;              /* it does not wait for its turn any more */
    venv_id deed;           /* of the gather; none */
} call;

typedef struct peer {
    uint64_t number;
    venv_role role;
    char *name, *address;
    venv_session session;
    agent *agent;           /* after its HELLO was taken */
    venv_instant look;      /* before this nothing can be wrong with it */
    bool closing;
    bool follows;           /* the log of events, live */
    uint64_t follow_request;
    size_t queued;          /* frames that wait for their turn… */
    uint64_t lane;          /* …and where: sender.c */
} peer;

/* How an agent is not let in, besides why. */
typedef struct refusal {
    venv_span retry_after;  /* 0: as it likes */
    bool quiet;             /* nothing new: it is not logged */
    peer *replaced;         /* of one that is let in: its old connection */
} refusal;

typedef struct history_read {
    uint64_t token, peer, request, since, sent;
    uint64_t asked;         /* last revision when the store was asked: so far there must be something to read */
    uint32_t left;          /* entries that may still be sent */
    bool follow;
} history_read;

/* Somebody asks why: the events that tell it are read one after the other. */
#define WHYS_MAX       256u
#define WHY_EVENTS_MAX 6u
typedef struct why_job {
    uint64_t token, peer, request;
    const char *what; /* "instance", "node", "environment", "trigger", "action" */
    char name[VENV_NAME_MAX + 64];
    char *agent;      /* of a trigger: in whose context; or NULL */
    uint64_t revisions[WHY_EVENTS_MAX];
    venv_value events[WHY_EVENTS_MAX]; /* null: not there (yet, or any more) */
    size_t count, next;
} why_job;

typedef struct history_ask {
    uint64_t token, peer, request;
} history_ask;

typedef struct venv_mgr_sender venv_mgr_sender; /* sender.c */
typedef struct venv_mgr_placing venv_mgr_placing; /* maintenance.c */
venv_rc venv_mgr_maintenance_change(venv_manager *m, const char *by, venv_id id, const venv_value *body, agent **ret_agent, venv_error *err);
venv_value venv_mgr_maintenance_row(venv_manager *m, const agent *a);
venv_value venv_mgr_maintenance_view(venv_manager *m, const agent *a);
void venv_mgr_maintenance_restore(venv_manager *m, agent *a, const venv_value *row);
const char *venv_mgr_maintenance_text(const agent *a, char *text, size_t size);
void venv_mgr_maintenance_forget(venv_manager *m, agent *a);
void venv_mgr_maintenance_sweep(venv_manager *m);

/* drain.c */
bool venv_mgr_drain_is_on(const instance *i);
venv_rc venv_mgr_drain_begin(venv_manager *m, instance *i, venv_id parent, const char *by, const drain_wish *wish, venv_error *err);
void venv_mgr_drain_abandon(venv_manager *m, instance *i, const char *why);
void venv_mgr_drain_over(venv_manager *m, instance *i, venv_rc rc, const char *why);
void venv_mgr_drains_sweep(venv_manager *m);
void venv_mgr_drain_row(const instance *i, venv_map_builder *map);
void venv_mgr_drain_restore(venv_manager *m, instance *i, const venv_value *row);
venv_rc venv_mgr_instance_idle(venv_manager *m, instance *i, bool *ret_idle, char *ret_why, size_t size);

/* scale.c */
#define VENV_MGR_SCALERS_MAX 65536u
void venv_mgr_scale_sweep(venv_manager *m);
venv_value venv_mgr_scale_view(venv_manager *m, const venv_environment *e); /* null: it has none */
void venv_mgr_scalers_free(venv_manager *m);

/* preempt.c */
bool venv_mgr_preempt(venv_manager *m, instance *i, venv_placement_pool *pool, const venv_placement_want *want);
bool venv_mgr_preempt_goes_on(venv_manager *m, instance *i);
void venv_mgr_preempt_there(venv_manager *m, const instance *i, venv_placement_guest *ret_sum);
void venv_mgr_preempt_over(venv_manager *m, instance *i);

/* place.c */
/* Its definition of when it was asked for, lent for as long as it is there; NULL: there is none that can be used (`err` says why). */
venv_environment *venv_mgr_instance_environment(venv_manager *m, instance *i, venv_error *err);
void venv_mgr_place_stale(venv_manager *m);
void venv_mgr_placing_free(venv_manager *m);

#define RELOADS_MAX 16u

/* Somebody waits until the configuration has been read. */
typedef struct reload {
    uint64_t token, peer, request;
    bool dry_run;
} reload;

/* --- the core ---------------------------------------------------------------------------------------- */

struct venv_manager {
    const venv_manager_config *config; /* the first one, borrowed; or merged */
    venv_manager_config merged;        /* after a reload: owns its values, borrows its texts and lists */
    uint64_t config_changes;           /* reloads that were taken up */
    reload reloads[RELOADS_MAX];
    size_t reload_count;
    venv_id boot;
    venv_now now;           /* of this step */
    venv_now started;
    int64_t ran_before;     /* ns that all runs before this one took */
    int64_t ran_saved;      /* as it is in the row */
    uint64_t seed;
    venv_random random;
    venv_rc rc;             /* sticks until the end of the step */

    venv_manager_actions *out;
    uint64_t steps;         /* since it began */
    uint64_t writes;
    bool wrote;
    size_t out_begin;       /* first action of this step */

    venv_groups *groups;
    venv_table *peers;      /* number → peer */
    venv_table *instances;  /* id → instance */
    venv_table *names;      /* name → instance */
    venv_table *deeds;      /* id → deed */
    venv_instant deeds_due; /* none that is open has its time before this */
    venv_table *breakers;   /* "environment/NAME", "node/NAME" → breaker */
    start_attempt attempts[ATTEMPTS_MAX];
    size_t attempt_count;
    uint64_t attempt_last;  /* number that was given out last */
    venv_list_builder unknown_rows; /* keys of rows of triggers that are not there any more; taken away in the first step */
    venv_table *proposals;  /* id → proposal */
    venv_table *requests;   /* id → row (venv_value *) */
    venv_table *calls;      /* number → call */
    venv_table *gathers;    /* number → gather */
    venv_table *firings;    /* trigger → last_firing */
    venv_table *counters;   /* environment → uint64_t *: last number used in a name */
    venv_table *environments; /* name → venv_environment: what can be started now */
    venv_table *catalog;      /* name → catalog_entry: the versions of each */
    venv_expr_env *place_env;
    venv_environment_words words; /* lent: what the expressions of definitions are compiled against */
    venv_expr_context *place_context;
    venv_mgr_placing *placing; /* NULL before the first one */
    struct venv_asker *asker;  /* `scale.desired` and `scale.idle` */
    venv_table *scalers;       /* environment → scaler (scale.c); NULL before the first one */
    waiter *waiters;
    size_t waiter_count;
    history_read *reads;
    size_t read_count;
    why_job *whys;
    size_t why_count;
    venv_history_journal history; /* since the last sweep */
    uint32_t policy_series;
    uint64_t policy_recorded; /* hash of what is in it */
    bool policy_changed;
    history_ask *asks;
    size_t ask_count;
    size_t followers;       /* peers that follow the events live */
    venv_triggers *triggers;
    venv_trigger_reports reports;
    venv_value agents_cached;
    bool agents_stale;

    uint64_t revision, next_number;
    uint64_t boots;
    bool begun;             /* the first step was made */
    instance **dirty_instances;
    size_t dirty_instance_count, dirty_instance_capacity;
    deed **dirty_deeds;
    size_t dirty_deed_count, dirty_deed_capacity;
    agent **dirty_agents;
    size_t dirty_agent_count, dirty_agent_capacity;

    venv_mgr_sender *sender; /* NULL while nothing is limited */

    uint64_t base;          /* revision with which this run began */
    venv_id lineage, past[PAST_MAX];
    size_t past_count;
    bool rolled_back;       /* no node is driven */
    char rollback_reason[REASON_MAX];
    venv_id rollback_lineage;
    uint64_t rollback_top;  /* the highest revision that agents have seen */
    uint64_t marked;        /* revision of the last mark that was given to all */
    venv_instant next_mark;
    bool full;              /* the disk of the state */
    bool answer_now;        /* the request that is answered does not wait for it */
    venv_wall full_since;

    venv_instant next_sweep, next_retention;
    venv_instant next_admission, next_turn; /* of herds of agents: admit.c */
};

/* effects.c */
void venv_mgr_no_memory(venv_manager *m);
void venv_mgr_effect_send(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body);      /* after the writes */
void venv_mgr_effect_send_now(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body);  /* heartbeats, refusals */
void venv_mgr_effect_close(venv_manager *m, peer *p, const char *reason, bool now);
void venv_mgr_effect_put(venv_manager *m, venv_collection collection, venv_value key, venv_value row);
void venv_mgr_effect_delete(venv_manager *m, venv_collection collection, venv_value key);
void venv_mgr_effect_append(venv_manager *m, venv_value event);
void venv_mgr_effect_read(venv_manager *m, uint64_t token, uint64_t since, uint32_t limit);
void venv_mgr_effect_deliver(venv_manager *m, venv_id action, venv_value order); /* after the writes */
void venv_mgr_effect_record(venv_manager *m, venv_value journal);
void venv_mgr_effect_ask(venv_manager *m, uint64_t token, venv_value query);
void venv_mgr_effect_reload(venv_manager *m, uint64_t token);
void venv_mgr_effect_log(venv_manager *m, int level, const char *format, ...) VENV_PRINTF(3, 4);
void venv_mgr_effects_finish(venv_manager *m);
venv_value venv_mgr_id_value(venv_manager *m, venv_id id);
venv_value venv_mgr_take_map(venv_manager *m, venv_map_builder *map);
venv_value venv_mgr_take_list(venv_manager *m, venv_list_builder *list);
char *venv_mgr_copy_text(venv_manager *m, const char *text);
char *venv_mgr_copy_str(venv_manager *m, venv_str text);
bool venv_mgr_fits_name(venv_str text, char ret_name[VENV_NAME_MAX + 1]);
uint64_t venv_mgr_next_number(venv_manager *m);
venv_instant venv_mgr_after(venv_manager *m, venv_span span);
uint64_t venv_mgr_get_uint(const venv_value *map, const char *key); /* 0 if it is not there, or no count */
void venv_mgr_set_reason(char *reason, const char *text);

/* sender.c */
/* To agents, spaced. False: too much waits already, and it is not sent. */
bool venv_mgr_sender_send(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body);
void venv_mgr_sender_run(venv_manager *m);
void venv_mgr_sender_forget(venv_manager *m, uint64_t peer);
void venv_mgr_sender_free(venv_manager *m);
venv_instant venv_mgr_sender_deadline(const venv_manager *m);
size_t venv_mgr_sender_count(const venv_manager *m);
uint64_t venv_mgr_sender_dropped(const venv_manager *m);

/* events.c */
void venv_mgr_event_add(venv_manager *m, const char *kind, const char *subject, venv_id cause, venv_value detail,
               const char *format, ...) VENV_PRINTF(6, 7);
void venv_mgr_events_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body);
void venv_mgr_events_history(venv_manager *m, uint64_t token, const venv_value *rows, const char *trouble);
void venv_mgr_events_forget_peer(venv_manager *m, uint64_t peer);

/* peers.c */
void venv_mgr_peer_up(venv_manager *m, const venv_manager_event *event);
void venv_mgr_peer_down(venv_manager *m, uint64_t number, const char *reason);
void venv_mgr_peer_frame(venv_manager *m, const venv_manager_event *event);
void venv_mgr_peers_sweep(venv_manager *m);
peer *venv_mgr_peer_find(venv_manager *m, uint64_t number);
void venv_mgr_peer_free(peer *p);

/* admit.c */
venv_rc venv_mgr_admit(venv_manager *m, peer *p, const venv_value *body, refusal *ret, venv_error *err);
bool venv_mgr_serves_group(const venv_manager *m, venv_str group);
venv_span venv_mgr_reconnect_spread(const venv_manager *m);

/* agents.c */
agent *venv_mgr_agent_find(venv_manager *m, const char *name);
venv_rc venv_mgr_agent_check_hello(const venv_manager *m, const venv_value *body, venv_error *err);
void venv_mgr_agent_hello(venv_manager *m, peer *p, const venv_value *body);
void venv_mgr_agent_frame(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body);
void venv_mgr_agent_gone(venv_manager *m, agent *a, const char *reason);
void venv_mgr_agent_touch(venv_manager *m, agent *a);   /* its row changed */
bool venv_mgr_agent_is_connected(venv_manager *m, const agent *a);
void venv_mgr_agent_restore(venv_manager *m, const char *name, const venv_value *row);
void venv_mgr_agent_free(agent *a);
void venv_mgr_agents_sweep(venv_manager *m);
/* VENV_ECONFLICT: it is connected, or has instances. */
venv_rc venv_mgr_agent_forget(venv_manager *m, agent *a, venv_id cause, const char *reason, venv_error *err);
void venv_mgr_agent_store_propval(venv_manager *m, agent *a, const venv_value *body);
void venv_mgr_membership_changed(void *user, const venv_membership *event);
bool venv_mgr_agent_is_unseen(const agent *a);
bool venv_mgr_agent_can_act(const agent *a); /* connected, and its machines can be seen; a may be NULL */

/* world.c */
venv_value venv_mgr_instance_seen(venv_manager *m, const instance *i); /* as triggers see it */
venv_trigger_world venv_mgr_world_of(venv_manager *m);
void venv_mgr_world_stale(venv_manager *m, agent *a);   /* a: NULL for "the list" */
venv_expr_answer venv_mgr_world_agent(venv_manager *m, const char *name, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth);

/* samples.c */
void venv_mgr_samples_add(void *user, const char *agent_name, const venv_expr_read *read, const char *source,
                          venv_trigger_samples *samples);

/* evidence.c */
venv_value venv_mgr_short_value(venv_manager *m, const venv_value *value);
venv_value venv_mgr_firing_detail(venv_manager *m, const venv_trigger_report *report);
void venv_mgr_firing_put(venv_manager *m, venv_str trigger, const last_firing *f);
void venv_mgr_firing_remember(venv_manager *m, const char *trigger, venv_id id);
bool venv_mgr_firing_restore(venv_manager *m, venv_str key, const venv_value *row);
venv_value venv_mgr_verdict_value(venv_manager *m, const char *node, const venv_placement_verdict *v);
venv_value venv_mgr_placement_detail(venv_manager *m, venv_placement_pool *pool, const venv_placement_want *want, size_t chosen, bool full);

/* why.c, and chain.c, which puts the answer together */
void venv_mgr_why_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body);
void venv_mgr_evaluate_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body);
bool venv_mgr_why_history(venv_manager *m, uint64_t token, const venv_value *rows); /* false: not asked for here */
void venv_mgr_whys_forget_peer(venv_manager *m, uint64_t peer);
void venv_mgr_whys_free(venv_manager *m);

/* instances.c */
instance *venv_mgr_instance_find(venv_manager *m, venv_id id);
instance *venv_mgr_instance_named(venv_manager *m, const char *name);
instance *venv_mgr_instance_new(venv_manager *m, venv_id id, const char *name, const char *environment);
void venv_mgr_instance_free(instance *i);
void venv_mgr_instance_touch(venv_manager *m, instance *i);
void venv_mgr_instance_set(venv_manager *m, instance *i, venv_instance_state state, const char *reason);
void venv_mgr_instance_placed(venv_manager *m, instance *i, venv_value detail);
void venv_mgr_instance_send_start(venv_manager *m, instance *i);
void venv_mgr_instance_undo(venv_manager *m, instance *i, const char *error);
bool venv_mgr_instance_try_elsewhere(venv_manager *m, instance *i, const char *error);
void venv_mgr_instance_fence(venv_manager *m, instance *i, const char *error);
void venv_mgr_instance_fenced(venv_manager *m, instance *i, venv_rc rc);
void venv_mgr_instance_call_off(venv_manager *m, instance *i);
void venv_mgr_instance_send_stop(venv_manager *m, instance *i);
void venv_mgr_instance_stop(venv_manager *m, instance *i, venv_id deed_id, bool force, venv_span grace);
void venv_mgr_instances_sweep(venv_manager *m);
bool venv_mgr_instance_restore(venv_manager *m, venv_id id, const venv_value *row);
venv_value venv_mgr_instance_row(venv_manager *m, const instance *i);
venv_value venv_mgr_instance_view(venv_manager *m, const instance *i);
bool venv_mgr_instance_next_name(venv_manager *m, const char *environment, char *name, size_t size);
void venv_mgr_instance_end_deeds(venv_manager *m, instance *i);

/* place.c */
void venv_mgr_place_stale(venv_manager *m);
void venv_mgr_placing_free(venv_manager *m);
bool venv_mgr_place_elsewhere(venv_manager *m, instance *i);
bool venv_mgr_place_instance(venv_manager *m, instance *i);
/* A node for one that runs, but not that where it is. VENV_ECONFLICT: there is none, and why. */
venv_rc venv_mgr_place_target(venv_manager *m, instance *i, const char *asked, char ret_node[VENV_NAME_MAX + 1], venv_error *err);
venv_rc venv_mgr_place_room(venv_manager *m, const instance *i, venv_error *err); /* VENV_ECONFLICT: there is none, and what lacks */
venv_value venv_mgr_place_verdict(venv_manager *m, venv_environment *environment, const char *node, bool *ret_fits);
void venv_mgr_place_each(venv_manager *m, venv_environment *environment, int64_t count, venv_trigger_agent_fn each, void *user);
venv_value venv_mgr_place_dry_run(venv_manager *m, venv_environment *environment, const char *asked, int64_t count);

/* life.c */
bool venv_mgr_ready_waits(venv_manager *m, instance *i);
bool venv_mgr_ready_again(venv_manager *m, instance *i);
bool venv_mgr_ready_probed(venv_manager *m, instance *i, venv_id id, venv_rc rc, const char *error);
void venv_mgr_ready_joined(venv_manager *m, const char *name);
void venv_mgr_ready_prepares(venv_manager *m, instance *i);
void venv_mgr_ready_reset(instance *i);
bool venv_mgr_crashed(venv_manager *m, instance *i, const char *reason);
bool venv_mgr_crash_holds(venv_manager *m, instance *i);
bool venv_mgr_crash_may_start(venv_manager *m, instance *i);
void venv_mgr_life_row(venv_map_builder *map, const instance *i);
void venv_mgr_life_restore(venv_manager *m, instance *i, const venv_value *row);

/* reconcile.c */
void venv_mgr_reconcile_machines(venv_manager *m, agent *a, uint64_t request, const venv_value *body);
void venv_mgr_reconcile_up(venv_manager *m, instance *i, venv_instance_state state); /* it is; go on with a stop that is wanted */
void venv_mgr_reconcile_result(venv_manager *m, agent *a, const venv_value *body);
void venv_mgr_reconcile_lost(venv_manager *m); /* machines that could not be seen for too long */

/* deeds.c */
const deed *venv_mgr_deed_by_text(venv_manager *m, venv_str name); /* its id, or the first eight or more characters of it */
deed *venv_mgr_deed_find(venv_manager *m, venv_id id);
deed *venv_mgr_deed_new(venv_manager *m, venv_id id, venv_id parent, const char *kind, const char *subject, const char *by);
void venv_mgr_deed_touch(venv_manager *m, deed *d);
void venv_mgr_deed_run(venv_manager *m, deed *d, venv_span timeout);
void venv_mgr_deed_end(venv_manager *m, deed *d, venv_rc rc, const char *error);
/* It does nothing itself: it ends when its children have, which are made between these two. */
void venv_mgr_deed_children_begin(venv_manager *m, deed *d);
void venv_mgr_deed_children_made(venv_manager *m, deed *d);
void venv_mgr_deed_late(venv_manager *m, const deed *d, venv_rc rc, const char *error); /* a result that came after its end */
void venv_mgr_deed_free(deed *d);
bool venv_mgr_deed_restore(venv_manager *m, venv_id id, const venv_value *row);
venv_value venv_mgr_deed_row(venv_manager *m, const deed *d);
venv_value venv_mgr_deed_view(venv_manager *m, const deed *d, bool whole);
bool venv_mgr_deed_is_open(const deed *d);
void venv_mgr_deeds_sweep(venv_manager *m);
venv_rc venv_mgr_rc_parse(venv_str name);

/* calls.c */
gather *venv_mgr_gather_new(venv_manager *m, peer *p, uint64_t request, int16_t type, venv_id deed_id, venv_span timeout);
bool venv_mgr_gather_add(venv_manager *m, gather *g, const char *agent_name, const char *label, size_t *ret_item);
void venv_mgr_gather_call(venv_manager *m, gather *g, size_t item, agent *a, int16_t type, venv_value body);
void venv_mgr_gather_fail(venv_manager *m, gather *g, size_t item, venv_rc rc, const char *text);
void venv_mgr_gather_set(venv_manager *m, gather *g, size_t item, venv_value value);
void venv_mgr_gather_finish(venv_manager *m, gather *g);
bool venv_mgr_call_answered(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body);
void venv_mgr_calls_forget_peer(venv_manager *m, uint64_t peer);
void venv_mgr_gathers_sweep(venv_manager *m);
void venv_mgr_gather_free(gather *g);
gather *venv_mgr_gather_of_deed(venv_manager *m, venv_id id);
venv_value venv_mgr_cut_output(venv_manager *m, const venv_value *item, size_t max); /* bytes in it that are longer, with a mark */

/* deliver.c: the deed's kind is the verb */
venv_rc venv_mgr_deliver(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err);
void venv_mgr_delivered(venv_manager *m, const venv_manager_event *event);
void venv_mgr_deliver_again(venv_manager *m);

/* select.c: `untold` hears of each agent of which `where` in the arguments could not tell, and why.
 * `target` of what is asked for, whole. VENV_ELIMIT, VENV_EINVAL: it is none, and is not cut to be one. */
venv_rc venv_mgr_target(const venv_value *arguments, char ret_target[VENV_GROUPS_SELECTOR_MAX + 1], venv_error *err);
/* `label`, in the same way; "" if it is left out, and only then. */
venv_rc venv_mgr_label(const venv_value *arguments, char ret_label[VENV_LABEL_MAX + 1], venv_error *err);
typedef void (*venv_mgr_untold_fn)(void *user, const venv_member *member, const char *why);
venv_rc venv_mgr_select(venv_manager *m, const char *target, const venv_value *arguments, venv_groups_each_fn each, venv_mgr_untold_fn untold,
               void *user, venv_error *err);
/* {agent, label?, rc: "unknown", error, selected: false} for the answer. */
venv_value venv_mgr_untold_item(venv_manager *m, const char *agent_name, const char *label, const char *why);

/* verbs.c: what users and triggers can ask for, done in one place. `deed` carries id, parent and who. */
venv_rc venv_mgr_verb_start(venv_manager *m, deed *d, const char *environment, const char *node, int64_t count, venv_error *err);
/* One of them, as a child of `parent`, or none. */
venv_rc venv_mgr_stop_begin(venv_manager *m, instance *i, venv_id parent, const char *by, bool force, venv_span grace, venv_error *err);
venv_rc venv_mgr_verb_stop(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err);
venv_rc venv_mgr_verb_stop_abandon(venv_manager *m, const char *by, instance *const *items, size_t count, venv_error *err);
venv_rc venv_mgr_verb_destroy(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err);
venv_rc venv_mgr_verb_sync(venv_manager *m, gather *g, const char *target, const venv_value *arguments, venv_id id, venv_error *err);
venv_rc venv_mgr_verb_stop_select(venv_manager *m, const venv_value *arguments, instance ***ret_items, size_t *ret_count, venv_error *err);
venv_rc venv_mgr_verb_fetch(venv_manager *m, gather *g, const char *target, const venv_value *arguments, const char *label, bool kept, venv_error *err);
venv_rc venv_mgr_verb_exec(venv_manager *m, gather *g, const char *target, const venv_value *arguments, venv_id id, venv_error *err);
venv_rc venv_mgr_verb_steer(venv_manager *m, gather *g, const char *target, const venv_value *arguments, venv_error *err);
venv_environment *venv_mgr_environment_find(venv_manager *m, const char *name);

/* fire.c */
void venv_mgr_triggers_run(venv_manager *m);
void venv_mgr_triggers_save(venv_manager *m);
/* Why orders are carried out: a firing, or a proposal that was applied, which becomes the deed above theirs. */
typedef struct order_cause {
    const char *kind, *trigger, *by, *why;
    venv_id id, parent; /* of that deed */
    uint64_t origin;    /* revision of the event that tells why */
} order_cause;
void venv_mgr_orders_carry_out(venv_manager *m, const order_cause *c, const venv_order *orders, size_t count);

/* proposals.c */
venv_id venv_mgr_proposal_make(venv_manager *m, const venv_trigger_report *report, venv_id firing, uint64_t origin);
void venv_mgr_proposal_recovered(venv_manager *m, const char *trigger, const char *unit);
venv_rc venv_mgr_proposal_change(venv_manager *m, const char *by, const venv_value *body, proposal **ret_proposal, venv_error *err);
proposal *venv_mgr_proposal_by_text(venv_manager *m, venv_str name);
venv_value venv_mgr_proposal_view(venv_manager *m, const proposal *p, bool whole);
bool venv_mgr_proposal_restore(venv_manager *m, venv_id id, const venv_value *row);
void venv_mgr_proposals_put(venv_manager *m); /* every row */
void venv_mgr_proposals_withdraw(venv_manager *m, const char *trigger, const char *why);
void venv_mgr_proposals_compare(venv_manager *m); /* after a restart: with the configuration of now */
void venv_mgr_proposals_sweep(venv_manager *m);
void venv_mgr_proposals_retention(venv_manager *m);
void venv_mgr_proposal_free(proposal *p);

/* breakers.c */
breaker *venv_mgr_breaker_of(venv_manager *m, bool of_node, const char *name);
const char *venv_mgr_breaker_state(const breaker *b);
venv_value venv_mgr_breaker_view(venv_manager *m, const breaker *b);
bool venv_mgr_breaker_restore(venv_manager *m, venv_str key, const venv_value *row);
void venv_mgr_breakers_put(venv_manager *m); /* every row */
void venv_mgr_start_failed(venv_manager *m, instance *i, venv_rc rc, const char *why);
void venv_mgr_start_worked(venv_manager *m, instance *i);
void venv_mgr_trial_begin(venv_manager *m, const instance *i);
void venv_mgr_trial_over(venv_manager *m, const instance *i);
bool venv_mgr_breaker_refuses(venv_manager *m, bool of_node, const char *name, char *text, size_t size);
void venv_mgr_breakers_sweep(venv_manager *m);
venv_rc venv_mgr_breaker_by_text(venv_manager *m, venv_str name, breaker **ret_breaker, venv_error *err);
venv_rc venv_mgr_breaker_reset(venv_manager *m, const char *by, const venv_value *body, breaker **ret_breaker, venv_error *err);
venv_rc venv_mgr_ask_breaker(void *user, venv_str name, venv_value *ret_map, venv_error *err);

/* reload.c */
venv_rc venv_mgr_reload_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body, venv_error *err);
void venv_mgr_reload_event(venv_manager *m, const venv_manager_event *event);
void venv_mgr_reload_free(venv_manager *m);

/* --- catalog.c: versions of environments ---------------------------------------------------------------- */
void venv_mgr_catalog_entry_free(void *item);
bool venv_mgr_catalog_restore(venv_manager *m, venv_str key, const venv_value *row);
void venv_mgr_catalog_export(venv_manager *m);
uint64_t venv_mgr_catalog_digest(const venv_manager *m);
void venv_mgr_catalog_start(venv_manager *m); /* in the first step */
void venv_mgr_catalog_files(venv_manager *m); /* m->config has other environments, and m->environments has them */
venv_rc venv_mgr_catalog_keep_applied(venv_manager *m, venv_table *fresh, venv_error *err);
uint64_t venv_mgr_catalog_newest(const venv_manager *m, const char *name); /* 0: there is none */
void venv_mgr_catalog_put_version(const venv_manager *m, venv_map_builder *map, const instance *i);
venv_rc venv_mgr_catalog_apply(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err);
venv_rc venv_mgr_catalog_delete(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err);
venv_rc venv_mgr_catalog_versions(venv_manager *m, const venv_value *body, venv_value *ret, venv_error *err);

/* core.c */
venv_rc venv_mgr_environments_make(venv_manager *m, const venv_value *definitions, venv_table **ret_table, venv_error *err);

/* touches.c: parts of venv_trigger_world. */
void venv_mgr_touches(void *user, const venv_order *order, venv_trigger_agent_fn each, void *each_user);
size_t venv_mgr_members(void *user, const char *group);
bool venv_mgr_is_member(void *user, const char *group, const char *name);

/* changes.c */
change_kind venv_mgr_change_parse(venv_str name); /* CHANGE_NONE: there is none */
const char *venv_mgr_change_name(change_kind kind);
/* One of them, as a child of `parent`; `node`: where a migration goes, or NULL. An error leaves no action behind. */
venv_rc venv_mgr_change_begin(venv_manager *m, instance *i, change_kind kind, venv_id parent, const char *by, const char *node, venv_error *err);
venv_rc venv_mgr_verb_change(venv_manager *m, deed *d, change_kind kind, const venv_value *arguments, venv_error *err);
venv_rc venv_mgr_change_select(venv_manager *m, change_kind kind, const venv_value *arguments, instance ***ret_items, size_t *ret_count, venv_error *err);
bool venv_mgr_change_result(venv_manager *m, instance *i, venv_id id, venv_rc rc, const char *error);
bool venv_mgr_change_holds(venv_manager *m, instance *i, venv_instance_state told);
bool venv_mgr_change_missing(venv_manager *m, instance *i);
bool venv_mgr_change_is_in_doubt(const instance *i);
void venv_mgr_change_over(venv_manager *m, instance *i);
void venv_mgr_change_timed_out(venv_manager *m, const deed *d);
void venv_mgr_changes_looked(venv_manager *m, const agent *a, uint64_t request, const venv_value *machines);
void venv_mgr_changes_retry(venv_manager *m, instance *i);
void venv_mgr_change_progress(venv_manager *m, const agent *a, const venv_value *body);
venv_rc venv_mgr_change_cancel(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err);

/* answers.c */
void venv_mgr_request_result(venv_manager *m, peer *p, uint64_t request, venv_value body);
void venv_mgr_request_failed(venv_manager *m, peer *p, uint64_t request, const venv_error *err);
void venv_mgr_request_remember(venv_manager *m, venv_id id, int16_t type, const char *by, const venv_value *body);
void venv_mgr_request_answer_remembered(venv_manager *m, venv_id id, const venv_value *body);
void venv_mgr_waiters_check(venv_manager *m);
void venv_mgr_waiters_forget_peer(venv_manager *m, uint64_t peer);
venv_value venv_mgr_request_failure(venv_manager *m, const venv_error *err);
venv_value *venv_mgr_request_find(venv_manager *m, venv_id id);
venv_span venv_mgr_request_timeout(const venv_value *body, venv_span fallback);
void venv_mgr_answer_or_wait(venv_manager *m, peer *p, uint64_t request, const venv_value *asked, const venv_value *body, venv_span fallback);
void venv_mgr_answer_action(venv_manager *m, peer *p, uint64_t request, venv_id action, venv_span timeout); /* when it has ended */
venv_rc venv_mgr_request_id(venv_manager *m, const venv_value *body, venv_id *ret_id, venv_error *err);
venv_rc venv_mgr_request_check_wait(const venv_value *body, venv_error *err);
bool venv_mgr_answer_again(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_id id, const venv_value *body);
venv_rc venv_mgr_request_check_room(venv_manager *m, venv_error *err);
venv_rc venv_mgr_request_begin(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body, venv_id *ret_id,
                               bool *ret_again, venv_error *err);

/* requests.c */
void venv_mgr_user_frame(venv_manager *m, peer *p, int16_t type, uint64_t request, const venv_value *body);

/* lists.c */
venv_rc venv_mgr_list_things(venv_manager *m, venv_str what, venv_value *ret_items, venv_error *err);
venv_rc venv_mgr_show_thing(venv_manager *m, venv_str what, venv_str name, venv_value *ret_item, venv_error *err);
venv_value venv_mgr_status_view(venv_manager *m);
venv_value venv_mgr_property_view(venv_manager *m, const agent *a, const kept_property *p);

/* recorder.c */
void venv_mgr_record_property(venv_manager *m, const agent *a, kept_property *p);
void venv_mgr_record_property_gone(venv_manager *m, kept_property *p);
void venv_mgr_record_agent(venv_manager *m, agent *a);
void venv_mgr_record_agent_gone(venv_manager *m, agent *a);
void venv_mgr_record_instance(venv_manager *m, instance *i);
void venv_mgr_record_instance_gone(venv_manager *m, instance *i);
void venv_mgr_record_start(venv_manager *m);
void venv_mgr_record_declaration(venv_manager *m, const agent *a, kept_property *p);
void venv_mgr_record_policy(venv_manager *m); /* at the end of a step: if it is another one */
void venv_mgr_record_leave(venv_manager *m, bool sweep);
void venv_mgr_history_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body);
void venv_mgr_dump_request(venv_manager *m, peer *p, uint64_t request);
void venv_mgr_history_answer(venv_manager *m, uint64_t token, const venv_value *answer);
void venv_mgr_history_forget_peer(venv_manager *m, uint64_t peer);

/* guard.c */
void venv_mgr_guard_save(venv_manager *m);

/* --- retention.c --------------------------------------------------------------------------------------- */

int64_t venv_mgr_ran(const venv_manager *m); /* ns, over all its runs; more than 0 */
void venv_mgr_put_ran(venv_map_builder *map, int64_t ran);
int64_t venv_mgr_get_ran(venv_manager *m, const venv_value *row);
bool venv_mgr_is_old(const venv_manager *m, int64_t ran);
void venv_mgr_retention(venv_manager *m);
void venv_mgr_guard_load(venv_manager *m, const venv_value *row);
void venv_mgr_guard_start(venv_manager *m);
void venv_mgr_guard_mark(venv_manager *m, peer *p);     /* what the agent is to remember */
void venv_mgr_guard_sweep(venv_manager *m);
void venv_mgr_guard_hello(venv_manager *m, peer *p, const venv_value *body);
venv_rc venv_mgr_guard_accept(venv_manager *m, peer *p, uint64_t request, venv_error *err);
void venv_mgr_guard_disk(venv_manager *m, bool full, const char *text);
bool venv_mgr_guard_holds(const venv_manager *m);       /* nothing new may be begun */
venv_rc venv_mgr_guard_request(const venv_manager *m, int16_t type, const venv_value *body, venv_error *err);
bool venv_mgr_guard_passes(const venv_manager *m, int16_t type);
void venv_mgr_guard_status(venv_manager *m, venv_map_builder *map);

/* rows.c */
venv_rc venv_mgr_rows_load(venv_manager *m, const venv_manager_row *rows, size_t count, venv_error *err);
void venv_mgr_rows_flush(venv_manager *m);
void venv_mgr_rows_tidy(venv_manager *m); /* in the first step: what was loaded and is of no use */
venv_value venv_mgr_agent_row(venv_manager *m, const agent *a);
venv_value venv_mgr_text_key(venv_manager *m, const char *text);

#endif
