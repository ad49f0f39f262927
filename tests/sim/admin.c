/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An administrator at a terminal, who changes things: starts and stops tools, pauses, saves, restores, moves and destroys machines,
 * applies and rejects proposals, disables and enables triggers, resets breakers, runs commands. He asks again under the same
 * id when he is not sure, and goes away in the middle. At the end, when everything is healed, he undoes what would
 * keep things from coming to their end: enables, resumes, restores, stops.
 *
 * What the manager owes for that is in people.c.
 */
#include "sim/people.h"

#include "environment/instance.h"

#include <stdlib.h>
#include <string.h>

#define CHOICES_MAX 256u
#define REPEATS_MAX 16u

/* What was asked for, to be asked again. */
typedef struct request {
    int16_t type;
    uint64_t number;
    venv_value body;
    venv_id id;
} request;

struct admin {
    uint64_t peer;           /* his connection; 0: none */
    uint64_t numbers;        /* of requests, given out */
    request last[REPEATS_MAX];
    size_t count;
};

admin *admin_new(void)
{
    admin *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    return a;
}

void admin_free(admin *a)
{
    for (size_t i = 0; i < a->count; i++)
        venv_value_unref(&a->last[i].body);
    free(a);
}

static void tell(sim *s, server *v, uint64_t peer, int16_t type, uint64_t number, const venv_value *body)
{
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_FRAME, .peer = peer, .type = type, .request = number,
                                              .known = true, .value = body });
}

static venv_value take(sim *s, venv_map_builder *map)
{
    venv_value body = venv_value_null();
    if (venv_map_take(map, &body, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    return body;
}

static void leave(sim *s, server *v)
{
    uint64_t peer = v->admin->peer;
    v->admin->peer = 0;
    if (peer && v->core)
        server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = peer, .text = "done" });
}

static void come(sim *s, server *v)
{
    venv_map_builder map;
    venv_list_builder versions;
    venv_value list = venv_value_null();
    leave(s, v);
    if (!v->core)
        return;
    uint64_t peer = v->admin->peer = PERSONS + s->persons++;
    venv_list_init(&versions);
    venv_list_add(&versions, venv_value_int(VENV_PROTOCOL_VERSION));
    if (venv_list_take(&versions, &list, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = peer, .role = VENV_ROLE_USER,
                                              .text = "anna", .address = "192.0.2.9:1" });
    venv_map_init(&map);
    venv_map_put(&map, "versions", list);
    venv_value hello = take(s, &map);
    tell(s, v, peer, VENV_MSG_HELLO, 0, &hello);
    venv_value_unref(&hello);
}

void admin_ended(server *v)
{
    v->admin->peer = 0;
}

void admin_receives(sim *s, server *v, const venv_manager_action *a)
{
    admin *who = v->admin;
    if (a->kind == VENV_MANAGER_ACT_CLOSE && a->peer == who->peer)
        who->peer = 0;
    for (size_t i = 0; i < who->count && a->kind == VENV_MANAGER_ACT_SEND && a->peer == who->peer; i++)
        if (who->last[i].number == a->request)
            people_answered(s, v, who->last[i].type, who->last[i].id, a);
}

/* What is to be done, under a new id: remembered, and told. */
static void ask_as(sim *s, server *v, int16_t type, venv_map_builder *map, venv_id id)
{
    admin *a = v->admin;
    size_t at = a->count < REPEATS_MAX ? a->count++ : (size_t)sim_chance(s, REPEATS_MAX);
    venv_value_unref(&a->last[at].body);
    a->last[at].type = type;
    a->last[at].number = ++a->numbers;
    a->last[at].id = id;
    venv_map_put_id(map, "id", id);
    a->last[at].body = take(s, map);
    s->counts.requests++;
    people_asks(s, v, type, &a->last[at].body);
    venv_value body = venv_value_ref(&a->last[at].body);
    uint64_t peer = a->peer;
    tell(s, v, peer, type, a->last[at].number, &body);
    if (a->peer == peer)
        people_asked(s, v, id);
    venv_value_unref(&body);
}

static void ask(sim *s, server *v, int16_t type, venv_map_builder *map)
{
    ask_as(s, v, type, map, venv_random_id(&s->random));
}

