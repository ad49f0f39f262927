/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_AGENT_H
#define VENV_AGENT_AGENT_H

/*
 * The agent's core: a state machine.
 *
 *      event, now ──► venv_agent_step() ──► actions (data, in order)
 *                          ▲                    │
 *                          └── results ◄── the shell (lib/runtime) or the simulator does them
 *
 * It samples properties on schedule, keeps the last value of each with quality and age, answers the
 * manager, runs allowed commands, and starts and stops machines. It reads no clock, opens no file,
 * starts no process: it asks for that with actions and is told the outcome by events.
 *
 * It keeps what it must know again after it was killed: which requests were begun and which epochs were seen (KEEP). An
 * effect carries the number of the KEEP that speaks of it; the shell does it once that is durable, so that nothing is ever
 * done twice or out of its time. If it cannot be made durable the effect is answered as not done: RAN with the reason,
 * MACHINE_DONE with VENV_EUNREACHABLE.
 *
 * It goes on sampling while the manager is away (A9). It never takes "could not ask the hypervisor" for
 * "there is no machine".
 */

#include "agent/builtin.h"
#include "agent/run_outcome.h"
#include "environment/files.h"

#include <venv/message.h>
#include <venv/property.h>
#include <venv/value.h>

typedef struct venv_agent venv_agent;

/* How far a migration has come, as venv/machine.h has it (which stands above this folder). */
typedef struct venv_agent_progress {
    venv_span elapsed;
    uint64_t total, done, left, rate, dirty, round;
} venv_agent_progress;
typedef struct venv_agent_config venv_agent_config; /* agent/config.h */

typedef enum venv_agent_event_kind {
    VENV_AGENT_EVENT_TIME = 0,   /* venv_agent_deadline() has come */
    VENV_AGENT_EVENT_CONNECTED,  /* TLS is up and the peer is a manager of our cluster */
    VENV_AGENT_EVENT_DISCONNECTED, /* or the attempt failed: `text` says why */
    VENV_AGENT_EVENT_FRAME,      /* type, request, body */
    VENV_AGENT_EVENT_SAMPLED,    /* a built-in property: token, rc, value or text */
    VENV_AGENT_EVENT_RAN,        /* a command ended: token, run */
    VENV_AGENT_EVENT_MACHINE_DONE, /* a machine action ended: token, rc, text */
    VENV_AGENT_EVENT_PROGRESS,   /* of a migration: token, progress */
    VENV_AGENT_EVENT_MACHINES,   /* a whole list of machines from the driver, or (rc != OK) that it cannot be had: text */
    VENV_AGENT_EVENT_SYNCED,     /* a sync ended: token, rc, text, value = the report or NULL */
    VENV_AGENT_EVENT_COMMANDS,   /* the allowed commands: token, rc, value = [{name, path}] */
} venv_agent_event_kind;

typedef struct venv_agent_event {
    venv_agent_event_kind kind;
    uint64_t token;           /* of the action that this answers */
    int16_t type;             /* FRAME */
    uint64_t request;         /* FRAME */
    const venv_value *value;  /* FRAME body, SAMPLED value, COMMANDS list; borrowed for the step. MACHINES:
                               * {node: {…}, foreign: {…}, machines: […]}, as in message MACHINES */
    bool known;               /* FRAME: venv_frame.known */
    venv_rc rc;
    const char *text;         /* reason; may be NULL */
    const venv_run_outcome *run; /* RAN */
    const venv_agent_progress *progress; /* PROGRESS */
    const struct venv_agent_event *next; /* what happened at the same moment: one step takes all of them; NULL: nothing */
} venv_agent_event;

typedef enum venv_agent_action_kind {
    VENV_AGENT_ACT_CONNECT = 0,  /* dial `name` ("host:port", one of the configuration's managers) */
    VENV_AGENT_ACT_CLOSE,        /* drop the connection, or the attempt, after what was sent; text = reason; DISCONNECTED follows */
    VENV_AGENT_ACT_SEND,         /* type, request, value (owned by the action) */
    VENV_AGENT_ACT_SAMPLE,       /* read the built-in property `builtin` with the arguments `value`; SAMPLED(token) follows */
    VENV_AGENT_ACT_RUN,          /* run command `name` with `value`, `timeout`, output limits; RAN(token) follows in every case */
    VENV_AGENT_ACT_KILL,         /* end the run `token` early; RAN(token) still follows */
    VENV_AGENT_ACT_SYNC,         /* bring image `name` here within `timeout`; SYNCED(token) follows in every case */
    VENV_AGENT_ACT_MACHINE,      /* verb, machine, xml, name, timeout, text, epoch; MACHINE_DONE(token) follows in every case */
    VENV_AGENT_ACT_MACHINES,     /* ask the driver for a whole list now; MACHINES follows */
    VENV_AGENT_ACT_KEEP,         /* make `value` durable, in place of the one before; `token` is its number. Nothing follows */
    VENV_AGENT_ACT_COMMANDS,     /* read the directories of commands again; COMMANDS(token) follows */
    VENV_AGENT_ACT_LOG,          /* level, text */
    VENV_AGENT_ACT_EXIT,         /* a CONTROL stop: end the process in an orderly way */
} venv_agent_action_kind;

