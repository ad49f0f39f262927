/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second person beside the administrator, who knows what he may rely on: an answer means that it is durable (L1), the same
 * id gives the same answer (L2), and the events come each, once, in order (L7). He leaves in the middle of things, and plays
 * two tricks that happen to real clusters: a cloned node connects under a name that is in use, and a manager that was
 * restored from the past says again what it said long ago.
 */
#include "sim/rules.h"

#include "agent/state.h"
#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

#define STARTS_MAX 16u
#define ORDERS_MAX 8u
#define EXECS_MAX  16u

enum { ASK_FOLLOW = 1, ASK_START, ASK_STOP, ASK_FETCH, ASK_HISTORY, ASK_STATUS };

typedef struct start_asked {
    venv_id id;
    bool answered;
    uint64_t answer;       /* hash over the instances of the first answer */
} start_asked;

#define GHOST "ghost"
#define GHOST_SPAN S(70) /* it says that it is there for so long; it has to be found out before */

typedef struct server_witness {
    uint64_t ghost;        /* an agent that is heard and does not hear; 0: none */
    int64_t ghost_since, ghost_next;
    uint64_t follower;     /* number of the connection; 0: none */
    uint64_t seen;         /* last revision */
    bool looked;           /* the status was answered */
    uint64_t patient;      /* a connection that waits for something; 0: none */
    start_asked starts[STARTS_MAX];
    size_t start_count;
    venv_id asking;        /* id of the start that was asked for last */
} server_witness;

/* What a node was once told. */
typedef struct old_order {
    int16_t type;
    venv_value body;
} old_order;

typedef struct node_witness {
    old_order orders[ORDERS_MAX];
    size_t count;
} node_witness;

struct witness {
    server_witness servers[SERVERS_MAX];
    node_witness *nodes;   /* NODES_MAX of them */
    uint64_t persons;
    int64_t next;
};

witness *witness_new(void)
{
    witness *w = calloc(1, sizeof *w);
    if (!w || !(w->nodes = calloc(NODES_MAX, sizeof *w->nodes)))
        abort();
    return w;
}

void witness_free(witness *w)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        for (size_t k = 0; k < w->nodes[i].count; k++)
            venv_value_unref(&w->nodes[i].orders[k].body);
    free(w->nodes);
    free(w);
}

void witness_ended(sim *s, server *v)
{
    server_witness *w = &rules_witness(s)->servers[v->index];
    w->follower = w->patient = w->ghost = 0;
}

/* --- asking ----------------------------------------------------------------------------------------------------------- */

void witness_tell(sim *s, server *v, uint64_t number, int16_t type, uint64_t request, venv_map_builder *map)
{
    venv_value body = venv_value_null();
    if (venv_map_take(map, &body, NULL) != VENV_OK) {
        sim_fail(s, "out of memory");
        return;
    }
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_FRAME, .peer = number, .type = type, .request = request,
                                              .known = true, .value = &body });
    venv_value_unref(&body);
}

static void put_versions(venv_map_builder *map)
{
    venv_list_builder versions;
    venv_value list = venv_value_null();
    venv_list_init(&versions);
    venv_list_add(&versions, venv_value_int(VENV_PROTOCOL_VERSION));
    if (venv_list_take(&versions, &list, NULL) == VENV_OK)
        venv_map_put(map, "versions", list);
}

static uint64_t connect_as(sim *s, server *v, venv_role role, const char *name)
{
    uint64_t number = WITNESSES + ++rules_witness(s)->persons;
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = number, .role = role, .text = name,
                                              .address = "192.0.2.10:1" });
    return number;
}

uint64_t witness_connect(sim *s, server *v)
{
    venv_map_builder map;
    uint64_t number = connect_as(s, v, VENV_ROLE_USER, "boris");
    venv_map_init(&map);
    put_versions(&map);
    witness_tell(s, v, number, VENV_MSG_HELLO, 0, &map);
    return number;
}

static void leave(sim *s, server *v, uint64_t *which)
{
    uint64_t number = *which;
    *which = 0;
    if (number)
        server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = number, .text = "done" });
}

static void follow(sim *s, server *v, server_witness *w)
{
    venv_map_builder map;
    if (sim_percent(s, 20))
        w->seen = 0;
    uint64_t number = w->follower = witness_connect(s, v);
    if (w->follower != number)
        return; /* the manager died of it */
    venv_map_init(&map);
    venv_map_put(&map, "since", venv_value_uint(w->seen));
    venv_map_put(&map, "follow", venv_value_bool(true));
    witness_tell(s, v, number, VENV_MSG_EVENTS, ASK_FOLLOW, &map);
}

