/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent writes down (KEEP), and what waits for that. A write is durable some time after it was asked for; a crash between keeps
 * it or loses it; a full disk refuses it, and then what waits is answered as not begun, as the daemon's shell does it.
 *
 * Rule `keep`: nothing is begun that is not written down.
 */
#include "sim/people.h"

#include <stdlib.h>
#include <string.h>

#define KEEPS_MAX   4096u
#define MACHINE_SIZE 25u /* of a row in what is kept: id, epoch, flags (agent/memory.c) */

static void action_fini(venv_agent_action *a)
{
    venv_value_unref(&a->value);
    free(a->name);
    free(a->xml);
    free(a->text);
}

static void *grown(void *items, size_t *capacity, size_t size)
{
    *capacity = *capacity ? *capacity * 2 : 16;
    items = reallocarray(items, *capacity, size);
    if (!items || *capacity > KEEPS_MAX)
        abort();
    return items;
}

/* --- writing ------------------------------------------------------------------------------------------------------------ */

void keep_write(sim *s, node *n, venv_agent_action *a)
{
    keeper *k = &n->keeper;
    if (k->write_count == k->write_capacity)
        k->writes = grown(k->writes, &k->write_capacity, sizeof *k->writes);
    k->writes[k->write_count++] = (pending_keep){ a->token, a->value };
    a->value = venv_value_null();
    bool slow = s->now < k->slow_until;
    int64_t at = s->now + (slow ? sim_between(s, MS(50), S(5)) : sim_between(s, MS(1), MS(12)));
    if (at <= k->last_at)
        at = k->last_at + 1;
    k->last_at = at;
    happening *h = sim_plan(s, at - s->now, KEPT);
    h->index = n->index;
    h->life = n->process.life;
}

static void first_is_durable(node *n)
{
    keeper *k = &n->keeper;
    venv_value_unref(&k->kept);
    k->kept = k->writes[0].value;
    k->durable = k->writes[0].number;
    memmove(&k->writes[0], &k->writes[1], --k->write_count * sizeof k->writes[0]);
}

/* --- what waits ----------------------------------------------------------------------------------------------------------- */

static bool has_row(const venv_value *kept, const char *key, size_t size, venv_id id)
{
    const venv_value *rows = venv_value_get(kept, key);
    venv_str bytes = rows && venv_value_kind(rows) == VENV_BYTES ? venv_value_peek_text(rows) : VENV_STR("");
    for (size_t at = 0; at + size <= bytes.size; at += size)
        if (memcmp(bytes.data + at, id.bytes, sizeof id.bytes) == 0)
            return true;
    return false;
}

static void begin(sim *s, node *n, const venv_agent_action *a)
{
    venv_id id;
    if (a->kind == VENV_AGENT_ACT_MACHINE) {
        if (a->verb == VENV_MACHINE_START && !has_row(&n->keeper.kept, "machines", MACHINE_SIZE, a->machine))
            sim_fail(s, "keep: %s starts a machine, and has not written down that it does", n->name);
        hypervisor_do(s, n, a);
        return;
    }
    if (venv_value_count(&a->value) == 1 && venv_id_parse(venv_value_peek_text(venv_value_at(&a->value, 0)), &id)) {
        if (!has_row(&n->keeper.kept, "executed", sizeof id, id))
            sim_fail(s, "keep: %s runs a command, and has not written down that it does", n->name);
        people_executed(s, n, id);
    }
    node_run(s, n, a);
}

/* A command, or a call of the hypervisor: now, or when what speaks of it is written. */
void keep_effect(sim *s, node *n, venv_agent_action *a)
{
    keeper *k = &n->keeper;
    if (a->after_keep <= k->durable) {
        begin(s, n, a);
        return;
    }
    if (k->held_count == k->held_capacity)
        k->held = grown(k->held, &k->held_capacity, sizeof *k->held);
    k->held[k->held_count++] = *a;
    a->value = venv_value_null();
    a->name = a->xml = a->text = NULL;
}

static void not_begun(sim *s, node *n, const venv_agent_action *a)
{
    static const char why[] = "it was not begun, because the agent cannot write down that it does it";
    venv_run_outcome outcome = { .rc = VENV_ENOSPACE, .error = why, .out = { "", 0 }, .err = { "", 0 } };
    report_say(s, n->name, "%s", why);
    if (a->kind == VENV_AGENT_ACT_RUN)
        node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_RAN, .token = a->token, .run = &outcome });
    else
        node_event(s, n, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINE_DONE, .token = a->token, .rc = VENV_EUNREACHABLE, .text = why });
}

/* The oldest write is on the disk, or there is no room for it. */
void keep_durable(sim *s, node *n)
{
    keeper *k = &n->keeper;
    if (k->write_count == 0)
        return;
    uint64_t number = k->writes[0].number, life = n->process.life;
    bool full = s->now < k->full_until;
    if (full) {
        venv_value_unref(&k->writes[0].value);
        memmove(&k->writes[0], &k->writes[1], --k->write_count * sizeof k->writes[0]);
    } else {
        first_is_durable(n);
    }
    for (size_t i = 0; i < k->held_count && n->process.life == life;) {
        if (k->held[i].after_keep > number) {
            i++;
            continue;
        }
        venv_agent_action a = k->held[i]; /* what comes of it may hold back more */
        memmove(&k->held[i], &k->held[i + 1], (--k->held_count - i) * sizeof k->held[0]);
        if (full)
            not_begun(s, n, &a);
        else
            begin(s, n, &a);
        action_fini(&a);
    }
}

/* --- the end of a life ------------------------------------------------------------------------------------------------------ */

static void drop(keeper *k)
{
    for (size_t i = 0; i < k->write_count; i++)
        venv_value_unref(&k->writes[i].value);
    for (size_t i = 0; i < k->held_count; i++)
        action_fini(&k->held[i]);
    k->write_count = k->held_count = 0;
    k->durable = 0;
}

/* Between write and sync: what was handed over may be there or not; in order. */
void keep_crash(sim *s, node *n)
{
    keeper *k = &n->keeper;
    size_t luck = k->write_count > 0 && s->now >= k->full_until ? (size_t)sim_chance(s, (int64_t)k->write_count + 1) : 0;
    for (size_t i = 0; i < luck; i++)
        first_is_durable(n);
    s->counts.keeps_lost += k->write_count;
    drop(k);
}

void keep_fini(node *n)
{
    drop(&n->keeper);
    free(n->keeper.writes);
    free(n->keeper.held);
    venv_value_unref(&n->keeper.kept);
}
