/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/people.h"

#include "sim/rules.h"

#include <stdlib.h>
#include <string.h>

#define OFFER_EXPIRES S(40) /* as in the configuration of server.c */
#define SLACK         S(10) /* a disk may be slow, and clocks drift */
#define VERBS (VENV_MACHINE_REVERT + 1)
#define PLACED_MAX    64u

/* What an answer was, by the id of the request. */
typedef struct answered {
    bool done, refused;    /* refused: for want of room */
} answered;

typedef struct proposal_memory {
    venv_id id;
    venv_value orders;
    int64_t made_at;       /* when it was durable */
    uint64_t life;
    bool apply_asked, reject_asked, applied, fresh; /* fresh: applied in the transaction that is written now */
    char state[16];
} proposal_memory;

typedef struct breaker_memory {
    char name[80];
    bool open, was_open;   /* was: before the transaction that is written now */
} breaker_memory;

/* An action that changes a machine, and when it was first on disk. */
typedef struct change_memory {
    int64_t since;
    bool judged;
} change_memory;

/* What was really done to a machine, by verb. */
typedef struct machine_memory {
    int64_t done_at[VERBS]; /* 0: never */
    uint64_t epoch;         /* the last under which it ran */
} machine_memory;

typedef struct placed {
    char node[80], environment[80]; /* names of breakers */
    venv_id id;
} placed;

struct people {
    venv_table *answers, *proposals, *breakers, *changes, *machines, *executed, *names; /* names: of an instance → its id */
    venv_table *disabled;  /* names of triggers */
    placed placed[PLACED_MAX];
    size_t placed_count;
    int64_t offered;
    bool must_refuse;
};

static venv_table *table(uint32_t seed)
{
    venv_table *t = NULL;
    if (venv_table_new(seed, 1u << 20, &t, NULL) != VENV_OK)
        abort();
    return t;
}

people *people_new(void)
{
    people *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->answers = table(1);
    p->proposals = table(2);
    p->breakers = table(3);
    p->changes = table(4);
    p->machines = table(5);
    p->names = table(6);
    p->executed = table(8);
    p->disabled = table(7);
    return p;
}

static void table_free(venv_table *t)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(t, &cursor, NULL, &item))
        free(item);
    venv_table_free(t);
}

void people_free(people *p)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(p->proposals, &cursor, NULL, &item))
        venv_value_unref(&((proposal_memory *)item)->orders);
    table_free(p->answers);
    table_free(p->proposals);
    table_free(p->breakers);
    table_free(p->changes);
    table_free(p->machines);
    table_free(p->names);
    table_free(p->executed);
    table_free(p->disabled);
    free(p);
}

/* What is under a key, made of zeros if it is not there yet. */
static void *get(venv_table *t, const void *key, size_t key_size, size_t size)
{
    void *item = venv_table_find(t, key, key_size);
    if (item)
        return item;
    item = calloc(1, size);
    if (!item || venv_table_add(t, key, key_size, item, NULL) != VENV_OK)
        abort();
    return item;
}

static void copy(char *to, size_t size, venv_str text)
{
    snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.data ? text.data : "");
}

/* --- answers: L1, L2 ------------------------------------------------------------------------------------------------- */

void people_answered(sim *s, server *v, int16_t type, venv_id id, const venv_manager_action *a)
{
    people *p = v->people;
    answered *before = get(p->answers, id.bytes, sizeof id.bytes, sizeof *before);
    if (a->type == VENV_MSG_FAILED && venv_value_is_text(venv_value_get(&a->value, "rc"), venv_rc_name(VENV_ENOSPACE)))
        before->refused = true;
    if (a->type != VENV_MSG_RESULT) {
        if (before->done && a->type == VENV_MSG_FAILED)
            sim_fail(s, "L2: %s refuses a request %s under an id that it has answered before", v->name, venv_message_name(type));
        return;
    }
    if (!disk_row_of(v, VENV_ROWS_REQUESTS, id))
        sim_fail(s, "L1: %s has answered a request %s that is not durable", v->name, venv_message_name(type));
    const venv_value *breaker = venv_value_get(&a->value, "breaker");
    if (type == VENV_MSG_RESET && !venv_value_is_text(venv_value_get(breaker, "state"), "closed"))
        sim_fail(s, "breaker: %s says that a breaker was reset, and it is not closed", v->name);
    before->done = true;
}

