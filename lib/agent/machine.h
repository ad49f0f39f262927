/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_MACHINE_H
#define VENV_AGENT_MACHINE_H

/*
 * One machine on the node, as the agent handles it: a state machine with one table (machine.c).
 *
 *            START                 DONE                                    (the driver's call that is under way,
 *     IDLE ─────────► STARTING ──────────► IDLE                             or what is waited for)
 *       │  STOP                 DONE                 GONE, GRACE
 *       ├────────► ASKING ───────────► WAITING ───────────────┐
 *       │            ▲────── AGAIN ────────┘                  ▼       DONE
 *       └─ DESTROY ──────────────────────────────────► DESTROYING ──────────► IDLE
 *
 * PREPARE leads from IDLE to PREPARING, where START leads on. CHANGE leads from IDLE to CHANGING and back; a stop that comes meanwhile is done after it, as after a start.
 * A stop asks the guest every two seconds (one that still boots does not hear the first), and powers off when
 * the guest is down or the grace time is over. It says what is to be done; machines.c does it.
 * What the *hypervisor* says about the machine is kept beside this, in `seen`.
 */

#include "agent/agent.h"

#include <venv/environment.h>

enum {
    AGENT_ASKERS_MAX = 4,      /* actions that wait for one operation */
    AGENT_REASON_SIZE = 128,   /* why a machine is in its state, with its NUL */
    AGENT_STATE_SIZE = 16,     /* the name of a state, with its NUL */
    AGENT_ASK_EVERY_S = 2,     /* a guest that is to shut down is asked this often */
};

typedef enum agent_machine_state {
    MACHINE_IDLE = 0,   /* nothing is being done to it */
    MACHINE_PREPARING,  /* what it stands on is brought here */
    MACHINE_STARTING,   /* START is under way */
    MACHINE_ASKING,     /* SHUTDOWN is under way */
    MACHINE_WAITING,    /* the guest was asked */
    MACHINE_DESTROYING, /* DESTROY is under way */
    MACHINE_CHANGING,   /* `change` is under way: PAUSE, RESUME, SAVE, RESTORE, MIGRATE, REBOOT, CHECKPOINT or REVERT */
    MACHINE_STATE__COUNT
} agent_machine_state;

typedef enum agent_machine_event {
    MACHINE_EVENT_START = 0, /* the manager asks; or what it needs is here now */
    MACHINE_EVENT_PREPARE,   /* the manager asks for a start, and something has to be brought here before */
    MACHINE_EVENT_STOP,
    MACHINE_EVENT_DESTROY,
    MACHINE_EVENT_CHANGE,
    MACHINE_EVENT_DONE,      /* the driver's call succeeded, or its outcome is not known */
    MACHINE_EVENT_FAILED,    /* it failed: nothing was done */
    MACHINE_EVENT_GONE,      /* the hypervisor lists it no longer, or as not running */
    MACHINE_EVENT_AGAIN,     /* time to ask the guest again */
    MACHINE_EVENT_GRACE,     /* the grace time is over */
    MACHINE_EVENT__COUNT
} agent_machine_event;

/* What is to be done on the way to the next state. */
typedef enum agent_machine_effect {
    MACHINE_NOTHING = 0,
    MACHINE_CALL_PREPARE,
    MACHINE_CALL_START,
    MACHINE_CALL_SHUTDOWN,
    MACHINE_CALL_DESTROY,
    MACHINE_CALL_CHANGE,
    MACHINE_JOIN,    /* the same is being done already: answer this asker, too */
    MACHINE_LATER,   /* remember it; it is done when the state is IDLE again */
    MACHINE_REFUSE,  /* VENV_ECONFLICT: the opposite is being done */
    MACHINE_ANSWER,  /* it is over: answer the askers */
} agent_machine_effect;

typedef struct agent_machine_rule {
    agent_machine_state next;
    agent_machine_effect effect;
} agent_machine_rule;

/* The table. */
agent_machine_rule venv_agent_machine_rule_of(agent_machine_state state, agent_machine_event event);
const char *venv_agent_machine_state_name(agent_machine_state state);

/* An action of the manager that waits for its answer. */
typedef struct agent_asker {
    venv_id action;
    uint64_t request, connection; /* of the last time that it was asked */
} agent_asker;

/* What the hypervisor said last. */
typedef struct agent_seen {
    bool listed;
    char state[AGENT_STATE_SIZE];
    int64_t vcpus, memory;
    char reason[AGENT_REASON_SIZE];
    char *console; /* owned; NULL: none */
} agent_seen;

/* A start whose images are on their way: prepare.c. */
typedef struct agent_preparation {
    venv_environment *definition;
    venv_machine_mark mark;
    char *bases[VENV_ENVIRONMENT_DISKS_MAX]; /* of each disk, owned; NULL: not here yet, or it needs none */
    size_t disk;                             /* whose image is on its way */
    uint64_t token;                          /* of that */
} agent_preparation;

typedef struct agent_machine {
    venv_id id;
    char instance[VENV_NAME_MAX + 1], environment[VENV_NAME_MAX + 1];
    uint64_t epoch;              /* the newest that was seen */
    bool ended;                  /* in that epoch, a stop was accepted, a start failed, or it ran and is gone, or it was seen to be down: no start in it any more */
    bool ran;                    /* it was seen to run in that epoch */
    agent_machine_state state;
    uint64_t token;              /* of the driver's call; 0: none */
    agent_asker askers[AGENT_ASKERS_MAX];
    size_t asker_count;
    venv_instant grace_end, ask_next; /* WAITING, ASKING */
    venv_machine_verb change;    /* CHANGING: which */
    uint64_t change_epoch;       /* MIGRATE: of the machine there */
    bool change_of_saved;        /* MIGRATE: its memory moves, it does not run */
    venv_machine_move move;
    venv_instant told;           /* MIGRATE: when the manager was told last how far it is; NEVER */
    venv_instant change_end;     /* CHANGING: it is given up then */
    bool later;                  /* a stop that waits for a start to end */
    bool later_destroy, later_gentle; /* gentle: not if it runs then */
    agent_asker later_asker;
    venv_span later_grace;
    agent_preparation *preparation; /* PREPARING, else NULL */
    venv_machine_files *files;      /* on their way to the call of START, owned */
    agent_seen seen;
} agent_machine;

/* How the machine is called in messages: "starting" and "stopping" while something is being done, else as it was seen. */
const char *venv_agent_machine_shown(const agent_machine *machine);
/* Is it told to the manager at all? */
bool venv_agent_machine_is_told(const agent_machine *machine);
/* Nothing is known of it but its epoch. */
bool venv_agent_machine_is_memory(const agent_machine *machine);
/* The hypervisor says that it is not running, or not there. */
bool venv_agent_machine_is_down(const agent_machine *machine);

void venv_agent_machine_free(agent_machine *machine);

#endif
