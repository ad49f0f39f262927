/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An administrator at a terminal: starts tools, asks again under the same id when no answer came, and stops them. At the end,
 * when everything is healed, only stops.
 */
#include "sim/sim.h"

static void frame_to(sim *s, server *v, uint64_t peer, int16_t type, uint64_t request, venv_map_builder *map)
{
    venv_value body = venv_value_null();
    if (venv_map_take(map, &body, NULL) != VENV_OK) {
        sim_fail(s, "out of memory");
        return;
    }
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_FRAME, .peer = peer, .type = type, .request = request,
                                              .known = true, .value = &body });
    venv_value_unref(&body);
}

static void hello(sim *s, server *v, uint64_t peer)
{
    venv_map_builder map;
    venv_list_builder versions;
    venv_value list = venv_value_null();
    venv_list_init(&versions);
    venv_list_add(&versions, venv_value_int(VENV_PROTOCOL_VERSION));
    if (venv_list_take(&versions, &list, NULL) != VENV_OK)
        sim_fail(s, "out of memory");
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = peer, .role = VENV_ROLE_USER,
                                              .text = "anna", .address = "192.0.2.9:1" });
    venv_map_init(&map);
    venv_map_put(&map, "versions", list);
    frame_to(s, v, peer, VENV_MSG_HELLO, 0, &map);
}

void admin_receives(sim *s, server *v, const venv_manager_action *a)
{
    (void)s;
    (void)v;
    (void)a;
}

static void asks_one(sim *s, server *v)
{
    if (!v->core || v->process.frozen_until > s->now)
        return;
    uint64_t peer = PERSONS + s->persons++;
    venv_map_builder map;
    hello(s, v, peer);
    venv_map_init(&map);
    venv_map_put_z(&map, "environment", "tool");
    bool again = s->asked_count > 0 && sim_percent(s, 50), stop = s->healing || sim_percent(s, 40);
    if (!stop && !again && s->asked_count < ASKED_MAX) {
        s->asked[s->asked_count].id = venv_random_id(&s->random);
        s->asked[s->asked_count++].server = v->index;
    }
    size_t which = s->asked_count == 0 ? 0 : again ? (size_t)sim_chance(s, (int64_t)s->asked_count) : s->asked_count - 1;
    s->counts.requests++;
    if (stop || s->asked_count == 0 || s->asked[which].server != v->index) {
        frame_to(s, v, peer, VENV_MSG_STOP, 1, &map);
    } else {
        venv_map_put_id(&map, "id", s->asked[which].id);
        frame_to(s, v, peer, VENV_MSG_START, 1, &map);
    }
    server_event(s, v, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = peer, .text = "done" });
}

void admin_acts(sim *s)
{
    sim_plan(s, s->healing ? S(20) : sim_between(s, S(2), S(60)), ADMIN);
    if (s->settings.idle_admin && !s->healing)
        return;
    int chosen = (int)sim_chance(s, s->server_count);
    const server *v = &s->servers[chosen];
    if (s->settings.reloads && v->core && v->process.frozen_until <= s->now && sim_percent(s, 50))
        server_reload(s, &s->servers[chosen], sim_percent(s, 50));
    for (int i = 0; i < s->server_count; i++)
        if (s->healing || i == chosen)
            asks_one(s, &s->servers[i]);
}
