/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scenario in the simulator: its managers and agents instead of those that the seed would make, its steps instead of
 * misfortunes. The seed still says how long things take. The rules of random runs hold here, too.
 */
#include "sim/rules.h"

#include "manager/internal.h"
#include "scenarios/scenario.h"

#include <venv/codec.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PULSE      MS(250) /* an expectation is looked at this often */
#define CLONE_EACH 20      /* pulses between two attempts of a clone */

struct script {
    const scenario *sc;
    struct {
        char *name, *text;  /* "NODE.LABEL"; NULL: it cannot be sampled */
    } values[SCENARIO_HOSTS_MAX * SCENARIO_MORE_MAX];
    size_t value_count;
    struct {
        char *name;
        int64_t pending, running;
    } queues[SCENARIO_MORE_MAX];
    size_t queue_count;
    struct {
        int16_t type;
        char *environment, *node;
        int64_t count;
        venv_id id;
    } asked[SERVERS_MAX];
    node *cloned;
    uint64_t pulses;
    bool started;
};

/* --- making: called by sim_new() ------------------------------------------------------------------------------------------- */

static const scenario_host *host_of(const script *p, bool manager, size_t index)
{
    for (size_t i = 0; i < p->sc->host_count; i++)
        if (!p->sc->hosts[i].manager == manager && index-- == 0)
            return &p->sc->hosts[i];
    return NULL;
}

static size_t count_of(const script *p, bool manager)
{
    size_t count = 0;
    while (host_of(p, manager, count))
        count++;
    return count;
}

size_t script_servers(const script *p)
{
    return count_of(p, true);
}

size_t script_nodes(const script *p)
{
    return count_of(p, false);
}

static void settings_of(FILE *out, const scenario_host *host)
{
    for (size_t i = 0; i < host->setting_count; i++)
        fprintf(out, "  %s: %s\n", host->settings[i].name, host->settings[i].value);
}

static char *manager_text(const scenario_host *host, const char *yaml)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    fprintf(out, "manager:\n  name: %s\n  tls: {ca: /c, certificate: /d, key: /e}\n", host->name);
    settings_of(out, host);
    fprintf(out, "%s", yaml ? yaml : "");
    if (fclose(out) != 0)
        abort();
    return text;
}

char *script_manager(const script *p, size_t index, char name[16])
{
    const scenario_host *host = host_of(p, true, index);
    snprintf(name, 16, "%s", host->name);
    return manager_text(host, host->yaml);
}

char *script_agent(const script *p, size_t index, script_node *ret)
{
    const scenario_host *host = host_of(p, false, index);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    snprintf(ret->name, sizeof ret->name, "%s", host->name);
    ret->cpus = host->cpus;
    ret->memory = host->memory;
    for (ret->server = 0; strcmp(host_of(p, true, ret->server)->name, host->manager) != 0; ret->server++)
        ;
    fprintf(out, "agent:\n  name: %s\n  manager: '%s:7420'\n  tls: {ca: /c, certificate: /d, key: /e}\n  groups: [default", host->name,
            host->manager);
    for (size_t i = 0; i < host->group_count; i++)
        fprintf(out, ", %s", host->groups[i]);
    fprintf(out, "]\n%s", host->cpus > 0 ? "  hypervisor: 'fake:'\n" : "");
    settings_of(out, host);
    for (size_t i = 0; i < host->property_count; i++)
        fprintf(out, "%s  %s: {command: ['%s.%s'], type: %s, every: 1}\n", i == 0 ? "properties:\n" : "", host->properties[i].name, host->name,
                host->properties[i].name, host->properties[i].value);
    if (fclose(out) != 0)
        abort();
    return text;
}

/* --- values ------------------------------------------------------------------------------------------------------------------ */

const char *script_value(const script *p, const char *name)
{
    for (size_t i = 0; i < p->value_count; i++)
        if (strcmp(p->values[i].name, name) == 0)
            return p->values[i].text;
    return NULL;
}

static void set_value(script *p, const char *host, const char *label, const char *text)
{
    char name[2 * VENV_NAME_MAX + 2];
    size_t i = 0;
    snprintf(name, sizeof name, "%s.%s", host, label);
    while (i < p->value_count && strcmp(p->values[i].name, name) != 0)
        i++;
    if (i == sizeof p->values / sizeof p->values[0])
        return;
    if (i == p->value_count)
        p->values[p->value_count++].name = strdup(name);
    free(p->values[i].text);
    p->values[i].text = text ? strdup(text) : NULL;
}