/* Start a tool under an id, a new one or one of before. */
static void start(sim *s, server *v, server_witness *w)
{
    venv_map_builder map;
    bool again = w->start_count > 0 && (s->asked_count == ASKED_MAX || w->start_count == STARTS_MAX || sim_percent(s, 60));
    if (!again && s->asked_count == ASKED_MAX)
        return;
    size_t which = again ? (size_t)sim_chance(s, (int64_t)w->start_count) : w->start_count++;
    if (!again) {
        w->starts[which] = (start_asked){ .id = venv_random_id(&s->random) };
        s->asked[s->asked_count].id = w->starts[which].id;
        s->asked[s->asked_count++].server = v->index;
    }
    w->asking = w->starts[which].id;
    uint64_t number = w->patient = witness_connect(s, v);
    venv_map_init(&map);
    venv_map_put_z(&map, "environment", "tool");
    venv_map_put_id(&map, "id", w->starts[which].id);
    witness_tell(s, v, number, VENV_MSG_START, ASK_START, &map);
}

/* Something that takes time; he may be gone before it is answered. */
static void wait_for(sim *s, server *v, server_witness *w)
{
    venv_map_builder map;
    uint64_t number = w->patient = witness_connect(s, v);
    venv_map_init(&map);
    if (sim_percent(s, 30)) {
        venv_map_put(&map, "limit", venv_value_int(10));
        witness_tell(s, v, number, VENV_MSG_HISTORY, ASK_HISTORY, &map);
    } else if (sim_percent(s, 50)) {
        venv_map_put_z(&map, "environment", "tool");
        venv_map_put_z(&map, "wait", "stopped");
        witness_tell(s, v, number, VENV_MSG_STOP, ASK_STOP, &map);
    } else {
        venv_map_put_z(&map, "target", sim_percent(s, 50) ? "@all" : "@batch");
        venv_map_put_z(&map, "label", sim_percent(s, 50) ? "queue" : "load1");
        witness_tell(s, v, number, VENV_MSG_FETCH, ASK_FETCH, &map);
    }
}

/* While the disk is full: who only looks is answered, and at once. */
static void look(sim *s, server *v, server_witness *w)
{
    venv_map_builder map;
    uint64_t number = w->patient = witness_connect(s, v);
    venv_map_init(&map);
    w->looked = false;
    witness_tell(s, v, number, VENV_MSG_STATUS, ASK_STATUS, &map);
    if (w->patient == number && v->core && !w->looked)
        sim_fail(s, "full: %s does not answer who only looks, and its disk is full", v->name);
}

/* --- what he relies on --------------------------------------------------------------------------------------------------- */

static uint64_t instances_of(const venv_value *body)
{
    const venv_value *list = venv_value_get(body, "instances");
    uint64_t sum = 0;
    for (size_t i = 0; list && i < venv_value_count(list); i++) {
        const venv_value *id = venv_value_get(venv_value_at(list, i), "id");
        sum += id ? venv_value_hash(id, 1) : 0;
    }
    return sum;
}

static void answered_start(sim *s, server *v, server_witness *w, const venv_manager_action *a)
{
    start_asked *asked = NULL;
    for (size_t i = 0; i < w->start_count; i++)
        if (venv_id_equal(w->starts[i].id, w->asking))
            asked = &w->starts[i];
    if (!asked)
        return;
    if (a->type != VENV_MSG_RESULT) {
        if (asked->answered)
            sim_fail(s, "L2: %s refuses a request under an id that it has answered before", v->name);
        return;
    }
    if (!disk_row_of(v, VENV_ROWS_REQUESTS, asked->id))
        sim_fail(s, "L1: %s has answered a request that is not durable", v->name);
    uint64_t answer = instances_of(&a->value);
    if (asked->answered && asked->answer != answer)
        sim_fail(s, "L2: %s gives another answer to the same request", v->name);
    asked->answered = true;
    asked->answer = answer;
}

static void saw_event(sim *s, server *v, server_witness *w, const venv_value *event)
{
    const venv_value *revision = venv_value_get(event, "revision");
    uint64_t is = revision && venv_value_kind(revision) == VENV_UINT ? venv_value_peek_uint(revision) : 0;
    bool resync = venv_value_is_text(venv_value_get(event, "kind"), "resync");
    if (is > v->disk.revision)
        sim_fail(s, "L1: %s tells of event %llu, which is not durable", v->name, (unsigned long long)is);
    if (resync)
        sim_fail(s, "L7: who follows the events of %s is told that some are gone, and none is", v->name);
    if (!resync && is != w->seen + 1)
        sim_fail(s, "L7: who follows the events of %s sees revision %llu after %llu", v->name, (unsigned long long)is,
                 (unsigned long long)w->seen);
    w->seen = is;
}

