/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

/*
 * Clusters in one process, in virtual time, out of one seed: managers, their agents, the hypervisors of those, the
 * network between them, the disks under the managers, a batch queue for each, and an administrator who changes things.
 *
 *      main.c    options, many runs        run.c        one run: misfortunes, then healing, then judgement
 *      world.c   time and happenings       clocks.c     what the hosts believe that the time is
 *      server.c  a manager's process       disk.c       its disk: what is durable, what is lost
 *      node.c    an agent's process        hypervisor.c the machines under it
 *      keep.c    what it writes down       moves.c      migrations from one to another
 *      liar.c    one that lies
 *      network.c connections               queue.c      jobs
 *      admin.c   a person who asks         faults.c     misfortunes, and the table of them
 *      checks.c  what must be true         report.c     trace, counts, the last line
 *      ledger.c  … of rows, and memory against disk
 *      people.c  … of what people change
 *      rules.c   … judged from a memory    witness.c    a second person, who relies on what is promised
 *
 * The cores are the real ones; the hypervisors are lib/virt's in-memory driver. Nothing here reads a clock or a
 * random device, so the same seed gives the same trace, byte for byte.
 */

#include "agent/agent.h"
#include "agent/config.h"
#include "base/random.h"
#include "base/table.h"
#include "base/wakes.h"
#include "manager/config.h"
#include "manager/manager.h"
#include "virt/fake.h"

#include <stdio.h>

#define SERVERS_MAX     8
#define NODES_MAX       1100
#define CONNECTIONS_MAX 4096
#define ASKED_MAX       64
#define PERSONS         (UINT64_C(1) << 40) /* numbers of connections that are not of agents */

#define MS(n) ((int64_t)(n) * (VENV_NS_PER_S / 1000))
#define S(n)  ((int64_t)(n) * VENV_NS_PER_S)
#define NEVER INT64_MAX

typedef struct sim sim;
struct rules; /* rules.h */
typedef struct ledger ledger; /* ledger.h */
typedef struct admin admin;   /* admin.c */
typedef struct people people; /* people.h */
typedef struct script script; /* scenario_run.c */

/* --- misfortunes ------------------------------------------------------------------------------------- */

/* Every kind once: name, weight by default, where it strikes, what it is. faults.c has a function for each. */
#define SIM_FAULTS(X)                                                                                          \
    X(MANAGER_CRASH, "manager-crash", 4, "the manager's process is killed")                                    \
    X(MANAGER_AT_WRITE, "manager-crash-at-write", 4, "… between a write and its sync, or between sync and send") \
    X(MANAGER_POWER, "manager-power-cut", 2, "its host loses power: connections die without a word")           \
    X(MANAGER_FROZEN, "manager-frozen", 2, "its process gets no processor for a while")                        \
    X(DISK_SLOW, "disk-slow", 3, "writes of a manager take up to seconds")                                     \
    X(DISK_FULL, "disk-full", 2, "there is no room for a manager's writes, but what it has reserved")           \
    X(DISK_ERROR, "disk-error", 1, "one write of a manager fails")                                             \
    X(AGENT_CRASH, "agent-crash", 4, "an agent's process is killed")                                           \
    X(AGENT_FROZEN, "agent-frozen", 2, "an agent gets no processor for a while")                               \
    X(NODE_POWER, "node-power-cut", 2, "a node reboots: its guests are gone")                                  \
    X(AGENT_DISK_SLOW, "agent-disk-slow", 2, "what an agent writes down takes up to seconds")                  \
    X(AGENT_DISK_FULL, "agent-disk-full", 1, "an agent cannot write down what it does")                        \
    X(CUT, "cut", 4, "a connection is reset, or dies silently")                                                \
    X(PARTITION, "partition", 4, "a node and its manager do not reach each other")                             \
    X(PARTITION_ONE_WAY, "partition-one-way", 3, "bytes of one direction do not arrive")                       \
    X(PARTITION_MANAGER, "partition-manager", 1, "a manager is cut off from all its nodes")                    \
    X(LINK_BAD, "link-bad", 3, "loss and reordering below TCP: what arrives is late, in bursts")               \
    X(CLOCK_JUMP, "clock-jump", 2, "the wall clock of a host is set: seconds to years, either way")            \
    X(CLOCK_DRIFT, "clock-drift", 1, "a host's clocks run too fast or too slowly")                             \
    X(HYPERVISOR_DOWN, "hypervisor-down", 3, "the hypervisor's daemon is gone for a while; guests run on")     \
    X(HYPERVISOR_HANGS, "hypervisor-hangs", 2, "a call of the hypervisor takes very long")                     \
    X(MOVE_BROKEN, "move-broken", 3, "while a machine moves, a daemon or a host of its two nodes goes, or an agent") \
    X(HYPERVISOR_LIST, "list-fails", 2, "the hypervisor does not list its machines")                           \
    X(START_FAILS, "start-fails", 3, "the next start fails, and nothing runs")                                 \
    X(ANSWER_LOST, "answer-lost", 3, "a call is carried out, and its answer is lost")                          \
    X(GUEST_DIES, "guest-dies", 3, "a guest ends by itself, or crashes")                                       \
    X(GUEST_DEAF, "guest-deaf", 1, "guests of a node do not hear the power button")

