/* SPDX-License-Identifier: Apache-2.0 */
/* One run: misfortunes, then everything is healed and all work has to come to its end, then the last checks. */
#include "sim/replay.h"
#include "sim/rules.h"

#include <string.h>

#define MINUTES_DEFAULT 5
#define HEAL_MINUTES    30

void sim_heal(sim *s)
{
    s->healing = true;
    for (int i = 0; i < s->node_count; i++) {
        node *n = &s->nodes[i];
        network_heal(s, n);
        n->hangs_until = n->keeper.slow_until = n->keeper.full_until = 0;
        if (!n->core)
            sim_plan(s, sim_between(s, S(1), S(20)), AGENT_START)->index = n->index;
        n->held_down = false;
        if (!n->machines)
            continue;
        hypervisor_back(s, n);
        venv_fake_world_obedient(n->machines, true);
        for (int call = 0; call < VENV_FAKE_CALL__COUNT; call++)
            venv_fake_world_fail(n->machines, (venv_fake_call)call, VENV_FAKE_BEFORE, VENV_EIO, 0);
    }
    for (int i = 0; i < s->server_count; i++) {
        server *v = &s->servers[i];
        v->disk.slow_until = v->disk.full_until = 0;
        v->disk.error_next = false;
        v->crash_at_write = 0;
        if (!v->core)
            sim_plan(s, sim_between(s, S(1), S(20)), MANAGER_START)->index = v->index;
    }
}

static bool no_instances(sim *s, const server *v, char why[256])
{
    size_t cursor = 0;
    const disk_row *row;
    while ((row = disk_next(&v->disk, &cursor))) {
        const venv_value *state = venv_value_get(&row->value, "state");
        venv_str name = venv_value_get_text(&row->value, "name"), is = state ? venv_value_peek_text(state) : VENV_STR("");
        if (row->collection == VENV_ROWS_INSTANCES && !venv_value_is_text(state, "stopped") && !venv_value_is_text(state, "failed")) {
            snprintf(why, 256, "instance %.*s of %s is %.*s", (int)name.size, name.data, v->name, (int)is.size, is.data);
            return false;
        }
        if (row->collection == VENV_ROWS_ACTIONS && (venv_value_is_text(state, "pending") || venv_value_is_text(state, "running"))) {
            venv_str kind = venv_value_get_text(&row->value, "kind");
            snprintf(why, 256, "an action %.*s of %s is %.*s", (int)kind.size, kind.data, v->name, (int)is.size, is.data);
            return false;
        }
    }
    (void)s;
    return true;
}

/* Nothing is left to do, and nothing runs. */
bool sim_is_quiet(sim *s, char why[256])
{
    char text[256];
    char *to = why ? why : text;
    for (int i = 0; i < s->server_count; i++) {
        const server *v = &s->servers[i];
        if (!v->core) {
            snprintf(to, 256, "%s is down", v->name);
            return false;
        }
        if (v->pending > 0 || v->running > 0) {
            snprintf(to, 256, "%lld jobs of %s wait, %lld run", (long long)v->pending, v->name, (long long)v->running);
            return false;
        }
        int64_t guests = queue_guests(s, v);
        if (guests > 0) {
            snprintf(to, 256, "%lld machines run on the nodes of %s", (long long)guests, v->name);
            return false;
        }
        if (!no_instances(s, v, to))
            return false;
    }
    return true;
}

void sim_run(uint64_t seed, const sim_settings *settings, sim_result *ret_result)
{
    sim *s = sim_new(seed, settings);
    char left[256];
    sim_play(s, s->now + (settings->minutes ? settings->minutes : MINUTES_DEFAULT) * S(60));
    sim_heal(s);
    int64_t end = s->now + HEAL_MINUTES * S(60);
    while (!s->failed && s->now < end && !sim_is_quiet(s, NULL))
        sim_play(s, s->now + S(5));
    if (!s->failed && !sim_is_quiet(s, left))
        sim_fail(s, "progress: %s, half an hour after everything was healed", left);
    /* One in four goes on for a while, in peace: then nothing at all may happen. */
    if (!s->failed && seed % 4 == 0)
        sim_play(s, s->now + S(180));
    check_end(s);
    rules_end(s);
    if (settings->record && !replay_write(s->servers[0].recorder, settings->record))
        fprintf(stderr, "venv_sim: %s cannot be written\n", settings->record);
    *ret_result = (sim_result){ .trace = s->trace, .good = !s->failed, .simulated = s->now - S(100), .counts = s->counts };
    snprintf(ret_result->why, sizeof ret_result->why, "at %.3f s: %s", (double)s->now / 1e9, s->why);
    sim_free(s);
}