static void set_queue(script *p, const char *name, int64_t pending, int64_t running)
{
    size_t i = 0, used = 0;
    char text[4096] = "{";
    while (i < p->queue_count && strcmp(p->queues[i].name, name) != 0)
        i++;
    if (i == SCENARIO_MORE_MAX)
        return;
    if (i == p->queue_count)
        p->queues[p->queue_count++].name = strdup(name);
    p->queues[i].pending = pending;
    p->queues[i].running = running;
    for (i = 0, used = 1; i < p->queue_count && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"%s\": {\"pending\": %lld, \"running\": %lld}", i ? ", " : "",
                                 p->queues[i].name, (long long)p->queues[i].pending, (long long)p->queues[i].running);
    snprintf(text + used, sizeof text - used, "}");
    for (i = 0; i < p->sc->host_count; i++)
        for (size_t k = 0; k < p->sc->hosts[i].property_count; k++)
            if (strcmp(p->sc->hosts[i].properties[k].name, "queue") == 0)
                set_value(p, p->sc->hosts[i].name, "queue", text);
}

/* A text is printed without its quotes, as a command would. */
static void set_as_written(script *p, const char *host, const char *label, const char *written)
{
    size_t size = strlen(written);
    char text[1024];
    bool quoted = size >= 2 && written[0] == '"';
    snprintf(text, sizeof text, "%.*s", (int)(quoted ? size - 2 : size), quoted ? written + 1 : written);
    set_value(p, host, label, text);
}

/* --- what expectations see ------------------------------------------------------------------------------------------------------ */

typedef struct looking {
    sim *s;
    venv_value agents;
} looking;

static bool all_up(const sim *s)
{
    for (int i = 0; i < s->server_count; i++)
        if (!s->servers[i].core || !s->servers[i].core->begun)
            return false;
    return true;
}

static venv_expr_answer see_agents(void *user, venv_value *ret_list)
{
    looking *l = user;
    venv_list_builder list;
    if (!all_up(l->s))
        return VENV_EXPR_NOT_KNOWN;
    venv_list_init(&list);
    for (int i = 0; i < l->s->server_count; i++) {
        venv_trigger_world world = venv_mgr_world_of(l->s->servers[i].core);
        venv_value some = venv_value_null();
        if (world.agents(world.user, &some) != VENV_EXPR_FOUND)
            continue;
        for (size_t k = 0; k < venv_value_count(&some); k++)
            venv_list_add(&list, venv_value_ref(venv_value_at(&some, k)));
    }
    venv_value_unref(&l->agents);
    if (venv_list_take(&list, &l->agents, NULL) != VENV_OK)
        return VENV_EXPR_NOT_KNOWN;
    *ret_list = l->agents;
    return VENV_EXPR_FOUND;
}

static venv_rc see_queue(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    looking *l = user;
    venv_rc rc = venv_error_set(err, VENV_EUNKNOWN, "the queue could not be looked at");
    for (int i = 0; rc != VENV_OK && all_up(l->s) && i < l->s->server_count; i++) {
        venv_trigger_world world = venv_mgr_world_of(l->s->servers[i].core);
        rc = world.queue(world.user, name, ret_map, err);
    }
    return rc;
}

static venv_rc see_instances(void *user, venv_str environment, venv_value *ret_list, venv_error *err)
{
    looking *l = user;
    venv_list_builder list;
    if (!all_up(l->s))
        return venv_error_set(err, VENV_EUNKNOWN, "a manager is down");
    venv_list_init(&list);
    for (int i = 0; i < l->s->server_count; i++) {
        venv_trigger_world world = venv_mgr_world_of(l->s->servers[i].core);
        venv_value some = venv_value_null();
        if (world.instances(world.user, environment, &some, NULL) != VENV_OK)
            continue;
        for (size_t k = 0; k < venv_value_count(&some); k++)
            venv_list_add(&list, venv_value_ref(venv_value_at(&some, k)));
        venv_value_unref(&some);
    }
    return venv_list_take(&list, ret_list, err);
}