typedef enum fault_kind {
#define X(NAME, name, weight, help) FAULT_##NAME,
    SIM_FAULTS(X)
#undef X
    FAULT__COUNT
} fault_kind;

/* --- what a run is ------------------------------------------------------------------------------------- */

/* Zeros: the seed says. */
typedef struct sim_settings {
    int servers, nodes;       /* managers; hypervisor nodes in all */
    int64_t minutes;          /* of misfortunes, before everything is healed */
    bool reloads;             /* managers read another configuration now and then */
    bool scale;               /* with sim_scaled: the workers come and go by `scale`, not by triggers */
    bool calm;                /* no misfortunes but those that somebody asks for */
    bool idle_admin;          /* nobody asks for anything but who is told to */
    const char *manager_yaml; /* configuration of every manager; `%s` is its name */
    const script *script;     /* a scenario that is played, or NULL */
    const char *record;       /* NULL, or the file for the flight record of the first manager */
    FILE *out;                /* NULL, or where everything that happens is told */
} sim_settings;
extern const char sim_scaled[]; /* a configuration for `manager_yaml` (server.c) */

/* Something that will happen. */
typedef enum happening_kind {
    ARRIVE = 0,       /* the first frame of a direction of a connection */
    TIMED_OUT,        /* TCP gives a stalled direction up */
    DURABLE,          /* the manager's oldest write is on disk */
    HISTORY,          /* rows of the log were read */
    DISK_PROBE,       /* is there room? */
    DISK_TOLD,        /* the core is told that there is none, or some again */
    ANSWERED,         /* what the history says */
    DELIVERED,        /* a mail, a webhook, a plug-in: how it ended */
    MANAGER_START,
    MANAGER_CRASH,    /* at a bad moment: right after it wrote */
    AGENT_START,
    SAMPLED,          /* all built-in properties that were asked for at one moment */
    RAN,
    MACHINE_RUN,      /* the hypervisor does what it was told */
    MACHINE_TOLD,     /* the agent is told of it */
    LIST_MADE,        /* the hypervisor lists; the agent is told a little later */
    LIST_TOLD,
    MOVE_BREAKS,      /* something that a migration needs */
    MOVE,             /* a migration goes into its next phase */
    KEPT,             /* the agent's oldest KEEP is on disk */
    HYPERVISOR_BACK,
    PATH_OPEN,        /* the end of a partition */
    FAULT,            /* the next misfortune */
    JOBS,             /* the batch queues, once a second */
    ADMIN,            /* the administrator does something */
    HAPPENING__COUNT
} happening_kind;

/* What a built-in property is, and for which action. */
typedef struct sampled {
    uint64_t token;
    venv_value value;        /* owns nothing */
} sampled;