static void ask_again(sim *s, server *v)
{
    admin *a = v->admin;
    if (a->count == 0)
        return;
    size_t at = (size_t)sim_chance(s, (int64_t)a->count);
    venv_value body = venv_value_ref(&a->last[at].body);
    s->counts.requests++;
    a->last[at].number = ++a->numbers;
    tell(s, v, a->peer, a->last[at].type, a->last[at].number, &body);
    venv_value_unref(&body);
}

/* --- what he sees ---------------------------------------------------------------------------------------------------- */

/* One of the rows of a collection for which `fits` holds, by the dice. */
static const disk_row *one_of(sim *s, const server *v, venv_collection collection, bool (*fits)(const venv_value *row))
{
    const disk_row *found[CHOICES_MAX], *row;
    size_t count = 0, cursor = 0;
    while (count < CHOICES_MAX && (row = disk_next_of(&v->disk, collection, &cursor)))
        if (!fits || fits(&row->value))
            found[count++] = row;
    return count > 0 ? found[sim_chance(s, (int64_t)count)] : NULL;
}

static bool is_open(const venv_value *row)
{
    return venv_value_is_text(venv_value_get(row, "state"), "open");
}

static bool is_alive(const venv_value *row)
{
    venv_instance_state state;
    const venv_value *text = venv_value_get(row, "state");
    return text && venv_instance_state_parse(venv_value_peek_text(text), &state) && !venv_instance_is_final(state);
}

/* --- what he does ---------------------------------------------------------------------------------------------------- */

static const char *change_for(sim *s, const venv_value *row)
{
    static const char *const verbs[] = { "pause", "resume", "save", "restore", "migrate", "migrate", "destroy" };
    const venv_value *state = venv_value_get(row, "state");
    if (sim_percent(s, 15))
        return verbs[sim_chance(s, 7)];
    if (venv_value_is_text(state, "paused"))
        return sim_percent(s, 80) ? "resume" : "save";
    if (venv_value_is_text(state, "saved"))
        return "restore";
    return sim_percent(s, 20) ? "pause" : sim_percent(s, 20) ? "save" : sim_percent(s, 85) ? "migrate" : "destroy";
}

static void change(sim *s, server *v)
{
    const disk_row *row = one_of(s, v, VENV_ROWS_INSTANCES, is_alive);
    venv_map_builder map;
    if (!row)
        return;
    venv_map_init(&map);
    venv_map_put_z(&map, "verb", change_for(s, &row->value));
    if (sim_percent(s, 80)) {
        venv_map_put(&map, "instance", venv_value_ref(venv_value_get(&row->value, "name")));
    } else {
        venv_map_put(&map, "environment", venv_value_ref(venv_value_get(&row->value, "environment")));
        venv_map_put(&map, "count", venv_value_int(sim_between(s, 0, 2)));
    }
    if (sim_percent(s, 20))
        venv_map_put_z(&map, "node", s->nodes[sim_chance(s, s->node_count)].name);
    ask(s, v, VENV_MSG_CHANGE, &map);
}

static void settle(sim *s, server *v)
{
    const disk_row *row = one_of(s, v, VENV_ROWS_PROPOSALS, sim_percent(s, 80) ? is_open : NULL);
    char text[VENV_ID_TEXT_SIZE];
    venv_map_builder map;
    venv_id id;
    if (!row || !venv_value_to_id(&row->key, &id))
        return;
    venv_map_init(&map);
    venv_map_put_z(&map, "proposal", venv_id_format(id, text));
    venv_map_put_z(&map, "verb", sim_percent(s, 70) ? "apply" : "reject");
    ask(s, v, VENV_MSG_PROPOSAL, &map);
}

static void switch_trigger(sim *s, server *v, const char *name, bool enable)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "trigger", name);
    venv_map_put_z(&map, "verb", enable ? "enable" : "disable");
    ask(s, v, VENV_MSG_TRIGGER, &map);
}

static const char *const trigger_names[] = { "grow", "shrink", "busy", "minutely", "offer" };

static void switch_one(sim *s, server *v)
{
    switch_trigger(s, v, trigger_names[sim_chance(s, 5)], sim_percent(s, 60));
}

static void reset(sim *s, server *v)
{
    const disk_row *row = one_of(s, v, VENV_ROWS_BREAKERS, NULL);
    venv_map_builder map;
    if (!row)
        return;
    venv_map_init(&map);
    venv_map_put(&map, "breaker", venv_value_ref(&row->key));
    ask(s, v, VENV_MSG_RESET, &map);
}