/* A command is run once on a node for each id. */
void people_executed(sim *s, node *n, venv_id id)
{
    unsigned char key[sizeof id.bytes + sizeof n->index];
    memcpy(key, id.bytes, sizeof id.bytes);
    memcpy(key + sizeof id.bytes, &n->index, sizeof n->index);
    answered *ran = get(s->servers[n->server].people->executed, key, sizeof key, sizeof *ran);
    if (ran->done)
        sim_fail(s, "L2: a command that was asked for under one id runs twice on %s", n->name);
    ran->done = true;
    s->counts.commands++;
}

/* What leaves for the world outside is an action that is on the disk, and not over. */
void people_delivers(sim *s, server *v, venv_id action)
{
    const venv_value *row = disk_row_of(v, VENV_ROWS_ACTIONS, action), *state = row ? venv_value_get(row, "state") : NULL;
    if (!row)
        sim_fail(s, "L3: %s sends something out before that is on the disk", v->name);
    else if (!venv_value_is_text(state, "pending") && !venv_value_is_text(state, "running"))
        sim_fail(s, "actions: %s sends something out for an action that is over", v->name);
}

/* --- proposals --------------------------------------------------------------------------------------------------------- */

/* It was told that its disk is full, and has been asked for something new: it was refused, at once. */
void people_asked(sim *s, server *v, venv_id id)
{
    const answered *a = venv_table_find(v->people->answers, id.bytes, sizeof id.bytes);
    if (v->people->must_refuse && v->core && !(a && a->refused))
        sim_fail(s, "full: %s takes a request on, and its disk is full", v->name);
    v->people->must_refuse = false;
}

void people_asks(sim *s, server *v, int16_t type, const venv_value *body)
{
    venv_id id;
    (void)s;
    v->people->must_refuse = v->disk.full_told;
    if (type != VENV_MSG_PROPOSAL || !venv_id_parse(venv_value_get_text(body, "proposal"), &id))
        return;
    proposal_memory *m = get(v->people->proposals, id.bytes, sizeof id.bytes, sizeof *m);
    if (venv_value_is_text(venv_value_get(body, "verb"), "apply"))
        m->apply_asked = true;
    else
        m->reject_asked = true;
}

static void proposal_begins(sim *s, server *v, proposal_memory *m, venv_id id, const venv_value *fresh)
{
    const venv_value *orders = venv_value_get(fresh, "orders");
    m->id = id;
    m->made_at = v->disk.said_at;
    m->life = v->process.life;
    if (!orders || !venv_value_is_text(venv_value_get(fresh, "state"), "open") || venv_value_dup(orders, &m->orders, NULL) != VENV_OK)
        sim_fail(s, "proposal: %s makes one that is not open, or does nothing", v->name);
}

static void proposal_row(sim *s, server *v, venv_id id, const venv_value *fresh)
{
    proposal_memory *m = get(v->people->proposals, id.bytes, sizeof id.bytes, sizeof *m);
    const venv_value *orders = venv_value_get(fresh, "orders");
    venv_str state = venv_value_get_text(fresh, "state");
    if (!m->state[0])
        proposal_begins(s, v, m, id, fresh);
    else if (!orders || !venv_value_equal(orders, &m->orders))
        sim_fail(s, "proposal: what one of %s does is not what was shown", v->name);
    if (m->state[0] && strcmp(m->state, "open") != 0 && !venv_value_is_text(venv_value_get(fresh, "state"), m->state))
        sim_fail(s, "proposal: one of %s was %s, and is %.*s", v->name, m->state, (int)state.size, state.data);
    copy(m->state, sizeof m->state, state);
    if (strcmp(m->state, "rejected") == 0 && !m->reject_asked)
        sim_fail(s, "proposal: one of %s was rejected, and nobody has asked for that", v->name);
    if (strcmp(m->state, "applied") != 0 || m->applied)
        return;
    m->applied = m->fresh = true;
    s->counts.applied++;
    if (!m->apply_asked)
        sim_fail(s, "proposal: one of %s was applied, and nobody has asked for that", v->name);
    int64_t age = v->disk.said_at - m->made_at;
    if (m->life == v->process.life && age > OFFER_EXPIRES * 11 / 10 + SLACK)
        sim_fail(s, "proposal: one of %s was applied after its time, %.0f s after it was made", v->name, (double)age / 1e9);
    for (size_t i = 0; i < venv_value_count(&m->orders); i++)
        if (venv_value_is_text(venv_value_get(venv_value_at(&m->orders, i), "verb"), "start"))
            v->people->offered += venv_value_get_int(venv_value_get(venv_value_at(&m->orders, i), "arguments"), "count", 1);
}