typedef struct happening {
    int64_t at, planned_at;
    happening_kind kind;
    int index;               /* of the node, or of the manager */
    uint64_t life;           /* of the process that it is for; another life does not get it */
    uint64_t connection;
    int direction;
    uint64_t token;
    venv_rc rc;
    venv_value value;
    venv_machine_verb verb;
    venv_id machine;
    uint64_t epoch;          /* of a migration, there */
    int64_t end;             /* a call that was not begun by then is not begun any more; 0: it has no such time */
    char *text;              /* XML; URI; reason */
    sampled *samples;        /* SAMPLED */
    size_t sample_count;
    bool timed_out;
} happening;

/* --- hosts --------------------------------------------------------------------------------------------- */

/* What a host believes that the time is. It changes only in clocks.c. */
typedef struct host_clock {
    int64_t since;           /* true time from which on the rest counts */
    int64_t mono, wall;      /* at that time */
    int64_t mono_ppm, wall_ppm;
} host_clock;

/* A process on a host. */
typedef struct process {
    host_clock clock;
    bool up;
    uint64_t life;           /* counts its starts */
    int64_t frozen_until;    /* true time */
    int64_t wake;            /* true time at which the core wants TIME; NEVER */
} process;

/* --- the network --------------------------------------------------------------------------------------- */

enum { TO_MANAGER = 0, TO_AGENT = 1 };

typedef enum frame_kind { FRAME_DATA = 0, FRAME_UP, FRAME_FIN } frame_kind;

typedef struct frame {
    frame_kind kind;
    int64_t at;              /* not before */
    int16_t type;
    uint64_t request;
    venv_value value;
} frame;

/* One direction: bytes in order, or none any more. */
typedef struct pipe_line {
    frame *frames;           /* ring */
    size_t begin, count, capacity;
    int64_t last_at;
    bool planned, stalled;
    uint64_t stalls;
} pipe_line;

typedef struct connection {
    uint64_t id;             /* 0: the place is free */
    int node, server;
    uint64_t lives[2];       /* of the process that receives in this direction */
    bool open[2];            /* that process has the connection, and uses it */
    bool dead;               /* nothing arrives any more */
    int64_t latency;
    pipe_line lines[2];
} connection;

/* Between a node and its manager. */
typedef struct path {
    int64_t blocked_until[2]; /* by direction; NEVER: until somebody heals it */
    int64_t blocked_since[2]; /* while it is: without a moment in which something could pass */
    int64_t bad_until;        /* much is lost and sent again */
} path;

/* --- a manager and its disk ------------------------------------------------------------------------------- */

typedef struct disk_row {
    venv_collection collection;
    venv_value key, value;
} disk_row;

typedef struct pending_write {
    uint64_t number;
    venv_manager_action *ops;
    size_t count;
    int64_t at;              /* when it was handed over */
} pending_write;

typedef struct disk {
    venv_table *rows;        /* collection and key → disk_row */
    venv_table *of[VENV_ROWS__COUNT]; /* the same rows, by collection */
    venv_value *log;         /* by revision - 1 */
    uint64_t revision;       /* of the log on disk */
    size_t log_capacity;
    pending_write *writes;
    size_t write_count, write_capacity;
    int64_t last_durable_at, slow_until, full_until;
    int64_t said_at;         /* when what is being applied was handed over */
    bool error_next;
    bool full, full_told;    /* there is no room; and the core knows */
    bool probing;
    int64_t reserve;         /* writes for which there still is room then */
    bool failed;             /* a write of this life failed: the core knows what the disk does not */
    uint64_t durable;        /* number of the last write on disk, of this life */
} disk;

typedef struct server {
    int index;
    char name[16];
    process process;
    venv_manager_config *config, *next; /* next: of its next life, or NULL */
    char *yaml;              /* what they were made from */
    venv_manager *core;      /* NULL while it is down */
    disk disk;
    venv_manager_action *held;
    size_t held_count, held_capacity;
    int64_t crash_at_write;  /* one in so many writes; 0: never */
    int64_t pending, running, done; /* jobs of its queue */
    ledger *ledger;
    admin *admin;
    people *people;
    struct venv_recorder *recorder; /* NULL: none is kept */
} server;

/* --- a node --------------------------------------------------------------------------------------------- */