static void add_machines(venv_list_builder *list, const node *n)
{
    venv_hypervisor *hypervisor = NULL;
    venv_machine_list machines = { .items = NULL };
    bool down = n->hypervisor_down;
    if (down)
        venv_fake_world_reachable(n->machines, true);
    if (venv_fake_world_open(n->machines, "sim", &hypervisor, NULL) == VENV_OK &&
        venv_hypervisor_list(hypervisor, &machines, NULL) == VENV_OK)
        for (size_t i = 0; i < machines.count; i++) {
            venv_map_builder map;
            venv_value value = venv_value_null();
            if (!venv_fake_world_is_running(n->machines, machines.items[i].id))
                continue;
            venv_map_init(&map);
            venv_map_put_z(&map, "node", n->name);
            venv_map_put_id(&map, "id", machines.items[i].id);
            if (venv_map_take(&map, &value, NULL) == VENV_OK)
                venv_list_add(list, value);
        }
    venv_machine_list_fini(&machines);
    venv_hypervisor_close(hypervisor);
    if (down)
        venv_fake_world_reachable(n->machines, false);
}

static venv_rc see_list(void *user, const char *what, venv_value *ret_list, venv_error *err)
{
    looking *l = user;
    sim *s = l->s;
    bool machines = strcmp(what, "machines") == 0, events = strcmp(what, "events") == 0;
    const char *kind = strcmp(what, "all_instances") == 0 ? "instances" : what;
    venv_list_builder list;
    if (!machines && !events && !all_up(s))
        return venv_error_set(err, VENV_EUNKNOWN, "a manager is down");
    venv_list_init(&list);
    for (int i = 0; machines && i < s->node_count; i++)
        if (s->nodes[i].machines)
            add_machines(&list, &s->nodes[i]);
    for (int i = 0; !machines && i < s->server_count; i++) {
        venv_value some = venv_value_null();
        for (uint64_t r = 0; events && r < s->servers[i].disk.revision; r++)
            venv_list_add(&list, venv_value_ref(&s->servers[i].disk.log[r]));
        if (events || venv_mgr_list_things(s->servers[i].core, (venv_str){ kind, strlen(kind) }, &some, err) != VENV_OK)
            continue;
        for (size_t k = 0; k < venv_value_count(&some); k++)
            venv_list_add(&list, venv_value_ref(venv_value_at(&some, k)));
        venv_value_unref(&some);
    }
    return venv_list_take(&list, ret_list, err);
}

static expect_answer ask(sim *s, const scenario_step *step, char *why, size_t size, char **ret_explained)
{
    looking l = { s, venv_value_null() };
    expect_world world = { .world = { &l, NULL, see_agents, see_queue, see_instances },
                           .now = venv_value_from_wall(clock_read(s, &s->servers[0].process.clock).wall), .list = see_list, .user = &l };
    expect_answer answer = expect_ask(step->expr, &world, why, size);
    if (ret_explained)
        *ret_explained = expect_explain(step->expr, &world);
    venv_value_unref(&l.agents);
    return answer;
}

/* --- people -------------------------------------------------------------------------------------------------------------------- */

static void ask_manager(sim *s, script *p, server *v, const scenario_step *step)
{
    venv_map_builder map;
    if (step->verb != SCENARIO_ASK_AGAIN) {
        bool start = step->verb != SCENARIO_ASK_STOP;
        free(p->asked[v->index].environment);
        free(p->asked[v->index].node);
        p->asked[v->index].type = start ? VENV_MSG_START : VENV_MSG_STOP;
        p->asked[v->index].environment = strdup(step->args[1].text);
        p->asked[v->index].count = start ? step->args[2].number : 0;
        p->asked[v->index].node = step->verb == SCENARIO_ASK_START_ON ? strdup(step->args[3].text) : NULL;
        p->asked[v->index].id = venv_random_id(&s->random);
    }
    if (!p->asked[v->index].environment || !v->core)
        return;
    uint64_t number = witness_connect(s, v);
    venv_map_init(&map);
    venv_map_put_z(&map, "environment", p->asked[v->index].environment);
    venv_map_put_id(&map, "id", p->asked[v->index].id);
    if (p->asked[v->index].count > 0)
        venv_map_put(&map, "count", venv_value_int(p->asked[v->index].count));
    if (p->asked[v->index].node)
        venv_map_put_z(&map, "node", p->asked[v->index].node);
    witness_tell(s, v, number, p->asked[v->index].type, 1, &map);
}