void witness_receives(sim *s, server *v, const venv_manager_action *a)
{
    server_witness *w = &rules_witness(s)->servers[v->index];
    if (a->kind == VENV_MANAGER_ACT_CLOSE) {
        if (a->peer == w->follower)
            w->follower = 0;
        else if (a->peer == w->patient)
            w->patient = 0;
        else if (a->peer == w->ghost)
            w->ghost = 0; /* it was found out */
        return;
    }
    if (a->peer == w->follower && a->type == VENV_MSG_EVENT)
        saw_event(s, v, w, &a->value);
    else if (a->peer == w->patient && a->request == ASK_STATUS)
        w->looked = w->looked || a->type == VENV_MSG_RESULT;
    else if (a->peer == w->patient && a->request == ASK_START)
        answered_start(s, v, w, a);
}

/* --- tricks ------------------------------------------------------------------------------------------------------------------ */

/* A clone of a node: its name and certificate, another machine. It has to be refused, and the first one to stay. */
void witness_clones(sim *s, server *v, const node *n)
{
    const agent *a = venv_mgr_agent_find(v->core, n->name);
    uint64_t was = a ? a->peer : 0;
    const venv_member *member = venv_groups_member(v->core->groups, n->name);
    if (!was || !member || member->state != VENV_MEMBER_CONNECTED)
        return;
    venv_map_builder map;
    venv_list_builder empty;
    venv_value list = venv_value_null();
    uint64_t number = connect_as(s, v, VENV_ROLE_AGENT, n->name);
    venv_map_init(&map);
    venv_list_init(&empty);
    put_versions(&map);
    venv_map_put_z(&map, "name", n->name);
    venv_map_put_id(&map, "boot", venv_random_id(&s->random));
    venv_map_put_id(&map, "machine", venv_random_id(&s->random));
    if (venv_list_take(&empty, &list, NULL) == VENV_OK)
        venv_map_put(&map, "groups", list);
    witness_tell(s, v, number, VENV_MSG_HELLO, 0, &map);
    if (!v->core)
        return;
    a = venv_mgr_agent_find(v->core, n->name);
    if (a && a->peer == number)
        sim_fail(s, "duplicate: a second machine with the name of %s has taken over", n->name);
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = number, .text = "done" });
}

