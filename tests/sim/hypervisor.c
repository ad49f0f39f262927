/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machines of a node. They outlive the agent, and the hypervisor's daemon. Calls are made one after the other,
 * take their time, hang, fail, or are carried out with the answer lost; one that is under way when the agent dies may still
 * be done.
 */
#include "sim/people.h"
#include "sim/rules.h"

#include "runtime/machine_worker.h"

#include <stdlib.h>
#include <string.h>

static happening *plan_for(sim *s, node *n, int64_t delay, happening_kind kind)
{
    happening *h = sim_plan(s, delay, kind);
    h->index = n->index;
    h->life = n->process.life;
    return h;
}

/* Calls wait for each other: `takes` from now, or from when the worker is free. */
static int64_t worker_delay(sim *s, int64_t *free_at, int64_t takes)
{
    int64_t begin = *free_at > s->now ? *free_at : s->now;
    *free_at = begin + takes;
    return *free_at - s->now;
}

void hypervisor_do(sim *s, node *n, const venv_agent_action *a)
{
    bool is_long = a->verb >= VENV_MACHINE_SAVE;
    int64_t takes = sim_between(s, MS(20), S(2));
    if (n->hangs_until > s->now)
        takes = sim_between(s, S(5), S(90));
    happening *h = plan_for(s, n, worker_delay(s, is_long ? &n->mover_free : &n->worker_free, takes), MACHINE_RUN);
    h->token = a->token;
    h->verb = a->verb;
    h->machine = a->machine;
    h->epoch = a->epoch;
    h->end = a->timeout.ns > 0 ? s->now + a->timeout.ns : 0;
    h->text = a->xml ? strdup(a->xml) : a->text ? strdup(a->text) : NULL;
}

void hypervisor_list_soon(sim *s, node *n)
{
    if (n->core && n->machines)
        plan_for(s, n, worker_delay(s, &n->worker_free, sim_between(s, MS(2), MS(100))), LIST_MADE);
}

static venv_rc connect_hypervisor(node *n, venv_error *err)
{
    if (n->hypervisor)
        return VENV_OK;
    return venv_fake_world_open(n->machines, "sim", &n->hypervisor, err);
}

static void look_at(node *n, venv_rc rc)
{
    if (rc != VENV_EUNREACHABLE && rc != VENV_EUNKNOWN)
        return;
    venv_hypervisor_close(n->hypervisor);
    n->hypervisor = NULL;
}

static venv_rc call(sim *s, node *n, const happening *h, venv_error *err)
{
    switch (h->verb) {
    case VENV_MACHINE_START:
        s->counts.starts++;
        if (n->liar && !venv_fake_world_is_running(n->machines, h->machine) &&
            venv_fake_world_running_count(n->machines) >= 2 * venv_fake_world_cpus(n->machines))
            return venv_error_set(err, VENV_ELIMIT, "there is no room for it");
        return venv_machine_start(n->hypervisor, h->machine, h->text ? h->text : "", err);
    case VENV_MACHINE_SHUTDOWN: return venv_machine_shutdown(n->hypervisor, h->machine, err);
    case VENV_MACHINE_DESTROY:
        s->counts.stops++;
        return venv_machine_destroy(n->hypervisor, h->machine, err);
    case VENV_MACHINE_PROBE: return sim_percent(s, 60) ? VENV_ETIMEDOUT : venv_machine_probe(n->hypervisor, h->machine, err);
    case VENV_MACHINE_PAUSE: return venv_machine_pause(n->hypervisor, h->machine, err);
    case VENV_MACHINE_RESUME: return venv_machine_resume(n->hypervisor, h->machine, err);
    case VENV_MACHINE_SAVE: return venv_machine_save(n->hypervisor, h->machine, err);
    case VENV_MACHINE_RESTORE: return venv_machine_restore(n->hypervisor, h->machine, err);
    case VENV_MACHINE_REBOOT: return venv_machine_reboot(n->hypervisor, h->machine, (venv_span){ 0 }, err);
    case VENV_MACHINE_CHECKPOINT: return venv_machine_checkpoint(n->hypervisor, h->machine, err);
    case VENV_MACHINE_REVERT: return venv_machine_revert(n->hypervisor, h->machine, err);
    case VENV_MACHINE_CANCEL: return venv_machine_cancel(n->hypervisor, h->machine, err);
    case VENV_MACHINE_MIGRATE: break; /* moves.c */
    }
    return VENV_EUNSUPPORTED;
}