static void ask_node(sim *s, server *v, const scenario_step *step)
{
    venv_map_builder map;
    bool drain = step->verb == SCENARIO_ASK_DRAIN;
    if (!v->core)
        return;
    uint64_t number = witness_connect(s, v);
    venv_map_init(&map);
    venv_map_put_z(&map, "verb", drain ? "drain" : "resume");
    venv_map_put_z(&map, "agent", step->args[1].text);
    if (drain)
        venv_map_put_z(&map, "by", step->args[2].text);
    venv_map_put_id(&map, "id", venv_random_id(&s->random));
    witness_tell(s, v, number, VENV_MSG_NODE, 1, &map);
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------- */

static void pulse(sim *s, script *p)
{
    if (p->cloned && p->pulses++ % CLONE_EACH == 0 && s->servers[p->cloned->server].core)
        witness_clones(s, &s->servers[p->cloned->server], p->cloned);
    sim_play(s, s->now + PULSE);
}

static void start(sim *s, server *v, node *n)
{
    if (v && !v->core)
        server_start(s, v);
    if (n && !n->core)
        node_start(s, n);
}

static void stop(sim *s, server *v, node *n)
{
    if (v)
        server_stop(s, v);
    if (n)
        node_stop(s, n);
}

static void start_all(sim *s, script *p)
{
    if (p->started)
        return;
    p->started = true;
    for (int i = 0; i < s->server_count; i++)
        start(s, &s->servers[i], NULL);
    for (int i = 0; i < s->node_count; i++)
        start(s, NULL, &s->nodes[i]);
}

static void heal_all(sim *s)
{
    for (int i = 0; i < s->node_count; i++) {
        node *n = &s->nodes[i];
        network_heal(s, n);
        n->hangs_until = 0;
        if (!n->machines)
            continue;
        hypervisor_back(s, n);
        venv_fake_world_obedient(n->machines, true);
    }
    for (int i = 0; i < s->server_count; i++)
        s->servers[i].disk.full_until = 0;
}

/* `wrong`: it has to be refused. */
static void apply(sim *s, script *p, server *v, const char *yaml, bool wrong)
{
    venv_error err = { 0 };
    char *text = manager_text(host_of(p, true, (size_t)v->index), yaml);
    bool taken = server_configure(s, v, text, &err);
    if (taken == wrong)
        sim_fail(s, "scenario: %s %s a configuration%s%s", v->name, taken ? "takes up" : "refuses", taken ? " that has a mistake" : ": ",
                 taken ? "" : err.text);
    free(text);
}

/* Steps that break something, or mend it. */
static void do_misfortune(sim *s, script *p, const scenario_step *step, server *v, node *n)
{
    const scenario_argument *a = step->args;
    node *second = step->count > 1 ? sim_node(s, a[1].text) : NULL;
    switch (step->verb) {
    case SCENARIO_POWER:
        node_crash(s, n, true);
        n->held_down = true;
        break;
    case SCENARIO_CLONE: p->cloned = n; break;
    case SCENARIO_PARTITION_FROM: network_block(s, n, TO_MANAGER, NEVER); break;
    case SCENARIO_PARTITION_TO: network_block(s, second, TO_AGENT, NEVER); break;
    case SCENARIO_PARTITION:
        network_block(s, n, TO_MANAGER, NEVER);
        network_block(s, n, TO_AGENT, NEVER);
        break;
    case SCENARIO_CUT: network_cut(s, n->connection, false); break;
    case SCENARIO_HEAL_ONE: network_heal(s, n); break;
    case SCENARIO_HEAL: heal_all(s); break;
    case SCENARIO_HANG: n->hangs_until = s->now + a[1].number; break;
    case SCENARIO_DOWN: hypervisor_down(s, n, NEVER); break;
    case SCENARIO_BACK: hypervisor_back(s, n); break;
    case SCENARIO_FAIL_START:
        venv_fake_world_fail(n->machines, VENV_FAKE_START, VENV_FAKE_BEFORE, VENV_EIO, (uint32_t)a[1].number);
        break;
    case SCENARIO_LOSE_ANSWERS:
        venv_fake_world_fail(n->machines, VENV_FAKE_START, VENV_FAKE_AFTER, VENV_EUNKNOWN, (uint32_t)a[1].number);
        break;
    case SCENARIO_KILL_GUESTS: hypervisor_lose_guests(s, n); break;
    case SCENARIO_DEAFEN: venv_fake_world_obedient(n->machines, false); break;
    case SCENARIO_FILL: disk_full(s, v, NEVER); break;
    case SCENARIO_FREE: v->disk.full_until = 0; break;
    case SCENARIO_JUMP:
        clock_jump(s, v ? &v->process.clock : &n->process.clock, a[1].number);
        if (v)
            server_woken(s, v);
        else
            node_woken(s, n);
        break;
    default: break;
    }
}

/* Is it true in time? Or, for the two others, all the time? */
static bool expect(sim *s, script *p, const scenario_step *step, char *why, size_t size, char **ret_explained)
{
    bool never = step->verb == SCENARIO_EXPECT_NEVER, always = step->verb == SCENARIO_EXPECT_ALWAYS;
    int64_t span = step->verb == SCENARIO_EXPECT ? 0 : step->args[step->verb == SCENARIO_EXPECT_STATE ? 2 : 1].number, end = s->now + span;
    for (;;) {
        expect_answer answer = ask(s, step, why, size, NULL);
        bool wrong = never ? answer == EXPECT_TRUE || answer == EXPECT_FAILED : always && (answer == EXPECT_FALSE || answer == EXPECT_FAILED);
        bool over = s->now >= end || s->failed;
        if (wrong || (!never && !always && over && answer != EXPECT_TRUE)) {
            (void)ask(s, step, why, size, ret_explained);
            return false;
        }
        if (over || (!never && !always && answer == EXPECT_TRUE))
            return true;
        pulse(s, p);
    }
}

static bool do_step(sim *s, script *p, const scenario_step *step, char *why, size_t size, char **ret_explained)
{
    const scenario_argument *a = step->args;
    server *v = step->count > 0 ? sim_server(s, a[0].text) : NULL;
    node *n = step->count > 0 ? sim_node(s, a[0].text) : NULL;
    switch (step->verb) {
    case SCENARIO_START:
        p->started = true;
        start(s, v, n);
        return true;
    case SCENARIO_STOP:
    case SCENARIO_CRASH: stop(s, v, n); return true;
    case SCENARIO_RESTART:
        stop(s, v, n);
        start(s, v, n);
        return true;
    case SCENARIO_FREEZE:
        if (v)
            server_freeze(s, v, a[1].number);
        else
            node_freeze(s, n, a[1].number);
        return true;
    case SCENARIO_QUEUE_BOTH: set_queue(p, a[0].text, a[1].number, a[2].number); return true;
    case SCENARIO_QUEUE: set_queue(p, a[0].text, a[1].number, 0); return true;
    case SCENARIO_SET: set_as_written(p, a[0].text, a[1].text, a[2].text); return true;
    case SCENARIO_UNSET: set_value(p, a[0].text, a[1].text, NULL); return true;
    case SCENARIO_ASK_START_ON:
    case SCENARIO_ASK_START:
    case SCENARIO_ASK_STOP:
    case SCENARIO_ASK_AGAIN: ask_manager(s, p, v, step); return true;
    case SCENARIO_ASK_DRAIN:
    case SCENARIO_ASK_RESUME: ask_node(s, v, step); return true;
    case SCENARIO_APPLY: apply(s, p, v, a[1].text, false); return true;
    case SCENARIO_REFUSES: apply(s, p, v, a[1].text, true); return true;
    case SCENARIO_WAIT:
        for (int64_t end = s->now + a[0].number; s->now < end && !s->failed;)
            if (p->cloned)
                pulse(s, p);
            else
                sim_play(s, end);
        return true;
    case SCENARIO_EXPECT_STATE:
    case SCENARIO_EXPECT_NEVER:
    case SCENARIO_EXPECT_ALWAYS:
    case SCENARIO_EXPECT_WITHIN:
    case SCENARIO_EXPECT: return expect(s, p, step, why, size, ret_explained);
    default: do_misfortune(s, p, step, v, n); return true;
    }
}

static void script_free(script *p)
{
    for (size_t i = 0; i < p->value_count; i++) {
        free(p->values[i].name);
        free(p->values[i].text);
    }
    for (size_t i = 0; i < p->queue_count; i++)
        free(p->queues[i].name);
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        free(p->asked[i].environment);
        free(p->asked[i].node);
    }
    free(p);
}