/* What an agent has written down, is writing down, and does when that is done. */
typedef struct pending_keep {
    uint64_t number;
    venv_value value;
} pending_keep;

typedef struct keeper {
    venv_value kept;         /* what outlives the agent: its last KEEP that was durable */
    uint64_t durable;        /* its number, of this life */
    pending_keep *writes;
    size_t write_count, write_capacity;
    venv_agent_action *held;
    size_t held_count, held_capacity;
    int64_t last_at, slow_until, full_until;
} keeper;

typedef struct node {
    int index, server;       /* its manager */
    char name[16];
    process process;
    path path;
    venv_agent_config *config;
    venv_agent *core;        /* NULL while it is down */
    uint64_t connection;     /* 0: none */
    bool exits;              /* it was asked to end */
    bool liar;               /* liar.c */
    bool held_down;          /* a scenario stopped it: it does not start by itself */
    bool hypervisor_down;
    int64_t hangs_until;
    venv_fake_world *machines; /* NULL: a batch head */
    venv_hypervisor *hypervisor; /* of this life; NULL: not connected */
    int64_t worker_free;     /* one call of the hypervisor after the other… */
    int64_t mover_free;      /* …and those that take long beside them */
    int64_t lost_power_at;
    keeper keeper;
} node;

/* A migration between two nodes. */
#define MOVES_MAX 64u
typedef enum move_phase { MOVE_NONE = 0, MOVE_COPYING, MOVE_OVER, MOVE_STRANDED } move_phase;
typedef struct move {
    uint64_t number;
    move_phase phase;
    int from, to;            /* nodes */
    venv_id machine;
    uint64_t life, token;    /* of the agent that asked, and of its call */
} move;

typedef struct counts {
    uint64_t steps, faults, starts, stops, writes_lost, keeps_lost, records_lost, messages, messages_lost, manager_crashes, agent_crashes, firings, jobs,
        requests, checks, changes, applied, commands, moves, moves_broken, lies;
    uint64_t by_fault[FAULT__COUNT];
} counts;

/* A happening that waits: a small entry of the heap, and its place in the pool. */
typedef struct waiting {
    int64_t at;
    uint64_t order;          /* ties: first made, first done */
    uint32_t place;
} waiting;

struct sim {
    uint64_t seed;
    sim_settings settings;
    venv_random random;
    int64_t now;             /* true time */
    uint64_t order;
    waiting *heap;
    size_t heap_count, heap_capacity;
    happening *pool;
    uint32_t *pool_free;
    size_t pool_count, pool_free_count, pool_capacity;
    connection *connections; /* CONNECTIONS_MAX of them */
    uint64_t connection_serial;
    server servers[SERVERS_MAX];
    int server_count;
    node nodes[NODES_MAX];
    int node_count;
    venv_agent_actions agent_actions;     /* empty, with room: taken by a step, and given back */
    venv_manager_actions manager_actions;
    venv_wakes wakes;        /* of all processes: nodes, then servers */
    int weights[FAULT__COUNT];
    int64_t fault_every;     /* mean time between misfortunes */
    int64_t fault_total;     /* of the weights */
    bool healing;            /* no new misfortunes */
    bool failed;
    char why[512];
    uint64_t trace;
    counts counts;
    struct {
        venv_id id;
        int server;
    } asked[ASKED_MAX];      /* starts that the administrator asked for */
    size_t asked_count;
    move moves[MOVES_MAX];
    uint64_t move_serial;
    uint64_t persons;        /* connections that the administrator has made */
    struct rules *rules;
};

/* world.c: a run is made, played until a time, and released. Scenarios call what is below in between. */
sim *sim_new(uint64_t seed, const sim_settings *settings);
void sim_free(sim *s);
void sim_play(sim *s, int64_t until);
happening *sim_plan(sim *s, int64_t delay, happening_kind kind);
/* A process wants TIME at its `wake`, or never. */
void sim_wakes(sim *s, uint32_t who, process *p, int64_t at);
int64_t sim_chance(sim *s, int64_t below);
bool sim_percent(sim *s, int64_t percent);
int64_t sim_between(sim *s, int64_t low, int64_t high);
/* Short times are as likely as long ones. */
int64_t sim_spread(sim *s, int64_t low, int64_t high);
void sim_fail(sim *s, const char *format, ...) VENV_PRINTF(2, 3);
/* NULL if nothing is called that. */
node *sim_node(sim *s, const char *name);
server *sim_server(sim *s, const char *name);

