/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MANAGER_MANAGER_H
#define VENV_MANAGER_MANAGER_H

/*
 * The manager's core: a state machine, like the agent's.
 *
 *      peers' frames, time ──► venv_manager_step() ──► sends, closes, writes, log lines
 *
 * **Done means on disk.** What must survive is emitted as WRITE actions; every action that tells
 * somebody about it, or has an effect elsewhere, carries `after_write`: the number of the write that must be durable
 * first. The shell holds it back until then (and the simulator may crash in between). A failed write
 * ends the manager: it restarts from what is on disk.
 *
 * After a restart the core is built from the stored rows, knows which instances it had asked for, and
 * learns from each agent's MACHINES what is there. It starts nothing that might be there already.
 */

#include <venv/message.h>
#include <venv/value.h>

typedef struct venv_manager venv_manager;
typedef struct venv_manager_config venv_manager_config; /* manager/config.h */

typedef enum venv_manager_event_kind {
    VENV_MANAGER_EVENT_TIME = 0,
    VENV_MANAGER_EVENT_PEER_UP,   /* peer, role, text = name from the certificate */
    VENV_MANAGER_EVENT_PEER_DOWN, /* peer, text = reason */
    VENV_MANAGER_EVENT_FRAME,     /* peer, type, request, value */
    VENV_MANAGER_EVENT_DISK,      /* full = whether the disk of the state is; text. Writes go on into what is reserved */
    VENV_MANAGER_EVENT_ANSWER,    /* what an ASK found: token, value = body of RESULT, or of FAILED */
    VENV_MANAGER_EVENT_HISTORY,   /* rows of the event log that a READ asked for: token, value = list of EVENT bodies; or NULL, text = why */
    VENV_MANAGER_EVENT_DELIVERED, /* an order ended: action, rc, text = error or NULL, value = result or NULL */
    VENV_MANAGER_EVENT_CONFIG,    /* the files were read: token of a RELOAD (0: of a signal), config, or rc and text = what is wrong with them;
                                   * value = venv_record_sources() of the texts, for records, or NULL */
} venv_manager_event_kind;

typedef struct venv_manager_event {
    venv_manager_event_kind kind;
    uint64_t peer;            /* number of the connection, never used twice */
    venv_role role;           /* from the certificate, never from a message */
    const char *text;
    const char *address;      /* PEER_UP: "192.0.2.7:40112", for logs only */
    int16_t type;
    uint64_t request;
    bool full;                /* DISK */
    bool known;               /* FRAME: venv_frame.known */
    uint64_t token;
    venv_id action;
    venv_rc rc;
    const venv_value *value;  /* borrowed for the step */
    const venv_manager_config *config; /* CONFIG: borrowed for the step */
} venv_manager_event;

/* Collections of the store. A row is a key and a map. */
typedef enum venv_collection {
    VENV_ROWS_META = 0,   /* "manager": {boot count, last revision …} */
    VENV_ROWS_INSTANCES,  /* key: the machine's id */
    VENV_ROWS_ACTIONS,    /* key: the action's id */
    VENV_ROWS_REQUESTS,   /* key: the request's id; its answer, so that asking twice does once */
    VENV_ROWS_TRIGGERS,   /* key: the trigger's name (and element): hold, firing, cooldown, counters */
    VENV_ROWS_AGENTS,     /* key: the agent's name: what must be known after a restart */
    VENV_ROWS_PROPOSALS,  /* key: the proposal's id: what a trigger in mode propose would do */
    VENV_ROWS_BREAKERS,   /* key: "environment/NAME" or "node/NAME": failures of starts */
    VENV_ROWS_ENVIRONMENTS, /* key: "NAME@VERSION": a version of an environment */
    VENV_ROWS__COUNT
} venv_collection;

typedef enum venv_manager_action_kind {
    VENV_MANAGER_ACT_SEND = 0, /* peer, type, request, value */
    VENV_MANAGER_ACT_CLOSE,    /* peer, text = reason; after what was sent to it */
    VENV_MANAGER_ACT_PUT,      /* collection, key, value: one row; part of this step's transaction */
    VENV_MANAGER_ACT_DELETE,   /* collection, key */
    VENV_MANAGER_ACT_APPEND,   /* value = body of EVENT, with its revision: to the log of events */
    VENV_MANAGER_ACT_READ,     /* HISTORY(token) wanted: `since` revision (exclusive), at most `limit` */
    VENV_MANAGER_ACT_DELIVER,  /* action, value = the order of a mail, webhook or plug-in (deliver/deliver.h, and {kind: "plugin", name,
                                * input, timeout}); DELIVERED(action) follows, unless the manager ends before */
    VENV_MANAGER_ACT_RECORD,   /* value = bytes: a journal for the history (history/journal.h); may be lost */
    VENV_MANAGER_ACT_ASK,      /* ANSWER(token) wanted: value = what is looked for in the history, as in HISTORY */
    VENV_MANAGER_ACT_LOG,      /* level, text */
    VENV_MANAGER_ACT_RELOAD,   /* CONFIG(token) wanted: read the configuration's files */
} venv_manager_action_kind;

typedef struct venv_manager_action {
    venv_manager_action_kind kind;
    uint64_t after_write;  /* SEND, CLOSE, READ, DELIVER: this step number's transaction must be durable first; 0 = at once */
    uint64_t peer;
    int16_t type;
    uint64_t request, token, since;
    uint32_t limit;
    venv_collection collection;
    venv_value key;        /* string or bytes; owned */
    venv_value value;      /* owned */
    venv_id action;
    int level;
    char *text;            /* owned */
} venv_manager_action;

/* All PUT, DELETE and APPEND of one step are one transaction, number `write` (0: the step writes nothing). */
typedef struct venv_manager_actions {
    venv_manager_action *items;
    size_t count, capacity;
    uint64_t write;
} venv_manager_actions;

void venv_manager_actions_init(venv_manager_actions *actions);
void venv_manager_actions_clear(venv_manager_actions *actions);
void venv_manager_actions_fini(venv_manager_actions *actions);

/* What a restart knows: every row, as (collection, key, value), then the last revision of the event log. */
typedef struct venv_manager_row {
    venv_collection collection;
    const venv_value *key, *value;
} venv_manager_row;

/* The configuration that is used now: the first one, or what a reload made of it. Valid until the next step. */
const venv_manager_config *venv_manager_config_used(const venv_manager *manager);
/* How often another one was taken up: not one that was refused, or only looked at. */
uint64_t venv_manager_config_changes(const venv_manager *manager);

/* The configuration is borrowed for the manager's life. `seed` is for ids and jitter; `boot` names this run. */
venv_rc venv_manager_new(const venv_manager_config *config, const venv_manager_row *rows,
                         size_t row_count, uint64_t last_revision, venv_id boot, uint64_t seed,
                         venv_now now, venv_manager **ret_manager, venv_error *err);
void venv_manager_free(venv_manager *manager);

venv_rc venv_manager_step(venv_manager *manager, venv_now now, const venv_manager_event *event,
                          venv_manager_actions *actions, venv_error *err);
venv_instant venv_manager_deadline(const venv_manager *manager);
uint64_t venv_manager_digest(const venv_manager *manager);

/*
 * Every row that the store holds when all that was emitted is written, as PUT actions: what a restart would be given. For
 * records and for the check that memory and store agree; between steps only. VENV_ENOMEM.
 */
venv_rc venv_manager_export(venv_manager *manager, venv_manager_actions *ret_rows, uint64_t *ret_last_revision);

#endif