/* Nothing that a step needs is missing here. NULL, or why it cannot be played. */
static const char *unfit(const script *p)
{
    if (count_of(p, true) > SERVERS_MAX)
        return "more than 8 managers";
    for (size_t i = 0; i < p->sc->host_count; i++)
        if (strlen(p->sc->hosts[i].name) > 15)
            return "a name is longer than 15 characters";
    return NULL;
}

static bool play(const scenario *sc, uint64_t seed, bool again, FILE *out, uint64_t *ret_trace)
{
    script *p = calloc(1, sizeof *p);
    char why[512] = "", *explained = NULL;
    if (!p)
        abort();
    p->sc = sc;
    if (unfit(p)) {
        printf("%s: %s\n", sc->file, unfit(p));
        script_free(p);
        return false;
    }
    sim_settings settings = { .calm = true, .idle_admin = true, .manager_yaml = "", .script = p, .out = out };
    sim *s = sim_new(seed, &settings);
    bool good = true;
    size_t at = 0;
    for (; good && at < sc->step_count && !s->failed; at++) {
        const scenario_step *step = &sc->steps[at];
        report_say(s, "scenario", "%s:%u: %s %s", sc->file, step->line, scenario_forms[step->verb].form, step->count ? step->args[0].text : "");
        if (step->verb != SCENARIO_START && step->verb != SCENARIO_QUEUE && step->verb != SCENARIO_QUEUE_BOTH && step->verb != SCENARIO_SET)
            start_all(s, p);
        good = do_step(s, p, step, why, sizeof why, &explained);
    }
    const scenario_step *last = &sc->steps[at > 0 ? at - 1 : 0];
    if (s->failed)
        printf("%s:%u: at %.3f s a rule is broken: %s\n", sc->file, last->line, (double)(s->now - S(100)) / 1e9, s->why);
    else if (!good)
        printf("%s:%u: at %.3f s: %s: %s\n%s", sc->file, last->line, (double)(s->now - S(100)) / 1e9, scenario_forms[last->verb].form, why,
               explained ? explained : "");
    else if (!again)
        printf("%s: good: %zu steps, %.1f simulated seconds, seed %llu\n", sc->file, sc->step_count, (double)(s->now - S(100)) / 1e9,
               (unsigned long long)seed);
    good = good && !s->failed;
    *ret_trace = s->trace;
    free(explained);
    sim_free(s);
    script_free(p);
    return good;
}