int64_t people_offered(const server *v)
{
    return v->people->offered;
}

/* How many instances the starts below an action have made. */
static int64_t made_by(const server *v, venv_id action)
{
    size_t cursor = 0;
    const disk_row *row;
    int64_t made = 0;
    while ((row = disk_next(&v->disk, &cursor))) {
        venv_id start, parent;
        if (row->collection != VENV_ROWS_INSTANCES || !venv_value_get_id(&row->value, "start", &start))
            continue;
        const venv_value *deed = disk_row_of(v, VENV_ROWS_ACTIONS, start);
        made += deed && venv_value_get_id(deed, "parent", &parent) && venv_id_equal(parent, action);
    }
    return made;
}

/* It was applied just now: an action for each order, in the numbers that it said. */
static void judge_applied(sim *s, const server *v, const proposal_memory *m)
{
    size_t children = 0, cursor = 0;
    const disk_row *row;
    if (!disk_row_of(v, VENV_ROWS_ACTIONS, m->id))
        sim_fail(s, "proposal: one of %s counts as applied, and there is no action of it", v->name);
    while ((row = disk_next(&v->disk, &cursor))) {
        venv_id parent, id;
        if (row->collection != VENV_ROWS_ACTIONS || !venv_value_get_id(&row->value, "parent", &parent) || !venv_id_equal(parent, m->id) ||
            !venv_value_to_id(&row->key, &id))
            continue;
        children++;
        const venv_value *order = NULL, *kind = venv_value_get(&row->value, "kind");
        for (size_t i = 0; i < venv_value_count(&m->orders); i++)
            if (venv_value_equal(venv_value_get(venv_value_at(&m->orders, i), "verb"), kind))
                order = venv_value_at(&m->orders, i);
        if (!order)
            sim_fail(s, "proposal: one of %s does what it did not show", v->name);
        else if (venv_value_is_text(kind, "start") && made_by(v, id) != venv_value_get_int(venv_value_get(order, "arguments"), "count", 1))
            sim_fail(s, "proposal: one of %s starts %lld instances, and showed %lld", v->name, (long long)made_by(v, id),
                     (long long)venv_value_get_int(venv_value_get(order, "arguments"), "count", 1));
    }
    if (children != venv_value_count(&m->orders))
        sim_fail(s, "proposal: one of %s was applied with %zu actions, and showed %zu", v->name, children, venv_value_count(&m->orders));
}

/* --- breakers ------------------------------------------------------------------------------------------------------------ */

static void breaker_row(server *v, const venv_value *key, const venv_value *fresh)
{
    venv_str name = venv_value_peek_text(key);
    if (name.size > 8 && memcmp(name.data, "attempt/", 8) == 0)
        return; /* a start of the window */
    breaker_memory *b = get(v->people->breakers, name.data, name.size, sizeof *b);
    copy(b->name, sizeof b->name, name);
    b->open = fresh && venv_value_is_text(venv_value_get(fresh, "state"), "open");
}

static void note_placed(server *v, venv_id id, const disk_row *old, const venv_value *fresh)
{
    people *p = v->people;
    const venv_value *state = venv_value_get(fresh, "state");
    bool was_placed = old && venv_value_get(&old->value, "node") && !venv_value_is_text(venv_value_get(&old->value, "state"), "pending");
    if (was_placed || !venv_value_is_text(state, "starting") || p->placed_count == PLACED_MAX)
        return;
    placed *fresh_one = &p->placed[p->placed_count++];
    venv_str on = venv_value_get_text(fresh, "node"), environment = venv_value_get_text(fresh, "environment");
    fresh_one->id = id;
    snprintf(fresh_one->node, sizeof fresh_one->node, "node/%.*s", (int)on.size, on.data);
    snprintf(fresh_one->environment, sizeof fresh_one->environment, "environment/%.*s", (int)environment.size, environment.data);
}