/* run.c: the whole: misfortunes, healing, judgement. */
typedef struct sim_result {
    uint64_t trace;
    bool good;
    char why[600];
    int64_t simulated;       /* ns */
    counts counts;
} sim_result;
void sim_run(uint64_t seed, const sim_settings *settings, sim_result *ret_result);
/* Everything that is broken works again, and nothing more breaks. */
void sim_heal(sim *s);
/* Nothing is left to do; else *ret_why says what is (may be NULL). */
bool sim_is_quiet(sim *s, char why[256]);

/* scenario_run.c: what a scenario says there is. Texts are the caller's. */
typedef struct script_node {
    char name[16];
    size_t server;
    int64_t cpus, memory;     /* cpus 0: no hypervisor */
} script_node;
size_t script_servers(const script *p);
size_t script_nodes(const script *p);
char *script_manager(const script *p, size_t index, char name[16]);
char *script_agent(const script *p, size_t index, script_node *ret);
const char *script_value(const script *p, const char *name); /* what a command prints; NULL: it fails */
/* Play a file with seeds from `first` on. What goes wrong is printed. */
bool scenario_play(const char *file_name, uint64_t first, uint64_t seeds, FILE *out);

/* clocks.c */
void clock_init(sim *s, host_clock *clock);
venv_now clock_read(const sim *s, const host_clock *clock);
int64_t clock_when(const sim *s, const host_clock *clock, venv_instant deadline); /* true time; NEVER */
void clock_jump(sim *s, host_clock *clock, int64_t by_ns);       /* of the wall clock */
void clock_drift(sim *s, host_clock *clock, int64_t mono_ppm, int64_t wall_ppm);
void clock_reboot(sim *s, host_clock *clock);                    /* monotonic time begins anew */

/* server.c */
void server_init(sim *s, server *v, int index);
void server_fini(server *v);
void server_start(sim *s, server *v);
void server_crash(sim *s, server *v, bool power);  /* and starts again after a while */
void server_stop(sim *s, server *v);               /* stays down */
void server_event(sim *s, server *v, const venv_manager_event *event);
void server_release(sim *s, server *v);            /* what waited for the disk */
void server_freeze(sim *s, server *v, int64_t span);
void server_woken(sim *s, server *v);              /* its deadline may have changed */
/* While it runs: its configuration with one trigger more, or as it was. */
void server_reload(sim *s, server *v, bool more);
/* Another configuration, as text, taken up while it runs, and by its next lives. False, with the reason, if it is none: then nothing changes. */
bool server_configure(sim *s, server *v, const char *yaml, venv_error *err);

/* disk.c */
void disk_init(sim *s, disk *d);
void disk_fini(disk *d);
void disk_full(sim *s, server *v, int64_t until);             /* from now on there is no room; NEVER: until it is healed */
void disk_started(sim *s, server *v);                         /* a life of its manager begins */
void disk_happening(sim *s, server *v, const happening *h);
bool disk_take(sim *s, server *v, venv_manager_actions *out); /* false: the write failed, and the manager ends */
void disk_durable(sim *s, server *v);                         /* the oldest write is on disk */
void disk_crash(sim *s, server *v);
const disk_row *disk_find(const disk *d, venv_collection collection, const venv_value *key);
const venv_value *disk_row_of(const server *v, venv_collection collection, venv_id key);
const disk_row *disk_next(const disk *d, size_t *cursor);     /* start with 0; NULL at the end */
const disk_row *disk_next_of(const disk *d, venv_collection collection, size_t *cursor);