/* What to do with a machine: each is one short call of the driver (venv/machine.h). The grace time of a stop is the core's. */
typedef enum venv_machine_verb {
    VENV_MACHINE_START = 0, /* venv_machine_start(): define and start; one that runs already is a success that changes nothing */
    VENV_MACHINE_SHUTDOWN,  /* venv_machine_shutdown(): ask the guest, and return; one that is gone (ENOENT) is a success */
    VENV_MACHINE_DESTROY,   /* venv_machine_destroy(): power off now and undefine; one that is gone is a success */
    VENV_MACHINE_PROBE,     /* venv_machine_probe(): does its guest agent answer? */
    VENV_MACHINE_PAUSE,     /* venv_machine_pause() … These have a timeout: one that was not begun by then is not begun any more, VENV_ETIMEDOUT */
    VENV_MACHINE_RESUME,
    VENV_MACHINE_CANCEL,    /* venv_machine_cancel(): its outcome does not matter */
    VENV_MACHINE_SAVE,      /* this and the next take long: lists are answered meanwhile */
    VENV_MACHINE_RESTORE,
    VENV_MACHINE_MIGRATE,   /* venv_machine_migrate(): text = URI, epoch, move; PROGRESS events meanwhile */
    VENV_MACHINE_REBOOT,    /* venv_machine_reboot(): grace */
    VENV_MACHINE_CHECKPOINT,
    VENV_MACHINE_REVERT,
} venv_machine_verb;

/* How a machine is moved, and how its guest is asked to start anew; zero where nothing was said. */
typedef struct venv_machine_move {
    uint64_t bandwidth;  /* bytes a second */
    venv_span limit, grace;
    bool copy_disks, auto_converge;
} venv_machine_move;

typedef struct venv_agent_action {
    venv_agent_action_kind kind;
    uint64_t token;
    int16_t type;
    uint64_t request;
    venv_value value;      /* SEND body; RUN and SAMPLE arguments (list of strings, or null) */
    char *name;            /* CONNECT, RUN, MACHINE START (the instance): owned */
    const venv_builtin *builtin; /* SAMPLE */
    venv_span timeout;     /* RUN, SYNC, MACHINE from PAUSE on */
    uint64_t epoch;        /* MACHINE MIGRATE: the one that it has there; DESTROY: one that is there under a later epoch is left alone */
    venv_machine_move move; /* MACHINE MIGRATE, REBOOT */
    size_t out_max, err_max; /* RUN: how much of stdout and stderr is kept */
    uint64_t after_keep;   /* RUN, MACHINE: not before the KEEP of this number, or a later one, is durable; 0: at once */
    bool base;             /* SYNC: to a place where machines can stand on it; the report has its `path` */
    venv_machine_verb verb;
    venv_id machine;
    char *xml;             /* MACHINE START: domain XML, owned */
    venv_machine_files *files; /* MACHINE START: what it stands on, owned; NULL: nothing that has to be looked at or made */
    int level;             /* LOG: a venv_log_level */
    char *text;            /* LOG, CLOSE, MACHINE MIGRATE: owned */
} venv_agent_action;

/* The actions of one step, in the order in which they are to be done. */
typedef struct venv_agent_actions {
    venv_agent_action *items;
    size_t count, capacity;
} venv_agent_actions;

void venv_agent_actions_init(venv_agent_actions *actions);
void venv_agent_actions_clear(venv_agent_actions *actions); /* releases what the actions own */
void venv_agent_actions_fini(venv_agent_actions *actions);

/* `boot` names this run of the agent; `seed` is for jitter. The configuration is borrowed for the agent's life. */
venv_rc venv_agent_new(const venv_agent_config *config, venv_id boot, uint64_t seed, venv_now now,
                       venv_agent **ret_agent, venv_error *err);
void venv_agent_free(venv_agent *agent);

/*
 * Give back the value of the last KEEP that became durable, before the first step. VENV_EINVAL: it is none (the agent must
 * not go on then, it would forget what it did); VENV_ENOMEM.
 */
venv_rc venv_agent_recall(venv_agent *agent, const venv_value *kept, venv_error *err);

/*
 * Take one event, and those that hang on it. Actions are appended, in the order in which they are to be done. Fails only for VENV_ENOMEM: the agent is
 * then to be freed and what was appended not to be done; the shell ends the process and starts anew.
 */
venv_rc venv_agent_step(venv_agent *agent, venv_now now, const venv_agent_event *event,
                        venv_agent_actions *actions, venv_error *err);

/* When the next TIME event is wanted. */
venv_instant venv_agent_deadline(const venv_agent *agent);

/* Hash over everything the agent decides from: equal after a replay of the same events. */
uint64_t venv_agent_digest(const venv_agent *agent);

#endif