static bool stayed_open(const people *p, const char *name)
{
    const breaker_memory *b = venv_table_find(p->breakers, name, strlen(name));
    return b && b->open && b->was_open;
}

/* --- changes ----------------------------------------------------------------------------------------------------------------- */

static const char *const verb_names[VERBS] = {
    [VENV_MACHINE_PAUSE] = "pause", [VENV_MACHINE_RESUME] = "resume",   [VENV_MACHINE_SAVE] = "save",
    [VENV_MACHINE_RESTORE] = "restore", [VENV_MACHINE_MIGRATE] = "migrate", [VENV_MACHINE_REBOOT] = "reboot",
    [VENV_MACHINE_CHECKPOINT] = "checkpoint", [VENV_MACHINE_REVERT] = "revert",
};

static int verb_of(const venv_value *kind)
{
    for (int i = 0; i < VERBS; i++)
        if (verb_names[i] && kind && venv_value_is_text(kind, verb_names[i]))
            return i;
    return -1;
}

static void action_row(sim *s, server *v, venv_id id, const venv_value *fresh)
{
    int verb = verb_of(venv_value_get(fresh, "kind"));
    venv_str subject = venv_value_get_text(fresh, "subject");
    const venv_value *state = venv_value_get(fresh, "state");
    const venv_id *machine = venv_table_find(v->people->names, subject.data, subject.size);
    if (verb < 0 || !machine || !venv_value_get(fresh, "parent"))
        return;
    change_memory *c = get(v->people->changes, id.bytes, sizeof id.bytes, sizeof *c);
    if (c->since == 0)
        c->since = s->now;
    if (c->judged || venv_value_is_text(state, "pending") || venv_value_is_text(state, "running"))
        return;
    c->judged = true;
    const machine_memory *m = get(v->people->machines, machine->bytes, sizeof machine->bytes, sizeof *m);
    bool was_done = m->done_at[verb] > 0 && m->done_at[verb] >= c->since;
    if (venv_value_is_text(state, "done") && !was_done)
        sim_fail(s, "truth: %s says that the %s of %.*s is done, and it was not", v->name, verb_names[verb], (int)subject.size, subject.data);
    if (venv_value_is_text(state, "failed") && was_done)
        sim_fail(s, "truth: %s says that the %s of %.*s failed, and it was done", v->name, verb_names[verb], (int)subject.size, subject.data);
}

static bool was_asked(const server *v, const char *verb, venv_str name)
{
    size_t cursor = 0;
    const disk_row *row;
    while ((row = disk_next_of(&v->disk, VENV_ROWS_ACTIONS, &cursor))) {
        if (!venv_value_is_text(venv_value_get(&row->value, "kind"), verb))
            continue;
        venv_str subject = venv_value_get_text(&row->value, "subject");
        if (subject.size == name.size && memcmp(subject.data, name.data, name.size) == 0)
            return true;
    }
    return false;
}

void people_order(sim *s, node *n, venv_machine_verb verb, venv_id machine)
{
    const server *v = &s->servers[n->server];
    const venv_value *row = disk_row_of(v, VENV_ROWS_INSTANCES, machine);
    venv_str name = venv_value_get_text(row, "name");
    bool elsewhere = verb == VENV_MACHINE_MIGRATE && row && was_asked(v, "restore", name); /* its memory moves first */
    if (row && verb_names[verb] && !elsewhere && !was_asked(v, verb_names[verb], name))
        sim_fail(s, "asked: a %s of %.*s is done on %s, and nobody asked for that", verb_names[verb], (int)name.size, name.data, n->name);
}

static bool executes(const node *n, venv_id machine)
{
    venv_machine_state state = n->machines ? venv_fake_world_state(n->machines, machine) : VENV_MACHINE_UNKNOWN;
    return state == VENV_MACHINE_RUNNING || state == VENV_MACHINE_STOPPING;
}