static void execute(sim *s, server *v)
{
    char text[VENV_ID_TEXT_SIZE];
    static const char *const targets[] = { "*", "@tools", "@hypervisor" };
    venv_map_builder map;
    venv_list_builder list;
    venv_value args = venv_value_null();
    venv_id id = venv_random_id(&s->random);
    venv_list_init(&list);
    venv_list_add_text(&list, venv_id_format(id, text)); /* so that who runs it knows for whom */
    if (venv_list_take(&list, &args, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    venv_map_init(&map);
    venv_map_put_z(&map, "target", targets[sim_chance(s, 3)]);
    venv_map_put_z(&map, "command", "sim-count");
    venv_map_put(&map, "args", args);
    ask_as(s, v, VENV_MSG_EXEC, &map, id);
}

/* Tools are counted: no more of them may ever run than were asked for. */
static void start(sim *s, server *v)
{
    venv_map_builder map;
    venv_id id = venv_random_id(&s->random);
    if (s->asked_count == ASKED_MAX)
        return;
    s->asked[s->asked_count].id = id;
    s->asked[s->asked_count++].server = v->index;
    venv_map_init(&map);
    venv_map_put_z(&map, "environment", "tool");
    ask_as(s, v, VENV_MSG_START, &map, id);
}

static void stop(sim *s, server *v)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "environment", "tool");
    ask(s, v, VENV_MSG_STOP, &map);
}

/* --- when -------------------------------------------------------------------------------------------------------------- */

static const struct {
    int weight;
    void (*act)(sim *s, server *v);
} acts[] = { { 20, start }, { 16, stop }, { 20, ask_again }, { 40, change }, { 12, settle }, { 8, switch_one }, { 6, reset }, { 6, execute } };

static void act(sim *s, server *v)
{
    int64_t total = 0;
    size_t i = 0;
    for (size_t k = 0; k < sizeof acts / sizeof acts[0]; k++)
        total += acts[k].weight;
    for (int64_t at = sim_chance(s, total); at >= acts[i].weight; i++)
        at -= acts[i].weight;
    acts[i].act(s, v);
}

/* Everything that people have changed is undone, so that all can come to its end. */
static void wind_up(sim *s, server *v)
{
    static const char *const environments[] = { "class2", "tool" }, *const verbs[] = { "resume", "restore" };
    for (size_t i = 0; i < sizeof trigger_names / sizeof trigger_names[0] && v->core; i++)
        switch_trigger(s, v, trigger_names[i], strcmp(trigger_names[i], "offer") != 0);
    for (int i = 0; i < 2 && v->core; i++)
        for (int k = 0; k < 2 && v->core; k++) {
            venv_map_builder map;
            venv_map_init(&map);
            venv_map_put_z(&map, "verb", verbs[k]);
            venv_map_put_z(&map, "environment", environments[i]);
            ask(s, v, VENV_MSG_CHANGE, &map);
        }
    if (v->core)
        reset(s, v);
    if (v->core)
        stop(s, v);
}

static void acts_at(sim *s, server *v)
{
    come(s, v);
    if (!v->core || !v->admin->peer)
        return;
    if (s->settings.manager_yaml)
        stop(s, v); /* another configuration: what is above knows the built-in one */
    else if (s->healing)
        wind_up(s, v);
    else
        for (int64_t k = sim_between(s, 1, 3); k > 0 && v->core && v->admin->peer; k--)
            act(s, v);
    if (sim_percent(s, 20))
        leave(s, v); /* before it is answered */
}

void admin_acts(sim *s)
{
    sim_plan(s, s->healing ? S(20) : sim_spread(s, MS(500), S(30)), ADMIN);
    if (s->settings.idle_admin && !s->healing)
        return;
    int chosen = (int)sim_chance(s, s->server_count);
    if (s->healing)
        moves_tidy(s);
    for (int i = 0; i < s->server_count; i++) {
        server *v = &s->servers[i];
        if (!v->core || v->process.frozen_until > s->now || (!s->healing && i != chosen))
            continue;
        if (s->settings.reloads && !s->healing && sim_percent(s, 50))
            server_reload(s, v, sim_percent(s, 50));
        acts_at(s, v);
    }
}
