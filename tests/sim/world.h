/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

/*
 * A cluster in one process, in virtual time, out of one seed.
 *
 *      main.c     seeds, phases, the last line          world.c    time, happenings, the batch queue
 *      server.c   the manager: core, disk, crashes      node.c     agents: core, hypervisor, crashes
 *      network.c  connections: delay, loss, partitions  checks.c   what must be true after every step
 *      person.c   somebody who asks, and asks again
 *
 * The cores are the real ones; the hypervisors are lib/virt's in-memory driver. Nothing here reads a clock or a
 * random device, so the same seed gives the same trace, byte for byte.
 */

#include "agent/agent.h"
#include "agent/config.h"
#include "base/random.h"
#include "manager/config.h"
#include "manager/manager.h"
#include "virt/fake.h"

#include <stdio.h>

#define NODES_MAX       5
#define CONNECTIONS_MAX 4096
#define ROWS_MAX        8192
#define HELD_MAX        8192
#define ASKED_MAX       32
#define WANTED_MAX      3u /* instances that the trigger asks for at most */
#define PERSONS         (UINT64_C(1) << 40) /* numbers of connections that are not of agents */

#define MS(n) ((int64_t)(n) * (VENV_NS_PER_S / 1000))
#define S(n)  ((int64_t)(n) * VENV_NS_PER_S)

typedef struct sim sim;

/* Something that will happen. */
typedef enum happening_kind {
    TO_MANAGER = 0,   /* connection, type, request, value */
    TO_AGENT,
    MANAGER_UP,       /* a connection arrives at the manager */
    MANAGER_DOWN,     /* the manager learns that a connection is gone */
    AGENT_CONNECTED,
    AGENT_DISCONNECTED,
    DURABLE,          /* the manager's oldest write is on disk */
    HISTORY,          /* rows of the log were read */
    MANAGER_START,
    MANAGER_CRASH,    /* at a bad moment: right after it wrote */
    AGENT_START,
    SAMPLED,          /* node, token, value */
    RAN,
    MACHINE_RUN,      /* the hypervisor does what it was told */
    MACHINE_TOLD,     /* the agent is told of it */
    LIST_MADE,        /* the hypervisor lists; the agent is told a little later */
    LIST_TOLD,
    HYPERVISOR_BACK,
    PARTITION_HEALED,
    FAULT,            /* the next misfortune */
    JOBS,             /* the batch queue, once a second */
    PERSON_ASKS,
    HAPPENING__COUNT
} happening_kind;

typedef struct happening {
    int64_t at;
    uint64_t order;          /* ties: first made, first done */
    happening_kind kind;
    int node;
    uint64_t life;           /* of the agent or manager that it is for; another life does not get it */
    uint64_t connection;
    uint64_t token, request;
    int16_t type;
    venv_rc rc;
    venv_value value;
    venv_machine_verb verb;
    venv_id machine;
    char *text;              /* XML; reason */
    bool timed_out;
} happening;

typedef struct connection {
    uint64_t id;
    int node;
    uint64_t agent_life, manager_life;
    bool used, agent_up, manager_up, cut;
    int64_t latency;
    int64_t last_to_manager, last_to_agent; /* frames of one direction keep their order */
} connection;

/* --- the manager's host --------------------------------------------------------------------------- */

typedef struct disk_row {
    venv_collection collection;
    venv_value key, value;
} disk_row;

typedef struct pending_write {
    uint64_t number;
    venv_manager_action *ops;
    size_t count;
} pending_write;

typedef struct server {
    venv_manager_config *config;
    venv_manager *core;      /* NULL while it is down */
    uint64_t life;
    venv_instant woken;
    disk_row rows[ROWS_MAX];
    size_t row_count;
    uint64_t revision;       /* of the log on disk */
    venv_value log[65536];   /* by revision - 1 */
    pending_write writes[512];
    size_t write_count;
    int64_t last_durable_at;
    uint64_t durable;        /* number of the last write on disk, of this life */
    venv_manager_action held[HELD_MAX];
    size_t held_count;
} server;

/* --- a node ---------------------------------------------------------------------------------------- */

typedef struct node {
    venv_agent_config *config;
    venv_agent *core;        /* NULL while it is down */
    uint64_t life;
    uint64_t connection;     /* 0: none */
    bool partitioned, hypervisor_down;
    venv_fake_world *machines; /* NULL: the batch head */
    venv_hypervisor *hypervisor; /* of this life; NULL: not connected */
    int64_t worker_free;     /* one call of the hypervisor after the other */
    venv_instant last_told;
    venv_value kept;         /* what outlives the agent: its last KEEP */
} node;

typedef struct counts {
    uint64_t steps, faults, starts, stops, writes_lost, messages_lost, manager_crashes, agent_crashes, firings;
} counts;

struct sim {
    uint64_t seed;
    venv_random random;
    int64_t now, wall;
    uint64_t order;
    happening *heap;
    size_t heap_count, heap_capacity;
    connection connections[CONNECTIONS_MAX];
    uint64_t next_connection;
    server server;
    node nodes[NODES_MAX];
    int node_count;
    int64_t pending, running, done; /* jobs */
    bool healing;            /* no new misfortunes */
    bool failed;
    char why[512];
    uint64_t trace;
    counts counts;
    venv_id asked[ASKED_MAX]; /* ids of the starts that the person asked for */
    size_t asked_count;
    uint64_t persons;        /* connections that the person has made */
    bool verbose;
};

/* world.c */
sim *sim_new(uint64_t seed, bool verbose);
void sim_free(sim *s);
void sim_step(sim *s, int64_t until);
happening *sim_plan(sim *s, int64_t delay, happening_kind kind);
int64_t sim_chance(sim *s, int64_t below);
bool sim_percent(sim *s, int64_t percent);
int64_t sim_between(sim *s, int64_t low, int64_t high);
venv_now sim_now(const sim *s);
void sim_fail(sim *s, const char *format, ...) VENV_PRINTF(2, 3);
void sim_trace(sim *s, const char *what, uint64_t a, uint64_t b);
void sim_mix(sim *s, const void *data, size_t size);

/* server.c */
void server_init(sim *s);
void server_fini(sim *s);
void server_start(sim *s);
void server_crash(sim *s);
void server_event(sim *s, const venv_manager_event *event);
void server_durable(sim *s);
void server_time(sim *s);
const venv_value *server_row(const sim *s, venv_collection collection, venv_id key);

/* node.c */
void node_init(sim *s, int index, const char *name, bool hypervisor);
void node_fini(node *n);
void node_start(sim *s, int index);
void node_crash(sim *s, int index);
void node_event(sim *s, int index, const venv_agent_event *event);
void node_happening(sim *s, happening *h);
void node_list_soon(sim *s, int index);

/* network.c */
connection *network_find(sim *s, uint64_t id);
void network_dial(sim *s, int node);
void network_to_manager(sim *s, connection *c, int16_t type, uint64_t request, const venv_value *body);
void network_to_agent(sim *s, connection *c, int16_t type, uint64_t request, const venv_value *body);
void network_close(sim *s, connection *c, bool by_manager, const char *why);
void network_cut(sim *s, connection *c);
void network_manager_died(sim *s);
void network_agent_died(sim *s, int node);
void network_happening(sim *s, happening *h);

/* person.c */
void person_asks(sim *s);

/* checks.c */
void check_step(sim *s);
void check_row(sim *s, const disk_row *old, const venv_value *fresh);
void check_order(sim *s, int node, venv_machine_verb verb, venv_id machine);
void check_end(sim *s);
bool check_quiet(sim *s);

#endif