void people_ran(sim *s, node *n, venv_machine_verb verb, venv_id machine, bool done)
{
    char text[VENV_ID_TEXT_SIZE];
    const node *first = NULL;
    machine_memory *m = get(s->servers[n->server].people->machines, machine.bytes, sizeof machine.bytes, sizeof *m);
    if (done && verb_names[verb]) {
        m->done_at[verb] = s->now;
        s->counts.changes++;
    }
    for (int i = 0; i < s->node_count; i++) {
        if (!executes(&s->nodes[i], machine))
            continue;
        uint64_t epoch = venv_fake_world_epoch(s->nodes[i].machines, machine);
        if (epoch < m->epoch)
            sim_fail(s, "past: machine %s runs on %s under epoch %llu, and ran under %llu before", venv_id_format(machine, text),
                     s->nodes[i].name, (unsigned long long)epoch, (unsigned long long)m->epoch);
        m->epoch = epoch;
        if (first)
            sim_fail(s, "two: machine %s runs on %s and on %s", venv_id_format(machine, text), first->name, s->nodes[i].name);
        first = &s->nodes[i];
    }
}

/* --- rows, transactions, events -------------------------------------------------------------------------------------------------- */

static void instance_row(server *v, venv_id id, const disk_row *old, const venv_value *fresh)
{
    venv_str name = venv_value_get_text(fresh, "name");
    venv_id *kept = get(v->people->names, name.data, name.size, sizeof *kept);
    *kept = id;
    note_placed(v, id, old, fresh);
}

void people_row(sim *s, server *v, venv_collection collection, const venv_value *key, const disk_row *old, const venv_value *fresh)
{
    venv_id id;
    if (s->settings.manager_yaml || s->settings.script)
        return;
    if (collection == VENV_ROWS_BREAKERS)
        breaker_row(v, key, fresh);
    if (!fresh || !venv_value_to_id(key, &id))
        return;
    if (collection == VENV_ROWS_PROPOSALS)
        proposal_row(s, v, id, fresh);
    else if (collection == VENV_ROWS_INSTANCES)
        instance_row(v, id, old, fresh);
    else if (collection == VENV_ROWS_ACTIONS)
        action_row(s, v, id, fresh);
}

void people_written(sim *s, server *v)
{
    people *p = v->people;
    size_t cursor = 0;
    void *item;
    for (size_t i = 0; i < p->placed_count; i++)
        if (stayed_open(p, p->placed[i].node) || stayed_open(p, p->placed[i].environment))
            sim_fail(s, "breaker: %s starts a machine of %s on %s, and a breaker is open", v->name, p->placed[i].environment, p->placed[i].node);
    p->placed_count = 0;
    while (venv_table_next(p->breakers, &cursor, NULL, &item))
        ((breaker_memory *)item)->was_open = ((breaker_memory *)item)->open;
    cursor = 0;
    while (venv_table_next(p->proposals, &cursor, NULL, &item)) {
        proposal_memory *m = item;
        if (m->fresh)
            judge_applied(s, v, m);
        m->fresh = false;
    }
}

void people_event(sim *s, server *v, const venv_value *event)
{
    const venv_value *kind = venv_value_get(event, "kind");
    venv_str name = venv_value_get_text(event, "subject");
    if (s->settings.manager_yaml || s->settings.script || name.size == 0)
        return;
    if (venv_value_is_text(kind, "trigger-disabled"))
        (void)get(v->people->disabled, name.data, name.size, 1);
    else if (venv_value_is_text(kind, "trigger-enabled"))
        free(venv_table_remove(v->people->disabled, name.data, name.size));
    else if ((venv_value_is_text(kind, "trigger-fired") || venv_value_is_text(kind, "trigger-proposed")) &&
             venv_table_find(v->people->disabled, name.data, name.size))
        sim_fail(s, "disabled: %.*s of %s fires, and somebody has disabled it", (int)name.size, name.data, v->name);
}

/* What was not applied has done nothing. */
void people_end(sim *s, server *v)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(v->people->proposals, &cursor, NULL, &item)) {
        const proposal_memory *m = item;
        if (m->state[0] && !m->applied && disk_row_of(v, VENV_ROWS_ACTIONS, m->id))
            sim_fail(s, "proposal: one of %s was %s, and was carried out", v->name, m->state);
    }
}