void witness_saw_order(sim *s, const node *n, int16_t type, const venv_value *body)
{
    node_witness *w = &rules_witness(s)->nodes[n->index];
    if (type != VENV_MSG_MACHINE_START && (type != VENV_MSG_EXECUTE || !venv_value_get(body, "id")))
        return;
    size_t at = w->count < ORDERS_MAX ? w->count++ : (size_t)sim_chance(s, ORDERS_MAX);
    venv_value_unref(&w->orders[at].body);
    w->orders[at].type = type;
    if (venv_value_dup(body, &w->orders[at].body, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
}

/* The order with another id, and of an epoch that was before: to power off what it was to start. */
static venv_value as_old_destroy(sim *s, const venv_value *order)
{
    venv_map_builder map;
    venv_value body = venv_value_null();
    const venv_value *machine = venv_value_get(order, "machine");
    venv_map_init(&map);
    venv_map_put_id(&map, "id", venv_random_id(&s->random));
    venv_map_put(&map, "machine", machine ? venv_value_ref(machine) : venv_value_null());
    venv_map_put(&map, "epoch", venv_value_uint(0));
    if (venv_map_take(&map, &body, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    return body;
}

static void old_order_again(sim *s, node *n)
{
    node_witness *w = &rules_witness(s)->nodes[n->index];
    if (w->count == 0 || !n->core || s->failed || n->process.frozen_until > s->now)
        return;
    const old_order *o = &w->orders[sim_chance(s, (int64_t)w->count)];
    venv_id machine = { { 0 } };
    venv_value_get_id(&o->body, "machine", &machine);
    bool destroy = o->type == VENV_MSG_MACHINE_START && sim_percent(s, 50);
    if (destroy && n->core->machines.listed && !venv_table_find(n->core->machines.table, machine.bytes, sizeof machine.bytes))
        return; /* nothing that it knows an epoch of */
    venv_value body = destroy ? as_old_destroy(s, &o->body) : venv_value_ref(&o->body);
    report_say(s, n->name, "a manager of the past says again: %s", destroy ? "destroy" : venv_message_name(o->type));
    node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = destroy ? VENV_MSG_MACHINE_DESTROY : o->type,
                                          .known = true, .value = &body });
    venv_value_unref(&body);
}

/* An agent lies: it says of a machine of another node that its stop is done. */
static void lie(sim *s, server *v, const node *n)
{
    const agent *a = venv_mgr_agent_find(v->core, n->name);
    size_t cursor = 0;
    void *item;
    while (a && a->peer && venv_table_next(v->core->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (!i->node || strcmp(i->node, n->name) == 0 || i->state != VENV_INSTANCE_STOPPING || !i->stop_wanted)
            continue;
        venv_map_builder map;
        venv_map_init(&map);
        venv_map_put_id(&map, "id", i->stop);
        venv_map_put_id(&map, "machine", i->id);
        venv_map_put_z(&map, "rc", venv_rc_name(VENV_OK));
        venv_map_put_z(&map, "state", "stopped");
        report_say(s, n->name, "it lies about %s, which is on %s", i->name, i->node);
        witness_tell(s, v, a->peer, VENV_MSG_MACHINE_RESULT, 0, &map);
        return;
    }
}

/*
 * An agent that says that it is there, and hears nothing: something between takes what is sent to it, or it is stuck while it reads. Its
 * heartbeats never confirm any of ours. It must not count as connected for long.
 */
static void ghost_comes(sim *s, server *v, server_witness *w)
{
    venv_map_builder map;
    venv_list_builder empty, groups;
    venv_value list = venv_value_null(), in = venv_value_null();
    uint64_t number = connect_as(s, v, VENV_ROLE_AGENT, GHOST);
    w->ghost = number;
    w->ghost_since = s->now;
    venv_map_init(&map);
    venv_list_init(&empty);
    put_versions(&map);
    venv_map_put_z(&map, "name", GHOST);
    venv_map_put_id(&map, "boot", venv_random_id(&s->random));
    venv_map_put_id(&map, "machine", (venv_id){ .bytes = { 0x67, 0x68 } });
    venv_list_init(&groups);
    venv_list_add_text(&groups, "default");
    if (venv_list_take(&empty, &list, NULL) == VENV_OK && venv_list_take(&groups, &in, NULL) == VENV_OK) {
        venv_map_put(&map, "groups", in);
        venv_map_put(&map, "properties", venv_value_ref(&list));
        venv_map_put(&map, "samples", list);
    }
    witness_tell(s, v, number, VENV_MSG_HELLO, 0, &map);
}

static void ghost_speaks(sim *s, server *v, server_witness *w)
{
    venv_map_builder map;
    if (!v->core || v->process.frozen_until > s->now) {
        w->ghost_since = s->now;
        return;
    }
    w->ghost_next = s->now + S(3);
    if (s->now - v->process.frozen_until < S(10))
        w->ghost_since = s->now; /* a manager that stood still forgives */
    venv_map_init(&map);
    venv_map_put(&map, "heard", venv_value_int(0));
    witness_tell(s, v, w->ghost, VENV_MSG_PING, 0, &map);
    if (!w->ghost || !v->core || s->now - w->ghost_since < GHOST_SPAN)
        return;
    const venv_member *member = venv_groups_member(v->core->groups, GHOST);
    if (member && member->state == VENV_MEMBER_CONNECTED)
        sim_fail(s, "deaf: an agent that does not hear counts as connected to %s for %.0f s", v->name, (double)(s->now - w->ghost_since) / 1e9);
    leave(s, v, &w->ghost);
}

void witness_step(sim *s)
{
    for (int i = 0; i < s->server_count; i++) {
        server *v = &s->servers[i];
        server_witness *w = &rules_witness(s)->servers[i];
        if (w->ghost && s->now >= w->ghost_next)
            ghost_speaks(s, v, w);
    }
}

/* --- when ------------------------------------------------------------------------------------------------------------------------- */

static void acts_at(sim *s, server *v)
{
    server_witness *w = &rules_witness(s)->servers[v->index];
    node *n = &s->nodes[sim_chance(s, s->node_count)];
    if (n->server == v->index)
        lie(s, v, n);
    if (!v->core)
        return;
    if (!w->follower) {
        follow(s, v, w);
        return;
    }
    if (v->disk.full_told) {
        leave(s, v, &w->patient);
        if (v->core)
            look(s, v, w);
        return;
    }
    if (!w->ghost && sim_percent(s, 5)) {
        ghost_comes(s, v, w);
        return;
    }
    switch (sim_chance(s, 8)) {
    case 0:
        leave(s, v, &w->follower);
        break;
    case 1:
    case 2:
        leave(s, v, &w->patient);
        if (v->core)
            start(s, v, w);
        break;
    case 3:
    case 4:
        leave(s, v, &w->patient);
        if (v->core)
            wait_for(s, v, w);
        break;
    case 5:
        if (n->server == v->index)
            witness_clones(s, v, n);
        break;
    case 6:
        if (n->machines)
            old_order_again(s, n);
        break;
    default:
        leave(s, v, &w->patient);
        break;
    }
}

void witness_acts(sim *s)
{
    witness *w = rules_witness(s);
    if (s->settings.idle_admin || s->settings.calm || s->healing || s->failed || s->now < w->next)
        return;
    w->next = s->now + sim_spread(s, MS(200), S(20));
    for (int i = 0; i < s->server_count; i++) {
        server *v = &s->servers[i];
        if (v->core && v->core->begun && v->process.frozen_until <= s->now)
            acts_at(s, v);
    }
}