/* node.c */
void node_init(sim *s, node *n, int index, int server_index, const char *name, bool hypervisor);
void node_init_script(sim *s, node *n, int index); /* one that a scenario declares */
void node_fini(node *n);
void node_start(sim *s, node *n);
void node_crash(sim *s, node *n, bool power);  /* and starts again after a while; power: the guests are gone, too */
void node_stop(sim *s, node *n);               /* stays down */
void node_freeze(sim *s, node *n, int64_t span);
void node_event(sim *s, node *n, const venv_agent_event *event);
void node_happening(sim *s, happening *h);
void node_woken(sim *s, node *n);

void node_run(sim *s, node *n, const venv_agent_action *a); /* a command */

/* keep.c */
void keep_write(sim *s, node *n, venv_agent_action *a);  /* takes its value */
void keep_effect(sim *s, node *n, venv_agent_action *a); /* a command, a call of the hypervisor: when it may */
void keep_durable(sim *s, node *n);
void keep_crash(sim *s, node *n);
void keep_fini(node *n);

/* hypervisor.c */
void hypervisor_do(sim *s, node *n, const venv_agent_action *a);
void hypervisor_list_soon(sim *s, node *n);
void hypervisor_happening(sim *s, happening *h);
void hypervisor_down(sim *s, node *n, int64_t span); /* NEVER: until it is healed */
void hypervisor_back(sim *s, node *n);
void hypervisor_lose_guests(sim *s, node *n);      /* the node rebooted */

/* moves.c */
void moves_begin(sim *s, node *from, const happening *h);
void moves_happening(sim *s, const happening *h);
void moves_break(sim *s, const node *n); /* its daemon, or its power, is about to go */
void moves_tidy(sim *s);
int64_t moves_copies(const sim *s, const server *v); /* paused ones that are left on its nodes, of machines that have moved */
const move *moves_any(sim *s); /* one that is under way, or NULL */

/* liar.c */
venv_value liar_says(sim *s, const node *n, int16_t type, const venv_value *body);
uint64_t liar_before(sim *s, const server *v, const venv_manager_event *event);
void liar_after(sim *s, const server *v, const venv_manager_event *event, uint64_t before);

/* network.c */
const node *network_speaker(sim *s, const server *v, const venv_manager_event *event); /* the node that says it; NULL: no node */
void network_dial(sim *s, node *n);
void network_send(sim *s, uint64_t id, int direction, int16_t type, uint64_t request, const venv_value *body);
void network_close(sim *s, uint64_t id, int direction); /* by the side that sends in this direction */
void network_cut(sim *s, uint64_t id, bool silently);
void network_block(sim *s, node *n, int direction, int64_t span); /* NEVER: until it is healed */
void network_heal(sim *s, node *n);
void network_path_open(sim *s, node *n, int direction);
void network_process_died(sim *s, int node, int server, bool power); /* one of them is -1 */
void network_happening(sim *s, happening *h);
void network_fini(sim *s);

/* queue.c */
void queue_second(sim *s);
int64_t queue_guests(const sim *s, const server *v); /* running machines on its nodes, each once */

/* admin.c */
admin *admin_new(void);
void admin_free(admin *a);
void admin_acts(sim *s);
void admin_ended(server *v); /* its manager is gone, and with it his connection */
void admin_receives(sim *s, server *v, const venv_manager_action *a); /* an answer */

/* faults.c */
void faults_init(sim *s);
void faults_strike(sim *s);                       /* the next one, by the dice */
void faults_do(sim *s, fault_kind kind, int node, int server); /* that one, there; -1: the dice say where */
const char *faults_name(fault_kind kind);
bool faults_find(const char *name, fault_kind *ret_kind);

/* checks.c */
void check_step(sim *s);
void check_row(sim *s, server *v, const disk_row *old, const venv_value *fresh);
void check_order(sim *s, node *n, venv_machine_verb verb, venv_id machine);
void check_end(sim *s);

/* report.c */
void report_trace(sim *s, const char *what, uint64_t a, uint64_t b);
void report_mix(sim *s, const void *data, size_t size);
void report_say(sim *s, const char *who, const char *format, ...) VENV_PRINTF(3, 4); /* only where it is listened to */

#endif