static char *read_file(const char *file_name, size_t *ret_size)
{
    FILE *file = fopen(file_name, "r");
    if (!file) {
        fprintf(stderr, "venv_sim: %s: %s\n", file_name, strerror(errno));
        return NULL;
    }
    char *text = malloc(SCENARIO_SIZE_MAX + 1);
    if (text)
        *ret_size = fread(text, 1, SCENARIO_SIZE_MAX + 1, file);
    (void)fclose(file);
    return text;
}

bool scenario_play(const char *file_name, uint64_t first, uint64_t seeds, FILE *out)
{
    scenario *sc = NULL;
    venv_error err = { 0 };
    char message[2048];
    size_t size = 0;
    char *text = read_file(file_name, &size);
    if (!text)
        return false;
    if (scenario_parse(file_name, text, size, &sc, &err) != VENV_OK) {
        fprintf(stderr, "venv_sim: %s\n", venv_error_format(&err, message, sizeof message));
        free(text);
        return false;
    }
    free(text);
    bool good = true;
    for (uint64_t seed = first; good && seed < first + seeds; seed++) {
        uint64_t trace = 0, again = 0;
        good = play(sc, seed, false, out, &trace);
        if (good && seed == first && !out) { /* the same seed, the same trace */
            good = play(sc, seed, true, NULL, &again) && trace == again;
            if (trace != again)
                printf("%s: seed %llu gave another trace the second time\n", file_name, (unsigned long long)seed);
        }
    }
    scenario_free(sc);
    return good;
}