static void answer(sim *s, node *n, const happening *h, bool orphan, venv_rc rc, const venv_error *err)
{
    report_trace(s, "machine", (uint64_t)h->verb, (uint64_t)(int64_t)rc);
    if (orphan) {
        if (!n->core) {
            venv_hypervisor_close(n->hypervisor);
            n->hypervisor = NULL;
        }
        return;
    }
    happening *told = plan_for(s, n, sim_between(s, MS(1), MS(30)), MACHINE_TOLD);
    told->token = h->token;
    told->rc = rc;
    told->text = strdup(err->text);
    hypervisor_list_soon(s, n);
}

static void machine_run(sim *s, happening *h)
{
    node *n = &s->nodes[h->index];
    venv_error err = { 0 };
    bool orphan = !n->core || n->process.life != h->life;
    if (orphan && (h->planned_at < n->lost_power_at || sim_percent(s, 50)))
        return; /* it died with the agent, or with the whole node */
    if (h->end && s->now >= h->end) {
        answer(s, n, h, orphan, venv_error_set(&err, VENV_ETIMEDOUT, "its time was over before it could begin"), &err);
        return;
    }
    if (h->verb != VENV_MACHINE_PROBE) /* a question changes nothing */
        check_order(s, n, h->verb, h->machine);
    rules_order(s, n, h->verb, h->machine);
    people_order(s, n, h->verb, h->machine);
    venv_rc rc = connect_hypervisor(n, &err);
    if (rc == VENV_OK && h->verb == VENV_MACHINE_MIGRATE) {
        if (!orphan)
            moves_begin(s, n, h);
        return;
    }
    if (rc == VENV_OK) {
        rc = call(s, n, h, &err);
        rules_ran(s, n, h->verb, h->machine);
        people_ran(s, n, h->verb, h->machine, rc == VENV_OK || rc == VENV_EUNKNOWN);
        look_at(n, rc);
    }
    answer(s, n, h, orphan, rc, &err);
}

static void list_made(sim *s, happening *h)
{
    node *n = &s->nodes[h->index];
    if (!n->core || n->process.life != h->life)
        return;
    venv_error err = { 0 };
    venv_hypervisor_info info;
    venv_machine_list list = { .items = NULL };
    venv_value value = venv_value_null();
    venv_rc rc = connect_hypervisor(n, &err);
    if (rc == VENV_OK)
        rc = venv_hypervisor_info_get(n->hypervisor, &info, &err);
    if (rc == VENV_OK)
        rc = venv_hypervisor_list(n->hypervisor, &list, &err);
    if (rc == VENV_OK)
        rc = venv_machine_list_value(&info, &list, &value, &err);
    look_at(n, rc);
    venv_machine_list_fini(&list);
    happening *told = plan_for(s, n, MS(1), LIST_TOLD); /* lists are told in the order in which they were made */
    told->rc = rc;
    told->value = value;
    told->text = rc == VENV_OK ? NULL : strdup(err.text);
}

void hypervisor_happening(sim *s, happening *h)
{
    if (h->kind == MACHINE_RUN)
        machine_run(s, h);
    else
        list_made(s, h);
}

void hypervisor_down(sim *s, node *n, int64_t span)
{
    if (n->hypervisor_down || !n->machines)
        return;
    moves_break(s, n);
    n->hypervisor_down = true;
    venv_fake_world_reachable(n->machines, false);
    if (span != NEVER)
        sim_plan(s, span, HYPERVISOR_BACK)->index = n->index;
    hypervisor_list_soon(s, n);
}

void hypervisor_back(sim *s, node *n)
{
    if (!n->hypervisor_down)
        return;
    n->hypervisor_down = false;
    venv_fake_world_reachable(n->machines, true);
    hypervisor_list_soon(s, n);
}

/* The node's power is gone: nothing of it runs any more. Definitions stay. */
void hypervisor_lose_guests(sim *s, node *n)
{
    venv_error err = { 0 };
    venv_hypervisor *hypervisor = NULL;
    venv_machine_list list = { .items = NULL };
    moves_break(s, n);
    venv_fake_world_reachable(n->machines, true);
    for (int call = 0; call < VENV_FAKE_CALL__COUNT; call++)
        venv_fake_world_fail(n->machines, (venv_fake_call)call, VENV_FAKE_BEFORE, VENV_EIO, 0);
    if (venv_fake_world_open(n->machines, "sim", &hypervisor, &err) != VENV_OK ||
        venv_hypervisor_list(hypervisor, &list, &err) != VENV_OK)
        sim_fail(s, "the machines of %s cannot be listed: %s", n->name, err.text);
    for (size_t i = 0; i < list.count; i++)
        venv_fake_world_end_guest(n->machines, list.items[i].id, false);
    venv_machine_list_fini(&list);
    venv_hypervisor_close(hypervisor);
    n->worker_free = n->mover_free = n->lost_power_at = s->now;
    if (n->hypervisor_down)
        venv_fake_world_reachable(n->machines, false);
}
